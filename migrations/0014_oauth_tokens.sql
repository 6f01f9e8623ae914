-- Rotating OAuth tokens, encrypted by the program. Neither readers nor admins may see the table.

create table oauth_tokens (
    org_id integer not null references organizations (id),
    connector text not null,
    ciphertext bytea not null,
    previous_ciphertext bytea,
    seed_fingerprint bytea not null,
    issued_at timestamptz not null,
    expires_at timestamptz,
    hard_expires_at timestamptz,
    version bigint not null default 1,
    updated_at timestamptz not null default current_timestamp,
    primary key (org_id, connector)
);

alter table oauth_tokens enable row level security;
alter table oauth_tokens force row level security;
create policy loader on oauth_tokens to marts_loader using (org_id = marts_org_id()) with check (org_id = marts_org_id());
grant select, insert, update on oauth_tokens to marts_loader;

comment on table oauth_tokens is 'Rotating OAuth tokens, encrypted by the program.';
comment on column oauth_tokens.org_id is 'The organisation whose consent it is.';
comment on column oauth_tokens.connector is 'The connector it belongs to, e.g. quickbooks.';
comment on column oauth_tokens.ciphertext is 'The token set, encrypted.';
comment on column oauth_tokens.previous_ciphertext is 'The token set before it, encrypted: the way back when a rotation was lost.';
comment on column oauth_tokens.seed_fingerprint is 'Hash of the configured token it grew from: a new consent starts over.';
comment on column oauth_tokens.issued_at is 'When the source issued it.';
comment on column oauth_tokens.expires_at is 'When the refresh token dies if it is not used; null = unknown.';
comment on column oauth_tokens.hard_expires_at is 'When it dies however much it is used; null = unknown.';
comment on column oauth_tokens.version is 'Counts up; whoever writes must have read the one before.';
comment on column oauth_tokens.updated_at is 'When it was stored.';
