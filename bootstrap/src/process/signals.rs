//! When to stop: SIGTERM or SIGINT drains, the second one stops at once. A process that `dev` started also
//! drains when `dev` is gone, however it went: its standard input ends then.

use std::io::Read;

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The exit code of a process that was told twice.
const IMPATIENT: i32 = 130;

/// A token that is cancelled when it is time to drain.
pub(crate) fn shutdown(with_parent: bool) -> Result<CancellationToken> {
    let token = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let draining = token.clone();
    tokio::spawn(async move {
        for told in 0_u8.. {
            let by = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if told > 0 {
                tracing::warn!(by, "told again: stopping at once");
                std::process::exit(IMPATIENT);
            }
            tracing::info!(by, "draining; once more stops at once");
            draining.cancel();
        }
    });
    if with_parent {
        let draining = token.clone();
        // A thread that nobody waits for: a read of standard input can't be taken back.
        std::thread::Builder::new().name("parent".into()).spawn(move || {
            let mut input = std::io::stdin().lock();
            let mut bytes = [0_u8; 64];
            while matches!(input.read(&mut bytes), Ok(1..)) {}
            tracing::info!("the process that started this one is gone: draining");
            draining.cancel();
        })?;
    }
    Ok(token)
}
