//! A crash at any step, before a call or after it, and the same job again: what is there afterwards is what
//! one undisturbed attempt would have left.

use domain::run::RunState;
use queue::Outcome;
use testkit::fake::faults::{Fault, Faults};

use crate::world::{World, labeled};

const CRASHES: [Fault; 2] = [Fault::Unavailable, Fault::AnswerLost];

fn part<'a>(world: &'a World, name: &str) -> &'a Faults {
    match name {
        "database" => &world.memory.faults,
        "github" => &world.forge.faults,
        _ => &world.cluster.faults,
    }
}

#[tokio::test]
async fn a_delivery_has_its_effect_once() {
    for (part_name, step) in [
        ("database", "load"),
        ("database", "repository"),
        ("database", "caused_by"),
        ("github", "issue"),
        ("github", "permission"),
        ("database", "create"),
        ("database", "settle"),
    ] {
        for crash in CRASHES {
            let world = World::new();
            let payload = labeled("run:dev", "ann", "User").to_string();
            let id = world.delivered("issues", &payload).await;
            part(&world, part_name).order(step, 1, crash);
            let failure = world.process(&id).await.unwrap_err();
            assert!(failure.is_passing(), "{step} {crash:?}: {failure}");
            // Again, and once more as if only the acknowledgement had been lost.
            for _ in 0..2 {
                assert_eq!(world.process(&id).await.unwrap(), Outcome::Done);
            }
            assert_eq!(world.memory.runs().len(), 1, "{step} {crash:?}");
            assert_eq!(world.memory.count_events("run.created"), 1, "{step} {crash:?}");
            assert_eq!(
                world.memory.count_events("webhook.processed"),
                1,
                "{step} {crash:?}"
            );
            assert_eq!(world.queued(), ["run.start", "run.report"], "{step} {crash:?}");
        }
    }
}

#[tokio::test]
async fn a_run_stands_however_the_issue_changed_before_the_repeat() {
    let others: [(&[&str], bool); 4] = [
        (&["bug"], true),
        (&["run:dev", "run:dev:revise"], true),
        (&["run:dev", "state:blocked"], true),
        (&["run:dev"], false),
    ];
    for (labels, open) in others {
        let world = World::new();
        let payload = labeled("run:dev", "ann", "User").to_string();
        let id = world.delivered("issues", &payload).await;
        world.memory.faults.order("settle", 1, Fault::Unavailable);
        assert!(world.process(&id).await.unwrap_err().is_passing());
        world.forge.put_issue(&world.repository.name, 1, labels);
        if !open {
            world.forge.close_issue(&world.repository.name, 1);
        }
        world.process(&id).await.unwrap();
        let outcome = world.memory.outcome(&id).unwrap();
        let run = world.memory.runs().pop().unwrap().id;
        assert_eq!(
            (outcome.reason.as_str(), outcome.run),
            ("run_created", Some(run)),
            "{labels:?}"
        );
        assert_eq!(world.queued(), ["run.start", "run.report"], "{labels:?}");
    }
}

#[tokio::test]
async fn a_conflict_is_answered_once() {
    for step in ["load", "repository", "caused_by", "settle"] {
        for crash in CRASHES {
            let world = World::new();
            let present = ["run:dev", "run:dev:revise"];
            world.forge.put_issue(&world.repository.name, 1, &present);
            let payload = labeled("run:dev", "ann", "User").to_string();
            let id = world.delivered("issues", &payload).await;
            world.memory.faults.order(step, 1, crash);
            assert!(world.process(&id).await.unwrap_err().is_passing());
            for _ in 0..2 {
                world.process(&id).await.unwrap();
            }
            assert_eq!(world.queued(), ["issue.comment"], "{step} {crash:?}");
            assert_eq!(
                world.memory.count_events("webhook.processed"),
                1,
                "{step} {crash:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_start_has_its_effect_once() {
    for (part_name, step) in [
        ("database", "get"),
        ("database", "admit"),
        ("kubernetes", "launch"),
        ("database", "record"),
        ("database", "apply"),
    ] {
        for crash in CRASHES {
            let world = World::new();
            let id = world.pending(1).await.id;
            part(&world, part_name).order(step, 1, crash);
            let failure = world.start(id).await.unwrap_err();
            assert!(failure.is_passing(), "{step} {crash:?}: {failure}");
            for _ in 0..2 {
                assert_eq!(world.start(id).await.unwrap(), Outcome::Done);
            }
            assert_eq!(world.run(id).state, RunState::Running, "{step} {crash:?}");
            assert_eq!(world.cluster.workloads().len(), 1, "{step} {crash:?}");
            assert!(world.cluster.stopped().is_empty(), "{step} {crash:?}");
            for kind in ["run.preparing", "namespace.prepared", "run.running"] {
                assert_eq!(world.memory.count_events(kind), 1, "{kind}: {step} {crash:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_end_is_recorded_once_with_its_whole_log() {
    for (part_name, step) in [
        ("database", "get"),
        ("kubernetes", "observe"),
        ("kubernetes", "log"),
        ("database", "last_log_line"),
        ("database", "append_log"),
        ("database", "apply"),
    ] {
        for crash in CRASHES {
            let world = World::new();
            let id = world.running(1).await.id;
            world
                .cluster
                .script([domain::workload::Observation::Exited { code: 0 }]);
            world.cluster.write_log(&["one", "two"]);
            part(&world, part_name).order(step, 1, crash);
            let failure = world.observe(id).await.unwrap_err();
            assert!(failure.is_passing(), "{step} {crash:?}: {failure}");
            for _ in 0..2 {
                assert_eq!(world.observe(id).await.unwrap(), Outcome::Done);
            }
            assert_eq!(world.run(id).state, RunState::Succeeded, "{step} {crash:?}");
            assert_eq!(world.memory.count_events("run.succeeded"), 1, "{step} {crash:?}");
            assert_eq!(world.memory.log(id).len(), 2, "{step} {crash:?}");
        }
    }
}

#[tokio::test]
async fn a_report_stands_once() {
    for (part_name, step) in [
        ("database", "get"),
        ("github", "upsert_comment"),
        ("database", "set_comment"),
    ] {
        for crash in CRASHES {
            let world = World::new();
            let id = world.pending(1).await.id;
            part(&world, part_name).order(step, 1, crash);
            assert!(world.report(id).await.unwrap_err().is_passing());
            for _ in 0..2 {
                world.report(id).await.unwrap();
            }
            let comments = world.forge.comments();
            assert_eq!(comments.len(), 1, "{step} {crash:?}");
            assert_eq!(world.run(id).comment_id, Some(comments[0].id), "{step} {crash:?}");
            assert_eq!(world.memory.count_events("run.reported"), 1, "{step} {crash:?}");
        }
    }
}
