//! `roster serve`: the server.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use courier::{Courier, Names, Patience, Poster, RealTime, SystemNames};
use directory::AddressRange;
use directory::secret::{Secret, SecretKind};
use directory::webhook::Networks;
use jiff::SignedDuration;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;
use web::{Brand, Colour, FrameAncestor, Logo, Told};

use crate::environment;
use crate::place::{Addresses, Place, SCIM_PATH, warn_of_addresses};
use crate::retention::Retention;
use crate::sign_in::SignIn;
use crate::simulated::Oktas;
use crate::terminal::say;

/// Where the server listens when nobody says.
pub(crate) const LISTEN: &str = "127.0.0.1:8484";

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Address on which to listen; port 0 takes any that is free
    #[arg(long, env = "ROSTER_LISTEN", value_name = "ADDRESS", default_value = LISTEN)]
    listen: SocketAddr,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    addresses: Addresses,
    #[command(flatten)]
    pages: Pages,
    #[command(flatten)]
    sign_in: SignIn,
    #[command(flatten)]
    rate: Rate,
    #[command(flatten)]
    retention: Retention,
    /// A proxy in front of this server, or a range of them, that is believed when it says for whom it
    /// speaks (`X-Forwarded-For`), such as `10.0.0.0/8`; several with commas between them. Where
    /// directories take requests from some addresses only, these are compared with what it says
    #[arg(long, env = "ROSTER_TRUSTED_PROXIES", value_name = "RANGES", value_delimiter = ',')]
    trusted_proxies: Vec<AddressRange>,
    /// Networks that are not of the internet and may have webhook endpoints all the same, such as
    /// `10.1.0.0/16`; with them, also without encryption. Several are separated by commas
    #[arg(long, env = "ROSTER_WEBHOOK_ALLOW", value_name = "CIDR", value_delimiter = ',')]
    webhook_allow: Vec<AddressRange>,
    /// Form of the log, which goes to standard error
    #[arg(long, env = "ROSTER_LOG_FORMAT", value_name = "FORM", default_value = "text")]
    log_format: LogFormat,
    /// What is logged: `info`, `debug`, or a filter such as `web=debug,info`
    #[arg(long, env = "ROSTER_LOG", value_name = "FILTER", default_value = "info")]
    log: String,
    /// For tests: so many seconds ahead of the machine's clock, to see what happens after a day
    #[arg(long, value_name = "SECONDS", default_value_t = 0, hide = true)]
    clock_ahead: u32,
}

#[derive(Args, Clone, Debug)]
struct Rate {
    /// Requests a second that one directory may send in the long run; 0 for any number
    #[arg(long, env = "ROSTER_REQUESTS_PER_SECOND", value_name = "N", default_value_t = 50)]
    requests_per_second: u32,
    /// Requests that one directory may send at once
    #[arg(long, env = "ROSTER_REQUESTS_AT_ONCE", value_name = "N", default_value = "200")]
    requests_at_once: NonZeroU32,
}

/// Whose pages they are.
#[derive(Args, Clone, Debug)]
struct Pages {
    /// What you, or your app, are called in the pages
    #[arg(long, env = "ROSTER_BRAND_NAME", value_name = "NAME", default_value = "Roster")]
    brand_name: String,
    /// A picture beside the name: a file of SVG or PNG
    #[arg(long, env = "ROSTER_BRAND_LOGO", value_name = "FILE")]
    brand_logo: Option<PathBuf>,
    /// The colour of what is to be clicked; text in it is made dark or light enough to be read
    #[arg(long, env = "ROSTER_BRAND_ACCENT", value_name = "#RRGGBB", default_value = "#1f5fd0")]
    brand_accent: Colour,
    /// Sites that may show the portal in a frame, such as `https://app.example.com`; several with
    /// commas between them
    #[arg(long, env = "ROSTER_FRAME_ANCESTORS", value_name = "SITES", value_delimiter = ',')]
    frame_ancestors: Vec<FrameAncestor>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// For machines, a JSON object a line
    Json,
}

pub(crate) async fn run(arguments: Arguments, told: Vec<Told>) -> anyhow::Result<ExitCode> {
    log(arguments.log_format, &arguments.log)?;
    // Whatever may be refused comes first: a start that fails leaves nothing behind.
    let listener = TcpListener::bind(arguments.listen).await.with_context(|| {
        format!(
            "cannot listen on {}; another program may, perhaps another Roster. Choose another \
             address with `--listen`, such as `--listen 127.0.0.1:0` for any that is free",
            arguments.listen
        )
    })?;
    let address = listener.local_addr().context("cannot tell on which address it listens")?;
    let limits = web::Limits { rate: arguments.rate.limit(), ..web::Limits::default() };
    let here = format!("http://{address}");
    let networks: Networks = arguments.webhook_allow.into_iter().collect();
    let mut settings = web::Settings::new(
        arguments.addresses.public_url.as_deref().unwrap_or(&here),
        arguments.addresses.scim_path.as_deref().unwrap_or(SCIM_PATH),
        limits,
    )?;
    settings.trusted_proxies = arguments.trusted_proxies;
    settings.webhook_networks = networks.clone();
    settings.brand = Arc::new(arguments.pages.brand()?);
    settings.told = told;
    settings.frame_ancestors = arguments.pages.frame_ancestors;
    settings.sign_in_provider = arguments.sign_in.provider()?.map(Arc::new);
    settings.request_log = arguments.retention.requests.policy();
    let place = arguments.place.describe()?;
    settings.place.clone_from(&place);
    let argument = arguments.place.argument()?;
    let ahead = SignedDuration::from_secs(arguments.clock_ahead.into());
    let store = arguments.place.open_in(environment::ahead_by(ahead)).await?;
    let _alone = arguments.place.hold()?;
    if !ahead.is_zero() {
        tracing::warn!(seconds = arguments.clock_ahead, "the clock is ahead of the machine's");
    }
    arguments.place.remember(&settings)?;
    let first_key = first_api_key(&store).await?;
    let first_member = first_member(&store).await?;
    // Before it is said that we listen: whoever reads that may ask us to stop.
    let stop = stop_signal();
    let stop = async move {
        stop.await;
        tracing::info!("asked to stop: what was begun is answered first");
    };

    say(format_args!("Roster {} listens on {here}", env!("CARGO_PKG_VERSION")));
    say(format_args!("  data            {place}"));
    say(format_args!("  SCIM            {}", settings.shared_base_url()));
    say(format_args!("  management API  {}/api/v1", settings.public_url()));
    match first_key {
        Some(key) => {
            say(format_args!("  API key         {}", key.reveal()));
            say(
                "                  This is the only time that it is shown. Keep it, or make another",
            );
            say(format_args!("                  with `roster api-key create{argument}`."));
        }
        None => say(format_args!(
            "  API key         as given out before; `roster api-key create{argument}` makes another"
        )),
    }
    match first_member {
        Some(invitation) => {
            say(format_args!("  dashboard       {}", settings.invitation_url(&invitation)));
            say(
                "                  For the first member, once, within a week. As long as nobody has",
            );
            say("                  joined, each start makes another.");
        }
        None => say(format_args!("  dashboard       {}/dashboard", settings.public_url())),
    }
    warn_of_addresses(&settings);
    say(format_args!(
        "  to begin        roster directory create --organization Acme --name Okta --provider \
         okta{argument}"
    ));

    let application =
        web::application(store.access(), settings, environment::ids(), environment::entropy)
            .with_simulators(Arc::new(Oktas::of(address)));
    let store = Arc::new(store);
    let courier = courier(&store, networks);
    let upkeep = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            let keeping_up = keep_up(Arc::clone(&store), arguments.retention);
            tokio::join!(keeping_up, walk_roles(&store), tend_holds(&store), end_access(&store));
        }
    });
    web::serve(listener, application, stop).await.context("the server failed")?;
    if let Some(courier) = courier {
        courier.stop().await;
    }
    upkeep.abort();
    // It has ended, as it was told to.
    let _ = upkeep.await;
    Arc::into_inner(store).context("somebody still holds the database")?.close().await;
    tracing::info!("stopped: everything is kept");
    Ok(ExitCode::SUCCESS)
}

/// What brings events to webhook endpoints. Where there can be no TLS, as on a machine that trusts
/// nobody, all else is served.
fn courier(store: &store::Store, networks: Networks) -> Option<Courier> {
    let names: Arc<dyn Names> = Arc::new(SystemNames);
    let post = match Poster::new(networks, &names, Patience::default()) {
        Ok(post) => post,
        Err(reason) => {
            tracing::warn!(
                reason,
                "webhooks are not delivered: TLS cannot be set up. Install the certificates of the \
                 authorities that this machine is to trust, such as the package `ca-certificates`, \
                 and restart the server",
            );
            return None;
        }
    };
    let store = store.webhooks();
    let time = Arc::new(RealTime(store.clone()));
    let chance = Arc::new(|| {
        let [a, b, c, d, ..] = environment::entropy();
        f64::from(u32::from_be_bytes([a, b, c, d])) / f64::from(u32::MAX)
    });
    let holder = environment::ids().next().to_string();
    Some(Courier::start(store, Arc::new(post), time, chance, holder))
}

/// What is to be done now and then. Of several nodes one does it, or it does no harm.
async fn keep_up(store: Arc<store::Store>, retention: Retention) {
    let holder = environment::ids().next().to_string();
    let mut minutes = tokio::time::interval(Duration::from_mins(1));
    loop {
        minutes.tick().await;
        if let Err(error) = store.give_positions().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "new events were not given their positions; whoever reads them does it",
            );
        }
        retention.forget(&store, &holder).await;
        repeat(|| store.tidy_up(), "what is of no use any more was not let go").await;
        repeat(|| store.erase(&holder), "an erasure did not go on").await;
        let empty = || store.empty_directories(&holder);
        repeat(empty, "people of a deleted directory were not deleted").await;
        let check = || store.check_domains(&holder);
        repeat(check, "the domains of people were not looked at again").await;
        let raise = || store.raise_alarms(&holder);
        repeat(raise, "what operators should know was not told").await;
    }
}

/// Looks at everybody where it was said anew who gets which role. Somebody sees how far it is, so it
/// begins within a second; and those who write meanwhile have half of the time to themselves.
async fn walk_roles(store: &store::Store) {
    let holder = environment::ids().next().to_string();
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        let step = async || {
            let begun = tokio::time::Instant::now();
            let steps = store.walk_roles(&holder).await?;
            tokio::time::sleep(begun.elapsed()).await;
            Ok(steps)
        };
        repeat(step, "roles were not looked at").await;
    }
}

/// Changes that wait and may go out: somebody is waiting for them.
async fn tend_holds(store: &store::Store) {
    let holder = environment::ids().next().to_string();
    let mut seconds = tokio::time::interval(Duration::from_secs(2));
    loop {
        seconds.tick().await;
        repeat(|| store.tend_holds(&holder), "changes that waited were not let out").await;
    }
}

/// People of directories that were disconnected so that they lose their access: nobody is to keep it
/// for long, and those who write meanwhile have half of the time to themselves.
async fn end_access(store: &store::Store) {
    let holder = environment::ids().next().to_string();
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        let step = async || {
            let begun = tokio::time::Instant::now();
            let looked_at = store.deactivate_people(&holder).await?;
            tokio::time::sleep(begun.elapsed()).await;
            Ok(looked_at)
        };
        repeat(step, "people of a disconnected directory were not deactivated").await;
    }
}

/// Takes one step after the other until there is nothing left to do.
async fn repeat<F: Future<Output = Result<u64, store::Error>>>(
    step: impl Fn() -> F,
    failure: &'static str,
) {
    loop {
        match step().await {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "{failure}; it is tried again later",
                );
                return;
            }
        }
    }
}

/// The first start makes a key, so that somebody can get in.
async fn first_api_key(store: &store::Store) -> anyhow::Result<Option<Secret>> {
    let secret = Secret::new(SecretKind::ApiKey, environment::entropy());
    let id = store.create_first_api_key("first start", &secret).await?;
    Ok(id.map(|_| secret))
}

/// As long as nobody can sign in to the dashboard, a link lets the first member in.
async fn first_member(store: &store::Store) -> anyhow::Result<Option<Secret>> {
    let invitation = Secret::new(SecretKind::Invitation, environment::entropy());
    Ok(store.invite_first_member(&invitation).await?.then_some(invitation))
}

impl Pages {
    fn brand(&self) -> anyhow::Result<Brand> {
        let read = |file: &PathBuf| {
            let content = std::fs::read(file)
                .with_context(|| format!("cannot read the logo `{}`", file.display()))?;
            anyhow::Ok(Logo::new(content)?)
        };
        let logo = self.brand_logo.as_ref().map(read).transpose()?;
        Ok(Brand::new(&self.brand_name, self.brand_accent, logo)?)
    }
}

impl Rate {
    fn limit(&self) -> Option<web::Rate> {
        let per_second = NonZeroU32::new(self.requests_per_second)?;
        Some(web::Rate { per_second, burst: self.requests_at_once })
    }
}

fn log(format: LogFormat, filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter)
        .context("cannot read what to log; write `info`, or `web=debug,info`")?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Colors are for eyes; in a file they would be in the way of who searches it.
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => subscriber.init(),
        LogFormat::Json => subscriber.json().init(),
    }
    Ok(())
}

/// Ends when the process is asked to stop: by a person (Ctrl-C) or by whatever runs services. From
/// the call on, not only from the first poll on, such a request is not missed.
pub(crate) fn stop_signal() -> impl Future<Output = ()> + Send + 'static {
    let signals = signals();
    async move {
        match signals {
            #[cfg(unix)]
            Ok((mut interrupted, mut terminated)) => {
                tokio::select! {
                    _ = interrupted.recv() => {}
                    _ = terminated.recv() => {}
                }
            }
            #[cfg(windows)]
            Ok(mut interrupted) => _ = interrupted.recv().await,
            // Nobody can tell us; the process can still be killed.
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(unix)]
fn signals() -> std::io::Result<(tokio::signal::unix::Signal, tokio::signal::unix::Signal)> {
    use tokio::signal::unix::{SignalKind, signal};
    Ok((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
}

#[cfg(windows)]
fn signals() -> std::io::Result<tokio::signal::windows::CtrlC> {
    tokio::signal::windows::ctrl_c()
}
