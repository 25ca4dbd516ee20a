//! Publishes how the queue fares as metrics. One worker of the fleet counts at a time (`queue.refresh_gauges`);
//! each publishes what was counted last, so that none goes on saying what was true when it last counted.

use std::time::Duration;

use rand::Rng;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::desk::{Gauges, read_gauges};

/// How often to look.
const EVERY: Duration = Duration::from_secs(5);
/// A connection of the pool that isn't free by then is needed elsewhere.
const WAIT: Duration = Duration::from_secs(2);

/// Publishes until `stop`.
pub(crate) async fn publish(pool: PgPool, stop: CancellationToken) {
    loop {
        let pause = EVERY.mul_f64(rand::rng().random_range(0.7..=1.0));
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let read = tokio::select! {
            () = stop.cancelled() => return,
            read = read(&pool) => read,
        };
        match read {
            Ok(Some(gauges)) => show(&gauges),
            Ok(None) => {}
            Err(error) => {
                metrics::counter!("codex_k8s_queue_errors_total", "task" => "gauges").increment(1);
                tracing::warn!(%error, "could not count jobs, trying again");
            }
        }
    }
}

async fn read(pool: &PgPool) -> Result<Option<Gauges>, sqlx::Error> {
    let Ok(tx) = tokio::time::timeout(WAIT, pool.begin()).await else {
        return Ok(None);
    };
    let mut tx = tx?;
    sqlx::query("set local statement_timeout = '10s'")
        .persistent(false)
        .execute(&mut *tx)
        .await?;
    let gauges = read_gauges(&mut tx).await?;
    tx.commit().await?;
    Ok(Some(gauges))
}

fn show(gauges: &Gauges) {
    for (queue, runnable, oldest_s) in &gauges.queues {
        metrics::gauge!("codex_k8s_queue_runnable", "queue" => queue.clone()).set(*runnable as f64);
        metrics::gauge!("codex_k8s_queue_oldest_ready_seconds", "queue" => queue.clone()).set(*oldest_s);
    }
    metrics::gauge!("codex_k8s_queue_oldest_snapshot_seconds").set(gauges.oldest_snapshot_s.unwrap_or(0.0));
}
