-- explain of mart_cash_flow: what each staged row brings to each number.
--
-- An account brings what it moved in the month or what it stands at, and its effects on cash under their section.
-- Entries of the breakdown are named by activity and category; those of zero are left out of it.

parts as (

    select
        period_start,
        source_dataset,
        source_key,
        source_page,
        cash_balance,
        cash_change as cash_change_mtd,
        operating as operating_cash_flow,
        ar_change,
        inventory_change,
        ap_change,
        investing as investing_cash_flow,
        financing as financing_cash_flow

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
            cash_balance,
            cash_change_mtd,
            operating_cash_flow,
            ar_change,
            inventory_change,
            ap_change,
            investing_cash_flow,
            financing_cash_flow
        )
    )

    union all

    select
        contributions.period_start as period_start,
        'non_operating_breakdown' as column_name,
        'entries / ' || contributions.activity || ' ' || contributions.category || ' / amount' as entry,
        'sum' as how,
        contributions.source_dataset as source_dataset,
        contributions.source_key as source_key,
        contributions.source_page as source_page,
        null::varchar as counted,
        contributions.amount::decimal(38, 18) as part

    from contributions

    inner join categories
        on contributions.period_start = categories.period_start
        and contributions.category = categories.category
        and contributions.activity = categories.activity

    union all

    select
        contributions.period_start as period_start,
        'non_operating_breakdown' as column_name,
        'entries / ' || contributions.activity || ' ' || contributions.category || ' / accounts' as entry,
        'sum' as how,
        contributions.source_dataset as source_dataset,
        contributions.source_key as source_key,
        contributions.source_page as source_page,
        null::varchar as counted,
        1::decimal(38, 18) as part

    from contributions

    inner join categories
        on contributions.period_start = categories.period_start
        and contributions.category = categories.category
        and contributions.activity = categories.activity

    where contributions.is_own

    union all

    select
        period_start,
        'non_operating_breakdown' as column_name,
        'summary / ' || activity as entry,
        'sum' as how,
        source_dataset,
        source_key,
        source_page,
        null::varchar as counted,
        amount::decimal(38, 18) as part

    from contributions

    where activity in ('working_capital', 'investing', 'financing', 'other')

)

select * from final order by period_start, column_name, entry, how, source_dataset, source_key, counted, part
