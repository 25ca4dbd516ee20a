//! Replace and patch, of objects and of their status.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::resource::Resource;
use super::super::status::{ApiError, Cause};
use super::super::store::Store;
use super::super::{apply, defaults, fields, object, typed, validation};
use super::{Target, Writer, create, read, settle};

/// The ways of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PatchKind {
    /// `application/merge-patch+json`
    Merge,
    /// `application/strategic-merge-patch+json`
    Strategic,
    /// `application/apply-patch+yaml`
    Apply {
        /// Take over what others manage.
        force: bool,
    },
}

/// PUT.
pub(crate) fn replace(
    store: &mut Store,
    target: &Target,
    body: Value,
    writer: &Writer,
) -> Result<Arc<Value>, ApiError> {
    let object = read(target.resource, &target.namespace, body, writer)?;
    same_name(target, &object)?;
    let old = target.live(store)?;
    let uid = object::uid(&object);
    if !uid.is_empty() && uid != object::uid(&old) {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            object::uid(&old)
        );
        return Err(ApiError::conflict(target.resource, &target.name, &why));
    }
    change(store, target, &old, object, writer)
}

/// PATCH. The second part says whether the object was created by it.
pub(crate) fn patch(
    store: &mut Store,
    target: &Target,
    kind: PatchKind,
    body: Value,
    writer: &Writer,
) -> Result<(Arc<Value>, bool), ApiError> {
    if let PatchKind::Apply { force } = kind {
        return server_side_apply(store, target, body, force, writer);
    }
    let old = target.live(store)?;
    let mut object = (*old).clone();
    if kind == PatchKind::Merge {
        merge_json(&mut object, &body);
    } else {
        apply::merge(&fields::Place::root(target.resource), &mut object, &body);
    }
    let object = read(target.resource, &target.namespace, object, writer)?;
    same_name(target, &object)?;
    Ok((change(store, target, &old, object, writer)?, false))
}

fn server_side_apply(
    store: &mut Store,
    target: &Target,
    body: Value,
    force: bool,
    writer: &Writer,
) -> Result<(Arc<Value>, bool), ApiError> {
    if writer.manager.is_empty() {
        let cause = Cause::required("fieldManager", "is required for apply patch");
        let causes = json!([{ "reason": cause.reason, "message": cause.message, "field": cause.field }]);
        let message = format!(
            "PatchOptions.meta.k8s.io \"\" is invalid: {}: {}",
            cause.field, cause.message
        );
        return Err(ApiError {
            details: json!({ "group": "meta.k8s.io", "kind": "PatchOptions", "causes": causes }),
            ..ApiError::new(422, "Invalid", message)
        });
    }
    for field in ["apiVersion", "kind"] {
        if body[field].as_str().is_none_or(str::is_empty) {
            return Err(ApiError::bad_request(format!(
                "the applied configuration has no {field}"
            )));
        }
    }
    if !object::is_empty(&body["metadata"]["managedFields"]) {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    let typed = typed::read(target.resource, body)?;
    if let Some(path) = typed.unknown.first() {
        let whose = format!(
            "{}/{}; {}",
            target.namespace,
            target.name,
            target.resource.api_version()
        );
        return Err(ApiError::internal(format!(
            "failed to create typed patch object ({whose}, Kind={}): .{path}: field not declared in schema",
            target.resource.kind
        )));
    }
    let mut config = read(target.resource, &target.namespace, typed.object, writer)?;
    same_name(target, &config)?;
    if target.resource.kind == "Secret" {
        let kind = config["type"].clone();
        defaults::fill(target.resource, &mut config);
        object::set_or_remove(&mut config, "type", kind);
    }
    let application = apply::Application {
        resource: target.resource,
        config: &config,
        manager: &writer.manager,
        subresource: &target.subresource,
        force,
        now: &writer.now,
    };
    let Some(old) = store
        .get(target.resource, &target.namespace, &target.name)
        .cloned()
    else {
        if !target.subresource.is_empty() {
            return Err(ApiError::not_found(target.resource, &target.name));
        }
        if !object::uid(&config).is_empty() || !object::meta(&config, "resourceVersion").is_empty() {
            return Err(ApiError::modified(target.resource, &target.name));
        }
        let mut base = json!({ "metadata": { "name": target.name } });
        for field in ["apiVersion", "kind"] {
            base[field] = config[field].clone();
        }
        let object = application.apply(&base, |_| {})?;
        let managed = object["metadata"]["managedFields"].clone();
        let mut object = create::admit(store, target.resource, object, &writer.now)?;
        object::set_or_remove(&mut object["metadata"], "managedFields", managed);
        return Ok((create::keep(store, target.resource, object, writer), true));
    };
    let uid = object::uid(&config);
    let version = object::meta(&config, "resourceVersion");
    if (!uid.is_empty() && uid != object::uid(&old))
        || (!version.is_empty() && version != object::meta(&old, "resourceVersion"))
    {
        return Err(ApiError::modified(target.resource, &target.name));
    }
    let merged = application.apply(&old, |object| {
        keep_system_fields(target, &old, object);
        defaults::fill(target.resource, object);
    })?;
    Ok((finish(store, target, &old, merged, writer)?, false))
}

/// What PUT and the merging patches have in common: the version is checked, the writer noted.
fn change(
    store: &mut Store,
    target: &Target,
    old: &Arc<Value>,
    mut object: Value,
    writer: &Writer,
) -> Result<Arc<Value>, ApiError> {
    let version = object::meta(&object, "resourceVersion");
    if !version.is_empty() && version != object::meta(old, "resourceVersion") {
        return Err(ApiError::modified(target.resource, &target.name));
    }
    keep_system_fields(target, old, &mut object);
    defaults::fill(target.resource, &mut object);
    let resource = target.resource;
    apply::note_update(
        resource,
        old,
        &mut object,
        &writer.manager,
        &target.subresource,
        &writer.now,
    );
    finish(store, target, old, object, writer)
}

fn finish(
    store: &mut Store,
    target: &Target,
    old: &Arc<Value>,
    mut object: Value,
    writer: &Writer,
) -> Result<Arc<Value>, ApiError> {
    let resource = target.resource;
    if resource.generation && object["spec"] != old["spec"] {
        let generation = old["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
        object["metadata"]["generation"] = generation.into();
    }
    validation::check(resource, &object, Some(old))?;
    if writer.dry_run {
        return Ok(Arc::new(object));
    }
    Ok(settle(store, resource, old, object))
}

fn same_name(target: &Target, object: &Value) -> Result<(), ApiError> {
    let given = object::name(object);
    if given.is_empty() || given == target.name {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "the name of the object ({given}) does not match the name on the URL ({})",
        target.name
    )))
}

/// Takes from the old object what this request can't change.
fn keep_system_fields(target: &Target, old: &Value, object: &mut Value) {
    let resource: &Resource = target.resource;
    match target.subresource.as_str() {
        "status" => {
            let status = object["status"].take();
            *object = old.clone();
            object["status"] = status;
            return;
        }
        "finalize" => {
            let finalizers = object["spec"]["finalizers"].take();
            *object = old.clone();
            object::set_or_remove(&mut object["spec"], "finalizers", finalizers);
            return;
        }
        _ => {}
    }
    for field in [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "resourceVersion",
        "generateName",
    ] {
        let value = old["metadata"][field].clone();
        object::set_or_remove(&mut object["metadata"], field, value);
    }
    if resource.status {
        object["status"] = old["status"].clone();
    }
    match resource.kind {
        "Namespace" => {
            let finalizers = old["spec"]["finalizers"].clone();
            object["spec"] = json!({});
            object::set_or_remove(&mut object["spec"], "finalizers", finalizers);
        }
        // The server's own fields of a Job and a Pod, that a whole replacement may leave out.
        "Job" if object["spec"]["selector"].is_null() => {
            object["spec"]["selector"] = old["spec"]["selector"].clone();
            let labels = old["spec"]["template"]["metadata"]["labels"].clone();
            object["spec"]["template"]["metadata"]["labels"] = labels;
        }
        "Pod" => {
            for field in ["nodeName", "serviceAccountName", "serviceAccount"] {
                if object["spec"][field].is_null() {
                    let value = old["spec"][field].clone();
                    object::set_or_remove(&mut object["spec"], field, value);
                }
            }
        }
        _ => {}
    }
}

/// RFC 7386.
fn merge_json(object: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *object = patch.clone();
        return;
    };
    let members = object::members(object);
    for (name, value) in patch {
        if value.is_null() {
            members.remove(name);
        } else {
            merge_json(members.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}
