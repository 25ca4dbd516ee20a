//! Fakes of the domain's ports, in memory: for tests of those who use a port, without a database, forge or
//! cluster. The contract suites run on these and on the adapters.

pub mod access;
pub mod change_feed;
pub mod cluster;
pub mod desks;
pub mod faults;
pub mod forge;
pub mod idempotent;
pub mod inbox;
pub mod job_desk;
pub mod ledger;
pub mod memory;
pub mod projects;
pub mod queue_desk;
pub mod runs;
pub mod staff;
