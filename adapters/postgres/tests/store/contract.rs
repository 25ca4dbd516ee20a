//! The contract suites of the ports, on the real database.

use async_trait::async_trait;
use domain::idempotency::{Begun, IdempotentRequest};
use domain::port::{IdempotentRequests, Inbox, RunStore};
use domain::run::{Created, LogLine};
use domain::{DeliveryId, RunId};
use testkit::contract;

use crate::world::World;

#[tokio::test]
async fn inbox() {
    let world = World::create().await;
    contract::inbox(&world.store).await.unwrap();
}

#[tokio::test]
async fn ledger() {
    let world = World::create().await;
    contract::ledger(&world.store, &world.store, &world.repository)
        .await
        .unwrap();
}

#[tokio::test]
async fn run_store() {
    let world = World::create().await;
    contract::run_store(&world.store, &world.repository)
        .await
        .unwrap();
}

#[tokio::test]
async fn delivery_desk() {
    let world = World::create().await;
    contract::delivery_desk(&world.store, &world.store, &world.store, &world.repository)
        .await
        .unwrap();
}

#[tokio::test]
async fn run_retry() {
    let world = World::create().await;
    contract::run_retry(&world.store, &world.store, &world.repository)
        .await
        .unwrap();
}

#[tokio::test]
async fn run_desk() {
    let world = World::create().await;
    contract::run_desk(&world.store, &world.store, &world.repository)
        .await
        .unwrap();
}

#[tokio::test]
async fn access() {
    let world = World::create().await;
    let store = &world.store;
    contract::sign_ins(store, store, store, store).await.unwrap();
    contract::user_desk(store, store).await.unwrap();
    contract::signing_keys(store).await.unwrap();
    contract::device_sign_ins(store, store, store).await.unwrap();
    let project = ("demo", world.repository.project.id);
    contract::principals(store, store, store, store, store, project)
        .await
        .unwrap();
}

#[tokio::test]
async fn change_feed() {
    let world = World::create().await;
    let project = world.repository.project.id;
    contract::change_feed(&world.store, &world, project)
        .await
        .unwrap();
}

#[async_trait]
impl contract::Deeds for World {
    async fn deliver(&self) -> anyhow::Result<DeliveryId> {
        let id = contract::fresh_delivery_id();
        self.store.accept(contract::delivery(&id, b"{}")).await?;
        Ok(id)
    }

    async fn create_run(&self) -> anyhow::Result<RunId> {
        let run = contract::new_run(&self.repository, 1);
        match self.store.create(run).await? {
            Created::New(id) => Ok(id),
            other => anyhow::bail!("{other:?}"),
        }
    }

    async fn write_log(&self, run: RunId, numbers: std::ops::RangeInclusive<i64>) -> anyhow::Result<()> {
        let line = |number| LogLine {
            number,
            text: format!("line {number}"),
        };
        let lines: Vec<LogLine> = numbers.map(line).collect();
        Ok(self.store.append_log(run, &lines).await?)
    }
}

#[tokio::test]
async fn idempotent_requests() {
    let world = World::create().await;
    contract::idempotent_requests(&world.store).await.unwrap();
    assert_eq!(
        world
            .count("select count(*) from platform.idempotent_request")
            .await,
        2
    );
    // Lost by a gateway that died over it, and too old.
    world
        .run("update platform.idempotent_request set begun_at = begun_at - interval '2 minutes' where owner = 'bob'")
        .await;
    world
        .run("update platform.idempotent_request set begun_at = begun_at - interval '2 days' where owner = 'ann'")
        .await;
    let bob: (String,) = sqlx::query_as("select key from platform.idempotent_request where owner = 'bob'")
        .fetch_one(&world.sql)
        .await
        .unwrap();
    let lost = IdempotentRequest {
        owner: "bob".to_owned(),
        key: bob.0,
        fingerprint: [1; 32],
    };
    assert_eq!(world.store.begin(&lost).await.unwrap(), Begun::New);
    assert_eq!(
        world
            .count("select count(*) from platform.idempotent_request")
            .await,
        1
    );
}
