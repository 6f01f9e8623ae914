-- mart_case_metrics: one row per snapshot_date; the cases as they stood when the snapshot of that day was taken.
--
-- reads: cases_summary, cases_columns
--
-- A case created after the day is left out, also where it was closed by then. One without a usable day of creation
-- counts among all cases and is new on no day. The 30 days are local days and end with snapshot_date, both included.
-- Type and category are counted over the cases created in those days, status over all cases.
-- A label is told by its letters: blanks around it and repeated ones inside do not count, nor does case. It is shown as
-- most cases of the snapshot spell it. A label that is missing, empty or says unknown is Unknown.
-- Categories of fewer new cases than min_group_size are shown as one, because a small group may point at a person.
-- cases_columns is for the audit alone.

with

-- Import: one CTE per relation; only the columns used.

cases as (

    select
        snapshot_date,
        row_no,
        created_date,
        closed_date,
        case_type,
        workflow_status,
        category

    from cases_summary

),

groups as (

    select min_group_size from case_settings

),

-- Logic: the cases of each day, their labels without needless blanks, how each label is spelt, how large a group is.

counted as (

    select
        periods.period_start                                                      as snapshot_date,
        cases.row_no                                                              as row_no,
        coalesce(
            cases.created_date >= periods.period_end - 29 and cases.created_date <= periods.period_end, false
        )                                                                         as is_new,
        coalesce(
            cases.closed_date >= periods.period_end - 29 and cases.closed_date <= periods.period_end, false
        )                                                                         as is_closed,
        trim(regexp_replace(coalesce(cases.case_type, ''), '[\s\p{Z}]+', ' ', 'g'))
                                                                                  as type_text,
        trim(regexp_replace(coalesce(cases.workflow_status, ''), '[\s\p{Z}]+', ' ', 'g'))
                                                                                  as status_text,
        trim(regexp_replace(coalesce(cases.category, ''), '[\s\p{Z}]+', ' ', 'g'))
                                                                                  as category_text

    from periods

    inner join cases on periods.period_start = cases.snapshot_date

    where cases.created_date is null or cases.created_date <= periods.period_end

),

texts as (

    select snapshot_date, 'type' as subject, type_text as text from counted

    union all

    select snapshot_date, 'status' as subject, status_text as text from counted

    union all

    select snapshot_date, 'category' as subject, category_text as text from counted

),

spellings as (

    select
        texts.snapshot_date                                                       as snapshot_date,
        texts.subject                                                             as subject,
        lower(texts.text)                                                         as folded,
        case when lower(texts.text) in ('', 'unknown') then 'Unknown' else texts.text end
                                                                                  as label

    from texts

    group by texts.snapshot_date, texts.subject, texts.text

    -- The commonest; of equally common ones the first, so that the order of rows does not matter.
    qualify row_number() over (
        partition by texts.snapshot_date, texts.subject, lower(texts.text) order by count(*) desc, texts.text
    ) = 1

),

labelled as (

    select
        counted.snapshot_date                                                     as snapshot_date,
        counted.row_no                                                            as row_no,
        counted.is_new                                                            as is_new,
        counted.is_closed                                                         as is_closed,
        types.label                                                               as type_label,
        statuses.label                                                            as status_label,
        categories.label                                                          as category_label,
        count(*) filter (where counted.is_new) over (
            partition by counted.snapshot_date, categories.label
        )                                                                         as category_size

    from counted

    inner join spellings as types
        on counted.snapshot_date = types.snapshot_date
        and types.subject = 'type'
        and lower(counted.type_text) = types.folded

    inner join spellings as statuses
        on counted.snapshot_date = statuses.snapshot_date
        and statuses.subject = 'status'
        and lower(counted.status_text) = statuses.folded

    inner join spellings as categories
        on counted.snapshot_date = categories.snapshot_date
        and categories.subject = 'category'
        and lower(counted.category_text) = categories.folded

),

-- Contributions: one row per case that counts, with the labels it counts under.

contributions as (

    select
        labelled.snapshot_date                                                    as snapshot_date,
        'cases_summary'                                                           as source_dataset,
        labelled.row_no::varchar                                                  as source_key,
        null::bigint                                                              as source_page,
        labelled.is_new                                                           as is_new,
        labelled.is_closed                                                        as is_closed,
        labelled.status_label                                                     as status_label,
        case when labelled.is_new then labelled.type_label end                    as type_label,
        case
            when labelled.is_new and labelled.category_size < groups.min_group_size then 'Other (small groups)'
            when labelled.is_new then labelled.category_label
        end                                                                       as category_label

    from labelled

    cross join groups

),

-- Final: the mart's columns, in the mart's order, cast to the mart's types. A day without a snapshot has no row.

final as (

    select
        periods.period_start                                                      as snapshot_date,
        count(*)::integer                                                         as total_cases,
        count(*) filter (where contributions.is_new)::integer                     as new_cases_30d,
        count(*) filter (where contributions.is_closed)::integer                  as closed_cases_30d,
        breakdown(
            list_transform(
                map_entries(
                    histogram(contributions.type_label) filter (where contributions.type_label is not null)
                ), lambda entry: (entry.key, entry.value)
            )
        )                                                                         as cases_by_type,
        breakdown(
            list_transform(
                map_entries(histogram(contributions.status_label)), lambda entry: (entry.key, entry.value)
            )
        )                                                                         as cases_by_status,
        breakdown(
            list_transform(
                map_entries(
                    histogram(contributions.category_label) filter (where contributions.category_label is not null)
                ), lambda entry: (entry.key, entry.value)
            )
        )                                                                         as cases_by_category

    from periods

    inner join contributions on periods.period_start = contributions.snapshot_date

    group by periods.period_start

)

select * from final order by snapshot_date
