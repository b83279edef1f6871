//! Where exactly a mass change begins: a table of what people lose, and when, with the rule as everybody
//! has it who said nothing else. More than 10 people, or than 5 % of those who are active where that is
//! more, within 15 minutes that slide.

mod engine;
mod people;

use std::ops::Range;
use std::sync::Arc;

use directory::hold::Brake;
use directory::secret::{Secret, SecretKind};
use directory::{
    DeleteGroup, DeleteUser, GroupId, Limits, ReplaceGroup, ResourceId, Settings, TokenScope,
};
use engine::{Database, Waiting, directory, in_one_batch, on_every_engine};
use jiff::SignedDuration;
use people::{add, group, patch_group, patch_user, resource};
use scim::ResourceType;
use scim::group::Member;
use serde_json::json;
use store::{Credential, DirectoryStore, Store};

const MINUTE: i64 = 60;

/// What a provider does, one request after the other.
#[derive(Clone, Debug)]
enum Act {
    Deactivate(Range<usize>),
    Reactivate(Range<usize>),
    Delete(Range<usize>),
    /// These leave the group of everybody.
    Leave(Range<usize>),
    Join(Range<usize>),
    /// These leave another group of everybody.
    LeaveOther(Range<usize>),
    /// A group of these, and of nobody else, is made.
    Group(Range<usize>),
    /// It is deleted.
    DeleteGroup,
    /// A PUT says that nobody belongs to it.
    EmptyGroup,
    /// A PUT says that these belong to it.
    Replace(Range<usize>),
    /// Seconds go by.
    Wait(i64),
    /// One is deactivated, and so many seconds go by; then the next.
    Trickle(Range<usize>, i64),
    /// These are deactivated together.
    AtOnce(Range<usize>),
}

use Act::{
    AtOnce, Deactivate, Delete, EmptyGroup, Group, Join, Leave, LeaveOther, Reactivate, Replace,
    Trickle, Wait,
};

/// So many active people; what the provider does; whether it is held in the end.
type Case = (&'static str, usize, Vec<Act>, bool);

fn cases() -> Vec<Case> {
    let quarter = 15 * MINUTE;
    vec![
        // How many.
        ("ten of a few", 30, vec![Deactivate(0..10)], false),
        ("eleven of a few", 30, vec![Deactivate(0..11)], true),
        ("ten are everybody", 10, vec![Deactivate(0..10)], false),
        ("eleven are everybody", 11, vec![Deactivate(0..11)], true),
        ("eleven at once", 30, vec![AtOnce(0..11)], true),
        ("ten at once", 30, vec![AtOnce(0..10)], false),
        ("ten of 200 are 5 %", 200, vec![Deactivate(0..10)], false),
        ("eleven of 219 are more: a tenth of a person is none", 219, vec![Deactivate(0..11)], true),
        ("eleven of 220 are 5 %", 220, vec![Deactivate(0..11)], false),
        ("twelve of 220 are more", 220, vec![Deactivate(0..12)], true),
        (
            "5 % of those who were active before, not of those who are left",
            240,
            vec![Deactivate(0..12)],
            false,
        ),
        ("thirteen of 240", 240, vec![Deactivate(0..13)], true),
        // When.
        (
            "the eleventh a second before the window ends",
            30,
            vec![Deactivate(0..10), Wait(quarter - 1), Deactivate(10..11)],
            true,
        ),
        (
            "the eleventh when it ends",
            30,
            vec![Deactivate(0..10), Wait(quarter), Deactivate(10..11)],
            false,
        ),
        (
            "ten in each of three windows",
            60,
            vec![
                Deactivate(0..10),
                Wait(quarter),
                Deactivate(10..20),
                Wait(quarter),
                Deactivate(20..30),
            ],
            false,
        ),
        (
            "the window slides: the first half is out of it",
            60,
            vec![
                Deactivate(0..5),
                Wait(10 * MINUTE),
                Deactivate(5..10),
                Wait(5 * MINUTE),
                Deactivate(10..15),
            ],
            false,
        ),
        (
            "the window slides: two quarters of an hour on the clock are none",
            60,
            vec![Wait(10 * MINUTE), Deactivate(0..6), Wait(10 * MINUTE), Deactivate(6..11)],
            true,
        ),
        ("one every 90 seconds", 60, vec![Trickle(0..40, 90)], false),
        ("one every 89 seconds", 60, vec![Trickle(0..40, 89)], true),
        // What.
        ("ten are deleted", 30, vec![Delete(0..10)], false),
        ("eleven are deleted", 30, vec![Delete(0..11)], true),
        ("who was deactivated is deleted", 30, vec![Deactivate(0..10), Delete(0..10)], false),
        ("ten leave a group", 30, vec![Leave(0..10)], false),
        ("eleven leave a group", 30, vec![Leave(0..11)], true),
        ("of each a little", 30, vec![Deactivate(0..4), Delete(4..8), Leave(8..11)], true),
        (
            "the same ten, again and again",
            30,
            vec![Leave(0..10), LeaveOther(0..10), Deactivate(0..10), Delete(0..10)],
            false,
        ),
        (
            "ten leave one group, and another leaves another",
            30,
            vec![Leave(0..10), LeaveOther(10..11)],
            true,
        ),
        ("a group of ten is deleted", 30, vec![Group(0..10), Act::DeleteGroup], false),
        ("a group of eleven is deleted", 30, vec![Group(0..11), Act::DeleteGroup], true),
        (
            "a group of eleven, of whom one is not active, is deleted",
            30,
            vec![Group(0..11), Deactivate(0..1), Wait(quarter), Act::DeleteGroup],
            false,
        ),
        ("a PUT empties a group of ten", 30, vec![Group(0..10), EmptyGroup], false),
        ("a PUT empties a group of eleven", 30, vec![Group(0..11), EmptyGroup], true),
        ("a PUT replaces eleven by others", 30, vec![Group(0..11), Replace(11..22)], true),
        ("a PUT replaces ten of eleven", 30, vec![Group(0..11), Replace(10..22)], false),
        ("a PUT that says the same", 30, vec![Group(0..11), Replace(0..11)], false),
        (
            "groups of four are deleted one after the other",
            30,
            vec![
                Group(0..4),
                Act::DeleteGroup,
                Group(4..8),
                Act::DeleteGroup,
                Group(8..12),
                Act::DeleteGroup,
            ],
            true,
        ),
        // Who comes back has lost nothing.
        (
            "one is back before another goes",
            30,
            vec![Deactivate(0..10), Reactivate(0..1), Deactivate(10..11)],
            false,
        ),
        (
            "one is back in the group before another goes",
            30,
            vec![Leave(0..10), Join(0..1), Leave(10..11)],
            false,
        ),
    ]
}

/// A directory, as its provider opens it.
async fn connected(store: &Store, number: u8) -> DirectoryStore {
    let settings = Settings { brake: Brake::default(), ..Settings::default() };
    let made = directory(store, settings).await;
    let secret = Secret::new(SecretKind::ScimToken, [number; 32]);
    let (scope, year) = (TokenScope::ReadWrite, SignedDuration::from_hours(24 * 365));
    store.api().create_scoped_token(made.id(), &secret, scope, year).await.unwrap();
    match store.access().directory(&secret.hash()).await.unwrap() {
        Credential::Valid(directory) => directory,
        other => panic!("{other:?}"),
    }
}

/// A provider with people, all of whom belong to two groups.
struct Provider<'a> {
    database: &'a Database,
    of: DirectoryStore,
    people: Vec<ResourceId>,
    all: [GroupId; 2],
    /// One of its own, where there is.
    group: Option<GroupId>,
}

impl Provider<'_> {
    async fn deactivate(&self, who: usize, active: bool) {
        patch_user(&self.of, self.people[who], json!({ "active": active })).await;
    }

    async fn leave(&self, group: GroupId, who: Range<usize>) {
        for id in &self.people[who] {
            let path = format!("members[value eq \"{id}\"]");
            patch_group(&self.of, group, json!({ "op": "remove", "path": path })).await;
        }
    }

    async fn replace(&self, who: Range<usize>) {
        let resource_type = Arc::new(ResourceType::group());
        let member = |id: &ResourceId| Member { value: id.to_string(), kind: None, display: None };
        let id = self.group.unwrap();
        let replace = ReplaceGroup {
            id,
            resource: resource(json!({ "displayName": "Some" }), &resource_type),
            external_id_given: true,
            members: Some(self.people[who].iter().map(member).collect()),
            resource_type,
        };
        self.of.change(replace).await.unwrap();
    }

    async fn act(&mut self, act: Act) {
        match act {
            Deactivate(who) => {
                for one in who {
                    self.deactivate(one, false).await;
                }
            }
            Reactivate(who) => {
                for one in who {
                    self.deactivate(one, true).await;
                }
            }
            Trickle(who, seconds) => {
                for one in who {
                    self.deactivate(one, false).await;
                    self.database.clock.move_by(seconds);
                }
            }
            AtOnce(who) => {
                let provider = &*self;
                let all = who.map(|one| {
                    let leaving: Waiting<'_, ()> = Box::pin(provider.deactivate(one, false));
                    leaving
                });
                in_one_batch(&provider.of, all.collect()).await;
            }
            Delete(who) => {
                for id in &self.people[who] {
                    self.of.change(DeleteUser { id: *id }).await.unwrap();
                }
            }
            Leave(who) => self.leave(self.all[0], who).await,
            LeaveOther(who) => self.leave(self.all[1], who).await,
            Join(who) => {
                for id in &self.people[who] {
                    let value = json!([{ "value": id.to_string() }]);
                    let join = json!({ "op": "add", "path": "members", "value": value });
                    patch_group(&self.of, self.all[0], join).await;
                }
            }
            Group(who) => self.group = Some(group(&self.of, "Some", &self.people[who]).await),
            Act::DeleteGroup => {
                let id = self.group.take().unwrap();
                self.of.change(DeleteGroup { id }).await.unwrap();
            }
            EmptyGroup => self.replace(0..0).await,
            Replace(who) => self.replace(who).await,
            Wait(seconds) => self.database.clock.move_by(seconds),
        }
    }
}

#[test]
fn a_mass_change_begins_where_the_rule_says() {
    on_every_engine(async |database| {
        let store = database.open(Limits::default()).unwrap();
        for (number, (name, count, acts, is_held)) in (1..).zip(cases()) {
            let of = connected(&store, number).await;
            let new = (0..count).map(|it| {
                let (of, name) = (&of, format!("person-{it}"));
                let adding: Waiting<'_, ResourceId> = Box::pin(async move { add(of, &name).await });
                adding
            });
            let people = in_one_batch(&of, new.collect()).await;
            let all = [group(&of, "All", &people).await, group(&of, "Everybody", &people).await];
            let mut provider = Provider { database: &database, of, people, all, group: None };
            for act in acts {
                provider.act(act).await;
            }
            let holds = store.api().holds(provider.of.id(), None, 10).await.unwrap();
            assert_eq!(holds.len(), usize::from(is_held), "{name}: {holds:?}");
        }
        store.close().await;
    });
}
