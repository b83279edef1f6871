//! The looks of the pages, as the team chooses them, and what the server was told.

use web::{Limits, Settings, Source, Told};

use crate::dashboard::{Member, Scene};
use crate::portal::shown;
use crate::server::{Reply, Server};

const PATH: &str = "/dashboard/branding";
const SVG: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\"/>";

/// Sends the form as browsers do that send a file with it.
fn save(scene: &Scene, member: &Member, fields: &[(&str, &str)], logo: &[u8]) -> Reply {
    let mut body = Vec::new();
    let proof = member.proof();
    for (name, value) in fields.iter().chain(&[("proof", proof.as_str())]) {
        let part =
            format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend(part.into_bytes());
    }
    let file =
        "--x\r\nContent-Disposition: form-data; name=\"logo\"; filename=\"logo.svg\"\r\n\r\n";
    body.extend([file.as_bytes(), logo, b"\r\n--x--\r\n"].concat());
    let kind = ("Content-Type", "multipart/form-data; boundary=x");
    member.send(scene, PATH, &[kind], &body)
}

fn stylesheet_of(page: &str) -> &str {
    let (_, rest) = page.split_once("/assets/brand-").expect("a stylesheet");
    rest.split_once('"').expect("its end").0
}

#[test]
fn an_owner_chooses_name_logo_and_colour_for_all_pages() {
    let scene = Scene::begin("branding");
    let ana = scene.first();
    let support = ana.invite(&scene, "cy@vendor.example", "support");
    let (_, before) = shown(&scene.get("/dashboard/sign-in"));
    assert!(before.contains("Roster"), "{before}");

    // What cannot be is told at its field, and nothing has changed.
    let good = [("name", "Acme Cloud"), ("accent", "#b4530a")];
    for (name, accent, logo, said) in [
        ("", "#b4530a", "", "Write a name"),
        ("Acme", "red", "", "This is not a colour"),
        ("Acme", "#b4530a", "GIF89a", "neither SVG nor PNG"),
    ] {
        let reply = save(&scene, &ana, &[("name", name), ("accent", accent)], logo.as_bytes());
        let (status, page) = shown(&reply);
        assert_eq!(status, 422, "{page}");
        assert!(page.contains(said) && page.contains("Nothing was changed"), "{page}");
    }
    let large = format!("{SVG}{}", " ".repeat(257 * 1024));
    let (status, page) = shown(&save(&scene, &ana, &good, large.as_bytes()));
    assert_eq!(status, 422, "{page}");
    assert!(page.contains("more than 256 KiB"), "{page}");
    let (_, page) = shown(&support.get(&scene, PATH));
    assert!(!page.contains("<form method=\"post\" action=\"/dashboard/branding"), "{page}");
    assert_eq!(shown(&save(&scene, &support, &good, b"")).0, 403);
    assert_eq!(shown(&scene.get("/dashboard/sign-in")).1, before);

    assert_eq!(save(&scene, &ana, &good, SVG.as_bytes()).status, 303);
    let (_, page) = shown(&scene.get("/dashboard/sign-in"));
    assert!(page.contains("Acme Cloud"), "{page}");
    let (_, rest) = page.split_once("<img src=\"").expect("a logo");
    let logo = rest.split_once('"').expect("its end").0;
    let reply = scene.get(logo);
    assert_eq!((reply.status, reply.body.as_slice()), (200, SVG.as_bytes()));
    let sheet = format!("/assets/brand-{}", stylesheet_of(&page));
    assert!(String::from_utf8_lossy(&scene.get(&sheet).body).contains("#b4530a"));
    assert_ne!(stylesheet_of(&page), stylesheet_of(&before));

    // Without a file the logo stays, until it is taken away.
    let renamed = [("name", "Acme"), ("accent", "#b4530a")];
    assert_eq!(save(&scene, &ana, &renamed, b"").status, 303);
    assert!(shown(&ana.get(&scene, PATH)).1.contains(logo));
    let without = [renamed[0], renamed[1], ("no-logo", "yes")];
    assert_eq!(save(&scene, &ana, &without, b"").status, 303);
    assert!(!shown(&ana.get(&scene, PATH)).1.contains(logo));

    let log = scene.server.api("GET", "/api/v1/audit?action=branding.updated", b"").json();
    assert_eq!(log["data"].as_array().map(Vec::len), Some(3), "{log}");
    assert_eq!(log["data"][0]["after"]["name"], "Acme", "{log}");
    assert_eq!(ana.post(&scene, "/dashboard/branding/reset", &[]).status, 303);
    assert_eq!(shown(&scene.get("/dashboard/sign-in")).1, before);
}

#[test]
fn what_was_chosen_stays_after_a_restart() {
    let mut scene = Scene::begin("branding-restart");
    let ana = scene.first();
    let good = [("name", "Acme Cloud"), ("accent", "#b4530a")];
    assert_eq!(save(&scene, &ana, &good, SVG.as_bytes()).status, 303);
    let (_, page) = shown(&ana.get(&scene, PATH));
    scene.server.restart();
    // A browser that has the page asks for its looks first.
    let sheet = format!("/assets/brand-{}", stylesheet_of(&page));
    assert_eq!(scene.get(&sheet).status, 200);
    assert_eq!(shown(&ana.get(&scene, PATH)).1, page);
}

#[test]
fn members_see_how_the_server_was_started_and_no_secret() {
    let limits = Limits { guesses: None, rate: None, ..Limits::default() };
    let mut settings = Settings::new("https://roster.example", "/scim/v2", limits).expect("good");
    settings.place = "/var/lib/roster".to_owned();
    let told = |option: &str, value: Option<&str>| Told {
        option: option.to_owned(),
        variable: "ROSTER_IT".to_owned(),
        what: "What it is".to_owned(),
        value: Some(value.map(str::to_owned)),
        source: Source::Environment,
    };
    settings.told =
        vec![told("--keep-events-days", Some("30")), told("--oidc-client-secret", None)];
    let scene = Scene::of(Server::start_told("settings-page", settings));
    let path = "/dashboard/settings";
    assert_eq!(scene.get(path).status, 303);
    let (status, page) = shown(&scene.first().get(&scene, path));
    assert_eq!(status, 200, "{page}");
    for said in ["/var/lib/roster", "https://roster.example/scim/v2", "--keep-events-days", ">30<"]
    {
        assert!(page.contains(said), "{said}: {page}");
    }
    assert!(page.contains("said, and not shown"), "{page}");
}
