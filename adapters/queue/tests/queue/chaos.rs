//! Workers killed, paused or with a wrong clock, connections broken and the database crashed, in the middle of
//! thousands of jobs: none lost, none left claimed, and every effect exactly once. `make chaos` does it for long.

mod census;
mod faults;
mod limits;
mod long;

use std::process::Stdio;
use std::time::Duration;

use queue::{Backoff, Job, JobError, Outcome, Policy, Queue, Registry, Worker, WorkerOptions};
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use testkit::postgres::{Installation, Server, Settings};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use crate::harness::{KIND, Stage, job, options};

const JOBS: i64 = 5_000;
/// Names the database of a worker process.
const DATABASE: &str = "QUEUE_CHAOS_DATABASE_URL";
/// Names the socket at which its attempts are counted, if they are.
const CENSUS: &str = "QUEUE_CHAOS_CENSUS";

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

/// No unique index: a double would be seen. `worker` is who wrote it, `skew_s` how far its clock was off.
const LEDGER: &str =
    "create table ledger (job_id bigint not null, worker text not null, skew_s bigint not null)";

/// What handlers get.
#[derive(Clone)]
struct Hand {
    pool: PgPool,
    worker: String,
}

/// Writes the effect and completes the job, in one transaction.
async fn effect(hand: &Hand, job: &Job<Value>) -> Result<(), JobError> {
    let failed = |error: sqlx::Error| JobError::retry(error.to_string());
    #[allow(
        clippy::disallowed_methods,
        reason = "whether the clock is off is the question"
    )]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let mut tx = hand.pool.begin().await.map_err(failed)?;
    sqlx::query(
        "insert into ledger (job_id, worker, skew_s)
        values ($1, $2, $3 - extract(epoch from clock_timestamp())::bigint)",
    )
    .bind(job.id)
    .bind(&hand.worker)
    .bind(now.unwrap_or_default().as_secs() as i64)
    .execute(&mut *tx)
    .await
    .map_err(failed)?;
    job.complete_in(&mut tx)
        .await
        .map_err(|error| JobError::retry(error.to_string()))?;
    if job.args == json!("lingers") {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    tx.commit().await.map_err(failed)
}

/// What became of the jobs.
#[derive(Debug, PartialEq, Eq)]
struct Tally {
    completed: i64,
    lost: i64,
    doubled_effects: i64,
    /// A worker's effect and end were accepted although another one had the job.
    stale_accepted: i64,
}

impl Tally {
    async fn of(stage: &Stage, jobs: i64) -> Self {
        let ended = stage
            .number(
                "select count(distinct job_id) from ledger join queue.history on id = job_id and state = 0",
            )
            .await;
        Self {
            completed: stage.number("select count(*) from queue.history where state = 0").await,
            lost: jobs - ended,
            doubled_effects: stage
                .number("select count(*) - count(distinct job_id) from ledger")
                .await,
            stale_accepted: stage
                .number(
                    "select count(*) from ledger join queue.history as job on job.id = job_id
                    join queue.worker as worker on worker.id = job.worker_id where worker.name <> ledger.worker",
                )
                .await,
        }
    }

    fn perfect(jobs: i64) -> Self {
        Self {
            completed: jobs,
            lost: 0,
            doubled_effects: 0,
            stale_accepted: 0,
        }
    }
}

fn policy() -> Policy {
    Policy {
        backoff: Backoff::exponential(Duration::from_millis(20), Duration::from_millis(500)),
        timeout: None,
        ..Policy::default()
    }
}

fn registry() -> Registry<Hand> {
    Registry::new().add(KIND, policy(), |hand: Hand, job: Job<Value>| async move {
        if job.args == json!("slow") {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        effect(&hand, &job).await?;
        Ok::<_, JobError>(Outcome::Done)
    })
}

fn hand(pool: &PgPool, worker: &str) -> Hand {
    Hand {
        pool: pool.clone(),
        worker: worker.into(),
    }
}

fn short_lease(name: &str) -> WorkerOptions {
    WorkerOptions {
        lease: Duration::from_secs(2),
        ..options(name, 12)
    }
}

async fn enqueue_all(stage: &Stage, jobs: i64) {
    stage.execute(LEDGER).await;
    for thousand in 0..jobs / 1_000 {
        // A failed attempt, where the database was away, must not end a job.
        let jobs = (0..1_000).map(|n| job(json!(thousand * 1_000 + n)).max_attempts(1_000));
        stage.enqueue_many(jobs.collect()).await;
    }
}

async fn assert_exactly_once(stage: &Stage, jobs: i64) {
    stage.assert_empty().await;
    assert_eq!(Tally::of(stage, jobs).await, Tally::perfect(jobs));
    assert_eq!(stage.number("select count(*) from queue.history").await, jobs);
    assert_eq!(
        stage.number("select count(distinct id) from queue.history").await,
        jobs
    );
}

/// For handlers. A worker that is paused between an effect and its commit holds the job's row: without the timeout, for
/// as long as the pause lasts.
async fn worker_pool(server: PgConnectOptions) -> Result<PgPool, sqlx::Error> {
    PgPoolOptions::new()
        .max_connections(12)
        .connect_with(server.options([("idle_in_transaction_session_timeout", "1s")]))
        .await
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
    // Where the database is away just now it can't register, and is started again, as by any supervisor.
    runtime.block_on(async { while serve(&url).await.is_err() {} });
}

async fn serve(url: &str) -> Result<(), queue::Error> {
    let pool = worker_pool(url.parse()?).await?;
    // No two of them have one name.
    let worker = format!("process {} {}", std::process::id(), rand::random::<u32>());
    let options = short_lease(&worker);
    let registry = std::env::var_os(CENSUS).map_or_else(registry, |socket| limits::registry(socket.into()));
    let hand = hand(&pool, &worker);
    let worker = Worker::new(Queue::new(pool), registry, hand, options);
    worker.run(CancellationToken::new()).await
}

fn spawn_worker(url: &str) -> Child {
    worker_command(url).spawn().unwrap()
}

fn worker_command(url: &str) -> Command {
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
    command
}

async fn signal(worker: &Child, signal: &str) {
    let pid = worker.id().unwrap().to_string();
    let sent = Command::new("kill").args([signal, &pid]).status().await.unwrap();
    assert!(sent.success());
}

async fn until_done(stage: &Stage, count: i64) {
    let start = std::time::Instant::now();
    while stage.number("select count(*) from ledger").await < count {
        assert!(
            start.elapsed() < Duration::from_mins(2),
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
    enqueue_all(&stage, JOBS).await;
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
    assert_exactly_once(&stage, JOBS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crashed_database_loses_no_job_and_doubles_no_effect() {
    let (mut server, url) = own_server().await;
    let stage = Stage::on(&url).await;
    enqueue_all(&stage, JOBS).await;
    let workers: Vec<_> = ["a", "b"]
        .map(|name| stage.start(registry(), hand(&stage.pool, name), short_lease(name)))
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
    assert_exactly_once(&stage, JOBS).await;
    stage.pool.close().await;
}
