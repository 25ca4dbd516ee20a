//! Label and field selectors of lists, watches and `matchLabels`.

use serde_json::Value;

use super::status::ApiError;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operator {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Missing,
}

/// What a list or a watch is narrowed to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selector {
    labels: Vec<(String, Operator)>,
    /// Path, wanted value, whether it must be equal.
    fields: Vec<(String, String, bool)>,
}

impl Selector {
    /// Reads the two query parameters.
    pub(crate) fn parse(labels: &str, fields: &str) -> Result<Self, ApiError> {
        let labels = split_outside_parentheses(labels)
            .into_iter()
            .map(|part| {
                parse_requirement(part).ok_or_else(|| {
                    ApiError::bad_request(format!(
                        "unable to parse requirement: {part:?} in the label selector"
                    ))
                })
            })
            .collect::<Result<_, _>>()?;
        let fields = fields
            .split(',')
            .filter(|part| !part.trim().is_empty())
            .map(parse_field)
            .collect::<Result<_, _>>()?;
        Ok(Self { labels, fields })
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.labels.iter().all(|(key, operator)| {
            let value = labels[key.as_str()].as_str();
            match operator {
                Operator::In(values) => value.is_some_and(|v| values.iter().any(|w| w == v)),
                Operator::NotIn(values) => value.is_none_or(|v| !values.iter().any(|w| w == v)),
                Operator::Exists => value.is_some(),
                Operator::Missing => value.is_none(),
            }
        }) && self.fields.iter().all(|(path, wanted, equal)| {
            let found = path.split('.').fold(object, |value, step| &value[step]);
            let found = match found {
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                other => other.to_string(),
            };
            (found == *wanted) == *equal
        })
    }
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0_i32, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
        .into_iter()
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect()
}

fn parse_requirement(part: &str) -> Option<(String, Operator)> {
    let pair = |(key, value): (&str, &str)| (key.trim().to_owned(), vec![value.trim().to_owned()]);
    let parsed = if let Some(found) = part.split_once("!=") {
        let (key, values) = pair(found);
        (key, Operator::NotIn(values))
    } else if let Some(found) = part.split_once("==").or_else(|| part.split_once('=')) {
        let (key, values) = pair(found);
        (key, Operator::In(values))
    } else if let Some((head, tail)) = part.split_once('(') {
        let values = tail
            .strip_suffix(')')?
            .split(',')
            .map(|v| v.trim().to_owned())
            .collect();
        match head.split_whitespace().collect::<Vec<_>>().as_slice() {
            [key, "in"] => ((*key).to_owned(), Operator::In(values)),
            [key, "notin"] => ((*key).to_owned(), Operator::NotIn(values)),
            _ => return None,
        }
    } else if let Some(key) = part.strip_prefix('!') {
        (key.trim().to_owned(), Operator::Missing)
    } else {
        (part.to_owned(), Operator::Exists)
    };
    let well_formed = !parsed.0.is_empty() && !parsed.0.contains(char::is_whitespace);
    well_formed.then_some(parsed)
}

fn parse_field(part: &str) -> Result<(String, String, bool), ApiError> {
    const SUPPORTED: [&str; 10] = [
        "metadata.name",
        "metadata.namespace",
        "status.phase",
        "spec.nodeName",
        "status.successful",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.kind",
        "reason",
        "type",
    ];
    let (path, wanted, equal) = if let Some((path, wanted)) = part.split_once("!=") {
        (path, wanted, false)
    } else if let Some((path, wanted)) = part.split_once("==").or_else(|| part.split_once('=')) {
        (path, wanted, true)
    } else {
        return Err(ApiError::bad_request(format!(
            "invalid selector: {part:?}; can't understand it"
        )));
    };
    let path = path.trim();
    if !SUPPORTED.contains(&path) {
        return Err(ApiError::bad_request(format!(
            "field label not supported: {path}"
        )));
    }
    Ok((path.to_owned(), wanted.trim().to_owned(), equal))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn label_selectors() {
        let object = json!({"metadata": {"name": "n", "labels": {"a": "1", "b": "x"}}, "status": {"phase": "Running"}});
        for (labels, fields, expected) in [
            ("", "", true),
            ("a=1", "", true),
            ("a==1,b=x", "", true),
            ("a!=1", "", false),
            ("c!=1", "", true),
            ("a in (1, 2),b notin (y)", "", true),
            ("a in (2)", "", false),
            ("c", "", false),
            ("!c", "", true),
            ("", "metadata.name=n", true),
            ("", "status.phase!=Running", false),
        ] {
            let selector = Selector::parse(labels, fields).unwrap();
            assert_eq!(selector.matches(&object), expected, "{labels} {fields}");
        }
        assert!(Selector::parse("a b", "").is_err());
        assert!(Selector::parse("", "spec.color=red").is_err());
    }
}
