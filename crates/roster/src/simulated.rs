//! Identity providers for the page of the simulator: the simulated Okta, which speaks to this server over
//! HTTP, where it listens.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use serde_json::Value;
use simulator::okta::{
    AccountState, Action, Attributes, Credentials, Field, GroupKey, Okta, PersonKey, Preset,
    PushState, Settings, Unlink,
};
use simulator::{Client as _, HttpClient, NoAnswer, report};
use web::simulations::{
    Account, Act, App, Exchange, Group, Kind, Person, Picture, Profile, Push, Simulated,
    Simulators, Standing, Step,
};

use crate::environment;

/// The longest that is really waited before something is sent again: a real Okta waits for minutes, and
/// somebody is looking.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// After how long a server of this process has not answered.
const TIMEOUT: Duration = Duration::from_secs(30);

/// People and groups of one simulation: what can be looked at on a page.
const PEOPLE_MAX: usize = 50;
const GROUPS_MAX: usize = 20;

/// Characters of what is typed.
const TYPED_MAX: usize = 200;

/// What was done that is shown, and of what was sent for it: the latest.
const STEPS_MAX: usize = 15;
const EXCHANGES_MAX: usize = 20;

/// Characters of a body that are shown.
const BODY_MAX: usize = 3_000;

/// Makes providers for one server.
pub(crate) struct Oktas {
    /// Where the server listens.
    address: SocketAddr,
}

impl Oktas {
    pub(crate) fn of(listens: SocketAddr) -> Oktas {
        // Who listens on all addresses is reached on that of the machine itself.
        let ip = match listens.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        Oktas { address: SocketAddr::new(ip, listens.port()) }
    }
}

impl Simulators for Oktas {
    fn kinds(&self) -> Vec<Kind> {
        let kind = |preset: Preset| {
            let title = match preset {
                Preset::Template2026 => "Okta: app of the catalogue (PATCH)",
                Preset::Template2021 => "Okta: app of the catalogue, as in 2021",
                Preset::Aiw2026 => "Okta: app of the wizard (PUT)",
                Preset::AiwReassign => "Okta: app of the wizard, with two PUTs",
            };
            Kind { name: preset.name(), title }
        };
        Preset::ALL.map(kind).to_vec()
    }

    fn begin(&self, app: App) -> Result<Box<dyn Simulated>, String> {
        let preset = Preset::from_name(&app.kind).ok_or("choose one of the kinds of app")?;
        let client = HttpClient::of_this_process(self.address, &app.path, TIMEOUT)
            .map_err(|error| error.to_string())?;
        let mut settings = Settings::new(app.base_url, Credentials::Token(app.token), preset);
        settings.options.seed = environment::seed();
        settings.options.timeout = TIMEOUT;
        let okta = Okta::new(settings);
        let notes = okta.check_settings().into_iter().map(|finding| finding.text).collect();
        let sentence = "Enter base URL and API token".to_owned();
        let first = Step { number: 1, sentence, notes, ..Step::default() };
        Ok(Box::new(Played {
            preset,
            okta,
            client,
            people: Vec::new(),
            groups: Vec::new(),
            steps: VecDeque::from([first]),
            is_busy: false,
            loses_answer: false,
        }))
    }
}

/// An Okta that somebody plays.
struct Played {
    preset: Preset,
    okta: Okta,
    client: HttpClient,
    people: Vec<(PersonKey, Standing)>,
    groups: Vec<GroupKey>,
    /// The latest first.
    steps: VecDeque<Step>,
    is_busy: bool,
    loses_answer: bool,
}

impl Simulated for Played {
    fn perform(&mut self, act: Act) -> Result<(), String> {
        let (sentence, actions) = self.read(act)?;
        let number = self.steps.front().map_or(0, |step| step.number) + 1;
        self.steps.push_front(Step { number, sentence, ..Step::default() });
        self.steps.truncate(STEPS_MAX);
        for action in &actions {
            self.okta.perform(action);
        }
        self.is_busy = true;
        Ok(())
    }

    fn exchange(&mut self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(async {
            let pause = self.okta.pause().min(PAUSE_MAX);
            if !pause.is_zero() {
                self.client.wait(pause).await;
            }
            let Some(request) = self.okta.next_request() else {
                self.note();
                self.is_busy = false;
                return false;
            };
            let mut answer = self.client.send(&request).await;
            if std::mem::take(&mut self.loses_answer) {
                answer = Err(NoAnswer::Timeout);
            }
            self.okta.receive(answer);
            self.note();
            true
        })
    }

    fn picture(&self) -> Picture {
        let person = |(key, standing): &(PersonKey, Standing)| Person {
            profile: profile(self.okta.attributes(*key)),
            standing: *standing,
            account: match self.okta.account(*key) {
                AccountState::None => Account::None,
                AccountState::Pending => Account::Pending,
                AccountState::Active => Account::Assigned,
                AccountState::Unassigned => Account::Unassigned,
                AccountState::Error => Account::Failed,
            },
            id: self.okta.id_in_app(*key).map(str::to_owned),
        };
        let group = |key: &GroupKey| Group {
            name: self.okta.group_name(*key).to_owned(),
            members: self.places(*key),
            is_assigned: self.okta.is_assigned(*key),
            push: match self.okta.push(*key) {
                PushState::None => Push::None,
                PushState::Active => Push::Active,
                PushState::Inactive => Push::Stopped,
                PushState::Error => Push::Failed,
            },
        };
        Picture {
            people: self.people.iter().map(person).collect(),
            groups: self.groups.iter().map(group).collect(),
            steps: self.steps.clone(),
            failed: self.okta.tasks().map(str::to_owned).collect(),
            is_busy: self.is_busy,
            loses_answer: self.loses_answer,
        }
    }
}

impl Played {
    /// What somebody does, as a sentence and as Okta does it.
    fn read(&mut self, act: Act) -> Result<(String, Vec<Action>), String> {
        Ok(match act {
            Act::TestCredentials => {
                ("Test API credentials".to_owned(), vec![Action::TestCredentials])
            }
            Act::EnterToken(token) => {
                let token = typed(&token, "a token")?;
                // As `Settings::new` has an admin type it.
                let token = if self.preset == Preset::Template2021 && !token.contains(' ') {
                    format!("Bearer {token}")
                } else {
                    token
                };
                let enter = Action::EnterCredentials(Credentials::Token(token));
                ("Enter another API token, and test it".to_owned(), vec![enter, Action::SaveToApp])
            }
            Act::AddPerson(profile) => {
                if self.people.len() >= PEOPLE_MAX {
                    return Err(format!(
                        "a simulation has at most {PEOPLE_MAX} people. Begin another, or go on \
                         with those who are there"
                    ));
                }
                let attributes = attributes(&profile)?;
                let key = self.okta.add_person(attributes);
                self.people.push((key, Standing::Active));
                (format!("{} joins", self.name(key)), Vec::new())
            }
            Act::Edit(place, profile) => {
                let (key, _) = self.person(place)?;
                let new = attributes(&profile)?;
                let old = self.okta.attributes(key);
                let edits: Vec<_> = Field::ALL
                    .into_iter()
                    .filter(|field| old.get(field) != new.get(field))
                    .map(|field| (field, new.get(&field).cloned()))
                    .collect();
                if edits.is_empty() {
                    return Err("nothing was changed: edit a field first".to_owned());
                }
                (
                    format!("Edit the profile of {}", self.name(key)),
                    vec![Action::Update(key, edits)],
                )
            }
            Act::Assign(place) => {
                let (key, standing) = self.person(place)?;
                if standing == Standing::Deactivated {
                    return Err("who has left cannot be assigned: bring them back".to_owned());
                }
                (format!("Assign {}", self.name(key)), vec![Action::Assign(key)])
            }
            Act::Unassign(place) => {
                let (key, _) = self.person(place)?;
                (format!("Unassign {}", self.name(key)), vec![Action::Unassign(key)])
            }
            Act::Suspend(place) => {
                let key = self.stand(place, Standing::Suspended)?;
                let sentence = format!("Suspend {}: Okta tells apps nothing", self.name(key));
                (sentence, vec![Action::Suspend(key)])
            }
            Act::Unsuspend(place) => {
                let key = self.stand(place, Standing::Active)?;
                (format!("Unsuspend {}: Okta tells apps nothing", self.name(key)), Vec::new())
            }
            Act::Deactivate(place) => {
                let key = self.stand(place, Standing::Deactivated)?;
                (format!("{} leaves: deactivate", self.name(key)), vec![Action::Deactivate(key)])
            }
            Act::BringBack(place) => {
                let key = self.stand(place, Standing::Active)?;
                let actions = vec![Action::Activate(key), Action::Assign(key)];
                (format!("{} is back: activate, and assign again", self.name(key)), actions)
            }
            of_groups => return self.read_of_groups(of_groups),
        })
    }

    fn read_of_groups(&mut self, act: Act) -> Result<(String, Vec<Action>), String> {
        Ok(match act {
            Act::AddGroup(name) => {
                if self.groups.len() >= GROUPS_MAX {
                    return Err(format!("a simulation has at most {GROUPS_MAX} groups"));
                }
                let name = typed(&name, "a name")?;
                self.groups.push(self.okta.add_group(name.clone(), []));
                (format!("Make the group {name}"), Vec::new())
            }
            Act::AssignGroup(place) => {
                let (key, name) = self.group(place)?;
                (format!("Assign the group {name}, and its people"), vec![Action::AssignGroup(key)])
            }
            Act::Push { group, memberships } => {
                let (key, name) = self.group(group)?;
                if self.okta.push(key) != PushState::None {
                    return Err("it is pushed already: use `Push now`".to_owned());
                }
                let with = if memberships { "with its members" } else { "without its members" };
                (
                    format!("Push the group {name}, {with}"),
                    vec![Action::PushGroup { group: key, memberships }],
                )
            }
            Act::PushNow(place) => {
                let (key, name) = self.pushed(place)?;
                (format!("Push {name} now"), vec![Action::PushNow(key)])
            }
            Act::Rename(place, new) => {
                let (key, name) = self.group(place)?;
                let new = typed(&new, "a name")?;
                (format!("Rename {name} to {new}"), vec![Action::RenameGroup(key, new)])
            }
            Act::SetMembers(place, wanted) => {
                let (group, name) = self.group(place)?;
                let before = self.places(group);
                let key = |place: &usize| self.person(*place).map(|(key, _)| key);
                let add = wanted.iter().filter(|it| !before.contains(it)).map(key);
                let add: Vec<_> = add.collect::<Result<_, _>>()?;
                let remove = before.iter().filter(|it| !wanted.contains(it)).map(key);
                let remove: Vec<_> = remove.collect::<Result<_, _>>()?;
                if add.is_empty() && remove.is_empty() {
                    return Err("nothing was changed: tick or untick somebody first".to_owned());
                }
                let sentence =
                    format!("Change who belongs to {name}: {} in, {} out", add.len(), remove.len());
                (sentence, vec![Action::ChangeMembers { group, add, remove }])
            }
            Act::StopPush(place) => {
                let (key, name) = self.pushed(place)?;
                (format!("Deactivate the push of {name}"), vec![Action::DeactivatePush(key)])
            }
            Act::ResumePush(place) => {
                let (key, name) = self.pushed(place)?;
                (format!("Activate the push of {name}"), vec![Action::ActivatePush(key)])
            }
            Act::Unlink { group, delete } => {
                let (key, name) = self.pushed(group)?;
                let (what, how) = if delete {
                    ("delete it in the app", Unlink::Delete)
                } else {
                    ("leave it in the app", Unlink::Leave)
                };
                (format!("Unlink {name}, and {what}"), vec![Action::UnlinkGroup(key, how)])
            }
            Act::Import => ("Import now".to_owned(), vec![Action::Import]),
            Act::Retry => ("Retry what failed".to_owned(), vec![Action::Retry]),
            Act::LoseAnswer => {
                self.loses_answer = true;
                ("The answer to the next request will be lost on its way".to_owned(), Vec::new())
            }
            other => unreachable!("{other:?} is of people"),
        })
    }

    /// Takes what has happened since into the latest step.
    fn note(&mut self) {
        let exchanges = self.okta.take_exchanges();
        let said = self.okta.take_texts();
        let notes = self.okta.take_notes();
        let Some(step) = self.steps.front_mut() else { return };
        step.exchange_count += exchanges.len();
        step.exchanges.extend(exchanges.into_iter().map(shown));
        while step.exchanges.len() > EXCHANGES_MAX {
            step.exchanges.pop_front();
        }
        step.said.extend(said);
        step.notes.extend(notes);
    }

    fn person(&self, place: usize) -> Result<(PersonKey, Standing), String> {
        let found = self.people.get(place);
        found.copied().ok_or_else(|| "there is nobody at this place: reload the page".to_owned())
    }

    /// Somebody who stands otherwise from now on.
    fn stand(&mut self, place: usize, standing: Standing) -> Result<PersonKey, String> {
        let (key, before) = self.person(place)?;
        if before == standing {
            return Err(
                "nothing is changed by this: reload the page, which shows how it is".to_owned()
            );
        }
        self.people[place].1 = standing;
        Ok(key)
    }

    fn group(&self, place: usize) -> Result<(GroupKey, String), String> {
        let key = self.groups.get(place).copied();
        let key = key.ok_or("there is no group at this place: reload the page")?;
        Ok((key, self.okta.group_name(key).to_owned()))
    }

    /// A group that is pushed, or was.
    fn pushed(&self, place: usize) -> Result<(GroupKey, String), String> {
        let (key, name) = self.group(place)?;
        if self.okta.push(key) == PushState::None {
            return Err(format!("the group `{name}` is not pushed: push it first"));
        }
        Ok((key, name))
    }

    /// Who belongs to a group, by place.
    fn places(&self, group: GroupKey) -> Vec<usize> {
        let members = self.okta.members(group);
        let people = self.people.iter().enumerate();
        people.filter(|(_, (key, _))| members.contains(key)).map(|(place, _)| place).collect()
    }

    fn name(&self, person: PersonKey) -> String {
        let attributes = self.okta.attributes(person);
        attributes.get(&Field::UserName).cloned().unwrap_or_default()
    }
}

/// What somebody typed; `what` is what it should be.
fn typed(text: &str, what: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > TYPED_MAX || text.chars().any(char::is_control) {
        return Err(format!("give {what} of 1 to {TYPED_MAX} characters"));
    }
    Ok(text.to_owned())
}

/// As Okta has it: whoever joins has a user name, which is an e-mail address, and two names.
fn attributes(profile: &Profile) -> Result<Attributes, String> {
    let user_name = typed(&profile.user_name, "a user name")?;
    if !user_name.contains('@') {
        return Err("Okta's user names are e-mail addresses: give one, such as `ana@acme.example`"
            .to_owned());
    }
    let given_name = typed(&profile.given_name, "a first name")?;
    let family_name = typed(&profile.family_name, "a last name")?;
    let mut attributes = Attributes::from([
        (Field::Email, user_name.clone()),
        (Field::UserName, user_name),
        (Field::DisplayName, format!("{given_name} {family_name}")),
        (Field::GivenName, given_name),
        (Field::FamilyName, family_name),
        (Field::Locale, "en-US".to_owned()),
    ]);
    for (field, text) in [
        (Field::Title, &profile.title),
        (Field::Department, &profile.department),
        (Field::UserType, &profile.user_type),
    ] {
        if !text.trim().is_empty() {
            attributes.insert(field, typed(text, "a value")?);
        }
    }
    Ok(attributes)
}

fn profile(attributes: &Attributes) -> Profile {
    let text = |field: Field| attributes.get(&field).cloned().unwrap_or_default();
    Profile {
        user_name: text(Field::UserName),
        given_name: text(Field::GivenName),
        family_name: text(Field::FamilyName),
        title: text(Field::Title),
        department: text(Field::Department),
        user_type: text(Field::UserType),
    }
}

fn shown(exchange: report::Exchange) -> Exchange {
    let report::Exchange { number, request, answer, verdict, findings } = exchange;
    let parameters = request.parameters().into_iter();
    let query: Vec<_> = parameters.map(|(name, value)| format!("{name}={value}")).collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    let response = answer.as_ref().ok();
    Exchange {
        number,
        method: request.method.as_str(),
        path: format!("{}{query}", request.path()),
        body: body(&request.body),
        request_id: response.and_then(|it| it.header("x-request-id")).map(str::to_owned),
        answer: response.and_then(|it| body(&it.body)),
        milliseconds: response
            .map_or(0, |it| u64::try_from(it.elapsed.as_millis()).unwrap_or(u64::MAX)),
        status: match answer {
            Ok(response) => Ok(response.status),
            Err(NoAnswer::Timeout) => Err("no answer".to_owned()),
            Err(NoAnswer::Connection(reason)) => Err(format!("no connection: {reason}")),
        },
        verdict: verdict.as_str(),
        findings: findings.into_iter().map(|finding| finding.text).collect(),
    }
}

/// A body with a line for each attribute, without its password.
fn body(bytes: &[u8]) -> Option<String> {
    if bytes.is_empty() {
        return None;
    }
    let text = match serde_json::from_slice::<Value>(bytes) {
        Ok(mut value) => {
            leave_out_passwords(&mut value);
            serde_json::to_string_pretty(&value).unwrap_or_default()
        }
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    };
    match text.char_indices().nth(BODY_MAX) {
        Some((end, _)) => Some(format!("{}\n… and more", &text[..end])),
        None => Some(text),
    }
}

fn leave_out_passwords(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                if name == "password" {
                    *value = "…".into();
                } else {
                    leave_out_passwords(value);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(leave_out_passwords),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_listens_everywhere_is_reached_here() {
        let of = |text: &str| Oktas::of(text.parse().unwrap()).address.to_string();
        assert_eq!(of("0.0.0.0:84"), "127.0.0.1:84");
        assert_eq!(of("[::]:84"), "[::1]:84");
        assert_eq!(of("192.0.2.7:84"), "192.0.2.7:84");
    }

    #[test]
    fn passwords_are_not_shown() {
        let shown =
            body(br#"{"password":"x1","Operations":[{"value":{"password":"x2"}}]}"#).unwrap();
        assert!(!shown.contains("x1") && !shown.contains("x2"), "{shown}");
        assert_eq!(body(b""), None);
        let long = format!("\"{}\"", "ä".repeat(BODY_MAX * 2));
        assert!(body(long.as_bytes()).unwrap().ends_with("… and more"));
    }
}
