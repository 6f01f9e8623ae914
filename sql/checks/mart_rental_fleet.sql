-- checks of mart_rental_fleet: the rows that break a rule.
--
-- reads: softbase_equipment, softbase_rental_lines, softbase_work_orders, softbase_invoices
--
-- Errors: the states add up to the fleet and the types to every state, and there are as many units as equipment has
-- identities; utilization is what they say, from 0 to 100; revenue is the sum of its days, counted again from the
-- invoices, and of its types; there are no more customers than open rental orders; a fleet has rental lines; a fiscal
-- year of which revenue is published has invoices; no number comes twice.
-- Warnings: open rental lines that name no unit of the fleet, lines that rent several units by a number these share, no
-- unit at all, a fleet or its rentals much smaller or larger than what was published last, revenue of the year that
-- fell far, a month that is not the sum of the days of mart_sales_daily, a dealer of whom nothing is new, and days that
-- have no row.

with

-- Import: one CTE per relation; only the columns used. Numbers are compared without case and padding; blank is null.

pseudo as (

    select lower(trim(number)) as number from pseudo_numbers

),

gone as (

    select lower(trim(number)) as number from excluded_units

),

equipment as (

    select
        softbase_equipment.snapshot_date,
        nullif(lower(trim(softbase_equipment.serial_no)), '')                     as serial_no,
        nullif(lower(trim(softbase_equipment.unit_no)), '')                       as unit_no

    from softbase_equipment

    inner join rental_departments on softbase_equipment.inventory_dept = rental_departments.inventory_dept

    where softbase_equipment.deleted_date is null and not coalesce(softbase_equipment.is_customers, false)

),

lines as (

    select
        snapshot_date,
        lower(trim(work_order_no))                                                as work_order_no,
        nullif(lower(trim(serial_no)), '')                                        as serial_no,
        nullif(lower(trim(unit_no)), '')                                          as unit_no,
        deleted_date

    from softbase_rental_lines

),

orders as (

    select
        snapshot_date,
        lower(trim(work_order_no))                                                as work_order_no,
        work_order_type,
        open_date,
        closed_date,
        deleted_date

    from softbase_work_orders

),

invoices as (

    select
        softbase_invoices.invoice_no,
        softbase_invoices.invoice_date,
        softbase_invoices.bill_to,
        softbase_invoices.ship_to,
        softbase_invoices.sale_branch,
        coalesce(softbase_invoices.rental_taxable, 0) + coalesce(softbase_invoices.rental_non_tax, 0) as rental_amount

    from softbase_invoices

    where softbase_invoices.deleted_date is null

),

-- Voided ones included.

register as (

    select invoice_date from softbase_invoices

),

sales as (

    select sales_date, rental_revenue from mart_sales_daily

),

objects as (

    select
        snapshot_date,
        -- Read as text: a JSON number becomes a binary fraction.
        regexp_extract_all(units_by_type::varchar, '"total": (\d+)', 1)           as totals,
        regexp_extract_all(units_by_type::varchar, '"rented": (\d+)', 1)          as rented,
        regexp_extract_all(units_by_type::varchar, '"available": (\d+)', 1)       as available,
        regexp_extract_all(units_by_type::varchar, '"maintenance": (\d+)', 1)     as maintenance,
        regexp_extract_all(units_by_type::varchar, '"other": (\d+)', 1)           as other,
        regexp_extract_all(units_by_type::varchar, '"utilization_rate": (-?\d+\.\d+)', 1)
                                                                                  as rates,
        regexp_extract_all(revenue_by_type::varchar, ': (-?\d+\.\d\d)', 1)        as revenue

    from mart

),

-- Logic: the fleet and its rentals, counted again.

fleet as (

    select
        equipment.snapshot_date,
        coalesce(equipment.serial_no, equipment.unit_no)                          as unit_key,
        equipment.serial_no,
        equipment.unit_no

    from equipment

    anti join pseudo on coalesce(equipment.serial_no, equipment.unit_no) = pseudo.number

    anti join gone as gone_by_serial on equipment.serial_no = gone_by_serial.number

    anti join gone as gone_by_unit on equipment.unit_no = gone_by_unit.number

    where coalesce(equipment.serial_no, equipment.unit_no) is not null

),

identities as (

    select
        fleet.snapshot_date,
        count(distinct fleet.unit_key)                                            as units

    from fleet

    group by fleet.snapshot_date

),

open_orders as (

    select
        orders.snapshot_date,
        orders.work_order_no

    from orders

    anti join excluded_work_orders on same_key(orders.work_order_no, excluded_work_orders.work_order_no)

    where
        orders.deleted_date is null
        and same_key(orders.work_order_type, 'R')
        and orders.work_order_no not like '9%'
        and coalesce(orders.open_date, orders.snapshot_date) <= orders.snapshot_date
        and (orders.closed_date > orders.snapshot_date) is not false

),

order_counts as (

    select
        open_orders.snapshot_date,
        count(distinct open_orders.work_order_no)                                 as orders

    from open_orders

    group by open_orders.snapshot_date

),

line_counts as (

    select
        lines.snapshot_date,
        count(*)                                                                  as all_lines

    from lines

    group by lines.snapshot_date

),

open_lines as (

    select
        lines.snapshot_date,
        lines.work_order_no,
        lines.serial_no,
        lines.unit_no

    from lines

    semi join open_orders
        on lines.snapshot_date = open_orders.snapshot_date
        and lines.work_order_no = open_orders.work_order_no

    anti join pseudo on coalesce(lines.serial_no, lines.unit_no) = pseudo.number

    where lines.deleted_date is null and coalesce(lines.serial_no, lines.unit_no) is not null

),

units_of_number as (

    select
        fleet.snapshot_date,
        fleet.unit_no,
        count(distinct fleet.unit_key)                                            as units

    from fleet

    where fleet.unit_no is not null

    group by fleet.snapshot_date, fleet.unit_no

),

serials as (

    select fleet.snapshot_date, fleet.serial_no from fleet where fleet.serial_no is not null group by all

),

matched_lines as (

    select
        open_lines.snapshot_date,
        open_lines.work_order_no,
        coalesce(open_lines.serial_no, open_lines.unit_no)                        as number,
        case
            when open_lines.serial_no is null then coalesce(units_of_number.units, 0)
            when serials.serial_no is null then 0
            else 1
        end                                                                       as units

    from open_lines

    left join serials
        on open_lines.snapshot_date = serials.snapshot_date
        and open_lines.serial_no = serials.serial_no

    left join units_of_number
        on open_lines.snapshot_date = units_of_number.snapshot_date
        and open_lines.unit_no = units_of_number.unit_no

),

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

-- The days as mart_sales_daily stores them.

days as (

    select
        invoices.invoice_date,
        sum(invoices.rental_amount)::decimal(18, 2)                               as rental_revenue

    from invoices

    cross join settings

    anti join left_out on invoices.invoice_no = left_out.invoice_no

    left join excluded_months
        on year(invoices.invoice_date) = year(excluded_months.month_start)
        and month(invoices.invoice_date) = month(excluded_months.month_start)

    where
        excluded_months.month_start is null
        and invoices.invoice_date >= coalesce(settings.data_start_date, invoices.invoice_date)

    group by invoices.invoice_date

),

revenue as (

    select
        periods.period_start                                                      as period,
        coalesce(sum(days.rental_revenue) filter (
            where year(days.invoice_date) = year(periods.period_start)
            and month(days.invoice_date) = month(periods.period_start)
        ), 0)                                                                     as month_to_date,
        coalesce(sum(days.rental_revenue), 0)                                     as year_to_date

    from periods

    cross join settings

    -- Months from the first of the fiscal year to the day's own: none, up to eleven.
    left join days
        on days.invoice_date <= periods.period_start
        and 12 * (year(periods.period_start) - year(days.invoice_date))
            + month(periods.period_start) - month(days.invoice_date)
            <= (month(periods.period_start) - settings.fiscal_year_start_month + 12) % 12

    group by periods.period_start

),

repeated_invoices as (

    select
        lower(trim(invoices.invoice_no))                                          as invoice_no,
        count(*)                                                                  as times

    from invoices

    group by all

    having count(*) > 1

),

last_published as (

    select
        mart.snapshot_date,
        max(published.snapshot_date)                                              as published_date

    from mart

    inner join published on published.snapshot_date <= mart.snapshot_date

    group by mart.snapshot_date

),

-- The same within the fiscal year: months from its first to the day's own are none, up to eleven.

last_of_year as (

    select
        mart.snapshot_date,
        max(published.snapshot_date)                                              as published_date

    from mart

    cross join settings

    inner join published
        on published.snapshot_date <= mart.snapshot_date
        and 12 * (year(mart.snapshot_date) - year(published.snapshot_date))
            + month(mart.snapshot_date) - month(published.snapshot_date)
            <= (month(mart.snapshot_date) - settings.fiscal_year_start_month + 12) % 12

    group by mart.snapshot_date

),

years_with_invoices as (

    select mart.snapshot_date

    from mart

    cross join settings

    inner join register
        on register.invoice_date <= mart.snapshot_date
        and 12 * (year(mart.snapshot_date) - year(register.invoice_date))
            + month(mart.snapshot_date) - month(register.invoice_date)
            <= (month(mart.snapshot_date) - settings.fiscal_year_start_month + 12) % 12

    group by mart.snapshot_date

),

months_of_sales as (

    select
        mart.snapshot_date,
        count(*)                                                                  as days,
        sum(sales.rental_revenue)                                                 as rental_revenue

    from mart

    cross join settings

    inner join sales
        on sales.sales_date <= mart.snapshot_date
        and sales.sales_date >= greatest(date_trunc('month', mart.snapshot_date)::date, settings.data_start_date)

    group by mart.snapshot_date

),

-- Findings: one CTE per rule.

states_and_total as (

    select
        'states_and_total'                                                        as rule,
        'error'                                                                   as severity,
        mart.snapshot_date                                                        as period,
        mart.rented_units || ' rented, ' || mart.available_units || ' available, ' || mart.maintenance_units
            || ' under maintenance and '
            || coalesce(list_sum(list_transform(objects.other, lambda text: text::bigint)), 0) || ' others are not '
            || mart.total_units || ' units'                                         as detail

    from mart

    inner join objects on mart.snapshot_date = objects.snapshot_date

    where
        mart.rented_units + mart.available_units + mart.maintenance_units
            + coalesce(list_sum(list_transform(objects.other, lambda text: text::bigint)), 0) <> mart.total_units
        or least(mart.rented_units, mart.available_units, mart.maintenance_units, mart.total_units) < 0
        or mart.rented_units > mart.total_units

),

types_and_states as (

    select
        'types_and_states'                                                        as rule,
        'error'                                                                   as severity,
        mart.snapshot_date                                                        as period,
        'the types ' || mart.units_by_type || ' are not ' || mart.total_units || ' units, '
            || mart.rented_units || ' rented, ' || mart.available_units || ' available, '
            || mart.maintenance_units || ' under maintenance'                     as detail

    from mart

    inner join objects on mart.snapshot_date = objects.snapshot_date

    where
        coalesce(list_sum(list_transform(objects.totals, lambda text: text::bigint)), 0) <> mart.total_units
        or coalesce(list_sum(list_transform(objects.rented, lambda text: text::bigint)), 0) <> mart.rented_units
        or coalesce(list_sum(list_transform(objects.available, lambda text: text::bigint)), 0) <> mart.available_units
        or coalesce(list_sum(list_transform(objects.maintenance, lambda text: text::bigint)), 0)
            <> mart.maintenance_units

),

units_and_equipment as (

    select
        'units_and_equipment'                                                     as rule,
        'error'                                                                   as severity,
        mart.snapshot_date                                                        as period,
        mart.total_units || ' units, and ' || coalesce(identities.units, 0) || ' in the equipment' as detail

    from mart

    left join identities on mart.snapshot_date = identities.snapshot_date

    where mart.total_units <> coalesce(identities.units, 0)

),

utilization as (

    select
        'utilization'                                                             as rule,
        'error'                                                                   as severity,
        mart.snapshot_date                                                        as period,
        'utilization_rate ' || coalesce(mart.utilization_rate::varchar, 'null') || ' of ' || mart.rented_units
            || ' rented of ' || mart.total_units                                  as detail

    from mart

    where mart.utilization_rate is distinct from coalesce(pct(mart.rented_units, mart.total_units), 0)

),

ranges as (

    select
        'range'                                                                   as rule,
        'error'                                                                   as severity,
        mart.snapshot_date                                                        as period,
        'utilization_rate ' || coalesce(mart.utilization_rate::varchar, 'null') || ', by type '
            || array_to_string(objects.rates, ', ') || ': a share of units is between 0 and 100'
                                                                                  as detail

    from mart

    inner join objects on mart.snapshot_date = objects.snapshot_date

    where
        mart.utilization_rate < 0
        or mart.utilization_rate > 100
        or list_min(list_transform(objects.rates, lambda text: text::decimal(18, 2))) < 0
        or list_max(list_transform(objects.rates, lambda text: text::decimal(18, 2))) > 100

),

revenue_and_days as (

    select
        'revenue_and_days'                                                        as rule,
        'error'                                                                   as severity,
        mart.snapshot_date                                                        as period,
        'rental revenue ' || mart.rental_revenue_mtd || ' of the month and ' || mart.rental_revenue_ytd
            || ' of the year, and their days come to ' || revenue.month_to_date || ' and ' || revenue.year_to_date
                                                                                  as detail

    from mart

    inner join revenue on mart.snapshot_date = revenue.period

    where
        mart.rental_revenue_mtd <> revenue.month_to_date
        or mart.rental_revenue_ytd <> revenue.year_to_date

),

revenue_and_types as (

    select
        'revenue_and_types'                                                       as rule,
        'error'                                                                   as severity,
        mart.snapshot_date                                                        as period,
        'the types ' || mart.revenue_by_type || ' are not the month''s ' || mart.rental_revenue_mtd as detail

    from mart

    inner join objects on mart.snapshot_date = objects.snapshot_date

    where
        coalesce(list_sum(list_transform(objects.revenue, lambda text: text::decimal(18, 2))), 0)
        <> mart.rental_revenue_mtd

),

customers_and_orders as (

    select
        'customers_and_orders'                                                    as rule,
        'error'                                                                   as severity,
        mart.snapshot_date                                                        as period,
        mart.active_rental_customers || ' customers with a unit on rent, and ' || coalesce(order_counts.orders, 0)
            || ' open rental orders'                                              as detail

    from mart

    left join order_counts on mart.snapshot_date = order_counts.snapshot_date

    where
        mart.active_rental_customers > coalesce(order_counts.orders, 0)
        or mart.active_rental_customers < 0

),

lines_missing as (

    select
        'no_rental_lines'                                                         as rule,
        'error'                                                                   as severity,
        mart.snapshot_date                                                        as period,
        mart.total_units || ' units, and the source gave not one rental line, open or closed' as detail

    from mart

    left join line_counts on mart.snapshot_date = line_counts.snapshot_date

    where mart.total_units > 0 and line_counts.all_lines is null

),

invoices_twice as (

    select
        'invoice_twice'                                                           as rule,
        'error'                                                                   as severity,
        null::date                                                                as period,
        'invoice ' || repeated_invoices.invoice_no || ' comes ' || repeated_invoices.times || ' times in the register'
                                                                                  as detail

    from repeated_invoices

),

work_orders_twice as (

    select
        'work_order_twice'                                                        as rule,
        'error'                                                                   as severity,
        orders.snapshot_date                                                      as period,
        'work order ' || orders.work_order_no || ' comes ' || count(*) || ' times' as detail

    from orders

    semi join periods on orders.snapshot_date = periods.period_start

    group by orders.snapshot_date, orders.work_order_no

    having count(*) > 1

),

lines_without_unit as (

    select
        'lines_without_unit'                                                      as rule,
        'warning'                                                                 as severity,
        matched_lines.snapshot_date                                               as period,
        count(*) || ' open rental lines name no unit of the fleet: ' || array_to_string(
            list(
                matched_lines.number || ' on ' || matched_lines.work_order_no
                order by matched_lines.work_order_no, matched_lines.number
            )[1:5], ', '
        ) || case when count(*) > 5 then ', …' else '' end                        as detail

    from matched_lines

    semi join periods on matched_lines.snapshot_date = periods.period_start

    where matched_lines.units = 0

    group by matched_lines.snapshot_date

),

shared_numbers as (

    select
        'shared_numbers'                                                          as rule,
        'warning'                                                                 as severity,
        matched_lines.snapshot_date                                               as period,
        count(*) || ' open rental lines without a serial rent several units at once: ' || array_to_string(
            list(
                matched_lines.number || ' (' || matched_lines.units || ') on ' || matched_lines.work_order_no
                order by matched_lines.work_order_no, matched_lines.number
            )[1:5], ', '
        ) || case when count(*) > 5 then ', …' else '' end                        as detail

    from matched_lines

    semi join periods on matched_lines.snapshot_date = periods.period_start

    where matched_lines.units > 1

    group by matched_lines.snapshot_date

),

no_fleet as (

    select
        'no_fleet'                                                                as rule,
        'warning'                                                                 as severity,
        mart.snapshot_date                                                        as period,
        'no equipment is the rental fleet''s: see departments in [org.softbase.rental]' as detail

    from mart

    where mart.total_units = 0

),

volume as (

    select
        'volume'                                                                  as rule,
        'warning'                                                                 as severity,
        mart.snapshot_date                                                        as period,
        mart.total_units || ' units and ' || mart.rented_units || ' rented where ' || published.total_units || ' and '
            || published.rented_units || ' are published of ' || published.snapshot_date as detail

    from mart

    inner join last_published on mart.snapshot_date = last_published.snapshot_date

    inner join published on last_published.published_date = published.snapshot_date

    cross join settings

    where
        (
            published.total_units >= 5
            and mart.total_units * 100::bigint < published.total_units * (100 - settings.drop_pct)
        )
        or (
            published.rented_units >= 5
            and mart.rented_units * 100::bigint < published.rented_units * (100 - settings.drop_pct)
        )

),

jumps as (

    select
        'jump'                                                                    as rule,
        'warning'                                                                 as severity,
        mart.snapshot_date                                                        as period,
        mart.total_units || ' units and ' || mart.rented_units || ' rented where ' || published.total_units || ' and '
            || published.rented_units || ' are published of ' || published.snapshot_date
                                                                                  as detail

    from mart

    inner join last_published on mart.snapshot_date = last_published.snapshot_date

    inner join published on last_published.published_date = published.snapshot_date

    cross join settings

    where
        (
            published.total_units >= 5
            and mart.total_units * 100::bigint > published.total_units * (100 + settings.jump_pct)
        )
        or (
            published.rented_units >= 5
            and mart.rented_units * 100::bigint > published.rented_units * (100 + settings.jump_pct)
        )

),

revenue_jumps as (

    select
        'jump'                                                                    as rule,
        'warning'                                                                 as severity,
        mart.snapshot_date                                                        as period,
        'rental revenue of the year is ' || mart.rental_revenue_ytd || ' where ' || published.rental_revenue_ytd
            || ' is published of ' || published.snapshot_date                     as detail

    from mart

    inner join last_of_year on mart.snapshot_date = last_of_year.snapshot_date

    inner join published on last_of_year.published_date = published.snapshot_date

    cross join settings

    -- From day to day a year grows by any share, and the same day by none.
    where
        published.rental_revenue_ytd <> 0
        and abs(mart.rental_revenue_ytd - published.rental_revenue_ytd) * 100
        > abs(published.rental_revenue_ytd) * settings.jump_pct
        and (
            mart.rental_revenue_ytd < published.rental_revenue_ytd
            or mart.snapshot_date = published.snapshot_date
        )

),

no_invoices as (

    select
        'no_invoices'                                                             as rule,
        'error'                                                                   as severity,
        mart.snapshot_date                                                        as period,
        'the register gave not one invoice of the fiscal year, and ' || published.rental_revenue_ytd
            || ' of rental revenue is published of ' || published.snapshot_date   as detail

    from mart

    inner join last_of_year on mart.snapshot_date = last_of_year.snapshot_date

    inner join published on last_of_year.published_date = published.snapshot_date

    anti join years_with_invoices on mart.snapshot_date = years_with_invoices.snapshot_date

    where published.rental_revenue_ytd <> 0

),

month_and_sales as (

    select
        'month_and_sales'                                                         as rule,
        'warning'                                                                 as severity,
        mart.snapshot_date                                                        as period,
        'rental revenue of the month is ' || mart.rental_revenue_mtd || ', and the days of mart_sales_daily come to '
            || months_of_sales.rental_revenue
            || ': the invoices have changed between the two; etl_sales_daily and etl_rental_fleet in one run agree'
                                                                                  as detail

    from mart

    inner join months_of_sales on mart.snapshot_date = months_of_sales.snapshot_date

    cross join settings

    -- Of a month that lacks a day there is nothing to compare: before the first night, or where sales are not filled.
    where
        months_of_sales.days = 1 + mart.snapshot_date
            - greatest(date_trunc('month', mart.snapshot_date)::date, settings.data_start_date)
        and mart.rental_revenue_mtd <> months_of_sales.rental_revenue

),

newest_orders as (

    select
        periods.period_start                                                      as period,
        max(
            greatest(
                case when orders.open_date <= periods.period_end then orders.open_date end,
                case when orders.closed_date <= periods.period_end then orders.closed_date end
            )
        )                                                                         as order_date

    from periods

    left join orders on periods.period_start = orders.snapshot_date

    group by periods.period_start

),

newest_invoices as (

    select
        periods.period_start                                                      as period,
        max(invoices.invoice_date)                                                as invoice_date

    from periods

    left join invoices on invoices.invoice_date <= periods.period_end

    group by periods.period_start

),

staleness as (

    select
        'stale'                                                                   as rule,
        'warning'                                                                 as severity,
        mart.snapshot_date                                                        as period,
        'the newest work order or invoice is of '
            || coalesce(greatest(newest_orders.order_date, newest_invoices.invoice_date)::varchar, 'no day at all')
                                                                                  as detail

    from mart

    inner join newest_orders on mart.snapshot_date = newest_orders.period

    inner join newest_invoices on mart.snapshot_date = newest_invoices.period

    cross join settings

    where
        mart.total_units > 0
        and (
            greatest(newest_orders.order_date, newest_invoices.invoice_date) + settings.stale_days > mart.snapshot_date
        ) is not true

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

    select rule, severity, period, detail from states_and_total

    union all

    select rule, severity, period, detail from types_and_states

    union all

    select rule, severity, period, detail from units_and_equipment

    union all

    select rule, severity, period, detail from utilization

    union all

    select rule, severity, period, detail from revenue_and_days

    union all

    select rule, severity, period, detail from revenue_and_types

    union all

    select rule, severity, period, detail from customers_and_orders

    union all

    select rule, severity, period, detail from lines_missing

    union all

    select rule, severity, period, detail from invoices_twice

    union all

    select rule, severity, period, detail from work_orders_twice

    union all

    select rule, severity, period, detail from lines_without_unit

    union all

    select rule, severity, period, detail from shared_numbers

    union all

    select rule, severity, period, detail from no_fleet

    union all

    select rule, severity, period, detail from volume

    union all

    select rule, severity, period, detail from ranges

    union all

    select rule, severity, period, detail from jumps

    union all

    select rule, severity, period, detail from revenue_jumps

    union all

    select rule, severity, period, detail from no_invoices

    union all

    select rule, severity, period, detail from month_and_sales

    union all

    select rule, severity, period, detail from staleness

    union all

    select rule, severity, period, detail from gap

)

select * from final order by severity, period, rule, detail
