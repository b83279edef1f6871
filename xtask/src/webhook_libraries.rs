//! The step `webhook-libraries`: what the courier signs is verified with the libraries of Standard
//! Webhooks for Python and JavaScript, as the vendor's app does it.
//!
//! Their versions, to the byte, stand in `xtask/webhook-libraries`.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::SystemTime,
};

use anyhow::{Context as _, ensure};

use crate::{
    command::{capture, cargo, run, say},
    python,
};

/// What is installed, and what runs it; relative to the workspace.
const FOLDER: &str = "xtask/webhook-libraries";

/// Where it is installed; relative to the workspace.
const PLACE: &str = "target/webhook-libraries";

/// Messages that `crates/courier/examples/signed.rs` prints.
const MESSAGES: usize = 12;

/// Installs the libraries, has messages signed, and verifies them with each.
pub(crate) fn check(root: &Path) -> anyhow::Result<()> {
    let (python, modules) = install(root)?;
    run(&mut cargo(root, ["build", "--package", "courier", "--example", "signed"]))?;
    // The libraries refuse what is older than five minutes.
    #[expect(clippy::disallowed_methods, reason = "a development task has no other clock")]
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs().to_string();
    let example = ["run", "--quiet", "--package", "courier", "--example", "signed", "--"];
    let signed = capture(cargo(root, example).arg(now))?;
    ensure!(signed.lines().count() == MESSAGES, "not {MESSAGES} messages were signed: {signed}");
    let folder = root.join(FOLDER);
    let mut of_python = Command::new(python);
    of_python.arg(folder.join("verify.py"));
    let mut of_node = Command::new("node");
    of_node.arg(folder.join("verify.mjs")).arg(modules.join("package.json"));
    for (name, verifier) in [("Python", of_python), ("JavaScript", of_node)] {
        let count = verify(verifier, &signed).with_context(|| format!("the one of {name}"))?;
        ensure!(count == MESSAGES, "the library of {name} has verified {count} of {MESSAGES}");
        say(format_args!("   the library of {name} has verified {count} messages"));
    }
    Ok(())
}

/// Installs both, unless the last ones are still right. Returns the Python that has the one and the
/// folder that has the other.
fn install(root: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
    let python = python::install(root, "the library of webhooks", FOLDER, PLACE)?;
    let (folder, place) = (root.join(FOLDER), root.join(PLACE));
    let files = ["package.json", "package-lock.json"];
    let mut wanted = String::new();
    for file in files {
        wanted += &fs::read_to_string(folder.join(file))?;
    }
    let stamp = place.join("installed-by-npm");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok((python, place));
    }
    for file in files {
        fs::copy(folder.join(file), place.join(file)).context("copying what npm is to install")?;
    }
    run(Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"])
        .current_dir(&place))
    .context(
        "the library could not be installed from the registry of npm\n\
         hint: run it where the registry can be reached, or set `npm_config_registry` to a mirror\n\
         cause",
    )?;
    fs::write(&stamp, wanted).context("what is installed could not be noted")?;
    Ok((python, place))
}

/// Hands over messages, and says how many were verified.
fn verify(mut verifier: Command, signed: &str) -> anyhow::Result<usize> {
    let mut running = verifier
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("it could not be started")?;
    let mut input = running.stdin.take().expect("the input was asked for as a pipe");
    input.write_all(signed.as_bytes()).context("it did not take the messages")?;
    drop(input);
    let output = running.wait_with_output()?;
    ensure!(output.status.success(), "it ended with {}; what it says is above", output.status);
    let printed = String::from_utf8(output.stdout).context("it did not print text")?;
    printed.trim().parse().context("it did not say how many")
}
