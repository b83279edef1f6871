//! Reading the feed from its beginning and folding it gives exactly the directory that SCIM shows,
//! after thousands of random requests in every spelling, many of which are refused.

mod dice;
mod reader;
mod server;

use std::collections::BTreeMap;

use dice::Dice;
use reader::{Reader, shown};
use serde_json::{Value, json};
use server::{Caller, Server, create_directory};
use simulator::Method;

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const DEPARTMENT: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// Requests between two comparisons.
const ACTS: usize = 150;
/// Comparisons.
const ROUNDS: usize = 20;

#[expect(clippy::print_stdout, reason = "it tells how good the dice were")]
#[tokio::test]
async fn the_feed_folds_to_what_scim_shows() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &["--requests-per-second", "0"]);
    let mut api = Caller::new(&server.url, &server.api_key());
    let created = create_directory(folder.path(), &["--organization", "Acme", "--name", "Okta"]);
    let directory_id = created["directory_id"].as_str().expect("an id");
    let token = created["token"].as_str().expect("a token");
    let base_url = created["base_url"].as_str().expect("a URL");
    let mut scim = Caller::new(base_url, token);

    let mut client = Client { dice: Dice(20_260_105), users: Vec::new(), groups: Vec::new() };
    let mut reader = Reader::default();
    let mut answers: BTreeMap<u16, usize> = BTreeMap::new();
    for round in 0..ROUNDS {
        for _ in 0..ACTS {
            let act = client.some_act();
            let (status, body) = scim.send(act.method, &act.path, act.body.as_ref()).await;
            *answers.entry(status).or_default() += 1;
            assert!(status < 500, "{status} {body}: {act:?}");
            if status == 201 {
                client.remember(&act.path, &body);
            } else if status == 204 && act.method == Method::Delete {
                client.forget(&act.path);
            } else if status >= 400 && client.dice.below(10) == 0 {
                // Sent again, when nothing else happens.
                reader.read_on(&mut api, directory_id, 1_000).await;
                let number = reader.number;
                scim.send(act.method, &act.path, act.body.as_ref()).await;
                reader.read_on(&mut api, directory_id, 1_000).await;
                assert_eq!(reader.number, number, "what is refused is no event: {act:?}");
            }
        }
        let limit = [1_000, 37, 100][round % 3];
        reader.read_on(&mut api, directory_id, limit).await;
        assert_eq!(reader.picture, shown(&mut scim).await, "after round {round}");
    }

    let mut anew = Reader::default();
    anew.read_on(&mut api, directory_id, 1_000).await;
    assert_eq!(anew.picture, reader.picture);
    assert_eq!(anew.number, reader.number);
    // The dice are good: each of these answers is met again and again.
    println!("{answers:?}, {} events, {} users", reader.number, reader.picture.users.len());
    for status in [200, 201, 204, 400, 404, 409] {
        assert!(answers.get(&status).is_some_and(|count| *count >= 100), "{status}: {answers:?}");
    }
    assert!(reader.number > (ROUNDS * ACTS / 2) as u64, "{} events", reader.number);
}

#[derive(Debug)]
struct Act {
    method: Method,
    path: String,
    body: Option<Value>,
}

/// Who sends, and the ids that it was ever given.
struct Client {
    dice: Dice,
    users: Vec<String>,
    groups: Vec<String>,
}

impl Client {
    fn remember(&mut self, path: &str, body: &Value) {
        let id = body["id"].as_str().expect("it has an id").to_owned();
        if path.starts_with("/Users") { self.users.push(id) } else { self.groups.push(id) }
    }

    /// Most of the time: the dead are spoken of now and then.
    fn forget(&mut self, path: &str) {
        if self.dice.below(6) > 0 {
            self.users.retain(|id| !path.ends_with(id));
            self.groups.retain(|id| !path.ends_with(id));
        }
    }

    fn some_act(&mut self) -> Act {
        let act = |method, path: String, body| Act { method, path, body };
        match self.dice.below(24) {
            0..5 => act(Method::Post, "/Users".into(), Some(self.some_user())),
            5..7 => act(Method::Put, self.some_user_path(), Some(self.some_user())),
            7..12 => {
                let operations: Vec<_> =
                    (0..=self.dice.below(3)).map(|_| self.user_operation()).collect();
                act(Method::Patch, self.some_user_path(), Some(self.message(&operations)))
            }
            12..14 => act(Method::Delete, self.some_user_path(), None),
            14..16 => act(Method::Post, "/Groups".into(), Some(self.some_group())),
            16..18 => act(Method::Put, self.some_group_path(), Some(self.some_group())),
            18..23 => {
                let operations: Vec<_> =
                    (0..=self.dice.below(3)).map(|_| self.group_operation()).collect();
                act(Method::Patch, self.some_group_path(), Some(self.message(&operations)))
            }
            _ => act(Method::Delete, self.some_group_path(), None),
        }
    }

    /// Of a user, mostly of a recent one; of the dead, of a group, of nobody.
    fn some_id(&mut self) -> String {
        let recent = |ids: &Vec<String>| ids.len().saturating_sub(25);
        match self.dice.below(12) {
            0..9 if !self.users.is_empty() => {
                self.dice.one_of(&self.users[recent(&self.users)..]).clone()
            }
            9..11 if !self.groups.is_empty() => {
                self.dice.one_of(&self.groups[recent(&self.groups)..]).clone()
            }
            _ => (*self.dice.one_of(&["00000000-0000-7000-8000-000000000000", "nobody", "7"]))
                .to_owned(),
        }
    }

    fn some_user_path(&mut self) -> String {
        format!("/Users/{}", self.some_id())
    }

    fn some_group_path(&mut self) -> String {
        let recent = self.groups.len().saturating_sub(12);
        if self.dice.below(12) == 0 || self.groups.is_empty() {
            return format!("/Groups/{}", self.some_id());
        }
        format!("/Groups/{}", self.dice.one_of(&self.groups[recent..]))
    }

    fn some_user_name(&mut self) -> String {
        let name = format!("person{}@example.com", self.dice.below(150));
        if self.dice.below(5) == 0 { name.to_uppercase() } else { name }
    }

    fn some_user(&mut self) -> Value {
        let mut body = json!({});
        // Without a name, none is admitted.
        if self.dice.below(12) > 0 {
            body["userName"] = self.some_user_name().into();
        }
        let number = self.dice.below(4);
        for (name, value) in [
            ("schemas", json!(["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE])),
            ("externalId", json!(format!("00u{number}"))),
            ("active", self.dice.one_of(&[json!(true), json!(false), json!("False")]).clone()),
            ("name", json!({ "givenName": "Ana", "familyName": format!("Pérez {number}") })),
            ("displayName", json!(format!("Ana \"{number}\" \u{1F600}"))),
            (
                "emails",
                json!([
                    { "value": format!("a{number}@example.com"), "type": "work", "primary": true },
                    { "value": "home@example.com", "type": "home" },
                ]),
            ),
            ("phoneNumbers", json!([{ "value": format!("+1-{number}"), "type": "mobile" }])),
            ("title", json!("")),
            ("PreferredLanguage", json!("en-US")),
            ("password", json!("secret")),
            ("groups", json!([{ "value": "7" }])),
            ("shoeSize", json!(number)),
            ("id", json!("mine")),
            (
                ENTERPRISE,
                json!({ "department": format!("D{number}"), "manager": { "value": "7" } }),
            ),
            ("userType", self.dice.one_of(&[json!("Admin"), json!(7), json!(null)]).clone()),
        ] {
            if self.dice.below(3) == 0 {
                body[name] = value;
            }
        }
        body
    }

    fn user_operation(&mut self) -> Value {
        let number = self.dice.below(5);
        let active = self.dice.one_of(&[json!(true), json!(false), json!("False")]).clone();
        let name = self.some_user_name();
        match self.dice.below(22) {
            0 => json!({ "op": "replace", "path": "userName", "value": name }),
            1 => json!({ "op": "replace", "value": { "userName": name, "active": active } }),
            2..5 => json!({ "op": "replace", "value": { "active": active } }),
            5 => json!({ "op": "Replace", "path": "active", "value": active }),
            6 => json!({ "op": "add", "path": "name.familyName", "value": format!("F{number}") }),
            7 => json!({ "op": "add", "value": { "name.givenName": format!("G{number}") } }),
            8 => json!({ "op": "Add", "path": "emails[type eq \"work\"].value",
                         "value": format!("w{number}@example.com") }),
            9 => json!({ "op": "replace", "path": "emails[type eq \"other\"]",
                         "value": { "value": format!("o{number}@example.com") } }),
            10 => json!({ "op": "add", "path": "emails",
                          "value": [{ "value": format!("e{number}@example.com") }] }),
            11 => json!({ "op": "remove", "path": "emails[type eq \"home\"]" }),
            12 => json!({ "op": "Remove", "path": "emails" }),
            13 => json!({ "op": "replace", "path": DEPARTMENT, "value": format!("D{number}") }),
            14 => json!({ "op": "remove", "path": DEPARTMENT }),
            15 => json!({ "op": "add", "value": { ENTERPRISE: { "costCenter": "4130" } } }),
            16 => json!({ "op": "replace", "value": { DEPARTMENT: format!("D{number}") } }),
            17 => json!({ "op": "replace", "path": "phoneNumbers[primary eq true].value",
                          "value": "+49" }),
            18 => json!({ "op": "replace", "path": "title", "value": null }),
            19 => json!({ "op": "remove" }),
            20 => json!({ "op": "replace", "path": "emails[type eq", "value": 7 }),
            _ => json!({ "op": "add", "path": "shoeSize", "value": 44 }),
        }
    }

    fn some_group(&mut self) -> Value {
        let mut body = json!({ "displayName": self.some_group_name() });
        match self.dice.below(8) {
            0 => body["displayName"] = Value::Null,
            1 => {}
            _ => body["members"] = self.some_members(12),
        }
        if self.dice.below(3) == 0 {
            body["externalId"] = json!(format!("g{}", self.dice.below(9)));
        }
        body
    }

    fn some_group_name(&mut self) -> String {
        let name = format!("Team {}", self.dice.below(60));
        if self.dice.below(4) == 0 { name.to_lowercase() } else { name }
    }

    fn some_members(&mut self, max: usize) -> Value {
        let count = self.dice.below(max + 1);
        (0..count)
            .map(|_| {
                let value = self.some_id();
                match self.dice.below(4) {
                    0 => json!({ "value": value, "display": "Ana" }),
                    1 => json!({ "value": value.to_uppercase() }),
                    2 => json!({ "Value": value, "type": "User" }),
                    _ => json!({ "value": value }),
                }
            })
            .collect()
    }

    fn group_operation(&mut self) -> Value {
        match self.dice.below(16) {
            0 => {
                json!({ "op": "replace", "path": "displayName", "value": self.some_group_name() })
            }
            1 => json!({ "op": "replace",
                         "value": { "id": "7", "displayName": self.some_group_name() } }),
            2..5 => json!({ "op": "add", "path": "members", "value": self.some_members(4) }),
            5 => json!({ "op": "Add", "value": { "members": self.some_members(4) } }),
            6 => json!({ "op": "add", "path": "members", "value": { "value": self.some_id() } }),
            7..9 => {
                let path = format!(
                    "members[value eq \"{}\" or value eq \"{}\"]",
                    self.some_id(),
                    self.some_id()
                );
                json!({ "op": "remove", "path": path })
            }
            9 => json!({ "op": "Remove", "path": "members", "value": self.some_members(3) }),
            10 => json!({ "op": "remove", "path": "members" }),
            11 => json!({ "op": "remove", "path": "members[type eq \"Group\"]" }),
            12 => json!({ "op": "replace", "path": "members", "value": self.some_members(9) }),
            13 => json!({ "op": "replace", "value": { "members": self.some_members(9) } }),
            14 => json!({ "op": "replace", "path": "externalId", "value": "g-7" }),
            _ => json!({ "op": "replace", "path": "members[", "value": [] }),
        }
    }

    fn message(&mut self, operations: &[Value]) -> Value {
        match self.dice.below(30) {
            0 => json!({ "schemas": [PATCH] }),
            1 => json!({ "operations": operations }),
            2 => json!([]),
            _ => json!({ "schemas": [PATCH], "Operations": operations }),
        }
    }
}
