//! The load: connections that are kept, each of which sends its next request when the last is
//! answered. It shares the processor with what it measures, so it does as little as it can: the
//! bytes of all requests are ready before the clock starts, and of an answer only the status and
//! the length are read.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
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

use crate::bench::{figures::Round, progress::Progress};

/// The largest answer that is read: a group of half a million is one of 100 MB.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The longest that a request may take. The longest are those that make the largest groups.
const PATIENCE: Duration = Duration::from_mins(5);

/// A request, as it goes over the wire, and the status with which it must be answered.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) bytes: Vec<u8>,
    pub(super) status: u16,
}

/// What is counted once: requests that follow each other on one connection.
pub(super) type Work = Vec<Request>;

/// An answer, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// What sends requests.
#[derive(Debug)]
pub(super) struct Client {
    /// One thread: more would take time from the server.
    runtime: Runtime,
}

/// What the connections share.
struct Shared {
    works: Rc<[Work]>,
    next: Cell<usize>,
    /// The last answer of each work, where they are wanted.
    answers: Option<RefCell<Vec<Vec<u8>>>>,
    progress: Progress,
}

impl Client {
    pub(super) fn new() -> anyhow::Result<Client> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("no runtime for the client")?;
        Ok(Client { runtime })
    }

    /// Sends one request and reads its answer whole.
    pub(super) fn ask(&self, address: SocketAddr, request: &Request) -> anyhow::Result<Answer> {
        self.runtime.block_on(async {
            let mut connection = Connection::open(address).await?;
            let status = connection.exchange(&request.bytes).await?;
            connection.check(status, request.status)?;
            connection.answer(status)
        })
    }

    /// Does all works over so many connections, which are spread over the addresses. Fails when a
    /// request is not answered as it must be.
    pub(super) fn drive(
        &self,
        addresses: &[SocketAddr],
        connections: usize,
        works: &Rc<[Work]>,
        progress: &Progress,
    ) -> anyhow::Result<Round> {
        let (works, next, progress) = (Rc::clone(works), Cell::new(0), progress.clone());
        let shared = Shared { works, next, answers: None, progress };
        self.run(addresses, connections, &Rc::new(shared))
    }

    /// The same, and gives back the body of the last answer of each work.
    pub(super) fn collect(
        &self,
        addresses: &[SocketAddr],
        connections: usize,
        works: Vec<Work>,
        progress: &Progress,
    ) -> anyhow::Result<Vec<Vec<u8>>> {
        let answers = Some(RefCell::new(vec![Vec::new(); works.len()]));
        let (works, next, progress) = (works.into(), Cell::new(0), progress.clone());
        let shared = Rc::new(Shared { works, next, answers, progress });
        self.run(addresses, connections, &shared)?;
        Ok(shared.answers.as_ref().map(RefCell::take).unwrap_or_default())
    }

    fn run(
        &self,
        addresses: &[SocketAddr],
        connections: usize,
        shared: &Rc<Shared>,
    ) -> anyhow::Result<Round> {
        let count = shared.works.len();
        let driving = async {
            let mut open = Vec::with_capacity(connections);
            for address in addresses.iter().cycle().take(connections) {
                open.push(Connection::open(*address).await?);
            }
            let begun = Instant::now();
            let sending: Vec<_> = open
                .into_iter()
                .map(|connection| tokio::task::spawn_local(send(connection, Rc::clone(shared))))
                .collect();
            let mut latencies = Vec::with_capacity(count);
            for sent in sending {
                latencies.extend(sent.await.context("a connection panicked")??);
            }
            Ok(Round { count, time: begun.elapsed(), latencies, processor: None })
        };
        let round: anyhow::Result<Round> = LocalSet::new().block_on(&self.runtime, driving);
        let round = round?;
        anyhow::ensure!(round.latencies.len() == count, "not every request was answered");
        Ok(round)
    }
}

/// Takes the next work that nobody has taken, until there is none.
async fn send(mut connection: Connection, shared: Rc<Shared>) -> anyhow::Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    loop {
        let place = shared.next.replace(shared.next.get() + 1);
        let Some(work) = shared.works.get(place) else { return Ok(latencies) };
        let begun = Instant::now();
        for request in work {
            let exchange = connection.exchange(&request.bytes);
            let status = tokio::time::timeout(PATIENCE, exchange)
                .await
                .context("a request was not answered in time")??;
            connection.check(status, request.status)?;
        }
        latencies.push(begun.elapsed());
        if let Some(answers) = &shared.answers {
            answers.borrow_mut()[place] = connection.body().to_vec();
        }
        shared.progress.step();
    }
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
    async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<u16> {
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
        self.received.reserve(whole.saturating_sub(self.received.len()));
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

    fn body(&self) -> &[u8] {
        &self.received[self.head_length..]
    }

    fn check(&self, status: u16, expected: u16) -> anyhow::Result<()> {
        anyhow::ensure!(
            status == expected,
            "a request was answered {status} and not {expected}: {}",
            String::from_utf8_lossy(&self.body()[..self.body().len().min(1_000)])
        );
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
            .and_then(|(_, value)| value.parse().ok());
        // RFC 9110 §8.6: a 204 has no `Content-Length`.
        let body_length = if status == 204 { Some(0) } else { body_length };
        let body_length = body_length.context("an answer does not tell its length")?;
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
        check(
            "HTTP/1.1 204 No Content\r\netag: W/\"2\"\r\n\r\n",
            Some(Head { status: 204, length: 40, body_length: 0 }),
        );
        assert!(Head::read(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(Head::read(b"ICY\r\ncontent-length: 1\r\n\r\n").is_err());
    }
}
