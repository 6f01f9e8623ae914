-- explain of mart_sales_daily: what each staged row brings to each number.
--
-- An invoice brings its amounts, and 1 to each count that it is in; a work order brings 1.

parts as (

    select
        sales_date as period_start,
        source_dataset,
        source_key,
        source_page,
        service_amount as service_revenue,
        parts_amount as parts_revenue,
        rental_amount as rental_revenue,
        equipment_amount as sales_revenue,
        total_amount as total_revenue,
        case when service_amount <> 0 then 1 end as service_invoices,
        case when parts_amount <> 0 then 1 end as parts_invoices,
        case when rental_amount <> 0 then 1 end as rental_invoices,
        case when equipment_amount <> 0 then 1 end as sales_invoices,
        case when total_amount is not null then 1 end as total_invoices,
        case when work_order_state = 'open' then 1 end as open_work_orders,
        case when work_order_state = 'closed' then 1 end as closed_work_orders

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
            service_revenue,
            parts_revenue,
            rental_revenue,
            sales_revenue,
            total_revenue,
            service_invoices,
            parts_invoices,
            rental_invoices,
            sales_invoices,
            total_invoices,
            open_work_orders,
            closed_work_orders
        )
    )

)

select * from final order by period_start, column_name, entry, how, source_dataset, source_key, counted, part
