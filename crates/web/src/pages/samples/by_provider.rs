//! The pages of a team that has a provider to sign in by.

use askama::Template as _;
use directory::MemberRole;

use super::{at, frame, members, signed_in};
use crate::pages::dashboard::join::JoinPage;
use crate::pages::dashboard::members::{MembersPage, Provider};
use crate::pages::dashboard::sign_in::{ProviderLink, SignInPage, Wrong};
use crate::pages::parts::Copyable;

fn link(is_required: bool) -> ProviderLink {
    let address = "/dashboard/sign-in/oidc?next=%2Fdashboard%2Fmembers".to_owned();
    ProviderLink { name: "Globex Login".to_owned(), address, is_required }
}

pub(super) fn add_all(add: &mut impl FnMut(&str, &str, Result<String, askama::Error>)) {
    for (special, is_required, wrong) in [
        ("provider", false, None),
        ("provider-required", true, None),
        ("provider-password", true, Some(Wrong::PasswordNotAllowed)),
        ("provider-elsewhere", false, Some(Wrong::BegunElsewhere)),
        ("provider-unreachable", false, Some(Wrong::ProviderUnreachable)),
        ("provider-refused", false, Some(Wrong::ProviderRefused("access_denied".to_owned()))),
        ("provider-untrusted", false, Some(Wrong::ProviderUntrusted)),
        ("provider-unverified", false, Some(Wrong::UnverifiedEmail)),
        ("provider-domain", false, Some(Wrong::EmailNotAllowed)),
        ("provider-stranger", false, Some(Wrong::Stranger("cy@vendor.example".to_owned()))),
        ("provider-ended", false, Some(Wrong::EndedInvitation)),
        ("provider-other", false, Some(Wrong::OtherAccount)),
        ("provider-full", false, Some(Wrong::TeamFull)),
    ] {
        let (email, next) = match wrong {
            Some(Wrong::PasswordNotAllowed) => ("bo@vendor.example".to_owned(), String::new()),
            _ => (String::new(), "/dashboard/members".to_owned()),
        };
        let provider = Some(link(is_required));
        let sign_in = SignInPage { frame: frame(), email, next, wrong, provider };
        add("dashboard/sign-in", special, sign_in.render());
    }
    for (special, is_required) in [("provider", false), ("provider-required", true)] {
        let join = JoinPage {
            frame: frame(),
            invited_as: Some("bo@vendor.example".to_owned()),
            role: MemberRole::Developer,
            until: Some(at("2026-11-29T16:00:00Z")),
            email: String::new(),
            name: String::new(),
            key: Copyable::new("key", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"),
            sent_key: "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".to_owned(),
            key_uri: "otpauth://totp/Roster:bo?secret=GEZDGNBVGY3TQOJQ&issuer=Roster".to_owned(),
            password_characters_min: 12,
            provider: Some(link(is_required)),
            wrong: None,
        };
        add("dashboard/join", special, join.render());
    }
    for (special, is_required, is_readers) in [
        ("provider", false, true),
        ("provider-untried", false, false),
        ("provider-required", true, true),
    ] {
        let name = "Globex Login".to_owned();
        let members = MembersPage {
            frame: frame(),
            signed_in: signed_in("members", MemberRole::Owner),
            members: members(),
            made: None,
            email: String::new(),
            wrong: None,
            provider: Some(Provider { name, is_required, is_readers, others: 3 }),
        };
        add("dashboard/members", special, members.render());
    }
}
