//! The overview, and what members see of jobs.

use axum::http::Method;
use domain::JobId;
use domain::access::{PlatformRole, ProjectRole};
use domain::audit::AuditEntry;
use domain::job::{JobLogLine, JobState, LogLevel, QueueCounts};
use domain::overview::{Ended, Figures, Health, Latency, OpenRuns, Overview, Point, QueueFigures};
use domain::queue::{Limits, QueueOverview};
use serde_json::{Value, json};

use crate::description::request;
use crate::sign_in::{invite, sign_in};
use crate::staff_rows::{at, job};
use crate::world::world;

fn overview() -> Overview {
    let figures = Figures {
        ended: Ended {
            completed: 9,
            cancelled: 0,
            dead: 1,
        },
        start: Latency {
            p50_ms: Some(4.0),
            p99_ms: Some(30.5),
        },
        run: Latency::default(),
    };
    Overview {
        step_ms: 60_000,
        counted_until: at(60),
        points: vec![Point { at: at(0), figures }],
        whole: figures,
        queues: vec![QueueFigures {
            queue: QueueOverview {
                name: "runs".to_owned(),
                paused_at: None,
                limits: Limits::default(),
                keep_days: 30,
                counts: QueueCounts {
                    queue: "runs".to_owned(),
                    ready: 2,
                    scheduled: 0,
                    waiting: 0,
                    running: 1,
                    oldest_ready_ms: Some(40),
                },
                as_of: at(61),
                exact: true,
            },
            figures,
        }],
        runs: OpenRuns {
            waiting: 0,
            preparing: 0,
            running: 1,
        },
        health: Health {
            workers: 2,
            workers_late: 1,
            workers_draining: 0,
            schedules: 3,
            schedules_late: 0,
            schedules_failing: 1,
            pauses: 0,
            oldest_snapshot_s: Some(0.5),
            database_ms: 1.5,
        },
    }
}

#[tokio::test]
async fn everything_at_a_glance() {
    let world = world();
    world.staff.put_overview(overview());
    let shown = world.staff(Method::GET, "overview?window=24h&queue=runs").await;
    assert_eq!(shown.status, 200, "{shown:?}");
    insta::assert_json_snapshot!(shown.json());
    let unknown = world.staff(Method::GET, "overview?queue=mail").await;
    assert_eq!(unknown.code(404), "not_found");
    let bad = world.staff(Method::GET, "overview?window=2h").await;
    assert_eq!(bad.code(400), "query_invalid");
}

#[tokio::test]
async fn a_jobs_log_is_read_on() {
    let world = world();
    world.jobs.put(job(1, JobState::Running));
    let line = |id| JobLogLine {
        id,
        at: at(id),
        attempt: 1,
        worker: "w-1".to_owned(),
        level: LogLevel::Warn,
        line: format!("line {id}"),
    };
    world.jobs.write_log(JobId(1), (1..=3).map(line).collect());
    let first = world.staff(Method::GET, "jobs/1/log?limit=2").await.json();
    assert_eq!(
        (&first["next_after"], &first["items"][0]["level"]),
        (&json!(2), &json!("warn"))
    );
    let rest = world.staff(Method::GET, "jobs/1/log?after=2").await.json();
    assert_eq!(rest["items"][0]["line"], "line 3");
    let none = world.staff(Method::GET, "jobs/1/log?after=3").await.json();
    assert_eq!(none, json!({ "items": [], "next_after": 3 }));
    assert_eq!(
        world.staff(Method::GET, "jobs/9/log").await.code(404),
        "not_found"
    );
}

#[tokio::test]
async fn jobs_are_found_by_their_arguments() {
    let world = world();
    world.jobs.put(job(1, JobState::Ready));
    world.jobs.put(job(2, JobState::Ready));
    let found = world
        .staff(Method::GET, "jobs?args=%7B%22delivery_id%22%3A%22d-2%22%7D")
        .await
        .json();
    let ids: Vec<&Value> = found["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["id"])
        .collect();
    assert_eq!(ids, [2]);
    for bad in ["jobs?args=5", "jobs?args=%7B"] {
        let (code, detail) = world.staff(Method::GET, bad).await.problem(400);
        assert_eq!(code, "query_invalid");
        assert!(detail.contains("JSON object"), "{detail}");
    }
}

#[tokio::test]
async fn members_see_their_projects_jobs_and_steer_them_as_far_as_they_may() {
    let world = world();
    let (own, other) = (
        world.access.add_project("demo"),
        world.access.add_project("other"),
    );
    for number in 1..=3 {
        world.jobs.put(job(number, JobState::Dead));
    }
    world.jobs.put_correlation("d-1", own);
    world.jobs.put_correlation("d-2", other);
    let user = invite(&world, "ann@example.com", PlatformRole::None).await;
    world.access.add_member(user, own, ProjectRole::ReadWrite);
    let token = sign_in(&world, "ann@example.com").await.token;
    let ask = |method: Method, path: &str| {
        world.ask(request(&method, &format!("/api/v1/staff/{path}"), Some(&token)))
    };
    let listed = ask(Method::GET, "jobs").await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed["items"][0]["id"], 1);
    assert_eq!(ask(Method::POST, "jobs/1/retry").await.status, 200);
    for path in ["jobs/2", "jobs/3", "jobs/2/why", "jobs/2/log"] {
        assert_eq!(ask(Method::GET, path).await.code(404), "not_found", "{path}");
    }
    assert_eq!(ask(Method::POST, "jobs/2/retry").await.code(404), "not_found");
    // Who may only see learns that it is there, and that it isn't theirs to change.
    world.access.add_member(user, other, ProjectRole::Read);
    assert_eq!(ask(Method::GET, "jobs/2").await.status, 200);
    assert_eq!(ask(Method::POST, "jobs/2/retry").await.code(403), "forbidden");
}

#[tokio::test]
async fn who_changed_what() {
    let world = world();
    for number in 1..=3 {
        world.staff.put_audit(AuditEntry {
            id: format!("p{number}"),
            at: at(number),
            actor: "ann@example.com".to_owned(),
            action: "access.role_changed".to_owned(),
            subject: Some(format!("user-{number}")),
            subject_name: Some("bob@example.com".to_owned()),
            before: Some(json!({ "role": "none" })),
            after: Some(json!({ "role": "admin" })),
            data: None,
            reason: None,
            jobs: vec![JobId(number)],
            affected: 1,
            run: None,
            correlation_id: None,
        });
    }
    let page = world.staff(Method::GET, "audit?limit=1").await.json();
    insta::assert_json_snapshot!(page);
    let next = page["next"].as_str().unwrap();
    let page = world
        .staff(Method::GET, &format!("audit?limit=2&before={next}"))
        .await
        .json();
    assert_eq!(
        (&page["items"][1]["id"], &page["next"]),
        (&json!("p1"), &Value::Null)
    );
    for (query, found) in [
        ("subject=user-2", 1),
        ("job=3", 1),
        ("actor=bob", 0),
        ("action=access.role_changed", 3),
    ] {
        let page = world.staff(Method::GET, &format!("audit?{query}")).await.json();
        assert_eq!(page["items"].as_array().unwrap().len(), found, "{query}");
    }
    let bad = world.staff(Method::GET, "audit?before=NQ").await;
    assert_eq!(bad.code(400), "cursor_invalid");
}
