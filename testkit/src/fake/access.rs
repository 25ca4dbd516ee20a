//! The ports of access in memory: people, sessions, members, tokens and signing keys, with a clock that the test
//! moves.

mod desks;
mod devices;
mod provider;
mod sign_ins;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use domain::access::{
    ApiToken, DeviceSignIn, Digest, Email, NewSigningKey, PlatformRole, ProjectRole, Session, User, UserCode,
};
use domain::flow::FlowActor;
use domain::id::{ProjectId, SessionId, TokenId, UserId};
use serde_json::{Value, json};

pub use provider::FakeIdentityProvider;

/// What a change left in the audit: whom it is about, its kind, who made it, before and after.
pub type Audited = (UserId, &'static str, FlowActor, Value);

#[derive(Debug)]
struct SessionRow {
    session: Session,
    user: UserId,
    ended: bool,
}

#[derive(Debug)]
struct Refresh {
    session: SessionId,
    expires_at: DateTime<Utc>,
    used: bool,
}

#[derive(Debug)]
struct TokenRow {
    token: ApiToken,
    user: UserId,
    revoked: bool,
}

#[derive(Debug)]
struct KeyRow {
    key: NewSigningKey,
    created_at: DateTime<Utc>,
    signs_from: DateTime<Utc>,
    retires_at: Option<DateTime<Utc>>,
}

#[derive(Debug)]
struct DeviceRow {
    code: UserCode,
    sign_in: DeviceSignIn,
    decided: Option<(UserId, bool)>,
}

impl DeviceRow {
    fn is_open(&self, now: DateTime<Utc>) -> bool {
        self.decided.is_none() && self.sign_in.expires_at > now
    }
}

#[derive(Debug, Default)]
struct State {
    /// How far the test has moved the clock.
    moved: TimeDelta,
    last_id: i64,
    projects: BTreeMap<String, ProjectId>,
    users: BTreeMap<UserId, User>,
    members: BTreeMap<(UserId, ProjectId), ProjectRole>,
    sessions: BTreeMap<SessionId, SessionRow>,
    refresh: BTreeMap<Digest, Refresh>,
    tokens: BTreeMap<Digest, TokenRow>,
    devices: BTreeMap<Digest, DeviceRow>,
    keys: Vec<KeyRow>,
    audit: Vec<Audited>,
}

impl State {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + self.moved
    }

    fn next_id(&mut self) -> i64 {
        self.last_id += 1;
        self.last_id
    }

    fn note(&mut self, user: UserId, kind: &'static str, by: &FlowActor, data: Value) {
        self.audit.push((user, kind, by.clone(), data));
    }

    fn is_open(&self, session: &SessionRow) -> bool {
        !session.ended && session.session.expires_at > self.now()
    }

    fn is_active(&self, user: UserId) -> bool {
        self.users.get(&user).is_some_and(|user| user.active)
    }

    fn end_all(&mut self, user: UserId) -> i64 {
        let now = self.now();
        let theirs = self.sessions.values_mut();
        let open = theirs.filter(|s| s.user == user && !s.ended && s.session.expires_at > now);
        open.map(|session| session.ended = true).count() as i64
    }

    fn revoke_all(&mut self, user: UserId) -> i64 {
        let now = self.now();
        let theirs = self.tokens.values_mut();
        let good = theirs.filter(|row| row.user == user && !row.revoked && row.token.expires_at > now);
        good.map(|row| row.revoked = true).count() as i64
    }

    fn invite(&mut self, email: &Email, role: PlatformRole) -> UserId {
        let id = UserId(self.next_id());
        let user = User {
            id,
            email: email.clone(),
            github_id: None,
            login: None,
            role,
            active: true,
            created_at: self.now(),
            signed_in_at: None,
        };
        self.users.insert(id, user);
        id
    }
}

/// Before and after, as in the audit.
fn change(before: &Value, after: &Value) -> Value {
    json!({ "before": before, "after": after })
}

/// Access in memory.
#[derive(Debug, Default)]
pub struct FakeAccess {
    state: Mutex<State>,
}

impl FakeAccess {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A project to be a member of.
    pub fn add_project(&self, slug: &str) -> ProjectId {
        let mut state = self.lock();
        let id = ProjectId(state.next_id());
        state.projects.insert(slug.to_owned(), id);
        id
    }

    /// Makes a person with a role and an open session, which ends after a day.
    ///
    /// # Panics
    /// If that is no e-mail address.
    #[expect(clippy::expect_used, reason = "a test's own address")]
    pub fn add_signed_in(&self, email: &str, role: PlatformRole) -> (UserId, SessionId) {
        let email = email.parse().expect("an e-mail address");
        let mut state = self.lock();
        let user = state.invite(&email, role);
        let id = SessionId(state.next_id());
        let now = state.now();
        let session = Session {
            id,
            user_agent: None,
            created_at: now,
            refreshed_at: now,
            expires_at: now + TimeDelta::days(1),
        };
        let row = SessionRow {
            session,
            user,
            ended: false,
        };
        state.sessions.insert(id, row);
        (user, id)
    }

    /// Makes a person a member of a project, without a word in the audit.
    pub fn add_member(&self, user: UserId, project: ProjectId, role: ProjectRole) {
        self.lock().members.insert((user, project), role);
    }

    /// The database's time.
    pub fn now(&self) -> DateTime<Utc> {
        self.lock().now()
    }

    /// Lets time pass.
    pub fn advance(&self, time: TimeDelta) {
        self.lock().moved += time;
    }

    /// What was changed, in order.
    pub fn audit(&self) -> Vec<Audited> {
        self.lock().audit.clone()
    }

    /// The next free identifier of a token, for tests that name one that isn't there.
    pub fn unknown_token(&self) -> TokenId {
        TokenId(self.lock().last_id + 1_000)
    }
}
