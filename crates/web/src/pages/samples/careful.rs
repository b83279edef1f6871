//! What the pages show on which somebody says who gets which role, and what becomes of what is held.

use askama::{Error, Template};
use directory::{HoldKind, HoldOutcome, HoldState, MemberRole};
use store::RoleProgress;

use super::portal::{connection, live, reader};
use super::{at, frame, signed_in};
use crate::api::holds::{ToldRow, instructions};
use crate::pages::directory::holds::{HoldPage, HoldsPage, LostRow, Row};
use crate::pages::directory::roles::{
    Example, Preview, ProtectedTyped, RolesPage, RuleTyped, Typed,
};
use crate::pages::parts::Sentence;
use crate::pages::visitor::{Reader, Within};

type Html = Result<String, Error>;

/// A member before a page of a directory.
fn member(section: &str, role: MemberRole) -> Reader {
    let home = "/dashboard/organizations/org-01kc2x4n0s0000000000000001".to_owned();
    Reader {
        within: Within::Dashboard(signed_in("organizations", role), home),
        organization: "Acme Industries".to_owned(),
        section: section.to_owned(),
    }
}

pub(super) fn add_all(add: &mut impl FnMut(&str, &str, Html)) {
    of_roles(add);
    of_holds(add);
}

fn of_roles(add: &mut impl FnMut(&str, &str, Html)) {
    let text = str::to_owned;
    let named = |all: &[(&str, &str)]| -> Vec<(String, String)> {
        all.iter().map(|(id, name)| (text(id), text(name))).collect()
    };
    let rule = |group: &str, filter: &str, role: &str| RuleTyped {
        group: text(group),
        filter: text(filter),
        role: text(role),
    };
    let design = "019b8d4a-0000-7000-8000-000000000031";
    let typed = Typed {
        rules: vec![rule(design, "", "editor"), rule("", "userType eq \"Admin\"", "admin")],
        default_role: text("viewer"),
        protected: vec![ProtectedTyped { user_name: text("owner@acme.test"), role: text("admin") }],
        ..Typed::default()
    };
    let page = |reader, special: &str| RolesPage {
        frame: frame(),
        reader,
        connection: connection(),
        live: live("directory/roles", special),
        progress: None,
        pace: None,
        warnings: Vec::new(),
        roles: named(&[("admin", "Admin"), ("editor", "Editor"), ("viewer", "Viewer")]),
        groups: named(&[(design, "Design-EU"), ("019b8d4a-0000-7000-8000-000000000032", "Sales")]),
        has_more_groups: false,
        wanted: String::new(),
        mapping: typed.clone(),
        seen: text("4f1d0c9b2e7a8d6f"),
        is_too_long: false,
        preview: None,
        wrong: None,
    };
    let in_portal = || reader("roles");
    let no_roles =
        RolesPage { roles: Vec::new(), mapping: Typed::default(), ..page(in_portal(), "empty") };
    add("directory/roles", "empty", no_roles.render());
    let warnings = vec![text("rule 1 names a group that is not there any more")];
    let progress =
        RoleProgress { done: 41_216, total: 100_000, begun_at: None, is_to_be_repeated: true };
    let developer = member("roles", MemberRole::Developer);
    let walking = RolesPage {
        progress: Some(progress),
        pace: Some("412 people a second, about 2 min still".to_owned()),
        warnings,
        has_more_groups: true,
        ..page(developer, "filled")
    };
    add("directory/roles", "filled", walking.render());
    let example = |user_name: &str, before: &str, after: &str, reason: Option<&str>| Example {
        address: Some(text("/")),
        user_name: text(user_name),
        before: text(before),
        after: text(after),
        reason: reason.map(|it| Sentence(text(it))),
    };
    let preview = Preview {
        people: 1_311,
        changed: 14,
        roles: vec![(text("Admin"), 2, 0), (text("Editor"), 12, 2)],
        examples: vec![
            example(
                "ana@acme.test",
                "Viewer",
                "Editor",
                Some("because ana@acme.test belongs to `Design-EU`, rule 1"),
            ),
            example("bo@acme.test", "Editor", "", None),
        ],
    };
    let previewed = RolesPage { preview: Some(preview), ..page(in_portal(), "preview") };
    add("directory/roles", "preview", previewed.render());
    let why = "rule 2: `userType = \"Admin\"` is no filter of SCIM";
    let what_to_do = "Nothing was changed. Mend it, and send it again";
    let wrong = Some((Sentence(text(why)), Sentence(text(what_to_do))));
    add("directory/roles", "wrong", RolesPage { wrong, ..page(in_portal(), "wrong") }.render());
    let support = member("roles", MemberRole::Support);
    add("directory/roles", "support", page(support, "support").render());
}

fn row(kind: HoldKind, state: HoldState, outcome: Option<HoldOutcome>) -> Row {
    let is_over = state == HoldState::Ended;
    Row {
        address: "/portal/hold".to_owned(),
        kind,
        state,
        outcome,
        people: 604,
        people_max: 1_204,
        lost: if is_over { 0 } else { 611 },
        started_at: at("2026-11-22T14:02:11Z"),
        until: (!is_over && kind == HoldKind::Brake).then(|| at("2026-11-23T14:02:11Z")),
        decided_at: (state != HoldState::Held).then(|| at("2026-11-22T15:10:00Z")),
        ended_at: is_over.then(|| at("2026-11-22T16:20:00Z")),
    }
}

fn of_holds(add: &mut impl FnMut(&str, &str, Html)) {
    use HoldKind::{Brake, Shadow};
    use HoldState::{Ended, Held, LettingOut, Rejected};

    let page = |reader, special: &str, holds| HoldsPage {
        frame: frame(),
        reader,
        connection: connection(),
        live: live("directory/holds", special),
        holds,
    };
    let ended = || {
        let outcomes = [HoldOutcome::Approved, HoldOutcome::TimeUp, HoldOutcome::BroughtBack];
        outcomes.map(|outcome| row(Brake, Ended, Some(outcome)))
    };
    let all = [row(Brake, Held, None)].into_iter().chain(ended()).collect();
    add("directory/holds", "filled", page(reader("holds"), "filled", all).render());
    let developer = || member("holds", MemberRole::Developer);
    add("directory/holds", "empty", page(developer(), "empty", Vec::new()).render());

    let lost = |name: &str, group: Option<&str>| LostRow {
        address: Some("/".to_owned()),
        name: name.to_owned(),
        group: group.map(str::to_owned),
    };
    let told = || {
        let row = |kind, name: &str, group: Option<&str>| ToldRow {
            kind,
            id: "01a200a6-7297-77ad-826f-0c7a318eb058".to_owned(),
            name: name.to_owned(),
            is_group: kind == "directory.group.created",
            group: group.map(str::to_owned),
            changed_at: at("2026-11-22T15:40:00Z").0,
        };
        vec![
            row("directory.user.created", "ana@acme.test", None),
            row("directory.user.created", "bo@acme.test", None),
            row("directory.group.created", "Design-EU", None),
            row("directory.group.member_added", "bo@acme.test", Some("Design-EU")),
        ]
    };
    let counts = || {
        let counts = [("directory.user.deactivated", 604), ("directory.group.member_removed", 7)];
        counts.map(|(kind, count)| (kind.to_owned(), count)).to_vec()
    };
    for (special, reader, row) in [
        ("held", reader("holds"), row(Brake, Held, None)),
        ("support", member("holds", MemberRole::Support), row(Brake, Held, None)),
        ("other", developer(), row(Brake, Held, None)),
        ("rejected", reader("holds"), row(Brake, Rejected, None)),
        ("letting-out", reader("holds"), row(Brake, LettingOut, Some(HoldOutcome::Approved))),
        ("ended", reader("holds"), row(Brake, Ended, Some(HoldOutcome::BroughtBack))),
        ("shadow", developer(), row(Shadow, Held, None)),
    ] {
        let is_open = matches!(row.state, Held | Rejected);
        let has_lost = is_open && row.kind == Brake;
        let people = [("ana@acme.test", None), ("bo@acme.test", Some("Design-EU"))];
        let hold = HoldPage {
            frame: frame(),
            reader,
            connection: connection(),
            live: live("directory/hold", special),
            seen: "4f1d0c9b2e7a8d6f".to_owned(),
            counts: if is_open { counts() } else { Vec::new() },
            lost: people.into_iter().filter(|_| has_lost).map(|(it, of)| lost(it, of)).collect(),
            told: if row.kind == Shadow { told() } else { Vec::new() },
            sees_people: true,
            next: has_lost.then(|| "/".to_owned()),
            instructions: (row.state == Rejected).then(|| instructions(directory::Provider::Okta)),
            is_other: special == "other",
            row,
        };
        add("directory/hold", special, hold.render());
    }
}
