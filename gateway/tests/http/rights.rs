//! Every route declares a right, and every role meets exactly that at every route.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{Method, Request};
use domain::access::{NewApiToken, PlatformRole, ProjectRole, Scope};
use domain::job::JobState;
use domain::port::access::{MemberDesk, OwnAccess};
use domain::run::RunState;
use gateway::{RateLimit, Settings};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::description::request;
use crate::sign_in::{by, invite, sign_in};
use crate::staff_rows::{delivery, job, run};
use crate::world::{TOKEN, World, settings, world};

/// Method, path with parameters filled in, right.
fn declared() -> Vec<(Method, String, String)> {
    let document = serde_json::to_value(gateway::openapi()).unwrap();
    let mut declared = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let right = operation.get("x-right").and_then(Value::as_str);
            let right = right.unwrap_or_else(|| panic!("{method} {path} declares no right: add `x-right`"));
            let path = path
                .replace("{id}", "999")
                .replace("{name}", "999")
                .replace("{slug}", "demo");
            declared.push((method.to_uppercase().parse().unwrap(), path, right.to_owned()));
        }
    }
    declared
}

/// Who holds which right; written down here by hand, apart from the code that decides it.
const TABLE: &[(&str, &str)] = &[
    (
        "signed_in",
        "nobody reader writer project-admin admin owner token-read token-write token-admin development",
    ),
    ("own_access", "nobody reader writer project-admin admin owner"),
    (
        "project_read",
        "reader writer project-admin admin owner token-read development",
    ),
    (
        "project_write",
        "writer project-admin admin owner token-write development",
    ),
    (
        "project_admin",
        "project-admin admin owner token-admin development",
    ),
    ("platform_read", "admin owner token-read development"),
    ("platform_write", "admin owner token-write development"),
    ("platform_admin", "admin owner token-admin development"),
    ("platform_owner", "owner development"),
];

/// Bearers by who holds them.
async fn bearers(world: &World) -> BTreeMap<&'static str, String> {
    let project = world.access.add_project("demo");
    let mut bearers = BTreeMap::new();
    for (name, platform, in_project) in [
        ("nobody", PlatformRole::None, None),
        ("reader", PlatformRole::None, Some(ProjectRole::Read)),
        ("writer", PlatformRole::None, Some(ProjectRole::ReadWrite)),
        ("project-admin", PlatformRole::None, Some(ProjectRole::Admin)),
        ("admin", PlatformRole::Admin, None),
        ("owner", PlatformRole::Owner, None),
    ] {
        let email = format!("{name}@example.com");
        let user = invite(world, &email, platform).await;
        if let Some(role) = in_project {
            world.access.add_member(user, project, role);
        }
    }
    bearers.insert("development", TOKEN.to_owned());
    bearers
}

/// A token of the owner's with this scope.
async fn owners_token(world: &World, scope: &str, nth: usize) -> String {
    let owner = world.access.person(&"owner@example.com".parse().unwrap()).await;
    let text = format!("ck8s_{scope}_{nth}");
    let token = NewApiToken {
        name: scope.to_owned(),
        scopes: vec![scope.parse::<Scope>().unwrap()],
        days: 1,
        digest: domain::access::Digest(Sha256::digest(&text).into()),
    };
    let owner = owner.unwrap().unwrap();
    world.access.create_token(owner, token, &by()).await.unwrap();
    text
}

#[tokio::test]
async fn every_role_meets_every_route_as_declared() {
    let world = World::new(Settings {
        sign_in_rate_limit: RateLimit {
            per_second: 1_000,
            burst: 10_000,
        },
        ..settings()
    });
    let mut bearers = bearers(&world).await;
    let mut asked = 0;
    for (method, path, right) in declared() {
        if right == "public" {
            assert!(!path.starts_with("/api/v1/staff"), "{path}");
            continue;
        }
        let holders = TABLE.iter().find(|(known, _)| *known == right);
        let (_, holders) = holders.unwrap_or_else(|| panic!("{method} {path} demands the unknown `{right}`"));
        for name in [
            "nobody",
            "reader",
            "writer",
            "project-admin",
            "admin",
            "owner",
            "token-read",
            "token-write",
            "token-admin",
            "development",
        ] {
            // Anew each time: some routes end the session or the token that asks.
            if let Some(scope) = name.strip_prefix("token-") {
                bearers.insert(name, owners_token(&world, scope, asked).await);
            } else if name != "development" {
                bearers.insert(name, sign_in(&world, &format!("{name}@example.com")).await.token);
            }
            let answer = world.ask(request(&method, &path, Some(&bearers[name]))).await;
            let forbidden = answer.status == 403;
            let held = holders.split(' ').any(|holder| holder == name);
            assert_eq!(
                forbidden, !held,
                "{name} at {method} {path} ({right}): {answer:?}"
            );
            asked += 1;
        }
    }
    assert!(asked >= 460, "only {asked} questions");
}

#[tokio::test]
async fn other_projects_are_not_there() {
    let world = world();
    let (own, other) = (
        world.access.add_project("demo"),
        world.access.add_project("other"),
    );
    for (slug, id) in [("demo", own), ("other", other)] {
        world.runs.put_project(slug, id);
    }
    world.runs.put(run(1, "demo", RunState::Running));
    world.runs.put(run(2, "other", RunState::Running));
    let mut mine = delivery(1, domain::delivery::DeliveryStatus::Processed);
    mine.summary.repository = Some("octo/demo".to_owned());
    let mut theirs = delivery(2, domain::delivery::DeliveryStatus::Processed);
    theirs.summary.repository = Some("octo/other".to_owned());
    let ids = [mine.summary.id.to_string(), theirs.summary.id.to_string()];
    world.deliveries.put_repository("octo/demo", own);
    world.deliveries.put_repository("octo/other", other);
    world.deliveries.put(mine);
    world.deliveries.put(theirs);
    let user = invite(&world, "ann@example.com", PlatformRole::None).await;
    world.access.add_member(user, own, ProjectRole::Read);
    let token = sign_in(&world, "ann@example.com").await.token;
    let ask = |method: Method, path: &str| {
        world.ask(request(&method, &format!("/api/v1/staff/{path}"), Some(&token)))
    };

    for list in ["runs", "deliveries"] {
        let listed = ask(Method::GET, list).await.json();
        assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
    }
    assert_eq!(ask(Method::GET, "runs/1").await.status, 200);
    for path in [
        "runs/2",
        "runs/2/log",
        &format!("deliveries/{}", ids[1]),
        "projects/other/members",
    ] {
        assert_eq!(ask(Method::GET, path).await.code(404), "not_found", "{path}");
    }
    assert_eq!(ask(Method::GET, "projects/demo/members").await.status, 200);

    // Who may only see learns that it is there, and that it isn't theirs to change.
    world.access.add_member(user, other, ProjectRole::ReadWrite);
    let replay = |id: &str| ask(Method::POST, &format!("deliveries/{id}/replay?dry_run=true"));
    assert_eq!(replay(&ids[0]).await.code(403), "forbidden");
    assert_eq!(replay(&ids[1]).await.status, 200);
    assert_eq!(replay("nowhere").await.code(404), "not_found");
}

#[tokio::test]
async fn members_change_many_jobs_of_their_own_projects_only() {
    let world = world();
    let (own, other) = (
        world.access.add_project("demo"),
        world.access.add_project("other"),
    );
    for (number, project) in [(1, own), (2, other), (3, own)] {
        world.jobs.put(job(number, JobState::Dead));
        world.jobs.put_correlation(&format!("d-{number}"), project);
    }
    let user = invite(&world, "ann@example.com", PlatformRole::None).await;
    world.access.add_member(user, own, ProjectRole::ReadWrite);
    world.access.add_member(user, other, ProjectRole::Read);
    let token = sign_in(&world, "ann@example.com").await.token;
    let ask = async |path: &str, body: Value| {
        let request = Request::post(format!("/api/v1/staff/jobs/{path}"))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()));
        world.ask(request.unwrap()).await.json()
    };
    let counted = world
        .ask(request(&Method::GET, "/api/v1/staff/jobs/count", Some(&token)))
        .await;
    assert_eq!(counted.json()["count"], 3, "what may be seen");
    let all = || json!({"change": {"action": "retry"}, "all": true});
    assert_eq!(
        ask("bulk/preview", all()).await["count"],
        2,
        "what may be changed"
    );
    let named = json!({"change": {"action": "retry"}, "ids": [1, 2]});
    let done = ask("bulk", named).await;
    assert_eq!(
        (&done["done"], &done["refused"]),
        (&json!(1), &json!([{"reason": "no such job", "count": 1}]))
    );
    assert_eq!(ask("bulk", all()).await["done"], 1);
    let changed: Vec<i64> = world.jobs.audit().iter().map(|(id, ..)| id.0).collect();
    assert_eq!(changed, [1, 3]);
}
