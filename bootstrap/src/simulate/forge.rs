//! The GitHub that `dev` simulates, as far as a simulated webhook needs it: the policy reads the issue's
//! present labels from there, so the label has to be on it before the webhook tells of it.

use anyhow::{Context, Result, bail};
use reqwest::{Client, StatusCode};
use serde_json::json;

use super::Place;
use crate::dev::state::Simulated;

/// A client of the simulated GitHub.
pub(super) struct Forge {
    http: Client,
    github: Simulated,
}

impl Forge {
    pub(super) fn new(http: Client, github: Simulated) -> Self {
        Self { http, github }
    }

    /// Puts the label on the issue, as GitHub's REST API has it.
    pub(super) async fn put_label(&self, place: &Place, label: &str) -> Result<()> {
        let Place { repository, issue } = place;
        let answer = self
            .http
            .post(format!(
                "{}/repos/{repository}/issues/{issue}/labels",
                self.github.url
            ))
            .bearer_auth(&self.github.token)
            .json(&json!({ "labels": [label] }))
            .send()
            .await
            .with_context(|| {
                format!(
                    "the simulated GitHub doesn't answer at {}: is `codex-k8s dev` running?",
                    self.github.url
                )
            })?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            StatusCode::NOT_FOUND => bail!(
                "the simulated GitHub has no issue {issue} in {repository}; it has {} with issues 1 to {}",
                crate::dev::DEMO_REPOSITORY,
                crate::dev::DEMO_ISSUES
            ),
            status => bail!("the simulated GitHub refused the label: {status}"),
        }
    }
}
