//! What changed among the jobs, for people who look on. Nobody who enqueues, claims or finishes does anything for it:
//! the newest jobs and the fronts of the lines are compared with how they stood before, ends and failed attempts
//! are read off the end of their tables (`tail`), and what people did off the audit.

mod statements;
mod tail;

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder};

pub use tail::Tail;

use super::search::bounded;
use super::{FINISHED, JobRow, UNFINISHED};
use crate::{Error, Queue};

/// Identifiers back from the newest that are compared, and rows among them.
const NEWEST: i64 = 5_000;
/// How long a row is remembered that isn't met any more.
const REMEMBERED: TimeDelta = TimeDelta::seconds(60);
/// The fronts of the lines may take this part of the time.
const FRONT_SHARE: u32 = 10;

/// Jobs that changed.
#[derive(Debug, Clone, Default)]
pub struct JobChanges {
    /// As they are now, the newest first.
    pub rows: Vec<JobRow>,
    /// There are more than these, or some were removed.
    pub more: bool,
}

/// How a job stood when it was last met.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Print {
    Standing(i32, i32, i16, i16, Option<DateTime<Utc>>),
    Ended(DateTime<Utc>),
}

#[derive(Debug, FromRow)]
struct Standing {
    id: i64,
    epoch: i32,
    attempt: i32,
    priority: i16,
    run_at: Option<DateTime<Utc>>,
    state: i16,
    moved_at: DateTime<Utc>,
}

#[derive(Debug, FromRow)]
struct Acted {
    id: i64,
    at: DateTime<Utc>,
    action: String,
    job_ids: Vec<i64>,
    jobs: i32,
}

/// Looks again and again at what changed. After an error it is of no more use.
#[derive(Debug)]
pub struct JobWatch {
    queue: Queue,
    prints: HashMap<i64, (Print, DateTime<Utc>)>,
    ends: HashMap<NaiveDate, Tail>,
    failures: Tail,
    failed: HashMap<(i64, DateTime<Utc>), DateTime<Utc>>,
    acted: HashMap<i64, DateTime<Utc>>,
    front_after: Instant,
    is_open: bool,
}

/// One look.
struct Look {
    now: DateTime<Utc>,
    /// What happened before this isn't news.
    since: DateTime<Utc>,
    days: Vec<NaiveDate>,
    changed: BTreeSet<i64>,
    more: bool,
}

impl Queue {
    /// A watch whose first look goes back a minute.
    pub fn watch(&self) -> JobWatch {
        JobWatch {
            queue: self.clone(),
            prints: HashMap::new(),
            ends: HashMap::new(),
            failures: Tail::default(),
            failed: HashMap::new(),
            acted: HashMap::new(),
            front_after: Instant::now(),
            is_open: false,
        }
    }
}

impl JobWatch {
    /// What changed since the look before, at most so many jobs, the newest of them; these ones are looked at however
    /// old they are. Each look takes about ten statements, and reads no more than some thousand rows.
    pub async fn read(&mut self, watched: &[i64], at_most: usize) -> Result<JobChanges, Error> {
        let mut tx = self.queue.pool().begin().await?;
        bounded(&mut tx).await?;
        let (now, last_id): (DateTime<Utc>, i64) = sqlx::query_as(statements::NOW)
            .persistent(false)
            .fetch_one(&mut *tx)
            .await?;
        let since = now
            - if self.is_open {
                TimeDelta::seconds(10)
            } else {
                REMEMBERED
            };
        let mut look = Look {
            now,
            since,
            days: Vec::new(),
            changed: BTreeSet::new(),
            more: false,
        };
        self.standing(&mut tx, &mut look, last_id, watched).await?;
        self.ended(&mut tx, &mut look, at_most).await?;
        self.failed(&mut tx, &mut look).await?;
        self.acted(&mut tx, &mut look).await?;
        let newest: Vec<i64> = look.changed.iter().rev().take(at_most).copied().collect();
        let more = look.more || newest.len() < look.changed.len();
        let rows = rows(&mut tx, &newest, &look.days).await?;
        tx.commit().await?;
        self.is_open = true;
        self.forget(now);
        Ok(JobChanges { rows, more })
    }

    /// Unfinished jobs: the newest, the watched, and those that run, which stand at the fronts of the lines.
    async fn standing(
        &mut self,
        tx: &mut PgConnection,
        look: &mut Look,
        last_id: i64,
        watched: &[i64],
    ) -> Result<(), sqlx::Error> {
        let query = sqlx::query_as(statements::STANDING)
            .persistent(false)
            .bind(last_id - NEWEST);
        let mut rows: Vec<Standing> = query.bind(watched).fetch_all(&mut *tx).await?;
        let began = Instant::now();
        if began >= self.front_after {
            let front = sqlx::query_as(statements::FRONT).persistent(false);
            rows.extend(front.fetch_all(&mut *tx).await?);
            self.front_after = began + (began.elapsed() * FRONT_SHARE).min(Duration::from_secs(10));
        }
        for row in rows {
            let print = Print::Standing(row.epoch, row.attempt, row.state, row.priority, row.run_at);
            let known = self
                .prints
                .insert(row.id, (print, look.now))
                .map(|(print, _)| print);
            let is_news = match known {
                Some(known) => known != print,
                // Met for the first time: an old one that came into view, if nothing happened to it lately.
                None => row.moved_at > look.since,
            };
            if is_news {
                look.changed.insert(row.id);
            }
        }
        Ok(())
    }

    /// Jobs that have ended.
    async fn ended(
        &mut self,
        tx: &mut PgConnection,
        look: &mut Look,
        at_most: usize,
    ) -> Result<(), sqlx::Error> {
        let days = sqlx::query_as(statements::ENDING_DAYS).persistent(false);
        let days: Vec<(NaiveDate, i64)> = days.fetch_all(&mut *tx).await?;
        self.ends
            .retain(|day, _| days.iter().any(|(known, _)| known == day));
        let limit = at_most as i64 * 10;
        for (day, blocks) in days {
            let from = self.ends.entry(day).or_default().advance(look.now, blocks);
            look.days.push(day);
            let query = sqlx::query_as(statements::ENDED)
                .persistent(false)
                .bind(day)
                .bind(from);
            let ended: Vec<(i64, DateTime<Utc>)> =
                query.bind(look.since).bind(limit).fetch_all(&mut *tx).await?;
            let is_full = ended.len() as i64 == limit;
            let mut last_is_news = false;
            for (id, finished_at) in ended {
                let print = Print::Ended(finished_at);
                let known = self.prints.get(&id).map(|(print, _)| *print);
                // One that was run again since stands among the unfinished.
                let is_over = matches!(known, Some(Print::Standing(..)))
                    && self.prints.get(&id).is_some_and(|(_, met)| *met == look.now);
                last_is_news = known != Some(print) && !is_over;
                if !is_over {
                    self.prints.insert(id, (print, look.now));
                }
                if last_is_news {
                    look.changed.insert(id);
                }
            }
            look.more |= is_full && last_is_news;
        }
        Ok(())
    }

    /// Jobs of which an attempt has failed.
    async fn failed(&mut self, tx: &mut PgConnection, look: &mut Look) -> Result<(), sqlx::Error> {
        let blocks = sqlx::query_scalar(statements::FAILING_BLOCKS).persistent(false);
        let blocks: i64 = blocks.fetch_one(&mut *tx).await?;
        let from = self.failures.advance(look.now, blocks);
        let query = sqlx::query_as(statements::FAILED).persistent(false).bind(from);
        let failed: Vec<(i64, DateTime<Utc>)> = query.bind(look.since).fetch_all(&mut *tx).await?;
        for (id, at) in failed {
            if self.failed.insert((id, at), look.now).is_none() {
                look.changed.insert(id);
            }
        }
        Ok(())
    }

    /// Jobs that people did something to.
    async fn acted(&mut self, tx: &mut PgConnection, look: &mut Look) -> Result<(), sqlx::Error> {
        let query = sqlx::query_as(statements::ACTED)
            .persistent(false)
            .bind(look.since);
        let acted: Vec<Acted> = query.fetch_all(&mut *tx).await?;
        for act in acted {
            if self.acted.insert(act.id, act.at).is_some() {
                continue;
            }
            look.more |= act.action == "delete" || act.jobs as usize > act.job_ids.len();
            look.changed.extend(act.job_ids);
        }
        Ok(())
    }

    fn forget(&mut self, now: DateTime<Utc>) {
        let before = now - REMEMBERED;
        self.prints.retain(|_, (_, met)| *met > before);
        self.failed.retain(|_, met| *met > before);
        self.acted.retain(|_, at| *at > before);
    }
}

async fn rows(tx: &mut PgConnection, ids: &[i64], days: &[NaiveDate]) -> Result<Vec<JobRow>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = QueryBuilder::<Postgres>::new(UNFINISHED);
    query
        .push(" and job.id = any (")
        .push_bind(ids)
        .push(") union all ");
    query.push(FINISHED).push(" and job.id = any (").push_bind(ids);
    // Only where jobs end now: in each other day's partition every identifier would be looked for.
    query
        .push(") and job.expires_on = any (")
        .push_bind(days)
        .push(")");
    let mut rows: Vec<JobRow> = query.build_query_as().persistent(false).fetch_all(tx).await?;
    // A job that was run again stands in both tables: the unfinished one counts.
    rows.sort_by_key(|row| (std::cmp::Reverse(row.id), row.finished_at.is_some()));
    rows.dedup_by_key(|row| row.id);
    Ok(rows)
}
