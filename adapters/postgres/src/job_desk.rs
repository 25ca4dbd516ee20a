//! Jobs as staff see and steer them: the queue's own desk, with an audit event for every change.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use domain::access::Projects;
use domain::flow::{Author, FlowActor, FlowEvent};
use domain::id::{CorrelationId, JobId};
use domain::job::{
    JobAction, JobAttempt, JobChange, JobCount, JobDetail, JobExplanation, JobFilter, JobLogLine, JobPage,
    JobPreview, JobProgress, JobSelection, JobsChanged, LogLevel, QueueCounts, StoppedAt,
};
use domain::port::{JobDesk, PortError};
use queue::{Action, JobRow, Selection, State};
use serde_json::json;
use sqlx::PgConnection;

use crate::error::{Error, db};
use crate::store::page;
use crate::translate::{counted, from_queue, outcome, reason, steered_by, summary, to_change, to_filter};
use crate::{Store, flow};

#[async_trait]
impl JobDesk for Store {
    async fn list(&self, filter: &JobFilter, projects: &Projects) -> Result<JobPage, PortError> {
        self.search(to_filter(filter, projects)).await
    }

    async fn get(&self, id: JobId, projects: &Projects) -> Result<Option<JobDetail>, PortError> {
        let Some((row, attempts)) = self.queue.get(id.0).await.map_err(db)? else {
            return Ok(None);
        };
        if !self.is_seen(row.correlation_id.as_deref(), projects).await? {
            return Ok(None);
        }
        let progress = self.queue.progress(id.0).await.map_err(db)?;
        let attempts = attempts.into_iter().map(|a| JobAttempt {
            attempt: a.attempt,
            at: a.at,
            worker: a.worker,
            error: a.error,
            traceparent: a.traceparent,
        });
        Ok(Some(JobDetail {
            args: row.args.clone(),
            result: row.result.clone(),
            attempts: attempts.collect(),
            unique_key: row.unique_key.clone(),
            traceparent: row.traceparent.clone(),
            progress: progress.map(|report| JobProgress {
                done: report.done,
                total: report.total,
                note: report.note,
                at: report.at,
                attempt: report.attempt,
            }),
            summary: summary(row),
        }))
    }

    async fn log(
        &self,
        id: JobId,
        after: i64,
        limit: i64,
        projects: &Projects,
    ) -> Result<Vec<JobLogLine>, PortError> {
        if self.seen(id, projects).await?.is_none() {
            return Ok(Vec::new());
        }
        let lines = self.queue.log(id.0, Some(after), page(limit)).await.map_err(db)?;
        let line = |line: queue::LogLine| JobLogLine {
            id: line.id,
            at: line.at,
            attempt: line.attempt,
            level: match line.level() {
                queue::LogLevel::Debug => LogLevel::Debug,
                queue::LogLevel::Info => LogLevel::Info,
                queue::LogLevel::Warn => LogLevel::Warn,
                queue::LogLevel::Error => LogLevel::Error,
            },
            worker: line.worker,
            line: line.line,
        };
        Ok(lines.into_iter().map(line).collect())
    }

    async fn counts(&self) -> Result<Vec<QueueCounts>, PortError> {
        let counts = self.queue.counts().await.map_err(db)?;
        Ok(counts.into_iter().map(counted).collect())
    }

    async fn why(&self, id: JobId, projects: &Projects) -> Result<Option<JobExplanation>, PortError> {
        if self.seen(id, projects).await?.is_none() {
            return Ok(None);
        }
        let Some(explanation) = self.queue.explain(id.0).await.map_err(db)? else {
            return Ok(None);
        };
        Ok(Some(JobExplanation {
            id,
            state: from_queue(explanation.state),
            as_of: explanation.as_of,
            reasons: explanation.reasons.iter().map(reason).collect(),
        }))
    }

    async fn change(
        &self,
        id: JobId,
        change: JobChange,
        projects: &Projects,
        by: &Author,
    ) -> Result<JobAction, PortError> {
        // Read before there is a transaction, on a connection of its own.
        let Some(row) = self.seen(id, projects).await? else {
            return Ok(JobAction::NotFound);
        };
        let mut tx = self.begin().await?;
        let action = self
            .queue
            .change(&mut tx, id.0, &to_change(change), &steered_by(by))
            .await;
        let action = match action {
            Err(queue::Error::Invalid(why)) => return Ok(JobAction::InTheWay(why)),
            action => action.map_err(db)?,
        };
        if matches!(action, Action::Done | Action::Requested) {
            audit(&mut tx, row, change, &by.actor).await.map_err(db)?;
        }
        tx.commit().await.map_err(db)?;
        Ok(outcome(action))
    }

    async fn count(&self, filter: &JobFilter, projects: &Projects) -> Result<JobCount, PortError> {
        let filter = to_filter(filter, projects);
        let found = self.queue.count_matching(&filter, PATIENCE).await.map_err(db)?;
        Ok(JobCount {
            count: found.count,
            at_least: found.at_least,
            next: found.next.map(JobId),
        })
    }

    async fn preview(
        &self,
        jobs: &JobSelection,
        change: JobChange,
        projects: &Projects,
    ) -> Result<JobPreview, PortError> {
        let filter = match jobs {
            JobSelection::Ids(ids) => {
                return Ok(JobPreview {
                    count: self.of_projects(ids, projects).await?.len() as i64,
                    at_least: false,
                });
            }
            JobSelection::Matching(filter) => to_filter(filter, projects),
        };
        let preview = self
            .queue
            .preview(&filter, &to_change(change))
            .await
            .map_err(db)?;
        Ok(JobPreview {
            count: preview.count,
            at_least: preview.at_least,
        })
    }

    async fn apply(
        &self,
        jobs: &JobSelection,
        change: JobChange,
        projects: &Projects,
        by: &Author,
    ) -> Result<JobsChanged, PortError> {
        let mut elsewhere = 0;
        let selection = match jobs {
            JobSelection::Ids(ids) => {
                let own = self.of_projects(ids, projects).await?;
                elsewhere = (ids.len() - own.len()) as u64;
                Selection::Ids(own)
            }
            JobSelection::Matching(filter) => Selection::Matching(to_filter(filter, projects)),
        };
        let applied = self
            .queue
            .apply(&selection, &to_change(change), &steered_by(by))
            .await
            .map_err(db)?;
        let mut refused: BTreeMap<String, u64> = applied
            .refused
            .into_iter()
            .map(|(reason, jobs)| (reason.to_owned(), jobs))
            .collect();
        if elsewhere > 0 {
            // As the queue says of those that aren't there.
            *refused.entry("no such job".to_owned()).or_default() += elsewhere;
        }
        Ok(JobsChanged {
            done: applied.done,
            requested: applied.requested,
            refused,
            stopped: applied.stopped.map(|(before, error)| StoppedAt {
                before: JobId(before),
                error: error.to_string(),
            }),
        })
    }
}

/// How long a search or a count that no index serves goes on before it answers with what it has.
const PATIENCE: Duration = Duration::from_millis(60);

impl Store {
    /// A full page, all there is, or what was found in time: the queue looks at a bounded number of jobs at a time.
    async fn search(&self, mut filter: queue::Filter) -> Result<JobPage, PortError> {
        let (wanted, began) = (filter.limit, Instant::now());
        let mut jobs = Vec::new();
        loop {
            filter.limit = wanted - jobs.len() as i64;
            let page = self.queue.list(&filter).await.map_err(db)?;
            jobs.extend(page.jobs.into_iter().map(summary));
            filter.before = page.next;
            if page.next.is_none() || jobs.len() as i64 >= wanted || began.elapsed() > PATIENCE {
                let next = page.next.map(JobId);
                return Ok(JobPage { jobs, next });
            }
        }
    }

    /// Whether the job exists and hasn't ended.
    pub(crate) async fn is_open(&self, id: i64) -> Result<bool, PortError> {
        let job = self.queue.get(id).await.map_err(db)?;
        Ok(job.is_some_and(|(row, _)| {
            matches!(
                row.state(),
                State::Ready | State::Scheduled | State::Waiting | State::Running
            )
        }))
    }

    /// The job's line, if it belongs to these projects.
    async fn seen(&self, id: JobId, projects: &Projects) -> Result<Option<JobRow>, PortError> {
        let Some((row, _)) = self.queue.get(id.0).await.map_err(db)? else {
            return Ok(None);
        };
        let seen = self.is_seen(row.correlation_id.as_deref(), projects).await?;
        Ok(seen.then_some(row))
    }

    /// Those of these jobs that belong to these projects; all of them where all projects do.
    async fn of_projects(&self, ids: &[JobId], projects: &Projects) -> Result<Vec<i64>, PortError> {
        let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
        let Some(project_ids) = projects.ids() else {
            return Ok(ids);
        };
        sqlx::query_scalar!(
            r#"select job.id as "id!" from (
                select id, correlation_id from queue.job where id = any($1)
                union all select id, correlation_id from queue.history where id = any($1)
            ) as job
            where exists (
                select from platform.delivery d join platform.repository r on lower(r.name) = lower(d.repository)
                where d.id = job.correlation_id and r.project_id = any($2))"#,
            &ids,
            &project_ids,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(db)
    }

    /// As [`OF_PROJECTS`], of one job.
    async fn is_seen(&self, correlation_id: Option<&str>, projects: &Projects) -> Result<bool, PortError> {
        let Some(project_ids) = projects.ids() else {
            return Ok(true);
        };
        sqlx::query_scalar!(
            r#"select exists (
                select from platform.delivery d join platform.repository r on lower(r.name) = lower(d.repository)
                where d.id = $1 and r.project_id = any($2)) as "seen!""#,
            correlation_id,
            &project_ids,
        )
        .fetch_one(&self.pool)
        .await
        .map_err(db)
    }
}

/// Records that somebody steered a job, under what the job belongs to, else under its own number.
async fn audit(tx: &mut PgConnection, row: JobRow, change: JobChange, by: &FlowActor) -> Result<(), Error> {
    let kind = match change {
        JobChange::Retry => "job.retried",
        JobChange::Cancel => "job.cancelled",
        JobChange::Delete => "job.deleted",
        JobChange::Reschedule(_) => "job.rescheduled",
        JobChange::Priority(_) => "job.reprioritized",
    };
    let correlation_id = row
        .correlation_id
        .and_then(|text| CorrelationId::new(text).ok())
        .map_or_else(|| CorrelationId::new(format!("job-{}", row.id)), Ok)
        .map_err(|e| Error::Unreadable(e.to_string()))?;
    let data = json!({ "job_id": row.id, "kind": row.kind });
    flow::append(
        tx,
        FlowEvent {
            correlation_id,
            run: None,
            kind,
            actor: by.clone(),
            data,
        },
    )
    .await
}
