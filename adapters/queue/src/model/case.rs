//! A case: the database, driven as workers and people drive it, and the model beside it.

use std::sync::Arc;
use std::time::Duration;

use proptest::sample::Index;
use serde_json::json;
use sqlx::PgConnection;
use tokio::sync::Notify;

use super::step::{NewStep, Paused, Step};
use super::world::{Job, Place, World};
use crate::fetcher::Known;
use crate::{Action, By, Error, NewJob, Queue, State, Verdict, heartbeat, maintenance, rescue};

pub(super) const QUEUE: &str = "model";
pub(super) const KINDS: [&str; 2] = ["model.job", "model.other"];
/// Of the model's time.
pub(super) const HOUR: Duration = Duration::from_hours(1);

#[derive(Debug, Clone)]
pub(super) struct Lease {
    pub(super) id: i64,
    pub(super) epoch: i32,
    pub(super) worker: i32,
    pub(super) keyed: bool,
}

/// A worker with what its fetcher knows of the queue.
pub(super) struct Worker {
    pub(super) id: i32,
    name: String,
    pub(super) known: Known,
}

pub(super) struct Case<'a> {
    pub(super) queue: &'a Queue,
    pub(super) conn: &'a mut PgConnection,
    pub(super) queue_id: i16,
    pub(super) kind_ids: [i32; 2],
    pub(super) workers: Vec<Worker>,
    pub(super) leases: Vec<Lease>,
    pub(super) ids: Vec<i64>,
    pub(super) world: World,
}

impl Case<'_> {
    pub(super) async fn register(&self, place: usize) -> Worker {
        let name = format!("w{place}");
        let half = HOUR / 2;
        let id = heartbeat::register(
            self.queue.pool(),
            &name,
            &[self.queue_id],
            &self.kind_ids,
            1,
            half,
        )
        .await;
        Worker {
            id: id.unwrap(),
            name,
            known: Known::new(&Arc::new(Notify::new())),
        }
    }

    fn id(&self, index: Index) -> Option<i64> {
        (!self.ids.is_empty()).then(|| *index.get(&self.ids))
    }

    async fn run(&mut self, statement: &'static str) {
        sqlx::raw_sql(statement).execute(&mut *self.conn).await.unwrap();
    }

    pub(super) async fn take(&mut self, step: Step) {
        match step {
            Step::Enqueue(new) => self.enqueue(new).await,
            Step::Claim { worker, limit } => self.claim(worker, limit).await,
            Step::End { worker, ends } => self.end(self.workers[worker].id, ends).await,
            Step::EndInTransaction { worker, lease } => {
                self.end_in_transaction(self.workers[worker].id, lease).await;
            }
            Step::Cancel(job) => self.cancel(job).await,
            Step::Retry(job) => self.retry(job).await,
            Step::Die {
                worker,
                silent,
                lives,
            } => self.die(worker, silent, lives).await,
            Step::BadLuck(job) => self.bad_luck(job).await,
            Step::Pause { what, on } => self.pause(what, on).await,
            Step::Hour => {
                self.world.hour += 1;
                self.run(
                    "update queue.job set run_at = run_at - interval '1 hour',
                    rerun_at = rerun_at - interval '1 hour'",
                )
                .await;
            }
            Step::Promote => {
                self.world.promote();
                for bring in [maintenance::PROMOTE, maintenance::UNPARK] {
                    let query = sqlx::query(bring).bind(maintenance::DUE_AT_ONCE);
                    query.execute(&mut *self.conn).await.unwrap();
                }
            }
        }
    }

    async fn enqueue(&mut self, step: NewStep) {
        let args = self.ids.len() as i64;
        let mut new = NewJob::new(QUEUE, KINDS[step.kind], json!(args))
            .priority(step.priority)
            .max_attempts(step.max_attempts)
            .delay(HOUR * step.delay as u32);
        (new.tenant, new.key) = (step.tenant.clone(), step.key.clone());
        let mut expected = None;
        if let Some((key, on_conflict)) = &step.unique {
            new = new.unique(key, *on_conflict);
            expected = self.world.conflict(key, *on_conflict, step.delay, args);
        }
        let answer = self.queue.enqueue(self.conn, new).await.unwrap();
        if let Some(expected) = expected {
            assert_eq!((answer.id, answer.verdict), expected);
            return;
        }
        assert_eq!(answer.verdict, Verdict::Inserted);
        let job = Job {
            place: self.world.place(step.delay),
            epoch: 0,
            attempt: 0,
            max_attempts: step.max_attempts,
            rescues: 0,
            kind: self.kind_ids[step.kind],
            priority: step.priority,
            tenant: step.tenant,
            key: step.key,
            unique: step.unique.map(|(key, _)| key),
            args,
            rerun: None,
        };
        self.world.add(answer.id, job);
        self.ids.push(answer.id);
    }

    async fn pause(&mut self, what: Paused, on: bool) {
        let by = By::new("model");
        let changed = match (&what, on) {
            (Paused::Queue, true) => self.queue.pause(self.conn, QUEUE, &by).await,
            (Paused::Queue, false) => self.queue.resume(self.conn, QUEUE, &by).await,
            (Paused::Kind(kind), true) => self.queue.pause_kind(self.conn, KINDS[*kind], &by).await,
            (Paused::Kind(kind), false) => self.queue.resume_kind(self.conn, KINDS[*kind], &by).await,
            (Paused::Tenant(tenant), true) => self.queue.pause_tenant(self.conn, QUEUE, tenant, &by).await,
            (Paused::Tenant(tenant), false) => self.queue.resume_tenant(self.conn, QUEUE, tenant, &by).await,
        };
        let kind = |kind: usize| self.kind_ids[kind];
        let expected = self.world.pause(&what, on, kind);
        assert_eq!(changed.unwrap(), expected, "{what:?} is paused: {on}");
    }

    /// Its workers had died before.
    async fn bad_luck(&mut self, job: Index) {
        let Some(id) = self.id(job) else { return };
        let Some(job) = self.world.jobs.get_mut(&id) else {
            return;
        };
        job.rescues = (job.rescues + 3).min(9);
        let query = sqlx::query("update queue.job set rescues = $2 where id = $1");
        let query = query.bind(id).bind(job.rescues);
        query.execute(&mut *self.conn).await.unwrap();
    }

    async fn cancel(&mut self, job: Index) {
        let Some(id) = self.id(job) else { return };
        let ended = self.world.history.get(&id).map(|finished| finished.state);
        let expected = match ended {
            Some(number) => Action::NotAllowed(state(number)),
            None if self.world.cancel(id) => Action::Done,
            None => Action::Requested,
        };
        let action = self.queue.cancel(self.conn, id, &By::new("model")).await;
        assert_eq!(action.unwrap(), expected);
    }

    async fn retry(&mut self, job: Index) {
        let Some(id) = self.id(job) else { return };
        let action = self.queue.retry(self.conn, id, &By::new("model")).await;
        if let Some(job) = self.world.jobs.get_mut(&id) {
            let expected = match job.place {
                Place::Held(_) => Action::NotAllowed(State::Running),
                Place::Ready | Place::Aside => Action::NotAllowed(State::Ready),
                Place::Waiting(_) => {
                    (job.place, job.attempt) = (Place::Ready, 0);
                    Action::Done
                }
            };
            assert_eq!(action.unwrap(), expected);
            return;
        }
        let finished = &self.world.history[&id];
        if finished.state == 0 {
            assert_eq!(action.unwrap(), Action::NotAllowed(State::Completed));
            return;
        }
        let taken = finished
            .job
            .unique
            .as_deref()
            .and_then(|key| self.world.holder(key));
        if taken.is_some() {
            assert!(matches!(action, Err(Error::Invalid(_))), "{action:?}");
            return;
        }
        assert_eq!(action.unwrap(), Action::Done);
        let epoch = sqlx::query_scalar("select epoch from queue.job where id = $1").bind(id);
        let epoch: i32 = epoch.fetch_one(&mut *self.conn).await.unwrap();
        self.world.revive(id, epoch);
    }

    async fn die(&mut self, worker: usize, silent: bool, lives: bool) {
        let (id, name) = (self.workers[worker].id, self.workers[worker].name.clone());
        self.world.rescue(id, silent);
        if silent {
            let query = "update queue.worker set heartbeat_at = now() - interval '2 hours' where id = $1";
            sqlx::query(query)
                .bind(id)
                .execute(&mut *self.conn)
                .await
                .unwrap();
            rescue::rescue(self.conn, HOUR).await.unwrap();
        } else {
            let now = sqlx::query_scalar("select clock_timestamp()");
            let now = now.fetch_one(&mut *self.conn).await.unwrap();
            self.queue.worker_gone(&name, now).await.unwrap();
        }
        if lives {
            let beat = heartbeat::beat(self.conn, id, 0).await.unwrap();
            assert_eq!(beat, Some((true, false)), "it was given up and isn't told");
        } else {
            self.workers[worker] = self.register(worker).await;
        }
    }
}

fn state(number: i16) -> State {
    match number {
        0 => State::Completed,
        1 => State::Cancelled,
        _ => State::Dead,
    }
}
