//! Schedules: list, show their ticks, pause, run now, remove.

mod view;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::DateTime;
use domain::queue::Switched;
use serde::Deserialize;
use utoipa::IntoParams;

use super::author::{ReasonQuery, author};
use super::page::{self, Page};
use crate::app::App;
use crate::auth::guard::Who;
use crate::problem::{ApiError, catalogue};
use crate::query::{Id, Limit, Name, NoParams, Params, Text};
use view::{Schedule, ScheduleDone, ScheduleTick};

/// Which schedules to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ScheduleQuery {
    /// The `next` of an earlier page.
    after: Option<String>,
    /// 1 to 200, 50 if not said.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200)]
    limit: Limit<200>,
}

/// Schedules by name.
#[utoipa::path(
    get,
    path = "/api/v1/staff/schedules",
    operation_id = "list_schedules",
    tag = "schedules",
    extensions(("x-right" = json!("platform_read"))),
    security(("staff" = [])),
    params(ScheduleQuery),
    responses(
        (status = 200, description = "A page of schedules; `next` goes into `after`", body = Page<Schedule>),
    )
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Params(query): Params<ScheduleQuery>,
) -> Result<Json<Page<Schedule>>, ApiError> {
    let limit = query.limit.get();
    let after = page::key(query.after.as_deref(), |text| Some(text.to_owned()))?;
    let lines = app
        .ports
        .schedules
        .list(after.as_deref(), limit as i64 + 1)
        .await?;
    Ok(Json(Page::cut(lines, limit, |schedule| schedule.name.clone())))
}

/// One schedule.
#[utoipa::path(
    get,
    path = "/api/v1/staff/schedules/{name}",
    operation_id = "show_schedule",
    tag = "schedules",
    extensions(("x-right" = json!("platform_read"))),
    security(("staff" = [])),
    params(("name" = String, Path, description = "The schedule")),
    responses(
        (status = 200, description = "The schedule", body = Schedule),
    )
)]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Id(Text(name)): Id<Name>,
    _: NoParams,
) -> Result<Json<Schedule>, ApiError> {
    let schedule = app.ports.schedules.get(&name).await?;
    schedule
        .map(|schedule| Json(schedule.into()))
        .ok_or_else(|| unknown(&name))
}

/// Which ticks to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TickQuery {
    /// The `next` of an earlier page.
    before: Option<String>,
    /// 1 to 200, 50 if not said.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200)]
    limit: Limit<200>,
}

/// The ticks of a schedule that enqueued a job, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/staff/schedules/{name}/ticks",
    operation_id = "list_ticks",
    tag = "schedules",
    extensions(("x-right" = json!("platform_read"))),
    security(("staff" = [])),
    params(("name" = String, Path, description = "The schedule"), TickQuery),
    responses(
        (status = 200, description = "A page of ticks", body = Page<ScheduleTick>),
    )
)]
pub(crate) async fn ticks(
    State(app): State<Arc<App>>,
    Id(Text(name)): Id<Name>,
    Params(query): Params<TickQuery>,
) -> Result<Json<Page<ScheduleTick>>, ApiError> {
    let limit = query.limit.get();
    let at = |text: &str| DateTime::from_timestamp_micros(text.parse().ok()?);
    let before = page::key(query.before.as_deref(), at)?;
    let lines = app.ports.schedules.ticks(&name, before, limit as i64 + 1).await?;
    if lines.is_empty() && app.ports.schedules.get(&name).await?.is_none() {
        return Err(unknown(&name));
    }
    Ok(Json(Page::cut(lines, limit, |tick| tick.at.timestamp_micros())))
}

/// Stops a schedule's ticks; those of the pause are not caught up.
#[utoipa::path(
    post,
    path = "/api/v1/staff/schedules/{name}/pause",
    operation_id = "pause_schedule",
    tag = "schedules",
    extensions(("x-right" = json!("platform_write"))),
    security(("staff" = [])),
    params(("name" = String, Path, description = "The schedule"), ReasonQuery),
    responses(
        (status = 200, description = "It is paused", body = ScheduleDone),
    )
)]
pub(crate) async fn pause(
    State(app): State<Arc<App>>,
    who: Who,
    Id(Text(name)): Id<Name>,
    Params(query): Params<ReasonQuery>,
) -> Result<Json<ScheduleDone>, ApiError> {
    switch(&app, &who, name, true, query).await
}

/// Lets a schedule tick again from now on.
#[utoipa::path(
    post,
    path = "/api/v1/staff/schedules/{name}/resume",
    operation_id = "resume_schedule",
    tag = "schedules",
    extensions(("x-right" = json!("platform_write"))),
    security(("staff" = [])),
    params(("name" = String, Path, description = "The schedule"), ReasonQuery),
    responses(
        (status = 200, description = "It ticks again", body = ScheduleDone),
    )
)]
pub(crate) async fn resume(
    State(app): State<Arc<App>>,
    who: Who,
    Id(Text(name)): Id<Name>,
    Params(query): Params<ReasonQuery>,
) -> Result<Json<ScheduleDone>, ApiError> {
    switch(&app, &who, name, false, query).await
}

async fn switch(
    app: &App,
    who: &Who,
    name: String,
    paused: bool,
    query: ReasonQuery,
) -> Result<Json<ScheduleDone>, ApiError> {
    let by = author(who, query.reason);
    match app.ports.schedules.pause(&name, paused, &by).await? {
        Switched::NotFound => Err(unknown(&name)),
        switched => Ok(Json(ScheduleDone::switched(name, switched == Switched::Done))),
    }
}

/// Enqueues a schedule's job now, paused or not; its ticks stay as they are.
#[utoipa::path(
    post,
    path = "/api/v1/staff/schedules/{name}/run",
    operation_id = "run_schedule",
    tag = "schedules",
    extensions(("x-right" = json!("platform_write"))),
    security(("staff" = [])),
    params(("name" = String, Path, description = "The schedule"), ReasonQuery),
    responses(
        (status = 200, description = "Its job is enqueued", body = ScheduleDone),
    )
)]
pub(crate) async fn run_now(
    State(app): State<Arc<App>>,
    who: Who,
    Id(Text(name)): Id<Name>,
    Params(query): Params<ReasonQuery>,
) -> Result<Json<ScheduleDone>, ApiError> {
    let job = app
        .ports
        .schedules
        .run_now(&name, &author(&who, query.reason))
        .await?;
    match job {
        Some(job) => Ok(Json(ScheduleDone::enqueued(name, job))),
        None => Err(unknown(&name)),
    }
}

/// Removes a schedule; its jobs stay, and the audit says how it was.
#[utoipa::path(
    delete,
    path = "/api/v1/staff/schedules/{name}",
    operation_id = "remove_schedule",
    tag = "schedules",
    extensions(("x-right" = json!("platform_write"))),
    security(("staff" = [])),
    params(("name" = String, Path, description = "The schedule"), ReasonQuery),
    responses(
        (status = 200, description = "It is gone", body = ScheduleDone),
    )
)]
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    who: Who,
    Id(Text(name)): Id<Name>,
    Params(query): Params<ReasonQuery>,
) -> Result<Json<ScheduleDone>, ApiError> {
    if app
        .ports
        .schedules
        .remove(&name, &author(&who, query.reason))
        .await?
    {
        Ok(Json(ScheduleDone::switched(name, true)))
    } else {
        Err(unknown(&name))
    }
}

fn unknown(name: &str) -> ApiError {
    catalogue::NOT_FOUND.with(format!("there is no schedule {name}"))
}
