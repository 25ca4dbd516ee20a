//! A glance at the payload: that it is one complete JSON object, and the few members that the ledger shows.
//!
//! One pass and no tree. Whatever passes can be read by `serde_json` again later: UTF-8, sound escapes,
//! numbers in range, nested less than 128 deep (serde_json's own limit, kept by walking down since skipping
//! a value would not count).

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Longest text that is kept for the ledger, in bytes; GitHub's own names are shorter.
const MAX_TEXT_BYTES: usize = 300;

/// What the ledger shows of a payload; a member of another shape than expected counts as absent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Glance {
    /// `action`.
    pub(crate) action: Option<String>,
    /// `repository.full_name`.
    pub(crate) repository: Option<String>,
    /// `sender.login`.
    pub(crate) sender: Option<String>,
}

/// Reads a payload, or says what is wrong with it.
pub(crate) fn glance(payload: &[u8]) -> Result<Glance, String> {
    let text = std::str::from_utf8(payload).map_err(|error| format!("not UTF-8: {error}"))?;
    let mut found = Glance::default();
    let mut json = serde_json::Deserializer::from_str(text);
    At::Root(&mut found)
        .deserialize(&mut json)
        .and_then(|()| json.end())
        .map_err(|error| error.to_string())?;
    Ok(found)
}

/// Where in the payload a value stands, as far as that is of interest.
enum At<'a> {
    /// The payload itself: must be an object.
    Root(&'a mut Glance),
    /// An object whose member of this name is wanted.
    Holder(&'static str, &'a mut Option<String>),
    /// A text that is wanted.
    Wanted(&'a mut Option<String>),
    /// Anything else; walked through to its end.
    Elsewhere,
}

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self {
            Self::Root(_) => deserializer.deserialize_map(self),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl At<'_> {
    /// Where the value of the member `name` stands.
    fn member(&mut self, name: &str) -> At<'_> {
        match self {
            Self::Root(found) => match name {
                "action" => At::Wanted(&mut found.action),
                "repository" => At::Holder("full_name", &mut found.repository),
                "sender" => At::Holder("login", &mut found.sender),
                _ => At::Elsewhere,
            },
            Self::Holder(wanted, text) if *wanted == name => At::Wanted(text),
            _ => At::Elsewhere,
        }
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if matches!(self, Self::Root(_)) {
            "a JSON object"
        } else {
            "a JSON value"
        })
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        if let Self::Wanted(kept) = self {
            // What the ledger can't hold or show it does without.
            let fit = text.len() <= MAX_TEXT_BYTES && !text.chars().any(char::is_control);
            *kept = fit.then(|| text.to_owned());
        }
        Ok(())
    }
    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<(), S::Error> {
        while seq.next_element_seed(At::Elsewhere)?.is_some() {}
        Ok(())
    }
    fn visit_map<M: MapAccess<'de>>(mut self, mut map: M) -> Result<(), M::Error> {
        if matches!(self, Self::Elsewhere | Self::Wanted(_)) {
            while map.next_key_seed(Name(&mut At::Elsewhere))?.is_some() {
                map.next_value_seed(At::Elsewhere)?;
            }
            return Ok(());
        }
        while let Some(member) = map.next_key_seed(Name(&mut self))? {
            map.next_value_seed(member)?;
        }
        Ok(())
    }
}

/// A member's name, which says where its value stands.
struct Name<'a, 'b>(&'a mut At<'b>);

impl<'de, 'a> DeserializeSeed<'de> for Name<'a, '_> {
    type Value = At<'a>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<At<'a>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for Name<'a, '_> {
    type Value = At<'a>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }
    fn visit_str<E: de::Error>(self, name: &str) -> Result<At<'a>, E> {
        Ok(self.0.member(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_ledger_shows() {
        let payload = r#"{"action":"labeled","issue":{"action":"no","sender":{"login":"no"},"n":[1,-2e3]},
            "repository":{"name":"b","owner":{"login":"no","full_name":"no"},"full_name":"a/b"},
            "sender":{"id":1,"login":"ann\u00e9"}}"#;
        assert_eq!(
            glance(payload.as_bytes()).unwrap(),
            Glance {
                action: Some("labeled".to_owned()),
                repository: Some("a/b".to_owned()),
                sender: Some("anné".to_owned())
            }
        );
    }

    #[test]
    fn other_shapes_count_as_absent() {
        let long = format!(r#"{{"action":"{}"}}"#, "x".repeat(301));
        for payload in [
            "{}",
            r#"{"action":7,"repository":null,"sender":"ann"}"#,
            r#"{"action":{"a":1},"repository":["a/b"],"sender":{"login":{"login":"ann"}}}"#,
            r#"{"action":"a\u0000b"}"#,
            &long,
        ] {
            assert_eq!(
                glance(payload.as_bytes()).unwrap(),
                Glance::default(),
                "{payload}"
            );
        }
    }

    #[test]
    fn what_is_no_complete_object() {
        for bad in [
            "",
            " ",
            "null",
            "7",
            "[]",
            "\"{}\"",
            "{",
            r#"{"a":1"#,
            r#"{"a":1}x"#,
            "{}{}",
            r#"{"a":1,}"#,
            "{'a':1}",
            r#"{"a":NaN}"#,
            r#"{"a":1e999}"#,
            r#"{"a":"\ud800"}"#,
            "{\"a\":\"\n\"}",
            "\u{feff}{}",
        ] {
            assert!(glance(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(glance(b"{\"a\":\"\xff\"}").unwrap_err().contains("UTF-8"));
    }

    #[test]
    fn what_passes_can_be_read_again() {
        let nested = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(glance(nested(126).as_bytes()).is_ok());
        assert!(serde_json::from_str::<serde_json::Value>(&nested(126)).is_ok());
        for too_deep in [127, 128, 100_000] {
            let error = glance(nested(too_deep).as_bytes()).unwrap_err();
            assert!(error.contains("recursion limit"), "{error}");
        }
    }
}
