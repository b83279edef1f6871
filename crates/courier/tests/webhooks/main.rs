//! Events on their way to endpoints that behave and to those that do not.

mod inside;
mod receivers;
mod recovery;
mod scene;
mod signatures;
