//! `POST /api/v1/webhooks/github` in process.

use std::time::Duration;

use axum::http::StatusCode;
use domain::delivery::NewDelivery;
use gateway::Settings;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::client::{LABELED, PATH, delivery, headers, post, signature};
use crate::world::{OTHER_SECRET, SECRET, World, settings, world};

fn stored(world: &World) -> NewDelivery {
    let [one] = world.inbox.accepted().try_into().expect("one delivery");
    one
}

#[tokio::test]
async fn a_signed_delivery_is_stored_and_answered() {
    let world = world();
    let answer = world.ask(delivery("d-1", "issues", LABELED)).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_eq!(
        answer.json(),
        json!({"delivery_id": "d-1", "status": "accepted", "job_id": 1})
    );
    let one = stored(&world);
    assert_eq!((one.id.as_str(), one.event.as_str()), ("d-1", "issues"));
    assert_eq!(one.action.as_deref(), Some("labeled"));
    assert_eq!(one.repository.as_deref(), Some("octo/demo"));
    assert_eq!(one.sender.as_deref(), Some("ann"));
    assert_eq!(one.payload, LABELED.as_bytes());
    assert_eq!(one.body_sha256, <[u8; 32]>::from(Sha256::digest(LABELED)));
    assert_eq!(one.traceparent.map(|t| t.len()), Some(55), "a trace begins here");
}

#[tokio::test]
async fn a_trace_is_continued() {
    let world = world();
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut headers = headers("d-1", "issues", LABELED.as_bytes());
    headers.push(("traceparent", traceparent.to_owned()));
    assert_eq!(
        world.ask(post(&headers, LABELED)).await.status,
        StatusCode::ACCEPTED
    );
    assert_eq!(stored(&world).traceparent.as_deref(), Some(traceparent));
}

#[tokio::test]
async fn every_active_secret_counts() {
    let world = world();
    let mut headers = headers("d-1", "issues", LABELED.as_bytes());
    headers[3].1 = signature(OTHER_SECRET, LABELED.as_bytes());
    assert_eq!(
        world.ask(post(&headers, LABELED)).await.status,
        StatusCode::ACCEPTED
    );
}

#[tokio::test]
async fn a_duplicate_has_no_second_effect_and_another_body_is_refused() {
    let world = world();
    assert_eq!(
        world.ask(delivery("d-1", "issues", LABELED)).await.status,
        StatusCode::ACCEPTED
    );
    let again = world.ask(delivery("d-1", "issues", LABELED)).await;
    assert_eq!(again.status, StatusCode::OK);
    assert_eq!(
        again.json(),
        json!({"delivery_id": "d-1", "status": "duplicate", "job_id": null})
    );
    let (code, detail) = world.ask(delivery("d-1", "issues", "{}")).await.problem(409);
    assert_eq!(code, "delivery_body_mismatch");
    assert!(detail.contains("d-1"), "{detail}");
    assert_eq!((world.inbox.duplicates(), world.inbox.mismatches()), (1, 1));
    assert_eq!(stored(&world).payload, LABELED.as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_at_once_are_one() {
    let world = std::sync::Arc::new(world());
    let posts = (0..50).map(|_| {
        let world = world.clone();
        tokio::spawn(async move { world.ask(delivery("d-1", "issues", LABELED)).await.status })
    });
    let mut accepted = 0;
    for post in posts.collect::<Vec<_>>() {
        accepted += i32::from(post.await.unwrap() == StatusCode::ACCEPTED);
    }
    assert_eq!((accepted, world.inbox.duplicates()), (1, 49));
}

#[tokio::test]
async fn a_ping_is_recorded_and_answered_200() {
    let world = world();
    let answer = world
        .ask(delivery("d-1", "ping", r#"{"zen":"Keep it logically awesome."}"#))
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.json(),
        json!({"delivery_id": "d-1", "status": "ping", "job_id": 1})
    );
    assert_eq!(stored(&world).event, "ping");
}

#[tokio::test]
async fn a_form_is_signed_raw_and_stored_decoded() {
    let world = world();
    let body = "payload=%7B%22action%22%3A%22a+b%22%7D";
    let mut headers = headers("d-1", "issues", body.as_bytes());
    headers[0].1 = "application/x-www-form-urlencoded; charset=utf-8".to_owned();
    assert_eq!(world.ask(post(&headers, body)).await.status, StatusCode::ACCEPTED);
    let one = stored(&world);
    assert_eq!(one.payload, br#"{"action":"a b"}"#);
    assert_eq!(one.action.as_deref(), Some("a b"));
    assert_eq!(
        one.body_sha256,
        <[u8; 32]>::from(Sha256::digest(body)),
        "over the raw body"
    );
}

type Headers = Vec<(&'static str, String)>;

/// One thing wrong with an otherwise good delivery; its answer's status and code.
type Case = (&'static str, fn(&mut Headers), &'static [u8], u16, &'static str);

const FORM: &str = "application/x-www-form-urlencoded";

#[rustfmt::skip]
const REFUSED: &[Case] = &[
    ("unsigned", |h| drop(h.remove(3)), b"{}", 401, "signature_missing"),
    ("sha-1", |h| h[3] = ("x-hub-signature", "sha1=00".into()), b"{}", 401, "signature_sha1_only"),
    ("malformed", |h| h[3].1 = "sha256=xyz".into(), b"{}", 401, "signature_malformed"),
    ("of another body", |h| h[3].1 = signature(SECRET, b"[]"), b"{}", 401, "signature_mismatch"),
    ("a stranger's", |h| h[3].1 = signature("a stranger's", b"{}"), b"{}", 401, "signature_mismatch"),
    // The signature comes first: a stranger is told nothing else.
    ("unsigned nonsense", |h| h.clear(), b"\xff", 401, "signature_missing"),
    ("no id", |h| drop(h.remove(1)), b"{}", 400, "delivery_header_invalid"),
    ("two ids", |h| h.push(("x-github-delivery", "d-2".into())), b"{}", 400, "delivery_header_invalid"),
    ("bad id", |h| h[1].1 = "d 1".into(), b"{}", 400, "delivery_header_invalid"),
    ("long id", |h| h[1].1 = "x".repeat(129), b"{}", 400, "delivery_header_invalid"),
    ("no event", |h| drop(h.remove(2)), b"{}", 400, "event_header_invalid"),
    ("bad event", |h| h[2].1 = "Issues!".into(), b"{}", 400, "event_header_invalid"),
    ("long event", |h| h[2].1 = "x".repeat(65), b"{}", 400, "event_header_invalid"),
    ("no type", |h| drop(h.remove(0)), b"{}", 415, "content_type"),
    ("text", |h| h[0].1 = "text/plain".into(), b"{}", 415, "content_type"),
    ("almost", |h| h[0].1 = "application/json5".into(), b"{}", 415, "content_type"),
    ("empty", |_| (), b"", 400, "json_invalid"),
    ("cut off", |_| (), b"{\"a\":", 400, "json_invalid"),
    ("trailing", |_| (), b"{} {}", 400, "json_invalid"),
    ("an array", |_| (), b"[]", 400, "json_invalid"),
    ("not UTF-8", |_| (), b"{\"a\":\"\xff\"}", 400, "json_invalid"),
    ("no form", |h| h[0].1 = FORM.into(), b"{}", 400, "form_invalid"),
    ("a bad form", |h| h[0].1 = FORM.into(), b"payload=x", 400, "json_invalid"),
];

#[tokio::test]
async fn what_is_refused_is_not_stored() {
    let world = world();
    for (name, spoil, body, status, code) in REFUSED {
        let mut headers = headers("d-1", "issues", body);
        spoil(&mut headers);
        let answer = world.ask(post(&headers, *body)).await;
        assert_eq!(answer.code(*status), *code, "{name}");
    }
    assert!(world.inbox.accepted().is_empty());
}

#[tokio::test]
async fn deep_nesting_is_refused() {
    let world = world();
    let nested = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    assert_eq!(
        world.ask(delivery("d-1", "push", &nested(126))).await.status,
        StatusCode::ACCEPTED
    );
    let answer = world.ask(delivery("d-2", "push", &nested(1_000_000))).await;
    assert_eq!(answer.code(400), "json_invalid");
}

#[tokio::test]
async fn size_is_bounded() {
    let world = World::new(Settings {
        max_body_bytes: 2 * 1024 * 1024,
        ..settings()
    });
    let of = |bytes: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8));
    let fits = of(2 * 1024 * 1024);
    assert_eq!(fits.len(), 2 * 1024 * 1024);
    assert_eq!(
        world.ask(delivery("d-1", "push", &fits)).await.status,
        StatusCode::ACCEPTED
    );
    assert_eq!(stored(&world).payload, fits.as_bytes());
    let (code, detail) = world
        .ask(delivery("d-2", "push", &of(2 * 1024 * 1024 + 1)))
        .await
        .problem(413);
    assert_eq!(code, "body_too_large");
    assert!(detail.contains("2097152"), "{detail}");
    assert_eq!(world.inbox.accepted().len(), 1);
}

#[tokio::test]
async fn memory_for_bodies_is_bounded() {
    let world = World::new(Settings {
        max_body_bytes: 64 * 1024,
        body_memory_bytes: 64 * 1024,
        ..settings()
    });
    world.inbox.delay_by(Duration::from_millis(300));
    let big = format!(r#"{{"a":"{}"}}"#, "x".repeat(60 * 1024));
    let (first, second) = tokio::join!(world.ask(delivery("d-1", "push", &big)), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        world.ask(delivery("d-2", "push", &big)).await
    });
    assert_eq!(first.status, StatusCode::ACCEPTED);
    assert_eq!(second.code(503), "body_memory_full");
    assert_eq!(second.header("retry-after"), "2");
    let later = world.ask(delivery("d-3", "push", &big)).await;
    assert_eq!(later.status, StatusCode::ACCEPTED, "the room is given back");
}

#[tokio::test]
async fn a_database_away_is_503_and_comes_back() {
    let world = world();
    world.inbox.fail_with_unavailable(true);
    let answer = world.ask(delivery("d-1", "issues", LABELED)).await;
    let (code, detail) = answer.problem(503);
    assert_eq!(code, "unavailable");
    assert!(!detail.contains("10.0.0.1"), "{detail}");
    assert_eq!(answer.header("retry-after"), "3");
    world.inbox.fail_with_unavailable(false);
    assert_eq!(
        world.ask(delivery("d-1", "issues", LABELED)).await.status,
        StatusCode::ACCEPTED
    );
}

#[tokio::test(start_paused = true)]
async fn a_hanging_database_is_503_in_time() {
    let world = world();
    world.inbox.delay_by(Duration::from_mins(1));
    let answer = world.ask(delivery("d-1", "issues", LABELED)).await;
    assert_eq!(answer.code(503), "timeout");
    assert_eq!(answer.header("retry-after"), "5");
}

#[tokio::test]
async fn a_long_backlog_turns_deliveries_away() {
    let world = World::new(Settings {
        backlog_limit: 10,
        ..settings()
    });
    world.inbox.set_backlog(11);
    assert_eq!(
        world.ask(delivery("d-1", "issues", LABELED)).await.status,
        StatusCode::ACCEPTED
    );
    tokio::time::sleep(Duration::from_millis(50)).await;
    let answer = world.ask(delivery("d-2", "issues", LABELED)).await;
    assert_eq!(answer.code(503), "backlog_full");
    assert_eq!(answer.header("retry-after"), "5");
    assert_eq!(world.inbox.backlog_reads(), 1);
    assert_eq!(world.inbox.accepted().len(), 1);
}

#[tokio::test]
async fn outcomes_are_counted() {
    let world = world();
    let _guard = metrics::set_default_local_recorder(&world.recorder);
    for request in [
        delivery("d-1", "issues", LABELED),
        delivery("d-1", "issues", LABELED),
        delivery("d-2", "ping", "{}"),
        post(&[], "{}"),
    ] {
        world.ask(request).await;
    }
    let text = world.get("/metrics").await.text;
    for outcome in ["accepted", "duplicate", "ping", "signature_missing"] {
        let line = format!("codex_k8s_webhook_deliveries_total{{outcome=\"{outcome}\"}} 1");
        assert!(text.contains(&line), "{line} in {text}");
    }
    let line = format!("codex_k8s_http_requests_total{{route=\"{PATH}\",method=\"POST\",status=\"202\"}} 1");
    assert!(text.contains(&line), "{line} in {text}");
}
