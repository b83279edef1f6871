//! Who gets which role, as it is said on a page.

use serde_json::json;

use crate::directory_pages::Desk;
use crate::portal::shown;
use crate::server::text;

/// The app has two roles.
fn with_roles(name: &str) -> Desk {
    let desk = Desk::begin(name);
    for (rank, id, name) in [(1, "admin", "Admin"), (2, "viewer", "Viewer")] {
        let body = json!({ "name": name, "rank": rank }).to_string();
        let reply = desk.scene.server.api("PUT", &format!("/api/v1/roles/{id}"), body.as_bytes());
        assert!(reply.status < 300, "{reply:?}");
    }
    desk
}

/// What stands in a hidden field.
fn hidden(page: &str, name: &str) -> String {
    let (_, rest) =
        page.split_once(&format!("name=\"{name}\" value=\"")).expect("the field is there");
    rest.split_once('"').expect("its end").0.to_owned()
}

/// The mapping that is kept.
fn kept(desk: &Desk) -> serde_json::Value {
    let path = format!("/api/v1/directories/{}/role-mapping", desk.house.connection.directory);
    desk.scene.server.api("GET", &path, b"").json()
}

#[test]
fn a_mapping_is_saved_as_it_was_looked_at() {
    let desk = with_roles("role-pages");
    let begun = kept(&desk);
    let seen = hidden(&desk.page("/roles"), "seen");
    let group = desk.house.group.clone();
    let fields = [
        ("seen", seen.as_str()),
        ("rule-1-group", group.as_str()),
        ("rule-1-role", "admin"),
        ("default-role", "viewer"),
    ];
    // Who has not looked, is shown what would follow.
    let (status, page) = shown(&desk.send("/roles", &fields));
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("Nothing was saved yet"), "{page}");
    assert_eq!(kept(&desk), begun);

    let (status, page) = shown(&desk.send("/roles/preview", &fields));
    assert_eq!(status, 200, "{page}");
    for said in ["Nothing was saved yet", "Admin", "Viewer", "Gain it"] {
        assert!(page.contains(said), "{said}: {page}");
    }
    let previewed = hidden(&page, "previewed");
    let looked_at = [&fields[..], &[("previewed", previewed.as_str())]].concat();
    // Nor is anything else saved than was looked at.
    let other =
        [&looked_at[..], &[("rule-2-filter", "userType eq \"A\""), ("rule-2-role", "admin")]];
    let (status, page) = shown(&desk.send("/roles", &other.concat()));
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("Nothing was saved yet"), "{page}");
    assert_eq!(kept(&desk), begun);

    assert_eq!(desk.send("/roles", &looked_at).status, 303);
    desk.scene.server.walk_roles();
    let mapping = kept(&desk);
    assert_eq!(mapping["default_role"], "viewer", "{mapping}");
    assert_eq!(mapping["rules"].as_array().map(Vec::len), Some(1), "{mapping}");
    let user = format!("/people/{}", desk.house.user);
    assert!(desk.page(&user).contains("because"), "a reason is said");

    // Somebody else has saved meanwhile: nothing is changed, and it has to be looked at again.
    let (status, page) = shown(&desk.send("/roles", &looked_at));
    assert_eq!(status, 422, "{page}");
    assert!(page.contains("somebody else has changed the roles"), "{page}");
    assert!(!page.contains("name=\"previewed\""), "{page}");
    assert_eq!(kept(&desk), mapping);
}

#[test]
fn what_cannot_be_is_told_and_who_may_not_is_refused() {
    let desk = with_roles("role-pages-wrong");
    let begun = kept(&desk);
    let page = desk.page("/roles");
    let seen = hidden(&page, "seen");
    for (name, value, said) in [
        ("rule-1-filter", "userType eq", "filter"),
        ("rule-1-group", "no group", "group"),
        ("protected-1-user", "nobody at all", "nobody at all"),
        ("default-role", "no-such-role", "no-such-role"),
    ] {
        let fields = [("seen", seen.as_str()), (name, value), ("rule-1-role", "admin")];
        let (status, page) = shown(&desk.send("/roles/preview", &fields));
        assert_eq!(status, 422, "{name}: {page}");
        assert!(page.contains(said) && !page.contains("Nothing was saved yet"), "{name}: {page}");
    }
    for path in ["/roles", "/roles/preview"] {
        let at = desk.at(path);
        let reply = desk.support.post(&desk.scene, &at, &[("seen", &seen)]);
        assert_eq!(shown(&reply).0, 403, "{path}");
    }
    let (_, looked_at) = shown(&desk.support.get(&desk.scene, &desk.at("/roles")));
    assert!(!looked_at.contains(">Preview</button>"), "{looked_at}");
    assert_eq!(kept(&desk), begun);
    assert!(!text(&begun, "strategy").is_empty(), "{begun}");
}

/// A browser sends the first choice where none is chosen: that is no role, and not the highest.
#[test]
fn nobody_rises_because_their_role_is_gone_or_was_not_chosen() {
    let desk = with_roles("role-pages-gone");
    let group = desk.house.group.clone();
    let path = format!("/api/v1/directories/{}/role-mapping", desk.house.connection.directory);
    let mapping = json!({ "rules": [{ "group": group, "role": "viewer" }] }).to_string();
    assert_eq!(desk.scene.server.api("PUT", &path, mapping.as_bytes()).status, 200);
    let choices = |page: &str, field: &str| {
        let (_, select) = page.split_once(&format!("name=\"{field}\"")).expect("the field");
        select.split_once("</select>").expect("its end").0.to_owned()
    };
    let page = desk.page("/roles");
    assert!(choices(&page, "rule-2-role").contains("><option value=\"\">"), "{page}");
    assert_eq!(desk.scene.server.api("DELETE", "/api/v1/roles/viewer", b"").status, 204);
    let page = desk.page("/roles");
    let gone = "<option value=\"viewer\" selected>a role that is not there any more</option>";
    assert!(choices(&page, "rule-1-role").contains(gone), "{page}");

    let seen = hidden(&page, "seen");
    let fields = [("seen", seen.as_str()), ("rule-1-group", group.as_str()), ("rule-1-role", "")];
    let (status, page) = shown(&desk.send("/roles/preview", &fields));
    assert_eq!(status, 422, "{page}");
    assert!(page.contains("rule 1 says whom it is about"), "{page}");
}

/// Events are kept for longer than what they lead to.
#[test]
fn a_link_to_what_is_gone_says_so() {
    let desk = with_roles("role-pages-links");
    let nobody = "01a200a6-7297-77ad-826f-0c7a318eb058";
    for (path, said) in [
        (format!("/people/{nobody}"), "This person is not here"),
        ("/activity/req-01m809tw4yermvv0c4wt4fh8az".to_owned(), "not kept any more"),
    ] {
        let (status, page) = shown(&desk.owner.get(&desk.scene, &desk.at(&path)));
        assert_eq!(status, 404, "{page}");
        assert!(page.contains(said), "{page}");
    }
}
