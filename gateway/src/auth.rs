//! Who asks. A bearer is a short-lived access token (`jwt`, signed with `keys`), a personal token, or in
//! development the one development token; what its holder may is read from the database at each request.
//!
//! Signing in itself stands in [`crate::api::auth`]; `guard` is what every staff route passes, `rights` says
//! which right each of them demands, `cookie` and `secret` are what browsers and programs hold.

pub(crate) mod cookie;
pub(crate) mod guard;
pub(crate) mod jwt;
pub(crate) mod keys;
pub(crate) mod rights;
pub(crate) mod secret;

use std::sync::Arc;

use axum::http::{HeaderMap, header};
use chrono::{DateTime, Utc};
use domain::Secret;
use domain::access::{Principal, SessionTimes};
use domain::id::SessionId;
use domain::port::access::IdentityProvider;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;
use url::Url;

use crate::app::{AccessPorts, Ports};
use crate::problem::{ApiError, catalogue};
use crate::settings::{Settings, SettingsError};
use crate::source_limit::SourceLimit;
use keys::Keys;

/// An access token lasts so long.
pub(crate) const ACCESS_TOKEN_S: i64 = 600;
/// For whom access tokens are.
const AUDIENCE: &str = "codex-k8s";

/// The one who asks.
pub(crate) struct Recognised {
    pub(crate) principal: Principal,
    /// When the access token is over; other tokens are asked for in the database.
    pub(crate) until: Option<DateTime<Utc>>,
}

/// Signing in, where it is configured.
pub(crate) struct SignIn {
    pub(crate) provider: Arc<dyn IdentityProvider>,
    pub(crate) keys: Keys,
    /// Where people reach us, without a path: also the issuer of access tokens.
    pub(crate) origin: String,
    pub(crate) times: SessionTimes,
}

/// All that tells who asks.
pub(crate) struct Auth {
    access: AccessPorts,
    development: Option<DevelopmentToken>,
    sign_in: Option<SignIn>,
    /// For what can be asked without being known.
    pub(crate) limit: SourceLimit,
}

/// The development token, by its digest: digests are of equal length, so comparing them tells nothing.
struct DevelopmentToken(Secret<[u8; 32]>);

impl DevelopmentToken {
    fn is(&self, token: &str) -> bool {
        bool::from(Sha256::digest(token).as_slice().ct_eq(self.0.expose()))
    }
}

impl Auth {
    pub(crate) fn new(settings: &Settings, ports: &Ports) -> Result<Self, SettingsError> {
        let sign_in = match &ports.identity {
            None => None,
            Some(provider) => Some(SignIn {
                provider: Arc::clone(provider),
                keys: Keys::new(Arc::clone(&ports.access.signing_keys)),
                origin: origin(settings.public_url.as_deref().ok_or(SettingsError::NoPublicUrl)?)?,
                times: SessionTimes {
                    idle_s: settings.session_idle_s,
                    whole_s: settings.session_whole_s,
                },
            }),
        };
        let token = settings.staff_token.as_ref();
        Ok(Self {
            access: ports.access.clone(),
            development: token.map(|t| DevelopmentToken(Secret::new(Sha256::digest(t.expose()).into()))),
            sign_in,
            limit: SourceLimit::new(settings.sign_in_rate_limit),
        })
    }

    /// Signing in, or the problem that it isn't configured.
    pub(crate) fn sign_in(&self) -> Result<&SignIn, ApiError> {
        self.sign_in
            .as_ref()
            .ok_or_else(|| catalogue::ACCESS_NOT_CONFIGURED.with("signing in is not configured here"))
    }

    /// Who has this bearer; every refusal looks the same.
    pub(crate) async fn recognise(&self, bearer: Option<&Secret<String>>) -> Result<Recognised, ApiError> {
        if self.development.is_none() && self.sign_in.is_none() {
            return Err(catalogue::ACCESS_NOT_CONFIGURED
                .with("neither signing in nor a development token is configured here"));
        }
        let known = match bearer {
            None => None,
            Some(bearer) => self.holder(bearer.expose()).await?,
        };
        known.ok_or_else(|| {
            catalogue::TOKEN_REFUSED.with(
                "send `Authorization: Bearer <token>` with an access token or a personal token that is good",
            )
        })
    }

    async fn holder(&self, token: &str) -> Result<Option<Recognised>, ApiError> {
        let lasting = |principal| Recognised {
            principal,
            until: None,
        };
        if self.development.as_ref().is_some_and(|own| own.is(token)) {
            return Ok(Some(lasting(Principal::development())));
        }
        if secret::is_personal(token) {
            let known = self.access.principals.by_token(secret::digest(token)).await?;
            return Ok(known.map(lasting));
        }
        let Some(sign_in) = &self.sign_in else {
            return Ok(None);
        };
        let Some(unverified) = jwt::read(token) else {
            return Ok(None);
        };
        let Some(key) = sign_in.keys.find(unverified.key_id()).await? else {
            return Ok(None);
        };
        let claims = unverified.verify(&key.public, &sign_in.origin, AUDIENCE, ACCESS_TOKEN_S);
        let Some((claims, expires_at)) = claims else {
            return Ok(None);
        };
        let principal = self
            .access
            .principals
            .by_session(SessionId(claims.sid), expires_at)
            .await?;
        let known = principal.filter(|known| known.user.is_some_and(|user| user.to_string() == claims.sub));
        Ok(known.map(|principal| Recognised {
            principal,
            until: Some(expires_at),
        }))
    }
}

impl SignIn {
    /// Whether the browser says that our own page asked. It always says so when it posts.
    pub(crate) fn check_origin(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let given = headers.get(header::ORIGIN).map(header::HeaderValue::as_bytes);
        if given == Some(self.origin.as_bytes()) {
            Ok(())
        } else {
            Err(catalogue::ORIGIN_REFUSED.with(format!("`Origin` must be {}", self.origin)))
        }
    }

    /// Where the forge sends the browser back to.
    pub(crate) fn callback(&self) -> String {
        format!("{}{}", self.origin, crate::api::auth::sign_in::CALLBACK)
    }

    /// An access token for this session.
    pub(crate) async fn access_token(
        &self,
        signed_in: &domain::access::SignedIn,
    ) -> Result<Secret<String>, ApiError> {
        let key = self.keys.signing().await?;
        let now = signed_in.now.timestamp();
        Ok(jwt::sign(
            &key.pair,
            &key.id,
            &jwt::Claims {
                iss: self.origin.clone(),
                aud: AUDIENCE.to_owned(),
                sub: signed_in.user.to_string(),
                sid: signed_in.session.0,
                iat: now,
                exp: now + ACCESS_TOKEN_S,
            },
        ))
    }
}

/// The origin of the address where people reach us: https, or http on this machine; without a path.
fn origin(text: &str) -> Result<String, SettingsError> {
    let invalid = || SettingsError::PublicUrl(text.to_owned());
    let url: Url = text.parse().map_err(|_| invalid())?;
    let local = match url.host() {
        Some(url::Host::Ipv4(v4)) => v4.is_loopback(),
        Some(url::Host::Ipv6(v6)) => v6.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let anonymous = url.username().is_empty() && url.password().is_none();
    let safe = url.scheme() == "https" || (url.scheme() == "http" && local);
    if safe && bare && anonymous {
        Ok(url.origin().ascii_serialization())
    } else {
        Err(invalid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_people_may_reach_us() {
        for (good, is) in [
            ("https://codex.example.com", "https://codex.example.com"),
            ("https://codex.example.com:443/", "https://codex.example.com"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://localhost:8080/", "http://localhost:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ] {
            assert_eq!(origin(good).as_deref(), Ok(is), "{good}");
        }
        for bad in [
            "",
            "codex.example.com",
            "http://codex.example.com",
            "http://127.0.0.1.example.com",
            "https://codex.example.com/console",
            "https://ann:pw@codex.example.com",
            "https://codex.example.com/?a",
            "ftp://localhost",
        ] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }
}
