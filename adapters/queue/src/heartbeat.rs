//! The worker's row: registered at the start, renewed on a task of its own, closed at the end. One row per
//! worker, not per job: what a worker holds is worth as much as its heartbeat.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;

use crate::running::{Running, Stop};
use crate::session::{Session, Sessions};

const REGISTER: &str = "
insert into queue.worker (name, queues, kinds, concurrency, lease_ms) values ($1, $2, $3, $4, $5) returning id";

/// Says whether the worker had been given up in the meantime, and whether it is asked to drain. A heartbeat
/// proves every report of its death wrong.
const BEAT: &str = "
with old as (select id, stopped_at from queue.worker where id = $1 for update)
update queue.worker as worker set heartbeat_at = clock_timestamp(), stopped_at = null, swept = false,
    gone_at = null, silent = false, held = $2
from old where worker.id = old.id
returning old.stopped_at is not null, worker.draining_at is not null";

/// Each of the few requests looks its job up. A planner who took them for many would read the whole hot table.
const CANCELLED: &str = "
select request.job_id from queue.cancel_request as request
where (select job.claimed_by from queue.job as job where job.id = request.job_id) = $1";

pub(crate) const LEAVE: &str =
    "update queue.worker set stopped_at = clock_timestamp(), silent = false where id = $1";

/// Since when the database has answered every heartbeat. After an outage all heartbeats are old, so nobody
/// may be given up before the living had time to renew theirs.
#[derive(Debug, Default)]
pub(crate) struct Contact {
    since: Mutex<Option<Instant>>,
}

impl Contact {
    fn kept(&self) {
        self.since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_with(Instant::now);
    }

    fn lost(&self) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// For how long contact has been kept.
    pub(crate) fn held(&self) -> Duration {
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// Registers a worker; its number fences everything it does.
pub(crate) async fn register(
    pool: &PgPool,
    name: &str,
    queues: &[i16],
    kinds: &[i32],
    concurrency: i32,
    lease: Duration,
) -> Result<i32, sqlx::Error> {
    // One transaction and no named statement: there may be a pooler in between.
    let mut tx = pool.begin().await?;
    let query = sqlx::query_scalar(REGISTER)
        .persistent(false)
        .bind(name)
        .bind(queues)
        .bind(kinds)
        .bind(concurrency)
        .bind(i32::try_from(lease.as_millis()).unwrap_or(i32::MAX));
    let worker_id = query.fetch_one(&mut *tx).await?;
    tx.commit().await?;
    Ok(worker_id)
}

/// Whether it had been given up and whether it is asked to drain; nothing if its row is gone.
pub(crate) async fn beat(
    conn: &mut PgConnection,
    worker_id: i32,
    held: i32,
) -> Result<Option<(bool, bool)>, sqlx::Error> {
    let query = sqlx::query_as(BEAT).bind(worker_id).bind(held);
    query.fetch_optional(conn).await
}

pub(crate) struct Heartbeat {
    pub(crate) sessions: Sessions,
    pub(crate) worker_id: i32,
    pub(crate) every: Duration,
    pub(crate) running: Arc<Running>,
    pub(crate) contact: Arc<Contact>,
    pub(crate) hurry: Arc<tokio::sync::Notify>,
    /// Triggered when somebody asks the worker to drain.
    pub(crate) drain: CancellationToken,
}

impl Heartbeat {
    /// Beats until `stop`, then signs the worker off.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut session = Session::new(&self.sessions, "codex-k8s queue heartbeat");
        loop {
            let wait = match self.beat(&mut session).await {
                Ok(()) => {
                    self.contact.kept();
                    self.every
                }
                Err(error) => {
                    self.contact.lost();
                    metrics::counter!("codex_k8s_queue_errors_total", "task" => "heartbeat").increment(1);
                    tracing::warn!(%error, "heartbeat failed, trying again");
                    session.pause()
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.hurry.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        let leave = session
            .run(async |conn| {
                sqlx::query(LEAVE)
                    .bind(self.worker_id)
                    .execute(conn)
                    .await
                    .map(|_| ())
            })
            .await;
        if let Err(error) = leave {
            tracing::warn!(%error, "could not sign off; the lease will run out");
        }
    }

    async fn beat(&self, session: &mut Session) -> Result<(), sqlx::Error> {
        let held = i32::try_from(self.running.count()).unwrap_or(i32::MAX);
        let (beaten, cancelled) = session
            .run(async |conn| {
                let beaten = beat(&mut *conn, self.worker_id, held).await?;
                let cancelled: Vec<i64> = sqlx::query_scalar(CANCELLED)
                    .bind(self.worker_id)
                    .fetch_all(conn)
                    .await?;
                Ok((beaten, cancelled))
            })
            .await?;
        for id in cancelled {
            self.running.stop(id, Stop::Cancelled);
        }
        let (given_up, drain) = beaten.unwrap_or((true, false));
        if drain && !self.drain.is_cancelled() {
            tracing::info!(worker.id = self.worker_id, "asked to drain");
            self.drain.cancel();
        }
        if given_up {
            // What ran here has been given to others; finishing it would be refused anyway.
            let jobs = self.running.stop_all(Stop::LeaseLost);
            tracing::warn!(
                worker.id = self.worker_id,
                jobs,
                "lease was lost, dropped what was running"
            );
        }
        Ok(())
    }
}
