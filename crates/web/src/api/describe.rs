//! How types of other rooms look in the document of the API: words to choose from.

use directory::{
    AfterDisconnect, AfterHold, ApiScopes, DirectoryState, DomainMode, HoldKind, HoldOutcome,
    HoldState, OmittedMembers, PortalFeature, PortalLinkState, Provider, SeatMode, SettingsPreset,
    TokenScope, UnknownMembers,
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

pub(super) fn after_disconnect() -> RefOr<Schema> {
    of(AfterDisconnect::ALL)
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

pub(super) fn after_hold() -> RefOr<Schema> {
    of([AfterHold::LetOut, AfterHold::StayHeld])
}

pub(super) fn after_hold_if_any() -> RefOr<Schema> {
    of_or_null([AfterHold::LetOut, AfterHold::StayHeld])
}

pub(super) fn hold_kind() -> RefOr<Schema> {
    of(HoldKind::ALL)
}

pub(super) fn hold_state() -> RefOr<Schema> {
    of(HoldState::ALL)
}

pub(super) fn hold_outcome() -> RefOr<Schema> {
    of_or_null(HoldOutcome::ALL)
}

pub(super) fn token_scope() -> RefOr<Schema> {
    of([TokenScope::ReadWrite, TokenScope::Read])
}

pub(super) fn token_state() -> RefOr<Schema> {
    of(["good", "expiring", "expired"])
}

pub(super) fn seat_mode() -> RefOr<Schema> {
    of([SeatMode::Warn, SeatMode::Refuse])
}

pub(super) fn seat_mode_if_any() -> RefOr<Schema> {
    of_or_null([SeatMode::Warn, SeatMode::Refuse])
}

pub(super) fn seats_state() -> RefOr<Schema> {
    of(["free", "full", "exceeded"])
}

pub(super) fn domain_mode() -> RefOr<Schema> {
    of([DomainMode::Off, DomainMode::Warn, DomainMode::Refuse])
}

pub(super) fn domain_mode_if_any() -> RefOr<Schema> {
    of_or_null([DomainMode::Off, DomainMode::Warn, DomainMode::Refuse])
}

pub(super) fn receipt_state() -> RefOr<Schema> {
    of(["outstanding", "overdue", "received"])
}

pub(super) fn sign_in_state() -> RefOr<Schema> {
    of(["active", "held", "pending", "inactive", "gone", "unknown"])
}

pub(super) fn api_scopes() -> RefOr<Schema> {
    let names = words(ApiScopes::names().map(str::to_owned));
    ArrayBuilder::new().items(names).min_items(Some(1)).into()
}

fn features() -> ArrayBuilder {
    let names = words(PortalFeature::ALL.map(|it| it.as_str().to_owned()));
    ArrayBuilder::new().items(names).min_items(Some(1))
}

pub(super) fn portal_features() -> RefOr<Schema> {
    features().into()
}

pub(super) fn portal_features_if_any() -> RefOr<Schema> {
    features().schema_type(SchemaType::from_iter([Type::Array, Type::Null])).into()
}

pub(super) fn portal_link_state() -> RefOr<Schema> {
    of(PortalLinkState::ALL)
}
