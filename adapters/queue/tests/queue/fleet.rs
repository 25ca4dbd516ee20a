//! Workers under an orchestrator: a pod that is gone, a pod that is to leave, and jobs that are suspected of
//! killing theirs.

use std::time::{Duration, Instant};

use queue::{AuditFilter, By, JobError, Outcome, Policy, Registry, State, Wake, WorkerOptions};
use serde_json::json;
use sqlx::types::chrono::{DateTime, Utc};

use crate::harness::{KIND, PATIENCE, Probe, QUEUE, Stage, ann, job, options};

fn gated() -> Registry<Probe> {
    Registry::new().add(KIND, Policy::default(), |probe: Probe, job| async move {
        probe.see(&job);
        probe.pass().await;
        Ok::<_, JobError>(Outcome::Done)
    })
}

/// A worker that only its row and its jobs know of: its process died at once.
async fn corpse(stage: &Stage, name: &str, jobs: &[i64]) -> i32 {
    let id: i32 = sqlx::query_scalar(
        "insert into queue.worker (name, queues, kinds, concurrency, lease_ms)
        values ($1, array[(select id from queue.queue where name = $2)], '{}', 1, 3600000) returning id",
    )
    .bind(name)
    .bind(QUEUE)
    .fetch_one(&stage.pool)
    .await
    .unwrap();
    hold(stage, id, jobs).await;
    id
}

async fn hold(stage: &Stage, worker: i32, jobs: &[i64]) {
    let held = sqlx::query(
        "update queue.job set claimed_by = $1, claimed_at = clock_timestamp(), epoch = epoch + 1,
            attempt = attempt + 1 where id = any($2) and claimed_by is null",
    );
    let held = held.bind(worker).bind(jobs).execute(&stage.pool).await.unwrap();
    assert_eq!(held.rows_affected(), jobs.len() as u64);
}

async fn now(stage: &Stage) -> DateTime<Utc> {
    let now = sqlx::query_scalar("select clock_timestamp()");
    now.fetch_one(&stage.pool).await.unwrap()
}

async fn rescues(stage: &Stage, id: i64) -> i16 {
    let rescues = sqlx::query_scalar("select rescues from queue.job where id = $1").bind(id);
    rescues.fetch_one(&stage.pool).await.unwrap()
}

#[tokio::test]
async fn a_gone_workers_jobs_are_free_at_once_and_nothing_is_burned() {
    let stage = Stage::new().await;
    let ids = stage.enqueue_many((0..3).map(|n| job(json!(n))).collect()).await;
    corpse(&stage, "pod-0", &ids[..2]).await;
    let before = now(&stage).await;
    let young = corpse(&stage, "pod-0", &ids[2..]).await;
    assert_eq!(stage.queue.worker_gone("pod-1", before).await.unwrap(), 0);
    assert_eq!(stage.queue.worker_gone("pod-0", before).await.unwrap(), 2);
    for id in &ids[..2] {
        let row = stage.job(*id).await;
        assert_eq!((row.state(), row.attempt), (State::Ready, 0));
        assert_eq!(
            rescues(&stage, *id).await,
            0,
            "an eviction is no ground for suspicion"
        );
    }
    let row = stage.job(ids[2]).await;
    assert_eq!(row.state(), State::Running, "the younger worker was robbed");
    assert_eq!(stage.queue.worker_gone("pod-0", before).await.unwrap(), 0);

    // A claim that was under way when its worker went is found by the second look.
    let old: i32 = sqlx::query_scalar("select min(id) from queue.worker")
        .fetch_one(&stage.pool)
        .await
        .unwrap();
    assert_ne!(old, young);
    hold(&stage, old, &ids[..1]).await;
    stage
        .execute(
            "update queue.worker set lease_ms = 100, heartbeat_at = now() - interval '1 min',
                stopped_at = stopped_at - interval '1 min', gone_at = gone_at - interval '1 min'
            where stopped_at is not null",
        )
        .await;
    let probe = Probe::new(&stage);
    probe.open(2);
    let worker = stage.start(gated(), probe.clone(), options("living", 2));
    for id in &ids[..2] {
        assert_eq!(stage.reaches(*id, State::Completed).await.attempt, 1);
    }
    assert!(stage.errors(ids[0]).await.is_empty());
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_reported_gone_from_sql_is_rescued_within_three_seconds() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    probe.open(1);
    let worker = stage.start(gated(), probe.clone(), options("living", 2));
    stage.worker_id("living").await;
    let id = stage.enqueue(job(json!(1)).delay(Duration::from_mins(1))).await;
    let dead = corpse(&stage, "pod-0", &[]).await;
    sqlx::query(
        "update queue.job set seq = nextval('queue.job_seq'), run_at = null, claimed_by = $1,
            claimed_at = clock_timestamp(), epoch = 1, attempt = 1",
    )
    .bind(dead)
    .execute(&stage.pool)
    .await
    .unwrap();
    let start = Instant::now();
    let reported = stage
        .number("select queue.worker_gone('pod-0', clock_timestamp())::bigint")
        .await;
    assert_eq!(reported, 1);
    let row = stage.reaches(id, State::Completed).await;
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "rescued after {:?}",
        start.elapsed()
    );
    assert_eq!((row.attempt, row.worker.as_deref()), (1, Some("living")));
    worker.stop().await;
}

/// The report was wrong: the worker drops what was taken from it, and works on.
#[tokio::test]
async fn a_worker_wrongly_reported_gone_carries_on() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    let worker = stage.start(gated(), probe.clone(), options("pod-0", 1));
    let id = stage.enqueue(job(json!(1))).await;
    probe.until_seen(1).await;
    let freed = stage.queue.worker_gone("pod-0", now(&stage).await).await.unwrap();
    assert_eq!(freed, 1);
    probe.until_seen(2).await;
    probe.open(2);
    let row = stage.reaches(id, State::Completed).await;
    assert_eq!((row.attempt, row.worker.as_deref()), (1, Some("pod-0")));
    worker.stop().await;
    assert_eq!(stage.number("select count(*) from queue.history").await, 1);
}

#[tokio::test]
async fn a_worker_asked_to_drain_ends_what_runs_claims_no_more_and_leaves() {
    for wake in [Wake::Notify, Wake::Poll] {
        let stage = Stage::with_wake(wake).await;
        let probe = Probe::new(&stage);
        let impatient = WorkerOptions {
            drain_grace: Duration::from_millis(100),
            ..options("pod-0", 2)
        };
        let worker = stage.start(gated(), probe.clone(), impatient);
        let ids = stage.enqueue_many((0..3).map(|n| job(json!(n))).collect()).await;
        probe.until_seen(2).await;
        assert_eq!(stage.queue.drain_worker("pod-1").await.unwrap(), 0);
        assert_eq!(stage.queue.draining("pod-0").await.unwrap(), 0);
        assert_eq!(stage.queue.drain_worker("pod-0").await.unwrap(), 1);
        assert_eq!(stage.queue.draining("pod-0").await.unwrap(), 1);
        // Long past its grace period, and past a heartbeat: it waits for its jobs all the same.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert_eq!(stage.queue.draining("pod-0").await.unwrap(), 1);
        probe.open(3);
        let start = Instant::now();
        while stage.queue.draining("pod-0").await.unwrap() > 0 {
            assert!(start.elapsed() < PATIENCE, "it should have left by now");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // The first two by the order of their enqueue; it came to no third.
        assert_eq!(probe.seen().len(), 2, "it claimed while it drained");
        assert_eq!(stage.job(ids[0]).await.state(), State::Completed);
        assert_eq!(stage.job(ids[2]).await.state(), State::Ready);
        // It has ended by itself; a restarted one of its name works as usual.
        worker.ended().await;
        let next = stage.start(gated(), probe.clone(), options("pod-0", 2));
        stage.reaches(ids[2], State::Completed).await;
        next.stop().await;
    }
}

#[tokio::test]
async fn who_drained_a_worker_is_audited_once_also_of_two_who_ask_at_once() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    let worker = stage.start(gated(), probe.clone(), options("pod-0", 1));
    stage.enqueue(job(json!(1))).await;
    probe.until_seen(1).await;
    let by = By::new("ann").because("its node is leaving");
    let ask = async |name: &str| {
        let mut conn = stage.queue.pool().acquire().await.unwrap();
        stage.queue.drain_worker_by(&mut conn, name, &by).await.unwrap()
    };
    assert_eq!(ask("pod-1").await, None);
    let (one, two) = tokio::join!(ask("pod-0"), ask("pod-0"));
    assert_eq!([one, two].iter().filter(|asked| **asked == Some(true)).count(), 1);
    assert_eq!(ask("pod-0").await, Some(false));
    let audit = stage
        .queue
        .audit(&AuditFilter::default(), None, 10)
        .await
        .unwrap();
    assert_eq!(audit.len(), 1, "{audit:?}");
    assert_eq!(
        (audit[0].action.as_str(), audit[0].subject.as_deref()),
        ("drain", Some("worker pod-0"))
    );
    assert_eq!(audit[0].reason.as_deref(), Some("its node is leaving"));
    probe.open(1);
    worker.ended().await;
    assert_eq!(ask("pod-0").await, None);
}

/// What a pod's termination does when the drain takes longer than its preStop hook may.
#[tokio::test]
async fn a_shutdown_during_a_drain_sets_the_grace_period() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    let impatient = WorkerOptions {
        drain_grace: Duration::from_millis(100),
        ..options("pod-0", 1)
    };
    let worker = stage.start(gated(), probe.clone(), impatient);
    let id = stage.enqueue(job(json!(1))).await;
    probe.until_seen(1).await;
    stage.queue.drain_worker("pod-0").await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(stage.job(id).await.state(), State::Running);
    worker.stop().await;
    let row = stage.job(id).await;
    assert_eq!((row.state(), row.attempt), (State::Ready, 0));
}

/// Lets a worker die in silence with the job, so many times.
async fn kill_with(stage: &Stage, id: i64, times: usize) {
    for _ in 0..times {
        let dead = corpse(stage, "doomed", &[id]).await;
        sqlx::query("update queue.worker set lease_ms = 1, heartbeat_at = '2026-01-01' where id = $1")
            .bind(dead)
            .execute(&stage.pool)
            .await
            .unwrap();
        let start = Instant::now();
        while sqlx::query_scalar::<_, bool>("select exists (select from queue.job where claimed_by = $1)")
            .bind(dead)
            .fetch_one(&stage.pool)
            .await
            .unwrap()
        {
            assert!(start.elapsed() < PATIENCE, "it should be rescued by now");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A worker that rescues and runs nothing of what the test is about.
fn idle() -> WorkerOptions {
    WorkerOptions {
        queues: vec![("other".into(), 1)],
        ..options("rescuer", 1)
    }
}

#[tokio::test]
async fn a_job_is_suspected_from_the_third_silent_death_and_burns_its_attempts_from_then_on() {
    let stage = Stage::new().await;
    let rescuer = stage.start(gated(), Probe::new(&stage), idle());
    let id = stage.enqueue(job(json!("poison")).max_attempts(3)).await;
    kill_with(&stage, id, 3).await;
    assert_eq!((stage.job(id).await.attempt, rescues(&stage, id).await), (0, 3));
    assert!(stage.errors(id).await.is_empty());
    kill_with(&stage, id, 2).await;
    assert_eq!((stage.job(id).await.attempt, rescues(&stage, id).await), (2, 5));

    // An eviction burns nothing, of a suspected job neither.
    corpse(&stage, "pod-0", &[id]).await;
    let freed = stage.queue.worker_gone("pod-0", now(&stage).await).await;
    assert_eq!(freed.unwrap(), 1);
    assert_eq!((stage.job(id).await.attempt, rescues(&stage, id).await), (2, 5));

    kill_with(&stage, id, 1).await;
    let row = stage.job(id).await;
    assert_eq!((row.state(), row.attempt), (State::Dead, 3));
    assert_eq!(
        row.last_error.as_deref(),
        Some("poison: its workers died 6 times while they had it, and its attempts are used up")
    );
    let error = "its worker died without a word".to_owned();
    assert_eq!(
        stage.errors(id).await,
        [(1, error.clone()), (2, error.clone()), (3, error)]
    );
    rescuer.stop().await;
}

#[tokio::test]
async fn after_ten_silent_deaths_a_job_is_dead_whatever_attempts_are_left() {
    let stage = Stage::new().await;
    let rescuer = stage.start(gated(), Probe::new(&stage), idle());
    let id = stage.enqueue(job(json!("poison")).max_attempts(100)).await;
    stage.execute("update queue.job set rescues = 8").await;
    kill_with(&stage, id, 1).await;
    assert_eq!(stage.job(id).await.state(), State::Ready);
    kill_with(&stage, id, 1).await;
    let row = stage.job(id).await;
    assert_eq!(row.state(), State::Dead);
    assert_eq!(
        row.last_error.as_deref(),
        Some("poison: its workers died 10 times while they had it")
    );
    rescuer.stop().await;
    stage.assert_empty().await;
}

/// With the lease that workers have by default.
#[tokio::test]
async fn a_worker_that_died_without_a_word_is_rescued_within_fifteen_seconds() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    probe.open(1);
    let worker = stage.start(gated(), probe.clone(), options("w", 1));
    stage.worker_id("w").await;
    let mut conn = stage.pool.acquire().await.unwrap();
    stage.queue.pause(&mut conn, QUEUE, &ann()).await.unwrap();
    let id = stage.enqueue(job(json!(1))).await;
    let dead = corpse(&stage, "dead", &[id]).await;
    let lease_ms = i32::try_from(WorkerOptions::default().lease.as_millis()).unwrap();
    sqlx::query("update queue.worker set lease_ms = $2, heartbeat_at = clock_timestamp() where id = $1")
        .bind(dead)
        .bind(lease_ms)
        .execute(&stage.pool)
        .await
        .unwrap();
    stage.queue.resume(&mut conn, QUEUE, &ann()).await.unwrap();
    let died = Instant::now();
    let row = stage.reaches(id, State::Completed).await;
    assert!(died.elapsed() < Duration::from_secs(15), "{:?}", died.elapsed());
    assert_eq!(row.worker.as_deref(), Some("w"));
    worker.stop().await;
}
