-- A directory may be disconnected from its provider, which counts as long as it is paused.
alter table directories add column disconnected_at integer;
alter table directories add column disconnected_people text;
-- After which of its users to go on with deactivating them; null where nobody is to be.
alter table directories add column deactivating_after integer;
create index directories_deactivating on directories (directory_id)
    where deactivating_after is not null;
