//! Webhooks as GitHub sends them.

use axum::body::Body;
use axum::http::Request;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::world::SECRET;

pub(crate) const PATH: &str = "/api/v1/webhooks/github";

pub(crate) const LABELED: &str = r#"{"action":"labeled","issue":{"number":7},"label":{"name":"run:dev"},
    "repository":{"full_name":"octo/demo"},"sender":{"login":"ann","type":"User"}}"#;

pub(crate) fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// The headers of a signed delivery.
pub(crate) fn headers(id: &str, event: &str, body: &[u8]) -> Vec<(&'static str, String)> {
    vec![
        ("content-type", "application/json".to_owned()),
        ("x-github-delivery", id.to_owned()),
        ("x-github-event", event.to_owned()),
        ("x-hub-signature-256", signature(SECRET, body)),
    ]
}

/// A request out of headers and body.
pub(crate) fn post(headers: &[(&'static str, String)], body: impl Into<Vec<u8>>) -> Request<Body> {
    let mut request = Request::post(PATH);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    request.body(Body::from(body.into())).unwrap()
}

/// A good delivery.
pub(crate) fn delivery(id: &str, event: &str, body: &str) -> Request<Body> {
    post(&headers(id, event, body.as_bytes()), body)
}
