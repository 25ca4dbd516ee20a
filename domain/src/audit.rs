//! What people changed: the queue's own audit and the flow events of people, as one list.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::id::{JobId, RunId};

/// Where a page ended: each of the two records goes on from its own place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditPlace {
    /// Only entries of the queue's audit before this one.
    pub queue: i64,
    /// Only flow events before this one.
    pub platform: i64,
}

impl AuditPlace {
    /// Before the first page.
    pub const NEWEST: Self = Self {
        queue: i64::MAX,
        platform: i64::MAX,
    };
}

/// Which entries; all conditions must hold.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only of this person or agent.
    pub actor: Option<String>,
    /// Only this action.
    pub action: Option<String>,
    /// Only of this subject.
    pub subject: Option<String>,
    /// Only what changed this job.
    pub job: Option<JobId>,
    /// Only at or after.
    pub since: Option<DateTime<Utc>>,
    /// Only before.
    pub until: Option<DateTime<Utc>>,
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// Names it, among all.
    pub id: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: String,
    /// A dotted name: `job.retry`, `queue.pause`, `access.role_changed`, `project.created`.
    pub action: String,
    /// What was changed: `queue mail`, `user-7`; none for jobs, which are named by number.
    pub subject: Option<String>,
    /// The subject as people know it, where it has another name.
    pub subject_name: Option<String>,
    /// How it stood; none where it wasn't there.
    pub before: Option<Value>,
    /// How it stands since; none where it is gone.
    pub after: Option<Value>,
    /// What else there is to know.
    pub data: Option<Value>,
    /// Why, where it was said.
    pub reason: Option<String>,
    /// Jobs that were changed: the first twenty.
    pub jobs: Vec<JobId>,
    /// How many jobs were changed.
    pub affected: i64,
    /// The run that it belongs to.
    pub run: Option<RunId>,
    /// Ties it to its cause.
    pub correlation_id: Option<String>,
}

/// A page of them, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditPage {
    /// The entries.
    pub entries: Vec<AuditEntry>,
    /// Where to go on; `None` if there is nothing more.
    pub next: Option<AuditPlace>,
}
