//! Why a job isn't running: all reasons, from one snapshot of the database.

mod facts;
mod reason;
mod sentence;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

pub use reason::{Awaited, Holding, Reason};

use crate::desk::{bounded, find};
use crate::{Error, JobRow, Queue, State};
use facts::Facts;

/// Why a job isn't running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The job.
    pub id: i64,
    /// The queue's name.
    pub queue: String,
    /// The kind's name.
    pub kind: String,
    /// How it stands.
    pub state: State,
    /// When this was so, by the database's clock.
    pub as_of: DateTime<Utc>,
    /// The most decisive first; never empty.
    pub reasons: Vec<Reason>,
}

const ONE_SNAPSHOT: &str = "set transaction isolation level repeatable read, read only";

impl Queue {
    /// Why the job isn't running; `None` if there is no such job. Cheap at any size: counts are bounded, and an
    /// answer that takes more than seconds is an error. What limits say is what workers wrote down with their
    /// last claims.
    pub async fn explain(&self, id: i64) -> Result<Option<Explanation>, Error> {
        let mut tx = self.pool().begin().await?;
        sqlx::raw_sql(ONE_SNAPSHOT).execute(&mut *tx).await?;
        bounded(&mut tx).await?;
        let Some(job) = find(&mut tx, id).await? else {
            return Ok(None);
        };
        let facts = facts::read(&mut tx, id).await?;
        let (as_of, reasons) = match facts {
            Some(facts) => (facts.as_of, unfinished(&mut tx, &job, &facts).await?),
            None => (
                sqlx::query_scalar("select clock_timestamp()")
                    .persistent(false)
                    .fetch_one(&mut *tx)
                    .await?,
                vec![Reason::Finished {
                    state: job.state(),
                    at: job.finished_at,
                    why: job.last_error.clone(),
                }],
            ),
        };
        tx.commit().await?;
        Ok(Some(Explanation {
            id,
            state: job.state(),
            queue: job.queue,
            kind: job.kind,
            as_of,
            reasons,
        }))
    }
}

async fn unfinished(conn: &mut PgConnection, job: &JobRow, facts: &Facts) -> Result<Vec<Reason>, Error> {
    let state = job.state();
    if state == State::Running {
        return Ok(vec![Reason::Running {
            worker: job.worker.clone(),
            since: job.started_at,
            heartbeat_age_ms: facts.heartbeat_age_ms,
            is_late: facts.is_late,
            is_cancel_requested: facts.is_cancel_requested,
        }]);
    }
    let mut reasons = Vec::new();
    match facts.run_at {
        Some(until) if until > facts.as_of => reasons.push(Reason::NotDue { until }),
        Some(since) if state == State::Scheduled => reasons.push(Reason::Due { since }),
        _ => {}
    }
    if state == State::Scheduled {
        reasons.extend(retrying(job));
    }
    if state == State::Waiting {
        let (jobs, more) = facts::awaited(conn, job.id).await?;
        reasons.push(Reason::WaitsFor { jobs, more });
    }
    reasons.extend(paused(job, facts));
    let workers = workers(conn, job, facts).await?;
    if let Some(seq) = facts.seq {
        let nobody = workers
            .as_ref()
            .filter(|reason| !matches!(reason, Reason::WorkersBusy { .. }));
        reasons.extend(nobody.cloned());
        limits(conn, job, facts, &mut reasons).await?;
        reasons.extend(rates(job, facts));
        reasons.extend(workers.filter(|reason| matches!(reason, Reason::WorkersBusy { .. })));
        let (jobs, at_least) = facts::ahead(conn, facts, job.priority, seq).await?;
        if jobs > 0 {
            let of_lane = facts.lane.is_some();
            reasons.push(Reason::Behind {
                jobs,
                at_least,
                of_lane,
            });
        }
        if reasons.is_empty() {
            reasons.push(Reason::Nothing);
        }
    } else {
        reasons.extend(workers.filter(|reason| !matches!(reason, Reason::WorkersBusy { .. })));
    }
    if state != State::Scheduled {
        reasons.extend(retrying(job));
    }
    Ok(reasons)
}

fn retrying(job: &JobRow) -> Option<Reason> {
    let last_error = job.last_error.clone().filter(|_| job.attempt > 0)?;
    Some(Reason::Retrying {
        attempt: job.attempt,
        max_attempts: job.max_attempts,
        last_error,
    })
}

fn paused(job: &JobRow, facts: &Facts) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if let Some(since) = facts.queue_paused_at {
        let queue = job.queue.clone();
        reasons.push(Reason::QueuePaused { queue, since });
    }
    let kind = job.kind.clone();
    match facts.kind_paused_at {
        Some(since) => {
            let put_aside = facts.is_parked;
            reasons.push(Reason::KindPaused {
                kind,
                since,
                put_aside,
            });
        }
        None if facts.is_parked => reasons.push(Reason::PutAside { kind }),
        None => {}
    }
    if let (Some(tenant), Some(since)) = (job.tenant.clone(), facts.tenant_paused_at) {
        let queue = job.queue.clone();
        reasons.push(Reason::TenantPaused { tenant, queue, since });
    }
    reasons
}

/// Who could run it, if nobody can now.
async fn workers(conn: &mut PgConnection, job: &JobRow, facts: &Facts) -> Result<Option<Reason>, Error> {
    let servers = facts::workers(conn, facts).await?;
    let (late, live): (Vec<_>, Vec<_>) = servers.into_iter().partition(|worker| worker.is_late);
    let names = |of: Vec<facts::Server>| of.into_iter().map(|worker| worker.name).collect();
    if live.is_empty() {
        let queue = job.queue.clone();
        return Ok(Some(Reason::NoWorkerOfQueue {
            queue,
            late: names(late),
        }));
    }
    let (knowing, others): (Vec<_>, Vec<_>) = live.into_iter().partition(|worker| worker.knows_kind);
    if knowing.is_empty() {
        let kind = job.kind.clone();
        return Ok(Some(Reason::NoWorkerOfKind {
            kind,
            workers: names(others),
        }));
    }
    let (draining, able): (Vec<_>, Vec<_>) = knowing.into_iter().partition(|worker| worker.is_draining);
    if able.is_empty() {
        return Ok(Some(Reason::WorkersDrain {
            workers: names(draining),
        }));
    }
    let running: i64 = able.iter().map(|worker| i64::from(worker.held)).sum();
    let slots: i64 = able.iter().map(|worker| i64::from(worker.concurrency)).sum();
    Ok((running >= slots).then_some(Reason::WorkersBusy { running, slots }))
}

async fn limits(
    conn: &mut PgConnection,
    job: &JobRow,
    facts: &Facts,
    reasons: &mut Vec<Reason>,
) -> Result<(), Error> {
    if facts.max_running.is_none() && facts.max_running_per_key.is_none() {
        return Ok(());
    }
    let (held_by, of_key) = facts::held(conn, facts.queue_id, job.key.as_deref()).await?;
    let running: i64 = held_by.iter().map(|holding| i64::from(holding.running)).sum();
    if let Some(max) = facts.max_running.filter(|max| running >= i64::from(*max)) {
        let queue = job.queue.clone();
        reasons.push(Reason::QueueLimit {
            queue,
            running,
            max,
            held_by,
        });
    }
    if let (Some(key), Some(max)) = (job.key.clone(), facts.max_running_per_key)
        && of_key >= i64::from(max)
    {
        let (jobs, more) = facts::running_of_key(conn, facts, &key, of_key).await?;
        reasons.push(Reason::KeyLimit {
            key,
            running: of_key,
            max,
            jobs,
            more,
        });
    }
    Ok(())
}

fn rates(job: &JobRow, facts: &Facts) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let later = |at: &DateTime<Utc>| *at > facts.as_of;
    if let (Some(jobs), Some(period_ms), Some(next_at)) =
        (facts.rate, facts.rate_period_ms, facts.next_at.filter(later))
    {
        let queue = job.queue.clone();
        reasons.push(Reason::QueueRate {
            queue,
            jobs,
            period_ms,
            next_at,
        });
    }
    if let (Some(key), Some(jobs), Some(period_ms), Some(next_at)) = (
        job.key.clone(),
        facts.key_rate,
        facts.key_rate_period_ms,
        facts.key_next_at.filter(later),
    ) {
        reasons.push(Reason::KeyRate {
            key,
            jobs,
            period_ms,
            next_at,
        });
    }
    reasons
}
