//! Random SCIM requests, next to a plain map that does the same in the simplest way: statuses,
//! bodies, entity tags, lists and the feed are compared, whole and without exception.
//!
//! An ordinary run sends a few thousand. `cargo xtask soak` sends a million, with these variables:
//! `ROSTER_REQUESTS` says how many, and `ROSTER_SEED` with which seed to begin. A difference names its
//! seed; with it alone the same requests are sent again.

mod ask;
mod client;
mod plain;
mod world;

use std::collections::{BTreeMap, VecDeque};

use axum::http::Method;
use claims::Choices;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::ask::{List, Place, Wanted};
use crate::client::{Act, Client, Request, with_query};
use crate::plain::{Change, Condition, Event, Kind, Plain, Refused};
use crate::world::{Answer, Sent, World};

const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";
const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
const SEARCH: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";
const BULK: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
const BULK_RESPONSE: &str = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";

/// Requests of an ordinary run.
const REQUESTS: usize = 3_000;
/// Requests to one server; then comes another, with the next seed.
const REQUESTS_OF_A_SEED: usize = 1_500;
const DIRECTORIES: usize = 3;
/// Longer than a walk by index pauses.
const PAUSE_MICROSECONDS: i64 = 61_000_000;
/// For how long a cursor is good.
const CURSOR_SECONDS: i64 = 3_600;

#[tokio::test]
async fn the_server_answers_as_a_plain_map_does() {
    let requests = number_in("ROSTER_REQUESTS").unwrap_or(REQUESTS);
    let first_seed = number_in("ROSTER_SEED").unwrap_or(1) as u64;
    let mut tally = Tally::default();
    for seed in first_seed.. {
        let most = REQUESTS_OF_A_SEED.min(requests - tally.requests);
        Play::new(seed).await.play(most, &mut tally).await;
        if seed % 10 == 0 || tally.requests >= requests {
            tally.report(seed);
        }
        if tally.requests >= requests {
            break;
        }
    }
    tally.check();
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test has no arguments, and this one can be longer"
)]
fn number_in(variable: &str) -> Option<usize> {
    Some(std::env::var(variable).ok()?.parse().expect("a number"))
}

/// What was compared.
#[derive(Debug, Default)]
struct Tally {
    requests: usize,
    answers: BTreeMap<(String, u16), usize>,
    listed: usize,
    events: usize,
    operations: usize,
}

impl Tally {
    #[expect(clippy::print_stdout, reason = "a million requests take their time")]
    fn report(&self, seed: u64) {
        println!(
            "{} requests up to seed {seed}: {} resources listed, {} events read, {} operations in \
             bulk, no difference; {:?}",
            self.requests, self.listed, self.events, self.operations, self.answers
        );
    }

    /// The dice are good: each of these is met again and again.
    fn check(&self) {
        let met = |status: u16| -> usize {
            let of_status = self.answers.iter().filter(|((_, it), _)| *it == status);
            of_status.map(|(_, count)| count).sum()
        };
        for status in [200, 201, 204, 304, 400, 404, 409, 412] {
            let count = met(status);
            assert!(count * 400 >= self.requests, "{status}: {count} of {self:?}");
        }
        assert!(self.events * 4 >= self.requests, "{self:?}");
        assert!(self.listed * 2 >= self.requests && self.operations > 0, "{self:?}");
    }
}

/// A server, a plain map of each of its directories, and who sends.
struct Play {
    seed: u64,
    world: World,
    clients: Vec<Client>,
    plains: Vec<Plain>,
    walks: Vec<VecDeque<Walk>>,
    feeds: Vec<Feed>,
    dice: Choices<'static>,
    /// What was sent last, for who looks for the cause of a difference.
    last: VecDeque<String>,
}

/// Somebody who goes through a list by cursor, while it changes.
struct Walk {
    list: List,
    cursor: String,
    /// After whom.
    place: Place,
    handed_out: Timestamp,
}

#[derive(Default)]
struct Feed {
    cursor: Option<String>,
    number: u64,
}

impl Play {
    async fn new(seed: u64) -> Play {
        let world = World::new(DIRECTORIES).await;
        let plains = world.directories.iter().map(|it| Plain::at(&it.base));
        let client = |number| Client::new(seed.wrapping_mul(1_000_003).wrapping_add(number));
        Play {
            seed,
            plains: plains.collect(),
            clients: (0..DIRECTORIES as u64).map(client).collect(),
            walks: (0..DIRECTORIES).map(|_| VecDeque::new()).collect(),
            feeds: (0..DIRECTORIES).map(|_| Feed::default()).collect(),
            dice: Choices::of_seed(seed),
            world,
            last: VecDeque::new(),
        }
    }

    async fn play(mut self, requests: usize, tally: &mut Tally) {
        let end = tally.requests + requests;
        while tally.requests < end {
            // Mostly a moment; now and then so long that cursors grow old.
            let moment = match self.dice.below(400) {
                0 => 1_800_000_000,
                1..40 => 1_000_000,
                _ => 1 + self.dice.below(2_000),
            };
            self.world.pass(i64::try_from(moment).expect("half an hour"));
            let directory = self.dice.below(DIRECTORIES);
            match self.dice.below(20) {
                0..14 => self.request(directory, tally).await,
                14 => self.walk_by_index(directory, tally).await,
                15 => self.first_page(directory, tally).await,
                16 => self.next_page(directory, tally).await,
                17 => self.search(directory, tally).await,
                18 => self.bulk(directory, tally).await,
                _ => self.read_feed(directory, tally).await,
            }
        }
        for directory in 0..DIRECTORIES {
            self.read_feed(directory, tally).await;
        }
        self.world.close().await;
    }

    async fn send(&mut self, directory: usize, sent: &Sent, tally: &mut Tally) -> Answer {
        tally.requests += 1;
        let answer = self.world.send(directory, sent).await;
        *tally.answers.entry((sent.method.to_string(), answer.status)).or_default() += 1;
        let body = sent.body.as_ref().map(Value::to_string).unwrap_or_default();
        let headers = &sent.headers;
        self.last.push_back(format!(
            "{directory}: {} {} {headers:?} {body}\n  {} {}",
            sent.method, sent.path, answer.status, answer.body
        ));
        if self.last.len() > 12 {
            self.last.pop_front();
        }
        answer
    }

    /// Panics with all that is needed to find out why.
    #[track_caller]
    fn differ(&self, what: &str, got: &impl std::fmt::Debug, wanted: &impl std::fmt::Debug) -> ! {
        let last: Vec<&str> = self.last.iter().map(String::as_str).collect();
        panic!(
            "the server and the plain map differ: {what}\n  server: {got:?}\n  map:    {wanted:?}\n\
             after:\n{}\nmeet it again with ROSTER_SEED={}",
            last.join("\n"),
            self.seed
        );
    }

    #[track_caller]
    fn same<T: std::fmt::Debug + PartialEq>(&self, what: &str, got: &T, wanted: &T) {
        if got != wanted {
            self.differ(what, got, wanted);
        }
    }

    /// One request to one resource, or to a collection.
    async fn request(&mut self, directory: usize, tally: &mut Tally) {
        let now = self.world.now();
        let request = self.clients[directory].some_request(&self.plains[directory]);
        let answer = self.send(directory, &request.sent, tally).await;
        // The id of what is new is the server's to choose; it is held from then on.
        let new_id = answer.body["id"].as_str().unwrap_or("none").to_owned();
        let plain = &mut self.plains[directory];
        let outcome = carry_out(plain, &request.act, &new_id, now);
        match (&request.act, outcome) {
            (_, Err(refused)) => self.compare_refusal(&answer, refused),
            (Act::Wrong(_), Ok(())) => unreachable!("it is wrong"),
            (Act::Get(kind, id, condition), Ok(())) => {
                self.compare_reading(directory, &request, &answer, (*kind, id), condition);
            }
            (Act::Delete(..), Ok(())) => {
                self.same("the status", &answer.status, &204);
                self.same("the body", &answer.body, &Value::Null);
            }
            (Act::Create(kind, ..), Ok(())) => {
                self.clients[directory].remember(*kind, &new_id);
                let location = self.plains[directory].location(*kind, &new_id);
                self.same("the location", &answer.header("location"), &Some(&*location));
                self.compare_resource(directory, &answer, 201, (*kind, &new_id), &request.wanted);
            }
            (Act::Patch(Kind::Group, id, ..), Ok(())) if matches!(request.wanted, Wanted::All) => {
                // Who adds one member does not want to hear of the others.
                self.same("the status", &answer.status, &204);
                self.same("the body", &answer.body, &Value::Null);
                self.compare_tag(directory, &answer, (Kind::Group, id));
            }
            (Act::Replace(kind, id, ..) | Act::Patch(kind, id, ..), Ok(())) => {
                self.compare_resource(directory, &answer, 200, (*kind, id), &request.wanted);
            }
        }
    }

    #[track_caller]
    fn compare_refusal(&self, answer: &Answer, (status, keyword): Refused) {
        let wanted = (status, keyword);
        let got = (answer.status, answer.body["scimType"].as_str());
        // A refused HEAD has no body to say why.
        if answer.body.is_null() {
            self.same("the status", &answer.status, &status);
            return;
        }
        self.same("the refusal", &got, &wanted);
        self.same("the kind of body", &answer.body["schemas"], &json!([ERROR]));
        self.same("the status in it", &answer.body["status"], &json!(status.to_string()));
        let detail = answer.body["detail"].as_str().unwrap_or_default();
        if detail.is_empty() {
            self.differ("the detail", &answer.body, &"something");
        }
    }

    #[track_caller]
    fn compare_tag(&self, directory: usize, answer: &Answer, (kind, id): (Kind, &str)) {
        let version = self.plains[directory].all(kind)[id].version;
        self.same("the tag", &answer.header("etag"), &Some(&*format!("W/\"{version}\"")));
    }

    #[track_caller]
    fn compare_resource(
        &self,
        directory: usize,
        answer: &Answer,
        status: u16,
        (kind, id): (Kind, &str),
        wanted: &Wanted,
    ) {
        self.same("the status", &answer.status, &status);
        self.compare_tag(directory, answer, (kind, id));
        let plain = &self.plains[directory];
        let location = plain.location(kind, id);
        self.same("where it is", &answer.header("content-location"), &Some(&*location));
        self.same("the resource", &answer.body, &wanted.of(&plain.shown(kind, id)));
    }

    #[track_caller]
    fn compare_reading(
        &self,
        directory: usize,
        request: &Request,
        answer: &Answer,
        (kind, id): (Kind, &str),
        condition: &Condition,
    ) {
        let version = self.plains[directory].all(kind)[id].version;
        if !condition.holds(version) {
            self.same("the status", &answer.status, &304);
            self.same("the body", &answer.body, &Value::Null);
            self.compare_tag(directory, answer, (kind, id));
        } else if request.sent.method == Method::HEAD {
            self.same("the status", &answer.status, &200);
            self.compare_tag(directory, answer, (kind, id));
        } else {
            self.compare_resource(directory, answer, 200, (kind, id), &request.wanted);
        }
    }

    fn some_list(&mut self, directory: usize) -> List {
        let now = self.world.now();
        self.clients[directory].some_list(&self.plains[directory], now)
    }

    /// A page, and what stands on it.
    #[track_caller]
    fn compare_page(&self, answer: &Answer, start: Option<usize>, total: usize, page: &[Value]) {
        self.same("the status", &answer.status, &200);
        self.same("the kind of body", &answer.body["schemas"], &json!([LIST]));
        self.same("how many there are", &answer.body["totalResults"], &json!(total));
        self.same("how many are here", &answer.body["itemsPerPage"], &json!(page.len()));
        self.same("where it begins", &answer.body["startIndex"], &json!(start));
        let resources = answer.body["Resources"].as_array().map(Vec::as_slice).unwrap_or_default();
        let ids = |page: &[Value]| page.iter().map(|it| it["id"].to_string()).collect::<Vec<_>>();
        self.same("who is here", &ids(resources), &ids(page));
        for (got, wanted) in resources.iter().zip(page) {
            self.same("a resource of the list", got, wanted);
        }
    }

    /// All pages of a list by index, one after the other, while nothing changes.
    async fn walk_by_index(&mut self, directory: usize, tally: &mut Tally) {
        // Who began to walk through this list and did not come back is not waited for any more; two
        // walks of one token at once cannot be told apart.
        self.world.pass(PAUSE_MICROSECONDS);
        let list = self.some_list(directory);
        let wanted = list.of(&self.plains[directory]);
        let mut start = 1;
        // A few pages are as good as many.
        for _ in 0..6 {
            let mut parameters = list.parameters();
            parameters.push(("startIndex", start.to_string()));
            let sent = get(&with_query(list.kind.endpoint(), &parameters));
            let answer = self.send(directory, &sent, tally).await;
            let page: Vec<Value> = wanted
                .iter()
                .skip(start - 1)
                .take(list.count)
                .map(|(_, shown)| list.wanted.of(shown))
                .collect();
            self.compare_page(&answer, Some(start), wanted.len(), &page);
            tally.listed += page.len();
            start += page.len();
            if page.is_empty() || start > wanted.len() {
                break;
            }
        }
    }

    /// The same in the body of a search.
    async fn search(&mut self, directory: usize, tally: &mut Tally) {
        let list = self.some_list(directory);
        let mut body = json!({ "schemas": [SEARCH] });
        for (name, value) in list.parameters() {
            body[name] = match name {
                "count" => json!(list.count),
                "attributes" | "excludedAttributes" => value.split(',').collect(),
                _ => value.into(),
            };
        }
        let path = format!("{}/.search", list.kind.endpoint());
        let sent = Sent { method: Method::POST, path, headers: Vec::new(), body: Some(body) };
        let answer = self.send(directory, &sent, tally).await;
        let wanted = list.of(&self.plains[directory]);
        let page = wanted.iter().take(list.count).map(|(_, shown)| list.wanted.of(shown));
        let page: Vec<Value> = page.collect();
        tally.listed += page.len();
        self.compare_page(&answer, Some(1), wanted.len(), &page);
    }

    /// The first page of a walk by cursor.
    async fn first_page(&mut self, directory: usize, tally: &mut Tally) {
        let list = self.some_list(directory);
        self.page_after(directory, list, None, tally).await;
    }

    /// The next page of a walk that was begun some time ago.
    async fn next_page(&mut self, directory: usize, tally: &mut Tally) {
        let Some(walk) = self.walks[directory].pop_front() else { return };
        let age = self.world.now().as_second() - walk.handed_out.as_second();
        if age > CURSOR_SECONDS {
            let mut parameters = walk.list.parameters();
            parameters.push(("cursor", walk.cursor));
            let sent = get(&with_query(walk.list.kind.endpoint(), &parameters));
            let answer = self.send(directory, &sent, tally).await;
            self.compare_refusal(&answer, (400, Some("expiredCursor")));
            return;
        }
        self.page_after(directory, walk.list, Some((walk.cursor, walk.place)), tally).await;
    }

    async fn page_after(
        &mut self,
        directory: usize,
        list: List,
        after: Option<(String, Place)>,
        tally: &mut Tally,
    ) {
        let mut parameters = list.parameters();
        let cursor = after.as_ref().map(|(cursor, _)| cursor.clone()).unwrap_or_default();
        parameters.push(("cursor", cursor));
        let sent = get(&with_query(list.kind.endpoint(), &parameters));
        let answer = self.send(directory, &sent, tally).await;
        let wanted = list.of(&self.plains[directory]);
        let rest = wanted
            .iter()
            .filter(|(place, _)| after.as_ref().is_none_or(|(_, after)| place.cmp(after).is_gt()));
        let rest: Vec<_> = rest.collect();
        let page = &rest[..rest.len().min(list.count)];
        let shown: Vec<Value> = page.iter().map(|(_, shown)| list.wanted.of(shown)).collect();
        self.compare_page(&answer, None, wanted.len(), &shown);
        tally.listed += page.len();
        let next = answer.body["nextCursor"].as_str();
        let has_more = rest.len() > page.len();
        self.same("whether there is more", &next.is_some(), &has_more);
        if let (Some(cursor), Some((place, _))) = (next, page.last()) {
            let handed_out = self.world.now();
            let (cursor, place) = (cursor.to_owned(), place.clone());
            let walks = &mut self.walks[directory];
            walks.push_back(Walk { list, cursor, place, handed_out });
            if walks.len() > 12 {
                walks.pop_front();
            }
        }
    }

    /// What was told since the last time, in order and without a gap.
    async fn read_feed(&mut self, directory: usize, tally: &mut Tally) {
        let limit = [1_000, 7, 50][self.dice.below(3)];
        let connection = &self.world.directories[directory];
        let (id, organization) = (connection.id.clone(), connection.organization.clone());
        let mut wanted: VecDeque<Event> = std::mem::take(&mut self.plains[directory].events).into();
        loop {
            let feed = &self.feeds[directory];
            let after = feed.cursor.as_ref().map(|it| format!("&after={it}")).unwrap_or_default();
            let path = format!("/api/v1/events?directory_id={id}&limit={limit}{after}");
            let answer = self.world.api(&path).await;
            self.same("the status of the feed", &answer.status, &200);
            for event in answer.body["data"].as_array().expect("events are a list") {
                let feed = &mut self.feeds[directory];
                feed.number += 1;
                let number = feed.number;
                self.same("the number of an event", &event["number"], &json!(number));
                let kind = event["type"].as_str().expect("an event has a type");
                if matches!(kind, "directory.created" | "directory.token.created") {
                    continue;
                }
                tally.events += 1;
                let Some(wanted) = wanted.pop_front() else {
                    self.differ("an event", event, &"none");
                };
                let mut data = event["data"].clone();
                let previous = match &mut data {
                    Value::Object(data) => data.remove("previous_user_id"),
                    _ => None,
                };
                let got = (kind, &data, &event["occurred_at"], &event["organization_id"]);
                let at = json!(plain::print(wanted.at));
                let organization = json!(organization);
                self.same("an event", &got, &(&*wanted.kind, &wanted.data, &at, &organization));
                let is_right = match previous.as_ref().and_then(Value::as_str) {
                    Some(id) => wanted.previous.contains(id),
                    None => wanted.previous.is_empty(),
                };
                if !is_right {
                    self.differ("who it was before", event, &wanted.previous);
                }
            }
            self.feeds[directory].cursor = answer.body["next"].as_str().map(str::to_owned);
            if answer.body["has_more"] == false {
                break;
            }
        }
        if let Some(event) = wanted.pop_front() {
            self.differ("an event", &"none", &event);
        }
    }

    /// Several operations in one request, some of which refer to what others create.
    async fn bulk(&mut self, directory: usize, tally: &mut Tally) {
        let now = self.world.now();
        let client = &mut self.clients[directory];
        let plain = &mut self.plains[directory];
        let count = 1 + client.choices.below(8);
        let failures_max = client.choices.once_in(3).then(|| 1 + client.choices.below(3));
        let jobs = Job::several(client, plain, count);
        let operations: Vec<Value> =
            jobs.iter().enumerate().map(|(place, job)| job.spelt(client, place)).collect();
        let mut body = json!({ "schemas": [BULK], "Operations": operations });
        if let Some(most) = failures_max {
            body["failOnErrors"] = most.into();
        }
        let path = "/Bulk".to_owned();
        let sent = Sent { method: Method::POST, path, headers: Vec::new(), body: Some(body) };
        let answer = self.send(directory, &sent, tally).await;
        self.same("the status", &answer.status, &200);
        self.same("the kind of body", &answer.body["schemas"], &json!([BULK_RESPONSE]));
        let answers = answer.body["Operations"].as_array().expect("operations are a list").clone();

        // Each once, and the first that can be: what is referred to has to be there.
        let mut fates: Vec<Option<Result<(Kind, String), Refused>>> = vec![None; count];
        let (mut failures, mut order) = (0, Vec::new());
        while let Some(place) = (0..count).find(|place| {
            let is_after_all_on_it = (0..*place).all(|before| {
                fates[before].is_some()
                    || jobs[before].target().is_none()
                    || jobs[before].target() != jobs[*place].target()
            });
            fates[*place].is_none()
                && jobs[*place].references().iter().all(|it| fates[*it].is_some())
                && is_after_all_on_it
        }) {
            if failures_max.is_some_and(|most| failures >= most) {
                break;
            }
            order.push(place);
            let job = &jobs[place];
            let broken = job.references().iter().any(|it| !matches!(fates[*it], Some(Ok(_))));
            // The ids of what is new are the server's to choose.
            let named = format!("q{place}");
            let of_job = answers.iter().find(|it| it["bulkId"] == *named);
            let location = of_job.and_then(|it| it["location"].as_str()).unwrap_or_default();
            let new_id = location.rsplit('/').next().unwrap_or_default().to_owned();
            let outcome = if broken {
                Err((409, None))
            } else {
                let found = |place: usize| match &fates[place] {
                    Some(Ok((_, id))) => id.clone(),
                    _ => unreachable!("it was there"),
                };
                let act = job.act(found);
                let outcome = carry_out(&mut self.plains[directory], &act, &new_id, now);
                outcome.map(|()| match act {
                    Act::Create(kind, ..) => (kind, new_id),
                    Act::Replace(kind, id, ..)
                    | Act::Patch(kind, id, ..)
                    | Act::Delete(kind, id, _) => (kind, id),
                    Act::Get(..) | Act::Wrong(_) => unreachable!("no job reads"),
                })
            };
            failures += usize::from(outcome.is_err());
            fates[place] = Some(outcome);
        }
        self.compare_bulk(directory, &jobs, &fates, &answers);
        for (job, fate) in jobs.iter().zip(&fates) {
            if let (Job::Create { .. }, Some(Ok((kind, id)))) = (job, fate) {
                self.clients[directory].remember(*kind, id);
            }
        }
        tally.operations += order.len();
    }

    fn compare_bulk(
        &self,
        directory: usize,
        jobs: &[Job],
        fates: &[Option<Result<(Kind, String), Refused>>],
        answers: &[Value],
    ) {
        let mut answers = answers.iter();
        for (place, (job, fate)) in jobs.iter().zip(fates).enumerate() {
            // Who was not begun is not answered.
            let Some(fate) = fate else { continue };
            let Some(answer) = answers.next() else {
                self.differ("an operation", &"none", fate);
            };
            self.same("the name", &answer["bulkId"], &json!(format!("q{place}")));
            self.same("the method", &answer["method"], &json!(job.method()));
            match fate {
                Ok((kind, id)) => {
                    let location = self.plains[directory].location(*kind, id);
                    self.same("the location", &answer["location"], &json!(location));
                    self.same("the status", &answer["status"], &json!(job.status(*kind)));
                    self.same("the error", &answer["response"], &Value::Null);
                }
                Err((status, keyword)) => {
                    self.same("the status", &answer["status"], &json!(status.to_string()));
                    let got = answer["response"]["scimType"].as_str();
                    self.same("the keyword", &got, keyword);
                }
            }
        }
        if let Some(answer) = answers.next() {
            self.differ("an operation", answer, &"none");
        }
    }
}

fn get(path: &str) -> Sent {
    Sent { method: Method::GET, path: path.to_owned(), headers: Vec::new(), body: None }
}

/// What becomes of an act in the plain map.
fn carry_out(plain: &mut Plain, act: &Act, new_id: &str, now: Timestamp) -> Result<(), Refused> {
    match act {
        Act::Create(kind, attributes, members) => {
            plain.create(*kind, new_id, attributes.clone(), members, now)
        }
        Act::Replace(kind, id, condition, attributes, members) => {
            plain.replace(*kind, id, condition, attributes.clone(), members.as_deref(), now)
        }
        Act::Patch(kind, id, condition, changes) => plain.patch(*kind, id, condition, changes, now),
        Act::Delete(kind, id, condition) => plain.delete(*kind, id, condition, now),
        // `If-None-Match` of a reader is no refusal: it has been read already.
        Act::Get(kind, id, Condition::NoneMatch(_) | Condition::NoneMatchAny) => {
            plain.existing(*kind, id, &Condition::None).map(|_| ())
        }
        Act::Get(kind, id, condition) => plain.existing(*kind, id, condition).map(|_| ()),
        Act::Wrong(refused) => Err(*refused),
    }
}

/// The places of those that create something.
fn places(jobs: &[Job], wanted: impl Fn(Kind) -> bool) -> Vec<usize> {
    let creates = |job: &Job| matches!(job, Job::Create { kind, .. } if wanted(*kind));
    (0..jobs.len()).filter(|place| creates(&jobs[*place])).collect()
}

/// One operation of a bulk request. Numbers are the places of those that it refers to.
#[derive(Clone, Debug)]
enum Job {
    Create { kind: Kind, attributes: Map<String, Value>, members: Vec<usize> },
    AddMember { group: String, member: usize },
    SetName { kind: Kind, id: String, name: String },
    Delete { kind: Kind, id: String },
}

impl Job {
    fn several(client: &mut Client, plain: &Plain, count: usize) -> Vec<Job> {
        let mut jobs: Vec<Job> = Vec::new();
        for _ in 0..count {
            let created = places(&jobs, |_| true);
            jobs.push(Job::some(client, plain, &created));
        }
        // Groups also refer to people who come later.
        let people = places(&jobs, |kind| kind == Kind::User);
        for job in &mut jobs {
            if let Job::Create { kind: Kind::Group, members, .. } = job
                && !people.is_empty()
                && client.choices.below(2) == 0
            {
                members.push(*client.choices.one_of(&people));
            }
        }
        jobs
    }

    fn some(client: &mut Client, plain: &Plain, created: &[usize]) -> Job {
        let kind = if client.choices.below(3) == 0 { Kind::Group } else { Kind::User };
        match client.choices.below(8) {
            0..4 if kind == Kind::User => {
                Job::Create { kind, attributes: client.some_user(), members: Vec::new() }
            }
            0..4 => {
                let count = if created.is_empty() { 0 } else { client.choices.below(3) };
                let members = (0..count).map(|_| *client.choices.one_of(created)).collect();
                Job::Create { kind, attributes: client.some_group(), members }
            }
            4 if !created.is_empty() => Job::AddMember {
                group: client.some_id(Kind::Group, plain),
                member: *client.choices.one_of(created),
            },
            4..6 => Job::SetName {
                kind,
                id: client.some_id(kind, plain),
                name: format!("Named {}", client.choices.below(1_000)),
            },
            _ => Job::Delete { kind, id: client.some_id(kind, plain) },
        }
    }

    /// What exists and is changed.
    fn target(&self) -> Option<(Kind, &str)> {
        match self {
            Job::Create { .. } => None,
            Job::AddMember { group, .. } => Some((Kind::Group, group)),
            Job::SetName { kind, id, .. } | Job::Delete { kind, id } => Some((*kind, id)),
        }
    }

    fn references(&self) -> &[usize] {
        match self {
            Job::Create { members, .. } => members,
            Job::AddMember { member, .. } => std::slice::from_ref(member),
            Job::SetName { .. } | Job::Delete { .. } => &[],
        }
    }

    fn act(&self, found: impl Fn(usize) -> String) -> Act {
        let named = |place: &usize| (found(*place), None);
        match self {
            Job::Create { kind, attributes, members } => {
                let mut once = Vec::new();
                for member in members.iter().map(named) {
                    if !once.contains(&member) {
                        once.push(member);
                    }
                }
                Act::Create(*kind, attributes.clone(), once)
            }
            Job::AddMember { group, member } => {
                let change = Change::AddMembers(vec![named(member)]);
                Act::Patch(Kind::Group, group.clone(), Condition::None, vec![change])
            }
            Job::SetName { kind, id, name } => {
                let change = Change::Set(kind.key(), Some(name.as_str().into()));
                Act::Patch(*kind, id.clone(), Condition::None, vec![change])
            }
            Job::Delete { kind, id } => Act::Delete(*kind, id.clone(), Condition::None),
        }
    }

    fn method(&self) -> &'static str {
        match self {
            Job::Create { .. } => "POST",
            Job::AddMember { .. } | Job::SetName { .. } => "PATCH",
            Job::Delete { .. } => "DELETE",
        }
    }

    fn status(&self, kind: Kind) -> &'static str {
        match self {
            Job::Create { .. } => "201",
            Job::AddMember { .. } | Job::SetName { .. } if kind == Kind::User => "200",
            Job::AddMember { .. } | Job::SetName { .. } | Job::Delete { .. } => "204",
        }
    }

    fn spelt(&self, client: &mut Client, place: usize) -> Value {
        // As if the places were ids; who is sent is known by what it is called.
        let act = self.act(|place| format!("bulkId:q{place}"));
        let sent = client.spelt(&act, &Wanted::All);
        let mut operation = json!({
            "method": self.method(), "path": sent.path, "bulkId": format!("q{place}"),
        });
        if let Some(body) = sent.body {
            operation["data"] = body;
        }
        operation
    }
}
