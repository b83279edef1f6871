//! Development tasks. `cargo xtask test` is the README's one test command; `cargo xtask ci` is the
//! same and what only CI has the time for; `cargo xtask bench` measures; `cargo xtask checklist`
//! counts what is proved of SCIM.
//!
//! The first two walk one table, [`step::STEPS`]. A step names the tools it needs ([`tool::Tool`]); what is
//! missing is installed first, aloud.

mod bench;
mod checklist;
mod client;
mod command;
mod db;
mod endure;
mod fuzz;
mod journey;
mod pages;
mod python;
mod schemathesis;
mod scim_tester;
mod server;
mod soak;
mod step;
mod tool;
mod webhook_libraries;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::Context;
use clap::{Args, Parser, Subcommand, builder::PossibleValuesParser};

use crate::{
    command::{Failed, say},
    step::{STEPS, Step, When},
    tool::Tool,
};

/// The workspace, wherever the task is called from.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Development tasks of Roster")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Check everything: format, lints, dependencies, documentation, tests
    Test(Selection),
    /// Check everything as CI does: `test`, and what only a release build can show
    Ci(Selection),
    /// Measure how fast Roster is beside the raw database and bare HTTP
    Bench(bench::Arguments),
    /// Count which requirements of SCIM are proved by a test, and fail when one is forgotten
    Checklist(checklist::Arguments),
    /// Start a PostgreSQL server for single tests, and print its URL
    Db(db::Arguments),
    /// Take the pictures of pages that the documents show
    Pictures,
    /// Look for inputs that break what holds for every input; needs a nightly toolchain
    Fuzz(fuzz::Arguments),
    /// Run the tests that are made of chance for long: a million requests, and more
    Soak(soak::Arguments),
    /// Prove for long that nothing is lost: power cuts, failing disks, `kill -9`
    Endure(endure::Arguments),
}

#[derive(Args, Debug)]
struct Selection {
    /// Run only this step; may be given several times
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(STEPS.iter().map(|step| step.name)))]
    only: Vec<String>,
    /// Print the steps and do nothing
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let (task, when, selection) = match Arguments::parse().task {
        Task::Test(selection) => ("test", When::Always, selection),
        Task::Ci(selection) => ("ci", When::InCi, selection),
        Task::Bench(arguments) => {
            return done(root().and_then(|root| bench::measure(&root, &arguments)));
        }
        Task::Checklist(arguments) => {
            return done(root().and_then(|root| checklist::check(&root, &arguments)));
        }
        Task::Db(arguments) => {
            return done(root().and_then(|root| db::act(&root, &arguments)));
        }
        Task::Pictures => return done(root().and_then(|root| pages::picture(&root))),
        Task::Fuzz(arguments) => {
            return done(root().and_then(|root| fuzz::look(&root, &arguments)));
        }
        Task::Soak(arguments) => {
            return done(root().and_then(|root| soak::play(&root, &arguments)));
        }
        Task::Endure(arguments) => {
            return done(root().and_then(|root| endure::prove(&root, &arguments)));
        }
    };
    let steps = select(when, &selection.only);
    if selection.list {
        list(&steps);
        return ExitCode::SUCCESS;
    }
    match run(task, &steps) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The test runner has said which tests failed, and that stays the last word.
            if error.downcast_ref::<Reported>().is_none() {
                say(format_args!("\nerror: {error:#}"));
            }
            ExitCode::FAILURE
        }
    }
}

/// For a task that is not a row of steps.
fn done(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("\nerror: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn root() -> anyhow::Result<PathBuf> {
    Path::new(ROOT).canonicalize().context("the workspace is not where it was built")
}

/// The steps of a task in the order of the table. A step that is asked for by name is run whatever
/// the task.
fn select(when: When, only: &[String]) -> Vec<&'static Step> {
    STEPS
        .iter()
        .filter(|step| match only {
            [] => step.when <= when,
            names => names.iter().any(|name| name == step.name),
        })
        .collect()
}

#[expect(clippy::print_stdout, reason = "the list is what was asked for, and may be piped on")]
fn list(steps: &[&Step]) {
    for step in steps {
        println!("{:<14} {}", step.name, step.claim);
    }
}

/// Installs what the steps need, then runs them in order up to the first that fails.
fn run(task: &str, steps: &[&Step]) -> anyhow::Result<()> {
    let root = root()?;
    let mut tools: Vec<&Tool> = Vec::new();
    for tool in steps.iter().flat_map(|step| step.tools) {
        if !tools.iter().any(|known| known.name == tool.name) {
            tools.push(tool);
        }
    }
    for tool in tools {
        tool.ensure(&root)?;
    }

    for (index, step) in steps.iter().enumerate() {
        say(format_args!("\n== {}/{} {}: {}", index + 1, steps.len(), step.name, step.claim));
        let start = Instant::now();
        let outcome = (step.run)(&root);
        let seconds = start.elapsed().as_secs_f64();
        match outcome {
            Ok(()) if step.has_summary => {}
            Ok(()) => say(format_args!("   `{}` took {seconds:.1} s", step.name)),
            Err(error) if step.has_summary && error.is::<Failed>() => {
                return Err(Reported.into());
            }
            Err(error) => {
                return Err(error.context(format!(
                    "step `{name}` failed after {seconds:.1} s\n\
                     hint: {hint}, then repeat it with `cargo xtask {task} --only {name}`\n\
                     cause",
                    name = step.name,
                    hint = step.hint,
                )));
            }
        }
    }
    Ok(())
}

/// A failure that the command itself has explained at the end of its output.
#[derive(Debug)]
struct Reported;

impl std::fmt::Display for Reported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a test failed")
    }
}

impl std::error::Error for Reported {}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn ci_does_all_that_test_does() {
        let test = select(When::Always, &[]);
        let ci = select(When::InCi, &[]);
        assert!(test.iter().all(|step| ci.iter().any(|other| other.name == step.name)));
        assert!(ci.len() > test.len());
    }

    #[test]
    fn named_steps_are_run_in_the_order_of_the_table() {
        let names = ["tests".to_owned(), "format".to_owned()];
        let chosen: Vec<_> =
            select(When::Always, &names).into_iter().map(|step| step.name).collect();
        assert_eq!(chosen, ["format", "tests"]);
    }
}
