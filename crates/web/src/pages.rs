//! The pages: the portal, where a customer's IT admin connects a provider, and the dashboard, where the
//! vendor lives.
//!
//! They are made on the server and work without a script; scripts make them livelier. A page shows
//! what the same functions say that the management API calls, for a store that its visitor's
//! credential has opened. Whatever a form sends has passed [`guard`]: it comes from a page of ours.

mod assets;
pub(crate) mod brand;
mod codes;
mod dashboard;
mod directory;
mod form;
mod pace;
mod parts;
mod password;
mod pictures;
mod portal;
#[cfg(test)]
mod samples;
mod tries;
mod visitor;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, get, post};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::pages::form::Form;
use crate::pages::parts::Frame;
pub(crate) use crate::pages::tries::Tries;
use crate::problem::Problem;
use crate::{Counter, Failure, body};

/// Bytes of what a form sends: some fields that people type.
const FORM_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a form with a file in it: more than a file may have, so that it can be told which is too large.
const FILE_FORM_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Where a page is, or what a form of one is sent to.
pub(crate) struct Place {
    method: &'static str,
    path: String,
    handler: MethodRouter<Arc<Counter>>,
}

impl Place {
    fn get<H: Handler<T, Arc<Counter>>, T: 'static>(path: &str, handler: H) -> Place {
        Place { method: "GET", path: path.to_owned(), handler: get(handler) }
    }

    fn post<H: Handler<T, Arc<Counter>>, T: 'static>(path: &str, handler: H) -> Place {
        Place { method: "POST", path: path.to_owned(), handler: post(handler) }
    }
}

/// Every place. There is no other way to one.
fn table() -> Vec<Place> {
    portal::places().into_iter().chain(dashboard::places()).collect()
}

/// The places of pages, for whoever asks all of them: method and path.
pub fn page_places() -> Vec<(&'static str, String)> {
    table().into_iter().map(|place| (place.method, place.path)).collect()
}

pub(crate) fn routes(counter: &Arc<Counter>) -> Router<Arc<Counter>> {
    let router = table()
        .into_iter()
        .fold(Router::new(), |router, place| router.route(&place.path, place.handler));
    router
        .route("/portal", get(async || Stop::Nothing))
        .route("/portal/{link}/{*rest}", get(async || Stop::Nothing))
        .route("/dashboard/{*rest}", get(async || Stop::Nothing))
        .method_not_allowed_fallback(async || Stop::Nothing)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(counter), guard))
        .route("/assets/{name}", get(assets::get))
}

/// Why a page is not shown. What the reader is told stands in the template.
#[derive(Clone, Debug)]
pub(crate) enum Stop {
    /// There is no such page.
    Nothing,
    /// Whoever asks has not opened the portal, or not in this browser, or not any more.
    Closed,
    /// Nobody is signed in: first they are to be, and then to go on to this page.
    SignedOut(String),
    /// The link of whoever is inside does not open this part of the portal.
    NotOpened,
    /// Whoever is signed in may not do this.
    NotAllowed,
    /// A form was sent from another site, or from a page of before.
    Forged,
    /// A form sent what cannot be read.
    Unreadable,
    /// Somebody else must be asked: what happened, why, and what to do now.
    Problem(Arc<Problem>),
}

impl Stop {
    fn status(&self) -> StatusCode {
        match self {
            Stop::Nothing => StatusCode::NOT_FOUND,
            Stop::Closed | Stop::NotOpened | Stop::NotAllowed | Stop::Forged => {
                StatusCode::FORBIDDEN
            }
            Stop::SignedOut(_) => StatusCode::SEE_OTHER,
            Stop::Unreadable => StatusCode::BAD_REQUEST,
            Stop::Problem(problem) => problem.status(),
        }
    }
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Stop {
        Stop::Problem(Arc::new(problem))
    }
}

impl From<store::Error> for Stop {
    fn from(error: store::Error) -> Stop {
        Problem::from(error).into()
    }
}

/// It becomes a page in [`guard`], which knows whose brand it has.
impl IntoResponse for Stop {
    fn into_response(self) -> Response {
        if let Stop::SignedOut(next) = &self {
            let next = utf8_percent_encode(next, NON_ALPHANUMERIC);
            return go_to(&format!("/dashboard/sign-in?next={next}"));
        }
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

#[derive(Template)]
#[template(path = "trouble.html")]
pub(crate) struct Trouble {
    frame: Frame,
    why: Stop,
}

/// A page.
pub(crate) fn page(template: &impl Template) -> Response {
    page_with(StatusCode::OK, template)
}

/// A page that says that something is not as it should be.
pub(crate) fn page_with(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        // Nothing that we show fails to print.
        Err(error) => unreachable!("a page could not be made: {error}"),
    }
}

/// On to another page, after a form has done what it is for.
pub(crate) fn go_to(path: &str) -> Response {
    Redirect::to(path).into_response()
}

/// What a browser shows by this name.
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|it| it.to_str().ok());
    let mut pairs = cookies.flat_map(|it| it.split(';')).filter_map(|it| it.trim().split_once('='));
    pairs.find(|(of, _)| *of == name).map(|(_, value)| value)
}

/// Stands before every page: takes forms from pages of ours alone, and says what browsers shall do
/// with what they are shown.
async fn guard(State(counter): State<Arc<Counter>>, request: Request, next: Next) -> Response {
    let is_portal = request.uri().path().starts_with("/portal");
    counter.brands.look(&counter.access).await;
    let mut response = match admit(request).await {
        Ok(request) => next.run(request).await,
        Err(stop) => stop.into_response(),
    };
    if let Some(why) = response.extensions_mut().remove::<Stop>() {
        let failure = match &why {
            Stop::Problem(problem) => problem.failed(),
            _ => None,
        };
        let status = why.status();
        let frame = Frame::new(&counter, "");
        response = page_with(status, &Trouble { frame, why });
        if let Some(failure) = failure {
            response.extensions_mut().insert(Failure(failure));
        }
    }
    let headers = response.headers_mut();
    let policy = if is_portal { &counter.policies.portal } else { &counter.policies.own };
    headers.insert(header::CONTENT_SECURITY_POLICY, policy.clone());
    for (name, value) in PROMISES {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

/// What else browsers are told.
const PROMISES: [(&str, &str); 3] = [
    ("x-content-type-options", "nosniff"),
    // Addresses hold ids, and one of them a secret. Within this site it is needed: without it,
    // browsers do not say where a form comes from.
    ("referrer-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=()"),
];

/// What pages may load, and where they may be shown.
#[derive(Clone, Debug)]
pub(crate) struct Policies {
    /// Of the portal, which the vendor may show within a page of their own.
    portal: HeaderValue,
    /// Of all else.
    own: HeaderValue,
}

impl Policies {
    /// `ancestors`: the sites that may show the portal in a frame.
    pub(crate) fn new(ancestors: &[FrameAncestor]) -> Policies {
        let policy = |ancestors: &str| {
            let policy = format!(
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                 connect-src 'self'; form-action 'self'; base-uri 'none'; \
                 frame-ancestors {ancestors}"
            );
            HeaderValue::try_from(policy).expect("addresses were checked")
        };
        let names: Vec<_> = ancestors.iter().map(FrameAncestor::as_str).collect();
        let own = policy("'none'");
        let portal = if names.is_empty() { own.clone() } else { policy(&names.join(" ")) };
        Policies { portal, own }
    }
}

/// A site that may show the portal in a frame: scheme and host, and a port where it is not the usual
/// one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameAncestor(String);

impl FrameAncestor {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text is not a site.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a site: write scheme and host, such as `https://app.example.com`")]
pub struct NotASite(String);

impl std::str::FromStr for FrameAncestor {
    type Err = NotASite;

    fn from_str(text: &str) -> Result<FrameAncestor, NotASite> {
        let uri: Option<Uri> = text.parse().ok();
        let is_site = uri.is_some_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty())
                && uri.path() == "/"
                && uri.query().is_none()
                && !text.ends_with('/')
        });
        // They stand beside each other in a header, in which these divide.
        if is_site && !text.contains(['@', ';', ',', ' ', '\'', '"']) {
            Ok(FrameAncestor(text.to_owned()))
        } else {
            Err(NotASite(text.to_owned()))
        }
    }
}

/// Reads what a form sends, where it comes from a page of ours.
async fn admit(request: Request) -> Result<Request, Stop> {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(request);
    }
    if !is_from_here(request.headers()) {
        return Err(Stop::Forged);
    }
    let (mut parts, body) = request.into_parts();
    let boundary = parts.headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let boundary = boundary.and_then(|it| multer::parse_boundary(it).ok());
    let bytes_max = if boundary.is_some() { FILE_FORM_BYTES_MAX } else { FORM_BYTES_MAX };
    let bytes = body::read(body, bytes_max).await.map_err(|_| Stop::Unreadable)?;
    let form = match boundary {
        None => Form::read(&bytes),
        Some(boundary) => Form::read_parts(bytes, boundary).await,
    };
    parts.extensions.insert(form.ok_or(Stop::Unreadable)?);
    Ok(Request::from_parts(parts, Body::empty()))
}

/// Whether a browser says that it was a page of this site that sent a form. Browsers of the last years
/// say it in one header or the other, of every form; what says nothing is no browser of a person
/// who has a page of ours before them.
fn is_from_here(headers: &HeaderMap) -> bool {
    let said = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = said(&HeaderName::from_static("sec-fetch-site")) {
        return site == "same-origin";
    }
    let (Some(origin), Some(host)) = (said(&header::ORIGIN), said(&header::HOST)) else {
        return false;
    };
    origin.split_once("://").is_some_and(|(_, of)| of.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_other_sites_are_told_from_ours() {
        let check = |said: &[(&'static str, &'static str)], expected: bool| {
            let mut headers = HeaderMap::new();
            for (name, value) in said {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            assert_eq!(is_from_here(&headers), expected, "{said:?}");
        };
        check(&[("sec-fetch-site", "same-origin")], true);
        check(&[("sec-fetch-site", "same-site")], false);
        check(&[("sec-fetch-site", "cross-site")], false);
        // What is typed into the address bar sends no form.
        check(&[("sec-fetch-site", "none")], false);
        // Over HTTP without encryption, browsers say it otherwise.
        check(&[("origin", "http://roster.example:84"), ("host", "roster.example:84")], true);
        check(&[("origin", "http://roster.example"), ("host", "Roster.example")], true);
        check(&[("origin", "http://evil.example"), ("host", "roster.example")], false);
        check(&[("origin", "null"), ("host", "roster.example")], false);
        check(&[("host", "roster.example")], false);
        // The one that is said of the page is believed, whatever else is.
        let both = [("sec-fetch-site", "cross-site"), ("origin", "http://a"), ("host", "a")];
        check(&both, false);
    }

    #[test]
    fn what_a_page_may_not_show_is_told_by_a_template() {
        assert_eq!(Stop::Nothing.into_response().status(), StatusCode::NOT_FOUND);
        let response = Stop::from(Problem::not_found("directory")).into_response();
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert!(response.extensions().get::<Stop>().is_some());
    }

    #[test]
    fn sites_that_may_show_the_portal_are_checked() {
        for good in ["https://app.example", "http://localhost:3000"] {
            assert!(good.parse::<FrameAncestor>().is_ok(), "{good}");
        }
        for bad in
            ["", "app.example", "https://app.example/", "https://a/b", "https://a; script-src"]
                .into_iter()
                .chain(["https://me@a", "https://a?b", "ftp://a", "https://a,b", "'self'"])
        {
            assert!(bad.parse::<FrameAncestor>().is_err(), "{bad}");
        }
        let policy = |it: &HeaderValue| it.to_str().unwrap().to_owned();
        let none = Policies::new(&[]);
        assert!(policy(&none.portal).ends_with("frame-ancestors 'none'"));
        let some = Policies::new(&["https://app.example".parse().unwrap()]);
        assert!(policy(&some.portal).ends_with("frame-ancestors https://app.example"));
        assert!(policy(&some.own).ends_with("frame-ancestors 'none'"));
    }
}
