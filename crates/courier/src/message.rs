//! What an endpoint is sent: the event as JSON, and the three headers of Standard Webhooks.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use directory::webhook::SigningSecret;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
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

/// Bytes of a body at most: "it's recommended to keep the size of payloads small, usually smaller than
/// 20kb" (Standard Webhooks, "Payload size"). What is in front of a receiver may refuse more.
const BODY_MAX: usize = 20_000;

/// Values that are left out of one body one by one. Where these are not enough, everything goes but
/// ids: a list of hundreds of names says no more than that.
const OMITTED_MAX: usize = 20;

/// Bytes up to which something stays as it is where everything else goes.
const SMALL: usize = 500;

/// An event as the feed has it, and beside it `timestamp`, as Standard Webhooks calls the time when
/// it occurred. One that would be too large is brought without its largest values: these are named,
/// and where it can be read whole.
fn body(event: &EventRecord, data: &str) -> String {
    let whole = written(event, data, "");
    if whole.len() <= BODY_MAX {
        return whole;
    }
    match serde_json::from_str(data) {
        Ok(Value::Object(data)) => thinned(event, data, whole.len()),
        // Events are kept as objects.
        _ => whole,
    }
}

fn written(event: &EventRecord, data: &str, more: &str) -> String {
    fn json(id: Option<impl ToString>) -> Value {
        id.map(|id| id.to_string()).into()
    }
    // As precise as the feed says it, so that both say the same.
    let time = event.occurred_at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    let time = Value::from(time);
    format!(
        "{{\"type\":{},\"timestamp\":{time},\"id\":{},\"occurred_at\":{time},\
         \"organization_id\":{},\"directory_id\":{},\"number\":{},\"cause\":{}{more},\"data\":{data}}}",
        Value::from(event.kind.as_str()),
        Value::from(event.event_id.as_str()),
        json(event.organization_id),
        json(event.directory_id),
        event.number,
        event.cause.as_deref().unwrap_or("null"),
    )
}

/// The body without as many values as have to go, the largest first. A value is one attribute of what
/// the event is about, or what was changed of one attribute.
fn thinned(event: &EventRecord, mut data: Map<String, Value>, whole: usize) -> String {
    let mut values = Vec::new();
    for (thing, members) in &data {
        // By ids, everything else can be read.
        for (name, value) in members.as_object().into_iter().flatten().filter(|it| it.0 != "id") {
            values.push((value.to_string().len(), thing.clone(), name.clone()));
        }
    }
    values.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| one.cmp(other)));
    let mut length = whole + telling(event, &[]).len();
    let mut gone = Vec::new();
    for (bytes, thing, name) in values.into_iter().take(OMITTED_MAX) {
        if length <= BODY_MAX {
            break;
        }
        // At most, for the name of the value goes with it.
        let told = Value::from(pointer(&[&thing, &name])).to_string().len() + 1;
        length = length.saturating_sub(bytes) + told;
        gone.push((thing, name));
    }
    let mut omitted = Vec::new();
    if length <= BODY_MAX {
        for (thing, name) in gone {
            if let Some(members) = data.get_mut(&thing).and_then(Value::as_object_mut) {
                members.remove(&name);
            }
            omitted.push(pointer(&[&thing, &name]));
        }
    } else {
        data.retain(|thing, value| {
            if value.to_string().len() <= SMALL {
                return true;
            }
            omitted.push(pointer(&[thing]));
            let id = value.get("id").cloned();
            *value = json!({ "id": id });
            id.is_some()
        });
    }
    written(event, &Value::Object(data).to_string(), &telling(event, &omitted))
}

/// What was left out, as pointers into the body (RFC 6901), and where the event can be read whole.
fn telling(event: &EventRecord, omitted: &[String]) -> String {
    let mut telling = json!({ "omitted": omitted });
    if let Some(directory) = event.directory_id {
        let path = format!("/api/v1/directories/{directory}/events/{}", event.number);
        telling["whole_event"] = path.into();
    }
    let text = telling.to_string();
    format!(",{}", &text[1..text.len() - 1])
}

/// Where something stands in the body, below `data`.
fn pointer(names: &[&str]) -> String {
    let escaped = names.iter().map(|name| name.replace('~', "~0").replace('/', "~1"));
    std::iter::once("/data".to_owned()).chain(escaped).collect::<Vec<_>>().join("/")
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
    use directory::{DirectoryId, Ids};

    use super::*;

    fn event(directory_id: Option<DirectoryId>) -> EventRecord {
        EventRecord {
            position: 7,
            event_id: "evt-1".to_owned(),
            kind: "webhook.test".to_owned(),
            organization_id: None,
            directory_id,
            number: 3,
            occurred_at: "2026-11-22T10:00:00.25Z".parse().unwrap(),
            data: String::new(),
            cause: Some("{\"by\":{\"type\":\"server\"}}".to_owned()),
        }
    }

    struct One;

    impl Ids for One {
        fn next(&self) -> uuid::Uuid {
            uuid::Uuid::from_u128(1)
        }
    }

    #[test]
    fn an_event_is_written_as_the_feed_has_it() {
        let message = Message::new(
            "https://a.example/",
            &event(None),
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

    #[test]
    fn a_large_event_is_brought_without_its_largest_values_and_says_so() {
        let directory = DirectoryId::new(&One);
        // What is left out, where there is anything; put back, it is the whole event.
        let check = |data: Value, expected: Option<&[&str]>| {
            let event = event(Some(directory));
            let body = body(&event, &data.to_string());
            let mut told: Value = serde_json::from_str(&body).unwrap();
            let Some(expected) = expected else {
                assert_eq!(body, written(&event, &data.to_string(), ""));
                return body.len();
            };
            assert!(body.len() <= BODY_MAX, "{}", body.len());
            assert_eq!(told["omitted"], json!(expected));
            let path = format!("/api/v1/directories/{directory}/events/3");
            assert_eq!(told["whole_event"], path);
            assert_eq!(told["data"]["user"]["id"], "ana");
            for pointer in expected {
                let value = json!({ "data": data }).pointer(pointer).expect("it was there").clone();
                let (before, name) = pointer.rsplit_once('/').unwrap();
                let name = name.replace("~1", "/").replace("~0", "~");
                told.pointer_mut(before).unwrap()[name] = value;
            }
            assert_eq!(told["data"], data);
            body.len()
        };
        let sized = |bytes: usize| json!({ "user": { "id": "ana", "title": "x".repeat(bytes) } });
        let around = check(sized(0), None);
        // Both sides of the edge.
        assert_eq!(check(sized(BODY_MAX - around), None), BODY_MAX);
        check(sized(BODY_MAX - around + 1), Some(&["/data/user/title"]));

        // Attributes of 100 kB, of an extension; what is small stays.
        let urn = "urn:example:a/b~c:Badge";
        let badge = |text: &str| json!({ "note": text.repeat(50_000) });
        let data = json!({
            "user": { "id": "ana", "userName": "ana@acme.example", urn: badge("no") },
            "changes": {
                format!("{urn}:note"): { "old": badge("da"), "new": badge("no") },
                "active": { "old": true, "new": false },
            },
        });
        let expected = [
            "/data/changes/urn:example:a~1b~0c:Badge:note",
            "/data/user/urn:example:a~1b~0c:Badge",
        ];
        check(data, Some(&expected));

        // Thousands of small ones, which no list of names would make shorter.
        let many = |value: &str| -> Map<String, Value> {
            (0..3_000).map(|it| (format!("attribute-{it}"), json!(value))).collect()
        };
        let mut user = many("some text");
        user.insert("id".to_owned(), json!("ana"));
        let member = json!({ "value": "x", "type": "User" });
        let data = json!({ "user": user, "changes": many("other text"), "member": member });
        check(data, Some(&["/data/user", "/data/changes"]));
    }
}
