//! Runs of agents: list, show with what happened; `log` is what they wrote, `change` ends them.

pub(crate) mod change;
pub(crate) mod log;
pub(crate) mod view;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use domain::RunId;
use domain::access::Right;
use domain::run::RunFilter;
use serde::Deserialize;
use utoipa::IntoParams;

use super::page::{self, Page};
use crate::app::App;
use crate::auth::guard::Who;
use crate::problem::{ApiError, catalogue};
use crate::query::{Id, Limit, Name, NoParams, Params};
use view::{Run, RunLine, RunStatus};

/// Which runs to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RunQuery {
    /// Only with this status.
    status: Option<RunStatus>,
    /// Only of this project, by its slug.
    #[param(value_type = Option<String>)]
    project: Option<Name>,
    /// The `next` of an earlier page.
    before: Option<String>,
    /// 1 to 200, 50 if not said.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200)]
    limit: Limit<200>,
}

/// Runs, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/staff/runs",
    operation_id = "list_runs",
    tag = "runs",
    extensions(("x-right" = json!("project_read"))),
    security(("staff" = [])),
    params(RunQuery),
    responses(
        (status = 200, description = "A page of runs", body = Page<RunLine>),
    )
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    who: Who,
    Params(query): Params<RunQuery>,
) -> Result<Json<Page<RunLine>>, ApiError> {
    let limit = query.limit.get();
    let filter = RunFilter {
        projects: who.projects(Right::ProjectRead),
        status: query.status.map(|status| status.as_str().to_owned()),
        project: query.project.map(|name| name.0),
        before: page::key(query.before.as_deref(), |text| text.parse().ok())?,
        limit: limit as i64 + 1,
    };
    let lines = app.ports.runs.list(&filter).await?;
    Ok(Json(Page::cut(lines, limit, |run| run.id)))
}

/// One run and everything recorded under its correlation id, oldest first.
#[utoipa::path(
    get,
    path = "/api/v1/staff/runs/{id}",
    operation_id = "show_run",
    tag = "runs",
    extensions(("x-right" = json!("project_read"))),
    security(("staff" = [])),
    params(("id" = i64, Path, description = "The run")),
    responses(
        (status = 200, description = "The run", body = Run),
    )
)]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    who: Who,
    Id(id): Id<RunId>,
    _: NoParams,
) -> Result<Json<Run>, ApiError> {
    let projects = who.projects(Right::ProjectRead);
    let run = app.ports.runs.get(id, &projects).await?;
    let run = run.ok_or_else(|| unknown(id))?;
    let events = app.ports.runs.events(id, &projects).await?;
    Ok(Json(Run::new(run, events, &app.settings.forge_url)))
}

fn unknown(id: RunId) -> ApiError {
    catalogue::NOT_FOUND.with(format!("there is no run {id}"))
}
