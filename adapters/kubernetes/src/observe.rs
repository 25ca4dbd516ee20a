//! What a Job and its newest pod say about a run. Pure.

use domain::workload::Observation;
use k8s_openapi::api::batch::v1::{Job, JobCondition};
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, Pod, PodStatus};

use crate::manifest::CONTAINER;

/// Whether the Job has come to its end.
pub(crate) fn is_finished(job: &Job) -> bool {
    condition(job, "Complete")
        .or_else(|| condition(job, "Failed"))
        .is_some()
}

/// What has become of the Job.
pub(crate) fn observation(job: &Job, pod: Option<&Pod>) -> Observation {
    let status = pod.and_then(|pod| pod.status.as_ref());
    if condition(job, "Complete").is_some() {
        // A Job is complete only when its container ended with 0, also where the pod is gone.
        return Observation::Exited { code: 0 };
    }
    if let Some(failed) = condition(job, "Failed") {
        return failure(failed, status);
    }
    Observation::Active {
        detail: progress(status),
    }
}

fn condition<'a>(job: &'a Job, kind: &str) -> Option<&'a JobCondition> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    conditions
        .iter()
        .find(|condition| condition.type_ == kind && condition.status == "True")
}

fn failure(failed: &JobCondition, status: Option<&PodStatus>) -> Observation {
    if failed.reason.as_deref() == Some("DeadlineExceeded") {
        return Observation::DeadlineExceeded;
    }
    // Evicted, or its machine went: whatever code the container had says nothing about the agent.
    if let Some(reason) = status.and_then(|status| status.reason.as_deref()) {
        let message = status
            .and_then(|status| status.message.as_deref())
            .unwrap_or_default();
        return Observation::Failed {
            reason: told(reason, message),
        };
    }
    match status.and_then(terminated) {
        Some(end) if end.reason.as_deref() == Some("OOMKilled") => Observation::Failed {
            reason: "OOMKilled: the agent used more memory than it may".to_owned(),
        },
        // The container never ran: its code is made up.
        Some(end) if matches!(end.reason.as_deref(), Some("ContainerCannotRun" | "StartError")) => {
            let reason = end.reason.as_deref().unwrap_or_default();
            Observation::Failed {
                reason: told(reason, end.message.as_deref().unwrap_or_default()),
            }
        }
        Some(end) if end.exit_code != 0 => Observation::Exited { code: end.exit_code },
        _ => {
            let reason = failed.reason.as_deref().unwrap_or("Failed");
            Observation::Failed {
                reason: told(reason, failed.message.as_deref().unwrap_or_default()),
            }
        }
    }
}

/// Where the pod stands, or what holds it back.
fn progress(status: Option<&PodStatus>) -> String {
    let Some(status) = status else {
        return "no pod yet".to_owned();
    };
    if let Some(waiting) = state(status).and_then(|state| state.waiting.as_ref()) {
        let reason = waiting.reason.as_deref().unwrap_or("Waiting");
        return told(reason, waiting.message.as_deref().unwrap_or_default());
    }
    let unschedulable = status.conditions.iter().flatten().find(|condition| {
        condition.type_ == "PodScheduled"
            && condition.status == "False"
            && condition.reason.as_deref() == Some("Unschedulable")
    });
    if let Some(condition) = unschedulable {
        return told("Unschedulable", condition.message.as_deref().unwrap_or_default());
    }
    status.phase.clone().unwrap_or_else(|| "Pending".to_owned())
}

fn state(status: &PodStatus) -> Option<&ContainerState> {
    let mut containers = status.container_statuses.iter().flatten();
    containers
        .find(|container| container.name == CONTAINER)?
        .state
        .as_ref()
}

fn terminated(status: &PodStatus) -> Option<&ContainerStateTerminated> {
    state(status)?.terminated.as_ref()
}

/// `reason: message`, with a message of one line and bearable length: it may come from an image or a registry.
fn told(reason: &str, message: &str) -> String {
    let message: String = message
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(500)
        .collect();
    if message.is_empty() {
        reason.to_owned()
    } else {
        format!("{reason}: {message}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn see(job: &Value, pod: Option<&Value>) -> Observation {
        let job: Job = serde_json::from_value(json!({ "status": job })).unwrap();
        let pod: Option<Pod> = pod.map(|status| serde_json::from_value(json!({ "status": status })).unwrap());
        observation(&job, pod.as_ref())
    }

    fn ended(kind: &str, reason: &str) -> Value {
        json!({ "conditions": [
            { "type": "FailureTarget", "status": "True", "reason": reason },
            { "type": kind, "status": "True", "reason": reason, "message": "Job  has\nended" },
        ]})
    }

    fn container(state: &Value) -> Value {
        json!({ "phase": "Running", "containerStatuses": [{
            "name": "agent", "state": state, "image": "", "imageID": "", "ready": false, "restartCount": 0,
        }]})
    }

    fn active(detail: &str) -> Observation {
        Observation::Active {
            detail: detail.into(),
        }
    }

    fn failed(reason: &str) -> Observation {
        Observation::Failed {
            reason: reason.into(),
        }
    }

    #[test]
    fn ends() {
        let exit = |code: i32, reason: &str| {
            Some(container(
                &json!({ "terminated": { "exitCode": code, "reason": reason } }),
            ))
        };
        let backoff = || ended("Failed", "BackoffLimitExceeded");
        let evicted =
            json!({ "phase": "Failed", "reason": "Evicted", "message": "The node was low on memory." });
        for (job, pod, expected) in [
            (
                ended("Complete", "CompletionsReached"),
                None,
                Observation::Exited { code: 0 },
            ),
            (
                ended("Complete", "CompletionsReached"),
                exit(0, "Completed"),
                Observation::Exited { code: 0 },
            ),
            (backoff(), exit(3, "Error"), Observation::Exited { code: 3 }),
            (backoff(), None, failed("BackoffLimitExceeded: Job has ended")),
            (
                backoff(),
                exit(137, "OOMKilled"),
                failed("OOMKilled: the agent used more memory than it may"),
            ),
            (backoff(), exit(128, "StartError"), failed("StartError")),
            (
                backoff(),
                Some(evicted),
                failed("Evicted: The node was low on memory."),
            ),
            (
                ended("Failed", "DeadlineExceeded"),
                exit(143, "Error"),
                Observation::DeadlineExceeded,
            ),
        ] {
            assert_eq!(see(&job, pod.as_ref()), expected, "{job} {pod:?}");
        }
    }

    #[test]
    fn on_the_way() {
        let waiting = |reason: &str| {
            Some(container(
                &json!({ "waiting": { "reason": reason, "message": "back-off" } }),
            ))
        };
        let unschedulable = json!({ "phase": "Pending", "conditions": [
            { "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes" },
        ]});
        let only_target = json!({ "conditions": [{ "type": "FailureTarget", "status": "True" }] });
        for (job, pod, expected) in [
            (Value::Null, None, active("no pod yet")),
            (json!({}), Some(json!({ "phase": "Pending" })), active("Pending")),
            (
                json!({}),
                waiting("ImagePullBackOff"),
                active("ImagePullBackOff: back-off"),
            ),
            (json!({}), Some(unschedulable), active("Unschedulable: 0/1 nodes")),
            (
                json!({}),
                Some(container(&json!({ "running": {} }))),
                active("Running"),
            ),
            (only_target, Some(json!({ "phase": "Failed" })), active("Failed")),
        ] {
            assert_eq!(see(&job, pod.as_ref()), expected, "{job} {pod:?}");
        }
    }
}
