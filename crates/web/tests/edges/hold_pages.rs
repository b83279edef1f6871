//! Changes that wait, and what is decided about them on a page.

use crate::bulk::scim;
use crate::directory_pages::Desk;
use crate::isolation::pull_the_brake;
use crate::portal::shown;
use crate::server::{Connection, Server, text};
use serde_json::{Value, json};

/// Sends what must be taken.
fn scim_of(server: &Server, to: &Connection, path: &str, body: &Value) -> Value {
    let reply = scim(server, to, "POST", path, body.to_string().as_bytes());
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.json()
}

fn hidden<'p>(page: &'p str, name: &str) -> &'p str {
    let (_, rest) =
        page.split_once(&format!("name=\"{name}\" value=\"")).expect("the field is there");
    rest.split_once('"').expect("its end").0
}

fn state(desk: &Desk, hold: &str) -> String {
    let path = format!("/api/v1/directories/{}/holds/{hold}", desk.house.connection.directory);
    text(&desk.scene.server.api("GET", &path, b"").json(), "state")
}

#[test]
fn a_hold_says_who_would_lose_what_and_is_rejected_by_who_has_seen_it() {
    let desk = Desk::begin("hold-pages-reject");
    let hold = pull_the_brake(&desk.scene.server, &desk.house);
    let place = format!("/holds/{hold}");
    assert!(desk.page("/holds").contains(&place));
    let status = desk.page("");
    assert!(status.contains("A mass change waits for you") && status.contains(&place), "{status}");
    let page = desk.page(&place);
    assert!(page.contains("leaver-0") && page.contains("leaver-1"), "{page}");
    let table = desk.owner.get(&desk.scene, &desk.at(&format!("{place}/lost.csv")));
    assert!(String::from_utf8_lossy(&table.body).contains("leaver-1"), "{table:?}");

    // Support looks, and is offered nothing.
    let (status, looked_at) = shown(&desk.support.get(&desk.scene, &desk.at(&place)));
    assert_eq!(status, 200, "{looked_at}");
    assert!(!looked_at.contains("/reject\""), "{looked_at}");
    let seen = hidden(&page, "seen").to_owned();
    for way in ["approve", "reject"] {
        let path = desk.at(&format!("{place}/{way}"));
        let reply = desk.support.post(&desk.scene, &path, &[("seen", &seen)]);
        assert_eq!(shown(&reply).0, 403, "{way}");
        // What was not looked at is not decided about.
        let (status, page) = shown(&desk.send(&format!("{place}/{way}"), &[("seen", "another")]));
        assert_eq!(status, 409, "{way}: {page}");
        assert!(page.contains("It is not what you looked at any more"), "{page}");
    }
    assert_eq!(state(&desk, &hold), "held");

    assert_eq!(desk.send(&format!("{place}/reject"), &[("seen", &seen)]).status, 303);
    assert_eq!(state(&desk, &hold), "rejected");
    assert!(desk.page(&place).contains("Nobody loses access"));
}

#[test]
fn a_hold_is_approved_and_belongs_to_its_directory() {
    let desk = Desk::begin("hold-pages-approve");
    let hold = pull_the_brake(&desk.scene.server, &desk.house);
    let place = format!("/holds/{hold}");
    let seen = hidden(&desk.page(&place), "seen").to_owned();
    // Another directory has no such hold.
    let other = desk.scene.server.connect("Globex", "Okta");
    let at = desk.at(&place).replace(&desk.house.connection.directory, &other.directory);
    assert_eq!(shown(&desk.owner.get(&desk.scene, &at)).0, 404);

    assert_eq!(desk.send(&format!("{place}/approve"), &[("seen", &seen)]).status, 303);
    assert_ne!(state(&desk, &hold), "held");
    // Decided is decided.
    assert!(shown(&desk.send(&format!("{place}/reject"), &[("seen", &seen)])).0 >= 400);
    let events = desk.scene.server.api("GET", "/api/v1/events?type=directory.hold.*", b"").json();
    assert!(events.to_string().contains("directory.hold.approved"), "{events}");
}

#[test]
fn a_shadow_shows_whom_it_would_tell_of_and_hands_it_over_as_a_table() {
    let desk = Desk::begin("hold-pages-shadow");
    let server = &desk.scene.server;
    let of = |body: &serde_json::Value| body.to_string().into_bytes();
    let directory = &desk.house.connection.directory;
    let organization = server.api("GET", &format!("/api/v1/directories/{directory}"), b"").json();
    let path =
        format!("/api/v1/organizations/{}/directories", text(&organization, "organization_id"));
    let new = json!({ "name": "Okta EU", "provider": "okta", "shadow": true });
    let shadow = text(&server.api("POST", &path, &of(&new)).json(), "id");
    let at = |path: &str| desk.at(path).replace(directory, &shadow);
    let token = format!("/api/v1/directories/{shadow}/tokens");
    let token = text(&server.api("POST", &token, b"{}").json(), "token");
    let scim = Connection { base: format!("/scim/v2/{shadow}"), directory: shadow.clone(), token };
    let people: Vec<String> = ["marzipan", "=potato"]
        .map(|name| {
            let made = scim_of(server, &scim, "/Users", &json!({ "userName": name }));
            text(&made, "id")
        })
        .to_vec();
    let members: Vec<_> = people.iter().map(|id| json!({ "value": id })).collect();
    scim_of(server, &scim, "/Groups", &json!({ "displayName": "Bakers", "members": members }));

    let holds = server.api("GET", &format!("/api/v1/directories/{shadow}/holds"), b"").json();
    let hold = text(&holds["data"][0], "id");
    let place = at(&format!("/holds/{hold}"));
    let (status, page) = shown(&desk.owner.get(&desk.scene, &place));
    assert_eq!(status, 200, "{page}");
    let (_, report) = page.split_once("Whom it would be told of").expect("the report");
    for said in ["marzipan", "Bakers", "directory.group.member_added", &people[0]] {
        assert!(report.contains(said), "{said}: {report}");
    }
    for table in [
        desk.owner.get(&desk.scene, &format!("{place}/changes.csv")),
        server.api("GET", &format!("/api/v1/directories/{shadow}/holds/{hold}/changes.csv"), b""),
    ] {
        assert_eq!(table.status, 200, "{table:?}");
        let table = String::from_utf8(table.body).expect("text");
        assert!(table.contains("type,id,name,group_name,changed_at\r\n"), "{table}");
        let lines: Vec<_> = table.lines().filter(|it| it.starts_with("directory.")).collect();
        assert_eq!(lines.len(), 2 + 1 + 2, "{table}");
        let created = format!("directory.user.created,{},marzipan,,", people[0]);
        assert!(lines[0].starts_with(&created), "{table}");
        // It is a name, and no formula.
        assert!(table.contains(&format!("{},\"'=potato\",Bakers,", people[1])), "{table}");
    }
    // There is none of another hold.
    let other = hold.replace(|it: char| it.is_ascii_digit(), "0");
    let path = at(&format!("/holds/{other}/changes.csv"));
    assert_eq!(desk.owner.get(&desk.scene, &path).status, 404);
}
