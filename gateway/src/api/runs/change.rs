//! Changes of one run.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use domain::RunId;
use domain::access::Right;
use domain::run::RunCancel;
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
        RunCancel::NotFound => {
            let seen = runs.get(id, &who.projects(Right::ProjectRead)).await?;
            Err(seen.map_or_else(
                || unknown(id),
                |_| catalogue::FORBIDDEN.with("this needs the right `project_write` in the run's project"),
            ))
        }
    }
}
