//! Jobs as staff see and steer them: the queue's own desk, with an audit event for every change.

use async_trait::async_trait;
use domain::flow::{FlowActor, FlowEvent};
use domain::id::{CorrelationId, JobId};
use domain::job::{JobAction, JobAttempt, JobDetail, JobFilter, JobState, JobSummary, QueueCounts};
use domain::port::{JobDesk, PortError};
use queue::{Action, By, JobRow, State};
use serde_json::json;
use sqlx::PgConnection;

use crate::error::{Error, db, refused};
use crate::store::page;
use crate::{Store, flow};

#[async_trait]
impl JobDesk for Store {
    async fn list(&self, filter: &JobFilter) -> Result<Vec<JobSummary>, PortError> {
        let filter = queue::Filter {
            states: filter.state.map(to_queue).into_iter().collect(),
            queue: filter.queue.clone(),
            kind: filter.kind.clone(),
            before: filter.before.map(|id| id.0),
            limit: page(filter.limit),
            ..queue::Filter::default()
        };
        self.search(filter).await
    }

    async fn get(&self, id: JobId) -> Result<Option<JobDetail>, PortError> {
        let Some((row, attempts)) = self.queue.get(id.0).await.map_err(db)? else {
            return Ok(None);
        };
        let attempts = attempts.into_iter().map(|a| JobAttempt {
            attempt: a.attempt,
            at: a.at,
            worker: a.worker,
            error: a.error,
        });
        Ok(Some(JobDetail {
            args: row.args.clone(),
            attempts: attempts.collect(),
            unique_key: row.unique_key.clone(),
            traceparent: row.traceparent.clone(),
            summary: summary(row),
        }))
    }

    async fn counts(&self) -> Result<Vec<QueueCounts>, PortError> {
        let counts = self
            .queue
            .counts()
            .await
            .map_err(db)?
            .into_iter()
            .map(|count| QueueCounts {
                queue: count.queue,
                ready: count.ready,
                scheduled: count.scheduled,
                running: count.running,
                oldest_ready_ms: count.oldest_ready_ms,
            });
        Ok(counts.collect())
    }

    async fn retry(&self, id: JobId, by: &FlowActor) -> Result<JobAction, PortError> {
        let Some(row) = self.steered(id).await? else {
            return Ok(JobAction::NotFound);
        };
        let mut tx = self.begin().await?;
        let action = self
            .queue
            .retry(&mut tx, id.0, &steered_by(by))
            .await
            .map_err(db)?;
        if action == Action::Done {
            audit(&mut tx, row, "job.retried", by).await.map_err(db)?;
        }
        tx.commit().await.map_err(db)?;
        Ok(outcome(action))
    }

    async fn cancel(&self, id: JobId, by: &FlowActor) -> Result<JobAction, PortError> {
        let Some(row) = self.steered(id).await? else {
            return Ok(JobAction::NotFound);
        };
        let mut tx = self.begin().await?;
        let action = self
            .queue
            .cancel(&mut tx, id.0, &steered_by(by))
            .await
            .map_err(db)?;
        if matches!(action, Action::Done | Action::Requested) {
            audit(&mut tx, row, "job.cancelled", by).await.map_err(db)?;
        }
        tx.commit().await.map_err(db)?;
        Ok(outcome(action))
    }
}

/// How many pages a search goes through, each of tens of thousands of jobs.
const PAGES: usize = 40;

/// The actor in the queue's own audit.
fn steered_by(by: &FlowActor) -> By {
    let name = match by {
        FlowActor::Human(login) => login.clone(),
        FlowActor::Agent(role) => format!("the agent {role}"),
        FlowActor::System => "the platform".to_owned(),
    };
    By::new(crate::text::clean(&name))
}

impl Store {
    /// A full page, or all there is: the queue looks at a bounded number of jobs at a time.
    async fn search(&self, mut filter: queue::Filter) -> Result<Vec<JobSummary>, PortError> {
        let wanted = filter.limit;
        let mut found = Vec::new();
        for _ in 0..PAGES {
            filter.limit = wanted - found.len() as i64;
            let page = self.queue.list(&filter).await.map_err(db)?;
            found.extend(page.jobs.into_iter().map(summary));
            filter.before = page.next;
            if page.next.is_none() || found.len() as i64 >= wanted {
                return Ok(found);
            }
        }
        Err(refused(
            "too few of too many jobs match: ask for something more particular",
        ))
    }

    /// Whether the job exists and hasn't ended.
    pub(crate) async fn is_open(&self, id: i64) -> Result<bool, PortError> {
        let job = self.queue.get(id).await.map_err(db)?;
        Ok(job.is_some_and(|(row, _)| {
            matches!(
                row.state(),
                State::Ready | State::Scheduled | State::Waiting | State::Running
            )
        }))
    }

    /// The job's line, for the audit: read before there is a transaction, on a connection of its own.
    async fn steered(&self, id: JobId) -> Result<Option<JobRow>, PortError> {
        Ok(self.queue.get(id.0).await.map_err(db)?.map(|(row, _)| row))
    }
}

/// Records that somebody steered a job, under what the job belongs to, else under its own number.
async fn audit(tx: &mut PgConnection, row: JobRow, kind: &'static str, by: &FlowActor) -> Result<(), Error> {
    let correlation_id = row
        .correlation_id
        .and_then(|text| CorrelationId::new(text).ok())
        .map_or_else(|| CorrelationId::new(format!("job-{}", row.id)), Ok)
        .map_err(|e| Error::Unreadable(e.to_string()))?;
    let data = json!({ "job_id": row.id, "kind": row.kind });
    flow::append(
        tx,
        FlowEvent {
            correlation_id,
            run: None,
            kind,
            actor: by.clone(),
            data,
        },
    )
    .await
}

fn summary(row: JobRow) -> JobSummary {
    JobSummary {
        id: JobId(row.id),
        state: from_queue(row.state()),
        kind: row.kind,
        queue: row.queue,
        priority: row.priority,
        attempt: row.attempt,
        max_attempts: row.max_attempts,
        correlation_id: row.correlation_id,
        worker: row.worker,
        last_error: row.last_error,
        created_at: row.created_at,
        run_at: row.run_at,
        finished_at: row.finished_at,
    }
}

fn outcome(action: Action) -> JobAction {
    match action {
        Action::Done => JobAction::Done,
        Action::Requested => JobAction::Requested,
        Action::NotAllowed(state) => JobAction::NotAllowed(from_queue(state)),
        Action::NotFound => JobAction::NotFound,
    }
}

fn from_queue(state: State) -> JobState {
    match state {
        State::Ready => JobState::Ready,
        State::Scheduled | State::Waiting => JobState::Scheduled,
        State::Running => JobState::Running,
        State::Completed => JobState::Completed,
        State::Cancelled => JobState::Cancelled,
        State::Dead => JobState::Dead,
    }
}

fn to_queue(state: JobState) -> State {
    match state {
        JobState::Ready => State::Ready,
        JobState::Scheduled => State::Scheduled,
        JobState::Running => State::Running,
        JobState::Completed => State::Completed,
        JobState::Cancelled => State::Cancelled,
        JobState::Dead => State::Dead,
    }
}
