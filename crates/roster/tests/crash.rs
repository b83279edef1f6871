//! Killed in the middle, a hundred times: nothing that was acknowledged is lost, what was under
//! way is there whole or not at all, and the feed tells of exactly what is there.
//!
//! `ROSTER_KILLS` asks for more, and `ROSTER_SEED` begins with other dice; `cargo xtask endure` asks
//! for 500.

mod dice;
mod reader;
mod server;
mod writers;

use dice::Dice;
use reader::{Reader, shown};
use server::{Caller, Server, create_directory};
use writers::{Writer, number_in, write_until};

/// How often the server is killed.
const KILLS: u64 = 100;
/// Clients that send at the same time.
const WRITERS: usize = 6;
/// Answers until the kill, at most.
const ANSWERS_MAX: usize = 60;

#[expect(clippy::print_stdout, reason = "whoever waits wants to see how far it is")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    let created = create_directory(
        folder.path(),
        &["--organization", "Acme", "--name", "Okta", "--no-brake"],
    );
    let directory_id = created["directory_id"].as_str().expect("an id").to_owned();
    let token = created["token"].as_str().expect("a token").to_owned();
    let (kills, seed) = (number_in("ROSTER_KILLS", KILLS), number_in("ROSTER_SEED", 1));
    let mut dice = Dice(seed + 8);
    let mut writers: Vec<Writer> =
        (0..WRITERS).map(|number| Writer::new(number, seed * 1_000)).collect();
    let mut reader = Reader::default();
    let (mut api_key, mut answers, mut whole) = (None, 0, 0);
    for kill in 0..=kills {
        let server = Server::start(folder.path(), &["--requests-per-second", "0"]);
        let api_key = api_key.get_or_insert_with(|| server.api_key());
        let mut api = Caller::new(&server.url, api_key);
        let mut scim = Caller::new(&format!("{}/scim/v2", server.url), &token);

        let picture = shown(&mut scim).await;
        whole += writers.iter_mut().map(|writer| writer.compare(&picture)).sum::<usize>();
        let known: usize = writers.iter().map(Writer::count).sum();
        assert_eq!(picture.users.len() + picture.groups.len(), known, "there is nothing else");
        reader.read_on(&mut api, &directory_id, 1_000).await;
        assert_eq!(reader.picture, picture, "the feed tells of what is there");
        if kill % 10 == 0 {
            println!(
                "{kill} kills, {answers} answers, {whole} without an answer and done, {} users, \
                 {} groups, {} events",
                picture.users.len(),
                picture.groups.len(),
                reader.number
            );
        }

        if kill < kills {
            let target = dice.below(ANSWERS_MAX);
            answers += target;
            writers = write_until(target, || drop(server), writers, &scim).await;
        }
    }
    let mut anew = Reader::default();
    let server = Server::start(folder.path(), &[]);
    let mut api = Caller::new(&server.url, &api_key.expect("the server was started"));
    anew.read_on(&mut api, &directory_id, 1_000).await;
    assert_eq!((anew.number, anew.picture), (reader.number, reader.picture));
    assert!(whole > 0, "the kills were never in the middle of something");
}
