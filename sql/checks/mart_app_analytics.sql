-- checks of mart_app_analytics: the rows that break a rule.
--
-- reads: ga4_events
--
-- Errors: new users are users of the day, who are users of the week, who are users of the month; returning users are
-- the rest; the users last seen day by day are the distinct users of the day; nothing is negative; no more downloads of
-- a system than new users; top_screens are ten at most and have no more views than there were.
-- Warnings: averages too large for their column, events without sessions, most events without a user or session, days
-- missing in the longest window of a row, downloads of both systems above the new users, a day that lost many of the
-- users published for it or gained many, and days that have no row.

with

-- Import: one CTE per relation; only the columns used.

days as (

    select
        event_date,
        event_count,
        unidentified_events,
        screen_views,
        engagement_msec,
        user_count,
        session_count

    from ga4_days

),

month_length as (

    select monthly_days from app_settings

),

-- Logic: the rows beside their days, and the days that the longest window of each row lacks, but for those before the
-- data start and in excluded months, of which nobody is to count anything.

rows_and_days as (

    select
        mart.metric_date                                                          as period,
        mart.daily_active_users                                                   as daily_active_users,
        mart.weekly_active_users                                                  as weekly_active_users,
        mart.monthly_active_users                                                 as monthly_active_users,
        mart.new_users                                                            as new_users,
        mart.returning_users                                                      as returning_users,
        mart.total_sessions                                                       as total_sessions,
        mart.avg_session_duration_secs                                            as avg_session_duration_secs,
        mart.screens_per_session                                                  as screens_per_session,
        mart.ios_downloads                                                        as ios_downloads,
        mart.android_downloads                                                    as android_downloads,
        mart.top_screens                                                          as top_screens,
        days.event_count                                                          as event_count,
        days.unidentified_events                                                  as unidentified_events,
        days.screen_views                                                         as screen_views,
        days.engagement_msec                                                      as engagement_msec,
        days.user_count                                                           as user_count,
        days.session_count                                                        as session_count

    from mart

    left join days on mart.metric_date = days.event_date

),

lacking_days as (

    select
        periods.period_start                                                      as metric_date,
        local_days.local_date                                                     as local_date

    from periods

    cross join month_length

    cross join settings

    inner join local_days
        on local_days.local_date <= periods.period_start
        and local_days.local_date > periods.period_start - month_length.monthly_days

    anti join days on local_days.local_date = days.event_date

    anti join excluded_months on date_trunc('month', local_days.local_date) = excluded_months.month_start

    where local_days.local_date >= coalesce(settings.data_start_date, local_days.local_date)

),

-- Findings: one CTE per rule.

users as (

    select
        'users'                                                                   as rule,
        'error'                                                                   as severity,
        period                                                                    as period,
        daily_active_users || ' users of the day, ' || weekly_active_users || ' of the week, '
            || monthly_active_users || ' of the month; ' || new_users || ' new and ' || returning_users
            || ' returning'                                                       as detail

    from rows_and_days

    where not coalesce(
        new_users >= 0
        and returning_users >= 0
        and daily_active_users = new_users + returning_users
        and daily_active_users <= weekly_active_users
        and weekly_active_users <= monthly_active_users,
        false
    )

),

distinct_users as (

    select
        'distinct_users'                                                          as rule,
        'error'                                                                   as severity,
        period                                                                    as period,
        daily_active_users || ' users and ' || total_sessions || ' sessions where the events of the day have '
            || coalesce(user_count, 0) || ' and ' || coalesce(session_count, 0)   as detail

    from rows_and_days

    where
        daily_active_users is distinct from user_count
        or total_sessions is distinct from session_count

),

negative as (

    select
        'negative'                                                                as rule,
        'error'                                                                   as severity,
        period                                                                    as period,
        'duration ' || coalesce(avg_session_duration_secs::varchar, 'null') || ', screens '
            || coalesce(screens_per_session::varchar, 'null') || ', downloads ' || ios_downloads || ' and '
            || android_downloads || ', sessions ' || total_sessions               as detail

    from rows_and_days

    where
        least(avg_session_duration_secs, screens_per_session, ios_downloads, android_downloads, total_sessions) < 0

),

downloads as (

    select
        'downloads'                                                               as rule,
        'error'                                                                   as severity,
        period                                                                    as period,
        ios_downloads || ' on iOS and ' || android_downloads || ' on Android, of ' || new_users || ' new users'
                                                                                  as detail

    from rows_and_days

    where greatest(ios_downloads, android_downloads) > new_users

),

top_screens as (

    select
        'top_screens'                                                             as rule,
        'error'                                                                   as severity,
        period                                                                    as period,
        coalesce(json_array_length(top_screens)::varchar, 'no') || ' screens with '
            || coalesce(list_sum((top_screens -> '$[*].views')::bigint[])::varchar, 'no')
            || ' views, of ' || coalesce(screen_views, 0) || ' of the day'        as detail

    from rows_and_days

    where not coalesce(
        json_array_length(top_screens) <= 10
        and coalesce(list_sum((top_screens -> '$[*].views')::bigint[]), 0) <= screen_views,
        false
    )

),

both_systems as (

    select
        'both_systems'                                                            as rule,
        'warning'                                                                 as severity,
        period                                                                    as period,
        ios_downloads || ' on iOS and ' || android_downloads || ' on Android are more than the ' || new_users
            || ' new users: some opened the app for the first time on both'       as detail

    from rows_and_days

    where ios_downloads + android_downloads > new_users and greatest(ios_downloads, android_downloads) <= new_users

),

too_large as (

    select
        'too_large'                                                               as rule,
        'warning'                                                                 as severity,
        period                                                                    as period,
        'an average does not fit its column and is null: ' || engagement_msec || ' ms and ' || screen_views
            || ' screens in ' || total_sessions || ' sessions'                    as detail

    from rows_and_days

    where avg_session_duration_secs is null or screens_per_session is null

),

no_sessions as (

    select
        'no_sessions'                                                             as rule,
        'warning'                                                                 as severity,
        period                                                                    as period,
        'no session in ' || event_count || ' events: is ga_session_id still sent?'
                                                                                  as detail

    from rows_and_days

    where total_sessions = 0 and event_count > 0

),

unidentified as (

    select
        'unidentified'                                                            as rule,
        'warning'                                                                 as severity,
        period                                                                    as period,
        unidentified_events || ' of ' || event_count || ' events have no user or no session'
                                                                                  as detail

    from rows_and_days

    where unidentified_events * 2 > event_count and total_sessions > 0

),

missing_days as (

    select
        'missing_days'                                                            as rule,
        'warning'                                                                 as severity,
        null::date                                                                as period,
        'the windows of the rows from ' || min(metric_date) || ' to ' || max(metric_date) || ' lack '
            || count(distinct local_date) || ' days, the first ' || min(local_date) || ' and the last '
            || max(local_date) || ', which have no table: users of those days count as little as if there had been none'
                                                                                  as detail

    from lacking_days

    having count(*) > 0

),

volume as (

    select
        'volume'                                                                  as rule,
        'warning'                                                                 as severity,
        mart.metric_date                                                          as period,
        mart.daily_active_users || ' users where ' || published.daily_active_users || ' are published'
                                                                                  as detail

    from mart

    inner join published on mart.metric_date = published.metric_date

    cross join settings

    where
        published.daily_active_users >= 5
        and mart.daily_active_users * 100::bigint < published.daily_active_users * (100 - settings.drop_pct)

),

jumps as (

    select
        'jump'                                                                    as rule,
        'warning'                                                                 as severity,
        mart.metric_date                                                          as period,
        mart.daily_active_users || ' users where ' || published.daily_active_users || ' are published'
                                                                                  as detail

    from mart

    inner join published on mart.metric_date = published.metric_date

    cross join settings

    where
        published.daily_active_users >= 5
        and mart.daily_active_users * 100::bigint > published.daily_active_users * (100 + settings.jump_pct)

),

gap as (

    select
        'gap'                                                                     as rule,
        'warning'                                                                 as severity,
        null::date                                                                as period,
        'no row is published of ' || count(*) || ' days before the first of this run, from '
            || min(missing_periods.period_start) || ' to ' || max(missing_periods.period_start)
            || ': --from and --to restate what the source, or staging, still has' as detail

    from missing_periods

    having count(*) > 0

),

final as (

    select rule, severity, period, detail from users

    union all

    select rule, severity, period, detail from distinct_users

    union all

    select rule, severity, period, detail from negative

    union all

    select rule, severity, period, detail from downloads

    union all

    select rule, severity, period, detail from top_screens

    union all

    select rule, severity, period, detail from both_systems

    union all

    select rule, severity, period, detail from too_large

    union all

    select rule, severity, period, detail from no_sessions

    union all

    select rule, severity, period, detail from unidentified

    union all

    select rule, severity, period, detail from missing_days

    union all

    select rule, severity, period, detail from volume

    union all

    select rule, severity, period, detail from jumps

    union all

    select rule, severity, period, detail from gap

)

select * from final order by severity, period, rule, detail
