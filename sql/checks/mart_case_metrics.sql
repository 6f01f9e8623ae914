-- checks of mart_case_metrics: the rows that break a rule.
--
-- reads: cases_summary, cases_columns
--
-- Errors: types and categories add up to the new cases, statuses to all cases; no count is negative or larger than the
-- total; the counts are those of the staged cases, counted once more by their days; no category is smaller than
-- the settings allow.
-- Warnings: cases that were closed before they were created, many cases without a day of creation, a total far from the
-- one published last, a table in which nothing is new, columns that nobody has put on the list yet, and days that have
-- no row.
-- No label appears in a finding.

with

-- Import: one CTE per relation; only the columns used.

cases as (

    select snapshot_date, created_date, closed_date from cases_summary

),

source_columns as (

    select snapshot_date, column_name, is_known from cases_columns

),

-- Logic: what the breakdowns say, what the staged cases say, and what readers saw last.

breakdowns as (

    select
        mart.snapshot_date                                                        as period,
        coalesce(list_sum(map_values(mart.cases_by_type::map(varchar, bigint))), 0)
                                                                                  as type_cases,
        coalesce(list_sum(map_values(mart.cases_by_status::map(varchar, bigint))), 0)
                                                                                  as status_cases,
        coalesce(list_sum(map_values(mart.cases_by_category::map(varchar, bigint))), 0)
                                                                                  as category_cases,
        list_transform(
            list_filter(
                map_entries(mart.cases_by_category::map(varchar, bigint)),
                lambda entry: entry.key <> 'Other (small groups)'
            ), lambda entry: entry.value
        )                                                                         as category_sizes

    from mart

),

counted as (

    select
        periods.period_start                                                      as period,
        count(*)                                                                  as total_cases,
        count(*) filter (where datediff('day', cases.created_date, periods.period_end) between 0 and 29)
                                                                                  as new_cases,
        count(*) filter (where datediff('day', cases.closed_date, periods.period_end) between 0 and 29)
                                                                                  as closed_cases,
        count(*) filter (
            where cases.closed_date < cases.created_date
            and datediff('day', cases.closed_date, periods.period_end) between 0 and 29
        )                                                                         as reversed_cases,
        count(*) filter (where cases.created_date is null)                        as undated_cases,
        max(
            greatest(
                cases.created_date,
                case when cases.closed_date <= periods.period_end then cases.closed_date end
            )
        )                                                                         as newest_date

    from periods

    inner join cases
        on periods.period_start = cases.snapshot_date
        and coalesce(cases.created_date, periods.period_end) <= periods.period_end

    group by periods.period_start

),

last_published as (

    select
        mart.snapshot_date                                                        as period,
        max(published.snapshot_date)                                              as snapshot_date

    from mart

    inner join published on published.snapshot_date <= mart.snapshot_date

    group by mart.snapshot_date

),

-- Findings: one CTE per rule.

parts_and_total as (

    select
        'parts_and_total'                                                         as rule,
        'error'                                                                   as severity,
        mart.snapshot_date                                                        as period,
        'of ' || mart.total_cases || ' cases and ' || mart.new_cases_30d || ' new ones, types add up to '
            || breakdowns.type_cases || ', statuses to ' || breakdowns.status_cases || ', categories to '
            || breakdowns.category_cases                                          as detail

    from mart

    inner join breakdowns on mart.snapshot_date = breakdowns.period

    where
        mart.new_cases_30d <> breakdowns.type_cases
        or mart.total_cases <> breakdowns.status_cases
        or mart.new_cases_30d <> breakdowns.category_cases

),

counts as (

    select
        'counts'                                                                  as rule,
        'error'                                                                   as severity,
        mart.snapshot_date                                                        as period,
        'of ' || mart.total_cases || ' cases ' || mart.new_cases_30d || ' are new and ' || mart.closed_cases_30d
            || ' closed'                                                          as detail

    from mart

    where
        greatest(mart.new_cases_30d, mart.closed_cases_30d) > mart.total_cases
        or least(mart.total_cases, mart.new_cases_30d, mart.closed_cases_30d) < 0

),

windows as (

    select
        'windows'                                                                 as rule,
        'error'                                                                   as severity,
        mart.snapshot_date                                                        as period,
        mart.total_cases || ' cases, ' || mart.new_cases_30d || ' new and ' || mart.closed_cases_30d
            || ' closed are not the staged ' || coalesce(counted.total_cases, 0) || ', '
            || coalesce(counted.new_cases, 0) || ' and ' || coalesce(counted.closed_cases, 0)
                                                                                  as detail

    from mart

    left join counted on mart.snapshot_date = counted.period

    where
        mart.total_cases <> coalesce(counted.total_cases, 0)
        or mart.new_cases_30d <> coalesce(counted.new_cases, 0)
        or mart.closed_cases_30d <> coalesce(counted.closed_cases, 0)

),

small_groups as (

    select
        'small_groups'                                                            as rule,
        'error'                                                                   as severity,
        breakdowns.period                                                         as period,
        'a category of ' || list_min(breakdowns.category_sizes) || ' cases would show, and the settings want '
            || case_settings.min_group_size                                       as detail

    from breakdowns

    cross join case_settings

    where list_min(breakdowns.category_sizes) < case_settings.min_group_size

),

reversed as (

    select
        'closed_before_created'                                                   as rule,
        'warning'                                                                 as severity,
        counted.period                                                            as period,
        counted.reversed_cases || ' of ' || counted.closed_cases || ' cases closed in the window were closed before '
            || 'they were created'                                                as detail

    from counted

    where counted.reversed_cases > 0

),

undated as (

    select
        'undated'                                                                 as rule,
        'warning'                                                                 as severity,
        counted.period                                                            as period,
        counted.undated_cases || ' of ' || counted.total_cases || ' cases have no usable day of creation, and are new '
            || 'on no day'                                                        as detail

    from counted

    where counted.undated_cases * 100 > counted.total_cases

),

volume as (

    select
        'volume'                                                                  as rule,
        'warning'                                                                 as severity,
        mart.snapshot_date                                                        as period,
        mart.total_cases || ' cases where ' || published.total_cases || ' are published for '
            || published.snapshot_date                                            as detail

    from mart

    inner join last_published on mart.snapshot_date = last_published.period

    inner join published on last_published.snapshot_date = published.snapshot_date

    cross join settings

    where
        published.total_cases >= 5
        and mart.total_cases * 100::bigint < published.total_cases * (100 - settings.drop_pct)

),

staleness as (

    select
        'stale'                                                                   as rule,
        'warning'                                                                 as severity,
        counted.period                                                            as period,
        'the newest case was created or closed on ' || coalesce(counted.newest_date::varchar, 'no day at all')
                                                                                  as detail

    from counted

    cross join settings

    where counted.newest_date is null or counted.newest_date + settings.stale_days <= counted.period

),

new_columns as (

    select
        'new_columns'                                                             as rule,
        'warning'                                                                 as severity,
        periods.period_start                                                      as period,
        count(*) || ' columns of the table are not on the list and were not read: ' || array_to_string(
            list('[' || source_columns.column_name || ']' order by source_columns.column_name)[1:5], ', '
        ) || case when count(*) > 5 then ', …' else '' end                        as detail

    from periods

    inner join source_columns on periods.period_start = source_columns.snapshot_date

    where not source_columns.is_known

    group by periods.period_start

),

jumps as (

    select
        'jump'                                                                    as rule,
        'warning'                                                                 as severity,
        mart.snapshot_date                                                        as period,
        mart.total_cases || ' cases where ' || published.total_cases || ' are published for '
            || published.snapshot_date                                            as detail

    from mart

    inner join last_published on mart.snapshot_date = last_published.period

    inner join published on last_published.snapshot_date = published.snapshot_date

    cross join settings

    where
        published.total_cases >= 5
        and mart.total_cases * 100::bigint > published.total_cases * (100 + settings.jump_pct)

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

    select rule, severity, period, detail from parts_and_total

    union all

    select rule, severity, period, detail from counts

    union all

    select rule, severity, period, detail from windows

    union all

    select rule, severity, period, detail from small_groups

    union all

    select rule, severity, period, detail from reversed

    union all

    select rule, severity, period, detail from undated

    union all

    select rule, severity, period, detail from volume

    union all

    select rule, severity, period, detail from staleness

    union all

    select rule, severity, period, detail from new_columns

    union all

    select rule, severity, period, detail from jumps

    union all

    select rule, severity, period, detail from gap

)

select * from final order by severity, period, rule, detail
