//! A [`Cluster`] in memory: keeps what was launched, and says of it what the test has scripted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use domain::RunId;
use domain::port::{Cluster, PortError};
use domain::workload::{Observation, Workload};
use tokio::sync::{Mutex as AsyncMutex, mpsc};

use super::faults::Faults;

#[derive(Debug, Default)]
struct World {
    workloads: BTreeMap<(String, String), Workload>,
    script: VecDeque<Observation>,
    log: Vec<String>,
    log_limits: Vec<i64>,
    stopped: Vec<(String, String)>,
}

/// Kubernetes in memory. A Job that was launched is active until the script says something else.
#[derive(Debug)]
pub struct FakeCluster {
    world: Mutex<World>,
    hints: mpsc::UnboundedSender<Option<RunId>>,
    watched: AsyncMutex<mpsc::UnboundedReceiver<Option<RunId>>>,
    /// Faults of its methods: `launch`, `observe`, `log`, `stop`, `watch`.
    pub faults: Faults,
}

impl Default for FakeCluster {
    fn default() -> Self {
        let (hints, watched) = mpsc::unbounded_channel();
        Self {
            world: Mutex::default(),
            hints,
            watched: AsyncMutex::new(watched),
            faults: Faults::new("kubernetes", &["launch", "observe", "log", "stop", "watch"]),
        }
    }
}

impl FakeCluster {
    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was launched and not stopped since, each once however often it was applied.
    pub fn workloads(&self) -> Vec<Workload> {
        self.lock().workloads.values().cloned().collect()
    }

    /// Namespace and Job of everything that was stopped, in order.
    pub fn stopped(&self) -> Vec<(String, String)> {
        self.lock().stopped.clone()
    }

    /// What the next observations say, one each; the last one stands from then on.
    pub fn script(&self, observations: impl IntoIterator<Item = Observation>) {
        self.lock().script = observations.into_iter().collect();
    }

    /// The agent's whole log so far.
    pub fn write_log(&self, lines: &[&str]) {
        self.lock().log = lines.iter().map(|line| (*line).to_owned()).collect();
    }

    /// How much of the log was asked for, in bytes, call by call.
    pub fn log_limits(&self) -> Vec<i64> {
        self.lock().log_limits.clone()
    }

    /// Tells whoever watches that something of this run has changed.
    pub fn change(&self, run: RunId) {
        // The receiver lives as long as this fake.
        let _ = self.hints.send(Some(run));
    }

    /// Ends the present watch, or the next one, as a server does after some minutes.
    pub fn end_watch(&self) {
        let _ = self.hints.send(None);
    }
}

#[async_trait]
impl Cluster for FakeCluster {
    async fn launch(&self, workload: &Workload) -> Result<(), PortError> {
        let call = self.faults.begin("launch")?;
        let key = (workload.namespace.clone(), workload.job_name.clone());
        self.lock().workloads.insert(key, workload.clone());
        call.answer(())
    }

    async fn observe(&self, namespace: &str, job_name: &str) -> Result<Observation, PortError> {
        let call = self.faults.begin("observe")?;
        let mut world = self.lock();
        let key = (namespace.to_owned(), job_name.to_owned());
        if !world.workloads.contains_key(&key) {
            return call.answer(Observation::Missing);
        }
        let last = world.script.len() <= 1;
        let scripted = if last {
            world.script.front().cloned()
        } else {
            world.script.pop_front()
        };
        call.answer(scripted.unwrap_or(Observation::Active {
            detail: "Running".to_owned(),
        }))
    }

    async fn log(&self, _: &str, _: &str, limit_bytes: i64) -> Result<Vec<String>, PortError> {
        let call = self.faults.begin("log")?;
        let mut world = self.lock();
        world.log_limits.push(limit_bytes);
        let mut room = usize::try_from(limit_bytes).unwrap_or(0);
        let fits = |line: &&String| {
            let taken = line.len() + 1;
            let fits = taken <= room;
            room = room.saturating_sub(taken);
            fits
        };
        let lines = world.log.iter().take_while(fits).cloned().collect();
        call.answer(lines)
    }

    async fn stop(&self, namespace: &str, job_name: &str) -> Result<(), PortError> {
        let call = self.faults.begin("stop")?;
        let key = (namespace.to_owned(), job_name.to_owned());
        let mut world = self.lock();
        world.workloads.remove(&key);
        world.stopped.push(key);
        call.answer(())
    }

    async fn watch(&self, hint: &(dyn Fn(RunId) + Send + Sync)) -> Result<(), PortError> {
        let call = self.faults.begin("watch")?;
        let mut watched = self.watched.lock().await;
        while let Some(Some(run)) = watched.recv().await {
            hint(run);
        }
        call.answer(())
    }
}
