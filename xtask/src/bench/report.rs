//! What is written to `benches/`: the figures, what made them, and on what kind of machine.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Context as _;

use crate::{
    bench::{
        Effort, FOLDER,
        engine::Engine,
        figures::Spread,
        goals::Verdict,
        plot::{self, Bar, Color},
        scenarios::Bound,
        stage::{Played, Spot, Start, thousands},
    },
    command::capture,
};

/// All that was measured.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) engine: Engine,
    pub(super) effort: Effort,
    pub(super) minutes: f64,
    pub(super) starts: Vec<Start>,
    pub(super) played: Vec<Played>,
    pub(super) verdicts: Vec<Verdict>,
}

/// A report with its plots, and what their files are called.
#[derive(Debug)]
pub(super) struct Report {
    name: String,
    pub(super) text: String,
    /// Each with what its name ends in.
    plots: Vec<(&'static str, String)>,
}

/// Writes the report of a run.
pub(super) fn write(root: &Path, run: &Run) -> anyhow::Result<Report> {
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
    let name = format!("{date}-{commit}-{}", run.engine);
    let plots = plots(run, &format!("{date}, commit {commit}, {}", run.engine));

    let mut text = format!("# {date}, commit {commit}, {}\n\n", run.engine);
    let words: Vec<_> = std::env::args().skip(1).collect();
    writeln!(text, "Made by `cargo xtask {}` in {:.0} minutes.", words.join(" "), run.minutes)?;
    writeln!(text, "On {}.\n", machine(root))?;
    writeln!(
        text,
        "{} rounds after one to warm up, fewer where a table says so. Medians over the rounds, and \
         in brackets the least and the most; latencies over all rounds. [How to read \
         this](README.md).\n",
        run.effort.rounds
    )?;
    text += "## Goals\n\n| goal | target | figure | |\n| --- | ---: | ---: | --- |\n";
    for verdict in &run.verdicts {
        let target = match verdict.bound {
            Bound::AtLeast(least) => format!("≥ {least}"),
            Bound::AtMost(most) => format!("≤ {most}"),
        };
        let figure = verdict.figure.map_or_else(|| "–".to_owned(), spread);
        let holds = match verdict.holds {
            Some(true) => "holds",
            Some(false) => "**FAILS**",
            None => "not measured",
        };
        writeln!(text, "| {} | {target} | {figure} | {holds} |", verdict.what)?;
    }
    if !run.starts.is_empty() {
        text += "\n## Start and idle memory\n\n| database | ready after ms | idle MiB |\n";
        text += "| --- | ---: | ---: |\n";
        for start in &run.starts {
            let of = match start.spot {
                Spot::Fresh(_) => "empty, to be made".to_owned(),
                Spot::Users(users) => format!("{} users", thousands(users)),
                Spot::Directories => "many directories".to_owned(),
                Spot::Log { users, is_kept } => {
                    let log = if is_kept { "with" } else { "without" };
                    format!("{} users, {log} a request log", thousands(users))
                }
            };
            writeln!(text, "| {of} | {} | {} |", spread(start.ready), spread(start.idle))?;
        }
    }
    text += "\n## Scenarios\n\n\
             `ratio` is the speed of a scenario's first side as a part of that of this one. `CPU µs` is the \
             processor time of one, of server and client together: it hardly depends on what else \
             the machine does. `MiB` is the most resident memory of the server meanwhile.\n\n\
             | scenario | side | per second | p50 ms | p99 ms | ratio | CPU µs | MiB |\n\
             | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n";
    for played in &run.played {
        let figures = &played.figures;
        for (place, (side, peak)) in played.sides.iter().zip(&played.peaks).enumerate() {
            let what = match place {
                0 if figures.rounds() == run.effort.rounds => played.scenario.what.to_owned(),
                0 => format!("{} (rounds: {})", played.scenario.what, figures.rounds()),
                _ => String::new(),
            };
            let ratio = match place {
                0 => String::new(),
                _ => spread(figures.ratio(place)),
            };
            writeln!(
                text,
                "| {what} | {} | {} | {} | {} | {ratio} | {} | {} |",
                side.label,
                spread(figures.speed(place)),
                milliseconds(figures.percentile(place, 50)),
                milliseconds(figures.percentile(place, 99)),
                figures.processor_micros(place).map_or_else(String::new, round),
                peak.map_or_else(String::new, |peak| format!("{peak:.0}")),
            )?;
        }
    }
    text.push('\n');
    for (end, _) in &plots {
        writeln!(text, "![{end}]({name}-{end}.svg)")?;
    }
    Ok(Report { name, text, plots })
}

fn plots(run: &Run, what: &str) -> Vec<(&'static str, String)> {
    let goal = |verdict: &Verdict| {
        let figure = verdict.figure?;
        // As a part of what is allowed: below the line is good, whichever way the goal goes.
        let part = |value: f64| match verdict.bound {
            Bound::AtLeast(least) => least / value,
            Bound::AtMost(most) => value / most,
        };
        let (a, b) = (part(figure.min), part(figure.max));
        let color = if verdict.holds == Some(false) { Color::Wrong } else { Color::Ours };
        Some(Bar {
            heading: verdict.what.clone(),
            label: String::new(),
            value: Spread { median: part(figure.median), min: a.min(b), max: a.max(b) },
            text: spread(figure),
            color,
        })
    };
    let goals: Vec<_> = run.verdicts.iter().filter_map(goal).collect();
    let speed = |played: &Played, place: usize| {
        let value = played.figures.speed(place);
        let is_roster = played.peaks[place].is_some();
        Bar {
            heading: played.scenario.what.to_owned(),
            label: played.sides[place].label.clone(),
            value,
            text: format!("{}/s", round(value.median)),
            color: if is_roster { Color::Ours } else { Color::Other },
        }
    };
    let speeds: Vec<_> = run
        .played
        .iter()
        .flat_map(|played| (0..played.sides.len()).map(move |place| speed(played, place)))
        .collect();
    let mut plots = Vec::new();
    if !goals.is_empty() {
        let note = format!("Each as a part of what is allowed: the line. {what}");
        let drawn = plot::bars("Goals", &note, &goals, Some(1.0));
        plots.push(("goals", drawn));
    }
    if !speeds.is_empty() {
        let note = format!("A second, on a logarithmic scale. {what}");
        plots.push(("speed", plot::bars("Speed", &note, &speeds, None)));
    }
    plots
}

impl Report {
    /// Writes the files.
    pub(super) fn keep(&self, root: &Path) -> anyhow::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        let text = std::iter::once((format!("{}.md", self.name), &self.text));
        let drawn = |(end, plot)| (format!("{}-{end}.svg", self.name), plot);
        let plots = self.plots.iter().map(|(end, plot)| drawn((end, plot)));
        for (name, content) in text.chain(plots) {
            let path = Path::new("benches").join(name);
            std::fs::write(root.join(&path), content)
                .with_context(|| format!("`{}` cannot be written", path.display()))?;
            paths.push(path);
        }
        Ok(paths)
    }
}

/// The median, and what it lies between where there are several.
fn spread(spread: Spread) -> String {
    let Spread { median, min, max } = spread;
    if (max - min).abs() < f64::EPSILON {
        return round(median);
    }
    format!("{} ({}–{})", round(median), round(min), round(max))
}

/// Three digits that count.
fn round(value: f64) -> String {
    match value.abs() {
        it if it >= 100.0 => format!("{value:.0}"),
        it if it >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
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
    fn figures_have_three_digits_that_count() {
        for (value, text) in
            [(0.1234, "0.12"), (12.34, "12.3"), (123.4, "123"), (12_345.6, "12346")]
        {
            assert_eq!(round(value), text);
        }
        assert_eq!(spread(Spread { median: 2.0, min: 1.0, max: 3.0 }), "2.00 (1.00–3.00)");
        assert_eq!(spread(Spread { median: 2.0, min: 2.0, max: 2.0 }), "2.00");
    }

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
