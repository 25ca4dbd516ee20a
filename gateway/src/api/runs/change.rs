//! Changes of one run, and another try of what it was to do.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::RunId;
use domain::access::Right;
use domain::run::{RunCancel, RunRetry};
use serde::Serialize;
use utoipa::ToSchema;

use super::unknown;
use super::view::RunStatus;
use crate::api::author::{ReasonQuery, author};
use crate::app::App;
use crate::auth::guard::Who;
use crate::problem::{ApiError, catalogue};
use crate::query::{Id, Params};

/// How a run stands after a change.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RunDone {
    /// The run.
    run_id: i64,
    /// How it stands.
    status: RunStatus,
}

/// Ends a run that has not ended: it is canceled at once, and a worker ends its Job.
#[utoipa::path(
    post,
    path = "/api/v1/staff/runs/{id}/cancel",
    operation_id = "cancel_run",
    tag = "runs",
    extensions(("x-right" = json!("project_write"))),
    security(("staff" = [])),
    params(("id" = i64, Path, description = "The run"), ReasonQuery),
    responses(
        (status = 200, description = "It is canceled", body = RunDone),
        (status = 409, description = "It has ended (`run_state`)"),
    )
)]
pub(crate) async fn cancel(
    State(app): State<Arc<App>>,
    who: Who,
    Id(id): Id<RunId>,
    Params(query): Params<ReasonQuery>,
) -> Result<Json<RunDone>, ApiError> {
    let runs = &app.ports.runs;
    let by = author(&who, query.reason);
    match runs.cancel(id, &who.projects(Right::ProjectWrite), &by).await? {
        RunCancel::Done => Ok(Json(RunDone {
            run_id: id.0,
            status: RunStatus::Canceled,
        })),
        RunCancel::Ended(state) => {
            let state = state.as_str();
            Err(catalogue::RUN_STATE.with(format!("run {id} has ended: it is {state}")))
        }
        RunCancel::NotFound => Err(not_changeable(&app, &who, id).await?),
    }
}

/// Whether it is there for the one who asks, and not theirs to change, or not there at all.
async fn not_changeable(app: &App, who: &Who, id: RunId) -> Result<ApiError, ApiError> {
    let seen = app.ports.runs.get(id, &who.projects(Right::ProjectRead)).await?;
    Ok(seen.map_or_else(
        || unknown(id),
        |_| catalogue::FORBIDDEN.with("this needs the right `project_write` in the run's project"),
    ))
}

/// Runs again what a run was to do that failed, was canceled or took too long: a new run of the same issue and stage, under
/// the same correlation id.
#[utoipa::path(
    post,
    path = "/api/v1/staff/runs/{id}/retry",
    operation_id = "retry_run",
    tag = "runs",
    extensions(("x-right" = json!("project_write"))),
    security(("staff" = [])),
    params(("id" = i64, Path, description = "The run that ended"), ReasonQuery),
    responses(
        (status = 201, description = "The new run", body = RunDone),
        (status = 409, description = "It has not ended or ended well, or its issue has another unfinished run (`run_state`)"),
    )
)]
pub(crate) async fn retry(
    State(app): State<Arc<App>>,
    who: Who,
    Id(id): Id<RunId>,
    Params(query): Params<ReasonQuery>,
) -> Result<(StatusCode, Json<RunDone>), ApiError> {
    let by = author(&who, query.reason);
    let runs = &app.ports.runs;
    match runs.retry(id, &who.projects(Right::ProjectWrite), &by).await? {
        RunRetry::Created(new) => {
            let done = RunDone {
                run_id: new.0,
                status: RunStatus::Pending,
            };
            Ok((StatusCode::CREATED, Json(done)))
        }
        RunRetry::NotAllowed(state) => {
            let state = state.as_str();
            Err(catalogue::RUN_STATE.with(format!(
                "run {id} is {state}: only what failed, was canceled or took too long is run again"
            )))
        }
        RunRetry::IssueBusy(busy) => Err(catalogue::RUN_STATE.with(format!(
            "run {busy} of the same issue has not ended: wait for it, or cancel it"
        ))),
        RunRetry::Closed => Err(catalogue::RUN_STATE.with(
            "its repository is in no project any more, or its project is archived: no run is started there",
        )),
        RunRetry::NotFound => Err(not_changeable(&app, &who, id).await?),
    }
}
