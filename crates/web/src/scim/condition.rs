//! Conditional requests (RFC 7644 §3.14, RFC 9110 §13).

use ::scim::ResourceType;
use ::scim::etag::EntityTags;
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, StatusCode};
use directory::{Condition, Conditional, Existing, Rejection, Versions};

use super::Call;
use super::answer::Answer;
use super::represent::Represent;
use crate::error::Refusal;

/// What the headers of a request ask of the version of what it names.
pub(super) fn of(headers: &HeaderMap) -> Condition {
    Condition {
        among: in_header(headers, &header::IF_MATCH),
        not_among: in_header(headers, &header::IF_NONE_MATCH),
    }
}

/// What the `version` of a bulk operation asks: it stands for `If-Match` (RFC 7644 §3.7).
pub(super) fn of_operation(version: Option<&str>) -> Condition {
    Condition { among: version.map(|text| versions(EntityTags::parse(text))), not_among: None }
}

fn in_header(headers: &HeaderMap, name: &HeaderName) -> Option<Versions> {
    tags_in(headers, name).map(versions)
}

/// The tags of a condition. Several lines of one header are one list (RFC 9110 §5.3).
pub(crate) fn tags_in(headers: &HeaderMap, name: &HeaderName) -> Option<EntityTags> {
    if !headers.contains_key(name) {
        return None;
    }
    // What is not ASCII is none of our tags.
    let lines = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or_default());
    Some(EntityTags::parse(&lines.collect::<Vec<_>>().join(",")))
}

/// A tag of ours is a version in digits; every other one is that of no version.
fn versions(tags: EntityTags) -> Versions {
    match tags {
        EntityTags::Any => Versions::Every,
        EntityTags::These(tags) => {
            let version = |tag: &String| {
                let version: u64 = tag.parse().ok()?;
                // `+3` and `03` are other tags, though they are the same number.
                (version.to_string() == *tag).then_some(version)
            };
            Versions::These(tags.iter().filter_map(version).collect())
        }
    }
}

impl Call {
    /// Has something done with a resource that exists, if its version is one that the client is
    /// content with.
    pub(super) async fn change<D: Existing>(&self, decide: D) -> Result<D::Answer, Refusal> {
        let condition = self.condition.clone();
        Ok(self.store.change(Conditional { condition, decide }).await?)
    }

    /// Why a change that cannot be understood is not made. That there is nothing to change, or that
    /// it has another version than the client is content with, is said before what is wrong with
    /// the change: who reads it would correct something that was never in the way.
    pub(super) async fn refusal<R: Represent>(
        &self,
        found: impl Future<Output = Result<R, Refusal>>,
        refusal: Refusal,
    ) -> Refusal {
        match found.await {
            Err(error) => error,
            Ok(record) if !self.condition.holds(record.version()) => {
                Rejection::ConditionFailed { version: record.version() }.into()
            }
            Ok(_) => refusal,
        }
    }

    /// The answer to who has read this version already. RFC 9110 §13.2.2: `If-Match` comes first.
    pub(super) fn unchanged(
        &self,
        resource_type: &ResourceType,
        record: &impl Represent,
    ) -> Result<Option<Answer>, Refusal> {
        let version = record.version();
        let Condition { among, not_among } = &self.condition;
        if among.as_ref().is_some_and(|versions| !versions.contain(version)) {
            return Err(Rejection::ConditionFailed { version }.into());
        }
        if !not_among.as_ref().is_some_and(|versions| versions.contain(version)) {
            return Ok(None);
        }
        let answer = Answer::empty(StatusCode::NOT_MODIFIED)
            .with_header(header::ETAG, record.entity_tag())
            .with_header(header::CONTENT_LOCATION, record.location(resource_type, &self.base));
        Ok(Some(answer))
    }
}
