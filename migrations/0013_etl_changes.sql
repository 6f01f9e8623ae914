-- The change ledger: one row for every cell that a publish changed, written by the transaction that changed it.

create table etl_changes (
    id bigserial primary key,
    run_id text not null,
    org_id integer not null references organizations (id),
    mart text not null,
    key jsonb not null,
    column_name text not null,
    old_value text,
    new_value text,
    changed_at timestamptz not null default current_timestamp
);

create index etl_changes_by_run on etl_changes (run_id);
create index etl_changes_by_mart on etl_changes (org_id, mart, changed_at);

alter table etl_changes enable row level security;
alter table etl_changes force row level security;
create policy reader on etl_changes for select to marts_reader using (org_id = marts_org_id());
create policy admin on etl_changes for select to marts_admin using (true);
create policy loader on etl_changes to marts_loader using (org_id = marts_org_id()) with check (org_id = marts_org_id());
grant select on etl_changes to marts_reader, marts_admin;
-- No update: what was recorded stays as it was recorded.
grant select, insert on etl_changes to marts_loader;
grant usage on sequence etl_changes_id_seq to marts_loader;

comment on table etl_changes is 'Every cell that a publish changed.';
comment on column etl_changes.id is 'In the order of recording.';
comment on column etl_changes.run_id is 'The run that changed it.';
comment on column etl_changes.org_id is 'The organisation of the row.';
comment on column etl_changes.mart is 'The mart of the row.';
comment on column etl_changes.key is 'The row''s key besides org_id, e.g. {"sales_date": "2026-01-20"}.';
comment on column etl_changes.column_name is 'The column.';
comment on column etl_changes.old_value is 'The value before, as text; null = null, or the row is new.';
comment on column etl_changes.new_value is 'The value after, as text.';
comment on column etl_changes.changed_at is 'When the publish began.';
