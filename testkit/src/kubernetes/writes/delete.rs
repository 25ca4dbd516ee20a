//! Delete: at once, after a grace period, or when the finalizers are gone.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::object;
use super::super::status::ApiError;
use super::super::store::Store;
use super::{Target, settle};

/// `DeleteOptions`, as far as they are honoured.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct DeleteOptions {
    pub(crate) grace_period_seconds: Option<i64>,
    pub(crate) propagation_policy: Option<String>,
    pub(crate) preconditions: Option<Preconditions>,
    pub(crate) dry_run: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Preconditions {
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
}

/// What became of it.
pub(crate) enum Deleted {
    /// It is gone.
    Gone(Arc<Value>),
    /// It is marked and goes later.
    Marked(Arc<Value>),
}

/// Deletes one object.
pub(crate) fn delete(
    store: &mut Store,
    target: &Target,
    options: &DeleteOptions,
    now: DateTime<Utc>,
) -> Result<Deleted, ApiError> {
    let resource = target.resource;
    let old = target.live(store)?;
    check_preconditions(target, &old, options)?;
    let mut new = (*old).clone();
    if resource.kind == "Namespace" {
        if ["default", "kube-system", "kube-public"].contains(&target.name.as_str()) {
            let why = "this namespace may not be deleted";
            return Err(ApiError::forbidden(resource, &target.name, why));
        }
        new["status"]["phase"] = "Terminating".into();
    }
    let grace = grace_seconds(target, &old, options)?;
    let waiting = old["metadata"]["deletionGracePeriodSeconds"].as_i64();
    if !object::is_deleting(&old) {
        let at = now + TimeDelta::seconds(grace);
        new["metadata"]["deletionTimestamp"] = object::timestamp(at).into();
        new["metadata"]["deletionGracePeriodSeconds"] = grace.into();
        if let Some(generation) = old["metadata"]["generation"].as_i64() {
            new["metadata"]["generation"] = (generation + 1).into();
        }
    } else if waiting.is_some_and(|waiting| grace < waiting) {
        let at = now + TimeDelta::seconds(grace);
        new["metadata"]["deletionTimestamp"] = object::timestamp(at).into();
        new["metadata"]["deletionGracePeriodSeconds"] = grace.into();
    }
    propagate(target, &mut new, options)?;
    if options.dry_run.iter().any(|value| value == "All") {
        return Ok(Deleted::Marked(Arc::new(new)));
    }
    let left = settle(store, resource, &old, new);
    let gone = store.get_uid(resource, &left).is_none();
    Ok(if gone {
        Deleted::Gone(left)
    } else {
        Deleted::Marked(left)
    })
}

fn check_preconditions(target: &Target, old: &Value, options: &DeleteOptions) -> Result<(), ApiError> {
    let Some(preconditions) = &options.preconditions else {
        return Ok(());
    };
    for (what, wanted, found) in [
        ("UID", &preconditions.uid, object::uid(old)),
        (
            "ResourceVersion",
            &preconditions.resource_version,
            object::meta(old, "resourceVersion"),
        ),
    ] {
        if let Some(wanted) = wanted.as_ref().filter(|wanted| *wanted != found) {
            let why = format!(
                "Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {found}"
            );
            return Err(ApiError::conflict(target.resource, &target.name, &why));
        }
    }
    Ok(())
}

/// Only pods that may run on a node are given time.
fn grace_seconds(target: &Target, old: &Value, options: &DeleteOptions) -> Result<i64, ApiError> {
    if options.grace_period_seconds.is_some_and(|seconds| seconds < 0) {
        return Err(ApiError::bad_request("gracePeriodSeconds must not be negative"));
    }
    let unscheduled = object::str_of(&old["spec"], "nodeName").is_empty();
    if target.resource.kind != "Pod" || unscheduled || object::is_terminal(old) {
        return Ok(0);
    }
    let own = old["spec"]["terminationGracePeriodSeconds"]
        .as_i64()
        .unwrap_or(30);
    Ok(options.grace_period_seconds.unwrap_or(own))
}

/// Writes down, as finalizers, what the garbage collector has to do first.
fn propagate(target: &Target, object: &mut Value, options: &DeleteOptions) -> Result<(), ApiError> {
    let policy = match options.propagation_policy.as_deref() {
        Some(policy @ ("Background" | "Foreground" | "Orphan")) => policy,
        Some(other) => {
            return Err(ApiError::bad_request(format!(
                "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: {other:?}: supported values: \"Background\", \"Foreground\", \"Orphan\""
            )));
        }
        // As the real server does for batch/v1, for the sake of old clients.
        None if target.resource.kind == "Job" => "Orphan",
        None => "Background",
    };
    if options.propagation_policy.is_none() && object::has_finalizer(object, "foregroundDeletion") {
        return Ok(());
    }
    let mut finalizers = object::finalizers(object);
    finalizers.retain(|f| f != "orphan" && f != "foregroundDeletion");
    match policy {
        "Orphan" => finalizers.push("orphan".into()),
        "Foreground" => finalizers.push("foregroundDeletion".into()),
        _ => {}
    }
    object::set_or_remove(&mut object["metadata"], "finalizers", json!(finalizers));
    Ok(())
}
