//! Queues and workers as staff see and steer them.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use domain::Precondition;
use domain::flow::Author;
use domain::port::{PortError, QueueDesk};
use domain::queue::{Limits, LimitsSet, LiveWorker, Pausable, Pause, QueueOverview, Rate, Switched};

use crate::Store;
use crate::error::db;
use crate::store::page;
use crate::translate::{counted, steered_by};

#[async_trait]
impl QueueDesk for Store {
    async fn queues(&self) -> Result<Vec<QueueOverview>, PortError> {
        let rows = self.queue.queues().await.map_err(db)?;
        let counts = self.queue.counts().await.map_err(db)?;
        let mut counts: HashMap<String, queue::QueueCount> = counts
            .into_iter()
            .map(|count| (count.queue.clone(), count))
            .collect();
        // One that was made between the two looks is shown at the next.
        Ok(rows
            .into_iter()
            .filter_map(|row| Some(overview(counts.remove(&row.name)?, row)))
            .collect())
    }

    async fn pauses(&self, limit: i64) -> Result<Vec<Pause>, PortError> {
        let pauses = self.queue.pauses(page(limit)).await.map_err(db)?;
        let pause = |pause: queue::Pause| {
            let what = match (pause.queue, pause.kind, pause.tenant) {
                (Some(queue), _, Some(tenant)) => Pausable::Tenant { queue, tenant },
                (Some(queue), ..) => Pausable::Queue(queue),
                (None, kind, _) => Pausable::Kind(kind.unwrap_or_default()),
            };
            Pause {
                what,
                paused_at: pause.paused_at,
            }
        };
        Ok(pauses.into_iter().map(pause).collect())
    }

    async fn pause(&self, what: &Pausable, paused: bool, by: &Author) -> Result<Switched, PortError> {
        let by = &steered_by(by);
        let is_known = match what {
            Pausable::Queue(queue) | Pausable::Tenant { queue, .. } => self.queue.knows_queue(queue).await,
            Pausable::Kind(kind) => self.queue.knows_kind(kind).await,
        };
        if !is_known.map_err(db)? {
            return Ok(Switched::NotFound);
        }
        let mut conn = self.pool.acquire().await.map_err(db)?;
        let queue = &self.queue;
        let changed = match (what, paused) {
            (Pausable::Queue(name), true) => queue.pause(&mut conn, name, by).await,
            (Pausable::Queue(name), false) => queue.resume(&mut conn, name, by).await,
            (Pausable::Kind(kind), true) => queue.pause_kind(&mut conn, kind, by).await,
            (Pausable::Kind(kind), false) => queue.resume_kind(&mut conn, kind, by).await,
            (Pausable::Tenant { queue: name, tenant }, true) => {
                queue.pause_tenant(&mut conn, name, tenant, by).await
            }
            (Pausable::Tenant { queue: name, tenant }, false) => {
                queue.resume_tenant(&mut conn, name, tenant, by).await
            }
        };
        Ok(switched(changed.map_err(db)?))
    }

    async fn limits(&self, queue: &str) -> Result<Option<Limits>, PortError> {
        if !self.queue.knows_queue(queue).await.map_err(db)? {
            return Ok(None);
        }
        let mut conn = self.pool.acquire().await.map_err(db)?;
        let found = self.queue.limits(&mut conn, queue).await.map_err(db)?;
        Ok(Some(shown(found)))
    }

    async fn set_limits(
        &self,
        queue: &str,
        limits: Limits,
        seen: &Precondition,
        by: &Author,
    ) -> Result<LimitsSet, PortError> {
        if !self.queue.knows_queue(queue).await.map_err(db)? {
            return Ok(LimitsSet::NotFound);
        }
        let rate = |rate: Rate| queue::Rate {
            jobs: rate.jobs,
            period: Duration::from_millis(rate.period_ms),
        };
        let limits = queue::Limits {
            max_running: limits.max_running,
            max_running_per_key: limits.max_running_per_key,
            rate: limits.rate.map(rate),
            rate_per_key: limits.rate_per_key.map(rate),
        };
        let mut conn = self.pool.acquire().await.map_err(db)?;
        let mut set = LimitsSet::Done;
        let decide = |present: queue::Limits| {
            if seen.holds(Some(&shown(present).version())) {
                return limits;
            }
            set = LimitsSet::Stale;
            present
        };
        self.queue
            .change_limits(&mut conn, queue, decide, &steered_by(by))
            .await
            .map_err(db)?;
        Ok(set)
    }

    async fn drain_worker(&self, name: &str, by: &Author) -> Result<Switched, PortError> {
        let mut conn = self.pool.acquire().await.map_err(db)?;
        let asked = self.queue.drain_worker_by(&mut conn, name, &steered_by(by)).await;
        Ok(asked.map_err(db)?.map_or(Switched::NotFound, switched))
    }

    async fn workers(&self) -> Result<Vec<LiveWorker>, PortError> {
        let workers = self.queue.workers().await.map_err(db)?;
        let worker = |worker: queue::LiveWorker| LiveWorker {
            id: worker.id,
            name: worker.name,
            queues: worker.queues,
            kinds: worker.kinds,
            concurrency: worker.concurrency,
            held: worker.held,
            started_at: worker.started_at,
            heartbeat_age_ms: worker.heartbeat_age_ms,
            is_late: worker.is_late,
            draining_at: worker.draining_at,
        };
        Ok(workers.into_iter().map(worker).collect())
    }
}

pub(crate) fn switched(changed: bool) -> Switched {
    if changed {
        Switched::Done
    } else {
        Switched::Unchanged
    }
}

fn shown(limits: queue::Limits) -> Limits {
    let rate = |rate: queue::Rate| Rate {
        jobs: rate.jobs,
        period_ms: u64::try_from(rate.period.as_millis()).unwrap_or(u64::MAX),
    };
    Limits {
        max_running: limits.max_running,
        max_running_per_key: limits.max_running_per_key,
        rate: limits.rate.map(rate),
        rate_per_key: limits.rate_per_key.map(rate),
    }
}

fn overview(count: queue::QueueCount, row: queue::QueueRow) -> QueueOverview {
    QueueOverview {
        name: row.name,
        paused_at: row.paused_at,
        limits: shown(row.limits),
        keep_days: row.keep_days,
        as_of: count.as_of,
        exact: count.exact,
        counts: counted(count),
    }
}
