//! What ended, counted by the minute.

use queue::Window;

use crate::harness::Stage;

/// A job that ended so long ago, having been ready for 10 ms and run for a second.
async fn ended(stage: &Stage, jobs: i32, ago: &str, end: i16) {
    sqlx::query(
        "insert into queue.history (id, created_at, run_at, started_at, finished_at, kind_id, attempt, max_attempts,
            queue_id, priority, state, args, expires_on)
        select nextval('queue.job_id'), at - interval '1 hour', at - interval '1010 ms', at - interval '1 s', at,
            queue.kind_id('k'), 2, 5, queue.queue_id('mail'), 0, $3, '{}', current_date + 30
        from generate_series(1, $1), (select clock_timestamp() - $2::interval as at) as ended",
    )
    .bind(jobs)
    .bind(ago)
    .bind(end)
    .execute(&stage.pool)
    .await
    .unwrap();
}

async fn roll_up(stage: &Stage) {
    while sqlx::query_scalar::<_, bool>("select queue.roll_up()")
        .fetch_one(&stage.pool)
        .await
        .unwrap()
    {}
}

#[tokio::test]
async fn what_ended_is_counted_once_by_minute_quarter_and_hour() {
    let stage = Stage::new().await;
    ended(&stage, 3, "10 minutes", 0).await;
    ended(&stage, 1, "10 minutes", 2).await;
    ended(&stage, 5, "20 hours", 0).await;
    ended(&stage, 7, "5 days", 1).await;
    roll_up(&stage).await;
    let sums = async |window, queue| {
        let found = stage.queue.throughput(window, queue).await.unwrap();
        let mut sums = (0, 0, 0);
        for row in found.rows {
            assert_eq!(row.queue, "mail");
            assert!(row.at >= found.since, "{row:?}");
            sums = (sums.0 + row.completed, sums.1 + row.cancelled, sums.2 + row.dead);
        }
        sums
    };
    assert_eq!(sums(Window::Hour, None).await, (3, 0, 1));
    assert_eq!(sums(Window::Day, Some("mail")).await, (8, 0, 1));
    assert_eq!(sums(Window::Week, None).await, (8, 7, 1));
    assert_eq!(sums(Window::Week, Some("other")).await, (0, 0, 0));
    let hour = stage.queue.throughput(Window::Hour, None).await.unwrap();
    let (start, run) = (&hour.rows[0].start, &hour.rows[0].run);
    assert!(
        (8.0..12.0).contains(&start.quantile_ms(0.5).unwrap()),
        "{start:?}"
    );
    assert!(
        (700.0..1_450.0).contains(&run.quantile_ms(0.99).unwrap()),
        "{run:?}"
    );

    // What comes late is counted with the minutes that are looked at again, and nothing twice.
    stage
        .execute("update queue.throughput_round set upto = upto - interval '9 minutes'")
        .await;
    ended(&stage, 2, "8 minutes", 0).await;
    roll_up(&stage).await;
    assert_eq!(sums(Window::Hour, None).await, (5, 0, 1));
    assert_eq!(sums(Window::Week, None).await, (10, 7, 1));
    assert!(
        !sqlx::query_scalar::<_, bool>("select queue.roll_up()")
            .fetch_one(&stage.pool)
            .await
            .unwrap()
    );
}

/// To count a minute must not take reading all that is kept.
#[tokio::test]
async fn a_minute_is_found_without_reading_the_rest() {
    let stage = Stage::new().await;
    ended(&stage, 20_000, "3 hours", 0).await;
    ended(&stage, 10, "1 minute", 0).await;
    stage.execute("analyze queue.history").await;
    let plan: Vec<String> = sqlx::query_scalar(
        "explain select count(*) from queue.history where finished_at >= now() - interval '2 minutes'",
    )
    .fetch_all(&stage.pool)
    .await
    .unwrap();
    let plan = plan.join("\n");
    assert!(plan.contains("finished_at_idx"), "{plan}");
}

#[tokio::test]
async fn how_the_queue_fares_in_numbers() {
    let stage = Stage::new().await;
    stage
        .execute(
            "insert into queue.worker (name, queues, kinds, concurrency, lease_ms, heartbeat_at)
            values ('a', '{}', '{}', 1, 1000, now()), ('b', '{}', '{}', 1, 1000, now() - interval '1 minute');
            insert into queue.schedule (name, cron, queue, kind, args, next_at, error)
            values ('late', '* * * * *', 'q', 'k', '{}', now() - interval '1 hour', null),
                ('failing', '* * * * *', 'q', 'k', '{}', now() + interval '1 hour', 'no'),
                ('paused', '* * * * *', 'q', 'k', '{}', now() - interval '1 hour', 'no');
            update queue.schedule set paused_at = now() where name = 'paused'",
        )
        .await;
    let pulse = stage.queue.pulse().await.unwrap();
    assert_eq!(
        (pulse.workers, pulse.workers_late, pulse.workers_draining),
        (2, 1, 0)
    );
    assert_eq!(
        (pulse.schedules, pulse.schedules_late, pulse.schedules_failing),
        (2, 1, 1)
    );
}
