//! The few members of GitHub's answers that we read. Our own and small: octocrab's models demand members that GitHub
//! leaves out at times (a deleted account's comment has no `user`).

use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(crate) struct User {
    pub login: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Comment {
    pub id: i64,
    #[serde(default)]
    pub body: Option<String>,
    /// `null` for a deleted account.
    #[serde(default)]
    pub user: Option<User>,
}

/// In an issue a label is its name or an object.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Label {
    Name(String),
    Object { name: Option<String> },
}

impl Label {
    pub(crate) fn name(self) -> Option<String> {
        match self {
            Self::Name(name) => Some(name),
            Self::Object { name } => name,
        }
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Issue {
    pub number: i64,
    pub state: String,
    pub title: String,
    #[serde(default)]
    pub body: Option<String>,
    pub labels: Vec<Label>,
    pub repository_url: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Repository {
    pub url: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct CollaboratorPermission {
    /// The old levels: `admin`, `write`, `read`, `none`.
    pub permission: String,
    /// The finer role, or the name of an organisation's own role.
    #[serde(default)]
    pub role_name: Option<String>,
}

/// GitHub's error body.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Problem {
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub errors: Option<serde_json::Value>,
}
