//! Every route and its description, from one place: what is routed is documented and the other way round.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use bytes::Bytes;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::Type;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, ObjectBuilder, OpenApi as Document, Ref, RefOr, Required, Response};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::access::{members, own, users};
use crate::api::{
    agents, audit, auth, deliveries, device, jobs, overview, projects, queues, repositories, runs, schedules,
    stream, system,
};
use crate::app::App;
use crate::auth::guard;
use crate::problem::Problem;
use crate::{health, idempotency, metrics, precondition, webhook};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "codex-k8s",
        description = "Webhook ingress and staff API. Every error is `application/problem+json` (RFC 9457) \
            with a stable `code`; every answer carries `X-Request-Id`."
    ),
    tags(
        (name = "webhooks", description = "What GitHub calls"),
        (name = "overview", description = "How everything fares"),
        (name = "jobs", description = "Jobs of the queue"),
        (name = "queues", description = "Queues, pauses, limits, workers"),
        (name = "schedules", description = "Jobs at set times"),
        (name = "runs", description = "Runs of agents"),
        (name = "deliveries", description = "The ledger of webhook deliveries"),
        (name = "access", description = "Signing in, people, members, own sessions and tokens"),
        (name = "projects", description = "Projects, their slots"),
        (name = "repositories", description = "Repositories of projects: token, webhook, labels"),
        (name = "agents", description = "What agents do, and how workers run them"),
        (name = "system", description = "What runs where, and how it is configured"),
        (name = "audit", description = "Who changed what"),
        (name = "live", description = "What changes, as it changes"),
        (name = "health", description = "For the cluster"),
        (name = "description", description = "This document"),
    ),
    components(schemas(Problem)),
    modifiers(&StaffScheme)
)]
struct Base;

struct StaffScheme;

impl Modify for StaffScheme {
    fn modify(&self, document: &mut Document) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "An access token, a personal token, or in development the development token. Each operation's \
                 `x-right` says which right it demands",
            ))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("staff", SecurityScheme::Http(scheme));
    }
}

/// Routes and document; the state is not bound yet.
fn all(guarded: OpenApiRouter<Arc<App>>) -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(Base::openapi())
        .routes(routes!(webhook::receive))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::metrics))
        .routes(routes!(document))
        .routes(routes!(auth::sign_in::begin))
        .routes(routes!(auth::sign_in::finish))
        .routes(routes!(auth::session::refresh))
        .routes(routes!(auth::session::sign_out))
        .routes(routes!(auth::keys::keys))
        .routes(routes!(device::begin))
        .routes(routes!(device::collect))
        .merge(guarded)
}

fn staff_routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(overview::show))
        .routes(routes!(audit::list))
        .routes(routes!(agents::list))
        .routes(routes!(system::show))
        .routes(routes!(system::settings))
        .routes(routes!(projects::list))
        .routes(routes!(projects::create))
        .routes(routes!(projects::show))
        .routes(routes!(projects::set))
        .routes(routes!(repositories::list))
        .routes(routes!(repositories::add))
        .routes(routes!(repositories::show))
        .routes(routes!(repositories::remove))
        .routes(routes!(repositories::setup::preflight))
        .routes(routes!(repositories::setup::set_token))
        .routes(routes!(repositories::setup::remove_token))
        .routes(routes!(repositories::setup::ensure_webhook))
        .routes(routes!(repositories::setup::ensure_labels))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::counts))
        .routes(routes!(jobs::count))
        .routes(routes!(jobs::show))
        .routes(routes!(jobs::log::log))
        .routes(routes!(jobs::why::why))
        .routes(routes!(jobs::change::retry))
        .routes(routes!(jobs::change::cancel))
        .routes(routes!(jobs::change::delete))
        .routes(routes!(jobs::change::reschedule))
        .routes(routes!(jobs::change::prioritize))
        .routes(routes!(jobs::bulk::preview))
        .routes(routes!(jobs::bulk::apply))
        .routes(routes!(queues::list))
        .routes(routes!(queues::pauses))
        .routes(routes!(queues::pause))
        .routes(routes!(queues::resume))
        .routes(routes!(queues::limits))
        .routes(routes!(queues::set_limits))
        .routes(routes!(queues::workers))
        .routes(routes!(queues::drain_worker))
        .routes(routes!(schedules::list))
        .routes(routes!(schedules::show))
        .routes(routes!(schedules::ticks))
        .routes(routes!(schedules::pause))
        .routes(routes!(schedules::resume))
        .routes(routes!(schedules::run_now))
        .routes(routes!(schedules::remove))
        .routes(routes!(runs::list))
        .routes(routes!(runs::show))
        .routes(routes!(runs::log::read))
        .routes(routes!(runs::log::download))
        .routes(routes!(runs::change::cancel))
        .routes(routes!(runs::change::retry))
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::show))
        .routes(routes!(deliveries::replay))
        .routes(routes!(stream::stream))
        .routes(routes!(own::me))
        .routes(routes!(own::sessions))
        .routes(routes!(own::end_session))
        .routes(routes!(own::sign_out_everywhere))
        .routes(routes!(own::tokens))
        .routes(routes!(own::create_token))
        .routes(routes!(own::revoke_token))
        .routes(routes!(device::revoke_this))
        .routes(routes!(device::show))
        .routes(routes!(device::approve))
        .routes(routes!(device::deny))
        .routes(routes!(users::list))
        .routes(routes!(users::invite))
        .routes(routes!(users::show))
        .routes(routes!(users::set_role))
        .routes(routes!(users::set_active))
        .routes(routes!(users::sign_out))
        .routes(routes!(users::hand_over))
        .routes(routes!(members::list))
        .routes(routes!(members::set))
        .routes(routes!(members::remove))
}

/// Every route, the staff's behind their guard.
pub(crate) fn routes(app: &Arc<App>) -> OpenApiRouter<Arc<App>> {
    // The guard is the outer one: it comes first.
    let staff = staff_routes()
        .route_layer(from_fn_with_state(Arc::clone(app), idempotency::idempotent))
        .route_layer(from_fn_with_state(Arc::clone(app), guard::guard));
    all(staff)
}

/// The OpenAPI 3.1 document of all routes.
pub fn openapi() -> Document {
    let mut document = all(staff_routes()).into_openapi();
    for item in document.paths.paths.values_mut() {
        [&mut item.post, &mut item.put, &mut item.patch, &mut item.delete]
            .into_iter()
            .flatten()
            .filter(|operation| operation.security.is_some())
            .for_each(|operation| {
                describe_idempotency(operation);
                precondition::describe(operation);
            });
        [
            &mut item.get,
            &mut item.post,
            &mut item.put,
            &mut item.patch,
            &mut item.delete,
        ]
        .into_iter()
        .flatten()
        .for_each(describe_problems);
    }
    document
}

/// Everything staff do may be sent again: said here once for all.
fn describe_idempotency(operation: &mut Operation) {
    let key = ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "1 to 255 visible ASCII characters of the sender's own choice. Sent again under the same key within 24 \
             hours, the same request has no second effect and gets the answer of the first time, with \
             `Idempotency-Replayed: true`; while that is being carried out 409 `idempotency_in_progress`. What was \
             refused or failed may be sent again under its key",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).max_length(Some(255))))
        .build();
    operation.parameters.get_or_insert_default().push(RefOr::T(key));
    let responses = &mut operation.responses.responses;
    responses.entry("422".to_owned()).or_insert_with(|| {
        RefOr::T(Response::new(
            "The key belongs to another request (`idempotency_key_reused`)",
        ))
    });
}

/// Every error has the same shape: said here once for all, with `default` for those that need no word of
/// their own.
fn describe_problems(operation: &mut Operation) {
    let problem = || RefOr::T(Content::new(Some(Ref::from_schema_name("Problem"))));
    let responses = &mut operation.responses.responses;
    responses
        .entry("default".to_owned())
        .or_insert_with(|| RefOr::T(Response::new("A problem")));
    for (status, response) in responses {
        let is_error = matches!(status.as_bytes(), [b'4' | b'5' | b'd', ..]);
        if let (true, RefOr::T(response)) = (is_error, response) {
            response
                .content
                .insert("application/problem+json".to_owned(), problem());
        }
    }
}

pub(crate) fn rendered() -> Bytes {
    // A document of strings, maps and lists always serialises.
    Bytes::from(serde_json::to_vec(&openapi()).unwrap_or_default())
}

/// This document.
#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    operation_id = "describe",
    tag = "description",
    extensions(("x-right" = json!("public"))),
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value))
)]
async fn document(State(app): State<Arc<App>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], app.openapi.clone())
}
