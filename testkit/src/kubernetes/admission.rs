//! What the API server decides about an object before it stores it: defaults from the namespace, and
//! refusals by its policies.

mod limit_range;
mod pod_security;
pub(crate) mod quota;

use serde_json::Value;

use super::object::{self, default_to, str_of};
use super::resource::{NAMESPACE, Resource, SERVICE_ACCOUNT};
use super::status::ApiError;
use super::store::Store;

/// The namespace must exist, and take no new objects when it is terminating.
pub(crate) fn check_namespace(store: &Store, resource: &Resource, object: &Value) -> Result<(), ApiError> {
    if !resource.namespaced {
        return Ok(());
    }
    let name = object::namespace(object);
    let Some(namespace) = store.get(&NAMESPACE, "", name) else {
        return Err(ApiError::not_found(&NAMESPACE, name));
    };
    if !object::is_deleting(namespace) {
        return Ok(());
    }
    let why = format!("unable to create new content in namespace {name} because it is being terminated");
    let mut refusal = ApiError::forbidden(resource, object::name(object), &why);
    refusal.details["causes"] = serde_json::json!([{
        "reason": "NamespaceTerminating", "field": "metadata.namespace",
        "message": format!("namespace {name} is being terminated"),
    }]);
    Err(refusal)
}

/// Fills in what the namespace's policies give to a new pod.
pub(crate) fn complete(store: &Store, resource: &Resource, object: &mut Value) -> Result<(), ApiError> {
    if resource.kind != "Pod" {
        return Ok(());
    }
    default_to(&mut object["spec"], "serviceAccountName", "default");
    let account = str_of(&object["spec"], "serviceAccountName").to_owned();
    object["spec"]["serviceAccount"] = account.clone().into();
    let namespace = object::namespace(object).to_owned();
    if store.get(&SERVICE_ACCOUNT, &namespace, &account).is_none() {
        let why = format!(
            "error looking up service account {namespace}/{account}: serviceaccount {account:?} not found"
        );
        return Err(ApiError::forbidden(resource, object::name(object), &why));
    }
    limit_range::complete(store, object);
    Ok(())
}

/// Refuses a new object that the namespace's policies don't allow.
pub(crate) fn check(store: &Store, resource: &Resource, object: &Value) -> Result<(), ApiError> {
    if resource.kind == "Pod" {
        limit_range::check(store, resource, object)?;
        pod_security::check(store, resource, object)?;
    }
    quota::check(store, resource, object)
}
