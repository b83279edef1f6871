//! Users, and what may be done with them.

use std::sync::Arc;

use jiff::Timestamp;
use scim::dialect::Quirks;
use scim::patch::Patch;
use scim::{Resource, ResourceType};

use crate::aside::{Aside, adopt, fitting};
use crate::cause::{Consequence, Of};
use crate::change::{Change, GroupChange, UserChange};
use crate::decide::{Decide, Decision, Moment, Stop};
use crate::event::EventKind;
use crate::facts::{Facts, Taken, together};
use crate::guards::admit;
use crate::id::UserId;
use crate::notice::{Notice, Outsider};
use crate::organization::{AfterDisconnect, Disconnected};
use crate::rejection::Rejection;

/// A user of a directory, active or not. Who was deleted is not one.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// The id, never reused.
    pub id: UserId,
    /// What the provider says of the person.
    pub document: Document,
    /// The last word about whether the person may use the app. A provider may take the attribute
    /// away, and with it only the word: see [`User::is_active`].
    pub active: bool,
    /// One more with each change; 1 for a new user.
    pub version: u64,
    /// When the user was created.
    pub created_at: Timestamp,
    /// When the user last changed.
    pub modified_at: Timestamp,
    /// What else the provider says, of which no schema knows.
    pub aside: Aside,
}

/// A user, and what of the request could be understood only with them at hand.
#[derive(Clone, Debug, PartialEq)]
pub struct UserOutcome {
    /// As they are now.
    pub user: User,
    /// What was straightened while the patch was applied.
    pub quirks: Quirks,
}

/// A resource together with its text, printed once: it is kept, answered and told in events.
#[derive(Clone, Debug)]
pub struct Document {
    resource: Arc<Resource>,
    text: Arc<str>,
}

impl Document {
    /// Prints the resource.
    pub fn new(resource: Resource) -> Document {
        let text = resource.to_text().into();
        Document { resource: Arc::new(resource), text }
    }

    /// Reads what was printed; `None` if the text is damaged.
    pub fn from_text(text: &str) -> Option<Document> {
        Some(Document { resource: Arc::new(Resource::from_text(text)?), text: text.into() })
    }

    /// The resource.
    pub fn resource(&self) -> &Resource {
        &self.resource
    }

    /// The resource as JSON.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it says of whether the person may use the app; `None` where it says nothing.
    pub fn says_active(&self) -> Option<bool> {
        self.resource.flag("active")
    }
}

impl PartialEq for Document {
    fn eq(&self, other: &Document) -> bool {
        self.text == other.text || self.resource == other.resource
    }
}

impl User {
    /// The name that the provider knows the person by.
    pub fn user_name(&self) -> &str {
        self.document.resource().text("userName").expect("admission refuses a user without one")
    }

    /// The name as it is compared.
    pub fn name_key(&self) -> String {
        scim::text::fold(self.user_name()).into_owned()
    }

    /// The provider's own identifier.
    pub fn external_id(&self) -> Option<&str> {
        self.document.resource().text("externalId")
    }

    /// Whether the person may use the app. A provider that never said so means yes.
    ///
    /// RFC 7644 §3.5.2.2 lets a client remove `active`, which "SHALL be considered unassigned"
    /// then; what that means is ours to say (RFC 7643 §4.1.1). To take the word away is not to say
    /// yes: who may not use the app is let in again by `active: true` and by nothing else.
    pub fn is_active(&self) -> bool {
        self.active
    }

    fn with(&self, document: Document, now: Timestamp) -> User {
        let active = document.says_active().unwrap_or(self.active);
        User { document, active, version: self.version + 1, modified_at: now, ..self.clone() }
    }
}

/// Somebody joins.
#[derive(Clone, Debug)]
pub struct CreateUser {
    /// What the provider says of the person.
    pub document: Document,
    /// What else it says, of which no schema knows.
    pub aside: Aside,
}

impl CreateUser {
    /// What a POST asks for, as admitted: the person may use the app unless the provider says
    /// otherwise.
    pub fn new(resource: Resource, resource_type: &ResourceType) -> CreateUser {
        let document = Document::new(resource.beginning(resource_type));
        CreateUser { document, aside: Aside::default() }
    }

    /// The same for a client that overrides the default of `active` by null.
    ///
    /// RFC 7644 §3.3: "Clients that intend to override existing or server-defaulted values for
    /// attributes MAY specify \"null\"". The attribute is unassigned then, as after it was removed;
    /// the person may use the app, as whoever was never said to be inactive: see
    /// [`User::is_active`]. To shut out whom a client sends without a value, as some do with all
    /// attributes that they have no value of, would lock out those who are to begin.
    pub fn without_default(resource: Resource) -> CreateUser {
        CreateUser { document: Document::new(resource), aside: Aside::default() }
    }

    /// The same with what is to be kept beside the user.
    #[must_use]
    pub fn with_aside(self, aside: Aside) -> CreateUser {
        CreateUser { aside, ..self }
    }
}

impl Decide for CreateUser {
    type Answer = User;

    fn decide(&self, facts: &Facts, moment: &Moment<'_>) -> Result<Decision<User>, Stop> {
        let user = User {
            id: UserId::new(moment.ids),
            document: self.document.clone(),
            active: self.document.says_active().unwrap_or(true),
            version: 1,
            created_at: moment.now,
            modified_at: moment.now,
            aside: fitting(facts, &Aside::default(), self.aside.clone())?,
        };
        let key = user.name_key();
        if facts.user_name(&key, None)? == Taken::ByAnother {
            return Err(Rejection::UserNameTaken.into());
        }
        facts.directory()?.room_for_a_user()?;
        let previous = facts.former_user(&key, user.external_id())?;
        let notice = admit(facts, None, &user)?.map(Change::Notice);
        let change = Change::User(UserChange::created(user.clone(), previous));
        Ok(Decision { changes: [change].into_iter().chain(notice).collect(), answer: user })
    }
}

/// The provider says the whole of what it knows of a person.
#[derive(Clone, Debug)]
pub struct ReplaceUser {
    /// Whom.
    pub id: UserId,
    /// What the provider says, as [`scim::admit::admit_replacement`] reads it.
    pub resource: Resource,
    /// What else it says, of which no schema knows.
    pub aside: Aside,
    /// Whether it says anything of `externalId`. Where it does not, that stays.
    pub external_id_given: bool,
    /// What a user of this directory is made of.
    pub resource_type: Arc<ResourceType>,
}

impl Decide for ReplaceUser {
    type Answer = User;

    fn decide(&self, facts: &Facts, moment: &Moment<'_>) -> Result<Decision<User>, Stop> {
        let before = facts.existing_user(self.id)?;
        let resource = self.resource.clone();
        resource.check_required(before.document.resource(), &self.resource_type)?;
        resource.check_fixed(before.document.resource(), &self.resource_type)?;
        let mut after = resource.keeping(before.document.resource(), &self.resource_type);
        if !self.external_id_given {
            after = after.keeping_external_id(before.document.resource(), &self.resource_type);
        }
        update(facts, moment, before, after, self.aside.clone())
    }
}

/// The provider says what changes about a person.
#[derive(Clone, Debug)]
pub struct PatchUser {
    /// Whom.
    pub id: UserId,
    /// What changes.
    pub patch: Patch,
    /// What a user of this directory is made of.
    pub resource_type: Arc<ResourceType>,
}

impl Decide for PatchUser {
    type Answer = UserOutcome;

    fn decide(&self, facts: &Facts, moment: &Moment<'_>) -> Result<Decision<UserOutcome>, Stop> {
        let before = facts.existing_user(self.id)?;
        // What became known since it was sent is a value before it is patched. What does not fit stays
        // where it is, unless the patch says it anew: then it is older, and would come back later.
        let adopted = adopt(before, &self.resource_type);
        let (resource, aside) = match &adopted {
            Some((late, left)) => {
                let is_older = |path: &&String| self.patch.aims_at(path, &self.resource_type);
                (&late.resource, left.without(late.unfit.iter().filter(is_older)))
            }
            None => (before.document.resource(), before.aside.clone()),
        };
        let aside = aside.with(self.patch.unknown());
        let mut quirks = Quirks::new();
        let after = self.patch.apply_noting(resource, &self.resource_type, &mut quirks)?;
        let Decision { changes, answer: user } = update(facts, moment, before, after, aside)?;
        Ok(Decision { changes, answer: UserOutcome { user, quirks } })
    }
}

/// What is kept beside the user may change without the user: then there is no new version.
pub(crate) fn update(
    facts: &Facts,
    moment: &Moment<'_>,
    before: &User,
    resource: Resource,
    aside: Aside,
) -> Result<Decision<User>, Stop> {
    let aside = fitting(facts, &before.aside, aside)?;
    if resource == *before.document.resource() {
        if aside == before.aside {
            return Ok(Decision::nothing(before.clone()));
        }
        let after = User { aside, ..before.clone() };
        let change = Change::User(UserChange::updated(before.clone(), after.clone()));
        return Ok(Decision { changes: vec![change], answer: after });
    }
    let after = User { aside, ..before.with(Document::new(resource), moment.now) };
    let key = after.name_key();
    if key != before.name_key() && facts.user_name(&key, Some(before.id))? == Taken::ByAnother {
        return Err(Rejection::UserNameTaken.into());
    }
    let notice = admit(facts, Some(before), &after)?.map(Change::Notice);
    let change = Change::User(UserChange::updated(before.clone(), after.clone()));
    Ok(Decision { changes: [change].into_iter().chain(notice).collect(), answer: after })
}

/// Somebody whose provider speaks for them no more loses their access. Where they have none, nothing is to
/// be done.
#[derive(Clone, Debug)]
pub struct DeactivateUser {
    /// Whom.
    pub id: UserId,
}

impl Decide for DeactivateUser {
    type Answer = ();

    const IS_READ_BY_SCHEMAS: bool = false;

    fn decide(&self, facts: &Facts, moment: &Moment<'_>) -> Result<Decision<()>, Stop> {
        // Whom somebody has connected again meanwhile keeps what they have.
        let is_meant = |it: Disconnected| it.people == AfterDisconnect::Deactivate;
        if !facts.directory()?.directory.disconnected.is_some_and(is_meant) {
            return Ok(Decision::nothing(()));
        }
        let before = facts.existing_user(self.id)?;
        if !before.is_active() {
            return Ok(Decision::nothing(()));
        }
        let resource = before.document.resource().clone().deactivated();
        let decided = update(facts, moment, before, resource, before.aside.clone())?;
        Ok(Decision { changes: decided.changes, answer: () })
    }
}

/// The provider wants the person gone, which is more than deactivated: the id is not found any
/// more and the name is free again.
#[derive(Clone, Debug)]
pub struct DeleteUser {
    /// Whom.
    pub id: UserId,
}

impl Decide for DeleteUser {
    type Answer = ();

    const IS_READ_BY_SCHEMAS: bool = false;

    fn decide(&self, facts: &Facts, moment: &Moment<'_>) -> Result<Decision<()>, Stop> {
        let before = facts.existing_user(self.id)?.clone();
        let mut changes = leave_groups(facts, moment, self.id, EventKind::UserDeleted)?;
        changes.push(Change::User(UserChange::deleted(before)));
        if facts.guards().is_some() && facts.is_outsider(self.id)? {
            let nowhere = Outsider { user_id: self.id, domains: Vec::new() };
            changes.push(Change::Notice(Notice::Outsider(nowhere)));
        }
        Ok(Decision { changes, answer: () })
    }
}

/// Takes somebody out of every group who is deleted, so that no group has a member that nobody can
/// find.
pub(crate) fn leave_groups(
    facts: &Facts,
    moment: &Moment<'_>,
    member: UserId,
    deleted: EventKind,
) -> Result<Vec<Change>, Stop> {
    let ids = facts.groups_of(member)?;
    let groups = together(ids.iter().map(|id| facts.group(*id)))?;
    let memberships = together(ids.iter().map(|id| facts.members_among(*id, &[member])))?;
    let mut changes = Vec::new();
    for (before, memberships) in groups.into_iter().zip(memberships) {
        let Some(before) = before else { continue };
        let removed: Vec<_> = memberships.into_iter().cloned().collect();
        let after = before.with_members(&[], &removed, moment.now);
        let change = GroupChange::updated(before.clone(), after, Vec::new(), removed);
        let follows_from = Consequence { kind: deleted, of: Of::Resource(member) };
        changes.push(Change::Group(change.following(follows_from)));
    }
    Ok(changes)
}
