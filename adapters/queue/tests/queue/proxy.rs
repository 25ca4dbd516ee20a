//! A TCP proxy in front of the database that breaks connections: all of them at once, or each as soon as the
//! server has answered, so that what was carried out and committed is never heard of, or one that carries a worker's
//! heartbeat, which hangs while the worker's others go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

#[derive(Default)]
struct Faults {
    cut: Notify,
    to_swallow: AtomicUsize,
    cuts: AtomicUsize,
    swallowed: AtomicUsize,
    to_mute: AtomicUsize,
    muted: AtomicUsize,
    unmute: Notify,
}

/// Ends with this value.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    faults: Arc<Faults>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// In front of this port of 127.0.0.1.
    pub(crate) async fn start(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let faults = Arc::new(Faults::default());
        let shared = Arc::clone(&faults);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let faults = Arc::clone(&shared);
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await {
                        relay(client, server, &faults).await;
                    }
                });
            }
        });
        Self { port, faults, task }
    }

    /// Cuts every connection, whatever is under way on it.
    pub(crate) fn cut(&self) {
        self.faults.cut.notify_waiters();
    }

    /// Swallows the next so many answers, and cuts their connections.
    pub(crate) fn swallow(&self, answers: usize) {
        self.faults.to_swallow.store(answers, Ordering::Relaxed);
    }

    /// Lets the next heartbeat hang, with its connection, until [`Proxy::unmute`]. Returns once it does.
    pub(crate) async fn mute_a_heartbeat(&self) {
        let before = self.faults.muted.load(Ordering::Relaxed);
        self.faults.to_mute.store(1, Ordering::Relaxed);
        while self.faults.muted.load(Ordering::Relaxed) == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Lets heartbeats through again.
    pub(crate) fn unmute(&self) {
        self.faults.unmute.notify_waiters();
    }

    /// How many connections were cut and answers swallowed.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let faults = &self.faults;
        (
            faults.cuts.load(Ordering::Relaxed),
            faults.swallowed.load(Ordering::Relaxed),
        )
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.cut();
    }
}

/// What a heartbeat's connection says of itself when it is made.
const HEARTBEAT: &[u8] = b"codex-k8s queue heartbeat";

async fn relay(mut client: TcpStream, mut server: TcpStream, faults: &Faults) {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let answers = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let Ok(length @ 1..) = from_server.read(&mut buffer).await else {
                return;
            };
            let fewer = |left: usize| left.checked_sub(1);
            let swallow = faults
                .to_swallow
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer);
            if swallow.is_ok() {
                faults.swallowed.fetch_add(1, Ordering::Relaxed);
                return;
            }
            if to_client.write_all(&buffer[..length]).await.is_err() {
                return;
            }
        }
    };
    let questions = async {
        let mut buffer = vec![0; 64 * 1024];
        let mut heartbeat = false;
        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
            let said = &buffer[..length];
            let fewer = |left: usize| left.checked_sub(1);
            if heartbeat
                && faults
                    .to_mute
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer)
                    .is_ok()
            {
                let unmute = faults.unmute.notified();
                faults.muted.fetch_add(1, Ordering::Relaxed);
                unmute.await;
            }
            heartbeat |= said.windows(HEARTBEAT.len()).any(|part| part == HEARTBEAT);
            if to_server.write_all(said).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = questions => {}
        () = answers => {}
        () = faults.cut.notified() => {
            faults.cuts.fetch_add(1, Ordering::Relaxed);
        }
    }
}
