-- explain of mart_case_metrics: what each staged row brings to each number.
--
-- A case brings 1 to each count and each group that it is in.

parts as (

    select
        snapshot_date as period_start,
        source_dataset,
        source_key,
        source_page,
        1 as total_cases,
        case when is_new then 1 end as new_cases_30d,
        case when is_closed then 1 end as closed_cases_30d

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
            total_cases,
            new_cases_30d,
            closed_cases_30d
        )
    )

    union all

    select
        snapshot_date as period_start,
        'cases_by_type' as column_name,
        type_label as entry,
        'sum' as how,
        source_dataset,
        source_key,
        source_page,
        null::varchar as counted,
        1::decimal(38, 18) as part

    from contributions

    where type_label is not null

    union all

    select
        snapshot_date as period_start,
        'cases_by_status' as column_name,
        status_label as entry,
        'sum' as how,
        source_dataset,
        source_key,
        source_page,
        null::varchar as counted,
        1::decimal(38, 18) as part

    from contributions

    where status_label is not null

    union all

    select
        snapshot_date as period_start,
        'cases_by_category' as column_name,
        category_label as entry,
        'sum' as how,
        source_dataset,
        source_key,
        source_page,
        null::varchar as counted,
        1::decimal(38, 18) as part

    from contributions

    where category_label is not null

)

select * from final order by period_start, column_name, entry, how, source_dataset, source_key, counted, part
