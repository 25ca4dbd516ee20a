//! Takes known secrets out of text before it is stored or posted.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

use crate::secret::Secret;

/// What stands where a secret stood.
const PLACE: &str = "[redacted]";
/// Shorter values would take ordinary words out.
const SHORTEST: usize = 6;

/// Replaces known values, and their base64 and URL forms. Works on whole lines: give it no fragments.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    needles: Vec<Secret<String>>,
}

impl Redactor {
    /// A redactor for these values; values under six bytes are left out.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret<String>>) -> Self {
        let mut needles = Vec::new();
        for secret in secrets
            .into_iter()
            .map(Secret::expose)
            .filter(|value| value.len() >= SHORTEST)
        {
            needles.push(secret.clone());
            for engine in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
                needles.push(engine.encode(secret));
            }
            needles.push(percent_encode(secret));
        }
        // The longest first: the padded form before the unpadded one that begins it.
        needles.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        needles.dedup();
        Self {
            needles: needles.into_iter().map(Secret::new).collect(),
        }
    }

    /// The text without the secrets.
    pub fn redact(&self, text: &str) -> String {
        self.needles.iter().fold(text.to_owned(), |text, needle| {
            if text.contains(needle.expose()) {
                text.replace(needle.expose(), PLACE)
            } else {
                text
            }
        })
    }
}

fn percent_encode(value: &str) -> String {
    value.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.extend(
                [byte >> 4, byte & 15].map(|digit| char::from(b"0123456789ABCDEF"[usize::from(digit)])),
            );
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_every_form_out() {
        let redactor = Redactor::new(&[
            Secret::new("s3cr/t+value".to_owned()),
            Secret::new("short".to_owned()),
        ]);
        for (text, expected) in [
            ("token=s3cr/t+value.", "token=[redacted]."),
            ("czNjci90K3ZhbHVl", "[redacted]"),
            ("?t=s3cr%2Ft%2Bvalue&x", "?t=[redacted]&x"),
            ("nothing short here", "nothing short here"),
        ] {
            assert_eq!(redactor.redact(text), expected);
        }
        assert!(!format!("{redactor:?}").contains("s3cr"));
    }
}
