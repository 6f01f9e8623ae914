-- The ledger of verifications: what a mart's cell said, what the source answered to an independent question, and how the
-- two compare. A question that got no answer is a row too: it is never taken for an agreement.

create table etl_verifications (
    verification_id text not null,
    org_id integer not null references organizations (id),
    job text not null,
    mart text not null,
    period date not null,
    column_name text not null,
    published_value numeric,
    source_value numeric,
    tolerance numeric not null default 0 check (tolerance >= 0),
    outcome text not null check (outcome in ('equal', 'within', 'differs', 'unanswered')),
    error text,
    run_id text,
    asked_at timestamptz not null,
    tool_version text not null,
    primary key (verification_id, org_id, mart, period, column_name),
    check ((outcome = 'unanswered') = (error is not null))
);

create index etl_verifications_by_mart on etl_verifications (org_id, mart, period, asked_at);

alter table etl_verifications enable row level security;
alter table etl_verifications force row level security;
create policy reader on etl_verifications for select to marts_reader using (org_id = marts_org_id());
create policy admin on etl_verifications for select to marts_admin using (true);
create policy loader on etl_verifications to marts_loader using (org_id = marts_org_id()) with check (org_id = marts_org_id());
grant select on etl_verifications to marts_reader, marts_admin;
-- No update: what was answered stays as it was answered.
grant select, insert on etl_verifications to marts_loader;

comment on table etl_verifications is 'What the live sources answered to independent questions about the marts, cell by cell.';
comment on column etl_verifications.verification_id is 'The verification; its start in UTC and a random tail.';
comment on column etl_verifications.org_id is 'The organisation of the row.';
comment on column etl_verifications.job is 'The job that fills the mart, e.g. etl_sales_daily.';
comment on column etl_verifications.mart is 'The mart of the row.';
comment on column etl_verifications.period is 'First day of the row''s period.';
comment on column etl_verifications.column_name is 'The column; of a JSON column with the entry, as in cases_by_status / Closed.';
comment on column etl_verifications.published_value is 'What the mart says, or is about to say where run_id is set; null = null.';
comment on column etl_verifications.source_value is 'What the source answered; null where it answered nothing, or said that it has none.';
comment on column etl_verifications.tolerance is 'How far the two may be apart; DECISIONS.md has the reason of each.';
comment on column etl_verifications.outcome is 'equal; within: apart, and no further than the tolerance; differs; unanswered: the source was asked and gave no answer.';
comment on column etl_verifications.error is 'Why there is no answer.';
comment on column etl_verifications.run_id is 'The run whose rows were held against the source before they were published; null = the published rows were.';
comment on column etl_verifications.asked_at is 'When the source was asked.';
comment on column etl_verifications.tool_version is 'Version of the program.';
