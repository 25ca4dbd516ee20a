//! What changes in the database, told to everybody who looks on (`GET /api/v1/staff/stream`).
//!
//! One hub per gateway, at work only while somebody is connected: each look reads what changed (`look`), asks once
//! for all who are connected what they may by now, renders each change once (`frame`) and hands it to those who may
//! see it (`client`). What was told lately is kept (`recent`), so that whoever was cut off goes on where they were,
//! at any gateway: places in the stream are times of the database.

mod client;
mod event;
mod frame;
mod hub;
mod look;
mod recent;

pub(crate) use client::{Start, Wish};
pub(crate) use event::{LiveEvent, Topic};
pub(crate) use frame::place;
pub(crate) use hub::{Hub, Limits};
