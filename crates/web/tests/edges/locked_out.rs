//! The way into the dashboard that is left when there is no other, and what ends with it.

use directory::MemberRole;
use serde_json::{Value, json};
use web::Limits;

use crate::dashboard::{Member, PASSWORD, Scene, element, noted};
use crate::portal::shown;
use crate::server::Server;

fn scene(name: &str) -> Scene {
    Scene::of(Server::start(name, Limits { guesses: None, rate: None, ..Limits::default() }))
}

/// Lets somebody in again from where the server runs: where the link leads.
fn reset(scene: &Scene, email: &str) -> Option<String> {
    scene.beside(async |store, secret| {
        store.reset_member(email, secret).await.expect("it is kept").is_some()
    })
}

fn sign_in(scene: &Scene, email: &str, password: &str, key: &str) -> u16 {
    let code = scene.code(key);
    let fields = [("email", email), ("password", password), ("code", &code)];
    scene.post("/dashboard/sign-in", &fields).status
}

#[test]
fn an_owner_who_is_locked_out_is_let_in_again_from_the_server() {
    let scene = scene("locked-out-owner");
    let ana = scene.first();
    let bo = ana.invite(&scene, "bo@vendor.example", "support");
    assert_eq!(reset(&scene, "nobody@vendor.example"), None);
    let link = reset(&scene, " ANA@vendor.example").expect("she is there");
    // What she signed in with is good for nothing, wherever it is; others stay.
    assert!(!ana.is_in(&scene) && bo.is_in(&scene));
    scene.pass(60);
    for password in [PASSWORD, ""] {
        assert_eq!(sign_in(&scene, "ana@vendor.example", password, &ana.key), 403);
    }
    // Nobody else becomes the first member meanwhile.
    assert_eq!(scene.invite_first(), None);
    let (status, page) = shown(&scene.get(&link));
    assert_eq!(status, 200, "{page}");
    for what in ["value=\"Ana\"", "value=\"ana@vendor.example\"", "Owner"] {
        assert!(page.contains(what), "{what} in {page}");
    }
    let again = Member::join(&scene, &link, "Ana", "ana@vendor.example");
    assert_ne!(again.key, ana.key);
    assert_eq!(shown(&again.post(&scene, "/dashboard/members", &[])).0, 422, "she is an owner");
    assert_eq!(shown(&scene.get(&link)).0, 404, "it is good once");
    scene.pass(30);
    assert_eq!(sign_in(&scene, "ana@vendor.example", PASSWORD, &again.key), 303);
    let entries = noted(&scene, "member.reset");
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(entries[0]["actor"]["type"], "operator");
    assert_eq!(entries[0]["after"], json!({ "role": "owner" }));

    // A link that nobody follows ends by itself.
    let link = reset(&scene, "bo@vendor.example").expect("he is there");
    scene.pass(7 * 24 * 60 * 60);
    assert_eq!(shown(&scene.get(&link)).0, 404);
}

#[test]
fn somebody_is_invited_from_the_server() {
    let scene = scene("locked-out-invited");
    let invite = |email: &str| {
        scene.beside(async |store, secret| {
            store.invite_member(email.to_owned(), MemberRole::Owner, secret).await.is_ok()
        })
    };
    let first = invite("bo@vendor.example").expect("there is room");
    assert_eq!(invite("BO@vendor.example"), None, "the address is taken");
    // A start of the server leaves it good, as long as nobody has joined too.
    assert!(scene.invite_first().is_some());
    assert_eq!(shown(&scene.get(&first)).0, 200);
    // A link that was lost is exchanged for another.
    let second = reset(&scene, "bo@vendor.example").expect("he is invited");
    assert_eq!(shown(&scene.get(&first)).0, 404);
    let bo = Member::join(&scene, &second, "Bo", "");
    let (_, page) = shown(&bo.get(&scene, "/dashboard/account"));
    assert!(page.contains("bo@vendor.example") && page.contains("Owner"), "{page}");
    let by = |entry: &Value| entry["actor"]["type"].as_str().unwrap_or_default().to_owned();
    let invited: Vec<_> = noted(&scene, "member.invited").iter().map(by).collect();
    assert_eq!(invited, ["operator", "operator"]);
}

#[test]
fn an_invitation_lets_one_in_however_many_hurry() {
    let scene = scene("locked-out-race");
    let ana = scene.first();
    let reply = ana.post(
        &scene,
        "/dashboard/members",
        &[("email", "bo@vendor.example"), ("role", "support")],
    );
    let (_, page) = shown(&reply);
    let link = element(&page, "invitation");
    let path = link.strip_prefix("https://roster.example").expect("its address");
    let bodies: Vec<_> = (0..4)
        .map(|number| {
            let key = element(&shown(&scene.get(path)).1, "key").to_owned();
            let code = scene.code(&key);
            let name = format!("Bo+{number}");
            format!("name={name}&password=correct+horse+battery&key={key}&code={code}")
        })
        .collect();
    let address = scene.server.address;
    let statuses = std::thread::scope(|scope| {
        let one = |body: &String| {
            let request = format!(
                "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nSec-Fetch-Site: same-origin\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            scope.spawn(move || {
                use std::io::{Read as _, Write as _};
                let mut stream = std::net::TcpStream::connect(address).expect("it listens");
                stream.write_all(request.as_bytes()).expect("it reads");
                let mut answer = String::new();
                stream.read_to_string(&mut answer).expect("it answers");
                answer.split(' ').nth(1).unwrap_or_default().to_owned()
            })
        };
        let hurrying: Vec<_> = bodies.iter().map(one).collect();
        let mut statuses: Vec<_> =
            hurrying.into_iter().map(|it| it.join().expect("it ends")).collect();
        statuses.sort();
        statuses
    });
    assert_eq!(statuses, ["303", "404", "404", "404"]);
    assert_eq!(noted(&scene, "member.joined").len(), 2);
}
