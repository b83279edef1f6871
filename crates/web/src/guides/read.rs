//! Reads the file of a guide. Only what guides need of Markdown becomes markup; whatever else stands in
//! the file, HTML first of all, is an error, so no guide can bring anything into a page.

use directory::Provider;
use pulldown_cmark::{CodeBlockKind, CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::text::escaped;
use super::{Chapter, Guide, Sighting, Source, Step, Text, Trap};

const STEPS: &str = "Steps";
const TRAPS: &str = "When it does not work";
/// Every guide has these, in this order.
const CHAPTERS: [&str; 6] = [
    STEPS,
    "What comes over",
    "When people leave",
    "Test with one person",
    "Take it out again",
    TRAPS,
];

/// Reads the guide of this name; `Err` is what is wrong with it, and where.
pub(super) fn guide(name: &str, text: &str) -> Result<Guide, String> {
    read(name, text).map_err(|reason| format!("docs/guides/{name}.md: {reason}"))
}

fn read(name: &str, text: &str) -> Result<Guide, String> {
    let (head, body) = text
        .strip_prefix("---\n")
        .and_then(|text| text.split_once("\n---\n"))
        .ok_or("does not begin with a head between two lines `---`")?;
    let head = Head::read(head)?;
    let Body { introduction, sections } = Body::read(body)?;

    let titles: Vec<_> = sections.iter().map(|section| section.title.as_str()).collect();
    if titles != CHAPTERS {
        return Err(format!("has the chapters {titles:?}, and not {CHAPTERS:?}"));
    }
    let mut guide = Guide {
        name: name.to_owned(),
        title: head.title.ok_or("has no `title`")?,
        providers: head.providers,
        app: head.app.ok_or("has no `app`")?,
        minutes: head.minutes.ok_or("has no `minutes`")?,
        needs: head.needs,
        sources: head.sources,
        introduction,
        steps: Vec::new(),
        chapters: Vec::new(),
        traps: Vec::new(),
    };
    for section in sections {
        match section.title.as_str() {
            STEPS => guide.steps = steps(section)?,
            TRAPS => guide.traps = traps(section)?,
            _ if section.items.is_empty() => {
                guide.chapters.push(Chapter { title: section.title, text: section.text });
            }
            title => return Err(format!("`{title}` has headings of the third level")),
        }
    }
    if guide.providers.is_empty() {
        return Err("has no `provider`".to_owned());
    }
    Ok(guide)
}

fn steps(section: Section) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    for (index, item) in section.items.into_iter().enumerate() {
        let number = format!("{}. ", index + 1);
        let Some(title) = item.title.strip_prefix(&number) else {
            return Err(format!("`{}` does not begin with `{number}`", item.title));
        };
        let seen = match item.marker {
            None => None,
            Some((key, value)) if key == "seen" => {
                let known = Sighting::ALL.into_iter().find(|it| it.as_str() == value);
                Some(known.ok_or_else(|| format!("`seen: {value}` is nothing that can be seen"))?)
            }
            Some((key, _)) => return Err(format!("`{title}` has a marker `{key}`, not `seen`")),
        };
        steps.push(Step { title: title.to_owned(), text: item.text, seen });
    }
    Ok(steps)
}

fn traps(section: Section) -> Result<Vec<Trap>, String> {
    let mut traps: Vec<Trap> = Vec::new();
    for item in section.items {
        let Some((_, id)) = item.marker.filter(|(key, _)| key == "trap") else {
            return Err(format!("`{}` has no marker `trap`", item.title));
        };
        if !id.chars().all(|it| it.is_ascii_lowercase() || it == '-') {
            return Err(format!("`trap: {id}` is not lower case"));
        }
        if traps.iter().any(|trap| trap.id == id) {
            return Err(format!("two traps are called `{id}`"));
        }
        traps.push(Trap { id, title: item.title, text: item.text });
    }
    Ok(traps)
}

/// What stands before the text: `key: value`, and lists.
#[derive(Default)]
struct Head {
    title: Option<String>,
    providers: Vec<Provider>,
    app: Option<String>,
    minutes: Option<u16>,
    needs: Vec<Text>,
    sources: Vec<Source>,
}

impl Head {
    fn read(text: &str) -> Result<Head, String> {
        let mut head = Head::default();
        let mut list = "";
        for line in text.lines() {
            if let Some(entry) = line.strip_prefix("  - ") {
                match list {
                    "needs" => {
                        let mut need = Text::default();
                        need.push_plain(entry)?;
                        head.needs.push(need);
                    }
                    "sources" => head.sources.push(source(entry)?),
                    _ => return Err(format!("`{line}` belongs to no list")),
                }
                continue;
            }
            let (key, value) = line.split_once(':').ok_or_else(|| no_line_of_a_head(line))?;
            let value = value.trim();
            list = "";
            match key {
                "title" => head.title = Some(value.to_owned()),
                "provider" => {
                    for name in value.split(", ") {
                        head.providers
                            .push(name.parse::<Provider>().map_err(|error| error.to_string())?);
                    }
                }
                "app" => head.app = Some(value.to_owned()),
                "minutes" => {
                    let minutes = value.parse();
                    head.minutes = Some(minutes.map_err(|_| format!("`{line}` is no number"))?);
                }
                "needs" | "sources" if value.is_empty() => list = key,
                _ => return Err(no_line_of_a_head(line)),
            }
        }
        Ok(head)
    }
}

fn no_line_of_a_head(line: &str) -> String {
    format!("`{line}` is no line of a head")
}

/// `https://… (2026-11-22)`
fn source(text: &str) -> Result<Source, String> {
    let parts = text.strip_suffix(')').and_then(|text| text.split_once(" ("));
    let Some((url, read)) = parts.filter(|(url, _)| is_https(url)) else {
        return Err(format!("`{text}` is not an address with a date in brackets"));
    };
    if read.parse::<jiff::civil::Date>().is_err() {
        return Err(format!("`{read}` is no date"));
    }
    Ok(Source { url: url.to_owned(), read: read.to_owned() })
}

/// The text, cut at its headings.
struct Body {
    introduction: Text,
    sections: Vec<Section>,
}

struct Section {
    title: String,
    text: Text,
    items: Vec<Item>,
}

struct Item {
    title: String,
    /// `<!-- key: value -->`, directly below the heading.
    marker: Option<(String, String)>,
    text: Text,
}

impl Body {
    fn read(text: &str) -> Result<Body, String> {
        let mut body = Body { introduction: Text::default(), sections: Vec::new() };
        let mut heading: Option<String> = None;
        let mut writer = Writer::default();
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(level)) => {
                    body.open(level, heading.take().expect("a heading ends where one began"))?;
                }
                Event::Text(text) if heading.is_some() => {
                    heading.as_mut().expect("it is there").push_str(&text);
                }
                _ if heading.is_some() => return Err("a heading is more than text".to_owned()),
                Event::Start(Tag::HtmlBlock) | Event::End(TagEnd::HtmlBlock) => {}
                Event::Html(html) => body.mark(&html)?,
                event => writer.write(event, body.current())?,
            }
        }
        Ok(body)
    }

    fn open(&mut self, level: HeadingLevel, title: String) -> Result<(), String> {
        match level {
            // The title of the document, for who reads it as a file.
            HeadingLevel::H1 if self.sections.is_empty() => {}
            HeadingLevel::H2 => {
                let (text, items) = (Text::default(), Vec::new());
                self.sections.push(Section { title, text, items });
            }
            HeadingLevel::H3 if !self.sections.is_empty() => {
                let section = self.sections.last_mut().expect("it was just looked at");
                section.items.push(Item { title, marker: None, text: Text::default() });
            }
            _ => return Err(format!("`{title}` is a heading where none belongs")),
        }
        Ok(())
    }

    fn mark(&mut self, html: &str) -> Result<(), String> {
        let refused = || format!("`{}` is HTML that is no marker below a heading", html.trim());
        let marker = html.trim().strip_prefix("<!-- ").and_then(|it| it.strip_suffix(" -->"));
        let (key, value) = marker.and_then(|it| it.split_once(": ")).ok_or_else(refused)?;
        let item = self.sections.last_mut().and_then(|section| section.items.last_mut());
        let item = item.filter(|it| it.marker.is_none() && it.text.is_empty());
        item.ok_or_else(refused)?.marker = Some((key.to_owned(), value.to_owned()));
        Ok(())
    }

    /// Where text belongs now.
    fn current(&mut self) -> &mut Text {
        match self.sections.last_mut() {
            None => &mut self.introduction,
            Some(section) => match section.items.last_mut() {
                None => &mut section.text,
                Some(item) => &mut item.text,
            },
        }
    }
}

/// Makes markup of what the parser finds.
#[derive(Default)]
struct Writer {
    in_table_head: bool,
    /// What a fenced block has so far.
    block: Option<String>,
    /// Whether the link that is open has an element: one to another guide has none, because a page
    /// has ways of its own to choose one.
    link: bool,
}

impl Writer {
    fn write(&mut self, event: Event<'_>, text: &mut Text) -> Result<(), String> {
        match event {
            Event::Start(tag) => self.start(tag, text)?,
            Event::End(tag) => self.end(tag, text)?,
            Event::Text(plain) => match &mut self.block {
                Some(block) => block.push_str(&plain),
                None => text.push_plain(&plain)?,
            },
            Event::Code(code) => text.push_code(&code)?,
            Event::SoftBreak => text.push_html("\n"),
            Event::InlineHtml(html) => return Err(format!("`{html}` is HTML")),
            other => return Err(format!("{other:?} does not belong into a guide")),
        }
        Ok(())
    }

    fn start(&mut self, tag: Tag<'_>, text: &mut Text) -> Result<(), String> {
        let markup = match tag {
            Tag::Paragraph => "<p>",
            Tag::Strong => "<strong>",
            Tag::Emphasis => "<em>",
            Tag::List(None) => "<ul>",
            Tag::List(Some(1)) => "<ol>",
            Tag::Item => "<li>",
            Tag::Table(_) => "<table>",
            Tag::TableHead => {
                self.in_table_head = true;
                "<thead><tr>"
            }
            Tag::TableRow => "<tr>",
            Tag::TableCell if self.in_table_head => "<th scope=\"col\">",
            Tag::TableCell => "<td>",
            Tag::CodeBlock(CodeBlockKind::Fenced(_)) => {
                self.block = Some(String::new());
                return Ok(());
            }
            Tag::Link { dest_url, .. } => return self.start_link(&dest_url, text),
            other => return Err(format!("{other:?} does not belong into a guide")),
        };
        text.push_html(markup);
        Ok(())
    }

    fn start_link(&mut self, url: &CowStr<'_>, text: &mut Text) -> Result<(), String> {
        self.link = is_https(url);
        if self.link {
            let url = escaped(url);
            let link = format!("<a href=\"{url}\" target=\"_blank\" rel=\"noopener noreferrer\">");
            text.push_html(&link);
        } else if !super::FILES.iter().any(|(name, _)| url.strip_suffix(".md") == Some(*name)) {
            return Err(format!("the link `{url}` leads neither to https nor to a guide"));
        }
        Ok(())
    }

    fn end(&mut self, tag: TagEnd, text: &mut Text) -> Result<(), String> {
        let markup = match tag {
            TagEnd::Paragraph => "</p>\n",
            TagEnd::Strong => "</strong>",
            TagEnd::Emphasis => "</em>",
            TagEnd::List(false) => "</ul>\n",
            TagEnd::List(true) => "</ol>\n",
            TagEnd::Item => "</li>\n",
            TagEnd::Table => "</tbody></table>\n",
            TagEnd::TableHead => {
                self.in_table_head = false;
                "</tr></thead><tbody>"
            }
            TagEnd::TableRow => "</tr>",
            TagEnd::TableCell if self.in_table_head => "</th>",
            TagEnd::TableCell => "</td>",
            TagEnd::CodeBlock => {
                let block = self.block.take().expect("a block ends where one began");
                return text.push_block(&block);
            }
            TagEnd::Link if std::mem::take(&mut self.link) => "</a>",
            TagEnd::Link => "",
            other => return Err(format!("{other:?} does not belong into a guide")),
        };
        text.push_html(markup);
        Ok(())
    }
}

/// Whether it is an address that a reader can open: `https`, a host, and nothing that needs quoting.
fn is_https(url: &str) -> bool {
    let rest = url.strip_prefix("https://").unwrap_or_default();
    let (host, _) = rest.split_once('/').unwrap_or((rest, ""));
    let is_plain = |it: char| it.is_ascii_graphic() && !"\"'<>`{}".contains(it);
    host.contains('.')
        && host.chars().all(|it| it.is_ascii_alphanumeric() || ".-".contains(it))
        && rest.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::super::{Field, Filled, Values};
    use super::*;

    const HEAD: &str = "---\ntitle: Okta\nprovider: okta\napp: template\nminutes: 20\nneeds:\n  - A \
                        right\nsources:\n  - https://example.com/a (2026-11-22)\n---\n";

    /// A whole guide with this for its first step.
    fn with_step(step: &str) -> String {
        let chapters = CHAPTERS[1..].iter().map(|title| format!("\n## {title}\n\nText.\n"));
        let chapters: String = chapters.collect();
        format!("{HEAD}\n# Okta\n\nIt connects.\n\n## Steps\n\n### 1. Begin\n{step}\n{chapters}")
    }

    #[track_caller]
    fn wrong(text: &str, expected: &str) {
        let reason = guide("test", text).unwrap_err();
        assert_eq!(reason, format!("docs/guides/test.md: {expected}"));
    }

    #[test]
    fn a_guide_is_read_into_its_parts() {
        let text = with_step("<!-- seen: person -->\n\nAssign **one** person.")
            + "\n### It fails\n<!-- trap: path -->\n\nLook.\n";
        let guide = guide("test", &text).unwrap();
        assert_eq!(
            (guide.title.as_str(), guide.app.as_str(), guide.minutes),
            ("Okta", "template", 20)
        );
        assert_eq!(guide.providers, [Provider::Okta]);
        let source = Source { url: "https://example.com/a".into(), read: "2026-11-22".into() };
        assert_eq!(guide.sources, [source]);
        assert_eq!((guide.steps.len(), guide.steps[0].seen), (1, Some(Sighting::Person)));
        assert_eq!(guide.steps[0].title, "Begin");
        assert_eq!(filled("Assign **one** person."), guide.steps[0].text.fill(&VALUES));
        assert_eq!(guide.chapters.len(), 4);
        assert_eq!(guide.trap("path").unwrap().title, "It fails");
    }

    const VALUES: Values<'_> = Values {
        url: "https://roster.example.com/scim/v2",
        token: Some("secret"),
        organization: "Acme",
        vendor: "Hinweg",
        directory: "dir-1",
    };

    fn filled(step: &str) -> Vec<Filled> {
        guide("test", &with_step(&format!("\n{step}"))).unwrap().steps[0].text.fill(&VALUES)
    }

    #[test]
    fn markdown_becomes_markup() {
        #[track_caller]
        fn check(step: &str, expected: &str) {
            assert_eq!(filled(step), [Filled::Html(expected.to_owned())], "{step}");
        }
        check("Click **Save & go**.", "<p>Click <strong>Save &amp; go</strong>.</p>\n");
        check("*In* `a < b`", "<p><em>In</em> <code>a &lt; b</code></p>\n");
        check("1. One\n2. Two", "<ol><li>One</li>\n<li>Two</li>\n</ol>\n");
        check("- One", "<ul><li>One</li>\n</ul>\n");
        check(
            "| a |\n| --- |\n| b |",
            "<table><thead><tr><th scope=\"col\">a</th></tr></thead><tbody><tr><td>b</td></tr></tbody></table>\n",
        );
        check(
            "[Go](https://example.com/?a=1&b=2)",
            "<p><a href=\"https://example.com/?a=1&amp;b=2\" target=\"_blank\" rel=\"noopener \
             noreferrer\">Go</a></p>\n",
        );
        // Another guide is chosen on the page.
        check("See [that](entra.md).", "<p>See that.</p>\n");
        check("Ask {{vendor}} for {{organization}}.", "<p>Ask Hinweg for Acme.</p>\n");
    }

    #[test]
    fn a_blank_between_backticks_is_what_has_to_be_pasted() {
        let field = |shown: &str, is_secret, is_block| {
            let shown = shown.to_owned();
            Filled::Field(Field { shown, can_be_copied: true, is_secret, is_block })
        };
        let html = |markup: &str| Filled::Html(markup.to_owned());
        let expected = [html("<p>Paste "), field("Bearer secret", true, false), html(".</p>\n")];
        assert_eq!(filled("Paste `Bearer {{token}}`."), expected);
        let url = "https://roster.example.com/scim/v2?a";
        let expected = [html("<p>"), field(url, false, false), html("</p>\n")];
        assert_eq!(filled("`{{url}}?a`"), expected);
        let block = "{\n  \"id\": \"{$user.id}\"\n}";
        assert_eq!(filled(&format!("```json\n{block}\n```")), [field(block, false, true)]);
    }

    #[test]
    fn whatever_does_not_belong_into_a_guide_is_refused() {
        #[track_caller]
        fn check(step: &str, expected: &str) {
            wrong(&with_step(step), expected);
        }
        check("<!-- seen: love -->", "`seen: love` is nothing that can be seen");
        check("<!-- trap: path -->", "`Begin` has a marker `trap`, not `seen`");
        check(
            "\nText.\n\n<!-- seen: person -->",
            "`<!-- seen: person -->` is HTML that is no marker below a heading",
        );
        check(
            "<script>alert(1)</script>",
            "`<script>alert(1)</script>` is HTML that is no marker below a heading",
        );
        check("\nClick <b>here</b>.", "`<b>` is HTML");
        check(
            "\nPaste `{{tokn}}`.",
            "`{{tokn}}` is not a blank; use one of url, token, organization, vendor, directory",
        );
        check("\nPaste `{{token`.", "`{{` is not closed");
        check("\nIt is {{token}}.", "`{{token}}` stands outside of backticks");
        check(
            "\n[Go](javascript:alert(1))",
            "the link `javascript:alert(1)` leads neither to https nor to a guide",
        );
        check(
            "\n[Go](http://example.com)",
            "the link `http://example.com` leads neither to https nor to a guide",
        );
        check("\n[Go](nobody.md)", "the link `nobody.md` leads neither to https nor to a guide");
        check("\n### 3. Go on", "`3. Go on` does not begin with `2. `");
        check("\n#### Deeper", "`Deeper` is a heading where none belongs");
    }

    #[test]
    fn a_head_is_complete_and_has_nothing_else() {
        #[track_caller]
        fn check(from: &str, to: &str, expected: &str) {
            wrong(&with_step("").replacen(from, to, 1), expected);
        }
        check("---\n", "", "does not begin with a head between two lines `---`");
        check("app: template\n", "", "has no `app`");
        check("provider: okta\n", "", "has no `provider`");
        check("minutes: 20", "minutes: soon", "`minutes: soon` is no number");
        check("app: template", "colour: red", "`colour: red` is no line of a head");
        check("(2026-11-22)", "(2026-11-31)", "`2026-11-31` is no date");
        check(
            "https://example.com/a (2026-11-22)",
            "example.com",
            "`example.com` is not an address with a date in brackets",
        );
    }

    #[test]
    fn the_chapters_are_always_the_same() {
        let text = with_step("").replacen("## What comes over", "## What arrives", 1);
        let reason = guide("test", &text).unwrap_err();
        assert!(reason.contains("\"What arrives\""), "{reason}");
    }
}
