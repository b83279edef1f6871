//! The simulator.

use std::sync::Arc;

use askama::Template;
use directory::MemberRole;
use store::EventRecord;

use super::{at, frame, signed_in};
use crate::pages::dashboard::simulator::{
    EventRow, RunningRow, SimulationPage, SimulatorPage, Used, Wrong,
};
use crate::pages::directory::live::Live;
use crate::pages::parts::Sentence;
use crate::simulations::{
    About, Account, Exchange, Group, Kind, Person, Picture, Profile, Push, Spoken, Standing, Step,
};

const KIND: Kind = Kind { name: "template", title: "Okta: app of the catalogue (PATCH)" };
const URL: &str = "https://roster.example.com/scim/v2/dir-01kc2x4n0s0000000000000001";

pub(super) fn add_all(add: &mut impl FnMut(&str, &str, Result<String, askama::Error>)) {
    let wrong = || {
        Wrong::Typed(
            "`https://evil.example/scim/v2` is not an address of this server. The simulator sends to this server \
             and nowhere else: copy the base URL from the portal."
                .to_owned(),
        )
    };
    let used = Used {
        name: "Okta".to_owned(),
        provider: "Okta",
        organization_id: "org-01kc2x4n0s0000000000000001".to_owned(),
        organization: "Acme Industries".to_owned(),
        active_users: 1_204,
        last_contact_at: at("2026-11-22T15:58:00Z"),
    };
    let (owner, support) = (MemberRole::Owner, MemberRole::Support);
    for (special, role, running, has_room, wrong) in [
        ("empty", owner, 0, true, None),
        ("filled", owner, 2, true, None),
        ("full", owner, 5, false, None),
        ("wrong", owner, 0, true, Some(wrong())),
        ("used", owner, 1, true, Some(Wrong::Used(used))),
        ("support", support, 1, true, None),
    ] {
        let page = SimulatorPage {
            frame: frame(),
            signed_in: signed_in("simulator", role),
            kinds: vec![KIND, Kind { name: "aiw", title: "Okta: app of the wizard (PUT)" }],
            running: (1..=running).map(row).collect(),
            organizations: vec![
                ("org-01kc2x4n0s0000000000000001".to_owned(), "Acme Industries".to_owned()),
                ("org-01kc2x4n0s0000000000000002".to_owned(), "Globex".to_owned()),
            ],
            has_room,
            base_url: wrong.as_ref().map(|_| URL.to_owned()).unwrap_or_default(),
            wrong,
        };
        add("dashboard/simulator", special, page.render());
    }
    let none = SimulatorPage {
        frame: frame(),
        signed_in: signed_in("simulator", owner),
        kinds: Vec::new(),
        running: Vec::new(),
        organizations: Vec::new(),
        has_room: true,
        base_url: String::new(),
        wrong: None,
    };
    add("dashboard/simulator", "none", none.render());
    for (special, role, picture, events, wrong) in [
        ("empty", owner, Picture { steps: [first()].into(), ..Picture::default() }, vec![], None),
        ("filled", owner, filled(), events(), None),
        (
            "wrong",
            owner,
            filled(),
            events(),
            Some("Nothing was done: give a user name of 1 to 200 characters."),
        ),
        ("support", support, filled(), events(), None),
    ] {
        let page = SimulationPage {
            frame: frame(),
            signed_in: signed_in("simulator", role),
            live: Live {
                listen: "/news".to_owned(),
                page: format!("/dashboard/simulation-{special}.html"),
            },
            address: "/dashboard/simulator/1".to_owned(),
            about: About {
                kind: KIND,
                base_url: URL.to_owned(),
                directory: Some(Spoken {
                    id: "dir-01kc2x4n0s0000000000000001".parse().expect("an id"),
                    name: "Simulated Okta".to_owned(),
                    organization_id: "org-01kc2x4n0s0000000000000001".parse().expect("an id"),
                    organization: "Simulator".to_owned(),
                }),
                begun_by: "Ana Lima".to_owned(),
            },
            begun_at: at("2026-11-22T15:40:00Z"),
            picture: Arc::new(picture),
            events,
            wrong: wrong.map(|it| Sentence(it.to_owned())),
        };
        add("dashboard/simulation", special, page.render());
    }
}

fn row(number: u32) -> RunningRow {
    RunningRow {
        address: format!("/dashboard/simulator/{number}"),
        title: "Simulated Okta of Simulator".to_owned(),
        kind: KIND.title,
        people: 4,
        groups: 2,
        begun_by: "Ana Lima".to_owned(),
        begun_at: at("2026-11-22T15:40:00Z"),
    }
}

fn person(given: &str, family: &str, standing: Standing, account: Account) -> Person {
    Person {
        profile: Profile {
            user_name: format!("{}.{}@acme.example", given.to_lowercase(), family.to_lowercase()),
            given_name: given.to_owned(),
            family_name: family.to_owned(),
            title: "Engineer".to_owned(),
            department: "Research".to_owned(),
            user_type: String::new(),
        },
        standing,
        account,
        id: None,
    }
}

fn first() -> Step {
    Step { number: 1, sentence: "Enter base URL and API token".to_owned(), ..Step::default() }
}

fn exchange(number: u32, method: &'static str, path: &str, status: u16, answer: &str) -> Exchange {
    let body = (method != "GET").then(|| {
        "{\n  \"schemas\": [\n    \"urn:ietf:params:scim:schemas:core:2.0:User\"\n  ],\n  \"userName\": \"ana.lima@acme.example\"\n}".to_owned()
    });
    Exchange {
        number,
        method,
        path: path.to_owned(),
        body,
        status: Ok(status),
        answer: Some(answer.to_owned()),
        request_id: Some("req-01kc2x4n0s0000000000000001".to_owned()),
        milliseconds: 4,
        verdict: if status < 400 { "accepted" } else { "failed" },
        findings: Vec::new(),
    }
}

fn filled() -> Picture {
    let found = "{\n  \"totalResults\": 0\n}";
    let probe = "/Users?filter=userName eq \"ana.lima@acme.example\"&startIndex=1&count=100";
    let assigned = Step {
        number: 3,
        sentence: "Assign ana.lima@acme.example".to_owned(),
        exchanges: [
            exchange(2, "GET", probe, 200, found),
            exchange(3, "POST", "/Users", 201, "{\n  \"id\": \"01a200a6\"\n}"),
        ]
        .into(),
        exchange_count: 2,
        ..Step::default()
    };
    let failed = Step {
        number: 4,
        sentence: "Enter another API token, and test it".to_owned(),
        exchanges: [exchange(4, "GET", "/Users?startIndex=1&count=2", 401, "{\n  \"status\": \"401\"\n}")].into(),
        exchange_count: 31,
        said: vec!["Error authenticating: Unauthorized. Errors reported by remote server: the token is not known".to_owned()],
        notes: vec!["waits 30 s and sends it again".to_owned()],
    };
    let joined =
        Step { number: 2, sentence: "ana.lima@acme.example joins".to_owned(), ..Step::default() };
    let group = |name: &str, members: &[usize], push| Group {
        name: name.to_owned(),
        members: members.to_vec(),
        is_assigned: members.len() > 1,
        push,
    };
    Picture {
        people: vec![
            person("Ana", "Lima", Standing::Active, Account::Assigned),
            person("Bo", "Lind", Standing::Suspended, Account::Assigned),
            person("Cy", "Twombly", Standing::Deactivated, Account::Unassigned),
            person("Di", "Prima", Standing::Active, Account::None),
            person("Ed", "Ruscha", Standing::Active, Account::Failed),
            person("Flo", "Kennedy", Standing::Active, Account::Pending),
        ],
        groups: vec![
            group("Engineering", &[0, 1], Push::Active),
            group("Sales", &[], Push::None),
            group("Design-EU", &[3], Push::Stopped),
            group("Everybody", &[0], Push::Failed),
        ],
        steps: [failed, assigned, joined, first()].into(),
        failed: vec!["Automatic provisioning of user Ed Ruscha to app failed: 500".to_owned()],
        is_busy: true,
        loses_answer: true,
    }
}

fn events() -> Vec<EventRow> {
    let mut people = filled().people;
    people[0].id = Some("01a200a6".to_owned());
    let event = |number: u64, kind: &str, data: &str| {
        let event = EventRecord {
            position: number,
            event_id: format!("evt-01kc2x4n0s000000000000000{number}"),
            kind: kind.to_owned(),
            organization_id: None,
            directory_id: None,
            number,
            occurred_at: at("2026-11-22T15:41:00Z").0,
            data: data.to_owned(),
            cause: None,
        };
        EventRow::new(&event, &people)
    };
    let user = r#""user":{"userName":"ana.lima@acme.example","active":true}"#;
    let member = r#""member":{"value":"01a200a6","type":"User"}"#;
    let group = r#""group":{"displayName":"Engineering"}"#;
    vec![
        event(3, "directory.group.member_added", &format!("{{{member},{group}}}")),
        event(2, "directory.group.created", &format!("{{{group}}}")),
        event(1, "directory.user.created", &format!("{{{user}}}")),
    ]
}
