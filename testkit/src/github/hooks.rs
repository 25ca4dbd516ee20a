//! Webhooks: when a label is put on an issue of the simulated GitHub, it tells the configured address, signed, as
//! GitHub does. No retry: neither does GitHub.

use std::time::Duration;

use domain::Secret;
use hmac::{Hmac, Mac as _};
use rand::Rng as _;
use serde_json::{Value, json};
use sha2::Sha256;

use super::shapes;
use super::world::{Issue, Repository};

/// Where webhooks go.
#[derive(Debug, Clone)]
pub(super) struct Hook {
    pub url: String,
    pub secret: Secret<String>,
}

/// GitHub's payload of `issues.labeled`.
pub(super) fn issues_labeled(
    root: &str,
    repository: &Repository,
    issue: &Issue,
    label: &str,
    sender: &str,
) -> Value {
    json!({
        "action": "labeled",
        "issue": shapes::issue(root, repository, issue),
        "label": shapes::label(root, repository, label),
        "repository": shapes::repository(root, repository),
        "sender": shapes::user(root, sender),
    })
}

/// `sha256=<hex>`, as in `X-Hub-Signature-256`.
fn signature(secret: &str, body: &[u8]) -> anyhow::Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
    mac.update(body);
    Ok(format!("sha256={}", hex::encode(mac.finalize().into_bytes())))
}

fn guid() -> String {
    let bytes: [u8; 16] = rand::rng().random();
    let text = hex::encode(bytes);
    format!(
        "{}-{}-4{}-8{}-{}",
        &text[..8],
        &text[8..12],
        &text[13..16],
        &text[17..20],
        &text[20..]
    )
}

/// Delivers in the background; a failure is logged, as GitHub only lists it.
pub(super) fn deliver(client: reqwest::Client, hook: Hook, event: &'static str, payload: Value) {
    tokio::spawn(async move {
        let id = guid();
        match post(&client, &hook, event, &id, &payload).await {
            Ok(status) => tracing::info!(delivery.id = %id, event, status, "webhook delivered"),
            Err(error) => {
                tracing::warn!(delivery.id = %id, event, url = %hook.url, %error, "webhook not delivered");
            }
        }
    });
}

async fn post(
    client: &reqwest::Client,
    hook: &Hook,
    event: &str,
    id: &str,
    payload: &Value,
) -> anyhow::Result<u16> {
    let body = serde_json::to_vec(payload)?;
    let response = client
        .post(&hook.url)
        .timeout(Duration::from_secs(10))
        .header("content-type", "application/json")
        .header("user-agent", "GitHub-Hookshot/codex-k8s-simulator")
        .header("x-github-delivery", id)
        .header("x-github-event", event)
        .header("x-hub-signature-256", signature(hook.secret.expose(), &body)?)
        .body(body)
        .send()
        .await?;
    Ok(response.status().as_u16())
}
