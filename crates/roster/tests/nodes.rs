//! Three nodes on one PostgreSQL, and one of them killed again and again, while many clients write
//! into many directories and somebody follows the feed over all of them: nothing that was
//! acknowledged is lost, and the reader misses nothing, sees nothing twice, and nothing out of the
//! order of its directory.
//!
//! `ROSTER_EVENTS` says how many events there are at least; `cargo xtask endure` asks for a million,
//! with 64 clients and 1,000 directories. Where PostgreSQL is not installed, that is said aloud.

mod dice;
#[expect(dead_code, reason = "nobody kills PostgreSQL here and starts it again")]
mod postgres;
#[expect(dead_code, reason = "what is read here may not be answered")]
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use dice::Dice;
use postgres::Postgres;
use serde_json::{Value, json};
use server::{Caller, Server, create_directory, read};
use simulator::Method;
use tokio::sync::Notify;

/// Nodes.
const NODES: usize = 3;
/// Events of a run among the other tests; one of more than ten times as many is a long one.
const EVENTS: u64 = 1_500;
/// Answers between one kill and the next, at most.
const ANSWERS_MAX: usize = 400;
/// Within which the feed has told of everything.
const PATIENCE: Duration = Duration::from_mins(2);
/// How often a reader that has read everything looks for more.
const ASKING: Duration = Duration::from_millis(50);

/// What everybody shares.
struct Scene {
    /// Where the nodes are. A killed one comes back at another address.
    urls: RwLock<Vec<String>>,
    /// Of each directory.
    tokens: Vec<String>,
    api_key: String,
    answers: AtomicU64,
    answered: Notify,
    is_over: AtomicBool,
    /// Ids and names that somebody was told of.
    acknowledged: Mutex<BTreeMap<String, String>>,
}

impl Scene {
    fn url(&self, node: usize) -> String {
        self.urls.read().unwrap_or_else(PoisonError::into_inner)[node % NODES].clone()
    }
}

#[expect(clippy::print_stdout, reason = "whoever waits wants to see how far it is")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn killed_nodes_lose_nothing_and_readers_miss_nothing() {
    let Some(postgres) = Postgres::start() else { return };
    let events = number_in("ROSTER_EVENTS", EVENTS);
    let (clients, directories) = if events > 10 * EVENTS { (64, 1_000) } else { (12, 30) };
    let created = create_directory(&postgres, &["--organization", "Acme", "--name", "First"]);
    let organization = created["organization_id"].as_str().expect("an id").to_owned();
    let first = start(&postgres);
    let api_key = first.api_key();
    let mut nodes = vec![first];
    nodes.extend((1..NODES).map(|_| start(&postgres)));
    let mut tokens = vec![created["token"].as_str().expect("a token").to_owned()];
    let mut api = Caller::new(&nodes[1].url, &api_key);
    while tokens.len() < directories {
        let path = format!("/api/v1/organizations/{organization}/directories");
        let body = json!({ "name": format!("Okta {}", tokens.len()), "provider": "okta", "settings": { "brake": { "on": false } } });
        let made = post(&mut api, &path, &body).await;
        let path = format!("/api/v1/directories/{}/tokens", made["id"].as_str().expect("an id"));
        let made = post(&mut api, &path, &json!({})).await;
        tokens.push(made["token"].as_str().expect("a token").to_owned());
    }
    let scene = Arc::new(Scene {
        urls: RwLock::new(nodes.iter().map(|node| node.url.clone()).collect()),
        tokens,
        api_key,
        answers: AtomicU64::new(0),
        answered: Notify::new(),
        is_over: AtomicBool::new(false),
        acknowledged: Mutex::default(),
    });
    let reading = tokio::spawn(follow(Arc::clone(&scene)));
    let writing: Vec<_> =
        (0..clients).map(|client| tokio::spawn(write(Arc::clone(&scene), client))).collect();

    let (mut dice, mut kills) = (Dice(5), 0);
    while scene.answers.load(Ordering::SeqCst) < events {
        let next = scene.answers.load(Ordering::SeqCst) + 1 + dice.below(ANSWERS_MAX) as u64;
        while scene.answers.load(Ordering::SeqCst) < next {
            scene.answered.notified().await;
        }
        let node = dice.below(NODES);
        let again = tokio::task::block_in_place(|| {
            drop(nodes.remove(node));
            start(&postgres)
        });
        scene.urls.write().unwrap_or_else(PoisonError::into_inner)[node].clone_from(&again.url);
        nodes.insert(node, again);
        kills += 1;
        if kills % 10 == 0 {
            println!("{kills} kills, {} answers", scene.answers.load(Ordering::SeqCst));
        }
    }
    scene.is_over.store(true, Ordering::SeqCst);
    let mut sent = BTreeSet::new();
    for client in writing {
        sent.extend(client.await.expect("no answer was wrong"));
    }
    let told = reading.await.expect("what was read was right");
    let acknowledged = scene.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
    for (id, name) in acknowledged.iter() {
        assert_eq!(told.users.get(id), Some(name), "it was acknowledged");
    }
    assert!(told.users.values().all(|name| sent.contains(name)), "nobody else is there");
    println!(
        "{kills} kills of a node, {} acknowledged, {} without an answer and done, {} events in {} \
         directories: 0 lost, 0 missed, 0 twice, 0 out of order",
        acknowledged.len(),
        told.users.len() - acknowledged.len(),
        told.events,
        told.numbers.len(),
    );
}

fn start(postgres: &Postgres) -> Server {
    Server::start(postgres, &["--requests-per-second", "0"])
}

async fn post(api: &mut Caller, path: &str, body: &Value) -> Value {
    let (status, answer) = api.send(Method::Post, path, Some(body)).await;
    assert_eq!(status, 201, "{path}: {answer}");
    answer
}

/// Creates people, here and there, through a node that lives; gives the names that were sent.
async fn write(scene: Arc<Scene>, client: usize) -> Vec<String> {
    let mut dice = Dice(client as u64 + 100);
    let (mut node, mut sent) = (client, Vec::new());
    while !scene.is_over.load(Ordering::SeqCst) {
        let name = format!("person-{client}-{}", sent.len());
        sent.push(name.clone());
        let base = format!("{}/scim/v2", scene.url(node));
        let mut scim = Caller::new(&base, dice.one_of(&scene.tokens[..]).as_str());
        let body = json!({ "userName": name, "active": true });
        match scim.try_send(Method::Post, "/Users", Some(&body)).await {
            Ok(response) if response.status == 201 => {
                let id = read(&response)["id"].as_str().expect("an id").to_owned();
                let mut all = scene.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
                all.insert(id, name);
                drop(all);
                scene.answers.fetch_add(1, Ordering::SeqCst);
                scene.answered.notify_one();
            }
            // A load balancer would choose another.
            Ok(response) if response.status == 503 => node += 1,
            Ok(response) => panic!("{}: {}", response.status, read(&response)),
            Err(_) => {
                node += 1;
                tokio::task::yield_now().await;
            }
        }
    }
    sent
}

/// What somebody knows who reads the feed over all directories, and nothing else.
#[derive(Default)]
struct Told {
    users: BTreeMap<String, String>,
    /// By directory.
    numbers: BTreeMap<String, u64>,
    events: u64,
}

/// Follows the feed, from whichever node lives, until it has told of all that was acknowledged.
async fn follow(scene: Arc<Scene>) -> Told {
    let (mut told, mut cursor, mut node) = (Told::default(), None::<String>, 0);
    let mut is_over_since = None;
    loop {
        let mut path = "/api/v1/events?limit=500".to_owned();
        if let Some(cursor) = &cursor {
            path.push_str("&after=");
            path.push_str(cursor);
        }
        let mut api = Caller::new(&scene.url(node), &scene.api_key);
        let page = match api.try_send(Method::Get, &path, None).await {
            Ok(response) if response.status == 200 => read(&response),
            Ok(response) if response.status != 503 => {
                panic!("{}: {}", response.status, read(&response))
            }
            _ => {
                node += 1;
                tokio::time::sleep(ASKING).await;
                continue;
            }
        };
        for event in page["data"].as_array().expect("events are a list") {
            told.take(event);
        }
        cursor = Some(page["next"].as_str().expect("it is text").to_owned());
        if page["has_more"] == true {
            continue;
        }
        if scene.is_over.load(Ordering::SeqCst) {
            let all = scene.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).len();
            let since = *is_over_since.get_or_insert_with(Instant::now);
            // A while longer, so that what was never acknowledged is told of as well.
            if told.users.len() >= all && since.elapsed() > Duration::from_secs(1) {
                return told;
            }
            assert!(since.elapsed() < PATIENCE, "{} of {all} were told of", told.users.len());
        }
        tokio::time::sleep(ASKING).await;
    }
}

impl Told {
    fn take(&mut self, event: &Value) {
        let directory = event["directory_id"].as_str().expect("it is of one").to_owned();
        let number = self.numbers.entry(directory).or_default();
        *number += 1;
        assert_eq!(event["number"], *number, "nothing is missing, twice, or out of order: {event}");
        self.events += 1;
        if event["type"] == "directory.user.created" {
            let user = &event["data"]["user"];
            let text = |name: &str| user[name].as_str().expect("it is text").to_owned();
            let before = self.users.insert(text("id"), text("userName"));
            assert_eq!(before, None, "{event}");
        }
    }
}

/// A number that the environment sets, or this one.
#[expect(clippy::disallowed_methods, reason = "it is the test's own, and no setting of the server")]
fn number_in(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |number| number.parse().expect("it is a number"))
}
