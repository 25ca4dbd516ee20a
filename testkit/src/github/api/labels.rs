//! Labels of issues: put on, take off.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::Value;

use super::{Caller, IssuePath};
use crate::github::answer::{error, not_found};
use crate::github::{Shared, shapes};

#[derive(Deserialize)]
pub(super) struct LabelNames {
    labels: Vec<String>,
}

pub(super) async fn add(
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

pub(super) async fn remove(
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
