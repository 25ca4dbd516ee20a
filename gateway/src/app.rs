//! The gateway put together: what all handlers share, and the one router.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use bytes::Bytes;
use domain::port::access::{
    DeviceSignIns, IdentityProvider, MemberDesk, OwnAccess, Principals, SignIns, SigningKeys, UserDesk,
};
use domain::port::staff::{
    AgentDesk, AuditDesk, OverviewDesk, ProjectDesk, RepositoryDesk, RepositorySetup, SystemDesk,
};
use domain::port::{
    ChangeFeed, DeliveryDesk, IdempotentRequests, Inbox, JobDesk, QueueDesk, RunDesk, ScheduleDesk,
};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::auth::Auth;
use crate::auth::rights::Rights;
use crate::backlog::Backlog;
use crate::health::Readiness;
use crate::live::{Hub, Limits};
use crate::settings::{Settings, SettingsError};
use crate::source_limit::SourceLimit;
use crate::webhook::signature::Verifier;
use crate::{access, console, openapi, serve};

/// What the gateway needs of the outside.
#[derive(Clone)]
pub struct Ports {
    /// Where verified deliveries go.
    pub inbox: Arc<dyn Inbox>,
    /// Jobs for staff.
    pub jobs: Arc<dyn JobDesk>,
    /// Queues and workers for staff.
    pub queues: Arc<dyn QueueDesk>,
    /// Schedules for staff.
    pub schedules: Arc<dyn ScheduleDesk>,
    /// Runs for staff.
    pub runs: Arc<dyn RunDesk>,
    /// Deliveries for staff.
    pub deliveries: Arc<dyn DeliveryDesk>,
    /// What staff see of the whole.
    pub staff: StaffPorts,
    /// What changes, for those who look on.
    pub changes: Arc<dyn ChangeFeed>,
    /// Requests that may be sent again.
    pub idempotent: Arc<dyn IdempotentRequests>,
    /// People and what they may.
    pub access: AccessPorts,
    /// Who says who people are; without one nobody can sign in.
    pub identity: Option<Arc<dyn IdentityProvider>>,
    /// The forge, as it is set up for repositories; without it, they can't be looked at.
    pub setup: Option<Arc<dyn RepositorySetup>>,
}

/// People and what they may.
#[derive(Clone)]
pub struct AccessPorts {
    /// Signing in and out.
    pub sign_ins: Arc<dyn SignIns>,
    /// Recognising who asks.
    pub principals: Arc<dyn Principals>,
    /// What access tokens are signed with.
    pub signing_keys: Arc<dyn SigningKeys>,
    /// People, for platform admins.
    pub users: Arc<dyn UserDesk>,
    /// Members of projects.
    pub members: Arc<dyn MemberDesk>,
    /// A person's own sessions and tokens.
    pub own: Arc<dyn OwnAccess>,
    /// Programs that sign in by a code.
    pub devices: Arc<dyn DeviceSignIns>,
}

impl AccessPorts {
    /// All of them from one store.
    pub fn of<T>(store: Arc<T>) -> Self
    where
        T: SignIns + Principals + SigningKeys + UserDesk + MemberDesk + OwnAccess + DeviceSignIns + 'static,
    {
        Self {
            sign_ins: store.clone(),
            principals: store.clone(),
            signing_keys: store.clone(),
            users: store.clone(),
            members: store.clone(),
            own: store.clone(),
            devices: store,
        }
    }
}

/// What staff see of the whole.
#[derive(Clone)]
pub struct StaffPorts {
    /// Everything at a glance.
    pub overview: Arc<dyn OverviewDesk>,
    /// Who changed what.
    pub audit: Arc<dyn AuditDesk>,
    /// Projects.
    pub projects: Arc<dyn ProjectDesk>,
    /// Their repositories.
    pub repositories: Arc<dyn RepositoryDesk>,
    /// Agents.
    pub agents: Arc<dyn AgentDesk>,
    /// What runs where.
    pub system: Arc<dyn SystemDesk>,
}

impl StaffPorts {
    /// All of them from one store.
    pub fn of<T>(store: Arc<T>) -> Self
    where
        T: OverviewDesk + AuditDesk + ProjectDesk + RepositoryDesk + AgentDesk + SystemDesk + 'static,
    {
        Self {
            overview: store.clone(),
            audit: store.clone(),
            projects: store.clone(),
            repositories: store.clone(),
            agents: store.clone(),
            system: store,
        }
    }
}

/// What all handlers share.
pub(crate) struct App {
    pub(crate) settings: Settings,
    pub(crate) ports: Ports,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) auth: Auth,
    pub(crate) rights: Rights,
    pub(crate) live: Arc<Hub>,
    pub(crate) sources: SourceLimit,
    pub(crate) backlog: Arc<Backlog>,
    /// Room for webhook bodies in flight, in KiB.
    pub(crate) body_room_kib: Arc<Semaphore>,
    pub(crate) readiness: Readiness,
    pub(crate) prometheus: PrometheusHandle,
    pub(crate) openapi: Bytes,
}

/// The HTTP side of codex-k8s.
#[derive(Clone)]
pub struct Gateway {
    app: Arc<App>,
    shutdown: CancellationToken,
}

impl Gateway {
    /// A gateway on these ports. `shutdown` turns `/readyz` to 503 and makes [`Gateway::serve`] drain.
    ///
    /// # Errors
    /// When the settings can't work, above all without a webhook secret.
    pub fn new(
        settings: Settings,
        ports: Ports,
        prometheus: PrometheusHandle,
        shutdown: CancellationToken,
    ) -> Result<Self, SettingsError> {
        settings.check()?;
        let room_kib = (settings.body_memory_bytes / 1024).clamp(1, Semaphore::MAX_PERMITS);
        let app = App {
            verifier: Arc::new(Verifier::new(&settings.webhook_secrets)),
            auth: Auth::new(&settings, &ports)?,
            rights: Rights::of(&openapi::openapi()),
            live: Hub::new(
                Arc::clone(&ports.changes),
                Arc::clone(&ports.access.principals),
                Limits {
                    per_user: settings.streams_per_user,
                    whole: settings.streams,
                },
                shutdown.clone(),
            ),
            sources: SourceLimit::new(settings.rate_limit),
            backlog: Arc::new(Backlog::new(Arc::clone(&ports.inbox), settings.backlog_limit)),
            body_room_kib: Arc::new(Semaphore::new(room_kib)),
            readiness: Readiness::new(Arc::clone(&ports.inbox), shutdown.clone()),
            openapi: openapi::rendered(),
            settings,
            ports,
            prometheus,
        };
        Ok(Self {
            app: Arc::new(app),
            shutdown,
        })
    }

    /// Every route, with all that surrounds them. Served by [`Gateway::serve`]; alone, for tests in process,
    /// it takes every request for one of the same source.
    pub fn router(&self) -> Router {
        let (routes, _document) = openapi::routes(&self.app).split_for_parts();
        routes
            .fallback(console::fallback)
            .with_state(Arc::clone(&self.app))
            .layer(from_fn_with_state(Arc::clone(&self.app), access::around))
    }

    /// Serves until the shutdown token is cancelled, then drains: goes on for the lame-duck time with
    /// `/readyz` at 503, stops accepting, lets requests in flight finish within the grace period, and cuts
    /// off the rest. HTTP/1.1 without TLS; that is the business of what stands before us.
    ///
    /// # Errors
    /// When the socket can't tell its address; errors of single connections end only those.
    pub async fn serve(self, listener: TcpListener) -> std::io::Result<()> {
        let router = self.router();
        serve::serve(listener, router, &self.app.settings, &self.shutdown).await
    }
}
