-- mart_cash_flow: one row per month; cash, and what moved it, by the indirect method from the general ledger.
--
-- reads: softbase_gl, softbase_chart_of_accounts
--
-- operating_cash_flow is net income, depreciation added back, and what working capital took or gave;
-- operating + investing + financing + other is cash_change_mtd to the cent. Which account belongs where, how
-- depreciation is kept from counting twice, and how amounts below a cent are rounded so that the lines still add up,
-- say softbase_ledger and softbase_cash_effects in sql/shared.
-- cash_balance is the closing balance of the cash accounts, overdrafts included.
-- ar_change and inventory_change are changes of the balance: positive when it grew. ap_change is positive when more is
-- owed. What they did to cash is in the breakdown.
-- non_operating_breakdown holds what moved cash besides profit: entries {category, activity, amount, accounts}, where
-- amount is the effect on cash and accounts how many moved, and their summary by activity. Entries of zero are left
-- out.
-- health_status goes by operating_cash_flow and the thresholds of the settings: above the first healthy, above the
-- second warning, else critical. It is unknown while the month is open, when the movements of the month do not sum to
-- zero, and when no cash account has a row in the month.
-- A month before the first posting has zeros.

with

-- Import: one CTE per relation; only the columns used.

ledger as (

    select
        period_start,
        account_no,
        month_start,
        account_class,
        has_row,
        movement,
        balance

    from softbase_ledger

),

effects as (

    select
        period_start,
        account_no,
        month_start,
        category,
        activity,
        section,
        is_own,
        amount

    from softbase_cash_effects

),

-- Contributions: the ledger's rows with what they say of balances, and each effect on cash under its section. What
-- rounding takes has no row of the ledger, and no source_key.

contributions as (

    select
        period_start,
        'softbase_gl'                                               as source_dataset,
        account_no || ' ' || strftime(month_start, '%Y-%m')         as source_key,
        null::bigint                                                as source_page,
        null::varchar                                               as category,
        null::varchar                                               as activity,
        false                                                       as is_own,
        account_class = 'cash' and has_row                          as is_cash_row,
        movement                                                    as movement,
        case when account_class = 'cash' then balance end           as cash_balance,
        case when account_class = 'cash' then movement end          as cash_change,
        case when account_class = 'ar' then movement end            as ar_change,
        case when account_class = 'inventory' then movement end     as inventory_change,
        case when account_class = 'ap' then -movement end           as ap_change,
        null::decimal(38, 4)                                        as operating,
        null::decimal(38, 4)                                        as investing,
        null::decimal(38, 4)                                        as financing,
        null::decimal(38, 4)                                        as amount

    from ledger

    union all

    select
        period_start,
        'softbase_gl'                                               as source_dataset,
        account_no || ' ' || strftime(month_start, '%Y-%m')         as source_key,
        null::bigint                                                as source_page,
        category,
        activity,
        is_own,
        false                                                       as is_cash_row,
        null::decimal(38, 4)                                        as movement,
        null::decimal(38, 4)                                        as cash_balance,
        null::decimal(38, 4)                                        as cash_change,
        null::decimal(38, 4)                                        as ar_change,
        null::decimal(38, 4)                                        as inventory_change,
        null::decimal(38, 4)                                        as ap_change,
        case when section = 'operating' then amount end             as operating,
        case when section = 'investing' then amount end             as investing,
        case when section = 'financing' then amount end             as financing,
        amount

    from effects

),

categories as (

    select
        period_start,
        category,
        activity,
        sum(amount)::decimal(18, 2)                                 as amount,
        count(*) filter (where is_own)                              as account_count

    from contributions

    where activity in ('working_capital', 'investing', 'financing', 'other')

    group by period_start, category, activity

    having sum(amount)::decimal(18, 2) <> 0

),

entries as (

    select
        period_start,
        list(
            breakdown([
                ('accounts', account_count::varchar),
                ('activity', to_json(activity)::varchar),
                ('amount', amount::varchar),
                ('category', to_json(category)::varchar)
            ])::varchar
            order by activity, category
        )                                                           as entries

    from categories

    group by period_start

),

summaries as (

    select
        period_start,
        coalesce(sum(amount) filter (where activity = 'working_capital'), 0)::decimal(18, 2)
                                                                    as working_capital,
        coalesce(sum(amount) filter (where activity = 'investing'), 0)::decimal(18, 2)
                                                                    as investing,
        coalesce(sum(amount) filter (where activity = 'financing'), 0)::decimal(18, 2)
                                                                    as financing,
        coalesce(sum(amount) filter (where activity = 'other'), 0)::decimal(18, 2)
                                                                    as other

    from contributions

    group by period_start

),

breakdowns as (

    select
        summaries.period_start                                      as period_start,
        breakdown([
            ('entries', '[' || coalesce(array_to_string(entries.entries, ', '), '') || ']'),
            (
                'summary',
                breakdown([
                    ('financing', summaries.financing),
                    ('investing', summaries.investing),
                    ('other', summaries.other),
                    ('working_capital', summaries.working_capital)
                ])::varchar
            )
        ])                                                          as non_operating_breakdown

    from summaries

    left join entries on summaries.period_start = entries.period_start

),

totals as (

    select
        period_start,
        sum(movement)                                               as movement,
        bool_or(is_cash_row)                                        as has_cash_rows,
        sum(cash_balance)                                           as cash_balance,
        sum(cash_change)                                            as cash_change,
        sum(ar_change)                                              as ar_change,
        sum(inventory_change)                                       as inventory_change,
        sum(ap_change)                                              as ap_change,
        sum(operating)                                              as operating,
        sum(investing)                                              as investing,
        sum(financing)                                              as financing

    from contributions

    group by period_start

),

final as (

    select
        year(periods.period_start)::integer                         as year,
        month(periods.period_start)::integer                        as month,
        periods.period_end                                          as period_end,
        coalesce(totals.cash_balance, 0)::decimal(18, 2)            as cash_balance,
        coalesce(totals.cash_change, 0)::decimal(18, 2)             as cash_change_mtd,
        coalesce(totals.operating, 0)::decimal(18, 2)               as operating_cash_flow,
        coalesce(totals.ar_change, 0)::decimal(18, 2)               as ar_change,
        coalesce(totals.inventory_change, 0)::decimal(18, 2)        as inventory_change,
        coalesce(totals.ap_change, 0)::decimal(18, 2)               as ap_change,
        coalesce(totals.investing, 0)::decimal(18, 2)               as investing_cash_flow,
        coalesce(totals.financing, 0)::decimal(18, 2)               as financing_cash_flow,
        case
            when settings.as_of <= periods.period_end + ledger_settings.close_lag_days then 'unknown'
            when totals.movement is distinct from 0 or not totals.has_cash_rows then 'unknown'
            when coalesce(totals.operating, 0)::decimal(18, 2) > ledger_settings.healthy_above then 'healthy'
            when coalesce(totals.operating, 0)::decimal(18, 2) > ledger_settings.warning_above then 'warning'
            else 'critical'
        end::varchar                                                as health_status,
        coalesce(breakdowns.non_operating_breakdown, '{}'::json)    as non_operating_breakdown

    from periods

    cross join settings

    cross join ledger_settings

    -- A month before the first posting has no rows, and zeros.
    left join totals on periods.period_start = totals.period_start

    left join breakdowns on periods.period_start = breakdowns.period_start

)

select * from final order by year, month
