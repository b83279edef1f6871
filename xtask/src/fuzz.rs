//! `cargo xtask fuzz`: looks for inputs that break a claim, one claim after the other.

use std::{fs, path::Path, process::Command};

use anyhow::Context as _;

use crate::{
    command::{capture, run, say},
    tool::{C_COMPILER, CARGO_FUZZ},
};

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Which claims, by the names of their fuzzers; all of them when none is named
    targets: Vec<String>,
    /// For how long each
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    seconds: u64,
    /// Keep of what was found only what reaches a part of the code that nothing else reaches, as
    /// the new corpus of the repository
    #[arg(long)]
    minimise: bool,
}

/// Bytes of an input. What is longer is slower and says nothing new; limits have tests of their
/// own.
const INPUT_BYTES_MAX: usize = 4 * 1024;
/// The same for what is kept in the repository.
const KEPT_BYTES_MAX: usize = 400;

/// Fuzzes each target in turn, and fails at the first finding.
pub(crate) fn look(root: &Path, arguments: &Arguments) -> anyhow::Result<()> {
    capture(Command::new("rustup").args(["run", "nightly", "rustc", "--version"])).context(
        "there is no nightly toolchain, without which nothing can be fuzzed: the instruments are not in a stable one\n\
         hint: run `rustup toolchain install nightly --profile minimal` and start again. The \
         ordinary tests replay everything that was ever kept, on any toolchain\n\
         cause",
    )?;
    C_COMPILER.ensure(root)?;
    CARGO_FUZZ.ensure(root)?;
    let known = targets(root)?;
    for target in &arguments.targets {
        anyhow::ensure!(
            known.contains(target),
            "there is no fuzzer `{target}`\nhint: there are {}",
            known.join(", ")
        );
    }
    let chosen = if arguments.targets.is_empty() { &known } else { &arguments.targets };
    for target in chosen {
        say(format_args!("\n== {target}: for {} s", arguments.seconds));
        fuzz(root, target, arguments.seconds)?;
        if arguments.minimise {
            minimise(root, target)?;
        }
    }
    Ok(())
}

/// The names of all fuzzers.
fn targets(root: &Path) -> anyhow::Result<Vec<String>> {
    let folder = root.join("fuzz").join("fuzz_targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|name| name.display().to_string()));
    }
    names.sort();
    Ok(names)
}

/// What is found goes to `target/corpus`, so that a run changes nothing in the repository.
fn fuzz(root: &Path, target: &str, seconds: u64) -> anyhow::Result<()> {
    let found = root.join("target").join("corpus").join(target);
    fs::create_dir_all(&found)?;
    let findings = format!("findings/{target}");
    let has_findings = root.join("fuzz").join(&findings).is_dir();
    run(cargo_fuzz(root, "run")?
        .arg(target)
        .arg(&found)
        .arg(format!("corpus/{target}"))
        .args(has_findings.then_some(findings))
        .arg("--")
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={INPUT_BYTES_MAX}"))
        .args(["-print_final_stats=1", "-verbosity=0"]))
    .with_context(|| {
        format!(
            "the claim `{target}` is broken, or its fuzzer could not be built\n\
             hint: the input is named above and stays in `fuzz/artifacts/{target}`. Mend what is \
             wrong, and copy the input to `fuzz/findings/{target}` under a name that says what was \
             wrong: the ordinary tests replay it from then on"
        )
    })
}

/// Merges what is kept and what was found into a corpus without doubles. What broke a claim once is
/// not a part of it: in `fuzz/findings` it stays, whether or not anything else reaches the same.
fn minimise(root: &Path, target: &str) -> anyhow::Result<()> {
    let kept = root.join("fuzz").join("corpus").join(target);
    let found = root.join("target").join("corpus").join(target);
    let merged = root.join("target").join("corpus").join(format!("{target}-merged"));
    if merged.exists() {
        fs::remove_dir_all(&merged)?;
    }
    fs::create_dir_all(&merged)?;
    run(cargo_fuzz(root, "run")?
        .arg(target)
        .args([&merged, &kept, &found])
        // The fewest that reach all that is reached; how often is not asked.
        .args(["--", "-set_cover_merge=1", "-use_counters=0", "-verbosity=0"])
        .arg(format!("-max_len={KEPT_BYTES_MAX}")))?;
    fs::remove_dir_all(&kept)?;
    fs::create_dir_all(&kept)?;
    for entry in fs::read_dir(&merged)? {
        let entry = entry?;
        fs::copy(entry.path(), kept.join(entry.file_name()))?;
    }
    Ok(())
}

/// `cargo fuzz` of the nightly toolchain. Our code has no `unsafe`, so there is nothing for a
/// sanitizer of memory to find, and without one it runs twice as fast.
fn cargo_fuzz(root: &Path, task: &str) -> anyhow::Result<Command> {
    let mut command = CARGO_FUZZ.command(root)?;
    command.current_dir(root.join("fuzz")).env("RUSTUP_TOOLCHAIN", "nightly").args([
        task,
        "--sanitizer",
        "none",
    ]);
    Ok(command)
}
