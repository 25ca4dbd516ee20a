//! `github.delivery`: what each kind of delivery leads to.

use domain::delivery::{DeliveryOutcome, DeliveryStatus};
use domain::job::{GithubDelivery, IssueComment, JobArgs};
use domain::repository::Permission;
use domain::run::RunState;
use jobs::Failure;
use jobs::kinds::github_delivery;
use queue::{Job, JobError, Outcome};
use testkit::contract::fresh_delivery_id;

use crate::world::{TRACE, World, labeled};

/// Processes one delivery; afterwards it is settled, once.
async fn settled(world: &World, event: &str, payload: &str) -> DeliveryOutcome {
    let id = world.delivered(event, payload).await;
    assert_eq!(world.process(&id).await.unwrap(), Outcome::Done);
    let outcome = world.memory.outcome(&id).expect("the delivery isn't settled");
    let kind = format!("webhook.{}", outcome.status.as_str());
    assert_eq!(world.memory.count_events(&kind), 1, "{outcome:?}");
    outcome
}

fn ignored(reason: &str) -> DeliveryOutcome {
    DeliveryOutcome {
        status: DeliveryStatus::Ignored,
        reason: reason.to_owned(),
        run: None,
    }
}

#[tokio::test]
async fn what_is_ignored_has_its_reason() {
    let dev = &["run:dev"][..];
    for (label, login, kind, present, reason) in [
        ("bug", "ann", "User", &["bug", "run:dev"][..], "label_not_used"),
        (
            "state:blocked",
            "ann",
            "User",
            &["state:blocked"],
            "label_not_used",
        ),
        (
            "run:unheard-of",
            "ann",
            "User",
            &["run:unheard-of"],
            "unknown_stage",
        ),
        ("run:dev", "helper[bot]", "Bot", dev, "labeled_by_bot"),
        ("run:dev", "stranger", "User", dev, "no_permission"),
        ("run:dev", "reader", "User", dev, "no_permission"),
        ("run:dev", "triager", "User", dev, "no_permission"),
        ("run:dev", "ann", "User", &["bug"], "label_removed"),
        (
            "run:dev",
            "ann",
            "User",
            &["run:dev", "state:blocked"],
            "held_back",
        ),
        ("run:dev", "ann", "User", &["run:dev", "need:input"], "held_back"),
    ] {
        let world = World::new();
        world.forge.permit("helper[bot]", Permission::Admin);
        world.forge.permit("reader", Permission::Read);
        world.forge.permit("triager", Permission::Triage);
        world.forge.put_issue(&world.repository.name, 1, present);
        let outcome = settled(&world, "issues", &labeled(label, login, kind).to_string()).await;
        assert_eq!(outcome, ignored(reason), "{label} by {login} on {present:?}");
        assert!(
            world.memory.runs().is_empty() && world.queued().is_empty(),
            "{reason}"
        );
    }
}

#[tokio::test]
async fn events_without_use_ask_nothing_of_the_forge() {
    let on_pull_request = {
        let mut payload = labeled("run:dev", "ann", "User");
        payload["issue"]["pull_request"] = serde_json::json!({});
        payload.to_string()
    };
    let without_label = {
        let mut payload = labeled("run:dev", "ann", "User");
        payload.as_object_mut().unwrap().remove("label");
        payload.to_string()
    };
    let bad_name = labeled("run:dev", "ann", "User")
        .to_string()
        .replace("Codertocat/Hello-World", "a/b/c");
    let elsewhere = labeled("run:dev", "ann", "User")
        .to_string()
        .replace("Codertocat", "nobody");
    for (event, payload, reason) in [
        ("push", "{}", "event_not_used"),
        ("issues", r#"{"action":"opened"}"#, "action_not_used"),
        ("issues", &on_pull_request, "pull_request"),
        ("issues", &without_label, "label_gone"),
        ("issues", r#"{"action":"labeled"}"#, "unreadable_payload"),
        ("issues", "not JSON at all", "unreadable_payload"),
        ("issues", &bad_name, "unreadable_payload"),
        ("issues", &elsewhere, "unknown_repository"),
    ] {
        let world = World::new();
        assert_eq!(
            settled(&world, event, payload).await,
            ignored(reason),
            "{payload}"
        );
        assert!(world.forge.faults.calls().is_empty(), "{reason}");
        assert!(world.queued().is_empty(), "{reason}");
    }
}

#[tokio::test]
async fn an_issue_that_is_closed_or_gone_starts_nothing() {
    let payload = labeled("run:dev", "ann", "User").to_string();
    let world = World::new();
    world.forge.close_issue(&world.repository.name, 1);
    assert_eq!(settled(&world, "issues", &payload).await, ignored("issue_closed"));

    let world = World::new();
    let elsewhere = payload.replace("\"number\":1", "\"number\":2");
    assert_eq!(settled(&world, "issues", &elsewhere).await, ignored("issue_gone"));
}

#[tokio::test]
async fn a_payload_beyond_its_retention_is_settled() {
    let world = World::new();
    let id = world
        .delivered("issues", &labeled("run:dev", "ann", "User").to_string())
        .await;
    world.memory.drop_payload(&id);
    assert_eq!(world.process(&id).await.unwrap(), Outcome::Done);
    assert_eq!(world.memory.outcome(&id), Some(ignored("payload_gone")));
}

#[tokio::test]
async fn a_delivery_that_nobody_sent_is_hopeless() {
    let world = World::new();
    let job = Job::for_test(GithubDelivery {
        delivery_id: fresh_delivery_id(),
    });
    let failure = github_delivery::handle(world.ctx.clone(), job).await.unwrap_err();
    assert!(matches!(failure, Failure::Hopeless(_)), "{failure:?}");
    assert!(matches!(JobError::from(failure), JobError::Fail { .. }));
}

#[tokio::test]
async fn a_run_is_created_with_its_cause() {
    for (label, permission, revise) in [
        ("run:dev", Permission::Write, false),
        ("Run:Dev", Permission::Maintain, false),
        ("run:dev:revise", Permission::Admin, true),
    ] {
        let world = World::new();
        world.forge.permit("ann", permission);
        world.forge.put_issue(&world.repository.name, 1, &[label, "bug"]);
        let id = world
            .delivered("issues", &labeled(label, "ann", "User").to_string())
            .await;
        world.process(&id).await.unwrap();
        let runs = world.memory.runs();
        let [run] = runs.as_slice() else {
            panic!("{label}: {runs:?}")
        };
        assert_eq!((run.revise, &run.state), (revise, &RunState::Pending), "{label}");
        assert_eq!((&run.correlation_id, run.requested_by.as_str()), (&id, "ann"));
        assert_eq!((&run.repository, run.issue), (&world.repository, 1));
        assert_eq!(world.queued(), ["run.start", "run.report"]);
        let outcome = world.memory.outcome(&id).unwrap();
        assert_eq!(
            (outcome.reason.as_str(), outcome.run),
            ("run_created", Some(run.id))
        );
    }
}

/// The one comment that the delivery asked for.
fn asked_comment(world: &World) -> IssueComment {
    let queued = world.memory.queued();
    let [comment] = queued.as_slice() else {
        panic!("not one job: {queued:?}")
    };
    assert_eq!(comment.job.kind, IssueComment::KIND);
    assert_eq!(comment.job.traceparent.as_deref(), Some(TRACE));
    serde_json::from_value(comment.job.args.clone()).unwrap()
}

#[tokio::test]
async fn several_run_labels_are_answered_with_a_comment() {
    let world = World::new();
    let present = ["run:dev", "run:dev:revise", "run:`@all`\n# x"];
    world.forge.put_issue(&world.repository.name, 1, &present);
    let id = world
        .delivered("issues", &labeled("run:dev", "ann", "User").to_string())
        .await;
    world.process(&id).await.unwrap();
    let outcome = world.memory.outcome(&id).unwrap();
    assert_eq!(outcome.status, DeliveryStatus::Processed);
    assert_eq!((outcome.reason.as_str(), outcome.run), ("label_conflict", None));
    assert!(world.memory.runs().is_empty());
    let comment = asked_comment(&world);
    assert_eq!(comment.marker, format!("codex-k8s:conflict:{id}"));
    assert_eq!((&comment.repository, comment.issue), (&world.repository.name, 1));
    for part in ["`run:dev`", "`run:dev:revise`", "`run:'@all' # x`", id.as_str()] {
        assert!(comment.body.contains(part), "{part} isn't in {}", comment.body);
    }
}

#[tokio::test]
async fn a_busy_issue_is_answered_with_a_comment() {
    let world = World::new();
    let busy = world.running(1).await;
    let id = world
        .delivered("issues", &labeled("run:dev", "ann", "User").to_string())
        .await;
    world.process(&id).await.unwrap();
    let outcome = world.memory.outcome(&id).unwrap();
    assert_eq!(outcome.status, DeliveryStatus::Processed);
    assert_eq!(
        (outcome.reason.as_str(), outcome.run),
        ("issue_busy", Some(busy.id))
    );
    assert_eq!(world.memory.runs().len(), 1);
    let comment = asked_comment(&world);
    assert_eq!(comment.marker, format!("codex-k8s:busy:{id}"));
    assert!(comment.body.contains(&format!("run {}", busy.id)) && comment.body.contains(id.as_str()));
}
