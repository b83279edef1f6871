//! A database of one's own on the PostgreSQL server that is there for tests, where one is.
//!
//! `cargo xtask test` runs what opens a database twice: on embedded databases, and then with a
//! variable that names a server, on databases there. A test is written once and knows neither.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;
use tokio_postgres::{NoTls, SimpleQueryMessage};

/// Where databases may be made: `postgres://…/postgres?…`.
const SERVER: &str = "ROSTER_TEST_POSTGRES";

/// An empty database on PostgreSQL. It is dropped with this, also from below those who use it.
#[derive(Debug)]
pub struct OwnDatabase {
    server: String,
    name: String,
}

impl OwnDatabase {
    /// Makes one. There is none where tests are to use embedded databases.
    pub fn make() -> Option<OwnDatabase> {
        Some(OwnDatabase::make_with(server()?, ""))
    }

    /// Makes one that cannot keep every name: its text is in Latin letters.
    pub fn make_in_latin_letters() -> Option<OwnDatabase> {
        let server = server()?;
        // How a server sorts that says nothing else may need UTF-8. Before 15 there was one way.
        let version = texts(&run(&server, "show server_version_num".to_owned()));
        let is_15 = version[0].parse::<u32>().expect("it is a number") >= 150_000;
        let provider = if is_15 { "locale_provider libc" } else { "" };
        Some(OwnDatabase::make_with(server, &format!("encoding 'LATIN1' locale 'C' {provider}")))
    }

    fn make_with(server: String, options: &str) -> OwnDatabase {
        // To the other template somebody may be connected, and it cannot be copied meanwhile.
        OwnDatabase::make_as(server, &format!("template template0 {options}"))
    }

    fn make_as(server: String, options: &str) -> OwnDatabase {
        // Whatever a killed run has left behind has another name.
        let name = format!("test_{:016x}", RandomState::new().build_hasher().finish());
        run(&server, format!("create database {name} {options}"));
        OwnDatabase { server, name }
    }

    /// Another one with the same in it. Nobody is connected to this one meanwhile.
    #[must_use]
    pub fn copy(&self) -> OwnDatabase {
        OwnDatabase::make_as(self.server.clone(), &format!("template {}", self.name))
    }

    /// Where it is.
    pub fn url(&self) -> String {
        let url = self.server.replacen("/postgres?", &format!("/{}?", self.name), 1);
        assert_ne!(url, self.server, "`{SERVER}` ends with `/postgres?…`");
        url
    }

    /// Runs a statement in it, beside whoever else does, and says how many rows it touched.
    pub fn run(&self, sql: &str) -> u64 {
        let told = run(&self.url(), sql.to_owned());
        let counts = told.iter().map(|it| match it {
            SimpleQueryMessage::CommandComplete(count) => *count,
            _ => 0,
        });
        counts.sum()
    }

    /// Everything that is kept in it: each row of each table, as text.
    pub fn contents(&self) -> String {
        let names = "select table_name from information_schema.tables
                     where table_schema = current_schema() order by table_name";
        let rows = |sql: String| texts(&run(&self.url(), sql));
        let mut contents = String::new();
        for name in rows(names.to_owned()) {
            for row in rows(format!("select kept::text from {name} as kept order by 1")) {
                contents.extend([&name, ": ", &row, "\n"]);
            }
        }
        contents
    }
}

impl Drop for OwnDatabase {
    fn drop(&mut self) {
        run(&self.server, format!("drop database {} with (force)", self.name));
    }
}

/// A transaction of somebody else, in which something was done: it is open until this is dropped, and
/// is undone then.
#[derive(Debug)]
pub struct Held {
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl OwnDatabase {
    /// Begins a transaction and does this in it, as another program would.
    pub fn hold(&self, sql: &str) -> Held {
        let (url, sql) = (self.url(), format!("begin; {sql}"));
        let (done, is_done) = mpsc::channel();
        let (end, ended) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let connected = tokio_postgres::connect(&url, NoTls).await;
                let (client, connection) = connected.expect("the server for tests is there");
                let connection = tokio::spawn(connection);
                client.simple_query(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
                done.send(()).expect("somebody waits for it");
                // Whether it is told or forgotten is the same.
                let _ = ended.await;
                // The connection may have been taken away from it: that is what it is for.
                let _ = client.simple_query("rollback").await;
                drop(client);
                let _ = connection.await;
            });
        });
        is_done.recv().expect("it was done");
        Held { end: Some(end), thread: Some(thread) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it ends");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test has no arguments")]
fn server() -> Option<String> {
    std::env::var(SERVER).ok()
}

/// The first column of what was answered.
fn texts(told: &[SimpleQueryMessage]) -> Vec<String> {
    let texts = told.iter().filter_map(|it| match it {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    texts.collect()
}

/// Runs statements from wherever it is called: a test may be waited for by a runtime, or have none.
fn run(url: &str, sql: String) -> Vec<SimpleQueryMessage> {
    let url = url.to_owned();
    let running = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let connected = tokio_postgres::connect(&url, NoTls).await;
            let (client, connection) = connected.expect("the server for tests is there");
            let connection = tokio::spawn(connection);
            let told = client.simple_query(&sql).await;
            drop(client);
            // It ends as soon as nobody has the client.
            let _ = connection.await;
            told.unwrap_or_else(|error| panic!("{sql}: {error:?}"))
        })
    });
    running.join().expect("the statements are run")
}
