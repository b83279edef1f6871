//! Each command of the built binary, as a person or a script meets it.

mod home;
mod server;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};

use home::Home;
use ring::hmac;
use serde_json::{Value, json};
use server::{Caller, Place, Server, binary, create_directory};
use simulator::Method;
use simulator::okta::Preset;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// Runs a command to its end.
fn run(arguments: &[&str]) -> Output {
    binary().args(arguments).output().expect("it starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("it is text")
}

/// Runs a command that succeeds, and gives what it says.
fn succeed(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "", "{arguments:?}");
    text(&output.stdout)
}

/// A directory at the address of a server. Beside an embedded database that is known; beside others
/// it is said.
fn connect(home: &Home, server: &Server) -> Value {
    let arguments = ["--organization", "Acme", "--name", "Okta", "--public-url", &server.url];
    create_directory(home, &arguments)
}

fn path(folder: &Path) -> &str {
    folder.to_str().expect("it is text")
}

fn field<'a>(object: &'a Value, name: &str) -> &'a str {
    object[name].as_str().unwrap_or_else(|| panic!("`{name}` in {object}"))
}

/// Asks a process to end, as whatever runs services does.
fn terminate(server: &Server) {
    // The shell's own `kill`: small systems have no program of that name.
    let kill = format!("kill -TERM {}", server.process.id());
    let kill = Command::new("sh").args(["-c", &kill]).status();
    assert!(kill.expect("there is a shell").success());
}

/// Stops a server, and gives the rest of what it logged.
fn stop(mut server: Server) -> Vec<String> {
    terminate(&server);
    let status = server.process.wait().expect("it ends");
    assert_eq!(status.code(), Some(0), "a server that is asked to stop has done nothing wrong");
    server.log.iter().collect()
}

#[test]
fn the_demo_succeeds_with_every_preset_and_leaves_nothing_behind() {
    let folder = folder();
    let output =
        binary().args(["demo", "--once"]).env("TMPDIR", folder.path()).output().expect("it starts");
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", text(&output.stderr));
    for preset in Preset::ALL {
        let of_preset = |line: &&str| line.starts_with(preset.name()) && line.ends_with("  ok");
        assert_eq!(said.lines().filter(of_preset).count(), 1, "{}: {said}", preset.name());
    }
    assert_eq!(said.lines().filter(|line| line.starts_with("PASSED: ")).count(), 4, "{said}");
    assert!(said.contains("directory.user.deactivated"), "{said}");
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("it is there").collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Proves S-AUTH-8.
#[test]
fn every_secret_that_is_made_is_256_bits_of_its_own() {
    /// Hexadecimal digits of a secret behind its prefix.
    const DIGITS: usize = 64;
    /// Of these, how many two of chance may share at the same place: 4 are to be expected, and so
    /// many in one pair of 10^22.
    const SHARED_MAX: usize = 32;
    let mut secrets: Vec<String> = Vec::new();
    let mut keep = |made: &Value, name: &str, prefix: &str| {
        let digits = field(made, name).strip_prefix(prefix).expect("the prefix").to_owned();
        assert_eq!(digits.len(), DIGITS, "{made}");
        assert!(digits.bytes().all(|it| it.is_ascii_hexdigit()), "{made}");
        secrets.push(digits);
    };
    // Two databases that begin alike, each with the first secrets that it makes.
    for folder in [folder(), folder()] {
        for name in ["Okta", "Entra"] {
            let arguments = ["--organization", "Acme", "--name", name];
            keep(&create_directory(folder.path(), &arguments), "token", "roster-scim-");
            let data = path(folder.path());
            let made = succeed(&["api-key", "create", "--name", name, "--json", "--data", data]);
            keep(&serde_json::from_str(&made).expect("it is JSON"), "api_key", "roster-api-");
        }
    }
    assert_eq!(secrets.len(), 8);
    for (place, one) in secrets.iter().enumerate() {
        for other in &secrets[..place] {
            let shared = one.bytes().zip(other.bytes()).filter(|(a, b)| a == b).count();
            assert!(shared <= SHARED_MAX, "{one} and {other}");
        }
    }
}

#[tokio::test]
async fn a_directory_made_before_the_first_start_works_after_it() {
    let home = Home::new();
    let created = create_directory(
        &home,
        &["--organization", "Acme", "--name", "Okta", "--provider", "okta"],
    );
    let keys: Vec<_> = created.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["organization_id", "directory_id", "base_url", "shared_base_url", "token"]);
    let id = field(&created, "directory_id");
    assert_eq!(created["base_url"], format!("http://127.0.0.1:8484/scim/v2/{id}"));
    assert_eq!(created["shared_base_url"], "http://127.0.0.1:8484/scim/v2");

    let server = Server::start(&home, &[]);
    let token = field(&created, "token");
    for base in ["/scim/v2".to_owned(), format!("/scim/v2/{id}")] {
        let users = Caller::new(&format!("{}{base}", server.url), token).get("/Users").await;
        assert_eq!(users["totalResults"], 0);
    }
    // Nobody had a key until now.
    let directory = format!("/api/v1/directories/{id}");
    let directory = Caller::new(&server.url, &server.api_key()).get(&directory).await;
    assert_eq!((&directory["name"], &directory["provider"]), (&json!("Okta"), &json!("okta")));
}

#[tokio::test]
async fn a_directory_made_beside_a_running_server_works_at_once_under_the_printed_addresses() {
    let folder = folder();
    let server = Server::start(folder.path(), &["--scim-path", "/api/scim"]);
    let arguments = ["--organization", "Acme", "--name", "Okta"];
    let created = create_directory(folder.path(), &arguments);
    let shared = format!("{}/api/scim", server.url);
    assert_eq!(created["shared_base_url"], shared);
    assert_eq!(created["base_url"], format!("{shared}/{}", field(&created, "directory_id")));
    for url in ["base_url", "shared_base_url"] {
        let mut scim = Caller::new(field(&created, url), field(&created, "token"));
        assert_eq!(scim.get("/Users").await["totalResults"], 0);
    }

    // Words for people say the same.
    let data = path(folder.path());
    let said = succeed(&[
        "directory",
        "create",
        "--organization",
        "Acme",
        "--name",
        "Entra",
        "--data",
        data,
    ]);
    let line = |name: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("`{name}` in {said}")).trim()
    };
    let mut scim = Caller::new(line("base URL "), line("token "));
    assert_eq!(scim.get("/Users").await["totalResults"], 0);
    assert!(line("shared base URL ").starts_with(&shared), "{said}");

    // A key made beside it works as well.
    let made = succeed(&["api-key", "create", "--name", "second", "--json", "--data", data]);
    let made: Value = serde_json::from_str(&made).expect("it is JSON");
    let found = Caller::new(&server.url, field(&made, "api_key")).get("/api/v1/directories").await;
    assert_eq!(found["data"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn people_are_let_into_the_dashboard_from_the_server() {
    let folder = folder();
    let data = path(folder.path());
    // Before its first start, and beside it.
    let invite = |email: &str, more: &[&str]| {
        let all = ["member", "invite", "--email", email, "--role", "owner", "--data", data];
        run(&[&all[..], more].concat())
    };
    let output = invite("ana@vendor.example", &["--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let server = Server::start(
        folder.path(),
        &[
            "--oidc-issuer",
            "https://login.example.com",
            "--oidc-client-id",
            "roster",
            "--oidc-client-secret",
            "never-to-be-shown",
        ],
    );
    let said = server.said.join("\n");
    assert!(!said.contains("never-to-be-shown"), "{said}");
    let output = invite("ana@vendor.example", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("roster member reset --email ana@vendor.example"));
    let reset = ["member", "reset", "--email", "Ana@vendor.example", "--json", "--data", data];
    let made: Value = serde_json::from_str(&succeed(&reset)).expect("it is JSON");
    assert_eq!((field(&made, "role"), field(&made, "email")), ("owner", "ana@vendor.example"));
    let link = field(&made, "invitation_url");
    let link = link.strip_prefix(&server.url).expect("it leads to this server");
    let mut browser = Caller::new(&server.url, "");
    let page = browser.try_send(Method::Get, link, None).await.expect("the server answers");
    let html = text(&page.body);
    assert_eq!(page.status, 200, "{html}");
    assert!(html.contains("ana@vendor.example"), "{html}");
    assert!(html.contains("Join with login.example.com"), "{html}");

    let said = succeed(&[
        "member",
        "invite",
        "--email",
        "bo@b.example",
        "--role",
        "support",
        "--data",
        data,
        "--public-url",
        "https://roster.example.com",
    ]);
    assert!(said.starts_with("link  https://roster.example.com/dashboard/join/"), "{said}");
    for (wrong, expected) in [
        (
            vec!["member", "reset", "--email", "cy@b.example", "--data", data],
            "nobody has the address",
        ),
        (vec!["member", "invite", "--email", "cy", "--role", "owner"], "not an e-mail address"),
        (vec!["member", "invite", "--email", "cy@b.example", "--role", "boss"], "a member is an"),
        (vec!["serve", "--oidc-client-id", "roster", "--data", data], "without `--oidc-issuer`"),
        (vec!["serve", "--oidc-name", "Login", "--data", data], "it is not said which provider"),
        (
            vec![
                "serve",
                "--oidc-issuer",
                "http://login.example.com",
                "--oidc-client-id",
                "a",
                "--oidc-client-secret",
                "never-to-be-shown",
                "--data",
                data,
            ],
            "the issuer `http://login",
        ),
        (
            vec![
                "serve",
                "--oidc-issuer",
                "https://a.example",
                "--oidc-client-id",
                "a",
                "--oidc-join-as",
                "support",
                "--data",
                data,
            ],
            "`--oidc-allowed-domains`",
        ),
        (
            vec![
                "serve",
                "--oidc-issuer",
                "https://a.example",
                "--oidc-client-id",
                "a",
                "--oidc-client-secret-file",
                "/no/such/file",
                "--data",
                data,
            ],
            "cannot read the client",
        ),
    ] {
        let listen = ["--listen", "127.0.0.1:0"];
        let is_serve = wrong[0] == "serve";
        let output = run(&[wrong.as_slice(), if is_serve { &listen[..] } else { &[] }].concat());
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains(expected), "{wrong:?}: {said}");
        assert!(!said.contains("never-to-be-shown"), "{said}");
    }
}

#[test]
fn the_printed_addresses_are_what_the_server_was_told() {
    let folder = folder();
    let public = "https://roster.example.com";
    let server = Server::start(folder.path(), &["--public-url", &format!("{public}/")]);
    assert!(server.said.contains(&format!("  management API  {public}/api/v1")));
    let arguments = ["--organization", "Acme", "--name", "Okta"];
    let created = create_directory(folder.path(), &arguments);
    assert_eq!(created["shared_base_url"], format!("{public}/scim/v2"));
    // Who says otherwise is believed.
    let arguments = [&arguments[..], &["--public-url", "https://other.example.com"]].concat();
    let created = create_directory(folder.path(), &arguments);
    assert_eq!(created["shared_base_url"], "https://other.example.com/scim/v2");
}

#[tokio::test]
async fn an_organization_is_found_by_name_and_by_id() {
    let home = Home::new();
    let create = |organization: &str| {
        create_directory(&home, &["--organization", organization, "--name", "Okta"])
    };
    let first = create("Acme");
    let id = field(&first, "organization_id");
    assert_eq!(create("Acme")["organization_id"], id);
    assert_eq!(create(" Acme ")["organization_id"], id);
    assert_eq!(create(id)["organization_id"], id);
    assert_ne!(create("acme")["organization_id"], id);

    // Two of one name cannot be told apart by it.
    let server = Server::start(&home, &[]);
    let mut api = Caller::new(&server.url, &server.api_key());
    for preset in ["lenient", "strict"] {
        let arguments = ["--organization", id, "--name", "Okta", "--preset", preset];
        let made = create_directory(&home, &arguments);
        let made = api.get(&format!("/api/v1/directories/{}", field(&made, "directory_id"))).await;
        assert_eq!(made["settings"]["preset"], preset);
    }
    let again = json!({ "name": "Acme" });
    let (status, second) = api.send(Method::Post, "/api/v1/organizations", Some(&again)).await;
    assert_eq!(status, 201, "{second}");
    let mut command = binary();
    command.args(["directory", "create", "--organization", "Acme", "--name", "Okta"]);
    home.tell(&mut command);
    let output = command.output().expect("it starts");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stderr),
        format!(
            "error: several organizations are called `Acme`; give one of the ids {id}, {}\n",
            field(&second, "id")
        )
    );
}

#[test]
fn what_cannot_be_is_refused_with_a_reason() {
    let folder = folder();
    let data = folder.path().join("data");
    let data = path(&data);
    let check = |arguments: &[&str], code: i32, expected: &str| {
        let output = run(arguments);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
        assert!(errors.starts_with("error: "), "{arguments:?}: {errors}");
        assert!(errors.contains(expected), "{arguments:?}: {errors}");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
    };
    let serve = |more: &[&str], code, expected: &str| {
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--data", data];
        check(&[&arguments[..], more].concat(), code, expected);
    };
    let create = |more: &[&str], code, expected: &str| {
        let arguments = ["directory", "create", "--data", data, "--name", "Okta"];
        check(&[&arguments[..], more].concat(), code, expected);
    };

    create(
        &["--organization", "Acme", "--provider", "octa"],
        2,
        "`octa` is not a provider; use one of okta, entra",
    );
    for name in ["", " ", "a\nb", &"a".repeat(201)] {
        create(&["--organization", name], 2, "a name has 1 to 200 characters");
        let arguments = ["directory", "create", "--data", data, "--organization", "Acme"];
        let arguments = [&arguments[..], &["--name", name]].concat();
        check(&arguments, 2, "a name has 1 to 200 characters");
        let arguments = ["api-key", "create", "--data", data, "--name", name];
        check(&arguments, 2, "a name has 1 to 200 characters");
    }
    create(&["--organization", "Acme", "--token-days", "0"], 2, "1..=3650");
    create(
        &["--organization", "Acme", "--public-url", "https://my_host"],
        1,
        "the public URL `https://my_host` is not usable",
    );
    for url in ["https://my_host", "roster.example.com", "ftp://a", "https://a/?b"] {
        serve(&["--public-url", url], 1, &format!("the public URL `{url}` is not usable"));
    }
    serve(&["--scim-path", "/scim_v2"], 1, "the SCIM path `/scim_v2` is not usable");
    serve(&["--log", "=="], 1, "cannot read what to log");
    check(&["serve", "--listen", "localhost", "--data", data], 2, "invalid socket address");
    let held = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = held.local_addr().expect("an address").to_string();
    let expected = format!("cannot listen on {taken}; another program may");
    check(&["serve", "--listen", &taken, "--data", data], 1, &expected);

    // None of these has made a database, or a key that nobody was shown.
    assert!(!Path::new(data).join("roster.db").exists(), "a refused start leaves nothing behind");

    create(
        &["--organization", "org-00000000000000000000000000"],
        1,
        "there is no organization `org-00000000000000000000000000`",
    );
    let file = folder.path().join("file");
    std::fs::write(&file, "text").expect("a file");
    let below = file.join("below");
    for place in [&file, &below] {
        let expected = format!("cannot make the folder `{}`", place.display());
        check(&["serve", "--listen", "127.0.0.1:0", "--data", path(place)], 1, &expected);
        check(&["api-key", "create", "--data", path(place)], 1, &expected);
    }

    let simulate = |more: &[&str], code, expected: &str| {
        check(&[&["simulate", "okta", "--json"][..], more].concat(), code, expected);
    };
    let nowhere = path(&below);
    simulate(
        &["--url", "http://127.0.0.1:1", "--token", "t", "--transcript", nowhere],
        1,
        &format!("cannot write `{nowhere}`"),
    );
    simulate(&["--url", "http://127.0.0.1:1"], 1, "give the token with `--token`");
    simulate(&["--url", "http://127.0.0.1:1", "--basic", "u"], 1, "a colon, and a password");
    simulate(&["--url", "http://a.example", "--token", "t"], 1, "is not https");
    simulate(&["--url", "https://a?b", "--token", "t"], 1, "a query");
    simulate(&["--url", "http://127.0.0.1:1", "--token", "t", "--preset", "o"], 2, "okta-2026-aiw");
}

#[test]
fn what_is_not_a_database_of_ours_is_left_alone() {
    let folder = folder();
    create_directory(folder.path(), &["--organization", "Acme", "--name", "Okta"]);
    let database = folder.path().join("roster.db");
    let ours = std::fs::read(&database).expect("a file");
    // The application's number stands in the header, at 68 (SQLite file format, §1.3).
    let mut of_another = ours.clone();
    of_another[68..72].copy_from_slice(&7_u32.to_be_bytes());
    let mut of_nobody = ours;
    of_nobody[..16].copy_from_slice(b"What is this for");
    for (bytes, expected) in [
        (of_another, "is the database of another application; give Roster a folder of its own"),
        (of_nobody, "file is not a database"),
    ] {
        std::fs::write(&database, &bytes).expect("it can be written");
        let data = path(folder.path());
        for arguments in [
            &["serve", "--listen", "127.0.0.1:0", "--data", data][..],
            &["directory", "create", "--organization", "A", "--name", "B", "--data", data],
            &["api-key", "create", "--data", data],
        ] {
            let output = run(arguments);
            let errors = text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{errors}");
            assert!(errors.starts_with("error: cannot open the database `"), "{errors}");
            assert!(errors.contains(expected), "{errors}");
        }
        assert_eq!(std::fs::read(&database).expect("a file"), bytes, "nothing was changed");
    }
}

#[tokio::test]
async fn a_restart_keeps_everything_and_shows_no_key_again() {
    let home = Home::new();
    let server = Server::start(&home, &[]);
    let key = server.api_key();
    let created = connect(&home, &server);
    let token = field(&created, "token");
    let mut scim = Caller::new(field(&created, "base_url"), token);
    let ana = json!({ "userName": "ana@example.com", "active": true });
    let (status, ana) = scim.send(Method::Post, "/Users", Some(&ana)).await;
    assert_eq!(status, 201, "{ana}");
    let group = json!({ "displayName": "Design", "members": [{ "value": ana["id"] }] });
    let (status, group) = scim.send(Method::Post, "/Groups", Some(&group)).await;
    assert_eq!(status, 201, "{group}");
    let ana_path = format!("/Users/{}", field(&ana, "id"));
    let before =
        (scim.get(&ana_path).await, Caller::new(&server.url, &key).get("/api/v1/events").await);
    let url = server.url.clone();
    stop(server);

    let server = Server::start(&home, &["--public-url", &url]);
    assert!(server.said.iter().any(|line| line.contains("as given out before")));
    assert!(!server.said.join("\n").contains(&key));
    let shared = format!("{}/scim/v2", server.url);
    let mut scim = Caller::new(&shared, token);
    let after =
        (scim.get(&ana_path).await, Caller::new(&server.url, &key).get("/api/v1/events").await);
    assert_eq!(after, before);
}

/// The client waits for the word that its body is wanted, so the request has been begun; then the
/// server is asked to stop, and only then does the body come.
#[tokio::test]
async fn what_was_begun_when_the_server_is_asked_to_stop_is_answered() {
    let home = Home::new();
    let mut server = Server::start(&home, &[]);
    let created = create_directory(&home, &["--organization", "Acme", "--name", "Okta"]);
    let body = json!({ "userName": "ana@example.com" }).to_string();
    let address = server.url.strip_prefix("http://").expect("it is http").to_owned();
    let mut stream = TcpStream::connect(&address).expect("it listens");
    write!(
        stream,
        "POST /scim/v2/Users HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/scim+json\r\nContent-Length: {}\r\n\
         Expect: 100-continue\r\n\r\n",
        field(&created, "token"),
        body.len(),
    )
    .expect("it reads");
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).expect("it answers");
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");

    terminate(&server);
    let line = server.log.iter().find(|line| line.contains("asked to stop"));
    assert!(line.is_some(), "it says so");
    stream.write_all(body.as_bytes()).expect("it reads on");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers, and closes");
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
    assert_eq!(server.process.wait().expect("it ends").code(), Some(0));

    let server = Server::start(&home, &[]);
    let shared = format!("{}/scim/v2", server.url);
    let users = Caller::new(&shared, field(&created, "token")).get("/Users").await;
    assert_eq!(users["Resources"][0]["userName"], "ana@example.com");
}

#[test]
fn a_hint_can_be_typed_as_it_is_printed() {
    let folder = folder();
    let data = folder.path().join("Ana's data");
    let server = Server::start(data.as_path(), &[]);
    let hint = server.said.last().expect("it says something");
    let hint = hint.strip_prefix("  to begin        roster ").expect("a command");
    let script = format!("\"$ROSTER\" {hint}");
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).env("ROSTER", binary().get_program()).current_dir("/");
    let output = shell.output().expect("there is a shell");
    assert!(output.status.success(), "{hint}: {}", text(&output.stderr));
    let said = text(&output.stdout);
    let data = data.canonicalize().expect("it is there");
    // It is the folder of the server, whose address was remembered there.
    assert!(said.contains(&server.url), "{said}");
    assert!(said.contains(&format!("data             {}\n", path(&data))), "{said}");
    let said = succeed(&["api-key", "create", "--data", path(&data)]);
    assert!(said.contains(&format!("data     {}\n", path(&data))), "{said}");
}

#[test]
fn addresses_that_lead_nowhere_are_warned_of() {
    let check = |url: &str, is_warned_of: bool| {
        let folder = folder();
        let data = path(folder.path());
        let arguments = ["directory", "create", "--organization", "Acme", "--name", "Okta"];
        let output = run(&[&arguments[..], &["--data", data, "--public-url", url]].concat());
        assert!(output.status.success(), "{url}");
        let expected =
            format!("warning: no provider can reach the base URLs that are given out: {url} ");
        let said = text(&output.stderr);
        assert_eq!(said.starts_with(&expected), is_warned_of, "{url}: {said}");
        assert_eq!(said.is_empty(), !is_warned_of, "{url}: {said}");

        let server = Server::start(folder.path(), &["--public-url", url]);
        let logged = stop(server);
        let warned = logged.iter().any(|line| line.starts_with(&expected));
        assert_eq!(warned, is_warned_of, "{url}: {logged:?}");
    };
    check("http://0.0.0.0:8484", true);
    check("http://[::]:8484", true);
    check("http://127.0.0.1:8484", false);
    check("https://roster.example.com", false);
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_the_database() {
    use std::os::unix::fs::PermissionsExt;

    let folder = folder();
    let open_to_all = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open_to_all).expect("it is ours");
    let _server = Server::start(folder.path(), &[]);
    let files = std::fs::read_dir(folder.path()).expect("it is there");
    let mut of_database = 0;
    for file in files.map(|file| file.expect("it can be read")) {
        if file.file_name().to_string_lossy().starts_with("roster.db") {
            let mode = file.metadata().expect("it is there").permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{:?}", file.file_name());
            of_database += 1;
        }
    }
    assert!(of_database > 1, "the database and what belongs to it");
}

#[test]
fn a_simulation_can_follow_another_and_leaves_a_transcript_without_credentials() {
    let home = Home::new();
    let server = Server::start(&home, &["--requests-per-second", "0"]);
    let created = connect(&home, &server);
    let (url, token) = (field(&created, "base_url"), field(&created, "token"));
    let simulate =
        ["simulate", "okta", "--preset", "okta-2026-aiw", "--url", url, "--token", token];

    let transcript = home.path().join("transcript.md");
    let more = ["--verbose", "--transcript", path(&transcript)];
    let said = succeed(&[&simulate[..], &more].concat());
    let first = said.strip_prefix("seed ").and_then(|rest| rest.split_once(':'));
    let first: u64 = first.expect("it begins with the seed").0.parse().expect("a number");
    let is_exchange =
        |line: &&str| line.ends_with(" 200, accepted") && line.contains("  GET /Users");
    assert!(said.lines().any(|line| is_exchange(&line)), "{said}");
    let written = std::fs::read_to_string(&transcript).expect("it is written");
    for expected in ["# Okta (", "\n## 2. ", "POST /Users\n", "Bearer …"] {
        assert!(written.contains(expected), "`{expected}` is not in the transcript");
    }
    for said in [&said, &written] {
        assert!(!said.contains(token), "the token is shown");
    }

    let second: Value =
        serde_json::from_str(&succeed(&[&simulate[..], &["--json"]].concat())).expect("it is JSON");
    assert_ne!(second["seed"], first);
    assert_eq!(second["reports"][0]["summary"]["passed"], true);

    // What was made from a number is made from it again, and is there already.
    let again = run(&[&simulate[..], &["--json", "--seed", &first.to_string()]].concat());
    assert_eq!(again.status.code(), Some(1));
    let again: Value = serde_json::from_slice(&again.stdout).expect("it is JSON");
    assert_eq!(again["seed"], first);
}

#[test]
fn every_command_explains_itself() {
    let mut paths = vec![Vec::new()];
    let mut explained = BTreeSet::new();
    while let Some(path) = paths.pop() {
        let mut arguments = path.clone();
        arguments.push("--help".to_owned());
        let said = succeed(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(said.contains("Usage: roster"), "{path:?}: {said}");
        let commands = said.lines().skip_while(|line| *line != "Commands:").skip(1);
        let commands = commands.take_while(|line| !line.is_empty());
        // Where an explanation goes on, its line is further in.
        for line in commands.filter(|line| !line.starts_with("   ")) {
            let name = line.split_whitespace().next().expect("a name");
            if name != "help" {
                paths.push([path.clone(), vec![name.to_owned()]].concat());
            }
        }
        explained.insert(path.join(" "));
    }
    for command in ["", "serve", "demo", "simulate okta", "directory create", "api-key create"] {
        assert!(explained.contains(command), "{command:?} in {explained:?}");
    }
    assert!(succeed(&["--version"]).starts_with("roster "));
    assert_eq!(run(&[]).status.code(), Some(2));
    assert_eq!(run(&["serv"]).status.code(), Some(2));
}

/// Credentials of every kind, as somebody came by them.
struct Planted {
    token: String,
    key: String,
    /// Of the management API: a key that was made there, and one of one organization.
    keys: [String; 2],
    client_secret: String,
    access_token: String,
    webhook: String,
    webhook_secrets: [String; 2],
    /// Of the portal: a link that nobody has opened, one that somebody has, and what their browser shows.
    portal: [String; 3],
    /// Of the dashboard: a link that somebody has joined by, what their browser shows, and a link for
    /// somebody who has not joined.
    dashboard: [String; 3],
    /// What the member's codes are made from.
    code_key: String,
}

/// The password of the member.
const MEMBERS_PASSWORD: &str = "Sesam, open yourself";

impl Planted {
    /// Has one of each made, and uses it.
    async fn plant(server: &Server, created: &Value) -> Planted {
        let key = server.api_key();
        let mut api = Caller::new(&server.url, &key);
        let mut make = async |path: &str, body: Value| {
            let path = format!("/api/v1{path}");
            let (status, made) = api.send(Method::Post, &path, Some(&body)).await;
            assert_eq!(status, 201, "{path}: {made}");
            made
        };
        let directory = format!("/directories/{}", field(created, "directory_id"));
        let full = make("/api-keys", json!({ "name": "full", "scopes": ["full"] })).await;
        let bound = json!({
            "name": "bound", "scopes": ["read"], "organization_id": created["organization_id"],
        });
        let bound = make("/api-keys", bound).await;
        let client = make(&format!("{directory}/oauth-clients"), json!({ "name": "Entra" })).await;
        // Nobody listens there, so what is brought there fails, and is told of.
        let url = json!({ "url": "https://127.0.0.1:1/hooks/Sesam", "description": "hooks" });
        let refused = json!({ "url": "https://ana:Sesam@app.example/" });
        let (status, _) = api_post(server, &key, "/webhooks", &refused).await;
        assert_eq!(status, 400);
        let webhook = make("/webhooks", url).await;
        let id = field(&webhook, "id").to_owned();
        let rotated = make(&format!("/webhooks/{id}/secret"), json!({})).await;
        let [full, bound] = [full, bound].map(|made| field(&made, "api_key").to_owned());
        let client_secret = field(&client, "client_secret").to_owned();
        let access_token = access_token(server, field(&client, "id"), &client_secret);
        let mut scim = Caller::new(field(created, "base_url"), &access_token);
        assert_eq!(scim.send(Method::Get, "/Users", None).await.0, 200);
        for key in [&full, &bound] {
            let path = "/api/v1/organizations";
            assert_eq!(Caller::new(&server.url, key).send(Method::Get, path, None).await.0, 200);
        }
        let links = format!("/organizations/{}/portal-links", field(created, "organization_id"));
        let unopened = make(&links, json!({})).await;
        let opened = make(&links, json!({})).await;
        let path_of = |link: &Value| path_on(server, field(link, "url"));
        let browser = cookie(&submit(server, &path_of(&opened), "", ""));
        let (link, session) = browser.split_once('=').expect("a name and a value");
        assert_eq!(show(server, &format!("/portal/{link}"), &browser).0, 200);
        let (code_key, dashboard) = join(server);
        Planted {
            portal: [secret_of(&path_of(&unopened)), secret_of(&path_of(&opened)), session.into()],
            dashboard,
            code_key,
            token: field(created, "token").to_owned(),
            key,
            keys: [full, bound],
            client_secret,
            access_token,
            webhook: id,
            webhook_secrets: [&webhook, &rotated].map(|it| field(it, "secret").to_owned()),
        }
    }

    /// All but the secrets that the server signs with, which it has to keep.
    fn hashed(&self) -> Vec<&str> {
        let Planted { token, key, keys: [full, bound], client_secret, access_token, .. } = self;
        let mut all: Vec<&str> = vec![token, key, full, bound, client_secret, access_token];
        all.extend(self.portal.iter().chain(&self.dashboard).map(String::as_str));
        all
    }
}

/// The first member joins by the link that the server has shown, and invites another: what their codes
/// are made from, and the secrets.
fn join(server: &Server) -> (String, [String; 3]) {
    let link = server.said.iter().find_map(|line| line.strip_prefix("  dashboard "));
    let path = path_on(server, link.expect("it speaks of a link").trim());
    let (status, page) = show(server, &path, "");
    assert_eq!(status, 200, "{page}");
    let key = element(&page, "key");
    let form = [
        ("name", "Mira Mellon"),
        ("email", "mira.mellon@vendor.example"),
        ("password", MEMBERS_PASSWORD),
        ("key", &key),
        ("code", &code(&key)),
    ];
    let browser = cookie(&submit(server, &path, "", &encoded(&form)));
    let (_, session) = browser.split_once('=').expect("a name and a value");
    let (status, page) = show(server, "/dashboard/members", &browser);
    assert_eq!(status, 200, "{page}");
    let (_, proof) = page.split_once("name=\"proof\" value=\"").expect("a form");
    let (proof, _) = proof.split_once('"').expect("its end");
    let form = [("proof", proof), ("email", "noel.naiad@vendor.example"), ("role", "support")];
    let invited = submit(server, "/dashboard/members", &browser, &encoded(&form));
    let invitation = path_on(server, &element(&invited, "invitation"));
    (key, [secret_of(&path), session.to_owned(), secret_of(&invitation)])
}

/// The code that an app shows now, of what it was given (RFC 6238).
#[expect(clippy::disallowed_methods, reason = "an app has a clock")]
fn code(key: &str) -> String {
    const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digits = key.chars().map(|letter| LETTERS.find(letter).expect("base 32"));
    let bits: Vec<_> = digits.flat_map(|it| (0..5).rev().map(move |bit| it >> bit & 1)).collect();
    let byte = |bits: &[usize]| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit == 1));
    let key: Vec<u8> = bits.chunks_exact(8).map(byte).collect();
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key);
    let tag = hmac::sign(&key, &(jiff::Timestamp::now().as_second() / 30).to_be_bytes());
    let at = usize::from(tag.as_ref()[19] & 15);
    let bytes: [u8; 4] = tag.as_ref()[at..at + 4].try_into().expect("four bytes");
    format!("{:06}", (u32::from_be_bytes(bytes) & 0x7fff_ffff) % 1_000_000)
}

fn encoded(form: &[(&str, &str)]) -> String {
    let escape = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    let escaped = |text: &str| text.bytes().map(escape).collect::<String>();
    let fields = form.iter().map(|(name, value)| format!("{name}={}", escaped(value)));
    fields.collect::<Vec<_>>().join("&")
}

/// Where a link to this server leads.
fn path_on(server: &Server, link: &str) -> String {
    link.strip_prefix(&server.url).expect("it leads to this server").to_owned()
}

/// What stands last in it.
fn secret_of(path: &str) -> String {
    path.rsplit('/').next().expect("a part").to_owned()
}

/// What stands in an element of a page.
fn element(page: &str, id: &str) -> String {
    let found = page.split_once(&format!("id=\"{id}\">"));
    let (_, rest) = found.unwrap_or_else(|| panic!("no `{id}`: {page}"));
    rest.split_once('<').expect("its end").0.to_owned()
}

/// Reads a page, as a browser that has this cookie.
fn show(server: &Server, path: &str, cookie: &str) -> (u16, String) {
    let head = "HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close";
    say(server, &format!("GET {path} {head}\r\nCookie: {cookie}\r\n\r\n"))
}

/// Sends a form, as a page of the server does: the whole answer.
fn submit(server: &Server, path: &str, cookie: &str, form: &str) -> String {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\
         Sec-Fetch-Site: same-origin\r\nCookie: {cookie}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
        form.len()
    );
    exchange(server, &format!("{head}{form}"))
}

/// The name and the value that a browser is to show.
fn cookie(answer: &str) -> String {
    let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: "));
    let cookie = cookie.unwrap_or_else(|| panic!("no cookie: {answer}"));
    cookie.split(';').next().expect("a name and a value").to_owned()
}

async fn api_post(server: &Server, key: &str, path: &str, body: &Value) -> (u16, Value) {
    Caller::new(&server.url, key).send(Method::Post, &format!("/api/v1{path}"), Some(body)).await
}

/// What a client is given for its secret, as Entra asks for it.
fn access_token(server: &Server, id: &str, secret: &str) -> String {
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let head = format!(
        "POST /oauth/token HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
        form.len()
    );
    let (status, body) = say(server, &format!("{head}{form}"));
    assert_eq!(status, 200, "{body}");
    field(&serde_json::from_str(&body).expect("it is JSON"), "access_token").to_owned()
}

/// Sends these bytes, and reads the answer's status and body.
fn say(server: &Server, request: &str) -> (u16, String) {
    let answer = exchange(server, request);
    let status = answer.split(' ').nth(1).and_then(|it| it.parse().ok());
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head ends");
    (status.expect("a status"), body.to_owned())
}

fn exchange(server: &Server, request: &str) -> String {
    let address = server.url.strip_prefix("http://").expect("it is on this machine");
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

/// Proves S-SEC-2, S-AUTH-6.
#[tokio::test]
async fn no_secret_and_nobody_s_name_is_in_the_log() {
    for (form, level) in [
        ("text", "trace"),
        ("json", "trace"),
        ("text", "debug"),
        ("json", "info"),
        ("text", "warn"),
    ] {
        let home = Home::new();
        let arguments = ["--log", level, "--log-format", form, "--webhook-allow", "127.0.0.0/8"];
        let server = Server::start(&home, &arguments);
        let created = connect(&home, &server);
        let planted = Planted::plant(&server, &created).await;
        let (key, token) = (planted.key.clone(), planted.token.as_str());
        let mut scim = Caller::new(field(&created, "shared_base_url"), token);
        let ana = json!({
            "userName": "ana.secret@example.com",
            "name": { "givenName": "Anabel", "familyName": "Obrador" },
            "emails": [{ "value": "ana.secret@example.com" }],
            "password": "Tr0ub4dor",
            "favourite": "Marzipan",
        });
        let (status, body) = scim.send(Method::Post, "/Users", Some(&ana)).await;
        assert_eq!(status, 201, "{body}");
        let id = field(&body, "id").to_owned();
        let wrong = json!({ "userName": { "of": "ana.secret@example.com" } });
        let unknown =
            json!({ "displayName": "Anabel", "members": [{ "value": "ana.secret@example.com" }] });
        let filter = "/Users?filter=userName%20eq%20%22ana.secret@example.com%22";
        for (method, path, body) in [
            (Method::Post, "/Users", Some(&ana)),
            (Method::Post, "/Users", Some(&wrong)),
            (Method::Put, &format!("/Users/{id}"), Some(&ana)),
            (Method::Patch, &format!("/Users/{id}"), Some(&ana)),
            (Method::Post, "/Groups", Some(&unknown)),
            (Method::Get, filter, None),
            (Method::Get, "/Users?filter=Anabel", None),
            // Clients that take a name for an id, or a secret for a part of the address.
            (Method::Get, "/Users/ana.secret@example.com", None),
            (Method::Get, "/Users/ana.secret%40example.com", None),
            (Method::Get, &format!("/{token}/Users"), None),
        ] {
            scim.send(method, path, body).await;
        }
        // Where they are good for nothing: in an address too, where somebody's links have been cut or
        // put together wrongly, and as the password of somebody who signs in.
        for secret in planted.hashed() {
            for path in [
                format!("/portal/open/{secret}"),
                format!("/portal/{secret}"),
                format!("/dashboard/join/{secret}"),
                format!("/dashboard/organizations/{secret}"),
            ] {
                show(&server, &path, &format!("dashboard={secret}"));
            }
            let form = [("email", "mira.mellon@vendor.example"), ("password", secret)];
            let form = encoded(&[&form[..], &[("code", "000000"), ("next", "")]].concat());
            submit(&server, "/dashboard/sign-in", "", &form);
        }
        for wrong in [&planted.client_secret, &planted.access_token, &planted.webhook_secrets[0]] {
            let scim = Caller::new(field(&created, "shared_base_url"), &format!("{wrong}x"));
            assert_eq!(scim.clone().send(Method::Get, "/Users", None).await.0, 401);
            let api = Caller::new(&server.url, wrong);
            assert_eq!(api.clone().send(Method::Get, "/api/v1/events", None).await.0, 401);
        }
        // What cannot be delivered is tried, and that is told.
        let path = format!("/webhooks/{}/test", planted.webhook);
        assert_eq!(api_post(&server, &key, &path, &json!(null)).await.0, 202);
        // A token in the address opens nothing, and is not written down (RFC 9700 §4.3.2).
        let nobody = Caller::new(field(&created, "shared_base_url"), "");
        for parameter in ["access_token", "token", "bearer"] {
            let path = format!("/Users?{parameter}={token}");
            let (status, _) = nobody.clone().send(Method::Get, &path, None).await;
            assert_eq!(status, 401, "{parameter}");
        }
        let of_key = Caller::new(&server.url, &key).get("/api/v1/events").await;
        assert!(of_key.to_string().contains("ana.secret@example.com"));
        Caller::new(&server.url, &key).send(Method::Get, "/Users/Anabel", None).await;
        Caller::new(&server.url, &key).send(Method::Get, "/api/v1/directories/Anabel", None).await;
        Caller::new(&format!("{}/scim/v2", server.url), "Marzipan")
            .send(Method::Get, "/Users", None)
            .await;
        Caller::new(&server.url, "Marzipan").send(Method::Get, "/api/v1/events", None).await;
        let log = stop(server).join("\n");
        if matches!(level, "trace" | "debug") {
            assert!(log.lines().filter(|line| line.contains("/scim/v2")).count() > 10, "{log}");
        }
        let people = [
            "ana.secret",
            "@",
            "%40",
            "Anabel",
            "Obrador",
            "Tr0ub4dor",
            "Marzipan",
            "Mellon",
            "mira.mellon",
            "noel.naiad",
            &planted.code_key,
        ];
        // The address of an endpoint may hold a secret, too.
        let secrets = planted.hashed().into_iter().chain(people).chain(["Sesam"]);
        for secret in secrets.chain(planted.webhook_secrets.iter().map(String::as_str)) {
            let lines: Vec<_> = log.lines().filter(|line| line.contains(secret)).collect();
            assert!(lines.is_empty(), "`{secret}` is in the log: {lines:#?}");
        }
    }
}

/// Proves S-AUTH-10, S-SEC-3, S-EVENT-13.
#[tokio::test]
async fn what_is_on_the_disk_opens_nothing() {
    let home = Home::new();
    let server = Server::start(&home, &["--webhook-allow", "127.0.0.0/8"]);
    let created = connect(&home, &server);
    let planted = Planted::plant(&server, &created).await;
    let (key, token) = (planted.key.clone(), planted.token.clone());
    let mut scim = Caller::new(field(&created, "base_url"), &token);
    let ana = json!({ "userName": "ana@example.com", "password": "Tr0ub4dor" });
    let (status, body) = scim.send(Method::Post, "/Users", Some(&ana)).await;
    assert_eq!(status, 201, "{body}");
    let path = format!("/Users/{}", field(&body, "id"));
    for (method, body) in [
        (Method::Put, json!({ "userName": "ana@example.com", "password": "c0rrectH0rse" })),
        (
            Method::Patch,
            json!({
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
                "Operations": [{ "op": "replace", "value": { "password": "b4tterySt4ple" } }],
            }),
        ),
    ] {
        let (status, body) = scim.send(method, &path, Some(&body)).await;
        assert_eq!(status, 200, "{body}");
    }
    let events = Caller::new(&server.url, &key).get("/api/v1/events").await.to_string();
    let passwords = ["Tr0ub4dor", "c0rrectH0rse", "b4tterySt4ple", MEMBERS_PASSWORD];
    assert!(events.contains("ana@example.com"));
    assert!(!passwords.iter().any(|password| events.contains(password)), "{events}");

    // The database and its log, while it is open and after it was closed.
    let kept = || {
        if let Some(own) = &home.own {
            return own.contents().into_bytes();
        }
        let files = std::fs::read_dir(home.path()).expect("a folder");
        let files = files.map(|file| std::fs::read(file.expect("a file").path()).expect("bytes"));
        files.flatten().collect::<Vec<u8>>()
    };
    let has = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|it| it == text.as_bytes());
    let check = |bytes: &[u8]| {
        assert!(has(bytes, "ana@example.com"), "this is where things are kept");
        // Nor the part of a credential that is chance.
        for secret in planted.hashed() {
            let chance = secret.rsplit('-').next().expect("a part");
            assert_eq!(chance.len(), 64);
            assert!(!has(bytes, chance), "{secret} is on the disk");
        }
        for password in passwords {
            assert!(!has(bytes, password), "{password} is on the disk");
        }
        // What codes are made from has to be kept too; the events do not have it.
        assert!(has(bytes, &planted.code_key), "codes are made from it");
        assert!(!events.contains(&planted.code_key) && !events.contains("Mellon"), "{events}");
        // What the server signs with it has to keep: in one column, beside whose it is.
        for secret in &planted.webhook_secrets {
            let beside = match &home.own {
                None => format!("{}{secret}", planted.webhook),
                Some(_) => format!("webhook_secrets: ({},{secret},", planted.webhook),
            };
            let count =
                |text: &str| bytes.windows(text.len()).filter(|it| *it == text.as_bytes()).count();
            assert!(count(secret) > 0, "it is kept");
            assert_eq!(count(secret), count(&beside), "{secret} is where it does not belong");
        }
    };
    check(&kept());
    stop(server);
    check(&kept());
}

/// A proxy says for whom it speaks, and is believed where the operator says so.
#[tokio::test]
async fn a_directory_takes_requests_from_where_it_was_told() {
    let ask = |server: &Server, created: &Value, said: &[&str]| {
        let said: String = said.iter().flat_map(|it| ["X-Forwarded-For: ", it, "\r\n"]).collect();
        let request = format!(
            "GET /scim/v2/{}/Users HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\
             Authorization: Bearer {}\r\n{said}\r\n",
            field(created, "directory_id"),
            field(created, "token"),
        );
        say(server, &request)
    };
    let allow = async |server: &Server, created: &Value, ranges: Value| {
        let mut api = Caller::new(&server.url, &server.api_key());
        let path = format!("/api/v1/directories/{}", field(created, "directory_id"));
        let edit = json!({ "settings": { "allowed_addresses": ranges } });
        assert_eq!(api.send(Method::Patch, &path, Some(&edit)).await.0, 200);
    };
    for (proxies, is_believed) in [("", false), ("127.0.0.0/8,10.0.0.0/8", true)] {
        let home = Home::new();
        let trusted = ["--trusted-proxies", proxies];
        let arguments = if is_believed { &trusted[..] } else { &[] };
        let server = Server::start(&home, arguments);
        let created = connect(&home, &server);
        assert_eq!(ask(&server, &created, &["198.51.100.1"]).0, 200, "from everywhere");
        allow(&server, &created, json!(["203.0.113.0/24"])).await;
        let check = |said: &[&str], expected: bool| {
            let (status, body) = ask(&server, &created, said);
            let expected = if expected && is_believed { 200 } else { 403 };
            assert_eq!(status, expected, "{said:?}: {body}");
            if status == 403 {
                assert!(body.contains("takes requests from some addresses only"), "{body}");
            }
        };
        check(&["203.0.113.7"], true);
        check(&["203.0.113.7, 10.9.9.9"], true);
        check(&["198.51.100.1, 203.0.113.7"], true);
        check(&["198.51.100.1", "203.0.113.7"], true);
        check(&["::ffff:203.0.113.7"], true);
        // What the client itself has written before the proxy did.
        check(&["203.0.113.7, 198.51.100.1"], false);
        check(&["203.0.113.7", "198.51.100.1"], false);
        check(&["203.0.113.7, nonsense"], false);
        check(&["nonsense"], false);
        check(&[], false);
        // Whoever is not believed is who they are.
        allow(&server, &created, json!(["127.0.0.1"])).await;
        assert_eq!(ask(&server, &created, &["203.0.113.7"]).0, if is_believed { 403 } else { 200 });
    }
}

#[tokio::test]
async fn a_key_that_is_made_on_the_command_line_does_what_it_was_told() {
    let home = Home::new();
    let server = Server::start(&home, &[]);
    let created = connect(&home, &server);
    let organization = field(&created, "organization_id");
    let create = |arguments: &[&str]| {
        let mut command = binary();
        command.args(["api-key", "create", "--name", "report", "--json"]).args(arguments);
        home.tell(&mut command);
        command.output().expect("it starts")
    };
    let made = |arguments: &[&str]| -> Value {
        let output = create(arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_str(&text(&output.stdout)).expect("it is JSON")
    };
    let scopes = ["--scopes", "events:read,users:read", "--organization", organization];
    let made_key = made(&[&scopes[..], &["--days", "90"]].concat());
    let full = made(&[]);
    let status = async |made: &Value, path: &str| {
        let mut api = Caller::new(&server.url, field(made, "api_key"));
        api.send(Method::Get, &format!("/api/v1{path}"), None).await.0
    };
    let directory = field(&created, "directory_id");
    let users = format!("/directories/{directory}/users");
    assert_eq!(status(&made_key, &users).await, 200);
    assert_eq!(status(&made_key, &format!("/events?directory_id={directory}")).await, 200);
    // The feed is that of its organization, and what is of another scope it may not do.
    assert_eq!(status(&made_key, "/events").await, 200);
    assert_eq!(status(&made_key, "/organizations").await, 403);
    for path in ["/organizations", "/events", "/settings", &users] {
        assert_eq!(status(&full, path).await, 200, "{path}");
    }
    let listed = Caller::new(&server.url, &server.api_key()).get("/api/v1/api-keys").await;
    let of = |made: &Value| {
        let mut keys = listed["data"].as_array().expect("a list").iter();
        keys.find(|it| it["id"] == made["id"]).expect("it is listed").clone()
    };
    let (bound, free) = (of(&made_key), of(&full));
    assert_eq!(bound["scopes"], json!(["users:read", "events:read"]));
    assert_eq!(
        (&bound["name"], &bound["organization_id"]),
        (&json!("report"), &json!(organization))
    );
    assert_eq!((&free["scopes"], &free["organization_id"]), (&json!(["full"]), &json!(null)));
    assert_eq!(free["expires_at"], json!(null));
    let time = |name: &str| -> jiff::Timestamp { field(&bound, name).parse().expect("a time") };
    let days = time("expires_at").duration_since(time("created_at"));
    assert_eq!(days, jiff::SignedDuration::from_hours(24 * 90));

    // What cannot be is refused with a reason, and nothing is made.
    for (arguments, says) in [
        (&["--scopes", "everything"][..], "is not a scope"),
        (&["--scopes", ""], "is not a scope"),
        (&["--days", "0"], "--days"),
        (&["--days", "3651"], "--days"),
        (&["--organization", "Acme"], "--organization"),
        (&["--organization", "org-01kc2x4n0s00000000000000zz"], "no organization has the id"),
    ] {
        let output = create(arguments);
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains(says), "{arguments:?}: {said}");
    }
    let after = Caller::new(&server.url, &server.api_key()).get("/api/v1/api-keys").await;
    assert_eq!(after["data"].as_array().map(Vec::len), listed["data"].as_array().map(Vec::len));
    // The feed tells of both.
    let told = Caller::new(&server.url, &server.api_key()).get("/api/v1/events").await;
    let told = told["data"].as_array().expect("a list").iter();
    assert_eq!(told.filter(|event| event["type"] == "api_key.created").count(), 2);
}

/// Proves S-TENANT-4.
#[tokio::test]
async fn an_id_is_given_once_over_all_directories() {
    let home = Home::new();
    let server = Server::start(&home, &[]);
    let mut ids = std::collections::BTreeSet::new();
    for name in ["Acme", "Globex"] {
        let made = create_directory(
            &home,
            &["--organization", name, "--name", "Okta", "--public-url", &server.url],
        );
        let mut scim = Caller::new(field(&made, "base_url"), field(&made, "token"));
        let operations: Vec<_> = (0..1_000)
            .map(|number| {
                json!({
                    "method": "POST", "path": "/Users", "bulkId": number.to_string(),
                    "data": { "userName": format!("user-{number}") },
                })
            })
            .collect();
        let bulk = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
            "Operations": operations,
        });
        let (status, answer) = scim.send(Method::Post, "/Bulk", Some(&bulk)).await;
        assert_eq!(status, 200, "{answer}");
        for operation in answer["Operations"].as_array().expect("a list") {
            let location = field(operation, "location");
            ids.insert(location.rsplit('/').next().expect("an id").to_owned());
        }
    }
    assert_eq!(ids.len(), 2_000);
    drop(server);
}

/// Each would believe to be alone. Many servers share PostgreSQL.
#[test]
fn a_second_server_is_kept_out_of_a_folder_until_the_first_has_ended() {
    let folder = folder();
    let data = path(folder.path());
    let first = Server::start(folder.path(), &[]);
    let output = run(&["serve", "--listen", "127.0.0.1:0", "--data", data]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("another Roster serves the data in"), "{said}");
    assert_eq!(text(&output.stdout), "", "it has shown no key and no link");
    // Commands are welcome beside it.
    create_directory(folder.path(), &["--organization", "Acme", "--name", "Okta"]);
    // However it ended.
    drop(first);
    Server::start(folder.path(), &[]);
}
