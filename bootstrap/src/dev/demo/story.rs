//! What happens at the first start: a few dozen events whose outcomes differ, a GitHub that refuses one comment
//! and one question and is away for a while for one repository.

use anyhow::Result;
use axum::http::Method;
use testkit::github::Fault;

use super::Demo;
use super::sender::{Happening, delivery_id};
use super::world::title;
use crate::dev::DEMO_REPOSITORY;

const STOREFRONT: &str = "acme/storefront";
const CHECKOUT: &str = "acme/checkout";
const TELEMETRY: &str = "acme/telemetry";
const BILLING: &str = "acme/billing";
const LEGACY: &str = "acme/legacy-import";

/// Labels, in this order: repository, issue, by whom, which. The issue's number decides what its agent does, see
/// [`super::agent`].
const LABELS: [(&str, i64, &str, &str); 22] = [
    // Ends well, ends badly, goes on for minutes.
    (DEMO_REPOSITORY, 1, "lea", "run:dev"),
    (DEMO_REPOSITORY, 3, "walt", "run:dev"),
    (DEMO_REPOSITORY, 7, "lea", "run:dev"),
    (STOREFRONT, 2, "olga", "run:dev"),
    (STOREFRONT, 13, "adam", "run:dev"),
    (STOREFRONT, 17, "olga", "run:dev"),
    (BILLING, 4, "adam", "run:dev"),
    (BILLING, 5, "olga", "run:dev:revise"),
    (BILLING, 23, "adam", "run:dev"),
    // Its only slot is taken: the others wait.
    (TELEMETRY, 27, "adam", "run:dev"),
    (TELEMETRY, 2, "adam", "run:dev"),
    (TELEMETRY, 8, "olga", "run:dev:revise"),
    // Nothing comes of these, each for another reason.
    (DEMO_REPOSITORY, 9, "rita", "run:dev"),
    (DEMO_REPOSITORY, 10, "renovate[bot]", "run:dev"),
    (DEMO_REPOSITORY, 11, "walt", "bug"),
    (DEMO_REPOSITORY, 12, "walt", "run:sing"),
    (STOREFRONT, 5, "adam", "priority: high"),
    ("acme/unknown", 1, "adam", "run:dev"),
    // GitHub is away for a while: the delivery is tried again and again.
    (LEGACY, 4, "olga", "run:dev"),
    // GitHub refuses: a dead job that a retry brings to its end.
    (CHECKOUT, 5, "walt", "run:dev"),
    (CHECKOUT, 6, "walt", "run:dev"),
    (CHECKOUT, 8, "lea", "run:dev"),
];

/// Everything else that GitHub tells of.
const EVENTS: [(&str, &str, &str); 18] = [
    ("push", DEMO_REPOSITORY, "lea"),
    ("issues.opened", STOREFRONT, "rita"),
    ("issue_comment.created", STOREFRONT, "walt"),
    ("pull_request.opened", BILLING, "lea"),
    ("pull_request_review.submitted", BILLING, "adam"),
    ("check_run.completed", BILLING, "github-actions[bot]"),
    ("workflow_job.completed", DEMO_REPOSITORY, "github-actions[bot]"),
    ("release.published", STOREFRONT, "olga"),
    ("star.created", DEMO_REPOSITORY, "eve"),
    ("fork", DEMO_REPOSITORY, "eve"),
    ("create", CHECKOUT, "walt"),
    ("delete", CHECKOUT, "walt"),
    ("label.created", TELEMETRY, "adam"),
    ("milestone.created", TELEMETRY, "adam"),
    ("deployment_status.created", STOREFRONT, "github-actions[bot]"),
    ("member.added", BILLING, "olga"),
    ("pull_request.closed", BILLING, "lea"),
    ("issues.edited", STOREFRONT, "rita"),
];

/// Tells it. A second time has no effect: the deliveries are known then.
pub(super) async fn tell(demo: &Demo) -> Result<()> {
    let refused = Fault::Status(403);
    let github = &demo.github;
    github.inject(Method::GET, &issue_path(LEGACY, 4), 24, Fault::Status(502));
    github.inject(Method::GET, &issue_path(CHECKOUT, 5), 1, refused);
    github.inject(
        Method::POST,
        &format!("{}/comments", issue_path(CHECKOUT, 6)),
        1,
        refused,
    );
    for (nth, (event, repository, sender)) in EVENTS.iter().enumerate() {
        let number = 1 + i64::try_from(nth)?;
        let happening = Happening {
            event,
            repository,
            sender,
            number,
            title: title(number),
            label: None,
            text: Some("Could somebody have a look? It's the same on the test system."),
        };
        demo.sender
            .send(&delivery_id(&format!("demo event {nth}")), &happening)
            .await?;
    }
    for (repository, number, sender, label) in LABELS {
        label_issue(demo, repository, number, sender, label).await?;
    }
    Ok(())
}

fn issue_path(repository: &str, number: i64) -> String {
    format!("/repos/{repository}/issues/{number}")
}

async fn label_issue(demo: &Demo, repository: &str, number: i64, sender: &str, label: &str) -> Result<()> {
    // Two at once are a conflict, and the answer to it is a comment.
    let conflict = repository == CHECKOUT && number >= 6;
    let present: &[&str] = if conflict {
        &[label, "run:dev:revise"]
    } else {
        &[label]
    };
    if demo.github.has_issue(repository, number) {
        demo.github.set_labels(repository, number, present, sender)?;
    }
    let happening = Happening {
        event: "issues.labeled",
        repository,
        sender,
        number,
        title: title(number),
        label: Some(label),
        text: None,
    };
    let delivery = delivery_id(&format!("demo label {repository} {number}"));
    demo.sender.send(&delivery, &happening).await
}

#[cfg(test)]
mod tests {
    use testkit::payloads::Payloads;

    use super::*;

    #[test]
    fn github_has_an_example_of_everything() {
        let payloads = Payloads::load(&|_| {}).unwrap();
        let others = crate::dev::demo::trickle::OTHERS.iter();
        for event in EVENTS.iter().map(|(event, ..)| event).chain(others) {
            assert!(!payloads.find(event).is_empty(), "{event}");
        }
    }
}
