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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::Redactor;
    use domain::port::RunStore;
    use domain::run::Created;
    use testkit::contract::new_run;
    use testkit::fake::cluster::FakeCluster;
    use testkit::fake::faults::Fault;
    use testkit::fake::forge::FakeForge;
    use testkit::fake::ledger::FakeLedger;
    use testkit::fake::memory::Memory;
    use testkit::fake::runs::FakeRuns;

    use super::*;
    use crate::context::Settings;

    struct World {
        memory: Arc<Memory>,
        cluster: Arc<FakeCluster>,
        ctx: Ctx,
        run: RunId,
    }

    impl World {
        /// One run, whose own jobs are done.
        async fn new() -> Self {
            let memory = Memory::new();
            let cluster = Arc::new(FakeCluster::default());
            let runs = FakeRuns::new(&memory);
            let repository = memory.add_repository("demo", 1, "a/b");
            let created = runs.create(new_run(&repository, 1)).await.unwrap();
            let Created::New(run) = created else {
                panic!("not new: {created:?}")
            };
            while memory.take_job().is_some() {}
            let ctx = Ctx {
                ledger: Arc::new(FakeLedger::new(&memory)),
                runs: Arc::new(runs),
                forge: Arc::new(FakeForge::default()),
                cluster: cluster.clone(),
                redactor: Redactor::default(),
                settings: Arc::new(Settings::default()),
            };
            Self {
                memory,
                cluster,
                ctx,
                run,
            }
        }

        async fn observed(&self) {
            let asked = async {
                loop {
                    if let Some(queued) = self.memory.take_job() {
                        break queued;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            let queued = tokio::time::timeout(Duration::from_secs(10), asked).await;
            assert_eq!(queued.expect("no hint came through").job.kind, "run.observe");
        }
    }

    #[tokio::test]
    async fn a_burst_is_one_hint_and_shutdown_ends_it() {
        let world = World::new().await;
        let shutdown = CancellationToken::new();
        let watching = tokio::spawn(run(world.ctx.clone(), shutdown.clone()));
        for _ in 0..100 {
            world.cluster.change(world.run);
        }
        world.observed().await;
        assert_eq!(world.memory.faults.count("hint"), 1);
        shutdown.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(10), watching).await;
        ended.expect("it goes on after shutdown").unwrap();
    }

    #[tokio::test]
    async fn a_lost_watch_is_made_anew_and_a_lost_hint_is_not_the_last() {
        let world = World::new().await;
        world.cluster.faults.order("watch", 1, Fault::Unavailable);
        world.memory.faults.order("hint", 1, Fault::Unavailable);
        let watching = tokio::spawn(run(world.ctx.clone(), CancellationToken::new()));
        world.cluster.change(world.run);
        while world.memory.faults.count("hint") == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(world.memory.queued().is_empty(), "the database was away");
        world.cluster.end_watch();
        world.cluster.change(world.run);
        world.observed().await;
        assert_eq!(world.cluster.faults.count("watch"), 3);
        watching.abort();
    }
}
