//! Who asks, and their own sessions and tokens.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use domain::access::{NewApiToken, Right};
use domain::id::{SessionId, TokenId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::users::Ended;
use super::view::{PlatformRole, ProjectRole, Scope, Session, Token};
use crate::app::App;
use crate::auth::guard::Who;
use crate::auth::secret;
use crate::idempotency::HoldsSecret;
use crate::json::Body;
use crate::problem::{ApiError, catalogue};
use crate::query::{Id, NoParams};

/// The one who asks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Me {
    /// The person; null for the development token.
    id: Option<i64>,
    /// The e-mail address.
    name: String,
    /// On the platform.
    role: PlatformRole,
    /// In projects; platform admins need none.
    projects: Vec<Membership>,
    /// Rights that hold somewhere: what to offer and what not.
    rights: Vec<String>,
}

/// What somebody is in a project.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Membership {
    /// The project.
    project_id: i64,
    /// The role.
    role: ProjectRole,
}

/// Who asks, and what they may.
#[utoipa::path(
    get,
    path = "/api/v1/staff/me",
    operation_id = "show_me",
    tag = "access",
    security(("staff" = [])),
    extensions(("x-right" = json!("signed_in"))),
    responses(
        (status = 200, description = "The one who asks", body = Me),
    )
)]
pub(crate) async fn me(who: Who, _: NoParams) -> Json<Me> {
    let principal = who.principal();
    let memberships = principal.memberships.iter();
    let rights = Right::ALL.iter().filter(|right| principal.may(**right));
    Json(Me {
        id: principal.user.map(|user| user.0),
        name: principal.name.clone(),
        role: principal.role.into(),
        projects: memberships
            .map(|(project, role)| Membership {
                project_id: project.0,
                role: (*role).into(),
            })
            .collect(),
        rights: rights.map(|right| right.as_str().to_owned()).collect(),
    })
}

/// One's own sessions that haven't ended, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/staff/me/sessions",
    operation_id = "list_own_sessions",
    tag = "access",
    security(("staff" = [])),
    extensions(("x-right" = json!("own_access"))),
    responses(
        (status = 200, description = "The sessions", body = Vec<Session>),
    )
)]
pub(crate) async fn sessions(
    State(app): State<Arc<App>>,
    who: Who,
    _: NoParams,
) -> Result<Json<Vec<Session>>, ApiError> {
    let sessions = app.ports.access.own.sessions(who.user()?).await?;
    let via = &who.principal().via;
    Ok(Json(
        sessions
            .into_iter()
            .map(|session| Session::new(session, via))
            .collect(),
    ))
}

/// Ends one of one's own sessions.
#[utoipa::path(
    delete,
    path = "/api/v1/staff/me/sessions/{id}",
    operation_id = "end_own_session",
    tag = "access",
    security(("staff" = [])),
    extensions(("x-right" = json!("own_access"))),
    params(("id" = i64, Path, description = "The session")),
    responses(
        (status = 204, description = "It is ended"),
    )
)]
pub(crate) async fn end_session(
    State(app): State<Arc<App>>,
    who: Who,
    Id(id): Id<SessionId>,
    _: NoParams,
) -> Result<StatusCode, ApiError> {
    if app
        .ports
        .access
        .own
        .end_session(who.user()?, id, &who.actor())
        .await?
    {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(catalogue::NOT_FOUND.with(format!("there is no open session {id} of yours")))
    }
}

/// Ends all of one's own sessions, this one too.
#[utoipa::path(
    post,
    path = "/api/v1/staff/me/sign-out-everywhere",
    operation_id = "sign_out_everywhere",
    tag = "access",
    security(("staff" = [])),
    extensions(("x-right" = json!("own_access"))),
    responses(
        (status = 200, description = "They are ended", body = Ended),
    )
)]
pub(crate) async fn sign_out_everywhere(
    State(app): State<Arc<App>>,
    who: Who,
    _: NoParams,
) -> Result<Json<Ended>, ApiError> {
    let users = &app.ports.access.users;
    let sessions_ended = users.sign_out_everywhere(who.user()?, &who.actor()).await?;
    Ok(Json(Ended { sessions_ended }))
}

/// One's own personal tokens that are good, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/staff/me/tokens",
    operation_id = "list_own_tokens",
    tag = "access",
    security(("staff" = [])),
    extensions(("x-right" = json!("own_access"))),
    responses(
        (status = 200, description = "The tokens", body = Vec<Token>),
    )
)]
pub(crate) async fn tokens(
    State(app): State<Arc<App>>,
    who: Who,
    _: NoParams,
) -> Result<Json<Vec<Token>>, ApiError> {
    let tokens = app.ports.access.own.tokens(who.user()?).await?;
    Ok(Json(tokens.into_iter().map(Token::from).collect()))
}

/// A token to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenWish {
    /// What it is for: 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// What it may be used for, of what its owner may; at least one.
    #[schema(min_items = 1)]
    scopes: Vec<Scope>,
    /// For how many days: 1 to 366.
    #[schema(minimum = 1, maximum = 366)]
    days: i32,
}

/// A new token.
#[derive(Serialize, ToSchema)]
pub(crate) struct NewToken {
    /// The token: shown now and never again.
    secret: String,
    #[serde(flatten)]
    token: Token,
}

/// Makes a personal token, for programs.
#[utoipa::path(
    post,
    path = "/api/v1/staff/me/tokens",
    operation_id = "create_own_token",
    tag = "access",
    security(("staff" = [])),
    extensions(("x-right" = json!("own_access"))),
    request_body = TokenWish,
    responses(
        (status = 201, description = "The token", body = NewToken),
        (status = 400, description = "Not as described"),
    )
)]
pub(crate) async fn create_token(
    State(app): State<Arc<App>>,
    who: Who,
    _: NoParams,
    Body(wish): Body<TokenWish>,
) -> Result<(StatusCode, Extension<HoldsSecret>, Json<NewToken>), ApiError> {
    let invalid = |detail: &'static str| Err(catalogue::BODY_INVALID.with(detail));
    let name = wish.name.trim();
    if !(1..=100).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return invalid("`name` takes 1 to 100 characters, without control characters");
    }
    let mut scopes = wish.scopes;
    scopes.sort_unstable();
    scopes.dedup();
    if scopes.is_empty() {
        return invalid("`scopes` takes at least one of read, write, admin");
    }
    if !(1..=366).contains(&wish.days) {
        return invalid("`days` takes 1 to 366");
    }
    let secret = secret::fresh_personal()?;
    let token = NewApiToken {
        name: name.to_owned(),
        scopes: scopes.into_iter().map(Into::into).collect(),
        days: wish.days,
        digest: secret::digest(secret.expose()),
    };
    let token = app
        .ports
        .access
        .own
        .create_token(who.user()?, token, &who.actor())
        .await?;
    let made = NewToken {
        secret: secret.expose().clone(),
        token: token.into(),
    };
    Ok((StatusCode::CREATED, Extension(HoldsSecret), Json(made)))
}

/// Revokes one of one's own tokens.
#[utoipa::path(
    delete,
    path = "/api/v1/staff/me/tokens/{id}",
    operation_id = "revoke_own_token",
    tag = "access",
    security(("staff" = [])),
    extensions(("x-right" = json!("own_access"))),
    params(("id" = i64, Path, description = "The token")),
    responses(
        (status = 204, description = "It is revoked"),
    )
)]
pub(crate) async fn revoke_token(
    State(app): State<Arc<App>>,
    who: Who,
    Id(id): Id<TokenId>,
    _: NoParams,
) -> Result<StatusCode, ApiError> {
    if app
        .ports
        .access
        .own
        .revoke_token(who.user()?, id, &who.actor())
        .await?
    {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(catalogue::NOT_FOUND.with(format!("there is no good token {id} of yours")))
    }
}
