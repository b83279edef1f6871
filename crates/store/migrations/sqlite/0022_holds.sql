-- That changes of a directory wait, because too many people would lose something (`brake`), or because nobody
-- has looked yet (`shadow`): how far that is, and why it ended. Kept after it has.
create table holds (
    hold_id text not null,
    directory_id text not null,
    kind text not null,
    state text not null,
    outcome text,
    people integer not null,
    people_max integer not null,
    started_at integer not null,
    until_at integer,
    decided_at integer,
    ended_at integer,
    cause text not null,
    decided_by text,
    constraint holds_key primary key (hold_id)
) strict, without rowid;

create index holds_by_directory on holds (directory_id, hold_id);

create index holds_not_ended on holds (hold_id) where state <> 'ended';

-- What is waiting, where something is. Read by whoever writes to the directory, so that where nothing is,
-- nothing else is asked.
alter table directories add column hold_id text;

-- Users and groups of whom an app has heard something else than is so: what it has heard, or nothing where it
-- has not heard of them. `ordinal` is their place in what is let out.
create table held_resources (
    directory_id text not null,
    resource_id text not null,
    kind text not null,
    name_key text not null,
    told text,
    told_active integer not null,
    previous_id text,
    ordinal integer not null,
    cause text not null,
    changed_at integer not null,
    constraint held_resources_key primary key (directory_id, resource_id)
) strict, without rowid;

create index held_resources_in_order on held_resources (directory_id, ordinal);

-- The same of memberships: whether the app has heard that they are there.
create table held_memberships (
    directory_id text not null,
    group_id text not null,
    member_id text not null,
    kind text not null,
    was_member integer not null,
    ordinal integer not null,
    cause text not null,
    changed_at integer not null,
    constraint held_memberships_key primary key (group_id, member_id)
) strict, without rowid;

create index held_memberships_in_order on held_memberships (directory_id, ordinal);

-- The same of roles: those that the app has heard of, each with its reason, as JSON. They are let out behind
-- all else.
create table held_roles (
    directory_id text not null,
    user_id text not null,
    told text not null,
    ordinal integer not null,
    cause text not null,
    changed_at integer not null,
    constraint held_roles_key primary key (directory_id, user_id)
) strict, without rowid;

create index held_roles_in_order on held_roles (directory_id, ordinal);

-- What was lost lately, as it was before: who may not use the app any more or is gone, groups that are gone,
-- and memberships. What is older than the directory's brake looks back is let go with the next loss.
create table recent_losses (
    directory_id text not null,
    resource_id text not null,
    member_id text not null,
    kind text not null,
    name_key text not null,
    told text not null,
    told_active integer not null,
    cause text not null,
    lost_at integer not null,
    constraint recent_losses_key primary key (directory_id, resource_id, member_id)
) strict, without rowid;

create index recent_losses_by_time on recent_losses (directory_id, lost_at);
