-- Users, meetings and phone calls of a local day, a row per organisation and day.
-- Columns, types, defaults and key are the specification's; meanings are comments in the catalog.

create table mart_zoom_metrics (
    id serial primary key,
    org_id integer not null references organizations (id),
    metric_date date not null,
    total_users integer default 0,
    phone_users integer default 0,
    total_meetings integer default 0,
    total_meeting_minutes integer default 0,
    total_participants integer default 0,
    avg_meeting_duration_mins numeric(8, 2) default 0,
    total_calls integer default 0,
    inbound_calls integer default 0,
    outbound_calls integer default 0,
    missed_calls integer default 0,
    total_call_minutes integer default 0,
    avg_call_duration_mins numeric(8, 2) default 0,
    queue_count integer default 0,
    source_system varchar(50) default 'zoom',
    created_at timestamp default current_timestamp,
    updated_at timestamp default current_timestamp,
    unique (org_id, metric_date)
);

alter table mart_zoom_metrics enable row level security;
alter table mart_zoom_metrics force row level security;
create policy reader on mart_zoom_metrics for select to marts_reader using (org_id = marts_org_id());
create policy admin on mart_zoom_metrics for select to marts_admin using (true);
create policy loader on mart_zoom_metrics to marts_loader using (org_id = marts_org_id()) with check (org_id = marts_org_id());
grant select on mart_zoom_metrics to marts_reader, marts_admin;
grant select, insert, update on mart_zoom_metrics to marts_loader;
grant usage on sequence mart_zoom_metrics_id_seq to marts_loader;

comment on table mart_zoom_metrics is 'Users, meetings and phone calls of a local day, a row per organisation and day. Source: Zoom.';
comment on column mart_zoom_metrics.id is 'Surrogate key; survives restatements.';
comment on column mart_zoom_metrics.org_id is 'The organisation the row belongs to; row-level security hangs on it.';
comment on column mart_zoom_metrics.metric_date is 'The local day.';
comment on column mart_zoom_metrics.total_users is 'Users of the account, of any status, as of the day; null when no snapshot was taken.';
comment on column mart_zoom_metrics.phone_users is 'Users with Zoom Phone as of the day; null when unknown.';
comment on column mart_zoom_metrics.total_meetings is 'Meetings of the day.';
comment on column mart_zoom_metrics.total_meeting_minutes is 'Minutes of those meetings.';
comment on column mart_zoom_metrics.total_participants is 'Participants of those meetings.';
comment on column mart_zoom_metrics.avg_meeting_duration_mins is 'total_meeting_minutes over total_meetings, minutes; 0 when there are none.';
comment on column mart_zoom_metrics.total_calls is 'Calls, each counted once whatever its legs; null without Zoom Phone.';
comment on column mart_zoom_metrics.inbound_calls is 'Calls whose first leg came in.';
comment on column mart_zoom_metrics.outbound_calls is 'Calls whose first leg went out.';
comment on column mart_zoom_metrics.missed_calls is 'Inbound calls nobody answered.';
comment on column mart_zoom_metrics.total_call_minutes is 'Minutes of the connected calls.';
comment on column mart_zoom_metrics.avg_call_duration_mins is 'Minutes per connected call; 0 when there are none.';
comment on column mart_zoom_metrics.queue_count is 'Call queues as of the day; null when unknown.';
comment on column mart_zoom_metrics.source_system is 'The system the numbers came from.';
comment on column mart_zoom_metrics.created_at is 'When the row was first published, UTC.';
comment on column mart_zoom_metrics.updated_at is 'When the last publish changed a value of the row, UTC; a night that finds the same numbers leaves it alone.';
