//! Passwords are taken in and gone.

use serde_json::json;
use web::Limits;

use crate::server::{Server, text};

/// Proves S-USER-11, S-USER-12, S-USER-13.
#[test]
fn a_password_is_in_no_answer_no_event_and_no_file() {
    const PASSWORD: &str = "t1meMa$heen-is-nowhere";

    let mut server = Server::start("passwords-gone", Limits::default());
    let okta = server.connect("Acme", "Okta");
    let authorization = format!("Bearer {}", okta.token);
    let headers = [("Authorization", authorization.as_str())];
    let call = |method: &str, path: &str, body: &serde_json::Value| {
        let path = format!("{}{path}", okta.base);
        let reply = server.call(method, &path, &headers, body.to_string().as_bytes());
        assert!((200..300).contains(&reply.status), "{reply:?}");
        assert!(!String::from_utf8_lossy(&reply.body).contains(PASSWORD), "{reply:?}");
        reply
    };
    let user = "urn:ietf:params:scim:schemas:core:2.0:User";
    let body = json!({ "schemas": [user], "userName": "ana-is-somewhere", "password": PASSWORD });
    let path = format!("/Users/{}", text(&call("POST", "/Users", &body).json(), "id"));
    call("PUT", &path, &body);
    for operation in [
        json!({ "op": "replace", "value": { "password": PASSWORD, "title": "Guide" } }),
        json!({ "op": "replace", "path": "password", "value": PASSWORD }),
    ] {
        let schema = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
        call("PATCH", &path, &json!({ "schemas": [schema], "Operations": [operation] }));
        let bulk = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
            "Operations": [{
                "method": "PATCH", "path": path,
                "data": { "schemas": [schema], "Operations": [operation] },
            }],
        });
        call("POST", "/Bulk", &bulk);
    }
    let query = format!("{path}?attributes=password,userName");
    let reply = server.call("GET", &format!("{}{query}", okta.base), &headers, b"").json();
    assert_eq!(reply.get("password"), None, "{reply}");
    let state = format!("{:?}", server.state());
    assert!(state.contains("ana-is-somewhere") && !state.contains(PASSWORD));

    // What was written to the disk, whether or not it is there still.
    server.restart();
    let bytes = all_kept(&server);
    let has = |text: &str| bytes.windows(text.len()).any(|it| it == text.as_bytes());
    assert!(has("ana-is-somewhere") && !has(PASSWORD));
}

/// All bytes that the database keeps. A file has them also when it does not look at them any more.
pub(crate) fn all_kept(server: &Server) -> Vec<u8> {
    if let Some(own) = &server.own {
        return own.contents().into_bytes();
    }
    let files = std::fs::read_dir(&server.folder).expect("the folder of the database");
    files.flat_map(|file| std::fs::read(file.expect("a file").path()).expect("its bytes")).collect()
}
