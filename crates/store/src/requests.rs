//! Requests of providers, with their answers, and who it is that sends them.
//!
//! A request must not pay for being taken down: a copy of what passed goes into a queue in memory, and
//! that is all. A thread of its own leaves out what nobody is to read, and keeps many in one commit; on
//! an embedded database in a file of its own, so that nobody who changes something waits for it. It works
//! for a tenth of its time at most, and rests for the others. Where more comes than it can take down,
//! readers are left out first; how many are missing is counted, and kept as an entry among the others.
//!
//! Whoever reads the log has everything of this node brought into it first. A restart loses nothing, and
//! a crash the last second.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use directory::client::Known;
use directory::requests::{Entry, Lost, Part, Policy, Presented, Record, Seen};
use directory::{By, DirectoryId, ErasureId, OrganizationId, RequestId, Search, Traces};
use jiff::Timestamp;
use scim::dialect::Quirks;
use scim::text::fold;
use tokio::sync::oneshot;

use crate::access::ApiStore;
use crate::erasure;
use crate::error::Error;
use crate::readers::Readers;
use crate::session::{Engine, Many, Row, Session, Value, count, finish};
use crate::sqlite;
use crate::writer::{Act, Writer};

/// Requests that wait to be taken down, and bytes of their bodies.
const QUEUE_MAX: usize = 8_192;
const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Requests that are kept in one commit.
const BATCH_MAX: usize = 256;

/// How long they are gathered for: less than the second after which a page wants to show them.
const GATHERED_FOR: Duration = Duration::from_millis(150);

/// Of how many parts of its time the thread works in one.
const WORKS_ONE_PART_IN: u32 = 10;

/// How often what is known of a client is kept, where there is nothing new among it.
const CLIENT_KEPT_EVERY: Duration = Duration::from_secs(5);

/// Directories whose clients are remembered.
const CLIENTS_MAX: usize = 10_000;

/// Requests without a credential that are taken down of one directory in a minute: anybody can send
/// them.
const STRANGERS_MAX: u32 = 60;

/// Places that a microsecond has.
const PLACES: u64 = 1_024;

/// Old requests that are let go in one step.
const FORGOTTEN_AT_ONCE: u64 = 1_000;

/// Requests that are looked through in one step for somebody who is erased: their bodies are in memory.
const SEARCHED_AT_ONCE: u64 = 250;

/// Methods in the order of their numbers, from 1 on; the last stands for any other.
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "…"];

/// Statuses that requests are answered with.
const STATUSES: [u16; 21] = [
    200, 201, 204, 304, 400, 401, 403, 404, 405, 406, 408, 409, 412, 413, 414, 415, 429, 431, 500,
    501, 503,
];

/// A request that was answered, as it passed.
#[derive(Debug)]
pub struct Captured {
    /// Its name.
    pub request_id: RequestId,
    /// Of which directory; where nothing opened it, of the one that the address names.
    pub directory_id: DirectoryId,
    /// When it came.
    pub at: Timestamp,
    /// When it was answered.
    pub answered_at: Timestamp,
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
    /// What stands behind the `?`.
    pub query: Option<String>,
    /// How it was answered.
    pub status: u16,
    /// From where it came.
    pub client_address: Option<IpAddr>,
    /// `User-Agent`.
    pub user_agent: Option<String>,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// How it said who sends it.
    pub presented: Presented,
    /// Who sent it; nobody, where nothing opened the directory.
    pub by: Option<By>,
    /// Whose again.
    pub rerun_of: Option<RequestId>,
    /// To stand after "tried to".
    pub tried: &'static str,
    /// Whether nothing is served at its path.
    pub is_unknown_path: bool,
    /// What was straightened.
    pub quirks: Quirks,
    /// Members that nobody knows.
    pub unknown_members: Vec<String>,
    /// `Location` of the answer.
    pub location: Option<String>,
    /// Its body.
    pub request: Option<CapturedBody>,
    /// That of its answer.
    pub answer: Option<CapturedBody>,
    /// What is to be kept; nothing, where it is only looked who sends it.
    pub policy: Option<Policy>,
}

/// A body, or its beginning.
#[derive(Debug)]
pub struct CapturedBody {
    begin: Box<[u8]>,
    bytes: u64,
}

impl CapturedBody {
    /// Takes the beginning of a body.
    pub fn of(body: &[u8], bytes_max: usize) -> CapturedBody {
        let begin = &body[..body.len().min(bytes_max)];
        CapturedBody { begin: begin.into(), bytes: body.len() as u64 }
    }

    fn part(&self) -> Part<'_> {
        Part { begin: &self.begin, bytes: self.bytes }
    }
}

impl Captured {
    fn seen(&self) -> Seen<'_> {
        Seen {
            request_id: self.request_id,
            at: self.at,
            method: &self.method,
            path: &self.path,
            query: self.query.as_deref(),
            status: self.status,
            client_address: self.client_address,
            user_agent: self.user_agent.as_deref(),
            content_type: self.content_type.as_deref(),
            presented: self.presented,
            by: self.by,
            rerun_of: self.rerun_of,
            tried: self.tried,
            is_unknown_path: self.is_unknown_path,
            quirks: &self.quirks,
            unknown_members: &self.unknown_members,
            location: self.location.as_deref(),
            request: self.request.as_ref().map(CapturedBody::part),
            answer: self.answer.as_ref().map(CapturedBody::part),
        }
    }

    fn bytes(&self) -> usize {
        let of = |body: &Option<CapturedBody>| body.as_ref().map_or(0, |it| it.begin.len());
        of(&self.request) + of(&self.answer) + self.path.len()
    }

    /// Whether it is the last to be left out: it changed something, or was refused.
    fn matters(&self) -> bool {
        self.status >= 400 || !matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS")
    }
}

/// Where requests are handed in. When it is dropped, what it has is kept.
#[derive(Debug)]
pub(crate) struct RequestLog {
    shared: Arc<Shared>,
    /// On an embedded database: where it is, and the connection that reads the log.
    beside: Option<PathBuf>,
    reader: Arc<Mutex<Option<Session>>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Captured>,
    bytes: usize,
    lost: BTreeMap<DirectoryId, Missing>,
    /// Requests without a credential, by directory, in the minute that began then.
    strangers: HashMap<DirectoryId, u32>,
    strangers_since: Timestamp,
    /// Who waits until everything that was handed in is kept.
    waiting: Vec<oneshot::Sender<Result<(), Error>>>,
    asked: Vec<Asked>,
    is_closing: bool,
}

/// Requests that were not taken down.
#[derive(Clone, Copy, Debug)]
struct Missing {
    /// The first of them, by whose name the gap is found.
    request_id: RequestId,
    since: Timestamp,
    until: Timestamp,
    count: u64,
}

impl Missing {
    fn add(&mut self, other: Missing) {
        self.count = self.count.saturating_add(other.count);
        if other.since < self.since {
            (self.since, self.request_id) = (other.since, other.request_id);
        }
        self.until = self.until.max(other.until);
    }
}

/// Something that the thread is to do with what is kept.
struct Asked(Box<dyn FnOnce(&mut Desk) + Send>);

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Asked")
    }
}

/// What is to be let go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forget {
    pub(crate) requests_before: Timestamp,
    pub(crate) bodies_before: Timestamp,
}

/// Where requests are kept.
pub(crate) enum Keeper {
    /// In a file beside this database.
    Beside(PathBuf),
    /// In the database.
    Within(Session),
}

impl State {
    fn note(&mut self, captured: Captured) {
        let has_room = self.queue.len() < QUEUE_MAX && self.bytes < QUEUE_BYTES_MAX;
        let is_crowded = self.queue.len() >= QUEUE_MAX / 2 || self.bytes >= QUEUE_BYTES_MAX / 2;
        let is_taken = has_room
            && (!is_crowded || captured.matters())
            && (captured.by.is_some() || self.may_be_a_stranger(&captured));
        if is_taken {
            self.bytes += captured.bytes();
            self.queue.push_back(captured);
        } else if captured.policy.is_some() {
            self.miss(&captured);
        }
    }

    fn may_be_a_stranger(&mut self, captured: &Captured) -> bool {
        let minute = jiff::SignedDuration::from_mins(1);
        let age = captured.at.duration_since(self.strangers_since);
        if age >= minute || age.is_negative() {
            self.strangers.clear();
            self.strangers_since = captured.at;
        }
        if self.strangers.len() >= CLIENTS_MAX
            && !self.strangers.contains_key(&captured.directory_id)
        {
            return false;
        }
        let count = self.strangers.entry(captured.directory_id).or_default();
        *count += 1;
        *count <= STRANGERS_MAX
    }

    fn miss(&mut self, captured: &Captured) {
        let missing = Missing {
            request_id: captured.request_id,
            since: captured.at,
            until: captured.at,
            count: 1,
        };
        if self.lost.len() < CLIENTS_MAX || self.lost.contains_key(&captured.directory_id) {
            self.lost
                .entry(captured.directory_id)
                .and_modify(|it| it.add(missing))
                .or_insert(missing);
        }
    }

    fn is_asked(&self) -> bool {
        !self.waiting.is_empty() || !self.asked.is_empty() || self.is_closing
    }

    fn has_work(&self) -> bool {
        !self.queue.is_empty() || !self.lost.is_empty()
    }
}

/// What is to be done next.
struct Work {
    requests: Vec<Captured>,
    lost: BTreeMap<DirectoryId, Missing>,
    waiting: Vec<oneshot::Sender<Result<(), Error>>>,
    asked: Vec<Asked>,
    is_last: bool,
}

impl RequestLog {
    /// Starts the thread. It opens nothing before there is something to keep.
    pub(crate) fn start(
        writer: Writer,
        keeper: Keeper,
    ) -> Result<(RequestLog, JoinHandle<()>), Error> {
        let beside = match &keeper {
            Keeper::Beside(path) => Some(path.clone()),
            Keeper::Within(_) => None,
        };
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("store-requests".to_owned())
            .spawn(move || {
                Desk {
                    shared: theirs,
                    writer,
                    keeper,
                    log: None,
                    look: None,
                    place: 0,
                    clients: BTreeMap::new(),
                }
                .work();
            })
            .map_err(Error::Thread)?;
        Ok((RequestLog { shared, beside, reader: Arc::default() }, thread))
    }

    /// Takes a request down. Waits for nothing.
    pub(crate) fn note(&self, captured: Captured) {
        let mut state = self.shared.lock();
        let was_idle = !state.has_work();
        state.note(captured);
        let is_full = state.queue.len() == BATCH_MAX;
        drop(state);
        if was_idle || is_full {
            self.shared.changed.notify_one();
        }
    }

    /// Waits until everything that was handed in is kept.
    pub(crate) async fn keep(&self) -> Result<(), Error> {
        self.ask(|state, done| state.waiting.push(done))?.await.map_err(|_| Error::Closed)?
    }

    /// Lets some old requests and bodies go; says how many.
    pub(crate) async fn forget(&self, forget: Forget) -> Result<u64, Error> {
        self.have(move |desk| desk.forget(forget)).await
    }

    /// Takes somebody out of some requests of a directory, behind a place: also out of those that were
    /// handed in and are not kept yet.
    pub(crate) async fn erase(
        &self,
        id: ErasureId,
        of: DirectoryId,
        traces: Traces,
        after: u64,
    ) -> Result<erasure::Requests, Error> {
        self.keep().await?;
        self.have(move |desk| desk.erase(id, of, &traces.search(), after)).await
    }

    /// Leaves nothing in the log of the file beside an embedded database; says whether that was done.
    pub(crate) async fn empty_log(&self) -> Result<bool, Error> {
        self.have(Desk::empty_log).await
    }

    /// Writes zeros over what that file still holds of records that are not there, in steps between which
    /// requests are taken down.
    pub(crate) async fn scrub(&self) -> Result<(), Error> {
        let mut from = 1;
        while from > 0 {
            from = self.have(move |desk| desk.scrub(from)).await?;
        }
        Ok(())
    }

    /// Has the thread do something beside taking requests down.
    async fn have<T: Send + 'static>(
        &self,
        task: impl FnOnce(&mut Desk) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let done = self.ask(|state, done| {
            state.asked.push(Asked(Box::new(move |desk| {
                // Whoever asked may have gone away.
                let _ = done.send(task(desk));
            })));
        })?;
        done.await.map_err(|_| Error::Closed)?
    }

    /// Asks the thread for something.
    fn ask<T>(
        &self,
        ask: impl FnOnce(&mut State, oneshot::Sender<Result<T, Error>>),
    ) -> Result<oneshot::Receiver<Result<T, Error>>, Error> {
        let (done, waiting) = oneshot::channel();
        let mut state = self.shared.lock();
        if state.is_closing {
            return Err(Error::Closed);
        }
        ask(&mut state, done);
        drop(state);
        self.shared.changed.notify_one();
        Ok(waiting)
    }

    /// Has the thread keep what there is, and end.
    pub(crate) fn close(&self) {
        let mut state = self.shared.lock();
        state.is_closing = true;
        drop(state);
        self.shared.changed.notify_one();
    }

    /// Reads what is kept; `None` where nothing ever was.
    async fn read<T: Send + 'static>(
        &self,
        readers: &Readers,
        read: impl FnOnce(&mut Session) -> Result<T, Error> + Send + 'static,
    ) -> Result<Option<T>, Error> {
        let Some(path) = self.beside.clone() else { return readers.read(read).await.map(Some) };
        let reader = Arc::clone(&self.reader);
        let reading = tokio::task::spawn_blocking(move || {
            let mut reader = reader.lock().expect("nobody panics while holding it");
            if reader.is_none() {
                *reader = sqlite::open_requests_reader(&path)?;
            }
            let Some(session) = reader.as_mut() else { return Ok(None) };
            let outcome = read(session);
            finish(session.roll_back())?;
            outcome.map(Some)
        });
        reading.await.map_err(|_| Error::Closed)?
    }
}

impl Drop for RequestLog {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }

    /// Waits until there is something to do and it is time for it, or somebody asks.
    fn next(&self, patience: Duration) -> Work {
        let is_idle = |state: &mut State| !state.has_work() && !state.is_asked();
        let (state, _) = self
            .changed
            .wait_timeout_while(self.lock(), patience, is_idle)
            .expect("nobody panics while holding it");
        let gathers = |state: &mut State| {
            !state.is_asked() && state.has_work() && state.queue.len() < BATCH_MAX
        };
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, GATHERED_FOR, gathers)
            .expect("nobody panics while holding it");
        let count = state.queue.len().min(BATCH_MAX);
        let requests: Vec<_> = state.queue.drain(..count).collect();
        state.bytes -= requests.iter().map(Captured::bytes).sum::<usize>();
        let is_done = state.queue.is_empty();
        Work {
            requests,
            // After those that came before.
            lost: if is_done { std::mem::take(&mut state.lost) } else { BTreeMap::new() },
            waiting: if is_done { std::mem::take(&mut state.waiting) } else { Vec::new() },
            asked: std::mem::take(&mut state.asked),
            is_last: is_done && state.is_closing,
        }
    }

    /// Leaves the processor to others, unless somebody asks.
    fn rest(&self, after: Duration) {
        let rested = self.changed.wait_timeout_while(
            self.lock(),
            after * (WORKS_ONE_PART_IN - 1),
            |state| !state.is_asked(),
        );
        drop(rested.expect("nobody panics while holding it"));
    }
}

/// What is known of a client on this node.
#[derive(Default)]
struct Client {
    /// Since it was last kept.
    fresh: Known,
    /// What is kept, as far as this node knows.
    kept: Known,
    kept_at: Option<Instant>,
}

/// The thread that takes down.
struct Desk {
    shared: Arc<Shared>,
    writer: Writer,
    keeper: Keeper,
    /// The file beside an embedded database, and a connection to the database.
    log: Option<Session>,
    look: Option<Session>,
    /// The last place that was given.
    place: u64,
    clients: BTreeMap<DirectoryId, Client>,
}

/// A request that is to be kept.
struct Taken {
    place: u64,
    request_id: String,
    directory_id: DirectoryId,
    class: u64,
    begun_at: Timestamp,
    duration_us: u64,
    entry: String,
    record: Record,
}

impl Desk {
    fn work(mut self) {
        let mut outcome = Ok(());
        loop {
            let has_fresh = self.clients.values().any(|it| !it.fresh.is_empty());
            let patience = if has_fresh { CLIENT_KEPT_EVERY } else { Duration::from_hours(1) };
            let work = self.shared.next(patience);
            let begun = Instant::now();
            if let Err(error) = self.take_down(work.requests, work.lost) {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "requests were not taken down, and are counted as missing",
                );
                outcome = Err(error);
            }
            let is_asked = !work.waiting.is_empty() || work.is_last;
            if let Err(error) = self.keep_clients(is_asked) {
                if !matches!(error, Error::Closed) {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "what is known of a client was not kept, and is kept with what comes next",
                    );
                }
                outcome = Err(error);
            }
            for Asked(task) in work.asked {
                task(&mut self);
            }
            if !work.waiting.is_empty() {
                let mut told = Some(std::mem::replace(&mut outcome, Ok(())));
                for waiting in work.waiting {
                    // The first is told why, the others that it was not.
                    let _ = waiting.send(match &told {
                        Some(Ok(())) => Ok(()),
                        _ => told.take().unwrap_or(Err(Error::Closed)),
                    });
                }
            }
            if work.is_last {
                return;
            }
            self.shared.rest(begun.elapsed());
        }
    }

    /// Keeps requests, and that some are missing. Where that fails, they are missing too.
    fn take_down(
        &mut self,
        requests: Vec<Captured>,
        lost: BTreeMap<DirectoryId, Missing>,
    ) -> Result<(), Error> {
        let mut rows = Vec::with_capacity(requests.len() + lost.len());
        let mut missing = lost;
        for captured in requests {
            // Of a stranger it is asked whether there is such a directory. Where that cannot be said, the
            // others are taken down all the same.
            if captured.by.is_none() {
                match self.is_directory(captured.directory_id) {
                    Ok(true) => {}
                    Ok(false) => continue,
                    Err(error) => {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "a request without a credential was not taken down",
                        );
                        continue;
                    }
                }
            }
            let seen = captured.seen();
            let body = seen.body();
            self.observe(captured.directory_id, &seen, body.as_ref());
            let Some(policy) = captured.policy else { continue };
            let record = Record::of(&seen, body.as_ref(), policy);
            let spent = captured.answered_at.duration_since(captured.at).as_micros();
            rows.push(Taken {
                place: self.next_place(captured.answered_at),
                request_id: captured.request_id.to_string(),
                directory_id: captured.directory_id,
                class: class(&captured.method, captured.status),
                begun_at: captured.at,
                duration_us: u64::try_from(spent).unwrap_or(0),
                entry: serde_json::to_string(&record.entry).expect("an entry can be printed"),
                record,
            });
        }
        for (directory_id, it) in &missing {
            let lost = Lost { count: it.count, until: it.until.as_microsecond() };
            let entry = Entry { lost: Some(lost), ..Entry::default() };
            rows.push(Taken {
                place: self.next_place(it.until),
                request_id: it.request_id.to_string(),
                directory_id: *directory_id,
                class: GAP,
                begun_at: it.since,
                duration_us: 0,
                entry: serde_json::to_string(&entry).expect("an entry can be printed"),
                record: Record::default(),
            });
        }
        if rows.is_empty() {
            return Ok(());
        }
        let kept = self.keep(&mut rows);
        if kept.is_err() {
            for row in rows.iter().filter(|it| it.class > 0) {
                let it = Missing {
                    request_id: row.request_id.parse().expect("it is ours"),
                    since: row.begun_at,
                    until: row.begun_at,
                    count: 1,
                };
                missing.entry(row.directory_id).and_modify(|all| all.add(it)).or_insert(it);
            }
            let mut state = self.shared.lock();
            // Those who wait for the queue to be empty are told of this, and need not wait for more.
            for (id, it) in missing {
                state.lost.entry(id).and_modify(|all| all.add(it)).or_insert(it);
            }
        }
        kept
    }

    /// Each has a place of its own, in the order in which they were answered.
    fn next_place(&mut self, at: Timestamp) -> u64 {
        self.place = (self.place + 1).max(place(at));
        self.place
    }

    fn observe(&mut self, id: DirectoryId, seen: &Seen<'_>, body: Option<&serde_json::Value>) {
        if self.clients.len() >= CLIENTS_MAX && !self.clients.contains_key(&id) {
            self.clients.retain(|_, it| !it.fresh.is_empty());
        }
        self.clients.entry(id).or_default().fresh.observe(seen, body);
    }

    /// Keeps what is known of clients: at once where there is something new, or somebody asks.
    fn keep_clients(&mut self, is_asked: bool) -> Result<(), Error> {
        let now = Instant::now();
        let mut first_error = Ok(());
        for (id, client) in &mut self.clients {
            let is_due = client.kept_at.is_none_or(|at| now - at >= CLIENT_KEPT_EVERY);
            let is_news = client.fresh.has_news_for(&client.kept);
            if client.fresh.is_empty() || !(is_due || is_asked || is_news) {
                continue;
            }
            let fresh = client.fresh.take();
            match self.writer.act_now(Act::NoteClient(*id, Box::new(fresh.clone()))) {
                Ok(_) => {
                    client.kept.merge(&fresh);
                    client.kept_at = Some(now);
                }
                Err(error) => {
                    client.fresh.merge(&fresh);
                    first_error = first_error.and(Err(error));
                }
            }
        }
        first_error
    }

    fn session(&mut self) -> Result<&mut Session, Error> {
        match &mut self.keeper {
            Keeper::Within(session) => Ok(session),
            Keeper::Beside(path) => {
                let log = match self.log.take() {
                    Some(log) => log,
                    None => sqlite::open_requests(path)?,
                };
                Ok(self.log.insert(log))
            }
        }
    }

    /// Whether there is this directory: what a stranger says of it need not be true.
    fn is_directory(&mut self, id: DirectoryId) -> Result<bool, Error> {
        let session = match &mut self.keeper {
            Keeper::Within(session) => session,
            Keeper::Beside(path) => {
                let look = match self.look.take() {
                    Some(look) => look,
                    None => sqlite::open_reader(path)?,
                };
                self.look.insert(look)
            }
        };
        let found = finish(session.first(
            "looking for a directory",
            "select 1 from directories where directory_id = $1",
            &[Value::Text(&id.to_string())],
            |_| Ok(()),
        ))?;
        Ok(found.is_some())
    }

    fn keep(&mut self, rows: &mut [Taken]) -> Result<(), Error> {
        for _ in 0..3 {
            match self.keep_once(rows) {
                // Another node gave one of these places in the same microsecond.
                Err(error) if error.is_taken() => {
                    for row in rows.iter_mut() {
                        row.place += 7;
                    }
                    self.place += 7;
                }
                other => return other,
            }
        }
        self.keep_once(rows)
    }

    fn keep_once(&mut self, rows: &[Taken]) -> Result<(), Error> {
        let session = self.session()?;
        let kept = finish(async {
            session.begin()?;
            keep(session, rows).await?;
            session.commit().await
        });
        if kept.is_err() {
            // Why it was not kept is what matters.
            let _ = finish(session.roll_back());
        } else if let Err(error) = session.shorten_log() {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the file of requests was not tidied up",
            );
        }
        kept
    }

    /// Whether nothing was ever kept: then there is nothing to look through.
    fn is_empty(&self) -> bool {
        match (&self.keeper, &self.log) {
            (Keeper::Beside(path), None) => !sqlite::requests_path(path).exists(),
            _ => false,
        }
    }

    fn empty_log(&mut self) -> Result<bool, Error> {
        if self.is_empty() { Ok(true) } else { self.session()?.empty_log() }
    }

    fn scrub(&mut self, from: u32) -> Result<u32, Error> {
        if self.is_empty() { Ok(0) } else { self.session()?.scrub(from) }
    }

    fn erase(
        &mut self,
        id: ErasureId,
        of: DirectoryId,
        search: &Search,
        after: u64,
    ) -> Result<erasure::Requests, Error> {
        if self.is_empty() {
            return Ok(erasure::Requests { erased: 0, upto: None });
        }
        let session = self.session()?;
        let erased = finish(async {
            session.begin()?;
            let erased = erase(session, id, of, search, after).await?;
            session.commit().await?;
            Ok(erased)
        });
        if erased.is_err() {
            let _ = finish(session.roll_back());
        }
        erased
    }

    fn forget(&mut self, forget: Forget) -> Result<u64, Error> {
        if self.is_empty() {
            return Ok(0);
        }
        let session = self.session()?;
        let forgotten = finish(async {
            session.begin()?;
            let forgotten = let_go(session, forget).await?;
            session.commit().await?;
            Ok(forgotten)
        });
        if forgotten.is_err() {
            let _ = finish(session.roll_back());
        }
        forgotten
    }
}

async fn keep(session: &mut Session, rows: &[Taken]) -> Result<(), Error> {
    const REQUESTS: Many<7> = Many {
        doing: "taking requests down",
        sqlite: "insert into requests
                     (place, request_id, directory_id, class, begun_at, duration_us, entry)
                 values ($1, $2, $3, $4, $5, $6, $7)",
        postgres: "insert into requests
                       (place, request_id, directory_id, class, begun_at, duration_us, entry)
                   select * from unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[],
                                        $5::bigint[], $6::bigint[], $7::text[])",
    };
    const BODIES: Many<3> = Many {
        doing: "keeping bodies of requests",
        sqlite: "insert into request_bodies (place, request_body, answer_body) values ($1, $2, $3)",
        postgres: "insert into request_bodies (place, request_body, answer_body)
                   select * from unnest($1::bigint[], $2::text[], $3::text[])",
    };
    const SUBJECTS: Many<2> = Many {
        doing: "keeping whom requests were about",
        sqlite: "insert into request_subjects (subject, place) values ($1, $2)",
        postgres: "insert into request_subjects (subject, place)
                   select * from unnest($1::text[], $2::bigint[])",
    };
    let directories: Vec<String> = rows.iter().map(|row| row.directory_id.to_string()).collect();
    let requests: Vec<_> = rows
        .iter()
        .zip(&directories)
        .map(|(row, directory)| {
            [
                count(row.place),
                Value::Text(&row.request_id),
                Value::Text(directory),
                count(row.class),
                Value::Time(row.begun_at),
                count(row.duration_us),
                Value::Text(&row.entry),
            ]
        })
        .collect();
    session.run_each(&REQUESTS, &requests).await?;
    let bodies: Vec<_> = rows
        .iter()
        .filter(|row| row.record.request_body.is_some() || row.record.answer_body.is_some())
        .map(|row| {
            [
                count(row.place),
                Value::OptionalText(row.record.request_body.as_deref()),
                Value::OptionalText(row.record.answer_body.as_deref()),
            ]
        })
        .collect();
    session.run_each(&BODIES, &bodies).await?;
    let subjects: Vec<_> = rows
        .iter()
        .flat_map(|row| row.record.entry.subjects.iter().map(|it| (it, row.place)))
        .map(|(subject, place)| [Value::Text(subject), count(place)])
        .collect();
    session.run_each(&SUBJECTS, &subjects).await
}

/// Forgets whom requests were about.
const FORGET_SUBJECTS: Many<2> = Many {
    doing: "forgetting whom requests were about",
    sqlite: "delete from request_subjects where subject = $1 and place = $2",
    postgres: "delete from request_subjects s
               using unnest($1::text[], $2::bigint[]) as it (subject, place)
               where s.subject = it.subject and s.place = it.place",
};

/// Takes somebody out of some requests of a directory. What was taken out before the process ended in
/// the middle of it is counted too.
async fn erase(
    session: &mut Session,
    id: ErasureId,
    of: DirectoryId,
    search: &Search,
    after: u64,
) -> Result<erasure::Requests, Error> {
    const ENTRIES: Many<2> = Many {
        doing: "erasing somebody from requests",
        sqlite: "update requests set entry = $2 where place = $1",
        postgres: "update requests r set entry = it.entry
                   from unnest($1::bigint[], $2::text[]) as it (place, entry)
                   where r.place = it.place",
    };
    const BODIES: Many<1> = Many {
        doing: "erasing bodies of requests",
        sqlite: "delete from request_bodies where place = $1",
        postgres: "delete from request_bodies b using unnest($1::bigint[]) as it (place)
                   where b.place = it.place",
    };
    let sql = "select r.place, r.entry, b.request_body, b.answer_body
               from requests r left join request_bodies b on b.place = r.place
               where r.directory_id = $1 and r.place > $2 order by r.place limit $3";
    let values = [Value::Text(&of.to_string()), count(after), count(SEARCHED_AT_ONCE)];
    let read = |row: &Row<'_>| {
        let bodies = [row.optional_text(2)?, row.optional_text(3)?];
        Ok((row.number(0)?, read_entry(&row.text(1)?)?, bodies))
    };
    let found = session.all("looking for somebody in requests", sql, &values, read).await?;
    let upto = found.last().filter(|_| found.len() as u64 == SEARCHED_AT_ONCE).map(|it| it.0);
    let own = id.to_string();
    let (mut erased, mut left, mut subjects) = (0, Vec::new(), Vec::new());
    for (place, mut entry, bodies) in found {
        let is_about =
            entry.is_about(search) || bodies.iter().flatten().any(|body| search.finds(body));
        erased += u64::from(is_about || entry.erased_by.as_deref() == Some(own.as_str()));
        if is_about {
            let theirs = entry.subjects.iter().filter(|it| search.is_subject(it));
            subjects.extend(theirs.map(|it| (it.clone(), place)));
            entry.erase(id, search);
            left.push((place, serde_json::to_string(&entry).expect("an entry can be printed")));
        }
    }
    let entries: Vec<_> = left.iter().map(|(at, it)| [count(*at), Value::Text(it)]).collect();
    session.run_many(&ENTRIES, &entries).await?;
    let places: Vec<_> = left.iter().map(|(place, _)| [count(*place)]).collect();
    session.run_many(&BODIES, &places).await?;
    let subjects: Vec<_> =
        subjects.iter().map(|(it, place)| [Value::Text(it), count(*place)]).collect();
    session.run_many(&FORGET_SUBJECTS, &subjects).await?;
    Ok(erasure::Requests { erased, upto })
}

/// Lets the oldest go, a bounded number of them.
async fn let_go(session: &mut Session, forget: Forget) -> Result<u64, Error> {
    let (requests, bodies) = (place(forget.requests_before), place(forget.bodies_before));
    let gone = session
        .run(
            "letting bodies of old requests go",
            "delete from request_bodies where place in
                 (select place from request_bodies where place < $1 order by place limit $2)",
            &[count(bodies.max(requests)), count(FORGOTTEN_AT_ONCE)],
        )
        .await?;
    let old = session
        .all(
            "looking for old requests",
            "select place, entry from requests where place < $1 order by place limit $2",
            &[count(requests), count(FORGOTTEN_AT_ONCE)],
            |row| Ok((row.number(0)?, row.text(1)?)),
        )
        .await?;
    let Some((last, _)) = old.last() else { return Ok(gone as u64) };
    let last = *last;
    let entries: Vec<(u64, Entry)> = old
        .iter()
        .map(|(place, text)| Ok((*place, read_entry(text)?)))
        .collect::<Result<_, Error>>()?;
    let subjects: Vec<_> = entries
        .iter()
        .flat_map(|(place, entry)| entry.subjects.iter().map(|it| [Value::Text(it), count(*place)]))
        .collect();
    session.run_many(&FORGET_SUBJECTS, &subjects).await?;
    let values = [count(last)];
    session
        .run("letting old requests go", "delete from requests where place <= $1", &values)
        .await?;
    Ok(gone as u64 + old.len() as u64)
}

/// The first place of a moment.
fn place(at: Timestamp) -> u64 {
    u64::try_from(at.as_microsecond()).unwrap_or(0).saturating_mul(PLACES)
}

fn class(method: &str, status: u16) -> u64 {
    let number = METHODS.iter().position(|it| *it == method).unwrap_or(METHODS.len() - 1) + 1;
    number as u64 * 1_000 + u64::from(status)
}

fn read_entry(text: &str) -> Result<Entry, Error> {
    serde_json::from_str(text).map_err(|_| Error::Corrupt("an entry of the request log".to_owned()))
}

/// Which requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestFilter {
    /// Of this directory.
    pub directory_id: Option<DirectoryId>,
    /// Of the directories of this organization.
    pub organization_id: Option<OrganizationId>,
    /// About whomever has one of these names, which [`directory::requests::subject`] makes.
    pub subjects: Option<Vec<String>>,
    /// With this method.
    pub method: Option<String>,
    /// Answered with a status of these.
    pub status: Option<(u16, u16)>,
    /// Answered at this moment or later.
    pub since: Option<Timestamp>,
    /// Answered before this moment.
    pub until: Option<Timestamp>,
    /// Before this place: the `next` of the page before.
    pub before: Option<u64>,
}

/// Whom or what a request that is to be carried out again is meant to change, by the names that they may
/// be known by.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RerunTarget {
    /// Whether it is a group.
    pub is_group: bool,
    /// The id in its path.
    pub id: Option<String>,
    /// The `userName`, or the `displayName` of a group, of who is to be made.
    pub name: Option<String>,
    /// Their `externalId`.
    pub external_id: Option<String>,
}

/// Without the names: logs name nobody.
impl std::fmt::Debug for RerunTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RerunTarget").field("is_group", &self.is_group).finish_non_exhaustive()
    }
}

impl RerunTarget {
    /// Whoever has this id.
    pub fn by_id(is_group: bool, id: &str) -> RerunTarget {
        RerunTarget { is_group, id: Some(id.to_owned()), ..RerunTarget::default() }
    }
}

/// A request that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestRecord {
    /// Its place among all.
    pub place: u64,
    /// Its name.
    pub request_id: String,
    /// Of which directory.
    pub directory_id: DirectoryId,
    /// Whose directory.
    pub organization_id: OrganizationId,
    /// How it was answered; 0 where some were not taken down.
    pub status: u16,
    /// When it came.
    pub begun_at: Timestamp,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// The rest.
    pub entry: Entry,
}

/// A request with its bodies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WholeRequest {
    /// The request.
    pub record: RequestRecord,
    /// Its body, where it is kept.
    pub request_body: Option<String>,
    /// That of its answer, where it is kept.
    pub answer_body: Option<String>,
}

/// Requests of one minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MinuteOfRequests {
    /// All of them.
    pub all: u64,
    /// Those that were answered with an error.
    pub failed: u64,
}

/// Places of a minute.
const PLACES_OF_MINUTE: u64 = 60_000_000 * PLACES;

/// Requests that are counted at once: some hundredths of a second.
const COUNTED_MAX: u64 = 50_000;

/// Some requests, the newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestPage {
    /// These.
    pub requests: Vec<RequestRecord>,
    /// From where there may be more.
    pub next: Option<u64>,
}

/// Requests that are looked at for one page, where a name alone does not say whether they are meant.
const LOOKED_AT: u64 = 5_000;

macro_rules! requests_sql {
    ($which:literal) => {
        concat!(
            "select r.place, r.request_id, r.directory_id, d.organization_id, r.class, r.begun_at,
                    r.duration_us, r.entry
             from requests r join directories d on d.directory_id = r.directory_id ",
            $which
        )
    };
}

impl ApiStore {
    /// Requests that are meant, and that the key may know of, the newest first.
    pub async fn requests(
        &self,
        mut filter: RequestFilter,
        count_max: u64,
    ) -> Result<RequestPage, Error> {
        filter.organization_id = self.bound_to().or(filter.organization_id);
        let log = &self.inner().requests;
        log.keep().await?;
        let read = move |session: &mut Session| finish(page(session, &filter, count_max));
        let found = log.read(&self.inner().readers, read).await?;
        Ok(found.unwrap_or(RequestPage { requests: Vec::new(), next: None }))
    }

    /// A request by its name, with its bodies.
    pub async fn request(&self, id: RequestId) -> Result<Option<WholeRequest>, Error> {
        let log = &self.inner().requests;
        log.keep().await?;
        let read = move |session: &mut Session| finish(one(session, &id.to_string()));
        let found = log.read(&self.inner().readers, read).await?.flatten();
        let own = self.bound_to();
        Ok(found.filter(|it| own.is_none_or(|own| own == it.record.organization_id)))
    }

    /// The latest request since a place that has changed one of these, by its name: of a provider, or
    /// one that was carried out once more.
    pub async fn changed_since(
        &self,
        directory_id: DirectoryId,
        targets: Vec<String>,
        place: u64,
    ) -> Result<Option<String>, Error> {
        let filter = RequestFilter {
            directory_id: Some(directory_id),
            subjects: Some(targets),
            ..RequestFilter::default()
        };
        let since = move |session: &mut Session| {
            finish(async {
                let rows = about(session, &filter, u64::MAX, place + 1, LOOKED_AT).await?;
                let is_change = |it: &&RequestRecord| {
                    let method = it.entry.method.as_str();
                    it.status < 400
                        && !matches!(method, "GET" | "HEAD" | "OPTIONS")
                        && !it.entry.path.ends_with("/.search")
                        && it.entry.lost.is_none()
                        && it.directory_id == directory_id
                };
                Ok(rows.iter().find(is_change).map(|it| it.request_id.clone()))
            })
        };
        let log = &self.inner().requests;
        log.keep().await?;
        Ok(log.read(&self.inner().readers, since).await?.flatten())
    }

    /// Whether whoever a request was meant to change was changed since a moment, or deactivated or
    /// deleted, by whatever it was: by somebody of the vendor's, or by a request that named them
    /// otherwise, or was not taken down.
    pub async fn is_other_since(
        &self,
        directory_id: DirectoryId,
        target: RerunTarget,
        since: Timestamp,
    ) -> Result<bool, Error> {
        let look = move |session: &mut Session| {
            finish(async {
                const DOING: &str = "looking whether somebody was changed since";
                let directory = directory_id.to_string();
                let RerunTarget { is_group, id, name, external_id } = &target;
                let name = name.as_deref().map(|name| fold(name).into_owned());
                let values = [
                    Value::Text(&directory),
                    Value::Text(id.as_deref().unwrap_or_default()),
                    Value::Key(name.as_deref().unwrap_or_default()),
                    Value::Text(external_id.as_deref().unwrap_or_default()),
                    Value::Time(since),
                ];
                let changed = if *is_group {
                    "select 1 from groups
                     where directory_id = $1 and modified_at >= $5
                         and (group_id = $2 or display_name_key = $3
                              or (external_id = $4 and external_id <> ''))
                     limit 1"
                } else {
                    "select 1 from (
                         select 1 from users
                         where directory_id = $1 and modified_at >= $5
                             and (user_id = $2 or user_name_key = $3
                                  or (external_id = $4 and external_id <> ''))
                         union all
                         select 1 from former_users
                         where directory_id = $1 and deleted_at >= $5
                             and (user_id = $2 or user_name_key = $3
                                  or (external_id = $4 and external_id <> ''))
                     ) since_ limit 1"
                };
                Ok(session.first(DOING, changed, &values, |_| Ok(())).await?.is_some())
            })
        };
        self.inner().readers.read(look).await
    }

    /// How many requests were answered in each of the minutes before a moment, the latest last; of one
    /// directory, or of all. No more than so many are looked at, the latest first; of minutes that were not
    /// come to, nothing is known.
    pub async fn requests_by_minute(
        &self,
        of: Option<DirectoryId>,
        until: Timestamp,
        minutes: usize,
    ) -> Result<Vec<Option<MinuteOfRequests>>, Error> {
        let log = &self.inner().requests;
        log.keep().await?;
        let last = place(until) / PLACES_OF_MINUTE;
        let first = last.saturating_sub(minutes.saturating_sub(1) as u64);
        let read = move |session: &mut Session| {
            macro_rules! counting {
                ($which:literal) => {
                    concat!(
                        "select place / $3, count(*),
                                sum(case when class % 1000 >= 400 then 1 else 0 end)
                         from (select place, class from requests where ",
                        $which,
                        " place >= $1 order by place desc limit $2) it
                         group by 1"
                    )
                };
            }
            let directory = of.map(|it| it.to_string());
            let mut values =
                vec![count(first * PLACES_OF_MINUTE), count(COUNTED_MAX), count(PLACES_OF_MINUTE)];
            let sql = match &directory {
                None => counting!(""),
                Some(directory) => {
                    values.push(Value::Text(directory));
                    counting!("directory_id = $4 and")
                }
            };
            finish(session.all("counting requests", sql, &values, |row| {
                let minute = MinuteOfRequests { all: row.number(1)?, failed: row.number(2)? };
                Ok((row.number(0)?, minute))
            }))
        };
        let found = log.read(&self.inner().readers, read).await?.unwrap_or_default();
        let counted: u64 = found.iter().map(|(_, it)| it.all).sum();
        // Where there were more, the earliest minute was not counted to its beginning.
        let known_from = match found.iter().map(|(minute, _)| *minute).min() {
            Some(earliest) if counted == COUNTED_MAX => earliest + 1,
            _ => first,
        };
        let of = |minute: u64| {
            let found = found.iter().find(|(at, _)| *at == minute).map(|(_, it)| *it);
            (minute >= known_from).then(|| found.unwrap_or_default())
        };
        Ok((first..=last).map(of).collect())
    }

    /// What is known of whoever speaks to a directory.
    pub async fn speaker(&self, directory_id: DirectoryId) -> Result<Known, Error> {
        self.find(directory_id).await?;
        self.inner().requests.keep().await?;
        let read = move |session: &mut Session| finish(client(session, directory_id));
        Ok(self.inner().readers.read(read).await?.unwrap_or_default())
    }
}

impl crate::Access {
    /// Takes a request down that was answered. Waits for nothing.
    pub fn note_request(&self, captured: Captured) {
        self.inner().requests.note(captured);
    }
}

/// Keeps what is known of a client, beside what was known before.
pub(crate) async fn note_client(
    session: &mut Session,
    id: DirectoryId,
    fresh: &Known,
    now: Timestamp,
) -> Result<(), Error> {
    let directory = id.to_string();
    if session.engine() == Engine::Postgres {
        // Of several nodes one adds after the other.
        let sql = "select 1 from directories where directory_id = $1 for share";
        session
            .first("looking for a directory", sql, &[Value::Text(&directory)], |_| Ok(()))
            .await?;
        let sql = "select known from directory_clients where directory_id = $1 for update";
        session.first("holding a client", sql, &[Value::Text(&directory)], |_| Ok(())).await?;
    }
    let mut known = client(session, id).await?.unwrap_or_default();
    known.merge(fresh);
    let text = serde_json::to_string(&known).expect("what is known can be printed");
    session
        .run(
            "keeping what is known of a client",
            "insert into directory_clients (directory_id, known, modified_at)
             select directory_id, $2, $3 from directories where directory_id = $1
             on conflict (directory_id) do update
             set known = excluded.known, modified_at = excluded.modified_at",
            &[Value::Text(&directory), Value::Text(&text), Value::Time(now)],
        )
        .await?;
    Ok(())
}

async fn client(session: &mut Session, id: DirectoryId) -> Result<Option<Known>, Error> {
    let found = session
        .first(
            "loading what is known of a client",
            "select known from directory_clients where directory_id = $1",
            &[Value::Text(&id.to_string())],
            |row| row.text(0),
        )
        .await?;
    let read = |text: String| {
        serde_json::from_str(&text).map_err(|_| Error::Corrupt("a known client".to_owned()))
    };
    found.map(read).transpose()
}

async fn one(session: &mut Session, id: &str) -> Result<Option<WholeRequest>, Error> {
    let sql = requests_sql!("where r.request_id = $1 order by r.place desc limit 1");
    let found = session.first("looking for a request", sql, &[Value::Text(id)], record).await?;
    let Some(record) = found else { return Ok(None) };
    let bodies = session
        .first(
            "loading the bodies of a request",
            "select request_body, answer_body from request_bodies where place = $1",
            &[count(record.place)],
            |row| Ok((row.optional_text(0)?, row.optional_text(1)?)),
        )
        .await?;
    let (request_body, answer_body) = bodies.unwrap_or_default();
    Ok(Some(WholeRequest { record, request_body, answer_body }))
}

async fn page(
    session: &mut Session,
    filter: &RequestFilter,
    count_max: u64,
) -> Result<RequestPage, Error> {
    session.begin_reading()?;
    let end = filter.until.map_or(u64::MAX, place).min(filter.before.unwrap_or(u64::MAX));
    let begin = filter.since.map_or(0, place);
    let one_more = count_max.saturating_add(1);
    let directories = match (filter.directory_id, filter.organization_id) {
        (None, None) => None,
        (directory, organization) => Some(directories(session, directory, organization).await?),
    };
    let classes = classes(filter);
    let mut next = None;
    let mut found = if filter.subjects.is_some() {
        let looked_at = about(session, filter, end, begin, LOOKED_AT).await?;
        if looked_at.len() as u64 >= LOOKED_AT {
            next = looked_at.last().map(|it| it.place);
        }
        let is_meant = |it: &RequestRecord| {
            directories.as_ref().is_none_or(|of| of.contains(&it.directory_id.to_string()))
                && classes
                    .as_ref()
                    .is_none_or(|of| of.contains(&class(&it.entry.method, it.status)))
        };
        let mut found: Vec<_> = looked_at.into_iter().filter(is_meant).collect();
        // Whom those were about that are missing, nobody knows.
        let begin = begin.max(next.unwrap_or(0));
        for directory in options(directories.as_deref()) {
            found.extend(some(session, directory, Some(&GAP), [end, begin, one_more]).await?);
        }
        found
    } else {
        let mut found = Vec::new();
        for directory in options(directories.as_deref()) {
            for class in options(classes.as_deref()) {
                found.extend(some(session, directory, class, [end, begin, one_more]).await?);
            }
        }
        found
    };
    found.sort_by_key(|it| Reverse(it.place));
    found.dedup_by_key(|it| it.place);
    let limit = usize::try_from(count_max).unwrap_or(usize::MAX);
    if found.len() > limit {
        found.truncate(limit);
        next = found.last().map(|it| it.place);
    }
    Ok(RequestPage { requests: found, next })
}

/// Each of them; where nobody says, none in particular.
fn options<T>(of: Option<&[T]>) -> Vec<Option<&T>> {
    of.map_or_else(|| vec![None], |of| of.iter().map(Some).collect())
}

/// The directories that are meant, also those that were deleted.
async fn directories(
    session: &mut Session,
    directory: Option<DirectoryId>,
    organization: Option<OrganizationId>,
) -> Result<Vec<String>, Error> {
    let directory = directory.map(|id| id.to_string());
    let organization = organization.map(|id| id.to_string());
    session
        .all(
            "looking for directories",
            "select directory_id from directories
             where (cast($1 as text) is null or directory_id = $1)
                 and (cast($2 as text) is null or organization_id = $2)
             order by directory_id",
            &[
                Value::OptionalText(directory.as_deref()),
                Value::OptionalText(organization.as_deref()),
            ],
            |row| row.text(0),
        )
        .await
}

/// The class of what stands for requests that are missing.
const GAP: u64 = 0;

/// The classes of the methods and statuses that are meant. Among those that are missing there may be some
/// of any: a list that says nothing of them would say that there were none.
fn classes(filter: &RequestFilter) -> Option<Vec<u64>> {
    if filter.method.is_none() && filter.status.is_none() {
        return None;
    }
    let methods = METHODS.iter().filter(|it| filter.method.as_deref().is_none_or(|of| of == **it));
    let of_method = |method: &&str| {
        let statuses = STATUSES
            .iter()
            .filter(|it| filter.status.is_none_or(|(first, last)| (first..=last).contains(it)));
        statuses.map(|status| class(method, *status)).collect::<Vec<_>>()
    };
    Some(methods.flat_map(of_method).chain([GAP]).collect())
}

async fn some(
    session: &mut Session,
    directory: Option<&String>,
    class: Option<&u64>,
    [end, begin, limit]: [u64; 3],
) -> Result<Vec<RequestRecord>, Error> {
    let within = [count(end), count(begin), count(limit)];
    let (sql, more) = match (directory, class) {
        (None, None) => (
            requests_sql!("where r.place < $1 and r.place >= $2 order by r.place desc limit $3"),
            Vec::new(),
        ),
        (Some(directory), None) => (
            requests_sql!(
                "where r.place < $1 and r.place >= $2 and r.directory_id = $4
                 order by r.place desc limit $3"
            ),
            vec![Value::Text(directory)],
        ),
        (None, Some(class)) => (
            requests_sql!(
                "where r.place < $1 and r.place >= $2 and r.class = $4
                 order by r.place desc limit $3"
            ),
            vec![count(*class)],
        ),
        (Some(directory), Some(class)) => (
            requests_sql!(
                "where r.place < $1 and r.place >= $2 and r.directory_id = $4 and r.class = $5
                 order by r.place desc limit $3"
            ),
            vec![Value::Text(directory), count(*class)],
        ),
    };
    let values: Vec<_> = within.into_iter().chain(more).collect();
    session.all("reading requests", sql, &values, record).await
}

/// Requests about whomever is meant, the newest first.
async fn about(
    session: &mut Session,
    filter: &RequestFilter,
    end: u64,
    begin: u64,
    limit: u64,
) -> Result<Vec<RequestRecord>, Error> {
    let mut found = Vec::new();
    for subject in filter.subjects.iter().flatten() {
        let sql = "select r.place, r.request_id, r.directory_id, d.organization_id, r.class,
                          r.begun_at, r.duration_us, r.entry
                   from (select place from request_subjects
                         where subject = $1 and place < $2 and place >= $3
                         order by place desc limit $4) s
                       join requests r on r.place = s.place
                       join directories d on d.directory_id = r.directory_id
                   order by r.place desc";
        let values = [Value::Text(subject), count(end), count(begin), count(limit)];
        found.extend(
            session.all("looking for requests about somebody", sql, &values, record).await?,
        );
    }
    found.sort_by_key(|it: &RequestRecord| Reverse(it.place));
    found.dedup_by_key(|it| it.place);
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(found)
}

fn record(row: &Row<'_>) -> Result<RequestRecord, Error> {
    Ok(RequestRecord {
        place: row.number(0)?,
        request_id: row.text(1)?,
        directory_id: row.parsed(2)?,
        organization_id: row.parsed(3)?,
        status: u16::try_from(row.number(4)? % 1_000).expect("it is below a thousand"),
        begun_at: row.time(5)?,
        duration_us: row.number(6)?,
        entry: read_entry(&row.text(7)?)?,
    })
}
