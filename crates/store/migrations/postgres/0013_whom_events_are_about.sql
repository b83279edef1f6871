-- Whom an event is about: the user or group, or nothing of what is about neither; and the member beside a
-- group, or who a new user was before. What an older program keeps has no first one, and is looked through.
alter table events add column resource_id text collate "C";
alter table events add column other_id text collate "C";

update events
set resource_id = coalesce(cast(data as jsonb) #>> '{user,id}', cast(data as jsonb) #>> '{group,id}', ''),
    other_id = coalesce(cast(data as jsonb) #>> '{member,value}', cast(data as jsonb) ->> 'previous_user_id');

create index events_by_resource on events (resource_id, number) where resource_id <> '';
create index events_by_other on events (other_id, number) where other_id is not null;
create index events_of_older_programs on events (directory_id, number) where resource_id is null;
