//! Job kinds: what a worker can run, and how it treats each kind's failures.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use crate::report::Source;
use crate::running::Control;
use crate::{Error, JobError, Kind, Outcome, Policy, finish};

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
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) id: i64,
    pub(crate) epoch: i32,
    pub(crate) worker_id: i32,
    pub(crate) control: Arc<Control>,
    /// Prepared statements may have names: no pooler in between.
    pub(crate) named: bool,
    pub(crate) report: Source,
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
                report: Source::default(),
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

type Attempt = BoxFuture<'static, Result<Outcome, JobError>>;
type Start<C> = dyn Fn(C, Job<()>, &str) -> Result<Attempt, serde_json::Error> + Send + Sync;

pub(crate) struct Registered<C> {
    pub(crate) policy: Policy,
    start: Arc<Start<C>>,
}

impl<C> Clone for Registered<C> {
    fn clone(&self) -> Self {
        Self {
            policy: self.policy,
            start: Arc::clone(&self.start),
        }
    }
}

impl<C> Registered<C> {
    /// Decodes the arguments and starts the handler.
    pub(crate) fn start(&self, context: C, job: Job<()>, args: &str) -> Result<Attempt, serde_json::Error> {
        (self.start)(context, job, args)
    }
}

/// The kinds that a worker can run. `C` is what every handler gets: the application's context.
pub struct Registry<C> {
    kinds: HashMap<&'static str, Registered<C>>,
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

    /// Adds a kind that is a type of its own.
    ///
    /// # Panics
    /// If a kind of this name is there already.
    pub fn register<K: Kind<Context = C>>(self) -> Self {
        self.add(K::NAME, K::policy(), |context, job| K::run(job, context))
    }

    /// Adds a kind by its name, its policy and its handler: for programs that make kinds in a way of their own.
    /// [`Registry::register`] is the shorter one.
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
            Registered {
                policy,
                start: Arc::new(start),
            },
        );
        assert!(before.is_none(), "job kind `{kind}` is registered twice");
        self
    }

    /// The names of the kinds.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.kinds.keys().copied()
    }

    pub(crate) fn kinds(&self) -> &HashMap<&'static str, Registered<C>> {
        &self.kinds
    }

    pub(crate) fn into_kinds(self) -> HashMap<&'static str, Registered<C>> {
        self.kinds
    }
}
