-- Keys that lists are narrowed by.

-- Who may not use the app: few, of whom providers ask.
create index users_inactive on users (directory_id, ordinal) where active = 0;

-- Who changed lately. In the order of lists, so that a change rewrites an entry where it is, and one
-- pass over the index serves a whole list.
create index users_by_modified on users (directory_id, ordinal, modified_at);
create index groups_by_modified on groups (directory_id, ordinal, modified_at);

-- Who has an e-mail address, folded in Rust.
create table email_keys (
    directory_id text collate "C" not null,
    email_key text collate "C" not null,
    user_id text collate "C" not null,
    constraint email_keys_key primary key (directory_id, email_key, user_id)
);

create index email_keys_by_user on email_keys (directory_id, user_id);

-- The version of the user that the keys are those of. Where it is not the latest, as after a write by
-- a program that does not know of them, the user is looked at whatever address is asked for.
alter table users add column email_keys_version bigint not null default 0;

create index users_without_email_keys
    on users (directory_id, ordinal) where email_keys_version <> version;
