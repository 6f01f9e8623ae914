-- checks of mart_zoom_metrics: the rows that break a rule.
--
-- reads: zoom_call_legs, zoom_daily_report, zoom_counts, zoom_coverage
--
-- Errors: inbound and outbound calls are all calls, and as many as began that day by the legs alone; missed calls are
-- inbound ones, and a day without connected calls has no minutes; no figure is below zero; Zoom told of every day; of
-- five legs and more of a day one has a result, and of five connected ones and more one says how long it was.
-- Warnings: what the account does not have, lists of which Zoom announced more than it gave, calls of an unknown
-- direction, fewer legs without a result or a duration, results that no setting and no documentation knows, meetings
-- without participants, an average too large for its column, a newest day that the daily report does not list, a day
-- that lost many of the calls or meetings that are published for it or gained many, or of the users, phone users or
-- queues of the day before it, days without any call or meeting up to the last one, and days that have no row.

with

-- Import: one CTE per relation; only the columns used.

legs as (

    select
        zoom_call_legs.leg_id                                                     as leg_id,
        zoom_call_legs.call_id                                                    as call_id,
        zoom_call_legs.direction                                                  as direction,
        zoom_call_legs.started_at::timestamp                                      as started_at,
        zoom_call_legs.result                                                     as result,
        zoom_connected_results.result is not null                                 as is_connected,
        coalesce(
            zoom_call_legs.seconds is not null or zoom_call_legs.ended_at >= zoom_call_legs.answered_at, false
        )                                                                         as is_timed

    from zoom_call_legs

    left join zoom_connected_results on zoom_call_legs.result = zoom_connected_results.result

),

reported as (

    select report_date from zoom_daily_report

),

counts as (

    select
        snapshot_date,
        list_name,
        is_available,
        code,
        announced,
        received

    from zoom_counts

),

coverage as (

    select
        covered_date,
        part,
        is_available,
        code,
        announced,
        received

    from zoom_coverage

),

-- Logic: the calls of the periods, by their first legs.

first_legs as (

    select
        legs.call_id                                                              as call_id,
        legs.started_at                                                           as started_at,
        legs.direction                                                            as direction

    from legs

    qualify row_number() over (
        partition by legs.call_id
        order by legs.started_at, legs.direction <> 'outbound', legs.direction, legs.leg_id
    ) = 1

),

counted as (

    select
        periods.period_start                                                      as period,
        count(*) filter (where first_legs.direction = 'inbound')                  as inbound,
        count(*) filter (where first_legs.direction = 'outbound')                 as outbound,
        count(*) filter (where coalesce(first_legs.direction, '') not in ('inbound', 'outbound'))
                                                                                  as others

    from periods

    inner join first_legs
        on first_legs.started_at >= periods.starts_at and first_legs.started_at < periods.ends_at

    group by periods.period_start

),

newest_period as (

    select max(period_start) as period_start from periods

),

-- The account's users and queues, as far as they were counted.
counted_now as (

    select metric_date, 'users' as what, total_users as figure from mart where total_users is not null

    union all

    select metric_date, 'phone users' as what, phone_users as figure from mart where phone_users is not null

    union all

    select metric_date, 'call queues' as what, queue_count as figure from mart where queue_count is not null

),

counted_before as (

    select metric_date, 'users' as what, total_users as figure from published where total_users is not null

    union all

    select metric_date, 'phone users' as what, phone_users as figure from published where phone_users is not null

    union all

    select metric_date, 'call queues' as what, queue_count as figure from published where queue_count is not null

),

-- What the legs of the calls that count say.
said as (

    select
        periods.period_start                                                      as period,
        count(distinct legs.leg_id)                                               as legs,
        count(distinct legs.leg_id) filter (where legs.result is not null)        as with_result,
        count(distinct legs.leg_id) filter (where legs.is_connected)              as connected,
        count(distinct legs.leg_id) filter (where legs.is_connected and legs.is_timed)
                                                                                  as timed

    from periods

    inner join first_legs
        on first_legs.started_at >= periods.starts_at and first_legs.started_at < periods.ends_at

    inner join legs on first_legs.call_id = legs.call_id

    where first_legs.direction in ('inbound', 'outbound')

    group by periods.period_start

),

results as (

    select result from zoom_connected_results

    union all

    select result from zoom_missed_results

    union all

    select unnest([
        'voicemail', 'hang_up', 'canceled', 'call_canceled', 'call_failed', 'unconnected', 'rejected', 'blocked',
        'overflowed', 'invalid_key', 'invalid_operation', 'system_blocked', 'service_unavailable', 'missed',
        'no_answer', 'ring_timeout', 'abandoned', 'busy', 'recording', 'answered_by_other_member'
    ])                                                                            as result

),

-- Findings: one CTE per rule.

calls_and_total as (

    select
        'calls_and_total'                                                         as rule,
        'error'                                                                   as severity,
        mart.metric_date                                                          as period,
        'total_calls ' || mart.total_calls || ', inbound ' || mart.inbound_calls || ' and outbound '
            || mart.outbound_calls || ' where ' || coalesce(counted.inbound, 0) || ' and '
            || coalesce(counted.outbound, 0) || ' calls began that day'           as detail

    from mart

    left join counted on mart.metric_date = counted.period

    where
        mart.total_calls <> mart.inbound_calls + mart.outbound_calls
        or mart.inbound_calls <> coalesce(counted.inbound, 0)
        or mart.outbound_calls <> coalesce(counted.outbound, 0)

),

impossible as (

    select
        'impossible'                                                              as rule,
        'error'                                                                   as severity,
        mart.metric_date                                                          as period,
        'missed calls ' || coalesce(mart.missed_calls::varchar, 'null') || ' of ' || coalesce(
            mart.inbound_calls::varchar, 'null'
        ) || ' inbound, ' || coalesce(mart.total_call_minutes::varchar, 'null') || ' minutes of calls, '
            || coalesce(mart.total_meetings::varchar, 'null') || ' meetings, '
            || coalesce(mart.total_users::varchar, 'null') || ' users'            as detail

    from mart

    left join said on mart.metric_date = said.period

    where
        mart.missed_calls > mart.inbound_calls
        or (coalesce(said.connected, 0) = 0 and mart.total_call_minutes > 0)
        or least(
            mart.total_users, mart.phone_users, mart.queue_count, mart.total_meetings, mart.total_participants,
            mart.total_meeting_minutes, mart.missed_calls, mart.total_call_minutes, mart.avg_call_duration_mins
        ) < 0

),

not_covered as (

    select
        'not_covered'                                                             as rule,
        'error'                                                                   as severity,
        periods.period_start                                                      as period,
        'nothing is known of calls or meetings of this day: ' || count(coverage.part) || ' of 2 parts'
                                                                                  as detail

    from periods

    left join coverage on periods.period_start = coverage.covered_date

    group by periods.period_start

    having count(coverage.part) <> 2

),

lacking as (

    select
        coverage.part                                                             as part,
        coverage.code                                                             as code

    from coverage

    where not coverage.is_available

    union all

    select
        counts.list_name                                                          as part,
        counts.code                                                               as code

    from counts

    inner join periods on counts.snapshot_date = periods.period_start

    where not counts.is_available

),

lacking_parts as (

    select
        lacking.part                                                              as part,
        max(lacking.code)                                                         as code

    from lacking

    group by lacking.part

),

not_available as (

    select
        'not_available'                                                           as rule,
        'warning'                                                                 as severity,
        null::date                                                                as period,
        'the account does not have ' || array_to_string(
            list(
                lacking_parts.part || ' (Zoom says ' || lacking_parts.code || ')' order by lacking_parts.part
            ), ', '
        ) || ': their columns are null'                                           as detail

    from lacking_parts

    having count(*) > 0

),

shortfalls as (

    select
        coverage.covered_date                                                     as period,
        coverage.part                                                             as part,
        coverage.announced                                                        as announced,
        coverage.received                                                         as received

    from coverage

    union all

    select
        counts.snapshot_date                                                      as period,
        counts.list_name                                                          as part,
        sum(counts.announced)                                                     as announced,
        sum(counts.received)                                                      as received

    from counts

    group by counts.snapshot_date, counts.list_name

),

incomplete as (

    select
        'incomplete'                                                              as rule,
        'warning'                                                                 as severity,
        shortfalls.period                                                         as period,
        'Zoom announced ' || shortfalls.announced || ' records of ' || shortfalls.part || ' and gave '
            || shortfalls.received                                                as detail

    from shortfalls

    inner join periods on shortfalls.period = periods.period_start

    where shortfalls.received < shortfalls.announced

),

directions as (

    select
        'unknown_direction'                                                       as rule,
        'warning'                                                                 as severity,
        counted.period                                                            as period,
        counted.others || ' calls are neither inbound nor outbound and are not counted'
                                                                                  as detail

    from counted

    where counted.others > 0

),

-- One leg in a hundred without a result is Zoom's way, of which nobody is told every night; more than one in twenty is
-- worth a word, and all of a day's are a member that has gone or has a new name.
no_results as (

    select
        'no_result'                                                               as rule,
        'error'                                                                   as severity,
        said.period                                                               as period,
        'none of ' || said.legs || ' legs has a result: which calls connected, and which were missed, is unknown'
                                                                                  as detail

    from said

    where said.with_result = 0 and said.legs >= 5

),

few_results as (

    select
        'no_result'                                                               as rule,
        'warning'                                                                 as severity,
        null::date                                                                as period,
        sum(said.legs - said.with_result) || ' of ' || sum(said.legs)
            || ' legs have no result; a call without any is not known to be missed, and has no minutes'
                                                                                  as detail

    from said

    where said.with_result > 0 or said.legs < 5

    having sum(said.with_result) * 20 < sum(said.legs) * 19

),

no_durations as (

    select
        'no_duration'                                                             as rule,
        'error'                                                                   as severity,
        said.period                                                               as period,
        'none of ' || said.connected || ' connected legs has a duration, nor an answer and an end'
                                                                                  as detail

    from said

    where said.timed = 0 and said.connected >= 5

),

few_durations as (

    select
        'no_duration'                                                             as rule,
        'warning'                                                                 as severity,
        null::date                                                                as period,
        sum(said.connected - said.timed) || ' of ' || sum(said.connected)
            || ' connected legs have no duration, nor an answer and an end, and add no minutes'
                                                                                  as detail

    from said

    where said.timed > 0 or said.connected < 5

    having sum(said.timed) < sum(said.connected)

),

unknown_results as (

    select
        legs.result                                                               as result,
        count(*)                                                                  as legs

    from legs

    anti join results on legs.result = results.result

    where legs.result is not null

    group by legs.result

),

unheard_of as (

    select
        'unknown_result'                                                          as rule,
        'warning'                                                                 as severity,
        null::date                                                                as period,
        sum(unknown_results.legs) || ' legs end with a result that nobody has classed: ' || array_to_string(
            list(unknown_results.result order by unknown_results.result)[1:5], ', '
        ) || case when count(*) > 5 then ', …' else '' end                        as detail

    from unknown_results

    having count(*) > 0

),

meetings as (

    select
        'meetings'                                                                as rule,
        'warning'                                                                 as severity,
        mart.metric_date                                                          as period,
        mart.total_meetings || ' meetings of ' || mart.total_participants || ' participants and '
            || mart.total_meeting_minutes || ' minutes'                           as detail

    from mart

    where
        (mart.total_meetings > 0 and mart.total_participants = 0)
        or (mart.total_meetings = 0 and mart.total_participants + mart.total_meeting_minutes > 0)

),

too_large as (

    select
        'too_large'                                                               as rule,
        'warning'                                                                 as severity,
        mart.metric_date                                                          as period,
        'an average is larger than its column and is null'                        as detail

    from mart

    where
        (mart.total_call_minutes is not null and mart.avg_call_duration_mins is null)
        or (
            mart.total_meetings > 0
            and mart.total_meeting_minutes is not null
            and mart.avg_meeting_duration_mins is null
        )

),

unlisted as (

    select
        'unlisted'                                                                as rule,
        'warning'                                                                 as severity,
        coverage.covered_date                                                     as period,
        'the daily report does not list the newest day, which counts as one without meetings: Zoom may be late, and '
            || 'the nights after restate it'                                      as detail

    from coverage

    inner join newest_period on coverage.covered_date = newest_period.period_start

    anti join reported on coverage.covered_date = reported.report_date

    where coverage.part = 'daily_report' and coverage.is_available

),

-- A day's calls and meetings are held against what is published for it, and the account's users and queues against
-- those that are published last: a day is counted once.
moves as (

    select
        mart.metric_date                                                          as period,
        'calls'                                                                   as what,
        mart.total_calls                                                          as figure,
        published.total_calls                                                     as before,
        mart.metric_date                                                          as before_date

    from mart

    inner join published on mart.metric_date = published.metric_date

    union all

    select
        mart.metric_date                                                          as period,
        'meetings'                                                                as what,
        mart.total_meetings                                                       as figure,
        published.total_meetings                                                  as before,
        mart.metric_date                                                          as before_date

    from mart

    inner join published on mart.metric_date = published.metric_date

    union all

    select
        counted_now.metric_date                                                   as period,
        counted_now.what                                                          as what,
        counted_now.figure                                                        as figure,
        counted_before.figure                                                     as before,
        counted_before.metric_date                                                as before_date

    from counted_now

    inner join counted_before
        on counted_now.what = counted_before.what and counted_now.metric_date >= counted_before.metric_date

    qualify row_number() over (
        partition by counted_now.metric_date, counted_now.what order by counted_before.metric_date desc
    ) = 1

),

volume as (

    select
        'volume'                                                                  as rule,
        'warning'                                                                 as severity,
        moves.period                                                              as period,
        coalesce(moves.figure::varchar, 'no known number of') || ' ' || moves.what || ' where ' || moves.before
            || ' are published'
            || case when moves.before_date < moves.period then ' for ' || moves.before_date else '' end
                                                                                  as detail

    from moves

    cross join settings

    where
        moves.before >= 5
        and coalesce(moves.figure, 0) * 100::bigint < moves.before * (100 - settings.drop_pct)

),

jumps as (

    select
        'jump'                                                                    as rule,
        'warning'                                                                 as severity,
        moves.period                                                              as period,
        moves.figure || ' ' || moves.what || ' where ' || moves.before || ' are published'
            || case when moves.before_date < moves.period then ' for ' || moves.before_date else '' end
                                                                                  as detail

    from moves

    cross join settings

    where
        moves.before >= 5
        and moves.figure * 100::bigint > moves.before * (100 + settings.jump_pct)

),

busy_days as (

    select metric_date from mart where total_calls > 0 or total_meetings > 0

    union all

    select metric_date from published where total_calls > 0 or total_meetings > 0

),

newest as (

    select max(metric_date) as metric_date from busy_days

),

staleness as (

    select
        'stale'                                                                   as rule,
        'warning'                                                                 as severity,
        null::date                                                                as period,
        'the newest call or meeting is of ' || newest.metric_date || ', and the last day reported is '
            || max(periods.period_end)                                            as detail

    from periods

    cross join newest

    cross join settings

    group by newest.metric_date, settings.stale_days

    having newest.metric_date + settings.stale_days <= max(periods.period_end)

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

    select rule, severity, period, detail from calls_and_total

    union all

    select rule, severity, period, detail from impossible

    union all

    select rule, severity, period, detail from not_covered

    union all

    select rule, severity, period, detail from not_available

    union all

    select rule, severity, period, detail from incomplete

    union all

    select rule, severity, period, detail from directions

    union all

    select rule, severity, period, detail from no_results

    union all

    select rule, severity, period, detail from few_results

    union all

    select rule, severity, period, detail from no_durations

    union all

    select rule, severity, period, detail from few_durations

    union all

    select rule, severity, period, detail from unheard_of

    union all

    select rule, severity, period, detail from meetings

    union all

    select rule, severity, period, detail from too_large

    union all

    select rule, severity, period, detail from unlisted

    union all

    select rule, severity, period, detail from volume

    union all

    select rule, severity, period, detail from jumps

    union all

    select rule, severity, period, detail from staleness

    union all

    select rule, severity, period, detail from gap

)

select * from final order by severity, period, rule, detail
