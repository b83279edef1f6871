//! A disk that forgets and fails, for tests.
//!
//! [`watch`] puts itself between SQLite and the files of one folder, beneath a program that knows
//! nothing of it. Every write, sync, truncation, creation and deletion is written down in order; a
//! [`Disk`] plays what was written down, and says what the files may be after the power was cut
//! anywhere in it. A [`Plan`] lets the nth call fail, as it does when the disk is full or dying.

mod disk;
mod vfs;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use disk::{Below, Disk, Files, SECTOR};

/// The name of a file in the folder.
pub type Name = Arc<str>;

/// Something that was done to the folder.
#[derive(Clone, Debug)]
pub enum Step {
    /// There is a new, empty file.
    Created(Name),
    /// Bytes were written from this offset on.
    Written(Name, u64, Arc<[u8]>),
    /// The file was cut, or grew with zeros, to this size.
    Truncated(Name, u64),
    /// What was written to the file before is on the disk.
    Synced(Name),
    /// It was to be on the disk, and nobody knows whether it is. A kernel tells of it once, and
    /// takes what it could not write for written.
    SyncFailed(Name),
    /// All of the file was written again as it is, sector by sector, so that a sync means something
    /// again.
    Rewritten(Name),
    /// The file has no name any more.
    Deleted(Name),
    /// Which files there are is on the disk.
    FolderSynced,
    /// Something that the test wants to find again: see [`Watched::mark`].
    Mark(u64),
}

/// What is asked of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// To open or create a file.
    Open,
    /// To read from one.
    Read,
    /// To write to one.
    Write,
    /// To cut one.
    Truncate,
    /// To bring one to the disk.
    Sync,
    /// To delete one.
    Delete,
    /// To make room for the memory that the connections of a database share.
    Share,
}

/// How it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There is no room. Of a write, the first half is done.
    Full,
    /// The device does not answer.
    Broken,
}

/// Which calls fail.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Of these.
    pub calls: &'static [Call],
    /// So many are done before.
    pub after: u64,
    /// So many fail.
    pub times: u64,
    /// How.
    pub failure: Failure,
}

/// What a plan has met.
#[derive(Clone, Copy, Debug)]
pub struct Met {
    /// Calls of its kinds.
    pub calls: u64,
    /// Those that failed.
    pub failed: u64,
}

/// A folder that is watched, until this is dropped.
#[derive(Debug)]
pub struct Watched(Arc<Folder>);

#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    steps: Vec<Step>,
    plan: Option<Plan>,
    /// Calls of the plan's kinds since it was made.
    calls: u64,
    failed: u64,
}

static FOLDERS: Mutex<Vec<Arc<Folder>>> = Mutex::new(Vec::new());

/// Watches what SQLite does to the files in a folder, from the next one that is opened.
///
/// Nothing there is ever synced in earnest: what would be lost is computed, and the test's machine
/// is not expected to lose power.
pub fn watch(folder: &Path) -> std::io::Result<Watched> {
    vfs::install();
    let folder =
        Arc::new(Folder { path: folder.canonicalize()?, state: Mutex::new(State::default()) });
    lock(&FOLDERS).push(Arc::clone(&folder));
    Ok(Watched(folder))
}

impl Watched {
    /// Writes down that this happened now.
    pub fn mark(&self, number: u64) {
        lock(&self.0.state).steps.push(Step::Mark(number));
    }

    /// What was done so far, in order.
    pub fn steps(&self) -> Vec<Step> {
        lock(&self.0.state).steps.clone()
    }

    /// Writes down, at its place among the others, what was done past SQLite.
    pub fn insert(&self, place: usize, steps: impl IntoIterator<Item = Step>) {
        lock(&self.0.state).steps.splice(place..place, steps);
    }

    /// Lets calls fail from now on.
    pub fn fail(&self, plan: Plan) {
        let mut state = lock(&self.0.state);
        (state.plan, state.calls, state.failed) = (Some(plan), 0, 0);
    }

    /// Lets nothing fail any more, and says what the plan has met.
    pub fn heal(&self) -> Met {
        let mut state = lock(&self.0.state);
        state.plan = None;
        Met { calls: state.calls, failed: state.failed }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        lock(&FOLDERS).retain(|folder| !Arc::ptr_eq(folder, &self.0));
    }
}

impl Folder {
    /// The folder that a file is in, if it is watched, and the file's name there.
    pub(crate) fn of(path: &Path) -> Option<(Arc<Folder>, Name)> {
        let name = path.file_name()?.to_str()?;
        let parent = path.parent()?;
        let folders = lock(&FOLDERS);
        let folder = folders.iter().find(|folder| folder.path == parent)?;
        Some((Arc::clone(folder), name.into()))
    }

    /// Does something and writes it down, so that nothing comes between the two; or lets it fail.
    pub(crate) fn take(
        &self,
        call: Call,
        act: impl FnOnce(Option<Failure>, &mut Vec<Step>) -> i32,
    ) -> i32 {
        let mut state = lock(&self.state);
        let failure = state.failure(call);
        act(failure, &mut state.steps)
    }
}

impl State {
    fn failure(&mut self, call: Call) -> Option<Failure> {
        let plan = self.plan.filter(|plan| plan.calls.contains(&call))?;
        self.calls += 1;
        let fails = self.calls > plan.after && self.failed < plan.times;
        self.failed += u64::from(fails);
        fails.then_some(plan.failure)
    }
}

/// A panic elsewhere is told of there.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
