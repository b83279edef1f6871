-- People of the vendor who sign in to the dashboard, or are invited to: of the link that invites them, the hash.
-- What their codes are made from has to be kept as it is. A code is good once, so the last step is remembered.
create table members (
    member_id text not null,
    email text,
    email_key text,
    name text not null,
    role text not null,
    invited_at integer not null,
    invited_until integer,
    invitation_hash text,
    joined_at integer,
    last_seen_at integer,
    password_hash text,
    code_secret text,
    code_step integer not null default 0,
    constraint members_key primary key (member_id),
    constraint members_email_unique unique (email_key),
    constraint members_invitation_unique unique (invitation_hash)
) strict, without rowid;

-- Browsers in which they are signed in: of what these show, the hash.
create table member_sessions (
    session_id text not null,
    member_id text not null,
    hash text not null,
    browser text not null,
    created_at integer not null,
    last_used_at integer not null,
    expires_at integer not null,
    constraint member_sessions_key primary key (session_id),
    constraint member_sessions_hash_unique unique (hash),
    constraint member_sessions_member foreign key (member_id) references members (member_id)
) strict, without rowid;

create index member_sessions_by_member on member_sessions (member_id, session_id);
create index member_sessions_by_end on member_sessions (expires_at);
