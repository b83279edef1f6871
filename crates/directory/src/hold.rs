//! Changes that are received and not let out: what the brake is, when it is pulled, and what an app
//! is told of what waited.
//!
//! An app has heard of some state of a directory, and the directory is in another. What waits is the
//! difference of the two, for each user, group and membership: whatever happened in between, what is
//! let out is one event that leads from the one to the other, or none.

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::change::{Change, Membership};
use crate::condition::Revision;
use crate::event::{self, Draft, EventKind};
use crate::group::Group;
use crate::id::{DirectoryId, GroupId, HoldId, ResourceId, UserId};
use crate::user::User;

/// When changes of a directory are held because so many people would lose something at once. Kept as
/// a part of the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Brake {
    /// Whether it is pulled at all.
    pub on: bool,
    /// So many people may lose something, however few there are.
    pub people: u32,
    /// So many of a hundred active people may.
    pub percent: u8,
    /// Within so many minutes.
    pub minutes: u16,
    /// For how long is held what nobody decides about.
    pub hours: u16,
    /// What happens then.
    pub then: AfterHold,
}

/// What is to be otherwise of a brake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are those of `Brake`")]
pub struct BrakeEdit {
    pub on: Option<bool>,
    pub people: Option<u32>,
    pub percent: Option<u8>,
    pub minutes: Option<u16>,
    pub hours: Option<u16>,
    pub then: Option<AfterHold>,
}

/// What happens to what is held when its time is up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterHold {
    /// It is let out: who has left the company must not stay in for ever because nobody looked.
    #[default]
    LetOut,
    /// It stays where it is until somebody decides.
    StayHeld,
}

/// People of a brake: from a team of a few to the largest directory.
pub const BRAKE_PEOPLE: std::ops::RangeInclusive<u32> = 1..=1_000_000;
/// Per cent of a brake.
pub const BRAKE_PERCENT: std::ops::RangeInclusive<u8> = 1..=100;
/// Minutes of a brake: longer than a day, a mistake and the usual leavers are not told apart.
pub const BRAKE_MINUTES: std::ops::RangeInclusive<u16> = 1..=1_440;
/// Hours of a hold: a month at most.
pub const HOLD_HOURS: std::ops::RangeInclusive<u16> = 1..=720;

impl Default for Brake {
    fn default() -> Brake {
        let then = AfterHold::LetOut;
        Brake { on: true, people: 10, percent: 5, minutes: 15, hours: 24, then }
    }
}

impl Brake {
    /// So many people may lose something, of so many who are active.
    ///
    /// ```
    /// use directory::Brake;
    ///
    /// assert_eq!(Brake::default().people_max(30), 10);
    /// assert_eq!(Brake::default().people_max(2_000), 100);
    /// ```
    pub fn people_max(&self, active: u64) -> u64 {
        let share = u128::from(active) * u128::from(self.percent) / 100;
        u64::from(self.people).max(u64::try_from(share).unwrap_or(u64::MAX))
    }

    /// What was lost after this moment counts.
    pub fn since(&self, now: Timestamp) -> Timestamp {
        now.saturating_sub(SignedDuration::from_mins(self.minutes.into()))
            .expect("a duration without years can be taken away")
    }

    /// When something is done with what is held from a moment on, without anybody.
    pub fn until(&self, from: Timestamp) -> Option<Timestamp> {
        let hours = SignedDuration::from_hours(self.hours.into());
        match self.then {
            AfterHold::LetOut => from.checked_add(hours).ok(),
            AfterHold::StayHeld => None,
        }
    }

    pub(crate) fn is_default(&self) -> bool {
        *self == Brake::default()
    }
}

impl BrakeEdit {
    /// This brake, with what is said here.
    #[must_use]
    pub fn apply(self, to: Brake) -> Brake {
        Brake {
            on: self.on.unwrap_or(to.on),
            people: self.people.unwrap_or(to.people),
            percent: self.percent.unwrap_or(to.percent),
            minutes: self.minutes.unwrap_or(to.minutes),
            hours: self.hours.unwrap_or(to.hours),
            then: self.then.unwrap_or(to.then),
        }
    }
}

/// Words that are kept and answered as they are.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: &[$name] = &[$($name::$variant),+];

            /// As it stands in the API.
            pub fn as_str(self) -> &'static str {
                match self {
                    $($name::$variant => $word,)+
                }
            }
        }

        impl FromStr for $name {
            type Err = ();

            fn from_str(text: &str) -> Result<$name, ()> {
                $name::ALL.iter().copied().find(|it| it.as_str() == text).ok_or(())
            }
        }
    };
}

words! {
    /// Why changes of a directory wait.
    HoldKind {
        /// More people lost something than may, in a short time.
        Brake "brake",
        /// Nothing is to be let out before somebody has looked at it.
        Shadow "shadow",
    }
}

words! {
    /// How far a hold is.
    HoldState {
        /// It waits for a decision, or for its time.
        Held "held",
        /// It was a mistake: it waits until the provider has brought back what was lost.
        Rejected "rejected",
        /// What waited goes out.
        LettingOut "letting_out",
        /// Nothing waits any more.
        Ended "ended",
    }
}

words! {
    /// Why what waited was let out.
    HoldOutcome {
        /// Somebody said so.
        Approved "approved",
        /// Nobody said anything in time.
        TimeUp "time_up",
        /// It was rejected, and the provider has brought back what was lost.
        BroughtBack "brought_back",
        /// There is no such directory any more.
        DirectoryDeleted "directory_deleted",
    }
}

/// That changes of a directory wait, from the first of them on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Its id.
    pub id: HoldId,
    /// Where.
    pub directory_id: DirectoryId,
    /// Why.
    pub kind: HoldKind,
    /// How far it is.
    pub state: HoldState,
    /// Why what waited was let out, where it was.
    pub outcome: Option<HoldOutcome>,
    /// How many people would have lost something when it began.
    pub people: u64,
    /// How many might have.
    pub people_max: u64,
    /// Since when.
    pub started_at: Timestamp,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
    /// When operators are told once more that it waits.
    pub remind_at: Option<Timestamp>,
    /// How many accounts and memberships are lost while it waits, and not back.
    pub lost: u64,
    /// The place of the latest of these among what waits.
    pub lost_at: u64,
    /// When it was last decided about.
    pub decided_at: Option<Timestamp>,
    /// When nothing waited any more.
    pub ended_at: Option<Timestamp>,
    /// What caused it, as JSON.
    pub cause: String,
    /// What caused the last decision about it, as JSON.
    pub decided_by: Option<String>,
}

impl Hold {
    /// What can be decided about it, and what somebody decides about who looks at it now: who has seen
    /// that ten people would lose something does not approve that a thousand others do.
    pub fn revision(&self) -> Revision {
        let decided_at = self.decided_at.map(|at| at.to_string());
        Revision::of(&json!([self.state.as_str(), decided_at, self.lost, self.lost_at]))
    }

    /// When it is told of once more, after it was at this moment: before its time is up, so that somebody
    /// can still decide, and else day by day. A shadow waits because somebody wants it to.
    pub fn next_reminder(&self, told_at: Timestamp) -> Option<Timestamp> {
        let is_waiting = matches!(self.state, HoldState::Held | HoldState::Rejected);
        if self.kind == HoldKind::Shadow || !is_waiting {
            return None;
        }
        match self.until {
            Some(until) => {
                let left = until.duration_since(self.started_at) / 4;
                until.checked_sub(left).ok().filter(|at| *at > told_at)
            }
            None => told_at.checked_add(SignedDuration::from_hours(24)).ok(),
        }
    }

    /// What is told of it when it comes into this state.
    pub fn tell(&self, kind: EventKind) -> Draft {
        let time = |at: Option<Timestamp>| at.map(scim::datetime::print);
        let data = json!({ "hold": {
            "id": self.id.to_string(),
            "kind": self.kind.as_str(),
            "state": self.state.as_str(),
            "outcome": self.outcome.map(HoldOutcome::as_str),
            "people": self.people,
            "people_max": self.people_max,
            "started_at": scim::datetime::print(self.started_at),
            "until": time(self.until),
        }});
        Draft::new(kind, data.to_string())
    }
}

/// The event that says how a hold came to its outcome.
pub fn event_of(outcome: HoldOutcome) -> EventKind {
    match outcome {
        HoldOutcome::Approved => EventKind::HoldApproved,
        HoldOutcome::TimeUp => EventKind::HoldExpired,
        HoldOutcome::BroughtBack => EventKind::HoldBroughtBack,
        HoldOutcome::DirectoryDeleted => EventKind::DirectoryDeleted,
    }
}

/// What somebody loses by a change: as it was before.
#[derive(Clone, Debug)]
pub enum Loss<'a> {
    /// The use of the app, or their whole account.
    User(&'a User),
    /// A group is gone.
    Group(&'a Group),
    /// To belong to a group.
    Membership(GroupId, &'a Membership),
}

/// What is lost by a change, in the order in which it is told.
pub fn losses(change: &Change) -> Vec<Loss<'_>> {
    match change {
        Change::User(change) => {
            let lost = change.before().filter(|before| match change.after() {
                Some(after) => before.is_active() && !after.is_active(),
                None => true,
            });
            lost.map(Loss::User).into_iter().collect()
        }
        Change::Group(change) => {
            let id = change.id();
            let removed = change.removed().iter().map(|it| Loss::Membership(id, it));
            let gone = change.before().filter(|_| change.after().is_none()).map(Loss::Group);
            removed.chain(gone).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether a change is of people, and so waits while a directory is held. Roles wait with what they
/// follow from, and so do those that follow from a mapping: nobody is to lose one by what the app has not
/// heard of. What is told of the directory itself, its mapping and its credentials never waits, nor does
/// a notice, which is for those who run things, nor that a person is erased, which is not to wait.
pub fn waits(change: &Change) -> bool {
    match change {
        Change::User(_) | Change::Group(_) | Change::Roles(_) => true,
        Change::Directory(_)
        | Change::Token(_)
        | Change::Schema(_)
        | Change::Client(_)
        | Change::RoleState(_)
        | Change::Erasure(_)
        | Change::Notice(_) => false,
    }
}

/// A user as an app has heard of them, or as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToldUser<'a> {
    /// The attributes, as one JSON object.
    pub text: &'a str,
    /// Whether the person may use the app.
    pub is_active: bool,
}

/// What leads an app from what it has heard of a user to what is so; nothing where that is the same.
pub fn between_users(
    id: UserId,
    told: Option<ToldUser<'_>>,
    now: Option<ToldUser<'_>>,
    previous: Option<&str>,
) -> Option<Draft> {
    let text = |it: ToldUser<'_>| event::kept_user(id, it.text, it.is_active);
    match (told, now) {
        (None, None) => None,
        (None, Some(now)) => {
            let former = previous.and_then(ResourceId::parse);
            let previous = previous.map(|id| format!(",\"previous_user_id\":\"{id}\""));
            let previous = previous.unwrap_or_default();
            let data = format!("{{\"user\":{}{previous}}}", text(now));
            let mut created = Draft::new(EventKind::UserCreated, data).of(id);
            created.about.other = former;
            Some(created)
        }
        (Some(told), None) => {
            Some(Draft::new(EventKind::UserDeleted, format!("{{\"user\":{}}}", text(told))).of(id))
        }
        (Some(told), Some(now)) => {
            let (before, after) = (text(told), text(now));
            let changes = event::compared(&object(&before), &object(&after));
            let is_same = changes.as_object().is_some_and(Map::is_empty);
            let kind = match (told.is_active, now.is_active) {
                (true, false) => EventKind::UserDeactivated,
                (false, true) => EventKind::UserReactivated,
                _ if is_same => return None,
                _ => EventKind::UserUpdated,
            };
            let data = format!("{{\"user\":{after},\"changes\":{changes}}}");
            Some(Draft::new(kind, data).of(id))
        }
    }
}

/// The same of a group, of its attributes as JSON.
pub fn between_groups(id: GroupId, told: Option<&str>, now: Option<&str>) -> Option<Draft> {
    let text = |it: &str| event::kept_group(id, it);
    match (told, now) {
        (None, None) => None,
        (None, Some(now)) => {
            Some(Draft::new(EventKind::GroupCreated, format!("{{\"group\":{}}}", text(now))).of(id))
        }
        (Some(told), None) => Some(
            Draft::new(EventKind::GroupDeleted, format!("{{\"group\":{}}}", text(told))).of(id),
        ),
        (Some(told), Some(now)) => {
            let changes = event::compared(&object(told), &object(now));
            if changes.as_object().is_some_and(Map::is_empty) {
                return None;
            }
            let data = format!("{{\"group\":{},\"changes\":{changes}}}", text(now));
            Some(Draft::new(EventKind::GroupUpdated, data).of(id))
        }
    }
}

/// That somebody belongs to a group of this name now, or does not any more.
pub fn of_membership(group: GroupId, name: &str, member: &Membership, is_member: bool) -> Draft {
    let kind = if is_member { EventKind::GroupMemberAdded } else { EventKind::GroupMemberRemoved };
    let text = format!("{{\"id\":\"{group}\",\"displayName\":{}}}", Value::from(name));
    let mut draft = Draft::new(kind, event::member_text(&text, member)).of(group);
    draft.about.other = Some(member.id);
    draft
}

/// The cause of something that waited, as JSON: whoever asked for it, and that it was let out by this.
/// Where it follows from something nearer, that stays.
pub fn cause_of_let_out(cause: &str, kind: EventKind, of: &str) -> String {
    let mut cause = object(cause);
    let follows_from = cause.entry("follows_from").or_insert(Value::Null);
    if follows_from.is_null() {
        *follows_from = json!({ "type": kind.as_str(), "id": of });
    }
    Value::Object(cause).to_string()
}

/// What was kept is a JSON object.
fn object(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).unwrap_or_default()
}

/// A user by the name by which their provider knows them.
pub fn user_name(text: &str) -> String {
    object(text).get("userName").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A group by its name.
pub fn group_name(text: &str) -> String {
    object(text).get("displayName").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Something that the provider has to bring back after a hold was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Who, or what belonged to the group.
    pub member_id: ResourceId,
    /// The name by which the provider knows them.
    pub member_name: String,
    /// From which group, with its name; from the app itself, where there is none.
    pub group: Option<(GroupId, String)>,
}

impl fmt::Display for HoldKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANA: ToldUser<'_> =
        ToldUser { text: r#"{"userName":"ana","active":true}"#, is_active: true };
    const ANA_OUT: ToldUser<'_> =
        ToldUser { text: r#"{"userName":"ana","active":false}"#, is_active: false };
    const ANA_B: ToldUser<'_> =
        ToldUser { text: r#"{"userName":"ana","title":"B","active":true}"#, is_active: true };

    #[test]
    fn what_is_told_leads_from_what_was_heard_to_what_is() {
        let id = ResourceId::parse("01a200a6-7297-77ad-826f-0c7a318eb058").expect("an id");
        let check = |told, now, expected: Option<EventKind>| {
            let draft = between_users(id, told, now, None);
            assert_eq!(draft.map(|it| it.kind), expected, "{told:?} {now:?}");
        };
        check(None, None, None);
        check(None, Some(ANA), Some(EventKind::UserCreated));
        check(Some(ANA), Some(ANA), None);
        check(Some(ANA), Some(ANA_B), Some(EventKind::UserUpdated));
        check(Some(ANA), Some(ANA_OUT), Some(EventKind::UserDeactivated));
        check(Some(ANA_OUT), Some(ANA_B), Some(EventKind::UserReactivated));
        check(Some(ANA), None, Some(EventKind::UserDeleted));
    }

    #[test]
    fn more_than_the_larger_of_people_and_per_cent_is_too_many() {
        let brake = Brake { people: 10, percent: 5, ..Brake::default() };
        for (active, expected) in [(0, 10), (199, 10), (220, 11), (1_000_000, 50_000)] {
            assert_eq!(brake.people_max(active), expected, "{active}");
        }
    }

    #[test]
    fn a_brake_as_it_was_is_not_written_down() {
        assert!(Brake::default().is_default());
        assert!(
            !BrakeEdit { on: Some(false), ..BrakeEdit::default() }
                .apply(Brake::default())
                .is_default()
        );
    }
}
