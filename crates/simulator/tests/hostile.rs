//! Whatever a server answers, Okta neither panics nor goes on for ever, and what it says can be
//! printed.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use simulator::okta::{Credentials, Preset, Settings};
use simulator::reference::Reference;
use simulator::{Client, NoAnswer, Request, Response, tell, transcript};

/// A server that answers from a list in turn, and rightly where the list says nothing.
struct Hostile {
    right: Reference,
    answers: std::vec::IntoIter<Option<(u16, Vec<u8>)>>,
}

impl Client for Hostile {
    async fn send(&mut self, request: &Request) -> Result<Response, NoAnswer> {
        let right = self.right.answer(request);
        match self.answers.next().flatten() {
            Some((status, body)) => Ok(Response {
                status,
                headers: vec![("Retry-After".to_owned(), "1".to_owned())],
                body,
                elapsed: Duration::ZERO,
            }),
            None => Ok(right),
        }
    }

    async fn wait(&mut self, _: Duration) {}
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop_oneof![Just(0_u64), Just(1), Just(101), Just(u64::MAX)].prop_map(Value::from),
        Just(json!(-1)),
        Just(json!(1.5)),
        prop_oneof![Just(""), Just("x"), Just("../.."), Just("a\"b\\ü\u{0}")].prop_map(Value::from),
    ];
    let name = prop::sample::select(vec![
        "id",
        "schemas",
        "Resources",
        "resources",
        "totalResults",
        "startIndex",
        "itemsPerPage",
        "userName",
        "displayName",
        "name",
        "givenName",
        "emails",
        "primary",
        "value",
        "members",
        "active",
        "detail",
        "status",
        "password",
        "meta",
        "title",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
    ]);
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..8).prop_map(|members| {
                let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
                Value::Object(members.collect::<Map<_, _>>())
            }),
        ]
    })
}

fn answer() -> impl Strategy<Value = Option<(u16, Vec<u8>)>> {
    let status = prop_oneof![
        4 => Just(200_u16), 2 => Just(201), 1 => Just(204), 1 => Just(400), 1 => Just(404),
        1 => Just(409), 1 => Just(429), 1 => Just(500), 1 => 100_u16..600,
    ];
    let body = prop_oneof![
        4 => json_value().prop_map(|value| value.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ];
    prop_oneof![1 => Just(None), 2 => (status, body).prop_map(Some)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_answer_breaks_okta(
        answers in prop::collection::vec(answer(), 0..400),
        preset in prop::sample::select(Preset::ALL.to_vec()),
    ) {
        let url = "https://scim.example.com";
        let token = Credentials::Token("t".to_owned());
        // The tests of the credentials are answered rightly, so that the story goes on.
        let answers: Vec<_> = std::iter::repeat_n(None, 3).chain(answers).collect();
        let client = Hostile {
            right: Reference::new(url, 1).allow("Bearer t").allow("t"),
            answers: answers.into_iter(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (report, _) =
            runtime.block_on(tell(Settings::new(url, token, preset), client, |_| {}));
        prop_assert!(report.steps.len() > 3);
        prop_assert!(!report.to_string().is_empty());
        prop_assert!(!transcript::markdown(&report).is_empty());
        prop_assert!(report.to_json()["summary"].is_object());
    }
}
