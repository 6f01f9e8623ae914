-- checks of mart_financial_metrics: the rows that break a rule.
--
-- reads: quickbooks_profit_and_loss, quickbooks_balance_sheet, quickbooks_cash_flow
--
-- Errors, to the cent: revenue less expenses is net income; assets are liabilities and equity; gross profit is income
-- less cost of goods sold; a section's total is the sum of its leaves (the operating section's may be that of its
-- adjustments); the change in cash is operating, investing and financing; operating cash flow is what the operating
-- section says in one of its two readings; the margin is gross profit over income. No line comes twice, a report covers
-- its month up to the last day reported, and all reports are in one currency and on one basis.
-- Warnings: a margin that its column cannot hold or that is above 100, a closed month that moved far from what is
-- published, an open one that lost much of it, and months that have no row.

with

-- Import: one CTE per relation; only the columns used.

profit_and_loss as (

    select
        'ProfitAndLoss'  as report,
        line,
        line_type,
        line_group,
        groups,
        is_leaf,
        amount,
        column_start,
        column_end,
        currency,
        basis

    from quickbooks_profit_and_loss

),

balance_sheet as (

    select
        'BalanceSheet'   as report,
        line,
        line_type,
        line_group,
        groups,
        is_leaf,
        amount,
        column_start,
        column_end,
        currency,
        basis

    from quickbooks_balance_sheet

),

cash_flow as (

    select
        'CashFlow'       as report,
        line,
        line_type,
        line_group,
        groups,
        is_leaf,
        amount,
        column_start,
        column_end,
        currency,
        basis

    from quickbooks_cash_flow

),

-- Logic: the reports' lines by month, and what the sections come to.

all_lines as (

    select
        report, line, line_type, line_group, groups, is_leaf, amount, column_start, column_end, currency, basis
    from profit_and_loss

    union all

    select
        report, line, line_type, line_group, groups, is_leaf, amount, column_start, column_end, currency, basis
    from balance_sheet

    union all

    select
        report, line, line_type, line_group, groups, is_leaf, amount, column_start, column_end, currency, basis
    from cash_flow

),

lines as (

    select
        periods.period_start                                        as period,
        periods.period_end                                          as period_end,
        all_lines.report                                            as report,
        all_lines.line                                              as line,
        all_lines.line_type                                         as line_type,
        all_lines.line_group                                        as line_group,
        all_lines.groups                                            as groups,
        all_lines.is_leaf                                           as is_leaf,
        all_lines.amount                                            as amount,
        all_lines.column_start                                      as column_start,
        all_lines.column_end                                        as column_end,
        all_lines.currency                                          as currency,
        all_lines.basis                                             as basis

    from periods

    inner join all_lines on all_lines.column_end >= periods.period_start and all_lines.column_end <= periods.period_end

),

totals as (

    select
        period,
        report,
        groups,
        sum(amount)                                                 as amount

    from lines

    where line_type = 'total' and line_group is not null and not is_leaf and amount is not null

    group by period, report, groups

),

sections as (

    select
        totals.period                                               as period,
        totals.report                                               as report,
        totals.groups                                               as groups,
        totals.amount                                               as amount,
        coalesce(sum(lines.amount), 0)                              as leaves,
        coalesce(sum(lines.amount) filter (where contains(lines.groups, '/OperatingAdjustments/')), 0)
                                                                    as adjustments

    from totals

    left join lines
        on totals.period = lines.period
        and totals.report = lines.report
        and starts_with(lines.groups, totals.groups)
        and lines.is_leaf

    group by totals.period, totals.report, totals.groups, totals.amount

),

measures as (

    select
        period,
        coalesce(sum(amount) filter (where report = 'ProfitAndLoss' and contains(groups, '/Income/')), 0)
                                                                    as income,
        coalesce(sum(amount) filter (where report = 'ProfitAndLoss' and contains(groups, '/COGS/')), 0)
                                                                    as cost_of_goods_sold,
        coalesce(sum(amount) filter (where report = 'CashFlow' and contains(groups, '/OperatingActivities/')), 0)
                                                                    as operating,
        coalesce(sum(amount) filter (where report = 'CashFlow' and contains(groups, '/InvestingActivities/')), 0)
                                                                    as investing,
        coalesce(sum(amount) filter (where report = 'CashFlow' and contains(groups, '/FinancingActivities/')), 0)
                                                                    as financing,
        sum(amount) filter (where report = 'CashFlow' and line_group = 'CashIncrease')
                                                                    as cash_increase,
        coalesce(
            sum(amount) filter (
                where report = 'CashFlow' and line_group = 'NetIncome' and contains(groups, '/OperatingActivities/')
            ), 0
        )                                                           as cash_flow_net_income

    from lines

    where is_leaf

    group by period

),

operating_sections as (

    select period, sum(amount) as amount

    from sections

    where report = 'CashFlow' and ends_with(groups, '/OperatingActivities/')

    group by period

),

-- Findings: one CTE per rule.

income_statement as (

    select
        'net_income'                                                as rule,
        'error'                                                     as severity,
        mart.period_start                                           as period,
        'total_revenue ' || mart.total_revenue || ' less total_expenses ' || mart.total_expenses || ' is '
            || (mart.total_revenue - mart.total_expenses) || ', and net_income is '
            || coalesce(mart.net_income::varchar, 'missing in the report')
                                                                    as detail

    from mart

    where mart.net_income is distinct from mart.total_revenue - mart.total_expenses

),

balance as (

    select
        'balance'                                                   as rule,
        'error'                                                     as severity,
        mart.period_start                                           as period,
        'total_assets ' || mart.total_assets || ' is not total_liabilities ' || mart.total_liabilities
            || ' and total_equity ' || mart.total_equity            as detail

    from mart

    where mart.total_assets is distinct from mart.total_liabilities + mart.total_equity

),

gross_profit as (

    select
        'gross_profit'                                              as rule,
        'error'                                                     as severity,
        mart.period_start                                           as period,
        'gross_profit ' || mart.gross_profit || ' is not income ' || measures.income || ' less cost of goods sold '
            || measures.cost_of_goods_sold                          as detail

    from mart

    inner join measures on mart.period_start = measures.period

    where mart.gross_profit is distinct from measures.income - measures.cost_of_goods_sold

),

section_totals as (

    select
        'section_total'                                             as rule,
        'error'                                                     as severity,
        sections.period                                             as period,
        sections.report || ' ' || sections.groups || ' says ' || sections.amount || ', and its leaves sum to '
            || sections.leaves                                      as detail

    from sections

    where
        sections.amount <> sections.leaves
        and not (ends_with(sections.groups, '/OperatingActivities/') and sections.amount = sections.adjustments)

),

cash_increase as (

    select
        'cash_increase'                                             as rule,
        'error'                                                     as severity,
        measures.period                                             as period,
        'the change in cash, ' || measures.cash_increase || ', is not operating ' || measures.operating
            || ', investing ' || measures.investing || ' and financing ' || measures.financing
                                                                    as detail

    from measures

    where measures.cash_increase <> measures.operating + measures.investing + measures.financing

),

operating_cash_flow as (

    select
        'operating_cash_flow'                                       as rule,
        'error'                                                     as severity,
        mart.period_start                                           as period,
        'operating_cash_flow ' || mart.operating_cash_flow || ' is neither the operating section''s total '
            || coalesce(operating_sections.amount, measures.operating) || ' nor that and its net income '
            || measures.cash_flow_net_income                        as detail

    from mart

    inner join measures on mart.period_start = measures.period

    left join operating_sections on mart.period_start = operating_sections.period

    where
        mart.operating_cash_flow <> coalesce(operating_sections.amount, measures.operating)
        and mart.operating_cash_flow
        <> coalesce(operating_sections.amount, measures.operating) + measures.cash_flow_net_income

),

lines_twice as (

    select
        'line_twice'                                                as rule,
        'error'                                                     as severity,
        lines.period                                                as period,
        lines.report || ' line ' || lines.line || ' comes ' || count(*) || ' times'
                                                                    as detail

    from lines

    group by lines.period, lines.report, lines.line

    having count(*) > 1

),

windows as (

    select
        'report_window'                                             as rule,
        'error'                                                     as severity,
        lines.period                                                as period,
        lines.report || ' covers ' || min(lines.column_start) || ' to ' || min(lines.column_end)
            || ', and the month goes to ' || least(lines.period_end, settings.as_of)
                                                                    as detail

    from lines

    cross join settings

    -- A balance has a day, not a span.
    where
        lines.column_end <> least(lines.period_end, settings.as_of)
        or (lines.report <> 'BalanceSheet' and lines.column_start <> lines.period)

    group by lines.period, lines.period_end, lines.report, settings.as_of

),

mixed as (

    select
        'mixed'                                                     as rule,
        'error'                                                     as severity,
        null::date                                                  as period,
        'the reports are in ' || array_to_string(list_sort(list(distinct lines.currency)), ' and ') || ', on '
            || array_to_string(list_sort(list(distinct lines.basis)), ' and ')
                                                                    as detail

    from lines

    having count(distinct lines.currency) > 1 or count(distinct lines.basis) > 1

),

margins as (

    select
        'gross_margin_pct'                                          as rule,
        'warning'                                                   as severity,
        mart.period_start                                           as period,
        'gross_profit ' || mart.gross_profit || ' over income ' || measures.income
            || ' is more than the column holds; it is null'         as detail

    from mart

    inner join measures on mart.period_start = measures.period

    where measures.income > 0 and mart.gross_margin_pct is null

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
            || measures.income                                      as detail

    from mart

    inner join measures on mart.period_start = measures.period

    -- Rounded to two places; of an income below zero there is none.
    where
        (mart.gross_margin_pct is not null and measures.income <= 0)
        or abs(mart.gross_margin_pct * measures.income::decimal(18, 2) - mart.gross_profit * 100)
        > measures.income::decimal(18, 2) * 0.005

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

    select rule, severity, period, detail from income_statement

    union all

    select rule, severity, period, detail from balance

    union all

    select rule, severity, period, detail from gross_profit

    union all

    select rule, severity, period, detail from section_totals

    union all

    select rule, severity, period, detail from cash_increase

    union all

    select rule, severity, period, detail from operating_cash_flow

    union all

    select rule, severity, period, detail from lines_twice

    union all

    select rule, severity, period, detail from windows

    union all

    select rule, severity, period, detail from mixed

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
