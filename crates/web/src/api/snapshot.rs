//! All that is in a directory at one moment, line by line, and from where the feed goes on.

use std::fmt::Write as _;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use directory::DirectoryId;
use directory::event::{kept_group, kept_roles, kept_user};
use directory::hold::user_name;
use futures_util::stream;
use serde_json::json;
use store::{ApiStore, Snapshot, SnapshotPart};

use super::{Path, Vendor, id};
use crate::problem::Problem;
use crate::shares::Share;

/// For how long a key that reads a snapshot already is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// `GET /directories/{directory}/snapshot`.
pub(super) async fn get(
    vendor: Vendor,
    Path(directory): Path<String>,
) -> Result<Response, Problem> {
    let id: DirectoryId = id(&directory, "directory")?;
    let share = vendor.counter.snapshots.wait(&vendor.store, PATIENCE).await;
    let share = share.ok_or_else(|| too_many(vendor.counter.settings.limits.snapshots_of_key))?;
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
    let (store, first) = (vendor.store, Some(format!("{first}\n")));
    let lines = Lines { snapshot, store, id, first, is_over: false, _share: share };
    let body = Body::from_stream(stream::unfold(lines, Lines::next));
    let media_type = HeaderValue::from_static("application/x-ndjson");
    Ok(([(header::CONTENT_TYPE, media_type)], body).into_response())
}

/// A snapshot that is being written.
struct Lines {
    snapshot: Snapshot,
    /// With the key, which may be taken back meanwhile.
    store: ApiStore,
    id: DirectoryId,
    first: Option<String>,
    is_over: bool,
    _share: Share,
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
        let part = match self.part().await {
            Ok(Some(part)) => part,
            failed => {
                self.is_over = true;
                let id = self.id;
                match failed {
                    Err(error) if !matches!(error, store::Error::Abandoned) => {
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            directory_id = %id,
                            "a snapshot of {id} broke off",
                        );
                    }
                    _ => tracing::info!(
                        directory_id = %id,
                        "a snapshot of {id} broke off: its reader was too slow, or gone, or its key \
                         was revoked",
                    ),
                }
                return Some((Err(BrokenOff), self));
            }
        };
        self.is_over = matches!(part, SnapshotPart::End { .. });
        Some((Ok(Bytes::from(self.written(part))), self))
    }

    /// The next part, while the key is good.
    async fn part(&mut self) -> Result<Option<SnapshotPart>, store::Error> {
        let part = self.snapshot.next().await.transpose()?;
        let is_good = self.store.is_open().await?;
        Ok(part.filter(|_| is_good))
    }

    fn written(&self, part: SnapshotPart) -> String {
        let mut lines = String::new();
        let mut write = |line: std::fmt::Arguments<'_>| {
            writeln!(lines, "{line}").expect("a string takes it");
        };
        match part {
            SnapshotPart::Users(users, roles) => {
                for it in users {
                    let user = kept_user(it.id, &it.text, it.is_active);
                    let roles = kept_roles(roles.of(it.id), &user_name(&it.text), &roles.groups);
                    write(format_args!("{{\"type\":\"user\",\"user\":{user},\"roles\":{roles}}}"));
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

fn too_many(most: usize) -> Problem {
    Problem::too_many_of_key(
        "too-many-snapshots-of-key",
        "Too many snapshots are read at once with this API key",
        format!("{most} may be, so that there is room for others"),
        "Send it again when the one before has been read; read one after the other, and each of them \
         without a pause",
    )
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
