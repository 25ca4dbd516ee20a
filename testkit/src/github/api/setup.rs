//! What a repository is set up with: webhooks and labels to choose from.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Caller;
use crate::github::answer::{invalid, not_found};
use crate::github::world::{Repository, RepositoryHook};
use crate::github::{Shared, shapes};

/// The number of the webhook that the simulator was started with.
const STARTED_WITH: i64 = 1;

type RepositoryPath = Path<(String, String)>;

#[derive(Deserialize)]
pub(super) struct HookWish {
    #[serde(default)]
    config: HookConfig,
    #[serde(default)]
    events: Option<Vec<String>>,
    #[serde(default)]
    active: Option<bool>,
}

#[derive(Default, Deserialize)]
struct HookConfig {
    url: Option<String>,
    content_type: Option<String>,
    secret: Option<String>,
}

fn shape(shared: &Shared, repository: &Repository, hook: &RepositoryHook) -> Value {
    let url = format!("{}/repos/{}/hooks/{}", shared.root, repository.full_name, hook.id);
    json!({
        "type": "Repository",
        "id": hook.id,
        "name": "web",
        "active": hook.active,
        "events": hook.events,
        "config": {
            "content_type": hook.content_type,
            "insecure_ssl": "0",
            "url": hook.url,
            "secret": "********",
        },
        "updated_at": repository.created_at,
        "created_at": repository.created_at,
        "url": url,
        "test_url": format!("{url}/test"),
        "ping_url": format!("{url}/pings"),
        "deliveries_url": format!("{url}/deliveries"),
        "last_response": { "code": null, "status": "unused", "message": null },
    })
}

/// The webhook that the simulator was started with belongs to every repository.
fn started_with(shared: &Shared) -> Option<RepositoryHook> {
    shared.hook.as_ref().map(|hook| RepositoryHook {
        id: STARTED_WITH,
        active: true,
        events: vec!["issues".to_owned()],
        url: hook.url.clone(),
        content_type: "json".to_owned(),
        secret: hook.secret.expose().clone(),
    })
}

/// GitHub hides webhooks from all but admins.
fn is_admin(repository: &Repository, caller: &Caller) -> bool {
    repository.role(&caller.0) == "admin"
}

pub(super) async fn hooks(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path((owner, name)): RepositoryPath,
) -> Response {
    let world = shared.world();
    let Some(repository) = world.repository(&format!("{owner}/{name}")) else {
        return not_found();
    };
    if !is_admin(repository, &caller) {
        return not_found();
    }
    let all = started_with(&shared)
        .into_iter()
        .chain(repository.hooks.iter().cloned());
    let shown: Vec<Value> = all.map(|hook| shape(&shared, repository, &hook)).collect();
    Json(shown).into_response()
}

pub(super) async fn create_hook(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path((owner, name)): RepositoryPath,
    Json(wish): Json<HookWish>,
) -> Response {
    let full_name = format!("{owner}/{name}");
    let (Some(url), taken) = (wish.config.url, started_with(&shared).map(|hook| hook.url)) else {
        return invalid("Hook", "url", "missing_field", "url is missing");
    };
    let made = shared.change(|world| {
        let id = world.next_id();
        let repository = world.repository_mut(&full_name)?;
        if !is_admin(repository, &caller) {
            return None;
        }
        if taken.as_ref() == Some(&url) || repository.hooks.iter().any(|hook| hook.url == url) {
            return Some(None);
        }
        let hook = RepositoryHook {
            id,
            active: wish.active.unwrap_or(true),
            events: wish.events.unwrap_or_else(|| vec!["push".to_owned()]),
            url,
            content_type: wish.config.content_type.unwrap_or_else(|| "form".to_owned()),
            secret: wish.config.secret.unwrap_or_default(),
        };
        repository.hooks.push(hook.clone());
        Some(Some(hook))
    });
    match made {
        None => not_found(),
        Some(None) => invalid("Hook", "url", "custom", "Hook already exists on this repository"),
        Some(Some(hook)) => answer(&shared, &full_name, &hook, StatusCode::CREATED),
    }
}

pub(super) async fn edit_hook(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, id)): Path<(String, String, i64)>,
    Json(wish): Json<HookWish>,
) -> Response {
    let full_name = format!("{owner}/{name}");
    if id == STARTED_WITH
        && let Some(hook) = started_with(&shared)
    {
        return answer(&shared, &full_name, &hook, StatusCode::OK);
    }
    let edited = shared.change(|world| {
        let repository = world.repository_mut(&full_name)?;
        if !is_admin(repository, &caller) {
            return None;
        }
        let hook = repository.hooks.iter_mut().find(|hook| hook.id == id)?;
        let config = wish.config;
        hook.active = wish.active.unwrap_or(hook.active);
        hook.events = wish.events.unwrap_or_else(|| hook.events.clone());
        hook.url = config.url.unwrap_or_else(|| hook.url.clone());
        hook.content_type = config.content_type.unwrap_or_else(|| hook.content_type.clone());
        hook.secret = config.secret.unwrap_or_else(|| hook.secret.clone());
        Some(hook.clone())
    });
    edited.map_or_else(not_found, |hook| {
        answer(&shared, &full_name, &hook, StatusCode::OK)
    })
}

fn answer(shared: &Shared, full_name: &str, hook: &RepositoryHook, status: StatusCode) -> Response {
    let world = shared.world();
    world.repository(full_name).map_or_else(not_found, |repository| {
        (status, Json(shape(shared, repository, hook))).into_response()
    })
}

#[derive(Deserialize)]
pub(super) struct Page {
    #[serde(default)]
    page: Option<usize>,
    #[serde(default)]
    per_page: Option<usize>,
}

pub(super) async fn labels(
    State(shared): State<Arc<Shared>>,
    Path((owner, name)): RepositoryPath,
    Query(page): Query<Page>,
) -> Response {
    let world = shared.world();
    let Some(repository) = world.repository(&format!("{owner}/{name}")) else {
        return not_found();
    };
    let size = page.per_page.unwrap_or(30).clamp(1, 100);
    let first = (page.page.unwrap_or(1).max(1) - 1) * size;
    let names = repository.labels.keys().skip(first).take(size);
    let shown: Vec<Value> = names
        .map(|name| shapes::label(&shared.root, repository, name))
        .collect();
    let mut response = Json(shown).into_response();
    if repository.labels.len() > first + size
        && let Ok(link) = format!("<{}/next>; rel=\"next\"", shared.root).parse()
    {
        response.headers_mut().insert("link", link);
    }
    response
}

#[derive(Deserialize)]
pub(super) struct LabelWish {
    name: String,
}

pub(super) async fn create_label(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path((owner, name)): RepositoryPath,
    Json(wish): Json<LabelWish>,
) -> Response {
    let full_name = format!("{owner}/{name}");
    let made = shared.change(|world| {
        let id = world.next_id();
        let repository = world.repository_mut(&full_name)?;
        if !matches!(repository.role(&caller.0), "admin" | "maintain" | "write") {
            return None;
        }
        let is_taken = repository
            .labels
            .keys()
            .any(|known| known.eq_ignore_ascii_case(&wish.name));
        if !is_taken {
            repository.labels.insert(wish.name.clone(), id);
        }
        Some(!is_taken)
    });
    match made {
        None => not_found(),
        Some(false) => invalid("Label", "name", "already_exists", "Label already exists"),
        Some(true) => {
            let world = shared.world();
            world.repository(&full_name).map_or_else(not_found, |repository| {
                let label = shapes::label(&shared.root, repository, &wish.name);
                (StatusCode::CREATED, Json(label)).into_response()
            })
        }
    }
}
