//! A simulated Okta takes half of a company out of the app by mistake, against the built server, which is
//! killed again and again while that goes on: the app hears of nobody who lost anything for good.
//!
//! The server dies before, between and in the middle of the requests, without a word. Okta sends again
//! what was not answered, as it does.

mod server;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use server::{Caller, Server, create_directory};
use simulator::okta::{Action, Credentials, Field, Okta, PersonKey, Preset, Settings};
use simulator::{Client as _, HttpClient, Method};

const PEOPLE: usize = 24;

/// A company whose people are in the app, and an app that follows the feed.
struct Company<'a> {
    folder: &'a Path,
    server: Server,
    api_key: String,
    directory: String,
    okta: Okta,
    people: Vec<PersonKey>,
    app: App,
    deaths: u32,
}

/// What the app knows.
#[derive(Default)]
struct App {
    cursor: String,
    /// Whether somebody is active, by name.
    active: BTreeMap<String, bool>,
    number: u64,
}

impl App {
    fn active(&self) -> usize {
        self.active.values().filter(|active| **active).count()
    }
}

fn person(number: usize) -> BTreeMap<Field, String> {
    let name = format!("person.{number:02}@acme.example");
    [
        (Field::UserName, name.clone()),
        (Field::GivenName, "Person".to_owned()),
        (Field::FamilyName, format!("Number {number}")),
        (Field::Email, name),
    ]
    .into()
}

impl Company<'_> {
    async fn found(folder: &Path, preset: Preset) -> Company<'_> {
        let created = create_directory(folder, &["--organization", "Acme", "--name", "Okta"]);
        let text = |name: &str| created[name].as_str().expect("a text").to_owned();
        let server = Server::start(folder, &["--requests-per-second", "0"]);
        let base_url = format!("{}/scim/v2", server.url);
        let settings = Settings::new(base_url, Credentials::Token(text("token")), preset);
        let mut okta = Okta::new(settings);
        let people: Vec<_> = (0..PEOPLE).map(|number| okta.add_person(person(number))).collect();
        let staff = okta.add_group("Staff", people.clone());
        let api_key = server.api_key();
        let (directory, app) = (text("directory_id"), App::default());
        let mut company =
            Company { folder, server, api_key, directory, okta, people, app, deaths: 0 };
        company.does(&Action::AssignGroup(staff), false).await;
        company.does(&Action::PushGroup { group: staff, memberships: true }, false).await;
        company.hear().await;
        assert_eq!(company.app.active(), PEOPLE);
        company
    }

    fn api(&self) -> Caller {
        Caller::new(&self.server.url, &self.api_key)
    }

    /// As Okta does, wherever the server listens now.
    fn connect(&self) -> HttpClient {
        let url = format!("{}/scim/v2", self.server.url);
        HttpClient::new(&url, Duration::from_mins(1)).expect("it is on this machine")
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/v1/directories/{}{rest}", self.directory)
    }

    /// Kills the server, at once, and starts it again.
    fn kill(&mut self) {
        self.server.process.kill().expect("it runs");
        self.server.process.wait().expect("it ends");
        self.server = Server::start(self.folder, &["--requests-per-second", "0"]);
        self.deaths += 1;
    }

    /// Somebody does something in Okta, and Okta sends what follows. The server may be killed around each
    /// request: between two, or in the middle of one, which Okta then sends again.
    async fn does(&mut self, action: &Action, is_killed: bool) {
        self.okta.perform(action);
        while let Some(request) = self.okta.next_request() {
            if is_killed && self.deaths.is_multiple_of(2) {
                let mut client = self.connect();
                let under_way = request.clone();
                let sending = tokio::spawn(async move { client.send(&under_way).await });
                tokio::task::yield_now().await;
                self.kill();
                // Whether there was an answer or not: Okta has not got it.
                let _ = sending.await.expect("it ends");
            } else if is_killed {
                self.kill();
            }
            let answer = self.connect().send(&request).await;
            let status = answer.as_ref().map_or(0, |answer| answer.status);
            assert!((200..300).contains(&status), "{request:?} {answer:?}");
            self.okta.receive(answer);
        }
    }

    /// What is new in the feed; says which types.
    async fn hear(&mut self) -> Vec<String> {
        let mut kinds = Vec::new();
        loop {
            let path = format!(
                "/api/v1/events?directory_id={}&limit=1000{}",
                self.directory, self.app.cursor
            );
            let page = self.api().get(&path).await;
            for event in page["data"].as_array().expect("a list") {
                self.app.number += 1;
                assert_eq!(event["number"], self.app.number, "{event}");
                let kind = event["type"].as_str().expect("a type");
                let user = &event["data"]["user"];
                if kind.starts_with("directory.user.") {
                    let name = user["userName"].as_str().expect("a name").to_owned();
                    self.app.active.insert(name, user["active"] == true);
                }
                kinds.push(kind.to_owned());
            }
            self.app.cursor = format!("&after={}", page["next"].as_str().expect("a cursor"));
            if page["has_more"] == false {
                return kinds;
            }
        }
    }

    async fn hold(&self) -> Value {
        let holds = self.api().get(&self.path("/holds")).await;
        let id = holds["data"][0]["id"].as_str().expect("there is one");
        self.api().get(&self.path(&format!("/holds/{id}"))).await
    }

    async fn say(&self, hold: &Value, verdict: &str) {
        let id = hold["id"].as_str().expect("an id");
        let path = self.path(&format!("/holds/{id}"));
        let read = self.api().try_send(Method::Get, &path, None).await.expect("an answer");
        let is_tag = |(name, _): &&(String, String)| name.eq_ignore_ascii_case("etag");
        let (_, tag) = read.headers.iter().find(is_tag).expect("a tag");
        let path = format!("{path}/{verdict}");
        let (status, answer) = self.api().meaning(tag).send(Method::Post, &path, None).await;
        assert_eq!(status, 200, "{answer}");
    }

    /// Half of the company is unassigned by mistake, one after the other, and the server killed around
    /// each.
    async fn is_halved_by_mistake(&mut self) -> Value {
        for number in 0..PEOPLE / 2 {
            self.does(&Action::Unassign(self.people[number]), true).await;
            if number > 10 {
                self.hear().await;
                assert_eq!(self.app.active(), PEOPLE);
            }
        }
        self.kill();
        self.hear().await;
        assert_eq!(self.app.active(), PEOPLE, "the app knows of nobody who left");
        let hold = self.hold().await;
        assert_eq!((&hold["state"], &hold["kind"]), (&json!("held"), &json!("brake")));
        assert_eq!(hold["counts"]["directory.user.deactivated"], PEOPLE / 2);
        let id = hold["id"].as_str().expect("an id");
        let path = self.path(&format!("/holds/{id}/changes?limit=1000"));
        let listed = self.api().get(&path).await;
        let mut names: Vec<_> = listed["data"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|it| it["data"]["user"]["userName"].as_str().expect("a name").to_owned())
            .collect();
        names.sort();
        let expected: Vec<_> =
            (0..PEOPLE / 2).map(|number| person(number)[&Field::UserName].clone()).collect();
        assert_eq!(names, expected, "the hold lists the people");
        // Okta sees what it wrote.
        let users = self.api().get(&self.path("/users?filter=active%20eq%20true")).await;
        assert_eq!(users["data"].as_array().expect("a list").len(), PEOPLE / 2);
        hold
    }

    /// What is in a snapshot.
    async fn active_in_a_snapshot(&self) -> usize {
        let response = self.api().try_send(Method::Get, &self.path("/snapshot"), None).await;
        let body = response.expect("the server answers").body;
        let lines = std::str::from_utf8(&body).expect("text").lines();
        let lines: Vec<Value> =
            lines.map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.last().expect("an end")["type"], "end");
        lines.iter().filter(|line| line["user"]["active"] == true).count()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_of_a_company_taken_out_by_mistake_and_brought_back_never_lost_access() {
    for preset in [Preset::Template2026, Preset::AiwReassign] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut company = Company::found(folder.path(), preset).await;
        let hold = company.is_halved_by_mistake().await;
        company.say(&hold, "reject").await;
        company.kill();
        assert_eq!(company.hear().await, ["directory.hold.rejected"]);
        for number in 0..PEOPLE / 2 {
            company.does(&Action::Assign(company.people[number]), true).await;
            company.hear().await;
            assert_eq!(company.app.active(), PEOPLE);
            assert_eq!(company.active_in_a_snapshot().await, PEOPLE);
        }
        // The server sees by itself that everybody is back: its event is waited for.
        let path = format!(
            "/api/v1/events?directory_id={}&type=directory.hold.released&wait=60",
            company.directory
        );
        let ended = company.api().get(&path).await;
        assert_eq!(ended["data"][0]["data"]["hold"]["outcome"], "brought_back", "{ended}");
        let heard = company.hear().await;
        assert!(!heard.iter().any(|kind| kind.ends_with("activated")), "{heard:?}");
        assert_eq!(company.app.active(), PEOPLE);
        assert!(company.deaths > 24, "{}", company.deaths);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_of_a_company_that_was_meant_to_leave_leaves_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut company = Company::found(folder.path(), Preset::Template2026).await;
    let hold = company.is_halved_by_mistake().await;
    company.say(&hold, "approve").await;
    company.kill();
    let heard = company.hear().await;
    let mut expected = vec!["directory.hold.approved"];
    expected.extend(["directory.user.deactivated"; PEOPLE / 2]);
    expected.push("directory.hold.released");
    assert_eq!(heard, expected);
    assert_eq!(company.app.active(), PEOPLE / 2);
    assert_eq!(company.active_in_a_snapshot().await, PEOPLE / 2);
    company.does(&Action::Unassign(company.people[PEOPLE - 1]), true).await;
    assert_eq!(company.hear().await, ["directory.user.deactivated"]);
}
