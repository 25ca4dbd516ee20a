//! [`IdempotentRequests`] in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use domain::idempotency::{Begun, IdempotentRequest, StoredAnswer};
use domain::port::{IdempotentRequests, PortError};

use super::desks::lock;

/// Owner and key.
type Key = (String, String);
/// The fingerprint, and the answer once there is one.
type Known = ([u8; 32], Option<StoredAnswer>);

/// Requests in memory; none is ever lost or too old.
#[derive(Debug, Default)]
pub struct FakeIdempotentRequests(Mutex<BTreeMap<Key, Known>>);

fn key(request: &IdempotentRequest) -> Key {
    (request.owner.clone(), request.key.clone())
}

#[async_trait]
impl IdempotentRequests for FakeIdempotentRequests {
    async fn begin(&self, request: &IdempotentRequest) -> Result<Begun, PortError> {
        let mut known = lock(&self.0);
        Ok(match known.get(&key(request)) {
            None => {
                known.insert(key(request), (request.fingerprint, None));
                Begun::New
            }
            Some((fingerprint, _)) if *fingerprint != request.fingerprint => Begun::Other,
            Some((_, None)) => Begun::InProgress,
            Some((_, Some(answer))) => Begun::Answered(answer.clone()),
        })
    }

    async fn answer(&self, request: &IdempotentRequest, answer: &StoredAnswer) -> Result<(), PortError> {
        lock(&self.0).insert(key(request), (request.fingerprint, Some(answer.clone())));
        Ok(())
    }

    async fn give_up(&self, request: &IdempotentRequest) -> Result<(), PortError> {
        let mut known = lock(&self.0);
        if known
            .get(&key(request))
            .is_some_and(|(_, answer)| answer.is_none())
        {
            known.remove(&key(request));
        }
        Ok(())
    }
}
