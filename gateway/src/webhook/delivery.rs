//! From a verified request to a [`NewDelivery`].

use axum::http::{HeaderMap, header};
use domain::DeliveryId;
use domain::delivery::NewDelivery;
use sha2::{Digest, Sha256};

use super::{form, glance};
use crate::problem::{ApiError, catalogue};
use crate::traceparent;

const MAX_EVENT_BYTES: usize = 64;

/// Reads headers and payload of a delivery whose signature is good.
pub(crate) fn read(headers: &HeaderMap, body: Vec<u8>) -> Result<NewDelivery, ApiError> {
    let id = id(headers)?;
    let event = event(headers)?;
    let encoding = encoding(headers)?;
    let body_sha256 = Sha256::digest(&body).into();
    let payload = match encoding {
        Encoding::Json => body,
        Encoding::Form => form::payload(&body)?,
    };
    let glance = glance::glance(&payload).map_err(|reason| catalogue::JSON_INVALID.with(reason))?;
    Ok(NewDelivery {
        id,
        event,
        action: glance.action,
        repository: glance.repository,
        sender: glance.sender,
        body_sha256,
        payload,
        traceparent: Some(traceparent::continue_or_begin(headers)),
    })
}

/// The header's text if it is there exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

fn id(headers: &HeaderMap) -> Result<DeliveryId, ApiError> {
    only(headers, "x-github-delivery")
        .and_then(|text| DeliveryId::new(text).ok())
        .ok_or_else(|| {
            catalogue::DELIVERY_HEADER_INVALID
                .with("X-GitHub-Delivery must be there once: 1 to 128 characters of A-Z a-z 0-9 . _ -")
        })
}

fn event(headers: &HeaderMap) -> Result<String, ApiError> {
    let allowed = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_');
    only(headers, "x-github-event")
        .filter(|text| (1..=MAX_EVENT_BYTES).contains(&text.len()) && text.bytes().all(allowed))
        .map(str::to_owned)
        .ok_or_else(|| {
            catalogue::EVENT_HEADER_INVALID
                .with("X-GitHub-Event must be there once: 1 to 64 characters of a-z 0-9 _")
        })
}

enum Encoding {
    Json,
    Form,
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, ApiError> {
    let media_type = only(headers, header::CONTENT_TYPE.as_str()).and_then(|text| text.split(';').next());
    match media_type.map(|text| text.trim().to_ascii_lowercase()).as_deref() {
        Some("application/json") => Ok(Encoding::Json),
        Some("application/x-www-form-urlencoded") => Ok(Encoding::Form),
        _ => Err(catalogue::CONTENT_TYPE
            .with("send `application/json` or `application/x-www-form-urlencoded` with a field `payload`")),
    }
}
