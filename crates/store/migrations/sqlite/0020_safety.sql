-- What an organization guards itself with: how many people may use the app, and since when there are more;
-- at which domains they have to be, and how often that was changed; minutes after which the app has to say
-- that somebody's access has ended, and since when it does.
create table guards (
    organization_id text not null,
    seats_max integer,
    seats_mode text,
    seats_exceeded_at integer,
    domains text not null default '',
    domains_mode text not null default 'off',
    domains_revision integer not null default 0,
    receipt_minutes integer,
    receipts_since integer,
    constraint guards_key primary key (organization_id)
) strict, without rowid;

-- Who is at domains outside of these.
create table outsiders (
    directory_id text not null,
    user_id text not null,
    domains text not null,
    constraint outsiders_key primary key (directory_id, user_id)
) strict, without rowid;

-- After which of its users a directory was looked at for the domains of a revision; nothing, to the end.
create table domain_checks (
    directory_id text not null,
    revision integer not null,
    ordinal integer,
    constraint domain_checks_key primary key (directory_id)
) strict, without rowid;

-- Ends of access that the app is to say are in effect, or has said are.
create table receipts (
    directory_id text not null,
    number integer not null,
    user_id text not null,
    type text not null,
    requested_at integer not null,
    effective_at integer,
    received_at integer,
    overdue_at integer,
    constraint receipts_key primary key (directory_id, number)
) strict, without rowid;

create index receipts_outstanding on receipts (directory_id, requested_at) where effective_at is null;
create index receipts_by_user on receipts (directory_id, user_id, number);

-- How a provider usually speaks, and since when it is told to be silent.
alter table contacts add column rhythm text;
alter table contacts add column silent_at integer;

-- At how many days before its end a token was told to expire; 0 after it.
alter table tokens add column told_days integer;

create index tokens_by_end on tokens (expires_at) where client_secret_id is null;

-- Since when somebody may use the app, or may not. Those from before this have none.
alter table users add column turned_at integer;
