-- checks of mart_financial_metrics.softbase: the rows that break a rule.
--
-- reads: softbase_gl, softbase_chart_of_accounts
--
-- Errors: what the ledger itself breaks (softbase_ledger_faults in sql/shared); revenue less expenses that is not net
-- income; assets that are not liabilities and equity, to the cent and below it; a margin that is not gross profit over
-- income.
-- Warnings: a margin that its column cannot hold or that is above 100, a closed month that moved far from what is
-- published, an open one that lost much of it, and months that have no row.

with

-- Import: one CTE per relation; only the columns used.

placeless as (

    select
        period_start,
        sum(balance)                                                as balance,
        min(account_no)                                             as account_no

    from softbase_ledger

    where account_class = 'unknown'

    group by period_start

),

income as (

    select
        period_start,
        -sum(movement) filter (where account_class = 'revenue')     as income,
        -sum(movement)                                              as gross_profit

    from softbase_ledger

    where account_class in ('revenue', 'cogs')

    group by period_start

    having count(*) filter (where account_class = 'revenue') > 0

),

gaps as (

    select
        period_start,
        sum(balance)                                                as gap

    from softbase_ledger

    where account_class <> 'unknown'

    group by period_start

),

-- What month 13 says of accounts whose last row stands: a year's profit may have been closed in it and nowhere else.

thirteenths as (

    select
        lower(trim(account_no))                                     as account_no,
        year,
        ytd

    from softbase_gl

    where month = 13

),

unread as (

    select
        ledger.period_start                                         as period_start,
        arg_max(ledger.account_no, abs(thirteenths.ytd - ledger.balance))
                                                                    as account_no,
        arg_max(thirteenths.ytd, abs(thirteenths.ytd - ledger.balance))
                                                                    as ytd,
        arg_max(thirteenths.year, abs(thirteenths.ytd - ledger.balance))
                                                                    as year

    from softbase_ledger as ledger

    inner join thirteenths
        on ledger.account_no = thirteenths.account_no
        and thirteenths.year between year(ledger.month_start) and year(ledger.period_start)

    where not ledger.is_profit_and_loss and thirteenths.ytd <> ledger.balance

    group by ledger.period_start

),

-- The rules.

income_statement as (

    select
        'net_income'                                                as rule,
        'error'                                                     as severity,
        period_start                                                as period,
        'total_revenue ' || total_revenue || ' less total_expenses ' || total_expenses || ' is not net_income '
            || net_income                                           as detail

    from mart

    where total_revenue - total_expenses <> net_income

),

balance as (

    select
        'balance'                                                   as rule,
        'error'                                                     as severity,
        mart.period_start                                           as period,
        'total_assets ' || mart.total_assets || ' are not total_liabilities ' || mart.total_liabilities
            || ' and total_equity ' || mart.total_equity
            || case
                when placeless.account_no is not null
                    then '; accounts with neither class nor type, such as ' || placeless.account_no || ', hold '
                        || placeless.balance
                when unread.account_no is not null
                    then '; account ' || unread.account_no || ' stands at ' || unread.ytd || ' in month 13 of '
                        || unread.year || ', which is not read: it counts from its next row in months 1 to 12'
                else '; is last fiscal year''s profit in retained earnings yet?'
            end                                                     as detail

    from mart

    left join placeless on mart.period_start = placeless.period_start

    left join gaps on mart.period_start = gaps.period_start

    left join unread on mart.period_start = unread.period_start

    -- A gap below a cent is one too, though rounding may hide it.
    where mart.total_assets <> mart.total_liabilities + mart.total_equity or gaps.gap <> 0

),

margins as (

    select
        'gross_margin_pct'                                          as rule,
        'warning'                                                   as severity,
        mart.period_start                                           as period,
        'gross_profit ' || mart.gross_profit || ' over income ' || income.income
            || ' is more than the column holds; it is null'         as detail

    from mart

    inner join income on mart.period_start = income.period_start

    where income.income > 0 and mart.gross_margin_pct is null

),

comparisons as (

    select
        mart.period_start                                           as period,
        mart.period_end                                             as period_end,
        unnest(['total_revenue', 'total_expenses', 'total_assets']) as measure,
        unnest([mart.total_revenue, mart.total_expenses, mart.total_assets])
                                                                    as new_amount,
        unnest([published.total_revenue, published.total_expenses, published.total_assets])
                                                                    as old_amount

    from mart

    inner join published on mart.year = published.year and mart.month = published.month

),

jumps as (

    select
        'jump'                                                      as rule,
        'warning'                                                   as severity,
        comparisons.period                                          as period,
        comparisons.measure || ' is ' || comparisons.new_amount || ' where ' || comparisons.old_amount
            || ' is published'                                      as detail

    from comparisons

    cross join settings

    cross join ledger_settings

    -- An open month grows every day; nothing published is nothing to compare with.
    where
        comparisons.period_end + ledger_settings.close_lag_days < settings.as_of
        and comparisons.old_amount <> 0
        and abs(comparisons.new_amount - comparisons.old_amount) * 100
        > abs(comparisons.old_amount) * settings.jump_pct

),

margin_of_income as (

    select
        'margin'                                                    as rule,
        'error'                                                     as severity,
        mart.period_start                                           as period,
        'gross_margin_pct ' || mart.gross_margin_pct || ' is not gross_profit ' || mart.gross_profit || ' over income '
            || income.income                                        as detail

    from mart

    inner join income on mart.period_start = income.period_start

    -- Rounded to two places, of amounts that are not; of an income below zero there is none.
    where
        (mart.gross_margin_pct is not null and income.income <= 0)
        or mart.gross_profit <> income.gross_profit::decimal(18, 2)
        or abs(mart.gross_margin_pct * income.income::decimal(18, 4) - income.gross_profit::decimal(18, 4) * 100)
        > income.income::decimal(18, 4) * 0.005

),

ranges as (

    select
        'range'                                                     as rule,
        'warning'                                                   as severity,
        mart.period_start                                           as period,
        'gross_margin_pct ' || mart.gross_margin_pct || ' is above 100: the cost of goods sold is below zero'
                                                                    as detail

    from mart

    -- A loss has no lower bound.
    where mart.gross_margin_pct > 100

),

volume as (

    select
        'volume'                                                    as rule,
        'warning'                                                   as severity,
        comparisons.period                                          as period,
        comparisons.measure || ' of the open month is ' || comparisons.new_amount || ' where '
            || comparisons.old_amount || ' is published'            as detail

    from comparisons

    cross join settings

    cross join ledger_settings

    -- What is posted in a month that is open does not vanish; of a closed one it is a jump.
    where
        comparisons.period_end + ledger_settings.close_lag_days >= settings.as_of
        and comparisons.measure in ('total_revenue', 'total_expenses')
        and comparisons.old_amount > 0
        and comparisons.new_amount * 100 < comparisons.old_amount * (100 - settings.drop_pct)

),

gap as (

    select
        'gap'                                                       as rule,
        'warning'                                                   as severity,
        null::date                                                  as period,
        'no row is published of ' || count(*) || ' months before the first of this run, from '
            || min(missing_periods.period_start) || ' to ' || max(missing_periods.period_start)
            || ': --from and --to restate what the source, or staging, still has'
                                                                    as detail

    from missing_periods

    having count(*) > 0

),

final as (

    select rule, severity, period, detail from softbase_ledger_faults

    union all

    select rule, severity, period, detail from income_statement

    union all

    select rule, severity, period, detail from balance

    union all

    select rule, severity, period, detail from margins

    union all

    select rule, severity, period, detail from jumps

    union all

    select rule, severity, period, detail from margin_of_income

    union all

    select rule, severity, period, detail from ranges

    union all

    select rule, severity, period, detail from volume

    union all

    select rule, severity, period, detail from gap

)

select * from final order by severity, period, rule, detail
