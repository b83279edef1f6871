//! Decisions about users.

use directory::{
    Aside, Change, Counts, CreateUser, Decide, DeleteUser, Document, Limits, PatchUser, Rejection,
    ReplaceUser, User, Want,
};
use scim::dialect::Quirk;
use serde_json::{Value, json};

use crate::world::{
    ENTERPRISE, World, id, new_id, patch, today, user_resource, user_type, yesterday,
};

fn create(body: Value) -> CreateUser {
    CreateUser { document: Document::new(user_resource(body)), aside: Aside::default() }
}

fn replace(number: u64, body: Value) -> ReplaceUser {
    let external_id_given = body.get("externalId").is_some();
    let resource = user_resource(body);
    ReplaceUser {
        id: id(number),
        resource,
        aside: Aside::default(),
        external_id_given,
        resource_type: user_type(),
    }
}

fn change(number: u64, operations: &Value) -> PatchUser {
    let resource_type = user_type();
    PatchUser { id: id(number), patch: patch(operations, &resource_type), resource_type }
}

fn kinds(events: &[(String, Value)]) -> Vec<&str> {
    events.iter().map(|(kind, _)| kind.trim_start_matches("directory.")).collect()
}

#[test]
fn a_new_user_is_version_1_and_told_whole() {
    let outcome = World::new().decide(&create(json!({ "userName": "Ana", "active": true })));
    assert_eq!(
        outcome.events(),
        [(
            "directory.user.created".to_owned(),
            json!({ "user": { "id": new_id().to_string(), "userName": "Ana", "active": true } })
        )]
    );
    let user = outcome.answer();
    assert_eq!((user.id, user.version), (new_id(), 1));
    assert_eq!((user.created_at, user.modified_at), (today(), today()));
}

#[test]
fn names_clash_without_case_and_width() {
    let world = World::new()
        .with_user(1, json!({ "userName": "Ana@Example.com" }))
        .with_user(2, json!({ "userName": "bo" }));
    for name in ["Ana@Example.com", "ANA@EXAMPLE.COM", "ａｎａ@example.com"] {
        let rejections = [
            world.decide(&create(json!({ "userName": name }))).rejection(),
            world.decide(&replace(2, json!({ "userName": name }))).rejection(),
            world
                .decide(&change(
                    2,
                    &json!([{ "op": "replace", "path": "userName", "value": name }]),
                ))
                .rejection(),
        ];
        assert_eq!(rejections, [const { Rejection::UserNameTaken }; 3], "{name}");
    }
    world.decide(&create(json!({ "userName": "ana@example.org" }))).answer();
}

#[test]
fn who_has_a_name_may_write_it_differently() {
    let world = World::new().with_user(1, json!({ "userName": "ana" }));
    let outcome = world.decide(&replace(1, json!({ "userName": "ANA" })));
    assert_eq!(
        outcome.events()[0].1["changes"],
        json!({ "userName": { "old": "ana", "new": "ANA" } })
    );
    // The key is the same, so nobody else was looked for.
    assert_eq!(outcome.asked, [[Want::User(id(1))]]);
}

#[test]
fn who_comes_back_is_recognised_by_name_or_external_id() {
    let world = World::new()
        .with_former_user(1, "ana", Some("00u1"))
        .with_former_user(2, "bo", None)
        .with_former_user(3, "ana", None);
    let check = |body: Value, expected: Option<u64>| {
        let outcome = world.decide(&create(body));
        let previous = outcome.events()[0].1.get("previous_user_id").cloned();
        assert_eq!(previous, expected.map(|number| id(number).to_string().into()));
    };
    check(json!({ "userName": "ANA" }), Some(3));
    check(json!({ "userName": "bo", "externalId": "00u9" }), Some(2));
    check(json!({ "userName": "new", "externalId": "00u1" }), Some(1));
    check(json!({ "userName": "ana", "externalId": "00u1" }), Some(3));
    check(json!({ "userName": "new", "externalId": "00U1" }), None);
    check(json!({ "userName": "new" }), None);
}

#[test]
fn a_put_keeps_active_where_it_does_not_say() {
    let world =
        World::new().with_user(1, json!({ "userName": "ana", "active": false, "title": "x" }));
    let outcome = world.decide(&replace(1, json!({ "userName": "ana" })));
    assert_eq!(
        outcome.events(),
        [(
            "directory.user.updated".to_owned(),
            json!({
                "user": { "id": id(1).to_string(), "userName": "ana", "active": false },
                "changes": { "title": { "old": "x", "new": null } },
            })
        )]
    );
    assert!(!outcome.answer().is_active());
}

/// `before` and a PUT of `after`: which event there is, and what it says has changed.
fn check_update(before: &Value, after: &Value, kind: &str, changes: &Value) {
    let world = World::new().with_user(1, before.clone());
    let outcome = world.decide(&replace(1, after.clone()));
    let events = outcome.events();
    assert_eq!(kinds(&events), [kind], "{before} {after}");
    assert_eq!(events[0].1["changes"], *changes, "{before} {after}");
    let user = outcome.answer();
    assert_eq!((user.version, user.created_at, user.modified_at), (4, yesterday(), today()));
}

#[test]
fn an_update_says_what_it_is_and_what_was_before() {
    check_update(
        &json!({ "userName": "ana", "active": true }),
        &json!({ "userName": "ana", "active": false }),
        "user.deactivated",
        &json!({ "active": { "old": true, "new": false } }),
    );
    check_update(
        &json!({ "userName": "ana" }),
        &json!({ "userName": "ana", "active": false }),
        "user.deactivated",
        &json!({ "active": { "old": null, "new": false } }),
    );
    check_update(
        &json!({ "userName": "ana", "active": false }),
        &json!({ "userName": "ana", "active": true, "title": "Dr." }),
        "user.reactivated",
        &json!({ "title": { "old": null, "new": "Dr." }, "active": { "old": false, "new": true } }),
    );
    // Nobody can tell the difference, but it is what the provider said.
    check_update(
        &json!({ "userName": "ana" }),
        &json!({ "userName": "ana", "active": true }),
        "user.updated",
        &json!({ "active": { "old": null, "new": true } }),
    );
    check_update(
        &json!({ "userName": "ana", "emails": [{ "value": "a@x", "primary": true }] }),
        &json!({ "userName": "ana", "emails": [{ "value": "a@y" }] }),
        "user.updated",
        &json!({ "emails": {
            "old": [{ "value": "a@x", "primary": true }],
            "new": [{ "value": "a@y" }],
        }}),
    );
}

#[test]
fn attributes_of_an_extension_change_one_by_one() {
    let with = |extension: Value| json!({ "userName": "ana", ENTERPRISE: extension });
    check_update(
        &with(json!({ "department": "Sales", "division": "North" })),
        &with(json!({ "department": "Design", "division": "North", "costCenter": "7" })),
        "user.updated",
        &json!({
            format!("{ENTERPRISE}:department"): { "old": "Sales", "new": "Design" },
            format!("{ENTERPRISE}:costCenter"): { "old": null, "new": "7" },
        }),
    );
    check_update(
        &with(json!({ "department": "Sales" })),
        &json!({ "userName": "ana" }),
        "user.updated",
        &json!({ format!("{ENTERPRISE}:department"): { "old": "Sales", "new": null } }),
    );
    check_update(
        &json!({ "userName": "ana" }),
        &with(json!({ "manager": { "value": "7" } })),
        "user.updated",
        &json!({ format!("{ENTERPRISE}:manager"): { "old": null, "new": { "value": "7" } } }),
    );
}

#[test]
fn what_is_already_so_is_no_change() {
    let body = json!({ "userName": "ana", "active": true, "emails": [{ "value": "a@x" }] });
    let world = World::new().with_user(1, body.clone());
    for body in [body, json!({ "emails": [{ "value": "a@x" }], "userName": "ana" })] {
        let outcome = world.decide(&replace(1, body));
        outcome.is_nothing();
        let user = outcome.answer();
        assert_eq!((user.version, user.modified_at), (3, yesterday()));
    }
    let outcomes = [
        world.decide(&change(1, &json!([{ "op": "replace", "value": { "active": true } }]))),
        world.decide(&change(1, &json!([{ "op": "remove", "path": "title" }]))),
        world.decide(&change(1, &json!([]))),
        world.decide(&change(
            1,
            &json!([
                { "op": "replace", "path": "title", "value": "x" },
                { "op": "remove", "path": "title" },
            ]),
        )),
    ];
    for outcome in outcomes {
        outcome.is_nothing();
        let user = outcome.answer().user;
        assert_eq!((user.version, user.modified_at), (3, yesterday()));
    }
}

/// RFC 7644 §3.5.2.2: what is removed is unassigned. That lets nobody in again, and who only reads
/// events is told so.
#[test]
fn a_patch_tells_what_it_straightened_when_it_met_the_user() {
    let world = World::new().with_user(1, json!({ "userName": "ana" }));
    let path = "emails[type eq \"work\"].value";
    let missed = change(1, &json!([{ "op": "replace", "path": path, "value": "a@x" }]));
    let quirks = world.decide(&missed).answer().quirks;
    assert_eq!(quirks.iter().collect::<Vec<_>>(), [Quirk::ReplaceWithoutMatch]);
    let met = change(1, &json!([{ "op": "replace", "path": "title", "value": "x" }]));
    assert!(world.decide(&met).answer().quirks.is_empty());
}

#[test]
fn a_replacement_that_does_not_mention_the_external_id_keeps_it() {
    let world = World::new().with_user(1, json!({ "userName": "ana", "externalId": "e1" }));
    for (body, expected) in [
        (json!({ "userName": "ana" }), Some("e1")),
        (json!({ "userName": "ana", "externalId": "e2" }), Some("e2")),
        (json!({ "userName": "ana", "externalId": null }), None),
        (json!({ "userName": "ana", "externalId": "" }), None),
    ] {
        let user = world.decide(&replace(1, body.clone())).answer();
        assert_eq!(user.external_id(), expected, "{body}");
    }
}

#[test]
fn clearing_active_lets_nobody_in_again() {
    let check = |operations: Value, text: &str, changes: &Value| {
        let world = World::new().with_user(1, json!({ "userName": "ana", "active": false }));
        let outcome = world.decide(&change(1, &operations));
        let events = outcome.events();
        let user = outcome.answer().user;
        assert_eq!(user.document.text(), text, "{operations}");
        assert!(!user.is_active(), "{operations}");
        assert_eq!(kinds(&events), ["user.updated"], "{operations}");
        assert_eq!(events[0].1["user"]["active"], false, "{operations}");
        assert_eq!(events[0].1["changes"], *changes, "{operations}");
    };
    let out = r#"{"userName":"ana"}"#;
    let nothing = json!({});
    check(json!([{ "op": "remove", "path": "active" }]), out, &nothing);
    check(json!([{ "op": "replace", "path": "active", "value": null }]), out, &nothing);
    check(json!([{ "op": "replace", "path": "active", "value": "" }]), out, &nothing);
    check(json!([{ "op": "replace", "value": { "active": null } }]), out, &nothing);
    check(
        json!([
            { "op": "remove", "path": "active" },
            { "op": "add", "path": "title", "value": "x" },
        ]),
        r#"{"userName":"ana","title":"x"}"#,
        &json!({ "title": { "old": null, "new": "x" } }),
    );

    // Who was silenced so stays out, whatever else is said, until somebody says yes.
    let silenced = World::new().with_silent_user(1, json!({ "userName": "ana" }));
    assert!(!silenced.decide(&replace(1, json!({ "userName": "bo" }))).answer().is_active());
    let title = json!([{ "op": "add", "path": "title", "value": "x" }]);
    let outcome = silenced.decide(&change(1, &title));
    assert_eq!(outcome.events()[0].1["user"]["active"], false);
    let yes = json!([{ "op": "replace", "path": "active", "value": true }]);
    let outcome = silenced.decide(&change(1, &yes));
    assert_eq!(kinds(&outcome.events()), ["user.reactivated"]);
    assert!(outcome.answer().user.is_active());

    // Nor is anybody locked out because the word is taken away.
    let world = World::new().with_user(1, json!({ "userName": "ana", "active": true }));
    let remove = json!([{ "op": "remove", "path": "active" }]);
    let user = world.decide(&change(1, &remove)).answer().user;
    assert_eq!(user.document.text(), out);
    assert!(user.is_active());
}

#[test]
fn a_patch_that_scim_does_not_allow_is_rejected_whole() {
    let world = World::new().with_user(1, json!({ "userName": "ana" }));
    let outcome = world.decide(&change(
        1,
        &json!([
            { "op": "replace", "path": "title", "value": "x" },
            { "op": "replace", "path": "emails[type ne \"work\"].value", "value": "a@x" },
        ]),
    ));
    let Rejection::Scim(error) = outcome.rejection() else { panic!() };
    assert_eq!((error.status(), error.kind()), (400, Some(scim::Kind::NoTarget)));
}

#[test]
fn a_deleted_user_leaves_every_group_and_is_told_last() {
    let world = World::new()
        .with_user(1, json!({ "userName": "ana", "active": true }))
        .with_user(2, json!({ "userName": "bo" }))
        .with_group(11, json!({ "displayName": "A" }), &[1, 2])
        .with_group(12, json!({ "displayName": "B" }), &[2])
        .with_group(13, json!({ "displayName": "C" }), &[1]);
    let outcome = world.decide(&DeleteUser { id: id(1) });
    let left = |number: u64, name: &str| {
        let data = json!({
            "group": { "id": id(number).to_string(), "displayName": name },
            "member": { "value": id(1).to_string(), "type": "User" },
        });
        ("directory.group.member_removed".to_owned(), data)
    };
    let user = json!({ "id": id(1).to_string(), "userName": "ana", "active": true });
    assert_eq!(
        outcome.events(),
        [
            left(11, "A"),
            left(13, "C"),
            ("directory.user.deleted".to_owned(), json!({ "user": user })),
        ]
    );
    let groups: Vec<_> = outcome
        .changes()
        .iter()
        .filter_map(|change| match change {
            Change::Group(change) => change.after(),
            _ => None,
        })
        .map(|group| (group.id, group.version, group.member_count, group.modified_at))
        .collect();
    assert_eq!(groups, [(id(11), 6, 1, today()), (id(13), 6, 0, today())]);
}

#[test]
fn deleting_a_user_of_many_groups_asks_in_a_few_rounds() {
    let mut world = World::new().with_user(1, json!({ "userName": "ana" }));
    for number in 0..200 {
        world = world.with_group(10 + number, json!({ "displayName": format!("G{number}") }), &[1]);
    }
    let outcome = world.decide(&DeleteUser { id: id(1) });
    assert_eq!(outcome.changes().len(), 201);
}

#[test]
fn an_id_of_nobody_is_rejected() {
    let world = World::new().with_group(11, json!({ "displayName": "A" }), &[]);
    // Neither the id of nobody nor that of a group is one of a user.
    for number in [7, 11] {
        let unknown = Rejection::UnknownUser(id(number).to_string());
        assert_eq!(world.decide(&DeleteUser { id: id(number) }).rejection(), unknown);
        assert_eq!(world.decide(&change(number, &json!([]))).rejection(), unknown);
        let put = replace(number, json!({ "userName": "x" }));
        assert_eq!(world.decide(&put).rejection(), unknown);
    }
}

#[test]
fn a_directory_that_is_gone_takes_nobody() {
    let mut world = World::new();
    world.head = None;
    let rejection = world.decide(&create(json!({ "userName": "ana" }))).rejection();
    assert!(matches!(rejection, Rejection::UnknownDirectory(_)), "{rejection:?}");
}

#[test]
fn users_max_refuses_one_more_and_nothing_else() {
    let limits = Limits { users_max: 2, ..Limits::default() };
    let world = World::new().with_limits(limits).with_user(1, json!({ "userName": "ana" }));
    let third = create(json!({ "userName": "cy" }));
    let mut facts = world.facts();
    world.decide_knowing(&mut facts, &create(json!({ "userName": "bo" }))).answer();
    let rejection = world.decide_knowing(&mut facts, &third).rejection();
    assert_eq!(rejection, Rejection::UsersFull(2));

    let deactivated = change(1, &json!([{ "op": "replace", "value": { "active": false } }]));
    world.decide_knowing(&mut facts, &deactivated).answer();
    // A name that is taken is the better news: there is nothing to buy.
    let taken = create(json!({ "userName": "ana" }));
    let rejection = world.decide_knowing(&mut facts, &taken).rejection();
    assert_eq!(rejection, Rejection::UserNameTaken);
    let rejection = world.decide_knowing(&mut facts, &third).rejection();
    assert_eq!(rejection, Rejection::UsersFull(2), "who is not active has a place too");
    world.decide_knowing(&mut facts, &DeleteUser { id: id(1) }).answer();
    world.decide_knowing(&mut facts, &third).answer();
}

#[test]
fn users_and_active_users_are_counted() {
    fn counts<D: Decide<Answer: std::fmt::Debug>>(world: &World, decide: &D) -> (i64, i64) {
        let outcome = world.decide(decide);
        let [change] = outcome.changes() else { panic!() };
        let Counts { users, active_users, groups: 0 } = change.counts() else { panic!() };
        (users, active_users)
    }
    let active = World::new().with_user(1, json!({ "userName": "ana" }));
    let inactive = World::new().with_user(1, json!({ "userName": "ana", "active": false }));
    let off = change(1, &json!([{ "op": "replace", "value": { "active": false } }]));
    let on = change(1, &json!([{ "op": "replace", "value": { "active": true } }]));
    let bo = |active| create(json!({ "userName": "bo", "active": active }));
    assert_eq!(counts(&active, &bo(true)), (1, 1));
    assert_eq!(counts(&active, &bo(false)), (1, 0));
    assert_eq!(counts(&active, &off), (0, -1));
    assert_eq!(counts(&active, &on), (0, 0));
    assert_eq!(counts(&inactive, &on), (0, 1));
    assert_eq!(counts(&active, &DeleteUser { id: id(1) }), (-1, -1));
    assert_eq!(counts(&inactive, &DeleteUser { id: id(1) }), (-1, 0));
}

#[test]
fn only_what_is_needed_is_asked() {
    let world = World::new().with_user(1, json!({ "userName": "ana", "active": true }));
    let check = |outcome: Vec<Vec<Want>>, expected: &[&[Want]]| assert_eq!(outcome, expected);
    check(
        world.decide(&create(json!({ "userName": "BO", "externalId": "7" }))).asked,
        &[&[Want::UserName("bo".into())], &[Want::FormerUser("bo".into(), Some("7".into()))]],
    );
    check(
        world.decide(&change(1, &json!([{ "op": "replace", "value": { "active": false } }]))).asked,
        &[&[Want::User(id(1))]],
    );
    check(
        world.decide(&replace(1, json!({ "userName": "bo" }))).asked,
        &[&[Want::User(id(1))], &[Want::UserName("bo".into())]],
    );
    check(
        world.decide(&DeleteUser { id: id(1) }).asked,
        &[&[Want::User(id(1))], &[Want::GroupsOf(id(1))]],
    );
}

#[test]
fn deciding_twice_says_the_same() {
    let world = World::new().with_user(1, json!({ "userName": "ana" }));
    let put = replace(1, json!({ "userName": "bo", "title": "x" }));
    let decide = || world.decide(&put).decided.unwrap();
    assert_eq!(decide(), decide());
    let user: User = decide().answer;
    assert_eq!(user.user_name(), "bo");
}
