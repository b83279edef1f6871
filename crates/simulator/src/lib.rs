//! The other side: identity providers as patient, deterministic state machines, for use against
//! any SCIM server.
//!
//! [`okta::Okta`] says which request it would send and is given the answer; a [`Run`] drives it
//! through a story against a [`Client`]; what came of it is a [`Report`]. [`simulate_okta`] does all of
//! that over HTTP. [`reference::Reference`] is a small server in memory to try it on.

//!
//! ```
//! use simulator::okta::{Credentials, Preset, Settings};
//! use simulator::reference::{Fault, Reference};
//! use simulator::report::Rule;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let url = "https://scim.example.com/scim/v2";
//! let settings = Settings::new(url, Credentials::Token("t".to_owned()), Preset::Aiw2026);
//! let server = Reference::new(url, 1).allow("Bearer t").with_fault(Fault::InactiveNotFound);
//! let (report, _) = simulator::tell(settings, server, |step| println!("{step}")).await;
//! assert!(!report.passed());
//! assert!(report.has(Rule::InactiveHidden));
//! # }
//! ```

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
/// The names of its people and groups come from `settings.options.seed`: give each run another
/// one. Nothing that is on the server already is changed. Some forty steps and three hundred
/// requests later, people and groups of the story are still there, so that somebody can look.
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
