//! A container's command line and environment, as its spec and the namespace's objects give them.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::super::object::{self, entries, items, str_of, strings};
use super::super::resource::{CONFIG_MAP, SECRET};
use super::super::store::Store;

/// The container's variables; the error says what is missing.
pub(super) fn variables(
    store: &Store,
    pod: &Value,
    container: &Value,
) -> Result<BTreeMap<String, String>, String> {
    let mut variables = BTreeMap::new();
    for source in items(&container["envFrom"]) {
        let prefix = str_of(source, "prefix");
        for (field, of_secret) in [("configMapRef", false), ("secretRef", true)] {
            let reference = &source[field];
            if reference.is_null() {
                continue;
            }
            for (key, value) in values(store, pod, reference, of_secret)? {
                variables.insert(format!("{prefix}{key}"), value);
            }
        }
    }
    for variable in items(&container["env"]) {
        let from = &variable["valueFrom"];
        let value = if from.is_null() {
            Some(expanded(str_of(variable, "value"), &variables))
        } else if !from["fieldRef"].is_null() {
            Some(field(pod, str_of(&from["fieldRef"], "fieldPath"))?)
        } else if !from["secretKeyRef"].is_null() {
            key_of(store, pod, &from["secretKeyRef"], true)?
        } else if !from["configMapKeyRef"].is_null() {
            key_of(store, pod, &from["configMapKeyRef"], false)?
        } else {
            return Err("the simulator knows fieldRef, secretKeyRef and configMapKeyRef only".into());
        };
        if let Some(value) = value {
            variables.insert(str_of(variable, "name").to_owned(), value);
        }
    }
    Ok(variables)
}

fn values(
    store: &Store,
    pod: &Value,
    reference: &Value,
    of_secret: bool,
) -> Result<BTreeMap<String, String>, String> {
    let name = str_of(reference, "name");
    let (resource, what) = if of_secret {
        (&SECRET, "secret")
    } else {
        (&CONFIG_MAP, "configmap")
    };
    let Some(found) = store.get(resource, object::namespace(pod), name) else {
        if reference["optional"] == true {
            return Ok(BTreeMap::new());
        }
        return Err(format!("{what} {name:?} not found"));
    };
    let plain = |value: &Value| {
        let text = value.as_str().unwrap_or_default();
        if of_secret {
            let bytes = BASE64_STANDARD.decode(text).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        } else {
            text.to_owned()
        }
    };
    Ok(entries(&found["data"])
        .map(|(key, value)| (key.clone(), plain(value)))
        .collect())
}

fn key_of(store: &Store, pod: &Value, reference: &Value, of_secret: bool) -> Result<Option<String>, String> {
    let key = str_of(reference, "key");
    let mut values = values(store, pod, reference, of_secret)?;
    match values.remove(key) {
        None if reference["optional"] == true => Ok(None),
        None => {
            let what = if of_secret { "Secret" } else { "ConfigMap" };
            let namespace = object::namespace(pod);
            Err(format!(
                "couldn't find key {key} in {what} {namespace}/{}",
                str_of(reference, "name")
            ))
        }
        found => Ok(found),
    }
}

fn field(pod: &Value, path: &str) -> Result<String, String> {
    let bracketed = |list: &str| {
        let key = path.strip_prefix(list)?.strip_prefix("['")?.strip_suffix("']")?;
        let part = list.strip_prefix("metadata.")?;
        Some(str_of(&pod["metadata"][part], key).to_owned())
    };
    if let Some(value) = bracketed("metadata.labels").or_else(|| bracketed("metadata.annotations")) {
        return Ok(value);
    }
    match path {
        "metadata.name"
        | "metadata.namespace"
        | "metadata.uid"
        | "spec.nodeName"
        | "spec.serviceAccountName"
        | "status.podIP"
        | "status.hostIP" => {
            let value = path.split('.').fold(pod, |value, step| &value[step]);
            Ok(value.as_str().unwrap_or_default().to_owned())
        }
        _ => Err(format!("the simulator doesn't know the field {path:?}")),
    }
}

/// The words to run: `command` or what the image stands for, then `args`.
pub(super) fn command_line(
    container: &Value,
    of_image: Option<&Vec<String>>,
    variables: &BTreeMap<String, String>,
) -> Vec<String> {
    let (command, args) = (strings(&container["command"]), strings(&container["args"]));
    let words = match (command.is_empty(), args.is_empty()) {
        (true, true) => of_image.cloned().unwrap_or_default(),
        (true, false) => of_image
            .and_then(|words| words.first())
            .cloned()
            .into_iter()
            .chain(args)
            .collect(),
        (false, _) => command.into_iter().chain(args).collect(),
    };
    words.iter().map(|word| expanded(word, variables)).collect()
}

/// `$(NAME)` becomes the variable's value where there is one; `$$` is a dollar.
fn expanded(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        result.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        if let Some(tail) = tail.strip_prefix('$') {
            result.push('$');
            rest = tail;
            continue;
        }
        let name = tail.strip_prefix('(').and_then(|tail| tail.split_once(')'));
        if let Some((value, tail)) = name.and_then(|(name, tail)| Some((variables.get(name)?, tail))) {
            result.push_str(value);
            rest = tail;
        } else {
            result.push('$');
            rest = tail;
        }
    }
    result.push_str(rest);
    result
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn variables_are_expanded() {
        let variables = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
        for (given, expected) in [
            ("$(A)-$(B)", "1-$(B)"),
            ("$$(A)", "$(A)"),
            ("a$", "a$"),
            ("plain", "plain"),
        ] {
            assert_eq!(expanded(given, &variables), expected);
        }
    }

    #[test]
    fn the_image_stands_for_a_command() {
        let image = vec!["codex-k8s".to_owned(), "agent".to_owned()];
        let none = BTreeMap::new();
        let words = |container: &Value| command_line(container, Some(&image), &none).join(" ");
        assert_eq!(words(&json!({})), "codex-k8s agent");
        assert_eq!(words(&json!({"args": ["x"]})), "codex-k8s x");
        assert_eq!(words(&json!({"command": ["sh"], "args": ["-c", "y"]})), "sh -c y");
    }
}
