//! What an endpoint is sent: the event as JSON, and the three headers of Standard Webhooks.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use directory::webhook::SigningSecret;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;
use store::EventRecord;

/// A request to an endpoint.
#[derive(Clone, Debug)]
pub struct Message {
    /// Where to.
    pub url: String,
    /// `webhook-id`: that of the event, the same at each attempt.
    pub id: String,
    /// `webhook-timestamp`: when this attempt is made, in seconds.
    pub timestamp: i64,
    /// `webhook-signature`.
    pub signature: String,
    /// The event.
    pub body: String,
}

impl Message {
    /// Writes an event down and signs it with all secrets that are good now.
    pub fn new(
        url: &str,
        event: &EventRecord,
        data: &str,
        secrets: &[SigningSecret],
        now: Timestamp,
    ) -> Message {
        let (id, timestamp) = (event.event_id.clone(), now.as_second());
        let body = body(event, data);
        let signature = sign(secrets, &id, timestamp, &body);
        Message { url: url.to_owned(), id, timestamp, signature, body }
    }
}

/// An event as the feed has it, and beside it `timestamp`, as Standard Webhooks calls the time when
/// it occurred.
fn body(event: &EventRecord, data: &str) -> String {
    fn json(id: Option<impl ToString>) -> serde_json::Value {
        id.map(|id| id.to_string()).into()
    }
    // As precise as the feed says it, so that both say the same.
    let time = event.occurred_at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    let time = serde_json::Value::from(time);
    format!(
        "{{\"type\":{},\"timestamp\":{time},\"id\":{},\"occurred_at\":{time},\
         \"organization_id\":{},\"directory_id\":{},\"number\":{},\"cause\":{},\"data\":{data}}}",
        serde_json::Value::from(event.kind.as_str()),
        serde_json::Value::from(event.event_id.as_str()),
        json(event.organization_id),
        json(event.directory_id),
        event.number,
        event.cause.as_deref().unwrap_or("null"),
    )
}

/// Signatures by each secret, separated by spaces. Whoever receives them believes any one.
pub fn sign(secrets: &[SigningSecret], id: &str, timestamp: i64, body: &str) -> String {
    let signatures = secrets.iter().filter_map(|secret| {
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret.key()?).ok()?;
        for part in [id, ".", &timestamp.to_string(), ".", body] {
            mac.update(part.as_bytes());
        }
        Some(format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes())))
    });
    signatures.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_written_as_the_feed_has_it() {
        let event = EventRecord {
            position: 7,
            event_id: "evt-1".to_owned(),
            kind: "webhook.test".to_owned(),
            organization_id: None,
            directory_id: None,
            number: 3,
            occurred_at: "2026-11-22T10:00:00.25Z".parse().unwrap(),
            data: String::new(),
            cause: Some("{\"by\":{\"type\":\"server\"}}".to_owned()),
        };
        let message = Message::new(
            "https://a.example/",
            &event,
            "{\"a\":1}",
            &[SigningSecret::new([7; 32])],
            "2026-11-22T11:00:00.9Z".parse().unwrap(),
        );
        assert_eq!(
            message.body,
            "{\"type\":\"webhook.test\",\"timestamp\":\"2026-11-22T10:00:00.250Z\",\"id\":\"evt-1\",\
             \"occurred_at\":\"2026-11-22T10:00:00.250Z\",\"organization_id\":null,\
             \"directory_id\":null,\"number\":3,\
             \"cause\":{\"by\":{\"type\":\"server\"}},\"data\":{\"a\":1}}"
        );
        assert_eq!((message.id.as_str(), message.timestamp), ("evt-1", 1_795_345_200));
    }
}
