-- Who did what on the vendor's side, with what, from where and when. Kept in the transaction of the act.
create table audit (
    audit_id text not null,
    occurred_at integer not null,
    -- `api_key`, or `operator` where it was a command on the server's machine.
    actor_type text not null,
    actor_id text,
    -- What they were called then.
    actor_name text,
    address text,
    request_id text,
    action text not null,
    object_id text,
    object_name text,
    organization_id text,
    directory_id text,
    -- How it was and how it is, as JSON, without secrets.
    state_before text,
    state_after text,
    constraint audit_key primary key (audit_id)
) strict;

create index audit_by_age on audit (occurred_at);
create index audit_by_organization on audit (organization_id, audit_id) where organization_id is not null;
create index audit_by_actor on audit (actor_id, audit_id) where actor_id is not null;
create index audit_by_object on audit (object_id, audit_id) where object_id is not null;
create index audit_by_request on audit (request_id, audit_id) where request_id is not null;
