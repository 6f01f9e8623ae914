-- explain of mart_financial_metrics.softbase: what each staged row brings to each number.
--
-- An account brings what it moved in a month or what it stands at, with the sign of the measure. gross_margin_pct
-- divides 100 times the gross profit by revenue without other income.

parts as (

    select
        period_start,
        source_dataset,
        source_key,
        source_page,
        revenue as total_revenue,
        expenses as total_expenses,
        net_income,
        case
            when income is not null or cost_of_goods_sold is not null
                then coalesce(income, 0) - coalesce(cost_of_goods_sold, 0)
        end as gross_profit,
        assets as total_assets,
        liabilities as total_liabilities,
        equity as total_equity,
        cash as cash_balance,
        receivables as accounts_receivable,
        payables as accounts_payable,
        operating as operating_cash_flow,
        income

    from contributions

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

    from parts

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

    from parts

    where income is not null

)

select * from final order by period_start, column_name, entry, how, source_dataset, source_key, counted, part
