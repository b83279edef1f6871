//! The step `journey`: real browsers go through what people do with a fresh server, from its first start
//! to signing out. The chapters stand in `xtask/journey`.

use std::{fs, path::Path, process::Command};

use anyhow::Context as _;

use crate::{
    command::{cargo, run},
    pages,
    tool::CHROMIUM,
};

/// The chapters; relative to the workspace.
const PLAYED: &str = "xtask/journey/run.mjs";

/// Where data is while they are played, and photographs of what went wrong; relative to the workspace.
const PLACE: &str = "target/journey";

/// Has them played with the server as it is built for tests.
pub(crate) fn check(root: &Path) -> anyhow::Result<()> {
    let packages = pages::install(root)?;
    run(&mut cargo(root, ["build", "--package", "roster"]))?;
    let place = root.join(PLACE);
    if place.exists() {
        fs::remove_dir_all(&place).context("photographs of before could not be removed")?;
    }
    let mut play = Command::new("node");
    play.arg(root.join(PLAYED)).arg(packages);
    play.arg(root.join("target/debug/roster"));
    play.arg(CHROMIUM.command(root)?.get_program()).arg(&place);
    run(&mut play).context("somebody could not go on; what is above says where")
}
