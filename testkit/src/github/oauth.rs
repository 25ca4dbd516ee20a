//! GitHub's sign-in: a page on which one chooses who to be, codes that are good once and only with the verifier
//! of their PKCE challenge, and tokens that tell of the person and their addresses.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Form, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::{Extension, Json};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::Shared;
use super::answer::error;
use super::api::Caller;
use super::site::escaped;

/// An OAuth app, and the people who may sign in to it.
#[derive(Debug, Default)]
pub(super) struct Oauth {
    pub app: Option<App>,
    pub people: Vec<Person>,
    issued: Mutex<Issued>,
}

/// What GitHub knows of the product.
#[derive(Debug)]
pub(super) struct App {
    pub client_id: String,
    pub client_secret: String,
    pub redirect_uri: String,
}

/// Somebody with an account.
#[derive(Debug, Clone)]
pub struct Person {
    /// The account's name.
    pub login: String,
    /// Said beside it on the page: what this person is to the product.
    pub note: String,
    /// Addresses, and whether GitHub has verified them; the first is the primary one.
    pub emails: Vec<(String, bool)>,
}

#[derive(Debug, Default)]
struct Issued {
    codes: BTreeMap<String, Code>,
    /// Logins by token.
    tokens: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Code {
    login: String,
    challenge: String,
    redirect_uri: String,
}

impl Oauth {
    fn issued(&self) -> MutexGuard<'_, Issued> {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose token this is, if it was issued here.
    pub(super) fn login_of(&self, token: &str) -> Option<String> {
        self.issued().tokens.get(token).cloned()
    }

    fn person(&self, login: &str) -> Option<&Person> {
        self.people.iter().find(|person| person.login == login)
    }
}

/// What the browser is sent with.
#[derive(Debug, Deserialize)]
pub(super) struct Authorize {
    client_id: String,
    redirect_uri: String,
    state: String,
    #[serde(default)]
    code_challenge: String,
    #[serde(default)]
    code_challenge_method: String,
}

impl Authorize {
    /// Refuses what GitHub refuses on a page of its own, without sending the browser anywhere.
    fn refusal(&self, oauth: &Oauth) -> Option<Response> {
        let refuse = |status, text: &str| Some((status, Html(format!("<h1>{text}</h1>"))).into_response());
        let Some(app) = oauth.app.as_ref().filter(|app| app.client_id == self.client_id) else {
            return refuse(StatusCode::NOT_FOUND, "There is no such OAuth app");
        };
        if app.redirect_uri != self.redirect_uri {
            return refuse(
                StatusCode::BAD_REQUEST,
                "The redirect_uri is not associated with this application",
            );
        }
        if self.code_challenge_method != "S256" || self.code_challenge.is_empty() {
            return refuse(StatusCode::BAD_REQUEST, "This GitHub wants PKCE with S256");
        }
        None
    }
}

/// The page with the choice.
pub(super) async fn choose(State(shared): State<Arc<Shared>>, Query(wish): Query<Authorize>) -> Response {
    if let Some(refusal) = wish.refusal(&shared.oauth) {
        return refusal;
    }
    let hidden = |name: &str, value: &str| {
        format!(
            "<input type=\"hidden\" name=\"{name}\" value=\"{}\">",
            escaped(value)
        )
    };
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>Sign in to the simulated GitHub</title>\
         <style>body{font:16px/1.5 sans-serif;max-width:32rem;margin:3rem auto;padding:0 1rem}\
         button{display:block;width:100%;margin:.5rem 0;padding:.75rem;text-align:left;font:inherit}</style>\
         <h1>Sign in as</h1><p>This is a simulated GitHub: choose who to be.</p>\
         <form method=\"post\" action=\"/login/oauth/authorize\">",
    );
    for (name, value) in [
        ("client_id", &wish.client_id),
        ("redirect_uri", &wish.redirect_uri),
        ("state", &wish.state),
        ("code_challenge", &wish.code_challenge),
        ("code_challenge_method", &wish.code_challenge_method),
    ] {
        page.push_str(&hidden(name, value));
    }
    for Person { login, note, .. } in &shared.oauth.people {
        let (login, note) = (escaped(login), escaped(note));
        let _ = write!(
            page,
            "<button name=\"login\" value=\"{login}\"><strong>{login}</strong> - {note}</button>"
        );
    }
    page.push_str("<button name=\"login\" value=\"\">Cancel</button></form></html>");
    Html(page).into_response()
}

/// The choice that was made.
#[derive(Debug, Deserialize)]
pub(super) struct Choice {
    #[serde(flatten)]
    wish: Authorize,
    login: String,
}

/// Sends the browser back with a code, or with `access_denied`.
pub(super) async fn chosen(State(shared): State<Arc<Shared>>, Form(choice): Form<Choice>) -> Response {
    let Choice { wish, login } = choice;
    if let Some(refusal) = wish.refusal(&shared.oauth) {
        return refusal;
    }
    let Ok(mut back) = wish.redirect_uri.parse::<Url>() else {
        return error(StatusCode::BAD_REQUEST, "redirect_uri");
    };
    if login.is_empty() {
        back.query_pairs_mut()
            .append_pair("error", "access_denied")
            .append_pair(
                "error_description",
                "The user has denied your application access.",
            );
    } else if shared.oauth.person(&login).is_some() {
        let code = hex::encode(rand::random::<[u8; 10]>());
        back.query_pairs_mut().append_pair("code", &code);
        let issued = Code {
            login,
            challenge: wish.code_challenge,
            redirect_uri: wish.redirect_uri,
        };
        shared.oauth.issued().codes.insert(code, issued);
    } else {
        return error(StatusCode::NOT_FOUND, "Not Found");
    }
    back.query_pairs_mut().append_pair("state", &wish.state);
    Redirect::to(back.as_str()).into_response()
}

/// The exchange.
#[derive(Debug, Deserialize)]
pub(super) struct Exchange {
    client_id: String,
    client_secret: String,
    code: String,
    redirect_uri: String,
    #[serde(default)]
    code_verifier: String,
}

/// A code for a token. As GitHub does it, a refusal is a 200 with an `error`.
pub(super) async fn exchange(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Json(wish): Json<Exchange>,
) -> Response {
    let accepts = headers
        .get(header::ACCEPT)
        .is_some_and(|value| value == "application/json");
    if !accepts {
        return error(
            StatusCode::NOT_ACCEPTABLE,
            "This GitHub answers here in JSON only",
        );
    }
    let refuse = |code: &str| Json(json!({ "error": code, "error_description": code })).into_response();
    let app = shared.oauth.app.as_ref();
    if !app.is_some_and(|app| app.client_id == wish.client_id && app.client_secret == wish.client_secret) {
        return refuse("incorrect_client_credentials");
    }
    let mut issued = shared.oauth.issued();
    let Some(code) = issued.codes.remove(&wish.code) else {
        return refuse("bad_verification_code");
    };
    if code.redirect_uri != wish.redirect_uri {
        return refuse("redirect_uri_mismatch");
    }
    if URL_SAFE_NO_PAD.encode(Sha256::digest(&wish.code_verifier)) != code.challenge {
        return refuse("bad_verification_code");
    }
    let token = format!("gho_{}", hex::encode(rand::random::<[u8; 18]>()));
    issued.tokens.insert(token.clone(), code.login);
    Json(json!({ "access_token": token, "scope": "user:email", "token_type": "bearer" })).into_response()
}

/// The caller's addresses.
pub(super) async fn emails(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    _: Request,
) -> Json<Value> {
    let person = shared.oauth.person(&caller.0);
    let emails = person.map(|person| person.emails.as_slice()).unwrap_or_default();
    let listed = emails.iter().enumerate().map(|(index, (email, verified))| {
        json!({ "email": email, "primary": index == 0, "verified": verified, "visibility": null })
    });
    Json(listed.collect())
}
