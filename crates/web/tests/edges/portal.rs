//! The portal: whom a link lets in, and whom it does not.

use directory::secret::SecretHash;
use serde_json::{Value, json};
use web::Limits;

use crate::isolation::pull_the_brake;
use crate::server::{Reply, Server, text};
use crate::strangers::{House, SECRET, furnish};

/// What browsers say of a form that stands on a page of the site itself.
pub(crate) const FROM_HERE: (&str, &str) = ("Sec-Fetch-Site", "same-origin");

/// A link, and the browser that has opened it.
pub(crate) struct Visit {
    pub(crate) link: String,
    pub(crate) secret: String,
    /// Empty, before it is opened.
    pub(crate) session: String,
}

impl Visit {
    /// Makes a link to the portal of an organization.
    pub(crate) fn invite(server: &Server, organization: &str, new: &Value) -> Visit {
        let path = format!("/api/v1/organizations/{organization}/portal-links");
        let reply = server.api("POST", &path, new.to_string().as_bytes());
        assert_eq!(reply.status, 201, "{reply:?}");
        let made = reply.json();
        let url = text(&made, "url");
        let secret = url.strip_prefix("https://roster.example/portal/open/").expect("its address");
        Visit { link: text(&made, "id"), secret: secret.to_owned(), session: String::new() }
    }

    fn open(&self) -> String {
        format!("/portal/open/{}", self.secret)
    }

    /// Opens the portal with a browser.
    pub(crate) fn begin(mut self, server: &Server) -> Visit {
        let reply = server.call("POST", &self.open(), &[FROM_HERE], b"");
        assert_eq!(reply.status, 303, "{reply:?}");
        assert_eq!(reply.header("location"), Some(format!("/portal/{}", self.link).as_str()));
        let cookie = reply.header("set-cookie").expect("a cookie");
        let (name, rest) = cookie.split_once('=').expect("a name");
        assert_eq!(name, self.link);
        let (session, rest) = rest.split_once(';').expect("attributes");
        for attribute in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/portal/"] {
            assert!(rest.contains(attribute), "{rest}");
        }
        session.clone_into(&mut self.session);
        self
    }

    pub(crate) fn cookie(&self) -> String {
        format!("other=1; {}={}", self.link, self.session)
    }

    /// What the forms of its pages carry.
    pub(crate) fn proof(&self) -> String {
        let hash = SecretHash::of(&format!("form of {}", self.session));
        format!("proof={}", &hash.as_str()[..32])
    }

    pub(crate) fn get(&self, server: &Server, path: &str) -> Reply {
        server.call("GET", path, &[("Cookie", &self.cookie())], b"")
    }

    /// Sends a form of one of its pages.
    pub(crate) fn send(&self, server: &Server, path: &str, fields: &str) -> Reply {
        let form = format!("{}&{fields}", self.proof());
        server.call("POST", path, &[FROM_HERE, ("Cookie", &self.cookie())], form.as_bytes())
    }

    fn home(&self, server: &Server) -> Reply {
        self.get(server, &format!("/portal/{}", self.link))
    }

    fn state(&self, server: &Server, organization: &str) -> String {
        let path = format!("/api/v1/organizations/{organization}/portal-links/{}", self.link);
        text(&server.api("GET", &path, b"").json(), "state")
    }
}

fn without_limits() -> Limits {
    Limits { guesses: None, rate: None, ..Limits::default() }
}

/// What is shown of a page, where it is one.
pub(crate) fn shown(reply: &Reply) -> (u16, String) {
    assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"), "{reply:?}");
    let policy = reply.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
    assert!(policy.ends_with("frame-ancestors 'none'"), "{policy}");
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    (reply.status, String::from_utf8(reply.body.clone()).expect("text"))
}

/// The events of links, with who caused them.
fn told_of_links(server: &Server) -> Vec<(String, String)> {
    let events = server.api("GET", "/api/v1/events?type=portal_link.*", b"").json();
    let told = events["data"].as_array().expect("events").iter();
    told.map(|event| (text(event, "type"), text(&event["cause"]["by"], "type"))).collect()
}

#[test]
fn a_link_belongs_to_the_browser_that_opens_it_first() {
    let server = Server::start("portal-first", without_limits());
    let house = furnish(&server);
    let visit = Visit::invite(&server, &house.organization, &json!({}));
    // Whoever looks at it, as programs do that look at what is in mails, does not open it.
    for _ in 0..2 {
        let (status, page) = shown(&server.call("GET", &visit.open(), &[], b""));
        assert_eq!(status, 200);
        assert!(page.contains(&format!("<h1>Directory sync of {SECRET}</h1>")), "{page}");
        assert!(page.contains("2026-01-12 09:00 UTC"), "{page}");
        assert_eq!(visit.state(&server, &house.organization), "unopened");
    }
    // Neither does a form of another site.
    for headers in
        [&[][..], &[("Sec-Fetch-Site", "cross-site")], &[("Origin", "https://evil.example")]]
    {
        let (status, page) = shown(&server.call("POST", &visit.open(), headers, b""));
        assert_eq!(status, 403, "{page}");
        assert_eq!(visit.state(&server, &house.organization), "unopened");
    }
    let visit = visit.begin(&server);
    assert_eq!(visit.state(&server, &house.organization), "open");
    let (status, page) = shown(&visit.home(&server));
    assert_eq!(status, 200);
    assert!(page.contains(SECRET), "{page}");

    // The same browser follows the link again and is inside; every other one is not.
    let again = visit.get(&server, &visit.open());
    assert_eq!(again.status, 303, "{again:?}");
    for reply in [
        server.call("GET", &visit.open(), &[], b""),
        server.call("POST", &visit.open(), &[FROM_HERE], b""),
    ] {
        let (status, page) = shown(&reply);
        assert_eq!(status, 403);
        assert!(page.contains("opened in another browser"), "{page}");
        assert!(reply.header("set-cookie").is_none(), "{reply:?}");
    }
    let expected = [("portal_link.created", "api_key"), ("portal_link.opened", "portal_link")];
    let expected = expected.map(|(kind, by)| (kind.to_owned(), by.to_owned()));
    assert_eq!(told_of_links(&server), expected);
}

#[test]
fn the_audit_log_tells_what_is_done_with_a_link() {
    let server = Server::start("portal-audit", without_limits());
    let house = furnish(&server);
    let visit = Visit::invite(&server, &house.organization, &json!({}));
    let opened = server.call("POST", &visit.open(), &[FROM_HERE], b"");
    let path =
        format!("/api/v1/organizations/{}/portal-links/{}/revoke", house.organization, visit.link);
    let revoked = server.api("POST", &path, b"");
    let path = format!("/api/v1/audit?object_id={}", visit.link);
    let told = server.api("GET", &path, b"").json();
    let told = told["data"].as_array().expect("entries");
    let expected = [
        ("portal_link.revoked", "api_key", Some(&revoked)),
        ("portal_link.opened", "portal_link", Some(&opened)),
        ("portal_link.created", "api_key", None),
    ];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for (entry, (action, by, reply)) in told.iter().zip(expected) {
        assert_eq!((&entry["action"], &entry["actor"]["type"]), (&json!(action), &json!(by)));
        assert_eq!(entry["address"], "127.0.0.1", "{entry}");
        let request_id = text(entry, "request_id");
        assert!(reply.is_none_or(|it| it.header("x-request-id") == Some(&*request_id)), "{entry}");
    }
    assert_eq!(told[1]["actor"]["id"], *visit.link);
}

#[test]
fn a_link_ends_when_it_is_said_to() {
    let server = Server::start("portal-ends", without_limits());
    let house = furnish(&server);
    let organization = &house.organization;
    let invite = |new: Value| Visit::invite(&server, organization, &new);
    let ended = |visit: &Visit, why: &str| {
        let (status, page) = shown(&visit.get(&server, &visit.open()));
        assert_eq!(status, 410, "{page}");
        assert!(page.contains(why), "{page}");
        let (status, page) = shown(&server.call("POST", &visit.open(), &[FROM_HERE], b""));
        assert_eq!(status, 410, "{page}");
        if !visit.session.is_empty() {
            assert_eq!(shown(&visit.home(&server)).0, 403);
        }
    };

    let revoked = invite(json!({})).begin(&server);
    let unopened = invite(json!({}));
    for visit in [&revoked, &unopened] {
        let path =
            format!("/api/v1/organizations/{organization}/portal-links/{}/revoke", visit.link);
        let reply = server.api("POST", &path, b"");
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(visit.state(&server, organization), "revoked");
        ended(visit, "was revoked");
    }

    let late = invite(json!({ "one_time": true }));
    let at_once = invite(json!({ "one_time": true })).begin(&server);
    let an_hour = invite(json!({ "lifetime_hours": 1 })).begin(&server);
    server.pass(5 * 60);
    ended(&late, "has ended");
    assert_eq!(at_once.home(&server).status, 200);
    assert_eq!(an_hour.home(&server).status, 200);
    server.pass(55 * 60);
    ended(&an_hour, "has ended");
    assert_eq!(at_once.home(&server).status, 200);
    server.pass(11 * 60 * 60);
    assert_eq!(at_once.state(&server, organization), "expired");
    ended(&at_once, "has ended");

    // Nobody has made this one.
    let nobodys = server.call("GET", "/portal/open/roster-portal-00", &[], b"");
    assert_eq!(shown(&nobodys).0, 404);
}

#[test]
fn a_link_goes_with_its_organization() {
    let server = Server::start("portal-goes", without_limits());
    let made = server.api("POST", "/api/v1/organizations", br#"{"name":"Acme"}"#).json();
    let organization = text(&made, "id");
    let inside = Visit::invite(&server, &organization, &json!({})).begin(&server);
    let path = format!("/api/v1/organizations/{organization}");
    assert_eq!(server.api("DELETE", &path, b"").status, 204);
    assert_eq!(shown(&inside.home(&server)).0, 403);
    assert_eq!(shown(&server.call("GET", &inside.open(), &[], b"")).0, 404);
    let kinds: Vec<_> = told_of_links(&server).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["portal_link.created", "portal_link.opened", "portal_link.revoked"]);
}

#[test]
fn an_organization_has_only_so_many_links_that_are_good() {
    let server = Server::start("portal-many", without_limits());
    let house = furnish(&server);
    let path = format!("/api/v1/organizations/{}/portal-links", house.organization);
    let first = Visit::invite(&server, &house.organization, &json!({}));
    for _ in 1..100 {
        Visit::invite(&server, &house.organization, &json!({ "lifetime_hours": 1 }));
    }
    let reply = server.api("POST", &path, b"{}");
    assert_eq!(reply.status, 409, "{reply:?}");
    assert_eq!(reply.json()["type"], "urn:roster:problem:portal-links-full");
    let revoke = format!("{path}/{}/revoke", first.link);
    assert_eq!(server.api("POST", &revoke, b"").status, 200);
    Visit::invite(&server, &house.organization, &json!({}));
    assert_eq!(server.api("POST", &path, b"{}").status, 409);
    server.pass(60 * 60);
    Visit::invite(&server, &house.organization, &json!({}));
}

/// An organization with one of everything, and somebody in its portal.
struct Furnished {
    house: House,
    visit: Visit,
    request: String,
    hold: String,
}

impl Furnished {
    fn new(server: &Server) -> Furnished {
        let house = furnish(server);
        let visit = Visit::invite(server, &house.organization, &json!({})).begin(server);
        let path = format!("/api/v1/directories/{}/requests?limit=1", house.connection.directory);
        let request = text(&server.api("GET", &path, b"").json()["data"][0], "id");
        let hold = pull_the_brake(server, &house);
        Furnished { house, visit, request, hold }
    }

    /// What stands at a place of a path.
    fn id(&self, name: &str) -> String {
        match name {
            "link" => self.visit.link.clone(),
            "directory" => self.house.connection.directory.clone(),
            "user" => self.house.user.clone(),
            "group" => self.house.group.clone(),
            "token" => self.house.token_id.clone(),
            "request" => self.request.clone(),
            "hold" => self.hold.clone(),
            _ => panic!("`{name}` is a new place for an id: say what stands there"),
        }
    }
}

fn nobodys(name: &str) -> &'static str {
    match name {
        "link" => "link-01kc2x4n0s00000000000000zz",
        "directory" => "dir-01kc2x4n0s00000000000000zz",
        "token" => "tok-01kc2x4n0s00000000000000zz",
        "request" => "req-01kc2x4n0s00000000000000zz",
        "hold" => "hold-01kc2x4n0s00000000000000zz",
        "user" | "group" => "019b8d4a-0000-7000-8000-00000000dead",
        _ => panic!("`{name}` is a new place for an id: say what nobody's is"),
    }
}

/// The places of ids in the path of a page.
fn places(path: &str) -> Vec<String> {
    let names = path.split('{').skip(1).filter_map(|part| part.split('}').next());
    names.map(str::to_owned).collect()
}

fn filled(path: &str, id: impl Fn(&str) -> String) -> String {
    places(path)
        .into_iter()
        .fold(path.to_owned(), |path, name| path.replace(&format!("{{{name}}}"), &id(&name)))
}

/// Pages of the portal behind the link. What is before it has the secret itself in its address.
fn pages() -> Vec<(&'static str, String)> {
    let pages = web::page_places().into_iter();
    let pages: Vec<_> = pages.filter(|(_, path)| path.starts_with("/portal/{link}")).collect();
    assert!(!pages.is_empty(), "there are pages");
    pages
}

/// What was told, without the name of the request and the time.
fn told(reply: &Reply) -> (u16, Vec<(String, String)>, String) {
    let mut headers = reply.headers.clone();
    headers.retain(|(name, _)| !matches!(name.as_str(), "x-request-id" | "date"));
    (reply.status, headers, String::from_utf8(reply.body.clone()).expect("text"))
}

#[test]
fn who_is_not_inside_is_told_the_same_of_every_page() {
    let server = Server::start("portal-outside", without_limits());
    let (own, other) = (Furnished::new(&server), Furnished::new(&server));
    let unopened = Visit::invite(&server, &own.house.organization, &json!({}));
    let revoked = Visit::invite(&server, &own.house.organization, &json!({})).begin(&server);
    let path = format!(
        "/api/v1/organizations/{}/portal-links/{}/revoke",
        own.house.organization, revoked.link
    );
    assert_eq!(server.api("POST", &path, b"").status, 200);
    let with = |session: &str| Some(format!("{}={session}", own.visit.link));
    let outside = [
        ("nothing", None),
        ("garbage", with("nonsense")),
        ("an empty session", with("")),
        ("the secret of the link", with(&own.visit.secret)),
        ("that of one that nobody opened", with(&unopened.secret)),
        ("a session that was cut", with(&own.visit.session[..40])),
        ("the session of another organization", with(&other.visit.session)),
        ("the same under its own name", Some(other.visit.cookie())),
        ("one of the same that was revoked", with(&revoked.session)),
        ("an API key", with(&server.key)),
        ("a token of the directory", with(&own.house.connection.token)),
    ];
    let before = server.state();
    for (method, page) in pages() {
        let call = |link: &str, cookie: Option<&str>| {
            let path =
                filled(&page, |name| if name == "link" { link.to_owned() } else { own.id(name) });
            let mut headers = vec![FROM_HERE];
            headers.extend(cookie.map(|it| ("Cookie", it)));
            let proof = own.visit.proof();
            let body = if method == "POST" { proof.as_bytes() } else { b"" };
            server.call(method, &path, &headers, body)
        };
        let nothing = call(nobodys("link"), None);
        assert_eq!(nothing.status, 403, "{method} {page}: {nothing:?}");
        for (kind, cookie) in &outside {
            let reply = call(&own.visit.link, cookie.as_deref());
            assert_eq!(told(&reply), told(&nothing), "{method} {page} with {kind}");
        }
        let authorization = format!("Bearer {}", own.visit.session);
        let path = filled(&page, |name| own.id(name));
        let headers = [FROM_HERE, ("Authorization", authorization.as_str())];
        let reply = server.call(method, &path, &headers, own.visit.proof().as_bytes());
        assert_eq!(told(&reply), told(&nothing), "{method} {page} with a session as a token");
    }
    assert_eq!(server.state(), before);
}

#[test]
fn who_is_inside_meets_nothing_of_others() {
    let server = Server::start("portal-inside", without_limits());
    let (own, other) = (Furnished::new(&server), Furnished::new(&server));
    let before = server.state();
    for (method, page) in pages() {
        for foreign in places(&page).into_iter().filter(|name| name != "link") {
            let with = |id: &str| {
                let path =
                    filled(
                        &page,
                        |name| if name == foreign { id.to_owned() } else { own.id(name) },
                    );
                let cookie = own.visit.cookie();
                let proof = own.visit.proof();
                let body = if method == "POST" { proof.as_bytes() } else { b"" };
                let reply = server.call(method, &path, &[FROM_HERE, ("Cookie", &cookie)], body);
                let (status, headers, body) = told(&reply);
                (status, headers, body.replace(id, "…"))
            };
            let theirs = with(&other.id(&foreign));
            assert_eq!(theirs.0, 404, "{method} {page} at {foreign}: {theirs:?}");
            assert_eq!(theirs, with(nobodys(&foreign)), "{method} {page} at {foreign}");
        }
        if method == "POST" {
            // A form that did not stand on a page that this browser was shown.
            let path = filled(&page, |name| own.id(name));
            let (cookie, proof) = (own.visit.cookie(), other.visit.proof());
            for body in [b"".as_slice(), proof.as_bytes()] {
                let reply = server.call(method, &path, &[FROM_HERE, ("Cookie", &cookie)], body);
                assert_eq!(shown(&reply).0, 403, "{method} {page}: {reply:?}");
            }
        }
    }
    assert_eq!(server.state(), before);
}

#[test]
fn what_pages_load_is_kept_for_a_year() {
    let server = Server::start("portal-assets", without_limits());
    let page = server.call("GET", "/portal/open/nonsense", &[], b"");
    let (_, page) = shown(&page);
    let addresses: Vec<_> = page.split('"').filter(|part| part.starts_with("/assets/")).collect();
    assert_eq!(addresses.len(), 4, "{page}");
    for address in addresses {
        let reply = server.call("GET", address, &[], b"");
        assert_eq!(reply.status, 200, "{reply:?}");
        let kept = reply.header("cache-control");
        assert_eq!(kept, Some("public, max-age=31536000, immutable"), "{address}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        let another = address.replace('-', "-0");
        assert_eq!(server.call("GET", &another, &[], b"").status, 404);
    }
}
