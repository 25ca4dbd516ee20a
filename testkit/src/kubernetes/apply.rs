//! Who manages which field: server-side apply, its conflicts, and the book-keeping of every other write.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::fields::{
    FieldSet, Path, Place, Shape, element_key, flatten, from_fields_v1, to_fields_v1, to_text,
};
use super::object::{self, is_empty, items, str_of};
use super::resource::Resource;
use super::status::{ApiError, Cause};

/// One entry of `managedFields`.
#[derive(Debug, Clone, PartialEq)]
struct Share {
    manager: String,
    operation: String,
    subresource: String,
    time: String,
    set: FieldSet,
}

fn shares(object: &Value) -> Vec<Share> {
    items(&object["metadata"]["managedFields"])
        .map(|entry| Share {
            manager: str_of(entry, "manager").to_owned(),
            operation: str_of(entry, "operation").to_owned(),
            subresource: str_of(entry, "subresource").to_owned(),
            time: str_of(entry, "time").to_owned(),
            set: from_fields_v1(&entry["fieldsV1"]),
        })
        .collect()
}

fn write_shares(resource: &Resource, object: &mut Value, shares: &[Share]) {
    let list: Vec<Value> = shares
        .iter()
        .filter(|share| !share.set.is_empty())
        .map(|share| {
            let mut entry = json!({
                "manager": share.manager, "operation": share.operation, "time": share.time,
                "apiVersion": resource.api_version(), "fieldsType": "FieldsV1",
                "fieldsV1": to_fields_v1(&share.set),
            });
            if !share.subresource.is_empty() {
                entry["subresource"] = share.subresource.clone().into();
            }
            entry
        })
        .collect();
    object::set_or_remove(&mut object["metadata"], "managedFields", list.into());
}

/// Fields that are new or differ, and fields that are gone.
fn compare(old: &BTreeMap<Path, Value>, new: &BTreeMap<Path, Value>) -> (FieldSet, FieldSet) {
    let changed = new.iter().filter(|(path, value)| old.get(*path) != Some(*value));
    let removed = old.keys().filter(|path| !new.contains_key(*path));
    (
        changed.map(|(path, _)| path.clone()).collect(),
        removed.cloned().collect(),
    )
}

/// Notes what a create, update or patch changed: the writer owns it now, and nobody owns what is gone.
pub(crate) fn note_update(
    resource: &Resource,
    old: &Value,
    new: &mut Value,
    manager: &str,
    subresource: &str,
    now: &str,
) {
    let (before, after) = (
        flatten(resource, old, subresource),
        flatten(resource, new, subresource),
    );
    let (changed, removed) = compare(&before, &after);
    let mut shares = shares(old);
    if !changed.is_empty() || !removed.is_empty() {
        for share in &mut shares {
            share
                .set
                .retain(|path| !changed.contains(path) && !removed.contains(path));
        }
        let own = shares.iter_mut().find(|share| {
            share.manager == manager && share.operation == "Update" && share.subresource == subresource
        });
        if let Some(own) = own {
            own.set.extend(changed);
            now.clone_into(&mut own.time);
        } else {
            shares.push(Share {
                manager: manager.to_owned(),
                operation: "Update".into(),
                subresource: subresource.to_owned(),
                time: now.to_owned(),
                set: changed,
            });
        }
    }
    write_shares(resource, new, &shares);
}

/// Who applies what.
pub(crate) struct Application<'a> {
    pub(crate) resource: &'static Resource,
    pub(crate) config: &'a Value,
    pub(crate) manager: &'a str,
    pub(crate) subresource: &'a str,
    pub(crate) force: bool,
    pub(crate) now: &'a str,
}

impl Application<'_> {
    /// The live object with the configuration applied and `managedFields` brought up to date.
    pub(crate) fn apply(&self, live: &Value, fill: impl Fn(&mut Value)) -> Result<Value, ApiError> {
        let resource = self.resource;
        let applied: FieldSet = flatten(resource, self.config, self.subresource)
            .into_keys()
            .collect();
        let mut shares = shares(live);
        let last = self.take_own(&mut shares);
        let mut merged = live.clone();
        merge(&Place::root(resource), &mut merged, self.config);
        let foreign: FieldSet = shares
            .iter()
            .flat_map(|share| share.set.iter().cloned())
            .collect();
        let before = flatten(resource, live, self.subresource);
        for path in last
            .iter()
            .rev()
            .filter(|path| !applied.contains(*path) && !foreign.contains(*path))
        {
            let shared_below = foreign
                .iter()
                .chain(&applied)
                .any(|f| f.len() > path.len() && f.starts_with(path));
            if !shared_below {
                remove(&Place::root(resource), &mut merged, path);
            }
        }
        fill(&mut merged);
        let after = flatten(resource, &merged, self.subresource);
        let (changed, removed) = compare(&before, &after);
        self.settle_conflicts(&mut shares, &changed, &applied)?;
        for share in &mut shares {
            share.set.retain(|path| !removed.contains(path));
        }
        let unchanged = last == applied && changed.is_empty() && removed.is_empty();
        if unchanged {
            return Ok(live.clone());
        }
        shares.push(Share {
            manager: self.manager.to_owned(),
            operation: "Apply".into(),
            subresource: self.subresource.to_owned(),
            time: self.now.to_owned(),
            set: applied,
        });
        shares.sort_by(|a, b| {
            (&a.operation, &a.manager, &a.subresource).cmp(&(&b.operation, &b.manager, &b.subresource))
        });
        write_shares(resource, &mut merged, &shares);
        Ok(merged)
    }

    fn take_own(&self, shares: &mut Vec<Share>) -> FieldSet {
        let place = shares.iter().position(|share| {
            share.manager == self.manager
                && share.operation == "Apply"
                && share.subresource == self.subresource
        });
        place.map(|at| shares.remove(at).set).unwrap_or_default()
    }

    fn settle_conflicts(
        &self,
        shares: &mut [Share],
        changed: &FieldSet,
        applied: &FieldSet,
    ) -> Result<(), ApiError> {
        let mut causes = Vec::new();
        let mut others = Vec::new();
        for share in shares.iter_mut() {
            let lost: FieldSet = share
                .set
                .iter()
                .filter(|p| changed.contains(*p) && applied.contains(*p))
                .cloned()
                .collect();
            if lost.is_empty() {
                continue;
            }
            let mut who = format!("conflict with {:?}", share.manager);
            if !share.subresource.is_empty() {
                who = format!("{who} with subresource {:?}", share.subresource);
            }
            if share.operation == "Update" {
                who = format!("{who} using {}", self.resource.api_version());
            }
            let paths: Vec<String> = lost.iter().map(to_text).collect();
            others.push(if let [only] = paths.as_slice() {
                format!("{who}: {only}")
            } else {
                format!("{who}:\n- {}", paths.join("\n- "))
            });
            causes.extend(paths.into_iter().map(|field| Cause {
                reason: "FieldManagerConflict",
                field,
                message: who.clone(),
            }));
            share.set.retain(|path| !lost.contains(path));
        }
        if causes.is_empty() || self.force {
            return Ok(());
        }
        let count = causes.len();
        let plural = if count == 1 { "conflict" } else { "conflicts" };
        let message = format!("Apply failed with {count} {plural}: {}", others.join("\n"));
        let causes: Vec<Value> = causes
            .iter()
            .map(|c| json!({ "reason": c.reason, "message": c.message, "field": c.field }))
            .collect();
        Err(ApiError {
            details: json!({ "causes": causes }),
            ..ApiError::new(409, "Conflict", message)
        })
    }
}

/// Merges a configuration or a strategic merge patch into the live object, list elements by their keys.
pub(crate) fn merge(place: &Place, live: &mut Value, config: &Value) {
    match (config, place.shape(config)) {
        (Value::Object(config), Shape::Granular) => {
            if !live.is_object() {
                *live = json!({});
            }
            for (name, value) in config.iter().filter(|(name, _)| !name.starts_with('$')) {
                if value.is_null() {
                    object::members(live).remove(name);
                } else {
                    merge(&place.field(name), &mut live[name.as_str()], value);
                }
            }
        }
        (Value::Array(config), Shape::Keyed(keys)) => {
            if !live.is_array() {
                *live = json!([]);
            }
            let Some(list) = live.as_array_mut() else { return };
            for element in config {
                let key = element_key(keys, element);
                if element["$patch"] == "delete" {
                    list.retain(|e| element_key(keys, e) != key);
                    continue;
                }
                match list.iter_mut().find(|e| element_key(keys, e) == key) {
                    Some(known) => merge(&place.element(), known, element),
                    None => list.push(element.clone()),
                }
            }
        }
        (Value::Array(config), Shape::Set) => {
            if !live.is_array() {
                *live = json!([]);
            }
            let Some(list) = live.as_array_mut() else { return };
            for element in config {
                if !list.contains(element) {
                    list.push(element.clone());
                }
            }
        }
        _ => *live = config.clone(),
    }
}

/// Takes away what is at the path, and the maps and lists that it leaves empty.
fn remove(place: &Place, value: &mut Value, path: &[String]) {
    let Some((step, rest)) = path.split_first() else {
        return;
    };
    if let Some(name) = step.strip_prefix("f:") {
        let Some(map) = value.as_object_mut() else { return };
        if let Some(below) = map.get_mut(name) {
            if !rest.is_empty() {
                remove(&place.field(name), below, rest);
            }
            if rest.is_empty() || is_empty(below) {
                map.remove(name);
            }
        }
        return;
    }
    let shape = place.shape(value);
    let Some(list) = value.as_array_mut() else { return };
    let at = list.iter().position(|element| match shape {
        Shape::Keyed(keys) => element_key(keys, element) == *step,
        _ => step.strip_prefix("v:").is_some_and(|wanted| {
            serde_json::from_str::<Value>(wanted).is_ok_and(|wanted| *element == wanted)
        }),
    });
    if let Some(at) = at {
        if rest.is_empty() {
            list.remove(at);
        } else {
            remove(&place.element(), &mut list[at], rest);
        }
    }
}
