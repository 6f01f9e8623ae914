-- checks of mart_financial_metrics.softbase: the rows that break a rule.
--
-- reads: softbase_gl, softbase_chart_of_accounts
--
-- Errors: what the ledger itself breaks (softbase_ledger_faults in sql/shared); revenue less expenses that is not net
-- income; assets that are not liabilities and equity; a margin that is not gross profit over income.
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
        -sum(movement)                                              as income

    from softbase_ledger

    where account_class = 'revenue'

    group by period_start

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
                when placeless.account_no is null
                    then '; is last fiscal year''s profit in retained earnings yet?'
                else '; accounts with neither class nor type, such as ' || placeless.account_no || ', hold '
                    || placeless.balance
            end                                                     as detail

    from mart

    left join placeless on mart.period_start = placeless.period_start

    where mart.total_assets <> mart.total_liabilities + mart.total_equity

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

    -- An open month grows every day; nothing published is nothing to compare with.
    where
        comparisons.period_end < settings.as_of
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

    -- Rounded to two places; of an income below zero there is none.
    where
        (mart.gross_margin_pct is not null and income.income <= 0)
        or abs(mart.gross_margin_pct * income.income::decimal(18, 2) - mart.gross_profit * 100)
        > income.income::decimal(18, 2) * 0.005

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

    -- What is posted in a month that is open does not vanish; of a closed one it is a jump.
    where
        comparisons.period_end >= settings.as_of
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
