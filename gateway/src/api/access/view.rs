//! People, members, sessions and tokens as the API shows them.

use chrono::{DateTime, Utc};
use domain::access;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::precondition::Versioned;

/// A role on the platform.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PlatformRole {
    /// Only what projects give.
    None,
    /// Users, all projects, settings.
    Admin,
    /// Everything; exactly one person, who can't be removed.
    Owner,
}

impl From<PlatformRole> for access::PlatformRole {
    fn from(role: PlatformRole) -> Self {
        match role {
            PlatformRole::None => Self::None,
            PlatformRole::Admin => Self::Admin,
            PlatformRole::Owner => Self::Owner,
        }
    }
}

impl From<access::PlatformRole> for PlatformRole {
    fn from(role: access::PlatformRole) -> Self {
        match role {
            access::PlatformRole::None => Self::None,
            access::PlatformRole::Admin => Self::Admin,
            access::PlatformRole::Owner => Self::Owner,
        }
    }
}

/// A role in a project; a higher one includes the lower.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ProjectRole {
    /// Sees.
    Read,
    /// Triggers, cancels and retries.
    ReadWrite,
    /// Members, repositories, tokens, settings.
    Admin,
}

impl From<ProjectRole> for access::ProjectRole {
    fn from(role: ProjectRole) -> Self {
        match role {
            ProjectRole::Read => Self::Read,
            ProjectRole::ReadWrite => Self::ReadWrite,
            ProjectRole::Admin => Self::Admin,
        }
    }
}

impl From<access::ProjectRole> for ProjectRole {
    fn from(role: access::ProjectRole) -> Self {
        match role {
            access::ProjectRole::Read => Self::Read,
            access::ProjectRole::ReadWrite => Self::ReadWrite,
            access::ProjectRole::Admin => Self::Admin,
        }
    }
}

/// What a personal token may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Scope {
    /// See.
    Read,
    /// Trigger, cancel, retry.
    Write,
    /// Members, users, settings.
    Admin,
}

impl From<Scope> for access::Scope {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Read => Self::Read,
            Scope::Write => Self::Write,
            Scope::Admin => Self::Admin,
        }
    }
}

impl From<access::Scope> for Scope {
    fn from(scope: access::Scope) -> Self {
        match scope {
            access::Scope::Read => Self::Read,
            access::Scope::Write => Self::Write,
            access::Scope::Admin => Self::Admin,
        }
    }
}

/// A person who may sign in, or might once.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct User {
    /// Its identifier.
    id: i64,
    /// By which the person was invited.
    email: String,
    /// Their name on GitHub, once they have signed in.
    login: Option<String>,
    /// On the platform.
    role: PlatformRole,
    /// Whether they may sign in.
    active: bool,
    /// When they were invited.
    created_at: DateTime<Utc>,
    /// When they last signed in.
    signed_in_at: Option<DateTime<Utc>>,
    /// Of the role and whether they may sign in; hand it in with a change of these.
    version: String,
}

impl Versioned for User {
    fn version(&self) -> &str {
        &self.version
    }
}

impl From<access::User> for User {
    fn from(user: access::User) -> Self {
        Self {
            version: user.version().to_string(),
            id: user.id.0,
            email: user.email.to_string(),
            login: user.login,
            role: user.role.into(),
            active: user.active,
            created_at: user.created_at,
            signed_in_at: user.signed_in_at,
        }
    }
}

/// A person in a project.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Member {
    /// The person.
    user_id: i64,
    /// Their address.
    email: String,
    /// Their name on GitHub, once they have signed in.
    login: Option<String>,
    /// What they are in the project.
    role: ProjectRole,
    /// Of the role; hand it in with a change.
    version: String,
}

impl Versioned for Member {
    fn version(&self) -> &str {
        &self.version
    }
}

impl From<access::Member> for Member {
    fn from(member: access::Member) -> Self {
        Self {
            version: member.version().to_string(),
            user_id: member.user.0,
            email: member.email.to_string(),
            login: member.login,
            role: member.role.into(),
        }
    }
}

/// A session of one's own.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Session {
    /// Its identifier.
    id: i64,
    /// What the browser said it is.
    user_agent: Option<String>,
    /// Whether it is the one that asks.
    current: bool,
    /// When it began.
    created_at: DateTime<Utc>,
    /// When it was last refreshed.
    refreshed_at: DateTime<Utc>,
    /// When it ends in any case.
    expires_at: DateTime<Utc>,
}

impl Session {
    pub(crate) fn new(session: access::Session, via: &access::Via) -> Self {
        Self {
            id: session.id.0,
            user_agent: session.user_agent,
            current: *via == access::Via::Session(session.id),
            created_at: session.created_at,
            refreshed_at: session.refreshed_at,
            expires_at: session.expires_at,
        }
    }
}

/// A personal token of one's own; the token itself is shown once, when it is made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Token {
    /// Its identifier.
    id: i64,
    /// What it is for.
    name: String,
    /// What it may be used for.
    scopes: Vec<Scope>,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it ends.
    expires_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    last_used_at: Option<DateTime<Utc>>,
}

impl From<access::ApiToken> for Token {
    fn from(token: access::ApiToken) -> Self {
        Self {
            id: token.id.0,
            name: token.name,
            scopes: token.scopes.into_iter().map(Into::into).collect(),
            created_at: token.created_at,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
        }
    }
}
