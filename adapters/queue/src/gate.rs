//! The gate of a queue with limits: one claim at a time over the whole fleet, each of which knows what all the
//! others run.
//!
//! Every worker writes down what it runs with each of its claims, in the claim's transaction. What it says is
//! never too little: jobs end between its claims, none begins. So a claim that adds up what the others have
//! written, while it alone is in the gate, can't exceed a limit. Nothing is counted up and down, so nothing
//! can leak: what a dead worker wrote counts no more once its jobs are rescued.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection};

use crate::claim::{self, Claimed, Claimer};
use crate::line::Line;
use crate::tally::Tally;

const SETTINGS: &str = "
select laned, max_running, max_running_per_key, rate, rate_period_ms, key_rate, key_rate_period_ms
from queue.queue where id = $1";

/// The last column is null where this worker was given up. Its row stays locked until the claim is written: whoever
/// gives it up later sees what it has claimed.
const ENTER: &str = "
select running, keys, places, place_keys,
    (select true from queue.worker where id = $2 and stopped_at is null for share)
from queue.enter_gate($1, $2, $3, $4, $5, $6, $7, $8, $9)";

/// Buckets that aren't full, with the microseconds until they are.
const BUCKETS: &str = "
select key, (extract(epoch from full_at - statement_timestamp()) * 1000000)::bigint
from queue.bucket where queue_id = $1 and full_at > statement_timestamp()";

const POUR: &str = "
insert into queue.bucket as bucket (queue_id, key, full_at)
select $1, key, statement_timestamp() + us * interval '1 microsecond' from unnest($2::bigint[], $3::bigint[]) as used (key, us)
on conflict (queue_id, key) do update
set full_at = greatest(bucket.full_at, statement_timestamp()) + (excluded.full_at - statement_timestamp())";

const PUBLISH: &str = "
with old as (delete from queue.held where queue_id = $1 and worker_id = $2)
insert into queue.held (queue_id, worker_id, running, keys) values ($1, $2, $3, $4)";

/// What all others run, with its keys; what stands next, with its keys; whether this worker may claim.
type Entered = (i64, Vec<i64>, Vec<String>, Vec<Option<i64>>, Option<bool>);

/// A job's place in the table, and its key.
pub(crate) type Place = (String, Option<i64>);

/// The bucket of the queue itself.
const QUEUE_KEY: i64 = 0;

/// What a queue allows over the whole fleet, as its row says.
#[derive(Debug, Clone, Copy, Default, FromRow)]
pub(crate) struct Settings {
    pub(crate) laned: bool,
    max_running: Option<i32>,
    max_running_per_key: Option<i32>,
    rate: Option<i32>,
    rate_period_ms: Option<i32>,
    key_rate: Option<i32>,
    key_rate_period_ms: Option<i32>,
}

impl Settings {
    pub(crate) async fn read(conn: &mut PgConnection, queue_id: i16) -> Result<Self, sqlx::Error> {
        sqlx::query_as(SETTINGS).bind(queue_id).fetch_one(conn).await
    }

    pub(crate) fn gated(&self) -> bool {
        self.max_running.is_some() || self.max_running_per_key.is_some() || self.has_rate()
    }

    pub(crate) fn has_rate(&self) -> bool {
        self.rate.is_some() || self.key_rate.is_some()
    }
}

/// So many in so long, as a bucket that holds all of them and is filled evenly (GCRA).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rate {
    period_us: i64,
    per_job_us: i64,
}

impl Rate {
    fn new(jobs: Option<i32>, period_ms: Option<i32>) -> Option<Self> {
        let whole_us = i64::from(period_ms?) * 1_000;
        Some(Self {
            period_us: whole_us,
            per_job_us: (whole_us / i64::from(jobs?)).max(1),
        })
    }

    /// How many may start now, if the bucket is full in `full_in_us`.
    fn room(self, full_in_us: i64) -> usize {
        usize::try_from((self.period_us - full_in_us.max(0)) / self.per_job_us).unwrap_or(0)
    }

    /// How long until one may.
    fn wait(self, full_in_us: i64) -> Duration {
        let us = full_in_us - (self.period_us - self.per_job_us);
        Duration::from_micros(u64::try_from(us).unwrap_or(0))
    }
}

/// What may still be claimed while in the gate.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// Jobs of all keys together.
    pub(crate) jobs: usize,
    per_key: Option<usize>,
    /// Jobs of each key that run, or were dealt a turn.
    running: HashMap<i64, usize>,
    key_rate: Option<Rate>,
    rate: Option<Rate>,
    buckets: HashMap<i64, i64>,
    /// The soonest that a rate which blocks will let a job through.
    pub(crate) again_in: Option<Duration>,
}

impl Room {
    fn block(&mut self, wait: Duration) {
        self.again_in = Some(self.again_in.map_or(wait, |sooner| sooner.min(wait)));
    }

    pub(crate) fn has_rate(&self) -> bool {
        self.rate.is_some() || self.key_rate.is_some()
    }

    /// Takes room for one job of this key, if there is any.
    pub(crate) fn take(&mut self, key: Option<i64>) -> bool {
        let Some(key) = key else {
            return true;
        };
        let running = self.running.get(&key).copied().unwrap_or(0);
        if self.per_key.is_some_and(|limit| running >= limit) {
            return false;
        }
        if let Some(rate) = self.key_rate {
            let full_in_us = self.buckets.get(&key).copied().unwrap_or(0).max(0);
            if rate.room(full_in_us) == 0 {
                self.block(rate.wait(full_in_us));
                return false;
            }
            self.buckets.insert(key, full_in_us + rate.per_job_us);
        }
        self.running.insert(key, running + 1);
        true
    }

    /// Of the next places in line, up to `limit` that there is room for, and those before them that there isn't.
    pub(crate) fn choose(&mut self, places: Vec<Place>, limit: usize) -> (Vec<Place>, Vec<String>) {
        let (mut go, mut blocked) = (Vec::new(), Vec::new());
        for (place, key) in places {
            if go.len() == limit {
                break;
            }
            if self.take(key) {
                go.push((place, key));
            } else {
                blocked.push(place);
            }
        }
        (go, blocked)
    }

    /// What the claimed jobs take out of the buckets, in microseconds.
    fn poured(&self, claimed: &[Claimed]) -> (Vec<i64>, Vec<i64>) {
        let mut poured: HashMap<i64, i64> = HashMap::new();
        if let Some(rate) = self.rate {
            *poured.entry(QUEUE_KEY).or_default() += rate.per_job_us * claimed.len() as i64;
        }
        if let Some(rate) = self.key_rate {
            for key in claimed.iter().filter_map(|job| job.key) {
                *poured.entry(key).or_default() += rate.per_job_us;
            }
        }
        poured.into_iter().filter(|(_, us)| *us > 0).unzip()
    }
}

/// This worker's part in the gate of one queue.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) tally: Arc<Tally>,
    /// What it wrote down last; unknown after a lost connection.
    published: Option<(usize, Vec<i64>)>,
}

impl Gate {
    pub(crate) fn new(tally: Arc<Tally>) -> Self {
        Self {
            tally,
            published: None,
        }
    }

    pub(crate) fn forget(&mut self) {
        self.published = None;
    }

    /// The others may believe that this worker runs something.
    pub(crate) fn is_published(&self) -> bool {
        self.published.as_ref().is_none_or(|(running, _)| *running > 0)
    }

    /// Enters, in the transaction of `conn`. Says what may be claimed, and what stands next in the plain line: up
    /// to `limit` places with their keys. A worker that was given up, whose jobs the others don't count, has no
    /// room until its next heartbeat.
    pub(crate) async fn enter(
        &self,
        conn: &mut PgConnection,
        who: &Claimer,
        settings: &Settings,
        line: &Line,
        limit: usize,
    ) -> Result<(Room, Vec<Place>), sqlx::Error> {
        let ranges = line.ranges();
        let (others, others_keys, places, keys, present): Entered = sqlx::query_as(ENTER)
            .bind(who.queue_id)
            .bind(who.worker_id)
            .bind(&who.kinds)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .bind(settings.max_running.map_or(i64::MAX, i64::from))
            .bind(ranges.low)
            .bind(ranges.high)
            .bind(ranges.first)
            .bind(ranges.before)
            .fetch_one(&mut *conn)
            .await?;
        if present.is_none() {
            return Ok((Room::default(), Vec::new()));
        }
        // Not before: jobs of this worker ended while it waited.
        let (mine, my_keys) = self.tally.running();
        let mut running: HashMap<i64, usize> = HashMap::new();
        for key in others_keys.into_iter().chain(my_keys) {
            *running.entry(key).or_default() += 1;
        }
        let total = usize::try_from(others).unwrap_or(usize::MAX).saturating_add(mine);
        let limit = |limit: Option<i32>| limit.map(|limit| usize::try_from(limit).unwrap_or(0));
        let mut room = Room {
            jobs: limit(settings.max_running).map_or(usize::MAX, |limit| limit.saturating_sub(total)),
            per_key: limit(settings.max_running_per_key),
            running,
            key_rate: Rate::new(settings.key_rate, settings.key_rate_period_ms),
            rate: Rate::new(settings.rate, settings.rate_period_ms),
            buckets: HashMap::new(),
            again_in: None,
        };
        if room.has_rate() {
            let buckets: Vec<(i64, i64)> = sqlx::query_as(BUCKETS).bind(who.queue_id).fetch_all(conn).await?;
            room.buckets = buckets.into_iter().collect();
        }
        if let Some(rate) = room.rate {
            let full_in_us = room.buckets.get(&QUEUE_KEY).copied().unwrap_or(0);
            room.jobs = room.jobs.min(rate.room(full_in_us));
            if rate.room(full_in_us) == 0 {
                room.block(rate.wait(full_in_us));
            }
        }
        Ok((room, places.into_iter().zip(keys).collect()))
    }

    /// Counts jobs that were claimed.
    pub(crate) fn hold(&self, claimed: &mut [Claimed]) {
        for job in claimed {
            job.held = Some(Arc::new(self.tally.hold(job.key)));
        }
    }

    /// Claims the jobs at these places and writes them down with what runs already; what it took is still to be read
    /// and counted.
    pub(crate) async fn take(
        &mut self,
        conn: &mut PgConnection,
        who: &Claimer,
        places: Vec<Place>,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let (running, mut keys) = self.tally.running();
        let running = running + places.len();
        keys.extend(places.iter().filter_map(|(_, key)| *key));
        keys.sort_unstable();
        let places: Vec<String> = places.into_iter().map(|(place, _)| place).collect();
        let said = i32::try_from(running).unwrap_or(i32::MAX);
        let rows = claim::from_places(conn, who, &places, said, &keys).await?;
        self.published = Some((running, keys));
        Ok(rows)
    }

    /// Takes what was claimed out of the rates' buckets.
    pub(crate) async fn pour(
        &self,
        conn: &mut PgConnection,
        who: &Claimer,
        room: &Room,
        claimed: &[Claimed],
    ) -> Result<(), sqlx::Error> {
        let (keys, us) = room.poured(claimed);
        if keys.is_empty() {
            return Ok(());
        }
        sqlx::query(POUR)
            .bind(who.queue_id)
            .bind(keys)
            .bind(us)
            .execute(conn)
            .await?;
        Ok(())
    }

    /// Writes down what this worker runs, if that is much less than the others believe. Before it waits at the gate,
    /// so that those who are in it have the room.
    pub(crate) async fn publish_less(
        &mut self,
        conn: &mut PgConnection,
        who: &Claimer,
    ) -> Result<(), sqlx::Error> {
        let running = self.tally.running().0;
        let is_much_less = |(said, _): &(usize, Vec<i64>)| running + said.div_ceil(4) <= *said;
        if self.published.as_ref().is_none_or(is_much_less) {
            self.publish(conn, who).await?;
        }
        Ok(())
    }

    /// Writes down what this worker runs, if that has changed.
    pub(crate) async fn publish(
        &mut self,
        conn: &mut PgConnection,
        who: &Claimer,
    ) -> Result<(), sqlx::Error> {
        let (running, mut keys) = self.tally.running();
        keys.sort_unstable();
        let now = (running, keys);
        if self.published.as_ref() == Some(&now) {
            return Ok(());
        }
        sqlx::query(PUBLISH)
            .bind(who.queue_id)
            .bind(who.worker_id)
            .bind(i32::try_from(now.0).unwrap_or(i32::MAX))
            .bind(&now.1)
            .execute(conn)
            .await?;
        self.published = Some(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_lets_a_whole_period_through_at_once_and_then_evenly() {
        let rate = Rate::new(Some(10), Some(1_000)).unwrap();
        assert_eq!(rate.room(0), 10);
        assert_eq!(rate.room(1_000_000), 0);
        assert_eq!(rate.wait(1_000_000), Duration::from_millis(100));
        assert_eq!(rate.room(900_000), 1);
        assert_eq!(rate.room(950_000), 0);
        assert_eq!(rate.wait(950_000), Duration::from_millis(50));
    }
}
