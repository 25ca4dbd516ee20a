//! `issue.comment`: one comment per cause.

use domain::job::IssueComment;
use jobs::kinds::issue_comment;
use queue::{Job, Outcome};
use testkit::fake::faults::Fault;

use crate::world::{SECRET, World};

#[tokio::test]
async fn one_comment_per_marker_without_secrets() {
    let world = World::new();
    let comment = |marker: &str| IssueComment {
        repository: world.repository.name.clone(),
        issue: 1,
        marker: marker.to_owned(),
        body: format!("No run was started: {SECRET}"),
    };
    world.forge.faults.order("upsert_comment", 1, Fault::AnswerLost);
    let job = Job::for_test(comment("codex-k8s:busy:a"));
    let failure = issue_comment::handle(world.ctx.clone(), job).await.unwrap_err();
    assert!(failure.is_passing());
    for marker in ["codex-k8s:busy:a", "codex-k8s:busy:a", "codex-k8s:busy:b"] {
        let job = Job::for_test(comment(marker));
        let outcome = issue_comment::handle(world.ctx.clone(), job).await.unwrap();
        assert_eq!(outcome, Outcome::Done);
    }
    let comments = world.forge.comments();
    let markers: Vec<&str> = comments.iter().map(|made| made.marker.as_str()).collect();
    assert_eq!(markers, ["codex-k8s:busy:a", "codex-k8s:busy:b"]);
    for made in comments {
        assert_eq!(made.body, "No run was started: [redacted]");
    }
}
