//! Reading what a client sends: bounded in size and in time.

use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::{BodyExt, LengthLimitError, Limited};

/// How long a body may take to arrive. Okta gives up after a minute itself; who takes longer
/// only holds a connection.
const PATIENCE: Duration = Duration::from_mins(1);

/// Why there is no body.
pub(crate) enum Unread {
    /// It has more bytes than may be.
    TooLarge,
    /// It did not arrive in time.
    TooSlow,
    /// The connection ended before it did.
    Broken,
}

/// Reads a body whole.
pub(crate) async fn read(body: Body, bytes_max: usize) -> Result<Bytes, Unread> {
    let reading = Limited::new(body, bytes_max).collect();
    match tokio::time::timeout(PATIENCE, reading).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Unread::TooLarge),
        Ok(Err(_)) => Err(Unread::Broken),
        Err(_) => Err(Unread::TooSlow),
    }
}
