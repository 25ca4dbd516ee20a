//! What the queue shows of itself: counts at any size, what autoscalers ask for, workers, snapshots, searches.

use std::time::Duration;

use queue::{Filter, NewJob, OnConflict, State};
use serde_json::json;

use crate::harness::{KIND, Probe, QUEUE, Stage, job, options};

async fn runnable(stage: &Stage, queue: &str, at_most: i32) -> i64 {
    let count = sqlx::query_scalar("select queue.runnable($1, $2)")
        .bind(queue)
        .bind(at_most);
    count.fetch_one(&stage.pool).await.unwrap()
}

async fn oldest(stage: &Stage, queue: &str) -> f64 {
    let age = sqlx::query_scalar("select queue.oldest_ready_seconds($1)").bind(queue);
    age.fetch_one(&stage.pool).await.unwrap()
}

#[tokio::test]
async fn runnable_counts_what_a_worker_could_start_now_and_no_further_than_asked() {
    let stage = Stage::new().await;
    assert_eq!(
        (
            runnable(&stage, "nowhere", 10).await,
            oldest(&stage, "nowhere").await
        ),
        (0, 0.0)
    );
    stage.enqueue_many((0..20).map(|n| job(json!(n))).collect()).await;
    stage.enqueue(job(json!(0)).tenant("t")).await;
    stage.enqueue(NewJob::new("other", KIND, json!(0))).await;
    stage.enqueue(job(json!(0)).delay(Duration::from_hours(1))).await;
    let due = stage.enqueue(job(json!(0)).delay(Duration::from_hours(1))).await;
    stage
        .execute("update queue.job set claimed_by = 1 where id = (select min(id) from queue.job)")
        .await;
    assert_eq!(runnable(&stage, QUEUE, 1_000).await, 20);
    assert_eq!(runnable(&stage, QUEUE, 5).await, 5);
    assert_eq!(runnable(&stage, "other", 1_000).await, 1);
    // One that is due counts before any worker has put it in line: there may be none yet.
    sqlx::query("update queue.job set run_at = now() - interval '5 minutes' where id = $1")
        .bind(due)
        .execute(&stage.pool)
        .await
        .unwrap();
    assert_eq!(runnable(&stage, QUEUE, 1_000).await, 21);
    assert!((299.0..330.0).contains(&oldest(&stage, QUEUE).await));
    stage
        .execute("update queue.queue set paused_at = now() where name = 'test'")
        .await;
    assert_eq!(
        (runnable(&stage, QUEUE, 1_000).await, oldest(&stage, QUEUE).await),
        (0, 0.0)
    );
}

#[tokio::test]
async fn the_oldest_ready_job_is_found_in_any_line_and_counts_from_when_it_became_ready() {
    let stage = Stage::new().await;
    let ids = [
        stage.enqueue(job(json!(0))).await,
        stage.enqueue(job(json!(0)).priority(5)).await,
        stage.enqueue(job(json!(0)).tenant("t")).await,
    ];
    assert!(oldest(&stage, QUEUE).await < 30.0);
    for (id, age_s) in ids.into_iter().zip([100.0, 200.0, 300.0]) {
        sqlx::query("update queue.job set created_at = now() - $2 * interval '1 second' where id = $1")
            .bind(id)
            .bind(age_s)
            .execute(&stage.pool)
            .await
            .unwrap();
        let age = oldest(&stage, QUEUE).await;
        assert!((age_s..age_s + 30.0).contains(&age), "{age}");
    }
    // A retried job is an old one that has just become ready.
    let mut conn = stage.pool.acquire().await.unwrap();
    for id in ids {
        stage.cancel(id).await;
        let by = queue::By::new("ann");
        stage.queue.retry(&mut conn, id, &by).await.unwrap();
    }
    assert!(oldest(&stage, QUEUE).await < 30.0);
}

#[tokio::test]
async fn a_due_job_keeps_the_time_from_which_it_waits() {
    let stage = Stage::new().await;
    let id = stage.enqueue(job(json!(0)).delay(Duration::from_hours(1))).await;
    stage
        .execute(
            "update queue.job set created_at = now() - interval '1 day', run_at = now() - interval '1 minute'",
        )
        .await;
    // A worker of another kind puts it in line and leaves it there.
    let registry = queue::Registry::new().add(
        "other",
        queue::Policy::default(),
        |_: Probe, _: queue::Job<i32>| async { Ok::<_, queue::JobError>(queue::Outcome::Done) },
    );
    let worker = stage.start(registry, Probe::new(&stage), options("w", 1));
    let row = stage.reaches(id, State::Ready).await;
    assert_eq!(row.run_at, None, "only a scheduled job has one to show");
    worker.stop().await;
    let age = oldest(&stage, QUEUE).await;
    assert!((60.0..120.0).contains(&age), "{age}");
    let counts = stage.queue.counts().await.unwrap();
    assert!((60_000..120_000).contains(&counts[0].oldest_ready_ms.unwrap()));
}

#[tokio::test]
async fn a_large_table_is_counted_now_and_then_by_one_for_all() {
    let stage = Stage::new().await;
    stage.queue.prepare(QUEUE, KIND).await.unwrap();
    stage
        .execute(
            "alter table queue.job set (autovacuum_enabled = off);
            insert into queue.job (seq, run_at, kind_id, queue_id, args)
            select case when n % 4 > 0 then n end, case when n % 4 = 0 then now() + interval '1 day' end,
                1, 1, '{}' from generate_series(1, 400000) as n",
        )
        .await;
    assert!(stage.number("select pg_relation_size('queue.job')").await > 64 << 20);
    let first = stage.queue.counts().await.unwrap();
    assert_eq!(
        (first[0].ready, first[0].scheduled, first[0].running),
        (300_000, 100_000, 0)
    );
    assert!(first[0].exact);
    stage
        .execute("delete from queue.job where run_at is not null")
        .await;
    let second = stage.queue.counts().await.unwrap();
    assert_eq!(
        (second[0].scheduled, second[0].as_of),
        (100_000, first[0].as_of),
        "as of then"
    );
    let refreshed = || async {
        sqlx::query_scalar::<_, bool>("select queue.refresh_gauges()")
            .fetch_one(&stage.pool)
            .await
            .unwrap()
    };
    stage.execute("update queue.gauge_round set at = now()").await;
    assert!(!refreshed().await, "not so soon again");
    stage
        .execute("update queue.gauge_round set at = now() - interval '23 s', took_ms = 600")
        .await;
    assert!(!refreshed().await, "no more than a fortieth of the time");
    stage
        .execute("update queue.gauge_round set at = now() - interval '25 s', took_ms = 600")
        .await;
    let mut other = stage.pool.begin().await.unwrap();
    let lock = "select pg_advisory_xact_lock(hashtext('queue.refresh_gauges'))";
    sqlx::query(lock).execute(&mut *other).await.unwrap();
    assert!(!refreshed().await, "another one counts");
    other.rollback().await.unwrap();
    assert!(refreshed().await);
    assert_eq!(stage.queue.counts().await.unwrap()[0].scheduled, 0);
}

#[tokio::test]
async fn workers_are_shown_with_what_they_hold() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    let registry = queue::Registry::new().add(
        KIND,
        queue::Policy::default(),
        |probe: Probe, job: queue::Job<_>| async move {
            probe.see(&job);
            probe.pass().await;
            Ok::<_, queue::JobError>(queue::Outcome::Done)
        },
    );
    let worker = stage.start(registry, probe.clone(), options("w", 3));
    stage.enqueue_many((0..2).map(|n| job(json!(n))).collect()).await;
    probe.until_seen(2).await;
    stage
        .until("select coalesce(held, 0) = 2 from queue.worker")
        .await;
    let live = stage.queue.workers().await.unwrap();
    assert_eq!(live.len(), 1);
    let shown = &live[0];
    assert_eq!(
        (shown.name.as_str(), shown.concurrency, shown.held, shown.is_late),
        ("w", 3, Some(2), false)
    );
    assert_eq!(
        (shown.queues.as_slice(), shown.kinds.as_slice()),
        (&[QUEUE.to_owned()][..], &[KIND.to_owned()][..])
    );
    assert!(shown.heartbeat_age_ms < 10_000);
    probe.open(2);
    stage.until_empty().await;
    worker.stop().await;
    assert!(stage.queue.workers().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_holder_of_the_oldest_snapshot_is_named() {
    let stage = Stage::new().await;
    let named = sqlx::postgres::PgPoolOptions::new()
        .max_connections(1)
        .connect_with((*stage.pool.connect_options()).clone().application_name("report"))
        .await
        .unwrap();
    let mut report = named.begin().await.unwrap();
    sqlx::query("set transaction isolation level repeatable read")
        .execute(&mut *report)
        .await
        .unwrap();
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(&mut *report)
        .await
        .unwrap();
    for n in 0..5 {
        stage.enqueue(job(json!(n))).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let seen = stage.queue.oldest_snapshot().await.unwrap();
    let holder = &seen.holders[0];
    assert_eq!(
        (holder.sort.as_str(), holder.pid, holder.name.as_deref()),
        ("session", Some(pid), Some("report"))
    );
    assert_eq!(holder.state.as_deref(), Some("idle in transaction"));
    assert!(holder.transactions >= 5, "{holder:?}");
    assert!(holder.seconds.unwrap() >= 0.3 && seen.oldest_seconds() >= 0.3);
    assert!(holder.remedy().contains(&format!("pg_terminate_backend({pid})")));
    assert_eq!(seen.hidden_sessions, 0);

    // A role that may not look into others' sessions sees who, and not for how long.
    let mut blind = stage.pool.acquire().await.unwrap();
    let role = format!("blind_{pid}");
    let run = |sql: String| sqlx::raw_sql(sqlx::AssertSqlSafe(sql));
    run(format!(
        "create role {role}; grant usage on schema queue to {role};
        grant select on queue.snapshot_holder to {role}; set role {role}"
    ))
    .execute(&mut *blind)
    .await
    .unwrap();
    let url = sqlx::query_scalar::<_, i64>(
        "select count(*) from pg_stat_activity where datname = current_database()
            and pid <> pg_backend_pid() and query = '<insufficient privilege>'",
    );
    let hidden = url.fetch_one(&mut *blind).await.unwrap();
    let visible: (i64, Option<f64>, Option<String>) =
        sqlx::query_as("select transactions, seconds, state from queue.snapshot_holder where pid = $1")
            .bind(pid)
            .fetch_one(&mut *blind)
            .await
            .unwrap();
    run(format!("reset role; drop owned by {role}; drop role {role}"))
        .execute(&mut *blind)
        .await
        .unwrap();
    assert!(hidden >= 1);
    assert!(
        visible.0 >= 5 && visible.1.is_none() && visible.2.is_none(),
        "{visible:?}"
    );

    report.rollback().await.unwrap();
    let seen = stage.queue.oldest_snapshot().await.unwrap();
    assert!(
        seen.holders.iter().all(|holder| holder.pid != Some(pid)),
        "{seen:?}"
    );
}

#[tokio::test]
async fn jobs_are_found_by_everything_that_is_known_of_them() {
    let stage = Stage::new().await;
    let odd = job(json!({ "issue": { "number": 7 }, "x": 1 }))
        .tag("a")
        .tag("b")
        .correlation_id("c")
        .tenant("t")
        .key("k")
        .unique("u", OnConflict::Keep);
    let waiting = stage.enqueue(odd.clone()).await;
    stage
        .enqueue_many((0..3).map(|n| job(json!({ "x": n }))).collect())
        .await;
    let search = async |filter: Filter| {
        let page = stage.queue.list(&Filter { limit: 10, ..filter }).await.unwrap();
        assert_eq!(page.next, None);
        page.jobs.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    let some = |text: &str| Some(text.to_owned());
    let filters = || {
        [
            Filter {
                tag: some("b"),
                ..Filter::default()
            },
            Filter {
                correlation_id: some("c"),
                ..Filter::default()
            },
            Filter {
                unique_key: some("u"),
                ..Filter::default()
            },
            Filter {
                tenant: some("t"),
                ..Filter::default()
            },
            Filter {
                key: some("k"),
                ..Filter::default()
            },
            Filter {
                args: Some(json!({ "issue": { "number": 7 } })),
                ..Filter::default()
            },
        ]
    };
    for filter in filters() {
        assert_eq!(search(filter.clone()).await, [waiting], "{filter:?}");
    }
    let cut = stage.job(waiting).await.created_at + Duration::from_hours(1);
    stage.cancel(waiting).await;
    for filter in filters() {
        assert_eq!(search(filter.clone()).await, [waiting], "in history: {filter:?}");
    }
    assert_eq!(
        search(Filter {
            error: some("WANTS"),
            ..Filter::default()
        })
        .await,
        [waiting]
    );
    assert_eq!(
        search(Filter {
            error: some("100%"),
            ..Filter::default()
        })
        .await,
        [] as [i64; 0]
    );
    assert_eq!(
        search(Filter {
            created_after: Some(cut),
            ..Filter::default()
        })
        .await,
        [] as [i64; 0]
    );
    assert_eq!(
        search(Filter {
            created_before: Some(cut),
            ..Filter::default()
        })
        .await
        .len(),
        4
    );
    let states = vec![State::Cancelled, State::Ready];
    assert_eq!(
        search(Filter {
            states,
            ..Filter::default()
        })
        .await
        .len(),
        4
    );
}

/// 120,000 finished jobs and one that is looked for: each page looks at so many of them and says where to go on.
#[tokio::test]
async fn a_search_without_an_index_is_bounded_and_says_where_it_stopped() {
    let stage = Stage::new().await;
    stage.queue.prepare(QUEUE, KIND).await.unwrap();
    let id = stage.enqueue(job(json!({ "needle": true }))).await;
    stage.cancel(id).await;
    stage
        .execute(
            "insert into queue.history (id, created_at, kind_id, attempt, max_attempts, queue_id, priority, state, args)
            select nextval('queue.job_id'), now(), 1, 1, 1, 1, 0, 0, '{}' from generate_series(1, 120000)",
        )
        .await;
    let mut filter = Filter {
        args: Some(json!({ "needle": true })),
        limit: 10,
        ..Filter::default()
    };
    let mut pages = Vec::new();
    loop {
        let page = stage.queue.list(&filter).await.unwrap();
        pages.push(page.jobs.iter().map(|row| row.id).collect::<Vec<_>>());
        filter.before = page.next;
        if page.next.is_none() {
            break;
        }
    }
    assert_eq!(pages, [vec![], vec![], vec![], vec![], vec![id]]);
    // A count goes on in the same way, and may be told to take no time.
    filter.before = None;
    let whole = stage.queue.count_matching(&filter, Duration::MAX).await.unwrap();
    assert_eq!((whole.count, whole.at_least, whole.next), (1, false, None));
    let mut counts = Vec::new();
    loop {
        let found = stage.queue.count_matching(&filter, Duration::ZERO).await.unwrap();
        counts.push(found.count);
        assert_eq!(found.at_least, found.next.is_some());
        filter.before = found.next;
        if found.next.is_none() {
            break;
        }
    }
    assert_eq!(counts, [0, 0, 0, 0, 1]);
    let many = Filter {
        kind: Some(KIND.into()),
        ..Filter::default()
    };
    let found = stage.queue.count_matching(&many, Duration::MAX).await.unwrap();
    assert_eq!((found.count, found.at_least, found.next), (100_000, true, None));
    // Those that ended badly have an index of their own: one look.
    filter.before = None;
    filter.states = vec![State::Cancelled, State::Dead];
    let page = stage.queue.list(&filter).await.unwrap();
    assert_eq!((page.jobs.len(), page.next), (1, None));
}
