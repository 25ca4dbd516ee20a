//! Wakes: soon after an enqueue, seldom enough under a flood, and not at all where they can't be had.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use queue::{JobError, Outcome, Policy, Queue, Registry, State, Wake, WorkerOptions};
use serde_json::json;
use sqlx::postgres::PgListener;
use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::harness::{KIND, QUEUE, Stage, job, options};
use crate::pooler;

type Starts = mpsc::UnboundedSender<Instant>;

fn reporting() -> Registry<Starts> {
    Registry::new().add(
        KIND,
        Policy::default(),
        |starts: Starts, _: queue::Job<i32>| async move {
            starts.send(Instant::now()).unwrap();
            Ok::<_, JobError>(Outcome::Done)
        },
    )
}

/// A worker that looks at an idle queue only every half minute.
fn sleepy() -> WorkerOptions {
    WorkerOptions {
        poll_interval: Duration::from_secs(30),
        ..options("w", 4)
    }
}

/// Enqueues a job and says how long it took to start.
async fn latency(stage: &Stage, started: &mut mpsc::UnboundedReceiver<Instant>) -> Duration {
    let before = Instant::now();
    stage.enqueue(job(json!(0))).await;
    let start = tokio::time::timeout(Duration::from_secs(20), started.recv()).await;
    start.expect("nothing woke the worker").unwrap() - before
}

/// Lets the worker's looks at its empty queue become seldom: only a wake can be quick afterwards.
async fn fall_asleep() {
    tokio::time::sleep(Duration::from_millis(600)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_worker_starts_a_job_within_fifty_milliseconds() {
    if pooler::skips("it is about NOTIFY") {
        return;
    }
    let stage = Stage::new().await;
    let (starts, mut started) = mpsc::unbounded_channel();
    let worker = stage.start(reporting(), starts, sleepy());
    latency(&stage, &mut started).await;
    let mut latencies = Vec::new();
    for _ in 0..7 {
        fall_asleep().await;
        latencies.push(latency(&stage, &mut started).await);
    }
    latencies.sort_unstable();
    assert!(latencies[3] < Duration::from_millis(50), "{latencies:?}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_due_job_wakes_the_worker() {
    if pooler::skips("it is about NOTIFY") {
        return;
    }
    let stage = Stage::new().await;
    let (starts, mut started) = mpsc::unbounded_channel();
    let worker = stage.start(reporting(), starts, sleepy());
    latency(&stage, &mut started).await;
    fall_asleep().await;
    let before = Instant::now();
    stage.enqueue(job(json!(0)).delay(Duration::from_secs(1))).await;
    let start = tokio::time::timeout(Duration::from_secs(10), started.recv())
        .await
        .expect("nothing woke the worker")
        .unwrap();
    assert!(start - before < Duration::from_secs(3));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_inserts_notifies_at_most_once_in_ten_milliseconds() {
    if pooler::skips("it is about NOTIFY") {
        return;
    }
    let stage = Stage::new().await;
    stage.enqueue(job(json!(0))).await;
    let mut listener = PgListener::connect(&stage.url).await.unwrap();
    listener.listen("codex_k8s_queue").await.unwrap();
    let begin = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let queue = stage.queue.clone();
        tasks.spawn(async move {
            let mut conn = queue.pool().acquire().await.unwrap();
            let mut sent = 0_u64;
            while begin.elapsed() < Duration::from_millis(1_500) {
                queue.enqueue(&mut conn, job(json!(0))).await.unwrap();
                sent += 1;
            }
            sent
        });
    }
    let sent: u64 = tasks.join_all().await.into_iter().sum();
    let windows = begin.elapsed().as_millis() as u64 / 10 + 2;
    // A last one, so that all that came before has arrived.
    sqlx::query("select pg_notify('codex_k8s_queue', 'last')")
        .execute(&stage.pool)
        .await
        .unwrap();
    let mut heard = 0;
    while listener.recv().await.unwrap().payload() != "last" {
        heard += 1;
    }
    assert!(sent > windows, "no flood: {sent} jobs");
    assert!(heard <= windows, "{heard} wakes in {windows} windows of 10 ms");
    assert!(heard > 1, "{heard} wakes for {sent} jobs");
}

#[tokio::test]
async fn a_poll_only_queue_works_and_never_notifies() {
    let stage = Stage::with_wake(Wake::Poll).await;
    let mut listener = PgListener::connect(&stage.url).await.unwrap();
    listener.listen("codex_k8s_queue").await.unwrap();
    let registry = || {
        Registry::new().add(KIND, Policy::default(), |(), job: queue::Job<i32>| async move {
            match (job.args, job.attempt) {
                (1, 1) => Err(JobError::Retry {
                    error: "once".into(),
                    after: Some(Duration::ZERO),
                }),
                (2, _) => {
                    job.cancelled().cancelled().await;
                    Ok(Outcome::Cancel("told so".into()))
                }
                _ => Ok(Outcome::Done),
            }
        })
    };
    let worker = stage.start(registry(), (), options("w", 4));
    let ids = stage
        .enqueue_many(vec![
            job(json!(0)),
            job(json!(1)),
            job(json!(0)).delay(Duration::from_millis(50)),
        ])
        .await;
    let keyed = stage
        .enqueue(job(json!(0)).unique("key", queue::OnConflict::Replace))
        .await;
    for id in ids.into_iter().chain([keyed]) {
        stage.reaches(id, State::Completed).await;
    }
    let id = stage.enqueue(job(json!(2))).await;
    stage.reaches(id, State::Running).await;
    stage.cancel(id).await;
    stage.reaches(id, State::Cancelled).await;
    stage.retry(id).await.unwrap();
    stage.reaches(id, State::Running).await;
    stage.cancel(id).await;
    stage.reaches(id, State::Cancelled).await;
    worker.stop().await;
    sqlx::query("select pg_notify('codex_k8s_queue', 'last')")
        .execute(&stage.pool)
        .await
        .unwrap();
    assert_eq!(listener.recv().await.unwrap().payload(), "last");
    assert_eq!(
        stage
            .number("select count(*) from pg_stat_activity where query ilike 'listen%' and datname = current_database()")
            .await,
        1,
        "its worker listens"
    );
    stage.assert_empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_listener_comes_back() {
    if pooler::skips("it is about NOTIFY") {
        return;
    }
    let stage = Stage::new().await;
    let (starts, mut started) = mpsc::unbounded_channel();
    let worker = stage.start(reporting(), starts, sleepy());
    let listening = "select exists (select from pg_stat_activity
        where query ilike 'listen %codex_k8s_queue%' and datname = current_database())";
    stage.until(listening).await;
    let killed = stage
        .number(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity
            where query ilike 'listen %codex_k8s_queue%' and datname = current_database()
              and pid <> pg_backend_pid()",
        )
        .await;
    assert_eq!(killed, 1);
    let lost = Instant::now();
    // The look that a new listener calls for finds what came while there was none.
    latency(&stage, &mut started).await;
    assert!(lost.elapsed() < Duration::from_secs(5));
    stage.until(listening).await;
    fall_asleep().await;
    let wake = latency(&stage, &mut started).await;
    assert!(wake < Duration::from_millis(500), "{wake:?}");
    worker.stop().await;
    assert_eq!(
        stage
            .number("select count(*) from queue.history where queue_id = (select id from queue.queue)")
            .await,
        2,
        "of {QUEUE}"
    );
}

#[tokio::test]
async fn what_nobody_was_told_of_is_found_by_the_poll_beneath() {
    let stage = Stage::new().await;
    let (starts, mut started) = mpsc::unbounded_channel();
    let worker = stage.start(reporting(), starts, options("w", 4));
    latency(&stage, &mut started).await;
    fall_asleep().await;
    let mute = Queue::with_wake(stage.queue.pool().clone(), Wake::Poll);
    let mut conn = stage.queue.pool().acquire().await.unwrap();
    mute.enqueue(&mut conn, job(json!(0))).await.unwrap();
    let start = tokio::time::timeout(Duration::from_secs(5), started.recv()).await;
    assert!(start.is_ok(), "nothing but a wake finds jobs");
    worker.stop().await;
}

/// Keeps the values of the field `wake`.
#[derive(Default, Clone)]
struct Sayings(Arc<Mutex<Vec<String>>>);

impl Visit for Sayings {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "wake" {
            self.0.lock().unwrap().push(value.to_owned());
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl Subscriber for Sayings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn a_worker_says_at_its_start_how_it_is_woken() {
    for (wake, expected) in [(Wake::Notify, "notify"), (Wake::Poll, "poll only")] {
        if wake == Wake::Notify && pooler::skips("it is about NOTIFY") {
            continue;
        }
        let stage = Stage::with_wake(wake).await;
        let sayings = Sayings::default();
        // Of two, `tracing` asks each what it wants to hear; were there one, the thread that comes by first, which may
        // be another test's and want nothing.
        let _other = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
        let said = tracing::subscriber::set_default(sayings.clone());
        let worker = stage.start(reporting(), mpsc::unbounded_channel().0, options("w", 1));
        stage.worker_id("w").await;
        worker.stop().await;
        drop(said);
        let sayings = sayings.0.lock().unwrap();
        assert!(
            sayings.len() == 1 && sayings[0].starts_with(expected),
            "{sayings:?}"
        );
    }
}
