//! `cargo xtask bench`: how fast Roster is, as ratios measured in one run.
//!
//! A figure of one machine says little about another, and less on a machine that others use too.
//! So each side of a comparison is measured in turn, over and over, on the same disk, with the same
//! rows and the same bytes, and what counts is the ratio of each round. What is measured, and what
//! must come of it, are tables: [`SCENARIOS`] and [`GOALS`](scenarios::GOALS).

mod bare;
mod client;
mod engine;
mod figures;
mod goals;
mod person;
mod plot;
mod postgres;
mod process;
mod progress;
mod raw;
mod raw_postgres;
mod report;
mod requests;
mod roles;
mod scenarios;
mod seed;
mod sizes;
mod stage;

use std::{env, path::Path, process::Command, time::Instant};

use clap::Args;

use crate::{
    bench::{
        engine::Engine,
        report::Run,
        scenarios::{Load, SCENARIOS, Scenario},
        stage::Stage,
    },
    command::{cargo, run, say},
};

#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Arguments {
    /// Measure briefly: enough to see that everything works, not to compare commits
    #[arg(long)]
    quick: bool,
    /// Sizes of directories to measure with, such as `10k,1M` [default: 10k,100k,1M; with `--quick`,
    /// 10k,100k]
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', value_parser = users)]
    users: Vec<usize>,
    /// What Roster keeps its data in
    #[arg(long, value_enum, default_value_t = Engine::Sqlite)]
    engine: Engine,
    /// Servers that share one database, over which connections are spread; PostgreSQL alone can have
    /// more than one
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    nodes: u8,
    /// Fail when one of the goals that were measured is not reached
    #[arg(long)]
    check: bool,
    /// Run only this scenario; may be given several times
    #[arg(long, value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(SCENARIOS.iter().map(|it| it.name)))]
    only: Vec<String>,
    /// Print the figures and write no file
    #[arg(long)]
    no_file: bool,
    /// Measure how much room users, groups, memberships and events take, and no speed: of the most
    /// users that are named
    #[arg(long, conflicts_with_all = ["quick", "check", "only", "nodes"])]
    sizes: bool,
}

/// How long is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Rounds that count. One more is run first, to warm up, and does not.
    rounds: usize,
    /// By what the works of a scenario are divided.
    divisor: usize,
    /// By what those of an import are, which is not repeated.
    import_divisor: usize,
}

const FULL: Effort = Effort { rounds: 9, divisor: 1, import_divisor: 1 };
const QUICK: Effort = Effort { rounds: 3, divisor: 5, import_divisor: 50 };

const USERS_FULL: [usize; 3] = [10_000, 100_000, 1_000_000];
const USERS_QUICK: [usize; 2] = [10_000, 100_000];

/// Where the databases are: on the disk that is measured, and gone with `cargo clean`.
const FOLDER: &str = "target/bench";

impl Effort {
    /// How much a side of a scenario does in a round.
    fn works(self, scenario: &Scenario, load: Load) -> usize {
        let divisor = match load {
            Load::Import => self.import_divisor,
            // Each counts a million rows.
            Load::JumpByIndex => self.divisor * 4,
            _ => self.divisor,
        };
        (scenario.works / divisor).max(1)
    }
}

/// Measures, prints the tables, and writes them with their plots to `benches/`.
pub(crate) fn measure(root: &Path, arguments: &Arguments) -> anyhow::Result<()> {
    if cfg!(debug_assertions) {
        // The raw database and the client are measured too: they are built as Roster is.
        say(format_args!("== building Roster and its benchmark for release"));
        run(&mut cargo(root, ["build", "--release", "--package", "roster", "--package", "xtask"]))?;
        let mut again = Command::new(root.join("target/release/xtask"));
        return run(again.current_dir(root).args(env::args_os().skip(1)));
    }
    let (effort, usual): (_, &[usize]) =
        if arguments.quick { (QUICK, &USERS_QUICK) } else { (FULL, &USERS_FULL) };
    let mut sizes = if arguments.users.is_empty() { usual.into() } else { arguments.users.clone() };
    sizes.sort_unstable();
    sizes.dedup();
    if arguments.sizes {
        let users = sizes.last().expect("there is one at least");
        return sizes::weigh(root, arguments.engine, *users);
    }
    anyhow::ensure!(
        arguments.nodes == 1 || arguments.engine == Engine::Postgres,
        "an embedded database has one server\nhint: leave out `--nodes`, or add `--engine postgres`"
    );
    let chosen: Vec<_> = SCENARIOS
        .iter()
        .filter(|it| arguments.only.is_empty() || arguments.only.iter().any(|name| name == it.name))
        .collect();

    let begun = Instant::now();
    let mut stage =
        Stage::set(root, (arguments.engine, arguments.nodes.into()), effort, sizes.clone())?;
    let mut played = Vec::new();
    let mut failure = None;
    for (place, scenario) in chosen.iter().enumerate() {
        let minutes = begun.elapsed().as_secs() / 60;
        say(format_args!(
            "\n== {}/{} {}: {} (after {minutes} min)",
            place + 1,
            chosen.len(),
            scenario.name,
            scenario.what
        ));
        match stage.play(scenario) {
            Ok(it) => played.push(it),
            // What was measured before is not lost.
            Err(error) => {
                failure = Some(error.context(format!("`{}` was not measured", scenario.name)));
                break;
            }
        }
    }
    let verdicts =
        goals::judge(arguments.engine, &played, &stage.starts, &sizes, stage.replaced_members());
    let run = Run {
        engine: arguments.engine,
        effort,
        minutes: begun.elapsed().as_secs_f64() / 60.0,
        starts: stage.starts.clone(),
        played,
        verdicts,
    };
    // Servers are stopped and their databases removed before anything is said.
    drop(stage);

    let report = report::write(root, &run)?;
    report::show(&report.text);
    if !arguments.no_file {
        for path in report.keep(root)? {
            say(format_args!("written to `{}`", path.display()));
        }
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    let missed = run.verdicts.iter().filter(|it| it.holds == Some(false)).count();
    anyhow::ensure!(
        !arguments.check || missed == 0,
        "{missed} of the goals above were not reached"
    );
    Ok(())
}

/// `10k`, `1M` or a plain number.
fn users(text: &str) -> Result<usize, String> {
    let (digits, unit) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1_000),
        None => text.strip_suffix(['m', 'M']).map_or((text, 1), |digits| (digits, 1_000_000)),
    };
    let number: usize = digits.parse().map_err(|_| "write a number such as `10k` or `1M`")?;
    let number = number.saturating_mul(unit);
    // Below this there is no room for the pages that are asked for, above it a directory is full.
    if !(10_000..=1_000_000).contains(&number) {
        return Err("write a number from 10k to 1M".to_owned());
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_users_are_read() {
        for (text, number) in [("10k", 10_000), ("1M", 1_000_000), ("50000", 50_000)] {
            assert_eq!(users(text), Ok(number));
        }
        for text in ["", "k", "1", "9999", "2M", "-1k", "1e5"] {
            assert!(users(text).is_err(), "{text}");
        }
    }
}
