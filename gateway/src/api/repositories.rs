//! Repositories of projects: list, show, put in and take out; `setup` looks whether they are set up and makes it so.

pub(crate) mod setup;
mod view;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::RepositoryId;
use domain::access::Right;
use domain::project::{Kept, RepositorySummary};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::page::{self, Page};
use super::projects;
use crate::app::App;
use crate::auth::guard::Who;
use crate::json::Body;
use crate::precondition::{Seen, Tagged, stale};
use crate::problem::{ApiError, catalogue};
use crate::query::{Id, Limit, Name, NoParams, Params};
use view::Repository;

/// Which repositories.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RepositoryQuery {
    /// Only of this project, by its short name.
    #[param(value_type = Option<String>)]
    project: Option<Name>,
    /// The `next` of an earlier page.
    before: Option<String>,
    /// 1 to 200, 50 if not said.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200)]
    limit: Limit<200>,
}

/// Repositories that one may see, by name.
#[utoipa::path(
    get,
    path = "/api/v1/staff/repositories",
    operation_id = "list_repositories",
    tag = "repositories",
    security(("staff" = [])),
    extensions(("x-right" = json!("project_read"))),
    params(RepositoryQuery),
    responses(
        (status = 200, description = "A page of repositories", body = Page<Repository>),
    )
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    who: Who,
    Params(query): Params<RepositoryQuery>,
) -> Result<Json<Page<Repository>>, ApiError> {
    let limit = query.limit.get();
    let after = page::key(query.before.as_deref(), |text| Some(text.to_owned()))?;
    let seen = who.projects(Right::ProjectRead);
    let project = query.project.map(|name| name.0);
    let desk = &app.ports.staff.repositories;
    let found = desk
        .repositories(project.as_deref(), &seen, after.as_deref(), limit as i64 + 1)
        .await?;
    Ok(Json(Page::cut(found, limit, |one| one.name.clone())))
}

/// The repository, if the one who asks holds this right in its project.
async fn find(app: &App, who: &Who, id: RepositoryId, right: Right) -> Result<RepositorySummary, ApiError> {
    let seen = who.projects(Right::ProjectRead);
    let found = app.ports.staff.repositories.repository(id, &seen).await?;
    let found = found.ok_or_else(|| catalogue::NOT_FOUND.with(format!("there is no repository {id}")))?;
    if who.projects(right).contains(found.project_id) {
        return Ok(found);
    }
    let right = right.as_str();
    Err(catalogue::FORBIDDEN.with(format!(
        "this needs the right `{right}` in the repository's project"
    )))
}

/// One repository.
#[utoipa::path(
    get,
    path = "/api/v1/staff/repositories/{id}",
    operation_id = "show_repository",
    tag = "repositories",
    security(("staff" = [])),
    extensions(("x-right" = json!("project_read"))),
    params(("id" = i64, Path, description = "The repository")),
    responses(
        (status = 200, description = "The repository", body = Repository,
            headers(("ETag" = String, description = "Its version in quotes, for `If-Match`"))),
    )
)]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    who: Who,
    Id(id): Id<RepositoryId>,
    _: NoParams,
) -> Result<Tagged<Repository>, ApiError> {
    let found = find(&app, &who, id, Right::ProjectRead).await?;
    Ok(Tagged(found.into()))
}

/// A repository to put into a project.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRepository {
    /// `owner/name` on the forge.
    name: String,
}

/// Puts a repository into a project. Idempotent; whether it is set up, `preflight` says.
#[utoipa::path(
    post,
    path = "/api/v1/staff/projects/{slug}/repositories",
    operation_id = "add_repository",
    tag = "repositories",
    security(("staff" = [])),
    extensions(("x-right" = json!("project_admin"))),
    params(("slug" = String, Path, description = "The project")),
    request_body = NewRepository,
    responses(
        (status = 200, description = "It belongs to the project", body = Repository),
        (status = 409, description = "It belongs to another project"),
    )
)]
pub(crate) async fn add(
    State(app): State<Arc<App>>,
    who: Who,
    Id(slug): Id<String>,
    _: NoParams,
    Body(wish): Body<NewRepository>,
) -> Result<Json<Repository>, ApiError> {
    let project = projects::find(&app, &who, &slug, Right::ProjectAdmin).await?;
    let name = wish
        .name
        .parse()
        .map_err(|error| catalogue::BODY_INVALID.with(format!("`name`: {error}")))?;
    match app
        .ports
        .staff
        .repositories
        .add(project.id, &name, &who.actor())
        .await?
    {
        Kept::Done(repository) => Ok(Json(repository.into())),
        Kept::Taken | Kept::Stale => {
            Err(catalogue::NAME_TAKEN.with(format!("{name} belongs to another project already")))
        }
        Kept::NotFound => Err(catalogue::NOT_FOUND.with("the project is gone")),
    }
}

/// Takes a repository out, with its token: its labels start no more runs. What has run stays to be seen.
#[utoipa::path(
    delete,
    path = "/api/v1/staff/repositories/{id}",
    operation_id = "remove_repository",
    tag = "repositories",
    security(("staff" = [])),
    extensions(("x-right" = json!("project_admin"))),
    params(("id" = i64, Path, description = "The repository"), Seen),
    responses(
        (status = 204, description = "It belongs to no project"),
    )
)]
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    who: Who,
    Id(id): Id<RepositoryId>,
    Seen(seen): Seen,
    _: NoParams,
) -> Result<StatusCode, ApiError> {
    find(&app, &who, id, Right::ProjectAdmin).await?;
    let desk = &app.ports.staff.repositories;
    match desk.remove(id, &seen, &who.actor()).await? {
        Kept::Stale => Err(stale()),
        Kept::Done(()) | Kept::NotFound | Kept::Taken => Ok(StatusCode::NO_CONTENT),
    }
}
