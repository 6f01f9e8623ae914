-- Cases as they stood at the end of a day, a row per organisation and day.
-- Columns, types, defaults and key are the specification's; meanings are comments in the catalog.

create table mart_case_metrics (
    id serial primary key,
    org_id integer not null references organizations (id),
    snapshot_date date not null,
    total_cases integer default 0,
    new_cases_30d integer default 0,
    closed_cases_30d integer default 0,
    cases_by_type jsonb default '{}',
    cases_by_status jsonb default '{}',
    cases_by_category jsonb default '{}',
    source_system varchar(50) default 'azure_sql',
    source_table varchar(100) default 'Case_Data_Summary_NOPHI',
    created_at timestamp default current_timestamp,
    updated_at timestamp default current_timestamp,
    unique (org_id, snapshot_date)
);

alter table mart_case_metrics enable row level security;
alter table mart_case_metrics force row level security;
create policy reader on mart_case_metrics for select to marts_reader using (org_id = marts_org_id());
create policy admin on mart_case_metrics for select to marts_admin using (true);
create policy loader on mart_case_metrics to marts_loader using (org_id = marts_org_id()) with check (org_id = marts_org_id());
grant select on mart_case_metrics to marts_reader, marts_admin;
grant select, insert, update on mart_case_metrics to marts_loader;
grant usage on sequence mart_case_metrics_id_seq to marts_loader;

comment on table mart_case_metrics is 'Cases as they stood at the end of a day, a row per organisation and day. Source: The case database.';
comment on column mart_case_metrics.id is 'Surrogate key; survives restatements.';
comment on column mart_case_metrics.org_id is 'The organisation the row belongs to; row-level security hangs on it.';
comment on column mart_case_metrics.snapshot_date is 'The local day the counts are as of.';
comment on column mart_case_metrics.total_cases is 'Cases.';
comment on column mart_case_metrics.new_cases_30d is 'Cases created in the 30 local days ending with snapshot_date.';
comment on column mart_case_metrics.closed_cases_30d is 'Cases closed in the 30 local days ending with snapshot_date.';
comment on column mart_case_metrics.cases_by_type is 'Object: cases created in the window by type.';
comment on column mart_case_metrics.cases_by_status is 'Object: all cases by status.';
comment on column mart_case_metrics.cases_by_category is 'Object: cases created in the window by category; small groups merged.';
comment on column mart_case_metrics.source_system is 'The system the numbers came from.';
comment on column mart_case_metrics.source_table is 'The table they were read from.';
comment on column mart_case_metrics.created_at is 'When the row was first published, UTC.';
comment on column mart_case_metrics.updated_at is 'When the last publish changed a value of the row, UTC; a night that finds the same numbers leaves it alone.';
