//! Runs as the API shows them.

use chrono::{DateTime, Utc};
use domain::flow::{FlowActor, RecordedEvent};
use domain::run::{self, RunState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a run stands.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RunStatus {
    /// Created; nobody has looked at it yet.
    Pending,
    /// The project's slots are taken.
    WaitingSlot,
    /// Its namespace and Job are being made.
    Preparing,
    /// Its agent's Job exists in the cluster.
    Running,
    /// The agent ended with exit code 0.
    Succeeded,
    /// The agent or its preparation failed.
    Failed,
    /// Someone ended it.
    Canceled,
    /// Its deadline passed.
    TimedOut,
}

impl RunStatus {
    /// The domain's name of the status.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::WaitingSlot => "waiting_slot",
            Self::Preparing => "preparing",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::TimedOut => "timed_out",
        }
    }
}

/// A line of the list of runs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RunLine {
    /// Its identifier.
    id: i64,
    /// The project's slug.
    project: String,
    /// `owner/name`.
    repository: String,
    /// The issue.
    issue: i64,
    /// The stage, for example `dev`.
    stage: String,
    /// Whether it revises earlier work.
    revise: bool,
    /// Where it stands.
    status: RunStatus,
    /// Why it failed or was canceled.
    reason: Option<String>,
    /// The agent's exit code, where it failed with one.
    exit_code: Option<i32>,
    /// The delivery that caused it.
    correlation_id: String,
    /// Who asked for it.
    requested_by: String,
    /// The namespace, once it is being prepared.
    namespace: Option<String>,
    /// The status comment, once it is posted.
    comment_id: Option<i64>,
    /// When it was created.
    created_at: DateTime<Utc>,
    /// When its Job was created in the cluster.
    started_at: Option<DateTime<Utc>>,
    /// When it reached a final state.
    finished_at: Option<DateTime<Utc>>,
}

impl From<run::RunSummary> for RunLine {
    fn from(run: run::RunSummary) -> Self {
        let (status, reason, exit_code) = match run.state {
            RunState::Pending => (RunStatus::Pending, None, None),
            RunState::WaitingSlot => (RunStatus::WaitingSlot, None, None),
            RunState::Preparing => (RunStatus::Preparing, None, None),
            RunState::Running => (RunStatus::Running, None, None),
            RunState::Succeeded => (RunStatus::Succeeded, None, None),
            RunState::Failed { reason, exit_code } => (RunStatus::Failed, Some(reason), exit_code),
            RunState::Canceled { reason } => (RunStatus::Canceled, Some(reason), None),
            RunState::TimedOut => (RunStatus::TimedOut, None, None),
        };
        Self {
            id: run.id.0,
            project: run.project,
            repository: run.repository,
            issue: run.issue,
            stage: run.stage.as_str().to_owned(),
            revise: run.revise,
            status,
            reason,
            exit_code,
            correlation_id: run.correlation_id.into(),
            requested_by: run.requested_by,
            namespace: run.namespace,
            comment_id: run.comment_id.map(|id| id.0),
            created_at: run.created_at,
            started_at: run.started_at,
            finished_at: run.finished_at,
        }
    }
}

/// A run and what happened.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Run {
    #[serde(flatten)]
    line: RunLine,
    /// Where the issue stands on the forge.
    issue_url: String,
    /// Where the status comment stands, once it is posted.
    comment_url: Option<String>,
    /// Everything recorded under its correlation id, oldest first.
    events: Vec<FlowEvent>,
}

impl Run {
    pub(crate) fn new(run: run::RunSummary, events: Vec<RecordedEvent>, forge_url: &str) -> Self {
        let issue_url = format!(
            "{}/{}/issues/{}",
            forge_url.trim_end_matches('/'),
            run.repository,
            run.issue
        );
        let comment_url = run
            .comment_id
            .map(|comment| format!("{issue_url}#issuecomment-{comment}"));
        Self {
            issue_url,
            comment_url,
            line: run.into(),
            events: events.into_iter().map(FlowEvent::from).collect(),
        }
    }
}

/// Something that happened.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FlowEvent {
    /// Its number; grows with time.
    id: i64,
    /// When.
    at: DateTime<Utc>,
    /// The delivery that caused it.
    correlation_id: String,
    /// The run that it belongs to.
    run_id: Option<i64>,
    /// A dotted name, for example `run.created`.
    kind: String,
    /// What kind of one caused it.
    actor_kind: ActorKind,
    /// A person's login or an agent's role; null for the platform itself.
    actor: Option<String>,
    /// What else there is to know.
    data: serde_json::Value,
}

/// What kind of one caused an event.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ActorKind {
    /// A person.
    Human,
    /// An agent.
    Agent,
    /// The platform itself.
    System,
}

impl From<RecordedEvent> for FlowEvent {
    fn from(event: RecordedEvent) -> Self {
        let (actor_kind, actor) = match event.actor {
            FlowActor::Human(login) => (ActorKind::Human, Some(login)),
            FlowActor::Agent(role) => (ActorKind::Agent, Some(role)),
            FlowActor::System => (ActorKind::System, None),
        };
        Self {
            id: event.id,
            at: event.at,
            correlation_id: event.correlation_id.into(),
            run_id: event.run_id.map(|id| id.0),
            kind: event.kind,
            actor_kind,
            actor,
            data: event.data,
        }
    }
}

/// A line that the agent wrote.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogLine {
    /// Counts from 1 within the run.
    number: i64,
    /// Without the line's end.
    text: String,
}

impl From<run::LogLine> for LogLine {
    fn from(line: run::LogLine) -> Self {
        Self {
            number: line.number,
            text: line.text,
        }
    }
}

/// Lines of a log, in order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogPage {
    /// The lines.
    items: Vec<LogLine>,
    /// Hand it in as `after` to read on; a run that still works may write more.
    next_after: i64,
    /// The number of the last line that there is, 0 for none.
    last: i64,
}

impl LogPage {
    /// `seen` is the line up to which it has been looked, though it isn't among those found; `last` is the last one
    /// of a moment ago.
    pub(crate) fn new(lines: Vec<run::LogLine>, seen: i64, last: i64) -> Self {
        let found = lines.last().map_or(0, |line| line.number);
        let items = lines.into_iter().map(LogLine::from).collect();
        Self {
            items,
            next_after: found.max(seen),
            last: found.max(last),
        }
    }
}
