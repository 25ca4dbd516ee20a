//! The typed jobs that carry work from one step to the next, and the neutral form in which ports pass
//! them on. Handlers live in `jobs/src/kinds/`, one file each; the queue itself knows none of this.

mod desk;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::id::{CorrelationId, DeliveryId, RunId};
use crate::repository::RepositoryName;
pub use desk::{
    JobAction, JobAttempt, JobChange, JobCount, JobDetail, JobExplanation, JobFilter, JobLogLine, JobPage,
    JobPreview, JobProgress, JobReason, JobSelection, JobState, JobSummary, JobsChanged, LogLevel,
    QueueCounts, RunTime, StoppedAt,
};

/// The queue of webhook deliveries: short jobs that must not wait behind runs.
pub const DELIVERIES: &str = "deliveries";
/// The queue of everything that steers runs.
pub const RUNS: &str = "runs";

/// Arguments of one kind of job.
pub trait JobArgs: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The kind's name, stable for ever: it stands in the database.
    const KIND: &'static str;
    /// The queue that its jobs go to.
    const QUEUE: &'static str;

    /// Jobs with the same key don't stand side by side; see [`NewJob::unique`].
    fn unique(&self) -> Option<Unique> {
        None
    }
}

/// How an unfinished job with the same key is treated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unique {
    /// Unique over all unfinished jobs; begin it with the kind's name.
    pub key: String,
    /// What to do when there is one.
    pub on_conflict: OnConflict,
}

/// What to do when an unfinished job has the key already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// Leave it as it is.
    Keep,
    /// Give it the new arguments and of both times the earlier one; if it runs just now, run it once more
    /// afterwards.
    Replace,
}

/// A job to enqueue, in the form that ports pass on.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// [`JobArgs::KIND`].
    pub kind: &'static str,
    /// [`JobArgs::QUEUE`].
    pub queue: &'static str,
    /// The arguments as JSON.
    pub args: Value,
    /// Uniqueness over unfinished jobs.
    pub unique: Option<Unique>,
    /// Wait so long before it runs, in milliseconds.
    pub delay_ms: i64,
    /// What it belongs to.
    pub correlation_id: Option<CorrelationId>,
    /// W3C trace context of the one who asks.
    pub traceparent: Option<String>,
}

impl NewJob {
    /// A job that runs as soon as may be.
    ///
    /// # Panics
    /// If the arguments don't serialise to JSON, which plain data always does.
    #[expect(clippy::expect_used, reason = "plain data always serialises")]
    pub fn new<A: JobArgs>(args: &A) -> Self {
        Self {
            kind: A::KIND,
            queue: A::QUEUE,
            unique: args.unique(),
            args: serde_json::to_value(args).expect("job arguments are plain data"),
            delay_ms: 0,
            correlation_id: None,
            traceparent: None,
        }
    }

    /// Says what the job belongs to.
    pub fn correlated(mut self, id: &CorrelationId) -> Self {
        self.correlation_id = Some(id.clone());
        self
    }

    /// Lets the job wait.
    pub fn after_ms(mut self, delay_ms: i64) -> Self {
        self.delay_ms = delay_ms;
        self
    }

    /// Continues a trace.
    pub fn traced(mut self, traceparent: Option<String>) -> Self {
        self.traceparent = traceparent;
        self
    }
}

/// Read a stored delivery and decide what it leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GithubDelivery {
    /// Which.
    pub delivery_id: DeliveryId,
}

impl JobArgs for GithubDelivery {
    const KIND: &'static str = "github.delivery";
    const QUEUE: &'static str = DELIVERIES;
}

/// Give a run a slot, its namespace and its Job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunStart {
    /// Which.
    pub run_id: RunId,
}

impl JobArgs for RunStart {
    const KIND: &'static str = "run.start";
    const QUEUE: &'static str = RUNS;

    fn unique(&self) -> Option<Unique> {
        Some(Unique {
            key: format!("run.start:{}", self.run_id),
            on_conflict: OnConflict::Replace,
        })
    }
}

/// Look at a run's Job and record what has become of it. Level-triggered: the present state decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunObserve {
    /// Which.
    pub run_id: RunId,
}

impl JobArgs for RunObserve {
    const KIND: &'static str = "run.observe";
    const QUEUE: &'static str = RUNS;

    fn unique(&self) -> Option<Unique> {
        Some(Unique {
            key: format!("run.observe:{}", self.run_id),
            on_conflict: OnConflict::Replace,
        })
    }
}

/// Bring a run's status comment up to date. Level-triggered: it writes the present state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunReport {
    /// Which.
    pub run_id: RunId,
}

impl JobArgs for RunReport {
    const KIND: &'static str = "run.report";
    const QUEUE: &'static str = RUNS;

    fn unique(&self) -> Option<Unique> {
        Some(Unique {
            key: format!("run.report:{}", self.run_id),
            on_conflict: OnConflict::Replace,
        })
    }
}

/// Answer on an issue, once per cause: a label conflict, a busy issue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueComment {
    /// Where.
    pub repository: RepositoryName,
    /// On which issue.
    pub issue: i64,
    /// Hidden in the comment; a comment that has it is edited instead of doubled.
    pub marker: String,
    /// Markdown.
    pub body: String,
}

impl JobArgs for IssueComment {
    const KIND: &'static str = "issue.comment";
    const QUEUE: &'static str = RUNS;

    fn unique(&self) -> Option<Unique> {
        Some(Unique {
            key: format!("issue.comment:{}", self.marker),
            on_conflict: OnConflict::Replace,
        })
    }
}
