//! Ends of attempts, in time or too late, by the acker or in the handler's own transaction.

use proptest::sample::Index;
use serde_json::json;

use super::case::{Case, HOUR, Lease};
use super::world::{How, Job};
use crate::finish::{self, Ack};
use crate::outcome::Finish;

impl Case<'_> {
    /// One of the latest leases of the worker.
    fn lease(&self, worker: i32, index: Index) -> Option<Lease> {
        let mine = self.leases.iter().rev().filter(|lease| lease.worker == worker);
        let latest: Vec<&Lease> = mine.take(8).collect();
        (!latest.is_empty()).then(|| (*index.get(&latest)).clone())
    }

    /// Writes them, and once more as if the answer had been lost: that changes nothing, and refuses what was refused.
    pub(super) async fn end(&mut self, worker: i32, ends: Vec<(Index, How)>) {
        let (mut acks, mut again): (Vec<Ack>, Vec<Job>) = Default::default();
        let (mut refused, mut refused_again) = (0, 0);
        for (index, how) in ends {
            let Some(lease) = self.lease(worker, index) else {
                continue;
            };
            if acks.iter().any(|ack| ack.id == lease.id) {
                continue;
            }
            acks.push(ack(&lease, how));
            if self.world.stands(lease.id, lease.epoch, worker) {
                again.extend(self.world.end(lease.id, worker, how));
            } else {
                let finished = self.world.history.get(&lease.id);
                let by_itself = finished.is_some_and(|finished| finished.worker == Some(worker));
                let is_refused = !by_itself && !matches!(how, How::Release);
                refused += usize::from(is_refused);
                // Of what was put back nobody knows who did it.
                let put_back = matches!(how, How::Retry(_) | How::Snooze(_));
                refused_again += usize::from(is_refused && !put_back);
            }
        }
        let mut unsure = acks.clone();
        for ack in &mut unsure {
            ack.unsure = true;
        }
        for (mut acks, refused) in [(acks, refused), (unsure, refused_again)] {
            let stale = finish::write(self.conn, worker, &mut acks).await.unwrap();
            assert_eq!((stale, acks.len()), (refused, 0), "refused as stale, left over");
        }
        for job in again {
            self.spawned(job).await;
        }
    }

    /// A noted rerun has become a job of its own.
    async fn spawned(&mut self, job: Job) {
        let id = sqlx::query_scalar("select id from queue.job where unique_key = $1").bind(&job.unique);
        let id: i64 = id.fetch_one(&mut *self.conn).await.unwrap();
        assert!(!self.ids.contains(&id));
        self.ids.push(id);
        self.world.jobs.insert(id, job);
    }

    pub(super) async fn end_in_transaction(&mut self, worker: i32, index: Index) {
        let Some(lease) = self.lease(worker, index) else {
            return;
        };
        let stands = self.world.stands(lease.id, lease.epoch, worker);
        let done = finish::complete_one(self.conn, worker, lease.id, lease.epoch, true).await;
        assert_eq!(done.unwrap(), stands, "completed by the lease {lease:?}");
        if stands {
            let again = self.world.end(lease.id, worker, How::Completed { result: false });
            if let Some(job) = again {
                self.spawned(job).await;
            }
        }
    }
}

fn ack(lease: &Lease, how: How) -> Ack {
    let wait = |hours: i64| HOUR * hours as u32;
    Ack {
        id: lease.id,
        epoch: lease.epoch,
        keyed: lease.keyed,
        settled: false,
        unsure: false,
        finish: match how {
            How::Completed { result } => Finish::Completed(result.then(|| json!("result"))),
            How::Cancelled => Finish::Cancelled("model".into()),
            How::Dead => Finish::Dead("model".into()),
            How::Retry(hours) => Finish::Retry {
                error: "model".into(),
                delay: wait(hours),
            },
            How::Snooze(hours) => Finish::Snooze(wait(hours)),
            How::Release => Finish::Release,
        },
        _attempt: None,
        _held: None,
    }
}
