//! Nothing is brought to what is inside, however its address is written and whatever name servers
//! say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use courier::{Message, Names, Patience, Post, Poster};
use directory::webhook::Networks;
use jiff::Timestamp;
use tokio::net::TcpListener;

use crate::scene::{Manner, Receiver, Told, networks};

/// The same that addresses of endpoints are checked with when they are given.
const URLS: &str = include_str!("../../../directory/src/webhook/urls.txt");

fn message(url: &str) -> Message {
    Message {
        url: url.to_owned(),
        id: "evt-1".to_owned(),
        timestamp: 1,
        signature: "v1,".to_owned(),
        body: "{}".to_owned(),
    }
}

fn told(names: impl Fn(&str) -> Vec<IpAddr> + Send + Sync + 'static) -> Arc<dyn Names> {
    Arc::new(Told(names))
}

/// Counts who comes to an address of this machine.
async fn count_knocks(address: &str) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(address).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let knocks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&knocks);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (port, knocks)
}

/// Also where nobody has looked at the address before: it is looked at when it is used.
///
/// Proves S-HOOK-10.
#[tokio::test]
async fn no_spelling_of_an_address_leads_inside() {
    let (port, knocks) = count_knocks("127.0.0.1:0").await;
    let (_, more_knocks) = count_knocks(&format!("[::1]:{port}")).await;
    // Whatever the name, it leads to this machine.
    let names = told(|_| {
        let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
        vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into(), mapped.into()]
    });
    let poster = Poster::new(Networks::default(), &names, Patience::default()).unwrap();
    let (mut refused, mut count) = (0, 0);
    for line in URLS.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (verdict, text) = line.split_once(' ').unwrap();
        let Ok(mut url) = reqwest::Url::parse(text) else { continue };
        // At the port where somebody would notice.
        let _ = url.set_port(Some(port));
        let is_outside = url.host_str().is_some_and(|host| {
            let host = host.trim_matches(['[', ']']);
            host.parse::<IpAddr>().is_ok_and(directory::webhook::is_public)
        });
        if is_outside {
            continue;
        }
        count += 1;
        let answer = poster.post(message(url.as_str()), Timestamp::UNIX_EPOCH).await;
        assert_eq!(answer.status, None, "{verdict} {text}");
        let error = answer.error.expect("it says why");
        let is_refusal =
            ["not of the internet", "not one of the internet", "not `https`", "user name"]
                .iter()
                .any(|it| error.contains(it));
        assert!(is_refusal, "{verdict} {text}: {error}");
        refused += usize::from(is_refusal);
    }
    assert!(count >= 200 && refused == count, "{refused} of {count}");
    assert_eq!(knocks.load(Ordering::SeqCst) + more_knocks.load(Ordering::SeqCst), 0);
}

/// A name server that changes its mind between one look and the next gains nothing: what was looked
/// at is what is connected to.
#[tokio::test]
async fn a_name_that_changes_its_mind_leads_nowhere_else() {
    let (port, knocks) = count_knocks("127.0.0.1:0").await;
    let listener = TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    let reached = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reached);
    tokio::spawn(async move {
        // It closes at once, so that each message needs a connection, and each connection a look.
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    // 127.0.0.2 stands for an address that is allowed; 127.0.0.1 is inside.
    let looks = AtomicUsize::new(0);
    let names = told(move |_| {
        let turn = looks.fetch_add(1, Ordering::SeqCst);
        match turn % 3 {
            0 => vec![Ipv4Addr::new(127, 0, 0, 2).into()],
            1 => vec![Ipv4Addr::LOCALHOST.into()],
            // Both: of these, only the one is tried.
            _ => vec![Ipv4Addr::LOCALHOST.into(), Ipv4Addr::new(127, 0, 0, 2).into()],
        }
    });
    let allowed = networks(&["127.0.0.2"]);
    let poster = Poster::new(allowed, &names, Patience::default()).unwrap();
    for _ in 0..30 {
        let url = format!("http://rebind.example:{port}/");
        let answer = poster.post(message(&url), Timestamp::UNIX_EPOCH).await;
        assert_eq!(answer.status, None);
    }
    assert_eq!(knocks.load(Ordering::SeqCst), 0);
    assert!(reached.load(Ordering::SeqCst) >= 20);
}

/// Without encryption only where the operator allows it, and a name that leads elsewhere is refused.
#[tokio::test]
async fn plain_http_stays_where_it_is_allowed() {
    let receiver = Receiver::start(Manner::Healthy).await;
    let names = told(|name| match name {
        "app.internal" => vec![Ipv4Addr::LOCALHOST.into()],
        _ => vec![Ipv4Addr::new(192, 0, 2, 1).into(), Ipv4Addr::new(8, 8, 8, 8).into()],
    });
    let allowed = networks(&["127.0.0.0/8"]);
    let poster = Poster::new(allowed, &names, Patience::default()).unwrap();
    let post = async |url: &str| poster.post(message(url), Timestamp::UNIX_EPOCH).await;
    assert_eq!(post(&receiver.url).await.status, Some(200));
    let named = receiver.url.replace("127.0.0.1", "app.internal");
    assert_eq!(post(&named).await.status, Some(200));
    for url in ["http://app.example/", "http://8.8.8.8/", "ftp://127.0.0.1/"] {
        let answer = post(url).await;
        assert!(answer.status.is_none() && answer.error.is_some(), "{url}");
    }
}
