//! Filters (RFC 7644 §3.4.2.2): the language in which a client says which resources it wants,
//! and which values of a list a PATCH is about.
//!
//! It is read in two steps. [`Filter::parse`] knows the grammar and no schema. [`Filter::bind`]
//! looks the names up in a resource type and converts the operands to the types of their
//! attributes. The [`BoundFilter`] that comes out says whether a resource matches, and can be
//! read by who wants to have a database do a part of the work.
//!
//! The grammar is that of the RFC with its errata 4670, 4690, 7122, 7319 and 7322.

mod bind;
mod matches;
mod parse;
mod print;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::dialect::Quirks;
use crate::error::Error;
use crate::path::{AttributePath, Target};
use crate::preset::Preset;
use crate::schema::{Attribute, ResourceType};

/// A filter as it was written. It prints in one canonical spelling, which reads back as the same
/// filter.
///
/// ```
/// use scim::Preset;
/// use scim::dialect::Quirks;
/// use scim::filter::Filter;
///
/// let filter = Filter::parse(
///     r#"(userName  SW "b") AND active eq true"#, Preset::Strict, &mut Quirks::new(),
/// )?;
/// assert_eq!(filter.to_string(), r#"userName sw "b" and active eq true"#);
/// # Ok::<(), scim::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// All of these, of which there are two or more.
    And(Vec<Filter>),
    /// Any of these, of which there are two or more.
    Or(Vec<Filter>),
    /// `not (…)`
    Not(Box<Filter>),
    /// `title pr`
    Present(AttributePath),
    /// `userName eq "bjensen"`
    Compare(AttributePath, Operator, Literal),
    /// `emails[type eq "work"]`: one and the same value meets the filter, whose names are those
    /// of sub-attributes.
    Values(AttributePath, Box<Filter>),
}

/// The comparisons of RFC 7644 §3.4.2.2, Table 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `eq`
    Equal,
    /// `ne`
    NotEqual,
    /// `co`
    Contains,
    /// `sw`
    StartsWith,
    /// `ew`
    EndsWith,
    /// `gt`
    Greater,
    /// `ge`
    GreaterOrEqual,
    /// `lt`
    Less,
    /// `le`
    LessOrEqual,
}

/// What an attribute is compared with, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// `null`
    Null,
    /// `true`, `false`
    Boolean(bool),
    /// `42`, `-1.5e3`
    Number(NumberText),
    /// `"…"`
    Text(String),
}

/// A number as it was written. Its digits are kept, because the attribute may turn out to be
/// text: an employee's number has zeros that matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberText(String);

impl Filter {
    /// Reads a filter. The error is `invalidFilter`, and says where the filter is wrong and what
    /// was expected there.
    ///
    /// Under [`Preset::Lenient`] operands may stand without quotes or between single ones. Under
    /// both presets `emails[type eq "work"].value eq "x"`, which Entra sends, is read as
    /// `emails[type eq "work" and value eq "x"]`.
    pub fn parse(text: &str, preset: Preset, quirks: &mut Quirks) -> Result<Filter, Error> {
        parse::filter(text, preset, quirks)
    }

    /// Reads a filter as it stands between the brackets of `emails[…]`: its names are those of
    /// sub-attributes, and it has no brackets itself.
    pub fn parse_values(text: &str, preset: Preset, quirks: &mut Quirks) -> Result<Filter, Error> {
        parse::value_filter(text, preset, quirks)
    }

    /// Looks the names up and converts the operands. The error is `invalidFilter`: an unknown
    /// attribute (RFC 7644 §3.12, Table 9), an operator that its type does not have, an operand
    /// of another type, or an attribute that is never shown.
    ///
    /// ```
    /// use scim::dialect::Quirks;
    /// use scim::filter::Filter;
    /// use scim::{Preset, ResourceType};
    ///
    /// let mut quirks = Quirks::new();
    /// let filter = Filter::parse(r#"username eq "BJensen""#, Preset::Strict, &mut quirks)?
    ///     .bind(&ResourceType::user(), Preset::Strict, &mut quirks)?;
    /// let user = serde_json::json!({ "userName": "bjensen" });
    /// assert!(filter.matches(user.as_object().unwrap()));
    /// # Ok::<(), scim::Error>(())
    /// ```
    pub fn bind(
        &self,
        resource_type: &ResourceType,
        preset: Preset,
        quirks: &mut Quirks,
    ) -> Result<BoundFilter, Error> {
        bind::filter(self, resource_type, preset, quirks).map(BoundFilter)
    }

    /// The same for a list of several types: an attribute that this type does not have has no value
    /// here, so `eq` and `pr` are false of it (RFC 7644 §3.4.2.1).
    pub fn bind_to_any(
        &self,
        resource_type: &ResourceType,
        preset: Preset,
        quirks: &mut Quirks,
    ) -> Result<BoundFilter, Error> {
        bind::filter_of_any(self, resource_type, preset, quirks).map(BoundFilter)
    }

    /// The same for a filter on the values of this attribute, which is a list or an object.
    pub fn bind_values(
        &self,
        attribute: &Attribute,
        preset: Preset,
        quirks: &mut Quirks,
    ) -> Result<ValueFilter, Error> {
        bind::value_filter(self, attribute, preset, quirks).map(ValueFilter)
    }
}

/// A filter on the resources of one type, ready to be asked. It prints with canonical names.
#[derive(Clone, Debug, PartialEq)]
pub struct BoundFilter(Condition<Test>);

/// A filter on the values of one attribute, ready to be asked: what stands in `emails[…]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueFilter(Condition<ValueTest>);

/// How tests are joined. An `And` has no `And` directly inside, nor an `Or` an `Or`; both have
/// two branches or more.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition<T> {
    /// All of these hold.
    And(Vec<Condition<T>>),
    /// Any of these holds.
    Or(Vec<Condition<T>>),
    /// This does not hold. `ne` is `eq` in a `Not`, so that an absent value is unequal to
    /// everything, and a list is unequal to what none of its values equals.
    Not(Box<Condition<T>>),
    /// A single question.
    Test(T),
}

/// A question to a resource.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// Whether the attribute, or any of its values where it holds a list, compares so. The target
    /// has an attribute or is, for [`Comparison::Present`], a whole extension; it has a
    /// sub-attribute unless the values are simple or only their presence is asked for.
    Attribute(Target, Comparison),
    /// Whether any one value of the attribute meets the filter.
    Values(Target, ValueFilter),
}

/// A question to one value of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueTest {
    /// What of the value is compared; `None` means the value itself, which is simple.
    pub sub_attribute: Option<String>,
    /// How.
    pub comparison: Comparison,
}

/// How a value is compared. An absent value compares with nothing: each of these is false then.
#[derive(Clone, Debug, PartialEq)]
pub enum Comparison {
    /// There is one: not null, not empty text, not an empty list, and for an object at least one
    /// of its parts. `eq null` is this in a [`Condition::Not`].
    Present,
    /// They are the same.
    Equal(Operand),
    /// The operand is a part of it.
    Contains(Text),
    /// The operand is its beginning.
    StartsWith(Text),
    /// The operand is its end.
    EndsWith(Text),
    /// It comes after the operand. The operands of these four are never boolean.
    Greater(Operand),
    /// It does not come before the operand.
    GreaterOrEqual(Operand),
    /// It comes before the operand.
    Less(Operand),
    /// It does not come after the operand.
    LessOrEqual(Operand),
}

/// What a value is compared with, of the attribute's type.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// For strings, references and binaries.
    Text(Text),
    /// For booleans.
    Boolean(bool),
    /// For integers and decimals.
    Number(serde_json::Number),
    /// For dates and times.
    Instant(Timestamp),
}

/// Text to compare with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    written: String,
    /// `None` where what is compared is what was written.
    folded: Option<String>,
    case_exact: bool,
    /// Whether it is a reference, whose scheme and host have no case even where the rest has.
    is_reference: bool,
}

impl Text {
    /// As it was written.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// What is compared: the text as written where case matters, otherwise [`fold`]ed; a reference
    /// with its scheme and host in small letters ([`reference_key`]). It is ordered by its bytes.
    ///
    /// [`fold`]: crate::text::fold
    /// [`reference_key`]: crate::text::reference_key
    pub fn key(&self) -> &str {
        self.folded.as_deref().unwrap_or(&self.written)
    }

    /// Whether case matters.
    pub fn is_case_exact(&self) -> bool {
        self.case_exact
    }
}

impl BoundFilter {
    /// What is asked, to have a database do a part of it.
    pub fn condition(&self) -> &Condition<Test> {
        &self.0
    }

    /// The members of a resource that decide whether it meets the filter, each once: names of
    /// attributes, and URNs of extensions. A resource that has these and no others is as good as
    /// the whole.
    ///
    /// ```
    /// use scim::dialect::Quirks;
    /// use scim::filter::Filter;
    /// use scim::{Preset, ResourceType};
    ///
    /// let text = r#"emails[type eq "work"] and (manager pr or emails pr)"#;
    /// let filter = Filter::parse(text, Preset::Lenient, &mut Quirks::new())?
    ///     .bind(&ResourceType::user(), Preset::Lenient, &mut Quirks::new())?;
    /// let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    /// assert_eq!(filter.members(), ["emails", enterprise]);
    /// # Ok::<(), scim::Error>(())
    /// ```
    pub fn members(&self) -> Vec<&str> {
        fn collect<'a>(condition: &'a Condition<Test>, found: &mut Vec<&'a str>) {
            match condition {
                Condition::And(branches) | Condition::Or(branches) => {
                    for branch in branches {
                        collect(branch, found);
                    }
                }
                Condition::Not(inner) => collect(inner, found),
                Condition::Test(Test::Attribute(target, _) | Test::Values(target, _)) => {
                    found.extend(target.member().filter(|name| !found.contains(name)));
                }
            }
        }
        let mut found = Vec::new();
        collect(&self.0, &mut found);
        found
    }

    /// Whether the filter is met by a resource in its full canonical representation: with `id`,
    /// `meta`, `schemas`, `groups` or `members`, and extensions under their canonical URN.
    pub fn matches(&self, resource: &Map<String, Value>) -> bool {
        matches::resource(&self.0, resource)
    }
}

impl ValueFilter {
    /// What is asked.
    pub fn condition(&self) -> &Condition<ValueTest> {
        &self.0
    }

    /// Whether the filter is met by one value of the list, which is an object, or simple.
    pub fn matches_value(&self, value: &Value) -> bool {
        matches::value(&self.0, value)
    }

    /// What a value must hold to meet the filter, if the filter is nothing but `eq` joined by
    /// `and`: PATCH creates a missing value from it. The names are canonical, `None` stands for
    /// a simple value itself; text is as written. `None` as a whole means that the filter does not
    /// say what the value would be.
    ///
    /// ```
    /// use scim::dialect::Quirks;
    /// use scim::filter::Filter;
    /// use scim::{Preset, ResourceType};
    ///
    /// let (user, mut quirks) = (ResourceType::user(), Quirks::new());
    /// let emails = user.attribute("emails").unwrap();
    /// let filter = Filter::parse_values(
    ///     r#"type eq "work" and primary eq true"#, Preset::Strict, &mut quirks,
    /// )?.bind_values(emails, Preset::Strict, &mut quirks)?;
    /// assert_eq!(
    ///     filter.eq_terms(),
    ///     Some(vec![(Some("type"), "work".into()), (Some("primary"), true.into())])
    /// );
    /// # Ok::<(), scim::Error>(())
    /// ```
    pub fn eq_terms(&self) -> Option<Vec<(Option<&str>, Value)>> {
        let terms = match &self.0 {
            Condition::And(terms) => terms.as_slice(),
            term => std::slice::from_ref(term),
        };
        terms
            .iter()
            .map(|term| match term {
                Condition::Test(ValueTest {
                    sub_attribute,
                    comparison: Comparison::Equal(operand),
                }) => Some((sub_attribute.as_deref(), operand.to_json())),
                _ => None,
            })
            .collect()
    }

    /// The ids that are named, if the filter is `value eq "x"`, or several of these joined by
    /// `or`: members are removed by their keys then, and not looked for.
    pub fn value_ids(&self) -> Option<Vec<&str>> {
        let terms = match &self.0 {
            Condition::Or(terms) => terms.as_slice(),
            term => std::slice::from_ref(term),
        };
        terms
            .iter()
            .map(|term| match term {
                Condition::Test(ValueTest {
                    sub_attribute: Some(name),
                    comparison: Comparison::Equal(Operand::Text(text)),
                }) if name == "value" && text.case_exact => Some(text.written()),
                _ => None,
            })
            .collect()
    }
}

impl Operand {
    /// As a value of the attribute.
    pub fn to_json(&self) -> Value {
        match self {
            Operand::Text(text) => Value::from(text.written.as_str()),
            Operand::Boolean(flag) => Value::from(*flag),
            Operand::Number(number) => Value::Number(number.clone()),
            Operand::Instant(instant) => Value::from(crate::datetime::print(*instant)),
        }
    }
}
