//! How an attempt ends: well, badly, not yet, or not at all.

use std::time::Duration;

use queue::{Job, JobError, NewJob, Outcome, Policy, Registry, State};
use serde_json::{Value, json};

use crate::harness::{KIND, Probe, QUEUE, Stage, job, options};

/// Runs one job with this handler to its end.
async fn end_of<F, Fut>(stage: &Stage, new: NewJob, policy: Policy, handler: F) -> (queue::JobRow, Probe)
where
    F: Fn(Probe, Job<Value>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Outcome, JobError>> + Send + 'static,
{
    let probe = Probe::new(stage);
    let registry = Registry::new().add(KIND, policy, move |probe: Probe, job: Job<Value>| {
        probe.see(&job);
        handler(probe, job)
    });
    let worker = stage.start(registry, probe.clone(), options("w", 2));
    let id = stage.enqueue(new).await;
    stage.until_empty().await;
    worker.stop().await;
    (stage.job(id).await, probe)
}

#[tokio::test]
async fn a_done_job_is_completed() {
    let stage = Stage::new().await;
    let new = job(json!({"n": 1}))
        .correlation_id("c")
        .traceparent("t")
        .priority(3)
        .tag("x");
    let (row, probe) = end_of(&stage, new, Policy::default(), async |_, job| {
        assert_eq!(
            (job.correlation_id.as_deref(), job.traceparent.as_deref()),
            (Some("c"), Some("t"))
        );
        Ok(Outcome::Done)
    })
    .await;
    assert_eq!(row.state(), State::Completed);
    assert_eq!((row.attempt, row.priority, row.result), (1, 3, None));
    assert_eq!((row.last_error, row.worker.as_deref()), (None, Some("w")));
    assert_eq!(row.args, json!({"n": 1}));
    assert!(row.created_at <= row.started_at.unwrap() && row.started_at <= row.finished_at);
    assert_eq!(probe.seen().len(), 1);
    let tags: Vec<String> = sqlx::query_scalar("select tags from queue.history")
        .fetch_one(&stage.pool)
        .await
        .unwrap();
    assert_eq!(tags, ["x"]);
}

#[tokio::test]
async fn a_result_is_kept() {
    let stage = Stage::new().await;
    let (row, _) = end_of(&stage, job(json!(0)), Policy::default(), async |_, _| {
        Ok(Outcome::DoneWith(json!({"answer": 42, "text": "ä"})))
    })
    .await;
    assert_eq!(row.state(), State::Completed);
    assert_eq!(row.result, Some(json!({"answer": 42, "text": "ä"})));
}

#[tokio::test]
async fn a_job_that_lost_its_sense_ends_as_cancelled_with_the_reason() {
    let stage = Stage::new().await;
    let (row, _) = end_of(&stage, job(json!(0)), Policy::default(), async |_, _| {
        Ok(Outcome::Cancel("the issue was closed".into()))
    })
    .await;
    assert_eq!(row.state(), State::Cancelled);
    assert_eq!(row.last_error.as_deref(), Some("the issue was closed"));
}

#[tokio::test]
async fn a_failed_job_is_dead_at_once_with_its_error_kept() {
    let stage = Stage::new().await;
    let (row, probe) = end_of(&stage, job(json!(0)), Policy::default(), async |_, _| {
        Err(JobError::fail("there is no such repository"))
    })
    .await;
    assert_eq!((row.state(), row.attempt), (State::Dead, 1));
    assert_eq!(row.last_error.as_deref(), Some("there is no such repository"));
    assert_eq!(
        stage.errors(row.id).await,
        [(1, "there is no such repository".to_owned())]
    );
    assert_eq!(probe.seen().len(), 1);
}

/// A snooze burns no attempt: with a single one allowed it can be repeated.
#[tokio::test]
async fn a_snooze_burns_no_attempt() {
    let stage = Stage::new().await;
    let (row, probe) = end_of(
        &stage,
        job(json!(0)).max_attempts(1),
        Policy::default(),
        async |probe: Probe, job| {
            assert_eq!(job.attempt, 1);
            if probe.seen().len() < 4 {
                return Ok(Outcome::Snooze(Duration::from_millis(50)));
            }
            Ok(Outcome::Done)
        },
    )
    .await;
    assert_eq!((row.state(), row.attempt), (State::Completed, 1));
    assert_eq!(probe.seen().len(), 4);
    assert!(stage.errors(row.id).await.is_empty());
}

#[tokio::test]
async fn a_snoozed_job_waits_for_its_time() {
    let stage = Stage::new().await;
    let (row, _) = end_of(
        &stage,
        job(json!(0)),
        Policy::default(),
        async |probe: Probe, _| {
            if probe.seen().len() == 1 {
                return Ok(Outcome::Snooze(Duration::from_millis(700)));
            }
            Ok(Outcome::Done)
        },
    )
    .await;
    let waited = row.started_at.unwrap() - row.created_at;
    assert!((700..10_000).contains(&waited.num_milliseconds()), "{waited}");
}

#[tokio::test]
async fn a_panic_is_a_failed_attempt_with_its_message() {
    let stage = Stage::new().await;
    let (row, _) = end_of(
        &stage,
        job(json!(0)),
        Policy::default(),
        async |probe: Probe, job| match job.attempt {
            1 => {
                tokio::task::yield_now().await;
                panic!("formatted {}", probe.seen().len());
            }
            2 => panic!("plain"),
            _ => Ok(Outcome::Done),
        },
    )
    .await;
    assert_eq!((row.state(), row.attempt), (State::Completed, 3));
    let errors = stage.errors(row.id).await;
    assert_eq!(
        errors,
        [
            (1, "panicked: formatted 1".to_owned()),
            (2, "panicked: plain".to_owned())
        ]
    );
}

#[tokio::test]
async fn a_panic_before_the_first_await_is_a_failed_attempt_too() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    let registry = Registry::new().add(KIND, Policy::default(), |probe: Probe, job: Job<Value>| {
        probe.see(&job);
        assert!(job.attempt > 1, "in the synchronous part");
        async { Ok::<_, JobError>(Outcome::Done) }
    });
    let worker = stage.start(registry, probe.clone(), options("w", 2));
    let id = stage.enqueue(job(json!(0))).await;
    stage.until_empty().await;
    worker.stop().await;
    assert_eq!(stage.job(id).await.state(), State::Completed);
    assert_eq!(
        stage.errors(id).await,
        [(1, "panicked: in the synchronous part".to_owned())]
    );
}

#[tokio::test]
async fn an_undecodable_payload_is_dead_with_the_reason_and_the_worker_lives_on() {
    #[derive(serde::Deserialize)]
    struct Args {
        n: u32,
    }
    let stage = Stage::new().await;
    let registry = Registry::new().add(KIND, Policy::default(), |(), job: Job<Args>| async move {
        Ok::<_, JobError>(Outcome::DoneWith(json!(job.args.n)))
    });
    let worker = stage.start(registry, (), options("w", 2));
    let bad = stage.enqueue(job(json!({"n": "many"}))).await;
    let row = stage.reaches(bad, State::Dead).await;
    let reason = row.last_error.unwrap();
    assert!(
        reason.starts_with("undecodable payload: invalid type: string \"many\", expected u32"),
        "{reason}"
    );
    let good = stage.enqueue(job(json!({"n": 5}))).await;
    assert_eq!(stage.reaches(good, State::Completed).await.result, Some(json!(5)));
    worker.stop().await;
    stage.assert_empty().await;
}

#[tokio::test]
async fn the_kinds_timeout_ends_an_attempt_and_the_job_is_tried_again() {
    let stage = Stage::new().await;
    let policy = Policy {
        timeout: Some(Duration::from_millis(120)),
        ..Policy::default()
    };
    let (row, _) = end_of(&stage, job(json!(0)), policy, async |_, job| {
        if job.attempt == 1 {
            std::future::pending::<()>().await;
        }
        Ok(Outcome::Done)
    })
    .await;
    assert_eq!((row.state(), row.attempt), (State::Completed, 2));
    assert_eq!(
        stage.errors(row.id).await,
        [(1, "timed out after 120 ms".to_owned())]
    );
}

#[tokio::test]
async fn the_jobs_own_timeout_counts_before_the_kinds() {
    let stage = Stage::new().await;
    let new = job(json!(0)).timeout(Duration::from_millis(80)).max_attempts(1);
    let (row, _) = end_of(&stage, new, Policy::default(), async |_, _| {
        std::future::pending::<()>().await;
        Ok(Outcome::Done)
    })
    .await;
    assert_eq!((row.state(), row.attempt), (State::Dead, 1));
    assert_eq!(row.last_error.as_deref(), Some("timed out after 80 ms"));
}

/// What the database can't take must not hold up the ends of all other jobs.
#[tokio::test]
async fn a_text_that_the_database_refuses_holds_up_nothing() {
    let stage = Stage::new().await;
    let registry = Registry::new().add(KIND, Policy::default(), |(), job: Job<String>| async move {
        match job.args.as_str() {
            "fail" => Err(JobError::fail("before\0after")),
            "retry" if job.attempt == 1 => Err(JobError::Retry {
                error: "before\0after".into(),
                after: Some(Duration::ZERO),
            }),
            "panic" if job.attempt == 1 => panic!("before\0after"),
            "cancel" => Ok(Outcome::Cancel("before\0after".into())),
            "result" => Ok(Outcome::DoneWith(json!({"k\0": ["before\0after"]}))),
            "snooze" => Ok(Outcome::Snooze(Duration::MAX)),
            "later" => Err(JobError::Retry {
                error: "ask again after the sun has gone".into(),
                after: Some(Duration::MAX),
            }),
            _ => Ok(Outcome::Done),
        }
    });
    let worker = stage.start(registry, (), options("w", 20));
    let expected = [
        ("fail", State::Dead),
        ("cancel", State::Cancelled),
        ("result", State::Completed),
        ("snooze", State::Scheduled),
        ("later", State::Scheduled),
        ("retry", State::Completed),
        ("panic", State::Completed),
        ("done", State::Completed),
    ];
    for (args, state) in expected {
        let id = stage.enqueue(NewJob::new(QUEUE, KIND, json!(args))).await;
        stage.reaches(id, state).await;
    }
    worker.stop().await;
}
