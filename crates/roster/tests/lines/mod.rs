//! An answer that is read line by line as it comes, on a connection of its own.

use std::io;

use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// What is still to come of an answer. When this is dropped, its reader is gone.
pub(crate) struct Lines {
    pub(crate) status: u16,
    body: Incoming,
    /// What has come and is not a whole line yet.
    begun: Vec<u8>,
    connection: JoinHandle<()>,
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Lines {
    /// Asks for something; `url` is that of a server.
    pub(crate) async fn get(url: &str, path: &str, key: &str) -> io::Result<Lines> {
        let host = url.strip_prefix("http://").expect("it is on this machine");
        let stream = TcpStream::connect(host).await?;
        let broken = |error: hyper::Error| io::Error::new(io::ErrorKind::BrokenPipe, error);
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // Whoever reads is told when it breaks.
        let connection = tokio::spawn(async { drop(connection.await) });
        let request = Request::get(path)
            .header("Host", host)
            .header("Authorization", format!("Bearer {key}"))
            .body(Empty::<Bytes>::new())
            .expect("a request");
        let response = sender.send_request(request).await;
        match response {
            Ok(response) => {
                let (status, body) = (response.status().as_u16(), response.into_body());
                Ok(Lines { status, body, begun: Vec::new(), connection })
            }
            Err(error) => {
                connection.abort();
                Err(broken(error))
            }
        }
    }

    /// The next line; nothing when the answer has ended as it should. One that broke off is an error.
    pub(crate) async fn next(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.begun.drain(..=end).collect();
                line.pop();
                return Ok(Some(String::from_utf8(line).expect("it is text")));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    self.begun.extend(frame.into_data().expect("there are no trailers"));
                }
                Some(Err(error)) => {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, error));
                }
            }
        }
    }
}
