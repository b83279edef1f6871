//! Text with blanks in it, and what becomes of it when they are filled in.

/// What a guide leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blank {
    /// The base URL of the directory.
    Url,
    /// Its token.
    Token,
    /// The name of the customer.
    Organization,
    /// The name of the app that is connected.
    Vendor,
    /// The directory's id, which is the user name where a provider signs in with Basic.
    Directory,
}

impl Blank {
    /// All of them.
    pub const ALL: [Blank; 5] =
        [Blank::Url, Blank::Token, Blank::Organization, Blank::Vendor, Blank::Directory];

    /// As it stands between the braces.
    pub fn as_str(self) -> &'static str {
        match self {
            Blank::Url => "url",
            Blank::Token => "token",
            Blank::Organization => "organization",
            Blank::Vendor => "vendor",
            Blank::Directory => "directory",
        }
    }
}

/// What blanks are filled with. It is text, and need not be escaped.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "nobody should print a token")]
pub struct Values<'a> {
    /// The base URL of the directory.
    pub url: &'a str,
    /// Its token, as long as it may be shown.
    pub token: Option<&'a str>,
    /// The name of the customer.
    pub organization: &'a str,
    /// The name of the app that is connected.
    pub vendor: &'a str,
    /// The id of the directory.
    pub directory: &'a str,
}

impl<'a> Values<'a> {
    fn of(&self, blank: Blank) -> Option<&'a str> {
        match blank {
            Blank::Url => Some(self.url),
            Blank::Token => self.token,
            Blank::Organization => Some(self.organization),
            Blank::Vendor => Some(self.vendor),
            Blank::Directory => Some(self.directory),
        }
    }
}

/// A piece of a guide, of which some is filled in when it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    pieces: Vec<Piece>,
}

/// A piece of text that is filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filled {
    /// Markup, to be put into a page as it is: whatever was filled in is escaped. A field that comes
    /// next may be inside of an element that it opens.
    Html(String),
    /// What the reader pastes somewhere. It stands within a line, unless it is a block.
    Field(Field),
}

/// What the reader pastes somewhere, to be shown with a button that copies it.
#[derive(Clone, PartialEq, Eq)]
pub struct Field {
    /// All of it, and nothing else. It is text, and a page escapes it.
    pub shown: String,
    /// Whether it is complete. It is not where a token that was shown once is missing; `…` stands
    /// for it.
    pub can_be_copied: bool,
    /// Whether a token is a part of it.
    pub is_secret: bool,
    /// Whether it has several lines.
    pub is_block: bool,
}

impl std::fmt::Debug for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = if self.is_secret { "[redacted]" } else { &self.shown };
        f.debug_struct("Field")
            .field("shown", &shown)
            .field("can_be_copied", &self.can_be_copied)
            .field("is_block", &self.is_block)
            .finish_non_exhaustive()
    }
}

impl Text {
    /// Fills in the blanks. No two pieces of markup follow each other.
    pub fn fill(&self, values: &Values<'_>) -> Vec<Filled> {
        let mut filled = Vec::new();
        let mut html = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Html(markup) => html.push_str(markup),
                Piece::Word(blank) => escape(values.of(*blank).unwrap_or(MISSING), &mut html),
                Piece::Field { parts, is_block } => {
                    if !html.is_empty() {
                        filled.push(Filled::Html(std::mem::take(&mut html)));
                    }
                    filled.push(Filled::Field(field(parts, *is_block, values)));
                }
            }
        }
        if !html.is_empty() {
            filled.push(Filled::Html(html));
        }
        filled
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Adds markup, which is ours.
    pub(super) fn push_html(&mut self, markup: &str) {
        if let Some(Piece::Html(last)) = self.pieces.last_mut() {
            last.push_str(markup);
        } else {
            self.pieces.push(Piece::Html(markup.to_owned()));
        }
    }

    /// Adds plain text, in which blanks are words.
    pub(super) fn push_plain(&mut self, text: &str) -> Result<(), String> {
        for part in parts(text)? {
            match part {
                Part::Plain(text) => self.push_html(&escaped(&text)),
                // A secret within a sentence would be shown without a word of warning.
                Part::Blank(Blank::Token) => {
                    return Err("`{{token}}` stands outside of backticks".to_owned());
                }
                Part::Blank(blank) => self.pieces.push(Piece::Word(blank)),
            }
        }
        Ok(())
    }

    /// Adds code: a field where it has a blank, and otherwise just that.
    pub(super) fn push_code(&mut self, code: &str) -> Result<(), String> {
        let parts = parts(code)?;
        if parts.iter().any(|part| matches!(part, Part::Blank(_))) {
            self.pieces.push(Piece::Field { parts, is_block: false });
        } else {
            self.push_html(&format!("<code>{}</code>", escaped(code)));
        }
        Ok(())
    }

    /// Adds a block of code, all of which is pasted.
    pub(super) fn push_block(&mut self, code: &str) -> Result<(), String> {
        let parts = parts(code.trim_end())?;
        self.pieces.push(Piece::Field { parts, is_block: true });
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Html(String),
    /// A word of a sentence.
    Word(Blank),
    Field {
        parts: Vec<Part>,
        is_block: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Plain(String),
    Blank(Blank),
}

/// Stands for what is not known any more.
const MISSING: &str = "…";

fn field(parts: &[Part], is_block: bool, values: &Values<'_>) -> Field {
    let mut field = Field { shown: String::new(), can_be_copied: true, is_secret: false, is_block };
    for part in parts {
        match part {
            Part::Plain(text) => field.shown.push_str(text),
            Part::Blank(blank) => {
                let value = values.of(*blank);
                field.shown.push_str(value.unwrap_or(MISSING));
                field.can_be_copied &= value.is_some();
                field.is_secret |= *blank == Blank::Token && value.is_some();
            }
        }
    }
    field
}

/// Text, with its blanks told apart. What begins like a blank has to be one.
fn parts(text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").ok_or("`{{` is not closed")?;
        let blank = Blank::ALL.into_iter().find(|blank| blank.as_str() == name);
        let blank = blank.ok_or_else(|| {
            let known = Blank::ALL.map(Blank::as_str).join(", ");
            format!("`{{{{{name}}}}}` is not a blank; use one of {known}")
        })?;
        if !before.is_empty() {
            parts.push(Part::Plain(before.to_owned()));
        }
        parts.push(Part::Blank(blank));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Plain(rest.to_owned()));
    }
    Ok(parts)
}

pub(super) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    escape(text, &mut html);
    html
}

/// Text as markup, within elements and within quotes.
fn escape(text: &str, html: &mut String) {
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            _ => html.push(character),
        }
    }
}
