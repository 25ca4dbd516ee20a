//! The desks of what staff see of the whole, in memory: filled by the test.

use std::sync::Mutex;

use async_trait::async_trait;
use chrono::DateTime;
use domain::agent::{AgentSettings, AgentsAtWork, AnnouncedAgents};
use domain::audit::{AuditEntry, AuditFilter, AuditPage, AuditPlace};
use domain::overview::{Figures, Health, OpenRuns, Overview, Window};
use domain::port::PortError;
use domain::port::staff::{AgentDesk, AuditDesk, OverviewDesk, SystemDesk};
use domain::stage::Stage;
use domain::system::{DatabaseServer, Schema, System};

use super::desks::{at_most, lock};
use super::projects::Projects as Kept;

/// What staff see of the whole.
#[derive(Debug, Default)]
pub struct FakeStaff {
    overview: Mutex<Option<Overview>>,
    audit: Mutex<Vec<AuditEntry>>,
    agents: Mutex<AgentsAtWork>,
    pub(super) kept: Mutex<Kept>,
}

impl FakeStaff {
    /// How everything fares, whatever the window.
    pub fn put_overview(&self, overview: Overview) {
        *lock(&self.overview) = Some(overview);
    }
}

impl FakeStaff {
    /// Puts a change into the audit.
    pub fn put_audit(&self, entry: AuditEntry) {
        lock(&self.audit).push(entry);
    }
}

impl FakeStaff {
    /// Has so many of the last runs of a stage stand so.
    pub fn put_runs(&self, stage: Stage, status: &str, count: i64) {
        lock(&self.agents).runs.push((stage, status.to_owned(), count));
    }
}

#[async_trait]
impl AgentDesk for FakeStaff {
    async fn announce(&self, worker: &str, settings: &AgentSettings) -> Result<(), PortError> {
        let mut agents = lock(&self.agents);
        agents.workers.retain(|one| one.worker != worker);
        agents.workers.push(AnnouncedAgents {
            worker: worker.to_owned(),
            settings: settings.clone(),
            announced_at: DateTime::UNIX_EPOCH,
        });
        Ok(())
    }

    async fn agents(&self) -> Result<AgentsAtWork, PortError> {
        Ok(lock(&self.agents).clone())
    }
}

#[async_trait]
impl AuditDesk for FakeStaff {
    async fn entries(
        &self,
        filter: &AuditFilter,
        before: AuditPlace,
        limit: i64,
    ) -> Result<AuditPage, PortError> {
        let audit = lock(&self.audit);
        let matches = |entry: &AuditEntry| {
            filter.actor.as_ref().is_none_or(|actor| *actor == entry.actor)
                && filter
                    .action
                    .as_ref()
                    .is_none_or(|action| *action == entry.action)
                && filter
                    .subject
                    .as_ref()
                    .is_none_or(|subject| Some(subject) == entry.subject.as_ref())
                && filter.job.is_none_or(|job| entry.jobs.contains(&job))
        };
        // An entry's place here is its index.
        let mut found: Vec<(i64, AuditEntry)> = (0..).zip(audit.iter().cloned()).collect();
        found.retain(|(place, entry)| *place < before.platform && matches(entry));
        found.reverse();
        let more = found.len() > at_most(limit);
        found.truncate(at_most(limit));
        let last = found.last().filter(|_| more).map(|(place, _)| *place);
        Ok(AuditPage {
            entries: found.into_iter().map(|(_, entry)| entry).collect(),
            next: last.map(|platform| AuditPlace { platform, ..before }),
        })
    }
}

fn quiet() -> Overview {
    Overview {
        step_ms: 60_000,
        counted_until: DateTime::UNIX_EPOCH,
        points: Vec::new(),
        whole: Figures::default(),
        queues: Vec::new(),
        runs: OpenRuns::default(),
        health: Health {
            workers: 0,
            workers_late: 0,
            workers_draining: 0,
            schedules: 0,
            schedules_late: 0,
            schedules_failing: 0,
            pauses: 0,
            oldest_snapshot_s: None,
            database_ms: 1.0,
        },
    }
}

#[async_trait]
impl OverviewDesk for FakeStaff {
    async fn overview(&self, _: Window, queue: Option<&str>) -> Result<Overview, PortError> {
        let mut overview = lock(&self.overview).clone().unwrap_or_else(quiet);
        overview
            .queues
            .retain(|one| queue.is_none_or(|name| one.queue.name == name));
        Ok(overview)
    }
}

#[async_trait]
impl SystemDesk for FakeStaff {
    async fn system(&self) -> Result<System, PortError> {
        Ok(System {
            database: DatabaseServer {
                version: "PostgreSQL 18".to_owned(),
                started_at: DateTime::UNIX_EPOCH,
                size_bytes: 1,
                connections: 1,
                max_connections: 100,
            },
            schemas: vec![Schema {
                owner: "queue".to_owned(),
                present: 14,
                needed: 14,
            }],
            migrations: Vec::new(),
            processes: Vec::new(),
            snapshots: Vec::new(),
        })
    }
}
