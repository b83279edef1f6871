//! Members of groups.
//!
//! A group may have 500,000 members, so they are not part of the group's [`Resource`]: a write
//! that names three of them says so as [`MemberOperation`]s, which are carried out against rows.
//!
//! [`Resource`]: crate::resource::Resource

/// One member, as a client names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The id of a user or a group.
    pub value: String,
    /// What the client says that it is. Most say nothing; who keeps the rows knows better.
    pub kind: Option<MemberKind>,
    /// The name that the client sent with it, kept as sent.
    pub display: Option<String>,
}

/// What a member is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MemberKind {
    /// A person.
    #[default]
    User,
    /// A group inside a group.
    Group,
}

impl MemberKind {
    /// As `type` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            MemberKind::User => "User",
            MemberKind::Group => "Group",
        }
    }
}

/// One change of a group's members, in the order of the request.
#[derive(Clone, Debug, PartialEq)]
pub enum MemberOperation {
    /// These belong to the group afterwards; those who did already are left as they are.
    Add(Vec<Member>),
    /// These, by id, do not belong to the group afterwards; those who did not are no error
    /// (RFC 7644 §3.5.2.2: removing what is absent succeeds).
    Remove(Vec<String>),
    /// Exactly these belong to the group afterwards.
    Replace(Vec<Member>),
    /// Nobody belongs to the group afterwards.
    RemoveAll,
}
