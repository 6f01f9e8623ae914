-- softbase_cash_effects: one row per period, account and line of the statement of cash flows that it moved; what that
-- did to cash, by the indirect method; and what rounding the lines to cents takes.
--
-- reads: softbase_gl, softbase_chart_of_accounts
--
-- All movements of a month sum to zero, so cash changed by what all other accounts moved, with the sign turned. Each of
-- them belongs to one line, so the sections add up to the change in cash.
-- Depreciation moved no cash: the accounts marked as such are added back to the profit they reduced, and taken from the
-- movement of accumulated depreciation, which is their other side. What is left of that is investing: disposals.
-- The ledger has four places and a statement two. Investing, financing, other and working capital are rounded as the
-- sums that they are; net income takes what they leave of the rounded change in cash, and the largest category of each
-- what the others leave of it, so that the statement adds up to the cent. What that takes is an effect of no account.
-- Where the lines are not the change in cash before they are rounded, net income takes nothing: the gap is to be seen.

with

-- Import: one CTE per relation; only the columns used.

cash_changes as (

    select
        period_start,
        coalesce(sum(movement) filter (where activity = 'cash'), 0) as amount

    from softbase_ledger

    group by period_start

),

ledger as (

    select
        period_start,
        account_no,
        month_start,
        account_class,
        activity,
        is_depreciation,
        movement

    from softbase_ledger

    where movement <> 0 and activity <> 'cash'

),

-- Logic: what each account did itself, and the depreciation on both of its sides.

effects as (

    select
        period_start,
        account_no,
        month_start,
        account_class                                               as category,
        activity,
        true                                                        as is_own,
        -movement                                                   as amount

    from ledger

    union all

    select
        period_start,
        account_no,
        month_start,
        'depreciation'                                              as category,
        'depreciation'                                              as activity,
        false                                                       as is_own,
        movement                                                    as amount

    from ledger

    where is_depreciation

    union all

    select
        period_start,
        account_no,
        month_start,
        'accumulated_depreciation'                                  as category,
        'investing'                                                 as activity,
        false                                                       as is_own,
        -movement                                                   as amount

    from ledger

    where is_depreciation

),

-- Logic: what it takes to come from four places to cents.

categories as (

    select
        period_start,
        category,
        activity,
        sum(amount)                                                 as amount,
        sum(amount)::decimal(38, 2)                                 as cents,
        row_number() over (partition by period_start, activity order by abs(sum(amount)) desc, category)
                                                                    as place

    from effects

    where activity in ('working_capital', 'investing', 'financing', 'other')

    group by period_start, category, activity

),

activities as (

    select
        period_start,
        activity,
        sum(amount)::decimal(38, 2)                                 as cents,
        sum(amount)::decimal(38, 2) - sum(cents)                    as left_over

    from categories

    group by period_start, activity

),

-- All that moved cash, and of it net income and depreciation.

totals as (

    select
        period_start,
        sum(amount)                                                 as amount,
        coalesce(sum(amount) filter (where activity in ('net_income', 'depreciation')), 0)
                                                                    as profit

    from effects

    group by period_start

),

rounded as (

    select
        period_start,
        sum(cents)                                                  as cents

    from activities

    group by period_start

),

roundings as (

    select
        categories.period_start                                     as period_start,
        categories.category                                         as category,
        categories.activity                                         as activity,
        categories.cents - categories.amount
            + case when categories.place = 1 then activities.left_over else 0 end
                                                                    as amount

    from categories

    inner join activities
        on categories.period_start = activities.period_start
        and categories.activity = activities.activity

    union all

    select
        totals.period_start                                         as period_start,
        'rounding'                                                  as category,
        'net_income'                                                as activity,
        totals.amount::decimal(38, 2) - coalesce(rounded.cents, 0) - totals.profit
                                                                    as amount

    from totals

    inner join cash_changes
        on totals.period_start = cash_changes.period_start
        and totals.amount = cash_changes.amount

    left join rounded on totals.period_start = rounded.period_start

),

lines as (

    select period_start, account_no, month_start, category, activity, is_own, amount from effects

    union all

    select
        period_start,
        null                                                        as account_no,
        period_start                                                as month_start,
        category,
        activity,
        false                                                       as is_own,
        amount

    from roundings

    where amount <> 0

),

final as (

    select
        period_start::date                                          as period_start,
        account_no::varchar                                         as account_no,
        month_start::date                                           as month_start,
        category::varchar                                           as category,
        activity::varchar                                           as activity,
        case
            when activity in ('net_income', 'depreciation', 'working_capital') then 'operating'
            else activity
        end::varchar                                                as section,
        is_own::boolean                                             as is_own,
        amount::decimal(38, 4)                                      as amount

    from lines

)

select * from final order by period_start, account_no, activity, category, is_own
