-- When operators are told once more that something waits.
alter table holds add column remind_at integer;

-- Addresses by which an app has heard of somebody whose changes wait: of whoever was deleted, or has another
-- one meanwhile, they are found by these.
create table held_emails (
    directory_id text not null,
    resource_id text not null,
    email_key text not null,
    constraint held_emails_key primary key (directory_id, resource_id, email_key)
) strict, without rowid;

create index held_emails_by_email on held_emails (directory_id, email_key);

-- What was lost, who was deleted and what was received is let go by its time.
create index recent_losses_by_age on recent_losses (lost_at);
create index former_users_by_age on former_users (deleted_at);
create index receipts_by_age on receipts (requested_at);
