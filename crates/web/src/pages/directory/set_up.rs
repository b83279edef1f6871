//! Setting a connection up: the guide of the provider with its blanks filled in, and steps that tick
//! themselves when the traffic that proves them has arrived.

use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::Query;
use axum::response::Response;
use directory::Provider;
use directory::client::{Client, Known, Span};
use directory::secret::{Secret, SecretKind};
use jiff::Timestamp;
use serde::Deserialize;
use store::RequestFilter;

use super::activity::Row;
use super::connection::Connection;
use super::live::Live;
use crate::api::tokens::lifetime;
use crate::guides::{self, Filled, Guide, Sighting, Text, Values};
use crate::pages::parts::{Copyable, Frame, Sentence, When};
use crate::pages::visitor::{Reader, Visitor};
use crate::pages::{Stop, page};

#[derive(Template)]
#[template(path = "directory/set-up.html")]
pub(crate) struct SetUp {
    pub(crate) frame: Frame,
    pub(crate) reader: Reader,
    pub(crate) connection: Connection,
    pub(crate) live: Live,
    pub(crate) guide: Instructions,
    /// The other ways in which the provider can be connected.
    pub(crate) others: Vec<&'static Guide>,
    pub(crate) base_url: Copyable,
    pub(crate) token: TokenShown,
    pub(crate) heard: Heard,
}

/// What is shown of the token that is to be pasted.
pub(crate) enum TokenShown {
    /// There is none.
    None,
    /// It was just made: it is shown here and nowhere else.
    Once(Copyable),
    /// It was shown before. This is how it ends, and since when it is there.
    Before(String, When),
}

/// A guide, filled in.
pub(crate) struct Instructions {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) minutes: u16,
    pub(crate) needs: Vec<Pieces>,
    pub(crate) introduction: Pieces,
    pub(crate) steps: Vec<StepShown>,
    pub(crate) chapters: Vec<(&'static str, Pieces)>,
    pub(crate) traps: Vec<TrapShown>,
}

pub(crate) struct StepShown {
    pub(crate) number: usize,
    pub(crate) title: &'static str,
    pub(crate) text: Pieces,
    pub(crate) progress: Progress,
    /// Whether it is the one to do now.
    pub(crate) is_next: bool,
}

/// How far a step is.
#[derive(Clone, Copy)]
pub(crate) enum Progress {
    /// It was seen to work.
    Seen(When),
    /// It ticks when its traffic arrives.
    Waiting,
    /// Nothing is sent of it, and a later step was seen.
    Passed,
    /// Nothing is sent of it.
    Untold,
}

impl Progress {
    pub(crate) fn is_seen(self) -> bool {
        matches!(self, Progress::Seen(_))
    }
}

pub(crate) struct TrapShown {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) text: Pieces,
    /// Whether somebody has gone into it.
    pub(crate) is_sprung: bool,
}

/// A text of a guide.
#[derive(Template)]
#[template(path = "parts/pieces.html")]
pub(crate) struct Pieces(Vec<Piece>);

impl HtmlSafe for Pieces {}

enum Piece {
    /// Markup of ours, in which names were escaped.
    Markup(String),
    Field(Field),
}

/// What is pasted somewhere.
#[derive(Template)]
#[template(path = "parts/field.html")]
pub(crate) struct Field {
    /// By which the button finds it.
    id: String,
    shown: String,
    can_be_copied: bool,
    is_block: bool,
}

impl HtmlSafe for Field {}

/// What was heard of the provider.
pub(crate) struct Heard {
    /// What it is, where that is known.
    pub(crate) detected: Option<String>,
    /// Who it is, where that is not the provider that was chosen, and the guide for them.
    pub(crate) another: Option<(&'static str, &'static str)>,
    /// The guide for the kind of app that it is, where this is not that one.
    pub(crate) fitting: Option<&'static Guide>,
    pub(crate) warnings: Vec<Warning>,
    /// The latest request, where it failed.
    pub(crate) failed: Option<Row>,
    /// Each kind of traffic, and when it was seen for the last time.
    pub(crate) kinds: [(&'static str, Option<When>); 8],
}

/// A mistake that somebody seems to have made.
pub(crate) struct Warning {
    pub(crate) text: Sentence,
    pub(crate) what_to_do: Sentence,
    pub(crate) at: Option<When>,
    /// The trap of the guide that says more.
    pub(crate) trap: Option<&'static str>,
}

/// Kinds of traffic, as people call them.
const KINDS: [(&str, &str); 8] = [
    ("credentials", "Test of base URL and token"),
    ("person", "People who are added"),
    ("update", "Changes of people"),
    ("deactivation", "People who leave"),
    ("reactivation", "People who come back"),
    ("group", "Groups"),
    ("membership", "Members of groups"),
    ("import", "Reading everybody (import)"),
];

/// A mistake as it is known: its name, what is seen, what to do, and when it was seen.
type Mistake<'a> = (&'static str, &'static str, &'static str, Option<&'a Span>);

/// Whatever a guide is shown with.
pub(crate) struct Shown<'a> {
    pub(crate) values: Values<'a>,
    pub(crate) known: &'a Known,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    guide: String,
}

/// `GET …/set-up`.
pub(super) async fn show(visitor: Visitor, Query(asked): Query<Asked>) -> Result<Response, Stop> {
    set_up(visitor, &asked.guide, None).await
}

/// `POST …/set-up`: a token, which is shown there and nowhere else.
pub(super) async fn give_token(visitor: Visitor) -> Result<Response, Stop> {
    let secret = Secret::new(SecretKind::ScimToken, (visitor.counter.entropy)());
    visitor.store.create_token(visitor.connection.id, &secret, lifetime(None)?).await?;
    let guide = visitor.form.text("guide").to_owned();
    set_up(visitor, &guide, Some(&secret)).await
}

async fn set_up(visitor: Visitor, guide: &str, secret: Option<&Secret>) -> Result<Response, Stop> {
    let connection = &visitor.connection;
    let (store, now) = (&visitor.store, visitor.counter.access.now());
    let known = store.speaker(connection.id).await?;
    let guide = chosen(guide, connection.provider, &known);
    let filter = RequestFilter { directory_id: Some(connection.id), ..RequestFilter::default() };
    let latest = store.requests(filter, 1).await?.requests.into_iter().next();
    let tokens = store.tokens(connection.id).await?;
    let token = match secret {
        Some(secret) => TokenShown::Once(Copyable::new("token", secret.reveal())),
        None => match tokens.iter().rfind(|token| token.expires_at > now) {
            Some(token) => TokenShown::Before(token.last_four.clone(), When(token.created_at)),
            None => TokenShown::None,
        },
    };
    let base_url = visitor.counter.settings.directory_base_url(connection.id);
    let id = connection.id.to_string();
    let shown = Shown {
        values: Values {
            url: &base_url,
            token: secret.map(Secret::reveal),
            organization: &visitor.reader.organization,
            vendor: visitor.frame.vendor(),
            directory: &id,
        },
        known: &known,
    };
    let instructions = shown.instructions(guide);
    let mut heard = shown.heard(guide, connection.provider);
    heard.failed = latest.filter(|it| it.status >= 400).map(|it| Row::new(it, &connection.address));
    let others = guides::of(connection.provider).filter(|it| it.name != guide.name).collect();
    let live = Live::of_one(connection, &format!("/set-up?guide={}", guide.name));
    let base_url = Copyable::new("base-url", base_url);
    let Visitor { frame, reader, connection, .. } = visitor;
    Ok(page(&SetUp {
        frame,
        reader,
        connection,
        live,
        guide: instructions,
        others,
        base_url,
        token,
        heard,
    }))
}

/// The guide that is asked for; where none is, the one for whoever speaks.
fn chosen(name: &str, provider: Provider, known: &Known) -> &'static Guide {
    let app = known.detect().app;
    let fitting = || guides::of(provider).find(|guide| Some(guide.app.as_str()) == app);
    let named = guides::named(name).or_else(fitting).or_else(|| guides::of(provider).next());
    named.expect("every provider has a guide")
}

impl Shown<'_> {
    pub(crate) fn instructions(&self, guide: &'static Guide) -> Instructions {
        let mut fields = 0;
        let mut fill = |text: &Text| -> Pieces {
            let piece = |filled| match filled {
                Filled::Html(markup) => Piece::Markup(markup),
                Filled::Field(field) => {
                    fields += 1;
                    Piece::Field(Field {
                        id: format!("field-{fields}"),
                        shown: field.shown,
                        can_be_copied: field.can_be_copied,
                        is_block: field.is_block,
                    })
                }
            };
            Pieces(text.fill(&self.values).into_iter().map(piece).collect())
        };
        let sprung: Vec<_> = self.sprung().map(|(name, ..)| trap_of(name)).collect();
        let trap = |trap: &'static guides::Trap, text| TrapShown {
            id: &trap.id,
            title: &trap.title,
            text,
            is_sprung: sprung.contains(&trap.id.as_str()),
        };
        Instructions {
            name: &guide.name,
            title: &guide.title,
            minutes: guide.minutes,
            needs: guide.needs.iter().map(&mut fill).collect(),
            introduction: fill(&guide.introduction),
            steps: self.steps(guide, &mut fill),
            chapters: guide
                .chapters
                .iter()
                .map(|chapter| (chapter.title.as_str(), fill(&chapter.text)))
                .collect(),
            traps: guide.traps.iter().map(|it| trap(it, fill(&it.text))).collect(),
        }
    }

    fn steps(
        &self,
        guide: &'static Guide,
        fill: &mut impl FnMut(&Text) -> Pieces,
    ) -> Vec<StepShown> {
        let seen: Vec<_> =
            guide.steps.iter().map(|step| step.seen.and_then(|it| seen(self.known, it))).collect();
        let last_seen = seen.iter().rposition(Option::is_some);
        let progress = |index: usize| match (seen[index], guide.steps[index].seen) {
            (Some(at), _) => Progress::Seen(When(at)),
            (None, Some(_)) => Progress::Waiting,
            (None, None) if last_seen.is_some_and(|last| index < last) => Progress::Passed,
            (None, None) => Progress::Untold,
        };
        // What was left out is to be done before what comes next.
        let is_open =
            |index: &usize| matches!(progress(*index), Progress::Waiting | Progress::Untold);
        let next = (0..guide.steps.len()).find(is_open);
        let step = |(index, step): (usize, &'static guides::Step)| StepShown {
            number: index + 1,
            title: &step.title,
            text: fill(&step.text),
            progress: progress(index),
            is_next: next == Some(index),
        };
        guide.steps.iter().enumerate().map(step).collect()
    }

    /// Mistakes that were made. That nobody was deactivated is none before it is tried: in each guide,
    /// groups come after that.
    fn sprung(&self) -> impl Iterator<Item = Mistake<'_>> {
        let was_skipped = self.known.sightings.contains_key("group");
        let traps = self.known.traps().into_iter();
        traps.filter(move |(name, ..)| *name != "no-deactivation" || was_skipped)
    }

    pub(crate) fn heard(&self, guide: &'static Guide, provider: Provider) -> Heard {
        let detected = self.known.detect();
        let is_another = detected.mismatch(provider).is_some();
        let another = detected.client.filter(|_| is_another).map(|client| {
            let theirs = guide_of(client);
            (client.name(), theirs.name.as_str())
        });
        let is_fitting = |it: &&Guide| Some(it.app.as_str()) == detected.app;
        // Of Okta, one guide is for an app that exists; its kind is that of the wizard.
        let is_right = is_fitting(&guide) || detected.app == Some("wizard") && guide.app == "saml";
        let fitting = guides::of(provider).find(is_fitting).filter(|_| !is_right);
        let warning = |(name, text, what_to_do, span): Mistake<'_>| Warning {
            text: Sentence(text.to_owned()),
            what_to_do: Sentence(what_to_do.to_owned()),
            at: span.and_then(|it| time(it.last_at)).map(When),
            trap: guide.trap(trap_of(name)).map(|trap| trap.id.as_str()),
        };
        Heard {
            another,
            fitting: fitting.filter(|_| !is_another),
            warnings: self.sprung().map(warning).collect(),
            detected: detected.client.map(|_| detected.name()),
            failed: None,
            kinds: KINDS.map(|(name, title)| {
                let last = self.known.sightings.get(name).map(|it| it.last_at);
                (title, last.and_then(time).map(When))
            }),
        }
    }
}

impl Instructions {
    /// Steps that were seen to work, of those that can be.
    pub(crate) fn seen(&self) -> (usize, usize) {
        let is_told =
            |it: &&StepShown| matches!(it.progress, Progress::Seen(_) | Progress::Waiting);
        let seen = self.steps.iter().filter(|it| it.progress.is_seen()).count();
        (seen, self.steps.iter().filter(is_told).count())
    }
}

/// The guide for whoever speaks.
fn guide_of(client: Client) -> &'static Guide {
    let provider = client.as_str().parse().unwrap_or(Provider::Custom);
    guides::of(provider).next().expect("every provider has a guide")
}

/// The trap of guides that a mistake belongs to.
fn trap_of(mistake: &str) -> &str {
    match mistake {
        "token-without-bearer" => "bearer",
        "wrong-path" => "path",
        "no-deactivation" => "suspended",
        same => same,
    }
}

/// When traffic of a kind was seen for the first time.
fn seen(known: &Known, kind: Sighting) -> Option<Timestamp> {
    let sightings = &known.sightings;
    let first = |kind: &str| sightings.get(kind).map(|it| it.first_at);
    let at = match kind {
        // Whatever works needs a token that is good.
        Sighting::Credentials => sightings.values().map(|it| it.first_at).min(),
        // Okta tests once more when they are saved, and sends nothing but that before they are.
        Sighting::Settings => {
            let tests = sightings.get("credentials");
            let others = sightings.iter().filter(|(name, _)| *name != "credentials");
            let other = others.map(|(_, it)| it.first_at).min();
            let again = tests.filter(|it| it.count > 1).map(|it| it.last_at);
            other.into_iter().chain(again).min()
        }
        kind => first(kind.as_str()),
    };
    at.and_then(time)
}

fn time(microseconds: i64) -> Option<Timestamp> {
    Timestamp::from_microsecond(microseconds).ok()
}
