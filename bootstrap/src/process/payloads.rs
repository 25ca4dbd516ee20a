//! Keeps the payloads' partitions: those of the days ahead are made, those past retention are dropped. Every
//! worker does it; doing it twice is harmless.

use std::time::Duration;

use postgres::Store;
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_hours(1);
const FIRST_RETRY: Duration = Duration::from_secs(10);

/// Until `stop`. A failure is tried again with growing pauses.
pub(super) async fn keep(store: Store, retention_days: u16, stop: CancellationToken) {
    let mut retry = FIRST_RETRY;
    loop {
        let wait = match store.maintain_partitions(retention_days).await {
            Ok(done) => {
                retry = FIRST_RETRY;
                if done.made + done.dropped + done.postponed > 0 {
                    let (made, dropped, postponed) = (done.made, done.dropped, done.postponed);
                    tracing::info!(made, dropped, postponed, "payload partitions maintained");
                }
                metrics::gauge!("codex_k8s_payload_partitions_postponed").set(f64::from(done.postponed));
                EVERY
            }
            Err(error) => {
                tracing::warn!(%error, "payload partitions can't be maintained");
                metrics::counter!("codex_k8s_payload_maintenance_failures_total").increment(1);
                let wait = retry;
                retry = (retry * 2).min(EVERY);
                wait
            }
        };
        // Up to a tenth more, so that workers that started together spread out.
        let wait = wait + wait.mul_f64(rand::random::<f64>() / 10.0);
        if tokio::time::timeout(wait, stop.cancelled()).await.is_ok() {
            return;
        }
    }
}
