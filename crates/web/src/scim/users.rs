//! `/Users` (RFC 7644 §3.3 to §3.6).

use ::scim::admit::admit;
use ::scim::project::Projection;
use axum::http::{StatusCode, header};
use directory::{
    Aside, CreateUser, DeleteUser, PatchUser, ReplaceUser, ResourceId, User, UserOutcome,
};
use store::UserRecord;

use super::answer::Answer;
use super::list::{self, Among};
use super::represent::{Represent, user_record};
use super::{Call, Incoming, in_resource, note_unread, user_id, with_sent};
use crate::error::Refusal;

/// `GET /Users` (RFC 7644 §3.4.2), and `POST /Users/.search` (§3.4.3).
pub(super) async fn list(call: &mut Call, search: Option<Incoming<'_>>) -> Result<Answer, Refusal> {
    let user = call.user_type();
    let query = list::query(call, search).await?;
    let list = call.list(query, &user, Among::One)?;
    let page = call.store.users(list.request(call, &user, "groups")).await?;
    Ok(list.answer(page, |record, text| list.print(call, &user, record, text)))
}

/// `GET /Users/{id}` (RFC 7644 §3.4.1).
pub(super) async fn get(call: &Call, id: &str) -> Result<Answer, Refusal> {
    let resource_type = call.user_type();
    let projection = call.projection(&resource_type)?;
    let user = found(call, user_id(id)?, projection.wants("groups")).await?;
    if let Some(answer) = call.unchanged(&resource_type, &user)? {
        return Ok(answer);
    }
    Ok(call.resource(StatusCode::OK, &resource_type, &projection, &user))
}

/// `POST /Users` (RFC 7644 §3.3). 409 where the `userName` is taken.
pub(super) async fn create(call: &mut Call, incoming: Incoming<'_>) -> Result<Answer, Refusal> {
    let user = call.user_type();
    let projection = call.projection(&user)?;
    let body = incoming.json(call.counter.settings.limits.user_body_bytes).await?;
    let admitted = admit(body, &user, call.preset(), &mut call.quirks)?;
    let projection = with_sent(projection, in_resource(&admitted.resource));
    let create = if admitted.active_given {
        CreateUser::without_default(admitted.resource)
    } else {
        CreateUser::new(admitted.resource, &user)
    };
    let create = create.with_aside(Aside::of(&admitted.unknown));
    let created = call.store.change(create).await?;
    // Nobody can have put a user into a group whose id was not known until now, but a default group.
    let record = if call.store.has_role_mapping() {
        as_left(call, &projection, &created).await
    } else {
        user_record(&created)
    };
    let location = record.location(&user, &call.base);
    Ok(call
        .written(StatusCode::CREATED, &user, &projection, &record)
        .with_header(header::LOCATION, location))
}

/// `PUT /Users/{id}` (RFC 7644 §3.5.1). It does not create.
pub(super) async fn replace(
    call: &mut Call,
    id: &str,
    incoming: Incoming<'_>,
) -> Result<Answer, Refusal> {
    let user = call.user_type();
    let id = user_id(id)?;
    let bytes_max = call.counter.settings.limits.user_body_bytes;
    let read = call.read_replacement(incoming, &user, bytes_max).await;
    let (projection, admitted) = match read {
        Ok(read) => read,
        Err(refusal) => return Err(call.refusal(existing(call, id), refusal).await),
    };
    let replace = ReplaceUser {
        id,
        resource: admitted.resource,
        aside: Aside::of(&admitted.unknown),
        external_id_given: admitted.external_id_given,
        resource_type: user,
    };
    let replaced = call.change(replace).await?;
    Ok(changed(call, &projection, &replaced).await)
}

/// `PATCH /Users/{id}` (RFC 7644 §3.5.2).
pub(super) async fn patch(
    call: &mut Call,
    id: &str,
    incoming: Incoming<'_>,
) -> Result<Answer, Refusal> {
    let user = call.user_type();
    let (named, id) = (id, user_id(id)?);
    let bytes_max = call.counter.settings.limits.user_body_bytes;
    let read = call.read_patch(incoming, &user, named, bytes_max).await;
    let (projection, patch) = match read {
        Ok(read) => read,
        Err(refusal) => return Err(call.refusal(existing(call, id), refusal).await),
    };
    let patch = PatchUser { id, patch, resource_type: user };
    let UserOutcome { user: patched, quirks } = call.change(patch).await?;
    call.quirks.note_all(&quirks);
    Ok(changed(call, &projection, &patched).await)
}

/// `DELETE /Users/{id}` (RFC 7644 §3.6).
pub(super) async fn delete(call: &Call, id: &str) -> Result<Answer, Refusal> {
    call.change(DeleteUser { id: user_id(id)? }).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

async fn found(call: &Call, id: ResourceId, with_groups: bool) -> Result<UserRecord, Refusal> {
    let user = call.store.user(id, with_groups).await?;
    user.ok_or_else(|| directory::Rejection::UnknownUser(id.to_string()).into())
}

/// The user whom a change is meant for.
async fn existing(call: &Call, id: ResourceId) -> Result<UserRecord, Refusal> {
    found(call, id, false).await
}

/// The user as the change left them, with the groups that they belong to.
///
/// The change is kept: whatever fails from here on, the answer must not be that nothing was done.
async fn as_left(call: &Call, projection: &Projection, user: &User) -> UserRecord {
    let mut record = user_record(user);
    if projection.wants("groups") && !call.is_brief {
        // Groups are not a part of the user's version, so these may be newer than it.
        match call.store.user(user.id, true).await {
            Ok(found) => record.groups = found.map(|found| found.groups).unwrap_or_default(),
            Err(error) => note_unread(call, &error),
        }
    }
    record
}

async fn changed(call: &Call, projection: &Projection, user: &User) -> Answer {
    let record = as_left(call, projection, user).await;
    call.written(StatusCode::OK, &call.user_type(), projection, &record)
}
