//! The other side: identity providers as patient, deterministic state machines, for use against
//! any SCIM server.
//!
//! [`okta::Okta`] says which request it would send and is given the answer; a [`Run`] drives it
//! through a story against a [`Client`]; what came of it is a [`Report`]. [`simulate_okta`] does all of
//! that over HTTP. [`reference::Reference`] is a small server in memory to try it on.

mod chance;
mod http;
pub mod okta;
pub mod reference;
pub mod report;
mod run;
pub mod transcript;
mod wire;

pub use http::{Error as HttpError, HttpClient};
pub use report::Report;
pub use run::{Run, tell};
pub use wire::{Client, Method, NoAnswer, Request, Response};

use okta::Settings;
use report::Step;

/// Tells the whole story of Okta to a server over HTTP. `on_step` is called after each step.
///
/// Needs a tokio runtime with time and network. Where the server says "later" (429), it really
/// waits, half a minute at most at once.
pub async fn simulate_okta(
    settings: Settings,
    on_step: impl FnMut(&Step),
) -> Result<Report, HttpError> {
    let client = HttpClient::new(&settings.base_url, settings.options.timeout)?;
    let (report, _) = tell(settings, client, on_step).await;
    Ok(report)
}
