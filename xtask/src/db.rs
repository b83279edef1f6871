//! `cargo xtask db`: a PostgreSQL server for tests, from the installed programs, in `target` and
//! thrown away after.
//!
//! It listens on this machine alone, lets everybody in, and does not wait for the disk: what it
//! holds is worth nothing. No test of durability uses it.

use std::{
    env,
    fs::{self, File},
    net::{Ipv4Addr, TcpListener},
    os::unix::{fs::DirBuilderExt as _, fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use crate::{
    command::{capture, say},
    tool::POSTGRES,
};

/// What tests are told, and where by.
pub(crate) const VARIABLE: &str = "ROSTER_TEST_POSTGRES";

/// The oldest version that Roster works with.
const MAJOR_MIN: u32 = 14;

/// Where Debian and Ubuntu have the programs of a server, which are not on the path there.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The server is told to be ready by its own file; this is how often it is looked at, and for how
/// long at most. It takes half a second; a machine that does much else takes longer.
const LOOKING: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_mins(1);

/// Lines of the server's log that are told when it has ended by itself.
const LAST_WORDS: usize = 20;

/// Every test has a process and a database of its own, and each of these some ten connections.
/// Nothing waits for the disk. A log of what clients did wrong is what some tests are about.
const SETTINGS: &[&str] = &[
    "listen_addresses=127.0.0.1",
    // No file that has to lie somewhere with a short name: it is reached over the network alone.
    "unix_socket_directories=",
    "max_connections=500",
    "fsync=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_wal_size=1GB",
    "log_min_messages=fatal",
];

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    act: Option<Act>,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Start one where none runs, and print its URL
    Start,
    /// Stop it and throw it away
    Stop,
}

/// `cargo xtask db`, for whoever runs single tests.
#[expect(clippy::print_stdout, reason = "the URL is what was asked for, and may be piped on")]
pub(crate) fn act(root: &Path, arguments: &Arguments) -> anyhow::Result<()> {
    let place = Place::find(root, "db")?;
    match arguments.act {
        None | Some(Act::Start) => {
            let url = match place.running() {
                Some(port) => url(port),
                None => place.start(&POSTGRES.ensure(root)?)?.url,
            };
            say(format_args!(
                "PostgreSQL runs, until `cargo xtask db stop`. Tests use it that are told so: \
                 {VARIABLE}='{url}' cargo test -p store"
            ));
            println!("{url}");
            Ok(())
        }
        Some(Act::Stop) => place.clear(),
    }
}

/// A server for one step. It ends with this, and so do its databases.
#[derive(Debug)]
pub(crate) struct Postgres {
    place: Place,
    /// Where databases may be made.
    pub(crate) url: String,
    process: Child,
    /// Held as long as the server is ours. The system lets go of it when this process is killed.
    _lock: File,
}

impl Postgres {
    /// Starts one. What a killed run has left behind is removed first.
    pub(crate) fn start(root: &Path) -> anyhow::Result<Postgres> {
        let program = POSTGRES.ensure(root)?;
        let place = Place::find(root, "step")?;
        let lock = place.lock()?;
        place.clear()?;
        let Started { url, process } = place.start(&program)?;
        Ok(Postgres { place, url, process, _lock: lock })
    }

    /// The same, where PostgreSQL is there or can be installed. Where it is not, that is said aloud
    /// and the step goes without; in CI it is an error.
    pub(crate) fn start_if_possible(root: &Path) -> anyhow::Result<Option<Postgres>> {
        match Postgres::start(root) {
            Ok(server) => Ok(Some(server)),
            Err(error) if is_ci() => Err(error),
            Err(reason) => {
                say(format_args!(
                    "   NOT CHECKED: there is no PostgreSQL, so this run says nothing about it\n   \
                     cause: {reason:#}"
                ));
                Ok(None)
            }
        }
    }

    /// Makes an empty database, and gives its URL.
    pub(crate) fn create_database(&self, name: &str) -> anyhow::Result<String> {
        let psql = beside("psql")?;
        capture(Command::new(psql).args([&self.url, "-qc", &format!("create database {name}")]))
            .with_context(|| format!("the database `{name}` could not be made"))?;
        Ok(self.url.replacen("/postgres?", &format!("/{name}?"), 1))
    }

    /// What came of something that used the server. Where it failed and the server has ended
    /// meanwhile, that is why, and the server's last words are told.
    pub(crate) fn blamed_for<T>(&mut self, outcome: anyhow::Result<T>) -> anyhow::Result<T> {
        let Err(error) = outcome else { return outcome };
        match self.process.try_wait() {
            Ok(Some(status)) => Err(error.context(format!(
                "PostgreSQL ended with {status} while it was used, and had said:\n{}",
                self.place.last_words()
            ))),
            _ => Err(error),
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Err(error) = self.place.clear() {
            say(format_args!("   PostgreSQL was not thrown away: {error:#}"));
        }
        // Where it could not be asked to end. It is a child of ours and has to be waited for.
        let _ = self.process.kill().and_then(|()| self.process.wait());
    }
}

/// Where a server lies, and who it runs as.
#[derive(Debug)]
struct Place {
    folder: PathBuf,
    /// A server refuses to be root. Where we are, it runs as somebody who is not.
    user: Option<User>,
}

#[derive(Debug)]
struct Started {
    url: String,
    process: Child,
}

/// By number, as processes and files know them.
#[derive(Clone, Copy, Debug)]
struct User {
    user: u32,
    group: u32,
}

impl Place {
    fn find(root: &Path, name: &str) -> anyhow::Result<Place> {
        let folder = root.join("target").join("postgres").join(name);
        fs::create_dir_all(&folder)
            .with_context(|| format!("`{}` cannot be made", folder.display()))?;
        let place = Place { folder, user: User::other_than_root()? };
        if place.user.is_none() || place.is_reachable() {
            return Ok(place);
        }
        // The workspace is below a folder that only root may enter, as `/root` is.
        let folder = env::temp_dir().join(format!("roster-postgres-{name}"));
        fs::create_dir_all(&folder)
            .with_context(|| format!("`{}` cannot be made", folder.display()))?;
        Ok(Place { folder, ..place })
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// The end of what the server has said.
    fn last_words(&self) -> String {
        let said = fs::read(self.log()).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n")
    }

    fn is_reachable(&self) -> bool {
        capture(self.command(Path::new("test")).args(["-x", "."])).is_ok()
    }

    /// A program, run in the folder by whoever the server runs as.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder);
        if let Some(User { user, group }) = self.user {
            command.uid(user).gid(group);
        }
        command
    }

    /// Waits until nobody else has a server here.
    fn lock(&self) -> anyhow::Result<File> {
        let lock =
            File::create(self.folder.join("lock")).context("there is no place for a lock")?;
        if lock.try_lock().is_err() {
            say("   waiting for another `cargo xtask`, which has its PostgreSQL in this place");
            lock.lock().context("the place of PostgreSQL cannot be taken")?;
        }
        Ok(lock)
    }

    /// Makes a server and waits until it listens.
    fn start(&self, server: &Path) -> anyhow::Result<Started> {
        let programs = server.parent().context("a program lies in a folder")?;
        let data = self.data();
        self.clear()?;
        fs::DirBuilder::new().mode(0o700).create(&data)?;
        let output = File::create(self.log())?;
        if let Some(User { user, group }) = self.user {
            chown(&data, Some(user), Some(group))?;
        }
        // Text is sorted as people do where this is possible, so that a statement of ours which
        // forgets to ask for bytes is found.
        let sorted = ["--locale-provider=icu", "--icu-locale=en-US", "--locale=C"];
        let initialize = |locale: &[&str]| {
            let mut command = self.command(&programs.join("initdb"));
            command.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync"]);
            capture(command.args(locale).arg("--pgdata").arg(&data))
        };
        if major(server).is_some_and(|it| it < 15) || initialize(&sorted).is_err() {
            initialize(&["--locale=C"]).context("PostgreSQL could not be set up")?;
        }

        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut command = self.command(server);
        command.arg("-D").arg(&data).arg("-p").arg(port.to_string());
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        // A group of its own: who stops a task with Ctrl-C has it thrown away by the next one, and
        // one that was started by hand goes on.
        command.process_group(0).stdin(Stdio::null());
        command.stdout(output.try_clone()?).stderr(output);
        let process = command.spawn().context("PostgreSQL could not be started")?;
        let mut started = Started { url: url(port), process };
        match self.wait(&mut started.process) {
            Ok(()) => Ok(started),
            Err(error) => {
                let _ = started.process.kill().and_then(|()| started.process.wait());
                let said = self.last_words();
                Err(error.context(format!("PostgreSQL did not start, and said:\n{said}")))
            }
        }
    }

    /// Waits until the server says that it is ready.
    #[expect(clippy::disallowed_methods, reason = "nothing tells of it; `pg_ctl` waits so too")]
    fn wait(&self, process: &mut Child) -> anyhow::Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = process.try_wait()? {
                bail!("it ended with {status}");
            }
            if self.status().is_some_and(|(_, is_ready)| is_ready) {
                return Ok(());
            }
            thread::sleep(LOOKING);
        }
        bail!("it was not ready after {} s", PATIENCE.as_secs())
    }

    /// On which port a server runs here, if one does.
    fn running(&self) -> Option<u16> {
        let (port, _) = self.status()?;
        let psql = beside("psql").ok()?;
        // The file may be of a machine that lost power, and the port somebody else's since.
        let asked = capture(Command::new(psql).args([&url(port), "-Atc", "show data_directory"]));
        (Path::new(asked.ok()?.trim()) == self.data()).then_some(port)
    }

    /// What the server has written down: its port, and whether it is ready.
    fn status(&self) -> Option<(u16, bool)> {
        let text = fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        let mut lines = text.lines();
        let port = lines.nth(3)?.trim().parse().ok()?;
        Some((port, lines.last()?.trim() == "ready"))
    }

    /// Stops the server, where one runs, and removes what it has kept.
    fn clear(&self) -> anyhow::Result<()> {
        if self.running().is_some() {
            let mut stop = self.command(&beside("pg_ctl")?);
            stop.args(["stop", "--mode=immediate", "--wait", "--silent", "--pgdata"]);
            capture(stop.arg(self.data())).context("PostgreSQL could not be stopped")?;
        }
        match fs::remove_dir_all(self.data()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("`{}` is in the way", self.data().display()))
            }
            _ => Ok(()),
        }
    }
}

impl User {
    /// Nobody, where we are not root.
    fn other_than_root() -> anyhow::Result<Option<User>> {
        let number = |arguments: &[&str]| -> anyhow::Result<u32> {
            let printed = capture(Command::new("id").args(arguments))?;
            printed.trim().parse().context("`id` printed no number")
        };
        if number(&["-u"])? != 0 {
            return Ok(None);
        }
        // The package brings a user of its own.
        for name in ["postgres", "nobody"] {
            if let (Ok(user), Ok(group)) = (number(&["-u", name]), number(&["-g", name])) {
                return Ok(Some(User { user, group }));
            }
        }
        bail!("PostgreSQL does not run as root, and this machine has no other user for it")
    }
}

/// The newest server that is installed and not too old.
pub(crate) fn find() -> Option<PathBuf> {
    let debian = fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let mut folders: Vec<_> = debian.map(|entry| entry.path().join("bin")).collect();
    if let Some(path) = env::var_os("PATH") {
        folders.extend(env::split_paths(&path));
    }
    if let Ok(folder) = capture(Command::new("pg_config").arg("--bindir")) {
        folders.push(folder.trim().into());
    }
    let servers = folders.into_iter().map(|folder| folder.join("postgres"));
    let whole = servers.filter_map(|server| server.canonicalize().ok()).filter(|server| {
        ["initdb", "pg_ctl", "psql"].iter().all(|name| server.with_file_name(name).is_file())
    });
    whole
        .filter_map(|server| Some((major(&server)?, server)))
        .filter(|(major, _)| *major >= MAJOR_MIN)
        .max()
        .map(|(_, server)| server)
}

/// A program that comes with the server's.
fn beside(name: &str) -> anyhow::Result<PathBuf> {
    Ok(find().context("PostgreSQL is not there any more")?.with_file_name(name))
}

/// Which version a server is of.
fn major(server: &Path) -> Option<u32> {
    major_in(&capture(Command::new(server).arg("--version")).ok()?)
}

/// The 15 in `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, and in `... 19beta1`.
fn major_in(text: &str) -> Option<u32> {
    let (_, version) = text.split_once("(PostgreSQL) ")?;
    let digits = version.find(|it: char| !it.is_ascii_digit()).unwrap_or(version.len());
    version[..digits].parse().ok()
}

fn url(port: u16) -> String {
    format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable")
}

#[expect(clippy::disallowed_methods, reason = "every CI sets it, and nobody types it")]
fn is_ci() -> bool {
    env::var("CI").is_ok_and(|it| it == "true" || it == "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_version_is_found_in_what_it_prints() {
        #[track_caller]
        fn check(text: &str, expected: Option<u32>) {
            assert_eq!(major_in(text), expected, "{text}");
        }
        check("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", Some(15));
        check("postgres (PostgreSQL) 19beta1\n", Some(19));
        check("postgres (PostgreSQL) 14\n", Some(14));
        check("postgres (EnterpriseDB) 15.18\n", None);
        check("postgres (PostgreSQL) \n", None);
        check("", None);
    }

    #[test]
    fn what_the_server_writes_down_is_read() {
        let folder = env::temp_dir().join(format!("roster-xtask-db-{}", std::process::id()));
        fs::create_dir_all(folder.join("data")).unwrap();
        let place = Place { folder: folder.clone(), user: None };
        let check = |text: &str, expected: Option<(u16, bool)>| {
            fs::write(folder.join("data").join("postmaster.pid"), text).unwrap();
            assert_eq!(place.status(), expected, "{text}");
        };
        check("7\n/data\n1795000000\n40123\n\n127.0.0.1\n  5 6\nready   \n", Some((40123, true)));
        check("7\n/data\n1795000000\n40123\n\n127.0.0.1\n  5 6\nstarting\n", Some((40123, false)));
        check("7\n/data\n1795000000\n40123\n", None);
        check("7\n/data\n", None);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(place.status(), None);
    }
}
