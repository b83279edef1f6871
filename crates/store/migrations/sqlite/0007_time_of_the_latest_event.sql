-- When the latest event of a directory occurred: the next one does not occur before it.
alter table directories add column event_at integer not null default 0;

update directories
set event_at = coalesce((select occurred_at from events e
                         where e.directory_id = directories.directory_id
                             and e.number = directories.event_number), 0);
