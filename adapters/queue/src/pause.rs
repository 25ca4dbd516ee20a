//! Pauses of a queue, a kind or a tenant: nothing more of it is started, and what runs goes on.

use sqlx::PgConnection;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;

use crate::{Error, Queue, Wake};

const PAUSE: &str = "update queue.queue set paused_at = coalesce(paused_at, clock_timestamp()) where id = $1";
const RESUME: &str = "update queue.queue set paused_at = null where id = $1";
const PAUSE_KIND: &str =
    "update queue.kind set paused_at = coalesce(paused_at, clock_timestamp()) where id = $1";
const RESUME_KIND: &str = "update queue.kind set paused_at = null where id = $1";
const PAUSE_TENANT: &str =
    "insert into queue.paused_tenant (queue_id, tenant) values ($1, $2) on conflict do nothing";
const RESUME_TENANT: &str = "delete from queue.paused_tenant where queue_id = $1 and tenant = $2";

impl Queue {
    /// Starts no more jobs of this queue. Holds for claims made after the commit. Idempotent.
    pub async fn pause(&self, conn: &mut PgConnection, queue: &str) -> Result<(), Error> {
        let queue_id = self.names().queue(queue).await?;
        self.carry_out(conn, sqlx::query(PAUSE).bind(queue_id), None)
            .await
    }

    /// Ends [`Queue::pause`].
    pub async fn resume(&self, conn: &mut PgConnection, queue: &str) -> Result<(), Error> {
        let queue_id = self.names().queue(queue).await?;
        self.carry_out(conn, sqlx::query(RESUME).bind(queue_id), Some(queue_id))
            .await
    }

    /// Starts no more jobs of this kind, in any queue. The next claim that meets one puts it aside, so that no
    /// later claim has to step over it. Idempotent.
    pub async fn pause_kind(&self, conn: &mut PgConnection, kind: &str) -> Result<(), Error> {
        let kind_id = self.names().kind(kind).await?;
        self.carry_out(conn, sqlx::query(PAUSE_KIND).bind(kind_id), None)
            .await
    }

    /// Ends [`Queue::pause_kind`]; jobs put aside come back within a second, in their order, in front of all that
    /// wait.
    pub async fn resume_kind(&self, conn: &mut PgConnection, kind: &str) -> Result<(), Error> {
        let kind_id = self.names().kind(kind).await?;
        self.carry_out(conn, sqlx::query(RESUME_KIND).bind(kind_id), None)
            .await
    }

    /// Starts no more jobs of this tenant in this queue. Idempotent.
    pub async fn pause_tenant(
        &self,
        conn: &mut PgConnection,
        queue: &str,
        tenant: &str,
    ) -> Result<(), Error> {
        let queue_id = self.names().queue(queue).await?;
        let query = sqlx::query(PAUSE_TENANT).bind(queue_id).bind(tenant);
        self.carry_out(conn, query, None).await
    }

    /// Ends [`Queue::pause_tenant`].
    pub async fn resume_tenant(
        &self,
        conn: &mut PgConnection,
        queue: &str,
        tenant: &str,
    ) -> Result<(), Error> {
        let queue_id = self.names().queue(queue).await?;
        let query = sqlx::query(RESUME_TENANT).bind(queue_id).bind(tenant);
        self.carry_out(conn, query, Some(queue_id)).await
    }

    /// Runs the statement, and wakes the workers of a queue that has jobs to start again.
    async fn carry_out(
        &self,
        conn: &mut PgConnection,
        query: Query<'_, sqlx::Postgres, PgArguments>,
        resumed: Option<i16>,
    ) -> Result<(), Error> {
        let mut unit = self.unit(conn).await?;
        query.persistent(false).execute(&mut *unit).await?;
        if let Some(queue_id) = resumed
            && self.wake_mode() == Wake::Notify
        {
            sqlx::query("select queue.wake($1)")
                .bind(queue_id)
                .execute(&mut *unit)
                .await?;
        }
        unit.end().await?;
        Ok(())
    }
}
