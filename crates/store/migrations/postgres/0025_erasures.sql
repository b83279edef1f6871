-- People who are erased, and how far that is; when it is done, the receipts. They say nothing of anybody but
-- ids, and `traces`, which is empty when it is done: by which names somebody is looked for.
create table erasures (
    erasure_id text collate "C" not null,
    directory_id text collate "C" not null,
    user_id text collate "C" not null,
    -- All ids that they had, as JSON.
    user_ids text collate "C" not null,
    begun_at bigint not null,
    -- Who asked for it, as in the audit log.
    actor_type text collate "C" not null,
    actor_id text collate "C",
    actor_name text collate "C",
    request_id text collate "C",
    -- What is looked through, and from where that goes on.
    stage text collate "C" not null,
    place text collate "C" not null,
    -- How much was erased, as JSON.
    erased text collate "C" not null,
    traces text collate "C",
    finished_at bigint,
    constraint erasures_key primary key (erasure_id),
    constraint erasures_user_unique unique (directory_id, user_id)
);

create index erasures_to_finish on erasures (begun_at, erasure_id) where finished_at is null;
