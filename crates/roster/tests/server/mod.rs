//! The built binary as a process of its own, and requests to it over HTTP.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;
use simulator::{Client, HttpClient, Method, NoAnswer, Request, Response};

/// The last line that a server says before it serves.
const LAST_LINE: &str = "  to begin ";

/// Where a server keeps its data, and how commands are told so.
pub(crate) trait Place {
    fn tell(&self, command: &mut Command);
}

/// The folder of an embedded database.
impl Place for Path {
    fn tell(&self, command: &mut Command) {
        command.arg("--data").arg(self);
    }
}

/// A server. It is killed when it is dropped, as the system does when memory runs out: at once, and
/// without a word.
pub(crate) struct Server {
    pub(crate) process: Child,
    /// Scheme, host and port.
    pub(crate) url: String,
    /// What it said when it started.
    pub(crate) said: Vec<String>,
    /// What it logs, line by line; it ends with the process.
    pub(crate) log: Receiver<String>,
}

impl Server {
    /// Starts on any free port, and waits until it says where it listens.
    pub(crate) fn start(place: &(impl Place + ?Sized), arguments: &[&str]) -> Server {
        let mut command = binary();
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(arguments);
        place.tell(&mut command);
        let mut process =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut output = BufReader::new(process.stdout.take().expect("it is piped"));
        let errors = BufReader::new(process.stderr.take().expect("it is piped"));
        let (sender, log) = channel();
        std::thread::spawn(move || {
            for line in errors.lines().map_while(Result::ok) {
                // Where nobody listens any more, the pipe is still emptied.
                let _ = sender.send(line);
            }
        });
        let mut said: Vec<String> = Vec::new();
        while !said.last().is_some_and(|line| line.starts_with(LAST_LINE)) {
            let mut line = String::new();
            if output.read_line(&mut line).expect("it writes text") == 0 {
                let logged: Vec<_> = log.iter().collect();
                panic!("the server did not start: {said:?} {logged:?}");
            }
            said.push(line.trim_end().to_owned());
        }
        let url = said[0].rsplit(' ').next().expect("it has words").to_owned();
        assert!(url.starts_with("http://127.0.0.1:"), "{said:?}");
        Server { process, url, said, log }
    }

    /// The API key, which is said on the first start.
    pub(crate) fn api_key(&self) -> String {
        let line = self.said.iter().find_map(|line| line.strip_prefix("  API key "));
        let key = line.expect("it speaks of a key").trim();
        assert!(!key.contains(' '), "`{key}` is no key: this is not the first start");
        key.to_owned()
    }
}

#[expect(clippy::print_stdout, reason = "the log of a server helps to see why a test failed")]
impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            self.log.iter().for_each(|line| println!("{line}"));
        }
    }
}

/// The binary, without what the environment may say to it.
pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roster"));
    let ours = std::env::vars_os().map(|(name, _)| name);
    for name in ours.filter(|name| name.to_string_lossy().starts_with("ROSTER_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// A directory as `roster directory create --json` tells of it.
pub(crate) fn create_directory(place: &(impl Place + ?Sized), arguments: &[&str]) -> Value {
    let mut command = binary();
    command.args(["directory", "create", "--json"]).args(arguments);
    place.tell(&mut command);
    let mut process = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut text = String::new();
    process.stdout.take().expect("it is piped").read_to_string(&mut text).expect("it is text");
    assert!(process.wait().expect("it ends").success(), "{text}");
    serde_json::from_str(&text).expect("it is JSON")
}

/// Somebody who sends requests below one URL, with one credential.
#[derive(Clone)]
pub(crate) struct Caller {
    client: HttpClient,
    headers: Vec<(String, String)>,
}

impl Caller {
    pub(crate) fn new(url: &str, secret: &str) -> Caller {
        let client = HttpClient::new(url, Duration::from_mins(1)).expect("it is on this machine");
        let header = |name: &str, value: String| (name.to_owned(), value);
        let headers = vec![
            header("Authorization", format!("Bearer {secret}")),
            header("Content-Type", "application/json".to_owned()),
        ];
        Caller { client, headers }
    }

    /// The same, who means what has this tag.
    #[expect(clippy::allow_attributes, reason = "of the tests that have this module some use it")]
    #[allow(dead_code, reason = "not all decide about something that they have read")]
    pub(crate) fn meaning(mut self, tag: &str) -> Caller {
        self.headers.push(("If-Match".to_owned(), tag.to_owned()));
        self
    }

    /// Sends a request; there is no answer when the server is killed in the middle.
    pub(crate) async fn try_send(
        &mut self,
        method: Method,
        path_and_query: &str,
        body: Option<&Value>,
    ) -> Result<Response, NoAnswer> {
        let request = Request {
            method,
            path_and_query: path_and_query.to_owned(),
            headers: self.headers.clone(),
            body: body.map(|body| body.to_string().into_bytes()).unwrap_or_default(),
        };
        self.client.send(&request).await
    }

    /// Sends a request, and gives the answer's status and body.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        path_and_query: &str,
        body: Option<&Value>,
    ) -> (u16, Value) {
        let response =
            self.try_send(method, path_and_query, body).await.expect("the server answers");
        (response.status, read(&response))
    }

    /// Reads what must be there.
    pub(crate) async fn get(&mut self, path_and_query: &str) -> Value {
        let (status, body) = self.send(Method::Get, path_and_query, None).await;
        assert_eq!(status, 200, "{path_and_query}: {body}");
        body
    }
}

/// The body; null where there is none.
pub(crate) fn read(response: &Response) -> Value {
    if response.body.is_empty() {
        return Value::Null;
    }
    serde_json::from_slice(&response.body).expect("every body is JSON")
}
