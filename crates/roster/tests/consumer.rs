//! An app that reads a snapshot of a directory and then its feed, and is killed and begun again at
//! random while 32 writers write: what it has noted in the end is what the server has.
//!
//! It keeps what it durably noted and nothing else: what it made of what it was told, together with
//! the cursor. What it was told is taken strictly: an event that is missing, that comes twice, or
//! whose effect the snapshot has already, is noticed at once, by its number and by what it says.
//!
//! `ROSTER_ROUNDS` says how often; `cargo xtask endure` asks for a thousand. Where PostgreSQL is not
//! installed, that is said aloud.

mod dice;
mod lines;
#[expect(dead_code, reason = "nobody kills PostgreSQL here and starts it again")]
mod postgres;
#[expect(dead_code, reason = "the feed is read otherwise here")]
mod reader;
mod server;
#[expect(dead_code, reason = "nobody kills the server")]
mod writers;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dice::Dice;
use lines::Lines;
use postgres::Postgres;
use reader::{Reader, shown, text};
use serde_json::{Value, json};
use server::{Caller, Place, Server, create_directory, read};
use simulator::Method;
use tokio::sync::Notify;
use writers::{Writer, number_in};

/// Rounds among the other tests.
const ROUNDS: u64 = 4;
/// Writers, half of them in the directory that is followed and half in another.
const WRITERS: usize = 32;
/// How often the app is killed in a round, at most.
const DEATHS_MAX: usize = 4;
/// Answers that the writers get in each of its lives, at most.
const ANSWERS_MAX: usize = 150;
/// How long it pauses when it is asked to come again.
const ASKING: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_is_killed_at_random_knows_what_the_server_has() {
    let folder = tempfile::tempdir().expect("a folder");
    play(folder.path(), 1).await;
}

/// The same on PostgreSQL, where positions are given after the commit: with two nodes, each of which
/// writes, so that the order of commits is not that of positions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_is_killed_at_random_knows_what_two_nodes_have() {
    let Some(postgres) = Postgres::start() else { return };
    play(&postgres, 2).await;
}

/// What the app shares with its lives to come.
struct App {
    /// Where the nodes are.
    urls: Vec<String>,
    api_key: String,
    directory_id: String,
    /// What it has on its disk: what it made of what it was told, and up to where.
    notes: Mutex<Option<Reader>>,
}

/// What the writers share.
#[derive(Default)]
struct Writing {
    answers: AtomicUsize,
    answered: Notify,
    is_over: AtomicBool,
}

#[expect(clippy::print_stdout, reason = "whoever waits wants to see how far it is")]
async fn play(place: &(impl Place + ?Sized), node_count: usize) {
    let (rounds, seed) = (number_in("ROSTER_ROUNDS", ROUNDS), number_in("ROSTER_SEED", 1));
    let followed =
        create_directory(place, &["--organization", "Acme", "--name", "Okta", "--no-brake"]);
    let start = || Server::start(place, &["--requests-per-second", "0"]);
    let first = start();
    let api_key = first.api_key();
    let mut nodes = vec![first];
    nodes.extend((1..node_count).map(|_| start()));
    let mut api = Caller::new(&nodes[0].url, &api_key);
    let path = format!("/api/v1/organizations/{}/directories", text(&followed["organization_id"]));
    let settings = json!({ "brake": { "on": false } });
    let new = json!({ "name": "Entra", "provider": "entra", "settings": settings });
    let (_, other) = api.send(Method::Post, &path, Some(&new)).await;
    let path = format!("/api/v1/directories/{}/tokens", text(&other["id"]));
    let (_, token_of_other) = api.send(Method::Post, &path, Some(&json!({}))).await;
    let scim = |node: usize, token: &Value| {
        let node = &nodes[node % node_count];
        Caller::new(&format!("{}/scim/v2", node.url), text(token))
    };
    let app = Arc::new(App {
        urls: nodes.iter().map(|node| node.url.clone()).collect(),
        api_key,
        directory_id: text(&followed["directory_id"]).to_owned(),
        notes: Mutex::default(),
    });

    let mut dice = Dice(seed + 8);
    let mut writers: Vec<Writer> =
        (0..WRITERS).map(|number| Writer::new(number, seed * 1_000)).collect();
    let (mut deaths, mut answers) = (0, 0);
    for round in 1..=rounds {
        *app.notes() = None;
        let writing = Arc::new(Writing::default());
        let tasks: Vec<_> = writers
            .drain(..)
            .enumerate()
            .map(|(number, writer)| {
                let token =
                    if number % 2 == 0 { &followed["token"] } else { &token_of_other["token"] };
                tokio::spawn(write(Arc::clone(&writing), writer, scim(number, token)))
            })
            .collect();
        for _ in 0..=dice.below(DEATHS_MAX) {
            let seed = dice.below(1_000_000) as u64;
            let life = tokio::spawn(Arc::clone(&app).live(Dice(seed), false));
            writing.until(writing.count() + 1 + dice.below(ANSWERS_MAX)).await;
            life.abort();
            match life.await {
                Err(ended) if ended.is_cancelled() => deaths += 1,
                Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
                Ok(()) => panic!("it lives until it is killed"),
            }
        }
        writing.is_over.store(true, Ordering::SeqCst);
        for task in tasks {
            writers.push(task.await.expect("no answer was wrong"));
        }
        answers += writing.count();
        // Its last life reads all that there is.
        Arc::clone(&app).live(Dice(dice.below(1_000_000) as u64), true).await;

        let picture = shown(&mut scim(0, &followed["token"])).await;
        for (_, writer) in writers.iter_mut().enumerate().filter(|(number, _)| number % 2 == 0) {
            writer.compare(&picture);
        }
        let other = shown(&mut scim(1, &token_of_other["token"])).await;
        for (_, writer) in writers.iter_mut().enumerate().filter(|(number, _)| number % 2 == 1) {
            writer.compare(&other);
        }
        let notes = app.notes().clone().expect("it has noted something");
        assert_eq!(notes.picture, picture, "in round {round}");
        if round % 50 == 0 || round == rounds {
            println!(
                "{round} rounds, {deaths} deaths, {answers} answers to writers, {} users, {} \
                 groups, event {}: the app knows what is there",
                picture.users.len(),
                picture.groups.len(),
                notes.number,
            );
        }
    }
}

/// Writes until it is over.
async fn write(writing: Arc<Writing>, mut writer: Writer, mut scim: Caller) -> Writer {
    while !writing.is_over.load(Ordering::SeqCst) {
        if !writer.write(&mut scim).await {
            // A node that had no place for it: whether it was done is seen when all are compared.
            break;
        }
        writing.answers.fetch_add(1, Ordering::SeqCst);
        writing.answered.notify_one();
    }
    writing.answered.notify_one();
    writer
}

impl Writing {
    fn count(&self) -> usize {
        self.answers.load(Ordering::SeqCst)
    }

    async fn until(&self, count: usize) {
        while self.count() < count {
            self.answered.notified().await;
        }
    }
}

impl App {
    fn notes(&self) -> std::sync::MutexGuard<'_, Option<Reader>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn url(&self, dice: &mut Dice) -> &str {
        dice.one_of(&self.urls).as_str()
    }

    /// One life: it goes on from its notes, until it is killed, or there is no more.
    async fn live(self: Arc<App>, mut dice: Dice, ends: bool) {
        let noted = self.notes().clone();
        let mut reader = if let Some(reader) = noted {
            reader
        } else {
            let reader = self.read_snapshot(&mut dice).await;
            *self.notes() = Some(reader.clone());
            reader
        };
        loop {
            let is_at_end = match dice.below(3) {
                1 if !ends => self.read_page(&mut reader, &mut dice, 1).await,
                2 if !ends => self.read_stream(&mut reader, &mut dice).await,
                _ => self.read_page(&mut reader, &mut dice, 0).await,
            };
            // Now and then it dies before it has noted what it did.
            if is_at_end && ends || dice.below(3) > 0 {
                *self.notes() = Some(reader.clone());
            }
            if is_at_end && ends {
                return;
            }
        }
    }

    /// Reads a snapshot, again where it breaks off.
    async fn read_snapshot(&self, dice: &mut Dice) -> Reader {
        loop {
            let path = format!("/api/v1/directories/{}/snapshot", self.directory_id);
            let lines = Lines::get(self.url(dice), &path, &self.api_key).await;
            let mut lines = lines.expect("the server answers");
            if lines.status == 503 {
                tokio::time::sleep(ASKING).await;
                continue;
            }
            assert_eq!(lines.status, 200);
            let mut reader = Reader::default();
            while let Some(line) = lines.next().await.expect("it does not break off") {
                let line: Value = serde_json::from_str(&line).expect("each line is JSON");
                if reader.take_line(&line, &self.directory_id) {
                    assert_eq!(lines.next().await.expect("nothing is behind the end"), None);
                    return reader;
                }
            }
            panic!("a snapshot without its end ended as if it were whole");
        }
    }

    /// Reads a page; says whether it was the last for now.
    async fn read_page(&self, reader: &mut Reader, dice: &mut Dice, wait: u64) -> bool {
        let (limit, cursor) = (1 + dice.below(300), reader.cursor.clone().expect("it has one"));
        let id = &self.directory_id;
        let path =
            format!("/api/v1/events?directory_id={id}&limit={limit}&wait={wait}&after={cursor}");
        let mut api = Caller::new(self.url(dice), &self.api_key);
        let response = api.try_send(Method::Get, &path, None).await.expect("the server answers");
        let page = read(&response);
        assert_eq!(response.status, 200, "{page}");
        for event in page["data"].as_array().expect("events are a list") {
            reader.take_event(event);
        }
        reader.cursor = Some(text(&page["next"]).to_owned());
        page["has_more"] == false
    }

    /// Reads a few events of a stream, which does not say whether they were the last for now.
    async fn read_stream(&self, reader: &mut Reader, dice: &mut Dice) -> bool {
        let (most, cursor) = (1 + dice.below(100), reader.cursor.clone().expect("it has one"));
        let path =
            format!("/api/v1/events/stream?directory_id={}&after={cursor}", self.directory_id);
        let lines = Lines::get(self.url(dice), &path, &self.api_key).await;
        let mut lines = lines.expect("the server answers");
        assert_eq!(lines.status, 200);
        let (mut id, mut taken) = (None, 0);
        while taken < most {
            let line = lines.next().await.expect("it does not break off").expect("it has no end");
            match line.split_once(": ") {
                Some(("id", cursor)) => id = Some(cursor.to_owned()),
                Some(("data", event)) => {
                    reader.take_event(&serde_json::from_str(event).expect("JSON"));
                    reader.cursor.clone_from(&id);
                    taken += 1;
                }
                Some(("event", kind)) => assert_ne!(kind, "problem"),
                _ => {}
            }
        }
        false
    }
}

impl Reader {
    /// Takes a line of a snapshot; says whether it was the last.
    fn take_line(&mut self, line: &Value, directory_id: &str) -> bool {
        let subject = |name: &str| {
            let mut attributes = line[name].as_object().expect("it is whole").clone();
            let id = attributes.shift_remove("id").expect("it has an id");
            (text(&id).to_owned(), attributes)
        };
        let reader::Picture { users, groups } = &mut self.picture;
        match text(&line["type"]) {
            "directory" => {
                assert_eq!(line["directory_id"], directory_id);
                self.number = line["event_number"].as_u64().expect("a number");
            }
            "user" => {
                let (id, attributes) = subject("user");
                assert_eq!(users.insert(id, attributes), None, "nobody is there twice");
            }
            "group" => {
                let (id, attributes) = subject("group");
                let before = groups.insert(id, (attributes, reader::Members::new()));
                assert_eq!(before, None, "nothing is there twice");
            }
            "membership" => {
                let member = &line["member"];
                let (_, members) =
                    groups.get_mut(text(&line["group"]["id"])).expect("it came before");
                let (value, kind) = (text(&member["value"]), text(&member["type"]));
                assert!(members.insert((value.to_owned(), kind.to_owned())));
            }
            "end" => {
                assert_eq!(line["event_number"], self.number);
                let members: usize = groups.values().map(|(_, members)| members.len()).sum();
                assert_eq!(line["user_count"], users.len());
                assert_eq!(line["group_count"], groups.len());
                assert_eq!(line["membership_count"], members);
                self.cursor = Some(text(&line["cursor"]).to_owned());
                return true;
            }
            other => panic!("a line of type {other}"),
        }
        false
    }

    fn take_event(&mut self, event: &Value) {
        self.number += 1;
        assert_eq!(event["number"], self.number, "none is missing, and none comes twice: {event}");
        self.take(text(&event["type"]), &event["data"]);
    }
}
