//! [`ChangeFeed`] in memory: it tells what the test puts in, with a clock of its own.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use domain::id::RunId;
use domain::live::{Changes, LOOKBACK_S, Watched};
use domain::port::{ChangeFeed, ChangeReader, PortError};

#[derive(Debug, Default)]
struct State {
    /// When it was put in, and what.
    told: Vec<(DateTime<Utc>, Changes)>,
    /// Milliseconds that have passed.
    passed: i64,
    looks: usize,
    is_broken: bool,
    is_hanging: bool,
}

impl State {
    fn tick(&mut self) -> DateTime<Utc> {
        self.passed += 1;
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::milliseconds(self.passed)
    }
}

/// Changes in memory.
#[derive(Debug, Default, Clone)]
pub struct FakeChangeFeed(Arc<Mutex<State>>);

struct Reader {
    feed: FakeChangeFeed,
    /// How much it has told.
    told: Option<usize>,
    followed: Vec<RunId>,
}

impl FakeChangeFeed {
    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Something changed; times are given by the feed.
    pub fn push(&self, changes: Changes) {
        self.with(|state| {
            let now = state.tick();
            state.told.push((now, changes));
        });
    }

    /// Lets time pass.
    pub fn pass(&self, seconds: i64) {
        self.with(|state| state.passed += seconds * 1_000);
    }

    /// Has every look fail, or no more.
    pub fn set_broken(&self, is_broken: bool) {
        self.with(|state| state.is_broken = is_broken);
    }

    /// Has every look hang until it is let go, or no more.
    pub fn set_hanging(&self, is_hanging: bool) {
        self.with(|state| state.is_hanging = is_hanging);
    }

    /// How many looks there were.
    pub fn looks(&self) -> usize {
        self.with(|state| state.looks)
    }
}

impl ChangeFeed for FakeChangeFeed {
    fn open(&self) -> Box<dyn ChangeReader> {
        Box::new(Reader {
            feed: self.clone(),
            told: None,
            followed: Vec::new(),
        })
    }
}

#[async_trait]
impl ChangeReader for Reader {
    async fn read(&mut self, watched: &Watched) -> Result<Changes, PortError> {
        while self.feed.with(|state| state.is_hanging) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let told = &mut self.told;
        let followed = std::mem::replace(&mut self.followed, watched.runs.iter().copied().collect());
        self.feed.with(|state| {
            state.looks += 1;
            if state.is_broken {
                return Err(PortError::Unavailable {
                    part: "database",
                    reason: "broken by the test".to_owned(),
                    retry_after_ms: None,
                });
            }
            let began_at = state.tick();
            let since = began_at - TimeDelta::seconds(LOOKBACK_S);
            let from = told.unwrap_or_else(|| state.told.partition_point(|(at, _)| *at < since));
            let mut found = Changes {
                began_at,
                ..Changes::default()
            };
            for (_, changes) in state.told.iter().skip(from).cloned() {
                found.jobs.rows.extend(changes.jobs.rows);
                found.jobs.more |= changes.jobs.more;
                found.runs.rows.extend(changes.runs.rows);
                found.runs.more |= changes.runs.more;
                found.deliveries.rows.extend(changes.deliveries.rows);
                found.deliveries.more |= changes.deliveries.more;
                found.run_events.rows.extend(changes.run_events.rows);
                found.run_events.more |= changes.run_events.more;
                found.queues = changes.queues.or(found.queues);
                let logs = changes.logs.into_iter();
                // One that wasn't followed before begins at its end.
                found
                    .logs
                    .extend(logs.filter(|log| followed.contains(&log.row.run)));
            }
            *told = Some(state.told.len());
            found.ended_at = state.tick();
            Ok(found)
        })
    }
}
