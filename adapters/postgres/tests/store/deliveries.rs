//! What the contract suites can't see of deliveries: rows, events, jobs, partitions.

use domain::access::Projects;
use domain::delivery::{Accepted, DeliveryOutcome, DeliveryStatus, Replay};
use domain::flow::{Author, FlowActor};
use domain::job::{IssueComment, JobAction, JobChange, JobState, NewJob};
use domain::port::{DeliveryDesk, Inbox, JobDesk, Ledger};
use testkit::contract::{delivery, fresh_delivery_id};

use crate::world::World;

fn author() -> Author {
    Author {
        actor: ann(),
        reason: None,
    }
}

fn ann() -> FlowActor {
    FlowActor::Human("ann".to_owned())
}

async fn accepted(world: &World, payload: &[u8]) -> (domain::DeliveryId, domain::JobId) {
    let id = fresh_delivery_id();
    match world.store.accept(delivery(&id, payload)).await.unwrap() {
        Accepted::New(job) => (id, job),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn accepting_writes_everything_once() {
    let world = World::create().await;
    let (id, job) = accepted(&world, b"{}").await;
    world.store.accept(delivery(&id, b"{}")).await.unwrap();
    world.store.accept(delivery(&id, b"[]")).await.unwrap();
    for (query, expected) in [
        (
            "select count(*) from platform.delivery where duplicates = 1 and job_id is not null",
            1,
        ),
        ("select count(*) from platform.delivery_payload", 1),
        ("select count(*) from queue.job", 1),
        (
            "select count(*) from audit.flow_event where kind = 'webhook.accepted' and data ? 'job_id'",
            1,
        ),
        (
            "select count(*) from audit.flow_event where kind = 'webhook.body_mismatch'",
            1,
        ),
        ("select count(*) from audit.flow_event", 2),
    ] {
        assert_eq!(world.count(query).await, expected, "{query}");
    }
    let job = JobDesk::get(&world.store, job, &Projects::All)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(job.summary.kind, "github.delivery");
    assert_eq!(job.summary.correlation_id.as_deref(), Some(id.as_str()));
    assert_eq!(job.args, serde_json::json!({ "delivery_id": id }));
    assert!(
        job.traceparent
            .is_some_and(|t| t.starts_with("00-0af7651916cd43dd"))
    );
    assert_eq!(world.store.backlog().await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rivals_in_two_processes_agree() {
    let world = World::create().await;
    let other = postgres::Store::connect(&crate::world::options(&world.database))
        .await
        .unwrap();
    let ids: Vec<_> = (0..40).map(|_| fresh_delivery_id()).collect();
    let mut posts = tokio::task::JoinSet::new();
    for id in ids.iter().cycle().take(400) {
        for store in [&world.store, &other] {
            let (store, offer) = (store.clone(), delivery(id, b"{}"));
            posts.spawn(async move { store.accept(offer).await.unwrap() });
        }
    }
    let answers = posts.join_all().await;
    assert_eq!(
        answers.iter().filter(|a| matches!(a, Accepted::New(_))).count(),
        40
    );
    assert_eq!(answers.iter().filter(|a| **a == Accepted::Duplicate).count(), 760);
    assert_eq!(world.count("select count(*) from queue.job").await, 40);
    assert_eq!(
        world.count("select sum(duplicates) from platform.delivery").await,
        760
    );
}

#[tokio::test]
async fn nul_is_replaced_in_columns_and_kept_in_payloads() {
    let world = World::create().await;
    let id = fresh_delivery_id();
    let mut offer = delivery(&id, b"{\"a\":\"\\u0000\"}\0");
    offer.sender = Some("a\0nn".to_owned());
    offer.action = Some("\0".to_owned());
    world.store.accept(offer).await.unwrap();
    let shown = DeliveryDesk::get(&world.store, &id, &Projects::All)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(shown.summary.sender.as_deref(), Some("a\u{fffd}nn"));
    let loaded = world.store.load(&id).await.unwrap().unwrap();
    assert_eq!(loaded.payload.as_deref(), Some(&b"{\"a\":\"\\u0000\"}\0"[..]));
}

#[tokio::test]
async fn settling_again_changes_only_the_time() {
    let world = World::create().await;
    let (id, _) = accepted(&world, b"{}").await;
    let outcome = DeliveryOutcome {
        status: DeliveryStatus::Processed,
        reason: "label_conflict".to_owned(),
        run: None,
    };
    let comment = || {
        NewJob::new(&IssueComment {
            repository: world.repository.name.clone(),
            issue: 1,
            marker: "m\0".to_owned(),
            body: "b\0".to_owned(),
        })
    };
    for _ in 0..2 {
        world.store.settle(&id, &outcome, vec![comment()]).await.unwrap();
    }
    assert_eq!(
        world
            .count("select count(*) from audit.flow_event where kind = 'webhook.processed'")
            .await,
        1
    );
    let comments = "select count(*) from queue.job j join queue.kind k on k.id = j.kind_id where k.name = 'issue.comment'";
    assert_eq!(world.count(comments).await, 1);
}

#[tokio::test]
async fn replay_waits_for_the_job_and_needs_the_payload() {
    let world = World::create().await;
    let (id, job) = accepted(&world, b"{}").await;
    let open = world
        .store
        .replay(&id, false, &Projects::All, &ann())
        .await
        .unwrap();
    assert_eq!(open, Some(Replay::StillOpen { job_id: job }));
    JobDesk::change(&world.store, job, JobChange::Cancel, &Projects::All, &author())
        .await
        .unwrap();
    assert_eq!(
        world
            .store
            .replay(&id, true, &Projects::All, &ann())
            .await
            .unwrap(),
        Some(Replay::Possible)
    );
    assert_eq!(
        world.count("select count(*) from queue.job").await,
        0,
        "a dry run enqueued"
    );
    let Some(Replay::Enqueued { job_id }) = world
        .store
        .replay(&id, false, &Projects::All, &ann())
        .await
        .unwrap()
    else {
        panic!("not enqueued")
    };
    assert_ne!(job_id, job);
    let again = world
        .store
        .replay(&id, false, &Projects::All, &ann())
        .await
        .unwrap();
    assert_eq!(again, Some(Replay::StillOpen { job_id }));
    let line = DeliveryDesk::get(&world.store, &id, &Projects::All)
        .await
        .unwrap()
        .unwrap()
        .summary;
    assert_eq!(
        (line.replays, line.job_id, line.status),
        (1, Some(job_id), DeliveryStatus::Accepted)
    );
    let audited = "select count(*) from audit.flow_event where kind = 'webhook.replayed' and actor = 'ann'";
    assert_eq!(world.count(audited).await, 1);

    JobDesk::change(&world.store, job_id, JobChange::Cancel, &Projects::All, &author())
        .await
        .unwrap();
    world.run("delete from platform.delivery_payload").await;
    assert_eq!(
        world
            .store
            .replay(&id, false, &Projects::All, &ann())
            .await
            .unwrap(),
        Some(Replay::PayloadGone)
    );
    assert!(world.store.load(&id).await.unwrap().unwrap().payload.is_none());
    assert!(
        DeliveryDesk::get(&world.store, &id, &Projects::All)
            .await
            .unwrap()
            .unwrap()
            .payload
            .is_none()
    );
}

#[tokio::test]
async fn old_payloads_go_with_their_partition_and_the_ledger_stays() {
    let world = World::create().await;
    let (id, _) = accepted(&world, b"{}").await;
    world
        .run(
            "do $$ begin
            create table platform.delivery_payload_20200101 partition of platform.delivery_payload
                for values from ('2020-01-01') to ('2020-01-02');
            update platform.delivery set received_at = '2020-01-01T12:00Z';
            update platform.delivery_payload set received_on = '2020-01-01';
        end $$",
        )
        .await;
    assert!(world.store.load(&id).await.unwrap().unwrap().payload.is_some());
    let round = world.store.maintain_partitions(14).await.unwrap();
    assert_eq!((round.made, round.dropped, round.postponed), (0, 1, 0));
    assert!(world.store.load(&id).await.unwrap().unwrap().payload.is_none());
    let known = world.store.accept(delivery(&id, b"{}")).await.unwrap();
    assert_eq!(known, Accepted::Duplicate);
    let round = world.store.maintain_partitions(14).await.unwrap();
    assert_eq!((round.made, round.dropped, round.postponed), (0, 0, 0));
}

#[tokio::test]
async fn a_partition_in_use_is_dropped_later() {
    let world = World::create().await;
    world
        .run(
            "create table platform.delivery_payload_20200101 partition of platform.delivery_payload
            for values from ('2020-01-01') to ('2020-01-02')",
        )
        .await;
    let mut reader = world.sql.begin().await.unwrap();
    sqlx::query("lock table platform.delivery_payload_20200101 in access share mode")
        .execute(&mut *reader)
        .await
        .unwrap();
    assert_eq!(world.store.maintain_partitions(14).await.unwrap().postponed, 1);
    accepted(&world, b"{}").await;
    reader.rollback().await.unwrap();
    assert_eq!(world.store.maintain_partitions(14).await.unwrap().dropped, 1);
}

#[tokio::test]
async fn a_missing_partition_is_made_by_the_one_who_needs_it() {
    let world = World::create().await;
    world
        .run(
            "do $$ declare part text; begin
            for part in select inhrelid::regclass::text from pg_inherits
                where inhparent = 'platform.delivery_payload'::regclass
            loop execute 'drop table ' || part; end loop;
        end $$",
        )
        .await;
    let (id, _) = accepted(&world, b"{}").await;
    assert!(world.store.load(&id).await.unwrap().unwrap().payload.is_some());
}

#[tokio::test]
async fn steering_a_job_is_audited() {
    let world = World::create().await;
    let (id, job) = accepted(&world, b"{}").await;
    assert_eq!(
        JobDesk::change(&world.store, job, JobChange::Cancel, &Projects::All, &author())
            .await
            .unwrap(),
        JobAction::Done
    );
    let refused = JobDesk::change(&world.store, job, JobChange::Cancel, &Projects::All, &author())
        .await
        .unwrap();
    assert_eq!(refused, JobAction::NotAllowed(JobState::Cancelled));
    assert_eq!(
        JobDesk::change(&world.store, job, JobChange::Retry, &Projects::All, &author())
            .await
            .unwrap(),
        JobAction::Done
    );
    let unknown = JobDesk::change(
        &world.store,
        domain::JobId(i64::MAX),
        JobChange::Retry,
        &Projects::All,
        &author(),
    )
    .await
    .unwrap();
    assert_eq!(unknown, JobAction::NotFound);
    let kinds: Vec<String> = sqlx::query_scalar(
        "select kind from audit.flow_event where correlation_id = $1 and actor = 'ann' order by id",
    )
    .bind(id.as_str())
    .fetch_all(&world.sql)
    .await
    .unwrap();
    assert_eq!(kinds, ["job.cancelled", "job.retried"]);
    let ready = domain::job::JobFilter {
        states: vec![JobState::Ready],
        limit: 10,
        ..Default::default()
    };
    assert_eq!(
        JobDesk::list(&world.store, &ready, &Projects::All)
            .await
            .unwrap()
            .jobs
            .len(),
        1
    );
    let counts = JobDesk::counts(&world.store).await.unwrap();
    assert!(
        counts.iter().any(|c| c.queue == "deliveries" && c.ready == 1),
        "{counts:?}"
    );
}
