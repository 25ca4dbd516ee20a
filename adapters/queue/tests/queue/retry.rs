//! Retries: by backoff, by the other side's wish, by hand.

use std::time::Duration;

use queue::{Action, Backoff, Error, Job, JobError, OnConflict, Outcome, Policy, Registry, State};
use serde_json::{Value, json};

use crate::harness::{KIND, Probe, Stage, job, options};

/// Fails until its gate is open.
fn stubborn(policy: Policy) -> Registry<Probe> {
    Registry::new().add(KIND, policy, |probe: Probe, job: Job<Value>| async move {
        probe.see(&job);
        tokio::select! {
            biased;
            () = probe.pass() => Ok(Outcome::Done),
            () = std::future::ready(()) => Err(JobError::retry(format!("attempt {} failed", job.attempt))),
        }
    })
}

fn quick() -> Policy {
    Policy {
        backoff: Backoff::exponential(Duration::from_millis(5), Duration::from_millis(20)),
        timeout: None,
        ..Policy::default()
    }
}

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn after_its_last_attempt_a_job_is_dead_with_the_errors_of_all_of_them() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    let id = stage
        .enqueue(job(json!(0)).max_attempts(3).traceparent(TRACE))
        .await;
    let worker = stage.start(stubborn(quick()), probe.clone(), options("w", 2));
    let row = stage.reaches(id, State::Dead).await;
    worker.stop().await;
    assert_eq!((row.attempt, row.max_attempts), (3, 3));
    assert_eq!(row.last_error.as_deref(), Some("attempt 3 failed"));
    let errors: Vec<(i32, String)> = (1..=3).map(|n| (n, format!("attempt {n} failed"))).collect();
    assert_eq!(stage.errors(id).await, errors);
    let attempts: Vec<i32> = probe.seen().iter().map(|seen| seen.attempt).collect();
    assert_eq!(attempts, [1, 2, 3]);
    let (_, kept) = stage.queue.get(id).await.unwrap().unwrap();
    assert!(
        kept.iter()
            .all(|attempt| attempt.worker == "w" && attempt.traceparent.as_deref() == Some(TRACE))
    );
    assert!(kept.windows(2).all(|pair| pair[0].at < pair[1].at));
    stage.assert_empty().await;
}

#[tokio::test]
async fn a_failed_attempt_shows_its_error_while_the_job_waits() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    let slow = Policy {
        backoff: Backoff::exponential(Duration::from_secs(1_000_000), Duration::from_secs(1_000_000)),
        timeout: None,
        ..Policy::default()
    };
    let id = stage.enqueue(job(json!(0))).await;
    let worker = stage.start(stubborn(slow), probe.clone(), options("w", 2));
    let row = stage.reaches(id, State::Scheduled).await;
    worker.stop().await;
    assert_eq!(row.last_error.as_deref(), Some("attempt 1 failed"));
    assert_eq!(row.attempt, 1);
    assert_eq!(row.worker, None);
}

/// Full jitter: between nothing and the ceiling, and not always the same.
#[tokio::test]
async fn a_retry_waits_a_random_time_below_the_backoffs_ceiling() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    let policy = Policy {
        backoff: Backoff::exponential(Duration::from_secs(10_000), Duration::from_secs(20_000)),
        timeout: None,
        ..Policy::default()
    };
    stage
        .enqueue_many((0..100).map(|n| job(json!(n))).collect())
        .await;
    let worker = stage.start(stubborn(policy), probe.clone(), options("w", 50));
    stage
        .until("select count(*) filter (where seq is null) > 95 from queue.job where attempt = 1")
        .await;
    worker.stop().await;
    let below = stage
        .number("select count(*) from queue.job where seq is null and run_at <= now() + interval '10000 s'")
        .await;
    assert!(below > 95, "above the ceiling: {below}");
    let low = stage
        .number("select count(*) from queue.job where seq is null and run_at <= now() + interval '5000 s'")
        .await;
    assert!(
        (20..=80).contains(&low),
        "not spread: {low} of 100 in the lower half"
    );
}

#[tokio::test]
async fn the_wait_that_the_other_side_asked_for_is_honoured() {
    let stage = Stage::new().await;
    let registry = Registry::new().add(KIND, quick(), |(), job: Job<Value>| async move {
        if job.attempt == 1 {
            return Err(JobError::Retry {
                error: "slow down".into(),
                after: Some(Duration::from_millis(900)),
            });
        }
        Ok(Outcome::Done)
    });
    let worker = stage.start(registry, (), options("w", 2));
    let id = stage.enqueue(job(json!(0))).await;
    let row = stage.reaches(id, State::Completed).await;
    worker.stop().await;
    let waited = row.started_at.unwrap() - row.created_at;
    assert!((900..10_000).contains(&waited.num_milliseconds()), "{waited}");
}

#[tokio::test]
async fn a_dead_job_retried_by_hand_runs_with_its_attempts_counted_anew() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    let id = stage
        .enqueue(job(json!("args")).max_attempts(2).correlation_id("c").tag("t"))
        .await;
    let worker = stage.start(stubborn(quick()), probe.clone(), options("w", 2));
    stage.reaches(id, State::Dead).await;
    probe.open(1);
    assert_eq!(stage.retry(id).await.unwrap(), Action::Done);
    let row = stage.reaches(id, State::Completed).await;
    worker.stop().await;
    assert_eq!((row.attempt, row.max_attempts), (1, 2));
    assert_eq!(
        (row.args, row.correlation_id.as_deref()),
        (json!("args"), Some("c"))
    );
    assert_eq!(stage.errors(id).await.len(), 2, "the old errors are still there");
    assert_eq!(stage.number("select count(*) from queue.history").await, 1);
    stage.assert_empty().await;
}

#[tokio::test]
async fn a_scheduled_job_retried_by_hand_runs_now() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    probe.open(1);
    let worker = stage.start(stubborn(quick()), probe.clone(), options("w", 2));
    let id = stage.enqueue(job(json!(0)).delay(Duration::from_hours(1))).await;
    assert_eq!(stage.retry(id).await.unwrap(), Action::Done);
    stage.reaches(id, State::Completed).await;
    worker.stop().await;
}

#[tokio::test]
async fn retry_is_refused_where_it_makes_no_sense() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    assert_eq!(stage.retry(123_456).await.unwrap(), Action::NotFound);
    let ready = stage.enqueue(job(json!(0))).await;
    assert_eq!(
        stage.retry(ready).await.unwrap(),
        Action::NotAllowed(State::Ready)
    );
    probe.open(1);
    let worker = stage.start(stubborn(quick()), probe.clone(), options("w", 2));
    stage.reaches(ready, State::Completed).await;
    assert_eq!(
        stage.retry(ready).await.unwrap(),
        Action::NotAllowed(State::Completed)
    );
    worker.stop().await;
}

#[tokio::test]
async fn retry_is_refused_while_another_unfinished_job_has_the_key() {
    let stage = Stage::new().await;
    let keyed = || job(json!(0)).unique("key", OnConflict::Keep);
    let first = stage.enqueue(keyed()).await;
    assert_eq!(stage.cancel(first).await, Action::Done);
    let second = stage.enqueue(keyed()).await;
    assert_ne!(first, second);
    let refused = stage.retry(first).await.unwrap_err();
    assert!(
        matches!(&refused, Error::Invalid(why) if why.contains(&second.to_string())),
        "{refused}"
    );
    assert_eq!(stage.job(first).await.state(), State::Cancelled);
    assert_eq!(stage.cancel(second).await, Action::Done);
    assert_eq!(stage.retry(first).await.unwrap(), Action::Done);
    assert_eq!(stage.job(first).await.state(), State::Ready);
}
