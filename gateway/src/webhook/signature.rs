//! Whether a delivery is from the one who knows a secret: HMAC-SHA256 over the raw body, before anything
//! reads it. See GitHub's "Validating webhook deliveries".

use axum::http::HeaderMap;
use domain::Secret;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use crate::problem::{ApiError, catalogue};

/// Every active secret, as a keyed MAC ready to be fed.
pub(crate) struct Verifier {
    keys: Vec<Hmac<Sha256>>,
}

impl Verifier {
    pub(crate) fn new(secrets: &[Secret<String>]) -> Self {
        let key = |secret: &Secret<String>| Hmac::new_from_slice(secret.expose().as_bytes()).ok();
        // HMAC takes keys of any length: none is left out.
        Self {
            keys: secrets.iter().filter_map(key).collect(),
        }
    }

    /// Refuses what no active secret has signed. Every secret is tried, whether or not one before it fits,
    /// so that the time taken tells nothing; nor does the answer.
    pub(crate) fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), ApiError> {
        let signature = read(headers)?;
        let mut good = Choice::from(0);
        for key in &self.keys {
            let mut mac = key.clone();
            mac.update(body);
            good |= mac.finalize().into_bytes().as_slice().ct_eq(&signature);
        }
        if bool::from(good) {
            Ok(())
        } else {
            Err(catalogue::SIGNATURE_MISMATCH.with(
                "no active secret makes this signature; compare the one in the repository's webhook settings",
            ))
        }
    }
}

fn read(headers: &HeaderMap) -> Result<[u8; 32], ApiError> {
    let mut values = headers.get_all("x-hub-signature-256").iter();
    let Some(value) = values.next() else {
        return Err(if headers.contains_key("x-hub-signature") {
            catalogue::SIGNATURE_SHA1_ONLY
                .with("X-Hub-Signature (SHA-1) is not accepted; send X-Hub-Signature-256")
        } else {
            catalogue::SIGNATURE_MISSING
                .with("X-Hub-Signature-256 is missing; set a secret in the repository's webhook settings")
        });
    };
    let mut signature = [0; 32];
    let hex_digits = value.as_bytes().strip_prefix(b"sha256=");
    let whole = hex_digits.is_some_and(|digits| hex::decode_to_slice(digits, &mut signature).is_ok());
    if whole && values.next().is_none() {
        Ok(signature)
    } else {
        Err(catalogue::SIGNATURE_MALFORMED
            .with("X-Hub-Signature-256 must be there once: `sha256=` and 64 hex digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GitHub's own example, from "Validating webhook deliveries".
    const SECRET: &str = "It's a Secret to Everybody";
    const BODY: &[u8] = b"Hello, World!";
    const SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn verifier(secrets: &[&str]) -> Verifier {
        let secrets: Vec<_> = secrets.iter().map(|s| Secret::new((*s).to_owned())).collect();
        Verifier::new(&secrets)
    }

    fn headers(values: &[(&'static str, &str)]) -> HeaderMap {
        values
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn good_signatures() {
        let signed = headers(&[("x-hub-signature-256", SIGNATURE)]);
        for secrets in [
            &[SECRET][..],
            &["another secret 1", SECRET],
            &[SECRET, "another secret 1"],
        ] {
            assert!(verifier(secrets).verify(&signed, BODY).is_ok(), "{secrets:?}");
        }
        let with_sha1 = headers(&[("x-hub-signature", "sha1=00"), ("x-hub-signature-256", SIGNATURE)]);
        assert!(verifier(&[SECRET]).verify(&with_sha1, BODY).is_ok());
    }

    #[test]
    fn bad_signatures() {
        let name = "x-hub-signature-256";
        let flipped = SIGNATURE.replace("7571", "7572");
        for (values, code) in [
            (vec![], "signature_missing"),
            (
                vec![("x-hub-signature", "sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59")],
                "signature_sha1_only",
            ),
            (vec![(name, "")], "signature_malformed"),
            (vec![(name, "sha256=")], "signature_malformed"),
            (vec![(name, &SIGNATURE[7..])], "signature_malformed"),
            (vec![(name, &SIGNATURE[..70])], "signature_malformed"),
            (
                vec![(name, &SIGNATURE.replace("sha256", "sha1"))],
                "signature_malformed",
            ),
            (vec![(name, &SIGNATURE.replace('7', "g"))], "signature_malformed"),
            (vec![(name, SIGNATURE), (name, SIGNATURE)], "signature_malformed"),
            (vec![(name, &flipped)], "signature_mismatch"),
        ] {
            let error = verifier(&[SECRET]).verify(&headers(&values), BODY).unwrap_err();
            assert_eq!((error.code(), error.status().as_u16()), (code, 401), "{values:?}");
        }
        let signed = headers(&[(name, SIGNATURE)]);
        for (secret, body) in [
            ("another secret 1", BODY),
            (SECRET, b"Hello, World?"),
            (SECRET, b""),
        ] {
            assert_eq!(
                verifier(&[secret]).verify(&signed, body).unwrap_err().code(),
                "signature_mismatch"
            );
        }
    }
}
