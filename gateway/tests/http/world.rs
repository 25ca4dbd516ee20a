//! A gateway on fakes, and what can be asked of it in process.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use domain::Secret;
use gateway::{AccessPorts, Gateway, Ports, Settings, StaffPorts};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use serde_json::Value;
use testkit::fake::access::{FakeAccess, FakeIdentityProvider};
use testkit::fake::change_feed::FakeChangeFeed;
use testkit::fake::desks::{FakeDeliveryDesk, FakeRunDesk};
use testkit::fake::idempotent::FakeIdempotentRequests;
use testkit::fake::inbox::FakeInbox;
use testkit::fake::job_desk::FakeJobDesk;
use testkit::fake::projects::FakeSetup;
use testkit::fake::queue_desk::{FakeQueueDesk, FakeScheduleDesk};
use testkit::fake::staff::FakeStaff;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

pub(crate) const SECRET: &str = "the first webhook secret";
pub(crate) const OTHER_SECRET: &str = "the second webhook secret";
pub(crate) const ORIGIN: &str = "https://codex.test";
pub(crate) const TOKEN: &str = "a token for development";

pub(crate) struct World {
    pub(crate) inbox: Arc<FakeInbox>,
    pub(crate) jobs: Arc<FakeJobDesk>,
    pub(crate) queues: Arc<FakeQueueDesk>,
    pub(crate) schedules: Arc<FakeScheduleDesk>,
    pub(crate) runs: Arc<FakeRunDesk>,
    pub(crate) deliveries: Arc<FakeDeliveryDesk>,
    pub(crate) staff: Arc<FakeStaff>,
    pub(crate) changes: FakeChangeFeed,
    pub(crate) setup: Arc<FakeSetup>,
    pub(crate) access: Arc<FakeAccess>,
    pub(crate) provider: Arc<FakeIdentityProvider>,
    pub(crate) recorder: PrometheusRecorder,
    pub(crate) shutdown: CancellationToken,
    pub(crate) gateway: Gateway,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

pub(crate) fn settings() -> Settings {
    Settings {
        public_url: Some(ORIGIN.to_owned()),
        staff_token: Some(Secret::new(TOKEN.to_owned())),
        ..Settings::new(vec![
            Secret::new(SECRET.to_owned()),
            Secret::new(OTHER_SECRET.to_owned()),
        ])
    }
}

pub(crate) fn world() -> World {
    World::new(settings())
}

impl World {
    pub(crate) fn new(settings: Settings) -> Self {
        let inbox = Arc::new(FakeInbox::default());
        let jobs = Arc::new(FakeJobDesk::default());
        let queues = Arc::new(FakeQueueDesk::default());
        let schedules = Arc::new(FakeScheduleDesk::default());
        let runs = Arc::new(FakeRunDesk::default());
        let deliveries = Arc::new(FakeDeliveryDesk::default());
        let staff = Arc::new(FakeStaff::default());
        let changes = FakeChangeFeed::default();
        let setup = Arc::new(FakeSetup::default());
        let access = Arc::new(FakeAccess::default());
        let provider = Arc::new(FakeIdentityProvider::default());
        let recorder = PrometheusBuilder::new().build_recorder();
        let shutdown = CancellationToken::new();
        let ports = Ports {
            inbox: inbox.clone(),
            jobs: jobs.clone(),
            queues: queues.clone(),
            schedules: schedules.clone(),
            runs: runs.clone(),
            deliveries: deliveries.clone(),
            staff: StaffPorts::of(staff.clone()),
            changes: Arc::new(changes.clone()),
            idempotent: Arc::new(FakeIdempotentRequests::default()),
            access: AccessPorts::of(access.clone()),
            setup: Some(setup.clone()),
            identity: settings.public_url.is_some().then(|| provider.clone() as _),
        };
        let gateway = Gateway::new(settings, ports, recorder.handle(), shutdown.clone()).unwrap();
        Self {
            inbox,
            jobs,
            queues,
            schedules,
            runs,
            deliveries,
            staff,
            changes,
            setup,
            access,
            provider,
            recorder,
            shutdown,
            gateway,
        }
    }

    pub(crate) async fn ask(&self, request: Request<Body>) -> Answer {
        let response = self.gateway.router().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        // A stream goes on for ever.
        let is_stream = head
            .headers
            .get("content-type")
            .is_some_and(|kind| kind == "text/event-stream");
        let body = if is_stream { Body::empty() } else { body };
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        Answer {
            status: head.status,
            headers: head.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    /// A staff request with the right token.
    pub(crate) async fn staff(&self, method: Method, path: &str) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1/staff/{path}"));
        self.ask(
            request
                .header("authorization", format!("Bearer {TOKEN}"))
                .body(Body::empty())
                .unwrap(),
        )
        .await
    }

    /// The same with a JSON body.
    pub(crate) async fn staff_json(&self, method: Method, path: &str, body: Value) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1/staff/{path}"));
        self.ask(
            request
                .header("authorization", format!("Bearer {TOKEN}"))
                .header("content-type", "application/json")
                .body(Body::from(body.to_string()))
                .unwrap(),
        )
        .await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Request::get(path).body(Body::empty()).unwrap()).await
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in {self:?}"))
            .to_str()
            .unwrap()
    }

    /// Checks that it is a whole problem, and hands out its code and detail.
    pub(crate) fn problem(&self, status: u16) -> (String, String) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        let text = |name: &str| {
            problem[name]
                .as_str()
                .unwrap_or_else(|| panic!("{name} in {problem}"))
                .to_owned()
        };
        assert_eq!(problem["status"], status);
        assert_eq!(text("type"), format!("urn:codex-k8s:problem:{}", text("code")));
        assert_eq!(text("request_id"), self.header("x-request-id"));
        assert_eq!(
            text("instance"),
            format!("urn:codex-k8s:request:{}", text("request_id"))
        );
        assert!(!text("title").is_empty() && !text("detail").is_empty());
        (text("code"), text("detail"))
    }

    pub(crate) fn code(&self, status: u16) -> String {
        self.problem(status).0
    }
}
