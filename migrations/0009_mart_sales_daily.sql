-- Invoiced revenue and work orders of a day, a row per organisation and day. Amounts in the organisation's currency, without sales tax.
-- Columns, types, defaults and key are the specification's; meanings are comments in the catalog.

create table mart_sales_daily (
    id serial primary key,
    org_id integer not null references organizations (id),
    sales_date date not null,
    year integer not null,
    month integer not null,
    day_of_week integer,
    service_revenue numeric(18, 2) default 0,
    parts_revenue numeric(18, 2) default 0,
    rental_revenue numeric(18, 2) default 0,
    sales_revenue numeric(18, 2) default 0,
    total_revenue numeric(18, 2) default 0,
    service_invoices integer default 0,
    parts_invoices integer default 0,
    rental_invoices integer default 0,
    sales_invoices integer default 0,
    total_invoices integer default 0,
    open_work_orders integer default 0,
    closed_work_orders integer default 0,
    source_system varchar(50) default 'softbase',
    created_at timestamp default current_timestamp,
    updated_at timestamp default current_timestamp,
    unique (org_id, sales_date)
);

create index idx_mart_sales_org_year_month on mart_sales_daily (org_id, year, month);

alter table mart_sales_daily enable row level security;
alter table mart_sales_daily force row level security;
create policy reader on mart_sales_daily for select to marts_reader using (org_id = marts_org_id());
create policy admin on mart_sales_daily for select to marts_admin using (true);
create policy loader on mart_sales_daily to marts_loader using (org_id = marts_org_id()) with check (org_id = marts_org_id());
grant select on mart_sales_daily to marts_reader, marts_admin;
grant select, insert, update on mart_sales_daily to marts_loader;
grant usage on sequence mart_sales_daily_id_seq to marts_loader;

comment on table mart_sales_daily is 'Invoiced revenue and work orders of a day, a row per organisation and day. Amounts in the organisation''s currency, without sales tax. Source: Softbase.';
comment on column mart_sales_daily.id is 'Surrogate key; survives restatements.';
comment on column mart_sales_daily.org_id is 'The organisation the row belongs to; row-level security hangs on it.';
comment on column mart_sales_daily.sales_date is 'The day.';
comment on column mart_sales_daily.year is 'Calendar year.';
comment on column mart_sales_daily.month is 'Calendar month, 1 to 12.';
comment on column mart_sales_daily.day_of_week is '0 = Sunday to 6 = Saturday.';
comment on column mart_sales_daily.service_revenue is 'Labour lines.';
comment on column mart_sales_daily.parts_revenue is 'Parts lines.';
comment on column mart_sales_daily.rental_revenue is 'Rental lines.';
comment on column mart_sales_daily.sales_revenue is 'Equipment lines.';
comment on column mart_sales_daily.total_revenue is 'Grand totals less sales tax.';
comment on column mart_sales_daily.service_invoices is 'Invoices with service revenue.';
comment on column mart_sales_daily.parts_invoices is 'Invoices with parts revenue.';
comment on column mart_sales_daily.rental_invoices is 'Invoices with rental revenue.';
comment on column mart_sales_daily.sales_invoices is 'Invoices with equipment revenue.';
comment on column mart_sales_daily.total_invoices is 'Invoices; one may count for several departments.';
comment on column mart_sales_daily.open_work_orders is 'Work orders open at the end of the day.';
comment on column mart_sales_daily.closed_work_orders is 'Work orders closed on the day.';
comment on column mart_sales_daily.source_system is 'The system the numbers came from.';
comment on column mart_sales_daily.created_at is 'When the row was first published, UTC.';
comment on column mart_sales_daily.updated_at is 'When the last publish changed a value of the row, UTC; a night that finds the same numbers leaves it alone.';
