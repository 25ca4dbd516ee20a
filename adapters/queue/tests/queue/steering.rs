//! What people do to queues, kinds, tenants and schedules, and what is written down of it.

use std::time::Duration;

use queue::{AuditEntry, AuditFilter, Limits, NewJob, Rate, Schedule};
use serde_json::{Value, json};

use crate::harness::{KIND, QUEUE, Stage, ann};

async fn audited(stage: &Stage, subject: &str) -> Vec<AuditEntry> {
    let filter = AuditFilter {
        subject: Some(subject.into()),
        ..AuditFilter::default()
    };
    let mut entries = stage.queue.audit(&filter, None, 100).await.unwrap();
    entries.reverse();
    for entry in &entries {
        assert_eq!(
            (entry.actor.as_str(), entry.reason.as_deref()),
            ("ann", Some("it was wrong"))
        );
    }
    entries
}

/// Action, and whether it was paused before and is now.
fn pauses(entries: &[AuditEntry]) -> Vec<(&str, bool, bool)> {
    let is_paused = |state: &Option<Value>| !state.as_ref().unwrap()["paused_at"].is_null();
    entries
        .iter()
        .map(|entry| {
            (
                entry.action.as_str(),
                is_paused(&entry.before),
                is_paused(&entry.after),
            )
        })
        .collect()
}

#[tokio::test]
async fn pauses_are_audited_once_with_what_was_before_and_after() {
    let stage = Stage::new().await;
    let mut conn = stage.pool.acquire().await.unwrap();
    let (queue, by) = (&stage.queue, &ann());
    assert!(queue.pause(&mut conn, QUEUE, by).await.unwrap());
    assert!(queue.pause_kind(&mut conn, KIND, by).await.unwrap());
    assert!(queue.pause_tenant(&mut conn, QUEUE, "acme", by).await.unwrap());
    let paused = queue.pauses(10).await.unwrap();
    let named: Vec<_> = paused
        .iter()
        .map(|pause| {
            (
                pause.queue.as_deref(),
                pause.kind.as_deref(),
                pause.tenant.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        named,
        [
            (Some(QUEUE), None, Some("acme")),
            (None, Some(KIND), None),
            (Some(QUEUE), None, None)
        ],
        "the latest first"
    );

    // Again: so it is already, and nothing is written down.
    assert!(!queue.pause(&mut conn, QUEUE, by).await.unwrap());
    assert!(!queue.pause_kind(&mut conn, KIND, by).await.unwrap());
    assert!(!queue.pause_tenant(&mut conn, QUEUE, "acme", by).await.unwrap());
    for _ in 0..2 {
        queue.resume(&mut conn, QUEUE, by).await.unwrap();
        queue.resume_kind(&mut conn, KIND, by).await.unwrap();
        queue.resume_tenant(&mut conn, QUEUE, "acme", by).await.unwrap();
    }
    assert!(queue.pauses(10).await.unwrap().is_empty());
    for subject in ["queue test", "kind test.job", "tenant acme of queue test"] {
        let entries = audited(&stage, subject).await;
        assert_eq!(
            pauses(&entries),
            [("pause", false, true), ("resume", true, false)],
            "{subject}"
        );
        assert_eq!(
            entries[0].after, entries[1].before,
            "since when is told at its end too"
        );
    }
}

#[tokio::test]
async fn limits_are_changed_one_by_one_and_audited_with_what_was_before_and_after() {
    let stage = Stage::new().await;
    let mut conn = stage.pool.acquire().await.unwrap();
    let limits = Limits {
        max_running: Some(5),
        rate_per_key: Some(Rate {
            jobs: 10,
            period: Duration::from_mins(1),
        }),
        ..Limits::default()
    };
    for _ in 0..2 {
        stage
            .queue
            .set_limits(&mut conn, QUEUE, limits, &ann())
            .await
            .unwrap();
    }
    let more = |limits| Limits {
        max_running: Some(7),
        ..limits
    };
    let (before, after) = stage
        .queue
        .change_limits(&mut conn, QUEUE, more, &ann())
        .await
        .unwrap();
    assert_eq!((before, after), (limits, more(limits)));
    let none = Limits {
        max_running: Some(0),
        ..Limits::default()
    };
    let refused = stage.queue.set_limits(&mut conn, QUEUE, none, &ann()).await;
    assert!(refused.is_err());

    let rows = stage.queue.queues().await.unwrap();
    let row = rows.iter().find(|row| row.name == QUEUE).unwrap();
    assert_eq!((row.limits, row.paused_at, row.keep_days), (after, None, 30));
    let as_json = |max_running: Option<i32>, rate: Value| json!({ "max_running": max_running, "max_running_per_key": null, "rate": null, "rate_per_key": rate });
    let rate = || json!({ "jobs": 10, "period_ms": 60_000 });
    let entries = audited(&stage, "queue test").await;
    let changes: Vec<_> = entries
        .into_iter()
        .map(|entry| (entry.action, entry.before.unwrap(), entry.after.unwrap()))
        .collect();
    let named = |before, after| ("limits".to_owned(), before, after);
    assert_eq!(
        changes,
        [
            named(as_json(None, Value::Null), as_json(Some(5), rate())),
            named(as_json(Some(5), rate()), as_json(Some(7), rate()))
        ]
    );
}

#[tokio::test]
async fn what_people_do_to_a_schedule_is_audited() {
    let stage = Stage::new().await;
    let mut conn = stage.pool.acquire().await.unwrap();
    let (queue, by) = (&stage.queue, &ann());
    let schedule = || Schedule::new("report", "0 3 * * *", QUEUE, KIND, json!({}));
    queue.put_schedule(&mut conn, schedule()).await.unwrap();
    for _ in 0..2 {
        queue.pause_schedule(&mut conn, "report", by).await.unwrap();
    }
    let job = queue.trigger_schedule(&mut conn, "report", by).await.unwrap();
    for _ in 0..2 {
        queue.resume_schedule(&mut conn, "report", by).await.unwrap();
    }
    for _ in 0..2 {
        queue.remove_schedule(&mut conn, "report", by).await.unwrap();
    }
    let entries = audited(&stage, "schedule report").await;
    let actions: Vec<_> = entries.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["pause", "trigger", "resume", "remove"]);
    assert_eq!(
        (entries[1].job_ids.clone(), entries[1].affected),
        (vec![job.unwrap().id], 1)
    );
    let removed = entries[3].before.as_ref().unwrap();
    assert_eq!(
        (&removed["cron"], &entries[3].after),
        (&json!("0 3 * * *"), &None),
        "enough to put it back"
    );
}

#[tokio::test]
async fn a_change_and_its_audit_roll_back_together() {
    let stage = Stage::new().await;
    stage.enqueue(NewJob::new(QUEUE, KIND, json!(0))).await;
    let mut tx = stage.pool.begin().await.unwrap();
    stage.queue.pause(&mut tx, QUEUE, &ann()).await.unwrap();
    let limits = Limits {
        max_running: Some(1),
        ..Limits::default()
    };
    stage
        .queue
        .set_limits(&mut tx, QUEUE, limits, &ann())
        .await
        .unwrap();
    tx.rollback().await.unwrap();
    assert!(audited(&stage, "queue test").await.is_empty());
    let rows = stage.queue.queues().await.unwrap();
    assert!(
        rows.iter()
            .all(|row| row.paused_at.is_none() && row.limits == Limits::default())
    );
}
