-- Who really speaks to a directory, as far as that was seen, as JSON. The requests themselves are in a file
-- of their own: see `sqlite/requests.sql` in the sources.
create table directory_clients (
    directory_id text not null,
    known text not null,
    modified_at integer not null,
    constraint directory_clients_key primary key (directory_id)
) strict, without rowid;
