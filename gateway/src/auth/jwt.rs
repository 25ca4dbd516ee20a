//! Access tokens: JWTs (RFC 7519, `typ` of RFC 9068) signed with Ed25519 (RFC 8037), and nothing else. Ours are all of
//! one shape, so the whole of JOSE isn't needed, nor a library with a second copy of the cryptography that TLS
//! brings already: what isn't written as we write it is refused before a signature is looked at.
//!
//! When a token is over is for the database's clock to say.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use domain::Secret;
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

const ALGORITHM: &str = "EdDSA";
const TYPE: &str = "at+jwt";
/// Ours have a few hundred bytes.
const MAX_BYTES: usize = 2_048;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    kid: String,
    typ: String,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Claims {
    /// Who issued it: our own address.
    pub(crate) iss: String,
    /// For whom it is.
    pub(crate) aud: String,
    /// The person.
    pub(crate) sub: String,
    /// The session.
    pub(crate) sid: i64,
    /// When it was issued, in seconds.
    pub(crate) iat: i64,
    /// When it is over, in seconds.
    pub(crate) exp: i64,
}

/// Signs.
pub(crate) fn sign(pair: &Ed25519KeyPair, key_id: &str, claims: &Claims) -> Secret<String> {
    let header = Header {
        alg: ALGORITHM.to_owned(),
        kid: key_id.to_owned(),
        typ: TYPE.to_owned(),
    };
    // Structs of strings and numbers always serialise.
    let part = |bytes: Vec<u8>| URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!(
        "{}.{}",
        part(serde_json::to_vec(&header).unwrap_or_default()),
        part(serde_json::to_vec(claims).unwrap_or_default())
    );
    let signature = part(pair.sign(signed.as_bytes()).as_ref().to_vec());
    Secret::new(format!("{signed}.{signature}"))
}

/// A token of our shape whose signature nobody has looked at.
pub(crate) struct Unverified<'a> {
    header: Header,
    signed: &'a str,
    claims: Vec<u8>,
    signature: Vec<u8>,
}

/// Takes a token apart; `None` if it isn't of our shape.
pub(crate) fn read(token: &str) -> Option<Unverified<'_>> {
    if token.len() > MAX_BYTES {
        return None;
    }
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let part = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let header: Header = serde_json::from_slice(&part(header)?).ok()?;
    if header.alg != ALGORITHM || header.typ != TYPE {
        return None;
    }
    Some(Unverified {
        header,
        signed,
        claims: part(claims)?,
        signature: part(signature)?,
    })
}

impl Unverified<'_> {
    /// Which key it claims to be signed with.
    pub(crate) fn key_id(&self) -> &str {
        &self.header.kid
    }

    /// What it says and when it is over, if this key signed it and it is from us for us, and not for longer than we
    /// would have it last.
    pub(crate) fn verify(
        &self,
        public: &[u8; 32],
        issuer: &str,
        audience: &str,
        lasts_s: i64,
    ) -> Option<(Claims, DateTime<Utc>)> {
        let key = UnparsedPublicKey::new(&ED25519, public);
        key.verify(self.signed.as_bytes(), &self.signature).ok()?;
        let claims: Claims = serde_json::from_slice(&self.claims).ok()?;
        let lasts = claims.exp.checked_sub(claims.iat)?;
        if claims.iss != issuer || claims.aud != audience || !(1..=lasts_s).contains(&lasts) {
            return None;
        }
        let expires_at = DateTime::from_timestamp(claims.exp, 0)?;
        Some((claims, expires_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::KeyPair;
    use serde_json::{Value, json};

    fn pair(seed: u8) -> (Ed25519KeyPair, [u8; 32]) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let public = pair.public_key().as_ref().try_into().unwrap();
        (pair, public)
    }

    fn claims() -> Claims {
        Claims {
            iss: "https://us".to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: "7".to_owned(),
            sid: 9,
            iat: 1_000,
            exp: 1_600,
        }
    }

    const AUDIENCE: &str = "codex-k8s";

    fn accepts(token: &str, public: &[u8; 32]) -> bool {
        read(token).is_some_and(|read| read.verify(public, "https://us", AUDIENCE, 600).is_some())
    }

    /// A token with a header and claims of any kind, signed well.
    fn forged(header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = URL_SAFE_NO_PAD.encode(pair(1).0.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    #[test]
    fn a_token_says_what_was_signed() {
        let (pair, public) = pair(1);
        let token = sign(&pair, "the-key", &claims());
        let read = read(token.expose()).unwrap();
        assert_eq!(read.key_id(), "the-key");
        let (said, expires_at) = read.verify(&public, "https://us", AUDIENCE, 600).unwrap();
        assert_eq!(said, claims());
        assert_eq!(expires_at.timestamp(), 1_600);
    }

    #[test]
    fn what_is_not_exactly_ours_is_refused() {
        let public = pair(1).1;
        let header = json!({ "alg": "EdDSA", "kid": "k", "typ": "at+jwt" });
        let good = serde_json::to_value(claims()).unwrap();
        assert!(accepts(&forged(&header, &good), &public));
        for (name, value) in [
            ("alg", json!("none")),
            ("alg", json!("HS256")),
            ("alg", json!("eddsa")),
            ("typ", json!("JWT")),
            ("jwk", json!({ "kty": "OKP" })),
            ("crit", json!(["exp"])),
            ("kid", json!(1)),
        ] {
            let mut other = header.clone();
            other[name] = value;
            assert!(!accepts(&forged(&other, &good), &public), "{other}");
        }
        for (name, value) in [
            ("iss", json!("https://them")),
            ("aud", json!("another")),
            ("aud", json!(["codex-k8s"])),
            ("exp", json!(1_601)),
            ("exp", json!(1_000)),
            ("exp", json!("1600")),
            ("iat", json!(i64::MIN)),
            ("nbf", json!(0)),
        ] {
            let mut other = good.clone();
            other[name] = value;
            assert!(!accepts(&forged(&header, &other), &public), "{other}");
        }
    }

    #[test]
    fn no_bit_can_be_changed() {
        let ((own, public), (_, other)) = (pair(1), pair(2));
        let token = sign(&own, "k", &claims());
        let token = token.expose();
        assert!(accepts(token, &public) && !accepts(token, &other));
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(!accepts(&changed, &public), "character {at}");
        }
        let unsigned = token.rsplit_once('.').unwrap().0;
        for bad in [
            "",
            ".",
            "..",
            unsigned,
            &format!("{unsigned}."),
            &format!("{token}."),
            &"a".repeat(9_999),
        ] {
            assert!(!accepts(bad, &public), "{bad}");
        }
    }
}
