//! A durable job queue on PostgreSQL, run by [apalis](apalis_core) workers.
//!
//! It stands alone: nothing here knows the rest of the product. Jobs are enqueued in the caller's own
//! transaction ([`Queue::enqueue`]), claimed in batches with `FOR UPDATE SKIP LOCKED`, run under a lease
//! that carries an attempt epoch, and finished by group-committed acknowledgements that move them from the
//! hot table to a history that is dropped day by day.
//!
//! ```no_run
//! use std::time::Duration;
//! use queue::{Job, JobError, Kind, NewJob, OnConflict, Outcome, Policy, Queue, Registry, Worker, WorkerOptions};
//! use serde::{Deserialize, Serialize};
//! use tokio_util::sync::CancellationToken;
//!
//! #[derive(Serialize, Deserialize)]
//! struct Welcome { user: String }
//!
//! impl Kind for Welcome {
//!     type Context = ();
//!     const NAME: &'static str = "user.welcome";
//!
//!     fn policy() -> Policy {
//!         Policy { max_attempts: 5, ..Policy::default() }
//!     }
//!
//!     async fn run(job: Job<Self>, _context: ()) -> Result<Outcome, JobError> {
//!         println!("attempt {} to welcome {}", job.attempt, job.args.user);
//!         Ok(Outcome::Done)
//!     }
//! }
//!
//! # async fn example(pool: sqlx::PgPool, shutdown: CancellationToken) -> Result<(), queue::Error> {
//! queue::migrate(&pool).await?;
//! let queue = Queue::new(pool.clone());
//!
//! // In your own transaction: the job is there if, and only if, what you wrote is.
//! let mut tx = pool.begin().await?;
//! let welcome = NewJob::of(&Welcome { user: "ada".into() })?
//!     .delay(Duration::from_secs(60))
//!     .unique("welcome:ada", OnConflict::Keep);
//! queue.enqueue(&mut tx, welcome).await?;
//! tx.commit().await?;
//!
//! let registry = Registry::new().register::<Welcome>();
//! Worker::new(queue, registry, (), WorkerOptions::default()).run(shutdown).await?;
//! # Ok(())
//! # }
//! ```
//!
//! * Enqueue: [`NewJob`], [`Queue::enqueue`], [`Queue::enqueue_many`], [`Queue::enqueue_batch`]; outside of any
//!   transaction [`Queue::send`].
//! * Run: [`Kind`] (a job's arguments, [`Policy`] and handler in one type), [`Registry`], [`Worker`].
//! * See: [`Queue::list`], [`Queue::get`], [`Queue::counts`], [`Queue::queues`], [`Queue::workers`], [`Queue::oldest_snapshot`];
//!   [`Queue::explain`] says why a job is not running.
//! * Steer: [`Queue::retry`], [`Queue::cancel`], [`Queue::change`]; many by [`Queue::preview`] and
//!   [`Queue::apply`]; [`Queue::pause`], [`Queue::set_limits`], [`Queue::pause_schedule`] and their like for more
//!   than jobs; [`Queue::audit`] tells who did.
//! * In a fleet: [`Queue::drain_worker`], [`Queue::worker_gone`].
//! * Follow: [`Job::log`], [`Job::progress`] in a handler; [`Queue::log`], [`Queue::progress`] for people.
//! * Plan: [`Schedule`], [`Queue::put_schedule`].
//! * Test: [`testing`] runs what is due inline, finds what was enqueued and lets time pass.
//! * Behind a pooler in transaction mode: [`Wake::Poll`].
//!
//! A whole program stands in `examples/first_job.rs`.
//!
//! Inside: [`backend`] is the apalis backend, fed by the fetcher and answered by the acker, each a task of
//! its own; heartbeat and maintenance (due jobs, rescue, partitions) are two more.

mod acker;
pub mod backend;
pub mod bench;
mod bulk;
mod claim;
mod desk;
mod dispatch;
mod enqueue;
mod error;
mod explain;
mod fetcher;
mod finish;
mod fleet;
mod flow;
mod gate;
mod gauges;
mod heartbeat;
mod job;
mod kind;
mod lanes;
mod limits;
mod line;
mod maintenance;
mod migrate;
#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]
mod model;
mod names;
mod orphans;
mod outcome;
mod pause;
mod policy;
mod registry;
mod report;
mod rescue;
mod retention;
mod running;
mod schedule;
mod send;
mod session;
mod tally;
pub mod testing;
mod unit;
mod wake;
mod worker;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use sqlx::PgPool;

pub use claim::Claimed;
pub use desk::{
    Action, Applied, Attempt, AuditEntry, AuditFilter, By, Change, Filter, Holder, JobChanges, JobRow,
    JobWatch, Latencies, LiveWorker, Matching, Page, Preview, Pulse, QueueCount, QueueRow, Scope, Selection,
    SnapshotHolders, State, Tail, Throughput, ThroughputRow, When, Window,
};
pub use error::Error;
pub use explain::{Awaited, Explanation, Holding, Reason};
pub use job::{Enqueued, NewJob, OnConflict, Verdict};
pub use kind::Kind;
pub use limits::{Limits, Rate};
pub use migrate::{migrate, newest_migration};
pub use outcome::{JobError, Outcome};
pub use pause::Pause;
pub use policy::{Backoff, Policy};
pub use registry::{Job, Registry};
pub use report::{LogLevel, LogLine, Progress};
pub use schedule::{CatchUp, Schedule, ScheduleRow, TickRow};
pub use worker::{Worker, WorkerOptions};

/// How workers learn of new jobs, and whether a session may be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wake {
    /// `LISTEN`/`NOTIFY`, with a poll beneath it: for connections to the server itself, or through a pooler in
    /// session mode.
    #[default]
    Notify,
    /// Polling alone, every [`WorkerOptions::poll_interval`] at most: for a pooler in transaction mode, such as
    /// PgBouncer's `pool_mode = transaction`, which changes sessions underneath. Nothing is then notified, listened
    /// for, locked or set for a session, and no prepared statement outlives its transaction. Give the pool
    /// `extra_float_digits(None)`, which such a pooler refuses at the start of a connection.
    Poll,
}

impl Wake {
    /// For the line that a process starts with.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Notify => "notify, and poll beneath it",
            Self::Poll => "poll only: it was chosen for a pooler in transaction mode",
        }
    }
}

/// A handle to the queue: cheap to clone, shared by enqueuers, workers and desks.
#[derive(Debug, Clone)]
pub struct Queue {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    pool: PgPool,
    names: names::Names,
    wake: Wake,
    /// When this process last woke each queue's workers.
    woken: Mutex<HashMap<i16, Instant>>,
    outbox: send::Outbox,
}

impl Queue {
    /// A queue in the database of this pool, which [`migrate`] has prepared.
    pub fn new(pool: PgPool) -> Self {
        Self::with_wake(pool, Wake::default())
    }

    /// As [`Queue::new`], with a choice of how workers are woken.
    pub fn with_wake(pool: PgPool, wake: Wake) -> Self {
        Self {
            inner: Arc::new(Inner {
                names: names::Names::new(pool.clone()),
                pool,
                wake,
                woken: Mutex::default(),
                outbox: send::Outbox::default(),
            }),
        }
    }

    /// The pool that the queue works on.
    pub fn pool(&self) -> &PgPool {
        &self.inner.pool
    }

    pub(crate) fn names(&self) -> &names::Names {
        &self.inner.names
    }

    pub(crate) fn wake_mode(&self) -> Wake {
        self.inner.wake
    }
}
