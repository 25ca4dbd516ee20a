//! The suite of [`IdempotentRequests`].

use anyhow::{Result, ensure};
use domain::idempotency::{Begun, IdempotentRequest, StoredAnswer};
use domain::port::IdempotentRequests;

use super::fresh_delivery_id;

/// A request is carried out once: until it is given up, the same key gives what became of it.
pub async fn idempotent_requests(port: &dyn IdempotentRequests) -> Result<()> {
    let request = IdempotentRequest {
        owner: "ann".to_owned(),
        key: fresh_delivery_id().to_string(),
        fingerprint: [1; 32],
    };
    let other = IdempotentRequest {
        fingerprint: [2; 32],
        ..request.clone()
    };
    let of_bob = IdempotentRequest {
        owner: "bob".to_owned(),
        ..request.clone()
    };
    ensure!(port.begin(&request).await? == Begun::New, "a new one isn't new");
    ensure!(
        port.begin(&request).await? == Begun::InProgress,
        "it is begun twice"
    );
    ensure!(
        port.begin(&other).await? == Begun::Other,
        "another one is taken for it"
    );
    ensure!(
        port.begin(&of_bob).await? == Begun::New,
        "somebody else's is taken for it"
    );
    port.give_up(&request).await?;
    ensure!(
        port.begin(&request).await? == Begun::New,
        "given up, it isn't free"
    );
    let answer = StoredAnswer {
        status: 202,
        content_type: Some("application/json".to_owned()),
        body: Some(b"{}".to_vec()),
    };
    port.answer(&request, &answer).await?;
    ensure!(
        port.begin(&request).await? == Begun::Answered(answer),
        "the answer isn't kept"
    );
    ensure!(
        port.begin(&other).await? == Begun::Other,
        "another one gets its answer"
    );
    port.give_up(&request).await?;
    ensure!(
        matches!(port.begin(&request).await?, Begun::Answered(_)),
        "what was done is given up"
    );
    Ok(())
}
