-- mart_rental_fleet: one row per snapshot_date; a dealer's rental fleet as it stood at the end of that day.
--
-- reads: softbase_equipment, softbase_rental_lines, softbase_work_orders, softbase_invoices
--
-- The fleet is the equipment of the rental departments that is not deleted, not a customer's and not on the list of
-- units sold or moved. A unit is its serial number, else its unit number, and counts once however many rows, rental
-- lines and orders it has; where that number is a pseudo number, or there is none, there is no unit. Batteries and
-- chargers are units.
-- A unit is rented when a line of an open rental order names it: by its serial, or, where the line has no serial, by
-- its unit number, which rents every unit of that number. An order is open when it was opened by the day's end, is not
-- closed by then, not voided, no quote (9…) and not known to be corrupt. One without an opening day is open: that it
-- stands there open is what a snapshot can know. Blank and pseudo numbers of lines name nothing.
-- What is not rented is under maintenance when its status is Hold, available when it is Ready To Rent, else other.
-- Where the rows of one unit disagree, rented comes first, then maintenance, then available; allied, then battery.
-- utilization_rate is 0 for a fleet without units.
-- Rental revenue is that of mart_sales_daily: the sum of its days, each rounded to cents, over the month and over the
-- fiscal year, without excluded months and days before the data start. Every invoice has its share of its day's cents,
-- so that the types add up to the month. Its type is that of the equipment with its serial, wherever that stands and
-- even where its row is deleted, because units that are gone have earned too; unassigned where there is none.
-- A customer is who an order ships to, else who is billed. One with a unit on rent is active, unless it is internal.

with

-- Import: one CTE per relation; only the columns used. Numbers are compared without case and padding; blank is null.

equipment as (

    select
        snapshot_date,
        nullif(lower(trim(serial_no)), '')                                        as serial_no,
        nullif(lower(trim(unit_no)), '')                                          as unit_no,
        lower(concat_ws(' ', make, model))                                        as description,
        lower(trim(rental_status))                                                as rental_status,
        inventory_dept,
        deleted_date is null and is_customers is distinct from true               as may_be_fleet,
        deleted_date is null                                                      as is_standing

    from softbase_equipment

),

rental_lines as (

    select
        snapshot_date,
        nullif(lower(trim(work_order_no)), '')                                    as work_order_no,
        nullif(lower(trim(serial_no)), '')                                        as serial_no,
        nullif(lower(trim(unit_no)), '')                                          as unit_no

    from softbase_rental_lines

    where deleted_date is null

),

rental_orders as (

    select
        snapshot_date,
        lower(trim(work_order_no))                                                as work_order_no,
        coalesce(nullif(lower(trim(ship_to)), ''), nullif(lower(trim(bill_to)), '')) as customer_no

    from softbase_work_orders

    where
        deleted_date is null
        and same_key(work_order_type, 'R')
        and not starts_with(trim(work_order_no), '9')
        and (open_date is null or open_date <= snapshot_date)
        and (closed_date is null or closed_date > snapshot_date)

),

invoices as (

    select
        lower(trim(invoice_no))                                                   as invoice_no,
        invoice_date,
        nullif(lower(trim(serial_no)), '')                                        as serial_no,
        bill_to,
        ship_to,
        sale_branch,
        coalesce(rental_taxable, 0) + coalesce(rental_non_tax, 0)                 as rental_amount

    from softbase_invoices

    where deleted_date is null

),

words as (

    select
        list(lower(trim(word))) filter (where unit_type = 'allied')               as allied,
        list(lower(trim(word))) filter (where unit_type = 'battery_charger')      as battery_charger

    from unit_type_words

),

pseudo as (

    select lower(trim(number)) as number from pseudo_numbers

),

-- Logic: what type a machine is; by serial, for revenue.

machines as (

    select
        equipment.snapshot_date,
        equipment.serial_no,
        equipment.unit_no,
        coalesce(equipment.serial_no, equipment.unit_no)                          as unit_key,
        equipment.rental_status,
        equipment.inventory_dept,
        equipment.may_be_fleet,
        equipment.is_standing,
        case
            when allied_departments.inventory_dept is not null then 'allied'
            when len(list_filter(words.allied, lambda word: contains(equipment.description, word))) > 0
                then 'allied'
            when len(list_filter(words.battery_charger, lambda word: contains(equipment.description, word))) > 0
                then 'battery_charger'
            else 'forklift'
        end                                                                       as unit_type

    from equipment

    cross join words

    left join allied_departments on equipment.inventory_dept = allied_departments.inventory_dept

),

types_by_serial as (

    select
        machines.snapshot_date,
        machines.serial_no,
        coalesce(
            min(machines.unit_type) filter (where machines.is_standing), min(machines.unit_type)
        )                                                                         as unit_type

    from machines

    anti join pseudo on machines.serial_no = pseudo.number

    where machines.serial_no is not null

    group by machines.snapshot_date, machines.serial_no

),

-- Which rows are the fleet, and what rents them.

fleet as (

    select
        machines.snapshot_date,
        machines.unit_key,
        machines.serial_no,
        machines.unit_no,
        machines.rental_status,
        machines.unit_type

    from machines

    semi join rental_departments on machines.inventory_dept = rental_departments.inventory_dept

    anti join pseudo on machines.unit_key = pseudo.number

    anti join excluded_units as gone_by_serial on same_key(machines.serial_no, gone_by_serial.number)

    anti join excluded_units as gone_by_unit on same_key(machines.unit_no, gone_by_unit.number)

    where machines.may_be_fleet and machines.unit_key is not null

),

open_lines as (

    select
        rental_lines.snapshot_date,
        rental_lines.work_order_no,
        rental_orders.customer_no,
        rental_lines.serial_no,
        -- A line with a serial rents that serial only.
        case when rental_lines.serial_no is null then rental_lines.unit_no end    as unit_no

    from rental_lines

    inner join rental_orders
        on rental_lines.snapshot_date = rental_orders.snapshot_date
        and rental_lines.work_order_no = rental_orders.work_order_no

    anti join excluded_work_orders on same_key(rental_lines.work_order_no, excluded_work_orders.work_order_no)

    anti join pseudo on coalesce(rental_lines.serial_no, rental_lines.unit_no) = pseudo.number

),

rentals as (

    select
        fleet.snapshot_date,
        fleet.unit_key,
        open_lines.work_order_no,
        open_lines.customer_no

    from fleet

    inner join open_lines
        on fleet.snapshot_date = open_lines.snapshot_date
        and fleet.serial_no = open_lines.serial_no

    union all

    select
        fleet.snapshot_date,
        fleet.unit_key,
        open_lines.work_order_no,
        open_lines.customer_no

    from fleet

    inner join open_lines
        on fleet.snapshot_date = open_lines.snapshot_date
        and fleet.unit_no = open_lines.unit_no

),

rented_units as (

    select rentals.snapshot_date, rentals.unit_key from rentals group by all

),

-- One unit once, in one state.

units as (

    select
        fleet.snapshot_date,
        fleet.unit_key,
        min(fleet.unit_type)                                                      as unit_type,
        case
            when bool_or(rented_units.unit_key is not null) then 'rented'
            when bool_or(fleet.rental_status = 'hold') then 'maintenance'
            when bool_or(fleet.rental_status = 'ready to rent') then 'available'
            else 'other'
        end                                                                       as unit_state

    from fleet

    left join rented_units
        on fleet.snapshot_date = rented_units.snapshot_date
        and fleet.unit_key = rented_units.unit_key

    group by fleet.snapshot_date, fleet.unit_key

),

-- The orders that have a unit of the fleet on rent, with their customer, null where it is internal.

renting_orders as (

    select
        rentals.snapshot_date,
        rentals.work_order_no,
        case when internal_customers.customer_no is null then rentals.customer_no end as customer_no

    from rentals

    left join internal_customers on same_key(rentals.customer_no, internal_customers.customer_no)

    group by all

),

-- Rental revenue: the invoices that count, each with its share of its day's cents. A running total in cents grows by
-- whole cents only, and ends at the day's.

counted_invoices as (

    select
        invoices.invoice_no,
        invoices.invoice_date,
        invoices.serial_no,
        invoices.rental_amount,
        sum(invoices.rental_amount) over (
            partition by invoices.invoice_date
            order by invoices.invoice_no
            rows between unbounded preceding and current row
        )                                                                         as running_amount

    from invoices

    cross join settings

    anti join excluded_customers as billed on same_key(invoices.bill_to, billed.customer_no)

    anti join excluded_customers as served on same_key(invoices.ship_to, served.customer_no)

    anti join excluded_branches on invoices.sale_branch = excluded_branches.branch

    anti join excluded_months on date_trunc('month', invoices.invoice_date) = excluded_months.month_start

    where
        invoices.rental_amount <> 0
        and (settings.data_start_date is null or invoices.invoice_date >= settings.data_start_date)

),

rental_invoices as (

    select
        counted_invoices.invoice_no,
        counted_invoices.invoice_date,
        counted_invoices.serial_no,
        counted_invoices.running_amount::decimal(18, 2)
            - (counted_invoices.running_amount - counted_invoices.rental_amount)::decimal(18, 2) as rental_revenue

    from counted_invoices

),

years as (

    select
        periods.period_start,
        periods.period_end,
        date_trunc('month', periods.period_end)::date                             as month_start,
        make_date(
            year(periods.period_end)
            - case when month(periods.period_end) < settings.fiscal_year_start_month then 1 else 0 end,
            settings.fiscal_year_start_month,
            1
        )                                                                         as year_start

    from periods

    cross join settings

),

-- Contributions: one row per unit, per order that rents one, and per rental invoice of the fiscal year to date.

contributions as (

    select
        periods.period_start                                                      as snapshot_date,
        'softbase_equipment'                                                      as source_dataset,
        units.unit_key                                                            as source_key,
        null::bigint                                                              as source_page,
        units.unit_type                                                           as unit_type,
        units.unit_state                                                          as unit_state,
        null                                                                      as customer_no,
        null::decimal(18, 2)                                                      as revenue_mtd,
        null::decimal(18, 2)                                                      as revenue_ytd

    from periods

    inner join units on periods.period_start = units.snapshot_date

    union all

    select
        periods.period_start                                                      as snapshot_date,
        'softbase_work_orders'                                                    as source_dataset,
        renting_orders.work_order_no                                              as source_key,
        null                                                                      as source_page,
        null                                                                      as unit_type,
        null                                                                      as unit_state,
        renting_orders.customer_no                                                as customer_no,
        null                                                                      as revenue_mtd,
        null                                                                      as revenue_ytd

    from periods

    inner join renting_orders on periods.period_start = renting_orders.snapshot_date

    union all

    select
        years.period_start                                                        as snapshot_date,
        'softbase_invoices'                                                       as source_dataset,
        rental_invoices.invoice_no                                                as source_key,
        null                                                                      as source_page,
        coalesce(types_by_serial.unit_type, 'unassigned')                         as unit_type,
        null                                                                      as unit_state,
        null                                                                      as customer_no,
        case
            when rental_invoices.invoice_date >= years.month_start then rental_invoices.rental_revenue
        end                                                                       as revenue_mtd,
        rental_invoices.rental_revenue                                            as revenue_ytd

    from years

    inner join rental_invoices
        on rental_invoices.invoice_date >= years.year_start
        and rental_invoices.invoice_date <= years.period_end

    left join types_by_serial
        on years.period_start = types_by_serial.snapshot_date
        and rental_invoices.serial_no = types_by_serial.serial_no

),

-- By type: what the two objects hold.

units_of_type as (

    select
        contributions.snapshot_date,
        contributions.unit_type,
        count(*)                                                                  as total,
        count(*) filter (where contributions.unit_state = 'rented')               as rented,
        count(*) filter (where contributions.unit_state = 'available')            as available,
        count(*) filter (where contributions.unit_state = 'maintenance')          as maintenance,
        count(*) filter (where contributions.unit_state = 'other')                as other

    from contributions

    where contributions.unit_state is not null

    group by contributions.snapshot_date, contributions.unit_type

),

units_by_type as (

    select
        units_of_type.snapshot_date,
        breakdown(list((
            units_of_type.unit_type,
            breakdown([
                ('total', units_of_type.total::varchar),
                ('rented', units_of_type.rented::varchar),
                ('available', units_of_type.available::varchar),
                ('maintenance', units_of_type.maintenance::varchar),
                ('other', units_of_type.other::varchar),
                ('utilization_rate', pct(units_of_type.rented, units_of_type.total)::decimal(5, 2)::varchar)
            ])::varchar
        )))                                                                       as breakdown

    from units_of_type

    group by units_of_type.snapshot_date

),

revenue_of_type as (

    select
        contributions.snapshot_date,
        contributions.unit_type,
        sum(contributions.revenue_mtd)::decimal(18, 2)                            as revenue

    from contributions

    where contributions.revenue_mtd is not null

    group by contributions.snapshot_date, contributions.unit_type

),

revenue_by_type as (

    select
        revenue_of_type.snapshot_date,
        breakdown(list((revenue_of_type.unit_type, revenue_of_type.revenue)))     as breakdown

    from revenue_of_type

    group by revenue_of_type.snapshot_date

),

-- Final: the mart's columns, in the mart's order, cast to the mart's types.

final as (

    select
        periods.period_start                                                      as snapshot_date,
        year(periods.period_start)::integer                                       as year,
        month(periods.period_start)::integer                                      as month,
        count(contributions.unit_state)::integer                                  as total_units,
        count(*) filter (where contributions.unit_state = 'available')::integer   as available_units,
        count(*) filter (where contributions.unit_state = 'rented')::integer      as rented_units,
        count(*) filter (where contributions.unit_state = 'maintenance')::integer as maintenance_units,
        coalesce(
            pct(
                count(*) filter (where contributions.unit_state = 'rented'), count(contributions.unit_state)
            ), 0
        )::decimal(5, 2)                                                          as utilization_rate,
        coalesce(sum(contributions.revenue_mtd), 0)::decimal(18, 2)               as rental_revenue_mtd,
        coalesce(sum(contributions.revenue_ytd), 0)::decimal(18, 2)               as rental_revenue_ytd,
        coalesce(any_value(units_by_type.breakdown), '{}')::json                  as units_by_type,
        coalesce(any_value(revenue_by_type.breakdown), '{}')::json                as revenue_by_type,
        count(distinct contributions.customer_no)::integer                        as active_rental_customers

    from periods

    left join contributions on periods.period_start = contributions.snapshot_date

    left join units_by_type on periods.period_start = units_by_type.snapshot_date

    left join revenue_by_type on periods.period_start = revenue_by_type.snapshot_date

    group by periods.period_start

)

select * from final order by snapshot_date
