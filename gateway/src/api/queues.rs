//! Queues, their pauses and limits, and the workers that serve them.

pub(crate) mod view;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use domain::queue::{LimitsSet, Pausable, Switched};
use serde::Deserialize;
use utoipa::ToSchema;

use super::author::{Reason, ReasonQuery, author};
use crate::app::App;
use crate::auth::guard::Who;
use crate::json::Body;
use crate::precondition::{Seen, Tagged, stale};
use crate::problem::{ApiError, catalogue};
use crate::query::{Id, Name, NoParams, Params, Text};
use view::{Limits, LiveWorker, PauseLine, QueueLine, SetLimits, WhatPaused, WorkerDrained};

/// How many pauses are shown.
const MOST_PAUSES: i64 = 1_000;

/// All queues: their unfinished jobs, pauses and limits.
#[utoipa::path(
    get,
    path = "/api/v1/staff/queues",
    operation_id = "list_queues",
    tag = "queues",
    extensions(("x-right" = json!("platform_read"))),
    security(("staff" = [])),
    responses(
        (status = 200, description = "Queues by name", body = Vec<QueueLine>),
    )
)]
pub(crate) async fn list(State(app): State<Arc<App>>, _: NoParams) -> Result<Json<Vec<QueueLine>>, ApiError> {
    let queues = app.ports.queues.queues().await?;
    Ok(Json(queues.into_iter().map(QueueLine::from).collect()))
}

/// What is paused: queues, kinds and tenants, the latest first, at most 1,000.
#[utoipa::path(
    get,
    path = "/api/v1/staff/queues/pauses",
    operation_id = "list_pauses",
    tag = "queues",
    extensions(("x-right" = json!("platform_read"))),
    security(("staff" = [])),
    responses(
        (status = 200, description = "Pauses, the latest first", body = Vec<PauseLine>),
    )
)]
pub(crate) async fn pauses(
    State(app): State<Arc<App>>,
    _: NoParams,
) -> Result<Json<Vec<PauseLine>>, ApiError> {
    let pauses = app.ports.queues.pauses(MOST_PAUSES).await?;
    Ok(Json(pauses.into_iter().map(PauseLine::from).collect()))
}

/// What to pause or to resume: a queue, a kind in all queues, or a tenant's jobs in a queue.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PauseWish {
    /// The queue.
    #[schema(value_type = Option<String>)]
    queue: Option<Name>,
    /// The kind of job; instead of a queue.
    #[schema(value_type = Option<String>)]
    kind: Option<Name>,
    /// The tenant, 1 to 256 characters; beside its queue.
    #[schema(value_type = Option<String>)]
    tenant: Option<Text<256>>,
    /// Why, for the audit: 1 to 500 characters.
    #[schema(value_type = Option<String>)]
    reason: Option<Reason>,
}

/// Starts no more jobs of a queue, a kind or a tenant; what runs goes on.
#[utoipa::path(
    post,
    path = "/api/v1/staff/queues/pause",
    operation_id = "pause_queue",
    tag = "queues",
    extensions(("x-right" = json!("platform_write"))),
    security(("staff" = [])),
    request_body = PauseWish,
    responses(
        (status = 200, description = "It is paused", body = WhatPaused),
    )
)]
pub(crate) async fn pause(
    State(app): State<Arc<App>>,
    who: Who,
    _: NoParams,
    Body(wish): Body<PauseWish>,
) -> Result<Json<WhatPaused>, ApiError> {
    switch(&app, &who, wish, true).await
}

/// Ends a pause.
#[utoipa::path(
    post,
    path = "/api/v1/staff/queues/resume",
    operation_id = "resume_queue",
    tag = "queues",
    extensions(("x-right" = json!("platform_write"))),
    security(("staff" = [])),
    request_body = PauseWish,
    responses(
        (status = 200, description = "Its jobs are started again", body = WhatPaused),
    )
)]
pub(crate) async fn resume(
    State(app): State<Arc<App>>,
    who: Who,
    _: NoParams,
    Body(wish): Body<PauseWish>,
) -> Result<Json<WhatPaused>, ApiError> {
    switch(&app, &who, wish, false).await
}

async fn switch(app: &App, who: &Who, wish: PauseWish, paused: bool) -> Result<Json<WhatPaused>, ApiError> {
    let what = match (wish.queue, wish.kind, wish.tenant) {
        (Some(queue), None, None) => Pausable::Queue(queue.0),
        (None, Some(kind), None) => Pausable::Kind(kind.0),
        (Some(queue), None, Some(tenant)) => Pausable::Tenant {
            queue: queue.0,
            tenant: tenant.0,
        },
        _ => return Err(catalogue::BODY_INVALID.with("give `queue`, or `kind`, or `queue` and `tenant`")),
    };
    let switched = app
        .ports
        .queues
        .pause(&what, paused, &author(who, wish.reason))
        .await?;
    if switched == Switched::NotFound {
        return Err(catalogue::NOT_FOUND.with("nobody has used this queue or kind"));
    }
    Ok(Json(WhatPaused::new(what, paused, switched)))
}

/// A queue's limits over all its workers.
#[utoipa::path(
    get,
    path = "/api/v1/staff/queues/{name}/limits",
    operation_id = "show_queue_limits",
    tag = "queues",
    extensions(("x-right" = json!("platform_read"))),
    security(("staff" = [])),
    params(("name" = String, Path, description = "The queue")),
    responses(
        (status = 200, description = "What it allows", body = Limits,
            headers(("ETag" = String, description = "Its version in quotes, for `If-Match`"))),
    )
)]
pub(crate) async fn limits(
    State(app): State<Arc<App>>,
    Id(Text(name)): Id<Name>,
    _: NoParams,
) -> Result<Tagged<Limits>, ApiError> {
    let limits = app.ports.queues.limits(&name).await?;
    limits
        .map(|limits| Tagged(limits.into()))
        .ok_or_else(|| unknown(&name))
}

fn unknown(name: &str) -> ApiError {
    catalogue::NOT_FOUND.with(format!("there is no queue {name}"))
}

/// Sets a queue's limits over all its workers; those left out are lifted. They hold within a second.
#[utoipa::path(
    put,
    path = "/api/v1/staff/queues/{name}/limits",
    operation_id = "set_queue_limits",
    tag = "queues",
    extensions(("x-right" = json!("platform_write"))),
    security(("staff" = [])),
    params(("name" = String, Path, description = "The queue"), Seen),
    request_body = SetLimits,
    responses(
        (status = 200, description = "They are set", body = Limits,
            headers(("ETag" = String, description = "Its version in quotes, for `If-Match`"))),
    )
)]
pub(crate) async fn set_limits(
    State(app): State<Arc<App>>,
    who: Who,
    Id(Text(name)): Id<Name>,
    Seen(seen): Seen,
    _: NoParams,
    Body(wish): Body<SetLimits>,
) -> Result<Tagged<Limits>, ApiError> {
    let (limits, reason) = wish.read()?;
    let queues = &app.ports.queues;
    match queues
        .set_limits(&name, limits, &seen, &author(&who, reason))
        .await?
    {
        LimitsSet::Done => Ok(Tagged(limits.into())),
        LimitsSet::NotFound => Err(unknown(&name)),
        LimitsSet::Stale => Err(stale()),
    }
}

/// The workers that live, and what they hold.
#[utoipa::path(
    get,
    path = "/api/v1/staff/workers",
    operation_id = "list_workers",
    tag = "queues",
    extensions(("x-right" = json!("platform_read"))),
    security(("staff" = [])),
    responses(
        (status = 200, description = "Workers by name", body = Vec<LiveWorker>),
    )
)]
pub(crate) async fn workers(
    State(app): State<Arc<App>>,
    _: NoParams,
) -> Result<Json<Vec<LiveWorker>>, ApiError> {
    let workers = app.ports.queues.workers().await?;
    Ok(Json(workers.into_iter().map(LiveWorker::from).collect()))
}

/// Asks a worker to start nothing more, finish what it runs, and end; all that live under this name. It can't be taken
/// back: whoever keeps workers running starts another one. Idempotent.
#[utoipa::path(
    post,
    path = "/api/v1/staff/workers/{name}/drain",
    operation_id = "drain_worker",
    tag = "queues",
    extensions(("x-right" = json!("platform_write"))),
    security(("staff" = [])),
    params(("name" = String, Path, description = "The worker"), ReasonQuery),
    responses(
        (status = 200, description = "It drains", body = WorkerDrained),
    )
)]
pub(crate) async fn drain_worker(
    State(app): State<Arc<App>>,
    who: Who,
    Id(Text(name)): Id<Name>,
    Params(query): Params<ReasonQuery>,
) -> Result<Json<WorkerDrained>, ApiError> {
    let queues = &app.ports.queues;
    match queues.drain_worker(&name, &author(&who, query.reason)).await? {
        Switched::NotFound => Err(catalogue::NOT_FOUND.with(format!("no worker {name} lives"))),
        switched => Ok(Json(WorkerDrained {
            name,
            changed: switched == Switched::Done,
        })),
    }
}
