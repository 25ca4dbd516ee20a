//! History: finished jobs by day, days made ahead and dropped whole.

use queue::{JobError, Outcome, Policy, Registry};
use serde_json::json;

use crate::harness::{KIND, Stage, job, options};

#[tokio::test]
async fn a_finished_job_stands_in_todays_partition() {
    let stage = Stage::new().await;
    let registry = Registry::new().add(KIND, Policy::default(), |(), job: queue::Job<bool>| async move {
        if job.args {
            Ok(Outcome::Done)
        } else {
            Err(JobError::fail("no"))
        }
    });
    let worker = stage.start(registry, (), options("w", 2));
    stage
        .enqueue_many(vec![job(json!(true)), job(json!(false))])
        .await;
    stage.until_empty().await;
    worker.stop().await;
    for table in [
        "select tableoid::regclass::text from queue.history",
        "select tableoid::regclass::text from queue.attempt",
    ] {
        let partitions: Vec<String> = sqlx::query_scalar(table).fetch_all(&stage.pool).await.unwrap();
        assert!(!partitions.is_empty());
        // Around midnight it may have been yesterday.
        let days: Vec<String> = sqlx::query_scalar(
            "select to_char(now() at time zone 'utc' - n * interval '1 day', '_YYYYMMDD')
            from generate_series(0, 1) as n",
        )
        .fetch_all(&stage.pool)
        .await
        .unwrap();
        for partition in partitions {
            assert!(days.iter().any(|day| partition.ends_with(day)), "{partition}");
        }
    }
}

const PARTITIONS: &str = "select count(*) from pg_inherits
    where inhparent in ('queue.history'::regclass, 'queue.attempt'::regclass)";

async fn maintain(stage: &Stage, ahead_days: i32, keep_days: i32) -> (i32, i32) {
    sqlx::query_as("select * from queue.maintain_partitions($1, $2)")
        .bind(ahead_days)
        .bind(keep_days)
        .fetch_one(&stage.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn partitions_are_made_ahead_and_old_days_dropped_whole() {
    let stage = Stage::new().await;
    let before = stage.number(PARTITIONS).await;
    assert_eq!(before, 2 * (1 + 1 + 7), "yesterday, today and a week");
    assert_eq!(
        maintain(&stage, 7, 30).await,
        (0, 0),
        "a second time changes nothing"
    );
    assert_eq!(maintain(&stage, 10, 30).await, (6, 0));
    stage
        .execute(
            "create table queue.history_20200102 partition of queue.history
                for values from ('2020-01-02 00:00Z') to ('2020-01-03 00:00Z');
            create table queue.attempt_20200102 partition of queue.attempt
                for values from ('2020-01-02 00:00Z') to ('2020-01-03 00:00Z');
            insert into queue.history (id, created_at, finished_at, kind_id, attempt, max_attempts, queue_id,
                priority, state, args)
            values (1, '2020-01-02', '2020-01-02 12:00Z', 1, 1, 1, 1, 0, 0, 'null')",
        )
        .await;
    assert_eq!(
        maintain(&stage, 10, 100_000).await,
        (0, 0),
        "kept for long enough"
    );
    assert_eq!(maintain(&stage, 10, 30).await, (0, 2));
    assert_eq!(stage.number("select count(*) from queue.history").await, 0);
    assert_eq!(stage.number(PARTITIONS).await, before + 6);
    // Today and yesterday stay however short the retention.
    assert_eq!(maintain(&stage, 10, 1).await, (0, 0));
}

/// The day's bounds are UTC's, whatever the session's time zone.
#[tokio::test]
async fn the_days_are_utcs_in_every_time_zone() {
    let stage = Stage::new().await;
    let mut conn = stage.pool.acquire().await.unwrap();
    sqlx::raw_sql("set time zone 'Pacific/Kiritimati'; select * from queue.maintain_partitions(12, 30)")
        .execute(&mut *conn)
        .await
        .unwrap();
    sqlx::raw_sql("set time zone 'America/Los_Angeles'; select * from queue.maintain_partitions(14, 30)")
        .execute(&mut *conn)
        .await
        .unwrap();
    sqlx::raw_sql("set time zone 'utc'")
        .execute(&mut *conn)
        .await
        .unwrap();
    let odd: Vec<String> = sqlx::query_scalar(
        "select c.relname::text from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'queue.history'::regclass
          and pg_get_expr(c.relpartbound, c.oid) not like
            '%(''' || to_char(to_date(right(c.relname, 8), 'YYYYMMDD'), 'YYYY-MM-DD') || ' 00:00:00+00'')%'",
    )
    .fetch_all(&mut *conn)
    .await
    .unwrap();
    assert!(odd.is_empty(), "{odd:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_can_be_maintained_by_many_at_once() {
    let stage = Stage::new().await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let pool = stage.pool.clone();
        tasks.spawn(async move {
            let (made, dropped): (i32, i32) =
                sqlx::query_as("select * from queue.maintain_partitions(40, 30)")
                    .fetch_one(&pool)
                    .await
                    .unwrap();
            made + dropped
        });
    }
    let changes: i32 = tasks.join_all().await.into_iter().sum();
    assert_eq!(changes, 2 * 33, "33 more days, once each");
}
