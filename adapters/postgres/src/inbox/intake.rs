//! Gathers deliveries into batches. No task waits for them: the first to come spawns a writer, which goes on
//! as long as there is something to write.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::delivery::{Accepted, NewDelivery};
use domain::port::PortError;
use sqlx::PgPool;
use tokio::sync::oneshot;

use super::write::{Offer, write};
use crate::error::DATABASE;

/// Writers at once: while some wait for the disk, others prepare the next batch. Two leave the disk idle at times,
/// eight cut the batches too small.
const WRITERS: usize = 2;
/// Deliveries in a batch at most.
const BATCH: usize = 64;
/// Packed bytes in a batch at most, unless a single delivery has more.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// Packed bytes that may wait; more are refused, because the database doesn't keep up.
const WAITING_BYTES: usize = 256 * 1024 * 1024;

/// The way in for deliveries; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Intake {
    pool: PgPool,
    line: Arc<Mutex<Line>>,
}

#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    writers: usize,
}

#[derive(Debug)]
struct Waiting {
    offer: Offer,
    answer: oneshot::Sender<Result<Accepted, PortError>>,
}

impl Intake {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self {
            pool,
            line: Arc::default(),
        }
    }

    /// Answers when the delivery is committed or known. A caller that gives up doesn't take its delivery
    /// back: it may be written all the same, and is a duplicate when it comes again.
    pub(crate) async fn accept(&self, delivery: NewDelivery) -> Result<Accepted, PortError> {
        let offer = Offer::new(delivery);
        let (answer, answered) = oneshot::channel();
        if self.queue_up(Waiting { offer, answer })? {
            let writer = Writer {
                intake: self.clone(),
                left: false,
            };
            tokio::spawn(async move { writer.run().await });
        }
        answered
            .await
            .unwrap_or_else(|_| Err(unavailable("the delivery's writer ended early")))
    }

    /// Puts the offer in line; `true` if the caller is to start a writer.
    fn queue_up(&self, waiting: Waiting) -> Result<bool, PortError> {
        let mut line = self.line();
        if line.bytes > WAITING_BYTES {
            return Err(unavailable("too many deliveries wait to be written"));
        }
        line.bytes += waiting.offer.size();
        line.waiting.push_back(waiting);
        let start = line.writers < WRITERS;
        if start {
            line.writers += 1;
        }
        Ok(start)
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        // Nothing panics while it holds the lock; were it so, the line would still be sound.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// The next batch, without two of the same identifier: the later one waits for the next.
    fn next_batch(&mut self) -> Vec<Waiting> {
        let mut batch: Vec<Waiting> = Vec::new();
        let mut put_off = VecDeque::new();
        let mut bytes = 0;
        while batch.len() < BATCH
            && let Some(waiting) = self.waiting.pop_front()
        {
            let size = waiting.offer.size();
            if batch.iter().any(|other| other.offer.id == waiting.offer.id) {
                put_off.push_back(waiting);
            } else if bytes + size > BATCH_BYTES && !batch.is_empty() {
                put_off.push_back(waiting);
                break;
            } else {
                bytes += size;
                batch.push(waiting);
            }
        }
        put_off.append(&mut self.waiting);
        self.waiting = put_off;
        self.bytes -= bytes;
        batch
    }
}

/// A running writer; its place is free again when it ends, also by a panic.
struct Writer {
    intake: Intake,
    left: bool,
}

impl Writer {
    /// The next batch. Where there is none, the writer gives up its place under the same lock, so that
    /// whoever comes next starts another.
    fn next_batch(&mut self) -> Option<Vec<Waiting>> {
        let mut line = self.intake.line();
        let batch = line.next_batch();
        if batch.is_empty() {
            line.writers -= 1;
            self.left = true;
            return None;
        }
        Some(batch)
    }

    async fn run(mut self) {
        loop {
            let Some(batch) = self.next_batch() else { return };
            let (offers, answers): (Vec<_>, Vec<_>) = batch.into_iter().map(|w| (w.offer, w.answer)).unzip();
            for (answer, outcome) in answers.into_iter().zip(write(&self.intake.pool, &offers).await) {
                // The caller may have gone; what was written stays written.
                let _ = answer.send(outcome);
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.left {
            self.intake.line().writers -= 1;
        }
    }
}

fn unavailable(reason: &str) -> PortError {
    PortError::Unavailable {
        part: DATABASE,
        reason: reason.to_owned(),
        retry_after_ms: Some(1_000),
    }
}
