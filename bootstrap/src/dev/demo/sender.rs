//! GitHub's hand: one of its own example payloads, told of another place, signed and sent to the gateway.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use domain::Secret;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::payloads::Payloads;

use crate::dev::state::State;
use crate::simulate::signature;

/// The gateway may be starting again, or ask to come back later.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_secs(2);

/// What happened.
#[derive(Debug, Clone)]
pub(super) struct Happening<'a> {
    /// `event` or `event.action`; GitHub has an example of it.
    pub(super) event: &'a str,
    pub(super) repository: &'a str,
    pub(super) sender: &'a str,
    /// Issue or pull request.
    pub(super) number: i64,
    pub(super) title: &'a str,
    /// The label that was put on.
    pub(super) label: Option<&'a str>,
    /// What was written, for comments.
    pub(super) text: Option<&'a str>,
}

/// Signs and sends.
pub(super) struct Sender {
    http: reqwest::Client,
    url: String,
    secret: Secret<String>,
    payloads: Payloads,
}

impl Sender {
    pub(super) fn new(state: &State, payloads: Payloads) -> Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(10))
            .user_agent("GitHub-Hookshot/codex-k8s-demo")
            .build()?;
        Ok(Self {
            http,
            url: format!("{}/api/v1/webhooks/github", state.url),
            secret: Secret::new(state.webhook_secret.clone()),
            payloads,
        })
    }

    /// Sends it under this identifier. The same happening gives the same body, so that a second time has no effect.
    pub(super) async fn send(&self, delivery: &str, happening: &Happening<'_>) -> Result<()> {
        let found = self.payloads.find(happening.event);
        let labelled = found.iter().find(|one| one.payload.get("label").is_some());
        let example = happening.label.and(labelled).or(found.first());
        let example = example.with_context(|| format!("GitHub has no example of {}", happening.event))?;
        let mut payload = example.payload.clone();
        adapt(&mut payload, happening);
        let body = serde_json::to_vec(&payload)?;
        let signature = signature(&self.secret, &body)?;
        for attempt in 1.. {
            let request = self
                .http
                .post(&self.url)
                .header("content-type", "application/json")
                .header("x-github-event", &example.event)
                .header("x-github-delivery", delivery)
                .header("x-hub-signature-256", &signature)
                .body(body.clone());
            match request.send().await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) if !answer.status().is_server_error() || attempt >= ATTEMPTS => {
                    bail!(
                        "the gateway doesn't take {}: {}",
                        happening.event,
                        answer.status()
                    )
                }
                Err(error) if attempt >= ATTEMPTS => return Err(error).context("the gateway doesn't answer"),
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
        Ok(())
    }
}

/// A delivery's identifier that is always the same for the same name.
pub(super) fn delivery_id(name: &str) -> String {
    let digest = Sha256::digest(name);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

/// Puts place, person and words wherever GitHub repeats them.
fn adapt(payload: &mut Value, happening: &Happening<'_>) {
    let (owner, name) = happening.repository.split_once('/').unwrap_or_default();
    if let Some(repository) = payload.get_mut("repository").filter(|it| it.is_object()) {
        repository["full_name"] = json!(happening.repository);
        repository["name"] = json!(name);
        if let Some(owner_now) = repository.pointer_mut("/owner/login") {
            *owner_now = json!(owner);
        }
    }
    if let Some(sender) = payload.get_mut("sender").filter(|it| it.is_object()) {
        sender["login"] = json!(happening.sender);
        let bot = happening.sender.ends_with("[bot]");
        sender["type"] = json!(if bot { "Bot" } else { "User" });
    }
    for subject in ["issue", "pull_request"] {
        if let Some(subject) = payload.get_mut(subject).filter(|it| it.is_object()) {
            subject["number"] = json!(happening.number);
            subject["title"] = json!(happening.title);
        }
    }
    if let (Some(label), Some(member)) = (happening.label, payload.get_mut("label")) {
        member["name"] = json!(label);
        if let Some(labels) = payload.pointer_mut("/issue/labels") {
            *labels = json!([{ "name": label }]);
        }
    }
    if let (Some(text), Some(body)) = (happening.text, payload.pointer_mut("/comment/body")) {
        *body = json!(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_is_the_same_delivery() {
        assert_eq!(delivery_id("a"), delivery_id("a"));
        assert_ne!(delivery_id("a"), delivery_id("b"));
        assert_eq!(delivery_id("a").len(), 36);
    }

    #[test]
    fn the_payload_tells_of_another_place() {
        let mut payload = json!({
            "action": "labeled",
            "issue": { "number": 1, "title": "T", "labels": [{ "name": "bug" }] },
            "label": { "name": "bug" },
            "comment": { "body": "old" },
            "repository": { "full_name": "c/h", "name": "h", "owner": { "login": "c" } },
            "sender": { "login": "c", "type": "User" },
        });
        let happening = Happening {
            event: "issues.labeled",
            repository: "acme/storefront",
            sender: "renovate[bot]",
            number: 7,
            title: "New",
            label: Some("run:dev"),
            text: Some("words"),
        };
        adapt(&mut payload, &happening);
        let expected = json!({
            "action": "labeled",
            "issue": { "number": 7, "title": "New", "labels": [{ "name": "run:dev" }] },
            "label": { "name": "run:dev" },
            "comment": { "body": "words" },
            "repository": { "full_name": "acme/storefront", "name": "storefront", "owner": { "login": "acme" } },
            "sender": { "login": "renovate[bot]", "type": "Bot" },
        });
        assert_eq!(payload, expected);
    }
}
