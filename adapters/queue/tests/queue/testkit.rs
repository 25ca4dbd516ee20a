//! The kit for the tests of the queue's users.

use std::time::Duration;

use futures::FutureExt;
use queue::testing::{Ended, Ran, advance, assert_enqueued, assert_not_enqueued, run_due};
use queue::{Backoff, Job, JobError, Kind, Limits, NewJob, Outcome, Policy, Queue, Registry, State};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::harness::{Stage, ann};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    Finish,
    FollowUp,
    Fail,
    FailOnce,
    Snooze,
    Panic,
    Drop,
    Spin,
}

impl Kind for Step {
    type Context = Queue;
    const NAME: &'static str = "test.step";

    fn policy() -> Policy {
        Policy {
            max_attempts: 2,
            backoff: Backoff::fixed(Duration::from_hours(1)),
            ..Policy::default()
        }
    }

    async fn run(job: Job<Self>, queue: Queue) -> Result<Outcome, JobError> {
        match job.args {
            Self::Finish => Ok(Outcome::DoneWith(json!(7))),
            Self::FollowUp => {
                let mut tx = queue.pool().begin().await.unwrap();
                let next = NewJob::of(&Self::Finish).unwrap();
                queue.enqueue(&mut tx, next).await.unwrap();
                job.complete_in(&mut tx).await.unwrap();
                tx.commit().await.unwrap();
                Ok(Outcome::Done)
            }
            Self::Fail => Err(JobError::fail("hopeless")),
            Self::FailOnce if job.attempt == 1 => Err(JobError::retry("once")),
            Self::FailOnce => Ok(Outcome::Done),
            Self::Snooze => Ok(Outcome::Snooze(Duration::from_mins(5))),
            Self::Panic => panic!("oh"),
            Self::Drop => Ok(Outcome::Cancel("no sense".into())),
            Self::Spin => Ok(Outcome::Snooze(Duration::ZERO)),
        }
    }
}

fn new(step: &Step) -> NewJob {
    NewJob::of(step).unwrap()
}

async fn due(stage: &Stage) -> Vec<Ran> {
    let registry = Registry::new().register::<Step>();
    run_due(&stage.queue, &registry, stage.queue.clone())
        .await
        .unwrap()
}

#[tokio::test]
async fn due_jobs_and_those_that_they_enqueue_run_inline_and_say_how_they_ended() {
    let stage = Stage::new().await;
    assert_eq!(due(&stage).await, []);
    let hour = Duration::from_hours(1);
    let retried = |error: &str| Ended::Retried {
        error: error.into(),
        after: hour,
    };
    let steps = [
        (Step::Finish, Ended::Completed(Some(json!(7)))),
        (Step::Fail, Ended::Dead("hopeless".into())),
        (Step::FailOnce, retried("once")),
        (Step::Snooze, Ended::Snoozed(Duration::from_mins(5))),
        (Step::Panic, retried("panicked: oh")),
        (Step::Drop, Ended::Cancelled("no sense".into())),
        (Step::FollowUp, Ended::Completed(None)),
    ];
    let mut expected = Vec::new();
    for (step, ended) in steps {
        let id = stage.enqueue(new(&step)).await;
        expected.push(Ran {
            id,
            kind: "test.step",
            attempt: 1,
            ended,
        });
    }
    let mut ran = due(&stage).await;
    let follow_up = ran.pop().unwrap();
    assert_eq!(ran, expected);
    assert_eq!(follow_up.ended, Ended::Completed(Some(json!(7))));
    // Written as a worker writes them.
    assert_eq!(stage.job(expected[0].id).await.state(), State::Completed);
    assert_eq!(
        stage.job(expected[1].id).await.last_error.as_deref(),
        Some("hopeless")
    );
    assert_eq!(stage.job(expected[2].id).await.state(), State::Scheduled);
    assert_eq!(due(&stage).await, []);
    stage
        .until("select count(*) = 3 and bool_and(stopped_at is not null) from queue.worker")
        .await;
}

#[tokio::test]
async fn time_can_be_let_pass() {
    let stage = Stage::new().await;
    let id = stage
        .enqueue(new(&Step::FailOnce).delay(Duration::from_hours(24)))
        .await;
    assert_eq!(due(&stage).await, []);
    assert_eq!(advance(&stage.queue, Duration::from_hours(23)).await.unwrap(), 1);
    assert_eq!(due(&stage).await, []);
    advance(&stage.queue, Duration::from_hours(1)).await.unwrap();
    assert_eq!(due(&stage).await.len(), 1);
    // The backoff's hour.
    advance(&stage.queue, Duration::from_hours(1)).await.unwrap();
    let ran = due(&stage).await;
    assert_eq!(
        (ran[0].id, ran[0].attempt, &ran[0].ended),
        (id, 2, &Ended::Completed(None))
    );
    stage.assert_empty().await;
}

#[tokio::test]
async fn tenants_limits_and_several_queues_are_all_served() {
    let stage = Stage::new().await;
    let mut jobs = Vec::new();
    for n in 0..12 {
        let queue = ["default", "other", "limited"][n % 3];
        let job = new(&Step::Finish).queue(queue).key(format!("k{n}"));
        jobs.push(if n % 2 == 0 {
            job
        } else {
            job.tenant(format!("t{n}"))
        });
    }
    let limits = Limits {
        max_running: Some(1),
        max_running_per_key: Some(1),
        ..Limits::default()
    };
    let mut conn = stage.queue.pool().acquire().await.unwrap();
    stage
        .queue
        .set_limits(&mut conn, "limited", limits, &ann())
        .await
        .unwrap();
    stage.enqueue_many(jobs).await;
    assert_eq!(due(&stage).await.len(), 12);
    stage.assert_empty().await;
}

#[tokio::test]
async fn a_job_that_is_due_again_for_ever_is_an_error() {
    let stage = Stage::new().await;
    stage.enqueue(new(&Step::Spin)).await;
    let registry = Registry::new().register::<Step>();
    let error = run_due(&stage.queue, &registry, stage.queue.clone())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("no end"), "{error}");
}

#[tokio::test]
async fn what_was_enqueued_is_found_by_kind_and_a_part_of_its_arguments() {
    let stage = Stage::new().await;
    let args = json!({ "user": { "name": "ada", "age": 36 }, "n": 1 });
    let id = stage.enqueue(NewJob::new("mail", "user.welcome", args)).await;
    let queue = &stage.queue;
    let part = json!({ "user": { "name": "ada" } });
    let job = assert_enqueued(queue, "user.welcome", &part).await.unwrap();
    assert_eq!((job.id, job.queue.as_str()), (id, "mail"));
    assert_not_enqueued(queue, "user.goodbye", &json!({}))
        .await
        .unwrap();
    assert_not_enqueued(queue, "user.welcome", &json!({ "n": 2 }))
        .await
        .unwrap();

    let wrong = json!({ "n": 2 });
    let missing = assert_enqueued(queue, "user.welcome", &wrong);
    let panic = std::panic::AssertUnwindSafe(missing)
        .catch_unwind()
        .await
        .unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.contains(r#"contain {"n":2}"#), "{message}");
    assert!(
        message.contains("`user.welcome` in `mail`, ready: {"),
        "{message}"
    );
    let present = assert_not_enqueued(queue, "user.welcome", &part);
    let panic = std::panic::AssertUnwindSafe(present)
        .catch_unwind()
        .await
        .unwrap_err();
    assert!(panic.downcast_ref::<String>().unwrap().contains("\"age\":36"));
}
