//! `pods/log`: what a container wrote.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use futures::stream;
use http::header;
use serde_json::Value;
use tokio::sync::watch::Receiver;

use super::cluster::Cluster;
use super::kubelet::LogLine;
use super::object::{self, items, str_of};
use super::routes::Query;
use super::status::ApiError;
use super::writes::Target;

struct Reader {
    cluster: Arc<Cluster>,
    pod_uid: String,
    container: String,
    next: u64,
    since: Option<DateTime<Utc>>,
    timestamps: bool,
    bytes_left: Option<usize>,
    follow: bool,
    changed: Receiver<u64>,
}

/// The log as text, whole or followed.
pub(crate) fn answer(cluster: &Arc<Cluster>, target: &Target, query: &Query) -> Result<Response, ApiError> {
    let pod = {
        let store = cluster.store();
        let found = store
            .get(target.resource, &target.namespace, &target.name)
            .cloned();
        found.ok_or_else(|| ApiError::not_found(target.resource, &target.name))?
    };
    let container = container(&pod, query.text("container"))?;
    let plain = [(header::CONTENT_TYPE, "text/plain")];
    if str_of(&pod["spec"], "nodeName").is_empty() {
        return Ok((plain, "").into_response());
    }
    check_started(&pod, &container)?;
    if query.is_true("previous") {
        let name = object::name(&pod);
        return Err(ApiError::bad_request(format!(
            "previous terminated container {container:?} in pod {name:?} not found"
        )));
    }
    let since = match (query.number("sinceSeconds")?, query.text("sinceTime")) {
        (Some(seconds), _) => Some(cluster.now() - TimeDelta::seconds(seconds)),
        (None, "") => None,
        (None, text) => Some(
            object::parse_time(&text.into())
                .ok_or_else(|| ApiError::bad_request(format!("sinceTime must be RFC 3339, not {text:?}")))?,
        ),
    };
    let tail = query
        .number("tailLines")?
        .map(|lines| u64::try_from(lines).unwrap_or(0));
    let limit = query
        .number("limitBytes")?
        .map(|bytes| usize::try_from(bytes).unwrap_or(0));
    let pod_uid = object::uid(&pod).to_owned();
    let reader = Reader {
        next: tail.map_or(0, |tail| {
            cluster.logs.end(&pod_uid, &container).saturating_sub(tail)
        }),
        changed: cluster.logs.subscribe(),
        cluster: Arc::clone(cluster),
        pod_uid,
        container,
        since,
        timestamps: query.is_true("timestamps"),
        bytes_left: limit,
        follow: query.is_true("follow"),
    };
    let stream = stream::unfold(reader, |mut reader| async move {
        let chunk = reader.chunk().await?;
        Some((Ok::<_, Infallible>(chunk), reader))
    });
    Ok((plain, Body::from_stream(stream)).into_response())
}

fn container(pod: &Value, wanted: &str) -> Result<String, ApiError> {
    let names = |list: &str| -> Vec<String> {
        items(&pod["spec"][list])
            .map(|c| str_of(c, "name").to_owned())
            .collect()
    };
    let (main, init) = (names("containers"), names("initContainers"));
    let pod_name = object::name(pod);
    match (wanted, main.as_slice()) {
        ("", [only]) => Ok(only.clone()),
        ("", several) => Err(ApiError::bad_request(format!(
            "a container name must be specified for pod {pod_name}, choose one of: [{}]",
            several.join(" ")
        ))),
        (wanted, _) if main.iter().chain(&init).any(|name| name == wanted) => Ok(wanted.to_owned()),
        _ => Err(ApiError::bad_request(format!(
            "container {wanted} is not valid for pod {pod_name}"
        ))),
    }
}

fn check_started(pod: &Value, container: &str) -> Result<(), ApiError> {
    let state = ["containerStatuses", "initContainerStatuses"]
        .iter()
        .flat_map(|list| items(&pod["status"][*list]))
        .find(|status| status["name"] == container)
        .map_or(&Value::Null, |status| &status["state"]);
    if !state["running"].is_null() || !state["terminated"].is_null() {
        return Ok(());
    }
    let reason = match str_of(&state["waiting"], "reason") {
        "" => "ContainerCreating",
        reason => reason,
    };
    let name = object::name(pod);
    Err(ApiError::bad_request(format!(
        "container {container:?} in pod {name:?} is waiting to start: {reason}"
    )))
}

impl Reader {
    async fn chunk(&mut self) -> Option<Bytes> {
        loop {
            if self.bytes_left == Some(0) || self.cluster.stopped.is_cancelled() {
                return None;
            }
            self.changed.borrow_and_update();
            let (lines, next, finished) = self.cluster.logs.read(&self.pod_uid, &self.container, self.next);
            self.next = next;
            let text = self.text(&lines);
            if !text.is_empty() {
                return Some(text);
            }
            if !self.follow || finished {
                return None;
            }
            tokio::select! {
                changed = self.changed.changed() => changed.ok()?,
                () = self.cluster.stopped.cancelled() => return None,
            }
        }
    }

    fn text(&mut self, lines: &[LogLine]) -> Bytes {
        let mut text = Vec::new();
        for line in lines
            .iter()
            .filter(|line| self.since.is_none_or(|since| line.at >= since))
        {
            if self.timestamps {
                let at = line.at.to_rfc3339_opts(SecondsFormat::Nanos, true);
                text.extend_from_slice(format!("{at} ").as_bytes());
            }
            text.extend_from_slice(&line.text);
            text.push(b'\n');
        }
        if let Some(left) = &mut self.bytes_left {
            text.truncate(*left);
            *left -= text.len();
        }
        Bytes::from(text)
    }
}
