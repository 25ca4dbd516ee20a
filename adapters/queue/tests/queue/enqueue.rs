//! Enqueue: in the caller's transaction, from SQL, one and many.

use std::time::Duration;

use queue::{Enqueued, Error, NewJob, OnConflict, Outcome, Policy, Queue, Registry, State, Verdict};
use serde_json::{Value, json};
use sqlx::types::chrono::{DateTime, Utc};

use crate::harness::{KIND, Probe, QUEUE, Stage, job, options, pool};

#[tokio::test]
async fn a_job_is_seen_when_its_transaction_commits_and_not_when_it_rolls_back() {
    let stage = Stage::new().await;
    let mut lost = stage.pool.begin().await.unwrap();
    stage.queue.enqueue(&mut lost, job(json!("lost"))).await.unwrap();
    lost.rollback().await.unwrap();

    let mut kept = stage.pool.begin().await.unwrap();
    let answer = stage.queue.enqueue(&mut kept, job(json!("kept"))).await.unwrap();
    assert_eq!(answer.verdict, Verdict::Inserted);
    assert!(
        stage.queue.get(answer.id).await.unwrap().is_none(),
        "seen too early"
    );
    kept.commit().await.unwrap();

    let jobs: Vec<Value> = sqlx::query_scalar("select args from queue.job")
        .fetch_all(&stage.pool)
        .await
        .unwrap();
    assert_eq!(jobs, [json!("kept")]);
}

#[tokio::test]
async fn a_job_keeps_all_that_was_said_about_it() {
    let stage = Stage::new().await;
    let new = job(json!({"a": [1, "ä", null]}))
        .priority(-3)
        .max_attempts(7)
        .timeout(Duration::from_millis(1_500))
        .correlation_id("run-7")
        .traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .tag("red")
        .tag("round");
    let id = stage.enqueue(new).await;
    let row = stage.job(id).await;
    assert_eq!((row.kind.as_str(), row.queue.as_str()), (KIND, QUEUE));
    assert_eq!((row.priority, row.attempt, row.max_attempts), (-3, 0, 7));
    assert_eq!(row.correlation_id.as_deref(), Some("run-7"));
    assert_eq!(
        row.traceparent.as_deref(),
        Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    );
    assert_eq!(row.args, json!({"a": [1, "ä", null]}));
    assert_eq!(row.state(), State::Ready);
    let (timeout_ms, tags): (i32, Vec<String>) = sqlx::query_as("select timeout_ms, tags from queue.job")
        .fetch_one(&stage.pool)
        .await
        .unwrap();
    assert_eq!(timeout_ms, 1_500);
    assert_eq!(tags, ["red", "round"]);
}

#[tokio::test]
async fn a_job_enqueued_from_sql_runs_at_once_or_after_its_delay() {
    let stage = Stage::new().await;
    let mut tx = stage.pool.begin().await.unwrap();
    let enqueue = "select queue.enqueue('test', 'test.job', $1, 'corr', 'trace', $2)";
    let now: i64 = sqlx::query_scalar(enqueue)
        .bind(json!(1))
        .bind(0_i64)
        .fetch_one(&mut *tx)
        .await
        .unwrap();
    let later: i64 = sqlx::query_scalar(enqueue)
        .bind(json!(2))
        .bind(400_i64)
        .fetch_one(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(stage.job(now).await.state(), State::Ready);
    assert_eq!(stage.job(later).await.state(), State::Scheduled);
    assert_eq!(stage.job(now).await.correlation_id.as_deref(), Some("corr"));

    let probe = Probe::new(&stage);
    let worker = stage.start(done(), probe.clone(), options("w", 4));
    let row = stage.reaches(later, State::Completed).await;
    assert!(row.started_at.unwrap() - row.created_at >= chrono::Duration::milliseconds(400));
    assert_eq!(
        probe.seen().iter().map(|seen| seen.id).collect::<Vec<_>>(),
        [now, later]
    );
    worker.stop().await;
    stage.assert_empty().await;
}

/// One, many, under a key and after another job.
#[tokio::test]
async fn a_job_for_a_point_in_time_has_exactly_that_time_and_one_that_has_passed_is_now() {
    let stage = Stage::new().await;
    let now: DateTime<Utc> = sqlx::query_scalar("select clock_timestamp()")
        .fetch_one(&stage.pool)
        .await
        .unwrap();
    let hour = chrono::Duration::hours(1);
    for (at, state, run_at) in [
        (now + hour, State::Scheduled, Some(now + hour)),
        (now - hour, State::Ready, None),
    ] {
        let new = || job(json!(0)).run_at(at);
        let mut ids = stage.enqueue_many(vec![new(), new().tenant("acme")]).await;
        ids.push(stage.enqueue(new()).await);
        ids.push(stage.enqueue(new().tenant("acme").key("site")).await);
        let key = format!("{state:?}");
        ids.push(stage.enqueue(new().unique(key.clone(), OnConflict::Keep)).await);
        for id in ids {
            let row = stage.job(id).await;
            assert_eq!((row.state(), row.run_at), (state, run_at));
        }
        let replaced = job(json!(1)).unique(key, OnConflict::Replace).run_at(at + hour);
        let id = stage.enqueue(replaced).await;
        let later = (run_at.is_some()).then(|| at + hour);
        assert_eq!(stage.job(id).await.run_at, later.filter(|later| *later > now));
    }
    assert_eq!(
        stage
            .number("select count(*) from queue.job where seq is null and run_at is null")
            .await,
        0,
        "each has a time or a place in line"
    );
    let first = stage.enqueue(job(json!(0))).await;
    stage
        .enqueue(job(json!(0)).after([first]).run_at(now + hour))
        .await;
    let not_before: DateTime<Utc> = sqlx::query_scalar("select not_before from queue.job where waiting")
        .fetch_one(&stage.pool)
        .await
        .unwrap();
    assert_eq!(not_before, now + hour);
    // The last word counts.
    let now_all_the_same = job(json!(0)).run_at(now + hour).delay(Duration::ZERO);
    let id = stage.enqueue(now_all_the_same).await;
    assert_eq!(stage.job(id).await.state(), State::Ready);
}

#[tokio::test]
async fn a_job_enqueued_from_sql_for_a_point_in_time_has_that_time() {
    let stage = Stage::new().await;
    let enqueue = "select queue.enqueue_at($1, 'test', 'test.job', 'null', p_tenant => 'acme')";
    let now: DateTime<Utc> = sqlx::query_scalar("select clock_timestamp()")
        .fetch_one(&stage.pool)
        .await
        .unwrap();
    let hour = chrono::Duration::hours(1);
    for (at, state, run_at) in [
        (now + hour, State::Scheduled, Some(now + hour)),
        (now - hour, State::Ready, None),
    ] {
        let id = sqlx::query_scalar(enqueue).bind(at);
        let row = stage.job(id.fetch_one(&stage.pool).await.unwrap()).await;
        assert_eq!((row.state(), row.run_at), (state, run_at));
        assert_eq!(row.tenant.as_deref(), Some("acme"));
    }
}

/// Jobs of all sorts, each with its number and so much more in its arguments.
fn assorted(count: usize, more: &str) -> Vec<NewJob> {
    (0..count)
        .map(|n| {
            let new = NewJob::new(
                if n % 2 == 0 { "even" } else { "odd" },
                format!("kind.{}", n % 3),
                json!([n, more]),
            );
            match n % 7 {
                0 => new.unique(format!("key {n}"), queue::OnConflict::Keep),
                1 => new.tag("red").tag("ro\"und").correlation_id("run-7"),
                2 => new.delay(Duration::from_hours(1)).priority(-3),
                3 => new.tenant("acme").key("k"),
                4 => new
                    .max_attempts(7)
                    .timeout(Duration::from_millis(1_500))
                    .traceparent("00-4b"),
                _ => new,
            }
        })
        .collect()
}

async fn are_answered_in_their_order(more: &str) {
    let stage = Stage::new().await;
    let count = 70;
    let mut tx = stage.pool.begin().await.unwrap();
    let answers = stage
        .queue
        .enqueue_many(&mut tx, assorted(count, more))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(answers.len(), count);
    for (n, answer) in answers.into_iter().enumerate() {
        let row = stage.job(answer.id).await;
        assert_eq!(row.args, json!([n, more]), "answer {n} belongs to another job");
        assert_eq!(row.queue, if n % 2 == 0 { "even" } else { "odd" });
        assert_eq!(row.kind, format!("kind.{}", n % 3));
        let is_delayed = n % 7 == 2;
        assert_eq!(
            row.state(),
            if is_delayed {
                State::Scheduled
            } else {
                State::Ready
            }
        );
        assert_eq!(row.run_at.is_some(), is_delayed);
        assert_eq!(row.priority, if is_delayed { -3 } else { 0 });
        assert_eq!(row.correlation_id.as_deref(), (n % 7 == 1).then_some("run-7"));
        assert_eq!(row.tenant.as_deref(), (n % 7 == 3).then_some("acme"));
        assert_eq!(row.key.as_deref(), (n % 7 == 3).then_some("k"));
        assert_eq!(row.traceparent.as_deref(), (n % 7 == 4).then_some("00-4b"));
        assert_eq!(row.max_attempts, if n % 7 == 4 { 7 } else { 20 });
        let (timeout_ms, tags, in_lane): (Option<i32>, Option<Vec<String>>, bool) =
            sqlx::query_as("select timeout_ms, tags, lane is not distinct from queue.lane('acme', 'k') from queue.job where id = $1")
                .bind(answer.id)
                .fetch_one(&stage.pool)
                .await
                .unwrap();
        assert_eq!(timeout_ms, (n % 7 == 4).then_some(1_500));
        assert_eq!(
            tags,
            (n % 7 == 1).then(|| vec!["red".to_owned(), "ro\"und".to_owned()])
        );
        assert_eq!(in_lane, n % 7 == 3);
    }
}

#[tokio::test]
async fn many_jobs_are_answered_in_their_order() {
    are_answered_in_their_order("").await;
}

#[tokio::test]
async fn so_many_that_they_are_copied_are_answered_in_their_order() {
    are_answered_in_their_order(&"x".repeat(32_768)).await;
}

#[tokio::test]
async fn no_jobs_at_all_are_no_error() {
    let stage = Stage::new().await;
    assert!(stage.enqueue_many(Vec::new()).await.is_empty());
}

#[tokio::test]
async fn an_invalid_name_is_said_and_leaves_the_callers_transaction_alive() {
    let stage = Stage::new().await;
    let mut tx = stage.pool.begin().await.unwrap();
    for name in [
        "",
        "Upper",
        "a b",
        "ü",
        "-first",
        ".first",
        "_first",
        &"x".repeat(64),
    ] {
        let refused = stage
            .queue
            .enqueue(&mut tx, NewJob::new(name.to_owned(), KIND, json!(0)))
            .await;
        assert!(
            matches!(refused, Err(Error::Invalid(_))),
            "queue `{name}`: {refused:?}"
        );
    }
    for name in ["", &"x".repeat(129)] {
        let refused = stage
            .queue
            .enqueue(&mut tx, NewJob::new(QUEUE, name.to_owned(), json!(0)))
            .await;
        assert!(
            matches!(refused, Err(Error::Invalid(_))),
            "kind `{name}`: {refused:?}"
        );
    }
    for key in ["", &"x".repeat(513)] {
        let refused = stage
            .queue
            .enqueue(&mut tx, job(json!(0)).unique(key, queue::OnConflict::Keep))
            .await;
        assert!(
            matches!(refused, Err(Error::Invalid(_))),
            "key `{key}`: {refused:?}"
        );
    }
    stage
        .queue
        .enqueue(&mut tx, job(json!("still alive")))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(stage.number("select count(*) from queue.job").await, 1);
}

#[tokio::test]
async fn a_delay_beyond_all_time_is_cut_and_aborts_nothing() {
    let stage = Stage::new().await;
    let mut tx = stage.pool.begin().await.unwrap();
    let one = stage
        .queue
        .enqueue(&mut tx, job(json!(1)).delay(Duration::MAX))
        .await
        .unwrap();
    let two = stage
        .queue
        .enqueue_many(&mut tx, vec![job(json!(2)).delay(Duration::MAX)])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    for id in [one.id, two[0].id] {
        assert_eq!(stage.job(id).await.state(), State::Scheduled);
    }
}

/// A caller in a transaction holds a connection already; the first use of a name must not wait for another.
#[tokio::test]
async fn a_first_enqueue_needs_no_second_connection_of_the_pool() {
    let stage = Stage::new().await;
    let small = pool(&stage.url, 1).await;
    let queue = Queue::new(small.clone());
    let mut tx = small.begin().await.unwrap();
    let answer = tokio::time::timeout(
        Duration::from_secs(10),
        queue.enqueue(&mut tx, NewJob::new("never.seen", "never.seen", json!(0))),
    )
    .await
    .expect("the enqueue waits for a connection that it holds itself")
    .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(stage.job(answer.id).await.queue, "never.seen");
}

#[tokio::test]
async fn a_job_starts_not_before_its_delay_has_passed() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    let worker = stage.start(done(), probe.clone(), options("w", 4));
    let id = stage
        .enqueue(job(json!(0)).delay(Duration::from_millis(600)))
        .await;
    let row = stage.job(id).await;
    assert_eq!(row.state(), State::Scheduled);
    let wait = row.run_at.unwrap() - row.created_at;
    assert!((599..=700).contains(&wait.num_milliseconds()), "{wait}");
    let row = stage.reaches(id, State::Completed).await;
    let waited = row.started_at.unwrap() - row.created_at;
    assert!(
        (600..5_000).contains(&waited.num_milliseconds()),
        "started after {waited}"
    );
    worker.stop().await;
    stage.assert_empty().await;
}

/// Callers meet new names all at once, and migrate all at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_first_uses_agree_on_one_number() {
    let stage = Stage::new().await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..8 {
        let pool = stage.pool.clone();
        tasks.spawn(async move {
            queue::migrate(&pool).await.unwrap();
            // A handle of its own: nothing is remembered.
            let queue = Queue::new(pool.clone());
            let mut conn = pool.acquire().await.unwrap();
            queue
                .enqueue(&mut conn, NewJob::new("fresh", "fresh.kind", json!(n)))
                .await
                .unwrap()
        });
    }
    let answers: Vec<Enqueued> = tasks.join_all().await;
    assert_eq!(answers.len(), 8);
    assert_eq!(
        stage
            .number("select count(distinct (queue_id, kind_id)) from queue.job")
            .await,
        1
    );
    assert_eq!(
        stage
            .number("select count(*) from queue.queue where name = 'fresh'")
            .await,
        1
    );
}

fn done() -> Registry<Probe> {
    Registry::new().add(KIND, Policy::default(), |probe: Probe, job| async move {
        probe.see(&job);
        Ok::<_, queue::JobError>(Outcome::Done)
    })
}
