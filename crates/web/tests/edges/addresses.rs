//! SCIM is spoken where the operator wants it, beside everything else.

use web::Limits;

use crate::server::Server;

/// Proves S-TENANT-1, S-PROBLEM-2.
#[test]
fn scim_is_spoken_below_any_path_that_settings_take() {
    for path in ["/scim/v2", "/scim", "/api/scim/v2", "/api/v10", "/health/scim", "/S-1.0"] {
        let name = format!("addresses{}", path.replace('/', "-"));
        let server = Server::start_at(&name, path, Limits::default());
        let to = server.connect("Acme", "Okta");
        let authorization = format!("Bearer {}", to.token);
        let headers = [("Authorization", authorization.as_str())];
        for base in [path, &format!("{path}/"), &to.base] {
            let reply = server.call("GET", &format!("{base}/Users"), &headers, b"");
            assert_eq!((reply.status, &reply.json()["totalResults"]), (200, &0.into()), "{base}");
        }
        for root in [path, &format!("{path}/"), &to.base] {
            let reply = server.call("GET", root, &headers, b"");
            assert_eq!((reply.status, &reply.json()["totalResults"]), (200, &0.into()), "{root}");
        }
        let reply = server.call("GET", &format!("{path}/nonsense"), &headers, b"");
        assert_eq!(reply.header("content-type"), Some("application/scim+json"), "{reply:?}");
        assert_eq!(reply.status, 404, "{reply:?}");
        assert_eq!(server.api("GET", "/api/v1/organizations", b"").status, 200);
        let reply = server.api("GET", "/api/v1/nonsense", b"");
        assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{reply:?}");
        for path in ["/health", "/ready"] {
            assert_eq!(server.call("GET", path, &[], b"").status, 200);
        }
    }
}

/// Proves S-HTTP-3.
#[test]
fn the_host_of_a_request_is_nothing_to_go_by() {
    let server = Server::start("addresses-host", Limits::default());
    let to = server.connect("Acme", "Okta");
    let request = format!(
        "POST {}/Users HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: evil.example\r\n\
         Forwarded: host=evil.example\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\
         Content-Length: 18\r\n\r\n{{\"userName\":\"ana\"}}",
        to.base, to.token
    );
    let reply = server.send(request.as_bytes());
    assert_eq!(reply.status, 201, "{reply:?}");
    assert!(!format!("{reply:?}").contains("evil"), "{reply:?}");
}
