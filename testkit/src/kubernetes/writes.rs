//! The writing verbs, from a body that has been read to the stored object. One call is one transaction: the
//! caller holds the store's lock.

mod change;
mod create;
mod delete;

use std::sync::Arc;

use serde_json::Value;

use super::object;
use super::resource::Resource;
use super::status::ApiError;
use super::store::Store;
use super::typed;

pub(crate) use change::{PatchKind, patch, replace};
pub(crate) use create::create;
pub(crate) use delete::{DeleteOptions, Deleted, delete};

/// Who writes, and how.
#[derive(Debug, Clone, Default)]
pub(crate) struct Writer {
    /// For `managedFields`.
    pub(crate) manager: String,
    /// Decide, but store nothing.
    pub(crate) dry_run: bool,
    /// Refuse fields that don't exist.
    pub(crate) strict: bool,
    /// The time to note.
    pub(crate) now: String,
}

impl Writer {
    /// A part of the control plane.
    pub(crate) fn system(manager: &str, now: &str) -> Self {
        Self {
            manager: manager.to_owned(),
            now: now.to_owned(),
            ..Self::default()
        }
    }
}

/// The object that a request is about.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) resource: &'static Resource,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) subresource: String,
}

impl Target {
    pub(crate) fn of(resource: &'static Resource, object: &Value) -> Self {
        Self {
            resource,
            namespace: object::namespace(object).to_owned(),
            name: object::name(object).to_owned(),
            subresource: String::new(),
        }
    }

    fn live(&self, store: &Store) -> Result<Arc<Value>, ApiError> {
        store
            .get(self.resource, &self.namespace, &self.name)
            .cloned()
            .ok_or_else(|| ApiError::not_found(self.resource, &self.name))
    }
}

/// Reads a body and sets the namespace of the path.
fn read(
    resource: &'static Resource,
    namespace: &str,
    body: Value,
    writer: &Writer,
) -> Result<Value, ApiError> {
    let typed = typed::read(resource, body)?;
    if writer.strict && !typed.unknown.is_empty() {
        let list: Vec<String> = typed
            .unknown
            .iter()
            .map(|path| format!("unknown field {path:?}"))
            .collect();
        return Err(ApiError::bad_request(format!(
            "{} in version \"v1\" cannot be handled as a {}: strict decoding error: {}",
            resource.kind,
            resource.kind,
            list.join(", ")
        )));
    }
    let mut object = typed.object;
    if !object["metadata"].is_object() {
        object["metadata"] = serde_json::json!({});
    }
    if resource.namespaced {
        let given = object::namespace(&object);
        if !given.is_empty() && given != namespace {
            return Err(ApiError::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        object["metadata"]["namespace"] = namespace.into();
    }
    Ok(object)
}

/// Stores a change; an object whose deletion waited for it goes.
pub(crate) fn settle(
    store: &mut Store,
    resource: &'static Resource,
    old: &Arc<Value>,
    new: Value,
) -> Arc<Value> {
    if **old == new {
        return Arc::clone(old);
    }
    let grace = new["metadata"]["deletionGracePeriodSeconds"]
        .as_i64()
        .unwrap_or(0);
    let waits = !object::finalizers(&new).is_empty()
        || grace > 0
        || (resource.kind == "Namespace" && !object::is_empty(&new["spec"]["finalizers"]));
    if object::is_deleting(&new) && !waits {
        store.remove(resource, object::namespace(&new), object::name(&new));
        return Arc::new(new);
    }
    store.put(resource, new)
}

/// A change that the control plane makes by itself; nothing if the object is gone.
pub(crate) fn edit(
    store: &mut Store,
    resource: &'static Resource,
    of: &Value,
    change: impl FnOnce(&mut Value),
) -> Option<Arc<Value>> {
    let old = store.get_uid(resource, of)?.clone();
    let mut new = (*old).clone();
    change(&mut new);
    Some(settle(store, resource, &old, new))
}
