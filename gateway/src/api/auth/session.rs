//! A session's access tokens, and its end.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::access::Refreshed;
use serde::Serialize;
use tracing::warn;
use utoipa::ToSchema;

use super::Limited;
use crate::app::App;
use crate::auth::{ACCESS_TOKEN_S, cookie, secret};
use crate::problem::{ApiError, catalogue};
use crate::query::NoParams;

/// An access token.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccessToken {
    /// Goes into `Authorization: Bearer`.
    #[serde(rename = "access_token")]
    bearer: String,
    /// `Bearer`.
    #[schema(value_type = String)]
    #[serde(rename = "token_type")]
    kind: &'static str,
    /// Seconds that it lasts.
    expires_in: i64,
}

/// An access token for the session of the refresh cookie, which is replaced by the next. Each cookie is good once: its
/// second use ends the session, for somebody has a copy. Several tabs of one browser take turns.
#[utoipa::path(
    post,
    path = "/api/v1/auth/refresh",
    operation_id = "refresh",
    tag = "access",
    extensions(("x-right" = json!("public"))),
    responses(
        (status = 200, description = "Signed in", body = AccessToken),
        (status = 401, description = "Not signed in, or not any more"),
        (status = 403, description = "Another site asks"),
    )
)]
pub(crate) async fn refresh(
    State(app): State<Arc<App>>,
    _: Limited,
    headers: HeaderMap,
    _: NoParams,
) -> Result<Response, ApiError> {
    let sign_in = app.auth.sign_in()?;
    sign_in.check_origin(&headers)?;
    let signed_out = || catalogue::SIGNED_OUT.with("sign in");
    let old = cookie::REFRESH.of(&headers).ok_or_else(signed_out)?;
    let new = secret::fresh()?;
    let (old, digest) = (secret::digest(old.expose()), secret::digest(new.expose()));
    let signed_in = match app
        .ports
        .access
        .sign_ins
        .refresh(old, digest, sign_in.times)
        .await?
    {
        Refreshed::Good(signed_in) => signed_in,
        outcome => {
            if outcome == Refreshed::Reused {
                warn!("a refresh token was used twice: its session is ended");
            }
            let mut response = signed_out().into_response();
            response
                .headers_mut()
                .append(header::SET_COOKIE, cookie::REFRESH.clear()?);
            return Ok(response);
        }
    };
    let token = sign_in.access_token(&signed_in).await?;
    let lasts_s = (signed_in.expires_at - signed_in.now).num_seconds();
    let body = AccessToken {
        bearer: token.expose().clone(),
        kind: "Bearer",
        expires_in: ACCESS_TOKEN_S,
    };
    let mut response = Json(body).into_response();
    response
        .headers_mut()
        .append(header::SET_COOKIE, cookie::REFRESH.set(&new, lasts_s)?);
    Ok(response)
}

/// Ends the session of the refresh cookie; its access tokens are worth nothing from then on. Idempotent.
#[utoipa::path(
    post,
    path = "/api/v1/auth/sign-out",
    operation_id = "sign_out",
    tag = "access",
    extensions(("x-right" = json!("public"))),
    responses(
        (status = 204, description = "Signed out"),
        (status = 403, description = "Another site asks"),
    )
)]
pub(crate) async fn sign_out(
    State(app): State<Arc<App>>,
    _: Limited,
    headers: HeaderMap,
    _: NoParams,
) -> Result<Response, ApiError> {
    app.auth.sign_in()?.check_origin(&headers)?;
    if let Some(token) = cookie::REFRESH.of(&headers) {
        app.ports
            .access
            .sign_ins
            .sign_out(secret::digest(token.expose()))
            .await?;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    response
        .headers_mut()
        .append(header::SET_COOKIE, cookie::REFRESH.clear()?);
    Ok(response)
}
