//! Counts what runs, apart from the queue. An attempt opens a connection to the test's own socket before its
//! work and is answered once it is counted; at the end of its work it says so and waits for the answer again. So
//! what is counted never lasts longer than the work, and a process that dies or drops a handler closes the
//! connection.
//!
//! What counts is an attempt whose lease stands. One that was taken from its worker (the worker was paused past its
//! lease and given up) is fenced: others may run in its place, although its process isn't aware of that yet.
//! When a start exceeds a limit, the database is asked whose leases stand, and what it says is no earlier than
//! the start: meanwhile no counted attempt can end, since its end waits for an answer, and no lease comes back.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinHandle;

/// What must not be exceeded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Most {
    pub(super) running: usize,
    pub(super) of_a_key: usize,
}

#[derive(Debug, Clone)]
struct Attempt {
    number: u64,
    job: i64,
    key: String,
    worker: String,
}

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Counts {
    running: Vec<Attempt>,
    pub(super) begun: u64,
    /// The most that ran at once, of all keys and of one.
    pub(super) most: usize,
    pub(super) most_of_a_key: usize,
    /// Starts that reached the limit of all.
    pub(super) full: u64,
    /// Keys that reached theirs.
    pub(super) full_keys: HashSet<String>,
    /// Attempts that went on after they were fenced, while others had their places.
    pub(super) fenced: usize,
    /// What must not be.
    pub(super) exceeded: Vec<String>,
}

impl Counts {
    fn of_key(&self, key: &str) -> usize {
        self.running.iter().filter(|attempt| attempt.key == key).count()
    }

    fn exceeds(&self, most: Most, key: &str) -> bool {
        self.running.len() > most.running || self.of_key(key) > most.of_a_key
    }
}

struct Shared {
    most: Most,
    pool: PgPool,
    counts: Mutex<Counts>,
}

/// Ends with this value.
pub(super) struct Census {
    shared: Arc<Shared>,
    folder: TempDir,
    task: JoinHandle<()>,
}

fn socket_in(folder: &TempDir) -> PathBuf {
    folder.path().join("census")
}

impl Census {
    /// `pool` leads to the database of the queue.
    pub(super) fn start(most: Most, pool: &PgPool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(socket_in(&folder)).unwrap();
        let shared = Arc::new(Shared {
            most,
            pool: pool.clone(),
            counts: Mutex::default(),
        });
        let all = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&all);
                tokio::spawn(async move { shared.follow(stream).await });
            }
        });
        Self { shared, folder, task }
    }

    pub(super) fn socket(&self) -> PathBuf {
        socket_in(&self.folder)
    }

    pub(super) async fn counts(&self) -> MutexGuard<'_, Counts> {
        self.shared.counts.lock().await
    }
}

impl Drop for Census {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    /// Follows one attempt.
    async fn follow(&self, stream: UnixStream) {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        if !matches!(stream.read_line(&mut line).await, Ok(1..)) {
            return;
        }
        let mut words = line.trim_end().splitn(3, ' ').map(str::to_owned);
        let job = words.next().unwrap().parse().unwrap();
        let (key, worker) = (words.next().unwrap(), words.next().unwrap());
        let number = self.begin(job, key, worker).await;
        if stream.write_all(b"+").await.is_ok() {
            // Its word, or the end of its process.
            let _ = stream.read_u8().await;
        }
        let mut counts = self.counts.lock().await;
        counts.running.retain(|attempt| attempt.number != number);
        drop(counts);
        let _ = stream.write_all(b"-").await;
    }

    async fn begin(&self, job: i64, key: String, worker: String) -> u64 {
        let mut counts = self.counts.lock().await;
        counts.begun += 1;
        let number = counts.begun;
        counts.running.push(Attempt {
            number,
            job,
            key: key.clone(),
            worker,
        });
        if counts.exceeds(self.most, &key) {
            let standing = self.standing(&counts.running).await;
            let before = counts.running.len();
            counts
                .running
                .retain(|attempt| standing.contains(&attempt.number));
            counts.fenced += before - counts.running.len();
            if counts.exceeds(self.most, &key) {
                let seen = format!(
                    "{} ran at once, {} of {key}: {:?}",
                    counts.running.len(),
                    counts.of_key(&key),
                    counts.running
                );
                counts.exceeded.push(seen);
            }
        }
        counts.most = counts.most.max(counts.running.len());
        let of_key = counts.of_key(&key);
        counts.most_of_a_key = counts.most_of_a_key.max(of_key);
        counts.full += u64::from(counts.running.len() == self.most.running);
        if of_key == self.most.of_a_key {
            counts.full_keys.insert(key);
        }
        number
    }

    /// Which of these have a lease that stands. Of two attempts of a job on one worker it is the later one's.
    async fn standing(&self, attempts: &[Attempt]) -> HashSet<u64> {
        let jobs: Vec<i64> = attempts.iter().map(|attempt| attempt.job).collect();
        let holders: HashMap<i64, String> = loop {
            let holders = sqlx::query_as(
                "select job.id, worker.name from queue.job
                join queue.worker as worker on worker.id = claimed_by where job.id = any($1)",
            );
            match holders.bind(&jobs).fetch_all(&self.pool).await {
                Ok(holders) => break holders.into_iter().collect(),
                // It has crashed just now.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        let held = |attempt: &&Attempt| holders.get(&attempt.job) == Some(&attempt.worker);
        let latest: HashMap<i64, u64> = attempts
            .iter()
            .filter(held)
            .map(|attempt| (attempt.job, attempt.number))
            .collect();
        latest.into_values().collect()
    }
}

/// Has an attempt counted while it works.
pub(super) async fn counted(
    socket: &Path,
    job: i64,
    key: &str,
    worker: &str,
    work: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let mut stream = UnixStream::connect(socket).await?;
    stream
        .write_all(format!("{job} {key} {worker}\n").as_bytes())
        .await?;
    stream.read_u8().await?;
    work.await;
    stream.write_all(b".").await?;
    stream.read_u8().await?;
    Ok(())
}
