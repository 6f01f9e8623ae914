-- explain of mart_app_analytics: what each staged row brings to each number.
--
-- Here the parts are events, users and sessions, which the reductions behind the mart have summed up: this file counts
-- them anew. A user brings the first event of each day, and counts once; a session brings its first event.
-- avg_session_duration_secs divides the milliseconds by 1000 for each session. Only the screens of the list have rows.

events as (

    select
        event_date,
        event_no,
        event_name,
        user_pseudo_id,
        ga_session_id,
        engagement_time_msec,
        operating_system,
        page,
        coalesce(firebase_screen, firebase_screen_class, firebase_screen_id) as screen

    from ga4_events

),

-- The first event of each user on each day.

user_days as (

    select
        event_date,
        user_pseudo_id,
        min(event_no) as event_no,
        min_by(page, event_no) as page,
        coalesce(bool_or(event_name = 'first_open'), false) as is_new,
        coalesce(bool_or(event_name = 'first_open' and operating_system in ('ios', 'ipados')), false) as is_new_on_ios,
        coalesce(bool_or(event_name = 'first_open' and operating_system = 'android'), false) as is_new_on_android

    from events

    where user_pseudo_id is not null

    group by event_date, user_pseudo_id

),

sessions as (

    select
        event_date,
        user_pseudo_id,
        ga_session_id,
        min(event_no) as event_no,
        min_by(page, event_no) as page

    from events

    where user_pseudo_id is not null and ga_session_id is not null

    group by event_date, user_pseudo_id, ga_session_id

),

final as (

    select
        periods.period_start as period_start,
        'daily_active_users' as column_name,
        null::varchar as entry,
        'distinct' as how,
        'ga4_events' as source_dataset,
        user_days.event_date || ' ' || user_days.event_no as source_key,
        user_days.page as source_page,
        user_days.user_pseudo_id as counted,
        1::decimal(38, 18) as part

    from periods

    inner join user_days on periods.period_start = user_days.event_date

    union all

    select
        periods.period_start as period_start,
        'weekly_active_users' as column_name,
        null::varchar as entry,
        'distinct' as how,
        'ga4_events' as source_dataset,
        user_days.event_date || ' ' || user_days.event_no as source_key,
        user_days.page as source_page,
        user_days.user_pseudo_id as counted,
        1::decimal(38, 18) as part

    from periods

    inner join user_days
        on user_days.event_date <= periods.period_start
        and user_days.event_date > periods.period_start - 7

    union all

    select
        periods.period_start as period_start,
        'monthly_active_users' as column_name,
        null::varchar as entry,
        'distinct' as how,
        'ga4_events' as source_dataset,
        user_days.event_date || ' ' || user_days.event_no as source_key,
        user_days.page as source_page,
        user_days.user_pseudo_id as counted,
        1::decimal(38, 18) as part

    from periods

    cross join month_length

    inner join user_days
        on user_days.event_date <= periods.period_start
        and user_days.event_date > periods.period_start - month_length.monthly_days

    union all

    select
        periods.period_start as period_start,
        'new_users' as column_name,
        null::varchar as entry,
        'distinct' as how,
        'ga4_events' as source_dataset,
        user_days.event_date || ' ' || user_days.event_no as source_key,
        user_days.page as source_page,
        user_days.user_pseudo_id as counted,
        1::decimal(38, 18) as part

    from periods

    inner join user_days on periods.period_start = user_days.event_date

    where user_days.is_new

    union all

    select
        periods.period_start as period_start,
        'returning_users' as column_name,
        null::varchar as entry,
        'distinct' as how,
        'ga4_events' as source_dataset,
        user_days.event_date || ' ' || user_days.event_no as source_key,
        user_days.page as source_page,
        user_days.user_pseudo_id as counted,
        1::decimal(38, 18) as part

    from periods

    inner join user_days on periods.period_start = user_days.event_date

    where not user_days.is_new

    union all

    select
        periods.period_start as period_start,
        'ios_downloads' as column_name,
        null::varchar as entry,
        'distinct' as how,
        'ga4_events' as source_dataset,
        user_days.event_date || ' ' || user_days.event_no as source_key,
        user_days.page as source_page,
        user_days.user_pseudo_id as counted,
        1::decimal(38, 18) as part

    from periods

    inner join user_days on periods.period_start = user_days.event_date

    where user_days.is_new_on_ios

    union all

    select
        periods.period_start as period_start,
        'android_downloads' as column_name,
        null::varchar as entry,
        'distinct' as how,
        'ga4_events' as source_dataset,
        user_days.event_date || ' ' || user_days.event_no as source_key,
        user_days.page as source_page,
        user_days.user_pseudo_id as counted,
        1::decimal(38, 18) as part

    from periods

    inner join user_days on periods.period_start = user_days.event_date

    where user_days.is_new_on_android

    union all

    select
        periods.period_start as period_start,
        'total_sessions' as column_name,
        null::varchar as entry,
        'sum' as how,
        'ga4_events' as source_dataset,
        sessions.event_date || ' ' || sessions.event_no as source_key,
        sessions.page as source_page,
        null::varchar as counted,
        1::decimal(38, 18) as part

    from periods

    inner join sessions on periods.period_start = sessions.event_date

    union all

    select
        periods.period_start as period_start,
        'avg_session_duration_secs' as column_name,
        null::varchar as entry,
        'numerator' as how,
        'ga4_events' as source_dataset,
        events.event_date || ' ' || events.event_no as source_key,
        events.page as source_page,
        null::varchar as counted,
        events.engagement_time_msec::decimal(38, 18) as part

    from periods

    inner join events on periods.period_start = events.event_date

    where events.engagement_time_msec is not null

    union all

    select
        periods.period_start as period_start,
        'avg_session_duration_secs' as column_name,
        null::varchar as entry,
        'denominator' as how,
        'ga4_events' as source_dataset,
        sessions.event_date || ' ' || sessions.event_no as source_key,
        sessions.page as source_page,
        null::varchar as counted,
        1000::decimal(38, 18) as part

    from periods

    inner join sessions on periods.period_start = sessions.event_date

    union all

    select
        periods.period_start as period_start,
        'screens_per_session' as column_name,
        null::varchar as entry,
        'numerator' as how,
        'ga4_events' as source_dataset,
        events.event_date || ' ' || events.event_no as source_key,
        events.page as source_page,
        null::varchar as counted,
        1::decimal(38, 18) as part

    from periods

    inner join events on periods.period_start = events.event_date

    where events.event_name = 'screen_view'

    union all

    select
        periods.period_start as period_start,
        'screens_per_session' as column_name,
        null::varchar as entry,
        'denominator' as how,
        'ga4_events' as source_dataset,
        sessions.event_date || ' ' || sessions.event_no as source_key,
        sessions.page as source_page,
        null::varchar as counted,
        1::decimal(38, 18) as part

    from periods

    inner join sessions on periods.period_start = sessions.event_date

    union all

    select
        periods.period_start as period_start,
        'top_screens' as column_name,
        events.screen || ' / views' as entry,
        'sum' as how,
        'ga4_events' as source_dataset,
        events.event_date || ' ' || events.event_no as source_key,
        events.page as source_page,
        null::varchar as counted,
        1::decimal(38, 18) as part

    from periods

    inner join events on periods.period_start = events.event_date

    inner join screens on events.event_date = screens.event_date and events.screen = screens.screen

    where events.event_name = 'screen_view'

    union all

    select
        periods.period_start as period_start,
        'top_screens' as column_name,
        events.screen || ' / users' as entry,
        'distinct' as how,
        'ga4_events' as source_dataset,
        events.event_date || ' ' || events.event_no as source_key,
        events.page as source_page,
        events.user_pseudo_id as counted,
        1::decimal(38, 18) as part

    from periods

    inner join events on periods.period_start = events.event_date

    inner join screens on events.event_date = screens.event_date and events.screen = screens.screen

    where events.event_name = 'screen_view' and events.user_pseudo_id is not null

)

select * from final order by period_start, column_name, entry, how, source_dataset, source_key, counted, part
