//! What a list answers is what the filter says, whatever of it the database does: random filters
//! over the whole grammar, asked of random users and groups, beside `BoundFilter::matches` alone.
//!
//! `ROSTER_PAIRS=10000000` asks for more than the ordinary run does, and `ROSTER_SEED=7` begins
//! elsewhere; a failure prints the seed with which it is met again.

mod engine;

use std::sync::Arc;

use claims::Choices;
use claims::make::{self, Known};
use directory::{
    Aside, CreateGroup, CreateUser, DeleteUser, Document, GroupId, Limits, ReplaceUser, Settings,
    UserId,
};
use engine::{Database, Waiting, directory, in_one_batch, on_every_engine};
use scim::admit::{Admitted, admit};
use scim::dialect::Quirks;
use scim::filter::{BoundFilter, Filter};
use scim::group::Member;
use scim::list::{ListQuery, SortOrder};
use scim::sort::BoundSort;
use scim::{Preset, ResourceType};
use serde_json::{Map, Value, json};
use store::{DirectoryStore, GroupRecord, ListRequest, Page, UserRecord, Window};

/// Filters times resources, on each database.
const PAIRS: u64 = 100_000;
/// People and groups of a directory.
const USERS: usize = 220;
const GROUPS: usize = 60;
/// Of these, so many come at one moment.
const BATCH: usize = 20;
/// Filters that are asked of one directory before the next is filled.
const FILTERS: u64 = 200;

#[test]
fn a_list_answers_what_the_filter_says() {
    let pairs_wanted = number_in("ROSTER_PAIRS").unwrap_or(PAIRS);
    let first_seed = number_in("ROSTER_SEED").unwrap_or(1);
    on_every_engine(async |database| {
        let mut tally = Tally::default();
        for seed in first_seed.. {
            ask(&database, seed, &mut tally).await;
            if tally.pairs >= pairs_wanted {
                break;
            }
        }
        tally.report();
        assert!(tally.pairs >= pairs_wanted, "{tally:?}");
        // The dice are good: they find somebody, and not everybody.
        let share = |part: u64| part * 100 / tally.pairs;
        assert!((2..60).contains(&share(tally.matches)), "{tally:?}");
        assert!(tally.filters_that_find * 4 > tally.filters, "{tally:?}");
        assert!(tally.refused < tally.filters, "{tally:?}");
    });
}

#[derive(Debug, Default)]
struct Tally {
    filters: u64,
    /// Not read, or not of this type.
    refused: u64,
    filters_that_find: u64,
    pairs: u64,
    matches: u64,
}

impl Tally {
    #[expect(clippy::print_stdout, reason = "it tells how good the dice were")]
    fn report(&self) {
        println!("{self:?}");
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test has no arguments, and this one can be longer"
)]
fn number_in(variable: &str) -> Option<u64> {
    Some(std::env::var(variable).ok()?.parse().expect("a number"))
}

/// Fills a directory, and asks of it.
async fn ask(database: &Database, seed: u64, tally: &mut Tally) {
    let mut choices = Choices::of_seed(seed);
    let store = database.open(Limits::default()).unwrap();
    let directory = directory(&store, Settings::default()).await;
    fill(database, &directory, &mut choices).await;
    let (user, group) = (ResourceType::user(), ResourceType::group());
    let users = all::<UserRecord>(&directory).await;
    let groups = all::<GroupRecord>(&directory).await;
    for number in 0..FILTERS {
        let at = format!("seed {seed}, filter {number}");
        ask_one(&directory, &user, &users, &mut choices, tally, &at).await;
        ask_one(&directory, &group, &groups, &mut choices, tally, &at).await;
    }
    store.close().await;
}

/// One random filter, whose list is compared with what the evaluator finds.
async fn ask_one<R: Listed>(
    directory: &DirectoryStore,
    resource_type: &ResourceType,
    everybody: &[(R, Map<String, Value>)],
    choices: &mut Choices<'_>,
    tally: &mut Tally,
    at: &str,
) {
    let known = known(choices, everybody);
    let text = make::filter_among(choices, resource_type, &known);
    tally.filters += 1;
    let Some(filter) = bound(&text, resource_type) else {
        tally.refused += 1;
        return;
    };
    let mut expected: Vec<_> = everybody.iter().filter(|(_, it)| filter.matches(it)).collect();
    tally.pairs += everybody.len() as u64;
    tally.matches += expected.len() as u64;
    tally.filters_that_find += u64::from(!expected.is_empty());
    let sort = some_sort(choices, resource_type);
    if let Some(sort) = &sort {
        // Who has the same key stays in the order of creation.
        expected.sort_by(|(_, one), (_, other)| {
            let keys = sort.key(one).cmp(&sort.key(other));
            if sort.order() == SortOrder::Descending { keys.reverse() } else { keys }
        });
    }
    let (start, count) = match choices.below(3) {
        0 => (1 + choices.below(4), choices.below(7)),
        _ => (1, 1_000),
    };
    let request = ListRequest {
        filter: Some(Arc::new(filter)),
        sort: sort.map(Arc::new),
        window: Window::at(start as u64, count as u64),
        with_related: false,
        represent: Arc::new(R::shown),
    };
    let page = R::page(directory, request).await;
    let got: Vec<String> = page.items.iter().map(R::id).collect();
    let wanted = expected.iter().skip(start - 1).take(count);
    let wanted: Vec<String> = wanted.map(|(record, _)| record.id()).collect();
    assert_eq!((got, page.total), (wanted, expected.len() as u64), "{at}: `{text}`");
}

fn bound(text: &str, resource_type: &ResourceType) -> Option<BoundFilter> {
    let filter = Filter::parse(text, Preset::Lenient, &mut Quirks::new()).ok()?;
    filter.bind(resource_type, Preset::Lenient, &mut Quirks::new()).ok()
}

fn some_sort(choices: &mut Choices<'_>, resource_type: &ResourceType) -> Option<BoundSort> {
    const BY: &[&str] = &["userName", "displayName", "externalId", "meta.lastModified", "emails"];
    if choices.below(4) > 0 {
        return None;
    }
    let order = *choices.one_of(&["ascending", "descending"]);
    let pairs = [("sortBy", *choices.one_of(BY)), ("sortOrder", order)];
    let sort = ListQuery::parse(pairs.into_iter()).unwrap().sort.unwrap();
    sort.bind(resource_type, Preset::Lenient, &mut Quirks::new()).ok()
}

/// What some of them hold of what the database has keys of.
fn known<R>(choices: &mut Choices<'_>, everybody: &[(R, Map<String, Value>)]) -> Vec<Known> {
    const KEYS: &[(&str, Option<&str>)] = &[
        ("id", None),
        ("userName", None),
        ("externalId", None),
        ("displayName", None),
        ("active", None),
        ("emails", Some("value")),
        ("groups", Some("value")),
        ("members", Some("value")),
        ("meta", Some("lastModified")),
    ];
    let mut known = Vec::new();
    for _ in 0..3 {
        let (_, shown) = choices.one_of(everybody);
        for (attribute, part) in KEYS {
            let value = match (shown.get(*attribute), part) {
                (Some(Value::Array(values)), Some(part)) => {
                    values.first().and_then(|it| it.get(part))
                }
                (Some(value), Some(part)) => value.get(part),
                (value, _) => value,
            };
            let value = match value {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Bool(flag)) => flag.to_string(),
                _ => continue,
            };
            known.push(Known { attribute, part: *part, value });
        }
    }
    known
}

/// People and groups; then some are others, and some are gone: what they were found by must not
/// find them any more.
async fn fill(database: &Database, directory: &DirectoryStore, choices: &mut Choices<'_>) {
    let (user, group) = (ResourceType::user(), ResourceType::group());
    let mut users: Vec<UserId> = Vec::new();
    let mut groups: Vec<GroupId> = Vec::new();
    let mut number = 0;
    for _ in 0..USERS / BATCH {
        let batch: Vec<CreateUser> = (0..BATCH)
            .filter_map(|_| {
                number += 1;
                let document = Document::new(admitted(choices, &user, number)?.resource);
                Some(CreateUser { document, aside: Aside::default() })
            })
            .collect();
        users.extend(kept(database, directory, choices, batch).await.iter().map(|it| it.id));
    }
    for _ in 0..GROUPS / BATCH {
        let batch: Vec<CreateGroup> = (0..BATCH)
            .filter_map(|_| {
                number += 1;
                let document = Document::new(admitted(choices, &group, number)?.resource);
                Some(CreateGroup { document, members: members(choices, &users, &groups) })
            })
            .collect();
        let outcomes = kept(database, directory, choices, batch).await;
        groups.extend(outcomes.iter().map(|it| it.group.id));
    }
    let replaced: Vec<ReplaceUser> = (0..BATCH * 2)
        .filter_map(|_| {
            number += 1;
            let resource = admitted(choices, &user, number)?.resource;
            let resource_type = Arc::new(ResourceType::user());
            Some(ReplaceUser {
                id: *choices.one_of(&users),
                resource,
                aside: Aside::default(),
                external_id_given: true,
                resource_type,
            })
        })
        .collect();
    kept(database, directory, choices, replaced).await;
    let deleted = (0..BATCH / 2).map(|_| DeleteUser { id: *choices.one_of(&users) }).collect();
    kept(database, directory, choices, deleted).await;
}

/// Hands all of these in at one moment, and says what became of those that were not refused.
async fn kept<D: directory::Decide>(
    database: &Database,
    directory: &DirectoryStore,
    choices: &mut Choices<'_>,
    batch: Vec<D>,
) -> Vec<D::Answer> {
    let microseconds = i64::try_from(choices.below(3_000)).unwrap();
    database.clock.move_by_microseconds(microseconds);
    database.clock.move_by([0, 0, 1][choices.below(3)]);
    let waiting = batch.into_iter().map(|it| -> Waiting<'_, _> { Box::pin(directory.change(it)) });
    let answers = in_one_batch(directory, waiting.collect()).await;
    answers.into_iter().flatten().collect()
}

/// People and groups to belong to a group, as a client would name them.
fn members(choices: &mut Choices<'_>, users: &[UserId], groups: &[GroupId]) -> Vec<Member> {
    let members: Vec<Value> = (0..choices.below(9))
        .map(|_| match choices.below(5) {
            0 if !groups.is_empty() => json!({ "value": choices.one_of(groups).to_string() }),
            _ => json!({ "value": choices.one_of(users).to_string(), "display": "Ana" }),
        })
        .collect();
    let body = json!({ "displayName": "Guides", "members": members });
    let admitted = admit(body, &ResourceType::group(), Preset::Lenient, &mut Quirks::new());
    admitted.unwrap().members.unwrap()
}

/// A resource of chance, with a name that nobody else has, mostly.
fn admitted(
    choices: &mut Choices<'_>,
    resource_type: &ResourceType,
    number: usize,
) -> Option<Admitted> {
    let mut body = make::resource(choices, resource_type);
    let name =
        if resource_type.attribute("userName").is_some() { "userName" } else { "displayName" };
    if let Value::Object(body) = &mut body
        && let Some(Value::String(text)) =
            body.iter_mut().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, it)| it)
        && choices.below(8) > 0
    {
        text.push_str(&number.to_string());
    }
    admit(body, resource_type, Preset::Lenient, &mut Quirks::new()).ok()
}

/// Users and groups, listed alike.
trait Listed: Sized + Send + Sync + 'static {
    fn id(&self) -> String;
    /// What a client would see of it.
    fn shown(&self) -> Map<String, Value>;
    async fn page(directory: &DirectoryStore, request: ListRequest<Self>) -> Page<Self>;
}

impl Listed for UserRecord {
    fn id(&self) -> String {
        self.id.to_string()
    }

    fn shown(&self) -> Map<String, Value> {
        let mut shown = with_meta(&self.text, &self.id(), "User", self.modified_at);
        let groups = self.groups.iter();
        let groups: Vec<_> = groups
            .map(|it| json!({ "value": it.id.to_string(), "display": it.display_name }))
            .collect();
        if !groups.is_empty() {
            shown.insert("groups".into(), groups.into());
        }
        shown
    }

    async fn page(directory: &DirectoryStore, request: ListRequest<Self>) -> Page<Self> {
        directory.users(request).await.unwrap()
    }
}

impl Listed for GroupRecord {
    fn id(&self) -> String {
        self.id.to_string()
    }

    fn shown(&self) -> Map<String, Value> {
        let mut shown = with_meta(&self.text, &self.id(), "Group", self.modified_at);
        let member = |it: &directory::Membership| {
            json!({
                "value": it.id.to_string(),
                "type": it.kind.as_str(),
                "display": it.display,
            })
        };
        shown.insert("members".into(), self.members.iter().map(member).collect());
        shown
    }

    async fn page(directory: &DirectoryStore, request: ListRequest<Self>) -> Page<Self> {
        directory.groups(request).await.unwrap()
    }
}

fn with_meta(text: &str, id: &str, kind: &str, modified_at: jiff::Timestamp) -> Map<String, Value> {
    let mut shown: Map<String, Value> = serde_json::from_str(text).unwrap();
    shown.insert("id".into(), id.into());
    shown
        .insert("schemas".into(), json!([format!("urn:ietf:params:scim:schemas:core:2.0:{kind}")]));
    let last_modified = scim::datetime::print(modified_at);
    shown.insert("meta".into(), json!({ "resourceType": kind, "lastModified": last_modified }));
    shown
}

/// Everybody, in the order of creation, with everything that belongs to them.
async fn all<R: Listed>(directory: &DirectoryStore) -> Vec<(R, Map<String, Value>)> {
    let request = ListRequest {
        filter: None,
        sort: None,
        window: Window::at(1, 10_000),
        with_related: true,
        represent: Arc::new(R::shown),
    };
    let page = R::page(directory, request).await;
    assert_eq!(page.total, page.items.len() as u64);
    page.items
        .into_iter()
        .map(|record| {
            let shown = record.shown();
            (record, shown)
        })
        .collect()
}
