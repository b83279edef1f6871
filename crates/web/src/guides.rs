//! The guides for IT admins: a Markdown file for each way to connect a provider, read into steps that
//! a page can show and tick. `docs/guides/README.md` says how such a file is made.
//!
//! A page takes a guide by its name or its provider, and fills in each [`Text`]:
//!
//! ```
//! use web::guides::{self, Filled, Values};
//!
//! let values = Values {
//!     url: "https://roster.example.com/scim/v2/dir-1",
//!     token: Some("roster-scim-secret"),
//!     organization: "Acme",
//!     vendor: "Hinweg",
//!     directory: "dir-1",
//! };
//! let guide = guides::named("okta-wizard").unwrap();
//! for step in &guide.steps {
//!     for piece in step.text.fill(&values) {
//!         match piece {
//!             Filled::Html(markup) => print!("{markup}"),
//!             Filled::Field(field) => print!("{} [copy]", field.shown),
//!         }
//!     }
//! }
//! ```

mod read;
mod text;

use std::sync::LazyLock;

use directory::Provider;

pub use text::{Blank, Field, Filled, Text, Values};

/// How to connect one kind of app of a provider.
#[derive(Debug)]
pub struct Guide {
    /// That of the file, without its ending. It may stand in addresses.
    pub name: String,
    /// What a card says.
    pub title: String,
    /// Whose it is: one provider, except for the guide that serves whoever has none.
    pub providers: Vec<Provider>,
    /// Which of the provider's ways.
    pub app: String,
    /// About how long it takes.
    pub minutes: u16,
    /// What the reader has to have.
    pub needs: Vec<Text>,
    /// From where its facts are.
    pub sources: Vec<Source>,
    /// What the guide does, before the first step.
    pub introduction: Text,
    /// In order.
    pub steps: Vec<Step>,
    /// What stands between steps and traps, in order.
    pub chapters: Vec<Chapter>,
    /// What goes wrong most often.
    pub traps: Vec<Trap>,
}

impl Guide {
    /// The trap with this id.
    pub fn trap(&self, id: &str) -> Option<&Trap> {
        self.traps.iter().find(|trap| trap.id == id)
    }
}

/// A page on which a guide rests.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// Its address.
    pub url: String,
    /// The day on which it was read.
    pub read: String,
}

/// One thing to do.
#[derive(Debug)]
pub struct Step {
    /// Without its number, which is its place.
    pub title: String,
    /// What to do, and what is seen afterwards.
    pub text: Text,
    /// What proves it, where traffic can.
    pub seen: Option<Sighting>,
}

/// What stands below a heading.
#[derive(Debug)]
pub struct Chapter {
    /// The heading.
    pub title: String,
    /// What stands below.
    pub text: Text,
}

/// Something that goes wrong often.
#[derive(Debug)]
pub struct Trap {
    /// By which a page finds it, when traffic shows its sign.
    pub id: String,
    /// The heading.
    pub title: String,
    /// Sign, reason and what to do.
    pub text: Text,
}

/// What traffic shows. In a guide each is seen once at most, so that a step can be ticked by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sighting {
    /// The first request with a valid token.
    Credentials,
    /// The same test of credentials once more: Okta repeats it when the settings of *To App* are
    /// saved.
    Settings,
    /// A user is created, or found and taken over.
    Person,
    /// An attribute of a user changes, other than `active`.
    Update,
    /// A user becomes inactive, or is deleted.
    Deactivation,
    /// A user who was inactive becomes active.
    Reactivation,
    /// A group is created, or found and taken over.
    Group,
    /// Members of a group change, after the request that made it.
    Membership,
    /// Users or groups are listed page by page, without a filter.
    Import,
}

impl Sighting {
    /// All of them, as a guide goes through them.
    pub const ALL: [Sighting; 9] = [
        Sighting::Credentials,
        Sighting::Settings,
        Sighting::Person,
        Sighting::Update,
        Sighting::Deactivation,
        Sighting::Reactivation,
        Sighting::Group,
        Sighting::Membership,
        Sighting::Import,
    ];

    /// As a guide spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Sighting::Credentials => "credentials",
            Sighting::Settings => "settings",
            Sighting::Person => "person",
            Sighting::Update => "update",
            Sighting::Deactivation => "deactivation",
            Sighting::Reactivation => "reactivation",
            Sighting::Group => "group",
            Sighting::Membership => "membership",
            Sighting::Import => "import",
        }
    }
}

/// Every guide, in the order in which they are offered.
pub fn all() -> &'static [Guide] {
    static GUIDES: LazyLock<Vec<Guide>> = LazyLock::new(|| {
        let read = |(name, text): &(&str, &str)| {
            read::guide(name, text).expect("the tests read every guide")
        };
        FILES.iter().map(read).collect()
    });
    &GUIDES
}

/// The guides for one provider; there is at least one.
pub fn of(provider: Provider) -> impl Iterator<Item = &'static Guide> {
    all().iter().filter(move |guide| guide.providers.contains(&provider))
}

/// The guide of this name.
pub fn named(name: &str) -> Option<&'static Guide> {
    all().iter().find(|guide| guide.name == name)
}

macro_rules! files {
    ($($name:literal)*) => {
        [$(($name, include_str!(concat!("../../../docs/guides/", $name, ".md"))),)*]
    };
}

const FILES: [(&str, &str); 12] = files! {
    "okta-wizard"
    "okta-saml"
    "okta-template"
    "entra"
    "jumpcloud"
    "onelogin"
    "pingone"
    "pingfederate"
    "cyberark"
    "rippling"
    "sailpoint"
    "any"
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    const VALUES: Values<'_> = Values {
        url: "https://roster.example.com/scim/v2/dir-1",
        token: Some("roster-scim-secret"),
        organization: "Acme & Sons",
        vendor: "<b>Hinweg</b>",
        directory: "dir-1",
    };

    fn texts(guide: &Guide) -> impl Iterator<Item = &Text> {
        let steps = guide.steps.iter().map(|it| &it.text);
        let chapters = guide.chapters.iter().map(|it| &it.text);
        let traps = guide.traps.iter().map(|it| &it.text);
        guide.needs.iter().chain([&guide.introduction]).chain(steps).chain(chapters).chain(traps)
    }

    fn fields(text: &Text, values: &Values<'_>) -> Vec<Field> {
        let field = |piece| match piece {
            Filled::Field(field) => Some(field),
            Filled::Html(_) => None,
        };
        text.fill(values).into_iter().filter_map(field).collect()
    }

    #[test]
    fn every_guide_of_the_documents_is_offered() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides");
        let files: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "README.md")
            .collect();
        let offered = all().iter().map(|guide| format!("{}.md", guide.name)).collect();
        assert_eq!(files, offered);
    }

    #[test]
    fn the_page_about_guides_lists_what_can_be_seen_and_what_is_left_open() {
        let page = include_str!("../../../docs/guides/README.md");
        for sighting in Sighting::ALL {
            assert!(page.contains(&format!("\n| `{}` | ", sighting.as_str())), "{sighting:?}");
        }
        for blank in Blank::ALL {
            assert!(page.contains(&format!("\n| `{{{{{}}}}}` | ", blank.as_str())), "{blank:?}");
        }
    }

    #[test]
    fn every_provider_has_a_guide() {
        for provider in Provider::ALL {
            let count = of(provider).count();
            let expected = if provider == Provider::Okta { 3 } else { 1 };
            assert_eq!(count, expected, "{provider}");
        }
        let ways: BTreeSet<_> =
            all().iter().map(|guide| (guide.providers[0].as_str(), &guide.app)).collect();
        assert_eq!(ways.len(), all().len(), "two guides go the same way");
    }

    #[test]
    fn every_guide_says_where_to_paste_the_address_and_the_token() {
        for guide in all() {
            let pasted: Vec<_> =
                guide.steps.iter().flat_map(|step| fields(&step.text, &VALUES)).collect();
            let has = |text: &str| pasted.iter().any(|field| field.shown.contains(text));
            assert!(has(VALUES.url), "{} has no `{{{{url}}}}` to paste", guide.name);
            assert!(has(VALUES.token.unwrap()), "{} has no `{{{{token}}}}` to paste", guide.name);
        }
    }

    #[test]
    fn what_is_pasted_has_the_word_in_front_only_where_the_provider_does_not_add_it() {
        let prefixed = |guide: &Guide| {
            guide.steps.iter().any(|step| {
                fields(&step.text, &VALUES).iter().any(|field| field.shown.starts_with("Bearer "))
            })
        };
        let names: Vec<_> =
            all().iter().filter(|guide| prefixed(guide)).map(|guide| guide.name.as_str()).collect();
        assert_eq!(names, ["okta-template", "any"]);
    }

    #[test]
    fn no_step_is_ticked_by_what_ticks_another() {
        for guide in all() {
            let seen: Vec<_> = guide.steps.iter().filter_map(|step| step.seen).collect();
            let once: BTreeSet<_> = seen.iter().copied().collect();
            assert_eq!(seen.len(), once.len(), "{}: {seen:?}", guide.name);
            // The test with one person is a part of every guide.
            for sighting in [
                Sighting::Person,
                Sighting::Update,
                Sighting::Deactivation,
                Sighting::Reactivation,
                Sighting::Membership,
            ] {
                assert!(once.contains(&sighting), "{} never sees {sighting:?}", guide.name);
            }
        }
    }

    #[test]
    fn every_guide_for_okta_sees_everything() {
        for guide in of(Provider::Okta) {
            let seen: BTreeSet<_> = guide.steps.iter().filter_map(|step| step.seen).collect();
            assert_eq!(seen, BTreeSet::from(Sighting::ALL), "{}", guide.name);
        }
    }

    #[test]
    fn the_well_known_traps_are_found_by_their_ids() {
        for guide in all() {
            for id in ["bearer", "path"] {
                assert!(guide.trap(id).is_some(), "{} has no trap `{id}`", guide.name);
            }
        }
        for guide in of(Provider::Okta) {
            for id in ["same-group", "suspended", "wizard-or-template"] {
                assert!(guide.trap(id).is_some(), "{} has no trap `{id}`", guide.name);
            }
        }
        for id in ["cycle", "patch-flag", "quarantine"] {
            assert!(named("entra").unwrap().trap(id).is_some(), "{id}");
        }
        assert!(named("entra").unwrap().trap("same-group").is_none());
    }

    #[test]
    fn every_trap_says_sign_reason_and_what_to_do() {
        for guide in all() {
            for trap in &guide.traps {
                let markup = html(&trap.text, &VALUES);
                for begin in ["Sign.", "Reason.", "What to do."] {
                    let paragraph = format!("<p><strong>{begin}</strong> ");
                    let count = markup.matches(&paragraph).count();
                    assert_eq!(count, 1, "{}: `{}`: {begin}", guide.name, trap.id);
                }
                assert_eq!(markup.matches("<p>").count(), 3, "{}: `{}`", guide.name, trap.id);
            }
        }
    }

    #[test]
    fn every_guide_says_how_long_it_takes_what_it_needs_and_where_it_is_from() {
        for guide in all() {
            assert!((10..=60).contains(&guide.minutes), "{}", guide.name);
            assert!(!guide.needs.is_empty() && !guide.sources.is_empty(), "{}", guide.name);
            for step in &guide.steps {
                assert!(!step.title.contains(['{', '<']), "{}: {}", guide.name, step.title);
            }
        }
    }

    /// Whatever anybody is called, it is text and no markup.
    #[test]
    fn names_are_escaped_wherever_they_are_filled_in() {
        let mut filled = 0;
        for guide in all() {
            for text in texts(guide) {
                let markup = html(text, &VALUES);
                assert!(!markup.contains("<b>") && !markup.contains("& Sons"), "{markup}");
                assert!(!markup.contains("{{"), "{markup}");
                filled += markup.matches("&lt;b&gt;Hinweg&lt;/b&gt;").count();
            }
        }
        assert!(filled > 50, "{filled}");
    }

    #[test]
    fn no_secret_is_told_outside_of_a_field_that_says_that_it_is_one() {
        for guide in all() {
            for text in texts(guide) {
                assert!(!html(text, &VALUES).contains("roster-scim-secret"), "{}", guide.name);
                for field in fields(text, &VALUES) {
                    assert_eq!(field.shown.contains("roster-scim-secret"), field.is_secret);
                }
            }
        }
    }

    #[test]
    fn a_token_that_is_no_longer_shown_cannot_be_copied() {
        let later = Values { token: None, ..VALUES };
        let guide = named("okta-template").unwrap();
        let shown: Vec<_> = guide
            .steps
            .iter()
            .flat_map(|step| fields(&step.text, &later))
            .map(|field| (field.shown, field.can_be_copied))
            .collect();
        let url = VALUES.url.to_owned();
        assert_eq!(
            shown,
            [
                ("<b>Hinweg</b>".to_owned(), true),
                (url, true),
                ("…".to_owned(), false),
                ("Bearer …".to_owned(), false),
                ("dir-1".to_owned(), true),
                ("…".to_owned(), false),
            ]
        );
    }

    fn html(text: &Text, values: &Values<'_>) -> String {
        let markup = |piece| match piece {
            Filled::Html(markup) => markup,
            Filled::Field(_) => String::new(),
        };
        text.fill(values).into_iter().map(markup).collect()
    }
}
