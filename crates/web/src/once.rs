//! `Idempotency-Key`: a request that is sent again has its effect once, and is answered as before.
//!
//! The answer may show a secret, which nothing else of what is kept does. So it is sealed with a key
//! that is made of the API key and the key of idempotency, neither of which is kept: whoever reads
//! the database cannot open it, and whoever sends the request again can.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use directory::secret::{Entropy, SecretHash, hex};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{Context, SHA256};
use store::{Begun, OnceStore};
use tokio::task::JoinError;

use crate::body::{self, Unread};
use crate::problem::{Problem, Uncertain};
use crate::{Counter, caller};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// In an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Characters of a key.
const KEY_MAX: usize = 255;

/// Bytes of an answer that is kept. What is made here is described in a few hundred.
const ANSWER_MAX: usize = 1024 * 1024;

pub(crate) async fn carry_out(
    State(counter): State<Arc<Counter>>,
    request: Request,
    next: Next,
) -> Response {
    // Other methods have their effect once by themselves.
    if request.method() != Method::POST || !request.headers().contains_key(KEY) {
        return next.run(request).await;
    }
    match carry_out_once(counter, request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn carry_out_once(
    counter: Arc<Counter>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let (parts, request_body) = request.into_parts();
    let store = caller::vendor(&counter, &parts).await?;
    let key = read_key(&parts.headers)?;
    let api_key = caller::api_key(&parts.headers).ok_or_else(Problem::unauthorized)?;
    let holder = store.key().map(|key| key.id).ok_or_else(Problem::unauthorized)?;
    let seal = Seal { api_key: api_key.to_owned(), key: key.clone() };

    let bytes_max = counter.settings.limits.api_body_bytes;
    let bytes = body::read(request_body, bytes_max).await;
    let bytes = bytes.map_err(|unread| Problem::unread(&unread, bytes_max))?;
    let path = parts.uri.path_and_query().map_or("", |it| it.as_str());
    let request_hash = hash(&[parts.method.as_str().as_bytes(), path.as_bytes(), &bytes]);

    let once = store.once(holder, SecretHash::of(&key).as_str().to_owned());
    let is_going_on = Arc::clone(&counter.under_way).read_owned().await;
    let request = Request::from_parts(parts, Body::from(bytes));
    // On its own, because what is awaited here ends when the client hangs up.
    let carrying_out = tokio::spawn(async move {
        let answer = begin_and_answer(&counter, &once, request_hash, &seal, request, next).await;
        drop(is_going_on);
        answer
    });
    match carrying_out.await.map_err(JoinError::try_into_panic) {
        Ok(answer) => answer,
        Err(Ok(panicked)) => std::panic::resume_unwind(panicked),
        // The server has gone.
        Err(Err(_)) => Err(unfinished()),
    }
}

async fn begin_and_answer(
    counter: &Counter,
    once: &OnceStore,
    request_hash: String,
    seal: &Seal,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    match once.begin(request_hash).await? {
        Begun::First => {}
        Begun::Another => return Err(another()),
        Begun::Unfinished => return Err(unfinished()),
        Begun::Answered { status, answer } => {
            let status = StatusCode::from_u16(status).ok();
            let opened = seal.open(&answer);
            let opened = opened.as_deref().and_then(Answer::read);
            let (Some(status), Some(answer)) = (status, opened) else { return Err(unfinished()) };
            let mut response = (status, answer.body).into_response();
            if let Some(tag) = answer.tag {
                response.headers_mut().insert(header::ETAG, tag);
            }
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, json);
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
            return Ok(response);
        }
    }
    let response = next.run(request).await;
    if !response.status().is_success() {
        // Where nobody knows whether it was done, nobody does it again under this key.
        if response.extensions().get::<Uncertain>().is_none() {
            once.forget().await?;
        }
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, ANSWER_MAX).await;
    let body = body.map_err(|_| unfinished())?;
    let answer = Answer { tag: parts.headers.get(header::ETAG).cloned(), body: body.clone() };
    let answer = seal.close(&answer.written(), (counter.entropy)());
    once.end(parts.status.as_u16(), answer).await?;
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn read_key(headers: &axum::http::HeaderMap) -> Result<String, Problem> {
    let mut values = headers.get_all(KEY).iter();
    let key = values.next().and_then(|value| value.to_str().ok()).map(str::trim);
    match key {
        Some(key) if (1..=KEY_MAX).contains(&key.len()) && values.next().is_none() => {
            Ok(key.to_owned())
        }
        _ => Err(Problem::invalid(
            format!(
                "`Idempotency-Key` is empty, has more than {KEY_MAX} characters, or is there twice"
            ),
            "Send one that is new for each thing that is to be made, such as a UUID",
        )),
    }
}

fn another() -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "idempotency-key-reused",
        "The `Idempotency-Key` was used for another request",
        "within 24 hours a key is good for one path, query and body",
        "Send a new key with each new request, and the same only to send one again unchanged",
    )
}

fn unfinished() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "idempotency-unfinished",
        "A request with this `Idempotency-Key` is not finished",
        "it is being carried out, or was interrupted, and then nobody knows whether it was done",
        "Send it again in a few seconds; if this stays so, look whether it was done, and use a new key \
         if not",
    )
}

/// What is kept of an answer: its `ETag`, where it has one, on a line of its own, and its body.
struct Answer {
    tag: Option<HeaderValue>,
    body: Bytes,
}

impl Answer {
    fn written(&self) -> Vec<u8> {
        let tag = self.tag.as_ref().map_or(&b""[..], HeaderValue::as_bytes);
        [tag, b"\n", &self.body].concat()
    }

    fn read(written: &[u8]) -> Option<Answer> {
        let end = written.iter().position(|byte| *byte == b'\n')?;
        let tag = Some(&written[..end]).filter(|tag| !tag.is_empty());
        let tag = tag.map(HeaderValue::from_bytes).transpose().ok()?;
        Some(Answer { tag, body: Bytes::copy_from_slice(&written[end + 1..]) })
    }
}

/// What opens an answer again.
struct Seal {
    api_key: String,
    key: String,
}

impl Seal {
    /// Each answer has a key of its own, so the nonce is always the first.
    fn key(&self, salt: &str) -> LessSafeKey {
        let mut context = Context::new(&SHA256);
        for part in ["roster answer", salt, &self.api_key, &self.key] {
            context.update(&part.len().to_be_bytes());
            context.update(part.as_bytes());
        }
        let key = UnboundKey::new(&CHACHA20_POLY1305, context.finish().as_ref());
        LessSafeKey::new(key.expect("a digest has as many bytes as a key"))
    }

    fn close(&self, answer: &[u8], chance: Entropy) -> String {
        let salt = hex(&chance);
        let mut sealed = answer.to_vec();
        let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        self.key(&salt)
            .seal_in_place_append_tag(nonce, Aad::empty(), &mut sealed)
            .expect("an answer is not as long as the limit of the cipher");
        format!("{salt}.{}", hex(&sealed))
    }

    fn open(&self, kept: &str) -> Option<Bytes> {
        let (salt, sealed) = kept.split_once('.')?;
        let mut sealed = unhex(sealed)?;
        let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        let opened = self.key(salt).open_in_place(nonce, Aad::empty(), &mut sealed).ok()?;
        Some(Bytes::copy_from_slice(opened))
    }
}

/// Which request it is.
fn hash(parts: &[&[u8]]) -> String {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&part.len().to_be_bytes());
        context.update(part);
    }
    hex(context.finish().as_ref())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

impl Problem {
    /// A body that was not read.
    pub(crate) fn unread(unread: &Unread, bytes_max: usize) -> Problem {
        match unread {
            Unread::TooLarge => Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "The request is too large",
                format!("it has more than {bytes_max} bytes"),
                "Send less at once",
            ),
            Unread::TooSlow => Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "too-slow",
                "The request took too long",
                "its body did not arrive whole in time",
                "Send it again",
            ),
            Unread::Broken => Problem::invalid("the request broke off", "Send it again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_opened_by_whoever_sends_the_same_keys() {
        let seal = |api_key: &str, key: &str| Seal { api_key: api_key.into(), key: key.into() };
        let kept = seal("roster-api-1", "one").close(b"roster-scim-7", [7; 32]);
        assert_eq!(seal("roster-api-1", "one").open(&kept).as_deref(), Some(&b"roster-scim-7"[..]));
        assert_eq!(seal("roster-api-1", "two").open(&kept), None);
        assert_eq!(seal("roster-api-2", "one").open(&kept), None);
        // Nor do the same letters, divided otherwise.
        assert_eq!(seal("roster-api-1o", "ne").open(&kept), None);
        assert_eq!(seal("roster-api-1", "one").open(&kept[..kept.len() - 2]), None);
        assert!(!kept.contains(&hex(b"roster-scim-7")));
    }
}
