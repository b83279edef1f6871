-- What a token may do: `read_write`, or `read`.
alter table tokens add column scope text collate "C" not null default 'read_write';
