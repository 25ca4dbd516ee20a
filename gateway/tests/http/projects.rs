//! Projects and repositories, in process on fakes.

use axum::http::Method;
use domain::ProjectId;
use domain::access::{PlatformRole, ProjectRole};
use domain::agent::AgentSettings;
use domain::port::staff::AgentDesk;
use domain::stage::Stage;
use serde_json::{Value, json};

use crate::description::request;
use crate::sign_in::{invite, sign_in};
use crate::world::{SECRET, World, world};

async fn made(world: &World) -> Value {
    let wish = json!({ "slug": "demo", "title": "The demo", "slots": 2 });
    let made = world.staff_json(Method::POST, "projects", wish).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.json()
}

#[tokio::test]
async fn projects_are_made_changed_and_archived() {
    let world = world();
    let project = made(&world).await;
    insta::assert_json_snapshot!(project);
    let again = json!({ "slug": "demo", "slots": 1 });
    let taken = world.staff_json(Method::POST, "projects", again).await;
    assert_eq!(taken.code(409), "name_taken");
    for bad in [
        json!({ "slug": "Demo", "slots": 1 }),
        json!({ "slug": "other", "slots": -1 }),
        json!({ "slug": "other", "slots": 1, "title": "" }),
    ] {
        let refused = world.staff_json(Method::POST, "projects", bad).await;
        assert_eq!(refused.code(400), "body_invalid");
    }
    let wish = json!({ "title": "Another", "slots": 5, "archived": true });
    let changed = world.staff_json(Method::PUT, "projects/demo", wish).await.json();
    assert_eq!((&changed["slots"], &changed["version"]), (&json!(5), &json!("2")));
    let listed = world.staff(Method::GET, "projects").await.json();
    assert!(
        listed["items"].as_array().unwrap().is_empty(),
        "archived: {listed}"
    );
    let listed = world.staff(Method::GET, "projects?archived=true").await.json();
    assert_eq!(listed["items"][0]["slug"], "demo");
    assert_eq!(
        world.staff(Method::GET, "projects/other").await.code(404),
        "not_found"
    );
}

#[tokio::test]
async fn a_repository_is_put_in_set_up_and_taken_out() {
    let world = world();
    made(&world).await;
    let add = || {
        world.staff_json(
            Method::POST,
            "projects/demo/repositories",
            json!({ "name": "octo/demo" }),
        )
    };
    let repository = add().await.json();
    assert_eq!(repository, add().await.json(), "idempotent");
    assert_eq!(repository["preflight"], Value::Null);
    world.staff.put_project(ProjectId(7), "other");
    let theirs = json!({ "name": "Octo/Demo" });
    let taken = world
        .staff_json(Method::POST, "projects/other/repositories", theirs)
        .await;
    assert_eq!(taken.code(409), "name_taken");
    let bad = json!({ "name": "octo" });
    let bad = world
        .staff_json(Method::POST, "projects/demo/repositories", bad)
        .await;
    assert_eq!(bad.code(400), "body_invalid");

    // Without a token nothing is as it has to be; with a wrong one it stays so.
    let looked = world.staff(Method::POST, "repositories/1/preflight").await.json();
    assert_eq!(looked["preflight"]["checks"][0]["state"], "failed");
    let wrong = json!({ "token": "nobody's" });
    let refused = world.staff_json(Method::PUT, "repositories/1/token", wrong).await;
    assert_eq!(refused.code(422), "forge_refused");
    let refused = world.staff(Method::POST, "repositories/1/webhook").await;
    assert_eq!(refused.code(422), "forge_refused");
    let good = json!({ "token": " a good token\n" });
    let set = world.staff_json(Method::PUT, "repositories/1/token", good).await;
    assert!(!set.text.contains("a good token"), "it is never shown");
    assert_eq!(set.json()["token"]["login"], "octo");
    let hooked = world.staff(Method::POST, "repositories/1/webhook").await.json();
    let states: Vec<&str> = hooked["preflight"]["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["ok", "ok"]);
    let (url, secret) = world.setup.hook().unwrap();
    assert_eq!(
        (url.as_str(), secret.expose().as_str()),
        ("https://codex.test/api/v1/webhooks/github", SECRET)
    );
    assert_eq!(
        world.staff(Method::POST, "repositories/1/labels").await.status,
        200
    );
    let bare = world.staff(Method::DELETE, "repositories/1/token").await.json();
    assert_eq!(bare["token"], Value::Null);
    assert_eq!(world.staff(Method::DELETE, "repositories/1").await.status, 204);
    assert_eq!(
        world.staff(Method::GET, "repositories/1").await.code(404),
        "not_found"
    );
    let changes: Vec<&str> = world.staff.changes().iter().map(|(what, _)| *what).collect();
    assert_eq!(
        changes,
        ["created", "added", "token set", "token removed", "removed"]
    );
}

#[tokio::test]
async fn members_see_their_projects_and_admins_of_a_project_change_it() {
    let world = world();
    let (own, other) = (
        world.access.add_project("demo"),
        world.access.add_project("other"),
    );
    world.staff.put_project(own, "demo");
    world.staff.put_project(other, "other");
    let user = invite(&world, "ann@example.com", PlatformRole::None).await;
    world.access.add_member(user, own, ProjectRole::Admin);
    let token = sign_in(&world, "ann@example.com").await.token;
    let ask = |method: Method, path: &str| {
        world.ask(request(&method, &format!("/api/v1/staff/{path}"), Some(&token)))
    };
    let listed = ask(Method::GET, "projects").await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
    for slug in ["demo", "other"] {
        let added = world
            .staff_json(
                Method::POST,
                &format!("projects/{slug}/repositories"),
                json!({ "name": format!("octo/{slug}") }),
            )
            .await;
        assert_eq!(added.status, 200);
    }
    let listed = ask(Method::GET, "repositories").await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(ask(Method::POST, "repositories/1/preflight").await.status, 200);
    for path in ["projects/other", "repositories/2"] {
        assert_eq!(ask(Method::GET, path).await.code(404), "not_found", "{path}");
    }
    world.access.add_member(user, other, ProjectRole::ReadWrite);
    assert_eq!(ask(Method::GET, "repositories/2").await.status, 200);
    assert_eq!(
        ask(Method::POST, "repositories/2/preflight").await.code(403),
        "forbidden"
    );
    assert_eq!(ask(Method::DELETE, "repositories/2").await.code(403), "forbidden");
}

#[tokio::test]
async fn what_runs_and_how_it_is_configured() {
    let world = World::new(gateway::Settings {
        configuration: [("A", false), ("B", true)]
            .map(|(name, is_secret)| gateway::ConfigurationLine {
                name: name.to_owned(),
                meaning: "a thing".to_owned(),
                default: "none".to_owned(),
                is_set: true,
                is_secret,
                value: Some("hunter2".to_owned()),
            })
            .to_vec(),
        ..crate::world::settings()
    });
    let system = world.staff(Method::GET, "system").await.json();
    assert_eq!(system["schemas"][0]["present"], 14);
    let settings = world.staff(Method::GET, "settings").await.json();
    assert_eq!(
        (&settings[0]["value"], &settings[1]["value"]),
        (&json!("hunter2"), &Value::Null)
    );
}

#[tokio::test]
async fn agents_are_as_workers_run_them() {
    let world = world();
    let settings = AgentSettings {
        image: "agents/dev:7".to_owned(),
        command: vec!["codex-k8s".to_owned(), "agent".to_owned()],
        deadline_s: 3_600,
        namespace_lease_s: 86_400,
        log_limit_bytes: 10_485_760,
        requests: [("cpu".to_owned(), "250m".to_owned())].into(),
        limits: [("cpu".to_owned(), "2".to_owned())].into(),
    };
    world.staff.announce("worker-0", &settings).await.unwrap();
    world.staff.put_runs(Stage::Dev, "failed", 2);
    world.staff.put_runs(Stage::Dev, "succeeded", 40);
    insta::assert_json_snapshot!(world.staff(Method::GET, "agents").await.json());
}
