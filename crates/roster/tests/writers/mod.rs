//! Clients that send one request at a time and remember what they were told, so that it can be
//! compared with what is there after something was killed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Map, Value, json};
use simulator::Method;
use tokio::sync::Notify;

use crate::dice::Dice;
use crate::reader::Picture;
use crate::server::{Caller, read};

/// A number that the environment sets, or this one.
#[expect(clippy::disallowed_methods, reason = "it is the tests' own, and no setting of the server")]
pub(crate) fn number_in(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |number| number.parse().expect("it is a number"))
}

/// Lets everybody write, and has something killed when so many answers have come. Each goes on until
/// one of its requests is not answered.
pub(crate) async fn write_until(
    target: usize,
    kill: impl FnOnce(),
    writers: Vec<Writer>,
    scim: &Caller,
) -> Vec<Writer> {
    let answers = Arc::new(AtomicUsize::new(0));
    let enough = Arc::new(Notify::new());
    let mut tasks = Vec::new();
    for mut writer in writers {
        let (mut scim, answers, enough) = (scim.clone(), Arc::clone(&answers), Arc::clone(&enough));
        tasks.push(tokio::spawn(async move {
            loop {
                if answers.load(Ordering::SeqCst) >= target {
                    // Some requests are still under way then: those of the others, and this one's
                    // next, for which nobody waits before the kill.
                    enough.notify_one();
                }
                if !writer.write(&mut scim).await {
                    enough.notify_one();
                    return writer;
                }
                answers.fetch_add(1, Ordering::SeqCst);
            }
        }));
    }
    enough.notified().await;
    assert!(answers.load(Ordering::SeqCst) >= target, "the server went before it was killed");
    kill();
    let mut writers = Vec::new();
    for task in tasks {
        writers.push(task.await.expect("no answer was wrong"));
    }
    writers
}

/// A client with people and groups of its own, who sends one request at a time, as Okta does for
/// each of them, and remembers what it was told.
pub(crate) struct Writer {
    number: usize,
    dice: Dice,
    names_given: usize,
    known: Known,
    /// What was sent and not answered.
    under_way: Option<Act>,
}

/// What a writer knows to be there.
#[derive(Clone, Debug, Default, PartialEq)]
struct Known {
    /// By `userName`: id and attributes.
    users: BTreeMap<String, (String, Map<String, Value>)>,
    /// By `displayName`: id and ids of the members.
    groups: BTreeMap<String, (String, BTreeSet<String>)>,
}

#[derive(Clone, Debug)]
enum Act {
    CreateUser(Map<String, Value>),
    ReplaceUser { name: String, attributes: Map<String, Value> },
    Activate { name: String, active: bool },
    DeleteUser(String),
    PushGroup { name: String, members: BTreeSet<String> },
    ReplaceGroup { name: String, members: BTreeSet<String> },
    Members { name: String, added: BTreeSet<String>, removed: BTreeSet<String> },
    RenameGroup { name: String, new_name: String },
    DeleteGroup(String),
}

impl Writer {
    pub(crate) fn new(number: usize, seed: u64) -> Writer {
        let dice = Dice(number as u64 + seed);
        Writer { number, dice, names_given: 0, known: Known::default(), under_way: None }
    }

    /// How many users and groups it knows of.
    pub(crate) fn count(&self) -> usize {
        self.known.users.len() + self.known.groups.len()
    }

    /// Does something, and remembers it. False when there was no answer, or one that says nothing
    /// of what is there: 503.
    pub(crate) async fn write(&mut self, scim: &mut Caller) -> bool {
        let act = self.some_act();
        let (method, path, body) = self.known.request(&act);
        self.under_way = Some(act.clone());
        let Ok(response) = scim.try_send(method, &path, body.as_ref()).await else { return false };
        if response.status == 503 {
            return false;
        }
        let expected = match (&act, method) {
            (_, Method::Post) => 201,
            (_, Method::Delete) | (Act::Members { .. } | Act::RenameGroup { .. }, _) => 204,
            _ => 200,
        };
        let answer = read(&response);
        assert_eq!(response.status, expected, "{act:?}: {answer}");
        self.known.take(&act, answer["id"].as_str().unwrap_or_default());
        self.under_way = None;
        true
    }

    /// Compares with what is there, and takes note of what was done without an answer; says how
    /// many acts that were.
    pub(crate) fn compare(&mut self, picture: &Picture) -> usize {
        let mine = self.mine(picture);
        if mine == self.known {
            self.under_way = None;
            return 0;
        }
        let act = self.under_way.take();
        let act = act.unwrap_or_else(|| {
            panic!("writer {}: is {mine:#?}, was told {:#?}", self.number, self.known)
        });
        let mut expected = self.known.clone();
        // Nobody was told the id of what is new, if it is there.
        let id = match &act {
            Act::CreateUser(attributes) => mine.users.get(name_of(attributes)).map(|it| &it.0),
            Act::PushGroup { name, .. } => mine.groups.get(name).map(|it| &it.0),
            _ => None,
        };
        expected.take(&act, id.map_or("", String::as_str));
        assert_eq!(mine, expected, "{act:?} was done by half, or something else was lost");
        self.known = mine;
        1
    }

    /// The people and groups of this writer.
    fn mine(&self, picture: &Picture) -> Known {
        let (person, group) = (self.prefix("person"), self.prefix("group"));
        let users = picture.users.iter().filter_map(|(id, attributes)| {
            let name = name_of(attributes).to_owned();
            name.starts_with(&person).then(|| (name, (id.clone(), attributes.clone())))
        });
        let groups = picture.groups.iter().filter_map(|(id, (attributes, members))| {
            let name = attributes["displayName"].as_str().expect("it has a name").to_owned();
            let members = members.iter().map(|(id, _)| id.clone()).collect();
            name.starts_with(&group).then(|| (name, (id.clone(), members)))
        });
        Known { users: users.collect(), groups: groups.collect() }
    }

    fn prefix(&self, what: &str) -> String {
        format!("{what}-{}-", self.number)
    }

    fn new_name(&mut self, what: &str) -> String {
        self.names_given += 1;
        format!("{}{}", self.prefix(what), self.names_given)
    }

    fn some_act(&mut self) -> Act {
        let users: Vec<_> = self.known.users.keys().cloned().collect();
        let groups: Vec<_> = self.known.groups.keys().cloned().collect();
        if users.len() < 6 {
            return Act::CreateUser(self.some_user());
        }
        if users.len() > 30 {
            return Act::DeleteUser(self.dice.one_of(&users).clone());
        }
        if groups.is_empty() {
            return Act::PushGroup { name: self.new_name("group"), members: self.some_members(6) };
        }
        let group = self.dice.one_of(&groups).clone();
        let user = self.dice.one_of(&users).clone();
        match self.dice.below(16) {
            0..4 => Act::CreateUser(self.some_user()),
            4..6 => {
                let mut attributes = self.some_user();
                attributes.insert("userName".to_owned(), user.clone().into());
                Act::ReplaceUser { name: user, attributes }
            }
            6..8 => Act::Activate { name: user, active: self.dice.below(2) == 0 },
            8 => Act::DeleteUser(user),
            9 if groups.len() < 6 => {
                Act::PushGroup { name: self.new_name("group"), members: self.some_members(20) }
            }
            9 => Act::DeleteGroup(group),
            10 => Act::ReplaceGroup { name: group, members: self.some_members(20) },
            11 => Act::RenameGroup { name: group, new_name: self.new_name("group") },
            _ => {
                let added = self.some_members(5);
                let removed = &self.some_members(5) - &added;
                Act::Members { name: group, added, removed }
            }
        }
    }

    fn some_user(&mut self) -> Map<String, Value> {
        let name = self.new_name("person");
        let user = json!({
            "userName": name,
            "externalId": format!("00u-{name}"),
            "name": { "givenName": "Ana", "familyName": format!("Pérez {}", self.names_given) },
            "emails": [{ "value": format!("{name}@example.com"), "type": "work", "primary": true }],
            "active": self.dice.below(4) > 0,
        });
        let Value::Object(user) = user else { unreachable!("it is written above") };
        user
    }

    /// Ids of some of the writer's people.
    fn some_members(&mut self, max: usize) -> BTreeSet<String> {
        let ids: Vec<_> = self.known.users.values().map(|(id, _)| id.clone()).collect();
        (0..=self.dice.below(max)).map(|_| self.dice.one_of(&ids).clone()).collect()
    }
}

impl Known {
    /// The request, in the words of Okta.
    fn request(&self, act: &Act) -> (Method, String, Option<Value>) {
        let user = |name: &String| format!("/Users/{}", self.users[name].0);
        let group = |name: &String| format!("/Groups/{}", self.groups[name].0);
        let with_values = |members: &BTreeSet<String>| -> Value {
            members.iter().map(|id| json!({ "value": id })).collect()
        };
        let with_name = |name: &String, members| {
            Some(json!({ "displayName": name, "members": with_values(members) }))
        };
        let operations = |operations: Value| {
            Some(json!({
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
                "Operations": operations,
            }))
        };
        match act {
            Act::CreateUser(attributes) => {
                (Method::Post, "/Users".to_owned(), Some(attributes.clone().into()))
            }
            Act::ReplaceUser { name, attributes } => {
                (Method::Put, user(name), Some(attributes.clone().into()))
            }
            Act::Activate { name, active } => {
                let body = operations(json!([{ "op": "replace", "value": { "active": active } }]));
                (Method::Patch, user(name), body)
            }
            Act::DeleteUser(name) => (Method::Delete, user(name), None),
            Act::PushGroup { name, members } => {
                (Method::Post, "/Groups".to_owned(), with_name(name, members))
            }
            Act::ReplaceGroup { name, members } => {
                (Method::Put, group(name), with_name(name, members))
            }
            Act::Members { name, added, removed } => {
                let mut sent =
                    vec![json!({ "op": "add", "path": "members", "value": with_values(added) })];
                sent.extend(removed.iter().map(
                    |id| json!({ "op": "remove", "path": format!("members[value eq \"{id}\"]") }),
                ));
                (Method::Patch, group(name), operations(sent.into()))
            }
            Act::RenameGroup { name, new_name } => {
                let id = &self.groups[name].0;
                let value = json!({ "id": id, "displayName": new_name });
                let body = operations(json!([{ "op": "replace", "value": value }]));
                (Method::Patch, group(name), body)
            }
            Act::DeleteGroup(name) => (Method::Delete, group(name), None),
        }
    }

    /// What is there when the act was done; something new has this id.
    fn take(&mut self, act: &Act, new_id: &str) {
        match act {
            Act::CreateUser(attributes) => {
                let user = (new_id.to_owned(), attributes.clone());
                self.users.insert(name_of(attributes).to_owned(), user);
            }
            Act::ReplaceUser { name, attributes } => {
                self.users.get_mut(name).expect("it was known").1.clone_from(attributes);
            }
            Act::Activate { name, active } => {
                let (_, attributes) = self.users.get_mut(name).expect("it was known");
                attributes.insert("active".to_owned(), (*active).into());
            }
            Act::DeleteUser(name) => {
                let (id, _) = self.users.remove(name).expect("it was known");
                self.groups.values_mut().for_each(|(_, members)| _ = members.remove(&id));
            }
            Act::PushGroup { name, members } => {
                self.groups.insert(name.clone(), (new_id.to_owned(), members.clone()));
            }
            Act::ReplaceGroup { name, members } => {
                self.groups.get_mut(name).expect("it was known").1.clone_from(members);
            }
            Act::Members { name, added, removed } => {
                let (_, members) = self.groups.get_mut(name).expect("it was known");
                *members = &(&*members | added) - removed;
            }
            Act::RenameGroup { name, new_name } => {
                let group = self.groups.remove(name).expect("it was known");
                self.groups.insert(new_name.clone(), group);
            }
            Act::DeleteGroup(name) => _ = self.groups.remove(name).expect("it was known"),
        }
    }
}

fn name_of(user: &Map<String, Value>) -> &str {
    user["userName"].as_str().expect("it has a name")
}
