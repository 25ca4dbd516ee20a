//! Job kinds: what a worker can run, and how it treats each kind's failures.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use rand::Rng;
use serde::de::DeserializeOwned;
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use crate::running::Control;
use crate::{Error, JobError, Outcome, finish};

/// A job in its handler's hands.
#[derive(Debug)]
pub struct Job<A> {
    /// Its identifier.
    pub id: i64,
    /// Which attempt this is, from 1. Snoozes and give-backs don't count.
    pub attempt: i32,
    /// How many there may be.
    pub max_attempts: i32,
    /// What it belongs to.
    pub correlation_id: Option<String>,
    /// W3C trace context of the one who enqueued it.
    pub traceparent: Option<String>,
    /// Its arguments.
    pub args: A,
    pub(crate) lease: Lease,
}

/// What proves that an attempt is the present one.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    pub(crate) id: i64,
    pub(crate) epoch: i32,
    pub(crate) worker_id: i32,
    pub(crate) control: Arc<Control>,
    /// Prepared statements may have names: no pooler in between.
    pub(crate) named: bool,
}

impl<A> Job<A> {
    /// A job that no queue holds, for tests that call a handler by itself: the first of 20 attempts. It is
    /// never told to stop, and [`Job::complete_in`] fails, since it has no lease. Nothing runs it but the test.
    pub fn for_test(args: A) -> Self {
        Self {
            id: -1,
            attempt: 1,
            max_attempts: 20,
            correlation_id: None,
            traceparent: None,
            args,
            lease: Lease {
                id: -1,
                epoch: -1,
                worker_id: -1,
                control: Arc::default(),
                named: true,
            },
        }
    }

    /// Is triggered when the job is to stop: somebody cancelled it, its lease was lost or the worker's
    /// drain ran out. The handler's future is dropped some seconds after, or at once where the lease is lost.
    pub fn cancelled(&self) -> &CancellationToken {
        self.lease.control.token()
    }

    /// Completes the job in the handler's own transaction, so that its effects and its end commit together:
    /// exactly once. Fails if the lease was lost; the handler must then roll back. Return
    /// [`Outcome::Done`] after the commit.
    pub async fn complete_in(&self, conn: &mut PgConnection) -> Result<(), Error> {
        let lease = &self.lease;
        if finish::complete_one(conn, lease.worker_id, lease.id, lease.epoch, lease.named).await? {
            lease.control.settle();
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "job {} has another lease by now: roll back",
            lease.id
        )))
    }
}

/// How a kind's failures are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The wait before the next attempt.
    pub backoff: Backoff,
    /// How long an attempt may take where the job itself doesn't say; none for no limit.
    pub timeout: Option<Duration>,
}

impl Default for Policy {
    /// Backoff from 1 s to 10 min, five minutes for an attempt.
    fn default() -> Self {
        Self {
            backoff: Backoff::default(),
            timeout: Some(Duration::from_mins(5)),
        }
    }
}

/// Exponential backoff with full jitter: a random wait between nothing and `base * 2^(attempt - 1)`, at
/// most `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The ceiling after the first failure.
    pub base: Duration,
    /// The ceiling of all ceilings.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(1),
            max: Duration::from_mins(10),
        }
    }
}

impl Backoff {
    /// The longest wait after this attempt, from 1.
    pub fn ceiling(&self, attempt: i32) -> Duration {
        let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(0).min(31);
        self.base.saturating_mul(1 << doublings).min(self.max)
    }

    pub(crate) fn delay(&self, attempt: i32) -> Duration {
        self.ceiling(attempt).mul_f64(rand::rng().random_range(0.0..=1.0))
    }
}

type Attempt = BoxFuture<'static, Result<Outcome, JobError>>;
type Start<C> = dyn Fn(C, Job<()>, &str) -> Result<Attempt, serde_json::Error> + Send + Sync;

pub(crate) struct Kind<C> {
    pub(crate) policy: Policy,
    start: Box<Start<C>>,
}

impl<C> Kind<C> {
    /// Decodes the arguments and starts the handler.
    pub(crate) fn start(&self, context: C, job: Job<()>, args: &str) -> Result<Attempt, serde_json::Error> {
        (self.start)(context, job, args)
    }
}

/// The kinds that a worker can run. `C` is what every handler gets: the application's context.
pub struct Registry<C> {
    kinds: HashMap<&'static str, Kind<C>>,
}

impl<C> fmt::Debug for Registry<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.kinds.keys()).finish()
    }
}

impl<C> Default for Registry<C> {
    fn default() -> Self {
        Self {
            kinds: HashMap::new(),
        }
    }
}

impl<C: Clone + Send + Sync + 'static> Registry<C> {
    /// A registry without kinds.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a kind: its name, its policy and its handler.
    ///
    /// # Panics
    /// If the kind is there already: two handlers for one kind is a mistake of the program.
    pub fn add<A, F, Fut, E>(mut self, kind: &'static str, policy: Policy, handler: F) -> Self
    where
        A: DeserializeOwned + Send + 'static,
        F: Fn(C, Job<A>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Outcome, E>> + Send + 'static,
        E: Into<JobError>,
    {
        let start = move |context: C, job: Job<()>, args: &str| {
            let args: A = serde_json::from_str(args)?;
            let Job {
                id,
                attempt,
                max_attempts,
                correlation_id,
                traceparent,
                args: (),
                lease,
            } = job;
            let job = Job {
                id,
                attempt,
                max_attempts,
                correlation_id,
                traceparent,
                args,
                lease,
            };
            Ok(handler(context, job)
                .map(|result| result.map_err(Into::into))
                .boxed())
        };
        let before = self.kinds.insert(
            kind,
            Kind {
                policy,
                start: Box::new(start),
            },
        );
        assert!(before.is_none(), "job kind `{kind}` is registered twice");
        self
    }

    /// The names of the kinds.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.kinds.keys().copied()
    }

    pub(crate) fn into_kinds(self) -> HashMap<&'static str, Kind<C>> {
        self.kinds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_its_ceiling_and_is_jittered() {
        let backoff = Backoff {
            base: Duration::from_secs(1),
            max: Duration::from_mins(1),
        };
        for (attempt, ceiling_s) in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (1000, 60), (0, 1)] {
            assert_eq!(
                backoff.ceiling(attempt),
                Duration::from_secs(ceiling_s),
                "attempt {attempt}"
            );
        }
        let waits: Vec<Duration> = (0..100).map(|_| backoff.delay(5)).collect();
        assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(16)));
        assert!(waits.iter().any(|wait| *wait < Duration::from_secs(8)));
        assert!(waits.iter().any(|wait| *wait > Duration::from_secs(8)));
    }
}
