//! Jobs as people see them: lists, one, counts.

use std::time::Duration;

use queue::{Filter, JobError, JobRow, NewJob, Outcome, Policy, Registry, State};
use serde_json::json;

use crate::harness::{Probe, Stage, options};

/// Jobs in every state: ids by (state, queue, kind).
async fn all_states(stage: &Stage) -> Vec<(i64, State)> {
    let probe = Probe::new(stage);
    let registry = Registry::new()
        .add(
            "ends",
            Policy::default(),
            |probe: Probe, job: queue::Job<_>| async move {
                probe.see(&job);
                match job.args.as_str() {
                    Some("dead") => Err(JobError::fail("dead")),
                    Some("cancelled") => Ok(Outcome::Cancel("cancelled".into())),
                    _ => Ok(Outcome::DoneWith(json!("result"))),
                }
            },
        )
        .add("hangs", Policy::default(), |probe: Probe, job| async move {
            probe.see(&job);
            probe.pass().await;
            Ok::<_, JobError>(Outcome::Done)
        });
    let mut jobs = Vec::new();
    for args in ["completed", "dead", "cancelled", "completed"] {
        for queue in ["one", "two"] {
            jobs.push(NewJob::new(queue, "ends", json!(args)));
        }
    }
    jobs.push(NewJob::new("one", "hangs", json!("running")));
    let ids = stage.enqueue_many(jobs).await;
    let both = queue::WorkerOptions {
        queues: vec![("one".into(), 10), ("two".into(), 10)],
        drain_grace: Duration::from_millis(10),
        ..options("w", 0)
    };
    let worker = stage.start(registry, probe.clone(), both);
    probe.until_seen(9).await;
    stage.until("select count(*) = 1 from queue.job").await;
    // The worker is forgotten, not stopped: its last job stays a running one.
    drop(worker);
    let waiting = vec![
        NewJob::new("one", "unknown", json!("ready")),
        NewJob::new("two", "unknown", json!("ready")),
        NewJob::new("two", "ends", json!("scheduled")).delay(Duration::from_mins(10)),
    ];
    let waiting = stage.enqueue_many(waiting).await;
    let states = [
        State::Completed,
        State::Completed,
        State::Dead,
        State::Dead,
        State::Cancelled,
        State::Cancelled,
        State::Completed,
        State::Completed,
        State::Running,
        State::Ready,
        State::Ready,
        State::Scheduled,
    ];
    ids.into_iter().chain(waiting).zip(states).collect()
}

async fn list(stage: &Stage, filter: Filter) -> Vec<JobRow> {
    let page = stage
        .queue
        .list(&Filter {
            limit: if filter.limit == 0 { 100 } else { filter.limit },
            ..filter
        })
        .await
        .unwrap();
    page.jobs
}

#[tokio::test]
async fn jobs_are_listed_by_state_queue_and_kind_over_hot_table_and_history() {
    let stage = Stage::new().await;
    let mut expected = all_states(&stage).await;
    expected.reverse();
    let brief =
        |rows: &[JobRow]| -> Vec<(i64, State)> { rows.iter().map(|row| (row.id, row.state())).collect() };
    let all = list(&stage, Filter::default()).await;
    assert_eq!(brief(&all), expected, "newest first");

    for state in [
        State::Ready,
        State::Scheduled,
        State::Running,
        State::Completed,
        State::Cancelled,
        State::Dead,
    ] {
        let rows = list(
            &stage,
            Filter {
                states: vec![state],
                ..Filter::default()
            },
        )
        .await;
        let wanted: Vec<_> = expected
            .iter()
            .copied()
            .filter(|(_, known)| *known == state)
            .collect();
        assert_eq!(brief(&rows), wanted);
        let rows = list(
            &stage,
            Filter {
                states: vec![state],
                queue: Some("two".into()),
                kind: Some("ends".into()),
                ..Filter::default()
            },
        )
        .await;
        assert!(rows.iter().all(|row| row.queue == "two" && row.kind == "ends"));
        let wanted = all
            .iter()
            .filter(|row| row.state() == state && row.queue == "two" && row.kind == "ends");
        assert_eq!(
            brief(&rows),
            wanted.map(|row| (row.id, row.state())).collect::<Vec<_>>()
        );
    }
    let none = list(
        &stage,
        Filter {
            queue: Some("three".into()),
            ..Filter::default()
        },
    )
    .await;
    assert!(none.is_empty());
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_double() {
    let stage = Stage::new().await;
    let mut expected: Vec<i64> = all_states(&stage).await.into_iter().map(|(id, _)| id).collect();
    expected.reverse();
    for limit in [1, 5, 12] {
        let mut seen = Vec::new();
        let mut before = None;
        loop {
            let page = list(
                &stage,
                Filter {
                    before,
                    limit,
                    ..Filter::default()
                },
            )
            .await;
            assert!(page.len() as i64 <= limit);
            let Some(last) = page.last() else { break };
            before = Some(last.id);
            seen.extend(page.iter().map(|row| row.id));
        }
        assert_eq!(seen, expected, "pages of {limit}");
    }
}

#[tokio::test]
async fn one_job_is_shown_with_all_there_is_to_know() {
    let stage = Stage::new().await;
    let ids = all_states(&stage).await;
    let (dead, _) = ids[2];
    let (row, attempts) = stage.queue.get(dead).await.unwrap().unwrap();
    assert_eq!(
        (row.kind.as_str(), row.queue.as_str(), row.state()),
        ("ends", "one", State::Dead)
    );
    assert_eq!(row.worker.as_deref(), Some("w"));
    assert!(row.finished_at.is_some() && row.run_at.is_none());
    assert_eq!(attempts.len(), 1);
    assert_eq!(
        (
            attempts[0].attempt,
            attempts[0].worker.as_str(),
            attempts[0].error.as_str()
        ),
        (1, "w", "dead")
    );
    let (completed, attempts) = stage.queue.get(ids[0].0).await.unwrap().unwrap();
    assert_eq!(completed.result, Some(json!("result")));
    assert!(attempts.is_empty());
    let (running, _) = stage.queue.get(ids[8].0).await.unwrap().unwrap();
    assert_eq!(
        (running.worker.as_deref(), running.finished_at),
        (Some("w"), None)
    );
    assert!(running.started_at.is_some());
    let (scheduled, _) = stage.queue.get(ids[11].0).await.unwrap().unwrap();
    assert!(scheduled.run_at.is_some() && scheduled.started_at.is_none());
    assert!(stage.queue.get(i64::MAX).await.unwrap().is_none());
}

#[tokio::test]
async fn unfinished_jobs_are_counted_by_queue_and_state() {
    let stage = Stage::new().await;
    all_states(&stage).await;
    stage.queue.ready("empty", 10).await.unwrap();
    let counts = stage.queue.counts().await.unwrap();
    let brief: Vec<_> = counts
        .iter()
        .map(|count| {
            (
                count.queue.as_str(),
                count.ready,
                count.scheduled,
                count.running,
                count.oldest_ready_ms.is_some(),
            )
        })
        .collect();
    assert_eq!(
        brief,
        [
            ("empty", 0, 0, 0, false),
            ("one", 1, 0, 1, true),
            ("two", 1, 1, 0, true)
        ]
    );
    assert!(
        counts[1]
            .oldest_ready_ms
            .is_some_and(|age| (0..60_000).contains(&age))
    );
    assert_eq!(stage.queue.ready("one", 10).await.unwrap(), 1);
    stage
        .enqueue_many((0..20).map(|_| NewJob::new("one", "unknown", json!(0))).collect())
        .await;
    assert_eq!(stage.queue.ready("one", 100).await.unwrap(), 21);
    assert_eq!(
        stage.queue.ready("one", 5).await.unwrap(),
        5,
        "counted no further than asked"
    );
}
