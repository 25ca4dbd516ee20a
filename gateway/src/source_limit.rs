//! Requests per source, by the generic cell rate algorithm: one instant per source says when its bucket will
//! be full again. Bounded in memory: when the table is full of busy sources, newcomers share one bucket.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::http::Extensions;
use tokio::time::Instant;

use crate::problem::{ApiError, catalogue};
use crate::settings::RateLimit;

/// About 4 MiB of table.
const MAX_SOURCES: usize = 65_536;
/// Sweeping the table takes time; not more often than this.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Who sends: an IPv4 address, or the /64 that an IPv6 host usually has for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    V4(Ipv4Addr),
    V6Network([u16; 4]),
    Newcomers,
}

impl Source {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4),
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                Self::V6Network([a, b, c, d])
            }
        }
    }
}

#[derive(Debug)]
struct Table {
    full_again: HashMap<Source, Instant>,
    swept: Option<Instant>,
}

/// The buckets of all sources.
#[derive(Debug)]
pub(crate) struct SourceLimit {
    /// One request's share of time.
    interval: Duration,
    /// How far ahead of time a source may be.
    tolerance: Duration,
    max_sources: usize,
    table: Mutex<Table>,
}

impl SourceLimit {
    pub(crate) fn new(limit: RateLimit) -> Self {
        Self::with_room(limit, MAX_SOURCES)
    }

    fn with_room(limit: RateLimit, max_sources: usize) -> Self {
        let interval = Duration::from_secs(1) / limit.per_second;
        let table = Mutex::new(Table {
            full_again: HashMap::new(),
            swept: None,
        });
        Self {
            interval,
            tolerance: interval * limit.burst,
            max_sources,
            table,
        }
    }

    /// Takes a token of this source's bucket, or says how long to wait for one.
    pub(crate) fn admit(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let mut source = Source::of(address);
        if !table.full_again.contains_key(&source) && table.full_again.len() >= self.max_sources {
            if table
                .swept
                .is_none_or(|swept| now.duration_since(swept) >= SWEEP_EVERY)
            {
                table.full_again.retain(|_, full_again| *full_again > now);
                table.swept = Some(now);
            }
            if table.full_again.len() >= self.max_sources {
                source = Source::Newcomers;
            }
        }
        let full_again = table.full_again.entry(source).or_insert(now);
        let after = (*full_again).max(now) + self.interval;
        let ahead = after.duration_since(now);
        if ahead > self.tolerance {
            return Err(ahead.checked_sub(self.tolerance).unwrap_or_default());
        }
        *full_again = after;
        Ok(())
    }
}

/// Lets a request in, or says when to come again. The source is the socket's other end; no header counts.
pub(crate) fn admit(limit: &SourceLimit, extensions: &Extensions) -> Result<(), ApiError> {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>();
    let address = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(peer)| peer.ip());
    limit.admit(address, Instant::now()).map_err(|wait| {
        let seconds = (wait.as_millis() as u64).div_ceil(1_000).max(1);
        catalogue::RATE_LIMITED
            .with(format!("come again in {seconds} s"))
            .retry_after_s(seconds)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(max_sources: usize) -> SourceLimit {
        SourceLimit::with_room(
            RateLimit {
                per_second: 10,
                burst: 3,
            },
            max_sources,
        )
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_burst_then_the_rate() {
        let (limit, start) = (limit(9), Instant::now());
        let one = ip("192.0.2.1");
        for _ in 0..3 {
            assert_eq!(limit.admit(one, start), Ok(()));
        }
        assert_eq!(limit.admit(one, start), Err(Duration::from_millis(100)));
        assert_eq!(
            limit.admit(ip("192.0.2.2"), start),
            Ok(()),
            "another source has a bucket of its own"
        );
        assert_eq!(limit.admit(one, start + Duration::from_millis(100)), Ok(()));
        assert!(limit.admit(one, start + Duration::from_millis(100)).is_err());
        let later = start + Duration::from_mins(1);
        assert_eq!(
            (0..5).filter(|_| limit.admit(one, later).is_ok()).count(),
            3,
            "a silence fills the bucket once"
        );
    }

    #[test]
    fn one_network_one_source() {
        let (limit, start) = (limit(9), Instant::now());
        for last in 1..=3 {
            assert_eq!(limit.admit(ip(&format!("2001:db8::{last}")), start), Ok(()));
        }
        assert!(limit.admit(ip("2001:db8::9"), start).is_err());
        assert_eq!(limit.admit(ip("2001:db8:0:1::9"), start), Ok(()));
        assert_eq!(Source::of(ip("::ffff:192.0.2.1")), Source::of(ip("192.0.2.1")));
    }

    #[test]
    fn the_table_is_bounded() {
        let (limit, start) = (limit(2), Instant::now());
        assert_eq!(limit.admit(ip("192.0.2.1"), start), Ok(()));
        assert_eq!(limit.admit(ip("192.0.2.2"), start), Ok(()));
        let admitted = (3..100)
            .filter(|n| limit.admit(ip(&format!("192.0.2.{n}")), start).is_ok())
            .count();
        assert_eq!(admitted, 3, "newcomers share one bucket");
        assert!(limit.table.lock().unwrap().full_again.len() <= 3);
        let later = start + Duration::from_secs(5);
        assert_eq!(limit.admit(ip("192.0.2.200"), later), Ok(()));
        assert_eq!(
            limit.table.lock().unwrap().full_again.len(),
            1,
            "the idle are forgotten"
        );
    }
}
