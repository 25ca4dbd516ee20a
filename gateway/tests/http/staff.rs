//! The staff API in process.

use axum::http::Method;
use domain::delivery::DeliveryStatus;
use domain::flow::{Author, FlowActor};
use domain::job::{JobChange, JobState};
use domain::run::{LogLine, RunState, RunSummary};
use domain::{JobId, RunId};
use serde_json::{Value, json};

use crate::staff_rows::{delivery, event, id, job, run};
use crate::world::{World, world};

async fn get(world: &World, path: &str) -> Value {
    let answer = world.staff(Method::GET, path).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// Every id of a list, page by page.
async fn all_pages(world: &World, path: &str) -> Vec<Vec<Value>> {
    let (mut pages, mut before) = (Vec::new(), String::new());
    loop {
        let page = get(world, &format!("{path}{before}")).await;
        pages.push(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["id"].clone())
                .collect(),
        );
        match page["next"].as_str() {
            Some(next) => before = format!("&before={next}"),
            None => return pages,
        }
    }
}

fn development() -> FlowActor {
    FlowActor::Human("development".to_owned())
}

#[tokio::test]
async fn jobs_are_listed_filtered_and_paged() {
    let world = world();
    for number in 1..=5 {
        world.jobs.put(job(
            number,
            if number == 4 {
                JobState::Dead
            } else {
                JobState::Ready
            },
        ));
    }
    assert_eq!(
        all_pages(&world, "jobs?limit=2").await,
        [
            [json!(5), json!(4)].to_vec(),
            vec![json!(3), json!(2)],
            vec![json!(1)]
        ]
    );
    assert_eq!(
        all_pages(&world, "jobs?limit=5").await.len(),
        1,
        "a full last page has no next"
    );
    assert_eq!(all_pages(&world, "jobs?state=dead").await, [[json!(4)]]);
    assert_eq!(
        all_pages(&world, "jobs?queue=runs&kind=run.start").await,
        [[json!(4), json!(2)]]
    );
    let counts = get(&world, "jobs/counts").await;
    assert_eq!(
        counts[0],
        json!({"queue": "deliveries", "ready": 3, "scheduled": 0, "waiting": 0, "running": 0, "oldest_ready_ms": null})
    );
    insta::assert_json_snapshot!(get(&world, "jobs/4").await);
}

#[tokio::test]
async fn jobs_are_retried_and_cancelled() {
    let world = world();
    world.jobs.put(job(1, JobState::Dead));
    world.jobs.put(job(2, JobState::Running));
    world.jobs.put(job(3, JobState::Completed));
    let retried = world.staff(Method::POST, "jobs/1/retry").await;
    assert_eq!(
        (retried.status.as_u16(), retried.json()),
        (200, json!({"job_id": 1, "result": "done"}))
    );
    let cancelled = world.staff(Method::POST, "jobs/1/cancel").await;
    assert_eq!(
        (cancelled.status.as_u16(), cancelled.json()),
        (200, json!({"job_id": 1, "result": "done"}))
    );
    let requested = world.staff(Method::POST, "jobs/2/cancel").await;
    assert_eq!(
        (requested.status.as_u16(), requested.json()),
        (202, json!({"job_id": 2, "result": "requested"}))
    );
    for (path, state) in [
        ("jobs/2/retry", "running"),
        ("jobs/3/retry", "completed"),
        ("jobs/3/cancel", "completed"),
    ] {
        let (code, detail) = world.staff(Method::POST, path).await.problem(409);
        assert_eq!(code, "job_state");
        assert!(detail.contains(state), "{detail}");
    }
    for path in ["jobs/9/retry", "jobs/9/cancel"] {
        assert_eq!(world.staff(Method::POST, path).await.code(404), "not_found");
    }
    let by = Author {
        actor: development(),
        reason: None,
    };
    let audit = [
        (1, JobChange::Retry),
        (1, JobChange::Cancel),
        (2, JobChange::Cancel),
    ]
    .map(|(n, what)| (JobId(n), what, by.clone()));
    assert_eq!(world.jobs.audit(), audit);
}

#[tokio::test]
async fn runs_are_listed_and_shown_with_their_events() {
    let world = world();
    world.runs.put(run(
        1,
        "demo",
        RunState::Failed {
            reason: "exit code 3".into(),
            exit_code: Some(3),
        },
    ));
    world.runs.put(run(2, "other", RunState::WaitingSlot));
    world
        .runs
        .record(event(1, "d-1", "webhook.accepted", FlowActor::System));
    world
        .runs
        .record(event(2, "d-1", "run.created", FlowActor::Human("ann".into())));
    world
        .runs
        .record(event(3, "d-2", "run.created", FlowActor::System));
    assert_eq!(all_pages(&world, "runs?limit=1").await, [[json!(2)], [json!(1)]]);
    assert_eq!(all_pages(&world, "runs?status=waiting_slot").await, [[json!(2)]]);
    assert_eq!(all_pages(&world, "runs?project=demo").await, [[json!(1)]]);
    insta::assert_json_snapshot!(get(&world, "runs/1").await);
    assert_eq!(world.staff(Method::GET, "runs/9").await.code(404), "not_found");
}

#[tokio::test]
async fn a_log_is_read_on() {
    let world = world();
    world.runs.put(run(1, "demo", RunState::Running));
    let line = |number: i64| LogLine {
        number,
        text: format!("line {number}"),
    };
    world.runs.write_log(RunId(1), (1..=3).map(line).collect());
    let first = get(&world, "runs/1/log?limit=2").await;
    assert_eq!(
        first,
        json!({"items": [{"number": 1, "text": "line 1"}, {"number": 2, "text": "line 2"}], "next_after": 2, "last": 3})
    );
    assert_eq!(
        get(&world, "runs/1/log?after=2").await["items"],
        json!([{"number": 3, "text": "line 3"}])
    );
    assert_eq!(
        get(&world, "runs/1/log?after=3").await,
        json!({"items": [], "next_after": 3, "last": 3})
    );
    for (query, numbers) in [
        ("before=3&limit=1", vec![2]),
        ("before=99&limit=2", vec![2, 3]),
        ("search=LINE%202", vec![2]),
        ("search=line&after=1&limit=1", vec![2]),
        ("search=nothing", vec![]),
    ] {
        let page = get(&world, &format!("runs/1/log?{query}")).await;
        let items = page["items"].as_array().unwrap().iter();
        let got: Vec<_> = items.map(|line| line["number"].as_i64().unwrap()).collect();
        assert_eq!(got, numbers, "{query}");
    }
    let whole = world.staff(Method::GET, "runs/1/log.txt").await;
    assert_eq!(whole.text, "line 1\nline 2\nline 3\n");
    assert_eq!(
        whole.header("content-disposition"),
        "attachment; filename=\"run-1.log\""
    );
    assert_eq!(
        world.staff(Method::GET, "runs/9/log.txt").await.code(404),
        "not_found"
    );
    assert_eq!(
        world.staff(Method::GET, "runs/9/log").await.code(404),
        "not_found"
    );
}

#[tokio::test]
async fn a_long_log_is_searched_in_parts() {
    let world = world();
    world.runs.put(run(1, "demo", RunState::Running));
    let line = |number: i64| LogLine {
        number,
        text: (if number == 30_000 { "needle" } else { "hay" }).to_owned(),
    };
    world.runs.write_log(RunId(1), (1..=30_001).map(line).collect());
    assert_eq!(
        get(&world, "runs/1/log?search=needle").await,
        json!({"items": [], "next_after": 25_000, "last": 30_001})
    );
    assert_eq!(
        get(&world, "runs/1/log?search=needle&after=25000").await,
        json!({"items": [{"number": 30_000, "text": "needle"}], "next_after": 30_001, "last": 30_001})
    );
    // A page that is full ends with its last line, for there may be others after it.
    assert_eq!(
        get(&world, "runs/1/log?search=needle&after=25000&limit=1").await["next_after"],
        json!(30_000)
    );
    let past = format!("runs/1/log?search=needle&after={}", i64::MAX);
    assert_eq!(get(&world, &past).await["items"], json!([]));
}

#[tokio::test]
async fn a_run_that_ended_badly_is_run_again() {
    let world = world();
    let failed = RunState::Failed {
        reason: "no image".to_owned(),
        exit_code: None,
    };
    world.runs.put(run(1, "demo", failed));
    world.runs.put(RunSummary {
        issue: 8,
        ..run(2, "demo", RunState::Succeeded)
    });
    let again = world
        .staff(Method::POST, "runs/1/retry?reason=it%20is%20back")
        .await;
    assert_eq!(
        (again.status.as_u16(), again.json()),
        (201, json!({"run_id": 3, "status": "pending"}))
    );
    let by = Author {
        actor: development(),
        reason: Some("it is back".to_owned()),
    };
    assert_eq!(world.runs.retried(), [(RunId(1), by)]);
    for (path, detail) in [
        ("runs/1/retry", "run 3 of the same issue has not ended"),
        ("runs/2/retry", "run 2 is succeeded"),
        ("runs/3/retry", "run 3 is pending"),
    ] {
        let (code, said) = world.staff(Method::POST, path).await.problem(409);
        assert_eq!(code, "run_state");
        assert!(said.contains(detail), "{said}");
    }
    assert_eq!(
        world.staff(Method::POST, "runs/9/retry").await.code(404),
        "not_found"
    );
}

#[tokio::test]
async fn runs_are_canceled() {
    let world = world();
    world.runs.put(run(1, "demo", RunState::Running));
    world.runs.put(run(2, "demo", RunState::Succeeded));
    let done = world.staff(Method::POST, "runs/1/cancel?reason=enough").await;
    assert_eq!(
        (done.status.as_u16(), done.json()),
        (200, json!({"run_id": 1, "status": "canceled"}))
    );
    let by = Author {
        actor: development(),
        reason: Some("enough".to_owned()),
    };
    assert_eq!(world.runs.canceled(), [(RunId(1), by)]);
    for path in ["runs/1/cancel", "runs/2/cancel"] {
        assert_eq!(
            world.staff(Method::POST, path).await.code(409),
            "run_state",
            "{path}"
        );
    }
    assert_eq!(
        world.staff(Method::POST, "runs/9/cancel").await.code(404),
        "not_found"
    );
}

#[tokio::test]
async fn deliveries_are_listed_and_shown() {
    let world = world();
    for number in 1..=5 {
        world.deliveries.put(delivery(number, DeliveryStatus::Processed));
    }
    world.deliveries.put(delivery(6, DeliveryStatus::Ignored));
    let pages = all_pages(&world, "deliveries?limit=1").await;
    assert_eq!(
        pages,
        ["d-6", "d-5", "d-4", "d-3", "d-2", "d-1"].map(|id| vec![json!(id)])
    );
    assert_eq!(
        all_pages(&world, "deliveries?status=ignored&event=issues").await,
        [[json!("d-6")]]
    );
    insta::assert_json_snapshot!(get(&world, "deliveries/d-6").await);
    assert_eq!(
        world.staff(Method::GET, "deliveries/d-9").await.code(404),
        "not_found"
    );
}

#[tokio::test]
async fn deliveries_are_replayed() {
    let world = world();
    world.deliveries.put(delivery(1, DeliveryStatus::Processed));
    let mut gone = delivery(2, DeliveryStatus::Processed);
    gone.payload = None;
    world.deliveries.put(gone);
    let dry = world
        .staff(Method::POST, "deliveries/d-1/replay?dry_run=true")
        .await;
    assert_eq!(
        (dry.status.as_u16(), dry.json()),
        (200, json!({"replay": "possible", "job_id": null}))
    );
    assert!(world.deliveries.audit().is_empty());
    let done = world
        .staff(Method::POST, "deliveries/d-1/replay?dry_run=false")
        .await;
    assert_eq!(
        (done.status.as_u16(), done.json()),
        (202, json!({"replay": "enqueued", "job_id": 2}))
    );
    assert_eq!(world.deliveries.audit(), [(id("d-1"), development())]);
    let open = world
        .staff(Method::POST, "deliveries/d-1/replay?dry_run=false")
        .await;
    let (code, detail) = open.problem(409);
    assert_eq!(code, "delivery_still_open");
    assert!(detail.contains("job 2"), "{detail}");
    let gone = world
        .staff(Method::POST, "deliveries/d-2/replay?dry_run=true")
        .await;
    assert_eq!(gone.code(410), "payload_gone");
    let none = world
        .staff(Method::POST, "deliveries/d-9/replay?dry_run=true")
        .await;
    assert_eq!(none.code(404), "not_found");
}

#[tokio::test]
async fn bad_input_is_told_what_is_allowed() {
    let world = world();
    for (path, code, told) in [
        (
            "jobs?stat=dead",
            "query_invalid",
            "expected one of `state`, `queue`, `kind`, `tag`",
        ),
        (
            "jobs?state=gone",
            "query_invalid",
            "expected one of `ready`, `scheduled`, `waiting`, `running`",
        ),
        ("jobs?limit=0", "query_invalid", "whole number from 1 to 200"),
        ("jobs?limit=201", "query_invalid", "whole number from 1 to 200"),
        ("jobs?limit=x", "query_invalid", "limit"),
        ("jobs?queue=", "query_invalid", "1 to 128 characters"),
        ("jobs?queue=a%00b", "query_invalid", "control characters"),
        ("jobs?before=5", "cursor_invalid", "`next`"),
        ("jobs?before=eA", "cursor_invalid", "`next`"),
        ("jobs/counts?queue=runs", "query_invalid", "no query parameters"),
        ("jobs/1?full=true", "query_invalid", "no query parameters"),
        ("runs/1?full=true", "query_invalid", "no query parameters"),
        ("deliveries/d-1?full=true", "query_invalid", "no query parameters"),
        ("jobs/x", "path_invalid", "invalid digit"),
        ("jobs/99999999999999999999", "path_invalid", "too large"),
        ("runs?status=done", "query_invalid", "expected one of `pending`"),
        ("runs/1/log?limit=1001", "query_invalid", "1 to 1000"),
        ("runs/1/log?after=x", "query_invalid", "after"),
        (
            "deliveries?status=new",
            "query_invalid",
            "expected one of `accepted`, `processed`, `ignored`",
        ),
        ("deliveries?before=NQ", "cursor_invalid", "`next`"),
        ("deliveries/a%20b", "path_invalid", "1 to 128 characters"),
    ] {
        let (got, detail) = world.staff(Method::GET, path).await.problem(400);
        assert_eq!(got, code, "{path}");
        assert!(detail.contains(told), "{path}: {detail}");
    }
    for path in ["jobs/1/retry?force=true", "jobs/1/cancel?force=true"] {
        assert_eq!(
            world.staff(Method::POST, path).await.code(400),
            "query_invalid",
            "{path}"
        );
    }
    for path in ["deliveries/d-1/replay", "deliveries/d-1/replay?dry_run=1"] {
        let (code, detail) = world.staff(Method::POST, path).await.problem(400);
        assert_eq!(code, "query_invalid", "{path}");
        assert!(
            detail.contains("dry_run") || detail.contains("`true` or `false`"),
            "{path}: {detail}"
        );
    }
}
