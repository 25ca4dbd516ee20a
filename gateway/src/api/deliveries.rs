//! The ledger of webhook deliveries: list, show, replay.

pub(crate) mod view;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use domain::DeliveryId;
use domain::access::Right;
use domain::delivery::{DeliveryFilter, Replay};
use serde::Deserialize;
use utoipa::IntoParams;

use super::page::{self, Page};
use crate::app::App;
use crate::auth::guard::Who;
use crate::problem::{ApiError, catalogue};
use crate::query::{Id, Limit, Name, NoParams, Params};
use view::{Delivery, DeliveryLine, DeliveryStatus, ReplayDone};

/// Which deliveries to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeliveryQuery {
    /// Only with this status.
    status: Option<DeliveryStatus>,
    /// Only of this event, for example `issues`.
    #[param(value_type = Option<String>)]
    event: Option<Name>,
    /// The `next` of an earlier page.
    before: Option<String>,
    /// 1 to 200, 50 if not said.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200)]
    limit: Limit<200>,
}

/// Deliveries, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/staff/deliveries",
    operation_id = "list_deliveries",
    tag = "deliveries",
    extensions(("x-right" = json!("project_read"))),
    security(("staff" = [])),
    params(DeliveryQuery),
    responses(
        (status = 200, description = "A page of deliveries", body = Page<DeliveryLine>),
    )
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    who: Who,
    Params(query): Params<DeliveryQuery>,
) -> Result<Json<Page<DeliveryLine>>, ApiError> {
    let limit = query.limit.get();
    let filter = DeliveryFilter {
        projects: who.projects(Right::ProjectRead),
        status: query.status.map(Into::into),
        event: query.event.map(|name| name.0),
        before: page::key(query.before.as_deref(), position)?,
        limit: limit as i64 + 1,
    };
    let lines = app.ports.deliveries.list(&filter).await?;
    Ok(Json(Page::cut(lines, limit, |line| {
        format!("{} {}", line.received_at.timestamp_micros(), line.id)
    })))
}

/// Where a line stands in the ledger; the database keeps microseconds.
fn position(text: &str) -> Option<(DateTime<Utc>, DeliveryId)> {
    let (micros, id) = text.split_once(' ')?;
    Some((
        DateTime::from_timestamp_micros(micros.parse().ok()?)?,
        DeliveryId::new(id).ok()?,
    ))
}

/// One delivery whole, with its payload while that is kept.
#[utoipa::path(
    get,
    path = "/api/v1/staff/deliveries/{id}",
    operation_id = "show_delivery",
    tag = "deliveries",
    extensions(("x-right" = json!("project_read"))),
    security(("staff" = [])),
    params(("id" = String, Path, description = "`X-GitHub-Delivery`")),
    responses(
        (status = 200, description = "The delivery", body = Delivery),
    )
)]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    who: Who,
    Id(id): Id<DeliveryId>,
    _: NoParams,
) -> Result<Json<Delivery>, ApiError> {
    app.ports
        .deliveries
        .get(&id, &who.projects(Right::ProjectRead))
        .await?
        .map(|delivery| Json(delivery.into()))
        .ok_or_else(|| unknown(&id))
}

/// How to replay.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReplayQuery {
    /// Whether only to say what would happen. Must be given, so that nothing is replayed by oversight.
    dry_run: bool,
}

/// Processes a stored delivery again.
#[utoipa::path(
    post,
    path = "/api/v1/staff/deliveries/{id}/replay",
    operation_id = "replay_delivery",
    tag = "deliveries",
    extensions(("x-right" = json!("project_write"))),
    security(("staff" = [])),
    params(("id" = String, Path, description = "`X-GitHub-Delivery`"), ReplayQuery),
    responses(
        (status = 200, description = "A dry run: it would be replayed", body = ReplayDone),
        (status = 202, description = "A new job is enqueued", body = ReplayDone),
        (status = 409, description = "Its job has not finished"),
        (status = 410, description = "Its payload is not kept any more"),
    )
)]
pub(crate) async fn replay(
    State(app): State<Arc<App>>,
    who: Who,
    Id(id): Id<DeliveryId>,
    Params(query): Params<ReplayQuery>,
) -> Result<Response, ApiError> {
    let deliveries = &app.ports.deliveries;
    let projects = who.projects(Right::ProjectWrite);
    let replay = deliveries
        .replay(&id, query.dry_run, &projects, &who.actor())
        .await?;
    let Some(replay) = replay else {
        let seen = deliveries.get(&id, &who.projects(Right::ProjectRead)).await?;
        return Err(seen.map_or_else(
            || unknown(&id),
            |_| catalogue::FORBIDDEN.with("this needs the right `project_write` in the delivery's project"),
        ));
    };
    match replay {
        Replay::Possible => Ok(Json(ReplayDone::possible()).into_response()),
        Replay::Enqueued { job_id } => {
            Ok((StatusCode::ACCEPTED, Json(ReplayDone::enqueued(job_id))).into_response())
        }
        Replay::StillOpen { job_id } => Err(catalogue::DELIVERY_STILL_OPEN.with(format!(
            "job {job_id} of delivery {id} has not finished; wait for it or cancel it"
        ))),
        Replay::PayloadGone => Err(catalogue::PAYLOAD_GONE.with(format!(
            "the payload of delivery {id} is not kept any more; have GitHub redeliver it"
        ))),
    }
}

fn unknown(id: &DeliveryId) -> ApiError {
    catalogue::NOT_FOUND.with(format!("there is no delivery {id}"))
}
