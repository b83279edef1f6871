//! Bare HTTP: the same library that Roster answers with, reading each request to its end and
//! answering it with bytes that are ready. What is above this line is not ours to make faster.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, StatusCode, body::Bytes, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, runtime::Runtime};

use crate::bench::client::Answer;

/// A server with threads of its own, as many as Roster has.
#[derive(Debug)]
pub(super) struct Bare {
    address: SocketAddr,
    answer: Arc<Mutex<Response<Bytes>>>,
    /// It serves for as long as this lives.
    _runtime: Runtime,
}

impl Bare {
    pub(super) fn start() -> anyhow::Result<Bare> {
        let runtime = Runtime::new().context("no runtime for bare HTTP")?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let answer = Arc::new(Mutex::new(Response::new(Bytes::new())));
        runtime.spawn(accept(listener, Arc::clone(&answer)));
        Ok(Bare { address, answer, _runtime: runtime })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on everything is answered like this, but for the headers that HTTP itself adds.
    pub(super) fn answer_as(&self, like: &Answer) {
        let mut response = Response::new(Bytes::copy_from_slice(&like.body));
        *response.status_mut() = StatusCode::from_u16(like.status).expect("Roster answered it");
        for (name, value) in &like.headers {
            if !["content-length", "date"].contains(&name.as_str()) {
                response.headers_mut().insert(
                    hyper::header::HeaderName::try_from(name).expect("Roster answered it"),
                    value.try_into().expect("Roster answered it"),
                );
            }
        }
        *self.answer.lock().expect("nobody panics while holding it") = response;
    }
}

async fn accept(listener: TcpListener, answer: Arc<Mutex<Response<Bytes>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let answer = Arc::clone(&answer);
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = Arc::clone(&answer);
                async move {
                    // A client that breaks off gets an answer that it does not read.
                    let _ = request.into_body().collect().await;
                    let ready = answer.lock().expect("nobody panics while holding it").clone();
                    Ok::<_, Infallible>(ready.map(Full::new))
                }
            });
            // The client ends its connections as it likes.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
