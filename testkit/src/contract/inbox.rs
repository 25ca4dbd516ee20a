//! The suite of [`Inbox`].

use anyhow::{Result, ensure};
use domain::delivery::Accepted;
use domain::port::Inbox;
use futures::future::try_join_all;

use super::{delivery, fresh_delivery_id};

/// A delivery is new once; the same again is a duplicate, and another body under its identifier is refused.
pub async fn inbox(inbox: &dyn Inbox) -> Result<()> {
    inbox.ready().await?;
    let id = fresh_delivery_id();
    let first = inbox.accept(delivery(&id, b"{\"a\":1}")).await?;
    ensure!(matches!(first, Accepted::New(_)), "a new delivery was {first:?}");
    for _ in 0..2 {
        let again = inbox.accept(delivery(&id, b"{\"a\":1}")).await?;
        ensure!(
            again == Accepted::Duplicate,
            "the same delivery again was {again:?}"
        );
    }
    let other = inbox.accept(delivery(&id, b"{\"a\":2}")).await?;
    ensure!(other == Accepted::BodyMismatch, "another body was {other:?}");
    let again = inbox.accept(delivery(&id, b"{\"a\":1}")).await?;
    ensure!(
        again == Accepted::Duplicate,
        "after a mismatch the true delivery was {again:?}"
    );

    let id = fresh_delivery_id();
    let posts = (0..50).map(|_| inbox.accept(delivery(&id, b"{\"b\":1}")));
    let answers = try_join_all(posts).await?;
    let new = answers
        .iter()
        .filter(|answer| matches!(answer, Accepted::New(_)))
        .count();
    let duplicates = answers
        .iter()
        .filter(|answer| **answer == Accepted::Duplicate)
        .count();
    ensure!(
        (new, duplicates) == (1, 49),
        "of 50 at once {new} were new and {duplicates} duplicates"
    );

    let ids: Vec<_> = (0..100).map(|_| fresh_delivery_id()).collect();
    let answers = try_join_all(ids.iter().map(|id| inbox.accept(delivery(id, b"{}")))).await?;
    let mut jobs = Vec::new();
    for answer in answers {
        let Accepted::New(job) = answer else {
            anyhow::bail!("a delivery among others was {answer:?}")
        };
        jobs.push(job);
    }
    jobs.sort_unstable();
    jobs.dedup();
    ensure!(jobs.len() == 100, "100 deliveries got {} jobs", jobs.len());
    ensure!(inbox.backlog().await? >= 0, "a backlog below zero");
    Ok(())
}
