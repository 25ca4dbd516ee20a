//! Back-pressure: how many deliveries wait for a worker, asked at most once a second and never on a
//! request's own time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::port::Inbox;
use tokio::time::{Instant, timeout};

use crate::metrics::WEBHOOK_BACKLOG;

const ASK_EVERY: Duration = Duration::from_secs(1);
/// Shorter than [`ASK_EVERY`], so that two questions never overlap.
const ASK_TIMEOUT: Duration = Duration::from_millis(900);
/// An older answer says nothing about now; without an answer webhooks are let through, the database itself
/// will say if it can't take them.
const BELIEVE_FOR: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
struct Reading {
    asked_at: Option<Instant>,
    answer: Option<(i64, Instant)>,
}

/// The last known backlog.
pub(crate) struct Backlog {
    inbox: Arc<dyn Inbox>,
    limit: i64,
    reading: Mutex<Reading>,
}

impl Backlog {
    pub(crate) fn new(inbox: Arc<dyn Inbox>, limit: i64) -> Self {
        Self {
            inbox,
            limit,
            reading: Mutex::default(),
        }
    }

    /// Whether new deliveries must be turned away. Must be called within a tokio runtime: when the last
    /// answer is old it has a task ask again, and doesn't wait for it.
    pub(crate) fn is_full(self: &Arc<Self>) -> bool {
        let now = Instant::now();
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        if reading
            .asked_at
            .is_none_or(|asked| now.duration_since(asked) >= ASK_EVERY)
        {
            reading.asked_at = Some(now);
            tokio::spawn(Arc::clone(self).ask());
        }
        reading
            .answer
            .is_some_and(|(waiting, at)| waiting > self.limit && now.duration_since(at) < BELIEVE_FOR)
    }

    async fn ask(self: Arc<Self>) {
        let answer = match timeout(ASK_TIMEOUT, self.inbox.backlog()).await {
            Ok(Ok(waiting)) => {
                metrics::gauge!(WEBHOOK_BACKLOG).set(waiting as f64);
                Some((waiting, Instant::now()))
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the backlog can't be read");
                None
            }
            Err(_) => {
                tracing::warn!(
                    timeout_ms = ASK_TIMEOUT.as_millis() as u64,
                    "reading the backlog takes too long"
                );
                None
            }
        };
        self.reading.lock().unwrap_or_else(PoisonError::into_inner).answer = answer;
    }
}

#[cfg(test)]
mod tests {
    use testkit::fake::inbox::FakeInbox;
    use tokio::time::advance;

    use super::*;

    async fn settle() {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn asked_at_most_once_a_second() {
        let inbox = Arc::new(FakeInbox::default());
        inbox.set_backlog(11);
        let backlog = Arc::new(Backlog::new(inbox.clone(), 10));
        assert!(!backlog.is_full(), "nothing is known yet");
        settle().await;
        for _ in 0..100 {
            assert!(backlog.is_full());
        }
        settle().await;
        assert_eq!(inbox.backlog_reads(), 1);
        inbox.set_backlog(10);
        advance(ASK_EVERY).await;
        assert!(backlog.is_full(), "the old answer until the new one is there");
        settle().await;
        assert!(!backlog.is_full());
        assert_eq!(inbox.backlog_reads(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_or_failed_answer_lets_through() {
        let inbox = Arc::new(FakeInbox::default());
        inbox.set_backlog(11);
        let backlog = Arc::new(Backlog::new(inbox.clone(), 10));
        backlog.is_full();
        settle().await;
        assert!(backlog.is_full());
        advance(BELIEVE_FOR).await;
        assert!(!backlog.is_full(), "too old");
        settle().await;
        assert!(backlog.is_full());
        inbox.fail_with_unavailable(true);
        advance(ASK_EVERY).await;
        backlog.is_full();
        settle().await;
        assert!(!backlog.is_full(), "unknown");
    }
}
