//! Members of the vendor's team: invited by a link, signed in by password and code, or by the provider
//! of the team.
//!
//! Of a link, and of what a browser shows that is signed in, hashes are kept. A password is kept as
//! `web` has hashed it; what codes are made from has to be kept as it is, or they could not be checked.

use std::sync::Arc;

use directory::audit::{self, Action};
use directory::secret::{Secret, SecretHash};
use directory::{
    By, Cause, FailedSignIn, MEMBERS_MAX, Member, MemberId, MemberRole, MemberSession,
    MemberStanding, ProvedPerson, Recognised, Rejection, SESSIONS_MAX, SessionId, email_key,
};
use jiff::Timestamp;

use crate::Store;
use crate::access::{Access, ApiStore, Opener, USE_NOTED_EVERY, after};
use crate::administration::Administration;
use crate::audit::{Caller, Done, Origin};
use crate::error::Error;
use crate::feed;
use crate::session::{Engine, Row, Session, Value, count, finish};
use crate::writer::Act;

/// Members by what is asked of them.
macro_rules! members {
    ($rest:literal) => {
        concat!(
            "select m.member_id, m.email, m.name, m.role, m.invited_at, m.invited_until, \
             m.joined_at, m.last_seen_at, m.keeps_password, \
             case when m.oidc_subject is null then 0 else 1 end ",
            $rest
        )
    };
}

/// What is kept of members.
#[derive(Clone, Debug)]
pub(crate) enum MemberAct {
    /// Says whether they are kept: the first is not, where somebody has joined.
    Invite {
        member: Member,
        hash: SecretHash,
        is_first: bool,
    },
    /// Says whether there is such a member: everything by which they signed in is gone then, and they
    /// choose it again by an invitation.
    Reset {
        id: MemberId,
        hash: SecretHash,
        until: Timestamp,
    },
    /// Says whether they have joined: not, where the invitation is not good any more.
    Join(SecretHash, Joining, NewSession),
    /// Says whether they are signed in: not, where the code was used before.
    SignIn {
        id: MemberId,
        /// The time for which the code was made, counted in its steps.
        step: u64,
        session: NewSession,
    },
    /// Says whether they are signed in, or have joined: not, where they are another's account, or not
    /// there any more.
    Enter {
        id: MemberId,
        /// What they are called from then on, where they join.
        joins_as: Option<String>,
        person: ProvedPerson,
        session: NewSession,
    },
    /// Somebody becomes a member whom nobody has invited.
    Admit {
        member: Member,
        person: ProvedPerson,
        session: NewSession,
    },
    /// Says whether it is so now: not, where this member has not signed in by the provider themselves,
    /// and would lock everybody out with them.
    RequireProvider(bool, MemberId),
    Seen(SessionId, MemberId, Timestamp),
    EndSession(MemberId, SessionId),
    /// Says whether it is so now: not, where the code was used before. Whoever is signed in as this member
    /// elsewhere is signed out: it may be whom the member is afraid of.
    ChangeSignIn {
        id: MemberId,
        here: SessionId,
        /// The time for which the code was made that they have shown, counted in its steps.
        step: u64,
        change: NewSignIn,
    },
    Remove(MemberId),
    /// Gives a member another role.
    SetRole(MemberId, MemberRole),
}

/// What somebody says who joins.
#[derive(Clone)]
pub struct Joining {
    /// Where they are reached, where the invitation does not say.
    pub email: String,
    /// What they are called.
    pub name: String,
    /// Their password, hashed.
    pub password_hash: String,
    /// What their codes are made from.
    pub code_secret: String,
    /// The time for which the code was made that they have shown, counted in its steps.
    pub code_step: u64,
}

/// What a member signs in with from now on.
#[derive(Clone)]
pub enum NewSignIn {
    /// Another password, hashed.
    Password(String),
    /// Another app that shows codes.
    Codes {
        /// What they are made from.
        secret: String,
        /// The time for which the code was made that it has shown, counted in its steps.
        step: u64,
    },
}

impl std::fmt::Debug for NewSignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NewSignIn")
    }
}

impl std::fmt::Debug for Joining {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Joining")
    }
}

/// A browser in which somebody signs in.
#[derive(Clone, Debug)]
pub struct NewSession {
    pub(crate) id: SessionId,
    pub(crate) hash: SecretHash,
    pub(crate) browser: String,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

/// What is needed to see whether somebody is who they say.
#[derive(Clone)]
pub struct MemberSignIn {
    /// Who.
    pub id: MemberId,
    /// What they are called.
    pub name: String,
    /// Their password, hashed.
    pub password_hash: String,
    /// What their codes are made from.
    pub code_secret: String,
    /// For which time the last code was made that was good.
    pub code_step: u64,
    /// Whether a password is not enough, because members have to sign in by the provider.
    pub needs_provider: bool,
}

impl std::fmt::Debug for MemberSignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemberSignIn").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why somebody is not signed in whom the provider has proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotLetIn {
    /// Nobody has invited them.
    Stranger,
    /// They are a member, or invited, and yet are not let in.
    Member(FailedSignIn),
    /// They would be one more member than there may be.
    TeamFull,
}

/// Why somebody has not joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotJoined {
    /// The invitation is not good (any more).
    NoInvitation,
    /// Another member has the address.
    EmailTaken,
}

impl Store {
    /// Invites the first member, an owner, as long as nobody has joined. Says whether they are: an
    /// invitation of before is good for nothing then.
    pub async fn invite_first_member(&self, invitation: &Secret) -> Result<bool, Error> {
        let api = self.api();
        let member = api.new_member(None, MemberRole::Owner)?;
        let (hash, is_first) = (invitation.hash(), true);
        let invite = MemberAct::Invite { member, hash, is_first };
        Ok(api.administer(Administration::Member(invite)).await? == 1)
    }

    /// Invites somebody from where the server runs: also when nobody can sign in any more. They can
    /// sign in with a password whatever is said of others.
    pub async fn invite_member(
        &self,
        email: String,
        role: MemberRole,
        invitation: &Secret,
    ) -> Result<Member, Error> {
        let api = self.api();
        let member = Member { keeps_password: true, ..api.new_member(Some(email), role)? };
        let (hash, is_first) = (invitation.hash(), false);
        let invite = MemberAct::Invite { member: member.clone(), hash, is_first };
        api.administer(Administration::Member(invite)).await?;
        Ok(member)
    }

    /// Lets a member in again who is locked out: they are signed out, password, code and account are
    /// forgotten at once, and the invitation lets them choose again. What they are and may do stays.
    /// Whoever is invited gets another invitation. `None` where nobody has the address.
    pub async fn reset_member(
        &self,
        email: &str,
        invitation: &Secret,
    ) -> Result<Option<Member>, Error> {
        let api = self.api();
        let members = api.members().await?;
        let key = Some(email_key(email));
        let found = members.into_iter().find(|it| it.email.as_deref().map(email_key) == key);
        let Some(member) = found else { return Ok(None) };
        let until = after(self.inner.environment.clock.now(), Member::INVITATION)?;
        let reset = MemberAct::Reset { id: member.id, hash: invitation.hash(), until };
        let is_reset = api.administer(Administration::Member(reset)).await? == 1;
        Ok(is_reset.then_some(Member { invited_until: Some(until), ..member }))
    }
}

impl Access {
    /// Who is invited by this link; `None` where nobody is (any more).
    pub async fn invited(&self, presented: &SecretHash) -> Result<Option<Member>, Error> {
        let (hash, now) = (presented.clone(), self.now());
        let read = move |session: &mut Session| {
            finish(session.first(
                "looking for an invitation",
                members!("from members m where m.invitation_hash = $1 and m.invited_until > $2"),
                &[Value::Text(hash.as_str()), Value::Time(now)],
                member,
            ))
        };
        self.inner().readers.read_credential(read).await
    }

    /// Somebody joins who was invited by this link, and is signed in.
    pub async fn join(
        &self,
        invitation: &SecretHash,
        invited: MemberId,
        joining: Joining,
        session: &Secret,
        browser: &str,
        origin: Origin,
    ) -> Result<Result<(), NotJoined>, Error> {
        let session = self.new_session(session, browser)?;
        let caller = origin.caller(By::Member(invited), Some(&joining.name));
        let join = MemberAct::Join(invitation.clone(), joining, session);
        match self.administer_member(join, caller).await {
            Ok(0) => Ok(Err(NotJoined::NoInvitation)),
            Ok(_) => Ok(Ok(())),
            Err(Error::Rejected(Rejection::EmailTaken)) => Ok(Err(NotJoined::EmailTaken)),
            Err(error) => Err(error),
        }
    }

    /// Who signs in with this address.
    pub async fn who_signs_in(&self, email: &str) -> Result<Option<MemberSignIn>, Error> {
        let key = email_key(email);
        let read = move |session: &mut Session| {
            finish(session.first(
                "looking who signs in",
                "select member_id, name, coalesce(password_hash, ''), coalesce(code_secret, ''),
                        code_step,
                        case when keeps_password = 0
                                  and exists (select 1 from team where provider_required = 1)
                             then 1 else 0 end
                 from members where email_key = $1 and joined_at is not null",
                &[Value::Text(&key)],
                |row| {
                    Ok(MemberSignIn {
                        id: row.parsed(0)?,
                        name: row.text(1)?,
                        password_hash: row.text(2)?,
                        code_secret: row.text(3)?,
                        code_step: row.number(4)?,
                        needs_provider: row.integer(5)? != 0,
                    })
                },
            ))
        };
        self.inner().readers.read_credential(read).await
    }

    /// Signs somebody in who has shown password and code. Says whether they are: a code is good once.
    pub async fn sign_in(
        &self,
        who: &MemberSignIn,
        step: u64,
        session: &Secret,
        browser: &str,
        origin: Origin,
    ) -> Result<bool, Error> {
        let session = self.new_session(session, browser)?;
        let caller = origin.caller(By::Member(who.id), Some(&who.name));
        let sign_in = MemberAct::SignIn { id: who.id, step, session };
        Ok(self.administer_member(sign_in, caller).await? == 1)
    }

    /// Signs somebody in whom the provider of the team has proved: a member, or whoever is invited by
    /// that address; with `joins_as`, also whom nobody has invited.
    pub async fn sign_in_proved(
        &self,
        person: ProvedPerson,
        joins_as: Option<MemberRole>,
        session: &Secret,
        browser: &str,
        origin: Origin,
    ) -> Result<Result<(), NotLetIn>, Error> {
        let session = self.new_session(session, browser)?;
        let (name, email) = (person.name.clone(), person.email.clone());
        let (act, caller) = match (self.who_is(&person).await?, joins_as, email) {
            (Some((id, its_name, standing)), ..) => {
                let joins_as = match person.recognise(&standing, self.now()) {
                    Ok(Recognised::SignsIn) => None,
                    Ok(Recognised::Joins) => Some(name.unwrap_or_default()),
                    Err(why) => {
                        self.note_failed_sign_in(id, why, origin);
                        return Ok(Err(NotLetIn::Member(why)));
                    }
                };
                let caller = origin.caller(By::Member(id), joins_as.as_deref().or(Some(&its_name)));
                (MemberAct::Enter { id, joins_as, person, session }, caller)
            }
            (None, Some(role), Some(email)) => {
                let joined_at = Some(session.created_at);
                let invited =
                    ApiStore::opened_by(self, Opener::Operator).new_member(Some(email), role)?;
                let name = name.unwrap_or_default();
                let caller = origin.caller(By::Member(invited.id), Some(&name));
                let (invited_until, last_seen_at) = (None, joined_at);
                let member = Member { name, invited_until, joined_at, last_seen_at, ..invited };
                (MemberAct::Admit { member, person, session }, caller)
            }
            (None, ..) => return Ok(Err(NotLetIn::Stranger)),
        };
        match self.administer_member(act, caller).await {
            Ok(1) => Ok(Ok(())),
            // Somebody was quicker, and changed who they are to us.
            Ok(_) | Err(Error::Rejected(Rejection::EmailTaken)) => Ok(Err(NotLetIn::Stranger)),
            Err(Error::Rejected(Rejection::TeamFull(_))) => Ok(Err(NotLetIn::TeamFull)),
            Err(error) => Err(error),
        }
    }

    /// The member who has the account; otherwise the one with the address.
    async fn who_is(
        &self,
        person: &ProvedPerson,
    ) -> Result<Option<(MemberId, String, MemberStanding)>, Error> {
        let (issuer, subject) = (person.issuer.clone(), person.subject.clone());
        let key = person.email.as_deref().map(email_key);
        let read = move |session: &mut Session| {
            finish(session.first(
                "looking who signs in",
                "select member_id, name, oidc_issuer, oidc_subject, joined_at, invited_until
                 from members
                 where (oidc_issuer = $1 and oidc_subject = $2) or email_key = $3
                 order by case when oidc_issuer = $1 and oidc_subject = $2 then 0 else 1 end
                 limit 1",
                &[Value::Text(&issuer), Value::Text(&subject), Value::OptionalText(key.as_deref())],
                |row| {
                    let standing = MemberStanding {
                        account: row.optional_text(2)?.zip(row.optional_text(3)?),
                        has_joined: row.optional_time(4)?.is_some(),
                        invited_until: row.optional_time(5)?,
                    };
                    Ok((row.parsed(0)?, row.text(1)?, standing))
                },
            ))
        };
        self.inner().readers.read_credential(read).await
    }

    /// Whether members have to sign in by the provider of the team.
    pub async fn is_provider_required(&self) -> Result<bool, Error> {
        let read = |session: &mut Session| {
            let sql = "select 1 from team where provider_required = 1";
            finish(session.first("looking how members sign in", sql, &[], |_| Ok(())))
        };
        Ok(self.inner().readers.read_credential(read).await?.is_some())
    }

    /// Notes that somebody was not signed in as this member. Who it was, nobody knows. Nobody waits for
    /// it either: how long an answer takes would say whether there is such a member.
    pub fn note_failed_sign_in(&self, id: MemberId, why: FailedSignIn, origin: Origin) {
        let entry = Box::new(audit::of_failed_sign_in(id, why));
        self.inner().writer.act_sometime(Act::Note(entry, origin.caller(By::Server, None)));
    }

    /// Opens the dashboard for a browser in which somebody is signed in.
    pub async fn dashboard(&self, presented: &SecretHash) -> Result<Option<ApiStore>, Error> {
        let (hash, now) = (presented.clone(), self.now());
        let read = move |session: &mut Session| {
            finish(session.first(
                "looking who is signed in",
                members!(
                    ", s.session_id, s.last_used_at
                     from member_sessions s join members m on m.member_id = s.member_id
                     where s.hash = $1 and s.expires_at > $2"
                ),
                &[Value::Text(hash.as_str()), Value::Time(now)],
                |row| Ok((member(row)?, row.parsed::<SessionId>(10)?, row.time(11)?)),
            ))
        };
        let found = self.inner().readers.read_credential(read).await?;
        let Some((member, session, last_used_at)) = found else { return Ok(None) };
        if now.duration_since(last_used_at) >= USE_NOTED_EVERY {
            let seen = Administration::Member(MemberAct::Seen(session, member.id, now));
            self.inner().writer.act_sometime(Act::Administer(seen, Cause::server().into()));
        }
        Ok(Some(ApiStore::opened_by(self, Opener::Member(Arc::new(member), session))))
    }

    fn new_session(&self, secret: &Secret, browser: &str) -> Result<NewSession, Error> {
        let created_at = crate::to_the_microsecond(self.now());
        Ok(NewSession {
            id: SessionId::new(self.inner().environment.ids.as_ref()),
            hash: secret.hash(),
            browser: browser
                .chars()
                .filter(|it| !it.is_control())
                .take(MemberSession::BROWSER_MAX)
                .collect(),
            created_at,
            expires_at: after(created_at, MemberSession::LIFETIME)?,
        })
    }

    async fn administer_member(&self, act: MemberAct, caller: Caller) -> Result<u64, Error> {
        let act = Act::Administer(Administration::Member(act), caller);
        self.inner().writer.act(act).await
    }
}

impl ApiStore {
    /// Who is signed in, and in which session.
    pub fn member(&self) -> Option<(&Member, SessionId)> {
        match self.opener() {
            Opener::Member(member, session) => Some((member, *session)),
            _ => None,
        }
    }

    fn new_member(&self, email: Option<String>, role: MemberRole) -> Result<Member, Error> {
        let invited_at = self.now();
        Ok(Member {
            id: MemberId::new(self.inner().environment.ids.as_ref()),
            email,
            name: String::new(),
            role,
            invited_at,
            invited_until: Some(after(invited_at, Member::INVITATION)?),
            joined_at: None,
            last_seen_at: None,
            is_at_provider: false,
            keeps_password: false,
        })
    }

    /// Changes what the member signs in with who is signed in, and has shown password and code. Says whether
    /// it is so: a code is good once. In other browsers they are signed out.
    pub async fn change_sign_in(&self, step: u64, change: NewSignIn) -> Result<bool, Error> {
        let Some((member, here)) = self.member() else { return Ok(false) };
        let change = MemberAct::ChangeSignIn { id: member.id, here, step, change };
        Ok(self.administer(Administration::Member(change)).await? == 1)
    }

    /// Invites somebody. The secret of the link is not kept.
    pub async fn invite_member(
        &self,
        email: String,
        role: MemberRole,
        invitation: &Secret,
    ) -> Result<Member, Error> {
        let member = self.new_member(Some(email), role)?;
        let hash = invitation.hash();
        let invite = MemberAct::Invite { member: member.clone(), hash, is_first: false };
        self.administer(Administration::Member(invite)).await?;
        Ok(member)
    }

    /// Everybody, also those who are invited, in the order of their invitation.
    pub async fn members(&self) -> Result<Vec<Member>, Error> {
        let read = |session: &mut Session| {
            finish(session.all(
                "loading members",
                members!("from members m order by m.member_id"),
                &[],
                member,
            ))
        };
        self.inner().readers.read(read).await
    }

    /// Says whether members have to sign in by the provider of the team; says whether that is so now. It
    /// is not, where whoever says it has never signed in by the provider themselves. Where it is, all
    /// others are signed out.
    pub async fn require_provider(&self, required: bool) -> Result<bool, Error> {
        let Some((member, _)) = self.member() else { return Ok(false) };
        let require = MemberAct::RequireProvider(required, member.id);
        Ok(self.administer(Administration::Member(require)).await? == 1)
    }

    /// Takes somebody out of the team: they are signed out at once.
    pub async fn remove_member(&self, id: MemberId) -> Result<(), Error> {
        self.administer(Administration::Member(MemberAct::Remove(id))).await.map(drop)
    }

    /// Gives a member another role. Of what they have open, the next page knows it.
    pub async fn set_member_role(&self, id: MemberId, role: MemberRole) -> Result<(), Error> {
        self.administer(Administration::Member(MemberAct::SetRole(id, role))).await.map(drop)
    }

    /// In which browsers a member is signed in, the latest first.
    pub async fn member_sessions(&self, id: MemberId) -> Result<Vec<MemberSession>, Error> {
        let now = self.now();
        let read = move |session: &mut Session| {
            finish(session.all(
                "loading sessions",
                "select session_id, member_id, browser, created_at, last_used_at, expires_at
                 from member_sessions where member_id = $1 and expires_at > $2
                 order by session_id desc",
                &[Value::Text(&id.to_string()), Value::Time(now)],
                |row| {
                    Ok(MemberSession {
                        id: row.parsed(0)?,
                        member_id: row.parsed(1)?,
                        browser: row.text(2)?,
                        created_at: row.time(3)?,
                        last_used_at: row.time(4)?,
                        expires_at: row.time(5)?,
                    })
                },
            ))
        };
        self.inner().readers.read(read).await
    }

    /// Ends a session of a member; one that has ended stays so.
    pub async fn end_member_session(
        &self,
        member: MemberId,
        session: SessionId,
    ) -> Result<(), Error> {
        let end = MemberAct::EndSession(member, session);
        self.administer(Administration::Member(end)).await.map(drop)
    }
}

impl MemberAct {
    pub(crate) async fn keep(
        &self,
        session: &mut Session,
    ) -> Result<Result<Done, Rejection>, Error> {
        if session.engine() == Engine::Postgres
            && matches!(
                self,
                MemberAct::Invite { .. }
                    | MemberAct::Join(..)
                    | MemberAct::Remove(_)
                    | MemberAct::Reset { .. }
                    | MemberAct::Enter { .. }
                    | MemberAct::Admit { .. }
                    | MemberAct::RequireProvider(..)
                    | MemberAct::SetRole(..)
                    | MemberAct::ChangeSignIn { .. }
            )
        {
            // What is looked for stays so: the feed has one row, and whoever holds it is alone.
            feed::lock(session).await?;
        }
        match self {
            MemberAct::Invite { member, hash, is_first } => {
                invite(session, member, hash, *is_first).await
            }
            MemberAct::Reset { id, hash, until } => reset(session, *id, hash, *until).await,
            MemberAct::Join(invitation, joining, new) => {
                join(session, invitation, joining, new).await
            }
            MemberAct::Enter { id, joins_as, person, session: new } => {
                enter(session, *id, joins_as.as_deref(), person, new).await
            }
            MemberAct::Admit { member, person, session: new } => {
                admit(session, member, person, new).await
            }
            MemberAct::RequireProvider(required, by) => {
                require_provider(session, *required, *by).await
            }
            MemberAct::SignIn { id, step, session: new } => {
                let sql = "update members set code_step = $2, last_seen_at = $3
                           where member_id = $1 and joined_at is not null and code_step < $2";
                let values =
                    [Value::Text(&id.to_string()), count(*step), Value::Time(new.created_at)];
                if session.run("using a code", sql, &values).await? == 0 {
                    return Ok(Ok(Done::bookkeeping(0)));
                }
                begin_session(session, *id, new).await?;
                Ok(Ok(Done::told(1, audit::of_session(Action::MemberSignedIn, *id, new.id))))
            }
            MemberAct::Seen(id, member, at) => {
                let sql = "update member_sessions set last_used_at = $2
                           where session_id = $1 and last_used_at <= $3";
                let earlier = Value::Time(*at - USE_NOTED_EVERY);
                let values = [Value::Text(&id.to_string()), Value::Time(*at), earlier];
                if session.run("noting the use of a session", sql, &values).await? == 0 {
                    return Ok(Ok(Done::bookkeeping(0)));
                }
                let sql = "update members set last_seen_at = $2 where member_id = $1";
                let values = [Value::Text(&member.to_string()), Value::Time(*at)];
                session.run("noting that a member was seen", sql, &values).await?;
                Ok(Ok(Done::bookkeeping(0)))
            }
            MemberAct::EndSession(member, id) => {
                let sql = "delete from member_sessions where member_id = $1 and session_id = $2";
                let values = [Value::Text(&member.to_string()), Value::Text(&id.to_string())];
                let ended = session.run("ending a session", sql, &values).await? as u64;
                let entry = audit::of_session(Action::MemberSignedOut, *member, *id);
                Ok(Ok(Done::told_if_any(ended, entry)))
            }
            MemberAct::ChangeSignIn { id, here, step, change } => {
                change_sign_in(session, *id, *here, *step, change).await
            }
            MemberAct::Remove(id) => remove(session, *id).await,
            MemberAct::SetRole(id, role) => set_role(session, *id, *role).await,
        }
    }
}

async fn is_email_taken(
    session: &mut Session,
    email: &str,
    besides: MemberId,
) -> Result<bool, Error> {
    let found = session
        .first(
            "looking for an address",
            "select 1 from members where email_key = $1 and member_id <> $2",
            &[Value::Text(&email_key(email)), Value::Text(&besides.to_string())],
            |_| Ok(()),
        )
        .await?;
    Ok(found.is_some())
}

async fn invite(
    session: &mut Session,
    member: &Member,
    hash: &SecretHash,
    is_first: bool,
) -> Result<Result<Done, Rejection>, Error> {
    if is_first {
        let sql = "select 1 from members where joined_at is not null limit 1";
        if session.first("looking for members", sql, &[], |_| Ok(())).await?.is_some() {
            return Ok(Ok(Done::bookkeeping(0)));
        }
        let sql = "delete from members where email is null";
        session.run("forgetting invitations", sql, &[]).await?;
    }
    if let Some(rejection) = has_no_room(session, member).await? {
        return Ok(Err(rejection));
    }
    let key = member.email.as_deref().map(email_key);
    let until = member.invited_until.map_or(0, Timestamp::as_microsecond);
    session
        .run(
            "inviting a member",
            "insert into members
             (member_id, email, email_key, name, role, invited_at, invited_until, invitation_hash,
              keeps_password)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            &[
                Value::Text(&member.id.to_string()),
                Value::OptionalText(member.email.as_deref()),
                Value::OptionalText(key.as_deref()),
                Value::Text(&member.name),
                Value::Text(member.role.as_str()),
                Value::Time(member.invited_at),
                Value::Integer(until),
                Value::Text(hash.as_str()),
                Value::Integer((is_first || member.keeps_password).into()),
            ],
        )
        .await?;
    let entry = audit::of_member(Action::MemberInvited, member.id, member.role);
    Ok(Ok(Done::told(1, entry)))
}

async fn has_no_room(session: &mut Session, member: &Member) -> Result<Option<Rejection>, Error> {
    let sql = "select count(*) from members";
    let members = session.first("counting members", sql, &[], |row| row.number(0)).await?;
    if let Some(MEMBERS_MAX..) = members {
        return Ok(Some(Rejection::TeamFull(MEMBERS_MAX)));
    }
    let is_taken = match &member.email {
        Some(email) => is_email_taken(session, email, member.id).await?,
        None => false,
    };
    Ok(is_taken.then_some(Rejection::EmailTaken))
}

async fn reset(
    session: &mut Session,
    id: MemberId,
    hash: &SecretHash,
    until: Timestamp,
) -> Result<Result<Done, Rejection>, Error> {
    let text = id.to_string();
    let found = session
        .all(
            "letting a member choose again how they sign in",
            "update members
             set password_hash = '', code_secret = '', code_step = 0, oidc_issuer = null,
                 oidc_subject = null, keeps_password = 1, invitation_hash = $2, invited_until = $3
             where member_id = $1
             returning role",
            &[Value::Text(&text), Value::Text(hash.as_str()), Value::Time(until)],
            |row| row.parsed::<MemberRole>(0),
        )
        .await?;
    let Some(role) = found.first() else { return Ok(Ok(Done::bookkeeping(0))) };
    let sql = "delete from member_sessions where member_id = $1";
    session.run("signing a member out", sql, &[Value::Text(&text)]).await?;
    Ok(Ok(Done::told(1, audit::of_member(Action::MemberReset, id, *role))))
}

/// Whether another member has the account: they were quicker.
async fn is_account_taken(
    session: &mut Session,
    person: &ProvedPerson,
    besides: MemberId,
) -> Result<bool, Error> {
    let found = session
        .first(
            "looking for an account",
            "select 1 from members
             where oidc_issuer = $1 and oidc_subject = $2 and member_id <> $3",
            &[
                Value::Text(&person.issuer),
                Value::Text(&person.subject),
                Value::Text(&besides.to_string()),
            ],
            |_| Ok(()),
        )
        .await?;
    Ok(found.is_some())
}

async fn enter(
    session: &mut Session,
    id: MemberId,
    joins_as: Option<&str>,
    person: &ProvedPerson,
    new: &NewSession,
) -> Result<Result<Done, Rejection>, Error> {
    if is_account_taken(session, person, id).await? {
        return Ok(Ok(Done::bookkeeping(0)));
    }
    // Whoever joins without a password has an empty one, which is nobody's: programs that know of no
    // other way to sign in find one there.
    let sql = match joins_as {
        None => {
            "update members
             set oidc_issuer = $2, oidc_subject = $3, last_seen_at = $4, name = coalesce($5, name),
                 invitation_hash = null, invited_until = null
             where member_id = $1 and joined_at is not null
                 and (oidc_subject is null or oidc_subject = $3 or oidc_issuer <> $2)
             returning role"
        }
        Some(_) => {
            "update members
             set oidc_issuer = $2, oidc_subject = $3, last_seen_at = $4, joined_at = $4, name = $5,
                 password_hash = '', code_secret = '',
                 invitation_hash = null, invited_until = null
             where member_id = $1 and joined_at is null and invited_until > $4
             returning role"
        }
    };
    let values = [
        Value::Text(&id.to_string()),
        Value::Text(&person.issuer),
        Value::Text(&person.subject),
        Value::Time(new.created_at),
        Value::OptionalText(joins_as),
    ];
    let read = |row: &Row<'_>| row.parsed::<MemberRole>(0);
    let found = session.all("signing in by the provider", sql, &values, read).await?;
    let Some(role) = found.first() else { return Ok(Ok(Done::bookkeeping(0))) };
    begin_session(session, id, new).await?;
    let entry = match joins_as {
        None => audit::of_proved_session(id, new.id),
        Some(_) => audit::of_member(Action::MemberJoined, id, *role),
    };
    Ok(Ok(Done::told(1, entry)))
}

async fn admit(
    session: &mut Session,
    member: &Member,
    person: &ProvedPerson,
    new: &NewSession,
) -> Result<Result<Done, Rejection>, Error> {
    if let Some(rejection) = has_no_room(session, member).await? {
        return Ok(Err(rejection));
    }
    if is_account_taken(session, person, member.id).await? {
        return Ok(Ok(Done::bookkeeping(0)));
    }
    let key = member.email.as_deref().map(email_key);
    session
        .run(
            "keeping who has joined",
            "insert into members
             (member_id, email, email_key, name, role, invited_at, joined_at, last_seen_at,
              password_hash, code_secret, oidc_issuer, oidc_subject)
             values ($1, $2, $3, $4, $5, $6, $6, $6, '', '', $7, $8)",
            &[
                Value::Text(&member.id.to_string()),
                Value::OptionalText(member.email.as_deref()),
                Value::OptionalText(key.as_deref()),
                Value::Text(&member.name),
                Value::Text(member.role.as_str()),
                Value::Time(new.created_at),
                Value::Text(&person.issuer),
                Value::Text(&person.subject),
            ],
        )
        .await?;
    begin_session(session, member.id, new).await?;
    Ok(Ok(Done::told(1, audit::of_member(Action::MemberJoined, member.id, member.role))))
}

async fn change_sign_in(
    session: &mut Session,
    id: MemberId,
    here: SessionId,
    step: u64,
    change: &NewSignIn,
) -> Result<Result<Done, Rejection>, Error> {
    // The session may have ended, or the code been used, since it was looked at.
    macro_rules! changing {
        ($what:literal) => {
            concat!(
                "update members set ",
                $what,
                " where member_id = $1 and code_step < $2 and exists (
                     select 1 from member_sessions s
                     where s.session_id = $3 and s.member_id = members.member_id)"
            )
        };
    }
    let (id_text, here) = (id.to_string(), here.to_string());
    let who = [Value::Text(&id_text), count(step), Value::Text(&here)];
    let (what, changed) = match change {
        NewSignIn::Password(hash) => {
            let sql = changing!("password_hash = $4, code_step = $2");
            let [id, step, here] = who;
            let values = [id, step, here, Value::Text(hash)];
            ("password", session.run("changing a password", sql, &values).await?)
        }
        NewSignIn::Codes { secret, step: shown } => {
            let sql = changing!("code_secret = $4, code_step = $5");
            let [id, step, here] = who;
            let values = [id, step, here, Value::Text(secret), count(*shown)];
            ("codes", session.run("changing what codes are made from", sql, &values).await?)
        }
    };
    if changed == 0 {
        return Ok(Ok(Done::bookkeeping(0)));
    }
    let sql = "delete from member_sessions where member_id = $1 and session_id <> $2";
    let values = [Value::Text(&id_text), Value::Text(&here)];
    session.run("signing a member out elsewhere", sql, &values).await?;
    Ok(Ok(Done::told(1, audit::of_changed_sign_in(id, what))))
}

async fn require_provider(
    session: &mut Session,
    required: bool,
    by: MemberId,
) -> Result<Result<Done, Rejection>, Error> {
    let by = by.to_string();
    if required {
        let sql = "select 1 from members where member_id = $1 and oidc_subject is not null";
        let by = [Value::Text(&by)];
        if session.first("looking for an account", sql, &by, |_| Ok(())).await?.is_none() {
            return Ok(Ok(Done::bookkeeping(0)));
        }
    }
    let sql = "insert into team (one, provider_required) values (1, $1)
               on conflict (one) do update set provider_required = excluded.provider_required
               where team.provider_required <> excluded.provider_required";
    let changed =
        session.run("saying how members sign in", sql, &[Value::Integer(required.into())]).await?;
    if changed == 0 {
        return Ok(Ok(Done::bookkeeping(1)));
    }
    if required {
        let sql = "delete from member_sessions where member_id <> $1";
        session.run("signing others out", sql, &[Value::Text(&by)]).await?;
    }
    Ok(Ok(Done::told(1, audit::of_team(required))))
}

async fn join(
    session: &mut Session,
    invitation: &SecretHash,
    joining: &Joining,
    new: &NewSession,
) -> Result<Result<Done, Rejection>, Error> {
    let invited = session
        .first(
            "looking for an invitation",
            members!("from members m where m.invitation_hash = $1 and m.invited_until > $2"),
            &[Value::Text(invitation.as_str()), Value::Time(new.created_at)],
            member,
        )
        .await?;
    let Some(invited) = invited else { return Ok(Ok(Done::bookkeeping(0))) };
    let email = invited.email.as_ref().unwrap_or(&joining.email);
    if is_email_taken(session, email, invited.id).await? {
        return Ok(Err(Rejection::EmailTaken));
    }
    session
        .run(
            "keeping who has joined",
            "update members
             set email = $2, email_key = $3, name = $4, joined_at = $5, last_seen_at = $5,
                 password_hash = $6, code_secret = $7, code_step = $8,
                 invitation_hash = null, invited_until = null
             where member_id = $1",
            &[
                Value::Text(&invited.id.to_string()),
                Value::Text(email),
                Value::Text(&email_key(email)),
                Value::Text(&joining.name),
                Value::Time(new.created_at),
                Value::Text(&joining.password_hash),
                Value::Text(&joining.code_secret),
                count(joining.code_step),
            ],
        )
        .await?;
    begin_session(session, invited.id, new).await?;
    let entry = audit::of_member(Action::MemberJoined, invited.id, invited.role);
    Ok(Ok(Done::told(1, entry)))
}

async fn begin_session(
    session: &mut Session,
    member: MemberId,
    new: &NewSession,
) -> Result<(), Error> {
    let member = member.to_string();
    session
        .run(
            "keeping a session",
            "insert into member_sessions
             (session_id, member_id, hash, browser, created_at, last_used_at, expires_at)
             values ($1, $2, $3, $4, $5, $5, $6)",
            &[
                Value::Text(&new.id.to_string()),
                Value::Text(&member),
                Value::Text(new.hash.as_str()),
                Value::Text(&new.browser),
                Value::Time(new.created_at),
                Value::Time(new.expires_at),
            ],
        )
        .await?;
    session
        .run(
            "ending old sessions",
            "delete from member_sessions where member_id = $1 and (expires_at <= $2
             or session_id not in (select session_id from member_sessions where member_id = $1
                                   order by session_id desc limit $3))",
            &[Value::Text(&member), Value::Time(new.created_at), count(SESSIONS_MAX)],
        )
        .await
        .map(drop)
}

async fn remove(session: &mut Session, id: MemberId) -> Result<Result<Done, Rejection>, Error> {
    let text = id.to_string();
    let sql = "select role, joined_at,
                      (select count(*) from members
                       where role = 'owner' and joined_at is not null and member_id <> $1)
               from members where member_id = $1";
    let read =
        |row: &Row<'_>| Ok((row.parsed::<MemberRole>(0)?, row.optional_time(1)?, row.number(2)?));
    let found = session.first("looking for a member", sql, &[Value::Text(&text)], read).await?;
    let role = match found {
        None => return Ok(Err(Rejection::UnknownMember(id))),
        Some((MemberRole::Owner, Some(_), 0)) => return Ok(Err(Rejection::LastOwner)),
        Some((role, ..)) => role,
    };
    for sql in [
        "delete from member_sessions where member_id = $1",
        "delete from members where member_id = $1",
    ] {
        session.run("removing a member", sql, &[Value::Text(&text)]).await?;
    }
    Ok(Ok(Done::told(1, audit::of_member(Action::MemberRemoved, id, role))))
}

async fn set_role(
    session: &mut Session,
    id: MemberId,
    role: MemberRole,
) -> Result<Result<Done, Rejection>, Error> {
    let text = id.to_string();
    let sql = "select role, joined_at,
                      (select count(*) from members
                       where role = 'owner' and joined_at is not null and member_id <> $1)
               from members where member_id = $1";
    let read =
        |row: &Row<'_>| Ok((row.parsed::<MemberRole>(0)?, row.optional_time(1)?, row.number(2)?));
    let found = session.first("looking for a member", sql, &[Value::Text(&text)], read).await?;
    let before = match found {
        None => return Ok(Err(Rejection::UnknownMember(id))),
        Some((before, ..)) if before == role => return Ok(Ok(Done::bookkeeping(0))),
        Some((MemberRole::Owner, Some(_), 0)) => return Ok(Err(Rejection::LastOwner)),
        Some((before, ..)) => before,
    };
    let values = [Value::Text(&text), Value::Text(role.as_str())];
    let sql = "update members set role = $2 where member_id = $1";
    session.run("changing what a member may do", sql, &values).await?;
    Ok(Ok(Done::told(1, audit::of_member_role(id, before, role))))
}

/// Lets sessions go that have ended; says how many.
pub(crate) async fn tidy_up(
    session: &mut Session,
    now: Timestamp,
    count_max: u64,
) -> Result<u64, Error> {
    let sql = "delete from member_sessions where session_id in
               (select session_id from member_sessions where expires_at <= $1 limit $2)";
    let values = [Value::Time(now), count(count_max)];
    Ok(session.run("forgetting sessions", sql, &values).await? as u64)
}

fn member(row: &Row<'_>) -> Result<Member, Error> {
    Ok(Member {
        id: row.parsed(0)?,
        email: row.optional_text(1)?,
        name: row.text(2)?,
        role: row.parsed(3)?,
        invited_at: row.time(4)?,
        invited_until: row.optional_time(5)?,
        joined_at: row.optional_time(6)?,
        last_seen_at: row.optional_time(7)?,
        keeps_password: row.integer(8)? != 0,
        is_at_provider: row.integer(9)? != 0,
    })
}
