//! The controllers of the control plane. All are level-triggered: each pass looks at the whole store and does
//! what is missing.

mod account;
mod garbage;
mod job;
mod namespace;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::admission::quota;
use super::cluster::Cluster;
use super::object;
use super::resource::{POD, RESOURCE_QUOTA};
use super::store::Store;
use super::writes::edit;

/// What a pass works on.
pub(super) struct Pass<'a> {
    pub(crate) store: &'a mut Store,
    pub(crate) now: DateTime<Utc>,
    pub(crate) timestamp: String,
    pub(crate) job_backoff: Duration,
}

/// Runs them until the simulator stops.
pub(crate) async fn run(cluster: Arc<Cluster>) {
    let mut changed = cluster.store().subscribe();
    let mut pods = HashSet::new();
    loop {
        changed.borrow_and_update();
        pass(&cluster);
        forget_logs(&cluster, &mut pods);
        tokio::select! {
            result = changed.changed() => if result.is_err() { return },
            // Deadlines and times to live pass without a write.
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
            () = cluster.stopped.cancelled() => return,
        }
        // Writes come in bursts.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// One pass of each, in one transaction.
pub(crate) fn pass(cluster: &Cluster) {
    let (now, timestamp) = (cluster.now(), cluster.timestamp());
    let job_backoff = cluster.settings.job_backoff;
    let mut pass = Pass {
        store: &mut cluster.store(),
        now,
        timestamp,
        job_backoff,
    };
    account::pass(&mut pass);
    namespace::pass(&mut pass);
    garbage::pass(&mut pass);
    job::pass(&mut pass);
    count_quotas(&mut pass);
}

fn count_quotas(pass: &mut Pass<'_>) {
    let quotas: Vec<Arc<Value>> = pass.store.list(&RESOURCE_QUOTA, None).cloned().collect();
    for quota in quotas {
        let used = quota::used(pass.store, &quota);
        edit(pass.store, &RESOURCE_QUOTA, &quota, |quota| {
            quota["status"]["hard"] = quota["spec"]["hard"].clone();
            quota["status"]["used"] = used;
        });
    }
}

/// Logs live as long as their pod.
fn forget_logs(cluster: &Cluster, known: &mut HashSet<String>) {
    let present: HashSet<String> = cluster
        .store()
        .list(&POD, None)
        .map(|pod| object::uid(pod).to_owned())
        .collect();
    for gone in known.difference(&present) {
        cluster.logs.forget(gone);
    }
    *known = present;
}
