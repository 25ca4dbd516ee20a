//! Projects as the API shows them.

use chrono::{DateTime, Utc};
use domain::project::ProjectSummary;
use serde::Serialize;
use utoipa::ToSchema;

use crate::precondition::Versioned;

/// A project.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Project {
    /// Its identifier.
    id: i64,
    /// Its short name.
    slug: String,
    /// What people call it.
    title: Option<String>,
    /// How many of its runs may prepare or run at once.
    slots: i32,
    /// Of title, slots and whether it is archived; hand it in with a change.
    version: String,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// Since when its labels start no runs.
    archived_at: Option<DateTime<Utc>>,
    /// How many repositories it has.
    repositories: i64,
    /// How many members.
    members: i64,
    /// How many unfinished runs.
    open_runs: i64,
}

impl Versioned for Project {
    fn version(&self) -> &str {
        &self.version
    }
}

impl From<ProjectSummary> for Project {
    fn from(project: ProjectSummary) -> Self {
        Self {
            version: project.version().to_string(),
            id: project.id.0,
            slug: project.slug,
            title: project.title,
            slots: project.slots,
            created_at: project.created_at,
            archived_at: project.archived_at,
            repositories: project.repositories,
            members: project.members,
            open_runs: project.open_runs,
        }
    }
}
