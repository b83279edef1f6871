//! Databases with many people, made once and copied for each run.
//!
//! Roster makes them itself, over HTTP: what is measured is never what somebody else has put
//! there. They are kept in `target/bench/seeds`, by what they hold and by what made them, so that a
//! change of the schema or of the people makes them anew.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::{
    bench::{
        client::{Client, Request},
        engine::{Databases, Engine},
        person,
        progress::Progress,
        requests::{Crowd, Group, add_body, group_body, request},
    },
    command::{capture, say},
    server::Server,
};

/// Groups that members are added to, where there are people for them and for whoever is added. A
/// group may have 500,000: the largest has room for those.
pub(super) const GROUPS: [usize; 4] = [1_000, 10_000, 100_000, 495_000];

/// People who must be left for a group of so many to be grown.
const LEFT: usize = 5_000;

/// The group whose members are all replaced, and the one of which some are.
pub(super) const REPLACED: &str = "Replaced";
pub(super) const REPLACED_A_LITTLE: &str = "Replaced a little";

/// Members of these, where there are twice as many people.
const REPLACED_MEMBERS: usize = 100_000;

/// Users of one bulk request: 500 KiB of 4 MiB.
const USERS_AT_ONCE: usize = 500;

/// Bulk requests whose answers are held at once.
const REQUESTS_AT_ONCE: usize = 20;

/// Members that one request may name: 5 MiB of 16.
const MEMBERS_AT_ONCE: usize = 100_000;

/// Connections that seed. A bulk request shares its commits with itself.
const CONNECTIONS: usize = 4;

/// People of each directory where there are many directories.
const PEOPLE_OF_ONE: usize = 20;

/// What a database holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// One directory with so many users, and groups of them.
    Users(usize),
    /// So many directories with a few users each.
    Directories(usize),
}

/// What is known of a database.
#[derive(Debug)]
pub(super) struct Seed {
    /// The data folder. A server gets a copy.
    pub(super) data: PathBuf,
    /// What the database is called, where it is not in that folder. A server gets a copy.
    pub(super) database: String,
    pub(super) api_key: String,
    pub(super) crowds: Vec<Crowd>,
}

impl Kind {
    fn name(self) -> String {
        match self {
            Kind::Users(count) => format!("{count}-users"),
            Kind::Directories(count) => format!("{count}-directories"),
        }
    }
}

/// Finds the database of this kind, and makes it where there is none.
pub(super) fn find(
    binary: &Path,
    folder: &Path,
    (engine, databases): (Engine, &Databases),
    kind: Kind,
    client: &Client,
) -> anyhow::Result<Seed> {
    let name = format!("{}-{:016x}", kind.name(), key(Path::new(crate::ROOT))?);
    let place = folder.join("seeds").join(format!("{engine}-{name}"));
    let database = format!("seed_{}", name.replace('-', "_"));
    if !place.exists() {
        let making = place.with_extension("making");
        if making.exists() {
            fs::remove_dir_all(&making).context("half a seed cannot be removed")?;
        }
        fs::create_dir_all(&making).context("there is no place for the seeds")?;
        say(format_args!("\n== making a database of {}, once", kind.name().replace('-', " ")));
        let arguments = databases.create("making")?;
        make(Server::start_with(binary, &making.join("data"), &arguments)?, &making, kind, client)?;
        databases.rename("making", &database)?;
        fs::rename(&making, &place).context("the seed cannot be kept")?;
    }
    read(&place, database)
}

/// What made the databases: schema, people, groups. Anything else in there is made by the server as
/// any server would.
fn key(root: &Path) -> anyhow::Result<u64> {
    let folder = root.join("crates/store/migrations/sqlite");
    let mut files: Vec<_> = fs::read_dir(&folder)
        .and_then(|entries| entries.map(|it| it.map(|it| it.path())).collect())
        .context("there are no migrations")?;
    files.sort();
    let mut all = Vec::new();
    for file in files {
        all.extend(fs::read(file)?);
    }
    all.extend(include_bytes!("person.rs"));
    all.extend(include_bytes!("seed.rs"));
    // FNV-1a: it need not withstand anybody.
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    Ok(all.iter().fold(0xcbf2_9ce4_8422_2325, mix))
}

fn make(server: Server, place: &Path, kind: Kind, client: &Client) -> anyhow::Result<()> {
    let api_key = api_key(&server)?;
    let crowds = match kind {
        Kind::Users(count) => {
            let mut crowd = directory(&server)?;
            create_users(client, &server, std::slice::from_mut(&mut crowd), count)?;
            create_groups(client, &server, &mut crowd)?;
            vec![crowd]
        }
        Kind::Directories(count) => {
            let mut crowds = create_directories(client, &server, &api_key, count)?;
            create_users(client, &server, &mut crowds, PEOPLE_OF_ONE)?;
            crowds
        }
    };
    server.stop()?;
    keep(place, &api_key, &crowds)
}

/// A directory of a running server, with nobody in it.
pub(super) fn directory(server: &Server) -> anyhow::Result<Crowd> {
    let directory = server.create_directory("Okta", &["--provider", "okta"])?;
    let (_, path) = directory
        .base_url
        .split_once(&server.address().to_string())
        .context("the base URL is not that of the server")?;
    Ok(Crowd::new(path.to_owned(), directory.token, Vec::new(), Vec::new()))
}

/// A key for the management API of a running server.
pub(super) fn api_key(server: &Server) -> anyhow::Result<String> {
    let created = capture(&mut server.beside(&["api-key", "create", "--json"]))?;
    let created: Value = serde_json::from_str(&created)?;
    let key = created["api_key"].as_str().map(str::to_owned);
    key.context("`roster api-key create` printed no key")
}

/// So many users in each of these directories.
fn create_users(
    client: &Client,
    server: &Server,
    crowds: &mut [Crowd],
    count: usize,
) -> anyhow::Result<()> {
    let mut jobs = Vec::new();
    for place in 0..crowds.len() {
        for first in (0..count).step_by(USERS_AT_ONCE) {
            jobs.push((place, first..count.min(first + USERS_AT_ONCE)));
        }
    }
    let each = count.min(USERS_AT_ONCE);
    let progress = Progress::of("creating users", crowds.len() * count, each);
    for some in jobs.chunks(REQUESTS_AT_ONCE) {
        let works = some
            .iter()
            .map(|(place, people)| vec![bulk(&crowds[*place], people.clone())])
            .collect();
        let answers = client.collect(&[server.address()], CONNECTIONS, works, &progress)?;
        for ((place, people), answer) in some.iter().zip(answers) {
            let created = created(&answer)?;
            anyhow::ensure!(created.len() == people.len(), "not everybody was created");
            crowds[*place].ids.extend(created);
        }
    }
    for crowd in crowds {
        let (path, token) = (crowd.path.clone(), crowd.token.clone());
        *crowd = Crowd::new(path, token, std::mem::take(&mut crowd.ids), Vec::new());
    }
    Ok(())
}

fn bulk(crowd: &Crowd, people: std::ops::Range<usize>) -> Request {
    let mut body = String::with_capacity(people.len() * 1_100);
    body += r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"Operations":["#;
    for (place, number) in people.enumerate() {
        let comma = if place == 0 { "" } else { "," };
        let user = person::body(number);
        write!(
            body,
            r#"{comma}{{"method":"POST","path":"/Users","bulkId":"{number}","data":{user}}}"#
        )
        .expect("text takes what is written");
    }
    body += "]}";
    crowd.request("POST", "/Bulk", &body, 200)
}

/// The ids that a bulk request was answered with, in its order.
fn created(answer: &[u8]) -> anyhow::Result<Vec<String>> {
    let answer: Value = serde_json::from_slice(answer).context("a bulk answer is not JSON")?;
    let operations = answer["Operations"].as_array().context("a bulk answer has no operations")?;
    let id = |operation: &Value| {
        let (_, id) = operation["location"].as_str()?.rsplit_once('/')?;
        (operation["status"] == "201").then(|| id.to_owned())
    };
    operations
        .iter()
        .map(|it| id(it).with_context(|| format!("a user was not created: {it}")))
        .collect()
}

fn create_groups(client: &Client, server: &Server, crowd: &mut Crowd) -> anyhow::Result<()> {
    let people = crowd.ids.len();
    let grown = GROUPS.into_iter().filter(|members| members + LEFT <= people);
    let mut wanted: Vec<_> = grown.map(|members| (format!("{members} members"), members)).collect();
    let replaced = REPLACED_MEMBERS.min(people / 2);
    wanted.extend([REPLACED, REPLACED_A_LITTLE].map(|name| (name.to_owned(), replaced)));
    let total = wanted.iter().map(|(_, members)| members).sum();
    let progress = Progress::of("filling groups", total, MEMBERS_AT_ONCE);
    for (name, members) in wanted {
        let ids: Vec<_> = (0..members).map(|place| crowd.member(place)).collect();
        let mut parts = ids.chunks(MEMBERS_AT_ONCE);
        let body = group_body(&name, parts.next().unwrap_or_default());
        let create = crowd.request("POST", "/Groups?excludedAttributes=members", &body, 201);
        let created = client.ask(server.address(), &create)?;
        let created: Value = serde_json::from_slice(&created.body)?;
        let id = created["id"].as_str().context("a group has no id")?.to_owned();
        progress.step();
        for part in parts {
            let path = format!("/Groups/{id}");
            let add = crowd.request("PATCH", &path, &add_body(part), 204);
            client.ask(server.address(), &add)?;
            progress.step();
        }
        crowd.groups.push(Group::new(id, name, members));
    }
    Ok(())
}

/// Directories of a running server, with nobody in them.
pub(super) fn create_directories(
    client: &Client,
    server: &Server,
    api_key: &str,
    count: usize,
) -> anyhow::Result<Vec<Crowd>> {
    let post = |path: &str, body: Value| {
        request(("POST", &format!("/api/v1{path}")), api_key, &body.to_string(), 201)
    };
    let organization = post("/organizations", json!({ "name": "Example" }));
    let organization = client.ask(server.address(), &organization)?;
    let organization = text(&organization.body, "id")?;
    let all = |what: &str, requests: Vec<Request>| {
        let progress = Progress::of(what, count, 1);
        let works = requests.into_iter().map(|it| vec![it]).collect();
        client.collect(&[server.address()], 16, works, &progress)
    };
    let path = format!("/organizations/{organization}/directories");
    let directory = |it| post(&path, json!({ "name": format!("Okta {it}"), "provider": "okta" }));
    let directories = all("creating directories", (0..count).map(directory).collect())?;
    let ids: Vec<_> = directories.iter().map(|it| text(it, "id")).collect::<anyhow::Result<_>>()?;
    let token = |id: &String| post(&format!("/directories/{id}/tokens"), json!({}));
    let tokens = all("creating tokens", ids.iter().map(token).collect())?;
    let path = |body: &[u8]| -> anyhow::Result<String> {
        let url = text(body, "base_url")?;
        let (_, path) = url
            .split_once(&server.address().to_string())
            .context("the base URL is not that of the server")?;
        Ok(path.to_owned())
    };
    directories
        .iter()
        .zip(&tokens)
        .map(|(directory, answer)| {
            Ok(Crowd::new(path(directory)?, text(answer, "token")?, Vec::new(), Vec::new()))
        })
        .collect()
}

/// A member of a JSON object that is text.
fn text(body: &[u8], name: &str) -> anyhow::Result<String> {
    let body: Value = serde_json::from_slice(body).context("an answer is not JSON")?;
    let text = body[name].as_str().map(str::to_owned);
    text.with_context(|| format!("an answer has no `{name}`: {body}"))
}

/// Writes beside the database what is known of it.
fn keep(place: &Path, api_key: &str, crowds: &[Crowd]) -> anyhow::Result<()> {
    let group = |it: &Group| json!({ "id": it.id, "name": it.name, "members": it.members });
    let crowd = |it: &Crowd| {
        let groups: Vec<_> = it.groups.iter().map(group).collect();
        json!({ "path": it.path, "token": it.token, "people": it.ids.len(), "groups": groups })
    };
    let crowds_known: Vec<_> = crowds.iter().map(crowd).collect();
    let known = json!({ "api_key": api_key, "crowds": crowds_known });
    fs::write(place.join("seed.json"), known.to_string())?;
    let ids: Vec<_> = crowds.iter().flat_map(|it| it.ids.iter().map(String::as_str)).collect();
    Ok(fs::write(place.join("ids"), ids.join("\n"))?)
}

fn read(place: &Path, database: String) -> anyhow::Result<Seed> {
    let broken = || format!("`{}` is broken: remove it", place.display());
    let known = fs::read_to_string(place.join("seed.json")).with_context(broken)?;
    let known: Value = serde_json::from_str(&known).with_context(broken)?;
    let ids = fs::read_to_string(place.join("ids")).with_context(broken)?;
    let mut ids = ids.lines().map(str::to_owned);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let number = |value: &Value| value.as_u64().and_then(|it| usize::try_from(it).ok());
    let group = |it: &Value| {
        Some(Group::new(text(&it["id"])?, text(&it["name"])?, number(&it["members"])?))
    };
    let mut crowd = |it: &Value| {
        let ids = ids.by_ref().take(number(&it["people"])?).collect();
        let groups = it["groups"].as_array()?.iter().map(group).collect::<Option<_>>()?;
        Some(Crowd::new(text(&it["path"])?, text(&it["token"])?, ids, groups))
    };
    let crowds = known["crowds"].as_array().and_then(|all| all.iter().map(&mut crowd).collect());
    Ok(Seed {
        data: place.join("data"),
        database,
        api_key: text(&known["api_key"]).with_context(broken)?,
        crowds: crowds.with_context(broken)?,
    })
}
