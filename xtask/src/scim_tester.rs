//! The step `scim2-tester`: somebody else's tester of SCIM servers, run against the built binary.
//!
//! What it is and in which version stands in `xtask/scim-tester/requirements.txt`, and what of it
//! need not pass, with the reasons, in `xtask/scim-tester/exceptions.json`. It is run for both
//! presets of a directory, at both styles of base URL, and on both databases.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use crate::{
    command::{cargo, run, say},
    db::Postgres,
    python,
    server::Server,
};

/// The tester's files, relative to the workspace.
const FOLDER: &str = "xtask/scim-tester";

/// Where it is installed, and where the server has its data; relative to the workspace.
const PLACE: &str = "target/scim-tester";

/// Installs the tester, starts the server, runs the one against the other, and prints what came of
/// it. Fails when a check fails or is skipped that is not listed, and when one that is listed
/// passes.
///
/// Proves S-TESTER-1, S-TESTER-2, S-TESTER-3.
pub(crate) fn check(root: &Path) -> anyhow::Result<()> {
    let python = python::install(root, "scim2-tester", FOLDER, PLACE)?;
    let exceptions = root.join(FOLDER).join("exceptions.json");
    let exceptions = fs::read_to_string(&exceptions)
        .with_context(|| format!("reading `{}`", exceptions.display()))?;
    let exceptions = Exceptions::read(&exceptions)?;

    run(&mut cargo(root, ["build", "--package", "roster"]))?;
    let data = root.join(PLACE).join("data");
    if data.exists() {
        fs::remove_dir_all(&data).context("the last run's database cannot be removed")?;
    }
    let postgres = Postgres::start_if_possible(root)?;
    let mut databases = vec![("SQLite", None)];
    if let Some(postgres) = &postgres {
        databases.push(("PostgreSQL", Some(postgres.create_database("tester")?)));
    }
    let mut runs = Vec::new();
    for (kind, database) in databases {
        let server = Server::start_on(&root.join("target/debug/roster"), &data, database)?;
        judge(root, &python, &server, kind, &mut runs)?;
    }
    say(table(&runs).trim_end());
    let wrong: Vec<String> = runs.iter().flat_map(|run| exceptions.judge(run)).collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("\n       "));
    Ok(())
}

/// Runs the tester for both presets and at both styles of base URL.
fn judge(
    root: &Path,
    python: &Path,
    server: &Server,
    kind: &str,
    runs: &mut Vec<Run>,
) -> anyhow::Result<()> {
    for preset in ["lenient", "strict"] {
        let directory = server.create_directory(preset, &["--preset", preset])?;
        for (style, url) in [("own", &directory.base_url), ("shared", &directory.shared_base_url)] {
            let seed = runs.len().to_string();
            say(format_args!("   $ scim2-tester {url}  ({preset}, seed {seed})"));
            let printed = test(root, python, url, &seed, &directory.token)
                .with_context(|| format!("scim2-tester did not get through `{url}`"))?;
            let name = format!("{kind}, {preset}, {style}");
            runs.push(Run { name, checks: read(&printed)? });
        }
    }
    Ok(())
}

/// Runs the tester. What it printed comes back, a line of JSON for each check.
fn test(root: &Path, python: &Path, url: &str, seed: &str, token: &str) -> anyhow::Result<String> {
    let mut tester = Command::new(python)
        .arg(root.join(FOLDER).join("run.py"))
        .args([url, seed])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("its Python could not be started")?;
    let mut input = tester.stdin.take().expect("the input was asked for as a pipe");
    input.write_all(token.as_bytes()).context("it did not take the token")?;
    drop(input);
    let output = tester.wait_with_output()?;
    ensure!(output.status.success(), "it ended with {}; what it says is above", output.status);
    String::from_utf8(output.stdout).context("it did not print text")
}

/// The tester's checks of one directory at one address.
#[derive(Debug)]
struct Run {
    name: String,
    checks: Vec<Check>,
}

/// What became of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Check {
    name: String,
    resource_type: Option<String>,
    attribute: Option<String>,
    status: String,
    reason: String,
}

impl Check {
    /// Whether it was run and the server is right: by the RFC's letter, or by what it recommends
    /// or allows.
    fn has_passed(&self) -> bool {
        matches!(self.status.as_str(), "success" | "compliant" | "acceptable")
    }

    /// `Group check_add_attribute`.
    fn row(&self) -> String {
        match &self.resource_type {
            Some(resource_type) => format!("{resource_type} {}", self.name),
            None => self.name.clone(),
        }
    }
}

/// Reads what `run.py` printed.
fn read(printed: &str) -> anyhow::Result<Vec<Check>> {
    let mut checks = Vec::new();
    for line in printed.lines() {
        let value: Value =
            serde_json::from_str(line).with_context(|| format!("this is not JSON: {line}"))?;
        if value.get("tester").is_some() {
            continue;
        }
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        checks.push(Check {
            name: text("check").with_context(|| format!("a check without a name: {line}"))?,
            resource_type: text("resource_type"),
            attribute: text("attribute"),
            status: text("status").with_context(|| format!("a check without an end: {line}"))?,
            reason: text("reason").unwrap_or_default(),
        });
    }
    Ok(checks)
}

/// What need not pass.
#[derive(Debug)]
struct Exceptions {
    /// The checks of a run at least. A tester that gives up early has not found nothing wrong.
    checks_min: usize,
    exceptions: Vec<Exception>,
}

#[derive(Debug)]
struct Exception {
    check: String,
    resource_type: Option<String>,
    attribute: Option<String>,
    status: String,
}

impl Exceptions {
    fn read(text: &str) -> anyhow::Result<Exceptions> {
        let json: Value =
            serde_json::from_str(text).context("the list of exceptions is not JSON")?;
        let checks_min = json["checks_min"].as_u64().and_then(|it| usize::try_from(it).ok());
        let listed = json["exceptions"].as_array().context("there is no list of `exceptions`")?;
        let mut exceptions = Vec::new();
        for entry in listed {
            let text = |name: &str| {
                let text = entry[name].as_str().filter(|text| !text.is_empty());
                text.map(str::to_owned)
            };
            let needed = |name: &str| {
                text(name).with_context(|| format!("an exception without `{name}`: {entry}"))
            };
            needed("reason")?;
            let status = needed("status")?;
            if !["skipped", "deviation", "error", "critical"].contains(&status.as_str()) {
                bail!("an exception of the status `{status}`: {entry}");
            }
            exceptions.push(Exception {
                check: needed("check")?,
                resource_type: text("resource_type"),
                attribute: text("attribute"),
                status,
            });
        }
        let checks_min = checks_min.context("`checks_min` is not a number")?;
        Ok(Exceptions { checks_min, exceptions })
    }

    /// What of a run is not as it should be.
    fn judge(&self, run: &Run) -> Vec<String> {
        let mut wrong = Vec::new();
        let at = &run.name;
        if run.checks.len() < self.checks_min {
            wrong.push(format!(
                "{at}: {} checks were run, and there are {} at least",
                run.checks.len(),
                self.checks_min
            ));
        }
        let mut is_met = vec![false; self.exceptions.len()];
        for check in &run.checks {
            let listed = self.exceptions.iter().position(|it| it.is_of(check));
            if let Some(place) = listed {
                is_met[place] = true;
            }
            match listed.map(|place| self.exceptions[place].status.as_str()) {
                None if check.has_passed() => {}
                Some(status) if status == check.status => {}
                None => wrong.push(format!("{at}: {}: {}", described(check), check.reason)),
                Some(status) => wrong.push(format!(
                    "{at}: {}, and is listed as `{status}`: {}",
                    described(check),
                    check.reason
                )),
            }
        }
        for (exception, _) in self.exceptions.iter().zip(is_met).filter(|(_, is_met)| !is_met) {
            wrong.push(format!("{at}: `{}` is listed, and was not run", exception.check));
        }
        wrong
    }
}

impl Exception {
    fn is_of(&self, check: &Check) -> bool {
        let is =
            |listed: &Option<String>, found: &Option<String>| listed.is_none() || listed == found;
        self.check == check.name
            && is(&self.resource_type, &check.resource_type)
            && is(&self.attribute, &check.attribute)
    }
}

fn described(check: &Check) -> String {
    let attribute = check.attribute.as_ref().map(|it| format!(" of `{it}`")).unwrap_or_default();
    format!("`{}`{attribute} ended as {}", check.row(), check.status)
}

/// A row for each check, a column for each run: how many passed, or how many of how many.
fn table(runs: &[Run]) -> String {
    let mut rows: Vec<String> = Vec::new();
    let mut counts: BTreeMap<(String, usize), (usize, usize)> = BTreeMap::new();
    for (column, run) in runs.iter().enumerate() {
        for check in &run.checks {
            let row = check.row();
            if !rows.contains(&row) {
                rows.push(row.clone());
            }
            let (passed, all) = counts.entry((row, column)).or_default();
            *passed += usize::from(check.has_passed());
            *all += 1;
        }
    }
    let cell = |(passed, all): (usize, usize)| match (passed, all) {
        (_, 0) => "-".to_owned(),
        (passed, all) if passed == all => all.to_string(),
        (passed, all) => format!("{passed} of {all}"),
    };
    let width = rows.iter().map(String::len).max().unwrap_or_default();
    let line = |name: &str, cells: Vec<String>| {
        let mut line = format!("   {name:<width$}");
        for (cell, run) in cells.iter().zip(runs) {
            write!(line, "  {cell:>width$}", width = run.name.len()).expect("a string takes it");
        }
        line + "\n"
    };
    let mut text = line("passed", runs.iter().map(|run| run.name.clone()).collect());
    for row in &rows {
        let cells = (0..runs.len())
            .map(|column| cell(counts.get(&(row.clone(), column)).copied().unwrap_or_default()));
        text += &line(row, cells.collect());
    }
    let all = runs.iter().map(|run| {
        cell((run.checks.iter().filter(|check| check.has_passed()).count(), run.checks.len()))
    });
    text += &line("all", all.collect());
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checks(lines: &[(&str, &str)]) -> Run {
        let mut printed = "{\"tester\":\"1\"}\n".to_owned();
        for (check, status) in lines {
            let line = json!({
                "check": check, "resource_type": "User", "status": status, "reason": "why",
            });
            writeln!(printed, "{line}").unwrap();
        }
        Run { name: "lenient, own".to_owned(), checks: read(&printed).unwrap() }
    }

    fn exceptions(status: &str) -> Exceptions {
        let text = format!(
            r#"{{"checks_min":1,"exceptions":[{{"check":"b","status":"{status}","reason":"RFC"}}]}}"#
        );
        Exceptions::read(&text).unwrap()
    }

    #[test]
    fn what_is_not_listed_has_to_pass_and_what_is_must_not() {
        let none = Exceptions::read(r#"{"checks_min":1,"exceptions":[]}"#).unwrap();
        let check = |exceptions: &Exceptions, lines: &[(&str, &str)], expected: &[&str]| {
            assert_eq!(exceptions.judge(&checks(lines)), expected, "{lines:?}");
        };
        check(&none, &[("a", "success"), ("a", "acceptable"), ("b", "compliant")], &[]);
        check(&none, &[("a", "error")], &["lenient, own: `User a` ended as error: why"]);
        check(&none, &[("a", "deviation")], &["lenient, own: `User a` ended as deviation: why"]);
        check(&none, &[("a", "skipped")], &["lenient, own: `User a` ended as skipped: why"]);
        check(&none, &[], &["lenient, own: 0 checks were run, and there are 1 at least"]);

        let skipped = exceptions("skipped");
        check(&skipped, &[("a", "success"), ("b", "skipped")], &[]);
        check(
            &skipped,
            &[("b", "success")],
            &["lenient, own: `User b` ended as success, and is listed as `skipped`: why"],
        );
        check(
            &skipped,
            &[("b", "error")],
            &["lenient, own: `User b` ended as error, and is listed as `skipped`: why"],
        );
        check(&skipped, &[("a", "success")], &["lenient, own: `b` is listed, and was not run"]);
    }

    #[test]
    fn an_exception_has_a_reason_and_a_status_that_is_one() {
        let read = |entry: &str| {
            let text = format!(r#"{{"checks_min":1,"exceptions":[{entry}]}}"#);
            Exceptions::read(&text).is_ok()
        };
        assert!(read(r#"{"check":"a","status":"error","reason":"RFC 7644"}"#));
        assert!(!read(r#"{"check":"a","status":"error"}"#));
        assert!(!read(r#"{"check":"a","status":"error","reason":""}"#));
        assert!(!read(r#"{"check":"a","status":"success","reason":"RFC 7644"}"#));
        assert!(!read(r#"{"status":"error","reason":"RFC 7644"}"#));
    }

    #[test]
    fn the_table_counts_checks_of_a_name() {
        let runs = [
            checks(&[("a", "success"), ("a", "error"), ("b", "success")]),
            checks(&[("b", "success")]),
        ];
        let expected = "   \
            passed  lenient, own  lenient, own\n   \
            User a        1 of 2             -\n   \
            User b             1             1\n   \
            all           2 of 3             1\n";
        assert_eq!(table(&runs), expected);
    }

    #[test]
    fn the_list_in_the_repository_can_be_read() {
        Exceptions::read(include_str!("../scim-tester/exceptions.json")).unwrap();
    }
}
