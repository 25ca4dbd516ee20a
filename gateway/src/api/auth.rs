//! Signing in with GitHub, staying so, signing out; and the keys that access tokens are verified with. All of it is for
//! those who aren't known yet, so each request counts against its source.

use std::sync::Arc;

use crate::app::App;
use crate::problem::ApiError;
use crate::source_limit;

pub(crate) mod keys;
pub(crate) mod session;
pub(crate) mod sign_in;

/// Counts a request that nobody vouches for. As an extractor it runs before anything is read.
pub(crate) struct Limited;

impl axum::extract::FromRequestParts<Arc<App>> for Limited {
    type Rejection = ApiError;
    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        app: &Arc<App>,
    ) -> Result<Self, ApiError> {
        source_limit::admit(&app.auth.limit, &parts.extensions)?;
        Ok(Self)
    }
}
