-- explain of mart_crm_deals: what each staged row brings to each number.
--
-- A deal brings 1 and its amount. average_deal_size divides the amounts of won deals by 1 for each of them.

parts as (

    select
        snapshot_date as period_start,
        source_dataset,
        source_key,
        source_page,
        1 as total_deals,
        case when outcome = 'open' then 1 end as open_deals,
        case when outcome = 'won' then 1 end as won_deals,
        case when outcome = 'lost' then 1 end as lost_deals,
        case when outcome = 'open' then amount end as total_pipeline_value,
        case when outcome = 'won' then amount end as won_value,
        case when outcome = 'lost' then amount end as lost_value

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
            total_deals,
            open_deals,
            won_deals,
            lost_deals,
            total_pipeline_value,
            won_value,
            lost_value
        )
    )

    union all

    select
        snapshot_date as period_start,
        'average_deal_size' as column_name,
        null::varchar as entry,
        'numerator' as how,
        source_dataset,
        source_key,
        source_page,
        null::varchar as counted,
        amount::decimal(38, 18) as part

    from contributions

    where outcome = 'won' and amount is not null

    union all

    select
        snapshot_date as period_start,
        'average_deal_size' as column_name,
        null::varchar as entry,
        'denominator' as how,
        source_dataset,
        source_key,
        source_page,
        null::varchar as counted,
        1::decimal(38, 18) as part

    from contributions

    where outcome = 'won'

    union all

    select
        snapshot_date as period_start,
        'deals_by_stage' as column_name,
        stage_id || ' / count' as entry,
        'sum' as how,
        source_dataset,
        source_key,
        source_page,
        null::varchar as counted,
        1::decimal(38, 18) as part

    from contributions

    union all

    select
        snapshot_date as period_start,
        'deals_by_stage' as column_name,
        stage_id || ' / value' as entry,
        'sum' as how,
        source_dataset,
        source_key,
        source_page,
        null::varchar as counted,
        coalesce(amount, 0)::decimal(38, 18) as part

    from contributions

)

select * from final order by period_start, column_name, entry, how, source_dataset, source_key, counted, part
