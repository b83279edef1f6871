//! `cargo xtask endure`: the proofs of durability, in their long form. `docs/operations/durability.md`
//! says what each of them proves.

use std::path::Path;

use crate::soak::play_one;

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Power cuts, at random places of random tales
    #[arg(long, default_value_t = 10_000)]
    cuts: u64,
    /// Calls of the disk that fail, of each kind, once and for good; where a tale has fewer, all
    #[arg(long, default_value_t = 1_000)]
    faults: u64,
    /// `kill -9` of a server that is written to
    #[arg(long, default_value_t = 500)]
    kills: u64,
    /// `kill -9` of a server that looks at everybody's roles, with 1,200 people for each
    #[arg(long, default_value_t = 80)]
    role_kills: u64,
    /// Plays of each story of a mistake, with a `kill -9` of the server at every step
    #[arg(long, default_value_t = 8)]
    stories: u64,
    /// `kill -9` of a server that lets a shadow go live, and of one that erases a person
    #[arg(long, default_value_t = 60)]
    half_kills: u64,
    /// `kill -9` of PostgreSQL, under a server that is written to
    #[arg(long, default_value_t = 20)]
    postgres_kills: u64,
    /// Events that three nodes on PostgreSQL make while one after the other is killed
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Rounds of an app that is killed at random while others write, on each kind of database
    #[arg(long, default_value_t = 1_000)]
    rounds: u64,
    /// `kill -9` of servers that bring events to webhook endpoints: of one, and of three on PostgreSQL
    #[arg(long, default_value_t = 200)]
    webhook_kills: u64,
    /// Events that are brought to six webhook endpoints, of which half are faulty
    #[arg(long, default_value_t = 100_000)]
    webhook_events: u64,
    /// With which seed to begin; a failure names its own
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Cuts, fails and kills. What is 0 is left out.
pub(crate) fn prove(root: &Path, arguments: &Arguments) -> anyhow::Result<()> {
    for (package, test, variable, count) in [
        ("store", "power", "ROSTER_CUTS", arguments.cuts),
        ("store", "disk", "ROSTER_FAULTS", arguments.faults),
        ("roster", "crash", "ROSTER_KILLS", arguments.kills),
        ("roster", "roles", "ROSTER_KILLS", arguments.role_kills),
        ("roster", "holds", "ROSTER_STORIES", arguments.stories),
        ("roster", "halves", "ROSTER_KILLS", arguments.half_kills),
        ("roster", "postmaster", "ROSTER_KILLS", arguments.postgres_kills),
        ("roster", "nodes", "ROSTER_EVENTS", arguments.events),
        ("roster", "consumer", "ROSTER_ROUNDS", arguments.rounds),
        ("roster", "webhooks", "ROSTER_WEBHOOK_KILLS", arguments.webhook_kills),
        ("courier", "webhooks", "ROSTER_WEBHOOK_EVENTS", arguments.webhook_events),
    ] {
        play_one(root, package, test, variable, count, arguments.seed)?;
    }
    Ok(())
}
