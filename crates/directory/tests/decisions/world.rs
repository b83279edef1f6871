//! A directory set by hand, which answers what a decision asks and remembers what that was.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use directory::{
    Aside, Assignment, Change, CustomSchema, Decide, Decision, Directory, DirectoryHead,
    DirectoryId, Document, Facts, Group, GroupId, Ids, Limits, Membership, Moment, OmittedMembers,
    OrganizationId, Provider, Rejection, ResourceId, RoleState, Roles, Settings, Stop, Token,
    UnknownMembers, Use, User, Want, with_roles,
};
use jiff::Timestamp;
use scim::admit::{Admitted, admit};
use scim::dialect::Quirks;
use scim::group::{Member, MemberKind};
use scim::patch::Patch;
use scim::{Preset, Resource, ResourceType};
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// Ids from 1,000 on, one after the other.
struct Counting(AtomicU64);

impl Ids for Counting {
    fn next(&self) -> Uuid {
        Uuid::from_u128(self.0.fetch_add(1, Ordering::Relaxed).into())
    }
}

/// The id with this number.
pub(crate) fn id(number: u64) -> ResourceId {
    ResourceId::new(&Counting(AtomicU64::new(number)))
}

/// The id of what is created first.
pub(crate) fn new_id() -> ResourceId {
    id(1_000)
}

pub(crate) fn yesterday() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

pub(crate) fn today() -> Timestamp {
    "2026-01-02T00:00:00Z".parse().unwrap()
}

pub(crate) fn user_type() -> Arc<ResourceType> {
    Arc::new(ResourceType::user())
}

pub(crate) fn group_type() -> Arc<ResourceType> {
    Arc::new(ResourceType::group())
}

fn admitted(body: Value, resource_type: &ResourceType) -> Admitted {
    admit(body, resource_type, Preset::Lenient, &mut Quirks::new()).unwrap()
}

pub(crate) fn user_resource(body: Value) -> Resource {
    admitted(body, &ResourceType::user()).resource
}

pub(crate) fn group_resource(body: Value) -> Resource {
    admitted(body, &ResourceType::group()).resource
}

/// `[7, 8]`, as a client names members.
pub(crate) fn members(numbers: &[u64]) -> Vec<Member> {
    numbers
        .iter()
        .map(|number| Member { value: id(*number).to_string(), kind: None, display: None })
        .collect()
}

pub(crate) fn patch(operations: &Value, resource_type: &ResourceType) -> Patch {
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": operations,
    });
    Patch::parse(body, resource_type, Preset::Lenient, &mut Quirks::new()).unwrap()
}

pub(crate) struct World {
    pub(crate) head: Option<DirectoryHead>,
    users: Vec<User>,
    groups: Vec<Group>,
    memberships: Vec<(GroupId, Membership)>,
    tokens: Vec<Token>,
    /// Name, `externalId`, id; the latest last.
    former: Vec<(String, Option<String>, ResourceId)>,
    schemas: Vec<CustomSchema>,
    roles: Arc<Roles>,
    role_state: Option<RoleState>,
    /// Ids that were given away before.
    pub(crate) ids_gone: u64,
}

/// What came of a decision, and what it asked for, round by round.
pub(crate) struct Outcome<A> {
    pub(crate) decided: Result<Decision<A>, Rejection>,
    pub(crate) asked: Vec<Vec<Want>>,
}

impl World {
    pub(crate) fn new() -> World {
        let one = Counting(AtomicU64::new(1));
        World {
            head: Some(DirectoryHead {
                directory: Directory {
                    id: DirectoryId::new(&one),
                    organization_id: OrganizationId::new(&one),
                    name: "Okta".to_owned(),
                    provider: Provider::Okta,
                    settings: Settings::default(),
                    created_at: yesterday(),
                    paused_at: None,
                    disconnected: None,
                    deleted_at: None,
                },
                user_count: 0,
                group_count: 0,
                schemas_version: 0,
                roles_version: 0,
                limits: Limits::default(),
            }),
            users: Vec::new(),
            groups: Vec::new(),
            memberships: Vec::new(),
            tokens: Vec::new(),
            former: Vec::new(),
            schemas: Vec::new(),
            roles: Arc::default(),
            role_state: None,
            ids_gone: 0,
        }
    }

    pub(crate) fn head(&mut self) -> &mut DirectoryHead {
        self.head.as_mut().unwrap()
    }

    pub(crate) fn refusing_unknown_members(mut self) -> World {
        self.head().directory.settings.unknown_members = UnknownMembers::Refuse;
        self
    }

    pub(crate) fn clearing_omitted_members(mut self) -> World {
        self.head().directory.settings.omitted_members = OmittedMembers::Clear;
        self
    }

    pub(crate) fn with_limits(mut self, limits: Limits) -> World {
        self.head().limits = limits;
        self
    }

    /// A user of version 3, since yesterday.
    pub(crate) fn with_user(self, number: u64, body: Value) -> World {
        self.with_user_of(number, body, &ResourceType::user())
    }

    /// The same, of a directory with schemas of its own.
    pub(crate) fn with_user_of(
        mut self,
        number: u64,
        body: Value,
        resource_type: &ResourceType,
    ) -> World {
        self.head().user_count += 1;
        let document = Document::new(admitted(body, resource_type).resource);
        self.users.push(User {
            id: id(number),
            active: document.says_active().unwrap_or(true),
            document,
            version: 3,
            created_at: yesterday(),
            modified_at: yesterday(),
            aside: Aside::default(),
        });
        self
    }

    /// The last user, with this beside them.
    pub(crate) fn with_aside(mut self, values: &Value) -> World {
        let user = self.users.last_mut().unwrap();
        user.aside = Aside::of(values.as_object().unwrap());
        self
    }

    pub(crate) fn with_schema(mut self, schema: CustomSchema) -> World {
        self.schemas.push(schema);
        self
    }

    /// The same, who may not use the app though nothing says so any more.
    pub(crate) fn with_silent_user(self, number: u64, body: Value) -> World {
        let mut world = self.with_user(number, body);
        world.users.last_mut().unwrap().active = false;
        world
    }

    /// A group of version 5, since yesterday, with these members.
    pub(crate) fn with_group(mut self, number: u64, body: Value, members: &[u64]) -> World {
        self.head().group_count += 1;
        self.groups.push(Group {
            id: id(number),
            document: Document::new(group_resource(body)),
            version: 5,
            member_count: members.len() as u64,
            created_at: yesterday(),
            modified_at: yesterday(),
        });
        for member in members {
            let is_group = self.groups.iter().any(|group| group.id == id(*member));
            let kind = if is_group { MemberKind::Group } else { MemberKind::User };
            let display = Some(format!("Member {member}"));
            self.memberships.push((id(number), Membership { id: id(*member), kind, display }));
        }
        self
    }

    pub(crate) fn with_roles(mut self, roles: Arc<Roles>) -> World {
        self.roles = roles;
        self
    }

    /// Everybody's roles are still to be looked at, and nobody has any.
    pub(crate) fn with_role_state(mut self, state: RoleState) -> World {
        self.head().roles_version = state.version;
        self.role_state = Some(state);
        self
    }

    pub(crate) fn with_token(mut self, token: Token) -> World {
        self.tokens.push(token);
        self
    }

    pub(crate) fn with_former_user(
        mut self,
        number: u64,
        name: &str,
        external_id: Option<&str>,
    ) -> World {
        self.former.push((name.to_owned(), external_id.map(str::to_owned), id(number)));
        self
    }

    pub(crate) fn facts(&self) -> Facts {
        let id = self
            .head
            .as_ref()
            .map_or(DirectoryId::new(&Counting(AtomicU64::new(99))), |head| head.directory.id);
        Facts::new(id, self.head.clone())
    }

    /// Decides, starting from nothing known.
    pub(crate) fn decide<D: Decide>(&self, decide: &D) -> Outcome<D::Answer> {
        self.decide_knowing(&mut self.facts(), decide)
    }

    /// Decides, and has the facts absorb the changes.
    pub(crate) fn decide_knowing<D: Decide>(
        &self,
        facts: &mut Facts,
        decide: &D,
    ) -> Outcome<D::Answer> {
        let mut asked = Vec::new();
        let ids = Counting(AtomicU64::new(1_000 + self.ids_gone + self.next_id_offset(facts)));
        loop {
            let first = ids.0.load(Ordering::Relaxed);
            let moment = Moment { now: today(), ids: &ids };
            let decided = decide.decide(facts, &moment).and_then(|decision| {
                let Decision { changes, answer } = decision;
                Ok(Decision { changes: with_roles(facts, &moment, changes)?, answer })
            });
            match decided {
                Ok(decision) => {
                    for change in &decision.changes {
                        facts.absorb(change);
                    }
                    return Outcome { decided: Ok(decision), asked };
                }
                Err(Stop::Rejected(rejection)) => {
                    return Outcome { decided: Err(rejection), asked };
                }
                Err(Stop::Missing(missing)) => {
                    ids.0.store(first, Ordering::Relaxed);
                    self.answer(facts, &missing.0);
                    asked.push(missing.0);
                    assert!(asked.len() <= 8, "a decision asks in a few rounds: {asked:?}");
                }
            }
        }
    }

    /// So that several creations over the same facts have different ids.
    fn next_id_offset(&self, facts: &Facts) -> u64 {
        let (Some(then), Ok(now)) = (&self.head, facts.directory()) else { return 0 };
        (now.user_count + now.group_count).saturating_sub(then.user_count + then.group_count)
    }

    fn answer(&self, facts: &mut Facts, wants: &[Want]) {
        for want in wants {
            self.answer_one(facts, want.clone());
        }
    }

    pub(crate) fn answer_one(&self, facts: &mut Facts, want: Want) {
        let members_of = |group: GroupId| {
            self.memberships.iter().filter(move |(of, _)| *of == group).map(|(_, it)| it.clone())
        };
        match want {
            Want::User(id) => {
                facts.learn_user(id, self.users.iter().find(|it| it.id == id).cloned());
            }
            Want::UserName(key) => {
                let holder = self.users.iter().find(|it| it.name_key() == key).map(|it| it.id);
                facts.learn_user_name(key, holder);
            }
            Want::FormerUser(key, external_id) => {
                let found = self.former.iter().rev().find(|(name, external, _)| {
                    *name == key || (external.is_some() && *external == external_id)
                });
                facts.learn_former_user((key, external_id), found.map(|(_, _, id)| *id));
            }
            Want::Group(id) => {
                facts.learn_group(id, self.groups.iter().find(|it| it.id == id).cloned());
            }
            Want::GroupName(key) => {
                let holder = self.groups.iter().find(|it| it.name_key() == key).map(|it| it.id);
                facts.learn_group_name(key, holder);
            }
            Want::Kind(id) => {
                let user = self.users.iter().any(|it| it.id == id).then_some(MemberKind::User);
                let group = self.groups.iter().any(|it| it.id == id).then_some(MemberKind::Group);
                facts.learn_kind(id, user.or(group));
            }
            Want::Member(group, id) => {
                facts.learn_member(group, id, members_of(group).find(|it| it.id == id));
            }
            Want::AllMembers(group) => facts.learn_all_members(group, members_of(group).collect()),
            Want::Token(id) => {
                facts.learn_token(id, self.tokens.iter().find(|it| it.id == id).cloned());
            }
            Want::TokenCount => facts.learn_token_count(self.tokens.len() as u64),
            // Nothing guards their organization.
            Want::Outsider(id) => facts.learn_outsider(id, false),
            Want::GroupsOf(member) => {
                let groups = self.memberships.iter().filter(|(_, it)| it.id == member);
                facts.learn_groups_of(member, groups.map(|(group, _)| *group).collect());
            }
            Want::Roles => facts.learn_roles(Arc::clone(&self.roles)),
            Want::RoleState => {
                facts
                    .learn_role_state(self.role_state.clone().expect("the head says there is one"));
            }
            Want::Assignment(id) => facts.learn_assignment(id, Assignment::default()),
            Want::Schemas => facts.learn_schemas(self.schemas.clone()),
            Want::Uses => facts.learn_uses(self.uses()),
        }
    }
}

impl World {
    /// As if everybody had just been created.
    fn uses(&self) -> HashMap<Use, u64> {
        let mut uses = HashMap::new();
        for user in &self.users {
            let create = directory::CreateUser {
                document: user.document.clone(),
                aside: user.aside.clone(),
            };
            let created = World::new().decide(&create);
            for (at, (more, _)) in created.changes().iter().flat_map(Change::uses) {
                *uses.entry(at).or_default() += more.unsigned_abs();
            }
        }
        uses
    }
}

impl<A: std::fmt::Debug> Outcome<A> {
    #[track_caller]
    pub(crate) fn answer(self) -> A {
        self.decided.unwrap().answer
    }

    #[track_caller]
    pub(crate) fn rejection(self) -> Rejection {
        self.decided.unwrap_err()
    }

    #[track_caller]
    pub(crate) fn changes(&self) -> &[Change] {
        &self.decided.as_ref().unwrap().changes
    }

    /// The events that follow, as `type data`.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<(String, Value)> {
        let drafts = self.changes().iter().flat_map(Change::events);
        drafts
            .map(|it| (it.kind.to_string(), serde_json::from_str(&it.data).expect("JSON")))
            .collect()
    }

    /// That everything is already as it was asked for.
    #[track_caller]
    pub(crate) fn is_nothing(&self) {
        assert_eq!(self.changes(), []);
    }
}
