//! Where the database is, and how the server beside it is reached.

use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use directory::Limits;
use etcetera::BaseStrategy;
use serde::{Deserialize, Serialize};
use store::{Environment, Store};

use crate::environment;
use crate::terminal::say_warning;

/// The file of the embedded database.
const DATABASE: &str = "roster.db";

/// What the server that used this folder last was told, so that a command beside it prints the
/// same addresses.
const SERVER: &str = "server.json";
/// Who has it locked serves what is in the folder.
const LOCK: &str = "server.lock";

/// Where the database is.
#[derive(Args, Clone)]
pub(crate) struct Place {
    /// Folder of the embedded database, created where there is none [default: `roster` in the
    /// user's data folder]
    #[arg(long, env = "ROSTER_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// PostgreSQL 14 or later instead of the embedded database, such as
    /// `postgres://user:password@host/database?sslmode=require`. Better said by the environment: what
    /// is on a command line can be seen by others on the machine
    #[arg(long, env = "ROSTER_DATABASE", value_name = "URL", hide_env_values = true,
          value_parser = postgres_url)]
    database: Option<String>,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL holds a password.
        f.debug_struct("Place").field("data", &self.data).finish_non_exhaustive()
    }
}

/// How providers reach the server.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Addresses {
    /// Scheme, host and port under which providers reach this server, for the base URLs that they
    /// are given [default: the address on which it listens]
    #[arg(long, env = "ROSTER_PUBLIC_URL", value_name = "URL")]
    pub(crate) public_url: Option<String>,
    /// Path below which SCIM is spoken [default: /scim/v2]
    #[arg(long, env = "ROSTER_SCIM_PATH", value_name = "PATH")]
    pub(crate) scim_path: Option<String>,
}

/// The path below which SCIM is spoken when nobody says.
pub(crate) const SCIM_PATH: &str = "/scim/v2";

/// What is remembered of the server.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Server {
    public_url: Option<String>,
    scim_path: Option<String>,
}

impl Place {
    /// A folder of one's own.
    pub(crate) fn at(folder: &Path) -> Place {
        Place { data: Some(folder.to_owned()), database: None }
    }

    /// A database of PostgreSQL.
    pub(crate) fn postgres(url: String) -> Place {
        Place { data: None, database: Some(url) }
    }

    /// The embedded database in this folder, or in the usual one.
    pub(crate) fn embedded(data: Option<PathBuf>) -> Place {
        Place { data, database: None }
    }

    /// The file of the embedded database, whether or not it is there.
    pub(crate) fn file(&self) -> anyhow::Result<PathBuf> {
        Ok(self.chosen()?.join(DATABASE))
    }

    /// The folder of the embedded database, whether or not it is there.
    fn chosen(&self) -> anyhow::Result<PathBuf> {
        match &self.data {
            Some(folder) => Ok(folder.clone()),
            None => Ok(etcetera::choose_base_strategy()
                .context("this user has no home; say where to keep the data with `--data DIR`")?
                .data_dir()
                .join("roster")),
        }
    }

    /// The folder of the embedded database, made where there is none, and then only its owner can
    /// look into it. One that exists stays as it is.
    fn folder(&self) -> anyhow::Result<PathBuf> {
        let folder = self.chosen()?;
        if !folder.is_dir() {
            make_private(&folder)
                .with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
        }
        folder.canonicalize().with_context(|| format!("cannot use `{}`", folder.display()))
    }

    /// Refuses two databases at once: whichever was taken, somebody may have meant the other.
    fn check(&self) -> anyhow::Result<()> {
        if let (Some(data), Some(url)) = (&self.data, &self.database) {
            anyhow::bail!(
                "two databases are said: the folder `{}` by `--data` or `ROSTER_DATA`, and `{}` by \
                 `--database` or `ROSTER_DATABASE`. Say one of them",
                data.display(),
                without_password(url)
            );
        }
        Ok(())
    }

    /// What it is and where, for people: without a password.
    pub(crate) fn describe(&self) -> anyhow::Result<String> {
        self.check()?;
        match &self.database {
            None => Ok(self.folder()?.display().to_string()),
            Some(url) => Ok(without_password(url)),
        }
    }

    /// Opens the database, and creates what is missing in it.
    pub(crate) async fn open(&self) -> anyhow::Result<Store> {
        self.open_in(environment::real()).await
    }

    /// The same with a clock of one's own.
    pub(crate) async fn open_in(&self, environment: Environment) -> anyhow::Result<Store> {
        self.check()?;
        let Some(url) = &self.database else { return self.open_embedded(environment) };
        Store::open_postgres(url, environment, Limits::default(), environment::entropy())
            .await
            .with_context(|| format!("cannot open the database `{}`", without_password(url)))
    }

    /// Opens the embedded database, and creates it where there is none. It holds people: on Unix only
    /// its owner can read it, also in a folder that others can look into. A file that exists keeps the
    /// rights that somebody gave it.
    fn open_embedded(&self, environment: Environment) -> anyhow::Result<Store> {
        let path = self.folder()?.join(DATABASE);
        // The database makes its other files with the rights of this one.
        make_private_file(&path)
            .with_context(|| format!("cannot make the database `{}`", path.display()))?;
        Store::open_sqlite(&path, environment, Limits::default(), environment::entropy())
            .with_context(|| format!("cannot open the database `{}`", path.display()))
    }

    /// What to add to a command so that it finds this database: nothing for the usual one.
    pub(crate) fn argument(&self) -> anyhow::Result<String> {
        if self.database.is_some() {
            // Whoever is to type it has a password to hide.
            return Ok(" --database \"$ROSTER_DATABASE\"".to_owned());
        }
        if self.data.is_none() {
            return Ok(String::new());
        }
        // From wherever it is typed, and whatever is in the name.
        let folder = self.folder()?.display().to_string();
        Ok(format!(" --data '{}'", folder.replace('\'', r"'\''")))
    }

    /// Keeps other servers out of the folder of an embedded database, for as long as what is answered is
    /// held; the system lets go of it when the process ends, however that is. Many servers may share
    /// PostgreSQL. Two here would each believe to be alone, and hand out links of the other's.
    pub(crate) fn hold(&self) -> anyhow::Result<Option<File>> {
        if self.database.is_some() {
            return Ok(None);
        }
        let path = self.folder()?.join(LOCK);
        let file = File::options().write(true).create(true).truncate(false).open(&path);
        let file = file.with_context(|| format!("cannot open `{}`", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => bail!(
                "another Roster serves the data in `{}`: stop it first, or choose another folder \
                 with `--data`. Several servers at once need PostgreSQL (`--database`)",
                self.folder()?.display()
            ),
            // Some file systems have no locks, and serve all the same.
            Err(TryLockError::Error(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "it cannot be made sure that no other server uses the same folder",
                );
                Ok(Some(file))
            }
        }
    }

    /// Remembers how the server is reached, for commands beside it. Beside PostgreSQL nothing is
    /// remembered: there may be many servers, and this machine may keep nothing.
    pub(crate) fn remember(&self, settings: &web::Settings) -> anyhow::Result<()> {
        if self.database.is_some() {
            return Ok(());
        }
        let server = Server {
            public_url: Some(settings.public_url().to_owned()),
            scim_path: Some(settings.scim_path().to_owned()),
        };
        let path = self.folder()?.join(SERVER);
        let text = serde_json::to_string_pretty(&server).expect("it is text");
        std::fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))
    }

    /// What was said, or what the server was told, or the defaults.
    pub(crate) fn addresses(
        &self,
        said: &Addresses,
        default_url: &str,
    ) -> anyhow::Result<web::Settings> {
        let remembered = match self.database {
            Some(_) => None,
            None => std::fs::read_to_string(self.folder()?.join(SERVER)).ok(),
        };
        // A file that cannot be read is as good as none: it only saves typing.
        let remembered: Server =
            remembered.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let url = said.public_url.clone().or(remembered.public_url);
        let path = said.scim_path.clone().or(remembered.scim_path);
        Ok(web::Settings::new(
            url.as_deref().unwrap_or(default_url),
            path.as_deref().unwrap_or(SCIM_PATH),
            web::Limits::default(),
        )?)
    }
}

/// Says so where the addresses that providers are given would lead nowhere: a server that listens on
/// all addresses of a machine does not know by which of them it is reached.
pub(crate) fn warn_of_addresses(settings: &web::Settings) {
    let host_and_port = settings.public_url().strip_prefix("http://").unwrap_or_default();
    if !host_and_port.parse().is_ok_and(|address: SocketAddr| address.ip().is_unspecified()) {
        return;
    }
    say_warning(format_args!(
        "no provider can reach the base URLs that are given out: {} stands for all addresses of this \
         machine and is none of them. Say under which one Roster is reached, such as `roster serve \
         --public-url https://roster.example.com`",
        settings.public_url()
    ));
}

/// The URL of a database, as it may be shown.
pub(crate) fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "postgres".to_owned() };
    // A password may have an `@` or a `?` in it, a host may not.
    let (user, address) = match rest.rsplit_once('@') {
        None => (None, rest),
        Some((user, address)) => (user.split(':').next(), address),
    };
    let address = address.split('?').next().unwrap_or_default();
    let user = user.map(|user| format!("{user}@")).unwrap_or_default();
    format!("{scheme}://{user}{address}")
}

/// The URL of a PostgreSQL database. Errors do not repeat it: it has a password.
pub(crate) fn postgres_url(text: &str) -> Result<String, String> {
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        Ok(text.to_owned())
    } else {
        Err("it begins with `postgres://`; for the embedded database say its folder with `--data`"
            .to_owned())
    }
}

/// Makes an empty file, where there is none, that only its owner can read.
fn make_private_file(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn make_private(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let missing: Vec<_> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // SQLite syncs the folder that has its files. That this folder is there is known to the one
    // above, which is to survive a power cut as well.
    for folder in missing.iter().filter_map(|folder| folder.parent()) {
        let above = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        std::fs::File::open(above)?.sync_all()?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn make_private(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let check = |url: &str, expected: &str| assert_eq!(without_password(url), expected);
        check("postgres://ana:s3cret@db:5432/roster?password=x", "postgres://ana@db:5432/roster");
        check("postgres://ana:p@ss:w@db/roster", "postgres://ana@db/roster");
        check("postgres://ana:s3c?ret@db/r", "postgres://ana@db/r");
        check("postgres://ana@db/roster", "postgres://ana@db/roster");
        check("postgres://db/roster", "postgres://db/roster");
    }
}
