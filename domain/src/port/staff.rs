//! What staff see of the whole: how it fares, and who changed what.

use async_trait::async_trait;

use super::PortError;
use crate::audit::{AuditFilter, AuditPage, AuditPlace};
use crate::overview::{Overview, Window};

/// Everything at a glance.
#[async_trait]
pub trait OverviewDesk: Send + Sync {
    /// How it fares now, and what ended in the window; of one queue, or of all. Reads only what was counted before,
    /// so that it costs the same after five million jobs.
    async fn overview(&self, window: Window, queue: Option<&str>) -> Result<Overview, PortError>;
}

/// What people changed.
#[async_trait]
pub trait AuditDesk: Send + Sync {
    /// Newest first, from a place on, at most so many.
    async fn entries(
        &self,
        filter: &AuditFilter,
        before: AuditPlace,
        limit: i64,
    ) -> Result<AuditPage, PortError>;
}
