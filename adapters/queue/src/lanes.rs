//! The lanes of a queue, and whose turn it is.
//!
//! A job with a tenant stands in the lane of its tenant and key, and so does a job whose key a limit has blocked
//! in the line. Claims go round the tenants, and within a tenant
//! round its lanes, a job a turn: a tenant's flood delays its own jobs and nobody else's. Which lanes have
//! jobs is known from walks over the index, which read one entry a lane; lanes that a limit blocks are left
//! out of the turns, so their jobs aren't looked at.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::time::{Duration, Instant};

use sqlx::PgConnection;

/// The most lanes read by one walk.
const STRIDE: i64 = 500;
/// Walks take at most one part in so many of the time, however many lanes there are.
const SHARE: u32 = 10;

/// The lanes after `$2` that have jobs to claim, up to `$3`, each with its key's hash and whether its tenant is
/// paused.
const WALK: &str = "
with recursive walk as (
    (select lane, tenant, key from queue.job
     where queue_id = $1 and lane > $2 and seq is not null and lane is not null and claimed_by is null
     order by queue_id, lane limit 1)
    union all
    select next.lane, next.tenant, next.key from walk cross join lateral (
        select lane, tenant, key from queue.job as job
        where job.queue_id = $1 and job.lane > walk.lane and job.seq is not null and job.lane is not null
          and job.claimed_by is null
        order by job.queue_id, job.lane limit 1) as next)
select lane, hashtextextended(key, 0),
    exists (select from queue.paused_tenant as paused where paused.queue_id = $1 and paused.tenant = walk.tenant)
from walk limit $3";

/// So many jobs of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) lane: i64,
    pub(crate) jobs: i64,
}

/// The lanes that are known to have jobs.
#[derive(Debug)]
pub(crate) struct Lanes {
    tenants: BTreeMap<i32, Tenant>,
    /// The tenant served last.
    served: Option<i32>,
    walked: i64,
    rest_until: Option<Instant>,
}

#[derive(Debug, Default)]
struct Tenant {
    /// Lanes with the hashes of their keys.
    lanes: BTreeMap<i64, Option<i64>>,
    /// The lane served last.
    served: Option<i64>,
}

impl Default for Lanes {
    fn default() -> Self {
        Self {
            tenants: BTreeMap::new(),
            served: None,
            walked: i64::MIN,
            rest_until: None,
        }
    }
}

/// The first after `last`, round the end.
fn after<K: Ord + Copy, V>(map: &BTreeMap<K, V>, last: Option<K>) -> Option<K> {
    let later = last.and_then(|last| map.range((Bound::Excluded(last), Bound::Unbounded)).next());
    later.or_else(|| map.iter().next()).map(|(key, _)| *key)
}

impl Tenant {
    /// The next lane that `may` let through.
    fn next(&mut self, may: &mut impl FnMut(Option<i64>) -> bool) -> Option<i64> {
        for _ in 0..self.lanes.len() {
            let lane = after(&self.lanes, self.served)?;
            self.served = Some(lane);
            if may(self.lanes[&lane]) {
                return Some(lane);
            }
        }
        None
    }
}

impl Lanes {
    fn tenant_of(lane: i64) -> i32 {
        (lane >> 32) as i32
    }

    /// How many tenants are known to have jobs.
    pub(crate) fn tenants(&self) -> usize {
        self.tenants.len()
    }

    fn add(&mut self, lane: i64, key: Option<i64>) {
        let tenant = self.tenants.entry(Self::tenant_of(lane)).or_default();
        tenant.lanes.insert(lane, key);
    }

    /// Reads on in the index, unless the last walk was so long that it has to rest.
    pub(crate) async fn walk(&mut self, conn: &mut PgConnection, queue_id: i16) -> Result<(), sqlx::Error> {
        if self.rest_until.is_some_and(|until| Instant::now() < until) {
            return Ok(());
        }
        let start = Instant::now();
        let found: Vec<(i64, Option<i64>, bool)> = sqlx::query_as(WALK)
            .bind(queue_id)
            .bind(self.walked)
            .bind(STRIDE)
            .fetch_all(conn)
            .await?;
        let whole = self.walked == i64::MIN && (found.len() as i64) < STRIDE;
        self.walked = match found.last() {
            Some((lane, ..)) if found.len() as i64 == STRIDE => *lane,
            _ => i64::MIN,
        };
        for (lane, key, paused) in found {
            if !paused {
                self.add(lane, key);
            }
        }
        // A short index is read at every look: that is what lets an idle queue start a job at once.
        let rest = if whole {
            Duration::ZERO
        } else {
            start.elapsed() * SHARE
        };
        self.rest_until = Some(Instant::now() + rest);
        Ok(())
    }

    /// Deals out up to `limit` turns to lanes that `may` let through.
    pub(crate) fn turns(&mut self, limit: usize, mut may: impl FnMut(Option<i64>) -> bool) -> Vec<Turn> {
        let mut jobs: HashMap<i64, i64> = HashMap::new();
        let (mut dealt, mut in_vain) = (0, 0);
        while dealt < limit && in_vain < self.tenants.len() {
            let Some(id) = after(&self.tenants, self.served) else {
                break;
            };
            self.served = Some(id);
            let lane = self.tenants.get_mut(&id).and_then(|tenant| tenant.next(&mut may));
            if let Some(lane) = lane {
                *jobs.entry(lane).or_default() += 1;
                (dealt, in_vain) = (dealt + 1, 0);
            } else {
                in_vain += 1;
            }
        }
        let mut turns: Vec<Turn> = jobs.into_iter().map(|(lane, jobs)| Turn { lane, jobs }).collect();
        turns.sort_unstable_by_key(|turn| turn.lane);
        turns
    }

    /// Forgets lanes that had fewer jobs than turns; a walk finds those again that have some.
    pub(crate) fn served(&mut self, turns: &[Turn], claimed: impl Iterator<Item = i64>) {
        let mut left: HashMap<i64, i64> = turns.iter().map(|turn| (turn.lane, turn.jobs)).collect();
        for lane in claimed {
            if let Some(jobs) = left.get_mut(&lane) {
                *jobs -= 1;
            }
        }
        for (lane, _) in left.into_iter().filter(|(_, jobs)| *jobs > 0) {
            let id = Self::tenant_of(lane);
            if let Some(tenant) = self.tenants.get_mut(&id) {
                tenant.lanes.remove(&lane);
                if tenant.lanes.is_empty() {
                    self.tenants.remove(&id);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(tenant: i64, key: i64) -> i64 {
        (tenant << 32) | key
    }

    fn lanes(of: &[i64]) -> Lanes {
        let mut lanes = Lanes::default();
        for lane in of {
            lanes.add(*lane, Some(*lane & 0xffff_ffff));
        }
        lanes
    }

    #[test]
    fn turns_go_round_the_tenants_and_round_a_tenants_lanes() {
        let mut lanes = lanes(&[lane(1, 1), lane(1, 2), lane(1, 3), lane(2, 4)]);
        let turns = lanes.turns(6, |_| true);
        let jobs = |of: i64| {
            turns
                .iter()
                .find(|turn| turn.lane == of)
                .map_or(0, |turn| turn.jobs)
        };
        assert_eq!(
            jobs(lane(2, 4)),
            3,
            "one of two tenants has half, however many lanes the other has"
        );
        assert_eq!([1, 2, 3].map(|key| jobs(lane(1, key))), [1, 1, 1]);
    }

    #[test]
    fn who_had_no_turn_is_next() {
        let mut lanes = lanes(&[lane(1, 0), lane(2, 0), lane(3, 0)]);
        let mut order: Vec<i64> = Vec::new();
        for _ in 0..6 {
            order.extend(lanes.turns(1, |_| true).iter().map(|turn| turn.lane >> 32));
        }
        assert_eq!(order, [1, 2, 3, 1, 2, 3]);
    }

    #[test]
    fn a_blocked_lane_has_no_turn_and_holds_up_none() {
        let mut lanes = lanes(&[lane(1, 1), lane(1, 2), lane(2, 1)]);
        let turns = lanes.turns(10, |key| key != Some(1));
        assert_eq!(
            turns,
            [Turn {
                lane: lane(1, 2),
                jobs: 10
            }]
        );
    }

    #[test]
    fn an_emptied_lane_is_forgotten() {
        let mut lanes = lanes(&[lane(1, 1), lane(2, 1)]);
        let turns = lanes.turns(4, |_| true);
        lanes.served(&turns, [lane(1, 1), lane(1, 1), lane(2, 1)].into_iter());
        assert_eq!(lanes.tenants(), 1);
        assert_eq!(lanes.turns(1, |_| true)[0].lane, lane(1, 1));
    }
}
