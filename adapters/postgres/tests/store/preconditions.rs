//! Of two who saw the same and change it at once, one wins and the other is told; on the real database, for each thing
//! that has a version.

use domain::access::{Change, PlatformRole, ProjectRole, Projects};
use domain::flow::{Author, FlowActor};
use domain::port::QueueDesk;
use domain::port::access::{MemberDesk, UserDesk};
use domain::port::staff::{ProjectDesk, RepositoryDesk};
use domain::project::{Kept, Preflight, ProjectEdit};
use domain::queue::{Limits, LimitsSet};
use domain::{Precondition, Secret};
use queue::NewJob;
use serde_json::json;

use crate::world::World;

const ROUNDS: i32 = 8;

fn by() -> FlowActor {
    FlowActor::Human("ann@example.com".to_owned())
}

fn one_wins<T: PartialEq + std::fmt::Debug>(pair: &(T, T), stale: &T) {
    let told = [&pair.0, &pair.1].into_iter().filter(|done| *done == stale);
    assert_eq!(told.count(), 1, "{pair:?}");
}

#[tokio::test]
async fn of_two_people_who_change_a_person_one_wins() {
    let world = World::create().await;
    let store = &world.store;
    let user = store.invite(&"bob@example.com".parse().unwrap(), &by()).await;
    let (id, project) = (user.unwrap().id, world.repository.project.id);
    let (by, mut role) = (&by(), PlatformRole::Admin);
    for _ in 0..ROUNDS {
        let seen = &Precondition::is(UserDesk::get(store, id).await.unwrap().unwrap().version());
        let is_active = UserDesk::get(store, id).await.unwrap().unwrap().active;
        let pair = tokio::join!(
            store.set_role(id, role, seen, by),
            store.set_active(id, !is_active, seen, by)
        );
        one_wins(&(pair.0.unwrap(), pair.1.unwrap()), &Change::Stale);
        let is_admin = UserDesk::get(store, id).await.unwrap().unwrap().role == PlatformRole::Admin;
        role = if is_admin {
            PlatformRole::None
        } else {
            PlatformRole::Admin
        };
    }

    for _ in 0..ROUNDS {
        let set = |role| MemberDesk::set(store, project, id, role, &Precondition::Absent, by);
        let pair = tokio::join!(set(ProjectRole::Read), set(ProjectRole::Admin));
        let pair = (pair.0.unwrap(), pair.1.unwrap());
        one_wins(&pair, &Change::Stale);
        let members = MemberDesk::list(store, project).await.unwrap();
        let seen = Precondition::is(members[0].version());
        let pair = tokio::join!(
            MemberDesk::set(store, project, id, ProjectRole::ReadWrite, &seen, by),
            MemberDesk::remove(store, project, id, &seen, by)
        );
        let pair = (pair.0.unwrap() == Change::Stale, pair.1.unwrap() == Change::Stale);
        one_wins(&pair, &true);
        let any = &Precondition::Anything;
        MemberDesk::remove(store, project, id, any, by).await.unwrap();
    }
}

#[tokio::test]
async fn of_two_people_who_change_a_project_or_a_token_one_wins() {
    let world = World::create().await;
    let (store, by) = (&world.store, &by());
    let (id, repository) = (world.repository.project.id, world.repository.id);
    let nothing = Preflight::default();
    for round in 0..ROUNDS {
        let project = ProjectDesk::project(store, "demo", &Projects::All).await;
        let seen = &Precondition::is(project.unwrap().unwrap().version());
        let edit = |slots| ProjectEdit {
            title: None,
            slots,
            archived: false,
        };
        let (one, two) = (edit(100 + round), edit(200 + round));
        let pair = tokio::join!(store.edit(id, &one, seen, by), store.edit(id, &two, seen, by));
        one_wins(&(pair.0.unwrap(), pair.1.unwrap()), &Kept::Stale);

        let found = RepositoryDesk::repository(store, repository, &Projects::All).await;
        let seen = &Precondition::is(found.unwrap().unwrap().version());
        let token = Secret::new(format!("ghp_{round}"));
        let set = || store.set_token(repository, Some(&token), &nothing, seen, by);
        let pair = tokio::join!(set(), set());
        one_wins(&(pair.0.unwrap(), pair.1.unwrap()), &Kept::Stale);
    }
}

#[tokio::test]
async fn of_two_people_who_set_limits_one_wins() {
    let world = World::create().await;
    let store = &world.store;
    let mut conn = store.queue().pool().acquire().await.unwrap();
    let job = NewJob::new("mail", "user.welcome", json!({}));
    store.queue().enqueue(&mut conn, job).await.unwrap();
    drop(conn);
    let by = &Author {
        actor: by(),
        reason: None,
    };
    for round in 0..ROUNDS {
        let present = QueueDesk::limits(store, "mail").await.unwrap().unwrap();
        let seen = &Precondition::is(present.version());
        let to = |max_running| Limits {
            max_running: Some(max_running),
            ..Limits::default()
        };
        let pair = tokio::join!(
            store.set_limits("mail", to(100 + round), seen, by),
            store.set_limits("mail", to(200 + round), seen, by)
        );
        one_wins(&(pair.0.unwrap(), pair.1.unwrap()), &LimitsSet::Stale);
    }
}
