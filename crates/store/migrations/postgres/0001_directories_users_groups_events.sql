-- Ids are text made in Rust. Times are microseconds since 1970, from the caller. Resources and
-- events are JSON text, kept as bytes and answered as bytes. What is compared without case has a
-- column of its own, folded in Rust, because databases fold differently.

create table organizations (
    organization_id text collate "C" not null,
    name text collate "C" not null,
    external_id text collate "C",
    created_at bigint not null,
    constraint organizations_key primary key (organization_id)
);

create unique index organizations_external_id_unique
    on organizations (external_id) where external_id is not null;

create table directories (
    directory_id text collate "C" not null,
    organization_id text collate "C" not null,
    name text collate "C" not null,
    provider text collate "C" not null,
    settings text collate "C" not null,
    created_at bigint not null,
    -- The number of the latest event. Taken by whoever writes to the directory, so events have no
    -- gaps and no inversions.
    event_number bigint not null,
    -- The place of the latest user or group in the order of lists.
    ordinal bigint not null,
    user_count bigint not null,
    active_user_count bigint not null,
    group_count bigint not null,
    constraint directories_key primary key (directory_id),
    constraint directories_organization foreign key (organization_id)
        references organizations (organization_id)
);

create index directories_by_organization on directories (organization_id, directory_id);

create table tokens (
    token_id text collate "C" not null,
    directory_id text collate "C" not null,
    hash text collate "C" not null,
    last_four text collate "C" not null,
    created_at bigint not null,
    expires_at bigint not null,
    last_used_at bigint,
    constraint tokens_key primary key (token_id),
    constraint tokens_hash_unique unique (hash),
    constraint tokens_directory foreign key (directory_id) references directories (directory_id)
);

create index tokens_by_directory on tokens (directory_id, token_id);

create table api_keys (
    api_key_id text collate "C" not null,
    name text collate "C" not null,
    hash text collate "C" not null,
    last_four text collate "C" not null,
    created_at bigint not null,
    constraint api_keys_key primary key (api_key_id),
    constraint api_keys_hash_unique unique (hash)
);

-- Large rows stay in a table with row ids; what finds them stays in narrow indexes.
create table users (
    directory_id text collate "C" not null,
    user_id text collate "C" not null,
    ordinal bigint not null,
    user_name_key text collate "C" not null,
    external_id text collate "C",
    active bigint not null,
    resource text collate "C" not null,
    version bigint not null,
    created_at bigint not null,
    modified_at bigint not null,
    constraint users_key primary key (directory_id, user_id),
    constraint users_user_name_unique unique (directory_id, user_name_key),
    constraint users_ordinal_unique unique (directory_id, ordinal)
);

create index users_by_external_id on users (directory_id, external_id) where external_id is not null;

-- Who was deleted, so that the same person, coming back under a new id, can be recognised.
create table former_users (
    directory_id text collate "C" not null,
    user_id text collate "C" not null,
    user_name_key text collate "C" not null,
    external_id text collate "C",
    deleted_at bigint not null,
    constraint former_users_key primary key (directory_id, user_id)
);

create index former_users_by_user_name on former_users (directory_id, user_name_key, deleted_at);
create index former_users_by_external_id
    on former_users (directory_id, external_id, deleted_at) where external_id is not null;

create table groups (
    directory_id text collate "C" not null,
    group_id text collate "C" not null,
    ordinal bigint not null,
    display_name text collate "C" not null,
    display_name_key text collate "C" not null,
    external_id text collate "C",
    resource text collate "C" not null,
    version bigint not null,
    member_count bigint not null,
    created_at bigint not null,
    modified_at bigint not null,
    constraint groups_key primary key (directory_id, group_id),
    constraint groups_display_name_unique unique (directory_id, display_name_key),
    constraint groups_ordinal_unique unique (directory_id, ordinal)
);

create index groups_by_external_id on groups (directory_id, external_id) where external_id is not null;

-- Group ids are never reused, so a group's rows need not name its directory: whoever reads them
-- has found the group in its directory first.
create table memberships (
    group_id text collate "C" not null,
    member_id text collate "C" not null,
    kind text collate "C" not null,
    display text collate "C",
    constraint memberships_key primary key (group_id, member_id)
);

create unique index memberships_by_member on memberships (member_id, group_id);

create table events (
    directory_id text collate "C" not null,
    -- Within the directory, from 1 on, without gaps. Taken under the lock of the directory, and so in
    -- the order of commits.
    number bigint not null,
    event_id text collate "C" not null,
    type text collate "C" not null,
    occurred_at bigint not null,
    data text collate "C" not null,
    constraint events_key primary key (directory_id, number)
);

-- What was kept and has no place in the feed yet: one row for each directory of a transaction. Places
-- are given after the commit, because transactions of several nodes end in another order than that
-- in which they began.
create table unsequenced (
    id bigint generated always as identity,
    directory_id text collate "C" not null,
    first_number bigint not null,
    last_number bigint not null,
    constraint unsequenced_key primary key (id)
);

-- The feed over all directories: events `first_number` and on of a directory stand at the positions
-- from `first_position` to `last_position`. There are no gaps.
create table sequence (
    last_position bigint not null,
    first_position bigint not null,
    directory_id text collate "C" not null,
    first_number bigint not null,
    constraint sequence_key primary key (last_position)
);

create index sequence_by_directory on sequence (directory_id, last_position);

-- One row. The epoch names this life of the database: a cursor from another life, after a restore,
-- is noticed. The secret seals cursors. Whoever gives places in the feed holds its lock.
create table feed (
    one bigint not null,
    epoch text collate "C" not null,
    secret text collate "C" not null,
    position bigint not null,
    constraint feed_key primary key (one),
    constraint feed_one_row check (one = 1)
);
