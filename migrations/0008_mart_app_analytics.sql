-- Use of the mobile app on a local day, a row per organisation and day.
-- Columns, types, defaults and key are the specification's; meanings are comments in the catalog.

create table mart_app_analytics (
    id serial primary key,
    org_id integer not null references organizations (id),
    metric_date date not null,
    daily_active_users integer default 0,
    weekly_active_users integer default 0,
    monthly_active_users integer default 0,
    new_users integer default 0,
    returning_users integer default 0,
    total_sessions integer default 0,
    avg_session_duration_secs numeric(10, 2) default 0,
    screens_per_session numeric(8, 2) default 0,
    ios_downloads integer default 0,
    android_downloads integer default 0,
    top_screens jsonb default '[]',
    source_system varchar(50) default 'bigquery_ga4',
    created_at timestamp default current_timestamp,
    updated_at timestamp default current_timestamp,
    unique (org_id, metric_date)
);

alter table mart_app_analytics enable row level security;
alter table mart_app_analytics force row level security;
create policy reader on mart_app_analytics for select to marts_reader using (org_id = marts_org_id());
create policy admin on mart_app_analytics for select to marts_admin using (true);
create policy loader on mart_app_analytics to marts_loader using (org_id = marts_org_id()) with check (org_id = marts_org_id());
grant select on mart_app_analytics to marts_reader, marts_admin;
grant select, insert, update on mart_app_analytics to marts_loader;
grant usage on sequence mart_app_analytics_id_seq to marts_loader;

comment on table mart_app_analytics is 'Use of the mobile app on a local day, a row per organisation and day. Source: BigQuery export of GA4.';
comment on column mart_app_analytics.id is 'Surrogate key; survives restatements.';
comment on column mart_app_analytics.org_id is 'The organisation the row belongs to; row-level security hangs on it.';
comment on column mart_app_analytics.metric_date is 'The local day.';
comment on column mart_app_analytics.daily_active_users is 'Distinct users with any event on the day.';
comment on column mart_app_analytics.weekly_active_users is 'Distinct users of the 7 days ending with the day.';
comment on column mart_app_analytics.monthly_active_users is 'Distinct users of the 30 days ending with the day.';
comment on column mart_app_analytics.new_users is 'Users who opened the app for the first time.';
comment on column mart_app_analytics.returning_users is 'daily_active_users less new_users.';
comment on column mart_app_analytics.total_sessions is 'Distinct sessions.';
comment on column mart_app_analytics.avg_session_duration_secs is 'Engagement per session, seconds; 0 when there are none.';
comment on column mart_app_analytics.screens_per_session is 'Screen views per session; 0 when there are none.';
comment on column mart_app_analytics.ios_downloads is 'First opens on iOS and iPadOS.';
comment on column mart_app_analytics.android_downloads is 'First opens on Android.';
comment on column mart_app_analytics.top_screens is 'Array of {screen, views, users}, ten at most, by views.';
comment on column mart_app_analytics.source_system is 'The system the numbers came from.';
comment on column mart_app_analytics.created_at is 'When the row was first published, UTC.';
comment on column mart_app_analytics.updated_at is 'When the last publish changed a value of the row, UTC; a night that finds the same numbers leaves it alone.';
