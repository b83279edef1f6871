//! The audit log: who did what on the vendor's side, with what, from where and when. An entry is kept in
//! the transaction of its act, so there is none of either without the other.

use std::net::IpAddr;
use std::sync::Arc;

use directory::audit::{Action, Entry, of_change};
use directory::{AuditId, By, Cause, Change, DirectoryId, Moment, OrganizationId, RequestId};
use jiff::Timestamp;
use serde_json::Value as Json;

use crate::access::ApiStore;
use crate::error::Error;
use crate::feed::optional_id;
use crate::session::{Row, Session, Value, count, finish};
use crate::writer::Act;

/// Who asks for something to be kept, and what that is caused by.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) cause: Cause,
    /// What they are called.
    pub(crate) name: Option<Arc<str>>,
    /// From where the request came, as far as that can be believed.
    pub(crate) address: Option<IpAddr>,
}

/// The request in which something is asked, and from where that came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin {
    /// Its name, which its answer has too.
    pub request_id: Option<RequestId>,
    /// From where, as far as that can be believed.
    pub address: Option<IpAddr>,
}

impl Origin {
    pub(crate) fn caller(self, by: By, name: Option<&str>) -> Caller {
        let cause = Cause::by(by, self.request_id);
        Caller { cause, name: name.map(Arc::from), address: self.address }
    }
}

impl From<Cause> for Caller {
    fn from(cause: Cause) -> Caller {
        Caller { cause, name: None, address: None }
    }
}

/// What was done, when an act is kept.
pub(crate) struct Done {
    /// How much of it there was, where that is of interest.
    pub(crate) count: u64,
    told: Told,
}

/// What the audit log says of an act. There is no act without one of these.
enum Told {
    /// This.
    Entry(Box<Entry>),
    /// What is computed of its change.
    ByItsChange,
    /// Nothing: it is nobody's, but bookkeeping of the server's own; or nothing was done.
    Nothing,
}

impl Done {
    pub(crate) fn told(count: u64, entry: Entry) -> Done {
        Done { count, told: Told::Entry(Box::new(entry)) }
    }

    /// The same, where anything was done.
    pub(crate) fn told_if_any(count: u64, entry: Entry) -> Done {
        if count == 0 { Done::bookkeeping(0) } else { Done::told(count, entry) }
    }

    pub(crate) fn told_by_its_change(count: u64) -> Done {
        Done { count, told: Told::ByItsChange }
    }

    pub(crate) fn bookkeeping(count: u64) -> Done {
        Done { count, told: Told::Nothing }
    }

    /// Keeps what there is to be said; says how much was done.
    pub(crate) async fn keep(
        self,
        session: &mut Session,
        moment: Moment<'_>,
        caller: &Caller,
    ) -> Result<u64, Error> {
        if let Told::Entry(entry) = self.told {
            keep(session, moment, moment.now, caller, &entry).await?;
        }
        Ok(self.count)
    }
}

/// Keeps what changes have to say.
pub(crate) async fn keep_changes<'c>(
    session: &mut Session,
    moment: Moment<'_>,
    changes: impl Iterator<Item = (DirectoryId, &'c Change, Timestamp, &'c Caller)>,
) -> Result<(), Error> {
    for (directory_id, change, at, caller) in changes {
        if let Some(entry) = of_change(directory_id, change, caller.cause.by) {
            keep(session, moment, at, caller, &entry).await?;
        }
    }
    Ok(())
}

async fn keep(
    session: &mut Session,
    moment: Moment<'_>,
    at: Timestamp,
    caller: &Caller,
    entry: &Entry,
) -> Result<(), Error> {
    let (actor_type, actor_id) = match caller.cause.by {
        By::ApiKey(id) => ("api_key", Some(id.to_string())),
        By::Operator => ("operator", None),
        By::Token(id) => ("token", Some(id.to_string())),
        By::Client(id) => ("oauth_client", Some(id.to_string())),
        By::PortalLink(id) => ("portal_link", Some(id.to_string())),
        By::Member(id) => ("member", Some(id.to_string())),
        By::Server => ("server", None),
    };
    let text = |it: &Option<Json>| it.as_ref().map(Json::to_string);
    let id = AuditId::new(moment.ids).to_string();
    let address = caller.address.map(|it| it.to_canonical().to_string());
    let request_id = caller.cause.request_id.map(|it| it.to_string());
    let organization_id = entry.organization_id.map(|it| it.to_string());
    let directory_id = entry.directory_id.map(|it| it.to_string());
    let (before, after) = (text(&entry.before), text(&entry.after));
    session
        .run(
            "keeping an entry of the audit log",
            "insert into audit
             (audit_id, occurred_at, actor_type, actor_id, actor_name, address, request_id, action,
              object_id, object_name, organization_id, directory_id, state_before, state_after)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
                     coalesce(cast($11 as text),
                              (select organization_id from directories where directory_id = $12)),
                     $12, $13, $14)",
            &[
                Value::Text(&id),
                Value::Time(at),
                Value::Text(actor_type),
                Value::OptionalText(actor_id.as_deref()),
                Value::OptionalText(caller.name.as_deref()),
                Value::OptionalText(address.as_deref()),
                Value::OptionalText(request_id.as_deref()),
                Value::Text(entry.action.as_str()),
                Value::OptionalText(entry.object_id.as_deref()),
                Value::OptionalText(entry.object_name.as_deref()),
                Value::OptionalText(organization_id.as_deref()),
                Value::OptionalText(directory_id.as_deref()),
                Value::OptionalText(before.as_deref()),
                Value::OptionalText(after.as_deref()),
            ],
        )
        .await
        .map(drop)
}

/// An entry, as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its id.
    pub id: AuditId,
    /// When.
    pub occurred_at: Timestamp,
    /// What kind of somebody did it: `api_key`, `member`, `portal_link`, `operator`; `server`, where
    /// nobody knows who it was.
    pub actor_type: String,
    /// Their id.
    pub actor_id: Option<String>,
    /// What they were called then.
    pub actor_name: Option<String>,
    /// From where.
    pub address: Option<String>,
    /// In which request.
    pub request_id: Option<RequestId>,
    /// What was done.
    pub action: Action,
    /// With what.
    pub object_id: Option<String>,
    /// What that was called then.
    pub object_name: Option<String>,
    /// Whose.
    pub organization_id: Option<OrganizationId>,
    /// Where.
    pub directory_id: Option<DirectoryId>,
    /// How it was, as JSON.
    pub before: Option<String>,
    /// How it was after that, as JSON.
    pub after: Option<String>,
}

/// Which entries.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Only what this key, member or link did.
    pub actor_id: Option<String>,
    /// Only what such did: `api_key`, `member`, `portal_link`, `operator`, `server`.
    pub actor_type: Option<String>,
    /// Only what was done with this.
    pub object_id: Option<String>,
    /// Only what concerns this one.
    pub organization_id: Option<OrganizationId>,
    /// Only this.
    pub action: Option<Action>,
    /// Only in this request.
    pub request_id: Option<RequestId>,
    /// Only from then on.
    pub since: Option<Timestamp>,
    /// Only before then.
    pub until: Option<Timestamp>,
}

/// Some entries, by the column that narrows them most.
macro_rules! entries {
    ($narrowed:literal) => {
        concat!(
            "select audit_id, occurred_at, actor_type, actor_id, actor_name, address, request_id,
                    action, object_id, object_name, organization_id, directory_id, state_before,
                    state_after
             from audit
             where ",
            $narrowed,
            " and audit_id < $1
                 and (cast($2 as text) is null or actor_id = $2)
                 and (cast($3 as text) is null or actor_type = $3)
                 and (cast($4 as text) is null or object_id = $4)
                 and (cast($5 as text) is null or organization_id = $5)
                 and (cast($6 as text) is null or action = $6)
                 and (cast($7 as text) is null or request_id = $7)
                 and occurred_at >= $8 and occurred_at < $9
             order by audit_id desc limit $10"
        )
    };
}

impl ApiStore {
    /// Entries of the audit log, the latest first, that the key may know of: those of its own
    /// organization, where it is bound to one.
    pub async fn audit(
        &self,
        filter: AuditFilter,
        before: Option<AuditId>,
        count_max: u64,
    ) -> Result<Vec<AuditRecord>, Error> {
        let organization_id = match (self.bound_to(), filter.organization_id) {
            (Some(own), Some(asked)) if own != asked => return Ok(Vec::new()),
            (own, asked) => own.or(asked).map(|id| id.to_string()),
        };
        // After all ids, as text.
        let before = before.map_or_else(|| "~".to_owned(), |id| id.to_string());
        let read = move |session: &mut Session| {
            let sql = match (&filter.request_id, &filter.object_id, &filter.actor_id) {
                (Some(_), ..) => entries!("request_id = $7"),
                (_, Some(_), _) => entries!("object_id = $4"),
                (.., Some(_)) => entries!("actor_id = $2"),
                _ if organization_id.is_some() => entries!("organization_id = $5"),
                _ => entries!("1 = 1"),
            };
            let time = |time: Option<Timestamp>, otherwise: i64| {
                Value::Integer(time.map_or(otherwise, Timestamp::as_microsecond))
            };
            let request_id = filter.request_id.map(|id| id.to_string());
            let values = [
                Value::Text(&before),
                Value::OptionalText(filter.actor_id.as_deref()),
                Value::OptionalText(filter.actor_type.as_deref()),
                Value::OptionalText(filter.object_id.as_deref()),
                Value::OptionalText(organization_id.as_deref()),
                Value::OptionalText(filter.action.map(Action::as_str)),
                Value::OptionalText(request_id.as_deref()),
                time(filter.since, i64::MIN),
                time(filter.until, i64::MAX),
                count(count_max),
            ];
            finish(session.all("reading the audit log", sql, &values, record))
        };
        self.0.readers.read(read).await
    }

    /// Notes that a request of a provider is carried out once more, whatever comes of it.
    pub async fn note_rerun(&self, id: RequestId, of: DirectoryId) -> Result<(), Error> {
        let entry = Entry::new(Action::RequestRepeated, id.to_string());
        let entry = Entry { directory_id: Some(of), ..entry };
        self.0.writer.act(Act::Note(Box::new(entry), self.caller())).await.map(drop)
    }

    /// Notes that the key was refused something. Nobody waits for that.
    pub fn note_refusal(&self, why: &str) {
        let entry =
            Entry { organization_id: self.bound_to(), ..Entry::new(Action::RequestRefused, None) };
        let entry = entry.states(None, Some(serde_json::json!({ "why": why })));
        self.0.writer.act_sometime(Act::Note(Box::new(entry), self.caller()));
    }
}

fn record(row: &Row<'_>) -> Result<AuditRecord, Error> {
    Ok(AuditRecord {
        id: row.parsed(0)?,
        occurred_at: row.time(1)?,
        actor_type: row.text(2)?,
        actor_id: row.optional_text(3)?,
        actor_name: row.optional_text(4)?,
        address: row.optional_text(5)?,
        request_id: optional_id(row.optional_text(6)?)?,
        action: row
            .text(7)?
            .parse()
            .map_err(|()| Error::Corrupt("an unknown action".to_owned()))?,
        object_id: row.optional_text(8)?,
        object_name: row.optional_text(9)?,
        organization_id: optional_id(row.optional_text(10)?)?,
        directory_id: optional_id(row.optional_text(11)?)?,
        before: row.optional_text(12)?,
        after: row.optional_text(13)?,
    })
}
