//! From names and literals to attributes and typed operands.

use std::borrow::Cow;

use super::{
    Comparison, Condition, Filter, Literal, NumberText, Operand, Operator, Test, Text, ValueFilter,
    ValueTest,
};
use crate::datetime;
use crate::dialect::{Quirk, Quirks, boolean_in_text};
use crate::error::Error;
use crate::path::{AttributePath, Resolved, Target, excerpt, list};
use crate::preset::Preset;
use crate::schema::{Attribute, Mutability, ResourceType, Returned, Type};
use crate::text::{fold, reference_key};

pub(super) fn filter(
    filter: &Filter,
    resource_type: &ResourceType,
    preset: Preset,
    quirks: &mut Quirks,
) -> Result<Condition<Test>, Error> {
    join(filter, &mut |leaf| test(leaf, resource_type, preset, quirks))
}

pub(super) fn filter_of_any(
    filter: &Filter,
    resource_type: &ResourceType,
    preset: Preset,
    quirks: &mut Quirks,
) -> Result<Condition<Test>, Error> {
    join(filter, &mut |leaf| {
        let path = leaf.path();
        if path.resolve(resource_type, preset, &mut Quirks::new()).is_ok() {
            return test(leaf, resource_type, preset, quirks);
        }
        // No resource has anything under a name that its schemas do not know.
        let target = Target {
            extension: None,
            attribute: Some(path.as_str().to_owned()),
            sub_attribute: None,
        };
        let present = Test::Attribute(target, Comparison::Present);
        match leaf {
            Leaf::Compare(_, operator, Literal::Null) => compare_with_null(operator, path, present),
            Leaf::Compare(_, operator, _) => {
                Ok(negate_not_equal(operator, Condition::Test(present)))
            }
            Leaf::Present(_) | Leaf::Values(..) => Ok(Condition::Test(present)),
        }
    })
}

fn test(
    leaf: Leaf<'_>,
    resource_type: &ResourceType,
    preset: Preset,
    quirks: &mut Quirks,
) -> Result<Condition<Test>, Error> {
    let path = leaf.path();
    let mut resolved = resolve(path, resource_type, preset, quirks)?;
    match leaf {
        Leaf::Present(_) => {
            Ok(Condition::Test(Test::Attribute(resolved.target(), Comparison::Present)))
        }
        // `eq null` asks for absence and `ne null` for presence of the attribute as named,
        // object or not.
        Leaf::Compare(_, operator, Literal::Null) => {
            let present = Test::Attribute(resolved.target(), Comparison::Present);
            compare_with_null(operator, path, present)
        }
        Leaf::Compare(_, operator, literal) => {
            let definition = comparable(&mut resolved, path, preset, quirks)?;
            let case_exact = is_case_exact(definition) && !is_schemas(&resolved);
            let term = Term { path, definition, case_exact };
            let comparison = term.comparison(operator, literal, preset, quirks)?;
            let test = |it| Test::Attribute(resolved.target(), it);
            Ok(negate_not_equal(operator, Condition::Test(test(comparison))))
        }
        Leaf::Values(_, inner) => {
            let attribute = match (resolved.attribute, resolved.sub_attribute) {
                (Some(it), None) if it.multi_valued || it.kind == Type::Complex => it,
                _ => {
                    return Err(Error::invalid_filter(format!(
                        "`{path}` has single simple values, so nothing can be asked of them in `[…]`; compare `{path}` itself"
                    )));
                }
            };
            let inner = value_condition(inner, &resolved, attribute, preset, quirks)?;
            Ok(Condition::Test(Test::Values(resolved.target(), ValueFilter(inner))))
        }
    }
}

pub(super) fn value_filter(
    filter: &Filter,
    attribute: &Attribute,
    preset: Preset,
    quirks: &mut Quirks,
) -> Result<Condition<ValueTest>, Error> {
    let resolved = Resolved { extension: None, attribute: Some(attribute), sub_attribute: None };
    value_condition(filter, &resolved, attribute, preset, quirks)
}

fn value_condition(
    filter: &Filter,
    parent: &Resolved<'_>,
    attribute: &Attribute,
    preset: Preset,
    quirks: &mut Quirks,
) -> Result<Condition<ValueTest>, Error> {
    join(filter, &mut |leaf| {
        let path = leaf.path();
        let (definition, sub_attribute) = sub_attribute(path, attribute)?;
        let test = |comparison| {
            let sub_attribute = sub_attribute.clone();
            ValueTest { sub_attribute, comparison }
        };
        match leaf {
            Leaf::Present(_) => Ok(Condition::Test(test(Comparison::Present))),
            Leaf::Compare(_, operator, Literal::Null) => {
                compare_with_null(operator, path, test(Comparison::Present))
            }
            Leaf::Compare(_, operator, literal) => {
                let case_exact = is_case_exact(definition) && !is_schemas(parent);
                let term = Term { path, definition, case_exact };
                let comparison = term.comparison(operator, literal, preset, quirks)?;
                Ok(negate_not_equal(operator, Condition::Test(test(comparison))))
            }
            Leaf::Values(..) => Err(Error::invalid_filter(format!(
                "`{path}[…]` stands inside of other brackets; sub-attributes have no parts of their own"
            ))),
        }
    })
}

/// What stands between `and`, `or` and `not`.
#[derive(Clone, Copy)]
enum Leaf<'a> {
    Present(&'a AttributePath),
    Compare(&'a AttributePath, Operator, &'a Literal),
    Values(&'a AttributePath, &'a Filter),
}

impl<'a> Leaf<'a> {
    fn path(&self) -> &'a AttributePath {
        match self {
            Leaf::Present(path) | Leaf::Compare(path, ..) | Leaf::Values(path, _) => path,
        }
    }
}

/// Takes `and`, `or` and `not` over, and flattens what parentheses had made deeper than it is.
fn join<T>(
    filter: &Filter,
    bind: &mut dyn FnMut(Leaf<'_>) -> Result<Condition<T>, Error>,
) -> Result<Condition<T>, Error> {
    match filter {
        Filter::And(branches) => {
            let mut flat = Vec::with_capacity(branches.len());
            for branch in branches {
                match join(branch, bind)? {
                    Condition::And(inner) => flat.extend(inner),
                    other => flat.push(other),
                }
            }
            Ok(Condition::And(flat))
        }
        Filter::Or(branches) => {
            let mut flat = Vec::with_capacity(branches.len());
            for branch in branches {
                match join(branch, bind)? {
                    Condition::Or(inner) => flat.extend(inner),
                    other => flat.push(other),
                }
            }
            Ok(Condition::Or(flat))
        }
        Filter::Not(inner) => Ok(Condition::Not(Box::new(join(inner, bind)?))),
        Filter::Present(path) => bind(Leaf::Present(path)),
        Filter::Compare(path, operator, literal) => bind(Leaf::Compare(path, *operator, literal)),
        Filter::Values(path, inner) => bind(Leaf::Values(path, inner)),
    }
}

/// Looks a name up. What is never shown cannot be asked for either: the answers would tell it, bit
/// by bit (RFC 7644 §7.5.2).
fn resolve<'a>(
    path: &AttributePath,
    resource_type: &'a ResourceType,
    preset: Preset,
    quirks: &mut Quirks,
) -> Result<Resolved<'a>, Error> {
    let resolved = path
        .resolve(resource_type, preset, quirks)
        .map_err(|error| Error::invalid_filter(error.detail()))?;
    for definition in [resolved.attribute, resolved.sub_attribute].into_iter().flatten() {
        refuse_hidden(definition)?;
    }
    Ok(resolved)
}

fn refuse_hidden(definition: &Attribute) -> Result<(), Error> {
    if definition.returned == Returned::Never || definition.mutability == Mutability::WriteOnly {
        return Err(Error::invalid_filter(format!(
            "`{}` is never shown, so it cannot be filtered by",
            definition.name
        )));
    }
    Ok(())
}

/// What a comparison with this path compares: the attribute, the sub-attribute, or the `value` of
/// an object for which no sub-attribute is named. RFC 7644 §3.4.2.2 demands one, and its own
/// Figure 2 has `emails co "example.com"`.
fn comparable<'a>(
    resolved: &mut Resolved<'a>,
    path: &AttributePath,
    preset: Preset,
    quirks: &mut Quirks,
) -> Result<&'a Attribute, Error> {
    let Some(attribute) = resolved.attribute else {
        return Err(Error::invalid_filter(format!(
            "`{path}` is a whole extension, and only its attributes can be compared; add `:` and the attribute's name"
        )));
    };
    let definition = resolved.sub_attribute.unwrap_or(attribute);
    if definition.kind != Type::Complex {
        return Ok(definition);
    }
    let value = attribute.sub_attribute("value").filter(|_| {
        resolved.sub_attribute.is_none() && (attribute.multi_valued || preset == Preset::Lenient)
    });
    let Some(value) = value else {
        return Err(Error::invalid_filter(format!(
            "`{path}` is an object, and only its parts can be compared: {}",
            list(definition.sub_attributes.iter().map(|it| it.name.as_str()))
        )));
    };
    refuse_hidden(value)?;
    quirks.note(Quirk::FilterValueImplied);
    resolved.sub_attribute = Some(value);
    Ok(value)
}

/// A name inside of brackets. The values of a list that are not objects are called `value`.
fn sub_attribute<'a>(
    path: &AttributePath,
    attribute: &'a Attribute,
) -> Result<(&'a Attribute, Option<String>), Error> {
    let name = path.as_str();
    if attribute.sub_attributes.is_empty() {
        return if name.eq_ignore_ascii_case("value") {
            Ok((attribute, None))
        } else {
            Err(Error::invalid_filter(format!(
                "the values of `{}` are simple; inside of `[…]` they are called `value`, and `{}` is nothing",
                attribute.name,
                excerpt(name)
            )))
        };
    }
    let Some(definition) = attribute.sub_attribute(name) else {
        return Err(Error::invalid_filter(format!(
            "`{}` has no sub-attribute `{}`; it has {}",
            attribute.name,
            excerpt(name),
            list(attribute.sub_attributes.iter().map(|it| it.name.as_str()))
        )));
    };
    refuse_hidden(definition)?;
    Ok((definition, Some(definition.name.clone())))
}

/// References compare with case (RFC 7643 §2.3.7), and so does base 64.
fn is_case_exact(definition: &Attribute) -> bool {
    definition.case_exact || matches!(definition.kind, Type::Reference | Type::Binary)
}

/// `schemas` holds the URNs of schemas, which are the same in any case (RFC 7644 §3.10).
fn is_schemas(resolved: &Resolved<'_>) -> bool {
    resolved.extension.is_none()
        && resolved.attribute.is_some_and(|attribute| attribute.name == "schemas")
}

fn compare_with_null<T>(
    operator: Operator,
    path: &AttributePath,
    present: T,
) -> Result<Condition<T>, Error> {
    let present = Condition::Test(present);
    match operator {
        Operator::Equal => Ok(Condition::Not(Box::new(present))),
        Operator::NotEqual => Ok(present),
        _ => Err(Error::invalid_filter(format!(
            "`{path} {operator} null` has no meaning; `null` can only be compared with `eq` and `ne`"
        ))),
    }
}

/// [`Term::comparison`] makes `ne` an `eq`, and this says the opposite of it.
fn negate_not_equal<T>(operator: Operator, condition: Condition<T>) -> Condition<T> {
    match operator {
        Operator::NotEqual => Condition::Not(Box::new(condition)),
        _ => condition,
    }
}

/// A comparison whose attribute has been found.
struct Term<'a> {
    /// As the client named it.
    path: &'a AttributePath,
    definition: &'a Attribute,
    case_exact: bool,
}

impl Term<'_> {
    fn comparison(
        &self,
        operator: Operator,
        literal: &Literal,
        preset: Preset,
        quirks: &mut Quirks,
    ) -> Result<Comparison, Error> {
        let kind = self.definition.kind;
        // Only the schema of schemas has such: `attributes[subAttributes eq …]`.
        if kind == Type::Complex {
            return Err(Error::invalid_filter(format!(
                "`{}` is an object, and only its parts can be compared",
                self.path
            )));
        }
        let supports = match operator {
            Operator::Equal | Operator::NotEqual => true,
            Operator::Contains | Operator::StartsWith | Operator::EndsWith => {
                matches!(kind, Type::String | Type::Reference)
            }
            // "Boolean and Binary attributes SHALL cause a failed response (HTTP status code
            // 400) with "scimType" of "invalidFilter"" (RFC 7644 §3.4.2.2, Table 3).
            Operator::Greater
            | Operator::GreaterOrEqual
            | Operator::Less
            | Operator::LessOrEqual => !matches!(kind, Type::Boolean | Type::Binary),
        };
        if !supports {
            return Err(Error::invalid_filter(format!(
                "`{}` is a {kind}, which cannot be compared with `{operator}`; use {}",
                self.path,
                match kind {
                    Type::Boolean | Type::Binary => "`eq`, `ne` or `pr`",
                    _ => "`eq`, `ne`, `gt`, `ge`, `lt`, `le` or `pr`",
                }
            )));
        }
        Ok(match operator {
            Operator::Equal | Operator::NotEqual => {
                Comparison::Equal(self.operand(literal, preset, quirks)?)
            }
            Operator::Contains => Comparison::Contains(self.text(literal, preset, quirks)?),
            Operator::StartsWith => Comparison::StartsWith(self.text(literal, preset, quirks)?),
            Operator::EndsWith => Comparison::EndsWith(self.text(literal, preset, quirks)?),
            Operator::Greater => Comparison::Greater(self.operand(literal, preset, quirks)?),
            Operator::GreaterOrEqual => {
                Comparison::GreaterOrEqual(self.operand(literal, preset, quirks)?)
            }
            Operator::Less => Comparison::Less(self.operand(literal, preset, quirks)?),
            Operator::LessOrEqual => {
                Comparison::LessOrEqual(self.operand(literal, preset, quirks)?)
            }
        })
    }

    fn operand(
        &self,
        literal: &Literal,
        preset: Preset,
        quirks: &mut Quirks,
    ) -> Result<Operand, Error> {
        match self.definition.kind {
            Type::Boolean => self.boolean(literal, preset, quirks).map(Operand::Boolean),
            Type::Integer | Type::Decimal => {
                self.number(literal, preset, quirks).map(Operand::Number)
            }
            Type::DateTime => match literal {
                Literal::Text(text) => datetime::parse(text).map(Operand::Instant),
                _ => None,
            }
            .ok_or_else(|| self.mismatch(literal)),
            Type::String | Type::Reference | Type::Binary | Type::Complex => {
                self.text(literal, preset, quirks).map(Operand::Text)
            }
        }
    }

    fn boolean(
        &self,
        literal: &Literal,
        preset: Preset,
        quirks: &mut Quirks,
    ) -> Result<bool, Error> {
        match literal {
            Literal::Boolean(flag) => Ok(*flag),
            // `active eq "True"`, from Entra. Other words are not guessed at.
            Literal::Text(text) if preset == Preset::Lenient => {
                let flag = boolean_in_text(text).ok_or_else(|| self.mismatch(literal))?;
                quirks.note(Quirk::FilterOperandType);
                Ok(flag)
            }
            _ => Err(self.mismatch(literal)),
        }
    }

    fn number(
        &self,
        literal: &Literal,
        preset: Preset,
        quirks: &mut Quirks,
    ) -> Result<serde_json::Number, Error> {
        let number = match literal {
            Literal::Number(number) => Some(Cow::Borrowed(number)),
            Literal::Text(text) if preset == Preset::Lenient => {
                quirks.note(Quirk::FilterOperandType);
                NumberText::new(text).map(Cow::Owned)
            }
            _ => None,
        };
        // A number can still be too large to be one here.
        number
            .and_then(|number| serde_json::from_str(number.as_str()).ok())
            .ok_or_else(|| self.mismatch(literal))
    }

    fn text(&self, literal: &Literal, preset: Preset, quirks: &mut Quirks) -> Result<Text, Error> {
        let written = match literal {
            Literal::Text(text) => text.clone(),
            // `employeeNumber eq 701`: without quotes text may look like a number or a boolean.
            Literal::Number(_) | Literal::Boolean(_) if preset == Preset::Lenient => {
                quirks.note(Quirk::FilterOperandType);
                literal.to_string()
            }
            _ => return Err(self.mismatch(literal)),
        };
        Ok(Text::new(written, self.case_exact, self.definition.kind == Type::Reference))
    }

    fn mismatch(&self, literal: &Literal) -> Error {
        let wanted = match self.definition.kind {
            Type::Boolean => "`true` or `false`, without quotes",
            Type::Integer | Type::Decimal => "a number, without quotes",
            Type::DateTime => "a date and time between quotes, as in `\"2026-01-31T12:00:00Z\"`",
            _ => "text between double quotes",
        };
        Error::invalid_filter(format!(
            "`{}` is a {} and cannot be compared with `{}`; compare it with {wanted}",
            self.path,
            self.definition.kind,
            excerpt(&literal.to_string())
        ))
    }
}

impl Text {
    fn new(written: String, case_exact: bool, is_reference: bool) -> Text {
        let key = match (case_exact, is_reference) {
            (false, _) => fold(&written),
            (true, true) => reference_key(&written),
            (true, false) => Cow::Borrowed(written.as_str()),
        };
        let folded = match key {
            Cow::Owned(folded) => Some(folded),
            Cow::Borrowed(_) => None,
        };
        Text { written, folded, case_exact, is_reference }
    }
}
