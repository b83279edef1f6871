-- What an organization guards itself with: how many people may use the app, and since when there are more;
-- at which domains they have to be, and how often that was changed; minutes after which the app has to say
-- that somebody's access has ended, and since when it does.
create table guards (
    organization_id text collate "C" not null,
    seats_max bigint,
    seats_mode text collate "C",
    seats_exceeded_at bigint,
    domains text collate "C" not null default '',
    domains_mode text collate "C" not null default 'off',
    domains_revision bigint not null default 0,
    receipt_minutes bigint,
    receipts_since bigint,
    constraint guards_key primary key (organization_id)
);

-- Who is at domains outside of these.
create table outsiders (
    directory_id text collate "C" not null,
    user_id text collate "C" not null,
    domains text collate "C" not null,
    constraint outsiders_key primary key (directory_id, user_id)
);

-- After which of its users a directory was looked at for the domains of a revision; nothing, to the end.
create table domain_checks (
    directory_id text collate "C" not null,
    revision bigint not null,
    ordinal bigint,
    constraint domain_checks_key primary key (directory_id)
);

-- Ends of access that the app is to say are in effect, or has said are.
create table receipts (
    directory_id text collate "C" not null,
    number bigint not null,
    user_id text collate "C" not null,
    type text collate "C" not null,
    requested_at bigint not null,
    effective_at bigint,
    received_at bigint,
    overdue_at bigint,
    constraint receipts_key primary key (directory_id, number)
);

create index receipts_outstanding on receipts (directory_id, requested_at) where effective_at is null;
create index receipts_by_user on receipts (directory_id, user_id, number);

-- How a provider usually speaks, and since when it is told to be silent.
alter table contacts add column rhythm text collate "C";
alter table contacts add column silent_at bigint;

-- At how many days before its end a token was told to expire; 0 after it.
alter table tokens add column told_days bigint;

create index tokens_by_end on tokens (expires_at) where client_secret_id is null;

-- Since when somebody may use the app, or may not. Those from before this have none.
alter table users add column turned_at bigint;
