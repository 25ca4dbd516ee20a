//! Claims, as a fetcher makes them: tenants in turns, the plain line, and what is put aside with a paused kind.

use super::case::{Case, Lease};
use super::world::Place;
use crate::claim::{Claimed, Claimer, FIRST_STEP};
use crate::fetcher::Slots;

/// A fetcher that looks so often has met every job that may start.
const LOOKS: usize = 30;

/// Jobs that are nobody's and stand before one of these in its line or lane.
const BETTER: &str = "
select count(*) from unnest($1::bigint[], $2::smallint[], $3::bigint[]) as claimed (lane, priority, seq)
join queue.job as job on job.lane is not distinct from claimed.lane
where job.seq is not null and job.claimed_by is null
  and (job.priority, job.seq) < (claimed.priority, claimed.seq)
  and (job.tenant is null or job.tenant <> all (array (select tenant from queue.paused_tenant)))";

impl Case<'_> {
    /// Looks at the queue until there is nothing more to claim, or `limit` jobs are claimed.
    pub(super) async fn claim(&mut self, worker: usize, limit: usize) {
        let who = Claimer {
            worker_id: self.workers[worker].id,
            queue_id: self.queue_id,
            kinds: self.kind_ids.to_vec(),
            step: FIRST_STEP,
        };
        let expected = self.world.startable().min(limit);
        let mut claimed = 0;
        for _ in 0..LOOKS {
            let slots = Slots::new(limit - claimed);
            let known = &mut self.workers[worker].known;
            let found = known.claim(self.conn, &who, &slots, limit).await.unwrap().jobs;
            assert!(found.len() <= limit - claimed, "more than there are slots");
            claimed += found.len();
            self.note(&who, &found).await;
            if claimed == limit {
                break;
            }
        }
        assert_eq!(claimed, expected, "claimed of those that may start");
    }

    async fn note(&mut self, who: &Claimer, found: &[Claimed]) {
        for job in found {
            assert_eq!(self.world.claim(job.id, who.worker_id), (job.epoch, job.attempt));
            let same = |lease: &Lease| lease.id == job.id && lease.epoch == job.epoch;
            assert!(!self.leases.iter().any(same), "an old lease fits the new claim");
            self.leases.push(Lease {
                id: job.id,
                epoch: job.epoch,
                worker: who.worker_id,
                keyed: job.keyed,
            });
        }
        let better = sqlx::query_scalar(BETTER)
            .bind(found.iter().map(|job| job.lane).collect::<Vec<_>>())
            .bind(found.iter().map(|job| job.priority).collect::<Vec<_>>())
            .bind(found.iter().map(|job| job.seq).collect::<Vec<_>>());
        let better: i64 = better.fetch_one(&mut *self.conn).await.unwrap();
        assert_eq!(better, 0, "better jobs were left behind");
        let aside = "select id from queue.job where parked is not null and seq is null";
        let aside: Vec<i64> = sqlx::query_scalar(aside)
            .fetch_all(&mut *self.conn)
            .await
            .unwrap();
        for id in aside {
            if self.world.jobs[&id].place != Place::Aside {
                self.world.put_aside(id);
            }
        }
    }
}
