//! Jobs to enqueue.

use std::borrow::Cow;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::Error;

/// How many attempts a job has unless it says otherwise; the table's default too.
pub(crate) const MAX_ATTEMPTS: i32 = 20;

/// A job to enqueue.
#[derive(Debug, Clone)]
pub struct NewJob {
    pub(crate) queue: Cow<'static, str>,
    pub(crate) kind: Cow<'static, str>,
    pub(crate) args: Value,
    pub(crate) priority: i16,
    pub(crate) delay: Duration,
    pub(crate) max_attempts: i32,
    pub(crate) timeout: Option<Duration>,
    pub(crate) unique: Option<(String, OnConflict)>,
    pub(crate) correlation_id: Option<String>,
    pub(crate) traceparent: Option<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) tenant: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) after: Vec<i64>,
    pub(crate) run_at: Option<DateTime<Utc>>,
}

/// What to do when an unfinished job has the same unique key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// Leave the older job as it is.
    Keep,
    /// Give the older job the new arguments and the new time. If it runs just now it is run once more
    /// afterwards.
    Replace,
    /// As `Replace`, but of both times the earlier one.
    Hasten,
    /// As `Replace`, but never later than so long after the older job was enqueued: it runs once things have
    /// been quiet for its delay, or have been going on for `max_wait`. If it runs just now, it is run once
    /// more, so long after this attempt began at the latest.
    Debounce {
        /// The longest wait that others can cause.
        max_wait: Duration,
    },
}

/// What became of a job to enqueue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A new job stands in the queue.
    Inserted,
    /// An older job with the key was left as it is.
    Kept,
    /// An older job with the key took the new arguments and time, or will be run once more with them.
    Replaced,
}

/// The job that now stands for the one to enqueue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enqueued {
    /// The new job, or the older one with the key.
    pub id: i64,
    /// Which of the two.
    pub verdict: Verdict,
}

impl NewJob {
    /// A job that runs as soon as may be, with 20 attempts.
    pub fn new(queue: impl Into<Cow<'static, str>>, kind: impl Into<Cow<'static, str>>, args: Value) -> Self {
        Self {
            queue: queue.into(),
            kind: kind.into(),
            args,
            priority: 0,
            delay: Duration::ZERO,
            max_attempts: MAX_ATTEMPTS,
            timeout: None,
            unique: None,
            correlation_id: None,
            traceparent: None,
            tags: Vec::new(),
            tenant: None,
            key: None,
            after: Vec::new(),
            run_at: None,
        }
    }

    /// Lower runs first; 0 by default.
    pub fn priority(mut self, priority: i16) -> Self {
        self.priority = priority;
        self
    }

    /// Not before so much time has passed, by the database's clock. Takes the place of [`NewJob::run_at`].
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self.run_at = None;
        self
    }

    /// Not before this, by the database's clock; one that has passed is now. Takes the place of [`NewJob::delay`].
    pub fn run_at(mut self, run_at: DateTime<Utc>) -> Self {
        self.run_at = Some(run_at);
        self.delay = Duration::ZERO;
        self
    }

    /// How many attempts may fail before the job is dead; at least 1.
    pub fn max_attempts(mut self, max_attempts: i32) -> Self {
        self.max_attempts = max_attempts.max(1);
        self
    }

    /// How long one attempt may take; overrides the kind's own.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// At most one unfinished job has this key (1 to 512 bytes), over all queues.
    pub fn unique(mut self, key: impl Into<String>, on_conflict: OnConflict) -> Self {
        self.unique = Some((key.into(), on_conflict));
        self
    }

    /// Whose job it is (1 to 256 characters): workers take turns between the tenants of a queue, so that one
    /// tenant's flood delays nobody else's jobs, and a tenant can be paused.
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// What the job's limits are counted by (1 to 256 characters): see [`Limits`](crate::Limits), where a queue
    /// can say how many jobs of one key run at once, or start in a time.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Not before these jobs are completed. Where one of them ends dead or cancelled, or has ended so already, the
    /// job goes on waiting: it runs when that one is retried and completed, or when it is itself retried. The
    /// delay counts from the enqueue as well: the later time holds. Can't go together with a unique key. An unknown
    /// job is [`Error::Invalid`] at the enqueue, which leaves the caller's transaction as it was.
    pub fn after(mut self, jobs: impl IntoIterator<Item = i64>) -> Self {
        self.after.extend(jobs);
        self
    }

    /// Refuses what the database would refuse, before it aborts the caller's transaction.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let too_long = |text: &Option<String>| {
            let length = text.as_ref().map_or(1, |text| text.chars().count());
            !(1..=256).contains(&length)
        };
        if too_long(&self.tenant) || too_long(&self.key) {
            return Err(Error::Invalid(
                "a tenant and a key have 1 to 256 characters".into(),
            ));
        }
        if let Some((key, _)) = &self.unique
            && !(1..=512).contains(&key.len())
        {
            return Err(Error::Invalid("a unique key has 1 to 512 bytes".into()));
        }
        if self.unique.is_some() && !self.after.is_empty() {
            return Err(Error::Invalid(
                "a job that waits for others can't have a unique key".into(),
            ));
        }
        let texts = [&self.correlation_id, &self.traceparent, &self.tenant, &self.key];
        let mut texts = texts.into_iter().flatten().chain(&self.tags);
        let key = self.unique.as_ref().map(|(key, _)| key);
        if texts.any(|text| text.contains('\0')) || key.is_some_and(|key| key.contains('\0')) {
            return Err(Error::Invalid(
                "PostgreSQL's texts hold no NUL, and one of the job's has one".into(),
            ));
        }
        if has_nul(&self.args) {
            return Err(Error::Invalid(
                "PostgreSQL's JSON holds no NUL, and the job's arguments have one".into(),
            ));
        }
        Ok(())
    }

    pub(crate) fn is_in_lane(&self) -> bool {
        self.tenant.is_some()
    }

    /// What the job belongs to; shown and searched, not interpreted.
    pub fn correlation_id(mut self, id: impl Into<String>) -> Self {
        self.correlation_id = Some(id.into());
        self
    }

    /// W3C trace context of the caller.
    pub fn traceparent(mut self, traceparent: impl Into<String>) -> Self {
        self.traceparent = Some(traceparent.into());
        self
    }

    /// A word to find the job by.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| name.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
