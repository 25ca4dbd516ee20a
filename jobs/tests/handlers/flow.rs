//! The whole way on fakes: a label comes in, and the jobs that follow from each other are run until none is
//! left.

use domain::DeliveryId;
use domain::job::{GithubDelivery, IssueComment, JobArgs, NewJob, RunObserve, RunReport, RunStart};
use domain::run::RunState;
use domain::workload::Observation;
use jobs::Failure;
use jobs::kinds::{github_delivery, issue_comment, run_observe, run_report, run_start};
use queue::{Job, Outcome};
use testkit::fake::faults::Fault;

use crate::world::{World, labeled};

/// More steps than any of the flows here takes.
const MANY: usize = 60;

fn job<A: JobArgs>(queued: &NewJob, attempt: i32) -> Job<A> {
    let mut job = Job::for_test(serde_json::from_value(queued.args.clone()).unwrap());
    job.correlation_id = queued.correlation_id.as_ref().map(ToString::to_string);
    job.traceparent.clone_from(&queued.traceparent);
    job.attempt = attempt;
    job
}

async fn run_one(world: &World, queued: &NewJob, attempt: i32) -> Result<Outcome, Failure> {
    let ctx = world.ctx.clone();
    match queued.kind {
        GithubDelivery::KIND => github_delivery::handle(ctx, job(queued, attempt)).await,
        RunStart::KIND => run_start::handle(ctx, job(queued, attempt)).await,
        RunObserve::KIND => run_observe::handle(ctx, job(queued, attempt)).await,
        RunReport::KIND => run_report::handle(ctx, job(queued, attempt)).await,
        IssueComment::KIND => issue_comment::handle(ctx, job(queued, attempt)).await,
        other => panic!("nobody handles {other}"),
    }
}

/// Runs jobs until none is left; gives back the kinds in the order in which they ran.
async fn pump(world: &World, correlation_id: &DeliveryId) -> Vec<&'static str> {
    let mut ran = Vec::new();
    while let Some(queued) = world.memory.take_job() {
        assert!(ran.len() < MANY, "it goes round and round: {ran:?}");
        assert_eq!(
            queued.job.correlation_id.as_ref(),
            Some(correlation_id),
            "{queued:?}"
        );
        let mut attempt = 1;
        let outcome = loop {
            ran.push(queued.job.kind);
            match run_one(world, &queued.job, attempt).await {
                Ok(outcome) => break outcome,
                Err(failure) if failure.is_passing() && attempt < 20 => attempt += 1,
                Err(failure) => panic!("{} is dead: {failure}", queued.job.kind),
            }
        };
        if let Outcome::Snooze(delay) = outcome {
            let delay_ms = i64::try_from(delay.as_millis()).unwrap();
            world.memory.put_job(queued.job.after_ms(delay_ms));
        }
    }
    ran
}

fn assert_succeeded(world: &World, id: &DeliveryId) {
    let runs = world.memory.runs();
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].state, RunState::Succeeded);
    let events = world.memory.events();
    for event in &events {
        assert_eq!(event.correlation_id, *id, "{}", event.kind);
    }
    let mut kinds: Vec<&str> = events.iter().map(|event| event.kind).collect();
    // When the comment comes about is of no importance.
    let reported = kinds.iter().position(|kind| *kind == "run.reported").unwrap();
    kinds.remove(reported);
    assert_eq!(
        kinds,
        [
            "webhook.accepted",
            "run.created",
            "webhook.processed",
            "run.preparing",
            "namespace.prepared",
            "run.running",
            "run.succeeded",
        ]
    );
    assert_eq!(world.cluster.workloads()[0].correlation_id, *id);
    assert_eq!(world.memory.log(runs[0].id).len(), 2);
    let comments = world.forge.comments();
    assert_eq!(comments.len(), 1, "exactly one status comment");
    assert!(comments[0].body.contains("**succeeded**") && comments[0].body.contains(id.as_str()));
}

fn script(world: &World) {
    let active = |detail: &str| Observation::Active {
        detail: detail.to_owned(),
    };
    let end = Observation::Exited { code: 0 };
    world.cluster.script([active("Pending"), active("Running"), end]);
    world.cluster.write_log(&["hello", "done"]);
}

#[tokio::test]
async fn from_a_label_to_a_succeeded_run() {
    let world = World::new();
    script(&world);
    let id = world
        .accept("issues", &labeled("run:dev", "ann", "User").to_string())
        .await;
    let ran = pump(&world, &id).await;
    assert_succeeded(&world, &id);
    let observed = ran.iter().filter(|kind| **kind == "run.observe").count();
    assert_eq!(observed, 3, "{ran:?}");
}

#[tokio::test]
async fn every_call_fails_once_and_the_way_is_the_same() {
    for fault in [Fault::Unavailable, Fault::AnswerLost] {
        let world = World::new();
        script(&world);
        let id = world
            .accept("issues", &labeled("run:dev", "ann", "User").to_string())
            .await;
        for method in [
            "load",
            "settle",
            "repository",
            "caused_by",
            "create",
            "get",
            "admit",
            "apply",
            "append_log",
            "last_log_line",
            "set_comment",
            "record",
        ] {
            world.memory.faults.order(method, 1, fault);
        }
        for method in ["issue", "permission", "upsert_comment"] {
            world.forge.faults.order(method, 1, fault);
        }
        // An observation that was lost isn't made again: the script would miss it.
        for method in ["launch", "log"] {
            world.cluster.faults.order(method, 1, fault);
        }
        pump(&world, &id).await;
        assert_succeeded(&world, &id);
    }
}

#[tokio::test]
async fn a_conflict_ends_in_one_comment() {
    let world = World::new();
    let present = ["run:dev", "run:dev:revise"];
    world.forge.put_issue(&world.repository.name, 1, &present);
    let payload = labeled("run:dev", "ann", "User").to_string();
    let id = world.accept("issues", &payload).await;
    assert_eq!(pump(&world, &id).await, ["github.delivery", "issue.comment"]);
    let comments = world.forge.comments();
    assert_eq!(comments.len(), 1);
    assert!(comments[0].body.contains("No run was started"));
}
