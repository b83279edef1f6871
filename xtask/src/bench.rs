//! `cargo xtask bench`: how fast Roster is, as ratios measured in one run.
//!
//! A figure of one machine says little about another, and less on a machine that others use too.
//! So each side of a comparison is measured in turn, over and over, on the same disk, with the same
//! rows and the same bytes, and what counts is the ratio of each round. The scenarios are a table,
//! [`SCENARIOS`]; a new one is a new entry.

mod bare;
mod client;
mod figures;
mod person;
mod raw;
mod report;

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;

use crate::{
    bench::{
        bare::Bare,
        client::{Client, Load},
        figures::{Figures, Round},
        raw::Raw,
    },
    command::{cargo, run, say},
    server::Server,
};

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Measure briefly: enough to see that everything works, not to compare commits
    #[arg(long)]
    quick: bool,
    /// Fail when durable creates reach less than this part of the raw database
    #[arg(long, value_name = "RATIO")]
    min_ratio: Option<f64>,
    /// Run only this scenario; may be given several times
    #[arg(long, value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(SCENARIOS.iter().map(|it| it.name)))]
    only: Vec<String>,
    /// Print the figures and write no file
    #[arg(long)]
    no_file: bool,
}

/// One thing that is measured.
#[derive(Debug)]
pub(crate) struct Scenario {
    /// For `--only`.
    pub(crate) name: &'static str,
    /// What Roster does in it, for the table.
    pub(crate) what: &'static str,
    /// Connections, each of which sends its next request when the last is answered.
    connections: usize,
    load: Load,
    /// What it is compared with. Each is measured once in every round.
    beside: &'static [Beside],
    /// Requests of a round.
    requests: usize,
}

/// What Roster is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    /// The database alone, in this process, keeping the very rows that Roster has just kept.
    RawDatabase { rows_to_a_commit: usize },
    /// HTTP alone: the same requests, answered with the same bytes and nothing done.
    BareHttp,
}

/// The first is what [`Arguments::min_ratio`] is about.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "create",
        what: "creating users, 16 connections",
        connections: 16,
        load: Load::Create,
        beside: &[Beside::RawDatabase { rows_to_a_commit: 16 }, Beside::BareHttp],
        requests: 5_000,
    },
    Scenario {
        name: "create-one",
        what: "creating users, one connection",
        connections: 1,
        load: Load::Create,
        beside: &[Beside::RawDatabase { rows_to_a_commit: 1 }, Beside::BareHttp],
        requests: 1_000,
    },
    Scenario {
        name: "get",
        what: "getting a user by id, 16 connections",
        connections: 16,
        load: Load::Get,
        beside: &[Beside::BareHttp],
        requests: 5_000,
    },
    Scenario {
        name: "filter",
        what: "finding a user by `userName`, 16 connections",
        connections: 16,
        load: Load::Filter,
        beside: &[Beside::BareHttp],
        requests: 5_000,
    },
];

/// How long is measured.
#[derive(Clone, Copy, Debug)]
struct Effort {
    /// Rounds that count. One more is run first, to warm up, and does not.
    rounds: usize,
    /// By what the requests of a scenario are divided.
    divisor: usize,
}

const FULL: Effort = Effort { rounds: 9, divisor: 1 };
const QUICK: Effort = Effort { rounds: 3, divisor: 5 };

/// Where the databases are: on the disk that is measured, and gone with `cargo clean`.
const FOLDER: &str = "target/bench";

/// Measures, prints the table, and writes it to `benches/`.
pub(crate) fn measure(root: &Path, arguments: &Arguments) -> anyhow::Result<()> {
    if cfg!(debug_assertions) {
        // The raw database and the client are measured too: they are built as Roster is.
        say(format_args!("== building Roster and its benchmark for release"));
        run(&mut cargo(root, ["build", "--release", "--package", "roster", "--package", "xtask"]))?;
        let mut again = Command::new(root.join("target/release/xtask"));
        return run(again.current_dir(root).args(env::args_os().skip(1)));
    }
    let effort = if arguments.quick { QUICK } else { FULL };
    let chosen: Vec<_> = SCENARIOS
        .iter()
        .filter(|it| arguments.only.is_empty() || arguments.only.iter().any(|name| name == it.name))
        .collect();

    let mut stage = Stage::set(root)?;
    let mut figures = Vec::new();
    for (place, scenario) in chosen.iter().enumerate() {
        say(format_args!("\n== {}/{} {}", place + 1, chosen.len(), scenario.what));
        figures.push((*scenario, stage.play(scenario, effort)?));
    }
    stage.check()?;

    let report = report::write(root, &figures, effort)?;
    report::show(&report.text);
    if !arguments.no_file {
        let path = report.keep(root)?;
        say(format_args!("\nwritten to `{}`", path.display()));
    }
    if let Some(min) = arguments.min_ratio {
        let (scenario, figures) = figures.first().context("no scenario was run")?;
        anyhow::ensure!(
            scenario.name == SCENARIOS[0].name,
            "`--min-ratio` is about the scenario `{}`, which was not run",
            SCENARIOS[0].name
        );
        let ratio = figures.ratio(0).median;
        anyhow::ensure!(
            ratio >= min,
            "durable creates reach {ratio:.2} of the raw database, and {min} was asked for"
        );
    }
    Ok(())
}

/// Everything that is measured, running.
struct Stage {
    server: Server,
    raw: Raw,
    bare: Bare,
    client: Client,
    /// People created so far. Each has a number of their own.
    people: usize,
}

impl Stage {
    fn set(root: &Path) -> anyhow::Result<Stage> {
        let folder: PathBuf = root.join(FOLDER);
        if folder.exists() {
            std::fs::remove_dir_all(&folder).context("the last run's folder cannot be removed")?;
        }
        std::fs::create_dir_all(&folder).context("there is no place for the databases")?;
        let server = Server::start(&root.join("target/release/roster"), &folder.join("data"))?;
        let directory = server.create_directory("Okta", &["--provider", "okta"])?;
        let raw = Raw::copy(&database(&server), &folder.join("raw.db"))?;
        let bare = Bare::start()?;
        let (_, base_path) = directory
            .base_url
            .split_once(&server.address().to_string())
            .context("the base URL is not that of the server")?;
        let client = Client::new(base_path.to_owned(), directory.token)?;
        Ok(Stage { server, raw, bare, client, people: 0 })
    }

    fn play(&mut self, scenario: &Scenario, effort: Effort) -> anyhow::Result<Figures> {
        let mut figures = Figures::of(1 + scenario.beside.len());
        let names: Vec<_> = std::iter::once("Roster".to_owned())
            .chain(scenario.beside.iter().map(Beside::name))
            .collect();
        for round in 0..=effort.rounds {
            let rounds = self.round(scenario, scenario.requests / effort.divisor)?;
            let speeds: Vec<_> = names
                .iter()
                .zip(&rounds)
                .map(|(name, round)| format!("{name} {:.0}/s", round.speed()))
                .collect();
            let which = match round {
                0 => "warm-up".to_owned(),
                _ => format!("{round}/{}", effort.rounds),
            };
            say(format_args!("   {which:<8} {}", speeds.join(", ")));
            if round > 0 {
                figures.add(rounds);
            }
        }
        Ok(figures)
    }

    /// Each side once: Roster first, then what it is compared with, in the order of the table.
    fn round(&mut self, scenario: &Scenario, count: usize) -> anyhow::Result<Vec<Round>> {
        let requests = match scenario.load {
            Load::Create => {
                let first = self.people;
                self.people += count;
                self.client.creates(first..self.people)
            }
            Load::Get => self.client.gets(&self.raw.user_ids(count)?),
            Load::Filter => self.client.filters((0..count).map(|it| it % self.people.max(1))),
        };
        let mut rounds = Vec::with_capacity(1 + scenario.beside.len());
        let (connections, status) = (scenario.connections, scenario.load.status());
        rounds.push(self.client.drive(self.server.address(), connections, &requests, status)?);
        if scenario.load == Load::Create {
            // What Roster has just kept is what the raw database keeps now, row by row.
            self.raw.take_from(&database(&self.server))?;
        }
        for beside in scenario.beside {
            rounds.push(match beside {
                Beside::RawDatabase { rows_to_a_commit } => self.raw.keep(*rows_to_a_commit)?,
                Beside::BareHttp => {
                    let sample = match scenario.load {
                        // A second creation of the same person would be refused.
                        Load::Create => {
                            self.people += 1;
                            self.client.creates(self.people - 1..self.people).remove(0)
                        }
                        Load::Get | Load::Filter => requests[0].clone(),
                    };
                    self.bare.answer_as(&self.client.ask(self.server.address(), &sample)?);
                    self.client.drive(self.bare.address(), connections, &requests, status)?
                }
            });
        }
        Ok(rounds)
    }

    /// Everybody who was created is there, on both sides.
    fn check(&mut self) -> anyhow::Result<()> {
        self.raw.take_from(&database(&self.server))?;
        self.raw.keep(16)?;
        let (kept, raw) = (raw::users(&database(&self.server))?, self.raw.users()?);
        anyhow::ensure!(
            kept == self.people && raw == self.people,
            "{} people were created, and {kept} are kept by Roster and {raw} by the raw database",
            self.people
        );
        Ok(())
    }
}

impl Beside {
    fn name(&self) -> String {
        match self {
            Beside::RawDatabase { rows_to_a_commit: 1 } => {
                "raw database, a row a commit".to_owned()
            }
            Beside::RawDatabase { rows_to_a_commit } => {
                format!("raw database, {rows_to_a_commit} rows a commit")
            }
            Beside::BareHttp => "bare HTTP".to_owned(),
        }
    }
}

fn database(server: &Server) -> PathBuf {
    server.data().join("roster.db")
}

/// The longest that a request may take.
const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<_> = SCENARIOS.iter().map(|it| it.name).collect();
        assert_eq!(names.len(), SCENARIOS.len());
    }

    #[test]
    fn the_first_scenario_is_durable_creates_beside_the_raw_database() {
        assert_eq!(SCENARIOS[0].load, Load::Create);
        assert_eq!(SCENARIOS[0].connections, 16);
        assert_eq!(SCENARIOS[0].beside[0], Beside::RawDatabase { rows_to_a_commit: 16 });
    }

    #[test]
    fn people_are_created_before_they_are_looked_for() {
        let first = SCENARIOS.iter().position(|it| it.load != Load::Create).expect("some read");
        assert!(SCENARIOS[..first].iter().any(|it| it.load == Load::Create));
    }
}
