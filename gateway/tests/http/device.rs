//! Signing in a program by a code, in process on fakes.

use axum::body::Body;
use axum::http::{Method, Request};
use chrono::TimeDelta;
use domain::access::PlatformRole;
use gateway::{RateLimit, Settings};
use serde_json::{Value, json};

use crate::description::request;
use crate::sign_in::{invite, sign_in};
use crate::world::{Answer, ORIGIN, World, settings, world};

async fn post(world: &World, path: &str, body: &Value) -> Answer {
    let request = Request::post(format!("/api/v1/auth/{path}")).header("content-type", "application/json");
    world
        .ask(request.body(Body::from(body.to_string())).unwrap())
        .await
}

fn wish() -> Value {
    json!({ "name": "codex-k8s on a laptop", "scopes": ["write", "read", "read"], "days": 7 })
}

async fn begin(world: &World) -> (Value, String) {
    let begun = post(world, "device", &wish()).await;
    assert_eq!(begun.status, 200, "{begun:?}");
    let begun = begun.json();
    let code = begun["user_code"].as_str().unwrap().to_owned();
    assert_eq!(
        begun["verification_uri_complete"],
        format!("{ORIGIN}/device?code={code}")
    );
    (json!({ "device_code": begun["device_code"] }), code)
}

async fn ask(world: &World, token: &str, method: Method, path: &str) -> Answer {
    let path = format!("/api/v1/staff/me/{path}");
    world.ask(request(&method, &path, Some(token))).await
}

#[tokio::test]
async fn a_program_is_signed_in_by_a_person() {
    let world = world();
    invite(&world, "ann@example.com", PlatformRole::Admin).await;
    let ann = sign_in(&world, "ann@example.com").await.token;
    let (device, code) = begin(&world).await;
    let pending = post(&world, "device/token", &device).await;
    assert_eq!(pending.code(400), "device_pending");

    let shown = ask(
        &world,
        &ann,
        Method::GET,
        &format!("device-sign-ins/{}", code.to_lowercase()),
    )
    .await;
    let shown = shown.json();
    assert_eq!(
        (&shown["name"], &shown["scopes"], &shown["days"]),
        (
            &json!("codex-k8s on a laptop"),
            &json!(["read", "write"]),
            &json!(7)
        )
    );
    let approve = format!("device-sign-ins/{code}/approve");
    assert_eq!(ask(&world, &ann, Method::POST, &approve).await.status, 204);
    assert_eq!(
        ask(&world, &ann, Method::POST, &approve).await.code(404),
        "not_found"
    );

    let collected = post(&world, "device/token", &device).await.json();
    assert_eq!(collected["owner"], "ann@example.com");
    let token = collected["secret"].as_str().unwrap();
    let again = post(&world, "device/token", &device).await;
    assert_eq!(again.code(400), "device_gone", "a token is collected once");
    let kinds: Vec<_> = world
        .access
        .audit()
        .into_iter()
        .map(|(_, kind, by, _)| (kind, by))
        .collect();
    let by = domain::flow::FlowActor::Human("ann@example.com".to_owned());
    for kind in ["access.device_approved", "access.token_created"] {
        assert!(kinds.contains(&(kind, by.clone())), "{kind} in {kinds:?}");
    }

    // It is good for what was confirmed, can't confirm others, and takes itself away.
    let read = world
        .ask(request(&Method::GET, "/api/v1/staff/users", Some(token)))
        .await;
    assert_eq!(read.code(403), "forbidden", "admin wasn't asked for");
    let (_, other) = begin(&world).await;
    let other = format!("device-sign-ins/{other}/approve");
    assert_eq!(
        ask(&world, token, Method::POST, &other).await.code(403),
        "forbidden"
    );
    assert_eq!(
        ask(&world, &ann, Method::DELETE, "token").await.code(404),
        "not_found"
    );
    assert_eq!(ask(&world, token, Method::DELETE, "token").await.status, 204);
    assert_eq!(
        ask(&world, token, Method::DELETE, "token").await.code(401),
        "token_refused"
    );
}

#[tokio::test]
async fn a_code_is_denied_expires_and_is_not_guessed() {
    let world = World::new(Settings {
        sign_in_rate_limit: RateLimit {
            per_second: 1,
            burst: 20,
        },
        ..settings()
    });
    invite(&world, "ann@example.com", PlatformRole::None).await;
    let ann = sign_in(&world, "ann@example.com").await.token;
    let (denied, code) = begin(&world).await;
    let deny = ask(
        &world,
        &ann,
        Method::POST,
        &format!("device-sign-ins/{code}/deny"),
    )
    .await;
    assert_eq!(deny.status, 204);
    assert_eq!(
        post(&world, "device/token", &denied).await.code(400),
        "device_denied"
    );

    let (late, code) = begin(&world).await;
    world.access.advance(TimeDelta::seconds(601));
    let path = format!("device-sign-ins/{code}");
    let ann = sign_in(&world, "ann@example.com").await.token;
    assert_eq!(ask(&world, &ann, Method::GET, &path).await.code(404), "not_found");
    assert_eq!(post(&world, "device/token", &late).await.code(400), "device_gone");
    assert_eq!(
        ask(&world, &ann, Method::GET, "device-sign-ins/nonsense")
            .await
            .code(400),
        "path_invalid"
    );
    let mut last = 404;
    for _ in 0..30 {
        last = ask(&world, &ann, Method::GET, "device-sign-ins/BCDF-GHJK")
            .await
            .status
            .as_u16();
    }
    assert_eq!(last, 429, "guessing is slow");
}

#[tokio::test]
async fn what_a_program_may_not_ask_for() {
    let world = world();
    for (member, value) in [
        ("name", json!("")),
        ("name", json!("a\nb")),
        ("scopes", json!([])),
        ("scopes", json!(["everything"])),
        ("days", json!(0)),
        ("days", json!(367)),
        ("more", json!(1)),
    ] {
        let mut wish = wish();
        wish[member] = value;
        let answer = post(&world, "device", &wish).await;
        assert_eq!(answer.code(400), "body_invalid", "{wish}");
    }
}
