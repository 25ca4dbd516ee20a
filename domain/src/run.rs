//! Runs of agents: the state machine. Pure; [`crate::port::RunStore::apply`] commits what it decides.
//!
//! ```text
//! pending --Admitted--> preparing --Launched--> running --Exited(0)--> succeeded
//!    |  ^                   |                      |-----Exited(n)--> failed
//! SlotsFull|                |                      |-----DeadlinePassed--> timed_out
//!    v  |                   |
//! waiting_slot              +--Failed--> failed          any of them --Canceled--> canceled
//! ```

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::access::Projects;
use crate::id::{CommentId, CorrelationId, RunId};
use crate::repository::Repository;
use crate::stage::Stage;

/// Where a run stands, with what belongs to that state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum RunState {
    /// Created; nobody has looked at it yet.
    Pending,
    /// The project's slots are taken.
    WaitingSlot,
    /// Has a slot; its namespace and Job are being made.
    Preparing,
    /// Its agent's Job exists in the cluster.
    Running,
    /// The agent ended with exit code 0.
    Succeeded,
    /// The agent or its preparation failed.
    Failed {
        /// For people: what went wrong.
        reason: String,
        /// The agent's exit code, where it ran.
        exit_code: Option<i32>,
    },
    /// Someone ended it.
    Canceled {
        /// For people: who or what ended it.
        reason: String,
    },
    /// Its deadline passed.
    TimedOut,
}

/// What can happen to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEvent {
    /// The project had a free slot.
    Admitted,
    /// The project had none.
    SlotsFull,
    /// Namespace and Job are in the cluster.
    Launched,
    /// The agent ended.
    Exited {
        /// With this code.
        code: i32,
    },
    /// The Job's deadline passed.
    DeadlinePassed,
    /// It can't go on.
    Failed {
        /// For people: why.
        reason: String,
    },
    /// Someone ended it.
    Canceled {
        /// For people: who or what.
        reason: String,
    },
}

/// Work that a transition asks for; the store commits it as jobs together with the new state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Write the status comment anew.
    Report,
    /// Look at the Job again after the poll interval, in case the watch misses its end.
    Observe,
    /// End the Job, of which nothing more is wanted.
    Stop,
    /// The slot is free: start the project's oldest waiting run.
    ReleaseSlot,
}

/// The event doesn't fit the state.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a run that is {state} can't take {event:?}")]
pub struct InvalidTransition {
    /// The present state's name.
    pub state: &'static str,
    /// What was to happen.
    pub event: RunEvent,
}

impl RunState {
    /// Whether it ended otherwise than well, so that the same may be tried again.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Canceled { .. } | Self::TimedOut)
    }

    /// The name in the database and in the API.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::WaitingSlot => "waiting_slot",
            Self::Preparing => "preparing",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed { .. } => "failed",
            Self::Canceled { .. } => "canceled",
            Self::TimedOut => "timed_out",
        }
    }

    /// Whether nothing more can happen.
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Succeeded | Self::Failed { .. } | Self::Canceled { .. } | Self::TimedOut
        )
    }

    /// Whether the run holds one of its project's slots.
    pub fn holds_slot(&self) -> bool {
        matches!(self, Self::Preparing | Self::Running)
    }

    /// The next state and the work that it asks for.
    pub fn transition(&self, event: RunEvent) -> Result<(Self, Vec<Effect>), InvalidTransition> {
        let next = match (self, event) {
            (Self::Pending | Self::WaitingSlot, RunEvent::Admitted) => Self::Preparing,
            (Self::Pending, RunEvent::SlotsFull) => Self::WaitingSlot,
            (Self::Preparing, RunEvent::Launched) => Self::Running,
            (Self::Running, RunEvent::Exited { code: 0 }) => Self::Succeeded,
            (Self::Running, RunEvent::Exited { code }) => Self::Failed {
                reason: format!("the agent ended with exit code {code}"),
                exit_code: Some(code),
            },
            (Self::Running, RunEvent::DeadlinePassed) => Self::TimedOut,
            (state, RunEvent::Failed { reason }) if !state.is_final() => Self::Failed {
                reason,
                exit_code: None,
            },
            (state, RunEvent::Canceled { reason }) if !state.is_final() => Self::Canceled { reason },
            (state, event) => {
                return Err(InvalidTransition {
                    state: state.as_str(),
                    event,
                });
            }
        };
        let mut effects = vec![Effect::Report];
        if next == Self::Running {
            effects.push(Effect::Observe);
        }
        if matches!(next, Self::Canceled { .. }) && self.holds_slot() {
            effects.push(Effect::Stop);
        }
        if next.is_final() && self.holds_slot() {
            effects.push(Effect::ReleaseSlot);
        }
        Ok((next, effects))
    }
}

/// A run.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its identifier.
    pub id: RunId,
    /// The repository that it works on, with its project.
    pub repository: Repository,
    /// The issue that asked for it.
    pub issue: i64,
    /// The stage.
    pub stage: Stage,
    /// Whether it revises earlier work.
    pub revise: bool,
    /// Where it stands.
    pub state: RunState,
    /// The delivery that caused it.
    pub correlation_id: CorrelationId,
    /// Who asked for it.
    pub requested_by: String,
    /// The namespace, once it is being prepared.
    pub namespace: Option<String>,
    /// The status comment, once it is posted.
    pub comment_id: Option<CommentId>,
    /// When it was created, by the database's clock.
    pub created_at: DateTime<Utc>,
    /// When its Job was created in the cluster.
    pub started_at: Option<DateTime<Utc>>,
    /// When it reached a final state.
    pub finished_at: Option<DateTime<Utc>>,
}

/// A run to create.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// The repository that it works on, with its project.
    pub repository: Repository,
    /// The issue that asked for it.
    pub issue: i64,
    /// The stage.
    pub stage: Stage,
    /// Whether it revises earlier work.
    pub revise: bool,
    /// The delivery that causes it: at most one run per delivery.
    pub correlation_id: CorrelationId,
    /// Who asks for it.
    pub requested_by: String,
}

/// What became of the wish to cancel a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunCancel {
    /// It is canceled; its Job is being ended.
    Done,
    /// It has ended already, in this state.
    Ended(RunState),
    /// There is no such run, or not in these projects.
    NotFound,
}

/// What became of the wish to run again what a run was to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunRetry {
    /// This run does it.
    Created(RunId),
    /// It hasn't ended badly: it is in this state.
    NotAllowed(RunState),
    /// The issue has an unfinished run already.
    IssueBusy(RunId),
    /// Its repository is in no project any more, or its project is archived.
    Closed,
    /// There is no such run, or not in these projects.
    NotFound,
}

/// What became of a run to create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It is new; its `run.start` job is enqueued.
    New(RunId),
    /// The same delivery created it before.
    Known(RunId),
    /// The issue has an unfinished run already.
    IssueBusy(RunId),
}

/// A line of the list of runs, for people.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunSummary {
    /// Its identifier.
    pub id: RunId,
    /// The project's slug.
    pub project: String,
    /// `owner/name`.
    pub repository: String,
    /// The issue.
    pub issue: i64,
    /// The stage.
    pub stage: Stage,
    /// Whether it revises earlier work.
    pub revise: bool,
    /// Where it stands.
    #[serde(flatten)]
    pub state: RunState,
    /// The delivery that caused it.
    pub correlation_id: CorrelationId,
    /// Who asked for it.
    pub requested_by: String,
    /// The namespace, once it is being prepared.
    pub namespace: Option<String>,
    /// The status comment, once it is posted.
    pub comment_id: Option<CommentId>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When its Job was created in the cluster.
    pub started_at: Option<DateTime<Utc>>,
    /// When it reached a final state.
    pub finished_at: Option<DateTime<Utc>>,
}

/// What to list of runs. Newest first.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Only of these projects: those in which the one who asks may see.
    pub projects: Projects,
    /// Only with this status (the name, as in [`RunState::as_str`]).
    pub status: Option<String>,
    /// Only of this project.
    pub project: Option<String>,
    /// Only older than this run (keyset paging).
    pub before: Option<RunId>,
    /// At most so many.
    pub limit: i64,
}

/// A line that the agent wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Counts from 1 within the run.
    pub number: i64,
    /// Without the line's end, redacted.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(reason: &str, exit_code: Option<i32>) -> RunState {
        RunState::Failed {
            reason: reason.into(),
            exit_code,
        }
    }

    #[test]
    fn the_way_of_a_run() {
        use Effect::{Observe, ReleaseSlot, Report, Stop};
        let cancel = || RunEvent::Canceled { reason: "ann".into() };
        let canceled = || RunState::Canceled { reason: "ann".into() };
        let fail = || RunEvent::Failed { reason: "x".into() };
        for (from, event, to, effects) in [
            (
                RunState::Pending,
                RunEvent::Admitted,
                RunState::Preparing,
                vec![Report],
            ),
            (
                RunState::Pending,
                RunEvent::SlotsFull,
                RunState::WaitingSlot,
                vec![Report],
            ),
            (
                RunState::WaitingSlot,
                RunEvent::Admitted,
                RunState::Preparing,
                vec![Report],
            ),
            (
                RunState::Preparing,
                RunEvent::Launched,
                RunState::Running,
                vec![Report, Observe],
            ),
            (
                RunState::Running,
                RunEvent::Exited { code: 0 },
                RunState::Succeeded,
                vec![Report, ReleaseSlot],
            ),
            (
                RunState::Running,
                RunEvent::Exited { code: 3 },
                failed("the agent ended with exit code 3", Some(3)),
                vec![Report, ReleaseSlot],
            ),
            (
                RunState::Running,
                RunEvent::DeadlinePassed,
                RunState::TimedOut,
                vec![Report, ReleaseSlot],
            ),
            (RunState::Pending, fail(), failed("x", None), vec![Report]),
            (
                RunState::Preparing,
                fail(),
                failed("x", None),
                vec![Report, ReleaseSlot],
            ),
            (RunState::Pending, cancel(), canceled(), vec![Report]),
            (
                RunState::Running,
                cancel(),
                canceled(),
                vec![Report, Stop, ReleaseSlot],
            ),
        ] {
            assert_eq!(
                from.transition(event.clone()),
                Ok((to, effects)),
                "{from:?} {event:?}"
            );
        }
    }

    #[test]
    fn what_cannot_happen() {
        let every_event = [
            RunEvent::Admitted,
            RunEvent::SlotsFull,
            RunEvent::Launched,
            RunEvent::Exited { code: 0 },
            RunEvent::DeadlinePassed,
            RunEvent::Failed {
                reason: String::new(),
            },
            RunEvent::Canceled {
                reason: String::new(),
            },
        ];
        let ends = [
            RunState::Succeeded,
            failed("", None),
            RunState::Canceled {
                reason: String::new(),
            },
            RunState::TimedOut,
        ];
        for end in ends {
            assert!(end.is_final());
            for event in every_event.clone() {
                assert!(end.transition(event.clone()).is_err(), "{end:?} took {event:?}");
            }
        }
        for (state, event) in [
            (RunState::Pending, RunEvent::Launched),
            (RunState::WaitingSlot, RunEvent::SlotsFull),
            (RunState::Preparing, RunEvent::Exited { code: 0 }),
            (RunState::Running, RunEvent::Admitted),
        ] {
            assert!(
                state.transition(event.clone()).is_err(),
                "{state:?} took {event:?}"
            );
        }
    }
}
