//! The whole story of an app in Okta, from the first test of the token to the last import, as a
//! list of what its admin does.
//!
//! The names of people and groups carry a mark made from the seed, so that the story can be told
//! to any server, also one where others live. It changes and removes nothing that it did not make.

use crate::chance::{BASE_36, Chance};
use crate::report::Rule;

use super::{Action, Attributes, Field, GroupKey, Okta, PersonKey, Unlink};

/// People who are assigned at once, through a group: more than fit on a page of a list, and more
/// than fit in one PATCH.
const CROWD: usize = 105;

/// One thing that the admin does, and what should come of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scene {
    /// As a sentence.
    pub sentence: String,
    /// What Okta does with it.
    pub actions: Vec<Action>,
    /// What should come of it.
    pub expected: Expected,
}

/// What should come of a scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Requests that the server accepts.
    Accepted,
    /// No request at all.
    Silence,
    /// A refusal.
    Refused {
        /// With this status.
        status: u16,
        /// What is wrong when the server accepts instead.
        rule: Rule,
    },
}

/// A list of scenes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    /// In order.
    pub scenes: Vec<Scene>,
}

impl Story {
    /// The whole story. Its people and groups join this Okta.
    pub fn whole(okta: &mut Okta) -> Story {
        let mark = Chance::new(okta.settings().options.seed ^ MARK).text(6, BASE_36);
        let mut teller = Teller { scenes: Vec::new() };
        let cast = Cast::new(okta, &mark);
        tell_connection(&mut teller, okta);
        tell_people(&mut teller, &cast, &mark);
        tell_groups(&mut teller, okta, &cast, &mark);
        teller.tell("Import users and groups", vec![Action::Import]);
        Story { scenes: teller.scenes }
    }
}

/// Keeps the names apart from the ids, which come from the same seed.
const MARK: u64 = 0x6d61_726b;

struct Teller {
    scenes: Vec<Scene>,
}

impl Teller {
    fn tell(&mut self, sentence: impl Into<String>, actions: Vec<Action>) {
        self.scenes.push(Scene {
            sentence: sentence.into(),
            actions,
            expected: Expected::Accepted,
        });
    }

    fn silent(&mut self, sentence: impl Into<String>, actions: Vec<Action>) {
        self.scenes.push(Scene { sentence: sentence.into(), actions, expected: Expected::Silence });
    }

    fn refused(
        &mut self,
        sentence: impl Into<String>,
        actions: Vec<Action>,
        status: u16,
        rule: Rule,
    ) {
        let expected = Expected::Refused { status, rule };
        self.scenes.push(Scene { sentence: sentence.into(), actions, expected });
    }
}

/// Who and what the story is about.
struct Cast {
    ana: PersonKey,
    ben: PersonKey,
    cleo: PersonKey,
    dora: PersonKey,
    crowd: Vec<PersonKey>,
    staff: GroupKey,
    design: GroupKey,
    design_again: GroupKey,
    company: GroupKey,
    project: GroupKey,
    design_name: String,
}

impl Cast {
    fn new(okta: &mut Okta, mark: &str) -> Cast {
        // Capital letters, an apostrophe and a plus: what breaks comparisons and encodings.
        let mut ana = person(&format!("Ana.Lovelace.{mark}@example.com"), "Ana", "Lovelace-Núñez");
        ana.insert(Field::Title, "Designer".to_owned());
        ana.insert(Field::UserType, "Editor".to_owned());
        ana.insert(Field::Phone, "+351 555 0100".to_owned());
        ana.insert(Field::EmployeeNumber, "0042".to_owned());
        ana.insert(Field::Department, "Design".to_owned());
        let ana = okta.add_person(ana);
        let ben =
            okta.add_person(person(&format!("ben.o'neil+{mark}@example.com"), "Ben", "O'Neil"));
        let cleo = okta.add_person(person(&format!("cleo.{mark}@example.com"), "Cleo", "Park"));
        let dora = okta.add_person(person(&format!("dora.{mark}@example.com"), "Dora", "Weiß"));
        let eve = okta.add_person(person(&format!("eve.{mark}@example.com"), "Eve", "Stone"));
        let crowd: Vec<PersonKey> = (1..=CROWD)
            .map(|number| {
                let name = format!("person.{number:03}.{mark}@example.com");
                okta.add_person(person(&name, "Person", &format!("Number {number:03}")))
            })
            .collect();
        let design_name = format!("Design & Büro {mark}");
        let staff = okta.add_group(format!("Staff {mark}"), crowd.clone());
        // Eve is in the group and not in the app: she is left out.
        let design = okta.add_group(design_name.clone(), [ana, ben, cleo, eve]);
        let design_again = okta.add_group(format!("Product design {mark}"), [ana, dora]);
        let company = okta.add_group(format!("Company {mark}"), crowd.clone());
        let project = okta.add_group(format!("Project {mark}"), [cleo, dora]);
        Cast {
            ana,
            ben,
            cleo,
            dora,
            crowd,
            staff,
            design,
            design_again,
            company,
            project,
            design_name,
        }
    }
}

fn person(user_name: &str, given: &str, family: &str) -> Attributes {
    [
        (Field::UserName, user_name.to_owned()),
        (Field::GivenName, given.to_owned()),
        (Field::FamilyName, family.to_owned()),
        (Field::Email, user_name.to_owned()),
        (Field::DisplayName, format!("{given} {family}")),
        (Field::Locale, "en-US".to_owned()),
    ]
    .into()
}

fn edit(field: Field, value: impl Into<String>) -> (Field, Option<String>) {
    (field, Some(value.into()))
}

fn tell_connection(teller: &mut Teller, okta: &Okta) {
    let right = okta.settings().credentials.clone();
    let wrong = right.mistyped();
    teller.refused(
        "Test API credentials with a mistyped token",
        vec![Action::EnterCredentials(wrong), Action::TestCredentials],
        401,
        Rule::WrongTokenAccepted,
    );
    teller.tell(
        "Test API credentials with the right token",
        vec![Action::EnterCredentials(right), Action::TestCredentials],
    );
    teller.tell("Save the To App settings", vec![Action::SaveToApp]);
}

fn tell_people(teller: &mut Teller, cast: &Cast, mark: &str) {
    let Cast { ana, ben, cleo, dora, .. } = *cast;
    teller.tell("Assign Ana, who has an entry for every attribute", vec![Action::Assign(ana)]);
    teller.tell("Assign Ben, whose name has an apostrophe and a plus", vec![Action::Assign(ben)]);
    teller.tell("Assign Cleo and Dora", vec![Action::Assign(cleo), Action::Assign(dora)]);
    teller.tell(
        "Update Ana's profile",
        vec![Action::Update(
            ana,
            vec![
                edit(Field::FamilyName, "Lovelace"),
                edit(Field::DisplayName, "Ana Lovelace"),
                edit(Field::Title, "Head of Design"),
            ],
        )],
    );
    teller.tell(
        "Clear Ana's title, phone and department",
        vec![Action::Update(
            ana,
            vec![(Field::Title, None), (Field::Phone, None), (Field::Department, None)],
        )],
    );
    let renamed = format!("benjamin.oneil.{mark}@example.com");
    let wanted = format!("bo.{mark}@example.com");
    teller.tell(
        "Change Ben's user name and e-mail address",
        vec![Action::Update(
            ben,
            vec![edit(Field::UserName, wanted.clone()), edit(Field::Email, wanted.clone())],
        )],
    );
    teller.refused(
        "Change Cleo's user name to the one that Ben has",
        vec![Action::Update(cleo, vec![edit(Field::UserName, wanted)])],
        409,
        Rule::UserNameTaken,
    );
    teller.tell(
        "Give Ben another user name",
        vec![Action::Update(
            ben,
            vec![edit(Field::UserName, renamed.clone()), edit(Field::Email, renamed)],
        )],
    );
    teller.tell("Press Retry Selected for Cleo", vec![Action::Retry]);
    teller.tell("Sync a new password of Ana", vec![Action::SyncPassword(ana)]);
    teller.silent("Suspend Ana", vec![Action::Suspend(ana)]);
    teller.tell("Unassign Dora", vec![Action::Unassign(dora)]);
    teller.tell("Assign Dora again", vec![Action::Assign(dora)]);
    teller.tell("Deactivate Ben in Okta", vec![Action::Deactivate(ben)]);
    teller.silent("Activate Ben in Okta", vec![Action::Activate(ben)]);
    teller.tell("Assign Ben again", vec![Action::Assign(ben)]);
    teller.tell(
        format!("Assign the group Staff with its {CROWD} people"),
        vec![Action::AssignGroup(cast.staff)],
    );
}

fn tell_groups(teller: &mut Teller, okta: &Okta, cast: &Cast, mark: &str) {
    let Cast { ana, ben, cleo, dora, staff, design, design_again, company, project, .. } = *cast;
    let push = |group| Action::PushGroup { group, memberships: true };
    let change = |group, add: &[PersonKey], remove: &[PersonKey]| Action::ChangeMembers {
        group,
        add: add.to_vec(),
        remove: remove.to_vec(),
    };
    teller.tell("Push the group Design with its memberships", vec![push(design)]);
    teller.tell("Take Ben out of Design and put Dora in", vec![change(design, &[dora], &[ben])]);
    let renamed = format!("Product design {mark}");
    teller.tell("Rename Design to Product design", vec![Action::RenameGroup(design, renamed)]);
    teller.tell("Press Push now for Product design", vec![Action::PushNow(design)]);
    teller.silent(
        "Deactivate the push of Product design, then put Ben in",
        vec![Action::DeactivatePush(design), change(design, &[ben], &[])],
    );
    teller.tell("Activate the push of Product design", vec![Action::ActivatePush(design)]);
    teller.tell(
        "Take everybody out of Product design",
        vec![change(design, &[], &[ana, ben, cleo, dora])],
    );
    teller.tell("Press Push now for the empty group", vec![Action::PushNow(design)]);
    teller.tell("Put Ben and Cleo into Product design", vec![change(design, &[ben, cleo], &[])]);
    teller.silent(
        "Unlink Product design and leave the group in the app",
        vec![Action::UnlinkGroup(design, Unlink::Leave)],
    );
    if okta.settings().options.group_probe || !okta.settings().profile.patches() {
        teller.tell(
            "Push another group of the same name: it is linked, and its members stay",
            vec![push(design_again)],
        );
    } else {
        teller.tell(
            "Refresh the app groups and link another group to Product design: its members stay",
            vec![Action::LinkGroup(design_again)],
        );
    }
    teller.tell(
        "Press Push now for the linked group: only its own members are left",
        vec![Action::PushNow(design_again)],
    );
    teller.tell(
        format!("Rename the linked group back to Design ({})", cast.design_name),
        vec![Action::RenameGroup(design_again, cast.design_name.clone())],
    );
    teller.tell(format!("Push the group Company with its {CROWD} people"), vec![push(company)]);
    let leavers = &cast.crowd[2..];
    teller.tell(
        format!("Take {} people out of Company and put Ana in", leavers.len()),
        vec![change(company, &[ana], leavers)],
    );
    teller.tell("Push the group Project", vec![push(project)]);
    teller.tell(
        "Unlink Project and delete the group in the app",
        vec![Action::UnlinkGroup(project, Unlink::Delete)],
    );
    teller.tell(
        "Take two people out of the assigned group Staff: they lose their access",
        vec![change(staff, &[], &cast.crowd[CROWD - 2..])],
    );
}
