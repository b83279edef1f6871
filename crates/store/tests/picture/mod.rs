//! What an app makes of a snapshot and of events, taken strictly.

use std::collections::{BTreeMap, BTreeSet};

use directory::DirectoryId;
use directory::event::{EventKind, kept_group, kept_user};
use serde_json::Value;
use store::{ApiStore, Cursor, EventRecord, SnapshotPart};

/// What an app makes of what it is told.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Picture {
    /// Of the latest event whose effect is in it.
    pub(crate) number: u64,
    pub(crate) users: BTreeMap<String, Value>,
    /// With the ids of the members.
    pub(crate) groups: BTreeMap<String, (Value, BTreeSet<String>)>,
    /// Of those who have any.
    pub(crate) roles: BTreeMap<String, BTreeSet<String>>,
}

impl Picture {
    /// As a snapshot has it, and from where to go on.
    pub(crate) async fn of(api: &ApiStore, id: DirectoryId) -> (Picture, Cursor) {
        let mut snapshot = api.snapshot(id).await.unwrap();
        let mut picture = Picture { number: snapshot.event_number, ..Picture::default() };
        let (users, groups) = (snapshot.user_count, snapshot.group_count);
        let json = |text: String| serde_json::from_str::<Value>(&text).unwrap();
        loop {
            match snapshot.next().await.expect("it has an end").unwrap() {
                SnapshotPart::Users(users, roles) => {
                    for user in users {
                        let told = json(kept_user(user.id, &user.text, user.is_active));
                        assert_eq!(picture.users.insert(user.id.to_string(), told), None);
                        let roles = roles.of(user.id).iter().map(|it| it.role.to_string());
                        picture.has_roles(user.id.to_string(), roles.collect());
                    }
                }
                SnapshotPart::Groups(groups) => {
                    for group in groups {
                        let told = (json(kept_group(group.id, &group.text)), BTreeSet::new());
                        assert_eq!(picture.groups.insert(group.id.to_string(), told), None);
                    }
                }
                SnapshotPart::Memberships(memberships) => {
                    for it in memberships {
                        let (_, members) =
                            picture.groups.get_mut(&it.group_id.to_string()).unwrap();
                        assert!(members.insert(it.member.id.to_string()));
                    }
                }
                SnapshotPart::End { cursor, membership_count } => {
                    let members: usize = picture.groups.values().map(|it| it.1.len()).sum();
                    assert_eq!(membership_count, members as u64);
                    assert_eq!(users, picture.users.len() as u64);
                    assert_eq!(groups, picture.groups.len() as u64);
                    assert!(snapshot.next().await.is_none());
                    return (picture, cursor);
                }
            }
        }
    }

    /// Takes an event strictly: nothing is missing, comes twice, or has its effect already.
    pub(crate) fn take(&mut self, event: &EventRecord) {
        self.number += 1;
        assert_eq!(event.number, self.number, "{event:?}");
        self.apply(event.kind.parse().unwrap(), &event.data);
    }

    /// Takes what an event says, as strictly.
    pub(crate) fn apply(&mut self, kind: EventKind, data: &str) {
        let data: Value = serde_json::from_str(data).unwrap();
        let id = |name: &str, member: &str| data[name][member].as_str().unwrap().to_owned();
        match kind {
            EventKind::UserCreated => {
                assert_eq!(self.users.insert(id("user", "id"), data["user"].clone()), None);
            }
            EventKind::UserUpdated | EventKind::UserDeactivated | EventKind::UserReactivated => {
                let before = self.users.insert(id("user", "id"), data["user"].clone());
                assert_ne!(before.unwrap(), data["user"]);
            }
            EventKind::UserDeleted => {
                assert_eq!(self.users.remove(&id("user", "id")).as_ref(), Some(&data["user"]));
                self.roles.remove(&id("user", "id"));
            }
            EventKind::UserRolesUpdated => {
                let user = id("user", "id");
                assert!(self.users.contains_key(&user), "{data}");
                let roles = |of: &Value| -> BTreeSet<String> {
                    of.as_array().unwrap().iter().map(|it| it.as_str().unwrap().into()).collect()
                };
                let changes = &data["changes"]["roles"];
                let known = self.roles.get(&user).cloned().unwrap_or_default();
                assert_eq!(known, roles(&changes["old"]));
                assert_ne!(known, roles(&changes["new"]));
                self.has_roles(user, roles(&changes["new"]));
            }
            EventKind::GroupCreated => {
                let new = (data["group"].clone(), BTreeSet::new());
                assert_eq!(self.groups.insert(id("group", "id"), new), None);
            }
            EventKind::GroupUpdated => {
                self.groups.get_mut(&id("group", "id")).unwrap().0 = data["group"].clone();
            }
            EventKind::GroupDeleted => {
                let (_, members) = self.groups.remove(&id("group", "id")).unwrap();
                assert!(members.is_empty());
            }
            EventKind::GroupMemberAdded => {
                let (_, members) = self.groups.get_mut(&id("group", "id")).unwrap();
                assert!(members.insert(id("member", "value")));
            }
            EventKind::GroupMemberRemoved => {
                let (_, members) = self.groups.get_mut(&id("group", "id")).unwrap();
                assert!(members.remove(&id("member", "value")));
            }
            _ => {}
        }
    }

    fn has_roles(&mut self, user: String, roles: BTreeSet<String>) {
        if roles.is_empty() {
            self.roles.remove(&user);
        } else {
            self.roles.insert(user, roles);
        }
    }
}
