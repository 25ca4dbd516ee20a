//! The contract suites of the ports, on the real database.

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
