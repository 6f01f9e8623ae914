-- Deals of the CRM as they stood at the end of a day, a row per organisation and day. Amounts in the organisation's currency.
-- Columns, types, defaults and key are the specification's; meanings are comments in the catalog.

create table mart_crm_deals (
    id serial primary key,
    org_id integer not null references organizations (id),
    snapshot_date date not null,
    total_deals integer default 0,
    open_deals integer default 0,
    won_deals integer default 0,
    lost_deals integer default 0,
    total_pipeline_value numeric(18, 2) default 0,
    won_value numeric(18, 2) default 0,
    lost_value numeric(18, 2) default 0,
    average_deal_size numeric(18, 2) default 0,
    deals_by_stage jsonb default '{}',
    source_system varchar(50) default 'hubspot',
    created_at timestamp default current_timestamp,
    updated_at timestamp default current_timestamp,
    unique (org_id, snapshot_date)
);

alter table mart_crm_deals enable row level security;
alter table mart_crm_deals force row level security;
create policy reader on mart_crm_deals for select to marts_reader using (org_id = marts_org_id());
create policy admin on mart_crm_deals for select to marts_admin using (true);
create policy loader on mart_crm_deals to marts_loader using (org_id = marts_org_id()) with check (org_id = marts_org_id());
grant select on mart_crm_deals to marts_reader, marts_admin;
grant select, insert, update on mart_crm_deals to marts_loader;
grant usage on sequence mart_crm_deals_id_seq to marts_loader;

comment on table mart_crm_deals is 'Deals of the CRM as they stood at the end of a day, a row per organisation and day. Amounts in the organisation''s currency. Source: HubSpot.';
comment on column mart_crm_deals.id is 'Surrogate key; survives restatements.';
comment on column mart_crm_deals.org_id is 'The organisation the row belongs to; row-level security hangs on it.';
comment on column mart_crm_deals.snapshot_date is 'The local day the figures are as of.';
comment on column mart_crm_deals.total_deals is 'Deals.';
comment on column mart_crm_deals.open_deals is 'Deals in a stage that is not closed.';
comment on column mart_crm_deals.won_deals is 'Deals in a closed stage of probability 1.';
comment on column mart_crm_deals.lost_deals is 'Deals in any other closed stage.';
comment on column mart_crm_deals.total_pipeline_value is 'Sum of the open deals'' amounts.';
comment on column mart_crm_deals.won_value is 'Sum of the won deals'' amounts.';
comment on column mart_crm_deals.lost_value is 'Sum of the lost deals'' amounts.';
comment on column mart_crm_deals.average_deal_size is 'won_value over won_deals; 0 when there are none.';
comment on column mart_crm_deals.deals_by_stage is 'Object keyed by stage id: {label, pipeline, is_closed, count, value}.';
comment on column mart_crm_deals.source_system is 'The system the numbers came from.';
comment on column mart_crm_deals.created_at is 'When the row was first published, UTC.';
comment on column mart_crm_deals.updated_at is 'When the last publish changed a value of the row, UTC; a night that finds the same numbers leaves it alone.';
