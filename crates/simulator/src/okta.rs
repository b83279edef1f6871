//! Okta as a SCIM client: a patient, deterministic state machine.
//!
//! It has people, groups, assignments and pushes of its own, does what its admin does, and says
//! which request it would send next; whoever drives it brings the answer back. It carries nothing
//! itself, reads no clock and rolls no dice: the same seed and the same answers give the same
//! requests.
//!
//! One request is under way at a time. A real Okta works on several people at once; nobody outside
//! knows how many.

mod accept;
mod body;
mod judge;
mod plan;
mod settings;
pub mod story;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde_json::{Map, Value};

pub use body::{Attributes, Field};
pub use settings::{
    Credentials, EmptyPage, EmptyValue, FullPushForm, Options, PageAdvance, PasswordAlphabet,
    PostMembers, Preset, Profile, Reading, Settings, SpaceEncoding,
};

use crate::chance::{BASE_62, Chance, SYMBOLS};
use crate::report::{Exchange, Finding, Rule, Verdict};
use crate::wire::{NoAnswer, Request, Response};
use judge::{Failure, Judge};
use plan::Call;

/// Times that a request is sent again after 429; then an admin has to look.
const ATTEMPTS_MAX: u32 = 10;

/// The wait after a 429 that does not say how long.
const WAIT_DEFAULT: Duration = Duration::from_mins(5);

/// The longest wait that doubling leads to; it only keeps the arithmetic finite.
const WAIT_MAX: Duration = Duration::from_hours(1_000);

/// Times that a group push is sent again after a failure that may pass.
const GROUP_ATTEMPTS_MAX: u32 = 5;

/// Names a person of one [`Okta`]; of no use with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonKey(usize);

/// Names a group of one [`Okta`]; of no use with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey(usize);

/// What an admin does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Types other credentials. Sends nothing.
    EnterCredentials(Credentials),
    /// Presses *Test API Credentials*.
    TestCredentials,
    /// Saves the *To App* settings.
    SaveToApp,
    /// Assigns a person to the app.
    Assign(PersonKey),
    /// Assigns a group to the app: each of its people is assigned.
    AssignGroup(GroupKey),
    /// Takes the assignment away.
    Unassign(PersonKey),
    /// Edits a profile: each field gets a value, or none.
    Update(PersonKey, Vec<(Field, Option<String>)>),
    /// Suspends a person. Sends nothing.
    Suspend(PersonKey),
    /// Deactivates a person in Okta, which takes the assignment away.
    Deactivate(PersonKey),
    /// Activates a person in Okta. Sends nothing: the person has to be assigned again.
    Activate(PersonKey),
    /// Sets a password, where passwords are synced.
    SyncPassword(PersonKey),
    /// Pushes a group, found by its name.
    PushGroup {
        /// The group.
        group: GroupKey,
        /// Whether *Push group memberships immediately* is ticked.
        memberships: bool,
    },
    /// Refreshes the app's groups and links one of the same name.
    LinkGroup(GroupKey),
    /// Presses *Push now*: all members are written.
    PushNow(GroupKey),
    /// Renames a group.
    RenameGroup(GroupKey, String),
    /// Changes a group's people.
    ChangeMembers {
        /// The group.
        group: GroupKey,
        /// Who comes.
        add: Vec<PersonKey>,
        /// Who goes.
        remove: Vec<PersonKey>,
    },
    /// Deactivates the push of a group. Sends nothing.
    DeactivatePush(GroupKey),
    /// Activates it again, which pushes the memberships.
    ActivatePush(GroupKey),
    /// Ends the push of a group.
    UnlinkGroup(GroupKey, Unlink),
    /// Presses *Import Now*.
    Import,
    /// Presses *Retry Selected* for everything that failed.
    Retry,
}

/// What becomes of the group in the app when its push ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlink {
    /// It is deleted.
    Delete,
    /// It stays as it is. Sends nothing.
    Leave,
}

/// What Okta has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Task {
    TestCredentials,
    Provision(PersonKey),
    PushProfile(PersonKey),
    Deactivate(PersonKey),
    Delete(PersonKey),
    Password(PersonKey),
    PushGroup { group: GroupKey, memberships: bool },
    LinkGroup(GroupKey),
    Members(GroupKey),
    PushNow(GroupKey),
    Rename(GroupKey),
    DeleteGroup(GroupKey),
    Import,
}

impl Task {
    fn is_group_push(&self) -> bool {
        matches!(
            self,
            Task::PushGroup { .. }
                | Task::LinkGroup(_)
                | Task::Members(_)
                | Task::PushNow(_)
                | Task::Rename(_)
                | Task::DeleteGroup(_)
        )
    }
}

/// A task under way.
#[derive(Clone, Debug)]
struct Job {
    task: Task,
    /// When it may go on, on the virtual clock.
    due: Duration,
    /// The calls still to make; `None` until it starts, because what is to do depends on what
    /// the tasks before it left.
    calls: Option<VecDeque<Call>>,
    /// What the last GET answered, for the PUT that follows.
    read: Option<Map<String, Value>>,
    /// Failures in a row of the present call.
    attempts: u32,
    /// The last wait; the next is twice as long.
    wait: Option<Duration>,
    users: Rows,
    groups: Rows,
}

/// What a walk through the pages of a list gave.
#[derive(Clone, Debug, Default)]
struct Rows {
    by_id: BTreeMap<String, Value>,
    received: u64,
    pages: usize,
}

#[derive(Clone, Debug)]
struct Person {
    okta_id: String,
    attributes: Attributes,
    password: String,
    account: Account,
}

/// The link of a person to the app.
#[derive(Clone, Debug, Default)]
struct Account {
    state: AccountState,
    /// The server's id, which is used for everything.
    external_id: Option<String>,
    /// The server's id when the person was assigned before. Okta does not use it; it finds the
    /// person again by name.
    former_id: Option<String>,
    /// What was last written with success.
    pushed: Option<Attributes>,
    /// The state that was last written with success.
    active: Option<bool>,
}

/// How somebody stands with the app, as Okta's list of assignments shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccountState {
    /// Never assigned.
    #[default]
    None,
    /// Assigned, and not in the app yet.
    Pending,
    /// Assigned, and in the app.
    Active,
    /// Not assigned any more.
    Unassigned,
    /// Assigned, and what was to be done failed.
    Error,
}

#[derive(Clone, Debug)]
struct Group {
    name: String,
    members: BTreeSet<PersonKey>,
    is_assigned: bool,
    push: Push,
}

/// The link of a group to one in the app.
#[derive(Clone, Debug, Default)]
struct Push {
    state: PushState,
    id: Option<String>,
    name: Option<String>,
    /// Who was written as a member with success.
    members: BTreeSet<PersonKey>,
    /// Whether the group was there before and may have members whom Okta did not write.
    has_others: bool,
}

/// How a group stands with the app, as Okta's list of pushed groups shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PushState {
    /// Not pushed.
    #[default]
    None,
    /// Pushed: what changes is written.
    Active,
    /// Pushed once, and not now.
    Inactive,
    /// What was to be written failed.
    Error,
}

/// A failure that waits for an admin.
#[derive(Clone, Debug)]
struct Failed {
    task: Task,
    text: String,
    status: Option<u16>,
}

/// What Okta believes to be on the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expectation {
    /// Users by the server's id.
    pub users: BTreeMap<String, ExpectedUser>,
    /// Groups by the server's id.
    pub groups: BTreeMap<String, ExpectedGroup>,
    /// Groups that Okta deleted, by the server's id.
    pub deleted_groups: BTreeSet<String>,
    /// Users that Okta deleted, by the server's id.
    pub deleted_users: BTreeSet<String>,
}

/// A user as Okta believes it to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedUser {
    /// `userName`.
    pub user_name: String,
    /// Whether the person has access.
    pub active: bool,
    /// All attributes as they were last written.
    pub attributes: Attributes,
}

/// A group as Okta believes it to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedGroup {
    /// `displayName`.
    pub display_name: String,
    /// The server's ids of its members.
    pub members: BTreeSet<String>,
    /// Whether there may be more: members from before Okta was linked to the group.
    pub may_have_others: bool,
}

/// The state machine. See the [module](self).
#[derive(Clone, Debug)]
pub struct Okta {
    settings: Settings,
    chance: Chance,
    people: Vec<Person>,
    groups: Vec<Group>,
    clock: Duration,
    queue: VecDeque<Job>,
    current: Option<(Job, Request)>,
    sent: u32,
    exchanges: Vec<Exchange>,
    failed: Vec<Failed>,
    texts: Vec<String>,
    notes: Vec<String>,
    deleted_groups: BTreeSet<String>,
    deleted_users: BTreeSet<String>,
    /// Groups that were pushed and then left on the server.
    left_groups: BTreeMap<String, ExpectedGroup>,
}

impl Okta {
    /// An Okta with one app, and nobody in it.
    pub fn new(settings: Settings) -> Okta {
        let chance = Chance::new(settings.options.seed);
        Okta {
            settings,
            chance,
            people: Vec::new(),
            groups: Vec::new(),
            clock: Duration::ZERO,
            queue: VecDeque::new(),
            current: None,
            sent: 0,
            exchanges: Vec::new(),
            failed: Vec::new(),
            texts: Vec::new(),
            notes: Vec::new(),
            deleted_groups: BTreeSet::new(),
            deleted_users: BTreeSet::new(),
            left_groups: BTreeMap::new(),
        }
    }

    /// The app as it was set up.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A person joins Okta. Nothing is sent: nobody is assigned to the app yet.
    pub fn add_person(&mut self, attributes: Attributes) -> PersonKey {
        let okta_id = self.okta_id();
        let password = self.password();
        self.people.push(Person { okta_id, attributes, password, account: Account::default() });
        PersonKey(self.people.len() - 1)
    }

    /// A group is made in Okta. Nothing is sent.
    pub fn add_group(
        &mut self,
        name: impl Into<String>,
        members: impl IntoIterator<Item = PersonKey>,
    ) -> GroupKey {
        self.groups.push(Group {
            name: name.into(),
            members: members.into_iter().collect(),
            is_assigned: false,
            push: Push::default(),
        });
        GroupKey(self.groups.len() - 1)
    }

    /// What Okta knows of a person.
    pub fn attributes(&self, person: PersonKey) -> &Attributes {
        &self.person(person).attributes
    }

    /// How a person stands with the app.
    pub fn account(&self, person: PersonKey) -> AccountState {
        self.person(person).account.state
    }

    /// The server's id of a person who is in the app, or was.
    pub fn id_in_app(&self, person: PersonKey) -> Option<&str> {
        let account = &self.person(person).account;
        account.external_id.as_deref().or(account.former_id.as_deref())
    }

    /// The name of a group, as it is in Okta.
    pub fn group_name(&self, group: GroupKey) -> &str {
        &self.group(group).name
    }

    /// The people of a group, as they are in Okta.
    pub fn members(&self, group: GroupKey) -> &BTreeSet<PersonKey> {
        &self.group(group).members
    }

    /// Whether a group is assigned to the app: its people are assigned with it.
    pub fn is_assigned(&self, group: GroupKey) -> bool {
        self.group(group).is_assigned
    }

    /// How a group stands with the app.
    pub fn push(&self, group: GroupKey) -> PushState {
        self.group(group).push.state
    }

    /// The admin does something. What follows from it waits to be sent.
    pub fn perform(&mut self, action: &Action) {
        match action {
            Action::EnterCredentials(credentials) => {
                self.settings.credentials = credentials.clone();
            }
            Action::TestCredentials | Action::SaveToApp => self.enqueue(Task::TestCredentials),
            Action::Assign(person) => self.assign(*person),
            Action::AssignGroup(group) => {
                self.group_mut(*group).is_assigned = true;
                for person in self.group(*group).members.clone() {
                    self.assign(person);
                }
            }
            Action::Unassign(person) | Action::Deactivate(person) => self.unassign(*person),
            Action::Update(person, edits) => {
                let attributes = &mut self.person_mut(*person).attributes;
                for (field, value) in edits {
                    match value {
                        Some(value) => attributes.insert(*field, value.clone()),
                        None => attributes.remove(field),
                    };
                }
                if self.person(*person).account.external_id.is_some() {
                    self.enqueue(Task::PushProfile(*person));
                }
            }
            // Documented: neither sends anything. An activated person is assigned again by hand.
            Action::Suspend(_) | Action::Activate(_) => {}
            Action::SyncPassword(person) => {
                let password = self.password();
                self.person_mut(*person).password = password;
                self.enqueue(Task::Password(*person));
            }
            Action::PushGroup { group, memberships } => {
                self.enqueue(Task::PushGroup { group: *group, memberships: *memberships });
            }
            Action::LinkGroup(group) => self.enqueue(Task::LinkGroup(*group)),
            Action::PushNow(group) => self.enqueue(Task::PushNow(*group)),
            Action::RenameGroup(group, name) => {
                self.group_mut(*group).name.clone_from(name);
                if self.group(*group).push.state == PushState::Active {
                    self.enqueue(Task::Rename(*group));
                }
            }
            Action::ChangeMembers { group, add, remove } => {
                self.change_members(*group, add, remove);
            }
            Action::DeactivatePush(group) => {
                self.group_mut(*group).push.state = PushState::Inactive;
            }
            Action::ActivatePush(group) => {
                self.group_mut(*group).push.state = PushState::Active;
                self.enqueue(Task::Members(*group));
            }
            Action::UnlinkGroup(group, Unlink::Delete) => {
                self.enqueue(Task::DeleteGroup(*group));
            }
            Action::UnlinkGroup(group, Unlink::Leave) => {
                if let Some((id, expected)) = self.expected_group(*group) {
                    self.left_groups.insert(id, expected);
                }
                self.group_mut(*group).push = Push::default();
            }
            Action::Import => self.enqueue(Task::Import),
            Action::Retry => {
                for failed in std::mem::take(&mut self.failed) {
                    self.enqueue(failed.task);
                }
            }
        }
    }

    /// The request that Okta sends next; the same one until [`Okta::receive`]. Nothing when all
    /// is done. Moves the virtual clock to when it is due.
    pub fn next_request(&mut self) -> Option<Request> {
        if let Some((_, request)) = &self.current {
            return Some(request.clone());
        }
        loop {
            // The earliest one; of several, the one that came first.
            let place = (0..self.queue.len()).min_by_key(|place| self.queue[*place].due)?;
            let mut job = self.queue.remove(place).expect("the place was just found");
            self.clock = self.clock.max(job.due);
            let calls = match job.calls.take() {
                Some(calls) => calls,
                None => self.plan(&job.task),
            };
            if let Some(request) = calls.front().and_then(|call| self.request(&job, call)) {
                job.calls = Some(calls);
                self.current = Some((job, request.clone()));
                return Some(request);
            }
            self.finish(&job.task);
        }
    }

    /// How long Okta waits before [`Okta::next_request`], because it was told to come back later.
    pub fn pause(&self) -> Duration {
        match self.queue.iter().min_by_key(|job| job.due) {
            Some(job) if self.current.is_none() && job.attempts > 0 => {
                job.due.saturating_sub(self.clock)
            }
            _ => Duration::ZERO,
        }
    }

    /// Takes the answer to the request of [`Okta::next_request`]. Without one, it does nothing.
    pub fn receive(&mut self, answer: Result<Response, NoAnswer>) {
        let Some((mut job, request)) = self.current.take() else { return };
        if let Ok(response) = &answer {
            self.clock = self.clock.saturating_add(response.elapsed);
        }
        let mut calls = job.calls.take().unwrap_or_default();
        let Some(call) = calls.pop_front() else { return };
        let options = self.settings.options.clone();
        let mut judge = Judge::new(&request, &options);
        let accepted = self.accept(&mut judge, &mut job, &mut calls, &call, &answer);
        let findings = judge.findings;
        let verdict = match accepted {
            Ok(()) => {
                job.attempts = 0;
                job.wait = None;
                if calls.is_empty() {
                    self.finish(&job.task);
                } else {
                    job.calls = Some(calls);
                    // First in the queue, and due when it was: a task is finished before the next
                    // one starts, however long the answers take.
                    self.queue.push_front(job);
                }
                Verdict::Accepted
            }
            Err(failure) => {
                calls.push_front(call.clone());
                job.calls = Some(calls);
                self.repeat_or_give_up(job, &call, &failure)
            }
        };
        self.sent = self.sent.saturating_add(1);
        let number = self.sent;
        self.exchanges.push(Exchange { number, request, answer, verdict, findings });
    }

    /// What happened since this was last asked.
    pub fn take_exchanges(&mut self) -> Vec<Exchange> {
        std::mem::take(&mut self.exchanges)
    }

    /// What the admin was shown since this was last asked.
    pub fn take_texts(&mut self) -> Vec<String> {
        std::mem::take(&mut self.texts)
    }

    /// What Okta counted or left out since this was last asked.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// The statuses of the failures that wait for an admin.
    pub fn failures(&self) -> impl Iterator<Item = Option<u16>> + '_ {
        self.failed.iter().map(|failed| failed.status)
    }

    /// How long it took, on the virtual clock.
    pub fn clock(&self) -> Duration {
        self.clock
    }

    /// What Okta believes to be on the server: what a test compares the server with.
    pub fn expectation(&self) -> Expectation {
        let mut expectation = Expectation {
            groups: self.left_groups.clone(),
            deleted_groups: self.deleted_groups.clone(),
            deleted_users: self.deleted_users.clone(),
            ..Expectation::default()
        };
        for Person { account, .. } in &self.people {
            let id = account.external_id.as_ref().or(account.former_id.as_ref());
            if let (Some(id), Some(attributes)) = (id, &account.pushed)
                && !self.deleted_users.contains(id)
            {
                let user = ExpectedUser {
                    user_name: attributes.get(&Field::UserName).cloned().unwrap_or_default(),
                    active: account.active == Some(true),
                    attributes: attributes.clone(),
                };
                expectation.users.insert(id.clone(), user);
            }
        }
        for place in 0..self.groups.len() {
            if let Some((id, group)) = self.expected_group(GroupKey(place)) {
                expectation.groups.insert(id, group);
            }
        }
        expectation
    }

    /// What can be said about the settings before anything is sent.
    pub fn check_settings(&self) -> Vec<Finding> {
        let url = &self.settings.base_url;
        let mut findings = Vec::new();
        if url.contains('_') {
            findings.push(Finding {
                rule: Rule::BaseUrl,
                text: format!(
                    "the base URL `{url}` contains `_`, which Okta refuses. Use hyphens instead"
                ),
            });
        } else if url.len() > BASE_URL_BYTES_MAX {
            findings.push(Finding {
                rule: Rule::BaseUrl,
                text: format!(
                    "the base URL is longer than {BASE_URL_BYTES_MAX} characters, which is all \
                     that Okta has room for"
                ),
            });
        }
        findings
    }

    fn person(&self, key: PersonKey) -> &Person {
        &self.people[key.0]
    }

    fn person_mut(&mut self, key: PersonKey) -> &mut Person {
        &mut self.people[key.0]
    }

    fn group(&self, key: GroupKey) -> &Group {
        &self.groups[key.0]
    }

    fn group_mut(&mut self, key: GroupKey) -> &mut Group {
        &mut self.groups[key.0]
    }

    /// `00u` and 17 letters and digits. Groups and apps have ids too; they are never sent.
    fn okta_id(&mut self) -> String {
        format!("00u{}", self.chance.text(17, BASE_62))
    }

    fn password(&mut self) -> String {
        let alphabet = match self.settings.options.password_alphabet {
            PasswordAlphabet::LettersAndDigits => BASE_62,
            PasswordAlphabet::WithSymbols => SYMBOLS,
        };
        self.chance.text(8, alphabet)
    }

    fn enqueue(&mut self, task: Task) {
        // A newer task about the same takes the place of one that failed.
        self.failed.retain(|failed| failed.task != task);
        let due = self.clock.saturating_add(self.settings.options.latency);
        self.queue.push_back(Job {
            task,
            due,
            calls: None,
            read: None,
            attempts: 0,
            wait: None,
            users: Rows::default(),
            groups: Rows::default(),
        });
    }

    fn assign(&mut self, key: PersonKey) {
        let account = &mut self.person_mut(key).account;
        if account.state != AccountState::Active {
            account.state = AccountState::Pending;
            self.enqueue(Task::Provision(key));
        }
    }

    fn unassign(&mut self, key: PersonKey) {
        let account = &mut self.person_mut(key).account;
        account.state = AccountState::Unassigned;
        // Without an id there is nobody to deactivate (reported on Okta's own forum).
        if account.external_id.is_none() {
            return;
        }
        if self.settings.options.granular_deprovision {
            for place in 0..self.groups.len() {
                let push = &self.groups[place].push;
                if push.state == PushState::Active && push.members.contains(&key) {
                    self.enqueue(Task::Members(GroupKey(place)));
                }
            }
            self.enqueue(Task::Delete(key));
        } else {
            self.enqueue(Task::Deactivate(key));
        }
    }

    fn change_members(&mut self, key: GroupKey, add: &[PersonKey], remove: &[PersonKey]) {
        let group = self.group_mut(key);
        group.members.extend(add);
        group.members.retain(|person| !remove.contains(person));
        let (is_assigned, push_state) = (group.is_assigned, group.push.state);
        if is_assigned {
            for person in remove {
                self.unassign(*person);
            }
            for person in add {
                self.assign(*person);
            }
        }
        if push_state == PushState::Active {
            self.enqueue(Task::Members(key));
        }
    }

    /// Who belongs to the group as Okta pushes it: its people who are in the app with an id.
    fn desired(&self, key: GroupKey) -> BTreeSet<PersonKey> {
        let in_app = |person: &PersonKey| {
            let account = &self.person(*person).account;
            account.state == AccountState::Active && account.external_id.is_some()
        };
        self.group(key).members.iter().copied().filter(in_app).collect()
    }

    fn expected_group(&self, key: GroupKey) -> Option<(String, ExpectedGroup)> {
        let push = &self.group(key).push;
        let ids = push.members.iter().filter_map(|person| {
            let account = &self.person(*person).account;
            account.external_id.clone().or_else(|| account.former_id.clone())
        });
        let group = ExpectedGroup {
            display_name: push.name.clone()?,
            members: ids.collect(),
            may_have_others: push.has_others,
        };
        Some((push.id.clone()?, group))
    }

    /// A task came to its end.
    fn finish(&mut self, task: &Task) {
        match task {
            Task::Provision(person) => {
                let account = &mut self.person_mut(*person).account;
                if account.state == AccountState::Pending || account.state == AccountState::Error {
                    account.state = AccountState::Active;
                }
            }
            Task::PushProfile(person) | Task::Password(person) => {
                let account = &mut self.person_mut(*person).account;
                if account.state == AccountState::Error {
                    account.state = AccountState::Active;
                }
            }
            Task::Deactivate(person) | Task::Delete(person) => {
                let account = &mut self.person_mut(*person).account;
                if account.state == AccountState::Unassigned {
                    account.former_id = account.external_id.take().or(account.former_id.take());
                }
            }
            Task::PushGroup { group, .. }
            | Task::LinkGroup(group)
            | Task::Members(group)
            | Task::PushNow(group)
            | Task::Rename(group) => {
                let push = &mut self.group_mut(*group).push;
                if push.id.is_some() && push.state != PushState::Inactive {
                    push.state = PushState::Active;
                }
            }
            Task::DeleteGroup(group) => self.group_mut(*group).push = Push::default(),
            Task::TestCredentials | Task::Import => {}
        }
    }

    /// 429 is repeated for everything; other failures that may pass for group pushes, and for
    /// people only where the options say so.
    fn repeat_or_give_up(&mut self, mut job: Job, call: &Call, failure: &Failure) -> Verdict {
        let options = &self.settings.options;
        let attempts_max = match failure.status {
            Some(429) => ATTEMPTS_MAX,
            _ if !failure.is_transient => 0,
            // A button tells its result at once.
            _ if job.task == Task::TestCredentials => 0,
            _ if job.task.is_group_push() => GROUP_ATTEMPTS_MAX,
            _ => options.retry_5xx,
        };
        if job.attempts >= attempts_max {
            self.give_up(job, call, failure);
            return Verdict::Failed;
        }
        let first = failure.retry_after.unwrap_or(WAIT_DEFAULT);
        let wait = match job.wait {
            Some(_) if options.retry_after_resets && failure.retry_after.is_some() => first,
            Some(wait) => wait.saturating_mul(2),
            None => first,
        };
        let wait = wait.min(WAIT_MAX);
        job.attempts += 1;
        job.wait = Some(wait);
        job.due = self.clock.saturating_add(wait);
        self.notes.push(format!("waits {} s and sends it again", wait.as_secs()));
        self.queue.push_back(job);
        Verdict::Repeats
    }

    fn give_up(&mut self, job: Job, call: &Call, failure: &Failure) {
        let text = self.admin_text(&job.task, call, &failure.text);
        match &job.task {
            // The link was not complete: its id is forgotten, and a later unassignment sends
            // nothing (reported on Okta's own forum).
            Task::Provision(person) => {
                let account = &mut self.person_mut(*person).account;
                account.state = AccountState::Error;
                account.former_id = account.external_id.take().or(account.former_id.take());
            }
            Task::PushProfile(person) | Task::Password(person) => {
                let account = &mut self.person_mut(*person).account;
                if account.state == AccountState::Active {
                    account.state = AccountState::Error;
                }
            }
            Task::PushGroup { group, .. }
            | Task::LinkGroup(group)
            | Task::Members(group)
            | Task::PushNow(group)
            | Task::Rename(group)
            | Task::DeleteGroup(group) => self.group_mut(*group).push.state = PushState::Error,
            Task::Deactivate(_) | Task::Delete(_) | Task::TestCredentials | Task::Import => {}
        }
        self.texts.push(text.clone());
        self.failed.push(Failed { task: job.task, text, status: failure.status });
    }

    /// The failures that wait for an admin, in Okta's words.
    pub fn tasks(&self) -> impl Iterator<Item = &str> {
        self.failed.iter().map(|failed| failed.text.as_str())
    }
}

/// The room that Okta has for a base URL.
const BASE_URL_BYTES_MAX: usize = 1_024;
