//! Members of a project: list, make, unmake.

use std::str::FromStr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::access::{Change, Email, InvalidEmail, Right};
use domain::id::{ProjectId, UserId};
use serde::Deserialize;
use utoipa::ToSchema;

use super::view::{Member, ProjectRole};
use crate::app::App;
use crate::auth::guard::Who;
use crate::json::Body;
use crate::precondition::{Seen, Tagged, stale};
use crate::problem::{ApiError, catalogue};
use crate::query::{Id, Ids, NoParams};

/// The project, if the one who asks holds this right there. One where they hold none isn't there for them.
async fn project(app: &App, who: &Who, slug: &str, right: Right) -> Result<ProjectId, ApiError> {
    let unknown = || catalogue::NOT_FOUND.with(format!("there is no project `{}`", slug.escape_debug()));
    let id = app
        .ports
        .access
        .members
        .project(slug)
        .await?
        .ok_or_else(unknown)?;
    if who.projects(right).contains(id) {
        Ok(id)
    } else if who.projects(Right::ProjectRead).contains(id) {
        Err(catalogue::FORBIDDEN.with(format!(
            "this needs the right `{}` in this project",
            right.as_str()
        )))
    } else {
        Err(unknown())
    }
}

/// A project's members, by address.
#[utoipa::path(
    get,
    path = "/api/v1/staff/projects/{slug}/members",
    operation_id = "list_members",
    tag = "access",
    security(("staff" = [])),
    extensions(("x-right" = json!("project_read"))),
    params(("slug" = String, Path, description = "The project")),
    responses(
        (status = 200, description = "Its members", body = Vec<Member>),
    )
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    who: Who,
    Id(slug): Id<String>,
    _: NoParams,
) -> Result<Json<Vec<Member>>, ApiError> {
    let project = project(&app, &who, &slug, Right::ProjectRead).await?;
    let members = app.ports.access.members.list(project).await?;
    Ok(Json(members.into_iter().map(Member::from).collect()))
}

/// What somebody is to be in the project.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberWish {
    /// The role.
    role: ProjectRole,
}

/// Makes somebody a member, or gives a member another role. Idempotent. `If-None-Match: *` makes members only.
#[utoipa::path(
    put,
    path = "/api/v1/staff/projects/{slug}/members/{id}",
    operation_id = "set_member",
    tag = "access",
    security(("staff" = [])),
    extensions(("x-right" = json!("project_admin"))),
    params(
        ("slug" = String, Path, description = "The project"),
        ("id" = String, Path, description = "The person: the number, or the e-mail address by which they were invited"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only if they are no member yet"),
        Seen,
    ),
    request_body = MemberWish,
    responses(
        (status = 200, description = "It is so", body = Member,
            headers(("ETag" = String, description = "Its version in quotes, for `If-Match`"))),
    )
)]
pub(crate) async fn set(
    State(app): State<Arc<App>>,
    who: Who,
    Ids(slug, person): Ids<String, Person>,
    Seen(seen): Seen,
    _: NoParams,
    Body(wish): Body<MemberWish>,
) -> Result<Tagged<Member>, ApiError> {
    let project = project(&app, &who, &slug, Right::ProjectAdmin).await?;
    let user = person.find(&app).await?;
    let members = &app.ports.access.members;
    match members
        .set(project, user, wish.role.into(), &seen, &who.actor())
        .await?
    {
        Change::Done(member) => Ok(Tagged(member.into())),
        Change::Stale => Err(stale()),
        Change::NotFound | Change::OwnerStays => Err(unknown(user)),
    }
}

/// Takes somebody out of the project. Idempotent.
#[utoipa::path(
    delete,
    path = "/api/v1/staff/projects/{slug}/members/{id}",
    operation_id = "remove_member",
    tag = "access",
    security(("staff" = [])),
    extensions(("x-right" = json!("project_admin"))),
    params(
        ("slug" = String, Path, description = "The project"),
        ("id" = String, Path, description = "The person: the number, or the e-mail address by which they were invited"),
        Seen,
    ),
    responses(
        (status = 204, description = "They are no member"),
    )
)]
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    who: Who,
    Ids(slug, person): Ids<String, Person>,
    Seen(seen): Seen,
    _: NoParams,
) -> Result<StatusCode, ApiError> {
    let project = project(&app, &who, &slug, Right::ProjectAdmin).await?;
    let user = person.find(&app).await?;
    match app
        .ports
        .access
        .members
        .remove(project, user, &seen, &who.actor())
        .await?
    {
        Change::Done(()) => Ok(StatusCode::NO_CONTENT),
        Change::Stale => Err(stale()),
        Change::NotFound | Change::OwnerStays => Err(unknown(user)),
    }
}

/// Whom a path names.
pub(crate) enum Person {
    Number(UserId),
    Address(Email),
}

impl FromStr for Person {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('@') {
            text.parse()
                .map(Self::Address)
                .map_err(|error: InvalidEmail| error.to_string())
        } else {
            text.parse()
                .map(Self::Number)
                .map_err(|_| "a person is named by a number or an e-mail address".to_owned())
        }
    }
}

impl Person {
    /// Who that is, if they were invited.
    async fn find(self, app: &App) -> Result<UserId, ApiError> {
        match self {
            Self::Number(id) => Ok(id),
            Self::Address(email) => app.ports.access.members.person(&email).await?.ok_or_else(|| {
                catalogue::NOT_FOUND.with("nobody was invited by that address: a platform admin can do that")
            }),
        }
    }
}

fn unknown(id: UserId) -> ApiError {
    catalogue::NOT_FOUND.with(format!("there is no user {id}"))
}
