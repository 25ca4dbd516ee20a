//! The OpenAPI document: complete, and what it says of access is so.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use gateway::Settings;
use serde_json::Value;

use crate::world::{World, settings, world};

/// The console's client is made from the committed document.
#[tokio::test]
async fn the_document() {
    let answer = world().get("/api/v1/openapi.json").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), "application/json");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../web-console/openapi.json");
    let mut served = serde_json::to_string_pretty(&answer.json()).unwrap();
    served.push('\n');
    if std::env::var_os("RENEW_OPENAPI").is_some() {
        std::fs::write(path, &served).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap();
    assert!(
        committed == served,
        "web-console/openapi.json is not what the gateway serves; `make openapi` renews it"
    );
}

/// Method, path with ids filled in, and whether the document asks for the token.
pub(crate) fn routes() -> Vec<(Method, String, bool)> {
    let document = serde_json::to_value(gateway::openapi()).unwrap();
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method = method.to_uppercase().parse().unwrap();
            let guarded = operation
                .get("security")
                .is_some_and(|security| security != &Value::Null);
            let path = path
                .replace("{id}", "1")
                .replace("{name}", "1")
                .replace("{slug}", "demo");
            routes.push((method, path, guarded));
        }
    }
    routes
}

pub(crate) fn request(method: &Method, path: &str, token: Option<&str>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn every_documented_route_is_routed_and_guarded_as_said() {
    let open = world();
    let closed = World::new(Settings {
        staff_token: None,
        public_url: None,
        ..settings()
    });
    let routes = routes();
    assert_eq!(routes.len(), 89);
    for (method, path, guarded) in &routes {
        assert_eq!(*guarded, path.starts_with("/api/v1/staff/"), "{method} {path}");
        let bare = open.ask(request(method, path, None)).await;
        assert_ne!(bare.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        if *guarded {
            assert_eq!(bare.code(401), "token_refused", "{method} {path}");
            assert_eq!(bare.header("www-authenticate"), "Bearer realm=\"codex-k8s\"");
            let wrong = open
                .ask(request(method, path, Some("a token of somebody else")))
                .await;
            assert_eq!(wrong.code(401), "token_refused", "{method} {path}");
            let any = closed
                .ask(request(method, path, Some("a token of somebody else")))
                .await;
            assert_eq!(any.code(403), "access_not_configured", "{method} {path}");
        } else {
            assert_ne!(bare.status, StatusCode::NOT_FOUND, "{method} {path}");
        }
    }
}

/// Routes are registered from their descriptions; a route added by hand beside them would escape both.
#[test]
fn every_route_is_documented() {
    let source = include_str!("../../src/openapi.rs");
    assert_eq!(source.matches("routes!(").count(), routes().len());
    for file in [source, include_str!("../../src/app.rs")] {
        assert!(!file.contains(".route("), "use .routes(routes!(...))");
    }
}
