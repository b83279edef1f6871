//! How types of other rooms look in the document of the API: words to choose from.

use directory::{
    ApiScopes, DirectoryState, OmittedMembers, Provider, SettingsPreset, TokenScope, UnknownMembers,
};
use serde::Serialize;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

fn words(words: impl IntoIterator<Item = String>) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words))
}

/// As they stand in the API.
fn of<T: Serialize>(values: impl IntoIterator<Item = T>) -> RefOr<Schema> {
    let word = |value| match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        other => unreachable!("it is a word: {other:?}"),
    };
    words(values.into_iter().map(word)).into()
}

pub(super) fn provider() -> RefOr<Schema> {
    of(Provider::ALL)
}

pub(super) fn state() -> RefOr<Schema> {
    of(DirectoryState::ALL)
}

pub(super) fn preset() -> RefOr<Schema> {
    of([SettingsPreset::Lenient, SettingsPreset::Strict])
}

pub(super) fn unknown_members() -> RefOr<Schema> {
    of([UnknownMembers::Skip, UnknownMembers::Refuse])
}

pub(super) fn omitted_members() -> RefOr<Schema> {
    of([OmittedMembers::Keep, OmittedMembers::Clear])
}

pub(super) fn token_scope() -> RefOr<Schema> {
    of([TokenScope::ReadWrite, TokenScope::Read])
}

pub(super) fn api_scopes() -> RefOr<Schema> {
    let names = words(ApiScopes::names().map(str::to_owned));
    ArrayBuilder::new().items(names).min_items(Some(1)).into()
}
