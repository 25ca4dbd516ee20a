//! What staff see of the whole, on the real database.

use domain::access::{PlatformRole, ProjectRole, Projects};
use domain::agent::AgentSettings;
use domain::audit::{AuditFilter, AuditPlace};
use domain::delivery::{Accepted, NewDelivery};
use domain::flow::{Author, FlowActor};
use domain::job::{JobChange, JobFilter, JobSelection, JobState};
use domain::overview::Window;
use domain::port::access::{MemberDesk, UserDesk};
use domain::port::staff::{
    AgentDesk, AuditDesk, OverviewDesk, ProjectDesk, RepositoryDesk, RepositoryTokens, SystemDesk,
};
use domain::port::{Inbox, JobDesk, Ledger, QueueDesk};
use domain::project::{Kept, NewProject, Preflight, ProjectEdit};
use domain::queue::Pausable;
use domain::stage::Stage;
use domain::{JobId, Precondition, ProjectId};
use queue::NewJob;
use serde_json::json;
use testkit::contract::{delivery, fresh_delivery_id};

use crate::world::World;

/// Whatever it is.
const ANY: Precondition = Precondition::Anything;

fn ann() -> Author {
    Author {
        actor: FlowActor::Human("ann@example.com".to_owned()),
        reason: Some("a try".to_owned()),
    }
}

#[tokio::test]
async fn the_overview_has_every_step_and_the_open_runs() {
    let world = World::create().await;
    world
        .run(
            "insert into queue.history (id, created_at, started_at, finished_at, kind_id, attempt, max_attempts,
                queue_id, priority, state, args)
            select n, at - interval '1 s', at, at, queue.kind_id('k'), 1, 1, queue.queue_id('runs'), 0, 0, '{}'
            from generate_series(1, 4) as n, (select clock_timestamp() - interval '5 minutes' as at) as ended",
        )
        .await;
    while world.count("select queue.roll_up()::int::bigint").await == 1 {}
    let hour = world.store.overview(Window::Hour, None).await.unwrap();
    assert_eq!((hour.points.len(), hour.whole.ended.completed), (60, 4));
    let in_steps: i64 = hour
        .points
        .iter()
        .map(|point| point.figures.ended.completed)
        .sum();
    assert_eq!(in_steps, 4);
    assert!(
        hour.whole
            .start
            .p50_ms
            .is_some_and(|ms| (800.0..1_450.0).contains(&ms))
    );
    let runs = hour.queues.iter().find(|one| one.queue.name == "runs").unwrap();
    assert_eq!(runs.figures.ended.completed, 4);
    let week = world.store.overview(Window::Week, Some("runs")).await.unwrap();
    assert_eq!(
        (week.points.len(), week.whole.ended.completed, week.queues.len()),
        (168, 4, 1)
    );
}

#[tokio::test]
async fn jobs_belong_to_the_project_of_their_deliverys_repository() {
    let world = World::create().await;
    let accept = async |repository: &str| {
        let id = fresh_delivery_id();
        let new = NewDelivery {
            repository: Some(repository.to_owned()),
            ..delivery(&id, b"{}")
        };
        match world.store.accept(new).await.unwrap() {
            Accepted::New(job) => job,
            other => panic!("{other:?}"),
        }
    };
    let own = accept("Codertocat/Hello-World").await;
    let foreign = accept("codertocat/other").await;
    let demo = Projects::Only(vec![world.repository.project.id]);
    let filter = JobFilter {
        limit: 10,
        ..JobFilter::default()
    };
    let page = JobDesk::list(&world.store, &filter, &demo).await.unwrap();
    let ids: Vec<_> = page.jobs.iter().map(|job| job.id).collect();
    assert_eq!((ids, page.next), (vec![own], None));
    assert!(JobDesk::get(&world.store, own, &demo).await.unwrap().is_some());
    for (id, projects) in [(foreign, &demo), (own, &Projects::Only(vec![ProjectId(0)]))] {
        assert!(JobDesk::get(&world.store, id, projects).await.unwrap().is_none());
        assert!(world.store.why(id, projects).await.unwrap().is_none());
        let action = JobDesk::change(&world.store, id, JobChange::Cancel, projects, &ann()).await;
        assert_eq!(action.unwrap(), domain::job::JobAction::NotFound);
    }
    let by_args = JobFilter {
        args: Some(json!({ "delivery_id": "nowhere" })),
        ..filter
    };
    let page = JobDesk::list(&world.store, &by_args, &Projects::All)
        .await
        .unwrap();
    assert!(page.jobs.is_empty() && page.next.is_none());
}

#[tokio::test]
async fn members_count_and_change_many_jobs_of_their_projects_only() {
    let world = World::create().await;
    let store = &world.store;
    let accept = async |repository: &str| {
        let id = fresh_delivery_id();
        let new = NewDelivery {
            repository: Some(repository.to_owned()),
            ..delivery(&id, b"{}")
        };
        match store.accept(new).await.unwrap() {
            Accepted::New(job) => job,
            other => panic!("{other:?}"),
        }
    };
    let own = [
        accept("Codertocat/Hello-World").await,
        accept("codertocat/hello-world").await,
    ];
    let foreign = accept("codertocat/other").await;
    let demo = Projects::Only(vec![world.repository.project.id]);
    let of = |kind: &str| JobFilter {
        kind: Some(kind.to_owned()),
        ..JobFilter::default()
    };
    let deliveries = of("github.delivery");
    for (filter, projects, found) in [
        (&deliveries, &Projects::All, 3),
        (&deliveries, &demo, 2),
        (&of("run.start"), &Projects::All, 0),
        (&deliveries, &Projects::default(), 0),
    ] {
        let counted = store.count(filter, projects).await.unwrap();
        assert_eq!((counted.count, counted.at_least), (found, false), "{projects:?}");
    }
    let by = &ann();
    let all = JobSelection::Matching(deliveries);
    let named = JobSelection::Ids(vec![own[0], own[1], foreign, JobId(i64::MAX)]);
    for (jobs, found) in [(&all, 2), (&named, 2)] {
        let preview = store.preview(jobs, JobChange::Cancel, &demo).await.unwrap();
        assert_eq!(preview.count, found, "{jobs:?}");
    }
    let changed = store
        .apply(&named, JobChange::Priority(7), &demo, by)
        .await
        .unwrap();
    assert_eq!((changed.done, changed.refused["no such job"]), (2, 2));
    let changed = store.apply(&all, JobChange::Cancel, &demo, by).await.unwrap();
    assert_eq!((changed.done, changed.refused.len()), (2, 0));
    let left = JobDesk::get(store, foreign, &Projects::All)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((left.summary.state, left.summary.priority), (JobState::Ready, 0));
}

#[tokio::test]
async fn the_audit_is_one_list_of_both_records() {
    let world = World::create().await;
    let (store, by) = (&world.store, ann());
    let bob = store
        .invite(&"bob@example.com".parse().unwrap(), &by.actor)
        .await
        .unwrap();
    let made = store.set_role(bob.id, PlatformRole::Admin, &ANY, &by.actor).await;
    made.unwrap();
    store
        .set(
            world.repository.project.id,
            bob.id,
            ProjectRole::Read,
            &ANY,
            &by.actor,
        )
        .await
        .unwrap();
    let mut conn = store.queue().pool().acquire().await.unwrap();
    let job = store
        .queue()
        .enqueue(&mut conn, NewJob::new("mail", "k", json!({})))
        .await
        .unwrap();
    let job = domain::JobId(job.id);
    QueueDesk::pause(store, &Pausable::Queue("mail".to_owned()), true, &by)
        .await
        .unwrap();
    JobDesk::change(store, job, JobChange::Cancel, &Projects::All, &by)
        .await
        .unwrap();

    let all = AuditFilter::default();
    let page = store.entries(&all, AuditPlace::NEWEST, 50).await.unwrap();
    let actions: Vec<&str> = page.entries.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(
        actions,
        [
            "job.cancel",
            "queue.pause",
            "access.member_set",
            "access.role_changed",
            "access.user_invited"
        ]
    );
    let role = &page.entries[3];
    assert_eq!(
        (&role.before, &role.after, role.subject_name.as_deref()),
        (
            &Some(json!({ "role": "none" })),
            &Some(json!({ "role": "admin" })),
            Some("bob@example.com")
        )
    );
    assert_eq!(
        (page.entries[0].jobs.clone(), page.entries[0].reason.as_deref()),
        (vec![job], Some("a try"))
    );

    // Page by page it is the same list.
    let (mut place, mut collected) = (AuditPlace::NEWEST, Vec::new());
    loop {
        let page = store.entries(&all, place, 2).await.unwrap();
        collected.extend(page.entries);
        match page.next {
            Some(next) => place = next,
            None => break,
        }
    }
    assert_eq!(collected, page.entries);

    let found = async |filter: AuditFilter| {
        let page = store.entries(&filter, AuditPlace::NEWEST, 50).await.unwrap();
        page.entries
            .into_iter()
            .map(|entry| entry.action)
            .collect::<Vec<_>>()
    };
    let action = |action: &str| AuditFilter {
        action: Some(action.to_owned()),
        ..AuditFilter::default()
    };
    assert_eq!(found(action("queue.pause")).await, ["queue.pause"]);
    assert_eq!(
        found(action("access.role_changed")).await,
        ["access.role_changed"]
    );
    assert!(found(action("job.pause")).await.is_empty());
    let of_job = AuditFilter {
        job: Some(job),
        ..AuditFilter::default()
    };
    assert_eq!(found(of_job).await, ["job.cancel"]);
    let bobs = AuditFilter {
        subject: Some(format!("user-{}", bob.id)),
        actor: Some("ann@example.com".to_owned()),
        ..AuditFilter::default()
    };
    assert_eq!(found(bobs).await.len(), 3);
    let later = AuditFilter {
        since: Some(page.entries[0].at + chrono::TimeDelta::seconds(1)),
        ..AuditFilter::default()
    };
    assert!(found(later).await.is_empty());
}

#[tokio::test]
async fn projects_are_kept_and_nobody_overwrites_what_they_did_not_see() {
    let world = World::create().await;
    let (store, by) = (&world.store, ann().actor);
    let new = NewProject {
        slug: "shop".parse().unwrap(),
        title: Some("The shop\0".to_owned()),
        slots: 2,
    };
    let Kept::Done(made) = ProjectDesk::create(store, &new, &by).await.unwrap() else {
        panic!("not made")
    };
    assert_eq!(
        (made.title.as_deref(), made.version),
        (Some("The shop\u{fffd}"), 1)
    );
    assert_eq!(ProjectDesk::create(store, &new, &by).await.unwrap(), Kept::Taken);
    let edit = ProjectEdit {
        title: None,
        slots: 3,
        archived: true,
    };
    let seen = Precondition::is(made.version());
    let Kept::Done(edited) = store.edit(made.id, &edit, &seen, &by).await.unwrap() else {
        panic!("not changed")
    };
    assert!(edited.archived_at.is_some() && edited.slots == 3 && edited.version == 2);
    assert_eq!(store.edit(made.id, &edit, &seen, &by).await.unwrap(), Kept::Stale);
    let listed = async |archived, projects| {
        let listed = store.projects(&projects, archived, None, 10).await.unwrap();
        listed.into_iter().map(|one| one.slug).collect::<Vec<_>>()
    };
    assert_eq!(listed(false, Projects::All).await, ["demo"]);
    assert_eq!(listed(true, Projects::All).await, ["demo", "shop"]);
    assert_eq!(listed(true, Projects::Only(vec![made.id])).await, ["shop"]);
    assert!(
        ProjectDesk::project(store, "demo", &Projects::Only(vec![made.id]))
            .await
            .unwrap()
            .is_none()
    );

    // An archived project's labels start no runs.
    let id = world.repository.project.id;
    assert!(
        Ledger::repository(store, &world.repository.name)
            .await
            .unwrap()
            .is_some()
    );
    store.edit(id, &edit, &ANY, &by).await.unwrap();
    assert!(
        Ledger::repository(store, &world.repository.name)
            .await
            .unwrap()
            .is_none()
    );
    let page = store
        .entries(&AuditFilter::default(), AuditPlace::NEWEST, 50)
        .await
        .unwrap();
    let newest = &page.entries[0];
    assert_eq!(
        (newest.action.as_str(), newest.subject_name.as_deref()),
        ("project.archived", Some("demo"))
    );
    assert_eq!(newest.before.as_ref().unwrap()["archived"], false);
}

#[tokio::test]
async fn a_repositorys_token_is_sealed_to_its_row_and_goes_with_it() {
    let world = World::create().await;
    let (store, by) = (&world.store, ann().actor);
    let (id, name) = (world.repository.id, &world.repository.name);
    let token = domain::Secret::new("ghp_hunter2".to_owned());
    let seen = Preflight {
        login: Some("octo".to_owned()),
        ..Preflight::default()
    };
    let unset = Precondition::is(
        RepositoryDesk::repository(store, id, &Projects::All)
            .await
            .unwrap()
            .unwrap()
            .version(),
    );
    let set = store.set_token(id, Some(&token), &seen, &unset, &by);
    assert_eq!(set.await.unwrap(), Kept::Done(()));
    let late = store.set_token(id, None, &seen, &unset, &by);
    assert_eq!(late.await.unwrap(), Kept::Stale);
    store.note_preflight(id, &seen).await.unwrap();
    let shown = RepositoryDesk::repository(store, id, &Projects::All)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(shown.token.as_ref().unwrap().sealed_with, "new");
    assert_eq!(shown.preflight.as_ref().unwrap().0, seen);
    assert!(!format!("{shown:?}").contains("hunter2"));
    assert_eq!(store.token(id).await.unwrap().unwrap().expose(), "ghp_hunter2");
    assert_eq!(
        store.token_of(name).await.unwrap().unwrap().expose(),
        "ghp_hunter2"
    );
    let told = "select count(*) from audit.flow_event where data::text like '%hunter2%'";
    assert_eq!(world.count(told).await, 0);

    // In another row it opens nowhere.
    let other = "octo/other".parse().unwrap();
    let Kept::Done(second) = store.add(shown.project_id, &other, &by).await.unwrap() else {
        panic!("not added")
    };
    world
        .run(
            "update platform.repository o set sealed_token = r.sealed_token, sealed_with = r.sealed_with,
                token_set_at = now() from platform.repository r where o.name = 'octo/other' and r.sealed_token is not null",
        )
        .await;
    assert!(store.token(second.id).await.is_err());

    let other_project = NewProject {
        slug: "shop".parse().unwrap(),
        title: None,
        slots: 1,
    };
    let Kept::Done(shop) = ProjectDesk::create(store, &other_project, &by).await.unwrap() else {
        panic!("not made")
    };
    assert_eq!(store.add(shop.id, name, &by).await.unwrap(), Kept::Taken);
    for (seen, left) in [
        (&unset, Kept::Stale),
        (&ANY, Kept::Done(())),
        (&ANY, Kept::NotFound),
    ] {
        assert_eq!(RepositoryDesk::remove(store, id, seen, &by).await.unwrap(), left);
    }
    assert!(store.token_of(name).await.unwrap().is_none());
    assert!(Ledger::repository(store, name).await.unwrap().is_none());
    // It comes back as the one it was, in another project, without its token.
    let Kept::Done(back) = store.add(shop.id, name, &by).await.unwrap() else {
        panic!("not added")
    };
    assert_eq!((back.id, back.token, back.project.as_str()), (id, None, "shop"));
}

#[tokio::test]
async fn what_runs_where() {
    let world = World::create().await;
    let system = world.store.system().await.unwrap();
    assert!(
        system
            .schemas
            .iter()
            .all(|schema| schema.present == schema.needed),
        "{system:?}"
    );
    assert!(system.database.version.starts_with("PostgreSQL") && system.database.size_bytes > 0);
    assert!(system.processes.iter().any(|process| process.connections > 0));
    assert!(
        system
            .migrations
            .iter()
            .any(|one| one.owner == "queue" && one.version == 1)
    );
}

#[tokio::test]
async fn agents_are_as_living_workers_say_and_as_the_last_runs_stand() {
    let world = World::create().await;
    let store = &world.store;
    let mut settings = AgentSettings {
        image: "agent:1".to_owned(),
        command: vec!["codex-k8s".to_owned()],
        deadline_s: 60,
        namespace_lease_s: 3_600,
        log_limit_bytes: 1_024,
        requests: [("cpu".to_owned(), "1".to_owned())].into(),
        limits: [("cpu".to_owned(), "2".to_owned())].into(),
    };
    store.announce("pod-0", &settings).await.unwrap();
    store.announce("pod-1", &settings).await.unwrap();
    "agent:2".clone_into(&mut settings.image);
    store.announce("pod-0", &settings).await.unwrap();
    assert!(store.agents().await.unwrap().workers.is_empty(), "nobody lives");
    world
        .run("insert into queue.worker (name, queues, kinds, concurrency, lease_ms) values ('pod-0', '{}', '{}', 1, 60000)")
        .await;
    let run = testkit::contract::new_run(&world.repository, 1);
    domain::port::RunStore::create(store, run).await.unwrap();
    let found = store.agents().await.unwrap();
    assert_eq!((found.workers.len(), &found.workers[0].settings), (1, &settings));
    assert_eq!(found.runs, [(Stage::Dev, "pending".to_owned(), 1)]);
    // What a pod said that is long gone is forgotten when another one speaks.
    world
        .run("update platform.agent_settings set announced_at = announced_at - interval '2 days'")
        .await;
    store.announce("pod-2", &settings).await.unwrap();
    let left = "select count(*) from platform.agent_settings where worker in ('pod-0', 'pod-2')";
    assert_eq!(world.count(left).await, 2);
    assert_eq!(
        world.count("select count(*) from platform.agent_settings").await,
        2
    );
}
