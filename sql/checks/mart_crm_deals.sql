-- checks of mart_crm_deals: the rows that break a rule.
--
-- reads: hubspot_deals, hubspot_deal_stages
--
-- Errors: open, won and lost come to the total, which is that of the ids in the snapshot; the stages of the JSON come
-- to the counts and, but for rounding, to the values; the average is the won value over the won deals; no stage id is
-- used by two pipelines, and none is the key of the deals without a stage; of the deals that name a stage no more than
-- a fifth name one that no pipeline has.
-- Warnings: a listing that HubSpot's own count does not confirm, deals listed twice, deals without a stage or in one
-- that was deleted, stages that do not say whether they are closed, foreign amounts that HubSpot has not converted,
-- a snapshot that lost many of the deals published before it or gained many, a pipeline whose value moved far, a
-- snapshot in which nothing is new, and days that have no row.

with

-- Import: one CTE per relation; only the columns used.

deals as (

    select
        hubspot_deals.snapshot_date                                               as snapshot_date,
        hubspot_deals.deal_id                                                     as deal_id,
        hubspot_deals.stage_id                                                    as stage_id,
        hubspot_deals.currency                                                    as currency,
        coalesce(hubspot_deals.created_at, hubspot_deals.record_created_at)       as created_at,
        hubspot_deals.amount <> 0 and hubspot_deals.home_amount is null           as is_unconverted,
        greatest(hubspot_deals.created_at, hubspot_deals.record_created_at, hubspot_deals.modified_at)
                                                                                  as changed_at

    from hubspot_deals

    where not hubspot_deals.is_archived

),

stages as (

    select
        hubspot_deal_stages.snapshot_date                                         as snapshot_date,
        hubspot_deal_stages.pipeline_id                                           as pipeline_id,
        hubspot_deal_stages.stage_id                                              as stage_id,
        hubspot_deal_stages.is_closed                                             as is_closed,
        hubspot_deal_stages.probability                                           as probability

    from hubspot_deal_stages

    inner join periods on hubspot_deal_stages.snapshot_date = periods.period_start

),

totals as (

    select
        period::date                                                              as snapshot_date,
        min(total::bigint)                                                        as least,
        max(total::bigint)                                                        as most

    from source_totals

    where dataset = 'hubspot_deals'

    group by period

),

-- Logic: what the snapshots hold, and what the JSON comes to.

listed as (

    select
        deals.snapshot_date                                                       as snapshot_date,
        count(*)                                                                  as listings,
        count(distinct deals.deal_id)                                             as deals,
        count(distinct deals.deal_id) filter (
            where deals.created_at is null or deals.created_at < periods.ends_at
        )                                                                         as counted,
        max(deals.changed_at)                                                     as changed_at

    from deals

    inner join periods on deals.snapshot_date = periods.period_start

    group by deals.snapshot_date

),

-- Deals by what is known of their stages. HubSpot moves deals out of a stage before it deletes it, so few are left in
-- one that is gone; where they are more than a fifth, and no handful, it is the pipeline that did not come.
placed as (

    select
        deals.snapshot_date                                                       as snapshot_date,
        count(distinct deals.deal_id) filter (where deals.stage_id is null)       as unplaced,
        count(distinct deals.deal_id) filter (where deals.stage_id is not null)   as named,
        count(distinct deals.deal_id) filter (where coalesce(stages.stage_id, deals.stage_id) = 'unknown')
                                                                                  as named_unknown,
        count(distinct deals.deal_id) filter (where deals.stage_id is not null and stages.stage_id is null)
                                                                                  as lost

    from deals

    inner join periods on deals.snapshot_date = periods.period_start

    left join stages on deals.snapshot_date = stages.snapshot_date and same_key(deals.stage_id, stages.stage_id)

    group by deals.snapshot_date

),

entries as (

    select
        mart.snapshot_date                                                        as snapshot_date,
        unnest(json_extract(mart.deals_by_stage, '$.*'))                          as figures

    from mart

),

stage_sums as (

    select
        entries.snapshot_date                                                     as snapshot_date,
        count(*)                                                                  as entries,
        sum((entries.figures ->> 'count')::bigint)                                as deals,
        sum((entries.figures ->> 'count')::bigint) filter (
            where (entries.figures ->> 'is_closed')::boolean
        )                                                                         as closed_deals,
        sum((entries.figures ->> 'value')::decimal(18, 2)) filter (
            where (entries.figures ->> 'is_closed')::boolean
        )                                                                         as closed_value,
        sum((entries.figures ->> 'value')::decimal(18, 2)) filter (
            where not (entries.figures ->> 'is_closed')::boolean
        )                                                                         as open_value

    from entries

    group by entries.snapshot_date

),

-- Findings: one CTE per rule.

outcomes_and_total as (

    select
        'outcomes_and_total'                                                      as rule,
        'error'                                                                   as severity,
        mart.snapshot_date                                                        as period,
        mart.open_deals || ' open, ' || mart.won_deals || ' won and ' || mart.lost_deals || ' lost of '
            || mart.total_deals || ' deals'                                       as detail

    from mart

    where
        mart.open_deals + mart.won_deals + mart.lost_deals <> mart.total_deals
        or least(mart.open_deals, mart.won_deals, mart.lost_deals) < 0

),

counts as (

    select
        'counts'                                                                  as rule,
        'error'                                                                   as severity,
        mart.snapshot_date                                                        as period,
        mart.total_deals || ' deals where the snapshot has ' || coalesce(listed.counted, 0)
                                                                                  as detail

    from mart

    left join listed on mart.snapshot_date = listed.snapshot_date

    where mart.total_deals <> coalesce(listed.counted, 0)

),

stages_and_total as (

    select
        'stages_and_total'                                                        as rule,
        'error'                                                                   as severity,
        mart.snapshot_date                                                        as period,
        'the stages hold ' || coalesce(stage_sums.deals, 0) || ' deals, '
            || coalesce(stage_sums.closed_deals, 0) || ' of them closed; values ' || coalesce(stage_sums.open_value, 0)
            || ' open and ' || coalesce(stage_sums.closed_value, 0) || ' closed; the row has ' || mart.total_deals
            || ', ' || (mart.won_deals + mart.lost_deals) || ', ' || mart.total_pipeline_value || ' and '
            || (mart.won_value + mart.lost_value)                                 as detail

    from mart

    left join stage_sums on mart.snapshot_date = stage_sums.snapshot_date

    where
        coalesce(stage_sums.deals, 0) <> mart.total_deals
        or coalesce(stage_sums.closed_deals, 0) <> mart.won_deals + mart.lost_deals
        -- Every entry is rounded, and so are the three sums, each by half a cent at most.
        or abs(coalesce(stage_sums.open_value, 0) - mart.total_pipeline_value)
            > 0.005 * (coalesce(stage_sums.entries, 0) + 1)
        or abs(coalesce(stage_sums.closed_value, 0) - mart.won_value - mart.lost_value)
            > 0.005 * (coalesce(stage_sums.entries, 0) + 2)

),

average_size as (

    select
        'average_deal_size'                                                       as rule,
        'error'                                                                   as severity,
        mart.snapshot_date                                                        as period,
        mart.average_deal_size || ' is not ' || mart.won_value || ' over ' || mart.won_deals || ' won deals'
                                                                                  as detail

    from mart

    -- The average is of the exact sum, which is within half a cent of won_value.
    where
        abs(mart.average_deal_size * mart.won_deals - mart.won_value) > 0.005 * mart.won_deals + 0.005
        or (mart.won_deals = 0 and mart.average_deal_size <> 0)

),

stages_twice as (

    select
        'stage_twice'                                                             as rule,
        'error'                                                                   as severity,
        stages.snapshot_date                                                      as period,
        'the stage id ' || lower(stages.stage_id) || ' is used by the pipelines '
            || array_to_string(list(stages.pipeline_id order by stages.pipeline_id), ', ')
                                                                                  as detail

    from stages

    group by stages.snapshot_date, lower(stages.stage_id)

    having count(*) > 1

),

control as (

    select
        'control_total'                                                           as rule,
        'warning'                                                                 as severity,
        totals.snapshot_date                                                      as period,
        coalesce(listed.deals, 0) || ' deals are listed where the search counts ' || totals.least
            || case when totals.most <> totals.least then ' to ' || totals.most else '' end
                                                                                  as detail

    from totals

    inner join mart on totals.snapshot_date = mart.snapshot_date

    left join listed on totals.snapshot_date = listed.snapshot_date

    where coalesce(listed.deals, 0) < totals.least or coalesce(listed.deals, 0) > totals.most

),

listed_twice as (

    select
        'listed_twice'                                                            as rule,
        'warning'                                                                 as severity,
        listed.snapshot_date                                                      as period,
        (listed.listings - listed.deals) || ' listings of deals that were listed already'
                                                                                  as detail

    from listed

    where listed.listings > listed.deals

),

stray_deals as (

    select
        'unknown_stage'                                                           as rule,
        'warning'                                                                 as severity,
        placed.snapshot_date                                                      as period,
        (placed.unplaced + placed.lost) || ' deals are in no stage that a pipeline has, and count as open'
                                                                                  as detail

    from placed

    where placed.unplaced + placed.lost > 0 and (placed.lost < 5 or placed.lost * 5 <= placed.named)

),

lost_pipelines as (

    select
        'unknown_stage'                                                           as rule,
        'error'                                                                   as severity,
        placed.snapshot_date                                                      as period,
        placed.lost || ' of ' || placed.named || ' deals name a stage that no pipeline has, and would count as open: '
            || 'a pipeline is missing'                                            as detail

    from placed

    where placed.lost >= 5 and placed.lost * 5 > placed.named

),

unknown_keys as (

    select
        'stage_twice'                                                             as rule,
        'error'                                                                   as severity,
        placed.snapshot_date                                                      as period,
        'the key unknown of deals_by_stage stands for ' || placed.unplaced || ' deals without a stage and for '
            || placed.named_unknown || ' in the stage of that id'                 as detail

    from placed

    where placed.unplaced > 0 and placed.named_unknown > 0

),

flagless as (

    select
        'stage_without_flags'                                                     as rule,
        'warning'                                                                 as severity,
        stages.snapshot_date                                                      as period,
        'stage ' || stages.stage_id || case
            when stages.is_closed is null then ' does not say whether it is closed, and its deals count as open'
            else ' is closed without a probability, and its deals count as lost'
        end                                                                       as detail

    from stages

    where stages.is_closed is null or (stages.is_closed and stages.probability is null)

),

foreign_amounts as (

    select
        'foreign_amount'                                                          as rule,
        'warning'                                                                 as severity,
        deals.snapshot_date                                                       as period,
        count(distinct deals.deal_id) || ' deals in ' || upper(deals.currency) || ' have no amount in '
            || settings.home_currency || ' and count with their own: ' || array_to_string(
                list(deals.deal_id order by deals.deal_id)[1:5], ', '
            ) || case when count(*) > 5 then ', …' else '' end                    as detail

    from deals

    inner join periods on deals.snapshot_date = periods.period_start

    cross join settings

    where deals.is_unconverted and upper(deals.currency) <> settings.home_currency

    group by deals.snapshot_date, upper(deals.currency), settings.home_currency

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
        mart.total_deals || ' deals where ' || published.total_deals || ' are published for '
            || published.snapshot_date                                            as detail

    from mart

    inner join before on mart.snapshot_date = before.snapshot_date

    inner join published on before.published_date = published.snapshot_date

    cross join settings

    where
        published.total_deals >= 5
        and mart.total_deals * 100::bigint < published.total_deals * (100 - settings.drop_pct)

),

jumps as (

    select
        'jump'                                                                    as rule,
        'warning'                                                                 as severity,
        mart.snapshot_date                                                        as period,
        mart.total_deals || ' deals where ' || published.total_deals || ' are published for '
            || published.snapshot_date                                            as detail

    from mart

    inner join before on mart.snapshot_date = before.snapshot_date

    inner join published on before.published_date = published.snapshot_date

    cross join settings

    where
        published.total_deals >= 5
        and mart.total_deals * 100::bigint > published.total_deals * (100 + settings.jump_pct)

),

pipeline_jumps as (

    select
        'jump'                                                                    as rule,
        'warning'                                                                 as severity,
        mart.snapshot_date                                                        as period,
        'total_pipeline_value is ' || mart.total_pipeline_value || ' where ' || published.total_pipeline_value
            || ' is published for ' || published.snapshot_date                    as detail

    from mart

    inner join before on mart.snapshot_date = before.snapshot_date

    inner join published on before.published_date = published.snapshot_date

    cross join settings

    where
        published.open_deals >= 5
        and published.total_pipeline_value <> 0
        and abs(mart.total_pipeline_value - published.total_pipeline_value) * 100
        > abs(published.total_pipeline_value) * settings.jump_pct

),

staleness as (

    select
        'stale'                                                                   as rule,
        'warning'                                                                 as severity,
        listed.snapshot_date                                                      as period,
        'the newest deal was created or changed '
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

    select rule, severity, period, detail from outcomes_and_total

    union all

    select rule, severity, period, detail from counts

    union all

    select rule, severity, period, detail from stages_and_total

    union all

    select rule, severity, period, detail from average_size

    union all

    select rule, severity, period, detail from stages_twice

    union all

    select rule, severity, period, detail from control

    union all

    select rule, severity, period, detail from listed_twice

    union all

    select rule, severity, period, detail from unknown_keys

    union all

    select rule, severity, period, detail from stray_deals

    union all

    select rule, severity, period, detail from lost_pipelines

    union all

    select rule, severity, period, detail from flagless

    union all

    select rule, severity, period, detail from foreign_amounts

    union all

    select rule, severity, period, detail from volume

    union all

    select rule, severity, period, detail from jumps

    union all

    select rule, severity, period, detail from pipeline_jumps

    union all

    select rule, severity, period, detail from staleness

    union all

    select rule, severity, period, detail from gap

)

select * from final order by severity, period, rule, detail
