//! Identity providers that somebody plays on a page: what can be done with one, what is to be seen of it,
//! and those that run.
//!
//! This room knows no provider: it would know both sides. The front door hands in a [`Simulators`], and
//! what that makes speaks to this server over HTTP, as a provider does.
//!
//! A simulation lives in the memory of one server, and ends when nobody has done anything with it for
//! half an hour, when somebody ends it, or with the server.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use directory::{DirectoryId, OrganizationId};
use jiff::Timestamp;
use store::{Cursor, EventRecord};
use tokio::sync::{mpsc, oneshot, watch};

/// Simulations at once: each has a few hundred kilobytes, and requests of its own.
pub(crate) const SIMULATIONS_MAX: usize = 5;

/// After how long without anything done a simulation ends.
const IDLE: Duration = Duration::from_mins(30);

/// What is done while what was done before is still being sent.
const ACTS_WAITING_MAX: usize = 8;

/// Events of a simulation that are shown: the latest.
pub(crate) const EVENTS_MAX: usize = 40;

/// Where providers come from.
pub trait Simulators: Send + Sync {
    /// The kinds of app that can be played.
    fn kinds(&self) -> Vec<Kind>;

    /// A provider with nobody in it that was given an address and a token, or why there is none.
    fn begin(&self, app: App) -> Result<Box<dyn Simulated>, String>;
}

/// A kind of app: which dialect a provider speaks.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// By which it is chosen.
    pub name: &'static str,
    /// As somebody calls it.
    pub title: &'static str,
}

/// What an admin types into a provider.
#[derive(Clone)]
pub struct App {
    /// One of [`Simulators::kinds`].
    pub kind: String,
    /// The base URL, as it was typed.
    pub base_url: String,
    /// Its path: where that is on this server.
    pub path: String,
    /// The token, word for word.
    pub token: String,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the token.
        f.debug_struct("App")
            .field("kind", &self.kind)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// A provider that is played.
pub trait Simulated: Send {
    /// Somebody does something, or cannot, and why.
    fn perform(&mut self, act: Act) -> Result<(), String>;

    /// Sends the next request and takes its answer; says whether there was one to be sent.
    fn exchange(&mut self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>>;

    /// How it is now.
    fn picture(&self) -> Picture;
}

/// What somebody does, as an admin of the provider. People and groups go by their place in the
/// [`Picture`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// *Test API Credentials*.
    TestCredentials,
    /// Other credentials are typed in.
    EnterToken(String),
    /// Somebody joins.
    AddPerson(Profile),
    /// A profile is edited.
    Edit(usize, Profile),
    /// Somebody is assigned to the app.
    Assign(usize),
    /// The assignment is taken away.
    Unassign(usize),
    /// Somebody is suspended, which sends nothing.
    Suspend(usize),
    /// The suspension ends, which sends nothing.
    Unsuspend(usize),
    /// Somebody leaves.
    Deactivate(usize),
    /// Somebody who left is activated and assigned again.
    BringBack(usize),
    /// A group is made.
    AddGroup(String),
    /// A group is assigned to the app, and its people with it.
    AssignGroup(usize),
    /// A group is pushed with its members, or by its name alone.
    Push {
        /// Which.
        group: usize,
        /// Whether memberships are pushed at once.
        memberships: bool,
    },
    /// *Push now*: all members are written.
    PushNow(usize),
    /// A group is called otherwise.
    Rename(usize, String),
    /// These are the group's people from now on.
    SetMembers(usize, Vec<usize>),
    /// The push of a group is deactivated.
    StopPush(usize),
    /// It is activated again.
    ResumePush(usize),
    /// The push of a group ends.
    Unlink {
        /// Which.
        group: usize,
        /// Whether it is deleted in the app.
        delete: bool,
    },
    /// *Import now*.
    Import,
    /// *Retry selected*, for everything that failed.
    Retry,
    /// The answer to the next request is lost on its way.
    LoseAnswer,
}

/// What is known of somebody. Empty is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// `userName`.
    pub user_name: String,
    /// `name.givenName`.
    pub given_name: String,
    /// `name.familyName`.
    pub family_name: String,
    /// `title`.
    pub title: String,
    /// `department`.
    pub department: String,
    /// `userType`.
    pub user_type: String,
}

/// How a provider is.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    /// Everybody in it.
    pub people: Vec<Person>,
    /// Its groups.
    pub groups: Vec<Group>,
    /// What was done, with what followed; the latest first.
    pub steps: VecDeque<Step>,
    /// What failed and waits to be tried again, as the provider says it.
    pub failed: Vec<String>,
    /// Whether something is still to be sent.
    pub is_busy: bool,
    /// Whether the next answer is to be lost.
    pub loses_answer: bool,
}

/// Somebody in a provider.
#[derive(Clone, Debug)]
pub struct Person {
    /// What is known of them.
    pub profile: Profile,
    /// In the provider.
    pub standing: Standing,
    /// In the app.
    pub account: Account,
    /// The server's id of them.
    pub id: Option<String>,
}

/// How somebody stands in a provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// They may sign in.
    #[default]
    Active,
    /// They may not for a while; apps are not told.
    Suspended,
    /// They have left.
    Deactivated,
}

/// How somebody stands with the app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Account {
    /// Not assigned.
    #[default]
    None,
    /// Assigned, and not there yet.
    Pending,
    /// There.
    Assigned,
    /// Assigned no more.
    Unassigned,
    /// Assigned, and it failed.
    Failed,
}

/// A group of a provider.
#[derive(Clone, Debug)]
pub struct Group {
    /// What it is called.
    pub name: String,
    /// Who belongs to it: places among the people.
    pub members: Vec<usize>,
    /// Whether it is assigned to the app.
    pub is_assigned: bool,
    /// Whether it is pushed.
    pub push: Push,
}

/// How a group stands with the app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Push {
    /// Not pushed.
    #[default]
    None,
    /// Pushed.
    Active,
    /// Pushed once, and not now.
    Stopped,
    /// It failed.
    Failed,
}

/// Something that was done, with what followed.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// Counted from 1.
    pub number: u64,
    /// What was done, as a sentence.
    pub sentence: String,
    /// What was sent, in order; of many, the latest.
    pub exchanges: VecDeque<Exchange>,
    /// How many there were.
    pub exchange_count: usize,
    /// What the provider shows its admin.
    pub said: Vec<String>,
    /// What should be known about it.
    pub notes: Vec<String>,
}

/// A request and its answer.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Counted from 1 over the whole simulation.
    pub number: u32,
    /// `POST`.
    pub method: &'static str,
    /// What follows the base URL, decoded.
    pub path: String,
    /// What was sent.
    pub body: Option<String>,
    /// How it was answered, or why there is no answer.
    pub status: Result<u16, String>,
    /// What was answered.
    pub answer: Option<String>,
    /// The name of the request in the request log.
    pub request_id: Option<String>,
    /// How long it took.
    pub milliseconds: u64,
    /// What the provider makes of it.
    pub verdict: &'static str,
    /// What should be known about it.
    pub findings: Vec<String>,
}

impl Exchange {
    /// Whether the provider was content.
    pub(crate) fn is_good(&self) -> bool {
        matches!(self.status, Ok(status) if status < 400)
    }
}

/// Those that run.
#[derive(Default)]
pub(crate) struct Simulations {
    source: OnceLock<Arc<dyn Simulators>>,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    by_number: BTreeMap<u64, Arc<Simulation>>,
    /// How many have begun.
    begun: u64,
    is_stopping: bool,
}

/// One that runs.
pub(crate) struct Simulation {
    pub(crate) number: u64,
    pub(crate) about: About,
    pub(crate) begun_at: Timestamp,
    acts: mpsc::Sender<(Act, oneshot::Sender<Result<(), String>>)>,
    picture: watch::Receiver<Arc<Picture>>,
    /// What the app has heard since, and up to where.
    pub(crate) heard: tokio::sync::Mutex<Heard>,
}

/// What a simulation is about.
#[derive(Clone, Debug)]
pub(crate) struct About {
    /// Of the app.
    pub(crate) kind: Kind,
    pub(crate) base_url: String,
    /// Which directory it speaks to, with its name and whose it is, where that is known.
    pub(crate) directory: Option<Spoken>,
    /// Who began it.
    pub(crate) begun_by: String,
}

/// A directory that a simulation speaks to.
#[derive(Clone, Debug)]
pub(crate) struct Spoken {
    pub(crate) id: DirectoryId,
    pub(crate) name: String,
    pub(crate) organization_id: OrganizationId,
    pub(crate) organization: String,
}

/// What the app has heard.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) cursor: Cursor,
    /// The latest first.
    pub(crate) events: VecDeque<EventRecord>,
}

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotDone {
    /// It has ended.
    Ended,
    /// Too much waits to be done.
    Busy,
    /// It cannot be, and why.
    Wrong(String),
}

/// Why no simulation begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotBegun {
    /// As many run as may.
    Full,
    /// What was typed is not right, and why.
    Wrong(String),
}

impl Simulations {
    /// From now on there are providers to play.
    pub(crate) fn supply(&self, source: Arc<dyn Simulators>) {
        // Who comes second changes nothing.
        let _ = self.source.set(source);
    }

    /// The kinds of app; none where this server has no provider to play.
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        self.source.get().map(|source| source.kinds()).unwrap_or_default()
    }

    /// Whether one more may begin.
    pub(crate) fn has_room(&self) -> bool {
        let running = self.lock();
        !running.is_stopping && running.by_number.len() < SIMULATIONS_MAX
    }

    /// Begins one, and says its number.
    pub(crate) fn begin(
        self: &Arc<Simulations>,
        app: App,
        about: About,
        begun_at: Timestamp,
    ) -> Result<u64, NotBegun> {
        let source = self.source.get().ok_or(NotBegun::Full)?;
        let simulated = source.begin(app).map_err(NotBegun::Wrong)?;
        let mut running = self.lock();
        if running.is_stopping || running.by_number.len() >= SIMULATIONS_MAX {
            return Err(NotBegun::Full);
        }
        running.begun += 1;
        let number = running.begun;
        let (acts, to_do) = mpsc::channel(ACTS_WAITING_MAX);
        let (paint, picture) = watch::channel(Arc::new(simulated.picture()));
        let heard = Heard { cursor: Cursor::presented(Cursor::END), events: VecDeque::new() };
        let heard = tokio::sync::Mutex::new(heard);
        let simulation = Simulation { number, about, begun_at, acts, picture, heard };
        running.by_number.insert(number, Arc::new(simulation));
        let simulations = Arc::clone(self);
        tokio::spawn(async move {
            play(simulated, to_do, paint).await;
            simulations.end(number);
        });
        Ok(number)
    }

    /// One that runs.
    pub(crate) fn get(&self, number: u64) -> Option<Arc<Simulation>> {
        self.lock().by_number.get(&number).cloned()
    }

    /// All that run, in the order in which they began.
    pub(crate) fn all(&self) -> Vec<Arc<Simulation>> {
        self.lock().by_number.values().cloned().collect()
    }

    /// Ends one: what it has begun to send is still answered.
    pub(crate) fn end(&self, number: u64) {
        self.lock().by_number.remove(&number);
    }

    /// Ends all: the server is to stop.
    pub(crate) fn stop(&self) {
        let mut running = self.lock();
        running.is_stopping = true;
        running.by_number.clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Simulation {
    /// How it is now.
    pub(crate) fn picture(&self) -> Arc<Picture> {
        Arc::clone(&self.picture.borrow())
    }

    /// Has something done, and waits for a while until what follows was sent.
    pub(crate) async fn perform(&self, act: Act, patience: Duration) -> Result<(), NotDone> {
        let (done, is_done) = oneshot::channel();
        self.acts.try_send((act, done)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NotDone::Busy,
            mpsc::error::TrySendError::Closed(_) => NotDone::Ended,
        })?;
        let mut picture = self.picture.clone();
        let waiting = async {
            is_done.await.map_err(|_| NotDone::Ended)?.map_err(NotDone::Wrong)?;
            let _ = picture.wait_for(|it| !it.is_busy).await;
            Ok(())
        };
        // What takes longer goes on, and the page shows how far it is.
        tokio::time::timeout(patience, waiting).await.unwrap_or(Ok(()))
    }

    /// Waits until there is something new to be seen of it, or as long as this; says whether it goes on.
    pub(crate) async fn wait(&self, seen: &Arc<Picture>, patience: Duration) -> bool {
        let mut picture = self.picture.clone();
        let changed = picture.wait_for(|it| !Arc::ptr_eq(it, seen));
        !matches!(tokio::time::timeout(patience, changed).await, Ok(Err(_)))
    }
}

/// Does what is to be done, one after the other, until nobody does anything any more.
async fn play(
    mut simulated: Box<dyn Simulated>,
    mut to_do: mpsc::Receiver<(Act, oneshot::Sender<Result<(), String>>)>,
    paint: watch::Sender<Arc<Picture>>,
) {
    while let Ok(Some((act, done))) = tokio::time::timeout(IDLE, to_do.recv()).await {
        let performed = simulated.perform(act);
        paint.send_replace(Arc::new(simulated.picture()));
        // Nobody may wait for it any more.
        let _ = done.send(performed);
        loop {
            let has_sent = simulated.exchange().await;
            paint.send_replace(Arc::new(simulated.picture()));
            if !has_sent {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A provider that does what it is told, and counts.
    struct Counting(Picture, u64);

    impl Simulated for Counting {
        fn perform(&mut self, act: Act) -> Result<(), String> {
            match act {
                Act::AddGroup(name) if name.is_empty() => Err("it has no name".to_owned()),
                _ => {
                    self.1 += 2;
                    self.0.is_busy = true;
                    Ok(())
                }
            }
        }

        fn exchange(&mut self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
            Box::pin(async {
                self.0.is_busy = self.1 > 0;
                if self.1 == 0 {
                    return false;
                }
                self.1 -= 1;
                let number = self.0.steps.len() as u64 + 1;
                self.0.steps.push_front(Step { number, ..Step::default() });
                true
            })
        }

        fn picture(&self) -> Picture {
            self.0.clone()
        }
    }

    struct Source;

    impl Simulators for Source {
        fn kinds(&self) -> Vec<Kind> {
            vec![Kind { name: "counting", title: "Counts" }]
        }

        fn begin(&self, app: App) -> Result<Box<dyn Simulated>, String> {
            if app.token.is_empty() {
                return Err("no token".to_owned());
            }
            Ok(Box::new(Counting(Picture::default(), 0)))
        }
    }

    fn begin(simulations: &Arc<Simulations>, token: &str) -> Result<u64, NotBegun> {
        let kind = Kind { name: "counting", title: "Counts" };
        let about =
            About { kind, base_url: String::new(), directory: None, begun_by: "Ana".to_owned() };
        let app = App {
            kind: "counting".to_owned(),
            base_url: String::new(),
            path: String::new(),
            token: token.to_owned(),
        };
        simulations.begin(app, about, Timestamp::UNIX_EPOCH)
    }

    fn supplied() -> Arc<Simulations> {
        let simulations = Arc::<Simulations>::default();
        assert_eq!(begin(&simulations, "t"), Err(NotBegun::Full));
        simulations.supply(Arc::new(Source));
        simulations
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_done_is_sent_before_its_page_is_shown() {
        let simulations = supplied();
        assert_eq!(begin(&simulations, ""), Err(NotBegun::Wrong("no token".to_owned())));
        let number = begin(&simulations, "t").unwrap();
        let simulation = simulations.get(number).unwrap();
        let before = simulation.picture();
        let patience = Duration::from_secs(3);
        simulation.perform(Act::Import, patience).await.unwrap();
        assert_eq!(simulation.picture().steps.len(), 2);
        assert!(!simulation.picture().is_busy);
        assert!(simulation.wait(&before, patience).await);
        let wrong = simulation.perform(Act::AddGroup(String::new()), patience).await;
        assert_eq!(wrong, Err(NotDone::Wrong("it has no name".to_owned())));
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_a_few_at_once_and_idle_ones_end() {
        let simulations = supplied();
        for expected in 1..=SIMULATIONS_MAX as u64 {
            assert_eq!(begin(&simulations, "t"), Ok(expected));
        }
        assert!(!simulations.has_room());
        assert_eq!(begin(&simulations, "t"), Err(NotBegun::Full));
        simulations.end(2);
        assert_eq!(begin(&simulations, "t"), Ok(6));
        let (busy, patience) = (simulations.get(3).unwrap(), Duration::from_secs(3));
        tokio::time::sleep(IDLE / 2).await;
        busy.perform(Act::Import, patience).await.unwrap();
        tokio::time::sleep(IDLE / 2 + patience).await;
        let numbers: Vec<_> = simulations.all().iter().map(|it| it.number).collect();
        assert_eq!(numbers, [3]);
        simulations.stop();
        assert!(simulations.get(3).is_none());
        assert_eq!(begin(&simulations, "t"), Err(NotBegun::Full));
    }
}
