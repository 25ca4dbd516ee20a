//! What a run's agent wrote: by page from either end, by what it holds, and whole.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use domain::RunId;
use domain::access::Right;
use futures::stream;
use serde::Deserialize;
use utoipa::IntoParams;

use super::unknown;
use super::view::LogPage;
use crate::app::App;
use crate::auth::guard::Who;
use crate::problem::{ApiError, catalogue};
use crate::query::{Id, Limit, NoParams, Params, Text};

/// Lines read at a time for the whole log.
const CHUNK: i64 = 5_000;
/// Lines that a search looks at before it answers with what it has found: some 20 ms.
const SEARCHED: i64 = 25_000;

/// Which lines of the log.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogQuery {
    /// Only lines with a higher number, 0 if not said.
    #[serde(default)]
    #[param(value_type = Option<i64>)]
    after: i64,
    /// Only lines with a lower number, and of them the last ones: backwards from here, or from the end with a number
    /// that is high enough.
    before: Option<i64>,
    /// Only lines that hold this text, in any case, among the 25,000 after `after`; the search is at its end when
    /// `next_after` is `last`.
    #[param(value_type = Option<String>)]
    search: Option<Text<200>>,
    /// 1 to 1,000, 50 if not said.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1_000)]
    limit: Limit<1_000>,
}

/// What the agent wrote; ask again with `next_after` for what comes later.
#[utoipa::path(
    get,
    path = "/api/v1/staff/runs/{id}/log",
    operation_id = "read_run_log",
    tag = "runs",
    extensions(("x-right" = json!("project_read"))),
    security(("staff" = [])),
    params(("id" = i64, Path, description = "The run"), LogQuery),
    responses(
        (status = 200, description = "Lines in order", body = LogPage),
    )
)]
pub(crate) async fn read(
    State(app): State<Arc<App>>,
    who: Who,
    Id(id): Id<RunId>,
    Params(query): Params<LogQuery>,
) -> Result<Json<LogPage>, ApiError> {
    let projects = who.projects(Right::ProjectRead);
    let runs = &app.ports.runs;
    let limit = query.limit.get() as i64;
    let last = runs.last_log_line(id, &projects).await?;
    let last = last.ok_or_else(|| unknown(id))?;
    let mut seen = query.after;
    let lines = match (query.before, &query.search) {
        (Some(_), Some(_)) => {
            return Err(catalogue::QUERY_INVALID.with("give either `before` or `search`, not both"));
        }
        (Some(before), None) => runs.log_before(id, before, limit, &projects).await?,
        (None, Some(text)) => {
            let until = query.after.saturating_add(SEARCHED).min(last);
            let between = (query.after, until);
            let lines = runs.search_log(id, &text.0, between, limit, &projects).await?;
            if lines.len() < query.limit.get() {
                seen = until.max(seen);
            }
            lines
        }
        (None, None) => runs.log(id, query.after, limit, &projects).await?,
    };
    Ok(Json(LogPage::new(lines, seen, last)))
}

/// The whole log as text.
#[utoipa::path(
    get,
    path = "/api/v1/staff/runs/{id}/log.txt",
    operation_id = "download_run_log",
    tag = "runs",
    extensions(("x-right" = json!("project_read"))),
    security(("staff" = [])),
    params(("id" = i64, Path, description = "The run")),
    responses(
        (status = 200, description = "All lines in order", body = String, content_type = "text/plain"),
    )
)]
pub(crate) async fn download(
    State(app): State<Arc<App>>,
    who: Who,
    Id(id): Id<RunId>,
    _: NoParams,
) -> Result<Response, ApiError> {
    let projects = who.projects(Right::ProjectRead);
    let last = app.ports.runs.last_log_line(id, &projects).await?;
    last.ok_or_else(|| unknown(id))?;
    // Chunk by chunk as the reader takes them; one that fails cuts the answer off.
    let chunks = stream::unfold(Some(0), move |after| {
        let (app, projects) = (Arc::clone(&app), projects.clone());
        async move {
            let lines = app.ports.runs.log(id, after?, CHUNK, &projects).await;
            let lines = match lines {
                Ok(lines) => lines,
                Err(error) => return Some((Err(error), None)),
            };
            let next = lines.last()?.number;
            let mut text = String::new();
            for line in lines {
                text.push_str(&line.text);
                text.push('\n');
            }
            Some((Ok(Bytes::from(text)), Some(next)))
        }
    });
    let disposition = format!("attachment; filename=\"run-{id}.log\"");
    let head = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    Ok((head, Body::from_stream(chunks)).into_response())
}
