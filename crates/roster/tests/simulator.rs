//! The page of the simulator with the built binary: somebody plays an Okta, which speaks to this server
//! over HTTP, and sees what was answered and what the app hears.

#[expect(dead_code, reason = "what there is to read is a page")]
mod server;

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use ring::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};
use serde_json::json;
use server::{Caller, Server};
use simulator::{Client as _, HttpClient, Method, Request, Response};

const KINDS: [&str; 4] =
    ["okta-2026-template", "okta-2021-template", "okta-2026-aiw", "okta-aiw-reassign"];

/// Somebody who is signed in to the dashboard, in a browser.
struct Member {
    client: HttpClient,
    cookie: String,
    proof: String,
}

impl Member {
    /// Joins by an invitation.
    async fn join(server: &Server, invitation: &str, email: &str) -> Member {
        let client = HttpClient::new(&server.url, Duration::from_mins(1)).expect("an address");
        let mut member = Member { client, cookie: String::new(), proof: String::new() };
        let path = invitation.strip_prefix(&server.url).expect("it leads to this server");
        let page = text(&member.send(Method::Get, path, "").await);
        let key = between(&page, "<code id=\"key\">", "</code>");
        let code = code(key);
        let form = format!(
            "name={email}&email={email}&password=correct+horse+battery&key={key}&code={code}"
        );
        let joined = member.send(Method::Post, path, &form).await;
        assert_eq!(joined.status, 303, "{}", text(&joined));
        let cookie = joined.header("set-cookie").expect("a cookie");
        let cookie = cookie.split(';').next().expect("a name and a value");
        cookie.clone_into(&mut member.cookie);
        let page = member.page("/dashboard/account").await;
        between(&page, "name=\"proof\" value=\"", "\"").clone_into(&mut member.proof);
        member
    }

    async fn owner(server: &Server) -> Member {
        let line = server.said.iter().find_map(|line| line.strip_prefix("  dashboard "));
        Member::join(server, line.expect("a link").trim(), "ana@vendor.example").await
    }

    async fn send(&mut self, method: Method, path: &str, form: &str) -> Response {
        let headers = [
            ("Cookie", self.cookie.as_str()),
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Sec-Fetch-Site", "same-origin"),
        ];
        let request = Request {
            method,
            path_and_query: path.to_owned(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            body: form.as_bytes().to_vec(),
        };
        self.client.send(&request).await.expect("the server answers")
    }

    async fn page(&mut self, path: &str) -> String {
        let response = self.send(Method::Get, path, "").await;
        assert_eq!(response.status, 200, "{path}: {}", text(&response));
        text(&response)
    }

    async fn post(&mut self, path: &str, fields: &str) -> Response {
        let form = format!("proof={}&{fields}", self.proof);
        self.send(Method::Post, path, &form).await
    }

    /// Begins a simulation in a directory of its own, and says where its page is.
    async fn begin(&mut self, kind: &str) -> String {
        let begun = self.post("/dashboard/simulator", &format!("kind={kind}")).await;
        assert_eq!(begun.status, 303, "{}", text(&begun));
        begun.header("location").expect("its page").to_owned()
    }

    /// Does something, and gives the page that shows what came of it.
    async fn act(&mut self, simulation: &str, fields: &str) -> String {
        let done = self.post(&format!("{simulation}/act"), &format!("act={fields}")).await;
        assert_eq!(done.status, 303, "{fields}: {}", text(&done));
        let path = done.header("location").expect("its page").to_owned();
        self.page(&path).await
    }
}

fn text(response: &Response) -> String {
    String::from_utf8(response.body.clone()).expect("text")
}

fn between<'p>(page: &'p str, begin: &str, end: &str) -> &'p str {
    let (_, rest) = page.split_once(begin).unwrap_or_else(|| panic!("no `{begin}` in {page}"));
    rest.split_once(end).expect("it ends").0
}

/// What an app on a phone shows now (RFC 6238).
#[expect(clippy::disallowed_methods, reason = "a phone has a clock of its own")]
fn code(key: &str) -> String {
    const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut bits = String::new();
    for letter in key.chars() {
        let digit = LETTERS.find(letter).expect("base 32");
        write!(bits, "{digit:05b}").expect("text takes it");
    }
    let byte = |bits: &[u8]| u8::from_str_radix(std::str::from_utf8(bits).ok()?, 2).ok();
    let secret: Option<Vec<u8>> = bits.as_bytes().chunks_exact(8).map(byte).collect();
    let key = Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, &secret.expect("bits"));
    let now = std::time::SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let tag = sign(&key, &(now.as_secs() / 30).to_be_bytes());
    let at = usize::from(tag.as_ref()[19] & 15);
    let bytes: [u8; 4] = tag.as_ref()[at..at + 4].try_into().expect("four bytes");
    format!("{:06}", (u32::from_be_bytes(bytes) & 0x7fff_ffff) % 1_000_000)
}

/// Whoever joins, as a form says it.
fn profile(name: &str) -> String {
    format!("given_name={name}&family_name=Lima&user_name={name}%40acme.example&title=Engineer")
}

/// How a page says that something was sent and answered.
fn exchange(path: &str, status: &str) -> String {
    format!("<code>{path}</code> <span class=\"status\">{status}</span>")
}

#[tokio::test]
async fn an_okta_is_played_and_the_app_hears_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &["--requests-per-second", "0"]);
    let mut api = Caller::new(&server.url, &server.api_key());
    let mut ana = Member::owner(&server).await;
    for kind in KINDS {
        let at = ana.begin(kind).await;
        let page = ana.page(&at).await;
        let directory = between(&page, "<dt>Directory</dt><dd><code>", "</code>").to_owned();
        let page = ana.act(&at, "test").await;
        assert!(page.contains(&exchange("GET /Users?startIndex=1&#38;count=2", "200")), "{page}");

        for name in ["bo", "cy"] {
            let page = ana.act(&at, &format!("join&{}", profile(name))).await;
            assert!(page.contains(&format!("{name}@acme.example joins")), "{page}");
        }
        let page = ana.act(&at, "assign&of=0").await;
        assert!(page.contains(&exchange("POST /Users", "201")), "{page}");
        assert!(page.contains("directory.user.created"), "{page}");
        assert!(!page.contains("Tasks that failed"), "{page}");
        ana.act(&at, "assign&of=1").await;
        let edited = format!("edit&of=1&{}&department=Sales", profile("cy"));
        let page = ana.act(&at, &edited).await;
        assert!(page.contains("directory.user.updated"), "{page}");

        ana.act(&at, "make-group&name=Engineering").await;
        ana.act(&at, "members&of=0&member-0=yes").await;
        let page = ana.act(&at, "push&of=0").await;
        assert!(page.contains(&exchange("POST /Groups", "201")), "{page}");
        assert!(page.contains("directory.group.member_added"), "{page}");
        ana.act(&at, "rename&of=0&name=Engineers").await;
        let page = ana.act(&at, "members&of=0&member-0=yes&member-1=yes").await;
        assert!(page.contains("cy@acme.example in Engineers"), "{page}");

        // Who is suspended stays as they are; who leaves does not.
        let page = ana.act(&at, "suspend&of=0").await;
        assert!(page.contains("Sends nothing."), "{page}");
        assert!(!page.contains("directory.user.deactivated"), "{page}");
        ana.act(&at, "unsuspend&of=0").await;
        let page = ana.act(&at, "deactivate&of=0").await;
        assert!(page.contains("directory.user.deactivated"), "{page}");
        let page = ana.act(&at, "bring-back&of=0").await;
        assert!(page.contains("directory.user.reactivated"), "{page}");
        ana.act(&at, "unassign&of=1").await;
        let page = ana.act(&at, "import").await;
        assert!(page.contains(&exchange("GET /Users?startIndex=1&#38;count=100", "200")), "{page}");
        let page = ana.act(&at, "unlink-delete&of=0").await;
        assert!(page.contains("directory.group.deleted"), "{page}");
        assert!(!page.contains("Tasks that failed"), "{page}");
        assert!(!page.contains("correct") && !page.contains("Bearer"), "{page}");

        // What is there is what was played.
        let users = api.get(&format!("/api/v1/directories/{directory}/users")).await;
        let is_active = |name: &str| {
            let name = format!("{name}@acme.example");
            let users = users["data"].as_array().expect("users");
            let found = users.iter().find(|user| user.to_string().contains(&name));
            found.expect("the user is there").to_string().contains("\"active\":true")
        };
        assert!(is_active("bo") && !is_active("cy"), "{users}");
    }
    // Made once, and not for each.
    let organizations = api.get("/api/v1/organizations").await;
    let named = organizations["data"].as_array().expect("a list");
    let named = named.iter().filter(|it| it["name"] == "Simulator");
    assert_eq!(named.count(), 1);
}

#[tokio::test]
async fn what_goes_wrong_is_shown_as_okta_shows_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &["--requests-per-second", "0"]);
    let mut ana = Member::owner(&server).await;
    let at = ana.begin(KINDS[0]).await;
    ana.act(&at, &format!("join&{}", profile("bo"))).await;
    // An answer is lost; tried again, the person is found.
    let page = ana.act(&at, "lose").await;
    assert!(page.contains("The next answer will be lost."), "{page}");
    let page = ana.act(&at, "assign&of=0").await;
    assert!(page.contains("Tasks that failed"), "{page}");
    assert!(page.contains("no answer"), "{page}");
    let page = ana.act(&at, "retry").await;
    assert!(!page.contains("Tasks that failed"), "{page}");
    assert!(page.contains("directory.user.created"), "{page}");
    // A mistyped token.
    let page = ana.act(&at, "token&token=mistyped").await;
    assert!(page.contains("Okta shows: "), "{page}");
    assert!(page.contains("<span class=\"status bad\">401</span>"), "{page}");
    // What cannot be is told, and nothing is done.
    for (fields, said) in [
        ("edit&of=0", "give a user name of 1 to 200 characters"),
        ("join&given_name=A&family_name=B&user_name=c", "user names are e-mail addresses"),
        ("assign&of=7", "there is nobody at this place"),
        ("push-now&of=0", "there is no group at this place"),
        ("make-group&name=+", "give a name of 1 to 200 characters"),
        ("unsuspend&of=0", "nothing is changed by this"),
    ] {
        let reply = ana.post(&format!("{at}/act"), &format!("act={fields}")).await;
        assert_eq!(reply.status, 422, "{fields}");
        assert!(text(&reply).contains(said), "{fields}: {}", text(&reply));
    }
    for fields in ["act=nothing", "act=assign&of=x", "act=assign"] {
        assert_eq!(ana.post(&format!("{at}/act"), fields).await.status, 400, "{fields}");
    }
    // It ends, and is gone.
    let ended = ana.post(&format!("{at}/end"), "").await;
    assert_eq!(ended.header("location"), Some("/dashboard/simulator"));
    for path in [at.clone(), format!("{at}/live"), "/dashboard/simulator/99".to_owned()] {
        assert_eq!(ana.send(Method::Get, &path, "").await.status, 404, "{path}");
    }
    assert_eq!(ana.post(&format!("{at}/act"), "act=test").await.status, 404);
    // There are a few at once.
    for _ in 0..5 {
        ana.begin(KINDS[0]).await;
    }
    let full = ana.post("/dashboard/simulator", &format!("kind={}", KINDS[0])).await;
    assert_eq!(full.status, 409);
    assert!(text(&full).contains("which is as many as may"), "{}", text(&full));
}

#[tokio::test]
async fn somebody_plays_a_customers_okta_with_what_the_portal_shows() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &["--requests-per-second", "0"]);
    let mut api = Caller::new(&server.url, &server.api_key());
    let mut ana = Member::owner(&server).await;
    let (_, made) =
        api.send(Method::Post, "/api/v1/organizations", Some(&json!({ "name": "Acme" }))).await;
    let path = format!("/api/v1/organizations/{}/directories", made["id"].as_str().expect("an id"));
    let new = json!({ "name": "Okta of Acme", "provider": "okta" });
    let (_, made) = api.send(Method::Post, &path, Some(&new)).await;
    let id = made["id"].as_str().expect("an id").to_owned();
    let (_, token) =
        api.send(Method::Post, &format!("/api/v1/directories/{id}/tokens"), Some(&json!({}))).await;
    let token = token["token"].as_str().expect("a token").to_owned();
    let form = |base_url: &str, token: &str| {
        format!("kind={}&base_url={base_url}&token={token}", KINDS[2])
    };
    let connect = "/dashboard/simulator/connect";
    // Nothing is sent elsewhere, nor to what is not SCIM.
    for wrong in [
        "https://evil.example/scim/v2".to_owned(),
        "http://169.254.169.254/scim/v2".to_owned(),
        format!("{}/api/v1", server.url),
        format!("{}/scim/v2/../../api/v1", server.url),
        String::new(),
    ] {
        let reply = ana.post(connect, &form(&wrong, &token)).await;
        assert_eq!(reply.status, 422, "{wrong}");
        assert!(text(&reply).contains("to this server and nowhere else"), "{}", text(&reply));
        assert!(!text(&reply).contains(&token), "a token is not shown");
    }
    // Nobody was heard of there yet: nothing stands in the way.
    let base_url = format!("{}/scim/v2/{id}", server.url);
    let begun = ana.post(connect, &form(&base_url, &token)).await;
    assert_eq!(begun.status, 303, "{}", text(&begun));
    let at = begun.header("location").expect("its page").to_owned();
    let page = ana.act(&at, "test").await;
    assert!(page.contains(&exchange("GET /Users?startIndex=1&#38;count=2", "200")), "{page}");
    assert!(!page.contains(&token), "a token is not shown");
    ana.act(&at, &format!("join&{}", profile("bo"))).await;
    ana.act(&at, "assign&of=0").await;

    // From now on somebody is there: by its own base URL, and by the one that all share.
    for base_url in [base_url.clone(), format!("{}/scim/v2", server.url)] {
        let asked = ana.post(connect, &form(&base_url, &token)).await;
        assert_eq!(asked.status, 409, "{}", text(&asked));
        assert!(text(&asked).contains("Somebody uses this directory."), "{}", text(&asked));
        assert!(text(&asked).contains("1 people are active"), "{}", text(&asked));
        let sure = format!("{}&sure=yes", form(&base_url, &token));
        assert_eq!(ana.post(connect, &sure).await.status, 303);
    }
    // A simulation that nobody warned of does not get there by another token.
    let shared = format!("{}/scim/v2", server.url);
    let begun = ana.post(connect, &form(&shared, "unknown")).await;
    assert_eq!(begun.status, 303, "{}", text(&begun));
    let at = begun.header("location").expect("its page").to_owned();
    let page = ana.act(&at, "test").await;
    assert!(page.contains("<span class=\"status bad\">401</span>"), "{page}");
    let reply = ana.post(&format!("{at}/act"), &format!("act=token&token={token}")).await;
    assert_eq!(reply.status, 422);
    assert!(text(&reply).contains("this token is one of another directory"), "{}", text(&reply));
}

#[tokio::test]
async fn support_looks_and_does_not_play() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]);
    let mut ana = Member::owner(&server).await;
    let at = ana.begin(KINDS[0]).await;
    ana.act(&at, &format!("join&{}", profile("bo"))).await;
    let invited = ana.post("/dashboard/members", "email=cy%40vendor.example&role=support").await;
    let invitation = text(&invited);
    let invitation = between(&invitation, "<code id=\"invitation\">", "</code>");
    let mut cy = Member::join(&server, invitation, "cy@vendor.example").await;
    let list = cy.page("/dashboard/simulator").await;
    assert!(list.contains(&at) && !list.contains("<form method=\"post\""), "{list}");
    let page = cy.page(&at).await;
    assert!(page.contains("bo@acme.example") && !page.contains("<form method=\"post\""), "{page}");
    for (path, fields) in [
        ("/dashboard/simulator".to_owned(), format!("kind={}", KINDS[0])),
        ("/dashboard/simulator/connect".to_owned(), String::new()),
        (format!("{at}/act"), "act=test".to_owned()),
        (format!("{at}/end"), String::new()),
    ] {
        assert_eq!(cy.post(&path, &fields).await.status, 403, "{path}");
    }
    assert!(ana.page(&at).await.contains("bo@acme.example"));
    // With a form of somebody else, nothing is done either.
    let forged = cy.proof.clone();
    let own = std::mem::replace(&mut ana.proof, forged);
    assert_eq!(ana.post(&format!("{at}/act"), "act=test").await.status, 403);
    ana.proof = own;
    assert_eq!(ana.post(&format!("{at}/act"), "act=test").await.status, 303);
}
