//! A simulated Okta takes half of a company out of the app by mistake, against the built server, which is
//! killed again and again while that goes on: the app hears what it would hear from a server that nobody
//! kills, in the same order.
//!
//! The server dies before, in the middle of and after each request, without a word. Whoever has no answer
//! sends again. `ROSTER_STORIES` asks for more than one of each story; in four that follow each other, each
//! request has met each kind of death.

#[expect(dead_code, reason = "nothing is picked here")]
mod dice;
mod home;
mod server;

use std::collections::BTreeMap;
use std::time::Duration;

use dice::Dice;
use home::Home;
use serde_json::{Value, json};
use server::{Caller, Server, create_directory};
use simulator::okta::{Action, Credentials, Field, Okta, PersonKey, Preset, Settings};
use simulator::{Client as _, HttpClient, Method, Request, Response};

const PEOPLE: usize = 24;
/// Longer than a hold, and longer than anybody who was killed keeps a lease.
const DAY: u32 = 25 * 3_600;
const MINUTE: u32 = 60;
/// How often a thread may be asked to go on, at most, until the server is killed in the middle.
const MOMENTS: usize = 3_000;

/// A company whose people are in the app, and an app that follows the feed.
struct Company<'a> {
    home: &'a Home,
    server: Server,
    /// How far its clock is ahead, in seconds.
    ahead: u32,
    api_key: String,
    directory: String,
    okta: Okta,
    people: Vec<PersonKey>,
    app: App,
    /// Whether the server is killed, and when.
    dice: Option<Dice>,
    /// The kind of the next death.
    next_death: usize,
    deaths: u32,
}

/// What the app knows.
#[derive(Default)]
struct App {
    cursor: String,
    /// Whether somebody is active, by name.
    active: BTreeMap<String, bool>,
    number: u64,
    /// All that it was told: what, of whom, and whether they are active then.
    told: Vec<String>,
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
    /// With a seed, the server is killed again and again.
    async fn found(home: &Home, preset: Preset, seed: Option<u64>) -> Company<'_> {
        let created = create_directory(home, &["--organization", "Acme", "--name", "Okta"]);
        let text = |name: &str| created[name].as_str().expect("a text").to_owned();
        let server = Server::start(home, &["--requests-per-second", "0"]);
        let base_url = format!("{}/scim/v2", server.url);
        let settings = Settings::new(base_url, Credentials::Token(text("token")), preset);
        let mut okta = Okta::new(settings);
        let people: Vec<_> = (0..PEOPLE).map(|number| okta.add_person(person(number))).collect();
        let staff = okta.add_group("Staff", people.clone());
        let api_key = server.api_key();
        let (directory, app) = (text("directory_id"), App::default());
        let (dice, deaths) = (seed.map(Dice), 0);
        let next_death = usize::try_from(seed.unwrap_or_default()).expect("it is small");
        let mut company = Company {
            home,
            server,
            ahead: 0,
            api_key,
            directory,
            okta,
            people,
            app,
            dice: None,
            next_death,
            deaths,
        };
        company.does(&Action::AssignGroup(staff)).await;
        company.does(&Action::PushGroup { group: staff, memberships: true }).await;
        company.hear().await;
        assert_eq!(company.app.active(), PEOPLE);
        company.dice = dice;
        company
    }

    fn api(&self) -> Caller {
        Caller::new(&self.server.url, &self.api_key)
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/v1/directories/{}{rest}", self.directory)
    }

    /// Kills the server, at once, and starts it again.
    fn kill(&mut self) {
        self.server.process.kill().expect("it runs");
        self.server.process.wait().expect("it ends");
        if let Some(own) = &self.home.own {
            // Half a minute goes by on the clock of the database, which is that of leases.
            own.run("delete from leases");
        }
        let ahead = self.ahead.to_string();
        let arguments = ["--requests-per-second", "0", "--clock-ahead", &ahead];
        self.server = Server::start(self.home, &arguments);
        self.deaths += 1;
    }

    /// Kills it while it does by itself what is to be done, some times.
    async fn kill_at_random(&mut self) {
        for _ in 0..3 {
            let Some(dice) = &mut self.dice else { return };
            for _ in 0..dice.below(MOMENTS) {
                tokio::task::yield_now().await;
            }
            // Nobody waits for what the dead one had for itself.
            self.ahead += MINUTE;
            self.kill();
        }
    }

    /// Sends a request, below this path, as somebody who sends again what was not answered.
    async fn send(&mut self, base: &str, request: &Request) -> Response {
        // Wherever the server listens now.
        let connect = |company: &Self| {
            let url = format!("{}{base}", company.server.url);
            HttpClient::new(&url, Duration::from_mins(1)).expect("it is on this machine")
        };
        if let Some(dice) = &mut self.dice {
            let moments = dice.below(MOMENTS);
            self.next_death += 1;
            match self.next_death % 4 {
                0 => self.kill(),
                // In the middle of it.
                1 => {
                    let (mut client, under_way) = (connect(self), request.clone());
                    let sending = tokio::spawn(async move { client.send(&under_way).await });
                    for _ in 0..moments {
                        if sending.is_finished() {
                            break;
                        }
                        tokio::task::yield_now().await;
                    }
                    self.kill();
                    // Whether there was an answer or not: nobody has got it.
                    let _ = sending.await.expect("it ends");
                }
                // It is done, and the answer is lost on its way.
                2 => {
                    connect(self).send(request).await.expect("it answers");
                    self.kill();
                }
                _ => {
                    let answer = connect(self).send(request).await.expect("it answers");
                    self.kill();
                    return answer;
                }
            }
        }
        connect(self).send(request).await.expect("it answers")
    }

    /// Somebody does something in Okta, and Okta sends what follows.
    async fn does(&mut self, action: &Action) {
        self.okta.perform(action);
        while let Some(request) = self.okta.next_request() {
            let answer = self.send("/scim/v2", &request).await;
            assert!((200..300).contains(&answer.status), "{request:?} {answer:?}");
            self.okta.receive(Ok(answer));
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
                let name = user["userName"].as_str().unwrap_or_default();
                let member = &event["data"]["member"]["display"];
                self.app.told.push(format!("{kind} {name} {member} {}", user["active"]));
                if kind.starts_with("directory.user.") {
                    self.app.active.insert(name.to_owned(), user["active"] == true);
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

    async fn say(&mut self, hold: &Value, verdict: &str) {
        let id = hold["id"].as_str().expect("an id");
        let path = self.path(&format!("/holds/{id}"));
        let read = self.api().try_send(Method::Get, &path, None).await.expect("an answer");
        let is_tag = |(name, _): &&(String, String)| name.eq_ignore_ascii_case("etag");
        let (_, tag) = read.headers.iter().find(is_tag).expect("a tag");
        let request = Request {
            method: Method::Post,
            path_and_query: format!("{path}/{verdict}"),
            headers: vec![
                ("Authorization".to_owned(), format!("Bearer {}", self.api_key)),
                ("If-Match".to_owned(), tag.clone()),
            ],
            body: Vec::new(),
        };
        let answer = self.send("", &request).await;
        // Where the answer to the first was lost, it is decided already, and not what was looked at.
        let now = self.api().get(&path).await;
        let is_decided = now["state"] != "held";
        let is_lost = answer.status == 412 && self.dice.is_some();
        assert!(is_decided && (answer.status == 200 || is_lost), "{answer:?} {now}");
    }

    /// Half of the company is unassigned by mistake, one after the other.
    async fn is_halved_by_mistake(&mut self) -> Value {
        for number in 0..PEOPLE / 2 {
            self.does(&Action::Unassign(self.people[number])).await;
            if number > 10 {
                self.hear().await;
                assert_eq!(self.app.active(), PEOPLE);
            }
        }
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

    /// Waits until nothing is held any more.
    async fn wait_until_it_is_over(&self) -> Value {
        let path = format!(
            "/api/v1/events?directory_id={}&type=directory.hold.released&wait=60",
            self.directory
        );
        let ended = self.api().get(&path).await;
        ended["data"][0]["data"]["hold"]["outcome"].clone()
    }
}

/// It was a mistake, and Okta is brought back.
async fn rejected(company: &mut Company<'_>) {
    let hold = company.is_halved_by_mistake().await;
    company.say(&hold, "reject").await;
    assert_eq!(company.hear().await, ["directory.hold.rejected"]);
    for number in 0..PEOPLE / 2 {
        company.does(&Action::Assign(company.people[number])).await;
        if number + 1 < PEOPLE / 2 {
            company.hear().await;
        }
        assert_eq!(company.app.active(), PEOPLE);
        assert_eq!(company.active_in_a_snapshot().await, PEOPLE);
    }
    // The server sees by itself that everybody is back.
    company.kill_at_random().await;
    assert_eq!(company.wait_until_it_is_over().await, "brought_back");
    let heard = company.hear().await;
    assert!(!heard.iter().any(|kind| kind.ends_with("activated")), "{heard:?}");
    assert_eq!(company.app.active(), PEOPLE);
    let took_away: Vec<_> =
        company.app.told.iter().filter(|it| it.contains("deactivated")).collect();
    assert_eq!(took_away.len(), 10, "those of before it was known for one: {took_away:?}");
}

/// They were meant to leave.
async fn approved(company: &mut Company<'_>) {
    let hold = company.is_halved_by_mistake().await;
    company.say(&hold, "approve").await;
    company.kill_at_random().await;
    assert_eq!(company.wait_until_it_is_over().await, "approved");
    leave_in_order(company, "directory.hold.approved").await;
}

/// Nobody says anything for a day.
async fn timed_out(company: &mut Company<'_>) {
    company.is_halved_by_mistake().await;
    company.ahead += DAY;
    company.kill();
    company.kill_at_random().await;
    assert_eq!(company.wait_until_it_is_over().await, "time_up");
    leave_in_order(company, "directory.hold.expired").await;
}

async fn leave_in_order(company: &mut Company<'_>, after: &str) {
    let heard = company.hear().await;
    let mut expected = vec![after];
    expected.extend(["directory.user.deactivated"; PEOPLE / 2]);
    expected.push("directory.hold.released");
    assert_eq!(heard, expected);
    assert_eq!(company.app.active(), PEOPLE / 2);
    assert_eq!(company.active_in_a_snapshot().await, PEOPLE / 2);
    company.does(&Action::Unassign(company.people[PEOPLE - 1])).await;
    assert_eq!(company.hear().await, ["directory.user.deactivated"]);
}

/// Plays a story once as it is, and then with deaths: the app is told the same.
#[expect(clippy::print_stdout, reason = "whoever waits wants to see how far it is")]
#[expect(clippy::disallowed_methods, reason = "how many there are is said from outside")]
async fn play(preset: Preset, story: impl AsyncFn(&mut Company<'_>)) {
    let number = |name: &str| -> u64 {
        std::env::var(name).map_or(1, |number| number.parse().expect("it is a number"))
    };
    let (first, stories) = (number("ROSTER_SEED"), number("ROSTER_STORIES"));
    let home = Home::new();
    let mut company = Company::found(&home, preset, None).await;
    story(&mut company).await;
    let expected = company.app.told;
    drop(company.server);
    for seed in first..first + stories {
        let home = Home::new();
        let mut company = Company::found(&home, preset, Some(seed)).await;
        story(&mut company).await;
        assert!(company.deaths > 12, "{}", company.deaths);
        assert_eq!(company.app.told, expected, "seed {seed}, {} deaths", company.deaths);
        let (deaths, told) = (company.deaths, expected.len());
        println!("seed {seed}: {deaths} deaths, and {told} events as without");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_of_a_company_taken_out_by_mistake_and_brought_back_never_lost_access() {
    play(Preset::Template2026, rejected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_okta_takes_people_out_and_brings_them_back_and_nobody_lost_access() {
    play(Preset::AiwReassign, rejected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_of_a_company_that_was_meant_to_leave_leaves_in_order() {
    play(Preset::Template2026, approved).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_of_a_company_about_which_nobody_decides_leaves_after_a_day() {
    play(Preset::Template2026, timed_out).await;
}
