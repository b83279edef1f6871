//! The document that describes the management API (OpenAPI 3.1), printed from its table of routes, and
//! a page on which it can be read.
//!
//! Both are there for whoever asks: they say what anybody can read in the source.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

use crate::Counter;
use crate::api::{self, Route};
use crate::problem::Problem;

/// Real requests and their answers, by the id of their operation. A test writes them, and holds them
/// against a server.
const EXAMPLES: &str = include_str!("../examples.json");

pub(crate) fn routes() -> Router<Arc<Counter>> {
    Router::new()
        .route("/api/v1/openapi.json", get(async || Json(document())))
        .route("/api/v1/docs", get(page))
}

/// The whole document.
pub fn document() -> Value {
    let table = api::table();
    let examples: Value = serde_json::from_str(EXAMPLES).expect("the examples are JSON");
    let mut schemas = Map::new();
    schemas.insert(
        Problem::name().into_owned(),
        serde_json::to_value(Problem::schema()).expect("a schema can be printed"),
    );
    let mut paths: Map<String, Value> = Map::new();
    for route in &table {
        let found = route.schemas().iter().map(|(name, schema)| (name.clone(), schema.clone()));
        schemas.extend(found);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method] = route.describe(&examples[route.id]);
    }
    schemas.sort_keys();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Roster management API",
            "description": INTRODUCTION,
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/api/v1" }],
        "security": [{ "apiKey": [] }],
        "tags": tags(&table),
        "paths": paths,
        "components": {
            "securitySchemes": {
                "apiKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key: `roster-api-…`. `roster serve` makes the first one.",
                },
            },
            "parameters": {
                "IdempotencyKey": idempotency_key(),
                "IfMatch": if_match(),
                "IfNoneMatch": if_none_match(),
            },
            "headers": {
                "ETag": etag(),
                "IdempotentReplayed": idempotent_replayed(),
                "RequestId": request_id(),
                "RetryAfter": retry_after(),
            },
            "responses": problems(),
            "schemas": schemas,
        },
    })
}

const INTRODUCTION: &str = "Where a vendor's app makes organizations, directories and credentials, \
    and reads people, groups and events. JSON in and out. Lists that take `limit` and `after` go \
    on with `next` as `after` until it is `null`. Errors are problem details (RFC 9457): `title` \
    says what happened, `detail` why, and `hint` what to do now.";

fn tags(table: &[Route]) -> Value {
    let about = |tag: &str| match tag {
        "organizations" => "Your customers.",
        "directories" => "SCIM connections of an organization to a provider, and their schemas.",
        "tokens" => "Credentials of a directory: tokens, and OAuth clients.",
        "portal" => "Links with which IT admins of your customers open the portal.",
        "users" => "People and groups of a directory.",
        "events" => "What happened, in order.",
        "catalogue" => "The roles and entitlements of your app, as providers read them.",
        "keys" => "Keys of this API.",
        "sign_in" => "Whether somebody may be let in.",
        "receipts" => "What your app says of access that has ended.",
        "settings" => "What the server runs with.",
        _ => "",
    };
    let mut tags: Vec<&str> = Vec::new();
    for route in table {
        if !tags.contains(&route.tag()) {
            tags.push(route.tag());
        }
    }
    tags.into_iter().map(|tag| json!({ "name": tag, "description": about(tag) })).collect()
}

fn idempotency_key() -> Value {
    json!({
        "name": "Idempotency-Key",
        "in": "header",
        "required": false,
        "description": "New for each thing that is to be made, such as a UUID. A request that is \
            sent again with it within 24 hours is answered as before, with the header \
            `Idempotent-Replayed`, and has no second effect. With another body it is refused with \
            422, and with 409 while the first is being carried out.",
        "schema": { "type": "string", "minLength": 1, "maxLength": 255 },
    })
}

fn etag() -> Value {
    json!({
        "description": "Stands for the state of what can be edited of it: another one after each \
            edit, and the same whatever happens beside that.",
        "schema": { "type": "string" },
    })
}

fn request_id() -> Value {
    json!({
        "description": "The id of the request: `req-…`. The server's log has it, and events and \
            entries of the audit log name it as their cause.",
        "schema": { "type": "string" },
    })
}

fn retry_after() -> Value {
    json!({
        "description": "After how many seconds the request may be sent again.",
        "schema": { "type": "integer", "minimum": 1 },
    })
}

fn idempotent_replayed() -> Value {
    json!({
        "description": "`true` where this was answered before, under the same `Idempotency-Key`.",
        "schema": { "type": "string", "enum": ["true"] },
    })
}

/// Of an answer to whatever was asked.
pub(crate) fn headers_of_all() -> Value {
    json!({ "X-Request-Id": { "$ref": "#/components/headers/RequestId" } })
}

fn if_match() -> Value {
    json!({
        "name": "If-Match",
        "in": "header",
        "required": false,
        "description": "The `ETag` that was read: it is done only if nobody has edited it since, \
            and otherwise refused with 412. Several, separated by commas, mean any of them, and \
            `*` whatever is there. Tags are compared without regard to `W/`.",
        "schema": { "type": "string" },
    })
}

fn if_none_match() -> Value {
    json!({
        "name": "If-None-Match",
        "in": "header",
        "required": false,
        "description": "`*`: it is done only if there is none yet. A tag: only if it is another.",
        "schema": { "type": "string" },
    })
}

/// What every problem is, by its status.
fn problems() -> Value {
    let statuses = [
        (400, "It cannot be understood"),
        (401, "There is no valid API key"),
        (403, "The API key may not do this"),
        (404, "There is no such thing, or it may not be known of"),
        (408, "The body did not arrive in time"),
        (409, "Something stands in the way"),
        (410, "The cursor leads nowhere any more"),
        (412, "It was edited meanwhile, or is there already"),
        (413, "The body is too large"),
        (422, "The `Idempotency-Key` was used for another request"),
        (429, "Too much at once; `Retry-After` says when to come again"),
        (500, "Something failed on the server's side"),
        (503, "The server is busy or stopping; `Retry-After` says when to come again"),
    ];
    let problem = |(status, description): (u16, &str)| {
        let content = json!({ "schema": { "$ref": "#/components/schemas/Problem" } });
        let mut answer = json!({
            "description": description,
            "headers": headers_of_all(),
            "content": { "application/problem+json": content },
        });
        if matches!(status, 429 | 503) {
            answer["headers"]["Retry-After"] = json!({ "$ref": "#/components/headers/RetryAfter" });
        }
        (status.to_string(), answer)
    };
    Value::Object(statuses.into_iter().map(problem).collect())
}

/// The document as a page: no script, and nothing from elsewhere.
async fn page() -> Response {
    let mut response = Html(print(&document())).into_response();
    let policy = HeaderValue::from_static(
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; \
         form-action 'none'",
    );
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:1rem;\
    color:#1b1b1f;background:#fff}code,pre{font:14px/1.4 ui-monospace,monospace}pre{background:#f3f3f6;\
    padding:.75rem;overflow:auto;border-radius:6px}summary{cursor:pointer;padding:.35rem 0}\
    details{border-top:1px solid #d9d9e0}table{border-collapse:collapse}td,th{text-align:left;\
    padding:.15rem .75rem .15rem 0;vertical-align:top}.m{display:inline-block;min-width:4.5rem;\
    font-weight:600}@media(prefers-color-scheme:dark){body{color:#e5e5ea;background:#17171a}\
    pre{background:#242429}details{border-color:#3a3a42}a{color:#8ab4ff}}";

fn print(document: &Value) -> String {
    let text = |value: &Value| escaped(value.as_str().unwrap_or_default());
    let title = text(&document["info"]["title"]);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style>{STYLE}</style></head><body>\n<h1>{title} {}</h1>\n<p>{}</p>\n\
         <p>Below <code>/api/v1</code>, with <code>Authorization: Bearer</code> and an API key. For \
         programs: <a href=\"openapi.json\">openapi.json</a>.</p>\n",
        text(&document["info"]["version"]),
        with_code(document["info"]["description"].as_str().unwrap_or_default()),
    );
    let add = "a page takes it";
    for tag in document["tags"].as_array().into_iter().flatten() {
        let (name, about) = (text(&tag["name"]), text(&tag["description"]));
        write!(page, "<h2 id=\"{name}\">{name}</h2>\n<p>{about}</p>\n").expect(add);
        for (path, methods) in document["paths"].as_object().into_iter().flatten() {
            for (method, operation) in methods.as_object().into_iter().flatten() {
                if operation["tags"][0] == tag["name"] {
                    print_operation(document, path, method, operation, &mut page);
                }
            }
        }
    }
    page.push_str("<h2 id=\"schemas\">Schemas</h2>\n");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        let name = escaped(name);
        let schema = escaped(&format!("{schema:#}"));
        writeln!(
            page,
            "<details id=\"schema-{name}\"><summary><code>{name}</code></summary>\
             <pre>{schema}</pre></details>"
        )
        .expect(add);
    }
    page.push_str("</body></html>\n");
    page
}

fn print_operation(
    document: &Value,
    path: &str,
    method: &str,
    operation: &Value,
    page: &mut String,
) {
    let add = "a page takes it";
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    write!(
        page,
        "<details id=\"{}\"><summary><span class=\"m\">{}</span><code>{}</code> {}</summary>\n\
         <p>{}</p>\n",
        escaped(&text(&operation["operationId"])),
        escaped(&method.to_uppercase()),
        escaped(path),
        escaped(&text(&operation["summary"])),
        with_code(&text(&operation["description"])).replace("\n\n", "</p>\n<p>"),
    )
    .expect(add);
    let parameters: Vec<_> = operation["parameters"].as_array().into_iter().flatten().collect();
    if !parameters.is_empty() {
        page.push_str("<table>\n");
        for parameter in parameters {
            let parameter = match parameter["$ref"].as_str() {
                Some(place) => document.pointer(&place[1..]).expect("it is described"),
                None => parameter,
            };
            let (name, about) = (text(&parameter["name"]), text(&parameter["description"]));
            let row = format!(
                "<tr><td><code>{}</code></td><td>{}</td></tr>\n",
                escaped(&name),
                with_code(&about)
            );
            page.push_str(&row);
        }
        page.push_str("</table>\n");
    }
    let content = &operation["requestBody"]["content"]["application/json"];
    print_content("Takes", content, page);
    for (status, answer) in operation["responses"].as_object().into_iter().flatten() {
        if answer.get("$ref").is_none() {
            let content = &answer["content"]["application/json"];
            print_content(&format!("Answers {status}"), content, page);
        }
    }
    page.push_str("</details>\n");
}

fn print_content(what: &str, content: &Value, page: &mut String) {
    let add = "a page takes it";
    let named = content["schema"]["$ref"].as_str().and_then(|it| it.rsplit('/').next());
    match named {
        Some(name) => {
            let name = escaped(name);
            writeln!(page, "<p>{what} <a href=\"#schema-{name}\"><code>{name}</code></a></p>")
        }
        None if content.is_null() && what == "Takes" => Ok(()),
        None => writeln!(page, "<p>{what}</p>"),
    }
    .expect(add);
    if let Some(example) = content.get("example") {
        writeln!(page, "<pre>{}</pre>", escaped(&format!("{example:#}"))).expect(add);
    }
}

/// Text with what stands in backticks as code.
fn with_code(text: &str) -> String {
    let mut printed = String::new();
    for (place, part) in text.split('`').enumerate() {
        let part = escaped(part);
        if place % 2 == 1 {
            write!(printed, "<code>{part}</code>").expect("a page takes it");
        } else {
            printed.push_str(&part);
        }
    }
    printed
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
