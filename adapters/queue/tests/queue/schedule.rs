//! Schedules: a job per tick and never two, in the zone's own time, with a say about missed ticks.

use std::time::Duration;

use queue::{CatchUp, Error, JobError, Outcome, Policy, Registry, Schedule, ScheduleRow, Wake};
use serde_json::json;

use crate::harness::{KIND, QUEUE, Stage, StartedWorker, ann, options};

fn every(cron: &'static str) -> Schedule {
    Schedule::new("report", cron, QUEUE, KIND, json!({}))
}

/// A worker of another queue: it looks after schedules and leaves their jobs alone.
fn keeper(stage: &Stage, name: &str) -> StartedWorker {
    let mut options = options(name, 1);
    options.queues = vec![("other".into(), 1)];
    stage.start(Registry::<()>::new(), (), options)
}

async fn put(stage: &Stage, schedule: Schedule) -> Result<ScheduleRow, Error> {
    let mut conn = stage.pool.acquire().await.unwrap();
    stage.queue.put_schedule(&mut conn, schedule).await
}

async fn row(stage: &Stage) -> ScheduleRow {
    stage.queue.schedule("report").await.unwrap().unwrap()
}

/// Moves the next tick back, as if nobody had looked since then.
async fn missed_since(stage: &Stage, ago: &str) {
    sqlx::query("update queue.schedule set next_at = clock_timestamp() - $1::text::interval")
        .bind(ago)
        .execute(&stage.pool)
        .await
        .unwrap();
}

const AHEAD: &str = "select next_at > clock_timestamp() from queue.schedule where name = 'report'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_tick_enqueues_one_job_over_the_whole_fleet() {
    let stage = Stage::new().await;
    let workers: Vec<_> = (0..4).map(|n| keeper(&stage, &format!("w{n}"))).collect();
    put(&stage, every("* * * * * *").catch_up(CatchUp::All(1_000)))
        .await
        .unwrap();
    // The fleet is sent back over the same minutes again and again, while real ticks go on.
    for ago in [
        "5 min", "4 min", "5 min", "1 min", "6 min", "6 min", "10 s", "5 min", "6 min", "2 s",
    ] {
        missed_since(&stage, ago).await;
        stage.until(AHEAD).await;
    }
    for worker in workers {
        worker.stop().await;
    }
    let (jobs, ticks, doubled, gaps): (i64, i64, i64, i64) = sqlx::query_as(
        "with job as (select tags[2] as tick from queue.job),
        tick as (select tick, tick - lag(tick) over (order by tick) as gap from queue.schedule_tick)
        select (select count(*) from job), (select count(*) from tick),
            (select count(*) - count(distinct tick) from job),
            (select count(*) from tick where gap <> interval '1 second')",
    )
    .fetch_one(&stage.pool)
    .await
    .unwrap();
    assert!(jobs >= 360, "{jobs} jobs of six minutes");
    assert_eq!((jobs, doubled, gaps), (ticks, 0, 0));
}

/// Even without the row lock and with a wrong `next_at`: the guard alone refuses a second job.
#[tokio::test]
async fn a_tick_that_is_done_is_not_done_again() {
    let stage = Stage::new().await;
    put(&stage, every("0 * * * *").catch_up(CatchUp::All(5)))
        .await
        .unwrap();
    missed_since(&stage, "3 hours").await;
    let worker = keeper(&stage, "w");
    stage.until(AHEAD).await;
    assert_eq!(stage.number("select count(*) from queue.job").await, 3);
    stage.execute("delete from queue.job").await;
    missed_since(&stage, "4 hours").await;
    stage.until(AHEAD).await;
    worker.stop().await;
    assert_eq!(
        stage.number("select count(*) from queue.job").await,
        1,
        "only the fourth hour is new"
    );
}

#[tokio::test]
async fn a_tick_starts_its_job_within_a_second() {
    let stage = Stage::new().await;
    let registry = Registry::new().add(
        KIND,
        Policy::default(),
        |(), _: queue::Job<serde_json::Value>| async { Ok::<_, JobError>(Outcome::Done) },
    );
    let worker = stage.start(registry, (), options("w", 2));
    put(&stage, every("* * * * * *")).await.unwrap();
    stage.until("select count(*) >= 4 from queue.history").await;
    worker.stop().await;
    let late_ms = stage
        .number(
            "select (extract(epoch from min(history.started_at - tick.tick)) * 1000)::bigint
            from queue.history as history join queue.schedule_tick as tick on tick.job_id = history.id",
        )
        .await;
    assert!(
        (0..1_000).contains(&late_ms),
        "the job started {late_ms} ms after its tick"
    );
}

#[tokio::test]
async fn a_job_knows_its_schedule_and_its_tick() {
    let stage = Stage::new().await;
    let schedule = Schedule::new("report", "0 3 * * *", QUEUE, KIND, json!({"of": "sales"}))
        .priority(-3)
        .max_attempts(4)
        .timeout(Duration::from_secs(9))
        .tag("nightly")
        .tenant("acme")
        .key("acme/sales")
        .tick_field("tick")
        .catch_up(CatchUp::Once);
    put(&stage, schedule).await.unwrap();
    missed_since(&stage, "25 hours").await;
    let worker = keeper(&stage, "w");
    stage.until(AHEAD).await;
    worker.stop().await;
    let same: bool = sqlx::query_scalar(
        "select job.tags = array['schedule:report', 'tick:' || iso, 'nightly']
            and job.args = jsonb_build_object('of', 'sales', 'tick', iso)
            and (job.priority, job.max_attempts, job.timeout_ms) = (-3, 4, 9000) and job.correlation_id is null
            and (job.tenant, job.key) = ('acme', 'acme/sales')
            and (schedule.last_tick, schedule.last_job_id) = (tick.tick, job.id)
        from queue.job as job, queue.schedule as schedule, queue.schedule_tick as tick,
            lateral (select to_char(tick at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') as iso) as text
        where tick.job_id = job.id",
    )
    .fetch_one(&stage.pool)
    .await
    .unwrap();
    assert!(same);
}

/// How many jobs a downtime leaves to do.
async fn caught_up(catch_up: CatchUp, cron: &'static str, ago: &str) -> i64 {
    let stage = Stage::new().await;
    put(&stage, every(cron).catch_up(catch_up)).await.unwrap();
    missed_since(&stage, ago).await;
    let worker = keeper(&stage, "w");
    stage.until(AHEAD).await;
    worker.stop().await;
    stage.number("select count(*) from queue.job").await
}

#[tokio::test]
async fn missed_ticks_are_skipped_or_done_once_or_all() {
    // The last of these ticks is hours ago, whatever the hour.
    let daily = "0 0 * * *";
    assert!(caught_up(CatchUp::Once, daily, "5 days").await == 1);
    assert_eq!(caught_up(CatchUp::All(3), daily, "5 days").await, 3);
    assert_eq!(caught_up(CatchUp::All(100), daily, "5 days").await, 5);
    // The guard forgets after 30 days, and so does the catching up.
    assert_eq!(caught_up(CatchUp::All(1_000), daily, "100 days").await, 30);
    // On time is within a minute: 60 of the 300 missed seconds, or as many more as the test takes.
    let skipped = caught_up(CatchUp::Skip, "* * * * * *", "5 min").await;
    assert!((60..75).contains(&skipped), "{skipped}");
    // A short stop misses nothing under any policy.
    for catch_up in [CatchUp::Skip, CatchUp::Once] {
        let jobs = caught_up(catch_up, "* * * * * *", "10 s").await;
        assert!((10..25).contains(&jobs), "{jobs} under {catch_up:?}");
    }
}

#[tokio::test]
async fn a_missed_day_is_left_out_by_default() {
    let stage = Stage::new().await;
    // A tick half a day away from now on either side.
    let cron: String = sqlx::query_scalar(
        "select extract(minute from t)::text || ' ' || extract(hour from t) || ' * * *'
        from (select clock_timestamp() at time zone 'utc' + interval '12 hours' as t) as t",
    )
    .fetch_one(&stage.pool)
    .await
    .unwrap();
    put(&stage, Schedule::new("report", cron, QUEUE, KIND, json!({})))
        .await
        .unwrap();
    missed_since(&stage, "3 days").await;
    let worker = keeper(&stage, "w");
    stage.until(AHEAD).await;
    worker.stop().await;
    stage.assert_empty().await;
}

#[tokio::test]
async fn the_time_zone_decides_when_it_ticks() {
    let stage = Stage::new().await;
    let row = put(&stage, every("30 2 * * *").time_zone("Europe/Berlin"))
        .await
        .unwrap();
    let same: bool = sqlx::query_scalar(
        "select $1 > clock_timestamp() and $1 <= clock_timestamp() + interval '25 hours'
            and to_char($1 at time zone 'Europe/Berlin', 'HH24:MI') in ('02:30', '03:00')",
    )
    .bind(row.next_at)
    .fetch_one(&stage.pool)
    .await
    .unwrap();
    assert!(same, "{row:?}");
}

#[tokio::test]
async fn a_bad_schedule_is_refused_before_anything_is_stored() {
    let stage = Stage::new().await;
    let other = |queue: &'static str, args| Schedule::new("report", "@daily", queue, KIND, args);
    for (bad, why) in [
        (every("61 * * * *"), "`61 * * * *` is no cron expression"),
        (every("0 0 30 2 *"), "`0 0 30 2 *` never ticks"),
        (
            every("@daily").time_zone("Mars/Base"),
            "`Mars/Base` is no time zone",
        ),
        (every("@daily").catch_up(CatchUp::All(0)), "1 to 1,000 ticks"),
        (other("No Queue", json!({})), "`No Queue` is no queue"),
        (other(QUEUE, json!([])).tick_field("tick"), "no object"),
        (Schedule::new("", "@daily", QUEUE, KIND, json!({})), "a name has"),
    ] {
        let error = put(&stage, bad).await.unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{error:?}");
        assert!(error.to_string().contains(why), "{error}");
    }
    assert_eq!(stage.number("select count(*) from queue.schedule").await, 0);
}

#[tokio::test]
async fn putting_the_same_again_changes_nothing_and_another_time_counts_from_now() {
    let stage = Stage::new().await;
    put(&stage, every("0 * * * *")).await.unwrap();
    missed_since(&stage, "3 hours").await;
    let before = row(&stage).await;
    assert_eq!(put(&stage, every("0 * * * *")).await.unwrap(), before);
    let tagged = put(&stage, every("0 * * * *").tag("new")).await.unwrap();
    assert_eq!(
        tagged.next_at, before.next_at,
        "a missed tick is still to be done"
    );
    assert!(tagged.updated_at > before.updated_at);
    let moved = put(&stage, every("5 * * * *")).await.unwrap();
    assert!(moved.next_at > before.next_at);
    stage.until(AHEAD).await;
    // In a transaction that is rolled back it is not there.
    let mut tx = stage.pool.begin().await.unwrap();
    stage
        .queue
        .put_schedule(&mut tx, every("7 * * * *"))
        .await
        .unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(row(&stage).await, moved);
}

#[tokio::test]
async fn a_paused_schedule_does_not_tick_and_its_pause_is_not_caught_up() {
    let stage = Stage::new().await;
    put(&stage, every("0 * * * *").catch_up(CatchUp::All(10)))
        .await
        .unwrap();
    let mut conn = stage.pool.acquire().await.unwrap();
    assert!(
        stage
            .queue
            .pause_schedule(&mut conn, "report", &ann())
            .await
            .unwrap()
    );
    assert!(
        !stage
            .queue
            .pause_schedule(&mut conn, "report", &ann())
            .await
            .unwrap()
    );
    missed_since(&stage, "3 hours").await;
    let worker = keeper(&stage, "w");
    tokio::time::sleep(Duration::from_millis(800)).await;
    stage.assert_empty().await;
    // Putting it again, as every start does, leaves it paused.
    assert!(
        put(&stage, every("30 * * * *"))
            .await
            .unwrap()
            .paused_at
            .is_some()
    );

    assert!(
        stage
            .queue
            .resume_schedule(&mut conn, "report", &ann())
            .await
            .unwrap()
    );
    assert!(
        !stage
            .queue
            .resume_schedule(&mut conn, "report", &ann())
            .await
            .unwrap()
    );
    assert_eq!(row(&stage).await.paused_at, None);
    stage.until(AHEAD).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    worker.stop().await;
    stage.assert_empty().await;
}

#[tokio::test]
async fn triggered_it_runs_now_and_ticks_as_before() {
    let stage = Stage::new().await;
    let before = put(&stage, every("0 3 * * *")).await.unwrap();
    let mut conn = stage.pool.acquire().await.unwrap();
    let job = stage
        .queue
        .trigger_schedule(&mut conn, "report", &ann())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(row(&stage).await.next_at, before.next_at);
    let ticks = stage.queue.schedule_ticks("report", None, 10).await.unwrap();
    assert_eq!((ticks.len(), ticks[0].job_id, ticks[0].manual), (1, job.id, true));
    assert_eq!(
        stage
            .number("select count(*) from queue.job where tags @> array['schedule:report', 'manual']")
            .await,
        1
    );
    assert!(
        stage
            .queue
            .trigger_schedule(&mut conn, "none", &ann())
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_single_schedule_adds_no_job_to_its_unfinished_one() {
    // Poll-only: all of a round is one transaction.
    let stage = Stage::with_wake(Wake::Poll).await;
    put(&stage, every("0 * * * *").single().catch_up(CatchUp::All(5)))
        .await
        .unwrap();
    missed_since(&stage, "4 hours").await;
    let worker = keeper(&stage, "w");
    stage.until(AHEAD).await;
    worker.stop().await;
    assert_eq!(stage.number("select count(*) from queue.job").await, 1);
    let ticks = stage.queue.schedule_ticks("report", None, 10).await.unwrap();
    assert_eq!(ticks.len(), 4);
    assert!(ticks.iter().all(|tick| tick.job_id == ticks[0].job_id));
}

#[tokio::test]
async fn a_schedule_spoilt_by_hand_holds_up_no_other_and_heals() {
    // Poll-only: all of a round is one transaction.
    let stage = Stage::with_wake(Wake::Poll).await;
    for (name, spoil) in [
        ("a-cron", "cron = 'every now and then'"),
        ("b-zone", "time_zone = 'Europe/Atlantis'"),
        ("c-queue", "queue = 'No Queue'"),
    ] {
        put(&stage, Schedule::new(name, "* * * * * *", QUEUE, KIND, json!({})))
            .await
            .unwrap();
        let sql = format!("update queue.schedule set {spoil}, next_at = '2020-01-01' where name = '{name}'");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&stage.pool)
            .await
            .unwrap();
    }
    put(&stage, every("* * * * * *")).await.unwrap();
    let worker = keeper(&stage, "w");
    stage
        .until("select count(*) >= 2 from queue.job where tags @> array['schedule:report']")
        .await;
    stage
        .until("select count(*) = 3 from queue.schedule where error is not null and retry_at is not null")
        .await;
    let spoilt = stage.queue.schedule("a-cron").await.unwrap().unwrap();
    let error = spoilt.error.unwrap();
    assert!(
        error.contains("`every now and then` is no cron expression"),
        "{error}"
    );

    put(
        &stage,
        Schedule::new("a-cron", "* * * * * *", QUEUE, KIND, json!({})),
    )
    .await
    .unwrap();
    stage
        .until("select count(*) >= 1 from queue.job where tags @> array['schedule:a-cron']")
        .await;
    assert_eq!(stage.queue.schedule("a-cron").await.unwrap().unwrap().error, None);
    worker.stop().await;
}

#[tokio::test]
async fn schedules_and_ticks_come_in_pages_and_go_when_removed() {
    // Poll-only: all of a round is one transaction.
    let stage = Stage::with_wake(Wake::Poll).await;
    for name in ["b", "report", "a", "Z"] {
        let schedule = Schedule::new(name, "0 * * * *", QUEUE, KIND, json!({}));
        put(&stage, schedule.catch_up(CatchUp::All(10))).await.unwrap();
    }
    let mut names = Vec::new();
    while let page = stage
        .queue
        .schedules(names.last().map(String::as_str), 3)
        .await
        .unwrap()
        && !page.is_empty()
    {
        names.extend(page.into_iter().map(|row| row.name));
    }
    assert_eq!(names, ["Z", "a", "b", "report"]);

    missed_since(&stage, "5 hours").await;
    let worker = keeper(&stage, "w");
    stage
        .until("select bool_and(next_at > clock_timestamp()) from queue.schedule")
        .await;
    worker.stop().await;
    let newest = stage.queue.schedule_ticks("report", None, 3).await.unwrap();
    let older = stage
        .queue
        .schedule_ticks("report", Some(newest[2].tick), 3)
        .await
        .unwrap();
    assert_eq!((newest.len(), older.len()), (3, 2));
    assert!(newest[2].tick > older[0].tick);
    let row = row(&stage).await;
    assert_eq!(
        (row.last_tick, row.last_job_id),
        (Some(newest[0].tick), Some(newest[0].job_id))
    );

    let mut conn = stage.pool.acquire().await.unwrap();
    assert!(
        stage
            .queue
            .remove_schedule(&mut conn, "report", &ann())
            .await
            .unwrap()
    );
    assert!(
        !stage
            .queue
            .remove_schedule(&mut conn, "report", &ann())
            .await
            .unwrap()
    );
    assert_eq!(stage.queue.schedule("report").await.unwrap(), None);
    assert!(
        stage
            .queue
            .schedule_ticks("report", None, 3)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        stage.number("select count(*) from queue.job").await,
        20,
        "its jobs stay"
    );
}

/// Another connection holds the row: that schedule waits, the others tick.
#[tokio::test]
async fn a_schedule_that_someone_holds_delays_no_other() {
    let stage = Stage::new().await;
    put(&stage, every("* * * * * *")).await.unwrap();
    put(
        &stage,
        Schedule::new("other", "* * * * * *", QUEUE, KIND, json!({})),
    )
    .await
    .unwrap();
    let mut tx = stage.pool.begin().await.unwrap();
    sqlx::query("select from queue.schedule where name = 'report' for update")
        .execute(&mut *tx)
        .await
        .unwrap();
    let worker = keeper(&stage, "w");
    stage
        .until("select count(*) >= 2 from queue.job where tags @> array['schedule:other']")
        .await;
    assert_eq!(
        stage
            .number("select count(*) from queue.job where tags @> array['schedule:report']")
            .await,
        0
    );
    tx.rollback().await.unwrap();
    stage
        .until("select count(*) >= 1 from queue.job where tags @> array['schedule:report']")
        .await;
    worker.stop().await;
}
