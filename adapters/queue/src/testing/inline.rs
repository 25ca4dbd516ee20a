//! Runs due jobs in the present task.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;

use crate::claim::{Claimer, FIRST_STEP};
use crate::dispatch::{self, Shared};
use crate::fetcher::{Known, Slots};
use crate::finish;
use crate::heartbeat;
use crate::maintenance::PROMOTE;
use crate::outcome::Finish;
use crate::report::writer::Reports;
use crate::running::Running;
use crate::session::Session;
use crate::{Error, Queue, Registry};

/// Nobody rescues what a test runs: it may stand in a debugger.
const LEASE: Duration = Duration::from_hours(24);
/// Attempts of one call. More of them are jobs that are due again whenever they have run.
const ENOUGH: usize = 5_000;
/// Claims of one queue that find nothing, until it counts as empty: tenants take turns.
const EMPTY: usize = 2;

/// An attempt that was run.
#[derive(Debug, Clone, PartialEq)]
pub struct Ran {
    /// The job.
    pub id: i64,
    /// Its kind.
    pub kind: &'static str,
    /// Which attempt it was, from 1.
    pub attempt: i32,
    /// How it ended.
    pub ended: Ended,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    /// Done, with the result to keep.
    Completed(Option<Value>),
    /// Has lost its sense, for this reason.
    Cancelled(String),
    /// Failed for good: by [`JobError::Fail`](crate::JobError::Fail), at the last attempt, or with arguments that
    /// can't be decoded.
    Dead(String),
    /// Failed (a panic and a timeout too), and is tried again.
    Retried {
        /// What went wrong.
        error: String,
        /// After this time; [`advance`](super::advance) shortens it.
        after: Duration,
    },
    /// Is run again after this time, with no attempt burned.
    Snoozed(Duration),
}

/// Runs all due jobs of the registry's kinds, in all queues, one after the other in the present task, until none
/// is left; those that they enqueue, too. Limits, pauses and the order hold as for a worker. Returns the attempts
/// in their order, their ends written.
///
/// Fails if the database does, or after 5,000 attempts: some job is then due again whenever it has run.
pub async fn run_due<C: Clone + Send + Sync + 'static>(
    queue: &Queue,
    registry: &Registry<C>,
    context: C,
) -> Result<Vec<Ran>, Error> {
    let mut kinds = HashMap::new();
    let mut names = HashMap::new();
    for (name, kind) in registry.kinds() {
        let id = queue.names().kind(name).await?;
        kinds.insert(id, kind.clone());
        names.insert(id, *name);
    }
    let kind_ids: Vec<i32> = kinds.keys().copied().collect();
    let worker_id = heartbeat::register(queue.pool(), "test", &[], &kind_ids, 1, LEASE).await?;
    // Reports are written aside, as for a worker.
    let reports = Reports::start(queue.sessions(), worker_id);
    let shared = Shared {
        reports: Arc::clone(&reports.outbox),
        context,
        kinds,
        running: Arc::new(Running::default()),
        worker_id,
        named: queue.named(),
    };
    let mut inline = Inline {
        session: Session::new(&queue.sessions(), "codex-k8s queue test"),
        shared,
        names,
        kind_ids,
        ran: Vec::new(),
    };
    let done = inline.run_all().await;
    reports.stop().await;
    // The worker's row says that it has left, whatever came.
    let leave = inline.session.run(async |conn| {
        let leave = sqlx::query(heartbeat::LEAVE).bind(worker_id);
        leave.execute(conn).await.map(|_| ())
    });
    leave.await?;
    done?;
    Ok(inline.ran)
}

struct Inline<C> {
    session: Session,
    shared: Shared<C>,
    names: HashMap<i32, &'static str>,
    kind_ids: Vec<i32>,
    ran: Vec<Ran>,
}

impl<C: Clone + Send + Sync + 'static> Inline<C> {
    async fn run_all(&mut self) -> Result<(), Error> {
        loop {
            let before = self.ran.len();
            for queue_id in self.queues().await? {
                self.run_queue(queue_id).await?;
            }
            if self.ran.len() == before {
                return Ok(());
            }
        }
    }

    /// Puts what is due in line, and says which queues there are.
    async fn queues(&mut self) -> Result<Vec<i16>, sqlx::Error> {
        self.session
            .run(async |conn| {
                sqlx::query(PROMOTE).bind(i64::MAX).execute(&mut *conn).await?;
                sqlx::query_scalar("select id from queue.queue order by id")
                    .fetch_all(conn)
                    .await
            })
            .await
    }

    async fn run_queue(&mut self, queue_id: i16) -> Result<(), Error> {
        let mut known = Known::new(&Arc::new(Notify::new()));
        let who = Claimer {
            worker_id: self.shared.worker_id,
            queue_id,
            kinds: self.kind_ids.clone(),
            step: FIRST_STEP,
        };
        let slot = Slots::new(1);
        let mut empty = 0;
        while empty < EMPTY {
            let found = self
                .session
                .run(async |conn| known.claim(conn, &who, &slot, 1).await)
                .await?;
            empty += usize::from(found.jobs.is_empty());
            for claimed in found.jobs {
                empty = 0;
                let (id, kind_id, attempt) = (claimed.id, claimed.kind_id, claimed.attempt);
                let ack = dispatch::run(&self.shared, claimed).await;
                let ended = ended(&ack.finish);
                let mut acks = vec![ack];
                while !acks.is_empty() {
                    let worker_id = self.shared.worker_id;
                    self.session
                        .run(async |conn| finish::write(conn, worker_id, &mut acks).await)
                        .await?;
                }
                self.ran.push(Ran {
                    id,
                    kind: self.names.get(&kind_id).copied().unwrap_or_default(),
                    attempt,
                    ended,
                });
                if self.ran.len() >= ENOUGH {
                    return Err(Error::Invalid(format!(
                        "{ENOUGH} attempts and no end: is a job due again whenever it has run?"
                    )));
                }
            }
        }
        Ok(())
    }
}

fn ended(finish: &Finish) -> Ended {
    match finish {
        Finish::Completed(result) => Ended::Completed(result.clone()),
        Finish::Cancelled(reason) => Ended::Cancelled(reason.clone()),
        Finish::Dead(reason) => Ended::Dead(reason.clone()),
        Finish::Retry { error, delay } => Ended::Retried {
            error: error.clone(),
            after: *delay,
        },
        Finish::Snooze(after) => Ended::Snoozed(*after),
        Finish::Release => Ended::Snoozed(Duration::ZERO),
    }
}
