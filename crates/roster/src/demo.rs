//! `roster demo`: a fresh server, and a simulated Okta that provisions people into it, over HTTP.

use std::collections::VecDeque;
use std::fmt::Write;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Args;
use courier::Follower;
use directory::secret::{Secret, SecretKind};
use directory::{DirectoryId, Provider};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::SignedDuration;
use serde_json::Value;
use simulator::okta::{Credentials, Expectation, Preset, Settings};
use simulator::{HttpClient, Report, Run};
use store::{ApiStore, EventRecord, FeedStore};
use tokio::net::TcpListener;

use crate::directory_command::create_directory;
use crate::place::{Place, SCIM_PATH, postgres_url};
use crate::terminal::{say, say_step};
use crate::{environment, serve, simulate};

/// Events of the tail of the feed.
const TAIL: usize = 12;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Stop after the story, with 0 if everything went well and 1 if not
    #[arg(long)]
    once: bool,
    /// Which Okta: okta-2026-template, okta-2021-template, okta-2026-aiw or okta-aiw-reassign; several
    /// may be given [default: all]
    #[arg(long, value_name = "NAME", value_parser = simulate::preset)]
    preset: Vec<Preset>,
    /// Empty database of PostgreSQL on which to show it, instead of a fresh embedded one
    #[arg(long, value_name = "URL", value_parser = postgres_url)]
    database: Option<String>,
}

impl std::fmt::Debug for Arguments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL holds a password.
        f.debug_struct("Arguments").field("preset", &self.preset).finish_non_exhaustive()
    }
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let folder = tempfile::Builder::new()
        .prefix("roster-demo-")
        .tempdir()
        .context("cannot make a folder for the demo")?;
    let place = match arguments.database {
        Some(url) => Place::postgres(url),
        None => Place::at(folder.path()),
    };
    let store = place.open().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot listen on 127.0.0.1")?;
    let here = format!("http://{}", listener.local_addr()?);
    // No Okta sends as fast as this one, so nobody is asked to wait.
    let limits = web::Limits { rate: None, ..web::Limits::default() };
    let settings = web::Settings::new(&here, SCIM_PATH, limits)?;
    let key = Secret::new(SecretKind::ApiKey, environment::entropy());
    store.create_first_api_key("demo", &key).await?;
    let application = web::application(
        store.access(),
        settings.clone(),
        environment::ids(),
        environment::entropy,
    );
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(web::serve(listener, application, async {
        // Whoever holds the other end lets go of it to stop.
        let _ = stopped.await;
    }));

    say(format_args!("Roster {} on {here}", env!("CARGO_PKG_VERSION")));
    say(format_args!("  management API  {here}/api/v1"));
    say(format_args!("  API key         {}", key.reveal()));

    let api = store.api();
    let acme = api.create_organization("Acme".to_owned(), Some("acme".to_owned())).await?;
    let presets = if arguments.preset.is_empty() { Preset::ALL.to_vec() } else { arguments.preset };
    let mut told = Vec::new();
    for preset in presets {
        let lifetime = SignedDuration::from_hours(24);
        let behaviour = directory::Settings::of(Provider::Okta);
        let created =
            create_directory(&api, &acme, preset.name(), Provider::Okta, behaviour, lifetime)
                .await?;
        let base_url = settings.directory_base_url(created.directory_id);
        say(format_args!("\n{}", preset.name()));
        say(format_args!("  base URL        {base_url}"));
        say(format_args!("  token           {}", created.token.reveal()));
        say("");
        let okta = Credentials::Token(created.token.reveal().to_owned());
        let (report, expectation) = tell(Settings::new(base_url, okta, preset)).await?;
        let differences = compare(&api, created.directory_id, &expectation).await?;
        say(report.summary());
        match differences.as_slice() {
            [] => say("What Roster holds is what Okta believes to be there."),
            some => some.iter().for_each(|difference| say(format_args!("DIFFERENT: {difference}"))),
        }
        told.push(Told {
            name: preset.name(),
            directory_id: created.directory_id,
            passed: report.passed() && differences.is_empty(),
        });
    }
    let passed = told.iter().all(|told| told.passed);
    summarize(&api, &told).await?;
    show_feed(store.feed()).await?;

    if !arguments.once {
        say(format_args!("\nRoster goes on serving on {here}. Try"));
        say(format_args!(
            "  curl -H 'Authorization: Bearer {}' {here}/api/v1/events",
            key.reveal()
        ));
        say("Stop with Ctrl-C.");
        serve::stop_signal().await;
    }
    drop(stop);
    server.await.context("the server broke off")?.context("the server failed")?;
    store.close().await;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Told {
    name: &'static str,
    directory_id: DirectoryId,
    passed: bool,
}

/// Tells the story, a line for each action of the admin, and under it how far it is.
async fn tell(settings: Settings) -> anyhow::Result<(Report, Expectation)> {
    let client = HttpClient::new(&settings.base_url, settings.options.timeout)?;
    let mut report = Report::new(settings.base_url.clone());
    let mut run = Run::new(settings, client);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} actions, {elapsed}")
        .expect("the template is right");
    // Where nobody watches, nothing is drawn.
    let progress =
        ProgressBar::with_draw_target(Some(run.remaining() as u64), ProgressDrawTarget::stderr())
            .with_style(style);
    while let Some(step) = run.step().await {
        progress.suspend(|| say_step(&step));
        progress.inc(1);
        report.steps.push(step);
    }
    progress.finish_and_clear();
    ensure!(!report.steps.is_empty(), "the story has no steps");
    Ok((report, run.expectation()))
}

/// What Okta believes to be in the directory and is not, or is otherwise.
async fn compare(
    api: &ApiStore,
    directory_id: DirectoryId,
    expectation: &Expectation,
) -> anyhow::Result<Vec<String>> {
    let store = api.open(directory_id).await?.context("the directory is gone")?;
    let mut differences = Vec::new();
    for (id, expected) in &expectation.users {
        let found = match directory::ResourceId::parse(id) {
            Some(id) => store.user(id, false).await?,
            None => None,
        };
        match found {
            None => differences.push(format!("user {id} is not there")),
            Some(user) if user.is_active != expected.active => {
                let is = if user.is_active { "active" } else { "inactive" };
                differences.push(format!("user {id} is {is}"));
            }
            Some(user) => {
                let attributes: Value = serde_json::from_str(&user.text)?;
                if attributes["userName"] != expected.user_name.as_str() {
                    differences.push(format!("user {id} has another name"));
                }
            }
        }
    }
    for (id, expected) in &expectation.groups {
        let found = match directory::ResourceId::parse(id) {
            Some(id) => store.group(id, true).await?,
            None => None,
        };
        let Some(group) = found else {
            differences.push(format!("group {id} is not there"));
            continue;
        };
        let attributes: Value = serde_json::from_str(&group.text)?;
        if attributes["displayName"] != expected.display_name.as_str() {
            differences.push(format!("group {id} has another name"));
        }
        let members: std::collections::BTreeSet<_> =
            group.members.iter().map(|member| member.id.to_string()).collect();
        let is_as_expected = if expected.may_have_others {
            members.is_superset(&expected.members)
        } else {
            members == expected.members
        };
        if !is_as_expected {
            differences.push(format!("group {id} has other members"));
        }
    }
    for id in expectation.deleted_groups.iter().filter_map(|id| directory::ResourceId::parse(id)) {
        if store.group(id, false).await?.is_some() {
            differences.push(format!("group {id} is still there"));
        }
    }
    for id in expectation.deleted_users.iter().filter_map(|id| directory::ResourceId::parse(id)) {
        if store.user(id, false).await?.is_some() {
            differences.push(format!("user {id} is still there"));
        }
    }
    Ok(differences)
}

async fn summarize(api: &ApiStore, told: &[Told]) -> anyhow::Result<()> {
    say(format_args!(
        "\n{:<22} {:>7} {:>9} {:>7} {:>12} {:>7}",
        "directory", "active", "inactive", "groups", "memberships", "events"
    ));
    for told in told {
        let summary = api.directory(told.directory_id).await?.context("the directory is gone")?;
        let store = api.open(told.directory_id).await?.context("the directory is gone")?;
        let (mut memberships, mut after) = (0, Some(0));
        while let Some(ordinal) = after {
            let groups = store.groups_after(ordinal, 1_000).await?;
            memberships += groups.items.iter().map(|group| group.member_count).sum::<u64>();
            after = groups.next;
        }
        say(format_args!(
            "{:<22} {:>7} {:>9} {:>7} {:>12} {:>7}  {}",
            told.name,
            summary.active_user_count,
            summary.user_count - summary.active_user_count,
            summary.group_count,
            memberships,
            summary.event_number,
            if told.passed { "ok" } else { "FAILED" },
        ));
    }
    Ok(())
}

/// The last of what the vendor's app would read.
async fn show_feed(feed: FeedStore) -> anyhow::Result<()> {
    let mut follower = Follower::from_the_beginning(feed);
    let mut tail: VecDeque<EventRecord> = VecDeque::new();
    loop {
        let events = follower.next().await?;
        if events.is_empty() {
            break;
        }
        tail.extend(events);
        tail.drain(..tail.len().saturating_sub(TAIL));
    }
    say("\nThe end of the event feed, as your app would read it");
    for event in tail {
        let data: Value = serde_json::from_str(&event.data)?;
        say(format_args!("{:>6}  {:<32} {}", event.position, event.kind, subject(&data)));
    }
    Ok(())
}

/// Whom an event is about, in a few words.
fn subject(data: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut subject = String::new();
    if let Some(user) = data.get("user") {
        subject = text(&user["userName"]);
    }
    if let Some(group) = data.get("group") {
        subject = text(&group["displayName"]);
    }
    if let Some(member) = data.get("member") {
        write!(subject, ": {}", text(&member["value"])).expect("text takes what is written");
    }
    if let Some(changes) = data.get("changes").and_then(Value::as_object) {
        let names: Vec<_> = changes.keys().map(|name| short(name)).collect();
        write!(subject, "  ({})", names.join(", ")).expect("text takes what is written");
    }
    subject
}

/// The last part of a qualified name.
fn short(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}
