//! `codex-k8s webhook simulate`: takes one of GitHub's own example payloads, signs it as GitHub would and
//! sends it to the gateway.

mod forge;

use anyhow::{Context, Result, bail};
use domain::Secret;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use testkit::payloads::{Example, Payloads};

use crate::config::{Environment, variables};
use crate::dev::state::{State, data_dir};

/// Arguments of `webhook`.
#[derive(Debug, clap::Args)]
pub(crate) struct Webhook {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do about webhooks.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Signs one of GitHub's example payloads and sends it to the gateway
    Simulate(Simulate),
}

/// What to send.
#[derive(Debug, clap::Args)]
pub(crate) struct Simulate {
    /// The event, for example issues.labeled or push
    #[arg(value_name = "EVENT[.ACTION]")]
    event: String,
    /// The label of a `labeled` event; beside `dev` it is also put on the simulated issue
    #[arg(long)]
    label: Option<String>,
    /// The issue's number (with --count the first one; the next ones count up)
    #[arg(long, value_parser = clap::value_parser!(i64).range(1..))]
    issue: Option<i64>,
    /// The repository, owner/name
    #[arg(long)]
    repository: Option<domain::repository::RepositoryName>,
    /// The delivery's identifier; a random one if not said
    #[arg(long)]
    delivery: Option<domain::DeliveryId>,
    /// How many deliveries to send
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    count: u32,
}

/// Where to send it.
struct Target {
    url: String,
    secret: Secret<String>,
    github: Option<forge::Forge>,
}

impl Target {
    fn find(env: &Environment) -> Result<Self> {
        let state = State::read(&data_dir(env)?).unwrap_or_default();
        let url = env
            .text(&variables::URL)?
            .or_else(|| state.as_ref().map(|state| state.url.clone()));
        let configured = env.text(&variables::WEBHOOK_SECRETS)?;
        let first = configured.and_then(|all| all.split(['\n', ',']).next().map(|one| one.trim().to_owned()));
        let Some(secret) = first.or_else(|| state.as_ref().map(|state| state.webhook_secret.clone())) else {
            bail!(
                "no webhook secret to sign with: set {}, or start `codex-k8s dev` as the same user",
                variables::WEBHOOK_SECRETS.name
            );
        };
        let http = client()?;
        let github = state
            .and_then(|state| state.github)
            .map(|github| forge::Forge::new(http, github));
        let url = url.unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            secret: Secret::new(secret),
            github,
        })
    }
}

fn client() -> Result<reqwest::Client> {
    let patience = std::time::Duration::from_secs(10);
    Ok(reqwest::Client::builder()
        .timeout(patience)
        .user_agent("codex-k8s")
        .build()?)
}

/// Sends what was asked for and prints the answers.
pub(crate) async fn run(env: &Environment, simulate: Simulate) -> Result<()> {
    if simulate.count > 1 && simulate.delivery.is_some() {
        bail!("--delivery names one delivery: it doesn't go with --count");
    }
    let payloads =
        tokio::task::spawn_blocking(|| Payloads::load(&|line| eprintln!("codex-k8s: {line}"))).await??;
    let example = choose(&payloads, &simulate)?;
    let target = Target::find(env)?;
    let http = client()?;
    let mut last = None;
    for number in 0..simulate.count {
        let delivery = match &simulate.delivery {
            Some(delivery) => delivery.to_string(),
            None => random_guid(),
        };
        let mut payload = example.payload.clone();
        let place = adapt(&mut payload, &simulate, i64::from(number));
        if let (Some(github), Some(place), Some(label)) =
            (&target.github, &place, label_of(&example, &payload))
        {
            github.put_label(place, &label).await?;
        }
        let body = serde_json::to_vec(&payload)?;
        let answer = http
            .post(format!("{}/api/v1/webhooks/github", target.url))
            .header("content-type", "application/json")
            .header("x-github-event", &example.event)
            .header("x-github-delivery", &delivery)
            .header("x-hub-signature-256", signature(&target.secret, &body)?)
            .body(body)
            .send()
            .await
            .with_context(|| {
                let at = &target.url;
                format!(
                    "no gateway answers at {at}: is it running (`make dev`)? {} says where",
                    variables::URL.name
                )
            })?;
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        println!("{status} {delivery} {}", text.trim());
        if !status.is_success() {
            bail!("the gateway didn't take it");
        }
        last = Some(delivery);
    }
    if let Some(delivery) = last {
        println!("\nnext: codex-k8s deliveries show {delivery}\n      codex-k8s runs list");
    }
    Ok(())
}

/// The example that fits best; for a label the one that has one and is no pull request's.
fn choose(payloads: &Payloads, simulate: &Simulate) -> Result<Example> {
    let found = payloads.find(&simulate.event);
    let Some(first) = found.first() else {
        bail!(
            "GitHub has no example of `{}`; there are: {}",
            simulate.event,
            payloads.names().join(" ")
        );
    };
    let labelled = found
        .iter()
        .find(|example| example.payload.get("label").is_some());
    if simulate.label.is_some() && labelled.is_none() {
        bail!(
            "`{}` carries no label: --label goes with events such as issues.labeled",
            simulate.event
        );
    }
    Ok((*labelled.unwrap_or(first)).clone())
}

/// An issue or pull request of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// `owner/name`.
    repository: String,
    issue: i64,
}

/// Puts label, issue and repository into the payload, wherever GitHub repeats them. Says where it happens.
fn adapt(payload: &mut Value, simulate: &Simulate, nth: i64) -> Option<Place> {
    if let (Some(label), Some(member)) = (&simulate.label, payload.get_mut("label")) {
        let old = member.get("name").cloned();
        member["name"] = json!(label);
        let labels = payload.pointer_mut("/issue/labels").and_then(Value::as_array_mut);
        for other in labels
            .into_iter()
            .flatten()
            .filter(|other| other.get("name") == old.as_ref())
        {
            other["name"] = json!(label);
        }
    }
    let first = simulate
        .issue
        .or_else(|| payload.pointer("/issue/number").and_then(Value::as_i64));
    if let (Some(first), Some(issue)) = (first, payload.get_mut("issue")) {
        issue["number"] = json!(first + nth);
    }
    if let (Some(name), Some(repository)) = (&simulate.repository, payload.get_mut("repository")) {
        repository["full_name"] = json!(name.to_string());
        repository["name"] = json!(name.name());
        if let Some(owner) = repository.get_mut("owner") {
            owner["login"] = json!(name.owner());
        }
    }
    Some(Place {
        repository: payload.pointer("/repository/full_name")?.as_str()?.to_owned(),
        issue: payload.pointer("/issue/number")?.as_i64()?,
    })
}

/// The label that a `labeled` event puts on.
fn label_of(example: &Example, payload: &Value) -> Option<String> {
    let labeled = example.event == "issues" && example.action.as_deref() == Some("labeled");
    let name = payload.pointer("/label/name").and_then(Value::as_str);
    name.filter(|_| labeled).map(str::to_owned)
}

/// `X-Hub-Signature-256` of the body.
pub(crate) fn signature(secret: &Secret<String>, body: &[u8]) -> Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())?;
    mac.update(body);
    Ok(format!("sha256={}", hex::encode(mac.finalize().into_bytes())))
}

/// A GUID as GitHub's deliveries have.
pub(crate) fn random_guid() -> String {
    uuid::Builder::from_random_bytes(rand::random())
        .into_uuid()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn simulate(arguments: &[&str]) -> Simulate {
        #[derive(clap::Parser)]
        struct Parser {
            #[command(flatten)]
            simulate: Simulate,
        }
        let all = std::iter::once("x").chain(arguments.iter().copied());
        <Parser as clap::Parser>::parse_from(all).simulate
    }

    #[test]
    fn the_signature_is_github_s() {
        // The example of GitHub's documentation.
        let secret = Secret::new("It's a Secret to Everybody".to_owned());
        let expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(signature(&secret, b"Hello, World!").unwrap(), expected);
        assert_ne!(random_guid(), random_guid());
    }

    #[test]
    fn the_payload_says_what_was_asked() {
        let payload = json!({
            "action": "labeled",
            "issue": { "number": 1, "title": "T", "labels": [{ "name": "bug" }, { "name": "old" }] },
            "label": { "name": "bug" },
            "repository": { "full_name": "Codertocat/Hello-World", "name": "Hello-World", "owner": { "login": "Codertocat" } },
        });
        let mut changed = payload.clone();
        let asked = [
            "issues.labeled",
            "--label",
            "run:dev",
            "--issue",
            "7",
            "--repository",
            "a/b",
        ];
        let place = adapt(&mut changed, &simulate(&asked), 2).unwrap();
        assert_eq!(
            place,
            Place {
                repository: "a/b".into(),
                issue: 9
            }
        );
        assert_eq!(changed["label"]["name"], "run:dev");
        assert_eq!(
            changed["issue"]["labels"],
            json!([{ "name": "run:dev" }, { "name": "old" }])
        );
        assert_eq!(changed["repository"]["owner"]["login"], "a");

        let mut same = payload.clone();
        adapt(&mut same, &simulate(&["issues.labeled"]), 0).unwrap();
        assert_eq!(same, payload);
        let mut ping = json!({ "zen": "x", "repository": { "full_name": "a/b" } });
        assert_eq!(adapt(&mut ping, &simulate(&["ping"]), 0), None);
    }

    #[test]
    fn what_there_is_no_example_of() {
        let payloads = Payloads::load(&|_| {}).unwrap();
        let error = choose(&payloads, &simulate(&["issues.sung"]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("issues.labeled"), "{error}");
        let error = choose(&payloads, &simulate(&["push", "--label", "x"]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("no label"), "{error}");
        let labeled = choose(&payloads, &simulate(&["issues.labeled", "--label", "x"])).unwrap();
        assert!(labeled.payload.get("label").is_some());
    }
}
