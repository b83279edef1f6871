//! Bare HTTP: the framework that Roster answers with, reading each request to its end and answering
//! it with bytes that are ready. What is above this line is not ours to make faster.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use anyhow::Context as _;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode},
    serve::ListenerExt as _,
};
use tokio::{net::TcpListener, runtime::Runtime};

use crate::bench::client::Answer;

/// What everything is answered with.
type Ready = Arc<Mutex<(StatusCode, HeaderMap, Bytes)>>;

/// A server with threads of its own, as many as Roster has.
#[derive(Debug)]
pub(super) struct Bare {
    address: SocketAddr,
    ready: Ready,
    /// It serves for as long as this lives.
    _runtime: Runtime,
}

impl Bare {
    pub(super) fn start() -> anyhow::Result<Bare> {
        let runtime = Runtime::new().context("no runtime for bare HTTP")?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let ready = Ready::default();
        let application =
            Router::new().fallback(answer).with_state(Arc::clone(&ready)).into_make_service();
        // As Roster does. Where it cannot be, answers are slow and not wrong.
        let listener = listener.tap_io(|stream| _ = stream.set_nodelay(true));
        runtime.spawn(async move { axum::serve(listener, application).await });
        Ok(Bare { address, ready, _runtime: runtime })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on everything is answered like this, but for the headers that HTTP itself adds.
    pub(super) fn answer_as(&self, like: &Answer) {
        let status = StatusCode::from_u16(like.status).expect("Roster answered it");
        let headers = like
            .headers
            .iter()
            .filter(|(name, _)| !["content-length", "date"].contains(&name.as_str()))
            .map(|(name, value)| {
                let name = HeaderName::try_from(name).expect("Roster answered it");
                (name, HeaderValue::try_from(value).expect("Roster answered it"))
            })
            .collect();
        let body = Bytes::copy_from_slice(&like.body);
        *self.ready.lock().expect("nobody panics while holding it") = (status, headers, body);
    }
}

async fn answer(State(ready): State<Ready>, request: Body) -> Response<Body> {
    // A client that breaks off gets an answer that it does not read.
    let _ = axum::body::to_bytes(request, usize::MAX).await;
    let (status, headers, body) = ready.lock().expect("nobody panics while holding it").clone();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
