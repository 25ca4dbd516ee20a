//! `run.start`: slots, launches that fail, and runs that ended meanwhile.

use domain::job::RunStart;
use domain::run::RunState;
use jobs::Failure;
use jobs::kinds::run_start;
use queue::Outcome;
use testkit::fake::faults::Fault;

use crate::world::{World, last_attempt};

#[tokio::test]
async fn a_free_slot_is_taken_and_the_job_launched() {
    let world = World::new();
    let id = world.pending(1).await.id;
    assert_eq!(world.start(id).await.unwrap(), Outcome::Done);
    let run = world.run(id);
    assert_eq!(run.state, RunState::Running);
    assert!(run.started_at.is_some());
    assert_eq!(run.namespace.as_deref(), Some("codex-issue-demo-i1-r1"));
    assert_eq!(world.cluster.workloads(), [world.ctx.settings.workload(&run)]);
    assert!(world.queued().contains(&"run.observe"), "{:?}", world.queued());
}

#[tokio::test]
async fn a_full_project_lets_the_run_wait_until_another_ends() {
    let world = World::new();
    let first = world.running(1).await;
    let second = world.pending(2).await.id;
    for _ in 0..2 {
        assert_eq!(world.start(second).await.unwrap(), Outcome::Done);
        assert_eq!(world.run(second).state, RunState::WaitingSlot);
    }
    assert_eq!(world.cluster.workloads().len(), 1);
    assert_eq!(world.memory.count_events("run.waiting_slot"), 1);
    while world.memory.take_job().is_some() {}

    world.cancel(&first).await;
    let start = world
        .memory
        .queued()
        .into_iter()
        .find(|queued| queued.job.kind == "run.start");
    let start = start.expect("nobody starts the run that waits").job;
    assert_eq!(start.args, serde_json::json!({ "run_id": second }));
    assert_eq!(start.correlation_id, Some(world.run(second).correlation_id));
    world.start(second).await.unwrap();
    assert_eq!(world.run(second).state, RunState::Running);
}

#[tokio::test]
async fn an_unavailable_cluster_is_tried_again() {
    let world = World::new();
    let id = world.pending(1).await.id;
    world.cluster.faults.order("launch", 2, Fault::Unavailable);
    for _ in 0..2 {
        assert!(world.start(id).await.unwrap_err().is_passing());
        assert_eq!(world.run(id).state, RunState::Preparing);
    }
    assert_eq!(world.start(id).await.unwrap(), Outcome::Done);
    assert_eq!(world.run(id).state, RunState::Running);
    assert_eq!(world.memory.count_events("run.preparing"), 1);
}

fn reason(state: &RunState) -> &str {
    match state {
        RunState::Failed {
            reason,
            exit_code: None,
        } => reason,
        other => panic!("it hasn't failed in preparation: {other:?}"),
    }
}

#[tokio::test]
async fn a_refusal_fails_the_run_and_frees_its_slot() {
    let world = World::new();
    let id = world.pending(1).await.id;
    world.cluster.faults.order("launch", 1, Fault::Refused);
    assert_eq!(world.start(id).await.unwrap(), Outcome::Done);
    let run = world.run(id);
    assert_eq!(
        reason(&run.state),
        "could not be prepared: kubernetes refused: the test refuses `launch`"
    );
    let next = world.pending(2).await.id;
    world.start(next).await.unwrap();
    assert_eq!(world.run(next).state, RunState::Running);
}

#[tokio::test]
async fn the_last_attempt_fails_the_run_and_takes_back_what_it_may_have_launched() {
    for fault in [Fault::Unavailable, Fault::AnswerLost] {
        let world = World::new();
        let id = world.pending(1).await.id;
        world.cluster.faults.order("launch", 1, fault);
        let job = last_attempt(RunStart { run_id: id });
        let outcome = run_start::handle(world.ctx.clone(), job).await.unwrap();
        assert_eq!(outcome, Outcome::Done);
        let reason = reason(&world.run(id).state).to_owned();
        assert!(reason.contains("kubernetes is unavailable"), "{reason}");
        assert!(world.cluster.workloads().is_empty(), "{fault:?}");
    }
}

#[tokio::test]
async fn a_cluster_that_cannot_even_stop_does_not_keep_the_run() {
    let world = World::new();
    let id = world.pending(1).await.id;
    world.cluster.faults.order("launch", 1, Fault::Unavailable);
    world.cluster.faults.order("stop", 1, Fault::Unavailable);
    let job = last_attempt(RunStart { run_id: id });
    let outcome = run_start::handle(world.ctx.clone(), job).await.unwrap();
    assert_eq!(outcome, Outcome::Done);
    reason(&world.run(id).state);
}

#[tokio::test]
async fn a_lost_record_on_the_last_attempt_leaves_a_running_run_its_job() {
    let world = World::new();
    let id = world.pending(1).await.id;
    world.memory.faults.order("apply", 1, Fault::AnswerLost);
    let job = last_attempt(RunStart { run_id: id });
    let failure = run_start::handle(world.ctx.clone(), job).await.unwrap_err();
    assert!(matches!(failure, Failure::Stale), "{failure:?}");
    assert_eq!(world.run(id).state, RunState::Running);
    assert_eq!(world.cluster.workloads().len(), 1);
}

#[tokio::test]
async fn a_run_that_ended_while_it_was_prepared_loses_its_job() {
    let world = World::new();
    let run = world.preparing(1).await;
    // Launched, but the crash comes before the record.
    world.memory.faults.order("record", 1, Fault::Unavailable);
    assert!(world.start(run.id).await.is_err());
    assert_eq!(world.cluster.workloads().len(), 1);
    world.cancel(&run).await;
    assert_eq!(world.start(run.id).await.unwrap(), Outcome::Done);
    assert!(world.cluster.workloads().is_empty());
    assert_eq!(world.cluster.faults.count("launch"), 1);
}

#[tokio::test]
async fn a_run_beyond_its_start_is_left_alone() {
    let world = World::new();
    let run = world.running(1).await;
    world.start(run.id).await.unwrap();
    world
        .cluster
        .script([domain::workload::Observation::Exited { code: 0 }]);
    world.observe(run.id).await.unwrap();
    world.start(run.id).await.unwrap();
    assert_eq!(world.cluster.faults.count("launch"), 1);
    assert!(
        world.cluster.stopped().is_empty(),
        "an ended run's Job is kept with its log"
    );

    let never_prepared = world.pending(2).await;
    world.cancel(&never_prepared).await;
    world.start(never_prepared.id).await.unwrap();
    assert!(world.cluster.stopped().is_empty());
}

#[tokio::test]
async fn a_run_that_there_is_not_is_hopeless() {
    let world = World::new();
    let nobody = domain::RunId(77);
    for result in [
        world.start(nobody).await,
        world.observe(nobody).await,
        world.report(nobody).await,
    ] {
        assert!(matches!(result, Err(Failure::Hopeless(_))), "{result:?}");
    }
}
