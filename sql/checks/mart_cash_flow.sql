-- checks of mart_cash_flow: the rows that break a rule.
--
-- reads: softbase_gl, softbase_chart_of_accounts
--
-- Errors: what the ledger itself breaks (softbase_ledger_faults in sql/shared); operating, investing, financing and
-- other that are not the change in cash; a breakdown whose summary or entries disagree with the columns; a month whose
-- cash is not last month's and the change.
-- Warnings: accounts that end up under other, a closed month that moved far from what is published, a month in which
-- far fewer accounts moved, and months that have no row.

with

-- Import: one CTE per relation; only the columns used.

mart_rows as (

    select
        make_date(year, month, 1)                                   as period,
        period_end,
        cash_balance,
        cash_change_mtd,
        operating_cash_flow,
        investing_cash_flow,
        financing_cash_flow,
        (non_operating_breakdown ->> '$.summary.other')::decimal(18, 2)
                                                                    as other,
        (non_operating_breakdown ->> '$.summary.investing')::decimal(18, 2)
                                                                    as summary_investing,
        (non_operating_breakdown ->> '$.summary.financing')::decimal(18, 2)
                                                                    as summary_financing,
        coalesce((non_operating_breakdown -> '$.entries')::json[], [])
                                                                    as entries

    from mart

),

others as (

    select
        period_start,
        account_no,
        amount

    from softbase_cash_effects

    -- What rounding takes belongs to no account.
    where section = 'other' and account_no is not null

),

-- Logic: the rows with what their entries come to.

figures as (

    select
        period,
        period_end,
        cash_balance,
        cash_change_mtd,
        operating_cash_flow,
        investing_cash_flow,
        financing_cash_flow,
        coalesce(other, 0)                                          as other,
        coalesce(summary_investing, 0)                              as summary_investing,
        coalesce(summary_financing, 0)                              as summary_financing,
        list_filter(entries, lambda entry: entry ->> '$.activity' = 'investing')
                                                                    as investing_entries,
        list_filter(entries, lambda entry: entry ->> '$.activity' = 'financing')
                                                                    as financing_entries,
        list_filter(entries, lambda entry: entry ->> '$.activity' = 'other')
                                                                    as other_entries

    from mart_rows

),

sums as (

    select
        period,
        investing_cash_flow,
        financing_cash_flow,
        other,
        summary_investing,
        summary_financing,
        list_reduce(
            list_transform(investing_entries, lambda entry: (entry ->> '$.amount')::decimal(18, 2)),
            lambda one, next: one + next, 0::decimal(18, 2)
        )                                                           as entries_investing,
        list_reduce(
            list_transform(financing_entries, lambda entry: (entry ->> '$.amount')::decimal(18, 2)),
            lambda one, next: one + next, 0::decimal(18, 2)
        )                                                           as entries_financing,
        list_reduce(
            list_transform(other_entries, lambda entry: (entry ->> '$.amount')::decimal(18, 2)),
            lambda one, next: one + next, 0::decimal(18, 2)
        )                                                           as entries_other

    from figures

),

-- The rules.

identity as (

    select
        'cash_change'                                               as rule,
        'error'                                                     as severity,
        period                                                      as period,
        'operating ' || operating_cash_flow || ', investing ' || investing_cash_flow || ', financing '
            || financing_cash_flow || ' and other ' || other || ' are not the change in cash, ' || cash_change_mtd
                                                                    as detail

    from figures

    where operating_cash_flow + investing_cash_flow + financing_cash_flow + other <> cash_change_mtd

),

breakdowns as (

    select
        'breakdown'                                                 as rule,
        'error'                                                     as severity,
        period                                                      as period,
        'the breakdown has investing ' || summary_investing || ' of entries ' || entries_investing
            || ' and financing ' || summary_financing || ' of entries ' || entries_financing
            || ' where the columns have ' || investing_cash_flow || ' and ' || financing_cash_flow
                                                                    as detail

    from sums

    where
        summary_investing <> investing_cash_flow
        or entries_investing <> investing_cash_flow
        or summary_financing <> financing_cash_flow
        or entries_financing <> financing_cash_flow
        or entries_other <> other

),

cash as (

    select
        period_start,
        coalesce(sum(balance) filter (where account_class = 'cash'), 0)
                                                                    as balance,
        coalesce(sum(movement) filter (where account_class = 'cash'), 0)
                                                                    as movement

    from softbase_ledger

    group by period_start

),

rolled as (

    select
        figures.period                                              as period,
        figures.cash_balance                                        as cash_balance,
        figures.cash_change_mtd                                     as cash_change_mtd,
        cash.balance - cash.movement - lag(cash.balance) over (order by figures.period)
                                                                    as gap,
        cash.balance::decimal(18, 2) - cash.movement::decimal(18, 2)
            - lag(cash.balance::decimal(18, 2)) over (order by figures.period)
                                                                    as rounded_gap,
        lag(figures.period) over (order by figures.period)          as previous_period,
        lag(figures.cash_balance) over (order by figures.period)    as previous_balance

    from figures

    left join cash on figures.period = cash.period_start

),

first_rows as (

    select min(month_start) as month_start from softbase_ledger

),

roll_forward as (

    select
        'cash_balance'                                              as rule,
        'error'                                                     as severity,
        rolled.period                                               as period,
        'cash is ' || rolled.cash_balance || ' after ' || rolled.previous_balance || ' and a change of '
            || rolled.cash_change_mtd                               as detail

    from rolled

    cross join first_rows

    -- The month in which the ledger begins may take balances over that it never moved. Where the ledger has amounts
    -- below a cent, two balances and a change, each rounded by itself, may be a cent apart; the amounts may not.
    where
        rolled.previous_period = rolled.period - interval 1 month
        and rolled.previous_period >= first_rows.month_start
        and (
            rolled.gap <> 0
            or rolled.cash_balance - rolled.previous_balance - rolled.cash_change_mtd <> rolled.rounded_gap
        )

),

unexplained as (

    select
        'other'                                                     as rule,
        'warning'                                                   as severity,
        period_start                                                as period,
        sum(amount) || ' of cash is explained by accounts that have no class: '
            || array_to_string(
                list_slice(list(account_no || ' ' || amount order by abs(amount) desc, account_no), 1, 10), ', '
            )                                                       as detail

    from others

    group by period_start

),

comparisons as (

    select
        figures.period                                              as period,
        figures.period_end                                          as period_end,
        unnest(['cash_balance', 'operating_cash_flow'])             as measure,
        unnest([figures.cash_balance, figures.operating_cash_flow]) as new_amount,
        unnest([published.cash_balance, published.operating_cash_flow])
                                                                    as old_amount

    from figures

    inner join published on figures.period = make_date(published.year, published.month, 1)

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

moved_accounts as (

    select
        make_date(mart.year, mart.month, 1)                         as period,
        coalesce(list_sum((mart.non_operating_breakdown -> '$.entries[*].accounts')::bigint[]), 0)
                                                                    as new_accounts,
        coalesce(list_sum((published.non_operating_breakdown -> '$.entries[*].accounts')::bigint[]), 0)
                                                                    as old_accounts

    from mart

    inner join published
        on mart.year = published.year
        and mart.month = published.month

),

volume as (

    select
        'volume'                                                    as rule,
        'warning'                                                   as severity,
        moved_accounts.period                                       as period,
        moved_accounts.new_accounts || ' accounts moved cash where ' || moved_accounts.old_accounts
            || ' are published'                                     as detail

    from moved_accounts

    cross join settings

    where
        moved_accounts.old_accounts >= 5
        and moved_accounts.new_accounts * 100 < moved_accounts.old_accounts * (100 - settings.drop_pct)

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

    select rule, severity, period, detail from identity

    union all

    select rule, severity, period, detail from breakdowns

    union all

    select rule, severity, period, detail from roll_forward

    union all

    select rule, severity, period, detail from unexplained

    union all

    select rule, severity, period, detail from jumps

    union all

    select rule, severity, period, detail from volume

    union all

    select rule, severity, period, detail from gap

)

select * from final order by severity, period, rule, detail
