-- Whether an organization's directories are synchronised, and what the vendor writes down about it. One
-- that was deleted is kept as long as its directories are.
alter table organizations add column directory_sync bigint not null default 1;
alter table organizations add column metadata text collate "C" not null default '{}';
alter table organizations add column deleted_at bigint;

-- A directory that was deleted opens for nobody. Who was in it is deleted after that, step by step; then it
-- is empty. Its row stays: its events name it.
alter table directories add column paused_at bigint;
alter table directories add column deleted_at bigint;
alter table directories add column emptied_at bigint;

create index directories_to_empty on directories (directory_id)
    where deleted_at is not null and emptied_at is null;

-- When a directory's provider was heard of, to the minute. Beside the directory, whose row is for those who
-- write to it.
create table contacts (
    directory_id text collate "C" not null,
    last_at bigint not null,
    changed_at bigint,
    refused_at bigint,
    refused_with bigint,
    constraint contacts_key primary key (directory_id)
);

-- What a key may do, names with a space between them, and the only organization that there is for it.
alter table api_keys add column scopes text collate "C" not null default 'full';
alter table api_keys add column organization_id text collate "C";
alter table api_keys add column expires_at bigint;
alter table api_keys add column last_used_at bigint;

-- Who asks for access tokens of a directory, and proves with a secret that it is them.
create table oauth_clients (
    client_id text collate "C" not null,
    directory_id text collate "C" not null,
    name text collate "C" not null,
    created_at bigint not null,
    constraint oauth_clients_key primary key (client_id),
    constraint oauth_clients_directory foreign key (directory_id) references directories (directory_id)
);

create index oauth_clients_by_directory on oauth_clients (directory_id, client_id);

create table oauth_secrets (
    secret_id text collate "C" not null,
    client_id text collate "C" not null,
    hash text collate "C" not null,
    last_four text collate "C" not null,
    created_at bigint not null,
    expires_at bigint not null,
    last_used_at bigint,
    constraint oauth_secrets_key primary key (secret_id),
    constraint oauth_secrets_hash_unique unique (hash),
    constraint oauth_secrets_client foreign key (client_id) references oauth_clients (client_id)
);

create index oauth_secrets_by_client on oauth_secrets (client_id, secret_id);

-- The secret for which a token was given, where it is an access token: when the secret goes, so does this.
alter table tokens add column client_secret_id text collate "C";

create index tokens_by_client_secret on tokens (client_secret_id, token_id)
    where client_secret_id is not null;

-- Requests that are to have their effect once, however often they are sent: by whom and under which key, both
-- as hashes. The answer is sealed with a key that only whoever sends the same again can make.
create table idempotency_keys (
    holder text collate "C" not null,
    key_hash text collate "C" not null,
    request_hash text collate "C" not null,
    begun_at bigint not null,
    status bigint,
    answer text collate "C",
    constraint idempotency_keys_key primary key (holder, key_hash)
);

create index idempotency_keys_by_age on idempotency_keys (begun_at);
