//! Directories: changed, paused, deleted, and what is told of it; tokens that are exchanged.

use directory::secret::{Secret, SecretKind};
use directory::{
    AfterDisconnect, CreateToken, DeactivateUser, DeleteDirectory, DisconnectDirectory,
    EditDirectory, Ids, OmittedMembers, Provider, Rejection, RotateToken, SettingsEdit, Token,
    TokenId, TokenScope,
};
use jiff::SignedDuration;
use serde_json::json;
use uuid::Uuid;

use crate::world::{World, id, today, yesterday};

struct Of(u128);

impl Ids for Of {
    fn next(&self) -> Uuid {
        Uuid::from_u128(self.0)
    }
}

fn kinds(events: &[(String, serde_json::Value)]) -> Vec<&str> {
    events.iter().map(|(kind, _)| kind.as_str()).collect()
}

#[test]
fn what_is_changed_is_told_with_how_it_was() {
    let edit = EditDirectory {
        name: Some("Okta EU".to_owned()),
        settings: SettingsEdit { http_basic: Some(true), ..SettingsEdit::default() },
        ..EditDirectory::default()
    };
    let events = World::new().decide(&edit).events();
    assert_eq!(kinds(&events), ["directory.updated"]);
    let changes = &events[0].1["changes"];
    assert_eq!(changes["name"], json!({ "old": "Okta", "new": "Okta EU" }));
    assert_eq!(changes["settings"]["new"]["http_basic"], true);
    assert_eq!(events[0].1["directory"]["name"], "Okta EU");
    assert_eq!(changes.get("provider"), None);
}

#[test]
fn what_is_so_already_is_not_told() {
    let edit = EditDirectory {
        name: Some("Okta".to_owned()),
        provider: Some(Provider::Okta),
        settings: SettingsEdit {
            omitted_members: Some(OmittedMembers::Keep),
            ..SettingsEdit::default()
        },
        is_paused: Some(false),
    };
    assert_eq!(World::new().decide(&edit).events(), []);
}

#[test]
fn a_pause_begins_once_and_ends_once() {
    let pause = EditDirectory { is_paused: Some(true), ..EditDirectory::default() };
    let resume = EditDirectory { is_paused: Some(false), ..EditDirectory::default() };
    let world = World::new();
    let mut facts = world.facts();
    let mut then = |edit| {
        let outcome = world.decide_knowing(&mut facts, edit);
        kinds(&outcome.events()).join(" ")
    };
    assert_eq!(then(&pause), "directory.paused");
    assert_eq!(then(&pause), "");
    assert_eq!(then(&resume), "directory.resumed");
    assert_eq!(then(&resume), "");
}

#[test]
fn who_is_disconnected_hears_what_becomes_of_people_until_it_is_connected_again() {
    use AfterDisconnect::{Deactivate, Freeze, Keep};

    let resume = EditDirectory { is_paused: Some(false), ..EditDirectory::default() };
    let pause = EditDirectory { is_paused: Some(true), ..EditDirectory::default() };
    let world = World::new().with_user(1, json!({ "userName": "ana" }));
    let mut facts = world.facts();
    let told = |events: Vec<(String, serde_json::Value)>| -> Vec<String> {
        events.iter().map(|(kind, data)| format!("{kind} {}", data["people"])).collect()
    };
    for (people, word) in [(Freeze, "freeze"), (Keep, "keep"), (Deactivate, "deactivate")] {
        let disconnect = DisconnectDirectory { people };
        let outcome = world.decide_knowing(&mut facts, &disconnect);
        assert_eq!(told(outcome.events()), [format!("directory.disconnected \"{word}\"")]);
        world.decide_knowing(&mut facts, &disconnect).is_nothing();
        let deactivated = world.decide_knowing(&mut facts, &DeactivateUser { id: id(1) }).events();
        let expected: &[_] =
            if people == Deactivate { &["directory.user.deactivated"] } else { &[] };
        assert_eq!(kinds(&deactivated), expected);
    }
    // Once is enough.
    world.decide_knowing(&mut facts, &DeactivateUser { id: id(1) }).is_nothing();
    // It is paused already.
    world.decide_knowing(&mut facts, &pause).is_nothing();
    let resumed = world.decide_knowing(&mut facts, &resume).events();
    assert_eq!(kinds(&resumed), ["directory.resumed"]);
    assert_eq!(facts.directory().unwrap().directory.disconnected, None);
    let paused = world.decide_knowing(&mut facts, &pause).events();
    assert_eq!(kinds(&paused), ["directory.paused"]);
}

#[test]
fn a_deleted_directory_is_there_for_nobody() {
    let world = World::new();
    let mut facts = world.facts();
    let deleted = world.decide_knowing(&mut facts, &DeleteDirectory);
    assert_eq!(kinds(&deleted.events()), ["directory.deleted"]);
    let gone = facts.directory().unwrap_err();
    let again = world.decide_knowing(&mut facts, &DeleteDirectory);
    assert_eq!(again.rejection(), gone);
    let edited = world.decide_knowing(&mut facts, &EditDirectory::default());
    assert_eq!(edited.rejection(), gone);
    let give = CreateToken { token: token(1, TokenScope::Read) };
    assert_eq!(world.decide_knowing(&mut facts, &give).rejection(), gone);
}

fn token(number: u128, scope: TokenScope) -> Token {
    let secret = Secret::new(SecretKind::ScimToken, [7; 32]);
    Token {
        id: TokenId::new(&Of(number)),
        hash: secret.hash(),
        last_four: secret.last_four().to_owned(),
        scope,
        created_at: yesterday(),
        expires_at: today() + SignedDuration::from_hours(100),
    }
}

#[test]
fn a_token_is_exchanged_for_one_that_may_do_the_same() {
    let (old, new) = (token(1, TokenScope::Read), token(2, TokenScope::ReadWrite));
    let rotate = |hours| RotateToken {
        id: old.id,
        token: new.clone(),
        until: today() + SignedDuration::from_hours(hours),
    };
    let rotated = World::new().with_token(old.clone()).decide(&rotate(24));
    let events = rotated.events();
    assert_eq!(kinds(&events), ["directory.token.created", "directory.token.updated"]);
    assert_eq!(events[0].1["token"]["scope"], "read");
    let until = scim::datetime::print(today() + SignedDuration::from_hours(24));
    assert_eq!(events[1].1["token"]["expires_at"], until);
    assert_eq!(rotated.answer().id, new.id);
    // It would have gone sooner by itself.
    let events = World::new().with_token(old.clone()).decide(&rotate(200)).events();
    assert_eq!(kinds(&events), ["directory.token.created"]);
    let unknown = World::new().decide(&rotate(24));
    assert_eq!(unknown.rejection(), Rejection::UnknownToken(old.id));
}
