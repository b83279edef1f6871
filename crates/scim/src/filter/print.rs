//! The canonical spelling: operators in lower case, one space, double quotes, and parentheses only
//! where they change the meaning.

use std::fmt;

use super::{
    BoundFilter, Comparison, Condition, Filter, Literal, NumberText, Operand, Operator, Test, Text,
    ValueFilter, ValueTest,
};

impl Operator {
    pub(super) const ALL: [Operator; 9] = [
        Operator::Equal,
        Operator::NotEqual,
        Operator::Contains,
        Operator::StartsWith,
        Operator::EndsWith,
        Operator::Greater,
        Operator::GreaterOrEqual,
        Operator::Less,
        Operator::LessOrEqual,
    ];

    /// As the RFC spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Operator::Equal => "eq",
            Operator::NotEqual => "ne",
            Operator::Contains => "co",
            Operator::StartsWith => "sw",
            Operator::EndsWith => "ew",
            Operator::Greater => "gt",
            Operator::GreaterOrEqual => "ge",
            Operator::Less => "lt",
            Operator::LessOrEqual => "le",
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for NumberText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Null => f.write_str("null"),
            Literal::Boolean(flag) => flag.fmt(f),
            Literal::Number(number) => number.fmt(f),
            Literal::Text(text) => write_quoted(f, text),
        }
    }
}

/// How tightly something holds together; what is looser than its surroundings needs parentheses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tightness {
    Or,
    And,
    Term,
}

/// The outline of a tree, whatever its leaves are.
enum Outline<'a, T> {
    And(&'a [T]),
    Or(&'a [T]),
    Not(&'a T),
    Leaf,
}

/// What can be printed with `and`, `or`, `not` and parentheses.
trait Tree: Sized {
    fn outline(&self) -> Outline<'_, Self>;
    fn write_leaf(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.outline() {
            Outline::And(branches) => write_joined(f, branches, " and ", Tightness::And),
            Outline::Or(branches) => write_joined(f, branches, " or ", Tightness::Or),
            Outline::Not(inner) => {
                f.write_str("not (")?;
                inner.write(f)?;
                f.write_str(")")
            }
            Outline::Leaf => self.write_leaf(f),
        }
    }

    fn tightness(&self) -> Tightness {
        match self.outline() {
            Outline::Or(_) => Tightness::Or,
            Outline::And(_) => Tightness::And,
            Outline::Not(_) | Outline::Leaf => Tightness::Term,
        }
    }
}

/// Parentheses also go around an `and` directly in an `and`, so that it is read back as one.
fn write_joined<T: Tree>(
    f: &mut fmt::Formatter<'_>,
    branches: &[T],
    joint: &str,
    tightness: Tightness,
) -> fmt::Result {
    for (place, branch) in branches.iter().enumerate() {
        if place > 0 {
            f.write_str(joint)?;
        }
        if branch.tightness() <= tightness {
            f.write_str("(")?;
            branch.write(f)?;
            f.write_str(")")?;
        } else {
            branch.write(f)?;
        }
    }
    Ok(())
}

impl Tree for Filter {
    fn outline(&self) -> Outline<'_, Filter> {
        match self {
            Filter::And(branches) => Outline::And(branches),
            Filter::Or(branches) => Outline::Or(branches),
            Filter::Not(inner) => Outline::Not(inner),
            Filter::Present(_) | Filter::Compare(..) | Filter::Values(..) => Outline::Leaf,
        }
    }

    fn write_leaf(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Filter::Present(path) => write!(f, "{path} pr"),
            Filter::Compare(path, operator, literal) => write!(f, "{path} {operator} {literal}"),
            Filter::Values(path, inner) => write!(f, "{path}[{inner}]"),
            // `write` has dealt with these.
            Filter::And(_) | Filter::Or(_) | Filter::Not(_) => Ok(()),
        }
    }
}

impl<T: fmt::Display> Tree for Condition<T> {
    fn outline(&self) -> Outline<'_, Condition<T>> {
        match self {
            Condition::And(branches) => Outline::And(branches),
            Condition::Or(branches) => Outline::Or(branches),
            Condition::Not(inner) => Outline::Not(inner),
            Condition::Test(_) => Outline::Leaf,
        }
    }

    fn write_leaf(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Condition::Test(test) => test.fmt(f),
            // `write` has dealt with these.
            Condition::And(_) | Condition::Or(_) | Condition::Not(_) => Ok(()),
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f)
    }
}

impl<T: fmt::Display> fmt::Display for Condition<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f)
    }
}

impl fmt::Display for BoundFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f)
    }
}

impl fmt::Display for ValueFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f)
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Test::Attribute(target, comparison) => write!(f, "{target} {comparison}"),
            Test::Values(target, filter) => write!(f, "{target}[{filter}]"),
        }
    }
}

impl fmt::Display for ValueTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.sub_attribute.as_deref().unwrap_or("value");
        write!(f, "{name} {}", self.comparison)
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Comparison::Present => f.write_str("pr"),
            Comparison::Equal(operand) => write!(f, "eq {operand}"),
            Comparison::Contains(text) => write!(f, "co {text}"),
            Comparison::StartsWith(text) => write!(f, "sw {text}"),
            Comparison::EndsWith(text) => write!(f, "ew {text}"),
            Comparison::Greater(operand) => write!(f, "gt {operand}"),
            Comparison::GreaterOrEqual(operand) => write!(f, "ge {operand}"),
            Comparison::Less(operand) => write!(f, "lt {operand}"),
            Comparison::LessOrEqual(operand) => write!(f, "le {operand}"),
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operand::Text(text) => text.fmt(f),
            Operand::Boolean(flag) => flag.fmt(f),
            Operand::Number(number) => number.fmt(f),
            // To the nanosecond: milliseconds would be another instant.
            Operand::Instant(instant) => write!(f, "\"{instant}\""),
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_quoted(f, self.written())
    }
}

fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str(&serde_json::to_string(text).expect("text can be printed as JSON"))
}
