//! [`JobDesk`] in memory: filled by the test, filtered and paged like the real one, every change noted with who
//! asked for it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use chrono::DateTime;
use domain::access::Projects;
use domain::flow::Author;
use domain::job::{
    JobAction, JobChange, JobCount, JobDetail, JobExplanation, JobFilter, JobLogLine, JobPage, JobPreview,
    JobReason, JobSelection, JobState, JobSummary, JobsChanged, QueueCounts,
};
use domain::port::{JobDesk, PortError};
use domain::{JobId, ProjectId};

use serde_json::Value;

use super::desks::{at_most, lock};

/// Jobs in memory.
#[derive(Debug, Default)]
pub struct FakeJobDesk {
    jobs: Mutex<BTreeMap<JobId, JobDetail>>,
    reasons: Mutex<BTreeMap<JobId, Vec<JobReason>>>,
    logs: Mutex<BTreeMap<JobId, Vec<JobLogLine>>>,
    projects: Mutex<BTreeMap<String, ProjectId>>,
    audit: Mutex<Vec<(JobId, JobChange, Author)>>,
}

impl FakeJobDesk {
    /// Puts a job on the desk.
    pub fn put(&self, job: JobDetail) {
        lock(&self.jobs).insert(job.summary.id, job);
    }

    /// Says why a job isn't running.
    pub fn put_reasons(&self, id: JobId, reasons: Vec<JobReason>) {
        lock(&self.reasons).insert(id, reasons);
    }

    /// Gives a job its log.
    pub fn write_log(&self, id: JobId, lines: Vec<JobLogLine>) {
        lock(&self.logs).insert(id, lines);
    }

    /// Has jobs of this correlation belong to a project.
    pub fn put_correlation(&self, id: &str, project: ProjectId) {
        lock(&self.projects).insert(id.to_owned(), project);
    }

    fn is_seen(&self, job: &JobSummary, projects: &Projects) -> bool {
        let known = lock(&self.projects);
        let project = job.correlation_id.as_ref().and_then(|id| known.get(id));
        *projects == Projects::All || project.is_some_and(|id| projects.contains(*id))
    }

    /// What was done, and by whom.
    pub fn audit(&self) -> Vec<(JobId, JobChange, Author)> {
        lock(&self.audit).clone()
    }

    fn act(&self, id: JobId, change: JobChange, by: &Author) -> JobAction {
        let mut jobs = lock(&self.jobs);
        let Some(job) = jobs.get_mut(&id) else {
            return JobAction::NotFound;
        };
        let state = job.summary.state;
        if !states(change).contains(&state) {
            return JobAction::NotAllowed(state);
        }
        lock(&self.audit).push((id, change, by.clone()));
        match change {
            JobChange::Retry | JobChange::Reschedule(_) => job.summary.state = JobState::Ready,
            JobChange::Cancel if state == JobState::Running => return JobAction::Requested,
            JobChange::Cancel => job.summary.state = JobState::Cancelled,
            JobChange::Priority(priority) => job.summary.priority = priority,
            JobChange::Delete => {
                jobs.remove(&id);
            }
        }
        JobAction::Done
    }

    fn chosen(&self, selection: &JobSelection, change: JobChange) -> Vec<JobId> {
        let filter = match selection {
            JobSelection::Ids(ids) => return ids.clone(),
            JobSelection::Matching(filter) => filter,
        };
        let jobs = lock(&self.jobs);
        let matching = jobs.values().rev().map(|job| &job.summary);
        matching
            .filter(|job| matches(filter, job) && states(change).contains(&job.state))
            .map(|job| job.id)
            .collect()
    }
}

impl FakeJobDesk {
    fn is_there(&self, id: JobId, projects: &Projects) -> bool {
        let jobs = lock(&self.jobs);
        *projects == Projects::All
            || jobs
                .get(&id)
                .is_some_and(|job| self.is_seen(&job.summary, projects))
    }
}

/// The states in which a job can be changed so.
fn states(change: JobChange) -> &'static [JobState] {
    use JobState::{Cancelled, Completed, Dead, Ready, Running, Scheduled, Waiting};
    match change {
        JobChange::Retry => &[Scheduled, Waiting, Cancelled, Dead],
        JobChange::Cancel => &[Ready, Scheduled, Waiting, Running],
        JobChange::Delete => &[Ready, Scheduled, Waiting, Completed, Cancelled, Dead],
        JobChange::Reschedule(_) => &[Ready, Scheduled],
        JobChange::Priority(_) => &[Ready, Scheduled, Waiting],
    }
}

fn has_args(filter: &JobFilter, job: &JobDetail) -> bool {
    let wanted = filter.args.as_ref().and_then(Value::as_object);
    wanted.is_none_or(|wanted| {
        wanted
            .iter()
            .all(|(name, value)| job.args.get(name) == Some(value))
    })
}

fn matches(filter: &JobFilter, job: &JobSummary) -> bool {
    fn is<T: PartialEq>(wanted: Option<&T>, there: Option<&T>) -> bool {
        wanted.is_none() || wanted == there
    }
    (filter.states.is_empty() || filter.states.contains(&job.state))
        && is(filter.queue.as_ref(), Some(&job.queue))
        && is(filter.kind.as_ref(), Some(&job.kind))
        && is(filter.correlation_id.as_ref(), job.correlation_id.as_ref())
        && is(filter.tenant.as_ref(), job.tenant.as_ref())
        && is(filter.key.as_ref(), job.key.as_ref())
        && filter.tag.as_ref().is_none_or(|tag| job.tags.contains(tag))
        && filter.before.is_none_or(|before| job.id < before)
}

#[async_trait]
impl JobDesk for FakeJobDesk {
    async fn list(&self, filter: &JobFilter, projects: &Projects) -> Result<JobPage, PortError> {
        let jobs = lock(&self.jobs);
        let matching = jobs.values().rev().filter(|job| {
            matches(filter, &job.summary) && has_args(filter, job) && self.is_seen(&job.summary, projects)
        });
        let matching = matching.map(|job| job.summary.clone());
        Ok(JobPage {
            jobs: matching.take(at_most(filter.limit)).collect(),
            next: None,
        })
    }

    async fn get(&self, id: JobId, projects: &Projects) -> Result<Option<JobDetail>, PortError> {
        let jobs = lock(&self.jobs);
        Ok(jobs
            .get(&id)
            .filter(|job| self.is_seen(&job.summary, projects))
            .cloned())
    }

    async fn log(
        &self,
        id: JobId,
        after: i64,
        limit: i64,
        projects: &Projects,
    ) -> Result<Vec<JobLogLine>, PortError> {
        if JobDesk::get(self, id, projects).await?.is_none() {
            return Ok(Vec::new());
        }
        let logs = lock(&self.logs);
        let lines = logs.get(&id).map(Vec::as_slice).unwrap_or_default();
        let later = lines.iter().filter(|line| line.id > after);
        Ok(later.take(at_most(limit)).cloned().collect())
    }

    async fn counts(&self) -> Result<Vec<QueueCounts>, PortError> {
        let mut queues: BTreeMap<String, QueueCounts> = BTreeMap::new();
        for job in lock(&self.jobs).values().map(|job| &job.summary) {
            let none = || QueueCounts {
                queue: job.queue.clone(),
                ready: 0,
                scheduled: 0,
                waiting: 0,
                running: 0,
                oldest_ready_ms: None,
            };
            let counts = queues.entry(job.queue.clone()).or_insert_with(none);
            match job.state {
                JobState::Ready => counts.ready += 1,
                JobState::Scheduled => counts.scheduled += 1,
                JobState::Waiting => counts.waiting += 1,
                JobState::Running => counts.running += 1,
                JobState::Completed | JobState::Cancelled | JobState::Dead => {}
            }
        }
        Ok(queues.into_values().collect())
    }

    async fn why(&self, id: JobId, projects: &Projects) -> Result<Option<JobExplanation>, PortError> {
        let jobs = lock(&self.jobs);
        let seen = jobs.get(&id).filter(|job| self.is_seen(&job.summary, projects));
        Ok(seen.map(|job| JobExplanation {
            id,
            state: job.summary.state,
            as_of: DateTime::UNIX_EPOCH,
            reasons: lock(&self.reasons).get(&id).cloned().unwrap_or_default(),
        }))
    }

    async fn change(
        &self,
        id: JobId,
        change: JobChange,
        projects: &Projects,
        by: &Author,
    ) -> Result<JobAction, PortError> {
        if JobDesk::get(self, id, projects).await?.is_none() {
            return Ok(JobAction::NotFound);
        }
        Ok(self.act(id, change, by))
    }

    async fn count(&self, filter: &JobFilter, projects: &Projects) -> Result<JobCount, PortError> {
        let jobs = lock(&self.jobs);
        let matching = jobs
            .values()
            .filter(|job| matches(filter, &job.summary) && has_args(filter, job))
            .filter(|job| self.is_seen(&job.summary, projects));
        Ok(JobCount {
            count: matching.count() as i64,
            at_least: false,
            next: None,
        })
    }

    async fn preview(
        &self,
        jobs: &JobSelection,
        change: JobChange,
        projects: &Projects,
    ) -> Result<JobPreview, PortError> {
        let chosen = self.chosen(jobs, change).into_iter();
        Ok(JobPreview {
            count: chosen.filter(|id| self.is_there(*id, projects)).count() as i64,
            at_least: false,
        })
    }

    async fn apply(
        &self,
        jobs: &JobSelection,
        change: JobChange,
        projects: &Projects,
        by: &Author,
    ) -> Result<JobsChanged, PortError> {
        let mut changed = JobsChanged::default();
        for id in self.chosen(jobs, change) {
            let action = if self.is_there(id, projects) {
                self.act(id, change, by)
            } else if matches!(jobs, JobSelection::Matching(_)) {
                continue;
            } else {
                JobAction::NotFound
            };
            let reason = match action {
                JobAction::Done => {
                    changed.done += 1;
                    continue;
                }
                JobAction::Requested => {
                    changed.requested += 1;
                    continue;
                }
                JobAction::NotAllowed(state) => state.as_str().to_owned(),
                JobAction::InTheWay(why) => why,
                JobAction::NotFound => "no such job".to_owned(),
            };
            *changed.refused.entry(reason).or_default() += 1;
        }
        Ok(changed)
    }
}
