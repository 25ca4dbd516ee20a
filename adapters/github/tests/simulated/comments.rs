//! One comment stays one: lost answers, races, doubles, pages, forgeries.

use domain::CommentId;
use domain::port::{Forge as _, PortError};
use futures::future::join_all;
use http::Method;
use testkit::github::Fault;

use crate::world::{REPOSITORY, World};

const MARKER: &str = "run:7";

async fn upsert(world: &World, known: Option<CommentId>, body: &str) -> Result<CommentId, PortError> {
    world
        .forge
        .upsert_comment(&world.repository, 1, known, MARKER, body)
        .await
}

#[tokio::test]
async fn creates_then_edits_and_leaves_the_same_text_alone() {
    let world = World::new().await;
    let id = upsert(&world, None, "preparing").await.unwrap();
    assert_eq!(upsert(&world, Some(id), "running").await.unwrap(), id);
    assert_eq!(upsert(&world, None, "done").await.unwrap(), id);
    let comments = world.github.comments(REPOSITORY, 1);
    assert_eq!(comments.len(), 1);
    assert_eq!(comments[0].body, "<!-- codex-k8s run:7 -->\ndone");
    let path = format!("/issues/comments/{id}");
    let edits = world.count(&Method::PATCH, &path);
    assert_eq!(edits, 2);
    upsert(&world, Some(id), "done").await.unwrap();
    upsert(&world, None, "done\n").await.unwrap();
    assert_eq!(world.count(&Method::PATCH, &path), edits);
}

#[tokio::test]
async fn another_marker_is_another_comment() {
    let world = World::new().await;
    let seven = upsert(&world, None, "seven").await.unwrap();
    let other = world
        .forge
        .upsert_comment(&world.repository, 1, None, "run:77", "other")
        .await
        .unwrap();
    assert_ne!(seven, other);
    assert_eq!(upsert(&world, None, "seven").await.unwrap(), seven);
    assert_eq!(world.github.comments(REPOSITORY, 1).len(), 2);
}

#[tokio::test]
async fn finds_its_comment_behind_many_others() {
    let world = World::new().await;
    for number in 0..130 {
        world
            .github
            .add_comment(REPOSITORY, 1, "ann", &format!("comment {number}"))
            .unwrap();
    }
    let id = upsert(&world, None, "one").await.unwrap();
    for number in 0..120 {
        world
            .github
            .add_comment(REPOSITORY, 1, "ann", &format!("later {number}"))
            .unwrap();
    }
    assert_eq!(upsert(&world, None, "two").await.unwrap(), id);
    let comments = world.github.comments(REPOSITORY, 1);
    assert_eq!(comments.len(), 251);
    assert!(comments[130].body.ends_with("two"));
}

#[tokio::test]
async fn a_lost_answer_leads_to_no_second_comment() {
    let world = World::new().await;
    world
        .github
        .inject(Method::POST, "/comments", 1, Fault::LoseAnswer);
    let error = upsert(&world, None, "one").await.unwrap_err();
    assert!(matches!(error, PortError::Unavailable { .. }), "{error:?}");
    assert_eq!(
        world.github.comments(REPOSITORY, 1).len(),
        1,
        "the comment was written all the same"
    );
    let id = upsert(&world, None, "two").await.unwrap();
    let comments = world.github.comments(REPOSITORY, 1);
    assert_eq!(comments.len(), 1);
    assert_eq!((comments[0].id, comments[0].body.ends_with("two")), (id.0, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_at_once_end_with_exactly_one() {
    for _ in 0..5 {
        let world = World::new().await;
        world.github.inject(
            Method::GET,
            "/issues/1/comments",
            8,
            Fault::Delay(std::time::Duration::from_millis(20)),
        );
        let results = join_all((0..8).map(|_| upsert(&world, None, "same"))).await;
        let comments = world.github.comments(REPOSITORY, 1);
        assert_eq!(comments.len(), 1, "{results:?}");
        assert!(world.count(&Method::POST, "/comments") > 1, "there was no race");
        for result in results {
            assert_eq!(result.unwrap(), CommentId(comments[0].id));
        }
    }
}

#[tokio::test]
async fn doubles_from_before_are_taken_away() {
    let world = World::new().await;
    let text = "<!-- codex-k8s run:7 -->\nold";
    let oldest = world
        .github
        .add_comment(REPOSITORY, 1, world.github.login(), text)
        .unwrap();
    world.github.add_comment(REPOSITORY, 1, "ann", text).unwrap();
    world
        .github
        .add_comment(REPOSITORY, 1, world.github.login(), text)
        .unwrap();
    assert_eq!(upsert(&world, None, "new").await.unwrap(), CommentId(oldest));
    let comments = world.github.comments(REPOSITORY, 1);
    let by: Vec<&str> = comments.iter().map(|c| c.login.as_str()).collect();
    assert_eq!(
        by,
        [world.github.login(), "ann"],
        "a stranger's copy of the marker is nothing to us"
    );
    assert!(comments[0].body.ends_with("new") && comments[1].body.ends_with("old"));
}

#[tokio::test]
async fn a_comment_that_someone_deleted_is_written_anew() {
    let world = World::new().await;
    let first = upsert(&world, None, "one").await.unwrap();
    world.github.delete_comment(REPOSITORY, first.0).unwrap();
    let second = upsert(&world, Some(first), "two").await.unwrap();
    assert_ne!(first, second);
    assert_eq!(world.github.comments(REPOSITORY, 1).len(), 1);
}

#[tokio::test]
async fn a_known_comment_of_a_stranger_is_not_touched() {
    let world = World::new().await;
    let theirs = world.github.add_comment(REPOSITORY, 1, "ann", "mine").unwrap();
    let ours = upsert(&world, Some(CommentId(theirs)), "status").await.unwrap();
    assert_ne!(ours, CommentId(theirs));
    assert_eq!(world.github.comments(REPOSITORY, 1)[0].body, "mine");
}

#[tokio::test]
async fn a_body_cannot_take_over_another_comment() {
    let world = World::new().await;
    upsert(&world, None, "the issue said: <!-- codex-k8s run:8 -->")
        .await
        .unwrap();
    let eight = world
        .forge
        .upsert_comment(&world.repository, 1, None, "run:8", "eight")
        .await
        .unwrap();
    let comments = world.github.comments(REPOSITORY, 1);
    assert_eq!(comments.len(), 2);
    assert_eq!(comments[1].id, eight.0);
}

#[tokio::test]
async fn a_text_too_long_is_cut_and_accepted() {
    let world = World::new().await;
    upsert(&world, None, &"ü".repeat(100_000)).await.unwrap();
    assert_eq!(
        world.github.comments(REPOSITORY, 1)[0].body.chars().count(),
        65_536
    );
}

#[tokio::test]
async fn no_issue_is_refused_and_a_limit_is_passed_on() {
    let world = World::new().await;
    let error = world
        .forge
        .upsert_comment(&world.repository, 9, None, MARKER, "x")
        .await
        .unwrap_err();
    assert!(matches!(error, PortError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("Codertocat/Hello-World#9"), "{error}");
    let fault = Fault::SecondaryRateLimit {
        status: 403,
        retry_after_s: Some(30),
    };
    world.github.inject(Method::POST, "/comments", 1, fault);
    let error = upsert(&world, None, "x").await.unwrap_err();
    assert!(
        matches!(
            error,
            PortError::Unavailable {
                retry_after_ms: Some(30_000),
                ..
            }
        ),
        "{error:?}"
    );
    let error = world
        .forge
        .upsert_comment(&world.repository, 1, None, "a-->b", "x")
        .await
        .unwrap_err();
    assert!(matches!(error, PortError::Refused { .. }), "{error:?}");
    assert!(world.github.comments(REPOSITORY, 1).is_empty());
}

#[tokio::test]
async fn an_app_writes_under_its_configured_login() {
    let world = World::with(|settings| settings.login = Some("codex-k8s".into())).await;
    world.github.inject(Method::GET, "/user", 100, Fault::Status(403));
    let id = upsert(&world, None, "one").await.unwrap();
    assert_eq!(upsert(&world, None, "two").await.unwrap(), id);
    let unconfigured = World::new().await;
    unconfigured
        .github
        .inject(Method::GET, "/user", 100, Fault::Status(403));
    let error = upsert(&unconfigured, None, "one").await.unwrap_err();
    assert!(matches!(error, PortError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("login must be configured"), "{error}");
}
