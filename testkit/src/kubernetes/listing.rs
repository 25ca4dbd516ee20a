//! Lists, whole or in pages.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::object;
use super::routes::Query;
use super::selector::Selector;
use super::status::ApiError;
use super::store::Store;
use super::writes::Target;

/// The list that the target and the query describe.
pub(crate) fn list(store: &Store, target: &Target, query: &Query) -> Result<Value, ApiError> {
    let resource = target.resource;
    let selector = Selector::parse(query.text("labelSelector"), query.text("fieldSelector"))?;
    let limit = usize::try_from(query.number("limit")?.unwrap_or(0)).unwrap_or(0);
    check_version(store, query)?;
    let (version, after) = match query.text("continue") {
        "" => (store.version(), None),
        token => {
            let page = read_token(token)?;
            if !store.can_continue_from(page.0) {
                return Err(ApiError::expired(
                    "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.",
                ));
            }
            (page.0, Some((page.1, page.2)))
        }
    };
    let namespace = Some(target.namespace.as_str()).filter(|n| !n.is_empty());
    let matching: Vec<_> = store
        .list(resource, namespace)
        .filter(|o| {
            after
                .as_ref()
                .is_none_or(|last| (object::namespace(o), object::name(o)) > (&*last.0, &*last.1))
        })
        .filter(|o| selector.matches(o))
        .collect();
    let taken = if limit == 0 {
        matching.len()
    } else {
        limit.min(matching.len())
    };
    let items: Vec<Value> = matching[..taken]
        .iter()
        .map(|found| {
            // As the real server: the elements' type is the list's.
            let mut item = (***found).clone();
            let members = object::members(&mut item);
            members.remove("kind");
            members.remove("apiVersion");
            item
        })
        .collect();
    let mut metadata = json!({ "resourceVersion": version.to_string() });
    if taken < matching.len()
        && let Some(last) = matching[..taken].last()
    {
        let page = json!([version, object::namespace(last), object::name(last)]).to_string();
        metadata["continue"] = BASE64_URL_SAFE_NO_PAD.encode(page).into();
        metadata["remainingItemCount"] = (matching.len() - taken).into();
    }
    Ok(json!({
        "kind": format!("{}List", resource.kind), "apiVersion": resource.api_version(),
        "metadata": metadata, "items": items,
    }))
}

fn check_version(store: &Store, query: &Query) -> Result<(), ApiError> {
    let text = query.text("resourceVersion");
    if text.is_empty() {
        return Ok(());
    }
    let version = parse_version(text)?;
    if version > store.version() {
        let message = format!(
            "Too large resource version: {version}, current: {}",
            store.version()
        );
        return Err(ApiError::new(504, "Timeout", message));
    }
    if query.text("resourceVersionMatch") == "Exact" && !store.can_continue_from(version) {
        return Err(ApiError::expired(
            "The resourceVersion for the provided list is too old.",
        ));
    }
    Ok(())
}

/// A resource version as clients send it.
pub(crate) fn parse_version(text: &str) -> Result<u64, ApiError> {
    text.parse().map_err(|_| {
        ApiError::bad_request(format!(
            "Invalid value: {text:?}: resourceVersion must be a number"
        ))
    })
}

fn read_token(token: &str) -> Result<(u64, String, String), ApiError> {
    BASE64_URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or_else(|| ApiError::bad_request("continue key is not valid"))
}
