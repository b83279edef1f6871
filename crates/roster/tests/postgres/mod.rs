//! A PostgreSQL server that a test can set up and kill as it likes, from the installed programs, in a
//! folder of its own. It waits for the disk, as a server should whose memory is killed.

use std::fs::{self, DirBuilder, Permissions};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::server::Place;

/// Where Debian and Ubuntu have the programs of a server, which are not on the path there.
const DEBIAN: &str = "/usr/lib/postgresql";
/// Nothing tells that a server is ready but a file of its own; this is how often it is looked at.
const LOOKING: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_mins(1);

/// A server. It is thrown away with this.
pub(crate) struct Postgres {
    folder: PathBuf,
    programs: PathBuf,
    /// A server refuses to be root.
    user: Option<(u32, u32)>,
    port: u16,
    settings: Vec<String>,
    process: Child,
}

impl Postgres {
    /// Starts a server, where PostgreSQL is installed; says so where it is not, and fails where tests
    /// are told of a server, for then it is.
    pub(crate) fn start() -> Option<Postgres> {
        Postgres::start_with(&[], &[])
    }

    /// The same with settings such as `ssl=on`, and with files of its folder, by name.
    #[expect(clippy::print_stdout, reason = "whoever runs the test is told")]
    pub(crate) fn start_with(settings: &[&str], files: &[(&str, &str)]) -> Option<Postgres> {
        static FOLDERS: AtomicU64 = AtomicU64::new(0);
        let Some(programs) = programs() else {
            assert!(
                std::env::var_os("ROSTER_TEST_POSTGRES").is_none(),
                "its programs are not found"
            );
            println!("NOT CHECKED: there is no PostgreSQL, so this run says nothing about it");
            return None;
        };
        let id = |arguments: &[&str]| -> Option<u32> {
            let printed = Command::new("id").args(arguments).output().ok()?;
            String::from_utf8(printed.stdout).ok()?.trim().parse().ok()
        };
        let user = match id(&["-u"]) {
            Some(0) => Some((id(&["-u", "postgres"])?, id(&["-g", "postgres"])?)),
            _ => None,
        };
        let number = FOLDERS.fetch_add(1, Ordering::SeqCst);
        let name = format!("roster-killed-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&folder);
        DirBuilder::new().mode(0o700).create(&folder).expect("a folder of our own");
        if let Some((user, group)) = user {
            chown(&folder, Some(user), Some(group)).expect("we are root");
        }
        let port = free_port();
        let initialized = command(user, &programs.join("initdb"), &folder)
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"])
            .args(["--no-sync", "--pgdata"])
            .arg(folder.join("data"))
            .output()
            .expect("it is installed");
        assert!(initialized.status.success(), "{initialized:?}");
        for (name, content) in files {
            let path = folder.join("data").join(name);
            fs::write(&path, content).expect("the folder is ours");
            // A server does not use a key that others can read.
            fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("it is ours");
            if let Some((user, group)) = user {
                chown(&path, Some(user), Some(group)).expect("we are root");
            }
        }
        let settings: Vec<_> = settings.iter().map(|it| (*it).to_owned()).collect();
        let process = spawn(user, &programs, &folder, port, &settings);
        let mut postgres = Postgres { folder, programs, user, port, settings, process };
        postgres.wait();
        Some(postgres)
    }

    /// Kills it and every process that it has made: at once, and without a word.
    pub(crate) fn kill(&mut self) {
        let id = self.process.id();
        // It may have ended already.
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let children = children.unwrap_or_default();
        let _ = self.process.kill();
        // Those that end meanwhile are told of, and no matter.
        let _ = Command::new("kill").arg("-9").args(children.split_whitespace()).output();
        let _ = self.process.wait();
    }

    /// Starts it again, and waits until it takes connections.
    pub(crate) fn start_again(&mut self) {
        let begun = Instant::now();
        loop {
            self.process =
                spawn(self.user, &self.programs, &self.folder, self.port, &self.settings);
            // What was shared with the killed is let go of when the last of them is gone.
            if self.becomes_ready() {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not start again: {}", self.log());
        }
    }

    /// Where it listens, of this machine.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    fn wait(&mut self) {
        assert!(self.becomes_ready(), "it does not start: {}", self.log());
    }

    /// False where it ended instead.
    #[expect(clippy::disallowed_methods, reason = "nothing tells of it; `pg_ctl` waits so too")]
    fn becomes_ready(&mut self) -> bool {
        let begun = Instant::now();
        let own = self.process.id().to_string();
        while begun.elapsed() < PATIENCE {
            if self.process.try_wait().expect("it is ours").is_some() {
                return false;
            }
            let file = fs::read_to_string(self.folder.join("data").join("postmaster.pid"));
            let file = file.unwrap_or_default();
            // The file of the one that was killed says `ready`, too.
            let is_own = file.lines().next() == Some(&own);
            if is_own && file.lines().last().is_some_and(|line| line.trim() == "ready") {
                return true;
            }
            std::thread::sleep(LOOKING);
        }
        false
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Place for Postgres {
    fn tell(&self, command: &mut Command) {
        let port = self.port();
        let url = format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable");
        command.env("ROSTER_DATABASE", url);
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
        // What is left over is in the system's folder for that.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("it has one").port()
}

fn command(user: Option<(u32, u32)>, program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null());
    if let Some((user, group)) = user {
        command.uid(user).gid(group);
    }
    command
}

fn spawn(
    user: Option<(u32, u32)>,
    programs: &Path,
    folder: &Path,
    port: u16,
    settings: &[String],
) -> Child {
    let log = fs::File::options().append(true).create(true).open(folder.join("log"));
    let log = log.expect("the folder is ours");
    command(user, &programs.join("postgres"), folder)
        .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
        .args(["-c", "max_connections=200", "-p", &port.to_string(), "-D"])
        .arg(folder.join("data"))
        .args(settings.iter().flat_map(|it| ["-c", it]))
        .stdout(log.try_clone().expect("it is open"))
        .stderr(log)
        .spawn()
        .expect("it is installed")
}

/// The newest of Debian's, or those on the path.
fn programs() -> Option<PathBuf> {
    let installed = fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let version = |folder: &Path| folder.file_name()?.to_str()?.parse::<u32>().ok();
    let mut debian: Vec<_> =
        installed.filter_map(|it| Some((version(&it.path())?, it.path().join("bin")))).collect();
    debian.sort_unstable();
    let debian = debian.into_iter().rev().map(|(_, folder)| folder);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = debian.chain(std::env::split_paths(&path).collect::<Vec<_>>());
    folders.find(|folder| ["initdb", "postgres"].iter().all(|name| folder.join(name).is_file()))
}
