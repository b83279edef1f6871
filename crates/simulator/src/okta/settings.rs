//! What an Okta admin sets up, and what differs between one Okta and another.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The kind of app in Okta. It decides which verbs are spoken and how the credentials are sent;
/// an admin cannot change it afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// Catalogue template "SCIM 2.0 Test App (OAuth Bearer Token)": PATCH, `Bearer` and the token.
    TestBearer,
    /// Catalogue template "SCIM 2.0 Test App (Header Auth)": PATCH, the token word for word.
    TestHeader,
    /// Catalogue template "SCIM 2.0 Test App (Basic Auth)": PATCH, user and password.
    TestBasic,
    /// App Integration Wizard with *HTTP Header*: GET and PUT only, `Bearer` and the token.
    AiwHeader,
    /// App Integration Wizard with *Basic Auth*: GET and PUT only, user and password.
    AiwBasic,
    /// An app of the Okta Integration Network: PATCH, `Bearer` and the token.
    Oin,
    /// The same after Okta switched it to PUT on the vendor's request.
    OinPut,
}

impl Profile {
    /// All of them.
    pub const ALL: [Profile; 7] = [
        Profile::TestBearer,
        Profile::TestHeader,
        Profile::TestBasic,
        Profile::AiwHeader,
        Profile::AiwBasic,
        Profile::Oin,
        Profile::OinPut,
    ];

    /// As the command line spells it.
    pub fn name(self) -> &'static str {
        match self {
            Profile::TestBearer => "test-bearer",
            Profile::TestHeader => "test-header",
            Profile::TestBasic => "test-basic",
            Profile::AiwHeader => "aiw-header",
            Profile::AiwBasic => "aiw-basic",
            Profile::Oin => "oin",
            Profile::OinPut => "oin-put",
        }
    }

    /// Reads [`Profile::name`].
    pub fn from_name(name: &str) -> Option<Profile> {
        Profile::ALL.into_iter().find(|profile| profile.name() == name)
    }

    /// Whether it changes state and groups with PATCH; otherwise it reads, overlays and PUTs.
    pub fn patches(self) -> bool {
        match self {
            Profile::TestBearer | Profile::TestHeader | Profile::TestBasic | Profile::Oin => true,
            Profile::AiwHeader | Profile::AiwBasic | Profile::OinPut => false,
        }
    }

    /// The profile of the same dialect that sends these credentials.
    #[must_use]
    pub fn with_credentials(self, credentials: &Credentials) -> Profile {
        match (self, credentials) {
            (Profile::TestBearer | Profile::TestHeader, Credentials::Basic { .. }) => {
                Profile::TestBasic
            }
            (Profile::AiwHeader, Credentials::Basic { .. }) => Profile::AiwBasic,
            (Profile::TestBasic, Credentials::Token(_)) => Profile::TestBearer,
            (Profile::AiwBasic, Credentials::Token(_)) => Profile::AiwHeader,
            (profile, _) => profile,
        }
    }

    /// The value of `Authorization`.
    pub(crate) fn authorization(self, credentials: &Credentials) -> String {
        match credentials {
            Credentials::Token(token) if self == Profile::TestHeader => token.clone(),
            Credentials::Token(token) => format!("Bearer {token}"),
            Credentials::Basic { user, password } => {
                format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
            }
        }
    }
}

/// What the admin types beside the base URL.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A token.
    Token(String),
    /// A user name and a password.
    Basic {
        /// The name, which must not contain `:`.
        user: String,
        /// The password.
        password: String,
    },
}

impl Credentials {
    /// The same, mistyped: what an admin who copied badly would send.
    pub(crate) fn mistyped(&self) -> Credentials {
        match self {
            Credentials::Token(token) => Credentials::Token(format!("{token}-mistyped")),
            Credentials::Basic { user, password } => {
                Credentials::Basic { user: user.clone(), password: format!("{password}-mistyped") }
            }
        }
    }
}

/// Secrets do not go to logs.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credentials::Token(_) => "Token(…)",
            Credentials::Basic { .. } => "Basic(…)",
        })
    }
}

/// An Okta as it was seen on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Preset {
    /// A catalogue template today: looks for a group by name, creates it empty, names it, adds.
    #[default]
    Template2026,
    /// A catalogue template in 2021: creates a group with its members, then adds them again.
    Template2021,
    /// A custom app of the App Integration Wizard today: GET and PUT only.
    Aiw2026,
    /// The same as seen when people are assigned again: one PUT to activate, one for the profile.
    AiwReassign,
}

impl Preset {
    /// All of them; a server is good when it passes under each.
    pub const ALL: [Preset; 4] =
        [Preset::Template2026, Preset::Template2021, Preset::Aiw2026, Preset::AiwReassign];

    /// As the command line spells it.
    pub fn name(self) -> &'static str {
        match self {
            Preset::Template2026 => "okta-2026-template",
            Preset::Template2021 => "okta-2021-template",
            Preset::Aiw2026 => "okta-2026-aiw",
            Preset::AiwReassign => "okta-aiw-reassign",
        }
    }

    /// Reads [`Preset::name`].
    pub fn from_name(name: &str) -> Option<Preset> {
        Preset::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// The app that speaks so.
    pub fn profile(self) -> Profile {
        match self {
            Preset::Template2026 => Profile::TestBearer,
            Preset::Template2021 => Profile::TestHeader,
            Preset::Aiw2026 | Preset::AiwReassign => Profile::AiwHeader,
        }
    }

    /// How it behaves where Oktas differ.
    pub fn options(self) -> Options {
        let options = Options::default();
        match self {
            Preset::Template2026 => options,
            Preset::Template2021 => Options {
                group_probe: false,
                post_members: PostMembers::Full,
                meta_patch: false,
                ..options
            },
            Preset::Aiw2026 => Options { import_groups: false, ..options },
            Preset::AiwReassign => Options { link_double_put: true, ..options },
        }
    }
}

/// Where Oktas differ, or nobody outside Okta knows: a switch for each.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own, in any mixture")]
pub struct Options {
    /// Where ids, passwords and the names of the story come from.
    pub seed: u64,
    /// How a space is written in a query.
    pub space_encoding: SpaceEncoding,
    /// Whether a PATCH of `active` is preceded by a GET.
    pub get_before_patch: bool,
    /// Whether a GET and PUT that activate precede the GET and PUT of the profile, where a person
    /// is found who exists already (PUT dialect).
    pub link_double_put: bool,
    /// Whether activation is left out when the person found is active already.
    pub skip_activate_if_active: bool,
    /// Whether a group is looked for by its name before it is created.
    pub group_probe: bool,
    /// Whether a group is created with its members (PATCH dialect).
    pub post_members: PostMembers,
    /// Whether a PATCH with id and name accompanies each change of a group (PATCH dialect).
    pub meta_patch: bool,
    /// How *Push now* writes the members (PATCH dialect).
    pub full_push_form: FullPushForm,
    /// Changes of membership in one PATCH, 1 to 1,000.
    pub chunk: usize,
    /// Whether a profile is changed with a PATCH instead of GET and PUT.
    pub user_patch: bool,
    /// What a cleared attribute becomes in a PUT.
    pub empty_value: EmptyValue,
    /// What the placeholder passwords are made of.
    pub password_alphabet: PasswordAlphabet,
    /// Whether *Import Groups* is on.
    pub import_groups: bool,
    /// Where the next page starts.
    pub page_advance: PageAdvance,
    /// What an empty page before the announced end means.
    pub empty_page: EmptyPage,
    /// From the admin's click to the request, on the virtual clock.
    pub latency: Duration,
    /// After how long without an answer the request has failed.
    pub timeout: Duration,
    /// How often a request about a user is repeated after a 5xx or no answer.
    pub retry_5xx: u32,
    /// Whether a `Retry-After` on a later 429 counts afresh instead of doubling the last wait.
    pub retry_after_resets: bool,
    /// Whether a creation may be answered with 200.
    pub create_200: Reading,
    /// Whether a PUT may be answered with 204.
    pub put_204: Reading,
    /// Whether a DELETE carries `Content-Type`.
    pub delete_content_type: bool,
    /// Whether an unassigned person is deleted instead of deactivated.
    pub granular_deprovision: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            seed: 1,
            space_encoding: SpaceEncoding::Percent,
            get_before_patch: false,
            link_double_put: false,
            skip_activate_if_active: false,
            group_probe: true,
            post_members: PostMembers::None,
            meta_patch: true,
            full_push_form: FullPushForm::Path,
            chunk: 100,
            user_patch: false,
            empty_value: EmptyValue::EmptyString,
            password_alphabet: PasswordAlphabet::LettersAndDigits,
            import_groups: true,
            page_advance: PageAdvance::ByCount,
            empty_page: EmptyPage::Stop,
            latency: Duration::from_millis(1_500),
            timeout: Duration::from_mins(1),
            retry_5xx: 0,
            retry_after_resets: false,
            create_200: Reading::Accept,
            put_204: Reading::Accept,
            delete_content_type: false,
            granular_deprovision: false,
        }
    }
}

/// How a space is written in a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpaceEncoding {
    /// `%20`, as today.
    Percent,
    /// `+`, as in older samples.
    Plus,
}

/// What a new group is created with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostMembers {
    /// `"members":[]`.
    None,
    /// All of them.
    Full,
}

/// How *Push now* writes the members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FullPushForm {
    /// `{"op":"replace","path":"members","value":[…]}`, as documented.
    Path,
    /// `{"op":"replace","value":{"members":[…]}}`, as reported.
    NoPathMembers,
    /// `{"op":"replace","value":{"members":[…],"id":…,"displayName":…}}`, as reported.
    NoPathAll,
}

/// What a cleared attribute becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptyValue {
    /// `""`.
    EmptyString,
    /// `null`.
    Null,
    /// Not there.
    Omit,
}

/// What placeholder passwords are made of; none of them would pass a password policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordAlphabet {
    /// `1mz050nq`.
    LettersAndDigits,
    /// `gl^m&qWZ`.
    WithSymbols,
}

/// Where the next page starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageAdvance {
    /// At `startIndex` + 100, whatever came. As documented.
    ByCount,
    /// At `startIndex` + what came.
    ByReturned,
}

/// What an empty page before the announced end means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptyPage {
    /// The end.
    Stop,
    /// Nothing: the next page is asked for.
    Continue,
}

/// How an answer that is not the documented one is taken, where nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// As success.
    Accept,
    /// As failure.
    Refuse,
}

/// An app in Okta with everything that was typed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The connector base URL.
    pub base_url: String,
    /// The token, or user and password.
    pub credentials: Credentials,
    /// The kind of app.
    pub profile: Profile,
    /// How this Okta behaves where they differ.
    pub options: Options,
}

impl Settings {
    /// The app of a preset.
    ///
    /// The Header Auth app of [`Preset::Template2021`] sends what was typed, word for word, so the
    /// admin types `Bearer` before the token; a token that has its scheme already stays as it is.
    pub fn new(base_url: impl Into<String>, credentials: Credentials, preset: Preset) -> Settings {
        let profile = preset.profile().with_credentials(&credentials);
        let credentials = match credentials {
            Credentials::Token(token) if profile == Profile::TestHeader && !token.contains(' ') => {
                Credentials::Token(format!("Bearer {token}"))
            }
            credentials => credentials,
        };
        Settings { base_url: base_url.into(), credentials, profile, options: preset.options() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_profile_sends_its_credentials_in_its_own_way() {
        let token = Credentials::Token("t-1".to_owned());
        let basic = Credentials::Basic { user: "u".to_owned(), password: "p".to_owned() };
        for (profile, credentials, expected) in [
            (Profile::TestBearer, &token, "Bearer t-1"),
            (Profile::TestHeader, &token, "t-1"),
            (Profile::TestBasic, &basic, "Basic dTpw"),
            (Profile::AiwHeader, &token, "Bearer t-1"),
            (Profile::AiwBasic, &basic, "Basic dTpw"),
            (Profile::Oin, &token, "Bearer t-1"),
            (Profile::OinPut, &token, "Bearer t-1"),
        ] {
            assert_eq!(profile.with_credentials(credentials), profile);
            assert_eq!(profile.authorization(credentials), expected);
        }
    }

    #[test]
    fn names_are_read_back() {
        for preset in Preset::ALL {
            assert_eq!(Preset::from_name(preset.name()), Some(preset));
        }
        for profile in Profile::ALL {
            assert_eq!(Profile::from_name(profile.name()), Some(profile));
        }
        assert_eq!(Preset::from_name("okta"), None);
    }
}
