//! The work: look, ask who may see it, tell.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::access::{Principal, Via};
use domain::live::{Changes, LOOKBACK_S, Watched};
use domain::port::{ChangeReader, PortError};
use metrics::{gauge, histogram};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use super::event::ResetReason;
use super::frame::frames;
use super::hub::Hub;
use super::recent::Told;
use crate::metrics::{STREAM_CLIENTS, STREAM_LAG, STREAM_LOOK};

/// From one look to the next.
const PAUSE: Duration = Duration::from_millis(250);
/// Looks take a fifth of the time at most.
const SHARE: u32 = 4;
/// Who comes is greeted at once, but not oftener than this.
const GREETING: Duration = Duration::from_millis(50);
/// After a look that failed.
const AGAIN: Duration = Duration::from_secs(1);
/// After so long a look those who are connected are told that they wait, and from then on as often as is due.
const SLOW: Duration = Duration::from_secs(3);
/// A look that takes longer has failed.
const LIMIT: Duration = Duration::from_secs(20);

/// Looks until nobody is connected any more, or the gateway stops.
pub(super) async fn look_on(hub: Arc<Hub>) {
    let _work = Work(&hub);
    tokio::select! {
        () = look_for_all(&hub) => {}
        () = hub.shutdown.cancelled() => hub.end_all(),
    }
}

/// After a panic streams end, so that those who come again set the hub to work anew.
struct Work<'a>(&'a Hub);

impl Drop for Work<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.give_up();
        }
    }
}

async fn look_for_all(hub: &Hub) {
    let mut reader: Option<Box<dyn ChangeReader>> = None;
    while let Some(watched) = hub.watched() {
        let began = Instant::now();
        let is_new = reader.is_none();
        let mut open = reader.take().unwrap_or_else(|| hub.feed.open());
        let pause = match patiently(hub, look(hub, open.as_mut(), &watched, is_new)).await {
            Ok(Ok(())) => {
                reader = Some(open);
                let took = began.elapsed();
                histogram!(STREAM_LOOK).record(took.as_secs_f64());
                PAUSE.max(took * SHARE)
            }
            failed => {
                let error = match failed {
                    Ok(Err(error)) => error.to_string(),
                    _ => format!("it takes longer than {} s", LIMIT.as_secs()),
                };
                warn!(error, "can't look for changes; streams wait");
                wait(hub);
                AGAIN
            }
        };
        sleep(GREETING).await;
        tokio::select! {
            () = sleep(pause.saturating_sub(GREETING)) => {}
            () = hub.came.notified() => {}
        }
    }
}

/// At most so long as a look may take.
async fn patiently<T>(hub: &Hub, look: impl Future<Output = T>) -> Result<T, Elapsed> {
    let mut look = pin!(timeout(LIMIT, look));
    loop {
        if let Ok(done) = timeout(SLOW, &mut look).await {
            return done;
        }
        wait(hub);
    }
}

async fn look(
    hub: &Hub,
    reader: &mut dyn ChangeReader,
    watched: &Watched,
    is_new: bool,
) -> Result<(), PortError> {
    let changes = reader.read(watched).await?;
    // After the changes: whoever loses a right hears of nothing that came later.
    let asked: Vec<(u64, Via)> = {
        let connected = hub.lock();
        connected
            .clients
            .iter()
            .map(|(id, client)| (*id, client.via.clone()))
            .collect()
    };
    let vias: Vec<Via> = asked.iter().map(|(_, via)| via.clone()).collect();
    let standing = hub.principals.standing(&vias).await?;
    let ids = asked.into_iter().map(|(id, _)| id);
    tell(hub, changes, ids.zip(standing).collect(), is_new);
    Ok(())
}

fn tell(hub: &Hub, changes: Changes, standing: Vec<(u64, Option<Principal>)>, is_new: bool) {
    let (began_at, ended_at) = (changes.began_at, changes.ended_at);
    record_lag(&changes);
    let mut connected = hub.lock();
    let connected = &mut *connected;
    let from = began_at - TimeDelta::seconds(LOOKBACK_S);
    let is_gap = is_new && connected.recent.place().is_some_and(|place| place < from);
    if is_new && (is_gap || connected.recent.place().is_none()) {
        connected.recent.begin(from);
    }
    let frames = frames(changes);
    let told = Told {
        ended_at,
        frames: frames.clone(),
    };
    connected.recent.push(began_at, told);
    for (id, principal) in standing {
        let Some(client) = connected.clients.get_mut(&id) else {
            continue;
        };
        let stays = match client.recognise(principal.as_ref(), ended_at) {
            Ok(()) if is_gap && client.is_greeted() => client.reset(ResetReason::Outage, began_at),
            Ok(()) => client.tell(&frames, &connected.recent),
            Err(reason) => {
                client.end(reason);
                false
            }
        };
        if !stays {
            connected.clients.remove(&id);
        }
    }
    gauge!(STREAM_CLIENTS).set(connected.clients.len() as f64);
}

/// How old the oldest news is.
fn record_lag(changes: &Changes) {
    let oldest: Option<DateTime<Utc>> = changes.run_events.rows.iter().map(|event| event.row.at).min();
    if let Some(lag) = oldest.and_then(|at| (changes.ended_at - at).to_std().ok()) {
        histogram!(STREAM_LAG).record(lag.as_secs_f64());
    }
}

/// Says that what is shown gets old, and keeps the connections alive.
fn wait(hub: &Hub) {
    let mut connected = hub.lock();
    let as_of = connected.recent.place();
    connected.clients.retain(|_, client| client.wait(as_of));
    gauge!(STREAM_CLIENTS).set(connected.clients.len() as f64);
}
