//! The plain line of a queue: where its claims begin.
//!
//! Under a long snapshot nothing dead can be cleaned away: a claim that began at the index's left edge would
//! step over every job finished since. So each priority has a low-water mark, below which nothing is left to
//! be claimed, and a claim begins there. The marks live in memory; a row for them would itself become a
//! chain of dead versions.
//!
//! A place (`seq`) is drawn before its job is visible, so a mark may only pass places whose transactions have
//! all ended. What inserts into the hot table holds a lock on it from before it draws until it ends: places
//! drawn before those locks were looked at are settled once all of their holders are gone. A job that is given
//! back goes to the front of the line (negative places), which every claim looks at.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sqlx::PgConnection;

use crate::session::{Session, Sessions};

/// How often marks are moved.
const EVERY: Duration = Duration::from_secs(1);
/// How often they are moved at most, where claims take long: under a long snapshot they step over everything that
/// ended since the marks were moved.
const SOONEST: Duration = Duration::from_millis(100);
/// What claims take together until moving the marks, which takes one or two milliseconds, pays.
const PAYS: Duration = Duration::from_millis(20);
/// How often it is looked for what a mark may have passed all the same, on another connection: under a long snapshot
/// that takes as long as a claim from the left edge.
const LOOK_BEHIND: Duration = if cfg!(test) {
    Duration::ZERO
} else {
    Duration::from_mins(1)
};

/// The last place drawn, and who may still be about to fill it or an older one. In this order.
const DRAWN: &str = "select last_value from queue.job_seq";
const WRITERS: &str = "
select coalesce(array_agg(virtualtransaction), '{}') from pg_locks
where locktype = 'relation' and relation = 'queue.job'::regclass and mode = 'RowExclusiveLock'
  and database = (select oid from pg_database where datname = current_database())";

/// The first place of a priority that is still to be claimed.
const FIRST: &str = "
select seq from queue.job
where queue_id = $1 and priority = $2 and seq >= $3 and seq is not null and lane is null and claimed_by is null
order by priority, seq limit 1";

/// Whether anything before the marks is still to be claimed.
const BEHIND: &str = "
select exists (select from unnest($2::smallint[], $3::bigint[]) as mark (priority, seq)
    cross join lateral (
        select from queue.job as job
        where job.queue_id = $1 and job.priority = mark.priority and job.seq > 0 and job.seq < mark.seq
          and job.seq is not null and job.lane is null and job.claimed_by is null
        limit 1) as passed)";

/// The marks of a queue.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// Priorities met so far; nothing between 0 and the mark is left to be claimed.
    marks: BTreeMap<i16, i64>,
    /// Places up to `.0` are settled once none of `.1` writes any more.
    drawn: Option<(i64, HashSet<String>)>,
    settled: i64,
    moved: Option<Instant>,
    /// What claims took since.
    claims_took: Duration,
    sessions: Option<Sessions>,
    looked_behind: Option<Instant>,
    /// Something was found behind; held by a look that is under way, too.
    passed: Arc<AtomicBool>,
}

/// The parts of the index that a claim reads, in its order: priorities `low..=high`, places `first..before`, where
/// several priorities are read whole. A statement has to ask for one priority by equality: the index is read from
/// the left edge of a range of priorities to its right edge, whatever is asked of the places.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranges {
    pub(crate) low: Vec<i16>,
    pub(crate) high: Vec<i16>,
    pub(crate) first: Vec<i64>,
    pub(crate) before: Vec<i64>,
}

impl Ranges {
    fn push(&mut self, low: i16, high: i16, first: i64, before: i64) {
        self.low.push(low);
        self.high.push(high);
        self.first.push(first);
        self.before.push(before);
    }
}

impl Line {
    /// Every priority is covered: those met from their marks, those between them whole.
    pub(crate) fn ranges(&self) -> Ranges {
        let mut ranges = Ranges::default();
        let mut next = i32::from(i16::MIN);
        for (&priority, &mark) in &self.marks {
            if next < i32::from(priority) {
                ranges.push(next as i16, priority - 1, i64::MIN, i64::MAX);
            }
            if mark > 0 {
                ranges.push(priority, priority, i64::MIN, 0);
            }
            ranges.push(
                priority,
                priority,
                if mark > 0 { mark } else { i64::MIN },
                i64::MAX,
            );
            next = i32::from(priority) + 1;
        }
        if next <= i32::from(i16::MAX) {
            ranges.push(next as i16, i16::MAX, i64::MIN, i64::MAX);
        }
        ranges
    }

    /// Jobs of this priority were claimed.
    pub(crate) fn met(&mut self, priority: i16) {
        // A few marks pay; a queue with hundreds of priorities does without.
        if self.marks.len() < 16 {
            self.marks.entry(priority).or_insert(0);
        }
    }

    /// A claim along the marks took so long.
    pub(crate) fn claim_took(&mut self, time: Duration) {
        self.claims_took += time;
    }

    /// Makes it look for what its marks may have passed.
    pub(crate) fn looking_behind(mut self, sessions: &Sessions) -> Self {
        self.sessions = Some(sessions.clone());
        self
    }

    /// With a mark at this place.
    #[cfg(test)]
    pub(crate) fn marked(priority: i16, place: i64) -> Self {
        Self {
            marks: BTreeMap::from([(priority, place)]),
            ..Self::default()
        }
    }

    /// The connection was lost, and with it perhaps the server's memory of what was claimed.
    pub(crate) fn forget(&mut self) {
        *self = Self {
            sessions: self.sessions.take(),
            ..Self::default()
        };
    }

    /// Moves the marks, if it is time.
    pub(crate) async fn follow(&mut self, conn: &mut PgConnection, queue_id: i16) -> Result<(), sqlx::Error> {
        let is_due = |last: Option<Instant>, every| last.is_none_or(|last: Instant| last.elapsed() >= every);
        let every = if self.claims_took >= PAYS { SOONEST } else { EVERY };
        if self.marks.is_empty() || !is_due(self.moved, every) {
            return Ok(());
        }
        self.moved = Some(Instant::now());
        self.claims_took = Duration::ZERO;
        if self.passed.swap(false, Ordering::AcqRel) {
            metrics::counter!("codex_k8s_queue_passed_over_total").increment(1);
            tracing::warn!("a job was passed over, claims begin at the front again");
            self.marks.values_mut().for_each(|mark| *mark = 0);
            return Ok(());
        }
        if is_due(self.looked_behind, LOOK_BEHIND) {
            self.looked_behind = Some(Instant::now());
            self.look_behind(queue_id);
        }
        let drawn: i64 = sqlx::query_scalar(DRAWN).fetch_one(&mut *conn).await?;
        let writers: Vec<String> = sqlx::query_scalar(WRITERS).fetch_one(&mut *conn).await?;
        self.settle(drawn, writers.into_iter().collect());
        for (&priority, mark) in &mut self.marks {
            let first: Option<i64> = sqlx::query_scalar(FIRST)
                .bind(queue_id)
                .bind(priority)
                .bind(*mark)
                .fetch_optional(&mut *conn)
                .await?;
            // Read after `drawn`: a job seen here may have a later place than the last settled one.
            *mark = first.unwrap_or(i64::MAX).min(self.settled + 1).max(0);
        }
        Ok(())
    }

    /// Looks behind the marks, on a task of its own; one at a time.
    fn look_behind(&self, queue_id: i16) {
        let Some(sessions) = &self.sessions else {
            return;
        };
        let marks = self.marks.iter().filter(|(_, mark)| **mark > 0);
        let (priorities, marks): (Vec<i16>, Vec<i64>) = marks.unzip();
        if marks.is_empty() || Arc::strong_count(&self.passed) > 1 {
            return;
        }
        let passed = Arc::clone(&self.passed);
        let mut session = Session::new(sessions, "codex-k8s queue line");
        tokio::spawn(async move {
            let found = session.run(async |conn| {
                sqlx::query_scalar(BEHIND)
                    .bind(queue_id)
                    .bind(&priorities)
                    .bind(&marks)
                    .fetch_one(conn)
                    .await
            });
            match found.await {
                Ok(found) => passed.store(found, Ordering::Release),
                Err(error) => {
                    metrics::counter!("codex_k8s_queue_errors_total", "task" => "line").increment(1);
                    tracing::warn!(%error, "could not look for jobs that were passed over, trying again");
                }
            }
        });
    }

    fn settle(&mut self, drawn: i64, writers: HashSet<String>) {
        match &mut self.drawn {
            Some((place, waiting)) => {
                waiting.retain(|writer| writers.contains(writer));
                if waiting.is_empty() {
                    self.settled = *place;
                    self.drawn = Some((drawn, writers));
                }
            }
            none => *none = Some((drawn, writers)),
        }
    }
}

#[cfg(test)]
mod tests {
    use sqlx::PgPool;
    use testkit::postgres::TestDatabase;

    use super::*;
    use crate::{NewJob, Queue, migrate};

    #[tokio::test]
    async fn what_a_mark_has_passed_is_found_by_the_look_behind() -> Result<(), Box<dyn std::error::Error>> {
        let database = TestDatabase::create().await;
        let pool = PgPool::connect(database.url()).await?;
        migrate(&pool).await?;
        let queue = Queue::new(pool.clone());
        let mut conn = pool.acquire().await?;
        let place = queue
            .enqueue(&mut conn, NewJob::new("mail", "welcome", ().into()))
            .await?
            .id;
        let queue_id = queue.names().queue("mail").await?;
        let mut line = Line::default().looking_behind(&queue.sessions());
        line.marks.insert(0, place + 100);
        line.settled = place + 100;
        let start = Instant::now();
        while line.marks[&0] > 0 {
            assert!(start.elapsed() < Duration::from_secs(10), "the job was not found");
            line.moved = None;
            line.follow(&mut conn, queue_id).await?;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    fn writers(names: &[&str]) -> HashSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn every_priority_is_covered_whatever_the_marks() {
        let mut line = Line::default();
        for marks in [vec![], vec![0], vec![i16::MIN, i16::MAX], vec![-1, 0, 7]] {
            line.marks = marks.iter().map(|priority| (*priority, 100)).collect();
            let ranges = line.ranges();
            let mut next = i32::from(i16::MIN);
            for place in 0..ranges.low.len() {
                let (low, high) = (i32::from(ranges.low[place]), i32::from(ranges.high[place]));
                if ranges.before[place] == 0 {
                    // The front of a priority, followed by the rest of it.
                    assert_eq!((low, ranges.low[place + 1]), (next, ranges.low[place]));
                    continue;
                }
                assert_eq!(low, next, "{marks:?}");
                next = high + 1;
            }
            assert_eq!(next, i32::from(i16::MAX) + 1, "{marks:?}");
        }
    }

    #[test]
    fn a_place_is_settled_once_all_who_wrote_when_it_was_drawn_are_gone() {
        let mut line = Line::default();
        line.settle(10, writers(&["a", "b"]));
        line.settle(20, writers(&["b", "c"]));
        assert_eq!(line.settled, 0, "b may still fill place 10");
        line.settle(30, writers(&["c"]));
        assert_eq!(line.settled, 10);
        line.settle(40, writers(&["d"]));
        assert_eq!(
            line.settled, 30,
            "c had written when place 30 was drawn, and is gone"
        );
    }
}
