//! Secrets that people and browsers hold: 256 random bits each, kept by us as a digest only.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::Secret;
use domain::access::Digest;
use ring::rand::{SystemRandom, generate};
use sha2::{Digest as _, Sha256};

use crate::problem::{ApiError, catalogue};

/// What personal tokens begin with, so that scanners of repositories and logs know one.
const PERSONAL: &str = "ck8s_";

/// 32 bytes from the operating system.
pub(crate) fn random() -> Result<[u8; 32], ApiError> {
    let random = generate(&SystemRandom::new()).map_err(|_| {
        catalogue::INTERNAL
            .with("see the server's log for this request id")
            .because("the operating system gives no random bytes")
    })?;
    Ok(random.expose())
}

/// A fresh one, as text.
pub(crate) fn fresh() -> Result<Secret<String>, ApiError> {
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(random()?)))
}

/// A fresh personal token.
pub(crate) fn fresh_personal() -> Result<Secret<String>, ApiError> {
    Ok(Secret::new(format!("{PERSONAL}{}", fresh()?.expose())))
}

pub(crate) fn is_personal(token: &str) -> bool {
    token.starts_with(PERSONAL)
}

/// As it is kept.
pub(crate) fn digest(secret: &str) -> Digest {
    Digest(Sha256::digest(secret).into())
}

/// The S256 challenge of a PKCE verifier (RFC 7636).
pub(crate) fn challenge(verifier: &Secret<String>) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_the_rfc() {
        let verifier = Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned());
        assert_eq!(
            challenge(&verifier),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn each_is_another() {
        let one = fresh_personal().unwrap();
        assert_eq!(one.expose().len(), PERSONAL.len() + 43);
        assert!(is_personal(one.expose()) && one != fresh_personal().unwrap());
    }
}
