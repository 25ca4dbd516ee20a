//! What changes, as it changes: server-sent events.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use domain::access::Right;
use domain::id::{JobId, RunId};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::App;
use crate::auth::guard::Who;
use crate::live::{LiveEvent, Start, Topic, Wish, place};
use crate::problem::{ApiError, catalogue};
use crate::query::{Params, Text};

/// What to hear of.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StreamQuery {
    /// Some of `job`, `run`, `delivery`, `queues`, `run_event`, with commas; all if not said. What needs a right that
    /// is missing is left out.
    #[param(value_type = Option<String>)]
    topics: Option<Text<64>>,
    /// A run whose log to follow: adds `log`.
    run: Option<i64>,
    /// A job that is shown whole: its changes are told however old it is.
    job: Option<i64>,
}

/// Where to go on.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What changes, within a second of the commit, as server-sent events.
///
/// Each message has an `event` and one line of
/// `data`, JSON; see `LiveEvent`, whose members they are. The last message of each look has an `id`: sent back as
/// `Last-Event-ID` within a minute, at any gateway, the stream goes on from there (`ready` with `resumed`), else it
/// begins with `reset`. A change may be told twice; rows are as they are when they are told.
///
/// Rights are looked at before each message. The stream ends with the access token, with its session or token, with
/// the gateway: each time with `end`, and connecting again with a good token carries on.
#[utoipa::path(
    get,
    path = "/api/v1/staff/stream",
    operation_id = "stream",
    tag = "live",
    extensions(("x-right" = json!("project_read"))),
    security(("staff" = [])),
    params(
        StreamQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "The last `id` that was received"),
    ),
    responses(
        (status = 200, description = "Messages without end", body = LiveEvent, content_type = "text/event-stream"),
        (status = 404, description = "There is no such run"),
        (status = 429, description = "One person has too many streams open (`too_many_streams`)"),
        (status = 503, description = "Too many streams are open (`streams_full`), or the gateway stops"),
    )
)]
pub(crate) async fn stream(
    State(app): State<Arc<App>>,
    who: Who,
    headers: HeaderMap,
    Params(query): Params<StreamQuery>,
) -> Result<Response, ApiError> {
    let topics = topics(query.topics.as_ref().map(|text| text.0.as_str()))?;
    let run = query.run.map(RunId);
    if let Some(run) = run {
        let seen = app.ports.runs.get(run, &who.projects(Right::ProjectRead)).await?;
        seen.ok_or_else(|| catalogue::NOT_FOUND.with(format!("there is no run {run}")))?;
    }
    let start = match headers.get(LAST_EVENT_ID) {
        None => Start::Now,
        Some(id) => Start::After(id.to_str().ok().and_then(place)),
    };
    let subscription = app.live.join(Wish {
        principal: who.principal().clone(),
        until: who.until(),
        topics,
        run,
        job: query.job.map(JobId),
        start,
    })?;
    let head = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream"),
        ),
        // A proxy that buffers would keep messages back.
        (
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    Ok((head, Body::from_stream(subscription)).into_response())
}

fn topics(asked: Option<&str>) -> Result<BTreeSet<Topic>, ApiError> {
    let Some(asked) = asked else {
        return Ok(Topic::ALL.into());
    };
    let topic = |name: &str| {
        Topic::ALL
            .into_iter()
            .find(|topic| topic.as_str() == name)
            .ok_or_else(|| {
                let names = Topic::ALL.map(Topic::as_str).join(", ");
                catalogue::QUERY_INVALID.with(format!("`topics` takes some of {names}, with commas"))
            })
    };
    asked.split(',').map(topic).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_topics_there_are() {
        assert_eq!(topics(None).unwrap().len(), Topic::ALL.len());
        assert_eq!(topics(Some("run,job")).unwrap(), [Topic::Job, Topic::Run].into());
        for bad in ["", "log", "job,", "job run"] {
            assert!(topics(Some(bad)).is_err(), "{bad}");
        }
    }
}
