-- explain of mart_crm_contacts: what each staged row brings to each number.
--
-- A contact brings 1 to each count that it is in.

parts as (

    select
        snapshot_date as period_start,
        source_dataset,
        source_key,
        source_page,
        1 as total_contacts,
        case when is_new_30d then 1 end as new_contacts_30d,
        case when is_new_7d then 1 end as new_contacts_7d,
        case when lifecycle_stage = 'subscriber' then 1 end as subscribers,
        case when lifecycle_stage = 'lead' then 1 end as leads,
        case when lifecycle_stage = 'marketingqualifiedlead' then 1 end as marketing_qualified,
        case when lifecycle_stage = 'salesqualifiedlead' then 1 end as sales_qualified,
        case when lifecycle_stage = 'opportunity' then 1 end as opportunities,
        case when lifecycle_stage = 'customer' then 1 end as customers,
        case when lifecycle_stage = 'evangelist' then 1 end as evangelists,
        case
            when lifecycle_stage in (
                'subscriber',
                'lead',
                'marketingqualifiedlead',
                'salesqualifiedlead',
                'opportunity',
                'customer',
                'evangelist'
            )
                then null
            else 1
        end as other_lifecycle

    from contributions

),

final as (

    select
        period_start,
        column_name,
        null::varchar as entry,
        'sum' as how,
        source_dataset,
        source_key,
        source_page,
        null::varchar as counted,
        part::decimal(38, 18) as part

    from parts

    unpivot (
        part for column_name in (
            total_contacts,
            new_contacts_30d,
            new_contacts_7d,
            subscribers,
            leads,
            marketing_qualified,
            sales_qualified,
            opportunities,
            customers,
            evangelists,
            other_lifecycle
        )
    )

)

select * from final order by period_start, column_name, entry, how, source_dataset, source_key, counted, part
