//! Enqueue outside of any transaction of the caller's: what is sent at the same time shares a commit.

use std::sync::{Arc, Mutex, PoisonError};

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
        let count = waiting.len().min(TOGETHER);
        waiting.drain(..count).collect()
    }
}

impl Queue {
    /// Enqueues a job in a transaction of the queue's own, on a connection of its pool, and answers when that is
    /// committed. Jobs that are sent while another commit is under way, by whatever task of the process, share
    /// the next one: a hundred senders don't wait for a hundred commits. A job that the database refuses spoils
    /// nobody else's.
    ///
    /// A caller that stops waiting may have sent the job nonetheless. Where the connection is lost at the commit
    /// the error leaves open whether the job is there: give it a unique key if it is to be sent again.
    pub async fn send(&self, job: NewJob) -> Result<Enqueued, Error> {
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
                    let sent = outbox.take();
                    if !sent.is_empty() {
                        // On a task of its own: a caller that goes away takes nobody else's job with it.
                        tokio::spawn(self.clone().commit(sent, turn));
                    }
                }
            }
        }
    }

    async fn commit(self, sent: Vec<Sent>, turn: OwnedMutexGuard<()>) {
        let (jobs, answers): (Vec<_>, Vec<_>) = sent.into_iter().map(|sent| (sent.job, sent.answer)).unzip();
        match self.enqueue_together(jobs.clone()).await {
            Ok(enqueued) => {
                for (answer, enqueued) in answers.into_iter().zip(enqueued) {
                    // One that no longer waits needs no answer.
                    let _ = answer.send(Ok(enqueued));
                }
            }
            // The server refused, so nothing was committed: who is to blame shows when each goes by itself.
            Err(Error::Database(sqlx::Error::Database(_))) if jobs.len() > 1 => {
                for (job, answer) in jobs.into_iter().zip(answers) {
                    let _ = answer.send(self.enqueue_alone(job).await);
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                for answer in answers {
                    let _ = answer.send(Err(Error::Together(Arc::clone(&error))));
                }
            }
        }
        // Those who were answered just now, and send again at once, are to be in the next commit.
        tokio::task::yield_now().await;
        drop(turn);
    }

    async fn enqueue_together(&self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>, Error> {
        if let [job] = jobs.as_slice() {
            return Ok(vec![self.enqueue_alone(job.clone()).await?]);
        }
        let mut conn = self.pool().acquire().await?;
        self.enqueue_many(&mut conn, jobs).await
    }

    async fn enqueue_alone(&self, job: NewJob) -> Result<Enqueued, Error> {
        let mut conn = self.pool().acquire().await?;
        self.enqueue(&mut conn, job).await
    }
}
