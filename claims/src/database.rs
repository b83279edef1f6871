//! A database of one's own on the PostgreSQL server that is there for tests, where one is.
//!
//! `cargo xtask test` runs what opens a database twice: on embedded databases, and then with a
//! variable that names a server, on databases there. A test is written once and knows neither.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};

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
    #[expect(clippy::disallowed_methods, reason = "a test has no arguments")]
    pub fn make() -> Option<OwnDatabase> {
        let server = std::env::var(SERVER).ok()?;
        // Whatever a killed run has left behind has another name.
        let name = format!("test_{:016x}", RandomState::new().build_hasher().finish());
        // To the other template somebody may be connected, and it cannot be copied meanwhile.
        run(&server, format!("create database {name} template template0"));
        Some(OwnDatabase { server, name })
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
        let rows = |sql: String| -> Vec<String> {
            let told = run(&self.url(), sql).into_iter();
            let texts = told.filter_map(|it| match it {
                SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            });
            texts.collect()
        };
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
