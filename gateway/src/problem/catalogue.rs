//! Every kind of problem that the gateway answers with, in one place.

use std::borrow::Cow;

use axum::http::StatusCode;

use super::ApiError;

/// A kind of problem.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// For programs; stable.
    pub(crate) code: &'static str,
    /// The HTTP status.
    pub(crate) status: StatusCode,
    /// For people; the same at each occurrence.
    pub(crate) title: &'static str,
    /// Whether the answer names the bearer scheme.
    pub(crate) bearer: bool,
}

impl Kind {
    /// An error of this kind.
    pub(crate) fn with(&'static self, detail: impl Into<Cow<'static, str>>) -> ApiError {
        ApiError::new(self, detail)
    }
}

macro_rules! catalogue {
    ($($name:ident = $status:ident, $code:literal, $title:literal;)+) => {
        $(pub(crate) static $name: Kind =
            Kind { code: $code, status: StatusCode::$status, title: $title, bearer: false };)+

        /// Every kind but those of the bearer scheme.
        #[cfg(test)]
        static ALL: &[&Kind] = &[$(&$name),+];
    };
}

catalogue! {
    BAD_REQUEST = BAD_REQUEST, "bad_request", "The request can't be read";
    QUERY_INVALID = BAD_REQUEST, "query_invalid", "The query string is not as documented";
    PATH_INVALID = BAD_REQUEST, "path_invalid", "The path is not as documented";
    CURSOR_INVALID = BAD_REQUEST, "cursor_invalid", "The cursor is none of ours";
    BODY_INVALID = BAD_REQUEST, "body_invalid", "The body is not as documented";
    BODY_INCOMPLETE = BAD_REQUEST, "body_incomplete", "The body ended too early";
    DELIVERY_HEADER_INVALID = BAD_REQUEST, "delivery_header_invalid", "X-GitHub-Delivery is not usable";
    EVENT_HEADER_INVALID = BAD_REQUEST, "event_header_invalid", "X-GitHub-Event is not usable";
    JSON_INVALID = BAD_REQUEST, "json_invalid", "The payload is not a complete JSON object";
    FORM_INVALID = BAD_REQUEST, "form_invalid", "The form has no readable `payload` field";
    SIGNATURE_MISSING = UNAUTHORIZED, "signature_missing", "The delivery is not signed";
    SIGNATURE_SHA1_ONLY = UNAUTHORIZED, "signature_sha1_only", "The delivery is signed with SHA-1 only";
    SIGNATURE_MALFORMED = UNAUTHORIZED, "signature_malformed", "The signature can't be read";
    SIGNATURE_MISMATCH = UNAUTHORIZED, "signature_mismatch", "The signature is wrong";
    SIGN_IN_STATE = BAD_REQUEST, "sign_in_state", "No sign-in was begun in this browser";
    DEVICE_PENDING = BAD_REQUEST, "device_pending", "Nobody has confirmed the code yet";
    DEVICE_DENIED = BAD_REQUEST, "device_denied", "The sign-in was denied";
    DEVICE_GONE = BAD_REQUEST, "device_gone", "There is no such sign-in any more";
    SIGNED_OUT = UNAUTHORIZED, "signed_out", "Nobody is signed in here";
    SIGN_IN_REFUSED = FORBIDDEN, "sign_in_refused", "This person isn't let in";
    ORIGIN_REFUSED = FORBIDDEN, "origin_refused", "Another site asks";
    FORBIDDEN = FORBIDDEN, "forbidden", "The right for this is missing";
    ACCESS_NOT_CONFIGURED = FORBIDDEN, "access_not_configured", "Access to the staff API is not configured";
    NOT_FOUND = NOT_FOUND, "not_found", "There is no such thing";
    METHOD_NOT_ALLOWED = METHOD_NOT_ALLOWED, "method_not_allowed", "The method does not fit the resource";
    BODY_SLOW = REQUEST_TIMEOUT, "body_slow", "The body took too long to arrive";
    DELIVERY_BODY_MISMATCH = CONFLICT, "delivery_body_mismatch", "The delivery is known with another body";
    DELIVERY_STILL_OPEN = CONFLICT, "delivery_still_open", "The delivery's job has not finished";
    NAME_TAKEN = CONFLICT, "name_taken", "The name is taken";
    OWNER_STAYS = CONFLICT, "owner_stays", "The owner stays what it is";
    JOB_STATE = CONFLICT, "job_state", "The job's state does not allow it";
    RUN_STATE = CONFLICT, "run_state", "The run's state does not allow it";
    CHANGED_MEANWHILE = PRECONDITION_FAILED, "changed_meanwhile", "Somebody has changed it meanwhile";
    PRECONDITION_INVALID = BAD_REQUEST, "precondition_invalid", "If-Match or If-None-Match can't be read";
    IDEMPOTENCY_IN_PROGRESS = CONFLICT, "idempotency_in_progress", "The same request is being carried out";
    IDEMPOTENCY_SECRET = CONFLICT, "idempotency_secret", "The answer was not kept";
    IDEMPOTENCY_KEY_REUSED = UNPROCESSABLE_ENTITY, "idempotency_key_reused", "The key belongs to another request";
    IDEMPOTENCY_KEY_INVALID = BAD_REQUEST, "idempotency_key_invalid", "Idempotency-Key is not usable";
    PAYLOAD_GONE = GONE, "payload_gone", "The payload is not kept any more";
    BODY_TOO_LARGE = PAYLOAD_TOO_LARGE, "body_too_large", "The body is too large";
    CONTENT_TYPE = UNSUPPORTED_MEDIA_TYPE, "content_type", "The content type is not supported";
    FORGE_REFUSED = UNPROCESSABLE_ENTITY, "forge_refused", "The forge refuses";
    RATE_LIMITED = TOO_MANY_REQUESTS, "rate_limited", "Too many requests from this source";
    TOO_MANY_STREAMS = TOO_MANY_REQUESTS, "too_many_streams", "Too many streams of one person";
    INTERNAL = INTERNAL_SERVER_ERROR, "internal", "Something is broken on our side";
    UNAVAILABLE = SERVICE_UNAVAILABLE, "unavailable", "Something that we need is not available";
    NOT_READY = SERVICE_UNAVAILABLE, "not_ready", "Not ready for traffic";
    FORGE_NOT_CONFIGURED = SERVICE_UNAVAILABLE, "forge_not_configured", "The forge is not configured";
    BACKLOG_FULL = SERVICE_UNAVAILABLE, "backlog_full", "Too many deliveries are waiting";
    BODY_MEMORY_FULL = SERVICE_UNAVAILABLE, "body_memory_full", "Too many large bodies are in flight";
    STREAMS_FULL = SERVICE_UNAVAILABLE, "streams_full", "Too many streams are open";
    TIMEOUT = SERVICE_UNAVAILABLE, "timeout", "The answer took too long";
}

/// No or a wrong bearer token.
pub(crate) static TOKEN_REFUSED: Kind = Kind {
    code: "token_refused",
    status: StatusCode::UNAUTHORIZED,
    title: "The bearer token is missing or wrong",
    bearer: true,
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_all_are_errors() {
        let codes: BTreeSet<_> = ALL
            .iter()
            .map(|kind| kind.code)
            .chain([TOKEN_REFUSED.code])
            .collect();
        assert_eq!(codes.len(), ALL.len() + 1);
        for kind in ALL {
            assert!(
                kind.status.is_client_error() || kind.status.is_server_error(),
                "{kind:?}"
            );
        }
    }
}
