//! Projects and their repositories as people keep them.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::id::{ProjectId, RepositoryId};
use crate::precondition::Version;
use crate::repository::RepositoryName;
use crate::stage::Stage;

/// A project's short name: 1 to 40 of `[a-z0-9-]`, neither first nor last a `-`. It stands in namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slug(String);

/// The text is no slug.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a project's short name is 1 to 40 of a-z 0-9 -, and begins and ends with a letter or digit")]
pub struct InvalidSlug;

impl Slug {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Slug {
    type Err = InvalidSlug;
    fn from_str(text: &str) -> Result<Self, InvalidSlug> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = text.as_bytes();
        let ends = bytes.first().is_some_and(|b| plain(*b)) && bytes.last().is_some_and(|b| plain(*b));
        if ends && bytes.len() <= 40 && bytes.iter().all(|b| plain(*b) || *b == b'-') {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidSlug)
        }
    }
}

/// A project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectSummary {
    /// Its identifier.
    pub id: ProjectId,
    /// Its short name.
    pub slug: String,
    /// What people call it.
    pub title: Option<String>,
    /// How many of its runs may prepare or run at once.
    pub slots: i32,
    /// Grows with each change.
    pub version: i32,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Since when its labels start no runs.
    pub archived_at: Option<DateTime<Utc>>,
    /// How many repositories it has.
    pub repositories: i64,
    /// How many members.
    pub members: i64,
    /// How many unfinished runs.
    pub open_runs: i64,
}

impl ProjectSummary {
    /// Of what people change about it.
    pub fn version(&self) -> Version {
        Version::new(self.version.to_string())
    }
}

/// A project to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProject {
    /// Its short name, for ever.
    pub slug: Slug,
    /// What people call it.
    pub title: Option<String>,
    /// At least 0.
    pub slots: i32,
}

/// What of a project people change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectEdit {
    /// What people call it.
    pub title: Option<String>,
    /// More than before start runs that wait for one.
    pub slots: i32,
    /// Whether its labels start no runs.
    pub archived: bool,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept<T> {
    /// It is so now.
    Done(T),
    /// There is no such project or repository.
    NotFound,
    /// It isn't as it was seen: somebody has changed it meanwhile.
    Stale,
    /// The name is taken.
    Taken,
}

/// A repository's own token, without the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSummary {
    /// Whose it is on the forge.
    pub login: Option<String>,
    /// When it was put here.
    pub set_at: DateTime<Utc>,
    /// When it ends, where the forge said so.
    pub expires_at: Option<DateTime<Utc>>,
    /// The name of the key that it is sealed with.
    pub sealed_with: String,
}

/// A repository of a project.
#[derive(Debug, Clone, PartialEq)]
pub struct RepositorySummary {
    /// Its identifier with us.
    pub id: RepositoryId,
    /// Its project's short name.
    pub project: String,
    /// Its project.
    pub project_id: ProjectId,
    /// Its name on the forge.
    pub name: RepositoryName,
    /// When it was put in.
    pub created_at: DateTime<Utc>,
    /// Its own token, where it has one.
    pub token: Option<TokenSummary>,
    /// What was found when it was last looked whether it is set up.
    pub preflight: Option<(Preflight, DateTime<Utc>)>,
}

impl RepositorySummary {
    /// Of what people change about it: its token, and the project that it is in.
    pub fn version(&self) -> Version {
        let token = self.token.as_ref();
        let set_at = token.map_or(0, |token| token.set_at.timestamp_micros());
        Version::new(format!("{}-{set_at}", self.project_id))
    }
}

/// Whether something is as it has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// It is.
    Ok,
    /// It works, and should be looked at.
    Warning,
    /// Nothing works before that is mended.
    Failed,
    /// It couldn't be seen, since something before it failed.
    Unknown,
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckName {
    /// The forge accepts the token.
    Token,
    /// The token doesn't end soon.
    Expiry,
    /// The token sees the repository, and it has issues.
    Repository,
    /// The token may write comments and read who may do what.
    Permission,
    /// The forge tells us what happens.
    Webhook,
    /// The labels that start runs are there to be chosen.
    Labels,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What.
    pub name: CheckName,
    /// How it is.
    pub state: CheckState,
    /// For people: what it is, and what to do.
    pub text: String,
}

/// The webhook of a repository, as the forge has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookSummary {
    /// The forge's number.
    pub id: i64,
    /// Whether it is switched on.
    pub active: bool,
    /// What it tells of.
    pub events: Vec<String>,
    /// The status of its last delivery, if there was one.
    pub last_status: Option<u16>,
}

/// What was found when it was looked whether a repository is set up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preflight {
    /// Whose the token is.
    pub login: Option<String>,
    /// What a classic token may; none of a fine-grained one, which doesn't say.
    pub scopes: Option<Vec<String>>,
    /// When the token ends, where the forge said so.
    pub token_expires_at: Option<DateTime<Utc>>,
    /// Each thing, in the order in which they have to be mended.
    pub checks: Vec<Check>,
    /// Our webhook, if there is one.
    pub hook: Option<HookSummary>,
    /// Labels that aren't there.
    pub missing_labels: Vec<String>,
}

/// A label that means something to us, to be chosen on the forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownLabel {
    /// Its name.
    pub name: &'static str,
    /// Six hexadecimal digits.
    pub color: &'static str,
    /// For people.
    pub description: &'static str,
}

/// Every label that starts a run or holds one back.
pub fn known_labels() -> [KnownLabel; 4] {
    // A stage that is added has to get its labels: this doesn't compile without.
    let Stage::Dev = Stage::Dev;
    [
        KnownLabel {
            name: "run:dev",
            color: "1d76db",
            description: "Starts a run of the developer agent",
        },
        KnownLabel {
            name: "run:dev:revise",
            color: "1d76db",
            description: "Has the developer agent revise its work",
        },
        KnownLabel {
            name: "state:blocked",
            color: "b60205",
            description: "Holds runs back",
        },
        KnownLabel {
            name: "need:input",
            color: "fbca04",
            description: "Holds runs back until somebody answers",
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::Label;

    #[test]
    fn slugs() {
        for good in ["a", "demo", "a-b", "7", &"a".repeat(40)] {
            assert_eq!(good.parse::<Slug>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a-", "A", "a b", "a_b", "ä", &"a".repeat(41)] {
            assert_eq!(bad.parse::<Slug>(), Err(InvalidSlug), "{bad}");
        }
    }

    #[test]
    fn every_known_label_means_something() {
        for label in known_labels() {
            assert_ne!(Label::parse(label.name), Label::Other, "{}", label.name);
            assert_ne!(Label::parse(label.name), Label::UnknownRun, "{}", label.name);
            assert!(u32::from_str_radix(label.color, 16).is_ok() && label.color.len() == 6);
        }
    }
}
