//! Enqueue outside of any transaction of the caller's: what is sent at the same time shares a commit.

use std::sync::{Arc, Mutex, PoisonError};

use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use tokio::sync::{OwnedMutexGuard, oneshot};

use crate::{Enqueued, Error, NewJob, Queue};

/// The most jobs that share a commit.
const TOGETHER: usize = 1_000;

/// Where jobs wait while others are committed.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: Mutex<Vec<Sent>>,
    /// Whose turn it is to commit what waits.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
struct Sent {
    job: NewJob,
    answer: oneshot::Sender<Result<Enqueued, Error>>,
}

impl Outbox {
    fn push(&self, sent: Sent) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push(sent);
    }

    fn take(&self) -> Vec<Sent> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever went away before its turn came doesn't find its job sent at some later time.
        waiting.retain(|sent| !sent.answer.is_closed());
        let count = waiting.len().min(TOGETHER);
        waiting.drain(..count).collect()
    }
}

impl Queue {
    /// Enqueues a job in a transaction of the queue's own, on a connection of its pool, and answers when that is
    /// committed. Jobs that are sent while another commit is under way, by whatever task of the process, share
    /// the next one: a hundred senders don't wait for a hundred commits. A job that the database refuses spoils
    /// nobody else's. One with a unique key, or that waits for others, goes by itself: it may have to wait for
    /// somebody's open transaction, and nobody else is to wait with it.
    ///
    /// A caller that stops waiting may have sent the job nonetheless. Where the connection is lost at the commit
    /// the error leaves open whether the job is there: give it a unique key if it is to be sent again.
    pub async fn send(&self, job: NewJob) -> Result<Enqueued, Error> {
        if job.unique.is_some() || !job.after.is_empty() {
            return self.enqueue(&mut *self.pool().acquire().await?, job).await;
        }
        job.check()?;
        self.prepare(&job.queue, &job.kind).await?;
        let (answer, mut answered) = oneshot::channel();
        let outbox = &self.inner.outbox;
        outbox.push(Sent { job, answer });
        loop {
            tokio::select! {
                biased;
                answer = &mut answered => {
                    return answer.unwrap_or_else(|_| Err(Error::Invalid("the program ended before the commit".into())));
                }
                turn = Arc::clone(&outbox.turn).lock_owned() => {
                    // On a task of its own: a caller that goes away takes nobody else's job with it.
                    tokio::spawn(self.clone().commit_all(turn));
                }
            }
        }
    }

    /// Commits what waits until nothing does.
    async fn commit_all(self, turn: OwnedMutexGuard<()>) {
        let mut conn = None;
        loop {
            let sent = self.inner.outbox.take();
            if sent.is_empty() {
                break;
            }
            self.commit(&mut conn, sent).await;
            // Those who were answered just now, and send again at once, are to be in the next commit.
            tokio::task::yield_now().await;
        }
        drop(turn);
    }

    async fn commit(&self, conn: &mut Option<PoolConnection<Postgres>>, sent: Vec<Sent>) {
        let (jobs, answers): (Vec<_>, Vec<_>) = sent.into_iter().map(|sent| (sent.job, sent.answer)).unzip();
        // Whether an answer is still waited for doesn't matter to any of these.
        match self.enqueue_together(conn, jobs.clone()).await {
            Ok(enqueued) => {
                for (answer, enqueued) in answers.into_iter().zip(enqueued) {
                    let _ = answer.send(Ok(enqueued));
                }
            }
            // The server refused, so nothing was committed: who is to blame shows when each goes by itself.
            Err(Error::Database(sqlx::Error::Database(_))) if jobs.len() > 1 => {
                for (job, answer) in jobs.into_iter().zip(answers) {
                    let alone = self.enqueue_together(conn, vec![job]).await;
                    let _ = answer.send(alone.map(|enqueued| enqueued[0]));
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                for answer in answers {
                    let _ = answer.send(Err(Error::Together(Arc::clone(&error))));
                }
            }
        }
    }

    /// On `conn`, which is kept while it works.
    async fn enqueue_together(
        &self,
        conn: &mut Option<PoolConnection<Postgres>>,
        jobs: Vec<NewJob>,
    ) -> Result<Vec<Enqueued>, Error> {
        let mut working = match conn.take() {
            Some(working) => working,
            None => self.pool().acquire().await?,
        };
        let enqueued = self.enqueue_many(&mut working, jobs).await?;
        *conn = Some(working);
        Ok(enqueued)
    }
}
