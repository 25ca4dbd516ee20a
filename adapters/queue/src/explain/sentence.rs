//! Each reason as a sentence that says what to do.

use std::fmt::{self, Display, Formatter};

use chrono::{DateTime, SecondsFormat, Utc};

use super::reason::{Awaited, Holding, Reason};
use crate::State;

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn list<T: Display>(of: &[T]) -> String {
    of.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Display for Awaited {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.id, self.state.map_or("gone", State::as_str))
    }
}

impl Display for Holding {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} runs {}", self.worker, self.running)
    }
}

impl Display for Reason {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished { state, at, why } => {
                write!(f, "It is {}", state.as_str())?;
                if let Some(at) = at {
                    write!(f, " since {}", time(*at))?;
                }
                if let Some(why) = why {
                    write!(f, ": {why}")?;
                }
                if *state == State::Completed {
                    write!(f, ". Enqueue another one to have it done again.")
                } else {
                    write!(f, ". Retry it to have it run again.")
                }
            }
            Self::Running { .. } => self.running(f),
            Self::NotDue { until } => {
                write!(f, "It is not due until {}. Reschedule or retry it to run it now.", time(*until))
            }
            Self::Due { since } => write!(
                f,
                "It is due since {}, and any worker that lives will put it in line within a second.",
                time(*since)
            ),
            Self::WaitsFor { jobs, .. } if jobs.is_empty() => {
                f.write_str("All that it waited for has ended: any worker that lives will release it within a minute.")
            }
            Self::WaitsFor { jobs, more } => Self::waits_for(jobs, *more, f),
            Self::QueuePaused { queue, since } => {
                write!(f, "The queue {queue} is paused since {}. Resume the queue.", time(*since))
            }
            Self::KindPaused { kind, since, put_aside } => write!(
                f,
                "The kind {kind} is paused since {}{}. Resume the kind.",
                time(*since),
                if *put_aside { ", and the job is put aside until then" } else { "" }
            ),
            Self::PutAside { kind } => write!(
                f,
                "The kind {kind} was paused, and any worker that lives will put the job back in line within a second."
            ),
            Self::TenantPaused { tenant, queue, since } => write!(
                f,
                "The tenant {tenant} is paused in the queue {queue} since {}. Resume the tenant.",
                time(*since)
            ),
            Self::NoWorkerOfQueue { queue, late } if late.is_empty() => {
                write!(f, "No worker serves the queue {queue}. Start one that does.")
            }
            Self::NoWorkerOfQueue { queue, late } => write!(
                f,
                "No worker that serves the queue {queue} gives a sign of life, beyond their leases: {}. Look after \
                 them, or start others.",
                list(late)
            ),
            Self::NoWorkerOfKind { kind, workers } => write!(
                f,
                "No worker of its queue knows the kind {kind}: not {}. Start one of a version that does.",
                list(workers)
            ),
            Self::WorkersDrain { workers } => write!(
                f,
                "All workers that could run it are draining: {}. Start others.",
                list(workers)
            ),
            Self::QueueLimit { .. } | Self::KeyLimit { .. } | Self::QueueRate { .. } | Self::KeyRate { .. } => {
                self.limited(f)
            }
            Self::WorkersBusy { running, slots } => write!(
                f,
                "The workers that could run it are busy: {running} jobs in {slots} slots. Wait, or start more workers."
            ),
            Self::Behind { jobs, at_least, of_lane } => write!(
                f,
                "{}{jobs} jobs come before it in {}. Wait, start more workers, or give it a smaller priority number.",
                if *at_least { "At least " } else { "" },
                if *of_lane { "its lane, which takes turns with the others" } else { "its line" }
            ),
            Self::Retrying { attempt, max_attempts, last_error } => write!(
                f,
                "Attempt {attempt} of {max_attempts} failed: {last_error}. Mend that; the job is tried again by itself."
            ),
            Self::Nothing => f.write_str(
                "Nothing holds it up: a worker takes it within its poll interval, unless an open transaction holds \
                 the job's row (codex-k8s queue health names old ones).",
            ),
        }
    }
}

impl Reason {
    fn limited(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueueLimit {
                queue,
                running,
                max,
                held_by,
            } => write!(
                f,
                "The queue {queue} runs {running} jobs of {max} that may run at once: {}. Wait for one to end, or \
                 raise the queue's limit.",
                list(held_by)
            ),
            Self::KeyLimit {
                key,
                running,
                max,
                jobs,
                more,
            } => {
                write!(
                    f,
                    "{running} jobs of {max} that may run at once have the key {key}"
                )?;
                if !jobs.is_empty() {
                    write!(f, ": {}{}", list(jobs), if *more { ", …" } else { "" })?;
                }
                f.write_str(". Wait for one to end, or raise the queue's limit per key.")
            }
            Self::QueueRate {
                queue,
                jobs,
                period_ms,
                next_at,
            } => write!(
                f,
                "The queue {queue} may start {jobs} jobs in {period_ms} ms: the next one at {}. Wait, or raise the \
                 queue's rate.",
                time(*next_at)
            ),
            Self::KeyRate {
                key,
                jobs,
                period_ms,
                next_at,
            } => write!(
                f,
                "Of the key {key}, {jobs} jobs may start in {period_ms} ms: the next one at {}. Wait, or raise the \
                 queue's rate per key.",
                time(*next_at)
            ),
            _ => Ok(()),
        }
    }

    fn running(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self::Running {
            worker,
            since,
            heartbeat_age_ms,
            is_late,
            is_cancel_requested,
        } = self
        else {
            return Ok(());
        };
        write!(
            f,
            "It runs on {}",
            worker.as_deref().unwrap_or("a worker that is gone")
        )?;
        if let Some(since) = since {
            write!(f, " since {}", time(*since))?;
        }
        if let Some(age) = heartbeat_age_ms {
            write!(f, ", whose last sign of life was {age} ms ago")?;
        }
        f.write_str(match (is_late, is_cancel_requested) {
            (true, _) => ": beyond its lease. Any worker that lives takes the job from it within seconds.",
            (false, true) => ". It was asked to stop.",
            (false, false) => ". Cancel it to stop it.",
        })
    }

    fn waits_for(jobs: &[Awaited], more: bool, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "It waits for {}{}. ",
            list(jobs),
            if more { ", …" } else { "" }
        )?;
        let stuck = |job: &&Awaited| matches!(job.state, None | Some(State::Dead | State::Cancelled));
        let stuck: Vec<i64> = jobs.iter().filter(stuck).map(|job| job.id).collect();
        if stuck.is_empty() {
            f.write_str("Wait for these, or retry the job to run it without.")
        } else {
            write!(
                f,
                "{} will not end well by itself: retry what is there, or retry the job to run it without.",
                list(&stuck)
            )
        }
    }
}
