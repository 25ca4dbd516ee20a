//! Signing in a program without a browser, such as `codex-k8s login`, after RFC 8628: it begins and shows a short
//! code, a person who is signed in looks at what is asked and confirms, the program collects a personal token. The
//! code lasts minutes and is good once; guessing one is limited per source, and gives nobody a token.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{ConnectInfo, Extension, State};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use domain::access::{Collected, DeviceWish, NewDeviceSignIn, UserCode, Via};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::view::{Scope, Token};
use super::auth::Limited;
use crate::app::App;
use crate::auth::guard::Who;
use crate::auth::secret;
use crate::json::Body;
use crate::problem::{ApiError, catalogue};
use crate::query::{Id, NoParams, Text};

/// A person has so long to look and decide.
const LASTS_S: i64 = 600;
/// How often a program may ask whether they have.
const INTERVAL_S: i64 = 2;
/// The console's page.
const PAGE: &str = "/device";

/// What a program asks for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeviceSignInWish {
    /// What the program calls itself, for the person who decides and for the list of tokens: 1 to 100 characters.
    #[schema(value_type = String, min_length = 1, max_length = 100)]
    name: Text<100>,
    /// What its token may be used for, of what its owner may; at least one.
    #[schema(min_items = 1)]
    scopes: Vec<Scope>,
    /// For how many days: 1 to 366.
    #[schema(minimum = 1, maximum = 366)]
    days: i32,
}

/// A sign-in that has begun.
#[derive(Serialize, ToSchema)]
pub(crate) struct BegunDeviceSignIn {
    /// The program keeps it and collects the token with it.
    device_code: String,
    /// The person compares or types it.
    user_code: String,
    /// Where the person goes.
    verification_uri: String,
    /// The same with the code filled in.
    verification_uri_complete: String,
    /// Seconds until it is over.
    expires_in: i64,
    /// Seconds between two questions whether it is decided.
    interval: i64,
}

/// Begins to sign a program in.
#[utoipa::path(
    post,
    path = "/api/v1/auth/device",
    operation_id = "begin_device_sign_in",
    tag = "access",
    extensions(("x-right" = json!("public"))),
    request_body = DeviceSignInWish,
    responses(
        (status = 200, description = "The codes", body = BegunDeviceSignIn),
        (status = 400, description = "Not as described"),
        (status = 429, description = "Too many from this source"),
    )
)]
pub(crate) async fn begin(
    State(app): State<Arc<App>>,
    _: Limited,
    _: NoParams,
    source: Option<Extension<ConnectInfo<SocketAddr>>>,
    Body(wish): Body<DeviceSignInWish>,
) -> Result<Json<BegunDeviceSignIn>, ApiError> {
    let origin = app.auth.sign_in()?.origin.clone();
    let mut scopes = wish.scopes;
    scopes.sort_unstable();
    scopes.dedup();
    if scopes.is_empty() {
        return Err(catalogue::BODY_INVALID.with("`scopes` takes at least one of read, write, admin"));
    }
    if !(1..=366).contains(&wish.days) {
        return Err(catalogue::BODY_INVALID.with("`days` takes 1 to 366"));
    }
    let device = secret::fresh()?;
    let code = UserCode::of(&secret::random()?).ok_or_else(busy)?;
    let new = NewDeviceSignIn {
        device: secret::digest(device.expose()),
        code: code.clone(),
        wish: DeviceWish {
            name: wish.name.0,
            scopes: scopes.into_iter().map(Into::into).collect(),
            days: wish.days,
            source: source.map(|Extension(ConnectInfo(address))| address.ip().to_canonical().to_string()),
        },
    };
    if !app.ports.access.devices.begin(new, LASTS_S).await? {
        return Err(busy());
    }
    Ok(Json(BegunDeviceSignIn {
        device_code: device.expose().clone(),
        user_code: code.to_string(),
        verification_uri: format!("{origin}{PAGE}"),
        verification_uri_complete: format!("{origin}{PAGE}?code={code}"),
        expires_in: LASTS_S,
        interval: INTERVAL_S,
    }))
}

fn busy() -> ApiError {
    catalogue::UNAVAILABLE.with("too many programs are signing in: begin again in a moment")
}

/// The secret of a sign-in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeviceCode {
    /// As it was handed out.
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    device_code: Text<200>,
}

/// A token that was collected.
#[derive(Serialize, ToSchema)]
pub(crate) struct CollectedToken {
    /// The token: shown now and never again.
    secret: String,
    /// Whose it is.
    owner: String,
    #[serde(flatten)]
    token: Token,
}

/// Collects the token once somebody has confirmed. Until then `code` is `device_pending`; ask again after the interval.
#[utoipa::path(
    post,
    path = "/api/v1/auth/device/token",
    operation_id = "collect_device_token",
    tag = "access",
    extensions(("x-right" = json!("public"))),
    request_body = DeviceCode,
    responses(
        (status = 200, description = "The token", body = CollectedToken),
        (status = 400, description = "Not decided yet, denied, too late, or not as described"),
        (status = 429, description = "Too many from this source"),
    )
)]
pub(crate) async fn collect(
    State(app): State<Arc<App>>,
    _: Limited,
    _: NoParams,
    Body(wish): Body<DeviceCode>,
) -> Result<Json<CollectedToken>, ApiError> {
    let device = secret::digest(&wish.device_code.0);
    let token = secret::fresh_personal()?;
    let digest = secret::digest(token.expose());
    match app.ports.access.devices.collect(device, digest).await? {
        Collected::Pending => {
            Err(catalogue::DEVICE_PENDING.with("nobody has confirmed the code yet: ask again"))
        }
        Collected::Denied => Err(catalogue::DEVICE_DENIED.with("the sign-in was denied")),
        Collected::Gone => Err(catalogue::DEVICE_GONE.with("begin again")),
        Collected::Token(made, owner) => Ok(Json(CollectedToken {
            secret: token.expose().clone(),
            owner: owner.as_str().to_owned(),
            token: made.into(),
        })),
    }
}

/// A program that wants to be signed in.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeviceSignIn {
    /// What it calls itself; anybody may write anything there.
    name: String,
    /// What its token is to be used for, of what you may.
    scopes: Vec<Scope>,
    /// For how many days.
    days: i32,
    /// The address that asked, where it is known.
    source: Option<String>,
    /// When.
    created_at: DateTime<Utc>,
    /// Until when it can be confirmed.
    expires_at: DateTime<Utc>,
}

/// What a code stands for.
#[utoipa::path(
    get,
    path = "/api/v1/staff/me/device-sign-ins/{id}",
    operation_id = "show_device_sign_in",
    tag = "access",
    security(("staff" = [])),
    extensions(("x-right" = json!("own_access"))),
    params(("id" = String, Path, description = "The code, such as BDFG-HJKL")),
    responses(
        (status = 200, description = "What is asked", body = DeviceSignIn),
        (status = 404, description = "No such code, or not any more"),
    )
)]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    _: Limited,
    Id(code): Id<UserCode>,
    _: NoParams,
) -> Result<Json<DeviceSignIn>, ApiError> {
    let found = app.ports.access.devices.find(&code).await?;
    let found = found.ok_or_else(|| unknown(&code))?;
    Ok(Json(DeviceSignIn {
        name: found.wish.name,
        scopes: found.wish.scopes.into_iter().map(Into::into).collect(),
        days: found.wish.days,
        source: found.wish.source,
        created_at: found.created_at,
        expires_at: found.expires_at,
    }))
}

fn unknown(code: &UserCode) -> ApiError {
    catalogue::NOT_FOUND.with(format!(
        "the code {code} isn't waiting: it is mistyped, used or too old"
    ))
}

/// Signs the program in as you.
#[utoipa::path(
    post,
    path = "/api/v1/staff/me/device-sign-ins/{id}/approve",
    operation_id = "approve_device_sign_in",
    tag = "access",
    security(("staff" = [])),
    extensions(("x-right" = json!("own_access"))),
    params(("id" = String, Path, description = "The code")),
    responses(
        (status = 204, description = "The program may collect its token"),
        (status = 404, description = "No such code, or not any more"),
    )
)]
pub(crate) async fn approve(
    state: State<Arc<App>>,
    limited: Limited,
    who: Who,
    code: Id<UserCode>,
    none: NoParams,
) -> Result<StatusCode, ApiError> {
    decide(state, limited, who, code, none, true).await
}

/// Refuses it.
#[utoipa::path(
    post,
    path = "/api/v1/staff/me/device-sign-ins/{id}/deny",
    operation_id = "deny_device_sign_in",
    tag = "access",
    security(("staff" = [])),
    extensions(("x-right" = json!("own_access"))),
    params(("id" = String, Path, description = "The code")),
    responses(
        (status = 204, description = "The program gets none"),
        (status = 404, description = "No such code, or not any more"),
    )
)]
pub(crate) async fn deny(
    state: State<Arc<App>>,
    limited: Limited,
    who: Who,
    code: Id<UserCode>,
    none: NoParams,
) -> Result<StatusCode, ApiError> {
    decide(state, limited, who, code, none, false).await
}

async fn decide(
    State(app): State<Arc<App>>,
    _: Limited,
    who: Who,
    Id(code): Id<UserCode>,
    _: NoParams,
    approve: bool,
) -> Result<StatusCode, ApiError> {
    let devices = &app.ports.access.devices;
    if devices.decide(who.user()?, &code, approve, &who.actor()).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(unknown(&code))
    }
}

/// Revokes the very token that asks.
#[utoipa::path(
    delete,
    path = "/api/v1/staff/me/token",
    operation_id = "revoke_this_token",
    tag = "access",
    security(("staff" = [])),
    extensions(("x-right" = json!("signed_in"))),
    responses(
        (status = 204, description = "It is revoked"),
        (status = 404, description = "The bearer is no personal token"),
    )
)]
pub(crate) async fn revoke_this(
    State(app): State<Arc<App>>,
    who: Who,
    _: NoParams,
) -> Result<StatusCode, ApiError> {
    let none = || catalogue::NOT_FOUND.with("the bearer of this request is no personal token");
    let Via::Token { id, .. } = &who.principal().via else {
        return Err(none());
    };
    let own = &app.ports.access.own;
    if own.revoke_token(who.user()?, *id, &who.actor()).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(none())
    }
}
