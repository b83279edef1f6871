//! `cargo xtask soak`: the tests that are made of chance, for longer than a change can wait.

use std::path::Path;

use crate::command::{cargo, run, say};

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Random requests, to the server and to a plain map beside it
    #[arg(long, default_value_t = 1_000_000)]
    requests: u64,
    /// Pairs of a random filter and a random resource, asked of each database and of the evaluator
    #[arg(long, default_value_t = 10_000_000)]
    pairs: u64,
    /// Random mappings of roles, each applied to 25 people and read aloud beside it
    #[arg(long, default_value_t = 100_000)]
    mappings: u64,
    /// Random changes of people, groups and mappings, after which roles are found afresh
    #[arg(long, default_value_t = 1_000_000)]
    role_acts: u64,
    /// Such changes on each database
    #[arg(long, default_value_t = 1_000_000)]
    kept_role_acts: u64,
    /// With which seed to begin; a failure names its own
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Plays requests, then asks filters. What is 0 is left out.
pub(crate) fn play(root: &Path, arguments: &Arguments) -> anyhow::Result<()> {
    for (package, test, variable, count) in [
        ("web", "model", "ROSTER_REQUESTS", arguments.requests),
        ("store", "filters", "ROSTER_PAIRS", arguments.pairs),
        ("directory", "decisions", "ROSTER_MAPPINGS", arguments.mappings),
        ("directory", "decisions", "ROSTER_ROLE_ACTS", arguments.role_acts),
        ("store", "roles", "ROSTER_ROLE_ACTS", arguments.kept_role_acts),
    ] {
        play_one(root, package, test, variable, count, arguments.seed)?;
    }
    Ok(())
}

/// Runs one test so many times, as it understands that; not at all where this is 0.
pub(crate) fn play_one(
    root: &Path,
    package: &str,
    test: &str,
    variable: &str,
    count: u64,
    seed: u64,
) -> anyhow::Result<()> {
    if count == 0 {
        return Ok(());
    }
    say(format_args!("\n== {test}: {count}, from seed {seed} on"));
    let mut command = cargo(root, ["test", "--quiet", "--profile", "soak", "--package", package]);
    command
        .args(["--test", test, "--", "--nocapture"])
        .env(variable, count.to_string())
        .env("ROSTER_SEED", seed.to_string());
    run(&mut command)
}
