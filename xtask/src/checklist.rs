//! `cargo xtask checklist`: every requirement of `docs/conformance.md` is named by a test, or left
//! out with a reason.
//!
//! Tests name what they prove in prose, so that a reader of either side finds the other:
//!
//! - a test in Rust in its documentation, `/// Proves S-PUT-3, S-PUT-4.`;
//! - a section of a dialogue in a paragraph that begins so, `Proves S-PUT-3.`;
//! - a case of a data file in a field, `"proves": ["S-FILTER-9"]`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use serde_json::Value;

use crate::command::say;

/// The list, relative to the workspace.
const LIST: &str = "docs/conformance.md";

/// Requirements that there are: what the sources in the third column ask, line by line. A row that
/// goes would be missed by nobody, so a list of any other length is wrong; whoever adds a
/// requirement changes this number with it.
const REQUIREMENTS: usize = 520;

/// Links of one requirement that are shown; of more, the number.
const LINKS_MAX: usize = 2;

/// What begins the words of a requirement that no test has to prove.
const LEFT_OUT: &str = "Left out:";

/// What begins the names of the requirements that a test proves.
const PROVES: &str = "Proves S-";

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Write the tests into the last column of docs/conformance.md
    #[arg(long)]
    write: bool,
    /// Look at one topic only: `PUT`, `FILTER`
    #[arg(long, value_name = "TOPIC", conflicts_with = "write")]
    topic: Option<String>,
}

/// As a step among others: the whole list, and nothing is written.
pub(crate) fn check_all(root: &Path) -> anyhow::Result<()> {
    check(root, &Arguments { write: false, topic: None })
}

/// Prints the coverage, and fails when a requirement is unaccounted for.
pub(crate) fn check(root: &Path, arguments: &Arguments) -> anyhow::Result<()> {
    let path = root.join(LIST);
    let text = fs::read_to_string(&path).with_context(|| format!("reading `{LIST}`"))?;
    let proofs = proofs(root)?;
    let mut list = List::read(&text)?;
    let mut wrong = list.attach(&proofs);
    wrong.extend(list.is_not_of_length(REQUIREMENTS));

    if arguments.write {
        fs::write(&path, list.print()).with_context(|| format!("writing `{LIST}`"))?;
    } else if arguments.topic.is_none() && list.print() != text {
        wrong
            .push(format!("`{LIST}` is older than the tests: run `cargo xtask checklist --write`"));
    }
    if let Some(topic) = &arguments.topic {
        let prefix = format!("S-{}-", topic.to_uppercase());
        list.lines.retain(|line| match line {
            Line::Requirement(requirement) => requirement.id.starts_with(&prefix),
            Line::Other(_) => false,
        });
        wrong.retain(|it| it.contains(&prefix));
    }
    let summary = list.summary();
    say(summary.trim_end());
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("{}", wrong.join("\n       "));
}

/// The document, taken apart as far as needed to put it together again to the byte.
#[derive(Debug)]
struct List {
    lines: Vec<Line>,
}

#[derive(Debug)]
enum Line {
    Requirement(Requirement),
    Other(String),
}

/// One row.
#[derive(Debug)]
struct Requirement {
    id: String,
    level: String,
    source: String,
    /// What it asks.
    claim: String,
    /// Why no test proves it, if that is so.
    left_out: Option<String>,
    /// What proves it, in the order of files.
    proofs: Vec<Proof>,
}

/// A test that names a requirement.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Proof {
    /// Relative to the workspace.
    file: String,
    /// What it is called there.
    name: String,
    /// The place in the file, where a link can name it.
    anchor: Option<String>,
}

impl List {
    fn read(text: &str) -> anyhow::Result<List> {
        let mut ids = BTreeSet::new();
        let mut lines = Vec::new();
        for line in text.lines() {
            if !line.starts_with("| S-") {
                lines.push(Line::Other(line.to_owned()));
                continue;
            }
            let cells: Vec<&str> =
                line.trim().trim_matches('|').split('|').map(str::trim).collect();
            let [id, level, source, claim, proof] = cells.as_slice() else {
                bail!("`{LIST}`: this row has {} cells and not 5: {line}", cells.len());
            };
            ensure!(ids.insert((*id).to_owned()), "`{LIST}`: {id} stands there twice");
            let left_out = proof.strip_prefix(LEFT_OUT).map(|reason| reason.trim().to_owned());
            lines.push(Line::Requirement(Requirement {
                id: (*id).to_owned(),
                level: (*level).to_owned(),
                source: (*source).to_owned(),
                claim: (*claim).to_owned(),
                left_out,
                proofs: Vec::new(),
            }));
        }
        Ok(List { lines })
    }

    /// What is wrong where rows went or came.
    fn is_not_of_length(&self, expected: usize) -> Option<String> {
        let count = self.requirements().count();
        (count != expected).then(|| {
            format!(
                "`{LIST}` has {count} requirements and not {expected}: put back what is gone, or \
                 change `REQUIREMENTS` on purpose"
            )
        })
    }

    fn requirements(&self) -> impl Iterator<Item = &Requirement> {
        self.lines.iter().filter_map(|line| match line {
            Line::Requirement(requirement) => Some(requirement),
            Line::Other(_) => None,
        })
    }

    /// Gives each requirement its proofs. What is wrong comes back, in the order of the list.
    fn attach(&mut self, proofs: &BTreeMap<String, BTreeSet<Proof>>) -> Vec<String> {
        let mut wrong = Vec::new();
        for line in &mut self.lines {
            let Line::Requirement(requirement) = line else { continue };
            let id = &requirement.id;
            requirement.proofs = proofs.get(id).into_iter().flatten().cloned().collect();
            if requirement.claim.is_empty() {
                wrong.push(format!("{id} does not say what it asks"));
            }
            match (&requirement.left_out, requirement.proofs.first()) {
                (None, None) => {
                    wrong.push(format!(
                        "{id} is neither named by a test nor left out with a reason"
                    ));
                }
                (Some(_), Some(proof)) => wrong.push(format!(
                    "{id} is left out, and yet `{}` proves it ({})",
                    proof.name, proof.file
                )),
                (Some(reason), None) if reason.is_empty() => {
                    wrong.push(format!("{id} is left out without a reason"));
                }
                _ => {}
            }
        }
        let known: BTreeSet<&str> = self.requirements().map(|it| it.id.as_str()).collect();
        for (id, proofs) in proofs {
            for proof in proofs.iter().filter(|_| !known.contains(id.as_str())) {
                wrong.push(format!(
                    "{id}, which `{}` proves ({}), is unknown",
                    proof.name, proof.file
                ));
            }
        }
        wrong
    }

    fn print(&self) -> String {
        let mut text = String::new();
        for line in &self.lines {
            let written = match line {
                Line::Other(line) => writeln!(text, "{line}"),
                Line::Requirement(it) => writeln!(
                    text,
                    "| {} | {} | {} | {} | {} |",
                    it.id,
                    it.level,
                    it.source,
                    it.claim,
                    it.proof()
                ),
            };
            written.expect("a string takes it");
        }
        text
    }

    /// A line per topic, the exceptions, the sum.
    fn summary(&self) -> String {
        let mut topics: Vec<(&str, Vec<&Requirement>)> = Vec::new();
        for requirement in self.requirements() {
            let topic = requirement.topic();
            match topics.last_mut() {
                Some((last, requirements)) if *last == topic => requirements.push(requirement),
                _ => topics.push((topic, vec![requirement])),
            }
        }
        let mut text = String::new();
        let mut line = |it: std::fmt::Arguments<'_>| {
            writeln!(text, "   {it}").expect("a string takes it");
        };
        line(format_args!(
            "{:<10} {:>5} {:>7} {:>9} {:>5}",
            "topic", "ids", "proved", "left out", "open"
        ));
        for (topic, requirements) in &topics {
            let Count { proved, left_out, open } = Count::of(requirements.iter().copied());
            line(format_args!(
                "{topic:<10} {:>5} {proved:>7} {left_out:>9} {open:>5}",
                requirements.len()
            ));
        }
        line(format_args!(""));
        for requirement in self.requirements() {
            if let Some(reason) = &requirement.left_out {
                line(format_args!("{} ({}) left out: {reason}", requirement.id, requirement.level));
            }
        }
        let Count { proved, left_out, open } = Count::of(self.requirements());
        let tests: BTreeSet<&Proof> = self.requirements().flat_map(|it| &it.proofs).collect();
        line(format_args!(""));
        line(format_args!(
            "{} ids: {proved} proved by {} tests, {left_out} left out with a reason, {open} \
             unaccounted for",
            self.requirements().count(),
            tests.len(),
        ));
        text
    }
}

/// How many requirements stand how.
#[derive(Default)]
struct Count {
    proved: usize,
    left_out: usize,
    open: usize,
}

impl Count {
    fn of<'a>(requirements: impl Iterator<Item = &'a Requirement>) -> Count {
        let mut count = Count::default();
        for requirement in requirements {
            let place = match (&requirement.left_out, requirement.proofs.is_empty()) {
                (Some(_), _) => &mut count.left_out,
                (None, false) => &mut count.proved,
                (None, true) => &mut count.open,
            };
            *place += 1;
        }
        count
    }
}

impl Requirement {
    /// `PUT` of `S-PUT-3`.
    fn topic(&self) -> &str {
        let rest = self.id.strip_prefix("S-").unwrap_or(&self.id);
        rest.rsplit_once('-').map_or(rest, |(topic, _)| topic)
    }

    /// The last cell.
    fn proof(&self) -> String {
        if let Some(reason) = &self.left_out {
            return format!("{LEFT_OUT} {reason}");
        }
        let mut links: Vec<String> = self.proofs.iter().take(LINKS_MAX).map(Proof::link).collect();
        if self.proofs.len() > LINKS_MAX {
            links.push(format!("and {} more", self.proofs.len() - LINKS_MAX));
        }
        links.join(", ")
    }
}

impl Proof {
    /// From [`LIST`].
    fn link(&self) -> String {
        let anchor = self.anchor.as_ref().map(|it| format!("#{it}")).unwrap_or_default();
        // A bar would end the cell, a bracket the words of the link.
        let name = self.name.replace('|', "\\|").replace('[', "\\[").replace(']', "\\]");
        format!("[{name}](../{}{anchor})", self.file)
    }
}

/// All that tests name, by id.
fn proofs(root: &Path) -> anyhow::Result<BTreeMap<String, BTreeSet<Proof>>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root.join("crates")).context("reading `crates`")? {
        collect(&entry?.path().join("tests"), &mut files)?;
    }
    collect(&root.join("claims").join("tests"), &mut files)?;
    collect(&root.join("xtask"), &mut files)?;
    files.sort();
    let mut proofs: BTreeMap<String, BTreeSet<Proof>> = BTreeMap::new();
    for path in files {
        let file = path.strip_prefix(root)?.display().to_string();
        let text = fs::read_to_string(&path).with_context(|| format!("reading `{file}`"))?;
        let named = match path.extension().and_then(|it| it.to_str()) {
            Some("rs") => named_in_rust(&text),
            Some("md") => named_in_dialogue(&text),
            _ => named_in_data(&text),
        };
        for Named { id, name, anchor } in named.with_context(|| format!("in `{file}`"))? {
            let proof = Proof { file: file.clone(), name, anchor };
            proofs.entry(id).or_default().insert(proof);
        }
    }
    Ok(proofs)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder).with_context(|| format!("reading `{}`", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|it| it == "rs" || it == "md" || it == "json") {
            files.push(path);
        }
    }
    Ok(())
}

/// An id, and the test that names it.
#[derive(Debug, PartialEq, Eq)]
struct Named {
    id: String,
    name: String,
    anchor: Option<String>,
}

/// The ids of a sentence `Proves S-A-1, S-A-2 and S-B-3.`
fn ids(sentence: &str) -> anyhow::Result<Vec<String>> {
    let sentence = sentence.split_once('.').map_or(sentence, |(first, _)| first);
    let ids: Vec<String> = sentence
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .filter(|word| word.starts_with("S-"))
        .map(str::to_owned)
        .collect();
    for id in &ids {
        let number = id.rsplit_once('-').map(|(_, number)| number.parse::<u32>());
        ensure!(matches!(number, Some(Ok(_))), "`{id}` is not the id of a requirement");
    }
    Ok(ids)
}

/// The documentation of tests. What is documented so and is not a test is a mistake, but for the
/// tasks in this crate, which are tests themselves.
fn named_in_rust(text: &str) -> anyhow::Result<Vec<Named>> {
    let mut named = Vec::new();
    let mut sentence: Option<String> = None;
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("///") {
            match &mut sentence {
                Some(sentence) => sentence.push_str(words),
                None if words.trim().starts_with(PROVES) => sentence = Some(words.to_owned()),
                None => {}
            }
        } else if line.starts_with("#[") {
            is_test |= line == "#[test]" || line.starts_with("#[tokio::test");
        } else if let Some(found) = sentence.take() {
            let name = line.split("fn ").nth(1).and_then(|rest| rest.split(['(', '<']).next());
            let name = name.with_context(|| format!("`{}` documents no function", found.trim()))?;
            let is_step = line.starts_with("pub(crate) fn ");
            ensure!(is_test || is_step, "`{name}`, which should prove something, is not a test");
            for id in ids(&found)? {
                named.push(Named { id, name: name.to_owned(), anchor: None });
            }
            is_test = false;
        } else {
            is_test = false;
        }
    }
    Ok(named)
}

/// The sections of a dialogue. One that claims to prove something must hold a request.
fn named_in_dialogue(text: &str) -> anyhow::Result<Vec<Named>> {
    let mut named = Vec::new();
    let mut pending = 0;
    let mut heading = "";
    let mut is_code = false;
    let mut sentence: Option<String> = None;
    for line in text.lines() {
        let is_fence = line.starts_with("```");
        if let Some(words) = &mut sentence {
            if line.is_empty() || is_fence {
                for id in ids(words)? {
                    named.push(Named {
                        id,
                        name: heading.to_owned(),
                        anchor: Some(anchor(heading)),
                    });
                    pending += 1;
                }
                sentence = None;
            } else {
                words.push(' ');
                words.push_str(line);
            }
        }
        if is_fence {
            is_code = !is_code;
            if line.starts_with("```http") {
                pending = 0;
            }
        } else if is_code {
        } else if let Some(words) = line.strip_prefix('#') {
            ensure!(pending == 0, "the section `{heading}` proves nothing: it holds no request");
            heading = words.trim_start_matches('#').trim();
        } else if line.starts_with(PROVES) {
            sentence = Some(line.to_owned());
        }
    }
    ensure!(
        pending == 0 && sentence.is_none(),
        "the section `{heading}` proves nothing: it holds no request"
    );
    Ok(named)
}

/// As a forge makes it of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The cases of a data file: objects that have `proves`, and a `claim` or `name` to call them by.
fn named_in_data(text: &str) -> anyhow::Result<Vec<Named>> {
    fn walk(value: &Value, named: &mut Vec<Named>) -> anyhow::Result<()> {
        match value {
            Value::Array(elements) => elements.iter().try_for_each(|it| walk(it, named)),
            Value::Object(object) => {
                if let Some(Value::Array(proved)) = object.get("proves") {
                    let name =
                        ["claim", "name", "filter"].iter().find_map(|it| object.get(*it)?.as_str());
                    let name = name.context("a case that proves something has no `claim`")?;
                    for id in proved {
                        let id = id.as_str().context("`proves` is not a list of ids")?.to_owned();
                        named.push(Named { id, name: name.to_owned(), anchor: None });
                    }
                }
                object.values().try_for_each(|it| walk(it, named))
            }
            _ => Ok(()),
        }
    }
    let mut named = Vec::new();
    if text.contains("\"proves\"") {
        walk(&serde_json::from_str(text)?, &mut named)?;
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "# Title\n\n| id | level | source | what it asks | proof |\n\
        |---|---|---|---|---|\n| S-A-1 | MUST | RFC 1 §1 | Something | old |\n\
        | S-A-2 | MAY | RFC 1 §2 | Little | Left out: nobody asked |\n";

    fn proof(name: &str) -> Proof {
        Proof { file: "crates/a/tests/b.rs".to_owned(), name: name.to_owned(), anchor: None }
    }

    #[test]
    fn a_list_in_which_all_is_proved_or_left_out_is_right_and_names_the_tests() {
        let mut list = List::read(DOCUMENT).unwrap();
        let proofs = BTreeMap::from([("S-A-1".to_owned(), BTreeSet::from([proof("it_works")]))]);
        assert_eq!(list.attach(&proofs), Vec::<String>::new());
        let printed = list.print();
        assert_eq!(printed, DOCUMENT.replace("| old |", "| [it_works](../crates/a/tests/b.rs) |"));
        assert!(list.summary().contains("2 ids: 1 proved by 1 tests, 1 left out"), "{printed}");
    }

    #[test]
    fn a_row_that_goes_is_noticed() {
        let list = List::read(DOCUMENT).unwrap();
        assert_eq!(list.is_not_of_length(2), None);
        let wrong = list.is_not_of_length(3).unwrap();
        assert!(wrong.contains("has 2 requirements and not 3"), "{wrong}");
        // And of the list that there is.
        let document = include_str!("../../docs/conformance.md");
        let list = List::read(document).unwrap();
        assert_eq!(list.is_not_of_length(REQUIREMENTS), None);
        let (without, _) = document.trim_end().rsplit_once('\n').unwrap();
        assert!(List::read(without).unwrap().is_not_of_length(REQUIREMENTS).is_some());
    }

    #[test]
    fn what_is_open_twice_or_unknown_is_said() {
        let mut list = List::read(DOCUMENT).unwrap();
        let ids = ["S-A-2", "S-B-1"];
        let proofs = ids.map(|id| (id.to_owned(), BTreeSet::from([proof("t")])));
        let wrong = list.attach(&BTreeMap::from(proofs));
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        assert!(wrong[0].starts_with("S-A-1 is neither"));
        assert!(wrong[1].starts_with("S-A-2 is left out, and yet"));
        assert!(wrong[2].starts_with("S-B-1, which `t` proves"));
        let twice = DOCUMENT.replace("S-A-2", "S-A-1");
        assert!(List::read(&twice).unwrap_err().to_string().contains("twice"));
    }

    #[test]
    fn a_test_names_what_it_proves_in_its_documentation() {
        // In pieces, or this file would claim it.
        let text =
            format!("/// Works.\n///\n/// {PROVES}A-1,\n/// S-A-2.\n#[test]\nfn it_works() {{}}\n");
        let ids: Vec<_> =
            named_in_rust(&text).unwrap().into_iter().map(|it| (it.id, it.name)).collect();
        let name = || "it_works".to_owned();
        assert_eq!(ids, [("S-A-1".to_owned(), name()), ("S-A-2".to_owned(), name())]);
        let helper = text.replace("#[test]\n", "");
        assert!(named_in_rust(&helper).unwrap_err().to_string().contains("not a test"));
        let typo = text.replace("A-2", "A-x");
        assert!(named_in_rust(&typo).unwrap_err().to_string().contains("`S-A-x`"));
    }

    #[test]
    fn a_section_of_a_dialogue_names_what_its_requests_prove() {
        let text = format!(
            "# Users\n\n## Made, and seen\n\n{PROVES}A-1 and S-A-2.\n\n```http\nGET /\n```\n"
        );
        let named = named_in_dialogue(&text).unwrap();
        assert_eq!(named.len(), 2);
        assert_eq!(named[1].id, "S-A-2");
        assert_eq!(named[1].anchor.as_deref(), Some("made-and-seen"));
        let (empty, _) = text.split_once("```").unwrap();
        assert!(named_in_dialogue(empty).unwrap_err().to_string().contains("holds no request"));
    }

    #[test]
    fn a_case_of_a_data_file_names_what_it_proves() {
        let named = named_in_data(r#"[{"claim":"c","proves":["S-A-1"]},{"claim":"d"}]"#).unwrap();
        let expected = Named { id: "S-A-1".to_owned(), name: "c".to_owned(), anchor: None };
        assert_eq!(named, [expected]);
        assert!(named_in_data(r#"{"proves":["S-A-1"]}"#).is_err());
    }
}
