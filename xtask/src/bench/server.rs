//! Roster itself: the release binary, serving a fresh database as it would anybody.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
};

use anyhow::Context as _;
use serde_json::Value;

use crate::{bench::PATIENCE, command::capture};

/// A running server with one directory. It ends with this.
#[derive(Debug)]
pub(super) struct Server {
    process: Child,
    address: SocketAddr,
    base_path: String,
    token: String,
    data: PathBuf,
}

impl Server {
    pub(super) fn start(root: &Path, data: &Path) -> anyhow::Result<Server> {
        let binary = root.join("target/release/roster");
        let mut process = Command::new(&binary)
            .args(["serve", "--listen", "127.0.0.1:0", "--requests-per-second", "0", "--data"])
            .arg(data)
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
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            base_path: String::new(),
            token: String::new(),
            data: data.to_owned(),
        };
        let address = receiver
            .recv_timeout(PATIENCE)
            .context("`roster serve` did not say where it listens")?;
        server.address = address.parse().context("`roster serve` listens nowhere")?;
        let created = capture(
            Command::new(&binary)
                .args(["directory", "create", "--organization", "Example", "--name", "Okta"])
                .args(["--provider", "okta", "--json", "--data"])
                .arg(data),
        )?;
        let created: Value =
            serde_json::from_str(&created).context("`roster directory create` printed no JSON")?;
        let text = |name: &str| {
            let text = created[name].as_str().map(str::to_owned);
            text.with_context(|| format!("`roster directory create` did not tell the `{name}`"))
        };
        server.token = text("token")?;
        let (_, path) = text("base_url")?
            .split_once(&address)
            .map(|(before, path)| (before.to_owned(), path.to_owned()))
            .context("the base URL is not that of the server")?;
        server.base_path = path;
        Ok(server)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The path of the directory's base URL.
    pub(super) fn base_path(&self) -> &str {
        &self.base_path
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    pub(super) fn database(&self) -> PathBuf {
        self.data.join("roster.db")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; its database is thrown away either way.
        let _ = self.process.kill().and_then(|()| self.process.wait());
    }
}
