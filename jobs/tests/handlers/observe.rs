//! `run.observe`: what the cluster says becomes the run's state, and the log is kept once.

use std::time::Duration;

use domain::job::RunObserve;
use domain::run::RunState;
use domain::workload::Observation;
use jobs::kinds::run_observe;
use queue::Outcome;
use testkit::fake::faults::Fault;

use crate::world::{SECRET, World, last_attempt};

fn failed(reason: &str, exit_code: Option<i32>) -> RunState {
    RunState::Failed {
        reason: reason.to_owned(),
        exit_code,
    }
}

#[tokio::test]
async fn the_end_of_the_job_is_the_end_of_the_run() {
    for (observation, state) in [
        (Observation::Exited { code: 0 }, RunState::Succeeded),
        (
            Observation::Exited { code: 3 },
            failed("the agent ended with exit code 3", Some(3)),
        ),
        (Observation::DeadlineExceeded, RunState::TimedOut),
        (
            Observation::Failed {
                reason: format!("evicted with {SECRET}"),
            },
            failed("evicted with [redacted]", None),
        ),
        (
            Observation::Missing,
            failed("its Job agent-r1 is gone from the cluster", None),
        ),
    ] {
        let world = World::new();
        let id = world.running(1).await.id;
        world.cluster.script([observation.clone()]);
        assert_eq!(world.observe(id).await.unwrap(), Outcome::Done, "{observation:?}");
        let run = world.run(id);
        assert_eq!(run.state, state);
        assert!(run.finished_at > run.started_at);
        assert_eq!(world.queued(), ["run.report"], "{observation:?}");
        let last = world.memory.events().pop().unwrap();
        assert_eq!(last.kind, format!("run.{}", state.as_str()));
        assert_eq!(last.data["job"], "agent-r1");
    }
}

#[tokio::test]
async fn a_stopped_job_is_missing() {
    let world = World::new();
    let run = world.running(1).await;
    let namespace = run.namespace.unwrap();
    world.ctx.cluster.stop(&namespace, "agent-r1").await.unwrap();
    world.observe(run.id).await.unwrap();
    assert!(matches!(world.run(run.id).state, RunState::Failed { .. }));
}

#[tokio::test]
async fn an_active_job_is_looked_at_again_the_sooner_the_shorter_its_log_is() {
    let world = World::new();
    let id = world.running(1).await.id;
    let line = "x".repeat(1_000);
    for (lines, seconds) in [(0, 3), (200, 5), (5_000, 17)] {
        world.cluster.write_log(&vec![line.as_str(); lines]);
        let again = Outcome::Snooze(Duration::from_secs(seconds));
        assert_eq!(world.observe(id).await.unwrap(), again, "{lines} lines");
    }
    assert_eq!(world.run(id).state, RunState::Running);
    assert!(world.queued().is_empty());
}

#[tokio::test]
async fn lines_are_kept_once_and_without_secrets() {
    let world = World::new();
    let id = world.running(1).await.id;
    let secret_line = format!("token={SECRET};");
    let all = ["one", secret_line.as_str(), "three", "four"];
    let kept = ["one", "token=[redacted];", "three", "four"];
    for so_far in [1, 1, 3, 4] {
        world.cluster.write_log(&all[..so_far]);
        world.observe(id).await.unwrap();
        let lines = world.memory.log(id);
        let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, kept[..so_far]);
        let numbers: Vec<i64> = lines.iter().map(|line| line.number).collect();
        assert_eq!(numbers, (1..=so_far as i64).collect::<Vec<_>>());
    }
    assert_eq!(
        world.memory.faults.count("append_log"),
        3,
        "nothing new, nothing written"
    );
    let limit = world.ctx.settings.log_limit_bytes;
    assert!(world.cluster.log_limits().iter().all(|asked| *asked == limit));
}

#[tokio::test]
async fn a_run_that_is_not_running_is_not_looked_at() {
    let world = World::new();
    let ended = world.running(1).await;
    world.cancel(&ended).await;
    while world.memory.take_job().is_some() {}
    world.cluster.script([Observation::Exited { code: 0 }]);
    let before = world.memory.events().len();
    assert_eq!(world.observe(ended.id).await.unwrap(), Outcome::Done);
    let pending = world.pending(2).await;
    assert_eq!(world.observe(pending.id).await.unwrap(), Outcome::Done);
    assert_eq!(world.cluster.faults.count("observe"), 0);
    assert!(matches!(world.run(ended.id).state, RunState::Canceled { .. }));
    assert_eq!(
        world.memory.events().len(),
        before + 1,
        "only the new run's creation"
    );
}

#[tokio::test]
async fn a_canceled_runs_job_is_ended_and_its_log_kept() {
    let world = World::new();
    let run = world.running(1).await;
    world.cluster.write_log(&["one", "two"]);
    world.cancel(&run).await;
    assert!(
        world.queued().contains(&"run.observe"),
        "nobody is told to end it"
    );
    assert_eq!(world.observe(run.id).await.unwrap(), Outcome::Done);
    let namespace = run.namespace.unwrap();
    assert_eq!(world.cluster.stopped(), [(namespace, "agent-r1".to_owned())]);
    assert_eq!(world.memory.log(run.id).len(), 2);
    assert!(matches!(world.run(run.id).state, RunState::Canceled { .. }));
}

#[tokio::test]
async fn a_hint_that_comes_before_the_launch_is_recorded_is_not_lost() {
    let world = World::new();
    let run = world.preparing(1).await;
    let Outcome::Snooze(soon) = world.observe(run.id).await.unwrap() else {
        panic!("the hint was dropped")
    };
    assert!(soon <= Duration::from_secs(2), "{soon:?}");
    assert_eq!(world.cluster.faults.count("observe"), 0);
}

#[tokio::test]
async fn a_log_that_cannot_be_read_keeps_the_state() {
    for (observation, state) in [
        (Observation::Exited { code: 0 }, RunState::Succeeded),
        (
            Observation::Active {
                detail: "Running".to_owned(),
            },
            RunState::Running,
        ),
    ] {
        let world = World::new();
        let id = world.running(1).await.id;
        world.cluster.script([observation]);
        world.cluster.faults.order("log", 1, Fault::Unavailable);
        assert!(world.observe(id).await.unwrap_err().is_passing());
        assert_eq!(world.run(id).state, RunState::Running);
        world.observe(id).await.unwrap();
        assert_eq!(world.run(id).state, state);
    }
}

#[tokio::test]
async fn a_log_that_is_refused_does_not_hold_the_end_back() {
    let world = World::new();
    let id = world.running(1).await.id;
    world.cluster.script([Observation::Exited { code: 0 }]);
    world.cluster.faults.order("log", 1, Fault::Refused);
    assert_eq!(world.observe(id).await.unwrap(), Outcome::Done);
    assert_eq!(world.run(id).state, RunState::Succeeded);
}

#[tokio::test]
async fn the_poll_outlives_a_cluster_that_refuses_or_stays_away() {
    let again = Outcome::Snooze(Duration::from_secs(17));
    for (attempt_is_last, fault) in [
        (false, Fault::Refused),
        (true, Fault::Refused),
        (true, Fault::Unavailable),
    ] {
        let world = World::new();
        let id = world.running(1).await.id;
        world.cluster.script([Observation::Exited { code: 0 }]);
        world.cluster.faults.order("observe", 1, fault);
        let outcome = if attempt_is_last {
            let job = last_attempt(RunObserve { run_id: id });
            run_observe::handle(world.ctx.clone(), job).await.unwrap()
        } else {
            world.observe(id).await.unwrap()
        };
        assert_eq!(outcome, again, "{fault:?}");
        assert_eq!(world.run(id).state, RunState::Running);
        assert_eq!(world.observe(id).await.unwrap(), Outcome::Done);
        assert_eq!(world.run(id).state, RunState::Succeeded);
    }
}
