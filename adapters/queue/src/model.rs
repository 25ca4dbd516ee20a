//! Random histories of a queue, step by step against a model of it: enqueue, claim, every end of an attempt,
//! ends that come too late, cancel, retry, deaths of workers, the passing of time. After each step the database
//! must hold exactly what the model says: every job in one place, with its epoch and attempt; a stale lease
//! never changes anything; a key has at most one unfinished job; nothing is lost.

mod step;
mod world;

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use sqlx::postgres::PgRow;
use sqlx::{Connection, PgConnection, Row};
use testkit::postgres::TestDatabase;

use self::step::{Step, step};
use self::world::{Finished, How, Job, Place, World};
use crate::claim::{self, Claimer};
use crate::finish::{self, Ack};
use crate::line::Line;
use crate::outcome::Finish;
use crate::{Action, By, Error, NewJob, OnConflict, Queue, State, Verdict, heartbeat, maintenance, rescue};

const HOUR: Duration = Duration::from_hours(1);
/// What the short run may take.
const SHORT: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
struct Lease {
    id: i64,
    epoch: i32,
    worker: i32,
    keyed: bool,
}

/// Job, state, attempt, worker, key and arguments.
type Ended = (i64, i16, i32, Option<i32>, Option<String>, i64);

/// The database, driven as its workers drive it, and the model beside it.
struct Case<'a> {
    queue: &'a Queue,
    conn: &'a mut PgConnection,
    queue_id: i16,
    kind_id: i32,
    workers: Vec<(i32, String)>,
    leases: Vec<Lease>,
    ids: Vec<i64>,
    world: World,
}

impl Case<'_> {
    async fn register(&self, place: usize) -> (i32, String) {
        let name = format!("w{place}");
        let kinds = [self.kind_id];
        let half = HOUR / 2;
        let id = heartbeat::register(self.queue.pool(), &name, &[self.queue_id], &kinds, 1, half).await;
        (id.unwrap(), name)
    }

    fn id(&self, index: Index) -> Option<i64> {
        (!self.ids.is_empty()).then(|| *index.get(&self.ids))
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Enqueue {
                delay,
                key,
                priority,
                max_attempts,
            } => self.enqueue(delay, key, priority, max_attempts).await,
            Step::Claim { worker, limit } => self.claim(self.workers[worker].0, limit).await,
            Step::End { worker, ends } => self.end(self.workers[worker].0, ends).await,
            Step::EndInTransaction { worker, lease } => {
                self.end_in_transaction(self.workers[worker].0, lease).await;
            }
            Step::Cancel(job) => self.cancel(job).await,
            Step::Retry(job) => self.retry(job).await,
            Step::Die {
                worker,
                silent,
                lives,
            } => self.die(worker, silent, lives).await,
            Step::BadLuck(job) => {
                let Some(id) = self.id(job) else { return };
                if let Some(job) = self.world.jobs.get_mut(&id) {
                    job.rescues = (job.rescues + 3).min(9);
                    let query = sqlx::query("update queue.job set rescues = $2 where id = $1");
                    query
                        .bind(id)
                        .bind(job.rescues)
                        .execute(&mut *self.conn)
                        .await
                        .unwrap();
                }
            }
            Step::Hour => {
                self.world.hour += 1;
                let query = "update queue.job set run_at = run_at - interval '1 hour',
                    rerun_at = rerun_at - interval '1 hour'";
                sqlx::query(query).execute(&mut *self.conn).await.unwrap();
            }
            Step::Promote => {
                self.world.promote();
                let query = sqlx::query(maintenance::PROMOTE).bind(maintenance::DUE_AT_ONCE);
                query.execute(&mut *self.conn).await.unwrap();
            }
        }
    }

    async fn enqueue(&mut self, delay: i64, key: Option<(u8, OnConflict)>, priority: i16, max_attempts: i32) {
        let args = self.ids.len() as i64;
        let mut new = NewJob::new("model", "model.job", json!(args))
            .priority(priority)
            .max_attempts(max_attempts)
            .delay(HOUR * delay as u32);
        let key = key.map(|(key, on_conflict)| (format!("key {key}"), on_conflict));
        let mut expected = None;
        if let Some((key, on_conflict)) = &key {
            new = new.unique(key, *on_conflict);
            expected = self.world.conflict(key, *on_conflict, delay, args);
        }
        let answer = self.queue.enqueue(self.conn, new).await.unwrap();
        if let Some(expected) = expected {
            assert_eq!((answer.id, answer.verdict), expected);
            return;
        }
        assert_eq!(answer.verdict, Verdict::Inserted);
        let key = key.map(|(key, _)| key);
        self.world
            .add(answer.id, delay, priority, max_attempts, key, args);
        self.ids.push(answer.id);
    }

    async fn claim(&mut self, worker: i32, limit: i64) {
        let who = Claimer {
            worker_id: worker,
            queue_id: self.queue_id,
            kinds: vec![self.kind_id],
        };
        let expected = self.world.ready().min(limit as usize);
        let claimed = claim::from_line(self.conn, &who, &Line::default(), limit).await;
        let claimed = claimed.unwrap().jobs;
        assert_eq!(claimed.len(), expected, "claimed of the ready ones");
        let Some(last) = claimed.iter().map(|job| (job.priority, job.seq)).max() else {
            return;
        };
        for job in &claimed {
            assert_eq!(self.world.claim(job.id, worker), (job.epoch, job.attempt));
            let same = |lease: &Lease| lease.id == job.id && lease.epoch == job.epoch;
            assert!(!self.leases.iter().any(same), "an old lease fits the new claim");
            self.leases.push(Lease {
                id: job.id,
                epoch: job.epoch,
                worker,
                keyed: job.keyed,
            });
        }
        let better = sqlx::query_scalar(
            "select count(*) from queue.job
            where seq is not null and claimed_by is null and (priority, seq) < ($1, $2)",
        );
        let better: i64 = better
            .bind(last.0)
            .bind(last.1)
            .fetch_one(&mut *self.conn)
            .await
            .unwrap();
        assert_eq!(better, 0, "better jobs were left behind");
    }

    /// One of the latest leases of the worker.
    fn lease(&self, worker: i32, index: Index) -> Option<Lease> {
        let mine = self.leases.iter().rev().filter(|lease| lease.worker == worker);
        let latest: Vec<&Lease> = mine.take(8).collect();
        (!latest.is_empty()).then(|| (*index.get(&latest)).clone())
    }

    async fn end(&mut self, worker: i32, ends: Vec<(Index, How)>) {
        let (mut acks, mut refused, mut again): (Vec<Ack>, usize, Vec<Job>) = Default::default();
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
                refused += usize::from(!by_itself && !matches!(how, How::Release));
            }
        }
        let stale = finish::write(self.conn, worker, &mut acks).await.unwrap();
        assert_eq!((stale, acks.len()), (refused, 0), "refused as stale, left over");
        for job in again {
            self.spawned(job).await;
        }
    }

    /// A noted rerun has become a job of its own.
    async fn spawned(&mut self, job: Job) {
        let id = sqlx::query_scalar("select id from queue.job where unique_key = $1").bind(&job.key);
        let id: i64 = id.fetch_one(&mut *self.conn).await.unwrap();
        assert!(!self.ids.contains(&id));
        self.ids.push(id);
        self.world.jobs.insert(id, job);
    }

    async fn end_in_transaction(&mut self, worker: i32, index: Index) {
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
                Place::Ready => Action::NotAllowed(State::Ready),
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
        let taken = finished.key.as_deref().and_then(|key| self.world.holder(key));
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
        let (id, name) = self.workers[worker].clone();
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

    /// The database holds what the model says.
    async fn compare(&mut self) {
        let rows: Vec<PgRow> = sqlx::query(
            "select id, claimed_by, seq is not null,
                coalesce(round(extract(epoch from run_at - clock_timestamp()) / 3600), 0)::bigint,
                epoch, attempt, max_attempts, rescues, priority, unique_key, args::text::bigint,
                rerun_args::text::bigint,
                coalesce(round(extract(epoch from rerun_at - clock_timestamp()) / 3600), 0)::bigint
            from queue.job order by id",
        )
        .fetch_all(&mut *self.conn)
        .await
        .unwrap();
        let jobs: Vec<(i64, Job)> = rows.iter().map(|row| self.job(row)).collect();
        let expected: Vec<(i64, Job)> = self.world.jobs.clone().into_iter().collect();
        assert_eq!(jobs, expected, "unfinished: the database's, then the model's");

        let history: Vec<Ended> = sqlx::query_as(
            "select id, state, attempt, worker_id, unique_key, args::text::bigint from queue.history order by id",
        )
        .fetch_all(&mut *self.conn)
        .await
        .unwrap();
        let row = |(id, finished): (&i64, &Finished)| {
            let Finished {
                state,
                attempt,
                worker,
                key,
                args,
                ..
            } = finished.clone();
            (*id, state, attempt, worker, key, args)
        };
        let expected: Vec<_> = self.world.history.iter().map(row).collect();
        assert_eq!(history, expected, "finished: the database's, then the model's");
        assert_eq!(
            history.len() + jobs.len(),
            self.ids.len(),
            "nothing is lost or doubled"
        );

        let failures: Vec<(i64, i64)> =
            sqlx::query_as("select job_id, count(*) from queue.attempt group by job_id order by job_id")
                .fetch_all(&mut *self.conn)
                .await
                .unwrap();
        let expected: Vec<(i64, i64)> = self.world.failures.clone().into_iter().collect();
        assert_eq!(failures, expected, "failed attempts");
    }

    fn job(&self, row: &PgRow) -> (i64, Job) {
        let (holder, in_line, wait): (Option<i32>, bool, i64) = (row.get(1), row.get(2), row.get(3));
        let (rerun, at): (Option<i64>, i64) = (row.get(11), row.get(12));
        let job = Job {
            place: match (holder, in_line) {
                (Some(worker), _) => Place::Held(worker),
                (None, true) => Place::Ready,
                (None, false) => Place::Waiting(self.world.hour + wait),
            },
            epoch: row.get(4),
            attempt: row.get(5),
            max_attempts: row.get(6),
            rescues: row.get(7),
            priority: row.get(8),
            key: row.get(9),
            args: row.get(10),
            rerun: rerun.map(|args| (args, self.world.hour + at)),
        };
        (row.get(0), job)
    }
}

fn ack(lease: &Lease, how: How) -> Ack {
    let wait = |hours: i64| HOUR * hours as u32;
    Ack {
        id: lease.id,
        epoch: lease.epoch,
        keyed: lease.keyed,
        settled: false,
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

fn state(number: i16) -> State {
    match number {
        0 => State::Completed,
        1 => State::Cancelled,
        _ => State::Dead,
    }
}

async fn play(queue: &Queue, conn: &mut PgConnection, steps: Vec<Step>) {
    let clear = "truncate queue.job, queue.history, queue.attempt, queue.worker, queue.cancel_request";
    sqlx::raw_sql(clear).execute(&mut *conn).await.unwrap();
    let mut case = Case {
        queue,
        conn,
        queue_id: queue.names().queue("model").await.unwrap(),
        kind_id: queue.names().kind("model.job").await.unwrap(),
        workers: Vec::new(),
        leases: Vec::new(),
        ids: Vec::new(),
        world: World::default(),
    };
    for place in 0..3 {
        let worker = case.register(place).await;
        case.workers.push(worker);
    }
    for step in steps {
        case.take(step).await;
        case.compare().await;
    }
}

/// A few dozen histories in ten seconds; `CODEX_K8S_CHAOS=long` plays thousands of longer ones.
#[test]
fn random_histories_leave_what_the_model_says() {
    let long = std::env::var("CODEX_K8S_CHAOS").is_ok_and(|how| how == "long");
    let (cases, steps) = if long { (1_000, 120) } else { (60, 50) };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (_database, queue, conn) = runtime.block_on(async {
        let database = TestDatabase::create().await;
        let pool = sqlx::PgPool::connect(database.url()).await.unwrap();
        crate::migrate(&pool).await.unwrap();
        let conn = PgConnection::connect(database.url()).await.unwrap();
        (database, Queue::new(pool), tokio::sync::Mutex::new(conn))
    });
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 400,
        ..Config::default()
    };
    let began = Instant::now();
    let played = std::sync::atomic::AtomicUsize::new(0);
    let result = TestRunner::new(config).run(&vec(step(), 1..steps), |steps| {
        if long || began.elapsed() < SHORT {
            played.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            runtime.block_on(async { play(&queue, &mut *conn.lock().await, steps).await });
        }
        Ok(())
    });
    println!("{played:?} histories");
    if let Err(error) = result {
        panic!("{error}");
    }
    runtime.block_on(queue.pool().close());
}
