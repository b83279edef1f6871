//! The front door: one binary that serves, shows, simulates and manages.
//!
//! It is alone in reading the environment, the arguments, the clock and chance; the other rooms
//! are given them.

mod demo;
mod directory_command;
mod environment;
mod member_command;
mod migrate_to;
mod place;
mod requests;
mod retention;
mod serve;
mod sign_in;
mod simulate;
mod simulated;
mod terminal;
mod told;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::terminal::say_error;

/// Most of what a request allocates is small and short-lived, on one thread and freed on another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Roster: a self-hosted directory sync server
///
/// People appear in your app when they join a customer's company, change when they change, and lose
/// access when they leave: each customer connects Okta, Entra ID, or any other SCIM 2.0 client.
#[derive(Debug, Parser)]
#[command(name = "roster", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve SCIM and the management API
    Serve(Box<serve::Arguments>),
    /// Show everything at once: a fresh server, and a simulated Okta that provisions people into it
    Demo(demo::Arguments),
    /// Move everything from the embedded database to PostgreSQL
    MigrateTo(migrate_to::Arguments),
    /// Be an identity provider, against any SCIM server
    #[command(subcommand)]
    Simulate(simulate::Command),
    /// Manage directories, beside a running server or before its first start
    #[command(subcommand)]
    Directory(directory_command::Command),
    /// Manage the keys of the management API
    #[command(subcommand)]
    ApiKey(directory_command::ApiKeyCommand),
    /// Let people into the dashboard, also when nobody can sign in
    #[command(subcommand)]
    Member(member_command::Command),
    /// Print the document that describes the management API (OpenAPI 3.1)
    Openapi,
}

fn main() -> ExitCode {
    let mut command = Arguments::command();
    let matches = command.get_matches_mut();
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say_error(&anyhow::Error::new(error).context("cannot start"));
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(async {
        match arguments.command {
            Command::Serve(arguments) => {
                let (name, its) = matches.subcommand().expect("it is this one");
                let its_command = command.find_subcommand(name).expect("it was asked for");
                serve::run(*arguments, told::told(its_command, its)).await
            }
            Command::Demo(arguments) => demo::run(arguments).await,
            Command::MigrateTo(arguments) => migrate_to::run(arguments).await,
            Command::Simulate(command) => simulate::run(command).await,
            Command::Directory(command) => directory_command::run(command).await,
            Command::ApiKey(command) => directory_command::run_api_key(command).await,
            Command::Member(command) => member_command::run(command).await,
            Command::Openapi => {
                terminal::say(format_args!("{:#}", web::document()));
                Ok(ExitCode::SUCCESS)
            }
        }
    });
    match outcome {
        Ok(code) => code,
        Err(error) => {
            say_error(&error);
            ExitCode::FAILURE
        }
    }
}
