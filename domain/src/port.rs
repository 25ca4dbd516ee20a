//! Ports: the narrow interfaces between what we decide and what carries it out.
//!
//! One port per capability, one method per transaction. Each has one contract suite in `testkit` that runs
//! on every implementation.

pub mod access;
pub mod staff;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::access::Projects;
use crate::delivery::{
    Accepted, DeliveryDetail, DeliveryFilter, DeliveryOutcome, DeliverySummary, NewDelivery, Replay,
    StoredDelivery,
};
use crate::flow::{Author, FlowActor, FlowEvent, RecordedEvent};
use crate::id::{CommentId, CorrelationId, DeliveryId, JobId, RunId};
use crate::idempotency::{Begun, IdempotentRequest, StoredAnswer};
use crate::job::{
    JobAction, JobChange, JobCount, JobDetail, JobExplanation, JobFilter, JobLogLine, JobPage, JobPreview,
    JobSelection, JobsChanged, NewJob, QueueCounts,
};
use crate::live::{Changes, Watched};
use crate::precondition::Precondition;
use crate::queue::{Limits, LimitsSet, LiveWorker, Pausable, Pause, QueueOverview, Schedule, Switched, Tick};
use crate::repository::{Permission, Repository, RepositoryName};
use crate::run::{Created, LogLine, NewRun, Run, RunCancel, RunEvent, RunFilter, RunRetry, RunSummary};
use crate::workload::{Observation, Workload};

/// Why an outside part didn't do what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// It can't be reached or is overloaded; the same call may succeed later.
    #[error("{part} is unavailable: {reason}")]
    Unavailable {
        /// `database`, `github`, `kubernetes`.
        part: &'static str,
        /// For people.
        reason: String,
        /// How long it asks us to wait, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// It refuses, and will refuse again until something is changed.
    #[error("{part} refused: {reason}")]
    Refused {
        /// `database`, `github`, `kubernetes`.
        part: &'static str,
        /// For people: what it said.
        reason: String,
    },
}

/// Where the gateway puts verified deliveries.
#[async_trait]
pub trait Inbox: Send + Sync {
    /// Writes the delivery, its `github.delivery` job and its `webhook.accepted` flow event in one
    /// transaction. Idempotent by [`NewDelivery::id`].
    async fn accept(&self, delivery: NewDelivery) -> Result<Accepted, PortError>;

    /// Deliveries' jobs that are ready and not yet running: the gateway's back-pressure reads it.
    async fn backlog(&self) -> Result<i64, PortError>;

    /// Whether the database answers and its schema is the one this program needs.
    async fn ready(&self) -> Result<(), PortError>;
}

/// What the `github.delivery` job reads and writes of the ledger.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// The delivery, `None` if there is no such.
    async fn load(&self, id: &DeliveryId) -> Result<Option<StoredDelivery>, PortError>;

    /// Records the outcome, its flow event (`webhook.processed` or `webhook.ignored`) and the follow-up
    /// jobs in one transaction. Idempotent: a second call with the same outcome changes nothing but the
    /// time.
    async fn settle(
        &self,
        id: &DeliveryId,
        outcome: &DeliveryOutcome,
        follow_ups: Vec<NewJob>,
    ) -> Result<(), PortError>;

    /// The repository by its name on GitHub, without case; `None` if no project has it.
    async fn repository(&self, name: &RepositoryName) -> Result<Option<Repository>, PortError>;
}

/// A transition's record met another state than expected: somebody else was faster. Read again and decide anew.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The run isn't in the expected state any more.
    #[error("the run changed in the meantime")]
    Stale,
    /// The database.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// What became of a run's wish for a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// The run has a slot and is preparing.
    Admitted,
    /// All slots are taken; the run waits, and is started when one is free.
    Full,
}

/// Runs as the workers see them.
#[async_trait]
pub trait RunStore: Send + Sync {
    /// Creates a run, `pending`, with its `run.created` flow event and its `run.start` and `run.report`
    /// jobs, in one transaction. At most one run per delivery and one unfinished run per issue.
    async fn create(&self, run: NewRun) -> Result<Created, PortError>;

    /// The run that this delivery has created, ended or not; `None` if there is none.
    async fn caused_by(&self, cause: &CorrelationId) -> Result<Option<RunId>, PortError>;

    /// The run, `None` if there is no such.
    async fn get(&self, id: RunId) -> Result<Option<Run>, PortError>;

    /// Takes a slot of the project, or has the run wait for one; counts under a lock on the project.
    async fn admit(&self, run: &Run) -> Result<Admission, ApplyError>;

    /// Takes the event on a run that is still in `run.state`: new state, flow event `run.<state>` and the
    /// effects' jobs commit together. `data` goes into the flow event. Returns the run after it.
    async fn apply(&self, run: &Run, event: RunEvent, data: serde_json::Value) -> Result<Run, ApplyError>;

    /// Appends lines that the agent wrote. Idempotent by line number.
    async fn append_log(&self, id: RunId, lines: &[LogLine]) -> Result<(), PortError>;

    /// The number of the last line kept, 0 for none.
    async fn last_log_line(&self, id: RunId) -> Result<i64, PortError>;

    /// Notes the status comment, with a `run.reported` flow event when it is new.
    async fn set_comment(&self, id: RunId, comment: CommentId) -> Result<(), PortError>;

    /// Records a flow event that goes with no change of state, once per (run, kind).
    async fn record(&self, event: FlowEvent) -> Result<(), PortError>;

    /// Asks for a `run.observe` of this run now: the watch's hint.
    async fn hint(&self, id: RunId) -> Result<(), PortError>;
}

/// An issue as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgeIssue {
    /// Whether it is open.
    pub open: bool,
    /// Its labels' names.
    pub labels: Vec<String>,
    /// Its title; written by strangers, data and never instruction.
    pub title: String,
    /// Its text; written by strangers, data and never instruction.
    pub body: String,
}

/// GitHub, or what takes its place.
#[async_trait]
pub trait Forge: Send + Sync {
    /// The issue, `None` if there is no such (or it was deleted or moved).
    async fn issue(&self, repository: &RepositoryName, number: i64) -> Result<Option<ForgeIssue>, PortError>;

    /// What this person may do with the repository.
    async fn permission(&self, repository: &RepositoryName, login: &str) -> Result<Permission, PortError>;

    /// Writes the comment that carries `marker`: edits `known` if it is still there, else the oldest of our
    /// own comments with the marker, else creates one; afterwards exactly one of ours carries it. The
    /// marker is put into the text hidden.
    async fn upsert_comment(
        &self,
        repository: &RepositoryName,
        issue: i64,
        known: Option<CommentId>,
        marker: &str,
        body: &str,
    ) -> Result<CommentId, PortError>;
}

/// Kubernetes, or what takes its place.
#[async_trait]
pub trait Cluster: Send + Sync {
    /// Makes the namespace with all that guards it, and the Job. Server-side apply, deterministic names: a
    /// repeat changes nothing.
    async fn launch(&self, workload: &Workload) -> Result<(), PortError>;

    /// What has become of the Job.
    async fn observe(&self, namespace: &str, job_name: &str) -> Result<Observation, PortError>;

    /// Lines of the agent's log from the beginning, at most `limit_bytes` of them; empty if there is no pod
    /// or it hasn't begun. The last line is left out while it isn't finished and the pod runs.
    async fn log(&self, namespace: &str, job_name: &str, limit_bytes: i64) -> Result<Vec<String>, PortError>;

    /// Ends the Job and its pods; nothing if there is none.
    async fn stop(&self, namespace: &str, job_name: &str) -> Result<(), PortError>;

    /// Calls `hint` with every run whose Job or Pod changes, for as long as the connection lasts; the caller
    /// calls again with a backoff. Only a hint: changes may be missed.
    async fn watch(&self, hint: &(dyn Fn(RunId) + Send + Sync)) -> Result<(), PortError>;
}

/// Jobs as staff see and steer them. A job belongs to the project whose repository's delivery it is correlated to;
/// those of other projects than the given, or of none's where the given are some, aren't there. Every change is
/// audited, in its own transaction.
#[async_trait]
pub trait JobDesk: Send + Sync {
    /// Jobs, newest first. Answers quickly, with less than was asked for where that needs a long search.
    async fn list(&self, filter: &JobFilter, projects: &Projects) -> Result<JobPage, PortError>;
    /// One job whole.
    async fn get(&self, id: JobId, projects: &Projects) -> Result<Option<JobDetail>, PortError>;
    /// What it logged after this line, oldest first, at most so many; of all attempts.
    async fn log(
        &self,
        id: JobId,
        after: i64,
        limit: i64,
        projects: &Projects,
    ) -> Result<Vec<JobLogLine>, PortError>;
    /// Unfinished jobs per queue.
    async fn counts(&self) -> Result<Vec<QueueCounts>, PortError>;
    /// Why a job isn't running; `None` if there is no such job.
    async fn why(&self, id: JobId, projects: &Projects) -> Result<Option<JobExplanation>, PortError>;
    /// Changes one job.
    async fn change(
        &self,
        id: JobId,
        change: JobChange,
        projects: &Projects,
        by: &Author,
    ) -> Result<JobAction, PortError>;
    /// How many jobs match, in whatever state: counted up to a bound, and for a part of a second.
    async fn count(&self, filter: &JobFilter, projects: &Projects) -> Result<JobCount, PortError>;
    /// How many jobs a change would find.
    async fn preview(
        &self,
        jobs: &JobSelection,
        change: JobChange,
        projects: &Projects,
    ) -> Result<JobPreview, PortError>;
    /// Changes many, the newest first, in transactions of a bounded size. To be called again after an error: what
    /// is done already is refused or done to the same effect.
    async fn apply(
        &self,
        jobs: &JobSelection,
        change: JobChange,
        projects: &Projects,
        by: &Author,
    ) -> Result<JobsChanged, PortError>;
}

/// Queues and workers as staff see and steer them. Every change is audited, in its own transaction.
#[async_trait]
pub trait QueueDesk: Send + Sync {
    /// All queues, by name.
    async fn queues(&self) -> Result<Vec<QueueOverview>, PortError>;
    /// What is paused, the latest first, at most so many.
    async fn pauses(&self, limit: i64) -> Result<Vec<Pause>, PortError>;
    /// Starts no more jobs of it (`paused`), or does so again; what runs goes on.
    async fn pause(&self, what: &Pausable, paused: bool, by: &Author) -> Result<Switched, PortError>;
    /// A queue's limits; `None` if nobody has used this queue.
    async fn limits(&self, queue: &str) -> Result<Option<Limits>, PortError>;
    /// Sets a queue's limits, as long as they are as they were seen; those left out are lifted.
    async fn set_limits(
        &self,
        queue: &str,
        limits: Limits,
        seen: &Precondition,
        by: &Author,
    ) -> Result<LimitsSet, PortError>;
    /// Asks the living workers of this name to start nothing more, finish what they run, and end.
    async fn drain_worker(&self, name: &str, by: &Author) -> Result<Switched, PortError>;
    /// The workers that live, by name.
    async fn workers(&self) -> Result<Vec<LiveWorker>, PortError>;
}

/// Schedules as staff see and steer them. Every change is audited, in its own transaction.
#[async_trait]
pub trait ScheduleDesk: Send + Sync {
    /// Schedules by name, after this one, at most so many.
    async fn list(&self, after: Option<&str>, limit: i64) -> Result<Vec<Schedule>, PortError>;
    /// The schedule of this name.
    async fn get(&self, name: &str) -> Result<Option<Schedule>, PortError>;
    /// Its ticks, newest first, before this one, at most so many; empty if there is no such schedule.
    async fn ticks(
        &self,
        name: &str,
        before: Option<DateTime<Utc>>,
        limit: i64,
    ) -> Result<Vec<Tick>, PortError>;
    /// Stops its ticks (`paused`), or lets it tick again from now on.
    async fn pause(&self, name: &str, paused: bool, by: &Author) -> Result<Switched, PortError>;
    /// Enqueues its job now, paused or not; `None` if there is no such schedule.
    async fn run_now(&self, name: &str, by: &Author) -> Result<Option<JobId>, PortError>;
    /// Removes it; its jobs stay. False if there is no such schedule.
    async fn remove(&self, name: &str, by: &Author) -> Result<bool, PortError>;
}

/// Runs as staff see them; those of other projects than the given aren't there.
#[async_trait]
pub trait RunDesk: Send + Sync {
    /// Runs, newest first.
    async fn list(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, PortError>;
    /// One run.
    async fn get(&self, id: RunId, projects: &Projects) -> Result<Option<RunSummary>, PortError>;
    /// Everything recorded under the run's correlation id, oldest first.
    async fn events(&self, id: RunId, projects: &Projects) -> Result<Vec<RecordedEvent>, PortError>;
    /// Log lines with a number above `after`, at most `limit`.
    async fn log(
        &self,
        id: RunId,
        after: i64,
        limit: i64,
        projects: &Projects,
    ) -> Result<Vec<LogLine>, PortError>;
    /// The last log lines with a number below `before`, in order, at most `limit`.
    async fn log_before(
        &self,
        id: RunId,
        before: i64,
        limit: i64,
        projects: &Projects,
    ) -> Result<Vec<LogLine>, PortError>;
    /// Log lines with a number above the first and up to the second of `between` that hold this text, in any case,
    /// at most `limit`.
    async fn search_log(
        &self,
        id: RunId,
        text: &str,
        between: (i64, i64),
        limit: i64,
        projects: &Projects,
    ) -> Result<Vec<LogLine>, PortError>;
    /// The number of the last log line, 0 for none; `None` if there is no such run.
    async fn last_log_line(&self, id: RunId, projects: &Projects) -> Result<Option<i64>, PortError>;
    /// Ends a run that hasn't ended, whatever it does; audited. Its Job is ended by a worker.
    async fn cancel(&self, id: RunId, projects: &Projects, by: &Author) -> Result<RunCancel, PortError>;
    /// Makes a new run that does again what one that ended badly was to do, under the same correlation id; audited.
    async fn retry(&self, id: RunId, projects: &Projects, by: &Author) -> Result<RunRetry, PortError>;
}

/// Deliveries as staff see and steer them; those of other projects' repositories, or of none's where the
/// given are some, aren't there.
#[async_trait]
pub trait DeliveryDesk: Send + Sync {
    /// The ledger, newest first.
    async fn list(&self, filter: &DeliveryFilter) -> Result<Vec<DeliverySummary>, PortError>;
    /// One delivery whole.
    async fn get(&self, id: &DeliveryId, projects: &Projects) -> Result<Option<DeliveryDetail>, PortError>;
    /// Processes a stored delivery again; a dry run only says what it would do. Audited. `None` if there is
    /// no such delivery.
    async fn replay(
        &self,
        id: &DeliveryId,
        dry_run: bool,
        projects: &Projects,
        by: &FlowActor,
    ) -> Result<Option<Replay>, PortError>;
}

/// What changes in the database, for all who look at it live in one process.
pub trait ChangeFeed: Send + Sync {
    /// A reader whose first look goes back [`crate::live::LOOKBACK_S`].
    fn open(&self) -> Box<dyn ChangeReader>;
}

/// Looks again and again at what changed since the look before.
#[async_trait]
pub trait ChangeReader: Send {
    /// What changed since. Each look is a bounded number of bounded statements, however much changed. What is
    /// committed more than five seconds after it was written may be missed. After an error the reader is of no
    /// more use: open another.
    async fn read(&mut self, watched: &Watched) -> Result<Changes, PortError>;
}

/// Requests that have an effect, remembered by the key that their sender gave them, so that one that comes again
/// has no second effect. Kept for 24 hours.
#[async_trait]
pub trait IdempotentRequests: Send + Sync {
    /// Begins a request of this owner under this key. A request that was begun more than a minute ago and neither
    /// answered nor given up counts as lost, and begins anew.
    async fn begin(&self, request: &IdempotentRequest) -> Result<Begun, PortError>;
    /// Keeps its answer.
    async fn answer(&self, request: &IdempotentRequest, answer: &StoredAnswer) -> Result<(), PortError>;
    /// Gives the key free: nothing was done.
    async fn give_up(&self, request: &IdempotentRequest) -> Result<(), PortError>;
}
