//! People as they are kept.

use chrono::{DateTime, Utc};

use crate::id::{ProjectId, UserId};

use super::{Email, PlatformRole, ProjectRole};
use crate::precondition::Version;

/// A person who may sign in, or might once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its identifier.
    pub id: UserId,
    /// By which the person was allowed in.
    pub email: Email,
    /// The account that first signed in with that address; no other can after it.
    pub github_id: Option<i64>,
    /// That account's name, as of the last sign-in.
    pub login: Option<String>,
    /// On the platform.
    pub role: PlatformRole,
    /// Whether they may sign in.
    pub active: bool,
    /// When they were invited.
    pub created_at: DateTime<Utc>,
    /// When they last signed in.
    pub signed_in_at: Option<DateTime<Utc>>,
}

impl User {
    /// Of what admins change about somebody.
    pub fn version(&self) -> Version {
        let active = if self.active { "active" } else { "out" };
        Version::new(format!("{}-{active}", self.role.as_str()))
    }
}

/// A person in a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The project.
    pub project: ProjectId,
    /// The person.
    pub user: UserId,
    /// Their address.
    pub email: Email,
    /// Their name on GitHub, once they have signed in.
    pub login: Option<String>,
    /// What they are in it.
    pub role: ProjectRole,
}

impl Member {
    /// Of what they are in the project.
    pub fn version(&self) -> Version {
        Version::new(self.role.as_str())
    }
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<T> {
    /// It is so now; also if it was so before.
    Done(T),
    /// There is no such person or project.
    NotFound,
    /// There is exactly one owner: nobody else becomes it, and it stays what it is.
    OwnerStays,
    /// It isn't as it was seen: somebody has changed it meanwhile.
    Stale,
}

/// What became of the wish that somebody be the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerWish {
    /// There was none, now they are.
    Made,
    /// They have been.
    Already,
    /// Somebody else is, and stays it.
    SomebodyElse,
}
