//! Writes attempts' ends down, gathered: at once when little happens, in groups when much does.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::finish::{self, Ack};
use crate::outcome::Finish;
use crate::session::{Session, Sessions};

/// The most ends in one statement.
const GROUP: usize = 5_000;
/// So many ends at once mean that much happens: it pays to wait for more.
const BUSY: usize = 64;
/// How long to wait for more.
const GATHER: Duration = Duration::from_millis(3);
/// Before a row that another transaction holds is tried again.
const HELD: Duration = Duration::from_millis(20);

pub(crate) struct Acker {
    pub(crate) sessions: Sessions,
    pub(crate) worker_id: i32,
    pub(crate) acks: mpsc::UnboundedReceiver<Ack>,
}

impl Acker {
    /// Runs until every sender is gone and everything is written, or until `give_up`: what isn't written
    /// then loses its lease and is run again.
    pub(crate) async fn run(mut self, give_up: CancellationToken) {
        let mut session = Session::new(&self.sessions, "codex-k8s queue acker");
        let mut group = Vec::new();
        loop {
            if group.is_empty() {
                let received = tokio::select! {
                    received = self.acks.recv_many(&mut group, GROUP) => received,
                    () = give_up.cancelled() => 0,
                };
                if received == 0 {
                    return;
                }
                if received >= BUSY {
                    tokio::time::sleep(GATHER).await;
                }
            }
            while group.len() < GROUP {
                match self.acks.try_recv() {
                    Ok(ack) => group.push(ack),
                    Err(_) => break,
                }
            }
            count(&group);
            if !self.write(&mut session, &mut group, &give_up).await {
                tracing::error!(
                    jobs = group.len(),
                    "gave up on acknowledgements: these jobs will run again"
                );
                return;
            }
        }
    }

    /// Writes until it has gone through; false if it was told to give up.
    async fn write(
        &mut self,
        session: &mut Session,
        group: &mut Vec<Ack>,
        give_up: &CancellationToken,
    ) -> bool {
        loop {
            // Where a failure undoes what was written before it, that has to be written again.
            let undone = self.sessions.is_pooled().then(|| group.clone());
            let written = session
                .run(async |conn| finish::write(conn, self.worker_id, group).await)
                .await;
            if let (Err(_), Some(undone)) = (&written, undone) {
                *group = undone;
            }
            let pause = match written {
                Ok(refused) => {
                    metrics::counter!("codex_k8s_queue_stale_acks_total").increment(refused as u64);
                    if group.is_empty() {
                        return true;
                    }
                    HELD
                }
                Err(error) => {
                    metrics::counter!("codex_k8s_queue_errors_total", "task" => "acker").increment(1);
                    tracing::warn!(jobs = group.len(), %error, "acknowledging failed, trying again");
                    for ack in group.iter_mut() {
                        ack.unsure = true;
                    }
                    session.pause()
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = give_up.cancelled() => return false,
            }
            // New ends need not wait for the held ones.
            while let Ok(ack) = self.acks.try_recv() {
                count(std::slice::from_ref(&ack));
                group.push(ack);
            }
        }
    }
}

fn count(group: &[Ack]) {
    let mut ends = [0_u64; 6];
    for ack in group {
        ends[place(&ack.finish)] += 1;
    }
    for (place, name) in ["completed", "cancelled", "dead", "retried", "snoozed", "released"]
        .iter()
        .enumerate()
    {
        if ends[place] > 0 {
            metrics::counter!("codex_k8s_queue_attempts_total", "outcome" => *name).increment(ends[place]);
        }
    }
}

fn place(finish: &Finish) -> usize {
    match finish {
        Finish::Completed(_) => 0,
        Finish::Cancelled(_) => 1,
        Finish::Dead(_) => 2,
        Finish::Retry { .. } => 3,
        Finish::Snooze(_) => 4,
        Finish::Release => 5,
    }
}
