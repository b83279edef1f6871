//! The parts of the portal, as an IT admin goes through them: what is connected ticks when its traffic
//! arrives, and a link opens no more than it names.

use serde_json::json;
use web::Limits;

use crate::portal::{Visit, shown};
use crate::server::{Connection, Reply, Server, text};
use crate::stream::Stream;

/// Somebody in the portal of an organization in which nothing is connected.
fn visit(server: &Server, new: &serde_json::Value) -> Visit {
    let made = server.api("POST", "/api/v1/organizations", br#"{"name":"Acme"}"#).json();
    Visit::invite(server, &text(&made, "id"), new).begin(server)
}

/// Makes a connection to a provider, as the pages have it; what the provider is given to enter.
fn connect(server: &Server, visit: &Visit, fields: &str) -> (String, Connection) {
    let home = format!("/portal/{}", visit.link);
    let reply = visit.send(server, &format!("{home}/directories"), fields);
    assert_eq!(reply.status, 303, "{reply:?}");
    let set_up = reply.header("location").expect("the next page").to_owned();
    let (address, _) = set_up.split_once("/set-up?guide=").expect("the page to set it up");
    let (_, directory) = address.rsplit_once('/').expect("an id");
    let reply = visit.send(server, &format!("{address}/set-up"), "guide=okta-template");
    let token = copied(&page(&reply), "token");
    let base = format!("/scim/v2/{directory}");
    (address.to_owned(), Connection { directory: directory.to_owned(), base, token })
}

fn page(reply: &Reply) -> String {
    let (status, page) = shown(reply);
    assert_eq!(status, 200, "{page}");
    page
}

/// What stands in an element with this id.
fn copied(page: &str, id: &str) -> String {
    let (_, rest) = page.split_once(&format!("<code id=\"{id}\">")).expect("it is shown");
    rest.split_once("</code>").expect("its end").0.to_owned()
}

/// What the page says of a step.
fn step(page: &str, number: usize) -> &str {
    let (_, rest) = page.split_once(&format!("id=\"seen-{number}\"")).expect("the step");
    let said = rest.split_once("</p>").expect("its end").0;
    said.rsplit_once("<span").map_or(said, |(_, said)| said)
}

fn scim(server: &Server, to: &Connection, method: &str, path: &str, body: &str) -> Reply {
    let authorization = format!("Bearer {}", to.token);
    let headers = [("Authorization", authorization.as_str()), ("User-Agent", "Okta SCIM Client")];
    server.call(method, &format!("{}{path}", to.base), &headers, body.as_bytes())
}

#[test]
fn steps_tick_when_their_traffic_arrives() {
    let server = Server::start("parts-steps", Limits::default());
    let visit = visit(&server, &json!({}));
    let home = format!("/portal/{}", visit.link);
    let empty = page(&visit.get(&server, &home));
    assert!(empty.contains(&format!("href=\"{home}/choose\"")), "{empty}");
    let cards = page(&visit.get(&server, &format!("{home}/choose")));
    assert!(cards.contains(&format!("href=\"{home}/choose?provider=okta\"")), "{cards}");
    let ways = page(&visit.get(&server, &format!("{home}/choose?provider=okta")));
    assert!(ways.contains("value=\"okta-template\""), "{ways}");

    let fields = "provider=okta&guide=okta-template&name=Okta";
    let (address, connection) = connect(&server, &visit, fields);
    let set_up = format!("{address}/set-up?guide=okta-template");
    let before = page(&visit.get(&server, &set_up));
    assert!(!before.contains(&connection.token), "it is shown once");
    let url = format!("https://roster.example{}", connection.base);
    assert_eq!(copied(&before, "base-url"), url);
    assert!(step(&before, 3).contains("Ticks when it arrives"), "{before}");

    let listening = [("Cookie", visit.cookie())];
    let listening = listening.each_ref().map(|(name, value)| (*name, value.as_str()));
    let mut live = Stream::open(&server, &format!("{address}/live"), &listening);
    assert_eq!(live.header("content-type"), Some("text/event-stream"));
    live.until(": listening");

    let reply = scim(&server, &connection, "GET", "/Users?startIndex=1&count=2", "");
    assert_eq!(reply.status, 200, "{reply:?}");
    live.until("event: news");
    let tested = page(&visit.get(&server, &set_up));
    assert!(step(&tested, 3).contains("Seen"), "{tested}");
    assert!(step(&tested, 5).contains("Ticks when it arrives"), "{tested}");

    let ana = r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],
                  "userName":"ana@acme.test","displayName":"Ana Lima","active":true}"#;
    let reply = scim(&server, &connection, "POST", "/Users", ana);
    assert_eq!(reply.status, 201, "{reply:?}");
    let id = text(&reply.json(), "id");
    live.until("event: news");
    let arrived = page(&visit.get(&server, &set_up));
    for number in [3, 4, 5] {
        assert!(step(&arrived, number).contains("Seen"), "step {number}: {arrived}");
    }
    assert!(step(&arrived, 1).contains("a later step was seen"), "{arrived}");

    let leave = r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
                    "Operations":[{"op":"replace","value":{"active":false}}]}"#;
    let reply = scim(&server, &connection, "PATCH", &format!("/Users/{id}"), leave);
    assert_eq!(reply.status, 200, "{reply:?}");
    live.until("event: news");
    assert!(step(&page(&visit.get(&server, &set_up)), 7).contains("Seen"));

    let people = page(&visit.get(&server, &format!("{address}/people?q=ana")));
    assert!(people.contains(">Ana Lima</a>") && people.contains("Inactive"), "{people}");
    let nobody = page(&visit.get(&server, &format!("{address}/people?q=ana&show=active")));
    assert!(nobody.contains("Nobody is like that"), "{nobody}");
    let person = page(&visit.get(&server, &format!("{address}/people/{id}")));
    assert!(person.contains("<strong>Arrived</strong>"), "{person}");
    assert!(person.contains("<strong>Deactivated</strong>: access ended"), "{person}");

    // The link is taken back: nobody listens any more, and the page does not open.
    let organization = format!("/api/v1/directories/{}", connection.directory);
    let organization = text(&server.api("GET", &organization, b"").json(), "organization_id");
    let revoke = format!("/api/v1/organizations/{organization}/portal-links/{}/revoke", visit.link);
    assert_eq!(server.api("POST", &revoke, b"").status, 200);
    live.rest();
    assert_eq!(shown(&visit.get(&server, &set_up)).0, 403);
}

#[test]
fn a_mistake_is_told_where_it_is_made() {
    let server = Server::start("parts-mistakes", Limits::default());
    let visit = visit(&server, &json!({}));
    let (address, connection) =
        connect(&server, &visit, "provider=okta&guide=okta-template&name=Okta");
    let set_up = format!("{address}/set-up?guide=okta-template");

    let wrong = Connection { token: "roster-scim-00ff".to_owned(), ..connection };
    assert_eq!(scim(&server, &wrong, "GET", "/Users", "").status, 401);
    let refused = page(&visit.get(&server, &set_up));
    assert!(refused.contains("The latest request failed"), "{refused}");
    let failed = page(&visit.get(&server, &format!("{address}/activity?show=failed")));
    assert!(failed.contains("<strong>What to do:</strong>"), "{failed}");
    let (_, rest) = failed.split_once(&format!("href=\"{address}/activity/")).expect("a request");
    let id = rest.split_once('"').expect("its end").0;
    let one = page(&visit.get(&server, &format!("{address}/activity/{id}")));
    assert!(one.contains("A request that failed"), "{one}");
    assert!(!one.contains("roster-scim-00ff"), "{one}");
    // Whoever knows its name finds it.
    let found = page(&visit.get(&server, &format!("{address}/activity?q={id}")));
    assert!(found.contains(&format!("{address}/activity/{id}")), "{found}");

    // The whole header was to be pasted, and is not.
    let good = page(&visit.send(&server, &format!("{address}/set-up"), "guide=okta-template"));
    let token = copied(&good, "token");
    let bare = [("Authorization", token.as_str()), ("User-Agent", "Okta SCIM Client")];
    let path = format!("{}/Users?startIndex=1&count=2", wrong.base);
    assert_eq!(server.call("GET", &path, &bare, b"").status, 200);
    let warned = page(&visit.get(&server, &set_up));
    assert!(warned.contains("without the word <code>Bearer</code>"), "{warned}");
    assert!(warned.contains("href=\"#trap-bearer\""), "{warned}");
}

#[test]
fn a_token_is_exchanged_without_a_request_that_fails() {
    let server = Server::start("parts-tokens", Limits::default());
    let visit = visit(&server, &json!({}));
    let (address, old) = connect(&server, &visit, "provider=entra&name=Entra");
    let arrives = |connection: &Connection, name: &str| {
        let user = json!({ "userName": name }).to_string();
        let reply = scim(&server, connection, "POST", "/Users", &user);
        assert_eq!(reply.status, 201, "{reply:?}");
    };
    arrives(&old, "ana");
    let tokens = format!("{address}/tokens");
    let (rotate, revoke) = {
        let listed = page(&visit.get(&server, &tokens));
        assert!(listed.contains("In use") && !listed.contains(&old.token), "{listed}");
        let (_, rest) = listed.split_once(&format!("action=\"{tokens}/")).expect("a form");
        let id = rest.split_once('/').expect("its end").0;
        (format!("{tokens}/{id}/rotate"), format!("{tokens}/{id}/revoke"))
    };
    let made = page(&visit.send(&server, &rotate, "overlap=day"));
    let new = Connection { token: copied(&made, "token"), ..connection_of(&old) };
    arrives(&old, "bo");
    arrives(&new, "chidi");
    // The new one is used, and nobody uses the old one: it can go.
    server.pass(60 * 60);
    arrives(&new, "dunja");
    let later = page(&visit.get(&server, &tokens));
    assert!(later.contains("A later one is used"), "{later}");
    let gone = visit.send(&server, &revoke, "");
    assert_eq!((gone.status, gone.header("location")), (303, Some(tokens.as_str())), "{gone:?}");
    assert_eq!(scim(&server, &old, "GET", "/Users", "").status, 401);
    assert_eq!(scim(&server, &new, "GET", "/Users", "").status, 200);
}

fn connection_of(other: &Connection) -> Connection {
    let (directory, base) = (other.directory.clone(), other.base.clone());
    Connection { directory, base, token: String::new() }
}

#[test]
fn a_connection_is_paused_and_goes_on() {
    let server = Server::start("parts-pause", Limits::default());
    let visit = visit(&server, &json!({}));
    let (address, connection) = connect(&server, &visit, "provider=custom&name=Own");
    for (act, status, said) in
        [("pause", 403, "This connection is paused."), ("resume", 201, "It works.")]
    {
        let reply = visit.send(&server, &format!("{address}/{act}"), "");
        assert_eq!(reply.status, 303, "{reply:?}");
        let reply = scim(&server, &connection, "POST", "/Users", r#"{"userName":"ana"}"#);
        assert_eq!(reply.status, status, "{reply:?}");
        let paused = page(&visit.get(&server, &address));
        assert!(paused.contains(said), "{paused}");
    }
}

#[test]
fn a_connection_is_disconnected_and_connected_again() {
    let server = Server::start("parts-disconnect", Limits::default());
    let visit = visit(&server, &json!({}));
    let (address, connection) = connect(&server, &visit, "provider=custom&name=Own");
    let ana = r#"{"userName":"ana"}"#;
    assert_eq!(scim(&server, &connection, "POST", "/Users", ana).status, 201);
    let disconnect = format!("{address}/disconnect");
    let before = server.state();
    for nothing in ["", "people=", "people=everybody"] {
        assert_eq!(visit.send(&server, &disconnect, nothing).status, 400, "{nothing}");
    }
    assert_eq!(server.state(), before);
    for (people, said) in [
        ("freeze", "Everybody stays as they are: until it is connected again"),
        ("keep", "Everybody keeps their access, and"),
        ("deactivate", "Everybody is losing their access now"),
    ] {
        let reply = visit.send(&server, &disconnect, &format!("people={people}"));
        assert_eq!(reply.status, 303, "{reply:?}");
        let page = page(&visit.get(&server, &address));
        assert!(page.contains(said) && page.contains(">Disconnected<"), "{page}");
        assert_eq!(scim(&server, &connection, "GET", "/Users", "").status, 401);
    }
    let reply = visit.send(&server, &format!("{address}/resume"), "");
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, Some(&*format!("{address}/set-up")))
    );
    assert!(!page(&visit.get(&server, &address)).contains(">Disconnected<"));
    // The old token stays what it is: gone.
    assert_eq!(scim(&server, &connection, "GET", "/Users", "").status, 401);
}

#[test]
fn a_name_that_is_none_makes_nothing() {
    let server = Server::start("parts-name", Limits::default());
    let visit = visit(&server, &json!({}));
    let path = format!("/portal/{}/directories", visit.link);
    let before = server.state();
    let (status, asked) = shown(&visit.send(&server, &path, "provider=okta&name=+"));
    assert_eq!(status, 422);
    assert!(asked.contains("Give it a name of 1 to 200 characters."), "{asked}");
    assert_eq!(shown(&visit.send(&server, &path, "provider=nobody&name=Okta")).0, 400);
    assert_eq!(server.state(), before);
}

#[test]
fn a_link_opens_no_more_than_it_names() {
    let server = Server::start("parts-features", Limits::default());
    let whole = visit(&server, &json!({}));
    let (address, connection) = connect(&server, &whole, "provider=okta&name=Okta");
    let organization = format!("/api/v1/directories/{}", connection.directory);
    let organization = text(&server.api("GET", &organization, b"").json(), "organization_id");
    let (_, below) = address.split_once(&whole.link).expect("the link");
    let before = server.state();
    for (feature, own) in [
        ("set_up", &["choose", "set-up"][..]),
        ("people", &["people", "groups"]),
        ("activity", &["activity"]),
        ("tokens", &["tokens"]),
        ("status", &["pause", "resume", "disconnect"]),
        ("roles", &[]),
    ] {
        let narrow = Visit::invite(&server, &organization, &json!({ "features": [feature] }));
        let narrow = narrow.begin(&server);
        let home = format!("/portal/{}", narrow.link);
        // What is connected, and how well it goes, is there with every link.
        for path in [home.clone(), format!("{home}{below}")] {
            let page = page(&narrow.get(&server, &path));
            assert!(page.contains(">Okta</"), "{feature}: {page}");
            // Nothing leads to where the link does not.
            for (_, rest) in page.match_indices("href=\"").map(|(at, _)| page.split_at(at + 6)) {
                let href = rest.split_once('"').expect("its end").0;
                if let Some(path) = href.strip_prefix(&home) {
                    let reply = narrow.get(&server, &format!("{home}{path}"));
                    assert_eq!(reply.status, 200, "{feature}: {href}");
                }
            }
        }
        for (method, part) in [
            ("GET", "set-up"),
            ("POST", "set-up"),
            ("GET", "people"),
            ("GET", "groups"),
            ("GET", "activity"),
            ("GET", "tokens"),
            ("POST", "tokens"),
            ("POST", "pause"),
            ("POST", "resume"),
            ("POST", "disconnect"),
        ] {
            if own.contains(&part) {
                continue;
            }
            let path = format!("{home}{below}/{part}");
            let reply = match method {
                "GET" => narrow.get(&server, &path),
                _ => narrow.send(&server, &path, ""),
            };
            let (status, page) = shown(&reply);
            assert_eq!(status, 403, "{feature}: {method} {part}");
            assert!(page.contains("Your link does not open this"), "{feature}: {page}");
        }
        if feature != "set_up" {
            let made = narrow.send(&server, &format!("{home}/directories"), "provider=okta&name=x");
            assert_eq!(shown(&made).0, 403, "{feature}");
        }
    }
    let links_aside = |state: Vec<serde_json::Value>| {
        let told = |state: &serde_json::Value| !state.to_string().contains("portal_link");
        state.into_iter().filter(told).collect::<Vec<_>>()
    };
    assert_eq!(links_aside(server.state()), links_aside(before));
}
