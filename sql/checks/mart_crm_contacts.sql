-- checks of mart_crm_contacts: the rows that break a rule.
--
-- reads: hubspot_contacts, hubspot_lifecycle_stages
--
-- Errors: the eight stages come to the total, no count is negative, new in 7 days are new in 30 and all are contacts,
-- and the total is that of the ids in the snapshot.
-- Warnings: a listing that HubSpot's own count does not confirm, contacts listed twice, stages that the account does
-- not know, contacts without a creation date, a snapshot that lost many of the contacts published before it or gained
-- many, one in which nothing is new, and days that have no row.

with

-- Import: one CTE per relation; only the columns used.

contacts as (

    select
        snapshot_date,
        contact_id,
        lifecycle_stage,
        coalesce(created_at, record_created_at)                                   as created_at,
        created_at is null                                                        as is_undated,
        greatest(created_at, record_created_at, modified_at)                      as changed_at

    from hubspot_contacts

    where not is_archived

),

stages as (

    select snapshot_date, lower(stage_id) as stage_id from hubspot_lifecycle_stages

),

totals as (

    select
        period::date                                                              as snapshot_date,
        min(total::bigint)                                                        as least,
        max(total::bigint)                                                        as most

    from source_totals

    where dataset = 'hubspot_contacts'

    group by period

),

-- Logic: what the snapshots hold.

listed as (

    select
        contacts.snapshot_date                                                    as snapshot_date,
        count(*)                                                                  as listings,
        count(distinct contacts.contact_id)                                       as contacts,
        count(distinct contacts.contact_id) filter (
            where contacts.created_at is null or contacts.created_at < periods.ends_at
        )                                                                         as counted,
        count(distinct contacts.contact_id) filter (where contacts.is_undated)    as undated,
        max(contacts.changed_at)                                                  as changed_at

    from contacts

    inner join periods on contacts.snapshot_date = periods.period_start

    group by contacts.snapshot_date

),

-- Findings: one CTE per rule.

parts_and_total as (

    select
        'parts_and_total'                                                         as rule,
        'error'                                                                   as severity,
        mart.snapshot_date                                                        as period,
        'the stages come to ' || (
            mart.subscribers + mart.leads + mart.marketing_qualified + mart.sales_qualified + mart.opportunities
            + mart.customers + mart.evangelists + mart.other_lifecycle
        ) || ' of ' || mart.total_contacts || ' contacts'                         as detail

    from mart

    where
        mart.subscribers + mart.leads + mart.marketing_qualified + mart.sales_qualified + mart.opportunities
            + mart.customers + mart.evangelists + mart.other_lifecycle <> mart.total_contacts
        or least(
            mart.subscribers, mart.leads, mart.marketing_qualified, mart.sales_qualified, mart.opportunities,
            mart.customers, mart.evangelists, mart.other_lifecycle
        ) < 0

),

new_and_total as (

    select
        'new_and_total'                                                           as rule,
        'error'                                                                   as severity,
        mart.snapshot_date                                                        as period,
        mart.new_contacts_7d || ' contacts are new in 7 days, ' || mart.new_contacts_30d || ' in 30, of '
            || mart.total_contacts                                                as detail

    from mart

    where
        mart.new_contacts_7d < 0
        or mart.new_contacts_7d > mart.new_contacts_30d
        or mart.new_contacts_30d > mart.total_contacts

),

counts as (

    select
        'counts'                                                                  as rule,
        'error'                                                                   as severity,
        mart.snapshot_date                                                        as period,
        mart.total_contacts || ' contacts where the snapshot has ' || coalesce(listed.counted, 0)
                                                                                  as detail

    from mart

    left join listed on mart.snapshot_date = listed.snapshot_date

    where mart.total_contacts <> coalesce(listed.counted, 0)

),

control as (

    select
        'control_total'                                                           as rule,
        'warning'                                                                 as severity,
        totals.snapshot_date                                                      as period,
        coalesce(listed.contacts, 0) || ' contacts are listed where the search counts ' || totals.least
            || case when totals.most <> totals.least then ' to ' || totals.most else '' end
                                                                                  as detail

    from totals

    inner join mart on totals.snapshot_date = mart.snapshot_date

    left join listed on totals.snapshot_date = listed.snapshot_date

    where coalesce(listed.contacts, 0) < totals.least or coalesce(listed.contacts, 0) > totals.most

),

listed_twice as (

    select
        'listed_twice'                                                            as rule,
        'warning'                                                                 as severity,
        listed.snapshot_date                                                      as period,
        (listed.listings - listed.contacts) || ' listings of contacts that were listed already'
                                                                                  as detail

    from listed

    where listed.listings > listed.contacts

),

unknown_stages as (

    select
        contacts.snapshot_date                                                    as snapshot_date,
        contacts.lifecycle_stage                                                  as lifecycle_stage,
        count(distinct contacts.contact_id)                                       as contacts

    from contacts

    inner join periods on contacts.snapshot_date = periods.period_start

    anti join stages
        on contacts.snapshot_date = stages.snapshot_date
        and lower(contacts.lifecycle_stage) = stages.stage_id

    where contacts.lifecycle_stage is not null

    group by all

),

unknown_stage as (

    select
        'unknown_stage'                                                           as rule,
        'warning'                                                                 as severity,
        unknown_stages.snapshot_date                                              as period,
        sum(unknown_stages.contacts) || ' contacts are in lifecycle stages that the account does not know: '
            || array_to_string(
                list(
                    unknown_stages.lifecycle_stage || ' (' || unknown_stages.contacts || ')'
                    order by unknown_stages.lifecycle_stage
                )[1:5], ', '
            ) || case when count(*) > 5 then ', …' else '' end                    as detail

    from unknown_stages

    group by unknown_stages.snapshot_date

),

undated as (

    select
        'no_creation_date'                                                        as rule,
        'warning'                                                                 as severity,
        listed.snapshot_date                                                      as period,
        listed.undated || ' contacts have no creation date and count as old'      as detail

    from listed

    where listed.undated > 0

),

before as (

    select
        mart.snapshot_date                                                        as snapshot_date,
        max(published.snapshot_date)                                              as published_date

    from mart

    inner join published on published.snapshot_date <= mart.snapshot_date

    group by mart.snapshot_date

),

volume as (

    select
        'volume'                                                                  as rule,
        'warning'                                                                 as severity,
        mart.snapshot_date                                                        as period,
        mart.total_contacts || ' contacts where ' || published.total_contacts || ' are published for '
            || published.snapshot_date                                            as detail

    from mart

    inner join before on mart.snapshot_date = before.snapshot_date

    inner join published on before.published_date = published.snapshot_date

    cross join settings

    where
        published.total_contacts >= 5
        and mart.total_contacts * 100::bigint < published.total_contacts * (100 - settings.drop_pct)

),

jumps as (

    select
        'jump'                                                                    as rule,
        'warning'                                                                 as severity,
        mart.snapshot_date                                                        as period,
        mart.total_contacts || ' contacts where ' || published.total_contacts || ' are published for '
            || published.snapshot_date                                            as detail

    from mart

    inner join before on mart.snapshot_date = before.snapshot_date

    inner join published on before.published_date = published.snapshot_date

    cross join settings

    where
        published.total_contacts >= 5
        and mart.total_contacts * 100::bigint > published.total_contacts * (100 + settings.jump_pct)

),

staleness as (

    select
        'stale'                                                                   as rule,
        'warning'                                                                 as severity,
        listed.snapshot_date                                                      as period,
        'the newest contact was created or changed '
            || coalesce('at ' || listed.changed_at::timestamp || ' UTC', 'at no time')
                                                                                  as detail

    from listed

    inner join periods on listed.snapshot_date = periods.period_start

    cross join settings

    where (listed.changed_at::timestamp >= periods.ends_at - to_days(settings.stale_days)) is not true

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

    select rule, severity, period, detail from new_and_total

    union all

    select rule, severity, period, detail from counts

    union all

    select rule, severity, period, detail from control

    union all

    select rule, severity, period, detail from listed_twice

    union all

    select rule, severity, period, detail from unknown_stage

    union all

    select rule, severity, period, detail from undated

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
