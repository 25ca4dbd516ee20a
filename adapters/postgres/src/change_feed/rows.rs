//! The statements of a look at runs, deliveries, flow events and logs.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::delivery::DeliverySummary;
use domain::flow::RecordedEvent;
use domain::id::{ProjectId, RunId};
use domain::job::JobSummary;
use domain::live::{LogTail, Owned, Watched};
use domain::run::{LogLine, RunSummary};
use serde_json::Value;

use crate::delivery_desk::Line;
use crate::error::Error;
use crate::run_row::RunRow;
use crate::{Store, flow};

/// Lines of one log in one look.
const LINES: i64 = 1_000;

pub(super) struct Event {
    pub(super) id: i64,
    pub(super) at: DateTime<Utc>,
    pub(super) correlation_id: String,
    pub(super) run_id: Option<i64>,
    pub(super) kind: String,
    actor_kind: String,
    actor: Option<String>,
    data: Value,
    pub(super) project_id: Option<i64>,
}

impl Event {
    pub(super) fn into_recorded(self) -> Result<RecordedEvent, Error> {
        Ok(RecordedEvent {
            id: self.id,
            at: self.at,
            correlation_id: self
                .correlation_id
                .parse()
                .map_err(|e| Error::Unreadable(format!("flow event {}: {e}", self.id)))?,
            run_id: self.run_id.map(RunId),
            kind: self.kind,
            actor: flow::actor(&self.actor_kind, self.actor)?,
            data: self.data,
        })
    }
}

pub(super) async fn now(store: &Store) -> Result<DateTime<Utc>, Error> {
    Ok(sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#)
        .fetch_one(&store.pool)
        .await?)
}

/// The time, and how many blocks of flow events there are.
pub(super) async fn beginning(store: &Store) -> Result<(DateTime<Utc>, i64), Error> {
    let row = sqlx::query!(
        r#"select clock_timestamp() as "now!",
            pg_relation_size('audit.flow_event') / current_setting('block_size')::bigint as "blocks!""#
    )
    .fetch_one(&store.pool)
    .await?;
    Ok((row.now, row.blocks))
}

/// Flow events from this block on that were written since, the newest first. Read by their place: no index
/// leads to the newest, so that writing one costs no more.
pub(super) async fn events(
    store: &Store,
    from: i64,
    since: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Event>, Error> {
    Ok(sqlx::query_as!(
        Event,
        r#"select e.id, e.at, e.correlation_id, e.run_id, e.kind, e.actor_kind, e.actor, e.data,
            r.project_id as "project_id?"
        from (
            select * from audit.flow_event
            where ctid >= ('(' || $1::bigint || ',0)')::tid and at > $2
                and (run_id is not null or kind like 'webhook.%')
            order by id desc limit $3) as e
        left join runs.run r on r.id = e.run_id
        order by e.id desc"#,
        from,
        since,
        limit,
    )
    .fetch_all(&store.pool)
    .await?)
}

pub(super) async fn runs(store: &Store, ids: &[i64]) -> Result<Vec<Owned<RunSummary>>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query_as!(
        RunRow,
        "select r.id, r.project_id, p.slug, p.slots, r.repository_id, o.name as repository, r.issue, r.stage,
            r.revise, r.status, r.reason, r.exit_code, r.correlation_id, r.requested_by, r.namespace,
            r.comment_id, r.created_at, r.started_at, r.finished_at
        from runs.run r
        join platform.project p on p.id = r.project_id
        join platform.repository o on o.id = r.repository_id
        where r.id = any($1) order by r.id desc",
        ids,
    )
    .fetch_all(&store.pool)
    .await?;
    let owned = |row: RunRow| {
        Ok(Owned {
            project: Some(ProjectId(row.project_id)),
            row: row.into_summary()?,
        })
    };
    rows.into_iter().map(owned).collect()
}

pub(super) async fn deliveries(store: &Store, ids: &[String]) -> Result<Vec<Owned<DeliverySummary>>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let lines = sqlx::query_as!(
        Line,
        "select id, event, action, repository, sender, status, reason, run_id, job_id, duplicates, replays,
            received_at, processed_at
        from platform.delivery where id = any($1) order by received_at desc, id desc",
        ids,
    )
    .fetch_all(&store.pool)
    .await?;
    let names: Vec<String> = lines.iter().filter_map(|line| line.repository.clone()).collect();
    let projects = sqlx::query!(
        r#"select lower(name) as "name!", project_id from platform.repository
        where lower(name) = any(select lower(asked) from unnest($1::text[]) as asked)"#,
        &names,
    )
    .fetch_all(&store.pool)
    .await?;
    let projects: BTreeMap<String, i64> = projects
        .into_iter()
        .map(|row| (row.name, row.project_id))
        .collect();
    let owned = |line: Line| {
        let name = line.repository.as_ref().map(|name| name.to_lowercase());
        Ok(Owned {
            project: name.and_then(|name| projects.get(&name)).map(|id| ProjectId(*id)),
            row: line.into_summary()?,
        })
    };
    lines.into_iter().map(owned).collect()
}

/// Further lines of the followed logs. One that isn't followed yet begins at its end: what is there is read
/// in pages.
pub(super) async fn logs(
    store: &Store,
    followed: &mut BTreeMap<RunId, i64>,
    watched: &Watched,
) -> Result<Vec<Owned<LogTail>>, Error> {
    followed.retain(|run, _| watched.runs.contains(run));
    if watched.runs.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<i64> = watched.runs.iter().map(|run| run.0).collect();
    let after: Vec<i64> = watched
        .runs
        .iter()
        .map(|run| followed.get(run).copied().unwrap_or(-1))
        .collect();
    let rows = sqlx::query!(
        r#"select w.run_id as "run_id!", r.project_id, line.number as "number?", line.text as "text?",
            start.number as "start!"
        from unnest($1::bigint[], $2::bigint[]) as w (run_id, after)
        join runs.run r on r.id = w.run_id
        cross join lateral (select case when w.after >= 0 then w.after else coalesce(
            (select max(l.number) from runs.log_line l where l.run_id = w.run_id), 0) end as number) as start
        left join lateral (
            select l.number, l.text from runs.log_line l
            where l.run_id = w.run_id and l.number > start.number
            order by l.number limit $3) as line on true
        order by w.run_id, line.number"#,
        &ids,
        &after,
        LINES,
    )
    .fetch_all(&store.pool)
    .await?;
    let mut tails: Vec<Owned<LogTail>> = Vec::new();
    for row in rows {
        let run = RunId(row.run_id);
        let (Some(number), Some(text)) = (row.number, row.text) else {
            followed.insert(run, row.start);
            continue;
        };
        followed.insert(run, number);
        if tails.last().is_none_or(|last| last.row.run != run) {
            tails.push(Owned {
                project: Some(ProjectId(row.project_id)),
                row: LogTail {
                    run,
                    lines: Vec::new(),
                },
            });
        }
        if let Some(last) = tails.last_mut() {
            last.row.lines.push(LogLine { number, text });
        }
    }
    Ok(tails)
}

/// Jobs with the project of the delivery that each is correlated to.
pub(super) async fn of_deliveries(
    store: &Store,
    jobs: impl Iterator<Item = JobSummary>,
) -> Result<Vec<Owned<JobSummary>>, Error> {
    let jobs: Vec<JobSummary> = jobs.collect();
    let ids: Vec<String> = jobs.iter().filter_map(|job| job.correlation_id.clone()).collect();
    if ids.is_empty() {
        return Ok(jobs.into_iter().map(|row| Owned { project: None, row }).collect());
    }
    let projects = sqlx::query!(
        "select d.id, r.project_id from platform.delivery d
        join platform.repository r on lower(r.name) = lower(d.repository) where d.id = any($1)",
        &ids,
    )
    .fetch_all(&store.pool)
    .await?;
    let projects: BTreeMap<String, i64> = projects.into_iter().map(|row| (row.id, row.project_id)).collect();
    let owned = |row: JobSummary| Owned {
        project: row
            .correlation_id
            .as_ref()
            .and_then(|id| projects.get(id))
            .map(|id| ProjectId(*id)),
        row,
    };
    Ok(jobs.into_iter().map(owned).collect())
}
