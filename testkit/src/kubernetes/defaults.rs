//! Values that the API server fills in.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::object::{self, default_to, members, set_or_remove, str_of};
use super::resource::Resource;

/// Fills in what every write fills in. Doing it twice changes nothing.
pub(crate) fn fill(resource: &Resource, object: &mut Value) {
    match resource.kind {
        "Namespace" => {
            let name = Value::from(object::name(object));
            object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
        }
        "Pod" => {
            pod_spec(&mut object["spec"]);
            default_to(&mut object["spec"], "enableServiceLinks", true);
            default_to(&mut object["spec"], "preemptionPolicy", "PreemptLowerPriority");
            default_to(&mut object["spec"], "priority", 0);
            requests_from_limits(&mut object["spec"]);
        }
        "Job" => job(object),
        "Secret" => secret(object),
        "NetworkPolicy" => network_policy(&mut object["spec"]),
        "LimitRange" => limit_range(object),
        "RoleBinding" | "ClusterRoleBinding" => subjects(object),
        _ => {}
    }
}

fn each(list: &mut Value, fill: impl Fn(&mut Value)) {
    if let Some(list) = list.as_array_mut() {
        list.iter_mut().for_each(fill);
    }
}

fn existing<'a>(parent: &'a mut Value, field: &str) -> Option<&'a mut Value> {
    parent.get_mut(field).filter(|value| !value.is_null())
}

fn pod_spec(spec: &mut Value) {
    default_to(spec, "restartPolicy", "Always");
    default_to(spec, "dnsPolicy", "ClusterFirst");
    default_to(spec, "schedulerName", "default-scheduler");
    default_to(spec, "terminationGracePeriodSeconds", 30);
    default_to(spec, "securityContext", json!({}));
    if let Some(account) = spec["serviceAccountName"].as_str().map(str::to_owned) {
        spec["serviceAccount"] = account.into();
    }
    for list in ["containers", "initContainers"] {
        if let Some(containers) = existing(spec, list) {
            each(containers, container);
        }
    }
    if let Some(volumes) = existing(spec, "volumes") {
        each(volumes, |volume| {
            for source in ["secret", "configMap", "projected", "downwardAPI"] {
                if let Some(source) = existing(volume, source) {
                    default_to(source, "defaultMode", 0o644);
                }
            }
            if members(volume).len() == 1 {
                volume["emptyDir"] = json!({});
            }
        });
    }
}

fn container(container: &mut Value) {
    let image = str_of(container, "image").to_owned();
    let tag = image
        .rsplit('/')
        .next()
        .and_then(|last| last.split_once(':'))
        .map(|(_, tag)| tag);
    let latest = !image.contains('@') && tag.is_none_or(|tag| tag == "latest");
    default_to(
        container,
        "imagePullPolicy",
        if latest { "Always" } else { "IfNotPresent" },
    );
    default_to(container, "resources", json!({}));
    default_to(container, "terminationMessagePath", "/dev/termination-log");
    default_to(container, "terminationMessagePolicy", "File");
    if let Some(ports) = existing(container, "ports") {
        each(ports, |port| default_to(port, "protocol", "TCP"));
    }
    if let Some(env) = existing(container, "env") {
        each(env, |variable| {
            if let Some(field) = existing(variable, "valueFrom").and_then(|from| existing(from, "fieldRef")) {
                default_to(field, "apiVersion", "v1");
            }
        });
    }
}

fn requests_from_limits(spec: &mut Value) {
    for list in ["containers", "initContainers"] {
        let Some(containers) = existing(spec, list) else {
            continue;
        };
        each(containers, |container| {
            let limits = container["resources"]["limits"].clone();
            for (resource, amount) in object::entries(&limits) {
                default_to(&mut container["resources"]["requests"], resource, amount.clone());
            }
        });
    }
}

fn job(object: &mut Value) {
    let spec = &mut object["spec"];
    pod_spec(&mut spec["template"]["spec"]);
    if spec["completions"].is_null() && spec["parallelism"].is_null() {
        spec["completions"] = 1.into();
    }
    default_to(spec, "parallelism", 1);
    default_to(spec, "backoffLimit", 6);
    default_to(spec, "completionMode", "NonIndexed");
    default_to(spec, "suspend", false);
    default_to(spec, "manualSelector", false);
    default_to(spec, "podReplacementPolicy", "TerminatingOrFailed");
}

/// Gives a new Job its selector and its pods the labels that it selects.
pub(crate) fn job_selector(object: &mut Value) {
    let (name, uid) = (object::name(object).to_owned(), object::uid(object).to_owned());
    let spec = &mut object["spec"];
    if spec["manualSelector"] == true {
        return;
    }
    spec["selector"]["matchLabels"]["batch.kubernetes.io/controller-uid"] = uid.clone().into();
    let labels = &mut spec["template"]["metadata"]["labels"];
    for (label, value) in [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("controller-uid", &uid),
        ("job-name", &name),
    ] {
        labels[label] = value.clone().into();
    }
    default_to(object, "status", json!({}));
}

fn secret(object: &mut Value) {
    default_to(object, "type", "Opaque");
    if let Some(plain) = members(object).remove("stringData") {
        for (key, value) in object::entries(&plain) {
            let encoded = BASE64_STANDARD.encode(value.as_str().unwrap_or_default());
            object["data"][key] = encoded.into();
        }
    }
}

fn network_policy(spec: &mut Value) {
    if spec["policyTypes"].is_null() {
        let types = if spec["egress"].is_null() {
            json!(["Ingress"])
        } else {
            json!(["Ingress", "Egress"])
        };
        spec["policyTypes"] = types;
    }
    default_to(spec, "podSelector", json!({}));
    for direction in ["ingress", "egress"] {
        let Some(rules) = existing(spec, direction) else {
            continue;
        };
        each(rules, |rule| {
            if let Some(ports) = existing(rule, "ports") {
                each(ports, |port| default_to(port, "protocol", "TCP"));
            }
        });
    }
}

/// For containers, what isn't defaulted is taken from the maximum, and requests from limits.
fn limit_range(object: &mut Value) {
    each(&mut object["spec"]["limits"], |limit| {
        if limit["type"] != "Container" {
            return;
        }
        let mut default = limit["default"].clone();
        for (resource, amount) in object::entries(&limit["max"]) {
            default_to(&mut default, resource, amount.clone());
        }
        let mut request = limit["defaultRequest"].clone();
        for (resource, amount) in object::entries(&limit["min"]) {
            if default[resource].is_null() {
                default_to(&mut request, resource, amount.clone());
            }
        }
        for (resource, amount) in object::entries(&default) {
            default_to(&mut request, resource, amount.clone());
        }
        set_or_remove(limit, "default", default);
        set_or_remove(limit, "defaultRequest", request);
    });
}

fn subjects(object: &mut Value) {
    default_to(&mut object["roleRef"], "apiGroup", "rbac.authorization.k8s.io");
    if let Some(subjects) = existing(object, "subjects") {
        each(subjects, |subject| {
            if subject["kind"] != "ServiceAccount" {
                default_to(subject, "apiGroup", "rbac.authorization.k8s.io");
            }
        });
    }
}
