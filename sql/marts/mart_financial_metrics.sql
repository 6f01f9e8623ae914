-- mart_financial_metrics: one row per month; income statement, balances and operating cash flow as QuickBooks reports
-- them.
--
-- reads: quickbooks_profit_and_loss, quickbooks_balance_sheet, quickbooks_cash_flow
--
-- total_revenue is income and other income; total_expenses is cost of goods sold, expenses and other expenses; so
-- net_income, taken as reported, is their difference. gross_profit is the reported line, else income less cost of goods
-- sold, and gross_margin_pct is over income alone: null where there is none, or where the column cannot hold it.
-- Sections are known by their group, at any depth, never by their label, which is translated and edited freely. They
-- are summed over their leaves, so that every account counts once, whether or not it has sub-accounts.
-- Balances are those of the report's last day, which is the month's last or, in an open month, the last day reported.
-- cash_balance is the bank accounts': undeposited funds are an other current asset.
-- operating_cash_flow is the reported change in cash less investing and financing, because the total of the operating
-- section holds the adjustments only in some reports; without a reported change it is the sum of the section's leaves,
-- net income among them.
-- A section that a report does not have is zero, a month with nothing to report is a month of zeros, and an empty cell
-- is no amount. A month of which one of the three reports is missing has no row: its pull is broken.

with

-- Import: one CTE per relation; only the columns used.

profit_and_loss as (

    select
        'quickbooks_profit_and_loss'  as report,
        line,
        line_type,
        line_group,
        groups,
        is_leaf,
        amount,
        column_end,
        page

    from quickbooks_profit_and_loss

),

balance_sheet as (

    select
        'quickbooks_balance_sheet'    as report,
        line,
        line_type,
        line_group,
        groups,
        is_leaf,
        amount,
        column_end,
        page

    from quickbooks_balance_sheet

),

cash_flow as (

    select
        'quickbooks_cash_flow'        as report,
        line,
        line_type,
        line_group,
        groups,
        is_leaf,
        amount,
        column_end,
        page

    from quickbooks_cash_flow

),

-- Logic: the three reports under each other.

lines as (

    select report, line, line_type, line_group, groups, is_leaf, amount, column_end, page from profit_and_loss

    union all

    select report, line, line_type, line_group, groups, is_leaf, amount, column_end, page from balance_sheet

    union all

    select report, line, line_type, line_group, groups, is_leaf, amount, column_end, page from cash_flow

),

-- Contributions: the leaves of the month's reports, each under the measures it counts for, and one line for each report
-- as a whole, which tells a report without amounts from one that was never pulled.

contributions as (

    select
        periods.period_start                                        as period_start,
        periods.period_end                                          as period_end,
        lines.report                                                as source_dataset,
        lines.line                                                  as source_key,
        lines.page                                                  as source_page,
        case
            when lines.report = 'quickbooks_profit_and_loss'
                and contains(lines.groups, '/Income/')
                then lines.amount
        end                                                         as income,
        case
            when lines.report = 'quickbooks_profit_and_loss'
                and (contains(lines.groups, '/Income/') or contains(lines.groups, '/OtherIncome/'))
                then lines.amount
        end                                                         as revenue,
        case
            when lines.report = 'quickbooks_profit_and_loss'
                and contains(lines.groups, '/COGS/')
                then lines.amount
        end                                                         as cost_of_goods_sold,
        case
            when lines.report = 'quickbooks_profit_and_loss'
                and (contains(lines.groups, '/COGS/')
                    or contains(lines.groups, '/Expenses/')
                    or contains(lines.groups, '/OtherExpenses/'))
                then lines.amount
        end                                                         as expenses,
        case
            when lines.report = 'quickbooks_profit_and_loss'
                and lines.line_group = 'GrossProfit'
                then lines.amount
        end                                                         as gross_profit,
        case
            when lines.report = 'quickbooks_profit_and_loss'
                and lines.line_group = 'NetIncome'
                then coalesce(lines.amount, 0)
        end                                                         as net_income,
        case
            when lines.report = 'quickbooks_balance_sheet'
                and contains(lines.groups, '/TotalAssets/')
                then lines.amount
        end                                                         as assets,
        case
            when lines.report = 'quickbooks_balance_sheet'
                and contains(lines.groups, '/Liabilities/')
                then lines.amount
        end                                                         as liabilities,
        case
            when lines.report = 'quickbooks_balance_sheet'
                and contains(lines.groups, '/Equity/')
                then lines.amount
        end                                                         as equity,
        case
            when lines.report = 'quickbooks_balance_sheet'
                and contains(lines.groups, '/BankAccounts/')
                then lines.amount
        end                                                         as bank_accounts,
        case
            when lines.report = 'quickbooks_balance_sheet'
                and contains(lines.groups, '/AR/')
                then lines.amount
        end                                                         as receivables,
        case
            when lines.report = 'quickbooks_balance_sheet'
                and contains(lines.groups, '/AP/')
                then lines.amount
        end                                                         as payables,
        case
            when lines.report = 'quickbooks_cash_flow'
                and contains(lines.groups, '/OperatingActivities/')
                then lines.amount
        end                                                         as operating,
        case
            when lines.report = 'quickbooks_cash_flow'
                and contains(lines.groups, '/InvestingActivities/')
                then lines.amount
        end                                                         as investing,
        case
            when lines.report = 'quickbooks_cash_flow'
                and contains(lines.groups, '/FinancingActivities/')
                then lines.amount
        end                                                         as financing,
        case
            when lines.report = 'quickbooks_cash_flow'
                and lines.line_group = 'CashIncrease'
                then lines.amount
        end                                                         as cash_increase

    from periods

    inner join lines on lines.column_end >= periods.period_start and lines.column_end <= periods.period_end

    where lines.is_leaf or lines.line_type = 'report'

),

-- Final: the mart's columns, in the mart's order, cast to the mart's types. A month needs all three reports.

final as (

    select
        year(contributions.period_start)::integer                   as year,
        month(contributions.period_start)::integer                  as month,
        contributions.period_start                                  as period_start,
        contributions.period_end                                    as period_end,
        coalesce(sum(contributions.revenue), 0)::decimal(18, 2)     as total_revenue,
        coalesce(sum(contributions.expenses), 0)::decimal(18, 2)    as total_expenses,
        -- A report with amounts but without its net income is unknown; the audit then holds the month.
        case
            when sum(contributions.revenue) is null and sum(contributions.expenses) is null
                then coalesce(sum(contributions.net_income), 0)
            else sum(contributions.net_income)
        end::decimal(18, 2)                                         as net_income,
        coalesce(
            sum(contributions.gross_profit),
            coalesce(sum(contributions.income), 0) - coalesce(sum(contributions.cost_of_goods_sold), 0)
        )::decimal(18, 2)                                           as gross_profit,
        case
            when sum(contributions.income) > 0
                then fits(
                    pct(
                        coalesce(
                            sum(contributions.gross_profit),
                            sum(contributions.income) - coalesce(sum(contributions.cost_of_goods_sold), 0)
                        ),
                        sum(contributions.income)
                    ),
                    5,
                    2
                )
        end::decimal(5, 2)                                          as gross_margin_pct,
        coalesce(sum(contributions.assets), 0)::decimal(18, 2)      as total_assets,
        coalesce(sum(contributions.liabilities), 0)::decimal(18, 2) as total_liabilities,
        coalesce(sum(contributions.equity), 0)::decimal(18, 2)      as total_equity,
        coalesce(sum(contributions.bank_accounts), 0)::decimal(18, 2)as cash_balance,
        coalesce(sum(contributions.receivables), 0)::decimal(18, 2) as accounts_receivable,
        coalesce(sum(contributions.payables), 0)::decimal(18, 2)    as accounts_payable,
        coalesce(
            sum(contributions.cash_increase)
            - coalesce(sum(contributions.investing), 0)
            - coalesce(sum(contributions.financing), 0),
            sum(contributions.operating),
            0
        )::decimal(18, 2)                                           as operating_cash_flow

    from contributions

    group by contributions.period_start, contributions.period_end

    having count(distinct contributions.source_dataset) = 3

)

select * from final order by year, month
