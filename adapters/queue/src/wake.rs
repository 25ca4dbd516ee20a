//! Listens for wakes, and passes them to the fetchers of this process.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// The channel; its payload is a queue's number, or a word for the heartbeats: `cancel`, `drain`.
pub(crate) const CHANNEL: &str = "codex_k8s_queue";
/// Silence after which the connection is put to the test.
const SILENCE: Duration = Duration::from_secs(3);
/// How long the test may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// Before a lost connection is made anew.
const AGAIN: Duration = Duration::from_millis(500);

/// Where each queue's fetcher, and the heartbeat, wait.
#[derive(Debug)]
pub(crate) struct Wakes {
    queues: HashMap<i16, Arc<Notify>>,
    pub(crate) heartbeat: Arc<Notify>,
}

impl Wakes {
    pub(crate) fn new(queue_ids: &[i16]) -> Self {
        let queues = queue_ids.iter().map(|id| (*id, Arc::default())).collect();
        Self {
            queues,
            heartbeat: Arc::default(),
        }
    }

    /// Where the fetcher of this queue waits.
    pub(crate) fn fetcher(&self, queue_id: i16) -> Arc<Notify> {
        self.queues.get(&queue_id).cloned().unwrap_or_default()
    }

    pub(crate) fn wake(&self, queue_id: i16) {
        if let Some(fetcher) = self.queues.get(&queue_id) {
            fetcher.notify_one();
        }
    }

    fn wake_all(&self) {
        self.queues.values().for_each(|fetcher| fetcher.notify_one());
        self.heartbeat.notify_one();
    }

    fn hear(&self, payload: &str) {
        match payload.parse() {
            Ok(queue_id) => self.wake(queue_id),
            Err(_) => self.heartbeat.notify_one(),
        }
    }
}

/// Listens until `stop`. A connection that has died in silence is noticed within 4 s. While none is there,
/// the fetchers' poll carries on.
pub(crate) async fn listen(pool: PgPool, wakes: Arc<Wakes>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let heard = tokio::select! {
            heard = hear(&pool, &wakes) => heard,
            () = stop.cancelled() => return,
        };
        if let Err(error) = heard {
            metrics::counter!("codex_k8s_queue_errors_total", "task" => "listener").increment(1);
            tracing::warn!(%error, "listener lost, polling until it is back");
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn hear(pool: &PgPool, wakes: &Wakes) -> Result<(), sqlx::Error> {
    let late = || sqlx::Error::Io(std::io::Error::from(std::io::ErrorKind::TimedOut));
    let mut listener = timeout(Duration::from_secs(5), PgListener::connect_with(pool))
        .await
        .map_err(|_| late())??;
    // A lost connection must be seen here: what was notified in between has to be looked for.
    listener.eager_reconnect(false);
    timeout(Duration::from_secs(5), listener.listen(CHANNEL))
        .await
        .map_err(|_| late())??;
    wakes.wake_all();
    loop {
        match timeout(SILENCE, listener.try_recv()).await {
            Ok(Ok(Some(notification))) => wakes.hear(notification.payload()),
            Ok(Ok(None)) => return Err(sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into())),
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                let test = sqlx::query("select 1").execute(&mut listener);
                timeout(ANSWER_WITHIN, test).await.map_err(|_| late())??;
            }
        }
    }
}
