//! The story of each preset against the reference server: accepted without a finding, compared
//! with what is stored in `transcripts/`, and ending in the state that Okta believes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value};
use simulator::okta::{
    Credentials, EmptyPage, EmptyValue, Expectation, FullPushForm, PageAdvance, Preset, Profile,
    Settings, SpaceEncoding,
};
use simulator::reference::Reference;
use simulator::{Report, Run, transcript};

const BASE_URL: &str = "https://scim.example.com/scim/v2";

fn settings(preset: Preset) -> Settings {
    Settings::new(BASE_URL, Credentials::Token("right-token".to_owned()), preset)
}

fn server() -> Reference {
    Reference::new(BASE_URL, 7)
        .allow("Bearer right-token")
        .allow("right-token")
        .allow("Basic dXNlcjpwYXNz")
}

async fn tell(settings: Settings, server: Reference) -> (Report, Expectation, Reference) {
    let mut report = Report::new(format!("Okta, {}", settings.profile.name()));
    let mut run = Run::new(settings, server);
    while let Some(step) = run.step().await {
        report.steps.push(step);
    }
    let expectation = run.expectation();
    (report, expectation, run.into_client())
}

/// That nothing is to be said, and that the server has what Okta believes.
async fn check_clean(settings: Settings) -> Report {
    let (report, expectation, server) = tell(settings, server()).await;
    let findings: Vec<_> = report.findings().collect();
    assert!(findings.is_empty() && report.passed(), "{report}");
    assert_state(&expectation, &server);
    report
}

fn text<'a>(resource: &'a Map<String, Value>, name: &str) -> &'a str {
    resource[name].as_str().expect("a text")
}

fn assert_state(expectation: &Expectation, server: &Reference) {
    let expected: BTreeMap<&str, (&str, bool)> = expectation
        .users
        .iter()
        .map(|(id, user)| (id.as_str(), (user.user_name.as_str(), user.active)))
        .collect();
    let found: BTreeMap<&str, (&str, bool)> = server
        .users()
        .map(|user| (text(user, "id"), (text(user, "userName"), user["active"] == true)))
        .collect();
    assert_eq!(found, expected);
    assert!(found.values().any(|(_, active)| !active), "somebody is inactive at the end");

    let expected: BTreeMap<&str, (&str, BTreeSet<&str>)> = expectation
        .groups
        .iter()
        .map(|(id, group)| {
            assert!(!group.may_have_others);
            let members = group.members.iter().map(String::as_str).collect();
            (id.as_str(), (group.display_name.as_str(), members))
        })
        .collect();
    let found: BTreeMap<&str, (&str, BTreeSet<&str>)> = server
        .groups()
        .map(|group| {
            let members = group["members"].as_array().expect("an array");
            let members = members.iter().map(|member| member["value"].as_str().expect("an id"));
            (text(group, "id"), (text(group, "displayName"), members.collect()))
        })
        .collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_right_server_is_accepted_without_a_finding_under_every_preset() {
    for preset in Preset::ALL {
        let report = check_clean(settings(preset)).await;
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("tests/transcripts/{}.md", preset.name()));
        assert_stored(&path, &transcript::markdown(&report));
    }
}

#[expect(clippy::disallowed_methods, reason = "`UPDATE=1` is how a person accepts new transcripts")]
fn assert_stored(path: &Path, found: &str) {
    if std::env::var("UPDATE").is_ok() {
        std::fs::write(path, found).expect("the transcript can be written");
        return;
    }
    let stored = std::fs::read_to_string(path).unwrap_or_default();
    let difference = stored.lines().zip(found.lines()).position(|(stored, found)| stored != found);
    assert!(
        stored == found,
        "{} differs from line {}; `UPDATE=1` accepts what is sent now",
        path.display(),
        difference.map_or(stored.lines().count(), |line| line) + 1
    );
}

#[tokio::test]
async fn every_profile_is_accepted_without_a_finding() {
    for profile in Profile::ALL {
        let mut settings = settings(Preset::Template2026);
        settings.profile = profile;
        if matches!(profile, Profile::TestBasic | Profile::AiwBasic) {
            settings.credentials =
                Credentials::Basic { user: "user".to_owned(), password: "pass".to_owned() };
        }
        check_clean(settings).await;
    }
}

#[tokio::test]
async fn every_switch_is_accepted_without_a_finding() {
    let switches: [fn(&mut Settings); 14] = [
        |it| it.options.space_encoding = SpaceEncoding::Plus,
        |it| it.options.get_before_patch = true,
        |it| it.options.skip_activate_if_active = true,
        |it| it.options.full_push_form = FullPushForm::NoPathMembers,
        |it| it.options.full_push_form = FullPushForm::NoPathAll,
        |it| it.options.chunk = 10,
        |it| it.options.user_patch = true,
        |it| it.options.empty_value = EmptyValue::Null,
        |it| it.options.empty_value = EmptyValue::Omit,
        |it| it.options.import_groups = false,
        |it| it.options.page_advance = PageAdvance::ByReturned,
        |it| it.options.empty_page = EmptyPage::Continue,
        |it| it.options.delete_content_type = true,
        |it| it.options.seed = 99,
    ];
    for preset in [Preset::Template2026, Preset::Aiw2026] {
        for switch in switches {
            let mut settings = settings(preset);
            switch(&mut settings);
            check_clean(settings).await;
        }
    }
}

#[tokio::test]
async fn the_story_can_be_told_twice_to_the_same_server() {
    let (first, ..) = tell(settings(Preset::Template2026), server()).await;
    let (_, _, server) = tell(settings(Preset::Template2026), server()).await;
    let mut again = settings(Preset::Aiw2026);
    again.options.seed = 2;
    let (second, expectation, server) = tell(again, server).await;
    assert!(first.passed() && second.passed(), "{second}");
    assert_eq!(second.findings().count(), 0);
    assert!(server.users().count() > expectation.users.len());
}

#[tokio::test]
async fn the_same_seed_sends_the_same_requests() {
    let (one, ..) = tell(settings(Preset::Template2026), server()).await;
    let (other, ..) = tell(settings(Preset::Template2026), server()).await;
    assert_eq!(transcript::markdown(&one), transcript::markdown(&other));
}
