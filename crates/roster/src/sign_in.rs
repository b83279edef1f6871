//! By whom people of the vendor may sign in to the dashboard, as the operator says.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use directory::{Domain, MemberRole};
use web::SignInProvider;

/// The provider, and who is let in by it.
#[derive(Args, Clone)]
#[expect(clippy::struct_field_names, reason = "they are the names of the options")]
pub(crate) struct SignIn {
    /// Your OpenID Connect provider, by which members may sign in to the dashboard: its issuer, as it
    /// writes it, such as `https://login.example.com`
    #[arg(long, env = "ROSTER_OIDC_ISSUER", value_name = "URL")]
    oidc_issuer: Option<String>,
    /// The id that the provider gave to Roster
    #[arg(long, env = "ROSTER_OIDC_CLIENT_ID", value_name = "ID")]
    oidc_client_id: Option<String>,
    /// The secret that the provider gave to Roster, where it gave one. Better said by the environment or
    /// in a file: what is on a command line can be seen by others on the machine
    #[arg(long, env = "ROSTER_OIDC_CLIENT_SECRET", value_name = "SECRET", hide_env_values = true)]
    oidc_client_secret: Option<String>,
    /// A file with that secret
    #[arg(
        long,
        env = "ROSTER_OIDC_CLIENT_SECRET_FILE",
        value_name = "FILE",
        conflicts_with = "oidc_client_secret"
    )]
    oidc_client_secret_file: Option<PathBuf>,
    /// What the provider is called on the button [default: the host of the issuer]
    #[arg(long, env = "ROSTER_OIDC_NAME", value_name = "NAME")]
    oidc_name: Option<String>,
    /// Domains of e-mail addresses that are let in by the provider, such as `example.com`; several with
    /// commas between them [default: all]
    #[arg(long, env = "ROSTER_OIDC_ALLOWED_DOMAINS", value_name = "DOMAINS", value_delimiter = ',',
          value_parser = domain)]
    oidc_allowed_domains: Vec<Domain>,
    /// Has everybody become a member who has an address in those domains, as `support` or `developer`
    /// [default: only those who are invited]
    #[arg(long, env = "ROSTER_OIDC_JOIN_AS", value_name = "ROLE")]
    oidc_join_as: Option<MemberRole>,
    /// Believes e-mail addresses of which the provider does not say whether they are verified. Only for
    /// a provider in which nobody chooses their own address, such as one tenant of Entra ID
    #[arg(long, env = "ROSTER_OIDC_TRUST_EMAILS")]
    oidc_trust_emails: bool,
}

impl std::fmt::Debug for SignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // There is a secret in it.
        f.debug_struct("SignIn").field("oidc_issuer", &self.oidc_issuer).finish_non_exhaustive()
    }
}

impl SignIn {
    /// The provider, where there is one.
    pub(crate) fn provider(self) -> anyhow::Result<Option<SignInProvider>> {
        let (issuer, client_id) = match (self.oidc_issuer, self.oidc_client_id) {
            (None, None) => {
                let says_more = self.oidc_client_secret.is_some()
                    || self.oidc_client_secret_file.is_some()
                    || self.oidc_name.is_some()
                    || !self.oidc_allowed_domains.is_empty()
                    || self.oidc_join_as.is_some();
                if says_more {
                    bail!(
                        "it is not said which provider members sign in by: add `--oidc-issuer` and \
                         `--oidc-client-id`, or leave out the other settings that begin with `--oidc`"
                    );
                }
                return Ok(None);
            }
            (Some(issuer), Some(client_id)) => (issuer, client_id),
            (Some(_), None) => bail!(
                "`--oidc-issuer` is said without `--oidc-client-id`: add the id that the provider \
                 gave to Roster"
            ),
            (None, Some(_)) => bail!(
                "`--oidc-client-id` is said without `--oidc-issuer`: add the address of the provider"
            ),
        };
        let secret = match (self.oidc_client_secret, self.oidc_client_secret_file) {
            (None, Some(file)) => {
                let read = std::fs::read_to_string(&file).with_context(|| {
                    format!("cannot read the client secret from `{}`", file.display())
                })?;
                // Editors end a file with one.
                Some(read.trim_end_matches(['\r', '\n']).to_owned())
            }
            (secret, _) => secret,
        };
        let provider = SignInProvider::new(&issuer, &client_id, secret, self.oidc_name.as_deref())?
            .admitting(self.oidc_allowed_domains, self.oidc_join_as)?
            .trusting_addresses(self.oidc_trust_emails);
        Ok(Some(provider))
    }
}

fn domain(text: &str) -> Result<Domain, String> {
    Domain::any(text.trim())
        .ok_or_else(|| "it is not a domain; write one such as `example.com`".to_owned())
}
