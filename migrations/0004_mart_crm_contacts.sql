-- Contacts of the CRM as they stood at the end of a day, a row per organisation and day.
-- Columns, types, defaults and key are the specification's; meanings are comments in the catalog.

create table mart_crm_contacts (
    id serial primary key,
    org_id integer not null references organizations (id),
    snapshot_date date not null,
    total_contacts integer default 0,
    new_contacts_30d integer default 0,
    new_contacts_7d integer default 0,
    subscribers integer default 0,
    leads integer default 0,
    marketing_qualified integer default 0,
    sales_qualified integer default 0,
    opportunities integer default 0,
    customers integer default 0,
    evangelists integer default 0,
    other_lifecycle integer default 0,
    source_system varchar(50) default 'hubspot',
    created_at timestamp default current_timestamp,
    updated_at timestamp default current_timestamp,
    unique (org_id, snapshot_date)
);

alter table mart_crm_contacts enable row level security;
alter table mart_crm_contacts force row level security;
create policy reader on mart_crm_contacts for select to marts_reader using (org_id = marts_org_id());
create policy admin on mart_crm_contacts for select to marts_admin using (true);
create policy loader on mart_crm_contacts to marts_loader using (org_id = marts_org_id()) with check (org_id = marts_org_id());
grant select on mart_crm_contacts to marts_reader, marts_admin;
grant select, insert, update on mart_crm_contacts to marts_loader;
grant usage on sequence mart_crm_contacts_id_seq to marts_loader;

comment on table mart_crm_contacts is 'Contacts of the CRM as they stood at the end of a day, a row per organisation and day. Source: HubSpot.';
comment on column mart_crm_contacts.id is 'Surrogate key; survives restatements.';
comment on column mart_crm_contacts.org_id is 'The organisation the row belongs to; row-level security hangs on it.';
comment on column mart_crm_contacts.snapshot_date is 'The local day the counts are as of.';
comment on column mart_crm_contacts.total_contacts is 'Contacts.';
comment on column mart_crm_contacts.new_contacts_30d is 'Contacts created in the 30 local days ending with snapshot_date.';
comment on column mart_crm_contacts.new_contacts_7d is 'Contacts created in the 7 local days ending with snapshot_date.';
comment on column mart_crm_contacts.subscribers is 'Contacts in lifecycle stage subscriber.';
comment on column mart_crm_contacts.leads is 'Contacts in lifecycle stage lead.';
comment on column mart_crm_contacts.marketing_qualified is 'Contacts in lifecycle stage marketing qualified lead.';
comment on column mart_crm_contacts.sales_qualified is 'Contacts in lifecycle stage sales qualified lead.';
comment on column mart_crm_contacts.opportunities is 'Contacts in lifecycle stage opportunity.';
comment on column mart_crm_contacts.customers is 'Contacts in lifecycle stage customer.';
comment on column mart_crm_contacts.evangelists is 'Contacts in lifecycle stage evangelist.';
comment on column mart_crm_contacts.other_lifecycle is 'total_contacts less the seven stages above.';
comment on column mart_crm_contacts.source_system is 'The system the numbers came from.';
comment on column mart_crm_contacts.created_at is 'When the row was first published, UTC.';
comment on column mart_crm_contacts.updated_at is 'When the last publish changed a value of the row, UTC; a night that finds the same numbers leaves it alone.';
