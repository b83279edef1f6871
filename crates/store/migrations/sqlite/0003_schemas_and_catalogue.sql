-- Extension schemas that a directory has beside the built-in ones.
create table directory_schemas (
    directory_id text not null,
    -- The URN in lower case: it is compared without case.
    urn_key text not null,
    -- What it extends: `User` or `Group`.
    extends text not null,
    required integer not null,
    -- The document of RFC 7643 §7, as JSON.
    definition text not null,
    created_at integer not null,
    modified_at integer not null,
    constraint directory_schemas_key primary key (directory_id, urn_key),
    constraint directory_schemas_directory foreign key (directory_id)
        references directories (directory_id)
) strict, without rowid;

-- One more with each change of a schema. Read with every token, so that what was made of the schemas
-- is made anew when they change, on every node.
alter table directories add column schemas_version integer not null default 0;

-- What a provider says of a user that no schema has: values by name, as JSON.
alter table users add column aside text;

create index users_with_aside on users (directory_id, ordinal) where aside is not null;

-- How many users or groups have a value of an attribute that is of no built-in schema.
create table attribute_uses (
    directory_id text not null,
    -- Of what: `User` or `Group`.
    of_kind text not null,
    -- Whether it is of no schema at all, and kept beside the users.
    is_aside integer not null,
    path text not null,
    -- What kind of JSON the latest value was.
    json_type text not null,
    resource_count integer not null,
    first_seen_at integer not null,
    constraint attribute_uses_key primary key (directory_id, of_kind, is_aside, path)
) strict, without rowid;

-- The roles and entitlements of the vendor's app, as providers read them.
create table catalogue (
    -- `Role` or `Entitlement`.
    kind text not null,
    entry_id text not null,
    -- The place in the order of lists.
    ordinal integer not null,
    display_name text not null,
    description text,
    created_at integer not null,
    modified_at integer not null,
    constraint catalogue_key primary key (kind, entry_id),
    constraint catalogue_ordinal_unique unique (kind, ordinal)
) strict, without rowid;
