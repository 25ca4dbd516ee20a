//! What people do to jobs, one, many or by filter, and what is written down of it.

use std::time::Duration;

use queue::{
    Action, AuditEntry, AuditFilter, Change, Filter, NewJob, OnConflict, Preview, Selection, State, Wake,
    When,
};
use serde_json::json;

use crate::harness::{KIND, QUEUE, Stage, ann, job};

async fn change(stage: &Stage, id: i64, change: Change) -> Action {
    let mut conn = stage.pool.acquire().await.unwrap();
    stage.queue.change(&mut conn, id, &change, &ann()).await.unwrap()
}

async fn audited(stage: &Stage) -> Vec<AuditEntry> {
    stage
        .queue
        .audit(&AuditFilter::default(), None, 100)
        .await
        .unwrap()
}

/// As if a worker had it.
async fn claim(stage: &Stage, id: i64) {
    sqlx::query("update queue.job set claimed_by = 1, claimed_at = now(), epoch = epoch + 1 where id = $1")
        .bind(id)
        .execute(&stage.pool)
        .await
        .unwrap();
}

fn of_kind(kind: &str) -> Filter {
    Filter {
        kind: Some(kind.into()),
        ..Filter::default()
    }
}

#[tokio::test]
async fn a_waiting_job_gets_another_time_and_a_running_one_does_not() {
    let stage = Stage::new().await;
    let ready = stage.enqueue(job(json!(0))).await;
    let at = |when| Change::Reschedule(when);
    assert_eq!(
        change(&stage, ready, at(When::In(Duration::from_hours(1)))).await,
        Action::Done
    );
    let row = stage.job(ready).await;
    assert_eq!(row.state(), State::Scheduled);
    let wait = row.run_at.unwrap() - row.created_at;
    assert!((3_590..3_700).contains(&wait.num_seconds()), "{wait}");

    let later = row.run_at.unwrap() + Duration::from_hours(1);
    assert_eq!(change(&stage, ready, at(When::At(later))).await, Action::Done);
    assert_eq!(stage.job(ready).await.run_at, Some(later));

    assert_eq!(change(&stage, ready, at(When::Now)).await, Action::Done);
    let row = stage.job(ready).await;
    assert_eq!((row.state(), row.run_at), (State::Ready, None));
    let place = stage.number("select seq from queue.job").await;
    assert_eq!(change(&stage, ready, at(When::Now)).await, Action::Done);
    assert_eq!(
        stage.number("select seq from queue.job").await,
        place,
        "it keeps its place"
    );

    claim(&stage, ready).await;
    assert_eq!(
        change(&stage, ready, at(When::Now)).await,
        Action::NotAllowed(State::Running)
    );
    assert_eq!(
        audited(&stage).await.len(),
        4,
        "a refusal changes nothing, and isn't written down"
    );
}

#[tokio::test]
async fn another_priority_puts_a_waiting_job_at_the_end_of_its_new_line() {
    let stage = Stage::new().await;
    let first = stage.enqueue(job(json!(0))).await;
    let urgent = stage.enqueue(job(json!(1)).priority(-5)).await;
    assert_eq!(change(&stage, first, Change::Priority(-5)).await, Action::Done);
    let order: Vec<i64> = sqlx::query_scalar("select id from queue.job order by priority, seq")
        .fetch_all(&stage.pool)
        .await
        .unwrap();
    assert_eq!(order, [urgent, first]);
    let later = stage.enqueue(job(json!(1)).delay(Duration::from_hours(1))).await;
    assert_eq!(change(&stage, later, Change::Priority(7)).await, Action::Done);
    let row = stage.job(later).await;
    assert_eq!((row.state(), row.priority), (State::Scheduled, 7));
}

#[tokio::test]
async fn waiting_and_finished_jobs_are_deleted_whole_and_running_ones_are_not() {
    let stage = Stage::new().await;
    let ids = stage.enqueue_many((0..4).map(|n| job(json!(n))).collect()).await;
    stage.cancel(ids[1]).await;
    sqlx::query("insert into queue.attempt (job_id, attempt, worker_id, error) values ($1, 1, 1, 'failed')")
        .bind(ids[1])
        .execute(&stage.pool)
        .await
        .unwrap();
    claim(&stage, ids[2]).await;
    assert_eq!(change(&stage, ids[0], Change::Delete).await, Action::Done);
    assert_eq!(change(&stage, ids[1], Change::Delete).await, Action::Done);
    assert_eq!(
        change(&stage, ids[2], Change::Delete).await,
        Action::NotAllowed(State::Running)
    );
    assert_eq!(change(&stage, ids[0], Change::Delete).await, Action::NotFound);
    let left = "select (select count(*) from queue.job) * 100 + (select count(*) from queue.history) * 10
        + (select count(*) from queue.attempt)";
    assert_eq!(stage.number(left).await, 200);
}

#[tokio::test]
async fn a_bulk_changes_what_its_preview_counted_in_batches_and_each_is_audited() {
    let stage = Stage::new().await;
    let many = |kind: &'static str, count| {
        (0..count)
            .map(move |n| NewJob::new(QUEUE, kind, json!(n)))
            .collect()
    };
    stage.enqueue_many(many("one", 2_500)).await;
    stage.enqueue_many(many("two", 3)).await;
    let filter = of_kind("one");
    let preview = stage.queue.preview(&filter, &Change::Cancel).await.unwrap();
    let found = stage.queue.count_matching(&filter, Duration::MAX).await.unwrap();
    assert_eq!((found.count, found.at_least, found.next), (2_500, false, None));
    assert_eq!(
        preview,
        Preview {
            count: 2_500,
            at_least: false
        }
    );

    let all = Selection::Matching(filter.clone());
    let applied = stage.queue.apply(&all, &Change::Cancel, &ann()).await.unwrap();
    assert_eq!(
        (applied.done, applied.requested, applied.refused.len()),
        (2_500, 0, 0)
    );
    assert!(applied.stopped.is_none());
    assert_eq!(stage.number("select count(*) from queue.job").await, 3);
    assert_eq!(
        stage
            .number("select count(*) from queue.history where state = 1 and reason = 'it was wrong'")
            .await,
        2_500
    );
    let entries = audited(&stage).await;
    assert_eq!(
        entries.iter().map(|entry| entry.affected).collect::<Vec<_>>(),
        [500, 1_000, 1_000]
    );
    assert!(entries.iter().all(|entry| {
        entry.actor == "ann"
            && entry.action == "cancel"
            && entry.reason.as_deref() == Some("it was wrong")
            && entry.job_ids.len() as i32 == entry.affected
            && entry.filter
                == Some(json!({ "kind": "one", "states": ["ready", "scheduled", "waiting", "running"] }))
    }));

    // Again: nothing is left to do, and nothing is done twice.
    let again = stage.queue.apply(&all, &Change::Cancel, &ann()).await.unwrap();
    assert_eq!((again.done, again.requested), (0, 0));
    assert_eq!(audited(&stage).await.len(), 3);

    let back = stage.queue.apply(&all, &Change::Retry, &ann()).await.unwrap();
    assert_eq!(back.done, 2_500);
    assert_eq!(
        stage
            .number("select count(*) from queue.job where seq is not null")
            .await,
        2_503
    );
    assert_eq!(stage.number("select count(*) from queue.history").await, 0);
}

#[tokio::test]
async fn a_job_brought_back_stands_in_its_own_lane_again() {
    let stage = Stage::new().await;
    let id = stage.enqueue(job(json!(0)).tenant("t").key("k")).await;
    let lane = stage.number("select lane from queue.job").await;
    stage.cancel(id).await;
    stage.retry(id).await.unwrap();
    assert_eq!(stage.number("select lane from queue.job").await, lane);
    let row = stage.job(id).await;
    assert_eq!(
        (row.tenant.as_deref(), row.key.as_deref()),
        (Some("t"), Some("k"))
    );
}

#[tokio::test]
async fn a_bulk_says_what_it_refused_and_why() {
    let stage = Stage::new().await;
    let keyed = || job(json!(0)).unique("key", OnConflict::Keep);
    let (cancelled, completed) = (stage.enqueue(keyed()).await, stage.enqueue(job(json!(1))).await);
    stage.cancel(cancelled).await;
    stage.cancel(completed).await;
    stage
        .execute("update queue.history set state = 0 where unique_key is null")
        .await;
    let (rival, running) = (stage.enqueue(keyed()).await, stage.enqueue(job(json!(1))).await);
    let dead = stage.enqueue(job(json!(2))).await;
    stage.cancel(dead).await;
    claim(&stage, running).await;

    let ids = Selection::Ids(vec![cancelled, completed, rival, running, dead, dead, 123_456]);
    let applied = stage.queue.apply(&ids, &Change::Retry, &ann()).await.unwrap();
    assert_eq!(applied.done, 1);
    let refused: Vec<(&str, u64)> = applied.refused.into_iter().collect();
    assert_eq!(
        refused,
        [
            ("an unfinished job has the same unique key", 1),
            ("completed", 1),
            ("no such job", 1),
            ("ready", 1),
            ("running", 1)
        ]
    );
    let applied = stage
        .queue
        .apply(&Selection::Ids(vec![running, dead]), &Change::Cancel, &ann())
        .await
        .unwrap();
    assert_eq!((applied.done, applied.requested), (1, 1));
    assert_eq!(
        stage.number("select job_id from queue.cancel_request").await,
        running
    );
}

#[tokio::test]
async fn a_row_that_another_transaction_holds_does_not_keep_a_bulk_waiting() {
    let stage = Stage::new().await;
    let ids = stage.enqueue_many((0..3).map(|n| job(json!(n))).collect()).await;
    let mut other = stage.pool.begin().await.unwrap();
    let hold = sqlx::query("select from queue.job where id = $1 for update").bind(ids[1]);
    hold.execute(&mut *other).await.unwrap();
    let applied = stage
        .queue
        .apply(&Selection::Ids(ids.clone()), &Change::Delete, &ann())
        .await
        .unwrap();
    assert_eq!(applied.done, 2);
    assert_eq!(
        applied.refused.get("held or changed by another transaction"),
        Some(&1)
    );
    other.rollback().await.unwrap();
    let applied = stage
        .queue
        .apply(&Selection::Ids(ids), &Change::Delete, &ann())
        .await
        .unwrap();
    assert_eq!((applied.done, applied.refused.get("no such job")), (1, Some(&2)));
}

#[tokio::test]
async fn a_bulk_leaves_jobs_enqueued_meanwhile_alone_and_goes_on_where_it_is_told_to() {
    let stage = Stage::new().await;
    let ids = stage.enqueue_many((0..5).map(|n| job(json!(n))).collect()).await;
    let filter = Filter {
        before: Some(ids[2]),
        ..of_kind(KIND)
    };
    let applied = stage
        .queue
        .apply(&Selection::Matching(filter), &Change::Priority(9), &ann())
        .await
        .unwrap();
    assert_eq!(applied.done, 2);
    assert_eq!(stage.job(ids[1]).await.priority, 9);
    assert_eq!(stage.job(ids[2]).await.priority, 0);
}

#[tokio::test]
async fn the_change_and_its_audit_are_one() {
    let stage = Stage::new().await;
    let id = stage.enqueue(job(json!(0))).await;
    let mut tx = stage.pool.begin().await.unwrap();
    stage
        .queue
        .change(&mut tx, id, &Change::Delete, &ann())
        .await
        .unwrap();
    tx.rollback().await.unwrap();
    assert!(audited(&stage).await.is_empty());
    change(&stage, id, Change::Priority(3)).await;
    change(&stage, id, Change::Delete).await;
    let entries = audited(&stage).await;
    assert_eq!(
        entries
            .iter()
            .map(|entry| (entry.action.as_str(), entry.detail.as_deref()))
            .collect::<Vec<_>>(),
        [("delete", None), ("priority", Some("3"))]
    );
    let found = async |filter| stage.queue.audit(&filter, None, 10).await.unwrap().len();
    assert_eq!(
        found(AuditFilter {
            job_id: Some(id),
            ..AuditFilter::default()
        })
        .await,
        2
    );
    assert_eq!(
        found(AuditFilter {
            job_id: Some(id + 1),
            ..AuditFilter::default()
        })
        .await,
        0
    );
    assert_eq!(
        found(AuditFilter {
            actor: Some("bob".into()),
            ..AuditFilter::default()
        })
        .await,
        0
    );
    assert_eq!(
        found(AuditFilter {
            action: Some("delete".into()),
            ..AuditFilter::default()
        })
        .await,
        1
    );
    assert_eq!(
        stage
            .queue
            .audit(&AuditFilter::default(), Some(entries[0].id), 10)
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn audit_entries_are_kept_for_400_days() {
    let stage = Stage::with_wake(Wake::Poll).await;
    let probe = crate::harness::Probe::new(&stage);
    stage
        .execute(
            "insert into queue.audit (at, actor, action, job_ids, affected)
            select now() - n * interval '1 day', 'ann', 'retry', '{1}', 1 from generate_series(390, 3000) as n",
        )
        .await;
    let registry = queue::Registry::new().add(
        KIND,
        queue::Policy::default(),
        |_: crate::harness::Probe, _: queue::Job<i32>| async {
            Ok::<_, queue::JobError>(queue::Outcome::Done)
        },
    );
    let worker = stage.start(registry, probe, crate::harness::options("w", 1));
    stage.until("select count(*) = 10 from queue.audit").await;
    worker.stop().await;
}
