//! Connections: which are taken in, for how long each may say nothing, and how they end.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use hyper::Request;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::Application;
use crate::guesses::Peer;
use crate::unreadable::Explained;

/// For how long what was begun may go on after the server was told to stop. A client that has
/// stalled must not keep it from stopping.
const GRACE: Duration = Duration::from_secs(20);

/// Within which a request's headers have to be there, counted from the end of the one before: so
/// it is also how long a connection may be idle. Common proxies keep theirs for 60 seconds; if we
/// were the first to close, they would send requests to nobody.
const HEADERS_PATIENCE: Duration = Duration::from_secs(75);

/// Connections at once. Each costs a file descriptor and some 10 KiB; a provider has a few dozen.
/// Who comes when all are taken waits in the queue of the operating system.
const CONNECTIONS_MAX: usize = 10_000;

/// How long to wait when no connection can be taken in, as when there are no more descriptors.
const PAUSE: Duration = Duration::from_secs(1);

/// Serves until told to stop, and then until what was begun is answered, or 20 seconds have
/// passed.
pub async fn serve(
    listener: TcpListener,
    application: Application,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (waiting, finishing) = (application.clone(), application.clone());
    let stop = async move {
        stop.await;
        // What they wait for may not happen within the grace.
        waiting.stop();
    };
    let answer = move |request| application.clone().answer(request);
    serve_at_most(CONNECTIONS_MAX, listener, answer, stop, finishing.finish()).await;
    Ok(())
}

async fn serve_at_most<A, F>(
    connections_max: usize,
    listener: TcpListener,
    answer: A,
    stop: impl Future<Output = ()>,
    finish: impl Future<Output = ()>,
) where
    A: Fn(Request<Body>) -> F + Clone + Send + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADERS_PATIENCE);
    let places = Arc::new(Semaphore::new(connections_max));
    let open = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.expect("it is never closed");
            (accept(&listener).await, place)
        };
        let ((stream, peer), place) = tokio::select! {
            next = next => next,
            () = &mut stop => break,
        };
        let answer = answer.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            // What is not there need not be read.
            let is_over = request.body().is_end_stream();
            let request = request.map(|it| if is_over { Body::empty() } else { Body::new(it) });
            let answered = answer(request);
            // In a box, because it is moved from hand to hand.
            Box::pin(async move { Ok::<_, Infallible>(answered.await) })
        });
        let connection =
            open.watch(http.serve_connection(Explained::new(TokioIo::new(stream)), service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                // What a client does with its connection is its own affair.
                tracing::debug!(error = &error as &dyn std::error::Error, "a connection broke off");
            }
            drop(place);
        });
    }
    // Who comes now is refused, and can go to another server at once.
    drop(listener);
    let finish = async {
        open.shutdown().await;
        finish.await;
    };
    if tokio::time::timeout(GRACE, finish).await.is_err() {
        tracing::warn!("stopping though some requests are not answered yet");
    }
}

/// The next connection, and who is at its other end.
async fn accept(listener: &TcpListener) -> (TcpStream, IpAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // An answer is written at once and whole: nothing is gained by waiting for more.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(error = &error as &dyn std::error::Error, "answers may wait");
                }
                return (stream, peer.ip());
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "no connection can be taken in; trying again in a second",
                );
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Whether the client was gone before it was let in, which says nothing about the next one.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    struct Served {
        address: std::net::SocketAddr,
        stop: oneshot::Sender<()>,
        done: JoinHandle<()>,
    }

    async fn served(connections_max: usize) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let hello = |_| async { Response::new(Body::from("hello")) };
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            let _ = stopped.await;
        };
        let finish = std::future::ready(());
        let done = tokio::spawn(serve_at_most(connections_max, listener, hello, stopped, finish));
        Served { address, stop, done }
    }

    /// Reads an answer to its end, and leaves the connection open.
    async fn answer(client: &mut TcpStream) -> String {
        let mut text = String::new();
        while !text.ends_with("hello") {
            text.push(char::from(client.read_u8().await.unwrap()));
        }
        text
    }

    #[tokio::test]
    async fn who_never_finishes_its_headers_is_let_go() {
        for sent in [&b""[..], b"GET / HTTP/1.1\r\nHost: x\r\n", REQUEST] {
            let server = served(2).await;
            let begun = tokio::time::Instant::now();
            let mut client = TcpStream::connect(server.address).await.unwrap();
            client.write_all(sent).await.unwrap();
            if sent == REQUEST {
                answer(&mut client).await;
            }
            // Nothing else is to be done, so the clock jumps to whatever is waited for.
            tokio::time::pause();
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
            let waited = begun.elapsed();
            tokio::time::resume();
            assert!((HEADERS_PATIENCE..HEADERS_PATIENCE * 2).contains(&waited), "{waited:?}");
        }
    }

    #[tokio::test]
    async fn one_connection_too_many_waits_for_a_place() {
        let server = served(1).await;
        let mut first = TcpStream::connect(server.address).await.unwrap();
        first.write_all(REQUEST).await.unwrap();
        assert!(answer(&mut first).await.starts_with("HTTP/1.1 200"));
        let mut second = TcpStream::connect(server.address).await.unwrap();
        second.write_all(REQUEST).await.unwrap();
        // The first is still served, and the second is not.
        first.write_all(REQUEST).await.unwrap();
        answer(&mut first).await;
        assert_eq!(second.try_read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(first);
        assert!(answer(&mut second).await.starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn a_client_that_stalls_keeps_nobody_from_stopping() {
        let server = served(2).await;
        let mut stalled = TcpStream::connect(server.address).await.unwrap();
        stalled.write_all(&REQUEST[..10]).await.unwrap();
        // Clients are taken in one after another: when the second is served, the first is in.
        let mut idle = TcpStream::connect(server.address).await.unwrap();
        idle.write_all(REQUEST).await.unwrap();
        answer(&mut idle).await;
        tokio::time::pause();
        let begun = tokio::time::Instant::now();
        server.stop.send(()).unwrap();
        server.done.await.unwrap();
        assert!(begun.elapsed() < HEADERS_PATIENCE, "{:?}", begun.elapsed());
        // Who asks for nothing is let go at once.
        assert_eq!(idle.read(&mut [0]).await.unwrap(), 0);
        assert!(TcpStream::connect(server.address).await.is_err());
    }
}
