-- explain of mart_rental_fleet: what each staged row brings to each number.
--
-- A unit brings 1, a rental invoice its share of its day's cents, an order its customer, who counts once.
-- utilization_rate divides 100 for each unit on rent by 1 for each unit.

parts as (

    select
        snapshot_date as period_start,
        source_dataset,
        source_key,
        source_page,
        case when unit_state is not null then 1 end as total_units,
        case when unit_state = 'available' then 1 end as available_units,
        case when unit_state = 'rented' then 1 end as rented_units,
        case when unit_state = 'maintenance' then 1 end as maintenance_units,
        revenue_mtd as rental_revenue_mtd,
        revenue_ytd as rental_revenue_ytd

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
            total_units,
            available_units,
            rented_units,
            maintenance_units,
            rental_revenue_mtd,
            rental_revenue_ytd
        )
    )

    union all

    select
        snapshot_date as period_start,
        'utilization_rate' as column_name,
        null::varchar as entry,
        'numerator' as how,
        source_dataset,
        source_key,
        source_page,
        null::varchar as counted,
        100::decimal(38, 18) as part

    from contributions

    where unit_state = 'rented'

    union all

    select
        snapshot_date as period_start,
        'utilization_rate' as column_name,
        null::varchar as entry,
        'denominator' as how,
        source_dataset,
        source_key,
        source_page,
        null::varchar as counted,
        1::decimal(38, 18) as part

    from contributions

    where unit_state is not null

    union all

    select
        snapshot_date as period_start,
        'active_rental_customers' as column_name,
        null::varchar as entry,
        'distinct' as how,
        source_dataset,
        source_key,
        source_page,
        customer_no as counted,
        1::decimal(38, 18) as part

    from contributions

    where customer_no is not null

    union all

    select
        snapshot_date as period_start,
        'units_by_type' as column_name,
        unit_type || ' / total' as entry,
        'sum' as how,
        source_dataset,
        source_key,
        source_page,
        null::varchar as counted,
        1::decimal(38, 18) as part

    from contributions

    where unit_state is not null

    union all

    select
        snapshot_date as period_start,
        'units_by_type' as column_name,
        unit_type || ' / ' || unit_state as entry,
        'sum' as how,
        source_dataset,
        source_key,
        source_page,
        null::varchar as counted,
        1::decimal(38, 18) as part

    from contributions

    where unit_state is not null

    union all

    select
        snapshot_date as period_start,
        'units_by_type' as column_name,
        unit_type || ' / utilization_rate' as entry,
        'numerator' as how,
        source_dataset,
        source_key,
        source_page,
        null::varchar as counted,
        100::decimal(38, 18) as part

    from contributions

    where unit_state = 'rented'

    union all

    select
        snapshot_date as period_start,
        'units_by_type' as column_name,
        unit_type || ' / utilization_rate' as entry,
        'denominator' as how,
        source_dataset,
        source_key,
        source_page,
        null::varchar as counted,
        1::decimal(38, 18) as part

    from contributions

    where unit_state is not null

    union all

    select
        snapshot_date as period_start,
        'revenue_by_type' as column_name,
        unit_type as entry,
        'sum' as how,
        source_dataset,
        source_key,
        source_page,
        null::varchar as counted,
        revenue_mtd::decimal(38, 18) as part

    from contributions

    where revenue_mtd is not null

)

select * from final order by period_start, column_name, entry, how, source_dataset, source_key, counted, part
