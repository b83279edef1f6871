//! The dashboard: who is let in, who may do what there, and how a session ends.

use std::cell::Cell;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use directory::Ids;
use directory::secret::{Secret, SecretHash, SecretKind};
use jiff::Timestamp;
use ring::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};
use serde_json::Value;
use store::{Clock, Environment, Store};
use uuid::Uuid;
use web::Limits;

use crate::portal::{FROM_HERE, shown};
use crate::server::{Reply, Server, text};

pub(crate) const PASSWORD: &str = "correct horse battery";

/// A server, and what time it is there.
pub(crate) struct Scene {
    pub(crate) server: Server,
    pub(crate) passed: Cell<i64>,
    invitations: Cell<u8>,
}

/// 2026-01-05T09:00:00Z, when every server begins.
pub(crate) const BEGINNING: i64 = 1_767_603_600;

struct At(i64);

impl Clock for At {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0).expect("a time")
    }
}

/// Ids of whoever stands beside the server, which has its own.
struct OtherIds(AtomicU64);

impl Ids for OtherIds {
    fn next(&self) -> Uuid {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        Uuid::from_u128(0x019b_8d4b_0000_7000_8000_0000_0000_0000 + u128::from(number))
    }
}

impl Scene {
    pub(crate) fn begin(name: &str) -> Scene {
        let limits = Limits { guesses: None, rate: None, ..Limits::default() };
        Scene::of(Server::start(name, limits))
    }

    pub(crate) fn of(server: Server) -> Scene {
        Scene { server, passed: Cell::new(0), invitations: Cell::new(0) }
    }

    pub(crate) fn pass(&self, seconds: i64) {
        self.server.pass(seconds);
        self.passed.set(self.passed.get() + seconds);
    }

    /// Invites the first member, as each start of `roster serve` does: where the link leads.
    pub(crate) fn invite_first(&self) -> Option<String> {
        self.beside(async |store, secret| {
            store.invite_first_member(secret).await.expect("it is kept")
        })
    }

    /// Does something on the server's machine, beside the server: where the link leads, if it was done.
    pub(crate) fn beside(&self, act: impl AsyncFnOnce(&Store, &Secret) -> bool) -> Option<String> {
        let number = self.invitations.get();
        self.invitations.set(number + 1);
        let environment = Environment {
            clock: Arc::new(At(BEGINNING + self.passed.get())),
            ids: Arc::new(OtherIds(AtomicU64::new(u64::from(number) * 1_000))),
        };
        let secret = Secret::new(SecretKind::Invitation, [number; 32]);
        let path = self.server.folder.join("roster.db");
        let limits = directory::Limits::default();
        let invite = async {
            let store = match &self.server.own {
                Some(own) => {
                    Store::open_postgres(&own.url(), environment, limits, [0xfe; 32]).await
                }
                None => Store::open_sqlite(&path, environment, limits, [0xfe; 32]),
            };
            let store = store.expect("the database opens");
            let is_invited = act(&store, &secret).await;
            store.close().await;
            is_invited
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let is_invited = runtime.expect("a runtime").block_on(invite);
        is_invited.then(|| format!("/dashboard/join/{}", secret.reveal()))
    }

    pub(crate) fn first(&self) -> Member {
        let path = self.invite_first().expect("nobody has joined");
        Member::join(self, &path, "Ana", "ana@vendor.example")
    }

    /// The code that an app shows now, of what it was given (RFC 6238).
    pub(crate) fn code(&self, key: &str) -> String {
        const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let mut bits = String::new();
        for letter in key.chars() {
            let digit = LETTERS.find(letter).expect("base 32");
            write!(bits, "{digit:05b}").expect("text takes it");
        }
        let byte = |bits: &[u8]| u8::from_str_radix(std::str::from_utf8(bits).ok()?, 2).ok();
        let secret: Option<Vec<u8>> = bits.as_bytes().chunks_exact(8).map(byte).collect();
        let key = Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, &secret.expect("bits"));
        let tag = sign(&key, &((BEGINNING + self.passed.get()) / 30).to_be_bytes());
        let at = usize::from(tag.as_ref()[19] & 15);
        let bytes: [u8; 4] = tag.as_ref()[at..at + 4].try_into().expect("four bytes");
        format!("{:06}", (u32::from_be_bytes(bytes) & 0x7fff_ffff) % 1_000_000)
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.server.call("GET", path, &[], b"")
    }

    pub(crate) fn post(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let headers = [FROM_HERE, ("User-Agent", "Tester/1")];
        self.server.call("POST", path, &headers, &encoded(fields))
    }
}

/// Somebody who is signed in.
pub(crate) struct Member {
    pub(crate) session: String,
    /// What their codes are made from.
    pub(crate) key: String,
}

pub(crate) fn encoded(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut form = String::new();
    for (name, value) in fields {
        let escaped = |text: &str| {
            let escape = |byte: u8| match byte {
                byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
                byte => format!("%{byte:02X}"),
            };
            text.bytes().map(escape).collect::<String>()
        };
        write!(form, "{}={}&", escaped(name), escaped(value)).expect("text takes it");
    }
    form.into_bytes()
}

/// The cookie that a browser is to show.
fn cookie_of(reply: &Reply) -> String {
    let cookie = reply.header("set-cookie").unwrap_or_else(|| panic!("no cookie: {reply:?}"));
    for attribute in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/dashboard;"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    let session = cookie.strip_prefix("dashboard=").and_then(|it| it.split(';').next());
    session.expect("a session").to_owned()
}

/// What stands in an element of a page.
pub(crate) fn element<'p>(page: &'p str, id: &str) -> &'p str {
    let (_, rest) = page.split_once(&format!("id=\"{id}\">")).expect("the element is there");
    rest.split_once('<').expect("its end").0
}

impl Member {
    /// Joins by an invitation.
    pub(crate) fn join(scene: &Scene, path: &str, name: &str, email: &str) -> Member {
        let (status, page) = shown(&scene.get(path));
        assert_eq!(status, 200, "{page}");
        let key = element(&page, "key").to_owned();
        let code = scene.code(&key);
        let fields = [
            ("name", name),
            ("email", email),
            ("password", PASSWORD),
            ("key", &key),
            ("code", &code),
        ];
        let reply = scene.post(path, &fields);
        assert_eq!(reply.status, 303, "{reply:?}");
        assert_eq!(reply.header("location"), Some("/dashboard"));
        Member { session: cookie_of(&reply), key }
    }

    /// Whoever has signed in, if they have.
    pub(crate) fn signed_in(reply: &Reply, key: &str) -> Option<Member> {
        let is_in = reply.status == 303;
        is_in.then(|| Member { session: cookie_of(reply), key: key.to_owned() })
    }

    pub(crate) fn proof(&self) -> String {
        SecretHash::of(&format!("form of {}", self.session)).as_str()[..32].to_owned()
    }

    pub(crate) fn get(&self, scene: &Scene, path: &str) -> Reply {
        let cookie = format!("dashboard={}", self.session);
        scene.server.call("GET", path, &[("Cookie", &cookie)], b"")
    }

    pub(crate) fn post(&self, scene: &Scene, path: &str, fields: &[(&str, &str)]) -> Reply {
        let (cookie, proof) = (format!("dashboard={}", self.session), self.proof());
        let mut all = vec![("proof", proof.as_str())];
        all.extend(fields);
        scene.server.call("POST", path, &[FROM_HERE, ("Cookie", &cookie)], &encoded(&all))
    }

    /// Sends a form as it is.
    pub(crate) fn send(
        &self,
        scene: &Scene,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let cookie = format!("dashboard={}", self.session);
        let headers = [&[FROM_HERE, ("Cookie", &cookie)], headers].concat();
        scene.server.call("POST", path, &headers, body)
    }

    pub(crate) fn is_in(&self, scene: &Scene) -> bool {
        match self.get(scene, "/dashboard").status {
            200 => true,
            303 => false,
            other => panic!("answered {other}"),
        }
    }

    /// Invites somebody, who joins.
    pub(crate) fn invite(&self, scene: &Scene, email: &str, role: &str) -> Member {
        Member::join(scene, &self.invitation(scene, email, role), email, "")
    }

    /// Invites somebody: where the link leads.
    pub(crate) fn invitation(&self, scene: &Scene, email: &str, role: &str) -> String {
        let reply = self.post(scene, "/dashboard/members", &[("email", email), ("role", role)]);
        let (status, page) = shown(&reply);
        assert_eq!(status, 200, "{page}");
        let link = element(&page, "invitation");
        link.strip_prefix("https://roster.example").expect("its address").to_owned()
    }
}

#[test]
fn the_first_member_joins_by_a_link_and_signs_in_with_password_and_code() {
    let scene = Scene::begin("dashboard-first");
    let path = scene.invite_first().expect("nobody has joined");
    let (_, page) = shown(&scene.get(&path));
    let key = element(&page, "key").to_owned();
    let code = scene.code(&key);
    let good = [
        ("name", "Ana"),
        ("email", "ana@vendor.example"),
        ("password", PASSWORD),
        ("key", &key),
        ("code", &code),
    ];
    // Whatever is not as it should be is told, and nobody has joined.
    for (field, value, said) in [
        ("name", "", "Say what you are called"),
        ("email", "ana", "The e-mail address is not one"),
        ("password", "short", "The password is too short"),
        ("code", "000000", "The code does not match"),
        ("key", "", "The code does not match"),
        ("key", "GEZDGNBV", "The code does not match"),
    ] {
        let fields = good.map(|(name, other)| (name, if name == field { value } else { other }));
        let (status, page) = shown(&scene.post(&path, &fields));
        assert_eq!(status, 422, "{page}");
        assert!(page.contains(said), "{page}");
        assert!(!page.contains(PASSWORD), "a password is not sent back: {page}");
        // The app that shows codes has it already.
        assert_eq!(element(&page, "key") == key, field != "key", "{page}");
    }
    // Whoever has seen the link does not know it.
    assert_ne!(element(&shown(&scene.get(&path)).1, "key"), key);
    let session = cookie_of(&scene.post(&path, &good));
    let ana = Member { session, key: key.clone() };
    assert!(ana.is_in(&scene));
    // The link is good once.
    assert_eq!(shown(&scene.post(&path, &good)).0, 404);
    assert_eq!(shown(&scene.get(&path)).0, 404);

    // A code is good once, too.
    let sign_in = |email: &str, password: &str, code: &str| {
        let fields = [("email", email), ("password", password), ("code", code), ("next", "")];
        scene.post("/dashboard/sign-in", &fields)
    };
    let wrong = |email: &str, password: &str, code: &str| {
        let reply = sign_in(email, password, code);
        let (status, page) = shown(&reply);
        assert_eq!(status, 403, "{page}");
        assert!(reply.header("set-cookie").is_none(), "{reply:?}");
        page.replace(email, "…")
    };
    let used = wrong("ana@vendor.example", PASSWORD, &code);
    scene.pass(30);
    let next = scene.code(&ana.key);
    // Nobody learns which of them was right, or whether there is somebody.
    for (email, password, code) in [
        ("bo@vendor.example", PASSWORD, next.as_str()),
        ("ana@vendor.example", "wrong horse battery", &next),
        ("ana@vendor.example", PASSWORD, "000000"),
    ] {
        assert_eq!(wrong(email, password, code), used);
    }
    let reply = sign_in(" ANA@vendor.example", PASSWORD, &next);
    assert_eq!(reply.status, 303, "{reply:?}");
    let again = Member { session: cookie_of(&reply), key: ana.key.clone() };
    assert!(again.is_in(&scene) && ana.is_in(&scene));
}

#[test]
fn whoever_is_signed_out_is_led_to_sign_in_and_back() {
    let scene = Scene::begin("dashboard-out");
    let ana = scene.first();
    for (method, page) in web::page_places() {
        let is_within = page.starts_with("/dashboard")
            && !page.starts_with("/dashboard/sign-in")
            && !page.starts_with("/dashboard/join");
        if !is_within {
            continue;
        }
        let path = page.replace(['{', '}'], "");
        let body = encoded(&[("proof", &ana.proof())]);
        let body = if method == "POST" { body.as_slice() } else { b"" };
        let call = |cookie: Option<String>| {
            let mut headers = vec![FROM_HERE];
            headers.extend(cookie.iter().map(|it| ("Cookie", it.as_str())));
            scene.server.call(method, &path, &headers, body)
        };
        let next = if method == "GET" {
            path.replace('/', "%2F").replace('-', "%2D").replace('.', "%2E")
        } else {
            String::new()
        };
        for cookie in [
            None,
            Some("dashboard=nonsense".to_owned()),
            Some(format!("dashboard={}", &ana.session[..40])),
            Some(format!("dashboard={}", scene.server.key)),
            Some(format!("other={}", ana.session)),
        ] {
            let reply = call(cookie);
            assert_eq!(reply.status, 303, "{method} {path}: {reply:?}");
            let expected = format!("/dashboard/sign-in?next={next}");
            assert_eq!(reply.header("location"), Some(expected.as_str()), "{method} {path}");
        }
        if method == "POST" {
            // Signed in, and with a form of another page, or of another site.
            let cookie = format!("dashboard={}", ana.session);
            let reply = scene.server.call(method, &path, &[FROM_HERE, ("Cookie", &cookie)], b"");
            assert_eq!(shown(&reply).0, 403, "{method} {path}");
            let headers = [("Sec-Fetch-Site", "cross-site"), ("Cookie", cookie.as_str())];
            assert_eq!(shown(&scene.server.call(method, &path, &headers, body)).0, 403, "{path}");
        }
    }
    assert!(ana.is_in(&scene));
    scene.pass(60);
    let code = scene.code(&ana.key);
    let fields = [
        ("email", "ana@vendor.example"),
        ("password", PASSWORD),
        ("code", &code),
        ("next", "/dashboard/members"),
    ];
    let reply = scene.post("/dashboard/sign-in", &fields);
    assert_eq!(reply.header("location"), Some("/dashboard/members"), "{reply:?}");
}

#[test]
fn roles_say_who_may_do_what() {
    let scene = Scene::begin("dashboard-roles");
    let ana = scene.first();
    let developer = ana.invite(&scene, "bo@vendor.example", "developer");
    let support = ana.invite(&scene, "cy@vendor.example", "support");
    let organizations = "/dashboard/organizations";

    let refused = support.post(&scene, organizations, &[("name", "Acme")]);
    let (status, page) = shown(&refused);
    assert_eq!(status, 403);
    assert!(page.contains("Your role does not allow this"), "{page}");
    let made = developer.post(&scene, organizations, &[("name", "Acme")]);
    assert_eq!(made.status, 303, "{made:?}");
    let acme = made.header("location").expect("where it is").to_owned();
    let (status, page) = shown(&support.get(&scene, &acme));
    assert_eq!(status, 200);
    assert!(page.contains("<h1>Acme</h1>") && !page.contains("Create link"), "{page}");

    // A link to the portal, made in the dashboard.
    let links = format!("{acme}/portal-links");
    assert_eq!(shown(&support.post(&scene, &links, &[])).0, 403);
    let (status, page) = shown(&developer.post(&scene, &links, &[("lifetime", "day")]));
    assert_eq!(status, 200);
    let link = element(&page, "portal-link").to_owned();
    let path = link.strip_prefix("https://roster.example").expect("its address");
    assert_eq!(shown(&scene.get(path)).0, 200);
    let events = scene.server.api("GET", "/api/v1/events?type=portal_link.created", b"").json();
    assert_eq!(events["data"][0]["cause"]["by"]["type"], "member", "{events}");
    let id = text(&events["data"][0]["data"]["portal_link"], "id");
    let reply = developer.post(&scene, &format!("{links}/{id}/revoke"), &[]);
    assert_eq!(reply.status, 303, "{reply:?}");
    assert_eq!(shown(&scene.get(path)).0, 410);

    // Members are the owners' to invite and remove.
    let members = "/dashboard/members";
    let invitation = [("email", "dee@vendor.example"), ("role", "owner")];
    for member in [&developer, &support] {
        assert_eq!(shown(&member.post(&scene, members, &invitation)).0, 403);
        assert_eq!(shown(&member.get(&scene, members)).0, 200);
    }
    for (email, said) in
        [("bo", "This is not an e-mail address"), ("BO@vendor.example", "is a member or invited")]
    {
        let reply = ana.post(&scene, members, &[("email", email), ("role", "support")]);
        let (status, page) = shown(&reply);
        assert_eq!(status, 422);
        assert!(page.contains(said), "{page}");
    }
    let (_, page) = shown(&ana.get(&scene, members));
    let of = |email: &str| {
        let (_, rest) = page.split_once(email).expect("they are listed");
        let (_, rest) = rest.split_once("/dashboard/members/").expect("a form");
        format!("/dashboard/members/{}/remove", rest.split_once('/').expect("its end").0)
    };
    // Who is removed is signed out.
    assert!(support.is_in(&scene));
    assert_eq!(ana.post(&scene, &of("cy@vendor.example"), &[]).status, 303);
    assert!(!support.is_in(&scene));
    assert_eq!(shown(&ana.post(&scene, &of("cy@vendor.example"), &[])).0, 404);
}

#[test]
fn sessions_are_listed_and_end() {
    let scene = Scene::begin("dashboard-sessions");
    let ana = scene.first();
    scene.pass(60);
    let code = scene.code(&ana.key);
    let fields = [("email", "ana@vendor.example"), ("password", PASSWORD), ("code", &code)];
    let other = Member {
        session: cookie_of(&scene.post("/dashboard/sign-in", &fields)),
        key: ana.key.clone(),
    };
    let (_, page) = shown(&ana.get(&scene, "/dashboard/account"));
    assert_eq!(page.matches("Tester/1").count(), 2, "{page}");
    let (_, rest) = page.split_once("/dashboard/account/sessions/").expect("that of the other");
    let path = format!("/dashboard/account/sessions/{}", rest.split_once('"').expect("its end").0);
    assert!(other.is_in(&scene));
    assert_eq!(ana.post(&scene, &path, &[]).status, 303);
    assert!(!other.is_in(&scene) && ana.is_in(&scene));

    // By itself after a week, and at once when somebody signs out.
    scene.pass(7 * 24 * 60 * 60 - 61);
    assert!(ana.is_in(&scene));
    scene.pass(1);
    assert!(!ana.is_in(&scene));
    let code = scene.code(&ana.key);
    let fields = [("email", "ana@vendor.example"), ("password", PASSWORD), ("code", &code)];
    let ana =
        Member { session: cookie_of(&scene.post("/dashboard/sign-in", &fields)), key: ana.key };
    let reply = ana.post(&scene, "/dashboard/sign-out", &[]);
    assert_eq!(reply.header("location"), Some("/dashboard/sign-in"));
    assert!(reply.header("set-cookie").is_some_and(|it| it.starts_with("dashboard=; ")));
    assert!(!ana.is_in(&scene));
}

#[test]
fn the_last_owner_stays_and_the_first_link_ends_when_somebody_has_joined() {
    let scene = Scene::begin("dashboard-owner");
    let unused = scene.invite_first().expect("nobody has joined");
    assert_eq!(shown(&scene.get(&unused)).0, 200);
    // Each start makes another.
    let ana = scene.first();
    assert_eq!(shown(&scene.get(&unused)).0, 404);
    let bo = ana.invite(&scene, "bo@vendor.example", "owner");
    let (_, page) = shown(&bo.get(&scene, "/dashboard/members"));
    let (_, rest) = page.split_once("/dashboard/members/").expect("that of Ana");
    let of_ana = format!("/dashboard/members/{}/remove", rest.split_once('/').expect("its end").0);
    assert_eq!(bo.post(&scene, &of_ana, &[]).status, 303);
    assert!(!ana.is_in(&scene));
    let (_, page) = shown(&bo.get(&scene, "/dashboard/account"));
    assert!(page.contains("bo@vendor.example"));
    let events = scene.server.api("GET", "/api/v1/events", b"").json();
    assert!(!events.to_string().contains("vendor.example"), "{events}");
    assert!(bo.is_in(&scene));
    assert_eq!(scene.invite_first(), None, "somebody has joined");
}

#[test]
fn who_tries_passwords_is_told_to_wait() {
    let scene = Scene::begin("dashboard-tries");
    let fields = [("email", "ana@vendor.example"), ("password", "wrong"), ("code", "000000")];
    let try_once = || scene.post("/dashboard/sign-in", &fields);
    assert_eq!(shown(&try_once()).0, 403);
    // One more is allowed with each half minute that this takes.
    let mut tries = std::iter::repeat_with(try_once).take(40);
    let last = tries.find(|reply| reply.status != 403).expect("it is too many at last");
    assert_eq!(shown(&last).0, 429, "{last:?}");
    let wait: u64 = last.header("retry-after").and_then(|it| it.parse().ok()).expect("a number");
    assert!((1..=Duration::from_secs(31).as_secs()).contains(&wait), "{wait}");
}

/// What the audit log has of it, the first first: who did what, from where, and in which request.
pub(crate) fn noted(scene: &Scene, action: &str) -> Vec<Value> {
    let path = format!("/api/v1/audit?action={action}");
    let mut entries = scene.server.api("GET", &path, b"").json()["data"].take();
    let mut entries = std::mem::take(entries.as_array_mut().expect("entries"));
    entries.reverse();
    entries
}

/// Expects an entry to name who did it, and the request that was answered so.
#[track_caller]
fn expect_noted(entry: &Value, by: &str, name: Option<&str>, reply: &Reply) {
    assert_eq!(entry["actor"]["type"], by, "{entry}");
    assert_eq!(entry["actor"]["name"].as_str(), name, "{entry}");
    assert_eq!(entry["address"], "127.0.0.1", "{entry}");
    assert_eq!(entry["request_id"].as_str(), reply.header("x-request-id"), "{entry}");
    assert!(!entry.to_string().contains("vendor.example"), "{entry}");
}

#[test]
fn the_audit_log_tells_who_came_and_went() {
    let scene = Scene::begin("dashboard-audit");
    let ana = scene.first();
    let path = "/dashboard/members";
    let fields = [("email", "bo@vendor.example"), ("role", "support")];
    let invited = ana.post(&scene, path, &fields);
    // The first member was invited by a command, whose ids are its own.
    let entries = noted(&scene, "member.invited");
    let entry = entries.iter().find(|it| it["actor"]["type"] != "operator").expect("an entry");
    expect_noted(entry, "member", Some("Ana"), &invited);
    let (_, page) = shown(&invited);
    let link = element(&page, "invitation").to_owned();
    let path = link.strip_prefix("https://roster.example").expect("its address");
    let key = element(&shown(&scene.get(path)).1, "key").to_owned();
    let code = scene.code(&key);
    let fields = [("name", "Bo"), ("password", PASSWORD), ("key", &key), ("code", &code)];
    let joined = scene.post(path, &fields);
    let entry = &noted(&scene, "member.joined")[1];
    expect_noted(entry, "member", Some("Bo"), &joined);
    assert_eq!(entry["actor"]["id"], entry["object"]["id"], "{entry}");
    let bo = text(&entry["object"], "id");

    let sign_in = |email: &str, password: &str, code: &str| {
        let fields = [("email", email), ("password", password), ("code", code)];
        scene.post("/dashboard/sign-in", &fields)
    };
    let used = sign_in("bo@vendor.example", PASSWORD, &code);
    scene.pass(60);
    let code = scene.code(&key);
    let failed = [
        ("used_code", used),
        ("wrong_password", sign_in("bo@vendor.example", "wrong", &code)),
        ("wrong_code", sign_in("bo@vendor.example", PASSWORD, "000000")),
    ];
    // There is nobody to name.
    assert_eq!(sign_in("nobody@vendor.example", PASSWORD, &code).status, 403);
    let entered = sign_in("bo@vendor.example", PASSWORD, &code);
    let session = cookie_of(&entered);
    // What is kept in the background is kept before what comes later.
    let entry = &noted(&scene, "member.signed_in")[0];
    expect_noted(entry, "member", Some("Bo"), &entered);
    let entries = noted(&scene, "member.sign_in_failed");
    assert_eq!(entries.len(), failed.len(), "{entries:?}");
    for (entry, (why, reply)) in entries.iter().zip(&failed) {
        expect_noted(entry, "server", None, reply);
        assert_eq!(entry["object"]["id"], *bo, "{entry}");
        assert_eq!(entry["after"]["why"], *why, "{entry}");
    }

    let out = Member { session, key }.post(&scene, "/dashboard/sign-out", &[]);
    let ended = &noted(&scene, "member.signed_out")[0];
    expect_noted(ended, "member", Some("Bo"), &out);
    assert_eq!(ended["before"], entry["after"], "the session that began");
    let removed = ana.post(&scene, &format!("/dashboard/members/{bo}/remove"), &[]);
    let entry = &noted(&scene, "member.removed")[0];
    expect_noted(entry, "member", Some("Ana"), &removed);
    assert_eq!(entry["object"]["id"], *bo, "{entry}");
}
