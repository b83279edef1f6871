//! The power is cut, thousands of times, at every point of a random tale: whatever the disk made of
//! what was not synced, the database opens, what was acknowledged is there, and nothing is there by
//! half.
//!
//! SQLite's calls are recorded beneath it while the store is used. Then files are made as they may
//! be after a cut anywhere in the record: what was synced is there, of the rest any part, in any
//! order, torn between sectors. `ROSTER_CUTS` says how many; `cargo xtask endure` asks for ten
//! thousand.

mod tale;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use faults::{Below, Disk, Files, Step};
use rusqlite::Connection;
use tale::{Contents, Dice, Folder, LATE, Teller, audit, contents, count, look, open};

/// What happens in a tale. Long enough for the log to be emptied a few times.
const ACTS: usize = 60;
/// Cuts of one tale, before the next is begun.
const CUTS_OF_ONE: u64 = 250;

/// A tale that was told, and recorded.
struct Told {
    steps: Vec<Step>,
    /// What was in the database when an act was acknowledged. That it was opened is the first.
    contents: Vec<Contents>,
}

/// When an act is begun, this is written into the record, and one more when it is acknowledged.
fn begun(act: usize) -> u64 {
    2 * act as u64
}

/// The acts that were acknowledged, and the one that was begun: as far as a record goes.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    acknowledged: Option<usize>,
    begun: Option<usize>,
}

impl Known {
    fn note(&mut self, step: &Step) {
        let Step::Mark(mark) = step else { return };
        let act = usize::try_from(mark / 2).expect("it was one before");
        self.begun = Some(act);
        if mark % 2 == 1 {
            self.acknowledged = Some(act);
        }
    }
}

/// What is wrong with what a cut has left.
#[derive(Debug)]
enum Wrong {
    /// It is as it once was: what was acknowledged since is lost.
    Lost(String),
    /// It cannot be used, or is as it never was.
    Broken(String),
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("it starts")
}

/// Lets a tale happen, and records it.
async fn tell(seed: u64) -> Told {
    let folder = Folder::new();
    let watched = faults::watch(&folder.0).expect("it is there");
    let mut dice = Dice(seed);
    let mut teller = Teller::default();
    watched.mark(begun(0));
    let mut store = open(&folder.0).expect("it is new");
    watched.mark(begun(0) + 1);
    let see = || contents(&look(&folder.0).expect("it opens")).expect("it can be read");
    let mut seen = vec![see()];
    for act in 1..=ACTS {
        watched.mark(begun(act));
        match dice.below(12) {
            // A command beside the server, which finds the log long enough to empty it.
            0 => {
                let beside = Connection::open(folder.0.join("roster.db")).expect("it opens");
                let how = *dice.one_of(&["passive", "full", "restart", "truncate"]);
                beside.pragma_update(None, "wal_checkpoint", how).expect("nobody is in the way");
            }
            1 if dice.below(3) == 0 => {
                store.close().await;
                store = open(&folder.0).expect("it was closed");
            }
            _ => teller.act(&store, &mut dice).await.expect("nothing fails"),
        }
        watched.mark(begun(act) + 1);
        seen.push(see());
    }
    audit(&look(&folder.0).expect("it opens")).expect("nothing is wrong before anything was cut");
    store.close().await;
    Told { steps: watched.steps(), contents: seen }
}

/// Places in a record, in order.
fn places(steps: &[Step], count: u64, dice: &mut Dice) -> Vec<usize> {
    let mut places: Vec<_> = (0..count).map(|_| dice.below(steps.len() + 1)).collect();
    places.sort_unstable();
    places
}

/// Cuts a tale so many times, and judges what is left each time.
async fn cut(told: &Told, count: u64, dice: &mut Dice, wrong: &mut Vec<Wrong>) {
    let (mut disk, mut known, mut played) = (Disk::default(), Known::default(), 0);
    for place in places(&told.steps, count, dice) {
        for step in &told.steps[played..place] {
            disk.play(step);
            known.note(step);
        }
        played = place;
        let below: Below<'_> = &mut |end| dice.below(end);
        let outcome = match below(4) {
            // The program is killed and begins anew; then the power is cut.
            0 => begun_and_cut(told, disk.clone(), &disk.seen(), known, below).await,
            // The power is cut, and once more when the program has begun anew.
            1 => {
                let files = disk.after_cut(below);
                begun_and_cut(told, Disk::of(&files), &files, known, below).await
            }
            _ => judge(told, &disk.after_cut(below), known).await.map(drop),
        };
        wrong.extend(outcome.err().map(|wrong| match wrong {
            Wrong::Lost(why) => Wrong::Lost(format!("after step {place}: {why}")),
            Wrong::Broken(why) => Wrong::Broken(format!("after step {place}: {why}")),
        }));
    }
}

/// Begins anew with these files, and cuts the power some time after somebody has seen what is
/// there: it has to be there for good.
async fn begun_and_cut(
    told: &Told,
    mut disk: Disk,
    files: &Files,
    known: Known,
    below: Below<'_>,
) -> Result<(), Wrong> {
    let (steps, seen) = judge(told, files, known).await?;
    let Some(seen) = seen else { return Ok(()) };
    let seen_at = steps.iter().position(|step| matches!(step, Step::Mark(_)));
    let seen_at = seen_at.expect("it is marked");
    let end = seen_at + below(steps.len() - seen_at + 1);
    for step in &steps[..end] {
        disk.play(step);
    }
    let known = Known { acknowledged: Some(*seen.start()), begun: Some(*seen.end()) };
    match judge(told, &disk.after_cut(below), known).await {
        Ok(_) => Ok(()),
        Err(Wrong::Lost(why)) => Err(Wrong::Lost(format!("{why}, and was seen between"))),
        Err(wrong) => Err(wrong),
    }
}

/// Opens a database as it was left, and looks whether everything is as it has to be. Gives what was
/// done to its files meanwhile, marked where the contents were seen, and which act's they were.
async fn judge(
    told: &Told,
    files: &Files,
    known: Known,
) -> Result<(Vec<Step>, Option<RangeInclusive<usize>>), Wrong> {
    let folder = Folder::new();
    for (name, bytes) in files {
        std::fs::write(folder.0.join(&**name), bytes).expect("there is room");
    }
    let watched = faults::watch(&folder.0).expect("it is there");
    let store = open(&folder.0).map_err(|error| Wrong::Broken(format!("opening: {error:?}")))?;
    let judged = judge_opened(told, &folder, known);
    watched.mark(0);
    let goes_on = store.api().create_organization(LATE.to_owned(), None).await;
    store.close().await;
    let seen = judged?;
    goes_on.map_err(|error| Wrong::Broken(format!("it does not go on: {error:?}")))?;
    Ok((watched.steps(), seen))
}

fn judge_opened(
    told: &Told,
    folder: &Folder,
    known: Known,
) -> Result<Option<RangeInclusive<usize>>, Wrong> {
    let broken = |error: rusqlite::Error| Wrong::Broken(format!("reading: {error}"));
    let looking = look(&folder.0).map_err(broken)?;
    let found = contents(&looking).map_err(broken)?;
    audit(&looking).map_err(Wrong::Broken)?;
    let Some(acknowledged) = known.acknowledged else {
        // Nothing was promised yet, and now there is a new database.
        return Ok(None);
    };
    let begun = known.begun.expect("what is acknowledged was begun");
    let of = |act: &usize| told.contents[*act] == found;
    if let Some(first) = (acknowledged..=begun).find(of) {
        let last = (first..=begun).rev().find(of).expect("there is the first");
        return Ok(Some(first..=last));
    }
    if let Some(older) = (0..acknowledged).rev().find(of) {
        return Err(Wrong::Lost(format!("act {acknowledged} was acknowledged, {older} is there")));
    }
    let expected = &told.contents[acknowledged];
    let differing: BTreeMap<_, _> =
        found.iter().filter(|(table, digest)| expected.get(*table) != Some(digest)).collect();
    Err(Wrong::Broken(format!(
        "act {acknowledged} was acknowledged and {begun} begun, and the contents are of neither: \
         {differing:?}"
    )))
}

#[expect(clippy::print_stdout, reason = "whoever waits wants to see how far it is")]
#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let cuts = count("ROSTER_CUTS", 250);
    let first = count("ROSTER_SEED", 1);
    runtime().block_on(async {
        let (mut done, mut seed) = (0, first);
        while done < cuts {
            let told = tell(seed).await;
            let mut wrong = Vec::new();
            let of_this = CUTS_OF_ONE.min(cuts - done);
            cut(&told, of_this, &mut Dice(seed + 1_000_000), &mut wrong).await;
            assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}");
            done += of_this;
            seed += 1;
            println!("{done} cuts, 0 lost, 0 broken; the last tale had {} steps", told.steps.len());
        }
    });
}

/// A killed program has written what the disk does not have yet. Who begins after it would see that,
/// tell others, and lose it.
#[test]
fn what_is_seen_after_a_kill_survives_a_cut() {
    runtime().block_on(async {
        let told = tell(3).await;
        let (mut disk, mut known) = (Disk::default(), Known::default());
        let (mut kills, mut wrong) = (0, Vec::new());
        for step in &told.steps {
            if matches!(step, Step::Synced(name) if &**name == "roster.db-wal") {
                kills += 1;
                // Nothing survives that does not have to.
                let outcome =
                    begun_and_cut(&told, disk.clone(), &disk.seen(), known, &mut |_| 0).await;
                wrong.extend(outcome.err());
            }
            disk.play(step);
            known.note(step);
        }
        assert!(wrong.is_empty(), "{} of {kills}: {wrong:#?}", wrong.len());
        assert!(kills > ACTS, "there is one for each act: {kills}");
    });
}

/// What would be seen of a database whose settings or disk were others.
fn judged_without(forgets: impl Fn(&[Step], usize) -> bool) -> (usize, usize) {
    runtime().block_on(async {
        let mut told = tell(7).await;
        let steps = std::mem::take(&mut told.steps);
        told.steps = steps
            .iter()
            .enumerate()
            .filter(|(place, _)| !forgets(&steps, *place))
            .map(|(_, step)| step.clone())
            .collect();
        let mut wrong = Vec::new();
        cut(&told, 150, &mut Dice(7), &mut wrong).await;
        let lost = wrong.iter().filter(|wrong| matches!(wrong, Wrong::Lost(_))).count();
        (lost, wrong.len() - lost)
    })
}

#[test]
fn a_database_that_does_not_sync_is_found_out() {
    // As with `pragma synchronous = off`, or on a disk that lies.
    let (lost, broken) = judged_without(|steps, place| matches!(steps[place], Step::Synced(_)));
    assert!(lost > 10 && broken > 10, "{lost} lost, {broken} broken");
}

#[test]
fn a_database_that_syncs_only_before_its_log_is_emptied_is_found_out() {
    // As with `pragma synchronous = normal`: it is never broken, and what it answered is lost.
    let (lost, broken) = judged_without(|steps, place| {
        let log: Arc<str> = "roster.db-wal".into();
        let database: Arc<str> = "roster.db".into();
        let is_next = |step: &&Step| match step {
            Step::Written(name, ..) => *name == log || *name == database,
            _ => false,
        };
        matches!(&steps[place], Step::Synced(name) if *name == log)
            && matches!(
                steps[place..].iter().find(is_next),
                Some(Step::Written(name, ..)) if *name == log
            )
    });
    assert!(lost > 10, "{lost} lost, {broken} broken");
}
