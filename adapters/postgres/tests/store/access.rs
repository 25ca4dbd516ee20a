//! What the database itself holds to about access, whoever writes to it.

use std::sync::Arc;

use domain::access::{
    Digest, Identity, NewSignIn, NewSigningKey, OwnerWish, PlatformRole, Refreshed, SessionTimes,
};
use domain::audit::{AuditFilter, AuditPlace};
use domain::flow::FlowActor;
use domain::port::PortError;
use domain::port::access::{SignIns, SigningKeys, UserDesk};
use domain::port::staff::AuditDesk;
use domain::{Precondition, Secret};
use postgres::{Options, Store};

use crate::world::{KEYS, World, options};

const TIMES: SessionTimes = SessionTimes {
    idle_s: 3_600,
    whole_s: 86_400,
};

fn key(id: &str) -> NewSigningKey {
    NewSigningKey {
        id: id.to_owned(),
        seed: Secret::new([7; 32]),
        public: [8; 32],
    }
}

fn sign_in(github_id: i64, refresh: u8) -> NewSignIn {
    NewSignIn {
        identity: Identity {
            github_id,
            login: "ann".to_owned(),
            verified_emails: vec!["ann@example.com".parse().unwrap()],
        },
        refresh: Digest([refresh; 32]),
        user_agent: None,
        times: TIMES,
    }
}

#[tokio::test]
async fn there_is_one_owner_and_it_stays() {
    let world = World::create().await;
    let mut wishes = tokio::task::JoinSet::new();
    for number in 0..4 {
        let store = world.store.clone();
        let email = format!("{number}@example.com").parse().unwrap();
        wishes.spawn(async move { store.ensure_owner(&email).await.unwrap() });
    }
    let made = wishes.join_all().await;
    assert_eq!(
        made.iter().filter(|wish| **wish == OwnerWish::Made).count(),
        1,
        "{made:?}"
    );
    for statement in [
        "update platform.user_account set role = 'none' where role = 'owner'",
        "update platform.user_account set active = false where role = 'owner'",
        "delete from platform.user_account where role = 'owner'",
        "insert into platform.user_account (email, role) values ('eve@example.com', 'owner')",
    ] {
        let refused = sqlx::query(statement).execute(&world.sql).await;
        assert!(refused.is_err(), "{statement}");
    }
    let owners = "select count(*) from platform.user_account where role = 'owner' and active";
    assert_eq!(world.count(owners).await, 1);
}

#[tokio::test]
async fn of_two_that_refresh_at_once_one_ends_the_session() {
    let world = World::create().await;
    let email = "ann@example.com".parse().unwrap();
    world.store.invite(&email, &FlowActor::System).await.unwrap();
    for round in 0..5 {
        let old = 10 * (round + 1);
        world.store.sign_in(sign_in(5, old)).await.unwrap().unwrap();
        let refresh = |new: u8| {
            let store = world.store.clone();
            async move {
                store
                    .refresh(Digest([old; 32]), Digest([new; 32]), TIMES)
                    .await
                    .unwrap()
            }
        };
        let (one, two) = tokio::join!(refresh(old + 1), refresh(old + 2));
        let good = [one, two]
            .iter()
            .filter(|r| matches!(r, Refreshed::Good(_)))
            .count();
        let reused = [one, two].iter().filter(|r| **r == Refreshed::Reused).count();
        assert_eq!((good, reused), (1, 1), "{one:?} {two:?}");
    }
    assert_eq!(
        world
            .count("select count(*) from platform.session where ended_at is null")
            .await,
        0
    );
    assert_eq!(
        world
            .count("select count(*) from platform.session where end_reason = 'token_reused'")
            .await,
        5
    );
    // Nobody's deed, and in the audit all the same.
    let filter = AuditFilter {
        actor: Some("system".to_owned()),
        action: Some("access.refresh_token_reused".to_owned()),
        ..AuditFilter::default()
    };
    let page = world
        .store
        .entries(&filter, AuditPlace::NEWEST, 50)
        .await
        .unwrap();
    assert_eq!(page.entries.len(), 5);
}

#[tokio::test]
async fn what_is_over_is_over() {
    let world = World::create().await;
    let email = "ann@example.com".parse().unwrap();
    world.store.invite(&email, &FlowActor::System).await.unwrap();
    world.store.sign_in(sign_in(5, 1)).await.unwrap().unwrap();
    world
        .run("update platform.refresh_token set expires_at = now() - interval '1 second'")
        .await;
    let idle = world
        .store
        .refresh(Digest([1; 32]), Digest([2; 32]), TIMES)
        .await
        .unwrap();
    assert_eq!(idle, Refreshed::Refused);
    world.store.sign_in(sign_in(5, 3)).await.unwrap().unwrap();
    world
        .run("update platform.session set expires_at = now() - interval '1 second'")
        .await;
    let whole = world
        .store
        .refresh(Digest([3; 32]), Digest([4; 32]), TIMES)
        .await
        .unwrap();
    assert_eq!(whole, Refreshed::Refused);
    // Long over, they are removed when the person next signs in.
    world
        .run("update platform.session set expires_at = now() - interval '31 days'")
        .await;
    world.store.sign_in(sign_in(5, 5)).await.unwrap().unwrap();
    assert_eq!(world.count("select count(*) from platform.session").await, 1);
    assert_eq!(
        world.count("select count(*) from platform.refresh_token").await,
        1
    );
}

#[tokio::test]
async fn every_change_is_in_the_audit_with_before_and_after() {
    let world = World::create().await;
    let by = FlowActor::Human("root@example.com".to_owned());
    let user = world
        .store
        .invite(&"ann@example.com".parse().unwrap(), &by)
        .await
        .unwrap();
    world
        .store
        .set_role(user.id, PlatformRole::Admin, &Precondition::Anything, &by)
        .await
        .unwrap();
    world
        .store
        .set_role(user.id, PlatformRole::Admin, &Precondition::Anything, &by)
        .await
        .unwrap();
    world
        .store
        .set_active(user.id, false, &Precondition::Anything, &by)
        .await
        .unwrap();
    let events: Vec<(String, String, serde_json::Value)> = sqlx::query_as(
        "select kind, actor, data from audit.flow_event where correlation_id = $1 order by id",
    )
    .bind(format!("user-{}", user.id))
    .fetch_all(&world.sql)
    .await
    .unwrap();
    let kinds: Vec<&str> = events.iter().map(|(kind, ..)| kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "access.user_invited",
            "access.role_changed",
            "access.user_deactivated"
        ]
    );
    assert!(events.iter().all(|(_, actor, _)| actor == "root@example.com"));
    assert_eq!(
        events[1].2,
        serde_json::json!({ "before": { "role": "none" }, "after": { "role": "admin" } })
    );
}

#[tokio::test]
async fn signing_keys_are_sealed_to_their_row() {
    let world = World::create().await;
    let id = "0123456789abcdef";
    assert!(world.store.add(key(id), 3_600, 600).await.unwrap());
    let plain = "select count(*) from platform.signing_key
        where position(decode(repeat('07', 32), 'hex') in sealed_private) > 0 or sealed_with <> 'new'";
    assert_eq!(world.count(plain).await, 0);

    let with = |keys: Option<&str>| Options {
        keyring: keys.map(|keys| Arc::new(keys.parse().unwrap())),
        ..options(&world.database)
    };
    let without = Store::connect(&with(None)).await.unwrap();
    assert!(matches!(
        SigningKeys::list(&without).await,
        Err(PortError::Refused { .. })
    ));
    let (_, old) = KEYS.split_once(',').unwrap();
    let other = Store::connect(&with(Some(old))).await.unwrap();
    let error = SigningKeys::list(&other).await.unwrap_err().to_string();
    assert!(error.contains("the key `new`, which isn't configured"), "{error}");
    let reversed = KEYS.split(',').rev().collect::<Vec<_>>().join(",");
    let rotated = Store::connect(&with(Some(&reversed))).await.unwrap();
    assert_eq!(SigningKeys::list(&rotated).await.unwrap()[0].key.id, id);

    world
        .run("update platform.signing_key set id = 'fedcba9876543210'")
        .await;
    let error = SigningKeys::list(&world.store).await.unwrap_err().to_string();
    assert!(error.contains("tampered"), "{error}");
}
