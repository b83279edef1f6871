//! All that is in a directory at one moment, line by line, and from where the feed goes on.

use std::fmt::Write as _;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use directory::DirectoryId;
use directory::event::{kept_group, kept_user};
use futures_util::stream;
use serde_json::json;
use store::{Snapshot, SnapshotPart};

use super::{Path, Vendor, id};
use crate::problem::Problem;

/// `GET /directories/{directory}/snapshot`.
pub(super) async fn get(
    vendor: Vendor,
    Path(directory): Path<String>,
) -> Result<Response, Problem> {
    let id: DirectoryId = id(&directory, "directory")?;
    let snapshot = match vendor.store.snapshot(id).await {
        Ok(snapshot) => snapshot,
        Err(store::Error::Crowded) => return Err(crowded()),
        Err(error) => return Err(error.into()),
    };
    let first = json!({
        "type": "directory",
        "directory_id": id.to_string(),
        "organization_id": snapshot.organization_id.to_string(),
        "event_number": snapshot.event_number,
        "user_count": snapshot.user_count,
        "group_count": snapshot.group_count,
    });
    let lines = Lines { snapshot, id, first: Some(format!("{first}\n")), is_over: false };
    let body = Body::from_stream(stream::unfold(lines, Lines::next));
    let media_type = HeaderValue::from_static("application/x-ndjson");
    Ok(([(header::CONTENT_TYPE, media_type)], body).into_response())
}

/// A snapshot that is being written.
struct Lines {
    snapshot: Snapshot,
    id: DirectoryId,
    first: Option<String>,
    is_over: bool,
}

/// The connection is broken off: to end it in order would say that this is all.
#[derive(Debug, thiserror::Error)]
#[error("a snapshot broke off")]
struct BrokenOff;

impl Lines {
    async fn next(mut self) -> Option<(Result<Bytes, BrokenOff>, Lines)> {
        if let Some(first) = self.first.take() {
            return Some((Ok(Bytes::from(first)), self));
        }
        if self.is_over {
            return None;
        }
        let part = match self.snapshot.next().await {
            Some(Ok(part)) => part,
            failed => {
                self.is_over = true;
                let id = self.id;
                match failed {
                    Some(Err(error)) if !matches!(error, store::Error::Abandoned) => {
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            directory_id = %id,
                            "a snapshot of {id} broke off",
                        );
                    }
                    _ => tracing::info!(
                        directory_id = %id,
                        "a snapshot of {id} broke off: its reader was too slow, or gone",
                    ),
                }
                return Some((Err(BrokenOff), self));
            }
        };
        self.is_over = matches!(part, SnapshotPart::End { .. });
        Some((Ok(Bytes::from(self.written(part))), self))
    }

    fn written(&self, part: SnapshotPart) -> String {
        let mut lines = String::new();
        let mut write = |line: std::fmt::Arguments<'_>| {
            writeln!(lines, "{line}").expect("a string takes it");
        };
        match part {
            SnapshotPart::Users(users) => {
                for it in users {
                    let user = kept_user(it.id, &it.text, it.is_active);
                    write(format_args!("{{\"type\":\"user\",\"user\":{user}}}"));
                }
            }
            SnapshotPart::Groups(groups) => {
                for it in groups {
                    let group = kept_group(it.id, &it.text);
                    write(format_args!("{{\"type\":\"group\",\"group\":{group}}}"));
                }
            }
            SnapshotPart::Memberships(memberships) => {
                for it in memberships {
                    write(format_args!(
                        "{{\"type\":\"membership\",\"group\":{{\"id\":\"{}\"}},\
                         \"member\":{{\"value\":\"{}\",\"type\":\"{}\"}}}}",
                        it.group_id,
                        it.member.id,
                        it.member.kind.as_str(),
                    ));
                }
            }
            SnapshotPart::End { cursor, membership_count } => {
                let end = json!({
                    "type": "end",
                    "event_number": self.snapshot.event_number,
                    "user_count": self.snapshot.user_count,
                    "group_count": self.snapshot.group_count,
                    "membership_count": membership_count,
                    "cursor": cursor.as_str(),
                });
                write(format_args!("{end}"));
            }
        }
        lines
    }
}

fn crowded() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "too-many-snapshots",
        "Too many snapshots are read at once",
        "each of them holds one state of the database, and there are as many as may be",
        "Send it again in a few seconds; read one after the other, and each of them without a pause",
    )
}
