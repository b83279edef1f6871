//! SCIM 2.0, the language: schemas, resources, paths, filters, patches, projections, messages,
//! errors and dialects (RFC 7643, RFC 7644).
//!
//! This crate knows nothing of tenants, clocks, ids, HTTP frameworks or databases, and does not
//! wait. A server or a client can be built on it.

pub mod admit;
pub mod bulk;
pub mod datetime;
pub mod dialect;
pub mod discovery;
pub mod error;
pub mod etag;
pub mod filter;
pub mod group;
pub mod json;
pub mod limit;
pub mod list;
pub mod patch;
pub mod path;
pub mod preset;
pub mod project;
pub mod resource;
pub mod schema;
pub mod sort;
pub mod text;

pub use error::{Error, Kind};
pub use preset::Preset;
pub use resource::Resource;
pub use schema::{Attribute, ResourceType, Schema};
