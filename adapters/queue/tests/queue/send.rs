//! Enqueue outside of any transaction: who sends at the same time shares a commit.

use std::time::Duration;

use queue::{Error, OnConflict, Verdict};
use serde_json::{Value, json};
use sqlx::{PgPool, Postgres, Transaction};

use crate::harness::{Stage, job};

/// Keeps everybody else from inserting jobs.
async fn hold_up(pool: &PgPool) -> Transaction<'static, Postgres> {
    let mut tx = pool.begin().await.unwrap();
    sqlx::query("lock table queue.job in exclusive mode")
        .execute(&mut *tx)
        .await
        .unwrap();
    tx
}

/// Waits until somebody stands before the lock.
async fn until_one_is_held_up(stage: &Stage) {
    stage
        .until("select exists (select from pg_locks where not granted and relation = 'queue.job'::regclass)")
        .await;
}

#[tokio::test]
async fn those_who_send_while_a_commit_is_under_way_share_the_next() {
    let stage = Stage::new().await;
    stage.queue.prepare("test", "test.job").await.unwrap();
    let held_up = hold_up(&stage.pool).await;
    let first = tokio::spawn({
        let queue = stage.queue.clone();
        async move { queue.send(job(json!(0))).await }
    });
    until_one_is_held_up(&stage).await;
    let mut rest = Vec::new();
    for n in 1..=200 {
        let mut send = Box::pin({
            let queue = stage.queue.clone();
            async move { queue.send(job(json!(n))).await }
        });
        assert!(futures::poll!(&mut send).is_pending());
        rest.push(send);
    }
    held_up.rollback().await.unwrap();
    let first = first.await.unwrap().unwrap();
    let mut ids: Vec<i64> = vec![first.id];
    for answer in futures::future::join_all(rest).await {
        let answer = answer.unwrap();
        assert_eq!(answer.verdict, Verdict::Inserted);
        ids.push(answer.id);
    }
    let stored: Vec<(i64, Value)> = sqlx::query_as("select id, args from queue.job order by args")
        .fetch_all(&stage.pool)
        .await
        .unwrap();
    let sent: Vec<(i64, Value)> = ids.into_iter().zip((0..=200).map(|n| json!(n))).collect();
    assert_eq!(stored, sent, "each has its own identifier back");
    let commits: i64 = sqlx::query_scalar("select count(distinct xmin::text) from queue.job")
        .fetch_one(&stage.pool)
        .await
        .unwrap();
    assert_eq!(commits, 2);
}

#[tokio::test]
async fn a_job_that_the_database_refuses_spoils_nobody_elses() {
    let stage = Stage::new().await;
    stage.queue.prepare("test", "test.job").await.unwrap();
    sqlx::query("alter table queue.job add check (args <> '\"bad\"')")
        .execute(&stage.pool)
        .await
        .unwrap();
    let held_up = hold_up(&stage.pool).await;
    let sends: Vec<_> = ["first", "good", "bad", "better"]
        .into_iter()
        .map(|args| {
            let queue = stage.queue.clone();
            tokio::spawn(async move { queue.send(job(json!(args))).await })
        })
        .collect();
    until_one_is_held_up(&stage).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    held_up.rollback().await.unwrap();
    let mut refused = Vec::new();
    for (n, send) in sends.into_iter().enumerate() {
        if let Err(error) = send.await.unwrap() {
            assert!(matches!(error, Error::Database(_)), "{error}");
            refused.push(n);
        }
    }
    assert_eq!(refused, [2]);
    let stored: Vec<Value> = sqlx::query_scalar("select args from queue.job order by args")
        .fetch_all(&stage.pool)
        .await
        .unwrap();
    assert_eq!(stored, [json!("better"), json!("first"), json!("good")]);
}

#[tokio::test]
async fn a_sender_that_goes_away_takes_nobody_elses_job_with_it() {
    let stage = Stage::new().await;
    stage.queue.prepare("test", "test.job").await.unwrap();
    let held_up = hold_up(&stage.pool).await;
    let first = tokio::spawn({
        let queue = stage.queue.clone();
        async move { queue.send(job(json!("gone"))).await }
    });
    until_one_is_held_up(&stage).await;
    let second = tokio::spawn({
        let queue = stage.queue.clone();
        async move { queue.send(job(json!("stays"))).await }
    });
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    held_up.rollback().await.unwrap();
    let id = second.await.unwrap().unwrap().id;
    assert_eq!(stage.job(id).await.args, json!("stays"));
}

#[tokio::test]
async fn a_key_that_is_taken_is_a_verdict_here_too() {
    let stage = Stage::new().await;
    stage.queue.prepare("test", "test.job").await.unwrap();
    let keyed = |n: i32| job(json!(n)).unique("one", OnConflict::Keep);
    let (a, b, c) = tokio::join!(
        stage.queue.send(keyed(1)),
        stage.queue.send(keyed(2)),
        stage.queue.send(job(json!(3)))
    );
    let (a, b, c) = (a.unwrap(), b.unwrap(), c.unwrap());
    // Either may have been the first.
    let both = [a.verdict, b.verdict];
    assert!(
        both.contains(&Verdict::Inserted) && both.contains(&Verdict::Kept),
        "{both:?}"
    );
    assert_eq!((a.id, c.verdict), (b.id, Verdict::Inserted));
    let invalid = stage.queue.send(job(json!(1)).key("")).await.unwrap_err();
    assert!(matches!(invalid, Error::Invalid(_)), "{invalid}");
}

#[tokio::test]
async fn a_key_that_somebody_holds_open_keeps_nobody_elses_job_waiting() {
    let stage = Stage::new().await;
    let keyed = |n: i32| job(json!(n)).unique("one", OnConflict::Keep);
    let mut open = stage.pool.begin().await.unwrap();
    let held = stage.queue.enqueue(&mut open, keyed(1)).await.unwrap();
    let waits = tokio::spawn({
        let queue = stage.queue.clone();
        async move { queue.send(keyed(2)).await }
    });
    stage
        .until("select exists (select from pg_locks where not granted and locktype = 'transactionid')")
        .await;
    let others = stage.queue.send(job(json!(3)));
    let others = tokio::time::timeout(Duration::from_secs(10), others).await;
    assert_eq!(others.unwrap().unwrap().verdict, Verdict::Inserted);
    assert!(!waits.is_finished());
    open.commit().await.unwrap();
    let kept = waits.await.unwrap().unwrap();
    assert_eq!((kept.id, kept.verdict), (held.id, Verdict::Kept));
}
