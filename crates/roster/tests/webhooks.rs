//! The built binary brings events to an app while it is killed again and again: everything that was
//! acknowledged reaches the app, signed, and in order where that is asked for. So it does where three
//! nodes on one PostgreSQL share the endpoints, and are killed in turn.
//!
//! `ROSTER_WEBHOOK_KILLS` asks for more kills, and `cargo xtask endure` for many. Where PostgreSQL is
//! not installed, that is said aloud.

mod dice;
#[expect(dead_code, reason = "nobody kills PostgreSQL here and starts it again")]
mod postgres;
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
use postgres::Postgres;
use serde_json::{Value, json};
use server::{Caller, Server, create_directory, read};
use simulator::Method;
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// How often the server is killed.
const KILLS: u64 = 6;
/// Answers between one kill and the next, at most.
const ANSWERS_MAX: usize = 40;
/// Within which something more has arrived, until everything has.
const PATIENCE: Duration = Duration::from_mins(2);
/// Nodes that share the endpoints, and how often one of them is killed.
const NODES: usize = 3;
const KILLS_OF_NODES: u64 = 3;
/// After so many kills the app is to have been told of everything, with nobody killed meanwhile.
const KILLS_UNTIL_ALL_ARRIVE: u64 = 10;
/// Within which another node takes over, and time to bring what has waited.
const TAKEN_OVER: Duration = Duration::from_mins(1);

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
    /// Of each path and directory, the numbers of events as they arrived, those apart that came again.
    numbers: BTreeMap<(String, String), Vec<u64>>,
    seen: BTreeSet<(String, String)>,
    put_off: BTreeSet<(String, String)>,
    again: u64,
    /// What was brought without some of it.
    thinned: Vec<Value>,
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
        let header = |name: &str| parts.headers[name].to_str().expect("it is text").to_owned();
        let (path, body) = (parts.uri.path().to_owned(), std::str::from_utf8(body).expect("text"));
        let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
        // Now and then it is busy; not twice for the same, which would come minutes later.
        if told.requests % 60 == 59 && told.put_off.insert((path.clone(), id.clone())) {
            return 503;
        }
        let secret = told.secrets[&path].clone();
        let timestamp = timestamp.parse().expect("seconds");
        assert_eq!(header("webhook-signature"), courier::sign(&[secret], &id, timestamp, body));
        let event: Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(event["id"], id);
        assert!(body.len() <= 20_000, "{}", body.len());
        if event.get("omitted").is_some() {
            told.thinned.push(event.clone());
        }
        if event["type"] == "webhook.test" {
            told.tests += 1;
            return 204;
        }
        if told.seen.insert((path.clone(), id)) {
            let number = event["number"].as_u64().expect("a number");
            let directory = event["directory_id"].as_str().expect("it is of one").to_owned();
            told.numbers.entry((path.clone(), directory)).or_default().push(number);
            if event["type"] == "directory.user.created" {
                let name = event["data"]["user"]["userName"].as_str().expect("a name");
                told.people.entry(path).or_default().insert(name.to_owned());
            }
        } else {
            told.again += 1;
        }
        204
    }

    /// Has events brought to it at a path of its own.
    async fn ask_for(&self, api: &mut Caller, url: &str, path: &str, body: Value) {
        let mut body = body;
        body["url"] = format!("{url}{path}").into();
        let (status, made) = api.send(Method::Post, "/api/v1/webhooks", Some(&body)).await;
        assert_eq!(status, 201, "{made}");
        let secret = made["secret"].as_str().expect("a secret").to_owned();
        self.told().secrets.insert(path.to_owned(), SigningSecret::kept(secret));
    }

    /// Waits until each path was told of all of these people.
    async fn until_all_know(&self, people: &BTreeSet<String>) {
        self.until(|told| {
            let mut paths = told.secrets.keys();
            paths.all(|path| told.people.get(path).is_some_and(|it| it.is_superset(people)))
        })
        .await;
    }

    /// Whether events of each directory have arrived in order where that was asked for.
    fn assert_in_order(&self) {
        for ((path, directory), numbers) in &self.told().numbers {
            let is_ordered = path.starts_with("/ordered");
            assert!(!is_ordered || numbers.is_sorted(), "{path} {directory}: {numbers:?}");
        }
    }

    /// Waits until what it knows is like this, as long as something arrives: where events are to be in
    /// order, each that is put off holds up a long line for five seconds.
    async fn until(&self, is_it: impl Fn(&Told) -> bool) {
        loop {
            let mut happening = std::pin::pin!(self.happened.notified());
            happening.as_mut().enable();
            if is_it(&self.told()) {
                return;
            }
            let happened = tokio::time::timeout(PATIENCE, happening).await;
            assert!(happened.is_ok(), "the app was not told: {:?}", self.told().people);
        }
    }
}

/// Proves S-HOOK-1, S-HOOK-6.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_keeps_nothing_from_the_app() {
    let kills = kills(KILLS);
    let folder = tempfile::tempdir().expect("a folder");
    let created = create_directory(
        folder.path(),
        &["--organization", "Acme", "--name", "Okta", "--no-brake"],
    );
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
        let types = ["directory.*"];
        let body = json!({ "ordered": is_ordered, "event_types": types });
        app.ask_for(&mut api, &url, path, body).await;
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
    app.until_all_know(&acknowledged).await;
    app.assert_in_order();

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

    // Of what is too large for it, it is told so, and where to read the rest.
    let name = "large".to_owned();
    let body = json!({ "userName": name, "title": "x".repeat(30_000) });
    assert_eq!(scim.send(Method::Post, "/Users", Some(&body)).await.0, 201);
    app.until(|told| told.people["/each"].contains(&name)).await;
    let thinned = app.told().thinned.last().expect("it was brought").clone();
    assert_eq!(thinned["omitted"], json!(["/data/user/title"]));
    assert_eq!(thinned["data"]["user"].get("title"), None);
    let whole = api.get(thinned["whole_event"].as_str().expect("a path")).await;
    assert_eq!(whole["id"], thinned["id"]);
    assert_eq!(whole["data"]["user"]["title"].as_str().map(str::len), Some(30_000));
}

/// How many kills are asked for.
#[expect(clippy::disallowed_methods, reason = "it is the test's own, and no setting of the server")]
fn kills(otherwise: u64) -> u64 {
    let asked = std::env::var("ROSTER_WEBHOOK_KILLS");
    asked.map_or(otherwise, |it| it.parse().expect("it is a number"))
}

#[expect(clippy::print_stdout, reason = "whoever waits wants to see how far it is")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_lives_brings_what_killed_nodes_have_not() {
    let Some(postgres) = Postgres::start() else { return };
    let kills = kills(KILLS_OF_NODES);
    let start = || {
        let arguments = ["--requests-per-second", "0", "--webhook-allow", "127.0.0.0/8"];
        Server::start(&postgres, &arguments)
    };
    let created = create_directory(&postgres, &["--organization", "Acme", "--name", "First"]);
    let organization = created["organization_id"].as_str().expect("an id").to_owned();
    let mut nodes = vec![start()];
    let api_key = nodes[0].api_key();
    nodes.extend((1..NODES).map(|_| start()));
    let mut api = Caller::new(&nodes[1].url, &api_key);
    let mut tokens = vec![created["token"].as_str().expect("a token").to_owned()];
    while tokens.len() < 3 {
        let path = format!("/api/v1/organizations/{organization}/directories");
        let body =
            json!({ "name": "Okta", "provider": "okta", "settings": { "brake": { "on": false } } });
        let (_, made) = api.send(Method::Post, &path, Some(&body)).await;
        let path = format!("/api/v1/directories/{}/tokens", made["id"].as_str().expect("an id"));
        let (_, made) = api.send(Method::Post, &path, Some(&json!({}))).await;
        tokens.push(made["token"].as_str().expect("a token").to_owned());
    }
    let app = Arc::new(App::default());
    let url = app.serve().await;
    for number in 0..2 * NODES {
        let is_ordered = number % 2 == 0;
        let path = format!("/{}-{number}", if is_ordered { "ordered" } else { "each" });
        let types = ["directory.*"];
        let body = json!({ "ordered": is_ordered, "event_types": types });
        app.ask_for(&mut api, &url, &path, body).await;
    }

    let (mut dice, mut acknowledged, mut slowest) = (Dice(7), BTreeSet::new(), Duration::ZERO);
    for kill in 1..=kills {
        for turn in 0..=dice.below(ANSWERS_MAX) {
            let base = format!("{}/scim/v2", dice.one_of(&nodes).url);
            let mut scim = Caller::new(&base, dice.one_of(&tokens[..]).as_str());
            let name = format!("person-{kill}-{turn}");
            let (status, answer) =
                scim.send(Method::Post, "/Users", Some(&json!({ "userName": name }))).await;
            assert_eq!(status, 201, "{answer}");
            acknowledged.insert(name);
        }
        // In turn, so that nobody is left who had an endpoint when this began.
        let node = usize::try_from(kill).expect("it is small") % NODES;
        tokio::task::block_in_place(|| {
            drop(nodes.remove(node));
            nodes.insert(node, start());
        });
        if kill % KILLS_UNTIL_ALL_ARRIVE == 0 || kill == kills {
            let begun = Instant::now();
            app.until_all_know(&acknowledged).await;
            app.assert_in_order();
            slowest = slowest.max(begun.elapsed());
            assert!(begun.elapsed() < TAKEN_OVER, "it took {:?}", begun.elapsed());
            println!("{kill} kills, {} acknowledged", acknowledged.len());
        }
    }
    let told = app.told();
    println!(
        "{kills} kills of a node, {} acknowledged, each brought to {} endpoints: 0 lost, 0 out of \
         order, {} of {} brought again; after the last kill it took {slowest:?} at most",
        acknowledged.len(),
        told.secrets.len(),
        told.again,
        told.requests,
    );
}
