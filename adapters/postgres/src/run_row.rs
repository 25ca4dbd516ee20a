//! Rows of `runs.run` read into the domain's types.

use chrono::{DateTime, Utc};
use domain::id::{CommentId, ProjectId, RepositoryId, RunId};
use domain::repository::{Project, Repository};
use domain::run::{Run, RunState, RunSummary};

use crate::error::Error;
use crate::project::stored_name;

/// A run with its repository and project, as the queries in `run_store` and `run_desk` select it.
pub(crate) struct RunRow {
    pub(crate) id: i64,
    pub(crate) project_id: i64,
    pub(crate) slug: String,
    pub(crate) slots: i32,
    pub(crate) repository_id: i64,
    pub(crate) repository: String,
    pub(crate) issue: i64,
    pub(crate) stage: String,
    pub(crate) revise: bool,
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    pub(crate) exit_code: Option<i32>,
    pub(crate) correlation_id: String,
    pub(crate) requested_by: String,
    pub(crate) namespace: Option<String>,
    pub(crate) comment_id: Option<i64>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) started_at: Option<DateTime<Utc>>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
}

/// A state as its columns have it.
pub(crate) fn state(status: &str, reason: Option<String>, exit_code: Option<i32>) -> Result<RunState, Error> {
    let reason = reason.unwrap_or_default();
    Ok(match status {
        "pending" => RunState::Pending,
        "waiting_slot" => RunState::WaitingSlot,
        "preparing" => RunState::Preparing,
        "running" => RunState::Running,
        "succeeded" => RunState::Succeeded,
        "failed" => RunState::Failed { reason, exit_code },
        "canceled" => RunState::Canceled { reason },
        "timed_out" => RunState::TimedOut,
        other => {
            return Err(Error::Unreadable(format!(
                "a stored run has the unknown status `{other}`"
            )));
        }
    })
}

fn unreadable<T>(run: i64, column: &str, result: Result<T, impl std::fmt::Display>) -> Result<T, Error> {
    result.map_err(|e| Error::Unreadable(format!("run {run} has an unreadable {column}: {e}")))
}

impl RunRow {
    pub(crate) fn into_run(self) -> Result<Run, Error> {
        Ok(Run {
            id: RunId(self.id),
            repository: Repository {
                id: RepositoryId(self.repository_id),
                project: Project {
                    id: ProjectId(self.project_id),
                    slug: self.slug,
                    slots: self.slots,
                },
                name: stored_name(&self.repository)?,
            },
            issue: self.issue,
            stage: unreadable(self.id, "stage", self.stage.parse())?,
            revise: self.revise,
            state: state(&self.status, self.reason, self.exit_code)?,
            correlation_id: unreadable(self.id, "correlation id", self.correlation_id.parse())?,
            requested_by: self.requested_by,
            namespace: self.namespace,
            comment_id: self.comment_id.map(CommentId),
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
        })
    }

    pub(crate) fn into_summary(self) -> Result<RunSummary, Error> {
        let run = self.into_run()?;
        Ok(RunSummary {
            id: run.id,
            project: run.repository.project.slug,
            repository: run.repository.name.to_string(),
            issue: run.issue,
            stage: run.stage,
            revise: run.revise,
            state: run.state,
            correlation_id: run.correlation_id,
            requested_by: run.requested_by,
            namespace: run.namespace,
            comment_id: run.comment_id,
            created_at: run.created_at,
            started_at: run.started_at,
            finished_at: run.finished_at,
        })
    }
}
