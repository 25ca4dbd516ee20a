//! Hints: which runs' Jobs and pods have just changed, anywhere in the cluster.

use std::pin::pin;

use domain::RunId;
use domain::port::PortError;
use futures::{StreamExt as _, stream};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt};

use crate::calls::{PART, port_error};
use crate::manifest::{MANAGED_BY, MANAGER, RUN};

/// Watches until something breaks; kube's own watcher keeps it going over the server's ordinary timeouts.
pub(crate) async fn watch(client: Client, hint: &(dyn Fn(RunId) + Send + Sync)) -> Result<(), PortError> {
    let ours = watcher::Config::default().labels(&format!("{MANAGED_BY}={MANAGER}"));
    let jobs = watcher(Api::<Job>::all(client.clone()), ours.clone()).map(|event| event.map(|e| changed(&e)));
    let pods = watcher(Api::<Pod>::all(client), ours).map(|event| {
        event.map(|e| match e {
            // At the beginning the Jobs say it all, and a run need not be hinted at twice.
            Event::InitApply(_) => None,
            event => changed(&event),
        })
    });
    let mut changes = pin!(stream::select(jobs, pods));
    metrics::counter!("codex_k8s_kubernetes_requests_total", "verb" => "watch", "outcome" => "begun")
        .increment(1);
    while let Some(change) = changes.next().await {
        match change {
            Ok(Some(run)) => hint(run),
            Ok(None) => {}
            Err(error) => {
                metrics::counter!("codex_k8s_kubernetes_requests_total", "verb" => "watch", "outcome" => "broken")
                    .increment(1);
                return Err(broken(&error));
            }
        }
    }
    Ok(())
}

/// The run of a changed object. What is there at the beginning counts as changed: it may have, while nobody watched.
fn changed<K: ResourceExt>(event: &Event<K>) -> Option<RunId> {
    match event {
        Event::Apply(object) | Event::InitApply(object) | Event::Delete(object) => {
            object.labels().get(RUN)?.parse().ok()
        }
        Event::Init | Event::InitDone => None,
    }
}

/// Whatever breaks a watch, trying again is right, except where we may not watch at all.
fn broken(error: &watcher::Error) -> PortError {
    match error {
        watcher::Error::InitialListFailed(cause)
        | watcher::Error::WatchStartFailed(cause)
        | watcher::Error::WatchFailed(cause) => port_error("the watch on Jobs and pods", cause),
        other => PortError::Unavailable {
            part: PART,
            reason: other.to_string(),
            retry_after_ms: None,
        },
    }
}
