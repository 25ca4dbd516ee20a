//! [`UserDesk`], [`MemberDesk`] and [`OwnAccess`] in memory.

use async_trait::async_trait;
use chrono::TimeDelta;
use domain::access::{
    ApiToken, Change, Email, Member, NewApiToken, PlatformRole, ProjectRole, Session, User,
};
use domain::flow::FlowActor;
use domain::id::{ProjectId, SessionId, TokenId, UserId};
use domain::port::PortError;
use domain::port::access::{MemberDesk, OwnAccess, UserDesk};
use domain::{Precondition, Version};
use serde_json::{Value, json};

use super::{FakeAccess, TokenRow, change};

#[async_trait]
impl UserDesk for FakeAccess {
    async fn invite(&self, email: &Email, by: &FlowActor) -> Result<User, PortError> {
        let mut state = self.lock();
        if let Some(user) = state.users.values().find(|user| user.email == *email) {
            return Ok(user.clone());
        }
        let id = state.invite(email, PlatformRole::None);
        let data = change(&Value::Null, &json!({ "email": email.as_str(), "role": "none" }));
        state.note(id, "access.user_invited", by, data);
        Ok(state.users[&id].clone())
    }

    async fn list(&self, after: Option<UserId>, limit: i64) -> Result<Vec<User>, PortError> {
        let state = self.lock();
        let later = state
            .users
            .values()
            .filter(|user| after.is_none_or(|after| user.id > after));
        Ok(later.take(usize::try_from(limit).unwrap_or(0)).cloned().collect())
    }

    async fn get(&self, id: UserId) -> Result<Option<User>, PortError> {
        Ok(self.lock().users.get(&id).cloned())
    }

    async fn set_role(
        &self,
        id: UserId,
        role: PlatformRole,
        seen: &Precondition,
        by: &FlowActor,
    ) -> Result<Change<User>, PortError> {
        let mut state = self.lock();
        let Some(user) = state.users.get_mut(&id) else {
            return Ok(Change::NotFound);
        };
        if !seen.holds(Some(&user.version())) {
            return Ok(Change::Stale);
        }
        let before = user.role;
        if before == role {
            return Ok(Change::Done(user.clone()));
        }
        if before == PlatformRole::Owner || role == PlatformRole::Owner {
            return Ok(Change::OwnerStays);
        }
        user.role = role;
        let after = user.clone();
        let data = change(
            &json!({ "role": before.as_str() }),
            &json!({ "role": role.as_str() }),
        );
        state.note(id, "access.role_changed", by, data);
        Ok(Change::Done(after))
    }

    async fn set_active(
        &self,
        id: UserId,
        active: bool,
        seen: &Precondition,
        by: &FlowActor,
    ) -> Result<Change<User>, PortError> {
        let mut state = self.lock();
        let Some(user) = state.users.get_mut(&id) else {
            return Ok(Change::NotFound);
        };
        if !seen.holds(Some(&user.version())) {
            return Ok(Change::Stale);
        }
        let before = user.active;
        if before == active {
            return Ok(Change::Done(user.clone()));
        }
        if user.role == PlatformRole::Owner {
            return Ok(Change::OwnerStays);
        }
        user.active = active;
        let after = user.clone();
        let (ended, revoked) = if active {
            (0, 0)
        } else {
            (state.end_all(id), state.revoke_all(id))
        };
        let mut data = change(&json!({ "active": before }), &json!({ "active": active }));
        data["sessions_ended"] = ended.into();
        data["tokens_revoked"] = revoked.into();
        let kind = if active {
            "access.user_activated"
        } else {
            "access.user_deactivated"
        };
        state.note(id, kind, by, data);
        Ok(Change::Done(after))
    }

    async fn hand_over(&self, to: UserId, by: &FlowActor) -> Result<Change<User>, PortError> {
        let mut state = self.lock();
        let owner = state.users.values().find(|user| user.role == PlatformRole::Owner);
        let owner = owner.map(|user| user.id);
        let Some(user) = state.users.get(&to).cloned() else {
            return Ok(Change::NotFound);
        };
        if owner == Some(to) {
            return Ok(Change::Done(user));
        }
        let (Some(owner), true, Some(_)) = (owner, user.active, user.github_id) else {
            return Ok(Change::OwnerStays);
        };
        for (id, role) in [(owner, PlatformRole::Admin), (to, PlatformRole::Owner)] {
            if let Some(user) = state.users.get_mut(&id) {
                user.role = role;
            }
        }
        let data = change(&json!({ "owner": owner }), &json!({ "owner": to }));
        state.note(to, "access.owner_handed_over", by, data);
        Ok(Change::Done(state.users[&to].clone()))
    }

    async fn sign_out_everywhere(&self, id: UserId, by: &FlowActor) -> Result<i64, PortError> {
        let mut state = self.lock();
        let ended = state.end_all(id);
        if ended > 0 {
            let data = json!({ "sessions_ended": ended });
            state.note(id, "access.signed_out_everywhere", by, data);
        }
        Ok(ended)
    }
}

fn in_project(project: ProjectId, role: Option<ProjectRole>) -> Value {
    json!({ "project": project, "role": role.map(ProjectRole::as_str) })
}

#[async_trait]
impl MemberDesk for FakeAccess {
    async fn project(&self, slug: &str) -> Result<Option<ProjectId>, PortError> {
        Ok(self.lock().projects.get(slug).copied())
    }

    async fn person(&self, email: &Email) -> Result<Option<UserId>, PortError> {
        let state = self.lock();
        let found = state.users.values().find(|user| user.email == *email);
        Ok(found.map(|user| user.id))
    }

    async fn list(&self, project: ProjectId) -> Result<Vec<Member>, PortError> {
        let state = self.lock();
        let of_project = state
            .members
            .iter()
            .filter(|((_, in_project), _)| *in_project == project);
        let mut members: Vec<Member> = of_project
            .filter_map(|((user, _), role)| {
                let person = state.users.get(user)?;
                Some(Member {
                    project,
                    user: *user,
                    email: person.email.clone(),
                    login: person.login.clone(),
                    role: *role,
                })
            })
            .collect();
        members.sort_by(|a, b| a.email.cmp(&b.email));
        Ok(members)
    }

    async fn set(
        &self,
        project: ProjectId,
        user: UserId,
        role: ProjectRole,
        seen: &Precondition,
        by: &FlowActor,
    ) -> Result<Change<Member>, PortError> {
        let mut state = self.lock();
        let known = state.projects.values().any(|known| *known == project);
        let Some(person) = state.users.get(&user).filter(|_| known).cloned() else {
            return Ok(Change::NotFound);
        };
        let present = state.members.get(&(user, project)).copied();
        if !seen.holds(present.map(|role| Version::new(role.as_str())).as_ref()) {
            return Ok(Change::Stale);
        }
        let before = state.members.insert((user, project), role);
        if before != Some(role) {
            let data = change(&in_project(project, before), &in_project(project, Some(role)));
            state.note(user, "access.member_set", by, data);
        }
        Ok(Change::Done(Member {
            project,
            user,
            email: person.email,
            login: person.login,
            role,
        }))
    }

    async fn remove(
        &self,
        project: ProjectId,
        user: UserId,
        seen: &Precondition,
        by: &FlowActor,
    ) -> Result<Change<()>, PortError> {
        let mut state = self.lock();
        let known = state.projects.values().any(|known| *known == project);
        if !known || !state.users.contains_key(&user) {
            return Ok(Change::NotFound);
        }
        let present = state.members.get(&(user, project)).copied();
        if !seen.holds(present.map(|role| Version::new(role.as_str())).as_ref()) {
            return Ok(Change::Stale);
        }
        if let Some(before) = state.members.remove(&(user, project)) {
            let data = change(&in_project(project, Some(before)), &in_project(project, None));
            state.note(user, "access.member_removed", by, data);
        }
        Ok(Change::Done(()))
    }
}

#[async_trait]
impl OwnAccess for FakeAccess {
    async fn sessions(&self, user: UserId) -> Result<Vec<Session>, PortError> {
        let state = self.lock();
        let newest_first = state.sessions.values().rev();
        let theirs = newest_first.filter(|row| row.user == user && state.is_open(row));
        Ok(theirs.map(|row| row.session.clone()).collect())
    }

    async fn end_session(&self, user: UserId, id: SessionId, by: &FlowActor) -> Result<bool, PortError> {
        let mut state = self.lock();
        let row = state.sessions.get_mut(&id);
        let Some(row) = row.filter(|row| row.user == user && !row.ended) else {
            return Ok(false);
        };
        row.ended = true;
        state.note(user, "access.signed_out", by, json!({ "session": id }));
        Ok(true)
    }

    async fn tokens(&self, user: UserId) -> Result<Vec<ApiToken>, PortError> {
        let state = self.lock();
        let now = state.now();
        let theirs = state
            .tokens
            .values()
            .filter(|row| row.user == user && !row.revoked && row.token.expires_at > now);
        let mut tokens: Vec<ApiToken> = theirs.map(|row| row.token.clone()).collect();
        tokens.sort_by_key(|token| std::cmp::Reverse(token.id));
        Ok(tokens)
    }

    async fn create_token(
        &self,
        user: UserId,
        token: NewApiToken,
        by: &FlowActor,
    ) -> Result<ApiToken, PortError> {
        let mut state = self.lock();
        let now = state.now();
        let made = ApiToken {
            id: TokenId(state.next_id()),
            name: token.name,
            scopes: token.scopes,
            created_at: now,
            expires_at: now + TimeDelta::days(i64::from(token.days)),
            last_used_at: None,
        };
        let row = TokenRow {
            token: made.clone(),
            user,
            revoked: false,
        };
        state.tokens.insert(token.digest, row);
        let scopes: Vec<&str> = made.scopes.iter().map(|scope| scope.as_str()).collect();
        let after =
            json!({ "token": made.id, "name": made.name, "scopes": scopes, "expires_at": made.expires_at });
        state.note(user, "access.token_created", by, change(&Value::Null, &after));
        Ok(made)
    }

    async fn revoke_token(&self, user: UserId, id: TokenId, by: &FlowActor) -> Result<bool, PortError> {
        let mut state = self.lock();
        let now = state.now();
        let mut rows = state.tokens.values_mut();
        let found = rows
            .find(|row| row.token.id == id && row.user == user && !row.revoked && row.token.expires_at > now);
        let Some(row) = found else { return Ok(false) };
        row.revoked = true;
        let scopes: Vec<&str> = row.token.scopes.iter().map(|scope| scope.as_str()).collect();
        let before = json!({ "token": id, "name": row.token.name, "scopes": scopes });
        state.note(user, "access.token_revoked", by, change(&before, &Value::Null));
        Ok(true)
    }
}
