//! What is decided, which events follow, and which facts are asked for on the way: plain
//! functions over facts that are set by hand.

mod conditions;
mod directories;
mod facts;
mod groups;
mod roles;
mod roles_by_hand;
mod roles_kept;
mod schemas;
mod tokens;
mod users;
mod world;
