//! The socket's side: accepts connections, bounds their number and their time, and drains at the end.
//!
//! Our own loop around hyper, since `axum::serve` bounds neither the time for a request's head nor the
//! number of connections, and waits without end for those that never finish.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use crate::console;
use crate::settings::Settings;

/// After a failed accept (no file descriptors left, most likely).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown`, then drains; see [`crate::Gateway::serve`].
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    settings: &Settings,
    shutdown: &CancellationToken,
) -> std::io::Result<()> {
    let console = console::is_built_in();
    info!(address = %listener.local_addr()?, console, "serving");
    if !console {
        info!("this gateway was built without the staff console: `make console` builds it in");
    }
    let connections = TaskTracker::new();
    let server = Server {
        router,
        header_read_timeout: Duration::from_millis(settings.header_read_timeout_ms),
        room: Arc::new(Semaphore::new(settings.max_connections)),
        draining: CancellationToken::new(),
        cut: CancellationToken::new(),
    };
    tokio::select! {
        () = server.accept(&listener, &connections) => {}
        () = stop_accepting(shutdown, Duration::from_millis(settings.lame_duck_ms)) => {}
    }
    drop(listener);
    server.draining.cancel();
    connections.close();
    let grace_period = Duration::from_millis(settings.grace_period_ms);
    info!(
        connections = connections.len(),
        grace_period_ms = settings.grace_period_ms,
        "draining"
    );
    if timeout(grace_period, connections.wait()).await.is_err() {
        warn!(
            connections = connections.len(),
            "the grace period is over: cutting connections off"
        );
        server.cut.cancel();
        connections.wait().await;
    }
    info!("drained");
    Ok(())
}

async fn stop_accepting(shutdown: &CancellationToken, lame_duck: Duration) {
    shutdown.cancelled().await;
    sleep(lame_duck).await;
}

struct Server {
    router: Router,
    header_read_timeout: Duration,
    room: Arc<Semaphore>,
    draining: CancellationToken,
    cut: CancellationToken,
}

impl Server {
    /// Accepts without end.
    async fn accept(&self, listener: &TcpListener, connections: &TaskTracker) {
        loop {
            let Ok(room) = Arc::clone(&self.room).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let connection = self.connection(stream, peer);
                    connections.spawn(async move {
                        connection.await;
                        drop(room);
                    });
                }
                Err(error) => {
                    debug!(%error, "a connection can't be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Serves one connection until it ends, is drained or cut off.
    fn connection(&self, stream: TcpStream, peer: SocketAddr) -> impl Future<Output = ()> + use<> {
        let router = self.router.clone();
        let (draining, cut) = (self.draining.clone(), self.cut.clone());
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.header_read_timeout);
        async move {
            // Answers are small and written at once: waiting for more would only delay them.
            if let Err(error) = stream.set_nodelay(true) {
                debug!(%error, "TCP_NODELAY can't be set");
            }
            let service = service_fn(move |mut request: hyper::Request<Incoming>| {
                request.extensions_mut().insert(ConnectInfo(peer));
                answer(router.clone(), request)
            });
            let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = draining.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    tokio::select! {
                        ended = connection => ended,
                        () = cut.cancelled() => return,
                    }
                }
            };
            if let Err(error) = ended {
                debug!(%error, %peer, "a connection broke");
            }
        }
    }
}

async fn answer(
    mut router: Router,
    request: hyper::Request<Incoming>,
) -> Result<axum::response::Response, Infallible> {
    use tower::Service;
    // A router is always ready.
    router.call(request.map(Body::new)).await
}
