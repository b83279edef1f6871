//! Statements that keep and read single records.

use directory::secret::SecretHash;
use directory::{
    AfterDisconnect, Aside, Directory, DirectoryChange, DirectoryId, Disconnected, Document, Group,
    GroupId, Membership, ResourceId, Settings, Token, TokenId, User,
};
use jiff::Timestamp;
use scim::group::MemberKind;

use crate::administration;
use crate::error::Error;
use crate::narrow::email_keys;
use crate::session::{Many, Row, Session, Value, count};

/// A user as it is to be kept, with the texts of its row that are not in it.
pub(crate) struct UserRow<'a> {
    directory_id: String,
    id: String,
    name_key: String,
    aside: Option<String>,
    user: &'a User,
}

impl<'a> UserRow<'a> {
    pub(crate) fn new(directory_id: DirectoryId, user: &'a User) -> UserRow<'a> {
        UserRow {
            directory_id: directory_id.to_string(),
            id: user.id.to_string(),
            name_key: user.name_key(),
            aside: user.aside.to_text(),
            user,
        }
    }
}

/// Keeps new users, each with its place in the order of lists.
pub(crate) async fn insert_users(
    session: &mut Session,
    users: &[(UserRow<'_>, u64)],
) -> Result<(), Error> {
    const INSERT: Many<11> = Many {
        doing: "keeping new users",
        sqlite: "insert into users
                 (directory_id, user_id, ordinal, user_name_key, external_id, active, resource,
                  version, created_at, modified_at, email_keys_version, aside, turned_at)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $8, $11, $9)",
        postgres: "insert into users
                   (directory_id, user_id, ordinal, user_name_key, external_id, active, resource,
                    version, created_at, modified_at, aside, email_keys_version, turned_at)
                   select *, it.version, it.created_at
                   from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[],
                               $6::bigint[], $7::text[], $8::bigint[], $9::bigint[], $10::bigint[],
                               $11::text[])
                        as it (directory_id, user_id, ordinal, user_name_key, external_id, active,
                               resource, version, created_at, modified_at, aside)",
    };
    let rows: Vec<_> = users
        .iter()
        .map(|(row, ordinal)| {
            [
                Value::Text(&row.directory_id),
                Value::Text(&row.id),
                count(*ordinal),
                Value::Key(&row.name_key),
                Value::OptionalKey(row.user.external_id()),
                Value::Integer(row.user.is_active().into()),
                Value::Text(row.user.document.text()),
                count(row.user.version),
                Value::Time(row.user.created_at),
                Value::Time(row.user.modified_at),
                Value::OptionalText(row.aside.as_deref()),
            ]
        })
        .collect();
    session.run_each(&INSERT, &rows).await?;
    insert_email_keys(session, users.iter().map(|(row, _)| row)).await
}

/// Keeps what was changed of users; with each, how its row has it.
pub(crate) async fn update_users(
    session: &mut Session,
    users: &[(UserRow<'_>, &User)],
) -> Result<(), Error> {
    const UPDATE: Many<10> = Many {
        doing: "keeping changed users",
        sqlite: "update users
                 set user_name_key = $3, external_id = $4, active = $5, resource = $6, version = $7,
                     modified_at = $8, aside = $10,
                     turned_at = case when active = $5 then turned_at else $8 end,
                     email_keys_version =
                         case when $9 = 1 or email_keys_version = version then $7 else 0 end
                 where directory_id = $1 and user_id = $2",
        postgres: "update users u
                   set user_name_key = it.user_name_key, external_id = it.external_id,
                       active = it.active, resource = it.resource, version = it.version,
                       modified_at = it.modified_at, aside = it.aside,
                       turned_at = case when u.active = it.active
                                        then u.turned_at else it.modified_at end,
                       email_keys_version =
                           case when it.has_new_keys = 1 or u.email_keys_version = u.version
                                then it.version else 0 end
                   from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[],
                               $6::text[], $7::bigint[], $8::bigint[], $9::bigint[], $10::text[])
                        as it (directory_id, user_id, user_name_key, external_id, active, resource,
                               version, modified_at, has_new_keys, aside)
                   where u.directory_id = it.directory_id and u.user_id = it.user_id",
    };
    // Most changes are not of addresses, and their keys, where they are right, stay so.
    let has_new_keys =
        |row: &UserRow<'_>, before: &User| email_keys(before) != email_keys(row.user);
    let with_new_keys: Vec<_> = users
        .iter()
        .filter(|(row, before)| has_new_keys(row, before))
        .map(|(row, _)| row)
        .collect();
    delete_email_keys(
        session,
        with_new_keys.iter().map(|row| (row.directory_id.as_str(), row.id.as_str())),
    )
    .await?;
    insert_email_keys(session, with_new_keys.iter().copied()).await?;
    let rows: Vec<_> = users
        .iter()
        .map(|(row, before)| {
            [
                Value::Text(&row.directory_id),
                Value::Text(&row.id),
                Value::Key(&row.name_key),
                Value::OptionalKey(row.user.external_id()),
                Value::Integer(row.user.is_active().into()),
                Value::Text(row.user.document.text()),
                count(row.user.version),
                Value::Time(row.user.modified_at),
                Value::Integer(has_new_keys(row, before).into()),
                Value::OptionalText(row.aside.as_deref()),
            ]
        })
        .collect();
    session.run_each(&UPDATE, &rows).await
}

async fn insert_email_keys<'a>(
    session: &mut Session,
    users: impl Iterator<Item = &'a UserRow<'a>>,
) -> Result<(), Error> {
    const INSERT: Many<3> = Many {
        doing: "keeping e-mail addresses",
        sqlite: "insert into email_keys (directory_id, email_key, user_id) values ($1, $2, $3)",
        postgres: "insert into email_keys (directory_id, email_key, user_id)
                   select * from unnest($1::text[], $2::text[], $3::text[])",
    };
    let keys: Vec<_> =
        users.flat_map(|row| email_keys(row.user).into_iter().map(move |key| (row, key))).collect();
    let rows: Vec<_> = keys
        .iter()
        .map(|(row, key)| [Value::Text(&row.directory_id), Value::Text(key), Value::Text(&row.id)])
        .collect();
    session.run_each(&INSERT, &rows).await
}

async fn delete_email_keys<'a>(
    session: &mut Session,
    users: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), Error> {
    const DELETE: Many<2> = Many {
        doing: "deleting e-mail addresses",
        sqlite: "delete from email_keys where directory_id = $1 and user_id = $2",
        postgres: "delete from email_keys k
                   using unnest($1::text[], $2::text[]) as it (directory_id, user_id)
                   where k.directory_id = it.directory_id and k.user_id = it.user_id",
    };
    session.run_many(&DELETE, &pairs(users)).await?;
    Ok(())
}

/// Deletes users, by the ids of their directories and their own.
pub(crate) async fn delete_users(
    session: &mut Session,
    users: &[(String, String)],
) -> Result<(), Error> {
    const DELETE: Many<2> = Many {
        doing: "deleting users",
        sqlite: "delete from users where directory_id = $1 and user_id = $2",
        postgres: "delete from users u
                   using unnest($1::text[], $2::text[]) as it (directory_id, user_id)
                   where u.directory_id = it.directory_id and u.user_id = it.user_id",
    };
    let ids = || users.iter().map(|(directory, id)| (directory.as_str(), id.as_str()));
    delete_email_keys(session, ids()).await?;
    session.run_each(&DELETE, &pairs(ids())).await
}

fn pairs<'a>(ids: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<[Value<'a>; 2]> {
    ids.map(|(one, other)| [Value::Text(one), Value::Text(other)]).collect()
}

/// Remembers users who were deleted, and when.
pub(crate) async fn keep_former_users(
    session: &mut Session,
    users: &[(UserRow<'_>, Timestamp)],
) -> Result<(), Error> {
    const INSERT: Many<5> = Many {
        doing: "remembering former users",
        sqlite: "insert into former_users
                 (directory_id, user_id, user_name_key, external_id, deleted_at)
                 values ($1, $2, $3, $4, $5)",
        postgres: "insert into former_users
                   (directory_id, user_id, user_name_key, external_id, deleted_at)
                   select * from unnest($1::text[], $2::text[], $3::text[], $4::text[],
                                        $5::bigint[])",
    };
    let rows: Vec<_> = users
        .iter()
        .map(|(row, at)| {
            [
                Value::Text(&row.directory_id),
                Value::Text(&row.id),
                Value::Key(&row.name_key),
                Value::OptionalKey(row.user.external_id()),
                Value::Time(*at),
            ]
        })
        .collect();
    session.run_each(&INSERT, &rows).await
}

/// A group as it is to be kept, with the texts of its row that are not in it.
pub(crate) struct GroupRow<'a> {
    directory_id: String,
    id: String,
    name_key: String,
    group: &'a Group,
}

impl<'a> GroupRow<'a> {
    pub(crate) fn new(directory_id: DirectoryId, group: &'a Group) -> GroupRow<'a> {
        GroupRow {
            directory_id: directory_id.to_string(),
            id: group.id.to_string(),
            name_key: group.name_key(),
            group,
        }
    }
}

/// Keeps new groups, each with its place in the order of lists.
pub(crate) async fn insert_groups(
    session: &mut Session,
    groups: &[(GroupRow<'_>, u64)],
) -> Result<(), Error> {
    const INSERT: Many<11> = Many {
        doing: "keeping new groups",
        sqlite: "insert into groups
                 (directory_id, group_id, ordinal, display_name, display_name_key, external_id,
                  resource, version, member_count, created_at, modified_at)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        postgres: "insert into groups
                   (directory_id, group_id, ordinal, display_name, display_name_key, external_id,
                    resource, version, member_count, created_at, modified_at)
                   select * from unnest($1::text[], $2::text[], $3::bigint[], $4::text[],
                                        $5::text[], $6::text[], $7::text[], $8::bigint[],
                                        $9::bigint[], $10::bigint[], $11::bigint[])",
    };
    let rows: Vec<_> = groups
        .iter()
        .map(|(row, ordinal)| {
            [
                Value::Text(&row.directory_id),
                Value::Text(&row.id),
                count(*ordinal),
                Value::Text(row.group.display_name()),
                Value::Key(&row.name_key),
                Value::OptionalKey(row.group.external_id()),
                Value::Text(row.group.document.text()),
                count(row.group.version),
                count(row.group.member_count),
                Value::Time(row.group.created_at),
                Value::Time(row.group.modified_at),
            ]
        })
        .collect();
    session.run_each(&INSERT, &rows).await
}

/// Keeps what was changed of groups.
pub(crate) async fn update_groups(
    session: &mut Session,
    groups: &[GroupRow<'_>],
) -> Result<(), Error> {
    const UPDATE: Many<9> = Many {
        doing: "keeping changed groups",
        sqlite: "update groups
                 set display_name = $3, display_name_key = $4, external_id = $5, resource = $6,
                     version = $7, member_count = $8, modified_at = $9
                 where directory_id = $1 and group_id = $2",
        postgres: "update groups g
                   set display_name = it.display_name, display_name_key = it.display_name_key,
                       external_id = it.external_id, resource = it.resource, version = it.version,
                       member_count = it.member_count, modified_at = it.modified_at
                   from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[],
                               $6::text[], $7::bigint[], $8::bigint[], $9::bigint[])
                        as it (directory_id, group_id, display_name, display_name_key, external_id,
                               resource, version, member_count, modified_at)
                   where g.directory_id = it.directory_id and g.group_id = it.group_id",
    };
    let rows: Vec<_> = groups
        .iter()
        .map(|row| {
            [
                Value::Text(&row.directory_id),
                Value::Text(&row.id),
                Value::Text(row.group.display_name()),
                Value::Key(&row.name_key),
                Value::OptionalKey(row.group.external_id()),
                Value::Text(row.group.document.text()),
                count(row.group.version),
                count(row.group.member_count),
                Value::Time(row.group.modified_at),
            ]
        })
        .collect();
    session.run_each(&UPDATE, &rows).await
}

/// Deletes groups, by the ids of their directories and their own.
pub(crate) async fn delete_groups(
    session: &mut Session,
    groups: &[(String, String)],
) -> Result<(), Error> {
    const DELETE: Many<2> = Many {
        doing: "deleting groups",
        sqlite: "delete from groups where directory_id = $1 and group_id = $2",
        postgres: "delete from groups g
                   using unnest($1::text[], $2::text[]) as it (directory_id, group_id)
                   where g.directory_id = it.directory_id and g.group_id = it.group_id",
    };
    let ids = groups.iter().map(|(directory, id)| (directory.as_str(), id.as_str()));
    session.run_each(&DELETE, &pairs(ids)).await
}

/// Memberships whose texts are in memory at once, and that travel in one statement.
const MEMBERSHIPS_AT_ONCE: usize = 2_000;

/// Keeps who belongs to which group now, and forgets who does not any more.
///
/// Of each membership there are its turns, one behind the other: nobody where it ended. It was there
/// before if its first turn is that it ends. Of groups that everybody left who was there, it is known
/// how many these were; theirs end all at once.
pub(crate) async fn keep_memberships(
    session: &mut Session,
    emptied: &[(GroupId, usize)],
    turns: &[(GroupId, ResourceId, Option<&Membership>)],
) -> Result<(), Error> {
    const EMPTY: Many<1> = Many {
        doing: "deleting the memberships of a group",
        sqlite: "delete from memberships where group_id = $1",
        postgres: "delete from memberships where group_id = any($1::text[])",
    };
    const DELETE: Many<2> = Many {
        doing: "deleting memberships",
        sqlite: "delete from memberships where group_id = $1 and member_id = $2",
        postgres: "delete from memberships m
                   using unnest($1::text[], $2::text[]) as it (group_id, member_id)
                   where m.group_id = it.group_id and m.member_id = it.member_id",
    };
    const KEEP: Many<4> = Many {
        doing: "keeping memberships",
        sqlite: "insert into memberships (group_id, member_id, kind, display)
                 values ($1, $2, $3, $4)",
        postgres: "insert into memberships (group_id, member_id, kind, display)
                   select * from unnest($1::text[], $2::text[], $3::text[], $4::text[])",
    };
    const COPY: &str = "copy memberships (group_id, member_id, kind, display) from stdin";

    for (group, members) in emptied {
        let group = group.to_string();
        if session.run_many(&EMPTY, &[[Value::Text(&group)]]).await? != *members {
            return Err(Error::Corrupt("a membership is not where it was".to_owned()));
        }
    }
    let each = || turns.chunk_by(|(group, id, _), (next, other, _)| (group, id) == (next, other));
    let is_left = |group: &GroupId| emptied.iter().any(|(emptied, _)| emptied == group);
    let mut gone = each()
        .filter(|turns| turns[0].2.is_none() && !is_left(&turns[0].0))
        .map(|turns| (turns[0].0.to_string(), turns[0].1.to_string()));
    loop {
        let some: Vec<_> = gone.by_ref().take(MEMBERSHIPS_AT_ONCE).collect();
        if some.is_empty() {
            break;
        }
        let ids = some.iter().map(|(group, member)| (group.as_str(), member.as_str()));
        session.run_each(&DELETE, &pairs(ids)).await?;
    }
    let mut there = each()
        .filter_map(|turns| turns[turns.len() - 1].2.map(|membership| (turns[0].0, membership)))
        .map(|(group, membership)| (group.to_string(), membership.id.to_string(), membership));
    let mut bulk = session.bulk(&KEEP, COPY, turns.len());
    loop {
        let some: Vec<_> = there.by_ref().take(MEMBERSHIPS_AT_ONCE).collect();
        if some.is_empty() {
            return bulk.end().await;
        }
        let rows: Vec<_> = some
            .iter()
            .map(|(group, member, membership)| {
                [
                    Value::Text(group),
                    Value::Text(member),
                    Value::Text(membership.kind.as_str()),
                    Value::OptionalText(membership.display.as_deref()),
                ]
            })
            .collect();
        bulk.keep(session, &rows).await?;
    }
}

pub(crate) async fn keep_directory(
    session: &mut Session,
    change: &DirectoryChange,
) -> Result<(), Error> {
    let directory = change.after();
    if let Some(before) = change.before() {
        return change_directory(session, before, directory).await;
    }
    session
        .run(
            "keeping a new directory",
            "insert into directories
             (directory_id, organization_id, name, provider, settings, created_at, event_number,
              ordinal, user_count, active_user_count, group_count)
             values ($1, $2, $3, $4, $5, $6, 0, 0, 0, 0, 0)",
            &[
                Value::Text(&directory.id.to_string()),
                Value::Text(&directory.organization_id.to_string()),
                Value::Text(&directory.name),
                Value::Text(directory.provider.as_str()),
                Value::Text(&settings_text(&directory.settings)),
                Value::Time(directory.created_at),
            ],
        )
        .await?;
    Ok(())
}

/// That a directory was disconnected, from two columns that stand beside each other. A program that knows
/// nothing of it resumes and pauses a directory and leaves these as they are: it counts as long as the
/// pause lasts in which it was done.
pub(crate) fn disconnected(
    row: &Row<'_>,
    column: usize,
    paused_at: Option<Timestamp>,
) -> Result<Option<Disconnected>, Error> {
    match (row.optional_time(column)?, paused_at) {
        (Some(at), Some(paused_at)) if paused_at <= at => {
            Ok(Some(Disconnected { at, people: row.parsed(column + 1)? }))
        }
        _ => Ok(None),
    }
}

async fn change_directory(
    session: &mut Session,
    before: &Directory,
    directory: &Directory,
) -> Result<(), Error> {
    let time = |at: Option<Timestamp>| Value::Integer(at.map_or(0, Timestamp::as_microsecond));
    let changed = session
        .run(
            "keeping a directory",
            "update directories
             set name = $2, provider = $3, settings = $4,
                 paused_at = nullif(cast($5 as bigint), 0),
                 deleted_at = nullif(cast($6 as bigint), 0)
             where directory_id = $1",
            &[
                Value::Text(&directory.id.to_string()),
                Value::Text(&directory.name),
                Value::Text(directory.provider.as_str()),
                Value::Text(&settings_text(&directory.settings)),
                time(directory.paused_at),
                time(directory.deleted_at),
            ],
        )
        .await?;
    let is_cut_off = directory.disconnected.is_some();
    if before.disconnected != directory.disconnected {
        keep_disconnected(session, directory).await?;
    }
    if directory.deleted_at.is_some() || (is_cut_off && before.disconnected.is_none()) {
        administration::forget_credentials(session, directory.id).await?;
    }
    exactly_one(changed)
}

/// Whoever is to be deactivated is so from the first user on.
async fn keep_disconnected(session: &mut Session, directory: &Directory) -> Result<(), Error> {
    let now = directory.disconnected;
    let is_to_go = now.is_some_and(|it| it.people == AfterDisconnect::Deactivate);
    session
        .run(
            "keeping that a directory was disconnected",
            "update directories
             set disconnected_at = nullif(cast($2 as bigint), 0), disconnected_people = $3,
                 deactivating_after = nullif(cast($4 as bigint), -1)
             where directory_id = $1",
            &[
                Value::Text(&directory.id.to_string()),
                Value::Integer(now.map_or(0, |it| it.at.as_microsecond())),
                Value::OptionalText(now.map(|it| it.people.as_str())),
                Value::Integer(if is_to_go { 0 } else { -1 }),
            ],
        )
        .await?;
    Ok(())
}

pub(crate) async fn keep_token(
    session: &mut Session,
    directory_id: DirectoryId,
    token: &Token,
) -> Result<(), Error> {
    session
        .run(
            "keeping a token",
            "insert into tokens
             (token_id, directory_id, hash, last_four, created_at, expires_at, scope)
             values ($1, $2, $3, $4, $5, $6, $7)
             on conflict (token_id) do update set expires_at = excluded.expires_at",
            &[
                Value::Text(&token.id.to_string()),
                Value::Text(&directory_id.to_string()),
                Value::Text(token.hash.as_str()),
                Value::Text(&token.last_four),
                Value::Time(token.created_at),
                Value::Time(token.expires_at),
                Value::Text(token.scope.as_str()),
            ],
        )
        .await?;
    Ok(())
}

pub(crate) async fn load_token(
    session: &mut Session,
    directory_id: &str,
    id: TokenId,
) -> Result<Option<Token>, Error> {
    session
        .first(
            "loading a token",
            "select hash, last_four, created_at, expires_at, scope from tokens
             where directory_id = $1 and token_id = $2",
            &[Value::Text(directory_id), Value::Text(&id.to_string())],
            |row| {
                Ok(Token {
                    id,
                    hash: SecretHash::kept(row.text(0)?),
                    last_four: row.text(1)?,
                    created_at: row.time(2)?,
                    expires_at: row.time(3)?,
                    scope: row.parsed(4)?,
                })
            },
        )
        .await
}

pub(crate) async fn delete_token(
    session: &mut Session,
    directory_id: DirectoryId,
    id: TokenId,
) -> Result<(), Error> {
    let changed = session
        .run(
            "deleting a token",
            "delete from tokens where directory_id = $1 and token_id = $2",
            &[Value::Text(&directory_id.to_string()), Value::Text(&id.to_string())],
        )
        .await?;
    exactly_one(changed)
}

/// Everyone who belongs to a group, in the order of their ids.
pub(crate) async fn members(
    session: &mut Session,
    group: GroupId,
) -> Result<Vec<Membership>, Error> {
    session
        .all(
            "loading the members of a group",
            "select member_id, kind, display from memberships where group_id = $1
             order by member_id",
            &[Value::Text(&group.to_string())],
            membership,
        )
        .await
}

/// One of them by id, which may be anything.
pub(crate) async fn member(
    session: &mut Session,
    group: GroupId,
    id: &str,
) -> Result<Option<Membership>, Error> {
    session
        .first(
            "looking for a member of a group",
            "select member_id, kind, display from memberships
             where group_id = $1 and member_id = $2",
            &[Value::Text(&group.to_string()), Value::Text(id)],
            membership,
        )
        .await
}

pub(crate) fn membership(row: &Row<'_>) -> Result<Membership, Error> {
    let kind = kind_from(&row.text(1)?)?;
    Ok(Membership { id: row.resource_id(0)?, kind, display: row.optional_text(2)? })
}

pub(crate) fn kind_from(text: &str) -> Result<MemberKind, Error> {
    [MemberKind::User, MemberKind::Group]
        .into_iter()
        .find(|kind| kind.as_str() == text)
        .ok_or_else(|| Error::Corrupt(format!("`{text}` is not a kind of member")))
}

pub(crate) fn document(id: ResourceId, text: &str) -> Result<Document, Error> {
    Document::from_text(text).ok_or_else(|| Error::Corrupt(format!("the resource `{id}`")))
}

pub(crate) fn aside(id: ResourceId, text: Option<&str>) -> Result<Aside, Error> {
    let Some(text) = text else { return Ok(Aside::default()) };
    Aside::from_text(text).ok_or_else(|| Error::Corrupt(format!("what is beside the user `{id}`")))
}

pub(crate) fn settings(text: &str) -> Result<Settings, Error> {
    serde_json::from_str(text).map_err(|_| Error::Corrupt("the settings of a directory".to_owned()))
}

fn settings_text(settings: &Settings) -> String {
    serde_json::to_string(settings).expect("settings can be printed")
}

/// A decision was made about a record that was loaded in the same transaction, so it is there.
fn exactly_one(changed: usize) -> Result<(), Error> {
    if changed == 1 {
        Ok(())
    } else {
        Err(Error::Corrupt("a record is not where it was".to_owned()))
    }
}
