//! Whoever looks at a directory: somebody in the portal of its organization, or a member who is signed in
//! to the dashboard. The pages of a directory are the same for both; what they may see and do there,
//! this knows.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use directory::secret::SecretHash;
use directory::{ApiScope, DirectoryId, OrganizationId, PortalFeature, PortalLinkId};
use store::{Access, ApiStore, DirectoryStore};

use crate::Counter;
use crate::pages::Stop;
use crate::pages::dashboard::{self, Dashboard, SignedIn};
use crate::pages::directory::connection::Connection;
use crate::pages::form::Form;
use crate::pages::parts::Frame;
use crate::pages::portal::{Inside, Portal};
use crate::problem::Problem;

/// Somebody before a page of a directory. A handler that takes one is never run for anybody else: the
/// directory is one of the organization that the address names, and what the page is for was
/// allowed.
pub(crate) struct Visitor {
    pub(crate) store: ApiStore,
    pub(crate) counter: Arc<Counter>,
    pub(crate) frame: Frame,
    pub(crate) form: Form,
    pub(crate) reader: Reader,
    /// The directory.
    pub(crate) connection: Connection,
    pub(crate) organization_id: OrganizationId,
    /// What let them in.
    pub(crate) opened: Opened,
}

/// What let somebody in, for pages that stay open: it is looked again and again whether it still does.
#[derive(Clone)]
pub(crate) enum Opened {
    /// Of a link, in the browser that shows this.
    Link(PortalLinkId, SecretHash),
    /// Of whoever is signed in with this.
    Session(SecretHash),
}

impl Opened {
    /// What it opens now.
    pub(crate) async fn store(&self, access: &Access) -> Result<Option<ApiStore>, store::Error> {
        match self {
            Opened::Link(link, session) => access.portal(*link, session).await,
            Opened::Session(session) => access.dashboard(session).await,
        }
    }
}

/// What a page says of its reader: where they are, and what is shown to them.
#[derive(Clone)]
pub(crate) struct Reader {
    pub(crate) within: Within,
    /// Whose directory it is.
    pub(crate) organization: String,
    /// The page among those of a directory: the word behind its address.
    pub(crate) section: String,
}

/// In which of the two the reader is, with what all of its pages have.
#[derive(Clone)]
pub(crate) enum Within {
    Portal(Inside),
    /// And the address of the organization.
    Dashboard(SignedIn, String),
}

impl Reader {
    /// Where the directory is listed among others.
    pub(crate) fn home(&self) -> &str {
        match &self.within {
            Within::Portal(inside) => &inside.home,
            Within::Dashboard(_, organization) => organization,
        }
    }

    /// Whether they see this part of a directory. Every member sees all of it.
    pub(crate) fn sees(&self, feature: PortalFeature) -> bool {
        match &self.within {
            Within::Portal(inside) => inside.has(feature),
            Within::Dashboard(..) => true,
        }
    }

    /// Whether a form shall be shown: their link opens the part that it belongs to, or a key of what
    /// they are could do the same.
    pub(crate) fn may(&self, feature: PortalFeature, scope: ApiScope) -> bool {
        match &self.within {
            Within::Portal(inside) => inside.has(feature),
            Within::Dashboard(signed_in, _) => signed_in.may(scope),
        }
    }

    /// The same of what the portal has not.
    pub(crate) fn may_as_member(&self, scope: ApiScope) -> bool {
        matches!(&self.within, Within::Dashboard(signed_in, _) if signed_in.may(scope))
    }

    /// What the frame of the portal shows, where they are in it.
    pub(crate) fn inside(&self) -> Option<&Inside> {
        match &self.within {
            Within::Portal(inside) => Some(inside),
            Within::Dashboard(..) => None,
        }
    }

    /// What the frame of the dashboard shows, where they are in it.
    pub(crate) fn signed_in(&self) -> Option<&SignedIn> {
        match &self.within {
            Within::Dashboard(signed_in, _) => Some(signed_in),
            Within::Portal(_) => None,
        }
    }

    /// Whether they are a member of the vendor's, who is told no more to ask the vendor.
    pub(crate) fn is_member(&self) -> bool {
        matches!(self.within, Within::Dashboard(..))
    }

    /// Whether this is the page, for the one tab that says where the reader is.
    pub(crate) fn is_at(&self, section: &str) -> bool {
        self.section == section
    }
}

impl Visitor {
    /// The people and groups of the directory.
    pub(crate) async fn open(&self) -> Result<DirectoryStore, Stop> {
        self.store.open(self.connection.id).await?.ok_or_else(unknown)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor
where
    Arc<Counter>: FromRef<S>,
{
    type Rejection = Stop;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Visitor, Stop> {
        if parts.uri.path().starts_with("/portal/") {
            let Portal { store, counter, frame, inside, organization_id, form, opened } =
                Portal::from_request_parts(parts, state).await?;
            let reader = Reader {
                organization: inside.organization.clone(),
                section: inside.section.clone(),
                within: Within::Portal(inside),
            };
            let address = Address::of(parts, 4)?;
            let home = reader.home().to_owned();
            let connection = address.connection(&store, &counter, organization_id, &home).await?;
            let opened = Opened::Link(opened.0, opened.1);
            let visitor = Visitor {
                store,
                counter,
                frame,
                form,
                reader,
                connection,
                organization_id,
                opened,
            };
            return Ok(visitor);
        }
        let Dashboard { store, counter, frame, signed_in, form } =
            Dashboard::from_request_parts(parts, state).await?;
        let unknown = || Stop::from(Problem::not_found("organization"));
        let named = parts.uri.path().split('/').nth(3).unwrap_or_default();
        let organization_id: OrganizationId = named.parse().map_err(|_| unknown())?;
        let organization = store.organization(organization_id).await?.ok_or_else(unknown)?;
        let home = format!("/dashboard/organizations/{organization_id}");
        let address = Address::of(parts, 5)?;
        let connection = address.connection(&store, &counter, organization_id, &home).await?;
        let session = dashboard::session_of(&parts.headers).unwrap_or_default();
        let opened = Opened::Session(SecretHash::of(session));
        let reader = Reader {
            organization: organization.name,
            section: address.section,
            within: Within::Dashboard(signed_in, home),
        };
        Ok(Visitor { store, counter, frame, form, reader, connection, organization_id, opened })
    }
}

/// The end of the address of a page: the directory, and which of its pages.
struct Address {
    id: DirectoryId,
    section: String,
}

impl Address {
    /// `at`: which part of the path names the directory.
    fn of(parts: &Parts, at: usize) -> Result<Address, Stop> {
        let mut named = parts.uri.path().split('/').skip(at);
        let id = named.next().unwrap_or_default().parse().map_err(|_| unknown())?;
        Ok(Address { id, section: named.next().unwrap_or_default().to_owned() })
    }

    /// A directory of another organization is as unknown as none.
    async fn connection(
        &self,
        store: &ApiStore,
        counter: &Counter,
        of: OrganizationId,
        home: &str,
    ) -> Result<Connection, Stop> {
        let found = store.directory(self.id).await?;
        let found = found.filter(|it| it.directory.organization_id == of).ok_or_else(unknown)?;
        Ok(Connection::new(home, found, counter.access.now()))
    }
}

fn unknown() -> Stop {
    Problem::not_found("directory").into()
}
