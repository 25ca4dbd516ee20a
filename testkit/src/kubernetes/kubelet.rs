//! A little kubelet: it really runs the containers of a pod, as processes of this machine. Images aren't
//! pulled, volumes aren't mounted, probes aren't asked and nothing is started a second time (`OnFailure` is
//! treated as `Never`); each container gets an empty working directory of its own.

mod environment;
mod log;
mod pod;
mod process;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::cluster::{Cluster, lock};
use super::object::{self, str_of};
use super::resource::POD;
use super::writes::edit;

pub(crate) use log::{LogLine, Logs};
pub(crate) use process::Groups;

/// The name of the one node.
pub(crate) const NODE_NAME: &str = "simulator";

/// Asks a pod's processes to end within this time.
type Stop = Option<Duration>;

/// The pods that run here.
pub(crate) struct Kubelet {
    cluster: Arc<Cluster>,
    groups: Arc<Groups>,
    /// Below it each container gets its working directory.
    directory: PathBuf,
    running: Mutex<HashMap<String, watch::Sender<Stop>>>,
}

impl Kubelet {
    pub(crate) fn new(cluster: Arc<Cluster>, groups: Arc<Groups>, directory: PathBuf) -> Arc<Self> {
        Arc::new(Self {
            cluster,
            groups,
            directory,
            running: Mutex::default(),
        })
    }

    /// Follows the store until the simulator stops.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut changed = self.cluster.store().subscribe();
        loop {
            changed.borrow_and_update();
            self.pass();
            tokio::select! {
                result = changed.changed() => if result.is_err() { return },
                () = tokio::time::sleep(Duration::from_millis(200)) => {}
                () = self.cluster.stopped.cancelled() => return,
            }
        }
    }

    fn pass(self: &Arc<Self>) {
        let pods: Vec<Arc<Value>> = self.cluster.store().list(&POD, None).cloned().collect();
        let mut running = lock(&self.running);
        for (uid, stop) in running.iter() {
            let pod = pods.iter().find(|pod| object::uid(pod) == uid);
            let grace = match pod {
                None => Some(Duration::ZERO),
                Some(pod) if object::is_deleting(pod) => {
                    let seconds = pod["metadata"]["deletionGracePeriodSeconds"].as_u64();
                    Some(Duration::from_secs(seconds.unwrap_or(0)))
                }
                Some(_) => None,
            };
            if let Some(grace) = grace {
                stop.send_if_modified(|asked| {
                    let sooner = asked.is_none_or(|earlier| grace < earlier);
                    if sooner {
                        *asked = Some(grace);
                    }
                    sooner
                });
            }
        }
        for pod in &pods {
            let uid = object::uid(pod);
            if running.contains_key(uid) || object::is_terminal(pod) {
                continue;
            }
            if str_of(&pod["spec"], "nodeName").is_empty() {
                if self.cluster.faults.holds_pods() {
                    self.hold(pod);
                } else if !object::is_deleting(pod) {
                    let (stop, stopped) = watch::channel(None);
                    running.insert(uid.to_owned(), stop);
                    tokio::spawn(pod::run(Arc::clone(self), Arc::clone(pod), stopped));
                }
            } else {
                self.lose(pod);
            }
        }
    }

    fn forget(&self, uid: &str) {
        lock(&self.running).remove(uid);
    }

    /// Leaves a pod without a node.
    fn hold(&self, pod: &Value) {
        let now = self.cluster.timestamp();
        edit(&mut self.cluster.store(), &POD, pod, |pod| {
            let condition = json!({
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "message": "0/1 nodes are available: 1 node(s) had untolerated taint(s).",
                "lastProbeTime": null,
            });
            object::set_condition(pod, condition, &now);
        });
    }

    /// A pod that ran under an earlier start of the simulator: its processes are gone.
    fn lose(&self, pod: &Value) {
        let now = self.cluster.timestamp();
        edit(&mut self.cluster.store(), &POD, pod, |pod| {
            pod["status"]["phase"] = "Failed".into();
            if let Some(list) = pod["status"]
                .get_mut("containerStatuses")
                .and_then(Value::as_array_mut)
            {
                for status in list
                    .iter_mut()
                    .filter(|status| status["state"]["terminated"].is_null())
                {
                    status["ready"] = false.into();
                    status["state"] = json!({ "terminated": {
                        "exitCode": 137, "reason": "ContainerStatusUnknown", "finishedAt": now,
                        "message": "The container could not be located when the pod was terminated",
                    }});
                }
            }
            if object::is_deleting(pod) {
                pod["metadata"]["deletionGracePeriodSeconds"] = 0.into();
            }
        });
    }
}
