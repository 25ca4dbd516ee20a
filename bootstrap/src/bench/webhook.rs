//! `codex-k8s bench webhook`: how fast signed webhooks are acknowledged, that is committed with their job.
//!
//! Connections are kept alive and send one webhook after the other. With `--rate` they keep to a schedule, and
//! a webhook's time counts from when it was due: one that is sent late because the last one was slow is slow
//! itself.

mod gateway;
mod report;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use domain::Secret;
use serde_json::json;
use testkit::payloads::{Example, Payloads};
use tokio::task::JoinSet;

use self::gateway::Target;
use self::report::{Report, Tally};
use crate::config::Environment;
use crate::simulate::signature;

/// How to measure.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// A running gateway; without it one is started, on a database of its own or CODEX_K8S_DATABASE_URL
    #[arg(long)]
    url: Option<String>,
    /// How long to send
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Webhooks per second over all connections; as fast as they are acknowledged if not said
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,
    /// Connections
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=2000))]
    connections: u32,
    /// Size of a payload in bytes
    #[arg(long, default_value_t = 20_480, value_parser = clap::value_parser!(u32).range(200..=25_000_000))]
    bytes: u32,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// A payload and its signature. The delivery's identifier isn't signed, so one payload serves many deliveries.
struct Signed {
    body: bytes::Bytes,
    signature: String,
}

/// Measures and prints.
pub(crate) async fn run(env: &Environment, arguments: Arguments) -> Result<()> {
    let target = Target::find(env, arguments.url.as_deref()).await?;
    let examples =
        tokio::task::spawn_blocking(|| Payloads::load(&|line| eprintln!("codex-k8s: {line}"))).await??;
    let (event, payloads) = payloads(&examples, &target.secret, usize::try_from(arguments.bytes)?)?;
    let payloads = Arc::new(payloads);
    let mut senders = JoinSet::new();
    let (began, length) = (Instant::now(), Duration::from_secs(arguments.seconds));
    for number in 0..arguments.connections {
        let sender = Sender {
            http: client()?,
            url: format!("{}/api/v1/webhooks/github", target.url),
            payloads: Arc::clone(&payloads),
            event: event.clone(),
            number,
            every: arguments
                .rate
                .map(|rate| Duration::from_secs(1) * arguments.connections / rate),
            stagger: arguments
                .rate
                .map_or(Duration::ZERO, |rate| Duration::from_secs(1) * number / rate),
        };
        senders.spawn(sender.send_until(began, length));
    }
    let mut total = Tally::default();
    while let Some(tally) = senders.join_next().await {
        total.add(tally?);
    }
    let report = Report::of(total, began.elapsed(), &arguments, &target);
    target.stop().await;
    report.print(arguments.json)?;
    if report.accepted() == 0 {
        bail!("no webhook was acknowledged");
    }
    Ok(())
}

fn client() -> Result<reqwest::Client> {
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(30))
        .pool_max_idle_per_host(1)
        .tcp_nodelay(true)
        .build();
    client.context("can't make an HTTP client")
}

/// What fills a payload up: text that packs about as well as people's prose does.
const WORDS: [&str; 16] = [
    "agent",
    "branch",
    "commit",
    "delivery",
    "event",
    "failure",
    "gateway",
    "history",
    "issue",
    "job",
    "label",
    "merge",
    "namespace",
    "owner",
    "payload",
    "queue",
];

/// GitHub's own example of an event that asks for nothing, the largest that is no larger than wanted, filled up
/// to the wanted size with words that differ from payload to payload.
fn payloads(examples: &Payloads, secret: &Secret<String>, bytes: usize) -> Result<(String, Vec<Signed>)> {
    // Room for the member that holds the filling.
    let room = bytes.saturating_sub(20);
    let length =
        |example: &Example| serde_json::to_vec(&example.payload).map_or(usize::MAX, |body| body.len());
    let fitting = examples
        .all()
        .iter()
        .filter(|example| example.event != "issues" && length(example) <= room);
    let Some(example) = fitting.max_by_key(|example| length(example)) else {
        bail!("GitHub has no example payload as small as {bytes} bytes");
    };
    let signed = (0..16).map(|_| {
        let mut payload = example.payload.clone();
        payload["filling"] = json!("");
        let missing = bytes.saturating_sub(serde_json::to_vec(&payload)?.len());
        let mut text = String::new();
        while text.len() < missing {
            text.push_str(WORDS[rand::random_range(0..WORDS.len())]);
            text.push(' ');
        }
        text.truncate(missing);
        payload["filling"] = json!(text);
        let body = serde_json::to_vec(&payload)?;
        Ok(Signed {
            signature: signature(secret, &body)?,
            body: body.into(),
        })
    });
    Ok((example.event.clone(), signed.collect::<Result<_>>()?))
}

/// One connection.
struct Sender {
    http: reqwest::Client,
    url: String,
    payloads: Arc<Vec<Signed>>,
    event: String,
    number: u32,
    /// The pause between two webhooks of this connection, with `--rate`.
    every: Option<Duration>,
    stagger: Duration,
}

impl Sender {
    async fn send_until(self, began: Instant, length: Duration) -> Tally {
        let mut tally = Tally::default();
        for nth in 0_u32.. {
            let due = match self.every {
                Some(every) => {
                    let due = began + self.stagger + every * nth;
                    if due >= began + length {
                        break;
                    }
                    tokio::time::sleep_until(due.into()).await;
                    due
                }
                None => Instant::now(),
            };
            if began.elapsed() >= length {
                break;
            }
            let signed = &self.payloads[(self.number as usize + nth as usize) % self.payloads.len()];
            let answer = self
                .http
                .post(&self.url)
                .header("content-type", "application/json")
                .header("x-github-event", &self.event)
                .header("x-github-delivery", crate::simulate::random_guid())
                .header("x-hub-signature-256", &signed.signature)
                .body(signed.body.clone())
                .send()
                .await;
            // The body is read, or the connection can't be used again.
            let answer = match answer {
                Ok(answer) => {
                    let status = answer.status();
                    answer.bytes().await.map(|_| status)
                }
                Err(error) => Err(error),
            };
            tally.note(answer.map(|status| status.as_u16()), due.elapsed());
        }
        tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_githubs_have_the_size_and_differ() {
        let examples = Payloads::load(&|_| {}).unwrap();
        let secret = Secret::new("0123456789abcdef".into());
        let (event, payloads) = payloads(&examples, &secret, 20_480).unwrap();
        assert_eq!(event, "workflow_run");
        assert!(payloads.iter().all(|signed| signed.body.len() == 20_480));
        assert_ne!(payloads[0].body, payloads[1].body);
        assert_ne!(payloads[0].signature, payloads[1].signature);
    }
}
