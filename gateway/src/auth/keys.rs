//! The keys that access tokens are signed with, as this gateway knows them. They live in the database; each gateway
//! looks again every minute, and at once when a token names a key that it doesn't know.

use std::sync::Arc;
use std::time::Duration;

use domain::Secret;
use domain::access::NewSigningKey;
use domain::port::PortError;
use domain::port::access::SigningKeys;
use ring::signature::{Ed25519KeyPair, KeyPair};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::info;

use super::secret;
use crate::problem::{ApiError, catalogue};

/// A key signs for 30 days.
const ROTATE_AFTER_S: i64 = 30 * 24 * 3_600;
/// A new key is published an hour before it signs, and an old one verifies for an hour after it stopped.
const OVERLAP_S: i64 = 3_600;
const LOOK_AGAIN: Duration = Duration::from_mins(1);
/// Whoever invents keys' names doesn't make us ask the database more often than this.
const LOOK_AT_MOST: Duration = Duration::from_secs(1);
const OFFER_EVERY: Duration = Duration::from_hours(1);

/// One key.
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) pair: Ed25519KeyPair,
    pub(crate) public: [u8; 32],
    signs: bool,
}

#[derive(Default)]
struct Known {
    keys: Vec<Arc<Key>>,
    looked: Option<Instant>,
    offered: Option<Instant>,
}

/// All keys.
pub(crate) struct Keys {
    port: Arc<dyn SigningKeys>,
    known: Mutex<Known>,
}

fn older_than(at: Option<Instant>, age: Duration) -> bool {
    at.is_none_or(|at| at.elapsed() >= age)
}

impl Keys {
    pub(crate) fn new(port: Arc<dyn SigningKeys>) -> Self {
        Self {
            port,
            known: Mutex::default(),
        }
    }

    /// The key of this name, if there is one.
    pub(crate) async fn find(&self, id: &str) -> Result<Option<Arc<Key>>, ApiError> {
        let mut known = self.known.lock().await;
        let named = |known: &Known| known.keys.iter().find(|key| key.id == id).cloned();
        let age = if named(&known).is_some() {
            LOOK_AGAIN
        } else {
            LOOK_AT_MOST
        };
        if older_than(known.looked, age) {
            self.look(&mut known).await?;
        }
        Ok(named(&known))
    }

    /// The key to sign with; makes one when it is time for it.
    pub(crate) async fn signing(&self) -> Result<Arc<Key>, ApiError> {
        let mut known = self.known.lock().await;
        if older_than(known.offered, OFFER_EVERY) {
            if self.port.add(new_key()?, ROTATE_AFTER_S, OVERLAP_S).await? {
                info!("a new key to sign access tokens with was made");
            }
            known.offered = Some(Instant::now());
            known.looked = None;
        }
        if older_than(known.looked, LOOK_AGAIN) {
            self.look(&mut known).await?;
        }
        let first = known.keys.iter().find(|key| key.signs);
        first
            .cloned()
            .ok_or_else(|| broken("there is no key to sign with"))
    }

    /// Every key that signs, will sign or still verifies: what others verify with.
    pub(crate) async fn published(&self) -> Result<Vec<Arc<Key>>, ApiError> {
        let mut known = self.known.lock().await;
        if older_than(known.looked, LOOK_AGAIN) {
            self.look(&mut known).await?;
        }
        Ok(known.keys.clone())
    }

    async fn look(&self, known: &mut Known) -> Result<(), ApiError> {
        let mut keys = Vec::new();
        for kept in self.port.list().await? {
            let NewSigningKey { id, seed, public } = kept.key;
            let pair = Ed25519KeyPair::from_seed_and_public_key(seed.expose(), &public).map_err(|_| {
                broken(&format!(
                    "the parts of the signing key {id} don't belong together"
                ))
            })?;
            keys.push(Arc::new(Key {
                id,
                pair,
                public,
                signs: kept.signs,
            }));
        }
        known.keys = keys;
        known.looked = Some(Instant::now());
        Ok(())
    }
}

fn broken(cause: &str) -> ApiError {
    catalogue::INTERNAL
        .with("see the server's log for this request id")
        .because(cause)
}

fn new_key() -> Result<NewSigningKey, ApiError> {
    let seed = secret::random()?;
    let unusable = |_| broken("a new signing key can't be made");
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(unusable)?;
    let public: [u8; 32] = pair.public_key().as_ref().try_into().map_err(|_| {
        ApiError::from(PortError::Refused {
            part: "signing",
            reason: "an Ed25519 public key isn't of 32 bytes".to_owned(),
        })
    })?;
    Ok(NewSigningKey {
        id: hex::encode(&secret::digest(&hex::encode(public)).0[..12]),
        seed: Secret::new(seed),
        public,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;
    use testkit::fake::access::FakeAccess;

    #[tokio::test(start_paused = true)]
    async fn keys_rotate_with_overlap_and_each_gateway_knows_them() {
        let store = Arc::new(FakeAccess::default());
        let (one, two) = (Keys::new(store.clone()), Keys::new(store.clone()));
        let first = one.signing().await.unwrap().id.clone();
        assert_eq!(
            two.signing().await.unwrap().id,
            first,
            "a second gateway makes no second key"
        );
        assert!(two.find("no-such-key").await.unwrap().is_none());

        let pass = async |time: TimeDelta| {
            store.advance(time);
            tokio::time::advance(time.to_std().unwrap()).await;
        };
        pass(TimeDelta::days(30)).await;
        assert_eq!(
            one.signing().await.unwrap().id,
            first,
            "published before it signs"
        );
        assert_eq!(one.published().await.unwrap().len(), 2);
        pass(TimeDelta::minutes(61)).await;
        let second = one.signing().await.unwrap().id.clone();
        assert_ne!(second, first);
        assert!(two.find(&second).await.unwrap().is_some() && two.find(&first).await.unwrap().is_some());
        pass(TimeDelta::minutes(61)).await;
        assert!(two.find(&first).await.unwrap().is_none(), "the old one is gone");
        assert_eq!(two.signing().await.unwrap().id, second);
    }
}
