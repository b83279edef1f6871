-- Since when everybody's roles are being looked at; null where they are not, or where it began by a program
-- that did not know this.
alter table role_mappings add column walk_begun_at integer;
