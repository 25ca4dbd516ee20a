//! LimitRanges: defaults for containers that say nothing, refusals of those that want too much or too little.

use serde_json::Value;

use super::super::object::{self, default_to, entries, items};
use super::super::quantity::Quantity;
use super::super::resource::{LIMIT_RANGE, Resource};
use super::super::status::ApiError;
use super::super::store::Store;

fn limits_of<'a>(
    store: &'a Store,
    namespace: &'a str,
    kind: &'static str,
) -> impl Iterator<Item = &'a Value> {
    store
        .list(&LIMIT_RANGE, Some(namespace))
        .flat_map(|range| items(&range["spec"]["limits"]))
        .filter(move |limit| limit["type"] == kind)
}

/// Writes the defaults into the containers of a new pod.
pub(super) fn complete(store: &Store, pod: &mut Value) {
    let namespace = object::namespace(pod).to_owned();
    for limit in limits_of(store, &namespace, "Container") {
        for list in ["initContainers", "containers"] {
            let Some(containers) = pod["spec"].get_mut(list).and_then(Value::as_array_mut) else {
                continue;
            };
            for container in containers {
                for (from, to) in [("defaultRequest", "requests"), ("default", "limits")] {
                    for (resource, amount) in entries(&limit[from]) {
                        default_to(&mut container["resources"][to], resource, amount.clone());
                    }
                }
            }
        }
    }
}

/// Refuses a pod that is outside the limits.
pub(super) fn check(store: &Store, resource: &Resource, pod: &Value) -> Result<(), ApiError> {
    let namespace = object::namespace(pod);
    let mut faults = Vec::new();
    for list in ["initContainers", "containers"] {
        for container in items(&pod["spec"][list]) {
            for limit in limits_of(store, namespace, "Container") {
                let wanted = |part: &str, of: &str| {
                    container["resources"][part][of]
                        .as_str()
                        .and_then(Quantity::parse)
                };
                compare(limit, "Container", wanted, &mut faults);
            }
        }
    }
    for limit in limits_of(store, namespace, "Pod") {
        let sum = |part: &str, of: &str| {
            items(&pod["spec"]["containers"])
                .map(|c| c["resources"][part][of].as_str().and_then(Quantity::parse))
                .try_fold(Quantity::default(), |sum, amount| Some(sum.plus(amount?)))
        };
        compare(limit, "Pod", sum, &mut faults);
    }
    match faults.as_slice() {
        [] => Ok(()),
        [only] => Err(ApiError::forbidden(resource, object::name(pod), only)),
        several => {
            let list = format!("[{}]", several.join(", "));
            Err(ApiError::forbidden(resource, object::name(pod), &list))
        }
    }
}

fn compare(
    limit: &Value,
    kind: &str,
    wanted: impl Fn(&str, &str) -> Option<Quantity>,
    faults: &mut Vec<String>,
) {
    for (of, most) in entries(&limit["max"]) {
        let Some(bound) = most.as_str().and_then(Quantity::parse) else {
            continue;
        };
        match wanted("limits", of) {
            None => {
                faults.push(format!(
                    "maximum {of} usage per {kind} is {bound}.  No limit is specified"
                ));
            }
            Some(given) if given.exceeds(bound) => {
                faults.push(format!(
                    "maximum {of} usage per {kind} is {bound}, but limit is {given}"
                ));
            }
            Some(_) => {}
        }
    }
    for (of, least) in entries(&limit["min"]) {
        let Some(bound) = least.as_str().and_then(Quantity::parse) else {
            continue;
        };
        match wanted("requests", of) {
            None => {
                faults.push(format!(
                    "minimum {of} usage per {kind} is {bound}.  No request is specified"
                ));
            }
            Some(given) if bound.exceeds(given) => {
                faults.push(format!(
                    "minimum {of} usage per {kind} is {bound}, but request is {given}"
                ));
            }
            Some(_) => {}
        }
    }
}
