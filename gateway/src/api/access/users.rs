//! People: invite, list, show, change what they are, keep out and let in again, sign out everywhere.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use domain::access::{Change, Email};
use domain::id::UserId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::view::{PlatformRole, User};
use crate::api::page::{self, Page};
use crate::app::App;
use crate::auth::guard::Who;
use crate::json::Body;
use crate::precondition::{Seen, Tagged, stale};
use crate::problem::{ApiError, catalogue};
use crate::query::{Id, Limit, NoParams, Params};

/// Which people to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UserQuery {
    /// The `next` of an earlier page.
    before: Option<String>,
    /// 1 to 200, 50 if not said.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200)]
    limit: Limit<200>,
}

/// People, in the order in which they were invited.
#[utoipa::path(
    get,
    path = "/api/v1/staff/users",
    operation_id = "list_users",
    tag = "access",
    security(("staff" = [])),
    extensions(("x-right" = json!("platform_admin"))),
    params(UserQuery),
    responses(
        (status = 200, description = "A page of people", body = Page<User>),
    )
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Params(query): Params<UserQuery>,
) -> Result<Json<Page<User>>, ApiError> {
    let limit = query.limit.get();
    let after = page::key(query.before.as_deref(), |text| text.parse().ok())?;
    let users = app.ports.access.users.list(after, limit as i64 + 1).await?;
    Ok(Json(Page::cut(users, limit, |user| user.id)))
}

/// Whom to let in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Invitation {
    /// An address that GitHub has verified for the person.
    email: String,
}

/// Lets somebody sign in; they may see nothing until they are made a member or more. Idempotent.
#[utoipa::path(
    post,
    path = "/api/v1/staff/users",
    operation_id = "invite_user",
    tag = "access",
    security(("staff" = [])),
    extensions(("x-right" = json!("platform_admin"))),
    request_body = Invitation,
    responses(
        (status = 200, description = "They may sign in", body = User),
        (status = 400, description = "That is no e-mail address"),
    )
)]
pub(crate) async fn invite(
    State(app): State<Arc<App>>,
    who: Who,
    _: NoParams,
    Body(wish): Body<Invitation>,
) -> Result<Json<User>, ApiError> {
    let email: Email = wish
        .email
        .parse()
        .map_err(|error| catalogue::BODY_INVALID.with(format!("`email`: {error}")))?;
    let user = app.ports.access.users.invite(&email, &who.actor()).await?;
    Ok(Json(user.into()))
}

/// One person.
#[utoipa::path(
    get,
    path = "/api/v1/staff/users/{id}",
    operation_id = "show_user",
    tag = "access",
    security(("staff" = [])),
    extensions(("x-right" = json!("platform_admin"))),
    params(("id" = i64, Path, description = "The person")),
    responses(
        (status = 200, description = "The person", body = User,
            headers(("ETag" = String, description = "Its version in quotes, for `If-Match`"))),
    )
)]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Id(id): Id<UserId>,
    _: NoParams,
) -> Result<Tagged<User>, ApiError> {
    let user = app.ports.access.users.get(id).await?;
    user.map(|user| Tagged(user.into())).ok_or_else(|| unknown(id))
}

/// What somebody is to be on the platform.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleWish {
    /// `admin` or `none`.
    role: PlatformRole,
}

/// Makes somebody a platform admin, or no longer. Idempotent.
#[utoipa::path(
    put,
    path = "/api/v1/staff/users/{id}/role",
    operation_id = "set_user_role",
    tag = "access",
    security(("staff" = [])),
    extensions(("x-right" = json!("platform_admin"))),
    params(("id" = i64, Path, description = "The person"), Seen),
    request_body = RoleWish,
    responses(
        (status = 200, description = "It is so", body = User,
            headers(("ETag" = String, description = "Its version in quotes, for `If-Match`"))),
        (status = 409, description = "There is exactly one owner, and it stays"),
    )
)]
pub(crate) async fn set_role(
    State(app): State<Arc<App>>,
    who: Who,
    Id(id): Id<UserId>,
    Seen(seen): Seen,
    _: NoParams,
    Body(wish): Body<RoleWish>,
) -> Result<Tagged<User>, ApiError> {
    let users = &app.ports.access.users;
    changed(
        id,
        users.set_role(id, wish.role.into(), &seen, &who.actor()).await?,
    )
}

/// Whether somebody may sign in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActiveWish {
    /// `false` keeps them out from now on, whatever they hold.
    active: bool,
}

/// Keeps somebody out, with all their sessions and tokens, or lets them in again. Idempotent.
#[utoipa::path(
    put,
    path = "/api/v1/staff/users/{id}/active",
    operation_id = "set_user_active",
    tag = "access",
    security(("staff" = [])),
    extensions(("x-right" = json!("platform_admin"))),
    params(("id" = i64, Path, description = "The person"), Seen),
    request_body = ActiveWish,
    responses(
        (status = 200, description = "It is so", body = User,
            headers(("ETag" = String, description = "Its version in quotes, for `If-Match`"))),
        (status = 409, description = "The owner can't be kept out"),
    )
)]
pub(crate) async fn set_active(
    State(app): State<Arc<App>>,
    who: Who,
    Id(id): Id<UserId>,
    Seen(seen): Seen,
    _: NoParams,
    Body(wish): Body<ActiveWish>,
) -> Result<Tagged<User>, ApiError> {
    let users = &app.ports.access.users;
    changed(id, users.set_active(id, wish.active, &seen, &who.actor()).await?)
}

/// How many sessions were ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ended {
    /// So many.
    pub(super) sessions_ended: i64,
}

/// Ends every session of somebody; they may sign in again.
#[utoipa::path(
    post,
    path = "/api/v1/staff/users/{id}/sign-out",
    operation_id = "sign_user_out",
    tag = "access",
    security(("staff" = [])),
    extensions(("x-right" = json!("platform_admin"))),
    params(("id" = i64, Path, description = "The person")),
    responses(
        (status = 200, description = "They are ended", body = Ended),
    )
)]
pub(crate) async fn sign_out(
    State(app): State<Arc<App>>,
    who: Who,
    Id(id): Id<UserId>,
    _: NoParams,
) -> Result<Json<Ended>, ApiError> {
    let users = &app.ports.access.users;
    if users.get(id).await?.is_none() {
        return Err(unknown(id));
    }
    let sessions_ended = users.sign_out_everywhere(id, &who.actor()).await?;
    Ok(Json(Ended { sessions_ended }))
}

/// Hands the ownership of the platform to somebody who has signed in; one stays a platform admin.
#[utoipa::path(
    post,
    path = "/api/v1/staff/users/{id}/ownership",
    operation_id = "hand_over_ownership",
    tag = "access",
    security(("staff" = [])),
    extensions(("x-right" = json!("platform_owner"))),
    params(("id" = i64, Path, description = "The person")),
    responses(
        (status = 200, description = "They are the owner", body = User),
        (status = 409, description = "They may not sign in, or never have"),
    )
)]
pub(crate) async fn hand_over(
    State(app): State<Arc<App>>,
    who: Who,
    Id(id): Id<UserId>,
    _: NoParams,
) -> Result<Json<User>, ApiError> {
    match app.ports.access.users.hand_over(id, &who.actor()).await? {
        Change::Done(user) => Ok(Json(user.into())),
        Change::NotFound => Err(unknown(id)),
        Change::OwnerStays | Change::Stale => {
            Err(catalogue::OWNER_STAYS.with("only somebody who may sign in, and has, can become the owner"))
        }
    }
}

fn changed(id: UserId, change: Change<domain::access::User>) -> Result<Tagged<User>, ApiError> {
    match change {
        Change::Done(user) => Ok(Tagged(user.into())),
        Change::Stale => Err(stale()),
        Change::NotFound => Err(unknown(id)),
        Change::OwnerStays => Err(catalogue::OWNER_STAYS
            .with("there is exactly one owner: nobody else becomes it, and it can't be changed or kept out")),
    }
}

fn unknown(id: UserId) -> ApiError {
    catalogue::NOT_FOUND.with(format!("there is no user {id}"))
}
