//! Webhook endpoints, how far each has come in the feed, and what is on its way to them.
//!
//! Nothing is written for an event and an endpoint when the event is kept: whoever brings events
//! follows the feed for each endpoint, and moves its place only past what was delivered or has a row
//! of its own, in one transaction with these rows. One node at a time does so for an endpoint. It
//! holds the endpoint for a while and says so again and again; each time it writes, it shows the
//! epoch in which it took it, so that a node that slept cannot act on what another has taken over.
//!
//! An endpoint that is deleted may leave many deliveries behind, which go a few at a time. Until then its
//! row has no address any more, and nobody sees it.

use std::sync::Arc;

use directory::audit::{Action, of_webhook, shown_url};
use directory::webhook::{
    DisabledReason, ENDPOINTS_MAX, Filter, SECRETS_MAX, SigningSecret, endpoint_disabled,
};
use directory::{
    Cause, DeliveryId, DirectoryId, EndpointId, EventId, Guarded, Moment, OrganizationId,
    Precondition, Rejection, Revision,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};

use crate::audit::Done;
use crate::error::Error;
use crate::feed::{self, Cursor, EventFilter, EventRecord, FeedStore, optional_id};
use crate::session::{Engine, Flow, Many, Row, Session, Value, count, finish};
use crate::writer::Act;
use crate::{ApiStore, Inner};

/// For how long an endpoint is held by a node that is heard of no more. Nodes speak up every five
/// seconds, so another takes over within half a minute.
const HELD_FOR: SignedDuration = SignedDuration::from_secs(20);

/// Nodes that bring events have a lease each, of this name and their own.
const NODES: &str = "courier ";
/// What comes after all of these names.
const AFTER_NODES: &str = "courier!";

/// Attempts that are remembered of a delivery: it has ten, and may be begun anew.
const ATTEMPTS_KEPT: usize = 20;

/// Deliveries on their way that are looked at together; more are looked for when these are done.
const PENDING_AT_ONCE: u64 = 1_000;

/// For how long, and how many, deliveries are remembered when they are over.
const DELIVERED_KEPT_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);
const FAILED_KEPT_FOR: SignedDuration = SignedDuration::from_hours(90 * 24);
const DELIVERED_KEPT: u64 = 1_000;
const FAILED_KEPT: u64 = 100_000;

/// By how much the times of events may be out of order from one directory to another.
const TIMES_DIFFER: SignedDuration = SignedDuration::from_mins(10);

/// A webhook endpoint, as the vendor wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// Its address.
    pub url: String,
    /// What the vendor says of it.
    pub description: Option<String>,
    /// Which events it is brought.
    pub filter: Filter,
    /// Whether events of one directory wait for each other.
    pub is_ordered: bool,
    /// When and why nothing is brought to it any more.
    pub disabled: Option<Disabled>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub modified_at: Timestamp,
}

impl Endpoint {
    /// What can be edited of it.
    pub fn revision(&self) -> Revision {
        let Endpoint { url, description, filter, is_ordered, disabled, .. } = self;
        let filter = filter_text(filter);
        Revision::of(&json!([url, description, filter, is_ordered, disabled.is_some()]))
    }
}

/// That nothing is brought to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disabled {
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub reason: DisabledReason,
}

/// How an endpoint has been doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Since when every attempt has failed; `None` where the latest did not.
    pub failing_since: Option<Timestamp>,
    /// When something was delivered last.
    pub last_success_at: Option<Timestamp>,
    /// When an attempt failed last.
    pub last_failure_at: Option<Timestamp>,
}

/// An endpoint, and how far it is behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSummary {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// How it has been doing.
    pub health: Health,
    /// Until when each of its secrets is good; the latest first.
    pub secrets: Vec<(Timestamp, Option<Timestamp>)>,
    /// Events of the feed that were not looked at for it yet, or were and are on their way.
    pub events_behind: u64,
    /// When the oldest of these occurred.
    pub oldest_at: Option<Timestamp>,
    /// Deliveries that are tried again, or were not yet.
    pub pending_count: u64,
    /// Deliveries that are not tried any more.
    pub failed_count: u64,
    /// Events that were let go from the feed before they were looked at for it.
    pub missed_count: u64,
}

/// An endpoint that is to be made.
#[derive(Clone, Debug)]
pub struct NewEndpoint {
    /// Its address.
    pub url: String,
    /// What the vendor says of it.
    pub description: Option<String>,
    /// Which events it is brought.
    pub filter: Filter,
    /// Whether events of one directory wait for each other.
    pub is_ordered: bool,
    /// Whether it is brought what happened before it was made.
    pub from_the_beginning: bool,
    /// What deliveries are signed with.
    pub secret: SigningSecret,
}

/// What is to change of an endpoint.
#[derive(Clone, Debug, Default)]
pub struct EndpointChange {
    /// Its address.
    pub url: Option<String>,
    /// What the vendor says of it.
    pub description: Option<Option<String>>,
    /// Of which types the events are that it is brought.
    pub types: Option<Vec<String>>,
    /// Of which customers.
    pub organizations: Option<Vec<OrganizationId>>,
    /// Of which directories.
    pub directories: Option<Vec<DirectoryId>>,
    /// Whether events of one directory wait for each other.
    pub is_ordered: Option<bool>,
    /// Whether anything is brought to it.
    pub is_enabled: Option<bool>,
}

/// What became of an event on its way to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// It is tried again.
    Pending,
    /// It is there.
    Delivered,
    /// It is not tried any more.
    Failed,
}

impl DeliveryState {
    /// All of them.
    pub const ALL: [DeliveryState; 3] =
        [DeliveryState::Pending, DeliveryState::Delivered, DeliveryState::Failed];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            DeliveryState::Pending => "pending",
            DeliveryState::Delivered => "delivered",
            DeliveryState::Failed => "failed",
        }
    }
}

impl std::str::FromStr for DeliveryState {
    type Err = ();

    fn from_str(text: &str) -> Result<DeliveryState, ()> {
        DeliveryState::ALL.into_iter().find(|state| state.as_str() == text).ok_or(())
    }
}

/// One attempt to deliver something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When it began.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The status of the answer, where there was one.
    pub status: Option<u16>,
    /// Why it failed, where it did.
    pub error: Option<String>,
    /// The beginning of the answer's body, where it failed.
    pub answer: Option<String>,
}

impl Attempt {
    fn to_json(&self) -> Json {
        json!({
            "at": self.at.as_microsecond(),
            "ms": self.duration_ms,
            "status": self.status,
            "error": self.error,
            "answer": self.answer,
        })
    }

    fn read(json: &Json) -> Option<Attempt> {
        let text = |name: &str| json[name].as_str().map(str::to_owned);
        Some(Attempt {
            at: Timestamp::from_microsecond(json["at"].as_i64()?).ok()?,
            duration_ms: json["ms"].as_u64()?,
            status: json["status"].as_u64().and_then(|it| u16::try_from(it).ok()),
            error: text("error"),
            answer: text("answer"),
        })
    }
}

/// An event on its way to an endpoint, or that has been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRecord {
    /// Its id.
    pub id: DeliveryId,
    /// What became of it.
    pub state: DeliveryState,
    /// The event; its data are left out.
    pub event: EventRecord,
    /// Which lane waits for it, if one does.
    pub lane: Option<String>,
    /// Attempts since it was begun, or begun anew.
    pub attempt_count: u64,
    /// When it is tried again.
    pub next_attempt_at: Timestamp,
    /// The latest attempts, in their order.
    pub attempts: Vec<Attempt>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was tried last, or begun anew.
    pub modified_at: Timestamp,
}

/// How far a replay of a part of the feed is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayProgress {
    /// Events of the feed that are behind it.
    pub done: u64,
    /// Events of the feed that it goes through.
    pub all: u64,
    /// Only what occurred then or later.
    pub since: Option<Timestamp>,
    /// Only what occurred before.
    pub until: Option<Timestamp>,
    /// When it began; not known of one that an older program began.
    pub begun_at: Option<Timestamp>,
}

/// A part of the feed that is brought beside the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// The directory that it is of, or the id of a replay.
    pub id: String,
    /// Everything up to here is delivered, or has a row of its own.
    pub position: u64,
    /// What is to be brought again, where it is that.
    pub replay: Option<Replay>,
}

/// Events that are to be brought again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replay {
    /// The position of the last of them.
    pub end: u64,
    /// Only those that occurred then or later.
    pub since: Option<Timestamp>,
    /// Only those that occurred before.
    pub until: Option<Timestamp>,
}

/// An endpoint that this node brings events to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Which.
    pub id: EndpointId,
    /// In which epoch this node took it.
    pub epoch: u64,
    /// What changes when there is something new to know.
    pub revision: u64,
}

/// To which endpoints events are to be brought.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    /// By whoever asks.
    pub mine: Vec<Claimed>,
    /// Whether there are some that nobody holds.
    pub is_any_free: bool,
    /// How many there are, whoever holds them.
    pub total: u64,
}

/// All that is to be known of an endpoint in order to bring events there.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// What changes when there is something new to know.
    pub revision: u64,
    /// How it has been doing.
    pub health: Health,
    /// Its secrets that are good now; the latest first.
    pub secrets: Vec<SigningSecret>,
    /// When the first of these ends.
    pub secrets_until: Option<Timestamp>,
    /// Everything up to here is delivered, or has a row of its own.
    pub position: u64,
    /// The lanes that wait for something that is to be tried again, all of them.
    pub waiting_lanes: Vec<String>,
    /// What is brought beside the rest.
    pub lanes: Vec<Lane>,
    /// What is to be tried again, the most urgent first.
    pub pending: Vec<DeliveryRecord>,
    /// Whether there are more of these.
    pub has_more_pending: bool,
    /// Behind its position: what is delivered, or has a row of its own, all the same.
    pub settled: Vec<u64>,
}

/// An event that is or was to be delivered, and has no row yet.
#[derive(Clone, Debug)]
pub struct NewDelivery {
    /// The event. Its data are kept unless it was delivered.
    pub event: Arc<EventRecord>,
    /// What became of it.
    pub outcome: Retried,
}

/// What became of a delivery when it was tried.
#[derive(Clone, Debug)]
pub struct Retried {
    /// Its id.
    pub id: DeliveryId,
    /// What became of it.
    pub state: DeliveryState,
    /// Which lane waits for it, if one does.
    pub lane: Option<String>,
    /// Attempts since it was begun, or begun anew.
    pub attempt_count: u64,
    /// When it is tried again.
    pub next_attempt_at: Timestamp,
    /// The attempts before, and this one.
    pub attempts: Vec<Attempt>,
}

/// What is to be kept of the work for an endpoint: all of it, or nothing.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The endpoint.
    pub id: EndpointId,
    /// Who works, and in which epoch.
    pub holder: String,
    /// See [`Claimed::epoch`].
    pub epoch: u64,
    /// Everything up to here is delivered, or has a row of its own.
    pub position: u64,
    /// Events that were let go before they were looked at.
    pub missed_count: u64,
    /// How it has been doing.
    pub health: Health,
    /// Events that were tried for the first time.
    pub new: Vec<NewDelivery>,
    /// Deliveries that were tried again.
    pub retried: Vec<Retried>,
    /// Where lanes are; those without a place are at their end.
    pub lanes: Vec<(String, Option<u64>)>,
    /// That nothing is to be brought there any more.
    pub disable: Option<DisabledReason>,
    /// When this is.
    pub now: Timestamp,
}

/// A write of the writer's.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    Create {
        endpoint_id: EndpointId,
        new: NewEndpoint,
        at: Timestamp,
    },
    Change {
        endpoint_id: EndpointId,
        change: Guarded<EndpointChange>,
        at: Timestamp,
    },
    Delete {
        endpoint: Guarded<EndpointId>,
        at: Timestamp,
    },
    Rotate {
        endpoint_id: EndpointId,
        secret: SigningSecret,
        until: Timestamp,
        at: Timestamp,
    },
    Test {
        endpoint_id: EndpointId,
        delivery_id: DeliveryId,
        event_id: EventId,
        at: Timestamp,
    },
    ReplayOne {
        endpoint_id: EndpointId,
        delivery_id: DeliveryId,
        at: Timestamp,
    },
    /// Some of them; the first that are say of how many.
    ReplayFailed {
        endpoint_id: EndpointId,
        is_first: bool,
        at: Timestamp,
    },
    ReplayPart {
        endpoint_id: EndpointId,
        lane: Lane,
        at: Timestamp,
    },
    Claim {
        holder: String,
        is_first: bool,
        at: Timestamp,
    },
    Release {
        holder: String,
    },
    Settle(Settlement),
    Prune {
        over: Vec<(String, String)>,
        at: Timestamp,
    },
}

/// Deliveries that are let go, or begun anew, in one transaction: others wait meanwhile.
const ROWS_AT_ONCE: u64 = 2_000;

impl ApiStore {
    /// Keeps a new endpoint. `None` where there are as many as there may be.
    pub async fn create_endpoint(&self, new: NewEndpoint) -> Result<Option<EndpointId>, Error> {
        let endpoint_id = EndpointId::new(self.inner().environment.ids.as_ref());
        let write = Write::Create { endpoint_id, new, at: self.now() };
        Ok((self.write(write).await? > 0).then_some(endpoint_id))
    }

    /// Endpoints, in the order of their creation.
    pub async fn endpoints(
        &self,
        after: Option<EndpointId>,
        count_max: u64,
    ) -> Result<Vec<EndpointSummary>, Error> {
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        let now = self.now();
        self.inner()
            .readers
            .read(move |session| finish(summaries(session, &after, None, count_max, now)))
            .await
    }

    /// An endpoint by id.
    pub async fn endpoint(&self, id: EndpointId) -> Result<Option<EndpointSummary>, Error> {
        let now = self.now();
        let read = move |session: &mut Session| {
            finish(summaries(session, "", Some(&id.to_string()), 1, now))
        };
        Ok(self.inner().readers.read(read).await?.pop())
    }

    /// Changes an endpoint; says whether there is one.
    pub async fn change_endpoint(
        &self,
        id: EndpointId,
        change: impl Into<Guarded<EndpointChange>> + Send,
    ) -> Result<bool, Error> {
        let write = Write::Change { endpoint_id: id, change: change.into(), at: self.now() };
        Ok(self.write(write).await? > 0)
    }

    /// Takes an endpoint away, with all that was on its way to it; says whether there was one. Of much,
    /// the rest goes with [`WebhookStore::prune`].
    pub async fn delete_endpoint(
        &self,
        id: impl Into<Guarded<EndpointId>> + Send,
    ) -> Result<bool, Error> {
        Ok(self.write(Write::Delete { endpoint: id.into(), at: self.now() }).await? > 0)
    }

    /// Gives an endpoint a new secret; those before it stay good for a while. Says whether there is
    /// such an endpoint.
    pub async fn rotate_endpoint_secret(
        &self,
        id: EndpointId,
        secret: SigningSecret,
        overlap: SignedDuration,
    ) -> Result<bool, Error> {
        let at = self.now();
        let write = Write::Rotate { endpoint_id: id, secret, until: at + overlap, at };
        Ok(self.write(write).await? > 0)
    }

    /// Has an event brought to an endpoint that is none: `webhook.test`. `None` where nothing is
    /// brought there.
    pub async fn test_endpoint(&self, id: EndpointId) -> Result<Option<DeliveryId>, Error> {
        let ids = self.inner().environment.ids.as_ref();
        let (delivery_id, event_id) = (DeliveryId::new(ids), EventId::new(ids));
        let write = Write::Test { endpoint_id: id, delivery_id, event_id, at: self.now() };
        Ok((self.write(write).await? > 0).then_some(delivery_id))
    }

    /// Deliveries to an endpoint, the latest first; of one state, or of all.
    pub async fn deliveries(
        &self,
        id: EndpointId,
        state: Option<DeliveryState>,
        after: Option<DeliveryId>,
        count_max: u64,
    ) -> Result<Vec<DeliveryRecord>, Error> {
        // After all ids, as text.
        let after = after.map_or_else(|| "~".to_owned(), |id| id.to_string());
        let read = move |session: &mut Session| {
            let id = id.to_string();
            let mut values = vec![Value::Text(&id), Value::Text(&after), count(count_max)];
            values.extend(state.map(|state| Value::Text(state.as_str())));
            let sql = match state {
                None => concat!(
                    delivery_columns!(),
                    " where endpoint_id = $1 and delivery_id < $2
                      order by delivery_id desc limit $3"
                ),
                Some(_) => concat!(
                    delivery_columns!(),
                    " where endpoint_id = $1 and delivery_id < $2 and state = $4
                      order by delivery_id desc limit $3"
                ),
            };
            finish(session.all("loading deliveries", sql, &values, delivery))
        };
        self.inner().readers.read(read).await
    }

    /// A delivery by id.
    pub async fn delivery(
        &self,
        id: EndpointId,
        delivery_id: DeliveryId,
    ) -> Result<Option<DeliveryRecord>, Error> {
        let read = move |session: &mut Session| {
            finish(one_delivery(session, &id.to_string(), &delivery_id.to_string()))
        };
        self.inner().readers.read(read).await
    }

    /// Has a delivery that is over tried anew. `false` where its event is not kept any more, or it is
    /// on its way already.
    pub async fn replay_delivery(
        &self,
        id: EndpointId,
        delivery_id: DeliveryId,
    ) -> Result<bool, Error> {
        let write = Write::ReplayOne { endpoint_id: id, delivery_id, at: self.now() };
        Ok(self.write(write).await? > 0)
    }

    /// Has all deliveries that are not tried any more tried anew; says how many.
    pub async fn replay_failed(&self, id: EndpointId) -> Result<u64, Error> {
        let (at, mut replayed) = (self.now(), 0);
        // What begins anew does not fail again before days have passed, so this ends.
        loop {
            let is_first = replayed == 0;
            let some = self.write(Write::ReplayFailed { endpoint_id: id, is_first, at }).await?;
            replayed += some;
            if some < ROWS_AT_ONCE {
                return Ok(replayed);
            }
        }
    }

    /// Has everything brought again that occurred between two moments.
    pub async fn replay_between(
        &self,
        id: EndpointId,
        since: Timestamp,
        until: Option<Timestamp>,
    ) -> Result<bool, Error> {
        let position_at = |session: &mut Session, moment: Timestamp| {
            finish(async {
                if session.engine() == Engine::Postgres {
                    feed::sequence(session).await?;
                }
                session.begin_reading()?;
                feed::position_at(session, moment).await
            })
        };
        let read = move |session: &mut Session| {
            let begin = position_at(session, since.saturating_sub(TIMES_DIFFER).unwrap_or(since))?;
            finish(session.roll_back())?;
            let latest = until.unwrap_or(Timestamp::MAX);
            let end = position_at(session, latest.saturating_add(TIMES_DIFFER).unwrap_or(latest))?;
            Ok((begin, end))
        };
        let (position, end) = self.inner().readers.read(read).await?;
        self.replay(id, position, Replay { end, since: Some(since), until }).await
    }

    /// Has everything brought again that stands between two places in the feed, or behind one.
    pub async fn replay_after(
        &self,
        id: EndpointId,
        after: Option<crate::Cursor>,
        upto: Option<crate::Cursor>,
    ) -> Result<Result<bool, crate::BadCursor>, Error> {
        let sealer = self.inner().sealer.clone();
        let read = move |session: &mut Session| {
            finish(async {
                // Of a page of nothing, what is looked at is where it begins.
                let all = EventFilter::default();
                let end = match &upto {
                    Some(_) => feed::read(session, &sealer, upto.as_ref(), &all, 0).await?,
                    None => feed::read(session, &sealer, Some(&Cursor::end()), &all, 0).await?,
                };
                let begin = feed::read(session, &sealer, after.as_ref(), &all, 0).await?;
                Ok(begin.and_then(|begin| Ok((begin.read_to, end?.read_to))))
            })
        };
        match self.inner().readers.read(read).await? {
            Err(bad) => Ok(Err(bad)),
            Ok((position, end)) => {
                let replay = Replay { end, since: None, until: None };
                self.replay(id, position, replay).await.map(Ok)
            }
        }
    }

    async fn replay(&self, id: EndpointId, position: u64, replay: Replay) -> Result<bool, Error> {
        let lane = DeliveryId::new(self.inner().environment.ids.as_ref()).to_string();
        let lane = Lane { id: lane, position, replay: Some(replay) };
        let write = Write::ReplayPart { endpoint_id: id, lane, at: self.now() };
        Ok(self.write(write).await? > 0)
    }

    /// How far the replays of parts of the feed are, in the order in which they were asked for.
    pub async fn replays(&self, id: EndpointId) -> Result<Vec<ReplayProgress>, Error> {
        let read = move |session: &mut Session| {
            let sql = "select position, end_position, since, until, begin_position, begun_at
                       from webhook_lanes where endpoint_id = $1 and end_position is not null
                       order by lane_id";
            finish(session.all("loading replays", sql, &[Value::Text(&id.to_string())], |row| {
                let (position, end) = (row.number(0)?, row.optional_number(1)?.unwrap_or(0));
                let begin = row.optional_number(4)?.unwrap_or(position);
                Ok(ReplayProgress {
                    done: position.min(end).saturating_sub(begin),
                    all: end.saturating_sub(begin),
                    since: row.optional_time(2)?,
                    until: row.optional_time(3)?,
                    begun_at: row.optional_time(5)?,
                })
            }))
        };
        self.inner().readers.read(read).await
    }

    async fn write(&self, write: Write) -> Result<u64, Error> {
        self.inner().writer.act(Act::Webhook(Box::new(write), self.caller())).await
    }
}

/// What brings events to webhook endpoints: it reads the feed and writes how far it has come.
#[derive(Clone, Debug)]
pub struct WebhookStore(Arc<Inner>);

impl WebhookStore {
    pub(crate) fn new(inner: Arc<Inner>) -> WebhookStore {
        WebhookStore(inner)
    }

    /// Where the ids of deliveries come from.
    pub fn new_id(&self) -> DeliveryId {
        DeliveryId::new(self.0.environment.ids.as_ref())
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        crate::to_the_microsecond(self.0.environment.clock.now())
    }

    /// The feed, from which events are brought.
    pub fn feed(&self) -> FeedStore {
        FeedStore::new(Arc::clone(&self.0))
    }

    /// To which endpoints events are to be brought.
    pub async fn endpoints(&self, holder: &str) -> Result<Endpoints, Error> {
        let (holder, now) = (holder.to_owned(), self.now());
        let read = move |session: &mut Session| {
            finish(async {
                let now = database_time(session, now).await?;
                let mut endpoints = Endpoints::default();
                session
                    .each(
                        "looking for webhook endpoints",
                        "select endpoint_id, epoch, revision, holder, expires_at
                         from webhook_endpoints where disabled_at is null",
                        &[],
                        |row| {
                            endpoints.total += 1;
                            let found = row.optional_text(3)?;
                            if found.as_deref() == Some(&holder) {
                                endpoints.mine.push(Claimed {
                                    id: row.parsed(0)?,
                                    epoch: row.number(1)?,
                                    revision: row.number(2)?,
                                });
                            } else if found.is_none() || row.time(4)? <= now {
                                endpoints.is_any_free = true;
                            }
                            Ok(Flow::Continue(()))
                        },
                    )
                    .await?;
                Ok(endpoints)
            })
        };
        self.0.readers.read(read).await
    }

    /// Takes a share of the endpoints that nobody brings events to, holds on to those that it has, and
    /// gives back what is more than its share. On an embedded database, which has one server, the
    /// first call takes what an earlier process has held.
    pub async fn claim(&self, holder: &str, is_first: bool) -> Result<(), Error> {
        let write = Write::Claim { holder: holder.to_owned(), is_first, at: self.now() };
        self.write(write).await.map(drop)
    }

    /// Gives back all that it holds.
    pub async fn release(&self, holder: &str) -> Result<(), Error> {
        self.write(Write::Release { holder: holder.to_owned() }).await.map(drop)
    }

    /// All that is to be known of an endpoint; `None` where it is gone.
    pub async fn load(&self, id: EndpointId) -> Result<Option<Loaded>, Error> {
        let now = self.now();
        let read = move |session: &mut Session| {
            finish(async {
                session.begin_reading()?;
                load(session, &id.to_string(), now).await
            })
        };
        self.0.readers.read(read).await
    }

    /// The data of the event of a delivery.
    pub async fn data(
        &self,
        id: EndpointId,
        delivery_id: DeliveryId,
    ) -> Result<Option<String>, Error> {
        let read = move |session: &mut Session| {
            finish(session.first(
                "loading what is to be delivered",
                "select data from webhook_deliveries where endpoint_id = $1 and delivery_id = $2",
                &[Value::Text(&id.to_string()), Value::Text(&delivery_id.to_string())],
                |row| row.optional_text(0),
            ))
        };
        Ok(self.0.readers.read(read).await?.flatten())
    }

    /// Keeps what was done. `false` where another node does the work now, or the endpoint is gone or
    /// switched off: nothing was kept then, and whoever asked has to stop.
    pub async fn settle(&self, settlement: Settlement) -> Result<bool, Error> {
        Ok(self.write(Write::Settle(settlement)).await? > 0)
    }

    /// Lets go of some of what is over and old, or of an endpoint that was deleted. Says how many rows;
    /// where it says 0, there are no more.
    pub async fn prune(&self) -> Result<u64, Error> {
        let at = self.now();
        // Looked for beside the writer: all deliveries may have to be looked at.
        let over = self.0.readers.read(move |session| finish(over(session, at))).await?;
        self.write(Write::Prune { over, at }).await
    }

    async fn write(&self, write: Write) -> Result<u64, Error> {
        let nobody = Cause::server().into();
        self.0.writer.act(Act::Webhook(Box::new(write), nobody)).await
    }
}

/// The columns that [`delivery`] reads.
macro_rules! delivery_columns {
    () => {
        "select delivery_id, state, event_id, type, organization_id, directory_id, number, position,
                occurred_at, lane_id, attempt_count, next_attempt_at, attempts, created_at,
                modified_at, cause
         from webhook_deliveries"
    };
}
use delivery_columns;

fn delivery(row: &Row<'_>) -> Result<DeliveryRecord, Error> {
    Ok(DeliveryRecord {
        id: row.parsed(0)?,
        state: row.parsed(1)?,
        event: EventRecord {
            event_id: row.text(2)?,
            kind: row.text(3)?,
            organization_id: optional_id(row.optional_text(4)?)?,
            directory_id: optional_id(row.optional_text(5)?)?,
            number: row.number(6)?,
            position: row.number(7)?,
            occurred_at: row.time(8)?,
            data: String::new(),
            cause: row.optional_text(15)?,
        },
        lane: row.optional_text(9)?,
        attempt_count: row.number(10)?,
        next_attempt_at: row.time(11)?,
        attempts: read_attempts(&row.text(12)?)?,
        created_at: row.time(13)?,
        modified_at: row.time(14)?,
    })
}

fn read_attempts(text: &str) -> Result<Vec<Attempt>, Error> {
    let wrong = || Error::Corrupt("the attempts of a delivery cannot be read".to_owned());
    let json: Vec<Json> = serde_json::from_str(text).map_err(|_| wrong())?;
    json.iter().map(|it| Attempt::read(it).ok_or_else(wrong)).collect()
}

/// The same attempts without what was answered to them.
pub(crate) fn without_answers(attempts: &str) -> Result<String, Error> {
    let silent = |attempt| Attempt { answer: None, ..attempt };
    Ok(attempts_text(&read_attempts(attempts)?.into_iter().map(silent).collect::<Vec<_>>()))
}

/// The latest of them, as they are kept.
fn attempts_text(attempts: &[Attempt]) -> String {
    let latest = &attempts[attempts.len().saturating_sub(ATTEMPTS_KEPT)..];
    latest.iter().map(Attempt::to_json).collect::<Json>().to_string()
}

async fn one_delivery(
    session: &mut Session,
    endpoint_id: &str,
    delivery_id: &str,
) -> Result<Option<DeliveryRecord>, Error> {
    let sql = concat!(
        delivery_columns!(),
        " where endpoint_id = $1 and delivery_id = $2 and exists
          (select 1 from webhook_endpoints e where e.endpoint_id = $1 and e.url <> '')"
    );
    let values = [Value::Text(endpoint_id), Value::Text(delivery_id)];
    session.first("loading a delivery", sql, &values, delivery).await
}

fn filter_text(filter: &Filter) -> String {
    filter_json(filter).to_string()
}

fn filter_json(filter: &Filter) -> Json {
    let texts = |ids: &[_]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    let organizations: Vec<_> = filter.organizations.iter().map(ToString::to_string).collect();
    json!({
        "types": filter.types,
        "organizations": organizations,
        "directories": texts(&filter.directories),
    })
}

fn read_filter(text: &str) -> Result<Filter, Error> {
    fn ids<T: std::str::FromStr>(json: &Json) -> Option<Vec<T>> {
        json.as_array()?.iter().map(|it| it.as_str()?.parse().ok()).collect()
    }
    let read = || {
        let json: Json = serde_json::from_str(text).ok()?;
        Some(Filter {
            types: ids(&json["types"])?,
            organizations: ids(&json["organizations"])?,
            directories: ids(&json["directories"])?,
        })
    };
    read().ok_or_else(|| Error::Corrupt("the filter of a webhook cannot be read".to_owned()))
}

/// The columns that [`endpoint`] reads, and some more.
macro_rules! endpoint_columns {
    () => {
        "select endpoint_id, url, description, filter, is_ordered, disabled_at, disabled_reason,
                created_at, modified_at, failing_since, last_success_at, last_failure_at,
                position, missed_count, revision
         from webhook_endpoints"
    };
}

fn endpoint(row: &Row<'_>) -> Result<(Endpoint, Health), Error> {
    let disabled = match (row.optional_time(5)?, row.optional_text(6)?) {
        (Some(at), Some(_)) => Some(Disabled { at, reason: row.parsed(6)? }),
        _ => None,
    };
    let endpoint = Endpoint {
        id: row.parsed(0)?,
        url: row.text(1)?,
        description: row.optional_text(2)?,
        filter: read_filter(&row.text(3)?)?,
        is_ordered: row.integer(4)? != 0,
        disabled,
        created_at: row.time(7)?,
        modified_at: row.time(8)?,
    };
    let health = Health {
        failing_since: row.optional_time(9)?,
        last_success_at: row.optional_time(10)?,
        last_failure_at: row.optional_time(11)?,
    };
    Ok((endpoint, health))
}

async fn summaries(
    session: &mut Session,
    after: &str,
    only: Option<&str>,
    count_max: u64,
    now: Timestamp,
) -> Result<Vec<EndpointSummary>, Error> {
    if session.engine() == Engine::Postgres {
        feed::sequence(session).await?;
    }
    session.begin_reading()?;
    let sql = match only {
        None => {
            concat!(
                endpoint_columns!(),
                " where endpoint_id > $1 and url <> '' order by endpoint_id limit $2"
            )
        }
        Some(_) => concat!(endpoint_columns!(), " where endpoint_id = $1 and url <> '' limit $2"),
    };
    let values = [Value::Text(only.unwrap_or(after)), count(count_max)];
    let read = |row: &Row<'_>| Ok((endpoint(row)?, row.number(12)?, row.number(13)?));
    let found = session.all("loading webhook endpoints", sql, &values, read).await?;
    let mut summaries = Vec::new();
    for ((endpoint, health), position, missed_count) in found {
        let mut summary = EndpointSummary {
            health,
            missed_count,
            secrets: secrets(session, &endpoint.id.to_string(), now)
                .await?
                .into_iter()
                .map(|(_, from, to)| (from, to))
                .collect(),
            events_behind: 0,
            oldest_at: None,
            pending_count: 0,
            failed_count: 0,
            endpoint,
        };
        measure(session, &mut summary, position).await?;
        summaries.push(summary);
    }
    Ok(summaries)
}

/// How far an endpoint is behind.
async fn measure(
    session: &mut Session,
    summary: &mut EndpointSummary,
    position: u64,
) -> Result<(), Error> {
    let id = summary.endpoint.id.to_string();
    let id = Value::Text(&id);
    let mut oldest = Vec::new();
    let counted = session
        .all(
            "counting deliveries",
            "select state, count(*), min(occurred_at) from webhook_deliveries
             where endpoint_id = $1 and state <> 'delivered' group by state",
            &[id],
            |row| Ok((row.parsed::<DeliveryState>(0)?, row.number(1)?, row.optional_time(2)?)),
        )
        .await?;
    for (state, number, first_at) in counted {
        match state {
            DeliveryState::Pending => {
                summary.pending_count = number;
                oldest.extend(first_at);
            }
            DeliveryState::Failed => summary.failed_count = number,
            DeliveryState::Delivered => {}
        }
    }
    let end = feed::position(session).await?;
    summary.events_behind = end.saturating_sub(position) + summary.pending_count;
    if position < end {
        oldest.extend(feed::event_time_at(session, position + 1).await?);
    }
    let lanes = "select lane_id, position from webhook_lanes
                 where endpoint_id = $1 and end_position is null";
    let read = |row: &Row<'_>| Ok((row.text(0)?, row.number(1)?));
    let lanes = session.all("loading lanes", lanes, &[id], read).await?;
    for (lane, place) in lanes {
        let sql = match session.engine() {
            Engine::Sqlite => {
                "select count(*), min(occurred_at) from events
                 where directory_id = $1 and position > $2 and position <= $3"
            }
            Engine::Postgres => {
                "select cast(coalesce(sum(least(s.last_position, $3)
                                         - greatest(s.first_position, $2 + 1) + 1), 0) as bigint),
                        (select min(e.occurred_at) from events e
                         where e.directory_id = $1 and e.number = min(s.first_number
                             + greatest(s.first_position, $2 + 1) - s.first_position))
                 from sequence s
                 where s.directory_id = $1 and s.last_position > $2 and s.first_position <= $3"
            }
        };
        let values = [Value::Text(&lane), count(place), count(position)];
        let read = |row: &Row<'_>| Ok((row.number(0)?, row.optional_time(1)?));
        let found = session.first("measuring a lane", sql, &values, read).await?;
        let (behind, first_at) = found.unwrap_or_default();
        summary.events_behind += behind;
        oldest.extend(first_at);
    }
    summary.oldest_at = oldest.into_iter().min();
    Ok(())
}

/// The secrets of an endpoint that are good at a moment, the latest first.
async fn secrets(
    session: &mut Session,
    endpoint_id: &str,
    now: Timestamp,
) -> Result<Vec<(SigningSecret, Timestamp, Option<Timestamp>)>, Error> {
    session
        .all(
            "loading the secrets of a webhook",
            "select secret, created_at, expires_at from webhook_secrets
             where endpoint_id = $1 and (expires_at is null or expires_at > $2)
             order by created_at desc, secret",
            &[Value::Text(endpoint_id), Value::Time(now)],
            |row| Ok((SigningSecret::kept(row.text(0)?), row.time(1)?, row.optional_time(2)?)),
        )
        .await
}

async fn load(
    session: &mut Session,
    endpoint_id: &str,
    now: Timestamp,
) -> Result<Option<Loaded>, Error> {
    let id = Value::Text(endpoint_id);
    let sql = concat!(endpoint_columns!(), " where endpoint_id = $1 and url <> ''");
    let read = |row: &Row<'_>| Ok((endpoint(row)?, row.number(12)?, row.number(14)?));
    let found = session.first("loading a webhook endpoint", sql, &[id], read).await?;
    let Some(((endpoint, health), position, revision)) = found else { return Ok(None) };
    let secrets = secrets(session, endpoint_id, now).await?;
    let lanes = session
        .all(
            "loading lanes",
            "select lane_id, position, end_position, since, until from webhook_lanes
             where endpoint_id = $1 order by lane_id",
            &[id],
            |row| {
                let end = row.optional_number(2)?;
                let (since, until) = (row.optional_time(3)?, row.optional_time(4)?);
                let replay = end.map(|end| Replay { end, since, until });
                Ok(Lane { id: row.text(0)?, position: row.number(1)?, replay })
            },
        )
        .await?;
    let sql = concat!(
        delivery_columns!(),
        " where endpoint_id = $1 and state = 'pending' order by next_attempt_at limit $2"
    );
    let values = [id, count(PENDING_AT_ONCE + 1)];
    let mut pending = session.all("loading deliveries", sql, &values, delivery).await?;
    let most = usize::try_from(PENDING_AT_ONCE).unwrap_or(usize::MAX);
    let has_more_pending = pending.len() > most;
    pending.truncate(most);
    let waiting_lanes = session
        .all(
            "looking which lanes wait",
            "select distinct lane_id from webhook_deliveries
             where endpoint_id = $1 and state = 'pending' and lane_id is not null",
            &[id],
            |row| row.text(0),
        )
        .await?;
    let settled = session
        .all(
            "looking what is settled",
            "select position from webhook_deliveries where endpoint_id = $1 and position > $2",
            &[id, count(position)],
            |row| row.number(0),
        )
        .await?;
    Ok(Some(Loaded {
        endpoint,
        revision,
        health,
        secrets_until: secrets.iter().filter_map(|(_, _, until)| *until).min(),
        secrets: secrets.into_iter().map(|(secret, ..)| secret).collect(),
        position,
        waiting_lanes,
        lanes,
        pending,
        has_more_pending,
        settled,
    }))
}

/// From which position on events may still be brought to somebody.
pub(crate) async fn wanted_from(session: &mut Session) -> Result<Option<u64>, Error> {
    let found = session
        .first(
            "looking what is still to be brought",
            "select min(least_position) from (
                 select min(position) as least_position from webhook_endpoints
                 where disabled_at is null
                 union all
                 select min(l.position) from webhook_lanes l
                 join webhook_endpoints e on e.endpoint_id = l.endpoint_id
                 where e.disabled_at is null) as places",
            &[],
            |row| row.optional_number(0),
        )
        .await?;
    Ok(found.flatten())
}

/// The time of the database where there may be many nodes: their clocks may differ.
async fn database_time(session: &mut Session, now: Timestamp) -> Result<Timestamp, Error> {
    match session.engine() {
        Engine::Sqlite => Ok(now),
        Engine::Postgres => {
            let sql = "select cast(extract(epoch from clock_timestamp()) * 1000000 as bigint)";
            let found = session.first("asking for the time", sql, &[], |row| row.time(0)).await?;
            Ok(found.unwrap_or(now))
        }
    }
}

/// A time that there may be none of.
fn maybe<'a>(time: Option<Timestamp>) -> Value<'a> {
    time.map_or(Value::OptionalText(None), Value::Time)
}

/// Has whoever brings events to an endpoint look again; says whether there is one.
async fn revise(session: &mut Session, endpoint_id: &str) -> Result<u64, Error> {
    let sql = "update webhook_endpoints set revision = revision + 1
               where endpoint_id = $1 and url <> ''";
    let changed = session.run("revising a webhook", sql, &[Value::Text(endpoint_id)]).await?;
    Ok(changed as u64)
}

impl Write {
    /// Whether it needs all events to have their positions, or tells of something itself.
    pub(crate) fn holds_the_feed(&self) -> bool {
        match self {
            Write::Create { new, .. } => !new.from_the_beginning,
            Write::Settle(settlement) => settlement.disable.is_some(),
            _ => false,
        }
    }

    /// Keeps it, and says how much there was of it: 0 where there is no such endpoint.
    pub(crate) async fn keep(
        &self,
        session: &mut Session,
        moment: Moment<'_>,
    ) -> Result<Result<Done, Rejection>, Error> {
        let kept = match self {
            Write::Create { endpoint_id, new, at } => {
                let made = create(session, *endpoint_id, new, *at).await?;
                let state = json!({
                    "url": shown_url(&new.url),
                    "description": new.description,
                    "filter": filter_json(&new.filter),
                    "ordered": new.is_ordered,
                    "enabled": true,
                });
                let entry = of_webhook(Action::WebhookCreated, *endpoint_id, None, Some(state));
                return Ok(Ok(Done::told_if_any(made, entry)));
            }
            Write::Change { endpoint_id, change: it, at } => {
                return change(session, *endpoint_id, it, *at).await;
            }
            Write::Delete { endpoint, at } => return delete(session, endpoint, *at).await,
            Write::Rotate { endpoint_id, secret, until, at } => {
                let made = rotate(session, &endpoint_id.to_string(), secret, *until, *at).await?;
                let state = json!({ "others_until": scim::datetime::print(*until) });
                let action = Action::WebhookSecretRotated;
                let entry = of_webhook(action, *endpoint_id, None, Some(state));
                return Ok(Ok(Done::told_if_any(made, entry)));
            }
            Write::Test { endpoint_id, delivery_id, event_id, at } => {
                let id = endpoint_id.to_string();
                let made = test(session, &id, *delivery_id, *event_id, *at).await?;
                return Ok(Ok(replayed(Action::WebhookTested, *endpoint_id, made, delivery_id)));
            }
            Write::ReplayOne { endpoint_id, delivery_id, at } => {
                let id = endpoint_id.to_string();
                let made = replay_one(session, &id, *delivery_id, *at).await?;
                return Ok(Ok(replayed(Action::WebhookReplayed, *endpoint_id, made, delivery_id)));
            }
            Write::ReplayFailed { endpoint_id, is_first, at } => {
                return replay_failed(session, *endpoint_id, *is_first, *at).await.map(Ok);
            }
            Write::ReplayPart { endpoint_id, lane, at } => {
                let id = endpoint_id.to_string();
                if revise(session, &id).await? == 0 {
                    return Ok(Ok(Done::bookkeeping(0)));
                }
                let replay = lane.replay.expect("a part is replayed");
                let added = session
                    .run(
                        "replaying a part of the feed",
                        "insert into webhook_lanes
                         (endpoint_id, lane_id, position, end_position, since, until,
                          begin_position, begun_at)
                         values ($1, $2, $3, $4, $5, $6, $3, $7)",
                        &[
                            Value::Text(&id),
                            Value::Text(&lane.id),
                            count(lane.position),
                            count(replay.end),
                            maybe(replay.since),
                            maybe(replay.until),
                            Value::Time(*at),
                        ],
                    )
                    .await?;
                let state = json!({
                    "since": replay.since.map(scim::datetime::print),
                    "until": replay.until.map(scim::datetime::print),
                });
                let entry = of_webhook(Action::WebhookReplayed, *endpoint_id, None, Some(state));
                return Ok(Ok(Done::told_if_any(added as u64, entry)));
            }
            Write::Claim { holder, is_first, at } => claim(session, holder, *is_first, *at).await,
            Write::Release { holder } => {
                let node = format!("{NODES}{holder}");
                let sql = "delete from leases where name = $1";
                session.run("leaving", sql, &[Value::Text(&node)]).await?;
                let released = session
                    .run(
                        "giving webhook endpoints back",
                        "update webhook_endpoints set holder = null, expires_at = 0
                         where holder = $1",
                        &[Value::Text(holder)],
                    )
                    .await?;
                Ok(released as u64)
            }
            Write::Settle(settlement) => settle(session, settlement, moment).await,
            Write::Prune { over, at } => prune(session, over, *at).await,
        };
        Ok(Ok(Done::bookkeeping(kept?)))
    }
}

/// What the audit log says of events that are brought to an endpoint again, or of a test.
fn replayed(action: Action, id: EndpointId, count: u64, delivery_id: &DeliveryId) -> Done {
    let state = json!({ "delivery_id": delivery_id.to_string() });
    Done::told_if_any(count, of_webhook(action, id, None, Some(state)))
}

/// What the audit log says of an endpoint: without what may be a secret in its address.
fn state_of(endpoint: &Endpoint) -> Json {
    json!({
        "url": shown_url(&endpoint.url),
        "description": endpoint.description,
        "filter": filter_json(&endpoint.filter),
        "ordered": endpoint.is_ordered,
        "enabled": endpoint.disabled.is_none(),
    })
}

/// An endpoint that stays as it is until the end of the transaction; where whoever asks believes it to
/// be otherwise, why it is not touched.
async fn endpoint_to_change(
    session: &mut Session,
    id: EndpointId,
    precondition: &Precondition,
) -> Result<Result<Option<(Endpoint, Health)>, Rejection>, Error> {
    let sql = match session.engine() {
        Engine::Sqlite => concat!(endpoint_columns!(), " where endpoint_id = $1 and url <> ''"),
        // Another node may be changing it too, or be about to switch it off.
        Engine::Postgres => {
            concat!(endpoint_columns!(), " where endpoint_id = $1 and url <> '' for no key update")
        }
    };
    let values = [Value::Text(&id.to_string())];
    let found = session.first("loading a webhook to change", sql, &values, endpoint).await?;
    let Some((found, health)) = found else { return Ok(Ok(None)) };
    Ok(precondition.check(Some(&found.revision())).map(|()| Some((found, health))))
}

async fn delete(
    session: &mut Session,
    Guarded { precondition, what: endpoint_id }: &Guarded<EndpointId>,
    at: Timestamp,
) -> Result<Result<Done, Rejection>, Error> {
    const DOING: &str = "deleting a webhook endpoint";
    let before = match endpoint_to_change(session, *endpoint_id, precondition).await? {
        Err(rejection) => return Ok(Err(rejection)),
        Ok(None) => return Ok(Ok(Done::bookkeeping(0))),
        Ok(Some((before, _))) => before,
    };
    let id = endpoint_id.to_string();
    for sql in [
        "delete from webhook_lanes where endpoint_id = $1",
        "delete from webhook_secrets where endpoint_id = $1",
    ] {
        session.run(DOING, sql, &[Value::Text(&id)]).await?;
    }
    let sql = "delete from webhook_deliveries where endpoint_id = $1 and delivery_id in
               (select delivery_id from webhook_deliveries where endpoint_id = $1 limit $2)";
    let values = [Value::Text(&id), count(ROWS_AT_ONCE)];
    let left = session.run(DOING, sql, &values).await? as u64 == ROWS_AT_ONCE;
    if left {
        // Nobody sees it from now on, and nothing is brought there.
        let sql = "update webhook_endpoints
                   set url = '', description = null, filter = $2, disabled_at = $3,
                       disabled_reason = $4, holder = null, expires_at = 0,
                       revision = revision + 1
                   where endpoint_id = $1";
        let values = [
            Value::Text(&id),
            Value::Text(&filter_text(&Filter::default())),
            Value::Time(at),
            Value::Text(DisabledReason::Manual.as_str()),
        ];
        session.run(DOING, sql, &values).await?;
    } else {
        let sql = "delete from webhook_endpoints where endpoint_id = $1";
        session.run(DOING, sql, &[Value::Text(&id)]).await?;
    }
    let state = Some(state_of(&before));
    let entry = of_webhook(Action::WebhookDeleted, *endpoint_id, state, None);
    Ok(Ok(Done::told(1, entry)))
}

async fn create(
    session: &mut Session,
    endpoint_id: EndpointId,
    new: &NewEndpoint,
    at: Timestamp,
) -> Result<u64, Error> {
    // On PostgreSQL two might pass the limit together; it guards against no more than a loop.
    let sql = "select count(*) from webhook_endpoints where url <> ''";
    let there_are = session.first("counting webhooks", sql, &[], |row| row.number(0)).await?;
    if there_are.unwrap_or_default() >= ENDPOINTS_MAX {
        return Ok(0);
    }
    let position = match new.from_the_beginning {
        true => 0,
        // What was kept before this, and has no position yet, gets it now.
        false if session.engine() == Engine::Postgres => {
            feed::sequence_within(session).await?;
            feed::position(session).await?
        }
        false => feed::position(session).await?,
    };
    let id = endpoint_id.to_string();
    session
        .run(
            "keeping a new webhook endpoint",
            "insert into webhook_endpoints
             (endpoint_id, url, description, filter, is_ordered, revision, position, missed_count,
              epoch, expires_at, created_at, modified_at)
             values ($1, $2, $3, $4, $5, 0, $6, 0, 0, 0, $7, $7)",
            &[
                Value::Text(&id),
                Value::Text(&new.url),
                Value::OptionalText(new.description.as_deref()),
                Value::Text(&filter_text(&new.filter)),
                Value::Integer(new.is_ordered.into()),
                count(position),
                Value::Time(at),
            ],
        )
        .await?;
    keep_secret(session, &id, &new.secret, at).await?;
    Ok(1)
}

async fn keep_secret(
    session: &mut Session,
    endpoint_id: &str,
    secret: &SigningSecret,
    at: Timestamp,
) -> Result<(), Error> {
    session
        .run(
            "keeping the secret of a webhook",
            "insert into webhook_secrets (endpoint_id, secret, created_at) values ($1, $2, $3)",
            &[Value::Text(endpoint_id), Value::Text(secret.reveal()), Value::Time(at)],
        )
        .await
        .map(drop)
}

async fn change(
    session: &mut Session,
    id: EndpointId,
    Guarded { precondition, what: change }: &Guarded<EndpointChange>,
    at: Timestamp,
) -> Result<Result<Done, Rejection>, Error> {
    let (now, health) = match endpoint_to_change(session, id, precondition).await? {
        Err(rejection) => return Ok(Err(rejection)),
        Ok(None) => return Ok(Ok(Done::bookkeeping(0))),
        Ok(Some(found)) => found,
    };
    let before = state_of(&now);
    let mut failing_since = health.failing_since;
    let disabled = match (change.is_enabled, now.disabled) {
        (Some(true), _) => None,
        (Some(false), None) => Some(Disabled { at, reason: DisabledReason::Manual }),
        (_, disabled) => disabled,
    };
    if now.disabled.is_some() && disabled.is_none() {
        // It begins anew, or the first failure would switch it off again.
        failing_since = None;
    }
    let after = Endpoint {
        url: change.url.clone().unwrap_or(now.url),
        description: change.description.clone().unwrap_or(now.description),
        filter: Filter {
            types: change.types.clone().unwrap_or(now.filter.types),
            organizations: change.organizations.clone().unwrap_or(now.filter.organizations),
            directories: change.directories.clone().unwrap_or(now.filter.directories),
        },
        is_ordered: change.is_ordered.unwrap_or(now.is_ordered),
        disabled,
        modified_at: at,
        ..now
    };
    let changed = session
        .run(
            "changing a webhook endpoint",
            "update webhook_endpoints
             set url = $2, description = $3, filter = $4, is_ordered = $5, disabled_at = $6,
                 disabled_reason = $7, failing_since = $8, modified_at = $9,
                 revision = revision + 1
             where endpoint_id = $1",
            &[
                Value::Text(&id.to_string()),
                Value::Text(&after.url),
                Value::OptionalText(after.description.as_deref()),
                Value::Text(&filter_text(&after.filter)),
                Value::Integer(after.is_ordered.into()),
                maybe(disabled.map(|it| it.at)),
                Value::OptionalText(disabled.map(|it| it.reason.as_str())),
                maybe(failing_since),
                Value::Time(at),
            ],
        )
        .await?;
    let entry = of_webhook(Action::WebhookUpdated, id, Some(before), Some(state_of(&after)));
    Ok(Ok(Done::told_if_any(changed as u64, entry)))
}

async fn rotate(
    session: &mut Session,
    id: &str,
    secret: &SigningSecret,
    until: Timestamp,
    at: Timestamp,
) -> Result<u64, Error> {
    const DOING: &str = "rotating the secret of a webhook";
    if revise(session, id).await? == 0 {
        return Ok(0);
    }
    // One that was to go sooner still does.
    let sql = "update webhook_secrets set expires_at = $2
               where endpoint_id = $1 and (expires_at is null or expires_at > $2)";
    session.run(DOING, sql, &[Value::Text(id), Value::Time(until)]).await?;
    let sql = "delete from webhook_secrets
               where endpoint_id = $1 and (expires_at <= $2 or secret not in
                   (select secret from webhook_secrets where endpoint_id = $1
                    order by created_at desc, secret limit $3))";
    let others = count(SECRETS_MAX - 1);
    session.run(DOING, sql, &[Value::Text(id), Value::Time(at), others]).await?;
    keep_secret(session, id, secret, at).await?;
    Ok(1)
}

async fn test(
    session: &mut Session,
    id: &str,
    delivery_id: DeliveryId,
    event_id: EventId,
    at: Timestamp,
) -> Result<u64, Error> {
    let sql = "update webhook_endpoints set revision = revision + 1
               where endpoint_id = $1 and disabled_at is null";
    if session.run("testing a webhook", sql, &[Value::Text(id)]).await? == 0 {
        return Ok(0);
    }
    let event = EventRecord {
        position: 0,
        event_id: event_id.to_string(),
        kind: TEST.to_owned(),
        organization_id: None,
        directory_id: None,
        number: 0,
        occurred_at: at,
        data: json!({ "endpoint": { "id": id } }).to_string(),
        cause: None,
    };
    let outcome = Retried {
        id: delivery_id,
        state: DeliveryState::Pending,
        lane: None,
        attempt_count: 0,
        next_attempt_at: at,
        attempts: Vec::new(),
    };
    keep_new(session, id, &[NewDelivery { event: Arc::new(event), outcome }], at).await?;
    Ok(1)
}

/// The type of an event that is none, to see whether an endpoint can be reached.
pub const TEST: &str = "webhook.test";

async fn replay_one(
    session: &mut Session,
    id: &str,
    delivery_id: DeliveryId,
    at: Timestamp,
) -> Result<u64, Error> {
    let delivery_id = delivery_id.to_string();
    let Some(found) = one_delivery(session, id, &delivery_id).await? else { return Ok(0) };
    if found.state == DeliveryState::Pending {
        return Ok(0);
    }
    // Of what was delivered the data are not kept a second time.
    let data = event_data(session, &found.event).await?;
    if revise(session, id).await? == 0 {
        return Ok(0);
    }
    let replayed = session
        .run(
            "replaying a delivery",
            "update webhook_deliveries
             set state = 'pending', attempt_count = 0, next_attempt_at = $3, modified_at = $3,
                 data = coalesce(data, $4)
             where endpoint_id = $1 and delivery_id = $2 and coalesce(data, $4) is not null",
            &[
                Value::Text(id),
                Value::Text(&delivery_id),
                Value::Time(at),
                Value::OptionalText(data.as_deref()),
            ],
        )
        .await?;
    Ok(replayed as u64)
}

async fn replay_failed(
    session: &mut Session,
    endpoint_id: EndpointId,
    is_first: bool,
    at: Timestamp,
) -> Result<Done, Error> {
    let id = endpoint_id.to_string();
    if revise(session, &id).await? == 0 {
        return Ok(Done::bookkeeping(0));
    }
    let failed = if is_first {
        let sql = "select count(*) from webhook_deliveries
                   where endpoint_id = $1 and state = 'failed' and data is not null";
        let doing = "counting what has failed";
        session.first(doing, sql, &[Value::Text(&id)], |row| row.number(0)).await?
    } else {
        None
    };
    let again = session
        .run(
            "replaying what has failed",
            "update webhook_deliveries
             set state = 'pending', attempt_count = 0, next_attempt_at = $2, modified_at = $2
             where endpoint_id = $1 and delivery_id in
                 (select delivery_id from webhook_deliveries
                  where endpoint_id = $1 and state = 'failed' and data is not null
                  order by delivery_id limit $3)",
            &[Value::Text(&id), Value::Time(at), count(ROWS_AT_ONCE)],
        )
        .await?;
    Ok(match failed {
        None => Done::bookkeeping(again as u64),
        Some(failed) => {
            let state = json!({ "failed": failed });
            let entry = of_webhook(Action::WebhookReplayed, endpoint_id, None, Some(state));
            Done::told(again as u64, entry)
        }
    })
}

/// The data of an event, where the feed still has it.
async fn event_data(session: &mut Session, event: &EventRecord) -> Result<Option<String>, Error> {
    const DOING: &str = "loading the data of an event";
    let directory = event.directory_id.map(|id| id.to_string()).unwrap_or_default();
    let (sql, values) = match session.engine() {
        Engine::Sqlite => (
            "select data from events where position = $1 and event_id = $2",
            vec![count(event.position), Value::Text(&event.event_id)],
        ),
        Engine::Postgres => (
            "select data from events where directory_id = $1 and number = $2 and event_id = $3",
            vec![Value::Text(&directory), count(event.number), Value::Text(&event.event_id)],
        ),
    };
    session.first(DOING, sql, &values, |row| row.text(0)).await
}

async fn claim(
    session: &mut Session,
    holder: &str,
    is_first: bool,
    at: Timestamp,
) -> Result<u64, Error> {
    const DOING: &str = "taking webhook endpoints";
    let now = database_time(session, at).await?;
    let until = now + HELD_FOR;
    let node = format!("{NODES}{holder}");
    let sql = "insert into leases (name, holder, expires_at) values ($1, $2, $3)
               on conflict (name) do update set expires_at = excluded.expires_at";
    session.run(DOING, sql, &[Value::Text(&node), Value::Text(holder), Value::Time(until)]).await?;
    let nodes = [Value::Text(NODES), Value::Text(AFTER_NODES)];
    // Whoever had an embedded database before is gone.
    let is_alone = is_first && session.engine() == Engine::Sqlite;
    let sql = "delete from leases
               where name >= $1 and name < $2 and name <> $4 and (expires_at <= $3 or $5 = 1)";
    let values =
        [nodes[0], nodes[1], Value::Time(now), Value::Text(&node), Value::Integer(is_alone.into())];
    session.run(DOING, sql, &values).await?;
    let sql = "select count(*), (select count(*) from webhook_endpoints where disabled_at is null)
               from leases where name >= $1 and name < $2";
    let counted = session.first(DOING, sql, &nodes, |row| Ok((row.number(0)?, row.number(1)?)));
    let (nodes, endpoints) = counted.await?.unwrap_or_default();
    let share = endpoints.div_ceil(nodes.max(1));

    let sql = "update webhook_endpoints set expires_at = $2
               where holder = $1 and disabled_at is null";
    let held = session.run(DOING, sql, &[Value::Text(holder), Value::Time(until)]).await? as u64;
    if held > share {
        let sql = "update webhook_endpoints set holder = null, expires_at = 0
                   where endpoint_id in (select endpoint_id from webhook_endpoints
                                         where holder = $1 and disabled_at is null
                                         order by endpoint_id desc limit $2)";
        session.run(DOING, sql, &[Value::Text(holder), count(held - share)]).await?;
    }
    let sql = match session.engine() {
        Engine::Sqlite => {
            "update webhook_endpoints set holder = $1, epoch = epoch + 1, expires_at = $2
             where endpoint_id in
                 (select endpoint_id from webhook_endpoints
                  where disabled_at is null and (holder is null or holder <> $1)
                      and (holder is null or expires_at <= $3 or $5 = 1)
                  order by expires_at, endpoint_id limit $4)"
        }
        // What another node is taking is left to it.
        Engine::Postgres => {
            "update webhook_endpoints set holder = $1, epoch = epoch + 1, expires_at = $2
             where endpoint_id in
                 (select endpoint_id from webhook_endpoints
                  where disabled_at is null and (holder is null or holder <> $1)
                      and (holder is null or expires_at <= $3)
                  order by expires_at, endpoint_id limit $4 for update skip locked)"
        }
    };
    let mut values = vec![
        Value::Text(holder),
        Value::Time(until),
        Value::Time(now),
        count(share.saturating_sub(held)),
    ];
    if session.engine() == Engine::Sqlite {
        values.push(Value::Integer(is_alone.into()));
    }
    Ok(held.min(share) + session.run(DOING, sql, &values).await? as u64)
}

async fn settle(session: &mut Session, it: &Settlement, moment: Moment<'_>) -> Result<u64, Error> {
    let id = it.id.to_string();
    let held = session
        .run(
            "keeping how far a webhook endpoint has come",
            "update webhook_endpoints
             set position = $4, missed_count = missed_count + $5, failing_since = $6,
                 last_success_at = $7, last_failure_at = $8
             where endpoint_id = $1 and holder = $2 and epoch = $3 and disabled_at is null",
            &[
                Value::Text(&id),
                Value::Text(&it.holder),
                count(it.epoch),
                count(it.position),
                count(it.missed_count),
                maybe(it.health.failing_since),
                maybe(it.health.last_success_at),
                maybe(it.health.last_failure_at),
            ],
        )
        .await?;
    if held == 0 {
        return Ok(0);
    }
    keep_new(session, &id, &it.new, it.now).await?;
    keep_retried(session, &id, &it.retried, it.now).await?;
    for (lane, position) in &it.lanes {
        let values = [Value::Text(&id), Value::Text(lane), count(position.unwrap_or_default())];
        if position.is_some() {
            let sql = "insert into webhook_lanes (endpoint_id, lane_id, position)
                       values ($1, $2, $3)
                       on conflict (endpoint_id, lane_id) do update
                       set position = excluded.position";
            session.run("keeping how far a lane has come", sql, &values).await?;
        } else {
            let sql = "delete from webhook_lanes where endpoint_id = $1 and lane_id = $2";
            session.run("ending a lane", sql, &values[..2]).await?;
        }
    }
    if let Some(reason) = it.disable {
        session
            .run(
                "switching a webhook endpoint off",
                "update webhook_endpoints
                 set disabled_at = $2, disabled_reason = $3, holder = null, expires_at = 0,
                     modified_at = $2, revision = revision + 1
                 where endpoint_id = $1",
                &[Value::Text(&id), Value::Time(it.now), Value::Text(reason.as_str())],
            )
            .await?;
        let draft = endpoint_disabled(it.id, reason, it.health.failing_since);
        feed::keep_of_server(session, EventId::new(moment.ids), &draft, it.now, Cause::server())
            .await?;
    }
    Ok(1)
}

/// Keeps rows for events that have none, once, whoever asks again because the answer to the first time was
/// lost: with what the feed has of them now, for somebody may have been
/// erased since they were read.
async fn keep_new(
    session: &mut Session,
    endpoint_id: &str,
    new: &[NewDelivery],
    at: Timestamp,
) -> Result<(), Error> {
    const INSERT: Many<18> = Many {
        doing: "keeping deliveries",
        sqlite: "insert into webhook_deliveries
                 (endpoint_id, delivery_id, state, event_id, type, organization_id, directory_id,
                  number, position, occurred_at, data, lane_id, attempt_count, next_attempt_at,
                  attempts, created_at, modified_at, cause)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
                         case when $11 is null then null else
                             coalesce((select e.data from events e where e.position = $9), $11) end,
                         $12, $13, $14, $15, $16, $17, $18)
                 on conflict (endpoint_id, delivery_id) do nothing",
        postgres: "insert into webhook_deliveries
                   (endpoint_id, delivery_id, state, event_id, type, organization_id, directory_id,
                    number, position, occurred_at, data, lane_id, attempt_count, next_attempt_at,
                    attempts, created_at, modified_at, cause)
                   select endpoint_id, delivery_id, state, event_id, type, organization_id,
                       directory_id, number, position, occurred_at,
                       case when data is null then null else
                           coalesce((select e.data from events e
                                     where e.directory_id = it.directory_id
                                         and e.number = it.number), data) end,
                       lane_id, attempt_count, next_attempt_at, attempts, created_at, modified_at,
                       cause
                   from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[],
                       $6::text[], $7::text[], $8::bigint[], $9::bigint[], $10::bigint[],
                       $11::text[], $12::text[], $13::bigint[], $14::bigint[], $15::text[],
                       $16::bigint[], $17::bigint[], $18::text[])
                       as it (endpoint_id, delivery_id, state, event_id, type, organization_id,
                              directory_id, number, position, occurred_at, data, lane_id,
                              attempt_count, next_attempt_at, attempts, created_at, modified_at,
                              cause)
                   on conflict (endpoint_id, delivery_id) do nothing",
    };
    struct Texts {
        id: String,
        organization: Option<String>,
        directory: Option<String>,
        attempts: String,
    }
    let texts: Vec<_> = new
        .iter()
        .map(|NewDelivery { event, outcome }| Texts {
            id: outcome.id.to_string(),
            organization: event.organization_id.map(|id| id.to_string()),
            directory: event.directory_id.map(|id| id.to_string()),
            attempts: attempts_text(&outcome.attempts),
        })
        .collect();
    let rows: Vec<_> = new
        .iter()
        .zip(&texts)
        .map(|(NewDelivery { event, outcome }, texts)| {
            let is_needed = outcome.state != DeliveryState::Delivered;
            [
                Value::Text(endpoint_id),
                Value::Text(&texts.id),
                Value::Text(outcome.state.as_str()),
                Value::Text(&event.event_id),
                Value::Text(&event.kind),
                Value::OptionalText(texts.organization.as_deref()),
                Value::OptionalText(texts.directory.as_deref()),
                count(event.number),
                count(event.position),
                Value::Time(event.occurred_at),
                Value::OptionalText(is_needed.then_some(event.data.as_str())),
                Value::OptionalText(outcome.lane.as_deref()),
                count(outcome.attempt_count),
                Value::Time(outcome.next_attempt_at),
                Value::Text(&texts.attempts),
                Value::Time(at),
                Value::Time(at),
                Value::OptionalText(event.cause.as_deref()),
            ]
        })
        .collect();
    session.run_many(&INSERT, &rows).await.map(drop)
}

/// Keeps what became of deliveries that have rows. One that somebody has taken away meanwhile stays
/// away.
async fn keep_retried(
    session: &mut Session,
    endpoint_id: &str,
    retried: &[Retried],
    at: Timestamp,
) -> Result<(), Error> {
    const UPDATE: Many<8> = Many {
        doing: "keeping what became of deliveries",
        sqlite: "update webhook_deliveries
                 set state = $3, lane_id = $4, attempt_count = $5, next_attempt_at = $6,
                     attempts = $7, modified_at = $8,
                     data = case $3 when 'delivered' then null else data end
                 where endpoint_id = $1 and delivery_id = $2",
        postgres: "update webhook_deliveries d
                   set state = it.state, lane_id = it.lane_id, attempt_count = it.attempt_count,
                       next_attempt_at = it.next_attempt_at, attempts = it.attempts,
                       modified_at = it.modified_at,
                       data = case it.state when 'delivered' then null else d.data end
                   from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[],
                               $6::bigint[], $7::text[], $8::bigint[])
                        as it (endpoint_id, delivery_id, state, lane_id, attempt_count,
                               next_attempt_at, attempts, modified_at)
                   where d.endpoint_id = it.endpoint_id and d.delivery_id = it.delivery_id",
    };
    let texts: Vec<_> =
        retried.iter().map(|it| (it.id.to_string(), attempts_text(&it.attempts))).collect();
    let rows: Vec<_> = retried
        .iter()
        .zip(&texts)
        .map(|(it, (id, attempts))| {
            [
                Value::Text(endpoint_id),
                Value::Text(id),
                Value::Text(it.state.as_str()),
                Value::OptionalText(it.lane.as_deref()),
                count(it.attempt_count),
                Value::Time(it.next_attempt_at),
                Value::Text(attempts),
                Value::Time(at),
            ]
        })
        .collect();
    session.run_many(&UPDATE, &rows).await.map(drop)
}

/// Some deliveries that are over and were so for long, or of which there are too many; and of endpoints
/// that were deleted.
async fn over(session: &mut Session, at: Timestamp) -> Result<Vec<(String, String)>, Error> {
    const DOING: &str = "looking for old deliveries";
    session.begin_reading()?;
    let key = |row: &Row<'_>| Ok((row.text(0)?, row.text(1)?));
    let left = |found: &Vec<_>| count(ROWS_AT_ONCE - found.len() as u64);
    let sql = "select d.endpoint_id, d.delivery_id from webhook_deliveries d
               join webhook_endpoints e on e.endpoint_id = d.endpoint_id
               where e.url = '' limit $1";
    let mut found = session.all(DOING, sql, &[count(ROWS_AT_ONCE)], key).await?;
    let sql = "select endpoint_id, position from webhook_endpoints where url <> ''";
    let read = |row: &Row<'_>| Ok((row.text(0)?, row.number(1)?));
    let endpoints = session.all(DOING, sql, &[], read).await?;
    for (state, kept_for, kept) in [
        (DeliveryState::Delivered, DELIVERED_KEPT_FOR, DELIVERED_KEPT),
        (DeliveryState::Failed, FAILED_KEPT_FOR, FAILED_KEPT),
    ] {
        let state = Value::Text(state.as_str());
        for (endpoint, position) in &endpoints {
            let endpoint = Value::Text(endpoint);
            // The first that is one too many, and all before it. What stands behind the endpoint's
            // place is needed to know that it is settled.
            let sql = "select delivery_id from webhook_deliveries
                       where endpoint_id = $1 and state = $2
                       order by delivery_id desc limit 1 offset $3";
            let values = [endpoint, state, count(kept)];
            let last = session.first(DOING, sql, &values, |row| row.text(0)).await?;
            if let Some(last) = last {
                let sql = "select endpoint_id, delivery_id from webhook_deliveries
                           where endpoint_id = $1 and state = $2 and delivery_id <= $3
                               and position <= $4 limit $5";
                let values = [endpoint, state, Value::Text(&last), count(*position), left(&found)];
                found.extend(session.all(DOING, sql, &values, key).await?);
            }
        }
        let sql = "select endpoint_id, delivery_id from webhook_deliveries
                   where state = $1 and modified_at < $2 limit $3";
        let values = [state, Value::Time(at - kept_for), left(&found)];
        found.extend(session.all(DOING, sql, &values, key).await?);
    }
    Ok(found)
}

/// Lets these go, unless they were begun anew meanwhile, and what has nothing left.
async fn prune(
    session: &mut Session,
    over: &[(String, String)],
    at: Timestamp,
) -> Result<u64, Error> {
    const DOING: &str = "letting old deliveries go";
    const DELETE: Many<2> = Many {
        doing: DOING,
        sqlite: "delete from webhook_deliveries
                 where endpoint_id = $1 and delivery_id = $2
                     and (state <> 'pending' or exists
                          (select 1 from webhook_endpoints e where e.endpoint_id = $1 and e.url = ''))",
        postgres: "delete from webhook_deliveries d
                   using unnest($1::text[], $2::text[]) as it (endpoint_id, delivery_id)
                   where d.endpoint_id = it.endpoint_id and d.delivery_id = it.delivery_id
                       and (d.state <> 'pending' or exists
                            (select 1 from webhook_endpoints e
                             where e.endpoint_id = d.endpoint_id and e.url = ''))",
    };
    let keys = over.iter().map(|(endpoint, id)| [Value::Text(endpoint), Value::Text(id)]);
    let gone = session.run_many(&DELETE, &keys.collect::<Vec<_>>()).await?;
    let sql = "delete from webhook_endpoints where url = '' and not exists
               (select 1 from webhook_deliveries d
                where d.endpoint_id = webhook_endpoints.endpoint_id)";
    session.run(DOING, sql, &[]).await?;
    let sql = "delete from webhook_secrets where expires_at <= $1";
    session.run(DOING, sql, &[Value::Time(at)]).await?;
    Ok(gone as u64)
}
