//! What was told lately, for those who were cut off.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};

use super::frame::Frame;

/// How long a look is kept at least, unless there is too much.
const KEPT: TimeDelta = TimeDelta::seconds(60);
/// Messages kept.
const AT_MOST: usize = 20_000;

/// One look.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) ended_at: DateTime<Utc>,
    pub(crate) frames: Vec<Frame>,
}

/// The looks of the last minute.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    looks: VecDeque<Told>,
    frames: usize,
    /// Everything that was committed after this is among the looks.
    from: DateTime<Utc>,
    /// When the last look began and ended.
    last: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

impl Recent {
    /// Begins anew, with a reader that goes back to this.
    pub(crate) fn begin(&mut self, from: DateTime<Utc>) {
        *self = Self {
            from,
            ..Self::default()
        };
    }

    /// When the last look began: the place of whoever has been told everything.
    pub(crate) fn place(&self) -> Option<DateTime<Utc>> {
        self.last.map(|(began_at, _)| began_at)
    }

    pub(crate) fn push(&mut self, began_at: DateTime<Utc>, told: Told) {
        self.last = Some((began_at, told.ended_at));
        if told.frames.is_empty() {
            return;
        }
        self.frames += told.frames.len();
        self.looks.push_back(told);
        while self.looks.front().is_some_and(|first| {
            first.ended_at < began_at - KEPT || (self.frames > AT_MOST && self.looks.len() > 1)
        }) {
            let Some(first) = self.looks.pop_front() else {
                break;
            };
            self.frames -= first.frames.len();
            self.from = first.ended_at;
        }
    }

    /// What was told after this place; `None` if that isn't known any more, or the place is none of this
    /// database's.
    pub(crate) fn after(&self, place: DateTime<Utc>) -> Option<impl Iterator<Item = &Frame>> {
        let (_, ended_at) = self.last?;
        // A look that began before the place may have ended after it, and have seen what was committed since.
        (self.from <= place && place <= ended_at + TimeDelta::seconds(5)).then(|| {
            let later = self.looks.iter().filter(move |look| look.ended_at > place);
            later.flat_map(|look| &look.frames)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::event::Topic;
    use crate::live::frame::Audience;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn told(ended_at: i64, name: &'static str) -> Told {
        let frame = Frame {
            audience: Audience::Any(Topic::Run),
            bytes: name.into(),
        };
        Told {
            ended_at: at(ended_at),
            frames: vec![frame],
        }
    }

    fn after(recent: &Recent, place: i64) -> Option<Vec<String>> {
        let text = |frame: &Frame| String::from_utf8_lossy(&frame.bytes).into_owned();
        recent.after(at(place)).map(|frames| frames.map(text).collect())
    }

    #[test]
    fn who_was_cut_off_hears_what_came_since() {
        let mut recent = Recent::default();
        assert_eq!(after(&recent, 0), None, "nothing was looked at");
        recent.begin(at(40));
        recent.push(at(100), told(102, "a"));
        recent.push(at(104), told(105, "b"));
        assert_eq!(recent.place(), Some(at(104)));
        assert_eq!(after(&recent, 39), None);
        assert_eq!(after(&recent, 40).unwrap(), ["a", "b"]);
        assert_eq!(
            after(&recent, 101).unwrap(),
            ["a", "b"],
            "the look may have seen more than its place says"
        );
        assert_eq!(after(&recent, 104).unwrap(), ["b"]);
        assert_eq!(after(&recent, 105).unwrap(), [""; 0]);
        assert_eq!(after(&recent, 200), None, "another database's");
        recent.push(at(170), told(171, "c"));
        assert_eq!(after(&recent, 101), None, "kept for a minute");
        assert_eq!(after(&recent, 105).unwrap(), ["c"]);
    }
}
