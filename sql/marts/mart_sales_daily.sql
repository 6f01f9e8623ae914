-- mart_sales_daily: one row per sales_date; what a dealer invoiced that day, by department, and its work orders.
--
-- reads: softbase_invoices, softbase_work_orders
--
-- A department is a kind of line inside the invoice (labour, parts, rental, equipment), so one invoice may count for
-- several departments, and their counts may exceed total_invoices. It counts for a department when its amount there is
-- not zero: a credit is an invoice too.
-- total_revenue is the invoices' grand totals without sales tax, which is owed and not earned; settings may keep it in.
-- It holds miscellaneous lines, which no department has: total less the four departments is miscellaneous revenue.
-- Where an invoice has no grand total, its ten line amounts stand for it. An amount that is null is no amount.
-- Voided invoices are out. So are the invoices of excluded customers, billed or served, and of excluded branches;
-- work orders know no such exclusion.
-- A work order is open on a day when it was opened by then and not closed by then, however long before the first
-- invoice that was; it is closed on its closing day only. Quotes (numbers that begin with 9), voided work orders and
-- those known to be corrupt are out. One without an opening day is never open, because nobody knows since when.

with

-- Import: one CTE per relation; only the columns used.

invoices as (

    select
        invoice_no,
        invoice_date,
        bill_to,
        ship_to,
        sale_branch,
        grand_total,
        coalesce(total_tax, 0)                                                    as tax_amount,
        coalesce(labor_taxable, 0) + coalesce(labor_non_tax, 0)                   as service_amount,
        coalesce(parts_taxable, 0) + coalesce(parts_non_tax, 0)                   as parts_amount,
        coalesce(rental_taxable, 0) + coalesce(rental_non_tax, 0)                 as rental_amount,
        coalesce(equipment_taxable, 0) + coalesce(equipment_non_tax, 0)           as equipment_amount,
        coalesce(misc_taxable, 0) + coalesce(misc_non_tax, 0)                     as misc_amount

    from softbase_invoices

    where deleted_date is null

),

work_orders as (

    select
        work_order_no,
        open_date,
        closed_date

    from softbase_work_orders

    where deleted_date is null and not starts_with(trim(work_order_no), '9')

),

tax as (

    select total_includes_tax from settings

),

-- Logic: what is left out, and what an invoice comes to.

counted_invoices as (

    select
        invoices.invoice_no,
        invoices.invoice_date,
        invoices.service_amount,
        invoices.parts_amount,
        invoices.rental_amount,
        invoices.equipment_amount,
        case
            when invoices.grand_total is not null and tax.total_includes_tax then invoices.grand_total
            when invoices.grand_total is not null then invoices.grand_total - invoices.tax_amount
            else
                invoices.service_amount
                + invoices.parts_amount
                + invoices.rental_amount
                + invoices.equipment_amount
                + invoices.misc_amount
                + case when tax.total_includes_tax then invoices.tax_amount else 0 end
        end                                                                       as total_amount

    from invoices

    cross join tax

    anti join excluded_customers as billed on same_key(invoices.bill_to, billed.customer_no)

    anti join excluded_customers as served on same_key(invoices.ship_to, served.customer_no)

    anti join excluded_branches on invoices.sale_branch = excluded_branches.branch

),

counted_work_orders as (

    select
        work_orders.work_order_no,
        work_orders.open_date,
        work_orders.closed_date

    from work_orders

    anti join excluded_work_orders on same_key(work_orders.work_order_no, excluded_work_orders.work_order_no)

),

-- Contributions: one row per invoice of the day, and per work order that is open or closed that day.

contributions as (

    select
        periods.period_start                                                      as sales_date,
        'softbase_invoices'                                                       as source_dataset,
        counted_invoices.invoice_no                                               as source_key,
        null::bigint                                                              as source_page,
        counted_invoices.service_amount                                           as service_amount,
        counted_invoices.parts_amount                                             as parts_amount,
        counted_invoices.rental_amount                                            as rental_amount,
        counted_invoices.equipment_amount                                         as equipment_amount,
        counted_invoices.total_amount                                             as total_amount,
        null                                                                      as work_order_state

    from periods

    inner join counted_invoices
        on counted_invoices.invoice_date >= periods.period_start
        and counted_invoices.invoice_date <= periods.period_end

    union all

    select
        periods.period_start                                                      as sales_date,
        'softbase_work_orders'                                                    as source_dataset,
        counted_work_orders.work_order_no                                         as source_key,
        null                                                                      as source_page,
        null                                                                      as service_amount,
        null                                                                      as parts_amount,
        null                                                                      as rental_amount,
        null                                                                      as equipment_amount,
        null                                                                      as total_amount,
        case
            when counted_work_orders.closed_date <= periods.period_end then 'closed'
            else 'open'
        end                                                                       as work_order_state

    from periods

    inner join counted_work_orders
        on (
            counted_work_orders.closed_date >= periods.period_start
            and counted_work_orders.closed_date <= periods.period_end
        )
        or (
            counted_work_orders.open_date <= periods.period_end
            and (counted_work_orders.closed_date is null or counted_work_orders.closed_date > periods.period_end)
        )

),

-- Final: the mart's columns, in the mart's order, cast to the mart's types. A day without records is a day of zeros.

final as (

    select
        periods.period_start                                                      as sales_date,
        year(periods.period_start)::integer                                       as year,
        month(periods.period_start)::integer                                      as month,
        dayofweek(periods.period_start)::integer                                  as day_of_week,
        coalesce(sum(contributions.service_amount), 0)::decimal(18, 2)            as service_revenue,
        coalesce(sum(contributions.parts_amount), 0)::decimal(18, 2)              as parts_revenue,
        coalesce(sum(contributions.rental_amount), 0)::decimal(18, 2)             as rental_revenue,
        coalesce(sum(contributions.equipment_amount), 0)::decimal(18, 2)          as sales_revenue,
        coalesce(sum(contributions.total_amount), 0)::decimal(18, 2)              as total_revenue,
        count(*) filter (where contributions.service_amount <> 0)::integer        as service_invoices,
        count(*) filter (where contributions.parts_amount <> 0)::integer          as parts_invoices,
        count(*) filter (where contributions.rental_amount <> 0)::integer         as rental_invoices,
        count(*) filter (where contributions.equipment_amount <> 0)::integer      as sales_invoices,
        count(contributions.total_amount)::integer                                as total_invoices,
        count(*) filter (where contributions.work_order_state = 'open')::integer  as open_work_orders,
        count(*) filter (where contributions.work_order_state = 'closed')::integer
            as closed_work_orders

    from periods

    left join contributions on periods.period_start = contributions.sales_date

    group by periods.period_start

)

select * from final order by sales_date
