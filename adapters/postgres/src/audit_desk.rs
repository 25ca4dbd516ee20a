//! What people changed: the queue's own audit and the flow events of people, put together. Each is read from its
//! newest by an index, and a page goes on in each where it ended there.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::audit::{AuditEntry, AuditFilter, AuditPage, AuditPlace};
use domain::id::{JobId, RunId};
use domain::port::PortError;
use domain::port::staff::AuditDesk;
use serde_json::Value;

use crate::Store;
use crate::error::db;
use crate::store::page;

/// How many jobs an entry names.
const NAMED: usize = 20;

/// What the queue's audit has; anything else is a flow event.
const QUEUES: [&str; 6] = ["job", "queue", "kind", "tenant", "schedule", "worker"];

/// An entry with its place in its own record.
enum Line {
    Queue(i64, AuditEntry),
    Platform(i64, AuditEntry),
}

impl Line {
    fn at(&self) -> DateTime<Utc> {
        match self {
            Self::Queue(_, entry) | Self::Platform(_, entry) => entry.at,
        }
    }
}

#[async_trait]
impl AuditDesk for Store {
    async fn entries(
        &self,
        filter: &AuditFilter,
        before: AuditPlace,
        limit: i64,
    ) -> Result<AuditPage, PortError> {
        let limit = page(limit);
        let mut lines = self.queue_lines(filter, before.queue, limit + 1).await?;
        lines.extend(self.platform_lines(filter, before.platform, limit + 1).await?);
        lines.sort_by_key(|line| std::cmp::Reverse(line.at()));
        let more = lines.len() as i64 > limit;
        lines.truncate(usize::try_from(limit).unwrap_or(0));
        let mut next = before;
        let mut entries = Vec::with_capacity(lines.len());
        for line in lines {
            let entry = match line {
                Line::Queue(id, entry) => {
                    next.queue = next.queue.min(id);
                    entry
                }
                Line::Platform(id, entry) => {
                    next.platform = next.platform.min(id);
                    entry
                }
            };
            entries.push(entry);
        }
        Ok(AuditPage {
            entries,
            next: more.then_some(next),
        })
    }
}

impl Store {
    async fn queue_lines(
        &self,
        filter: &AuditFilter,
        before: i64,
        limit: i64,
    ) -> Result<Vec<Line>, PortError> {
        let (sort, action) = match filter.action.as_deref().map(|action| action.split_once('.')) {
            None => (None, None),
            Some(Some((sort, action))) if QUEUES.contains(&sort) => (Some(sort), Some(action)),
            Some(_) => return Ok(Vec::new()),
        };
        let filter = queue::AuditFilter {
            actor: filter.actor.clone(),
            action: action.map(str::to_owned),
            sort: sort.map(str::to_owned),
            job_id: filter.job.map(|job| job.0),
            subject: filter.subject.clone(),
            since: filter.since,
            until: filter.until,
        };
        let entries = self.queue.audit(&filter, Some(before), limit).await.map_err(db)?;
        let line = |entry: queue::AuditEntry| {
            let sort = entry.subject.as_deref().map_or("job", |subject| {
                subject.split_once(' ').map_or(subject, |(sort, _)| sort)
            });
            let details = [
                entry.detail.map(|detail| ("given", Value::from(detail))),
                entry.filter.map(|filter| ("filter", filter)),
            ];
            let data: serde_json::Map<String, Value> = details
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.to_owned(), value))
                .collect();
            let named = AuditEntry {
                id: format!("q{}", entry.id),
                at: entry.at,
                actor: entry.actor,
                action: format!("{sort}.{}", entry.action),
                subject: entry.subject,
                subject_name: None,
                before: entry.before,
                after: entry.after,
                data: (!data.is_empty()).then_some(Value::Object(data)),
                reason: entry.reason,
                jobs: entry.job_ids.into_iter().take(NAMED).map(JobId).collect(),
                affected: i64::from(entry.affected),
                run: None,
                correlation_id: None,
            };
            Line::Queue(entry.id, named)
        };
        Ok(entries.into_iter().map(line).collect())
    }

    /// The events of jobs are left out: the queue's audit has them with more to them. So are runs that a label began:
    /// nobody changed anything of ours.
    async fn platform_lines(
        &self,
        filter: &AuditFilter,
        before: i64,
        limit: i64,
    ) -> Result<Vec<Line>, PortError> {
        if filter.job.is_some() {
            return Ok(Vec::new());
        }
        let rows = sqlx::query!(
            r#"select e.id, e.at, e.correlation_id, e.run_id, e.kind, coalesce(e.actor, 'system') as "actor!", e.data,
                case when e.correlation_id like 'user-%' then (
                    select u.email from platform.user_account u where 'user-' || u.id = e.correlation_id)
                when e.correlation_id like 'project-%' then (
                    select p.slug from platform.project p where 'project-' || p.id = e.correlation_id)
                when e.correlation_id like 'repository-%' then (
                    select r.name from platform.repository r where 'repository-' || r.id = e.correlation_id)
                end as subject_name
            from audit.flow_event e
            where (e.actor_kind <> 'system' or e.kind like 'access.%') and e.id < $1 and e.kind not like 'job.%' and e.kind <> 'run.created'
                and ($2::text is null or coalesce(e.actor, 'system') = $2)
                and ($3::text is null or e.kind = $3)
                and ($4::text is null or e.correlation_id = $4)
                and ($5::timestamptz is null or e.at >= $5)
                and ($6::timestamptz is null or e.at < $6)
            order by e.id desc limit $7"#,
            before,
            filter.actor,
            filter.action,
            filter.subject,
            filter.since,
            filter.until,
            limit,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(db)?;
        let lines = rows.into_iter().map(|row| {
            let mut data = row.data;
            let mut take = |name| data.as_object_mut().and_then(|members| members.remove(name));
            let (before, after, reason) = (take("before"), take("after"), take("reason"));
            let there = |value: Option<Value>| value.filter(|value| !value.is_null());
            let is_empty = data.as_object().is_some_and(serde_json::Map::is_empty);
            let entry = AuditEntry {
                id: format!("p{}", row.id),
                at: row.at,
                actor: row.actor,
                action: row.kind,
                subject: Some(row.correlation_id.clone()),
                subject_name: row.subject_name,
                before: there(before),
                after: there(after),
                data: (!is_empty).then_some(data),
                reason: reason.and_then(|reason| reason.as_str().map(str::to_owned)),
                jobs: Vec::new(),
                affected: 0,
                run: row.run_id.map(RunId),
                correlation_id: Some(row.correlation_id),
            };
            Line::Platform(row.id, entry)
        });
        Ok(lines.collect())
    }
}
