//! Prints messages as the courier signs them at this time, given in seconds since 1970, with each
//! secret that is good: for libraries of Standard Webhooks in other languages to verify.

use courier::Message;
use directory::webhook::SigningSecret;
use jiff::Timestamp;
use serde_json::json;
use store::EventRecord;

#[expect(clippy::print_stdout, reason = "it prints")]
fn main() {
    let now = std::env::args().nth(1).and_then(|it| it.parse().ok());
    let now = now.and_then(|it| Timestamp::from_second(it).ok()).expect("seconds since 1970");
    let data = [
        json!({}),
        json!({ "user": { "id": "1", "userName": "ána.müller@example.com" } }),
        json!({ "text": "\u{1f600} \"quoted\" \\ and 1.50 / <tag>\n" }),
    ];
    let secrets = [[0; 32], [0xff; 32], std::array::from_fn(|it| u8::try_from(it).expect("few"))];
    let secrets = secrets.map(SigningSecret::new);
    for (number, data) in (1..).zip(data) {
        let event = EventRecord {
            position: number,
            event_id: format!("evt-01m809tw4yermvv0c4wt4fh8b{number}"),
            kind: "directory.user.created".to_owned(),
            organization_id: None,
            directory_id: None,
            number,
            occurred_at: now,
            data: String::new(),
            cause: None,
        };
        // While one secret takes over from another, both sign.
        for live in [&secrets[..1], &secrets[..]] {
            let url = "https://app.example/hook";
            let message = Message::new(url, &event, &data.to_string(), live, now);
            for secret in live {
                let headers = json!({
                    "webhook-id": message.id,
                    "webhook-timestamp": message.timestamp.to_string(),
                    "webhook-signature": message.signature,
                });
                let line = json!({
                    "secret": secret.reveal(), "body": message.body, "headers": headers,
                });
                println!("{line}");
            }
        }
    }
}
