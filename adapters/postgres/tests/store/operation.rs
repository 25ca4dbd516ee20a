//! Starting, migrating, and a database that is away.

use domain::Secret;
use domain::delivery::Accepted;
use domain::port::{Inbox, PortError};
use postgres::{Options, Store};
use testkit::contract::{delivery, fresh_delivery_id};
use testkit::postgres::TestDatabase;

use crate::world::{World, options};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_that_start_at_once_migrate_once() {
    let database = TestDatabase::create().await;
    let store = Store::connect(&options(&database)).await.unwrap();
    let error = store.ready().await.unwrap_err();
    assert!(error.to_string().contains("codex-k8s migrate"), "{error}");
    let mut starts = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let options = options(&database);
        starts.spawn(async move { Store::connect(&options).await.unwrap().migrate().await.unwrap() });
    }
    starts.join_all().await;
    store.migrate().await.unwrap();
    store.ready().await.unwrap();
}

#[tokio::test]
async fn seeding_is_idempotent_and_checked() {
    let world = World::create().await;
    let name = &world.repository.name;
    assert_eq!(
        world.store.seed_project("demo", 1, name).await.unwrap(),
        world.repository
    );
    let other = world.store.seed_project("other", 1, name).await;
    assert!(matches!(other, Err(PortError::Refused { .. })), "{other:?}");
    assert_eq!(world.count("select count(*) from platform.project").await, 1);
    for (slug, slots) in [("Not a slug", 1), ("", 1), ("demo", -1)] {
        let refused = world.store.seed_project(slug, slots, name).await;
        assert!(
            matches!(refused, Err(PortError::Refused { .. })),
            "{slug} {slots}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn errors_say_whether_to_come_again_and_keep_the_password() {
    let unreadable = Options::new(Secret::new("postgres://ann:hunter2@[::1".to_owned()));
    let error = Store::connect(&unreadable).await.unwrap_err();
    assert!(matches!(error, PortError::Refused { .. }), "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
    let nobody = Options {
        acquire_timeout_ms: 500,
        ..Options::new(Secret::new("postgres://ann:hunter2@127.0.0.1:1/x".to_owned()))
    };
    let error = Store::connect(&nobody).await.unwrap_err();
    assert!(
        matches!(error, PortError::Unavailable { part: "database", .. }),
        "{error}"
    );
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[tokio::test]
async fn a_lost_connection_is_replaced() {
    let world = World::create().await;
    world
        .run(
            "select pg_terminate_backend(pid) from pg_stat_activity
        where application_name = 'codex-k8s' and datname = current_database()",
        )
        .await;
    // At most one call for each connection that was cut fails, and says that it may succeed later.
    let mut failed = 0;
    let id = fresh_delivery_id();
    loop {
        match world.store.accept(delivery(&id, b"{}")).await {
            Ok(answer) => {
                assert!(matches!(answer, Accepted::New(_)), "{answer:?}");
                break;
            }
            Err(PortError::Unavailable { .. }) => failed += 1,
            Err(other) => panic!("{other}"),
        }
        assert!(failed <= 8, "never recovered");
    }
    world.store.ready().await.unwrap();
}

#[tokio::test]
async fn the_audit_trail_only_grows() {
    let world = World::create().await;
    world
        .store
        .accept(delivery(&fresh_delivery_id(), b"{}"))
        .await
        .unwrap();
    for statement in [
        "update audit.flow_event set kind = 'x'",
        "delete from audit.flow_event",
        "truncate audit.flow_event",
    ] {
        let error = sqlx::query(statement).execute(&world.sql).await.unwrap_err();
        assert!(error.to_string().contains("append-only"), "{error}");
    }
}
