//! What `make chaos` runs: 100,000 jobs, 200 killed workers, 10 crashes of the database.

use std::time::Instant;

use super::{Tally, enqueue_all, own_server, spawn_worker, until_done};
use crate::harness::Stage;

const JOBS: i64 = 100_000;
const KILLS: i64 = 200;
const CRASHES: i64 = 10;
const WORKERS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make chaos"]
async fn a_long_chaos_loses_no_job_and_doubles_no_effect() {
    let (mut server, url) = own_server().await;
    let stage = Stage::on(&url).await;
    enqueue_all(&stage, JOBS).await;
    let began = Instant::now();
    let mut workers: Vec<_> = (0..WORKERS).map(|_| spawn_worker(&url)).collect();
    let (mut ended_alone, mut in_hand) = (0, 0);
    for kill in 1..=KILLS {
        until_done(&stage, kill * JOBS / (KILLS + 1)).await;
        let mut victim = workers.remove(0);
        ended_alone += usize::from(victim.try_wait().unwrap().is_some());
        let pid = victim.id().unwrap_or_default();
        victim.kill().await.unwrap();
        in_hand += held_by(&stage, pid).await;
        if kill % (KILLS / CRASHES) == 0 {
            server.crash().await;
            server.restart().await.unwrap();
            println!("{kill} kills, {} s", began.elapsed().as_secs());
        }
        workers.push(spawn_worker(&url));
    }
    until_done(&stage, JOBS).await;
    stage.until_empty().await;
    for mut worker in workers {
        worker.kill().await.unwrap();
    }
    let tally = Tally::of(&stage, JOBS).await;
    let registered = stage.number("select count(*) from queue.worker").await;
    println!(
        "chaos: {JOBS} jobs, {KILLS} workers killed with {in_hand} in hand, {CRASHES} databases crashed in {} s: {} completed, {} lost, \
         {} effects doubled, {} stale acks accepted ({registered} workers, {ended_alone} of them ended by themselves)",
        began.elapsed().as_secs(),
        tally.completed,
        tally.lost,
        tally.doubled_effects,
        tally.stale_accepted,
    );
    assert_eq!(tally, Tally::perfect(JOBS));
    assert_eq!(ended_alone, 0);
    assert!(in_hand > KILLS, "hardly any worker had a job when it was killed");
    stage.assert_empty().await;
    stage.pool.close().await;
}

async fn held_by(stage: &Stage, pid: u32) -> i64 {
    let held = sqlx::query_scalar(
        "select count(*) from queue.job join queue.worker as worker on worker.id = claimed_by
        where worker.name like $1",
    );
    let held = held.bind(format!("process {pid} %"));
    held.fetch_one(&stage.pool).await.unwrap()
}
