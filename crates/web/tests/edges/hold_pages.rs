//! Changes that wait, and what is decided about them on a page.

use crate::directory_pages::Desk;
use crate::isolation::pull_the_brake;
use crate::portal::shown;
use crate::server::text;

fn hidden<'p>(page: &'p str, name: &str) -> &'p str {
    let (_, rest) =
        page.split_once(&format!("name=\"{name}\" value=\"")).expect("the field is there");
    rest.split_once('"').expect("its end").0
}

fn state(desk: &Desk, hold: &str) -> String {
    let path = format!("/api/v1/directories/{}/holds/{hold}", desk.house.connection.directory);
    text(&desk.scene.server.api("GET", &path, b"").json(), "state")
}

#[test]
fn a_hold_says_who_would_lose_what_and_is_rejected_by_who_has_seen_it() {
    let desk = Desk::begin("hold-pages-reject");
    let hold = pull_the_brake(&desk.scene.server, &desk.house);
    let place = format!("/holds/{hold}");
    assert!(desk.page("/holds").contains(&place));
    let page = desk.page(&place);
    assert!(page.contains("leaver-0") && page.contains("leaver-1"), "{page}");
    let table = desk.owner.get(&desk.scene, &desk.at(&format!("{place}/lost.csv")));
    assert!(String::from_utf8_lossy(&table.body).contains("leaver-1"), "{table:?}");

    // Support looks, and is offered nothing.
    let (status, looked_at) = shown(&desk.support.get(&desk.scene, &desk.at(&place)));
    assert_eq!(status, 200, "{looked_at}");
    assert!(!looked_at.contains("/reject\""), "{looked_at}");
    let seen = hidden(&page, "seen").to_owned();
    for way in ["approve", "reject"] {
        let path = desk.at(&format!("{place}/{way}"));
        let reply = desk.support.post(&desk.scene, &path, &[("seen", &seen)]);
        assert_eq!(shown(&reply).0, 403, "{way}");
        // What was not looked at is not decided about.
        let (status, page) = shown(&desk.send(&format!("{place}/{way}"), &[("seen", "another")]));
        assert_eq!(status, 409, "{way}: {page}");
        assert!(page.contains("It is not what you looked at any more"), "{page}");
    }
    assert_eq!(state(&desk, &hold), "held");

    assert_eq!(desk.send(&format!("{place}/reject"), &[("seen", &seen)]).status, 303);
    assert_eq!(state(&desk, &hold), "rejected");
    assert!(desk.page(&place).contains("Nobody loses access"));
}

#[test]
fn a_hold_is_approved_and_belongs_to_its_directory() {
    let desk = Desk::begin("hold-pages-approve");
    let hold = pull_the_brake(&desk.scene.server, &desk.house);
    let place = format!("/holds/{hold}");
    let seen = hidden(&desk.page(&place), "seen").to_owned();
    // Another directory has no such hold.
    let other = desk.scene.server.connect("Globex", "Okta");
    let at = desk.at(&place).replace(&desk.house.connection.directory, &other.directory);
    assert_eq!(shown(&desk.owner.get(&desk.scene, &at)).0, 404);

    assert_eq!(desk.send(&format!("{place}/approve"), &[("seen", &seen)]).status, 303);
    assert_ne!(state(&desk, &hold), "held");
    // Decided is decided.
    assert!(shown(&desk.send(&format!("{place}/reject"), &[("seen", &seen)])).0 >= 400);
    let events = desk.scene.server.api("GET", "/api/v1/events?type=directory.hold.*", b"").json();
    assert!(events.to_string().contains("directory.hold.approved"), "{events}");
}
