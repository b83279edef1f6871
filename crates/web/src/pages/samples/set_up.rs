//! Samples of what the server was told, and of the looks of its pages.

use askama::Template;
use directory::MemberRole;

use super::{branded, frame, signed_in};
use crate::pages::brand::BadBrand;
use crate::pages::dashboard::branding::BrandingPage;
use crate::pages::dashboard::settings::SettingsPage;
use crate::pages::parts::Copyable;
use crate::settings::{Source, Told};

pub(super) fn add_all(add: &mut impl FnMut(&str, &str, Result<String, askama::Error>)) {
    of_settings(add);
    of_branding(add);
}

fn of_settings(add: &mut impl FnMut(&str, &str, Result<String, askama::Error>)) {
    let one = |option: &str, value: Option<Option<&str>>, source, what: &str| Told {
        option: format!("--{option}"),
        variable: format!("ROSTER_{}", option.to_uppercase().replace('-', "_")),
        what: what.to_owned(),
        value: value.map(|it| it.map(str::to_owned)),
        source,
    };
    let told = vec![
        one(
            "listen",
            Some(Some("0.0.0.0:8484")),
            Source::CommandLine,
            "Address on which to listen; port 0 takes any that is free",
        ),
        one(
            "database",
            Some(None),
            Source::Environment,
            "A PostgreSQL database instead of the embedded one",
        ),
        one(
            "keep-events-days",
            Some(Some("400")),
            Source::Default,
            "Days for which events are kept in the feed, or `forever`; a cursor that is older leads \
             nowhere then",
        ),
        one("brand-logo", None, Source::Default, "A picture beside the name: a file of SVG or PNG"),
    ];
    for (special, place, told) in [
        ("filled", "postgres://roster@db.vendor.example/roster", told),
        ("unknown", "", Vec::new()),
    ] {
        let base_url = "https://sync.vendor.example/scim/v2";
        let page = SettingsPage {
            frame: frame(),
            signed_in: signed_in("settings", MemberRole::Developer),
            version: "0.1.0",
            place: place.to_owned(),
            shared_base_url: Copyable::new("base-url", base_url.to_owned()),
            management_api: Copyable::new(
                "management-api",
                "https://sync.vendor.example/api/v1".to_owned(),
            ),
            told,
        };
        add("dashboard/settings", special, page.render());
    }
}

fn of_branding(add: &mut impl FnMut(&str, &str, Result<String, askama::Error>)) {
    let long = || "Acme ".repeat(13);
    for (special, frame, role, name, wrong) in [
        ("unchanged", frame(), MemberRole::Owner, "Roster".to_owned(), None),
        ("chosen", branded(), MemberRole::Owner, "Acme Cloud".to_owned(), None),
        ("looked-at", branded(), MemberRole::Support, "Acme Cloud".to_owned(), None),
        ("wrong-name", frame(), MemberRole::Owner, long(), Some(BadBrand::Name(long()))),
        ("wrong-logo", branded(), MemberRole::Owner, "Acme Cloud".to_owned(), Some(BadBrand::Logo)),
    ] {
        let page = BrandingPage {
            frame,
            signed_in: signed_in("branding", role),
            name,
            accent: "#b4530a".to_owned(),
            is_chosen: special != "unchanged",
            wrong,
        };
        add("dashboard/branding", special, page.render());
    }
}
