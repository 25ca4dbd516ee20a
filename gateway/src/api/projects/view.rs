//! Projects as the API shows them.

use chrono::{DateTime, Utc};
use domain::project::ProjectSummary;
use serde::Serialize;
use utoipa::ToSchema;

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
    /// Hand it in with a change.
    version: i32,
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

impl From<ProjectSummary> for Project {
    fn from(project: ProjectSummary) -> Self {
        Self {
            id: project.id.0,
            slug: project.slug,
            title: project.title,
            slots: project.slots,
            version: project.version,
            created_at: project.created_at,
            archived_at: project.archived_at,
            repositories: project.repositories,
            members: project.members,
            open_runs: project.open_runs,
        }
    }
}
