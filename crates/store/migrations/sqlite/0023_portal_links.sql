-- Links that open the portal of one organization: of the secret, and of what the browser shows that opened it
-- first, the hashes. One that is revoked or expired is kept for a while, with when it was used.
create table portal_links (
    link_id text not null,
    organization_id text not null,
    features text not null,
    hash text not null,
    is_one_time integer not null,
    created_at integer not null,
    expires_at integer not null,
    opened_at integer,
    last_used_at integer,
    revoked_at integer,
    session_hash text,
    constraint portal_links_key primary key (link_id),
    constraint portal_links_hash_unique unique (hash),
    constraint portal_links_session_unique unique (session_hash)
) strict, without rowid;

create index portal_links_by_organization on portal_links (organization_id, link_id);
