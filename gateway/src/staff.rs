//! Who may use the staff API: until people sign in, the one who has the development token.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::Secret;
use domain::flow::FlowActor;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::app::App;
use crate::problem::{ApiError, catalogue};
use crate::source_limit;

/// All staff routes begin so.
pub(crate) const PREFIX: &str = "/api/v1/staff";

pub(crate) fn is_staff(route: &str) -> bool {
    route.starts_with(PREFIX)
}

/// Who acts through the staff API, for the audit.
pub(crate) fn actor() -> FlowActor {
    FlowActor::Human("development".to_owned())
}

/// The development token, by its digest: digests are of equal length, so comparing them tells nothing.
pub(crate) struct StaffToken(Secret<[u8; 32]>);

impl StaffToken {
    pub(crate) fn new(token: &Secret<String>) -> Self {
        Self(Secret::new(Sha256::digest(token.expose()).into()))
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        let Some((scheme, token)) = given.and_then(|given| given.split_at_checked(7)) else {
            return false;
        };
        let same = Sha256::digest(token).as_slice().ct_eq(self.0.expose());
        scheme.eq_ignore_ascii_case(b"bearer ") && bool::from(same)
    }
}

/// The guard around every staff route.
pub(crate) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    match admit(&app, &request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn admit(app: &App, request: &Request) -> Result<(), ApiError> {
    source_limit::admit(app, request)?;
    let Some(token) = &app.staff_token else {
        return Err(catalogue::ACCESS_NOT_CONFIGURED
            .with("no development token is set; set one, or use the command line on the server"));
    };
    if token.admits(request.headers()) {
        Ok(())
    } else {
        Err(catalogue::TOKEN_REFUSED.with("send `Authorization: Bearer <token>` with the development token"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_header_is_admitted() {
        let token = StaffToken::new(&Secret::new("correct horse battery".to_owned()));
        let admits = |value: &str| {
            token.admits(&HeaderMap::from_iter([(
                header::AUTHORIZATION,
                value.parse().unwrap(),
            )]))
        };
        assert!(admits("Bearer correct horse battery"));
        assert!(admits("bearer correct horse battery"));
        for bad in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer correct horse",
            "Basic correct horse battery",
        ] {
            assert!(!admits(bad), "{bad}");
        }
        assert!(!token.admits(&HeaderMap::new()));
    }
}
