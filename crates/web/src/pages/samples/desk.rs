//! Samples of the dashboard's own pages.

use directory::audit::Action;
use directory::webhook::DisabledReason;
use directory::{DirectoryState, MemberRole};
use store::DeliveryState;

use super::{at, frame, signed_in};
use crate::pages::dashboard::api_keys::{self, ApiKeysPage, Scope};
use crate::pages::dashboard::audit::{self, AuditPage};
use crate::pages::dashboard::events::{self, Cause, EventPage, EventsPage, WrongFilter, kinds};
use crate::pages::dashboard::overview::{self, Ending, Held, Of, Overview, Troubled, pictured};
use crate::pages::dashboard::webhooks::{
    AttemptShown, Delivery, DeliveryPage, Endpoint, Made, Replay, Standing, Typed, WebhookPage,
    WebhooksPage,
};
use crate::pages::directory::live::Live;
use crate::pages::parts::{Copyable, Count, Refused};
use crate::pages::pictures::Line;
use crate::problem::Problem;

use askama::Template;

const ORGANIZATION: &str = "org-01kc2x4n0s0000000000000001";
const DIRECTORY: &str = "dir-01kc2x4n0s0000000000000001";
const REQUEST: &str = "req-01kc2x4n0s0000000000000001";
const ENDPOINT: &str = "wh-01kc2x4n0s0000000000000001";

/// As the photographer's server has it.
fn live(name: &str, special: &str) -> Live {
    Live { listen: "/news".to_owned(), page: format!("/{name}-{special}.html") }
}

fn refused() -> Refused {
    let problem = Problem::invalid(
        "`url` cannot be used: it is within a network of your own",
        "Give an `https` URL of the internet; `roster serve --webhook-allow` names networks of your own",
    );
    (&problem).into()
}

pub(super) fn add_all(add: &mut impl FnMut(&str, &str, Result<String, askama::Error>)) {
    of_overview(add);
    of_events(add);
    of_webhooks(add);
    of_keys(add);
    of_audit(add);
}

fn of_overview(add: &mut impl FnMut(&str, &str, Result<String, askama::Error>)) {
    let of = |organization: &str| Of {
        name: "Okta".to_owned(),
        organization: organization.to_owned(),
        organization_id: ORGANIZATION.to_owned(),
        address: format!("/dashboard/organizations/{ORGANIZATION}/directories/{DIRECTORY}"),
    };
    for (special, is_filled, counts) in
        [("empty", false, [0; 5]), ("filled", true, [3, 41, 1, 1, 2])]
    {
        let minutes: Vec<_> = (0..60).map(|it| if is_filled { it * it % 47 } else { 0 }).collect();
        let [requests, events] = pictured(&minutes);
        let troubled = |name: &str, state, refused_with| Troubled {
            of: of(name),
            state,
            last_contact_at: Some(at("2026-11-22T15:58:00Z")),
            refused_with,
        };
        let troubled = vec![
            troubled("Acme Industries", DirectoryState::Failing, Some(403)),
            troubled("Globex", DirectoryState::Silent, None),
        ];
        let held = vec![
            Held { of: of("Initech"), is_let_out: false },
            Held { of: of("Umbrella"), is_let_out: true },
        ];
        let ending = |is_used| Ending {
            of: of("Globex"),
            last_four: "4f2a".to_owned(),
            expires_at: at("2026-12-01T09:00:00Z"),
            is_used,
        };
        let endpoint = overview::Endpoint {
            address: format!("/dashboard/webhooks/{ENDPOINT}"),
            url: "https://app.globex.example/hooks/roster/of-the-directory-sync".to_owned(),
            standing: Standing::Failing,
            events_behind: 1_204,
            failed: 3,
        };
        let page = Overview {
            frame: frame(),
            signed_in: signed_in("", MemberRole::Owner),
            live: live("dashboard/overview", special),
            counts: DirectoryState::ALL.into_iter().zip(counts).collect(),
            active_users: Count(counts.iter().sum::<usize>() as u64 * 311),
            groups: Count(counts.iter().sum::<usize>() as u64 * 9),
            requests,
            events,
            behind: Count(if is_filled { 1_204 } else { 0 }),
            troubled: if is_filled { troubled } else { Vec::new() },
            held: if is_filled { held } else { Vec::new() },
            ending: if is_filled { vec![ending(true), ending(false)] } else { Vec::new() },
            endpoints: if is_filled { vec![endpoint] } else { Vec::new() },
            has_more: is_filled,
        };
        add("dashboard/overview", special, page.render());
    }
}

fn event_row(kind: &str, about: &str, number: u64) -> events::Row {
    let directory = format!("/dashboard/organizations/{ORGANIZATION}/directories/{DIRECTORY}");
    events::Row {
        address: format!("/dashboard/events/{}", 4_000 + number),
        kind: kind.to_owned(),
        about: about.to_owned(),
        at: at("2026-11-22T15:58:00Z"),
        number,
        organization: Some(ORGANIZATION.to_owned()),
        directory: Some((directory, DIRECTORY.to_owned())).filter(|_| number > 0),
    }
}

fn of_events(add: &mut impl FnMut(&str, &str, Result<String, askama::Error>)) {
    let path = "dashboard/events";
    for (special, is_filled, wrong, next) in [
        ("empty", false, None, None),
        ("filled", true, None, Some("/dashboard/events?before=3950".to_owned())),
        ("wrong", false, Some(WrongFilter::Directory), None),
        ("nothing-yet", false, None, Some("/dashboard/events?type=a&before=2".to_owned())),
    ] {
        let rows = vec![
            event_row("directory.user.deactivated", "ana.lima@acme.example", 41),
            event_row("directory.group.member_added", "Design", 40),
            event_row("api_key.created", "nightly report", 0),
        ];
        let asked = events::Asked {
            directory: wrong.map(|_| "dir-none".to_owned()).unwrap_or_default(),
            kind: if next.is_some() { "directory.user.*".to_owned() } else { String::new() },
            ..events::Asked::default()
        };
        let page = EventsPage {
            frame: frame(),
            signed_in: signed_in("events", MemberRole::Support),
            live: live("dashboard/events", special),
            asked,
            wrong,
            kinds: kinds(),
            rows: if is_filled { rows } else { Vec::new() },
            next,
            cursor: is_filled.then(|| Copyable::new("cursor", "3f1d0c9b2e7a.8fA2kq0zZbY1")),
        };
        add(path, special, page.render());
    }
    let change = |name: &str, old: Option<&str>, new: Option<&str>| events::Change {
        name: name.to_owned(),
        old: old.map(str::to_owned),
        new: new.map(str::to_owned),
    };
    for (special, is_filled) in [("filled", true), ("bare", false)] {
        let changes = vec![
            change("active", Some("true"), Some("false")),
            change("title", None, Some("Editor")),
            change("name", Some("{\n  \"familyName\": \"Lima\"\n}"), None),
        ];
        let cause = Cause {
            by: "A token of the provider".to_owned(),
            by_id: Some("tok-01kc2x4n0s0000000000000001".to_owned()),
            request_id: Some(REQUEST.to_owned()),
            follows_from: Some("directory.group.updated 0199a1".to_owned()),
            rerun_of: Some(REQUEST.to_owned()),
        };
        let page = EventPage {
            frame: frame(),
            signed_in: signed_in("events", MemberRole::Owner),
            row: event_row("directory.user.deactivated", "ana.lima@acme.example", 41),
            id: Copyable::new("event-id", "evt-01kc2x4n0s0000000000000001"),
            changes: if is_filled { changes } else { Vec::new() },
            cause: is_filled.then_some(cause),
            json: "{\n  \"user\": {\n    \"active\": false\n  }\n}".to_owned(),
            cursor: Copyable::new("cursor", "3f1d0c9b2e7a.8fA2kq0zZbY1"),
            subject: is_filled
                .then(|| ("/dashboard/organizations".to_owned(), "ana.lima".to_owned())),
        };
        add("dashboard/event", special, page.render());
    }
}

fn endpoint(standing: Standing) -> Endpoint {
    let is_failing = standing == Standing::Failing;
    let off = matches!(standing, Standing::Off(_));
    Endpoint {
        id: ENDPOINT.to_owned(),
        url: "https://app.globex.example/hooks/roster/of-the-directory-sync".to_owned(),
        description: "production".to_owned(),
        standing,
        is_ordered: true,
        types: vec!["directory.user.*".to_owned()],
        organizations: vec![ORGANIZATION.to_owned()],
        events_behind: 1_204,
        oldest_at: Some(at("2026-11-22T15:50:00Z")),
        pending: 12,
        failed: 3,
        missed: 1,
        failing_since: is_failing.then(|| at("2026-11-21T10:00:00Z")),
        last_success_at: Some(at("2026-11-21T09:59:00Z")),
        last_failure_at: is_failing.then(|| at("2026-11-22T15:58:00Z")),
        off_since: off.then(|| at("2026-11-22T12:00:00Z")),
        secrets: vec![
            (at("2026-03-02T09:30:00Z"), Some(at("2026-11-23T09:30:00Z"))),
            (at("2026-11-22T09:30:00Z"), None),
        ],
    }
}

fn delivery(state: DeliveryState) -> Delivery {
    Delivery {
        address: format!("/dashboard/webhooks/{ENDPOINT}/deliveries/dlv-1"),
        id: "dlv-01kc2x4n0s0000000000000001".to_owned(),
        state,
        kind: "directory.user.deactivated".to_owned(),
        event: Some("/dashboard/events/4041".to_owned()),
        event_id: "evt-01kc2x4n0s0000000000000001".to_owned(),
        occurred_at: at("2026-11-22T15:58:00Z"),
        attempts: 4,
        changed_at: at("2026-11-22T15:58:02Z"),
        next_at: (state == DeliveryState::Pending).then(|| at("2026-11-22T18:00:00Z")),
        outcome: "the receiver answered 503, which is no success".to_owned(),
    }
}

fn typed() -> Typed {
    Typed {
        url: "http://10.0.0.7/hooks".to_owned(),
        types: "directory.user.*".to_owned(),
        ..Typed::default()
    }
}

fn of_webhooks(add: &mut impl FnMut(&str, &str, Result<String, askama::Error>)) {
    let standings = [
        Standing::Well,
        Standing::Failing,
        Standing::Behind,
        Standing::Unused,
        Standing::Off(DisabledReason::Manual),
        Standing::Off(DisabledReason::Failing),
        Standing::Off(DisabledReason::Gone),
    ];
    for (special, role, is_filled, is_refused) in [
        ("empty", MemberRole::Owner, false, false),
        ("filled", MemberRole::Owner, true, false),
        ("wrong", MemberRole::Developer, true, true),
        ("support", MemberRole::Support, true, false),
    ] {
        let page = WebhooksPage {
            frame: frame(),
            signed_in: signed_in("webhooks", role),
            live: live("dashboard/webhooks", special),
            endpoints: standings.into_iter().filter(|_| is_filled).map(endpoint).collect(),
            kinds: kinds(),
            typed: if is_refused { typed() } else { Typed::default() },
            refused: is_refused.then(refused),
        };
        add("dashboard/webhooks", special, page.render());
    }
    for (special, role, standing, is_filled, is_refused) in [
        ("empty", MemberRole::Owner, Standing::Unused, false, false),
        ("filled", MemberRole::Owner, Standing::Failing, true, false),
        ("made", MemberRole::Owner, Standing::Well, true, false),
        ("wrong", MemberRole::Owner, Standing::Off(DisabledReason::Gone), true, true),
        ("support", MemberRole::Support, Standing::Behind, true, false),
    ] {
        let made = Made {
            secret: Copyable::new("secret", "whsec_c2FtcGxlIHNlY3JldCBvZiB0aGUgc2FtcGxlcw=="),
            until: Some(at("2026-11-23T16:00:00Z")),
        };
        let replay = Replay {
            done: 400,
            all: 1_600,
            since: Some(at("2026-11-20T00:00:00Z")),
            until: Some(at("2026-11-21T00:00:00Z")),
            pace: Some("20.0 events a second, about 60 s still".to_owned()),
        };
        let values: Vec<_> = (0..60).map(|it| f64::from(it % 7) * 0.3 + 0.2).collect();
        let said =
            "From the event until it was delivered: 1 s in the middle, 2 s at most.".to_owned();
        let page = WebhookPage {
            frame: frame(),
            signed_in: signed_in("webhooks", role),
            live: live("dashboard/webhook", special),
            endpoint: endpoint(standing),
            kinds: kinds(),
            typed: typed(),
            made: (special == "made").then_some(made),
            refused: is_refused.then(refused),
            replays: if is_filled { vec![replay] } else { Vec::new() },
            lag: is_filled.then(|| Line::new(said, &values)),
            state: is_refused.then_some(DeliveryState::Failed),
            deliveries: DeliveryState::ALL
                .into_iter()
                .filter(|_| is_filled)
                .map(delivery)
                .collect(),
            next: is_filled.then(|| format!("/dashboard/webhooks/{ENDPOINT}?after=dlv-1")),
        };
        add("dashboard/webhook", special, page.render());
    }
    for (special, state, is_kept) in [
        ("failed", DeliveryState::Failed, true),
        ("pending", DeliveryState::Pending, true),
        ("gone", DeliveryState::Failed, false),
        ("delivered", DeliveryState::Delivered, true),
    ] {
        let attempt = |number| AttemptShown {
            number,
            at: at("2026-11-22T15:58:02Z"),
            milliseconds: 214,
            status: (number > 1).then_some(503),
            error: Some("no connection within 5 seconds".to_owned()),
            answer: (number > 1).then(|| "<html>upstream is not there</html>".to_owned()),
        };
        let page = DeliveryPage {
            frame: frame(),
            signed_in: signed_in("webhooks", MemberRole::Owner),
            live: live("dashboard/delivery", special),
            endpoint: endpoint(Standing::Failing),
            delivery: delivery(state),
            attempts: if is_kept { vec![attempt(2), attempt(1)] } else { Vec::new() },
            data: is_kept.then(|| "{\n  \"user\": {}\n}".to_owned()),
            is_cut: state == DeliveryState::Pending,
            is_kept,
        };
        add("dashboard/delivery", special, page.render());
    }
}

fn of_keys(add: &mut impl FnMut(&str, &str, Result<String, askama::Error>)) {
    for (special, role, is_filled, is_made, is_refused) in [
        ("empty", MemberRole::Owner, false, false, false),
        ("filled", MemberRole::Owner, true, false, false),
        ("made", MemberRole::Developer, true, true, false),
        ("wrong", MemberRole::Owner, true, false, true),
        ("support", MemberRole::Support, true, false, false),
    ] {
        let row = |number: u32, name: &str, is_used: bool| api_keys::Row {
            id: format!("tok-01kc2x4n0s000000000000000{number}"),
            name: name.to_owned(),
            last_four: "4f2a".to_owned(),
            scopes: if is_used { "full" } else { "organizations:read, users:read" }.to_owned(),
            organization: (!is_used).then(|| ORGANIZATION.to_owned()),
            created_at: at("2026-03-02T09:30:00Z"),
            last_used_at: is_used.then(|| at("2026-11-22T15:58:00Z")),
            expires_at: (number > 1).then(|| at("2026-11-21T09:30:00Z")),
            has_ended: number > 2,
        };
        let keys = vec![row(1, "first start", true), row(2, "report", false), row(3, "old", false)];
        let page = ApiKeysPage {
            frame: frame(),
            signed_in: signed_in("api-keys", role),
            keys: if is_filled { keys } else { Vec::new() },
            made: is_made.then(|| Copyable::new("api-key", "roster-api-4f1d0c9b2e7a8d6f3c5b1a0e")),
            refused: is_refused.then(refused),
            name: if is_refused { "nightly".to_owned() } else { String::new() },
            organization: String::new(),
            scopes: Scope::all(if is_refused { &["read"] } else { &[] }),
        };
        add("dashboard/api-keys", special, page.render());
    }
}

fn of_audit(add: &mut impl FnMut(&str, &str, Result<String, askama::Error>)) {
    let row = |number: u32, action: Action| audit::Row {
        id: format!("aud-{number}"),
        action: action.as_str(),
        at: at("2026-11-22T15:58:00Z"),
        actor: "Ana Lima (Member)".to_owned(),
        actor_id: Some("mbr-01kc2x4n0s0000000000000001".to_owned()),
        address: Some("192.0.2.17".to_owned()),
        request_id: Some(REQUEST.to_owned()),
        object: (number > 1).then(|| "Acme Industries".to_owned()),
        object_id: Some(ORGANIZATION.to_owned()),
        organization: Some(ORGANIZATION.to_owned()),
        changes: vec![audit::Change {
            name: "name".to_owned(),
            before: (number > 1).then(|| "Acme".to_owned()),
            after: Some("Acme Industries".to_owned()),
        }],
    };
    for (special, is_filled, is_refused) in
        [("empty", false, false), ("filled", true, false), ("wrong", false, true)]
    {
        let asked = audit::Asked {
            action: if is_refused { "nothing.done".to_owned() } else { String::new() },
            ..audit::Asked::default()
        };
        let rows = vec![row(1, Action::TokenCreated), row(2, Action::OrganizationUpdated)];
        let page = AuditPage {
            frame: frame(),
            signed_in: signed_in("audit", MemberRole::Support),
            asked,
            refused: is_refused.then(refused),
            actions: Action::ALL.iter().map(|it| it.as_str()).collect(),
            rows: if is_filled { rows } else { Vec::new() },
            next: is_filled.then(|| "/dashboard/audit?after=aud-1".to_owned()),
            csv: "/dashboard/audit/export/csv".to_owned(),
            ndjson: "/dashboard/audit/export/ndjson".to_owned(),
        };
        add("dashboard/audit", special, page.render());
    }
}
