//! Whether this process lives, and whether it can serve: for a load balancer.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::Counter;

pub(crate) fn routes() -> Router<Arc<Counter>> {
    Router::new().route("/health", get(health)).route("/ready", get(ready))
}

/// Of a database that is away, and of one whose disk failed.
const DETAIL: &str = "the database does not answer or takes no changes; the server's log says why";

/// The process lives. It says nothing of the database: restarting a process does not mend one.
async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// For how long a database may say nothing and be called ready: less than load balancers wait.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// The process can serve: its database answers and takes changes.
async fn ready(State(counter): State<Arc<Counter>>) -> (StatusCode, Json<Value>) {
    if tokio::time::timeout(SILENCE_MAX, counter.access.is_ready()).await == Ok(true) {
        (StatusCode::OK, Json(json!({ "status": "ready" })))
    } else {
        let body = json!({ "status": "unavailable", "detail": DETAIL });
        (StatusCode::SERVICE_UNAVAILABLE, Json(body))
    }
}
