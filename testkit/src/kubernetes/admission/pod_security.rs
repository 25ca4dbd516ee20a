//! Pod Security Standards, enforced by the namespace's label.

use serde_json::Value;

use super::super::object::{self, entries, items, str_of, strings};
use super::super::resource::{NAMESPACE, Resource};
use super::super::status::ApiError;
use super::super::store::Store;

const BASELINE_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
const RESTRICTED_VOLUMES: [&str; 8] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// Refuses a pod below the level that its namespace enforces.
pub(super) fn check(store: &Store, resource: &Resource, pod: &Value) -> Result<(), ApiError> {
    let Some(namespace) = store.get(&NAMESPACE, "", object::namespace(pod)) else {
        return Ok(());
    };
    let labels = &namespace["metadata"]["labels"];
    let level = str_of(labels, "pod-security.kubernetes.io/enforce");
    let version = match str_of(labels, "pod-security.kubernetes.io/enforce-version") {
        "" => "latest",
        version => version,
    };
    let spec = &pod["spec"];
    let mut faults = Vec::new();
    if matches!(level, "baseline" | "restricted") {
        baseline(spec, level, &mut faults);
    }
    if level == "restricted" {
        restricted(spec, &mut faults);
    }
    if faults.is_empty() {
        return Ok(());
    }
    let why = format!(
        "violates PodSecurity \"{level}:{version}\": {}",
        faults.join(", ")
    );
    Err(ApiError::forbidden(resource, object::name(pod), &why))
}

fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers", "ephemeralContainers"]
        .into_iter()
        .flat_map(|list| items(&spec[list]))
}

/// `container "a"` or `containers "a", "b"` for those that fail; `None` where none does.
fn failing<'a>(containers: impl Iterator<Item = &'a Value>) -> Option<String> {
    let names: Vec<String> = containers.map(|c| format!("{:?}", str_of(c, "name"))).collect();
    match names.as_slice() {
        [] => None,
        [one] => Some(format!("container {one}")),
        more => Some(format!("containers {}", more.join(", "))),
    }
}

fn security(container: &Value) -> &Value {
    &container["securityContext"]
}

fn baseline(spec: &Value, level: &str, faults: &mut Vec<String>) {
    let host: Vec<String> = ["hostNetwork", "hostPID", "hostIPC"]
        .iter()
        .filter(|field| spec[**field] == true)
        .map(|field| format!("{field}=true"))
        .collect();
    if !host.is_empty() {
        faults.push(format!("host namespaces ({})", host.join(", ")));
    }
    if let Some(who) = failing(containers(spec).filter(|c| security(c)["privileged"] == true)) {
        faults.push(format!(
            "privileged ({who} must not set securityContext.privileged=true)"
        ));
    }
    let adds_more = |c: &&Value| {
        strings(&security(c)["capabilities"]["add"])
            .iter()
            .any(|a| !BASELINE_CAPABILITIES.contains(&a.as_str()))
    };
    if level == "baseline"
        && let Some(who) = failing(containers(spec).filter(adds_more))
    {
        faults.push(format!(
            "non-default capabilities ({who} must not include more in securityContext.capabilities.add)"
        ));
    }
    let paths: Vec<String> = items(&spec["volumes"])
        .filter(|v| level == "baseline" && !v["hostPath"].is_null())
        .map(|v| format!("{:?}", str_of(v, "name")))
        .collect();
    if !paths.is_empty() {
        faults.push(format!("hostPath volumes (volumes {})", paths.join(", ")));
    }
    let host_port = |c: &&Value| items(&c["ports"]).any(|p| p["hostPort"].as_i64().is_some_and(|n| n != 0));
    if let Some(who) = failing(containers(spec).filter(host_port)) {
        faults.push(format!("hostPort ({who} uses hostPorts)"));
    }
}

fn restricted(spec: &Value, faults: &mut Vec<String>) {
    let pod = &spec["securityContext"];
    let volumes: Vec<String> = items(&spec["volumes"])
        .flat_map(|volume| entries(volume).map(move |(source, _)| (volume, source)))
        .filter(|(_, source)| *source != "name" && !RESTRICTED_VOLUMES.contains(&source.as_str()))
        .map(|(volume, source)| {
            format!(
                "volume {:?} uses restricted volume type {source:?}",
                str_of(volume, "name")
            )
        })
        .collect();
    if !volumes.is_empty() {
        faults.push(format!("restricted volume types ({})", volumes.join(", ")));
    }
    let escalates = |c: &&Value| security(c)["allowPrivilegeEscalation"] != false;
    if let Some(who) = failing(containers(spec).filter(escalates)) {
        faults.push(format!(
            "allowPrivilegeEscalation != false ({who} must set securityContext.allowPrivilegeEscalation=false)"
        ));
    }
    let keeps = |c: &&Value| {
        !strings(&security(c)["capabilities"]["drop"])
            .iter()
            .any(|d| d == "ALL")
    };
    let adds = |c: &&Value| {
        strings(&security(c)["capabilities"]["add"])
            .iter()
            .any(|a| a != "NET_BIND_SERVICE")
    };
    let mut capabilities = Vec::new();
    if let Some(who) = failing(containers(spec).filter(keeps)) {
        capabilities.push(format!(
            "{who} must set securityContext.capabilities.drop=[\"ALL\"]"
        ));
    }
    if let Some(who) = failing(containers(spec).filter(adds)) {
        capabilities.push(format!(
            "{who} must not include more in securityContext.capabilities.add"
        ));
    }
    if !capabilities.is_empty() {
        faults.push(format!("unrestricted capabilities ({})", capabilities.join("; ")));
    }
    let may_be_root = |c: &&Value| match security(c)["runAsNonRoot"].as_bool() {
        Some(set) => !set,
        None => pod["runAsNonRoot"] != true,
    };
    if let Some(who) = failing(containers(spec).filter(may_be_root)) {
        faults.push(format!(
            "runAsNonRoot != true (pod or {who} must set securityContext.runAsNonRoot=true)"
        ));
    }
    let is_root = |c: &&Value| security(c)["runAsUser"] == 0;
    if pod["runAsUser"] == 0 {
        faults.push("runAsUser=0 (pod must not set runAsUser=0)".into());
    } else if let Some(who) = failing(containers(spec).filter(is_root)) {
        faults.push(format!("runAsUser=0 ({who} must not set runAsUser=0)"));
    }
    let confined = |profile: &Value| matches!(str_of(profile, "type"), "RuntimeDefault" | "Localhost");
    let unconfined = |c: &&Value| {
        let own = &security(c)["seccompProfile"];
        if own.is_null() {
            !confined(&pod["seccompProfile"])
        } else {
            !confined(own)
        }
    };
    if let Some(who) = failing(containers(spec).filter(unconfined)) {
        faults.push(format!(
            "seccompProfile (pod or {who} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"
        ));
    }
}
