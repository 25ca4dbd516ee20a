//! Between the queue's own types and the platform's.

use std::time::Duration;

use domain::access::Projects;
use domain::flow::{Author, FlowActor};
use domain::id::JobId;
use domain::job::{JobAction, JobChange, JobFilter, JobReason, JobState, JobSummary, QueueCounts, RunTime};
use queue::{Action, By, Change, JobRow, QueueCount, Reason, Scope, State, When};

use crate::store::page;

/// Whether a job is correlated to a delivery of a repository of these projects.
const OF_PROJECTS: &str = "exists (
    select from platform.delivery as delivery
    join platform.repository as repository on lower(repository.name) = lower(delivery.repository)
    where delivery.id = job.correlation_id and repository.project_id = any($ids))";

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

pub(crate) fn to_filter(filter: &JobFilter, projects: &Projects) -> queue::Filter {
    let scope = projects.ids().map(|ids| Scope {
        condition: OF_PROJECTS,
        ids,
    });
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
        args: filter.args.clone(),
        created_after: filter.created_after,
        created_before: filter.created_before,
        before: filter.before.map(|id| id.0),
        scope,
        limit: page(filter.limit),
    }
}

pub(crate) fn to_change(change: JobChange) -> Change {
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
pub(crate) fn reason(reason: &Reason) -> JobReason {
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

pub(crate) fn summary(row: JobRow) -> JobSummary {
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

pub(crate) fn outcome(action: Action) -> JobAction {
    match action {
        Action::Done => JobAction::Done,
        Action::Requested => JobAction::Requested,
        Action::NotAllowed(state) => JobAction::NotAllowed(from_queue(state)),
        Action::NotFound => JobAction::NotFound,
    }
}

pub(crate) fn from_queue(state: State) -> JobState {
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
