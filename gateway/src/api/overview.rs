//! Everything at a glance.

mod view;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::App;
use crate::problem::{ApiError, catalogue};
use crate::query::{Name, Params};
use view::{Overview, Window};

/// How far to look back.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OverviewQuery {
    /// An hour if not said.
    window: Option<Window>,
    /// Only this queue.
    #[param(value_type = Option<String>)]
    queue: Option<Name>,
}

/// What ended over a time, how the queues stand, and whether something needs looking after. Costs the same whatever
/// the number of jobs: what ended is counted once a minute.
#[utoipa::path(
    get,
    path = "/api/v1/staff/overview",
    operation_id = "show_overview",
    tag = "overview",
    extensions(("x-right" = json!("platform_read"))),
    security(("staff" = [])),
    params(OverviewQuery),
    responses(
        (status = 200, description = "How it fares", body = Overview),
    )
)]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Params(query): Params<OverviewQuery>,
) -> Result<Json<Overview>, ApiError> {
    let window = query.window.unwrap_or(Window::Hour);
    let name = query.queue.map(|name| name.0);
    let overview = app
        .ports
        .staff
        .overview
        .overview(window.into(), name.as_deref())
        .await?;
    if let (Some(name), true) = (&name, overview.queues.is_empty()) {
        return Err(catalogue::NOT_FOUND.with(format!("there is no queue {}", name.escape_debug())));
    }
    Ok(Json(Overview::new(window, overview)))
}
