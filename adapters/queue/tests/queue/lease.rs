//! Leases: a stale worker is refused, a dead one's jobs are rescued, a slow one isn't robbed of them twice.
//!
//! A worker with a long lease renews it seldom; cut short in its row, it has run out for the others.

use std::time::{Duration, Instant};

use queue::{JobError, OnConflict, Outcome, Policy, Registry, State, WorkerOptions};
use serde_json::{Value, json};

use crate::harness::{KIND, Probe, Stage, StartedWorker, job, options};
use crate::meter::Meter;
use crate::transaction::{LEDGER, effect};

fn no_limit() -> Policy {
    Policy {
        timeout: None,
        ..Policy::default()
    }
}

/// Renews its lease every `lease / 10`.
fn with_lease(name: &str, concurrency: usize, lease: Duration) -> WorkerOptions {
    WorkerOptions {
        lease,
        ..options(name, concurrency)
    }
}

/// Cuts the lease short under a worker that renews it as seldom as before.
async fn cut_lease(stage: &Stage, name: &str) {
    let cut = sqlx::query("update queue.worker set lease_ms = 1000 where name = $1").bind(name);
    let done = cut.execute(&stage.pool).await.unwrap();
    assert_eq!(done.rows_affected(), 1);
}

fn gated() -> Registry<Probe> {
    Registry::new().add(KIND, no_limit(), |probe: Probe, job| async move {
        probe.see(&job);
        probe.pass().await;
        Ok::<_, JobError>(Outcome::Done)
    })
}

/// A worker that hasn't beaten since its start and has a job, and one that takes the job from it.
async fn robbed(stage: &Stage, registry: impl Fn() -> Registry<Probe>) -> (i64, [(StartedWorker, Probe); 2]) {
    let (slow, quick) = (Probe::new(stage), Probe::new(stage));
    let a = stage.start(
        registry(),
        slow.clone(),
        with_lease("slow", 1, Duration::from_hours(1)),
    );
    let id = stage.enqueue(job(json!("contended"))).await;
    slow.until_seen(1).await;
    cut_lease(stage, "slow").await;
    let b = stage.start(
        registry(),
        quick.clone(),
        with_lease("quick", 1, Duration::from_secs(1)),
    );
    quick.until_seen(1).await;
    (id, [(a, slow), (b, quick)])
}

#[tokio::test]
async fn a_stale_workers_acknowledgement_is_refused() {
    let meter = Meter::default();
    let _meter = metrics::set_default_local_recorder(&meter);
    let stage = Stage::new().await;
    let (id, [(a, slow), (b, quick)]) = robbed(&stage, gated).await;
    quick.open(1);
    let row = stage.reaches(id, State::Completed).await;
    assert_eq!(row.worker.as_deref(), Some("quick"));
    assert_eq!(meter.count("codex_k8s_queue_stale_acks_total"), 0);
    assert_eq!(meter.count("codex_k8s_queue_rescued_total"), 1);

    slow.open(1);
    a.stop().await;
    assert_eq!(meter.count("codex_k8s_queue_stale_acks_total"), 1);
    b.stop().await;
    assert_eq!(stage.number("select count(*) from queue.history").await, 1);
    assert_eq!(stage.job(id).await.worker.as_deref(), Some("quick"));
    stage.assert_empty().await;
}

/// The stale one ends first, while the job runs with its new lease: the job must not end with it.
#[tokio::test]
async fn a_stale_workers_end_does_not_end_the_new_attempt() {
    let meter = Meter::default();
    let _meter = metrics::set_default_local_recorder(&meter);
    let stage = Stage::new().await;
    let (id, [(a, slow), (b, quick)]) = robbed(&stage, gated).await;
    slow.open(1);
    a.stop().await;
    assert_eq!(meter.count("codex_k8s_queue_stale_acks_total"), 1);
    let row = stage.job(id).await;
    assert_eq!(
        (row.state(), row.worker.as_deref()),
        (State::Running, Some("quick"))
    );
    quick.open(1);
    stage.reaches(id, State::Completed).await;
    b.stop().await;
    assert_eq!(stage.number("select count(*) from queue.history").await, 1);
}

#[tokio::test]
async fn a_rescue_burns_no_attempt() {
    let stage = Stage::new().await;
    let (id, [(a, slow), (b, quick)]) = robbed(&stage, gated).await;
    assert_eq!(
        quick.seen()[0].attempt,
        1,
        "the worker's death is not the job's fault"
    );
    quick.open(1);
    stage.reaches(id, State::Completed).await;
    assert_eq!(stage.job(id).await.attempt, 1);
    assert!(stage.errors(id).await.is_empty());
    slow.open(1);
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_stale_workers_own_completion_fails_and_its_effect_is_rolled_back() {
    let stage = Stage::new().await;
    stage.execute(LEDGER).await;
    let registry = || {
        Registry::new().add(KIND, no_limit(), |probe: Probe, job| async move {
            probe.see(&job);
            probe.pass().await;
            let done = effect(&probe.pool, &job).await;
            probe.note(&job, json!(done.is_ok()));
            done.map(|()| Outcome::Done)
        })
    };
    let (id, [(a, slow), (b, quick)]) = robbed(&stage, registry).await;
    slow.open(1);
    slow.until_seen(2).await;
    assert_eq!(
        slow.seen()[1].args,
        json!(false),
        "the lost lease was good enough"
    );
    assert_eq!(stage.number("select count(*) from ledger").await, 0);
    quick.open(1);
    stage.reaches(id, State::Completed).await;
    a.stop().await;
    b.stop().await;
    assert_eq!(quick.seen()[1].args, json!(true));
    assert_eq!(stage.number("select count(*) from ledger").await, 1);
    stage.assert_empty().await;
}

#[tokio::test]
async fn a_job_whose_workers_keep_dying_is_dead_with_the_reason() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    let a = stage.start(
        gated(),
        probe.clone(),
        with_lease("slow", 2, Duration::from_hours(1)),
    );
    let poison = stage.enqueue(job(json!("poison"))).await;
    let unlucky = stage.enqueue(job(json!("unlucky"))).await;
    probe.until_seen(2).await;
    sqlx::query("update queue.job set rescues = case id when $1 then 9 else 8 end")
        .bind(poison)
        .execute(&stage.pool)
        .await
        .unwrap();
    cut_lease(&stage, "slow").await;
    let b = stage.start(
        gated(),
        probe.clone(),
        with_lease("quick", 2, Duration::from_secs(1)),
    );
    let row = stage.reaches(poison, State::Dead).await;
    assert_eq!(
        row.last_error.as_deref(),
        Some("poison: its workers died 10 times while they had it")
    );
    assert_eq!(row.args, json!("poison"));
    probe.open(10);
    let row = stage.reaches(unlucky, State::Completed).await;
    assert_eq!(row.attempt, 2, "a suspected job's attempt is burned");
    a.stop().await;
    b.stop().await;
    stage.assert_empty().await;
}

/// It lives, was only slow to renew its lease, and finds out at its next heartbeat.
#[tokio::test]
async fn a_worker_that_was_given_up_drops_what_it_ran_and_carries_on() {
    let stage = Stage::new().await;
    let (slow, quick) = (Probe::new(&stage), Probe::new(&stage));
    // Beats every 7 s: long enough to be given up in between, and soon enough to find out.
    let a = stage.start(
        gated(),
        slow.clone(),
        with_lease("slow", 2, Duration::from_secs(70)),
    );
    // Both of its slots are taken, so that it can't take back what it loses.
    let lost = stage.enqueue(job(json!("lost"))).await;
    let lost_too = stage.enqueue(job(json!("lost too"))).await;
    slow.until_seen(2).await;
    let a_id = stage.worker_id("slow").await;
    cut_lease(&stage, "slow").await;
    let b = stage.start(
        gated(),
        quick.clone(),
        with_lease("quick", 2, Duration::from_secs(1)),
    );
    quick.open(2);
    for id in [lost, lost_too] {
        let row = stage.reaches(id, State::Completed).await;
        assert_eq!(row.worker.as_deref(), Some("quick"));
    }
    b.stop().await;
    // The worker that was given up claims another one before it finds out. It must not be dropped and then
    // stand with a living worker for ever.
    let young = stage.enqueue(job(json!("young"))).await;
    slow.open(1);
    slow.until_seen(3).await;
    assert_eq!(
        stage
            .number("select count(*) from queue.worker where name = 'slow' and stopped_at is not null")
            .await,
        1,
        "it found out too early for this test"
    );
    stage
        .until("select stopped_at is null from queue.worker where name = 'slow'")
        .await;
    slow.until_seen(4).await;
    slow.open(2);
    let row = stage.reaches(young, State::Completed).await;
    assert_eq!((row.worker.as_deref(), row.attempt), (Some("slow"), 1));
    let after = stage.enqueue(job(json!("after"))).await;
    let row = stage.reaches(after, State::Completed).await;
    assert_eq!(row.worker.as_deref(), Some("slow"));
    assert_eq!(
        stage.worker_id("slow").await,
        a_id,
        "it carries on under its number"
    );
    a.stop().await;
    assert_eq!(stage.number("select count(*) from queue.history").await, 4);
    stage.assert_empty().await;
}

/// The server carried a claim out, and its answer never arrived: nobody runs these jobs.
#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_found_again() {
    if crate::pooler::skips("the fetcher has no server connection of its own that could be cut") {
        return;
    }
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    let worker = stage.start(gated(), probe.clone(), options("w", 3));
    let running = stage.enqueue(job(json!("running"))).await;
    probe.until_seen(1).await;
    let orphan = stage
        .enqueue(job(json!("orphan")).delay(Duration::from_mins(1)))
        .await;
    sqlx::query(
        "update queue.job set seq = nextval('queue.job_seq'), run_at = null, claimed_at = clock_timestamp(),
            claimed_by = $2, epoch = epoch + 1, attempt = attempt + 1 where id = $1",
    )
    .bind(orphan)
    .bind(stage.worker_id("w").await)
    .execute(&stage.pool)
    .await
    .unwrap();
    stage
        .execute(
            "select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and application_name = 'codex-k8s queue fetcher'",
        )
        .await;
    probe.until_seen(2).await;
    let found = probe.seen()[1].clone();
    assert_eq!(
        (found.id, found.attempt),
        (orphan, 1),
        "found again, its attempt unburned"
    );
    probe.open(2);
    stage.until_empty().await;
    worker.stop().await;
    assert_eq!(probe.seen().len(), 2, "the running one was left alone");
    assert_eq!(stage.job(running).await.attempt, 1);
    assert_eq!(stage.number("select count(*) from queue.history").await, 2);
}

/// A worker that lives is never given up, however long its jobs run and however busy it is.
#[tokio::test]
async fn a_long_job_keeps_its_lease() {
    let meter = Meter::default();
    let _meter = metrics::set_default_local_recorder(&meter);
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    let short = || Duration::from_secs(1);
    let a = stage.start(gated(), probe.clone(), with_lease("a", 1, short()));
    let b = stage.start(gated(), probe.clone(), with_lease("b", 1, short()));
    let id = stage.enqueue(job(json!("long"))).await;
    probe.until_seen(1).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    probe.open(1);
    stage.reaches(id, State::Completed).await;
    a.stop().await;
    b.stop().await;
    assert_eq!(probe.seen().len(), 1, "it was taken from a living worker");
    assert_eq!(meter.count("codex_k8s_queue_rescued_total"), 0);
    let value: Vec<Value> = probe.seen().into_iter().map(|seen| seen.args).collect();
    assert_eq!(value, [json!("long")]);
}

#[tokio::test]
async fn handlers_that_hold_every_connection_and_never_rest_cost_no_lease() {
    let meter = Meter::default();
    let _meter = metrics::set_default_local_recorder(&meter);
    let stage = Stage::new().await;
    let registry = || {
        Registry::new().add(
            KIND,
            no_limit(),
            |probe: Probe, job: queue::Job<Value>| async move {
                probe.see(&job);
                let held = probe.pool.acquire().await;
                let begin = Instant::now();
                while begin.elapsed() < Duration::from_secs(4) {
                    tokio::task::yield_now().await;
                }
                drop(held);
                Ok::<_, JobError>(Outcome::Done)
            },
        )
    };
    let connections = usize::try_from(stage.queue.pool().options().get_max_connections()).unwrap();
    let jobs = (0..connections).map(|n| job(json!(n)));
    stage.enqueue_many(jobs.collect()).await;
    let probe = Probe::new(&stage);
    let short = || Duration::from_secs(1);
    let a = stage.start(registry(), probe.clone(), with_lease("a", connections, short()));
    let b = stage.start(registry(), probe.clone(), with_lease("b", connections, short()));
    probe.until_seen(connections).await;
    a.stop().await;
    b.stop().await;
    assert_eq!(probe.seen().len(), connections, "some ran twice");
    assert_eq!(meter.count("codex_k8s_queue_rescued_total"), 0);
    stage.assert_empty().await;
}

/// Somebody's open transaction holds a dead worker's job: its other jobs, and due ones, don't wait for that.
#[tokio::test]
async fn an_open_transaction_on_a_dead_workers_job_holds_up_no_other_rescue() {
    let stage = Stage::new().await;
    let (dead, quick) = (Probe::new(&stage), Probe::new(&stage));
    let a = stage.start(
        gated(),
        dead.clone(),
        with_lease("dead", 2, Duration::from_hours(1)),
    );
    let keyed = || job(json!("keyed")).unique("key", OnConflict::Keep);
    let held = stage.enqueue(keyed()).await;
    let free = stage.enqueue(job(json!("free"))).await;
    dead.until_seen(2).await;
    let mut stranger = stage.pool.begin().await.unwrap();
    stage.queue.enqueue(&mut stranger, keyed()).await.unwrap();

    quick.open(10);
    cut_lease(&stage, "dead").await;
    let b = stage.start(
        gated(),
        quick.clone(),
        with_lease("quick", 2, Duration::from_secs(1)),
    );
    let within = Duration::from_secs(8);
    let done = tokio::time::timeout(within, stage.reaches(free, State::Completed)).await;
    assert!(done.is_ok(), "a rescue waits for a stranger's transaction");
    let due = stage
        .enqueue(job(json!("due")).delay(Duration::from_millis(10)))
        .await;
    let done = tokio::time::timeout(within, stage.reaches(due, State::Completed)).await;
    assert!(done.is_ok(), "a due job waits for a stranger's transaction");
    assert_eq!(stage.job(held).await.worker.as_deref(), Some("dead"));

    stranger.rollback().await.unwrap();
    // The second look at a worker that was given up comes half a minute later.
    stage
        .execute("update queue.worker set stopped_at = stopped_at - interval '1 min' where name = 'dead'")
        .await;
    let row = stage.reaches(held, State::Completed).await;
    assert_eq!(row.worker.as_deref(), Some("quick"));
    stage
        .until("select bool_and(swept) from queue.worker where name = 'dead'")
        .await;
    dead.open(2);
    a.stop().await;
    b.stop().await;
    stage.assert_empty().await;
}
