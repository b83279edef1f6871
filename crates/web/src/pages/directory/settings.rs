//! What a directory is called, how it behaves, and its end.

use askama::Template;
use axum::response::Response;
use directory::{
    AfterHold, EditDirectory, OmittedMembers, Provider, Settings, SettingsPreset, UnknownMembers,
};
use serde_json::{Map, Value};

use super::connection::Connection;
use super::live::Live;
use crate::api::check_name;
use crate::api::directories::SettingsInput;
use crate::pages::form::Form;
use crate::pages::parts::{Frame, Refused};
use crate::pages::visitor::{Reader, Visitor};
use crate::pages::{Stop, go_to, page_with};
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "directory/settings.html")]
pub(crate) struct SettingsPage {
    pub(crate) frame: Frame,
    pub(crate) reader: Reader,
    pub(crate) connection: Connection,
    pub(crate) live: Live,
    pub(crate) settings: Settings,
    /// What was typed that is not taken: why, and what to do.
    pub(crate) refused: Option<Refused>,
    /// Whether what was typed to delete it is not its name.
    pub(crate) is_misnamed: bool,
}

impl SettingsPage {
    /// One below the other, as they are typed.
    pub(crate) fn addresses(&self) -> String {
        let ranges = self.settings.allowed_addresses.iter().copied();
        ranges.map(String::from).collect::<Vec<_>>().join("\n")
    }
}

/// `GET …/settings`.
pub(super) async fn show(visitor: Visitor) -> Result<Response, Stop> {
    shown(visitor, None, false).await
}

async fn shown(
    visitor: Visitor,
    refused: Option<&Problem>,
    is_misnamed: bool,
) -> Result<Response, Stop> {
    let settings = settings(&visitor).await?;
    let live = Live::of_one(&visitor.connection, "/settings");
    let Visitor { frame, reader, connection, .. } = visitor;
    let status = match refused {
        Some(problem) => problem.status(),
        None if is_misnamed => axum::http::StatusCode::UNPROCESSABLE_ENTITY,
        None => axum::http::StatusCode::OK,
    };
    let refused = refused.map(Refused::from);
    let page = SettingsPage { frame, reader, connection, live, settings, refused, is_misnamed };
    Ok(page_with(status, &page))
}

async fn settings(visitor: &Visitor) -> Result<Settings, Stop> {
    let found = visitor.store.directory(visitor.connection.id).await?;
    let found = found.ok_or_else(|| Problem::not_found("directory"))?;
    Ok(found.directory.settings)
}

/// `POST …/settings`: what is named in the form.
pub(super) async fn save(visitor: Visitor) -> Result<Response, Stop> {
    let now = settings(&visitor).await?;
    match edit(&visitor.form, &now) {
        Ok(edit) => {
            visitor.store.edit_directory(visitor.connection.id, edit).await?;
            Ok(go_to(&format!("{}/settings", visitor.connection.address)))
        }
        Err(problem) => shown(visitor, Some(&problem), false).await,
    }
}

/// Reads a form as the management API reads what it is sent.
fn edit(form: &Form, now: &Settings) -> Result<EditDirectory, Problem> {
    const TEXTS: [&str; 3] = ["preset", "unknown_members", "omitted_members"];
    const NUMBERS: [&str; 3] = ["access_token_minutes", "silence_hours_min", "silence_hours_max"];
    const OF_BRAKE: [&str; 4] = ["people", "percent", "minutes", "hours"];

    let mut settings = Map::new();
    for name in TEXTS {
        settings.extend(said(form, name).map(|it| (name.to_owned(), it.into())));
    }
    for name in NUMBERS {
        settings.extend(number(form, name, name)?);
    }
    settings.extend(switch(form, "http_basic", "http_basic"));
    if form.has("allowed_addresses") {
        settings.insert("allowed_addresses".to_owned(), form.list("allowed_addresses").into());
    }
    let mut brake = Map::new();
    brake.extend(switch(form, "brake_on", "on"));
    for name in OF_BRAKE {
        brake.extend(number(form, &format!("brake_{name}"), name)?);
    }
    brake.extend(said(form, "brake_then").map(|it| ("then".to_owned(), it.into())));
    settings.insert("brake".to_owned(), brake.into());
    let input: SettingsInput = serde_json::from_value(settings.into()).map_err(|error| {
        let why = format!("what was typed cannot be read: {error}");
        Problem::invalid(why, "Write addresses as `192.0.2.0/24` or `192.0.2.7`, one in a line")
    })?;
    let name = form.has("name").then(|| check_name("name", form.text("name"))).transpose()?;
    let provider = said(form, "provider").map(str::parse::<Provider>).transpose();
    let provider = provider.map_err(|_| {
        Problem::invalid("there is no such provider", "Choose one of those that are listed")
    })?;
    Ok(EditDirectory { name, provider, settings: input.check(now)?, is_paused: None })
}

fn said<'f>(form: &'f Form, name: &str) -> Option<&'f str> {
    Some(form.text(name)).filter(|it| !it.is_empty())
}

fn switch(form: &Form, field: &str, name: &str) -> Option<(String, Value)> {
    said(form, field).map(|it| (name.to_owned(), (it == "on").into()))
}

fn number(form: &Form, field: &str, name: &str) -> Result<Option<(String, Value)>, Problem> {
    let Some(text) = said(form, field) else { return Ok(None) };
    let number: u32 = text.parse().map_err(|_| {
        let text: String = text.chars().take(20).collect();
        Problem::invalid(format!("`{name}` is `{text}`"), "Write it as a number")
    })?;
    Ok(Some((name.to_owned(), number.into())))
}

/// `POST …/settings/delete`: where its name was typed.
pub(super) async fn delete(visitor: Visitor) -> Result<Response, Stop> {
    if visitor.form.text("name") != visitor.connection.name.trim() {
        return shown(visitor, None, true).await;
    }
    visitor.store.delete_directory(visitor.connection.id).await?;
    Ok(go_to(visitor.reader.home()))
}
