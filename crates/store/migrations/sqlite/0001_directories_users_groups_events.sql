-- Ids are text made in Rust. Times are microseconds since 1970, from the caller. Resources and
-- events are JSON text, kept as bytes and answered as bytes. What is compared without case has a
-- column of its own, folded in Rust, because databases fold differently.

create table organizations (
    organization_id text not null,
    name text not null,
    external_id text,
    created_at integer not null,
    constraint organizations_key primary key (organization_id)
) strict, without rowid;

create unique index organizations_external_id_unique
    on organizations (external_id) where external_id is not null;

create table directories (
    directory_id text not null,
    organization_id text not null,
    name text not null,
    provider text not null,
    settings text not null,
    created_at integer not null,
    -- The number of the latest event. Taken by whoever writes to the directory, so events have no
    -- gaps and no inversions.
    event_number integer not null,
    -- The place of the latest user or group in the order of lists.
    ordinal integer not null,
    user_count integer not null,
    active_user_count integer not null,
    group_count integer not null,
    constraint directories_key primary key (directory_id),
    constraint directories_organization foreign key (organization_id)
        references organizations (organization_id)
) strict, without rowid;

create index directories_by_organization on directories (organization_id, directory_id);

create table tokens (
    token_id text not null,
    directory_id text not null,
    hash text not null,
    last_four text not null,
    created_at integer not null,
    expires_at integer not null,
    last_used_at integer,
    constraint tokens_key primary key (token_id),
    constraint tokens_hash_unique unique (hash),
    constraint tokens_directory foreign key (directory_id) references directories (directory_id)
) strict, without rowid;

create index tokens_by_directory on tokens (directory_id, token_id);

create table api_keys (
    api_key_id text not null,
    name text not null,
    hash text not null,
    last_four text not null,
    created_at integer not null,
    constraint api_keys_key primary key (api_key_id),
    constraint api_keys_hash_unique unique (hash)
) strict, without rowid;

-- Large rows stay in a table with row ids; what finds them stays in narrow indexes.
create table users (
    directory_id text not null,
    user_id text not null,
    ordinal integer not null,
    user_name_key text not null,
    external_id text,
    active integer not null,
    resource text not null,
    version integer not null,
    created_at integer not null,
    modified_at integer not null,
    constraint users_key primary key (directory_id, user_id),
    constraint users_user_name_unique unique (directory_id, user_name_key),
    constraint users_ordinal_unique unique (directory_id, ordinal)
) strict;

create index users_by_external_id on users (directory_id, external_id) where external_id is not null;

-- Who was deleted, so that the same person, coming back under a new id, can be recognised.
create table former_users (
    directory_id text not null,
    user_id text not null,
    user_name_key text not null,
    external_id text,
    deleted_at integer not null,
    constraint former_users_key primary key (directory_id, user_id)
) strict, without rowid;

create index former_users_by_user_name on former_users (directory_id, user_name_key, deleted_at);
create index former_users_by_external_id
    on former_users (directory_id, external_id, deleted_at) where external_id is not null;

create table groups (
    directory_id text not null,
    group_id text not null,
    ordinal integer not null,
    display_name text not null,
    display_name_key text not null,
    external_id text,
    resource text not null,
    version integer not null,
    member_count integer not null,
    created_at integer not null,
    modified_at integer not null,
    constraint groups_key primary key (directory_id, group_id),
    constraint groups_display_name_unique unique (directory_id, display_name_key),
    constraint groups_ordinal_unique unique (directory_id, ordinal)
) strict;

create index groups_by_external_id on groups (directory_id, external_id) where external_id is not null;

-- Group ids are never reused, so a group's rows need not name its directory: whoever reads them
-- has found the group in its directory first.
create table memberships (
    group_id text not null,
    member_id text not null,
    kind text not null,
    display text,
    constraint memberships_key primary key (group_id, member_id)
) strict, without rowid;

create unique index memberships_by_member on memberships (member_id, group_id);

create table events (
    -- The place in the feed over all directories, without gaps, in the order of commits.
    position integer primary key,
    directory_id text not null,
    -- Within the directory, from 1 on, without gaps; in the same order as the positions.
    number integer not null,
    event_id text not null,
    type text not null,
    occurred_at integer not null,
    data text not null
) strict;

create index events_by_directory on events (directory_id, position);

-- One row. The epoch names this life of the database: a cursor from another life, after a restore,
-- is noticed. The secret seals cursors.
create table feed (
    one integer not null,
    epoch text not null,
    secret text not null,
    position integer not null,
    constraint feed_key primary key (one),
    constraint feed_one_row check (one = 1)
) strict;
