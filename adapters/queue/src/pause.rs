//! Pauses of a queue, a kind or a tenant: nothing more of it is started, and what runs goes on.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::postgres::PgArguments;
use sqlx::query::QueryAs;
use sqlx::{Connection, FromRow, PgConnection, Postgres};

use crate::desk::{Subject, record_subject};
use crate::{By, Error, Queue, Wake};

/// Since when it was paused before, and since when it is now.
type Since = (Option<DateTime<Utc>>, Option<DateTime<Utc>>);
type Switch<'q> = QueryAs<'q, Postgres, Since, PgArguments>;

// Each gives a row where it changes something, and none where it was so already.

const PAUSE: &str = "
update queue.queue set paused_at = clock_timestamp() where id = $1 and paused_at is null
returning null::timestamptz, paused_at";
const RESUME: &str = "
with old as materialized (
    select id, paused_at from queue.queue where id = $1 and paused_at is not null for update)
update queue.queue as queue set paused_at = null from old where queue.id = old.id
returning old.paused_at, queue.paused_at";
const PAUSE_KIND: &str = "
update queue.kind set paused_at = clock_timestamp() where id = $1 and paused_at is null
returning null::timestamptz, paused_at";
const RESUME_KIND: &str = "
with old as materialized (
    select id, paused_at from queue.kind where id = $1 and paused_at is not null for update)
update queue.kind as kind set paused_at = null from old where kind.id = old.id
returning old.paused_at, kind.paused_at";
const PAUSE_TENANT: &str = "
insert into queue.paused_tenant (queue_id, tenant) values ($1, $2) on conflict do nothing
returning null::timestamptz, paused_at";
const RESUME_TENANT: &str = "
delete from queue.paused_tenant where queue_id = $1 and tenant = $2
returning paused_at, null::timestamptz";

/// Something that is paused: a queue, a kind, or a tenant of a queue.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize)]
pub struct Pause {
    /// The queue, or the tenant's.
    pub queue: Option<String>,
    /// The kind.
    pub kind: Option<String>,
    /// The tenant.
    pub tenant: Option<String>,
    /// Since when.
    pub paused_at: DateTime<Utc>,
}

const PAUSES: &str = "
select name as queue, null as kind, null as tenant, paused_at from queue.queue where paused_at is not null
union all
select null, name, null, paused_at from queue.kind where paused_at is not null
union all
(select queue.name, null, paused.tenant, paused.paused_at
from queue.paused_tenant as paused join queue.queue as queue on queue.id = paused.queue_id
order by paused.paused_at desc limit $1)
order by paused_at desc limit $1";

/// Before and after, as the audit has them.
pub(crate) fn pause_states(
    before: Option<DateTime<Utc>>,
    after: Option<DateTime<Utc>>,
) -> (Option<Value>, Option<Value>) {
    let state = |paused_at: Option<DateTime<Utc>>| Some(json!({ "paused_at": paused_at }));
    (state(before), state(after))
}

impl Queue {
    /// Starts no more jobs of this queue. Holds for claims made after the commit. Like all pauses and their ends
    /// it is audited in the caller's transaction. False if it was paused already, which changes nothing.
    pub async fn pause(&self, conn: &mut PgConnection, queue: &str, by: &By) -> Result<bool, Error> {
        let queue_id = self.names().queue(queue).await?;
        let switch = sqlx::query_as(PAUSE).bind(queue_id);
        self.switch(conn, "pause", &Subject::Queue(queue), switch, None, by)
            .await
    }

    /// Ends [`Queue::pause`]. False if it wasn't paused.
    pub async fn resume(&self, conn: &mut PgConnection, queue: &str, by: &By) -> Result<bool, Error> {
        let queue_id = self.names().queue(queue).await?;
        let switch = sqlx::query_as(RESUME).bind(queue_id);
        self.switch(conn, "resume", &Subject::Queue(queue), switch, Some(queue_id), by)
            .await
    }

    /// Starts no more jobs of this kind, in any queue. The next claim that meets one puts it aside, so that no
    /// later claim has to step over it. False if it was paused already.
    pub async fn pause_kind(&self, conn: &mut PgConnection, kind: &str, by: &By) -> Result<bool, Error> {
        let kind_id = self.names().kind(kind).await?;
        let switch = sqlx::query_as(PAUSE_KIND).bind(kind_id);
        self.switch(conn, "pause", &Subject::Kind(kind), switch, None, by)
            .await
    }

    /// Ends [`Queue::pause_kind`]; jobs put aside come back within a second, in their order, in front of all that
    /// wait. False if it wasn't paused.
    pub async fn resume_kind(&self, conn: &mut PgConnection, kind: &str, by: &By) -> Result<bool, Error> {
        let kind_id = self.names().kind(kind).await?;
        let switch = sqlx::query_as(RESUME_KIND).bind(kind_id);
        self.switch(conn, "resume", &Subject::Kind(kind), switch, None, by)
            .await
    }

    /// Starts no more jobs of this tenant in this queue. False if it was paused already.
    pub async fn pause_tenant(
        &self,
        conn: &mut PgConnection,
        queue: &str,
        tenant: &str,
        by: &By,
    ) -> Result<bool, Error> {
        let queue_id = self.names().queue(queue).await?;
        let switch = sqlx::query_as(PAUSE_TENANT).bind(queue_id).bind(tenant);
        self.switch(
            conn,
            "pause",
            &Subject::Tenant { queue, tenant },
            switch,
            None,
            by,
        )
        .await
    }

    /// Ends [`Queue::pause_tenant`]. False if it wasn't paused.
    pub async fn resume_tenant(
        &self,
        conn: &mut PgConnection,
        queue: &str,
        tenant: &str,
        by: &By,
    ) -> Result<bool, Error> {
        let queue_id = self.names().queue(queue).await?;
        let switch = sqlx::query_as(RESUME_TENANT).bind(queue_id).bind(tenant);
        let subject = Subject::Tenant { queue, tenant };
        self.switch(conn, "resume", &subject, switch, Some(queue_id), by)
            .await
    }

    /// What is paused, the latest first, at most so many.
    pub async fn pauses(&self, limit: i64) -> Result<Vec<Pause>, Error> {
        let mut unit = self.own_unit().await?;
        let pauses = sqlx::query_as(PAUSES).persistent(false).bind(limit);
        let pauses = pauses.fetch_all(&mut *unit).await?;
        unit.end().await?;
        Ok(pauses)
    }

    /// Runs the statement together with the audit's line, and wakes the workers of a queue that has jobs to start
    /// again.
    async fn switch(
        &self,
        conn: &mut PgConnection,
        action: &'static str,
        subject: &Subject<'_>,
        statement: Switch<'_>,
        resumed: Option<i16>,
        by: &By,
    ) -> Result<bool, Error> {
        let mut tx = conn.begin().await?;
        let Some((before, after)) = statement.persistent(false).fetch_optional(&mut *tx).await? else {
            tx.commit().await?;
            return Ok(false);
        };
        let change = pause_states(before, after);
        record_subject(&mut tx, action, subject, change, &[], by).await?;
        if let Some(queue_id) = resumed
            && self.wake_mode() == Wake::Notify
        {
            sqlx::query("select queue.wake($1)")
                .persistent(false)
                .bind(queue_id)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(true)
    }
}
