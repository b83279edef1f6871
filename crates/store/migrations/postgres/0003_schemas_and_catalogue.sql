-- Extension schemas that a directory has beside the built-in ones.
create table directory_schemas (
    directory_id text collate "C" not null,
    -- The URN in lower case: it is compared without case.
    urn_key text collate "C" not null,
    -- What it extends: `User` or `Group`.
    extends text collate "C" not null,
    required bigint not null,
    -- The document of RFC 7643 §7, as JSON.
    definition text collate "C" not null,
    created_at bigint not null,
    modified_at bigint not null,
    constraint directory_schemas_key primary key (directory_id, urn_key),
    constraint directory_schemas_directory foreign key (directory_id)
        references directories (directory_id)
);

-- One more with each change of a schema. Read with every token, so that what was made of the schemas
-- is made anew when they change, on every node.
alter table directories add column schemas_version bigint not null default 0;

-- What a provider says of a user that no schema has: values by name, as JSON.
alter table users add column aside text collate "C";

create index users_with_aside on users (directory_id, ordinal) where aside is not null;

-- How many users or groups have a value of an attribute that is of no built-in schema.
create table attribute_uses (
    directory_id text collate "C" not null,
    -- Of what: `User` or `Group`.
    of_kind text collate "C" not null,
    -- Whether it is of no schema at all, and kept beside the users.
    is_aside bigint not null,
    path text collate "C" not null,
    -- What kind of JSON the latest value was.
    json_type text collate "C" not null,
    resource_count bigint not null,
    first_seen_at bigint not null,
    constraint attribute_uses_key primary key (directory_id, of_kind, is_aside, path)
);

-- The roles and entitlements of the vendor's app, as providers read them.
create table catalogue (
    -- `Role` or `Entitlement`.
    kind text collate "C" not null,
    entry_id text collate "C" not null,
    -- The place in the order of lists.
    ordinal bigint not null,
    display_name text collate "C" not null,
    description text collate "C",
    created_at bigint not null,
    modified_at bigint not null,
    constraint catalogue_key primary key (kind, entry_id),
    constraint catalogue_ordinal_unique unique (kind, ordinal)
);
