//! The request log: what is handed in is kept or counted, found by every filter, and let go in time.

#[expect(dead_code, reason = "nothing is handed in together here")]
mod engine;

use std::path::Path;

use directory::client::SIGHTINGS;
use directory::requests::{PersonalData, Policy, Presented, subject};
use directory::{By, DirectoryId, Ids, Limits, RequestId, Settings, TokenId};
use engine::{Database, directory, on_every_engine};
use jiff::{SignedDuration, Timestamp};
use scim::dialect::Quirks;
use store::{Captured, CapturedBody, Class, RequestFilter, RequestRecord, Store};

const KEPT: Policy = Policy { bodies: true, personal_data: PersonalData::Kept };

/// What was sent: its name, directory, method, path and status, and when.
type Sent<'a> = (String, DirectoryId, &'a str, &'a str, u16, Timestamp);

/// Whether it is meant.
type Meant<'a> = Box<dyn Fn(&Sent<'_>) -> bool + 'a>;

/// A request that a provider sent just now.
fn captured(ids: &dyn Ids, of: DirectoryId, at: Timestamp, what: (&str, &str, u16)) -> Captured {
    let (method, path, status) = what;
    Captured {
        request_id: RequestId::new(ids),
        directory_id: of,
        at,
        answered_at: at,
        method: method.to_owned(),
        path: format!("/scim/v2/{of}{path}"),
        query: None,
        status,
        client_address: None,
        user_agent: Some("Okta SCIM Client 1.0.0".to_owned()),
        content_type: None,
        presented: Presented::Bearer,
        by: Some(By::Token(TokenId::new(ids))),
        rerun_of: None,
        tried: "do something",
        is_unknown_path: false,
        quirks: Quirks::new(),
        unknown_members: Vec::new(),
        location: None,
        request: None,
        answer: None,
        policy: Some(KEPT),
    }
}

/// All pages of what is meant.
async fn all(store: &Store, filter: RequestFilter, page: u64) -> Vec<RequestRecord> {
    let mut found = Vec::new();
    let mut before = None;
    loop {
        let filter = RequestFilter { before, ..filter.clone() };
        let read = store.api().requests(filter, page).await.unwrap();
        assert!(read.requests.len() as u64 <= page);
        found.extend(read.requests);
        match read.next {
            Some(next) => before = Some(next),
            None => return found,
        }
    }
}

fn names(found: &[RequestRecord]) -> Vec<&str> {
    found.iter().map(|it| it.request_id.as_str()).collect()
}

#[test]
fn a_full_queue_leaves_a_gap_that_says_how_many_are_missing() {
    on_every_engine(async |database| {
        const SENT: u64 = 40_000;

        let store = database.open(Limits::default()).unwrap();
        let of = directory(&store, Settings::default()).await.id();
        let access = store.access();
        let now = access.now();
        for number in 0..SENT {
            let what =
                if number % 100 == 0 { ("PATCH", "/Users/7", 409) } else { ("GET", "/Users", 200) };
            access.note_request(captured(&*database.ids, of, now, what));
        }
        let found = all(&store, RequestFilter::default(), 1_000).await;
        let lost: u64 = found.iter().filter_map(|it| it.entry.lost).map(|it| it.count).sum();
        let kept = found.iter().filter(|it| it.entry.lost.is_none()).count() as u64;
        assert!(lost > 0, "so many at once are too many");
        assert_eq!(kept + lost, SENT, "each is kept, or counted as missing");
        // Who reads is left out before who changes something.
        let refused = found.iter().filter(|it| it.status == 409).count() as u64;
        assert_eq!(refused, SENT / 100);
        // Whatever is asked for, it is said that there may be more of it.
        for filter in [
            RequestFilter { status: Some((500, 599)), ..RequestFilter::default() },
            RequestFilter { method: Some("DELETE".to_owned()), ..RequestFilter::default() },
            RequestFilter {
                subjects: Some(vec![subject(false, "nobody")]),
                directory_id: Some(of),
                ..RequestFilter::default()
            },
        ] {
            let found = all(&store, filter, 1_000).await;
            let missing: u64 = found.iter().filter_map(|it| it.entry.lost).map(|it| it.count).sum();
            assert_eq!(missing, lost);
        }
        store.close().await;
    });
}

#[test]
fn what_was_handed_in_is_kept_when_the_server_stops() {
    on_every_engine(async |database| {
        let store = database.open(Limits::default()).unwrap();
        let of = directory(&store, Settings::default()).await.id();
        let access = store.access();
        let now = access.now();
        let mut sent = captured(&*database.ids, of, now, ("POST", "/Users", 201));
        sent.request = Some(CapturedBody::of(br#"{"userName":"ana","password":"s3cret"}"#, 100));
        sent.answer = Some(CapturedBody::of(br#"{"id":"7"}"#, 4));
        let id = sent.request_id;
        access.note_request(sent);
        store.close().await;

        let store = database.open(Limits::default()).unwrap();
        let whole = store.api().request(id).await.unwrap().unwrap();
        assert_eq!(whole.request_body.as_deref(), Some(r#"{"userName":"ana","password":"…"}"#));
        let answer = whole.record.entry.answer_body.unwrap();
        assert_eq!(
            (answer.bytes, answer.is_whole),
            (10, false),
            "its beginning, and how long it was"
        );
        assert!(whole.answer_body.is_some_and(|it| it.len() <= 4));
        // Who it was is kept too.
        let known = store.api().speaker(of).await.unwrap();
        assert!(known.sightings.contains_key(SIGHTINGS[1]), "a person was seen");
        store.close().await;
    });
}

#[test]
fn every_filter_finds_what_it_means_and_pages_leave_nobody_out() {
    on_every_engine(async |database| {
        let store = database.open(Limits::default()).unwrap();
        let (one, other) = (
            directory(&store, Settings::default()).await,
            directory(&store, Settings::default()).await,
        );
        let access = store.access();
        let mut sent = Vec::new();
        for number in 0..300_u64 {
            let of = if number % 3 == 0 { other.id() } else { one.id() };
            let method = ["GET", "PATCH", "PUT"][(number % 7 % 3) as usize];
            let path = ["/Users/7", "/Users/8", "/Groups/7"][(number % 5 % 3) as usize];
            let status = [200, 404, 409][(number % 11 % 3) as usize];
            let at = access.now();
            let request = captured(&*database.ids, of, at, (method, path, status));
            sent.push((request.request_id.to_string(), of, method, path, status, at));
            access.note_request(request);
            if number % 10 == 0 {
                database.clock.move_by_microseconds(1);
            }
        }
        sent.reverse();
        let since = sent[150].5;
        let subjects = |is_group, name| Some(vec![subject(is_group, name)]);
        let filter = RequestFilter::default;
        let of = |id| RequestFilter { directory_id: Some(id), ..filter() };
        let cases: Vec<(RequestFilter, Meant<'_>)> = vec![
            (filter(), Box::new(|_| true)),
            (of(one.id()), Box::new(|it| it.1 == one.id())),
            (
                RequestFilter { organization_id: Some(other.organization_id()), ..filter() },
                Box::new(|it| it.1 == other.id()),
            ),
            (
                RequestFilter { method: Some("PATCH".to_owned()), ..of(one.id()) },
                Box::new(|it| it.1 == one.id() && it.2 == "PATCH"),
            ),
            (RequestFilter { status: Some((400, 499)), ..filter() }, Box::new(|it| it.4 >= 400)),
            (
                RequestFilter {
                    status: Some((409, 409)),
                    method: Some("PUT".to_owned()),
                    ..filter()
                },
                Box::new(|it| it.4 == 409 && it.2 == "PUT"),
            ),
            (
                RequestFilter { subjects: subjects(false, "7"), ..filter() },
                Box::new(|it| it.3 == "/Users/7"),
            ),
            (
                RequestFilter {
                    subjects: subjects(true, "7"),
                    status: Some((200, 200)),
                    ..of(one.id())
                },
                Box::new(|it| it.3 == "/Groups/7" && it.4 == 200 && it.1 == one.id()),
            ),
            (RequestFilter { since: Some(since), ..filter() }, Box::new(move |it| it.5 >= since)),
            (
                RequestFilter { until: Some(since), ..of(other.id()) },
                Box::new(|it| it.5 < since && it.1 == other.id()),
            ),
        ];
        for (filter, is_meant) in cases {
            let expected: Vec<_> =
                sent.iter().filter(|it| is_meant(it)).map(|it| it.0.as_str()).collect();
            assert!(!expected.is_empty());
            for page in [7, 1_000] {
                let found = all(&store, filter.clone(), page).await;
                assert_eq!(names(&found), expected, "{filter:?} by {page}");
            }
        }
        store.close().await;
    });
}

#[test]
fn old_requests_and_their_bodies_are_let_go() {
    on_every_engine(async |database| {
        let store = database.open(Limits::default()).unwrap();
        let of = directory(&store, Settings::default()).await.id();
        let access = store.access();
        let mut sent = Vec::new();
        for _ in 0..3 {
            let mut request =
                captured(&*database.ids, of, access.now(), ("PATCH", "/Users/7", 200));
            request.request = Some(CapturedBody::of(b"{}", 100));
            sent.push((request.request_id, request.at));
            access.note_request(request);
            database.clock.move_by_microseconds(1_000_000);
        }
        let forget = async |class, before| {
            let mut gone = 0;
            loop {
                match store.forget(class, "node", before).await.unwrap() {
                    0 => return gone,
                    some => gone += some,
                }
            }
        };
        assert_eq!(all(&store, RequestFilter::default(), 10).await.len(), 3);
        // One without its body, and one gone.
        assert_eq!(forget(Class::Bodies, sent[2].1).await, 2);
        assert_eq!(forget(Class::Requests, sent[1].1).await, 1);
        let found = all(&store, RequestFilter::default(), 10).await;
        assert_eq!(names(&found), [sent[2].0.to_string(), sent[1].0.to_string()]);
        let body = async |id| store.api().request(id).await.unwrap().map(|it| it.request_body);
        assert_eq!(body(sent[0].0).await, None);
        assert_eq!(body(sent[1].0).await, Some(None));
        assert_eq!(body(sent[2].0).await, Some(Some("{}".to_owned())));
        let about =
            RequestFilter { subjects: Some(vec![subject(false, "7")]), ..RequestFilter::default() };
        assert_eq!(all(&store, about, 10).await.len(), 2);
        let later = access.now() + SignedDuration::from_hours(1);
        assert_eq!(forget(Class::Requests, later).await, 3);
        assert!(all(&store, RequestFilter::default(), 10).await.is_empty());
        store.close().await;
    });
}

#[test]
fn where_people_are_masked_no_name_is_kept_and_they_are_found_by_it() {
    on_every_engine(async |database| {
        let store = database.open(Limits::default()).unwrap();
        let of = directory(&store, Settings::default()).await.id();
        let access = store.access();
        let masked = Policy { bodies: true, personal_data: PersonalData::Masked };
        let mut sent = captured(&*database.ids, of, access.now(), ("POST", "/Users", 409));
        let body = br#"{"userName":"marzipan@acme.example","name":{"givenName":"Marzipan"}}"#;
        sent.request = Some(CapturedBody::of(body, 1_000));
        sent.query = Some("filter=userName%20eq%20%22marzipan@acme.example%22".to_owned());
        sent.policy = Some(masked);
        let detail = br#"{"detail":"`marzipan@acme.example` is taken. Choose another"}"#;
        sent.answer = Some(CapturedBody::of(detail, 1_000));
        let id = sent.request_id;
        access.note_request(sent);
        let subjects = Some(vec![subject(false, "Marzipan@ACME.example")]);
        let found = all(&store, RequestFilter { subjects, ..RequestFilter::default() }, 10).await;
        assert_eq!(names(&found), [id.to_string()]);
        let whole = store.api().request(id).await.unwrap().unwrap();
        let body = r#"{"userName":"m…","name":{"givenName":"M…"}}"#;
        assert_eq!(whole.request_body.as_deref(), Some(body));
        store.close().await;
        let kept = everything(&database);
        assert!(!kept.to_ascii_lowercase().contains("marzipan"), "a name is in what is kept");
    });
}

#[test]
fn a_stranger_is_taken_down_where_there_is_such_a_directory_and_not_without_end() {
    on_every_engine(async |database| {
        let store = database.open(Limits::default()).unwrap();
        let of = directory(&store, Settings::default()).await.id();
        let nobodys = DirectoryId::new(&*database.ids);
        let access = store.access();
        for number in 0..200 {
            let id = if number % 2 == 0 { of } else { nobodys };
            let mut sent = captured(&*database.ids, id, access.now(), ("POST", "/Users", 401));
            sent.by = None;
            sent.request = Some(CapturedBody::of(br#"{"userName":"stranger"}"#, 100));
            access.note_request(sent);
        }
        let found = all(&store, RequestFilter::default(), 100).await;
        let kept = found.iter().filter(|it| it.entry.lost.is_none()).count();
        let lost: u64 = found.iter().filter_map(|it| it.entry.lost).map(|it| it.count).sum();
        assert_eq!((kept, lost), (60, 40));
        assert!(found.iter().all(|it| it.directory_id == of));
        let id =
            found.iter().find(|it| it.entry.lost.is_none()).unwrap().request_id.parse().unwrap();
        let whole = store.api().request(id).await.unwrap().unwrap();
        assert_eq!(whole.request_body, None, "what a stranger says is not kept");
        store.close().await;
    });
}

/// All that a database keeps, as text.
fn everything(database: &Database) -> String {
    if let Some(own) = &database.own {
        return own.contents();
    }
    let path = database.path();
    let files = std::fs::read_dir(path.parent().unwrap_or(Path::new("."))).unwrap();
    let bytes = files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap());
    String::from_utf8_lossy(&bytes.collect::<Vec<u8>>()).into_owned()
}
