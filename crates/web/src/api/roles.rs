//! Who gets which role in a directory: said, tried beforehand, and how far it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::scim::Preset;
use ::scim::admit::admit;
use ::scim::dialect::Quirks;
use axum::Json;
use axum::http::StatusCode;
use directory::{
    Document, EntryId, Granted, GroupId, Protection, Rejection, ResourceId, RoleMapping, Rule,
    SaveRoleMapping, Strategy,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{DirectoryStore, Error, PersonPreview, RolePreview, RoleSetting, UserRecord};
use utoipa::ToSchema;

use super::directories::open;
use super::{Input, Path, Tagged, Vendor, When, check_name};
use crate::problem::Problem;
use crate::scim::shortened;

/// People who are named in a preview: as many as a page shows.
const EXAMPLES_MAX: usize = 100;

/// Mistakes of a mapping that are said at once.
const FAULTS_SAID_MAX: usize = 20;

/// What becomes of several rules that are about the same person: they get the highest role by rank, or
/// all of them.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RoleStrategy)]
enum StrategyView {
    #[default]
    Highest,
    Union,
}

/// Who is meant, by one of `group` and `filter`, and what they get.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RoleRule)]
struct RuleView {
    /// The id of a group: who belongs to it, whatever it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    /// Of whom this filter of SCIM is true: `userType eq "Admin"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    filter: Option<String>,
    /// The id of a role of your app.
    role: String,
}

/// Somebody from whom provisioning takes nothing.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProtectedPerson)]
struct ProtectedView {
    /// The id of a user.
    user: String,
    /// The role that they have at least.
    #[serde(default)]
    role: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleMappingInput {
    #[serde(default)]
    strategy: StrategyView,
    #[serde(default)]
    rules: Vec<RuleView>,
    /// The role of those whom no rule is about.
    #[serde(default)]
    default_role: Option<String>,
    /// The id of a group that everybody in the directory belongs to.
    #[serde(default)]
    default_group: Option<String>,
    /// The same, for a group that is made for it, by its name.
    #[serde(default)]
    new_default_group: Option<String>,
    #[serde(default)]
    protected: Vec<ProtectedView>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RoleMapping)]
pub(super) struct RoleMappingView {
    /// One more with each change; 0 where nobody has said anything.
    version: u64,
    strategy: StrategyView,
    rules: Vec<RuleView>,
    default_role: Option<String>,
    default_group: Option<String>,
    protected: Vec<ProtectedView>,
    /// What of it gives nobody anything, because what it names is not there any more.
    warnings: Vec<String>,
    /// How far it is that everybody has the roles that they should have; null when everybody has.
    progress: Option<ProgressView>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RoleProgress)]
struct ProgressView {
    /// People who were looked at.
    done: u64,
    /// Of so many.
    total: u64,
    /// Since when.
    begun_at: Option<String>,
    /// Whether everybody is looked at once more after that, because something changed meanwhile.
    repeats: bool,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RolePreview)]
pub(super) struct PreviewView {
    /// How many people there are.
    people: u64,
    /// How many of them would have other roles.
    changed: u64,
    roles: Vec<RoleChangeView>,
    /// Some of those who would have other roles, 100 at most.
    examples: Vec<ExampleView>,
}

/// How many would gain a role and how many would lose it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RoleChange)]
struct RoleChangeView {
    role: String,
    gained: u64,
    lost: u64,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RolePreviewPerson)]
struct ExampleView {
    user: String,
    user_name: String,
    /// What they have.
    before: Vec<AssignedView>,
    /// What they would have.
    after: Vec<AssignedView>,
}

/// A role that somebody has, and why.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AssignedRole)]
pub(crate) struct AssignedView {
    pub(crate) id: String,
    /// In words: `because ana belongs to "Editors", rule 2`.
    pub(crate) reason: String,
    /// The number of the rule, from 1 on, where it comes from one.
    rule: Option<usize>,
}

/// `GET /directories/{directory}/role-mapping`.
pub(super) async fn get(
    vendor: Vendor,
    Path(directory): Path<String>,
) -> Result<Tagged<RoleMappingView>, Problem> {
    let store = open(&vendor, &directory).await?;
    Ok(store.roles().await?.into())
}

/// `PUT /directories/{directory}/role-mapping`. 409 where the name of the new group is taken.
pub(super) async fn put(
    vendor: Vendor,
    Path(directory): Path<String>,
    when: When,
    Input(input): Input<RoleMappingInput>,
) -> Result<Tagged<RoleMappingView>, Problem> {
    let store = open(&vendor, &directory).await?;
    let new = input.new_default_group.clone();
    if new.is_some() && input.default_group.is_some() {
        return Err(Problem::invalid(
            "there are both of `default_group` and `new_default_group`",
            "Say by one of them to which group everybody belongs",
        ));
    }
    let new_default_group = new.map(|name| group_named(&store, &name)).transpose()?;
    let mapping = input.mapping()?;
    let user_type = Arc::clone(store.types().user());
    let save = SaveRoleMapping { mapping, new_default_group, user_type };
    store.save_roles(when.guard(save)).await.map_err(refused)?;
    Ok(store.roles().await?.into())
}

/// `POST /directories/{directory}/role-mapping/preview`: changes nothing.
pub(super) async fn preview(
    vendor: Vendor,
    Path(directory): Path<String>,
    Input(input): Input<RoleMappingInput>,
) -> Result<Json<PreviewView>, Problem> {
    let store = open(&vendor, &directory).await?;
    let preview = store.preview_roles(input.mapping()?, EXAMPLES_MAX).await.map_err(refused)?;
    Ok(Json(preview.into()))
}

/// By which name their provider knows somebody.
pub(crate) fn user_name(user: &UserRecord) -> String {
    #[derive(Deserialize)]
    struct Named {
        #[serde(rename = "userName")]
        user_name: String,
    }
    let named = serde_json::from_str::<Named>(&user.text);
    named.expect("everybody who is kept has a name").user_name
}

/// The roles of somebody of this name, the highest first, with what groups are called.
pub(crate) fn assigned(
    roles: &[Granted],
    user_name: &str,
    groups: &BTreeMap<GroupId, String>,
) -> Vec<AssignedView> {
    let view = |it: &Granted| {
        let group = it.reason.group().and_then(|group| groups.get(&group)).map(String::as_str);
        AssignedView {
            id: it.role.to_string(),
            reason: it.reason.told_of(user_name, group).to_string(),
            rule: it.reason.rule(),
        }
    };
    roles.iter().map(view).collect()
}

/// A group that does not exist yet.
pub(crate) fn group_named(store: &DirectoryStore, name: &str) -> Result<Document, Problem> {
    let name = check_name("new_default_group", name)?;
    let body = json!({ "displayName": name });
    let admitted = admit(body, store.types().group(), Preset::Lenient, &mut Quirks::new());
    let admitted = admitted.map_err(|error| {
        Problem::invalid(error.detail(), "Have the provider push the group, and name its id")
    })?;
    Ok(Document::new(admitted.resource))
}

/// What is to be said where a mapping is refused.
pub(crate) fn refused(error: Error) -> Problem {
    match error {
        Error::Rejected(Rejection::WrongMapping(faults)) => {
            let more = faults.len().saturating_sub(FAULTS_SAID_MAX);
            let mut said: Vec<_> =
                faults.iter().take(FAULTS_SAID_MAX).map(ToString::to_string).collect();
            said.extend((more > 0).then(|| format!("and {more} more")));
            Problem::invalid(said.join(". "), "Nothing was changed. Mend it, and send it again")
        }
        Error::Rejected(Rejection::GroupNameTaken) => Problem::new(
            StatusCode::CONFLICT,
            "group-name-taken",
            "There is a group of this name",
            "`new_default_group` names a group that the directory has, in whatever case",
            "Name its id as `default_group`, or choose another name",
        ),
        Error::Rejected(Rejection::GroupsFull(limit)) => Problem::new(
            StatusCode::CONFLICT,
            "groups-full",
            "The directory has as many groups as it may",
            format!("it has {limit}, and `new_default_group` would be one more"),
            "Name the id of one of them as `default_group`",
        ),
        other => other.into(),
    }
}

impl RoleMappingInput {
    pub(crate) fn mapping(self) -> Result<RoleMapping, Problem> {
        let rules = (1..).zip(self.rules).map(|(number, rule)| rule.rule(number));
        let protected = self.protected.into_iter().map(|it| {
            Ok(Protection {
                user: resource("`protected`", &it.user)?,
                role: it.role.as_deref().map(|role| entry("`protected`", role)).transpose()?,
            })
        });
        let group = |it: &str| resource("`default_group`", it);
        Ok(RoleMapping {
            strategy: match self.strategy {
                StrategyView::Highest => Strategy::Highest,
                StrategyView::Union => Strategy::Union,
            },
            rules: rules.collect::<Result<_, Problem>>()?,
            default_role: self
                .default_role
                .as_deref()
                .map(|role| entry("`default_role`", role))
                .transpose()?,
            default_group: self.default_group.as_deref().map(group).transpose()?,
            protected: protected.collect::<Result<_, Problem>>()?,
        })
    }
}

impl RuleView {
    fn rule(self, number: usize) -> Result<Rule, Problem> {
        let place = format!("rule {number}");
        let when = match (self.group, self.filter) {
            (Some(group), None) => directory::When::Group(resource(&place, &group)?),
            (None, Some(filter)) => directory::When::Filter(filter),
            _ => {
                return Err(Problem::invalid(
                    format!("{place} has both of `group` and `filter`, or neither"),
                    "Say by one of them who is meant",
                ));
            }
        };
        Ok(Rule { when, role: entry(&place, &self.role)? })
    }
}

fn entry(place: &str, text: &str) -> Result<EntryId, Problem> {
    text.parse().map_err(|_| {
        Problem::invalid(
            format!("{place} names the role `{}`, which no role can be called", shortened(text)),
            "Name the id of a role of your app",
        )
    })
}

fn resource(place: &str, text: &str) -> Result<GroupId, Problem> {
    ResourceId::parse(text).ok_or_else(|| {
        Problem::invalid(
            format!("{place} names `{}`, which is the id of nothing", shortened(text)),
            "Name the id as it is listed",
        )
    })
}

impl From<RoleSetting> for Tagged<RoleMappingView> {
    fn from(setting: RoleSetting) -> Tagged<RoleMappingView> {
        Tagged { revision: setting.mapping.revision(), view: setting.into() }
    }
}

impl From<RoleSetting> for RoleMappingView {
    fn from(setting: RoleSetting) -> RoleMappingView {
        let RoleMapping { strategy, rules, default_role, default_group, protected } =
            setting.mapping.as_ref();
        let rule = |rule: &Rule| {
            let (group, filter) = match &rule.when {
                directory::When::Group(group) => (Some(group.to_string()), None),
                directory::When::Filter(filter) => (None, Some(filter.clone())),
            };
            RuleView { group, filter, role: rule.role.to_string() }
        };
        let person = |it: &Protection| ProtectedView {
            user: it.user.to_string(),
            role: it.role.as_ref().map(ToString::to_string),
        };
        RoleMappingView {
            version: setting.version,
            strategy: match strategy {
                Strategy::Highest => StrategyView::Highest,
                Strategy::Union => StrategyView::Union,
            },
            rules: rules.iter().map(rule).collect(),
            default_role: default_role.as_ref().map(ToString::to_string),
            default_group: default_group.as_ref().map(ToString::to_string),
            protected: protected.iter().map(person).collect(),
            warnings: setting.idle.iter().map(ToString::to_string).collect(),
            progress: setting.progress.map(|it| ProgressView {
                done: it.done,
                total: it.total,
                begun_at: it.begun_at.map(scim::datetime::print),
                repeats: it.is_to_be_repeated,
            }),
        }
    }
}

impl From<RolePreview> for PreviewView {
    fn from(preview: RolePreview) -> PreviewView {
        let roles = preview.roles.into_iter().map(|(role, changes)| RoleChangeView {
            role: role.to_string(),
            gained: changes.gained,
            lost: changes.lost,
        });
        let groups = &preview.groups;
        let example = |it: &PersonPreview| ExampleView {
            user: it.difference.user.to_string(),
            user_name: it.user_name.clone(),
            before: assigned(it.difference.before.granted(), &it.user_name, groups),
            after: assigned(it.difference.after.granted(), &it.user_name, groups),
        };
        PreviewView {
            people: preview.people,
            changed: preview.changed,
            roles: roles.collect(),
            examples: preview.examples.iter().map(example).collect(),
        }
    }
}
