//! Who is connected, and the task that looks for them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::live::Watched;
use domain::port::ChangeFeed;
use domain::port::access::Principals;
use metrics::gauge;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::client::{Client, Subscription, WAITING, Wish};
use super::event::EndReason;
use super::look;
use super::recent::Recent;
use crate::metrics::STREAM_CLIENTS;
use crate::problem::{ApiError, catalogue};

/// How many may be connected.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Of one person.
    pub(crate) per_user: usize,
    /// Of all.
    pub(crate) whole: usize,
}

#[derive(Default)]
pub(super) struct Connected {
    pub(super) clients: BTreeMap<u64, Client>,
    pub(super) recent: Recent,
    last_id: u64,
    is_looking: bool,
}

/// One per gateway.
pub(crate) struct Hub {
    pub(super) feed: Arc<dyn ChangeFeed>,
    pub(super) principals: Arc<dyn Principals>,
    pub(super) shutdown: CancellationToken,
    /// Somebody came: there is somebody to greet.
    pub(super) came: Notify,
    limits: Limits,
    connected: Mutex<Connected>,
}

impl Hub {
    pub(crate) fn new(
        feed: Arc<dyn ChangeFeed>,
        principals: Arc<dyn Principals>,
        limits: Limits,
        shutdown: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            feed,
            principals,
            shutdown,
            came: Notify::new(),
            limits,
            connected: Mutex::default(),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Connected> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects. The first one sets the hub to work.
    pub(crate) fn join(self: &Arc<Self>, wish: Wish) -> Result<Subscription, ApiError> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let mut connected = self.lock();
        // Looked at under the lock: the task that ends all streams takes it afterwards.
        if self.shutdown.is_cancelled() {
            return Err(catalogue::NOT_READY
                .with("this gateway stops; connect again")
                .retry_after_s(1));
        }
        if connected.clients.len() >= self.limits.whole {
            return Err(catalogue::STREAMS_FULL
                .with(format!(
                    "{} streams are open here, which is all there may be",
                    self.limits.whole
                ))
                .retry_after_s(10));
        }
        let user = wish.principal.user;
        let own = connected
            .clients
            .values()
            .filter(|client| client.user == user)
            .count();
        if own >= self.limits.per_user {
            return Err(catalogue::TOO_MANY_STREAMS
                .with(format!(
                    "you have {own} streams open here, which is all one may have: close some"
                ))
                .retry_after_s(10));
        }
        connected.last_id += 1;
        let id = connected.last_id;
        connected.clients.insert(id, Client::new(wish, sender));
        gauge!(STREAM_CLIENTS).set(connected.clients.len() as f64);
        if !connected.is_looking {
            connected.is_looking = true;
            tokio::spawn(look::look_on(Arc::clone(self)));
        }
        self.came.notify_one();
        Ok(Subscription {
            hub: Arc::clone(self),
            id,
            receiver,
            taken: [].into(),
        })
    }

    pub(super) fn leave(&self, id: u64) {
        let mut connected = self.lock();
        connected.clients.remove(&id);
        gauge!(STREAM_CLIENTS).set(connected.clients.len() as f64);
    }

    /// What is open beyond the lists; `None` if nobody is there any more, and then the work ends.
    pub(super) fn watched(&self) -> Option<Watched> {
        let mut connected = self.lock();
        if connected.clients.is_empty() {
            connected.is_looking = false;
            connected.recent = Recent::default();
            return None;
        }
        Some(Watched {
            jobs: connected
                .clients
                .values()
                .filter_map(|client| client.job)
                .collect(),
            runs: connected
                .clients
                .values()
                .filter_map(|client| client.run)
                .collect(),
        })
    }

    /// Ends all streams, because the gateway stops.
    pub(super) fn end_all(&self) {
        for client in self.lock().clients.values_mut() {
            client.end(EndReason::Shutdown);
        }
        self.give_up();
    }

    /// Ends all streams without a word.
    pub(super) fn give_up(&self) {
        let mut connected = self.lock();
        connected.clients.clear();
        connected.recent = Recent::default();
        connected.is_looking = false;
        gauge!(STREAM_CLIENTS).set(0.0);
    }
}
