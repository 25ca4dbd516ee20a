//! What changed, as it is shown live: rows in the shape of the lists, read from the database by a
//! [`crate::port::ChangeReader`].

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::delivery::DeliverySummary;
use crate::flow::RecordedEvent;
use crate::id::{JobId, ProjectId, RunId};
use crate::job::JobSummary;
use crate::queue::QueueOverview;
use crate::run::{LogLine, RunSummary};

/// How far back a reader's first look goes, in seconds: whoever was cut off for less misses nothing at another
/// gateway.
pub const LOOKBACK_S: i64 = 60;

/// At most so many rows of a sort in one look.
pub const AT_MOST: usize = 200;

/// What somebody has open, beyond the lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watched {
    /// Jobs that are shown whole: their changes are noticed however old they are.
    pub jobs: BTreeSet<JobId>,
    /// Runs whose log is followed.
    pub runs: BTreeSet<RunId>,
}

/// Changed rows of one sort.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed<T> {
    /// As they are now, at most [`AT_MOST`].
    pub rows: Vec<T>,
    /// There was more than this, or something is gone: the lists have to be read again.
    pub more: bool,
}

impl<T> Default for Changed<T> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            more: false,
        }
    }
}

/// A row and the project whose members may see it; `None` where it belongs to none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned<T> {
    /// Whose.
    pub project: Option<ProjectId>,
    /// The row.
    pub row: T,
}

/// Further lines of a watched run's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogTail {
    /// The run.
    pub run: RunId,
    /// In order, without a gap to those of the look before.
    pub lines: Vec<LogLine>,
}

/// What one look has found.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// The database's time before the look: whatever was committed until then has been seen.
    pub began_at: DateTime<Utc>,
    /// And after it: nothing that was committed later has been seen.
    pub ended_at: DateTime<Utc>,
    /// Jobs that are new, begun, put back, steered or ended.
    pub jobs: Changed<Owned<JobSummary>>,
    /// Runs that are new or in another state.
    pub runs: Changed<Owned<RunSummary>>,
    /// Deliveries that are new, settled or replayed.
    pub deliveries: Changed<Owned<DeliverySummary>>,
    /// What was recorded of runs.
    pub run_events: Changed<Owned<RecordedEvent>>,
    /// All queues, if something about them is other than before.
    pub queues: Option<Vec<QueueOverview>>,
    /// Lines of the watched runs.
    pub logs: Vec<Owned<LogTail>>,
}
