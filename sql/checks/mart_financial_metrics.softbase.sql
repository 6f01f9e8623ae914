-- checks of mart_financial_metrics.softbase: the rows that break a rule.
--
-- reads: softbase_gl, softbase_chart_of_accounts
--
-- Errors: what the ledger itself breaks (softbase_ledger_faults in sql/shared); revenue less expenses that is not net
-- income; assets that are not liabilities and equity.
-- Warnings: a margin that its column cannot hold, and a closed month that moved much against what is published.

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

)

select * from final order by severity, period, rule, detail
