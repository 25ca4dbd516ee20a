//! Events for as long as `dev` runs, some every minute at first and fewer later: over days the demo must not fill
//! the disk.

use std::time::Duration;

use anyhow::Result;
use rand::seq::IndexedRandom;
use tokio::time::Instant;

use super::sender::Happening;
use super::world::{ISSUES, repositories, title};
use super::{Demo, tidy};
use crate::simulate::random_guid;

/// So long somebody is likely to look.
const LIVELY: Duration = Duration::from_mins(20);
const LIVELY_PAUSE_S: (f64, f64) = (3.0, 9.0);
const QUIET_PAUSE_S: (f64, f64) = (60.0, 180.0);
const TIDY_EVERY: u32 = 25;

pub(super) const OTHERS: [&str; 12] = [
    "push",
    "push",
    "issue_comment.created",
    "issue_comment.created",
    "pull_request.opened",
    "pull_request.synchronize",
    "pull_request_review.submitted",
    "check_run.completed",
    "workflow_run.completed",
    "issues.opened",
    "issues.edited",
    "star.created",
];
const COMMENTS: [&str; 4] = [
    "I can reproduce it on the test system.",
    "Looks good to me, thank you!",
    "Could we have a test for it?",
    "It only happens on **slow** machines.",
];

/// A label on the issue of the demo's project whose agent takes minutes.
pub(super) async fn begin(demo: &Demo) -> Result<()> {
    const ENDURING: i64 = 7;
    label(demo, crate::dev::DEMO_REPOSITORY, ENDURING, "lea", "run:dev").await
}

/// For ever. An event that fails is passed over: the next one may be luckier.
pub(super) async fn flow(demo: &Demo) {
    let began = Instant::now();
    for nth in 1_u32.. {
        let (least, most) = if began.elapsed() < LIVELY {
            LIVELY_PAUSE_S
        } else {
            QUIET_PAUSE_S
        };
        tokio::time::sleep(Duration::from_secs_f64(rand::random_range(least..most))).await;
        if let Err(error) = happen(demo).await {
            tracing::warn!(%error, "an event of the demo failed");
        }
        if nth % TIDY_EVERY == 0
            && let Err(error) = tidy::up(demo).await
        {
            tracing::warn!(%error, "the demo can't tidy up");
        }
    }
}

async fn happen(demo: &Demo) -> Result<()> {
    let repositories = repositories();
    let repository = pick(&repositories);
    let number = rand::random_range(1..=ISSUES);
    let (event, sender, label) = match rand::random_range(0..100) {
        0..30 => ("issues.labeled", pick(&["lea", "walt", "olga"]), Some("run:dev")),
        30..35 => ("issues.labeled", "lea", Some("run:dev:revise")),
        35..38 => ("issues.labeled", "rita", Some("run:dev")),
        38..41 => ("issues.labeled", "renovate[bot]", Some("run:dev")),
        41..50 => (
            "issues.labeled",
            "walt",
            Some(pick(&["bug", "question", "good first issue"])),
        ),
        _ => (pick(&OTHERS), pick(&["lea", "walt", "adam", "rita", "eve"]), None),
    };
    if let Some(name) = label {
        return self::label(demo, repository, number, sender, name).await;
    }
    let text = pick(&COMMENTS);
    if event == "issue_comment.created" {
        demo.github.add_comment(repository, number, sender, text)?;
    }
    let happening = Happening {
        event,
        repository,
        sender,
        number,
        title: title(number),
        label: None,
        text: Some(text),
    };
    demo.sender.send(&random_guid(), &happening).await
}

async fn label(demo: &Demo, repository: &str, number: i64, sender: &str, label: &str) -> Result<()> {
    demo.github.set_labels(repository, number, &[label], sender)?;
    let happening = Happening {
        event: "issues.labeled",
        repository,
        sender,
        number,
        title: title(number),
        label: Some(label),
        text: None,
    };
    demo.sender.send(&random_guid(), &happening).await
}

fn pick<'a>(from: &[&'a str]) -> &'a str {
    from.choose(&mut rand::rng()).copied().unwrap_or_default()
}
