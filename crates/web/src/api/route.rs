//! One entry for each route of the management API: where it is, what a key has to allow for it, what
//! it takes and answers. The routes are served from these entries and the document that describes
//! them is printed from them, so the two cannot differ.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::handler::Handler;
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use directory::ApiScope;
use serde_json::{Value, json};
use utoipa::openapi::path::ParameterIn;
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::Counter;
use crate::openapi::headers_of_all;

/// What a route asks of a key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needs {
    pub(crate) scope: ApiScope,
    /// It concerns all organizations: a key of one is refused.
    pub(crate) is_of_all: bool,
    /// Where it is.
    pub(crate) path: &'static str,
}

/// A route, and what is said of it.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    /// By which a client calls it: `create_organization`.
    pub(crate) id: &'static str,
    needs: Needs,
    handler: MethodRouter<Arc<Counter>>,
    summary: &'static str,
    description: &'static str,
    query: Vec<Value>,
    input: Option<String>,
    answers: Vec<(u16, Option<String>)>,
    /// Of an answer that is no JSON, and may have no end: its media type.
    stream: Option<&'static str>,
    /// Statuses of problems, beside those that every route has.
    problems: Vec<u16>,
    /// Whether what it answers has an `ETag`.
    is_tagged: bool,
    /// Whether `If-Match` and `If-None-Match` are looked at.
    is_guarded: bool,
    schemas: Schemas,
}

/// What things look like, by name.
pub(crate) type Schemas = BTreeMap<String, Value>;

/// Statuses of problems that every route may answer.
const PROBLEMS: [u16; 6] = [400, 401, 403, 429, 500, 503];

macro_rules! methods {
    ($($name:ident $method:literal),*) => {
        $(
            pub(crate) fn $name<H, T>(
                path: &'static str,
                id: &'static str,
                scope: ApiScope,
                handler: H,
            ) -> Route
            where
                H: Handler<T, Arc<Counter>>,
                T: 'static,
            {
                Route::new($method, path, id, scope, $name(handler))
            }
        )*
    };
}

impl Route {
    methods!(get "get", post "post", put "put", patch "patch", delete "delete");

    fn new(
        method: &'static str,
        path: &'static str,
        id: &'static str,
        scope: ApiScope,
        handler: MethodRouter<Arc<Counter>>,
    ) -> Route {
        let problems = if path.contains('{') { vec![404] } else { Vec::new() };
        Route {
            method,
            path,
            id,
            needs: Needs { scope, is_of_all: false, path },
            handler,
            summary: "",
            description: "",
            query: Vec::new(),
            input: None,
            answers: Vec::new(),
            stream: None,
            problems,
            is_tagged: false,
            is_guarded: false,
            schemas: Schemas::new(),
        }
    }

    /// What it does, in a line, and what else is to be known.
    pub(crate) fn says(mut self, summary: &'static str, description: &'static str) -> Route {
        self.summary = summary;
        self.description = description;
        self
    }

    /// It concerns all organizations.
    pub(crate) fn of_all(mut self) -> Route {
        self.needs.is_of_all = true;
        self
    }

    pub(crate) fn query<Q: IntoParams>(mut self) -> Route {
        let parameters = Q::into_params(|| Some(ParameterIn::Query));
        let print = |it| serde_json::to_value(it).expect("a parameter can be printed");
        self.query.extend(parameters.iter().map(print));
        self
    }

    pub(crate) fn takes<I: ToSchema>(mut self) -> Route {
        self.input = Some(self.learn::<I>());
        self.problems.extend([408, 413]);
        self
    }

    pub(crate) fn answers<O: ToSchema>(mut self, status: u16) -> Route {
        let name = self.learn::<O>();
        self.answers.push((status, Some(name)));
        self
    }

    /// It answers a page of these ([`PageOf`](super::PageOf)).
    pub(crate) fn answers_page_of<O: ToSchema>(mut self) -> Route {
        let entry = self.learn::<O>();
        let name = format!("PageOf{entry}");
        let page = json!({
            "type": "object",
            "required": ["data", "next"],
            "properties": {
                "data": {
                    "type": "array",
                    "items": { "$ref": format!("#/components/schemas/{entry}") },
                },
                "next": {
                    "type": ["string", "null"],
                    "description": "What to send as `after` for the next page; `null` on the last.",
                },
            },
        });
        self.schemas.insert(name.clone(), page);
        self.answers.push((200, Some(name)));
        self
    }

    /// It answers 200 with a stream of this media type, in which these are.
    pub(crate) fn streams<O: ToSchema>(mut self, media_type: &'static str) -> Route {
        self.learn::<O>();
        self.streams_lines(media_type)
    }

    /// The same, of what is described in words.
    pub(crate) fn streams_lines(mut self, media_type: &'static str) -> Route {
        self.stream = Some(media_type);
        self
    }

    /// It answers 204.
    pub(crate) fn answers_nothing(mut self) -> Route {
        self.answers.push((204, None));
        self
    }

    /// What it answers has an `ETag`.
    pub(crate) fn tagged(mut self) -> Route {
        self.is_tagged = true;
        self
    }

    /// It is done only where `If-Match` and `If-None-Match` hold.
    pub(crate) fn guarded(mut self) -> Route {
        self.is_guarded = true;
        self.problems.push(412);
        self
    }

    /// It may also refuse with these.
    pub(crate) fn refuses(mut self, statuses: &[u16]) -> Route {
        self.problems.extend(statuses);
        self
    }

    fn learn<S: ToSchema>(&mut self) -> String {
        let mut found = vec![(S::name().into_owned(), <S as PartialSchema>::schema())];
        S::schemas(&mut found);
        let print = |it| serde_json::to_value(it).expect("a schema can be printed");
        self.schemas.extend(found.into_iter().map(|(name, schema)| (name, print(schema))));
        S::name().into_owned()
    }

    /// What serves it, which is told what it needs.
    pub(crate) fn serve(self) -> (&'static str, MethodRouter<Arc<Counter>>) {
        (self.path, self.handler.layer(Extension(self.needs)))
    }

    /// The schemas that its description names.
    pub(crate) fn schemas(&self) -> &Schemas {
        &self.schemas
    }

    /// Its description, with real examples where there are any.
    pub(crate) fn describe(&self, example: &Value) -> Value {
        let names = self.path.split('{').skip(1).filter_map(|part| part.split('}').next());
        let mut parameters: Vec<Value> = names.map(path_parameter).collect();
        parameters.extend(self.query.iter().cloned());
        if self.method == "post" {
            parameters.push(json!({ "$ref": "#/components/parameters/IdempotencyKey" }));
        }
        if self.is_guarded {
            for name in ["IfMatch", "IfNoneMatch"] {
                parameters.push(json!({ "$ref": format!("#/components/parameters/{name}") }));
            }
        }
        let content = |name: &str, example: &Value| {
            let mut content =
                json!({ "schema": { "$ref": format!("#/components/schemas/{name}") } });
            if !example.is_null() {
                content["example"] = example.clone();
            }
            json!({ "application/json": content })
        };
        let mut responses = serde_json::Map::new();
        for (status, name) in &self.answers {
            let answer = match name {
                Some(name) => {
                    let example = if example["status"] == *status {
                        &example["response"]
                    } else {
                        &Value::Null
                    };
                    let mut answer =
                        json!({ "description": "Done", "content": content(name, example) });
                    answer["headers"] = headers_of_all();
                    if self.is_tagged {
                        answer["headers"]["ETag"] = json!({ "$ref": "#/components/headers/ETag" });
                    }
                    if self.method == "post" {
                        answer["headers"]["Idempotent-Replayed"] =
                            json!({ "$ref": "#/components/headers/IdempotentReplayed" });
                    }
                    answer
                }
                None => json!({ "description": "Done", "headers": headers_of_all() }),
            };
            responses.insert(status.to_string(), answer);
        }
        if let Some(media_type) = self.stream {
            let mut content = json!({ "schema": { "type": "string" } });
            if !example.is_null() {
                content["example"] = example["response"].clone();
            }
            let answer = json!({
                "description": "Done",
                "headers": headers_of_all(),
                "content": { media_type: content },
            });
            responses.insert("200".to_owned(), answer);
        }
        let idempotency: &[u16] = if self.method == "post" { &[409, 422] } else { &[] };
        let mut problems: Vec<u16> =
            PROBLEMS.iter().chain(&self.problems).chain(idempotency).copied().collect();
        problems.sort_unstable();
        problems.dedup();
        for status in problems {
            let answer = json!({ "$ref": format!("#/components/responses/{status}") });
            responses.insert(status.to_string(), answer);
        }
        let mut description = self.description.to_owned();
        if !description.is_empty() {
            description.push_str("\n\n");
        }
        description += "The key has to have the scope `";
        description += self.needs.scope.as_str();
        description.push('`');
        description.push_str(if self.needs.is_of_all {
            ", and must not be that of one organization."
        } else {
            "."
        });
        let mut operation = json!({
            "operationId": self.id,
            "summary": self.summary,
            "description": description,
            "tags": [self.tag()],
        });
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        if let Some(name) = &self.input {
            let content = content(name, &example["request"]);
            operation["requestBody"] = json!({ "required": true, "content": content });
        }
        operation["responses"] = responses.into();
        operation
    }

    /// The part of the API.
    pub(crate) fn tag(&self) -> &'static str {
        self.needs.scope.as_str().split(':').next().unwrap_or_default()
    }
}

/// What stands in a path.
fn path_parameter(name: &str) -> Value {
    let description = match name {
        "organization" => "The id of an organization: `org-…`",
        "directory" => "The id of a directory: `dir-…`",
        "token" => "The id of a token: `tok-…`",
        "client" => "The id of a client: `cli-…`",
        "secret" => "The id of a secret: `tok-…`",
        "key" => "The id of an API key: `tok-…`",
        "hold" => "The id of a hold: `hold-…`",
        "link" => "The id of a portal link: `link-…`",
        "user" => "The id of a user, as SCIM has it",
        "group" => "The id of a group, as SCIM has it",
        "request" => "The id of a request: `req-…`",
        "number" => "The `number` of an event",
        "urn" => "The URN of a schema, in any case",
        _ => "Its id",
    };
    json!({
        "name": name,
        "in": "path",
        "required": true,
        "description": description,
        "schema": { "type": "string" },
    })
}
