//! Finds jobs that this worker was given by a claim whose answer was lost with its connection. Its heartbeat
//! is good, so nobody would ever rescue them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::PgConnection;

use crate::running::Running;

/// Between two looks. A job that was claimed and is on its way to its handler is there at the second.
const APART: Duration = Duration::from_secs(1);

const MINE: &str = "select id, epoch from queue.job where claimed_by = $1 and seq is not null";

/// As in a rescue, and with no one to blame.
const GIVE_BACK: &str = "
update queue.job as job set
    seq = queue.front(job.seq),
    claimed_by = null,
    claimed_at = null,
    epoch = job.epoch + 1,
    attempt = greatest(job.attempt - 1, 0),
    args = coalesce(job.rerun_args, job.args),
    rerun_at = null,
    rerun_args = null
from unnest($2::bigint[], $3::integer[]) as orphan (id, epoch)
where job.id = orphan.id and job.epoch = orphan.epoch and job.claimed_by = $1
returning job.queue_id";

/// Looks for a worker's orphans while a lost answer leaves it in doubt.
#[derive(Debug)]
pub(crate) struct Orphans {
    worker_id: i32,
    running: Arc<Running>,
    suspects: HashSet<(i64, i32)>,
    looked: Option<Instant>,
}

impl Orphans {
    pub(crate) fn new(worker_id: i32, running: &Arc<Running>) -> Self {
        Self {
            worker_id,
            running: Arc::clone(running),
            suspects: HashSet::new(),
            looked: None,
        }
    }

    /// Gives back what stood with this worker at the last look and at this one while nobody here ran it.
    /// Returns the queues that have jobs again.
    pub(crate) async fn give_back(&mut self, conn: &mut PgConnection) -> Result<Vec<i16>, sqlx::Error> {
        if !self.running.is_in_doubt() {
            self.suspects.clear();
            return Ok(Vec::new());
        }
        if self.looked.is_some_and(|looked| looked.elapsed() < APART) {
            return Ok(Vec::new());
        }
        let mine: Vec<(i64, i32)> = sqlx::query_as(MINE)
            .bind(self.worker_id)
            .fetch_all(&mut *conn)
            .await?;
        self.looked = Some(Instant::now());
        let unknown: HashSet<(i64, i32)> = mine
            .into_iter()
            .filter(|(id, _)| !self.running.has(*id))
            .collect();
        let (ids, epochs): (Vec<i64>, Vec<i32>) = unknown.intersection(&self.suspects).copied().unzip();
        self.suspects = unknown;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        tracing::warn!(jobs = ?ids, "a claim's answer was lost, giving its jobs back");
        let mut queues: Vec<i16> = sqlx::query_scalar(GIVE_BACK)
            .bind(self.worker_id)
            .bind(ids)
            .bind(epochs)
            .fetch_all(conn)
            .await?;
        queues.sort_unstable();
        queues.dedup();
        Ok(queues)
    }
}
