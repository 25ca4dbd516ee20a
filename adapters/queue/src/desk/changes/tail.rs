//! The end of a table that only grows: what is new there is found by its place, without an index and without a
//! word from those who write.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};

/// Blocks read at the first look: all that came in the last minute, at the paces at which people can follow.
const FIRST: i64 = 2_048;
/// Blocks before the end that may still be filled: a server that is in a hurry adds several at once.
const SLACK: i64 = 64;
/// A transaction may write a row so long before it commits.
const OVERLAP: TimeDelta = TimeDelta::seconds(5);
/// How far back the first look goes.
const LOOKBACK: TimeDelta = TimeDelta::seconds(60);

/// Where to begin to read.
#[derive(Debug, Default)]
pub struct Tail {
    /// How many blocks there were when; the first one is the newest that is older than the overlap.
    sizes: VecDeque<(DateTime<Utc>, i64)>,
}

impl Tail {
    /// The block to read from, of a table that has so many blocks at this time.
    pub fn advance(&mut self, now: DateTime<Utc>, blocks: i64) -> i64 {
        if self.sizes.front().is_none_or(|(_, first)| *first > blocks) {
            self.sizes = VecDeque::from([(now, (blocks - FIRST).max(0))]);
        }
        self.sizes.push_back((now, blocks));
        while self.sizes.get(1).is_some_and(|(at, _)| *at < now - OVERLAP) {
            self.sizes.pop_front();
        }
        self.sizes
            .front()
            .map_or(0, |(_, blocks)| (blocks - SLACK).max(0))
    }

    /// Rows that are older than this have been read before.
    pub fn since(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let opened = self.sizes.len() <= 2 && self.sizes.front().is_none_or(|(at, _)| *at == now);
        now - if opened { LOOKBACK } else { OVERLAP * 2 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_a_little_more_than_what_is_new() {
        let mut tail = Tail::default();
        let at = |seconds| DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        assert_eq!(tail.advance(at(0), 10_000), 10_000 - FIRST - SLACK);
        assert_eq!(tail.since(at(0)), at(-60));
        assert_eq!(tail.advance(at(1), 10_100), 10_000 - FIRST - SLACK);
        assert_eq!(tail.since(at(1)), at(-9));
        assert_eq!(
            tail.advance(at(5), 10_200),
            10_000 - FIRST - SLACK,
            "not old enough"
        );
        assert_eq!(tail.advance(at(7), 10_300), 10_100 - SLACK);
        assert_eq!(tail.advance(at(8), 10), 0, "another table");
        assert_eq!(tail.advance(at(9), 20), 0);
    }
}
