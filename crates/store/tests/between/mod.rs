//! A way to PostgreSQL that can break just where it matters: after the database has kept something,
//! and before it could say so.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use claims::OwnDatabase;

/// What is sent to have a transaction kept.
const COMMIT: &[u8] = b"; commit";

/// As long as this is there, whoever connects to its URL comes to the database.
pub(crate) struct Way {
    url: String,
    breaks: Arc<AtomicBool>,
}

impl Way {
    pub(crate) fn to(own: &OwnDatabase) -> Way {
        let url = own.url();
        let (_, address) = url.split_once('@').expect("it names its user");
        let (address, _) = address.split_once('/').expect("it names a database");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let here = listener.local_addr().expect("it has one").to_string();
        let way =
            Way { url: url.replacen(address, &here, 1), breaks: Arc::new(AtomicBool::new(false)) };
        let (address, breaks) = (address.to_owned(), Arc::clone(&way.breaks));
        // It ends with the test.
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let far = TcpStream::connect(&address).expect("the server for tests is there");
                for side in [&near, &far] {
                    side.set_nodelay(true).expect("it is a socket");
                }
                let is_broken = Arc::new(AtomicBool::new(false));
                let there = (clone(&near), clone(&far), Arc::clone(&is_broken));
                let breaks = Arc::clone(&breaks);
                std::thread::spawn(move || {
                    let (near, far, is_broken) = there;
                    hand_on(near, far, |chunk| {
                        let commits = chunk.windows(COMMIT.len()).any(|it| it == COMMIT);
                        if commits && breaks.swap(false, Ordering::SeqCst) {
                            is_broken.store(true, Ordering::SeqCst);
                        }
                        true
                    });
                });
                // The answer has come, so it was kept; and nobody hears of it.
                std::thread::spawn(move || {
                    hand_on(far, near, |_| !is_broken.load(Ordering::SeqCst));
                });
            }
        });
        way
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The next commit is kept, and its answer is lost with the connection.
    pub(crate) fn break_at_the_next_commit(&self) {
        self.breaks.store(true, Ordering::SeqCst);
    }

    /// Whether that has happened.
    pub(crate) fn has_broken(&self) -> bool {
        !self.breaks.load(Ordering::SeqCst)
    }
}

fn clone(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("it is a socket")
}

/// Hands on what comes, as long as that is wanted, and then breaks both ways.
fn hand_on(mut from: TcpStream, mut to: TcpStream, mut wants: impl FnMut(&[u8]) -> bool) {
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut chunk).unwrap_or(0);
        if length == 0 || !wants(&chunk[..length]) || to.write_all(&chunk[..length]).is_err() {
            break;
        }
    }
    for side in [from, to] {
        // The other side may be gone already.
        let _ = side.shutdown(Shutdown::Both);
    }
}
