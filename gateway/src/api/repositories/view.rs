//! Repositories as the API shows them.

use chrono::{DateTime, Utc};
use domain::project;
use serde::Serialize;
use utoipa::ToSchema;

use crate::precondition::Versioned;

/// A repository of a project.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Repository {
    /// Its identifier.
    id: i64,
    /// Its project's short name.
    project: String,
    /// `owner/name` on the forge.
    name: String,
    /// When it was put in.
    created_at: DateTime<Utc>,
    /// Its own token, where it has one; the token itself is never shown.
    token: Option<RepositoryToken>,
    /// What was found when it was last looked whether it is set up; null if nobody has.
    preflight: Option<Preflight>,
    /// Of the token and the project; hand it in with a change.
    version: String,
}

impl Versioned for Repository {
    fn version(&self) -> &str {
        &self.version
    }
}

/// A repository's own token.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RepositoryToken {
    /// Whose it is on the forge.
    login: Option<String>,
    /// When it was put here.
    set_at: DateTime<Utc>,
    /// When it ends, where the forge said so.
    expires_at: Option<DateTime<Utc>>,
    /// The name of the key that it is sealed with.
    sealed_with: String,
}

/// How something is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CheckState {
    /// As it has to be.
    Ok,
    /// It works, and should be looked at.
    Warning,
    /// Nothing works before that is mended.
    Failed,
    /// It could not be seen, since something before it failed.
    Unknown,
}

/// What is looked at.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CheckName {
    /// The forge accepts the token.
    Token,
    /// The token does not end soon.
    Expiry,
    /// The token sees the repository, and it has issues.
    Repository,
    /// The token may write.
    Permission,
    /// The forge tells us what happens.
    Webhook,
    /// The labels that start runs are there to be chosen.
    Labels,
}

/// One thing that was looked at.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Check {
    /// What.
    name: CheckName,
    /// How it is.
    state: CheckState,
    /// For people: what it is, and what to do.
    text: String,
}

/// The webhook, as the forge has it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Hook {
    /// The forge's number.
    id: i64,
    /// Whether it is switched on.
    active: bool,
    /// What it tells of.
    events: Vec<String>,
    /// The status of its last delivery, if there was one.
    last_status: Option<u16>,
}

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Preflight {
    /// When.
    at: DateTime<Utc>,
    /// Each thing, in the order in which they have to be mended.
    checks: Vec<Check>,
    /// Whose the token is.
    login: Option<String>,
    /// What a classic token may; null of a fine-grained one, which does not say.
    scopes: Option<Vec<String>>,
    /// The webhook, if there is one.
    hook: Option<Hook>,
    /// Labels that are not there.
    missing_labels: Vec<String>,
}

impl From<project::Check> for Check {
    fn from(check: project::Check) -> Self {
        Self {
            name: match check.name {
                project::CheckName::Token => CheckName::Token,
                project::CheckName::Expiry => CheckName::Expiry,
                project::CheckName::Repository => CheckName::Repository,
                project::CheckName::Permission => CheckName::Permission,
                project::CheckName::Webhook => CheckName::Webhook,
                project::CheckName::Labels => CheckName::Labels,
            },
            state: match check.state {
                project::CheckState::Ok => CheckState::Ok,
                project::CheckState::Warning => CheckState::Warning,
                project::CheckState::Failed => CheckState::Failed,
                project::CheckState::Unknown => CheckState::Unknown,
            },
            text: check.text,
        }
    }
}

impl Preflight {
    fn new(found: project::Preflight, at: DateTime<Utc>) -> Self {
        Self {
            at,
            checks: found.checks.into_iter().map(Check::from).collect(),
            login: found.login,
            scopes: found.scopes,
            hook: found.hook.map(|hook| Hook {
                id: hook.id,
                active: hook.active,
                events: hook.events,
                last_status: hook.last_status,
            }),
            missing_labels: found.missing_labels,
        }
    }
}

impl From<project::RepositorySummary> for Repository {
    fn from(repository: project::RepositorySummary) -> Self {
        Self {
            version: repository.version().to_string(),
            id: repository.id.0,
            project: repository.project,
            name: repository.name.to_string(),
            created_at: repository.created_at,
            token: repository.token.map(|token| RepositoryToken {
                login: token.login,
                set_at: token.set_at,
                expires_at: token.expires_at,
                sealed_with: token.sealed_with,
            }),
            preflight: repository.preflight.map(|(found, at)| Preflight::new(found, at)),
        }
    }
}
