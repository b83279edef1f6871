//! Organizations, their directories, and the credentials of a directory.

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use scim::Preset;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::administration::{ACCESS_TOKEN_MINUTES_DEFAULT, AddressRange, Metadata};
use crate::change::{Change, DirectoryChange, TokenChange};
use crate::condition::Revision;
use crate::decide::{Decide, Decision, Moment, Stop};
use crate::facts::Facts;
use crate::hold::{Brake, BrakeEdit};
use crate::id::{DirectoryId, OrganizationId, TokenId};
use crate::rejection::Rejection;
use crate::secret::SecretHash;

/// Characters of a name that people give: an organization's, a directory's, a key's. Longer ones
/// would not fit where they are shown.
pub const NAME_MAX: usize = 200;

/// A name as it is kept, without white space around it; `None` where it is empty, longer than
/// [`NAME_MAX`], or has control characters.
///
/// ```
/// assert_eq!(directory::as_name(" Acme "), Some("Acme"));
/// assert_eq!(directory::as_name("Acme\n2"), None);
/// ```
pub fn as_name(text: &str) -> Option<&str> {
    let name = text.trim();
    let is_name = (1..=NAME_MAX).contains(&name.chars().count());
    (is_name && !name.chars().any(char::is_control)).then_some(name)
}

/// One customer of the vendor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// What the vendor calls it.
    pub name: String,
    /// The vendor's own identifier for it, unique where given.
    pub external_id: Option<String>,
    /// Whether its directories are synchronised. Where they are not, what is in them stays.
    pub directory_sync: bool,
    /// What the vendor writes down about it.
    pub metadata: Metadata,
    /// When it was created.
    pub created_at: Timestamp,
}

impl Organization {
    /// What can be edited of it.
    pub fn revision(&self) -> Revision {
        let Organization { name, external_id, directory_sync, metadata, .. } = self;
        Revision::of(&json!([name, external_id, directory_sync, metadata]))
    }
}

/// One SCIM connection of an organization to one provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Its id; also the last part of its base URL.
    pub id: DirectoryId,
    /// Whose it is.
    pub organization_id: OrganizationId,
    /// What people call it: `Okta`.
    pub name: String,
    /// Who sends.
    pub provider: Provider,
    /// How it behaves.
    pub settings: Settings,
    /// When it was created.
    pub created_at: Timestamp,
    /// Since when its provider is turned away.
    pub paused_at: Option<Timestamp>,
    /// That nobody is to send any more, and what becomes of the people. It is paused then.
    pub disconnected: Option<Disconnected>,
    /// When it was deleted. What was in it goes step by step.
    pub deleted_at: Option<Timestamp>,
}

impl Directory {
    /// What can be edited of it.
    pub fn revision(&self) -> Revision {
        let Directory { name, provider, settings, paused_at, disconnected, .. } = self;
        let mut edited = vec![json!([name, provider, settings, paused_at.is_some()])];
        edited.extend(disconnected.map(|it| json!(it.people)));
        match &edited[..] {
            [one] => Revision::of(one),
            _ => Revision::of(&json!(edited)),
        }
    }
}

/// That a directory was disconnected from its provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnected {
    /// When.
    pub at: Timestamp,
    /// What becomes of its people.
    pub people: AfterDisconnect,
}

/// What becomes of the people of a directory whom no provider speaks for any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterDisconnect {
    /// They keep their access, and the app decides about them from now on.
    Keep,
    /// They stay as they are, until a provider speaks for them again.
    Freeze,
    /// They lose their access, but for those who are protected.
    Deactivate,
}

impl AfterDisconnect {
    /// All of them.
    pub const ALL: [AfterDisconnect; 3] =
        [AfterDisconnect::Keep, AfterDisconnect::Freeze, AfterDisconnect::Deactivate];

    /// As it stands in the API and in events.
    pub fn as_str(self) -> &'static str {
        match self {
            AfterDisconnect::Keep => "keep",
            AfterDisconnect::Freeze => "freeze",
            AfterDisconnect::Deactivate => "deactivate",
        }
    }
}

/// Nothing of the name can become of people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownAfterDisconnect;

impl FromStr for AfterDisconnect {
    type Err = UnknownAfterDisconnect;

    fn from_str(text: &str) -> Result<AfterDisconnect, UnknownAfterDisconnect> {
        AfterDisconnect::ALL
            .into_iter()
            .find(|it| it.as_str() == text)
            .ok_or(UnknownAfterDisconnect)
    }
}

/// Who is at the other end. It chooses a guide and defaults; tolerance for every dialect is
/// always on, so a wrong choice never breaks a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names of companies and products say it all")]
pub enum Provider {
    Okta,
    Entra,
    JumpCloud,
    OneLogin,
    PingOne,
    PingFederate,
    CyberArk,
    Rippling,
    SailPoint,
    Keycloak,
    Authentik,
    /// Any other SCIM 2.0 client.
    Custom,
}

impl Provider {
    /// All of them, in the order of the product's list.
    pub const ALL: [Provider; 12] = [
        Provider::Okta,
        Provider::Entra,
        Provider::JumpCloud,
        Provider::OneLogin,
        Provider::PingOne,
        Provider::PingFederate,
        Provider::CyberArk,
        Provider::Rippling,
        Provider::SailPoint,
        Provider::Keycloak,
        Provider::Authentik,
        Provider::Custom,
    ];

    /// As it stands in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Provider::Okta => "okta",
            Provider::Entra => "entra",
            Provider::JumpCloud => "jumpcloud",
            Provider::OneLogin => "onelogin",
            Provider::PingOne => "pingone",
            Provider::PingFederate => "pingfederate",
            Provider::CyberArk => "cyberark",
            Provider::Rippling => "rippling",
            Provider::SailPoint => "sailpoint",
            Provider::Keycloak => "keycloak",
            Provider::Authentik => "authentik",
            Provider::Custom => "custom",
        }
    }

    /// What it calls itself.
    pub fn title(self) -> &'static str {
        match self {
            Provider::Okta => "Okta",
            Provider::Entra => "Microsoft Entra ID",
            Provider::JumpCloud => "JumpCloud",
            Provider::OneLogin => "OneLogin",
            Provider::PingOne => "PingOne",
            Provider::PingFederate => "PingFederate",
            Provider::CyberArk => "CyberArk",
            Provider::Rippling => "Rippling",
            Provider::SailPoint => "SailPoint",
            Provider::Keycloak => "Keycloak",
            Provider::Authentik => "authentik",
            Provider::Custom => "SCIM 2.0",
        }
    }

    /// What a sentence about it begins with.
    pub fn subject(self) -> &'static str {
        if self == Provider::Custom { "The identity provider" } else { self.title() }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// No provider has the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownProvider(String);

impl fmt::Display for UnknownProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: Vec<_> = Provider::ALL.iter().map(|it| it.as_str()).collect();
        write!(f, "`{}` is not a provider; use one of {}", self.0, known.join(", "))
    }
}

impl std::error::Error for UnknownProvider {}

impl FromStr for Provider {
    type Err = UnknownProvider;

    fn from_str(text: &str) -> Result<Provider, UnknownProvider> {
        Provider::ALL
            .into_iter()
            .find(|provider| provider.as_str() == text)
            .ok_or_else(|| UnknownProvider(text.to_owned()))
    }
}

/// How a directory behaves. Kept as JSON; a setting that an older version did not know takes its
/// default.
///
/// One that was added later is kept only where it is not the default: the version before does not
/// know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How much is forgiven.
    pub preset: SettingsPreset,
    /// What happens when a group is to have members that nobody knows.
    pub unknown_members: UnknownMembers,
    /// What happens when a group is replaced and nothing is said of its members.
    pub omitted_members: OmittedMembers,
    /// Whether a token is also taken as the password of HTTP Basic, with the directory's id as the
    /// user name.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub http_basic: bool,
    /// Minutes for which an access token of a client of OAuth is good.
    #[serde(skip_serializing_if = "is_the_usual_hour")]
    pub access_token_minutes: u16,
    /// From where requests are taken; from everywhere, where none is named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_addresses: Vec<AddressRange>,
    /// When changes are held because too many people would lose something.
    #[serde(skip_serializing_if = "Brake::is_default")]
    pub brake: Brake,
    /// Hours for which the provider may be silent whatever its rhythm.
    #[serde(skip_serializing_if = "is_a_day")]
    pub silence_hours_min: u16,
    /// Hours after which it is silent whatever its rhythm.
    #[serde(skip_serializing_if = "is_a_month")]
    pub silence_hours_max: u16,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_a_day(hours: &u16) -> bool {
    *hours == SILENCE_HOURS_MIN_DEFAULT
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_a_month(hours: &u16) -> bool {
    *hours == SILENCE_HOURS_MAX_DEFAULT
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_the_usual_hour(minutes: &u16) -> bool {
    *minutes == ACCESS_TOKEN_MINUTES_DEFAULT
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            preset: SettingsPreset::default(),
            unknown_members: UnknownMembers::default(),
            omitted_members: OmittedMembers::default(),
            http_basic: false,
            access_token_minutes: ACCESS_TOKEN_MINUTES_DEFAULT,
            allowed_addresses: Vec::new(),
            brake: Brake::default(),
            silence_hours_min: SILENCE_HOURS_MIN_DEFAULT,
            silence_hours_max: SILENCE_HOURS_MAX_DEFAULT,
        }
    }
}

/// Hours of which silence is spoken.
pub const SILENCE_HOURS: std::ops::RangeInclusive<u16> = 1..=8_760;

/// A provider may be down for a night.
const SILENCE_HOURS_MIN_DEFAULT: u16 = 24;

/// In a small company, changes may be weeks apart.
const SILENCE_HOURS_MAX_DEFAULT: u16 = 24 * 30;

/// How many of its usual gaps a provider has to be silent for until it is taken for silent.
const GAPS_OF_SILENCE: i32 = 4;

/// What is to be otherwise in how a directory behaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are those of `Settings`")]
pub struct SettingsEdit {
    pub preset: Option<SettingsPreset>,
    pub unknown_members: Option<UnknownMembers>,
    pub omitted_members: Option<OmittedMembers>,
    pub http_basic: Option<bool>,
    pub access_token_minutes: Option<u16>,
    pub allowed_addresses: Option<Vec<AddressRange>>,
    pub brake: BrakeEdit,
    pub silence_hours_min: Option<u16>,
    pub silence_hours_max: Option<u16>,
}

impl SettingsEdit {
    /// These settings, with what is said here.
    pub fn apply(self, to: Settings) -> Settings {
        Settings {
            preset: self.preset.unwrap_or(to.preset),
            unknown_members: self.unknown_members.unwrap_or(to.unknown_members),
            omitted_members: self.omitted_members.unwrap_or(to.omitted_members),
            http_basic: self.http_basic.unwrap_or(to.http_basic),
            access_token_minutes: self.access_token_minutes.unwrap_or(to.access_token_minutes),
            allowed_addresses: self.allowed_addresses.unwrap_or(to.allowed_addresses),
            brake: self.brake.apply(to.brake),
            silence_hours_min: self.silence_hours_min.unwrap_or(to.silence_hours_min),
            silence_hours_max: self.silence_hours_max.unwrap_or(to.silence_hours_max),
        }
    }
}

impl Settings {
    /// How the directory of a provider behaves where nobody says.
    ///
    /// ```
    /// use directory::{OmittedMembers, Provider, Settings};
    ///
    /// assert_eq!(Settings::of(Provider::Okta), Settings::default());
    /// assert_eq!(Settings::of(Provider::Keycloak).omitted_members, OmittedMembers::Clear);
    /// ```
    pub fn of(provider: Provider) -> Settings {
        let omitted_members = match provider {
            // Its plugin prints no list for a group that has become empty, and so has no other
            // way to say it.
            Provider::Keycloak => OmittedMembers::Clear,
            _ => OmittedMembers::Keep,
        };
        Settings { omitted_members, ..Settings::default() }
    }

    /// For how long a provider may be silent that has this rhythm, or none that is known yet.
    ///
    /// ```
    /// use directory::Settings;
    /// use jiff::SignedDuration;
    ///
    /// let hours = |usual: Option<i64>| {
    ///     let usual = usual.map(SignedDuration::from_hours);
    ///     Settings::default().silence(usual).as_hours()
    /// };
    /// assert_eq!(hours(Some(1)), 24);
    /// assert_eq!(hours(Some(64)), 256);
    /// assert_eq!(hours(Some(24 * 14)), 720);
    /// assert_eq!(hours(None), 720);
    /// ```
    pub fn silence(&self, usual_gap: Option<SignedDuration>) -> SignedDuration {
        let hours = |hours: u16| SignedDuration::from_hours(hours.into());
        let (least, most) = (hours(self.silence_hours_min), hours(self.silence_hours_max));
        match usual_gap {
            // The least may have been set above the most by somebody who changed the one alone.
            Some(usual) => usual.saturating_mul(GAPS_OF_SILENCE).max(least).min(most),
            None => most,
        }
    }
}

/// [`Preset`], as a setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettingsPreset {
    /// Lenient in, canonical out.
    #[default]
    Lenient,
    /// What the RFCs do not allow is refused.
    Strict,
}

impl From<SettingsPreset> for Preset {
    fn from(preset: SettingsPreset) -> Preset {
        match preset {
            SettingsPreset::Lenient => Preset::Lenient,
            SettingsPreset::Strict => Preset::Strict,
        }
    }
}

/// What happens when a group is to have members that are neither users nor groups of its
/// directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownMembers {
    /// The known ones are applied and the unknown ones named. Okta can hold the stale id of a
    /// person who was created anew, and a refusal would stop its whole group push.
    #[default]
    Skip,
    /// The whole write is refused.
    Refuse,
}

/// What happens to the members of a group that is replaced by a body without `members`. RFC 7644
/// §3.5.1 leaves it to the server what becomes of an omitted attribute. `[]` and `null` are not
/// omitted: they say that nobody belongs to the group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OmittedMembers {
    /// They stay: who renames a group does not mean to take everybody's access away.
    #[default]
    Keep,
    /// Nobody belongs to the group any more.
    Clear,
}

/// What a decision needs to know of the directory itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryHead {
    /// The directory itself.
    pub directory: Directory,
    /// Users, active or not.
    pub user_count: u64,
    /// Groups.
    pub group_count: u64,
    /// How often its schemas changed.
    pub schemas_version: u64,
    /// How often it was said who gets which role; 0 where nobody has said so.
    pub roles_version: u64,
    /// How much it may hold.
    pub limits: Limits,
}

/// How much one directory may hold. What exceeds it is refused with an error that the provider's
/// admin can read; nothing that is there is touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Users of a directory.
    pub users_max: u64,
    /// Groups of a directory.
    pub groups_max: u64,
    /// Members of one group.
    pub group_members_max: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            users_max: 1_000_000,
            groups_max: 100_000,
            group_members_max: scim::limit::GROUP_MEMBERS_MAX as u64,
        }
    }
}

/// A SCIM credential of a directory, without the secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// By which it is found.
    pub hash: SecretHash,
    /// By which a person recognises it.
    pub last_four: String,
    /// What it may do.
    pub scope: TokenScope,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it opens nothing.
    pub expires_at: Timestamp,
}

/// What a token may do in its directory (RFC 7644 §7.7: clients get what they need, and no more).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenScope {
    /// Whatever SCIM allows: a provider's.
    #[default]
    ReadWrite,
    /// Look and search: a report's, an audit's.
    Read,
}

impl TokenScope {
    /// As it stands in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            TokenScope::ReadWrite => "read_write",
            TokenScope::Read => "read",
        }
    }
}

/// No scope has the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownScope;

impl FromStr for TokenScope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<TokenScope, UnknownScope> {
        [TokenScope::ReadWrite, TokenScope::Read]
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or(UnknownScope)
    }
}

/// Makes a directory exist. It decides nothing that could be lost in a race: its id is new.
pub fn open_directory(directory: Directory) -> Change {
    Change::Directory(DirectoryChange { before: None, after: directory })
}

/// Changes what a directory is called, who sends, how it behaves, or whether it is paused.
#[derive(Clone, Debug, Default)]
pub struct EditDirectory {
    /// What people are to call it.
    pub name: Option<String>,
    /// Who is to send. What is understood does not change.
    pub provider: Option<Provider>,
    /// How it is to behave.
    pub settings: SettingsEdit,
    /// Whether its provider is to be turned away.
    pub is_paused: Option<bool>,
}

impl Decide for EditDirectory {
    type Answer = ();

    fn decide(&self, facts: &Facts, moment: &Moment<'_>) -> Result<Decision<()>, Stop> {
        let before = facts.directory()?.directory.clone();
        let mut after = before.clone();
        after.name = self.name.clone().unwrap_or(after.name);
        after.provider = self.provider.unwrap_or(after.provider);
        after.settings = self.settings.clone().apply(after.settings);
        after.paused_at = match self.is_paused {
            Some(true) => after.paused_at.or(Some(moment.now)),
            Some(false) => None,
            None => after.paused_at,
        };
        after.disconnected = after.disconnected.filter(|_| after.paused_at.is_some());
        if before == after {
            return Ok(Decision::nothing(()));
        }
        let change = Change::Directory(DirectoryChange { before: Some(before), after });
        Ok(Decision { changes: vec![change], answer: () })
    }
}

/// Takes a directory's provider away for good: its credentials open nothing any more, and cannot be given
/// again. It is paused from then on; to resume it is to take this back, and then it wants a new token.
///
/// Whoever is deactivated is so after that, one after the other ([`DeactivateUser`](crate::DeactivateUser)):
/// that may be a million people, for whom nobody waits.
#[derive(Clone, Copy, Debug)]
pub struct DisconnectDirectory {
    /// What is to become of its people.
    pub people: AfterDisconnect,
}

impl Decide for DisconnectDirectory {
    type Answer = ();

    fn decide(&self, facts: &Facts, moment: &Moment<'_>) -> Result<Decision<()>, Stop> {
        let before = facts.directory()?.directory.clone();
        if before.disconnected.is_some_and(|it| it.people == self.people) {
            return Ok(Decision::nothing(()));
        }
        let paused_at = before.paused_at.unwrap_or(moment.now);
        // Clocks differ between nodes, and it belongs to the pause.
        let at = moment.now.max(paused_at);
        let after = Directory {
            paused_at: Some(paused_at),
            disconnected: Some(Disconnected { at, people: self.people }),
            ..before.clone()
        };
        let change = Change::Directory(DirectoryChange { before: Some(before), after });
        Ok(Decision { changes: vec![change], answer: () })
    }
}

/// Ends a directory: from then on it opens for nobody. Who was in it is deleted after that, with an
/// event for each; that may be a million people, for whom nobody waits.
#[derive(Clone, Copy, Debug)]
pub struct DeleteDirectory;

impl Decide for DeleteDirectory {
    type Answer = ();

    fn decide(&self, facts: &Facts, moment: &Moment<'_>) -> Result<Decision<()>, Stop> {
        let before = facts.directory()?.directory.clone();
        let after = Directory { deleted_at: Some(moment.now), ..before.clone() };
        let change = Change::Directory(DirectoryChange { before: Some(before), after });
        Ok(Decision { changes: vec![change], answer: () })
    }
}

/// Tokens of one directory. One is rotated once a month, and the one before it may stay in the list: that
/// is room for a lifetime. Whoever makes one for each run of something is told so before the list is of no
/// use.
pub const TOKENS_MAX: u64 = 1_000;

fn room_for_a_token(facts: &Facts) -> Result<(), Stop> {
    if facts.token_count()? < TOKENS_MAX {
        Ok(())
    } else {
        Err(Rejection::TokensFull(TOKENS_MAX).into())
    }
}

/// Gives a directory one more token.
#[derive(Clone, Debug)]
pub struct CreateToken {
    /// What is to be kept of it.
    pub token: Token,
}

impl Decide for CreateToken {
    type Answer = ();

    fn decide(&self, facts: &Facts, _: &Moment<'_>) -> Result<Decision<()>, Stop> {
        facts.directory()?;
        room_for_a_token(facts)?;
        let change = Change::Token(TokenChange::created(self.token.clone()));
        Ok(Decision { changes: vec![change], answer: () })
    }
}

/// Takes a token back, from now on: it opens nothing any more, and cannot be given again.
#[derive(Clone, Debug)]
pub struct RevokeToken {
    /// Which.
    pub id: TokenId,
}

impl Decide for RevokeToken {
    type Answer = ();

    fn decide(&self, facts: &Facts, _: &Moment<'_>) -> Result<Decision<()>, Stop> {
        facts.directory()?;
        let before = facts.token(self.id)?.ok_or(Rejection::UnknownToken(self.id))?;
        let change = Change::Token(TokenChange::revoked(before.clone()));
        Ok(Decision { changes: vec![change], answer: () })
    }
}

/// Gives a directory a token in the place of another, which stays good for a while, so that nobody
/// is turned away before the new one is pasted.
#[derive(Clone, Debug)]
pub struct RotateToken {
    /// The one that is to go.
    pub id: TokenId,
    /// What is to be kept of the new one. It may do what the old one may.
    pub token: Token,
    /// When the old one is to go; sooner, where it would have gone by then.
    pub until: Timestamp,
}

impl Decide for RotateToken {
    type Answer = Token;

    fn decide(&self, facts: &Facts, _: &Moment<'_>) -> Result<Decision<Token>, Stop> {
        facts.directory()?;
        let before = facts.token(self.id)?.ok_or(Rejection::UnknownToken(self.id))?.clone();
        room_for_a_token(facts)?;
        let token = Token { scope: before.scope, ..self.token.clone() };
        let mut changes = vec![Change::Token(TokenChange::created(token.clone()))];
        if self.until < before.expires_at {
            let after = Token { expires_at: self.until, ..before.clone() };
            changes.push(Change::Token(TokenChange::updated(before, after)));
        }
        Ok(Decision { changes, answer: token })
    }
}

impl DirectoryHead {
    /// Refuses one more user when there are as many as there may be.
    pub(crate) fn room_for_a_user(&self) -> Result<(), Rejection> {
        let max = self.limits.users_max;
        if self.user_count < max { Ok(()) } else { Err(Rejection::UsersFull(max)) }
    }

    /// Refuses one more group when there are as many as there may be.
    pub(crate) fn room_for_a_group(&self) -> Result<(), Rejection> {
        let max = self.limits.groups_max;
        if self.group_count < max { Ok(()) } else { Err(Rejection::GroupsFull(max)) }
    }
}
