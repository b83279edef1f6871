//! The looks of the pages: the vendor's name, logo and accent colour.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::{Dashboard, SignedIn};
use crate::pages::brand::{BadBrand, Brand, Colour, LOGO_BYTES_MAX, Logo, NAME_MAX};
use crate::pages::parts::Frame;
use crate::pages::{Stop, go_to, page_with};

#[derive(Template)]
#[template(path = "dashboard/branding.html")]
pub(crate) struct BrandingPage {
    pub(crate) frame: Frame,
    pub(crate) signed_in: SignedIn,
    pub(crate) name: String,
    /// As a field for colours takes it.
    pub(crate) accent: String,
    /// Whether the team has chosen: otherwise it is as the server was told.
    pub(crate) is_chosen: bool,
    pub(crate) wrong: Option<BadBrand>,
}

impl BrandingPage {
    const NAME_MAX: usize = NAME_MAX;
    const LOGO_KIBIBYTES_MAX: usize = LOGO_BYTES_MAX / 1024;

    /// Whether it was this field.
    fn is_wrong(&self, field: &str) -> bool {
        let wrong = self.wrong.as_ref().map(|wrong| match wrong {
            BadBrand::Name(_) => "name",
            BadBrand::Colour(_) => "accent",
            BadBrand::Logo => "logo",
        });
        wrong == Some(field)
    }
}

/// `GET /dashboard/branding`.
pub(super) async fn show(dashboard: Dashboard) -> Result<Response, Stop> {
    let brand = dashboard.counter.brands.now();
    let (name, accent) = (brand.name().to_owned(), brand.accent().to_string());
    Ok(shown(dashboard, name, accent, None))
}

fn shown(dashboard: Dashboard, name: String, accent: String, wrong: Option<BadBrand>) -> Response {
    let Dashboard { frame, signed_in, counter, .. } = dashboard;
    let is_chosen = counter.brands.is_chosen();
    let status = if wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    page_with(status, &BrandingPage { frame, signed_in, name, accent, is_chosen, wrong })
}

/// `POST /dashboard/branding`.
pub(super) async fn save(dashboard: Dashboard) -> Result<Response, Stop> {
    let (form, counter) = (&dashboard.form, &dashboard.counter);
    let chosen = || {
        let accent: Colour = form.text("accent").parse()?;
        let logo = match form.file("logo") {
            Some(picture) => Some(Logo::new(picture.to_vec())?),
            None if form.has("no-logo") => None,
            None => counter.brands.now().logo().cloned(),
        };
        Brand::new(form.text("name"), accent, logo)
    };
    match chosen() {
        Ok(brand) => {
            dashboard.store.set_branding(Some(brand.kept())).await?;
            counter.brands.look_again(&counter.access).await;
            Ok(go_to("/dashboard/branding"))
        }
        Err(wrong) => {
            let (name, accent) = (form.text("name").to_owned(), form.text("accent").to_owned());
            Ok(shown(dashboard, name, accent, Some(wrong)))
        }
    }
}

/// `POST /dashboard/branding/reset`: as the server was told.
pub(super) async fn reset(dashboard: Dashboard) -> Result<Response, Stop> {
    dashboard.store.set_branding(None).await?;
    dashboard.counter.brands.look_again(&dashboard.counter.access).await;
    Ok(go_to("/dashboard/branding"))
}
