//! The keys that access tokens are verified with.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use utoipa::ToSchema;

use super::Limited;
use crate::app::App;
use crate::problem::ApiError;
use crate::query::NoParams;

/// Public keys (RFC 7517).
#[derive(Serialize, ToSchema)]
pub(crate) struct KeySet {
    /// Those that sign, will sign soon, or still verify.
    keys: Vec<PublicKey>,
}

/// One public key (RFC 8037).
#[derive(Serialize, ToSchema)]
pub(crate) struct PublicKey {
    /// `OKP`.
    #[schema(value_type = String)]
    kty: &'static str,
    /// `Ed25519`.
    #[schema(value_type = String)]
    crv: &'static str,
    /// `sig`.
    #[serde(rename = "use")]
    #[schema(value_type = String)]
    usage: &'static str,
    /// `EdDSA`.
    #[schema(value_type = String)]
    alg: &'static str,
    /// Its name.
    kid: String,
    /// The key, base64url.
    x: String,
}

/// The keys that access tokens are verified with.
#[utoipa::path(
    get,
    path = "/api/v1/auth/keys",
    operation_id = "list_keys",
    tag = "access",
    extensions(("x-right" = json!("public"))),
    responses(
        (status = 200, description = "A JSON Web Key Set", body = KeySet),
    )
)]
pub(crate) async fn keys(
    State(app): State<Arc<App>>,
    _: Limited,
    _: NoParams,
) -> Result<Json<KeySet>, ApiError> {
    let published = app.auth.sign_in()?.keys.published().await?;
    let keys = published.iter().map(|key| PublicKey {
        kty: "OKP",
        crv: "Ed25519",
        usage: "sig",
        alg: "EdDSA",
        kid: key.id.clone(),
        x: URL_SAFE_NO_PAD.encode(key.public),
    });
    Ok(Json(KeySet { keys: keys.collect() }))
}
