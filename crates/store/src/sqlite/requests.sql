-- The file of requests, beside the database: who takes requests down never holds up who changes
-- something, and a commit of these waits for no disk. What a power cut takes of it is the last seconds.
pragma journal_mode = wal;
pragma synchronous = normal;
-- Who was erased is not to be found in what is left of the file's old pages.
pragma secure_delete = on;
pragma temp_store = memory;
pragma cache_size = -16384;
pragma wal_autocheckpoint = 4000;
pragma journal_size_limit = 67108864;
pragma application_id = 1383035764;

-- As on PostgreSQL, where it is said what these are.
create table if not exists requests (
    place integer not null primary key,
    request_id text not null,
    directory_id text not null,
    class integer not null,
    begun_at integer not null,
    duration_us integer not null,
    entry text not null
) strict;

create index if not exists requests_by_id on requests (request_id);
create index if not exists requests_by_directory on requests (directory_id, place);
create index if not exists requests_by_class on requests (directory_id, class, place);
create index if not exists requests_of_all_by_class on requests (class, place);

create table if not exists request_bodies (
    place integer not null primary key,
    request_body text,
    answer_body text
) strict;

create table if not exists request_subjects (
    subject text not null,
    place integer not null,
    constraint request_subjects_key primary key (subject, place)
) strict, without rowid;
