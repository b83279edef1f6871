-- Where the vendor wants events brought, and how far each has come in the feed.
create table webhook_endpoints (
    endpoint_id text collate "C" not null,
    url text collate "C" not null,
    description text collate "C",
    -- Which events, as JSON.
    filter text collate "C" not null,
    -- Whether events of one directory wait for each other.
    is_ordered bigint not null,
    -- When and why nothing is brought any more: `manual`, `failing` or `gone`.
    disabled_at bigint,
    disabled_reason text collate "C",
    -- One more with each change of this or of what is to be brought, so that whoever brings it looks
    -- again.
    revision bigint not null,
    -- Everything up to here is delivered, or has a row of its own.
    position bigint not null,
    -- Events that were let go before they could be brought.
    missed_count bigint not null,
    -- Since when every attempt has failed.
    failing_since bigint,
    last_success_at bigint,
    last_failure_at bigint,
    -- Which node brings events here, until when, and how often that has changed: who was taken over
    -- from is known by its older epoch.
    holder text collate "C",
    epoch bigint not null,
    expires_at bigint not null,
    created_at bigint not null,
    modified_at bigint not null,
    constraint webhook_endpoints_key primary key (endpoint_id)
);

-- What deliveries are signed with, in the clear: the server has to sign. Several are good while one
-- takes over from another.
create table webhook_secrets (
    endpoint_id text collate "C" not null,
    secret text collate "C" not null,
    created_at bigint not null,
    expires_at bigint,
    constraint webhook_secrets_key primary key (endpoint_id, secret),
    constraint webhook_secrets_endpoint foreign key (endpoint_id)
        references webhook_endpoints (endpoint_id)
);

-- A part of the feed that is brought beside the rest: what follows in a directory upon an event that
-- could not be delivered yet, where the endpoint wants them in order, and what is to be brought again.
create table webhook_lanes (
    endpoint_id text collate "C" not null,
    -- The directory, or the id of the replay.
    lane_id text collate "C" not null,
    -- As that of the endpoint.
    position bigint not null,
    -- Of a replay: where it ends, and between which times events are meant.
    end_position bigint,
    since bigint,
    until bigint,
    constraint webhook_lanes_key primary key (endpoint_id, lane_id),
    constraint webhook_lanes_endpoint foreign key (endpoint_id)
        references webhook_endpoints (endpoint_id)
);

-- Events that were not delivered at once, and for a while those that were.
create table webhook_deliveries (
    endpoint_id text collate "C" not null,
    delivery_id text collate "C" not null,
    -- `pending`, `delivered`, or `failed` where no attempt is left.
    state text collate "C" not null,
    -- The event. Its data are kept while they may be needed: it may be let go from the feed before.
    event_id text collate "C" not null,
    type text collate "C" not null,
    organization_id text collate "C",
    directory_id text collate "C",
    number bigint not null,
    -- 0 of a test.
    position bigint not null,
    occurred_at bigint not null,
    data text collate "C",
    -- The lane that waits for this, if one does.
    lane_id text collate "C",
    attempt_count bigint not null,
    -- When it is tried again. What is over has none.
    next_attempt_at bigint not null,
    -- The latest attempts, as JSON.
    attempts text collate "C" not null,
    created_at bigint not null,
    modified_at bigint not null,
    constraint webhook_deliveries_key primary key (endpoint_id, delivery_id),
    constraint webhook_deliveries_endpoint foreign key (endpoint_id)
        references webhook_endpoints (endpoint_id)
);

create index webhook_deliveries_by_state
    on webhook_deliveries (endpoint_id, state, delivery_id);
create index webhook_deliveries_by_position on webhook_deliveries (endpoint_id, position);
create index webhook_deliveries_due
    on webhook_deliveries (endpoint_id, next_attempt_at) where state = 'pending';

-- The number of the latest event that is of no directory.
alter table feed add column own_number bigint not null default 0;
