//! Projects and their repositories.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{ProjectId, RepositoryId};

/// `owner/name` of a repository, as the forge writes it. Comparison is the forge's: without case.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryName {
    owner: String,
    name: String,
}

/// The text isn't `owner/name` of characters that GitHub allows.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a repository is named `owner/name`, letters, digits, `-`, `_` and `.` only")]
pub struct InvalidRepositoryName;

impl RepositoryName {
    /// The account or organisation.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The name under its owner.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for RepositoryName {
    type Err = InvalidRepositoryName;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let allowed = |part: &str| {
            !matches!(part, "" | "." | "..")
                && part.len() <= 100
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        match s.split_once('/') {
            Some((owner, name)) if allowed(owner) && allowed(name) => Ok(Self {
                owner: owner.to_owned(),
                name: name.to_owned(),
            }),
            _ => Err(InvalidRepositoryName),
        }
    }
}

impl TryFrom<String> for RepositoryName {
    type Error = InvalidRepositoryName;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RepositoryName> for String {
    fn from(name: RepositoryName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

impl PartialEq for RepositoryName {
    fn eq(&self, other: &Self) -> bool {
        self.owner.eq_ignore_ascii_case(&other.owner) && self.name.eq_ignore_ascii_case(&other.name)
    }
}

impl Eq for RepositoryName {}

/// A project: slots and settings for its repositories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// Its identifier.
    pub id: ProjectId,
    /// Short name, `[a-z0-9-]`, used in namespaces.
    pub slug: String,
    /// How many of its runs may prepare or run at once.
    pub slots: i32,
}

/// A repository that belongs to a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// Its identifier with us.
    pub id: RepositoryId,
    /// The project that it belongs to.
    pub project: Project,
    /// Its name on the forge.
    pub name: RepositoryName,
}

/// What the forge lets a person do with a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Nothing.
    None,
    /// Look only.
    Read,
    /// Manage issues, not code.
    Triage,
    /// Push: may start runs.
    Write,
    /// Push and manage.
    Maintain,
    /// Everything.
    Admin,
}

impl Permission {
    /// Whether this is enough to start a run.
    pub fn may_start_runs(self) -> bool {
        self >= Self::Write
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let name: RepositoryName = "Codertocat/Hello-World".parse().unwrap();
        assert_eq!((name.owner(), name.name()), ("Codertocat", "Hello-World"));
        assert_eq!(name, "codertocat/hello-world".parse().unwrap());
        for bad in ["", "a", "/b", "a/", "a/b/c", "a/..", "a b/c"] {
            assert_eq!(
                bad.parse::<RepositoryName>(),
                Err(InvalidRepositoryName),
                "{bad:?}"
            );
        }
    }
}
