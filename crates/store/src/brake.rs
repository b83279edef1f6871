//! The brake: whether so many people lose something in a short time that nothing is let out any more.
//!
//! It is weighed in the transaction that keeps the changes, while the directory is locked, over what
//! was lost lately, which is kept. So it is exact, whatever is kept together, on whichever node,
//! and whenever it is started again: either a loss is within what may be, and is told, or it is not,
//! and then none of the transaction is.
//!
//! What was let out before it was pulled has been told. Each such loss was kept as it was before, and the
//! app is told that again: who was deactivated is active, who left a group belongs to it, and whoever has a
//! role by that has it. From there on these are held too.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use directory::event::{EventKind, between_roles};
use directory::hold::{self, Loss, ToldUser, losses};
use directory::{
    Aside, Assignment, Brake, Cause, Change, DirectoryId, GroupId, Hold, HoldId, HoldKind,
    HoldState, Membership, Moment, Person, ResourceId, User, UserId, Want,
};
use jiff::Timestamp;
use scim::group::MemberKind;

use crate::error::Error;
use crate::held::{Circumstance, Heard, Noted};
use crate::holds::{self, Telling};
use crate::load;
use crate::roles;
use crate::rows;
use crate::session::{Engine, Flow, Many, Session, Value, count};

/// Ids that are looked for at once.
const IDS_AT_ONCE: usize = 5_000;

/// What a directory is weighed by.
pub(crate) struct Scale {
    pub(crate) directory_id: DirectoryId,
    pub(crate) brake: Brake,
    /// Who is active before the transaction.
    pub(crate) active: u64,
}

/// That it was pulled.
pub(crate) struct Pulled {
    pub(crate) hold_id: HoldId,
    /// What is told at once: that it was, and what the app hears again.
    pub(crate) told: Vec<Telling>,
}

/// What was lost: a user or a group, or a membership of the member.
type LostKey = (ResourceId, Option<ResourceId>);

/// As it was before.
#[derive(Clone)]
struct Before {
    kind: MemberKind,
    name_key: String,
    told: String,
    told_active: bool,
    cause: String,
    at: Timestamp,
}

/// What is lost by changes of one directory, all together.
#[derive(Default)]
pub(crate) struct Losses(BTreeMap<LostKey, Before>);

impl Losses {
    /// Takes a change of the provider, after those before it.
    pub(crate) fn take(&mut self, change: &Change, at: Timestamp, cause: &Cause) {
        match change {
            Change::User(it) if it.after().is_some_and(directory::User::is_active) => {
                self.0.remove(&(it.id(), None));
            }
            Change::Group(it) => {
                for member in it.added() {
                    self.0.remove(&(it.id(), Some(member.id)));
                }
            }
            _ => {}
        }
        let lost = losses(change);
        if lost.is_empty() {
            return;
        }
        let cause = cause.text(None);
        for loss in lost {
            let (key, kind, name_key, told, told_active) = match loss {
                Loss::User(user) => (
                    (user.id, None),
                    MemberKind::User,
                    user.name_key(),
                    user.document.text().to_owned(),
                    user.is_active(),
                ),
                Loss::Group(group) => (
                    (group.id, None),
                    MemberKind::Group,
                    group.name_key(),
                    group.document.text().to_owned(),
                    true,
                ),
                Loss::Membership(group, member) => {
                    ((group, Some(member.id)), member.kind, String::new(), String::new(), true)
                }
            };
            let before = Before { kind, name_key, told, told_active, cause: cause.clone(), at };
            // Who is deactivated and then deleted was active before.
            let first = self.0.get(&key).filter(|first| first.told_active && !told_active);
            let before = first.cloned().unwrap_or(before);
            self.0.insert(key, before);
        }
    }
}

/// Weighs what is lost in a transaction together with what was lost lately. Where that is too much,
/// keeps a hold and what the app has heard last; otherwise remembers what is lost now.
pub(crate) async fn weigh(
    session: &mut Session,
    scale: &Scale,
    lost: Losses,
    moment: Moment<'_>,
    ordinal: impl FnMut() -> u64,
) -> Result<Option<Pulled>, Error> {
    let Scale { directory_id, brake, active } = scale;
    let Losses(lost) = lost;
    if lost.is_empty() {
        return Ok(None);
    }
    let directory = directory_id.to_string();
    let since = brake.since(moment.now);
    let sql = "delete from recent_losses where directory_id = $1 and lost_at <= $2";
    let values = [Value::Text(&directory), Value::Time(since)];
    session.run("forgetting what was lost long ago", sql, &values).await?;
    // Each is of one person at most. Nearly always that is few enough, and nothing else is asked.
    let least = brake.people_max(*active);
    let sql = "select count(*) from
               (select 1 from recent_losses where directory_id = $1 limit $2) lately";
    let values = [Value::Text(&directory), count(least.saturating_add(1))];
    let lately = session.first("counting what was lost", sql, &values, |row| row.number(0)).await?;
    if lately.unwrap_or_default() + lost.len() as u64 <= least {
        remember(session, &directory, &lost).await?;
        return Ok(None);
    }
    let window = window(session, &directory).await?;
    let mut people = BTreeSet::new();
    let mut former = 0;
    let mut members = BTreeSet::new();
    let of_window = window.iter().map(|it| (&it.key, &it.before, true));
    for ((id, member), before, is_former) in
        of_window.chain(lost.iter().map(|(key, before)| (key, before, false)))
    {
        match (member, before.kind) {
            (None, MemberKind::User) if before.told_active => {
                former += u64::from(people.insert(*id) && is_former);
            }
            (Some(member), MemberKind::User) => _ = members.insert(*member),
            _ => {}
        }
    }
    members.retain(|member| !people.contains(member));
    let most = brake.people_max(active + former);
    people.extend(active_among(session, &directory, members).await?);
    if people.len() as u64 <= most {
        remember(session, &directory, &lost).await?;
        return Ok(None);
    }
    let mut hold = Hold {
        id: HoldId::new(moment.ids),
        directory_id: *directory_id,
        kind: HoldKind::Brake,
        state: HoldState::Held,
        outcome: None,
        people: people.len() as u64,
        people_max: most,
        started_at: moment.now,
        until: brake.until(moment.now),
        remind_at: None,
        lost: 0,
        lost_at: 0,
        decided_at: None,
        ended_at: None,
        cause: lost.values().next().map(|it| it.cause.clone()).unwrap_or_default(),
        decided_by: None,
    };
    hold.remind_at = hold.next_reminder(moment.now);
    holds::begin(session, &hold).await?;
    let told = pull(session, &hold, &window, ordinal).await?;
    let sql = "delete from recent_losses where directory_id = $1";
    session.run("forgetting what is held now", sql, &[Value::Text(&directory)]).await?;
    Ok(Some(Pulled { hold_id: hold.id, told }))
}

/// Tells that the brake was pulled, and takes back what was told of what was lost just before.
async fn pull(
    session: &mut Session,
    hold: &Hold,
    window: &[LostLately],
    mut ordinal: impl FnMut() -> u64,
) -> Result<Vec<Telling>, Error> {
    let (directory_id, at) = (hold.directory_id, hold.started_at);
    let cause = hold.cause.clone();
    let draft = hold.tell(EventKind::HoldStarted);
    let mut told = vec![Telling { directory_id, draft, at, cause, turned: None }];
    let again = Cause::started_hold(hold.id).text(None);
    let tell = |draft, turned| Telling { directory_id, draft, at, cause: again.clone(), turned };
    let mut noted = Noted::default();
    // An app is told of groups before their members; and what is let out later, of members first.
    let is_membership = |it: &&LostLately| it.key.1.is_some();
    for it in window.iter().filter(is_membership) {
        let (Some(member), group) = (it.key.1, it.key.0) else { continue };
        let at = Circumstance { ordinal: ordinal(), at: it.before.at, cause: &it.before.cause };
        noted.membership((group, member), it.before.kind, true, &at);
    }
    let resources = || window.iter().filter(|it| !is_membership(it));
    for it in resources() {
        let (id, before) = (it.key.0, &it.before);
        let heard = Heard {
            kind: before.kind,
            name_key: &before.name_key,
            told: Some((&before.told, before.told_active)),
            previous_id: None,
        };
        noted.resource(
            id,
            &heard,
            &Circumstance { ordinal: ordinal(), at: before.at, cause: &before.cause },
        );
    }
    for of in [MemberKind::Group, MemberKind::User] {
        for it in resources().filter(|it| it.before.kind == of) {
            let (id, before) = (it.key.0, &it.before);
            let draft = match of {
                MemberKind::Group => hold::between_groups(id, None, Some(&before.told)),
                MemberKind::User => {
                    let now = it.now.as_ref();
                    let now = now.map(|(text, is_active)| ToldUser { text, is_active: *is_active });
                    let was = ToldUser { text: &before.told, is_active: before.told_active };
                    hold::between_users(id, now, Some(was), None)
                }
            };
            // Whoever has their access again: the app need not say any more that it has ended.
            let turned = (of == MemberKind::User && before.told_active).then_some(id);
            told.extend(draft.map(|draft| tell(draft, turned)));
        }
    }
    let mut names: BTreeMap<_, _> = resources()
        .filter(|it| it.before.kind == MemberKind::Group)
        .map(|it| (it.key.0, hold::group_name(&it.before.told)))
        .collect();
    for it in window.iter().filter(is_membership) {
        let (Some(member), group) = (it.key.1, it.key.0) else { continue };
        let name = it.group_name.as_deref().or(names.get(&group).map(String::as_str));
        let member = Membership { id: member, kind: it.before.kind, display: None };
        let draft = hold::of_membership(group, name.unwrap_or_default(), &member, true);
        told.push(tell(draft, None));
    }
    let people = roles_before(session, hold.directory_id, window).await?;
    let groups = people.iter().flat_map(|it| it.before.groups()).collect();
    names.extend(roles::names_of(session, &hold.directory_id.to_string(), &groups).await?);
    for it in people {
        let (id, name) = (it.user.id, it.user.user_name());
        let draft = between_roles(id, name, &it.heard, &it.before, &names);
        if let Some(draft) = draft {
            let (at, cause) = (it.because.at, it.because.cause.as_str());
            noted.roles(id, &it.before, &Circumstance { ordinal: ordinal(), at, cause });
            told.push(tell(draft, None));
        }
    }
    noted.keep(session, hold.directory_id).await?;
    Ok(told)
}

/// The roles of somebody who lost something lately.
struct RolesBefore<'a> {
    /// As the app is told again that they were.
    user: User,
    /// What follows from that for their roles.
    before: Assignment,
    /// The roles that it has heard of last.
    heard: Assignment,
    /// What was lost first.
    because: &'a Before,
}

/// The roles of those who lost something lately, as they follow from what the app is told again. Nothing
/// of that has to be remembered: roles follow from nothing else.
async fn roles_before<'a>(
    session: &mut Session,
    directory_id: DirectoryId,
    window: &'a [LostLately],
) -> Result<Vec<RolesBefore<'a>>, Error> {
    const LEARNED: &str = "it was just learned";
    let Some(state) = roles::state(session, directory_id).await? else { return Ok(Vec::new()) };
    let mut people: BTreeMap<UserId, (&Before, BTreeSet<GroupId>)> = BTreeMap::new();
    let mut users: HashMap<UserId, &Before> = HashMap::new();
    for it in window.iter().filter(|it| it.before.kind == MemberKind::User) {
        let (id, group) = match it.key {
            (group, Some(member)) => (member, Some(group)),
            (id, None) => (id, None),
        };
        people.entry(id).or_insert_with(|| (&it.before, BTreeSet::new())).1.extend(group);
        if group.is_none() {
            users.insert(id, &it.before);
        }
    }
    let of = |id: &UserId| [Want::User(*id), Want::GroupsOf(*id), Want::Assignment(*id)];
    let wants = people.keys().flat_map(of).collect();
    let facts = load::facts(session, directory_id, wants).await?;
    let mut found = Vec::new();
    for (id, (because, mut groups)) in people {
        let user = match (users.get(&id), facts.user(id).expect(LEARNED)) {
            (Some(before), _) => as_before(id, before)?,
            (None, Some(user)) => user.clone(),
            (None, None) => continue,
        };
        groups.extend(facts.groups_of(id).expect(LEARNED));
        let before = state.bound.assigned(Person { user: &user, groups: &groups });
        let heard = facts.assignment(id).expect(LEARNED).clone();
        found.push(RolesBefore { user, before, heard, because });
    }
    Ok(found)
}

/// Somebody as they were, as far as roles can follow from it.
fn as_before(id: UserId, before: &Before) -> Result<User, Error> {
    Ok(User {
        id,
        document: rows::document(id, &before.told)?,
        active: before.told_active,
        version: 0,
        created_at: before.at,
        modified_at: before.at,
        aside: Aside::default(),
    })
}

/// Something that was lost lately and is not back.
struct LostLately {
    key: LostKey,
    before: Before,
    /// A user who is there still, as they are.
    now: Option<(String, bool)>,
    /// Of a membership: the name of the group, where it is there still.
    group_name: Option<String>,
    /// Of a membership: whether the member is.
    is_member_there: bool,
}

/// What was lost lately and is not back.
async fn window(session: &mut Session, directory: &str) -> Result<Vec<LostLately>, Error> {
    let mut found = Vec::new();
    session
        .each(
            "reading what was lost lately",
            "select l.resource_id, l.member_id, l.kind, l.name_key, l.told, l.told_active, l.cause,
                    l.lost_at, u.resource, u.active, g.display_name, m.member_id,
                    coalesce(mu.user_id, mg.group_id)
             from recent_losses l
             left join users u on u.directory_id = l.directory_id and u.user_id = l.resource_id
             left join groups g on g.directory_id = l.directory_id and g.group_id = l.resource_id
             left join memberships m on m.group_id = l.resource_id and m.member_id = l.member_id
             left join users mu on mu.directory_id = l.directory_id and mu.user_id = l.member_id
             left join groups mg on mg.directory_id = l.directory_id
                                and mg.group_id = l.member_id
             where l.directory_id = $1
             order by l.lost_at, l.resource_id, l.member_id",
            &[Value::Text(directory)],
            |row| {
                let member = row.text(1)?;
                let member = if member.is_empty() { None } else { Some(row.resource_id(1)?) };
                let before = Before {
                    kind: rows::kind_from(&row.text(2)?)?,
                    name_key: row.text(3)?,
                    told: row.text(4)?,
                    told_active: row.integer(5)? != 0,
                    cause: row.text(6)?,
                    at: row.time(7)?,
                };
                let text = row.optional_text(8)?;
                let now = text.zip(row.optional_integer(9)?.map(|it| it != 0));
                let group_name = row.optional_text(10)?;
                let is_back = match (member, before.kind) {
                    (Some(_), _) => row.optional_text(11)?.is_some(),
                    (None, MemberKind::Group) => group_name.is_some(),
                    (None, MemberKind::User) => {
                        now.as_ref().is_some_and(|(_, is_active)| *is_active || !before.told_active)
                    }
                };
                if !is_back {
                    let key = (row.resource_id(0)?, member);
                    let is_member_there = row.optional_text(12)?.is_some();
                    found.push(LostLately { key, before, now, group_name, is_member_there });
                }
                Ok(Flow::Continue(()))
            },
        )
        .await?;
    // Of a membership that cannot come back, because one of its ends is gone for good, nothing is told.
    let gone: BTreeSet<_> =
        found.iter().filter(|it| it.key.1.is_none()).map(|it| it.key.0).collect();
    found.retain(|it| {
        it.key.1.is_none_or(|member| {
            let has_group = it.group_name.is_some() || gone.contains(&it.key.0);
            has_group && (it.is_member_there || gone.contains(&member))
        })
    });
    Ok(found)
}

/// Who of these is an active user, before the transaction.
async fn active_among(
    session: &mut Session,
    directory: &str,
    ids: BTreeSet<ResourceId>,
) -> Result<HashSet<ResourceId>, Error> {
    const DOING: &str = "looking who is active";
    let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
    let mut found = HashSet::new();
    for some in ids.chunks(IDS_AT_ONCE) {
        match session.engine() {
            Engine::Postgres => {
                let sql = "select user_id from users
                           where directory_id = $1 and user_id = any($2) and active = 1";
                let values = [Value::Text(directory), Value::Texts(some)];
                found.extend(session.all(DOING, sql, &values, |row| row.resource_id(0)).await?);
            }
            Engine::Sqlite => {
                for id in some {
                    let sql = "select user_id from users
                               where directory_id = $1 and user_id = $2 and active = 1";
                    let values = [Value::Text(directory), Value::Text(id)];
                    found.extend(
                        session.first(DOING, sql, &values, |row| row.resource_id(0)).await?,
                    );
                }
            }
        }
    }
    Ok(found)
}

async fn remember(
    session: &mut Session,
    directory: &str,
    lost: &BTreeMap<LostKey, Before>,
) -> Result<(), Error> {
    const REMEMBER: Many<9> = Many {
        doing: "remembering what was lost",
        sqlite: "insert into recent_losses
                 (directory_id, resource_id, member_id, kind, name_key, told, told_active, cause,
                  lost_at)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                 on conflict (directory_id, resource_id, member_id) do update
                 set told = case when excluded.told_active = 1 then excluded.told
                                 else recent_losses.told end,
                     told_active = case when excluded.told_active = 1 then 1
                                        else recent_losses.told_active end,
                     cause = excluded.cause, lost_at = excluded.lost_at",
        postgres: "insert into recent_losses
                   (directory_id, resource_id, member_id, kind, name_key, told, told_active, cause,
                    lost_at)
                   select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[],
                                        $6::text[], $7::bigint[], $8::text[], $9::bigint[])
                   on conflict (directory_id, resource_id, member_id) do update
                   set told = case when excluded.told_active = 1 then excluded.told
                                   else recent_losses.told end,
                       told_active = case when excluded.told_active = 1 then 1
                                          else recent_losses.told_active end,
                       cause = excluded.cause, lost_at = excluded.lost_at",
    };
    let ids: Vec<_> = lost
        .iter()
        .map(|((id, member), before)| {
            (id.to_string(), member.map(|it| it.to_string()).unwrap_or_default(), before)
        })
        .collect();
    let rows: Vec<_> = ids
        .iter()
        .map(|(id, member, before)| {
            [
                Value::Text(directory),
                Value::Text(id),
                Value::Text(member),
                Value::Text(before.kind.as_str()),
                Value::Key(&before.name_key),
                Value::Text(&before.told),
                Value::Integer(before.told_active.into()),
                Value::Text(&before.cause),
                Value::Time(before.at),
            ]
        })
        .collect();
    session.run_each(&REMEMBER, &rows).await
}
