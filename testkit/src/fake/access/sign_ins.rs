//! [`SignIns`], [`Principals`] and [`SigningKeys`] in memory.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use domain::access::{
    Digest, Email, NewSignIn, NewSigningKey, OwnerWish, PlatformRole, Principal, Refreshed, Session,
    SessionTimes, SignedIn, SigningKey, Via,
};
use domain::flow::FlowActor;
use domain::id::{SessionId, UserId};
use domain::port::PortError;
use domain::port::access::{Principals, SignIns, SigningKeys};
use serde_json::{Value, json};

use super::{FakeAccess, KeyRow, Refresh, SessionRow, State, change};

impl State {
    fn hand_out(
        &mut self,
        session: SessionId,
        user: UserId,
        digest: Digest,
        times: SessionTimes,
    ) -> Option<SignedIn> {
        let now = self.now();
        let whole = self.sessions.get(&session)?.session.expires_at;
        let expires_at = whole.min(now + TimeDelta::seconds(times.idle_s));
        let row = Refresh {
            session,
            expires_at,
            used: false,
        };
        self.refresh.insert(digest, row);
        Some(SignedIn {
            session,
            user,
            expires_at,
            now,
        })
    }

    fn principal(&self, user: UserId, via: Via) -> Option<Principal> {
        let person = self.users.get(&user).filter(|person| person.active)?;
        let memberships = self.members.iter().filter(|((member, _), _)| *member == user);
        Some(Principal {
            user: Some(user),
            name: person.email.to_string(),
            role: person.role,
            memberships: memberships
                .map(|((_, project), role)| (*project, *role))
                .collect(),
            via,
        })
    }
}

#[async_trait]
impl SignIns for FakeAccess {
    async fn ensure_owner(&self, email: &Email) -> Result<OwnerWish, PortError> {
        let mut state = self.lock();
        if let Some(owner) = state.users.values().find(|user| user.role == PlatformRole::Owner) {
            return Ok(if owner.email == *email {
                OwnerWish::Already
            } else {
                OwnerWish::SomebodyElse
            });
        }
        let known = state.users.values_mut().find(|user| user.email == *email);
        let (id, before) = if let Some(user) = known {
            let before = json!({ "role": user.role.as_str() });
            (user.role, user.active) = (PlatformRole::Owner, true);
            (user.id, before)
        } else {
            (state.invite(email, PlatformRole::Owner), Value::Null)
        };
        let data = change(&before, &json!({ "role": "owner" }));
        state.note(id, "access.owner_set", &FlowActor::System, data);
        Ok(OwnerWish::Made)
    }

    async fn sign_in(&self, wish: NewSignIn) -> Result<Option<SignedIn>, PortError> {
        let mut state = self.lock();
        let (identity, now) = (&wish.identity, state.now());
        let users = state.users.values();
        let bound = users
            .clone()
            .find(|user| user.github_id == Some(identity.github_id));
        let invited = || {
            users
                .clone()
                .filter(|user| user.github_id.is_none() && identity.verified_emails.contains(&user.email))
                .max_by_key(|user| (user.role == PlatformRole::Owner, std::cmp::Reverse(user.id)))
        };
        let Some(id) = bound
            .or_else(invited)
            .filter(|user| user.active)
            .map(|user| user.id)
        else {
            return Ok(None);
        };
        let Some(user) = state.users.get_mut(&id) else {
            return Ok(None);
        };
        let by = FlowActor::Human(user.email.to_string());
        let new = user.github_id.replace(identity.github_id).is_none();
        user.login = Some(identity.login.clone());
        user.signed_in_at = Some(now);
        if new {
            let data = change(
                &json!({ "github_id": null }),
                &json!({ "github_id": identity.github_id }),
            );
            state.note(id, "access.github_bound", &by, data);
        }
        let session = SessionId(state.next_id());
        let row = Session {
            id: session,
            user_agent: wish.user_agent.clone(),
            created_at: now,
            refreshed_at: now,
            expires_at: now + TimeDelta::seconds(wish.times.whole_s),
        };
        let row = SessionRow {
            session: row,
            user: id,
            ended: false,
        };
        state.sessions.insert(session, row);
        let data = json!({ "session": session, "login": identity.login });
        state.note(id, "access.signed_in", &by, data);
        Ok(state.hand_out(session, id, wish.refresh, wish.times))
    }

    async fn refresh(&self, old: Digest, new: Digest, times: SessionTimes) -> Result<Refreshed, PortError> {
        let mut state = self.lock();
        let now = state.now();
        let Some(token) = state.refresh.get(&old) else {
            return Ok(Refreshed::Refused);
        };
        let (session, is_used, lasts) = (token.session, token.used, token.expires_at > now);
        let open = state.sessions.get(&session);
        let open = open.filter(|row| state.is_open(row) && state.is_active(row.user));
        let Some(user) = open.map(|row| row.user) else {
            return Ok(Refreshed::Refused);
        };
        if is_used {
            if let Some(row) = state.sessions.get_mut(&session) {
                row.ended = true;
            }
            let data = json!({ "session": session });
            state.note(user, "access.refresh_token_reused", &FlowActor::System, data);
            return Ok(Refreshed::Reused);
        }
        if !lasts {
            return Ok(Refreshed::Refused);
        }
        if let Some(token) = state.refresh.get_mut(&old) {
            token.used = true;
        }
        if let Some(row) = state.sessions.get_mut(&session) {
            row.session.refreshed_at = now;
        }
        let handed_out = state.hand_out(session, user, new, times);
        Ok(handed_out.map_or(Refreshed::Refused, Refreshed::Good))
    }

    async fn sign_out(&self, refresh: Digest) -> Result<(), PortError> {
        let mut state = self.lock();
        let session = state.refresh.get(&refresh).map(|token| token.session);
        let open = session
            .and_then(|id| state.sessions.get_mut(&id))
            .filter(|row| !row.ended);
        if let Some(row) = open {
            row.ended = true;
            let (user, id) = (row.user, row.session.id);
            let email = state.users.get(&user).map(|user| user.email.to_string());
            let by = FlowActor::Human(email.unwrap_or_default());
            state.note(user, "access.signed_out", &by, json!({ "session": id }));
        }
        Ok(())
    }
}

#[async_trait]
impl Principals for FakeAccess {
    async fn by_session(
        &self,
        session: SessionId,
        token_expires_at: DateTime<Utc>,
    ) -> Result<Option<Principal>, PortError> {
        let state = self.lock();
        let row = state.sessions.get(&session).filter(|row| state.is_open(row));
        let row = row.filter(|_| token_expires_at > state.now());
        Ok(row.and_then(|row| state.principal(row.user, Via::Session(session))))
    }

    async fn by_token(&self, token: Digest) -> Result<Option<Principal>, PortError> {
        let mut state = self.lock();
        let now = state.now();
        let row = state.tokens.get_mut(&token);
        let Some(row) = row.filter(|row| !row.revoked && row.token.expires_at > now) else {
            return Ok(None);
        };
        row.token.last_used_at = Some(now);
        let via = Via::Token {
            id: row.token.id,
            scopes: row.token.scopes.clone(),
        };
        let user = row.user;
        Ok(state.principal(user, via))
    }

    async fn standing(&self, known: &[Via]) -> Result<Vec<Option<Principal>>, PortError> {
        let state = self.lock();
        let now = state.now();
        let standing = known.iter().map(|via| match via {
            Via::Development => Some(Principal::development()),
            Via::Session(id) => {
                let row = state.sessions.get(id).filter(|row| state.is_open(row))?;
                state.principal(row.user, via.clone())
            }
            Via::Token { id, .. } => {
                let row = state.tokens.values().find(|row| row.token.id == *id)?;
                let via = Via::Token {
                    id: *id,
                    scopes: row.token.scopes.clone(),
                };
                let stands = !row.revoked && row.token.expires_at > now;
                stands.then(|| state.principal(row.user, via)).flatten()
            }
        });
        Ok(standing.collect())
    }
}

#[async_trait]
impl SigningKeys for FakeAccess {
    async fn list(&self) -> Result<Vec<SigningKey>, PortError> {
        let state = self.lock();
        let now = state.now();
        // The newest first, also of those that were added at the same time.
        let newest_first = state.keys.iter().rev();
        let lasting = newest_first.filter(|row| row.retires_at.is_none_or(|end| end > now));
        let mut rows: Vec<&KeyRow> = lasting.collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.signs_from <= now, row.signs_from)));
        let keys = rows.into_iter().map(|row| SigningKey {
            key: row.key.clone(),
            signs: row.signs_from <= now,
        });
        Ok(keys.collect())
    }

    async fn add(&self, key: NewSigningKey, rotate_after_s: i64, overlap_s: i64) -> Result<bool, PortError> {
        let mut state = self.lock();
        let now = state.now();
        let fresh = now - TimeDelta::seconds(rotate_after_s);
        if state.keys.iter().any(|row| row.created_at > fresh) {
            return Ok(false);
        }
        let overlap = TimeDelta::seconds(overlap_s);
        let signs_from = if state.keys.is_empty() { now } else { now + overlap };
        for row in state.keys.iter_mut().filter(|row| row.retires_at.is_none()) {
            row.retires_at = Some(signs_from + overlap);
        }
        let row = KeyRow {
            key,
            created_at: now,
            signs_from,
            retires_at: None,
        };
        state.keys.push(row);
        Ok(true)
    }
}
