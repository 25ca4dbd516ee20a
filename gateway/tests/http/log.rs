//! What the log says: one line per request, that of people and errors at INFO and above, webhooks below; the
//! cause of an error and nothing secret.

use std::cell::RefCell;
use std::io::Write;
use std::sync::Once;

use axum::http::Method;

use crate::client::{LABELED, delivery, post};
use crate::world::{SECRET, TOKEN, World, world};

thread_local! {
    static SAID: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What is said at any level on this test's thread, where its whole gateway runs. One subscriber for the process:
/// those of single threads take from each other what `tracing` remembers about who listens.
struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        SAID.with_borrow_mut(|said| said.write(bytes))
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn listen() {
        static LISTENS: Once = Once::new();
        LISTENS.call_once(|| {
            tracing_subscriber::fmt()
                .with_max_level(tracing::Level::TRACE)
                .with_ansi(false)
                .with_writer(|| Log)
                .init();
        });
        SAID.take();
    }

    /// The lines since last asked.
    fn all_lines() -> Vec<String> {
        let text = String::from_utf8(SAID.take()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// Those that an operator gets who asks for INFO.
    fn lines() -> Vec<String> {
        let mut lines = Self::all_lines();
        lines.retain(|line| {
            [" INFO ", " WARN ", "ERROR "]
                .iter()
                .any(|level| line.contains(level))
        });
        lines
    }
}

/// The one line that a request leaves.
async fn one(world: &World, request: axum::http::Request<axum::body::Body>) -> String {
    world.ask(request).await;
    let [line] = Log::lines().try_into().expect("one line");
    line
}

#[tokio::test]
async fn levels_and_causes() {
    Log::listen();
    let world = world();
    world.ask(delivery("d-1", "issues", LABELED)).await;
    world.get("/readyz").await;
    assert!(Log::lines().is_empty(), "nothing of what goes well and often");

    world.staff(Method::GET, "jobs").await;
    let [line] = Log::lines().try_into().expect("one line");
    for part in [
        " INFO ",
        "http.route=\"/api/v1/staff/jobs\"",
        "http.status=200",
        "duration_ms=",
        "request.id=",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }

    let line = one(&world, post(&[], LABELED)).await;
    assert!(
        line.contains(" INFO ") && line.contains("signature_missing"),
        "{line}"
    );

    world.inbox.fail_with_unavailable(true);
    let line = one(&world, delivery("d-2", "issues", LABELED)).await;
    for part in [" WARN ", "delivery.id=\"d-2\"", "connection refused by 10.0.0.1"] {
        assert!(line.contains(part), "{part} in {line}");
    }

    world.inbox.fail_with_unavailable(false);
    world.inbox.panic_on_accept(true);
    let line = one(&world, delivery("d-3", "issues", LABELED)).await;
    assert!(
        line.contains("ERROR ") && line.contains("panic: the fake was told to panic"),
        "{line}"
    );
}

#[tokio::test]
async fn nothing_secret_at_any_level() {
    Log::listen();
    let world = world();
    world.ask(delivery("d-1", "issues", LABELED)).await;
    world.ask(delivery("d-1", "issues", "{}")).await;
    world.ask(post(&[], "a body of a stranger")).await;
    world.staff(Method::GET, "jobs").await;
    let lines = Log::all_lines();
    assert!(
        lines
            .iter()
            .any(|line| line.contains("DEBUG") && line.contains("delivery.id=\"d-1\"")),
        "{lines:#?}"
    );
    for secret in [SECRET, TOKEN, "sha256=", "run:dev", "a body of a stranger"] {
        assert!(
            !lines.iter().any(|line| line.contains(secret)),
            "{secret} in {lines:#?}"
        );
    }
}
