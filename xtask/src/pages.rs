//! The step `pages`: a real browser looks at every page that the tests of `web` write.
//!
//! It photographs each, in light and dark, on a phone and on a desk, into `target/pages/photos`; and
//! axe-core, which knows what people with assistive technology stumble over, finds nothing. And the page of
//! the manual that shows the portal in a frame hears what it is promised. The versions
//! of what does it, to the byte, stand in `xtask/pages`; the browser is the system's.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};

use crate::{
    command::{capture, run, say},
    tool::{CARGO_NEXTEST, CHROMIUM, NODE, NPM},
};

/// What is installed, and what runs it; relative to the workspace.
const FOLDER: &str = "xtask/pages";

/// Where it is installed; relative to the workspace.
const PLACE: &str = "target/look";

/// Where the tests of `web` write pages; relative to the workspace.
const PAGES: &str = "target/pages";

/// Where it is told how the portal is shown within another page, with the page that is tried; relative to
/// the workspace.
const MANUAL: &str = "docs/portal.md";

/// The pictures of pages that documents show; relative to the workspace.
const PICTURES: &str = "docs/pictures";

/// Takes the pictures of pages that documents show.
pub(crate) fn picture(root: &Path) -> anyhow::Result<()> {
    for tool in [&CARGO_NEXTEST, &CHROMIUM, &NODE, &NPM] {
        tool.ensure(root)?;
    }
    let (packages, pages) = write(root)?;
    let mut script = script(root, "pictures.mjs", &packages, &pages)?;
    let taken = capture(script.arg(root.join(PICTURES))).context("no pictures were taken")?;
    say(format_args!("   {} pictures are in `{PICTURES}`", taken.trim()));
    Ok(())
}

/// Has every page written anew, and looked at.
pub(crate) fn check(root: &Path) -> anyhow::Result<()> {
    let (packages, pages) = write(root)?;
    run(script(root, "embed.mjs", &packages, &pages)?.arg(root.join(MANUAL)))
        .context("the portal does not tell the page that shows it how it goes")?;
    let seen = capture(&mut script(root, "look.mjs", &packages, &pages)?)
        .context("pages are not as they should be; what is above says why")?;
    let seen: usize = seen.trim().parse().context("it did not say how many pages it has seen")?;
    ensure!(seen > 0, "no page was seen");
    say(format_args!("   {seen} photographs are in `{PAGES}/photos`"));
    Ok(())
}

/// Has every page written anew: where what looks at them is installed, and where they are.
fn write(root: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
    let packages = install(root)?;
    // Of pages that are no more, nobody shall take a photograph for that of one that is.
    let pages = root.join(PAGES);
    if pages.exists() {
        fs::remove_dir_all(&pages).context("the pages of before could not be removed")?;
    }
    let test = "pages::samples::every_page_is_written_for_the_photographer";
    run(CARGO_NEXTEST
        .command(root)?
        .args(["nextest", "run", "--package", "web", "--lib", "-E"])
        .arg(format!("test(={test})")))?;
    Ok((packages, pages))
}

/// What looks at pages, to be given what else it wants.
fn script(root: &Path, name: &str, packages: &Path, pages: &Path) -> anyhow::Result<Command> {
    let mut script = Command::new("node");
    script.arg(root.join(FOLDER).join(name)).args([packages, pages]);
    script.arg(CHROMIUM.command(root)?.get_program());
    Ok(script)
}

/// Installs what drives a browser and looks at pages, unless the last one is still right.
pub(crate) fn install(root: &Path) -> anyhow::Result<PathBuf> {
    let (folder, place) = (root.join(FOLDER), root.join(PLACE));
    fs::create_dir_all(&place).context("making a folder for what npm is to install")?;
    let files = ["package.json", "package-lock.json"];
    let mut wanted = String::new();
    for file in files {
        wanted += &fs::read_to_string(folder.join(file))?;
    }
    let stamp = place.join("installed-by-npm");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(place);
    }
    for file in files {
        fs::copy(folder.join(file), place.join(file)).context("copying what npm is to install")?;
    }
    run(Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"])
        .current_dir(&place))
    .context(
        "what looks at pages could not be installed from the registry of npm\n\
         hint: run it where the registry can be reached, or set `npm_config_registry` to a mirror\n\
         cause",
    )?;
    fs::write(&stamp, wanted).context("what is installed could not be noted")?;
    Ok(place)
}
