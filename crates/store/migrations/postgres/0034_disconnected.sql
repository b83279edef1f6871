-- A directory may be disconnected from its provider, which counts as long as it is paused.
alter table directories add column disconnected_at bigint;
alter table directories add column disconnected_people text collate "C";
-- After which of its users to go on with deactivating them; null where nobody is to be.
alter table directories add column deactivating_after bigint;
create index directories_deactivating on directories (directory_id)
    where deactivating_after is not null;
