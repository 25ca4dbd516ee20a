//! A TCP proxy in front of the database that breaks connections: all of them at once, or each as soon as the
//! server has answered, so that what was carried out and committed is never heard of.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
    tokio::select! {
        _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
        () = answers => {}
        () = faults.cut.notified() => {
            faults.cuts.fetch_add(1, Ordering::Relaxed);
        }
    }
}
