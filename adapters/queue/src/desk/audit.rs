//! Who changed which jobs, queues, kinds, tenants, schedules and workers, and why. Written in the change's own
//! transaction, kept for 400 days.

use std::fmt;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder};

use super::{By, Change, Filter};
use crate::{Error, Queue};

/// Days that entries are kept.
const KEEP_DAYS: i32 = 400;
/// The most that are thrown away by one statement.
const AT_ONCE: u64 = 1_000;

/// One change: of up to 1,000 jobs, or of one subject.
#[derive(Debug, Clone, FromRow)]
pub struct AuditEntry {
    /// Its place, growing.
    pub id: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: String,
    /// Of jobs `retry`, `cancel`, `delete`, `reschedule` or `priority`; else `pause`, `resume`, `limits`, `drain`,
    /// `trigger` or `remove`.
    pub action: String,
    /// What was changed where it is no job, such as `queue mail` or `schedule nightly-report`.
    pub subject: Option<String>,
    /// How the subject stood: its pause, its limits, or a removed schedule.
    pub before: Option<Value>,
    /// How it stands since, as far as it was changed.
    pub after: Option<Value>,
    /// The time or the priority that was given.
    pub detail: Option<String>,
    /// Which jobs were changed; the one that a schedule's trigger stands for.
    pub job_ids: Vec<i64>,
    /// How they were chosen, where not by their identifiers.
    pub filter: Option<Value>,
    /// How many jobs were changed.
    pub affected: i32,
    /// Why.
    pub reason: Option<String>,
}

/// Which entries; all conditions must hold.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only of this actor.
    pub actor: Option<String>,
    /// Only this action.
    pub action: Option<String>,
    /// Only what changed this job.
    pub job_id: Option<i64>,
    /// Only of this [`AuditEntry::subject`].
    pub subject: Option<String>,
    /// Only of this sort: `job`, or what a subject begins with, such as `queue`.
    pub sort: Option<String>,
    /// Only at or after.
    pub since: Option<DateTime<Utc>>,
    /// Only before.
    pub until: Option<DateTime<Utc>>,
}

impl Queue {
    /// Changes, newest first: at most `limit` with an [`AuditEntry::id`] smaller than `before`.
    pub async fn audit(
        &self,
        filter: &AuditFilter,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<AuditEntry>, Error> {
        let mut query = QueryBuilder::<Postgres>::new(
            "select id, at, actor, action, subject, before, after, detail, job_ids, filter, affected, reason
            from queue.audit where true",
        );
        if let Some(actor) = &filter.actor {
            query.push(" and actor = ").push_bind(actor.clone());
        }
        if let Some(action) = &filter.action {
            query.push(" and action = ").push_bind(action.clone());
        }
        if let Some(job_id) = filter.job_id {
            query.push(" and job_ids @> array[").push_bind(job_id).push("]");
        }
        if let Some(subject) = &filter.subject {
            query.push(" and subject = ").push_bind(subject.clone());
        }
        match filter.sort.as_deref() {
            None => {}
            Some("job") => {
                query.push(" and subject is null");
            }
            Some(sort) => {
                query
                    .push(" and starts_with(subject, ")
                    .push_bind(format!("{sort} "))
                    .push(")");
            }
        }
        if let Some(since) = filter.since {
            query.push(" and at >= ").push_bind(since);
        }
        if let Some(until) = filter.until {
            query.push(" and at < ").push_bind(until);
        }
        if let Some(before) = before {
            query.push(" and id < ").push_bind(before);
        }
        query.push(" order by id desc limit ").push_bind(limit);
        let mut unit = self.own_unit().await?;
        let entries = query
            .build_query_as()
            .persistent(false)
            .fetch_all(&mut *unit)
            .await?;
        unit.end().await?;
        Ok(entries)
    }
}

pub(super) async fn record(
    conn: &mut PgConnection,
    change: &Change,
    by: &By,
    filter: Option<&Filter>,
    job_ids: &[i64],
) -> Result<(), sqlx::Error> {
    if job_ids.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into queue.audit (actor, action, detail, job_ids, filter, affected, reason)
        values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .persistent(false)
    .bind(&by.actor)
    .bind(change.name())
    .bind(change.detail())
    .bind(job_ids)
    .bind(filter.map(sqlx::types::Json))
    .bind(i32::try_from(job_ids.len()).unwrap_or(i32::MAX))
    .bind(&by.reason)
    .execute(conn)
    .await
    .map(|_| ())
}

/// What was changed that is no job.
#[derive(Debug)]
pub(crate) enum Subject<'a> {
    Queue(&'a str),
    Kind(&'a str),
    Tenant { queue: &'a str, tenant: &'a str },
    Schedule(&'a str),
    Worker(&'a str),
}

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queue(name) => write!(f, "queue {name}"),
            Self::Kind(name) => write!(f, "kind {name}"),
            Self::Tenant { queue, tenant } => write!(f, "tenant {tenant} of queue {queue}"),
            Self::Schedule(name) => write!(f, "schedule {name}"),
            Self::Worker(name) => write!(f, "worker {name}"),
        }
    }
}

/// Writes down what somebody did to a subject; `job_ids` are the jobs that came of it.
pub(crate) async fn record_subject(
    conn: &mut PgConnection,
    action: &'static str,
    subject: &Subject<'_>,
    (before, after): (Option<Value>, Option<Value>),
    job_ids: &[i64],
    by: &By,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into queue.audit (actor, action, subject, before, after, job_ids, affected, reason)
        values ($1, $2, $3, $4, $5, $6, cardinality($6), $7)",
    )
    .persistent(false)
    .bind(&by.actor)
    .bind(action)
    .bind(subject.to_string())
    .bind(before)
    .bind(after)
    .bind(job_ids)
    .bind(&by.reason)
    .execute(conn)
    .await
    .map(|_| ())
}

/// Throws away some of what is too old, and says whether there may be more.
pub(crate) async fn forget(conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let gone = sqlx::query(
        "delete from queue.audit where id = any (array (
            select id from queue.audit where at < (select clock_timestamp() - $1 * interval '1 day')
            order by at limit $2))",
    )
    .persistent(false)
    .bind(KEEP_DAYS)
    .bind(AT_ONCE as i64)
    .execute(conn)
    .await?;
    Ok(gone.rows_affected() == AT_ONCE)
}
