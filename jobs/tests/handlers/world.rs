//! The world that the handlers work in: one project with one repository, one person who may start runs, and
//! an issue.

use std::sync::Arc;

use domain::job::{GithubDelivery, RunObserve, RunReport, RunStart};
use domain::port::{Admission, Inbox, RunStore};
use domain::repository::{Permission, Repository};
use domain::run::{Created, Run, RunEvent};
use domain::{DeliveryId, Redactor, RunId, Secret};
use jobs::kinds::{github_delivery, run_observe, run_report, run_start};
use jobs::{Ctx, Failure, Settings};
use queue::{Job, Outcome};
use serde_json::{Value, json};
use testkit::contract::{delivery, fresh_delivery_id, new_run};
use testkit::fake::cluster::FakeCluster;
use testkit::fake::forge::FakeForge;
use testkit::fake::ledger::FakeLedger;
use testkit::fake::memory::Memory;
use testkit::fake::runs::FakeRuns;

/// What must never be stored or posted.
pub(crate) const SECRET: &str = "gh0-very-secret-value";

pub(crate) struct World {
    pub(crate) memory: Arc<Memory>,
    pub(crate) ledger: FakeLedger,
    pub(crate) runs: FakeRuns,
    pub(crate) forge: Arc<FakeForge>,
    pub(crate) cluster: Arc<FakeCluster>,
    pub(crate) repository: Repository,
    pub(crate) ctx: Ctx,
}

impl World {
    pub(crate) fn new() -> Self {
        let memory = Memory::new();
        let (ledger, runs) = (FakeLedger::new(&memory), FakeRuns::new(&memory));
        let (forge, cluster) = (Arc::new(FakeForge::default()), Arc::new(FakeCluster::default()));
        let repository = memory.add_repository("demo", 1, "codertocat/hello-world");
        forge.permit("ann", Permission::Write);
        forge.put_issue(&repository.name, 1, &["run:dev"]);
        let ctx = Ctx {
            ledger: Arc::new(ledger.clone()),
            runs: Arc::new(runs.clone()),
            forge: forge.clone(),
            cluster: cluster.clone(),
            redactor: Redactor::new(&[Secret::new(SECRET.to_owned())]),
            settings: Arc::new(Settings {
                observe_every_s: 17,
                ..Settings::default()
            }),
        };
        Self {
            memory,
            ledger,
            runs,
            forge,
            cluster,
            repository,
            ctx,
        }
    }

    /// Accepts a delivery as the gateway does; its job is in the caller's hands.
    pub(crate) async fn accept(&self, event: &str, payload: &str) -> DeliveryId {
        let id = fresh_delivery_id();
        let mut new = delivery(&id, payload.as_bytes());
        event.clone_into(&mut new.event);
        self.ledger.accept(new).await.unwrap();
        id
    }

    /// Accepts a delivery and takes its job away.
    pub(crate) async fn delivered(&self, event: &str, payload: &str) -> DeliveryId {
        let id = self.accept(event, payload).await;
        let job = self.memory.take_job().unwrap().job;
        assert_eq!(job.args, json!({ "delivery_id": id }));
        id
    }

    pub(crate) async fn process(&self, id: &DeliveryId) -> Result<Outcome, Failure> {
        let mut job = Job::for_test(GithubDelivery {
            delivery_id: id.clone(),
        });
        job.traceparent = Some(TRACE.to_owned());
        github_delivery::handle(self.ctx.clone(), job).await
    }

    /// A run of this issue, created and nothing more.
    pub(crate) async fn pending(&self, issue: i64) -> Run {
        match self.runs.create(new_run(&self.repository, issue)).await.unwrap() {
            Created::New(id) => self.run(id),
            other => panic!("not a new run: {other:?}"),
        }
    }

    /// A run that has its slot.
    pub(crate) async fn preparing(&self, issue: i64) -> Run {
        let run = self.pending(issue).await;
        assert_eq!(self.runs.admit(&run).await.unwrap(), Admission::Admitted);
        self.run(run.id)
    }

    /// A run whose Job was launched; the jobs that led there are done.
    pub(crate) async fn running(&self, issue: i64) -> Run {
        let id = self.pending(issue).await.id;
        assert_eq!(self.start(id).await.unwrap(), Outcome::Done);
        while self.memory.take_job().is_some() {}
        self.run(id)
    }

    /// A run that someone has canceled.
    pub(crate) async fn cancel(&self, run: &Run) {
        let reason = "by ann".to_owned();
        self.runs
            .apply(run, RunEvent::Canceled { reason }, json!({}))
            .await
            .unwrap();
    }

    pub(crate) fn run(&self, id: RunId) -> Run {
        let runs = self.memory.runs();
        runs.into_iter().find(|run| run.id == id).unwrap()
    }

    pub(crate) async fn start(&self, run_id: RunId) -> Result<Outcome, Failure> {
        run_start::handle(self.ctx.clone(), Job::for_test(RunStart { run_id })).await
    }

    pub(crate) async fn observe(&self, run_id: RunId) -> Result<Outcome, Failure> {
        run_observe::handle(self.ctx.clone(), Job::for_test(RunObserve { run_id })).await
    }

    pub(crate) async fn report(&self, run_id: RunId) -> Result<Outcome, Failure> {
        run_report::handle(self.ctx.clone(), Job::for_test(RunReport { run_id })).await
    }

    /// The kinds that wait in the queue, in order.
    pub(crate) fn queued(&self) -> Vec<&'static str> {
        self.memory
            .queued()
            .iter()
            .map(|queued| queued.job.kind)
            .collect()
    }
}

/// The trace that deliveries come with.
pub(crate) const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The payload of `issues.labeled`.
pub(crate) fn labeled(label: &str, login: &str, kind: &str) -> Value {
    json!({
        "action": "labeled",
        "issue": { "number": 1 },
        "label": { "name": label },
        "repository": { "full_name": "Codertocat/Hello-World" },
        "sender": { "login": login, "type": kind },
    })
}

/// The same attempt's job as the last one that it may have.
pub(crate) fn last_attempt<A>(args: A) -> Job<A> {
    let mut job = Job::for_test(args);
    job.attempt = job.max_attempts;
    job
}
