-- Where a replay of a part of the feed began, and when: how far it is, and how fast, follows from that.
alter table webhook_lanes add column begin_position integer;
alter table webhook_lanes add column begun_at integer;
