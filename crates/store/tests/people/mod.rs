//! People and groups, made and changed in a line each.

use std::sync::Arc;

use directory::{Aside, CreateGroup, CreateUser, Document, PatchGroup, PatchUser, ResourceId};
use scim::admit::admit;
use scim::dialect::Quirks;
use scim::group::Member;
use scim::patch::Patch;
use scim::{Preset, Resource, ResourceType};
use serde_json::{Value, json};
use store::DirectoryStore;

pub(crate) fn resource(body: Value, resource_type: &ResourceType) -> Resource {
    admit(body, resource_type, Preset::Lenient, &mut Quirks::new()).unwrap().resource
}

pub(crate) async fn add(to: &DirectoryStore, name: &str) -> ResourceId {
    let body = json!({ "userName": name, "active": true });
    let document = Document::new(resource(body, &ResourceType::user()));
    to.change(CreateUser { document, aside: Aside::default() }).await.unwrap().id
}

pub(crate) async fn group(to: &DirectoryStore, name: &str, members: &[ResourceId]) -> ResourceId {
    let document = Document::new(resource(json!({ "displayName": name }), &ResourceType::group()));
    let member = |id: &ResourceId| Member { value: id.to_string(), kind: None, display: None };
    let members = members.iter().map(member).collect();
    to.change(CreateGroup { document, members }).await.unwrap().group.id
}

pub(crate) fn patch(operations: &Value, resource_type: &ResourceType) -> Patch {
    let body = json!({ "Operations": operations });
    Patch::parse(body, resource_type, Preset::Lenient, &mut Quirks::new()).unwrap()
}

pub(crate) async fn patch_user(to: &DirectoryStore, id: ResourceId, value: Value) {
    let resource_type = Arc::new(ResourceType::user());
    let patch = patch(&json!([{ "op": "replace", "value": value }]), &resource_type);
    to.change(PatchUser { id, patch, resource_type }).await.unwrap();
}

pub(crate) async fn patch_group(to: &DirectoryStore, id: ResourceId, operation: Value) {
    let resource_type = Arc::new(ResourceType::group());
    let patch = patch(&json!([operation]), &resource_type);
    to.change(PatchGroup { id, patch, resource_type }).await.unwrap();
}
