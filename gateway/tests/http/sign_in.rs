//! Signing in, staying so and signing out, in process on fakes.

use axum::body::Body;
use axum::http::{Method, Request};
use chrono::TimeDelta;
use domain::Precondition;
use domain::access::{Identity, OwnerWish, PlatformRole};
use domain::flow::FlowActor;
use domain::id::UserId;
use domain::port::access::{SignIns, UserDesk};
use gateway::{RateLimit, Settings};
use serde_json::Value;

use crate::description::request;
use crate::world::{Answer, ORIGIN, World, settings, world};

/// What a browser keeps.
pub(crate) struct Browser {
    /// `name=value` of the refresh cookie.
    pub(crate) cookie: String,
    /// The access token.
    pub(crate) token: String,
}

pub(crate) fn by() -> FlowActor {
    FlowActor::Human("root@example.com".to_owned())
}

/// Invites somebody with this role on the platform.
pub(crate) async fn invite(world: &World, email: &str, role: PlatformRole) -> UserId {
    let email = email.parse().unwrap();
    if role == PlatformRole::Owner {
        assert_eq!(world.access.ensure_owner(&email).await.unwrap(), OwnerWish::Made);
    }
    let user = world.access.invite(&email, &by()).await.unwrap();
    world
        .access
        .set_role(user.id, role, &Precondition::Anything, &by())
        .await
        .unwrap();
    user.id
}

fn identity(email: &str) -> Identity {
    Identity {
        github_id: email.bytes().map(i64::from).sum(),
        login: email.split('@').next().unwrap().to_owned(),
        verified_emails: vec![email.parse().unwrap()],
    }
}

/// `name=value` of a cookie that an answer sets, and its attributes.
fn set_cookie<'a>(answer: &'a Answer, name: &str) -> (&'a str, &'a str) {
    let all = answer.headers.get_all("set-cookie").into_iter();
    let mut lines = all.map(|line| line.to_str().unwrap());
    let line = lines.find(|line| line.contains(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in {answer:?}"));
    line.split_once("; ").unwrap()
}

/// To the forge: the cookie to keep there, and the state to come back with.
async fn begin(world: &World, query: &str) -> (String, String) {
    let begun = world.get(&format!("/api/v1/auth/github{query}")).await;
    assert_eq!(begun.status, 303, "{begun:?}");
    let (cookie, attributes) = set_cookie(&begun, "sign-in");
    assert_eq!(attributes, "Max-Age=600; Path=/; Secure; HttpOnly; SameSite=Lax");
    let to = begun.header("location");
    assert!(
        to.ends_with(&format!("&redirect_uri={ORIGIN}/api/v1/auth/github/callback")),
        "{to}"
    );
    let state = to.split_once("state=").unwrap().1.split('&').next().unwrap();
    (cookie.to_owned(), state.to_owned())
}

async fn come_back(world: &World, cookie: &str, query: &str) -> Answer {
    let request = Request::get(format!("/api/v1/auth/github/callback?{query}"));
    let request = request.header("cookie", cookie).header("user-agent", "a browser");
    world.ask(request.body(Body::empty()).unwrap()).await
}

/// The answer to the whole way through the forge.
async fn through_the_forge(world: &World, email: &str) -> Answer {
    let (cookie, state) = begin(world, "?return_to=/runs").await;
    world.provider.expect("a-code", identity(email));
    come_back(world, &cookie, &format!("code=a-code&state={state}")).await
}

async fn post(world: &World, path: &str, cookie: &str, origin: Option<&str>) -> Answer {
    let mut request = Request::post(format!("/api/v1/auth/{path}")).header("cookie", cookie);
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    world.ask(request.body(Body::empty()).unwrap()).await
}

async fn refresh(world: &World, cookie: &str) -> Answer {
    post(world, "refresh", cookie, Some(ORIGIN)).await
}

fn refreshed(answer: &Answer) -> Browser {
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    assert_eq!(
        (&body["token_type"], &body["expires_in"]),
        (&"Bearer".into(), &600.into())
    );
    Browser {
        cookie: set_cookie(answer, "refresh").0.to_owned(),
        token: body["access_token"].as_str().unwrap().to_owned(),
    }
}

/// Somebody who was invited signs in.
pub(crate) async fn sign_in(world: &World, email: &str) -> Browser {
    let answer = through_the_forge(world, email).await;
    assert_eq!(answer.status, 303, "{answer:?}");
    assert_eq!(answer.header("location"), "/runs");
    let (cookie, attributes) = set_cookie(&answer, "refresh");
    assert_eq!(
        attributes,
        "Max-Age=604800; Path=/api/v1/auth; Secure; HttpOnly; SameSite=Strict"
    );
    refreshed(&refresh(world, cookie).await)
}

/// `GET /api/v1/staff/me` with this token.
async fn me(world: &World, token: &str) -> Answer {
    world
        .ask(request(&Method::GET, "/api/v1/staff/me", Some(token)))
        .await
}

#[tokio::test]
async fn whoever_is_invited_signs_in_and_is_known() {
    let world = world();
    let id = invite(&world, "ann@example.com", PlatformRole::Admin).await;
    let browser = sign_in(&world, "ann@example.com").await;
    let known = me(&world, &browser.token).await.json();
    assert_eq!(
        (&known["id"], &known["name"]),
        (&id.0.into(), &"ann@example.com".into())
    );
    assert_eq!(known["role"], "admin");

    // The token is what it says it is, by the published keys.
    let keys = world.get("/api/v1/auth/keys").await.json();
    let [header, claims, _] = browser.token.split('.').collect::<Vec<_>>()[..] else {
        panic!("{}", browser.token)
    };
    let part = |text: &str| -> Value {
        use base64::Engine;
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(text)
            .unwrap();
        serde_json::from_slice(&bytes).unwrap()
    };
    assert_eq!(part(header)["kid"], keys["keys"][0]["kid"]);
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    let claims = part(claims);
    assert_eq!(
        (&claims["iss"], &claims["aud"]),
        (&ORIGIN.into(), &"codex-k8s".into())
    );
    assert_eq!(
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        600
    );
    assert!(
        keys["keys"][0].get("d").is_none(),
        "the private part is nobody's business"
    );
}

#[tokio::test]
async fn strangers_and_those_kept_out_get_the_same_answer() {
    let world = world();
    let id = invite(&world, "out@example.com", PlatformRole::None).await;
    world
        .access
        .set_active(id, false, &Precondition::Anything, &by())
        .await
        .unwrap();
    let (_, stranger) = through_the_forge(&world, "eve@example.com").await.problem(403);
    let refused = through_the_forge(&world, "out@example.com").await;
    assert_eq!(refused.problem(403), ("sign_in_refused".to_owned(), stranger));
    assert!(refused.headers.get("set-cookie").is_none());

    let (cookie, state) = begin(&world, "").await;
    let denied = come_back(&world, &cookie, &format!("error=access_denied&state={state}")).await;
    assert_eq!(denied.code(403), "sign_in_refused");
    let invented = come_back(&world, &cookie, &format!("code=invented&state={state}")).await;
    assert_eq!(invented.code(403), "sign_in_refused");
}

#[tokio::test]
async fn a_sign_in_ends_only_where_it_began_and_only_on_this_site() {
    let world = world();
    invite(&world, "ann@example.com", PlatformRole::None).await;
    let (cookie, state) = begin(&world, "").await;
    let (other_cookie, _) = begin(&world, "").await;
    world.provider.expect("a-code", identity("ann@example.com"));
    for (cookie, query) in [
        ("", format!("code=a-code&state={state}")),
        (other_cookie.as_str(), format!("code=a-code&state={state}")),
        (cookie.as_str(), "code=a-code".to_owned()),
        (cookie.as_str(), "code=a-code&state=".to_owned()),
        (cookie.as_str(), "code=a-code&state=guessed".to_owned()),
    ] {
        let answer = come_back(&world, cookie, &query).await;
        assert_eq!(answer.code(400), "sign_in_state", "{query}");
    }
    let good = come_back(&world, &cookie, &format!("code=a-code&state={state}")).await;
    assert_eq!((good.status.as_u16(), good.header("location")), (303, "/"));
    for bad in ["//evil.test", "https://evil.test", "/%5Cevil.test", "%0d%0a"] {
        let answer = world.get(&format!("/api/v1/auth/github?return_to={bad}")).await;
        assert_eq!(answer.code(400), "query_invalid", "{bad}");
    }
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_only_from_our_own_pages() {
    let world = world();
    invite(&world, "ann@example.com", PlatformRole::None).await;
    let first = sign_in(&world, "ann@example.com").await;
    for origin in [
        None,
        Some("https://evil.test"),
        Some("null"),
        Some("https://codex.test.evil.test"),
    ] {
        for path in ["refresh", "sign-out"] {
            let answer = post(&world, path, &first.cookie, origin).await;
            assert_eq!(answer.code(403), "origin_refused", "{path} {origin:?}");
        }
    }
    let second = refreshed(&refresh(&world, &first.cookie).await);
    assert_eq!(me(&world, &second.token).await.status, 200);
    let reused = refresh(&world, &first.cookie).await;
    assert_eq!(reused.code(401), "signed_out");
    assert!(set_cookie(&reused, "refresh").1.starts_with("Max-Age=0;"));
    assert_eq!(
        refresh(&world, &second.cookie).await.code(401),
        "signed_out",
        "the family has ended"
    );
    for token in [&first.token, &second.token] {
        assert_eq!(
            me(&world, token).await.code(401),
            "token_refused",
            "its access tokens too"
        );
    }
    assert_eq!(refresh(&world, "").await.code(401), "signed_out");
}

#[tokio::test]
async fn an_access_token_ends_with_its_time_its_session_and_its_person() {
    let world = world();
    let id = invite(&world, "ann@example.com", PlatformRole::None).await;
    let browser = sign_in(&world, "ann@example.com").await;
    world.access.advance(TimeDelta::seconds(599));
    assert_eq!(me(&world, &browser.token).await.status, 200);
    world.access.advance(TimeDelta::seconds(1));
    assert_eq!(me(&world, &browser.token).await.code(401), "token_refused");

    let browser = refreshed(&refresh(&world, &browser.cookie).await);
    let out = post(&world, "sign-out", &browser.cookie, Some(ORIGIN)).await;
    assert_eq!(out.status, 204);
    assert_eq!(me(&world, &browser.token).await.code(401), "token_refused");
    assert_eq!(refresh(&world, &browser.cookie).await.code(401), "signed_out");

    let (here, there) = (
        sign_in(&world, "ann@example.com").await,
        sign_in(&world, "ann@example.com").await,
    );
    let path = "/api/v1/staff/me/sign-out-everywhere";
    let out = world.ask(request(&Method::POST, path, Some(&here.token))).await;
    assert_eq!(out.json()["sessions_ended"], 2);
    for browser in [&here, &there] {
        assert_eq!(me(&world, &browser.token).await.code(401), "token_refused");
        assert_eq!(refresh(&world, &browser.cookie).await.code(401), "signed_out");
    }

    let browser = sign_in(&world, "ann@example.com").await;
    world
        .access
        .set_active(id, false, &Precondition::Anything, &by())
        .await
        .unwrap();
    assert_eq!(me(&world, &browser.token).await.code(401), "token_refused");
}

#[tokio::test]
async fn a_revoked_right_is_gone_with_the_next_request() {
    let world = world();
    let id = invite(&world, "ann@example.com", PlatformRole::Admin).await;
    let browser = sign_in(&world, "ann@example.com").await;
    let users = || world.ask(request(&Method::GET, "/api/v1/staff/users", Some(&browser.token)));
    assert_eq!(users().await.status, 200);
    world
        .access
        .set_role(id, PlatformRole::None, &Precondition::Anything, &by())
        .await
        .unwrap();
    assert_eq!(users().await.code(403), "forbidden");
}

#[tokio::test]
async fn signing_in_is_limited_by_the_socket_whatever_headers_say() {
    let world = World::new(Settings {
        sign_in_rate_limit: RateLimit {
            per_second: 1,
            burst: 2,
        },
        ..settings()
    });
    let ask = |forwarded: &'static str| {
        let request = Request::get("/api/v1/auth/keys").header("x-forwarded-for", forwarded);
        world.ask(request.body(Body::empty()).unwrap())
    };
    assert_eq!(ask("192.0.2.1").await.status, 200);
    assert_eq!(ask("192.0.2.2").await.status, 200);
    let third = ask("192.0.2.3").await;
    assert_eq!(third.code(429), "rate_limited");
    assert_eq!(third.header("retry-after"), "1");
    assert_eq!(refresh(&world, "").await.code(429), "rate_limited");
}

#[tokio::test]
async fn without_a_forge_nobody_signs_in() {
    let world = World::new(Settings {
        public_url: None,
        ..settings()
    });
    let begun = world.get("/api/v1/auth/github").await;
    assert_eq!(begun.code(403), "access_not_configured");
    assert_eq!(refresh(&world, "").await.code(403), "access_not_configured");
    assert_eq!(me(&world, "a.b.c").await.code(401), "token_refused");
}
