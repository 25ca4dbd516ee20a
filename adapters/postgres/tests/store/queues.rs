//! Staff's desks of jobs, queues and schedules, on the real database: what they show is what the queue holds.

use domain::access::Projects;
use domain::flow::{Author, FlowActor};
use domain::job::{JobAction, JobChange, JobFilter, JobSelection, JobState, RunTime};
use domain::port::{JobDesk, QueueDesk, ScheduleDesk};
use domain::queue::{Limits, LimitsSet, Pausable, Rate, Switched};
use domain::{JobId, Precondition};
use queue::{AuditFilter, NewJob, OnConflict, Schedule};
use serde_json::json;

use crate::world::World;

fn ann() -> Author {
    Author {
        actor: FlowActor::Human("ann".to_owned()),
        reason: Some("it was wrong".to_owned()),
    }
}

async fn enqueue(world: &World, job: NewJob) -> JobId {
    let queue = world.store.queue();
    let mut conn = queue.pool().acquire().await.unwrap();
    JobId(queue.enqueue(&mut conn, job).await.unwrap().id)
}

fn mail() -> NewJob {
    NewJob::new("mail", "user.welcome", json!({}))
}

/// Action and reason of each line of the queue's audit, oldest first.
async fn audited(world: &World) -> Vec<String> {
    let any = AuditFilter::default();
    let mut actions = Vec::new();
    for entry in world.store.queue().audit(&any, None, 100).await.unwrap() {
        assert_eq!(
            (entry.actor.as_str(), entry.reason.as_deref()),
            ("ann", Some("it was wrong"))
        );
        actions.insert(0, entry.action);
    }
    actions
}

#[tokio::test]
async fn a_job_that_waits_for_another_says_so_and_for_which() {
    let world = World::create().await;
    let first = enqueue(&world, mail().tenant("acme").tag("welcome")).await;
    let second = enqueue(&world, mail().after([first.0])).await;
    let filter = |states| JobFilter {
        states,
        limit: 10,
        ..JobFilter::default()
    };
    let listed = async |filter| {
        JobDesk::list(&world.store, &filter, &Projects::All)
            .await
            .unwrap()
            .jobs
    };
    let waiting = listed(filter(vec![JobState::Waiting])).await;
    assert_eq!(
        (waiting.len(), waiting[0].id, waiting[0].state),
        (1, second, JobState::Waiting)
    );
    assert!(listed(filter(vec![JobState::Scheduled])).await.is_empty());
    let tagged = JobFilter {
        tag: Some("welcome".to_owned()),
        tenant: Some("acme".to_owned()),
        ..filter(vec![])
    };
    let tagged = listed(tagged).await;
    assert_eq!(
        (tagged.len(), tagged[0].tenant.as_deref(), tagged[0].tags.clone()),
        (1, Some("acme"), vec!["welcome".to_owned()])
    );
    let counts = JobDesk::counts(&world.store).await.unwrap();
    let counts = counts.iter().find(|count| count.queue == "mail").unwrap();
    assert_eq!((counts.ready, counts.scheduled, counts.waiting), (1, 0, 1));

    let why = world.store.why(second, &Projects::All).await.unwrap().unwrap();
    assert_eq!((why.id, why.state), (second, JobState::Waiting));
    assert_eq!(why.reasons[0].code, "waits_for");
    assert_eq!(why.reasons[0].facts["jobs"][0]["id"], first.0);
    assert!(why.reasons[0].facts.get("reason").is_none());
    assert!(
        why.reasons[0].text.contains(&first.to_string()),
        "{}",
        why.reasons[0].text
    );
    assert!(
        world
            .store
            .why(JobId(i64::MAX), &Projects::All)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_job_gets_another_time_and_priority_and_goes() {
    let world = World::create().await;
    let id = enqueue(&world, mail()).await;
    let change = async |change| {
        JobDesk::change(&world.store, id, change, &Projects::All, &ann())
            .await
            .unwrap()
    };
    let shown = async || {
        JobDesk::get(&world.store, id, &Projects::All)
            .await
            .unwrap()
            .unwrap()
            .summary
    };
    assert_eq!(
        change(JobChange::Reschedule(RunTime::InMs(3_600_000))).await,
        JobAction::Done
    );
    assert_eq!(shown().await.state, JobState::Scheduled);
    assert_eq!(change(JobChange::Reschedule(RunTime::Now)).await, JobAction::Done);
    assert_eq!(change(JobChange::Priority(-7)).await, JobAction::Done);
    assert_eq!(
        (shown().await.state, shown().await.priority),
        (JobState::Ready, -7)
    );
    assert_eq!(change(JobChange::Delete).await, JobAction::Done);
    assert!(
        JobDesk::get(&world.store, id, &Projects::All)
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(
        audited(&world).await,
        ["reschedule", "reschedule", "priority", "delete"]
    );
    let events = "select count(*) from audit.flow_event where kind in
        ('job.rescheduled', 'job.reprioritized', 'job.deleted') and actor = 'ann'";
    assert_eq!(world.count(events).await, 4);
}

#[tokio::test]
async fn a_key_in_the_way_is_said_and_no_failure() {
    let world = World::create().await;
    let keyed = || mail().unique("welcome-ada", OnConflict::Keep);
    let old = enqueue(&world, keyed()).await;
    JobDesk::change(&world.store, old, JobChange::Cancel, &Projects::All, &ann())
        .await
        .unwrap();
    let rival = enqueue(&world, keyed()).await;
    let action = JobDesk::change(&world.store, old, JobChange::Retry, &Projects::All, &ann())
        .await
        .unwrap();
    let JobAction::InTheWay(why) = action else {
        panic!("{action:?}")
    };
    assert!(why.contains(&rival.to_string()), "{why}");
}

#[tokio::test]
async fn many_jobs_are_counted_and_then_changed() {
    let world = World::create().await;
    for _ in 0..3 {
        enqueue(&world, mail()).await;
    }
    let other = enqueue(&world, NewJob::new("other", "user.welcome", json!({}))).await;
    let jobs = JobSelection::Matching(JobFilter {
        queue: Some("mail".to_owned()),
        ..JobFilter::default()
    });
    let preview = JobDesk::preview(&world.store, &jobs, JobChange::Cancel, &Projects::All)
        .await
        .unwrap();
    assert_eq!((preview.count, preview.at_least), (3, false));
    let changed = JobDesk::apply(&world.store, &jobs, JobChange::Cancel, &Projects::All, &ann())
        .await
        .unwrap();
    assert_eq!((changed.done, changed.requested, changed.stopped), (3, 0, None));
    let named = JobSelection::Ids(vec![other, JobId(i64::MAX)]);
    let changed = JobDesk::apply(&world.store, &named, JobChange::Retry, &Projects::All, &ann())
        .await
        .unwrap();
    assert_eq!(changed.done, 0);
    assert_eq!(
        changed.refused,
        [("no such job".to_owned(), 1), ("ready".to_owned(), 1)].into()
    );
    assert_eq!(audited(&world).await, ["cancel"]);
}

#[tokio::test]
async fn queues_are_paused_limited_and_shown() {
    let world = World::create().await;
    enqueue(&world, mail()).await;
    let store = &world.store;
    let tenant = Pausable::Tenant {
        queue: "mail".to_owned(),
        tenant: "acme".to_owned(),
    };
    let all = [
        Pausable::Queue("mail".to_owned()),
        Pausable::Kind("user.welcome".to_owned()),
        tenant,
    ];
    for (paused, expected) in [
        (true, Switched::Done),
        (true, Switched::Unchanged),
        (false, Switched::Done),
        (false, Switched::Unchanged),
    ] {
        for what in &all {
            assert_eq!(
                QueueDesk::pause(store, what, paused, &ann()).await.unwrap(),
                expected,
                "{what:?}"
            );
        }
        let mut pauses: Vec<Pausable> = store
            .pauses(10)
            .await
            .unwrap()
            .into_iter()
            .map(|p| p.what)
            .collect();
        pauses.reverse();
        assert_eq!(pauses, if paused { all.to_vec() } else { vec![] });
    }
    for what in [
        Pausable::Queue("mial".to_owned()),
        Pausable::Kind("user.welcom".to_owned()),
    ] {
        assert_eq!(
            QueueDesk::pause(store, &what, true, &ann()).await.unwrap(),
            Switched::NotFound
        );
    }
    let limits = Limits {
        max_running: Some(3),
        rate_per_key: Some(Rate {
            jobs: 2,
            period_ms: 1_500,
        }),
        ..Limits::default()
    };
    let any = &Precondition::Anything;
    for (queue, set) in [("mail", LimitsSet::Done), ("mial", LimitsSet::NotFound)] {
        assert_eq!(store.set_limits(queue, limits, any, &ann()).await.unwrap(), set);
    }
    assert_eq!(QueueDesk::limits(store, "mail").await.unwrap(), Some(limits));
    assert_eq!(QueueDesk::limits(store, "mial").await.unwrap(), None);
    let queues = store.queues().await.unwrap();
    assert!(!queues.iter().any(|queue| queue.name == "mial"));
    let queue = queues.iter().find(|queue| queue.name == "mail").unwrap();
    assert_eq!(
        (queue.limits, queue.counts.ready, queue.paused_at),
        (limits, 1, None)
    );
    assert_eq!(
        audited(&world).await,
        ["pause", "pause", "pause", "resume", "resume", "resume", "limits"]
    );
}

#[tokio::test]
async fn schedules_are_shown_paused_run_and_removed() {
    let world = World::create().await;
    let store = &world.store;
    let mut conn = store.queue().pool().acquire().await.unwrap();
    for name in ["nightly", "weekly"] {
        let schedule = Schedule::new(name, "0 3 * * *", "mail", "report.build", json!({}));
        store.queue().put_schedule(&mut conn, schedule).await.unwrap();
    }
    drop(conn);
    let names = async |after, limit| -> Vec<String> {
        let page = ScheduleDesk::list(store, after, limit).await.unwrap();
        page.into_iter().map(|schedule| schedule.name).collect()
    };
    assert_eq!(names(None, 1).await, ["nightly"]);
    assert_eq!(names(Some("nightly"), 10).await, ["weekly"]);
    let pause = async |name, paused| ScheduleDesk::pause(store, name, paused, &ann()).await.unwrap();
    assert_eq!(pause("nightly", true).await, Switched::Done);
    assert_eq!(pause("nightly", true).await, Switched::Unchanged);
    assert_eq!(pause("daily", true).await, Switched::NotFound);
    let shown = ScheduleDesk::get(store, "nightly").await.unwrap().unwrap();
    assert!(shown.paused_at.is_some());
    let job = store.run_now("nightly", &ann()).await.unwrap().unwrap();
    assert_eq!(store.run_now("daily", &ann()).await.unwrap(), None);
    let ticks = store.ticks("nightly", None, 10).await.unwrap();
    assert_eq!((ticks.len(), ticks[0].job_id, ticks[0].manual), (1, job, true));
    assert_eq!(pause("nightly", false).await, Switched::Done);
    assert!(store.remove("nightly", &ann()).await.unwrap());
    assert!(!store.remove("nightly", &ann()).await.unwrap());
    assert_eq!(audited(&world).await, ["pause", "trigger", "resume", "remove"]);
}
