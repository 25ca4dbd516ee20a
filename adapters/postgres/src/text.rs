//! Text from outside may hold U+0000, which PostgreSQL stores neither in `text` nor in `jsonb`. It becomes
//! U+FFFD, so that one can see that something stood there. Payloads are bytes and keep it.

use std::borrow::Cow;

use serde_json::Value;

/// The text without U+0000.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The value without U+0000 in any text or name.
pub(crate) fn clean_json(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains('\0') => Value::String(clean(&text).into_owned()),
        Value::Array(items) => Value::Array(items.into_iter().map(clean_json).collect()),
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .map(|(name, value)| (clean(&name).into_owned(), clean_json(value)))
                .collect(),
        ),
        plain => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nul_becomes_visible() {
        assert_eq!(clean("a\0b"), "a\u{fffd}b");
        assert!(matches!(clean("ab"), Cow::Borrowed("ab")));
        assert_eq!(
            clean_json(json!({"a\0": ["\0", 1, {"b": "x\0"}], "c": "ü"})),
            json!({"a\u{fffd}": ["\u{fffd}", 1, {"b": "x\u{fffd}"}], "c": "ü"})
        );
    }
}
