//! Reading and writing the metadata of an object that is kept as a JSON value.

use chrono::{DateTime, SecondsFormat, Utc};
use rand::Rng;
use serde_json::{Map, Value};

/// A string of the metadata, empty where there is none.
pub(crate) fn meta<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

pub(crate) fn name(object: &Value) -> &str {
    meta(object, "name")
}

pub(crate) fn namespace(object: &Value) -> &str {
    meta(object, "namespace")
}

pub(crate) fn uid(object: &Value) -> &str {
    meta(object, "uid")
}

/// Whether somebody asked for its deletion.
pub(crate) fn is_deleting(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

pub(crate) fn finalizers(object: &Value) -> Vec<String> {
    strings(&object["metadata"]["finalizers"])
}

pub(crate) fn has_finalizer(object: &Value, finalizer: &str) -> bool {
    items(&object["metadata"]["finalizers"]).any(|f| f == finalizer)
}

/// Takes one finalizer away; the field goes with the last one.
pub(crate) fn remove_finalizer(object: &mut Value, finalizer: &str) {
    let left: Vec<Value> = items(&object["metadata"]["finalizers"])
        .filter(|f| *f != finalizer)
        .cloned()
        .collect();
    set_or_remove(&mut object["metadata"], "finalizers", left.into());
}

/// The elements of a JSON array; none for anything else.
pub(crate) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The entries of a JSON object; none for anything else.
pub(crate) fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// The strings of a JSON array.
pub(crate) fn strings(value: &Value) -> Vec<String> {
    items(value)
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

pub(crate) fn str_of<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// The members of an object, made one where it is null.
pub(crate) fn members(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("made an object above"),
    }
}

/// Writes a field, or takes it away where the value is empty.
pub(crate) fn set_or_remove(parent: &mut Value, field: &str, value: Value) {
    let members = members(parent);
    if is_empty(&value) {
        members.remove(field);
    } else {
        members.insert(field.to_owned(), value);
    }
}

/// Writes a field only where there is none yet.
pub(crate) fn default_to(parent: &mut Value, field: &str, value: impl Into<Value>) {
    let members = members(parent);
    if members.get(field).is_none_or(Value::is_null) {
        members.insert(field.to_owned(), value.into());
    }
}

pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// As Kubernetes writes times: UTC, whole seconds.
pub(crate) fn timestamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

pub(crate) fn parse_time(value: &Value) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(value.as_str()?)
        .ok()
        .map(|t| t.to_utc())
}

/// A random UUID of version 4.
pub(crate) fn new_uid() -> String {
    let mut bytes: [u8; 16] = rand::rng().random();
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let digits = hex::encode(bytes);
    format!(
        "{}-{}-{}-{}-{}",
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..]
    )
}

/// Five characters as `generateName` appends them: no vowels, nothing to mistake.
pub(crate) fn name_suffix() -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut random = rand::rng();
    (0..5)
        .map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())]))
        .collect()
}

/// A condition of `status.conditions`.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    items(&object["status"]["conditions"]).find(|c| c["type"] == kind)
}

/// Whether the condition is there and `True`.
pub(crate) fn condition_true(object: &Value, kind: &str) -> bool {
    condition(object, kind).is_some_and(|c| c["status"] == "True")
}

/// Whether a pod has ended for good.
pub(crate) fn is_terminal(pod: &Value) -> bool {
    matches!(str_of(&pod["status"], "phase"), "Succeeded" | "Failed")
}

/// Sets a condition, keeping the time of the last transition where its status stays.
pub(crate) fn set_condition(object: &mut Value, condition: Value, now: &str) {
    let conditions = &mut object["status"]["conditions"];
    if !conditions.is_array() {
        *conditions = Value::Array(Vec::new());
    }
    let Some(list) = conditions.as_array_mut() else {
        return;
    };
    let mut condition = condition;
    let place = list.iter().position(|c| c["type"] == condition["type"]);
    let unchanged = place
        .map(|at| &list[at])
        .filter(|c| c["status"] == condition["status"]);
    condition["lastTransitionTime"] =
        unchanged.map_or_else(|| Value::from(now), |c| c["lastTransitionTime"].clone());
    match place {
        Some(at) => list[at] = condition,
        None => list.push(condition),
    }
}
