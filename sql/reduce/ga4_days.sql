-- ga4_days: one row per event_date; the measures of a day of events that add up, and its distinct users and sessions.
--
-- reads: ga4_events
--
-- Grouped, not concatenated: user 1 with session 23 is not user 12 with session 3. Events without a user, or without a
-- session, count in the sums and are no user and no session. Rows delivered twice are two rows.

with

events as (

    select
        event_date,
        event_name,
        user_pseudo_id,
        ga_session_id,
        engagement_time_msec,
        operating_system

    from ga4_events

),

users as (

    select
        event_date,
        user_pseudo_id,
        count(*) filter (where event_name = 'first_open')                         as first_opens,
        count(*) filter (where event_name = 'first_open' and operating_system in ('ios', 'ipados'))
                                                                                  as ios_first_opens,
        count(*) filter (where event_name = 'first_open' and operating_system = 'android')
                                                                                  as android_first_opens

    from events

    where user_pseudo_id is not null

    group by event_date, user_pseudo_id

),

sessions as (

    select
        event_date,
        user_pseudo_id,
        ga_session_id

    from events

    where user_pseudo_id is not null and ga_session_id is not null

    group by event_date, user_pseudo_id, ga_session_id

),

event_sums as (

    select
        event_date,
        count(*)                                                                  as event_count,
        count(*) filter (where user_pseudo_id is null or ga_session_id is null)   as unidentified_events,
        count(*) filter (where event_name = 'screen_view')                        as screen_views,
        sum(coalesce(engagement_time_msec, 0))                                    as engagement_msec

    from events

    group by event_date

),

user_sums as (

    select
        event_date,
        count(*)                                                                  as user_count,
        count(*) filter (where first_opens > 0)                                   as new_users,
        count(*) filter (where ios_first_opens > 0)                               as ios_users,
        count(*) filter (where android_first_opens > 0)                           as android_users

    from users

    group by event_date

),

session_sums as (

    select
        event_date,
        count(*)                                                                  as session_count

    from sessions

    group by event_date

),

final as (

    select
        cast(event_sums.event_date as date)                                       as event_date,
        cast(event_sums.event_count as bigint)                                    as event_count,
        cast(event_sums.unidentified_events as bigint)                            as unidentified_events,
        cast(event_sums.screen_views as bigint)                                   as screen_views,
        cast(event_sums.engagement_msec as bigint)                                as engagement_msec,
        cast(coalesce(user_sums.user_count, 0) as bigint)                         as user_count,
        cast(coalesce(user_sums.new_users, 0) as bigint)                          as new_users,
        cast(coalesce(user_sums.ios_users, 0) as bigint)                          as ios_users,
        cast(coalesce(user_sums.android_users, 0) as bigint)                      as android_users,
        cast(coalesce(session_sums.session_count, 0) as bigint)                   as session_count

    from event_sums

    left join user_sums on event_sums.event_date = user_sums.event_date

    left join session_sums on event_sums.event_date = session_sums.event_date

)

select * from final order by event_date
