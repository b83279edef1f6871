//! What came of it: exchanges, findings, steps, and the decision at the end.

use std::fmt;

use serde_json::{Value, json};

use crate::wire::{NoAnswer, Request, Response};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; the provider does not mind.
    Notice,
    /// It works today, and depends on what nobody promised.
    Warning,
    /// People or groups are lost, wrong, or seen by whom they should not be.
    Critical,
}

impl Severity {
    /// As the report spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Notice => "notice",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }
}

macro_rules! rules {
    ($($(#[doc = $doc:literal])+ $rule:ident = $name:literal $severity:ident,)+) => {
        /// What a finding is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Rule {
            $($(#[doc = $doc])+ $rule,)+
        }

        impl Rule {
            /// All of them.
            pub const ALL: &[Rule] = &[$(Rule::$rule,)+];

            /// A name that stays the same from version to version.
            pub fn name(self) -> &'static str {
                match self { $(Rule::$rule => $name,)+ }
            }

            /// How bad it is.
            pub fn severity(self) -> Severity {
                match self { $(Rule::$rule => Severity::$severity,)+ }
            }
        }
    };
}

rules! {
    /// The base URL is one that the provider refuses.
    BaseUrl = "base-url" Critical,
    /// A body is not JSON.
    NotJson = "not-json" Critical,
    /// `Content-Type` does not say JSON.
    ContentType = "content-type" Warning,
    /// A body has no `schemas`.
    MissingSchemas = "missing-schemas" Warning,
    /// An error has no `detail`: the admin learns nothing.
    ErrorWithoutDetail = "error-without-detail" Warning,
    /// An error has no `status`, or another than HTTP's.
    ErrorStatus = "error-status" Warning,
    /// A redirect, which is not followed.
    Redirect = "redirect" Critical,
    /// 429 without an integer `Retry-After`.
    RetryAfter = "retry-after" Warning,
    /// Nothing came before the provider gave up.
    Timeout = "timeout" Critical,
    /// Listing groups takes too long for the provider's own test.
    SlowGroups = "slow-groups" Warning,
    /// A list is not a `ListResponse`, or has no `Resources`.
    ListShape = "list-shape" Critical,
    /// A number of a list is a string.
    ListNumbers = "list-numbers" Critical,
    /// The names of a list's attributes are in another case.
    ListCase = "list-case" Warning,
    /// `itemsPerPage` is not the number of resources on the page.
    ItemsPerPage = "items-per-page" Warning,
    /// `startIndex` of a page is not the one asked for.
    StartIndex = "start-index" Warning,
    /// A page has more resources than asked for.
    CountIgnored = "count-ignored" Warning,
    /// A page has fewer resources than asked for, though there are more.
    PageCap = "page-cap" Critical,
    /// `totalResults` cannot be right.
    TotalResults = "total-results" Critical,
    /// A resource came more than once in one walk through the pages.
    DuplicateRow = "duplicate-row" Critical,
    /// A resource that was pushed did not come in a walk through the pages.
    MissingRow = "missing-row" Critical,
    /// The pages do not end.
    EndlessPages = "endless-pages" Critical,
    /// A user lacks what an import needs.
    IncompleteRow = "incomplete-row" Notice,
    /// A filter that matches nothing is answered with 404.
    ProbeNotFound = "probe-not-found" Warning,
    /// A filter gave what it does not match.
    FilterIgnored = "filter-ignored" Critical,
    /// A filter by a unique name gave more than one.
    AmbiguousMatch = "ambiguous-match" Warning,
    /// A deactivated user cannot be found or read.
    InactiveHidden = "inactive-hidden" Critical,
    /// A resource that exists cannot be found or read.
    NotFound = "not-found" Critical,
    /// A creation is not answered with 201.
    CreateStatus = "create-status" Warning,
    /// A creation is answered without a resource, or without its id.
    CreateEmpty = "create-empty" Critical,
    /// An id is a number.
    NumericId = "numeric-id" Warning,
    /// An id is that of another resource.
    IdReused = "id-reused" Critical,
    /// A write, or a read, answers with another id.
    IdChanged = "id-changed" Critical,
    /// A PUT is answered without the resource.
    PutWithoutBody = "put-without-body" Warning,
    /// PATCH is not understood at all.
    PatchUnsupported = "patch-unsupported" Critical,
    /// PATCH without a path is not understood.
    PathlessPatch = "pathless-patch" Critical,
    /// What the provider sends on creation is refused.
    CreateRefused = "create-refused" Critical,
    /// A resource that was just found cannot be written.
    LinkRefused = "link-refused" Critical,
    /// An essential attribute is not what was written.
    Drift = "drift" Warning,
    /// `userName` came back in another case.
    UserNameCase = "user-name-case" Warning,
    /// An optional attribute was not kept.
    AttributeNotKept = "attribute-not-kept" Notice,
    /// An attribute that was cleared is still there.
    NotCleared = "not-cleared" Warning,
    /// No e-mail address is primary.
    NoPrimary = "no-primary" Warning,
    /// `active` is not what was written.
    ActiveUnchanged = "active-unchanged" Critical,
    /// `active` is not a boolean.
    ActiveShape = "active-shape" Warning,
    /// `externalId` was not kept.
    ExternalIdLost = "external-id-lost" Notice,
    /// A password came back.
    PasswordEchoed = "password-echoed" Critical,
    /// A group's name is not what was written.
    GroupNameDrift = "group-name-drift" Warning,
    /// A group's members are not those that were written.
    MembersDrift = "members-drift" Critical,
    /// A member came more than once.
    MemberTwice = "member-twice" Warning,
    /// A group that is read shows no `members`.
    GroupWithoutMembers = "group-without-members" Warning,
    /// A removal is not answered with 204.
    DeleteStatus = "delete-status" Warning,
    /// A removal of what exists is answered with 404.
    DeleteNotFound = "delete-not-found" Warning,
    /// What was deleted is still listed.
    DeletedStillThere = "deleted-still-there" Critical,
    /// A wrong token opens the door.
    WrongTokenAccepted = "wrong-token-accepted" Critical,
    /// Two people got the same `userName`.
    UserNameTaken = "user-name-taken" Critical,
}

/// Something that works, or does not, and should be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub rule: Rule,
    /// What happened, why it matters, and what to do.
    pub text: String,
}

/// What the provider makes of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Accepted,
    /// It sends the same again after a while.
    Repeats,
    /// It gives up, and tells the admin why.
    Failed,
}

impl Verdict {
    /// As the report spells it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Verdict::Accepted => "accepted",
            Verdict::Repeats => "repeats",
            Verdict::Failed => "failed",
        }
    }
}

/// One request with its answer and what the provider makes of it.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Counted from 1 over the whole run.
    pub number: u32,
    /// What was sent.
    pub request: Request,
    /// What came.
    pub answer: Result<Response, NoAnswer>,
    /// What the provider makes of it.
    pub verdict: Verdict,
    /// What should be known about it.
    pub findings: Vec<Finding>,
}

impl Exchange {
    /// The status, or why there is none.
    pub fn status(&self) -> String {
        match &self.answer {
            Ok(response) => response.status.to_string(),
            Err(NoAnswer::Timeout) => "timeout".to_owned(),
            Err(NoAnswer::Connection(_)) => "no connection".to_owned(),
        }
    }
}

/// What came of one action of the admin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The provider is content.
    Accepted,
    /// The server refused what it has to refuse, in words that an admin can use.
    RefusedAsItShould,
    /// The provider is not content, or the server accepted what it has to refuse.
    Failed,
}

impl Outcome {
    /// As the report spells it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Outcome::Accepted => "accepted",
            Outcome::RefusedAsItShould => "refused, as it should be",
            Outcome::Failed => "failed",
        }
    }
}

/// One action of the admin with all that followed.
#[derive(Clone, Debug)]
pub struct Step {
    /// Counted from 1.
    pub number: usize,
    /// What the admin did, as a sentence.
    pub sentence: String,
    /// What came of it.
    pub outcome: Outcome,
    /// The requests that followed, in order.
    pub exchanges: Vec<Exchange>,
    /// What the admin sees, in the provider's words.
    pub admin_texts: Vec<String>,
    /// What the provider counted or left out.
    pub notes: Vec<String>,
    /// Findings about the step as a whole.
    pub findings: Vec<Finding>,
}

impl Step {
    /// The findings of the step and of its exchanges, with the exchange's number.
    pub fn all_findings(&self) -> impl Iterator<Item = (Option<u32>, &Finding)> {
        let of_exchanges = self.exchanges.iter().flat_map(|exchange| {
            exchange.findings.iter().map(|finding| (Some(exchange.number), finding))
        });
        self.findings.iter().map(|finding| (None, finding)).chain(of_exchanges)
    }
}

/// One line for the step, and one for each text and finding below it.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.outcome {
            Outcome::Accepted | Outcome::RefusedAsItShould => "ok  ",
            Outcome::Failed => "FAIL",
        };
        write!(f, "{mark} {:>2}. {}", self.number, self.sentence)?;
        match &self.exchanges[..] {
            [] => {}
            [only] => write!(f, " ({} {})", only.request.method, only.status())?,
            several => write!(f, " ({} requests)", several.len())?,
        }
        for text in &self.admin_texts {
            write!(f, "\n          Okta shows: {text}")?;
        }
        for note in &self.notes {
            write!(f, "\n          {note}")?;
        }
        let mut told: Vec<Rule> = Vec::new();
        for (number, finding) in self.all_findings() {
            if told.contains(&finding.rule) {
                continue;
            }
            told.push(finding.rule);
            let severity = finding.rule.severity().as_str();
            write!(f, "\n          {severity} {}: {}", finding.rule.name(), finding.text)?;
            let same = self.all_findings().filter(|(_, other)| other.rule == finding.rule).count();
            match (number, same) {
                (Some(number), 1) => write!(f, " (exchange {number})")?,
                (Some(number), same) => {
                    write!(f, " (exchange {number}, and {} more like it)", same - 1)?;
                }
                (None, _) => {}
            }
        }
        Ok(())
    }
}

/// A whole run.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was simulated.
    pub title: String,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// From which severity on a finding makes the run fail.
    pub fail_on: Severity,
}

impl Report {
    /// An empty report.
    pub fn new(title: impl Into<String>) -> Report {
        Report { title: title.into(), steps: Vec::new(), fail_on: Severity::Critical }
    }

    /// All findings in order, with their exchange's number.
    pub fn findings(&self) -> impl Iterator<Item = (Option<u32>, &Finding)> {
        self.steps.iter().flat_map(Step::all_findings)
    }

    /// Whether a finding is about this.
    pub fn has(&self, rule: Rule) -> bool {
        self.findings().any(|(_, finding)| finding.rule == rule)
    }

    /// The steps that failed.
    pub fn failed(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.outcome == Outcome::Failed)
    }

    /// How many requests were sent.
    pub fn exchanges(&self) -> usize {
        self.steps.iter().map(|step| step.exchanges.len()).sum()
    }

    /// The decision: no step failed, and no finding is as severe as [`Report::fail_on`].
    pub fn passed(&self) -> bool {
        self.failed().next().is_none()
            && self.findings().all(|(_, finding)| finding.rule.severity() < self.fail_on)
    }

    /// How many findings there are of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings().filter(|(_, finding)| finding.rule.severity() == severity).count()
    }

    /// For programs. Neither bodies nor headers are part of it: they carry personal data.
    pub fn to_json(&self) -> Value {
        let steps: Vec<Value> = self.steps.iter().map(step_json).collect();
        json!({ "title": self.title, "steps": steps, "summary": self.summary_json() })
    }

    fn summary_json(&self) -> Value {
        json!({
            "passed": self.passed(),
            "steps": self.steps.len(),
            "steps_failed": self.failed().count(),
            "exchanges": self.exchanges(),
            "findings": {
                "critical": self.count(Severity::Critical),
                "warning": self.count(Severity::Warning),
                "notice": self.count(Severity::Notice),
            },
        })
    }

    /// The last lines of a run.
    pub fn summary(&self) -> String {
        let failed = self.failed().count();
        let decision = if self.passed() { "PASSED" } else { "NOT PASSED" };
        format!(
            "{decision}: {} of {} steps as they should be, {} requests; findings: {} critical, {} \
             warnings, {} notices",
            self.steps.len() - failed,
            self.steps.len(),
            self.exchanges(),
            self.count(Severity::Critical),
            self.count(Severity::Warning),
            self.count(Severity::Notice),
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.title)?;
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        write!(f, "\n{}", self.summary())
    }
}

fn step_json(step: &Step) -> Value {
    json!({
        "number": step.number,
        "action": step.sentence,
        "outcome": step.outcome.as_str(),
        "admin_texts": step.admin_texts,
        "notes": step.notes,
        "findings": step.findings.iter().map(finding_json).collect::<Vec<_>>(),
        "exchanges": step.exchanges.iter().map(exchange_json).collect::<Vec<_>>(),
    })
}

fn exchange_json(exchange: &Exchange) -> Value {
    json!({
        "number": exchange.number,
        "method": exchange.request.method.as_str(),
        "path": exchange.request.path_and_query,
        "status": exchange.answer.as_ref().ok().map(|response| response.status),
        "verdict": exchange.verdict.as_str(),
        "findings": exchange.findings.iter().map(finding_json).collect::<Vec<_>>(),
    })
}

fn finding_json(finding: &Finding) -> Value {
    json!({
        "rule": finding.rule.name(),
        "severity": finding.rule.severity().as_str(),
        "text": finding.text,
    })
}
