//! Opens streams as consoles do, makes changes and looks when the first console hears of them, and what that costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use postgres::Store;
use reqwest::Client;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::gateway::Gateway;
use super::people::People;
use super::report::{Live, milliseconds};

/// A change that isn't told within this time is lost.
const LOST: Duration = Duration::from_secs(10);
/// Sessions hand their counters in after a second at most.
const COUNTED: Duration = Duration::from_millis(1_500);

/// Measures with so many streams; with none only what making the changes costs.
pub(super) async fn listen(
    gateway: &Gateway,
    store: &Store,
    people: &People,
    streams: u16,
    changes: u16,
) -> Result<Live> {
    let bytes = Arc::new(AtomicU64::new(0));
    let (tell, mut told) = mpsc::unbounded_channel();
    let http = Client::builder().build()?;
    let mut consoles = JoinSet::new();
    for nth in 0..streams {
        let stream = http
            .get(format!("{}/api/v1/staff/stream", gateway.url))
            .bearer_auth(people.listener(nth))
            .send()
            .await?;
        ensure!(
            stream.status().is_success(),
            "a stream was refused: {}",
            stream.status()
        );
        let tell = (nth == 0).then(|| tell.clone());
        consoles.spawn(read(stream, Arc::clone(&bytes), tell));
    }
    // Greeted, and the first look is over.
    tokio::time::sleep(COUNTED).await;
    let (before, cpu) = (store.bench_counters().await?, gateway.cpu_s());
    let (began, bytes_before) = (Instant::now(), bytes.load(Ordering::Relaxed));
    let mut lags = Vec::new();
    for _ in 0..changes {
        tokio::time::sleep(Duration::from_millis(rand::random_range(300..700))).await;
        let id = store.bench_change().await?;
        let committed = Instant::now();
        if streams > 0 {
            let heard = async {
                while let Some((job, at)) = told.recv().await {
                    if job == id {
                        return Some(at);
                    }
                }
                None
            };
            let at: Instant = tokio::time::timeout(LOST, heard)
                .await
                .with_context(|| format!("job {id} was not told of"))?
                .context("the stream ended")?;
            lags.push(at.saturating_duration_since(committed));
        }
    }
    let took = began.elapsed().as_secs_f64();
    let cpu = gateway
        .cpu_s()
        .zip(cpu)
        .map(|(after, before)| (after - before) / took);
    let received = bytes.load(Ordering::Relaxed) - bytes_before;
    tokio::time::sleep(COUNTED).await;
    let after = store.bench_counters().await?;
    let whole = took + COUNTED.as_secs_f64();
    consoles.shutdown().await;
    Ok(Live {
        streams,
        changes: u32::from(changes),
        seconds: took,
        lag_ms: (streams > 0).then(|| milliseconds(lags)),
        transactions_per_s: (after.transactions - before.transactions) as f64 / whole,
        rows_per_s: (after.rows - before.rows) as f64 / whole,
        listening_sessions: after.listening,
        gateway_sessions: after.gateway_sessions,
        gateway_cpu: cpu,
        received_bytes_per_s: received as f64 / took,
    })
}

/// Reads the stream; the first console says which jobs it was told of.
async fn read(
    mut stream: reqwest::Response,
    bytes: Arc<AtomicU64>,
    tell: Option<mpsc::UnboundedSender<(i64, Instant)>>,
) {
    let mut rest = String::new();
    while let Ok(Some(chunk)) = stream.chunk().await {
        let at = Instant::now();
        bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        let Some(tell) = &tell else { continue };
        rest.push_str(&String::from_utf8_lossy(&chunk));
        while let Some((message, others)) = rest.split_once("\n\n") {
            if let Some(id) = job(message) {
                let _ = tell.send((id, at));
            }
            rest = others.to_owned();
        }
    }
}

/// The identifier of the job that the message tells of.
fn job(message: &str) -> Option<i64> {
    message.lines().find(|line| *line == "event: job")?;
    let data = message.lines().find_map(|line| line.strip_prefix("data: "))?;
    serde_json::from_str::<serde_json::Value>(data).ok()?["id"].as_i64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_job_a_message_tells_of() {
        assert_eq!(
            job("id: 7\nevent: job\ndata: {\"id\":12,\"kind\":\"a\"}"),
            Some(12)
        );
        assert_eq!(job("event: run\ndata: {\"id\":12}"), None);
        assert_eq!(job("event: heartbeat\ndata: {}"), None);
    }
}
