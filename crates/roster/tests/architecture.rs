//! The rooms of the workspace and the doors between them, as `ARCHITECTURE.md` draws them.
//!
//! A new door is a decision, not an accident: it changes `ARCHITECTURE.md`, the tables below and
//! the code in one commit.

mod tree;

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use serde_json::Value;

/// Each crate, and the crates of this workspace that it may import. Tests and build scripts too:
/// what needs more than its room may see is tested in `roster`.
const ROOMS: &[(&str, &[&str])] = &[
    ("scim", &[]),
    ("directory", &["scim"]),
    // `claims` and `faults` are for tests alone: see `TESTS_ALONE`.
    ("store", &["claims", "directory", "faults", "scim"]),
    ("courier", &["claims", "store", "directory"]),
    ("web", &["claims", "faults", "store", "directory", "scim"]),
    ("simulator", &["scim"]),
    ("roster", &["claims", "courier", "directory", "scim", "simulator", "store", "web"]),
    ("claims", &["directory", "scim", "store"]),
    ("faults", &[]),
    ("xtask", &[]),
];

/// Crates of ours that nothing of the product may import: they serve tests.
const TESTS_ALONE: &[&str] = &["claims", "faults"];

/// Crates that stand beside `crates/`, which holds the product and no more.
const BESIDE: &[&str] = &["claims", "faults", "xtask"];

/// Crates from outside that only one room may import.
const EMBASSIES: &[Embassy] = &[
    Embassy {
        power: "rusqlite",
        room: "store",
        purpose: "the only room with SQL",
        // One stands beneath the database; the other measures the raw one beside what `store` makes
        // of it.
        tools: &["faults", "xtask"],
        tests_anywhere: false,
    },
    Embassy {
        power: "tokio-postgres",
        room: "store",
        purpose: "the only room with SQL",
        // One makes the databases that tests are run on, one measures the raw PostgreSQL.
        tools: &["claims", "xtask"],
        tests_anywhere: false,
    },
    Embassy {
        power: "axum",
        room: "web",
        purpose: "the only room that answers HTTP",
        // It measures bare HTTP beside what `web` makes of it.
        tools: &["xtask"],
        // A server that a test plays is not a second counter.
        tests_anywhere: true,
    },
];

/// Rooms that compute and do nothing else, and what must not be among their dependencies, however
/// far down.
const PURE: &[(&str, &[&[&str]])] =
    &[("scim", &[ASYNC, HTTP, SQL, CHANCE]), ("directory", &[ASYNC, HTTP, SQL])];
const ASYNC: &[&str] = &["async-std", "futures", "futures-util", "smol", "tokio"];
const HTTP: &[&str] = &["axum", "http", "hyper", "reqwest", "tower", "ureq"];
const SQL: &[&str] = &["diesel", "libsqlite3-sys", "rusqlite", "sqlx", "tokio-postgres"];
const CHANCE: &[&str] = &["fastrand", "getrandom", "rand", "uuid"];

/// Names that invite everything and so say nothing.
const NAMES_THAT_SAY_NOTHING: &[&str] =
    &["common", "config", "core", "errors", "helpers", "types", "util", "utils"];

/// What debugging and good intentions leave behind. Cut in two, so that this file does not contain
/// them.
const LEFTOVERS: &[(&str, &str)] = &[
    (concat!("todo", "!("), "write what is missing"),
    (concat!("unimplemented", "!("), "write what is missing"),
    (concat!("dbg", "!("), "remove it"),
    (concat!("TO", "DO"), "do it, or describe it in an issue"),
    (concat!("#[", "ignore"), "a test runs or does not exist"),
];

#[test]
fn every_import_goes_through_a_door_that_the_architecture_has() {
    let mut wrong = Vec::new();
    for package in packages() {
        match ROOMS.iter().find(|(room, _)| *room == package.name) {
            Some((_, doors)) => wrong.extend(wrong_imports(&package, doors)),
            None => wrong.push(format!(
                "crate `{}` is not among the rooms: put it into ARCHITECTURE.md and into `ROOMS` \
                 of this test in the same commit, or make it a module of a room that exists",
                package.name
            )),
        }
    }
    assert_nothing(&wrong);
}

#[test]
fn every_room_exists() {
    let names: Vec<_> = packages().into_iter().map(|package| package.name).collect();
    let wrong: Vec<_> = ROOMS
        .iter()
        .filter(|(room, _)| !names.iter().any(|name| name == room))
        .map(|(room, _)| {
            format!(
                "crate `{room}` is gone: take it out of ARCHITECTURE.md and out of `ROOMS` of this \
                 test in the same commit"
            )
        })
        .collect();
    assert_nothing(&wrong);
}

#[test]
fn what_serves_tests_is_not_a_part_of_the_product() {
    let mut wrong = Vec::new();
    for package in packages() {
        let imports = package.dependencies.iter();
        wrong.extend(
            imports
                .filter(|(name, kind)| {
                    TESTS_ALONE.contains(&name.as_str()) && **kind != Kind::Development
                })
                .map(|(name, _)| {
                    format!("`{}` imports `{name}` for more than its tests", package.name)
                }),
        );
    }
    assert_nothing(&wrong);
}

#[test]
fn the_folder_of_the_rooms_holds_the_product_and_no_more() {
    let rooms = tree::root().join("crates");
    let wrong: Vec<_> = packages()
        .into_iter()
        .filter_map(|package| {
            let is_beside = BESIDE.contains(&package.name.as_str());
            match (Path::new(&package.manifest).starts_with(&rooms), is_beside) {
                (true, true) => Some("serves development: put it beside `crates/`"),
                (false, false) => Some("is a room: put it into `crates/`"),
                _ => None,
            }
            .map(|advice| format!("`{}` {advice} ({})", package.name, package.manifest))
        })
        .collect();
    assert_nothing(&wrong);
}

#[test]
fn each_foreign_power_has_one_embassy() {
    let packages = packages();
    let wrong: Vec<_> = packages.iter().flat_map(wrong_embassies).collect();
    assert_nothing(&wrong);
}

#[test]
fn pure_rooms_stay_pure_however_far_down() {
    let mut wrong = Vec::new();
    for (room, powers) in PURE {
        let dependencies = dependency_tree(room);
        wrong.extend(
            powers
                .iter()
                .flat_map(|power| power.iter())
                .filter(|name| dependencies.iter().any(|dependency| dependency == *name))
                .map(|name| {
                    format!(
                        "`{room}` computes and does nothing else, and must not depend on `{name}`: \
                         see who brings it in with `cargo tree --package {room} --edges normal \
                         --invert {name}`, and do that work in a room further up"
                    )
                }),
        );
    }
    assert_nothing(&wrong);
}

/// The one file that may hold unsafe code, and no part of the product: what SQLite asks for who
/// wants to see its writes.
const UNSAFE: &str = "faults/src/vfs.rs";

#[test]
fn nothing_of_the_product_is_unsafe() {
    // The lint of the workspace denies it; this finds who would silence the lint.
    let lint = concat!("unsafe", "_code");
    let sources = tree::texts(&["rs"]);
    let silent = sources.iter().filter(|(_, text)| text.contains(lint));
    let silent: Vec<_> = silent.map(|(path, _)| path.to_str().expect("plain text")).collect();
    assert_eq!(silent, [UNSAFE]);
}

#[test]
fn every_crate_obeys_the_lints_of_the_workspace() {
    let mut wrong = Vec::new();
    for package in packages() {
        let manifest = fs::read_to_string(&package.manifest).expect("cargo has just read it");
        let lines: Vec<_> = manifest.lines().map(str::trim).collect();
        if !lines.windows(2).any(|pair| pair == ["[lints]", "workspace = true"]) {
            wrong.push(format!(
                "`{}` does not take the lints of the workspace: add `[lints]` with `workspace = \
                 true` to {}",
                package.name, package.manifest
            ));
        }
    }
    assert_nothing(&wrong);
}

#[test]
fn no_crate_has_a_name_that_says_nothing() {
    let wrong: Vec<_> = packages()
        .into_iter()
        .filter(|package| NAMES_THAT_SAY_NOTHING.contains(&package.name.as_str()))
        .map(|package| {
            format!(
                "crate `{}` may hold anything, so it keeps nothing out: put its parts where they \
                 are used",
                package.name
            )
        })
        .collect();
    assert_nothing(&wrong);
}

#[test]
fn nothing_unfinished_is_left_behind() {
    let mut wrong = Vec::new();
    for (path, text) in tree::texts(&["css", "html", "js", "md", "rs", "sh", "sql", "toml"]) {
        for (index, line) in text.lines().enumerate() {
            for (leftover, advice) in LEFTOVERS {
                if line.contains(leftover) {
                    let line = index + 1;
                    wrong.push(format!("{}:{line} has `{leftover}`: {advice}", path.display()));
                }
            }
        }
    }
    assert_nothing(&wrong);
}

#[test]
fn a_wrong_import_is_named_with_what_to_do() {
    let package = |name: &str, imports: &[(&str, Kind)]| Package {
        name: name.to_owned(),
        manifest: String::new(),
        dependencies: imports.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect(),
    };

    let scim = package("scim", &[("serde", Kind::Normal), ("store", Kind::Development)]);
    assert_eq!(
        wrong_imports(&scim, &[]),
        [
            "`scim` imports `store`, and ARCHITECTURE.md has no such door: do the work in a room that \
          may, or argue the door in one commit that changes ARCHITECTURE.md, `ROOMS` of this test \
          and the code"
        ]
    );
    assert!(wrong_imports(&scim, &["store"]).is_empty());

    let web = package("web", &[("axum", Kind::Normal), ("rusqlite", Kind::Normal)]);
    assert_eq!(
        wrong_embassies(&web),
        [
            "`web` imports `rusqlite`, which belongs to `store`, the only room with SQL: ask `store` \
          for what you need"
        ]
    );
    assert!(wrong_embassies(&package("roster", &[("axum", Kind::Development)])).is_empty());
    assert_eq!(wrong_embassies(&package("roster", &[("rusqlite", Kind::Development)])).len(), 1);
    assert!(wrong_embassies(&package("xtask", &[("rusqlite", Kind::Normal)])).is_empty());
    assert!(wrong_embassies(&package("xtask", &[("axum", Kind::Normal)])).is_empty());
    assert_eq!(wrong_embassies(&package("claims", &[("axum", Kind::Normal)])).len(), 1);
}

/// The one room that deals with a crate from outside.
struct Embassy {
    power: &'static str,
    room: &'static str,
    purpose: &'static str,
    /// What is not part of the product, and may too.
    tools: &'static [&'static str],
    /// Whether the tests of other rooms may import it too.
    tests_anywhere: bool,
}

/// A crate of this workspace.
struct Package {
    name: String,
    manifest: String,
    dependencies: BTreeMap<String, Kind>,
}

/// What a dependency is needed for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// The product.
    Normal,
    /// Its build script.
    Build,
    /// Its tests.
    Development,
}

fn wrong_imports(package: &Package, doors: &[&str]) -> Vec<String> {
    package
        .dependencies
        .keys()
        .filter(|name| {
            ROOMS.iter().any(|(room, _)| room == name) && !doors.contains(&name.as_str())
        })
        .map(|import| {
            format!(
                "`{}` imports `{import}`, and ARCHITECTURE.md has no such door: do the work in a \
                 room that may, or argue the door in one commit that changes ARCHITECTURE.md, \
                 `ROOMS` of this test and the code",
                package.name
            )
        })
        .collect()
}

fn wrong_embassies(package: &Package) -> Vec<String> {
    EMBASSIES
        .iter()
        .filter(|embassy| {
            let kind = package.dependencies.get(embassy.power);
            let is_for_tests = kind == Some(&Kind::Development);
            let is_allowed = package.name == embassy.room
                || embassy.tools.contains(&package.name.as_str())
                || (is_for_tests && embassy.tests_anywhere);
            kind.is_some() && !is_allowed
        })
        .map(|Embassy { power, room, purpose, .. }| {
            format!(
                "`{}` imports `{power}`, which belongs to `{room}`, {purpose}: ask `{room}` for \
                 what you need",
                package.name
            )
        })
        .collect()
}

/// The crates of this workspace, as cargo understands their manifests.
fn packages() -> Vec<Package> {
    let text = cargo(&["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&text).expect("cargo prints JSON");
    let text = |value: &Value| value.as_str().expect("cargo prints a string here").to_owned();
    let list = |value: &Value| value.as_array().expect("cargo prints a list here").clone();
    list(&metadata["packages"])
        .iter()
        .map(|package| {
            let mut dependencies = BTreeMap::new();
            for dependency in list(&package["dependencies"]) {
                let kind = match dependency["kind"].as_str() {
                    None => Kind::Normal,
                    Some("build") => Kind::Build,
                    Some(_) => Kind::Development,
                };
                // Imported twice, it counts as what it is most needed for.
                let known = dependencies.entry(text(&dependency["name"])).or_insert(kind);
                *known = kind.min(*known);
            }
            Package {
                name: text(&package["name"]),
                manifest: text(&package["manifest_path"]),
                dependencies,
            }
        })
        .collect()
}

/// The names of all crates that a crate is built from, tests apart.
fn dependency_tree(package: &str) -> Vec<String> {
    cargo(&[
        "tree",
        "--offline",
        "--package",
        package,
        "--edges",
        "normal,build",
        "--prefix",
        "none",
    ])
    .lines()
    .filter_map(|line| Some(line.split_once(' ')?.0.to_owned()))
    .collect()
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(tree::root())
        .output()
        .expect("cargo, which runs this test, can be run");
    assert!(
        output.status.success(),
        "`cargo {}` failed: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("cargo prints text")
}

#[track_caller]
fn assert_nothing(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n\n{}\n", wrong.join("\n\n"));
}
