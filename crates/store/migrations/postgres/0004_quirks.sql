-- What was straightened of what a provider sends: how often, and when first and last. The name is
-- that of the quirk in the program, so that a new one needs no migration.
create table directory_quirks (
    directory_id text collate "C" not null,
    quirk text collate "C" not null,
    request_count bigint not null,
    first_at bigint not null,
    last_at bigint not null,
    constraint directory_quirks_key primary key (directory_id, quirk),
    constraint directory_quirks_directory foreign key (directory_id)
        references directories (directory_id)
);
