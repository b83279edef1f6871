//! `roster simulate`: an identity provider, against any SCIM server.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::json;
use simulator::okta::{Credentials, Preset, Settings};
use simulator::{Report, simulate_okta};

use crate::environment;
use crate::terminal::{say, say_exchanges, say_step};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Do everything that Okta does, and judge every answer as Okta would
    Okta(Okta),
}

#[derive(Args, Debug)]
pub(crate) struct Okta {
    /// Base URL of the SCIM server, as an admin would type it
    #[arg(long, value_name = "URL")]
    url: String,
    /// Token, as an admin would paste it
    #[arg(long, env = "ROSTER_SIMULATE_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// User name and password, for an app that uses the Basic scheme
    #[arg(long, value_name = "USER:PASSWORD", conflicts_with = "token")]
    basic: Option<String>,
    /// Which Okta: okta-2026-template, okta-2021-template, okta-2026-aiw or okta-aiw-reassign; several
    /// may be given [default: all]
    #[arg(long, value_name = "NAME", value_parser = preset)]
    preset: Vec<Preset>,
    /// Number from which names and passwords are made; the same number makes the same [default: by
    /// chance, so that a run does not meet the people of an earlier one]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Name each request under its action, with its answer and what Okta makes of it
    #[arg(long, short)]
    verbose: bool,
    /// Write all requests and answers to a Markdown file, bodies included and credentials left out
    #[arg(long, value_name = "FILE")]
    transcript: Option<PathBuf>,
    /// Print one JSON object when it is over, and nothing else
    #[arg(long)]
    json: bool,
}

/// Reads a preset by its name.
pub(crate) fn preset(name: &str) -> Result<Preset, String> {
    Preset::from_name(name).ok_or_else(|| {
        let known: Vec<_> = Preset::ALL.iter().map(|preset| preset.name()).collect();
        format!("use one of {}", known.join(", "))
    })
}

pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let Command::Okta(okta) = command;
    let credentials = match (&okta.token, &okta.basic) {
        (Some(token), None) => Credentials::Token(token.clone()),
        (None, Some(basic)) => match basic.split_once(':') {
            Some((user, password)) => {
                Credentials::Basic { user: user.to_owned(), password: password.to_owned() }
            }
            None => bail!("`--basic` expects a user name, a colon, and a password"),
        },
        _ => bail!("give the token with `--token`, or user name and password with `--basic`"),
    };
    // A file that cannot be written is better known before the story than after it.
    let mut transcript = match &okta.transcript {
        Some(path) => {
            Some(File::create(path).with_context(|| format!("cannot write `{}`", path.display()))?)
        }
        None => None,
    };
    let seed = okta.seed.unwrap_or_else(environment::seed);
    if !okta.json {
        say(format_args!(
            "seed {seed}: `--seed {seed}` makes the same names and passwords again\n"
        ));
    }
    let presets = if okta.preset.is_empty() { Preset::ALL.to_vec() } else { okta.preset };
    let mut reports: Vec<Report> = Vec::new();
    for (place, preset) in presets.into_iter().enumerate() {
        let mut settings = Settings::new(okta.url.as_str(), credentials.clone(), preset);
        // Each has people of its own, so that one does not find what another left.
        settings.options.seed = seed.wrapping_mul(1_000).wrapping_add(place as u64);
        if !okta.json {
            say(format_args!("{}{}", if place == 0 { "" } else { "\n" }, preset.name()));
        }
        let is_quiet = okta.json;
        let report = simulate_okta(settings, |step| {
            if !is_quiet {
                say_step(step);
                if okta.verbose {
                    say_exchanges(step);
                }
            }
        })
        .await?;
        if !okta.json {
            say(report.summary());
        }
        reports.push(report);
    }
    if let (Some(file), Some(path)) = (&mut transcript, &okta.transcript) {
        let texts: Vec<_> = reports.iter().map(simulator::transcript::markdown).collect();
        file.write_all(texts.join("\n").as_bytes())
            .with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    if okta.json {
        let reports: Vec<_> = reports.iter().map(Report::to_json).collect();
        say(json!({ "seed": seed, "reports": reports }));
    }
    let passed = reports.iter().all(Report::passed);
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
