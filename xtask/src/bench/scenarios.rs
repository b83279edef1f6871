//! What is measured, and what must come of it, as two tables. A new scenario is an entry of
//! [`SCENARIOS`], a new promise one of [`GOALS`].

use crate::bench::{engine::Engine, figures::Spread};

/// One thing that is measured: the same load on each side, one after the other, in every round.
#[derive(Debug)]
pub(crate) struct Scenario {
    /// For `--only`.
    pub(crate) name: &'static str,
    /// For the table.
    pub(crate) what: &'static str,
    /// Connections, each of which sends its next request when the last is answered.
    pub(crate) connections: usize,
    /// How much each side does in a round of a full run.
    pub(crate) works: usize,
    /// Rounds at most, where one round is long or cannot be repeated.
    pub(crate) rounds_max: usize,
    /// What is compared with the first of them.
    pub(crate) sides: &'static [Side],
}

/// One side of a scenario.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side {
    /// For goals and the table.
    pub(crate) name: &'static str,
    pub(crate) who: Who,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Who {
    Roster(Place, Load),
    /// The database alone, in this process, keeping the very rows that Roster has just kept.
    RawDatabase {
        /// Where it is a side at all.
        on: Option<Engine>,
        commits: Commits,
    },
    /// HTTP alone: the requests of the first side, answered with the same bytes and nothing done.
    BareHttp,
}

/// How many users the raw database keeps in one commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Commits {
    Of(usize),
    /// Those that Roster had together, in its order: PostgreSQL says of each row in which transaction
    /// it was kept. SQLite does not.
    LikeRoster,
}

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// One that had nobody when the scenario began. Each name has its own.
    Fresh(&'static str),
    /// The one with the most users, of `--users`.
    Largest,
    /// The one with the most users of those that have no more than so many, or else the smallest: where
    /// users are added, a full directory would refuse them.
    UpTo(usize),
    /// Each of `--users` is a side of its own: the first is called `smallest`, the last `largest`.
    Each,
    /// The one with many directories.
    Directories,
    /// One of its own with a directory in which there is still room, that takes its requests down or
    /// does not.
    Log(bool),
}

/// What a server is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    Create,
    /// Look up by name, then create: a person counts once.
    Import,
    Get,
    /// By `userName`.
    Filter,
    /// Pages of 100 that follow each other.
    WalkByIndex(Part),
    WalkByCursor(Part),
    /// Pages of 100 near the end, to which nobody has walked.
    JumpByIndex,
    Put,
    PatchActive,
    /// To the group of so many.
    AddMember(usize),
    RemoveMember(usize),
    /// A PUT of all members of a group, of whom one in so many is another.
    ReplaceMembers {
        one_in: usize,
    },
    /// A thousand events at a time.
    Feed,
    /// Of everything a little, over all directories.
    Mixed,
    /// The same, while everybody's roles are looked at.
    MixedBesideRoles,
}

/// Which part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    First,
    Middle,
    Last,
}

/// Resources of a page that is asked for.
pub(crate) const PAGE: usize = 100;

const RAW: &str = "raw database, 16 rows a commit";
const RAW_LIKE_ROSTER: &str = "raw database, the same commits";
const LOGGED: &str = "with a request log";
const UNLOGGED: &str = "without";
const ALWAYS: usize = usize::MAX;
const BARE: Side = Side { name: "bare axum", who: Who::BareHttp };

/// The same load with a request log and without.
const fn logged(load: Load) -> [Side; 2] {
    [roster(LOGGED, Place::Log(true), load), roster(UNLOGGED, Place::Log(false), load)]
}

const fn roster(name: &'static str, place: Place, load: Load) -> Side {
    Side { name, who: Who::Roster(place, load) }
}

const fn raw(name: &'static str, on: Option<Engine>, commits: Commits) -> Side {
    Side { name, who: Who::RawDatabase { on, commits } }
}

/// In the order in which they are run: those that read come before those that grow what is read.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "create",
        what: "creating users, 16 connections",
        connections: 16,
        works: 5_000,
        rounds_max: ALWAYS,
        sides: &[
            roster("Roster", Place::Fresh("create"), Load::Create),
            raw(RAW, None, Commits::Of(16)),
            BARE,
        ],
    },
    Scenario {
        name: "create-one",
        what: "creating users, one connection",
        connections: 1,
        works: 1_000,
        rounds_max: ALWAYS,
        sides: &[
            roster("Roster", Place::Fresh("create"), Load::Create),
            raw("raw database, a row a commit", None, Commits::Of(1)),
            BARE,
        ],
    },
    Scenario {
        name: "create-many",
        what: "creating users over 100 directories, 16 connections",
        connections: 16,
        works: 5_000,
        rounds_max: ALWAYS,
        sides: &[
            roster("Roster", Place::Fresh("create over 100 directories"), Load::Create),
            raw(RAW, Some(Engine::Sqlite), Commits::Of(16)),
            raw(RAW_LIKE_ROSTER, Some(Engine::Postgres), Commits::LikeRoster),
        ],
    },
    Scenario {
        name: "get",
        what: "getting a user by id, 16 connections",
        connections: 16,
        works: 10_000,
        rounds_max: ALWAYS,
        sides: &[roster("Roster", Place::Each, Load::Get), BARE],
    },
    Scenario {
        name: "filter",
        what: "finding a user by `userName`, 16 connections",
        connections: 16,
        works: 10_000,
        rounds_max: ALWAYS,
        sides: &[roster("Roster", Place::Each, Load::Filter), BARE],
    },
    Scenario {
        name: "page-index",
        what: "pages of 100 by `startIndex`, in order, one connection",
        connections: 1,
        works: 200,
        rounds_max: ALWAYS,
        sides: &[
            roster("first", Place::Largest, Load::WalkByIndex(Part::First)),
            roster("middle", Place::Largest, Load::WalkByIndex(Part::Middle)),
            roster("last", Place::Largest, Load::WalkByIndex(Part::Last)),
            roster("a jump to the end", Place::Largest, Load::JumpByIndex),
            BARE,
        ],
    },
    Scenario {
        name: "page-cursor",
        what: "pages of 100 by cursor, one connection",
        connections: 1,
        works: 200,
        rounds_max: ALWAYS,
        sides: &[
            roster("first", Place::Largest, Load::WalkByCursor(Part::First)),
            roster("middle", Place::Largest, Load::WalkByCursor(Part::Middle)),
            roster("last", Place::Largest, Load::WalkByCursor(Part::Last)),
            BARE,
        ],
    },
    Scenario {
        name: "feed",
        what: "reading the feed, 1,000 events a request, one connection",
        connections: 1,
        works: 50,
        rounds_max: ALWAYS,
        sides: &[roster("Roster", Place::Each, Load::Feed), BARE],
    },
    Scenario {
        name: "put",
        what: "replacing a user, 16 connections",
        connections: 16,
        works: 2_000,
        rounds_max: ALWAYS,
        sides: &[roster("Roster", Place::Each, Load::Put)],
    },
    Scenario {
        name: "patch",
        what: "patching `active`, 16 connections",
        connections: 16,
        works: 2_000,
        rounds_max: ALWAYS,
        sides: &[roster("Roster", Place::Each, Load::PatchActive)],
    },
    Scenario {
        name: "member-add",
        what: "adding one member to a group, one connection",
        connections: 1,
        works: 200,
        rounds_max: ALWAYS,
        sides: &[
            roster("of 1 k", Place::Largest, Load::AddMember(1_000)),
            roster("of 10 k", Place::Largest, Load::AddMember(10_000)),
            roster("of 100 k", Place::Largest, Load::AddMember(100_000)),
            roster("of 495 k", Place::Largest, Load::AddMember(495_000)),
        ],
    },
    Scenario {
        name: "member-remove",
        what: "removing one member of a group, one connection",
        connections: 1,
        works: 200,
        rounds_max: ALWAYS,
        sides: &[
            roster("of 1 k", Place::Largest, Load::RemoveMember(1_000)),
            roster("of 10 k", Place::Largest, Load::RemoveMember(10_000)),
            roster("of 100 k", Place::Largest, Load::RemoveMember(100_000)),
            roster("of 495 k", Place::Largest, Load::RemoveMember(495_000)),
        ],
    },
    Scenario {
        name: "replace-members",
        what: "a PUT of 100,000 members, one connection",
        connections: 1,
        works: 1,
        rounds_max: 5,
        sides: &[
            roster("one in 100 is another", Place::Largest, Load::ReplaceMembers { one_in: 100 }),
            roster("all are others", Place::Largest, Load::ReplaceMembers { one_in: 1 }),
        ],
    },
    Scenario {
        name: "mixed",
        what: "mixed load over 1,000 directories, 16 connections",
        connections: 16,
        works: 5_000,
        rounds_max: ALWAYS,
        sides: &[roster("Roster", Place::Directories, Load::Mixed)],
    },
    Scenario {
        name: "import",
        what: "Okta's first import of 100,000 people, 16 connections",
        connections: 16,
        works: 100_000,
        rounds_max: 1,
        sides: &[roster("Roster", Place::Fresh("import"), Load::Import)],
    },
    Scenario {
        name: "import-one",
        what: "Okta's first import of 100,000 people, one connection",
        connections: 1,
        works: 100_000,
        rounds_max: 1,
        sides: &[roster("Roster", Place::Fresh("import one by one"), Load::Import)],
    },
    Scenario {
        name: "roles",
        what: "mixed load on one directory while everybody's roles are looked at, 16 connections",
        connections: 16,
        works: 5_000,
        // After each, everybody was looked at.
        rounds_max: 3,
        sides: &[
            roster("as usual", Place::UpTo(100_000), Load::Mixed),
            roster("beside roles", Place::UpTo(100_000), Load::MixedBesideRoles),
        ],
    },
    Scenario {
        name: "log-get",
        what: "getting a user by id with a request log and without, 16 connections",
        connections: 16,
        works: 10_000,
        rounds_max: ALWAYS,
        sides: &logged(Load::Get),
    },
    Scenario {
        name: "log-patch",
        what: "patching `active` with a request log and without, 16 connections",
        connections: 16,
        works: 2_000,
        rounds_max: ALWAYS,
        sides: &logged(Load::PatchActive),
    },
    Scenario {
        name: "log-create",
        what: "creating users with a request log and without, 16 connections",
        connections: 16,
        works: 5_000,
        rounds_max: ALWAYS,
        sides: &logged(Load::Create),
    },
];

/// A figure that we hold ourselves to.
#[derive(Debug)]
pub(crate) struct Goal {
    /// `{smallest}` and `{largest}` stand for numbers of users, `{members}` for those that a PUT
    /// replaces.
    pub(crate) what: &'static str,
    /// On which engine; on each, where none is named.
    pub(crate) on: Option<Engine>,
    pub(crate) figure: Figure,
    pub(crate) bound: Bound,
}

/// Which figure.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Figure {
    /// The speed of a scenario's first side as a part of that of another.
    Ratio { scenario: &'static str, beside: &'static str },
    /// How many times what a request costs a scenario's first side it costs another.
    Cost { scenario: &'static str, side: &'static str },
    /// How many times as long the slowest of a hundred requests takes as on the scenario's first side.
    Tail { scenario: &'static str, side: &'static str },
    /// Milliseconds that one request in a hundred takes longer than.
    P99 { scenario: &'static str, side: &'static str },
    /// Seconds of one work.
    Seconds { scenario: &'static str, side: &'static str },
    /// From the start of the process to its being ready, in milliseconds: empty, or at the most
    /// users.
    Ready { is_empty: bool },
    /// Resident memory of a server that was just started, in MiB.
    IdleMemory { is_empty: bool },
    /// The most resident memory of the server with the most users, over all scenarios, in MiB.
    LoadMemory,
}

/// What it must be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    /// The median decides.
    pub(crate) fn holds(self, figure: Spread) -> bool {
        match self {
            Bound::AtLeast(least) => figure.median >= least,
            Bound::AtMost(most) => figure.median <= most,
        }
    }
}

const fn ratio(
    what: &'static str,
    scenario: &'static str,
    beside: &'static str,
    bound: Bound,
) -> Goal {
    Goal { what, on: None, figure: Figure::Ratio { scenario, beside }, bound }
}

const fn cost(what: &'static str, scenario: &'static str, side: &'static str, most: f64) -> Goal {
    Goal { what, on: None, figure: Figure::Cost { scenario, side }, bound: Bound::AtMost(most) }
}

/// As a part of what the raw database does.
const fn creates(
    what: &'static str,
    on: Engine,
    scenario: &'static str,
    beside: &'static str,
    least: f64,
) -> Goal {
    let figure = Figure::Ratio { scenario, beside };
    Goal { what, on: Some(on), figure, bound: Bound::AtLeast(least) }
}

/// In the order of the report.
pub(crate) const GOALS: &[Goal] = &[
    creates(
        "durable creates, 16 connections, as a part of the raw database with 16 rows a commit",
        Engine::Sqlite,
        "create",
        RAW,
        0.35,
    ),
    creates(
        "durable creates into one directory, as a part of the raw database with 16 rows a commit",
        Engine::Postgres,
        "create",
        RAW,
        0.2,
    ),
    creates(
        "durable creates over 100 directories, as a part of the raw database with the same commits",
        Engine::Postgres,
        "create-many",
        RAW_LIKE_ROSTER,
        0.5,
    ),
    ratio(
        "GET by id at {smallest} users, as a part of bare axum",
        "get",
        "bare axum",
        Bound::AtLeast(0.6),
    ),
    ratio(
        "filter by `userName` at {smallest} users, as a part of bare axum",
        "filter",
        "bare axum",
        Bound::AtLeast(0.5),
    ),
    cost("GET by id at {largest} users, times the cost at {smallest}", "get", "largest", 1.3),
    cost(
        "filter by `userName` at {largest} users, times the cost at {smallest}",
        "filter",
        "largest",
        1.3,
    ),
    cost(
        "the last pages of {largest} users by cursor, times the cost of the first",
        "page-cursor",
        "last",
        1.3,
    ),
    cost(
        "the last pages of {largest} users by index in order, times the cost of the first",
        "page-index",
        "last",
        2.0,
    ),
    cost(
        "adding a member to a group of 495,000, times the cost at 1,000",
        "member-add",
        "of 495 k",
        1.5,
    ),
    Goal {
        what: "adding a member to a group of 495,000, p99 in ms",
        on: None,
        figure: Figure::P99 { scenario: "member-add", side: "of 495 k" },
        bound: Bound::AtMost(10.0),
    },
    cost(
        "removing a member of a group of 495,000, times the cost at 1,000",
        "member-remove",
        "of 495 k",
        1.5,
    ),
    Goal {
        what: "a PUT of {members} members of whom 1 % are others, in s",
        on: None,
        figure: Figure::Seconds { scenario: "replace-members", side: "one in 100 is another" },
        bound: Bound::AtMost(2.0),
    },
    Goal {
        what: "a PUT of {members} members who are all others, in s",
        on: None,
        figure: Figure::Seconds { scenario: "replace-members", side: "all are others" },
        bound: Bound::AtMost(2.0),
    },
    Goal {
        what: "p99 of SCIM while the roles of all users of a directory are looked at, times the usual",
        on: None,
        figure: Figure::Tail { scenario: "roles", side: "beside roles" },
        bound: Bound::AtMost(2.0),
    },
    ratio(
        "GET by id with a request log, as a part of the speed without",
        "log-get",
        UNLOGGED,
        Bound::AtLeast(0.9),
    ),
    ratio(
        "patching `active` with a request log, as a part of the speed without",
        "log-patch",
        UNLOGGED,
        Bound::AtLeast(0.9),
    ),
    ratio(
        "creates with a request log, as a part of the speed without",
        "log-create",
        UNLOGGED,
        Bound::AtLeast(0.9),
    ),
    Goal {
        what: "from start to ready on an empty database, in ms",
        on: None,
        figure: Figure::Ready { is_empty: true },
        bound: Bound::AtMost(300.0),
    },
    Goal {
        what: "from start to ready at {largest} users, in ms",
        on: None,
        figure: Figure::Ready { is_empty: false },
        bound: Bound::AtMost(1_000.0),
    },
    Goal {
        what: "idle memory on an empty database, in MiB",
        on: None,
        figure: Figure::IdleMemory { is_empty: true },
        bound: Bound::AtMost(40.0),
    },
    Goal {
        what: "idle memory at {largest} users, in MiB",
        on: None,
        figure: Figure::IdleMemory { is_empty: false },
        bound: Bound::AtMost(40.0),
    },
    Goal {
        what: "memory under load at {largest} users, in MiB",
        on: None,
        figure: Figure::LoadMemory,
        bound: Bound::AtMost(200.0),
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<_> = SCENARIOS.iter().map(|it| it.name).collect();
        assert_eq!(names.len(), SCENARIOS.len());
        for scenario in SCENARIOS {
            let sides: BTreeSet<_> = scenario.sides.iter().map(|it| it.name).collect();
            assert_eq!(sides.len(), scenario.sides.len(), "{}", scenario.name);
        }
    }

    #[test]
    fn goals_are_about_what_is_measured() {
        for goal in GOALS {
            let (scenario, side) = match goal.figure {
                Figure::Ratio { scenario, beside } => (scenario, beside),
                Figure::Cost { scenario, side }
                | Figure::Tail { scenario, side }
                | Figure::P99 { scenario, side }
                | Figure::Seconds { scenario, side } => (scenario, side),
                _ => continue,
            };
            let scenario = SCENARIOS.iter().find(|it| it.name == scenario).expect(goal.what);
            let is_named = |it: &&Side| match it.who {
                Who::Roster(Place::Each, _) => ["smallest", "largest"].contains(&side),
                _ => it.name == side,
            };
            assert!(scenario.sides.iter().any(|it| is_named(&it)), "{}", goal.what);
        }
    }

    #[test]
    fn whoever_is_removed_was_added_before() {
        let place = |name| SCENARIOS.iter().position(|it| it.name == name);
        assert!(place("member-add") < place("member-remove"));
    }
}
