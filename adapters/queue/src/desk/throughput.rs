//! What has ended, how long it had waited and run, over the last hour, day or week: read from what one worker of the
//! fleet counts every minute (`queue.roll_up`), never from history.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::FromRow;
use sqlx::types::Json;

use crate::{Error, Queue};

/// How far to look back, and in which steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// An hour by minutes.
    Hour,
    /// A day by quarters of an hour.
    Day,
    /// A week by hours.
    Week,
}

impl Window {
    /// A step's length in minutes.
    pub fn step_minutes(self) -> i16 {
        match self {
            Self::Hour => 1,
            Self::Day => 15,
            Self::Week => 60,
        }
    }

    /// How many steps there are.
    pub fn steps(self) -> i32 {
        match self {
            Self::Hour => 60,
            Self::Day => 96,
            Self::Week => 168,
        }
    }
}

/// Jobs by a time: steps of a factor of the square root of two from 1 ms on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Latencies(BTreeMap<u8, i64>);

impl Latencies {
    /// From `{slot: jobs}`.
    pub fn new(slots: BTreeMap<u8, i64>) -> Self {
        Self(slots)
    }

    /// Adds others.
    pub fn add(&mut self, others: &Self) {
        for (slot, jobs) in &others.0 {
            *self.0.entry(*slot).or_default() += jobs;
        }
    }

    /// The time in milliseconds that this share of the jobs (0 to 1) didn't exceed, to within a fifth; `None`
    /// without jobs.
    pub fn quantile_ms(&self, share: f64) -> Option<f64> {
        let whole: i64 = self.0.values().sum();
        if whole == 0 {
            return None;
        }
        let wanted = whole as f64 * share;
        let mut below = 0.0;
        for (slot, jobs) in &self.0 {
            let jobs = *jobs as f64;
            if below + jobs >= wanted {
                let within = ((wanted - below) / jobs).clamp(0.0, 1.0);
                return Some(((f64::from(*slot) + within) * 0.5).exp2());
            }
            below += jobs;
        }
        self.0
            .keys()
            .next_back()
            .map(|slot| (f64::from(*slot + 1) / 2.0).exp2())
    }
}

/// What ended of a queue in a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThroughputRow {
    /// When the step begins.
    pub at: DateTime<Utc>,
    /// The queue's name.
    pub queue: String,
    /// Jobs that ended well.
    pub completed: i64,
    /// Jobs that people ended.
    pub cancelled: i64,
    /// Jobs that ended badly.
    pub dead: i64,
    /// For how long they had been ready when their last attempt began.
    pub start: Latencies,
    /// For how long their last attempt ran.
    pub run: Latencies,
}

/// What ended in a window.
#[derive(Debug, Clone)]
pub struct Throughput {
    /// When the first step begins.
    pub since: DateTime<Utc>,
    /// What ended before this is counted: up to about a minute ago, later where no worker runs.
    pub upto: DateTime<Utc>,
    /// By step and queue, the oldest first; none where nothing ended.
    pub rows: Vec<ThroughputRow>,
}

#[derive(FromRow)]
struct Row {
    at: DateTime<Utc>,
    queue: String,
    completed: i64,
    cancelled: i64,
    dead: i64,
    start_ms: Json<BTreeMap<u8, i64>>,
    run_ms: Json<BTreeMap<u8, i64>>,
}

impl Queue {
    /// What ended in the window, of one queue or of all. Reads 168 rows a queue at most.
    pub async fn throughput(&self, window: Window, queue: Option<&str>) -> Result<Throughput, Error> {
        let mut unit = self.own_unit().await?;
        let bounds = sqlx::query_as(
            "select date_bin($1 * interval '1 minute', clock_timestamp(), timestamptz '2000-01-01 00:00:00Z'), upto
            from queue.throughput_round",
        );
        let (step, upto): (DateTime<Utc>, DateTime<Utc>) = bounds
            .persistent(false)
            .bind(window.step_minutes())
            .fetch_one(&mut *unit)
            .await?;
        let back = i64::from(window.step_minutes()) * i64::from(window.steps() - 1);
        let since = step - TimeDelta::minutes(back);
        let rows: Vec<Row> = sqlx::query_as(
            "select counted.at, queue.name as queue, counted.completed, counted.cancelled, counted.dead,
                counted.start_ms, counted.run_ms
            from queue.throughput as counted join queue.queue as queue on queue.id = counted.queue_id
            where counted.minutes = $1 and counted.at >= $2 and ($3::text is null or queue.name = $3)
            order by counted.at, queue.name",
        )
        .persistent(false)
        .bind(window.step_minutes())
        .bind(since)
        .bind(queue)
        .fetch_all(&mut *unit)
        .await?;
        unit.end().await?;
        let row = |row: Row| ThroughputRow {
            at: row.at,
            queue: row.queue,
            completed: row.completed,
            cancelled: row.cancelled,
            dead: row.dead,
            start: Latencies(row.start_ms.0),
            run: Latencies(row.run_ms.0),
        };
        Ok(Throughput {
            since,
            upto,
            rows: rows.into_iter().map(row).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_jobs_by_their_times() {
        assert_eq!(Latencies::default().quantile_ms(0.5), None);
        // 99 of 8 to 11 ms, one of a second.
        let mut latencies = Latencies::new([(6, 99)].into());
        latencies.add(&Latencies::new([(20, 1)].into()));
        let near = |share: f64, ms: f64| {
            let found = latencies.quantile_ms(share).unwrap();
            assert!((found / ms - 1.0).abs() < 0.2, "{share}: {found}");
        };
        near(0.5, 9.5);
        near(0.99, 11.3);
        near(1.0, 1_448.0);
    }
}
