//! The contract suites of the ports, on the fakes in memory.

use testkit::contract;
use testkit::fake::access::FakeAccess;
use testkit::fake::ledger::FakeLedger;
use testkit::fake::memory::Memory;
use testkit::fake::runs::FakeRuns;

#[tokio::test]
async fn inbox() {
    contract::inbox(&FakeLedger::new(&Memory::new())).await.unwrap();
}

#[tokio::test]
async fn ledger() {
    let memory = Memory::new();
    let repository = memory.add_repository("demo", 1, "codertocat/hello-world");
    let ledger = FakeLedger::new(&memory);
    contract::ledger(&ledger, &ledger, &repository).await.unwrap();
}

#[tokio::test]
async fn run_store() {
    let memory = Memory::new();
    let repository = memory.add_repository("demo", 1, "codertocat/hello-world");
    contract::run_store(&FakeRuns::new(&memory), &repository)
        .await
        .unwrap();
}

#[tokio::test]
async fn access() {
    let access = FakeAccess::default();
    contract::sign_ins(&access, &access, &access, &access)
        .await
        .unwrap();
    contract::user_desk(&access, &access).await.unwrap();
    contract::signing_keys(&access).await.unwrap();
    let project = access.add_project("demo");
    contract::principals(&access, &access, &access, &access, &access, ("demo", project))
        .await
        .unwrap();
}
