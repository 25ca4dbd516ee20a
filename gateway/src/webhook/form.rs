//! `application/x-www-form-urlencoded`: the other way in which GitHub sends a payload. Decoded strictly: what
//! isn't valid percent-encoding is refused, not guessed at.

use crate::problem::{ApiError, catalogue};

/// The decoded `payload` field.
pub(crate) fn payload(body: &[u8]) -> Result<Vec<u8>, ApiError> {
    let mut payloads = body
        .split(|b| *b == b'&')
        .filter_map(|pair| pair.strip_prefix(b"payload="));
    let refuse = |what: &'static str| catalogue::FORM_INVALID.with(what);
    let encoded = payloads
        .next()
        .ok_or_else(|| refuse("the form has no field `payload`"))?;
    if payloads.next().is_some() {
        return Err(refuse("the form has more than one field `payload`"));
    }
    decode(encoded).ok_or_else(|| refuse("the field `payload` is not valid percent-encoding"))
}

fn decode(encoded: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded.iter();
    while let Some(byte) = rest.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => hex_digit(*rest.next()?)? << 4 | hex_digit(*rest.next()?)?,
            plain => *plain,
        });
    }
    Some(decoded)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes() {
        for (form, expected) in [
            ("payload=%7B%22a%22%3A+1%7D", r#"{"a": 1}"#),
            ("x=1&payload={}&y=2", "{}"),
            ("payload=%c3%A9", "é"),
            ("payload=", ""),
            ("payload=a=b", "a=b"),
        ] {
            assert_eq!(payload(form.as_bytes()).unwrap(), expected.as_bytes(), "{form}");
        }
    }

    #[test]
    fn refuses() {
        for bad in [
            "",
            "x=1",
            "payloads=1",
            "payload=1&payload=2",
            "payload=%",
            "payload=%7",
            "payload=%zz",
        ] {
            assert_eq!(
                payload(bad.as_bytes()).unwrap_err().code(),
                "form_invalid",
                "{bad}"
            );
        }
    }
}
