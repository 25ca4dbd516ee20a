//! The REST routes: GitHub's paths, statuses and bodies on the simulator's [`super::world`].

use std::sync::Arc;

use axum::extract::{Extension, Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, patch, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Paging, error, invalid, not_found, page};
use super::faults::{self, Fault};
use super::{Shared, shapes, site};

const COMMENT_LIMIT: usize = 65_536;
const HOURLY_LIMIT: u64 = 5_000;

/// Who asks: the login of the token.
#[derive(Clone)]
struct Caller(String);

/// All routes.
pub(super) fn router(shared: &Arc<Shared>) -> Router {
    let api = Router::new()
        .route("/user", get(user))
        .route("/rate_limit", get(rate_limit))
        .route("/repos/{owner}/{name}", get(repository))
        .route(
            "/repos/{owner}/{name}/collaborators/{login}/permission",
            get(permission),
        )
        .route("/repos/{owner}/{name}/issues/{number}", get(issue))
        .route(
            "/repos/{owner}/{name}/issues/{number}/comments",
            get(list_comments).post(create_comment),
        )
        .route(
            "/repos/{owner}/{name}/issues/comments/{id}",
            patch(edit_comment).get(get_comment).delete(delete_comment),
        )
        .route("/repos/{owner}/{name}/issues/{number}/labels", post(add_labels))
        .route(
            "/repos/{owner}/{name}/issues/{number}/labels/{label}",
            axum::routing::delete(remove_label),
        )
        .fallback(|| async { not_found() })
        .layer(from_fn_with_state(Arc::clone(shared), guard));
    Router::new()
        .route("/{owner}/{name}/issues/{number}", get(look))
        .merge(api)
        .with_state(Arc::clone(shared))
        .layer(axum::extract::DefaultBodyLimit::max(1 << 20))
}

/// Counts the request, lets an armed fault strike, asks for the token, puts GitHub's headers on the answer.
async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let used = shared.note_request(&method, &path);
    let now = shared.now().timestamp();
    let fault = shared.faults.take(&method, &path);
    let mut response = match (fault.and_then(|fault| faults::refuse(fault, now)), fault) {
        (Some(refusal), _) => refusal,
        (None, Some(Fault::Delay(time))) => {
            let answer = admit(&shared, request, next).await;
            tokio::time::sleep(time).await;
            answer
        }
        (None, Some(Fault::LoseAnswer)) => faults::lose(admit(&shared, request, next).await),
        (None, _) => admit(&shared, request, next).await,
    };
    let headers = response.headers_mut();
    let mut set = |name: &'static str, value: HeaderValue| {
        headers.entry(name).or_insert(value);
    };
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
    let used = shared.requests_so_far();
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
    Path((owner, name)): Path<(String, String)>,
) -> Response {
    let world = shared.world();
    world
        .repository(&format!("{owner}/{name}"))
        .map_or_else(not_found, |r| {
            Json(shapes::repository(&shared.root, r)).into_response()
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

async fn list_comments(
    State(shared): State<Arc<Shared>>,
    Path((owner, name, number)): IssuePath,
    Query(paging): Query<Paging>,
) -> Response {
    let world = shared.world();
    let Some(repository) = world.repository(&format!("{owner}/{name}")) else {
        return not_found();
    };
    let Some(issue) = repository.issues.get(&number) else {
        return not_found();
    };
    let comments = issue
        .comments
        .iter()
        .filter(|c| paging.since.is_none_or(|since| c.updated_at >= since));
    let items = comments
        .map(|c| shapes::comment(&shared.root, repository, number, c))
        .collect();
    let path = format!(
        "{}/repos/{}/issues/{number}/comments",
        shared.root, repository.full_name
    );
    page(&path, &paging, items)
}

#[derive(Deserialize)]
struct CommentBody {
    #[serde(default)]
    body: String,
}

impl CommentBody {
    fn refused(&self) -> Option<Response> {
        if self.body.trim().is_empty() {
            return Some(invalid(
                "IssueComment",
                "body",
                "missing_field",
                "body can't be blank",
            ));
        }
        let too_long = self.body.chars().count() > COMMENT_LIMIT;
        too_long.then(|| {
            invalid(
                "IssueComment",
                "body",
                "custom",
                "body is too long (maximum is 65536 characters)",
            )
        })
    }
}

async fn create_comment(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, number)): IssuePath,
    Json(new): Json<CommentBody>,
) -> Response {
    if let Some(refused) = new.refused() {
        return refused;
    }
    let (full_name, now) = (format!("{owner}/{name}"), shared.now());
    let created = shared.change(|world| {
        let comment = world.add_comment(&full_name, number, (&caller.0, &new.body), now)?;
        Some(shapes::comment(
            &shared.root,
            world.repository(&full_name)?,
            number,
            &comment,
        ))
    });
    created.map_or_else(not_found, |comment| {
        (StatusCode::CREATED, Json(comment)).into_response()
    })
}

async fn get_comment(State(shared): State<Arc<Shared>>, Path((owner, name, id)): IssuePath) -> Response {
    let (world, full_name) = (shared.world(), format!("{owner}/{name}"));
    let found = world.find_comment(&full_name, id).and_then(|(number, place)| {
        let repository = world.repository(&full_name)?;
        let comment = repository.issues.get(&number)?.comments.get(place)?;
        Some(shapes::comment(&shared.root, repository, number, comment))
    });
    found.map_or_else(not_found, |comment| Json(comment).into_response())
}

/// Whether the caller may change this comment: its author, or who may push.
fn may_change(
    shared: &Shared,
    full_name: &str,
    id: i64,
    caller: &str,
) -> Result<(i64, usize), Box<Response>> {
    let world = shared.world();
    let (number, place) = world
        .find_comment(full_name, id)
        .ok_or_else(|| Box::new(not_found()))?;
    let repository = world.repository(full_name).ok_or_else(|| Box::new(not_found()))?;
    let mine = repository
        .issues
        .get(&number)
        .and_then(|issue| issue.comments.get(place))
        .is_some_and(|c| {
            c.login.eq_ignore_ascii_case(caller)
                || matches!(repository.role(caller), "admin" | "maintain" | "write")
        });
    if mine {
        Ok((number, place))
    } else {
        Err(Box::new(error(
            StatusCode::FORBIDDEN,
            "Must have admin rights to Repository.",
        )))
    }
}

async fn edit_comment(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, id)): IssuePath,
    Json(new): Json<CommentBody>,
) -> Response {
    if let Some(refused) = new.refused() {
        return refused;
    }
    let (full_name, now) = (format!("{owner}/{name}"), shared.now());
    if let Err(refused) = may_change(&shared, &full_name, id, &caller.0) {
        return *refused;
    }
    let edited = shared.change(|world| {
        let (number, place) = world.find_comment(&full_name, id)?;
        let issue = world.repository_mut(&full_name)?.issues.get_mut(&number)?;
        let comment = issue.comments.get_mut(place)?;
        comment.body.clone_from(&new.body);
        comment.updated_at = now;
        let comment = comment.clone();
        Some(shapes::comment(
            &shared.root,
            world.repository(&full_name)?,
            number,
            &comment,
        ))
    });
    edited.map_or_else(not_found, |comment| Json(comment).into_response())
}

async fn delete_comment(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, id)): IssuePath,
) -> Response {
    let full_name = format!("{owner}/{name}");
    if let Err(refused) = may_change(&shared, &full_name, id, &caller.0) {
        return *refused;
    }
    let gone = shared.change(|world| {
        let (number, place) = world.find_comment(&full_name, id)?;
        world
            .repository_mut(&full_name)?
            .issues
            .get_mut(&number)?
            .comments
            .remove(place);
        Some(())
    });
    gone.map_or_else(not_found, |()| StatusCode::NO_CONTENT.into_response())
}

#[derive(Deserialize)]
struct LabelNames {
    labels: Vec<String>,
}

async fn add_labels(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, number)): IssuePath,
    Json(new): Json<LabelNames>,
) -> Response {
    relabel(&shared, &format!("{owner}/{name}"), number, &caller.0, |labels| {
        for label in new.labels {
            if !labels.contains(&label) {
                labels.push(label);
            }
        }
        true
    })
}

async fn remove_label(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, number, label)): Path<(String, String, i64, String)>,
) -> Response {
    relabel(&shared, &format!("{owner}/{name}"), number, &caller.0, |labels| {
        let before = labels.len();
        labels.retain(|l| !l.eq_ignore_ascii_case(&label));
        labels.len() < before
    })
}

/// Changes an issue's labels for a caller who may, and answers with those it has then.
fn relabel(
    shared: &Shared,
    full_name: &str,
    number: i64,
    caller: &str,
    change: impl FnOnce(&mut Vec<String>) -> bool,
) -> Response {
    let mut labels = {
        let world = shared.world();
        let Some(repository) = world.repository(full_name) else {
            return not_found();
        };
        let Some(issue) = repository.issues.get(&number) else {
            return not_found();
        };
        if !matches!(repository.role(caller), "admin" | "maintain" | "write" | "triage") {
            return error(StatusCode::FORBIDDEN, "Must have triage rights to Repository.");
        }
        issue.labels.clone()
    };
    if !change(&mut labels) {
        return error(StatusCode::NOT_FOUND, "Label does not exist");
    }
    let names: Vec<&str> = labels.iter().map(String::as_str).collect();
    if shared.set_labels(full_name, number, &names, caller).is_none() {
        return not_found();
    }
    let world = shared.world();
    let Some(repository) = world.repository(full_name) else {
        return not_found();
    };
    let shown: Vec<Value> = names
        .iter()
        .map(|name| shapes::label(&shared.root, repository, name))
        .collect();
    Json(shown).into_response()
}
