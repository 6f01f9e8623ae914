-- checks of mart_sales_daily: the rows that break a rule.
--
-- reads: softbase_invoices, softbase_work_orders
--
-- Errors: total_revenue less the four departments is what the invoices' miscellaneous lines and unexplained differences
-- come to; counts are not negative, and no department counts more invoices than there are; no number comes twice; a
-- register without any invoice is not that of days of which invoices are published.
-- Warnings: invoices whose lines and tax are not their grand total, invoices left out by the settings, a day that lost
-- many of the invoices published for it or whose revenue moved far, a register in which nothing is new, and days that
-- have no row.

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
        coalesce(labor_taxable, 0) + coalesce(labor_non_tax, 0)
            + coalesce(parts_taxable, 0) + coalesce(parts_non_tax, 0)
            + coalesce(rental_taxable, 0) + coalesce(rental_non_tax, 0)
            + coalesce(equipment_taxable, 0) + coalesce(equipment_non_tax, 0)     as department_amount,
        coalesce(misc_taxable, 0) + coalesce(misc_non_tax, 0)                     as misc_amount

    from softbase_invoices

    where deleted_date is null

),

-- Voided ones included.

register as (

    select count(*) as invoices from softbase_invoices

),

work_orders as (

    select work_order_no from softbase_work_orders

),

-- Logic: the invoices of the periods, and which of them the settings leave out.

left_out as (

    select invoices.invoice_no

    from invoices

    left join excluded_customers
        on same_key(invoices.bill_to, excluded_customers.customer_no)
        or same_key(invoices.ship_to, excluded_customers.customer_no)

    left join excluded_branches on invoices.sale_branch = excluded_branches.branch

    where excluded_customers.customer_no is not null or excluded_branches.branch is not null

    group by invoices.invoice_no

),

all_invoices as (

    select
        periods.period_start                                                      as period,
        invoices.invoice_no                                                       as invoice_no,
        invoices.grand_total                                                      as grand_total,
        invoices.tax_amount                                                       as tax_amount,
        invoices.department_amount                                                as department_amount,
        invoices.misc_amount                                                      as misc_amount,
        invoices.department_amount + invoices.misc_amount                         as line_amount,
        -- What the grand total says beyond the lines and the tax.
        coalesce(
            invoices.grand_total - invoices.department_amount - invoices.misc_amount - invoices.tax_amount, 0
        )                                                                         as difference,
        left_out.invoice_no is not null                                           as is_left_out

    from periods

    inner join invoices
        on invoices.invoice_date >= periods.period_start
        and invoices.invoice_date <= periods.period_end

    left join left_out on invoices.invoice_no = left_out.invoice_no

),

counted as (

    select
        all_invoices.period                                                       as period,
        count(*)                                                                  as invoices,
        sum(
            all_invoices.misc_amount
            + all_invoices.difference
            + case when settings.total_includes_tax then all_invoices.tax_amount else 0 end
        )                                                                         as remainder

    from all_invoices

    cross join settings

    where not all_invoices.is_left_out

    group by all_invoices.period

),

repeated as (

    select lower(trim(invoices.invoice_no)) as invoice_no from invoices group by all having count(*) > 1

),

-- Findings: one CTE per rule.

parts_and_total as (

    select
        'parts_and_total'                                                         as rule,
        'error'                                                                   as severity,
        mart.sales_date                                                           as period,
        'total_revenue ' || mart.total_revenue || ' less the departments '
            || (mart.service_revenue + mart.parts_revenue + mart.rental_revenue + mart.sales_revenue)
            || ' is not the remainder of the invoices, ' || coalesce(counted.remainder, 0)
                                                                                  as detail

    from mart

    left join counted on mart.sales_date = counted.period

    -- Five columns are rounded, each by half a cent at most.
    where abs(
        mart.total_revenue
        - mart.service_revenue
        - mart.parts_revenue
        - mart.rental_revenue
        - mart.sales_revenue
        - coalesce(counted.remainder, 0)
    ) > 0.025

),

counts as (

    select
        'counts'                                                                  as rule,
        'error'                                                                   as severity,
        mart.sales_date                                                           as period,
        'of ' || mart.total_invoices || ' invoices, ' || coalesce(counted.invoices, 0) || ' in the register, '
            || mart.service_invoices || ' are service, '
            || mart.parts_invoices || ' parts, ' || mart.rental_invoices || ' rental, ' || mart.sales_invoices
            || ' sales; work orders: ' || mart.open_work_orders || ' open, ' || mart.closed_work_orders || ' closed'
                                                                                  as detail

    from mart

    left join counted on mart.sales_date = counted.period

    where
        greatest(mart.service_invoices, mart.parts_invoices, mart.rental_invoices, mart.sales_invoices)
        > mart.total_invoices
        or least(
            mart.service_invoices,
            mart.parts_invoices,
            mart.rental_invoices,
            mart.sales_invoices,
            mart.open_work_orders,
            mart.closed_work_orders
        ) < 0
        or mart.total_invoices <> coalesce(counted.invoices, 0)

),

invoices_twice as (

    select
        'invoice_twice'                                                           as rule,
        'error'                                                                   as severity,
        all_invoices.period                                                       as period,
        'invoice ' || lower(trim(all_invoices.invoice_no)) || ' comes more than once in the register'
                                                                                  as detail

    from all_invoices

    semi join repeated on same_key(all_invoices.invoice_no, repeated.invoice_no)

    group by all

),

work_orders_twice as (

    select
        'work_order_twice'                                                        as rule,
        'error'                                                                   as severity,
        null::date                                                                as period,
        'work order ' || lower(trim(work_orders.work_order_no)) || ' comes ' || count(*) || ' times'
                                                                                  as detail

    from work_orders

    group by lower(trim(work_orders.work_order_no))

    having count(*) > 1

),

lines_and_total as (

    select
        'lines_and_total'                                                         as rule,
        'warning'                                                                 as severity,
        all_invoices.period                                                       as period,
        count(*) || ' invoices whose lines and tax are not their grand total: ' || array_to_string(
            list(
                all_invoices.invoice_no || ' by ' || all_invoices.difference order by all_invoices.invoice_no
            )[1:5], ', '
        ) || case when count(*) > 5 then ', …' else '' end                        as detail

    from all_invoices

    where abs(all_invoices.difference) > 0.01 and not all_invoices.is_left_out

    group by all_invoices.period

),

exclusions as (

    select
        'excluded_invoices'                                                       as rule,
        'warning'                                                                 as severity,
        null::date                                                                as period,
        count(*) || ' invoices of excluded customers or branches are left out, '
            || sum(coalesce(all_invoices.grand_total - all_invoices.tax_amount, all_invoices.line_amount))
            || ' without tax'                                                     as detail

    from all_invoices

    where all_invoices.is_left_out

    having count(*) > 0

),

no_invoices as (

    select
        'no_invoices'                                                             as rule,
        'error'                                                                   as severity,
        null::date                                                                as period,
        'the register gave not one invoice, and ' || sum(published.total_invoices) || ' are published of '
            || min(published.sales_date) || ' to ' || max(published.sales_date)   as detail

    from mart

    inner join published on mart.sales_date = published.sales_date

    cross join register

    where register.invoices = 0

    -- A handful may have been taken out of the register one by one.
    having sum(published.total_invoices) >= 5

),

volume as (

    select
        'volume'                                                                  as rule,
        'warning'                                                                 as severity,
        mart.sales_date                                                           as period,
        mart.total_invoices || ' invoices where ' || published.total_invoices || ' are published'
                                                                                  as detail

    from mart

    inner join published on mart.sales_date = published.sales_date

    cross join settings

    where
        published.total_invoices >= 5
        and mart.total_invoices * 100::bigint < published.total_invoices * (100 - settings.drop_pct)

),

newest as (

    select max(invoices.invoice_date) filter (where invoices.invoice_date <= settings.as_of) as invoice_date

    from invoices

    cross join settings

),

staleness as (

    select
        'stale'                                                                   as rule,
        'warning'                                                                 as severity,
        null::date                                                                as period,
        'the newest invoice is of ' || coalesce(newest.invoice_date::varchar, 'no day at all')
            || ', and the last day reported is ' || max(periods.period_end)       as detail

    from periods

    cross join newest

    cross join settings

    group by newest.invoice_date, settings.stale_days

    having newest.invoice_date is null or newest.invoice_date + settings.stale_days <= max(periods.period_end)

),

jumps as (

    select
        'jump'                                                                    as rule,
        'warning'                                                                 as severity,
        mart.sales_date                                                           as period,
        'total_revenue is ' || mart.total_revenue || ' where ' || published.total_revenue || ' is published'
                                                                                  as detail

    from mart

    inner join published on mart.sales_date = published.sales_date

    cross join settings

    -- A handful of invoices moves by any share, and what went with its invoices is said of those.
    where
        published.total_invoices >= 5
        and mart.total_invoices * 100::bigint >= published.total_invoices * (100 - settings.drop_pct)
        and published.total_revenue <> 0
        and abs(mart.total_revenue - published.total_revenue) * 100
        > abs(published.total_revenue) * settings.jump_pct

),

gap as (

    select
        'gap'                                                                     as rule,
        'warning'                                                                 as severity,
        null::date                                                                as period,
        'no row is published of ' || count(*) || ' days before the first of this run, from '
            || min(missing_periods.period_start) || ' to ' || max(missing_periods.period_start)
            || ': --from and --to restate what the source, or staging, still has' as detail

    from missing_periods

    having count(*) > 0

),

final as (

    select rule, severity, period, detail from parts_and_total

    union all

    select rule, severity, period, detail from counts

    union all

    select rule, severity, period, detail from invoices_twice

    union all

    select rule, severity, period, detail from work_orders_twice

    union all

    select rule, severity, period, detail from lines_and_total

    union all

    select rule, severity, period, detail from exclusions

    union all

    select rule, severity, period, detail from no_invoices

    union all

    select rule, severity, period, detail from volume

    union all

    select rule, severity, period, detail from staleness

    union all

    select rule, severity, period, detail from jumps

    union all

    select rule, severity, period, detail from gap

)

select * from final order by severity, period, rule, detail
