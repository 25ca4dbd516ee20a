//! What surrounds every request: ids, headers, problems, panics, health, metrics.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use gateway::{AccessPorts, Gateway, Ports, RateLimit, Settings, SettingsError, StaffPorts};
use serde_json::json;

use crate::client::{LABELED, PATH, delivery};
use crate::world::{World, settings, world};

#[tokio::test]
async fn no_start_without_a_secret() {
    let world = world();
    let ports = Ports {
        inbox: world.inbox.clone(),
        jobs: world.jobs.clone(),
        queues: world.queues.clone(),
        schedules: world.schedules.clone(),
        runs: world.runs.clone(),
        deliveries: world.deliveries.clone(),
        staff: StaffPorts::of(world.staff.clone()),
        changes: std::sync::Arc::new(world.changes.clone()),
        idempotent: std::sync::Arc::new(testkit::fake::idempotent::FakeIdempotentRequests::default()),
        access: AccessPorts::of(world.access.clone()),
        identity: None,
        setup: None,
    };
    let made = Gateway::new(
        Settings::new(vec![]),
        ports,
        world.recorder.handle(),
        world.shutdown.clone(),
    );
    assert_eq!(made.err(), Some(SettingsError::NoWebhookSecret));
}

#[tokio::test]
async fn security_headers_and_request_id_are_on_every_answer() {
    let world = world();
    for path in [
        "/healthz",
        "/readyz",
        "/metrics",
        "/api/v1/openapi.json",
        "/nowhere",
        PATH,
    ] {
        let answer = world.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert_eq!(answer.header("x-request-id").len(), 32, "{path}");
    }
    let with_id = |id: &str| {
        Request::get("/nowhere")
            .header("x-request-id", id)
            .body(Body::empty())
            .unwrap()
    };
    let kept = world.ask(with_id("my-id.1")).await;
    assert_eq!(kept.header("x-request-id"), "my-id.1");
    assert_eq!(kept.json()["request_id"], "my-id.1");
    assert_ne!(
        world.ask(with_id("no\tsane one")).await.header("x-request-id"),
        "no\tsane one"
    );
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let world = world();
    assert_eq!(world.get("/nowhere").await.code(404), "not_found");
    let answer = world.get(PATH).await;
    assert_eq!(answer.code(405), "method_not_allowed");
    assert_eq!(answer.header("allow"), "POST");
    let answer = world.staff(Method::DELETE, "jobs").await;
    assert_eq!(answer.code(405), "method_not_allowed");
    assert_eq!(answer.header("allow"), "GET,HEAD");
}

#[tokio::test]
async fn a_panic_is_a_problem() {
    let world = world();
    world.inbox.panic_on_accept(true);
    let (code, detail) = world.ask(delivery("d-1", "issues", LABELED)).await.problem(500);
    assert_eq!(code, "internal");
    assert!(!detail.contains("fake"), "{detail}");
    world.inbox.panic_on_accept(false);
    assert_eq!(
        world.ask(delivery("d-1", "issues", LABELED)).await.status,
        StatusCode::ACCEPTED
    );
}

#[tokio::test]
async fn health() {
    let world = world();
    assert_eq!(world.get("/healthz").await.json(), json!({"status": "alive"}));
    assert_eq!(world.get("/readyz").await.json(), json!({"status": "ready"}));
    world.shutdown.cancel();
    assert_eq!(world.get("/readyz").await.code(503), "not_ready");
    assert_eq!(world.get("/healthz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn not_ready_without_a_database() {
    let world = world();
    world.inbox.fail_with_unavailable(true);
    let (code, detail) = world.get("/readyz").await.problem(503);
    assert_eq!(code, "not_ready");
    assert!(!detail.contains("10.0.0.1"), "{detail}");
    assert_eq!(world.get("/healthz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn metrics_are_bounded_in_labels() {
    let world = world();
    let _guard = metrics::set_default_local_recorder(&world.recorder);
    for path in ["/nowhere/1", "/nowhere/2"] {
        world.get(path).await;
    }
    let odd = Request::builder()
        .method("BREW")
        .uri("/healthz")
        .body(Body::empty())
        .unwrap();
    assert_eq!(world.ask(odd).await.code(405), "method_not_allowed");
    world.staff(Method::GET, "jobs/1").await;
    world.staff(Method::GET, "jobs/2").await;
    let answer = world.get("/metrics").await;
    assert_eq!(
        answer.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    for line in [
        r#"codex_k8s_http_requests_total{route="unmatched",method="GET",status="404"} 2"#,
        r#"codex_k8s_http_requests_total{route="/healthz",method="other",status="405"} 1"#,
        r#"codex_k8s_http_requests_total{route="/api/v1/staff/jobs/{id}",method="GET",status="404"} 2"#,
        r#"codex_k8s_http_request_duration_seconds_count{route="unmatched",method="GET",status="404"} 2"#,
    ] {
        assert!(answer.text.contains(line), "{line} in {}", answer.text);
    }
}

#[tokio::test]
async fn a_source_has_its_rate() {
    let world = World::new(Settings {
        rate_limit: RateLimit {
            per_second: 1,
            burst: 2,
        },
        ..settings()
    });
    for id in ["d-1", "d-2"] {
        assert_eq!(
            world.ask(delivery(id, "issues", LABELED)).await.status,
            StatusCode::ACCEPTED
        );
    }
    let answer = world.ask(delivery("d-3", "issues", LABELED)).await;
    assert_eq!(answer.code(429), "rate_limited");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(world.staff(Method::GET, "jobs").await.code(429), "rate_limited");
    assert_eq!(
        world.get("/healthz").await.status,
        StatusCode::OK,
        "probes are never held up"
    );
    // A header that claims another source changes nothing.
    let mut spoofed = delivery("d-4", "issues", LABELED);
    spoofed
        .headers_mut()
        .insert("x-forwarded-for", "203.0.113.9".parse().unwrap());
    assert_eq!(world.ask(spoofed).await.code(429), "rate_limited");
}
