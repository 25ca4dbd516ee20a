//! The live stream: who hears what, going on after a break, limits, rights that are taken away.

use std::collections::VecDeque;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::Request;
use domain::access::{PlatformRole, ProjectRole};
use domain::flow::FlowActor;
use domain::id::{ProjectId, RunId};
use domain::job::JobState;
use domain::live::{Changes, LogTail, Owned};
use domain::port::access::{MemberDesk, OwnAccess, UserDesk};
use domain::run::{LogLine, RunState};
use futures::StreamExt;
use gateway::Settings;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use tower::ServiceExt;

use crate::sign_in::{by, invite, sign_in};
use crate::staff_rows::{delivery, event, job, run};
use crate::world::{Answer, TOKEN, World, settings, world};

/// A message.
#[derive(Debug, PartialEq)]
struct Message {
    event: String,
    id: Option<String>,
    data: Value,
}

struct Stream {
    body: BodyDataStream,
    text: String,
    messages: VecDeque<Message>,
}

async fn open(world: &World, token: &str, query: &str, last: Option<&str>) -> Result<Stream, Answer> {
    let mut request = Request::get(format!("/api/v1/staff/stream{query}"))
        .header("authorization", format!("Bearer {token}"));
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let request = request.body(Body::empty()).unwrap();
    let response = world.gateway.router().oneshot(request).await.unwrap();
    if response.status() != 200 {
        let (head, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        return Err(Answer {
            status: head.status,
            headers: head.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        });
    }
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    Ok(Stream {
        body: response.into_body().into_data_stream(),
        text: String::new(),
        messages: VecDeque::new(),
    })
}

impl Stream {
    /// The next message; `None` at the end.
    async fn next(&mut self) -> Option<Message> {
        while self.messages.is_empty() {
            let bytes = timeout(Duration::from_secs(20), self.body.next())
                .await
                .unwrap()?;
            self.text.push_str(std::str::from_utf8(&bytes.unwrap()).unwrap());
            while let Some((message, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let mut values = message.lines().filter_map(|line| line.strip_prefix(name));
                    values.next().map(str::to_owned)
                };
                self.messages.push_back(Message {
                    event: field("event: ").unwrap(),
                    id: field("id: "),
                    data: serde_json::from_str(&field("data: ").unwrap()).unwrap(),
                });
                self.text = rest.into();
            }
        }
        self.messages.pop_front()
    }

    async fn expect(&mut self, event: &str) -> Message {
        let message = self.next().await.unwrap();
        assert_eq!(message.event, event, "{message:?}");
        message
    }
}

fn of<T>(project: ProjectId, row: T) -> Owned<T> {
    Owned {
        project: Some(project),
        row,
    }
}

/// A job, and a run of this project.
fn some(number: i64, project: ProjectId) -> Changes {
    let mut changes = Changes::default();
    changes
        .jobs
        .rows
        .push(of(project, job(number, JobState::Ready).summary));
    changes
        .runs
        .rows
        .push(of(project, run(number, "demo", RunState::Running)));
    changes
}

#[tokio::test]
async fn changes_are_told_in_the_shape_of_the_lists() {
    let world = world();
    let project = world.access.add_project("demo");
    let mut stream = open(&world, TOKEN, "", None).await.unwrap();
    let ready = stream.expect("ready").await;
    assert_eq!(ready.data["resumed"], false);
    assert!(ready.id.is_some());
    let mut changes = some(1, project);
    let mut settled = delivery(3, domain::delivery::DeliveryStatus::Processed).summary;
    settled.run_id = Some(RunId(1));
    changes.deliveries.rows.push(Owned {
        project: None,
        row: settled,
    });
    changes
        .run_events
        .rows
        .push(of(project, event(9, "d-1", "run.running", FlowActor::System)));
    changes.deliveries.more = true;
    world.jobs.put(job(1, JobState::Ready));
    world.runs.put(run(1, "demo", RunState::Running));
    world.changes.push(changes);
    let mut told = Vec::new();
    for event in ["delivery", "more", "job", "run", "run_event"] {
        told.push(stream.expect(event).await);
    }
    let places: Vec<bool> = told.iter().map(|message| message.id.is_some()).collect();
    assert_eq!(
        places,
        [false, false, false, false, true],
        "only who has all of a look is past it"
    );
    assert_eq!(told[1].data, json!({"topics": ["delivery"]}));
    assert_eq!(told[4].data["kind"], "run.running");
    for (list, message) in [("jobs", &told[2]), ("runs", &told[3])] {
        let listed = world.staff(axum::http::Method::GET, list).await.json();
        assert_eq!(listed["items"][0], message.data, "{list}");
    }
}

#[tokio::test]
async fn topics_and_logs_are_chosen() {
    let world = world();
    let project = world.access.add_project("demo");
    world.runs.put(run(1, "demo", RunState::Running));
    let mut runs = open(&world, TOKEN, "?topics=run", None).await.unwrap();
    let mut log = open(&world, TOKEN, "?topics=queues&run=1", None).await.unwrap();
    runs.expect("ready").await;
    log.expect("ready").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let line = |number| LogLine {
        number,
        text: format!("line {number}"),
    };
    let mut changes = some(1, project);
    changes.logs.push(of(
        project,
        LogTail {
            run: RunId(1),
            lines: vec![line(4), line(5)],
        },
    ));
    world.changes.push(changes);
    assert_eq!(runs.expect("run").await.data["id"], 1);
    assert_eq!(
        log.expect("log").await.data,
        json!({"run_id": 1, "lines": [{"number": 4, "text": "line 4"}, {"number": 5, "text": "line 5"}]})
    );
    let unknown = open(&world, TOKEN, "?run=2", None).await.err().unwrap();
    assert_eq!(unknown.code(404), "not_found");
    let unknown = open(&world, TOKEN, "?topics=all", None).await.err().unwrap();
    assert_eq!(unknown.code(400), "query_invalid");
}

#[tokio::test]
async fn a_break_is_made_good_at_any_gateway() {
    let world = world();
    let project = world.access.add_project("demo");
    let mut stream = open(&world, TOKEN, "?topics=run", None).await.unwrap();
    let place = stream.expect("ready").await.id.unwrap();
    drop(stream);
    tokio::time::sleep(Duration::from_millis(600)).await;
    world.changes.push(some(1, project));
    // The hub has stopped meanwhile and begins anew: as another gateway would.
    let mut stream = open(&world, TOKEN, "?topics=run", Some(&place)).await.unwrap();
    assert_eq!(stream.expect("ready").await.data["resumed"], true);
    let missed = stream.expect("run").await;
    assert_eq!(missed.data["id"], 1);
    let mut beside = open(&world, TOKEN, "?topics=run", Some(&place)).await.unwrap();
    assert_eq!(beside.expect("ready").await.data["resumed"], true);
    assert_eq!(
        beside.expect("run").await.data["id"],
        1,
        "from what was told lately"
    );
    drop((stream, beside));
    tokio::time::sleep(Duration::from_millis(600)).await;
    world.changes.pass(120);
    for bad in [missed.id.as_deref().unwrap(), "0", "x", "9999999999999999"] {
        let mut late = open(&world, TOKEN, "?topics=run", Some(bad)).await.unwrap();
        let reset = late.expect("reset").await;
        assert_eq!(reset.data, json!({"reason": "too_old"}), "{bad}");
        assert!(reset.id.is_some());
    }
}

#[tokio::test]
async fn nobody_looks_while_nobody_is_there() {
    let world = world();
    let stream = open(&world, TOKEN, "", None).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert!(world.changes.looks() >= 2);
    drop(stream);
    tokio::time::sleep(Duration::from_millis(600)).await;
    let looks = world.changes.looks();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.changes.looks(), looks);
}

#[tokio::test]
async fn members_hear_of_their_projects_until_they_are_none() {
    let world = world();
    let (own, other) = (
        world.access.add_project("demo"),
        world.access.add_project("other"),
    );
    let user = invite(&world, "ann@example.com", PlatformRole::None).await;
    let browser = sign_in(&world, "ann@example.com").await;
    let refused = open(&world, &browser.token, "", None).await.err().unwrap();
    assert_eq!(refused.code(403), "forbidden");
    world.access.add_member(user, own, ProjectRole::Read);
    let mut stream = open(&world, &browser.token, "?job=5", None).await.unwrap();
    stream.expect("ready").await;
    let mut changes = some(1, other);
    changes.runs.rows.push(of(own, run(2, "demo", RunState::Running)));
    world.changes.push(changes);
    assert_eq!(
        stream.expect("run").await.data["id"],
        2,
        "neither the other project's job nor its run"
    );
    // Taken away and changed at once: the change isn't told any more.
    MemberDesk::remove(&*world.access, own, user, &domain::Precondition::Anything, &by())
        .await
        .unwrap();
    world.changes.push(some(3, own));
    assert_eq!(stream.expect("end").await.data, json!({"reason": "revoked"}));
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn a_stream_ends_with_its_session_and_with_its_token() {
    let world = world();
    invite(&world, "root@example.com", PlatformRole::Admin).await;
    let browser = sign_in(&world, "root@example.com").await;
    let mut stream = open(&world, &browser.token, "", None).await.unwrap();
    stream.expect("ready").await;
    let user = UserDesk::list(&*world.access, None, 1).await.unwrap()[0].id;
    UserDesk::sign_out_everywhere(&*world.access, user, &by())
        .await
        .unwrap();
    assert_eq!(stream.expect("end").await.data, json!({"reason": "revoked"}));
    assert_eq!(stream.next().await, None);

    let browser = sign_in(&world, "root@example.com").await;
    assert_eq!(world.access.sessions(user).await.unwrap().len(), 1);
    let mut stream = open(&world, &browser.token, "", None).await.unwrap();
    stream.expect("ready").await;
    world.changes.pass(601);
    assert_eq!(
        stream.expect("end").await.data,
        json!({"reason": "token_expired"})
    );
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn there_is_room_for_so_many() {
    let world = World::new(Settings {
        streams_per_user: 2,
        streams: 3,
        ..settings()
    });
    invite(&world, "root@example.com", PlatformRole::Admin).await;
    let browser = sign_in(&world, "root@example.com").await;
    let first = open(&world, TOKEN, "", None).await.unwrap();
    let _second = open(&world, TOKEN, "", None).await.unwrap();
    let refused = open(&world, TOKEN, "", None).await.err().unwrap();
    assert_eq!(refused.code(429), "too_many_streams");
    assert_eq!(refused.header("retry-after"), "10");
    let _third = open(&world, &browser.token, "", None).await.unwrap();
    let refused = open(&world, &browser.token, "", None).await.err().unwrap();
    assert_eq!(refused.code(503), "streams_full");
    drop(first);
    open(&world, &browser.token, "", None).await.unwrap();
}

#[tokio::test]
async fn who_doesnt_keep_up_reads_anew() {
    let world = world();
    let project = world.access.add_project("demo");
    let mut stream = open(&world, TOKEN, "?topics=run", None).await.unwrap();
    stream.expect("ready").await;
    tokio::time::pause();
    for number in 1..=40 {
        world.changes.push(some(number, project));
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    let mut last = 0;
    let reset = loop {
        let message = stream.next().await.unwrap();
        if message.event == "reset" {
            break message;
        }
        last = message.data["id"].as_i64().unwrap();
    };
    assert!((30..40).contains(&last), "{last}");
    assert_eq!(reset.data, json!({"reason": "lagged"}));
    assert!(reset.id.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_waited_out() {
    let world = world();
    let project = world.access.add_project("demo");
    let mut stream = open(&world, TOKEN, "?topics=run", None).await.unwrap();
    let ready = stream.expect("ready").await;
    let began = Instant::now();
    world.changes.set_broken(true);
    world.changes.pass(20);
    let behind = stream.expect("heartbeat").await;
    assert!(
        behind.id.is_none() && behind.data["as_of"] == ready.data["as_of"] && behind.data["behind"] == true,
        "{behind:?}"
    );
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "told after {:?}",
        began.elapsed()
    );
    let again = stream.expect("heartbeat").await;
    assert_eq!(again, behind);
    assert!(began.elapsed() >= Duration::from_secs(15), "not before it is due");
    world.changes.push(some(1, project));
    world.changes.set_broken(false);
    assert_eq!(stream.expect("run").await.data["id"], 1);
    assert_eq!(stream.expect("heartbeat").await.data["behind"], false);
    world.changes.set_broken(true);
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.changes.pass(120);
    world.changes.set_broken(false);
    let mut message = stream.next().await.unwrap();
    while message.event == "heartbeat" {
        message = stream.next().await.unwrap();
    }
    assert_eq!(
        (message.event.as_str(), &message.data),
        ("reset", &json!({"reason": "outage"}))
    );
}

#[tokio::test(start_paused = true)]
async fn a_database_that_hangs_is_told_of_before_it_is_given_up() {
    let world = world();
    let mut stream = open(&world, TOKEN, "?topics=run", None).await.unwrap();
    stream.expect("ready").await;
    let began = Instant::now();
    world.changes.set_hanging(true);
    assert_eq!(stream.expect("heartbeat").await.data["behind"], true);
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "told after {:?}",
        began.elapsed()
    );
    world.changes.set_hanging(false);
    assert_eq!(stream.expect("heartbeat").await.data["behind"], false);
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "told after {:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn the_end_of_the_gateway_ends_streams() {
    let world = world();
    let mut stream = open(&world, TOKEN, "", None).await.unwrap();
    stream.expect("ready").await;
    world.shutdown.cancel();
    assert_eq!(stream.expect("end").await.data, json!({"reason": "shutdown"}));
    assert_eq!(stream.next().await, None);
    let refused = open(&world, TOKEN, "", None).await.err().unwrap();
    assert_eq!(refused.code(503), "not_ready");
}
