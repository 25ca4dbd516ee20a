//! When a schedule ticks: a cron expression read in a time zone.
//!
//! Where the clock is put forward, a fixed time in the gap (`30 2 * * *`) ticks at the gap's end, and the ticks
//! of a pattern with `*` or steps in its time are left out, since those moments don't exist. Where it is put
//! back, a fixed time ticks at the first of the two moments, and a pattern ticks at both.

use std::panic::catch_unwind;

use chrono::{DateTime, Duration, SubsecRound, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::errors::CronError;

use crate::Error;

/// The longest expression that is read.
const LONGEST: usize = 256;

/// A cron expression and its time zone, both sound.
#[derive(Debug, Clone)]
pub(crate) struct Timetable {
    cron: Cron,
    zone: Tz,
}

impl Timetable {
    /// Five fields (minute, hour, day, month, weekday), a sixth before them for seconds, or a word such as
    /// `@daily`; an IANA time zone.
    pub(crate) fn parse(cron: &str, zone: &str) -> Result<Self, Error> {
        let no_cron =
            |why: &dyn std::fmt::Display| Error::Invalid(format!("`{cron}` is no cron expression: {why}"));
        if cron.len() > LONGEST {
            return Err(Error::Invalid(format!(
                "a cron expression has at most {LONGEST} bytes"
            )));
        }
        if !cron.is_ascii() {
            return Err(no_cron(&"it holds letters of another alphabet"));
        }
        // Expressions also come from the database, edited by any hand: none may end the task that reads it.
        let parsed = catch_unwind(|| cron.parse::<Cron>())
            .map_err(|_| no_cron(&"it can't be read"))?
            .map_err(|error| no_cron(&error))?;
        let zone = zone.parse().map_err(|_| {
            Error::Invalid(format!(
                "`{zone}` is no time zone: an IANA name such as Europe/Berlin"
            ))
        })?;
        Ok(Self { cron: parsed, zone })
    }

    /// The first tick after this moment; none if there will never be one.
    pub(crate) fn next(&self, after: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, Error> {
        let start = after.with_timezone(&self.zone);
        self.search(|| self.cron.find_next_occurrence(&start, false))
    }

    /// The last ticks from one moment to another, both included, at most so many; oldest first. Counted
    /// from the end: a schedule by the second has millions of ticks in a downtime.
    pub(crate) fn last_between(
        &self,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
        limit: usize,
    ) -> Result<Vec<DateTime<Utc>>, Error> {
        let mut ticks = Vec::new();
        let mut before = until.trunc_subsecs(0) + Duration::seconds(1);
        while ticks.len() < limit {
            let start = before.with_timezone(&self.zone);
            match self.search(|| self.cron.find_previous_occurrence(&start, false))? {
                Some(tick) if tick >= from && tick < before => {
                    ticks.push(tick);
                    before = tick;
                }
                _ => break,
            }
        }
        ticks.reverse();
        Ok(ticks)
    }

    fn search(
        &self,
        find: impl Fn() -> Result<DateTime<Tz>, CronError>,
    ) -> Result<Option<DateTime<Utc>>, Error> {
        let found = catch_unwind(std::panic::AssertUnwindSafe(find))
            .map_err(|_| Error::Invalid(format!("the ticks of `{}` can't be found", self.cron.as_str())))?;
        match found {
            Ok(tick) => Ok(Some(tick.with_timezone(&Utc))),
            Err(CronError::TimeSearchLimitExceeded) => Ok(None),
            Err(error) => Err(Error::Invalid(format!(
                "the ticks of `{}` can't be found: {error}",
                self.cron.as_str()
            ))),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn at(time: &str) -> DateTime<Utc> {
        time.parse().unwrap()
    }

    fn berlin(cron: &str) -> Timetable {
        Timetable::parse(cron, "Europe/Berlin").unwrap()
    }

    fn forward(table: &Timetable, from: &str, until: &str) -> Vec<String> {
        let (mut tick, until) = (at(from) - Duration::seconds(1), at(until));
        let mut ticks = Vec::new();
        loop {
            tick = table.next(tick).unwrap().unwrap();
            if tick > until {
                return ticks;
            }
            ticks.push(tick.format("%dT%H:%M").to_string());
        }
    }

    fn backward(table: &Timetable, from: &str, until: &str) -> Vec<String> {
        let ticks = table.last_between(at(from), at(until), 1_000).unwrap();
        ticks
            .iter()
            .map(|tick| tick.format("%dT%H:%M").to_string())
            .collect()
    }

    /// Berlin, 29 March 2026: 02:00 is 03:00, at 01:00 UTC.
    #[test]
    fn a_fixed_time_in_the_gap_ticks_at_its_end_and_a_pattern_skips_it() {
        for (cron, expected) in [
            ("30 2 * * *", vec!["28T01:30", "29T01:00", "30T00:30", "31T00:30"]),
            ("0 3 * * *", vec!["28T02:00", "29T01:00", "30T01:00", "31T01:00"]),
            // Two fixed times that fall on one moment are one tick.
            ("0 2,3 29 * *", vec!["29T01:00"]),
        ] {
            let table = berlin(cron);
            let span = ("2026-03-28T00:00:00Z", "2026-03-31T03:00:00Z");
            assert_eq!(forward(&table, span.0, span.1), expected, "{cron}");
            assert_eq!(backward(&table, span.0, span.1), expected, "{cron} backward");
        }
        let hours = berlin("30 * * * *");
        let span = ("2026-03-29T00:00:00Z", "2026-03-29T02:00:00Z");
        assert_eq!(forward(&hours, span.0, span.1), ["29T00:30", "29T01:30"]);
    }

    /// Berlin, 25 October 2026: 03:00 is 02:00 again, at 01:00 UTC.
    #[test]
    fn a_fixed_time_in_the_overlap_ticks_once_and_a_pattern_at_both_moments() {
        let span = ("2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z");
        assert_eq!(forward(&berlin("30 2 * * *"), span.0, span.1), ["25T00:30"]);
        assert_eq!(backward(&berlin("30 2 * * *"), span.0, span.1), ["25T00:30"]);
        let span = ("2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z");
        let expected = ["25T00:30", "25T01:30"];
        assert_eq!(forward(&berlin("30 * * * *"), span.0, span.1), expected);
        assert_eq!(backward(&berlin("30 * * * *"), span.0, span.1), expected);
    }

    /// What a downtime missed is found from its end, and must be what would have ticked.
    #[test]
    fn ticks_are_the_same_from_both_ends() {
        for cron in [
            "*/7 * * * *",
            "0 */2 * * *",
            "15 1,2,3 * * *",
            "59 23 * * *",
            "0 0 * * *",
            "30 2 * * SUN",
            "*/20 2 * * *",
            "@hourly",
        ] {
            for zone in ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"] {
                let table = Timetable::parse(cron, zone).unwrap();
                for span in [
                    ("2026-03-07T00:00:00Z", "2026-03-10T00:00:00Z"),
                    ("2026-03-28T00:00:00Z", "2026-03-30T00:00:00Z"),
                    ("2026-04-04T00:00:00Z", "2026-04-06T00:00:00Z"),
                    ("2026-10-03T00:00:00Z", "2026-10-05T00:00:00Z"),
                    ("2026-10-24T00:00:00Z", "2026-10-26T00:00:00Z"),
                    ("2026-10-31T00:00:00Z", "2026-11-02T00:00:00Z"),
                ] {
                    assert_eq!(
                        backward(&table, span.0, span.1),
                        forward(&table, span.0, span.1),
                        "{cron} in {zone} over {span:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_last_ticks_of_a_long_downtime_are_found_from_its_end() {
        let seconds = Timetable::parse("* * * * * *", "UTC").unwrap();
        let ticks = seconds.last_between(at("2020-01-01T00:00:00Z"), at("2026-01-01T00:00:00.7Z"), 3);
        assert_eq!(
            ticks.unwrap(),
            [
                at("2025-12-31T23:59:58Z"),
                at("2025-12-31T23:59:59Z"),
                at("2026-01-01T00:00:00Z")
            ]
        );
    }

    #[test]
    fn what_never_ticks_is_told_in_good_time() {
        let start = std::time::Instant::now();
        let never = Timetable::parse("0 0 30 2 *", "Europe/Berlin").unwrap();
        assert_eq!(never.next(at("2026-01-01T00:00:00Z")).unwrap(), None);
        assert!(
            start.elapsed() < std::time::Duration::from_secs(2),
            "{:?}",
            start.elapsed()
        );
    }

    #[test]
    fn nonsense_is_refused() {
        let long = "*,".repeat(200);
        for cron in [
            "",
            " ",
            "* * * *",
            "61 * * * *",
            "* 24 * * *",
            "hourly",
            "@never",
            "a b c d e",
            "ü * * * *",
            "*/0 * * * *",
            "5-1 * * * *",
            "0 0 0 0 0 0 0 0",
            "L L L L L",
            "#",
            "* * * * 1#9",
            &long,
        ] {
            let refused = Timetable::parse(cron, "UTC");
            assert!(matches!(refused, Err(Error::Invalid(_))), "{cron}: {refused:?}");
        }
        let error = Timetable::parse("* * * * *", "Europe/Atlantis").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`Europe/Atlantis` is no time zone: an IANA name such as Europe/Berlin"
        );
    }
}
