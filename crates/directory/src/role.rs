//! The roles that people have in the vendor's app: which there are, who gets which, and why.
//!
//! Which there are is the catalogue ([`CatalogueEntry`](crate::CatalogueEntry)), the list that
//! providers read at `/Roles`: a role is one of its entries, and there is no second list. Two things
//! are said of who has a role, by two parties, and they are kept apart. What a provider writes into
//! the `roles` of a user is an attribute like any other. What a [`RoleMapping`] makes of a person's
//! groups and attributes, which may be that attribute, is the [`Assignment`], and the only thing that
//! the app is to act on.
//!
//! An assignment is a pure function of the person as they are now and of the mapping. It does not
//! depend on what they had before, so it can be computed afresh at any time, and nobody keeps by
//! accident what they got by mistake.

mod assign;
mod follow;
mod mapping;

use std::collections::HashMap;

use crate::catalogue::EntryId;

pub use assign::{Assignment, BoundMapping, Difference, Granted, Idle, Person, Reason};
pub use follow::{
    CONCERNED_MAX, RoleState, RoleStateChange, RoleWalk, RolesChange, SaveRoleMapping, WalkRoles,
    with_roles,
};
pub use mapping::{
    CONDITIONS_MAX, MappingFault, MappingPlace, PROTECTED_MAX, Protection, RULES_MAX, RoleMapping,
    Rule, Strategy, When,
};

/// A role of the app: an entry of the catalogue, with its place among the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// The vendor's own name for it.
    pub id: EntryId,
    /// 1 is the highest. One without a rank is below all that have one.
    pub rank: Option<u16>,
}

/// The roles of the app, from the highest to the lowest.
///
/// No two are equally high: of those with the same rank, or none, the one that came into the
/// catalogue first is the higher one. So it never depends on chance which of two somebody gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    ladder: Vec<EntryId>,
    places: HashMap<EntryId, usize>,
}

impl Roles {
    /// Of the catalogue, in its order.
    pub fn new(catalogue: impl IntoIterator<Item = Role>) -> Roles {
        let mut ladder: Vec<_> = catalogue.into_iter().collect();
        ladder.sort_by_key(|role| (role.rank.is_none(), role.rank));
        let ladder: Vec<_> = ladder.into_iter().map(|role| role.id).collect();
        let places = ladder.iter().cloned().zip(0..);
        Roles { places: places.collect(), ladder }
    }

    /// Whether the app has it.
    fn has(&self, id: &EntryId) -> bool {
        self.places.contains_key(id)
    }

    /// How many are higher.
    fn place(&self, id: &EntryId) -> Option<usize> {
        self.places.get(id).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_stand_by_rank_and_then_as_in_the_catalogue() {
        let role = |id: &str, rank| Role { id: id.parse().unwrap(), rank };
        let roles = Roles::new([
            role("guest", None),
            role("viewer", Some(30)),
            role("auditor", Some(30)),
            role("bot", None),
            role("admin", Some(1)),
        ]);
        let order: Vec<_> = roles.ladder.iter().map(EntryId::as_str).collect();
        assert_eq!(order, ["admin", "viewer", "auditor", "guest", "bot"]);
        for (place, id) in order.into_iter().enumerate() {
            let id = id.parse().unwrap();
            assert_eq!(roles.place(&id), Some(place));
            assert!(roles.has(&id));
        }
        assert!(!roles.has(&"boss".parse().unwrap()));
    }
}
