-- explain of mart_zoom_metrics: what each staged row brings to each number.
--
-- A call brings 1 to each count that it is in, a day of the report its sums, a list how many are on it.
-- total_call_minutes divides the seconds of the calls by 60; avg_call_duration_mins by 60 for each connected call. A
-- call of which Zoom does not say how long it was brings neither; where none was timed there is nothing to divide.

parts as (

    select
        metric_date as period_start,
        source_dataset,
        source_key,
        source_page,
        case when list_name = 'users' then record_count end as total_users,
        case when list_name = 'phone_users' then record_count end as phone_users,
        case when list_name = 'call_queues' then record_count end as queue_count,
        meetings as total_meetings,
        meeting_minutes as total_meeting_minutes,
        participants as total_participants,
        case when direction is not null then 1 end as total_calls,
        case when direction = 'inbound' then 1 end as inbound_calls,
        case when direction = 'outbound' then 1 end as outbound_calls,
        case when is_missed then 1 end as missed_calls

    from contributions

),

final as (

    select
        period_start,
        column_name,
        null::varchar as entry,
        'sum' as how,
        source_dataset,
        source_key,
        source_page,
        null::varchar as counted,
        part::decimal(38, 18) as part

    from parts

    unpivot (
        part for column_name in (
            total_users,
            phone_users,
            queue_count,
            total_meetings,
            total_meeting_minutes,
            total_participants,
            total_calls,
            inbound_calls,
            outbound_calls,
            missed_calls
        )
    )

    union all

    select
        metric_date as period_start,
        'avg_meeting_duration_mins' as column_name,
        null::varchar as entry,
        'numerator' as how,
        source_dataset,
        source_key,
        source_page,
        null::varchar as counted,
        meeting_minutes::decimal(38, 18) as part

    from contributions

    where meeting_minutes is not null

    union all

    select
        metric_date as period_start,
        'avg_meeting_duration_mins' as column_name,
        null::varchar as entry,
        'denominator' as how,
        source_dataset,
        source_key,
        source_page,
        null::varchar as counted,
        meetings::decimal(38, 18) as part

    from contributions

    where meetings is not null

    union all

    select
        metric_date as period_start,
        'total_call_minutes' as column_name,
        null::varchar as entry,
        'numerator' as how,
        source_dataset,
        source_key,
        source_page,
        null::varchar as counted,
        seconds::decimal(38, 18) as part

    from contributions

    where seconds is not null

    union all

    select
        metric_date as period_start,
        'total_call_minutes' as column_name,
        null::varchar as entry,
        'denominator' as how,
        null::varchar as source_dataset,
        null::varchar as source_key,
        null::bigint as source_page,
        null::varchar as counted,
        60::decimal(38, 18) as part

    from contributions

    where is_connected and seconds is not null

    group by metric_date

    union all

    select
        metric_date as period_start,
        'avg_call_duration_mins' as column_name,
        null::varchar as entry,
        'numerator' as how,
        source_dataset,
        source_key,
        source_page,
        null::varchar as counted,
        seconds::decimal(38, 18) as part

    from contributions

    where is_connected and seconds is not null

    union all

    select
        metric_date as period_start,
        'avg_call_duration_mins' as column_name,
        null::varchar as entry,
        'denominator' as how,
        source_dataset,
        source_key,
        source_page,
        null::varchar as counted,
        60::decimal(38, 18) as part

    from contributions

    where is_connected and seconds is not null

)

select * from final order by period_start, column_name, entry, how, source_dataset, source_key, counted, part
