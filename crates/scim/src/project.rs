//! Which attributes are answered: `attributes` and `excludedAttributes` (RFC 7644 §3.9) together
//! with each attribute's own `returned` (RFC 7643 §7).

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::dialect::Quirks;
use crate::error::Error;
use crate::json;
use crate::path::{AttributePath, Target};
use crate::preset::Preset;
use crate::schema::{Attribute, Mutability, ResourceType, Returned, builtin};

/// What to leave of a resource in an answer. It is made once per request and asked once per
/// resource.
///
/// ```
/// use scim::{ResourceType, project::Projection};
/// use serde_json::json;
///
/// let user = ResourceType::user();
/// let projection = Projection::parse(Some("USERNAME,name.givenName"), None, &user)?;
/// let resource = json!({
///     "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "id": "7",
///     "userName": "ana", "name": { "familyName": "B", "givenName": "A" }, "active": true,
/// });
/// let answered = projection.apply(resource.as_object().unwrap().clone());
/// assert_eq!(serde_json::Value::Object(answered), json!({
///     "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "id": "7",
///     "userName": "ana", "name": { "givenName": "A" },
/// }));
/// # Ok::<(), scim::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Projection {
    /// What becomes of attributes; where others are answered too, of those that are not answered
    /// whole.
    base: Vec<(String, Fate)>,
    /// The same for each extension, where not everything is answered.
    extensions: Vec<(String, Vec<(String, Fate)>)>,
    /// Whether what no schema has is answered; only when nothing was asked for by name.
    keeps_others: bool,
    is_whole: bool,
    /// Attributes of extensions that are answered when they are asked for, and here are not.
    on_request: Vec<(String, String)>,
}

/// What becomes of one attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    Kept,
    Dropped,
    /// These of its parts are kept, by canonical name.
    Parts(Vec<String>),
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    Only,
    Without,
}

impl Projection {
    /// Everything that is answered when a client says nothing.
    pub fn whole(resource_type: &ResourceType) -> Projection {
        compile(Request::Without, &[], resource_type)
    }

    /// Reads the two parameters, each a list of names divided by commas. Unknown names are
    /// ignored: the answer shows that they select nothing. Filters in brackets, as in Microsoft's
    /// `emails[type eq "work"]`, are ignored and the attribute is taken. An empty parameter is
    /// like none.
    ///
    /// # Errors
    ///
    /// `invalidValue` when both are given; they are mutually exclusive (RFC 7644 §3.9).
    pub fn parse(
        attributes: Option<&str>,
        excluded_attributes: Option<&str>,
        resource_type: &ResourceType,
    ) -> Result<Projection, Error> {
        let given = |text: Option<&str>| text.is_some_and(|text| !text.trim().is_empty());
        let (request, text) = match (given(attributes), given(excluded_attributes)) {
            (true, true) => {
                return Err(Error::invalid_value(
                    "`attributes` and `excludedAttributes` exclude each other; send one of them",
                ));
            }
            (true, false) => (Request::Only, attributes),
            (false, _) => (Request::Without, excluded_attributes),
        };
        let mut named: Vec<Target> = Vec::new();
        for name in names(text.unwrap_or_default()) {
            let target = AttributePath::parse(&name)
                .and_then(|it| {
                    let resolved =
                        it.resolve(resource_type, Preset::Lenient, &mut Quirks::new())?;
                    Ok(resolved.target())
                })
                .ok();
            // What is kept is bounded by the schemas, whatever was sent.
            if let Some(target) = target
                && !named.contains(&target)
            {
                named.push(target);
            }
        }
        Ok(compile(request, &named, resource_type))
    }

    /// The same for the answer of a write. RFC 7643 §7: what is returned on request is also returned
    /// "if the attribute was specified by the client". `was_sent` is asked by URN and name.
    #[must_use]
    pub fn with_sent(mut self, was_sent: impl Fn(&str, &str) -> bool) -> Projection {
        for (urn, name) in std::mem::take(&mut self.on_request) {
            let fates = self.extensions.iter_mut().filter(|(it, _)| *it == urn);
            for (attribute, fate) in fates.flat_map(|(_, fates)| fates) {
                if *attribute == name && was_sent(&urn, &name) {
                    *fate = Fate::Kept;
                }
            }
        }
        self
    }

    /// Whether [`Projection::with_sent`] can make a difference.
    pub fn depends_on_sent(&self) -> bool {
        !self.on_request.is_empty()
    }

    /// Leaves of a resource in its full representation what is to be answered.
    pub fn apply(&self, resource: Map<String, Value>) -> Map<String, Value> {
        if self.is_whole {
            return resource;
        }
        let kept = |(name, value): (String, Value)| {
            let value = self.keep(&name, value)?;
            Some((name, value))
        };
        resource.into_iter().filter_map(kept).collect()
    }

    /// The same for a resource that is printed, to the byte: what is answered whole is copied, and
    /// only what is answered in part is read. It is put behind what stands in `answer`.
    ///
    /// # Errors
    ///
    /// Those of `serde_json`, where the text is no object.
    ///
    /// ```
    /// use scim::{ResourceType, project::Projection};
    ///
    /// let projection = Projection::parse(None, Some("name.givenName"), &ResourceType::user())?;
    /// let mut answer = String::new();
    /// projection.apply_to_text(
    ///     r#"{"id":"7","name":{"familyName":"B","givenName":"A"},"active":true}"#, &mut answer,
    /// ).unwrap();
    /// assert_eq!(answer, r#"{"id":"7","name":{"familyName":"B"},"active":true}"#);
    /// # Ok::<(), scim::Error>(())
    /// ```
    pub fn apply_to_text(&self, resource: &str, answer: &mut String) -> serde_json::Result<()> {
        if self.is_whole {
            answer.push_str(resource);
            return Ok(());
        }
        let begun = answer.len();
        for (name, value) in json::members(resource)? {
            let value = match self.fate_of(&name) {
                Some(Fate::Kept) => Cow::Borrowed(value.get()),
                Some(Fate::Dropped) => continue,
                Some(Fate::Parts(_)) | None => {
                    match self.keep(&name, serde_json::from_str(value.get())?) {
                        Some(kept) => Cow::Owned(kept.to_string()),
                        None => continue,
                    }
                }
            };
            answer.push(if answer.len() == begun { '{' } else { ',' });
            json::push_string(&name, answer);
            answer.push(':');
            answer.push_str(&value);
        }
        answer.push_str(if answer.len() == begun { "{}" } else { "}" });
        Ok(())
    }

    /// What becomes of a member as a whole; `None` where that depends on what is in it.
    fn fate_of(&self, name: &str) -> Option<&Fate> {
        if self.extensions.iter().any(|(urn, _)| urn == name) {
            return None;
        }
        let known = self.base.iter().find(|(known, _)| known == name);
        let of_others = if self.keeps_others { &Fate::Kept } else { &Fate::Dropped };
        Some(known.map_or(of_others, |(_, fate)| fate))
    }

    /// What is left of a member; `None` when nothing is.
    fn keep(&self, name: &str, value: Value) -> Option<Value> {
        let extension = self.extensions.iter().find(|(urn, _)| urn == name);
        match (extension, value) {
            (Some((_, fates)), Value::Object(values)) => {
                let values = keep(fates, false, values);
                (!values.is_empty()).then_some(Value::Object(values))
            }
            (_, value) => keep_one(&self.base, self.keeps_others, name, value),
        }
    }

    /// Whether a resource is answered as it is kept, so that its bytes can be.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Whether anything of this top-level attribute is answered, by its canonical name. What is
    /// not need not be loaded: `members`, `groups`.
    pub fn wants(&self, attribute: &str) -> bool {
        match self.base.iter().find(|(name, _)| name == attribute) {
            Some((_, fate)) => *fate != Fate::Dropped,
            None => self.keeps_others,
        }
    }

    /// Whether this part of a top-level attribute is answered, for those who print a long list
    /// piece by piece.
    pub fn wants_part(&self, attribute: &str, part: &str) -> bool {
        match self.base.iter().find(|(name, _)| name == attribute) {
            Some((_, Fate::Kept)) => true,
            Some((_, Fate::Dropped)) => false,
            Some((_, Fate::Parts(parts))) => parts.iter().any(|it| it == part),
            None => self.keeps_others,
        }
    }
}

/// Decides on every attribute of the resource type.
fn compile(request: Request, named: &[Target], resource_type: &ResourceType) -> Projection {
    let keeps_others = request == Request::Without;
    let is_whole = keeps_others
        && named.is_empty()
        && !resource_type.schemas().any(|schema| schema.attributes.iter().any(hides_what_is_kept));
    let decide = |urn: Option<&str>, attributes: &[Attribute]| -> Vec<(String, Fate)> {
        // Where others are answered too, only what is not has to be known. This is made for each
        // request, and most ask for nothing by name.
        let is_told = |fate: &Fate| urn.is_some() || !keeps_others || *fate != Fate::Kept;
        attributes
            .iter()
            .map(|attribute| (attribute, fate(request, named, urn, attribute)))
            .filter(|(_, fate)| is_told(fate))
            .map(|(attribute, fate)| (attribute.name.clone(), fate))
            .collect()
    };
    let mut base = decide(None, builtin::common());
    base.extend(decide(None, &resource_type.schema.attributes));
    let told = resource_type.extensions.iter().filter(|_| !is_whole).map(|it| &it.schema);
    let extensions = told.map(|it| (it.id.clone(), decide(Some(&it.id), &it.attributes))).collect();
    // Who says what to answer is not answered more because it was sent.
    let on_request =
        if keeps_others && named.is_empty() { requestable(resource_type) } else { Vec::new() };
    Projection { base, extensions, keeps_others, is_whole, on_request }
}

/// The attributes of extensions that are kept, and answered only when they are asked for.
fn requestable(resource_type: &ResourceType) -> Vec<(String, String)> {
    let schemas = resource_type.extensions.iter().map(|it| &it.schema);
    schemas
        .flat_map(|schema| schema.attributes.iter().map(move |it| (schema, it)))
        .filter(|(_, it)| it.returned == Returned::Request && hides_what_is_kept(it))
        .map(|(schema, it)| (schema.id.clone(), it.name.clone()))
        .collect()
}

/// Whether something of this attribute is kept and not answered unless it is asked for. What only
/// the server sets is not kept with the resource, nor is what is never shown.
fn hides_what_is_kept(attribute: &Attribute) -> bool {
    matches!(attribute.mutability, Mutability::ReadWrite | Mutability::Immutable)
        && (matches!(attribute.returned, Returned::Never | Returned::Request)
            || attribute.sub_attributes.iter().any(hides_what_is_kept))
}

/// Decides on one attribute.
fn fate(request: Request, named: &[Target], urn: Option<&str>, attribute: &Attribute) -> Fate {
    let in_schema = || named.iter().filter(move |target| target.extension() == urn);
    let names_schema = urn.is_some() && in_schema().any(|it| it.attribute().is_none());
    let of_attribute = || in_schema().filter(|it| it.attribute() == Some(&attribute.name));
    let names_whole = of_attribute().any(|it| it.sub_attribute().is_none());
    let names_part = |part: &str| of_attribute().any(|it| it.sub_attribute() == Some(part));
    let names_some_part = of_attribute().any(|it| it.sub_attribute().is_some());

    let is_answered = match (attribute.returned, request) {
        (Returned::Never, _) | (Returned::Request, Request::Without) => false,
        (Returned::Always, _) => true,
        (Returned::Default, Request::Only) => names_schema || names_whole || names_some_part,
        (Returned::Default, Request::Without) => !names_schema && !names_whole,
        // Who names a whole extension does not ask for what is costly in it.
        (Returned::Request, Request::Only) => names_whole || names_some_part,
    };
    if !is_answered {
        return Fate::Dropped;
    }
    let takes_all = names_whole || names_schema || !names_some_part;
    let is_kept = |part: &&Attribute| match (part.returned, request) {
        (Returned::Never, _) | (Returned::Request, Request::Without) => false,
        (Returned::Always, _) => true,
        (Returned::Default, Request::Only) => takes_all || names_part(&part.name),
        (Returned::Default, Request::Without) => !names_part(&part.name),
        (Returned::Request, Request::Only) => names_part(&part.name),
    };
    let parts = &attribute.sub_attributes;
    if parts.iter().all(|part| is_kept(&part)) {
        return Fate::Kept;
    }
    let kept: Vec<String> = parts.iter().filter(is_kept).map(|part| part.name.clone()).collect();
    // RFC 7644 is silent; nothing of an attribute is the same as no attribute.
    if kept.is_empty() { Fate::Dropped } else { Fate::Parts(kept) }
}

fn keep(
    fates: &[(String, Fate)],
    keeps_others: bool,
    values: Map<String, Value>,
) -> Map<String, Value> {
    values
        .into_iter()
        .filter_map(|(name, value)| {
            let kept = keep_one(fates, keeps_others, &name, value)?;
            Some((name, kept))
        })
        .collect()
}

fn keep_one(
    fates: &[(String, Fate)],
    keeps_others: bool,
    name: &str,
    value: Value,
) -> Option<Value> {
    match fates.iter().find(|(known, _)| known == name) {
        Some((_, Fate::Kept)) => Some(value),
        Some((_, Fate::Dropped)) => None,
        Some((_, Fate::Parts(parts))) => keep_parts(parts, value),
        None => keeps_others.then_some(value),
    }
}

/// The parts of an object, or of each object of a list; `None` when nothing is left.
fn keep_parts(parts: &[String], value: Value) -> Option<Value> {
    match value {
        Value::Object(mut object) => {
            object.retain(|name, _| parts.contains(name));
            (!object.is_empty()).then_some(Value::Object(object))
        }
        Value::Array(list) => {
            let list: Vec<Value> =
                list.into_iter().filter_map(|element| keep_parts(parts, element)).collect();
            (!list.is_empty()).then_some(Value::Array(list))
        }
        other => Some(other),
    }
}

/// The names of a list, without what stands in brackets. A comma in brackets or between quotes
/// there divides nothing.
fn names(text: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let (mut in_brackets, mut in_quotes, mut is_escaped) = (false, false, false);
    for c in text.chars() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if in_quotes => is_escaped = true,
            '"' if in_brackets => in_quotes = !in_quotes,
            _ if in_quotes => {}
            ']' if in_brackets => in_brackets = false,
            _ if in_brackets => {}
            '[' => in_brackets = true,
            ',' => names.push(String::new()),
            _ => {
                if let Some(name) = names.last_mut() {
                    name.push(c);
                }
            }
        }
    }
    names.retain_mut(|name| {
        *name = name.trim().to_owned();
        !name.is_empty()
    });
    names
}
