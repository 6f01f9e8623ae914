-- The ledger of acceptances: what somebody let through of closed months, and why, written by the transaction that
-- published it.

create table etl_acceptances (
    id bigserial primary key,
    run_id text not null,
    accepted_run text not null,
    org_id integer not null references organizations (id),
    mart text not null,
    periods date[] not null check (cardinality(periods) > 0),
    reason text not null check (btrim(reason) <> ''),
    accepted_by text not null check (btrim(accepted_by) <> ''),
    accepted_at timestamptz not null default current_timestamp,
    -- What a run held is accepted once.
    unique (org_id, mart, accepted_run)
);

create index etl_acceptances_by_run on etl_acceptances (run_id);

alter table etl_acceptances enable row level security;
alter table etl_acceptances force row level security;
create policy reader on etl_acceptances for select to marts_reader using (org_id = marts_org_id());
create policy admin on etl_acceptances for select to marts_admin using (true);
create policy loader on etl_acceptances to marts_loader
    using (org_id = marts_org_id()) with check (org_id = marts_org_id());
grant select on etl_acceptances to marts_reader, marts_admin;
-- No update: what was accepted stays accepted, with the reason that was given.
grant select, insert on etl_acceptances to marts_loader;
grant usage on sequence etl_acceptances_id_seq to marts_loader;

comment on table etl_acceptances is 'What was let through of closed months, by whom and why.';
comment on column etl_acceptances.id is 'In the order of acceptance.';
comment on column etl_acceptances.run_id is 'The run that published the rows: the acceptance itself.';
comment on column etl_acceptances.accepted_run is 'The run that had held them.';
comment on column etl_acceptances.org_id is 'The organisation of the rows.';
comment on column etl_acceptances.mart is 'The mart of the rows.';
comment on column etl_acceptances.periods is 'First days of the rows'' periods.';
comment on column etl_acceptances.reason is 'Why the change is right, in the words of who accepted it.';
comment on column etl_acceptances.accepted_by is 'Who accepted it, as they name themselves: by default the name of their account on the machine.';
comment on column etl_acceptances.accepted_at is 'When it was published.';
