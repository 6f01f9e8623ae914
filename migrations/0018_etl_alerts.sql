-- What was found wrong with the jobs, and who was told when: so that an alert is sent once, reminded of, and taken back.

create table etl_alerts (
    org_id integer not null references organizations (id),
    job text not null,
    kind text not null check (kind in ('failed', 'held', 'partial', 'late', 'no_success')),
    since timestamptz not null,
    opened_at timestamptz not null,
    notified_at timestamptz,
    closed_at timestamptz,
    primary key (org_id, job, kind, opened_at)
);

-- One that is open is not opened again.
create unique index etl_alerts_open on etl_alerts (org_id, job, kind) where closed_at is null;

alter table etl_alerts enable row level security;
alter table etl_alerts force row level security;
create policy reader on etl_alerts for select to marts_reader using (org_id = marts_org_id());
create policy admin on etl_alerts for select to marts_admin using (true);
create policy loader on etl_alerts to marts_loader using (org_id = marts_org_id()) with check (org_id = marts_org_id());
grant select on etl_alerts to marts_reader, marts_admin;
grant select, insert, update on etl_alerts to marts_loader;

comment on table etl_alerts is 'What was found wrong with the jobs of each organisation, and when somebody was told.';
comment on column etl_alerts.org_id is 'The organisation.';
comment on column etl_alerts.job is 'The job, e.g. etl_sales_daily.';
comment on column etl_alerts.kind is 'failed; held: its audit kept the old rows; partial: kept some of them; late: no run has ended since it was due; no_success: no success for too long.';
comment on column etl_alerts.since is 'Since when it is so. The times of this table are by the clock of the program.';
comment on column etl_alerts.opened_at is 'When it was first found.';
comment on column etl_alerts.notified_at is 'When somebody was last told; null = nobody yet.';
comment on column etl_alerts.closed_at is 'When it was found to be over; null = it is not.';
