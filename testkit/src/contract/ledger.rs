//! The suite of [`Ledger`].

use anyhow::{Context, Result, ensure};
use domain::delivery::{DeliveryOutcome, DeliveryStatus};
use domain::port::{Inbox, Ledger, PortError};
use domain::repository::Repository;

use super::{delivery, fresh_delivery_id};

/// What was accepted is loaded byte for byte and settled; `known` is a repository that the ledger knows.
pub async fn ledger(inbox: &dyn Inbox, ledger: &dyn Ledger, known: &Repository) -> Result<()> {
    let id = fresh_delivery_id();
    ensure!(
        ledger.load(&id).await?.is_none(),
        "a delivery that nobody sent was loaded"
    );
    let long = br#"{"text":"a\u0000b"} "#.repeat(500);
    for payload in [&b"{\"a\": 1 }\0\xff\n"[..], &long] {
        let id = fresh_delivery_id();
        inbox.accept(delivery(&id, payload)).await?;
        let stored = ledger
            .load(&id)
            .await?
            .context("an accepted delivery can't be loaded")?;
        ensure!(
            stored.payload.as_deref() == Some(payload),
            "the payload came back changed"
        );
        ensure!(
            (stored.id, stored.event.as_str()) == (id, "issues"),
            "identifier or event changed"
        );
    }

    let outcome = |status, reason: &str| DeliveryOutcome {
        status,
        reason: reason.to_owned(),
        run: None,
    };
    let ignored = outcome(DeliveryStatus::Ignored, "event_not_used");
    inbox.accept(delivery(&id, b"{}")).await?;
    ledger.settle(&id, &ignored, Vec::new()).await?;
    ledger.settle(&id, &ignored, Vec::new()).await?;
    ledger
        .settle(
            &id,
            &outcome(DeliveryStatus::Processed, "run_created"),
            Vec::new(),
        )
        .await?;
    let refused = ledger.settle(&fresh_delivery_id(), &ignored, Vec::new()).await;
    ensure!(
        matches!(refused, Err(PortError::Refused { .. })),
        "an unknown delivery was settled: {refused:?}"
    );

    let shouted = known.name.to_string().to_uppercase().parse()?;
    let found = ledger.repository(&shouted).await?;
    ensure!(found.as_ref() == Some(known), "{shouted} led to {found:?}");
    ensure!(
        ledger.repository(&"nobody/nothing".parse()?).await?.is_none(),
        "an unknown repository was found"
    );
    Ok(())
}
