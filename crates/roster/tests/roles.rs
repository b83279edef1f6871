//! Killed while everybody's roles are looked at, again and again: in the end everybody has the roles that
//! follow from what was said last, and was told of once.
//!
//! `ROSTER_KILLS` asks for more kills, and has more people looked at.

mod server;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use server::{Caller, Server, create_directory};
use simulator::Method;

/// So many for each kill that looking at them takes longer than all kills.
const PEOPLE: usize = 1_200;
/// People of one bulk request.
const AT_ONCE: usize = 1_000;
/// How often the server is killed.
const KILLS: usize = 5;

/// What the provider says of somebody, and what follows.
const TYPES: [(&str, &str); 3] = [("Admin", "admin"), ("Editor", "editor"), ("Other", "viewer")];

#[expect(clippy::disallowed_methods, reason = "how many there are is said from outside")]
#[expect(clippy::print_stdout, reason = "whoever waits wants to see how far it is")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_while_everybody_is_looked_at_change_nothing_in_the_end() {
    let kills = std::env::var("ROSTER_KILLS")
        .map_or(KILLS, |number| number.parse().expect("it is a number"));
    let people = (kills * PEOPLE).next_multiple_of(AT_ONCE);
    let folder = tempfile::tempdir().expect("a folder");
    let created = create_directory(folder.path(), &["--organization", "Acme", "--name", "Okta"]);
    let text = |name: &str| created[name].as_str().expect("it is said").to_owned();
    let (directory, token) = (text("directory_id"), text("token"));
    let start = || Server::start(folder.path(), &["--requests-per-second", "0"]);
    let mut server = start();
    let key = server.api_key();
    let mut api = Caller::new(&server.url, &key);
    let mut scim = Caller::new(&format!("{}/scim/v2", server.url), &token);
    for first in (0..people).step_by(AT_ONCE) {
        create_people(&mut scim, first..first + AT_ONCE).await;
    }
    for (rank, (_, role)) in (1..).zip(TYPES) {
        let body = json!({ "name": role, "rank": rank });
        put(&mut api, &format!("/api/v1/roles/{role}"), &body).await;
    }
    let mapping = format!("/api/v1/directories/{directory}/role-mapping");
    let rule = |(user_type, role): (&str, &str)| json!({ "filter": format!("userType eq \"{user_type}\""), "role": role });
    let rules = [rule(TYPES[0]), rule(TYPES[1])];
    put(&mut api, &mapping, &json!({ "rules": rules })).await;

    let mut told = Told::default();
    let mut done = 0;
    let mut is_said_anew = false;
    for kill in 1..=kills {
        // Somebody's roles are others: it is in the middle.
        told.wait_for_more(&mut api, &directory).await;
        drop(server);
        server = start();
        api = Caller::new(&server.url, &key);
        let setting = api.get(&mapping).await;
        let so_far = setting["progress"]["done"].as_u64().expect("it is not over");
        // Once it begins anew.
        let begins = std::mem::take(&mut is_said_anew) && so_far < done;
        assert!(so_far >= done || begins, "what was done before a kill is done: {setting}");
        is_said_anew |= setting["progress"]["repeats"] == true;
        done = so_far;
        println!("{kill} kills, {done} of {people} people");
        if kill == kills / 2 {
            // And everybody is to be looked at once more.
            let body = json!({ "rules": rules, "default_role": TYPES[2].1 });
            let said = put(&mut api, &mapping, &body).await;
            assert_eq!(said["progress"]["repeats"], true, "{said}");
            is_said_anew = true;
        }
    }
    while told.roles.len() < people {
        told.wait_for_more(&mut api, &directory).await;
    }
    while !api.get(&mapping).await["progress"].is_null() {}
    told.read_on(&mut api, &directory, 0).await;
    let list = format!("/api/v1/directories/{directory}/users?limit=1000");
    let mut page = api.get(&list).await;
    let mut found = 0;
    loop {
        for user in page["data"].as_array().expect("a list") {
            let says = user["attributes"]["userType"].as_str();
            let (_, role) = TYPES.iter().find(|it| Some(it.0) == says).expect("it is one of these");
            let has: Vec<_> = user["roles"].as_array().expect("a list").iter().collect();
            assert!(matches!(has[..], [it] if it["id"] == *role), "{user}");
            assert_eq!(told.roles[user["id"].as_str().expect("an id")], *role);
            found += 1;
        }
        let Some(next) = page["next"].as_str() else { break };
        page = api.get(&format!("{list}&after={next}")).await;
    }
    assert_eq!((found, told.roles.len()), (people, people));
}

async fn create_people(scim: &mut Caller, numbers: std::ops::Range<usize>) {
    let one = |number: usize| {
        let (user_type, _) = TYPES[number % TYPES.len()];
        let data = json!({ "userName": format!("person-{number}"), "userType": user_type });
        json!({ "method": "POST", "path": "/Users", "bulkId": number.to_string(), "data": data })
    };
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": numbers.map(one).collect::<Vec<_>>(),
    });
    let (status, answer) = scim.send(Method::Post, "/Bulk", Some(&body)).await;
    assert_eq!(status, 200, "{answer}");
}

async fn put(api: &mut Caller, path: &str, body: &Value) -> Value {
    let (status, answer) = api.send(Method::Put, path, Some(body)).await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

/// What the feed has told of roles.
#[derive(Default)]
struct Told {
    /// By the ids of people.
    roles: BTreeMap<String, String>,
    next: Option<String>,
}

impl Told {
    /// Waits until somebody's roles are others.
    async fn wait_for_more(&mut self, api: &mut Caller, directory: &str) {
        let before = self.roles.len();
        while self.roles.len() == before {
            self.read_on(api, directory, 60).await;
        }
    }

    /// Reads what is there, and waits for as many seconds where there is nothing.
    async fn read_on(&mut self, api: &mut Caller, directory: &str, seconds: u64) {
        let after = self.next.as_ref().map(|next| format!("&after={next}")).unwrap_or_default();
        let path = format!(
            "/api/v1/events?directory_id={directory}&type=directory.user.roles_updated&limit=1000\
             &wait={seconds}{after}"
        );
        let page = api.get(&path).await;
        for event in page["data"].as_array().expect("a list") {
            let follows_from = json!({ "type": "directory.role_mapping.updated", "id": directory });
            assert_eq!(event["cause"]["follows_from"], follows_from, "{event}");
            assert_eq!(event["cause"]["by"]["type"], "server", "{event}");
            let changes = &event["data"]["changes"]["roles"];
            assert_eq!(changes["old"], json!([]), "nobody is told of twice: {event}");
            let role = changes["new"][0].as_str().expect("a role").to_owned();
            let user = event["data"]["user"]["id"].as_str().expect("an id").to_owned();
            assert_eq!(self.roles.insert(user, role), None);
        }
        self.next = page["next"].as_str().map(str::to_owned);
    }
}
