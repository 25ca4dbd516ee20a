//! What handlers report: log lines and progress, by attempt, never in the handler's way.

use std::time::Duration;

use queue::{Job, JobError, LogLevel, Outcome, Policy, Registry, State, Wake};
use serde_json::{Value, json};

use crate::harness::{KIND, Probe, Stage, job, options};

/// Logs what its arguments say and retries once if they say so.
fn chatty() -> Registry<()> {
    Registry::new().add(KIND, Policy::default(), |(), job: Job<Value>| async move {
        let lines = job.args["lines"].as_u64().unwrap_or(1);
        for line in 0..lines {
            job.log(LogLevel::Info, format!("{line} of attempt {}", job.attempt));
            job.progress(line + 1, lines, format!("at {line}"));
        }
        if job.args["retry"] == json!(true) && job.attempt == 1 {
            return Err(JobError::Retry {
                error: "once more".into(),
                after: Some(Duration::ZERO),
            });
        }
        Ok(Outcome::Done)
    })
}

#[tokio::test]
async fn lines_and_progress_of_each_attempt_are_kept_in_their_order() {
    for wake in [Wake::Notify, Wake::Poll] {
        let stage = Stage::with_wake(wake).await;
        let worker = stage.start(chatty(), (), options("w", 2));
        let id = stage.enqueue(job(json!({"lines": 3, "retry": true}))).await;
        let quiet = stage.enqueue(job(json!({"lines": 0}))).await;
        stage.reaches(id, State::Completed).await;
        // The drain writes what is left.
        worker.stop().await;
        let mut lines = stage.queue.log(id, None, 4).await.unwrap();
        lines.extend(stage.queue.log(id, Some(lines[3].id), 4).await.unwrap());
        let texts: Vec<_> = lines
            .iter()
            .map(|line| (line.attempt, line.epoch, line.line.as_str()))
            .collect();
        assert_eq!(
            texts,
            [
                (1, 1, "0 of attempt 1"),
                (1, 1, "1 of attempt 1"),
                (1, 1, "2 of attempt 1"),
                (2, 3, "0 of attempt 2"),
                (2, 3, "1 of attempt 2"),
                (2, 3, "2 of attempt 2"),
            ]
        );
        assert!(
            lines
                .iter()
                .all(|line| line.level() == LogLevel::Info && line.worker == "w")
        );
        let progress = stage.queue.progress(id).await.unwrap().unwrap();
        assert_eq!(
            (
                progress.done,
                progress.total,
                progress.note.as_str(),
                progress.attempt
            ),
            (3, 3, "at 2", 2)
        );
        assert!(stage.queue.log(quiet, None, 9).await.unwrap().is_empty());
        assert_eq!(stage.queue.progress(quiet).await.unwrap(), None);
    }
}

#[tokio::test]
async fn what_a_running_job_reports_is_seen_within_a_second() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    let registry = Registry::new().add(
        KIND,
        Policy::default(),
        |probe: Probe, job: Job<Value>| async move {
            job.log(LogLevel::Warn, "half way");
            job.progress(1, 2, "half");
            probe.see(&job);
            probe.pass().await;
            Ok::<_, JobError>(Outcome::Done)
        },
    );
    let worker = stage.start(registry, probe.clone(), options("w", 1));
    let id = stage.enqueue(job(json!(0))).await;
    probe.until_seen(1).await;
    let start = std::time::Instant::now();
    stage
        .until("select exists (select from queue.log_line) and exists (select from queue.progress)")
        .await;
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(stage.job(id).await.state(), State::Running);
    probe.open(1);
    worker.stop().await;
}

#[tokio::test]
async fn a_flood_of_lines_is_bounded_and_says_what_is_missing() {
    let stage = Stage::new().await;
    let worker = stage.start(chatty(), (), options("w", 1));
    let id = stage.enqueue(job(json!({"lines": 10_500}))).await;
    stage.reaches(id, State::Completed).await;
    worker.stop().await;
    let (lines, kept, missing): (i64, i64, i64) = sqlx::query_as(
        "select count(*), count(*) filter (where level = 1),
            sum(split_part(line, ' ', 1)::bigint) filter (where line like '% lines dropped')::bigint
        from queue.log_line",
    )
    .fetch_one(&stage.pool)
    .await
    .unwrap();
    assert!(lines <= 10_002, "{lines}");
    assert_eq!(kept + missing, 10_500);
    assert_eq!(stage.queue.progress(id).await.unwrap().unwrap().done, 10_500);
}

#[tokio::test]
async fn what_the_database_refuses_is_dropped_and_later_lines_are_written() {
    let stage = Stage::new().await;
    let registry = Registry::new().add(KIND, Policy::default(), |(), job: Job<String>| async move {
        job.log(LogLevel::Error, format!("{}\0{}", job.args, "ü".repeat(8_000)));
        job.progress(u64::MAX, u64::MAX, "\0".repeat(9_000));
        Ok::<_, JobError>(Outcome::Done)
    });
    stage
        .execute("alter table queue.log_line add check (line not like 'bad%')")
        .await;
    let worker = stage.start(registry, (), options("w", 1));
    let bad = stage.enqueue(job(json!("bad"))).await;
    stage.reaches(bad, State::Completed).await;
    stage.until("select count(*) = 1 from queue.progress").await;
    let good = stage.enqueue(job(json!("good"))).await;
    stage.reaches(good, State::Completed).await;
    worker.stop().await;
    assert!(stage.queue.log(bad, None, 9).await.unwrap().is_empty());
    let lines = stage.queue.log(good, None, 9).await.unwrap();
    assert_eq!(lines.len(), 1);
    assert!(lines[0].line.starts_with("good\u{fffd}üü") && lines[0].line.ends_with("bytes cut)"));
    assert_eq!(stage.queue.progress(good).await.unwrap().unwrap().done, i64::MAX);
}

/// Reports are lost with their worker; jobs are not, and no handler waits for the tables.
#[tokio::test]
async fn tables_that_nobody_can_write_to_hold_up_no_job() {
    let stage = Stage::new().await;
    let mut tx = stage.pool.begin().await.unwrap();
    sqlx::query("lock table queue.log_line, queue.progress in access exclusive mode")
        .execute(&mut *tx)
        .await
        .unwrap();
    let worker = stage.start(chatty(), (), options("w", 4));
    stage
        .enqueue_many((0..50).map(|_| job(json!({"lines": 5}))).collect())
        .await;
    stage.until_empty().await;
    tx.rollback().await.unwrap();
    stage.until("select count(*) = 250 from queue.log_line").await;
    stage.until("select count(*) = 50 from queue.progress").await;
    worker.stop().await;
}

#[tokio::test]
async fn a_stale_attempt_does_not_write_over_the_present_ones_progress() {
    let stage = Stage::new().await;
    let probe = Probe::new(&stage);
    let registry = Registry::new().add(
        KIND,
        Policy::default(),
        |probe: Probe, job: Job<Value>| async move {
            probe.see(&job);
            probe.pass().await;
            job.log(LogLevel::Info, "still here");
            job.progress(1, 9, "stale");
            probe.pass().await;
            Ok::<_, JobError>(Outcome::Done)
        },
    );
    let worker = stage.start(registry, probe.clone(), options("w", 1));
    let id = stage.enqueue(job(json!(0))).await;
    probe.until_seen(1).await;
    // As if the lease had been lost and another worker had the job.
    stage.execute("update queue.job set epoch = epoch + 1").await;
    probe.open(1);
    stage.until("select count(*) = 1 from queue.log_line").await;
    probe.open(1);
    worker.stop().await;
    assert_eq!(stage.queue.progress(id).await.unwrap(), None);
    let lines = stage.queue.log(id, None, 9).await.unwrap();
    assert_eq!((lines[0].attempt, lines[0].epoch), (1, 1));
}

const PARTS: &str = "select count(*) from pg_inherits
    where inhparent in ('queue.log_line'::regclass, 'queue.progress'::regclass)";

#[tokio::test]
async fn days_of_reports_are_made_ahead_and_dropped_whole() {
    let stage = Stage::new().await;
    assert_eq!(stage.number(PARTS).await, 2 * (1 + 1 + 7));
    stage
        .execute(
            "select queue.make_partition('log_line', '2020-01-02'), queue.make_partition('progress', '2020-01-02');
            insert into queue.log_line (job_id, at, attempt, epoch, worker_id, level, line)
            values (1, '2020-01-02 12:00Z', 1, 1, 1, 1, 'old')",
        )
        .await;
    assert_eq!(stage.number(PARTS).await, 20);
    let worker = stage.start(chatty(), (), options("w", 1));
    stage
        .until("select not exists (select from queue.log_line)")
        .await;
    worker.stop().await;
    assert_eq!(stage.number(PARTS).await, 18);
}
