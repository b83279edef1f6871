-- Whether an organization's directories are synchronised, and what the vendor writes down about it. One
-- that was deleted is kept as long as its directories are.
alter table organizations add column directory_sync integer not null default 1;
alter table organizations add column metadata text not null default '{}';
alter table organizations add column deleted_at integer;

-- A directory that was deleted opens for nobody. Who was in it is deleted after that, step by step; then it
-- is empty. Its row stays: its events name it.
alter table directories add column paused_at integer;
alter table directories add column deleted_at integer;
alter table directories add column emptied_at integer;

create index directories_to_empty on directories (directory_id)
    where deleted_at is not null and emptied_at is null;

-- When a directory's provider was heard of, to the minute. Beside the directory, whose row is for those who
-- write to it.
create table contacts (
    directory_id text not null,
    last_at integer not null,
    changed_at integer,
    refused_at integer,
    refused_with integer,
    constraint contacts_key primary key (directory_id)
) strict, without rowid;

-- What a key may do, names with a space between them, and the only organization that there is for it.
alter table api_keys add column scopes text not null default 'full';
alter table api_keys add column organization_id text;
alter table api_keys add column expires_at integer;
alter table api_keys add column last_used_at integer;

-- Who asks for access tokens of a directory, and proves with a secret that it is them.
create table oauth_clients (
    client_id text not null,
    directory_id text not null,
    name text not null,
    created_at integer not null,
    constraint oauth_clients_key primary key (client_id),
    constraint oauth_clients_directory foreign key (directory_id) references directories (directory_id)
) strict, without rowid;

create index oauth_clients_by_directory on oauth_clients (directory_id, client_id);

create table oauth_secrets (
    secret_id text not null,
    client_id text not null,
    hash text not null,
    last_four text not null,
    created_at integer not null,
    expires_at integer not null,
    last_used_at integer,
    constraint oauth_secrets_key primary key (secret_id),
    constraint oauth_secrets_hash_unique unique (hash),
    constraint oauth_secrets_client foreign key (client_id) references oauth_clients (client_id)
) strict, without rowid;

create index oauth_secrets_by_client on oauth_secrets (client_id, secret_id);

-- The secret for which a token was given, where it is an access token: when the secret goes, so does this.
alter table tokens add column client_secret_id text;

create index tokens_by_client_secret on tokens (client_secret_id, token_id)
    where client_secret_id is not null;

-- Requests that are to have their effect once, however often they are sent: by whom and under which key, both
-- as hashes. The answer is sealed with a key that only whoever sends the same again can make.
create table idempotency_keys (
    holder text not null,
    key_hash text not null,
    request_hash text not null,
    begun_at integer not null,
    status integer,
    answer text,
    constraint idempotency_keys_key primary key (holder, key_hash)
) strict, without rowid;

create index idempotency_keys_by_age on idempotency_keys (begun_at);
