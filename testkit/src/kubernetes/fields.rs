//! Sets of fields as `managedFields` keeps them, and the schema knowledge that they need: which lists are
//! merged by key, which are sets, which maps and lists are one value.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::resource::Resource;

/// A path through `f:name`, `k:{"key":"value"}` and `v:"value"`.
pub(crate) type Path = Vec<String>;
/// Fields that belong together.
pub(crate) type FieldSet = BTreeSet<Path>;

/// How a list or a map is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One value.
    Atomic,
    /// A list of values without order.
    Set,
    /// A list whose elements are told apart by these fields.
    Keyed(&'static [&'static str]),
    /// Field by field.
    Granular,
}

/// Where in an object we are: the fields' names, `[]` for an element.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    names: String,
    kind: &'static str,
}

impl Place {
    pub(crate) fn root(resource: &Resource) -> Self {
        Self {
            names: String::new(),
            kind: resource.kind,
        }
    }

    pub(crate) fn field(&self, name: &str) -> Self {
        // A key with dots is a label or the like, which has no shape of its own.
        let names = if self.names.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.names)
        };
        Self {
            names,
            kind: self.kind,
        }
    }

    pub(crate) fn element(&self) -> Self {
        Self {
            names: format!("{}[]", self.names),
            kind: self.kind,
        }
    }

    /// The shape of the list or map here.
    pub(crate) fn shape(&self, value: &Value) -> Shape {
        let pod = match self.kind {
            "Job" => self.names.strip_prefix("spec.template."),
            "Pod" => Some(self.names.as_str()),
            _ => None,
        };
        let shape = self.own_shape().or_else(|| pod.and_then(pod_shape));
        shape.unwrap_or(if value.is_array() {
            Shape::Atomic
        } else {
            Shape::Granular
        })
    }

    fn own_shape(&self) -> Option<Shape> {
        let shape = match (self.kind, self.names.as_str()) {
            (_, "metadata.finalizers") => Shape::Set,
            (_, "metadata.ownerReferences") => Shape::Keyed(&["uid"]),
            (_, "metadata.ownerReferences[]")
            | ("Job", "spec.selector")
            | ("NetworkPolicy", "spec.podSelector")
            | ("RoleBinding" | "ClusterRoleBinding", "roleRef")
            | ("ResourceQuota", "spec.scopeSelector") => Shape::Atomic,
            ("Pod" | "Namespace" | "Node" | "ResourceQuota", "status.conditions") => Shape::Keyed(&["type"]),
            ("Pod", "status.podIPs") => Shape::Keyed(&["ip"]),
            ("ServiceAccount", "secrets") => Shape::Keyed(&["name"]),
            _ => return None,
        };
        Some(shape)
    }
}

fn pod_shape(names: &str) -> Option<Shape> {
    let shape = match names {
        "metadata.finalizers" => Shape::Set,
        "metadata.ownerReferences" => Shape::Keyed(&["uid"]),
        "spec.nodeSelector" | "metadata.ownerReferences[]" | "spec.imagePullSecrets[]" => Shape::Atomic,
        "spec.containers"
        | "spec.initContainers"
        | "spec.ephemeralContainers"
        | "spec.volumes"
        | "spec.imagePullSecrets"
        | "spec.schedulingGates"
        | "spec.resourceClaims" => Shape::Keyed(&["name"]),
        "spec.hostAliases" => Shape::Keyed(&["ip"]),
        "spec.topologySpreadConstraints" => Shape::Keyed(&["topologyKey", "whenUnsatisfiable"]),
        _ => {
            let of_container = ["spec.containers[].", "spec.initContainers[]."]
                .iter()
                .find_map(|prefix| names.strip_prefix(prefix))?;
            match of_container {
                "env" | "resources.claims" => Shape::Keyed(&["name"]),
                "ports" => Shape::Keyed(&["containerPort", "protocol"]),
                "volumeMounts" => Shape::Keyed(&["mountPath"]),
                "volumeDevices" => Shape::Keyed(&["devicePath"]),
                "env[].valueFrom.secretKeyRef"
                | "env[].valueFrom.configMapKeyRef"
                | "env[].valueFrom.fieldRef"
                | "env[].valueFrom.resourceFieldRef" => Shape::Atomic,
                _ => return None,
            }
        }
    };
    Some(shape)
}

/// The path element of a list element.
pub(crate) fn element_key(keys: &[&str], element: &Value) -> String {
    let fields: BTreeMap<&str, Value> = keys
        .iter()
        .map(|key| {
            let value = &element[*key];
            (
                *key,
                if *key == "protocol" && value.is_null() {
                    "TCP".into()
                } else {
                    value.clone()
                },
            )
        })
        .collect();
    format!("k:{}", serde_json::to_string(&fields).unwrap_or_default())
}

/// Fields that belong to the system and to no manager.
const OF_THE_SYSTEM: [&str; 10] = [
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "selfLink",
    "generation",
    "managedFields",
    "resourceVersion",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];

/// Every field that a manager can own, with its value; the subresource decides which part counts.
pub(crate) fn flatten(resource: &Resource, object: &Value, subresource: &str) -> BTreeMap<Path, Value> {
    let mut leaves = BTreeMap::new();
    let root = Place::root(resource);
    for (field, value) in super::object::entries(object) {
        let counts = match field.as_str() {
            "apiVersion" | "kind" => false,
            "status" => subresource == "status" || !resource.status,
            _ => subresource != "status",
        };
        if !counts {
            continue;
        }
        if field == "metadata" {
            let mut metadata = value.clone();
            super::object::members(&mut metadata).retain(|name, _| !OF_THE_SYSTEM.contains(&name.as_str()));
            for (name, value) in super::object::entries(&metadata) {
                let path = vec!["f:metadata".to_owned(), format!("f:{name}")];
                walk(&root.field("metadata").field(name), value, path, &mut leaves);
            }
        } else {
            walk(&root.field(field), value, vec![format!("f:{field}")], &mut leaves);
        }
    }
    leaves
}

fn walk(place: &Place, value: &Value, path: Path, leaves: &mut BTreeMap<Path, Value>) {
    let below = |step: String| {
        let mut path = path.clone();
        path.push(step);
        path
    };
    match (value, place.shape(value)) {
        (Value::Object(map), Shape::Granular) if !map.is_empty() => {
            for (name, value) in map {
                walk(&place.field(name), value, below(format!("f:{name}")), leaves);
            }
        }
        (Value::Array(list), Shape::Keyed(keys)) if !list.is_empty() => {
            for element in list {
                let path = below(element_key(keys, element));
                let inner = place.element();
                if inner.shape(element) == Shape::Atomic {
                    leaves.insert(path, element.clone());
                } else {
                    leaves.insert(path.clone(), Value::Null);
                    walk(&inner, element, path, leaves);
                }
            }
        }
        (Value::Array(list), Shape::Set) if !list.is_empty() => {
            for element in list {
                leaves.insert(below(format!("v:{element}")), Value::Null);
            }
        }
        _ => {
            leaves.insert(path, value.clone());
        }
    }
}

/// The wire form, `fieldsV1`.
pub(crate) fn to_fields_v1(set: &FieldSet) -> Value {
    let mut tree = Map::new();
    for path in set {
        let mut node = &mut tree;
        for step in path {
            let below = node
                .entry(step.clone())
                .or_insert_with(|| Value::Object(Map::new()));
            node = super::object::members(below);
        }
    }
    // A field that is owned itself beside fields below it says so with a dot.
    for path in set {
        let mut node = &mut tree;
        for step in path {
            let below = node
                .entry(step.clone())
                .or_insert_with(|| Value::Object(Map::new()));
            node = super::object::members(below);
        }
        if !node.is_empty() {
            node.insert(".".into(), Value::Object(Map::new()));
        }
    }
    Value::Object(tree)
}

/// The set behind a wire form.
pub(crate) fn from_fields_v1(fields: &Value) -> FieldSet {
    fn read(node: &Value, path: &Path, set: &mut FieldSet) {
        for (step, below) in super::object::entries(node) {
            if step == "." {
                set.insert(path.clone());
                continue;
            }
            let mut path = path.clone();
            path.push(step.clone());
            if super::object::is_empty(below) {
                set.insert(path);
            } else {
                read(below, &path, set);
            }
        }
    }
    let mut set = FieldSet::new();
    read(fields, &Path::new(), &mut set);
    set
}

/// The path as people read it: `.spec.containers[name="a"].image`.
pub(crate) fn to_text(path: &Path) -> String {
    let mut text = String::new();
    for step in path {
        if let Some(name) = step.strip_prefix("f:") {
            text.push('.');
            text.push_str(name);
        } else if let Some(key) = step.strip_prefix("k:") {
            let key: BTreeMap<String, Value> = serde_json::from_str(key).unwrap_or_default();
            let fields: Vec<String> = key
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            text = format!("{text}[{}]", fields.join(","));
        } else if let Some(value) = step.strip_prefix("v:") {
            text = format!("{text}[={value}]");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::resource::JOB;
    use super::*;

    #[test]
    fn sets_go_over_the_wire_and_back() {
        let job = json!({"apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": "j", "labels": {"a.b/c": "1"}, "finalizers": ["x.y/z"]},
            "spec": {"template": {"spec": {"containers": [{"name": "c", "image": "i", "args": ["a"]}]}}}});
        let set: FieldSet = flatten(&JOB, &job, "").into_keys().collect();
        let wire = to_fields_v1(&set);
        assert_eq!(
            wire,
            json!({
                "f:metadata": {"f:labels": {"f:a.b/c": {}}, "f:finalizers": {"v:\"x.y/z\"": {}}},
                "f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"c\"}":
                    {".": {}, "f:name": {}, "f:image": {}, "f:args": {}}}}}},
            })
        );
        assert_eq!(from_fields_v1(&wire), set);
    }
}
