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
    /// Whether an account at the provider of the team is known to be theirs.
    pub is_at_provider: bool,
    /// Whether they may sign in with a password where others have to by the provider: they were invited
    /// from where the server runs, and are the way in that is left when the provider fails.
    pub keeps_password: bool,
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
    /// Password and code are right, and members have to sign in by the provider.
    PasswordNotAllowed,
    /// The provider does not say that the address is verified.
    UnverifiedEmail,
    /// The address is in a domain that is not let in.
    EmailNotAllowed,
    /// It is another account at the provider than the one that is known to be theirs.
    OtherAccount,
    /// The invitation has ended.
    EndedInvitation,
}

impl FailedSignIn {
    /// As the audit log has it.
    pub fn as_str(self) -> &'static str {
        match self {
            FailedSignIn::WrongPassword => "wrong_password",
            FailedSignIn::WrongCode => "wrong_code",
            FailedSignIn::UsedCode => "used_code",
            FailedSignIn::TooManyTries => "too_many_tries",
            FailedSignIn::PasswordNotAllowed => "password_not_allowed",
            FailedSignIn::UnverifiedEmail => "unverified_email",
            FailedSignIn::EmailNotAllowed => "email_not_allowed",
            FailedSignIn::OtherAccount => "other_account",
            FailedSignIn::EndedInvitation => "ended_invitation",
        }
    }
}

/// Somebody as the provider of the team has proved who they are.
#[derive(Clone)]
pub struct ProvedPerson {
    /// Which provider, by its own name.
    pub issuer: String,
    /// Who they are there, whatever their address is.
    pub subject: String,
    /// Their address, where the provider has seen that they read what is sent there.
    pub email: Option<String>,
    /// What they are called there.
    pub name: Option<String>,
}

impl fmt::Debug for ProvedPerson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProvedPerson")
    }
}

/// Where a member stands to somebody whom the provider has proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStanding {
    /// The account at a provider that is known to be theirs: which provider, and who there.
    pub account: Option<(String, String)>,
    /// Whether they have joined.
    pub has_joined: bool,
    /// Until when they can join, where they have not, or are to choose a password again.
    pub invited_until: Option<Timestamp>,
}

/// What becomes of a member when somebody comes whom the provider has proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recognised {
    /// They are signed in, and the account is theirs from then on.
    SignsIn,
    /// They accept their invitation by it.
    Joins,
}

impl ProvedPerson {
    /// Whether this is the member who was found by account or address.
    ///
    /// The account decides, once it is known: an address may be given to somebody else, an account may
    /// not (OpenID Connect Core §5.7). A team that has changed its provider is known by addresses again.
    pub fn recognise(
        &self,
        found: &MemberStanding,
        now: Timestamp,
    ) -> Result<Recognised, FailedSignIn> {
        match &found.account {
            Some((issuer, subject)) if *issuer == self.issuer => {
                if *subject != self.subject {
                    return Err(FailedSignIn::OtherAccount);
                }
            }
            Some(_) | None if self.email.is_none() => return Err(FailedSignIn::UnverifiedEmail),
            Some(_) | None => {}
        }
        match found.invited_until {
            _ if found.has_joined => Ok(Recognised::SignsIn),
            Some(until) if now < until => Ok(Recognised::Joins),
            _ => Err(FailedSignIn::EndedInvitation),
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
    fn an_account_is_known_again_and_an_address_until_there_is_one() {
        let now = Timestamp::from_second(1_000).unwrap();
        let (before, after) = (Some(now), Timestamp::from_second(1_001).ok());
        let person = |subject: &str, email: Option<&str>| ProvedPerson {
            issuer: "https://id.example".to_owned(),
            subject: subject.to_owned(),
            email: email.map(str::to_owned),
            name: None,
        };
        let check =
            |person: ProvedPerson, account: Option<(&str, &str)>, joined, until, expected| {
                let account = account.map(|(at, who)| (at.to_owned(), who.to_owned()));
                let found = MemberStanding { account, has_joined: joined, invited_until: until };
                assert_eq!(person.recognise(&found, now), expected);
            };
        let here = Some(("https://id.example", "1"));
        let elsewhere = Some(("https://other.example", "2"));
        let email = Some("ana@acme.example");
        check(person("1", None), here, true, None, Ok(Recognised::SignsIn));
        check(person("2", email), here, true, None, Err(FailedSignIn::OtherAccount));
        check(person("2", email), None, true, None, Ok(Recognised::SignsIn));
        check(person("1", email), elsewhere, true, None, Ok(Recognised::SignsIn));
        check(person("1", None), elsewhere, true, None, Err(FailedSignIn::UnverifiedEmail));
        check(person("1", None), None, false, after, Err(FailedSignIn::UnverifiedEmail));
        check(person("1", email), None, false, after, Ok(Recognised::Joins));
        check(person("1", email), None, false, before, Err(FailedSignIn::EndedInvitation));
        check(person("1", email), None, false, None, Err(FailedSignIn::EndedInvitation));
        assert_eq!(format!("{:?}", person("1", email)), "ProvedPerson");
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
