//! What every worker does for the whole queue: due jobs, schedules, rescue, partitions. Any number may do it
//! at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::Rng;
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use crate::desk::forget_audit;
use crate::flow;
use crate::heartbeat::Contact;
use crate::orphans::Orphans;
use crate::rescue;
use crate::running::Running;
use crate::session::{Session, Sessions};
use crate::wake::Wakes;
use crate::{Queue, schedule};

/// How often due jobs are looked for.
const DUE: Duration = Duration::from_millis(200);
/// How often dead workers are looked for.
const RESCUE: Duration = Duration::from_secs(1);
/// How often partitions and leftovers are looked after.
const TIDY: Duration = Duration::from_mins(10);
/// And when something was in use and had to be left.
const TIDY_AGAIN: Duration = Duration::from_secs(1);
/// How often jobs are looked for that have ended without a word to those that wait for them.
const RECHECK: Duration = Duration::from_secs(30);
/// The most due jobs put in line by one statement.
pub(crate) const DUE_AT_ONCE: i64 = 1_000;
/// The most statements that throw old audit entries away at one time.
const AUDIT_ROUNDS: usize = 10;

/// Puts due jobs in line, at the end of it. They keep their time: since then they have been waiting. The
/// clock is read by a query of its own, or else the index could not be searched and all scheduled jobs were read.
pub(crate) const PROMOTE: &str = "
with due as materialized (
    select ctid from queue.job where seq is null and run_at <= (select clock_timestamp())
    order by run_at limit $1 for update skip locked),
promoted as (
    update queue.job as job set seq = nextval('queue.job_seq')
    where job.ctid = any (array (select ctid from due))
    returning queue_id)
select queue_id, count(*) from promoted group by queue_id";

pub(crate) struct Maintenance {
    pub(crate) sessions: Sessions,
    pub(crate) queue: Queue,
    pub(crate) notify: bool,
    pub(crate) contact: Arc<Contact>,
    pub(crate) wakes: Arc<Wakes>,
    pub(crate) worker_id: i32,
    pub(crate) running: Arc<Running>,
}

/// Brings back jobs that were put aside with their kind, in front of all that wait.
pub(crate) const UNPARK: &str = "
with due as materialized (
    select ctid from queue.job
    where parked is not null and seq is null and kind_id <> all (array (select id from queue.kind where paused_at is not null))
    order by kind_id, parked limit $1 for update skip locked),
unparked as (
    update queue.job as job set seq = queue.front(parked), parked = null
    where job.ctid = any (array (select ctid from due))
    returning queue_id)
select queue_id, count(*) from unparked group by queue_id";

impl Maintenance {
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut orphans = Orphans::new(self.worker_id, &self.running);
        let mut session = Session::new(&self.sessions, "codex-k8s queue maintenance");
        let mut rescued: Option<Instant> = None;
        let mut tidied: Option<Instant> = None;
        let mut tidy_every = TIDY;
        let mut rechecked: Option<Instant> = None;
        let is_due = |last: Option<Instant>, every| last.is_none_or(|last| last.elapsed() >= every);
        loop {
            let rescue = is_due(rescued, RESCUE);
            let tidy = is_due(tidied, tidy_every);
            let recheck = is_due(rechecked, RECHECK);
            let round = session.run(async |conn| {
                let mut more = self.bring(conn, PROMOTE).await?;
                more |= self.bring(conn, UNPARK).await?;
                more |= schedule::tick::tick(conn, &self.queue, &self.wakes).await?;
                if recheck {
                    flow::recheck(conn).await?;
                }
                let settled = flow::settle(conn).await?;
                more |= settled.more;
                for queue_id in settled.queues {
                    self.wake(conn, queue_id).await?;
                }
                if rescue {
                    for (queue_id, _) in rescue::rescue(conn, self.contact.held()).await? {
                        self.wake(conn, queue_id).await?;
                    }
                }
                for queue_id in orphans.give_back(conn).await? {
                    self.wake(conn, queue_id).await?;
                }
                let left = tidy && self.tidy(conn).await?;
                Ok((more, left))
            });
            let wait = match round.await {
                Ok((more, left)) => {
                    rescued = if rescue { Some(Instant::now()) } else { rescued };
                    rechecked = if recheck { Some(Instant::now()) } else { rechecked };
                    if tidy {
                        tidied = Some(Instant::now());
                        tidy_every = if left { TIDY_AGAIN } else { TIDY };
                    }
                    if more {
                        Duration::ZERO
                    } else {
                        DUE.mul_f64(rand::rng().random_range(0.7..=1.0))
                    }
                }
                Err(error) => {
                    metrics::counter!("codex_k8s_queue_errors_total", "task" => "maintenance").increment(1);
                    tracing::warn!(%error, "maintenance failed, trying again");
                    session.pause()
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Says whether there may be more.
    async fn bring(&self, conn: &mut PgConnection, statement: &'static str) -> Result<bool, sqlx::Error> {
        let promoted: Vec<(i16, i64)> = sqlx::query_as(statement)
            .bind(DUE_AT_ONCE)
            .fetch_all(&mut *conn)
            .await?;
        for (queue_id, _) in &promoted {
            self.wake(conn, *queue_id).await?;
        }
        Ok(promoted.iter().map(|(_, count)| count).sum::<i64>() == DUE_AT_ONCE)
    }

    /// This process' own fetcher at once, the others by NOTIFY.
    async fn wake(&self, conn: &mut PgConnection, queue_id: i16) -> Result<(), sqlx::Error> {
        self.wakes.wake(queue_id);
        if self.notify {
            sqlx::query("select queue.wake($1)")
                .bind(queue_id)
                .execute(conn)
                .await?;
        }
        Ok(())
    }

    /// Says whether something is left to do soon: a partition that others were busy with.
    async fn tidy(&self, conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
        let left: bool = sqlx::query_scalar("select is_left from queue.keep_partitions(7)")
            .fetch_one(&mut *conn)
            .await?;
        let reports_left: bool = sqlx::query_scalar("select queue.keep_report_partitions(7)")
            .fetch_one(&mut *conn)
            .await?;
        schedule::tick::tidy(conn).await?;
        sqlx::query(
            "delete from queue.cancel_request as request
            where (select job.id from queue.job as job where job.id = request.job_id) is null",
        )
        .execute(&mut *conn)
        .await?;
        // History names workers for as long as it is kept.
        sqlx::query(
            "delete from queue.worker where swept and stopped_at
                < now() - (select coalesce(max(keep_days), 30) + 1 from queue.queue) * interval '1 day'",
        )
        .execute(&mut *conn)
        .await?;
        for _ in 0..AUDIT_ROUNDS {
            if !forget_audit(conn).await? {
                break;
            }
        }
        Ok(left || reports_left)
    }
}
