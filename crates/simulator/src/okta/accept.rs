//! What Okta takes from each answer, and how people and groups move on with it.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use serde_json::Value;

use super::body;
use super::judge::{Failure, Judge, same_without_case};
use super::plan::{Call, PAGE};
use super::settings::{EmptyPage, PageAdvance, PostMembers, Reading};
use super::{ExpectedGroup, Field, GroupKey, Job, Okta, PersonKey, PushState, Rows, Task};
use crate::report::Rule;
use crate::wire::{NoAnswer, Response, reason_phrase};

/// Pages of one list; a server that needs more, or never ends, is told so.
const PAGES_MAX: u32 = 10_000;

type Answer = Result<Response, NoAnswer>;

impl Okta {
    /// Judges an answer and takes from it what the task needs. `calls` are those still to make
    /// after this one.
    pub(super) fn accept(
        &mut self,
        judge: &mut Judge<'_>,
        job: &mut Job,
        calls: &mut VecDeque<Call>,
        call: &Call,
        answer: &Answer,
    ) -> Result<(), Failure> {
        let elapsed = answer.as_ref().ok().map(|response| response.elapsed);
        let body = judge.body(answer);
        match (call, job.task.clone()) {
            (Call::TestUsers | Call::TestGroups, _) => accept_test(judge, body, elapsed),
            (
                Call::FindUser,
                Task::Provision(person)
                | Task::PushProfile(person)
                | Task::Password(person)
                | Task::Deactivate(person)
                | Task::Delete(person),
            ) => {
                let found = found(judge, body, elapsed)?;
                self.accept_found_user(judge, calls, person, &found)
            }
            (
                call,
                Task::Provision(person)
                | Task::PushProfile(person)
                | Task::Password(person)
                | Task::Deactivate(person)
                | Task::Delete(person),
            ) => self.accept_user(judge, job, call, person, body),
            (Call::FindGroup, Task::PushGroup { group, memberships }) => {
                let found = found(judge, body, elapsed)?;
                self.accept_found_group(judge, calls, group, memberships, &found)
            }
            (Call::ListUsers { start }, _) => {
                let next = list(judge, &mut job.users, *start, &body?, elapsed)?;
                if let Some(start) = next {
                    calls.push_front(Call::ListUsers { start });
                } else {
                    self.check_users(judge, &job.users);
                    if self.settings.options.import_groups {
                        calls.push_front(Call::ListGroups { start: 1 });
                    }
                }
                Ok(())
            }
            (Call::ListGroups { start }, task) => {
                let next = list(judge, &mut job.groups, *start, &body?, elapsed)?;
                match (next, task) {
                    (Some(start), _) => calls.push_front(Call::ListGroups { start }),
                    (None, Task::LinkGroup(group)) => {
                        return self.link_listed_group(judge, calls, group, &job.groups);
                    }
                    (None, _) => self.check_groups(judge, &job.groups),
                }
                Ok(())
            }
            (call, task) => match task.group() {
                Some(group) => self.accept_group(judge, job, calls, call, group, body),
                None => body.map(|_| ()),
            },
        }
    }

    fn accept_found_user(
        &mut self,
        judge: &mut Judge<'_>,
        calls: &mut VecDeque<Call>,
        key: PersonKey,
        found: &[Value],
    ) -> Result<(), Failure> {
        let person = self.person(key);
        let account = &person.account;
        let name = person.attributes.get(&Field::UserName).cloned().unwrap_or_default();
        let known = account.external_id.clone().or_else(|| account.former_id.clone());
        let known = known.filter(|id| !self.deleted_users.contains(id));
        let Some(first) = found.first() else {
            if let Some(id) = known.filter(|_| account.pushed.is_some()) {
                let rule = if account.active == Some(false) {
                    Rule::InactiveHidden
                } else {
                    Rule::NotFound
                };
                judge.note(
                    rule,
                    format!(
                        "a filter by `userName` does not find the user `{id}`, who exists. Okta \
                         creates a second one: find deactivated users too"
                    ),
                );
            }
            calls.push_back(Call::CreateUser);
            return Ok(());
        };
        check_match(judge, found, "userName", &name)?;
        let Some(id) = judge.id(first) else {
            judge.note(Rule::CreateEmpty, "the user that was found has no `id`");
            return Err(Failure::permanent(judge.status, "Matching user not found."));
        };
        if let Some(known) = &known
            && *known != id
        {
            judge.note(
                Rule::IdChanged,
                format!("the same person was `{known}` before and is `{id}` now"),
            );
        }
        judge.compare_user(first, account.pushed.as_ref(), account.active, &person.okta_id);
        self.check_id(judge, key, &id);
        self.person_mut(key).account.external_id = Some(id);
        let is_active = first.get("active").and_then(Value::as_bool) == Some(true);
        calls.extend(self.link_user(is_active));
        Ok(())
    }

    fn accept_user(
        &mut self,
        judge: &mut Judge<'_>,
        job: &mut Job,
        call: &Call,
        key: PersonKey,
        body: Result<Value, Failure>,
    ) -> Result<(), Failure> {
        let person = self.person(key);
        let (okta_id, attributes) = (person.okta_id.clone(), person.attributes.clone());
        let mut account = person.account.clone();
        let id = account.external_id.clone().unwrap_or_default();
        let body = match body {
            Ok(body) => body,
            Err(failure) => {
                self.note_refused_user(judge, call, &job.task, key, &failure);
                if matches!(call, Call::DeleteUser) && failure.status == Some(404) {
                    note_deleted(judge);
                    self.deleted_users.insert(id);
                    return Ok(());
                }
                return Err(failure);
            }
        };
        match call {
            Call::CreateUser => {
                let id = created(judge, &body, "Create new user returned empty user.")?;
                self.check_id(judge, key, &id);
                judge.compare_user(&body, Some(&attributes), Some(true), &okta_id);
                account.external_id = Some(id);
                account.active = Some(true);
                account.pushed = Some(attributes);
            }
            Call::ReadUser => {
                let Value::Object(read) = body else {
                    judge.note(Rule::NotJson, "a user that is read is not a JSON object");
                    return Err(Failure::permanent(judge.status, "empty user"));
                };
                let user = Value::Object(read.clone());
                judge.same_id(&user, &id);
                judge.compare_user(&user, account.pushed.as_ref(), account.active, &okta_id);
                job.read = Some(read);
            }
            Call::DeleteUser => {
                check_deleted(judge, &body);
                self.deleted_users.insert(id);
            }
            Call::PatchActive(_)
            | Call::PutActive(_)
            | Call::PutProfile
            | Call::PatchProfile
            | Call::PatchPassword
            | Call::PutPassword => {
                match call {
                    Call::PatchActive(active) | Call::PutActive(active) => {
                        account.active = Some(*active);
                    }
                    Call::PutProfile => {
                        account.active = Some(true);
                        account.pushed = Some(attributes);
                    }
                    Call::PatchProfile => account.pushed = Some(attributes),
                    _ => {}
                }
                if matches!(call, Call::PutActive(_) | Call::PutProfile | Call::PutPassword) {
                    check_put(judge, &body)?;
                }
                if body.is_object() {
                    judge.same_id(&body, &id);
                    judge.compare_user(&body, account.pushed.as_ref(), account.active, &okta_id);
                }
            }
            _ => {}
        }
        self.person_mut(key).account = account;
        Ok(())
    }

    /// What a refusal says about the server, beside what Okta shows.
    fn note_refused_user(
        &self,
        judge: &mut Judge<'_>,
        call: &Call,
        task: &Task,
        key: PersonKey,
        failure: &Failure,
    ) {
        let account = &self.person(key).account;
        let id = account.external_id.as_deref().unwrap_or_default();
        match (call, failure.status) {
            (Call::CreateUser, Some(400 | 422)) => judge.note(
                Rule::CreateRefused,
                "a user as Okta creates it is refused. It carries a random placeholder \
                 `password` of 8 characters even when passwords are not synced, and attributes \
                 that the server may not know: accept both, and ignore what is not needed",
            ),
            (Call::CreateUser, _) | (Call::DeleteUser, Some(404)) => {}
            (_, Some(404)) if account.active == Some(false) => judge.note(
                Rule::InactiveHidden,
                format!("the deactivated user `{id}` is answered with 404. Keep it readable"),
            ),
            (_, Some(404)) => judge
                .note(Rule::NotFound, format!("the user `{id}`, who exists, is answered with 404")),
            (Call::PutProfile | Call::PutActive(_), Some(409))
                if matches!(task, Task::Provision(_)) =>
            {
                judge.note(
                    Rule::LinkRefused,
                    format!(
                        "the user `{id}` was found by its `userName` and cannot be written with \
                         the same `userName`. A user is no conflict with itself"
                    ),
                );
            }
            _ => {}
        }
    }

    /// That no other person has this id.
    fn check_id(&self, judge: &mut Judge<'_>, key: PersonKey, id: &str) {
        let other = self.people.iter().enumerate().find(|(place, other)| {
            *place != key.0
                && [&other.account.external_id, &other.account.former_id]
                    .into_iter()
                    .flatten()
                    .any(|other| other == id)
        });
        if other.is_some() {
            judge.note(Rule::IdReused, format!("the id `{id}` is that of another person already"));
        }
    }

    fn accept_found_group(
        &mut self,
        judge: &mut Judge<'_>,
        calls: &mut VecDeque<Call>,
        key: GroupKey,
        memberships: bool,
        found: &[Value],
    ) -> Result<(), Failure> {
        let name = self.group(key).name.clone();
        let Some(first) = found.first() else {
            if self.left_groups.values().any(|left| same_without_case(&left.display_name, &name)) {
                judge.note(
                    Rule::NotFound,
                    format!("a filter by `displayName` does not find `{name}`, which exists"),
                );
            }
            calls.push_back(Call::CreateGroup);
            return Ok(());
        };
        check_match(judge, found, "displayName", &name)?;
        self.link_group(judge, calls, key, memberships, first)
    }

    /// The admin picked a group of the app.
    fn link_listed_group(
        &mut self,
        judge: &mut Judge<'_>,
        calls: &mut VecDeque<Call>,
        key: GroupKey,
        listed: &Rows,
    ) -> Result<(), Failure> {
        let name = self.group(key).name.clone();
        let same = |row: &&Value| row.get("displayName").and_then(Value::as_str) == Some(&*name);
        let Some(row) = listed.by_id.values().find(same) else {
            judge.note(
                Rule::MissingRow,
                format!("the group `{name}`, which exists, is not in the list of groups"),
            );
            return Err(Failure::permanent(judge.status, "the group is not in the list"));
        };
        let row = row.clone();
        self.link_group(judge, calls, key, true, &row)
    }

    fn link_group(
        &mut self,
        judge: &mut Judge<'_>,
        calls: &mut VecDeque<Call>,
        key: GroupKey,
        memberships: bool,
        row: &Value,
    ) -> Result<(), Failure> {
        let Some(id) = judge.id(row) else {
            judge.note(Rule::CreateEmpty, "the group that was found has no `id`");
            return Err(Failure::permanent(judge.status, "the group has no id"));
        };
        self.left_groups.remove(&id);
        let push = &mut self.group_mut(key).push;
        push.name = row.get("displayName").and_then(Value::as_str).map(str::to_owned);
        push.id = Some(id);
        push.members = BTreeSet::new();
        push.has_others = true;
        calls.extend(self.link_members(key, memberships));
        Ok(())
    }

    fn accept_group(
        &mut self,
        judge: &mut Judge<'_>,
        job: &mut Job,
        calls: &mut VecDeque<Call>,
        call: &Call,
        key: GroupKey,
        body: Result<Value, Failure>,
    ) -> Result<(), Failure> {
        let group = self.group(key);
        let name = group.name.clone();
        let id = group.push.id.clone().unwrap_or_default();
        let desired = self.desired(key);
        let body = match body {
            Ok(body) => body,
            Err(failure) if failure.status == Some(404) && *call == Call::DeleteGroup => {
                note_deleted(judge);
                self.deleted_groups.insert(id);
                return Ok(());
            }
            Err(failure) => {
                if failure.status == Some(404) && *call != Call::CreateGroup {
                    judge.note(
                        Rule::NotFound,
                        format!(
                            "the group `{id}` exists, and so do its members; the answer is 404"
                        ),
                    );
                }
                return Err(failure);
            }
        };
        match call {
            Call::CreateGroup => {
                let id = created(judge, &body, "Create new group returned empty group.")?;
                let sent = judge.request.json().unwrap_or_default();
                let is_full = self.settings.options.post_members == PostMembers::Full
                    && body::member_ids(&sent).is_some_and(|ids| !ids.is_empty());
                let push = &mut self.group_mut(key).push;
                push.id = Some(id);
                push.name = Some(name);
                push.members = if is_full { desired } else { BTreeSet::new() };
                push.has_others = false;
                self.compare_group(judge, key, &body);
                let memberships = matches!(job.task, Task::PushGroup { memberships: true, .. });
                let skipped = self.group(key).members.len() - self.desired(key).len();
                if memberships && skipped > 0 {
                    self.notes.push(format!(
                        "{skipped} of the group's people are not in the app and are left out"
                    ));
                }
                calls.extend(self.fill_group(key, memberships));
            }
            Call::NameGroup => {
                self.group_mut(key).push.name = Some(name);
                self.compare_group(judge, key, &body);
            }
            Call::ChangeMembers { remove, add } => {
                let push = &mut self.group_mut(key).push;
                push.members.extend(add);
                push.members.retain(|person| !remove.contains(person));
                // The later chunks are still to come, so the answer is compared as it is now.
                self.compare_group(judge, key, &body);
            }
            Call::ReplaceMembers => {
                let push = &mut self.group_mut(key).push;
                push.members = desired;
                push.has_others = false;
                self.compare_group(judge, key, &body);
            }
            Call::ReadGroup => {
                let Value::Object(read) = body else {
                    judge.note(Rule::NotJson, "a group that is read is not a JSON object");
                    return Err(Failure::permanent(judge.status, "empty group"));
                };
                let group = Value::Object(read.clone());
                judge.same_id(&group, &id);
                if body::member_ids(&group).is_none() {
                    judge.note(
                        Rule::GroupWithoutMembers,
                        "a group that is read has no array `members`. Okta reads it before it \
                         writes it, and other clients rely on it",
                    );
                }
                self.compare_group(judge, key, &group);
                job.read = Some(read);
            }
            Call::PutGroup { overwrite } => {
                check_put(judge, &body)?;
                if body.is_object() {
                    judge.same_id(&body, &id);
                }
                let push = &mut self.group_mut(key).push;
                push.members = desired;
                push.name = Some(name);
                push.has_others &= !overwrite;
                self.compare_group(judge, key, &body);
            }
            Call::DeleteGroup => {
                check_deleted(judge, &body);
                self.deleted_groups.insert(id);
            }
            _ => {}
        }
        Ok(())
    }

    fn compare_group(&self, judge: &mut Judge<'_>, key: GroupKey, group: &Value) {
        if let Some((_, expected)) = self.expected_group(key) {
            compare_group(judge, &expected, group);
        }
    }

    /// At the end of an import: everybody whom Okta wrote is there, once, as they were written.
    fn check_users(&mut self, judge: &mut Judge<'_>, rows: &Rows) {
        let expected = self.expectation();
        let mut missing = 0_usize;
        for person in &self.people {
            let account = &person.account;
            let Some(id) = account.external_id.as_ref().or(account.former_id.as_ref()) else {
                continue;
            };
            match rows.by_id.get(id) {
                _ if self.deleted_users.contains(id) => {}
                Some(row) => {
                    judge.compare_user(
                        row,
                        account.pushed.as_ref(),
                        account.active,
                        &person.okta_id,
                    );
                }
                None if account.active == Some(true) => missing += 1,
                None => {}
            }
        }
        if missing > 0 {
            judge.note(
                Rule::MissingRow,
                format!(
                    "{missing} active people whom Okta pushed are not in the list of users. Okta \
                     would take their assignments away"
                ),
            );
        }
        let active = expected.users.values().filter(|user| user.active).count();
        if (rows.by_id.len()) < active {
            judge.note(
                Rule::TotalResults,
                format!(
                    "the list ended after {} users and at least {active} exist: `totalResults` \
                     must count all of them, not those on the page",
                    rows.by_id.len()
                ),
            );
        }
        check_gone(judge, &expected.deleted_users, rows);
        let mut inactive = 0_usize;
        for (id, row) in &rows.by_id {
            if row.get("active").and_then(Value::as_bool) == Some(false) {
                inactive += 1;
                continue;
            }
            let needed = [Field::UserName, Field::GivenName, Field::FamilyName, Field::Email];
            for field in needed {
                if field.read(row).is_none() {
                    judge.note(
                        Rule::IncompleteRow,
                        format!(
                            "the user `{id}` has no `{}`: *Import Now* reports an error",
                            field.path()
                        ),
                    );
                }
            }
        }
        let known = rows.by_id.keys().filter(|id| expected.users.contains_key(*id)).count();
        self.notes.push(format!(
            "{} users scanned on {} pages, {inactive} inactive ones skipped; {known} are known, \
             {} are new",
            rows.by_id.len(),
            rows.pages,
            rows.by_id.len() - known
        ));
    }

    fn check_groups(&mut self, judge: &mut Judge<'_>, rows: &Rows) {
        let expected = self.expectation();
        for (id, group) in &expected.groups {
            match rows.by_id.get(id) {
                Some(row) => {
                    if body::member_ids(row).is_none() && !group.members.is_empty() {
                        judge.note(
                            Rule::GroupWithoutMembers,
                            "a group in the list has no array `members`. An import takes the \
                             memberships from it",
                        );
                    }
                    compare_group(judge, group, row);
                }
                None => judge.note(
                    Rule::MissingRow,
                    format!(
                        "the group `{}`, which Okta pushed, is not in the list",
                        group.display_name
                    ),
                ),
            }
        }
        check_gone(judge, &expected.deleted_groups, rows);
        self.notes.push(format!("{} groups scanned on {} pages", rows.by_id.len(), rows.pages));
    }

    /// Whether a push is on.
    pub fn is_pushed(&self, group: GroupKey) -> bool {
        self.group(group).push.state == PushState::Active
    }
}

fn accept_test(
    judge: &mut Judge<'_>,
    body: Result<Value, Failure>,
    elapsed: Option<Duration>,
) -> Result<(), Failure> {
    match body {
        Ok(body) => judge.page(&body, elapsed).map(|_| ()),
        // HTML with a 200 is a list without results to Okta.
        Err(failure) if failure.status.is_some_and(|status| (200..300).contains(&status)) => {
            Err(Failure { text: "No results for users returned".to_owned(), ..failure })
        }
        Err(failure) => Err(failure),
    }
}

/// What a search by name found. 404 counts as nothing.
fn found(
    judge: &mut Judge<'_>,
    body: Result<Value, Failure>,
    elapsed: Option<Duration>,
) -> Result<Vec<Value>, Failure> {
    match body {
        Ok(body) => Ok(judge.page(&body, elapsed)?.rows.to_vec()),
        Err(failure)
            if failure.status == Some(404)
                && !judge.findings.iter().any(|finding| finding.rule == Rule::NotJson) =>
        {
            judge.note(
                Rule::ProbeNotFound,
                "a filter that matches nothing is answered with 404. Okta goes on; Okta's own \
                 test and other providers want 200 and an empty list",
            );
            Ok(Vec::new())
        }
        Err(failure) => Err(failure),
    }
}

/// That what was found is what was looked for.
fn check_match(
    judge: &mut Judge<'_>,
    found: &[Value],
    attribute: &str,
    name: &str,
) -> Result<(), Failure> {
    let is_same = |row: &Value| {
        row.get(attribute)
            .and_then(Value::as_str)
            .is_some_and(|found| same_without_case(found, name))
    };
    if !found.iter().all(is_same) {
        judge.note(
            Rule::FilterIgnored,
            format!(
                "the filter `{attribute} eq` gave something else than what was asked for. Okta \
                 takes the first one and writes over it; the simulator stops here instead"
            ),
        );
        return Err(Failure::permanent(judge.status, "the filter was not obeyed"));
    }
    if found.len() > 1 {
        judge.note(
            Rule::AmbiguousMatch,
            format!(
                "`{attribute}` gave {} matches; Okta takes the first. It must be unique",
                found.len()
            ),
        );
    }
    Ok(())
}

/// The id of what was just created.
fn created(judge: &mut Judge<'_>, body: &Value, empty: &str) -> Result<String, Failure> {
    if judge.status != 201 {
        judge.note(
            Rule::CreateStatus,
            format!("a creation is answered with {} instead of 201", judge.status),
        );
        if judge.options.create_200 == Reading::Refuse {
            return Err(Failure::permanent(judge.status, reason_phrase(judge.status)));
        }
    }
    let id = judge.id(body);
    if id.is_none() {
        judge.note(
            Rule::CreateEmpty,
            "a creation is answered without the resource and its `id`, which Okta needs for \
             everything after",
        );
    }
    id.ok_or_else(|| Failure::permanent(judge.status, empty))
}

fn check_put(judge: &mut Judge<'_>, body: &Value) -> Result<(), Failure> {
    if body.is_object() {
        return Ok(());
    }
    judge.note(
        Rule::PutWithoutBody,
        format!(
            "a PUT is answered with {} and without the resource. Okta documents 200 with the \
             resource",
            judge.status
        ),
    );
    match judge.options.put_204 {
        Reading::Accept => Ok(()),
        Reading::Refuse => Err(Failure::permanent(judge.status, reason_phrase(judge.status))),
    }
}

fn check_deleted(judge: &mut Judge<'_>, body: &Value) {
    if judge.status != 204 || !body.is_null() {
        judge.note(
            Rule::DeleteStatus,
            format!("a removal is answered with {} instead of 204 without a body", judge.status),
        );
    }
}

fn note_deleted(judge: &mut Judge<'_>) {
    judge.note(
        Rule::DeleteNotFound,
        "the removal of something that exists is answered with 404. Whether it is gone is left \
         open",
    );
}

/// A group in an answer against what was written. Members that are not shown are not compared:
/// Okta does not need them in the answer to a write.
fn compare_group(judge: &mut Judge<'_>, expected: &ExpectedGroup, group: &Value) {
    if let Some(name) = group.get("displayName").and_then(Value::as_str)
        && name != expected.display_name
    {
        judge.note(
            Rule::GroupNameDrift,
            format!(
                "the group was named `{}` and is `{name}` in the answer",
                expected.display_name
            ),
        );
    }
    let Some(ids) = body::member_ids(group) else { return };
    let shown: BTreeSet<&str> = ids.iter().copied().collect();
    if shown.len() < ids.len() {
        judge.note(
            Rule::MemberTwice,
            "the same member is in the group more than once. Adding whom it has is no change",
        );
    }
    let missing = expected.members.iter().filter(|id| !shown.contains(id.as_str())).count();
    let extra = if expected.may_have_others {
        0
    } else {
        shown.iter().filter(|id| !expected.members.contains(**id)).count()
    };
    if missing + extra > 0 {
        judge.note(
            Rule::MembersDrift,
            format!(
                "Okta wrote {} members into the group `{}`; {missing} of them are not in the \
                 answer, and {extra} others are",
                expected.members.len(),
                expected.display_name
            ),
        );
    }
}

/// That what was deleted is not listed any more.
fn check_gone(judge: &mut Judge<'_>, deleted: &BTreeSet<String>, rows: &Rows) {
    if let Some(id) = deleted.iter().find(|id| rows.by_id.contains_key(*id)) {
        judge.note(Rule::DeletedStillThere, format!("`{id}` was deleted and is still listed"));
    }
}

/// Takes a page into the rows. Gives where the next one starts, if there is one.
fn list(
    judge: &mut Judge<'_>,
    rows: &mut Rows,
    start: u64,
    body: &Value,
    elapsed: Option<Duration>,
) -> Result<Option<u64>, Failure> {
    let page = judge.page(body, elapsed)?;
    rows.pages += 1;
    rows.received += page.rows.len() as u64;
    for row in page.rows {
        let Some(id) = judge.id(row) else {
            judge.note(Rule::IncompleteRow, "a resource in the list has no `id`");
            continue;
        };
        if rows.by_id.insert(id.clone(), row.clone()).is_some() {
            judge.note(
                Rule::DuplicateRow,
                format!(
                    "`{id}` came more than once in one walk through the pages, so others may not \
                     have come at all. Sort by something that does not change, and obey \
                     `startIndex`"
                ),
            );
        }
    }
    let next = match judge.options.page_advance {
        PageAdvance::ByCount => start + PAGE,
        PageAdvance::ByReturned => start + page.rows.len() as u64,
    };
    if rows.received > page.total {
        judge.note(
            Rule::TotalResults,
            format!("`totalResults` is {} and {} resources came", page.total, rows.received),
        );
    }
    if page.rows.is_empty() && start <= page.total {
        judge.note(
            Rule::TotalResults,
            format!("`totalResults` is {} and the page from {start} is empty", page.total),
        );
        if judge.options.empty_page == EmptyPage::Stop {
            return Ok(None);
        }
    }
    if next > page.total || next == start {
        return Ok(None);
    }
    if rows.pages >= PAGES_MAX {
        judge.note(Rule::EndlessPages, format!("the list does not end after {PAGES_MAX} pages"));
        return Err(Failure::permanent(judge.status, "too many pages"));
    }
    Ok(Some(next))
}
