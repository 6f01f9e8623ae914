-- mart_crm_deals: one row per snapshot_date; the deals of the CRM as they stood when the snapshot was taken.
--
-- reads: hubspot_deals, hubspot_deal_stages
--
-- A snapshot counts what was created by the end of its day and is not archived; a deal that was listed more than once
-- counts as it was last changed.
-- A deal is won or lost by the flags of its stage, never by the stage's name, because names are edited freely and are
-- shared between pipelines: closed with probability 1 is won, every other closed stage is lost, the rest is open. So is
-- a deal without a stage, or in one that was deleted.
-- An amount counts in the account's own currency, as HubSpot converts it; where HubSpot has not, as it was entered. A
-- deal without an amount counts as a deal. total_pipeline_value is the value of open deals only.
-- average_deal_size is over the won deals: the exact sum divided once.
-- deals_by_stage has a key per stage that holds deals, the stage's id; 'unknown' are deals without a stage, and a
-- deleted stage keeps its id without a label. A stage whose own id is 'unknown' has that key too, and the audit holds a
-- snapshot in which it would stand for both.

with

-- Import: one CTE per relation; only the columns used.

deals as (

    select
        snapshot_date,
        deal_id,
        pipeline_id,
        stage_id,
        coalesce(home_amount, amount)                                             as amount,
        coalesce(created_at, record_created_at)                                   as created_at,
        modified_at,
        page

    from hubspot_deals

    where not is_archived

),

stages as (

    select
        snapshot_date,
        pipeline_id,
        pipeline_label,
        stage_id,
        stage_label,
        is_closed,
        probability

    from hubspot_deal_stages

),

-- Logic: each deal once, each stage once, each pipeline once.

current_deals as (

    select
        deals.snapshot_date,
        deals.deal_id,
        deals.pipeline_id,
        deals.stage_id,
        deals.amount,
        deals.created_at,
        deals.page

    from deals

    qualify row_number() over (
        partition by deals.snapshot_date, deals.deal_id
        order by
            deals.modified_at desc nulls last,
            deals.page desc,
            deals.stage_id,
            deals.pipeline_id,
            deals.amount,
            deals.created_at
    ) = 1

),

-- An id that two pipelines use, which the audit refuses, is the first pipeline's here.
known_stages as (

    select
        stages.snapshot_date,
        stages.stage_id,
        stages.stage_label,
        stages.pipeline_label,
        coalesce(stages.is_closed, false)                                         as is_closed,
        coalesce(stages.is_closed and stages.probability = 1, false)              as is_won

    from stages

    qualify row_number() over (
        partition by stages.snapshot_date, lower(stages.stage_id) order by stages.pipeline_id, stages.stage_id
    ) = 1

),

known_pipelines as (

    select
        stages.snapshot_date                                                      as snapshot_date,
        lower(stages.pipeline_id)                                                 as pipeline_id,
        min(stages.pipeline_label)                                                as pipeline_label

    from stages

    group by stages.snapshot_date, lower(stages.pipeline_id)

),

-- Contributions: one row per deal that counts.

contributions as (

    select
        periods.period_start                                                      as snapshot_date,
        'hubspot_deals'                                                           as source_dataset,
        current_deals.deal_id                                                     as source_key,
        current_deals.page                                                        as source_page,
        coalesce(known_stages.stage_id, current_deals.stage_id, 'unknown')        as stage_id,
        known_stages.stage_label                                                  as stage_label,
        case
            when known_stages.stage_id is not null then known_stages.pipeline_label
            when current_deals.stage_id is not null then known_pipelines.pipeline_label
        end                                                                       as pipeline_label,
        coalesce(known_stages.is_closed, false)                                   as is_closed,
        current_deals.amount                                                      as amount,
        case
            when known_stages.is_won then 'won'
            when known_stages.is_closed then 'lost'
            else 'open'
        end                                                                       as outcome

    from periods

    inner join current_deals
        on periods.period_start = current_deals.snapshot_date
        -- Without any date it was there when the snapshot was taken, which is all that is known.
        and coalesce(current_deals.created_at, periods.starts_at) < periods.ends_at

    left join known_stages
        on current_deals.snapshot_date = known_stages.snapshot_date
        and same_key(current_deals.stage_id, known_stages.stage_id)

    left join known_pipelines
        on current_deals.snapshot_date = known_pipelines.snapshot_date
        and same_key(current_deals.pipeline_id, known_pipelines.pipeline_id)

),

-- Final: the mart's columns, in the mart's order, cast to the mart's types. First the JSON, an entry per stage.

by_stage as (

    select
        contributions.snapshot_date                                               as snapshot_date,
        contributions.stage_id                                                    as stage_id,
        '{"label": ' || coalesce(to_json(min(contributions.stage_label))::varchar, 'null')
            || ', "pipeline": ' || coalesce(to_json(min(contributions.pipeline_label))::varchar, 'null')
            || ', "is_closed": ' || bool_or(contributions.is_closed)::varchar
            || ', "count": ' || count(*)::varchar
            || ', "value": ' || coalesce(sum(contributions.amount), 0)::decimal(18, 2)::varchar
            || '}'                                                                as figures

    from contributions

    group by contributions.snapshot_date, contributions.stage_id

),

breakdowns as (

    select
        by_stage.snapshot_date                                                    as snapshot_date,
        breakdown(list((by_stage.stage_id, by_stage.figures)))                    as deals_by_stage

    from by_stage

    group by by_stage.snapshot_date

),

final as (

    select
        periods.period_start                                                      as snapshot_date,
        count(contributions.source_key)::integer                                  as total_deals,
        count(*) filter (where contributions.outcome = 'open')::integer           as open_deals,
        count(*) filter (where contributions.outcome = 'won')::integer            as won_deals,
        count(*) filter (where contributions.outcome = 'lost')::integer           as lost_deals,
        coalesce(sum(contributions.amount) filter (where contributions.outcome = 'open'), 0)::decimal(18, 2)
            as total_pipeline_value,
        coalesce(sum(contributions.amount) filter (where contributions.outcome = 'won'), 0)::decimal(18, 2)
            as won_value,
        coalesce(sum(contributions.amount) filter (where contributions.outcome = 'lost'), 0)::decimal(18, 2)
            as lost_value,
        average(
            coalesce(sum(contributions.amount) filter (where contributions.outcome = 'won'), 0),
            count(*) filter (where contributions.outcome = 'won')
        )::decimal(18, 2)                                                         as average_deal_size,
        coalesce(any_value(breakdowns.deals_by_stage), '{}'::json)                as deals_by_stage

    from periods

    left join contributions on periods.period_start = contributions.snapshot_date

    left join breakdowns on periods.period_start = breakdowns.snapshot_date

    group by periods.period_start

)

select * from final order by snapshot_date
