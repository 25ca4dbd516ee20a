//! What makes an object invalid (422): names, labels, required fields, fields that can't change.

use serde_json::{Value, json};

use super::object::{self, entries, is_empty, items, str_of};
use super::resource::Resource;
use super::status::{ApiError, Cause};

const LABEL_HINT: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN_HINT: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_VALUE_HINT: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const LABEL_NAME_HINT: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

/// A DNS label: at most 63 of `a-z0-9-`, neither first nor last a dash.
pub(crate) fn is_dns_label(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 63
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|part| {
            !part.is_empty()
                && !part.starts_with('-')
                && !part.ends_with('-')
                && part
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        })
}

fn is_label_value(text: &str) -> bool {
    let edge = |b: Option<u8>| b.is_none_or(|b| b.is_ascii_alphanumeric());
    text.len() <= 63
        && edge(text.bytes().next())
        && edge(text.bytes().last())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn is_qualified_name(text: &str) -> bool {
    let (prefix, name) = text
        .split_once('/')
        .map_or((None, text), |(prefix, name)| (Some(prefix), name));
    !name.is_empty() && is_label_value(name) && prefix.is_none_or(is_dns_subdomain)
}

/// Checks an object, and against its former self where it is a change.
pub(crate) fn check(resource: &Resource, object: &Value, old: Option<&Value>) -> Result<(), ApiError> {
    let mut causes = Vec::new();
    metadata(resource, object, &mut causes);
    match resource.kind {
        "Pod" => pod(&object["spec"], "spec", &mut causes),
        "Job" => job(object, &mut causes),
        "RoleBinding" | "ClusterRoleBinding" => {
            for field in ["kind", "name"] {
                if str_of(&object["roleRef"], field).is_empty() {
                    causes.push(Cause::required(format!("roleRef.{field}"), ""));
                }
            }
        }
        _ => {}
    }
    if let Some(old) = old {
        unchangeable(resource, object, old, &mut causes);
    }
    if causes.is_empty() {
        Ok(())
    } else {
        let name = match object::name(object) {
            "" => object::meta(object, "generateName"),
            name => name,
        };
        Err(ApiError::invalid(resource, name, &causes))
    }
}

fn metadata(resource: &Resource, object: &Value, causes: &mut Vec<Cause>) {
    let name = object::name(object);
    if name.is_empty() {
        causes.push(Cause::required(
            "metadata.name",
            "name or generateName is required",
        ));
    } else if resource.kind == "Namespace" && !is_dns_label(name) {
        causes.push(Cause::invalid("metadata.name", &name.into(), LABEL_HINT));
    } else if resource.group == "rbac.authorization.k8s.io" {
        if name.contains(['/', '%']) || name == "." || name == ".." {
            causes.push(Cause::invalid(
                "metadata.name",
                &name.into(),
                "may not contain '/' or '%'",
            ));
        }
    } else if !is_dns_subdomain(name) {
        causes.push(Cause::invalid("metadata.name", &name.into(), SUBDOMAIN_HINT));
    }
    labels(&object["metadata"]["labels"], "metadata.labels", causes);
    for (key, _) in entries(&object["metadata"]["annotations"]) {
        if !is_qualified_name(&key.to_lowercase()) {
            causes.push(Cause::invalid(
                "metadata.annotations",
                &key.as_str().into(),
                LABEL_NAME_HINT,
            ));
        }
    }
    for finalizer in items(&object["metadata"]["finalizers"]) {
        let text = finalizer.as_str().unwrap_or_default();
        let known = matches!(text, "orphan" | "foregroundDeletion" | "kubernetes");
        if !is_qualified_name(text) {
            causes.push(Cause::invalid("metadata.finalizers", finalizer, LABEL_NAME_HINT));
        } else if !known && !text.contains('/') {
            let hint = "name is neither a standard finalizer name nor is it fully qualified";
            causes.push(Cause::invalid("metadata.finalizers", finalizer, hint));
        }
    }
    for (at, owner) in items(&object["metadata"]["ownerReferences"]).enumerate() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if str_of(owner, field).is_empty() {
                let path = format!("metadata.ownerReferences[{at}].{field}");
                causes.push(Cause::invalid(path, &json!(""), "must not be empty"));
            }
        }
    }
}

fn labels(labels: &Value, field: &str, causes: &mut Vec<Cause>) {
    for (key, value) in entries(labels) {
        if !is_qualified_name(key) {
            causes.push(Cause::invalid(field, &key.as_str().into(), LABEL_NAME_HINT));
        }
        let text = value.as_str().unwrap_or_default();
        if text.len() > 63 {
            causes.push(Cause::invalid(field, value, "must be no more than 63 bytes"));
        } else if !is_label_value(text) {
            causes.push(Cause::invalid(field, value, LABEL_VALUE_HINT));
        }
    }
}

fn pod(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    if is_empty(&spec["containers"]) {
        causes.push(Cause::required(format!("{path}.containers"), ""));
    }
    let policy = str_of(spec, "restartPolicy");
    if !["Always", "OnFailure", "Never"].contains(&policy) {
        let field = format!("{path}.restartPolicy");
        causes.push(Cause::unsupported(
            field,
            policy,
            &["Always", "OnFailure", "Never"],
        ));
    }
    let volumes: Vec<&str> = items(&spec["volumes"]).map(|v| str_of(v, "name")).collect();
    let mut seen = Vec::new();
    for list in ["initContainers", "containers"] {
        for (at, container) in items(&spec[list]).enumerate() {
            let path = format!("{path}.{list}[{at}]");
            let name = str_of(container, "name");
            if name.is_empty() {
                causes.push(Cause::required(format!("{path}.name"), ""));
            } else if !is_dns_label(name) {
                causes.push(Cause::invalid(format!("{path}.name"), &name.into(), LABEL_HINT));
            } else if seen.contains(&name) {
                causes.push(Cause {
                    reason: "FieldValueDuplicate",
                    field: format!("{path}.name"),
                    message: format!("Duplicate value: {name:?}"),
                });
            }
            seen.push(name);
            if str_of(container, "image").is_empty() {
                causes.push(Cause::required(format!("{path}.image"), ""));
            }
            for (at, mount) in items(&container["volumeMounts"]).enumerate() {
                let volume = str_of(mount, "name");
                if !volumes.contains(&volume) {
                    causes.push(Cause {
                        reason: "FieldValueNotFound",
                        field: format!("{path}.volumeMounts[{at}].name"),
                        message: format!("Not found: {volume:?}"),
                    });
                }
            }
        }
    }
}

fn job(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    let template = &spec["template"]["spec"];
    pod(template, "spec.template.spec", causes);
    if template["restartPolicy"] == "Always" {
        let hint = "valid values: \"OnFailure\", \"Never\"";
        causes.push(Cause::required("spec.template.spec.restartPolicy", hint));
    }
    for field in [
        "parallelism",
        "completions",
        "backoffLimit",
        "activeDeadlineSeconds",
        "ttlSecondsAfterFinished",
    ] {
        if spec[field].as_i64().is_some_and(|n| n < 0) {
            let hint = "must be greater than or equal to 0";
            causes.push(Cause::invalid(format!("spec.{field}"), &spec[field], hint));
        }
    }
    if object::name(object).len() > 63 {
        causes.push(Cause::invalid(
            "spec.template.labels",
            &object::name(object).into(),
            "must be no more than 63 bytes",
        ));
    }
}

fn unchangeable(resource: &Resource, object: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let mut fixed = |path: &str| {
        let (now, then) = (at(object, path), at(old, path));
        if now != then {
            causes.push(Cause::invalid(path, now, "field is immutable"));
        }
    };
    match resource.kind {
        "Job" => {
            fixed("spec.selector");
            fixed("spec.completions");
            fixed("spec.completionMode");
            if old["spec"]["suspend"] != true {
                fixed("spec.template");
            } else if fixed_while_suspended(object) != fixed_while_suspended(old) {
                causes.push(Cause::invalid(
                    "spec.template",
                    &object["spec"]["template"],
                    "field is immutable",
                ));
            }
        }
        "RoleBinding" | "ClusterRoleBinding" if object["roleRef"] != old["roleRef"] => {
            causes.push(Cause::invalid(
                "roleRef",
                &object["roleRef"],
                "cannot change roleRef",
            ));
        }
        "Secret" => fixed("type"),
        "Pod" if pod_without_changeable(&object["spec"]) != pod_without_changeable(&old["spec"]) => {
            causes.push(Cause::forbidden(
                    "spec",
                    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
                ));
        }
        _ => {}
    }
    if old["immutable"] == true {
        for field in ["data", "binaryData", "immutable"] {
            if object[field] != old[field] {
                causes.push(Cause::forbidden(
                    field,
                    "field is immutable when `immutable` is set",
                ));
            }
        }
    }
    if object::is_deleting(old) {
        let before = object::finalizers(old);
        if object::finalizers(object).iter().any(|f| !before.contains(f)) {
            let hint = "no new finalizers can be added if the object is being deleted";
            causes.push(Cause::forbidden("metadata.finalizers", hint));
        }
    }
}

fn at<'a>(object: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(object, |value, step| &value[step])
}

fn pod_without_changeable(spec: &Value) -> Value {
    let mut spec = spec.clone();
    for list in ["containers", "initContainers"] {
        if let Some(list) = spec.get_mut(list).and_then(Value::as_array_mut) {
            for container in list {
                object::members(container).remove("image");
            }
        }
    }
    let members = object::members(&mut spec);
    for field in [
        "activeDeadlineSeconds",
        "tolerations",
        "terminationGracePeriodSeconds",
    ] {
        members.remove(field);
    }
    spec
}

/// What can't be changed in the template of a Job that doesn't run yet: all but where and how large.
fn fixed_while_suspended(job: &Value) -> Value {
    let mut template = job["spec"]["template"].clone();
    let metadata = object::members(&mut template["metadata"]);
    metadata.remove("labels");
    metadata.remove("annotations");
    let spec = object::members(&mut template["spec"]);
    for field in ["affinity", "nodeSelector", "tolerations", "schedulingGates"] {
        spec.remove(field);
    }
    if let Some(containers) = spec.get_mut("containers").and_then(Value::as_array_mut) {
        for container in containers {
            object::members(container).remove("resources");
        }
    }
    template
}
