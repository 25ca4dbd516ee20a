//! Gives each namespace its default service account and the cluster's root certificates.

use serde_json::json;

use super::super::object;
use super::super::resource::{CONFIG_MAP, NAMESPACE, Resource, SERVICE_ACCOUNT};
use super::super::writes::{Writer, create};
use super::Pass;

pub(super) fn pass(pass: &mut Pass<'_>) {
    let names: Vec<String> = pass
        .store
        .list(&NAMESPACE, None)
        .filter(|namespace| !object::is_deleting(namespace))
        .map(|namespace| object::name(namespace).to_owned())
        .collect();
    for namespace in names {
        let account = json!({ "metadata": { "name": "default" } });
        make(pass, &SERVICE_ACCOUNT, &namespace, &account);
        let roots = json!({ "metadata": { "name": "kube-root-ca.crt" }, "data": { "ca.crt": "" } });
        make(pass, &CONFIG_MAP, &namespace, &roots);
    }
}

fn make(pass: &mut Pass<'_>, resource: &'static Resource, namespace: &str, object: &serde_json::Value) {
    if pass
        .store
        .get(resource, namespace, object::name(object))
        .is_some()
    {
        return;
    }
    let writer = Writer::system("kube-controller-manager", &pass.timestamp);
    // A quota may refuse it; then the next pass tries again.
    if let Err(error) = create(pass.store, resource, namespace, object.clone(), &writer) {
        tracing::debug!(%error, namespace, "a namespace's own object was refused");
    }
}
