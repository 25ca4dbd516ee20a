//! A first job, enqueued in the transaction that it belongs to, and a worker that runs it:
//! `DATABASE_URL=postgres://... cargo run -p codex-k8s-queue --example first_job`, Ctrl-C ends it.

use queue::{Job, JobError, Kind, NewJob, Outcome, Policy, Queue, Registry, Worker, WorkerOptions};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

#[derive(Serialize, Deserialize)]
struct Welcome {
    user: String,
}

impl Kind for Welcome {
    type Context = ();
    const NAME: &'static str = "user.welcome";

    fn policy() -> Policy {
        Policy {
            max_attempts: 5,
            ..Policy::default()
        }
    }

    async fn run(job: Job<Self>, _context: ()) -> Result<Outcome, JobError> {
        println!("attempt {} to welcome {}", job.attempt, job.args.user);
        Ok(Outcome::Done)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = sqlx::PgPool::connect(&std::env::var("DATABASE_URL")?).await?;
    queue::migrate(&pool).await?;
    let queue = Queue::new(pool.clone());

    let mut tx = pool.begin().await?;
    // Whatever the caller writes here commits together with the job, or not at all.
    let welcome = Welcome { user: "ada".into() };
    queue.enqueue(&mut tx, NewJob::of(&welcome)?).await?;
    tx.commit().await?;

    let registry = Registry::new().register::<Welcome>();
    let shutdown = CancellationToken::new();
    let worker = Worker::new(queue, registry, (), WorkerOptions::default()).run(shutdown.clone());
    tokio::spawn(async move {
        let _ = tokio::signal::ctrl_c().await;
        shutdown.cancel();
    });
    worker.await?;
    Ok(())
}
