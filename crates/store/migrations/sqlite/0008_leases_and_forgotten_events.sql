-- Who does what only one node is to do at a time. A node that slept and lost its lease cannot act on
-- it: the transaction that acts holds the row to its end.
create table leases (
    name text not null,
    holder text not null,
    expires_at integer not null,
    constraint leases_key primary key (name)
) strict, without rowid;

-- Up to which position events were let go, and which was the last: a reader who has come so far goes
-- on from there, one who has not is told.
alter table feed add column forgotten_position integer not null default 0;
alter table feed add column forgotten_event_id text;
