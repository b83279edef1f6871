-- People of the vendor who sign in to the dashboard, or are invited to: of the link that invites them, the hash.
-- What their codes are made from has to be kept as it is. A code is good once, so the last step is remembered.
create table members (
    member_id text collate "C" not null,
    email text collate "C",
    email_key text collate "C",
    name text collate "C" not null,
    role text collate "C" not null,
    invited_at bigint not null,
    invited_until bigint,
    invitation_hash text collate "C",
    joined_at bigint,
    last_seen_at bigint,
    password_hash text collate "C",
    code_secret text collate "C",
    code_step bigint not null default 0,
    constraint members_key primary key (member_id),
    constraint members_email_unique unique (email_key),
    constraint members_invitation_unique unique (invitation_hash)
);

-- Browsers in which they are signed in: of what these show, the hash.
create table member_sessions (
    session_id text collate "C" not null,
    member_id text collate "C" not null,
    hash text collate "C" not null,
    browser text collate "C" not null,
    created_at bigint not null,
    last_used_at bigint not null,
    expires_at bigint not null,
    constraint member_sessions_key primary key (session_id),
    constraint member_sessions_hash_unique unique (hash),
    constraint member_sessions_member foreign key (member_id) references members (member_id)
);

create index member_sessions_by_member on member_sessions (member_id, session_id);
create index member_sessions_by_end on member_sessions (expires_at);
