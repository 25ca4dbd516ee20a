//! Jobs: makes their pods, counts how they ended, and draws the conclusion.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::super::object::{self, condition_true, default_to, is_terminal, items, str_of};
use super::super::resource::{EVENT, JOB, POD};
use super::super::status::ApiError;
use super::super::writes::{DeleteOptions, Target, Writer, create, delete, edit};
use super::Pass;

const TRACKING: &str = "batch.kubernetes.io/job-tracking";

pub(super) fn pass(pass: &mut Pass<'_>) {
    let jobs: Vec<Arc<Value>> = pass.store.list(&JOB, None).cloned().collect();
    for job in &jobs {
        let ended = condition_true(job, "Complete") || condition_true(job, "Failed");
        if ended {
            expire(pass, job);
        } else if !object::is_deleting(job) {
            sync(pass, job);
        }
    }
    release_orphans(pass);
}

/// Pods without a Job that counts them don't have to wait for it.
fn release_orphans(pass: &mut Pass<'_>) {
    let tracked: Vec<Arc<Value>> = pass
        .store
        .list(&POD, None)
        .filter(|pod| object::has_finalizer(pod, TRACKING))
        .cloned()
        .collect();
    for pod in tracked {
        let counted = owner(&pod).is_some_and(|owner| {
            let job = pass
                .store
                .get(&JOB, object::namespace(&pod), str_of(owner, "name"));
            job.is_some_and(|job| {
                object::uid(job) == str_of(owner, "uid")
                    && !object::is_deleting(job)
                    && !condition_true(job, "Complete")
                    && !condition_true(job, "Failed")
            })
        });
        if !counted {
            edit(pass.store, &POD, &pod, |pod| {
                object::remove_finalizer(pod, TRACKING);
            });
        }
    }
}

fn owner(pod: &Value) -> Option<&Value> {
    items(&pod["metadata"]["ownerReferences"]).find(|r| r["controller"] == true && r["kind"] == "Job")
}

/// Removes a Job whose time to live after its end has passed.
fn expire(pass: &mut Pass<'_>, job: &Value) {
    let Some(seconds) = job["spec"]["ttlSecondsAfterFinished"].as_i64() else {
        return;
    };
    let ended = ["Complete", "Failed"]
        .iter()
        .find_map(|kind| object::condition(job, kind));
    let at = ended.and_then(|c| object::parse_time(&c["lastTransitionTime"]));
    if object::is_deleting(job) || at.is_none_or(|at| pass.now < at + TimeDelta::seconds(seconds)) {
        return;
    }
    let options = DeleteOptions {
        propagation_policy: Some("Foreground".into()),
        ..DeleteOptions::default()
    };
    if let Err(error) = delete(pass.store, &Target::of(&JOB, job), &options, pass.now) {
        tracing::debug!(%error, "a finished Job stays");
    }
}

fn sync(pass: &mut Pass<'_>, job: &Value) {
    let pods: Vec<Arc<Value>> = pass
        .store
        .list(&POD, Some(object::namespace(job)))
        .filter(|pod| owner(pod).is_some_and(|owner| owner["uid"] == job["metadata"]["uid"]))
        .cloned()
        .collect();
    let status = &job["status"];
    let (mut succeeded, mut failed) = (
        status["succeeded"].as_i64().unwrap_or(0),
        status["failed"].as_i64().unwrap_or(0),
    );
    let (mut active, mut ready, mut terminating) = (Vec::new(), 0, 0);
    for pod in &pods {
        let going = object::is_deleting(pod);
        let success = str_of(&pod["status"], "phase") == "Succeeded";
        if is_terminal(pod) || going {
            terminating += i64::from(going && !is_terminal(pod));
            if object::has_finalizer(pod, TRACKING) {
                *(if success { &mut succeeded } else { &mut failed }) += 1;
                edit(pass.store, &POD, pod, |pod| {
                    object::remove_finalizer(pod, TRACKING);
                });
            }
        } else {
            ready += i64::from(condition_true(pod, "Ready"));
            active.push(Arc::clone(pod));
        }
    }
    let suspended = job["spec"]["suspend"] == true;
    let verdict = verdict(pass, job, succeeded, failed, active.is_empty());
    if verdict.is_some() || suspended {
        for pod in active.drain(..) {
            terminating += 1;
            end_pod(pass, &pod);
        }
    } else {
        let missing = wanted(job, succeeded) - active.len() as i64;
        if missing > 0 && terminating == 0 && may_start(pass, failed, &pods) {
            match make_pod(pass, job) {
                Ok(pod) => active.push(pod),
                Err(error) => report(pass, job, &error),
            }
        }
    }
    let now = pass.timestamp.clone();
    edit(pass.store, &JOB, job, |job| {
        let status = &mut job["status"];
        if suspended {
            object::members(status).remove("startTime");
        } else {
            default_to(status, "startTime", now.clone());
        }
        let in_flight = if verdict.is_some() { 0 } else { active.len() };
        for (field, number) in [
            ("active", in_flight as i64),
            ("succeeded", succeeded),
            ("failed", failed),
        ] {
            object::set_or_remove(
                status,
                field,
                if number == 0 { Value::Null } else { number.into() },
            );
        }
        status["ready"] = if verdict.is_some() { 0.into() } else { ready.into() };
        status["terminating"] = terminating.into();
        status["uncountedTerminatedPods"] = json!({});
        if let Some(verdict) = &verdict {
            conclude(job, verdict, terminating == 0, &now);
        } else if suspended || object::condition(job, "Suspended").is_some() {
            let (value, reason) = if suspended {
                ("True", "JobSuspended")
            } else {
                ("False", "JobResumed")
            };
            let condition = json!({ "type": "Suspended", "status": value, "reason": reason,
                "message": reason.replace("Job", "Job "), "lastProbeTime": now });
            object::set_condition(job, condition, &now);
        }
    });
}

/// How many pods should run.
fn wanted(job: &Value, succeeded: i64) -> i64 {
    let parallelism = job["spec"]["parallelism"].as_i64().unwrap_or(1);
    match job["spec"]["completions"].as_i64() {
        Some(completions) => parallelism.min(completions - succeeded),
        None if succeeded > 0 => 0,
        None => parallelism,
    }
}

struct Verdict {
    success: bool,
    reason: &'static str,
    message: &'static str,
}

fn verdict(pass: &Pass<'_>, job: &Value, succeeded: i64, failed: i64, idle: bool) -> Option<Verdict> {
    let failure = |reason, message| {
        Some(Verdict {
            success: false,
            reason,
            message,
        })
    };
    let deadline = Verdict {
        success: false,
        reason: "DeadlineExceeded",
        message: "Job was active longer than specified deadline",
    };
    if let Some(target) = object::condition(job, "FailureTarget").filter(|c| c["status"] == "True") {
        return if str_of(target, "reason") == deadline.reason {
            Some(deadline)
        } else {
            failure(
                "BackoffLimitExceeded",
                "Job has reached the specified backoff limit",
            )
        };
    }
    let done = match job["spec"]["completions"].as_i64() {
        Some(completions) => succeeded >= completions,
        None => succeeded > 0 && idle,
    };
    if done {
        let message = "Reached expected number of succeeded pods";
        return Some(Verdict {
            success: true,
            reason: "CompletionsReached",
            message,
        });
    }
    if failed > job["spec"]["backoffLimit"].as_i64().unwrap_or(6) {
        return failure(
            "BackoffLimitExceeded",
            "Job has reached the specified backoff limit",
        );
    }
    let started = object::parse_time(&job["status"]["startTime"]);
    let limit = job["spec"]["activeDeadlineSeconds"].as_i64();
    let late = |started: DateTime<Utc>, limit| pass.now >= started + TimeDelta::seconds(limit);
    (job["spec"]["suspend"] != true && started.zip(limit).is_some_and(|(at, limit)| late(at, limit)))
        .then_some(deadline)
}

/// First the condition that announces the end, and when all pods have ended the end itself.
fn conclude(job: &mut Value, verdict: &Verdict, all_ended: bool, now: &str) {
    let (announced, end) = if verdict.success {
        ("SuccessCriteriaMet", "Complete")
    } else {
        ("FailureTarget", "Failed")
    };
    for kind in [Some(announced), all_ended.then_some(end)].into_iter().flatten() {
        if !condition_true(job, kind) {
            let condition = json!({
                "type": kind, "status": "True", "reason": verdict.reason, "message": verdict.message,
                "lastProbeTime": now,
            });
            object::set_condition(job, condition, now);
        }
    }
    if verdict.success && all_ended {
        job["status"]["completionTime"] = now.into();
    }
}

/// After a failure the next pod waits: ten seconds, doubled each time, at most six minutes.
fn may_start(pass: &Pass<'_>, failed: i64, pods: &[Arc<Value>]) -> bool {
    if failed == 0 {
        return true;
    }
    let last = pods
        .iter()
        .flat_map(|pod| items(&pod["status"]["containerStatuses"]))
        .filter_map(|status| object::parse_time(&status["state"]["terminated"]["finishedAt"]))
        .max();
    let doublings = u32::try_from(failed - 1).unwrap_or(0).min(10);
    let wait = (pass.job_backoff * 2_u32.pow(doublings)).min(std::time::Duration::from_mins(6));
    let wait = TimeDelta::from_std(wait).unwrap_or_default();
    last.is_none_or(|last| pass.now >= last + wait)
}

fn make_pod(pass: &mut Pass<'_>, job: &Value) -> Result<Arc<Value>, ApiError> {
    let template = &job["spec"]["template"];
    let mut pod = json!({ "metadata": template["metadata"], "spec": template["spec"] });
    pod["metadata"]["generateName"] = format!("{}-", object::name(job)).into();
    pod["metadata"]["finalizers"] = json!([TRACKING]);
    pod["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "batch/v1", "kind": "Job", "name": object::name(job), "uid": object::uid(job),
        "controller": true, "blockOwnerDeletion": true,
    }]);
    let writer = Writer::system("kube-controller-manager", &pass.timestamp);
    create(pass.store, &POD, object::namespace(job), pod, &writer)
}

fn end_pod(pass: &mut Pass<'_>, pod: &Value) {
    if let Err(error) = delete(
        pass.store,
        &Target::of(&POD, pod),
        &DeleteOptions::default(),
        pass.now,
    ) {
        tracing::debug!(%error, "a pod of an ended Job stays");
    }
}

/// Tells, once per reason, why the Job has no pod.
fn report(pass: &mut Pass<'_>, job: &Value, error: &ApiError) {
    let message = format!("Error creating: {}", error.message);
    let namespace = object::namespace(job);
    let known = pass.store.list(&EVENT, Some(namespace)).any(|event| {
        event["involvedObject"]["uid"] == job["metadata"]["uid"] && event["reason"] == "FailedCreate"
    });
    // The account controller is about to make it.
    if known || error.message.contains("error looking up service account") {
        return;
    }
    let event = json!({
        "metadata": { "generateName": format!("{}.", object::name(job)) },
        "involvedObject": { "apiVersion": "batch/v1", "kind": "Job", "name": object::name(job),
            "namespace": namespace, "uid": object::uid(job) },
        "reason": "FailedCreate", "message": message, "type": "Warning", "count": 1,
        "firstTimestamp": pass.timestamp, "lastTimestamp": pass.timestamp,
        "source": { "component": "job-controller" }, "reportingComponent": "job-controller",
        "reportingInstance": "",
    });
    let writer = Writer::system("kube-controller-manager", &pass.timestamp);
    if let Err(error) = create(pass.store, &EVENT, namespace, event, &writer) {
        tracing::debug!(%error, "an event was refused");
    }
}
