//! The grammar: a parser by recursive descent that counts how deep and how much.

use super::{Filter, Literal, NumberText, Operator};
use crate::dialect::{Quirk, Quirks};
use crate::error::Error;
use crate::limit::{FILTER_BYTES_MAX, FILTER_DEPTH_MAX, FILTER_NODES_MAX};
use crate::path::{AttributePath, excerpt};
use crate::preset::Preset;

pub(super) fn filter(text: &str, preset: Preset, quirks: &mut Quirks) -> Result<Filter, Error> {
    parse(text, Place::Resource, preset, quirks)
}

pub(super) fn value_filter(
    text: &str,
    preset: Preset,
    quirks: &mut Quirks,
) -> Result<Filter, Error> {
    parse(text, Place::Brackets, preset, quirks)
}

fn parse(text: &str, place: Place, preset: Preset, quirks: &mut Quirks) -> Result<Filter, Error> {
    if text.len() > FILTER_BYTES_MAX {
        return Err(Error::invalid_filter(format!(
            "the filter has {} bytes, and at most {FILTER_BYTES_MAX} are allowed; ask for less at once",
            text.len()
        )));
    }
    let mut parser = Parser { text, position: 0, place, depth: 0, nodes: 0, preset, quirks };
    parser.skip_spaces();
    let filter = parser.alternatives()?;
    match parser.peek() {
        None => Ok(filter),
        Some(')') => Err(parser.wrong("this `)` closes nothing")),
        Some(_) => Err(parser.expected("`and`, `or` or the end")),
    }
}

/// Which names may stand here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Those of a resource's attributes.
    Resource,
    /// Those of sub-attributes, inside `emails[…]`.
    Brackets,
}

struct Parser<'a> {
    text: &'a str,
    /// In bytes, on the boundary of a character.
    position: usize,
    place: Place,
    depth: usize,
    nodes: usize,
    preset: Preset,
    quirks: &'a mut Quirks,
}

impl<'a> Parser<'a> {
    /// `… or … or …`
    fn alternatives(&mut self) -> Result<Filter, Error> {
        let first = self.conjunction()?;
        if !self.accept_word("or") {
            return Ok(first);
        }
        self.count()?;
        let mut branches = vec![first, self.conjunction()?];
        while self.accept_word("or") {
            branches.push(self.conjunction()?);
        }
        Ok(Filter::Or(branches))
    }

    /// `… and … and …`
    fn conjunction(&mut self) -> Result<Filter, Error> {
        let first = self.term()?;
        if !self.accept_word("and") {
            return Ok(first);
        }
        self.count()?;
        let mut branches = vec![first, self.term()?];
        while self.accept_word("and") {
            branches.push(self.term()?);
        }
        Ok(Filter::And(branches))
    }

    fn term(&mut self) -> Result<Filter, Error> {
        self.count()?;
        if self.peek() == Some('(') {
            return self.group();
        }
        let start = self.position;
        let name = self.name();
        if name.eq_ignore_ascii_case("not") {
            self.skip_spaces();
            if self.peek() != Some('(') {
                return Err(self.expected("`(` after `not`, as in `not (title pr)`"));
            }
            return Ok(Filter::Not(Box::new(self.group()?)));
        }
        if name.is_empty() {
            return Err(self.expected("the name of an attribute"));
        }
        let path =
            AttributePath::parse(name).map_err(|error| self.wrong_at(start, error.detail()))?;
        if self.place == Place::Brackets && name.contains(['.', ':']) {
            return Err(self.wrong_at(
                start,
                &format!("`{}` is more than the name of a sub-attribute, which is all that can stand between `[` and `]`", excerpt(name)),
            ));
        }
        if self.peek() == Some('[') {
            return self.values(path);
        }
        self.comparison(path)
    }

    /// `( … )`, and what follows it.
    fn group(&mut self) -> Result<Filter, Error> {
        let start = self.position;
        self.enter()?;
        let inner = self.alternatives()?;
        self.leave(start, ')')?;
        Ok(inner)
    }

    /// `[ … ]` after the name of an attribute, and what follows it.
    fn values(&mut self, path: AttributePath) -> Result<Filter, Error> {
        if self.place == Place::Brackets {
            return Err(self.wrong(
                "there is a `[` inside of `[…]`; sub-attributes have no parts of their own",
            ));
        }
        let start = self.position;
        self.enter()?;
        self.place = Place::Brackets;
        let mut inner = self.alternatives()?;
        // Entra: `emails[type eq "work"].value eq "x"` becomes
        // `emails[type eq "work" and value eq "x"]`.
        if self.text[self.position..].starts_with("].") {
            self.position += "].".len();
            self.depth -= 1;
            self.count()?;
            self.quirks.note(Quirk::FilterComparisonAfterBracket);
            let last = self.term_of_one_value()?;
            inner = match inner {
                Filter::And(mut branches) => {
                    branches.push(last);
                    Filter::And(branches)
                }
                other => Filter::And(vec![other, last]),
            };
        } else {
            self.leave(start, ']')?;
        }
        self.place = Place::Resource;
        Ok(Filter::Values(path, Box::new(inner)))
    }

    /// `value eq "x"`: a name and a comparison and nothing else.
    fn term_of_one_value(&mut self) -> Result<Filter, Error> {
        self.count()?;
        let start = self.position;
        let name = self.name();
        if name.is_empty() {
            return Err(self.expected("the name of a sub-attribute"));
        }
        let path =
            AttributePath::parse(name).map_err(|error| self.wrong_at(start, error.detail()))?;
        self.comparison(path)
    }

    /// An operator and, but for `pr`, what to compare with.
    fn comparison(&mut self, path: AttributePath) -> Result<Filter, Error> {
        self.skip_spaces();
        let start = self.position;
        let word = self.take_while(|it| it.is_ascii_alphanumeric());
        if word.eq_ignore_ascii_case("pr") {
            self.skip_spaces();
            return Ok(Filter::Present(path));
        }
        let Some(operator) =
            Operator::ALL.into_iter().find(|it| it.as_str().eq_ignore_ascii_case(word))
        else {
            self.position = start;
            let operators = "`eq`, `ne`, `co`, `sw`, `ew`, `gt`, `ge`, `lt`, `le` and `pr`";
            let word = self.take_while(|it| !it.is_ascii_whitespace() && !"()[]\"'".contains(it));
            return Err(if word.is_empty() {
                self.expected(&format!("an operator after `{path}`; there are {operators}"))
            } else {
                self.wrong_at(
                    start,
                    &format!(
                        "the operator `{}` is not supported; there are {operators}",
                        excerpt(word)
                    ),
                )
            });
        };
        self.skip_spaces();
        let literal = self.literal(operator)?;
        self.skip_spaces();
        Ok(Filter::Compare(path, operator, literal))
    }

    fn literal(&mut self, operator: Operator) -> Result<Literal, Error> {
        match self.peek() {
            Some('"') => self.quoted(),
            Some('\'') => self.single_quoted(),
            _ => self.bare(operator),
        }
    }

    /// A JSON string.
    fn quoted(&mut self) -> Result<Literal, Error> {
        let start = self.position;
        let bytes = self.text.as_bytes();
        let mut end = start + 1;
        while bytes.get(end).is_some_and(|byte| *byte != b'"') {
            // Whatever is escaped, it does not end the text.
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        let Some(quoted) = self.text.get(start..=end) else {
            return Err(self.wrong("this `\"` opens a text that is not closed"));
        };
        let text = serde_json::from_str(quoted).map_err(|_| {
            self.wrong("this text is not written as JSON wants it: check what follows each `\\`")
        })?;
        self.position = end + 1;
        self.after_literal("text")?;
        Ok(Literal::Text(text))
    }

    /// `'Group'`, as RFC 7644 §3.7.1 itself has it. There is no escaping: the text ends at a quote
    /// with nothing behind it that could belong to it, so that `'O'Malley'` is what it looks like.
    fn single_quoted(&mut self) -> Result<Literal, Error> {
        if self.preset == Preset::Strict {
            return Err(self.expected("text between double quotes"));
        }
        let inside = &self.text[self.position + 1..];
        let end = inside.match_indices('\'').map(|(place, _)| place).find(|place| {
            inside[place + 1..].starts_with(ends_literal) || place + 1 == inside.len()
        });
        let Some(end) = end else {
            return Err(self.wrong("this `'` opens a text that is not closed"));
        };
        self.quirks.note(Quirk::FilterQuotesSingle);
        self.position += 1 + end + 1;
        Ok(Literal::Text(inside[..end].to_owned()))
    }

    /// `true`, `null`, `42`; or text without quotes.
    fn bare(&mut self, operator: Operator) -> Result<Literal, Error> {
        let start = self.position;
        let word = self.take_while(|it| !it.is_whitespace() && !"()[]\"".contains(it));
        match word {
            "null" => return Ok(Literal::Null),
            "true" => return Ok(Literal::Boolean(true)),
            "false" => return Ok(Literal::Boolean(false)),
            "" => {
                return Err(self.expected(&format!("what to compare with after `{operator}`")));
            }
            _ => {}
        }
        if let Some(number) = NumberText::new(word) {
            return Ok(Literal::Number(number));
        }
        if self.preset == Preset::Strict {
            self.position = start;
            return Err(
                self.expected("text between double quotes, a number, `true`, `false` or `null`")
            );
        }
        self.after_literal("word")?;
        self.quirks.note(Quirk::FilterQuotesMissing);
        Ok(Literal::Text(word.to_owned()))
    }

    /// A literal ends where something else can begin: `"a""b"` is a mistake.
    fn after_literal(&self, what: &str) -> Result<(), Error> {
        match self.peek() {
            None => Ok(()),
            Some(next) if ends_literal(next) => Ok(()),
            Some(_) => Err(self.expected(&format!("a space after the {what}"))),
        }
    }

    /// As much as can be the name of an attribute; what is wrong in it is said later.
    fn name(&mut self) -> &'a str {
        self.take_while(|it| !it.is_whitespace() && !"()[]\"'".contains(it))
    }

    fn take_while(&mut self, accepts: impl Fn(char) -> bool) -> &'a str {
        let rest = &self.text[self.position..];
        let end = rest.find(|it| !accepts(it)).unwrap_or(rest.len());
        self.position += end;
        &rest[..end]
    }

    /// Takes this word if it stands here, with what may follow a word behind it.
    fn accept_word(&mut self, word: &str) -> bool {
        let rest = &self.text[self.position..];
        let Some((start, after)) = rest.split_at_checked(word.len()) else { return false };
        if !start.eq_ignore_ascii_case(word)
            || !(after.is_empty() || after.starts_with(|it| is_space(it) || it == '('))
        {
            return false;
        }
        self.position += word.len();
        self.skip_spaces();
        true
    }

    fn peek(&self) -> Option<char> {
        self.text[self.position..].chars().next()
    }

    fn skip_spaces(&mut self) {
        self.take_while(is_space);
    }

    /// Steps over an opening parenthesis or bracket.
    fn enter(&mut self) -> Result<(), Error> {
        if self.depth == FILTER_DEPTH_MAX {
            return Err(self.wrong(&format!(
                "parentheses and brackets are nested more than {FILTER_DEPTH_MAX} deep"
            )));
        }
        self.depth += 1;
        self.position += 1;
        self.skip_spaces();
        Ok(())
    }

    /// Steps over the closing one.
    fn leave(&mut self, start: usize, closing: char) -> Result<(), Error> {
        match self.peek() {
            Some(it) if it == closing => {}
            None => {
                return Err(
                    self.wrong_at(start, &format!("there is no `{closing}` that closes this"))
                );
            }
            Some(_) => return Err(self.expected(&format!("`and`, `or` or `{closing}`"))),
        }
        self.depth -= 1;
        self.position += 1;
        self.skip_spaces();
        Ok(())
    }

    /// Counts one term or connective.
    fn count(&mut self) -> Result<(), Error> {
        self.nodes += 1;
        if self.nodes > FILTER_NODES_MAX {
            return Err(self.wrong(&format!(
                "the filter has more than {FILTER_NODES_MAX} terms and connectives; ask for less at once"
            )));
        }
        Ok(())
    }

    fn expected(&self, what: &str) -> Error {
        let rest = &self.text[self.position..];
        let found = if rest.is_empty() {
            "the filter ends".to_owned()
        } else {
            // The word, or the sign that is in the way.
            let end =
                rest.char_indices().skip(1).find(|(_, it)| is_space(*it) || "()[]\"".contains(*it));
            format!("there is `{}`", excerpt(end.map_or(rest, |(end, _)| &rest[..end])))
        };
        self.wrong(&format!("expected {what}, but {found}"))
    }

    fn wrong(&self, what: &str) -> Error {
        self.wrong_at(self.position, what)
    }

    fn wrong_at(&self, position: usize, what: &str) -> Error {
        let character = self.text[..position].chars().count() + 1;
        Error::invalid_filter(format!("the filter is wrong at character {character}: {what}"))
    }
}

/// The RFC wants one space; more of them, and line breaks from copying, do no harm.
fn is_space(it: char) -> bool {
    it.is_ascii_whitespace()
}

fn ends_literal(it: char) -> bool {
    is_space(it) || it == ')' || it == ']'
}

impl NumberText {
    /// Takes what JSON calls a number (RFC 8259 §6).
    ///
    /// ```
    /// use scim::filter::NumberText;
    ///
    /// assert_eq!(NumberText::new("-1.50").unwrap().as_str(), "-1.50");
    /// assert_eq!(NumberText::new("007"), None);
    /// ```
    pub fn new(text: &str) -> Option<NumberText> {
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Some(exponent)),
            None => (unsigned, None),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (mantissa, None),
        };
        let digits = |it: &str| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit());
        let is_number = digits(whole)
            && (whole == "0" || !whole.starts_with('0'))
            && fraction.is_none_or(digits)
            && exponent.is_none_or(|it| digits(it.strip_prefix(['+', '-']).unwrap_or(it)));
        is_number.then(|| NumberText(text.to_owned()))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
