//! The REST routes: GitHub's paths, statuses and bodies on the simulator's [`super::world`].

mod comments;
mod labels;
mod setup;

use std::sync::Arc;

use axum::extract::{Extension, Path, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{delete, get, patch, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::answer::{error, not_found};
use super::faults::{self, Fault};
use super::{HOURLY_LIMIT, Shared, oauth, shapes, site};

/// Who asks: the login of the token.
#[derive(Clone)]
pub(super) struct Caller(pub(super) String);

/// All routes.
pub(super) fn router(shared: &Arc<Shared>) -> Router {
    let api = Router::new()
        .route("/user", get(user))
        .route("/user/emails", get(oauth::emails))
        .route("/rate_limit", get(rate_limit))
        .route("/repos/{owner}/{name}", get(repository))
        .route(
            "/repos/{owner}/{name}/hooks",
            get(setup::hooks).post(setup::create_hook),
        )
        .route("/repos/{owner}/{name}/hooks/{id}", patch(setup::edit_hook))
        .route(
            "/repos/{owner}/{name}/labels",
            get(setup::labels).post(setup::create_label),
        )
        .route(
            "/repos/{owner}/{name}/collaborators/{login}/permission",
            get(permission),
        )
        .route("/repos/{owner}/{name}/issues/{number}", get(issue))
        .route(
            "/repos/{owner}/{name}/issues/{number}/comments",
            get(comments::list).post(comments::create),
        )
        .route(
            "/repos/{owner}/{name}/issues/comments/{id}",
            patch(comments::edit).get(comments::get).delete(comments::delete),
        )
        .route("/repos/{owner}/{name}/issues/{number}/labels", post(labels::add))
        .route(
            "/repos/{owner}/{name}/issues/{number}/labels/{label}",
            delete(labels::remove),
        )
        .fallback(|| async { not_found() })
        .layer(from_fn_with_state(Arc::clone(shared), guard));
    Router::new()
        .route("/{owner}/{name}/issues/{number}", get(look))
        .route("/login/oauth/authorize", get(oauth::choose).post(oauth::chosen))
        .route(
            "/login/oauth/access_token",
            post(oauth::exchange).layer(from_fn_with_state(Arc::clone(shared), strike_site)),
        )
        .merge(api)
        .with_state(Arc::clone(shared))
        .layer(axum::extract::DefaultBodyLimit::max(1 << 20))
}

/// Lets an armed fault strike.
async fn strike(
    shared: &Shared,
    method: &Method,
    path: &str,
    answer: impl Future<Output = Response>,
) -> Response {
    let fault = shared.faults.take(method, path);
    let now = shared.now().timestamp();
    match (fault.and_then(|fault| faults::refuse(fault, now)), fault) {
        (Some(refusal), _) => refusal,
        (None, Some(Fault::Delay(time))) => {
            let answer = answer.await;
            tokio::time::sleep(time).await;
            answer
        }
        (None, Some(Fault::LoseAnswer)) => faults::lose(answer.await),
        (None, _) => answer.await,
    }
}

/// The same for what a program asks of the site.
async fn strike_site(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    strike(&shared, &method, &path, next.run(request)).await
}

/// Counts the request, lets an armed fault strike, asks for the token, puts GitHub's headers on the answer.
async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let used = shared.note_request(&method, &path);
    let now = shared.now().timestamp();
    let mut response = strike(&shared, &method, &path, admit(&shared, request, next)).await;
    let headers = response.headers_mut();
    let mut set = |name: &'static str, value: HeaderValue| {
        headers.entry(name).or_insert(value);
    };
    set(
        "x-oauth-scopes",
        HeaderValue::from_static("admin:repo_hook, repo"),
    );
    set("x-ratelimit-limit", HeaderValue::from(HOURLY_LIMIT));
    set(
        "x-ratelimit-remaining",
        HeaderValue::from(HOURLY_LIMIT.saturating_sub(used)),
    );
    set("x-ratelimit-used", HeaderValue::from(used));
    set("x-ratelimit-reset", HeaderValue::from(now + 3_600));
    set("x-ratelimit-resource", HeaderValue::from_static("core"));
    set(
        "x-github-media-type",
        HeaderValue::from_static("github.v3; format=json"),
    );
    if let Ok(id) = HeaderValue::from_str(&format!("SIM0:{used:08X}")) {
        set("x-github-request-id", id);
    }
    response
}

async fn admit(shared: &Shared, mut request: Request, next: Next) -> Response {
    if !request.headers().contains_key(header::USER_AGENT) {
        return error(
            StatusCode::FORBIDDEN,
            "Request forbidden by administrative rules.",
        );
    }
    let Some(credentials) = request.headers().get(header::AUTHORIZATION) else {
        return error(StatusCode::UNAUTHORIZED, "Requires authentication");
    };
    let token = credentials.to_str().ok().and_then(|text| text.split_once(' '));
    let login = token
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token"))
        .and_then(|(_, token)| shared.login_of(token.trim()));
    let Some(login) = login else {
        return error(StatusCode::UNAUTHORIZED, "Bad credentials");
    };
    request.extensions_mut().insert(Caller(login));
    next.run(request).await
}

async fn user(State(shared): State<Arc<Shared>>, Extension(caller): Extension<Caller>) -> Json<Value> {
    Json(shapes::account(&shared.root, &caller.0))
}

async fn rate_limit(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let used = shared.used();
    let core = json!({
        "limit": HOURLY_LIMIT,
        "used": used,
        "remaining": HOURLY_LIMIT.saturating_sub(used),
        "reset": shared.now().timestamp() + 3_600,
    });
    Json(json!({ "resources": { "core": core, "search": core }, "rate": core }))
}

async fn repository(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path((owner, name)): Path<(String, String)>,
) -> Response {
    let world = shared.world();
    world
        .repository(&format!("{owner}/{name}"))
        .map_or_else(not_found, |r| {
            let mut shown = shapes::repository(&shared.root, r);
            let role = r.role(&caller.0);
            let at_least = |roles: &[&str]| roles.contains(&role);
            shown["permissions"] = json!({
                "admin": role == "admin",
                "maintain": at_least(&["admin", "maintain"]),
                "push": at_least(&["admin", "maintain", "write"]),
                "triage": at_least(&["admin", "maintain", "write", "triage"]),
                "pull": role != "none",
            });
            Json(shown).into_response()
        })
}

async fn permission(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, login)): Path<(String, String, String)>,
) -> Response {
    let world = shared.world();
    let Some(repository) = world.repository(&format!("{owner}/{name}")) else {
        return not_found();
    };
    if !matches!(repository.role(&caller.0), "admin" | "maintain" | "write") {
        return error(
            StatusCode::FORBIDDEN,
            "Must have push access to view collaborator permission.",
        );
    }
    Json(shapes::permission(&shared.root, repository, &login)).into_response()
}

type IssuePath = Path<(String, String, i64)>;

async fn issue(State(shared): State<Arc<Shared>>, Path((owner, name, number)): IssuePath) -> Response {
    let world = shared.world();
    let repository = world.repository(&format!("{owner}/{name}"));
    repository
        .and_then(|r| {
            r.issues
                .get(&number)
                .map(|issue| shapes::issue(&shared.root, r, issue))
        })
        .map_or_else(not_found, |issue| Json(issue).into_response())
}

async fn look(State(shared): State<Arc<Shared>>, Path((owner, name, number)): IssuePath) -> Response {
    let world = shared.world();
    let repository = world.repository(&format!("{owner}/{name}"));
    repository
        .and_then(|r| r.issues.get(&number).map(|issue| site::issue(r, issue)))
        .map_or_else(not_found, |page| Html(page).into_response())
}
