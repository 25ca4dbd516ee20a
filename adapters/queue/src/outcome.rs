//! How an attempt ends.

use std::time::Duration;

use serde_json::Value;

/// A handler's good end.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The job is done.
    Done,
    /// The job is done, with a result to keep.
    DoneWith(Value),
    /// Not yet: run it again after this time. Burns no attempt.
    Snooze(Duration),
    /// The job has lost its sense: ends as cancelled.
    Cancel(String),
}

/// A handler's bad end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobError {
    /// It may get better: try again after this time, or after the kind's backoff where there is none.
    /// After the last attempt the job is dead.
    Retry {
        /// What went wrong, for people.
        error: String,
        /// The wait that the other side asked for.
        after: Option<Duration>,
    },
    /// It won't get better: the job is dead now.
    Fail {
        /// What went wrong, for people.
        error: String,
    },
}

impl JobError {
    /// It may get better.
    pub fn retry(error: impl Into<String>) -> Self {
        Self::Retry {
            error: error.into(),
            after: None,
        }
    }

    /// It won't get better.
    pub fn fail(error: impl Into<String>) -> Self {
        Self::Fail { error: error.into() }
    }
}

/// How an attempt ends, as the acker writes it down.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Finish {
    Completed(Option<Value>),
    Cancelled(String),
    Dead(String),
    Retry {
        error: String,
        delay: Duration,
    },
    Snooze(Duration),
    /// Given back untouched: the worker drains, or doesn't know the kind.
    Release,
}
