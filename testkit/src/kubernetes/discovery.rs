//! What the server tells about itself: version, groups, kinds.

use serde_json::{Value, json};

use super::resource::{RESOURCES, Resource};

/// The answer to a discovery path, `None` where the path is none.
pub(crate) fn answer(segments: &[&str]) -> Option<Value> {
    match segments {
        ["version"] => Some(json!({
            "major": "1", "minor": "36", "gitVersion": "v1.36.0+codex-k8s-simulator", "gitCommit": "",
            "gitTreeState": "clean", "buildDate": "", "goVersion": "", "compiler": "", "platform": "",
        })),
        ["api"] => {
            Some(json!({ "kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [] }))
        }
        ["apis"] => {
            let groups: Vec<Value> = groups().into_iter().map(group).collect();
            Some(json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups }))
        }
        ["api", "v1"] => Some(kinds("")),
        ["apis", name] => groups().contains(name).then(|| {
            let mut group = group(name);
            group["kind"] = "APIGroup".into();
            group["apiVersion"] = "v1".into();
            group
        }),
        ["apis", name, "v1"] => groups().contains(name).then(|| kinds(name)),
        _ => None,
    }
}

fn groups() -> Vec<&'static str> {
    let mut groups: Vec<&str> = RESOURCES
        .iter()
        .map(|r| r.group)
        .filter(|g| !g.is_empty())
        .collect();
    groups.dedup();
    groups
}

fn group(name: &str) -> Value {
    let version = json!({ "groupVersion": format!("{name}/v1"), "version": "v1" });
    json!({ "name": name, "versions": [version], "preferredVersion": version })
}

fn kinds(group: &str) -> Value {
    let mut list = Vec::new();
    for resource in RESOURCES.iter().filter(|r| r.group == group) {
        let verbs = json!([
            "create",
            "delete",
            "deletecollection",
            "get",
            "list",
            "patch",
            "update",
            "watch"
        ]);
        list.push(entry(resource, resource.plural, &verbs));
        let verbs = json!(["get", "patch", "update"]);
        if resource.status {
            list.push(entry(resource, &format!("{}/status", resource.plural), &verbs));
        }
        if resource.kind == "Pod" {
            list.push(entry(resource, "pods/log", &json!(["get"])));
        }
    }
    let version = if group.is_empty() {
        "v1".to_owned()
    } else {
        format!("{group}/v1")
    };
    json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": list })
}

fn entry(resource: &Resource, name: &str, verbs: &Value) -> Value {
    json!({
        "name": name, "singularName": resource.kind.to_lowercase(), "namespaced": resource.namespaced,
        "kind": resource.kind, "verbs": verbs,
    })
}
