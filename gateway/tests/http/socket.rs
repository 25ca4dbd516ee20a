//! The gateway over a real socket: slow, broken and oversized bodies, connections, draining.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gateway::{RateLimit, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::client::{LABELED, PATH, headers};
use crate::world::{World, settings};

struct Served {
    world: World,
    address: SocketAddr,
    server: JoinHandle<std::io::Result<()>>,
}

async fn serve(settings: Settings) -> Served {
    let world = World::new(settings);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(world.gateway.clone().serve(listener));
    Served {
        world,
        address,
        server,
    }
}

/// The head of a signed delivery with a body of this declared length.
fn head(id: &str, signed: &[u8], length: usize) -> String {
    let mut head = format!("POST {PATH} HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n");
    for (name, value) in headers(id, "issues", signed) {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    head + "\r\n"
}

async fn connect(served: &Served) -> TcpStream {
    TcpStream::connect(served.address).await.unwrap()
}

/// Reads one whole answer: its status and its text.
async fn answer(stream: &mut TcpStream) -> (u16, String) {
    let mut bytes = Vec::new();
    loop {
        let read = timeout(Duration::from_secs(20), stream.read_buf(&mut bytes))
            .await
            .expect("an answer")
            .unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            length.is_some_and(|length| body.len() >= length.parse().unwrap())
        });
        if whole || read == 0 {
            let status = text
                .split(' ')
                .nth(1)
                .and_then(|status| status.parse().ok())
                .unwrap_or(0);
            return (status, text);
        }
    }
}

async fn post(stream: &mut TcpStream, id: &str) -> u16 {
    stream
        .write_all(head(id, LABELED.as_bytes(), LABELED.len()).as_bytes())
        .await
        .unwrap();
    stream.write_all(LABELED.as_bytes()).await.unwrap();
    answer(stream).await.0
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_kept() {
    let served = serve(settings()).await;
    let mut stream = connect(&served).await;
    assert_eq!(post(&mut stream, "d-1").await, 202);
    assert_eq!(post(&mut stream, "d-1").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_is_408() {
    let served = serve(Settings {
        body_read_timeout_ms: 200,
        ..settings()
    })
    .await;
    let mut stream = connect(&served).await;
    stream
        .write_all(head("d-1", LABELED.as_bytes(), LABELED.len()).as_bytes())
        .await
        .unwrap();
    stream.write_all(&LABELED.as_bytes()[..10]).await.unwrap();
    let (status, text) = answer(&mut stream).await;
    assert_eq!(status, 408, "{text}");
    assert!(
        text.contains("body_slow") && text.contains("application/problem+json"),
        "{text}"
    );
    assert!(served.world.inbox.accepted().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_head_is_cut_off() {
    let served = serve(Settings {
        header_read_timeout_ms: 200,
        ..settings()
    })
    .await;
    let mut stream = connect(&served).await;
    stream
        .write_all(b"POST /api/v1/webhooks/github HTTP/1.1\r\nhost: te")
        .await
        .unwrap();
    let mut rest = Vec::new();
    let end = timeout(Duration::from_secs(5), stream.read_to_end(&mut rest))
        .await
        .expect("the connection ends");
    assert!(
        end.is_err() || rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"),
        "{rest:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_body_is_not_stored() {
    let served = serve(settings()).await;
    let mut stream = connect(&served).await;
    stream
        .write_all(head("d-1", LABELED.as_bytes(), LABELED.len() + 100).as_bytes())
        .await
        .unwrap();
    stream.write_all(LABELED.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let (status, text) = answer(&mut stream).await;
    assert_eq!(status, 400, "{text}");
    assert!(text.contains("body_incomplete"), "{text}");
    assert!(served.world.inbox.accepted().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversized_body_is_413_even_to_a_sender_that_writes_it_all_first() {
    let served = serve(Settings {
        max_body_bytes: 1024 * 1024,
        ..settings()
    })
    .await;
    let body = vec![b' '; 12 * 1024 * 1024];
    let mut declared = connect(&served).await;
    declared
        .write_all(head("d-1", &body, body.len()).as_bytes())
        .await
        .unwrap();
    declared.write_all(&body).await.unwrap();
    let (status, text) = answer(&mut declared).await;
    assert_eq!(status, 413, "{text}");
    assert!(text.contains("body_too_large"), "{text}");

    let mut chunked = connect(&served).await;
    let head = head("d-2", &body, 0).replace("content-length: 0", "transfer-encoding: chunked");
    chunked.write_all(head.as_bytes()).await.unwrap();
    chunked
        .write_all(format!("{:x}\r\n", body.len()).as_bytes())
        .await
        .unwrap();
    chunked.write_all(&body).await.unwrap();
    chunked.write_all(b"\r\n0\r\n\r\n").await.unwrap();
    let (status, text) = answer(&mut chunked).await;
    assert_eq!(status, 413, "{text}");
    assert!(served.world.inbox.accepted().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_asks_for_leave_is_refused_before_it_sends() {
    let served = serve(Settings {
        max_body_bytes: 1024 * 1024,
        ..settings()
    })
    .await;
    let mut stream = connect(&served).await;
    let head = head("d-1", b"", 12 * 1024 * 1024).replace("host: test", "host: test\r\nexpect: 100-continue");
    stream.write_all(head.as_bytes()).await.unwrap();
    let (status, text) = answer(&mut stream).await;
    assert_eq!(status, 413, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_is_the_source() {
    let limit = RateLimit {
        per_second: 1,
        burst: 1,
    };
    let served = serve(Settings {
        rate_limit: limit,
        ..settings()
    })
    .await;
    let mut first = connect(&served).await;
    assert_eq!(post(&mut first, "d-1").await, 202);
    let mut second = connect(&served).await;
    assert_eq!(post(&mut second, "d-2").await, 429);
    // 127.0.0.0/8 is all ours on Linux: another address, another source.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = socket.connect(served.address).await.unwrap();
    assert_eq!(post(&mut other, "d-3").await, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_bounded() {
    let served = serve(Settings {
        max_connections: 1,
        ..settings()
    })
    .await;
    let mut first = connect(&served).await;
    assert_eq!(post(&mut first, "d-1").await, 202);
    let mut second = connect(&served).await;
    let mut waiting = tokio::spawn(async move { post(&mut second, "d-2").await });
    assert!(
        timeout(Duration::from_millis(300), &mut waiting).await.is_err(),
        "waits for room"
    );
    drop(first);
    assert_eq!(waiting.await.unwrap(), 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_finishes_what_is_in_flight() {
    let served = serve(settings()).await;
    served.world.inbox.delay_by(Duration::from_millis(500));
    let mut busy = connect(&served).await;
    let mut idle = connect(&served).await;
    assert_eq!(post(&mut idle, "d-0").await, 202);
    let in_flight = tokio::spawn(async move { post(&mut busy, "d-1").await });
    sleep(Duration::from_millis(150)).await;
    served.world.shutdown.cancel();
    assert_eq!(in_flight.await.unwrap(), 202);
    timeout(Duration::from_secs(2), served.server)
        .await
        .expect("drained")
        .unwrap()
        .unwrap();
    assert_eq!(
        idle.read(&mut [0; 16]).await.unwrap(),
        0,
        "the idle connection is closed"
    );
    assert!(
        TcpStream::connect(served.address).await.is_err(),
        "nobody listens any more"
    );
    assert_eq!(served.world.inbox.accepted().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lame_duck_serves_but_is_not_ready() {
    let served = serve(Settings {
        lame_duck_ms: 1_000,
        ..settings()
    })
    .await;
    served.world.shutdown.cancel();
    let mut stream = connect(&served).await;
    stream
        .write_all(b"GET /readyz HTTP/1.1\r\nhost: test\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(answer(&mut stream).await.0, 503);
    assert_eq!(post(&mut stream, "d-1").await, 202);
    drop(stream);
    timeout(Duration::from_secs(5), served.server)
        .await
        .expect("drained")
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_grace_period_has_an_end() {
    let served = serve(Settings {
        grace_period_ms: 300,
        ..settings()
    })
    .await;
    served.world.inbox.delay_by(Duration::from_secs(9));
    let mut busy = connect(&served).await;
    let in_flight = tokio::spawn(async move {
        busy.write_all(head("d-1", LABELED.as_bytes(), LABELED.len()).as_bytes())
            .await
            .unwrap();
        busy.write_all(LABELED.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        // Cut off or reset: either way no answer.
        let _ = busy.read_to_end(&mut bytes).await;
        bytes
    });
    sleep(Duration::from_millis(100)).await;
    let begun = Instant::now();
    served.world.shutdown.cancel();
    timeout(Duration::from_secs(3), served.server)
        .await
        .expect("drained")
        .unwrap()
        .unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert!(in_flight.await.unwrap().is_empty());
}
