//! `Idempotency-Key`: the same request has one effect.

use axum::body::Body;
use axum::http::{Method, Request};
use domain::access::PlatformRole;
use domain::job::JobState;
use serde_json::json;

use crate::sign_in::{invite, sign_in};
use crate::staff_rows::job;
use crate::world::{Answer, TOKEN, World, world};

async fn send(world: &World, token: &str, path: &str, key: &str, body: Option<serde_json::Value>) -> Answer {
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("/api/v1/staff/{path}"))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .header("idempotency-key", key);
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    world.ask(request.body(body).unwrap()).await
}

#[tokio::test]
async fn the_same_request_has_one_effect() {
    let world = world();
    world.jobs.put(job(1, JobState::Dead));
    world.jobs.put(job(2, JobState::Dead));
    let first = send(&world, TOKEN, "jobs/1/retry", "a", None).await;
    assert_eq!(first.json(), json!({"job_id": 1, "result": "done"}));
    assert!(first.headers.get("idempotency-replayed").is_none());
    let again = send(&world, TOKEN, "jobs/1/retry", "a", None).await;
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.header("content-type"), "application/json");
    assert_eq!(world.jobs.audit().len(), 1);
    for other in ["jobs/2/retry", "jobs/1/cancel", "jobs/1/retry?reason=x"] {
        let refused = send(&world, TOKEN, other, "a", None).await;
        assert_eq!(refused.code(422), "idempotency_key_reused", "{other}");
    }
    let priority = |n: i16| Some(json!({ "priority": n }));
    let done = send(&world, TOKEN, "jobs/1/priority", "b", priority(1)).await;
    assert_eq!(done.status, 200, "{done:?}");
    let other = send(&world, TOKEN, "jobs/1/priority", "b", priority(2)).await;
    assert_eq!(other.code(422), "idempotency_key_reused");
    assert_eq!(world.jobs.audit().len(), 2);
}

#[tokio::test]
async fn what_was_refused_may_be_sent_again() {
    let world = world();
    world.jobs.put(job(1, JobState::Completed));
    let refused = send(&world, TOKEN, "jobs/1/retry", "a", None).await;
    assert_eq!(refused.code(409), "job_state");
    world.jobs.put(job(1, JobState::Dead));
    assert_eq!(send(&world, TOKEN, "jobs/1/retry", "a", None).await.status, 200);
    for bad in ["", "a b", "é", &"x".repeat(256)] {
        let refused = send(&world, TOKEN, "jobs/1/cancel", bad, None).await;
        assert_eq!(refused.code(400), "idempotency_key_invalid", "{bad}");
    }
}

#[tokio::test]
async fn keys_are_ones_own_and_secrets_are_not_kept() {
    let world = world();
    invite(&world, "ann@example.com", PlatformRole::Admin).await;
    invite(&world, "bob@example.com", PlatformRole::Admin).await;
    let (ann, bob) = (
        sign_in(&world, "ann@example.com").await,
        sign_in(&world, "bob@example.com").await,
    );
    let wish = || Some(json!({"name": "laptop", "scopes": ["read"], "days": 1}));
    let made = send(&world, &ann.token, "me/tokens", "a", wish()).await;
    assert_eq!(made.status, 201, "{made:?}");
    let again = send(&world, &ann.token, "me/tokens", "a", wish()).await;
    assert_eq!(again.code(409), "idempotency_secret");
    let of_bob = send(&world, &bob.token, "me/tokens", "a", wish()).await;
    assert_eq!(of_bob.status, 201, "{of_bob:?}");
}
