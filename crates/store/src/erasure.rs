//! Erasing a person: what is kept of them is taken out, step by step, and a receipt stays.
//!
//! It begins with a decision, which deletes them where they are still there and tells the feed. In its
//! transaction a row is made that says how far the erasure has come. Each step takes some rows of one
//! stage, a bounded number of them, in one transaction with that row: so it goes on wherever a process
//! ended, and nothing is counted twice. The stages are in the order of [`Stage`].
//!
//! What says whom it is about is found by an index: events. What does not is looked through: deliveries
//! and the request log, for every name that the events tell of. Both may still be written to by whoever
//! had hold of something when the person was deleted, such as a delivery that is being made, so they are
//! looked through when that is over.

use directory::{
    DirectoryId, EraseUser, ErasureChange, ErasureId, OrganizationId, Rejection, RequestId,
    ResourceId, Traces, UserId, audit, without_the_person,
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Store;
use crate::access::ApiStore;
use crate::audit::{Caller, Done};
use crate::error::Error;
use crate::feed::optional_id;
use crate::lease;
use crate::session::{Engine, Many, Row, Session, Value, count, finish};
use crate::webhooks::without_answers;
use crate::writer::Act;

/// Events that are looked at in one step.
const EVENTS_AT_ONCE: u64 = 500;

/// Deliveries that are looked at in one step.
const DELIVERIES_AT_ONCE: u64 = 1_000;

/// After how long nobody has hold of anything any more that was said of the person before they were
/// deleted: an attempt to deliver something is given up sooner, and so is a request.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_mins(1);

/// Ids of one person. Each is one time that their provider deleted them and made them anew.
const FORMER_IDS_MAX: usize = 1_000;

/// What is being looked through, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The feed, and who is remembered as deleted.
    Events,
    /// What is brought to webhook endpoints, or was.
    Deliveries,
    /// The request log.
    Requests,
    /// What the files of an embedded database have left of what was overwritten.
    Files,
    /// Nothing any more.
    Done,
}

impl Stage {
    /// All of them, in their order.
    pub const ALL: [Stage; 5] =
        [Stage::Events, Stage::Deliveries, Stage::Requests, Stage::Files, Stage::Done];

    /// As it is kept, and told.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Events => "events",
            Stage::Deliveries => "deliveries",
            Stage::Requests => "requests",
            Stage::Files => "files",
            Stage::Done => "done",
        }
    }
}

impl std::str::FromStr for Stage {
    type Err = ();

    fn from_str(text: &str) -> Result<Stage, ()> {
        Stage::ALL.into_iter().find(|stage| stage.as_str() == text).ok_or(())
    }
}

/// How much was erased.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erased {
    /// Users that were still there, and were deleted.
    pub users: u64,
    /// Times that somebody is remembered who was deleted.
    pub former_users: u64,
    /// Events.
    pub events: u64,
    /// Deliveries to webhook endpoints.
    pub deliveries: u64,
    /// Requests of providers.
    pub requests: u64,
}

/// The erasure of a person. When it is done this is the receipt, and says nothing of them but ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// Its id.
    pub id: ErasureId,
    /// Whose directory it was.
    pub organization_id: OrganizationId,
    /// Where.
    pub directory_id: DirectoryId,
    /// Who.
    pub user_id: UserId,
    /// All ids that they had.
    pub user_ids: Vec<UserId>,
    /// When it was asked for.
    pub begun_at: Timestamp,
    /// By whom: what kind of somebody, their id and what they were called.
    pub asked_by: (String, Option<String>, Option<String>),
    /// In which request.
    pub request_id: Option<RequestId>,
    /// What is being looked through.
    pub stage: Stage,
    /// How much was erased until now.
    pub erased: Erased,
    /// When it was done.
    pub finished_at: Option<Timestamp>,
}

/// An erasure, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Job {
    erasure: Erasure,
    /// From where the stage goes on; empty at its beginning.
    place: String,
    traces: Traces,
}

/// What a step is to do. It is done where nothing else was done since it was looked up.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    holder: String,
    now: Timestamp,
    id: ErasureId,
    stage: Stage,
    place: String,
    /// Of the request log: what was done there, and where it goes on.
    requests: Option<Requests>,
}

/// What a step in the request log has come to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Requests {
    pub(crate) erased: u64,
    /// The last place that was looked at; `None` at the end.
    pub(crate) upto: Option<u64>,
}

/// The columns that [`job`] reads.
macro_rules! erasures {
    ($which:literal) => {
        concat!(
            "select e.erasure_id, d.organization_id, e.directory_id, e.user_ids, e.begun_at,
                    e.actor_type, e.actor_id, e.actor_name, e.request_id, e.stage, e.erased,
                    e.finished_at, e.place, e.traces
             from erasures e join directories d on d.directory_id = e.directory_id ",
            $which
        )
    };
}

fn job(row: &Row<'_>) -> Result<Job, Error> {
    let corrupt = |_: serde_json::Error| Error::Corrupt("an erasure cannot be read".to_owned());
    let ids: Vec<String> = serde_json::from_str(&row.text(3)?).map_err(corrupt)?;
    let user_ids: Vec<_> = ids.iter().filter_map(|id| ResourceId::parse(id)).collect();
    let traces = row.optional_text(13)?.map(|text| serde_json::from_str(&text));
    let no_id = || Error::Corrupt("an erasure is of nobody".to_owned());
    Ok(Job {
        erasure: Erasure {
            id: row.parsed(0)?,
            organization_id: row.parsed(1)?,
            directory_id: row.parsed(2)?,
            user_id: *user_ids.first().ok_or_else(no_id)?,
            user_ids,
            begun_at: row.time(4)?,
            asked_by: (row.text(5)?, row.optional_text(6)?, row.optional_text(7)?),
            request_id: optional_id(row.optional_text(8)?)?,
            stage: row
                .text(9)?
                .parse()
                .map_err(|()| Error::Corrupt("an erasure is at an unknown stage".to_owned()))?,
            erased: serde_json::from_str(&row.text(10)?).map_err(corrupt)?,
            finished_at: row.optional_time(11)?,
        },
        place: row.text(12)?,
        traces: traces.transpose().map_err(corrupt)?.unwrap_or_default(),
    })
}

impl ApiStore {
    /// Begins to erase a person, and everybody whom the feed tells to be who they were before; says how
    /// far that is. Where it was begun before, nothing is begun anew.
    ///
    /// # Errors
    ///
    /// [`Rejection::UnknownUser`] where nobody has, or had, this id.
    pub async fn erase_user(
        &self,
        directory_id: DirectoryId,
        user_id: UserId,
    ) -> Result<Erasure, Error> {
        if self.organization_of(directory_id).await?.is_none() {
            return Err(Rejection::UnknownDirectory(directory_id).into());
        }
        let inner = self.inner();
        let begun = move |session: &mut Session| finish(of_user(session, directory_id, user_id));
        if let Some(erasure) = inner.readers.read(begun).await? {
            return Ok(erasure);
        }
        let look = move |session: &mut Session| finish(former_ids(session, directory_id, user_id));
        let former_ids = inner.readers.read(look).await?;
        let former_ids = former_ids.ok_or_else(|| Rejection::UnknownUser(user_id.to_string()))?;
        let erasure_id = ErasureId::new(inner.environment.ids.as_ref());
        let erase = EraseUser { id: user_id, erasure_id, former_ids };
        inner.writer.change(directory_id, erase, self.caller()).await?;
        let found = inner.readers.read(begun).await?;
        found.ok_or_else(|| Error::Corrupt("an erasure is not where it was".to_owned()))
    }

    /// An erasure, or its receipt.
    pub async fn erasure(&self, id: ErasureId) -> Result<Option<Erasure>, Error> {
        let read = move |session: &mut Session| {
            let sql = erasures!("where e.erasure_id = $1");
            let values = [Value::Text(&id.to_string())];
            finish(session.first("reading a receipt", sql, &values, job))
        };
        let found = self.inner().readers.read_key(read).await?.map(|job| job.erasure);
        Ok(found.filter(|it| self.may_see(it.organization_id)))
    }

    /// Erasures and receipts, the latest first.
    pub async fn erasures(
        &self,
        before: Option<ErasureId>,
        count_max: u64,
    ) -> Result<Vec<Erasure>, Error> {
        let organization_id = self.bound_to().map(|id| id.to_string());
        // After all ids, as text.
        let before = before.map_or_else(|| "~".to_owned(), |id| id.to_string());
        let read = move |session: &mut Session| {
            let sql = erasures!(
                "where e.erasure_id < $1 and (cast($2 as text) is null or d.organization_id = $2)
                 order by e.erasure_id desc limit $3"
            );
            let organization_id = Value::OptionalText(organization_id.as_deref());
            let values = [Value::Text(&before), organization_id, count(count_max)];
            finish(session.all("reading receipts", sql, &values, job))
        };
        let found = self.inner().readers.read(read).await?;
        Ok(found.into_iter().map(|job| job.erasure).collect())
    }
}

impl Store {
    /// Takes a step of the oldest erasure that can go on. Says 0 where there is none, or another node
    /// takes it; and where readers hold up what is left to be done.
    ///
    /// `holder` names this node among those that share the database.
    pub async fn erase(&self, holder: &str) -> Result<u64, Error> {
        let now = self.inner.environment.clock.now();
        let next = move |session: &mut Session| {
            let sql = erasures!(
                "where e.finished_at is null and (e.stage = 'events' or e.begun_at <= $1)
                 order by e.begun_at, e.erasure_id limit 1"
            );
            let settled = Value::Time(now - SETTLED_AFTER);
            finish(session.first("looking for whom to erase", sql, &[settled], job))
        };
        let Some(Job { erasure, place, traces }) = self.inner.readers.read(next).await? else {
            return Ok(0);
        };
        let requests = match erasure.stage {
            Stage::Requests => {
                let after = place.parse().unwrap_or(0);
                Some(
                    self.inner
                        .requests
                        .erase(erasure.id, erasure.directory_id, traces, after)
                        .await?,
                )
            }
            Stage::Files => {
                // Names are gone from the row by now, and from the log with all else.
                if !self.clean_files().await? {
                    return Ok(0);
                }
                None
            }
            _ => None,
        };
        let step = Step {
            holder: holder.to_owned(),
            now,
            id: erasure.id,
            stage: erasure.stage,
            place,
            requests,
        };
        self.inner.writer.act(Act::Erase(step)).await
    }

    /// Leaves nothing in the files of an embedded database that is not in a row; says whether that was done.
    async fn clean_files(&self) -> Result<bool, Error> {
        self.inner.requests.scrub().await?;
        self.inner.writer.scrub().await?;
        Ok(self.inner.requests.empty_log().await? && self.inner.writer.empty_log().await?)
    }
}

/// The erasure of somebody, where it was begun.
async fn of_user(
    session: &mut Session,
    directory_id: DirectoryId,
    user_id: UserId,
) -> Result<Option<Erasure>, Error> {
    let sql = erasures!("where e.directory_id = $1 and e.user_id = $2");
    let (directory_id, user_id) = (directory_id.to_string(), user_id.to_string());
    let values = [Value::Text(&directory_id), Value::Text(&user_id)];
    let found = session.first("looking for an erasure", sql, &values, job).await?;
    Ok(found.map(|job| job.erasure))
}

/// Who somebody was before they were deleted and came back, the latest first: those whom the events
/// name, and those who are remembered by the same name or `externalId`. `None` where nobody has or had
/// the id.
async fn former_ids(
    session: &mut Session,
    directory_id: DirectoryId,
    user_id: UserId,
) -> Result<Option<Vec<UserId>>, Error> {
    const DOING: &str = "looking who somebody was before";

    session.begin_reading()?;
    let directory = directory_id.to_string();
    let mut ids: Vec<UserId> = Vec::new();
    let mut next = Some(user_id);
    let mut is_known = false;
    while let Some(id) = next {
        let text = id.to_string();
        let values = [Value::Text(&directory), Value::Text(&text)];
        let sql = "select 1 from users where directory_id = $1 and user_id = $2
                   union all
                   select 1 from former_users where directory_id = $1 and user_id = $2
                   union all
                   select 1 from (select 1 from events where resource_id = $2 and resource_id <> ''
                                      and directory_id = $1 and type like 'directory.user.%'
                                  limit 1) events_";
        is_known |= session.first(DOING, sql, &values, |_| Ok(())).await?.is_some();
        let sql = "select e.other_id from events e
                   where e.resource_id = $2 and e.resource_id <> '' and e.directory_id = $1
                       and e.type = 'directory.user.created' and e.other_id is not null
                   union
                   select f.user_id
                   from (select user_name_key, external_id from users
                         where directory_id = $1 and user_id = $2
                         union all
                         select user_name_key, external_id from former_users
                         where directory_id = $1 and user_id = $2) it
                       join former_users f on f.directory_id = $1
                           and f.user_name_key = it.user_name_key
                   where f.user_id < $2
                   union
                   select f.user_id
                   from (select external_id from users
                         where directory_id = $1 and user_id = $2
                         union all
                         select external_id from former_users
                         where directory_id = $1 and user_id = $2) it
                       join former_users f on f.directory_id = $1
                           and f.external_id = it.external_id and f.external_id is not null
                   where f.user_id < $2";
        let found = session.all(DOING, sql, &values, |row| row.resource_id(0)).await?;
        for former in found {
            if former != user_id && !ids.contains(&former) && ids.len() < FORMER_IDS_MAX {
                ids.push(former);
            }
        }
        // Each of them in its turn.
        let place = ids.iter().position(|it| *it == id).map_or(0, |place| place + 1);
        next = ids.get(place).copied();
    }
    session.roll_back().await?;
    Ok(is_known.then_some(ids))
}

/// Forgets what waits of somebody, and what they have lost lately: that they are erased was told, and
/// nothing more is. From the moment on in which that is: a brake that is pulled a little later would tell the
/// app of them again, and a hold that is approved, that they are gone.
async fn forget_what_waits(
    session: &mut Session,
    directory_id: &str,
    user_id: &str,
) -> Result<(), Error> {
    let values = [Value::Text(directory_id), Value::Text(user_id)];
    for sql in [
        "delete from held_emails where directory_id = $1 and resource_id = $2",
        "delete from held_resources where directory_id = $1 and resource_id = $2",
        "delete from held_memberships where directory_id = $1 and member_id = $2",
        "delete from held_roles where directory_id = $1 and user_id = $2",
        "delete from recent_losses
         where directory_id = $1 and (resource_id = $2 or member_id = $2)",
    ] {
        session.run("forgetting what waits of a person", sql, &values).await?;
    }
    Ok(())
}

/// Keeps that a person is to be erased. Where that was kept before, it goes on as it was.
pub(crate) async fn begin(
    session: &mut Session,
    directory_id: DirectoryId,
    change: &ErasureChange,
    at: Timestamp,
    caller: &Caller,
) -> Result<(), Error> {
    let id = change.id().to_string();
    let directory_id = directory_id.to_string();
    let user_id = change.user_id().to_string();
    let user_ids: Vec<_> = change.user_ids().iter().map(ToString::to_string).collect();
    for id in &user_ids {
        forget_what_waits(session, &directory_id, id).await?;
    }
    let (actor_type, actor_id) = caller.cause.by.parts();
    let request_id = caller.cause.request_id.map(|id| id.to_string());
    let erased = Erased { users: change.is_deleted().into(), ..Erased::default() };
    session
        .run(
            "keeping that a person is to be erased",
            "insert into erasures
             (erasure_id, directory_id, user_id, user_ids, begun_at, actor_type, actor_id,
              actor_name, request_id, stage, place, erased)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'events', '', $10)
             on conflict (directory_id, user_id) do nothing",
            &[
                Value::Text(&id),
                Value::Text(&directory_id),
                Value::Text(&user_id),
                Value::Text(&json!(user_ids).to_string()),
                Value::Time(at),
                Value::Text(actor_type),
                Value::OptionalText(actor_id.as_deref()),
                Value::OptionalText(caller.name.as_deref()),
                Value::OptionalText(request_id.as_deref()),
                Value::Text(&json!(erased).to_string()),
            ],
        )
        .await
        .map(drop)
}

impl Step {
    /// Does it, in a transaction with how far the erasure is.
    pub(crate) async fn keep(&self, session: &mut Session) -> Result<Done, Error> {
        if !lease::hold(session, "erase people", &self.holder, self.now).await? {
            return Ok(Done::bookkeeping(0));
        }
        let id = self.id.to_string();
        let sql = erasures!("where e.erasure_id = $1");
        let found = session.first("loading an erasure", sql, &[Value::Text(&id)], job).await?;
        let is_next = |job: &Job| job.erasure.stage == self.stage && job.place == self.place;
        // Somebody else took the step.
        let Some(mut job) = found.filter(is_next) else { return Ok(Done::bookkeeping(1)) };
        match self.stage {
            Stage::Events => job.erase_events(session).await?,
            Stage::Deliveries => job.erase_deliveries(session).await?,
            Stage::Requests => job.note_requests(self.requests),
            Stage::Files => {
                job.go_on_with(Stage::Done);
                job.erasure.finished_at = Some(self.now);
            }
            Stage::Done => {}
        }
        job.keep(session).await?;
        let Erasure { id, directory_id, user_id, erased, stage, .. } = job.erasure;
        if stage == Stage::Done {
            let entry = audit::of_erased(id, directory_id, user_id, &json!(erased));
            return Ok(Done::told(1, entry));
        }
        Ok(Done::bookkeeping(1))
    }
}

impl Job {
    fn go_on_with(&mut self, stage: Stage) {
        self.erasure.stage = stage;
        self.place.clear();
        if matches!(stage, Stage::Files | Stage::Done) {
            // Nobody is looked for by them any more.
            self.traces = Traces::default();
        }
    }

    async fn keep(&self, session: &mut Session) -> Result<(), Error> {
        let is_over = self.traces == Traces::default();
        let traces = serde_json::to_string(&self.traces).expect("names can be printed");
        let finished_at = self.erasure.finished_at.map(Timestamp::as_microsecond);
        session
            .run(
                "keeping how far an erasure is",
                "update erasures
                 set stage = $2, place = $3, erased = $4, traces = $5,
                     finished_at = nullif(cast($6 as bigint), 0)
                 where erasure_id = $1",
                &[
                    Value::Text(&self.erasure.id.to_string()),
                    Value::Text(self.erasure.stage.as_str()),
                    Value::Text(&self.place),
                    Value::Text(&json!(self.erasure.erased).to_string()),
                    Value::OptionalText((!is_over).then_some(&traces)),
                    Value::Integer(finished_at.unwrap_or(0)),
                ],
            )
            .await
            .map(drop)
    }

    /// Takes the person out of some of their events, and notes what they were called there. The place
    /// is which of their ids, and after which number.
    async fn erase_events(&mut self, session: &mut Session) -> Result<(), Error> {
        const UPDATE: Many<3> = Many {
            doing: "erasing a person from events",
            sqlite: "update events set data = $3 where directory_id = $1 and position = $2",
            postgres: "update events e set data = it.data
                       from unnest($1::text[], $2::bigint[], $3::text[])
                           as it (directory_id, number, data)
                       where e.directory_id = it.directory_id and e.number = it.number",
        };
        // What an older program keeps does not say whom it is about.
        macro_rules! events {
            ($key:literal) => {
                concat!(
                    "select number, event_key, data from
                     (select number, ", $key, " as event_key, data from events
                      where resource_id = $1 and resource_id <> '' and directory_id = $2
                          and number > $3 order by number limit $4) found_
                     union all
                     select number, event_key, data from
                     (select number, ", $key, " as event_key, data from events
                      where resource_id is null and directory_id = $2 and number > $3
                          and data like '%' || $1 || '%' order by number limit $4) looked_through_
                     order by number limit $4"
                )
            };
        }
        let directory = self.erasure.directory_id.to_string();
        let (place, after) = self.place.split_once(' ').unwrap_or(("0", "0"));
        let (place, after): (usize, u64) = (place.parse().unwrap_or(0), after.parse().unwrap_or(0));
        if self.place.is_empty() {
            self.traces = Traces::of(&self.erasure.user_ids);
        }
        let Some(id) = self.erasure.user_ids.get(place).map(ToString::to_string) else {
            self.go_on_with(Stage::Deliveries);
            return Ok(());
        };
        if after == 0 {
            self.forget_former_user(session, &directory, &id).await?;
        }
        let sql = match session.engine() {
            Engine::Sqlite => events!("position"),
            Engine::Postgres => events!("number"),
        };
        let values =
            [Value::Text(&id), Value::Text(&directory), count(after), count(EVENTS_AT_ONCE)];
        let read = |row: &Row<'_>| Ok((row.number(0)?, row.number(1)?, row.text(2)?));
        let events = session.all("reading events of a person", sql, &values, read).await?;
        let mut erased = Vec::new();
        for (_, key, data) in &events {
            if is_of(data, &[id.as_str()]) {
                self.traces.note_event(data);
                erased.extend(without_the_person(data).map(|left| (*key, left)));
            }
        }
        let rows: Vec<_> = erased
            .iter()
            .map(|(key, left)| [Value::Text(&directory), count(*key), Value::Text(left)])
            .collect();
        session.run_each(&UPDATE, &rows).await?;
        self.erasure.erased.events += rows.len() as u64;
        self.place = match events.last() {
            Some((number, ..)) if events.len() as u64 == EVENTS_AT_ONCE => {
                format!("{place} {number}")
            }
            _ => format!("{} 0", place + 1),
        };
        Ok(())
    }

    /// Forgets that somebody was there who was deleted.
    async fn forget_former_user(
        &mut self,
        session: &mut Session,
        directory: &str,
        id: &str,
    ) -> Result<(), Error> {
        let values = [Value::Text(directory), Value::Text(id)];
        let sql = "delete from former_users where directory_id = $1 and user_id = $2
                   returning user_name_key, external_id";
        let read = |row: &Row<'_>| Ok((row.text(0)?, row.optional_text(1)?));
        for (name, external_id) in
            session.all("forgetting a former user", sql, &values, read).await?
        {
            self.traces.note(&name);
            self.traces.note(&external_id.unwrap_or_default());
            self.erasure.erased.former_users += 1;
        }
        Ok(())
    }

    /// Takes the person out of some deliveries, and out of what endpoints answered that names them. The
    /// place is that of the latest delivery that was looked at.
    async fn erase_deliveries(&mut self, session: &mut Session) -> Result<(), Error> {
        const UPDATE: Many<4> = Many {
            doing: "erasing a person from deliveries",
            sqlite: "update webhook_deliveries set data = $3, attempts = $4
                     where endpoint_id = $1 and delivery_id = $2",
            postgres: "update webhook_deliveries d set data = it.data, attempts = it.attempts
                       from unnest($1::text[], $2::text[], $3::text[], $4::text[])
                           as it (endpoint_id, delivery_id, data, attempts)
                       where d.endpoint_id = it.endpoint_id and d.delivery_id = it.delivery_id",
        };
        struct Kept {
            endpoint: String,
            delivery: String,
            data: Option<String>,
            /// Nothing of another directory.
            attempts: Option<String>,
        }
        let search = self.traces.search();
        let ids: Vec<_> = self.erasure.user_ids.iter().map(ToString::to_string).collect();
        let ids: Vec<_> = ids.iter().map(String::as_str).collect();
        let (endpoint, delivery) = self.place.split_once(' ').unwrap_or_default();
        let directory = self.erasure.directory_id.to_string();
        let sql = "select endpoint_id, delivery_id,
                          case when directory_id = $3 then data end,
                          case when directory_id = $3 then attempts end
                   from webhook_deliveries where (endpoint_id, delivery_id) > ($1, $2)
                   order by endpoint_id, delivery_id limit $4";
        let values = [
            Value::Text(endpoint),
            Value::Text(delivery),
            Value::Text(&directory),
            count(DELIVERIES_AT_ONCE),
        ];
        let read = |row: &Row<'_>| {
            Ok(Kept {
                endpoint: row.text(0)?,
                delivery: row.text(1)?,
                data: row.optional_text(2)?,
                attempts: row.optional_text(3)?,
            })
        };
        let kept = session.all("reading deliveries", sql, &values, read).await?;
        let mut erased = Vec::new();
        for it in &kept {
            let Some(attempts) = &it.attempts else { continue };
            let is_theirs = it.data.as_deref().is_some_and(|data| is_of(data, &ids));
            let left = it.data.as_deref().filter(|_| is_theirs).and_then(without_the_person);
            let is_named = search.finds(attempts);
            if left.is_some() || is_named {
                let silent = if is_named { without_answers(attempts)? } else { attempts.clone() };
                erased.push((it, left.or_else(|| it.data.clone()), silent));
            }
        }
        let rows: Vec<_> = erased
            .iter()
            .map(|(it, data, attempts)| {
                [
                    Value::Text(&it.endpoint),
                    Value::Text(&it.delivery),
                    Value::OptionalText(data.as_deref()),
                    Value::Text(attempts),
                ]
            })
            .collect();
        session.run_each(&UPDATE, &rows).await?;
        self.erasure.erased.deliveries += rows.len() as u64;
        match kept.last() {
            Some(last) if kept.len() as u64 == DELIVERIES_AT_ONCE => {
                self.place = format!("{} {}", last.endpoint, last.delivery);
            }
            _ => self.go_on_with(Stage::Requests),
        }
        Ok(())
    }

    /// Notes what was done in the request log, which is kept elsewhere.
    fn note_requests(&mut self, done: Option<Requests>) {
        let Some(done) = done else { return };
        self.erasure.erased.requests += done.erased;
        match done.upto {
            Some(upto) => self.place = upto.to_string(),
            None => self.go_on_with(Stage::Files),
        }
    }
}

/// Whether an event is of one of these users.
fn is_of(data: &str, ids: &[&str]) -> bool {
    let Ok(data) = serde_json::from_str::<serde_json::Value>(data) else { return false };
    data.pointer("/user/id").and_then(|id| id.as_str()).is_some_and(|id| ids.contains(&id))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{migrations, sqlite};

    /// What each table says of people who use the app, and what becomes of that. A new table is to say so
    /// too: what it says of people goes with them.
    const TABLES: &[(&str, &str)] = &[
        ("api_keys", "nothing"),
        ("assignments", "goes with the user"),
        ("attribute_uses", "nothing: names of attributes"),
        ("audit", "ids"),
        ("catalogue", "nothing"),
        ("catalogue_ordinals", "nothing"),
        ("contacts", "nothing"),
        ("directories", "nothing"),
        ("directory_clients", "nothing: names of attributes and of programs"),
        ("directory_quirks", "nothing"),
        ("directory_schemas", "nothing: names of attributes"),
        ("domain_checks", "nothing"),
        ("email_keys", "goes with the user"),
        ("erasures", "ids; names while it is not done"),
        ("events", "erased"),
        ("feed", "nothing"),
        ("former_users", "erased"),
        ("groups", "nothing: members have rows of their own"),
        ("guards", "nothing"),
        ("held_emails", "erased"),
        ("held_memberships", "erased"),
        ("held_resources", "erased"),
        ("held_roles", "erased"),
        ("holds", "nothing"),
        ("idempotency_keys", "sealed with what only the sender has, and gone after a day"),
        ("leases", "nothing"),
        ("member_sessions", "nothing: members are people of the vendor"),
        ("members", "nothing: they are people of the vendor"),
        ("memberships", "goes with the user"),
        ("migrations", "nothing"),
        ("oauth_clients", "nothing"),
        ("oauth_secrets", "nothing"),
        ("organizations", "nothing"),
        ("outsiders", "goes with the user"),
        ("portal_links", "nothing"),
        ("receipts", "ids"),
        ("recent_losses", "erased"),
        ("role_mappings", "whom the vendor protects: that is the vendor's to change"),
        ("branding", "nothing"),
        ("team", "nothing"),
        ("tokens", "nothing"),
        ("users", "deleted"),
        ("webhook_deliveries", "erased"),
        ("webhook_endpoints", "nothing"),
        ("webhook_lanes", "nothing"),
        ("webhook_secrets", "nothing"),
        // In a file of their own.
        ("request_bodies", "erased"),
        ("request_subjects", "erased: digests of names"),
        ("requests", "erased"),
    ];

    #[test]
    fn of_every_table_it_is_known_what_it_says_of_people() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("roster.db");
        let mut session = sqlite::open_writer(&path).unwrap();
        finish(migrations::migrate(&mut session, Timestamp::UNIX_EPOCH)).unwrap();
        let mut requests = sqlite::open_requests(&path).unwrap();
        let mut found = BTreeSet::new();
        for session in [&mut session, &mut requests] {
            let sql = "select name from sqlite_schema where type = 'table'";
            found.extend(finish(session.all("", sql, &[], |row| row.text(0))).unwrap());
        }
        let known: BTreeSet<_> = TABLES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(found, known);
    }
}
