//! What changes, for people who look on: the jobs by the queue's own watch, runs and deliveries by the flow events
//! that every change of theirs appends.

mod rows;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use domain::flow::RecordedEvent;
use domain::id::{ProjectId, RunId};
use domain::live::{AT_MOST, Changed, Changes, Owned, Watched};
use domain::port::{ChangeFeed, ChangeReader, PortError, QueueDesk};
use domain::queue::QueueOverview;
use queue::{JobWatch, Tail};

use crate::Store;
use crate::error::db;
use crate::translate::summary;
use rows::Event;

/// The queues may take this part of the time.
const QUEUES_SHARE: u32 = 10;

struct Reader {
    store: Store,
    jobs: JobWatch,
    tail: Tail,
    /// Flow events that were met, and when they were written.
    met: HashMap<i64, DateTime<Utc>>,
    queues: Vec<QueueOverview>,
    queues_after: Instant,
    /// The last line of each followed log.
    logs: BTreeMap<RunId, i64>,
}

impl ChangeFeed for Store {
    fn open(&self) -> Box<dyn ChangeReader> {
        Box::new(Reader {
            store: self.clone(),
            jobs: self.queue.watch(),
            tail: Tail::default(),
            met: HashMap::new(),
            queues: Vec::new(),
            queues_after: Instant::now(),
            logs: BTreeMap::new(),
        })
    }
}

#[async_trait]
impl ChangeReader for Reader {
    async fn read(&mut self, watched: &Watched) -> Result<Changes, PortError> {
        let (began_at, blocks) = rows::beginning(&self.store).await.map_err(db)?;
        let ids: Vec<i64> = watched.jobs.iter().map(|job| job.0).collect();
        let jobs = self.jobs.read(&ids, AT_MOST).await.map_err(db)?;
        let (events, more) = self.events(began_at, blocks).await?;
        let (runs, deliveries) = self.touched(&events, more).await?;
        let run_events = run_events(events, more)?;
        let logs = rows::logs(&self.store, &mut self.logs, watched)
            .await
            .map_err(db)?;
        let queues = self.queues().await?;
        Ok(Changes {
            began_at,
            jobs: Changed {
                rows: rows::of_deliveries(&self.store, jobs.rows.into_iter().map(summary))
                    .await
                    .map_err(db)?,
                more: jobs.more,
            },
            runs,
            deliveries,
            run_events,
            queues,
            logs,
            ended_at: rows::now(&self.store).await.map_err(db)?,
        })
    }
}

impl Reader {
    /// Flow events that weren't met before, oldest first, and whether there are more.
    async fn events(&mut self, now: DateTime<Utc>, blocks: i64) -> Result<(Vec<Event>, bool), PortError> {
        let from = self.tail.advance(now, blocks);
        let limit = AT_MOST as i64 * 5;
        let found = rows::events(&self.store, from, self.tail.since(now), limit)
            .await
            .map_err(db)?;
        let is_full = found.len() as i64 == limit;
        let mut events = Vec::new();
        let mut last_is_new = false;
        for event in found {
            last_is_new = self.met.insert(event.id, event.at).is_none();
            if last_is_new {
                events.push(event);
            }
        }
        self.met.retain(|_, at| *at > now - TimeDelta::minutes(2));
        events.reverse();
        Ok((events, is_full && last_is_new))
    }

    /// The runs and deliveries that these events tell of, as they are now.
    async fn touched(
        &self,
        events: &[Event],
        more: bool,
    ) -> Result<
        (
            Changed<Owned<domain::run::RunSummary>>,
            Changed<Owned<domain::delivery::DeliverySummary>>,
        ),
        PortError,
    > {
        let runs: BTreeSet<i64> = events.iter().filter_map(|event| event.run_id).collect();
        let deliveries: BTreeSet<&str> = events
            .iter()
            .filter(|event| event.kind.starts_with("webhook."))
            .map(|event| event.correlation_id.as_str())
            .collect();
        let newest_runs: Vec<i64> = runs.iter().rev().take(AT_MOST).copied().collect();
        let some_deliveries: Vec<String> = deliveries
            .iter()
            .take(AT_MOST)
            .map(|id| (*id).to_owned())
            .collect();
        let more_runs = more || newest_runs.len() < runs.len();
        let more_deliveries = more || some_deliveries.len() < deliveries.len();
        Ok((
            Changed {
                rows: rows::runs(&self.store, &newest_runs).await.map_err(db)?,
                more: more_runs,
            },
            Changed {
                rows: rows::deliveries(&self.store, &some_deliveries)
                    .await
                    .map_err(db)?,
                more: more_deliveries,
            },
        ))
    }

    /// The queues, where something about them changed. The more it takes to count, the rarer.
    async fn queues(&mut self) -> Result<Option<Vec<QueueOverview>>, PortError> {
        let began = Instant::now();
        if began < self.queues_after {
            return Ok(None);
        }
        let queues = QueueDesk::queues(&self.store).await?;
        let pause = (began.elapsed() * QUEUES_SHARE).min(Duration::from_secs(5));
        self.queues_after = Instant::now() + pause;
        let is_same = same(&queues, &self.queues);
        self.queues.clone_from(&queues);
        Ok((!is_same).then_some(queues))
    }
}

/// But for when they were counted, and for an age that grows by itself.
fn same(now: &[QueueOverview], before: &[QueueOverview]) -> bool {
    let standing = |queue: &QueueOverview| QueueOverview {
        as_of: DateTime::UNIX_EPOCH,
        counts: domain::job::QueueCounts {
            oldest_ready_ms: queue.counts.oldest_ready_ms.map(|ms| ms / 5_000),
            ..queue.counts.clone()
        },
        ..queue.clone()
    };
    now.iter().map(standing).eq(before.iter().map(standing))
}

fn run_events(events: Vec<Event>, more: bool) -> Result<Changed<Owned<RecordedEvent>>, PortError> {
    let of_runs = events.into_iter().filter(|event| event.run_id.is_some());
    let mut rows = Vec::new();
    for event in of_runs {
        rows.push(Owned {
            project: event.project_id.map(ProjectId),
            row: event.into_recorded().map_err(db)?,
        });
    }
    let more = more || rows.len() > AT_MOST;
    let surplus = rows.len().saturating_sub(AT_MOST);
    rows.drain(..surplus);
    Ok(Changed { rows, more })
}
