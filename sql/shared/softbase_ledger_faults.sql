-- softbase_ledger_faults: one row per rule that the ledger itself breaks; every mart computed from it reports them.
--
-- reads: softbase_gl, softbase_chart_of_accounts
--
-- Errors: no account that is cash, without which every figure of cash would be a zero that nobody gave; an account that
-- comes twice in a month, an amount that is missing, movements of a month that do not sum to zero, a month that is over
-- (close_lag_days included) and after the first posting without any row, and cash that does not roll forward: its
-- closing balance is not that of the row before and the movement.
-- Warnings: other accounts that do not roll forward, which a wrong start of the fiscal year looks like too; accounts
-- that no class matches; marks of depreciation outside profit and loss, which count for nothing; rows of months that
-- are none or are yet to come; and a month under way in which nothing is posted yet.
-- Rows of month 13 are regular. A month that begins on the day after as_of has begun when the night runs.
-- Retained earnings take up a year's profit without a movement in months 1 to 12, so equity need not roll into a new
-- fiscal year. Rows before the data start are not held against those after it.

with

-- Import: one CTE per relation; only the columns used.

ledger as (

    select
        period_start,
        year_start,
        account_no,
        account_type,
        account_class,
        is_classified,
        is_profit_and_loss,
        is_marked,
        has_row,
        movement,
        balance

    from softbase_ledger

),

gl as (

    select
        lower(trim(account_no))                                     as account_no,
        year,
        month,
        mtd,
        ytd

    from softbase_gl

),

-- Logic: rows with the one before.

rows_with_previous as (

    select
        account_no,
        make_date(year, month, 1)                                   as month_start,
        mtd,
        ytd,
        lag(make_date(year, month, 1)) over (partition by account_no order by year, month)
                                                                    as previous_month_start,
        lag(ytd) over (partition by account_no order by year, month)
                                                                    as previous_ytd

    from gl

    where month between 1 and 12 and year between 1900 and 9999

),

rolled as (

    select
        ledger.period_start                                         as period_start,
        ledger.account_no                                           as account_no,
        ledger.account_class                                        as account_class,
        rows_with_previous.ytd                                      as ytd,
        rows_with_previous.mtd                                      as mtd,
        case
            when ledger.is_profit_and_loss and rows_with_previous.previous_month_start < ledger.year_start then 0
            else rows_with_previous.previous_ytd
        end                                                         as brought_forward

    from ledger

    inner join rows_with_previous
        on ledger.account_no = rows_with_previous.account_no
        and ledger.period_start = rows_with_previous.month_start

    cross join settings

    where
        rows_with_previous.previous_month_start is not null
        and (
            settings.data_start_date is null
            or rows_with_previous.previous_month_start >= date_trunc('month', settings.data_start_date)
        )
        and not (ledger.account_class = 'equity' and rows_with_previous.previous_month_start < ledger.year_start)

),

months as (

    select
        periods.period_start                                        as period_start,
        periods.period_end                                          as period_end,
        count(ledger.account_no)                                    as account_count,
        count(*) filter (where ledger.has_row)                      as row_count,
        sum(ledger.movement)                                        as movement

    from periods

    left join ledger on periods.period_start = ledger.period_start

    group by periods.period_start, periods.period_end

),

accounts as (

    select
        gl.account_no                                               as account_no,
        arg_min(account_ranges.account_class, account_ranges.precedence)
                                                                    as account_class

    from gl

    left join account_ranges
        on substring(gl.account_no, 1, length(account_ranges.first_account))
        between account_ranges.first_account and account_ranges.last_account
        and length(gl.account_no) >= length(account_ranges.first_account)

    group by gl.account_no

),

-- The rules.

cash_missing as (

    select
        'no_cash'                                                   as rule,
        'error'                                                     as severity,
        null::date                                                  as period,
        'none of the ' || count(*) || ' accounts of the ledger, such as ' || min(account_no)
            || ', lies in the class cash of [org.softbase.ledger.accounts]: correct its ranges'
                                                                    as detail

    from accounts

    having count(*) > 0 and count(*) filter (where account_class = 'cash') = 0

),

rows_twice as (

    select
        'row_twice'                                                 as rule,
        'error'                                                     as severity,
        periods.period_start                                        as period,
        'account ' || gl.account_no || ' comes ' || count(*) || ' times'
                                                                    as detail

    from gl

    inner join periods on gl.year = year(periods.period_start) and gl.month = month(periods.period_start)

    group by periods.period_start, gl.account_no

    having count(*) > 1

),

amounts_missing as (

    select
        'amount_missing'                                            as rule,
        'error'                                                     as severity,
        period_start                                                as period,
        'the ledger has no amount for ' || count(*) || ' accounts, such as ' || min(account_no)
                                                                    as detail

    from ledger

    where movement is null or balance is null

    group by period_start

),

month_balances as (

    select
        'month_balance'                                             as rule,
        'error'                                                     as severity,
        period_start                                                as period,
        'the movements of the month sum to ' || movement || ', and double entry makes them zero'
                                                                    as detail

    from months

    where movement <> 0

),

empty_months as (

    select
        'month_without_rows'                                        as rule,
        'error'                                                     as severity,
        months.period_start                                         as period,
        'the ledger has no row in this month, and has rows before it'
                                                                    as detail

    from months

    cross join settings

    cross join ledger_settings

    where
        months.row_count = 0
        and months.account_count > 0
        and months.period_end + ledger_settings.close_lag_days < settings.as_of

),

stale as (

    select
        'stale'                                                     as rule,
        'warning'                                                   as severity,
        months.period_start                                         as period,
        'nothing is posted yet by ' || settings.as_of               as detail

    from months

    cross join settings

    cross join ledger_settings

    where
        months.row_count = 0
        and months.account_count > 0
        and months.period_end + ledger_settings.close_lag_days >= settings.as_of
        and months.period_start + settings.stale_days <= settings.as_of

),

roll_forward as (

    select
        'roll_forward'                                              as rule,
        case when bool_or(account_class = 'cash') then 'error' else 'warning' end
                                                                    as severity,
        period_start                                                as period,
        count(*) || ' accounts do not close at what they brought forward and moved: '
            || array_to_string(
                list_slice(
                    list(
                        account_no || ' at ' || ytd || ' from ' || brought_forward || ' and ' || mtd
                        order by account_class <> 'cash', account_no
                    ), 1, 3
                ), ', '
            )                                                       as detail

    from rolled

    where ytd <> brought_forward + mtd

    group by period_start

),

unclassified as (

    select
        account_no,
        max(account_type)                                           as account_type

    from ledger

    where not is_classified and (movement <> 0 or balance <> 0)

    group by account_no

),

unclassified_accounts as (

    select
        'unclassified'                                              as rule,
        'warning'                                                   as severity,
        null::date                                                  as period,
        'no class matches ' || count(*) || ' accounts, which go by their type in the chart: '
            || array_to_string(
                list_slice(list(account_no || ' ' || coalesce(account_type, '(none)') order by account_no), 1, 10), ', '
            )                                                       as detail

    from unclassified

    having count(*) > 0

),

marks as (

    select
        account_no,
        max(account_class)                                          as account_class

    from ledger

    where is_marked and not is_profit_and_loss

    group by account_no

),

marks_without_effect as (

    select
        'depreciation_mark'                                         as rule,
        'warning'                                                   as severity,
        null::date                                                  as period,
        count(*) || ' accounts marked as depreciation are not of profit and loss, so nothing of them is added back: '
            || array_to_string(list_slice(list(account_no || ' ' || account_class order by account_no), 1, 10), ', ')
                                                                    as detail

    from marks

    having count(*) > 0

),

odd_months as (

    select
        'odd_month'                                                 as rule,
        'warning'                                                   as severity,
        null::date                                                  as period,
        count(*) || ' rows of months that are none, such as ' || min(month) || ' of ' || arg_min(year, month)
                                                                    as detail

    from gl

    where month not between 1 and 13 or year not between 1900 and 9999

    having count(*) > 0

),

months_to_come as (

    select
        'odd_month'                                                 as rule,
        'warning'                                                   as severity,
        null::date                                                  as period,
        count(*) || ' rows of months after ' || any_value(settings.as_of) || ' are left out, such as account '
            || min(gl.account_no) || ' in ' || arg_min(gl.month, gl.account_no) || ' of '
            || arg_min(gl.year, gl.account_no)                      as detail

    from gl

    cross join settings

    where
        gl.month between 1 and 12
        and gl.year between 1900 and 9999
        and gl.year * 100 + gl.month > year(settings.as_of + 1) * 100 + month(settings.as_of + 1)

    having count(*) > 0

),

final as (

    select rule, severity, period, detail from cash_missing

    union all

    select rule, severity, period, detail from rows_twice

    union all

    select rule, severity, period, detail from amounts_missing

    union all

    select rule, severity, period, detail from month_balances

    union all

    select rule, severity, period, detail from empty_months

    union all

    select rule, severity, period, detail from stale

    union all

    select rule, severity, period, detail from roll_forward

    union all

    select rule, severity, period, detail from unclassified_accounts

    union all

    select rule, severity, period, detail from marks_without_effect

    union all

    select rule, severity, period, detail from odd_months

    union all

    select rule, severity, period, detail from months_to_come

)

select * from final order by severity, period, rule, detail
