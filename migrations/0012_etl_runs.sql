-- The run ledger: what every run of every job did, for each organisation. A success is written by the transaction that
-- published its rows, so the two cannot disagree.

create table etl_runs (
    run_id text not null,
    org_id integer not null references organizations (id),
    job text not null,
    mart text not null,
    as_of date not null,
    status text not null check (status in ('running', 'success', 'failed', 'held', 'partial', 'skipped')),
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    first_period date,
    last_period date,
    rows_landed bigint,
    rows_inserted bigint,
    rows_updated bigint,
    rows_unchanged bigint,
    error text,
    detail jsonb not null default '{}',
    tool_version text not null,
    primary key (run_id, org_id, job)
);

create index etl_runs_by_org on etl_runs (org_id, started_at desc);

alter table etl_runs enable row level security;
alter table etl_runs force row level security;
create policy reader on etl_runs for select to marts_reader using (org_id = marts_org_id());
create policy admin on etl_runs for select to marts_admin using (true);
create policy loader on etl_runs to marts_loader using (org_id = marts_org_id()) with check (org_id = marts_org_id());
grant select on etl_runs to marts_reader, marts_admin;
grant select, insert, update on etl_runs to marts_loader;

comment on table etl_runs is 'What every run of every job did, for each organisation.';
comment on column etl_runs.run_id is 'The run; its start in UTC and a random tail.';
comment on column etl_runs.org_id is 'The organisation it ran for.';
comment on column etl_runs.job is 'The job, e.g. etl_sales_daily.';
comment on column etl_runs.mart is 'The mart it fills.';
comment on column etl_runs.as_of is 'The last local day it reports.';
comment on column etl_runs.status is 'running; success; failed: an error; held: its audit kept the old rows; partial: its audit kept some of them; skipped: not due or locked.';
comment on column etl_runs.started_at is 'When it started.';
comment on column etl_runs.finished_at is 'When it ended; null while it runs.';
comment on column etl_runs.first_period is 'First day of the periods it restated.';
comment on column etl_runs.last_period is 'Last day of the periods it restated.';
comment on column etl_runs.rows_landed is 'Rows pulled from the source.';
comment on column etl_runs.rows_inserted is 'Mart rows that are new.';
comment on column etl_runs.rows_updated is 'Mart rows that changed.';
comment on column etl_runs.rows_unchanged is 'Mart rows found as they were.';
comment on column etl_runs.error is 'Why it failed, was held or was partial.';
comment on column etl_runs.detail is 'Pulls with their checksums, durations of the stages, warnings of the audit.';
comment on column etl_runs.tool_version is 'Version of the program.';
