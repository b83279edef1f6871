//! Who gets which role: by group, by what the provider says of people, and who else; tried before it is
//! saved, and how far it is that everybody has the roles that follow.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::scim::etag::EntityTags;
use askama::Template;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::Response;
use directory::secret::SecretHash;
use directory::{
    CatalogueKind, EntryId, Granted, GroupId, Guarded, Precondition, Rejection, ResourceId,
    RoleMapping, Rule, SaveRoleMapping, Strategy,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::{DirectoryStore, PersonPreview, RoleProgress, RoleSetting};

use super::connection::Connection;
use super::live::Live;
use crate::api::roles::{RoleMappingInput, group_named, refused, user_name};
use crate::api::users::{filter, searched};
use crate::pages::form::Form;
use crate::pages::pace::pace;
use crate::pages::parts::{Frame, Sentence};
use crate::pages::visitor::{Reader, Visitor};
use crate::pages::{Stop, go_to, page, page_with};
use crate::problem::Problem;

/// Rules and protected people that a form takes. Who has more keeps them with the management API.
const RULES_MAX: usize = 40;
const PROTECTED_MAX: usize = 20;

/// Places in the form for what is added.
const RULES_MORE: usize = 3;
const PROTECTED_MORE: usize = 2;

/// Groups to choose from, unless somebody looks for others.
const GROUPS_MAX: u64 = 200;

/// People who are named in a preview.
const EXAMPLES_MAX: usize = 50;

#[derive(Template)]
#[template(path = "directory/roles.html")]
pub(crate) struct RolesPage {
    pub(crate) frame: Frame,
    pub(crate) reader: Reader,
    pub(crate) connection: Connection,
    pub(crate) live: Live,
    pub(crate) progress: Option<RoleProgress>,
    /// How fast that is and how long it still takes, where that can be said.
    pub(crate) pace: Option<String>,
    /// What of the mapping gives nobody anything, because what it names is not there any more.
    pub(crate) warnings: Vec<String>,
    /// The roles of the app, the highest first: id and name of each.
    pub(crate) roles: Vec<(String, String)>,
    /// Groups to choose from: id and name of each.
    pub(crate) groups: Vec<(String, String)>,
    /// Whether there are more than can be chosen from.
    pub(crate) has_more_groups: bool,
    /// How the names of groups begin that are to choose from.
    pub(crate) wanted: String,
    pub(crate) mapping: Typed,
    /// What stands for the mapping that the reader began from.
    pub(crate) seen: String,
    /// Whether there is more of it than the form takes.
    pub(crate) is_too_long: bool,
    pub(crate) preview: Option<Preview>,
    /// Why nothing was done: what is wrong, and what to do.
    pub(crate) wrong: Option<(Sentence, Sentence)>,
}

/// A mapping as it is typed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Typed {
    /// Whether people get all roles that rules give them, and not the highest alone.
    pub(crate) is_union: bool,
    pub(crate) rules: Vec<RuleTyped>,
    pub(crate) default_role: String,
    pub(crate) default_group: String,
    pub(crate) new_default_group: String,
    pub(crate) protected: Vec<ProtectedTyped>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct RuleTyped {
    /// The id of a group; nothing, where a condition says who is meant.
    pub(crate) group: String,
    pub(crate) filter: String,
    pub(crate) role: String,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct ProtectedTyped {
    pub(crate) user_name: String,
    pub(crate) role: String,
}

impl Typed {
    /// What stands for what is typed: what was looked at is saved, and nothing else.
    pub(crate) fn mark(&self) -> String {
        SecretHash::of(&format!("{self:?}")).as_str()[..32].to_owned()
    }

    /// What a form sends.
    fn read(form: &Form) -> Typed {
        let rule = |number: usize| {
            let field = |name: &str| form.text(&format!("rule-{number}-{name}")).to_owned();
            RuleTyped { group: field("group"), filter: field("filter"), role: field("role") }
        };
        let person = |number: usize| {
            let field = |name: &str| form.text(&format!("protected-{number}-{name}")).to_owned();
            ProtectedTyped { user_name: field("user"), role: field("role") }
        };
        let is_said = |it: &RuleTyped| !(it.group.is_empty() && it.filter.is_empty());
        Typed {
            is_union: form.text("strategy") == "union",
            rules: (1..=RULES_MAX).map(rule).filter(is_said).collect(),
            default_role: form.text("default-role").to_owned(),
            default_group: form.text("default-group").to_owned(),
            new_default_group: form.text("new-default-group").to_owned(),
            protected: (1..=PROTECTED_MAX)
                .map(person)
                .filter(|it| !it.user_name.is_empty())
                .collect(),
        }
    }

    /// What is kept, with the user names of those who are protected.
    fn of(mapping: &RoleMapping, names: &BTreeMap<ResourceId, String>) -> Typed {
        let text = |it: &Option<EntryId>| it.as_ref().map(ToString::to_string).unwrap_or_default();
        let rule = |rule: &Rule| {
            let (group, filter) = match &rule.when {
                directory::When::Group(group) => (group.to_string(), String::new()),
                directory::When::Filter(filter) => (String::new(), filter.clone()),
            };
            RuleTyped { group, filter, role: rule.role.to_string() }
        };
        let person = |it: &directory::Protection| ProtectedTyped {
            user_name: names.get(&it.user).cloned().unwrap_or_else(|| it.user.to_string()),
            role: text(&it.role),
        };
        Typed {
            is_union: mapping.strategy == Strategy::Union,
            rules: mapping.rules.iter().map(rule).collect(),
            default_role: text(&mapping.default_role),
            default_group: mapping.default_group.map(|it| it.to_string()).unwrap_or_default(),
            new_default_group: String::new(),
            protected: mapping.protected.iter().map(person).collect(),
        }
    }

    /// The same as the management API is told it; `users` are the ids of those who are protected.
    fn input(&self, users: &[ResourceId]) -> Result<RoleMappingInput, Stop> {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let rule = |it: &RuleTyped| {
            let mut rule = Map::new();
            rule.extend(some(&it.group).map(|group| ("group".to_owned(), group.into())));
            rule.extend(some(&it.filter).map(|filter| ("filter".to_owned(), filter.into())));
            rule.insert("role".to_owned(), it.role.clone().into());
            Value::from(rule)
        };
        let protected = self.protected.iter().zip(users);
        let person = |(it, user): (&ProtectedTyped, &ResourceId)| json!({ "user": user.to_string(), "role": some(&it.role) });
        let input = json!({
            "strategy": if self.is_union { "union" } else { "highest" },
            "rules": self.rules.iter().map(rule).collect::<Vec<_>>(),
            "default_role": some(&self.default_role),
            "default_group": some(&self.default_group),
            "protected": protected.map(person).collect::<Vec<_>>(),
        });
        serde_json::from_value(input).map_err(|_| Stop::Unreadable)
    }

    /// The rules with room for more, each with its number.
    pub(crate) fn rule_places(&self) -> Vec<(usize, RuleTyped)> {
        let more = std::iter::repeat_n(RuleTyped::default(), RULES_MORE);
        (1..=RULES_MAX).zip(self.rules.iter().cloned().chain(more)).collect()
    }

    /// The protected with room for more, each with their number.
    pub(crate) fn protected_places(&self) -> Vec<(usize, ProtectedTyped)> {
        let more = std::iter::repeat_n(ProtectedTyped::default(), PROTECTED_MORE);
        (1..=PROTECTED_MAX).zip(self.protected.iter().cloned().chain(more)).collect()
    }
}

/// What would become of people's roles.
pub(crate) struct Preview {
    pub(crate) people: u64,
    pub(crate) changed: u64,
    /// The name of each role that somebody would gain or lose, and how many.
    pub(crate) roles: Vec<(String, u64, u64)>,
    pub(crate) examples: Vec<Example>,
}

/// Somebody whose roles would be others.
pub(crate) struct Example {
    /// Of their page, where the reader may go there.
    pub(crate) address: Option<String>,
    pub(crate) user_name: String,
    /// The names of their roles.
    pub(crate) before: String,
    pub(crate) after: String,
    /// Why they would have what they would have.
    pub(crate) reason: Option<Sentence>,
}

impl Example {
    fn new(
        it: &PersonPreview,
        groups: &BTreeMap<GroupId, String>,
        called: &impl Fn(&EntryId) -> String,
        people: Option<&str>,
    ) -> Example {
        let names =
            |all: &[Granted]| all.iter().map(|it| called(&it.role)).collect::<Vec<_>>().join(", ");
        let after = it.difference.after.granted();
        let reason = after.first().map(|granted| {
            let group = granted.reason.group().and_then(|id| groups.get(&id)).map(String::as_str);
            Sentence(granted.reason.told_of(&it.user_name, group).to_string())
        });
        Example {
            address: people.map(|people| format!("{people}/{}", it.difference.user)),
            user_name: it.user_name.clone(),
            before: names(it.difference.before.granted()),
            after: names(after),
            reason,
        }
    }
}

impl RolesPage {
    /// Whether the reader may say otherwise.
    pub(crate) fn may(&self) -> bool {
        let feature = directory::PortalFeature::Roles;
        self.reader.may(feature, directory::ApiScope::DirectoriesWrite) && !self.is_too_long
    }

    /// The name of a group to choose from.
    pub(crate) fn has_role(&self, id: &str) -> bool {
        self.roles.iter().any(|(of, _)| of == id)
    }

    pub(crate) fn has_group(&self, id: &str) -> bool {
        self.groups.iter().any(|(of, _)| of == id)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    /// The beginning of the names of groups.
    groups: String,
}

/// `GET …/roles`.
pub(super) async fn show(visitor: Visitor, Query(asked): Query<Asked>) -> Result<Response, Stop> {
    let store = visitor.open().await?;
    let setting = store.roles().await?;
    let typed = Typed::of(&setting.mapping, &protected_names(&store, &setting.mapping).await?);
    let seen = setting.mapping.revision().as_str().to_owned();
    let shown = Shown { setting, typed, seen, wanted: asked.groups, preview: None, wrong: None };
    Ok(page(&shown.page(visitor, &store).await?))
}

/// `POST …/roles/preview`: who would gain and who would lose what; nothing is changed.
pub(super) async fn preview(visitor: Visitor) -> Result<Response, Stop> {
    let store = visitor.open().await?;
    let typed = Typed::read(&visitor.form);
    let tried = match mapping(&visitor, &store, &typed).await {
        Ok(mapping) => store.preview_roles(mapping, EXAMPLES_MAX).await.map_err(refused),
        Err(problem) => Err(problem),
    };
    let setting = store.roles().await?;
    let seen = visitor.form.text("seen").to_owned();
    let wanted = visitor.form.text("groups").to_owned();
    let mut shown = Shown { setting, typed, seen, wanted, preview: None, wrong: None };
    let found = match tried {
        Ok(found) => found,
        Err(problem) => {
            shown.wrong = Some(said(&problem));
            let shown = shown.page(visitor, &store).await?;
            return Ok(page_with(StatusCode::UNPROCESSABLE_ENTITY, &shown));
        }
    };
    let names = role_names(&visitor).await?;
    let called = |id: &EntryId| {
        let id = id.to_string();
        names.iter().find(|(of, _)| *of == id).map_or_else(|| id.clone(), |(_, name)| name.clone())
    };
    let sees_people = visitor.reader.sees(directory::PortalFeature::People);
    let people = sees_people.then(|| format!("{}/people", visitor.connection.address));
    let example = |it| Example::new(it, &found.groups, &called, people.as_deref());
    shown.preview = Some(Preview {
        people: found.people,
        changed: found.changed,
        roles: found.roles.iter().map(|(id, it)| (called(id), it.gained, it.lost)).collect(),
        examples: found.examples.iter().map(example).collect(),
    });
    Ok(page(&shown.page(visitor, &store).await?))
}

/// `POST …/roles`: it is so from now on, unless somebody else has said otherwise meanwhile. Where
/// something else was looked at than is to be saved, it is shown first what would follow.
pub(super) async fn save(visitor: Visitor) -> Result<Response, Stop> {
    let typed = Typed::read(&visitor.form);
    if visitor.form.text("previewed") != typed.mark() {
        return preview(visitor).await;
    }
    let store = visitor.open().await?;
    let saved = match mapping(&visitor, &store, &typed).await {
        Ok(mapping) => {
            let new = Some(&typed.new_default_group).filter(|it| !it.is_empty());
            match new.map(|name| group_named(&store, name)).transpose() {
                Ok(new_default_group) => {
                    let user_type = Arc::clone(store.types().user());
                    let what = SaveRoleMapping { mapping, new_default_group, user_type };
                    let seen = EntityTags::These(vec![visitor.form.text("seen").to_owned()]);
                    let precondition =
                        Precondition { among: Some(seen), ..Precondition::default() };
                    match store.save_roles(Guarded { precondition, what }).await {
                        Ok(()) => {
                            return Ok(go_to(&format!("{}/roles", visitor.connection.address)));
                        }
                        Err(store::Error::Rejected(Rejection::RevisionFailed)) => {
                            Err(Problem::invalid(
                                "somebody else has changed the roles since you began",
                                "Nothing was changed. Look at what stands here, preview it again, \
                                 and save it if it is right",
                            ))
                        }
                        Err(error) => Err(refused(error)),
                    }
                }
                Err(problem) => Err(problem),
            }
        }
        Err(problem) => Err(problem),
    };
    let Err::<(), _>(problem) = saved else { unreachable!("what was saved was answered") };
    let setting = store.roles().await?;
    let seen = setting.mapping.revision().as_str().to_owned();
    let wrong = Some(said(&problem));
    let shown = Shown { setting, typed, seen, wanted: String::new(), preview: None, wrong };
    let shown = shown.page(visitor, &store).await?;
    Ok(page_with(StatusCode::UNPROCESSABLE_ENTITY, &shown))
}

fn said(problem: &Problem) -> (Sentence, Sentence) {
    let [_, why, what_to_do] = problem.said();
    (Sentence(why.to_owned()), Sentence(what_to_do.to_owned()))
}

/// What is typed, as it is kept. The people of it are known by their user names.
async fn mapping(
    visitor: &Visitor,
    store: &DirectoryStore,
    typed: &Typed,
) -> Result<RoleMapping, Problem> {
    if let Some(place) = typed.rules.iter().position(|rule| rule.role.is_empty()) {
        return Err(Problem::invalid(
            format!("rule {} says whom it is about, and not which role they get", place + 1),
            "Choose the role, or take the rule away: no group, and no condition",
        ));
    }
    let mut users = Vec::new();
    for person in &typed.protected {
        users.push(user_called(visitor, store, &person.user_name).await?);
    }
    let unreadable = || Problem::invalid("a field has what it cannot have", "Type it again");
    typed.input(&users).map_err(|_| unreadable())?.mapping()
}

/// Somebody by their user name, or by their id.
async fn user_called(
    visitor: &Visitor,
    store: &DirectoryStore,
    name: &str,
) -> Result<ResourceId, Problem> {
    if let Some(id) = ResourceId::parse(name) {
        return Ok(id);
    }
    let wanted = Some(format!("userName eq {}", Value::from(name)));
    let user_type = Arc::clone(store.types().user());
    let found = match filter([], wanted, &user_type)? {
        Some(wanted) => {
            let base = visitor.counter.settings.directory_base_url(store.id());
            store.users(searched(wanted, user_type, base, 1, None)).await?.items
        }
        None => Vec::new(),
    };
    found.first().map(|user| user.id).ok_or_else(|| {
        Problem::invalid(
            format!("nobody in this directory has the user name `{name}`, who is to be protected"),
            "Type the user name as the provider has it, or leave the field empty",
        )
    })
}

async fn protected_names(
    store: &DirectoryStore,
    mapping: &RoleMapping,
) -> Result<BTreeMap<ResourceId, String>, Stop> {
    let mut names = BTreeMap::new();
    for protection in mapping.protected.iter().take(PROTECTED_MAX) {
        if let Some(user) = store.user(protection.user, false).await? {
            names.insert(protection.user, user_name(&user));
        }
    }
    Ok(names)
}

/// The roles of the app, the highest first.
async fn role_names(visitor: &Visitor) -> Result<Vec<(String, String)>, Stop> {
    let mut found = visitor.store.catalogue(CatalogueKind::Role).await?;
    found.sort_by_key(|it| it.rank.unwrap_or(u16::MAX));
    Ok(found.into_iter().map(|it| (it.id.to_string(), it.display_name)).collect())
}

/// What a page is made of, beside what it asks for itself.
struct Shown {
    setting: RoleSetting,
    typed: Typed,
    seen: String,
    wanted: String,
    preview: Option<Preview>,
    wrong: Option<(Sentence, Sentence)>,
}

impl Shown {
    async fn page(self, visitor: Visitor, store: &DirectoryStore) -> Result<RolesPage, Stop> {
        let roles = role_names(&visitor).await?;
        let wanted = self.wanted.trim().to_owned();
        let group_type = Arc::clone(store.types().group());
        let begins = (!wanted.is_empty())
            .then(|| format!("displayName sw {}", Value::from(wanted.as_str())));
        let (found, has_more_groups) = match filter([], begins, &group_type)? {
            None => {
                let found = store.groups_after(0, GROUPS_MAX).await?;
                (found.items, found.next.is_some())
            }
            Some(begins) => {
                let base = visitor.counter.settings.directory_base_url(store.id());
                let asked = searched(begins, group_type, base, GROUPS_MAX, None);
                let found = store.groups(asked).await?;
                (found.items, found.next.is_some())
            }
        };
        let called = |text: &str| {
            let said: Value = serde_json::from_str(text).unwrap_or_default();
            said["displayName"].as_str().unwrap_or_default().to_owned()
        };
        let mut groups: Vec<_> =
            found.iter().map(|it| (it.id.to_string(), called(&it.text))).collect();
        // Those that are chosen stay so, whichever are looked for.
        let chosen = self.typed.rules.iter().map(|it| it.group.as_str());
        for id in chosen.chain([self.typed.default_group.as_str()]) {
            if groups.iter().any(|(of, _)| of == id) {
                continue;
            }
            if let Some(id) = ResourceId::parse(id)
                && let Some(group) = store.group(id, false).await?
            {
                groups.push((group.id.to_string(), called(&group.text)));
            }
        }
        groups.sort_by_key(|(_, name)| name.to_lowercase());
        let now = visitor.counter.access.now();
        let Visitor { frame, reader, connection, .. } = visitor;
        let mapping = &self.setting.mapping;
        let is_too_long = mapping.rules.len() > RULES_MAX - RULES_MORE
            || mapping.protected.len() > PROTECTED_MAX - PROTECTED_MORE;
        Ok(RolesPage {
            frame,
            reader,
            live: Live::of_one(&connection, "/roles"),
            connection,
            progress: self.setting.progress,
            pace: self.setting.progress.and_then(|it| {
                pace((it.done, it.total), "people", now.duration_since(it.begun_at?))
            }),
            warnings: self.setting.idle.iter().map(ToString::to_string).collect(),
            roles,
            groups,
            has_more_groups,
            wanted,
            mapping: self.typed,
            seen: self.seen,
            is_too_long,
            preview: self.preview,
            wrong: self.wrong,
        })
    }
}
