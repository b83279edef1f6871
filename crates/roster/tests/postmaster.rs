//! PostgreSQL is killed in the middle, again and again, under a server that goes on running: nothing
//! that was acknowledged is lost, what was under way is there whole or not at all, the feed tells of
//! exactly what is there, and the server serves again by itself.
//!
//! `ROSTER_KILLS` says how often; `cargo xtask endure` asks for 20. Where PostgreSQL is not installed,
//! that is said aloud.

mod dice;
mod postgres;
mod reader;
mod server;
mod writers;

use std::time::{Duration, Instant};

use dice::Dice;
use postgres::Postgres;
use reader::{Picture, Reader, shown};
use serde_json::json;
use server::{Caller, Server, create_directory};
use simulator::Method;
use writers::{Writer, number_in, write_until};

/// How often PostgreSQL is killed.
const KILLS: u64 = 2;
/// Clients that send at the same time.
const WRITERS: usize = 6;
/// Answers until the kill, at most.
const ANSWERS_MAX: usize = 120;
/// Clients that come at once when the database is back: more than the server has connections.
const CALLERS: usize = 24;
/// Within which the feed tells of everything.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often that is asked.
const ASKING: Duration = Duration::from_millis(50);

#[expect(clippy::print_stdout, reason = "whoever waits wants to see how far it is")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_postgresql_loses_nothing_that_was_acknowledged() {
    let Some(mut postgres) = Postgres::start() else { return };
    let (kills, seed) = (number_in("ROSTER_KILLS", KILLS), number_in("ROSTER_SEED", 1));
    let created =
        create_directory(&postgres, &["--organization", "Acme", "--name", "Okta", "--no-brake"]);
    let directory_id = created["directory_id"].as_str().expect("an id").to_owned();
    let token = created["token"].as_str().expect("a token").to_owned();
    let server = Server::start(&postgres, &["--requests-per-second", "0"]);
    let mut api = Caller::new(&server.url, &server.api_key());
    let mut scim = Caller::new(&format!("{}/scim/v2", server.url), &token);
    let mut dice = Dice(seed + 8);
    let mut writers: Vec<Writer> =
        (0..WRITERS).map(|number| Writer::new(number, seed * 1_000)).collect();
    let mut reader = Reader::default();
    let (mut answers, mut whole, mut slowest) = (0, 0, Duration::ZERO);
    for kill in 1..=kills {
        let target = dice.below(ANSWERS_MAX);
        answers += target;
        writers = write_until(target, || postgres.kill(), writers, &scim).await;
        postgres.start_again();
        slowest = slowest.max(serves_at_once(&mut api, &scim, kill).await);

        let picture = shown(&mut scim).await;
        whole += writers.iter_mut().map(|writer| writer.compare(&picture)).sum::<usize>();
        let known: usize = writers.iter().map(Writer::count).sum();
        assert_eq!(picture.users.len() + picture.groups.len(), known, "there is nothing else");
        until_it_tells(&mut reader, &mut api, &directory_id, &picture).await;
        println!(
            "{kill} kills, {answers} answers, {whole} without an answer and done, {} users, {} \
             groups, {} events; served again after {slowest:?} at most",
            picture.users.len(),
            picture.groups.len(),
            reader.number
        );
    }
    let mut anew = Reader::default();
    anew.read_on(&mut api, &directory_id, 1_000).await;
    assert_eq!((anew.number, anew.picture), (reader.number, reader.picture));
}

/// Nothing heals by and by, and nobody has to try twice: from the moment on that the database takes
/// connections, the first request finds one, and so do all those that come with it, whichever
/// connection they are given. Says how long the first took.
async fn serves_at_once(api: &mut Caller, scim: &Caller, kill: u64) -> Duration {
    let begun = Instant::now();
    let ready = api.try_send(Method::Get, "/ready", None).await.expect("the server answers");
    let first = begun.elapsed();
    assert_eq!(ready.status, 200, "{:?}", String::from_utf8_lossy(&ready.body));
    let reading = (0..CALLERS).map(|_| {
        let mut scim = scim.clone();
        tokio::spawn(async move { scim.send(Method::Get, "/Users?count=1", None).await })
    });
    let reading: Vec<_> = reading.collect();
    // The connection that writes is another.
    let role = json!({ "name": format!("After {kill}") });
    let (status, body) = api.send(Method::Put, "/api/v1/roles/last", Some(&role)).await;
    assert!((200..300).contains(&status), "{status}: {body}");
    for one in reading {
        let (status, body) = one.await.expect("it is answered");
        assert_eq!(status, 200, "{body}");
    }
    first
}

/// Reads on until the feed has told of this. The order over all directories is given after the fact.
async fn until_it_tells(reader: &mut Reader, api: &mut Caller, directory: &str, picture: &Picture) {
    let begun = Instant::now();
    loop {
        reader.read_on(api, directory, 1_000).await;
        if reader.picture == *picture {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "the feed tells of something else than is there");
        tokio::time::sleep(ASKING).await;
    }
}
