//! How types of other rooms look in the document of the API: words to choose from.

use directory::{
    ApiScopes, DirectoryState, OmittedMembers, Provider, SettingsPreset, TokenScope, UnknownMembers,
};
use serde::Serialize;
use serde_json::Value;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};

fn words(words: impl IntoIterator<Item = String>) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words))
}

/// As it stands in the API.
fn word<T: Serialize>(value: T) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        other => unreachable!("it is a word: {other:?}"),
    }
}

fn of<T: Serialize>(values: impl IntoIterator<Item = T>) -> RefOr<Schema> {
    words(values.into_iter().map(word)).into()
}

/// The same where nothing need be said, which `null` does.
fn of_or_null<T: Serialize>(values: impl IntoIterator<Item = T>) -> RefOr<Schema> {
    let words = values.into_iter().map(word).map(Value::from).chain([Value::Null]);
    let kinds = SchemaType::from_iter([Type::String, Type::Null]);
    ObjectBuilder::new().schema_type(kinds).enum_values(Some(words)).into()
}

pub(super) fn provider_if_any() -> RefOr<Schema> {
    of_or_null(Provider::ALL)
}

pub(super) fn preset_if_any() -> RefOr<Schema> {
    of_or_null([SettingsPreset::Lenient, SettingsPreset::Strict])
}

pub(super) fn unknown_members_if_any() -> RefOr<Schema> {
    of_or_null([UnknownMembers::Skip, UnknownMembers::Refuse])
}

pub(super) fn omitted_members_if_any() -> RefOr<Schema> {
    of_or_null([OmittedMembers::Keep, OmittedMembers::Clear])
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
