//! The claims hold for every input that the fuzzers have kept, for every one that broke a claim once,
//! and for some thousands of others made of chance. This is what of fuzzing is done on every toolchain, in every run of the tests.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

use claims::{CLAIMS, Choices};

/// Bytes of all inputs together: kept in the repository, so kept small.
const CORPUS_BYTES_MAX: u64 = 400 * 1024;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

/// The inputs that are kept for a claim.
fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    inputs(&fuzz().join("corpus").join(name))
}

/// The inputs that broke a claim once. They are kept for what they say, and not for the code that
/// they reach, so nothing that makes the corpus smaller touches them.
fn findings(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = fuzz().join("findings").join(name);
    if folder.is_dir() { inputs(&folder) } else { Vec::new() }
}

/// What is in a folder, with its names, in the order of these.
fn inputs(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn hold(name: &str, input: &[u8], called: &str) {
    let outcome = catch_unwind(AssertUnwindSafe(|| claims::check(name, input)));
    if let Err(panic) = outcome {
        let text = String::from_utf8_lossy(input);
        #[expect(clippy::print_stderr, reason = "it names the input of a failure")]
        {
            eprintln!("the claim `{name}` is broken by {called}: {text}");
        }
        resume_unwind(panic);
    }
}

#[track_caller]
fn replay(name: &str) {
    let inputs = corpus(name);
    assert!(inputs.len() >= 20, "{} inputs of `{name}` are kept", inputs.len());
    for (path, input) in findings(name).into_iter().chain(inputs) {
        hold(name, &input, &path.display().to_string());
    }
}

/// Inputs of random bytes: `made` ones are made into what is nearly right.
fn try_many(name: &str, count: u64) {
    for seed in 0..count {
        let mut choices = Choices::of_seed(seed);
        let length = 1 + choices.below(400);
        let mut input: Vec<u8> =
            (0..length).map(|_| u8::try_from(choices.below(256)).unwrap()).collect();
        input[0] |= 4;
        hold(name, &input, &format!("seed {seed}"));
    }
}

macro_rules! claims {
    ($($name:ident: $count:literal,)*) => {$(
        mod $name {
            #[test]
            fn holds_for_what_is_kept() {
                super::replay(stringify!($name));
            }

            #[test]
            fn holds_for_what_chance_makes() {
                super::try_many(stringify!($name), $count);
            }
        }
    )*

    const TESTED: &[&str] = &[$(stringify!($name)),*];
    };
}

claims! {
    filter: 2_000,
    path: 4_000,
    patch: 4_000,
    admission: 4_000,
    cursor: 500,
    bulk: 4_000,
}

#[test]
fn every_claim_has_a_fuzzer_a_corpus_and_tests() {
    let names: BTreeSet<String> = CLAIMS.iter().map(|claim| claim.name.to_owned()).collect();
    assert_eq!(TESTED.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>(), names);
    let listed = |folder: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(fuzz().join(folder)).expect("it is in the repository");
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(listed("fuzz_targets"), names);
    assert_eq!(listed("corpus"), names);
    let found = listed("findings");
    assert!(found.is_subset(&names), "there is no claim for some of {found:?}");
}

#[test]
fn what_was_found_once_is_kept() {
    let names: Vec<String> = findings("patch")
        .into_iter()
        .map(|(path, _)| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    let first = "created-out-of-a-filter-what-cannot-be-sent".to_owned();
    assert!(names.contains(&first), "{names:?}");
}

/// The dice are good: each attribute of a customer's own is had by somebody, and asked for.
#[test]
fn what_a_customer_adds_is_met() {
    let extended = claims::extended_user();
    let schema = extended.extension("urn:example:acme:2.0:User").unwrap();
    let mut had = BTreeSet::new();
    let mut asked = String::new();
    for seed in 0..400 {
        let choices = &mut Choices::of_seed(seed);
        if let Some(shown) = claims::make::shown(choices, &extended)
            && let Some(values) = shown.get(&schema.id).and_then(|it| it.as_object())
        {
            had.extend(values.keys().cloned());
        }
        asked += &claims::make::filter(choices, &extended);
    }
    for attribute in &schema.attributes {
        assert!(had.contains(&attribute.name), "nobody has `{}`", attribute.name);
        let name = format!("{}:{}", schema.id, attribute.name);
        assert!(asked.contains(&name), "nobody asks for `{name}`");
    }
}

#[test]
fn what_is_kept_is_small() {
    let bytes: u64 = CLAIMS
        .iter()
        .flat_map(|claim| corpus(claim.name))
        .map(|(_, input)| input.len() as u64)
        .sum();
    assert!(
        bytes <= CORPUS_BYTES_MAX,
        "{bytes} bytes; minimise it with `cargo xtask fuzz --minimise`"
    );
}
