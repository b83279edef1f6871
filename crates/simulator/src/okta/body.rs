//! The bodies that Okta sends, byte for byte in its order, and what it reads from answers.

use std::collections::BTreeMap;

use scim::schema::builtin::{ENTERPRISE_USER, GROUP, USER};
use serde_json::{Map, Value, json};

use super::settings::{EmptyValue, FullPushForm};

/// The URN of a PATCH message.
const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// An attribute that the app maps from Okta.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// `userName`.
    UserName,
    /// `name.givenName`.
    GivenName,
    /// `name.familyName`.
    FamilyName,
    /// The primary value of `emails`.
    Email,
    /// `displayName`.
    DisplayName,
    /// `title`.
    Title,
    /// `userType`.
    UserType,
    /// The primary value of `phoneNumbers`.
    Phone,
    /// `locale`.
    Locale,
    /// `employeeNumber` of the enterprise extension.
    EmployeeNumber,
    /// `department` of the enterprise extension.
    Department,
}

/// Where a field stands in a SCIM user.
enum Place {
    Top(&'static str),
    Name(&'static str),
    Primary(&'static str),
    Enterprise(&'static str),
}

impl Field {
    /// In the order in which Okta writes them.
    pub const ALL: [Field; 11] = [
        Field::UserName,
        Field::GivenName,
        Field::FamilyName,
        Field::Email,
        Field::DisplayName,
        Field::Title,
        Field::UserType,
        Field::Phone,
        Field::Locale,
        Field::EmployeeNumber,
        Field::Department,
    ];

    /// As SCIM calls it.
    pub fn path(self) -> &'static str {
        match self {
            Field::UserName => "userName",
            Field::GivenName => "name.givenName",
            Field::FamilyName => "name.familyName",
            Field::Email => "emails[primary eq true].value",
            Field::DisplayName => "displayName",
            Field::Title => "title",
            Field::UserType => "userType",
            Field::Phone => "phoneNumbers[primary eq true].value",
            Field::Locale => "locale",
            Field::EmployeeNumber => "employeeNumber",
            Field::Department => "department",
        }
    }

    /// Whether a server that loses it is no use to anybody.
    pub(super) fn is_essential(self) -> bool {
        matches!(self, Field::UserName | Field::GivenName | Field::FamilyName | Field::Email)
    }

    fn place(self) -> Place {
        match self {
            Field::UserName => Place::Top("userName"),
            Field::GivenName => Place::Name("givenName"),
            Field::FamilyName => Place::Name("familyName"),
            Field::Email => Place::Primary("emails"),
            Field::DisplayName => Place::Top("displayName"),
            Field::Title => Place::Top("title"),
            Field::UserType => Place::Top("userType"),
            Field::Phone => Place::Primary("phoneNumbers"),
            Field::Locale => Place::Top("locale"),
            Field::EmployeeNumber => Place::Enterprise("employeeNumber"),
            Field::Department => Place::Enterprise("department"),
        }
    }

    /// Its value in a user that a server answered. An empty text is no value.
    pub(super) fn read(self, user: &Value) -> Option<&str> {
        let value = match self.place() {
            Place::Top(name) => user.get(name)?,
            Place::Name(name) => user.get("name")?.get(name)?,
            Place::Primary(name) => {
                let values = user.get(name)?.as_array()?;
                values.iter().find(|value| is_primary(value))?.get("value")?
            }
            Place::Enterprise(name) => user.get(ENTERPRISE_USER)?.get(name)?,
        };
        value.as_str().filter(|text| !text.is_empty())
    }

    /// Writes its value over what is there.
    fn write(self, user: &mut Map<String, Value>, text: &str) {
        match self.place() {
            Place::Top(name) => {
                user.insert(name.to_owned(), text.into());
            }
            Place::Name(name) => {
                object(user, "name").insert(name.to_owned(), text.into());
            }
            Place::Primary(name) => {
                let primary = primary(user, name);
                primary.insert("primary".to_owned(), true.into());
                primary.insert("value".to_owned(), text.into());
                primary.insert("type".to_owned(), "work".into());
            }
            Place::Enterprise(name) => {
                object(user, ENTERPRISE_USER).insert(name.to_owned(), text.into());
                let schemas = array(user, "schemas");
                if !schemas.iter().any(|urn| urn == ENTERPRISE_USER) {
                    schemas.push(ENTERPRISE_USER.into());
                }
            }
        }
    }

    /// Writes that Okta has no value, over a value that is there.
    fn clear(self, user: &mut Map<String, Value>, form: EmptyValue) {
        let (object, name) = match self.place() {
            Place::Top(name) => (user, name),
            Place::Name(name) => (object(user, "name"), name),
            Place::Primary(name) if form == EmptyValue::Omit => {
                array(user, name).retain(|value| !is_primary(value));
                return;
            }
            Place::Primary(name) => (primary(user, name), "value"),
            Place::Enterprise(name) => (object(user, ENTERPRISE_USER), name),
        };
        match form {
            EmptyValue::EmptyString => object.insert(name.to_owned(), "".into()),
            EmptyValue::Null => object.insert(name.to_owned(), Value::Null),
            EmptyValue::Omit => object.shift_remove(name),
        };
    }
}

/// What Okta knows of a person, as the app maps it. What is not there is empty.
pub type Attributes = BTreeMap<Field, String>;

/// `POST /Users`. Empty attributes are left out; a password is always there, even where the app
/// does not sync passwords.
pub(super) fn create_user(attributes: &Attributes, okta_id: &str, password: &str) -> Value {
    let mut user = Map::new();
    user.insert("schemas".to_owned(), json!([USER]));
    let (enterprise, core): (Vec<_>, Vec<_>) =
        attributes.iter().partition(|(field, _)| matches!(field.place(), Place::Enterprise(_)));
    for (field, value) in core {
        field.write(&mut user, value);
    }
    user.insert("externalId".to_owned(), okta_id.into());
    user.insert("groups".to_owned(), json!([]));
    user.insert("password".to_owned(), password.into());
    user.insert("active".to_owned(), true.into());
    for (field, value) in enterprise {
        field.write(&mut user, value);
    }
    Value::Object(user)
}

/// `PUT /Users/{id}` of the profile: what the server answered, with Okta's attributes laid over
/// it. What Okta does not know (`meta`, other attributes, even an echoed password) goes back as
/// it came.
pub(super) fn overlay_user(
    read: &Map<String, Value>,
    attributes: &Attributes,
    okta_id: &str,
    empty: EmptyValue,
) -> Value {
    let mut user = read.clone();
    for field in Field::ALL {
        match attributes.get(&field) {
            Some(value) => field.write(&mut user, value),
            None if field.read(&Value::Object(user.clone())).is_some() => {
                field.clear(&mut user, empty);
            }
            None => {}
        }
    }
    user.insert("externalId".to_owned(), okta_id.into());
    user.entry("groups").or_insert_with(|| json!([]));
    user.insert("active".to_owned(), true.into());
    Value::Object(user)
}

/// `PUT /Users/{id}` of the state: what the server answered, with `active` and nothing else
/// changed.
pub(super) fn overlay_active(read: &Map<String, Value>, active: bool) -> Value {
    let mut user = read.clone();
    user.insert("active".to_owned(), active.into());
    Value::Object(user)
}

/// `PUT /Users/{id}` of the password. Okta documents the verb and not the body.
pub(super) fn overlay_password(read: &Map<String, Value>, password: &str) -> Value {
    let mut user = read.clone();
    user.insert("password".to_owned(), password.into());
    Value::Object(user)
}

/// `PATCH /Users/{id}` of one attribute, without a path.
pub(super) fn patch_user(name: &str, value: impl Into<Value>) -> Value {
    let mut attributes = Map::new();
    attributes.insert(name.to_owned(), value.into());
    patch(&[json!({ "op": "replace", "value": attributes })])
}

/// `PATCH /Users/{id}` of the attributes that changed, without a path. Okta's wizard offers it;
/// nobody has published the body.
pub(super) fn patch_profile(
    before: &Attributes,
    now: &Attributes,
    okta_id: &str,
    empty: EmptyValue,
) -> Value {
    let mut changed = Map::new();
    for field in Field::ALL {
        match (before.get(&field), now.get(&field)) {
            (before, Some(value)) if before != Some(value) => field.write(&mut changed, value),
            (Some(_), None) => field.clear(&mut changed, empty),
            _ => {}
        }
    }
    changed.shift_remove("schemas");
    changed.insert("externalId".to_owned(), okta_id.into());
    patch(&[json!({ "op": "replace", "value": changed })])
}

/// A member as Okta names it: neither `$ref` nor `type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MemberName {
    /// The server's id of the person.
    pub(super) id: String,
    /// The person's `userName`.
    pub(super) display: String,
}

fn members(names: &[MemberName]) -> Value {
    names.iter().map(|name| json!({ "value": name.id, "display": name.display })).collect()
}

/// `POST /Groups`.
pub(super) fn create_group(name: &str, of: &[MemberName]) -> Value {
    json!({ "schemas": [GROUP], "displayName": name, "members": members(of) })
}

/// `PATCH /Groups/{id}` of the name, with the id beside it.
pub(super) fn name_group(id: &str, name: &str) -> Value {
    patch(&[json!({ "op": "replace", "value": { "id": id, "displayName": name } })])
}

/// `PATCH /Groups/{id}` of some members: who goes first, each by a path of their own, then who
/// comes, all at once.
pub(super) fn change_members(remove: &[MemberName], add: &[MemberName]) -> Value {
    let mut operations: Vec<Value> = remove
        .iter()
        .map(|name| json!({ "op": "remove", "path": format!("members[value eq \"{}\"]", name.id) }))
        .collect();
    if !add.is_empty() {
        operations.push(json!({ "op": "add", "path": "members", "value": members(add) }));
    }
    patch(&operations)
}

/// `PATCH /Groups/{id}` of all members, in one of the three forms seen.
pub(super) fn replace_members(
    id: &str,
    name: &str,
    of: &[MemberName],
    form: FullPushForm,
) -> Value {
    let operation = match form {
        FullPushForm::Path => json!({ "op": "replace", "path": "members", "value": members(of) }),
        FullPushForm::NoPathMembers => {
            json!({ "op": "replace", "value": { "members": members(of) } })
        }
        FullPushForm::NoPathAll => {
            json!({ "op": "replace", "value": { "members": members(of), "id": id, "displayName": name } })
        }
    };
    patch(&[operation])
}

/// `PUT /Groups/{id}`: what the server answered, with Okta's name and members. `kept` are members
/// that the server had before Okta was linked to the group; they go back as they came.
pub(super) fn overlay_group(
    read: &Map<String, Value>,
    name: &str,
    kept: &[Value],
    of: &[MemberName],
) -> Value {
    let mut group = read.clone();
    group.insert("displayName".to_owned(), name.into());
    let Value::Array(pushed) = members(of) else { unreachable!("members are collected") };
    group.insert("members".to_owned(), kept.iter().cloned().chain(pushed).collect());
    Value::Object(group)
}

/// The ids in a group's `members`; nothing when the group has none to show.
pub(super) fn member_ids(group: &Value) -> Option<Vec<&str>> {
    let members = group.get("members")?.as_array()?;
    Some(members.iter().filter_map(|member| member.get("value")?.as_str()).collect())
}

fn patch(operations: &[Value]) -> Value {
    json!({ "schemas": [PATCH_OP], "Operations": operations })
}

fn is_primary(value: &Value) -> bool {
    value.get("primary").and_then(Value::as_bool) == Some(true)
}

/// The object under a name, made where there is none.
fn object<'a>(parent: &'a mut Map<String, Value>, name: &str) -> &'a mut Map<String, Value> {
    let value = parent.entry(name).or_insert(Value::Null);
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("made an object above")
}

/// The array under a name, made where there is none.
fn array<'a>(parent: &'a mut Map<String, Value>, name: &str) -> &'a mut Vec<Value> {
    let value = parent.entry(name).or_insert(Value::Null);
    if !value.is_array() {
        *value = Value::Array(Vec::new());
    }
    value.as_array_mut().expect("made an array above")
}

/// The primary value of a multi-valued attribute, made where there is none; the others stay.
fn primary<'a>(parent: &'a mut Map<String, Value>, name: &str) -> &'a mut Map<String, Value> {
    let values = array(parent, name);
    let place = values.iter().position(|value| value.is_object() && is_primary(value));
    let place = place.unwrap_or_else(|| {
        values.push(json!({ "primary": true }));
        values.len() - 1
    });
    values[place].as_object_mut().expect("an object was looked for, or made")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(pairs: &[(Field, &str)]) -> Attributes {
        pairs.iter().map(|(field, value)| (*field, (*value).to_owned())).collect()
    }

    fn map(value: Value) -> Map<String, Value> {
        let Value::Object(map) = value else { panic!("not an object") };
        map
    }

    #[test]
    fn a_new_user_is_written_as_in_okta_s_own_trace() {
        let test_user = attributes(&[
            (Field::UserName, "test.user@okta.local"),
            (Field::GivenName, "Test"),
            (Field::FamilyName, "User"),
            (Field::Email, "test.user@okta.local"),
            (Field::DisplayName, "Test User"),
            (Field::Locale, "en-US"),
        ]);
        assert_eq!(
            create_user(&test_user, "00ujl29u0le5T6Aj10h7", "1mz050nq").to_string(),
            concat!(
                r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"#,
                r#""userName":"test.user@okta.local","#,
                r#""name":{"givenName":"Test","familyName":"User"},"#,
                r#""emails":[{"primary":true,"value":"test.user@okta.local","type":"work"}],"#,
                r#""displayName":"Test User","locale":"en-US","#,
                r#""externalId":"00ujl29u0le5T6Aj10h7","groups":[],"#,
                r#""password":"1mz050nq","active":true}"#
            )
        );
    }

    #[test]
    fn a_put_carries_back_what_okta_does_not_know() {
        let read = map(json!({
            "schemas": [USER], "id": "u1", "userName": "old", "active": false, "password": "echoed",
            "name": { "formatted": "Old Name", "givenName": "Old" },
            "emails": [{ "value": "home@x", "type": "home" }, { "value": "old@x", "primary": true, "display": "d" }],
            "meta": { "resourceType": "User", "version": "W/\"1\"" }, "favourite": "blue"
        }));
        let now = attributes(&[
            (Field::UserName, "new"),
            (Field::GivenName, "New"),
            (Field::FamilyName, "Name"),
            (Field::Email, "new@x"),
            (Field::Department, "Design"),
        ]);
        assert_eq!(
            overlay_user(&read, &now, "00u1", EmptyValue::EmptyString),
            json!({
                "schemas": [USER, ENTERPRISE_USER], "id": "u1", "userName": "new", "active": true,
                "password": "echoed",
                "name": { "formatted": "Old Name", "givenName": "New", "familyName": "Name" },
                "emails": [
                    { "value": "home@x", "type": "home" },
                    { "value": "new@x", "primary": true, "display": "d", "type": "work" }
                ],
                "meta": { "resourceType": "User", "version": "W/\"1\"" }, "favourite": "blue",
                ENTERPRISE_USER: { "department": "Design" },
                "externalId": "00u1", "groups": []
            })
        );
        assert_eq!(overlay_active(&read, true)["userName"], "old");
    }

    #[test]
    fn a_cleared_attribute_has_three_forms() {
        let check = |form, expected: Value| {
            let read = map(json!({
                "title": "Boss", "phoneNumbers": [{ "value": "1", "primary": true }]
            }));
            let mut put = map(overlay_user(&read, &Attributes::new(), "00u1", form));
            put.retain(|name, _| name == "title" || name == "phoneNumbers");
            assert_eq!(Value::Object(put), expected);
        };
        check(
            EmptyValue::EmptyString,
            json!({ "title": "", "phoneNumbers": [{ "value": "", "primary": true }] }),
        );
        check(
            EmptyValue::Null,
            json!({ "title": null, "phoneNumbers": [{ "value": null, "primary": true }] }),
        );
        check(EmptyValue::Omit, json!({ "phoneNumbers": [] }));
    }

    #[test]
    fn members_go_before_others_come() {
        let name = |id: &str| MemberName { id: id.to_owned(), display: format!("{id}@x") };
        assert_eq!(
            change_members(&[name("1"), name("2")], &[name("3")])["Operations"],
            json!([
                { "op": "remove", "path": "members[value eq \"1\"]" },
                { "op": "remove", "path": "members[value eq \"2\"]" },
                { "op": "add", "path": "members", "value": [{ "value": "3", "display": "3@x" }] }
            ])
        );
    }
}
