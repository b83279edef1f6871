//! The load: connections that are kept, each of which sends its next request when the last is
//! answered. It shares the processor with what it measures, so it does as little as it can: the
//! bytes of all requests are ready before the clock starts, and of an answer only the status and
//! the length are read.

use std::{
    cell::Cell,
    fmt::Write as _,
    net::SocketAddr,
    ops::Range,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime::Runtime,
    task::LocalSet,
};

use crate::bench::{PATIENCE, figures::Round, person};

/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    Create,
    Get,
    Filter,
}

impl Load {
    /// What every request must be answered with.
    pub(super) fn status(self) -> u16 {
        match self {
            Load::Create => 201,
            Load::Get | Load::Filter => 200,
        }
    }
}

/// A request, as it goes over the wire.
pub(super) type Request = Vec<u8>;

/// An answer, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// What makes requests to one directory, and sends them.
#[derive(Debug)]
pub(super) struct Client {
    /// One thread: more would take time from the server.
    runtime: Runtime,
    base_path: String,
    token: String,
}

impl Client {
    pub(super) fn new(base_path: String, token: String) -> anyhow::Result<Client> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("no runtime for the client")?;
        Ok(Client { runtime, base_path, token })
    }

    /// Requests that create these people.
    pub(super) fn creates(&self, people: Range<usize>) -> Vec<Request> {
        people.map(|it| self.request("POST", "/Users", &person::body(it))).collect()
    }

    /// Requests for the users of these ids.
    pub(super) fn gets(&self, ids: &[String]) -> Vec<Request> {
        ids.iter().map(|id| self.request("GET", &format!("/Users/{id}"), "")).collect()
    }

    /// Requests for these people by name, as Okta asks before it creates somebody.
    pub(super) fn filters(&self, people: impl Iterator<Item = usize>) -> Vec<Request> {
        let path = |person: usize| {
            let name = person::user_name(person);
            format!("/Users?filter=userName%20eq%20%22{name}%22&startIndex=1&count=100")
        };
        people.map(|it| self.request("GET", &path(it), "")).collect()
    }

    fn request(&self, method: &str, path: &str, body: &str) -> Request {
        let (base, token) = (&self.base_path, &self.token);
        let mut text = format!(
            "{method} {base}{path} HTTP/1.1\r\nhost: localhost\r\n\
             user-agent: Okta SCIM Client 1.0.0\r\naccept: application/scim+json\r\n\
             authorization: Bearer {token}\r\n"
        );
        if !body.is_empty() {
            let length = body.len();
            write!(
                text,
                "content-type: application/scim+json; charset=utf-8\r\n\
                 content-length: {length}\r\n"
            )
            .expect("text takes what is written");
        }
        text += "\r\n";
        text += body;
        text.into_bytes()
    }

    /// Sends one request and reads its answer whole.
    pub(super) fn ask(&self, address: SocketAddr, request: &Request) -> anyhow::Result<Answer> {
        self.runtime.block_on(async {
            let mut connection = Connection::open(address).await?;
            let status = connection.exchange(request).await?;
            connection.answer(status)
        })
    }

    /// Sends all requests over so many connections. Fails when one is not answered with `status`.
    pub(super) fn drive(
        &self,
        address: SocketAddr,
        connections: usize,
        requests: &[Request],
        status: u16,
    ) -> anyhow::Result<Round> {
        let count = requests.len();
        let driving = async {
            let mut open = Vec::with_capacity(connections);
            for _ in 0..connections {
                open.push(Connection::open(address).await?);
            }
            // They live for as long as the tasks do, which a lifetime cannot say.
            let requests: Rc<[Request]> = requests.into();
            let next = Rc::new(Cell::new(0));
            let begun = Instant::now();
            let sending: Vec<_> = open
                .into_iter()
                .map(|connection| {
                    let (requests, next) = (Rc::clone(&requests), Rc::clone(&next));
                    tokio::task::spawn_local(send(connection, requests, next, status))
                })
                .collect();
            let mut latencies = Vec::with_capacity(count);
            for sent in sending {
                latencies.extend(sent.await.context("a connection panicked")??);
            }
            Ok(Round { count, time: begun.elapsed(), latencies })
        };
        let round: anyhow::Result<Round> = LocalSet::new().block_on(&self.runtime, driving);
        let round = round?;
        anyhow::ensure!(round.latencies.len() == count, "not every request was answered");
        Ok(round)
    }
}

/// Takes the next request that nobody has taken, until there is none.
async fn send(
    mut connection: Connection,
    requests: Rc<[Request]>,
    next: Rc<Cell<usize>>,
    expected: u16,
) -> anyhow::Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    while let Some(request) = requests.get(next.replace(next.get() + 1)) {
        let begun = Instant::now();
        let exchange = connection.exchange(request);
        let status = tokio::time::timeout(PATIENCE, exchange)
            .await
            .context("a request was not answered in time")??;
        latencies.push(begun.elapsed());
        if status != expected {
            let answer = connection.answer(status)?;
            anyhow::bail!(
                "a request was answered {status} and not {expected}: {}",
                String::from_utf8_lossy(&answer.body)
            );
        }
    }
    Ok(latencies)
}

/// A connection, and the last answer that came over it.
struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    head_length: usize,
}

impl Connection {
    async fn open(address: SocketAddr) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(address).await.context("nobody listens")?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, received: Vec::with_capacity(16 * 1024), head_length: 0 })
    }

    /// Sends a request, receives the answer and tells its status.
    async fn exchange(&mut self, request: &Request) -> anyhow::Result<u16> {
        self.stream.write_all(request).await?;
        self.received.clear();
        let head = loop {
            self.receive().await?;
            if let Some(head) = Head::read(&self.received)? {
                break head;
            }
        };
        self.head_length = head.length;
        let whole = head.length + head.body_length;
        anyhow::ensure!(whole <= ANSWER_BYTES_MAX, "an answer has {whole} bytes");
        while self.received.len() < whole {
            self.receive().await?;
        }
        anyhow::ensure!(self.received.len() == whole, "an answer is longer than it says");
        Ok(head.status)
    }

    async fn receive(&mut self) -> anyhow::Result<()> {
        let count = self.stream.read_buf(&mut self.received).await?;
        anyhow::ensure!(count > 0, "the server ended a connection");
        anyhow::ensure!(self.received.len() <= ANSWER_BYTES_MAX, "an answer does not end");
        Ok(())
    }

    /// The last answer.
    fn answer(&self, status: u16) -> anyhow::Result<Answer> {
        let (head, body) = self.received.split_at(self.head_length);
        let head = std::str::from_utf8(head).context("an answer has a head that is not text")?;
        let headers = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Ok(Answer { status, headers, body: body.to_vec() })
    }
}

/// What must be known of an answer to find its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    /// With the empty line.
    length: usize,
    body_length: usize,
}

impl Head {
    /// `None` while its end has not come.
    fn read(received: &[u8]) -> anyhow::Result<Option<Head>> {
        let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = std::str::from_utf8(&received[..end]).context("an answer is not HTTP")?;
        let status = head.get(9..12).and_then(|status| status.parse().ok());
        let status = status.context("an answer has no status")?;
        let body_length = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.parse().ok())
            .context("an answer does not tell its length")?;
        Ok(Some(Head { status, length: end + 4, body_length }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_answer_is_found() {
        #[track_caller]
        fn check(received: &str, expected: Option<Head>) {
            assert_eq!(Head::read(received.as_bytes()).unwrap(), expected, "{received}");
        }
        check("HTTP/1.1 201 Created\r\ncontent-le", None);
        check(
            "HTTP/1.1 201 Created\r\nContent-Length: 12\r\n\r\n{\"id\"",
            Some(Head { status: 201, length: 44, body_length: 12 }),
        );
        assert!(Head::read(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(Head::read(b"ICY\r\ncontent-length: 1\r\n\r\n").is_err());
    }
}
