//! One pod from its start to its end: init containers one after the other, then all containers at once.

use std::fs;
use std::sync::Arc;

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::super::object::{self, items, str_of};
use super::super::resource::POD;
use super::super::writes::edit;
use super::environment::{command_line, variables};
use super::process::{Launch, Process};
use super::{Kubelet, NODE_NAME, Stop};

/// Carries the pod through its life. Returns when it has ended and its deletion, if asked for, is done.
pub(super) async fn run(kubelet: Arc<Kubelet>, pod: Arc<Value>, mut stop: watch::Receiver<Stop>) {
    let life = Life {
        kubelet: Arc::clone(&kubelet),
        pod,
    };
    life.schedule();
    let succeeded = life.live(&mut stop).await;
    if !kubelet.cluster.stopped.is_cancelled() {
        life.end(succeeded);
    }
    kubelet.forget(object::uid(&life.pod));
}

struct Life {
    kubelet: Arc<Kubelet>,
    pod: Arc<Value>,
}

impl Life {
    fn edit(&self, change: impl FnOnce(&mut Value, &str)) {
        let cluster = &self.kubelet.cluster;
        let now = cluster.timestamp();
        edit(&mut cluster.store(), &POD, &self.pod, |pod| change(pod, &now));
    }

    fn schedule(&self) {
        self.edit(|pod, now| {
            pod["spec"]["nodeName"] = NODE_NAME.into();
            let status = &mut pod["status"];
            status["startTime"] = now.into();
            status["hostIP"] = "127.0.0.1".into();
            status["hostIPs"] = json!([{ "ip": "127.0.0.1" }]);
            status["podIP"] = "127.0.0.1".into();
            status["podIPs"] = json!([{ "ip": "127.0.0.1" }]);
            let waiting = |reason: &str, containers: &Value| -> Value {
                items(containers)
                    .map(|container| {
                        json!({
                            "name": container["name"], "image": container["image"], "imageID": "",
                            "ready": false, "started": false, "restartCount": 0,
                            "state": { "waiting": { "reason": reason } },
                        })
                    })
                    .collect()
            };
            let has_init = !object::is_empty(&pod["spec"]["initContainers"]);
            let reason = if has_init {
                "PodInitializing"
            } else {
                "ContainerCreating"
            };
            let init = waiting("PodInitializing", &pod["spec"]["initContainers"]);
            let main = waiting(reason, &pod["spec"]["containers"]);
            object::set_or_remove(&mut pod["status"], "initContainerStatuses", init);
            object::set_or_remove(&mut pod["status"], "containerStatuses", main);
            for (kind, status) in [
                ("PodScheduled", "True"),
                ("PodReadyToStartContainers", "True"),
                ("Initialized", if has_init { "False" } else { "True" }),
                ("ContainersReady", "False"),
                ("Ready", "False"),
            ] {
                set(pod, kind, status, None, now);
            }
        });
    }

    /// Runs all containers; says whether all succeeded.
    async fn live(&self, stop: &mut watch::Receiver<Stop>) -> bool {
        for container in items(&self.pod["spec"]["initContainers"]) {
            if self.container("initContainerStatuses", container, stop).await != 0 {
                return false;
            }
        }
        self.edit(|pod, now| set(pod, "Initialized", "True", None, now));
        let all = items(&self.pod["spec"]["containers"]).map(|container| {
            let mut stop = stop.clone();
            // A clone would count the last request as seen.
            stop.mark_changed();
            async move { self.container("containerStatuses", container, &mut stop).await }
        });
        join_all(all).await.into_iter().all(|code| code == 0)
    }

    /// Runs one container to its end and returns its exit code.
    async fn container(&self, list: &str, container: &Value, stop: &mut watch::Receiver<Stop>) -> i32 {
        let kubelet = &self.kubelet;
        let (name, uid) = (str_of(container, "name"), object::uid(&self.pod));
        let variables = loop {
            let found = {
                let store = kubelet.cluster.store();
                let pod = store
                    .get_uid(&POD, &self.pod)
                    .cloned()
                    .unwrap_or_else(|| Arc::clone(&self.pod));
                variables(&store, &pod, container)
            };
            match found {
                Ok(found) => break found,
                Err(missing) => {
                    let state =
                        json!({ "waiting": { "reason": "CreateContainerConfigError", "message": missing } });
                    self.set_state(list, name, &state);
                }
            }
            if stop.borrow().is_some() || kubelet.cluster.stopped.is_cancelled() {
                return 137;
            }
            // What is missing may come.
            let _ = tokio::time::timeout(std::time::Duration::from_millis(200), stop.changed()).await;
        };
        let of_image = kubelet
            .cluster
            .settings
            .image_commands
            .get(str_of(container, "image"));
        let words = command_line(container, of_image, &variables);
        let directory = kubelet.directory.join(uid).join(name);
        let started_at = kubelet.cluster.timestamp();
        let launch = Launch {
            words: &words,
            variables: &variables,
            directory: &directory,
            pod_uid: uid,
            container: name,
        };
        kubelet.cluster.logs.open(uid, name);
        let started = fs::create_dir_all(&directory)
            .map_err(|error| format!("no working directory: {error}"))
            .and_then(|()| Process::start(&kubelet.cluster, &kubelet.groups, &launch));
        let (code, reason, message) = match started {
            Ok(process) => {
                self.set_state(list, name, &json!({ "running": { "startedAt": started_at } }));
                let code = process.wait(stop).await;
                (code, if code == 0 { "Completed" } else { "Error" }, None)
            }
            Err(message) => (128, "StartError", Some(message)),
        };
        kubelet.cluster.logs.finish(uid, name);
        let mut ended = json!({
            "exitCode": code, "reason": reason, "startedAt": started_at,
            "finishedAt": kubelet.cluster.timestamp(), "containerID": format!("simulator://{uid}/{name}"),
        });
        if let Some(message) = message {
            ended["message"] = message.into();
        }
        if !kubelet.cluster.stopped.is_cancelled() {
            self.set_state(list, name, &json!({ "terminated": ended }));
        }
        code
    }

    fn set_state(&self, list: &str, name: &str, state: &Value) {
        self.edit(|pod, now| {
            let running = !state["running"].is_null();
            let statuses = pod["status"].get_mut(list).and_then(Value::as_array_mut);
            let Some(statuses) = statuses else { return };
            for status in statuses.iter_mut().filter(|status| status["name"] == name) {
                status["state"] = state.clone();
                status["ready"] = running.into();
                status["started"] = running.into();
            }
            if list == "initContainerStatuses" {
                return;
            }
            let up = statuses.iter().filter(|status| status["ready"] == true).count();
            let all = up == statuses.len();
            let started = statuses.iter().any(|status| status["state"]["waiting"].is_null());
            if started && up > 0 {
                pod["status"]["phase"] = "Running".into();
            }
            let ready = if all { "True" } else { "False" };
            set(pod, "ContainersReady", ready, None, now);
            set(pod, "Ready", ready, None, now);
        });
    }

    fn end(&self, succeeded: bool) {
        let uid = object::uid(&self.pod);
        self.edit(|pod, now| {
            pod["status"]["phase"] = if succeeded { "Succeeded" } else { "Failed" }.into();
            let reason = if succeeded { "PodCompleted" } else { "PodFailed" };
            set(pod, "ContainersReady", "False", Some(reason), now);
            set(pod, "Ready", "False", Some(reason), now);
            set(pod, "PodReadyToStartContainers", "False", None, now);
        });
        // A deleted pod is seen in its last phase before it goes.
        self.edit(|pod, _| {
            if object::is_deleting(pod) {
                pod["metadata"]["deletionGracePeriodSeconds"] = 0.into();
            }
        });
        // The directory may hold files of another user; it goes with the simulator then.
        let _ = fs::remove_dir_all(self.kubelet.directory.join(uid));
    }
}

fn set(pod: &mut Value, kind: &str, status: &str, reason: Option<&str>, now: &str) {
    let mut condition = json!({ "type": kind, "status": status, "lastProbeTime": null });
    if let Some(reason) = reason {
        condition["reason"] = reason.into();
    }
    object::set_condition(pod, condition, now);
}
