//! What can be done to a job at a person's wish, and what becomes of it.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

use super::State;

/// Who wants a change, and why: the audit says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// A person's or a program's name.
    pub actor: String,
    /// Their reason; a cancelled job keeps it.
    pub reason: Option<String>,
}

impl By {
    /// By this person or program.
    pub fn new(actor: impl Into<String>) -> Self {
        Self {
            actor: actor.into(),
            reason: None,
        }
    }

    /// For this reason.
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }
}

/// What to do to a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Run a dead, cancelled, scheduled or waiting job now, with its attempts counted anew.
    Retry,
    /// End one that hasn't ended: at once, or by asking its worker where it runs.
    Cancel,
    /// Remove one that doesn't run, with its failed attempts, without a trace but the audit's.
    Delete,
    /// Give one that waits another time.
    Reschedule(When),
    /// Give one that waits another priority; it goes to the end of that line.
    Priority(i16),
}

/// When to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// As soon as a worker is free; a job that is ready already keeps its place.
    Now,
    /// Not before so much time has passed, up to ten years.
    In(Duration),
    /// Not before this.
    At(DateTime<Utc>),
}

impl Change {
    /// As the audit has it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Cancel => "cancel",
            Self::Delete => "delete",
            Self::Reschedule(_) => "reschedule",
            Self::Priority(_) => "priority",
        }
    }

    pub(super) fn detail(&self) -> Option<String> {
        match self {
            Self::Reschedule(When::Now) => Some("now".into()),
            Self::Reschedule(When::In(delay)) => Some(format!("in {} ms", delay.as_millis())),
            Self::Reschedule(When::At(at)) => Some(at.to_rfc3339_opts(SecondsFormat::Millis, true)),
            Self::Priority(priority) => Some(priority.to_string()),
            Self::Retry | Self::Cancel | Self::Delete => None,
        }
    }

    /// The states in which a job can be changed so.
    pub(super) fn states(&self) -> &'static [State] {
        match self {
            Self::Retry => &[State::Scheduled, State::Waiting, State::Cancelled, State::Dead],
            Self::Cancel => &[State::Ready, State::Scheduled, State::Waiting, State::Running],
            Self::Delete => &[
                State::Ready,
                State::Scheduled,
                State::Waiting,
                State::Completed,
                State::Cancelled,
                State::Dead,
            ],
            Self::Reschedule(_) => &[State::Ready, State::Scheduled],
            Self::Priority(_) => &[State::Ready, State::Scheduled, State::Waiting],
        }
    }
}

/// What became of a wish about a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Done.
    Done,
    /// A running job was asked to stop.
    Requested,
    /// The job's state doesn't allow it.
    NotAllowed(State),
    /// There is no such job.
    NotFound,
}
