//! Links to the portal, and the browsers that opened them.
//!
//! A link is bound to a browser by the writer, where of two that open it together one is the first.
//! What is done with it is done in its name: events say so as the cause.

use std::sync::Arc;

use directory::audit::{self, Action};
use directory::event::{PortalLinkEvent, of_portal_link};
use directory::secret::{Secret, SecretHash};
use directory::{
    By, Cause, EventId, Moment, OrganizationId, PORTAL_LINKS_MAX, PortalFeatures, PortalLink,
    PortalLinkId, PortalLinkLife, PortalLinkState, Rejection,
};
use jiff::{SignedDuration, Timestamp};

use crate::access::{Access, ApiStore, Opener, USE_NOTED_EVERY, after};
use crate::administration::{Administration, organization_to_change};
use crate::audit::{Done, Origin};
use crate::error::Error;
use crate::feed;
use crate::session::{Row, Session, Value, count, finish};
use crate::writer::Act;

/// For how long a link is remembered after its end, with what was done with it.
const REMEMBERED_FOR: SignedDuration = SignedDuration::from_hours(400 * 24);

/// The columns of a link that are read everywhere.
macro_rules! columns {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            " link_id, organization_id, features, is_one_time, created_at, expires_at, opened_at, \
             last_used_at, revoked_at ",
            $after
        )
    };
}

/// What is kept of links.
#[derive(Clone, Debug)]
pub(crate) enum PortalAct {
    Create(PortalLink, SecretHash),
    /// Says until when it is bound to this browser, in microseconds; 0 where another was the first, or
    /// its time is over, and nothing is kept.
    Open {
        id: PortalLinkId,
        session: SecretHash,
        now: Timestamp,
    },
    Revoke(OrganizationId, PortalLinkId, Timestamp),
    Used(PortalLinkId, Timestamp),
}

/// What somebody finds who follows a link.
#[derive(Clone, Debug)]
pub struct FollowedLink {
    /// The link.
    pub link: PortalLink,
    /// What its organization is called.
    pub organization: String,
    state: PortalLinkState,
}

impl FollowedLink {
    /// What could be done with it when it was looked for.
    pub fn state(&self) -> PortalLinkState {
        self.state
    }
}

impl Access {
    /// The link with this secret, whatever its state; `None` where nobody has made it, or its
    /// organization is no more.
    pub async fn followed_link(
        &self,
        presented: &SecretHash,
    ) -> Result<Option<FollowedLink>, Error> {
        let hash = presented.clone();
        let read = move |session: &mut Session| {
            finish(session.first(
                "looking for a portal link",
                "select l.link_id, l.organization_id, l.features, l.is_one_time, l.created_at,
                        l.expires_at, l.opened_at, l.last_used_at, l.revoked_at, o.name
                 from portal_links l join organizations o on o.organization_id = l.organization_id
                 where l.hash = $1 and o.deleted_at is null",
                &[Value::Text(hash.as_str())],
                |row| Ok((portal_link(row)?, row.text(9)?)),
            ))
        };
        let found = self.inner().readers.read_credential(read).await?;
        let now = self.now();
        Ok(found.map(|(link, organization)| {
            let state = link.state(now);
            FollowedLink { link, organization, state }
        }))
    }

    /// Binds a link to the browser that shows this from now on. Says until when; `None` where another
    /// browser was the first, or the link's time is over.
    pub async fn open_link(
        &self,
        id: PortalLinkId,
        session: &Secret,
        origin: Origin,
    ) -> Result<Option<Timestamp>, Error> {
        let now = crate::to_the_microsecond(self.now());
        let open = PortalAct::Open { id, session: session.hash(), now };
        let open =
            Act::Administer(Administration::Portal(open), origin.caller(By::PortalLink(id), None));
        match i64::try_from(self.inner().writer.act(open).await?) {
            Ok(0) | Err(_) => Ok(None),
            Ok(until) => Ok(Timestamp::from_microsecond(until).ok()),
        }
    }

    /// Opens the portal of a link for the browser that it is bound to; `None` for every other, and
    /// from when on the link is taken back or its time is over.
    pub async fn portal(
        &self,
        id: PortalLinkId,
        presented: &SecretHash,
    ) -> Result<Option<ApiStore>, Error> {
        let hash = presented.clone();
        let read = move |session: &mut Session| {
            finish(session.first(
                "looking for who has opened a portal link",
                "select l.link_id, l.organization_id, l.features, l.is_one_time, l.created_at,
                        l.expires_at, l.opened_at, l.last_used_at, l.revoked_at
                 from portal_links l join organizations o on o.organization_id = l.organization_id
                 where l.session_hash = $1 and o.deleted_at is null",
                &[Value::Text(hash.as_str())],
                portal_link,
            ))
        };
        let found = self.inner().readers.read_credential(read).await?;
        let now = self.now();
        let is_good = |link: &PortalLink| link.id == id && link.state(now) == PortalLinkState::Open;
        let Some(link) = found.filter(is_good) else { return Ok(None) };
        if link.last_used_at.is_none_or(|last| now.duration_since(last) >= USE_NOTED_EVERY) {
            let used = Administration::Portal(PortalAct::Used(id, now));
            self.inner().writer.act_sometime(Act::Administer(used, Cause::server().into()));
        }
        Ok(Some(ApiStore::opened_by(self, Opener::Portal(Arc::new(link)))))
    }
}

impl ApiStore {
    /// The link of the browser that it was opened for.
    pub fn portal_link(&self) -> Option<&PortalLink> {
        match self.opener() {
            Opener::Portal(link) => Some(link),
            _ => None,
        }
    }

    /// Keeps a new link to the portal of an organization. The secret itself is not kept.
    pub async fn create_portal_link(
        &self,
        organization_id: OrganizationId,
        features: PortalFeatures,
        life: PortalLinkLife,
        secret: &Secret,
    ) -> Result<PortalLink, Error> {
        self.check_may_see(organization_id)?;
        let created_at = self.now();
        let link = PortalLink {
            id: PortalLinkId::new(self.inner().environment.ids.as_ref()),
            organization_id,
            features,
            is_one_time: life == PortalLinkLife::OneTime,
            created_at,
            expires_at: after(created_at, life.unopened())?,
            opened_at: None,
            last_used_at: None,
            revoked_at: None,
        };
        let create = PortalAct::Create(link.clone(), secret.hash());
        self.administer(Administration::Portal(create)).await?;
        Ok(link)
    }

    /// Takes a link back: from when this returns `Ok`, it opens nothing, also for whoever is inside.
    /// One that was taken back before stays so.
    pub async fn revoke_portal_link(
        &self,
        organization_id: OrganizationId,
        id: PortalLinkId,
    ) -> Result<PortalLink, Error> {
        self.check_may_see(organization_id)?;
        let revoke = PortalAct::Revoke(organization_id, id, self.now());
        self.administer(Administration::Portal(revoke)).await?;
        let found = self.portal_link_of(organization_id, id).await?;
        found.ok_or(Error::Rejected(Rejection::UnknownPortalLink(id)))
    }

    /// A link of an organization, by id.
    pub async fn portal_link_of(
        &self,
        organization_id: OrganizationId,
        id: PortalLinkId,
    ) -> Result<Option<PortalLink>, Error> {
        if self.organization(organization_id).await?.is_none() {
            return Err(Rejection::UnknownOrganization(organization_id).into());
        }
        let read = move |session: &mut Session| {
            finish(session.first(
                "loading a portal link",
                columns!("select", "from portal_links where organization_id = $1 and link_id = $2"),
                &[Value::Text(&organization_id.to_string()), Value::Text(&id.to_string())],
                portal_link,
            ))
        };
        self.inner().readers.read(read).await
    }

    /// The links of an organization, whatever their state, in the order of their creation.
    pub async fn portal_links(
        &self,
        organization_id: OrganizationId,
        later_than: Option<PortalLinkId>,
        count_max: u64,
    ) -> Result<Vec<PortalLink>, Error> {
        if self.organization(organization_id).await?.is_none() {
            return Err(Rejection::UnknownOrganization(organization_id).into());
        }
        let later_than = later_than.map(|id| id.to_string()).unwrap_or_default();
        let read = move |session: &mut Session| {
            finish(session.all(
                "loading portal links",
                columns!(
                    "select",
                    "from portal_links where organization_id = $1 and link_id > $2
                     order by link_id limit $3"
                ),
                &[
                    Value::Text(&organization_id.to_string()),
                    Value::Text(&later_than),
                    count(count_max),
                ],
                portal_link,
            ))
        };
        self.inner().readers.read(read).await
    }

    fn check_may_see(&self, id: OrganizationId) -> Result<(), Error> {
        if self.bound_to().is_none_or(|own| own == id) {
            Ok(())
        } else {
            Err(Rejection::UnknownOrganization(id).into())
        }
    }
}

impl PortalAct {
    pub(crate) async fn keep(
        &self,
        session: &mut Session,
        (moment, cause): (Moment<'_>, Cause),
    ) -> Result<Result<Done, Rejection>, Error> {
        match self {
            PortalAct::Create(link, hash) => create(session, link, hash, (moment, cause)).await,
            PortalAct::Open { id, session: browser, now } => {
                let until = after(*now, PortalLinkLife::ONE_TIME_OPENED)?;
                let sql = columns!(
                    "update portal_links
                     set opened_at = $2, session_hash = $3,
                         expires_at = case when is_one_time = 1 then $4 else expires_at end
                     where link_id = $1 and opened_at is null and revoked_at is null
                         and expires_at > $2
                     returning",
                    ""
                );
                let values = [
                    Value::Text(&id.to_string()),
                    Value::Time(*now),
                    Value::Text(browser.as_str()),
                    Value::Time(until),
                ];
                let opened =
                    session.all("opening a portal link", sql, &values, portal_link).await?;
                let Some(link) = opened.first() else { return Ok(Ok(Done::bookkeeping(0))) };
                let until = u64::try_from(link.expires_at.as_microsecond()).unwrap_or_default();
                let entry = audit::of_portal_link(Action::PortalLinkOpened, link);
                tell(session, opened, PortalLinkEvent::Opened, (moment, cause)).await?;
                Ok(Ok(Done::told(until, entry)))
            }
            PortalAct::Revoke(organization_id, id, now) => {
                let sql = columns!(
                    "update portal_links set revoked_at = $3
                     where organization_id = $1 and link_id = $2 and revoked_at is null
                     returning",
                    ""
                );
                let organization_id = organization_id.to_string();
                let values = [
                    Value::Text(&organization_id),
                    Value::Text(&id.to_string()),
                    Value::Time(*now),
                ];
                let gone = session.all("revoking a portal link", sql, &values, portal_link).await?;
                let Some(link) = gone.first() else { return Ok(Ok(Done::bookkeeping(0))) };
                let entry = audit::of_portal_link(Action::PortalLinkRevoked, link);
                tell(session, gone, PortalLinkEvent::Revoked, (moment, cause)).await?;
                Ok(Ok(Done::told(1, entry)))
            }
            PortalAct::Used(id, at) => {
                let sql = "update portal_links set last_used_at = $2 where link_id = $1
                           and (last_used_at is null or last_used_at <= $3)";
                let earlier = Value::Time(*at - USE_NOTED_EVERY);
                let values = [Value::Text(&id.to_string()), Value::Time(*at), earlier];
                session.run("noting the use of a portal link", sql, &values).await?;
                Ok(Ok(Done::bookkeeping(0)))
            }
        }
    }
}

async fn create(
    session: &mut Session,
    link: &PortalLink,
    hash: &SecretHash,
    (moment, cause): (Moment<'_>, Cause),
) -> Result<Result<Done, Rejection>, Error> {
    // It stays until the end of the transaction, so that nothing is left of one that is deleted.
    if organization_to_change(session, link.organization_id).await?.is_none() {
        return Ok(Err(Rejection::UnknownOrganization(link.organization_id)));
    }
    let organization_id = link.organization_id.to_string();
    let sql = "select count(*) from portal_links
               where organization_id = $1 and revoked_at is null and expires_at > $2";
    let values = [Value::Text(&organization_id), Value::Time(link.created_at)];
    let good = session.first("counting portal links", sql, &values, |row| row.number(0)).await?;
    if let Some(PORTAL_LINKS_MAX..) = good {
        return Ok(Err(Rejection::PortalLinksFull(PORTAL_LINKS_MAX)));
    }
    session
        .run(
            "keeping a new portal link",
            "insert into portal_links
             (link_id, organization_id, features, hash, is_one_time, created_at, expires_at)
             values ($1, $2, $3, $4, $5, $6, $7)",
            &[
                Value::Text(&link.id.to_string()),
                Value::Text(&organization_id),
                Value::Text(&link.features.to_string()),
                Value::Text(hash.as_str()),
                Value::Integer(link.is_one_time.into()),
                Value::Time(link.created_at),
                Value::Time(link.expires_at),
            ],
        )
        .await?;
    tell(session, vec![link.clone()], PortalLinkEvent::Created, (moment, cause)).await?;
    Ok(Ok(Done::told(1, audit::of_portal_link(Action::PortalLinkCreated, link))))
}

/// The links of an organization that is deleted go with it.
pub(crate) async fn forget_links(
    session: &mut Session,
    organization_id: OrganizationId,
    (moment, cause): (Moment<'_>, Cause),
) -> Result<(), Error> {
    let sql = columns!(
        "delete from portal_links where organization_id = $1
         returning",
        ""
    );
    let values = [Value::Text(&organization_id.to_string())];
    let mut gone = session.all("deleting portal links", sql, &values, portal_link).await?;
    gone.retain(|link| link.revoked_at.is_none() && moment.now < link.expires_at);
    tell(session, gone, PortalLinkEvent::Revoked, (moment, cause)).await
}

/// Lets links go that ended long ago; says how many.
pub(crate) async fn tidy_up(
    session: &mut Session,
    now: Timestamp,
    count_max: u64,
) -> Result<u64, Error> {
    let sql = "delete from portal_links where link_id in
               (select link_id from portal_links where expires_at <= $1 order by link_id limit $2)";
    let values = [Value::Time(now - REMEMBERED_FOR), count(count_max)];
    Ok(session.run("forgetting portal links", sql, &values).await? as u64)
}

/// The one place where it is told what became of links. They are of no directory, and so are the
/// events.
async fn tell(
    session: &mut Session,
    links: Vec<PortalLink>,
    kind: PortalLinkEvent,
    (moment, cause): (Moment<'_>, Cause),
) -> Result<(), Error> {
    for link in links {
        let draft = of_portal_link(&link, kind);
        feed::keep_of_server(session, EventId::new(moment.ids), &draft, moment.now, cause).await?;
    }
    Ok(())
}

fn portal_link(row: &Row<'_>) -> Result<PortalLink, Error> {
    Ok(PortalLink {
        id: row.parsed(0)?,
        organization_id: row.parsed(1)?,
        features: row.parsed(2)?,
        is_one_time: row.integer(3)? != 0,
        created_at: row.time(4)?,
        expires_at: row.time(5)?,
        opened_at: row.optional_time(6)?,
        last_used_at: row.optional_time(7)?,
        revoked_at: row.optional_time(8)?,
    })
}
