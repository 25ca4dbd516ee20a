//! Comments on issues: list, write, read, edit, delete.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::{Caller, IssuePath};
use crate::github::answer::{Paging, error, invalid, not_found, page};
use crate::github::{Shared, shapes};

/// GitHub's limit of a comment's text, in characters.
const COMMENT_LIMIT: usize = 65_536;

pub(super) async fn list(
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
pub(super) struct CommentBody {
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

pub(super) async fn create(
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

pub(super) async fn get(State(shared): State<Arc<Shared>>, Path((owner, name, id)): IssuePath) -> Response {
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

pub(super) async fn edit(
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

pub(super) async fn delete(
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
