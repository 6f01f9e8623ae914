-- softbase_cash_effects: one row per period, account and line of the statement of cash flows that it moved; what that
-- did to cash, by the indirect method.
--
-- reads: softbase_gl, softbase_chart_of_accounts
--
-- All movements of a month sum to zero, so cash changed by what all other accounts moved, with the sign turned. Each of
-- them belongs to one line, so the sections add up to the change in cash.
-- Depreciation moved no cash: the accounts marked as such are added back to the profit they reduced, and taken from the
-- movement of accumulated depreciation, which is their other side. What is left of that is investing: disposals.

with

-- Import: one CTE per relation; only the columns used.

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

    from effects

)

select * from final order by period_start, account_no, activity, is_own
