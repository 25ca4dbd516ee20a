//! A kind as one type: arguments, queue, policy and handler.

use std::collections::BTreeMap;
use std::time::Duration;

use queue::{Backoff, Error, Job, JobError, Kind, NewJob, OnConflict, Outcome, Policy, Registry, State};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::harness::{Probe, Stage, options};

#[derive(Serialize, Deserialize)]
struct Count {
    to: i32,
}

impl Kind for Count {
    type Context = Probe;
    const NAME: &'static str = "test.count";
    const QUEUE: &'static str = "test";

    fn policy() -> Policy {
        Policy {
            max_attempts: 3,
            backoff: Backoff::fixed(Duration::from_millis(1)),
            timeout: None,
        }
    }

    async fn run(job: Job<Self>, probe: Probe) -> Result<Outcome, JobError> {
        assert_eq!(job.max_attempts, 3);
        sqlx::query("select 1")
            .persistent(false)
            .execute(&mut *probe.pool.begin().await.unwrap())
            .await
            .unwrap();
        if job.attempt < job.args.to {
            return Err(JobError::retry("not there yet"));
        }
        Ok(Outcome::DoneWith(json!(job.args.to)))
    }
}

#[tokio::test]
async fn a_kind_brings_its_queue_its_policy_and_its_handler() {
    let stage = Stage::new().await;
    let registry = Registry::new().register::<Count>();
    assert_eq!(registry.names().collect::<Vec<_>>(), ["test.count"]);
    let worker = stage.start(registry, Probe::new(&stage), options("w", 2));
    let good = stage.enqueue(NewJob::of(&Count { to: 3 }).unwrap()).await;
    let bad = stage.enqueue(NewJob::of(&Count { to: 4 }).unwrap()).await;
    let good = stage.reaches(good, State::Completed).await;
    assert_eq!((good.result, good.queue.as_str()), (Some(json!(3)), "test"));
    let dead = stage.reaches(bad, State::Dead).await;
    assert_eq!((dead.attempt, dead.max_attempts), (3, 3));
    worker.stop().await;
}

#[test]
fn arguments_that_are_no_json_are_an_error_that_names_the_kind() {
    #[derive(Serialize, Deserialize)]
    struct Odd(BTreeMap<(i32, i32), i32>);

    impl Kind for Odd {
        type Context = ();
        const NAME: &'static str = "test.odd";

        async fn run(_: Job<Self>, (): ()) -> Result<Outcome, JobError> {
            Ok(Outcome::Done)
        }
    }
    let error = NewJob::of(&Odd(BTreeMap::from([((1, 2), 3)]))).unwrap_err();
    assert!(error.to_string().contains("`test.odd`"), "{error}");
}

/// PostgreSQL would refuse each of these, and abort the transaction that they are enqueued in.
#[tokio::test]
async fn a_nul_is_refused_before_it_aborts_the_callers_transaction() {
    let stage = Stage::new().await;
    let plain = || NewJob::new("test", "test.job", json!({}));
    stage.enqueue(plain()).await;
    let nul = "a\0b";
    let jobs = [
        NewJob::new("test", "test.job", json!({ "deep": [1, { "text": nul }] })),
        NewJob::new("test", "test.job", json!({ nul: 1 })),
        NewJob::new("test", nul, json!({})),
        NewJob::new(nul, "test.job", json!({})),
        plain().unique(nul, OnConflict::Keep),
        plain().correlation_id(nul),
        plain().traceparent(nul),
        plain().tag("fine").tag(nul),
        plain().tenant(nul),
        plain().key(nul),
    ];
    let mut tx = stage.queue.pool().begin().await.unwrap();
    for job in jobs {
        let shown = format!("{job:?}");
        let one = stage.queue.enqueue(&mut tx, job.clone()).await;
        assert!(matches!(one, Err(Error::Invalid(_))), "{shown}: {one:?}");
        let many = stage.queue.enqueue_many(&mut tx, vec![plain(), job]).await;
        assert!(matches!(many, Err(Error::Invalid(_))), "{shown}: {many:?}");
    }
    stage.queue.enqueue(&mut tx, plain()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(stage.number("select count(*) from queue.job").await, 2);
}
