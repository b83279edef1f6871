//! Everything that is measured, running: a server for each place that a scenario names, started
//! when the first scenario needs it.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::Context as _;

use crate::{
    bench::{
        Effort,
        bare::Bare,
        client::{Client, Request, Work},
        engine::{Databases, Engine, RawDatabase},
        figures::{Figures, Round, Spread},
        process,
        progress::Progress,
        requests::{Crowd, request},
        roles::{self, Roles},
        scenarios::{Commits, Load, PAGE, Part, Place, Scenario, Who},
        seed::{self, Kind, REPLACED, REPLACED_A_LITTLE, Seed},
    },
    command::say,
    server::Server,
};

/// Directories where there are many.
const DIRECTORIES: usize = 1_000;

/// Events of a request.
const EVENTS: usize = 1_000;

/// Works from which on it is said how far a round has come.
const LONG: usize = 20_000;

/// A server, by what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spot {
    /// Nobody in the beginning.
    Fresh(&'static str),
    Users(usize),
    Directories,
    /// So many in the beginning, with a request log or without.
    Log {
        users: usize,
        is_kept: bool,
    },
}

/// Users of a directory in which there is room for more.
const ROOMY: usize = 100_000;

/// What one side of a scenario is, here.
#[derive(Clone, Debug)]
pub(super) struct Running {
    /// For goals.
    pub(super) key: &'static str,
    /// For the table.
    pub(super) label: String,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Roster(Spot, Load),
    Raw(Commits),
    Bare,
}

/// What came of a scenario.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) scenario: &'static Scenario,
    pub(super) sides: Vec<Running>,
    pub(super) figures: Figures,
    /// The most resident memory of each side's server meanwhile, in MiB, where it is Roster.
    pub(super) peaks: Vec<Option<f64>>,
}

/// How a server starts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub(super) spot: Spot,
    /// Milliseconds from the start of the process to its first answer that it is ready.
    pub(super) ready: Spread,
    /// Resident memory then, in MiB.
    pub(super) idle: Spread,
}

#[derive(Debug)]
struct Standing {
    spot: Spot,
    /// All on one database. Connections are spread over them.
    nodes: Vec<Server>,
    /// What that is called.
    database: String,
    api_key: String,
    crowds: Vec<Crowd>,
    /// Of every page of the list of everybody, where it was walked through.
    cursors: Vec<String>,
    /// Requests for the feed.
    feed: Option<Rc<[Work]>>,
    /// Of the first crowd.
    roles: Roles,
}

#[derive(Debug)]
pub(super) struct Stage {
    binary: PathBuf,
    folder: PathBuf,
    engine: Engine,
    /// Servers of one database.
    nodes: usize,
    effort: Effort,
    /// Numbers of users, the fewest first.
    sizes: Vec<usize>,
    client: Client,
    bare: Bare,
    standing: Vec<Standing>,
    raw: Option<(Spot, RawDatabase)>,
    pub(super) starts: Vec<Start>,
    /// After the servers, which use it to their end.
    databases: Databases,
}

impl Running {
    /// Whether it is Roster, there.
    pub(super) fn is_at(&self, spot: Spot) -> bool {
        matches!(self.what, What::Roster(at, _) if at == spot)
    }
}

impl Stage {
    pub(super) fn set(
        root: &Path,
        (engine, nodes): (Engine, usize),
        effort: Effort,
        sizes: Vec<usize>,
    ) -> anyhow::Result<Stage> {
        let folder = root.join(super::FOLDER);
        let databases = Databases::of(engine, &folder)?;
        let stage = Stage {
            binary: root.join("target/release/roster"),
            folder,
            engine,
            nodes,
            effort,
            sizes,
            client: Client::new()?,
            bare: Bare::start()?,
            standing: Vec::new(),
            raw: None,
            starts: Vec::new(),
            databases,
        };
        let run = stage.run();
        if run.exists() {
            fs::remove_dir_all(&run).context("the last run's folder cannot be removed")?;
        }
        fs::create_dir_all(&run).context("there is no place for the databases")?;
        Ok(stage)
    }

    /// Where the databases of this run are. Gone when it is over.
    fn run(&self) -> PathBuf {
        self.folder.join("run")
    }

    /// Members that a PUT of all members names, of the server with the most users.
    pub(super) fn replaced_members(&self) -> usize {
        let groups = self.standing.iter().flat_map(|it| &it.crowds).flat_map(|it| &it.groups);
        groups.filter(|it| it.name == REPLACED).map(|it| it.members).max().unwrap_or_default()
    }

    pub(super) fn play(&mut self, scenario: &'static Scenario) -> anyhow::Result<Played> {
        let sides = self.sides(scenario)?;
        let mut figures = Figures::of(sides.len());
        for side in &sides {
            if let What::Roster(spot, _) = side.what {
                for id in self.stand(spot)?.process_ids() {
                    process::forget_peak(id)?;
                }
            }
        }
        let rounds = self.effort.rounds.min(scenario.rounds_max);
        // What is measured once is not warmed up: a second time would not be a first import.
        let first = usize::from(rounds == 1);
        for round in first..=rounds {
            let begun = Instant::now();
            let measured = self.round(scenario, &sides)?;
            let speeds: Vec<_> = sides
                .iter()
                .zip(&measured)
                .map(|(side, round)| format!("{} {:.0}/s", side.label, round.speed()))
                .collect();
            let which = match round {
                0 => "warm-up".to_owned(),
                _ => format!("{round}/{rounds}"),
            };
            let left = begun.elapsed().as_secs_f64() * f64::from(u32::try_from(rounds - round)?);
            say(format_args!("   {which:<8} {}; {left:.0} s to go", speeds.join(", ")));
            if round >= 1 {
                figures.add(measured);
            }
        }
        let mut peaks = Vec::new();
        for side in &sides {
            peaks.push(match side.what {
                What::Roster(spot, _) => {
                    let mut most = 0.0;
                    for id in self.stand(spot)?.process_ids() {
                        most = f64::max(most, process::memory(id)?.peak);
                    }
                    Some(most)
                }
                _ => None,
            });
        }
        self.check()?;
        Ok(Played { scenario, sides, figures, peaks })
    }

    /// The sides of a scenario that are possible with these numbers of users.
    fn sides(&mut self, scenario: &Scenario) -> anyhow::Result<Vec<Running>> {
        let largest = self.sizes[self.sizes.len() - 1];
        let mut sides = Vec::new();
        for side in scenario.sides {
            let roster = |key, spot, load| {
                let label = match spot {
                    Spot::Users(users) => format!("{}, {} users", side.name, thousands(users)),
                    _ => side.name.to_owned(),
                };
                Running { key, label, what: What::Roster(spot, load) }
            };
            let other = |what| Running { key: side.name, label: side.name.to_owned(), what };
            match side.who {
                Who::Roster(Place::Each, load) => {
                    for (place, users) in self.sizes.iter().enumerate() {
                        let key = match place {
                            0 => "smallest",
                            _ if place + 1 == self.sizes.len() => "largest",
                            _ => "between",
                        };
                        sides.push(roster(key, Spot::Users(*users), load));
                    }
                }
                Who::Roster(place, load) => {
                    let spot = match place {
                        Place::Fresh(name) => Spot::Fresh(name),
                        Place::Each | Place::Largest => Spot::Users(largest),
                        Place::UpTo(most) => Spot::Users(self.up_to(most)),
                        Place::Log(is_kept) => Spot::Log { users: self.up_to(ROOMY), is_kept },
                        Place::Directories => Spot::Directories,
                    };
                    if group_of(&self.stand(spot)?.crowds[0], load).is_some() {
                        sides.push(roster(side.name, spot, load));
                    }
                }
                Who::RawDatabase { on, commits } => {
                    if on.is_none_or(|on| on == self.engine) {
                        sides.push(other(What::Raw(commits)));
                    }
                }
                Who::BareHttp => sides.push(other(What::Bare)),
            }
        }
        Ok(sides)
    }

    /// The most users of those that are no more than so many, or else the fewest.
    fn up_to(&self, most: usize) -> usize {
        let fitting = self.sizes.iter().rev().find(|users| **users <= most);
        *fitting.unwrap_or(&self.sizes[0])
    }

    /// Each side once, in the order of the table.
    fn round(&mut self, scenario: &Scenario, sides: &[Running]) -> anyhow::Result<Vec<Round>> {
        let mut rounds = Vec::with_capacity(sides.len());
        let mut first: Option<(Spot, Load, Rc<[Work]>)> = None;
        for side in sides {
            rounds.push(match side.what {
                What::Roster(spot, load) => {
                    let count = self.effort.works(scenario, load);
                    let works = self.prepare(spot, load, count)?;
                    let progress = if works.len() >= LONG {
                        Progress::of(scenario.name, works.len(), 1)
                    } else {
                        Progress::none()
                    };
                    let standing = self.stand(spot)?;
                    let (addresses, ids) = (standing.addresses(), standing.process_ids());
                    first.get_or_insert_with(|| (spot, load, Rc::clone(&works)));
                    let round =
                        self.drive(&addresses, &ids, scenario.connections, &works, &progress)?;
                    if load == Load::MixedBesideRoles {
                        self.check_roles(spot)?;
                    }
                    round
                }
                What::Raw(commits) => {
                    let (spot, ..) = *first.as_ref().context("Roster is the first side")?;
                    let raw = self.raw.as_mut().filter(|(of, _)| *of == spot);
                    // What Roster has just kept is what the raw database keeps now, row by row.
                    raw.context("nothing is kept beside this")?.1.follow(commits)?
                }
                What::Bare => {
                    let (spot, load, works) = first.clone().context("Roster is the first side")?;
                    let sample = self.sample(spot, load, &works)?;
                    let address = self.stand(spot)?.addresses()[0];
                    self.bare.answer_as(&self.client.ask(address, &sample)?);
                    // It is served by this process.
                    let (bare, soon) = (self.bare.address(), Progress::none());
                    self.drive(&[bare], &[], scenario.connections, &works, &soon)?
                }
            });
        }
        Ok(rounds)
    }

    /// Has the works done, and sees what processor time that costs this process and those with
    /// these ids.
    fn drive(
        &self,
        addresses: &[SocketAddr],
        servers: &[u32],
        connections: usize,
        works: &Rc<[Work]>,
        progress: &Progress,
    ) -> anyhow::Result<Round> {
        let used = || {
            let all = servers.iter().copied().chain([std::process::id()]);
            all.map(process::processor_time).sum::<anyhow::Result<Duration>>()
        };
        let before = used()?;
        let round = self.client.drive(addresses, connections, works, progress)?;
        Ok(Round { processor: Some(used()?.saturating_sub(before)), ..round })
    }

    /// Everybody's roles were looked at all the while.
    fn check_roles(&mut self, spot: Spot) -> anyhow::Result<()> {
        let place = self.place(spot)?;
        let (client, standing) = (&self.client, &self.standing[place]);
        let (address, crowd) = (standing.nodes[0].address(), &standing.crowds[0]);
        let progress = roles::progress(client, address, &standing.api_key, crowd)?;
        let (done, total) = progress.context("everybody was looked at before the load was over")?;
        say(format_args!("            the roles of {done} of {total} people were looked at"));
        Ok(())
    }

    /// A request like those that were sent, whose answer is like theirs.
    fn sample(&mut self, spot: Spot, load: Load, works: &[Work]) -> anyhow::Result<Request> {
        Ok(match load {
            // A second creation of the same person would be refused.
            Load::Create => self.stand(spot)?.crowds[0].create(),
            _ => works[0][0].clone(),
        })
    }

    /// The works of a side for one round. What has to happen before them is done.
    fn prepare(&mut self, spot: Spot, load: Load, count: usize) -> anyhow::Result<Rc<[Work]>> {
        let place = self.place(spot)?;
        let (client, standing) = (&self.client, &mut self.standing[place]);
        standing.prepare(client, load, count)
    }

    /// The server at this spot, started where it is not yet.
    fn stand(&mut self, spot: Spot) -> anyhow::Result<&mut Standing> {
        let place = self.place(spot)?;
        Ok(&mut self.standing[place])
    }

    fn place(&mut self, spot: Spot) -> anyhow::Result<usize> {
        if let Some(place) = self.standing.iter().position(|it| it.spot == spot) {
            return Ok(place);
        }
        let standing = match spot {
            Spot::Fresh(_) => self.start_fresh(spot)?,
            Spot::Users(users) | Spot::Log { users, .. } => {
                self.start_seeded(spot, Kind::Users(users))?
            }
            Spot::Directories => self.start_seeded(spot, Kind::Directories(DIRECTORIES))?,
        };
        if matches!(spot, Spot::Fresh("create" | "create over 100 directories")) {
            let data = self.data(self.standing.len());
            let raw = self.databases.raw(&data, &standing.database, &self.run())?;
            self.raw = Some((spot, raw));
        }
        self.standing.push(standing);
        Ok(self.standing.len() - 1)
    }

    /// The data folder of the server that is started as the how manieth.
    fn data(&self, place: usize) -> PathBuf {
        self.run().join(format!("data-{place}"))
    }

    fn start_fresh(&mut self, spot: Spot) -> anyhow::Result<Standing> {
        let (data, name) = (self.data(self.standing.len()), format!("run_{}", self.standing.len()));
        let nodes = self.start_often(spot, &data, |stage| {
            if data.exists() {
                fs::remove_dir_all(&data).context("an empty database cannot be removed")?;
            }
            stage.databases.create(&name)
        })?;
        let api_key = seed::api_key(&nodes[0])?;
        let crowds = match spot {
            Spot::Fresh("create over 100 directories") => {
                seed::create_directories(&self.client, &nodes[0], &api_key, 100)?
            }
            _ => vec![seed::directory(&nodes[0])?],
        };
        Ok(Standing::new(spot, nodes, name, api_key, crowds))
    }

    fn start_seeded(&mut self, spot: Spot, kind: Kind) -> anyhow::Result<Standing> {
        let of = (self.engine, &self.databases);
        let seed = seed::find(&self.binary, &self.folder, of, kind, &self.client)?;
        let Seed { data, database, api_key, crowds } = seed;
        let (copy, name) = (self.data(self.standing.len()), format!("run_{}", self.standing.len()));
        if self.engine == Engine::Sqlite {
            copy_folder(&data, &copy).context("the seed is not copied")?;
        }
        let url = self.databases.copy(&database, &name).context("the seed is not copied")?;
        let nodes = self.start_often(spot, &copy, |_| Ok(url.clone()))?;
        Ok(Standing::new(spot, nodes, name, api_key, crowds))
    }

    /// Starts a server again and again, to see how long that takes and what it needs then. The last
    /// one stays, and the other nodes beside it.
    fn start_often(
        &mut self,
        spot: Spot,
        data: &Path,
        prepare: impl Fn(&Stage) -> anyhow::Result<Option<String>>,
    ) -> anyhow::Result<Vec<Server>> {
        let (mut ready, mut idle) = (Vec::new(), Vec::new());
        loop {
            let url = prepare(self)?;
            let begun = Instant::now();
            let server = start(spot, &self.binary, data, url.clone())?;
            let is_ready = request(("GET", "/ready"), "", "", 200);
            self.client.ask(server.address(), &is_ready)?;
            ready.push(milliseconds(begun.elapsed()));
            idle.push(process::memory(server.process_id())?.resident);
            if ready.len() < self.effort.rounds {
                server.stop()?;
                continue;
            }
            let (ready, idle) = (Spread::of(ready.into_iter()), Spread::of(idle.into_iter()));
            self.starts.push(Start { spot, ready, idle });
            let mut nodes = vec![server];
            for _ in 1..self.nodes {
                nodes.push(start(spot, &self.binary, data, url.clone())?);
            }
            return Ok(nodes);
        }
    }

    /// Everybody who was created is there, on both sides.
    fn check(&mut self) -> anyhow::Result<()> {
        let Some((spot, raw)) = &mut self.raw else { return Ok(()) };
        let standing = self.standing.iter().find(|it| it.spot == *spot);
        let crowds = &standing.context("the raw database is a copy of it")?.crowds;
        let people: usize = crowds.iter().map(Crowd::people).sum();
        raw.follow(Commits::Of(16))?;
        let (kept, raw) = raw.users()?;
        anyhow::ensure!(
            kept == people && raw == people,
            "{people} people were created, and {kept} are kept by Roster and {raw} by the raw \
             database"
        );
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.standing.clear();
        // The next run removes it otherwise.
        let _ = fs::remove_dir_all(self.run());
    }
}

impl Standing {
    fn new(
        spot: Spot,
        nodes: Vec<Server>,
        database: String,
        api_key: String,
        crowds: Vec<Crowd>,
    ) -> Standing {
        let (cursors, feed, roles) = (Vec::new(), None, Roles::default());
        Standing { spot, nodes, database, api_key, crowds, cursors, feed, roles }
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(Server::address).collect()
    }

    fn process_ids(&self) -> Vec<u32> {
        self.nodes.iter().map(Server::process_id).collect()
    }

    fn prepare(&mut self, client: &Client, load: Load, count: usize) -> anyhow::Result<Rc<[Work]>> {
        let address = self.nodes[0].address();
        let one = |request| vec![request];
        let people = self.crowds[0].ids.len();
        // There are not more pages than this.
        let pages = count.min(people / PAGE);
        let crowd = &mut self.crowds[0];
        let group = group_of(crowd, load).context("the scenario was not skipped")?;
        let works: Vec<Work> = match load {
            Load::Create => {
                let over = self.crowds.len();
                (0..count).map(|it| one(self.crowds[it % over].create())).collect()
            }
            Load::Import => (0..count).map(|_| crowd.import()).collect(),
            Load::Get => (0..count).map(|_| one(crowd.get())).collect(),
            Load::Filter => (0..count).map(|_| one(crowd.find())).collect(),
            Load::Put => (0..count).map(|_| one(crowd.put())).collect(),
            Load::PatchActive => (0..count).map(|_| one(crowd.patch_active())).collect(),
            Load::WalkByIndex(part) => {
                let skipped = skipped(part, people, pages);
                if let Some(before) = skipped.checked_sub(PAGE) {
                    // From here on the client walks in order.
                    client.ask(address, &crowd.page(before + 1, PAGE))?;
                }
                (0..pages).map(|it| one(crowd.page(skipped + it * PAGE + 1, PAGE))).collect()
            }
            Load::JumpByIndex => {
                let near_the_end = people.min(people / 20 + PAGE);
                let jump = |_| {
                    let back = crowd.any(near_the_end - PAGE) + PAGE;
                    one(crowd.page(people - back + 1, PAGE))
                };
                (0..count).map(jump).collect()
            }
            Load::WalkByCursor(part) => {
                if self.cursors.is_empty() {
                    self.cursors = walk_by_cursor(client, address, crowd)?;
                }
                let first = skipped(part, self.cursors.len() * PAGE, count) / PAGE;
                let cursors = self.cursors[first..].iter().take(count);
                cursors.map(|cursor| one(crowd.page_after(cursor, PAGE))).collect()
            }
            Load::Feed => {
                if self.feed.is_none() {
                    let works = follow_the_feed(client, address, &self.api_key, count)?;
                    self.feed = Some(works.into());
                }
                return Ok(Rc::clone(self.feed.as_ref().expect("it was followed")));
            }
            Load::AddMember(_) => (0..count).map(|_| one(crowd.add_member(group))).collect(),
            Load::RemoveMember(_) => {
                while crowd.added(group) < count {
                    client.ask(address, &crowd.add_member(group))?;
                }
                (0..count).map(|_| one(crowd.remove_member(group))).collect()
            }
            Load::ReplaceMembers { one_in } => {
                (0..count).map(|_| one(crowd.replace_members(group, one_in))).collect()
            }
            Load::Mixed | Load::MixedBesideRoles => {
                self.roles.wait(client, address, &self.api_key, &self.crowds[0])?;
                if load == Load::MixedBesideRoles {
                    self.roles.say_anew(client, address, &self.api_key, &self.crowds[0])?;
                }
                (0..count).map(|it| one(self.any_of_everything(it))).collect()
            }
        };
        Ok(works.into())
    }

    /// A request to one of many directories: twelve that read to eight that write.
    fn any_of_everything(&mut self, place: usize) -> Request {
        let crowds = self.crowds.len();
        let which = self.crowds[0].any(crowds);
        let crowd = &mut self.crowds[which];
        match place % 20 {
            0..6 => crowd.get(),
            6..10 => crowd.find(),
            10..12 => crowd.page(1, PAGE),
            12..16 => crowd.patch_active(),
            16..18 => crowd.put(),
            _ => crowd.create(),
        }
    }
}

/// A server as it is at this spot.
fn start(spot: Spot, binary: &Path, data: &Path, url: Option<String>) -> anyhow::Result<Server> {
    let arguments: &[&str] = match spot {
        Spot::Log { is_kept: false, .. } => &["--keep-requests-days", "0"],
        _ => &[],
    };
    Server::start_with(binary, data, url, arguments)
}

/// Which group a load is about; the first where it is about none. `None` where there is none such.
fn group_of(crowd: &Crowd, load: Load) -> Option<usize> {
    let named = |name: &str| crowd.groups.iter().position(|it| it.name == name);
    match load {
        Load::AddMember(members) | Load::RemoveMember(members) => {
            named(&format!("{members} members"))
        }
        Load::ReplaceMembers { one_in: 1 } => named(REPLACED),
        Load::ReplaceMembers { .. } => named(REPLACED_A_LITTLE),
        _ => Some(0),
    }
}

/// How many people stand before the first of a part of so many pages.
fn skipped(part: Part, people: usize, pages: usize) -> usize {
    match part {
        Part::First => 0,
        Part::Middle => people / 2,
        Part::Last => people.saturating_sub(pages * PAGE),
    }
}

/// The cursor of each page of the list of everybody. That of the first is empty.
fn walk_by_cursor(
    client: &Client,
    address: SocketAddr,
    crowd: &Crowd,
) -> anyhow::Result<Vec<String>> {
    let mut cursors = vec![String::new()];
    let progress = Progress::of("walking by cursor", crowd.ids.len(), PAGE);
    loop {
        let cursor = &cursors[cursors.len() - 1];
        // Nothing is wanted but the next cursor.
        let path = format!("/Users?cursor={cursor}&count={PAGE}&attributes=userName");
        let answer = client.ask(address, &crowd.request("GET", &path, "", 200))?;
        match after(&answer.body, "\"nextCursor\":\"") {
            Some(next) => cursors.push(next),
            None => return Ok(cursors),
        }
        progress.step();
    }
}

/// Requests for the first events of the feed.
fn follow_the_feed(
    client: &Client,
    address: SocketAddr,
    api_key: &str,
    count: usize,
) -> anyhow::Result<Vec<Work>> {
    let mut works = Vec::new();
    let mut path = format!("/api/v1/events?limit={EVENTS}");
    for _ in 0..count {
        let events = request(("GET", &path), api_key, "", 200);
        let answer = client.ask(address, &events)?;
        works.push(vec![events]);
        if after(&answer.body, "\"has_more\":").is_some_and(|it| it.starts_with("false")) {
            break;
        }
        let next = after(&answer.body, "\"next\":\"").context("the feed tells no cursor")?;
        path = format!("/api/v1/events?limit={EVENTS}&after={next}");
    }
    Ok(works)
}

/// What stands behind the last of these words, up to the next quotation mark.
fn after(body: &[u8], words: &str) -> Option<String> {
    let body = std::str::from_utf8(body).ok()?;
    let rest = &body[body.rfind(words)? + words.len()..];
    Some(rest.split('"').next()?.to_owned())
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// A number as people read it: `1,000,000`.
pub(super) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_in_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), text);
        }
    }

    #[test]
    fn a_cursor_is_found_in_an_answer() {
        let body = br#"{"totalResults":9,"nextCursor":"abc.1","Resources":[{"nextCursor":1}]}"#;
        assert_eq!(after(body, "\"nextCursor\":\"").as_deref(), Some("abc.1"));
        assert_eq!(after(body, "\"next\":\""), None);
    }

    #[test]
    fn the_last_pages_are_the_last() {
        assert_eq!(skipped(Part::First, 10_000, 40), 0);
        assert_eq!(skipped(Part::Middle, 10_000, 40), 5_000);
        assert_eq!(skipped(Part::Last, 10_000, 40), 6_000);
    }
}
