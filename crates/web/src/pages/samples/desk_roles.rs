//! What the dashboard shows of the roles of the app, and of all that waits.

use askama::Template;
use directory::{HoldKind, HoldOutcome, HoldState, MemberRole};

use super::{at, frame, signed_in};
use crate::pages::dashboard::holds::{HoldsPage, Of};
use crate::pages::dashboard::roles::{RoleRow, RoleTyped, RolesPage};
use crate::pages::directory::holds::Row;
use crate::pages::parts::Sentence;

const HOME: &str = "/dashboard/organizations/org-01kc2x4n0s0000000000000001/directories/dir-1";

fn typed(id: &str, name: &str, description: &str, rank: &str) -> RoleTyped {
    let text = str::to_owned;
    RoleTyped { id: text(id), name: text(name), description: text(description), rank: text(rank) }
}

fn roles() -> Vec<RoleRow> {
    let role = |typed: RoleTyped| RoleRow {
        seen: "5f1c".to_owned(),
        changed_at: at("2026-11-22T14:02:11Z"),
        typed,
    };
    vec![
        role(typed("admin", "Admin", "May do everything, and invite others", "1")),
        role(typed("editor", "Editor", "", "20")),
        role(typed("guest", "Guest", "Looks at what is shared with them", "")),
    ]
}

fn hold(state: HoldState, outcome: Option<HoldOutcome>, kind: HoldKind) -> Of {
    let is_ended = state == HoldState::Ended;
    Of {
        row: Row {
            address: format!("{HOME}/holds/hold-1"),
            kind,
            state,
            outcome,
            people: 212,
            people_max: 480,
            lost: 230,
            started_at: at("2026-11-22T14:02:11Z"),
            until: (state == HoldState::Held && kind == HoldKind::Brake)
                .then(|| at("2026-11-25T14:02:11Z")),
            decided_at: is_ended.then(|| at("2026-11-22T15:02:11Z")),
            ended_at: is_ended.then(|| at("2026-11-22T15:02:12Z")),
        },
        address: HOME.to_owned(),
        directory: "Okta".to_owned(),
        organization_id: "org-01kc2x4n0s0000000000000001".to_owned(),
        organization: "Acme Industries".to_owned(),
    }
}

pub(super) fn add_all(add: &mut impl FnMut(&str, &str, Result<String, askama::Error>)) {
    let page = |role, roles, new, wrong| RolesPage {
        frame: frame(),
        signed_in: signed_in("roles", role),
        roles,
        new,
        wrong,
    };
    let (owner, none) = (MemberRole::Owner, RoleTyped::default);
    add("dashboard/roles", "filled", page(owner, roles(), none(), None).render());
    add("dashboard/roles", "empty", page(owner, Vec::new(), none(), None).render());
    add("dashboard/roles", "support", page(MemberRole::Support, roles(), none(), None).render());
    let wrong = (
        Sentence("there is a role `admin` already".to_owned()),
        Sentence("Change that one, or choose another id".to_owned()),
    );
    let new = typed("admin", "Boss", "", "1");
    add("dashboard/roles", "wrong", page(owner, roles(), new, Some(wrong)).render());

    let holds = |holds, is_open, next: Option<&str>| HoldsPage {
        frame: frame(),
        signed_in: signed_in("holds", MemberRole::Support),
        holds,
        is_open,
        next: next.map(str::to_owned),
    };
    let some = vec![
        hold(HoldState::Held, None, HoldKind::Brake),
        hold(HoldState::Held, None, HoldKind::Shadow),
        hold(HoldState::Rejected, None, HoldKind::Brake),
        hold(HoldState::Ended, Some(HoldOutcome::Approved), HoldKind::Brake),
    ];
    let next = Some("/dashboard/holds?before=hold-1");
    add("dashboard/holds", "filled", holds(some, false, next).render());
    add("dashboard/holds", "empty", holds(Vec::new(), false, None).render());
    add("dashboard/holds", "none-open", holds(Vec::new(), true, None).render());
}
