//! What the pages of the portal show.

use askama::{Error, Template};
use directory::client::{Known, Span};
use directory::requests::{BodyKept, Entry};
use directory::{
    AfterDisconnect, DirectoryState, HoldKind, HoldState, MemberRole, PortalFeature,
    PortalFeatures, Provider, UserId,
};
use serde_json::json;
use store::{MinuteOfRequests, RequestRecord, Standing, UserRecord};

use super::{at, branded, frame, framed};
use crate::guides::{self, Values};
use crate::pages::directory::activity::{
    Activity, Asked as RequestsAsked, BodyShown, RequestPage, Row as RequestRow,
};
use crate::pages::directory::connection::Connection;
use crate::pages::directory::groups::{Asked as GroupsAsked, Group, GroupsPage, Row as GroupRow};
use crate::pages::directory::live::Live;
use crate::pages::directory::people::{
    Asked, Happened, PeoplePage, Person, Row as PersonRow, What, flat,
};
use crate::pages::directory::set_up::{SetUp, Shown, TokenShown};
use crate::pages::directory::status::Status;
use crate::pages::directory::tokens::{
    Made, Row as TokenRow, Standing as TokenStanding, TokensPage,
};
use crate::pages::parts::{Copyable, Count, Frame, Sentence};
use crate::pages::pictures::requests_pictured;
use crate::pages::portal::Inside;
use crate::pages::portal::choose::{Card, Choose, Connect, Way};
use crate::pages::portal::home::Home;
use crate::pages::portal::open::{Closed, Welcome, Why};
use crate::pages::visitor::{Reader, Within};

pub(super) const HOME: &str = "/portal/link-01kc2x4n0s0000000000000001";
pub(super) const DIRECTORY: &str = "dir-01kc2x4n0s0000000000000001";
pub(super) const URL: &str = "https://roster.example.com/scim/v2/dir-01kc2x4n0s0000000000000001";
pub(super) const TOKEN: &str =
    "roster-scim-4f1d0c9b2e7a8d6f3c5b1a0e9d8c7b6a5f4e3d2c1b0a9f8e7d6c5b4a3f2e1d0c";
pub(super) const USER: &str = "019b8d4a-0000-7000-8000-000000000021";

pub(super) type Html = Result<String, Error>;

pub(super) fn add_all(add: &mut impl FnMut(&str, &str, Html)) {
    let welcome = |frame: Frame, hours, features| Welcome {
        frame,
        organization: "Acme Industries".to_owned(),
        expires_at: at("2026-11-29T16:00:00Z"),
        features,
        hours_when_opened: hours,
    };
    let (all, people) = (PortalFeatures::all(), looking("").features);
    add("portal/welcome", "lasting", welcome(frame(), None, all.clone()).render());
    add("portal/welcome", "branded", welcome(branded(), None, all).render());
    add("portal/welcome", "one-time", welcome(frame(), Some(12), people).render());
    for (special, why) in [
        ("unknown", Why::Unknown),
        ("elsewhere", Why::OpenElsewhere),
        ("expired", Why::Expired),
        ("revoked", Why::Revoked),
    ] {
        add("portal/closed", special, Closed { frame: framed(), why }.render());
    }
    for (special, inside, connections) in [
        ("empty", inside(""), Vec::new()),
        ("filled", inside(""), connections()),
        ("looking", looking(""), connections()),
        ("looking-empty", looking(""), Vec::new()),
    ] {
        let live = live("portal/home", special);
        add("portal/home", special, Home { frame: frame(), inside, connections, live }.render());
    }
    of_choosing(add);
    of_setting_up(add);
    of_status(add);
    of_people(add);
    of_groups(add);
    of_activity(add);
    of_tokens(add);
}

fn inside(section: &str) -> Inside {
    Inside {
        home: HOME.to_owned(),
        organization: "Acme Industries".to_owned(),
        expires_at: at("2026-11-29T16:00:00Z"),
        features: PortalFeatures::all(),
        section: section.to_owned(),
    }
}

/// With a link that lets its reader see people, and nothing else.
fn looking(section: &str) -> Inside {
    let features = PortalFeatures::new([PortalFeature::People.as_str()]).expect("a feature");
    Inside { features, ..inside(section) }
}

/// The same, before a page of a directory.
pub(super) fn reader(section: &str) -> Reader {
    of_inside(inside(section))
}

fn looking_reader(section: &str) -> Reader {
    of_inside(looking(section))
}

fn of_inside(inside: Inside) -> Reader {
    Reader {
        organization: inside.organization.clone(),
        section: inside.section.clone(),
        within: Within::Portal(inside),
    }
}

/// The page itself, as the photographer serves it.
pub(super) fn live(name: &str, special: &str) -> Live {
    Live { listen: "/news".to_owned(), page: format!("/{name}-{special}.html") }
}

pub(super) fn connections() -> Vec<Connection> {
    use DirectoryState::{Connected, Failing, Paused, Silent, Waiting};

    let with = |name: &str, provider, state, active_users, users, groups| Connection {
        name: name.to_owned(),
        provider,
        standing: if state == Paused { Standing::Paused } else { Standing::Open },
        state,
        active_users,
        users,
        groups,
        last_contact_at: (users > 0).then(|| at("2026-11-22T15:58:00Z")),
        last_change_at: (users > 0).then(|| at("2026-11-22T15:40:00Z")),
        refused_with: (state == Failing).then_some(403),
        ..connection()
    };
    vec![
        with("Okta", Provider::Okta, Connected, 1_204, 1_311, 38),
        with("Entra of the subsidiary", Provider::Entra, Waiting, 0, 0, 0),
        with("Contractors", Provider::JumpCloud, Failing, 77, 80, 4),
        with("Old Okta", Provider::Okta, Silent, 12, 12, 1),
        with("Test", Provider::Custom, Paused, 3, 3, 0),
    ]
}

/// One that was heard of lately.
pub(super) fn connection() -> Connection {
    Connection {
        id: DIRECTORY.parse().expect("an id"),
        address: format!("{HOME}/directories/{DIRECTORY}"),
        name: "Okta".to_owned(),
        provider: Provider::Okta,
        standing: Standing::Open,
        state: DirectoryState::Connected,
        disconnected: None,
        hold: None,
        active_users: 1_204,
        users: 1_311,
        groups: 38,
        event_number: 4_711,
        last_contact_at: Some(at("2026-11-22T15:58:00Z")),
        last_change_at: Some(at("2026-11-22T15:40:00Z")),
        refused_with: None,
    }
}

/// One that was never heard of.
pub(super) fn waiting() -> Connection {
    Connection {
        state: DirectoryState::Waiting,
        active_users: 0,
        users: 0,
        groups: 0,
        last_contact_at: None,
        last_change_at: None,
        ..connection()
    }
}

fn of(provider: Provider) -> Connection {
    Connection { name: provider.title().to_owned(), provider, ..connection() }
}

fn of_choosing(add: &mut impl FnMut(&str, &str, Html)) {
    for (special, begun) in [("empty", Vec::new()), ("begun", vec![waiting()])] {
        let choose = Choose { frame: frame(), inside: inside(""), cards: Card::all(), begun };
        add("portal/choose", special, choose.render());
    }
    for (special, provider, is_wrong) in [
        ("okta", Provider::Okta, false),
        ("custom", Provider::Custom, false),
        ("wrong", Provider::Okta, true),
    ] {
        let name = if is_wrong { String::new() } else { provider.title().to_owned() };
        let ways = Way::all(provider, "okta-saml");
        let connect =
            Connect { frame: frame(), inside: inside(""), provider, ways, name, is_wrong };
        add("portal/connect", special, connect.render());
    }
}

/// Kinds of traffic, mistakes and marks, each seen a minute after the other.
fn known(sightings: &[&str], traps: &[&str], marks: &[&str]) -> Known {
    let begin = at("2026-11-22T14:02:11Z").0.as_microsecond();
    let span = |minute: usize| {
        let at = begin + i64::try_from(minute).expect("few") * 60_000_000;
        let request = format!("req-01kc2x4n0s00000000000000{minute:02}");
        Span {
            first_at: at,
            first_request: request.clone(),
            last_at: at,
            last_request: request,
            count: 1,
        }
    };
    let mut known = Known::default();
    for (names, into) in
        [(sightings, &mut known.sightings), (traps, &mut known.traps), (marks, &mut known.marks)]
    {
        let spans = names.iter().enumerate();
        into.extend(spans.map(|(minute, name)| ((*name).to_owned(), span(minute))));
    }
    known
}

fn of_setting_up(add: &mut impl FnMut(&str, &str, Html)) {
    let some = ["credentials", "person", "update"];
    let all = [
        "credentials",
        "person",
        "update",
        "deactivation",
        "reactivation",
        "group",
        "membership",
        "import",
    ];
    let skipped = ["credentials", "person", "update", "group", "membership"];
    let okta = ["okta-id", "user-patch", "group-patch"];
    let traps = ["token-without-bearer", "wrong-path", "same-group"];
    let mistaken = known(&some, &traps, &["okta-id", "user-put", "group-put"]);
    let nothing = Known::default;
    let before = || TokenShown::Before("1d0c".to_owned(), at("2026-11-22T13:58:00Z"));
    let once = || TokenShown::Once(Copyable::new("token", TOKEN));
    let unknown = "the token is not known. Paste it again, or make a new one";
    let refused = request(401, "list users", Some(unknown));
    for (special, name, known, connection, token, failed) in [
        ("empty", "okta-template", nothing(), waiting(), TokenShown::None, None),
        ("made", "okta-wizard", nothing(), waiting(), once(), None),
        ("refused", "okta-template", nothing(), waiting(), before(), Some(refused)),
        ("filled", "okta-template", known(&some, &[], &okta), connection(), before(), None),
        ("skipped", "okta-template", known(&skipped, &[], &okta), connection(), before(), None),
        ("done", "okta-template", known(&all, &[], &okta), connection(), before(), None),
        ("mistaken", "okta-template", mistaken.clone(), connection(), before(), None),
        ("member", "okta-template", mistaken.clone(), connection(), before(), None),
        ("another", "entra", mistaken, of(Provider::Entra), before(), None),
        ("custom", "any", nothing(), of(Provider::Custom), once(), None),
    ] {
        let guide = guides::named(name).expect("a guide");
        let shown = Shown {
            values: Values {
                url: URL,
                token: matches!(token, TokenShown::Once(_)).then_some(TOKEN),
                organization: "Acme Industries",
                vendor: "Roster",
                directory: DIRECTORY,
            },
            known: &known,
        };
        let mut heard = shown.heard(guide, connection.provider);
        heard.failed = failed;
        let set_up = SetUp {
            frame: frame(),
            reader: match special {
                "member" => super::directory_pages::reader("set-up", MemberRole::Owner),
                _ => reader("set-up"),
            },
            live: live("directory/set-up", special),
            guide: shown.instructions(guide),
            others: guides::of(connection.provider).filter(|it| it.name != name).collect(),
            base_url: Copyable::new("base-url", URL),
            connection,
            token,
            heard,
        };
        add("directory/set-up", special, set_up.render());
    }
}

fn of_status(add: &mut impl FnMut(&str, &str, Html)) {
    let of_state = |state| Connection { state, ..connection() };
    let paused = |standing| Connection { standing, ..of_state(DirectoryState::Paused) };
    let disconnected = |people| Connection {
        disconnected: Some((people, people == AfterDisconnect::Deactivate)),
        ..paused(Standing::Paused)
    };
    let held =
        |kind, state| Connection { hold: Some((kind, state, "/".to_owned())), ..connection() };
    let failing = || Connection { refused_with: Some(403), ..of_state(DirectoryState::Failing) };
    for (special, reader, connection, failures) in [
        ("waiting", reader(""), waiting(), Vec::new()),
        ("connected", reader(""), connection(), Vec::new()),
        ("silent", reader(""), of_state(DirectoryState::Silent), Vec::new()),
        ("failing", reader(""), failing(), failures()),
        ("paused", reader(""), paused(Standing::Paused), Vec::new()),
        ("switched-off", reader(""), paused(Standing::SwitchedOff), Vec::new()),
        ("disconnected", reader(""), disconnected(AfterDisconnect::Freeze), Vec::new()),
        ("held", reader(""), held(HoldKind::Brake, HoldState::Held), Vec::new()),
        ("rejected", reader(""), held(HoldKind::Brake, HoldState::Rejected), Vec::new()),
        ("shadow", reader(""), held(HoldKind::Shadow, HoldState::Held), Vec::new()),
        ("losing-access", reader(""), disconnected(AfterDisconnect::Deactivate), Vec::new()),
        ("looking", looking_reader(""), failing(), Vec::new()),
        ("looking-waiting", looking_reader(""), waiting(), Vec::new()),
    ] {
        let detected = "Okta, an app of the catalogue or a template (it sends PATCH)";
        let status = Status {
            frame: framed(),
            reader,
            detected: connection.last_contact_at.map(|_| detected.to_owned()),
            connection,
            live: live("directory/status", special),
            base_url: Copyable::new("base-url", URL),
            requests: (special != "looking").then(|| {
                let failed = u64::from(special == "failing");
                let minute = |it: u64| MinuteOfRequests { all: it * it % 23, failed };
                requests_pictured(&(0..60).map(|it| Some(minute(it))).collect::<Vec<_>>())
            }),
            pace: (special == "connected").then_some(Count(412)),
            failures,
        };
        add("directory/status", special, status.render());
    }
}

pub(super) fn request(status: u16, tried: &str, detail: Option<&str>) -> RequestRow {
    let record = RequestRecord {
        place: 1,
        request_id: "req-01kc2x4n0s0000000000000001".to_owned(),
        directory_id: DIRECTORY.parse().expect("an id"),
        organization_id: "org-01kc2x4n0s0000000000000001".parse().expect("an id"),
        status,
        begun_at: at("2026-11-22T14:02:11Z").0,
        duration_us: 1_840,
        entry: Entry {
            method: "POST".to_owned(),
            path: format!("/scim/v2/{DIRECTORY}/Users"),
            tried: tried.to_owned(),
            detail: detail.map(str::to_owned),
            ..Entry::default()
        },
    };
    RequestRow::new(record, &connection().address)
}

pub(super) fn failures() -> Vec<RequestRow> {
    let taken = "`userName` is already taken by another user of this directory. Link or rename one \
                 of the two, then retry the task";
    vec![
        request(409, "create the user `ana@acme.test`", Some(taken)),
        request(403, "change the user `bo@acme.test`", Some("the token may only read")),
        request(401, "list users", None),
    ]
}

fn of_people(add: &mut impl FnMut(&str, &str, Html)) {
    for (special, connection, q, people) in [
        ("empty", waiting(), "", Vec::new()),
        ("nobody", connection(), "zoe", Vec::new()),
        ("filled", connection(), "", people()),
    ] {
        let people = PeoplePage {
            frame: frame(),
            reader: reader("people"),
            connection,
            live: live("directory/people", special),
            asked: Asked { q: q.to_owned(), ..Asked::default() },
            next: people.first().map(|_| HOME.to_owned()),
            table: format!("{HOME}/people.csv"),
            people,
        };
        add("directory/people", special, people.render());
    }
    let address = connection().address;
    let happened = |time: &str, what, by: &str| Happened {
        at: at(time),
        what,
        by: by.to_owned(),
        request: (by == "token").then(|| format!("{address}/activity/req-1")),
    };
    let group = |name: &str| (format!("{address}/groups/{name}"), name.to_owned());
    let much = vec![
        happened("2026-11-20T09:00:00Z", What::Created, "token"),
        happened("2026-11-20T09:02:00Z", What::Joined("Design-EU".to_owned()), "token"),
        happened("2026-11-21T09:00:00Z", What::Changed("title".to_owned()), "api_key"),
        happened("2026-11-21T10:00:00Z", What::Deactivated, "token"),
        happened("2026-11-21T11:00:00Z", What::Reactivated, "portal_link"),
        happened("2026-11-21T12:00:00Z", What::Left("Sales".to_owned()), "server"),
        happened("2026-11-21T13:00:00Z", What::Deleted, "member"),
        happened("2026-11-21T13:00:00Z", What::Other("directory.user.seen".to_owned()), ""),
    ];
    let little = vec![happened("2026-11-20T09:00:00Z", What::Created, "token")];
    for (special, reader, groups, happened, is_active) in [
        ("filled", reader("people"), vec![group("Design-EU"), group("Everybody")], much, true),
        ("empty", looking_reader("people"), Vec::new(), little, false),
    ] {
        let sees_requests = reader.sees(PortalFeature::Activity);
        let said = serde_json::from_str(&user(0).text).expect("JSON");
        let person = Person {
            frame: frame(),
            reader,
            connection: connection(),
            live: live("directory/person", special),
            id: Copyable::new("user-id", USER),
            row: PersonRow { is_active, ..PersonRow::new(&user(0), &address) },
            created_at: at("2026-11-20T09:00:00Z"),
            attributes: flat(&said),
            groups,
            next: sees_requests.then(|| format!("{address}/people/{USER}?after=50")),
            activity: sees_requests.then(|| format!("{address}/activity?q={USER}")),
            happened,
            roles: Vec::new(),
            more: None,
        };
        add("directory/person", special, person.render());
    }
}

const PEOPLE: [(&str, &str); 4] =
    [("Ana", "Lima"), ("Bo", "Lind"), ("Chidi", "Okafor"), ("Dunja", "Weißenberger-Hohenstein")];

pub(super) fn user(number: usize) -> UserRecord {
    let (given, family) = PEOPLE[number];
    let address = format!("{}.{}@acme.test", given.to_lowercase(), family.to_lowercase());
    let said = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": address,
        "externalId": format!("00u{number}abcdefghijklmnop"),
        "active": number != 2,
        "displayName": format!("{given} {family}"),
        "name": { "givenName": given, "familyName": family },
        "emails": [{ "value": address, "type": "work", "primary": true }],
        "title": "Designer",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {
            "department": "Design",
            "manager": { "value": "7", "displayName": "Bo Lind" },
        },
    });
    UserRecord {
        id: UserId::parse(USER).expect("an id"),
        text: said.to_string(),
        is_active: number != 2,
        version: 3,
        created_at: at("2026-11-20T09:00:00Z").0,
        modified_at: at("2026-11-22T14:02:11Z").0,
        groups: Vec::new(),
    }
}

pub(super) fn people() -> Vec<PersonRow> {
    let address = connection().address;
    (0..PEOPLE.len()).map(|number| PersonRow::new(&user(number), &address)).collect()
}

pub(super) fn groups() -> Vec<GroupRow> {
    let row = |(members, name): (u64, &str)| GroupRow {
        address: format!("{}/groups/{name}", connection().address),
        name: name.to_owned(),
        members,
        changed_at: at("2026-11-22T14:02:11Z"),
    };
    [(1_204, "Everybody"), (4, "Design-EU"), (0, "Nobody")].map(row).into()
}

fn of_groups(add: &mut impl FnMut(&str, &str, Html)) {
    for (special, connection, wanted, groups) in [
        ("empty", waiting(), "", Vec::new()),
        ("nobody", connection(), "Sal", Vec::new()),
        ("filled", connection(), "", groups()),
    ] {
        let groups = GroupsPage {
            frame: frame(),
            reader: reader("groups"),
            connection,
            live: live("directory/groups", special),
            asked: GroupsAsked { q: wanted.to_owned(), ..GroupsAsked::default() },
            next: groups.first().map(|_| HOME.to_owned()),
            table: format!("{HOME}/groups.csv"),
            groups,
        };
        add("directory/groups", special, groups.render());
    }
    for (special, which, people) in [("empty", 2, Vec::new()), ("filled", 1, people())] {
        let group = Group {
            frame: frame(),
            reader: reader("groups"),
            connection: connection(),
            live: live("directory/group", special),
            id: Copyable::new("group-id", USER),
            row: groups().remove(which),
            created_at: at("2026-11-20T09:00:00Z"),
            external_id: people.first().map(|_| "00g1abcdefghijklmnop".to_owned()),
            next: people.first().map(|_| HOME.to_owned()),
            people,
            happened: vec![Happened {
                at: at("2026-11-20T09:00:00Z"),
                what: What::Taken("Ana Lima".to_owned()),
                by: "token".to_owned(),
                request: None,
            }],
            later: None,
            activity: None,
        };
        add("directory/group", special, group.render());
    }
}

fn of_activity(add: &mut impl FnMut(&str, &str, Html)) {
    let mixed = || {
        let mut rows = failures();
        rows.insert(1, request(201, "create the user `chidi.okafor@acme.test`", None));
        rows.push(request(204, "change the group `Design-EU`", None));
        rows
    };
    for (special, wanted, failed_only, rows) in [
        ("empty", "", false, Vec::new()),
        ("nobody", "zoe@acme.test", false, Vec::new()),
        ("nothing-failed", "", true, Vec::new()),
        ("filled", "", false, mixed()),
        ("failed", "", true, failures()),
    ] {
        let activity = Activity {
            frame: frame(),
            reader: reader("activity"),
            connection: connection(),
            live: live("directory/activity", special),
            asked: RequestsAsked {
                q: wanted.to_owned(),
                show: if failed_only { "failed" } else { "" }.to_owned(),
                ..RequestsAsked::default()
            },
            next: rows.first().map(|_| HOME.to_owned()),
            rows,
        };
        add("directory/activity", special, activity.render());
    }
    let body = |text: Option<&str>| {
        let kept = BodyKept { bytes: 412, is_whole: true, is_unreadable: false };
        Some(BodyShown::new(&kept, text))
    };
    let command =
        format!("curl -X POST '{URL}/Users' -H \"Authorization: Bearer $TOKEN\" --data-raw '{{}}'");
    let said = r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"409"}"#;
    for (special, row, request, answer) in [
        ("failed", failures().remove(0), body(Some(&user(0).text)), body(Some(said))),
        ("done", request(204, "change the group `Design-EU`", None), body(None), None),
    ] {
        let page = RequestPage {
            frame: frame(),
            reader: reader("activity"),
            connection: connection(),
            live: live("directory/request", special),
            id: Copyable::new("request-id", row.id.clone()),
            method: "POST".to_owned(),
            path: format!("/scim/v2/{DIRECTORY}/Users"),
            milliseconds: "1.9".to_owned(),
            client_address: Some("192.0.2.7".to_owned()),
            user_agent: Some("Okta SCIM Client 1.0.0".to_owned()),
            straightened: answer
                .iter()
                .map(|_| Sentence("wrote `active` as text".to_owned()))
                .collect(),
            command: answer.as_ref().map(|_| Copyable::new("command", command.clone())),
            again_of: None,
            can_be_repeated: false,
            refused: None,
            row,
            request,
            answer,
        };
        add("directory/request", special, page.render());
    }
}

fn of_tokens(add: &mut impl FnMut(&str, &str, Html)) {
    use TokenStanding::{Ended, EndsSoon, InUse, Superseded, Unused};

    let token = |(number, standing): (usize, TokenStanding)| TokenRow {
        id: format!("tok-01kc2x4n0s000000000000000{number}"),
        last_four: format!("4f2{number}"),
        created_at: at("2025-11-28T09:00:00Z"),
        expires_at: at("2026-11-28T09:00:00Z"),
        last_used_at: (standing != Unused).then(|| at("2026-11-22T15:58:00Z")),
        standing,
    };
    let made = |is_exchange: bool| {
        let instead_of = is_exchange.then(|| ("1d0c".to_owned(), at("2026-11-29T16:00:00Z")));
        Some(Made { token: Copyable::new("token", TOKEN), instead_of })
    };
    for (special, standings, made) in [
        ("empty", vec![], None),
        ("filled", vec![InUse, Superseded, Ended], None),
        ("ends-soon", vec![EndsSoon], None),
        ("made", vec![Unused], made(false)),
        ("exchanged", vec![Unused, InUse], made(true)),
    ] {
        let page = TokensPage {
            frame: frame(),
            reader: reader("tokens"),
            connection: connection(),
            live: live("directory/tokens", special),
            tokens: standings.into_iter().enumerate().map(token).collect(),
            made,
            clients: None,
        };
        add("directory/tokens", special, page.render());
    }
}
