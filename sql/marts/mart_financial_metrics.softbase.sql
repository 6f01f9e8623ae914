-- mart_financial_metrics.softbase: one row per month; income statement, balances and operating cash flow from the
-- general ledger of Softbase, for organisations that keep their books there.
--
-- reads: softbase_gl, softbase_chart_of_accounts
--
-- total_revenue is revenue and other income; total_expenses is cost of goods sold, expenses and other expenses; so
-- net_income is their difference. gross_profit is revenue less cost of goods sold, and gross_margin_pct is over revenue
-- alone: null where there is none, or where the column cannot hold it. Depreciation stays in the class of its account.
-- The ledger's signs are turned so that what is earned, owed and owned by the owners is positive.
-- Figures are rounded to cents as the sums that they are; only net_income is the difference of the rounded revenue and
-- expenses, and total_equity that of the rounded assets and liabilities, so that the statements add up to the cent.
-- Where assets are not liabilities and equity, equity is rounded by itself: the gap is to be seen.
-- Balances are the closing ones. total_equity is the equity accounts and the profit of the fiscal year so far, which
-- the ledger keeps in the profit-and-loss accounts until the year is closed; so assets = liabilities + equity.
-- operating_cash_flow is that of mart_cash_flow: both read softbase_cash_effects in sql/shared. softbase_ledger beside
-- it says which account is what.
-- An account that no class matches goes by the chart's type: an unclassified liability may be equity, which the chart
-- does not tell. A month before the first posting has zeros.

with

-- Import: one CTE per relation; only the columns used.

ledger as (

    select
        period_start,
        account_no,
        month_start,
        account_class,
        is_profit_and_loss,
        movement,
        balance

    from softbase_ledger

),

effects as (

    select
        period_start,
        account_no,
        month_start,
        amount

    from softbase_cash_effects

    where section = 'operating'

),

-- Logic: the ledger's rows, each under the measures it counts for, and what rounding takes of them.

measures as (

    select
        period_start,
        'softbase_gl'                                               as source_dataset,
        account_no || ' ' || strftime(month_start, '%Y-%m')         as source_key,
        null::bigint                                                as source_page,
        case when account_class = 'revenue' then -movement end      as income,
        case when account_class in ('revenue', 'other_income') then -movement end
                                                                    as revenue,
        case when account_class = 'cogs' then movement end          as cost_of_goods_sold,
        case when account_class in ('cogs', 'expense', 'other_expense') then movement end
                                                                    as expenses,
        case when is_profit_and_loss then -movement end             as net_income,
        case
            when account_class in (
                'cash', 'ar', 'inventory', 'other_current_asset', 'fixed_asset', 'accumulated_depreciation',
                'other_asset', 'unclassified_asset'
            ) then balance
        end                                                         as assets,
        case
            when account_class in (
                'ap', 'other_current_liability', 'floor_plan', 'debt', 'unclassified_liability'
            ) then -balance
        end                                                         as liabilities,
        case when account_class = 'equity' or is_profit_and_loss then -balance end
                                                                    as equity,
        case when account_class = 'cash' then balance end           as cash,
        case when account_class = 'ar' then balance end             as receivables,
        case when account_class = 'ap' then -balance end            as payables,
        null::decimal(38, 4)                                        as operating

    from ledger

    union all

    select
        period_start,
        'softbase_gl'                                               as source_dataset,
        account_no || ' ' || strftime(month_start, '%Y-%m')         as source_key,
        null::bigint                                                as source_page,
        null::decimal(38, 4)                                        as income,
        null::decimal(38, 4)                                        as revenue,
        null::decimal(38, 4)                                        as cost_of_goods_sold,
        null::decimal(38, 4)                                        as expenses,
        null::decimal(38, 4)                                        as net_income,
        null::decimal(38, 4)                                        as assets,
        null::decimal(38, 4)                                        as liabilities,
        null::decimal(38, 4)                                        as equity,
        null::decimal(38, 4)                                        as cash,
        null::decimal(38, 4)                                        as receivables,
        null::decimal(38, 4)                                        as payables,
        amount                                                      as operating

    from effects

),

sums as (

    select
        period_start,
        coalesce(sum(revenue), 0)                                   as revenue,
        coalesce(sum(expenses), 0)                                  as expenses,
        coalesce(sum(net_income), 0)                                as net_income,
        coalesce(sum(assets), 0)                                    as assets,
        coalesce(sum(liabilities), 0)                               as liabilities,
        coalesce(sum(equity), 0)                                    as equity

    from measures

    group by period_start

),

roundings as (

    select
        period_start,
        revenue::decimal(38, 2) - expenses::decimal(38, 2) - net_income
                                                                    as net_income,
        case
            when assets = liabilities + equity then assets::decimal(38, 2) - liabilities::decimal(38, 2) - equity
            else 0
        end                                                         as equity

    from sums

),

-- Contributions: the measures, with the operating effects on cash among them; what rounding takes has no row of the
-- ledger, and no source_key.

contributions as (

    select
        period_start,
        source_dataset,
        source_key,
        source_page,
        income,
        revenue,
        cost_of_goods_sold,
        expenses,
        net_income,
        assets,
        liabilities,
        equity,
        cash,
        receivables,
        payables,
        operating

    from measures

    union all

    select
        period_start,
        'softbase_gl'                                               as source_dataset,
        null::varchar                                               as source_key,
        null::bigint                                                as source_page,
        null::decimal(38, 4)                                        as income,
        null::decimal(38, 4)                                        as revenue,
        null::decimal(38, 4)                                        as cost_of_goods_sold,
        null::decimal(38, 4)                                        as expenses,
        nullif(net_income, 0)                                       as net_income,
        null::decimal(38, 4)                                        as assets,
        null::decimal(38, 4)                                        as liabilities,
        nullif(equity, 0)                                           as equity,
        null::decimal(38, 4)                                        as cash,
        null::decimal(38, 4)                                        as receivables,
        null::decimal(38, 4)                                        as payables,
        null::decimal(38, 4)                                        as operating

    from roundings

    where net_income <> 0 or equity <> 0

),

final as (

    select
        year(periods.period_start)::integer                         as year,
        month(periods.period_start)::integer                        as month,
        periods.period_start                                        as period_start,
        periods.period_end                                          as period_end,
        coalesce(sum(contributions.revenue), 0)::decimal(18, 2)     as total_revenue,
        coalesce(sum(contributions.expenses), 0)::decimal(18, 2)    as total_expenses,
        coalesce(sum(contributions.net_income), 0)::decimal(18, 2)  as net_income,
        (coalesce(sum(contributions.income), 0) - coalesce(sum(contributions.cost_of_goods_sold), 0))::decimal(18, 2)
                                                                    as gross_profit,
        case
            when sum(contributions.income) > 0
                then fits(
                    pct(
                        sum(contributions.income) - coalesce(sum(contributions.cost_of_goods_sold), 0),
                        sum(contributions.income)
                    ),
                    5,
                    2
                )
        end::decimal(5, 2)                                          as gross_margin_pct,
        coalesce(sum(contributions.assets), 0)::decimal(18, 2)      as total_assets,
        coalesce(sum(contributions.liabilities), 0)::decimal(18, 2) as total_liabilities,
        coalesce(sum(contributions.equity), 0)::decimal(18, 2)      as total_equity,
        coalesce(sum(contributions.cash), 0)::decimal(18, 2)        as cash_balance,
        coalesce(sum(contributions.receivables), 0)::decimal(18, 2) as accounts_receivable,
        coalesce(sum(contributions.payables), 0)::decimal(18, 2)    as accounts_payable,
        coalesce(sum(contributions.operating), 0)::decimal(18, 2)   as operating_cash_flow

    from periods

    -- A month before the first posting has no rows, and zeros.
    left join contributions on periods.period_start = contributions.period_start

    group by periods.period_start, periods.period_end

)

select * from final order by year, month
