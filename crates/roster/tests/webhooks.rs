//! The built binary brings events to an app while it is killed again and again: everything that was
//! acknowledged reaches the app, signed, and in order where that is asked for.
//!
//! `ROSTER_WEBHOOK_KILLS` asks for more kills.

#[expect(dead_code, reason = "nothing is chosen here, only how many")]
mod dice;
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dice::Dice;
use directory::webhook::SigningSecret;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use server::{Caller, Server, create_directory, read};
use simulator::Method;
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// How often the server is killed.
const KILLS: u64 = 6;
/// Answers between one kill and the next, at most.
const ANSWERS_MAX: usize = 40;
/// Within which everything has arrived.
const PATIENCE: Duration = Duration::from_mins(2);

/// What the vendor's app knows.
#[derive(Default)]
struct App {
    told: Mutex<Told>,
    happened: Notify,
}

#[derive(Default)]
struct Told {
    /// Of each path, which secret deliveries are signed with.
    secrets: BTreeMap<String, SigningSecret>,
    requests: u64,
    /// Of each path, the numbers of events as they arrived, those apart that came again.
    numbers: BTreeMap<String, Vec<u64>>,
    seen: BTreeSet<(String, String)>,
    /// Of each path, the names of people who were created.
    people: BTreeMap<String, BTreeSet<String>>,
    tests: u64,
}

impl App {
    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves on any free port; gives its URL.
    async fn serve(self: &Arc<App>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let app = Arc::clone(self);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let app = Arc::clone(&app);
                let service = service_fn(move |request| Arc::clone(&app).take(request));
                // A client that is killed breaks off.
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        url
    }

    async fn take(
        self: Arc<App>,
        request: hyper::Request<Incoming>,
    ) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
        let (parts, body) = request.into_parts();
        let status = match body.collect().await {
            Ok(body) => self.learn(&parts, &body.to_bytes()),
            Err(_) => 400,
        };
        self.happened.notify_waiters();
        let mut response = hyper::Response::new(Full::default());
        *response.status_mut() = hyper::StatusCode::from_u16(status).expect("a status");
        Ok(response)
    }

    fn learn(&self, parts: &hyper::http::request::Parts, body: &[u8]) -> u16 {
        let mut told = self.told();
        told.requests += 1;
        // Now and then it is busy.
        if told.requests % 60 == 59 {
            return 503;
        }
        let header = |name: &str| parts.headers[name].to_str().expect("it is text").to_owned();
        let (path, body) = (parts.uri.path().to_owned(), std::str::from_utf8(body).expect("text"));
        let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
        let secret = told.secrets[&path].clone();
        let timestamp = timestamp.parse().expect("seconds");
        assert_eq!(header("webhook-signature"), courier::sign(&[secret], &id, timestamp, body));
        let event: Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(event["id"], id);
        if event["type"] == "webhook.test" {
            told.tests += 1;
            return 204;
        }
        if told.seen.insert((path.clone(), id)) {
            let number = event["number"].as_u64().expect("a number");
            told.numbers.entry(path.clone()).or_default().push(number);
            if event["type"] == "directory.user.created" {
                let name = event["data"]["user"]["userName"].as_str().expect("a name");
                told.people.entry(path).or_default().insert(name.to_owned());
            }
        }
        204
    }

    /// Waits until what it knows is like this.
    async fn until(&self, is_it: impl Fn(&Told) -> bool) {
        let waiting = async {
            loop {
                let mut happening = std::pin::pin!(self.happened.notified());
                happening.as_mut().enable();
                if is_it(&self.told()) {
                    return;
                }
                happening.await;
            }
        };
        let told = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(told.is_ok(), "the app was not told: {:?}", self.told().people);
    }
}

/// Proves S-HOOK-1.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_keeps_nothing_from_the_app() {
    #[expect(clippy::disallowed_methods, reason = "it is the test's own")]
    let kills = std::env::var("ROSTER_WEBHOOK_KILLS").map_or(KILLS, |it| it.parse().expect("it"));
    let folder = tempfile::tempdir().expect("a folder");
    let created = create_directory(folder.path(), &["--organization", "Acme", "--name", "Okta"]);
    let token = created["token"].as_str().expect("a token").to_owned();
    let start = || {
        let limits = ["--requests-per-second", "0", "--webhook-allow", "127.0.0.0/8"];
        Server::start(folder.path(), &limits)
    };
    let mut server = start();
    let api_key = server.api_key();
    let app = Arc::new(App::default());
    let url = app.serve().await;
    let mut api = Caller::new(&server.url, &api_key);
    for (path, is_ordered) in [("/each", false), ("/ordered", true)] {
        let body = json!({ "url": format!("{url}{path}"), "ordered": is_ordered });
        let (status, made) = api.send(Method::Post, "/api/v1/webhooks", Some(&body)).await;
        assert_eq!(status, 201, "{made}");
        let secret = made["secret"].as_str().expect("a secret").to_owned();
        app.told().secrets.insert(path.to_owned(), SigningSecret::kept(secret));
    }

    let (mut dice, mut acknowledged) = (Dice(3), BTreeSet::new());
    for kill in 0..kills {
        let mut scim = Caller::new(&format!("{}/scim/v2", server.url), &token);
        for turn in 0..=dice.below(ANSWERS_MAX) {
            let name = format!("person-{kill}-{turn}");
            let body = json!({ "userName": name });
            let response = scim.try_send(Method::Post, "/Users", Some(&body)).await;
            let response = response.expect("it lives");
            assert_eq!(response.status, 201, "{}", read(&response));
            acknowledged.insert(name);
        }
        // In the middle of bringing them.
        server = tokio::task::block_in_place(|| {
            drop(server);
            start()
        });
    }
    app.until(|told| {
        ["/each", "/ordered"]
            .iter()
            .all(|path| told.people.get(*path).is_some_and(|it| it.is_superset(&acknowledged)))
    })
    .await;
    {
        let told = app.told();
        assert!(told.numbers["/ordered"].is_sorted(), "{:?}", told.numbers["/ordered"]);
    }

    // Once it runs undisturbed, the app knows within a second.
    let mut scim = Caller::new(&format!("{}/scim/v2", server.url), &token);
    let mut waits = Vec::new();
    for turn in 0..5 {
        let name = format!("late-{turn}");
        let begun = Instant::now();
        let (status, _) =
            scim.send(Method::Post, "/Users", Some(&json!({ "userName": name }))).await;
        assert_eq!(status, 201);
        app.until(|told| told.people["/each"].contains(&name)).await;
        waits.push(begun.elapsed());
    }
    waits.sort();
    assert!(waits[2] < Duration::from_secs(1), "{waits:?}");

    // What the vendor sees of it.
    let mut api = Caller::new(&server.url, &api_key);
    let webhooks = api.get("/api/v1/webhooks").await;
    let id = webhooks["data"][0]["id"].as_str().expect("an id").to_owned();
    assert!(webhooks["data"][0].get("secret").is_none(), "it is shown once");
    let deliveries = api.get(&format!("/api/v1/webhooks/{id}/deliveries?state=delivered")).await;
    assert!(!deliveries["data"].as_array().expect("a list").is_empty());
    let path = format!("/api/v1/webhooks/{id}/test");
    let (status, _) = api.send(Method::Post, &path, None).await;
    assert_eq!(status, 202);
    app.until(|told| told.tests == 1).await;
}
