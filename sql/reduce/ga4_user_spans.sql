-- ga4_user_spans: one row per event_date and next_date; how many users who were active on the one day were next active
-- on the other, which is null for those who did not come again.
--
-- reads: ga4_events
--
-- Distinct users of any window come out of it by sums alone: a user counts in the window of n days that ends with day d
-- when the last day up to d on which they were active is one of the n. Each user has exactly one such day, so no user
-- counts twice, and no day is joined with the users of thirty.

with

user_days as (

    select
        event_date,
        user_pseudo_id

    from ga4_events

    where user_pseudo_id is not null

    group by event_date, user_pseudo_id

),

next_days as (

    select
        event_date,
        lead(event_date) over (partition by user_pseudo_id order by event_date)   as next_date

    from user_days

),

final as (

    select
        cast(event_date as date)                                                  as event_date,
        cast(next_date as date)                                                   as next_date,
        cast(count(*) as bigint)                                                  as user_count

    from next_days

    group by event_date, next_date

)

select * from final order by event_date, next_date nulls last
