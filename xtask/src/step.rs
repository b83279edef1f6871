//! What is checked, in order: first what is quick to know, last the tests, because a test runner's
//! summary is the line that people and machines look for at the end.

use std::{path::Path, time::Duration};

use crate::{
    checklist, client,
    command::{cargo, run, run_within, say},
    db::{self, Postgres},
    journey, pages, schemathesis, scim_tester,
    tool::{
        C_COMPILER, CARGO_DENY, CARGO_NEXTEST, CHROMIUM, CLIPPY, NODE, NPM, PYTHON, PYTHON_VENV,
        RUSTFMT, Tool,
    },
    webhook_libraries,
};

/// Fetching the advisory database takes seconds where there is a way to it. Where packets are
/// dropped unseen, nobody should wait for the system's own limit.
const FETCH_LIMIT: Duration = Duration::from_secs(90);

/// All of the workspace; findings without the tree of who brought them in, which `cargo tree
/// --invert` shows where somebody wants it.
const DENY: [&str; 3] = ["--workspace", "check", "--hide-inclusion-graph"];

/// One check.
#[derive(Debug)]
pub(crate) struct Step {
    /// For `--only`.
    pub(crate) name: &'static str,
    /// What is true when it passes.
    pub(crate) claim: &'static str,
    /// The task that runs it.
    pub(crate) when: When,
    /// What must be installed before.
    pub(crate) tools: &'static [Tool],
    /// Does it, from the workspace's root.
    pub(crate) run: fn(&Path) -> anyhow::Result<()>,
    /// What to do when it fails; goes on "... , then repeat it".
    pub(crate) hint: &'static str,
    /// The command ends with a summary of its own, of which nothing may come after.
    pub(crate) has_summary: bool,
}

/// Which task runs a step. CI runs all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum When {
    /// `test` and `ci`.
    Always,
    /// `ci` alone: too slow for every change.
    InCi,
}

/// Everything that is checked. A new check is a new entry.
pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "format",
        claim: "the code is formatted as `rustfmt.toml` says",
        when: When::Always,
        tools: &[RUSTFMT],
        run: |root| run(&mut cargo(root, ["fmt", "--all", "--check"])),
        hint: "run `cargo fmt --all`",
        has_summary: false,
    },
    Step {
        name: "checklist",
        claim: "every requirement of SCIM is proved by a test that names it, or left out with a reason",
        when: When::Always,
        tools: &[],
        run: checklist::check_all,
        hint: "name the requirement in a test that proves it, or run `cargo xtask checklist --write`",
        has_summary: false,
    },
    Step {
        name: "lint",
        claim: "clippy has nothing to say",
        when: When::Always,
        tools: &[CLIPPY, C_COMPILER],
        run: |root| {
            run(cargo(root, ["clippy", "--workspace", "--all-targets"])
                .args(["--", "-D", "warnings"]))
        },
        hint: "mend what is named above",
        has_summary: false,
    },
    Step {
        name: "dependencies",
        claim: "every dependency has a licence, a source and a room that `deny.toml` allows",
        when: When::Always,
        tools: &[CARGO_DENY],
        run: |root| run(CARGO_DENY.command(root)?.args(DENY).args(["bans", "licenses", "sources"])),
        hint: "choose another dependency, or argue the exception in `deny.toml`",
        has_summary: false,
    },
    Step {
        name: "advisories",
        claim: "no dependency has a known vulnerability",
        when: When::Always,
        tools: &[CARGO_DENY],
        run: advisories,
        hint: "update the dependency with `cargo update`",
        has_summary: false,
    },
    Step {
        name: "documentation",
        claim: "the documentation builds and its links lead somewhere",
        when: When::Always,
        tools: &[C_COMPILER],
        run: |root| {
            run(cargo(root, ["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
        },
        hint: "mend what is named above",
        has_summary: false,
    },
    Step {
        name: "examples",
        claim: "the examples in the documentation run",
        when: When::Always,
        tools: &[C_COMPILER],
        run: |root| run(&mut cargo(root, ["test", "--workspace", "--doc", "--quiet"])),
        hint: "mend the example or the code",
        has_summary: false,
    },
    Step {
        name: "demo",
        claim: "the binary, as it is shipped, takes everything that a simulated Okta does, on both \
                databases",
        when: When::InCi,
        tools: &[C_COMPILER],
        run: demo,
        hint: "look for `FAIL` above",
        has_summary: false,
    },
    Step {
        name: "scim2-tester",
        claim: "somebody else's tester of SCIM servers finds nothing wrong",
        when: When::InCi,
        tools: &[C_COMPILER, PYTHON, PYTHON_VENV],
        run: scim_tester::check,
        hint: "mend the server; where the tester is wrong, argue it in \
               `xtask/scim-tester/exceptions.json`",
        has_summary: false,
    },
    Step {
        name: "client",
        claim: "a typed client is generated of the management API's document, and calls the server",
        when: When::InCi,
        tools: &[C_COMPILER, PYTHON, PYTHON_VENV],
        run: client::check,
        hint: "mend the document: `crates/web/src/api.rs` and the types that it names",
        has_summary: false,
    },
    Step {
        name: "schemathesis",
        claim: "what schemathesis asks of the management API is answered as its document describes, \
                and never with our fault; it says what it does not ask",
        when: When::InCi,
        tools: &[C_COMPILER, PYTHON, PYTHON_VENV],
        run: schemathesis::check,
        hint: "mend the server, or the document: `crates/web/src/api.rs` and the types that it names",
        has_summary: false,
    },
    Step {
        name: "webhook-libraries",
        claim: "the libraries of Standard Webhooks from PyPI and npm believe what the courier signs",
        when: When::Always,
        tools: &[C_COMPILER, PYTHON, PYTHON_VENV, NODE, NPM],
        run: webhook_libraries::check,
        hint: "mend what signs",
        has_summary: false,
    },
    Step {
        name: "pages",
        claim: "a browser shows every page, and nobody stumbles over one",
        when: When::InCi,
        tools: &[C_COMPILER, CARGO_NEXTEST, NODE, NPM, CHROMIUM],
        run: pages::check,
        hint: "mend what is named above, and look at the photographs in `target/pages/photos`",
        has_summary: false,
    },
    Step {
        name: "journey",
        claim: "people get from the first start to signing out, in real browsers",
        when: When::Always,
        tools: &[C_COMPILER, NODE, NPM, CHROMIUM],
        run: journey::check,
        hint: "look at the photographs in `target/journey`",
        has_summary: false,
    },
    Step {
        name: "postgres",
        claim: "all that holds on the embedded database holds on PostgreSQL",
        when: When::Always,
        tools: &[C_COMPILER, CARGO_NEXTEST],
        run: tests_on_postgres,
        hint: "start one with `cargo xtask db` to run a single test on it; mend the test or the code",
        has_summary: false,
    },
    Step {
        name: "tests",
        claim: "all tests pass",
        when: When::Always,
        tools: &[C_COMPILER, CARGO_NEXTEST],
        run: |root| {
            run(CARGO_NEXTEST
                .command(root)?
                .args(["nextest", "run", "--workspace"])
                .env_remove(db::VARIABLE))
        },
        hint: "mend the test or the code",
        has_summary: true,
    },
];

fn demo(root: &Path) -> anyhow::Result<()> {
    let demo = || cargo(root, ["run", "--release", "--", "demo", "--once"]);
    run(&mut demo())?;
    let Some(server) = Postgres::start_if_possible(root)? else { return Ok(()) };
    run(demo().arg("--database").arg(server.create_database("demo")?))
}

/// Which tests do, of the three rooms that can. Not those that read the sources, play with other
/// servers, or have a disk or servers of PostgreSQL of their own: these are what they are whoever
/// runs them. And of those within a crate only the store's.
const OPENS_A_DATABASE: &str = "(kind(test) + package(store)) \
     - binary(architecture) - binary(documents) - binary(faults) \
     - binary(crash) - binary(disk) - binary(power) - binary(nodes) - binary(postmaster) \
     - (package(web) & test(/^disk::/)) - (package(roster) & binary(webhooks))";

/// The tests that open a database, on one of the other kind. Which of them is told by the
/// environment, so that each is written once and has one name.
fn tests_on_postgres(root: &Path) -> anyhow::Result<()> {
    let Some(mut server) = Postgres::start_if_possible(root)? else { return Ok(()) };
    let tested = run(CARGO_NEXTEST
        .command(root)?
        .args(["nextest", "run", "--package=store", "--package=courier", "--package=web"])
        .arg("--package=roster")
        .args(["-E", OPENS_A_DATABASE])
        .env(db::VARIABLE, &server.url));
    server.blamed_for(tested)
}

/// A found advisory fails. A database out of reach is said aloud and does not: a change is not
/// worse for having been tested on a closed network.
fn advisories(root: &Path) -> anyhow::Result<()> {
    if let Err(reason) = run_within(CARGO_DENY.command(root)?.args(["fetch", "db"]), FETCH_LIMIT) {
        say(format_args!(
            "   NOT CHECKED: the database of known vulnerabilities could not be fetched, so this run \
             says nothing about them\n   hint: run `cargo xtask test --only advisories` where there \
             is a network\n   cause: {reason:#}"
        ));
        return Ok(());
    }
    run(CARGO_DENY.command(root)?.args(DENY).arg("advisories"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<_> = STEPS.iter().map(|step| step.name).collect();
        assert_eq!(names.len(), STEPS.len());
    }

    #[test]
    fn the_last_words_are_a_test_runners_summary() {
        let summaries: Vec<_> = STEPS.iter().map(|step| step.has_summary).collect();
        let (last, others) = summaries.split_last().expect("there are steps");
        assert!(*last && !others.contains(&true));
    }
}
