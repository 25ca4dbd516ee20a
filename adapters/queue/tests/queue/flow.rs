//! Jobs that wait for others: dependencies and batches.

use std::time::Duration;

use queue::{Action, Error, JobError, OnConflict, Outcome, Policy, Registry, State};
use serde_json::{Value, json};

use crate::harness::{KIND, Probe, Stage, StartedWorker, job, options};

/// A handler that fails for good where the arguments say so.
fn registry() -> Registry<Probe> {
    Registry::new().add(
        KIND,
        Policy::default(),
        |probe: Probe, job: queue::Job<Value>| async move {
            probe.see(&job);
            if job.args == json!("gate") {
                probe.pass().await;
            }
            if job.args == json!("cancel") {
                return Ok(Outcome::Cancel("no sense".into()));
            }
            if job.args == json!("fail") {
                return Err(JobError::fail("no"));
            }
            Ok(Outcome::Done)
        },
    )
}

fn start(stage: &Stage, probe: &Probe, name: &str, concurrency: usize) -> StartedWorker {
    stage.start(registry(), probe.clone(), options(name, concurrency))
}

/// Longer than a few rounds of maintenance.
async fn a_while() {
    tokio::time::sleep(Duration::from_millis(700)).await;
}

#[tokio::test]
async fn a_job_waits_until_all_before_it_are_completed() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    let before = [
        stage.enqueue(job(json!("gate"))).await,
        stage.enqueue(job(json!("gate"))).await,
    ];
    let waiter = stage.enqueue(job(json!("waiter")).after(before)).await;
    assert_eq!(stage.job(waiter).await.state(), State::Waiting);
    assert_eq!(stage.queue.waits_for(waiter).await.unwrap(), before);
    let counts = stage.queue.counts().await.unwrap();
    assert_eq!(
        (counts[0].waiting, counts[0].scheduled, counts[0].ready),
        (1, 0, 2)
    );
    let worker = start(&stage, &probe, "w", 4);
    probe.until_seen(2).await;
    probe.open(1);
    a_while().await;
    assert_eq!(stage.job(waiter).await.state(), State::Waiting, "one is left");
    assert_eq!(stage.queue.waits_for(waiter).await.unwrap().len(), 1);
    probe.open(1);
    stage.reaches(waiter, State::Completed).await;
    // All are over by now, and for one more there is nothing to wait for.
    let late = stage.enqueue(job(json!("late")).after(before)).await;
    stage.reaches(late, State::Completed).await;
    worker.stop().await;
    stage.assert_empty().await;
    assert_eq!(stage.number("select count(*) from queue.dependency").await, 0);
    assert_eq!(stage.number("select count(*) from queue.settled").await, 0);
}

#[tokio::test]
async fn a_chain_in_one_transaction_runs_in_order_and_keeps_delays() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    let mut tx = stage.pool.begin().await.unwrap();
    let mut last = stage.queue.enqueue(&mut tx, job(json!(0))).await.unwrap().id;
    for n in 1..4 {
        last = stage
            .queue
            .enqueue(&mut tx, job(json!(n)).after([last]))
            .await
            .unwrap()
            .id;
    }
    let delayed = job(json!(9)).after([last]).delay(Duration::from_hours(1));
    let delayed = stage.queue.enqueue(&mut tx, delayed).await.unwrap().id;
    tx.commit().await.unwrap();
    let worker = start(&stage, &probe, "w", 4);
    let row = stage.reaches(delayed, State::Scheduled).await;
    assert!((row.run_at.unwrap() - row.created_at).num_minutes() >= 59);
    worker.stop().await;
    let args: Vec<Value> = probe.seen().into_iter().map(|seen| seen.args).collect();
    assert_eq!(args, [json!(0), json!(1), json!(2), json!(3)]);
}

#[tokio::test]
async fn a_failed_predecessor_keeps_a_job_waiting_until_it_is_retried() {
    for end in ["fail", "cancel"] {
        let stage = Stage::new().await;
        let probe = Probe::new(&stage);
        let first = stage.enqueue(job(json!(end))).await;
        let waiter = stage.enqueue(job(json!("waiter")).after([first])).await;
        let worker = start(&stage, &probe, "w", 4);
        let ended = if end == "fail" {
            State::Dead
        } else {
            State::Cancelled
        };
        stage.reaches(first, ended).await;
        a_while().await;
        assert_eq!(stage.job(waiter).await.state(), State::Waiting);
        assert_eq!(stage.queue.waits_for(waiter).await.unwrap(), [first]);
        // It may have ended so before the waiter came.
        let late = stage.enqueue(job(json!("late")).after([first])).await;
        a_while().await;
        assert_eq!(stage.job(late).await.state(), State::Waiting);
        sqlx::query("update queue.history set args = '1' where id = $1")
            .bind(first)
            .execute(&stage.pool)
            .await
            .unwrap();
        assert_eq!(stage.retry(first).await.unwrap(), Action::Done);
        stage.reaches(waiter, State::Completed).await;
        stage.reaches(late, State::Completed).await;
        worker.stop().await;
    }
}

#[tokio::test]
async fn a_waiting_job_can_be_cancelled_or_run_without_waiting() {
    let stage = Stage::new().await;
    let first = stage.enqueue(job(json!(0)).delay(Duration::from_hours(1))).await;
    let waiter = stage.enqueue(job(json!(1)).after([first])).await;
    let other = stage.enqueue(job(json!(2)).after([first])).await;
    assert_eq!(stage.cancel(waiter).await, Action::Done);
    assert!(stage.queue.waits_for(waiter).await.unwrap().is_empty());
    assert_eq!(stage.retry(other).await.unwrap(), Action::Done);
    assert_eq!(stage.job(other).await.state(), State::Ready);
    assert_eq!(stage.number("select count(*) from queue.dependency").await, 0);
}

#[tokio::test]
async fn an_unknown_predecessor_is_refused_and_leaves_the_transaction_whole() {
    let stage = Stage::new().await;
    let mut tx = stage.pool.begin().await.unwrap();
    let known = stage.queue.enqueue(&mut tx, job(json!(0))).await.unwrap().id;
    let refused = stage
        .queue
        .enqueue(&mut tx, job(json!(1)).after([known, 4711]))
        .await;
    assert!(
        matches!(refused, Err(Error::Invalid(ref why)) if why.contains("4711")),
        "{refused:?}"
    );
    let keyed = job(json!(1)).after([known]).unique("key", OnConflict::Keep);
    let refused = stage.queue.enqueue(&mut tx, keyed).await;
    assert!(matches!(refused, Err(Error::Invalid(_))));
    tx.commit().await.unwrap();
    assert_eq!(stage.number("select count(*) from queue.job").await, 1);
}

/// The enqueuer's transaction stays open, and what it waits for ends meanwhile: neither holds up the other.
#[tokio::test]
async fn an_open_transaction_holds_up_no_acknowledgement_and_misses_no_end() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    let first = stage.enqueue(job(json!("gate"))).await;
    let worker = start(&stage, &probe, "w", 4);
    probe.until_seen(1).await;
    let mut tx = stage.pool.begin().await.unwrap();
    let waiter = stage
        .queue
        .enqueue(&mut tx, job(json!(1)).after([first]))
        .await
        .unwrap()
        .id;
    probe.open(1);
    tokio::time::timeout(Duration::from_secs(5), stage.reaches(first, State::Completed))
        .await
        .expect("the acknowledgement waits for nobody");
    tx.commit().await.unwrap();
    stage.reaches(waiter, State::Completed).await;
    worker.stop().await;
}

/// Waiters come while what they wait for ends, on three workers that all take up notes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_end_is_missed_in_a_race() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    let workers = ["a", "b", "c"].map(|name| start(&stage, &probe, name, 20));
    let mut waiters = Vec::new();
    for _ in 0..40 {
        let before = stage.enqueue_many((0..25).map(|n| job(json!(n))).collect()).await;
        for some in before.chunks(5) {
            waiters.push(stage.enqueue(job(json!("waiter")).after(some.to_vec())).await);
        }
        waiters.push(stage.enqueue(job(json!("waiter")).after(before)).await);
    }
    // Sooner than a recheck could help.
    tokio::time::timeout(Duration::from_secs(20), stage.until_empty())
        .await
        .expect("some waiter waits for ever");
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(probe.seen().len(), 40 * (25 + 5 + 1));
    assert_eq!(waiters.len(), 240);
    assert_eq!(stage.number("select count(*) from queue.dependency").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batchs_last_job_runs_once_after_a_thousand_ends_of_every_sort() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    let jobs = (0..1000).map(|n| {
        job(match n % 10 {
            0 => json!("fail"),
            1 => json!("cancel"),
            _ => json!(n),
        })
    });
    let mut tx = stage.pool.begin().await.unwrap();
    let (jobs, last) = stage
        .queue
        .enqueue_batch(&mut tx, jobs.collect(), job(json!("last")))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(jobs.len(), 1000);
    let workers = ["a", "b"].map(|name| start(&stage, &probe, name, 50));
    stage.reaches(last.id, State::Completed).await;
    for worker in workers {
        worker.stop().await;
    }
    let seen = probe.seen();
    assert_eq!(seen.len(), 1001);
    assert_eq!(seen[1000].id, last.id, "after all others");
    assert_eq!(
        stage
            .number("select count(*) from queue.history where state = 2")
            .await,
        100
    );
    stage.assert_empty().await;
}

#[tokio::test]
async fn an_empty_batchs_last_job_runs_at_once() {
    let stage = Stage::new().await;
    let mut conn = stage.pool.acquire().await.unwrap();
    let batch = stage
        .queue
        .enqueue_batch(&mut conn, Vec::new(), job(json!("last")));
    let (_, last) = batch.await.unwrap();
    assert_eq!(stage.job(last.id).await.state(), State::Ready);
}

/// A worker of the previous version writes ends without a note, and somebody deletes what others wait for.
#[tokio::test]
async fn ends_without_a_note_are_found_by_a_later_look() {
    let stage = Stage::new().await;
    let mut conn = stage.pool.acquire().await.unwrap();
    let batch = stage
        .queue
        .enqueue_batch(&mut conn, vec![job(json!(0)), job(json!(1))], job(json!("last")));
    let (_, last) = batch.await.unwrap();
    stage
        .execute("delete from queue.settled; delete from queue.job where not coalesce(waiting, false)")
        .await;
    let probe = Probe::new(&stage);
    // A worker looks when it starts, and every half minute.
    let worker = start(&stage, &probe, "w", 4);
    stage.reaches(last.id, State::Completed).await;
    worker.stop().await;
}
