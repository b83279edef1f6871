//! What dialogues do not show well: bytes that are no text, every route at once, and restarts.

mod addresses;
mod limits;
mod noise;
mod restarts;
#[path = "../server/mod.rs"]
mod server;
mod strangers;
