//! The way to GitHub and back.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::Secret;
use domain::access::NewSignIn;
use serde::Deserialize;
use subtle::ConstantTimeEq;
use tracing::info;
use utoipa::IntoParams;

use super::Limited;
use crate::app::App;
use crate::auth::{cookie, secret};
use crate::problem::{ApiError, catalogue};
use crate::query::Params;

/// Where the forge sends the browser back to.
pub(crate) const CALLBACK: &str = "/api/v1/auth/github/callback";
/// For so long somebody may be at the forge.
const AT_FORGE_S: i64 = 600;
/// What a browser says of itself is kept up to here.
const MAX_USER_AGENT: usize = 200;

/// Where to go afterwards.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct BeginQuery {
    /// A path of ours to come back to, `/` if not said.
    return_to: Option<String>,
}

/// A path of our own: never another site's, however a browser reads it.
fn own_path(text: &str) -> bool {
    let rest = text.strip_prefix('/');
    let visible = text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    rest.is_some_and(|rest| !rest.starts_with('/')) && visible && text.len() <= 500
}

/// Sends the browser to GitHub.
#[utoipa::path(
    get,
    path = "/api/v1/auth/github",
    operation_id = "begin_sign_in",
    tag = "access",
    extensions(("x-right" = json!("public"))),
    params(BeginQuery),
    responses(
        (status = 303, description = "To GitHub"),
    )
)]
pub(crate) async fn begin(
    State(app): State<Arc<App>>,
    _: Limited,
    Params(query): Params<BeginQuery>,
) -> Result<Response, ApiError> {
    let sign_in = app.auth.sign_in()?;
    let return_to = query.return_to.unwrap_or_else(|| "/".to_owned());
    if !own_path(&return_to) {
        return Err(catalogue::QUERY_INVALID.with("`return_to` takes a path on this site, like `/runs`"));
    }
    let (state, verifier) = (secret::fresh()?, secret::fresh()?);
    let challenge = secret::challenge(&verifier);
    let to = sign_in
        .provider
        .authorize_url(state.expose(), &challenge, &sign_in.callback());
    let kept = format!(
        "{}.{}.{}",
        state.expose(),
        verifier.expose(),
        URL_SAFE_NO_PAD.encode(&return_to)
    );
    let cookie = cookie::SIGN_IN.set(&Secret::new(kept), AT_FORGE_S)?;
    redirect(&to, [cookie])
}

/// What GitHub sends the browser back with.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CallbackQuery {
    /// Exchanged for who it is; once.
    code: Option<String>,
    /// What we sent along.
    state: Option<String>,
    /// Why there is no code.
    error: Option<String>,
}

/// Ends the sign-in: the refresh token goes into its cookie, the browser to where it wanted to.
#[utoipa::path(
    get,
    path = "/api/v1/auth/github/callback",
    operation_id = "finish_sign_in",
    tag = "access",
    extensions(("x-right" = json!("public"))),
    params(CallbackQuery),
    responses(
        (status = 303, description = "Signed in, and back"),
        (status = 400, description = "No sign-in was begun in this browser, or it took too long"),
        (status = 403, description = "This person isn't let in"),
    )
)]
pub(crate) async fn finish(
    State(app): State<Arc<App>>,
    _: Limited,
    headers: HeaderMap,
    Params(query): Params<CallbackQuery>,
) -> Result<Response, ApiError> {
    let sign_in = app.auth.sign_in()?;
    let kept = cookie::SIGN_IN.of(&headers);
    let begun = kept
        .as_ref()
        .and_then(|kept| Begun::read(kept.expose(), query.state.as_deref()));
    let begun = begun.ok_or_else(|| {
        catalogue::SIGN_IN_STATE
            .with("this browser has begun no sign-in that this could be the end of; begin again")
    })?;
    let refused = || {
        catalogue::SIGN_IN_REFUSED.with(
            "this GitHub account isn't let in: ask for one of its verified e-mail addresses to be invited",
        )
    };
    let Some(code) = query.code.map(Secret::new) else {
        let said = query
            .error
            .unwrap_or_default()
            .escape_debug()
            .take(100)
            .collect::<String>();
        return Err(refused().because(format!("GitHub sent no code but `{said}`")));
    };
    let identity = sign_in
        .provider
        .identity(&code, &begun.verifier, &sign_in.callback())
        .await?
        .ok_or_else(|| refused().because("GitHub doesn't accept the code"))?;
    let (login, github_id) = (identity.login.clone(), identity.github_id);
    let refresh = secret::fresh()?;
    let wish = NewSignIn {
        identity,
        refresh: secret::digest(refresh.expose()),
        user_agent: user_agent(&headers),
        times: sign_in.times,
    };
    let signed_in = app.ports.access.sign_ins.sign_in(wish).await?;
    let signed_in = signed_in
        .ok_or_else(|| refused().because(format!("nobody active is invited by {login} ({github_id})")))?;
    info!(user.id = %signed_in.user, session.id = %signed_in.session, "signed in");
    let lasts_s = (signed_in.expires_at - signed_in.now).num_seconds();
    redirect(
        &begun.return_to,
        [cookie::REFRESH.set(&refresh, lasts_s)?, cookie::SIGN_IN.clear()?],
    )
}

/// A sign-in that this browser has begun.
struct Begun {
    verifier: Secret<String>,
    return_to: String,
}

impl Begun {
    /// Reads the cookie, if its state is the one that came back.
    fn read(kept: &str, state: Option<&str>) -> Option<Self> {
        let mut parts = kept.split('.');
        let (own, verifier, return_to) = (parts.next()?, parts.next()?, parts.next()?);
        let same = secret::digest(own).0.ct_eq(&secret::digest(state?).0);
        let return_to = String::from_utf8(URL_SAFE_NO_PAD.decode(return_to).ok()?).ok()?;
        // The cookie is the browser's: what we wrote there may be another's by now.
        let good = bool::from(same) && !own.is_empty() && own_path(&return_to);
        good.then(|| Self {
            verifier: Secret::new(verifier.to_owned()),
            return_to,
        })
    }
}

fn user_agent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::USER_AGENT)?.to_str().ok()?;
    Some(text.chars().take(MAX_USER_AGENT).collect())
}

/// To another address, with cookies; without telling it where we come from.
fn redirect<const N: usize>(to: &str, cookies: [HeaderValue; N]) -> Result<Response, ApiError> {
    let to = HeaderValue::try_from(to).map_err(|_| {
        catalogue::INTERNAL
            .with("see the server's log for this request id")
            .because("an address to redirect to can't be written")
    })?;
    let mut response = StatusCode::SEE_OTHER.into_response();
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, to);
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    for cookie in cookies {
        headers.append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_site() {
        for good in ["/", "/runs", "/runs/1?tab=log#L10", "/a//b"] {
            assert!(own_path(good), "{good}");
        }
        let long = format!("/{}", "a".repeat(500));
        for bad in [
            "",
            "runs",
            "//evil.test",
            "/\\evil.test",
            "\\\\evil.test",
            "https://evil.test",
            "/\t/evil.test",
            "/a b",
            "/\r\nx: y",
            "/ü",
            &long,
        ] {
            assert!(!own_path(bad), "{bad}");
        }
    }

    #[test]
    fn a_sign_in_ends_in_the_browser_where_it_began() {
        let kept = |to: &str| format!("the-state.the-verifier.{}", URL_SAFE_NO_PAD.encode(to));
        let begun = Begun::read(&kept("/runs"), Some("the-state")).unwrap();
        assert_eq!(begun.return_to, "/runs");
        assert_eq!(begun.verifier.expose(), "the-verifier");
        for state in [None, Some(""), Some("another")] {
            assert!(Begun::read(&kept("/runs"), state).is_none(), "{state:?}");
        }
        assert!(Begun::read(&kept("//evil.test"), Some("the-state")).is_none());
        assert!(Begun::read("..", Some("")).is_none());
    }
}
