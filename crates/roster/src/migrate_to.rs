//! `roster migrate-to`: everything from the embedded database to PostgreSQL.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use store::{Error, Phase, Progress, Store};

use crate::environment;
use crate::place::{Addresses, Place, postgres_url, without_password};
use crate::serve::LISTEN;
use crate::terminal::say;

/// Digits of a digest that are shown: enough to tell two apart.
const DIGITS: usize = 16;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Empty database of PostgreSQL 14 or later, such as
    /// `postgres://user:password@host/database?sslmode=require`. Better said by the environment: what
    /// is on a command line can be seen by others on the machine
    #[arg(value_name = "URL", env = "ROSTER_DATABASE", hide_env_values = true,
          value_parser = postgres_url)]
    to: String,
    /// Folder of the embedded database [default: `roster` in the user's data folder]
    #[arg(long, env = "ROSTER_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
}

impl std::fmt::Debug for Arguments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL holds a password.
        f.debug_struct("Arguments").field("data", &self.data).finish_non_exhaustive()
    }
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let place = Place::embedded(arguments.data);
    let (from, to) = (place.file()?, without_password(&arguments.to));
    say(format_args!("Moving `{}` to `{to}`", from.display()));

    // Where nobody watches, nothing is drawn.
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let template = "  {msg} {bar:30} {percent:>3} %, {human_pos} of {human_len} rows, {per_sec}, {eta} \
                    left";
    bar.set_style(ProgressStyle::with_template(template).expect("the template is right"));
    bar.enable_steady_tick(Duration::from_millis(200));
    let mut told = None;
    let report = {
        let bar = bar.clone();
        move |Progress { phase, done, total }| {
            if told != Some(phase) {
                let (now, doing) = match phase {
                    Phase::Copying => ("copying", "Copying"),
                    Phase::Verifying => ("comparing", "Reading back and comparing"),
                };
                bar.suspend(|| say(format_args!("{doing} {} rows", HumanCount(total))));
                bar.reset();
                bar.set_length(total);
                bar.set_message(now);
                told = Some(phase);
            }
            bar.set_position(done);
        }
    };
    let now = environment::real().clock.now();
    let moved = Store::move_to_postgres(&from, &arguments.to, now, report).await;
    bar.finish_and_clear();
    let tables = moved.map_err(|error| {
        let from = from.display();
        let what_came_of_it = match error {
            Error::Unanswered(_) => format!(
                "it is not known whether `{to}` has kept what was moved; `{from}` is as it was. Run \
                 the same command again: where it says that the database is not empty, everything has \
                 arrived, and the servers can be started on it; otherwise it is moved then"
            ),
            _ => format!("nothing was moved to `{to}`, and `{from}` is as it was"),
        };
        anyhow::Error::new(error).context(what_came_of_it)
    })?;

    let rows = tables.iter().map(|table| table.rows).sum();
    say(format_args!("Moved {} rows. Both databases have", HumanCount(rows)));
    for table in &tables {
        let (count, digest) = (HumanCount(table.rows).to_string(), &table.digest[..DIGITS]);
        say(format_args!("  {:<20} {count:>14} rows  sha256 {digest}…", table.name));
    }
    let settings = place.addresses(&Addresses::default(), &format!("http://{LISTEN}"))?;
    say(format_args!(
        "\nWhat to do now\n  \
         1. Start every server on the new database:\n     \
            ROSTER_DATABASE='{to}' roster serve --public-url {} --scim-path {}\n     \
            with the password and the parameters of the URL, which are not shown here. Base URLs,\n     \
            tokens, API keys and cursors stay as they were given out.\n  \
         2. See that `/ready` answers 200, and let a customer's provider test its connection.\n  \
         3. Start no server on `{}` any more: what it took in would be missing in the new\n     \
            database. Keep the file until you are sure, and then delete it: it holds people.",
        settings.public_url(),
        settings.scim_path(),
        from.display()
    ));
    Ok(ExitCode::SUCCESS)
}
