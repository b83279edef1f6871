//! What pages show, for whoever looks at them without a server: the test below, and the step `pages`,
//! which photographs what the test has written.

mod by_provider;
mod careful;
mod desk;
mod desk_roles;
mod directory_pages;
mod portal;
mod set_up;
mod simulator;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use askama::Template;
use directory::{MemberRole, PortalLinkState};
use jiff::Timestamp;

use crate::pages::brand::{Brand, Logo};
use crate::pages::dashboard::SignedIn;
use crate::pages::dashboard::account::{
    AccountPage, Changing, Outcome, OwnSignIn, SessionRow, WrongChange,
};
use crate::pages::dashboard::join::{JoinPage, NoInvitation, WrongField};
use crate::pages::dashboard::members::{MemberRow, MembersPage, Standing, WrongInvitation};
use crate::pages::dashboard::organizations::{
    DirectoryRow, LinkRow, OrganizationPage, OrganizationsPage, Row,
};
use crate::pages::dashboard::sign_in::{SignInPage, Wrong};
use crate::pages::directory::connection::Connection;
use crate::pages::parts::{Copyable, Frame, When};
use crate::pages::{Stop, Trouble, assets};
use crate::problem::Problem;

/// A page with something in it.
struct Sample {
    /// Its template, and what is special of this one.
    name: String,
    html: String,
}

/// Bytes that a page may have.
const BYTES_MAX: usize = 100 * 1024;

fn at(text: &str) -> When {
    When(text.parse::<Timestamp>().expect("a time"))
}

fn frame() -> Frame {
    Frame::of(Arc::default(), "session")
}

/// Where a page of the vendor's may show it.
fn framed() -> Frame {
    frame().in_sites(&["https://app.example.com".parse().expect("a site")])
}

fn branded() -> Frame {
    let logo = include_bytes!("../../assets/icon.svg").to_vec();
    let accent = "#ffd400".parse().expect("a colour");
    let brand = Brand::new("Globex Cloud", accent, Some(Logo::new(logo).expect("a logo")));
    Frame::of(Arc::new(brand.expect("a brand")), "session")
}

/// All of them.
fn samples() -> Vec<Sample> {
    let mut all = Vec::new();
    let mut add = |name: &str, special: &str, html: Result<String, askama::Error>| {
        let html = html.unwrap_or_else(|error| panic!("{name} {special}: {error}"));
        all.push(Sample { name: format!("{name}-{special}"), html });
    };
    for (special, why) in [
        ("nothing", Stop::Nothing),
        ("closed", Stop::Closed),
        ("not-opened", Stop::NotOpened),
        ("not-allowed", Stop::NotAllowed),
        ("signed-out", Stop::SignedOut(String::new())),
        ("forged", Stop::Forged),
        ("unreadable", Stop::Unreadable),
        ("problem", Problem::not_found("directory").into()),
    ] {
        add("trouble", special, Trouble { frame: frame(), why }.render());
    }
    portal::add_all(&mut add);
    directory_pages::add_all(&mut add);
    of_dashboard(&mut add);
    by_provider::add_all(&mut add);
    careful::add_all(&mut add);
    desk_roles::add_all(&mut add);
    set_up::add_all(&mut add);
    simulator::add_all(&mut add);
    desk::add_all(&mut add);
    all
}

fn of_dashboard(add: &mut impl FnMut(&str, &str, Result<String, askama::Error>)) {
    for (special, wrong) in
        [("empty", None), ("wrong", Some(Wrong::Something)), ("too-many", Some(Wrong::TooMany(28)))]
    {
        let (email, next) = ("ana@vendor.example".to_owned(), String::new());
        let sign_in = SignInPage { frame: frame(), email, next, wrong, provider: None };
        add("dashboard/sign-in", special, sign_in.render());
    }
    for (special, role, invited_as, wrong) in [
        ("first", MemberRole::Owner, None, None),
        ("invited", MemberRole::Support, Some("bo@vendor.example"), None),
        ("developer", MemberRole::Developer, Some("bo@vendor.example"), Some(WrongField::Code)),
        ("name", MemberRole::Owner, None, Some(WrongField::Name)),
        ("email", MemberRole::Owner, None, Some(WrongField::Email)),
        ("email-taken", MemberRole::Owner, None, Some(WrongField::EmailTaken)),
        ("password", MemberRole::Owner, None, Some(WrongField::Password)),
        ("too-many", MemberRole::Owner, None, Some(WrongField::TooMany)),
    ] {
        let join = JoinPage {
            frame: frame(),
            invited_as: invited_as.map(str::to_owned),
            role,
            until: Some(at("2026-11-29T16:00:00Z")),
            email: String::new(),
            name: wrong.map(|_| "Bo Lind".to_owned()).unwrap_or_default(),
            key: Copyable::new("key", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"),
            sent_key: "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".to_owned(),
            key_uri: "otpauth://totp/Roster:bo?secret=GEZDGNBVGY3TQOJQ&issuer=Roster".to_owned(),
            password_characters_min: 12,
            provider: None,
            wrong,
        };
        add("dashboard/join", special, join.render());
    }
    add("dashboard/no-invitation", "ended", NoInvitation { frame: frame() }.render());

    let organizations = |wanted: &str, organizations: Vec<Row>, role| OrganizationsPage {
        frame: frame(),
        signed_in: signed_in("organizations", role),
        wanted: wanted.to_owned(),
        next: organizations.first().map(|it| it.id.clone()),
        is_wrong: role == MemberRole::Developer,
        organizations,
    };
    let (owner, support) = (MemberRole::Owner, MemberRole::Support);
    let path = "dashboard/organizations";
    add(path, "empty", organizations("", Vec::new(), owner).render());
    add(path, "nobody", organizations("Initech", Vec::new(), owner).render());
    add(path, "filled", organizations("", rows(), owner).render());
    add(path, "wrong", organizations("", rows(), MemberRole::Developer).render());
    add(path, "support", organizations("", rows(), support).render());

    let organization = |directories: Vec<DirectoryRow>, links, made, role| OrganizationPage {
        frame: frame(),
        signed_in: signed_in("organizations", role),
        organization: rows().remove(0),
        metadata: "plan: gold".to_owned(),
        guards: directory_pages::guards(),
        refused: (role == owner && directories.is_empty()).then(directory_pages::refused),
        directories,
        links,
        made,
        done: if role == owner { directory_pages::done() } else { Vec::new() },
    };
    let url = "https://roster.example.com/portal/open/roster-portal-4f1d0c9b2e7a8d6f3c5b1a0e9d8c7b6a5f4e3d2c1b0a9f8e7d6c5b4a3f2e1d0c";
    let made = Some(Copyable::new("portal-link", url));
    let path = "dashboard/organization";
    add(path, "empty", organization(Vec::new(), Vec::new(), None, owner).render());
    add(path, "filled", organization(directories(), links(), None, owner).render());
    add(path, "made", organization(directories(), links(), made, owner).render());
    add(path, "support", organization(directories(), links(), None, support).render());

    for (special, role, made, wrong) in [
        ("owner", owner, None, None),
        ("support", support, None, None),
        ("made", owner, Some(Copyable::new("invitation", url)), None),
        ("wrong", owner, None, Some(WrongInvitation::Email)),
        ("taken", owner, None, Some(WrongInvitation::EmailTaken)),
    ] {
        let email = wrong.map(|_| "bo".to_owned()).unwrap_or_default();
        let signed_in = signed_in("members", role);
        let members = members();
        let provider = None;
        let members =
            MembersPage { frame: frame(), signed_in, members, made, email, wrong, provider };
        add("dashboard/members", special, members.render());
    }
    let session = |browser: &str, is_this| SessionRow {
        id: "ses-01kc2x4n0s0000000000000001".to_owned(),
        browser: browser.to_owned(),
        created_at: at("2026-11-20T08:12:00Z"),
        last_used_at: at("2026-11-22T15:58:00Z"),
        expires_at: at("2026-11-27T08:12:00Z"),
        is_this,
    };
    let firefox = "Firefox on Linux";
    let key = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
    let own = |outcome| OwnSignIn {
        password_characters_min: 12,
        key: Copyable::new("key", key.to_owned()),
        sent_key: key.to_owned(),
        key_uri: format!("otpauth://totp/Roster:ana?secret={key}"),
        outcome,
    };
    let wrong = |of, wrong| Some(own(Some(Outcome { of, wrong })));
    for (special, own) in [
        ("filled", Some(own(None))),
        ("at-provider", None),
        ("changed-password", wrong(Changing::Password, None)),
        ("wrong-password", wrong(Changing::Password, Some(WrongChange::Present))),
        ("wrong-code", wrong(Changing::Codes, Some(WrongChange::NewCode))),
    ] {
        let account = AccountPage {
            frame: frame(),
            signed_in: signed_in("account", owner),
            email: "ana@vendor.example".to_owned(),
            sessions: vec![session(firefox, true), session("", false)],
            own,
        };
        add("dashboard/account", special, account.render());
    }
}

fn signed_in(section: &str, role: MemberRole) -> SignedIn {
    SignedIn { name: "Ana Lima".to_owned(), role, section: section.to_owned() }
}

fn rows() -> Vec<Row> {
    let row = |number: u32, name: &str, external_id: Option<&str>, directory_sync| Row {
        id: format!("org-01kc2x4n0s000000000000000{number}"),
        name: name.to_owned(),
        external_id: external_id.map(str::to_owned),
        directory_sync,
        created_at: at("2026-03-02T09:30:00Z"),
    };
    vec![
        row(1, "Acme Industries", Some("customer-17"), true),
        row(2, "Globex", None, true),
        row(3, "Initech", Some("customer-4"), false),
    ]
}

fn directories() -> Vec<DirectoryRow> {
    let row = |it: Connection| DirectoryRow {
        id: it.id.to_string(),
        name: it.name,
        provider: it.provider.title(),
        state: it.state,
        active_users: it.active_users,
        groups: it.groups,
        last_contact_at: it.last_contact_at,
    };
    portal::connections().into_iter().map(row).collect()
}

fn links() -> Vec<LinkRow> {
    let row = |(number, state): (usize, PortalLinkState)| LinkRow {
        id: format!("link-01kc2x4n0s000000000000000{number}"),
        state,
        is_whole: number != 1,
        opens: "People, Activity".to_owned(),
        created_at: at("2026-11-20T08:12:00Z"),
        expires_at: at("2026-11-27T08:12:00Z"),
        last_used_at: (number > 0).then(|| at("2026-11-22T15:58:00Z")),
    };
    PortalLinkState::ALL.into_iter().enumerate().map(row).collect()
}

fn members() -> Vec<MemberRow> {
    let row = |number: u32, name: &str, role, standing: Standing| MemberRow {
        id: format!("mbr-01kc2x4n0s000000000000000{number}"),
        name: name.to_owned(),
        email: format!("member-{number}@vendor.example"),
        role,
        last_seen_at: matches!(standing, Standing::Joined).then(|| at("2026-11-22T15:58:00Z")),
        standing,
        is_reader: number == 1,
        is_at_provider: number == 1,
        keeps_password: number == 1,
    };
    let until = Standing::InvitedUntil(at("2026-11-29T16:00:00Z"));
    vec![
        row(1, "Ana Lima", MemberRole::Owner, Standing::Joined),
        row(2, "Bo Lind", MemberRole::Developer, Standing::Joined),
        row(3, "", MemberRole::Support, until),
        row(4, "", MemberRole::Support, Standing::Missed),
    ]
}

/// Where pages are written, and beside them what they load.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/pages")
}

fn write(path: &str, content: &[u8]) {
    let file = folder().join(path);
    std::fs::create_dir_all(file.parent().expect("it stands in a folder")).expect("a folder");
    std::fs::write(file, content).expect("a file");
}

/// The values of an attribute, wherever it stands.
fn values<'h>(html: &'h str, attribute: &str) -> Vec<&'h str> {
    let opening = format!(" {attribute}=\"");
    let starts = html.match_indices(&opening).map(|(at, found)| at + found.len());
    starts.filter_map(|at| Some(html[at..].split_once('"')?.0)).collect()
}

#[test]
fn every_page_keeps_what_pages_promise() {
    let assets: BTreeSet<_> = assets::all().into_iter().map(|(address, _)| address).collect();
    for Sample { name, html } in samples() {
        assert!(html.len() <= BYTES_MAX, "{name} has {} bytes", html.len());
        assert_eq!(html.matches("<h1").count(), 1, "{name} has one heading");
        let (_, title) = html.split_once("<title>").expect("a title");
        let (title, _) = title.split_once("</title>").expect("its end");
        assert!(title.split(" · ").all(|part| !part.trim().is_empty()), "{name}: {title}");
        // Nothing that the policy of pages would not let through.
        for wrong in ["<style", " style=", "javascript:", " onclick=", " onload=", " onsubmit="] {
            assert!(!html.contains(wrong), "{name} has `{wrong}`");
        }
        for script in html.split("<script").skip(1) {
            let head = script.split('>').next().unwrap_or_default();
            assert!(head.contains(" src=\""), "{name} has a script in the page");
        }
        // Whoever leaves does so in another window, which does not know from where.
        let outside = "\" target=\"_blank\" rel=\"noopener noreferrer\"";
        let leads_out = |address: &&str| {
            address.starts_with("https://") && html.contains(&format!("href=\"{address}{outside}"))
        };
        let links = values(&html, "href").into_iter().filter(|it| !leads_out(it));
        // Nothing from elsewhere, and only files that there are.
        for address in values(&html, "src").into_iter().chain(links) {
            let is_of_brand =
                address.starts_with("/assets/brand-") || address.starts_with("/assets/logo-");
            assert!(
                address.starts_with('#')
                    || address.starts_with("otpauth:")
                    || address.starts_with('/') && !address.starts_with("//"),
                "{name} leads to {address}"
            );
            if address.starts_with("/assets/") && !is_of_brand {
                assert!(assets.contains(address), "{name} has {address}");
            }
        }
        let forms = html.split("<form").skip(1).filter(|form| form.contains("method=\"post\""));
        for form in forms {
            let form = form.split("</form>").next().unwrap_or_default();
            assert!(form.contains(" name=\"proof\""), "{name} has a form without proof");
        }
        let ids = values(&html, "id");
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{name}: {ids:?}");
        for attribute in ["data-copy", "for", "aria-describedby", "aria-labelledby"] {
            for id in values(&html, attribute).into_iter().flat_map(|it| it.split(' ')) {
                assert!(
                    ids.contains(&id),
                    "{name}: `{attribute}` names `{id}`, which is not there"
                );
            }
        }
    }
}

#[test]
fn every_template_has_a_sample() {
    let mut templates = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/pages")];
    let mut files = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/pages.rs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    for file in files {
        let text = std::fs::read_to_string(file).expect("a source");
        let named = text.split("#[template(path = \"").skip(1);
        let named = named.filter_map(|rest| Some(rest.split_once(".html\"")?.0.to_owned()));
        templates.extend(named.filter(|name| !name.starts_with("parts/") && !name.contains('\n')));
    }
    assert!(templates.len() > 3, "{templates:?}");
    let samples = samples();
    for template in templates {
        let begins = format!("{template}-");
        assert!(samples.iter().any(|it| it.name.starts_with(&begins)), "{template} has no sample");
    }
}

/// For the step `pages`.
#[test]
fn every_page_is_written_for_the_photographer() {
    let brands = [Arc::<Brand>::default(), branded().brand()];
    for brand in brands {
        write(&brand.stylesheet_address()[1..], brand.stylesheet().as_bytes());
        if let Some(logo) = brand.logo() {
            write(&logo.address()[1..], logo.content());
        }
    }
    for (address, content) in assets::all() {
        write(&address[1..], &content);
    }
    let mut names = Vec::new();
    for Sample { name, html } in samples() {
        write(&format!("{name}.html"), html.as_bytes());
        names.push(name);
    }
    let list = serde_json::to_string(&names).expect("text can be printed");
    write("pages.json", list.as_bytes());
    assert!(folder().join("pages.json").exists());
}
