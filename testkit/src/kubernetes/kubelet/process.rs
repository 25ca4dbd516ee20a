//! Container processes: started in a group of their own, so that everything they start ends with them.

use std::collections::{BTreeMap, HashSet};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::super::cluster::{Cluster, lock};
use super::{LogLine, Stop};

/// The process groups that are alive.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    /// `None` once everything was ended and nothing may start any more.
    alive: Mutex<Option<HashSet<i32>>>,
}

impl Groups {
    pub(crate) fn open() -> Self {
        Self {
            alive: Mutex::new(Some(HashSet::new())),
        }
    }

    /// Ends all of them, now.
    pub(crate) fn kill_all(&self) {
        for group in lock(&self.alive).take().into_iter().flatten() {
            signal(group, Signal::KILL);
        }
    }
}

fn signal(group: i32, signal: Signal) {
    if let Some(group) = Pid::from_raw(group) {
        // The group may have ended by itself.
        let _ = kill_process_group(group, signal);
    }
}

/// A running container.
pub(super) struct Process {
    child: Child,
    group: i32,
    groups: Arc<Groups>,
    readers: Vec<JoinHandle<()>>,
}

/// What to start and where its output goes.
pub(super) struct Launch<'a> {
    pub(crate) words: &'a [String],
    pub(crate) variables: &'a BTreeMap<String, String>,
    pub(crate) directory: &'a Path,
    pub(crate) pod_uid: &'a str,
    pub(crate) container: &'a str,
}

impl Process {
    /// Starts it; the error is for people.
    pub(crate) fn start(
        cluster: &Arc<Cluster>,
        groups: &Arc<Groups>,
        launch: &Launch<'_>,
    ) -> Result<Self, String> {
        let Some((program, args)) = launch.words.split_first() else {
            return Err("no command specified".into());
        };
        let mut command = Command::new(program);
        command
            .args(args)
            .env_clear()
            .env("HOME", launch.directory)
            .env("PATH", path(&cluster.settings.path_dirs))
            .envs(launch.variables)
            .current_dir(launch.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut alive = lock(&groups.alive);
        let Some(alive) = alive.as_mut() else {
            return Err("the simulator is stopping".into());
        };
        let mut child = command.spawn().map_err(|error| {
            format!("failed to create containerd task: exec: {program:?}: {error} (looked for in $PATH)")
        })?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).unwrap_or(0);
        alive.insert(group);
        let mut readers = Vec::new();
        if let Some(output) = child.stdout.take() {
            readers.push(read_lines(cluster, launch, output));
        }
        if let Some(output) = child.stderr.take() {
            readers.push(read_lines(cluster, launch, output));
        }
        Ok(Self {
            child,
            group,
            groups: Arc::clone(groups),
            readers,
        })
    }

    /// Waits for its end, ends it when asked to, and returns its exit code (128 and the number of the signal
    /// that killed it).
    pub(crate) async fn wait(mut self, stop: &mut watch::Receiver<Stop>) -> i32 {
        let mut kill_after = None;
        let status = loop {
            let grace = *stop.borrow_and_update();
            if let Some(grace) = grace {
                signal(
                    self.group,
                    if grace.is_zero() {
                        Signal::KILL
                    } else {
                        Signal::TERM
                    },
                );
                kill_after = Some(tokio::time::Instant::now() + grace);
            }
            let expired = async {
                match kill_after {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                status = self.child.wait() => break status,
                // A sender that is gone asks for nothing; then only the end of the process counts.
                Ok(()) = stop.changed() => {}
                () = expired => {
                    signal(self.group, Signal::KILL);
                    break self.child.wait().await;
                }
            }
        };
        // What the process left behind goes with it, as in a container.
        signal(self.group, Signal::KILL);
        if let Some(alive) = lock(&self.groups.alive).as_mut() {
            alive.remove(&self.group);
        }
        for reader in self.readers.drain(..) {
            let handle = reader.abort_handle();
            if tokio::time::timeout(Duration::from_secs(1), reader)
                .await
                .is_err()
            {
                handle.abort();
            }
        }
        status.map_or(255, exit_code)
    }
}

fn exit_code(status: ExitStatus) -> i32 {
    status
        .code()
        .or_else(|| status.signal().map(|number| 128 + number))
        .unwrap_or(255)
}

fn path(first: &[std::path::PathBuf]) -> std::ffi::OsString {
    let inherited = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let dirs = first.iter().cloned().chain(std::env::split_paths(&inherited));
    std::env::join_paths(dirs).unwrap_or(inherited)
}

fn read_lines(
    cluster: &Arc<Cluster>,
    launch: &Launch<'_>,
    output: impl AsyncRead + Unpin + Send + 'static,
) -> JoinHandle<()> {
    let cluster = Arc::clone(cluster);
    let (pod_uid, container) = (launch.pod_uid.to_owned(), launch.container.to_owned());
    tokio::spawn(async move {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while matches!(output.read_until(b'\n', &mut line).await, Ok(read) if read > 0) {
            if line.last() == Some(&b'\n') {
                line.pop();
            }
            let text = Bytes::from(std::mem::take(&mut line));
            cluster.logs.append(
                &pod_uid,
                &container,
                LogLine {
                    at: cluster.now(),
                    text,
                },
            );
        }
    })
}
