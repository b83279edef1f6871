//! Which requests an action leads to in which dialect, and each request as it is sent.

use std::collections::{BTreeSet, VecDeque};

use serde_json::Value;

use super::body::{self, MemberName};
use super::settings::{PostMembers, SpaceEncoding};
use super::{Field, GroupKey, Job, Okta, PersonKey, Task};
use crate::wire::{Method, Request, percent_encode};

/// Resources that Okta asks for on a page.
pub(super) const PAGE: u64 = 100;

/// One request of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Call {
    TestUsers,
    TestGroups,
    FindUser,
    CreateUser,
    ReadUser,
    PatchActive(bool),
    PutActive(bool),
    PutProfile,
    PatchProfile,
    PatchPassword,
    PutPassword,
    DeleteUser,
    FindGroup,
    CreateGroup,
    NameGroup,
    ChangeMembers { remove: Vec<PersonKey>, add: Vec<PersonKey> },
    ReplaceMembers,
    ReadGroup,
    PutGroup { overwrite: bool },
    DeleteGroup,
    ListUsers { start: u64 },
    ListGroups { start: u64 },
}

impl Okta {
    /// The requests that a task starts with. Those that depend on an answer follow it.
    pub(super) fn plan(&self, task: &Task) -> VecDeque<Call> {
        let options = &self.settings.options;
        let patches = self.settings.profile.patches();
        let calls = match task {
            Task::TestCredentials if options.import_groups => {
                vec![Call::TestUsers, Call::TestGroups]
            }
            Task::TestCredentials => vec![Call::TestUsers],
            Task::Provision(_) => vec![Call::FindUser],
            Task::PushProfile(person)
            | Task::Password(person)
            | Task::Deactivate(person)
            | Task::Delete(person)
                if self.person(*person).account.external_id.is_none() =>
            {
                Vec::new()
            }
            Task::PushProfile(_) if patches && options.user_patch => vec![Call::PatchProfile],
            Task::PushProfile(_) => vec![Call::ReadUser, Call::PutProfile],
            Task::Deactivate(_) => self.set_active(false),
            Task::Delete(_) => vec![Call::DeleteUser],
            Task::Password(_) if patches => vec![Call::PatchPassword],
            Task::Password(_) => vec![Call::ReadUser, Call::PutPassword],
            Task::PushGroup { .. } if options.group_probe || !patches => vec![Call::FindGroup],
            Task::PushGroup { .. } => vec![Call::CreateGroup],
            Task::LinkGroup(_) => vec![Call::ListGroups { start: 1 }],
            Task::Members(group)
            | Task::PushNow(group)
            | Task::Rename(group)
            | Task::DeleteGroup(group)
                if self.group(*group).push.id.is_none() =>
            {
                Vec::new()
            }
            Task::Members(group) => self.push_members(*group),
            Task::PushNow(_) if patches => vec![Call::ReplaceMembers],
            Task::PushNow(_) => vec![Call::ReadGroup, Call::PutGroup { overwrite: true }],
            Task::Rename(_) if patches => vec![Call::NameGroup],
            Task::Rename(_) => vec![Call::ReadGroup, Call::PutGroup { overwrite: false }],
            Task::DeleteGroup(_) => vec![Call::DeleteGroup],
            Task::Import => vec![Call::ListUsers { start: 1 }],
        };
        calls.into()
    }

    /// Writes `active`.
    fn set_active(&self, active: bool) -> Vec<Call> {
        match (self.settings.profile.patches(), self.settings.options.get_before_patch) {
            (true, true) => vec![Call::ReadUser, Call::PatchActive(active)],
            (true, false) => vec![Call::PatchActive(active)],
            (false, _) => vec![Call::ReadUser, Call::PutActive(active)],
        }
    }

    /// After a person was found who exists already.
    pub(super) fn link_user(&self, is_active: bool) -> Vec<Call> {
        let options = &self.settings.options;
        let mut calls = Vec::new();
        let activates = self.settings.profile.patches() || options.link_double_put;
        if activates && !(is_active && options.skip_activate_if_active) {
            calls.extend(self.set_active(true));
        }
        calls.extend([Call::ReadUser, Call::PutProfile]);
        calls
    }

    /// After a group was created.
    pub(super) fn fill_group(&self, group: GroupKey, memberships: bool) -> Vec<Call> {
        let options = &self.settings.options;
        if !self.settings.profile.patches() {
            let put = vec![Call::ReadGroup, Call::PutGroup { overwrite: false }];
            return if memberships { put } else { Vec::new() };
        }
        let mut calls = Vec::new();
        if options.meta_patch {
            calls.push(Call::NameGroup);
        }
        if memberships {
            // Those that were created with the group are added once more.
            calls.extend(self.chunks(&BTreeSet::new(), &self.desired(group)));
        }
        calls
    }

    /// After a group was linked that existed already: its members stay.
    pub(super) fn link_members(&self, group: GroupKey, memberships: bool) -> Vec<Call> {
        if !self.settings.profile.patches() {
            let put = vec![Call::ReadGroup, Call::PutGroup { overwrite: false }];
            return if memberships { put } else { Vec::new() };
        }
        let mut calls = Vec::new();
        let is_named = self.group(group).push.name.as_ref() == Some(&self.group(group).name);
        if self.settings.options.meta_patch || !is_named {
            calls.push(Call::NameGroup);
        }
        if memberships {
            calls.extend(self.chunks(&BTreeSet::new(), &self.desired(group)));
        }
        calls
    }

    /// After a group's people changed.
    fn push_members(&self, key: GroupKey) -> Vec<Call> {
        let pushed = &self.group(key).push.members;
        let desired = self.desired(key);
        if *pushed == desired {
            return Vec::new();
        }
        if !self.settings.profile.patches() {
            return vec![Call::ReadGroup, Call::PutGroup { overwrite: false }];
        }
        let mut calls = Vec::new();
        if self.settings.options.meta_patch {
            calls.push(Call::NameGroup);
        }
        calls.extend(self.chunks(pushed, &desired));
        calls
    }

    /// The changes from one set of members to another, so many to a PATCH: removals first.
    fn chunks(&self, from: &BTreeSet<PersonKey>, to: &BTreeSet<PersonKey>) -> Vec<Call> {
        let removals = from.difference(to).map(|person| (*person, false));
        let additions = to.difference(from).map(|person| (*person, true));
        let changes: Vec<(PersonKey, bool)> = removals.chain(additions).collect();
        let of = |changes: &[(PersonKey, bool)], added: bool| {
            changes.iter().filter(|change| change.1 == added).map(|change| change.0).collect()
        };
        changes
            .chunks(self.settings.options.chunk.clamp(1, 1_000))
            .map(|part| Call::ChangeMembers { remove: of(part, false), add: of(part, true) })
            .collect()
    }

    /// A request as it goes over the wire. Nothing when what it is about is gone.
    pub(super) fn request(&self, job: &Job, call: &Call) -> Option<Request> {
        let person = match &job.task {
            Task::Provision(person)
            | Task::PushProfile(person)
            | Task::Deactivate(person)
            | Task::Delete(person)
            | Task::Password(person) => Some(*person),
            _ => None,
        };
        let group = job.task.group();
        Some(match (call, person, group) {
            (Call::TestUsers, ..) => self.get("/Users?startIndex=1&count=2".to_owned()),
            (Call::TestGroups, ..) => self.get("/Groups?startIndex=1&count=100".to_owned()),
            (Call::ListUsers { start }, ..) => {
                self.get(format!("/Users?startIndex={start}&count={PAGE}"))
            }
            (Call::ListGroups { start }, ..) => {
                self.get(format!("/Groups?startIndex={start}&count={PAGE}"))
            }
            (call, Some(person), _) => return self.user_request(job, call, person),
            (call, _, Some(group)) => return self.group_request(job, call, group),
            _ => return None,
        })
    }

    fn user_request(&self, job: &Job, call: &Call, key: PersonKey) -> Option<Request> {
        let options = &self.settings.options;
        let person = self.person(key);
        let name = person.attributes.get(&Field::UserName)?;
        let path = || Some(format!("/Users/{}", segment(person.account.external_id.as_ref()?)));
        Some(match call {
            Call::FindUser => self.find("/Users", "userName", name),
            Call::CreateUser => {
                let user = body::create_user(&person.attributes, &person.okta_id, &person.password);
                self.write(Method::Post, "/Users".to_owned(), &user)
            }
            Call::ReadUser => self.get(path()?),
            Call::PatchActive(active) => {
                self.write(Method::Patch, path()?, &body::patch_user("active", *active))
            }
            Call::PutActive(active) => {
                let user = body::overlay_active(job.read.as_ref()?, *active);
                self.write(Method::Put, path()?, &user)
            }
            Call::PutProfile => {
                let user = body::overlay_user(
                    job.read.as_ref()?,
                    &person.attributes,
                    &person.okta_id,
                    options.empty_value,
                );
                self.write(Method::Put, path()?, &user)
            }
            Call::PatchProfile => {
                let before = person.account.pushed.clone().unwrap_or_default();
                let patch = body::patch_profile(
                    &before,
                    &person.attributes,
                    &person.okta_id,
                    options.empty_value,
                );
                self.write(Method::Patch, path()?, &patch)
            }
            Call::PatchPassword => {
                let patch = body::patch_user("password", person.password.as_str());
                self.write(Method::Patch, path()?, &patch)
            }
            Call::PutPassword => {
                let user = body::overlay_password(job.read.as_ref()?, &person.password);
                self.write(Method::Put, path()?, &user)
            }
            Call::DeleteUser => self.delete(path()?),
            _ => return None,
        })
    }

    fn group_request(&self, job: &Job, call: &Call, key: GroupKey) -> Option<Request> {
        let options = &self.settings.options;
        let group = self.group(key);
        let id = group.push.id.as_deref();
        let path = || Some(format!("/Groups/{}", segment(id?)));
        Some(match call {
            Call::FindGroup => self.find("/Groups", "displayName", &group.name),
            Call::CreateGroup => {
                let full = self.settings.profile.patches()
                    && options.post_members == PostMembers::Full
                    && matches!(job.task, Task::PushGroup { memberships: true, .. });
                let members = if full { self.member_names(&self.desired(key)) } else { Vec::new() };
                let body = body::create_group(&group.name, &members);
                self.write(Method::Post, "/Groups".to_owned(), &body)
            }
            Call::NameGroup => {
                self.write(Method::Patch, path()?, &body::name_group(id?, &group.name))
            }
            Call::ChangeMembers { remove, add } => {
                let patch =
                    body::change_members(&self.member_names(remove), &self.member_names(add));
                self.write(Method::Patch, path()?, &patch)
            }
            Call::ReplaceMembers => {
                let members = self.member_names(&self.desired(key));
                let patch =
                    body::replace_members(id?, &group.name, &members, options.full_push_form);
                self.write(Method::Patch, path()?, &patch)
            }
            Call::ReadGroup => self.get(path()?),
            Call::PutGroup { overwrite } => {
                let read = job.read.as_ref()?;
                let kept = if *overwrite { Vec::new() } else { self.kept_members(key, read) };
                let members = self.member_names(&self.desired(key));
                let body = body::overlay_group(read, &group.name, &kept, &members);
                self.write(Method::Put, path()?, &body)
            }
            Call::DeleteGroup => self.delete(path()?),
            _ => return None,
        })
    }

    /// Members that were in the group before Okta was linked to it, as the server showed them.
    pub(super) fn kept_members(
        &self,
        key: GroupKey,
        read: &serde_json::Map<String, Value>,
    ) -> Vec<Value> {
        let push = &self.group(key).push;
        if !push.has_others {
            return Vec::new();
        }
        let desired = self.desired(key);
        let own: BTreeSet<&str> = push
            .members
            .iter()
            .chain(&desired)
            .filter_map(|person| self.person(*person).account.external_id.as_deref())
            .collect();
        let members = read.get("members").and_then(Value::as_array);
        members
            .into_iter()
            .flatten()
            .filter(|member| {
                member.get("value").and_then(Value::as_str).is_some_and(|id| !own.contains(id))
            })
            .cloned()
            .collect()
    }

    fn member_names<'a>(&self, people: impl IntoIterator<Item = &'a PersonKey>) -> Vec<MemberName> {
        people
            .into_iter()
            .filter_map(|key| {
                let person = self.person(*key);
                let account = &person.account;
                let id = account.external_id.as_ref().or(account.former_id.as_ref())?;
                let display = person.attributes.get(&Field::UserName)?;
                Some(MemberName { id: id.clone(), display: display.clone() })
            })
            .collect()
    }

    /// Looks for one resource by its name. The left side and the operator are always the same.
    fn find(&self, path: &str, attribute: &str, name: &str) -> Request {
        let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
        let space = match self.settings.options.space_encoding {
            SpaceEncoding::Percent => "%20",
            SpaceEncoding::Plus => "+",
        };
        let filter = percent_encode(&format!("{attribute} eq \"{quoted}\""), space);
        self.get(format!("{path}?filter={filter}&startIndex=1&count={PAGE}"))
    }

    fn get(&self, path_and_query: String) -> Request {
        self.send(Method::Get, path_and_query, Vec::new(), false)
    }

    fn write(&self, method: Method, path: String, body: &Value) -> Request {
        self.send(method, path, body.to_string().into_bytes(), true)
    }

    fn delete(&self, path: String) -> Request {
        let content_type = self.settings.options.delete_content_type;
        self.send(Method::Delete, path, Vec::new(), content_type)
    }

    fn send(
        &self,
        method: Method,
        path_and_query: String,
        body: Vec<u8>,
        content_type: bool,
    ) -> Request {
        let authorization = self.settings.profile.authorization(&self.settings.credentials);
        let mut headers = vec![
            ("User-Agent", "Okta SCIM Client 1.0.0".to_owned()),
            ("Accept", "application/scim+json".to_owned()),
            ("Accept-Charset", "utf-8".to_owned()),
            ("Accept-Encoding", "gzip,deflate".to_owned()),
            ("Authorization", authorization),
        ];
        if content_type {
            headers.push(("Content-Type", "application/scim+json; charset=utf-8".to_owned()));
        }
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Request { method, path_and_query, headers, body }
    }

    /// The text that the admin sees, put together as in Okta's published ones.
    pub(super) fn admin_text(&self, task: &Task, call: &Call, reason: &str) -> String {
        let name = |person: &PersonKey| {
            let name = self.person(*person).attributes.get(&Field::UserName);
            name.cloned().unwrap_or_default()
        };
        let display = |person: &PersonKey| {
            let name = self.person(*person).attributes.get(&Field::DisplayName);
            name.cloned().unwrap_or_default()
        };
        let group_name = |group: &GroupKey| self.group(*group).name.clone();
        let tried = match (task, call) {
            (Task::TestCredentials, _) if reason == "No results for users returned" => {
                return reason.to_owned();
            }
            (Task::TestCredentials, _) => "Error authenticating".to_owned(),
            (Task::Provision(person), Call::FindUser) => format!(
                "Automatic provisioning of user {0} to app {APP} failed: Error while verifying \
                 if user {0} exists",
                name(person)
            ),
            (Task::Provision(person), Call::CreateUser) => format!(
                "Automatic provisioning of user {} to app {APP} failed: Error while creating \
                 user {}",
                name(person),
                display(person)
            ),
            (Task::Provision(person), Call::PatchActive(_) | Call::PutActive(_)) => format!(
                "Automatic provisioning of user {0} to app {APP} failed: Error while \
                 reactivating user {0}",
                name(person)
            ),
            (Task::Provision(person) | Task::PushProfile(person), _) => {
                format!("Error while trying to push profile update for {}", name(person))
            }
            (Task::Deactivate(person) | Task::Delete(person), _) => format!(
                "Automatic deprovisioning of user {0} from app {APP} failed: Error while trying \
                 to deactivate user {0}",
                name(person)
            ),
            (Task::Password(person), _) => {
                format!("Error while trying to push password update for {}", name(person))
            }
            (
                _,
                Call::ChangeMembers { .. }
                | Call::ReplaceMembers
                | Call::ReadGroup
                | Call::PutGroup { .. },
            ) => {
                let group = task.group().map(|group| group_name(&group)).unwrap_or_default();
                format!(
                    "Unable to update Group Push mapping target App group {group}: Error while \
                     updating user group membership for group {group}"
                )
            }
            (Task::DeleteGroup(group), _) => format!(
                "Unable to delete Group Push mapping target App group {0}: Error while deleting \
                 user group {0}",
                group_name(group)
            ),
            (_, Call::FindGroup | Call::CreateGroup) => {
                let group = task.group().map(|group| group_name(&group)).unwrap_or_default();
                format!(
                    "Unable to create Group Push mapping target App group {group}: Error while \
                     creating user group {group}"
                )
            }
            (_, Call::NameGroup) => {
                let group = task.group().map(|group| group_name(&group)).unwrap_or_default();
                format!(
                    "Unable to update Group Push mapping target App group {group}: Error while \
                     updating user group {group}"
                )
            }
            (_, Call::ListGroups { .. }) => "Error while downloading groups".to_owned(),
            _ => "Error while downloading users".to_owned(),
        };
        format!("{tried}: {reason}")
    }
}

/// The app's name in Okta.
const APP: &str = "Simulated App";

/// An id as it stands in a path.
fn segment(id: &str) -> String {
    percent_encode(id, "%20")
}

impl Task {
    /// The group that it is about.
    pub(super) fn group(&self) -> Option<GroupKey> {
        match self {
            Task::PushGroup { group, .. }
            | Task::LinkGroup(group)
            | Task::Members(group)
            | Task::PushNow(group)
            | Task::Rename(group)
            | Task::DeleteGroup(group) => Some(*group),
            _ => None,
        }
    }
}
