//! Runs one attempt: decode, handler, timeout, cancel, panic. Whatever happens, it ends in a
//! [`Finish`] that goes to the acker.

use std::any::Any;
use std::collections::HashMap;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use apalis_core::task::Task;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tower::Service;

use crate::claim::Claimed;
use crate::fetcher::Slots;
use crate::finish::Ack;
use crate::outcome::Finish;
use crate::registry::{Job, Lease, Registered};
use crate::report::{Outbox, Source};
use crate::running::{Begun, Control, Running, Stop};
use crate::{JobError, Outcome};

/// How long a handler that was told to stop may take before it is dropped.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// The service that apalis calls with each job. Every clone shares all of it.
pub(crate) struct Dispatch<C> {
    pub(crate) shared: Arc<Shared<C>>,
    pub(crate) slots: Arc<Slots>,
    pub(crate) acks: mpsc::UnboundedSender<Ack>,
}

/// What all queues of a worker share.
pub(crate) struct Shared<C> {
    pub(crate) context: C,
    pub(crate) kinds: HashMap<i32, Registered<C>>,
    pub(crate) running: Arc<Running>,
    pub(crate) reports: Arc<Outbox>,
    pub(crate) worker_id: i32,
    pub(crate) named: bool,
}

impl<C: Clone + Send + Sync + 'static> Service<Task<Claimed>> for Dispatch<C> {
    type Response = ();
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<(), Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The fetcher claims no more than there are slots, so there is always room for what it claimed.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, task: Task<Claimed>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        let slots = Arc::clone(&self.slots);
        let acks = self.acks.clone();
        let work = async move {
            let ack = run(&shared, task.args).await;
            // Without a receiver the worker is gone, and its leases with it: the job is rescued.
            let _ = acks.send(ack);
            slots.release();
        };
        SpawnIfPending::new(work.boxed()).boxed()
    }
}

/// Runs one attempt, whatever comes, to the end that is to be written.
pub(crate) async fn run<C: Clone>(shared: &Shared<C>, claimed: Claimed) -> Ack {
    let (id, epoch, keyed) = (claimed.id, claimed.epoch, claimed.keyed);
    let held = claimed.held.clone();
    let control = shared.running.begin(id);
    let finish = attempt(shared, claimed, &control).await;
    let settled = control.is_settled();
    let finish = if control.why() == Some(Stop::LeaseLost) {
        // Most likely somebody else has it, and this is refused. But a job claimed after the worker was
        // given up is still ours, and nobody would ever look for it.
        Finish::Release
    } else {
        storable(finish)
    };
    Ack {
        id,
        epoch,
        keyed,
        settled,
        unsure: false,
        finish,
        _attempt: Some(Arc::new(Begun::new(id, control, &shared.running))),
        _held: held,
    }
}

/// Polls once where it is and moves to a task of its own only if it has to wait: a handler that is done at
/// once is spared the task, and one that isn't can't hold up the others.
enum SpawnIfPending {
    Here(BoxFuture<'static, ()>),
    Spawned(tokio::task::JoinHandle<()>),
}

impl SpawnIfPending {
    fn new(work: BoxFuture<'static, ()>) -> Self {
        Self::Here(work)
    }
}

impl Future for SpawnIfPending {
    type Output = Result<(), Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match &mut *self {
                Self::Here(work) => {
                    if work.poll_unpin(cx).is_ready() {
                        return Poll::Ready(Ok(()));
                    }
                    let work = std::mem::replace(work, futures::future::ready(()).boxed());
                    *self = Self::Spawned(tokio::spawn(work));
                }
                // Panics are caught inside, so a join error is the runtime's end.
                Self::Spawned(task) => return task.poll_unpin(cx).map(|_| Ok(())),
            }
        }
    }
}

async fn attempt<C: Clone>(shared: &Shared<C>, claimed: Claimed, control: &Arc<Control>) -> Finish {
    let Some(kind) = shared.kinds.get(&claimed.kind_id) else {
        return Finish::Release;
    };
    let number = claimed.attempt;
    let max_attempts = claimed.max_attempts;
    let timeout = claimed.timeout_ms.map_or(kind.policy.timeout, |ms| {
        Some(Duration::from_millis(u64::try_from(ms).unwrap_or(1)))
    });
    let lease = Lease {
        id: claimed.id,
        epoch: claimed.epoch,
        worker_id: shared.worker_id,
        control: Arc::clone(control),
        report: Source::new(&shared.reports, claimed.id, number, claimed.epoch),
        named: shared.named,
    };
    let job = Job {
        id: claimed.id,
        attempt: number,
        max_attempts,
        correlation_id: claimed.correlation_id,
        traceparent: claimed.traceparent,
        args: (),
        lease,
    };
    // The handler's synchronous part may panic too, so it starts inside of the guard.
    let handler = AssertUnwindSafe(async {
        match kind.start(shared.context.clone(), job, &claimed.args) {
            Ok(handler) => handler.await.map_err(Failure::Handler),
            Err(error) => Err(Failure::Payload(error)),
        }
    })
    .catch_unwind();
    let ended = tokio::select! {
        biased;
        ended = handler => ended,
        end = stopped(control, timeout) => return match end {
            Ended::TimedOut if control.why() == Some(Stop::Cancelled) => {
                Finish::Cancelled("cancelled while it ran".into())
            }
            Ended::TimedOut => failed(kind, number, max_attempts, None, format!(
                "timed out after {} ms", timeout.unwrap_or_default().as_millis())),
            Ended::Stopped(Stop::Cancelled) => Finish::Cancelled("cancelled while it ran".into()),
            Ended::Stopped(Stop::Drained | Stop::LeaseLost) => Finish::Release,
        },
    };
    match ended {
        Ok(Ok(Outcome::Done)) => Finish::Completed(None),
        Ok(Ok(Outcome::DoneWith(result))) => Finish::Completed(Some(result)),
        Ok(Ok(Outcome::Snooze(delay))) => Finish::Snooze(delay),
        Ok(Ok(Outcome::Cancel(reason))) => Finish::Cancelled(reason),
        Ok(Err(Failure::Payload(error))) => Finish::Dead(format!("undecodable payload: {error}")),
        // A handler that was told to stop fails in its own way; that is no failure of the job.
        Ok(Err(Failure::Handler(_))) if control.why() == Some(Stop::Cancelled) => {
            Finish::Cancelled("cancelled while it ran".into())
        }
        Ok(Err(Failure::Handler(_))) if control.why() == Some(Stop::Drained) => Finish::Release,
        Ok(Err(Failure::Handler(JobError::Fail { error }))) => Finish::Dead(error),
        Ok(Err(Failure::Handler(JobError::Retry { error, after }))) => {
            failed(kind, number, max_attempts, after, error)
        }
        Err(panic) => failed(
            kind,
            number,
            max_attempts,
            None,
            format!("panicked: {}", message(&*panic)),
        ),
    }
}

enum Failure {
    Payload(serde_json::Error),
    Handler(JobError),
}

enum Ended {
    TimedOut,
    Stopped(Stop),
}

/// Waits until the attempt has to be dropped.
async fn stopped(control: &Control, timeout: Option<Duration>) -> Ended {
    let told = async {
        control.token().cancelled().await;
        let why = control.why().unwrap_or(Stop::Cancelled);
        if why == Stop::Cancelled {
            tokio::time::sleep(STOP_WITHIN).await;
        }
        why
    };
    match timeout {
        None => Ended::Stopped(told.await),
        Some(timeout) => tokio::select! {
            why = told => Ended::Stopped(why),
            () = tokio::time::sleep(timeout) => Ended::TimedOut,
        },
    }
}

fn failed<C>(
    kind: &Registered<C>,
    attempt: i32,
    max_attempts: i32,
    after: Option<Duration>,
    error: String,
) -> Finish {
    if attempt >= max_attempts {
        return Finish::Dead(error);
    }
    Finish::Retry {
        error,
        delay: after.unwrap_or_else(|| kind.policy.backoff.delay(attempt)),
    }
}

/// PostgreSQL's texts hold no NUL. What it refuses would hold up the ends of all other jobs.
fn storable(finish: Finish) -> Finish {
    match finish {
        Finish::Completed(Some(result)) => Finish::Completed(Some(without_nul(result))),
        Finish::Cancelled(reason) => Finish::Cancelled(text(reason)),
        Finish::Dead(reason) => Finish::Dead(text(reason)),
        Finish::Retry { error, delay } => Finish::Retry {
            error: text(error),
            delay,
        },
        other => other,
    }
}

pub(crate) fn text(text: String) -> String {
    if text.contains('\0') {
        return text.replace('\0', "\u{fffd}");
    }
    text
}

fn without_nul(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::String(string) => Value::String(text(string)),
        Value::Array(items) => items.into_iter().map(without_nul).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (text(name), without_nul(value)))
            .collect(),
        other => other,
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
