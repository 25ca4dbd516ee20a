//! Finds jobs. Conditions that no index serves are tried on a bounded number of jobs at a time, and a page
//! says where the next one has to go on; it may have found nothing and still not be the last.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder};

use super::{FINISHED, JobRow, State, UNFINISHED};
use crate::{Error, Queue};

/// How many jobs of each table a page looks at, where it can't go by an index.
const SCAN: i64 = 25_000;
/// And where each costs a look at the caller's own tables.
const SCAN_SCOPED: i64 = 5_000;

/// Which jobs; all conditions must hold. Newest first.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Filter {
    /// Only in one of these states; any, if empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<State>,
    /// Only in this queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Only of this kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Only with this tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Only with this correlation id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// Only with this unique key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique_key: Option<String>,
    /// Only of this tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Only with this key of limits and rates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Only with this text, in any case, in the last error or in the reason of the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Only with arguments that contain this, as `args @> …` has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args: Option<Value>,
    /// Only enqueued at or after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_after: Option<DateTime<Utc>>,
    /// Only enqueued before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_before: Option<DateTime<Utc>>,
    /// Only with a smaller identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
    /// Only where this holds.
    #[serde(skip)]
    pub scope: Option<Scope>,
    /// At most so many, for [`Queue::list`].
    #[serde(skip)]
    pub limit: i64,
}

/// A condition of the caller's own, over tables of the caller's own: which jobs somebody may see, for example.
#[derive(Debug, Clone)]
pub struct Scope {
    /// SQL over `job`, with `$ids` once in it. An index must serve it: it is tried job by job.
    pub condition: &'static str,
    /// What `$ids` stands for: a `bigint[]`.
    pub ids: Vec<i64>,
}

/// A page of jobs.
#[derive(Debug, Clone)]
pub struct Page<T = JobRow> {
    /// Newest first.
    pub jobs: Vec<T>,
    /// [`Filter::before`] of the next page; `None` if there is nothing more. With fewer jobs than asked for,
    /// the search has looked at as many as one page may and goes on from here.
    pub next: Option<i64>,
}

impl Queue {
    /// Jobs, newest first. Takes at most a few seconds; a search that the database can't do in that time is
    /// an error.
    pub async fn list(&self, filter: &Filter) -> Result<Page, Error> {
        let mut tx = self.pool().begin().await?;
        bounded(&mut tx).await?;
        let Some(search) = Search::new(&mut tx, filter).await? else {
            return Ok(Page {
                jobs: Vec::new(),
                next: None,
            });
        };
        let columns = (UNFINISHED, FINISHED);
        search
            .page(&mut tx, columns, filter.before, filter.limit, |row: &JobRow| {
                row.id
            })
            .await
    }
}

/// Keeps a search from taking long, and the planner from scanning a table that was empty when its statistics
/// were made.
pub(crate) async fn bounded(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    let settings = "set local statement_timeout = '5s'; set local lock_timeout = '3s'; set local jit = off;
        set local enable_seqscan = off; set local enable_bitmapscan = off";
    sqlx::raw_sql(settings).execute(tx).await.map(|_| ())
}

/// Identifiers alone, of unfinished and of finished jobs.
pub(super) const IDS: (&str, &str) = (
    "select job.id from queue.job as job where true",
    "select job.id from queue.history as job where true",
);

/// One of the two tables that jobs stand in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Unfinished,
    Finished,
}

/// A filter, with names resolved to numbers.
#[derive(Debug)]
pub(super) struct Search<'a> {
    filter: &'a Filter,
    queue_id: Option<i16>,
    kind_id: Option<i32>,
}

impl<'a> Search<'a> {
    /// `None` if nothing can match: there is no such queue or kind.
    pub(super) async fn new(conn: &mut PgConnection, filter: &'a Filter) -> Result<Option<Self>, Error> {
        let (mut queue_id, mut kind_id) = (None, None);
        if let Some(name) = &filter.queue {
            let id = sqlx::query_scalar("select id from queue.queue where name = $1")
                .persistent(false)
                .bind(name);
            queue_id = id.fetch_optional(&mut *conn).await?;
        }
        if let Some(name) = &filter.kind {
            let id = sqlx::query_scalar("select id from queue.kind where name = $1")
                .persistent(false)
                .bind(name);
            kind_id = id.fetch_optional(&mut *conn).await?;
        }
        if (filter.queue.is_some() && queue_id.is_none()) || (filter.kind.is_some() && kind_id.is_none()) {
            return Ok(None);
        }
        Ok(Some(Self {
            filter,
            queue_id,
            kind_id,
        }))
    }

    /// A page of what the columns' statements select, each with its `where`.
    pub(super) async fn page<T>(
        &self,
        conn: &mut PgConnection,
        columns: (&'static str, &'static str),
        before: Option<i64>,
        limit: i64,
        id_of: impl Fn(&T) -> i64,
    ) -> Result<Page<T>, Error>
    where
        T: for<'r> FromRow<'r, sqlx::postgres::PgRow> + Send + Unpin,
    {
        let parts = self.parts();
        let floor = self.floor(conn, &parts, before).await?;
        let mut query = QueryBuilder::<Postgres>::new("select * from (");
        for (place, part) in parts.iter().enumerate() {
            query.push(if place > 0 { " union all (" } else { "(" });
            query.push(match part {
                Part::Unfinished => columns.0,
                Part::Finished => columns.1,
            });
            self.push_conditions(&mut query, *part, before, floor);
            query
                .push(" order by job.id desc limit ")
                .push_bind(limit)
                .push(")");
        }
        query.push(") as job order by id desc limit ").push_bind(limit);
        let jobs: Vec<T> = query.build_query_as().persistent(false).fetch_all(conn).await?;
        let next = match jobs.last() {
            Some(last) if jobs.len() as i64 >= limit => Some(id_of(last)),
            _ => floor,
        };
        Ok(Page { jobs, next })
    }

    /// How many there are, counted no further than `limit` and as far as one page may look; and where to go on.
    pub(super) async fn count(
        &self,
        conn: &mut PgConnection,
        before: Option<i64>,
        limit: i64,
    ) -> Result<(i64, Option<i64>), Error> {
        let parts = self.parts();
        let floor = self.floor(conn, &parts, before).await?;
        let mut query = QueryBuilder::<Postgres>::new("select count(*) from (");
        for (place, part) in parts.iter().enumerate() {
            query.push(if place > 0 { " union all (" } else { "(" });
            query.push(match part {
                Part::Unfinished => "select from queue.job as job where true",
                Part::Finished => "select from queue.history as job where true",
            });
            self.push_conditions(&mut query, *part, before, floor);
            query.push(" limit ").push_bind(limit).push(")");
        }
        query.push(") as job");
        let count: i64 = query
            .build_query_scalar()
            .persistent(false)
            .fetch_one(conn)
            .await?;
        Ok((count.min(limit), floor))
    }

    fn states(&self, part: Part) -> Vec<State> {
        let of_part = |state: &&State| state.is_finished() == (part == Part::Finished);
        self.filter.states.iter().filter(of_part).copied().collect()
    }

    fn parts(&self) -> Vec<Part> {
        let asked = |part: &Part| self.filter.states.is_empty() || !self.states(*part).is_empty();
        [Part::Unfinished, Part::Finished]
            .into_iter()
            .filter(asked)
            .collect()
    }

    /// The identifier down to which this page may look: where the search in one table ends, that in the other must
    /// end too.
    async fn floor(
        &self,
        conn: &mut PgConnection,
        parts: &[Part],
        before: Option<i64>,
    ) -> Result<Option<i64>, sqlx::Error> {
        let mut floor = None;
        for part in parts {
            floor = floor.max(self.floor_of(conn, *part, before).await?);
        }
        Ok(floor)
    }

    async fn floor_of(
        &self,
        conn: &mut PgConnection,
        part: Part,
        before: Option<i64>,
    ) -> Result<Option<i64>, sqlx::Error> {
        let keyed = part == Part::Unfinished && self.filter.unique_key.is_some();
        if keyed || !self.has_rest(part) {
            return Ok(None);
        }
        let mut query = QueryBuilder::<Postgres>::new(match part {
            Part::Unfinished => IDS.0,
            Part::Finished => IDS.1,
        });
        self.push_indexed(&mut query, part, before);
        query
            .push(" order by job.id desc offset ")
            .push_bind(self.scan() - 1)
            .push(" limit 1");
        query
            .build_query_scalar()
            .persistent(false)
            .fetch_optional(conn)
            .await
    }

    fn scan(&self) -> i64 {
        if self.filter.scope.is_some() {
            SCAN_SCOPED
        } else {
            SCAN
        }
    }

    /// Ended badly: these have an index of their own.
    fn is_unhappy(&self, part: Part) -> bool {
        part == Part::Finished
            && !self.filter.states.is_empty()
            && !self.filter.states.contains(&State::Completed)
    }

    /// Conditions that an index serves. Written out, not bound, where the planner has to see them.
    fn push_indexed(&self, query: &mut QueryBuilder<Postgres>, part: Part, before: Option<i64>) {
        if let Some(before) = before {
            query.push(" and job.id < ").push_bind(before);
        }
        if let Some(correlation_id) = &self.filter.correlation_id {
            query
                .push(" and job.correlation_id = ")
                .push_bind(correlation_id.clone());
        } else if self.is_unhappy(part) {
            query.push(" and job.state <> 0");
        }
    }

    /// Whether there are conditions that no index serves.
    fn has_rest(&self, part: Part) -> bool {
        let filter = self.filter;
        let states = self.states(part).len();
        let states_are_indexed = states == 2 && self.is_unhappy(part) && filter.correlation_id.is_none();
        (matches!(states, 1 | 2) && !states_are_indexed)
            || self.queue_id.is_some()
            || self.kind_id.is_some()
            || filter.tag.is_some()
            || filter.tenant.is_some()
            || filter.key.is_some()
            || filter.unique_key.is_some()
            || filter.error.is_some()
            || filter.args.is_some()
            || filter.scope.is_some()
            || filter.created_after.is_some()
            || filter.created_before.is_some()
    }

    fn push_conditions(
        &self,
        query: &mut QueryBuilder<Postgres>,
        part: Part,
        before: Option<i64>,
        floor: Option<i64>,
    ) {
        self.push_indexed(query, part, before);
        self.push_rest(query, part);
        if let Some(floor) = floor {
            query.push(" and job.id >= ").push_bind(floor);
        }
    }

    fn push_rest(&self, query: &mut QueryBuilder<Postgres>, part: Part) {
        let filter = self.filter;
        let states = self.states(part);
        if !states.is_empty() {
            let any: Vec<&str> = states.into_iter().map(condition).collect();
            query.push(" and (").push(any.join(" or ")).push(")");
        }
        if let Some(queue_id) = self.queue_id {
            query.push(" and job.queue_id = ").push_bind(queue_id);
        }
        if let Some(kind_id) = self.kind_id {
            query.push(" and job.kind_id = ").push_bind(kind_id);
        }
        if let Some(tag) = &filter.tag {
            query
                .push(" and job.tags @> array[")
                .push_bind(tag.clone())
                .push("]");
        }
        if let Some(tenant) = &filter.tenant {
            query.push(" and job.tenant = ").push_bind(tenant.clone());
        }
        if let Some(key) = &filter.key {
            query.push(" and job.key = ").push_bind(key.clone());
        }
        if let Some(key) = &filter.unique_key {
            query.push(" and job.unique_key = ").push_bind(key.clone());
        }
        if let Some(error) = &filter.error {
            query.push(match part {
                Part::Unfinished => " and strpos(lower(job.last_error), lower(",
                Part::Finished => " and strpos(lower(job.reason), lower(",
            });
            query.push_bind(error.clone()).push(")) > 0");
        }
        if let Some(args) = &filter.args {
            query.push(" and job.args @> ").push_bind(args.clone());
        }
        if let Some(scope) = &filter.scope
            && let Some((before, after)) = scope.condition.split_once("$ids")
        {
            query.push(" and (").push(before).push_bind(scope.ids.clone());
            query.push(after).push(")");
        }
        if let Some(after) = filter.created_after {
            query.push(" and job.created_at >= ").push_bind(after);
        }
        if let Some(created_before) = filter.created_before {
            query.push(" and job.created_at < ").push_bind(created_before);
        }
    }
}

fn condition(state: State) -> &'static str {
    match state {
        State::Ready => "((job.seq is not null or job.parked is not null) and job.claimed_by is null)",
        State::Scheduled => "(job.seq is null and job.parked is null and job.waiting is not true)",
        State::Waiting => "job.waiting",
        State::Running => "job.claimed_by is not null",
        State::Completed => "job.state = 0",
        State::Cancelled => "job.state = 1",
        State::Dead => "job.state = 2",
    }
}
