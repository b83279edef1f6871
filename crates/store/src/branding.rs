//! What the vendor's team has said of the looks of the pages. There is one, or none: then they look as the
//! server was told when it was started.

use directory::audit::{Looks, of_branding};

use crate::access::{Access, ApiStore};
use crate::administration::Administration;
use crate::audit::Done;
use crate::error::Error;
use crate::session::{Row, Session, Value, finish};

/// The looks of the pages, as they are kept. Whoever shows pages checks them, before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branding {
    /// What the vendor, or the app, is called.
    pub name: String,
    /// The accent colour, as `#0b62d6`.
    pub accent: String,
    /// A picture beside the name, in base 64.
    pub logo: Option<String>,
}

impl Branding {
    fn looks(&self) -> Looks<'_> {
        Looks { name: &self.name, accent: &self.accent, logo: self.logo.as_deref() }
    }
}

impl Access {
    /// The looks that the team has chosen, if it has.
    pub async fn branding(&self) -> Result<Option<Branding>, Error> {
        let read = |session: &mut Session| finish(kept(session));
        self.inner().readers.read_credential(read).await
    }
}

impl ApiStore {
    /// Keeps what the pages are to look like; `None` has them look as the server was told.
    pub async fn set_branding(&self, branding: Option<Branding>) -> Result<(), Error> {
        self.administer(Administration::SetBranding(branding)).await.map(drop)
    }
}

async fn kept(session: &mut Session) -> Result<Option<Branding>, Error> {
    let sql = "select name, accent, logo from branding";
    let branding = |row: &Row<'_>| {
        Ok(Branding { name: row.text(0)?, accent: row.text(1)?, logo: row.optional_text(2)? })
    };
    session.first("looking what the pages look like", sql, &[], branding).await
}

pub(crate) async fn set(session: &mut Session, branding: Option<&Branding>) -> Result<Done, Error> {
    let before = kept(session).await?;
    if before.as_ref() == branding {
        return Ok(Done::bookkeeping(0));
    }
    match branding {
        None => {
            session.run("forgetting what the pages look like", "delete from branding", &[]).await?;
        }
        Some(Branding { name, accent, logo }) => {
            let sql = "insert into branding (one, name, accent, logo) values (1, $1, $2, $3)
                       on conflict (one) do update set
                       name = excluded.name, accent = excluded.accent, logo = excluded.logo";
            let values =
                [Value::Text(name), Value::Text(accent), Value::OptionalText(logo.as_deref())];
            session.run("keeping what the pages look like", sql, &values).await?;
        }
    }
    let entry = of_branding(before.as_ref().map(Branding::looks), branding.map(Branding::looks));
    Ok(Done::told(1, entry))
}
