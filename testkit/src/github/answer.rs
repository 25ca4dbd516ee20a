//! Answers as GitHub forms them: the error body, the paging links.

use axum::Json;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

/// GitHub's error body.
pub(super) fn error(status: StatusCode, message: &str) -> Response {
    let body = json!({
        "message": message,
        "documentation_url": "https://docs.github.com/rest",
        "status": status.as_u16().to_string(),
    });
    (status, Json(body)).into_response()
}

/// `404 Not Found`, also for what the caller may not see.
pub(super) fn not_found() -> Response {
    error(StatusCode::NOT_FOUND, "Not Found")
}

/// `422 Validation Failed` about one field.
pub(super) fn invalid(resource: &str, field: &str, code: &str, message: &str) -> Response {
    let body = json!({
        "message": "Validation Failed",
        "errors": [{ "resource": resource, "field": field, "code": code, "message": message }],
        "documentation_url": "https://docs.github.com/rest",
        "status": "422",
    });
    (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response()
}

/// `?page=..&per_page=..&since=..` of a list.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Paging {
    #[serde(default = "first_page")]
    page: usize,
    #[serde(default = "thirty")]
    per_page: usize,
    pub since: Option<chrono::DateTime<chrono::Utc>>,
}

fn first_page() -> usize {
    1
}

fn thirty() -> usize {
    30
}

/// One page of a list with its `Link` header; `path` is the list's whole address.
pub(super) fn page(path: &str, paging: &Paging, items: Vec<Value>) -> Response {
    let size = paging.per_page.clamp(1, 100);
    let number = paging.page.max(1);
    let last = items.len().div_ceil(size).max(1);
    let link = |page: usize, rel: &str| format!("<{path}?per_page={size}&page={page}>; rel=\"{rel}\"");
    let mut links = Vec::new();
    if number > 1 {
        links.push(link(number - 1, "prev"));
    }
    if number < last {
        links.push(link(number + 1, "next"));
        links.push(link(last, "last"));
    }
    if number > 1 {
        links.push(link(1, "first"));
    }
    let shown: Vec<Value> = items.into_iter().skip((number - 1) * size).take(size).collect();
    let mut response = Json(shown).into_response();
    if let Ok(value) = HeaderValue::from_str(&links.join(", "))
        && !links.is_empty()
    {
        response.headers_mut().insert("link", value);
    }
    response
}
