//! The adapter on the simulated GitHub: what it reads, what it refuses, how long it waits.

use std::time::{Duration, Instant};

use crate::world::{REPOSITORY, World};
use domain::port::{Forge as _, PortError};
use domain::repository::Permission;
use http::Method;
use testkit::github::Fault;

#[tokio::test]
async fn reads_an_issue_as_it_is_now() {
    let world = World::new().await;
    let issue = world.forge.issue(&world.repository, 1).await.unwrap().unwrap();
    assert!(issue.open);
    assert_eq!(
        (issue.title.as_str(), issue.body.as_str()),
        ("Spelling error", "It says comit.")
    );
    assert_eq!(issue.labels, ["run:dev", "bug"]);
    world.github.set_open(REPOSITORY, 1, false).unwrap();
    world.github.set_labels(REPOSITORY, 1, &[], "ann").unwrap();
    let issue = world.forge.issue(&world.repository, 1).await.unwrap().unwrap();
    assert!(!issue.open && issue.labels.is_empty());
    assert_eq!(world.forge.issue(&world.repository, 404).await.unwrap(), None);
    assert_eq!(
        world.forge.issue(&"no/such".parse().unwrap(), 1).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn knows_who_may_do_what() {
    let world = World::new().await;
    for (role, expected) in [
        ("admin", Permission::Admin),
        ("maintain", Permission::Maintain),
        ("write", Permission::Write),
        ("triage", Permission::Triage),
        ("read", Permission::Read),
        ("none", Permission::None),
    ] {
        world.github.set_permission(REPOSITORY, "ann", role).unwrap();
        assert_eq!(
            world.forge.permission(&world.repository, "Ann").await.unwrap(),
            expected,
            "{role}"
        );
    }
    assert_eq!(
        world
            .forge
            .permission(&world.repository, "Codertocat")
            .await
            .unwrap(),
        Permission::Admin
    );
    assert_eq!(
        world
            .forge
            .permission(&world.repository, "../../user")
            .await
            .unwrap(),
        Permission::None
    );
    world
        .github
        .set_permission(REPOSITORY, "renovate[bot]", "write")
        .unwrap();
    assert_eq!(
        world
            .forge
            .permission(&world.repository, "renovate[bot]")
            .await
            .unwrap(),
        Permission::Write
    );
    world
        .github
        .set_permission(REPOSITORY, world.github.login(), "read")
        .unwrap();
    let error = world
        .forge
        .permission(&world.repository, "ann")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("Must have push access"), "{error}");
    assert!(matches!(error, PortError::Refused { .. }), "{error:?}");
}

#[tokio::test]
async fn a_read_outlives_a_short_fault_but_not_a_long_one() {
    let world = World::new().await;
    world
        .github
        .inject(Method::GET, "/issues/1", 2, Fault::Status(502));
    world.forge.issue(&world.repository, 1).await.unwrap().unwrap();
    assert_eq!(world.count(&Method::GET, "/issues/1"), 3);
    world
        .github
        .inject(Method::GET, "/issues/1", 1, Fault::LoseAnswer);
    world.forge.issue(&world.repository, 1).await.unwrap().unwrap();
    world
        .github
        .inject(Method::GET, "/issues/1", 100, Fault::Status(500));
    let error = world.forge.issue(&world.repository, 1).await.unwrap_err();
    assert!(
        matches!(
            error,
            PortError::Unavailable {
                retry_after_ms: None,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(world.count(&Method::GET, "/issues/1"), 3 + 2 + 4);
}

#[tokio::test]
async fn a_rate_limit_is_not_hammered_and_says_how_long() {
    let world = World::new().await;
    for (fault, least_ms, most_ms) in [
        (Fault::PrimaryRateLimit { reset_in_s: 90 }, 89_000, 92_000),
        (
            Fault::SecondaryRateLimit {
                status: 429,
                retry_after_s: Some(17),
            },
            17_000,
            17_000,
        ),
        (
            Fault::SecondaryRateLimit {
                status: 403,
                retry_after_s: Some(17),
            },
            17_000,
            17_000,
        ),
        (
            Fault::SecondaryRateLimit {
                status: 403,
                retry_after_s: None,
            },
            60_000,
            60_000,
        ),
    ] {
        let before = world.github.requests().len();
        world.github.inject(Method::GET, "/issues/1", 1, fault);
        let error = world.forge.issue(&world.repository, 1).await.unwrap_err();
        let PortError::Unavailable {
            retry_after_ms: Some(wait_ms),
            ..
        } = error
        else {
            panic!("{error:?}")
        };
        assert!((least_ms..=most_ms).contains(&wait_ms), "{fault:?}: {wait_ms}");
        assert_eq!(world.github.requests().len(), before + 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_slow_answer_ends_in_time() {
    let world = World::with(|settings| {
        settings.request_timeout = Duration::from_millis(100);
        settings.read_budget = Duration::from_millis(400);
    })
    .await;
    world.github.inject(
        Method::GET,
        "/issues/1",
        100,
        Fault::Delay(Duration::from_secs(30)),
    );
    let begun = Instant::now();
    let error = world.forge.issue(&world.repository, 1).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert!(matches!(error, PortError::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_wrong_token_is_refused_for_good() {
    let world = World::with(|settings| settings.token = domain::Secret::new("wrong".into())).await;
    let error = world.forge.issue(&world.repository, 1).await.unwrap_err();
    assert!(matches!(error, PortError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("Bad credentials"), "{error}");
    assert_eq!(world.github.requests().len(), 1);
}

#[tokio::test]
async fn nobody_listening_is_unavailable() {
    let world = World::with(|settings| {
        settings.api_url = "http://127.0.0.1:1".parse().unwrap();
        settings.read_budget = Duration::from_secs(3);
    })
    .await;
    let error = world.forge.issue(&world.repository, 1).await.unwrap_err();
    assert!(
        matches!(error, PortError::Unavailable { part: "github", .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused() {
    for (url, token) in [
        ("ftp://x", "t"),
        ("https://api.github.com", ""),
        ("https://api.github.com", "a\nb"),
    ] {
        let settings = github::GithubSettings::new(url.parse().unwrap(), domain::Secret::new(token.into()));
        assert!(github::GithubForge::new(&settings).is_err(), "{url} {token:?}");
    }
}
