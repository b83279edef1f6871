//! Killed while a shadow goes live, and while a person is erased: what was begun is done in the end, and
//! never is a half of it left.
//!
//! `ROSTER_KILLS` asks for more kills, and `ROSTER_SEED` begins with other dice.

#[expect(dead_code, reason = "nothing is picked here")]
mod dice;
mod home;
mod reader;
mod server;

use std::collections::BTreeSet;
use std::time::Duration;

use dice::Dice;
use home::Home;
use reader::{Reader, shown, text};
use serde_json::{Value, json};
use server::{Caller, Server, create_directory};
use simulator::{Client as _, HttpClient, Method, Request};

/// So many for each kill that they are let out in several pieces.
const PEOPLE: usize = 1_000;
/// How often something is said of the person who is erased: events of several steps.
const CHANGES: usize = 2_500;
/// Operations of one bulk request.
const AT_ONCE: usize = 1_000;
/// How often the server is killed.
const KILLS: u64 = 6;
/// Requests of somebody who watches, at most, until the next kill.
const LOOKS: usize = 60;
/// Longer than anybody who was killed keeps a lease, and than anybody has hold of an event, in seconds.
const LATER: u32 = 61;
/// What is in everything that is said of the person who is erased, and in nothing else.
const NAME: &str = "marzipan";

/// A server that is killed at random, and a directory on it.
struct Scene {
    home: Home,
    /// None while it is dead.
    server: Option<Server>,
    ahead: u32,
    api_key: String,
    directory: String,
    token: String,
    dice: Dice,
    kills: u64,
}

impl Scene {
    #[expect(clippy::disallowed_methods, reason = "how many there are is said from outside")]
    fn set(arguments: &[&str]) -> Scene {
        let number = |name: &str, otherwise| {
            std::env::var(name).map_or(otherwise, |it| it.parse().expect("it is a number"))
        };
        let home = Home::new();
        let about = [&["--organization", "Acme", "--name", "Okta"], arguments].concat();
        let created = create_directory(&home, &about);
        let mut scene = Scene {
            home,
            server: None,
            ahead: 0,
            api_key: String::new(),
            directory: text(&created["directory_id"]).to_owned(),
            token: text(&created["token"]).to_owned(),
            dice: Dice(number("ROSTER_SEED", 1)),
            kills: number("ROSTER_KILLS", KILLS),
        };
        scene.start();
        scene.api_key = scene.server.as_ref().expect("it runs").api_key();
        scene
    }

    fn start(&mut self) {
        let ahead = self.ahead.to_string();
        let arguments = ["--requests-per-second", "0", "--clock-ahead", &ahead];
        let more = ["--webhook-allow", "127.0.0.0/8"];
        self.server = Some(Server::start(&self.home, &[&arguments[..], &more].concat()));
    }

    /// Kills it, and starts it again a minute later.
    fn kill(&mut self) {
        self.server = None;
        self.ahead += LATER;
        if let Some(own) = &self.home.own {
            // So it does on the clock of the database, which is that of leases.
            own.run("delete from leases");
        }
        self.start();
    }

    fn url(&self) -> &str {
        &self.server.as_ref().expect("it runs").url
    }

    fn api(&self) -> Caller {
        Caller::new(self.url(), &self.api_key)
    }

    fn scim(&self) -> Caller {
        Caller::new(&format!("{}/scim/v2", self.url()), &self.token)
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/v1/directories/{}{rest}", self.directory)
    }

    /// Asks for something, has the server killed in the middle, and asks again.
    async fn ask_twice(&mut self, path: &str) -> (u16, Value) {
        let (mut api, asked) = (self.api(), path.to_owned());
        let asking = tokio::spawn(async move { api.try_send(Method::Post, &asked, None).await });
        for _ in 0..self.dice.below(3_000) {
            tokio::task::yield_now().await;
        }
        self.kill();
        let _ = asking.await.expect("it ends");
        self.api().send(Method::Post, path, None).await
    }

    async fn bulk(&self, operations: Vec<Value>) {
        for some in operations.chunks(AT_ONCE) {
            let schemas = ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"];
            let body = json!({ "schemas": schemas, "Operations": some });
            let (status, answer) = self.scim().send(Method::Post, "/Bulk", Some(&body)).await;
            assert_eq!(status, 200, "{answer}");
        }
    }

    /// All that is kept, as text, in small letters.
    fn everything(&self) -> String {
        let mut text =
            self.home.own.as_ref().map(claims::OwnDatabase::contents).unwrap_or_default();
        for file in std::fs::read_dir(self.home.path()).expect("it is there") {
            // A file that was for a moment only may be gone.
            let bytes = std::fs::read(file.expect("it is read").path()).unwrap_or_default();
            text.push_str(&String::from_utf8_lossy(&bytes));
        }
        text.to_lowercase()
    }
}

fn create(number: usize) -> Value {
    let data = json!({ "userName": format!("almond-{number}@acme.example"), "active": true });
    json!({ "method": "POST", "path": "/Users", "bulkId": number.to_string(), "data": data })
}

#[expect(clippy::print_stdout, reason = "whoever waits wants to see how far it is")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_goes_live_whole_whoever_kills_the_server() {
    let mut scene = Scene::set(&[]);
    let shadow = scene.path("/shadow");
    let (status, hold) = scene.api().send(Method::Post, &shadow, None).await;
    assert_eq!(status, 201, "{hold}");
    let people = usize::try_from(scene.kills).expect("it is small") * PEOPLE;
    scene.bulk((0..people).map(create).collect()).await;
    let picture = shown(&mut scene.scim()).await;
    let members: Vec<_> = picture.users.keys().map(|id| json!({ "value": id })).collect();
    let group = json!({ "displayName": "Staff", "members": members });
    let (status, answer) = scene.scim().send(Method::Post, "/Groups", Some(&group)).await;
    assert_eq!(status, 201, "{answer}");
    scene.kill();

    let mut app = Reader::default();
    app.read_on(&mut scene.api(), &scene.directory, 1_000).await;
    assert!(app.picture.users.is_empty() && app.picture.groups.is_empty());
    let hold = scene.path(&format!("/holds/{}", text(&hold["id"])));
    let approve = format!("{hold}/approve");
    let mut in_the_middle = 0;
    for kill in 1..=scene.kills {
        let (mut api, asked) = (scene.api(), approve.clone());
        let asking = tokio::spawn(async move { api.try_send(Method::Post, &asked, None).await });
        // Each second one dies as soon as it is seen to have begun, and the others at random.
        let looks = scene.dice.below(LOOKS);
        // The list does not count what waits, and so is told at once.
        let holds = scene.path("/holds");
        let state = async |scene: &Scene| scene.api().get(&holds).await["data"][0]["state"].clone();
        let mut now = state(&scene).await;
        for look in 0.. {
            let has_begun = now != "held";
            if (kill % 2 == 1 && has_begun) || (kill % 2 == 0 && look >= looks) {
                break;
            }
            now = state(&scene).await;
        }
        scene.kill();
        let _ = asking.await.expect("it ends");
        in_the_middle += u64::from(now == "letting_out");
        if kill % 2 == 0 {
            // It goes on where it was: nobody is told of twice, and no number is left out.
            app.read_on(&mut scene.api(), &scene.directory, 1_000).await;
        }
        println!("{kill} kills, {in_the_middle} in the middle, {} events told", app.number);
    }
    let (status, answer) = scene.api().send(Method::Post, &approve, None).await;
    assert_eq!(status, 200, "{answer}");
    let mut now = answer;
    while now["state"] != "ended" {
        now = scene.api().get(&hold).await;
    }
    assert_eq!(now["outcome"], "approved");
    app.read_on(&mut scene.api(), &scene.directory, 1_000).await;
    let shown = shown(&mut scene.scim()).await;
    assert_eq!(shown.users.len(), people);
    assert_eq!(app.picture, shown, "the app knows all of it");
    assert!(in_the_middle > 0, "the kills were never in the middle of it");
    let mut anew = Reader::default();
    anew.read_on(&mut scene.api(), &scene.directory, 1_000).await;
    assert_eq!((anew.number, anew.picture), (app.number, app.picture));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_erased_whole_whoever_kills_the_server() {
    is_erased(false).await;
}

/// Twelve people lose their access at once, and they are one of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_of_whom_something_waits_is_erased_whole_whoever_kills_the_server() {
    is_erased(true).await;
}

#[expect(clippy::print_stdout, reason = "whoever waits wants to see how far it is")]
async fn is_erased(is_held: bool) {
    let mut scene = Scene::set(&[]);
    // What is brought there is never taken.
    let endpoint = json!({ "url": "http://127.0.0.1:9/hook" });
    must(&mut scene.api(), Method::Post, "/api/v1/webhooks", &endpoint).await;
    scene.bulk((0..50).map(create).collect()).await;
    let person = json!({
        "userName": "marzipan@acme.example",
        "externalId": "marzipan-7",
        "name": { "givenName": "Marzipan", "familyName": "Baker" },
    });
    let made = must(&mut scene.scim(), Method::Post, "/Users", &person).await;
    let id = text(&made["id"]).to_owned();
    // The app waits for receipts, looks at domains, and has roles; and one of theirs is made by hand.
    let directory = scene.api().get(&scene.path("")).await;
    let organization = format!("/api/v1/organizations/{}", text(&directory["organization_id"]));
    let safety = json!({
        "receipts": { "overdue_minutes": 1 },
        "domains": { "mode": "warn", "allowed": ["other.example"] },
    });
    must(&mut scene.api(), Method::Patch, &format!("{organization}/safety"), &safety).await;
    let role = json!({ "name": "Baker", "rank": 1 });
    must(&mut scene.api(), Method::Put, "/api/v1/roles/baker", &role).await;
    let mapping =
        json!({ "rules": [{ "filter": "name.familyName eq \"Baker\"", "role": "baker" }] });
    let path = scene.path("/role-mapping");
    must(&mut scene.api(), Method::Put, &path, &mapping).await;
    while !scene.api().get(&path).await["progress"].is_null() {}
    // They are looked for, and made once more.
    let filter = "/Users?filter=userName%20eq%20%22marzipan%40acme.example%22";
    assert_eq!(scene.scim().get(filter).await["totalResults"], 1);
    let (status, answer) = scene.scim().send(Method::Post, "/Users", Some(&person)).await;
    assert_eq!(status, 409, "{answer}");
    let retitled = |round: usize| {
        let value = json!({ "title": format!("Marzipan potato {round}") });
        let data = json!({ "Operations": [{ "op": "replace", "value": value }] });
        json!({ "method": "PATCH", "path": format!("/Users/{id}"), "data": data })
    };
    scene.bulk((0..CHANGES).map(retitled).collect()).await;
    let group = json!({ "displayName": "Bakers", "members": [{ "value": id }] });
    must(&mut scene.scim(), Method::Post, "/Groups", &group).await;
    // Somebody of the customer looks them up in the portal.
    let link = format!("{organization}/portal-links");
    let link = must(&mut scene.api(), Method::Post, &link, &json!({})).await;
    look_up(scene.url(), text(&link["url"]), &scene.directory, &id).await;
    let mut leavers = vec![id.clone()];
    if is_held {
        let others = scene.scim().get("/Users?count=11&filter=userName%20sw%20%22almond%22").await;
        let others = others["Resources"].as_array().expect("a list").iter();
        leavers.extend(others.map(|it| text(&it["id"]).to_owned()));
    }
    let leave = |id: &String| {
        let data = json!({ "Operations": [{ "op": "replace", "value": { "active": false } }] });
        json!({ "method": "PATCH", "path": format!("/Users/{id}"), "data": data })
    };
    scene.bulk(leavers.iter().map(leave).collect()).await;
    let holds = scene.api().get(&scene.path("/holds")).await;
    assert_eq!(holds["data"].as_array().expect("a list").len(), usize::from(is_held), "{holds}");
    if !is_held {
        let receipts = scene.api().get(&scene.path("/receipts")).await;
        assert_eq!(receipts["data"][0]["user_id"], id, "{receipts}");
    }
    scene.kill();
    let kept = scene.everything();
    if scene.home.own.is_some() {
        let tables: BTreeSet<_> = kept
            .lines()
            .filter(|line| line.contains(NAME))
            .filter_map(|line| line.split_once(": ").map(|(table, _)| table))
            .collect();
        println!("before, they are named in {tables:?}");
        let waits = if is_held { "held_resources" } else { "recent_losses" };
        for table in ["events", "request_bodies", "users", "webhook_deliveries", waits] {
            assert!(tables.contains(table), "{table}");
        }
    }
    assert!(kept.contains(NAME) && kept.contains("almond-7"), "it is found while it is kept");

    let erase = scene.path(&format!("/users/{id}/erase"));
    let (status, erasure) = scene.ask_twice(&erase).await;
    assert_eq!(status, 202, "{erasure}");
    let receipt = format!("/api/v1/erasures/{}", text(&erasure["id"]));
    let (mut kill, mut erased) = (0, 0);
    let mut now = scene.api().get(&receipt).await;
    while now["state"] != "done" {
        let looks = if kill < scene.kills { scene.dice.below(LOOKS) } else { 10 * LOOKS };
        for _ in 0..looks {
            now = scene.api().get(&receipt).await;
            if now["state"] == "done" {
                break;
            }
        }
        // Nobody is half there.
        let (status, _) = scene.scim().send(Method::Get, &format!("/Users/{id}"), None).await;
        assert_eq!(status, 404);
        kill += 1;
        assert!(kill < scene.kills + 30, "it goes on: {now}");
        scene.kill();
        now = scene.api().get(&receipt).await;
        let so_far = now["erased"]["events"].as_u64().expect("a number");
        assert!(so_far >= erased, "what was done before a kill is done: {now}");
        erased = so_far;
        println!("{kill} kills, stage {}, {erased} events", now["stage"]);
    }
    // Made, given a role, and changed; then they had left, where that was told, and were deleted.
    println!("{now}");
    assert!(now["erased"]["events"].as_u64() >= Some(CHANGES as u64 + 2), "{now}");
    if is_held {
        // What waits of the others is told, and of them nothing.
        let hold = scene.path("/holds");
        let hold = format!("{hold}/{}", text(&scene.api().get(&hold).await["data"][0]["id"]));
        let read = scene.api().try_send(Method::Get, &hold, None).await.expect("an answer");
        let is_tag = |(name, _): &&(String, String)| name.eq_ignore_ascii_case("etag");
        let (_, tag) = read.headers.iter().find(is_tag).expect("a tag");
        let path = format!("{hold}/approve");
        let (status, answer) = scene.api().meaning(tag).send(Method::Post, &path, None).await;
        assert_eq!(status, 200, "{answer}");
        while scene.api().get(&hold).await["state"] != "ended" {}
    }
    let mut path = format!("/api/v1/events?directory_id={}&limit=1000", scene.directory);
    let (first, mut number) = (path.clone(), 0);
    loop {
        let page = scene.api().get(&path).await;
        for event in page["data"].as_array().expect("a list") {
            number += 1;
            assert_eq!(event["number"], number, "no event is gone: {event}");
        }
        if page["has_more"] == false {
            break;
        }
        path = format!("{first}&after={}", text(&page["next"]));
    }
    // Dead, as it fell.
    scene.server = None;
    let kept = scene.everything();
    assert!(!kept.contains(NAME), "{}", around(&kept, NAME));
    assert!(kept.contains("almond-7"), "others are there");
}

/// Sends what must be taken.
async fn must(to: &mut Caller, method: Method, path: &str, body: &Value) -> Value {
    let (status, answer) = to.send(method, path, Some(body)).await;
    assert!((200..300).contains(&status), "{path}: {status} {answer}");
    answer
}

/// Opens the portal with a link, and looks at a person of a directory there.
async fn look_up(server: &str, link: &str, directory: &str, id: &str) {
    let mut client = HttpClient::new(server, Duration::from_mins(1)).expect("an address");
    let mut send = async |method, path: &str, cookie: &str| {
        let headers = [("Cookie", cookie), ("Sec-Fetch-Site", "same-origin")];
        let request = Request {
            method,
            path_and_query: path.to_owned(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            body: Vec::new(),
        };
        client.send(&request).await.expect("the server answers")
    };
    let opened =
        send(Method::Post, link.strip_prefix(server).expect("it is of this server"), "").await;
    assert_eq!(opened.status, 303);
    let cookie = opened.header("set-cookie").expect("a cookie");
    let cookie = cookie.split(';').next().expect("a name and a value").to_owned();
    let people = format!(
        "{}/directories/{directory}/people",
        opened.header("location").expect("the next page").split('?').next().expect("a path")
    );
    for path in [format!("{people}?q={NAME}"), format!("{people}/{id}")] {
        let page = send(Method::Get, &path, &cookie).await;
        let page = String::from_utf8(page.body).expect("text");
        assert!(page.contains("Marzipan"), "{path}: {page}");
    }
}

/// Where it stands.
fn around<'a>(text: &'a str, word: &str) -> &'a str {
    let Some(at) = text.find(word) else { return "" };
    let (begin, end) = (at.saturating_sub(300), (at + 300).min(text.len()));
    &text[text.ceil_char_boundary(begin)..text.floor_char_boundary(end)]
}
