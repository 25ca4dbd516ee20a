//! Claims jobs for one queue, as many as there are free slots, and hands them to the backend.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rand::Rng;
use sqlx::PgPool;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::claim::{self, Claimed};
use crate::running::Running;
use crate::session::Session;

/// The first look after a claim that found something; doubles while nothing is found.
const FIRST_LOOK: Duration = Duration::from_millis(1);
/// While jobs flow, wait this long for enough free slots to make a claim worth its statement.
const GATHER: Duration = Duration::from_millis(5);

/// How many attempts of a queue may be in this process at once.
#[derive(Debug)]
pub(crate) struct Slots {
    capacity: usize,
    taken: AtomicUsize,
    released: Notify,
}

impl Slots {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            taken: AtomicUsize::new(0),
            released: Notify::new(),
        }
    }

    fn free(&self) -> usize {
        self.capacity.saturating_sub(self.taken.load(Ordering::Acquire))
    }

    fn take(&self, count: usize) {
        self.taken.fetch_add(count, Ordering::AcqRel);
    }

    pub(crate) fn release(&self) {
        self.taken.fetch_sub(1, Ordering::AcqRel);
        self.released.notify_one();
    }
}

pub(crate) struct Fetcher {
    pub(crate) pool: PgPool,
    pub(crate) worker_id: i32,
    pub(crate) queue_id: i16,
    pub(crate) queue: String,
    pub(crate) kinds: Vec<i32>,
    pub(crate) slots: Arc<Slots>,
    pub(crate) max_claim: usize,
    pub(crate) poll_interval: Duration,
    pub(crate) wake: Arc<Notify>,
    pub(crate) claimed: mpsc::UnboundedSender<Claimed>,
    pub(crate) running: Arc<Running>,
}

impl Fetcher {
    /// Runs until `shutdown`; then no claim is under way any more and the backend's channel closes.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut session = Session::new(&self.pool, "codex-k8s queue fetcher");
        let mut wait = FIRST_LOOK;
        let mut flowing = false;
        while !shutdown.is_cancelled() {
            let free = self.free_slots(flowing, &shutdown).await;
            if free == 0 {
                continue;
            }
            let limit = i64::try_from(free.min(self.max_claim)).unwrap_or(i64::MAX);
            // Not raced against the shutdown: a claim that the server has carried out must be received.
            let claim = session.run(async |conn| {
                claim::claim(conn, self.worker_id, self.queue_id, &self.kinds, limit).await
            });
            match claim.await {
                Ok(jobs) => {
                    flowing = jobs.len() as i64 == limit;
                    wait = if jobs.is_empty() {
                        self.longer(wait)
                    } else {
                        FIRST_LOOK
                    };
                    self.hand_on(jobs);
                }
                Err(error) => {
                    flowing = false;
                    self.running.doubt();
                    wait = session.pause();
                    metrics::counter!("codex_k8s_queue_errors_total", "task" => "fetcher").increment(1);
                    tracing::warn!(queue = self.queue, %error, "claim failed, trying again");
                }
            }
            if !flowing {
                tokio::select! {
                    () = shutdown.cancelled() => {}
                    () = self.wake.notified() => wait = FIRST_LOOK,
                    () = tokio::time::sleep(wait) => {}
                }
            }
        }
    }

    /// Waits for free slots. While jobs flow, for a quarter of them or a few milliseconds: few large claims
    /// beat many small ones.
    async fn free_slots(&self, flowing: bool, shutdown: &CancellationToken) -> usize {
        let enough = if flowing {
            (self.slots.capacity / 4).max(1)
        } else {
            1
        };
        let gathered = async {
            while self.slots.free() < enough {
                self.slots.released.notified().await;
            }
        };
        tokio::select! {
            () = gathered => {}
            () = shutdown.cancelled() => return 0,
            () = tokio::time::sleep(GATHER) => {}
        }
        self.slots.free()
    }

    fn hand_on(&self, mut jobs: Vec<Claimed>) {
        self.slots.take(jobs.len());
        metrics::counter!("codex_k8s_queue_claimed_total", "queue" => self.queue.clone())
            .increment(jobs.len() as u64);
        jobs.sort_unstable_by_key(|job| (job.priority, job.seq));
        for job in jobs {
            // The backend outlives its fetcher: it ends when this sender does.
            let _ = self.claimed.send(job);
        }
    }

    /// Twice as long, up to the poll interval, with a fifth of jitter so that a fleet spreads out.
    fn longer(&self, wait: Duration) -> Duration {
        let doubled = (wait * 2).min(self.poll_interval);
        doubled.mul_f64(rand::rng().random_range(0.8..=1.0))
    }
}
