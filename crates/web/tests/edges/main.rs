//! What dialogues do not show well: bytes that are no text, every route at once, races, large jobs and
//! restarts.

mod account;
mod addresses;
mod branding;
mod bulk;
mod conditions;
mod credentials;
mod dashboard;
mod desk;
mod directory_pages;
mod disk;
mod edits;
mod feed;
mod hold_pages;
mod isolation;
mod limits;
mod lists;
mod locked_out;
mod noise;
mod oidc;
mod once;
mod openapi;
mod parts;
mod passwords;
mod portal;
mod reruns;
mod restarts;
mod role_pages;
mod schemas;
#[path = "../server/mod.rs"]
mod server;
mod strangers;
mod stream;
mod tenants;
mod texts;
mod transport;
