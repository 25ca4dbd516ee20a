//! Claims jobs for one queue, as many as there are free slots, and hands them to the backend.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rand::Rng;
use sqlx::postgres::PgRow;
use sqlx::{Connection, PgConnection};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::claim::{self, Claimed, Claimer, Taken};
use crate::gate::{Gate, Settings};
use crate::lanes::{Lanes, Turn};
use crate::line::Line;
use crate::running::Running;
use crate::session::{Session, Sessions};
use crate::tally::Tally;

/// The first look after a claim that found something; doubles while nothing is found.
const FIRST_LOOK: Duration = Duration::from_millis(1);
/// While jobs flow, wait this long for enough free slots to make a claim worth its statement.
const GATHER: Duration = Duration::from_millis(5);

/// All others wait for a claim's commit, but not for the disk: a server that crashes forgets the claim whole. Its
/// jobs are then claimed anew under other epochs (see [`Claimer::step`]), the worker counts them until they end,
/// and no end of them is accepted. What a rate let through mustn't be forgotten; and a pooler, which there is a
/// transaction for already, could hide the crash from the worker.
const BEGIN: &str = "begin; set local synchronous_commit = off";

/// How often the queue's settings are read.
const FOLLOW: Duration = Duration::from_secs(1);

/// How many attempts of a queue may be in this process at once.
#[derive(Debug)]
pub(crate) struct Slots {
    capacity: usize,
    taken: AtomicUsize,
    released: Notify,
}

impl Slots {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            taken: AtomicUsize::new(0),
            released: Notify::new(),
        }
    }

    fn free(&self) -> usize {
        self.capacity.saturating_sub(self.taken.load(Ordering::Acquire))
    }

    fn take(&self, count: usize) {
        self.taken.fetch_add(count, Ordering::AcqRel);
    }

    pub(crate) fn release(&self) {
        self.taken.fetch_sub(1, Ordering::AcqRel);
        self.released.notify_one();
    }
}

pub(crate) struct Fetcher {
    pub(crate) sessions: Sessions,
    pub(crate) who: Claimer,
    pub(crate) queue: String,
    pub(crate) slots: Arc<Slots>,
    pub(crate) max_claim: usize,
    pub(crate) poll_interval: Duration,
    pub(crate) wake: Arc<Notify>,
    pub(crate) claimed: mpsc::UnboundedSender<Claimed>,
    pub(crate) running: Arc<Running>,
}

/// What a fetcher knows of its queue.
pub(crate) struct Known {
    settings: Settings,
    read: Option<Instant>,
    line: Line,
    lanes: Lanes,
    gate: Gate,
    /// Whose turn the only slot is, where lanes and the plain line share one.
    line_next: bool,
}

/// What a look at the queue found.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) jobs: Vec<Claimed>,
    /// As many as there was room for: most likely there are more.
    more: bool,
    /// A rate lets the next job through in so long.
    again_in: Option<Duration>,
}

impl Known {
    pub(crate) fn new(wake: &Arc<Notify>) -> Self {
        Self {
            settings: Settings::default(),
            read: None,
            line: Line::default(),
            lanes: Lanes::default(),
            gate: Gate::new(Arc::new(Tally::new(Arc::clone(wake)))),
            line_next: false,
        }
    }

    /// With an eye on what the line's marks may have passed.
    fn looking_behind(mut self, sessions: &Sessions) -> Self {
        self.line = self.line.looking_behind(sessions);
        self
    }

    /// After a lost connection nothing is known for sure.
    fn forget(&mut self) {
        self.read = None;
        self.line.forget();
        self.gate.forget();
    }

    /// Looks at the queue's settings and marks, if it is time.
    async fn follow(&mut self, conn: &mut PgConnection, who: &Claimer) -> Result<(), sqlx::Error> {
        if self.read.is_none_or(|read| read.elapsed() >= FOLLOW) {
            self.settings = Settings::read(conn, who.queue_id).await?;
            self.read = Some(Instant::now());
        }
        self.line.follow(conn, who.queue_id).await
    }

    /// Claims as many jobs as there are free slots.
    pub(crate) async fn claim(
        &mut self,
        conn: &mut PgConnection,
        who: &Claimer,
        slots: &Slots,
        max_claim: usize,
    ) -> Result<Found, sqlx::Error> {
        self.follow(conn, who).await?;
        if self.settings.laned {
            self.lanes.walk(conn, who.queue_id).await?;
        }
        if self.settings.gated() {
            return self.claim_in_gate(conn, who, slots, max_claim).await;
        }
        let limit = slots.free().min(max_claim);
        let mut found = Found::default();
        let for_line = self.share_of_line(limit);
        let turns = self.lanes.turns(limit - for_line, |_| true);
        if !turns.is_empty() {
            self.take_turns(conn, who, &turns, &mut found).await?;
        }
        let left = limit - found.jobs.len();
        if left > 0 {
            let start = Instant::now();
            let taken = claim::from_line(conn, who, &self.line, left as i64).await?;
            self.line.claim_took(start.elapsed());
            self.note(taken, left, &mut found);
        }
        Ok(found)
    }

    /// In a transaction of its own, which all other claims of this queue wait for.
    async fn claim_in_gate(
        &mut self,
        conn: &mut PgConnection,
        who: &Claimer,
        slots: &Slots,
        max_claim: usize,
    ) -> Result<Found, sqlx::Error> {
        let mut found = Found::default();
        self.gate.publish_less(conn, who).await?;
        let mut tx = if self.settings.has_rate() || conn.is_in_transaction() {
            conn.begin().await?
        } else {
            conn.begin_with(BEGIN).await?
        };
        // Some more than are free now: slots come free while it waits at the gate, and the longer the queue there,
        // the larger each claim.
        let most = (slots.free() + slots.capacity / 4)
            .min(slots.capacity)
            .min(max_claim);
        let entered = self.gate.enter(&mut tx, who, &self.settings, &self.line, most);
        let (mut room, places) = entered.await?;
        let limit = slots.free().min(max_claim).min(room.jobs);
        let for_line = self.share_of_line(limit);
        let turns = self.lanes.turns(limit - for_line, |key| room.take(key));
        if !turns.is_empty() {
            self.take_turns(&mut tx, who, &turns, &mut found).await?;
            self.gate.hold(&mut found.jobs);
        }
        let left = limit - found.jobs.len();
        let (go, blocked) = room.choose(places, left);
        let rows = if go.is_empty() {
            self.gate.publish(&mut tx, who).await?;
            Vec::new()
        } else {
            self.gate.take(&mut tx, who, go).await?
        };
        if !blocked.is_empty() {
            claim::to_lanes(&mut tx, who, &blocked).await?;
            self.settings.laned = true;
            found.more = true;
        }
        // Without a rate what was taken is read after the commit: all others wait for that.
        if room.has_rate() {
            self.read_taken(&rows, left, &mut found)?;
            self.gate.pour(&mut tx, who, &room, &found.jobs).await?;
            tx.commit().await?;
        } else {
            tx.commit().await?;
            self.read_taken(&rows, left, &mut found)?;
        }
        found.again_in = room.again_in;
        Ok(found)
    }

    fn read_taken(&mut self, rows: &[PgRow], limit: usize, found: &mut Found) -> Result<(), sqlx::Error> {
        let mut taken = Taken::new(rows)?;
        self.gate.hold(&mut taken.jobs);
        self.note(taken, limit, found);
        Ok(())
    }

    /// The lanes have the first turn, each tenant and the plain line with an equal share of the slots; what they
    /// leave over is the line's.
    fn share_of_line(&mut self, limit: usize) -> usize {
        let tenants = self.lanes.tenants();
        if tenants == 0 || limit == 0 {
            return limit;
        }
        self.line_next = !self.line_next;
        (limit / (tenants + 1)).max(usize::from(self.line_next && limit == 1))
    }

    async fn take_turns(
        &mut self,
        conn: &mut PgConnection,
        who: &Claimer,
        turns: &[Turn],
        found: &mut Found,
    ) -> Result<(), sqlx::Error> {
        let taken = claim::from_lanes(conn, who, turns).await?;
        self.lanes
            .served(turns, taken.jobs.iter().filter_map(|job| job.lane));
        found.more |= !taken.jobs.is_empty() || taken.parked > 0;
        found.jobs.extend(taken.jobs);
        Ok(())
    }

    fn note(&mut self, taken: Taken, limit: usize, found: &mut Found) {
        for job in &taken.jobs {
            self.line.met(job.priority);
        }
        found.more |= taken.jobs.len() + taken.parked == limit;
        found.jobs.extend(taken.jobs);
    }
}

impl Fetcher {
    /// Runs until `shutdown`; then no claim is under way any more and the backend's channel closes.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut session = Session::new(&self.sessions, "codex-k8s queue fetcher");
        let mut known = Known::new(&self.wake).looking_behind(&self.sessions);
        let mut wait = FIRST_LOOK;
        let mut flowing = false;
        while !shutdown.is_cancelled() {
            let free = self.free_slots(flowing, &shutdown).await;
            if free == 0 {
                continue;
            }
            // Not raced against the shutdown: a claim that the server has carried out must be received.
            let claim =
                session.run(async |conn| known.claim(conn, &self.who, &self.slots, self.max_claim).await);
            match claim.await {
                Ok(found) => {
                    flowing = found.more;
                    wait = if found.jobs.is_empty() {
                        self.longer(wait)
                    } else {
                        FIRST_LOOK
                    };
                    wait = wait.min(found.again_in.unwrap_or(wait)).max(FIRST_LOOK);
                    self.hand_on(found.jobs);
                }
                Err(error) => {
                    flowing = false;
                    known.forget();
                    self.who.step = self.who.step.saturating_add(1);
                    self.running.doubt();
                    wait = session.pause();
                    metrics::counter!("codex_k8s_queue_errors_total", "task" => "fetcher").increment(1);
                    tracing::warn!(queue = self.queue, %error, "claim failed, trying again");
                }
            }
            if !flowing {
                tokio::select! {
                    () = shutdown.cancelled() => {}
                    () = self.wake.notified() => wait = FIRST_LOOK,
                    () = tokio::time::sleep(wait) => {}
                }
            }
        }
        drop(self.claimed);
        Self::sign_off(session, known, &self.who, &self.wake).await;
    }

    /// While the last jobs end, the others of a queue with limits learn of the room that they leave.
    async fn sign_off(mut session: Session, mut known: Known, who: &Claimer, ended: &Notify) {
        while known.settings.gated() && known.gate.is_published() {
            let published = session.run(async |conn| known.gate.publish(conn, who).await);
            if published.await.is_err() {
                known.gate.forget();
                tokio::time::sleep(session.pause()).await;
            }
            if known.gate.tally.running().0 == 0 {
                return;
            }
            tokio::select! {
                () = ended.notified() => {}
                () = tokio::time::sleep(FOLLOW) => {}
            }
        }
    }

    /// Waits for free slots. While jobs flow, for a quarter of them or a few milliseconds: few large claims
    /// beat many small ones.
    async fn free_slots(&self, flowing: bool, shutdown: &CancellationToken) -> usize {
        let enough = if flowing {
            (self.slots.capacity / 4).max(1)
        } else {
            1
        };
        let gathered = async {
            while self.slots.free() < enough {
                self.slots.released.notified().await;
            }
        };
        tokio::select! {
            () = gathered => {}
            () = shutdown.cancelled() => return 0,
            () = tokio::time::sleep(GATHER) => {}
        }
        self.slots.free()
    }

    fn hand_on(&self, mut jobs: Vec<Claimed>) {
        self.slots.take(jobs.len());
        metrics::counter!("codex_k8s_queue_claimed_total", "queue" => self.queue.clone())
            .increment(jobs.len() as u64);
        jobs.sort_unstable_by_key(|job| (job.priority, job.seq));
        for job in jobs {
            // The backend outlives its fetcher: it ends when this sender does.
            let _ = self.claimed.send(job);
        }
    }

    /// Twice as long, up to the poll interval, with a fifth of jitter so that a fleet spreads out.
    fn longer(&self, wait: Duration) -> Duration {
        let doubled = (wait * 2).min(self.poll_interval);
        doubled.mul_f64(rand::rng().random_range(0.8..=1.0))
    }
}
