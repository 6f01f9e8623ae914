-- mart_app_analytics: one row per metric_date; who used the mobile app that day, for how long, and what they saw.
--
-- reads: ga4_events
--
-- A user is a distinct user_pseudo_id with any event: of the day, of the 7 days that end with it, of the 30 (settings:
-- 28). Days whose table is missing are skipped, so a window over them counts the other days.
-- New users opened the app for the first time that day (first_open); returning users are all the others of the day.
-- A session is a distinct pair of user and session id, both present. One that runs over midnight is a session of both
-- days. Its duration is time in the foreground: all engagement of the day by all sessions. Screens per session are all
-- screen views by all sessions. Events without a user or a session id count in those sums. Without sessions both are 0.
-- Downloads are users with a first_open by operating system, iPadOS with iOS; a user seen on both counts in both. The
-- stores' own numbers are not in the export.
-- Rows delivered twice are counted as delivered: the export has no key that tells a duplicate from a repetition.
--
-- The heavy part stands in reduce/: ga4_days, ga4_user_spans and ga4_screens.

with

-- Import: one CTE per relation; only the columns used.

days as (

    select
        event_date,
        event_count,
        screen_views,
        engagement_msec,
        new_users,
        ios_users,
        android_users,
        session_count

    from ga4_days

),

spans as (

    select event_date, next_date, user_count from ga4_user_spans

),

screens as (

    select event_date, rank_no, screen, view_count, user_count from ga4_screens

),

month_length as (

    select monthly_days from app_settings

),

-- Logic: where the users of each day's longest window were last seen, and its screens.

last_seen as (

    select
        periods.period_start                                                      as metric_date,
        spans.event_date                                                          as event_date,
        sum(spans.user_count)                                                     as user_count

    from periods

    inner join spans
        on spans.event_date <= periods.period_start
        and (spans.next_date is null or spans.next_date > periods.period_start)

    cross join month_length

    where spans.event_date > periods.period_start - month_length.monthly_days

    group by periods.period_start, spans.event_date

),

top_screens as (

    select
        screens.event_date                                                        as event_date,
        to_json(list(
            {'screen': screens.screen, 'views': screens.view_count, 'users': screens.user_count}
            order by screens.rank_no
        ))                                                                        as top_screens

    from screens

    group by screens.event_date

),

-- Contributions: one row per staged day and day it counts for, with the users last seen on it. The day itself also
-- brings its sums.

contributions as (

    select
        periods.period_start                                                      as metric_date,
        'ga4_events'                                                              as source_dataset,
        days.event_date::varchar                                                  as source_key,
        null::bigint                                                              as source_page,
        days.event_date                                                           as event_date,
        coalesce(last_seen.user_count, 0)                                         as user_count,
        days.event_date > periods.period_start - 7                                as is_in_week,
        days.event_date = periods.period_start                                    as is_day

    from periods

    inner join days on days.event_date <= periods.period_start

    cross join month_length

    left join last_seen
        on periods.period_start = last_seen.metric_date
        and days.event_date = last_seen.event_date

    where days.event_date > periods.period_start - month_length.monthly_days

),

user_counts as (

    select
        metric_date,
        coalesce(sum(user_count) filter (where is_day), 0)                        as daily_users,
        coalesce(sum(user_count) filter (where is_in_week), 0)                    as weekly_users,
        sum(user_count)                                                           as monthly_users

    from contributions

    group by metric_date

),

-- Final: the mart's columns, in the mart's order, cast to the mart's types. A day without events is a broken pull.

final as (

    select
        periods.period_start                                                      as metric_date,
        user_counts.daily_users::integer                                          as daily_active_users,
        user_counts.weekly_users::integer                                         as weekly_active_users,
        user_counts.monthly_users::integer                                        as monthly_active_users,
        days.new_users::integer                                                   as new_users,
        (user_counts.daily_users - days.new_users)::integer                       as returning_users,
        days.session_count::integer                                               as total_sessions,
        fits(coalesce(ratio(days.engagement_msec, days.session_count * 1000), 0), 10, 2)::decimal(10, 2)
            as avg_session_duration_secs,
        fits(coalesce(ratio(days.screen_views, days.session_count), 0), 8, 2)::decimal(8, 2)
            as screens_per_session,
        days.ios_users::integer                                                   as ios_downloads,
        days.android_users::integer                                               as android_downloads,
        coalesce(top_screens.top_screens, '[]'::json)::json                       as top_screens

    from periods

    inner join days on periods.period_start = days.event_date

    inner join user_counts on periods.period_start = user_counts.metric_date

    left join top_screens on periods.period_start = top_screens.event_date

)

select * from final order by metric_date
