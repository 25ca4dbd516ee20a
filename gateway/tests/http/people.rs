//! People, members, own sessions and tokens, in process on fakes.

use axum::body::Body;
use axum::http::{Method, Request};
use domain::access::{PlatformRole, ProjectRole};
use serde_json::{Value, json};

use crate::sign_in::{invite, sign_in};
use crate::world::{Answer, World, world};

async fn send(world: &World, token: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(format!("/api/v1/staff/{path}"))
        .header("authorization", format!("Bearer {token}"));
    let request = match body {
        None => request.body(Body::empty()),
        Some(body) => request
            .header("content-type", "application/json; charset=utf-8")
            .body(Body::from(body.to_string())),
    };
    world.ask(request.unwrap()).await
}

#[tokio::test]
async fn people_are_invited_listed_and_changed() {
    let world = world();
    let owner = invite(&world, "owner@example.com", PlatformRole::Owner).await;
    let root = sign_in(&world, "owner@example.com").await.token;
    let ask = |method, path: String, body| {
        let (world, root) = (&world, &root);
        async move { send(world, root, method, &path, body).await }
    };
    let email = json!({ "email": "Ann@Example.com" });
    let ann = ask(Method::POST, "users".into(), Some(email.clone()))
        .await
        .json();
    let again = ask(Method::POST, "users".into(), Some(email)).await.json();
    assert_eq!(ann, again, "inviting is idempotent");
    insta::assert_json_snapshot!(ann);
    let id = ann["id"].as_i64().unwrap();
    let page = ask(Method::GET, "users?limit=1".into(), None).await.json();
    assert_eq!(page["items"][0]["id"], owner.0);
    let next = page["next"].as_str().unwrap();
    let page = ask(Method::GET, format!("users?limit=1&before={next}"), None)
        .await
        .json();
    assert_eq!((&page["items"][0], &page["next"]), (&ann, &Value::Null));

    let admin = ask(
        Method::PUT,
        format!("users/{id}/role"),
        Some(json!({ "role": "admin" })),
    )
    .await;
    assert_eq!(admin.json()["role"], "admin");
    let token = sign_in(&world, "ann@example.com").await.token;
    assert_eq!(send(&world, &token, Method::GET, "users", None).await.status, 200);
    let out = ask(
        Method::PUT,
        format!("users/{id}/active"),
        Some(json!({ "active": false })),
    )
    .await;
    assert_eq!(out.json()["active"], false);
    assert_eq!(
        send(&world, &token, Method::GET, "users", None).await.code(401),
        "token_refused"
    );
    ask(
        Method::PUT,
        format!("users/{id}/active"),
        Some(json!({ "active": true })),
    )
    .await;
    sign_in(&world, "ann@example.com").await;
    let out = ask(Method::POST, format!("users/{id}/sign-out"), None).await;
    assert_eq!(out.json(), json!({ "sessions_ended": 1 }));
    assert_eq!(
        ask(Method::GET, format!("users/{id}"), None).await.json()["login"],
        "ann"
    );

    for (path, body) in [
        (format!("users/{}/role", owner.0), json!({ "role": "none" })),
        (format!("users/{id}/role"), json!({ "role": "owner" })),
        (format!("users/{}/active", owner.0), json!({ "active": false })),
    ] {
        assert_eq!(ask(Method::PUT, path, Some(body)).await.code(409), "owner_stays");
    }
    for path in ["users/999", "users/999/sign-out"] {
        let method = if path.ends_with("out") {
            Method::POST
        } else {
            Method::GET
        };
        assert_eq!(ask(method, path.into(), None).await.code(404), "not_found");
    }
    for body in [
        json!({ "email": "no address" }),
        json!({ "email": "a@b.c", "role": "owner" }),
        json!({}),
        json!([]),
    ] {
        let refused = ask(Method::POST, "users".into(), Some(body)).await;
        assert_eq!(refused.code(400), "body_invalid");
    }
    assert_eq!(
        ask(Method::POST, "users".into(), None).await.code(415),
        "content_type"
    );
    let huge = json!({ "email": "a".repeat(3_000_000) });
    assert_eq!(
        ask(Method::POST, "users".into(), Some(huge)).await.code(413),
        "body_too_large"
    );

    let actors: Vec<String> = world
        .access
        .audit()
        .into_iter()
        .map(|(_, kind, by, _)| format!("{kind} {by:?}"))
        .collect();
    assert!(
        actors.contains(&"access.role_changed Human(\"owner@example.com\")".to_owned()),
        "{actors:?}"
    );
}

#[tokio::test]
async fn project_admins_keep_their_members() {
    let world = world();
    let (demo, other) = (
        world.access.add_project("demo"),
        world.access.add_project("other"),
    );
    let lead = invite(&world, "lead@example.com", PlatformRole::None).await;
    let ann = invite(&world, "ann@example.com", PlatformRole::None).await;
    world.access.add_member(lead, demo, ProjectRole::Admin);
    world.access.add_member(lead, other, ProjectRole::ReadWrite);
    let token = sign_in(&world, "lead@example.com").await.token;
    let ask = |method, path: String, body| {
        let (world, token) = (&world, &token);
        async move { send(world, token, method, &path, body).await }
    };
    let role = |role: &str| Some(json!({ "role": role }));
    let set = ask(
        Method::PUT,
        format!("projects/demo/members/{ann}"),
        role("read_write"),
    )
    .await;
    assert_eq!(set.status, 200, "{set:?}");
    insta::assert_json_snapshot!(
        ask(Method::GET, "projects/demo/members".into(), None)
            .await
            .json()
    );
    let gone = ask(Method::DELETE, format!("projects/demo/members/{ann}"), None).await;
    assert_eq!(gone.status, 204);
    assert_eq!(
        ask(Method::GET, "projects/demo/members".into(), None)
            .await
            .json()
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let by_address = ask(
        Method::PUT,
        "projects/demo/members/Ann@example.com".into(),
        role("read"),
    )
    .await;
    assert_eq!(by_address.json()["user_id"], ann.0);
    let elsewhere = ask(Method::PUT, format!("projects/other/members/{ann}"), role("read")).await;
    assert_eq!(elsewhere.code(403), "forbidden");
    for path in [
        "projects/demo/members/999",
        "projects/demo/members/eve@example.com",
        "projects/nowhere/members/1",
    ] {
        assert_eq!(
            ask(Method::PUT, path.into(), role("read")).await.code(404),
            "not_found"
        );
    }
    let unknown = ask(Method::PUT, format!("projects/demo/members/{ann}"), role("owner")).await;
    assert_eq!(unknown.code(400), "body_invalid");
}

#[tokio::test]
async fn tokens_and_sessions_are_ones_own() {
    let world = world();
    invite(&world, "ann@example.com", PlatformRole::Admin).await;
    invite(&world, "bob@example.com", PlatformRole::Admin).await;
    let ann = sign_in(&world, "ann@example.com").await.token;
    let bob = sign_in(&world, "bob@example.com").await.token;
    let wish = json!({ "name": " the laptop ", "scopes": ["write", "read", "read"], "days": 30 });
    let made = send(&world, &ann, Method::POST, "me/tokens", Some(wish)).await;
    assert_eq!(made.status, 201, "{made:?}");
    let mut made = made.json();
    let secret = made["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("ck8s_") && secret.len() == 48, "{secret}");
    made["secret"] = "shown once".into();
    insta::assert_json_snapshot!(made);
    let listed = send(&world, &ann, Method::GET, "me/tokens", None).await;
    assert!(!listed.text.contains(&secret));
    assert_eq!(listed.json()[0]["id"], made["id"]);

    // It reads and writes, it doesn't administer, and it makes no tokens.
    let by_token = |method, path: &'static str| send(&world, &secret, method, path, None);
    assert_eq!(by_token(Method::GET, "jobs").await.status, 200);
    assert_eq!(
        by_token(Method::POST, "jobs/999/retry").await.code(404),
        "not_found"
    );
    for path in ["users", "me/tokens", "me/sessions"] {
        assert_eq!(by_token(Method::GET, path).await.code(403), "forbidden", "{path}");
    }
    let id = made["id"].as_i64().unwrap();
    let path = format!("me/tokens/{id}");
    assert_eq!(
        send(&world, &bob, Method::DELETE, &path, None).await.code(404),
        "not_found"
    );
    assert_eq!(send(&world, &ann, Method::DELETE, &path, None).await.status, 204);
    assert_eq!(by_token(Method::GET, "jobs").await.code(401), "token_refused");

    for bad in [
        json!({ "name": " ", "scopes": ["read"], "days": 1 }),
        json!({ "name": "a\nb", "scopes": ["read"], "days": 1 }),
        json!({ "name": "a", "scopes": [], "days": 1 }),
        json!({ "name": "a", "scopes": ["owner"], "days": 1 }),
        json!({ "name": "a", "scopes": ["read"], "days": 0 }),
        json!({ "name": "a", "scopes": ["read"], "days": 367 }),
    ] {
        let refused = send(&world, &ann, Method::POST, "me/tokens", Some(bad)).await;
        assert_eq!(refused.code(400), "body_invalid");
    }

    let sessions = send(&world, &ann, Method::GET, "me/sessions", None).await.json();
    assert_eq!(
        (&sessions[0]["current"], &sessions[0]["user_agent"]),
        (&true.into(), &"a browser".into())
    );
    let path = format!("me/sessions/{}", sessions[0]["id"]);
    assert_eq!(
        send(&world, &bob, Method::DELETE, &path, None).await.code(404),
        "not_found"
    );
    assert_eq!(send(&world, &ann, Method::DELETE, &path, None).await.status, 204);
    assert_eq!(
        send(&world, &ann, Method::GET, "me", None).await.code(401),
        "token_refused"
    );
}
