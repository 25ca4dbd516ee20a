//! What staff see of the whole: how it fares, who changed what, projects and their repositories, what runs where.

use async_trait::async_trait;

use super::PortError;
use crate::access::Projects;
use crate::agent::{AgentSettings, AgentsAtWork};
use crate::audit::{AuditFilter, AuditPage, AuditPlace};
use crate::flow::FlowActor;
use crate::id::{ProjectId, RepositoryId};
use crate::overview::{Overview, Window};
use crate::precondition::Precondition;
use crate::project::{
    HookSummary, Kept, NewProject, Preflight, ProjectEdit, ProjectSummary, RepositorySummary,
};
use crate::repository::RepositoryName;
use crate::secret::Secret;
use crate::system::System;

/// Everything at a glance.
#[async_trait]
pub trait OverviewDesk: Send + Sync {
    /// How it fares now, and what ended in the window; of one queue, or of all. Reads only what was counted before,
    /// so that it costs the same after five million jobs.
    async fn overview(&self, window: Window, queue: Option<&str>) -> Result<Overview, PortError>;
}

/// What people changed.
#[async_trait]
pub trait AuditDesk: Send + Sync {
    /// Newest first, from a place on, at most so many.
    async fn entries(
        &self,
        filter: &AuditFilter,
        before: AuditPlace,
        limit: i64,
    ) -> Result<AuditPage, PortError>;
}

/// Projects and repositories as people keep them. Those of other projects than the given aren't there. Every change is
/// audited with what was before and after, in its own transaction.
#[async_trait]
pub trait ProjectDesk: Send + Sync {
    /// Projects by short name after this one, at most so many; archived ones too where they are asked for.
    async fn projects(
        &self,
        projects: &Projects,
        archived: bool,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Vec<ProjectSummary>, PortError>;
    /// The project of this short name.
    async fn project(&self, slug: &str, projects: &Projects) -> Result<Option<ProjectSummary>, PortError>;
    /// Makes one.
    async fn create(&self, new: &NewProject, by: &FlowActor) -> Result<Kept<ProjectSummary>, PortError>;
    /// Changes one that is still as it was seen.
    async fn edit(
        &self,
        id: ProjectId,
        edit: &ProjectEdit,
        seen: &Precondition,
        by: &FlowActor,
    ) -> Result<Kept<ProjectSummary>, PortError>;
}

/// Repositories of projects, and their tokens.
#[async_trait]
pub trait RepositoryDesk: Send + Sync {
    /// Those of a project, or of all that may be seen, by name after this one, at most so many.
    async fn repositories(
        &self,
        project: Option<&str>,
        projects: &Projects,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Vec<RepositorySummary>, PortError>;
    /// One.
    async fn repository(
        &self,
        id: RepositoryId,
        projects: &Projects,
    ) -> Result<Option<RepositorySummary>, PortError>;
    /// Puts one into a project; one that is there stays as it is.
    async fn add(
        &self,
        project: ProjectId,
        name: &RepositoryName,
        by: &FlowActor,
    ) -> Result<Kept<RepositorySummary>, PortError>;
    /// Takes one out that is still as it was seen, with its token: its labels start no more runs.
    async fn remove(
        &self,
        id: RepositoryId,
        seen: &Precondition,
        by: &FlowActor,
    ) -> Result<Kept<()>, PortError>;
    /// Its own token, opened.
    async fn token(&self, id: RepositoryId) -> Result<Option<Secret<String>>, PortError>;
    /// Seals a token for one that is still as it was seen, in place of the one before, or takes that away; `found` is
    /// what the forge said of it.
    async fn set_token(
        &self,
        id: RepositoryId,
        token: Option<&Secret<String>>,
        found: &Preflight,
        seen: &Precondition,
        by: &FlowActor,
    ) -> Result<Kept<()>, PortError>;
    /// Notes what was found, as of now.
    async fn note_preflight(&self, id: RepositoryId, found: &Preflight) -> Result<(), PortError>;
}

/// The forge, as it is set up for a repository.
#[async_trait]
pub trait RepositorySetup: Send + Sync {
    /// Looks whether everything is as it has to be, with this token or, without one, the platform's own. What the
    /// forge refuses is in the answer.
    async fn preflight(
        &self,
        token: Option<&Secret<String>>,
        repository: &RepositoryName,
        hook_url: &str,
    ) -> Result<Preflight, PortError>;
    /// Makes our webhook, or brings it to what it has to be.
    async fn ensure_webhook(
        &self,
        token: Option<&Secret<String>>,
        repository: &RepositoryName,
        hook_url: &str,
        secret: &Secret<String>,
    ) -> Result<HookSummary, PortError>;
    /// Makes the labels that aren't there; says which.
    async fn ensure_labels(
        &self,
        token: Option<&Secret<String>>,
        repository: &RepositoryName,
    ) -> Result<Vec<String>, PortError>;
}

/// The tokens that repositories have of their own, for those who call the forge.
#[async_trait]
pub trait RepositoryTokens: Send + Sync {
    /// The repository's own token; `None` if it has none.
    async fn token_of(&self, repository: &RepositoryName) -> Result<Option<Secret<String>>, PortError>;
}

/// What runs where, and on which schema.
#[async_trait]
pub trait SystemDesk: Send + Sync {
    /// As it is now.
    async fn system(&self) -> Result<System, PortError>;
}

/// Agents: how workers run them, and how their runs end.
#[async_trait]
pub trait AgentDesk: Send + Sync {
    /// Says how this worker runs agents, in place of what one of its name said before.
    async fn announce(&self, worker: &str, settings: &AgentSettings) -> Result<(), PortError>;
    /// What living workers said, and the last runs.
    async fn agents(&self) -> Result<AgentsAtWork, PortError>;
}
