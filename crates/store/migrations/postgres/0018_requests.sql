-- Requests of providers with their answers, newest last: `place` is a time that no other has, microseconds
-- times 1,024. They are found by directory, by method and status together, and by whom they were about.
-- An embedded database has these three in a file of their own.
create table requests (
    place bigint not null,
    request_id text collate "C" not null,
    directory_id text collate "C" not null,
    -- The number of the method times 1,000, and the status. 0 where some were not taken down.
    class bigint not null,
    begun_at bigint not null,
    duration_us bigint not null,
    -- The rest, as JSON.
    entry text collate "C" not null,
    constraint requests_key primary key (place)
);

create index requests_by_id on requests (request_id);
create index requests_by_directory on requests (directory_id, place);
create index requests_by_class on requests (directory_id, class, place);
create index requests_of_all_by_class on requests (class, place);

-- Their bodies, which are kept for a shorter time.
create table request_bodies (
    place bigint not null,
    request_body text collate "C",
    answer_body text collate "C",
    constraint request_bodies_key primary key (place)
);

-- Whom and what they were about, by digests of names.
create table request_subjects (
    subject text collate "C" not null,
    place bigint not null,
    constraint request_subjects_key primary key (subject, place)
);

-- Who really speaks to a directory, as far as that was seen, as JSON.
create table directory_clients (
    directory_id text collate "C" not null,
    known text collate "C" not null,
    modified_at bigint not null,
    constraint directory_clients_key primary key (directory_id)
);
