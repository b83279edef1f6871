-- Links that open the portal of one organization: of the secret, and of what the browser shows that opened it
-- first, the hashes. One that is revoked or expired is kept for a while, with when it was used.
create table portal_links (
    link_id text collate "C" not null,
    organization_id text collate "C" not null,
    features text collate "C" not null,
    hash text collate "C" not null,
    is_one_time bigint not null,
    created_at bigint not null,
    expires_at bigint not null,
    opened_at bigint,
    last_used_at bigint,
    revoked_at bigint,
    session_hash text collate "C",
    constraint portal_links_key primary key (link_id),
    constraint portal_links_hash_unique unique (hash),
    constraint portal_links_session_unique unique (session_hash)
);

create index portal_links_by_organization on portal_links (organization_id, link_id);
