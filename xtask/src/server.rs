//! Roster itself: the built binary, serving a fresh database as it would anybody.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::Context as _;
use serde_json::Value;

use crate::command::capture;

/// The longest that the server may take to say where it listens.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running server. It ends with this.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    binary: PathBuf,
    data: PathBuf,
    postgres: Option<String>,
    address: SocketAddr,
}

/// What a provider is given to enter.
#[derive(Debug)]
pub(crate) struct Directory {
    /// Its own base URL.
    pub(crate) base_url: String,
    /// The one that it shares with the others.
    pub(crate) shared_base_url: String,
    pub(crate) token: String,
}

impl Server {
    /// Starts on any free port, with its data in a database of PostgreSQL where there is one, in this
    /// folder otherwise, and without a limit of requests.
    pub(crate) fn start_on(
        binary: &Path,
        data: &Path,
        postgres: Option<String>,
    ) -> anyhow::Result<Server> {
        Server::start_with(binary, data, postgres, &[])
    }

    /// The same, told something more.
    pub(crate) fn start_with(
        binary: &Path,
        data: &Path,
        postgres: Option<String>,
        arguments: &[&str],
    ) -> anyhow::Result<Server> {
        let mut process = place(Command::new(binary), data, postgres.as_deref())
            .args(["serve", "--listen", "127.0.0.1:0", "--requests-per-second", "0"])
            .args(arguments)
            // Logged as usual, but for its start and its end.
            .env("ROSTER_LOG", "roster=warn,info")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("`roster serve` could not be started")?;
        let output = process.stdout.take().expect("the output was asked for as a pipe");
        let (sender, receiver) = mpsc::channel();
        // It goes on reading to the end, so that the server never waits for its reader.
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some((_, url)) = line.split_once(" listens on http://") {
                    drop(sender.send(url.trim().to_owned()));
                }
            }
        });
        let mut server = Server {
            process,
            binary: binary.to_owned(),
            data: data.to_owned(),
            postgres,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let address = receiver
            .recv_timeout(PATIENCE)
            .context("`roster serve` did not say where it listens")?;
        server.address = address.parse().context("`roster serve` listens nowhere")?;
        Ok(server)
    }

    /// Of the process, to the operating system.
    pub(crate) fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Asks it to stop, as whatever runs services does, and waits until it has.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        let id = self.process.id().to_string();
        capture(Command::new("kill").args(["-TERM", &id]))?;
        let status = self.process.wait().context("`roster serve` was not waited for")?;
        anyhow::ensure!(status.success(), "`roster serve` ended with {status}");
        Ok(())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A command beside it, about the same data.
    pub(crate) fn beside(&self, words: &[&str]) -> Command {
        let mut command = place(Command::new(&self.binary), &self.data, self.postgres.as_deref());
        command.args(words);
        command
    }

    /// Makes a directory of this name and a token for it, with `roster directory create`.
    pub(crate) fn create_directory(
        &self,
        name: &str,
        arguments: &[&str],
    ) -> anyhow::Result<Directory> {
        let url = format!("http://{}", self.address);
        let words = ["directory", "create", "--organization", "Example", "--json", "--name", name];
        let created = capture(self.beside(&words).args(["--public-url", &url]).args(arguments))?;
        let created: Value =
            serde_json::from_str(&created).context("`roster directory create` printed no JSON")?;
        let text = |name: &str| {
            let text = created[name].as_str().map(str::to_owned);
            text.with_context(|| format!("`roster directory create` did not tell the `{name}`"))
        };
        Ok(Directory {
            base_url: text("base_url")?,
            shared_base_url: text("shared_base_url")?,
            token: text("token")?,
        })
    }
}

/// Tells a command by its environment where the data is.
fn place(mut command: Command, data: &Path, postgres: Option<&str>) -> Command {
    match postgres {
        None => command.env("ROSTER_DATA", data),
        Some(url) => command.env("ROSTER_DATABASE", url),
    };
    command
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; its database is thrown away either way.
        let _ = self.process.kill().and_then(|()| self.process.wait());
    }
}
