//! Random histories of a queue, step by step against a model of it: enqueue with and without tenants, keys and
//! unique keys, claim, every end of an attempt, ends that come too late, cancel, retry, pauses of the queue, a kind,
//! a tenant, deaths of workers, the passing of time. After each step the database must hold exactly what the model
//! says: every job in one place, with its epoch and attempt; a stale lease never changes anything; a unique key has at
//! most one unfinished job; nothing is lost.

mod case;
mod claim;
mod compare;
mod end;
mod step;
mod world;

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::test_runner::{Config, TestRunner};
use sqlx::{Connection, PgConnection};
use testkit::postgres::TestDatabase;

use self::case::{Case, KINDS, QUEUE};
use self::step::{Step, step};
use self::world::World;
use crate::Queue;

/// What the short run may take.
const SHORT: Duration = Duration::from_secs(10);

async fn play(queue: &Queue, conn: &mut PgConnection, steps: Vec<Step>) {
    let queue_id = queue.names().queue(QUEUE).await.unwrap();
    let mut kind_ids = [0; 2];
    for (id, kind) in kind_ids.iter_mut().zip(KINDS) {
        *id = queue.names().kind(kind).await.unwrap();
    }
    let clear = "truncate queue.job, queue.history, queue.attempt, queue.worker, queue.cancel_request,
            queue.paused_tenant;
        update queue.queue set paused_at = null, laned = true;
        update queue.kind set paused_at = null";
    sqlx::raw_sql(clear).execute(&mut *conn).await.unwrap();
    let mut case = Case {
        queue,
        conn,
        queue_id,
        kind_ids,
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
