//! Everybody's roles, looked at in the background because it was said anew who gets which.

use std::{net::SocketAddr, thread, time::Duration};

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::bench::{
    client::Client,
    requests::{Crowd, request},
};

/// Two roles, of which everybody has the one and the other by turns: so each has another with each turn.
const ROLES: [&str; 2] = ["member", "guest"];

/// How often it is asked whether everybody was looked at.
const ASKED_EVERY: Duration = Duration::from_millis(200);

/// The roles of one directory.
#[derive(Debug, Default)]
pub(super) struct Roles {
    /// How often it was said who gets which.
    turns: usize,
}

impl Roles {
    /// Says that everybody has another role from now on.
    pub(super) fn say_anew(
        &mut self,
        client: &Client,
        address: SocketAddr,
        api_key: &str,
        crowd: &Crowd,
    ) -> anyhow::Result<()> {
        let put = |path: &str, body: Value| {
            client.ask(address, &request(("PUT", path), api_key, &body.to_string(), 200))
        };
        if self.turns == 0 {
            for (rank, role) in (1..).zip(ROLES) {
                put(&format!("/api/v1/roles/{role}"), json!({ "name": role, "rank": rank }))?;
            }
        }
        let role = ROLES[self.turns % ROLES.len()];
        put(&path(crowd)?, json!({ "default_role": role }))?;
        self.turns += 1;
        Ok(())
    }

    /// Waits until everybody was looked at.
    #[expect(clippy::disallowed_methods, reason = "the thread is the benchmark's own")]
    pub(super) fn wait(
        &self,
        client: &Client,
        address: SocketAddr,
        api_key: &str,
        crowd: &Crowd,
    ) -> anyhow::Result<()> {
        while self.turns > 0 && progress(client, address, api_key, crowd)?.is_some() {
            thread::sleep(ASKED_EVERY);
        }
        Ok(())
    }
}

/// How many were looked at, of how many; `None` where it was everybody.
pub(super) fn progress(
    client: &Client,
    address: SocketAddr,
    api_key: &str,
    crowd: &Crowd,
) -> anyhow::Result<Option<(u64, u64)>> {
    let answer = client.ask(address, &request(("GET", &path(crowd)?), api_key, "", 200))?;
    let mapping: Value = serde_json::from_slice(&answer.body).context("a mapping is not JSON")?;
    let progress = &mapping["progress"];
    Ok(progress["done"].as_u64().zip(progress["total"].as_u64()))
}

fn path(crowd: &Crowd) -> anyhow::Result<String> {
    let (_, directory) = crowd.path.rsplit_once('/').context("a base URL ends with a directory")?;
    Ok(format!("/api/v1/directories/{directory}/role-mapping"))
}
