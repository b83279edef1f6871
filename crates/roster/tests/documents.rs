//! No link between our documents is dead.

mod tree;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path, PathBuf},
    process::Command,
};

use pulldown_cmark::{Event, LinkType, Options, Parser, Tag, TagEnd};

#[test]
fn every_relative_link_leads_to_a_file_and_a_heading_that_exist() {
    let root = tree::root();
    let documents: BTreeMap<PathBuf, Document> = tree::texts(&["md"])
        .into_iter()
        .map(|(path, text)| (path, Document::read(&text)))
        .collect();
    let mut wrong = Vec::new();
    for (path, document) in &documents {
        for link in &document.links {
            if let Err(reason) = follow(path, link, &documents, |file| root.join(file).exists()) {
                wrong.push(format!("{}: the link `{link}` {reason}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n\n{}\n", wrong.join("\n"));
}

#[test]
fn the_page_about_dialects_lists_every_quirk() {
    let page = std::fs::read_to_string(tree::root().join("docs/dialects.md")).unwrap();
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.strip_suffix(" |")?.split(" | ");
        let name = cells.next()?.strip_suffix('`')?;
        let row = (name, cells.next()?);
        assert_eq!(cells.filter(|cell| !cell.is_empty()).count(), 2, "{line}");
        Some(row)
    });
    let quirks = scim::dialect::Quirk::ALL.iter().map(|it| (it.name(), it.explanation()));
    assert_eq!(rows.collect::<Vec<_>>(), quirks.collect::<Vec<_>>());
}

#[test]
fn the_index_leads_to_every_document() {
    let folder = Path::new("docs");
    let index = folder.join("README.md");
    let texts = tree::texts(&["md"]);
    let (_, text) = texts.iter().find(|(path, _)| *path == index).expect("there is an index");
    let links = Document::read(text).links;
    let linked: BTreeSet<_> =
        links.iter().filter_map(|link| straighten(&folder.join(link))).collect();
    let missing: Vec<_> = texts
        .iter()
        .map(|(path, _)| path)
        .filter(|path| path.starts_with(folder) && **path != index && !linked.contains(*path))
        .collect();
    assert!(missing.is_empty(), "put these into docs/README.md: {missing:?}");
}

/// Names, variables and defaults, as `roster serve --help` says them.
#[test]
fn the_page_about_settings_lists_every_setting() {
    let help = Command::new(env!("CARGO_BIN_EXE_roster")).args(["serve", "--help"]).output();
    let help = String::from_utf8(help.expect("it starts").stdout).expect("it is text");
    let said = |block: &str, what: &str| {
        let (_, after) = block.split_once(&format!("[{what}: "))?;
        let (value, _) = after.split_once(']')?;
        Some(value.split('=').next().unwrap_or_default().to_owned())
    };
    let settings: Vec<_> = help
        .split("\n      --")
        .skip(1)
        .map(|block| {
            let block = block.split_whitespace().collect::<Vec<_>>().join(" ");
            let name = block.split(' ').next().unwrap_or_default();
            let variable = said(&block, "env").expect("each has a variable");
            let default = said(&block, "default").unwrap_or_else(|| "–".to_owned());
            (format!("`--{name}`"), format!("`{variable}`"), default)
        })
        .collect();
    let page = std::fs::read_to_string(tree::root().join("docs/operations/settings.md")).unwrap();
    let rows: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with("| `--"))
        .map(|line| {
            let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
            assert_eq!(cells.len(), 4, "{line}");
            (cells[0].to_owned(), cells[1].to_owned(), cells[2].to_owned())
        })
        .collect();
    assert_eq!(rows, settings, "docs/operations/settings.md is not what `serve --help` says");
}

#[test]
fn links_are_what_a_reader_can_click() {
    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(Document::read(text).links, expected, "{text}");
    }
    check("a [b](c.md) and ![d](e.png)", &["c.md", "e.png"]);
    check("a [b][c]\n\n[c]: d.md#e", &["d.md#e"]);
    check("<img src=\"a.png\"> and <a href=\"b.md\">b</a>", &["a.png", "b.md"]);
    check("<p>\n<img width=\"3\" src=\"a.png\">\n</p>", &["a.png"]);
    // Not links.
    check("`[b](c.md)`", &[]);
    check("```\n[b](c.md)\n```", &[]);
    check("a [b] c", &[]);
    // Elsewhere.
    check("[a](https://example.com/b) <https://example.com> <a@example.com>", &[]);
    check("[a](mailto:b@example.com)", &[]);
}

#[test]
fn headings_get_the_anchors_that_a_forge_gives_them() {
    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let anchors: Vec<_> = Document::read(text).anchors.into_iter().collect();
        assert_eq!(anchors, expected, "{text}");
    }
    check("# The write path", &["the-write-path"]);
    check("## `PATCH`, and what it means", &["patch-and-what-it-means"]);
    check("# Snake_case – and dashes", &["snake_case--and-dashes"]);
    check("# Twice\n\n# Twice", &["twice", "twice-1"]);
    check("# A [link](b.md) in it", &["a-link-in-it"]);
    check("<a id=\"by-hand\"></a>", &["by-hand"]);
    check("no heading", &[]);
}

#[test]
fn a_dead_link_is_told_from_one_that_leads_somewhere() {
    let documents = BTreeMap::from([
        (PathBuf::from("README.md"), Document::read("# Start")),
        (PathBuf::from("docs/okta.md"), Document::read("# Okta")),
    ]);
    let check = |link: &str, expected: Result<(), &str>| {
        let exists = |file: &Path| {
            ["", "docs", "docs/okta.md", "README.md", "LICENSE"].iter().any(|known| file == *known)
        };
        let answer = follow(Path::new("docs/okta.md"), link, &documents, exists);
        assert_eq!(answer, expected.map_err(str::to_owned), "{link}");
    };
    check("../README.md", Ok(()));
    check("../README.md#start", Ok(()));
    check("#okta", Ok(()));
    check("../LICENSE", Ok(()));
    check("../docs", Ok(()));
    check("/README.md", Ok(()));
    check("README.md", Err("leads to `docs/README.md`, which does not exist"));
    check("../README.md#end", Err("leads to `README.md`, which has no heading `end`"));
    check("#start", Err("leads to `docs/okta.md`, which has no heading `start`"));
    check("../../elsewhere.md", Err("leads out of the repository"));
}

/// What a document offers to links, and where its own lead.
struct Document {
    /// Those that stay within the repository, in order.
    links: Vec<String>,
    anchors: BTreeSet<String>,
}

impl Document {
    fn read(text: &str) -> Document {
        let mut document = Document { links: Vec::new(), anchors: BTreeSet::new() };
        let mut heading: Option<String> = None;
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    document.add_heading(&heading.take().expect("a heading ends where one began"));
                }
                Event::Text(text) | Event::Code(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                Event::Start(Tag::Link { link_type: LinkType::Email, .. }) => {}
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    document.add_link(&dest_url);
                }
                Event::Html(html) | Event::InlineHtml(html) => {
                    for name in ["href", "src"] {
                        attributes(&html, name).for_each(|link| document.add_link(link));
                    }
                    for name in ["id", "name"] {
                        document.anchors.extend(attributes(&html, name).map(str::to_owned));
                    }
                }
                _ => {}
            }
        }
        document
    }

    fn add_link(&mut self, link: &str) {
        let has_scheme = link
            .split_once(':')
            .is_some_and(|(scheme, _)| scheme.chars().all(|c| c.is_ascii_alphanumeric()));
        if !has_scheme && !link.starts_with("//") {
            self.links.push(link.to_owned());
        }
    }

    /// Lower case, without punctuation, a hyphen for each space, a number for each repetition.
    fn add_heading(&mut self, heading: &str) {
        let anchor: String = heading
            .trim()
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let repetitions = (1..).map(|count| format!("{anchor}-{count}"));
        let free = std::iter::once(anchor.clone())
            .chain(repetitions)
            .find(|candidate| !self.anchors.contains(candidate))
            .expect("numbers do not end before headings do");
        self.anchors.insert(free);
    }
}

/// The values of an attribute, in a piece of HTML.
fn attributes<'html>(html: &'html str, name: &str) -> impl Iterator<Item = &'html str> {
    let opening = format!(" {name}=\"");
    let starts: Vec<_> =
        html.match_indices(&opening).map(|(index, found)| index + found.len()).collect();
    starts.into_iter().filter_map(move |start| Some(html[start..].split_once('"')?.0))
}

/// Whether a link of the document at `from` leads somewhere; `Err` is where it does not.
fn follow(
    from: &Path,
    link: &str,
    documents: &BTreeMap<PathBuf, Document>,
    exists: impl Fn(&Path) -> bool,
) -> Result<(), String> {
    let (path, anchor) = match link.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (link, None),
    };
    let target = match (path, path.strip_prefix('/')) {
        ("", _) => from.to_owned(),
        (_, Some(from_root)) => PathBuf::from(from_root),
        _ => from.parent().expect("a file stands in a directory").join(path),
    };
    let target = straighten(&target).ok_or("leads out of the repository")?;
    if !exists(&target) {
        return Err(format!("leads to `{}`, which does not exist", target.display()));
    }
    if let (Some(anchor), Some(document)) = (anchor, documents.get(&target))
        && !document.anchors.contains(anchor)
    {
        return Err(format!("leads to `{}`, which has no heading `{anchor}`", target.display()));
    }
    Ok(())
}

/// The path without `.` and `..`; none when it leaves the root.
fn straighten(path: &Path) -> Option<PathBuf> {
    let mut straight = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                if !straight.pop() {
                    return None;
                }
            }
            Component::Normal(name) => straight.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    Some(straight)
}
