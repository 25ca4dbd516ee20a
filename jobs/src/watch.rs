//! Turns changes in the cluster into `run.observe` jobs. Only a hint: a slow poll is beneath it.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::RunId;
use rand::Rng;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::context::Ctx;

/// Changes come in bursts: what comes within this time becomes one job.
const GATHER: Duration = Duration::from_millis(50);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Watches until `shutdown`.
pub(crate) async fn run(ctx: Ctx, shutdown: CancellationToken) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let hints = pass_on(ctx.clone(), receiver);
    let watch = watch(ctx, sender);
    tokio::select! {
        () = shutdown.cancelled() => {}
        ((), ()) = async { tokio::join!(hints, watch) } => {}
    }
}

async fn watch(ctx: Ctx, sender: mpsc::UnboundedSender<RunId>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let began = tokio::time::Instant::now();
        let hint = |run| {
            // The receiver ends together with this loop.
            let _ = sender.send(run);
        };
        if let Err(error) = ctx.cluster.watch(&hint).await {
            metrics::counter!("codex_k8s_watch_errors_total").increment(1);
            tracing::warn!(%error, "the cluster's watch was lost, making it anew");
        }
        pause = if began.elapsed() > LONGEST_PAUSE {
            FIRST_PAUSE
        } else {
            (pause * 2).min(LONGEST_PAUSE)
        };
        let jittered = pause.mul_f64(rand::rng().random_range(0.5..=1.0));
        tokio::time::sleep(jittered).await;
    }
}

async fn pass_on(ctx: Ctx, mut receiver: mpsc::UnboundedReceiver<RunId>) {
    let mut burst = Vec::new();
    while receiver.recv_many(&mut burst, 1_000).await > 0 {
        tokio::time::sleep(GATHER).await;
        while let Ok(run) = receiver.try_recv() {
            burst.push(run);
        }
        for run in burst.drain(..).collect::<BTreeSet<_>>() {
            if let Err(error) = ctx.runs.hint(run).await {
                // The poll will look at it.
                tracing::warn!(run.id = run.0, %error, "a hint of the cluster was lost");
            }
        }
    }
}
