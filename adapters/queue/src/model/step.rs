//! What may happen to a queue, as proptest makes it up.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::world::How;
use crate::OnConflict;

#[derive(Debug, Clone)]
pub(super) enum Step {
    Enqueue(NewStep),
    Claim {
        worker: usize,
        limit: usize,
    },
    /// Of the worker's latest leases, standing or not, in one group.
    End {
        worker: usize,
        ends: Vec<(Index, How)>,
    },
    /// In the handler's own transaction.
    EndInTransaction {
        worker: usize,
        lease: Index,
    },
    Cancel(Index),
    Retry(Index),
    Die {
        worker: usize,
        silent: bool,
        lives: bool,
    },
    /// Its workers had died before.
    BadLuck(Index),
    Pause {
        what: Paused,
        on: bool,
    },
    Hour,
    Promote,
}

#[derive(Debug, Clone)]
pub(super) struct NewStep {
    pub(super) kind: usize,
    pub(super) delay: i64,
    pub(super) unique: Option<(String, OnConflict)>,
    pub(super) tenant: Option<String>,
    pub(super) key: Option<String>,
    pub(super) priority: i16,
    pub(super) max_attempts: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Paused {
    Queue,
    Kind(usize),
    Tenant(String),
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        3 => any::<bool>().prop_map(|result| How::Completed { result }),
        1 => Just(How::Cancelled),
        1 => Just(How::Dead),
        2 => (0..3_i64).prop_map(How::Retry),
        1 => (0..3_i64).prop_map(How::Snooze),
        1 => Just(How::Release),
    ]
}

fn named(what: &'static str, count: u8) -> impl Strategy<Value = String> {
    (0..count).prop_map(move |n| format!("{what} {n}"))
}

fn new_step() -> impl Strategy<Value = NewStep> {
    let on_conflict = prop_oneof![
        Just(OnConflict::Keep),
        Just(OnConflict::Replace),
        Just(OnConflict::Hasten)
    ];
    let delay = prop_oneof![2 => Just(0), 1 => 1..3_i64];
    let kind = prop_oneof![4 => Just(0_usize), 1 => Just(1)];
    let unique = prop::option::of((named("unique", 3), on_conflict));
    let lane = (
        prop::option::of(named("tenant", 2)),
        prop::option::of(named("key", 2)),
    );
    (kind, delay, unique, lane, -1..2_i16, 1..5_i32).prop_map(
        |(kind, delay, unique, (tenant, key), priority, max_attempts)| NewStep {
            kind,
            delay,
            unique,
            tenant,
            key,
            priority,
            max_attempts,
        },
    )
}

/// More resumed than paused: most of the time jobs run.
fn pause() -> impl Strategy<Value = Step> {
    let what = prop_oneof![
        1 => Just(Paused::Queue),
        2 => (0..2_usize).prop_map(Paused::Kind),
        2 => named("tenant", 2).prop_map(Paused::Tenant),
    ];
    (what, prop::bool::weighted(0.4)).prop_map(|(what, on)| Step::Pause { what, on })
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => new_step().prop_map(Step::Enqueue),
        8 => (0..3_usize, 1..5_usize).prop_map(|(worker, limit)| Step::Claim { worker, limit }),
        6 => (0..3_usize, vec((any::<Index>(), how()), 1..4))
            .prop_map(|(worker, ends)| Step::End { worker, ends }),
        1 => (0..3_usize, any::<Index>()).prop_map(|(worker, lease)| Step::EndInTransaction { worker, lease }),
        1 => any::<Index>().prop_map(Step::Cancel),
        2 => any::<Index>().prop_map(Step::Retry),
        3 => (0..3_usize, any::<bool>(), any::<bool>())
            .prop_map(|(worker, silent, lives)| Step::Die { worker, silent, lives }),
        1 => any::<Index>().prop_map(Step::BadLuck),
        2 => pause(),
        1 => Just(Step::Hour),
        2 => Just(Step::Promote),
    ]
}
