//! What providers really send, and what we make of it.
//!
//! Each quirk that is straightened on the way in is noted, so that the request log can say "sent
//! `Add` instead of `add`" and a directory can count them.

/// A deviation from the RFCs that was understood and straightened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Quirk {
    /// `"op":"Add"`: an operation in another case than the RFC's.
    OperationCase,
    /// `userName eq bjensen`: text in a filter without quotes.
    FilterQuotesMissing,
    /// `userName eq 'bjensen'`: text in a filter between single quotes.
    FilterQuotesSingle,
    /// `active eq "True"`, `employeeNumber eq 7`: an operand of another type than its attribute.
    FilterOperandType,
    /// `emails eq "x"`: a comparison with an object, of which its `value` is meant.
    FilterValueImplied,
    /// `emails[type eq "work"].value eq "x"`: a comparison after the bracket instead of inside.
    FilterComparisonAfterBracket,
    /// `manager` for `urn:…:enterprise:2.0:User:manager`.
    ExtensionUrnMissing,
}

/// The quirks of one request, each once, in the order in which they were met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quirks(Vec<Quirk>);

impl Quirks {
    /// None yet.
    pub fn new() -> Quirks {
        Quirks::default()
    }

    /// Notes one.
    pub fn note(&mut self, quirk: Quirk) {
        if !self.0.contains(&quirk) {
            self.0.push(quirk);
        }
    }

    /// What was noted.
    pub fn iter(&self) -> impl Iterator<Item = Quirk> + '_ {
        self.0.iter().copied()
    }

    /// Whether the request was as the RFCs want it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
