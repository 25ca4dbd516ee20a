//! Empties terminating namespaces, says what holds one back, and lets it go when it is empty.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::object;
use super::super::resource::{NAMESPACE, RESOURCES};
use super::super::writes::{DeleteOptions, Target, delete, edit};
use super::Pass;

pub(super) fn pass(pass: &mut Pass<'_>) {
    let terminating: Vec<Arc<Value>> = pass
        .store
        .list(&NAMESPACE, None)
        .filter(|n| {
            object::is_deleting(n) && object::items(&n["spec"]["finalizers"]).any(|f| f == "kubernetes")
        })
        .cloned()
        .collect();
    for namespace in terminating {
        empty(pass, object::name(&namespace));
        let left = remaining(pass, object::name(&namespace));
        let timestamp = pass.timestamp.clone();
        edit(pass.store, &NAMESPACE, &namespace, |namespace| {
            describe(namespace, &left, &timestamp);
            if left.objects.is_empty() {
                let spec = &mut namespace["spec"];
                let others: Vec<Value> = object::items(&spec["finalizers"])
                    .filter(|f| *f != "kubernetes")
                    .cloned()
                    .collect();
                object::set_or_remove(spec, "finalizers", others.into());
            }
        });
    }
}

fn empty(pass: &mut Pass<'_>, namespace: &str) {
    for resource in RESOURCES.iter().filter(|r| r.namespaced) {
        let found: Vec<Arc<Value>> = pass
            .store
            .list(resource, Some(namespace))
            .filter(|object| !object::is_deleting(object))
            .cloned()
            .collect();
        for object in found {
            let options = DeleteOptions {
                propagation_policy: Some("Background".into()),
                ..DeleteOptions::default()
            };
            let target = Target::of(resource, &object);
            if let Err(error) = delete(pass.store, &target, &options, pass.now) {
                tracing::debug!(%error, namespace, "content of a terminating namespace stays");
            }
        }
    }
}

#[derive(Default)]
struct Remaining {
    /// How many of each kind.
    objects: BTreeMap<String, usize>,
    /// How many hold each finalizer.
    finalizers: BTreeMap<String, usize>,
}

fn remaining(pass: &Pass<'_>, namespace: &str) -> Remaining {
    let mut left = Remaining::default();
    for resource in RESOURCES.iter().filter(|r| r.namespaced) {
        for object in pass.store.list(resource, Some(namespace)) {
            let group = if resource.group.is_empty() { "." } else { "" };
            *left
                .objects
                .entry(format!("{}{group}", resource.qualified()))
                .or_default() += 1;
            for finalizer in object::finalizers(object) {
                *left.finalizers.entry(finalizer).or_default() += 1;
            }
        }
    }
    left
}

fn describe(namespace: &mut Value, left: &Remaining, now: &str) {
    let list = |entries: &BTreeMap<String, usize>, verb: &str| {
        let parts: Vec<String> = entries
            .iter()
            .map(|(name, count)| format!("{name} {verb} {count} resource instances"))
            .collect();
        parts.join(", ")
    };
    let content = if left.objects.is_empty() {
        (
            "False",
            "ContentRemoved",
            "All content successfully removed".to_owned(),
        )
    } else {
        let list = list(&left.objects, "has");
        (
            "True",
            "SomeResourcesRemain",
            format!("Some resources are remaining: {list}"),
        )
    };
    let finalizers = if left.finalizers.is_empty() {
        (
            "False",
            "ContentHasNoFinalizers",
            "All content-preserving finalizers finished".to_owned(),
        )
    } else {
        let list = list(&left.finalizers, "in");
        let message = format!("Some content in the namespace has finalizers remaining: {list}");
        ("True", "SomeFinalizersRemain", message)
    };
    let fine = |reason, message: &str| ("False", reason, message.to_owned());
    for (kind, (status, reason, message)) in [
        (
            "NamespaceDeletionDiscoveryFailure",
            fine("ResourcesDiscovered", "All resources successfully discovered"),
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            fine("ParsedGroupVersions", "All legacy kube types successfully parsed"),
        ),
        (
            "NamespaceDeletionContentFailure",
            fine(
                "ContentDeleted",
                "All content successfully deleted, may be waiting on finalization",
            ),
        ),
        ("NamespaceContentRemaining", content),
        ("NamespaceFinalizersRemaining", finalizers),
    ] {
        let condition = json!({ "type": kind, "status": status, "reason": reason, "message": message });
        object::set_condition(namespace, condition, now);
    }
}
