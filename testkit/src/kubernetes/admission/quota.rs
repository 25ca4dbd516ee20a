//! ResourceQuotas: what a namespace uses, and the refusal of what goes beyond.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::object::{self, entries, items};
use super::super::quantity::Quantity;
use super::super::resource::{RESOURCE_QUOTA, RESOURCES, Resource};
use super::super::status::ApiError;
use super::super::store::Store;

type Amounts = BTreeMap<String, Quantity>;

/// What one object takes, by the names that quotas use.
fn taken_by(resource: &Resource, object: &Value) -> Amounts {
    let mut taken = Amounts::new();
    taken.insert(format!("count/{}", resource.qualified()), Quantity::whole(1));
    if matches!(resource.kind, "Secret" | "ConfigMap" | "ResourceQuota") {
        taken.insert(resource.plural.to_owned(), Quantity::whole(1));
    }
    if resource.kind == "Pod" && !object::is_terminal(object) {
        taken.insert("pods".into(), Quantity::whole(1));
        for part in ["requests", "limits"] {
            for container in items(&object["spec"]["containers"]) {
                for (of, amount) in entries(&container["resources"][part]) {
                    let Some(amount) = amount.as_str().and_then(Quantity::parse) else {
                        continue;
                    };
                    let mut add = |name: String| {
                        let sum = taken.entry(name).or_default();
                        *sum = sum.plus(amount);
                    };
                    add(format!("{part}.{of}"));
                    if part == "requests" && matches!(of.as_str(), "cpu" | "memory") {
                        add(of.clone());
                    }
                }
            }
        }
    }
    taken
}

/// What everything in the namespace takes of what this quota limits.
pub(crate) fn used(store: &Store, quota: &Value) -> Value {
    let namespace = object::namespace(quota);
    let mut sums = Amounts::new();
    for resource in RESOURCES.iter().filter(|r| r.namespaced) {
        for object in store.list(resource, Some(namespace)) {
            for (name, amount) in taken_by(resource, object) {
                let sum = sums.entry(name).or_default();
                *sum = sum.plus(amount);
            }
        }
    }
    let used = entries(&quota["spec"]["hard"]).map(|(name, _)| {
        (
            name.clone(),
            json!(sums.get(name).copied().unwrap_or_default().to_string()),
        )
    });
    Value::Object(used.collect())
}

/// Refuses a new object that would go beyond a quota of its namespace.
pub(super) fn check(store: &Store, resource: &Resource, new: &Value) -> Result<(), ApiError> {
    if !resource.namespaced {
        return Ok(());
    }
    let taken = taken_by(resource, new);
    for quota in store.list(&RESOURCE_QUOTA, Some(object::namespace(new))) {
        let hard = &quota["spec"]["hard"];
        must_specify(resource, new, quota)?;
        let used = used(store, quota);
        let amount = |of: &Value| of.as_str().and_then(Quantity::parse).unwrap_or_default();
        let over: Vec<&String> = entries(hard)
            .filter(|(name, limit)| {
                taken.get(*name).is_some_and(|wanted| {
                    !wanted.is_zero() && amount(&used[name.as_str()]).plus(*wanted).exceeds(amount(limit))
                })
            })
            .map(|(name, _)| name)
            .collect();
        if over.is_empty() {
            continue;
        }
        let list = |amount: &dyn Fn(&str) -> String| {
            over.iter()
                .map(|name| format!("{name}={}", amount(name)))
                .collect::<Vec<_>>()
                .join(",")
        };
        let why = format!(
            "exceeded quota: {}, requested: {}, used: {}, limited: {}",
            object::name(quota),
            list(&|name| taken.get(name).copied().unwrap_or_default().to_string()),
            list(&|name| used[name].as_str().unwrap_or("0").to_owned()),
            list(&|name| hard[name].as_str().unwrap_or("0").to_owned()),
        );
        return Err(ApiError::forbidden(resource, object::name(new), &why));
    }
    Ok(())
}

/// Where a quota limits cpu or memory, every container must say how much it wants.
fn must_specify(resource: &Resource, pod: &Value, quota: &Value) -> Result<(), ApiError> {
    if resource.kind != "Pod" {
        return Ok(());
    }
    let mut missing = Vec::new();
    for (name, _) in entries(&quota["spec"]["hard"]) {
        let (part, of) = name.split_once('.').unwrap_or(("requests", name));
        if !matches!(part, "requests" | "limits") || !matches!(of, "cpu" | "memory") {
            continue;
        }
        let silent: Vec<&str> = items(&pod["spec"]["containers"])
            .filter(|c| c["resources"][part][of].is_null())
            .map(|c| object::str_of(c, "name"))
            .collect();
        if !silent.is_empty() {
            missing.push(format!("{name} for: {}", silent.join(",")));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let why = format!(
        "failed quota: {}: must specify {}",
        object::name(quota),
        missing.join("; ")
    );
    Err(ApiError::forbidden(resource, object::name(pod), &why))
}
