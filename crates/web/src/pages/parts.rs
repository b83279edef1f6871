//! What pages are made of.

use std::fmt::Write as _;
use std::sync::Arc;

use askama::Template;
use askama::filters::HtmlSafe;
use jiff::Timestamp;

use crate::Counter;
use crate::pages::brand::{Brand, Logo};
use crate::pages::form::{PROOF, proof};
use crate::pages::{FrameAncestor, assets};
use crate::problem::Problem;

/// What all pages have.
#[derive(Clone)]
pub(crate) struct Frame {
    brand: Arc<Brand>,
    /// What the forms of the page carry.
    proof: String,
    /// The sites that may show the portal in a frame, with spaces between them: a page in a frame tells
    /// none but these how it goes.
    within: String,
}

impl Frame {
    /// For whoever has this session; an empty one, where nobody has any.
    pub(crate) fn new(counter: &Counter, session: &str) -> Frame {
        let settings = &counter.settings;
        Frame::of(counter.brands.now(), session).in_sites(&settings.frame_ancestors)
    }

    pub(crate) fn of(brand: Arc<Brand>, session: &str) -> Frame {
        Frame { brand, proof: proof(session), within: String::new() }
    }

    /// That these may show it in a frame.
    pub(crate) fn in_sites(self, sites: &[FrameAncestor]) -> Frame {
        let sites: Vec<_> = sites.iter().map(FrameAncestor::as_str).collect();
        Frame { within: sites.join(" "), ..self }
    }

    pub(crate) fn within(&self) -> Option<&str> {
        Some(self.within.as_str()).filter(|it| !it.is_empty())
    }

    #[cfg(test)]
    pub(crate) fn brand(&self) -> Arc<Brand> {
        Arc::clone(&self.brand)
    }

    pub(crate) fn vendor(&self) -> &str {
        self.brand.name()
    }

    pub(crate) fn logo(&self) -> Option<&str> {
        self.brand.logo().map(Logo::address)
    }

    /// The stylesheets, in their order.
    pub(crate) fn stylesheets(&self) -> [String; 2] {
        [assets::address("roster.css"), self.brand.stylesheet_address().to_owned()]
    }

    pub(crate) fn icon() -> String {
        assets::address("icon.svg")
    }

    pub(crate) fn script() -> String {
        assets::address("roster.js")
    }

    /// The hidden field of every form.
    pub(crate) fn proof(&self) -> Proof<'_> {
        Proof { name: PROOF, proof: &self.proof }
    }
}

#[derive(Template)]
#[template(source = r#"<input type="hidden" name="{{ name }}" value="{{ proof }}">"#, ext = "html")]
pub(crate) struct Proof<'a> {
    name: &'static str,
    proof: &'a str,
}

impl HtmlSafe for Proof<'_> {}

/// A moment: in the reader's zone where scripts run, otherwise in UTC. The exact instant is there for
/// whoever points at it.
#[derive(Clone, Copy, Debug, Template)]
#[template(path = "parts/time.html")]
pub(crate) struct When(pub(crate) Timestamp);

impl When {
    fn exact(&self) -> String {
        self.0.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    fn shown(&self) -> String {
        self.0.strftime("%Y-%m-%d %H:%M").to_string()
    }
}

impl HtmlSafe for When {}

/// A page with what is asked of it; what is empty is left out.
pub(crate) fn with_query<const N: usize>(path: &str, asked: [(&str, &str); N]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(asked.iter().filter(|(_, value)| !value.is_empty()));
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// Something that can be copied: an id, an address, a secret.
#[derive(Clone, Debug, Template)]
#[template(path = "parts/copy.html")]
pub(crate) struct Copyable {
    /// By which the button finds it.
    id: String,
    text: String,
}

impl Copyable {
    /// `id` is that of the element, once in a page.
    pub(crate) fn new(id: impl Into<String>, text: impl Into<String>) -> Copyable {
        Copyable { id: id.into(), text: text.into() }
    }
}

impl HtmlSafe for Copyable {}

/// Why something that was typed was not taken, for the page on which it was typed.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) detail: Sentence,
    pub(crate) hint: Sentence,
}

impl From<&Problem> for Refused {
    fn from(problem: &Problem) -> Refused {
        let [_, detail, hint] = problem.said().map(str::to_owned);
        Refused { detail: Sentence(detail), hint: Sentence(hint) }
    }
}

/// A number of things, as people read it: with a space that does not break after each thousand
/// (ISO 80000-1 §7.3.1), since commas and points mean another thing elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) u64);

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = self.0.to_string();
        for (index, digit) in digits.chars().enumerate() {
            let is_thousand = index > 0 && (digits.len() - index).is_multiple_of(3);
            // Four digits are read at a glance.
            if is_thousand && digits.len() > 4 {
                f.write_str("\u{202f}")?;
            }
            f.write_char(digit)?;
        }
        Ok(())
    }
}

/// A sentence in which names stand between backticks, as what people are told is written everywhere.
#[derive(Clone, Debug, Template)]
#[template(
    source = r#"{% for (words, is_name) in self.parts() %}{% if is_name %}<code>{{ words }}</code>{% else %}{{ words }}{% endif %}{% endfor %}"#,
    ext = "html"
)]
pub(crate) struct Sentence(pub(crate) String);

impl Sentence {
    fn parts(&self) -> impl Iterator<Item = (&str, bool)> {
        // One that is not closed is a backtick.
        let closed = self.0.rfind('`').filter(|_| self.0.matches('`').count() % 2 == 1);
        let (named, rest) = self.0.split_at(closed.unwrap_or(self.0.len()));
        let parts = named.split('`').enumerate().map(|(index, words)| (words, index % 2 == 1));
        parts.chain([(rest, false)]).filter(|(words, _)| !words.is_empty())
    }
}

impl HtmlSafe for Sentence {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_can_be_read() {
        let numbers =
            [0, 7, 999, 1_204, 14_928, 100_000, 1_234_567].map(|it| Count(it).to_string());
        let expected =
            ["0", "7", "999", "1204", "14\u{202f}928", "100\u{202f}000", "1\u{202f}234\u{202f}567"];
        assert_eq!(numbers, expected);
    }

    #[test]
    fn names_in_sentences_are_told_from_words() {
        let check = |text: &str, expected: &str| {
            assert_eq!(Sentence(text.to_owned()).render().unwrap(), expected);
        };
        check("plain", "plain");
        check("`a` is & stays `<b>`.", "<code>a</code> is &#38; stays <code>&#60;b&#62;</code>.");
        check("`a` and ` alone", "<code>a</code> and ` alone");
        check("", "");
    }
}
