//! The disk fails: at the nth write for want of room, at the nth sync because it is dying, once and
//! for good. What cannot be kept is refused and leaves nothing behind; what was acknowledged stays,
//! and can be read meanwhile. When there is room again the same store goes on. When a sync failed it
//! does not, for nobody knows then what is on the disk, until it is opened anew.
//!
//! `ROSTER_FAULTS` says at how many of the calls of a tale; `cargo xtask endure` asks for every one.

mod tale;

use directory::secret::{Secret, SecretKind};
use faults::{Call, Disk, Failure, Files, Plan, Step, Watched};
use rusqlite::Connection;
use store::{Error, Store};
use tale::{Contents, Dice, Folder, Teller, audit, contents, count, look, open};

/// Acts before the disk fails, and after.
const BEFORE: usize = 12;
const AFTER: usize = 8;
/// The log of the database.
const LOG: &str = "roster.db-wal";
/// Without end, in the time that a test has.
const FOR_EVER: u64 = u64::MAX;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("it starts")
}

/// A store in the middle of a tale.
struct Scene {
    folder: Folder,
    watched: Watched,
    store: Store,
    teller: Teller,
    dice: Dice,
}

impl Scene {
    async fn begin() -> Scene {
        let folder = Folder::new();
        let watched = faults::watch(&folder.0).expect("it is there");
        let store = open(&folder.0).expect("nothing fails yet");
        let mut scene = Scene { folder, watched, store, teller: Teller::default(), dice: Dice(5) };
        for _ in 0..BEFORE {
            scene.act().await.expect("nothing fails yet");
        }
        scene
    }

    async fn act(&mut self) -> Result<(), Error> {
        self.teller.act(&self.store, &mut self.dice).await
    }

    fn contents(&self) -> Contents {
        let looking = look(&self.folder.0).expect("it can be opened");
        contents(&looking).expect("it can be read")
    }

    /// Reads through the store.
    async fn reads(&self) {
        let page = self.store.feed().events(None, None, 1_000).await.expect("it can be read");
        let events = page.expect("no cursor was bad").events.len() as u64;
        assert_eq!(events, self.contents()["events"].0, "and it is what is there");
        self.store.api().organizations(None, 100).await.expect("it can be read");
    }
}

/// Says after how many calls of these kinds one is to fail: after any, or after some of them.
async fn places(calls: &'static [Call]) -> Vec<u64> {
    let mut scene = Scene::begin().await;
    scene.watched.fail(Plan { calls, after: 0, times: 0, failure: Failure::Full });
    for _ in 0..AFTER {
        scene.act().await.expect("nothing fails");
    }
    let total = scene.watched.heal().calls;
    let wanted = count("ROSTER_FAULTS", 12).clamp(1, total);
    (0..wanted).map(|place| place * total / wanted).collect()
}

/// Lets writing fail at every place, and sees that nothing is lost, nothing is there by half, and that
/// it goes on when the disk is well.
async fn writing_fails(calls: &'static [Call], failure: Failure) {
    for after in places(calls).await {
        for times in [1, FOR_EVER] {
            let mut scene = Scene::begin().await;
            let mut known = scene.contents();
            scene.watched.fail(Plan { calls, after, times, failure });
            for _ in 0..AFTER {
                match scene.act().await {
                    Ok(()) => known = scene.contents(),
                    Err(error) => {
                        let is_full = failure == Failure::Full;
                        assert_eq!(error.is_full(), is_full, "{error:?}");
                        assert_eq!(scene.contents(), known, "nothing of it is there: {error:?}");
                    }
                }
                scene.reads().await;
            }
            assert!(scene.store.access().is_ready().await, "it serves readers");
            let met = scene.watched.heal();
            assert!(met.failed > 0, "{after}: {met:?}");
            scene.act().await.expect("there is room again");
            goes_on(scene).await;
        }
    }
}

/// What is there is right, and is the same when the store is opened anew.
async fn goes_on(scene: Scene) {
    let known = scene.contents();
    audit(&look(&scene.folder.0).expect("it can be opened")).expect("nothing is wrong");
    let Scene { folder, store, .. } = scene;
    store.close().await;
    let store = open(&folder.0).expect("nothing fails any more");
    assert_eq!(contents(&look(&folder.0).expect("it opens")).expect("it can be read"), known);
    store.close().await;
}

#[test]
fn a_full_disk_refuses_changes_and_loses_nothing() {
    runtime().block_on(writing_fails(&[Call::Write, Call::Share], Failure::Full));
}

#[test]
fn a_disk_that_cannot_be_written_to_refuses_changes_and_loses_nothing() {
    runtime().block_on(writing_fails(&[Call::Write, Call::Truncate], Failure::Broken));
}

#[test]
fn a_disk_that_cannot_be_read_answers_with_errors_and_loses_nothing() {
    const CALLS: &[Call] = &[Call::Read, Call::Open];
    runtime().block_on(async {
        for after in [0, 1, 2, 5, 10, 20] {
            let mut scene = Scene::begin().await;
            let known = scene.contents();
            // Whoever opens it beside the store has to read it.
            scene.watched.fail(Plan { calls: CALLS, after, times: 1, failure: Failure::Broken });
            let beside = look(&scene.folder.0).and_then(|looking| contents(&looking));
            if let Ok(beside) = beside {
                assert_eq!(beside, known, "what can be read is right");
            }
            scene.watched.heal();
            for _ in 0..AFTER {
                scene.act().await.expect("the disk is well again");
            }
            goes_on(scene).await;
        }
    });
}

/// A tale in which a sync failed, up to where the store was opened anew and went on.
struct Failed {
    steps: Vec<Step>,
    /// What was there at each mark.
    seen: Vec<Contents>,
}

/// Lets the nth sync fail, and sees that the store stops there, that it can be read meanwhile, and
/// that it goes on when it is opened anew.
async fn a_sync_fails(after: u64, times: u64) -> Failed {
    let mut scene = Scene::begin().await;
    // From here on the log has what is new, and the database what is old.
    let beside = Connection::open(scene.folder.0.join("roster.db")).expect("it opens");
    beside.pragma_update(None, "wal_checkpoint", "truncate").expect("nobody is in the way");
    drop(beside);
    let mut seen = Vec::new();
    let see = |scene: &Scene, seen: &mut Vec<Contents>| {
        scene.watched.mark(seen.len() as u64);
        seen.push(scene.contents());
    };
    see(&scene, &mut seen);
    scene.watched.fail(Plan { calls: &[Call::Sync], after, times, failure: Failure::Broken });
    let mut has_stopped = false;
    for _ in 0..AFTER {
        match scene.act().await {
            Ok(()) => {
                assert!(!has_stopped, "nothing is built on what may not be there");
                see(&scene, &mut seen);
            }
            Err(Error::Stopped) => has_stopped = true,
            Err(error) => panic!("{error:?}"),
        }
        scene.reads().await;
    }
    assert_eq!(scene.watched.heal().failed > 0, has_stopped);
    assert_ne!(scene.store.access().is_ready().await, has_stopped);
    // The disk is well again, or says so. Nothing is known of what it has forgotten.
    let after_healing = scene.act().await;
    assert_eq!(matches!(after_healing, Err(Error::Stopped)), has_stopped, "{after_healing:?}");

    // The process ends and begins anew.
    let Scene { folder, watched, store, mut teller, mut dice } = scene;
    store.close().await;
    let store = open_anew(&folder, &watched);
    let here = || contents(&look(&folder.0).expect("it opens")).expect("it can be read");
    watched.mark(seen.len() as u64);
    seen.push(here());
    for _ in 0..3 {
        teller.act(&store, &mut dice).await.expect("nothing fails any more");
        watched.mark(seen.len() as u64);
        seen.push(here());
    }
    audit(&look(&folder.0).expect("it opens")).expect("nothing is wrong");
    let steps = watched.steps();
    store.close().await;
    Failed { steps, seen }
}

/// Opens the store anew. Where a sync has failed, it first writes the log again with its own hands,
/// past SQLite; so that is not recorded, and is told by what it leaves and takes away.
fn open_anew(folder: &Folder, watched: &Watched) -> Store {
    let mark = folder.0.join("roster.db-unsynced");
    let (is_marked, place) = (mark.exists(), watched.steps().len());
    let store = open(&folder.0).expect("nothing fails any more");
    assert!(!mark.exists(), "what is past is forgotten");
    if is_marked {
        let again = [Step::Rewritten(LOG.into()), Step::Synced(LOG.into())];
        watched.insert(place, again);
    }
    store
}

/// Cuts the power after so many steps each time, and says what was lost or broken.
async fn cuts(failed: &Failed, places: &[usize], dice: &mut Dice) -> Vec<String> {
    let mut wrong = Vec::new();
    for place in places {
        let (mut disk, mut known) = (Disk::default(), None);
        for step in &failed.steps[..*place] {
            if let Step::Mark(mark) = step {
                known = Some(usize::try_from(*mark).expect("there are few"));
            }
            disk.play(step);
        }
        let known = known.expect("it is after the first mark");
        let promised = &failed.seen[known..failed.seen.len().min(known + 2)];
        match left(&disk.after_cut(&mut |end| dice.below(end))).await {
            Ok(found) if promised.contains(&found) => {}
            Ok(found) => wrong.push(format!("after {known}: {found:?} instead of {promised:?}")),
            Err(why) => wrong.push(format!("after {known}: {why}")),
        }
    }
    wrong
}

/// What is in a database as a cut has left it.
async fn left(files: &Files) -> Result<Contents, String> {
    let folder = Folder::new();
    for (name, bytes) in files {
        std::fs::write(folder.0.join(&**name), bytes).expect("there is room");
    }
    let _watched = faults::watch(&folder.0).expect("it is there");
    let store = open(&folder.0).map_err(|error| format!("{error:?}"))?;
    let looking = look(&folder.0).map_err(|error| format!("{error:?}"))?;
    let found = contents(&looking).map_err(|error| format!("{error:?}"));
    let audited = audit(&looking);
    drop(looking);
    store.close().await;
    audited.and(found)
}

#[test]
fn a_failed_sync_stops_writing_and_loses_nothing() {
    runtime().block_on(async {
        let mut dice = Dice(11);
        for after in places(&[Call::Sync]).await {
            for times in [1, FOR_EVER] {
                let failed = a_sync_fails(after, times).await;
                let first = failed.steps.iter().position(|step| matches!(step, Step::Mark(_)));
                let first = first.expect("there are marks") + 1;
                let mut place = || first + dice.below(failed.steps.len() + 1 - first);
                let places: Vec<_> = (0..6).map(|_| place()).collect();
                let wrong = cuts(&failed, &places, &mut dice).await;
                assert!(wrong.is_empty(), "after {after} syncs, {times} times: {wrong:#?}");
            }
        }
    });
}

/// Were the log not written again, it would be moved into the database from behind a hole.
#[test]
fn a_log_with_a_hole_is_found_out() {
    runtime().block_on(async {
        let mut failed = a_sync_fails(2, 1).await;
        let by_hand = failed.steps.iter().position(|step| matches!(step, Step::Rewritten(_)));
        let by_hand = by_hand.expect("it was written again");
        let is_moved = |step: &Step| matches!(step, Step::Truncated(name, 0) if &**name == LOG);
        let moved = failed.steps[by_hand..].iter().position(is_moved).expect("it is moved");
        let places: Vec<_> = (by_hand..by_hand + moved).flat_map(|place| [place; 4]).collect();
        let wrong = cuts(&failed, &places, &mut Dice(3)).await;
        assert!(wrong.is_empty(), "{wrong:#?}");
        failed.steps.drain(by_hand..by_hand + 2);
        let wrong = cuts(&failed, &places, &mut Dice(3)).await;
        assert!(!wrong.is_empty());
    });
}

/// SQLite says nothing where the database cannot be synced after a commit whose log is long, and
/// would later take the log for moved.
#[test]
fn a_sync_that_fails_after_the_commit_stops_writing_too() {
    // A name of this length, with the event and the entry of the audit log that tell of it, fills a
    // sixteenth of the log.
    let large = "n".repeat((1 << 20) / 3);
    let key = |number: u8| Secret::new(SecretKind::ApiKey, [number; 32]);
    runtime().block_on(async {
        let mut of_the_database = 0;
        for after in 0..6 {
            let mut scene = Scene::begin().await;
            // A little less than what makes the log long enough.
            for number in 0..14 {
                let kept = scene.store.create_api_key(&large, &key(number)).await;
                kept.expect("nothing fails yet");
            }
            let before = scene.watched.steps().len();
            let plan = Plan { calls: &[Call::Sync], after, times: 1, failure: Failure::Broken };
            scene.watched.fail(plan);
            for number in 14..18 {
                // Those after the failure are refused.
                let _ = scene.store.create_api_key(&large, &key(number)).await;
            }
            assert_eq!(scene.watched.heal().failed, 1);
            let steps = &scene.watched.steps()[before..];
            of_the_database += usize::from(
                steps
                    .iter()
                    .any(|step| matches!(step, Step::SyncFailed(name) if &**name == "roster.db")),
            );
            let outcome = scene.act().await;
            assert!(matches!(outcome, Err(Error::Stopped)), "after {after} syncs: {outcome:?}");
            scene.reads().await;
        }
        assert!(of_the_database > 0, "the log was never long enough");
    });
}
