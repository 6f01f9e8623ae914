-- The rental fleet as it stood at the end of a day, a row per organisation and day. Amounts in the organisation's currency.
-- Columns, types, defaults and key are the specification's; meanings are comments in the catalog.

create table mart_rental_fleet (
    id serial primary key,
    org_id integer not null references organizations (id),
    snapshot_date date not null,
    year integer not null,
    month integer not null,
    total_units integer default 0,
    available_units integer default 0,
    rented_units integer default 0,
    maintenance_units integer default 0,
    utilization_rate numeric(5, 2) default 0,
    rental_revenue_mtd numeric(18, 2) default 0,
    rental_revenue_ytd numeric(18, 2) default 0,
    units_by_type jsonb default '{}',
    revenue_by_type jsonb default '{}',
    active_rental_customers integer default 0,
    source_system varchar(50) default 'softbase',
    created_at timestamp default current_timestamp,
    updated_at timestamp default current_timestamp,
    unique (org_id, snapshot_date)
);

alter table mart_rental_fleet enable row level security;
alter table mart_rental_fleet force row level security;
create policy reader on mart_rental_fleet for select to marts_reader using (org_id = marts_org_id());
create policy admin on mart_rental_fleet for select to marts_admin using (true);
create policy loader on mart_rental_fleet to marts_loader using (org_id = marts_org_id()) with check (org_id = marts_org_id());
grant select on mart_rental_fleet to marts_reader, marts_admin;
grant select, insert, update on mart_rental_fleet to marts_loader;
grant usage on sequence mart_rental_fleet_id_seq to marts_loader;

comment on table mart_rental_fleet is 'The rental fleet as it stood at the end of a day, a row per organisation and day. Amounts in the organisation''s currency. Source: Softbase.';
comment on column mart_rental_fleet.id is 'Surrogate key; survives restatements.';
comment on column mart_rental_fleet.org_id is 'The organisation the row belongs to; row-level security hangs on it.';
comment on column mart_rental_fleet.snapshot_date is 'The local day the figures are as of.';
comment on column mart_rental_fleet.year is 'Calendar year.';
comment on column mart_rental_fleet.month is 'Calendar month, 1 to 12.';
comment on column mart_rental_fleet.total_units is 'Units of the fleet.';
comment on column mart_rental_fleet.available_units is 'Units ready to rent.';
comment on column mart_rental_fleet.rented_units is 'Units on rent.';
comment on column mart_rental_fleet.maintenance_units is 'Units on hold.';
comment on column mart_rental_fleet.utilization_rate is 'rented_units over total_units, percent.';
comment on column mart_rental_fleet.rental_revenue_mtd is 'Rental revenue of the calendar month to date.';
comment on column mart_rental_fleet.rental_revenue_ytd is 'Rental revenue of the fiscal year to date.';
comment on column mart_rental_fleet.units_by_type is 'Object: units by equipment type.';
comment on column mart_rental_fleet.revenue_by_type is 'Object: rental revenue of the month by equipment type.';
comment on column mart_rental_fleet.active_rental_customers is 'Customers with a unit on rent.';
comment on column mart_rental_fleet.source_system is 'The system the numbers came from.';
comment on column mart_rental_fleet.created_at is 'When the row was first published, UTC.';
comment on column mart_rental_fleet.updated_at is 'When the last publish changed a value of the row, UTC; a night that finds the same numbers leaves it alone.';
