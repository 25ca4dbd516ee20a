//! [`RunStore`] in memory: the domain's state machine decides, and state, flow event and jobs are written
//! together, only over the expected state.

use std::sync::Arc;

use async_trait::async_trait;
use domain::flow::{FlowActor, FlowEvent};
use domain::job::{NewJob, RunObserve, RunReport, RunStart};
use domain::port::{Admission, ApplyError, PortError, RunStore};
use domain::run::{Created, Effect, LogLine, NewRun, Run, RunEvent, RunState};
use domain::workload::namespace_of;
use domain::{CommentId, CorrelationId, ProjectId, RunId};
use serde_json::{Value, json};

use super::memory::{Memory, State};

/// How long after a run has begun its Job is looked at in any case.
const OBSERVE_AFTER_MS: i64 = 30_000;

/// Runs in memory.
#[derive(Debug, Clone)]
pub struct FakeRuns {
    memory: Arc<Memory>,
}

impl FakeRuns {
    /// The runs of this world.
    pub fn new(memory: &Arc<Memory>) -> Self {
        Self {
            memory: Arc::clone(memory),
        }
    }
}

fn refused(reason: String) -> PortError {
    PortError::Refused {
        part: "database",
        reason,
    }
}

impl State {
    fn free_slots(&self, project: ProjectId) -> usize {
        let of_project = |run: &&Run| run.repository.project.id == project;
        let taken = self.runs.values().filter(of_project);
        let taken = taken.filter(|run| run.state.holds_slot()).count();
        let known = self.repositories.iter().find(|known| known.project.id == project);
        let slots = known.map_or(0, |known| usize::try_from(known.project.slots).unwrap_or(0));
        slots.saturating_sub(taken)
    }

    /// Stale unless the run still stands where the caller saw it.
    fn expect(&self, run: &Run) -> Result<(), ApplyError> {
        match self.runs.get(&run.id) {
            None => Err(refused(format!("there is no run {}", run.id)).into()),
            Some(stored) if stored.state.as_str() != run.state.as_str() => Err(ApplyError::Stale),
            Some(_) => Ok(()),
        }
    }

    fn take(&mut self, run: &Run, event: RunEvent, data: Value) -> Result<Run, ApplyError> {
        self.expect(run)?;
        let (next, effects) = run
            .state
            .transition(event)
            .map_err(|invalid| refused(invalid.to_string()))?;
        let now = self.now();
        let kind = event_kind(&next);
        let stored = self.runs.entry(run.id).or_insert_with(|| run.clone());
        if next == RunState::Preparing {
            stored.namespace = Some(namespace_of(run));
        }
        if next == RunState::Running {
            stored.started_at = Some(now);
        }
        if next.is_final() {
            stored.finished_at = Some(now);
        }
        stored.state = next;
        let after = stored.clone();
        self.events.push(FlowEvent {
            correlation_id: run.correlation_id.clone(),
            run: Some(run.id),
            kind,
            actor: FlowActor::System,
            data,
        });
        let leaves_line = after.state.is_final() && run.state == RunState::WaitingSlot;
        for effect in &effects {
            let job = match effect {
                Effect::Report => NewJob::new(&RunReport { run_id: run.id }),
                Effect::Observe => NewJob::new(&RunObserve { run_id: run.id }).after_ms(OBSERVE_AFTER_MS),
                Effect::Stop => NewJob::new(&RunObserve { run_id: run.id }),
                Effect::ReleaseSlot => continue,
            };
            self.enqueue(job.correlated(&run.correlation_id));
        }
        if leaves_line || effects.contains(&Effect::ReleaseSlot) {
            self.start_waiting(run.repository.project.id);
        }
        Ok(after)
    }

    fn start_waiting(&mut self, project: ProjectId) {
        let waits = |run: &&Run| run.repository.project.id == project && run.state == RunState::WaitingSlot;
        let waiting = self.runs.values().filter(waits).take(self.free_slots(project));
        let jobs: Vec<NewJob> = waiting
            .map(|run| NewJob::new(&RunStart { run_id: run.id }).correlated(&run.correlation_id))
            .collect();
        for job in jobs {
            self.enqueue(job);
        }
    }
}

fn event_kind(state: &RunState) -> &'static str {
    match state {
        RunState::Pending => "run.pending",
        RunState::WaitingSlot => "run.waiting_slot",
        RunState::Preparing => "run.preparing",
        RunState::Running => "run.running",
        RunState::Succeeded => "run.succeeded",
        RunState::Failed { .. } => "run.failed",
        RunState::Canceled { .. } => "run.canceled",
        RunState::TimedOut => "run.timed_out",
    }
}

#[async_trait]
impl RunStore for FakeRuns {
    async fn create(&self, wish: NewRun) -> Result<Created, PortError> {
        let call = self.memory.faults.begin("create")?;
        let mut state = self.memory.lock();
        let same_cause = |run: &&Run| run.correlation_id == wish.correlation_id;
        if let Some(known) = state.runs.values().find(same_cause) {
            return call.answer(Created::Known(known.id));
        }
        let in_the_way = |run: &&Run| {
            run.repository.id == wish.repository.id && run.issue == wish.issue && !run.state.is_final()
        };
        if let Some(busy) = state.runs.values().find(in_the_way) {
            return call.answer(Created::IssueBusy(busy.id));
        }
        let id = RunId(state.runs.len() as i64 + 1);
        let created_at = state.now();
        state.events.push(FlowEvent {
            correlation_id: wish.correlation_id.clone(),
            run: Some(id),
            kind: "run.created",
            actor: FlowActor::Human(wish.requested_by.clone()),
            data: json!({ "issue": wish.issue, "stage": wish.stage, "revise": wish.revise }),
        });
        state.enqueue(NewJob::new(&RunStart { run_id: id }).correlated(&wish.correlation_id));
        state.enqueue(NewJob::new(&RunReport { run_id: id }).correlated(&wish.correlation_id));
        let run = Run {
            id,
            repository: wish.repository,
            issue: wish.issue,
            stage: wish.stage,
            revise: wish.revise,
            state: RunState::Pending,
            correlation_id: wish.correlation_id,
            requested_by: wish.requested_by,
            namespace: None,
            comment_id: None,
            created_at,
            started_at: None,
            finished_at: None,
        };
        state.runs.insert(id, run);
        call.answer(Created::New(id))
    }

    async fn caused_by(&self, cause: &CorrelationId) -> Result<Option<RunId>, PortError> {
        let call = self.memory.faults.begin("caused_by")?;
        let state = self.memory.lock();
        let mut caused = state.runs.values().filter(|run| run.correlation_id == *cause);
        call.answer(caused.next().map(|run| run.id))
    }

    async fn get(&self, id: RunId) -> Result<Option<Run>, PortError> {
        let call = self.memory.faults.begin("get")?;
        call.answer(self.memory.lock().runs.get(&id).cloned())
    }

    async fn admit(&self, run: &Run) -> Result<Admission, ApplyError> {
        let call = self.memory.faults.begin("admit")?;
        let mut state = self.memory.lock();
        state.expect(run)?;
        if state.free_slots(run.repository.project.id) > 0 {
            state.take(run, RunEvent::Admitted, json!({}))?;
            return call.answer(Admission::Admitted);
        }
        if run.state != RunState::WaitingSlot {
            state.take(run, RunEvent::SlotsFull, json!({}))?;
        }
        call.answer(Admission::Full)
    }

    async fn apply(&self, run: &Run, event: RunEvent, data: Value) -> Result<Run, ApplyError> {
        let call = self.memory.faults.begin("apply")?;
        let after = self.memory.lock().take(run, event, data)?;
        call.answer(after)
    }

    async fn append_log(&self, id: RunId, lines: &[LogLine]) -> Result<(), PortError> {
        let call = self.memory.faults.begin("append_log")?;
        let mut state = self.memory.lock();
        let kept = state.logs.entry(id).or_default();
        for line in lines {
            kept.entry(line.number).or_insert_with(|| line.clone());
        }
        call.answer(())
    }

    async fn last_log_line(&self, id: RunId) -> Result<i64, PortError> {
        let call = self.memory.faults.begin("last_log_line")?;
        let state = self.memory.lock();
        let last = state.logs.get(&id).and_then(|lines| lines.keys().next_back());
        call.answer(last.copied().unwrap_or(0))
    }

    async fn set_comment(&self, id: RunId, comment: CommentId) -> Result<(), PortError> {
        let call = self.memory.faults.begin("set_comment")?;
        let mut state = self.memory.lock();
        if let Some(run) = state.runs.get_mut(&id)
            && run.comment_id != Some(comment)
        {
            run.comment_id = Some(comment);
            let correlation_id = run.correlation_id.clone();
            state.events.push(FlowEvent {
                correlation_id,
                run: Some(id),
                kind: "run.reported",
                actor: FlowActor::System,
                data: json!({ "comment_id": comment }),
            });
        }
        call.answer(())
    }

    async fn record(&self, event: FlowEvent) -> Result<(), PortError> {
        let call = self.memory.faults.begin("record")?;
        let mut state = self.memory.lock();
        let same = |known: &FlowEvent| {
            (known.run, known.kind, &known.correlation_id) == (event.run, event.kind, &event.correlation_id)
        };
        if !state.events.iter().any(same) {
            state.events.push(event);
        }
        call.answer(())
    }

    async fn hint(&self, id: RunId) -> Result<(), PortError> {
        let call = self.memory.faults.begin("hint")?;
        let mut state = self.memory.lock();
        let correlation_id = match state.runs.get(&id) {
            Some(run) if !run.state.is_final() => run.correlation_id.clone(),
            _ => return call.answer(()),
        };
        state.enqueue(NewJob::new(&RunObserve { run_id: id }).correlated(&correlation_id));
        call.answer(())
    }
}
