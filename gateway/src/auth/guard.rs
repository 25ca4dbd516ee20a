//! What every staff route passes: the source's rate, who it is, and the right that the route demands.

use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use domain::Secret;
use domain::access::{Principal, Projects, Right};
use domain::flow::FlowActor;
use domain::id::UserId;

use super::Recognised;
use super::rights::Demand;
use crate::app::App;
use crate::problem::{ApiError, catalogue};
use crate::source_limit;

/// All staff routes begin so.
const PREFIX: &str = "/api/v1/staff";

pub(crate) fn is_staff(route: &str) -> bool {
    route.starts_with(PREFIX)
}

/// The one who asks, for handlers.
#[derive(Clone)]
pub(crate) struct Who(Arc<Recognised>);

impl Who {
    pub(crate) fn principal(&self) -> &Principal {
        &self.0.principal
    }

    /// When the access token that was shown is over.
    pub(crate) fn until(&self) -> Option<DateTime<Utc>> {
        self.0.until
    }

    /// For the audit.
    pub(crate) fn actor(&self) -> FlowActor {
        self.0.principal.actor()
    }

    /// Where this right holds: queries of project data filter by it.
    pub(crate) fn projects(&self, right: Right) -> Projects {
        self.0.principal.projects(right)
    }

    /// The person.
    pub(crate) fn user(&self) -> Result<UserId, ApiError> {
        self.0
            .principal
            .user
            .ok_or_else(|| catalogue::FORBIDDEN.with("the development token belongs to nobody"))
    }
}

impl<S: Sync> FromRequestParts<S> for Who {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            catalogue::INTERNAL
                .with("see the server's log for this request id")
                .because("a route that asks who it is isn't guarded")
        })
    }
}

/// The guard around every staff route.
pub(crate) async fn guard(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    if let Err(error) = source_limit::admit(&app.sources, request.extensions()) {
        return error.into_response();
    }
    let route = request.extensions().get::<MatchedPath>().cloned();
    let bearer = bearer(request.headers());
    let known = match app.auth.recognise(bearer.as_ref()).await {
        Ok(known) => known,
        Err(error) => return error.into_response(),
    };
    let route = route.as_ref().map_or("", MatchedPath::as_str);
    if let Some(refusal) = refusal(&app, &known.principal, request.method(), route) {
        return refusal;
    }
    request.extensions_mut().insert(Who(Arc::new(known)));
    next.run(request).await
}

/// Why this principal may not do this here; `None` if they may.
fn refusal(app: &App, principal: &Principal, method: &Method, route: &str) -> Option<Response> {
    Some(match app.rights.of_route(method, route) {
        Demand::Right(right) if principal.may(right) => return None,
        Demand::Right(right) => {
            let detail = format!("this needs the right `{}`", right.as_str());
            catalogue::FORBIDDEN.with(detail).into_response()
        }
        Demand::Undeclared => catalogue::INTERNAL
            .with("see the server's log for this request id")
            .because(format!("{method} {route} declares no right"))
            .into_response(),
        Demand::NotServed(allow) => {
            let mut response = catalogue::METHOD_NOT_ALLOWED
                .with("see the `Allow` header")
                .into_response();
            if let Ok(allow) = HeaderValue::try_from(allow) {
                response.headers_mut().insert(header::ALLOW, allow);
            }
            response
        }
    })
}

/// The token of `Authorization: Bearer <token>`.
fn bearer(headers: &HeaderMap) -> Option<Secret<String>> {
    let given = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes)?;
    let (scheme, token) = given.split_at_checked(7)?;
    let token = std::str::from_utf8(token)
        .ok()
        .filter(|token| !token.is_empty())?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| Secret::new(token.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_header_holds_a_token() {
        let of = |value: &str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
            bearer(&headers).map(|token| token.expose().clone())
        };
        assert_eq!(of("Bearer correct horse").as_deref(), Some("correct horse"));
        assert_eq!(of("bearer a.b.c").as_deref(), Some("a.b.c"));
        for none in ["", "Bearer", "Bearer ", "Basic correct horse"] {
            assert_eq!(of(none), None, "{none}");
        }
        assert!(bearer(&HeaderMap::new()).is_none());
    }
}
