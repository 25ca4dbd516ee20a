//! Workers killed and the database crashed, in the middle of thousands of jobs: none lost, none left
//! claimed, and every effect exactly once.

use std::process::Stdio;
use std::time::Duration;

use queue::{Backoff, Job, JobError, Outcome, Policy, Queue, Registry, Worker, WorkerOptions};
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::postgres::{Installation, Server, Settings};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use crate::harness::{KIND, Stage, job, options, pool};
use crate::transaction::{LEDGER, effect};

const JOBS: i64 = 5_000;
/// Names the database of a worker process.
const DATABASE: &str = "QUEUE_CHAOS_DATABASE_URL";

/// A server of the test's own, which it may crash. What was committed survives a crash of the server, as in
/// production; a power cut it need not survive.
pub(crate) async fn own_server() -> (Server, String) {
    let installation = tokio::task::spawn_blocking(|| Installation::ensure(&|line| eprintln!("{line}")))
        .await
        .unwrap()
        .unwrap();
    let mut settings = Settings::throwaway();
    settings.extra = vec![
        ("synchronous_commit".into(), "on".into()),
        ("full_page_writes".into(), "on".into()),
    ];
    let server = Server::throwaway(&installation, settings).await.unwrap();
    let url = server.url().to_owned();
    (server, url)
}

fn registry() -> Registry<PgPool> {
    let policy = Policy {
        backoff: Backoff::exponential(Duration::from_millis(20), Duration::from_millis(500)),
        timeout: None,
        ..Policy::default()
    };
    Registry::new().add(KIND, policy, |pool: PgPool, job: Job<Value>| async move {
        effect(&pool, &job).await?;
        Ok::<_, JobError>(Outcome::Done)
    })
}

fn short_lease(name: &str) -> WorkerOptions {
    WorkerOptions {
        lease: Duration::from_secs(2),
        ..options(name, 12)
    }
}

async fn enqueue_all(stage: &Stage) {
    stage.execute(LEDGER).await;
    for thousand in 0..JOBS / 1_000 {
        // A failed attempt, where the database was away, must not end a job.
        let jobs = (0..1_000).map(|n| job(json!(thousand * 1_000 + n)).max_attempts(1_000));
        stage.enqueue_many(jobs.collect()).await;
    }
}

async fn assert_exactly_once(stage: &Stage) {
    stage.assert_empty().await;
    let counts = [
        "select count(*) from ledger",
        "select count(distinct job_id) from ledger",
        "select count(*) from queue.history where state = 0",
        "select count(distinct id) from queue.history",
        "select count(distinct args) from queue.history",
    ];
    for count in counts {
        assert_eq!(stage.number(count).await, JOBS, "{count}");
    }
    assert_eq!(stage.number("select count(*) from queue.history").await, JOBS);
}

/// Not a test but the process that the test below kills.
#[test]
#[ignore = "the chaos test starts it as its worker process"]
fn worker_process() {
    let Ok(url) = std::env::var(DATABASE) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let pool = pool(&url, 12).await;
        let worker = Worker::new(Queue::new(pool.clone()), registry(), pool, short_lease("process"));
        worker.run(CancellationToken::new()).await.unwrap();
    });
}

fn spawn_worker(url: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--exact",
            "chaos::worker_process",
            "--ignored",
            "--test-threads=1",
        ])
        .env(DATABASE, url)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command.spawn().unwrap()
}

async fn until_done(stage: &Stage, count: i64) {
    let start = std::time::Instant::now();
    while stage.number("select count(*) from ledger").await < count {
        assert!(
            start.elapsed() < Duration::from_mins(1),
            "{count} jobs should be done by now: {} are, {} wait, {} are claimed",
            stage.number("select count(*) from ledger").await,
            stage.number("select count(*) from queue.job").await,
            stage
                .number("select count(*) from queue.job where claimed_by is not null")
                .await
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn killed_workers_lose_no_job_and_double_no_effect() {
    let stage = Stage::new().await;
    enqueue_all(&stage).await;
    let mut workers = vec![spawn_worker(&stage.url), spawn_worker(&stage.url)];
    for round in 1..=5 {
        until_done(&stage, round * 700).await;
        let mut victim = workers.remove(0);
        victim.kill().await.unwrap();
        workers.push(spawn_worker(&stage.url));
    }
    until_done(&stage, JOBS).await;
    stage.until_empty().await;
    for mut worker in workers {
        assert!(worker.try_wait().unwrap().is_none(), "a worker ended by itself");
        worker.kill().await.unwrap();
    }
    assert!(stage.number("select count(*) from queue.worker").await >= 5);
    assert_exactly_once(&stage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crashed_database_loses_no_job_and_doubles_no_effect() {
    let (mut server, url) = own_server().await;
    let stage = Stage::on(&url).await;
    enqueue_all(&stage).await;
    let workers: Vec<_> = ["a", "b"]
        .map(|name| stage.start(registry(), stage.pool.clone(), short_lease(name)))
        .into();
    for round in 1..=3 {
        until_done(&stage, round * 1_000).await;
        server.crash().await;
        server.restart().await.unwrap();
    }
    until_done(&stage, JOBS).await;
    stage.until_empty().await;
    for worker in workers {
        worker.stop().await;
    }
    assert_exactly_once(&stage).await;
    stage.pool.close().await;
}
