-- Who did what on the vendor's side, with what, from where and when. Kept in the transaction of the act.
create table audit (
    audit_id text collate "C" not null,
    occurred_at bigint not null,
    -- `api_key`, or `operator` where it was a command on the server's machine.
    actor_type text collate "C" not null,
    actor_id text collate "C",
    -- What they were called then.
    actor_name text collate "C",
    address text collate "C",
    request_id text collate "C",
    action text collate "C" not null,
    object_id text collate "C",
    object_name text collate "C",
    organization_id text collate "C",
    directory_id text collate "C",
    -- How it was and how it is, as JSON, without secrets.
    state_before text collate "C",
    state_after text collate "C",
    constraint audit_key primary key (audit_id)
);

create index audit_by_age on audit (occurred_at);
create index audit_by_organization on audit (organization_id, audit_id) where organization_id is not null;
create index audit_by_actor on audit (actor_id, audit_id) where actor_id is not null;
create index audit_by_object on audit (object_id, audit_id) where object_id is not null;
create index audit_by_request on audit (request_id, audit_id) where request_id is not null;
