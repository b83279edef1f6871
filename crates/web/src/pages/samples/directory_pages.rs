//! What the pages of a directory show in the dashboard, and what else is about directories there.

use askama::Template;
use directory::{DomainMode, MemberRole, SeatMode, Settings};
use serde_json::json;
use store::EventRecord;

use super::portal::{
    DIRECTORY, Html, connection, failures, groups, live, people, request, user, waiting,
};
use super::{at, frame, signed_in};
use crate::pages::dashboard::organizations::{DoneRow, Guards};
use crate::pages::dashboard::requests::{Directory, Of, RequestsPage};
use crate::pages::directory::activity::{Activity, Asked as RequestsAsked, RequestPage};
use crate::pages::directory::connection::Connection;
use crate::pages::directory::events::{EventPage, EventsPage, Row as EventRow, Told};
use crate::pages::directory::groups::{Asked as GroupsAsked, GroupsPage};
use crate::pages::directory::people::{
    Asked, ErasurePage, More, PeoplePage, Person, Row as PersonRow, flat,
};
use crate::pages::directory::settings::SettingsPage;
use crate::pages::directory::tokens::{ClientRow, Clients, SecretRow, TokensPage};
use crate::pages::parts::{Copyable, Refused, Sentence};
use crate::pages::visitor::{Reader, Within};
use crate::problem::Problem;

const HOME: &str = "/dashboard/organizations/org-01kc2x4n0s0000000000000001";

pub(super) fn reader(section: &str, role: MemberRole) -> Reader {
    Reader {
        organization: "Acme Industries".to_owned(),
        section: section.to_owned(),
        within: Within::Dashboard(signed_in("organizations", role), HOME.to_owned()),
    }
}

fn here(connection: Connection) -> Connection {
    Connection { address: format!("{HOME}/directories/{DIRECTORY}"), ..connection }
}

pub(super) fn guards() -> Guards {
    Guards {
        seats: Some(50),
        seat_mode: SeatMode::Refuse,
        active: 48,
        domain_mode: DomainMode::Warn,
        domains: "acme.test\nacme.example".to_owned(),
        outsiders: 2,
    }
}

pub(super) fn refused() -> Refused {
    Refused::from(&Problem::invalid("the seat limit is `many`", "Write a number"))
}

pub(super) fn done() -> Vec<DoneRow> {
    let row = |action: &str, object: &str, by: &str| DoneRow {
        at: at("2026-11-22T14:02:11Z"),
        action: action.to_owned(),
        object: object.to_owned(),
        by: by.to_owned(),
    };
    vec![row("directory.created", "Okta", "Ana Lima"), row("portal_link.created", "", "api_key")]
}

pub(super) fn add_all(add: &mut impl FnMut(&str, &str, Html)) {
    let (owner, support) = (MemberRole::Owner, MemberRole::Support);
    let address = here(connection()).address;
    for (special, role) in [("member", owner), ("support", support)] {
        of_lists(add, special, role);
        of_person(add, special, role);
        of_settings(add, special, role);
        of_tokens(add, special, role);
    }
    of_events(add, &address);
    of_requests(add, &address);
    for (special, finished_at) in [("running", None), ("done", Some(at("2026-11-22T14:03:00Z")))] {
        let erasure = ErasurePage {
            frame: frame(),
            reader: reader("erasures", owner),
            connection: here(connection()),
            live: live("directory/erasure", special),
            id: Copyable::new("erasure-id", "ers-01kc2x4n0s0000000000000001"),
            user_ids: vec!["019b8d4a-0000-7000-8000-000000000021".to_owned()],
            begun_at: at("2026-11-22T14:02:11Z"),
            finished_at,
            by: "Ana Lima".to_owned(),
            erased: [
                ("People deleted", 1),
                ("Former entries", 0),
                ("Events emptied", 14),
                ("Deliveries emptied", 28),
                ("Requests emptied", 9),
            ],
        };
        add("directory/erasure", special, erasure.render());
    }
}

fn of_lists(add: &mut impl FnMut(&str, &str, Html), special: &str, role: MemberRole) {
    let people = PeoplePage {
        frame: frame(),
        reader: reader("people", role),
        connection: here(connection()),
        live: live("directory/people", special),
        asked: Asked { sort: "name".to_owned(), ..Asked::default() },
        people: people(),
        next: None,
        table: format!("{HOME}/people.csv"),
    };
    add("directory/people", special, people.render());
    let groups = GroupsPage {
        frame: frame(),
        reader: reader("groups", role),
        connection: here(connection()),
        live: live("directory/groups", special),
        asked: GroupsAsked::default(),
        groups: groups(),
        next: None,
        table: format!("{HOME}/groups.csv"),
    };
    add("directory/groups", special, groups.render());
}

fn of_person(add: &mut impl FnMut(&str, &str, Html), special: &str, role: MemberRole) {
    let said: serde_json::Value = serde_json::from_str(&user(0).text).expect("JSON");
    let address = here(connection()).address;
    let person = Person {
        frame: frame(),
        reader: reader("people", role),
        connection: here(connection()),
        live: live("directory/person", special),
        id: Copyable::new("user-id", super::portal::USER),
        row: PersonRow::new(&user(0), &address),
        created_at: at("2026-11-20T09:00:00Z"),
        attributes: flat(&said),
        groups: Vec::new(),
        happened: Vec::new(),
        next: None,
        activity: Some(format!("{address}/activity?q=1")),
        roles: vec![(
            "editor".to_owned(),
            Sentence("because ana.lima@acme.test belongs to `Design-EU`, rule 2".to_owned()),
        )],
        more: Some(More {
            raw: serde_json::to_string_pretty(&said).expect("JSON"),
            sign_in: Sentence("The person may use the app.".to_owned()),
            requests: if role == MemberRole::Owner { failures() } else { Vec::new() },
            is_wrong: role == MemberRole::Owner,
        }),
    };
    add("directory/person", special, person.render());
}

fn of_settings(add: &mut impl FnMut(&str, &str, Html), special: &str, role: MemberRole) {
    let is_owner = role == MemberRole::Owner;
    let settings = SettingsPage {
        frame: frame(),
        reader: reader("settings", role),
        connection: here(connection()),
        live: live("directory/settings", special),
        settings: Settings {
            allowed_addresses: vec!["192.0.2.0/24".parse().expect("a range")],
            ..Settings::default()
        },
        refused: is_owner.then(refused),
        is_misnamed: is_owner,
    };
    add("directory/settings", special, settings.render());
}

fn of_tokens(add: &mut impl FnMut(&str, &str, Html), special: &str, role: MemberRole) {
    let client = ClientRow {
        id: "client-01kc2x4n0s0000000000000001".to_owned(),
        name: "Entra".to_owned(),
        created_at: at("2026-11-20T09:00:00Z"),
        secrets: vec![SecretRow {
            id: "tok-01kc2x4n0s0000000000000009".to_owned(),
            last_four: "9f2c".to_owned(),
            expires_at: at("2027-11-20T09:00:00Z"),
            last_used_at: None,
            is_good: true,
        }],
    };
    let is_owner = role == MemberRole::Owner;
    let made = is_owner.then(|| {
        let secret = Copyable::new("client-secret", "roster-client-4f1d0c9b2e7a8d6f");
        (Copyable::new("client-id", "client-01kc2x4n0s0000000000000001"), secret)
    });
    let tokens = TokensPage {
        frame: frame(),
        reader: reader("tokens", role),
        connection: here(connection()),
        live: live("directory/tokens", special),
        tokens: Vec::new(),
        made: None,
        clients: Some(Clients {
            token_url: Copyable::new("token-url", "https://roster.example.com/oauth/token"),
            all: if is_owner { vec![client] } else { Vec::new() },
            made,
        }),
    };
    add("directory/tokens", special, tokens.render());
}

fn event(number: u64, kind: &str) -> EventRecord {
    EventRecord {
        position: number,
        event_id: "evt-01kc2x4n0s0000000000000001".to_owned(),
        kind: kind.to_owned(),
        organization_id: None,
        directory_id: Some(DIRECTORY.parse().expect("an id")),
        number,
        occurred_at: at("2026-11-22T14:02:11Z").0,
        data: json!({
            "user": { "id": super::portal::USER, "userName": "ana.lima@acme.test" },
            "changes": { "title": { "old": null, "new": "Designer" } },
        })
        .to_string(),
        cause: Some(
            json!({ "by": { "type": "token", "id": "tok-1" }, "request_id": "req-1" }).to_string(),
        ),
    }
}

fn of_events(add: &mut impl FnMut(&str, &str, Html), address: &str) {
    let rows = || {
        let kinds = ["directory.user.updated", "directory.user.created", "directory.connected"];
        let row = |(number, kind): (u64, &str)| EventRow::new(&event(number, kind), address);
        (1..).zip(kinds).map(row).collect::<Vec<_>>()
    };
    for (special, connection, rows) in
        [("empty", waiting(), Vec::new()), ("filled", connection(), rows())]
    {
        let events = EventsPage {
            frame: frame(),
            reader: reader("events", MemberRole::Owner),
            connection: here(connection),
            live: live("directory/events", special),
            next: rows.first().map(|_| format!("{address}/events?before=1")),
            rows,
            cursor: Copyable::new("cursor", "1.4f1d0c9b2e7a8d6f3c5b1a0e"),
        };
        add("directory/events", special, events.render());
    }
    let told = event(7, "directory.user.updated");
    let Told { changes, by, request, whole } = Told::new(&told, address);
    let page = EventPage {
        frame: frame(),
        reader: reader("events", MemberRole::Support),
        connection: here(connection()),
        live: live("directory/event", "filled"),
        row: EventRow::new(&told, address),
        id: Copyable::new("event-id", told.event_id.as_str()),
        changes,
        by,
        request,
        whole,
    };
    add("directory/event", "filled", page.render());
}

fn of_requests(add: &mut impl FnMut(&str, &str, Html), address: &str) {
    let activity = Activity {
        frame: frame(),
        reader: reader("activity", MemberRole::Owner),
        connection: here(connection()),
        live: live("directory/activity", "precise"),
        asked: RequestsAsked {
            show: "4xx".to_owned(),
            method: "POST".to_owned(),
            ..RequestsAsked::default()
        },
        rows: failures(),
        next: None,
    };
    add("directory/activity", "precise", activity.render());
    for (special, refused) in [("repeatable", None), ("not-repeated", Some(refused()))] {
        let page = RequestPage {
            frame: frame(),
            reader: reader("activity", MemberRole::Owner),
            connection: here(connection()),
            live: live("directory/request", special),
            row: failures().remove(0),
            id: Copyable::new("request-id", "req-01kc2x4n0s0000000000000001"),
            method: "POST".to_owned(),
            path: "/scim/v2/Users".to_owned(),
            milliseconds: "1.9".to_owned(),
            client_address: None,
            user_agent: None,
            straightened: Vec::new(),
            request: None,
            answer: None,
            command: None,
            again_of: refused.as_ref().map(|_| "req-01kc2x4n0s0000000000000002".to_owned()),
            can_be_repeated: true,
            refused,
        };
        add("directory/request", special, page.render());
    }
    let of = |address: &str| Directory {
        address: address.to_owned(),
        name: "Okta".to_owned(),
        organization: "Acme Industries".to_owned(),
        organization_address: HOME.to_owned(),
    };
    let found = || {
        let gone =
            Of { row: request(201, "create the user `bo@acme.test`", None), directory: of("") };
        let here = failures().into_iter().map(|row| Of { row, directory: of(address) });
        here.chain([gone]).collect::<Vec<_>>()
    };
    for (special, q, rows) in
        [("empty", "", Vec::new()), ("nobody", "zoe", Vec::new()), ("filled", "", found())]
    {
        let page = RequestsPage {
            frame: frame(),
            signed_in: signed_in("requests", MemberRole::Support),
            asked: RequestsAsked { q: q.to_owned(), ..RequestsAsked::default() },
            next: rows.first().map(|_| "/dashboard/requests?before=2".to_owned()),
            rows,
        };
        add("dashboard/requests", special, page.render());
    }
}
