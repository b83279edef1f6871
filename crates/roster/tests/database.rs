//! What an operator and a provider are told of a PostgreSQL that cannot be used as it is asked for: of
//! one that is believed by its certificate alone, one that is busy, and one that does not care.

#[expect(dead_code, reason = "nobody kills PostgreSQL here and starts it again")]
mod postgres;
mod server;

use std::process::Command;

use claims::OwnDatabase;
use postgres::Postgres;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use server::{Caller, Place, Server, binary, create_directory};
use simulator::Method;

/// A database by its URL.
struct At(String);

impl Place for At {
    fn tell(&self, command: &mut Command) {
        command.env("ROSTER_DATABASE", &self.0);
    }
}

/// Opens a database, and says what came of it.
fn opened(url: &str) -> Result<(), String> {
    let mut command = binary();
    command.args(["directory", "create", "--json", "--organization", "Acme", "--name", "Okta"]);
    At(url.to_owned()).tell(&mut command);
    let output = command.output().expect("it starts");
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8(output.stderr).expect("it is text"))
}

/// Opens one that must not be, and looks whether it is said why.
#[track_caller]
fn refused(url: &str, expected: &[&str]) {
    let said = opened(url).expect_err("it is refused");
    assert!(said.starts_with("error: cannot open the database `postgres://postgres@"), "{said}");
    assert!(expected.iter().all(|it| said.contains(it)), "{said}");
    assert!(!said.contains("secret"), "{said}");
}

/// An authority, and its certificate.
fn authority() -> (Issuer<'static, KeyPair>, String) {
    let key = KeyPair::generate().expect("a key");
    let mut about = CertificateParams::new(Vec::new()).expect("it has no names");
    about.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = about.self_signed(&key).expect("it is signed").pem();
    (Issuer::new(about, key), certificate)
}

#[test]
fn a_database_is_believed_by_its_certificate_alone() {
    let (issuer, certificate) = authority();
    let key = KeyPair::generate().expect("a key");
    let about = CertificateParams::new(["db.example.com".to_owned()]).expect("a name");
    let of_server = about.signed_by(&key, &issuer).expect("it is signed").pem();
    let rules = "hostssl all all 127.0.0.1/32 trust\n";
    let files = [
        ("server.crt", of_server.as_str()),
        ("server.key", &key.serialize_pem()),
        ("pg_hba.conf", rules),
    ];
    let Some(encrypting) = Postgres::start_with(&["ssl=on"], &files) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let written = |name: &str, certificate: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, certificate).expect("the folder is ours");
        path.display().to_string()
    };
    let (ours, others) = (written("ours.pem", &certificate), written("others.pem", &authority().1));
    let url = |host: &str, query: &str| {
        let port = encrypting.port();
        format!("postgres://postgres:secret@{host}:{port}/postgres?hostaddr=127.0.0.1&{query}")
    };
    let host = "db.example.com";
    for mode in ["require", "verify-ca", "verify-full"] {
        let query = format!("sslmode={mode}&sslrootcert={ours}");
        assert_eq!(opened(&url(host, &query)), Ok(()), "{mode}");
    }
    let unknown = ["; name a file with the certificate of its authority, such as `sslrootcert="];
    refused(&url(host, &format!("sslmode=require&sslrootcert={others}")), &unknown);
    // Nor does the machine know of it.
    refused(&url(host, "sslmode=require"), &unknown);
    let query = format!("sslmode=require&sslrootcert={ours}");
    refused(&url("other.example.com", &query), &["its certificate is of another host"]);
    refused(&url(host, "sslmode=disable"), &["say `sslmode=require`"]);
}

#[test]
fn nothing_is_sent_in_clear_where_encryption_is_asked_for() {
    let Some(plain) = Postgres::start() else { return };
    let url = |mode: &str| {
        format!("postgres://postgres@127.0.0.1:{}/postgres?sslmode={mode}", plain.port())
    };
    let said = opened(&url("require")).expect_err("it is refused");
    assert!(said.contains("does not support TLS; turn on `ssl` in the database"), "{said}");
    assert_eq!(opened(&url("disable")), Ok(()));
}

#[test]
fn two_databases_at_once_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let check = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = binary();
        command.args(["directory", "create", "--organization", "Acme", "--name", "Okta"]);
        let output = command.args(arguments).envs(variables.iter().copied()).output();
        let output = output.expect("it starts");
        let said = String::from_utf8(output.stderr).expect("it is text");
        assert_eq!(output.status.code(), Some(1), "{said}");
        for name in ["ROSTER_DATA", "ROSTER_DATABASE"] {
            assert!(said.contains(name), "{said}");
        }
        assert!(!said.contains("secret"), "{said}");
    };
    let data = folder.path().to_str().expect("it is text");
    let database = "postgres://ana:secret@localhost/roster";
    check(&[], &[("ROSTER_DATA", data), ("ROSTER_DATABASE", database)]);
    check(&["--data", data], &[("ROSTER_DATABASE", database)]);
    check(&["--database", database], &[("ROSTER_DATA", data)]);
    check(&["--database", database, "--data", data], &[]);
    assert_eq!(std::fs::read_dir(folder.path()).expect("it is there").count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_meets_a_busy_directory_is_told_to_come_again() {
    let Some(own) = OwnDatabase::make() else { return };
    let place = At(own.url());
    let server = Server::start(&place, &["--requests-per-second", "0"]);
    let mut api = Caller::new(&server.url, &server.api_key());
    let made = |name: &str| {
        let created = create_directory(&place, &["--organization", "Acme", "--name", name]);
        let text = |key: &str| created[key].as_str().expect("it is text").to_owned();
        let scim = Caller::new(&format!("{}/scim/v2", server.url), &text("token"));
        (text("directory_id"), scim)
    };
    let ((id, mut busy), (_, mut free)) = (made("Busy"), made("Free"));
    let person = json!({ "userName": "ana" });
    let holding =
        own.hold(&format!("select 1 from directories where directory_id = '{id}' for update"));
    let (answer, (status, _)) = tokio::join!(
        busy.try_send(Method::Post, "/Users", Some(&person)),
        free.send(Method::Post, "/Users", Some(&person))
    );
    assert_eq!(status, 201, "another directory does not mind");
    let answer = answer.expect("the server answers");
    let body: Value = serde_json::from_slice(&answer.body).expect("it is JSON");
    let detail = body["detail"].as_str().unwrap_or_default();
    let told = "the database is busy, and nothing was changed. Send it again (request req-";
    assert!(answer.status == 503 && detail.starts_with(told), "{detail}");
    let after = answer.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
    assert_eq!(after.map(|(_, value)| value.as_str()), Some("5"));
    let tokens = format!("/api/v1/directories/{id}/tokens");
    let (status, problem) = api.send(Method::Post, &tokens, Some(&json!({}))).await;
    assert_eq!((status, problem["title"].as_str()), (503, Some("The database is busy")));
    assert_eq!(busy.get("/Users").await["totalResults"], 0);

    drop(holding);
    assert_eq!(busy.send(Method::Post, "/Users", Some(&person)).await.0, 201);
    assert_eq!(api.send(Method::Post, &tokens, Some(&json!({}))).await.0, 201);
}

#[test]
fn a_database_that_does_not_care_for_what_it_keeps_is_spoken_of() {
    let Some(own) = OwnDatabase::make() else { return };
    let mut server = Server::start(&At(own.url()), &[]);
    server.process.kill().expect("it is ours");
    let logged: Vec<_> = server.log.iter().collect();
    // That on which tests are run does not wait for the disk.
    let warned = |line: &String| line.contains("WARN") && line.contains("`fsync = off`");
    assert!(logged.iter().any(warned), "{logged:?}");
}
