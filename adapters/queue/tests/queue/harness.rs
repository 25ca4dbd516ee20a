//! What every test starts from: a database with the queue's schema, workers that can be started and stopped,
//! and waits that look at the database until what they wait for is there.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use queue::{Action, By, Error, Job, JobRow, NewJob, Queue, Registry, State, Wake, Worker, WorkerOptions};
use serde_json::Value;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use testkit::postgres::TestDatabase;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::pooler::{self, Pooler};

/// The queue that tests use unless they need several.
pub(crate) const QUEUE: &str = "test";
/// The kind that tests use unless they need several.
pub(crate) const KIND: &str = "test.job";
/// Longer than anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A database with a queue in it.
pub(crate) struct Stage {
    pub(crate) queue: Queue,
    /// To the server itself, for looking on; the queue's own pool may go through a pooler.
    pub(crate) pool: PgPool,
    pub(crate) url: String,
    _pooler: Option<Pooler>,
    _database: Option<TestDatabase>,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with_wake(Wake::Notify).await
    }

    pub(crate) async fn with_wake(wake: Wake) -> Self {
        let database = TestDatabase::create().await;
        let url = database.url().to_owned();
        Self::build(url, wake, 12, Some(database)).await
    }

    /// On a database that the test has made itself.
    pub(crate) async fn on(url: &str) -> Self {
        Self::build(url.to_owned(), Wake::Notify, 24, None).await
    }

    /// With a pooler in transaction mode in between; `None` where there is none on this machine.
    pub(crate) async fn behind_pooler() -> Option<Self> {
        let database = TestDatabase::create().await;
        let url = database.url().to_owned();
        let pooler = Pooler::start(&url).await?;
        Some(Self::through(pooler, url, 12, Some(database)).await)
    }

    async fn build(url: String, wake: Wake, connections: u32, database: Option<TestDatabase>) -> Self {
        if pooler::is_wanted()
            && let Some(pooler) = Pooler::start(&url).await
        {
            return Self::through(pooler, url, connections, database).await;
        }
        let pool = pool(&url, connections).await;
        queue::migrate(&pool).await.unwrap();
        Self {
            queue: Queue::with_wake(pool.clone(), wake),
            pool,
            url,
            _pooler: None,
            _database: database,
        }
    }

    async fn through(pooler: Pooler, url: String, connections: u32, database: Option<TestDatabase>) -> Self {
        let clients = pooler.pool(connections).await;
        queue::migrate(&clients).await.unwrap();
        Self {
            queue: Queue::with_wake(clients, Wake::Poll),
            pool: pool(&url, connections).await,
            url,
            _pooler: Some(pooler),
            _database: database,
        }
    }

    pub(crate) async fn enqueue(&self, job: NewJob) -> i64 {
        let mut conn = self.queue.pool().acquire().await.unwrap();
        self.queue.enqueue(&mut conn, job).await.unwrap().id
    }

    pub(crate) async fn enqueue_many(&self, jobs: Vec<NewJob>) -> Vec<i64> {
        let mut conn = self.queue.pool().acquire().await.unwrap();
        let answers = self.queue.enqueue_many(&mut conn, jobs).await.unwrap();
        answers.into_iter().map(|answer| answer.id).collect()
    }

    pub(crate) async fn cancel(&self, id: i64) -> Action {
        let mut conn = self.queue.pool().acquire().await.unwrap();
        let by = By::new("ann").because("nobody wants it");
        self.queue.cancel(&mut conn, id, &by).await.unwrap()
    }

    pub(crate) async fn retry(&self, id: i64) -> Result<Action, Error> {
        let mut conn = self.queue.pool().acquire().await.unwrap();
        self.queue.retry(&mut conn, id, &By::new("ann")).await
    }

    /// Starts a worker in this process.
    pub(crate) fn start<C>(&self, registry: Registry<C>, context: C, options: WorkerOptions) -> StartedWorker
    where
        C: Clone + Send + Sync + 'static,
    {
        let shutdown = CancellationToken::new();
        let worker = Worker::new(self.queue.clone(), registry, context, options);
        let task = tokio::spawn(worker.run(shutdown.clone()));
        StartedWorker { shutdown, task }
    }

    /// The job as it stands.
    pub(crate) async fn job(&self, id: i64) -> JobRow {
        self.queue.get(id).await.unwrap().expect("there is such a job").0
    }

    /// The errors of the job's failed attempts, oldest first.
    pub(crate) async fn errors(&self, id: i64) -> Vec<(i32, String)> {
        let (_, attempts) = self.queue.get(id).await.unwrap().expect("there is such a job");
        attempts
            .into_iter()
            .map(|attempt| (attempt.attempt, attempt.error))
            .collect()
    }

    /// Waits until the job stands so.
    pub(crate) async fn reaches(&self, id: i64, state: State) -> JobRow {
        let start = Instant::now();
        loop {
            let job = self.job(id).await;
            if job.state() == state {
                return job;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "job {id} should be {state:?} by now, and is {job:?}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until the statement answers true.
    pub(crate) async fn until(&self, sql: &'static str) {
        let start = Instant::now();
        while !sqlx::query_scalar::<_, bool>(sql)
            .fetch_one(&self.pool)
            .await
            .unwrap()
        {
            assert!(start.elapsed() < PATIENCE, "this should be so by now: {sql}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// A number from the database.
    pub(crate) async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }

    pub(crate) async fn execute(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&self.pool).await.unwrap();
    }

    /// Waits until no unfinished job is left.
    pub(crate) async fn until_empty(&self) {
        self.until("select not exists (select from queue.job)").await;
    }

    /// No job may be left over.
    pub(crate) async fn assert_empty(&self) {
        assert_eq!(
            self.number("select count(*) from queue.job").await,
            0,
            "jobs are left over"
        );
    }

    /// The number that this worker was registered under.
    pub(crate) async fn worker_id(&self, name: &str) -> i32 {
        let start = Instant::now();
        loop {
            let id = sqlx::query_scalar("select id from queue.worker where name = $1")
                .bind(name)
                .fetch_optional(&self.pool)
                .await
                .unwrap();
            if let Some(id) = id {
                return id;
            }
            assert!(start.elapsed() < PATIENCE, "worker {name} should have registered");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A pool that doesn't give up early on a busy machine.
pub(crate) async fn pool(url: &str, connections: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        .connect(url)
        .await
        .unwrap()
}

/// A worker that runs beside the test.
pub(crate) struct StartedWorker {
    pub(crate) shutdown: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

impl StartedWorker {
    /// Drains it.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.ended().await;
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(self) {
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .expect("the worker should have drained by now")
            .unwrap()
            .unwrap();
    }
}

/// Who changes things in tests, and why.
pub(crate) fn ann() -> By {
    By::new("ann").because("it was wrong")
}

/// A job of [`KIND`] in [`QUEUE`].
pub(crate) fn job(args: Value) -> NewJob {
    NewJob::new(QUEUE, KIND, args)
}

/// A worker of [`QUEUE`] with so many jobs at once.
pub(crate) fn options(name: &str, concurrency: usize) -> WorkerOptions {
    WorkerOptions {
        name: name.into(),
        queues: vec![(QUEUE.into(), concurrency)],
        ..WorkerOptions::default()
    }
}

/// One attempt, as a handler saw it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub(crate) id: i64,
    pub(crate) attempt: i32,
    pub(crate) args: Value,
}

/// The context of test handlers: what they saw, and a gate that the test opens.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    seen: Arc<Mutex<Vec<Seen>>>,
    gate: Arc<Semaphore>,
    pub(crate) pool: PgPool,
}

impl Probe {
    pub(crate) fn new(stage: &Stage) -> Self {
        Self {
            seen: Arc::default(),
            gate: Arc::new(Semaphore::new(0)),
            pool: stage.queue.pool().clone(),
        }
    }

    /// Notes the attempt.
    pub(crate) fn see(&self, job: &Job<Value>) {
        self.note(job, job.args.clone());
    }

    /// Notes something about the attempt instead of its arguments.
    pub(crate) fn note(&self, job: &Job<Value>, args: Value) {
        self.seen.lock().unwrap().push(Seen {
            id: job.id,
            attempt: job.attempt,
            args,
        });
    }

    /// All attempts so far, in their order.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until so many attempts have begun.
    pub(crate) async fn until_seen(&self, count: usize) {
        let start = Instant::now();
        while self.seen().len() < count {
            assert!(
                start.elapsed() < PATIENCE,
                "{count} attempts should have begun by now: {:?}",
                self.seen()
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits at the gate.
    pub(crate) async fn pass(&self) {
        self.gate.acquire().await.unwrap().forget();
    }

    /// Lets so many attempts through the gate.
    pub(crate) fn open(&self, count: usize) {
        self.gate.add_permits(count);
    }
}
