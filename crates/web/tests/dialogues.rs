//! Plays the dialogues in `dialogues/*.md` against a real server: real HTTP, a real database.
//!
//! A dialogue is prose with pairs of code blocks. The first of a pair is a request: method and path,
//! headers, an empty line, the body. The second is the whole answer to it.
//!
//! - `{{base}}` is the path of a directory's own base URL, and `{{token}}` its token: a dialogue that
//!   says `{{base}}` begins with a directory named `Okta` of an organization named `Acme`. Any other
//!   begins with an empty server. `{{key}}` is the vendor's API key.
//! - `<!-- SCIM below /path -->` at the beginning has the server speak SCIM below another path.
//! - A request that says nothing of `Authorization` is sent with `{{token}}`, or with `{{key}}` below
//!   `/api/v1`. One that has the header and nothing in it is sent without.
//! - `http ana=/id` at the beginning of a request keeps that member of the answer as `{{ana}}`, for
//!   later requests; answers show it by that name too. `later=7d` lets days pass before the request,
//!   `mistake=ours` has the server fail in the middle of what the request creates, and `store=closed`
//!   closes the store before it, as when the server is being stopped: it belongs to the end.
//!   `roles=walked` has everybody's roles looked at, as a server does in the background.
//! - Of the headers of an answer, those that have no meaning here are left out: `Date`,
//!   `Content-Length`, `Connection`, and two that every answer has: `x-request-id`, and
//!   `Cache-Control`, which lets nobody keep it. Where an error names its request, `…` stands for the id.
//! - With each request a second passes. What is not shown is checked all the same: every body is
//!   JSON, an answer of 400 and above changed nothing, and neither did a GET, HEAD or OPTIONS; and at
//!   the end the server is started anew, and everything is as it was, to the byte.
//!
//! `UPDATE=1 cargo test -p web --test dialogues` writes the answers into the files. Read the
//! difference before you commit it.

mod server;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use server::{Reply, Server};
use web::Limits;

/// Proves S-GET-6: it holds for every answer.
#[test]
fn dialogues_go_as_they_are_written() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/dialogues");
    let entries = std::fs::read_dir(&folder).expect("the folder of dialogues");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|it| it == "md"));
    paths.sort();
    assert!(!paths.is_empty(), "there are dialogues");
    let mut refusals = BTreeSet::new();
    let wrong: String = std::thread::scope(|scope| {
        let playing: Vec<_> = paths.iter().map(|path| scope.spawn(|| check(path))).collect();
        let played = playing.into_iter().map(|it| match it.join() {
            Ok((wrong, refused)) => {
                refusals.extend(refused);
                wrong
            }
            Err(_) => "panicked\n".to_owned(),
        });
        played.collect()
    });
    // Each of them was explained, or the server would have said so.
    assert!(refusals.len() >= 100, "{} kinds of refusals were met: {refusals:#?}", refusals.len());
    assert!(wrong.is_empty(), "{wrong}\nIf this is as it should be: UPDATE=1 cargo test -p web");
}

/// Plays one file, and says what is not as it stands there.
fn check(path: &Path) -> (String, Vec<String>) {
    let written = std::fs::read_to_string(path).expect("a dialogue is text");
    let name = path.file_name().expect("a file").to_string_lossy().into_owned();
    let (played, refusals) = Dialogue::begin(&name, &written).play(&written);
    if played == written {
        return (String::new(), refusals);
    }
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, played).expect("the dialogue is written");
        return (String::new(), refusals);
    }
    let mut wrong = String::new();
    let (mut old, mut new) = (written.lines(), played.lines());
    let mut number = 0;
    loop {
        number += 1;
        match (old.next(), new.next()) {
            (None, None) => break,
            (old, new) if old == new => {}
            (old, new) => {
                writeln!(wrong, "{name}:{number}\n  is written: {old:?}\n  happened:   {new:?}")
                    .expect("a string takes it");
                // Further lines are mostly shifted.
                if wrong.len() > 4_000 {
                    break;
                }
            }
        }
    }
    (wrong, refusals)
}

/// A dialogue that is going on.
struct Dialogue {
    name: String,
    server: Server,
    /// What stands for what, by name.
    known: Vec<(String, String)>,
    state: Vec<Value>,
}

impl Dialogue {
    fn begin(name: &str, written: &str) -> Dialogue {
        let below = written.lines().next().and_then(|line| line.strip_prefix("<!-- SCIM below "));
        let (folder, limits) = (format!("dialogue-{name}"), Limits::default());
        let server = match below.and_then(|line| line.strip_suffix(" -->")) {
            Some(path) => Server::start_at(&folder, path, limits),
            None => Server::start(&folder, limits),
        };
        let mut known = vec![("key".to_owned(), server.key.clone())];
        if written.contains("{{base}}") {
            let connection = server.connect("Acme", "Okta");
            known.push(("base".to_owned(), connection.base));
            known.push(("token".to_owned(), connection.token));
            known.push(("directory".to_owned(), connection.directory));
        }
        let state = server.state();
        Dialogue { name: name.to_owned(), server, known, state }
    }

    /// The text with the answers that really came.
    fn play(mut self, written: &str) -> (String, Vec<String>) {
        let mut played = String::new();
        let mut lines = written.lines().peekable();
        while let Some(line) = lines.next() {
            writeln!(played, "{line}").expect("a string takes it");
            let Some(instructions) = line.strip_prefix("```http") else { continue };
            let mut request = String::new();
            for line in lines.by_ref() {
                writeln!(played, "{line}").expect("a string takes it");
                if line == "```" {
                    break;
                }
                writeln!(request, "{line}").expect("a string takes it");
            }
            let answer = self.request(instructions, &request);
            write!(played, "\n```http\n{answer}```\n").expect("a string takes it");
            // The answer that stands there, and the empty line before it.
            let mut ahead = lines.clone();
            while ahead.next_if(|line| line.is_empty()).is_some() {}
            let answered = ahead.next() == Some("```http")
                && ahead.peek().is_some_and(|line| line.starts_with("HTTP/"));
            if answered {
                while ahead.next().is_some_and(|line| line != "```") {}
                lines = ahead;
            }
        }
        let refusals = self.server.refusals();
        self.start_anew();
        (played, refusals)
    }

    /// Sends a request as it is written, and prints its answer.
    fn request(&mut self, instructions: &str, written: &str) -> String {
        let mut kept = Vec::new();
        for instruction in instructions.split_whitespace() {
            match instruction.split_once('=') {
                Some(("later", days)) => {
                    let days = days.strip_suffix('d').and_then(|days| days.parse::<i64>().ok());
                    self.server.pass(24 * 60 * 60 * days.expect("a number of days"));
                }
                Some(("mistake", "ours")) => self.server.break_down(),
                Some(("store", "closed")) => self.server.close_store(),
                Some(("roles", "walked")) => {
                    self.server.walk_roles();
                    self.state = self.server.state();
                }
                Some((name, pointer)) => kept.push((name, pointer)),
                None => panic!("{}: what is `{instruction}`?", self.name),
            }
        }
        self.server.pass(1);
        let request = self.filled_in(written);
        let (head, body) = request.split_once("\n\n").unwrap_or((request.trim_end(), ""));
        let mut head = head.lines();
        let first = head.next().unwrap_or_default();
        let (method, path) = first.split_once(' ').unwrap_or_else(|| panic!("`{first}`"));
        let mut headers: Vec<_> =
            head.map(|line| line.split_once(':').unwrap_or((line, ""))).collect();
        let mut default = String::new();
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
            let credential = if path.starts_with("/api/v1") { "key" } else { "token" };
            default = self.known(credential).map(|it| format!("Bearer {it}")).unwrap_or_default();
        }
        headers.push(("Authorization", &default));
        headers.retain(|(_, value)| !value.is_empty());
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.trim())).collect();
        let reply = self.server.call(method, path, &headers, body.trim_end().as_bytes());
        self.check(first, method, &reply);
        for (name, pointer) in kept {
            let found = reply.json().pointer(pointer).and_then(Value::as_str).map(str::to_owned);
            let found = found.unwrap_or_else(|| panic!("{}: no {pointer} in {reply:?}", self.name));
            self.known.retain(|(it, _)| it != name);
            self.known.push((name.to_owned(), found));
            // A longer one may have a shorter one in it.
            self.known.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        }
        self.printed(&reply)
    }

    /// What holds for every answer.
    fn check(&mut self, request: &str, method: &str, reply: &Reply) {
        let context = format!("{}: {request}: {reply:?}", self.name);
        assert!(reply.header("x-request-id").is_some(), "unnamed: {context}");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "kept: {context}");
        if !reply.body.is_empty() {
            reply.json();
        }
        let state = self.server.state();
        if reply.status >= 400 || matches!(method, "GET" | "HEAD" | "OPTIONS") {
            assert_eq!(state, self.state, "something changed: {context}");
        }
        self.state = state;
    }

    fn known(&self, name: &str) -> Option<&str> {
        let found = self.known.iter().find(|(it, _)| it == name);
        found.map(|(_, value)| value.as_str())
    }

    fn filled_in(&self, written: &str) -> String {
        let mut parts = written.split("{{");
        let mut filled = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let Some((name, rest)) = part.split_once("}}") else {
                panic!("{}: `{{{{` without its end", self.name);
            };
            let value = self.known(name);
            filled += value.unwrap_or_else(|| panic!("{}: what is `{name}`?", self.name));
            filled += rest;
        }
        filled
    }

    fn printed(&self, reply: &Reply) -> String {
        let mut printed = format!("{}\n", reply.status_line);
        for (name, value) in &reply.headers {
            const UNSHOWN: [&str; 5] =
                ["cache-control", "connection", "content-length", "date", "x-request-id"];
            if !UNSHOWN.contains(&name.as_str()) {
                writeln!(printed, "{name}: {value}").expect("a string takes it");
            }
        }
        if !reply.body.is_empty() {
            printed.push('\n');
            print(&reply.json(), 0, 0, &mut printed);
            printed.push('\n');
        }
        // The id of the request, which the header has too.
        let id = reply.header("x-request-id").unwrap_or_default();
        printed = printed.replace(&format!("(request {id})"), "(request …)");
        for (name, value) in &self.known {
            printed = printed.replace(value, &format!("{{{{{name}}}}}"));
        }
        printed
    }

    /// Every resource, list and event, as it is answered.
    fn everything(&self) -> Vec<Vec<u8>> {
        let mut paths = vec!["/api/v1/organizations", "/api/v1/events"];
        let mut token = String::new();
        let base = self.known("base").map(|base| {
            token = format!("Bearer {}", self.known("token").unwrap_or_default());
            format!("{base}/Users {base}/Groups {base}/Schemas {base}/ServiceProviderConfig")
        });
        paths.extend(base.iter().flat_map(|base| base.split(' ')));
        let mut answers = Vec::new();
        for path in paths {
            let reply = if path.starts_with("/api/v1") {
                self.server.api("GET", path, b"")
            } else {
                self.server.call("GET", path, &[("Authorization", &token)], b"")
            };
            answers.push(reply.unnamed().into_bytes());
        }
        answers
    }

    /// What was answered before is answered after.
    fn start_anew(&mut self) {
        let before = self.everything();
        self.server.restart();
        assert_eq!(self.server.state(), self.state, "{}: a restart changed something", self.name);
        assert!(self.everything() == before, "{}: a restart changed bytes", self.name);
    }
}

/// Prints JSON: what fits into a line in one line, and anything else with a line for each entry.
fn print(value: &Value, depth: usize, column: usize, printed: &mut String) {
    const WIDTH: usize = 100;
    let inline = inline(value);
    let entries: Vec<(String, &Value)> = match value {
        _ if column + inline.chars().count() <= WIDTH => Vec::new(),
        Value::Object(object) => {
            object.iter().map(|(name, value)| (format!("{}: ", quoted(name)), value)).collect()
        }
        Value::Array(values) => values.iter().map(|value| (String::new(), value)).collect(),
        _ => Vec::new(),
    };
    if entries.is_empty() {
        printed.push_str(&inline);
        return;
    }
    let (open, close) = if value.is_array() { ('[', ']') } else { ('{', '}') };
    printed.push(open);
    let count = entries.len();
    let indent = "  ".repeat(depth + 1);
    for (place, (name, value)) in entries.into_iter().enumerate() {
        write!(printed, "\n{indent}{name}").expect("a string takes it");
        print(value, depth + 1, indent.len() + name.chars().count() + 1, printed);
        if place + 1 < count {
            printed.push(',');
        }
    }
    write!(printed, "\n{}{close}", "  ".repeat(depth)).expect("a string takes it");
}

fn inline(value: &Value) -> String {
    match value {
        Value::Object(object) if !object.is_empty() => {
            let entry =
                |(name, value): (&String, _)| format!("{}: {}", quoted(name), inline(value));
            format!("{{ {} }}", object.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        Value::Array(values) => {
            format!("[{}]", values.iter().map(inline).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
