//! `roster member`: the way into the dashboard that is left when there is no other. Whoever holds the
//! machine may do it.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use directory::secret::{Secret, SecretKind};
use directory::{Member, MemberRole, Rejection, as_email};
use serde_json::json;
use store::Store;

use crate::environment;
use crate::place::{Addresses, Place, warn_of_addresses};
use crate::serve::LISTEN;
use crate::terminal::say;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Invite somebody: prints a link by which they join
    Invite(Invite),
    /// Let a member in again who is locked out: prints a link by which they choose password and code
    /// anew, signs them out everywhere, and has what they signed in with before be good for nothing
    Reset(Reset),
}

#[derive(Args, Debug)]
pub(crate) struct Invite {
    /// Their e-mail address
    #[arg(long, value_name = "ADDRESS", value_parser = email)]
    email: String,
    /// What they may do: owner, developer or support
    #[arg(long, value_name = "ROLE")]
    role: MemberRole,
    #[command(flatten)]
    rest: Rest,
}

#[derive(Args, Debug)]
pub(crate) struct Reset {
    /// Their e-mail address
    #[arg(long, value_name = "ADDRESS", value_parser = email)]
    email: String,
    #[command(flatten)]
    rest: Rest,
}

/// What both are told.
#[derive(Args, Debug)]
struct Rest {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    addresses: Addresses,
}

pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let rest = match &command {
        Command::Invite(invite) => &invite.rest,
        Command::Reset(reset) => &reset.rest,
    };
    let settings = rest.place.addresses(&rest.addresses, &format!("http://{LISTEN}"))?;
    let store = rest.place.open().await?;
    let secret = Secret::new(SecretKind::Invitation, environment::entropy());
    let member = invited(&command, &store, &secret).await;
    store.close().await;
    let member = member?;
    warn_of_addresses(&settings);
    let link = settings.invitation_url(&secret);
    let until = member.invited_until.context("the link has no end")?;
    if rest.json {
        say(json!({
            "id": member.id.to_string(),
            "email": member.email,
            "role": member.role.as_str(),
            "invitation_url": link,
            "invited_until": until.to_string(),
        }));
    } else {
        let email = member.email.as_deref().unwrap_or_default();
        say(format_args!("link  {link}"));
        say(format_args!("      It is good for a week, once. Whoever has it joins as {email}."));
        say("      This is the only time that it is shown.");
        say(format_args!("role  {}", member.role.as_str()));
        say(format_args!("data  {}", rest.place.describe()?));
    }
    Ok(ExitCode::SUCCESS)
}

async fn invited(command: &Command, store: &Store, secret: &Secret) -> anyhow::Result<Member> {
    match command {
        Command::Invite(Invite { email, role, .. }) => {
            match store.invite_member(email.clone(), *role, secret).await {
                Err(store::Error::Rejected(Rejection::EmailTaken)) => bail!(
                    "`{email}` is a member or invited already. If they are locked out, or their \
                     link is lost, say `roster member reset --email {email}`"
                ),
                other => other.context("cannot invite them"),
            }
        }
        Command::Reset(Reset { email, .. }) => {
            let reset =
                store.reset_member(email, secret).await.context("cannot let them in again")?;
            reset.with_context(|| {
                format!(
                    "nobody has the address `{email}`. Compare it with the one that they joined \
                     with, or say `roster member invite --email {email} --role owner`"
                )
            })
        }
    }
}

fn email(text: &str) -> Result<String, String> {
    as_email(text)
        .ok_or_else(|| "it is not an e-mail address; write it as name@example.com".to_owned())
}
