//! Members: people of the vendor who sign in to the dashboard.
//!
//! Nobody has a password that they did not choose: a member is invited by a link, and chooses one when
//! they join.

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::administration::ApiScopes;
use crate::id::{MemberId, SessionId};

/// Members that there may be.
pub const MEMBERS_MAX: u64 = 1_000;

/// Sessions of one member: when there are more, the oldest ends.
pub const SESSIONS_MAX: u64 = 20;

/// What a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberRole {
    /// Everything, other members included.
    Owner,
    /// Everything but other members.
    Developer,
    /// Looking at everything.
    Support,
}

impl MemberRole {
    /// All of them, from the one that may do most.
    pub const ALL: [MemberRole; 3] =
        [MemberRole::Owner, MemberRole::Developer, MemberRole::Support];

    /// As it is kept, and as forms send it.
    pub fn as_str(self) -> &'static str {
        match self {
            MemberRole::Owner => "owner",
            MemberRole::Developer => "developer",
            MemberRole::Support => "support",
        }
    }

    /// What the same would be of a key.
    pub fn scopes(self) -> ApiScopes {
        match self {
            MemberRole::Owner | MemberRole::Developer => ApiScopes::full(),
            MemberRole::Support => ApiScopes::new(["read"]).expect("it is a scope"),
        }
    }

    /// Whether other members are theirs to invite and remove.
    pub fn manages_members(self) -> bool {
        self == MemberRole::Owner
    }
}

/// No role of members has the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownMemberRole;

impl fmt::Display for UnknownMemberRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member is an `owner`, a `developer` or of `support`")
    }
}

impl std::error::Error for UnknownMemberRole {}

impl FromStr for MemberRole {
    type Err = UnknownMemberRole;

    fn from_str(text: &str) -> Result<MemberRole, UnknownMemberRole> {
        MemberRole::ALL.into_iter().find(|it| it.as_str() == text).ok_or(UnknownMemberRole)
    }
}

/// Somebody who signs in to the dashboard, or is invited to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Their id.
    pub id: MemberId,
    /// Where they are reached, and with what they sign in. The first member says it when they join.
    pub email: Option<String>,
    /// What they are called, from when they join on.
    pub name: String,
    /// What they may do.
    pub role: MemberRole,
    /// When they were invited.
    pub invited_at: Timestamp,
    /// Until when they can join, as long as they have not.
    pub invited_until: Option<Timestamp>,
    /// When they joined.
    pub joined_at: Option<Timestamp>,
    /// When they were last there, to the minute.
    pub last_seen_at: Option<Timestamp>,
}

impl Member {
    /// For how long an invitation is good.
    pub const INVITATION: SignedDuration = SignedDuration::from_hours(7 * 24);
}

/// A browser in which a member is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberSession {
    /// Its id.
    pub id: SessionId,
    /// Whose.
    pub member_id: MemberId,
    /// What the browser says that it is.
    pub browser: String,
    /// When they signed in.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

impl MemberSession {
    /// For how long somebody stays signed in.
    pub const LIFETIME: SignedDuration = SignedDuration::from_hours(7 * 24);
    /// Characters that are kept of what a browser says that it is.
    pub const BROWSER_MAX: usize = 200;
}

/// Why somebody was not signed in as a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedSignIn {
    /// The password is another.
    WrongPassword,
    /// The password is right, and the code is not.
    WrongCode,
    /// Both are right, and the code, or a later one, was used before.
    UsedCode,
    /// There were too many tries.
    TooManyTries,
}

impl FailedSignIn {
    /// As the audit log has it.
    pub fn as_str(self) -> &'static str {
        match self {
            FailedSignIn::WrongPassword => "wrong_password",
            FailedSignIn::WrongCode => "wrong_code",
            FailedSignIn::UsedCode => "used_code",
            FailedSignIn::TooManyTries => "too_many_tries",
        }
    }
}

/// By which an address is found: without case, as mail systems compare them.
pub fn email_key(email: &str) -> String {
    email.trim().to_lowercase()
}

/// Characters of an address (RFC 5321 §4.5.3.1.3).
const EMAIL_MAX: usize = 254;

/// An address without spaces around it; `None` where it is none. Whether anybody reads what is sent
/// there is not known by looking at it.
pub fn as_email(text: &str) -> Option<String> {
    let text = text.trim();
    let (local, domain) = text.rsplit_once('@')?;
    let is_plain = |it: char| !it.is_whitespace() && !it.is_control();
    let is_email = !local.is_empty()
        && !domain.is_empty()
        && !domain.starts_with('.')
        && text.chars().all(is_plain)
        && text.len() <= EMAIL_MAX;
    is_email.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::administration::ApiScope;

    #[test]
    fn support_looks_and_changes_nothing() {
        for scope in ApiScope::ALL {
            assert!(MemberRole::Owner.scopes().allow(scope));
            assert!(MemberRole::Developer.scopes().allow(scope));
            let is_read = scope.as_str().ends_with(":read");
            assert_eq!(MemberRole::Support.scopes().allow(scope), is_read, "{scope:?}");
        }
        for role in MemberRole::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
            assert_eq!(role.manages_members(), role == MemberRole::Owner);
        }
        assert_eq!("admin".parse::<MemberRole>(), Err(UnknownMemberRole));
    }

    #[test]
    fn addresses_are_looked_at_and_compared_without_case() {
        assert_eq!(as_email(" Ana@Acme.example ").as_deref(), Some("Ana@Acme.example"));
        assert_eq!(email_key(" Ana@Acme.example "), "ana@acme.example");
        for text in ["", "ana", "@acme.example", "ana@", "a b@acme.example", "a@.b", "a@b\n"] {
            let expected = (text == "a@b\n").then(|| "a@b".to_owned());
            assert_eq!(as_email(text), expected, "{text:?}");
        }
        assert_eq!(as_email(&format!("{}@b", "a".repeat(253))), None);
    }
}
