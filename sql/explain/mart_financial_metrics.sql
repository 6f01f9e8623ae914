-- explain of mart_financial_metrics: what each staged row brings to each number.
--
-- A line of a report brings its amount. gross_profit is the reported line, where there is one, else income less cost
-- of goods sold; gross_margin_pct divides 100 times that by income. operating_cash_flow is the reported change in cash
-- less what investing and financing brought, where a change is reported, else the operating lines.

measures as (

    select
        period_start,
        source_dataset,
        source_key,
        source_page,
        revenue,
        expenses,
        net_income,
        income,
        assets,
        liabilities,
        equity,
        bank_accounts,
        receivables,
        payables,
        case
            when bool_or(gross_profit is not null) over (partition by period_start) then gross_profit
            when income is not null or cost_of_goods_sold is not null
                then coalesce(income, 0) - coalesce(cost_of_goods_sold, 0)
        end as gross_profit,
        case
            when not bool_or(cash_increase is not null) over (partition by period_start) then operating
            when coalesce(cash_increase, investing, financing) is not null
                then coalesce(cash_increase, 0) - coalesce(investing, 0) - coalesce(financing, 0)
        end as operating_cash_flow

    from contributions

),

parts as (

    select
        period_start,
        source_dataset,
        source_key,
        source_page,
        revenue as total_revenue,
        expenses as total_expenses,
        net_income,
        gross_profit,
        assets as total_assets,
        liabilities as total_liabilities,
        equity as total_equity,
        bank_accounts as cash_balance,
        receivables as accounts_receivable,
        payables as accounts_payable,
        operating_cash_flow

    from measures

),

final as (

    select
        period_start,
        column_name,
        null::varchar as entry,
        'sum' as how,
        source_dataset,
        source_key,
        source_page,
        null::varchar as counted,
        part::decimal(38, 18) as part

    from parts

    unpivot (
        part for column_name in (
            total_revenue,
            total_expenses,
            net_income,
            gross_profit,
            total_assets,
            total_liabilities,
            total_equity,
            cash_balance,
            accounts_receivable,
            accounts_payable,
            operating_cash_flow
        )
    )

    union all

    select
        period_start,
        'gross_margin_pct' as column_name,
        null::varchar as entry,
        'numerator' as how,
        source_dataset,
        source_key,
        source_page,
        null::varchar as counted,
        (100 * gross_profit)::decimal(38, 18) as part

    from measures

    where gross_profit is not null

    union all

    select
        period_start,
        'gross_margin_pct' as column_name,
        null::varchar as entry,
        'denominator' as how,
        source_dataset,
        source_key,
        source_page,
        null::varchar as counted,
        income::decimal(38, 18) as part

    from measures

    where income is not null

)

select * from final order by period_start, column_name, entry, how, source_dataset, source_key, counted, part
