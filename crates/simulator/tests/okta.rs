//! What Okta does when things do not go well, one action at a time and answered by hand.

use std::time::Duration;

use serde_json::json;
use simulator::okta::{
    Action, Attributes, Credentials, Field, Okta, Options, PersonKey, Preset, Settings, Unlink,
};
use simulator::reference::Reference;
use simulator::report::Rule;
use simulator::{NoAnswer, Request, Response};

const BASE_URL: &str = "https://scim.example.com/scim/v2";

fn okta(change: impl FnOnce(&mut Options)) -> Okta {
    let token = Credentials::Token("token".to_owned());
    let mut settings = Settings::new(BASE_URL, token, Preset::Template2026);
    change(&mut settings.options);
    Okta::new(settings)
}

fn ana(okta: &mut Okta) -> PersonKey {
    let attributes: Attributes = [
        (Field::UserName, "ana@example.com".to_owned()),
        (Field::GivenName, "Ana".to_owned()),
        (Field::FamilyName, "Silva".to_owned()),
        (Field::Email, "ana@example.com".to_owned()),
        (Field::DisplayName, "Ana Silva".to_owned()),
    ]
    .into();
    okta.add_person(attributes)
}

/// Lets a server answer until Okta has nothing more to do; gives what was sent.
fn serve(okta: &mut Okta, server: &mut Reference) -> Vec<String> {
    let mut sent = Vec::new();
    while let Some(request) = okta.next_request() {
        let id_length = "63cbe1e4-5932-7dd7-8000-000000000001".len();
        let path = request.path();
        let kind = path.len().checked_sub(id_length + 1).map_or(path, |end| &path[..end]);
        let kind = if kind.is_empty() { path } else { kind };
        sent.push(format!("{} {kind}", request.method));
        okta.receive(Ok(server.answer(&request)));
    }
    sent
}

fn error(status: u16, detail: &str) -> Response {
    Response::json(
        status,
        &json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
            "status": status.to_string(), "detail": detail,
        }),
    )
}

fn limited(retry_after: Option<&str>) -> Response {
    let mut response = error(429, "slow down");
    let value = retry_after.map(|value| ("Retry-After".to_owned(), value.to_owned()));
    response.headers.extend(value);
    response
}

/// Answers everything alike; gives the waits in seconds.
fn waits(okta: &mut Okta, answer: &Result<Response, NoAnswer>) -> Vec<u64> {
    let mut waits = Vec::new();
    loop {
        let pause = okta.pause();
        if okta.next_request().is_none() {
            return waits;
        }
        waits.push(pause.as_secs());
        okta.receive(answer.clone());
    }
}

#[test]
fn after_429_okta_waits_as_told_then_doubles_ten_times_then_gives_up() {
    let check = |retry_after: Option<&str>, resets: bool, expected: [u64; 4]| {
        let mut okta = okta(|options| options.retry_after_resets = resets);
        let ana = ana(&mut okta);
        okta.perform(&Action::Assign(ana));
        let waits = waits(&mut okta, &Ok(limited(retry_after)));
        assert_eq!(waits[..4], expected, "{retry_after:?}");
        assert_eq!(waits.len(), 11, "the first and ten more");
        assert_eq!(okta.tasks().count(), 1);
        assert!(okta.clock() >= Duration::from_secs(waits.iter().sum()));
    };
    check(Some("2"), false, [0, 2, 4, 8]);
    check(Some("2"), true, [0, 2, 2, 2]);
    check(Some("0"), false, [0, 0, 0, 0]);
    check(None, false, [0, 300, 600, 1_200]);
    check(Some("Wed, 21 Oct 2026 07:28:00 GMT"), false, [0, 300, 600, 1_200]);
    check(Some("1.5"), false, [0, 300, 600, 1_200]);
    check(Some("18446744073709551615"), false, [0, 3_600_000, 3_600_000, 3_600_000]);
}

#[test]
fn other_failures_of_people_wait_for_an_admin() {
    let check = |retry_5xx: u32, answer: Result<Response, NoAnswer>, expected: usize| {
        let mut okta = okta(|options| options.retry_5xx = retry_5xx);
        let ana = ana(&mut okta);
        okta.perform(&Action::Assign(ana));
        assert_eq!(waits(&mut okta, &answer).len(), expected, "{answer:?}");
        let text = okta.tasks().next().expect("a task for the admin");
        assert!(
            text.starts_with(
                "Automatic provisioning of user ana@example.com to app Simulated App failed: \
                 Error while verifying if user ana@example.com exists: "
            ),
            "{text}"
        );
        okta.perform(&Action::Retry);
        assert!(okta.next_request().is_some(), "retried from where it failed");
        assert_eq!(okta.tasks().count(), 0);
    };
    check(0, Ok(error(500, "no")), 1);
    check(2, Ok(error(500, "no")), 3);
    check(2, Ok(error(503, "no")), 3);
    check(2, Ok(error(400, "no")), 1);
    check(0, Ok(Response::empty(302)), 1);
    check(0, Err(NoAnswer::Timeout), 1);
    check(2, Err(NoAnswer::Connection("refused".to_owned())), 3);
}

#[test]
fn a_group_push_is_repeated_when_the_failure_may_pass() {
    let check = |answer: Result<Response, NoAnswer>, expected: usize| {
        let mut okta = okta(|_| {});
        let group = okta.add_group("Design", []);
        okta.perform(&Action::PushGroup { group, memberships: true });
        assert_eq!(waits(&mut okta, &answer).len(), expected, "{answer:?}");
    };
    check(Ok(error(500, "no")), 6);
    check(Err(NoAnswer::Timeout), 6);
    check(Ok(limited(Some("1"))), 11);
    for status in [400, 401, 403, 404, 409, 501] {
        // 404 to a search is an empty answer; the creation after it fails.
        check(Ok(error(status, "no")), if status == 404 { 2 } else { 1 });
    }
}

#[test]
fn the_admin_reads_what_the_server_said() {
    let check = |answer: Response, expected: &str| {
        let mut okta = okta(|_| {});
        okta.perform(&Action::TestCredentials);
        okta.next_request();
        okta.receive(Ok(answer));
        assert_eq!(okta.take_texts(), [expected]);
    };
    let text = |status: u16, body: &str| Response {
        status,
        headers: Vec::new(),
        body: body.as_bytes().to_vec(),
        elapsed: Duration::ZERO,
    };
    check(
        error(401, "the token is wrong"),
        "Error authenticating: Unauthorized. Errors reported by remote server: the token is wrong",
    );
    check(
        text(502, "error code: 502"),
        "Error authenticating: Bad Gateway. Errors reported by remote server: Invalid JSON: \
         Unrecognized token 'error'",
    );
    check(text(403, ""), "Error authenticating: Forbidden");
    for body in ["", "[]", "null", "{}", "<html>", "{\"totalResults\":0}"] {
        check(text(200, body), "No results for users returned");
    }
}

#[test]
fn a_link_that_failed_is_forgotten_and_an_unassignment_then_sends_nothing() {
    let mut okta = okta(|_| {});
    let ana = ana(&mut okta);
    okta.perform(&Action::Assign(ana));
    let found = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": 1, "startIndex": 1, "itemsPerPage": 1,
        "Resources": [{ "schemas": [], "id": "u1", "userName": "Ana@example.com", "active": true }],
    });
    okta.next_request();
    okta.receive(Ok(Response::json(200, &found)));
    assert_eq!(okta.next_request().expect("the activation").path(), "/Users/u1");
    okta.receive(Ok(error(500, "no")));
    okta.perform(&Action::Unassign(ana));
    assert_eq!(okta.next_request(), None);
}

#[test]
fn what_was_not_asked_for_is_never_written_over() {
    let mut okta = okta(|_| {});
    let ana = ana(&mut okta);
    okta.perform(&Action::Assign(ana));
    let somebody = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": 1, "startIndex": 1, "itemsPerPage": 1,
        "Resources": [{ "schemas": [], "id": "u1", "userName": "ceo@example.com" }],
    });
    okta.next_request();
    okta.receive(Ok(Response::json(200, &somebody)));
    assert_eq!(okta.next_request(), None);
    let exchange = okta.take_exchanges().remove(0);
    assert_eq!(exchange.findings[0].rule, Rule::FilterIgnored);
}

#[test]
fn granular_deprovisioning_empties_the_groups_and_deletes_the_user() {
    let mut okta = okta(|options| options.granular_deprovision = true);
    let mut server = Reference::new(BASE_URL, 1);
    let ana = ana(&mut okta);
    let group = okta.add_group("Design", [ana]);
    okta.perform(&Action::Assign(ana));
    okta.perform(&Action::PushGroup { group, memberships: true });
    serve(&mut okta, &mut server);
    okta.perform(&Action::Unassign(ana));
    assert_eq!(serve(&mut okta, &mut server), ["PATCH /Groups", "PATCH /Groups", "DELETE /Users"]);
    assert_eq!(okta.tasks().count(), 0);
    assert_eq!(server.users().count(), 0);
    let expectation = okta.expectation();
    assert!(expectation.users.is_empty());
    assert_eq!(expectation.deleted_users.len(), 1);
    okta.perform(&Action::Assign(ana));
    assert_eq!(serve(&mut okta, &mut server), ["GET /Users", "POST /Users"]);
}

#[test]
fn a_group_pushed_without_memberships_stays_empty() {
    let mut okta = okta(|_| {});
    let mut server = Reference::new(BASE_URL, 1);
    let ana = ana(&mut okta);
    let group = okta.add_group("Design", [ana]);
    okta.perform(&Action::Assign(ana));
    okta.perform(&Action::PushGroup { group, memberships: false });
    serve(&mut okta, &mut server);
    assert_eq!(server.groups().next().expect("the group")["members"], json!([]));
    assert!(okta.is_pushed(group));
    okta.perform(&Action::UnlinkGroup(group, Unlink::Delete));
    assert_eq!(serve(&mut okta, &mut server), ["DELETE /Groups"]);
}

#[test]
fn a_slow_server_does_not_mix_up_what_okta_does() {
    let mut okta = okta(|_| {});
    let mut server = Reference::new(BASE_URL, 1);
    let ana = ana(&mut okta);
    let ben = okta.add_person([(Field::UserName, "ben@example.com".to_owned())].into());
    okta.perform(&Action::Assign(ana));
    okta.perform(&Action::Assign(ben));
    let mut sent = Vec::new();
    while let Some(request) = okta.next_request() {
        sent.push(request.method.as_str());
        let response = server.answer(&request);
        okta.receive(Ok(Response { elapsed: Duration::from_secs(20), ..response }));
    }
    assert_eq!(sent, ["GET", "POST", "GET", "POST"]);
}

#[test]
fn a_base_url_that_okta_refuses_is_said() {
    let check = |url: &str, expected: usize| {
        let token = Credentials::Token("token".to_owned());
        let okta = Okta::new(Settings::new(url, token, Preset::Aiw2026));
        assert_eq!(okta.check_settings().len(), expected, "{url}");
    };
    check("https://scim.example.com/scim/v2", 0);
    check("https://scim.example.com/scim/v2/dir_1", 1);
    check("https://my_app.example.com", 1);
    check(&format!("https://example.com/{}", "a".repeat(1_004)), 0);
    check(&format!("https://example.com/{}", "a".repeat(1_005)), 1);
}

#[test]
fn secrets_are_not_printed() {
    let mut okta = okta(|_| {});
    okta.perform(&Action::TestCredentials);
    let request: Request = okta.next_request().expect("the test");
    assert_eq!(request.header("authorization"), Some("Bearer token"));
    assert_eq!(format!("{request:?}"), "GET /Users (0 bytes)");
    assert!(!format!("{:?}", okta.settings()).contains("token\""));
}
