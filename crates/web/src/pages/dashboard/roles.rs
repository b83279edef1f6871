//! The roles of the app, and which of them is higher: what the mappings of all directories give.

use ::scim::etag::EntityTags;
use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use directory::{CatalogueEntry, CatalogueKind, EntryId, Guarded, Precondition, Rejection};
use store::{ApiStore, NewEntry};

use super::{Dashboard, SignedIn};
use crate::api::catalogue::new_entry;
use crate::pages::form::Form;
use crate::pages::parts::{Frame, Sentence, When};
use crate::pages::{Stop, go_to, page_with};
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "dashboard/roles.html")]
pub(crate) struct RolesPage {
    pub(crate) frame: Frame,
    pub(crate) signed_in: SignedIn,
    /// The highest first.
    pub(crate) roles: Vec<RoleRow>,
    /// What was typed of a new one that is not right.
    pub(crate) new: RoleTyped,
    /// Why nothing was done: what is wrong, and what to do.
    pub(crate) wrong: Option<(Sentence, Sentence)>,
}

/// A role as it is typed.
#[derive(Clone, Debug, Default)]
pub(crate) struct RoleTyped {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) rank: String,
}

/// A role, and what stands for it as the reader sees it.
pub(crate) struct RoleRow {
    pub(crate) typed: RoleTyped,
    pub(crate) seen: String,
    pub(crate) changed_at: When,
}

impl RoleTyped {
    fn read(form: &Form, id: &str) -> RoleTyped {
        let field = |name: &str| form.text(name).to_owned();
        RoleTyped {
            id: id.to_owned(),
            name: field("name"),
            description: field("description"),
            rank: field("rank"),
        }
    }

    fn entry(&self) -> Result<NewEntry, Problem> {
        let rank = Some(&self.rank).filter(|it| !it.is_empty()).map(|it| it.parse::<u16>());
        let rank = rank.transpose().map_err(|_| {
            Problem::invalid(
                "the rank is not a whole number from 0 to 65535",
                "Give the highest role 1 and the others more, or leave it empty",
            )
        })?;
        let description = Some(self.description.clone());
        new_entry(CatalogueKind::Role, &self.id, &self.name, description, rank)
    }
}

impl From<CatalogueEntry> for RoleRow {
    fn from(entry: CatalogueEntry) -> RoleRow {
        RoleRow {
            seen: entry.revision().as_str().to_owned(),
            changed_at: When(entry.modified_at),
            typed: RoleTyped {
                id: entry.id.to_string(),
                name: entry.display_name,
                description: entry.description.unwrap_or_default(),
                rank: entry.rank.map(|it| it.to_string()).unwrap_or_default(),
            },
        }
    }
}

/// `GET /dashboard/roles`.
pub(super) async fn show(dashboard: Dashboard) -> Result<Response, Stop> {
    all(dashboard, RoleTyped::default(), None).await
}

/// `POST /dashboard/roles`: one that there is already is left alone.
pub(super) async fn add(dashboard: Dashboard) -> Result<Response, Stop> {
    let typed = RoleTyped::read(&dashboard.form, dashboard.form.text("id"));
    let unless_there = Precondition { not_among: Some(EntityTags::Any), ..Default::default() };
    let refused = |error| match error {
        store::Error::Rejected(Rejection::RevisionFailed) => Problem::invalid(
            format!("there is a role `{}` already", typed.id),
            "Change that one, or choose another id",
        ),
        other => Problem::from(other),
    };
    let added = put(&dashboard.store, &typed, unless_there, refused).await;
    answer(dashboard, added, typed).await
}

/// `POST /dashboard/roles/{role}`.
pub(super) async fn change(
    dashboard: Dashboard,
    Path(role): Path<String>,
) -> Result<Response, Stop> {
    let typed = RoleTyped::read(&dashboard.form, &role);
    let changed = put(&dashboard.store, &typed, seen(&dashboard.form), refused).await;
    answer(dashboard, changed, RoleTyped::default()).await
}

/// `POST /dashboard/roles/{role}/delete`.
pub(super) async fn delete(
    dashboard: Dashboard,
    Path(role): Path<String>,
) -> Result<Response, Stop> {
    let id: EntryId = role.parse().map_err(|_| Problem::not_found("role"))?;
    let guarded = Guarded { precondition: seen(&dashboard.form), what: id };
    let deleted = dashboard.store.delete_entry(CatalogueKind::Role, guarded).await;
    answer(dashboard, deleted.map_err(refused), RoleTyped::default()).await
}

/// As the reader has seen it, or not at all.
fn seen(form: &Form) -> Precondition {
    let seen = EntityTags::These(vec![form.text("seen").to_owned()]);
    Precondition { among: Some(seen), ..Default::default() }
}

fn refused(error: store::Error) -> Problem {
    match error {
        store::Error::Rejected(Rejection::RevisionFailed) => Problem::invalid(
            "somebody else has changed this role since you began",
            "Nothing was changed. Look at what stands here now, and say it again",
        ),
        other => other.into(),
    }
}

async fn put(
    store: &ApiStore,
    typed: &RoleTyped,
    precondition: Precondition,
    refused: impl FnOnce(store::Error) -> Problem,
) -> Result<(), Problem> {
    let what = typed.entry()?;
    store.put_entry(Guarded { precondition, what }).await.map(drop).map_err(refused)
}

/// On to the list; where nothing was done, the list says why.
async fn answer(
    dashboard: Dashboard,
    done: Result<(), Problem>,
    new: RoleTyped,
) -> Result<Response, Stop> {
    match done {
        Ok(()) => Ok(go_to("/dashboard/roles")),
        // What is not the reader's to mend has a page of its own.
        Err(problem) if !problem.status().is_client_error() => Err(problem.into()),
        Err(problem) if problem.status() == StatusCode::NOT_FOUND => Err(problem.into()),
        Err(problem) => all(dashboard, new, Some(&problem)).await,
    }
}

async fn all(
    dashboard: Dashboard,
    new: RoleTyped,
    problem: Option<&Problem>,
) -> Result<Response, Stop> {
    let Dashboard { store, frame, signed_in, .. } = dashboard;
    let mut found = store.catalogue(CatalogueKind::Role).await?;
    found.sort_by_key(|role| (role.rank.is_none(), role.rank));
    let roles = found.into_iter().map(RoleRow::from).collect();
    let wrong = problem.map(|it| {
        let [_, why, what_to_do] = it.said();
        (Sentence(why.to_owned()), Sentence(what_to_do.to_owned()))
    });
    let status = if wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok(page_with(status, &RolesPage { frame, signed_in, roles, new, wrong }))
}
