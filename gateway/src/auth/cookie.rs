//! The two cookies: one while somebody is at the forge to sign in, and the refresh token, which goes to no other path
//! than the one that uses it. Neither can be read by a page or sent without TLS (browsers except this very machine).

use axum::http::{HeaderMap, HeaderValue, header};
use domain::Secret;

use crate::problem::{ApiError, catalogue};

/// A cookie's name, path, and whether other sites' links may bring it along.
pub(crate) struct Cookie {
    name: &'static str,
    path: &'static str,
    same_site: &'static str,
}

/// Holds the refresh token.
pub(crate) const REFRESH: Cookie = Cookie {
    name: "__Secure-codex-k8s-refresh",
    path: "/api/v1/auth",
    same_site: "Strict",
};

/// Ties the forge's answer to the browser that asked. The forge's redirect has to bring it along: `Lax`. `__Host-`, which
/// wants the path `/`, keeps a neighbour under the same domain from planting its own and signing people in as itself.
pub(crate) const SIGN_IN: Cookie = Cookie {
    name: "__Host-codex-k8s-sign-in",
    path: "/",
    same_site: "Lax",
};

impl Cookie {
    /// The value that the browser sent; none if it sent two, of which one isn't ours.
    pub(crate) fn of(&self, headers: &HeaderMap) -> Option<Secret<String>> {
        let sent = headers.get_all(header::COOKIE).into_iter();
        let pairs = sent
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'));
        let mut values = pairs
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == self.name)
            .map(|(_, value)| value);
        match (values.next(), values.next()) {
            (Some(value), None) if !value.is_empty() => Some(Secret::new(value.to_owned())),
            _ => None,
        }
    }

    /// Keeps it for so many seconds.
    pub(crate) fn set(&self, value: &Secret<String>, seconds: i64) -> Result<HeaderValue, ApiError> {
        let Self {
            name,
            path,
            same_site,
        } = self;
        let text = format!(
            "{name}={}; Max-Age={seconds}; Path={path}; Secure; HttpOnly; SameSite={same_site}",
            value.expose()
        );
        let mut header = HeaderValue::try_from(text).map_err(|_| {
            catalogue::INTERNAL
                .with("see the server's log")
                .because("a cookie can't be written")
        })?;
        header.set_sensitive(true);
        Ok(header)
    }

    /// Takes it away.
    pub(crate) fn clear(&self) -> Result<HeaderValue, ApiError> {
        self.set(&Secret::new(String::new()), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_found_among_others() {
        let of = |lines: &[&str]| {
            let headers = lines.iter().map(|line| (header::COOKIE, line.parse().unwrap()));
            REFRESH.of(&headers.collect()).map(|value| value.expose().clone())
        };
        let name = REFRESH.name;
        assert_eq!(
            of(&["a=b", &format!("c=d; {name}=x=y; e=f")]).as_deref(),
            Some("x=y")
        );
        for none in [
            "",
            "a=b",
            name,
            &format!("{name}="),
            &format!("x{name}=y"),
            &format!("{name}=1; {name}=2"),
        ] {
            assert_eq!(of(&[none]), None, "{none}");
        }
    }

    #[test]
    fn is_closed_to_pages_and_plain_text() {
        let set = REFRESH.set(&Secret::new("s".to_owned()), 60).unwrap();
        assert!(set.is_sensitive());
        assert_eq!(
            set.to_str().unwrap(),
            "__Secure-codex-k8s-refresh=s; Max-Age=60; Path=/api/v1/auth; Secure; HttpOnly; SameSite=Strict"
        );
        assert!(SIGN_IN.clear().unwrap().to_str().unwrap().contains("Max-Age=0;"));
    }
}
