-- Up to which migration a program has to know all of them, so that it may be started on a database that
-- has this one. Where there is nothing, it has to know this one itself.
alter table migrations add column lives_with text collate "C";
