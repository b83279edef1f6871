//! Whoever leaves is known to the app within a second, whichever way it listens: by a webhook, by a
//! long poll, or on a stream.
//!
//! The server looks for new events ten times a second for those who wait, and five times for webhooks,
//! so a second is several times as long as it takes. The bound holds of the middle one of several
//! leavers: on a machine that is busy with other tests, any one may be held up.

mod lines;
mod server;

use std::convert::Infallible;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use lines::Lines;
use serde_json::{Value, json};
use server::{Caller, Server, create_directory};
use simulator::Method;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const LEAVERS: usize = 5;
const WITHIN: Duration = Duration::from_secs(1);
/// Within which it is known at all.
const PATIENCE: Duration = Duration::from_mins(1);
const WHAT: &str = "type=directory.user.deactivated";

/// An app that takes webhooks, on any free port: its URL, and what arrives.
async fn app() -> (String, mpsc::UnboundedReceiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (arrived, arriving) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let arrived = arrived.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let arrived = arrived.clone();
                async move {
                    let body = request.into_body().collect().await.expect("a body").to_bytes();
                    // The test may be over.
                    let _ = arrived.send(serde_json::from_slice(&body).expect("JSON"));
                    Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (url, arriving)
}

/// Waits for something that has to come, and says how long that took.
async fn timed<T>(begun: Instant, coming: impl Future<Output = T>) -> (Duration, T) {
    let come = tokio::time::timeout(PATIENCE, coming).await.expect("it comes");
    (begun.elapsed(), come)
}

fn who(event: &Value) -> &str {
    event["data"]["user"]["id"].as_str().expect("it is of a user")
}

#[expect(clippy::print_stdout, reason = "whoever waits wants to see how long it takes")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leaver_is_known_within_a_second() {
    let folder = tempfile::tempdir().expect("a folder");
    let created = create_directory(folder.path(), &["--organization", "Acme", "--name", "Okta"]);
    let token = created["token"].as_str().expect("a token");
    let server = Server::start(folder.path(), &["--webhook-allow", "127.0.0.0/8"]);
    let key = server.api_key();
    let mut api = Caller::new(&server.url, &key);
    let mut scim = Caller::new(&format!("{}/scim/v2", server.url), token);
    let (url, mut webhooks) = app().await;
    let new = json!({ "url": url, "event_types": ["directory.user.deactivated"] });
    let (status, made) = api.send(Method::Post, "/api/v1/webhooks", Some(&new)).await;
    assert_eq!(status, 201, "{made}");
    let path = format!("/api/v1/events/stream?{WHAT}&after=end");
    let mut stream = Lines::get(&server.url, &path, &key).await.expect("the server answers");
    assert_eq!(stream.status, 200);
    // It says something at once, so it is known that it listens.
    let line = stream.next().await.expect("it is open").expect("a line");
    assert_eq!(line, ": nothing new");

    let mut waits = [const { Vec::new() }; 3];
    for leaver in 0..LEAVERS {
        let body = json!({ "userName": format!("leaver-{leaver}"), "active": true });
        let (_, user) = scim.send(Method::Post, "/Users", Some(&body)).await;
        let id = user["id"].as_str().expect("an id").to_owned();
        let end = api.get(&format!("/api/v1/events?{WHAT}&after=end")).await;
        let next = end["next"].as_str().expect("a cursor");
        let path = format!("/api/v1/events?{WHAT}&wait=60&after={next}");
        let mut waiting = api.clone();
        let polled = tokio::spawn(async move { waiting.get(&path).await });

        let begun = Instant::now();
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{ "op": "replace", "value": { "active": false } }],
        });
        let path = format!("/Users/{id}");
        let leaving = async {
            let (status, answer) = scim.send(Method::Patch, &path, Some(&body)).await;
            assert_eq!(status, 200, "{answer}");
        };
        let streamed = async {
            loop {
                let line = stream.next().await.expect("it is open").expect("it has no end");
                if let Some(event) = line.strip_prefix("data: ") {
                    return serde_json::from_str::<Value>(event).expect("JSON");
                }
            }
        };
        let ((), hooked, polled, streamed) = tokio::join!(
            leaving,
            timed(begun, webhooks.recv()),
            timed(begun, polled),
            timed(begun, streamed),
        );
        let page = polled.1.expect("it did not panic");
        let events = [hooked.1.expect("an event"), page["data"][0].clone(), streamed.1];
        for ((event, wait), waits) in
            events.iter().zip([hooked.0, polled.0, streamed.0]).zip(&mut waits)
        {
            assert_eq!((who(event), &event["type"]), (&*id, &json!("directory.user.deactivated")));
            assert_eq!(event["cause"], events[0]["cause"]);
            assert_eq!(event["cause"]["by"]["type"], "token");
            waits.push(wait);
        }
    }
    for (way, mut waits) in ["a webhook", "a long poll", "a stream"].into_iter().zip(waits) {
        waits.sort();
        println!("by {way}: {waits:?}");
        assert!(waits[LEAVERS / 2] < WITHIN, "by {way}: {waits:?}");
    }
}

/// A server that is to stop waits for nobody who waits.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_is_let_go_when_the_server_stops() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(folder.path(), &[]);
    let key = server.api_key();
    let path = "/api/v1/events/stream?after=end";
    let mut stream = Lines::get(&server.url, path, &key).await.expect("the server answers");
    stream.next().await.expect("it is open").expect("a line");
    let mut api = Caller::new(&server.url, &key);
    let new = json!({ "name": "reader", "scopes": ["events:read"] });
    let (status, made) = api.send(Method::Post, "/api/v1/api-keys", Some(&new)).await;
    assert_eq!(status, 201, "{made}");
    let mut waiting = Caller::new(&server.url, made["api_key"].as_str().expect("a key"));
    let polled = tokio::spawn(async move { waiting.get("/api/v1/events?wait=60&after=end").await });
    // When its key was used, its request was begun.
    loop {
        let keys = api.get("/api/v1/api-keys").await;
        let mut keys = keys["data"].as_array().expect("a list").iter();
        let reader = keys.find(|key| key["id"] == made["id"]).expect("it is there");
        if !reader["last_used_at"].is_null() {
            break;
        }
    }
    let begun = Instant::now();
    // The shell's own `kill`: small systems have no program of that name.
    let kill = format!("kill -TERM {}", server.process.id());
    let kill = std::process::Command::new("sh").args(["-c", &kill]).status();
    assert!(kill.expect("there is a shell").success());
    // The stream ends as it should, which says that nothing is missing.
    while stream.next().await.expect("it does not break off").is_some() {}
    let ended = tokio::task::block_in_place(|| server.process.wait().expect("it ends"));
    assert!(ended.success(), "{ended}");
    // It would have waited for a minute, and the server for 20 seconds.
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let page = polled.await.expect("it was answered");
    assert_eq!(page["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_left_behind_by_a_provider_loses_access_by_themselves() {
    let folder = tempfile::tempdir().expect("a folder");
    let created = create_directory(folder.path(), &["--organization", "Acme", "--name", "Okta"]);
    let token = created["token"].as_str().expect("a token");
    let server = Server::start(folder.path(), &[]);
    let mut api = Caller::new(&server.url, &server.api_key());
    let mut scim = Caller::new(&format!("{}/scim/v2", server.url), token);
    // More than one step takes.
    for number in 0..150 {
        let body = json!({ "userName": format!("person-{number}"), "active": true });
        let (status, answer) = scim.send(Method::Post, "/Users", Some(&body)).await;
        assert_eq!(status, 201, "{answer}");
    }
    let all = api.get("/api/v1/directories").await;
    let id = all["data"][0]["id"].as_str().expect("an id");
    let path = format!("/api/v1/directories/{id}");
    let disconnect = Some(json!({ "people": "deactivate" }));
    let (status, answer) =
        api.send(Method::Post, &format!("{path}/disconnect"), disconnect.as_ref()).await;
    assert_eq!(status, 200, "{answer}");
    let ended = async {
        loop {
            let now = api.get(&path).await;
            if now["disconnected"]["deactivating"] == false {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let ended = tokio::time::timeout(PATIENCE, ended).await.expect("it ends");
    assert_eq!((&ended["active_user_count"], &ended["user_count"]), (&json!(0), &json!(150)));
    let path = format!("/api/v1/events?{WHAT}&limit=1000");
    let told = api.get(&path).await;
    assert_eq!(told["data"].as_array().map(Vec::len), Some(150));
}
