//! `run.report`: one comment, brought up to date, with nothing in it that strangers could use.

use domain::port::RunStore;
use domain::run::RunEvent;
use domain::workload::Observation;
use jobs::Failure;
use serde_json::json;
use testkit::fake::faults::Fault;

use crate::world::{SECRET, World};

#[tokio::test]
async fn the_comment_is_made_once_and_then_edited() {
    let world = World::new();
    let id = world.pending(1).await.id;
    world.report(id).await.unwrap();
    let made = world.forge.comments().pop().unwrap();
    assert_eq!(made.marker, format!("codex-k8s:run:{id}"));
    assert_eq!(
        (made.repository.as_str(), made.issue),
        ("codertocat/hello-world", 1)
    );
    assert_eq!(world.run(id).comment_id, Some(made.id));
    for (step, word) in [(0, "is running"), (1, "**succeeded**")] {
        if step == 0 {
            world.start(id).await.unwrap();
        } else {
            world.cluster.script([Observation::Exited { code: 0 }]);
            world.observe(id).await.unwrap();
        }
        world.report(id).await.unwrap();
        world.report(id).await.unwrap();
        let comments = world.forge.comments();
        assert_eq!(comments.len(), 1);
        assert_eq!(comments[0].edits, step + 1, "a repeat changes nothing");
        assert!(comments[0].body.contains(word), "{}", comments[0].body);
    }
    assert_eq!(world.memory.count_events("run.reported"), 1);
    assert_eq!(world.memory.faults.count("set_comment"), 1);
}

#[tokio::test]
async fn the_body_says_what_and_why() {
    let world = World::new();
    let run = world.running(1).await;
    world.cluster.script([Observation::Exited { code: 0 }]);
    world.observe(run.id).await.unwrap();
    world.report(run.id).await.unwrap();
    let body = world.forge.comments().pop().unwrap().body;
    for part in [
        format!("Run {}", run.id),
        "stage `dev`".to_owned(),
        "@ann".to_owned(),
        "`codex-issue-demo-i1-r1`".to_owned(),
        "| took | ".to_owned(),
        format!("`{}`", run.correlation_id),
    ] {
        assert!(body.contains(&part), "{part} isn't in {body}");
    }
}

#[tokio::test]
async fn a_deleted_comment_is_made_anew_and_remembered() {
    let world = World::new();
    let id = world.pending(1).await.id;
    world.report(id).await.unwrap();
    let first = world.run(id).comment_id.unwrap();
    world.forge.delete_comment(first);
    world.report(id).await.unwrap();
    let second = world.run(id).comment_id.unwrap();
    assert_ne!(first, second);
    assert_eq!(world.forge.comments().len(), 1);
}

/// The comment of a run that ended with this event.
async fn body_after(event: RunEvent) -> String {
    let world = World::new();
    let run = world.running(1).await;
    world.runs.apply(&run, event, json!({})).await.unwrap();
    world.report(run.id).await.unwrap();
    world.forge.comments().pop().unwrap().body
}

#[tokio::test]
async fn a_reason_stays_within_its_line_and_its_span() {
    let reason = "`rm`\n\n# Owned\r\n| a | <!-- codex-k8s:run:9 --> @everyone ``` [x](http://x)".to_owned();
    for event in [
        RunEvent::Failed {
            reason: reason.clone(),
        },
        RunEvent::Canceled { reason },
    ] {
        let body = body_after(event).await;
        let first = body.lines().next().unwrap();
        let quoted = "`'rm' # Owned | a | <!-- codex-k8s:run:9 --> @everyone ''' [x](http://x)`.";
        assert!(first.ends_with(quoted), "{first}");
        assert!(!body.lines().any(|line| line.starts_with('#')), "{body}");
    }
}

#[tokio::test]
async fn no_part_of_a_secret_is_posted() {
    // Also where the quote's end would cut it in two, and in another form.
    let encoded = SECRET.replace('-', "%2D");
    for reason in [
        format!("refused {SECRET}!"),
        format!("{} {SECRET}", "x".repeat(490)),
        format!("?token={encoded}"),
    ] {
        let body = body_after(RunEvent::Failed {
            reason: reason.clone(),
        })
        .await;
        assert!(!body.contains("gh0-"), "{body}");
    }
}

#[tokio::test]
async fn a_refusal_ends_the_job_and_leaves_the_run() {
    let world = World::new();
    let run = world.running(1).await;
    world.forge.faults.order("upsert_comment", 1, Fault::Refused);
    let failure = world.report(run.id).await.unwrap_err();
    assert!(matches!(failure, Failure::Port(_)) && !failure.is_passing());
    assert_eq!(world.run(run.id).state, run.state);
}
