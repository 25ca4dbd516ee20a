//! The types' side of the API: bodies are read through the generated Kubernetes types, so that wrong types
//! are refused and fields that don't exist are dropped, as the API server does it.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{
    ConfigMap, Event, LimitRange, Namespace, Node, Pod, ResourceQuota, Secret, ServiceAccount,
};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::object::{is_empty, members};
use super::quantity::Quantity;
use super::resource::Resource;
use super::status::ApiError;

/// A body as the types see it, and the paths of the fields they don't know.
pub(crate) struct Typed {
    pub(crate) object: Value,
    pub(crate) unknown: Vec<String>,
}

/// Reads a whole or partial object of this kind.
pub(crate) fn read(resource: &Resource, mut body: Value) -> Result<Typed, ApiError> {
    let (api_version, kind) = (resource.api_version(), resource.kind);
    for (field, expected) in [("apiVersion", api_version.as_str()), ("kind", kind)] {
        let given = body[field].as_str().unwrap_or(expected);
        if given != expected {
            let what = if field == "kind" { "kind" } else { "API version" };
            return Err(ApiError::bad_request(format!(
                "the {what} in the data ({given}) does not match the expected {what} ({expected})"
            )));
        }
    }
    if !body.is_object() {
        return Err(ApiError::bad_request(
            "the body of the request must be a JSON object",
        ));
    }
    body["apiVersion"] = api_version.into();
    body["kind"] = kind.into();
    drop_nulls(&mut body);
    canonical_quantities(&mut body).map_err(|given| {
        ApiError::bad_request(format!(
            "{kind} in version \"v1\" cannot be handled as a {kind}: quantities must match the regular \
             expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$': {given:?}"
        ))
    })?;
    let typed = round_trip(resource, &body).map_err(|error| {
        ApiError::bad_request(format!(
            "{kind} in version \"v1\" cannot be handled as a {kind}: json: cannot unmarshal: {error}"
        ))
    })?;
    let mut unknown = Vec::new();
    let object = only_given(&body, typed, "", &mut unknown);
    Ok(Typed { object, unknown })
}

fn through<T: DeserializeOwned + Serialize>(body: &Value) -> serde_json::Result<Value> {
    serde_json::to_value(T::deserialize(body)?)
}

fn round_trip(resource: &Resource, body: &Value) -> serde_json::Result<Value> {
    match resource.kind {
        "Namespace" => through::<Namespace>(body),
        "Pod" => through::<Pod>(body),
        "Secret" => through::<Secret>(body),
        "ConfigMap" => through::<ConfigMap>(body),
        "ServiceAccount" => through::<ServiceAccount>(body),
        "ResourceQuota" => through::<ResourceQuota>(body),
        "LimitRange" => through::<LimitRange>(body),
        "Event" => through::<Event>(body),
        "Node" => through::<Node>(body),
        "Job" => through::<Job>(body),
        "NetworkPolicy" => through::<NetworkPolicy>(body),
        "Role" => through::<Role>(body),
        "RoleBinding" => through::<RoleBinding>(body),
        "ClusterRole" => through::<ClusterRole>(body),
        _ => through::<ClusterRoleBinding>(body),
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, v| !v.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// The types write required fields that weren't given; those are taken out again. What was given and isn't
/// there afterwards is unknown to the types.
fn only_given(given: &Value, typed: Value, path: &str, unknown: &mut Vec<String>) -> Value {
    match (given, typed) {
        (Value::Object(given), Value::Object(mut typed)) => {
            let mut kept = serde_json::Map::new();
            for (field, value) in given {
                let path = if path.is_empty() {
                    field.clone()
                } else {
                    format!("{path}.{field}")
                };
                match typed.remove(field) {
                    Some(of_type) => {
                        kept.insert(field.clone(), only_given(value, of_type, &path, unknown));
                    }
                    None if is_empty(value) => {}
                    None => unknown.push(path),
                }
            }
            Value::Object(kept)
        }
        (Value::Array(given), Value::Array(typed)) if given.len() == typed.len() => given
            .iter()
            .zip(typed)
            .enumerate()
            .map(|(at, (given, typed))| only_given(given, typed, &format!("{path}[{at}]"), unknown))
            .collect(),
        (_, typed) => typed,
    }
}

/// Fields whose members are quantities.
const QUANTITIES: [&str; 9] = [
    "limits",
    "requests",
    "hard",
    "used",
    "default",
    "defaultRequest",
    "max",
    "min",
    "capacity",
];

fn canonical_quantities(value: &mut Value) -> Result<(), String> {
    match value {
        Value::Object(map) => {
            for (field, value) in map.iter_mut() {
                if QUANTITIES.contains(&field.as_str()) && value.is_object() {
                    for amount in members(value).values_mut() {
                        canonical(amount)?;
                    }
                } else if field != "annotations" && field != "labels" && field != "data" {
                    canonical_quantities(value)?;
                }
            }
            Ok(())
        }
        Value::Array(list) => list.iter_mut().try_for_each(canonical_quantities),
        _ => Ok(()),
    }
}

fn canonical(amount: &mut Value) -> Result<(), String> {
    let given = match &*amount {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Ok(()),
    };
    *amount = Quantity::parse(&given).ok_or(given)?.to_string().into();
    Ok(())
}
