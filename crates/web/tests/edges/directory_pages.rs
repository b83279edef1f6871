//! The pages of one directory, in the portal and in the dashboard: who opens them, who does not, and what
//! their forms do.

use serde_json::{Value, json};

use crate::dashboard::{Member, Scene, element};
use crate::portal::{Visit, shown};
use crate::server::{Reply, text};
use crate::strangers::{House, SECRET, furnish};

/// A directory with somebody in it, and who looks at it.
pub(crate) struct Desk {
    pub(crate) scene: Scene,
    pub(crate) house: House,
    pub(crate) owner: Member,
    pub(crate) support: Member,
}

impl Desk {
    pub(crate) fn begin(name: &str) -> Desk {
        let scene = Scene::begin(name);
        let house = furnish(&scene.server);
        let owner = scene.first();
        let support = owner.invite(&scene, "support@vendor.example", "support");
        Desk { scene, house, owner, support }
    }

    fn home(&self) -> String {
        format!("/dashboard/organizations/{}", self.house.organization)
    }

    pub(crate) fn at(&self, page: &str) -> String {
        format!("{}/directories/{}{page}", self.home(), self.house.connection.directory)
    }

    pub(crate) fn page(&self, page: &str) -> String {
        let (status, html) = shown(&self.owner.get(&self.scene, &self.at(page)));
        assert_eq!(status, 200, "{page}: {html}");
        html
    }

    pub(crate) fn send(&self, page: &str, fields: &[(&str, &str)]) -> Reply {
        self.owner.post(&self.scene, &self.at(page), fields)
    }

    fn scim(&self, method: &str, path: &str, body: &Value) -> Reply {
        let authorization = format!("Bearer {}", self.house.connection.token);
        let path = format!("{}{path}", self.house.connection.base);
        let headers = [("Authorization", authorization.as_str())];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.scene.server.call(method, &path, &headers, body.as_bytes())
    }

    /// Of the directory, as the management API has it.
    fn directory(&self) -> Value {
        let path = format!("/api/v1/directories/{}", self.house.connection.directory);
        self.scene.server.api("GET", &path, b"").json()
    }
}

fn location(reply: &Reply) -> &str {
    assert_eq!(reply.status, 303, "{reply:?}");
    reply.header("location").expect("it leads on")
}

/// What was sent piece by piece (RFC 9112 §7.1).
fn in_one_piece(body: &[u8]) -> String {
    let mut rest = std::str::from_utf8(body).expect("text");
    let mut whole = String::new();
    loop {
        let (size, behind) = rest.split_once("\r\n").expect("a size");
        let size = usize::from_str_radix(size, 16).expect("a number");
        if size == 0 {
            return whole;
        }
        whole.push_str(&behind[..size]);
        rest = behind[size..].strip_prefix("\r\n").expect("the end of a piece");
    }
}

/// Every page of a directory in the dashboard.
fn pages(desk: &Desk) -> Vec<String> {
    let House { user, group, .. } = &desk.house;
    ["", "/set-up", "/people", "/people?sort=name&show=active", "/groups?sort=-name"]
        .map(str::to_owned)
        .into_iter()
        .chain(["/activity", "/events", "/events/1", "/tokens", "/settings"].map(str::to_owned))
        .chain([format!("/people/{user}"), format!("/groups/{group}")])
        .collect()
}

#[test]
fn owner_and_support_open_every_page_and_support_is_offered_no_form() {
    let desk = Desk::begin("directory-open");
    for page in pages(&desk) {
        let html = desk.page(&page);
        assert!(html.contains("aria-label=\"Dashboard\""), "{page}: {html}");
        assert!(html.contains(&format!("href=\"{}\"", desk.home())), "{page}: {html}");
        let (status, html) = shown(&desk.support.get(&desk.scene, &desk.at(&page)));
        assert_eq!(status, 200, "{page}: {html}");
        let is_offered = html.contains("class=\"button primary\">Save")
            || html.contains("class=\"button danger\"")
            || html.contains(">Make ");
        assert!(!is_offered, "{page}: {html}");
    }
    let before = desk.directory();
    let user = format!("/people/{}/erase", desk.house.user);
    for form in ["/pause", "/set-up", "/tokens", "/clients", "/settings", "/settings/delete", &user]
    {
        let reply = desk.support.post(&desk.scene, &desk.at(form), &[("name", "x")]);
        assert_eq!(reply.status, 403, "{form}");
    }
    assert_eq!(desk.directory(), before);
}

#[test]
fn a_directory_opens_below_its_own_organization_alone() {
    let desk = Desk::begin("directory-strangers");
    let other = furnish(&desk.scene.server);
    let page = |organization: &str, directory: &str| {
        let path =
            format!("/dashboard/organizations/{organization}/directories/{directory}/people");
        let (status, html) = shown(&desk.owner.get(&desk.scene, &path));
        assert_eq!(status, 404, "{html}");
        html
    };
    // As unknown as one that never was.
    let never = page(&desk.house.organization, "dir-00000000000000000000000000");
    let theirs = page(&desk.house.organization, &other.connection.directory);
    assert_eq!(theirs, never);
    assert!(!theirs.contains(SECRET), "{theirs}");

    // A portal of another organization is told the same of this directory as of none.
    let server = &desk.scene.server;
    let visit = Visit::invite(server, &other.organization, &json!({})).begin(server);
    for page in ["", "/people", "/people.csv", "/groups.csv", "/activity", "/tokens"] {
        let of = |directory: &str| {
            let path = format!("/portal/{}/directories/{directory}{page}", visit.link);
            shown(&visit.get(server, &path))
        };
        let theirs = of(&desk.house.connection.directory);
        assert_eq!(theirs.0, 404);
        assert_eq!(theirs, of("dir-00000000000000000000000000"), "{page}");
    }
    // What is for members is nowhere in the portal.
    for page in ["/settings", "/events", "/events/1"] {
        let path =
            format!("/portal/{}/directories/{}{page}", visit.link, other.connection.directory);
        assert_eq!(shown(&visit.get(server, &path)).0, 404, "{page}");
    }
}

#[test]
fn settings_are_changed_as_the_management_api_changes_them() {
    let desk = Desk::begin("directory-settings");
    let saved = |fields: &[(&str, &str)]| {
        let reply = desk.send("/settings", fields);
        assert_eq!(location(&reply), desk.at("/settings"));
    };
    saved(&[("name", "Okta of Acme"), ("provider", "entra")]);
    saved(&[("preset", "strict"), ("unknown_members", "refuse"), ("omitted_members", "clear")]);
    saved(&[
        ("http_basic", "on"),
        ("access_token_minutes", "90"),
        ("allowed_addresses", "192.0.2.0/24\n198.51.100.7"),
    ]);
    saved(&[("brake_on", "off"), ("brake_people", "7"), ("brake_then", "stay_held")]);
    let directory = desk.directory();
    let expected = [
        ("/name", json!("Okta of Acme")),
        ("/provider", json!("entra")),
        ("/settings/preset", json!("strict")),
        ("/settings/unknown_members", json!("refuse")),
        ("/settings/omitted_members", json!("clear")),
        ("/settings/http_basic", json!(true)),
        ("/settings/access_token_minutes", json!(90)),
        ("/settings/allowed_addresses", json!(["192.0.2.0/24", "198.51.100.7/32"])),
        ("/settings/brake/on", json!(false)),
        ("/settings/brake/people", json!(7)),
        ("/settings/brake/then", json!("stay_held")),
    ];
    for (pointer, value) in expected {
        assert_eq!(directory.pointer(pointer), Some(&value), "{pointer}: {directory}");
    }
    // What cannot be is told where it was typed, and nothing is changed.
    for (fields, said) in [
        (&[("name", "")][..], "is empty"),
        (&[("access_token_minutes", "5")], "Choose 60 to 360"),
        (&[("access_token_minutes", "soon")], "Write it as a number"),
        (&[("silence_hours_min", "9"), ("silence_hours_max", "3")], "silence_hours"),
        (&[("allowed_addresses", "somewhere")], "192.0.2.0/24"),
        (&[("brake_percent", "101")], "Choose 1 to 100"),
        (&[("provider", "nobody")], "no such provider"),
    ] {
        let (status, html) = shown(&desk.send("/settings", fields));
        assert!((400..500).contains(&status), "{fields:?}: {status}");
        assert!(html.contains(said), "{fields:?}: {html}");
        assert_eq!(desk.directory(), directory, "{fields:?}");
    }
    // No address is none.
    saved(&[("allowed_addresses", "")]);
    assert_eq!(desk.directory()["settings"]["allowed_addresses"], json!([]));
    // It is deleted by whoever types its name, and says how many that concerns.
    assert!(desk.page("/settings").contains("<strong>1 people</strong>"));
    let (status, html) = shown(&desk.send("/settings/delete", &[("name", "Okta")]));
    assert_eq!(status, 422);
    assert!(html.contains("That is not its name"), "{html}");
    let reply = desk.send("/settings/delete", &[("name", "Okta of Acme")]);
    assert_eq!(location(&reply), desk.home());
    assert_eq!(shown(&desk.owner.get(&desk.scene, &desk.at(""))).0, 404);
}

#[test]
fn lists_go_into_a_spreadsheet_without_becoming_formulas() {
    let desk = Desk::begin("directory-csv");
    let evil = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "=cmd|' /C calc'!A0",
        "displayName": "Evil, \"Eve\"",
        "active": true,
    });
    assert_eq!(desk.scim("POST", "/Users", &evil).status, 201);
    let table = |page: &str| {
        let reply = desk.owner.get(&desk.scene, &desk.at(page));
        assert_eq!(reply.status, 200, "{reply:?}");
        let kind = reply.header("content-type").expect("a type");
        assert!(kind.starts_with("text/csv"), "{kind}");
        assert!(reply.header("content-disposition").is_some_and(|it| it.starts_with("attachment")));
        in_one_piece(&reply.body)
    };
    let people = table("/people.csv");
    assert_eq!(people.lines().count(), 3, "{people}");
    assert!(people.starts_with("id,user_name,name,email,external_id,active,"), "{people}");
    assert!(people.contains(",\"'=cmd|' /C calc'!A0\",\"Evil, \"\"Eve\"\"\","), "{people}");
    let found = table("/people.csv?q=%3Dcmd&sort=name");
    assert_eq!(found.lines().count(), 2, "{found}");
    assert_eq!(table("/people.csv?show=inactive").lines().count(), 1);
    assert_eq!(table("/groups.csv").lines().count(), 2);
}

#[test]
fn a_person_is_seen_whole_and_erased_by_whoever_types_their_name() {
    let desk = Desk::begin("directory-person");
    let page = format!("/people/{}", desk.house.user);
    let html = desk.page(&page);
    for said in ["Roles in the app", "If they signed in now", "As SCIM has it", "Latest requests"] {
        assert!(html.contains(said), "{said}: {html}");
    }
    assert!(html.contains("The person may use the app"), "{html}");
    assert!(html.contains("urn:ietf:params:scim:schemas:core:2.0:User"), "{html}");
    // The portal of the same organization shows less.
    let server = &desk.scene.server;
    let visit = Visit::invite(server, &desk.house.organization, &json!({})).begin(server);
    let directory = &desk.house.connection.directory;
    let path = format!("/portal/{}/directories/{directory}{page}", visit.link);
    let (status, html) = shown(&visit.get(server, &path));
    assert_eq!(status, 200);
    assert!(!html.contains("As SCIM has it") && !html.contains("Erase"), "{html}");

    let erase = format!("{page}/erase");
    let (status, html) = shown(&desk.send(&erase, &[("user_name", "somebody")]));
    assert_eq!(status, 422);
    assert!(html.contains("nothing was erased"), "{html}");
    desk.page(&page);
    let user = desk.scim("GET", &format!("/Users/{}", desk.house.user), &Value::Null).json();
    let reply = desk.send(&erase, &[("user_name", text(&user, "userName").as_str())]);
    let receipt = location(&reply).to_owned();
    let (status, html) = shown(&desk.owner.get(&desk.scene, &receipt));
    assert_eq!(status, 200);
    assert!(html.contains(&desk.house.user), "{html}");
    assert_eq!(shown(&desk.owner.get(&desk.scene, &desk.at(&page))).0, 404);
}

#[test]
fn it_is_seen_that_a_provider_is_at_work() {
    let desk = Desk::begin("directory-busy");
    // What was furnished came long ago.
    desk.scene.pass(2 * 60 * 60);
    let page = desk.page("");
    assert!(page.contains("0 in the last hour, 0 of them failed"), "{page}");
    let send = |count: u32| {
        for _ in 0..count {
            assert_eq!(desk.scim("GET", "/Users?count=1", &Value::Null).status, 200);
        }
    };
    send(29);
    assert!(!desk.page("").contains("Much is arriving"));
    assert_eq!(desk.scim("GET", "/Users/nobody", &Value::Null).status, 404);
    let page = desk.page("");
    assert!(page.contains("30 in the last hour, 1 of them failed; 30 in the busiest"), "{page}");
    assert!(page.contains("Much is arriving: 30 requests a minute"), "{page}");
    // What others are sent is not counted, and it is over when it is over.
    let other = desk.scene.server.connect("Globex", "Okta");
    let authorization = format!("Bearer {}", other.token);
    let users = format!("{}/Users", other.base);
    desk.scene.server.call("GET", &users, &[("Authorization", &authorization)], b"");
    desk.scene.pass(2 * 60);
    let page = desk.page("");
    assert!(!page.contains("Much is arriving") && page.contains("30 in the last hour"), "{page}");
}

#[test]
fn a_request_is_found_wherever_it_is_and_carried_out_once_more() {
    let desk = Desk::begin("directory-requests");
    let taken = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "twin@acme.test",
        "active": true,
    });
    let first = desk.scim("POST", "/Users", &taken);
    assert_eq!(first.status, 201);
    let refused = desk.scim("POST", "/Users", &taken);
    assert_eq!(refused.status, 409);
    let id = refused.header("x-request-id").expect("its name").to_owned();

    // Over all directories, by its id, by whom it is about, by status and organization.
    let organization = &desk.house.organization;
    for query in [
        format!("q={id}"),
        "show=409".to_owned(),
        "show=4xx&method=POST".to_owned(),
        format!("show=failed&organization={organization}"),
        "since=2026-01-01T00:00&show=failed".to_owned(),
    ] {
        let path = format!("/dashboard/requests?{query}");
        for member in [&desk.owner, &desk.support] {
            let (status, html) = shown(&member.get(&desk.scene, &path));
            assert_eq!(status, 200, "{query}: {html}");
            assert!(html.contains(&desk.at(&format!("/activity/{id}"))), "{query}: {html}");
        }
        let (status, html) =
            shown(&desk.owner.get(&desk.scene, &desk.at(&format!("/activity?{query}"))));
        assert_eq!(status, 200);
        assert!(html.contains(&id), "{query}: {html}");
    }
    for (query, status) in
        [("show=nonsense", 400), ("since=yesterday", 400), ("organization=nobody", 404)]
    {
        let path = format!("/dashboard/requests?{query}");
        assert_eq!(shown(&desk.owner.get(&desk.scene, &path)).0, status, "{query}");
    }
    for (query, is_there) in
        [("until=2020-01-01", false), ("method=GET", false), ("q=nobody", false)]
    {
        let path = format!("/dashboard/requests?{query}");
        let (_, html) = shown(&desk.owner.get(&desk.scene, &path));
        assert_eq!(html.contains(&id), is_there, "{query}");
    }

    // It fails again, as long as its cause is there; and then not.
    let rerun = format!("/activity/{id}/rerun");
    assert_eq!(desk.support.post(&desk.scene, &desk.at(&rerun), &[]).status, 403);
    let (status, html) = shown(&desk.owner.get(&desk.scene, &desk.at(&format!("/activity/{id}"))));
    assert_eq!(status, 200);
    assert!(html.contains("Carry it out once more"), "{html}");
    let path = format!("/Users/{}", text(&first.json(), "id"));
    assert_eq!(desk.scim("DELETE", &path, &Value::Null).status, 204);
    let reply = desk.send(&rerun, &[]);
    if reply.status == 303 {
        let again = location(&reply).to_owned();
        let (status, html) = shown(&desk.owner.get(&desk.scene, &again));
        assert_eq!(status, 200);
        assert!(html.contains(&id) && html.contains(">201<"), "{html}");
    } else {
        let (status, html) = shown(&reply);
        assert_eq!(status, 409, "{html}");
        assert!(html.contains("the same was changed since"), "{html}");
    }
    // One that did not fail is not.
    let good = first.header("x-request-id").expect("its name");
    let (status, html) = shown(&desk.send(&format!("/activity/{good}/rerun"), &[]));
    assert_eq!(status, 409);
    assert!(html.contains("it did not fail"), "{html}");
}

#[test]
fn clients_of_oauth_are_made_shown_once_and_taken_back() {
    let desk = Desk::begin("directory-clients");
    let (status, html) = shown(&desk.send("/clients", &[("name", "Entra")]));
    assert_eq!(status, 200, "{html}");
    let (client, secret) = (element(&html, "client-id"), element(&html, "client-secret"));
    assert!(secret.starts_with("roster-"), "{secret}");
    let html = desk.page("/tokens");
    assert!(html.contains(client) && !html.contains(secret), "{html}");
    let (status, html) = shown(&desk.send(&format!("/clients/{client}/secrets"), &[]));
    assert_eq!(status, 200, "{html}");
    let path = format!("/api/v1/directories/{}/oauth-clients", desk.house.connection.directory);
    let clients = || desk.scene.server.api("GET", &path, b"").json()["data"].clone();
    assert_eq!(clients()[0]["secrets"].as_array().map(Vec::len), Some(2));
    let first = text(&clients()[0]["secrets"][0], "id");
    location(&desk.send(&format!("/clients/{client}/secrets/{first}/delete"), &[]));
    assert_eq!(clients()[0]["secrets"].as_array().map(Vec::len), Some(1));
    location(&desk.send(&format!("/clients/{client}/delete"), &[]));
    assert_eq!(clients(), json!([]));
    assert_eq!(desk.send("/clients", &[("name", "")]).status, 400);
    assert_eq!(desk.send("/clients/nonsense/delete", &[]).status, 404);
}

#[test]
fn events_are_listed_the_latest_first_with_what_they_changed() {
    let desk = Desk::begin("directory-events");
    let patch = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{ "op": "replace", "value": { "title": "Painter" } }],
    });
    let user = format!("/Users/{}", desk.house.user);
    assert_eq!(desk.scim("PATCH", &user, &patch).status, 200);
    let html = desk.page("/events");
    let (newest, older) =
        (html.find("directory.user.updated"), html.find("directory.user.created"));
    assert!(newest < older && newest.is_some(), "{html}");
    let number = html.split("/events/").nth(1).and_then(|it| it.split('"').next());
    let html = desk.page(&format!("/events/{}", number.expect("a number")));
    assert!(html.contains("<code>title</code>") && html.contains("Painter"), "{html}");
    for page in ["/events/0", "/events/99999", "/events/x"] {
        assert_eq!(shown(&desk.owner.get(&desk.scene, &desk.at(page))).0, 404, "{page}");
    }
}

#[test]
fn an_organization_is_changed_guarded_and_given_a_directory() {
    let desk = Desk::begin("directory-organization");
    let post = |form: &str, fields: &[(&str, &str)]| {
        desk.owner.post(&desk.scene, &format!("{}{form}", desk.home()), fields)
    };
    let path = format!("/api/v1/organizations/{}", desk.house.organization);
    let organization = || desk.scene.server.api("GET", &path, b"").json();
    let safety = || desk.scene.server.api("GET", &format!("{path}/safety"), b"").json();
    location(&post(
        "",
        &[
            ("name", "Acme"),
            ("external_id", "customer-9"),
            ("directory_sync", "off"),
            ("metadata", "plan: gold\nregion: eu"),
        ],
    ));
    let now = organization();
    assert_eq!(now["name"], "Acme");
    assert_eq!(now["external_id"], "customer-9");
    assert_eq!(now["directory_sync"], false);
    assert_eq!(now["metadata"], json!({ "plan": "gold", "region": "eu" }));
    for (fields, said) in
        [(&[("name", "")][..], "is empty"), (&[("metadata", "plan")], "has no colon")]
    {
        let (status, html) = shown(&post("", fields));
        assert_eq!(status, 400, "{html}");
        assert!(html.contains(said), "{html}");
        assert_eq!(organization(), now);
    }
    location(&post(
        "/safety",
        &[
            ("seats", "50"),
            ("seat_mode", "refuse"),
            ("domains", "acme.test\nacme.example"),
            ("domain_mode", "warn"),
        ],
    ));
    let guarded = safety();
    assert_eq!(guarded["seats"]["limit"], 50);
    assert_eq!(guarded["seats"]["mode"], "refuse");
    assert_eq!(guarded["domains"]["mode"], "warn");
    for fields in [&[("seats", "many")][..], &[("domains", "@")], &[("seat_mode", "none")]] {
        assert_eq!(shown(&post("/safety", fields)).0, 400, "{fields:?}");
        assert_eq!(safety(), guarded);
    }
    let reply = post("/directories", &[("provider", "entra"), ("name", "")]);
    let set_up = location(&reply).to_owned();
    assert!(set_up.ends_with("/set-up"), "{set_up}");
    let (status, html) = shown(&desk.owner.get(&desk.scene, &set_up));
    assert_eq!(status, 200);
    assert!(html.contains("Microsoft Entra ID"), "{html}");
    // Links for some of the portal; none for nothing of it.
    let (status, html) = shown(&post(
        "/portal-links",
        &[("chosen", "yes"), ("feature", "people"), ("feature", "activity")],
    ));
    assert_eq!(status, 200);
    assert!(html.contains("People, Activity"), "{html}");
    assert_eq!(shown(&post("/portal-links", &[("chosen", "yes")])).0, 400);
    // It has directories, and is not deleted; nor by a wrong name.
    assert_eq!(shown(&post("/delete", &[("name", "Globex")])).0, 400);
    assert_eq!(shown(&post("/delete", &[("name", "Acme")])).0, 409);
    assert_eq!(organization(), now);
    for form in ["", "/safety", "/directories", "/delete"] {
        let path = format!("{}{form}", desk.home());
        assert_eq!(desk.support.post(&desk.scene, &path, &[("name", "x")]).status, 403, "{form}");
    }
}
