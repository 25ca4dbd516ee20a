//! Jobs as staff see and steer them: the queue's own desk, with an audit event for every change.

use std::time::Duration;

use async_trait::async_trait;
use domain::flow::{Author, FlowActor, FlowEvent};
use domain::id::{CorrelationId, JobId};
use domain::job::{
    JobAction, JobAttempt, JobChange, JobDetail, JobExplanation, JobFilter, JobPreview, JobReason,
    JobSelection, JobState, JobSummary, JobsChanged, QueueCounts, RunTime, StoppedAt,
};
use domain::port::{JobDesk, PortError};
use queue::{Action, By, Change, JobRow, QueueCount, Reason, Selection, State, When};
use serde_json::json;
use sqlx::PgConnection;

use crate::error::{Error, db, refused};
use crate::store::page;
use crate::{Store, flow};

#[async_trait]
impl JobDesk for Store {
    async fn list(&self, filter: &JobFilter) -> Result<Vec<JobSummary>, PortError> {
        self.search(to_filter(filter)).await
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
            traceparent: a.traceparent,
        });
        Ok(Some(JobDetail {
            args: row.args.clone(),
            result: row.result.clone(),
            attempts: attempts.collect(),
            unique_key: row.unique_key.clone(),
            traceparent: row.traceparent.clone(),
            summary: summary(row),
        }))
    }

    async fn counts(&self) -> Result<Vec<QueueCounts>, PortError> {
        let counts = self.queue.counts().await.map_err(db)?;
        Ok(counts.into_iter().map(counted).collect())
    }

    async fn why(&self, id: JobId) -> Result<Option<JobExplanation>, PortError> {
        let Some(explanation) = self.queue.explain(id.0).await.map_err(db)? else {
            return Ok(None);
        };
        Ok(Some(JobExplanation {
            id,
            state: from_queue(explanation.state),
            as_of: explanation.as_of,
            reasons: explanation.reasons.iter().map(reason).collect(),
        }))
    }

    async fn change(&self, id: JobId, change: JobChange, by: &Author) -> Result<JobAction, PortError> {
        let Some(row) = self.steered(id).await? else {
            return Ok(JobAction::NotFound);
        };
        let mut tx = self.begin().await?;
        let action = self
            .queue
            .change(&mut tx, id.0, &to_change(change), &steered_by(by))
            .await;
        let action = match action {
            Err(queue::Error::Invalid(why)) => return Ok(JobAction::InTheWay(why)),
            action => action.map_err(db)?,
        };
        if matches!(action, Action::Done | Action::Requested) {
            audit(&mut tx, row, change, &by.actor).await.map_err(db)?;
        }
        tx.commit().await.map_err(db)?;
        Ok(outcome(action))
    }

    async fn preview(&self, jobs: &JobSelection, change: JobChange) -> Result<JobPreview, PortError> {
        let filter = match jobs {
            JobSelection::Ids(ids) => {
                return Ok(JobPreview {
                    count: ids.len() as i64,
                    at_least: false,
                });
            }
            JobSelection::Matching(filter) => to_filter(filter),
        };
        let preview = self
            .queue
            .preview(&filter, &to_change(change))
            .await
            .map_err(db)?;
        Ok(JobPreview {
            count: preview.count,
            at_least: preview.at_least,
        })
    }

    async fn apply(
        &self,
        jobs: &JobSelection,
        change: JobChange,
        by: &Author,
    ) -> Result<JobsChanged, PortError> {
        let selection = match jobs {
            JobSelection::Ids(ids) => Selection::Ids(ids.iter().map(|id| id.0).collect()),
            JobSelection::Matching(filter) => Selection::Matching(to_filter(filter)),
        };
        let applied = self
            .queue
            .apply(&selection, &to_change(change), &steered_by(by))
            .await
            .map_err(db)?;
        Ok(JobsChanged {
            done: applied.done,
            requested: applied.requested,
            refused: applied
                .refused
                .into_iter()
                .map(|(reason, jobs)| (reason.to_owned(), jobs))
                .collect(),
            stopped: applied.stopped.map(|(before, error)| StoppedAt {
                before: JobId(before),
                error: error.to_string(),
            }),
        })
    }
}

/// How many pages a search goes through, each of tens of thousands of jobs.
const PAGES: usize = 40;

/// The actor in the queue's own audit.
pub(crate) fn steered_by(by: &Author) -> By {
    let name = match &by.actor {
        FlowActor::Human(login) => login.clone(),
        FlowActor::Agent(role) => format!("the agent {role}"),
        FlowActor::System => "the platform".to_owned(),
    };
    let mut wish = By::new(crate::text::clean(&name));
    wish.reason = by
        .reason
        .as_deref()
        .map(|reason| crate::text::clean(reason).into());
    wish
}

pub(crate) fn counted(count: QueueCount) -> QueueCounts {
    QueueCounts {
        queue: count.queue,
        ready: count.ready,
        scheduled: count.scheduled,
        waiting: count.waiting,
        running: count.running,
        oldest_ready_ms: count.oldest_ready_ms,
    }
}

fn to_filter(filter: &JobFilter) -> queue::Filter {
    queue::Filter {
        states: filter.states.iter().copied().map(to_queue).collect(),
        queue: filter.queue.clone(),
        kind: filter.kind.clone(),
        tag: filter.tag.clone(),
        correlation_id: filter.correlation_id.clone(),
        unique_key: filter.unique_key.clone(),
        tenant: filter.tenant.clone(),
        key: filter.key.clone(),
        error: filter.error.clone(),
        args: None,
        created_after: filter.created_after,
        created_before: filter.created_before,
        before: filter.before.map(|id| id.0),
        limit: page(filter.limit),
    }
}

fn to_change(change: JobChange) -> Change {
    match change {
        JobChange::Retry => Change::Retry,
        JobChange::Cancel => Change::Cancel,
        JobChange::Delete => Change::Delete,
        JobChange::Reschedule(RunTime::Now) => Change::Reschedule(When::Now),
        JobChange::Reschedule(RunTime::InMs(ms)) => Change::Reschedule(When::In(Duration::from_millis(ms))),
        JobChange::Reschedule(RunTime::At(at)) => Change::Reschedule(When::At(at)),
        JobChange::Priority(priority) => Change::Priority(priority),
    }
}

/// The reason's tag is its code, the other members are its facts.
fn reason(reason: &Reason) -> JobReason {
    let mut facts = serde_json::to_value(reason).unwrap_or_default();
    let code = facts
        .as_object_mut()
        .and_then(|members| members.remove("reason"))
        .and_then(|code| code.as_str().map(str::to_owned));
    JobReason {
        code: code.unwrap_or_else(|| "unknown".to_owned()),
        text: reason.to_string(),
        facts,
    }
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
async fn audit(tx: &mut PgConnection, row: JobRow, change: JobChange, by: &FlowActor) -> Result<(), Error> {
    let kind = match change {
        JobChange::Retry => "job.retried",
        JobChange::Cancel => "job.cancelled",
        JobChange::Delete => "job.deleted",
        JobChange::Reschedule(_) => "job.rescheduled",
        JobChange::Priority(_) => "job.reprioritized",
    };
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
        tenant: row.tenant,
        key: row.key,
        tags: row.tags.unwrap_or_default(),
        worker: row.worker,
        last_error: row.last_error,
        created_at: row.created_at,
        run_at: row.run_at,
        started_at: row.started_at,
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
        State::Scheduled => JobState::Scheduled,
        State::Waiting => JobState::Waiting,
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
        JobState::Waiting => State::Waiting,
        JobState::Running => State::Running,
        JobState::Completed => State::Completed,
        JobState::Cancelled => State::Cancelled,
        JobState::Dead => State::Dead,
    }
}
