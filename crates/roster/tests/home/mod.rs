//! A database of either kind, for tests that are run on both.

use std::path::Path;
use std::process::Command;

use claims::OwnDatabase;
use tempfile::TempDir;

use crate::server::Place;

/// A database that is gone when this is: in a folder, or on the PostgreSQL server that these tests
/// were told of. `cargo xtask test` runs them on both.
pub(crate) struct Home {
    folder: TempDir,
    pub(crate) own: Option<OwnDatabase>,
}

impl Home {
    pub(crate) fn new() -> Home {
        Home { folder: tempfile::tempdir().expect("a folder"), own: OwnDatabase::make() }
    }

    /// The folder, also for whatever else there is.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Place for Home {
    fn tell(&self, command: &mut Command) {
        match &self.own {
            None => self.path().tell(command),
            // As an operator would: what is on a command line can be seen.
            Some(own) => _ = command.env("ROSTER_DATABASE", own.url()),
        }
    }
}
