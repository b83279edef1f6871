//! The portal with the built binary: an IT admin gives a simulated Okta what the page shows and nothing
//! else, and every step of the guide ticks.

#[expect(dead_code, reason = "what there is to read is a page")]
mod server;

use std::time::Duration;

use serde_json::json;
use server::{Caller, Server};
use simulator::okta::{Credentials, Preset, Settings};
use simulator::{Client as _, HttpClient, Method, Request, Response, simulate_okta};

/// A browser that has opened the portal.
struct Browser {
    client: HttpClient,
    cookie: String,
    home: String,
}

impl Browser {
    async fn open(server: &Server, link: &str) -> Browser {
        let client = HttpClient::new(&server.url, Duration::from_mins(1)).expect("an address");
        let mut browser = Browser { client, cookie: String::new(), home: String::new() };
        let path = link.strip_prefix(&server.url).expect("it leads to this server");
        let opened = browser.send(Method::Post, path, "").await;
        assert_eq!(opened.status, 303);
        let cookie = opened.header("set-cookie").expect("a cookie");
        let cookie = cookie.split(';').next().expect("a name and a value");
        cookie.clone_into(&mut browser.cookie);
        opened.header("location").expect("the next page").clone_into(&mut browser.home);
        browser
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
        shown(&self.send(Method::Get, path, "").await)
    }

    /// Fills in a form of a page.
    async fn fill(&mut self, page: &str, action: &str, fields: &str) -> Response {
        let proof = between(page, "name=\"proof\" value=\"", "\"");
        self.send(Method::Post, action, &format!("proof={proof}&{fields}")).await
    }
}

fn shown(response: &Response) -> String {
    let page = String::from_utf8(response.body.clone()).expect("text");
    assert_eq!(response.status, 200, "{page}");
    page
}

fn between<'p>(page: &'p str, begin: &str, end: &str) -> &'p str {
    let (_, rest) = page.split_once(begin).unwrap_or_else(|| panic!("no `{begin}` in {page}"));
    rest.split_once(end).expect("it ends").0
}

#[tokio::test]
async fn a_simulated_okta_ticks_every_step_of_its_guide() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &["--requests-per-second", "0"]);
    let mut api = Caller::new(&server.url, &server.api_key());
    for (preset, guide, app) in [
        (Preset::Template2026, "okta-template", "an app of the catalogue"),
        (Preset::Aiw2026, "okta-wizard", "an app of the App Integration Wizard"),
    ] {
        let new = json!({ "name": "Acme" });
        let (_, made) = api.send(Method::Post, "/api/v1/organizations", Some(&new)).await;
        let path =
            format!("/api/v1/organizations/{}/portal-links", made["id"].as_str().expect("an id"));
        let (_, made) = api.send(Method::Post, &path, Some(&json!({}))).await;
        let mut browser = Browser::open(&server, made["url"].as_str().expect("a URL")).await;

        let home = browser.home.clone();
        let asked = browser.page(&format!("{home}/choose?provider=okta")).await;
        let fields = format!("provider=okta&guide={guide}&name=Okta");
        let connected = browser.fill(&asked, &format!("{home}/directories"), &fields).await;
        let set_up = connected.header("location").expect("the page to set it up").to_owned();
        let page = browser.page(&set_up).await;
        assert!(!page.contains("is-seen"), "nothing was sent yet");
        let action = set_up.split('?').next().expect("a path");
        let page = browser.fill(&page, action, &format!("guide={guide}")).await;
        let page = shown(&page);

        let token = between(&page, "<code id=\"token\">", "</code>").to_owned();
        let url = between(&page, "<code id=\"base-url\">", "</code>");
        let settings = Settings::new(url, Credentials::Token(token), preset);
        let report = simulate_okta(settings, |_| {}).await.expect("an address");
        assert!(report.passed(), "{report}");

        let page = browser.page(&set_up).await;
        assert!(page.contains("Everything works."), "{page}");
        assert!(page.contains(app), "{page}");
        assert!(!page.contains("Ticks when it arrives"), "{page}");
        assert_eq!(page.matches("is-seen").count(), 9, "{page}");
    }
}

#[tokio::test]
async fn pages_name_the_sites_that_may_show_them_and_no_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let sites = "https://app.example.com,https://*.example.org";
    let framed = Server::start(folder.path(), &["--frame-ancestors", sites]);
    let within = " data-within=\"https://app.example.com https://*.example.org\"";
    let closed = "/portal/open/unknown";
    let page = async |server: &Server| {
        let mut client = HttpClient::new(&server.url, Duration::from_mins(1)).expect("an address");
        let request = Request {
            method: Method::Get,
            path_and_query: closed.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        let response = client.send(&request).await.expect("the server answers");
        String::from_utf8(response.body).expect("text")
    };
    let shown = page(&framed).await;
    assert!(shown.contains(within), "{shown}");
    assert!(shown.contains("data-tell=\"expired\" data-reason=\"unknown\""), "{shown}");
    let folder = tempfile::tempdir().expect("a folder");
    let shown = page(&Server::start(folder.path(), &[])).await;
    assert!(!shown.contains("data-within"), "{shown}");
}
