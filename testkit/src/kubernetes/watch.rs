//! Watches: a stream of changes from a version on, with bookmarks, until its time is over.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use http::header;
use serde_json::{Value, json};
use tokio::sync::watch::Receiver;
use tokio::time::Instant;

use super::cluster::Cluster;
use super::listing::parse_version;
use super::object;
use super::resource::Resource;
use super::routes::Query;
use super::selector::Selector;
use super::status::ApiError;
use super::store::{Change, Event};
use super::writes::Target;

const DEFAULT_TIMEOUT: Duration = Duration::from_mins(30);

struct Watch {
    cluster: Arc<Cluster>,
    resource: &'static Resource,
    namespace: String,
    selector: Selector,
    last: u64,
    pending: VecDeque<Bytes>,
    ended: bool,
    bookmarks: bool,
    changed: Receiver<u64>,
    dropped: Receiver<u64>,
    next_bookmark: Instant,
    deadline: Instant,
}

/// Starts a watch.
pub(crate) fn answer(cluster: &Arc<Cluster>, target: &Target, query: &Query) -> Result<Response, ApiError> {
    let selector = Selector::parse(query.text("labelSelector"), query.text("fieldSelector"))?;
    let bookmarks = query.is_true("allowWatchBookmarks");
    let streaming_list = query.is_true("sendInitialEvents");
    if streaming_list && query.text("resourceVersionMatch") != "NotOlderThan" {
        return Err(ApiError::new(
            422,
            "Invalid",
            "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ));
    }
    let timeout = query
        .number("timeoutSeconds")?
        .and_then(|s| u64::try_from(s).ok())
        .filter(|s| *s > 0);
    let store = cluster.store();
    let now = Instant::now();
    let mut watch = Watch {
        cluster: Arc::clone(cluster),
        resource: target.resource,
        namespace: target.namespace.clone(),
        selector,
        last: store.version(),
        pending: VecDeque::new(),
        ended: false,
        bookmarks,
        changed: store.subscribe(),
        dropped: cluster.faults.watches(),
        next_bookmark: now + cluster.settings.bookmark_interval,
        deadline: now + timeout.map_or(DEFAULT_TIMEOUT, Duration::from_secs),
    };
    let from = query.text("resourceVersion");
    if streaming_list || matches!(from, "" | "0") {
        let namespace = Some(target.namespace.as_str()).filter(|n| !n.is_empty());
        for found in store
            .list(target.resource, namespace)
            .filter(|o| watch.selector.matches(o))
        {
            watch.pending.push_back(line("ADDED", found));
        }
        if streaming_list && bookmarks {
            watch.pending.push_back(watch.bookmark(true));
        }
    } else {
        watch.last = parse_version(from)?;
    }
    drop(store);
    let stream = stream::unfold(watch, |mut watch| async move {
        let line = watch.next().await?;
        Some((Ok::<_, Infallible>(line), watch))
    });
    Ok((
        [(header::CONTENT_TYPE, "application/json")],
        Body::from_stream(stream),
    )
        .into_response())
}

impl Watch {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            // A dropped connection loses what wasn't sent yet.
            if self.dropped.has_changed().unwrap_or(true) || self.cluster.stopped.is_cancelled() {
                return None;
            }
            if let Some(line) = self.pending.pop_front() {
                return Some(line);
            }
            if self.ended {
                return None;
            }
            self.changed.borrow_and_update();
            self.collect();
            if !self.pending.is_empty() {
                continue;
            }
            tokio::select! {
                changed = self.changed.changed() => changed.ok()?,
                _ = self.dropped.changed() => return None,
                () = self.cluster.stopped.cancelled() => return None,
                () = tokio::time::sleep_until(self.next_bookmark), if self.bookmarks => {
                    self.next_bookmark = Instant::now() + self.cluster.settings.bookmark_interval;
                    self.pending.push_back(self.bookmark(false));
                }
                () = tokio::time::sleep_until(self.deadline) => {
                    self.ended = true;
                    if self.bookmarks {
                        self.pending.push_back(self.bookmark(false));
                    }
                }
            }
        }
    }

    fn collect(&mut self) {
        let cluster = Arc::clone(&self.cluster);
        let store = cluster.store();
        if !store.can_continue_from(self.last) {
            let message = format!("too old resource version: {} ({})", self.last, store.version());
            self.pending
                .push_back(line("ERROR", &ApiError::expired(message).to_status()));
            self.ended = true;
            return;
        }
        for event in store.since(self.last) {
            if let Some(line) = self.event(event) {
                self.pending.push_back(line);
            }
        }
        self.last = self.last.max(store.version());
    }

    /// A change as this watch sees it: entering the selection is an addition, leaving it a deletion.
    fn event(&self, event: &Event) -> Option<Bytes> {
        let in_scope = event.resource == self.resource
            && (self.namespace.is_empty() || object::namespace(&event.object) == self.namespace);
        if !in_scope {
            return None;
        }
        let is = self.selector.matches(&event.object);
        let was = event
            .previous
            .as_ref()
            .is_some_and(|previous| self.selector.matches(previous));
        match (event.change, was, is) {
            (Change::Added, _, true) | (Change::Modified, false, true) => Some(line("ADDED", &event.object)),
            (Change::Modified, true, true) => Some(line("MODIFIED", &event.object)),
            (Change::Modified, true, false) => {
                let mut last = event.previous.as_deref()?.clone();
                last["metadata"]["resourceVersion"] = event.version.to_string().into();
                Some(line("DELETED", &last))
            }
            (Change::Deleted, true, _) => Some(line("DELETED", &event.object)),
            _ => None,
        }
    }

    fn bookmark(&self, initial_events_end: bool) -> Bytes {
        let mut metadata = json!({ "resourceVersion": self.last.to_string(), "creationTimestamp": null });
        if initial_events_end {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        line(
            "BOOKMARK",
            &json!({
                "kind": self.resource.kind, "apiVersion": self.resource.api_version(), "metadata": metadata,
            }),
        )
    }
}

fn line(kind: &str, object: &Value) -> Bytes {
    Bytes::from(format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n"))
}
