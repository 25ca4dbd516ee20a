//! Create, by POST and by the first apply.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::resource::Resource;
use super::super::status::ApiError;
use super::super::store::Store;
use super::super::{admission, apply, defaults, object, validation};
use super::{Writer, read};

/// Creates an object from a body.
pub(crate) fn create(
    store: &mut Store,
    resource: &'static Resource,
    namespace: &str,
    body: Value,
    writer: &Writer,
) -> Result<Arc<Value>, ApiError> {
    let mut object = read(resource, namespace, body, writer)?;
    if !object::meta(&object, "resourceVersion").is_empty() {
        return Err(ApiError::internal(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    object::members(&mut object["metadata"]).remove("managedFields");
    let empty = json!({});
    let before = object.clone();
    let mut object = admit(store, resource, object, &writer.now)?;
    // Only what the writer gave is the writer's; what was filled in belongs to no one.
    let mut owned = before;
    apply::note_update(resource, &empty, &mut owned, &writer.manager, "", &writer.now);
    object["metadata"]["managedFields"] = owned["metadata"]["managedFields"].take();
    Ok(keep(store, resource, object, writer))
}

/// Stores an admitted object, unless it is only a rehearsal.
pub(super) fn keep(
    store: &mut Store,
    resource: &'static Resource,
    object: Value,
    writer: &Writer,
) -> Arc<Value> {
    if writer.dry_run {
        Arc::new(object)
    } else {
        store.put(resource, object)
    }
}

/// Everything that is decided about a new object.
pub(super) fn admit(
    store: &Store,
    resource: &'static Resource,
    mut object: Value,
    now: &str,
) -> Result<Value, ApiError> {
    let prefix = object::meta(&object, "generateName").to_owned();
    if object::name(&object).is_empty() && !prefix.is_empty() {
        let room = prefix.char_indices().nth(58).map_or(prefix.len(), |(at, _)| at);
        let name = format!("{}{}", &prefix[..room], object::name_suffix());
        object["metadata"]["name"] = name.into();
    }
    let metadata = object::members(&mut object["metadata"]);
    for field in [
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "resourceVersion",
    ] {
        metadata.remove(field);
    }
    metadata.insert("uid".into(), object::new_uid().into());
    metadata.insert("creationTimestamp".into(), now.into());
    if resource.generation {
        metadata.insert("generation".into(), 1.into());
    } else {
        metadata.remove("generation");
    }
    if resource.status {
        object["status"] = match resource.kind {
            "Pod" => json!({ "phase": "Pending", "qosClass": "BestEffort" }),
            "Namespace" => json!({ "phase": "Active" }),
            _ => json!({}),
        };
    }
    if resource.kind == "Namespace" {
        object["spec"]["finalizers"] = json!(["kubernetes"]);
    }
    admission::check_namespace(store, resource, &object)?;
    defaults::fill(resource, &mut object);
    admission::complete(store, resource, &mut object)?;
    if resource.kind == "Job" {
        defaults::job_selector(&mut object);
    }
    if resource.kind == "Pod" {
        object["status"]["qosClass"] = quality_of_service(&object["spec"]).into();
    }
    validation::check(resource, &object, None)?;
    admission::check(store, resource, &object)?;
    let name = object::name(&object);
    if store.get(resource, object::namespace(&object), name).is_some() {
        return Err(ApiError::already_exists(resource, name));
    }
    Ok(object)
}

fn quality_of_service(spec: &Value) -> &'static str {
    let parts: Vec<&Value> = object::items(&spec["containers"])
        .map(|c| &c["resources"])
        .collect();
    if parts
        .iter()
        .all(|r| object::is_empty(&r["limits"]) && object::is_empty(&r["requests"]))
    {
        return "BestEffort";
    }
    let guaranteed = parts.iter().all(|r| {
        ["cpu", "memory"]
            .iter()
            .all(|of| !r["limits"][of].is_null() && r["limits"][of] == r["requests"][of])
    });
    if guaranteed { "Guaranteed" } else { "Burstable" }
}
