-- mart_zoom_metrics: one row per metric_date; the account's users, its meetings and its telephone calls of a local day.
--
-- reads: zoom_call_legs, zoom_daily_report, zoom_counts, zoom_coverage
--
-- A call is counted once, however many legs it has: on the day and with the direction of its first leg. Of two legs
-- that begin together the outbound one is first, because a call is placed before it rings. total_calls is inbound plus
-- outbound; a call of an unknown direction is in neither, nor in the minutes, and the audit reports it.
-- A call is connected when the result of any leg is one of zoom_connected_results. An inbound call that did not connect
-- is missed when the result of its last leg is one of zoom_missed_results, which has voicemail in it only by setting.
-- A connected call lasts as long as its longest connected leg, whose seconds are those that Zoom delivers, else those
-- from answer to end; what rang unanswered lasts nothing. Seconds are summed, and rounded to minutes once, half up. The
-- average is over connected calls, 0 when there are none.
-- Of a call without any result nobody knows whether it connected, and of a connected one without seconds how long it
-- was: they add nothing to minutes and missed calls, and do not divide the average. A day that has only such calls
-- where another would have counted has null.
-- Meetings, participants and minutes are Zoom's daily report's; a day that it does not list had none. The average is
-- minutes over meetings.
-- Users, phone users and call queues count all statuses, as of the day, without users created after it. A day on which
-- they were not counted has null.
-- What the account does not have, Zoom Phone or reports, is null and not 0.

with

-- Import: one CTE per relation; only the columns used.

legs as (

    select
        zoom_call_legs.leg_id                                                     as leg_id,
        zoom_call_legs.call_id                                                    as call_id,
        zoom_call_legs.direction                                                  as direction,
        zoom_call_legs.started_at::timestamp                                      as started_at,
        coalesce(zoom_call_legs.ended_at, zoom_call_legs.started_at)::timestamp   as ended_at,
        coalesce(
            zoom_call_legs.seconds,
            case
                when zoom_call_legs.ended_at >= zoom_call_legs.answered_at
                    then date_sub('second', zoom_call_legs.answered_at::timestamp, zoom_call_legs.ended_at::timestamp)
            end
        )                                                                         as seconds,
        zoom_missed_results.result is not null                                    as is_missed,
        case when zoom_call_legs.result is not null then zoom_connected_results.result is not null end
                                                                                  as is_connected,
        zoom_call_legs.page                                                       as page

    from zoom_call_legs

    left join zoom_missed_results on zoom_call_legs.result = zoom_missed_results.result

    left join zoom_connected_results on zoom_call_legs.result = zoom_connected_results.result

),

reported as (

    select
        report_date,
        meetings,
        participants,
        meeting_minutes,
        page

    from zoom_daily_report

),

counts as (

    select
        snapshot_date,
        list_name,
        status,
        is_available,
        records - created_later                                                   as record_count,
        page

    from zoom_counts

),

coverage as (

    select
        covered_date,
        coalesce(bool_and(is_available) filter (where part = 'calls'), false)     as has_calls,
        coalesce(bool_and(is_available) filter (where part = 'daily_report'), false)
                                                                                  as has_report

    from zoom_coverage

    group by covered_date

),

-- Logic: what a call came to. A leg without a result says nothing of whether its call connected.

calls as (

    select
        legs.call_id                                                              as call_id,
        min(legs.started_at)                                                      as started_at,
        first(
            legs.direction order by legs.started_at, legs.direction <> 'outbound', legs.direction, legs.leg_id
        )                                                                         as direction,
        bool_or(legs.is_connected)                                                as is_connected,
        last(
            legs.is_missed order by legs.started_at, legs.ended_at, legs.leg_id
        )                                                                         as ended_missed,
        max(legs.seconds) filter (where legs.is_connected)                        as seconds,
        min(legs.page)                                                            as page

    from legs

    group by legs.call_id

),

-- Contributions: one row per call of the day, per day of the report, and per list that was counted that day.

contributions as (

    select
        periods.period_start                                                      as metric_date,
        'zoom_call_legs'                                                          as source_dataset,
        calls.call_id                                                             as source_key,
        calls.page                                                                as source_page,
        calls.direction                                                           as direction,
        calls.is_connected                                                        as is_connected,
        calls.direction = 'inbound'
            and case when calls.is_connected then false when not calls.is_connected then calls.ended_missed end
                                                                                  as is_missed,
        case when calls.is_connected then calls.seconds when not calls.is_connected then 0 end
                                                                                  as seconds,
        null::bigint                                                              as meetings,
        null::bigint                                                              as participants,
        null::bigint                                                              as meeting_minutes,
        null                                                                      as list_name,
        null::boolean                                                             as is_available,
        null::bigint                                                              as record_count

    from periods

    inner join calls on calls.started_at >= periods.starts_at and calls.started_at < periods.ends_at

    where calls.direction in ('inbound', 'outbound')

    union all

    select
        periods.period_start                                                      as metric_date,
        'zoom_daily_report'                                                       as source_dataset,
        reported.report_date::varchar                                             as source_key,
        reported.page                                                             as source_page,
        null                                                                      as direction,
        null                                                                      as is_connected,
        null                                                                      as is_missed,
        null                                                                      as seconds,
        reported.meetings                                                         as meetings,
        reported.participants                                                     as participants,
        reported.meeting_minutes                                                  as meeting_minutes,
        null                                                                      as list_name,
        null                                                                      as is_available,
        null                                                                      as record_count

    from periods

    inner join reported on periods.period_start = reported.report_date

    union all

    select
        periods.period_start                                                      as metric_date,
        'zoom_counts'                                                             as source_dataset,
        counts.list_name || ' ' || counts.status                                  as source_key,
        counts.page                                                               as source_page,
        null                                                                      as direction,
        null                                                                      as is_connected,
        null                                                                      as is_missed,
        null                                                                      as seconds,
        null                                                                      as meetings,
        null                                                                      as participants,
        null                                                                      as meeting_minutes,
        counts.list_name                                                          as list_name,
        counts.is_available                                                       as is_available,
        counts.record_count                                                       as record_count

    from periods

    inner join counts on periods.period_start = counts.snapshot_date

),

sums as (

    select
        contributions.metric_date                                                 as metric_date,
        sum(contributions.record_count) filter (where contributions.list_name = 'users')
                                                                                  as total_users,
        sum(contributions.record_count) filter (where contributions.list_name = 'phone_users')
                                                                                  as phone_users,
        sum(contributions.record_count) filter (where contributions.list_name = 'call_queues')
                                                                                  as queue_count,
        coalesce(
            bool_and(contributions.is_available) filter (where contributions.list_name = 'users'), false
        )                                                                         as has_users,
        coalesce(
            bool_and(contributions.is_available) filter (where contributions.list_name = 'phone_users'), false
        )                                                                         as has_phone_users,
        coalesce(
            bool_and(contributions.is_available) filter (where contributions.list_name = 'call_queues'), false
        )                                                                         as has_queues,
        count(*) filter (where contributions.source_dataset = 'zoom_daily_report')
                                                                                  as reports,
        sum(contributions.meetings)                                               as meetings,
        sum(contributions.participants)                                           as participants,
        sum(contributions.meeting_minutes)                                        as meeting_minutes,
        count(*) filter (where contributions.direction = 'inbound')               as inbound_calls,
        count(*) filter (where contributions.direction = 'outbound')              as outbound_calls,
        count(*) filter (where contributions.is_missed)                           as missed_calls,
        count(*) filter (where contributions.direction = 'inbound' and contributions.is_missed is null)
                                                                                  as unjudged_calls,
        count(*) filter (where contributions.is_connected and contributions.seconds is not null)
                                                                                  as timed_calls,
        count(*) filter (where contributions.direction is not null and contributions.seconds is null)
                                                                                  as untimed_calls,
        coalesce(sum(contributions.seconds), 0)                                   as seconds

    from contributions

    group by contributions.metric_date

),

-- Final: the mart's columns, in the mart's order, cast to the mart's types. A day of which Zoom told nothing has no
-- row, and the job stops.

final as (

    select
        periods.period_start                                                      as metric_date,
        case when sums.has_users then sums.total_users end::integer               as total_users,
        case when sums.has_phone_users then sums.phone_users end::integer         as phone_users,
        case
            when not coverage.has_report then null
            when coalesce(sums.reports, 0) = 0 then 0
            else sums.meetings
        end::integer                                                              as total_meetings,
        case
            when not coverage.has_report then null
            when coalesce(sums.reports, 0) = 0 then 0
            else sums.meeting_minutes
        end::integer                                                              as total_meeting_minutes,
        case
            when not coverage.has_report then null
            when coalesce(sums.reports, 0) = 0 then 0
            else sums.participants
        end::integer                                                              as total_participants,
        case
            when not coverage.has_report then null
            when coalesce(sums.reports, 0) = 0 or sums.meetings = 0 then 0
            else fits(ratio(sums.meeting_minutes, sums.meetings), 8, 2)
        end::decimal(8, 2)                                                        as avg_meeting_duration_mins,
        case when coverage.has_calls then coalesce(sums.inbound_calls + sums.outbound_calls, 0) end::integer
                                                                                  as total_calls,
        case when coverage.has_calls then coalesce(sums.inbound_calls, 0) end::integer
                                                                                  as inbound_calls,
        case when coverage.has_calls then coalesce(sums.outbound_calls, 0) end::integer
                                                                                  as outbound_calls,
        case
            when not coverage.has_calls then null
            when sums.unjudged_calls > 0 and sums.unjudged_calls = sums.inbound_calls then null
            else coalesce(sums.missed_calls, 0)
        end::integer                                                              as missed_calls,
        case
            when not coverage.has_calls then null
            when sums.timed_calls = 0 and sums.untimed_calls > 0 then null
            -- Half up: no seconds are below zero.
            else (coalesce(sums.seconds, 0) + 30) // 60
        end::integer                                                              as total_call_minutes,
        case
            when not coverage.has_calls then null
            when sums.timed_calls = 0 and sums.untimed_calls > 0 then null
            when coalesce(sums.timed_calls, 0) = 0 then 0
            else fits(ratio(sums.seconds, 60 * sums.timed_calls), 8, 2)
        end::decimal(8, 2)                                                        as avg_call_duration_mins,
        case when sums.has_queues then sums.queue_count end::integer              as queue_count

    from periods

    inner join coverage on periods.period_start = coverage.covered_date

    left join sums on periods.period_start = sums.metric_date

)

select * from final order by metric_date
