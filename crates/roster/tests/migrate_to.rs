//! `roster migrate-to`: after it, whoever asks cannot tell that there is another database.

mod server;

use std::path::Path;
use std::process::{Command, Output};

use claims::OwnDatabase;
use serde_json::{Value, json};
use server::{Caller, Place, Server, binary, create_directory};
use simulator::Method;

/// Of users, groups or events on a page: little, so that there are many pages.
const PAGE: usize = 7;

/// A database of PostgreSQL.
struct Postgres<'a>(&'a OwnDatabase);

impl Place for Postgres<'_> {
    fn tell(&self, command: &mut Command) {
        command.env("ROSTER_DATABASE", self.0.url());
    }
}

fn migrate(from: &Path, to: &OwnDatabase) -> Output {
    let mut command = binary();
    command.arg("migrate-to").arg("--data").arg(from).env("ROSTER_DATABASE", to.url());
    command.output().expect("it starts")
}

/// Why it was not done.
fn refused(from: &Path, to: &OwnDatabase) -> String {
    let output = migrate(from, to);
    let errors = String::from_utf8(output.stderr).expect("it is text");
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.starts_with("error: nothing was moved to `postgres://"), "{errors}");
    errors
}

fn field<'a>(object: &'a Value, name: &str) -> &'a str {
    object[name].as_str().unwrap_or_else(|| panic!("`{name}` in {object}"))
}

/// Asks, and keeps what was asked and the whole answer.
async fn ask(caller: &mut Caller, path: &str, answers: &mut Vec<(String, u16, Vec<u8>)>) -> Value {
    let answer = caller.try_send(Method::Get, path, None).await.expect("the server answers");
    let body = serde_json::from_slice(&answer.body).unwrap_or_default();
    answers.push((path.to_owned(), answer.status, answer.body));
    body
}

/// Everything that a provider can read with its token, and every cursor that it is given.
async fn as_a_provider(url: &str, token: &str) -> Vec<(String, u16, Vec<u8>)> {
    let mut scim = Caller::new(&format!("{url}/scim/v2"), token);
    let mut answers = Vec::new();
    for path in [
        "/Users?count=1000&sortBy=userName",
        "/Users?filter=active%20eq%20false&attributes=userName,groups",
        "/Users?filter=emails%20co%20%22a%22&excludedAttributes=emails",
        "/Groups?count=1000&filter=members%20pr",
        "/Schemas",
        "/ResourceTypes",
        "/ServiceProviderConfig",
    ] {
        ask(&mut scim, path, &mut answers).await;
    }
    for kind in ["Users", "Groups"] {
        let mut start = 1;
        loop {
            let path = format!("/{kind}?startIndex={start}&count={PAGE}");
            let page = ask(&mut scim, &path, &mut answers).await;
            let resources = page["Resources"].as_array().expect("a list");
            for resource in resources {
                let path = format!("/{kind}/{}", field(resource, "id"));
                ask(&mut scim, &path, &mut answers).await;
            }
            start += PAGE;
            if resources.len() < PAGE {
                break;
            }
        }
        assert!(start > PAGE, "{kind} has pages");
    }
    answers
}

/// Everything that the vendor can read with its key: the feed of all, and that of each directory.
async fn as_the_vendor(url: &str, key: &str, ids: &[&str]) -> Vec<(String, u16, Vec<u8>)> {
    let mut api = Caller::new(url, key);
    let mut answers = Vec::new();
    let mut feeds = vec!["/api/v1/events?".to_owned()];
    for id in ids {
        let directory = format!("/api/v1/directories/{id}");
        for below in ["", "/users?limit=1000", "/groups?limit=1000", "/schemas"] {
            ask(&mut api, &format!("{directory}{below}"), &mut answers).await;
        }
        feeds.push(format!("/api/v1/events?directory_id={id}&"));
    }
    ask(&mut api, "/api/v1/organizations", &mut answers).await;
    for feed in feeds {
        let mut after = String::new();
        loop {
            let page = ask(&mut api, &format!("{feed}limit={PAGE}{after}"), &mut answers).await;
            // The cursor is a part of the answer, and of the next question.
            after = format!("&after={}", field(&page, "next"));
            if page["has_more"] == false {
                break;
            }
        }
    }
    answers
}

/// The first page of a walk by cursor, whose cursor is good for an hour.
async fn first_page(url: &str, token: &str) -> String {
    let mut scim = Caller::new(&format!("{url}/scim/v2"), token);
    let page = scim.get(&format!("/Users?cursor&count={PAGE}")).await;
    format!("/Users?cursor={}&count={PAGE}", field(&page, "nextCursor"))
}

/// The next cursor says until when it is good, and so is another one each time.
fn forget_until_when(page: &mut Value) {
    let cursor = page.as_object_mut().and_then(|page| page.shift_remove("nextCursor"));
    assert!(cursor.is_some(), "{page}");
}

/// When a provider was heard of last is kept to the minute, and known better by the node that heard.
fn forget_contacts(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| {
                !matches!(name.as_str(), "last_contact_at" | "last_change_at" | "silent_from")
            });
            members.values_mut().for_each(forget_contacts);
        }
        Value::Array(values) => values.iter_mut().for_each(forget_contacts),
        _ => {}
    }
}

#[tokio::test]
async fn a_moved_server_answers_every_question_as_before() {
    let Some(own) = OwnDatabase::make() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let unlimited = ["--requests-per-second", "0"];
    let server = Server::start(folder.path(), &unlimited);
    let (old, key) = (server.url.clone(), server.api_key());
    let mut connections = Vec::new();
    for preset in ["okta-2026-template", "okta-2026-aiw"] {
        let made = create_directory(folder.path(), &["--organization", "Acme", "--name", preset]);
        let (url, token) = (field(&made, "base_url"), field(&made, "token"));
        let story = ["simulate", "okta", "--json", "--seed", "1", "--preset", preset];
        let told = binary().args(story).args(["--url", url, "--token", token]).output();
        assert!(told.expect("it starts").status.success(), "{preset}");
        connections.push((field(&made, "directory_id").to_owned(), token.to_owned()));
    }
    let ids: Vec<_> = connections.iter().map(|(id, _)| id.as_str()).collect();
    let mut before = vec![as_the_vendor(&old, &key, &ids).await];
    let mut cursors = Vec::new();
    for (_, token) in &connections {
        before.push(as_a_provider(&old, token).await);
        let cursor = first_page(&old, token).await;
        let mut page = Caller::new(&format!("{old}/scim/v2"), token).get(&cursor).await;
        forget_until_when(&mut page);
        cursors.push((token, cursor, page));
    }
    let asked: usize = before.iter().map(Vec::len).sum();
    assert!(asked > 200, "{asked} questions");
    assert!(before.iter().flatten().all(|(_, status, _)| *status == 200));

    let said = refused(folder.path(), &own);
    assert!(said.contains("roster.db` is in use: stop the server"), "{said}");
    drop(server);
    let output = migrate(folder.path(), &own);
    let (said, errors) = (output.stdout, String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(said).expect("it is text");
    assert!(output.status.success(), "{said}{errors}");
    assert_eq!(errors, "");
    assert!(
        said.contains(&format!("roster serve --public-url {old} --scim-path /scim/v2")),
        "{said}"
    );
    for line in ["Copying ", "Reading back and comparing ", "Moved ", "  events "] {
        assert!(said.lines().any(|it| it.starts_with(line)), "`{line}` in {said}");
    }
    assert!(refused(folder.path(), &own).contains("the PostgreSQL database is not empty"));

    let arguments = [&unlimited[..], &["--public-url", &old]].concat();
    let server = Server::start(&Postgres(&own), &arguments);
    assert!(server.said.iter().any(|line| line.contains("as given out before")), "no new key");
    let mut after = vec![as_the_vendor(&server.url, &key, &ids).await];
    for (_, token) in &connections {
        after.push(as_a_provider(&server.url, token).await);
    }
    for (before, after) in before.iter().flatten().zip(after.iter().flatten()) {
        let text = |answer: &(String, u16, Vec<u8>)| {
            let mut body: Value = serde_json::from_slice(&answer.2).expect("it is JSON");
            forget_contacts(&mut body);
            body.to_string()
        };
        assert_eq!((&after.0, after.1), (&before.0, before.1));
        assert_eq!(text(after), text(before), "{}", before.0);
    }
    assert_eq!(after.iter().map(Vec::len).sum::<usize>(), asked);
    // A walk that was begun before goes on.
    for (token, cursor, before) in cursors {
        let mut scim = Caller::new(&format!("{}/scim/v2", server.url), token);
        let mut after = scim.get(&cursor).await;
        forget_until_when(&mut after);
        assert_eq!(after, before);
        // And it is a database that is lived in.
        let (status, made) =
            scim.send(Method::Post, "/Users", Some(&json!({ "userName": "one more" }))).await;
        assert_eq!(status, 201, "{made}");
    }
}
