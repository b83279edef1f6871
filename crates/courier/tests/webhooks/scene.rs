//! A database with directories in which something happens, a clock that is moved by hand, and
//! receivers of every kind.

use std::collections::{BTreeMap, HashSet};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use claims::OwnDatabase;
use courier::{
    Answer, Boxed, Chance, End, Message, Names, Order, Patience, Post, Poster, Shared, Tail, Time,
    Worker,
};
use directory::webhook::{Filter, Networks, SigningSecret};
use directory::{
    AddressRange, DirectoryId, EditDirectory, EndpointId, Ids, Limits, Provider, Settings,
};
use jiff::{SignedDuration, Timestamp};
use store::{ApiStore, Clock, Environment, NewEndpoint, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// When everything begins.
pub(crate) const BEGINNING: i64 = 1_800_000_000;

/// Real time that begins then, and ids in their order.
struct Running(Instant, AtomicU64);

impl Clock for Running {
    fn now(&self) -> Timestamp {
        let begun = Timestamp::from_second(BEGINNING).expect("it is a time");
        begun + SignedDuration::try_from(self.0.elapsed()).expect("a test is short")
    }
}

impl Ids for Running {
    fn next(&self) -> Uuid {
        Uuid::from_u128(self.1.fetch_add(1, Ordering::SeqCst).into())
    }
}

/// A server's memory.
pub(crate) struct Scene {
    pub(crate) store: Store,
    pub(crate) api: ApiStore,
    pub(crate) directories: Vec<DirectoryId>,
    ids: Arc<Running>,
    own: Option<OwnDatabase>,
    folder: std::path::PathBuf,
}

impl Scene {
    /// With so many directories. Their creation is told before any endpoint is there.
    pub(crate) async fn new(directories: usize) -> Scene {
        static FOLDERS: AtomicU64 = AtomicU64::new(0);
        let number = FOLDERS.fetch_add(1, Ordering::SeqCst);
        let name = format!("courier-{}-{number}", std::process::id());
        let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).expect("a folder for a test");
        let (ids, own) = (Arc::new(Running(Instant::now(), 1.into())), OwnDatabase::make());
        let environment = Environment {
            clock: Arc::clone(&ids) as Arc<dyn Clock>,
            ids: Arc::clone(&ids) as Arc<dyn Ids>,
        };
        let limits = Limits::default();
        let store = match &own {
            None => Store::open_sqlite(&folder.join("roster.db"), environment, limits, [7; 32]),
            Some(own) => Store::open_postgres(&own.url(), environment, limits, [7; 32]).await,
        };
        let store = store.expect("the database is there");
        let api = store.api();
        let mut scene = Scene { store, api, directories: Vec::new(), ids, own, folder };
        let acme = scene.api.create_organization("Acme".into(), None).await.expect("it is kept");
        for number in 0..directories {
            let (name, settings) = (format!("Okta {number}"), Settings::default());
            let made = scene.api.create_directory(acme.id, name, Provider::Okta, settings).await;
            scene.directories.push(made.expect("it is kept").id);
        }
        scene
    }

    /// Has something happen in a directory: it is called otherwise.
    pub(crate) async fn happen(&self, directory: usize) {
        let name = Some(format!("Okta {}", self.ids.next()));
        let edit = EditDirectory { name, ..EditDirectory::default() };
        let directory = self.directories[directory % self.directories.len()];
        self.api.edit_directory(directory, edit).await.expect("it is kept");
    }

    /// The same so many times, in all directories in turn.
    pub(crate) async fn happen_often(&self, count: usize) {
        const TOGETHER: usize = 200;
        for begin in (0..count).step_by(TOGETHER) {
            let mut waiting: Vec<_> = (begin..count.min(begin + TOGETHER))
                .map(|place| Box::pin(self.happen(place)))
                .collect();
            std::future::poll_fn(|context| {
                waiting.retain_mut(|it| it.as_mut().poll(context).is_pending());
                if waiting.is_empty() {
                    std::task::Poll::Ready(())
                } else {
                    std::task::Poll::Pending
                }
            })
            .await;
        }
    }

    pub(crate) async fn endpoint(&self, url: &str, is_ordered: bool) -> EndpointId {
        self.endpoint_of(url, is_ordered, None).await
    }

    /// The same, of one directory.
    pub(crate) async fn endpoint_of(
        &self,
        url: &str,
        is_ordered: bool,
        directory: Option<DirectoryId>,
    ) -> EndpointId {
        let mut entropy = [0; 32];
        entropy[..16].copy_from_slice(self.ids.next().as_bytes());
        let new = NewEndpoint {
            url: url.to_owned(),
            description: None,
            filter: Filter {
                types: vec!["directory.*".to_owned()],
                directories: directory.into_iter().collect(),
                ..Filter::default()
            },
            is_ordered,
            from_the_beginning: false,
            secret: SigningSecret::new(entropy),
        };
        self.api.create_endpoint(new).await.expect("it is kept").expect("there is room")
    }

    /// Closes the store and drops the database.
    pub(crate) async fn close(self) {
        drop(self.api);
        self.store.close().await;
        drop(self.own);
        // What is left over is in the folder of build products, and in nobody's way.
        let _ = std::fs::remove_dir_all(&self.folder);
    }

    /// Works for one endpoint with a clock of its own, as a process that began now.
    pub(crate) async fn work(&self, id: EndpointId, post: &Arc<Recorder>, time: &Virtual) -> Work {
        let holder = self.ids.next().to_string();
        self.take(&holder).await;
        self.work_as(&holder, id, post, time).await
    }

    /// The same as a node that has taken the endpoint already.
    pub(crate) async fn work_as(
        &self,
        holder: &str,
        id: EndpointId,
        post: &Arc<Recorder>,
        time: &Virtual,
    ) -> Work {
        let webhooks = self.store.webhooks();
        let tail = Tail::begin(webhooks.feed()).await.expect("the feed is read");
        let post = Arc::clone(post) as Arc<dyn Post>;
        let shared = Shared::new(webhooks.clone(), tail, post, chance(), holder);
        let endpoints = webhooks.endpoints(holder).await.expect("they are read").mine;
        let claimed = *endpoints.iter().find(|it| it.id == id).expect("it was taken");
        let worker = Worker::take_up(shared, Arc::new(time.clone()), id, claimed.epoch).await;
        let worker = worker.expect("it is read").expect("it is there");
        let (orders, ordered) = watch::channel(Order::Work { revision: claimed.revision });
        Work { orders, running: tokio::spawn(worker.run(ordered)) }
    }

    /// Takes all endpoints from whoever had them, as when it had been dead for long.
    async fn take(&self, holder: &str) {
        if let Some(own) = &self.own {
            let own: &OwnDatabase = own;
            own.run("update webhook_endpoints set expires_at = 0; delete from leases");
        }
        self.store.webhooks().claim(holder, true).await.expect("they are taken");
    }
}

/// Somebody who works for an endpoint.
pub(crate) struct Work {
    pub(crate) orders: watch::Sender<Order>,
    pub(crate) running: JoinHandle<End>,
}

impl Work {
    /// Has it finish what is under way.
    pub(crate) async fn stop(self) -> End {
        self.orders.send_replace(Order::Stop);
        self.running.await.expect("it does not panic")
    }

    /// Kills it at once, whatever is under way.
    pub(crate) async fn kill(self) {
        self.running.abort();
        let _ = self.running.await;
    }
}

/// Chance that is spread evenly, and the same in every run.
pub(crate) fn chance() -> Chance {
    let turn = AtomicU64::new(0);
    Arc::new(move || {
        let turn = turn.fetch_add(7, Ordering::Relaxed) % 100;
        f64::from(u32::try_from(turn).expect("it is small")) / 100.0
    })
}

/// A clock that goes on when whoever waits for it has nothing else to do.
#[derive(Clone)]
pub(crate) struct Virtual(Arc<Mutex<Timestamp>>);

impl Virtual {
    pub(crate) fn new() -> Virtual {
        Virtual(Arc::new(Mutex::new(Timestamp::from_second(BEGINNING).expect("it is a time"))))
    }
}

impl Virtual {
    pub(crate) fn move_to(&self, now: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

impl Time for Virtual {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, until: Timestamp, is_idle: bool) -> Boxed<()> {
        let clock = Arc::clone(&self.0);
        Box::pin(async move {
            if !is_idle {
                return std::future::pending().await;
            }
            tokio::task::yield_now().await;
            let mut now = clock.lock().unwrap_or_else(PoisonError::into_inner);
            *now = until.max(*now);
        })
    }
}

/// A clock that a test moves, and nobody else: what happens while it stands has taken no time.
#[derive(Clone)]
pub(crate) struct Moved(Arc<watch::Sender<Timestamp>>);

impl Moved {
    pub(crate) fn new() -> Moved {
        let begun = Timestamp::from_second(BEGINNING).expect("it is a time");
        Moved(Arc::new(watch::Sender::new(begun)))
    }

    pub(crate) fn go_on(&self, by: SignedDuration) {
        self.0.send_modify(|now| *now += by);
    }

    pub(crate) async fn until(self, moment: Timestamp) {
        // It is here as long as this is.
        let _ = self.0.subscribe().wait_for(|now| *now >= moment).await;
    }
}

impl Time for Moved {
    fn now(&self) -> Timestamp {
        *self.0.borrow()
    }

    fn wait(&self, until: Timestamp, _: bool) -> Boxed<()> {
        Box::pin(self.clone().until(until))
    }
}

/// What was sent, when, and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) url: String,
    pub(crate) id: String,
    /// Directory and number of the event.
    pub(crate) place: (String, u64),
    pub(crate) at: Timestamp,
    pub(crate) answer: Answer,
}

/// Directory and number of what a message tells.
pub(crate) fn place(body: &str) -> (String, u64) {
    let body: serde_json::Value = serde_json::from_str(body).expect("it is JSON");
    let directory = body["directory_id"].as_str().unwrap_or_default().to_owned();
    (directory, body["number"].as_u64().expect("a number"))
}

/// Carries messages, and remembers what came of them.
pub(crate) struct Recorder {
    post: Arc<dyn Post>,
    log: Arc<Mutex<Log>>,
    happened: Arc<Notify>,
}

#[derive(Default)]
struct Log {
    sent: Vec<Sent>,
    arrived: HashSet<String>,
}

impl Recorder {
    pub(crate) fn new(post: impl Post + 'static) -> Arc<Recorder> {
        let post = Arc::new(post);
        Arc::new(Recorder { post, log: Arc::default(), happened: Arc::default() })
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.lock().sent.clone()
    }

    /// How many different events have arrived.
    pub(crate) fn arrived(&self) -> usize {
        self.lock().arrived.len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until what was sent is like this.
    pub(crate) async fn until(&self, is_it: impl Fn(&[Sent]) -> bool) {
        self.wait(|log| is_it(&log.sent)).await;
    }

    /// Waits until so many different events have arrived.
    pub(crate) async fn until_arrived(&self, count: usize) {
        self.wait(|log| log.arrived.len() >= count).await;
    }

    /// Waits until so much more was sent, or so much has arrived.
    pub(crate) async fn until_sent(&self, sent: usize, arrived: usize) {
        self.wait(|log| log.sent.len() >= sent || log.arrived.len() >= arrived).await;
    }

    async fn wait(&self, is_it: impl Fn(&Log) -> bool) {
        loop {
            let mut happening = std::pin::pin!(self.happened.notified());
            happening.as_mut().enable();
            if is_it(&self.lock()) {
                return;
            }
            happening.await;
        }
    }
}

impl Post for Recorder {
    fn post(&self, message: Message, now: Timestamp) -> Boxed<Answer> {
        let (log, happened) = (Arc::clone(&self.log), Arc::clone(&self.happened));
        let (url, id, place) = (message.url.clone(), message.id.clone(), place(&message.body));
        let posting = self.post.post(message, now);
        Box::pin(async move {
            let answer = posting.await;
            let one = Sent { url, id, place, at: now, answer: answer.clone() };
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            if answer.is_success() {
                log.arrived.insert(one.id.clone());
            }
            log.sent.push(one);
            drop(log);
            happened.notify_waiters();
            answer
        })
    }
}

/// Answers without a network, by what is sent and when.
pub(crate) struct Scripted<F>(pub(crate) F);

impl<F: Fn(&Message, Timestamp) -> u16 + Send + Sync> Post for Scripted<F> {
    fn post(&self, message: Message, now: Timestamp) -> Boxed<Answer> {
        let status = Some(self.0(&message, now));
        Box::pin(async move {
            // Others come in between, as they would on a network.
            tokio::task::yield_now().await;
            Answer { status, ..Answer::default() }
        })
    }
}

/// Names that lead where a test says.
pub(crate) struct Told<F>(pub(crate) F);

impl<F: Fn(&str) -> Vec<IpAddr> + Send + Sync> Names for Told<F> {
    fn resolve(&self, name: &str) -> Boxed<std::io::Result<Vec<IpAddr>>> {
        let found = self.0(name);
        Box::pin(async move { Ok(found) })
    }
}

pub(crate) fn networks(texts: &[&str]) -> Networks {
    texts.iter().map(|it| it.parse::<AddressRange>().expect("a network")).collect()
}

/// Carries messages on this machine, and waits for a second at most.
pub(crate) fn poster() -> Poster {
    poster_that_waits(Duration::from_secs(1))
}

/// The same, and waits for as long as this.
pub(crate) fn poster_that_waits(time: Duration) -> Poster {
    let patience = Patience { connect: time, whole: time };
    let names: Arc<dyn Names> = Arc::new(Told(|_: &str| vec![IpAddr::from([127, 0, 0, 1])]));
    Poster::new(networks(&["127.0.0.0/8"]), &names, patience).expect("there is TLS")
}

/// How a receiver behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Manner {
    Healthy,
    Failing500,
    Busy429,
    Gone410,
    Moved301,
    NoTls,
    SelfSigned,
    ByteByByte,
    NeverAnswers,
    Closes,
    HugeBody,
    PackedBomb,
    Garbage,
    BlackHole,
}

impl Manner {
    /// All that misbehave.
    pub(crate) const BAD: [Manner; 13] = [
        Manner::Failing500,
        Manner::Busy429,
        Manner::Gone410,
        Manner::Moved301,
        Manner::NoTls,
        Manner::SelfSigned,
        Manner::ByteByByte,
        Manner::NeverAnswers,
        Manner::Closes,
        Manner::HugeBody,
        Manner::PackedBomb,
        Manner::Garbage,
        Manner::BlackHole,
    ];
}

/// A server that events are brought to.
pub(crate) struct Receiver {
    pub(crate) url: String,
    /// What came in whole, by id, and how often.
    pub(crate) received: Arc<Mutex<BTreeMap<String, usize>>>,
    /// Whether anybody has come.
    asked: Arc<watch::Sender<bool>>,
    /// Connections of a black hole.
    _filling: Vec<TcpStream>,
    serving: Option<JoinHandle<()>>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}

impl Receiver {
    pub(crate) async fn start(manner: Manner) -> Receiver {
        let received: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
        let asked = Arc::new(watch::Sender::new(false));
        let (scheme, address, filling, serving) = match manner {
            Manner::BlackHole => {
                // Nobody accepts, and there is room for hardly anybody who waits: the next knock in
                // vain.
                let socket = TcpSocket::new_v4().expect("a socket");
                socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
                let listener = socket.listen(1).expect("it listens");
                let address = listener.local_addr().expect("an address");
                let mut filling = Vec::new();
                let patience = Duration::from_millis(300);
                while let Ok(Ok(stream)) =
                    tokio::time::timeout(patience, TcpStream::connect(address)).await
                {
                    filling.push(stream);
                }
                let serving = tokio::spawn(async move {
                    let _listener = listener;
                    std::future::pending::<()>().await;
                });
                ("http", address, filling, serving)
            }
            Manner::SelfSigned => {
                let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
                let address = listener.local_addr().expect("an address");
                std::thread::spawn(move || self_signed(&listener));
                ("https", address, Vec::new(), tokio::spawn(async {}))
            }
            _ => {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                let address = listener.local_addr().expect("an address");
                let (log, asked) = (Arc::clone(&received), Arc::clone(&asked));
                let serving = tokio::spawn(async move {
                    while let Ok((stream, _)) = listener.accept().await {
                        asked.send_replace(true);
                        tokio::spawn(converse(stream, manner, Arc::clone(&log)));
                    }
                });
                let scheme = if manner == Manner::NoTls { "https" } else { "http" };
                (scheme, address, Vec::new(), serving)
            }
        };
        let url = format!("{scheme}://{address}/hook");
        let serving = Some(serving);
        Receiver { url, received, asked, _filling: filling, serving }
    }

    /// Waits until somebody has come.
    pub(crate) async fn until_asked(&self) {
        let mut asked = self.asked.subscribe();
        asked.wait_for(|it| *it).await.expect("it is there");
    }

    pub(crate) fn received(&self) -> BTreeMap<String, usize> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Speaks TLS with a certificate that nobody has vouched for.
fn self_signed(listener: &std::net::TcpListener) {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let certificate = CertificateDer::from(include_bytes!("self-signed.cert.der").as_slice());
    let key = PrivateKeyDer::try_from(include_bytes!("self-signed.key.der").as_slice());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let settings = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("there are some")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.expect("it is a key"))
        .expect("they belong together");
    let settings = Arc::new(settings);
    for mut stream in listener.incoming().map_while(Result::ok) {
        let mut tls = rustls::ServerConnection::new(Arc::clone(&settings)).expect("it begins");
        let mut tls = rustls::Stream::new(&mut tls, &mut stream);
        // Whoever believes the certificate is told that all is well.
        let mut request = [0; 4_096];
        if tls.read(&mut request).is_ok_and(|length| length > 0) {
            let _ = tls.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        }
    }
}

/// Reads a request whole; its id.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|it| it == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let header = |name: &str| {
        text.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let length: usize = header("content-length")?.parse().ok()?;
    while bytes.len() < head + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    header("webhook-id")
}

async fn converse(
    mut stream: TcpStream,
    manner: Manner,
    received: Arc<Mutex<BTreeMap<String, usize>>>,
) {
    if manner == Manner::Closes {
        return;
    }
    if manner == Manner::NoTls {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        return;
    }
    while let Some(id) = read_request(&mut stream).await {
        let answer: &[u8] = match manner {
            Manner::Healthy => {
                let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
                *received.entry(id).or_default() += 1;
                b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
            }
            Manner::Failing500 => {
                b"HTTP/1.1 500 Oh\r\ncontent-length: 11\r\n\r\nno \x00 \xff now\n"
            }
            Manner::Busy429 => {
                b"HTTP/1.1 429 Busy\r\nretry-after: 120\r\ncontent-length: 0\r\n\r\n"
            }
            Manner::Gone410 => b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n",
            Manner::Moved301 => {
                b"HTTP/1.1 301 Moved\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"
            }
            Manner::Garbage => b"\x16\x03\x01 this is not HTTP\r\n\r\n\x00\xff",
            Manner::PackedBomb => {
                b"HTTP/1.1 503 Bomb\r\ncontent-encoding: gzip\r\ncontent-length: 100000\r\n\r\n"
            }
            Manner::HugeBody => b"HTTP/1.1 500 Huge\r\ntransfer-encoding: chunked\r\n\r\n",
            Manner::ByteByByte => {
                for byte in b"HTTP/1.1 200 OK\r\n" {
                    if stream.write_all(&[*byte]).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                return;
            }
            _ => std::future::pending().await,
        };
        if stream.write_all(answer).await.is_err() {
            return;
        }
        match manner {
            Manner::Garbage => return,
            // What would unpack to a gigabyte.
            Manner::PackedBomb => {
                let mut bomb = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03".to_vec();
                bomb.resize(100_000, 0xed);
                if stream.write_all(&bomb).await.is_err() {
                    return;
                }
            }
            Manner::HugeBody => {
                let mut chunk = b"10000\r\n".to_vec();
                chunk.resize(7 + 0x10000, b'x');
                chunk.extend_from_slice(b"\r\n");
                while stream.write_all(&chunk).await.is_ok() {}
                return;
            }
            _ => {}
        }
    }
}
