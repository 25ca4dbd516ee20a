//! Workers as an orchestrator steers them: "finish and leave" before it ends a pod, "it is gone" after.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::{Connection, PgConnection};

use crate::desk::{Subject, record_subject};
use crate::{By, Error, Queue, Wake, rescue, wake};

/// The living of a name, and those of them that nobody had asked before; both held, so that of two who ask one changes
/// something.
const DRAIN: &str = "
with living as materialized (
    select id, draining_at from queue.worker where name = $1 and stopped_at is null order by id for no key update
), asked as (
    update queue.worker set draining_at = clock_timestamp()
    where id in (select id from living where draining_at is null) returning id
)
select (select count(*) from living), (select count(*) from asked)";

impl Queue {
    /// Asks every living worker of this name to drain: it claims nothing more, finishes what it runs, however
    /// long that takes, and ends; [`Worker::run`](crate::Worker::run) then returns as after its shutdown,
    /// which may still come meanwhile and sets the grace period. A worker started later under the same name
    /// works as usual. Returns how many were asked; asking again changes nothing.
    pub async fn drain_worker(&self, name: &str) -> Result<u64, Error> {
        let mut unit = self.own_unit().await?;
        let (living, _) = self.ask_to_drain(&mut unit, name).await?;
        unit.end().await?;
        Ok(living as u64)
    }

    /// [`Queue::drain_worker`] as somebody's wish, audited in the caller's transaction. Whether it changed anything;
    /// `None` if no worker of this name lives.
    pub async fn drain_worker_by(
        &self,
        conn: &mut PgConnection,
        name: &str,
        by: &By,
    ) -> Result<Option<bool>, Error> {
        let mut tx = conn.begin().await?;
        let (living, asked) = self.ask_to_drain(&mut tx, name).await?;
        if asked > 0 {
            let change = (
                Some(json!({ "draining": living - asked, "workers": living })),
                Some(json!({ "draining": living, "workers": living })),
            );
            record_subject(&mut tx, "drain", &Subject::Worker(name), change, &[], by).await?;
        }
        tx.commit().await?;
        Ok((living > 0).then_some(asked > 0))
    }

    /// How many live under this name, and how many of them nobody had asked before.
    async fn ask_to_drain(&self, conn: &mut PgConnection, name: &str) -> Result<(i64, i64), Error> {
        let asking = sqlx::query_as(DRAIN).persistent(false).bind(name);
        let (living, asked) = asking.fetch_one(&mut *conn).await?;
        if asked > 0 && self.wake_mode() == Wake::Notify {
            sqlx::query("select pg_notify($1, 'drain')")
                .bind(wake::CHANNEL)
                .execute(conn)
                .await?;
        }
        Ok((living, asked))
    }

    /// How many workers of this name were asked to drain and haven't signed off yet. One that has signed off
    /// has written down or given back everything it held.
    pub async fn draining(&self, name: &str) -> Result<u64, Error> {
        let count = sqlx::query_scalar(
            "select count(*) from queue.worker
            where name = $1 and stopped_at is null and draining_at is not null",
        );
        let mut unit = self.own_unit().await?;
        let count: i64 = count.persistent(false).bind(name).fetch_one(&mut *unit).await?;
        unit.end().await?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// Whether there is or was a worker of this name. One that left is remembered for as long as history names it.
    pub async fn knows_worker(&self, name: &str) -> Result<bool, Error> {
        let known = sqlx::query_scalar("select exists (select from queue.worker where name = $1)");
        let mut unit = self.own_unit().await?;
        let known = known.persistent(false).bind(name).fetch_one(&mut *unit).await?;
        unit.end().await?;
        Ok(known)
    }

    /// Reports that the workers of this name that were started before `started_before` are no more (their pod
    /// has ended, their node was taken away). Their jobs are free at once, with no attempt burned and no
    /// suspicion. A younger worker of the same name is left alone: pod names are used again. A worker that
    /// lives all the same finds out at its next heartbeat, drops what it ran and carries on. `started_before`
    /// is compared with the database's clock. Returns how many jobs were freed; saying it twice does no harm.
    pub async fn worker_gone(&self, name: &str, started_before: DateTime<Utc>) -> Result<u64, Error> {
        let mut tx = self.pool().begin().await?;
        sqlx::query("select queue.worker_gone($1, $2)")
            .persistent(false)
            .bind(name)
            .bind(started_before)
            .execute(&mut *tx)
            .await?;
        // Without any contact of our own nobody counts as silent: only the reported ones are rescued.
        let rescued = rescue::rescue(&mut tx, Duration::ZERO).await?;
        if self.wake_mode() == Wake::Notify {
            for (queue_id, _) in &rescued {
                sqlx::query("select queue.wake($1)")
                    .bind(queue_id)
                    .execute(&mut *tx)
                    .await?;
            }
        }
        tx.commit().await?;
        Ok(rescued.iter().map(|(_, jobs)| *jobs as u64).sum())
    }
}
