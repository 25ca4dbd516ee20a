//! Cancel: of jobs that wait and of jobs that run.

use std::time::{Duration, Instant};

use queue::{Action, By, Job, JobError, Outcome, Policy, Registry, State};
use serde_json::{Value, json};

use crate::harness::{KIND, Probe, Stage, job, options};

fn registry(policy: Policy) -> Registry<Probe> {
    Registry::new().add(KIND, policy, |probe: Probe, job: Job<Value>| async move {
        probe.see(&job);
        match job.args.as_str() {
            Some("listens") => {
                tokio::select! {
                    () = job.cancelled().cancelled() => Err(JobError::retry("stopped in the middle")),
                    () = probe.pass() => Ok(Outcome::Done),
                }
            }
            Some("is deaf") => {
                probe.pass().await;
                Ok(Outcome::Done)
            }
            _ => Ok(Outcome::Done),
        }
    })
}

#[tokio::test]
async fn a_waiting_job_is_cancelled_at_once() {
    let stage = Stage::new().await;
    let ready = stage.enqueue(job(json!(0))).await;
    let scheduled = stage.enqueue(job(json!(0)).delay(Duration::from_mins(1))).await;
    for id in [ready, scheduled] {
        assert_eq!(stage.cancel(id).await, Action::Done);
        let row = stage.job(id).await;
        assert_eq!(row.state(), State::Cancelled);
        assert_eq!(row.last_error.as_deref(), Some("nobody wants it"));
        assert_eq!(stage.cancel(id).await, Action::NotAllowed(State::Cancelled));
    }
    assert_eq!(stage.cancel(123_456).await, Action::NotFound);
    stage.assert_empty().await;
}

#[tokio::test]
async fn a_cancel_is_part_of_the_callers_transaction() {
    let stage = Stage::new().await;
    let id = stage.enqueue(job(json!(0))).await;
    let mut tx = stage.pool.begin().await.unwrap();
    assert_eq!(
        stage.queue.cancel(&mut tx, id, &By::new("ann")).await.unwrap(),
        Action::Done
    );
    tx.rollback().await.unwrap();
    assert_eq!(stage.job(id).await.state(), State::Ready);
}

#[tokio::test]
async fn a_running_job_that_listens_stops_at_once_and_ends_as_cancelled() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    let worker = stage.start(registry(Policy::default()), probe.clone(), options("w", 2));
    let id = stage.enqueue(job(json!("listens"))).await;
    probe.until_seen(1).await;
    let asked = Instant::now();
    assert_eq!(stage.cancel(id).await, Action::Requested);
    let row = stage.reaches(id, State::Cancelled).await;
    assert!(
        asked.elapsed() < Duration::from_secs(4),
        "it was dropped, not told: {:?}",
        asked.elapsed()
    );
    assert_eq!(row.last_error.as_deref(), Some("cancelled while it ran"));
    worker.stop().await;
    assert_eq!(probe.seen().len(), 1);
    stage.assert_empty().await;
}

#[tokio::test]
async fn a_running_job_that_ignores_it_is_dropped_within_seconds() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    let worker = stage.start(registry(Policy::default()), probe.clone(), options("w", 1));
    let id = stage.enqueue(job(json!("is deaf"))).await;
    probe.until_seen(1).await;
    assert_eq!(stage.cancel(id).await, Action::Requested);
    let asked = Instant::now();
    stage.reaches(id, State::Cancelled).await;
    assert!(
        asked.elapsed() > Duration::from_secs(4),
        "it had no time to listen"
    );
    // Its slot is free again.
    let next = stage.enqueue(job(json!("next"))).await;
    stage.reaches(next, State::Completed).await;
    worker.stop().await;
    stage.assert_empty().await;
}

#[tokio::test]
async fn a_cancel_stands_even_if_the_attempt_times_out_meanwhile() {
    if crate::pooler::skips(
        "without NOTIFY the wish arrives with a heartbeat, which may be later than the timeout",
    ) {
        return;
    }
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    let policy = Policy {
        timeout: Some(Duration::from_secs(1)),
        ..Policy::default()
    };
    let worker = stage.start(registry(policy), probe.clone(), options("w", 1));
    let id = stage.enqueue(job(json!("is deaf"))).await;
    probe.until_seen(1).await;
    assert_eq!(stage.cancel(id).await, Action::Requested);
    let row = stage.reaches(id, State::Cancelled).await;
    worker.stop().await;
    assert_eq!(probe.seen().len(), 1, "it was run again");
    assert_eq!(row.last_error.as_deref(), Some("cancelled while it ran"));
    stage.assert_empty().await;
}

/// The wish to end the first run must not end the second.
#[tokio::test]
async fn a_job_cancelled_while_it_ran_can_be_retried_and_runs_to_its_end() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    let worker = stage.start(registry(Policy::default()), probe.clone(), options("w", 2));
    let id = stage.enqueue(job(json!("listens"))).await;
    probe.until_seen(1).await;
    assert_eq!(stage.cancel(id).await, Action::Requested);
    stage.reaches(id, State::Cancelled).await;
    assert_eq!(stage.retry(id).await.unwrap(), Action::Done);
    probe.until_seen(2).await;
    // Heartbeats, which look for cancelled jobs, come once in a second here.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    probe.open(1);
    let start = Instant::now();
    while stage.job(id).await.state() == State::Running {
        assert!(start.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    worker.stop().await;
    assert_eq!(stage.job(id).await.state(), State::Completed);
    assert_eq!(probe.seen().len(), 2);
}
