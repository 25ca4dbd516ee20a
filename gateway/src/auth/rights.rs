//! Which right each route demands: what its description says, as `x-right`. A route of the staff API that says none is
//! closed to everybody.

use std::collections::HashMap;

use axum::http::Method;
use domain::access::Right;
use serde_json::Value;
use utoipa::openapi::OpenApi;

/// The extension's name.
pub(crate) const EXTENSION: &str = "x-right";

/// Rights by path and method; none where an operation declares none.
pub(crate) struct Rights(HashMap<String, HashMap<Method, Option<Right>>>);

/// What there is to know of a route and method.
pub(crate) enum Demand {
    /// This right.
    Right(Right),
    /// It is served and declares no right, or none that there is.
    Undeclared,
    /// It isn't served; these are, as in `Allow`.
    NotServed(String),
}

impl Rights {
    pub(crate) fn of(document: &OpenApi) -> Self {
        let document = serde_json::to_value(document).unwrap_or_default();
        let mut rights = HashMap::new();
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            for (method, operation) in item.as_object().into_iter().flatten() {
                let method = method.to_uppercase().parse::<Method>();
                let right = operation
                    .get(EXTENSION)
                    .and_then(Value::as_str)
                    .map(str::parse::<Right>);
                if let Ok(method) = method {
                    let of_path: &mut HashMap<_, _> = rights.entry(path.clone()).or_default();
                    of_path.insert(method, right.and_then(Result::ok));
                }
            }
        }
        Self(rights)
    }

    /// What this route demands.
    pub(crate) fn of_route(&self, method: &Method, route: &str) -> Demand {
        // Whoever may GET may HEAD: the router answers it from the same handler.
        let method = if method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        let Some(served) = self.0.get(route) else {
            return Demand::Undeclared;
        };
        match served.get(method) {
            Some(Some(right)) => Demand::Right(*right),
            Some(None) => Demand::Undeclared,
            None => {
                let names = served.keys().map(Method::as_str);
                let heads = served.contains_key(&Method::GET).then_some("HEAD");
                let mut names: Vec<&str> = names.chain(heads).collect();
                names.sort_unstable();
                Demand::NotServed(names.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_declared_is_closed() {
        let document: OpenApi = serde_json::from_str(
            r#"{"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": {"/a": {
                "get": {"responses": {}, "x-right": "project_read"},
                "post": {"responses": {}},
                "put": {"responses": {}, "x-right": "everything"}
            }}}"#,
        )
        .unwrap();
        let rights = Rights::of(&document);
        for method in [Method::GET, Method::HEAD] {
            let demand = rights.of_route(&method, "/a");
            assert!(matches!(demand, Demand::Right(Right::ProjectRead)), "{method}");
        }
        for (method, path) in [(Method::POST, "/a"), (Method::PUT, "/a"), (Method::GET, "/b")] {
            assert!(
                matches!(rights.of_route(&method, path), Demand::Undeclared),
                "{method} {path}"
            );
        }
        let Demand::NotServed(allow) = rights.of_route(&Method::DELETE, "/a") else {
            panic!("DELETE isn't served");
        };
        assert_eq!(allow, "GET,HEAD,POST,PUT");
    }
}
