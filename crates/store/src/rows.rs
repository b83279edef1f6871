//! Statements that keep and read single records.

use directory::secret::SecretHash;
use directory::{
    Aside, Directory, DirectoryId, Document, Group, GroupId, Membership, ResourceId, Settings,
    Token, TokenId, User, UserId,
};
use jiff::Timestamp;
use scim::group::MemberKind;

use crate::error::Error;
use crate::narrow::email_keys;
use crate::session::{Row, Session, Value, count};

pub(crate) async fn insert_user(
    session: &mut Session,
    directory_id: DirectoryId,
    user: &User,
    ordinal: u64,
) -> Result<(), Error> {
    session
        .run(
            "keeping a new user",
            "insert into users
             (directory_id, user_id, ordinal, user_name_key, external_id, active, resource,
              version, created_at, modified_at, email_keys_version, aside)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $8, $11)",
            &[
                Value::Text(&directory_id.to_string()),
                Value::Text(&user.id.to_string()),
                count(ordinal),
                Value::Text(&user.name_key()),
                Value::OptionalText(user.external_id()),
                Value::Integer(user.is_active().into()),
                Value::Text(user.document.text()),
                count(user.version),
                Value::Time(user.created_at),
                Value::Time(user.modified_at),
                Value::OptionalText(user.aside.to_text().as_deref()),
            ],
        )
        .await?;
    insert_email_keys(session, directory_id, user).await
}

/// Keeps what was changed; `before` is the user as the row has it.
pub(crate) async fn update_user(
    session: &mut Session,
    directory_id: DirectoryId,
    before: &User,
    user: &User,
) -> Result<(), Error> {
    // Most changes are not of addresses, and their keys, where they are right, stay so.
    let has_new_keys = email_keys(before) != email_keys(user);
    if has_new_keys {
        delete_email_keys(session, directory_id, user.id).await?;
        insert_email_keys(session, directory_id, user).await?;
    }
    let changed = session
        .run(
            "keeping a changed user",
            "update users
             set user_name_key = $3, external_id = $4, active = $5, resource = $6, version = $7,
                 modified_at = $8, aside = $10,
                 email_keys_version =
                     case when $9 = 1 or email_keys_version = version
                          then cast($7 as bigint) else 0 end
             where directory_id = $1 and user_id = $2",
            &[
                Value::Text(&directory_id.to_string()),
                Value::Text(&user.id.to_string()),
                Value::Text(&user.name_key()),
                Value::OptionalText(user.external_id()),
                Value::Integer(user.is_active().into()),
                Value::Text(user.document.text()),
                count(user.version),
                Value::Time(user.modified_at),
                Value::Integer(has_new_keys.into()),
                Value::OptionalText(user.aside.to_text().as_deref()),
            ],
        )
        .await?;
    exactly_one(changed)
}

async fn insert_email_keys(
    session: &mut Session,
    directory_id: DirectoryId,
    user: &User,
) -> Result<(), Error> {
    for key in email_keys(user) {
        session
            .run(
                "keeping an e-mail address",
                "insert into email_keys (directory_id, email_key, user_id) values ($1, $2, $3)",
                &[
                    Value::Text(&directory_id.to_string()),
                    Value::Text(&key),
                    Value::Text(&user.id.to_string()),
                ],
            )
            .await?;
    }
    Ok(())
}

async fn delete_email_keys(
    session: &mut Session,
    directory_id: DirectoryId,
    id: UserId,
) -> Result<(), Error> {
    session
        .run(
            "deleting e-mail addresses",
            "delete from email_keys where directory_id = $1 and user_id = $2",
            &[Value::Text(&directory_id.to_string()), Value::Text(&id.to_string())],
        )
        .await?;
    Ok(())
}

pub(crate) async fn delete_user(
    session: &mut Session,
    directory_id: DirectoryId,
    id: UserId,
) -> Result<(), Error> {
    delete_email_keys(session, directory_id, id).await?;
    let changed = session
        .run(
            "deleting a user",
            "delete from users where directory_id = $1 and user_id = $2",
            &[Value::Text(&directory_id.to_string()), Value::Text(&id.to_string())],
        )
        .await?;
    exactly_one(changed)
}

pub(crate) async fn keep_former_user(
    session: &mut Session,
    directory_id: DirectoryId,
    user: &User,
    now: Timestamp,
) -> Result<(), Error> {
    session
        .run(
            "remembering a former user",
            "insert into former_users (directory_id, user_id, user_name_key, external_id, deleted_at)
             values ($1, $2, $3, $4, $5)",
            &[
                Value::Text(&directory_id.to_string()),
                Value::Text(&user.id.to_string()),
                Value::Text(&user.name_key()),
                Value::OptionalText(user.external_id()),
                Value::Time(now),
            ],
        )
        .await?;
    Ok(())
}

pub(crate) async fn insert_group(
    session: &mut Session,
    directory_id: DirectoryId,
    group: &Group,
    ordinal: u64,
) -> Result<(), Error> {
    session
        .run(
            "keeping a new group",
            "insert into groups
             (directory_id, group_id, ordinal, display_name, display_name_key, external_id, resource,
              version, member_count, created_at, modified_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            &[
                Value::Text(&directory_id.to_string()),
                Value::Text(&group.id.to_string()),
                count(ordinal),
                Value::Text(group.display_name()),
                Value::Text(&group.name_key()),
                Value::OptionalText(group.external_id()),
                Value::Text(group.document.text()),
                count(group.version),
                count(group.member_count),
                Value::Time(group.created_at),
                Value::Time(group.modified_at),
            ],
        )
        .await?;
    Ok(())
}

pub(crate) async fn update_group(
    session: &mut Session,
    directory_id: DirectoryId,
    group: &Group,
) -> Result<(), Error> {
    let changed = session
        .run(
            "keeping a changed group",
            "update groups
             set display_name = $3, display_name_key = $4, external_id = $5, resource = $6,
                 version = $7, member_count = $8, modified_at = $9
             where directory_id = $1 and group_id = $2",
            &[
                Value::Text(&directory_id.to_string()),
                Value::Text(&group.id.to_string()),
                Value::Text(group.display_name()),
                Value::Text(&group.name_key()),
                Value::OptionalText(group.external_id()),
                Value::Text(group.document.text()),
                count(group.version),
                count(group.member_count),
                Value::Time(group.modified_at),
            ],
        )
        .await?;
    exactly_one(changed)
}

pub(crate) async fn delete_group(
    session: &mut Session,
    directory_id: DirectoryId,
    id: GroupId,
) -> Result<(), Error> {
    let changed = session
        .run(
            "deleting a group",
            "delete from groups where directory_id = $1 and group_id = $2",
            &[Value::Text(&directory_id.to_string()), Value::Text(&id.to_string())],
        )
        .await?;
    exactly_one(changed)
}

pub(crate) async fn keep_membership(
    session: &mut Session,
    group: GroupId,
    membership: &Membership,
) -> Result<(), Error> {
    session
        .run(
            "keeping a membership",
            "insert into memberships (group_id, member_id, kind, display) values ($1, $2, $3, $4)
             on conflict (group_id, member_id) do update
             set kind = excluded.kind, display = excluded.display",
            &[
                Value::Text(&group.to_string()),
                Value::Text(&membership.id.to_string()),
                Value::Text(membership.kind.as_str()),
                Value::OptionalText(membership.display.as_deref()),
            ],
        )
        .await?;
    Ok(())
}

pub(crate) async fn delete_membership(
    session: &mut Session,
    group: GroupId,
    member: ResourceId,
) -> Result<(), Error> {
    session
        .run(
            "deleting a membership",
            "delete from memberships where group_id = $1 and member_id = $2",
            &[Value::Text(&group.to_string()), Value::Text(&member.to_string())],
        )
        .await?;
    Ok(())
}

pub(crate) async fn keep_directory(
    session: &mut Session,
    directory: &Directory,
) -> Result<(), Error> {
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

pub(crate) async fn keep_token(
    session: &mut Session,
    directory_id: DirectoryId,
    token: &Token,
) -> Result<(), Error> {
    session
        .run(
            "keeping a new token",
            "insert into tokens
             (token_id, directory_id, hash, last_four, created_at, expires_at, scope)
             values ($1, $2, $3, $4, $5, $6, $7)",
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

fn membership(row: &Row<'_>) -> Result<Membership, Error> {
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
