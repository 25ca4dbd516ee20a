//! `ETag` and `If-Match`: nobody overwrites what they did not see.

use axum::body::Body;
use axum::http::{Method, Request};
use domain::access::PlatformRole;
use domain::job::QueueCounts;
use domain::queue::{Limits, QueueOverview};
use serde_json::{Value, json};

use crate::sign_in::invite;
use crate::staff_rows::at;
use crate::world::{Answer, TOKEN, World, world};

/// A change with these headers.
async fn change(
    world: &World,
    method: &Method,
    path: &str,
    body: Option<&Value>,
    headers: &[(&str, &str)],
) -> Answer {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("/api/v1/staff/{path}"))
        .header("authorization", format!("Bearer {TOKEN}"))
        .header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    world.ask(request.body(body).unwrap()).await
}

async fn set_up(world: &World) -> String {
    let person = invite(world, "ann@example.com", PlatformRole::None).await;
    let demo = world.access.add_project("demo");
    world.staff.put_project(demo, "demo");
    let name = json!({ "name": "octo/demo" });
    let path = "projects/demo/repositories";
    let added = world.staff_json(Method::POST, path, name).await;
    assert_eq!(added.status, 200, "{added:?}");
    world.queues.put(QueueOverview {
        name: "runs".to_owned(),
        paused_at: None,
        limits: Limits::default(),
        keep_days: 30,
        counts: QueueCounts {
            queue: "runs".to_owned(),
            ready: 0,
            scheduled: 0,
            waiting: 0,
            running: 0,
            oldest_ready_ms: None,
        },
        as_of: at(0),
        exact: true,
    });
    format!("users/{person}")
}

#[tokio::test]
async fn of_two_who_saw_the_same_the_second_is_told() {
    let world = world();
    let person = set_up(&world).await;
    for (seen, path, one, two) in [
        (
            "queues/runs/limits".to_owned(),
            "queues/runs/limits".to_owned(),
            json!({ "max_running": 1 }),
            json!({ "max_running": 2 }),
        ),
        (
            person.clone(),
            format!("{person}/role"),
            json!({ "role": "admin" }),
            json!({ "role": "none" }),
        ),
        (
            person.clone(),
            format!("{person}/active"),
            json!({ "active": false }),
            json!({ "active": true }),
        ),
        (
            "projects/demo".to_owned(),
            "projects/demo".to_owned(),
            json!({ "slots": 2 }),
            json!({ "slots": 3 }),
        ),
        (
            "repositories/1".to_owned(),
            "repositories/1/token".to_owned(),
            json!({ "token": "a good token" }),
            json!({ "token": "a good token" }),
        ),
    ] {
        let shown = world.staff(Method::GET, &seen).await;
        let tag = shown.header("etag").to_owned();
        let version = shown.json()["version"].as_str().unwrap().to_owned();
        assert_eq!(tag, format!("\"{version}\""), "{seen}");
        let put = Method::PUT;
        let first = change(&world, &put, &path, Some(&one), &[("if-match", &tag)]).await;
        assert_eq!(first.status, 200, "{path}: {first:?}");
        let second = change(&world, &put, &path, Some(&two), &[("if-match", &tag)]).await;
        let (code, detail) = second.problem(412);
        assert_eq!(code, "changed_meanwhile", "{path}");
        assert!(detail.contains("read it again"), "{detail}");
        // What was seen of the first one's answer is the newest.
        let now = first.header("etag").to_owned();
        assert_ne!(now, tag, "{path}");
        assert_eq!(world.staff(Method::GET, &seen).await.header("etag"), now);
        let either = format!("{tag}, {now}");
        let third = change(&world, &put, &path, Some(&two), &[("if-match", &either)]).await;
        assert_eq!(third.status, 200, "{path}: {third:?}");
        // Who doesn't say what they saw overwrites.
        assert_eq!(change(&world, &put, &path, Some(&one), &[]).await.status, 200);
    }
}

#[tokio::test]
async fn members_and_what_is_taken_out() {
    let world = world();
    let person = set_up(&world).await;
    let member = format!("projects/demo/members/{}", person.split_once('/').unwrap().1);
    let (put, delete) = (&Method::PUT, &Method::DELETE);
    let role = |role: &str| json!({ "role": role });
    let absent = &[("if-none-match", "*")];
    let made = change(&world, put, &member, Some(&role("read")), absent).await;
    assert_eq!(made.status, 200, "{made:?}");
    let late = change(&world, put, &member, Some(&role("admin")), absent).await;
    assert_eq!(late.code(412), "changed_meanwhile");
    let listed = world.staff(Method::GET, "projects/demo/members").await.json();
    let tag = format!("\"{}\"", listed[0]["version"].as_str().unwrap());
    let seen = &[("if-match", tag.as_str())];
    let set = change(&world, put, &member, Some(&role("admin")), seen).await;
    assert_eq!(set.status, 200, "{set:?}");
    for late in [
        change(&world, put, &member, Some(&role("read_write")), seen).await,
        change(&world, delete, &member, None, seen).await,
    ] {
        assert_eq!(late.code(412), "changed_meanwhile");
    }
    let there = &[("if-match", "*")];
    assert_eq!(change(&world, delete, &member, None, there).await.status, 204);
    assert_eq!(
        change(&world, delete, &member, None, there).await.code(412),
        "changed_meanwhile"
    );

    let tag = world
        .staff(Method::GET, "repositories/1")
        .await
        .header("etag")
        .to_owned();
    let token = json!({ "token": "a good token" });
    let set = change(&world, put, "repositories/1/token", Some(&token), &[]).await;
    assert_eq!(set.status, 200);
    for path in ["repositories/1/token", "repositories/1"] {
        let late = change(&world, delete, path, None, &[("if-match", &tag)]).await;
        assert_eq!(late.code(412), "changed_meanwhile", "{path}");
    }
    let now = set.header("etag");
    let gone = change(&world, delete, "repositories/1", None, &[("if-match", now)]).await;
    assert_eq!(gone.status, 204, "{gone:?}");
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_and_a_key_belongs_to_one_precondition() {
    let world = world();
    set_up(&world).await;
    let wish = json!({ "max_running": 1 });
    let path = "queues/runs/limits";
    for bad in [
        &[("if-match", "1")][..],
        &[("if-match", "\"1")],
        &[("if-none-match", "\"1\"")],
        &[("if-match", "*"), ("if-none-match", "*")],
    ] {
        let refused = change(&world, &Method::PUT, path, Some(&wish), bad).await;
        assert_eq!(refused.code(400), "precondition_invalid", "{bad:?}");
    }
    let weak = &[("if-match", "W/\"-;-;-;-\"")];
    let refused = change(&world, &Method::PUT, path, Some(&wish), weak).await;
    assert_eq!(refused.code(412), "changed_meanwhile");

    // Sent again after an answer that was lost, it is answered and not refused.
    let tag = world.staff(Method::GET, path).await.header("etag").to_owned();
    let seen = [("if-match", tag.as_str()), ("idempotency-key", "a")];
    for _ in 0..2 {
        let answer = change(&world, &Method::PUT, path, Some(&wish), &seen).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let other = [("if-match", "\"1\""), ("idempotency-key", "a")];
    let another = change(&world, &Method::PUT, path, Some(&wish), &other).await;
    assert_eq!(another.code(422), "idempotency_key_reused");
}

/// What takes `If-Match` says so, and what can be handed in there is on the answer that shows it.
#[test]
fn it_is_described() {
    let document = serde_json::to_value(gateway::openapi()).unwrap();
    let mut guarded = Vec::new();
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            let takes = operation["parameters"]
                .as_array()
                .is_some_and(|all| all.iter().any(|one| one["name"] == "If-Match"));
            assert_eq!(takes, operation["responses"]["412"].is_object(), "{operation}");
            if takes {
                guarded.push(operation["operationId"].as_str().unwrap().to_owned());
            }
        }
    }
    guarded.sort_unstable();
    assert_eq!(
        guarded,
        [
            "remove_member",
            "remove_repository",
            "remove_repository_token",
            "set_member",
            "set_project",
            "set_queue_limits",
            "set_repository_token",
            "set_user_active",
            "set_user_role",
        ]
    );
}
