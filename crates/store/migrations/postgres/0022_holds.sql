-- That changes of a directory wait, because too many people would lose something (`brake`), or because nobody
-- has looked yet (`shadow`): how far that is, and why it ended. Kept after it has.
create table holds (
    hold_id text collate "C" not null,
    directory_id text collate "C" not null,
    kind text collate "C" not null,
    state text collate "C" not null,
    outcome text collate "C",
    people bigint not null,
    people_max bigint not null,
    started_at bigint not null,
    until_at bigint,
    decided_at bigint,
    ended_at bigint,
    cause text collate "C" not null,
    decided_by text collate "C",
    constraint holds_key primary key (hold_id)
);

create index holds_by_directory on holds (directory_id, hold_id);

create index holds_not_ended on holds (hold_id) where state <> 'ended';

-- What is waiting, where something is. Read by whoever writes to the directory, so that where nothing is,
-- nothing else is asked.
alter table directories add column hold_id text collate "C";

-- Users and groups of whom an app has heard something else than is so: what it has heard, or nothing where it
-- has not heard of them. `ordinal` is their place in what is let out.
create table held_resources (
    directory_id text collate "C" not null,
    resource_id text collate "C" not null,
    kind text collate "C" not null,
    name_key text collate "C" not null,
    told text collate "C",
    told_active bigint not null,
    previous_id text collate "C",
    ordinal bigint not null,
    cause text collate "C" not null,
    changed_at bigint not null,
    constraint held_resources_key primary key (directory_id, resource_id)
);

create index held_resources_in_order on held_resources (directory_id, ordinal);

-- The same of memberships: whether the app has heard that they are there.
create table held_memberships (
    directory_id text collate "C" not null,
    group_id text collate "C" not null,
    member_id text collate "C" not null,
    kind text collate "C" not null,
    was_member bigint not null,
    ordinal bigint not null,
    cause text collate "C" not null,
    changed_at bigint not null,
    constraint held_memberships_key primary key (group_id, member_id)
);

create index held_memberships_in_order on held_memberships (directory_id, ordinal);

-- The same of roles: those that the app has heard of, each with its reason, as JSON. They are let out behind
-- all else.
create table held_roles (
    directory_id text collate "C" not null,
    user_id text collate "C" not null,
    told text collate "C" not null,
    ordinal bigint not null,
    cause text collate "C" not null,
    changed_at bigint not null,
    constraint held_roles_key primary key (directory_id, user_id)
);

create index held_roles_in_order on held_roles (directory_id, ordinal);

-- What was lost lately, as it was before: who may not use the app any more or is gone, groups that are gone,
-- and memberships. What is older than the directory's brake looks back is let go with the next loss.
create table recent_losses (
    directory_id text collate "C" not null,
    resource_id text collate "C" not null,
    member_id text collate "C" not null,
    kind text collate "C" not null,
    name_key text collate "C" not null,
    told text collate "C" not null,
    told_active bigint not null,
    cause text collate "C" not null,
    lost_at bigint not null,
    constraint recent_losses_key primary key (directory_id, resource_id, member_id)
);

create index recent_losses_by_time on recent_losses (directory_id, lost_at);
