//! The simulator: a small Okta beside a directory, played by hand, and what comes of it. What was sent is
//! what went over HTTP to this server; what the app heard are its events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use directory::secret::{Secret, SecretHash, SecretKind};
use directory::{ApiScope, DirectoryId, OrganizationId, Provider, Settings as DirectorySettings};
use futures_util::stream;
use jiff::SignedDuration;
use serde_json::Value;
use store::{Credential, Cursor, EventFilter, EventRecord};

use super::{Dashboard, SignedIn, session_of};
use crate::Counter;
use crate::followers::Follower;
use crate::pages::directory::live::Live;
use crate::pages::form::Form;
use crate::pages::parts::{Frame, Sentence, When};
use crate::pages::{Stop, go_to, page_with};
use crate::problem::Problem;
use crate::settings::Settings;
use crate::simulations::{
    About, Account, Act, App, EVENTS_MAX, Exchange, Group, Heard, Kind, NotBegun, NotDone, Person,
    Picture, Profile, Push, SIMULATIONS_MAX, Simulation, Spoken, Standing, Step,
};

/// The organization of simulations that are for no customer.
const ORGANIZATION: &str = "Simulator";

/// What its directory is called.
const DIRECTORY: &str = "Simulated Okta";

/// Organizations that can be chosen.
const ORGANIZATIONS_MAX: u64 = 100;

/// How long the token of a directory is good that was made for a simulation.
const LIFETIME: SignedDuration = SignedDuration::from_hours(24);

/// How long a form waits for what it has sent.
const PATIENCE: Duration = Duration::from_secs(3);

/// Events that are read at once, and how often, before a page is shown.
const EVENTS_AT_ONCE: u64 = 200;
const READINGS_MAX: usize = 20;

/// How often it is looked whether the app heard something.
const LOOKING: Duration = Duration::from_secs(1);

/// How often a page is told that there is something new, at most.
const MOMENT: Duration = Duration::from_millis(250);

/// How often something is said where nothing is new: after this many looks.
const KEEPALIVE: u32 = 15;

/// For proxies that would gather a stream and hand it on in pieces.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Characters of an event that are shown.
const EVENT_MAX: usize = 3_000;

#[derive(Template)]
#[template(path = "dashboard/simulator.html")]
pub(crate) struct SimulatorPage {
    pub(crate) frame: Frame,
    pub(crate) signed_in: SignedIn,
    /// None, where this server has no provider to play.
    pub(crate) kinds: Vec<Kind>,
    pub(crate) running: Vec<RunningRow>,
    /// For which one may be begun: id and name.
    pub(crate) organizations: Vec<(String, String)>,
    pub(crate) has_room: bool,
    /// What was typed that is not right.
    pub(crate) base_url: String,
    pub(crate) wrong: Option<Wrong>,
}

impl SimulatorPage {
    pub(crate) fn may_play(&self) -> bool {
        self.signed_in.may(ApiScope::DirectoriesWrite)
    }

    /// What is wrong with the base URL or the token.
    pub(crate) fn refused(&self) -> Option<Sentence> {
        match &self.wrong {
            Some(Wrong::Typed(text)) => Some(Sentence(text.clone())),
            _ => None,
        }
    }

    /// A directory that somebody may be in.
    pub(crate) fn used(&self) -> Option<&Used> {
        match &self.wrong {
            Some(Wrong::Used(used)) => Some(used),
            _ => None,
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        !self.has_room
    }

    pub(crate) fn most() -> usize {
        SIMULATIONS_MAX
    }
}

/// Why no simulation begins.
pub(crate) enum Wrong {
    Typed(String),
    Used(Used),
}

/// A directory that a provider has spoken to.
pub(crate) struct Used {
    pub(crate) name: String,
    pub(crate) provider: &'static str,
    pub(crate) organization_id: String,
    pub(crate) organization: String,
    pub(crate) active_users: u64,
    pub(crate) last_contact_at: When,
}

/// A simulation of the list.
pub(crate) struct RunningRow {
    pub(crate) address: String,
    pub(crate) title: String,
    pub(crate) kind: &'static str,
    pub(crate) people: usize,
    pub(crate) groups: usize,
    pub(crate) begun_by: String,
    pub(crate) begun_at: When,
}

impl RunningRow {
    fn new(simulation: &Simulation) -> RunningRow {
        let picture = simulation.picture();
        RunningRow {
            address: address(simulation.number),
            title: simulation.about.title(),
            kind: simulation.about.kind.title,
            people: picture.people.len(),
            groups: picture.groups.len(),
            begun_by: simulation.about.begun_by.clone(),
            begun_at: When(simulation.begun_at),
        }
    }
}

impl About {
    /// By what it is known.
    pub(crate) fn title(&self) -> String {
        match &self.directory {
            Some(directory) => format!("{} of {}", directory.name, directory.organization),
            None => "Okta of nobody we know".to_owned(),
        }
    }
}

fn address(number: u64) -> String {
    format!("/dashboard/simulator/{number}")
}

/// `GET /dashboard/simulator`: what runs, and what can be begun.
pub(super) async fn list(dashboard: Dashboard) -> Result<Response, Stop> {
    all(dashboard, StatusCode::OK, None).await
}

async fn all(
    dashboard: Dashboard,
    status: StatusCode,
    wrong: Option<Wrong>,
) -> Result<Response, Stop> {
    let Dashboard { store, counter, frame, signed_in, form } = dashboard;
    let simulations = &counter.simulations;
    let found = store.organizations(None, ORGANIZATIONS_MAX).await?.into_iter();
    let organizations = found.filter(|it| it.name != ORGANIZATION);
    Ok(page_with(
        status,
        &SimulatorPage {
            frame,
            signed_in,
            kinds: simulations.kinds(),
            running: simulations.all().iter().map(|it| RunningRow::new(it)).collect(),
            organizations: organizations.map(|it| (it.id.to_string(), it.name)).collect(),
            has_room: simulations.has_room(),
            base_url: form.text("base_url").to_owned(),
            wrong,
        },
    ))
}

/// `POST /dashboard/simulator`: begins one in a directory made for it.
pub(super) async fn begin(dashboard: Dashboard) -> Result<Response, Stop> {
    let (store, counter) = (&dashboard.store, &dashboard.counter);
    let kind = chosen(&dashboard)?;
    // Nothing is made that nobody would speak to.
    if !counter.simulations.has_room() {
        return all(dashboard, StatusCode::CONFLICT, None).await;
    }
    let wanted = dashboard.form.text("organization");
    let organization = if wanted.is_empty() {
        match store.organizations_named(ORGANIZATION).await?.into_iter().next() {
            Some(found) => found,
            None => store.create_organization(ORGANIZATION.to_owned(), None).await?,
        }
    } else {
        let unknown = || Stop::from(Problem::not_found("organization"));
        let id: OrganizationId = wanted.parse().map_err(|_| unknown())?;
        store.organization(id).await?.ok_or_else(unknown)?
    };
    let settings = DirectorySettings::of(Provider::Okta);
    let name = DIRECTORY.to_owned();
    let made = store.create_directory(organization.id, name, Provider::Okta, settings).await?;
    let token = Secret::new(SecretKind::ScimToken, (counter.entropy)());
    store.create_token(made.id, &token, LIFETIME).await?;
    let spoken = Spoken {
        id: made.id,
        name: made.name,
        organization_id: organization.id,
        organization: organization.name,
    };
    let base_url = counter.settings.directory_base_url(made.id);
    let path = format!("{}/{}", counter.settings.scim_path(), made.id);
    let token = token.reveal().to_owned();
    let app = App { kind: kind.name.to_owned(), base_url: base_url.clone(), path, token };
    start(dashboard, app, kind, Some(spoken)).await
}

/// `POST /dashboard/simulator/connect`: begins one with what an IT admin is given.
pub(super) async fn connect(dashboard: Dashboard) -> Result<Response, Stop> {
    let kind = chosen(&dashboard)?;
    let (store, counter, form) = (&dashboard.store, &dashboard.counter, &dashboard.form);
    let (base_url, token) = (form.text("base_url"), form.text("token"));
    let wrong = |text: String| (StatusCode::UNPROCESSABLE_ENTITY, Some(Wrong::Typed(text)));
    let path = match path_of(&counter.settings, base_url) {
        Ok(path) => path,
        Err(why) => {
            let (status, wrong) = wrong(why);
            return all(dashboard, status, wrong).await;
        }
    };
    if token.is_empty() {
        let (status, wrong) = wrong("Paste the API token, as an IT admin does.".to_owned());
        return all(dashboard, status, wrong).await;
    }
    if !counter.simulations.has_room() {
        return all(dashboard, StatusCode::CONFLICT, None).await;
    }
    // A base URL that all share says whose it is by its token.
    let named = path.rsplit('/').next().and_then(|it| it.parse::<DirectoryId>().ok());
    let id = match named {
        Some(id) => Some(id),
        None => directory_of(counter, token).await?,
    };
    let found = match id {
        Some(id) => store.directory(id).await?,
        None => None,
    };
    let spoken = match &found {
        None => None,
        Some(found) => {
            let directory = &found.directory;
            let organization = store.organization(directory.organization_id).await?;
            Some(Spoken {
                id: directory.id,
                name: directory.name.clone(),
                organization_id: directory.organization_id,
                organization: organization.map(|it| it.name).unwrap_or_default(),
            })
        }
    };
    if let (Some(found), Some(spoken)) = (&found, &spoken)
        && let Some(at) = found.contact.last_at
        && form.text("sure") != "yes"
    {
        let used = Used {
            name: spoken.name.clone(),
            provider: found.directory.provider.title(),
            organization_id: spoken.organization_id.to_string(),
            organization: spoken.organization.clone(),
            active_users: found.active_user_count,
            last_contact_at: When(at),
        };
        return all(dashboard, StatusCode::CONFLICT, Some(Wrong::Used(used))).await;
    }
    let app = App {
        kind: kind.name.to_owned(),
        base_url: base_url.to_owned(),
        path,
        token: token.to_owned(),
    };
    start(dashboard, app, kind, spoken).await
}

/// Which directory a token belongs to.
async fn directory_of(counter: &Counter, token: &str) -> Result<Option<DirectoryId>, Stop> {
    Ok(match counter.access.directory(&SecretHash::of(token)).await? {
        Credential::Valid(found) => Some(found.id()),
        Credential::Expired(_, id) => Some(id),
        Credential::Unknown => None,
    })
}

/// The kind of app that was chosen.
fn chosen(dashboard: &Dashboard) -> Result<Kind, Stop> {
    let wanted = dashboard.form.text("kind");
    let kinds = dashboard.counter.simulations.kinds();
    kinds.into_iter().find(|kind| kind.name == wanted).ok_or(Stop::Unreadable)
}

async fn start(
    dashboard: Dashboard,
    app: App,
    kind: Kind,
    directory: Option<Spoken>,
) -> Result<Response, Stop> {
    let counter = &dashboard.counter;
    let begun_by = dashboard.signed_in.name.clone();
    let about = About { kind, base_url: app.base_url.clone(), directory, begun_by };
    match counter.simulations.begin(app, about, counter.access.now()) {
        Ok(number) => {
            if let Some(simulation) = counter.simulations.get(number) {
                // From here on it is heard what happens.
                listen(&dashboard, &simulation).await?;
            }
            Ok(go_to(&address(number)))
        }
        Err(NotBegun::Full) => all(dashboard, StatusCode::CONFLICT, None).await,
        Err(NotBegun::Wrong(why)) => {
            let wrong = Some(Wrong::Typed(why));
            all(dashboard, StatusCode::UNPROCESSABLE_ENTITY, wrong).await
        }
    }
}

/// The path of a base URL, where it is one of this server: elsewhere nothing is sent.
fn path_of(settings: &Settings, typed: &str) -> Result<String, String> {
    let typed = typed.trim_end_matches('/');
    let refused = |why: &str| {
        Err(format!(
            "{why} The simulator sends to this server and nowhere else: copy the base URL from the portal or from \
             a directory, such as `{}`.",
            settings.shared_base_url()
        ))
    };
    if typed.is_empty() {
        return refused("There is no base URL.");
    }
    let ours = settings.public_url();
    let begins = typed.get(..ours.len()).is_some_and(|it| it.eq_ignore_ascii_case(ours));
    let path = if begins { &typed[ours.len()..] } else { "" };
    if !path.starts_with('/') {
        return refused(&format!("`{typed}` is not an address of this server."));
    }
    let is_segment = |it: &str| {
        !matches!(it, "" | "." | "..")
            && it.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'.'))
    };
    let is_plain = path[1..].split('/').all(is_segment);
    if !is_plain || !(settings.is_scim(path) || settings.may_be_scim(path)) {
        return refused(&format!("Nobody speaks SCIM at `{path}`."));
    }
    Ok(path.to_owned())
}

#[derive(Template)]
#[template(path = "dashboard/simulation.html")]
pub(crate) struct SimulationPage {
    pub(crate) frame: Frame,
    pub(crate) signed_in: SignedIn,
    pub(crate) live: Live,
    pub(crate) address: String,
    pub(crate) about: About,
    pub(crate) begun_at: When,
    pub(crate) picture: Arc<Picture>,
    pub(crate) events: Vec<EventRow>,
    pub(crate) wrong: Option<Sentence>,
}

impl SimulationPage {
    pub(crate) fn may_play(&self) -> bool {
        self.signed_in.may(ApiScope::DirectoriesWrite)
    }

    /// Everybody, with whether they belong to a group: place and user name.
    pub(crate) fn candidates<'a>(
        &'a self,
        group: &'a Group,
    ) -> impl Iterator<Item = (usize, &'a str, bool)> {
        let people = self.picture.people.iter().enumerate();
        people.map(|(place, person)| {
            (place, person.profile.user_name.as_str(), group.members.contains(&place))
        })
    }

    /// The user names of those who belong to a group.
    pub(crate) fn names(&self, group: &Group) -> String {
        let member = |place: &usize| self.picture.people.get(*place);
        let members = group.members.iter().filter_map(member);
        members.map(|it| it.profile.user_name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

impl Person {
    pub(crate) fn is_assigned(&self) -> bool {
        matches!(self.account, Account::Assigned | Account::Pending | Account::Failed)
    }
}

impl Exchange {
    /// How it was answered, in a word.
    pub(crate) fn shown(&self) -> String {
        match &self.status {
            Ok(status) => status.to_string(),
            Err(why) => why.clone(),
        }
    }
}

impl Step {
    /// Requests that are not shown.
    pub(crate) fn left_out(&self) -> usize {
        self.exchange_count.saturating_sub(self.exchanges.len())
    }
}

/// An event, as the app hears it.
pub(crate) struct EventRow {
    pub(crate) id: String,
    pub(crate) number: u64,
    pub(crate) kind: String,
    pub(crate) at: When,
    /// Whom, or which group, it is about.
    pub(crate) about: String,
    pub(crate) data: String,
}

impl EventRow {
    pub(crate) fn new(event: &EventRecord, people: &[Person]) -> EventRow {
        let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        // Of a member, an event has the id.
        let member = data["member"]["value"].as_str();
        let member = people.iter().find(|it| it.id.is_some() && it.id.as_deref() == member);
        let member = member.map(|it| it.profile.user_name.clone());
        let user = text(&data["user"]["userName"]).or(member);
        let group = text(&data["group"]["displayName"]);
        let about = match (user, group) {
            (Some(user), Some(group)) => format!("{user} in {group}"),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => String::new(),
        };
        let mut shown = serde_json::to_string_pretty(&data).unwrap_or_default();
        if let Some((end, _)) = shown.char_indices().nth(EVENT_MAX) {
            shown.truncate(end);
            shown.push_str("\n… and more");
        }
        EventRow {
            id: event.event_id.clone(),
            number: event.number,
            kind: event.kind.clone(),
            at: When(event.occurred_at),
            about,
            data: shown,
        }
    }
}

/// `GET /dashboard/simulator/{simulation}`.
pub(super) async fn show(
    dashboard: Dashboard,
    Path(simulation): Path<String>,
) -> Result<Response, Stop> {
    let simulation = running(&dashboard.counter, &simulation)?;
    one(dashboard, &simulation, None).await
}

async fn one(
    dashboard: Dashboard,
    simulation: &Simulation,
    wrong: Option<String>,
) -> Result<Response, Stop> {
    let events = listen(&dashboard, simulation).await?;
    let Dashboard { frame, signed_in, .. } = dashboard;
    let address = address(simulation.number);
    let status = if wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok(page_with(
        status,
        &SimulationPage {
            frame,
            signed_in,
            live: Live { listen: format!("{address}/live"), page: address.clone() },
            address,
            about: simulation.about.clone(),
            begun_at: When(simulation.begun_at),
            picture: simulation.picture(),
            events,
            wrong: wrong.map(Sentence),
        },
    ))
}

/// What the app has heard since the simulation began: the latest first.
async fn listen(dashboard: &Dashboard, simulation: &Simulation) -> Result<Vec<EventRow>, Stop> {
    let Some(directory) = &simulation.about.directory else { return Ok(Vec::new()) };
    let mut heard = simulation.heard.lock().await;
    for _ in 0..READINGS_MAX {
        let filter = EventFilter::from(Some(directory.id));
        let after = Some(heard.cursor.clone());
        let Ok(page) = dashboard.store.events(after, filter, EVENTS_AT_ONCE).await? else {
            // The database was restored: what happens from now on is heard.
            heard.cursor = Cursor::presented(Cursor::END);
            break;
        };
        let has_more = page.has_more;
        take(&mut heard, page);
        if !has_more {
            break;
        }
    }
    let picture = simulation.picture();
    Ok(heard.events.iter().map(|event| EventRow::new(event, &picture.people)).collect())
}

fn take(heard: &mut Heard, page: store::EventPage) {
    heard.cursor = page.next;
    for event in page.events {
        heard.events.push_front(event);
    }
    heard.events.truncate(EVENTS_MAX);
}

fn running(counter: &Counter, simulation: &str) -> Result<Arc<Simulation>, Stop> {
    let found = simulation.parse().ok().and_then(|number| counter.simulations.get(number));
    found.ok_or_else(gone)
}

fn gone() -> Stop {
    Stop::from(Problem::new(
        StatusCode::NOT_FOUND,
        "not-found",
        "There is no such simulation",
        "it was ended, nobody did anything with it for half an hour, or it runs on another server",
        "Begin another one; the directory and its people are there as they were",
    ))
}

/// `POST /dashboard/simulator/{simulation}/act`: somebody does something.
pub(super) async fn act(
    dashboard: Dashboard,
    Path(simulation): Path<String>,
) -> Result<Response, Stop> {
    let simulation = running(&dashboard.counter, &simulation)?;
    let people = simulation.picture().people.len();
    let act = act_of(&dashboard.form, people).ok_or(Stop::Unreadable)?;
    if let Act::EnterToken(token) = &act {
        // Where all share a base URL, a token may lead to another directory, of which nobody was warned.
        let leads_to = directory_of(&dashboard.counter, token).await?;
        let own = simulation.about.directory.as_ref().map(|it| it.id);
        if leads_to.is_some() && leads_to != own {
            let why = "Nothing was done: this token is one of another directory. Begin another simulation for that.";
            return one(dashboard, &simulation, Some(why.to_owned())).await;
        }
    }
    match simulation.perform(act, PATIENCE).await {
        Ok(()) => Ok(go_to(&address(simulation.number))),
        Err(NotDone::Ended) => Err(gone()),
        Err(NotDone::Busy) => {
            let busy = "Too much of what you did before is still being sent, so nothing was done. Wait a moment, and do it again.";
            one(dashboard, &simulation, Some(busy.to_owned())).await
        }
        Err(NotDone::Wrong(why)) => {
            let why = format!("Nothing was done: {why}.");
            one(dashboard, &simulation, Some(why)).await
        }
    }
}

/// What a form says that is to be done. `people`: how many there are.
fn act_of(form: &Form, people: usize) -> Option<Act> {
    let of = || form.text("of").parse::<usize>().ok();
    Some(match form.text("act") {
        "test" => Act::TestCredentials,
        "token" => Act::EnterToken(form.text("token").to_owned()),
        "join" => Act::AddPerson(profile(form)),
        "edit" => Act::Edit(of()?, profile(form)),
        "assign" => Act::Assign(of()?),
        "unassign" => Act::Unassign(of()?),
        "suspend" => Act::Suspend(of()?),
        "unsuspend" => Act::Unsuspend(of()?),
        "deactivate" => Act::Deactivate(of()?),
        "bring-back" => Act::BringBack(of()?),
        "make-group" => Act::AddGroup(form.text("name").to_owned()),
        "assign-group" => Act::AssignGroup(of()?),
        "push" => Act::Push { group: of()?, memberships: true },
        "push-name" => Act::Push { group: of()?, memberships: false },
        "push-now" => Act::PushNow(of()?),
        "rename" => Act::Rename(of()?, form.text("name").to_owned()),
        "members" => {
            let is_ticked = |place: &usize| form.text(&format!("member-{place}")) == "yes";
            Act::SetMembers(of()?, (0..people).filter(is_ticked).collect())
        }
        "stop-push" => Act::StopPush(of()?),
        "resume-push" => Act::ResumePush(of()?),
        "unlink-delete" => Act::Unlink { group: of()?, delete: true },
        "unlink-leave" => Act::Unlink { group: of()?, delete: false },
        "import" => Act::Import,
        "retry" => Act::Retry,
        "lose" => Act::LoseAnswer,
        _ => return None,
    })
}

fn profile(form: &Form) -> Profile {
    let text = |name: &str| form.text(name).to_owned();
    Profile {
        user_name: text("user_name"),
        given_name: text("given_name"),
        family_name: text("family_name"),
        title: text("title"),
        department: text("department"),
        user_type: text("user_type"),
    }
}

/// `POST /dashboard/simulator/{simulation}/end`.
pub(super) async fn end(
    dashboard: Dashboard,
    Path(simulation): Path<String>,
) -> Result<Response, Stop> {
    let simulation = running(&dashboard.counter, &simulation)?;
    dashboard.counter.simulations.end(simulation.number);
    Ok(go_to("/dashboard/simulator"))
}

/// `GET /dashboard/simulator/{simulation}/live`: a stream that says when there is something new.
pub(super) async fn live(
    dashboard: Dashboard,
    Path(simulation): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Stop> {
    let simulation = running(&dashboard.counter, &simulation)?;
    let Dashboard { store, counter, .. } = dashboard;
    let Ok(place) = counter.followers.place(&store) else {
        // The page says that it is not live, and tries again.
        return Ok(StatusCode::SERVICE_UNAVAILABLE.into_response());
    };
    let session = SecretHash::of(session_of(&headers).unwrap_or_default());
    let number = simulation.number;
    let listener = Listener { counter, session, number, place, seen: None, looks: 0 };
    let mut response = Body::from_stream(stream::unfold(listener, Listener::next)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

/// Somebody whose page is live.
struct Listener {
    counter: Arc<Counter>,
    session: SecretHash,
    number: u64,
    place: Follower,
    /// How it looked, and the number of the directory's latest event.
    seen: Option<(Arc<Picture>, u64)>,
    /// Since something was said.
    looks: u32,
}

impl Listener {
    /// What is to be said next; nothing where the server is stopping, the simulation or the session has
    /// ended, or it cannot be looked. The browser connects anew, and is told why.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Listener)> {
        loop {
            if let Some((picture, _)) = &self.seen {
                let simulation = self.counter.simulations.get(self.number)?;
                let waiting = simulation.wait(picture, LOOKING);
                let (goes_on, is_there) = tokio::join!(self.place.rest(MOMENT), waiting);
                if !goes_on || !is_there {
                    return None;
                }
            }
            let store = self.counter.access.dashboard(&self.session).await.ok()??;
            let simulation = self.counter.simulations.get(self.number)?;
            let events = match &simulation.about.directory {
                Some(directory) => store.directory(directory.id).await.ok()?,
                None => None,
            };
            let now = (simulation.picture(), events.map_or(0, |it| it.event_number));
            let is_same =
                |before: &(Arc<Picture>, u64)| Arc::ptr_eq(&before.0, &now.0) && before.1 == now.1;
            let is_new = self.seen.as_ref().map(|before| !is_same(before));
            self.seen = Some(now);
            self.looks += 1;
            let said = match is_new {
                None => ": listening\n\n",
                Some(true) => "event: news\ndata:\n\n",
                Some(false) if self.looks >= KEEPALIVE => ": nothing new\n\n",
                Some(false) => continue,
            };
            self.looks = 0;
            return Some((Ok(Bytes::from_static(said.as_bytes())), self));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Limits;

    #[test]
    fn nothing_is_sent_to_other_servers_or_to_what_is_not_scim() {
        let settings = Settings::new("https://roster.example", "/scim/v2", Limits::default());
        let settings = settings.unwrap();
        let good = |typed: &str, path: &str| {
            assert_eq!(path_of(&settings, typed).as_deref(), Ok(path), "{typed}");
        };
        good("https://roster.example/scim/v2", "/scim/v2");
        good("https://ROSTER.example/scim/v2/", "/scim/v2");
        good("https://roster.example/scim/v2/dir-1", "/scim/v2/dir-1");
        // The version is often left out; the server says so.
        good("https://roster.example/scim", "/scim");
        for bad in [
            "",
            "roster.example/scim/v2",
            "https://evil.example/scim/v2",
            "https://roster.example.evil/scim/v2",
            "https://roster.example@evil.example/scim/v2",
            "https://roster.example:1/scim/v2",
            "http://roster.example/scim/v2",
            "https://roster.example",
            "https://roster.example/api/v1",
            "https://roster.example/scim/v2/../../api/v1",
            "https://roster.example/scim/v2/%2e%2e/api",
            "https://roster.example/scim/v2//x",
            "https://roster.example/scim/v2?a=b",
            "https://roster.example/scim/v2#a",
            "http://127.0.0.1:8484/scim/v2",
            "http://169.254.169.254/scim/v2",
            "ä",
        ] {
            let why = path_of(&settings, bad).unwrap_err();
            assert!(why.contains("to this server and nowhere else"), "{bad}: {why}");
        }
    }

    #[test]
    fn forms_say_what_is_done() {
        let act = |form: &str| act_of(&Form::read(form.as_bytes()).unwrap(), 3);
        assert_eq!(act("act=assign&of=2"), Some(Act::Assign(2)));
        assert_eq!(act("act=assign"), None);
        assert_eq!(act("act=nothing&of=2"), None);
        assert_eq!(
            act("act=members&of=0&member-0=yes&member-2=yes&member-3=yes&member-1=no"),
            Some(Act::SetMembers(0, vec![0, 2]))
        );
    }
}
