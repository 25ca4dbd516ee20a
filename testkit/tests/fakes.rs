//! The contract suites of the ports, on the fakes in memory.

use async_trait::async_trait;
use chrono::DateTime;
use domain::delivery::{DeliveryStatus, DeliverySummary};
use domain::flow::{FlowActor, RecordedEvent};
use domain::job::{JobState, JobSummary};
use domain::live::{Changes, LogTail, Owned};
use domain::run::{LogLine, RunState, RunSummary};
use domain::stage::Stage;
use domain::{DeliveryId, JobId, ProjectId, RunId};
use testkit::contract;
use testkit::fake::access::FakeAccess;
use testkit::fake::change_feed::FakeChangeFeed;
use testkit::fake::idempotent::FakeIdempotentRequests;
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
    contract::device_sign_ins(&access, &access, &access)
        .await
        .unwrap();
    let project = access.add_project("demo");
    contract::principals(&access, &access, &access, &access, &access, ("demo", project))
        .await
        .unwrap();
}

#[tokio::test]
async fn change_feed() {
    let feed = FakeChangeFeed::default();
    contract::change_feed(&feed, &Told(feed.clone()), PROJECT)
        .await
        .unwrap();
}

const PROJECT: ProjectId = ProjectId(7);

/// What would be done is told to the feed.
struct Told(FakeChangeFeed);

fn owned<T>(row: T) -> Owned<T> {
    Owned {
        project: Some(PROJECT),
        row,
    }
}

#[async_trait]
impl contract::Deeds for Told {
    async fn deliver(&self) -> anyhow::Result<DeliveryId> {
        let id = contract::fresh_delivery_id();
        let mut changes = Changes::default();
        changes.deliveries.rows.push(owned(DeliverySummary {
            id: id.clone(),
            event: "issues".to_owned(),
            action: None,
            repository: None,
            sender: None,
            status: DeliveryStatus::Accepted,
            reason: None,
            run_id: None,
            job_id: Some(JobId(1)),
            duplicates: 0,
            replays: 0,
            received_at: DateTime::UNIX_EPOCH,
            processed_at: None,
        }));
        changes.jobs.rows.push(owned(JobSummary {
            id: JobId(1),
            kind: "github.delivery".to_owned(),
            queue: "deliveries".to_owned(),
            state: JobState::Ready,
            priority: 0,
            attempt: 0,
            max_attempts: 5,
            correlation_id: Some(id.to_string()),
            tenant: None,
            key: None,
            tags: Vec::new(),
            worker: None,
            last_error: None,
            created_at: DateTime::UNIX_EPOCH,
            run_at: None,
            started_at: None,
            finished_at: None,
        }));
        self.0.push(changes);
        Ok(id)
    }

    async fn create_run(&self) -> anyhow::Result<RunId> {
        let (run, correlation_id) = (RunId(1), contract::fresh_delivery_id());
        let mut changes = Changes::default();
        changes.runs.rows.push(owned(RunSummary {
            id: run,
            project: "demo".to_owned(),
            repository: "octo/demo".to_owned(),
            issue: 1,
            stage: Stage::Dev,
            revise: false,
            state: RunState::Pending,
            correlation_id: correlation_id.clone(),
            requested_by: "ann".to_owned(),
            namespace: None,
            comment_id: None,
            created_at: DateTime::UNIX_EPOCH,
            started_at: None,
            finished_at: None,
        }));
        changes.run_events.rows.push(owned(RecordedEvent {
            id: 1,
            at: DateTime::UNIX_EPOCH,
            correlation_id,
            run_id: Some(run),
            kind: "run.created".to_owned(),
            actor: FlowActor::System,
            data: serde_json::Value::Null,
        }));
        self.0.push(changes);
        Ok(run)
    }

    async fn write_log(&self, run: RunId, numbers: std::ops::RangeInclusive<i64>) -> anyhow::Result<()> {
        let line = |number| LogLine {
            number,
            text: format!("line {number}"),
        };
        let lines = numbers.map(line).collect();
        self.0.push(Changes {
            logs: vec![owned(LogTail { run, lines })],
            ..Changes::default()
        });
        Ok(())
    }
}

#[tokio::test]
async fn idempotent_requests() {
    contract::idempotent_requests(&FakeIdempotentRequests::default())
        .await
        .unwrap();
}
