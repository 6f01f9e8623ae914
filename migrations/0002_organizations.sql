-- The organisations, as marts.toml has them.
--
-- Row-level security is enabled but not forced: the owner, and nobody else, keeps the table in step with marts.toml.

create table organizations (
    id serial primary key,
    slug text not null unique check (slug <> ''),
    name text not null,
    timezone text not null,
    fiscal_year_start_month integer not null check (fiscal_year_start_month between 1 and 12),
    data_start_date date,
    created_at timestamp not null default current_timestamp,
    updated_at timestamp not null default current_timestamp
);

alter table organizations enable row level security;
create policy reader on organizations for select to marts_reader using (id = marts_org_id());
create policy admin on organizations for select to marts_admin using (true);
create policy loader on organizations for select to marts_loader using (id = marts_org_id());
grant select on organizations to marts_reader, marts_admin, marts_loader;

comment on table organizations is 'The organisations whose numbers the marts hold, as marts.toml has them.';
comment on column organizations.id is 'What org_id refers to everywhere.';
comment on column organizations.slug is 'Its name in marts.toml, on the command line and in paths.';
comment on column organizations.name is 'Its name for people.';
comment on column organizations.timezone is 'IANA time zone that its days are counted in.';
comment on column organizations.fiscal_year_start_month is 'First month of its fiscal year, 1 to 12.';
comment on column organizations.data_start_date is 'No row is about a day before it; null = no limit.';
comment on column organizations.created_at is 'When it was first seen, UTC.';
comment on column organizations.updated_at is 'When its settings last changed, UTC.';
