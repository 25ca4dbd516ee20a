//! What every implementation of a port must hold to: one suite per port, run on the adapter and on the fake.
//!
//! A suite takes the port as a trait object and fails with what was broken. Each uses identifiers of its
//! own, so that it can be run on a store that holds other things; none needs a database by itself.

mod access;
mod change_feed;
mod desks;
mod devices;
mod idempotent;
mod inbox;
mod ledger;
mod run_store;

use domain::DeliveryId;
use domain::delivery::NewDelivery;
use domain::repository::Repository;
use domain::run::NewRun;
use domain::stage::Stage;

pub use access::{principals, sign_ins, signing_keys, user_desk};
pub use change_feed::{Deeds, change_feed};
pub use desks::{delivery_desk, run_desk, run_retry};
pub use devices::device_sign_ins;
pub use idempotent::idempotent_requests;
pub use inbox::inbox;
pub use ledger::ledger;
pub use run_store::run_store;

/// An identifier that nobody has used.
pub fn fresh_delivery_id() -> DeliveryId {
    let text = hex::encode(rand::random::<[u8; 16]>());
    #[expect(clippy::expect_used, reason = "hexadecimal digits are always allowed")]
    DeliveryId::new(text).expect("hexadecimal digits")
}

/// A delivery of `issues.labeled` with this payload.
pub fn delivery(id: &DeliveryId, payload: &[u8]) -> NewDelivery {
    use sha2::{Digest, Sha256};
    NewDelivery {
        id: id.clone(),
        event: "issues".to_owned(),
        action: Some("labeled".to_owned()),
        repository: Some("codertocat/hello-world".to_owned()),
        sender: Some("ann".to_owned()),
        body_sha256: Sha256::digest(payload).into(),
        payload: payload.to_vec(),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
    }
}

/// A run of this issue, of a cause of its own.
pub fn new_run(repository: &Repository, issue: i64) -> NewRun {
    NewRun {
        repository: repository.clone(),
        issue,
        stage: Stage::Dev,
        revise: false,
        correlation_id: fresh_delivery_id(),
        requested_by: "ann".to_owned(),
    }
}
