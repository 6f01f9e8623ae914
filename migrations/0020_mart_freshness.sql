-- How fresh each mart of each organisation is: what `marts status` shows, for dashboards.
--
-- It names the organisation itself, and is a barrier, so that it shows a reader its own rows alone whoever owns it. Where the
-- server can (PostgreSQL 15), it also reads with the rights of whoever asks.

create view mart_freshness with (security_barrier) as
with marts (job, mart, settled_after_days) as (
    values
        ('etl_sales_daily', 'mart_sales_daily', 1),
        ('etl_rental_fleet', 'mart_rental_fleet', 1),
        ('etl_cash_flow', 'mart_cash_flow', 1),
        ('etl_quickbooks_financial', 'mart_financial_metrics', 1),
        ('etl_hubspot_contacts', 'mart_crm_contacts', 1),
        ('etl_hubspot_deals', 'mart_crm_deals', 1),
        ('etl_zoom_metrics', 'mart_zoom_metrics', 1),
        ('etl_case_metrics', 'mart_case_metrics', 1),
        ('etl_app_analytics', 'mart_app_analytics', 4)
),

rows_of (org_id, mart, first_day, last_day) as (
    select org_id, 'mart_sales_daily', max(sales_date), max(sales_date) from mart_sales_daily group by org_id
    union all
    select org_id, 'mart_rental_fleet', max(snapshot_date), max(snapshot_date) from mart_rental_fleet group by org_id
    union all
    select
        org_id,
        'mart_cash_flow',
        max(make_date(year, month, 1)),
        (max(make_date(year, month, 1)) + interval '1 month - 1 day')::date
    from mart_cash_flow
    group by org_id
    union all
    select
        org_id,
        'mart_financial_metrics',
        max(make_date(year, month, 1)),
        (max(make_date(year, month, 1)) + interval '1 month - 1 day')::date
    from mart_financial_metrics
    group by org_id
    union all
    select org_id, 'mart_crm_contacts', max(snapshot_date), max(snapshot_date) from mart_crm_contacts group by org_id
    union all
    select org_id, 'mart_crm_deals', max(snapshot_date), max(snapshot_date) from mart_crm_deals group by org_id
    union all
    select org_id, 'mart_zoom_metrics', max(metric_date), max(metric_date) from mart_zoom_metrics group by org_id
    union all
    select org_id, 'mart_case_metrics', max(snapshot_date), max(snapshot_date) from mart_case_metrics group by org_id
    union all
    select org_id, 'mart_app_analytics', max(metric_date), max(metric_date) from mart_app_analytics group by org_id
),

ends as (
    select
        org_id,
        mart,
        max(as_of) filter (where status in ('success', 'partial')) as as_of,
        max(started_at) filter (where status in ('success', 'partial')) as fetched_at,
        max(finished_at) filter (where status in ('success', 'partial')) as last_success_at,
        max(finished_at) filter (where status in ('failed', 'held', 'partial')) as last_failure_at
    from etl_runs
    group by org_id, mart
),

newest as (
    select distinct on (org_id, mart)
        org_id,
        mart,
        run_id,
        status,
        error,
        (
            select string_agg(distinct concat_ws(' ', finding.rule, finding.period), ', ')
            from jsonb_to_recordset(
                case when jsonb_typeof(detail -> 'findings') = 'array' then detail -> 'findings' else '[]' end
            ) as finding (rule text, period text, holds boolean)
            where finding.holds
        ) as held_by
    from etl_runs
    where status <> 'skipped'
    order by org_id, mart, started_at desc, run_id desc
)

select
    organizations.id as org_id,
    organizations.slug as org,
    marts.job,
    marts.mart,
    rows_of.first_day as newest_period,
    ends.as_of,
    -- The period was over, and the source's late records in, when it was last asked.
    (ends.fetched_at at time zone organizations.timezone)::date >= rows_of.last_day + marts.settled_after_days as is_final,
    ends.last_success_at,
    -- A night, and two hours for it to be a slow one.
    coalesce(ends.last_success_at < current_timestamp - interval '26 hours', true) as is_late,
    ends.last_failure_at,
    newest.run_id as last_run,
    newest.status as last_status,
    newest.held_by,
    case when newest.status = 'failed' then newest.error end as error
from organizations
cross join marts
left join rows_of on rows_of.org_id = organizations.id and rows_of.mart = marts.mart
left join ends on ends.org_id = organizations.id and ends.mart = marts.mart
left join newest on newest.org_id = organizations.id and newest.mart = marts.mart
where
    (rows_of.mart is not null or newest.mart is not null)
    and (organizations.id = marts_org_id() or pg_has_role(current_user, 'marts_admin', 'usage'));

do $$
begin
    if current_setting('server_version_num')::integer >= 150000 then
        alter view mart_freshness set (security_invoker = true);
    end if;
end
$$;

grant select on mart_freshness to marts_reader, marts_admin;

comment on view mart_freshness is 'How fresh each mart of each organisation is, a row for each that has rows or a run.';
comment on column mart_freshness.org_id is 'The organisation.';
comment on column mart_freshness.org is 'Its name in marts.toml.';
comment on column mart_freshness.job is 'The job that fills the mart.';
comment on column mart_freshness.mart is 'The mart.';
comment on column mart_freshness.newest_period is 'First day of the period of its newest row.';
comment on column mart_freshness.as_of is 'The last local day that was reported by a run that published.';
comment on column mart_freshness.is_final is 'Whether the newest row was over, and late records of the source in, when the source was last asked; null when it has none.';
comment on column mart_freshness.last_success_at is 'When a run last published it, all or in part.';
comment on column mart_freshness.is_late is 'Whether it had no success in 26 hours.';
comment on column mart_freshness.last_failure_at is 'When a run last failed, was held or held in part.';
comment on column mart_freshness.last_run is 'The newest run of it that was not skipped.';
comment on column mart_freshness.last_status is 'How that run stands, as in etl_runs.';
comment on column mart_freshness.held_by is 'The rules that hold what that run did not publish, each with its period.';
comment on column mart_freshness.error is 'Why that run failed.';
