//! With what a member signs in, and how they change it.

use crate::dashboard::{Member, PASSWORD, Scene, element};
use crate::portal::shown;

const ADDRESS: &str = "ana@vendor.example";
const OTHER: &str = "staple battery horse correct";

fn sign_in(scene: &Scene, password: &str, key: &str) -> Option<Member> {
    let code = scene.code(key);
    let fields = [("email", ADDRESS), ("password", password), ("code", &code)];
    Member::signed_in(&scene.post("/dashboard/sign-in", &fields), key)
}

#[test]
fn a_password_is_changed_by_who_knows_it_and_others_are_signed_out() {
    let scene = Scene::begin("account-password");
    let ana = scene.first();
    scene.pass(60);
    let elsewhere = sign_in(&scene, PASSWORD, &ana.key).expect("it is right");
    scene.pass(60);
    let path = "/dashboard/account/password";
    let code = scene.code(&ana.key);
    let good = [("password", PASSWORD), ("code", &code), ("new", OTHER)];
    for (field, value, said) in [
        ("password", "wrong", "is not right"),
        ("code", "000000", "is not right"),
        ("new", "short", "The new password is too short"),
    ] {
        let fields = good.map(|(name, other)| (name, if name == field { value } else { other }));
        let (status, page) = shown(&ana.post(&scene, path, &fields));
        assert_eq!(status, 422, "{page}");
        assert!(page.contains(said) && page.contains("Nothing was changed"), "{page}");
        assert!(!page.contains(PASSWORD) && !page.contains(OTHER), "{page}");
    }
    assert!(elsewhere.is_in(&scene));
    let (status, page) = shown(&ana.post(&scene, path, &good));
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("Your password is another now"), "{page}");
    assert!(ana.is_in(&scene) && !elsewhere.is_in(&scene));
    // The code was good once, here too.
    let again = [("password", OTHER), ("code", code.as_str()), ("new", PASSWORD)];
    assert_eq!(shown(&ana.post(&scene, path, &again)).0, 422);

    scene.pass(60);
    assert!(sign_in(&scene, PASSWORD, &ana.key).is_none());
    assert!(sign_in(&scene, OTHER, &ana.key).is_some());
    let log = scene.server.api("GET", "/api/v1/audit?action=member.sign_in_changed", b"");
    let entries = &log.json()["data"];
    assert_eq!(entries.as_array().map(Vec::len), Some(1), "{entries}");
    assert_eq!(entries[0]["after"]["changed"], "password", "{entries}");
}

#[test]
fn codes_come_from_another_app_once_both_have_shown_one() {
    let scene = Scene::begin("account-codes");
    let ana = scene.first();
    scene.pass(60);
    let path = "/dashboard/account/codes";
    let (_, page) = shown(&ana.get(&scene, "/dashboard/account"));
    let key = element(&page, "key").to_owned();
    assert_ne!(key, ana.key);
    let [old, new] = [scene.code(&ana.key), scene.code(&key)];
    let good = [("password", PASSWORD), ("code", &old), ("key", &key), ("new", &new)];
    for (field, value, said) in [
        ("password", "wrong", "is not right"),
        ("code", &new, "is not right"),
        ("new", &old, "The code of the new app does not match"),
        ("key", "GEZDGNBV", "The code of the new app does not match"),
    ] {
        let fields = good.map(|(name, other)| (name, if name == field { value } else { other }));
        let (status, page) = shown(&ana.post(&scene, path, &fields));
        assert_eq!(status, 422, "{page}");
        assert!(page.contains(said), "{page}");
        // The app has the key already.
        assert_eq!(element(&page, "key") == key, field != "key", "{page}");
    }
    let (status, page) = shown(&ana.post(&scene, path, &good));
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("Codes come from the new app now"), "{page}");
    // What was shown is not the key of a next one.
    assert_ne!(element(&page, "key"), key);
    scene.pass(60);
    assert!(sign_in(&scene, PASSWORD, &ana.key).is_none());
    assert!(sign_in(&scene, PASSWORD, &key).is_some());
}
