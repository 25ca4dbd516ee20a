//! How a kind's attempts and failures are treated.

use std::time::Duration;

use rand::Rng;

/// How a kind's attempts and failures are treated.
///
/// ```
/// use std::time::Duration;
/// use queue::{Backoff, Policy};
///
/// let policy = Policy {
///     max_attempts: 5,
///     backoff: Backoff::fixed(Duration::from_secs(30)),
///     ..Policy::default()
/// };
/// assert_eq!(policy.timeout, Some(Duration::from_secs(300)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How many attempts may fail before the job is dead, at least 1. [`NewJob::of`](crate::NewJob::of) gives it
    /// to the job, which keeps it whatever the policy says later.
    pub max_attempts: i32,
    /// The wait before the next attempt.
    pub backoff: Backoff,
    /// How long an attempt may take where the job itself doesn't say; none for no limit.
    pub timeout: Option<Duration>,
}

impl Default for Policy {
    /// 20 attempts, backoff from 1 s to 10 min, five minutes for an attempt.
    fn default() -> Self {
        Self {
            max_attempts: 20,
            backoff: Backoff::default(),
            timeout: Some(Duration::from_mins(5)),
        }
    }
}

/// The wait before an attempt that follows a failed one. A handler that knows better says so in
/// [`JobError::Retry`](crate::JobError::Retry).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backoff {
    /// Exponential with full jitter: a random wait between nothing and `base * 2^(attempt - 1)`, at most `max`.
    /// Jobs that failed together don't come back together.
    Exponential {
        /// The ceiling after the first failure.
        base: Duration,
        /// The ceiling of all ceilings.
        max: Duration,
    },
    /// Always so long.
    Fixed(Duration),
}

impl Default for Backoff {
    /// Exponential from 1 s to 10 min.
    fn default() -> Self {
        Self::exponential(Duration::from_secs(1), Duration::from_mins(10))
    }
}

impl Backoff {
    /// [`Backoff::Exponential`].
    pub const fn exponential(base: Duration, max: Duration) -> Self {
        Self::Exponential { base, max }
    }

    /// [`Backoff::Fixed`].
    pub const fn fixed(wait: Duration) -> Self {
        Self::Fixed(wait)
    }

    /// The longest wait after this attempt, from 1.
    pub fn ceiling(&self, attempt: i32) -> Duration {
        match *self {
            Self::Exponential { base, max } => {
                let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(0).min(31);
                base.saturating_mul(1 << doublings).min(max)
            }
            Self::Fixed(wait) => wait,
        }
    }

    pub(crate) fn delay(&self, attempt: i32) -> Duration {
        let ceiling = self.ceiling(attempt);
        match self {
            Self::Exponential { .. } => ceiling.mul_f64(rand::rng().random_range(0.0..=1.0)),
            Self::Fixed(_) => ceiling,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_its_ceiling_and_is_jittered() {
        let backoff = Backoff::exponential(Duration::from_secs(1), Duration::from_mins(1));
        for (attempt, ceiling_s) in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (1000, 60), (0, 1)] {
            assert_eq!(
                backoff.ceiling(attempt),
                Duration::from_secs(ceiling_s),
                "attempt {attempt}"
            );
        }
        let waits: Vec<Duration> = (0..100).map(|_| backoff.delay(5)).collect();
        assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(16)));
        assert!(waits.iter().any(|wait| *wait < Duration::from_secs(8)));
        assert!(waits.iter().any(|wait| *wait > Duration::from_secs(8)));
    }

    #[test]
    fn a_fixed_backoff_stays_as_it_is() {
        let backoff = Backoff::fixed(Duration::from_secs(7));
        for attempt in [1, 2, 1000] {
            assert_eq!(backoff.delay(attempt), Duration::from_secs(7));
        }
    }
}
