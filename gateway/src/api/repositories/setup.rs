//! Whether a repository is set up on the forge, and what makes it so: token, webhook, labels.

use std::sync::Arc;

use axum::extract::State;
use domain::access::Right;
use domain::port::PortError;
use domain::port::staff::RepositorySetup;
use domain::project::{CheckName, CheckState, Kept, Preflight, RepositorySummary};
use domain::{RepositoryId, Secret};
use serde::Deserialize;
use utoipa::ToSchema;

use super::find;
use super::view::Repository;
use crate::app::App;
use crate::auth::guard::Who;
use crate::json::Body;
use crate::precondition::{Seen, Tagged, stale};
use crate::problem::{ApiError, catalogue};
use crate::query::{Id, NoParams};

/// The forge, and where it is to tell us what happens.
fn forge(app: &App) -> Result<(&dyn RepositorySetup, String), ApiError> {
    let origin = app.settings.public_url.as_deref();
    match (app.ports.setup.as_deref(), origin) {
        (Some(setup), Some(origin)) => Ok((setup, format!("{origin}/api/v1/webhooks/github"))),
        _ => Err(catalogue::FORGE_NOT_CONFIGURED
            .with("the gateway doesn't know the forge or its own public address: see its configuration")),
    }
}

/// What the forge refuses is for the one who asked.
fn refused(error: PortError) -> ApiError {
    match error {
        PortError::Refused {
            part: "github",
            reason,
        } => catalogue::FORGE_REFUSED.with(reason),
        error => error.into(),
    }
}

/// Looks anew, and notes what was found.
async fn look(app: &App, repository: &RepositorySummary) -> Result<Preflight, ApiError> {
    let (setup, hook_url) = forge(app)?;
    let desk = &app.ports.staff.repositories;
    let token = desk.token(repository.id).await?;
    let found = setup
        .preflight(token.as_ref(), &repository.name, &hook_url)
        .await
        .map_err(refused)?;
    desk.note_preflight(repository.id, &found).await?;
    Ok(found)
}

/// The repository with what was found.
async fn shown(app: &App, who: &Who, id: RepositoryId) -> Result<Tagged<Repository>, ApiError> {
    let found = find(app, who, id, Right::ProjectRead).await?;
    Ok(Tagged(found.into()))
}

/// Looks whether a repository is set up: token, webhook, labels.
#[utoipa::path(
    post,
    path = "/api/v1/staff/repositories/{id}/preflight",
    operation_id = "preflight_repository",
    tag = "repositories",
    security(("staff" = [])),
    extensions(("x-right" = json!("project_admin"))),
    params(("id" = i64, Path, description = "The repository")),
    responses(
        (status = 200, description = "What was found", body = Repository),
        (status = 503, description = "The forge can't be reached"),
    )
)]
pub(crate) async fn preflight(
    State(app): State<Arc<App>>,
    who: Who,
    Id(id): Id<RepositoryId>,
    _: NoParams,
) -> Result<Tagged<Repository>, ApiError> {
    let repository = find(&app, &who, id, Right::ProjectAdmin).await?;
    look(&app, &repository).await?;
    shown(&app, &who, id).await
}

fn was_as_seen(kept: &Kept<()>) -> Result<(), ApiError> {
    match kept {
        Kept::Stale => Err(stale()),
        // Who asks for it next learns if it is gone.
        Kept::Done(()) | Kept::NotFound | Kept::Taken => Ok(()),
    }
}

/// A token for the forge.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RepositoryTokenWish {
    /// As the forge gave it; it is kept sealed and never shown again.
    #[schema(format = Password, write_only)]
    token: String,
}

/// Gives a repository a token of its own, in place of the one before, once the forge accepts it and it sees the
/// repository.
#[utoipa::path(
    put,
    path = "/api/v1/staff/repositories/{id}/token",
    operation_id = "set_repository_token",
    tag = "repositories",
    security(("staff" = [])),
    extensions(("x-right" = json!("project_admin"))),
    params(("id" = i64, Path, description = "The repository"), Seen),
    request_body = RepositoryTokenWish,
    responses(
        (status = 200, description = "It is used from now on", body = Repository),
        (status = 422, description = "The forge refuses it, or it doesn't see the repository"),
    )
)]
pub(crate) async fn set_token(
    State(app): State<Arc<App>>,
    who: Who,
    Id(id): Id<RepositoryId>,
    Seen(seen): Seen,
    _: NoParams,
    Body(wish): Body<RepositoryTokenWish>,
) -> Result<Tagged<Repository>, ApiError> {
    let repository = find(&app, &who, id, Right::ProjectAdmin).await?;
    let token = Secret::new(wish.token.trim().to_owned());
    if !(1..=1_000).contains(&token.expose().len()) {
        return Err(catalogue::BODY_INVALID.with("`token` has 1 to 1,000 characters"));
    }
    let (setup, hook_url) = forge(&app)?;
    let found = setup
        .preflight(Some(&token), &repository.name, &hook_url)
        .await
        .map_err(refused)?;
    // A token that doesn't work would only stop what works now.
    let fatal = |name| matches!(name, CheckName::Token | CheckName::Repository);
    let failed = found
        .checks
        .iter()
        .find(|check| fatal(check.name) && check.state == CheckState::Failed);
    if let Some(failed) = failed {
        return Err(catalogue::FORGE_REFUSED.with(failed.text.clone()));
    }
    let desk = &app.ports.staff.repositories;
    let kept = desk
        .set_token(id, Some(&token), &found, &seen, &who.actor())
        .await?;
    was_as_seen(&kept)?;
    desk.note_preflight(id, &found).await?;
    shown(&app, &who, id).await
}

/// Takes a repository's own token away; the platform's is used again, if there is one.
#[utoipa::path(
    delete,
    path = "/api/v1/staff/repositories/{id}/token",
    operation_id = "remove_repository_token",
    tag = "repositories",
    security(("staff" = [])),
    extensions(("x-right" = json!("project_admin"))),
    params(("id" = i64, Path, description = "The repository"), Seen),
    responses(
        (status = 200, description = "It has none", body = Repository),
    )
)]
pub(crate) async fn remove_token(
    State(app): State<Arc<App>>,
    who: Who,
    Id(id): Id<RepositoryId>,
    Seen(seen): Seen,
    _: NoParams,
) -> Result<Tagged<Repository>, ApiError> {
    find(&app, &who, id, Right::ProjectAdmin).await?;
    let desk = &app.ports.staff.repositories;
    let kept = desk
        .set_token(id, None, &Preflight::default(), &seen, &who.actor())
        .await?;
    was_as_seen(&kept)?;
    shown(&app, &who, id).await
}

/// Makes the webhook on the forge, or brings it to what it has to be. Idempotent.
#[utoipa::path(
    post,
    path = "/api/v1/staff/repositories/{id}/webhook",
    operation_id = "ensure_webhook",
    tag = "repositories",
    security(("staff" = [])),
    extensions(("x-right" = json!("project_admin"))),
    params(("id" = i64, Path, description = "The repository")),
    responses(
        (status = 200, description = "The forge tells us what happens", body = Repository),
        (status = 422, description = "The forge refuses"),
    )
)]
pub(crate) async fn ensure_webhook(
    State(app): State<Arc<App>>,
    who: Who,
    Id(id): Id<RepositoryId>,
    _: NoParams,
) -> Result<Tagged<Repository>, ApiError> {
    let repository = find(&app, &who, id, Right::ProjectAdmin).await?;
    let (setup, hook_url) = forge(&app)?;
    let token = app.ports.staff.repositories.token(id).await?;
    // The first signs; the others are still good while it replaces them.
    let secret = app.settings.webhook_secrets.first();
    let secret = secret.ok_or_else(|| catalogue::FORGE_NOT_CONFIGURED.with("there is no webhook secret"))?;
    setup
        .ensure_webhook(token.as_ref(), &repository.name, &hook_url, secret)
        .await
        .map_err(refused)?;
    look(&app, &repository).await?;
    shown(&app, &who, id).await
}

/// Makes the labels that start runs, where they aren't there. Idempotent.
#[utoipa::path(
    post,
    path = "/api/v1/staff/repositories/{id}/labels",
    operation_id = "ensure_labels",
    tag = "repositories",
    security(("staff" = [])),
    extensions(("x-right" = json!("project_admin"))),
    params(("id" = i64, Path, description = "The repository")),
    responses(
        (status = 200, description = "They are there", body = Repository),
        (status = 422, description = "The forge refuses"),
    )
)]
pub(crate) async fn ensure_labels(
    State(app): State<Arc<App>>,
    who: Who,
    Id(id): Id<RepositoryId>,
    _: NoParams,
) -> Result<Tagged<Repository>, ApiError> {
    let repository = find(&app, &who, id, Right::ProjectAdmin).await?;
    let (setup, _) = forge(&app)?;
    let token = app.ports.staff.repositories.token(id).await?;
    setup
        .ensure_labels(token.as_ref(), &repository.name)
        .await
        .map_err(refused)?;
    look(&app, &repository).await?;
    shown(&app, &who, id).await
}
