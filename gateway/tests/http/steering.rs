//! Staff steer jobs, queues and schedules through the API.

use axum::http::Method;
use chrono::DateTime;
use domain::JobId;
use domain::flow::{Author, FlowActor};
use domain::job::{JobChange, JobReason, JobState, QueueCounts, RunTime};
use domain::queue::{CatchUp, Limits, LiveWorker, QueueOverview, Rate, Schedule, Tick};
use serde_json::{Value, json};

use crate::staff_rows::{at, job};
use crate::world::{World, world};

fn because(reason: Option<&str>) -> Author {
    Author {
        actor: FlowActor::Human("development".to_owned()),
        reason: reason.map(str::to_owned),
    }
}

async fn get(world: &World, path: &str) -> Value {
    let answer = world.staff(Method::GET, path).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

async fn post(world: &World, path: &str, body: Value) -> Value {
    let answer = world.staff_json(Method::POST, path, body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[tokio::test]
async fn a_job_says_why_it_is_not_running() {
    let world = world();
    world.jobs.put(job(1, JobState::Waiting));
    let reason = JobReason {
        code: "waits_for".to_owned(),
        text: "it waits for job 7".to_owned(),
        facts: json!({"jobs": [{"id": 7, "state": "dead"}], "more": false}),
    };
    world.jobs.put_reasons(JobId(1), vec![reason]);
    assert_eq!(
        get(&world, "jobs?state=waiting").await["items"][0]["state"],
        "waiting"
    );
    insta::assert_json_snapshot!(get(&world, "jobs/1/why").await);
    let unknown = world.staff(Method::GET, "jobs/9/why").await;
    assert_eq!(unknown.code(404), "not_found");
}

#[tokio::test]
async fn one_job_is_rescheduled_prioritized_and_deleted() {
    let world = world();
    world.jobs.put(job(1, JobState::Scheduled));
    world.jobs.put(job(2, JobState::Running));
    let done = json!({"job_id": 1, "result": "done"});
    let wish = json!({"in_ms": 60_000, "reason": "GitHub is down"});
    assert_eq!(post(&world, "jobs/1/reschedule", wish).await, done);
    assert_eq!(post(&world, "jobs/1/reschedule", json!({})).await, done);
    assert_eq!(
        post(&world, "jobs/1/priority", json!({"priority": -5})).await,
        done
    );
    let deleted = world
        .staff(Method::DELETE, "jobs/1?reason=nobody%20wants%20it")
        .await;
    assert_eq!((deleted.status.as_u16(), deleted.json()), (200, done));
    let runs = world.staff(Method::DELETE, "jobs/2").await;
    assert_eq!(runs.code(409), "job_state");
    assert_eq!(
        world.jobs.audit(),
        [
            (
                JobId(1),
                JobChange::Reschedule(RunTime::InMs(60_000)),
                because(Some("GitHub is down"))
            ),
            (JobId(1), JobChange::Reschedule(RunTime::Now), because(None)),
            (JobId(1), JobChange::Priority(-5), because(None)),
            (JobId(1), JobChange::Delete, because(Some("nobody wants it"))),
        ]
    );
}

#[tokio::test]
async fn many_jobs_are_previewed_and_changed_by_filter() {
    let world = world();
    for number in 1..=6 {
        let state = if number > 2 {
            JobState::Dead
        } else {
            JobState::Ready
        };
        world.jobs.put(job(number, state));
    }
    for (filter, count) in [
        ("", 6),
        ("?state=dead&queue=runs", 2),
        ("?kind=nothing&limit=1", 0),
    ] {
        assert_eq!(
            get(&world, &format!("jobs/count{filter}")).await,
            json!({"count": count, "at_least": false, "next": null}),
            "{filter}"
        );
    }
    let wish = json!({
        "change": {"action": "retry"}, "filter": {"states": ["dead"], "queue": "runs"}, "reason": "GitHub is back",
    });
    assert_eq!(
        post(&world, "jobs/bulk/preview", wish.clone()).await,
        json!({"count": 2, "at_least": false})
    );
    assert!(world.jobs.audit().is_empty(), "a preview changes nothing");
    assert_eq!(
        post(&world, "jobs/bulk", wish).await,
        json!({"done": 2, "requested": 0, "refused": [], "stopped_before": null})
    );
    let by = because(Some("GitHub is back"));
    assert_eq!(
        world.jobs.audit(),
        [6, 4].map(|id| (JobId(id), JobChange::Retry, by.clone()))
    );
    let named = json!({"change": {"action": "reschedule", "in_ms": 5}, "ids": [1, 3, 99]});
    assert_eq!(
        post(&world, "jobs/bulk", named).await,
        json!({
            "done": 1, "requested": 0, "stopped_before": null,
            "refused": [{"reason": "dead", "count": 1}, {"reason": "no such job", "count": 1}],
        })
    );
    let all = json!({"change": {"action": "cancel"}, "all": true});
    assert_eq!(post(&world, "jobs/bulk/preview", all).await["count"], 4);
}

#[tokio::test]
async fn a_bulk_without_a_clear_choice_is_refused() {
    let world = world();
    world.jobs.put(job(1, JobState::Ready));
    let cancel = || json!({"action": "cancel"});
    for body in [
        json!({}),
        json!({"change": cancel()}),
        json!({"change": cancel(), "filter": {}}),
        json!({"change": cancel(), "ids": []}),
        json!({"change": cancel(), "ids": [1], "all": true}),
        json!({"change": cancel(), "filter": {"queu": "runs"}}),
        json!({"change": cancel(), "filter": {"queue": "a\u{0}b"}}),
        json!({"change": {"action": "cancel", "priority": 1}, "all": true}),
        json!({"change": {"action": "explode"}, "all": true}),
        json!({"change": {"action": "reschedule", "in_ms": 1, "at": "2026-01-01T00:00:00Z"}, "all": true}),
    ] {
        let answer = world.staff_json(Method::POST, "jobs/bulk", body.clone()).await;
        assert_eq!(answer.code(400), "body_invalid", "{body}");
    }
    let untyped = world.staff(Method::POST, "jobs/bulk").await;
    assert_eq!(untyped.code(415), "content_type");
    assert!(world.jobs.audit().is_empty());
}

fn queue(name: &str) -> QueueOverview {
    QueueOverview {
        name: name.to_owned(),
        paused_at: None,
        limits: Limits {
            max_running: Some(5),
            rate: Some(Rate {
                jobs: 10,
                period_ms: 60_000,
            }),
            ..Limits::default()
        },
        keep_days: 30,
        counts: QueueCounts {
            queue: name.to_owned(),
            ready: 3,
            scheduled: 2,
            waiting: 1,
            running: 4,
            oldest_ready_ms: Some(1_500),
        },
        as_of: at(0),
        exact: true,
    }
}

fn worker(name: &str) -> LiveWorker {
    LiveWorker {
        id: 7,
        name: name.to_owned(),
        queues: vec!["runs".to_owned()],
        kinds: vec!["run.start".to_owned()],
        concurrency: 32,
        held: Some(4),
        started_at: at(1),
        heartbeat_age_ms: 250,
        is_late: false,
        draining_at: None,
    }
}

#[tokio::test]
async fn queues_and_workers_are_shown() {
    let world = world();
    world.queues.put(queue("runs"));
    world.queues.put_worker(worker("worker-0"));
    insta::assert_json_snapshot!([get(&world, "queues").await, get(&world, "workers").await]);
}

#[tokio::test]
async fn a_worker_is_asked_to_drain_once() {
    let world = world();
    world.queues.put_worker(worker("worker-0"));
    for changed in [true, false] {
        let path = "workers/worker-0/drain?reason=its%20node%20is%20leaving";
        assert_eq!(
            post(&world, path, json!({})).await,
            json!({"name": "worker-0", "changed": changed})
        );
    }
    assert!(get(&world, "workers").await[0]["draining_at"].is_string());
    let asked = ("drain worker-0".to_owned(), because(Some("its node is leaving")));
    assert_eq!(world.queues.audit(), [asked]);
    let unknown = world.staff(Method::POST, "workers/worker-1/drain").await;
    assert_eq!(unknown.code(404), "not_found");
}

#[tokio::test]
async fn queues_kinds_and_tenants_are_paused_and_resumed() {
    let world = world();
    world.queues.put(queue("runs"));
    let tenant = json!({"queue": "runs", "tenant": "acme"});
    let paused = post(
        &world,
        "queues/pause",
        json!({"queue": "runs", "reason": "too hot"}),
    )
    .await;
    assert_eq!(
        paused,
        json!({"queue": "runs", "kind": null, "tenant": null, "paused": true, "changed": true})
    );
    post(&world, "queues/pause", json!({"kind": "run.start"})).await;
    post(&world, "queues/pause", tenant.clone()).await;
    let again = post(&world, "queues/pause", tenant.clone()).await;
    assert_eq!(
        (&again["paused"], &again["changed"]),
        (&json!(true), &json!(false))
    );
    let list = get(&world, "queues/pauses").await;
    assert_eq!(list.as_array().unwrap().len(), 3, "{list}");
    assert_eq!(
        (&list[0]["queue"], &list[0]["tenant"]),
        (&json!("runs"), &json!("acme"))
    );
    let resumed = post(&world, "queues/resume", tenant).await;
    assert_eq!(
        (&resumed["paused"], &resumed["changed"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(world.queues.audit()[0].1, because(Some("too hot")));

    let unknown = world
        .staff_json(Method::POST, "queues/pause", json!({"queue": "rnus"}))
        .await;
    assert_eq!(unknown.code(404), "not_found");
    for body in [
        json!({}),
        json!({"tenant": "acme"}),
        json!({"queue": "runs", "kind": "run.start"}),
    ] {
        let answer = world.staff_json(Method::POST, "queues/pause", body).await;
        assert_eq!(answer.code(400), "body_invalid");
    }
}

#[tokio::test]
async fn limits_are_set_and_those_left_out_lifted() {
    let world = world();
    world.queues.put(queue("runs"));
    let wish = json!({"max_running_per_key": 1, "rate": {"jobs": 2, "period_ms": 500}});
    let answer = world.staff_json(Method::PUT, "queues/runs/limits", wish).await;
    let limits = json!({
        "max_running": null, "max_running_per_key": 1, "rate": {"jobs": 2, "period_ms": 500}, "rate_per_key": null,
        "version": "-;1;2/500;-",
    });
    assert_eq!((answer.status.as_u16(), answer.json()), (200, limits.clone()));
    assert_eq!(get(&world, "queues").await[0]["limits"], limits);
    for bad in [
        json!({"max_running": 0}),
        json!({"rate": {"jobs": 0, "period_ms": 5}}),
        json!({"rate_per_key": {"jobs": 1, "period_ms": 0}}),
        json!({"rate": {"jobs": 1, "period_ms": 2_147_483_648_i64}}),
        json!({"rate": {"jobs": 1}}),
        json!({"max_runing": 1}),
    ] {
        let answer = world
            .staff_json(Method::PUT, "queues/runs/limits", bad.clone())
            .await;
        assert_eq!(answer.code(400), "body_invalid", "{bad}");
    }
    let unknown = world
        .staff_json(Method::PUT, "queues/rnus/limits", json!({}))
        .await;
    assert_eq!(unknown.code(404), "not_found");
}

fn schedule(name: &str) -> Schedule {
    Schedule {
        name: name.to_owned(),
        cron: "0 3 * * *".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        queue: "runs".to_owned(),
        kind: "report.build".to_owned(),
        args: json!({}),
        priority: 0,
        single: false,
        catch_up: CatchUp::All(3),
        paused_at: None,
        next_at: Some(at(9)),
        error: None,
        last_tick: Some(at(1)),
        last_job_id: Some(JobId(5)),
    }
}

#[tokio::test]
async fn schedules_are_listed_in_pages_and_shown_with_their_ticks() {
    let world = world();
    for name in ["hourly", "nightly", "weekly"] {
        world.schedules.put(schedule(name));
    }
    for second in 1..=3 {
        let tick = Tick {
            at: at(second),
            manual: second == 2,
            job_id: JobId(second),
        };
        world.schedules.put_tick("nightly", tick);
    }
    let first = get(&world, "schedules?limit=2").await;
    assert_eq!(first["items"][1]["name"], "nightly");
    let next = first["next"].as_str().unwrap();
    let second = get(&world, &format!("schedules?limit=2&after={next}")).await;
    assert_eq!(
        (&second["items"][0]["name"], &second["next"]),
        (&json!("weekly"), &Value::Null)
    );
    insta::assert_json_snapshot!(get(&world, "schedules/nightly").await);
    let ticks = get(&world, "schedules/nightly/ticks?limit=2").await;
    assert_eq!(
        (&ticks["items"][0]["job_id"], &ticks["items"][1]["manual"]),
        (&json!(3), &json!(true))
    );
    let next = ticks["next"].as_str().unwrap();
    let ticks = get(&world, &format!("schedules/nightly/ticks?before={next}")).await;
    assert_eq!(
        ticks["items"],
        json!([{"at": DateTime::from_timestamp(1_700_000_001, 0), "manual": false, "job_id": 1}])
    );
    for path in ["schedules/daily", "schedules/daily/ticks"] {
        assert_eq!(world.staff(Method::GET, path).await.code(404), "not_found");
    }
}

#[tokio::test]
async fn schedules_are_paused_run_and_removed() {
    let world = world();
    world.schedules.put(schedule("nightly"));
    let done =
        |changed: bool, job: Option<i64>| json!({"name": "nightly", "changed": changed, "job_id": job});
    for (method, path, expected) in [
        (
            Method::POST,
            "schedules/nightly/pause?reason=holidays",
            done(true, None),
        ),
        (Method::POST, "schedules/nightly/pause", done(false, None)),
        (Method::POST, "schedules/nightly/resume", done(true, None)),
        (Method::POST, "schedules/nightly/run", done(true, Some(1))),
        (Method::DELETE, "schedules/nightly", done(true, None)),
    ] {
        let answer = world.staff(method, path).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, expected), "{path}");
    }
    let done: Vec<String> = world
        .schedules
        .audit()
        .into_iter()
        .map(|(what, _)| what)
        .collect();
    assert_eq!(
        done,
        ["pause nightly", "resume nightly", "run nightly", "remove nightly"]
    );
    assert_eq!(world.schedules.audit()[0].1, because(Some("holidays")));
    for path in ["pause", "resume", "run"] {
        let gone = world
            .staff(Method::POST, &format!("schedules/nightly/{path}"))
            .await;
        assert_eq!(gone.code(404), "not_found");
    }
}
