//! What may happen to a queue, as proptest makes it up.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::world::How;
use crate::OnConflict;

#[derive(Debug, Clone)]
pub(super) enum Step {
    Enqueue {
        delay: i64,
        key: Option<(u8, OnConflict)>,
        priority: i16,
        max_attempts: i32,
    },
    Claim {
        worker: usize,
        limit: i64,
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
    Hour,
    Promote,
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

pub(super) fn step() -> impl Strategy<Value = Step> {
    let on_conflict = prop_oneof![
        Just(OnConflict::Keep),
        Just(OnConflict::Replace),
        Just(OnConflict::Hasten)
    ];
    let delay = prop_oneof![2 => Just(0), 1 => 1..3_i64];
    let key = prop::option::of((0..3_u8, on_conflict));
    prop_oneof![
        6 => (delay, key, -1..2_i16, 1..5_i32).prop_map(|(delay, key, priority, max_attempts)| {
            Step::Enqueue { delay, key, priority, max_attempts }
        }),
        8 => (0..3_usize, 1..5_i64).prop_map(|(worker, limit)| Step::Claim { worker, limit }),
        6 => (0..3_usize, vec((any::<Index>(), how()), 1..4))
            .prop_map(|(worker, ends)| Step::End { worker, ends }),
        1 => (0..3_usize, any::<Index>()).prop_map(|(worker, lease)| Step::EndInTransaction { worker, lease }),
        1 => any::<Index>().prop_map(Step::Cancel),
        2 => any::<Index>().prop_map(Step::Retry),
        3 => (0..3_usize, any::<bool>(), any::<bool>())
            .prop_map(|(worker, silent, lives)| Step::Die { worker, silent, lives }),
        1 => any::<Index>().prop_map(Step::BadLuck),
        1 => Just(Step::Hour),
        2 => Just(Step::Promote),
    ]
}
