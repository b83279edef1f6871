//! A PostgreSQL of the benchmark's own, in `target/bench/postgres`, started from what is installed.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

use crate::{command::capture, db};

/// Whom the server runs as where we are root, which it refuses to run as.
const USER: &str = "postgres";

/// A running server. It ends with this.
#[derive(Debug)]
pub(super) struct Postgres {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
}

impl Postgres {
    /// Starts the server whose databases are in this folder, which is made where there is none.
    /// Commits are durable, as they are when nobody says otherwise.
    pub(super) fn start(folder: &Path) -> anyhow::Result<Postgres> {
        let server = db::find().context(
            "PostgreSQL is not installed\nhint: install it, on Debian and Ubuntu with `sudo \
             apt-get install postgresql`",
        )?;
        let programs = server.parent().context("a program lies in a folder")?.to_owned();
        // It is free now, and nobody else looks for one at this very moment.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let postgres = Postgres { programs, folder: folder.to_owned(), port };
        if !folder.exists() {
            fs::create_dir_all(folder).context("there is no place for PostgreSQL")?;
            if is_root()? {
                capture(Command::new("chown").arg(USER).arg(folder))?;
            }
            let mut initdb = postgres.command("initdb")?;
            initdb.args(["--username", USER, "--auth", "trust", "--encoding", "UTF8"]);
            capture(initdb.args(["--locale", "C", "--pgdata"]).arg(folder))?;
        }
        let options =
            format!("-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''");
        let mut start = postgres.command("pg_ctl")?;
        start.args(["--wait", "--options", &options, "--log"]).arg(folder.join("log"));
        // Not captured: the server keeps the output of who started it.
        crate::command::run(start.arg("--silent").arg("--pgdata").arg(folder).arg("start"))?;
        Ok(postgres)
    }

    /// How a database of it is reached.
    pub(super) fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// Has it do something that brings no rows.
    pub(super) fn run(&self, sql: &str) -> anyhow::Result<()> {
        let mut psql = Command::new(self.program("psql"));
        psql.args(["--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--command", sql]);
        capture(psql.arg(self.url("postgres")))?;
        Ok(())
    }

    /// A program that anybody may run, such as `psql`.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// A program of it, as the one who may run it.
    fn command(&self, program: &str) -> anyhow::Result<Command> {
        let program = self.programs.join(program);
        if !is_root()? {
            return Ok(Command::new(program));
        }
        let mut command = Command::new("runuser");
        command.args(["-u", USER, "--"]).arg(program);
        Ok(command)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let stopped = self.command("pg_ctl").and_then(|mut stop| {
            stop.args(["--wait", "--mode", "fast", "--pgdata"]).arg(&self.folder);
            capture(stop.arg("stop"))
        });
        if let Err(error) = stopped {
            crate::command::say(format_args!("   PostgreSQL was not stopped: {error:#}"));
        }
    }
}

fn is_root() -> anyhow::Result<bool> {
    Ok(capture(Command::new("id").arg("-u"))?.trim() == "0")
}
