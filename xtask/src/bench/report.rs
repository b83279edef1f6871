//! What is written to `benches/`: the figures, what made them, and on what kind of machine.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Context as _;

use crate::{
    bench::{Effort, FOLDER, Scenario, figures::Figures},
    command::capture,
};

/// A report and the name of its file.
#[derive(Debug)]
pub(super) struct Report {
    name: String,
    pub(super) text: String,
}

/// Writes the report of a run.
pub(super) fn write(
    root: &Path,
    figures: &[(&Scenario, Figures)],
    effort: Effort,
) -> anyhow::Result<Report> {
    let mut git = Command::new("git");
    let commit = capture(git.current_dir(root).args(["rev-parse", "--short=10", "HEAD"]))?;
    let mut git = Command::new("git");
    let changed =
        capture(git.current_dir(root).args(["status", "--porcelain", "--", ":!benches"]))?;
    let mut commit = commit.trim().to_owned();
    if !changed.trim().is_empty() {
        commit += "-changed";
    }
    let date = capture(Command::new("date").args(["-u", "+%Y-%m-%d"]))?.trim().to_owned();

    let mut text = format!("# {date}, commit {commit}\n\n");
    let words: Vec<_> = std::env::args().skip(1).collect();
    writeln!(text, "Made by `cargo xtask {}`. On {}.\n", words.join(" "), machine(root))?;
    writeln!(
        text,
        "{} rounds after one to warm up. Medians over the rounds, and in brackets the least and the \
         most; latencies over all rounds. [How to read this](README.md).\n",
        effort.rounds
    )?;
    text += "| scenario | side | per second | p50 ms | p99 ms | Roster's part of it |\n";
    text += "| --- | --- | ---: | ---: | ---: | ---: |\n";
    for (scenario, figures) in figures {
        let sides = std::iter::once("Roster".to_owned())
            .chain(scenario.beside.iter().map(super::Beside::name));
        for (side, name) in sides.enumerate() {
            let what = if side == 0 { scenario.what } else { "" };
            let speed = figures.speed(side);
            let ratio = match side.checked_sub(1).map(|beside| figures.ratio(beside)) {
                None => String::new(),
                Some(ratio) => {
                    format!("**{:.2}** ({:.2}–{:.2})", ratio.median, ratio.min, ratio.max)
                }
            };
            writeln!(
                text,
                "| {what} | {name} | {:.0} ({:.0}–{:.0}) | {} | {} | {ratio} |",
                speed.median,
                speed.min,
                speed.max,
                milliseconds(figures.percentile(side, 50)),
                milliseconds(figures.percentile(side, 99)),
            )?;
        }
    }
    Ok(Report { name: format!("{date}-{commit}.md"), text })
}

impl Report {
    /// Writes the file.
    pub(super) fn keep(&self, root: &Path) -> anyhow::Result<PathBuf> {
        let path = Path::new("benches").join(&self.name);
        std::fs::write(root.join(&path), &self.text)
            .with_context(|| format!("`{}` cannot be written", path.display()))?;
        Ok(path)
    }
}

/// Prints the report, which may be piped on.
#[expect(clippy::print_stdout, reason = "the report is what was asked for")]
pub(super) fn show(text: &str) {
    println!("\n{text}");
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1_000.0)
}

/// The machine, by what its figures depend on and nothing that would tell it from others.
fn machine(root: &Path) -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| gibibytes(&text));
    let system = capture(Command::new("uname").arg("-s")).unwrap_or_default();
    let release = capture(Command::new("uname").arg("-r")).unwrap_or_default();
    // Only the number: what stands behind it names builds and hosts.
    let release: Vec<_> = release.trim().split(['-', '.']).take(2).collect();
    let folder = root.join(FOLDER);
    let file_system =
        capture(Command::new("stat").args(["--file-system", "--format=%T"]).arg(folder));
    format!(
        "{cores} cores, which the client shares, {} GiB of memory, {} {}, file system {}",
        memory.map_or_else(|| "unknown".to_owned(), |it| it.to_string()),
        system.trim(),
        release.join("."),
        file_system.map_or_else(|_| "unknown".to_owned(), |it| it.trim().to_owned()),
    )
}

/// All memory, from `/proc/meminfo`.
fn gibibytes(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some((kibibytes + 512 * 1024) / (1024 * 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_and_rounded() {
        #[track_caller]
        fn check(text: &str, expected: Option<u64>) {
            assert_eq!(gibibytes(text), expected, "{text}");
        }
        check("MemTotal:       24657044 kB\nMemFree: 1 kB\n", Some(24));
        check("MemFree: 1 kB\n", None);
        check("MemTotal: many\n", None);
    }
}
