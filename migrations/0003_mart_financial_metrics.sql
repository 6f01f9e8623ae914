-- Monthly financial summary, a row per organisation and calendar month. Amounts in the organisation's currency.
-- Columns, types, defaults and key are the specification's; meanings are comments in the catalog.

create table mart_financial_metrics (
    id serial primary key,
    org_id integer not null references organizations (id),
    year integer not null,
    month integer not null,
    period_start date not null,
    period_end date not null,
    total_revenue numeric(18, 2) default 0,
    total_expenses numeric(18, 2) default 0,
    net_income numeric(18, 2) default 0,
    gross_profit numeric(18, 2) default 0,
    gross_margin_pct numeric(5, 2) default 0,
    total_assets numeric(18, 2) default 0,
    total_liabilities numeric(18, 2) default 0,
    total_equity numeric(18, 2) default 0,
    cash_balance numeric(18, 2) default 0,
    accounts_receivable numeric(18, 2) default 0,
    accounts_payable numeric(18, 2) default 0,
    operating_cash_flow numeric(18, 2) default 0,
    source_system varchar(50) default 'quickbooks',
    created_at timestamp default current_timestamp,
    updated_at timestamp default current_timestamp,
    unique (org_id, year, month)
);

alter table mart_financial_metrics enable row level security;
alter table mart_financial_metrics force row level security;
create policy reader on mart_financial_metrics for select to marts_reader using (org_id = marts_org_id());
create policy admin on mart_financial_metrics for select to marts_admin using (true);
create policy loader on mart_financial_metrics to marts_loader using (org_id = marts_org_id()) with check (org_id = marts_org_id());
grant select on mart_financial_metrics to marts_reader, marts_admin;
grant select, insert, update on mart_financial_metrics to marts_loader;
grant usage on sequence mart_financial_metrics_id_seq to marts_loader;

comment on table mart_financial_metrics is 'Monthly financial summary, a row per organisation and calendar month. Amounts in the organisation''s currency. Source: QuickBooks.';
comment on column mart_financial_metrics.id is 'Surrogate key; survives restatements.';
comment on column mart_financial_metrics.org_id is 'The organisation the row belongs to; row-level security hangs on it.';
comment on column mart_financial_metrics.year is 'Calendar year.';
comment on column mart_financial_metrics.month is 'Calendar month, 1 to 12.';
comment on column mart_financial_metrics.period_start is 'First day of the month.';
comment on column mart_financial_metrics.period_end is 'Last day of the month.';
comment on column mart_financial_metrics.total_revenue is 'Income plus other income of the month.';
comment on column mart_financial_metrics.total_expenses is 'Cost of goods sold, expenses and other expenses of the month.';
comment on column mart_financial_metrics.net_income is 'Net income of the month as the source reports it: total_revenue - total_expenses.';
comment on column mart_financial_metrics.gross_profit is 'Income less cost of goods sold.';
comment on column mart_financial_metrics.gross_margin_pct is 'gross_profit over income, percent; null when income is zero or the percentage does not fit.';
comment on column mart_financial_metrics.total_assets is 'Total assets at period_end.';
comment on column mart_financial_metrics.total_liabilities is 'Total liabilities at period_end.';
comment on column mart_financial_metrics.total_equity is 'Total equity at period_end.';
comment on column mart_financial_metrics.cash_balance is 'Bank accounts at period_end.';
comment on column mart_financial_metrics.accounts_receivable is 'Accounts receivable at period_end.';
comment on column mart_financial_metrics.accounts_payable is 'Accounts payable at period_end; positive when owed.';
comment on column mart_financial_metrics.operating_cash_flow is 'Cash from operating activities of the month.';
comment on column mart_financial_metrics.source_system is 'The system the numbers came from.';
comment on column mart_financial_metrics.created_at is 'When the row was first published, UTC.';
comment on column mart_financial_metrics.updated_at is 'When the last publish changed a value of the row, UTC; a night that finds the same numbers leaves it alone.';
