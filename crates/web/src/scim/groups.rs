//! `/Groups` (RFC 7644 §3.3 to §3.6).

use std::sync::Arc;

use ::scim::admit::admit;
use ::scim::dialect::Quirk;
use ::scim::project::Projection;
use axum::http::{StatusCode, header};
use directory::{
    CreateGroup, DeleteGroup, Document, GroupOutcome, PatchGroup, ReplaceGroup, ResourceId,
};
use store::GroupRecord;

use super::answer::Answer;
use super::list::{self, Among};
use super::represent::{Represent, group_record};
use super::{Call, Incoming, group_id, in_resource, note_unread, with_sent};
use crate::error::Refusal;

/// `GET /Groups` (RFC 7644 §3.4.2), and `POST /Groups/.search` (§3.4.3).
pub(super) async fn list(call: &mut Call, search: Option<Incoming<'_>>) -> Result<Answer, Refusal> {
    let group = call.group_type();
    let query = list::query(call, search).await?;
    let list = call.list(query, &group, Among::One)?;
    let page = call.store.groups(list.request(call, &group, "members")).await?;
    Ok(list.answer(page, |record, text| list.print(call, &group, record, text)))
}

/// `GET /Groups/{id}` (RFC 7644 §3.4.1).
pub(super) async fn get(call: &Call, id: &str) -> Result<Answer, Refusal> {
    let resource_type = call.group_type();
    let projection = call.projection(&resource_type)?;
    let id = group_id(id)?;
    if !call.condition.is_none() {
        // Without its members, who may be many and are not wanted if nothing has changed.
        let group = existing(call, id).await?;
        if let Some(answer) = call.unchanged(&resource_type, &group)? {
            return Ok(answer);
        }
    }
    let group = found(call, id, projection.wants("members")).await?;
    Ok(call.resource(StatusCode::OK, &resource_type, &projection, &group))
}

/// `POST /Groups` (RFC 7644 §3.3). 409 where the `displayName` is taken.
pub(super) async fn create(call: &mut Call, incoming: Incoming<'_>) -> Result<Answer, Refusal> {
    let group = call.group_type();
    let projection = call.projection(&group)?;
    let body = incoming.json(call.counter.settings.limits.group_body_bytes).await?;
    let admitted = admit(body, &group, call.preset(), &mut call.quirks)?;
    let projection = with_sent(projection, in_resource(&admitted.resource));
    let create = CreateGroup {
        document: Document::new(admitted.resource),
        members: admitted.members.unwrap_or_default(),
    };
    let created = call.store.change(create).await?;
    let location = group_record(&created).location(&group, &call.base);
    let answer = changed(call, StatusCode::CREATED, &projection, created).await;
    Ok(answer.with_header(header::LOCATION, location))
}

/// `PUT /Groups/{id}` (RFC 7644 §3.5.1). What a body without `members` means is a setting of the
/// directory.
pub(super) async fn replace(
    call: &mut Call,
    id: &str,
    incoming: Incoming<'_>,
) -> Result<Answer, Refusal> {
    let group = call.group_type();
    let id = group_id(id)?;
    let bytes_max = call.counter.settings.limits.group_body_bytes;
    let read = call.read_replacement(incoming, &group, bytes_max).await;
    let (projection, admitted) = match read {
        Ok(read) => read,
        Err(refusal) => return Err(call.refusal(existing(call, id), refusal).await),
    };
    if admitted.members.is_none() {
        call.quirks.note(Quirk::MembersMissing);
    }
    let replace = ReplaceGroup {
        id,
        resource: admitted.resource,
        external_id_given: admitted.external_id_given,
        members: admitted.members,
        resource_type: group,
    };
    let replaced = call.change(replace).await?;
    Ok(changed(call, StatusCode::OK, &projection, replaced).await)
}

/// `PATCH /Groups/{id}` (RFC 7644 §3.5.2).
///
/// Answered with 204, unless the client asks for attributes: who adds one member to a group of
/// 100,000 does not want to hear of the others (RFC 7644 §3.5.2 allows both).
pub(super) async fn patch(
    call: &mut Call,
    id: &str,
    incoming: Incoming<'_>,
) -> Result<Answer, Refusal> {
    let group = call.group_type();
    let (named, id) = (id, group_id(id)?);
    let bytes_max = call.counter.settings.limits.group_body_bytes;
    let read = call.read_patch(incoming, &group, named, bytes_max).await;
    let (projection, patch) = match read {
        Ok(read) => read,
        Err(refusal) => return Err(call.refusal(existing(call, id), refusal).await),
    };
    let patch = PatchGroup { id, patch, resource_type: Arc::clone(&group) };
    let patched = call.change(patch).await?;
    if !call.asks_for_attributes() {
        note_outcome(call, &patched);
        let record = group_record(&patched);
        return Ok(Answer::empty(StatusCode::NO_CONTENT)
            .with_header(header::ETAG, record.entity_tag())
            .with_header(header::LOCATION, record.location(&group, &call.base)));
    }
    Ok(changed(call, StatusCode::OK, &projection, patched).await)
}

/// `DELETE /Groups/{id}` (RFC 7644 §3.6).
pub(super) async fn delete(call: &Call, id: &str) -> Result<Answer, Refusal> {
    call.change(DeleteGroup { id: group_id(id)? }).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

async fn found(call: &Call, id: ResourceId, with_members: bool) -> Result<GroupRecord, Refusal> {
    let group = call.store.group(id, with_members).await?;
    group.ok_or_else(|| directory::Rejection::UnknownGroup(id.to_string()).into())
}

/// The group that a change is meant for.
async fn existing(call: &Call, id: ResourceId) -> Result<GroupRecord, Refusal> {
    found(call, id, false).await
}

/// The group as the change left it, with its members where they are wanted. They are read where the
/// change did not have to know them all.
///
/// The change is kept: whatever fails from here on, the answer must not be that nothing was done.
async fn changed(
    call: &mut Call,
    status: StatusCode,
    projection: &Projection,
    outcome: GroupOutcome,
) -> Answer {
    note_outcome(call, &outcome);
    let resource_type = call.group_type();
    let mut record = group_record(&outcome);
    if !projection.wants("members") || call.is_brief {
        // They would be for nothing.
    } else if let Some(members) = outcome.members {
        record.members = members;
    } else if record.member_count > 0 {
        match call.store.group(record.id, true).await {
            // Gone again already: what was asked for was done, and this is what was left of it.
            Ok(found) => record = found.unwrap_or(record),
            Err(error) => {
                note_unread(call, &error);
                // To answer with no members would say that there are none.
                let without = Projection::parse(None, Some("members"), &resource_type)
                    .expect("one of the two is given");
                return call.written(status, &resource_type, &without, &record);
            }
        }
    }
    call.written(status, &resource_type, projection, &record)
}

/// What could be seen only when the group was at hand, and members that were left out, because
/// nobody knows them.
fn note_outcome(call: &mut Call, outcome: &GroupOutcome) {
    call.quirks.note_all(&outcome.quirks);
    if !outcome.unknown_members.is_empty() {
        call.quirks.note(Quirk::MembersUnknown);
        call.unknown_members.clone_from(&outcome.unknown_members);
        tracing::warn!(
            request_id = %call.request_id,
            group_id = %outcome.group.id,
            unknown = outcome.unknown_members.len(),
            "unknown members were left out of group {}",
            outcome.group.id,
        );
    }
}
