//! `roster directory` and `roster api-key`: for scripts, and for the first minutes.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use directory::secret::{Secret, SecretKind};
use directory::{
    ApiScopes, Brake, DirectoryId, NAME_MAX, Organization, OrganizationId, Provider, Settings,
    SettingsPreset,
};
use jiff::SignedDuration;
use serde_json::json;
use store::ApiStore;

use crate::environment;
use crate::place::{Addresses, Place, warn_of_addresses};
use crate::serve::LISTEN;
use crate::terminal::say;

/// For how long a token is good.
const LIFETIME_DAYS: u32 = 365;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a directory and a token for it
    Create(Create),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ApiKeyCommand {
    /// Make a key for the management API
    Create(CreateApiKey),
}

#[derive(Args, Debug)]
pub(crate) struct Create {
    /// The customer: its id, or its name, under which it is made where there is none
    #[arg(long, value_name = "NAME", value_parser = name)]
    organization: String,
    /// What to call the directory
    #[arg(long, value_name = "NAME", value_parser = name)]
    name: String,
    /// Who sends: okta, entra, jumpcloud, onelogin, pingone, pingfederate, cyberark, rippling,
    /// sailpoint, keycloak, authentik or custom
    #[arg(long, default_value_t = Provider::Custom)]
    provider: Provider,
    /// What to do with requests that the RFCs do not allow and that can be understood
    #[arg(long, value_name = "PRESET", default_value = "lenient")]
    preset: Preset,
    /// Days for which the token is good
    #[arg(long, value_name = "DAYS", default_value_t = LIFETIME_DAYS,
          value_parser = clap::value_parser!(u32).range(1..=3650))]
    token_days: u32,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
    /// Tell of every change at once, however many people lose something
    #[arg(long)]
    no_brake: bool,
    #[command(flatten)]
    addresses: Addresses,
}

/// [`SettingsPreset`], for the command line.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Preset {
    /// Straighten them, as most providers need it
    Lenient,
    /// Refuse them
    Strict,
}

#[derive(Args, Debug)]
pub(crate) struct CreateApiKey {
    /// What it is for
    #[arg(long, value_name = "NAME", value_parser = name, default_value = "command line")]
    name: String,
    /// What it may do: `full`, `read`, or parts such as `events:read`, with commas between them
    #[arg(long, value_name = "SCOPES", value_delimiter = ',', default_value = "full")]
    scopes: Vec<String>,
    /// The id of the only organization that there is for it
    #[arg(long, value_name = "ID")]
    organization: Option<OrganizationId>,
    /// Days for which it is good; for ever where nothing is said
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: Option<u32>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// A directory with everything that its provider is to be told.
pub(crate) struct Created {
    pub(crate) organization_id: OrganizationId,
    pub(crate) directory_id: DirectoryId,
    pub(crate) token: Secret,
}

pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let Command::Create(create) = command;
    let settings = create.place.addresses(&create.addresses, &format!("http://{LISTEN}"))?;
    let store = create.place.open().await?;
    let api = store.api();
    let organization = find_or_create(&api, &create.organization).await?;
    let lifetime = SignedDuration::from_hours(24 * i64::from(create.token_days));
    let preset = match create.preset {
        Preset::Lenient => SettingsPreset::Lenient,
        Preset::Strict => SettingsPreset::Strict,
    };
    let usual = Settings::of(create.provider);
    let brake = Brake { on: !create.no_brake, ..usual.brake };
    let behaviour = Settings { preset, brake, ..usual };
    let created =
        create_directory(&api, &organization, &create.name, create.provider, behaviour, lifetime)
            .await?;
    store.close().await;

    warn_of_addresses(&settings);
    let base_url = settings.directory_base_url(created.directory_id);
    let shared_base_url = settings.shared_base_url();
    if create.json {
        say(json!({
            "organization_id": created.organization_id.to_string(),
            "directory_id": created.directory_id.to_string(),
            "base_url": base_url,
            "shared_base_url": shared_base_url,
            "token": created.token.reveal(),
        }));
    } else {
        say(format_args!("organization     {} ({})", organization.name, created.organization_id));
        say(format_args!("directory        {} ({})", create.name, created.directory_id));
        say(format_args!("base URL         {base_url}"));
        say(format_args!("shared base URL  {shared_base_url}  (the token says whose it is)"));
        say(format_args!("token            {}", created.token.reveal()));
        say("                 This is the only time that it is shown.");
        say(format_args!("data             {}", create.place.describe()?));
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn run_api_key(command: ApiKeyCommand) -> anyhow::Result<ExitCode> {
    let ApiKeyCommand::Create(create) = command;
    let scopes = ApiScopes::new(create.scopes.iter().map(String::as_str))?;
    let store = create.place.open().await?;
    let secret = Secret::new(SecretKind::ApiKey, environment::entropy());
    let lifetime = create.days.map(|days| SignedDuration::from_hours(24 * i64::from(days)));
    let (api, name) = (store.api(), create.name.clone());
    let key = api.create_api_key(name, &secret, scopes, create.organization, lifetime).await;
    let id = key.context("cannot make the API key")?.id;
    drop(api);
    store.close().await;
    if create.json {
        say(json!({ "id": id.to_string(), "name": create.name, "api_key": secret.reveal() }));
    } else {
        say(format_args!("API key  {}", secret.reveal()));
        say("         This is the only time that it is shown.");
        say(format_args!("data     {}", create.place.describe()?));
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn create_directory(
    api: &ApiStore,
    organization: &Organization,
    name: &str,
    provider: Provider,
    settings: Settings,
    lifetime: SignedDuration,
) -> anyhow::Result<Created> {
    let directory = api
        .create_directory(organization.id, name.to_owned(), provider, settings)
        .await
        .context("cannot make the directory")?;
    let token = Secret::new(SecretKind::ScimToken, environment::entropy());
    api.create_token(directory.id, &token, lifetime).await.context("cannot make the token")?;
    Ok(Created { organization_id: organization.id, directory_id: directory.id, token })
}

/// The organization with this id; or the one with this name; or a new one.
async fn find_or_create(api: &ApiStore, wanted: &str) -> anyhow::Result<Organization> {
    if let Ok(id) = wanted.parse() {
        let found = api.organization(id).await?;
        return found.with_context(|| format!("there is no organization `{wanted}`"));
    }
    match api.organizations_named(wanted).await?.as_slice() {
        [] => Ok(api.create_organization(wanted.to_owned(), None).await?),
        [only] => Ok(only.clone()),
        several => {
            let ids: Vec<_> = several.iter().map(|it| it.id.to_string()).collect();
            bail!(
                "several organizations are called `{wanted}`; give one of the ids {}",
                ids.join(", ")
            )
        }
    }
}

/// A name that people give: not empty, not endless, on one line.
fn name(text: &str) -> Result<String, String> {
    let name = directory::as_name(text).ok_or_else(|| {
        format!("a name has 1 to {NAME_MAX} characters, none of which is a control character")
    })?;
    Ok(name.to_owned())
}
