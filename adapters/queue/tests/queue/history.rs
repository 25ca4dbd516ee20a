//! History: finished jobs by the last day that they are kept, days made ahead and dropped whole.

use queue::{Error, JobError, NewJob, Outcome, Policy, Registry, WorkerOptions};
use serde_json::{Value, json};
use testkit::postgres::TestDatabase;

use crate::harness::{KIND, QUEUE, Stage, options, pool};

const PARTITIONS: &str = "select count(*) from pg_inherits
    where inhparent in ('queue.history'::regclass, 'queue.attempt'::regclass)";

async fn keep(stage: &Stage, ahead_days: i32) -> (i32, i32, bool) {
    sqlx::query_as("select * from queue.keep_partitions($1)")
        .bind(ahead_days)
        .fetch_one(&stage.pool)
        .await
        .unwrap()
}

/// For how many days after its end jobs are kept, with how many there are.
async fn kept(stage: &Stage) -> Vec<(i32, i64)> {
    sqlx::query_as(
        r#"select expires_on - (finished_at at time zone 'utc')::date, count(*) from queue.history
        where tableoid::regclass::text = to_char(expires_on, '"queue.history_"YYYYMMDD')
        group by 1 order by 1"#,
    )
    .fetch_all(&stage.pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn partitions_are_made_ahead_and_old_days_dropped_whole() {
    let stage = Stage::new().await;
    let before = stage.number(PARTITIONS).await;
    assert_eq!(before, 2 * (1 + 1 + 7), "yesterday, today and a week");
    assert_eq!(
        keep(&stage, 7).await,
        (0, 0, false),
        "a second time changes nothing"
    );
    assert_eq!(keep(&stage, 10).await, (6, 0, false));
    stage
        .execute(
            "select queue.make_partition('history', '2020-02-01'), queue.make_partition('attempt', '2020-01-02');
            insert into queue.history (id, created_at, kind_id, attempt, max_attempts, queue_id, priority, state,
                args, expires_on)
            values (1, '2020-01-02', 1, 1, 1, 1, 0, 0, 'null', '2020-02-01')",
        )
        .await;
    assert_eq!(stage.number("select count(*) from queue.history").await, 1);
    assert_eq!(keep(&stage, 10).await, (0, 2, false));
    assert_eq!(stage.number("select count(*) from queue.history").await, 0);
    assert_eq!(stage.number(PARTITIONS).await, before + 6);
    // As the previous version calls it.
    let changed = stage.number("select (made + dropped)::bigint from queue.maintain_partitions(10, 1)");
    assert_eq!(changed.await, 0);
}

/// Jobs of three queues end on one day; a day that is over is dropped for the queue that kept it the least.
#[tokio::test]
async fn each_queue_keeps_its_jobs_for_its_own_time() {
    let stage = Stage::new().await;
    stage.queue.set_retention("brief", 1).await.unwrap();
    stage.queue.set_retention("long", 40).await.unwrap();
    assert_eq!(stage.queue.retention("brief").await.unwrap(), 1);
    assert_eq!(stage.queue.retention(QUEUE).await.unwrap(), 30);
    let registry = Registry::new().add(KIND, Policy::default(), |(), _: queue::Job<Value>| async {
        Ok::<_, JobError>(Outcome::Done)
    });
    let queues = ["brief", "long", QUEUE];
    let worker = WorkerOptions {
        queues: queues.map(|queue| (queue.into(), 4)).to_vec(),
        ..options("w", 4)
    };
    let worker = stage.start(registry, (), worker);
    let jobs = ["brief", "long", "long", QUEUE, QUEUE, QUEUE];
    stage
        .enqueue_many(jobs.map(|queue| NewJob::new(queue, KIND, json!(0))).to_vec())
        .await;
    stage.until_empty().await;
    worker.stop().await;
    assert_eq!(kept(&stage).await, [(1, 1), (30, 3), (40, 2)]);
    // Days pass for the partition of the first queue.
    stage
        .execute(
            r#"do $$ declare part text := (select to_char(min(expires_on), '"history_"YYYYMMDD') from queue.history);
            begin
                execute format('alter table queue.history detach partition queue.%I', part);
                execute format('update queue.%I set expires_on = %L', part, '2020-01-01');
                execute format('alter table queue.%I rename to history_20200101', part);
                alter table queue.history attach partition queue.history_20200101
                    for values from ('2020-01-01') to ('2020-01-02');
            end $$"#,
        )
        .await;
    assert_eq!(stage.number("select count(*) from queue.history").await, 6);
    let (_, dropped, is_left) = keep(&stage, 7).await;
    assert_eq!(
        (dropped, is_left),
        (1, false),
        "a day of one retention is one table"
    );
    assert_eq!(kept(&stage).await, [(30, 3), (40, 2)]);
}

#[tokio::test]
async fn a_retention_without_sense_is_refused() {
    let stage = Stage::new().await;
    for days in [0, 3651] {
        let refused = stage.queue.set_retention(QUEUE, days).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    }
    stage.queue.set_retention(QUEUE, 3650).await.unwrap();
    assert_eq!(keep(&stage, 7).await, (0, 0, false), "all it needs is there");
}

/// A reader that holds history open delays the drop, and nobody else.
#[tokio::test]
async fn a_partition_in_use_is_left_for_the_next_time() {
    let stage = Stage::new().await;
    stage
        .execute("select queue.make_partition('history', '2020-02-01')")
        .await;
    let mut reader = stage.pool.begin().await.unwrap();
    sqlx::query("select count(*) from queue.history")
        .execute(&mut *reader)
        .await
        .unwrap();
    assert_eq!(
        keep(&stage, 8).await,
        (2, 0, true),
        "new ones don't wait for a reader"
    );
    reader.rollback().await.unwrap();
    assert_eq!(keep(&stage, 8).await, (0, 1, false));
}

/// History as it was before retention per queue, and a binary of then that goes on for a while.
#[tokio::test]
async fn the_history_of_the_previous_version_is_carried_over() {
    for rows in [0, 100_000] {
        let database = TestDatabase::create().await;
        let pool = pool(database.url(), 2).await;
        let before = [
            "create schema queue",
            include_str!("../../../../migrations/queue/0001_queue.sql"),
            include_str!("../../../../migrations/queue/0002_lanes.sql"),
        ];
        for sql in before {
            sqlx::raw_sql(sql).execute(&pool).await.unwrap();
        }
        let insert = "insert into queue.history (id, created_at, finished_at, kind_id, attempt, max_attempts, queue_id,
                priority, state, args)
            select n, now(), now() - (n % 2) * interval '1 day', 1, 1, 1, 1, 0, n % 3, '{}'
            from generate_series(1, $1::integer) as n";
        sqlx::query(insert).bind(rows).execute(&pool).await.unwrap();
        let mut migration = pool.begin().await.unwrap();
        sqlx::raw_sql(include_str!("../../../../migrations/queue/0006_retention.sql"))
            .execute(&mut *migration)
            .await
            .unwrap();
        migration.commit().await.unwrap();
        // The previous version's statement doesn't name the new column.
        sqlx::query(insert).bind(10).execute(&pool).await.unwrap();
        let right: i64 = sqlx::query_scalar(
            r#"select count(*) from queue.history
            where tableoid::regclass::text = to_char(expires_on, '"queue.history_"YYYYMMDD')
              and expires_on - (finished_at at time zone 'utc')::date between 30 and 31"#,
        )
        .fetch_one(&pool)
        .await
        .unwrap();
        assert_eq!(right, i64::from(rows) + 10);
    }
}

/// The day's bounds are UTC's, whatever the session's time zone.
#[tokio::test]
async fn the_days_are_utcs_in_every_time_zone() {
    let stage = Stage::new().await;
    let mut conn = stage.pool.acquire().await.unwrap();
    sqlx::raw_sql("set time zone 'Pacific/Kiritimati'; select * from queue.keep_partitions(12)")
        .execute(&mut *conn)
        .await
        .unwrap();
    sqlx::raw_sql("set time zone 'America/Los_Angeles'; select * from queue.keep_partitions(14)")
        .execute(&mut *conn)
        .await
        .unwrap();
    sqlx::raw_sql("set time zone 'utc'")
        .execute(&mut *conn)
        .await
        .unwrap();
    let odd: Vec<String> = sqlx::query_scalar(
        "select c.relname::text from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'queue.attempt'::regclass
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
            let (made, dropped, _): (i32, i32, bool) =
                sqlx::query_as("select * from queue.keep_partitions(40)")
                    .fetch_one(&pool)
                    .await
                    .unwrap();
            made + dropped
        });
    }
    let changes: i32 = tasks.join_all().await.into_iter().sum();
    assert_eq!(changes, 2 * 33, "33 more days, once each");
}
