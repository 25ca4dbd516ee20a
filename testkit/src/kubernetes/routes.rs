//! From an HTTP request to a verb on a resource, and back.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::access::{self, Attempt, Subject, escalation};
use super::cluster::Cluster;
use super::object;
use super::resource::Resource;
use super::status::ApiError;
use super::writes::{self, DeleteOptions, Deleted, PatchKind, Target, Writer};
use super::{discovery, listing, pod_log, watch};

const BODY_LIMIT_BYTES: usize = 3 * 1024 * 1024;

/// The parameters behind the `?`.
#[derive(Debug, Default)]
pub(crate) struct Query(HashMap<String, String>);

impl Query {
    fn parse(query: &str) -> Self {
        Self(
            url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    pub(crate) fn is_true(&self, name: &str) -> bool {
        matches!(self.text(name), "true" | "1")
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, ApiError> {
        match self.text(name) {
            "" => Ok(None),
            text => text
                .parse()
                .map(Some)
                .map_err(|_| ApiError::bad_request(format!("{name} must be a number, not {text:?}"))),
        }
    }
}

/// The one handler behind all paths.
pub(crate) async fn handle(State(cluster): State<Arc<Cluster>>, request: Request) -> Response {
    let delay = cluster.faults.delay();
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    if let Some(code) = cluster.faults.take_failure() {
        let reason = if code == 429 {
            "TooManyRequests"
        } else {
            "InternalError"
        };
        let mut response = ApiError::new(code, reason, "a failure that was asked for").into_response();
        if code == 429 {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        return response;
    }
    answer(&cluster, request)
        .await
        .unwrap_or_else(IntoResponse::into_response)
}

async fn answer(cluster: &Arc<Cluster>, request: Request) -> Result<Response, ApiError> {
    let path = request.uri().path().to_owned();
    let segments: Vec<String> = path
        .split('/')
        .filter(|s| !s.is_empty())
        .map(percent_decoded)
        .collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    if let ["healthz" | "livez" | "readyz"] = segments.as_slice() {
        return Ok("ok".into_response());
    }
    let subject = access::authenticate(&cluster.settings.tokens, request.headers())?;
    if request.method() == Method::GET
        && let Some(found) = discovery::answer(&segments)
    {
        return Ok(json_response(StatusCode::OK, &found));
    }
    let target = target_of(&segments).ok_or_else(ApiError::unknown_path)?;
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let verb = verb(request.method(), &target, &query)?;
    let attempt = Attempt {
        verb,
        resource: target.resource,
        subresource: &target.subresource,
        namespace: &target.namespace,
        name: &target.name,
    };
    access::authorize(&cluster.store(), &subject, &attempt)?;
    match (verb, target.subresource.as_str()) {
        ("get", "log") => pod_log::answer(cluster, &target, &query),
        ("get", _) => {
            let store = cluster.store();
            let found = store.get(target.resource, &target.namespace, &target.name);
            let found = found.ok_or_else(|| ApiError::not_found(target.resource, &target.name))?;
            Ok(json_response(StatusCode::OK, found))
        }
        ("list", _) => Ok(json_response(
            StatusCode::OK,
            &listing::list(&cluster.store(), &target, &query)?,
        )),
        ("watch", _) => watch::answer(cluster, &target, &query),
        _ => write(cluster, request, &subject, verb, &target, &query).await,
    }
}

async fn write(
    cluster: &Arc<Cluster>,
    request: Request,
    subject: &Subject,
    verb: &str,
    target: &Target,
    query: &Query,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let header = |name| {
        parts
            .headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let content_type = header(header::CONTENT_TYPE);
    let bytes = to_bytes(body, BODY_LIMIT_BYTES)
        .await
        .map_err(|_| ApiError::new(413, "RequestEntityTooLarge", "the body is longer than 3 MiB"))?;
    let body = parse_body(&bytes, &content_type)?;
    let agent = header(header::USER_AGENT);
    let apply = content_type.starts_with("application/apply-patch");
    let manager = match query.text("fieldManager") {
        "" if apply => String::new(),
        "" => agent
            .split('/')
            .next()
            .filter(|a| !a.is_empty())
            .unwrap_or("unknown")
            .to_owned(),
        manager => manager.to_owned(),
    };
    let dry_run = query.text("dryRun") == "All";
    let strict = query.text("fieldValidation") == "Strict";
    let writer = Writer {
        manager,
        dry_run,
        strict,
        now: cluster.timestamp(),
    };
    let mut store = cluster.store();
    if matches!(verb, "create" | "update" | "patch") {
        escalation::check(&store, subject, target, &body)?;
    }
    match verb {
        "create" => {
            let made = writes::create(&mut store, target.resource, &target.namespace, body, &writer)?;
            Ok(json_response(StatusCode::CREATED, &made))
        }
        "update" => {
            let object = writes::replace(&mut store, target, body, &writer)?;
            Ok(json_response(StatusCode::OK, &object))
        }
        "patch" => {
            let kind = patch_kind(&content_type, query)?;
            let (object, created) = writes::patch(&mut store, target, kind, body, &writer)?;
            Ok(json_response(
                if created {
                    StatusCode::CREATED
                } else {
                    StatusCode::OK
                },
                &object,
            ))
        }
        "delete" => {
            let options = delete_options(body, query)?;
            match writes::delete(&mut store, target, &options, cluster.now())? {
                Deleted::Marked(object) => Ok(json_response(StatusCode::OK, &object)),
                Deleted::Gone(object) => {
                    let mut details = json!({
                        "name": target.name, "kind": target.resource.plural, "uid": object::uid(&object),
                    });
                    if !target.resource.group.is_empty() {
                        details["group"] = target.resource.group.into();
                    }
                    let status = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {},
                        "status": "Success", "details": details });
                    Ok(json_response(StatusCode::OK, &status))
                }
            }
        }
        _ => {
            let options = delete_options(body, query)?;
            let listed = listing::list(&store, target, query)?;
            for item in object::items(&listed["items"]) {
                let one = Target::of(target.resource, item);
                writes::delete(&mut store, &one, &options, cluster.now())?;
            }
            Ok(json_response(StatusCode::OK, &listed))
        }
    }
}

fn parse_body(bytes: &[u8], content_type: &str) -> Result<Value, ApiError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    if content_type.contains("protobuf") {
        return Err(ApiError::unsupported_media_type(&[
            "application/json",
            "application/yaml",
        ]));
    }
    let unreadable = |error: String| {
        ApiError::bad_request(format!("the body of the request could not be decoded: {error}"))
    };
    match serde_json::from_slice(bytes) {
        Err(_) if content_type.contains("yaml") => {
            serde_saphyr::from_slice(bytes).map_err(|error| unreadable(error.to_string()))
        }
        read => read.map_err(|error| unreadable(error.to_string())),
    }
}

fn patch_kind(content_type: &str, query: &Query) -> Result<PatchKind, ApiError> {
    let kind = match content_type.split(';').next().unwrap_or_default().trim() {
        "application/merge-patch+json" => PatchKind::Merge,
        "application/strategic-merge-patch+json" => PatchKind::Strategic,
        "application/apply-patch+yaml" => {
            return Ok(PatchKind::Apply {
                force: query.is_true("force"),
            });
        }
        _ => {
            return Err(ApiError::unsupported_media_type(&[
                "application/merge-patch+json",
                "application/strategic-merge-patch+json",
                "application/apply-patch+yaml",
            ]));
        }
    };
    if query.text("force").is_empty() {
        return Ok(kind);
    }
    Err(ApiError::new(
        422,
        "Invalid",
        "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch",
    ))
}

fn delete_options(body: Value, query: &Query) -> Result<DeleteOptions, ApiError> {
    let mut options: DeleteOptions = match body {
        Value::Null => DeleteOptions::default(),
        body => serde_json::from_value(body)
            .map_err(|error| ApiError::bad_request(format!("unable to decode DeleteOptions: {error}")))?,
    };
    if let Some(seconds) = query.number("gracePeriodSeconds")? {
        options.grace_period_seconds = Some(seconds);
    }
    if !query.text("propagationPolicy").is_empty() {
        options.propagation_policy = Some(query.text("propagationPolicy").to_owned());
    }
    if query.text("dryRun") == "All" {
        options.dry_run = vec!["All".into()];
    }
    Ok(options)
}

fn verb(method: &Method, target: &Target, query: &Query) -> Result<&'static str, ApiError> {
    let (named, sub) = (!target.name.is_empty(), target.subresource.as_str());
    let verb = match (method.as_str(), named) {
        ("GET", true) => "get",
        ("GET", false) if query.is_true("watch") => "watch",
        ("GET", false) => "list",
        ("POST", false) if !target.resource.namespaced || !target.namespace.is_empty() => "create",
        ("PUT", true) => "update",
        ("PATCH", true) => "patch",
        ("DELETE", true) => "delete",
        ("DELETE", false) => "deletecollection",
        _ => return Err(ApiError::method_not_allowed()),
    };
    let allowed = match sub {
        "" => true,
        "log" => verb == "get",
        "finalize" => verb == "update",
        _ => matches!(verb, "get" | "update" | "patch"),
    };
    if allowed {
        Ok(verb)
    } else {
        Err(ApiError::method_not_allowed())
    }
}

fn target_of(segments: &[&str]) -> Option<Target> {
    let (group, version, rest) = match segments {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return None,
    };
    let target = |namespace: &str, plural: &str, name: &str, subresource: &str| {
        let resource = Resource::find(group, version, plural)?;
        let fits = namespace.is_empty() || resource.namespaced;
        let known = match subresource {
            "" => true,
            "status" => resource.status,
            "log" => resource.kind == "Pod",
            "finalize" => resource.kind == "Namespace",
            _ => false,
        };
        (fits && known).then(|| Target {
            resource,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: subresource.to_owned(),
        })
    };
    match rest {
        ["namespaces", name, sub @ ("status" | "finalize")] => target("", "namespaces", name, sub),
        ["namespaces", namespace, plural] => target(namespace, plural, "", ""),
        ["namespaces", namespace, plural, name] => target(namespace, plural, name, ""),
        ["namespaces", namespace, plural, name, sub] => target(namespace, plural, name, sub),
        [plural] => target("", plural, "", ""),
        [plural, name] => target("", plural, name, "").filter(|t| !t.resource.namespaced),
        [plural, name, sub] => target("", plural, name, sub).filter(|t| !t.resource.namespaced),
        _ => None,
    }
}

fn percent_decoded(segment: &str) -> String {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = (first == b'%')
            .then(|| tail.get(..2).and_then(|digits| hex::decode(digits).ok()))
            .flatten();
        if let Some(byte) = escaped {
            bytes.extend(byte);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn json_response(code: StatusCode, value: &Value) -> Response {
    let body = Body::from(value.to_string());
    (code, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
