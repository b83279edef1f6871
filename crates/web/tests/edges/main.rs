//! What dialogues do not show well: bytes that are no text, every route at once, races, large jobs and
//! restarts.

mod addresses;
mod bulk;
mod conditions;
mod limits;
mod noise;
mod passwords;
mod restarts;
#[path = "../server/mod.rs"]
mod server;
mod strangers;
