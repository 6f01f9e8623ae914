-- Cash and cash flow of a month by the indirect method, a row per organisation and calendar month. Amounts in the organisation's currency.
-- Columns, types, defaults and key are the specification's; meanings are comments in the catalog.

create table mart_cash_flow (
    id serial primary key,
    org_id integer not null references organizations (id),
    year integer not null,
    month integer not null,
    period_end date not null,
    cash_balance numeric(18, 2) default 0,
    cash_change_mtd numeric(18, 2) default 0,
    operating_cash_flow numeric(18, 2) default 0,
    ar_change numeric(18, 2) default 0,
    inventory_change numeric(18, 2) default 0,
    ap_change numeric(18, 2) default 0,
    investing_cash_flow numeric(18, 2) default 0,
    financing_cash_flow numeric(18, 2) default 0,
    health_status varchar(20) default 'unknown',
    non_operating_breakdown jsonb default '{}',
    source_system varchar(50) default 'softbase_gl',
    created_at timestamp default current_timestamp,
    updated_at timestamp default current_timestamp,
    unique (org_id, year, month)
);

alter table mart_cash_flow enable row level security;
alter table mart_cash_flow force row level security;
create policy reader on mart_cash_flow for select to marts_reader using (org_id = marts_org_id());
create policy admin on mart_cash_flow for select to marts_admin using (true);
create policy loader on mart_cash_flow to marts_loader using (org_id = marts_org_id()) with check (org_id = marts_org_id());
grant select on mart_cash_flow to marts_reader, marts_admin;
grant select, insert, update on mart_cash_flow to marts_loader;
grant usage on sequence mart_cash_flow_id_seq to marts_loader;

comment on table mart_cash_flow is 'Cash and cash flow of a month by the indirect method, a row per organisation and calendar month. Amounts in the organisation''s currency. Source: The general ledger of Softbase.';
comment on column mart_cash_flow.id is 'Surrogate key; survives restatements.';
comment on column mart_cash_flow.org_id is 'The organisation the row belongs to; row-level security hangs on it.';
comment on column mart_cash_flow.year is 'Calendar year.';
comment on column mart_cash_flow.month is 'Calendar month, 1 to 12.';
comment on column mart_cash_flow.period_end is 'Last day of the month.';
comment on column mart_cash_flow.cash_balance is 'Cash accounts at period_end.';
comment on column mart_cash_flow.cash_change_mtd is 'Change of the cash accounts in the month.';
comment on column mart_cash_flow.operating_cash_flow is 'Net income, depreciation added back, and the changes of working capital.';
comment on column mart_cash_flow.ar_change is 'Change of receivables; positive when they grew.';
comment on column mart_cash_flow.inventory_change is 'Change of inventory; positive when it grew.';
comment on column mart_cash_flow.ap_change is 'Change of payables; positive when more is owed.';
comment on column mart_cash_flow.investing_cash_flow is 'Cash from investing activities.';
comment on column mart_cash_flow.financing_cash_flow is 'Cash from financing activities, floor plan included.';
comment on column mart_cash_flow.health_status is 'healthy, warning, critical or unknown.';
comment on column mart_cash_flow.non_operating_breakdown is 'The movements outside operations: {category, activity, amount, accounts}.';
comment on column mart_cash_flow.source_system is 'The system the numbers came from.';
comment on column mart_cash_flow.created_at is 'When the row was first published, UTC.';
comment on column mart_cash_flow.updated_at is 'When the last publish changed a value of the row, UTC; a night that finds the same numbers leaves it alone.';
