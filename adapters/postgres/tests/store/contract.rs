//! The contract suites of the ports, on the real database.

use async_trait::async_trait;
use domain::port::{Inbox, RunStore};
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
