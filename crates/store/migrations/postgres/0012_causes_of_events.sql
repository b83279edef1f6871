-- What an event was caused by, as JSON. Those from before this have none.
alter table events add column cause text collate "C";
alter table webhook_deliveries add column cause text collate "C";
