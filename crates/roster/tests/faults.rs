//! `roster simulate okta` against a server that is wrong in one way: over HTTP, the built binary
//! reports just what the simulator reports in memory, and its exit code says whether the server
//! passed.

use std::convert::Infallible;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use simulator::okta::{Credentials, Preset, Settings};
use simulator::reference::{Fault, Reference};
use simulator::{Method, Report, Request};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

const TOKEN: &str = "token";

/// Binaries that run at the same time. Most of them wait for one another's processor.
const BINARIES: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_is_reported_over_http_as_it_is_in_memory() {
    let places = Arc::new(Semaphore::new(BINARIES));
    let tasks: Vec<_> = Fault::ALL
        .iter()
        .filter(|fault| !takes_minutes(**fault))
        .map(|fault| {
            let places = Arc::clone(&places);
            tokio::spawn(async move {
                let (preset, expected) = in_memory(*fault).await;
                // Who is told to come back later has a place to wait outside.
                let place = if waits(*fault) { None } else { places.acquire_owned().await.ok() };
                let found = over_http(Some(*fault), &[preset]).await;
                drop(place);
                (*fault, preset, expected, found)
            })
        })
        .collect();
    let mut wrong = Vec::new();
    for task in tasks {
        let (fault, preset, expected, (code, reports)) = task.await.expect("it is told");
        let found = told(&reports[0]);
        let expected_code = i32::from(!expected.passed());
        let expected = told(&expected.to_json());
        assert!(expected != told(&json!({})), "{fault:?} is reported in memory");
        if (code, &found) != (Some(expected_code), &expected) {
            wrong.push(format!(
                "{fault:?} under {}: exit code {code:?}, expected {expected_code}\n  found \
                 {found}\n  expected {expected}",
                preset.name()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_server_without_a_fault_passes_under_every_preset() {
    let (code, reports) = over_http(None, &Preset::ALL).await;
    assert_eq!(code, Some(0), "{reports:?}");
    assert_eq!(reports.len(), Preset::ALL.len());
    for report in reports {
        assert_eq!(told(&report), told(&json!({})), "{report}");
        assert_eq!(report["summary"]["passed"], true);
    }
}

/// These take minutes of real time: a timeout of one, and pauses between one try and the next. The
/// simulator's own tests have them, on a clock of their own.
fn takes_minutes(fault: Fault) -> bool {
    matches!(fault, Fault::Stalls | Fault::GroupWritesFail)
}

/// Whether the simulator waits for half a minute, as it is told to.
fn waits(fault: Fault) -> bool {
    matches!(fault, Fault::RateLimitedWithoutWait | Fault::RateLimitedWithDate)
}

/// The report in memory under the first preset that has something to say of the fault.
async fn in_memory(fault: Fault) -> (Preset, Report) {
    let url = "https://scim.example.com/scim/v2";
    for preset in Preset::ALL {
        let mut settings = Settings::new(url, Credentials::Token(TOKEN.to_owned()), preset);
        // What the binary makes of the seed 1.
        settings.options.seed = 1_000;
        let (report, _) = simulator::tell(settings, reference(url, Some(fault)), |_| {}).await;
        if report.findings().next().is_some() || !report.passed() {
            return (preset, report);
        }
    }
    panic!("{fault:?} shows under no preset");
}

/// Runs the binary against the fault, and gives its exit code and its reports.
async fn over_http(fault: Option<Fault>, presets: &[Preset]) -> (Option<i32>, Vec<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let base_url = format!("http://{}/scim/v2", listener.local_addr().expect("an address"));
    let server = tokio::spawn(serve(listener, reference(&base_url, fault)));
    let names: Vec<_> = presets.iter().flat_map(|it| ["--preset", it.name()]).collect();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_roster"));
    command.args(["simulate", "okta", "--json", "--seed", "1", "--token", TOKEN]);
    command.args(["--url", &base_url]).args(names);
    command.stdin(Stdio::null());
    let run = tokio::task::spawn_blocking(move || command.output());
    let output = run.await.expect("it is run").expect("it starts");
    server.abort();
    let errors = String::from_utf8_lossy(&output.stderr);
    let said: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{fault:?}: {error}: {errors}"));
    (output.status.code(), said["reports"].as_array().expect("a list of reports").clone())
}

fn reference(url: &str, fault: Option<Fault>) -> Reference {
    let server = Reference::new(url, 7).allow(format!("Bearer {TOKEN}")).allow(TOKEN);
    match fault {
        Some(fault) => server.with_fault(fault),
        None => server,
    }
}

/// Puts the server behind a socket. What it says of the time that an answer takes becomes true.
async fn serve(listener: TcpListener, reference: Reference) {
    let reference = Arc::new(Mutex::new(reference));
    loop {
        let (stream, _) = listener.accept().await.expect("the socket is open");
        let reference = Arc::clone(&reference);
        let service = service_fn(move |request| {
            let reference = Arc::clone(&reference);
            async move {
                let request = read(request).await;
                let answer = reference.lock().expect("nobody panicked").answer(&request);
                if answer.elapsed > Duration::ZERO {
                    tokio::time::sleep(answer.elapsed).await;
                }
                let mut response = hyper::Response::builder().status(answer.status);
                for (name, value) in answer.headers {
                    response = response.header(name, value);
                }
                let response = response.body(Full::new(Bytes::from(answer.body)));
                Ok::<_, Infallible>(response.expect("it is HTTP"))
            }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn read(request: hyper::Request<Incoming>) -> Request {
    let (parts, body) = request.into_parts();
    let method = match parts.method.as_str() {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "PATCH" => Method::Patch,
        "DELETE" => Method::Delete,
        other => panic!("the method {other}"),
    };
    let path = parts.uri.path_and_query().expect("it has a path").as_str();
    let path_and_query = path.strip_prefix("/scim/v2").expect("it is below the base URL");
    let headers = parts.headers.iter().map(|(name, value)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    Request {
        method,
        path_and_query: path_and_query.to_owned(),
        headers: headers.collect(),
        body: body.collect().await.expect("it arrives whole").to_bytes().to_vec(),
    }
}

/// What a report says against the server: the steps that failed, what the admin was shown, and the
/// rules of the findings. Nothing for a report without steps.
fn told(report: &Value) -> Value {
    let empty = Vec::new();
    let list = |value: &Value| value.as_array().unwrap_or(&empty).clone();
    let mut told = Vec::new();
    for step in list(&report["steps"]) {
        let of_exchanges = list(&step["exchanges"]);
        let findings = of_exchanges.iter().flat_map(|exchange| list(&exchange["findings"]));
        let rules: Vec<_> = list(&step["findings"])
            .into_iter()
            .chain(findings)
            .map(|finding| finding["rule"].clone())
            .collect();
        let failed = step["outcome"] == "failed";
        if failed || !rules.is_empty() {
            told.push(json!({
                "step": step["number"],
                "failed": failed,
                "rules": rules,
                "admin_texts": step["admin_texts"],
            }));
        }
    }
    told.into()
}
