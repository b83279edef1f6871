//! The whole story over HTTP, on this machine, with the reference server behind a socket.

use std::fmt::Write as _;

use simulator::okta::{Credentials, Preset, Settings};
use simulator::reference::Reference;
use simulator::{HttpError, Method, Request, simulate_okta};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// As much of HTTP/1.1 as the client needs: one request after another, bodies by length.
async fn serve(stream: TcpStream, server: &mut Reference) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let mut words = line.split_whitespace();
        let method = match words.next() {
            Some("GET") => Method::Get,
            Some("POST") => Method::Post,
            Some("PUT") => Method::Put,
            Some("PATCH") => Method::Patch,
            Some("DELETE") => Method::Delete,
            other => panic!("the method {other:?}"),
        };
        let path = words.next().expect("a path").to_owned();
        let path = path.strip_prefix("/scim/v2").expect("a path under the base URL").to_owned();
        let mut headers = Vec::new();
        let mut length = 0;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse().expect("a length");
            }
            headers.push((name.to_owned(), value.to_owned()));
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let request = Request { method, path_and_query: path, headers, body };
        assert_eq!(request.header("user-agent"), Some("Okta SCIM Client 1.0.0"));
        let response = server.answer(&request);
        let mut answer = format!("HTTP/1.1 {} \r\n", response.status);
        for (name, value) in &response.headers {
            write!(answer, "{name}: {value}\r\n").expect("text can be written to");
        }
        if response.status != 204 {
            write!(answer, "Content-Length: {}\r\n", response.body.len())
                .expect("text can be written to");
        }
        answer.push_str("\r\n");
        answer.push_str(&String::from_utf8(response.body).expect("JSON is text"));
        // In one piece: two would wait for each other's acknowledgement.
        stream.write_all(answer.as_bytes()).await?;
        stream.flush().await?;
    }
}

#[tokio::test]
async fn the_whole_story_goes_over_http() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let base_url = format!("http://127.0.0.1:{port}/scim/v2");
    let mut server = Reference::new(&base_url, 3).allow("Bearer token");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            serve(stream, &mut server).await.expect("the client is polite");
        }
    });
    let settings = Settings::new(base_url, Credentials::Token("token".to_owned()), Preset::Aiw2026);
    let mut told = 0;
    let report = simulate_okta(settings, |_| told += 1).await.expect("a client");
    assert!(report.passed() && report.findings().count() == 0, "{report}");
    assert_eq!(told, report.steps.len());
}

#[tokio::test]
async fn a_server_that_is_not_there_ends_the_story_at_the_test_of_the_credentials() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let settings = Settings::new(
        format!("http://127.0.0.1:{port}"),
        Credentials::Token("token".to_owned()),
        Preset::Template2026,
    );
    let report = simulate_okta(settings, |_| {}).await.expect("a client");
    assert!(!report.passed());
    assert_eq!(report.steps.len(), 3);
    let text = &report.steps[2].admin_texts[0];
    assert!(text.contains("refused"), "{text}");
}

#[tokio::test]
async fn a_url_that_okta_would_not_connect_to_is_refused() {
    let token = Credentials::Token("token".to_owned());
    let settings = Settings::new("http://scim.example.com", token, Preset::Template2026);
    let refused = simulate_okta(settings, |_| {}).await.expect_err("plain http");
    assert_eq!(refused, HttpError::PlainHttp("http://scim.example.com".to_owned()));
}
