//! What an organization guards itself with: how many people of it may use the app, at which domains they
//! have to be, and how soon the app has to say that somebody's access has ended.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cause::{Consequence, Of};
use crate::change::Change;
use crate::condition::Revision;
use crate::decide::{Decide, Decision, Moment, Stop};
use crate::facts::{Facts, both, together};
use crate::id::UserId;
use crate::notice::{Notice, Outsider, SeatCount};
use crate::rejection::Rejection;
use crate::user::User;

/// Seats that an organization may be given: more people than all its directories could hold are no
/// limit.
pub const SEATS_MAX: u64 = 100_000_000;

/// Domains that an organization may name. One that has bought many others has some dozens.
pub const DOMAINS_MAX: usize = 200;

/// Minutes after which a receipt of the app may be overdue.
pub const RECEIPT_MINUTES: std::ops::RangeInclusive<u32> = 1..=43_200;

/// Minutes after which it is where nobody says, once the app sends receipts.
pub const RECEIPT_MINUTES_DEFAULT: u32 = 60;

/// What the vendor has set for an organization.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Safety {
    /// How many people may use the app; any number, where there is none.
    pub seats: Option<SeatLimit>,
    /// At which domains they have to be.
    pub domains: DomainGuard,
    /// Minutes after which a receipt is overdue. Where nobody says, it is waited for from the first
    /// one on that the app has sent.
    pub receipt_minutes: Option<u32>,
}

/// How many people of an organization may use the app, over all its directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeatLimit {
    /// So many.
    pub max: u64,
    /// What happens when there are more.
    pub mode: SeatMode,
}

/// What happens when somebody has no seat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeatMode {
    /// An event tells of it.
    #[default]
    Warn,
    /// They are not added, and not let in again. Nobody who is there is put out.
    Refuse,
}

impl SeatMode {
    /// As it stands in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            SeatMode::Warn => "warn",
            SeatMode::Refuse => "refuse",
        }
    }
}

impl FromStr for SeatMode {
    type Err = ();

    fn from_str(text: &str) -> Result<SeatMode, ()> {
        [SeatMode::Warn, SeatMode::Refuse].into_iter().find(|it| it.as_str() == text).ok_or(())
    }
}

/// Whether people outside of an organization's domains are looked for, and what happens then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DomainMode {
    /// Nobody looks.
    #[default]
    Off,
    /// They are counted and named, and an event tells of each.
    Warn,
    /// They are not added, and not let in again.
    Refuse,
}

impl DomainMode {
    /// As it stands in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            DomainMode::Off => "off",
            DomainMode::Warn => "warn",
            DomainMode::Refuse => "refuse",
        }
    }
}

impl FromStr for DomainMode {
    type Err = ();

    fn from_str(text: &str) -> Result<DomainMode, ()> {
        let all = [DomainMode::Off, DomainMode::Warn, DomainMode::Refuse];
        all.into_iter().find(|it| it.as_str() == text).ok_or(())
    }
}

/// The domains of an organization, and what happens to whoever is at another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainGuard {
    /// What happens.
    pub mode: DomainMode,
    /// The domains, of which those below are a part.
    pub domains: BTreeSet<Domain>,
}

/// A domain, as it is compared: in lower case, and in ASCII.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Domain(String);

/// Why a text is not the domain of an organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotADomain {
    /// It is not a domain at all.
    Malformed,
    /// Everybody is below it.
    Public,
}

impl fmt::Display for NotADomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotADomain::Malformed => "it is not a domain",
            NotADomain::Public => "everybody may have a domain below it",
        })
    }
}

impl std::error::Error for NotADomain {}

/// What stands before a country where anybody may have a domain below it: `co.uk`, `com.au`. Not
/// each country has each of them; where it has not, nobody misses it.
const OF_EVERYBODY: [&str; 18] = [
    "ac", "co", "com", "edu", "gen", "go", "gob", "gouv", "gov", "govt", "gv", "ltd", "mil", "ne",
    "net", "or", "org", "plc",
];

impl Domain {
    /// As it is compared.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Any domain, also one that is no organization's own.
    ///
    /// ```
    /// use directory::Domain;
    ///
    /// let read = |text| Domain::any(text).map(|it| it.as_str().to_owned());
    /// assert_eq!(read("Bücher.Example."), Some("xn--bcher-kva.example".to_owned()));
    /// assert_eq!(read("192.0.2.1"), None);
    /// ```
    pub fn any(text: &str) -> Option<Domain> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let url::Host::Domain(domain) = url::Host::parse(text).ok()? else { return None };
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-')
        };
        let is_domain = domain.len() <= 253 && domain.split('.').all(is_label);
        is_domain.then_some(Domain(domain))
    }

    /// The domain of an address; nothing, where it is not one.
    fn of_address(text: &str) -> Option<Domain> {
        let (before, domain) = text.trim().rsplit_once('@')?;
        if before.is_empty() { None } else { Domain::any(domain) }
    }

    fn is_below_or(&self, other: &Domain) -> bool {
        let above = self.0.strip_suffix(other.0.as_str());
        above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
    }
}

impl FromStr for Domain {
    type Err = NotADomain;

    fn from_str(text: &str) -> Result<Domain, NotADomain> {
        let domain = Domain::any(text).ok_or(NotADomain::Malformed)?;
        let is_public = match domain.0.split_once('.') {
            None => true,
            Some((first, last)) => last.len() == 2 && OF_EVERYBODY.binary_search(&first).is_ok(),
        };
        if is_public { Err(NotADomain::Public) } else { Ok(domain) }
    }
}

impl DomainGuard {
    /// The domains of a person that are none of these: of the name, where it is an address, and of the
    /// e-mail addresses that are for work or the first to be used. Who has no address is nowhere; and
    /// where an organization has named no domain, nobody is outside.
    pub fn outside(&self, user: &User) -> BTreeSet<Domain> {
        if self.domains.is_empty() {
            return BTreeSet::new();
        }
        let resource = user.document.resource();
        let emails = resource.attributes().get("emails").and_then(Value::as_array);
        let is_meant = |email: &&Value| {
            email["primary"] == true
                || email["type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("work"))
        };
        let addresses = emails.into_iter().flatten().filter(is_meant);
        let addresses = addresses.filter_map(|email| email["value"].as_str());
        let domains =
            std::iter::once(user.user_name()).chain(addresses).filter_map(Domain::of_address);
        domains.filter(|domain| !self.domains.iter().any(|own| domain.is_below_or(own))).collect()
    }
}

impl Safety {
    /// What can be edited of it.
    pub fn revision(&self) -> Revision {
        let seats = self.seats.map(|seats| (seats.max, seats.mode.as_str()));
        let domains: Vec<_> = self.domains.domains.iter().map(Domain::as_str).collect();
        let mode = self.domains.mode.as_str();
        Revision::of(&json!([seats, mode, domains, self.receipt_minutes]))
    }
}

/// What is to be otherwise of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SafetyEdit {
    /// How many people may use the app; `Some(None)`: any number.
    pub seats_max: Option<Option<u64>>,
    /// What happens when there are more.
    pub seat_mode: Option<SeatMode>,
    /// The domains.
    pub domains: Option<BTreeSet<Domain>>,
    /// What happens to whoever is at another.
    pub domain_mode: Option<DomainMode>,
    /// Minutes after which a receipt is overdue; `Some(None)`: where nobody says.
    pub receipt_minutes: Option<Option<u32>>,
}

impl SafetyEdit {
    /// The same with what is said here. A mode without a limit is the mode of nothing.
    pub fn apply(&self, to: Safety) -> Safety {
        let max = self.seats_max.unwrap_or(to.seats.map(|seats| seats.max));
        let mode = self.seat_mode.or(to.seats.map(|seats| seats.mode)).unwrap_or_default();
        Safety {
            seats: max.map(|max| SeatLimit { max, mode }),
            domains: DomainGuard {
                mode: self.domain_mode.unwrap_or(to.domains.mode),
                domains: self.domains.clone().unwrap_or(to.domains.domains),
            },
            receipt_minutes: self.receipt_minutes.unwrap_or(to.receipt_minutes),
        }
    }
}

/// How an organization is guarded while something is decided in one of its directories.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guards {
    /// What is set.
    pub safety: Arc<Safety>,
    /// How many people use the app now, over all its directories.
    pub active: u64,
    /// Since when they are more than may, if that was told.
    pub exceeded_at: Option<Timestamp>,
    /// Whether the app is to say when somebody's access has ended.
    pub awaits_receipts: bool,
}

impl Guards {
    /// The same where nobody takes a seat, as in a shadow.
    #[must_use]
    pub fn without_seats(self) -> Guards {
        let safety = Safety { seats: None, ..Safety::clone(&self.safety) };
        Guards { safety: Arc::new(safety), ..self }
    }

    /// Counts what was decided; says so where the limit is passed by it, in either direction.
    pub fn count(
        &mut self,
        difference: i64,
        change: Option<&Change>,
        now: Timestamp,
    ) -> Option<Notice> {
        self.active = self.active.saturating_add_signed(difference);
        let is_exceeded = self.safety.seats.is_some_and(|seats| self.active > seats.max);
        if is_exceeded == self.exceeded_at.is_some() {
            return None;
        }
        self.exceeded_at = is_exceeded.then_some(now);
        Some(Notice::Seats(SeatCount {
            limit: self.safety.seats,
            active: self.active,
            exceeded_at: self.exceeded_at,
            follows_from: change.and_then(consequence),
        }))
    }
}

/// Of a change of a person: that something follows from it.
fn consequence(change: &Change) -> Option<Consequence> {
    let Change::User(of) = change else { return None };
    let kind = change.events().next()?.kind;
    Some(Consequence { kind, of: Of::Resource(of.id()) })
}

/// Whether somebody may be let in, or be as they are to be. Says what is to be told beside: that they
/// are outside of the domains now, or not any more.
pub(crate) fn admit(
    facts: &Facts,
    before: Option<&User>,
    after: &User,
) -> Result<Option<Notice>, Stop> {
    let Some(guards) = facts.guards() else { return Ok(None) };
    let provider = facts.directory()?.directory.provider;
    let is_let_in = after.is_active() && !before.is_some_and(User::is_active);
    if is_let_in
        && let Some(SeatLimit { max, mode: SeatMode::Refuse }) = guards.safety.seats
        && guards.active >= max
    {
        let user_name = after.user_name().to_owned();
        return Err(Rejection::SeatsFull { provider, user_name, max }.into());
    }
    let domains = &guards.safety.domains;
    if domains.mode == DomainMode::Off {
        return Ok(None);
    }
    let outside = domains.outside(after);
    let was_outside = before.map(|before| domains.outside(before)).unwrap_or_default();
    let is_new = before.is_none() || is_let_in || !outside.is_subset(&was_outside);
    if domains.mode == DomainMode::Refuse
        && is_new
        && let Some(domain) = outside.first()
    {
        let user_name = after.user_name().to_owned();
        let domain = domain.as_str().to_owned();
        return Err(Rejection::OutsideDomains { provider, user_name, domain }.into());
    }
    notice(facts, before.map(|it| it.id), after, &outside)
}

/// What is to be told of somebody's domains, where that was not told already.
pub(crate) fn notice(
    facts: &Facts,
    known: Option<UserId>,
    user: &User,
    outside: &BTreeSet<Domain>,
) -> Result<Option<Notice>, Stop> {
    let was_told = match known {
        Some(id) => facts.is_outsider(id)?,
        None => false,
    };
    if was_told != outside.is_empty() {
        return Ok(None);
    }
    let domains = outside.iter().map(|it| it.as_str().to_owned()).collect();
    Ok(Some(Notice::Outsider(Outsider { user_id: user.id, domains })))
}

/// Looks again where some users are, after the domains were changed.
#[derive(Clone, Debug)]
pub struct CheckDomains {
    /// Who.
    pub users: Vec<UserId>,
}

impl Decide for CheckDomains {
    type Answer = ();

    const IS_READ_BY_SCHEMAS: bool = false;

    fn decide(&self, facts: &Facts, _: &Moment<'_>) -> Result<Decision<()>, Stop> {
        facts.directory()?;
        let Some(guards) = facts.guards() else { return Ok(Decision::nothing(())) };
        let domains = &guards.safety.domains;
        if domains.mode == DomainMode::Off {
            return Ok(Decision::nothing(()));
        }
        let users = self.users.iter();
        let users = together(users.map(|id| both(facts.user(*id), facts.is_outsider(*id))))?;
        let mut changes = Vec::new();
        for user in users.into_iter().filter_map(|(user, _)| user) {
            changes.extend(notice(facts, Some(user.id), user, &domains.outside(user))?);
        }
        Ok(Decision { changes: changes.into_iter().map(Change::Notice).collect(), answer: () })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_domain_has_one_spelling_and_is_somebodys_own() {
        #[track_caller]
        fn check(text: &str, expected: Result<&str, NotADomain>) {
            let read: Result<Domain, _> = text.parse();
            assert_eq!(read.as_ref().map(Domain::as_str), expected.as_ref().copied(), "{text}");
        }
        check("acme.test", Ok("acme.test"));
        check("ACME.Test.", Ok("acme.test"));
        check("Bücher.example", Ok("xn--bcher-kva.example"));
        check("acme.co.uk", Ok("acme.co.uk"));
        check("co.example", Ok("co.example"));
        for public in ["test", "com", "co.uk", "COM.au", "gv.at"] {
            check(public, Err(NotADomain::Public));
        }
        for wrong in
            ["", ".", "acme..test", "@acme.test", "192.0.2.1", "a b.test", "-a.test", "a_b.test"]
                .into_iter()
                .chain(["[::1]", "acme.test/x", "*.acme.test", "acme.test:80"])
        {
            check(wrong, Err(NotADomain::Malformed));
        }
        assert!(OF_EVERYBODY.is_sorted());
    }

    #[test]
    fn a_domain_has_those_below_it() {
        let is_below = |one: &str, other: &str| {
            Domain::any(one).unwrap().is_below_or(&Domain::any(other).unwrap())
        };
        assert!(is_below("acme.test", "acme.test"));
        assert!(is_below("eu.acme.test", "acme.test"));
        assert!(!is_below("evilacme.test", "acme.test"));
        assert!(!is_below("test", "acme.test"));
    }

    #[test]
    fn a_limit_that_is_passed_is_told_once_in_each_direction() {
        let limit = SeatLimit { max: 2, mode: SeatMode::Warn };
        let safety = Arc::new(Safety { seats: Some(limit), ..Safety::default() });
        let mut guards = Guards { safety, active: 1, ..Guards::default() };
        let now = Timestamp::UNIX_EPOCH;
        let mut told = Vec::new();
        for difference in [1, 1, 1, -1, -1, 1, -3] {
            if let Some(Notice::Seats(count)) = guards.count(difference, None, now) {
                told.push((count.active, count.exceeded_at.is_some()));
            }
        }
        assert_eq!(told, [(3, true), (2, false), (3, true), (0, false)]);
    }

    #[test]
    fn what_is_not_named_of_the_safety_stays() {
        let edit = SafetyEdit { seat_mode: Some(SeatMode::Refuse), ..SafetyEdit::default() };
        // A mode is the mode of a limit.
        assert_eq!(edit.apply(Safety::default()), Safety::default());
        let limit = |max, mode| Some(SeatLimit { max, mode });
        let before = Safety { seats: limit(5, SeatMode::Warn), ..Safety::default() };
        assert_eq!(edit.apply(before.clone()).seats, limit(5, SeatMode::Refuse));
        let edit = SafetyEdit { seats_max: Some(None), ..SafetyEdit::default() };
        assert_eq!(edit.apply(before).seats, None);
        assert_ne!(
            Safety { receipt_minutes: Some(5), ..Safety::default() }.revision(),
            Safety::default().revision()
        );
    }

    #[test]
    fn the_domains_of_the_name_and_of_the_addresses_for_work_are_looked_at() {
        #[track_caller]
        fn check(user: &serde_json::Value, expected: &[&str]) {
            let domains = ["acme.test", "xn--bcher-kva.example"].map(|it| it.parse().unwrap());
            let guard = DomainGuard { mode: DomainMode::Warn, domains: domains.into() };
            let resource = scim::Resource::from_text(&user.to_string()).unwrap();
            let user = User {
                id: UserId::parse("019b8d4a-0000-7000-8000-00000000dead").unwrap(),
                document: crate::user::Document::new(resource),
                active: true,
                version: 1,
                created_at: Timestamp::UNIX_EPOCH,
                modified_at: Timestamp::UNIX_EPOCH,
                aside: crate::aside::Aside::default(),
            };
            let outside = guard.outside(&user);
            assert_eq!(outside.iter().map(Domain::as_str).collect::<Vec<_>>(), expected);
        }
        check(&json!({ "userName": "ana@acme.test" }), &[]);
        check(&json!({ "userName": "Ana@EU.Acme.Test" }), &[]);
        check(&json!({ "userName": "ana@bücher.example" }), &[]);
        check(&json!({ "userName": "ana" }), &[]);
        check(&json!({ "userName": "ana@other.test" }), &["other.test"]);
        let with = |email: serde_json::Value| json!({ "userName": "ana", "emails": [email] });
        check(&with(json!({ "value": "a@b.test", "type": "Work" })), &["b.test"]);
        check(&with(json!({ "value": "a@b.test", "primary": true })), &["b.test"]);
        check(&with(json!({ "value": "a@b.test", "type": "home" })), &[]);
        check(&with(json!({ "type": "work" })), &[]);
    }

    #[test]
    fn nobody_is_outside_of_no_domains() {
        let resource = scim::Resource::from_text(r#"{"userName":"ana@other.test"}"#).unwrap();
        let user = User {
            id: UserId::parse("019b8d4a-0000-7000-8000-00000000dead").unwrap(),
            document: crate::user::Document::new(resource),
            active: true,
            version: 1,
            created_at: Timestamp::UNIX_EPOCH,
            modified_at: Timestamp::UNIX_EPOCH,
            aside: crate::aside::Aside::default(),
        };
        for mode in [DomainMode::Warn, DomainMode::Refuse] {
            let guard = DomainGuard { mode, domains: BTreeSet::new() };
            assert_eq!(guard.outside(&user), BTreeSet::new());
        }
    }
}
