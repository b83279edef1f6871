-- People who are erased, and how far that is; when it is done, the receipts. They say nothing of anybody but
-- ids, and `traces`, which is empty when it is done: by which names somebody is looked for.
create table erasures (
    erasure_id text not null,
    directory_id text not null,
    user_id text not null,
    -- All ids that they had, as JSON.
    user_ids text not null,
    begun_at integer not null,
    -- Who asked for it, as in the audit log.
    actor_type text not null,
    actor_id text,
    actor_name text,
    request_id text,
    -- What is looked through, and from where that goes on.
    stage text not null,
    place text not null,
    -- How much was erased, as JSON.
    erased text not null,
    traces text,
    finished_at integer,
    constraint erasures_key primary key (erasure_id),
    constraint erasures_user_unique unique (directory_id, user_id)
) strict, without rowid;

create index erasures_to_finish on erasures (begun_at, erasure_id) where finished_at is null;
