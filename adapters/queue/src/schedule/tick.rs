//! Enqueues the jobs of due ticks. Every worker looks; a row lock lets one of them do a schedule's ticks, and
//! the guard in `queue.schedule_tick` lets each tick be done once, whoever comes and whatever `next_at` says.

use chrono::{DateTime, Duration, Utc};
use sqlx::{Connection, FromRow, PgConnection};

use super::timetable::Timetable;
use super::{CatchUp, ScheduleRow};
use crate::wake::Wakes;
use crate::{Error, Queue};

/// A tick is on time for so long.
const ON_TIME: Duration = Duration::minutes(1);
/// The most schedules done in one round.
const AT_ONCE: usize = 100;

/// Most often there is none: no transaction for that.
const ANY: &str = "
select exists (select from queue.schedule where paused_at is null and next_at <= clock_timestamp()
    and (retry_at is null or retry_at <= clock_timestamp()))";

/// One that is due, and what time it is.
const DUE: &str = "
select *, clock_timestamp() as now,
    (select coalesce(max(keep_days), 30)::integer from queue.queue) as keep_days
from queue.schedule
where paused_at is null and next_at <= clock_timestamp()
  and (retry_at is null or retry_at <= clock_timestamp())
order by next_at limit 1 for update skip locked";

const GUARD: &str = "
insert into queue.schedule_tick (schedule_id, tick) values ($1, $2) on conflict do nothing";

const NOTE_JOB: &str = "
update queue.schedule_tick set job_id = $3 where schedule_id = $1 and tick = $2 and not manual";

const ADVANCE: &str = "
update queue.schedule set next_at = $2, retry_at = null, error = null,
    last_tick = coalesce(greatest(last_tick, $3), last_tick), last_job_id = coalesce($4, last_job_id)
where id = $1";

const FAILED: &str = "
update queue.schedule set error = $2, retry_at = clock_timestamp() + interval '30 seconds'
where id = $1 and paused_at is null and next_at <= clock_timestamp()";

#[derive(FromRow)]
struct Due {
    #[sqlx(flatten)]
    schedule: ScheduleRow,
    now: DateTime<Utc>,
    keep_days: i32,
}

/// Does the due ticks; says whether there may be more. One schedule's failure is noted with it and holds up
/// none of the others.
pub(crate) async fn tick(conn: &mut PgConnection, queue: &Queue, wakes: &Wakes) -> Result<bool, sqlx::Error> {
    for _ in 0..AT_ONCE {
        if !sqlx::query_scalar::<_, bool>(ANY).fetch_one(&mut *conn).await? {
            return Ok(false);
        }
        let mut tx = conn.begin().await?;
        let Some(due) = sqlx::query_as::<_, Due>(DUE).fetch_optional(&mut *tx).await? else {
            return Ok(false);
        };
        let name = &due.schedule.name;
        match due.enqueue(&mut tx, queue).await {
            Ok(jobs) => {
                tx.commit().await?;
                metrics::counter!("codex_k8s_queue_schedule_ticks_total").increment(jobs);
                if let Ok(queue_id) = queue.names().queue(&due.schedule.queue).await {
                    wakes.wake(queue_id);
                }
            }
            Err(error) if is_its_own(&error) => {
                tx.rollback().await?;
                metrics::counter!("codex_k8s_queue_schedule_failures_total").increment(1);
                tracing::warn!(schedule = name, %error, "a schedule's tick failed, trying again in 30 s");
                sqlx::query(FAILED)
                    .bind(due.schedule.id)
                    .bind(error.to_string())
                    .execute(&mut *conn)
                    .await?;
            }
            Err(Error::Database(error)) => return Err(error),
            Err(error) => return Err(sqlx::Error::Protocol(error.to_string())),
        }
    }
    Ok(true)
}

/// Ticks older than the history leave the guard too.
pub(crate) async fn tidy(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query(
        "delete from queue.schedule_tick where tick < clock_timestamp()
            - (select coalesce(max(keep_days), 30) from queue.queue) * interval '1 day'",
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The schedule's own fault, not a lost connection.
fn is_its_own(error: &Error) -> bool {
    matches!(
        error,
        Error::Invalid(_) | Error::Database(sqlx::Error::Database(_))
    )
}

impl Due {
    /// Enqueues the jobs of the due ticks and moves on to the next one; returns how many jobs.
    async fn enqueue(&self, conn: &mut PgConnection, queue: &Queue) -> Result<u64, Error> {
        let schedule = &self.schedule;
        let timetable = Timetable::parse(&schedule.cron, &schedule.time_zone)?;
        let (mut jobs, mut last) = (0, (None, None));
        for tick in self.ticks(&timetable)? {
            let guard = sqlx::query(GUARD).bind(schedule.id).bind(tick);
            if guard.execute(&mut *conn).await?.rows_affected() == 0 {
                continue;
            }
            let job = queue.enqueue(&mut *conn, schedule.job(tick)).await?;
            let note = sqlx::query(NOTE_JOB).bind(schedule.id).bind(tick).bind(job.id);
            note.execute(&mut *conn).await?;
            jobs += 1;
            last = (Some(tick), Some(job.id));
        }
        sqlx::query(ADVANCE)
            .bind(schedule.id)
            .bind(timetable.next(self.now)?)
            .bind(last.0)
            .bind(last.1)
            .execute(conn)
            .await?;
        Ok(jobs)
    }

    /// Which of the ticks from `next_at` until now get a job, oldest first.
    fn ticks(&self, timetable: &Timetable) -> Result<Vec<DateTime<Utc>>, Error> {
        // What is older than the guard can't be told from what was done.
        let kept = self.now - Duration::days(i64::from(self.keep_days));
        let from = self.schedule.next_at.unwrap_or(self.now).max(kept);
        let on_time = self.now - ON_TIME;
        let (from, most) = match self.schedule.catch_up() {
            CatchUp::Skip => (from.max(on_time), usize::MAX),
            CatchUp::Once if from < on_time => (from, 1),
            CatchUp::Once => (from, usize::MAX),
            CatchUp::All(most) => (from, usize::from(most)),
        };
        if self.schedule.next_at.is_some_and(|next_at| next_at < on_time) {
            tracing::warn!(schedule = self.schedule.name, since = ?self.schedule.next_at,
                catch_up = ?self.schedule.catch_up(), "a schedule's ticks were missed");
        }
        timetable.last_between(from, self.now, most)
    }
}
