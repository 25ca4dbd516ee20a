//! Why a job isn't running: every reason, and what it says.

use std::time::Duration;

use queue::{Awaited, Explanation, Job, JobError, Limits, Outcome, Policy, Rate, Reason, Registry, State};
use serde_json::{Value, json};

use crate::harness::{KIND, PATIENCE, Probe, QUEUE, Stage, StartedWorker, ann, job, options};

async fn why(stage: &Stage, id: i64) -> Explanation {
    let explanation = stage
        .queue
        .explain(id)
        .await
        .unwrap()
        .expect("there is such a job");
    for reason in &explanation.reasons {
        assert!(reason.to_string().ends_with(['.', ')']), "a sentence: {reason}");
    }
    explanation
}

async fn reasons(stage: &Stage, id: i64) -> Vec<Reason> {
    why(stage, id).await.reasons
}

/// Waits until a reason says this.
async fn until_says(stage: &Stage, id: i64, text: &str) -> Reason {
    let start = std::time::Instant::now();
    loop {
        let reasons = reasons(stage, id).await;
        if let Some(reason) = reasons.iter().find(|reason| reason.to_string().contains(text)) {
            return reason.clone();
        }
        assert!(
            start.elapsed() < PATIENCE,
            "{text:?} should be said by now: {reasons:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A worker that exists on paper only, with two slots.
async fn sign_on(stage: &Stage, name: &str) {
    sqlx::query(
        "insert into queue.worker (name, queues, kinds, concurrency, lease_ms)
        values ($1, array[queue.queue_id('test')], array[queue.kind_id('test.job')], 2, 60000)",
    )
    .bind(name)
    .execute(&stage.pool)
    .await
    .unwrap();
}

/// A worker whose jobs run until the test's gate opens.
fn start(stage: &Stage, probe: &Probe) -> StartedWorker {
    let registry = Registry::new().add(
        KIND,
        Policy::default(),
        |probe: Probe, job: Job<Value>| async move {
            probe.see(&job);
            probe.pass().await;
            Ok::<_, JobError>(Outcome::Done)
        },
    );
    stage.start(registry, probe.clone(), options("w", 5))
}

async fn limit(stage: &Stage, limits: Limits) {
    let mut conn = stage.queue.pool().acquire().await.unwrap();
    stage
        .queue
        .set_limits(&mut conn, QUEUE, limits, &ann())
        .await
        .unwrap();
}

#[tokio::test]
async fn an_unknown_job_has_no_explanation() {
    let stage = Stage::new().await;
    assert_eq!(stage.queue.explain(4711).await.unwrap(), None);
}

#[tokio::test]
async fn a_job_that_nothing_holds_up_says_so_and_others_name_what_comes_before() {
    let stage = Stage::new().await;
    sign_on(&stage, "w").await;
    let first = stage.enqueue(job(json!(1))).await;
    let last = stage.enqueue(job(json!(2))).await;
    assert_eq!(reasons(&stage, first).await, [Reason::Nothing]);
    let behind = |jobs, at_least, of_lane| Reason::Behind {
        jobs,
        at_least,
        of_lane,
    };
    assert_eq!(reasons(&stage, last).await, [behind(1, false, false)]);
    stage.enqueue(job(json!(3)).tenant("t")).await;
    let in_lane = stage.enqueue(job(json!(4)).tenant("t")).await;
    assert_eq!(reasons(&stage, in_lane).await, [behind(1, false, true)]);
    stage
        .enqueue_many((0..1_100).map(|n| job(json!(n))).collect())
        .await;
    let far = stage.enqueue(job(json!(5))).await;
    assert_eq!(reasons(&stage, far).await, [behind(1_000, true, false)]);
    // The line is counted no further than asked, and the answer serialises.
    let answer = serde_json::to_value(why(&stage, far).await).unwrap();
    assert_eq!(
        answer["reasons"],
        json!([{ "reason": "behind", "jobs": 1_000, "at_least": true, "of_lane": false }])
    );
}

#[tokio::test]
async fn a_job_that_is_not_due_says_until_when_and_what_failed() {
    let stage = Stage::new().await;
    sign_on(&stage, "w").await;
    let id = stage.enqueue(job(json!(1)).delay(Duration::from_hours(1))).await;
    let run_at = stage.job(id).await.run_at.unwrap();
    assert_eq!(reasons(&stage, id).await, [Reason::NotDue { until: run_at }]);
    stage
        .execute("update queue.job set attempt = 3, max_attempts = 5, last_error = 'no route'")
        .await;
    let retrying = Reason::Retrying {
        attempt: 3,
        max_attempts: 5,
        last_error: "no route".into(),
    };
    assert_eq!(
        reasons(&stage, id).await,
        [Reason::NotDue { until: run_at }, retrying]
    );
    stage
        .execute("update queue.job set attempt = 0, run_at = now() - interval '1 second'")
        .await;
    assert!(matches!(reasons(&stage, id).await[..], [Reason::Due { .. }]));
}

#[tokio::test]
async fn a_waiting_job_names_the_jobs_that_it_waits_for_and_how_they_stand() {
    let stage = Stage::new().await;
    sign_on(&stage, "w").await;
    let alive = stage.enqueue(job(json!(1))).await;
    let dead = stage.enqueue(job(json!(2))).await;
    let gone = stage.enqueue(job(json!(3))).await;
    let id = stage.enqueue(job(json!(4)).after([alive, dead, gone])).await;
    stage.cancel(dead).await;
    sqlx::query("delete from queue.job where id = $1")
        .bind(gone)
        .execute(&stage.pool)
        .await
        .unwrap();
    let awaited = |id, state| Awaited { id, state };
    let jobs = vec![
        awaited(alive, Some(State::Ready)),
        awaited(dead, Some(State::Cancelled)),
        awaited(gone, None),
    ];
    let reasons = reasons(&stage, id).await;
    assert_eq!(reasons, [Reason::WaitsFor { jobs, more: false }]);
    let text = reasons[0].to_string();
    assert!(
        text.contains(&format!("{dead}, {gone} will not end well by itself")),
        "{text}"
    );
}

#[tokio::test]
async fn pauses_are_named_the_queues_the_kinds_and_the_tenants() {
    let stage = Stage::new().await;
    sign_on(&stage, "w").await;
    let id = stage.enqueue(job(json!(1)).tenant("t")).await;
    let mut conn = stage.queue.pool().acquire().await.unwrap();
    stage.queue.pause(&mut conn, QUEUE, &ann()).await.unwrap();
    stage.queue.pause_kind(&mut conn, KIND, &ann()).await.unwrap();
    stage
        .queue
        .pause_tenant(&mut conn, QUEUE, "t", &ann())
        .await
        .unwrap();
    assert!(matches!(
        &reasons(&stage, id).await[..],
        [
            Reason::QueuePaused { queue, .. },
            Reason::KindPaused { kind, put_aside: false, .. },
            Reason::TenantPaused { tenant, .. },
        ] if queue == QUEUE && kind == KIND && tenant == "t"
    ));
}

/// A job put aside with its kind keeps its place, and is neither scheduled nor to be hurried.
#[tokio::test]
async fn a_job_put_aside_with_its_kind_is_ready_and_says_so() {
    let stage = Stage::new().await;
    let id = stage.enqueue(job(json!(1))).await;
    let mut conn = stage.queue.pool().acquire().await.unwrap();
    stage.queue.pause_kind(&mut conn, KIND, &ann()).await.unwrap();
    let probe = Probe::new(&stage);
    let worker = start(&stage, &probe);
    stage.until("select parked is not null from queue.job").await;
    assert!(matches!(
        reasons(&stage, id).await[..],
        [Reason::KindPaused { put_aside: true, .. }]
    ));
    assert_eq!(stage.job(id).await.state(), State::Ready);
    let counts = stage.queue.counts().await.unwrap();
    assert_eq!((counts[0].ready, counts[0].scheduled), (1, 0));
    let filter = |state| queue::Filter {
        states: vec![state],
        limit: 10,
        ..queue::Filter::default()
    };
    assert_eq!(
        stage.queue.list(&filter(State::Ready)).await.unwrap().jobs.len(),
        1
    );
    let scheduled = stage.queue.list(&filter(State::Scheduled)).await.unwrap();
    assert!(scheduled.jobs.is_empty());
    assert_eq!(
        stage.retry(id).await.unwrap(),
        queue::Action::NotAllowed(State::Ready),
        "as any ready job"
    );
    worker.stop().await;
    stage.queue.resume_kind(&mut conn, KIND, &ann()).await.unwrap();
    assert!(matches!(
        reasons(&stage, id).await[..],
        [Reason::PutAside { .. }, Reason::NoWorkerOfQueue { .. }]
    ));
}

#[tokio::test]
async fn without_a_worker_that_could_run_it_the_job_says_what_is_missing() {
    let stage = Stage::new().await;
    let id = stage.enqueue(job(json!(1))).await;
    let none = |late: &[&str]| Reason::NoWorkerOfQueue {
        queue: QUEUE.into(),
        late: late.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(reasons(&stage, id).await, [none(&[])]);
    sign_on(&stage, "w").await;
    stage.execute("update queue.worker set kinds = '{}'").await;
    let unknown = Reason::NoWorkerOfKind {
        kind: KIND.into(),
        workers: vec!["w".into()],
    };
    assert_eq!(reasons(&stage, id).await, [unknown]);
    sign_on(&stage, "x").await;
    assert_eq!(reasons(&stage, id).await, [Reason::Nothing]);
    stage
        .execute("update queue.worker set draining_at = now() where name = 'x'")
        .await;
    let draining = Reason::WorkersDrain {
        workers: vec!["x".into()],
    };
    assert_eq!(reasons(&stage, id).await, [draining]);
    stage
        .execute("update queue.worker set draining_at = null, held = concurrency where name = 'x'")
        .await;
    assert_eq!(
        reasons(&stage, id).await,
        [Reason::WorkersBusy { running: 2, slots: 2 }]
    );
    stage
        .execute("update queue.worker set heartbeat_at = now() - interval '2 minutes'")
        .await;
    assert_eq!(reasons(&stage, id).await, [none(&["w", "x"])]);
}

#[tokio::test]
async fn a_reached_limit_says_who_holds_it() {
    let stage = Stage::new().await;
    let limits = Limits {
        max_running: Some(2),
        ..Limits::default()
    };
    limit(&stage, limits).await;
    let probe = Probe::new(&stage);
    let worker = start(&stage, &probe);
    stage.enqueue_many(vec![job(json!(1)), job(json!(2))]).await;
    probe.until_seen(2).await;
    let id = stage.enqueue(job(json!(3))).await;
    let reason = until_says(&stage, id, "2 jobs of 2 that may run at once: w runs 2.").await;
    assert!(matches!(
        reason,
        Reason::QueueLimit {
            running: 2,
            max: 2,
            ..
        }
    ));
    probe.open(3);
    stage.until_empty().await;
    worker.stop().await;
}

#[tokio::test]
async fn a_reached_limit_of_a_key_says_which_jobs_hold_it() {
    let stage = Stage::new().await;
    let limits = Limits {
        max_running_per_key: Some(2),
        ..Limits::default()
    };
    limit(&stage, limits).await;
    let probe = Probe::new(&stage);
    let worker = start(&stage, &probe);
    let of_key = |n: i32| job(json!(n)).key("k");
    let held = stage.enqueue_many(vec![of_key(1), of_key(2).tenant("t")]).await;
    probe.until_seen(2).await;
    let id = stage.enqueue(of_key(3)).await;
    let other = stage
        .enqueue(job(json!(4)).key("free").delay(Duration::from_hours(1)))
        .await;
    let reason = until_says(&stage, id, "have the key k").await;
    let expected = Reason::KeyLimit {
        key: "k".into(),
        running: 2,
        max: 2,
        jobs: held,
        more: false,
    };
    assert_eq!(reason, expected);
    assert!(matches!(
        reasons(&stage, other).await[..],
        [Reason::NotDue { .. }]
    ));
    stage.cancel(other).await;
    probe.open(3);
    stage.until_empty().await;
    worker.stop().await;
}

#[tokio::test]
async fn an_exhausted_rate_says_when_the_next_may_start() {
    let stage = Stage::new().await;
    let rate = Rate {
        jobs: 2,
        period: Duration::from_hours(2),
    };
    let limits = Limits {
        rate: Some(rate),
        rate_per_key: Some(Rate { jobs: 1, ..rate }),
        ..Limits::default()
    };
    limit(&stage, limits).await;
    let probe = Probe::new(&stage);
    probe.open(10);
    let worker = start(&stage, &probe);
    stage.enqueue(job(json!(1)).key("k")).await;
    probe.until_seen(1).await;
    let of_key = stage.enqueue(job(json!(2)).key("k")).await;
    let explanation = why(&stage, of_key).await;
    let Reason::KeyRate { next_at, .. } = explanation.reasons[0] else {
        panic!("the key's rate, and not yet the queue's: {explanation:?}");
    };
    // One in two hours: the next one two hours after the first.
    let wait = next_at - explanation.as_of;
    assert!((119..=120).contains(&wait.num_minutes()), "{wait}");
    stage.enqueue(job(json!(3))).await;
    probe.until_seen(2).await;
    let id = stage.enqueue(job(json!(4))).await;
    let explanation = why(&stage, id).await;
    let Reason::QueueRate { next_at, .. } = explanation.reasons[0] else {
        panic!("the queue's rate: {explanation:?}");
    };
    // Two in two hours, both at once: the next one an hour later.
    let wait = next_at - explanation.as_of;
    assert!((59..=60).contains(&wait.num_minutes()), "{wait}");
    worker.stop().await;
}

#[tokio::test]
async fn a_running_job_says_where_and_a_finished_one_how_it_ended() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    let worker = start(&stage, &probe);
    let id = stage.enqueue(job(json!(1))).await;
    probe.until_seen(1).await;
    let explanation = why(&stage, id).await;
    assert_eq!(explanation.state, State::Running);
    assert!(
        matches!(
            &explanation.reasons[..],
            [Reason::Running { worker: Some(worker), since: Some(_), heartbeat_age_ms: Some(age),
                is_late: false, is_cancel_requested: false }] if worker == "w" && *age < 30_000
        ),
        "{explanation:?}"
    );
    probe.open(1);
    stage.reaches(id, State::Completed).await;
    assert!(matches!(
        reasons(&stage, id).await[..],
        [Reason::Finished {
            state: State::Completed,
            at: Some(_),
            ..
        }]
    ));
    worker.stop().await;
    let id = stage.enqueue(job(json!(2))).await;
    stage.cancel(id).await;
    let text = reasons(&stage, id).await[0].to_string();
    assert!(
        text.contains("It is cancelled since") && text.contains("nobody wants it. Retry"),
        "{text}"
    );
}
