//! Tells a story to a server, one step at a time.

use std::time::Duration;

use crate::okta::story::{Expected, Scene, Story};
use crate::okta::{Expectation, Okta, Settings};
use crate::report::{Finding, Outcome, Report, Rule, Step};
use crate::wire::Client;

/// The longest that is really waited at once; Okta itself would wait for hours.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The longest that is really waited in a whole run. After that only the virtual clock moves on.
const PAUSES_MAX: Duration = Duration::from_mins(2);

/// A story that is being told to a server.
#[derive(Debug)]
pub struct Run<C> {
    okta: Okta,
    client: C,
    scenes: std::vec::IntoIter<Scene>,
    told: usize,
    waited: Duration,
}

impl<C: Client> Run<C> {
    /// The whole story of Okta.
    pub fn new(settings: Settings, client: C) -> Run<C> {
        let mut okta = Okta::new(settings);
        let story = Story::whole(&mut okta);
        Run::with_story(okta, story, client)
    }

    /// A story of one's own; its people and groups are in this Okta already.
    pub fn with_story(okta: Okta, story: Story, client: C) -> Run<C> {
        Run { okta, client, scenes: story.scenes.into_iter(), told: 0, waited: Duration::ZERO }
    }

    /// How many steps there are still to come.
    pub fn remaining(&self) -> usize {
        self.scenes.len() + usize::from(self.told == 0)
    }

    /// Does the next step, and says what came of it. Nothing when the story is over.
    pub async fn step(&mut self) -> Option<Step> {
        self.told += 1;
        if self.told == 1 {
            return Some(self.settings_step());
        }
        let scene = self.scenes.next()?;
        let failed_before = self.okta.failures().count();
        for action in &scene.actions {
            self.okta.perform(action);
        }
        self.exchange().await;
        let refusals: Vec<Option<u16>> = self.okta.failures().skip(failed_before).collect();
        let exchanges = self.okta.take_exchanges();
        let admin_texts = self.okta.take_texts();
        let mut findings = Vec::new();
        let mut notes = self.okta.take_notes();
        let outcome = match scene.expected {
            Expected::Accepted if !admin_texts.is_empty() => Outcome::Failed,
            Expected::Accepted | Expected::Refused { .. } if exchanges.is_empty() => {
                notes.push("nothing was sent, because of what failed before".to_owned());
                Outcome::Failed
            }
            Expected::Accepted => Outcome::Accepted,
            Expected::Silence if exchanges.is_empty() => {
                notes.push("sends nothing".to_owned());
                Outcome::Accepted
            }
            Expected::Silence => Outcome::Failed,
            Expected::Refused { status, rule } => {
                if admin_texts.is_empty() {
                    findings.push(Finding {
                        rule,
                        text: format!("this has to be refused with {status} and was accepted"),
                    });
                }
                for refusal in refusals.iter().filter(|refusal| **refusal != Some(status)) {
                    let found = refusal.map_or("no answer".to_owned(), |found| found.to_string());
                    findings.push(Finding {
                        rule: Rule::RefusalStatus,
                        text: format!("this has to be refused with {status} and got {found}"),
                    });
                }
                let as_it_should = !admin_texts.is_empty()
                    && refusals.iter().all(|refusal| *refusal == Some(status))
                    && exchanges.iter().all(|exchange| {
                        !exchange.findings.iter().any(|it| it.rule == Rule::NotJson)
                    });
                if as_it_should { Outcome::RefusedAsItShould } else { Outcome::Failed }
            }
        };
        if scene.is_gate && outcome == Outcome::Failed {
            notes.push("Okta does not let its admin go on from here".to_owned());
            self.scenes = Vec::new().into_iter();
        }
        Some(Step {
            number: self.told,
            sentence: scene.sentence,
            outcome,
            exchanges,
            admin_texts,
            notes,
            findings,
        })
    }

    /// What Okta believes to be on the server now.
    pub fn expectation(&self) -> Expectation {
        self.okta.expectation()
    }

    /// Gives back who carried the requests.
    pub fn into_client(self) -> C {
        self.client
    }

    /// The Okta whose story it is.
    pub fn okta(&self) -> &Okta {
        &self.okta
    }

    /// Sends and receives until Okta has nothing more to do.
    async fn exchange(&mut self) {
        loop {
            let pause = self.okta.pause();
            let pause = pause.min(PAUSE_MAX).min(PAUSES_MAX.saturating_sub(self.waited));
            if !pause.is_zero() {
                self.waited += pause;
                self.client.wait(pause).await;
            }
            let Some(request) = self.okta.next_request() else { return };
            let answer = self.client.send(&request).await;
            self.okta.receive(answer);
        }
    }

    /// Typing in the base URL sends nothing; some URLs are refused at once.
    fn settings_step(&self) -> Step {
        let findings = self.okta.check_settings();
        let settings = self.okta.settings();
        Step {
            number: 1,
            sentence: format!(
                "Enter the base URL {} in an app of the kind {}",
                settings.base_url,
                settings.profile.name()
            ),
            outcome: if findings.is_empty() { Outcome::Accepted } else { Outcome::Failed },
            exchanges: Vec::new(),
            admin_texts: Vec::new(),
            notes: Vec::new(),
            findings,
        }
    }
}

/// Tells the whole story to a server. `on_step` is called after each step, while the next is
/// still to come: a command line prints a line there.
pub async fn tell<C: Client>(
    settings: Settings,
    client: C,
    mut on_step: impl FnMut(&Step),
) -> (Report, Expectation) {
    let mut report =
        Report::new(format!("Okta ({}) and {}", settings.profile.name(), settings.base_url));
    let mut run = Run::new(settings, client);
    while let Some(step) = run.step().await {
        on_step(&step);
        report.steps.push(step);
    }
    (report, run.expectation())
}
