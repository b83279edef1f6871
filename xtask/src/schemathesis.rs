//! The step `schemathesis`: somebody else's tester of APIs asks the built binary what the document of
//! the management API allows, and what it does not, and holds each answer against it.
//!
//! Which version it is stands in `xtask/schemathesis/requirements.txt`, and how it asks in
//! `schemathesis.toml` beside it.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::{
    command::{capture, cargo, run, say},
    db::Postgres,
    python,
    server::Server,
};

/// Its requirements and settings, relative to the workspace.
const FOLDER: &str = "xtask/schemathesis";

/// What it does not ask, as `schemathesis.toml` says with the reasons, and who does instead.
const NOT_ASKED: &[&str] = &[
    "`stream_events` not at all: it has no end (crates/web/tests/edges/feed.rs does)",
    "`list_events` with `wait=0` alone: it would wait (crates/web/tests/edges/feed.rs does)",
    "`revoke_api_key` with the id of nobody alone: it would revoke its own key (crates/web/tests/dialogues/api-keys.md does)",
    "not whether all that fits the schemas is taken: they cannot say everything that is asked for",
];

/// Where it is installed, and where the server has its data; relative to the workspace.
const PLACE: &str = "target/schemathesis";

pub(crate) fn check(root: &Path) -> anyhow::Result<()> {
    let python = python::install(root, "schemathesis", FOLDER, PLACE)?;
    let tester = python.with_file_name("schemathesis");
    run(&mut cargo(root, ["build", "--package", "roster"]))?;
    let place = root.join(PLACE);
    let data = place.join("data");
    if data.exists() {
        fs::remove_dir_all(&data).context("the last run's database cannot be removed")?;
    }
    for it in NOT_ASKED {
        say(format_args!("   left out: {it}"));
    }
    let postgres = Postgres::start_if_possible(root)?;
    let mut databases = vec![("SQLite", None)];
    if let Some(postgres) = &postgres {
        databases.push(("PostgreSQL", Some(postgres.create_database("schemathesis")?)));
    }
    for (kind, database) in databases {
        say(format_args!("   $ schemathesis run docs/api/openapi.json  ({kind})"));
        let server = Server::start_on(&root.join("target/debug/roster"), &data, database)?;
        let key = capture(&mut server.beside(&["api-key", "create", "--json"]))?;
        let key: Value =
            serde_json::from_str(&key).context("`roster api-key create` printed no JSON")?;
        let key = key["api_key"].as_str().context("`roster api-key create` told no key")?;
        let status = Command::new(&tester)
            .arg("--config-file")
            .arg(root.join(FOLDER).join("schemathesis.toml"))
            .arg("run")
            .arg(root.join("docs/api/openapi.json"))
            .args(["--url", &format!("http://{}/api/v1", server.address())])
            .env("ROSTER_API_KEY", key)
            // What it remembers of former runs would make each another one.
            .current_dir(&place)
            .status()
            .context("it could not be started")?;
        ensure!(status.success(), "schemathesis ended with {status}; what it found is above");
    }
    Ok(())
}
