//! Projects: list, show, make, change, archive.

mod view;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::access::Right;
use domain::project::{Kept, NewProject, ProjectEdit, ProjectSummary, Slug};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::page::{self, Page};
use crate::app::App;
use crate::auth::guard::Who;
use crate::json::Body;
use crate::precondition::{Seen, Tagged, stale};
use crate::problem::{ApiError, catalogue};
use crate::query::{Id, Limit, NoParams, Params, Text};
use view::Project;

/// More slots than anybody's cluster has room for.
const MOST_SLOTS: i32 = 10_000;

/// Which projects.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ProjectQuery {
    /// Archived ones too.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    archived: bool,
    /// The `next` of an earlier page.
    before: Option<String>,
    /// 1 to 200, 50 if not said.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200)]
    limit: Limit<200>,
}

/// Projects that one may see, by short name.
#[utoipa::path(
    get,
    path = "/api/v1/staff/projects",
    operation_id = "list_projects",
    tag = "projects",
    security(("staff" = [])),
    extensions(("x-right" = json!("project_read"))),
    params(ProjectQuery),
    responses(
        (status = 200, description = "A page of projects", body = Page<Project>),
    )
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    who: Who,
    Params(query): Params<ProjectQuery>,
) -> Result<Json<Page<Project>>, ApiError> {
    let limit = query.limit.get();
    let after = page::key(query.before.as_deref(), |text| Some(text.to_owned()))?;
    let seen = who.projects(Right::ProjectRead);
    let projects = &app.ports.staff.projects;
    let found = projects
        .projects(&seen, query.archived, after.as_deref(), limit as i64 + 1)
        .await?;
    Ok(Json(Page::cut(found, limit, |project| project.slug.clone())))
}

/// A project to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewProjectWish {
    /// Its short name, for ever: 1 to 40 of `a-z 0-9 -`. It stands in namespaces.
    slug: String,
    /// What people call it: 1 to 100 characters.
    #[schema(value_type = Option<String>)]
    title: Option<Text<100>>,
    /// How many of its runs may prepare or run at once.
    #[schema(minimum = 0, maximum = 10_000)]
    slots: i32,
}

fn slots(slots: i32) -> Result<i32, ApiError> {
    if (0..=MOST_SLOTS).contains(&slots) {
        Ok(slots)
    } else {
        Err(catalogue::BODY_INVALID.with(format!("`slots` is 0 to {MOST_SLOTS}")))
    }
}

/// Makes a project.
#[utoipa::path(
    post,
    path = "/api/v1/staff/projects",
    operation_id = "create_project",
    tag = "projects",
    security(("staff" = [])),
    extensions(("x-right" = json!("platform_admin"))),
    request_body = NewProjectWish,
    responses(
        (status = 201, description = "It is there", body = Project),
        (status = 409, description = "The short name is taken"),
    )
)]
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    who: Who,
    _: NoParams,
    Body(wish): Body<NewProjectWish>,
) -> Result<(StatusCode, Json<Project>), ApiError> {
    let slug: Slug = wish
        .slug
        .parse()
        .map_err(|error| catalogue::BODY_INVALID.with(format!("`slug`: {error}")))?;
    let new = NewProject {
        slug,
        title: wish.title.map(|title| title.0),
        slots: slots(wish.slots)?,
    };
    match app.ports.staff.projects.create(&new, &who.actor()).await? {
        Kept::Done(project) => Ok((StatusCode::CREATED, Json(project.into()))),
        Kept::Taken | Kept::NotFound | Kept::Stale => {
            Err(catalogue::NAME_TAKEN.with(format!("there is a project {} already", new.slug.as_str())))
        }
    }
}

/// The project, if the one who asks holds this right there. One where they hold none isn't there for them.
pub(super) async fn find(app: &App, who: &Who, slug: &str, right: Right) -> Result<ProjectSummary, ApiError> {
    let seen = who.projects(Right::ProjectRead);
    let project = app.ports.staff.projects.project(slug, &seen).await?;
    let project = project
        .ok_or_else(|| catalogue::NOT_FOUND.with(format!("there is no project `{}`", slug.escape_debug())))?;
    if who.projects(right).contains(project.id) {
        return Ok(project);
    }
    let right = right.as_str();
    Err(catalogue::FORBIDDEN.with(format!("this needs the right `{right}` in this project")))
}

/// One project.
#[utoipa::path(
    get,
    path = "/api/v1/staff/projects/{slug}",
    operation_id = "show_project",
    tag = "projects",
    security(("staff" = [])),
    extensions(("x-right" = json!("project_read"))),
    params(("slug" = String, Path, description = "The project")),
    responses(
        (status = 200, description = "The project", body = Project,
            headers(("ETag" = String, description = "Its version in quotes, for `If-Match`"))),
    )
)]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    who: Who,
    Id(slug): Id<String>,
    _: NoParams,
) -> Result<Tagged<Project>, ApiError> {
    let project = find(&app, &who, &slug, Right::ProjectRead).await?;
    Ok(Tagged(project.into()))
}

/// What a project is to be, whole.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProjectWish {
    /// What people call it: 1 to 100 characters; none if left out.
    #[schema(value_type = Option<String>)]
    title: Option<Text<100>>,
    /// How many of its runs may prepare or run at once.
    #[schema(minimum = 0, maximum = 10_000)]
    slots: i32,
    /// Whether its labels start no runs. Runs that have begun go on.
    #[serde(default)]
    archived: bool,
}

/// Changes a project, archives it or brings it back. More slots than before start runs that wait for one.
#[utoipa::path(
    put,
    path = "/api/v1/staff/projects/{slug}",
    operation_id = "set_project",
    tag = "projects",
    security(("staff" = [])),
    extensions(("x-right" = json!("project_admin"))),
    params(("slug" = String, Path, description = "The project"), Seen),
    request_body = ProjectWish,
    responses(
        (status = 200, description = "It is so", body = Project,
            headers(("ETag" = String, description = "Its version in quotes, for `If-Match`"))),
    )
)]
pub(crate) async fn set(
    State(app): State<Arc<App>>,
    who: Who,
    Id(slug): Id<String>,
    Seen(seen): Seen,
    _: NoParams,
    Body(wish): Body<ProjectWish>,
) -> Result<Tagged<Project>, ApiError> {
    let project = find(&app, &who, &slug, Right::ProjectAdmin).await?;
    let edit = ProjectEdit {
        title: wish.title.map(|title| title.0),
        slots: slots(wish.slots)?,
        archived: wish.archived,
    };
    match app
        .ports
        .staff
        .projects
        .edit(project.id, &edit, &seen, &who.actor())
        .await?
    {
        Kept::Done(project) => Ok(Tagged(project.into())),
        Kept::Stale => Err(stale()),
        Kept::NotFound | Kept::Taken => Err(catalogue::NOT_FOUND.with("the project is gone")),
    }
}
