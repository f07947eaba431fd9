//! The circuit breaker of one cluster: after repeated failures it is left alone, then probed with one call at a time.
//!
//! Pure over a [`Clock`]: it decides, it never sleeps. What counts as a failure is `call`'s business; an answer that
//! proves the server alive (403, 404, 409, 422, 429) is a success here.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::error::Reason;
use crate::model::{Clock, Timestamp};

/// How a breaker behaves.
#[derive(Clone, Copy, Debug)]
pub struct BreakerSettings {
    /// Consecutive failures that open it.
    pub failures: u32,
    /// The shortest rest.
    pub first_rest: Duration,
    /// The longest rest.
    pub longest_rest: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self { failures: 5, first_rest: Duration::from_secs(1), longest_rest: Duration::from_secs(300) }
    }
}

/// What a cluster's breaker stands at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls go through.
    Closed,
    /// No call goes out before `retry_at`.
    Open {
        /// When the failures began to keep calls away.
        since: Timestamp,
        /// The failure that opened it.
        reason: Arc<str>,
        /// When one call may try again.
        retry_at: Timestamp,
    },
    /// One call is out to see whether the cluster is back.
    HalfOpen {
        /// When the failures began to keep calls away.
        since: Timestamp,
        /// The failure that opened it.
        reason: Arc<str>,
    },
}

pub(crate) struct Breaker {
    settings: BreakerSettings,
    clock: Clock,
    /// A number in 0..1; a function so that a test can pin it.
    jitter: fn() -> f64,
    inner: Mutex<Inner>,
}

enum Inner {
    Closed { failures: u32 },
    Resting(Rest),
    Probing(Rest),
}

#[derive(Clone)]
struct Rest {
    since: Timestamp,
    reason: Arc<str>,
    retry_at: Timestamp,
    /// Rests so far, for the doubling.
    count: u32,
}

/// Leave to make one call. Dropping it without a verdict counts as neither success nor failure.
pub(crate) struct Ticket<'a> {
    breaker: &'a Breaker,
    probe: bool,
    settled: bool,
}

impl Breaker {
    pub(crate) fn new(settings: BreakerSettings, clock: Clock) -> Self {
        Self::with_jitter(settings, clock, random_fraction)
    }

    fn with_jitter(settings: BreakerSettings, clock: Clock, jitter: fn() -> f64) -> Self {
        Self { settings, clock, jitter, inner: Mutex::new(Inner::Closed { failures: 0 }) }
    }

    /// Leave to make a call, or why not.
    pub(crate) fn admit(&self) -> Result<Ticket<'_>, Reason> {
        let mut inner = self.lock();
        let probe = match &*inner {
            Inner::Closed { .. } => false,
            Inner::Resting(rest) if self.clock.now() >= rest.retry_at => {
                *inner = Inner::Probing(rest.clone());
                true
            }
            Inner::Resting(rest) | Inner::Probing(rest) => {
                let Rest { since, reason, retry_at, count: _ } = rest.clone();
                return Err(Reason::CircuitOpen { since, retry_at, why: reason });
            }
        };
        Ok(Ticket { breaker: self, probe, settled: false })
    }

    pub(crate) fn state(&self) -> BreakerState {
        match &*self.lock() {
            Inner::Closed { .. } => BreakerState::Closed,
            Inner::Resting(Rest { since, reason, retry_at, count: _ }) => {
                BreakerState::Open { since: *since, reason: reason.clone(), retry_at: *retry_at }
            }
            Inner::Probing(Rest { since, reason, .. }) => {
                BreakerState::HalfOpen { since: *since, reason: reason.clone() }
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().expect("the breaker's lock is held for a few lines that cannot panic")
    }

    fn fail(&self, reason: &str, probe: bool) {
        let mut inner = self.lock();
        let now = self.clock.now();
        let (since, count) = match &mut *inner {
            Inner::Closed { failures } => {
                *failures += 1;
                if *failures < self.settings.failures {
                    return;
                }
                (now, 0)
            }
            Inner::Probing(rest) if probe => (rest.since, rest.count + 1),
            // A call that went out before the breaker opened: it is already known.
            Inner::Resting(_) | Inner::Probing(_) => return,
        };
        let rest = self.rest_of(count);
        let retry_at = now.saturating_add(rest).unwrap_or(Timestamp::MAX);
        *inner = Inner::Resting(Rest { since, reason: Arc::from(reason), retry_at, count });
    }

    /// Full jitter between the shortest rest and the doubled one, so that many members that fell together do not come
    /// back together.
    fn rest_of(&self, count: u32) -> Duration {
        let BreakerSettings { first_rest, longest_rest, failures: _ } = self.settings;
        let doubled = first_rest.saturating_mul(2u32.saturating_pow(count.min(20) + 1)).min(longest_rest);
        first_rest + doubled.saturating_sub(first_rest).mul_f64((self.jitter)().clamp(0.0, 1.0))
    }
}

impl Ticket<'_> {
    /// The server answered: whatever it said, it is alive.
    pub(crate) fn alive(mut self) {
        self.settled = true;
        *self.breaker.lock() = Inner::Closed { failures: 0 };
    }

    /// The server could not be used.
    pub(crate) fn failed(mut self, reason: &str) {
        self.settled = true;
        self.breaker.fail(reason, self.probe);
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if self.settled || !self.probe {
            return;
        }
        // The probe was given up before it had an answer: let the next call probe.
        let mut inner = self.breaker.lock();
        if let Inner::Probing(rest) = &*inner {
            *inner = Inner::Resting(rest.clone());
        }
    }
}

/// A fraction in 0..1 from a random uuid: good enough to spread retries, and no further dependency.
pub(crate) fn random_fraction() -> f64 {
    let (high, _) = uuid::Uuid::new_v4().as_u64_pair();
    // The top 48 bits of a version 4 uuid are random.
    (high >> 16) as f64 / (1u64 << 48) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker(jitter: fn() -> f64) -> (Breaker, Clock) {
        let clock = Clock::manual("2026-01-01T00:00:00Z".parse().unwrap());
        (Breaker::with_jitter(BreakerSettings::default(), clock.clone(), jitter), clock)
    }

    fn fail(breaker: &Breaker, times: usize) {
        for _ in 0..times {
            breaker.admit().unwrap().failed("connection refused");
        }
    }

    #[test]
    fn f5_breaker_opens_after_five_failures_in_a_row_and_not_before() {
        let (breaker, _) = breaker(|| 1.0);
        fail(&breaker, 4);
        breaker.admit().unwrap().alive();
        fail(&breaker, 4);
        assert_eq!(breaker.state(), BreakerState::Closed);
        fail(&breaker, 1);
        let Err(Reason::CircuitOpen { why, since, retry_at }) = breaker.admit().map(|_| ()) else {
            panic!("the breaker is closed")
        };
        assert_eq!(&*why, "connection refused");
        assert_eq!(retry_at.duration_since(since).as_secs(), 2);
    }

    #[test]
    fn f5_one_probe_at_a_time_and_rests_double_up_to_five_minutes() {
        let (breaker, clock) = breaker(|| 1.0);
        fail(&breaker, 5);
        for expected in [2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            let BreakerState::Open { retry_at, .. } = breaker.state() else { panic!("not open") };
            assert_eq!(retry_at.duration_since(clock.now()).as_secs(), expected);
            clock.advance(Duration::from_secs(expected as u64) - Duration::from_millis(1));
            assert!(breaker.admit().is_err());
            clock.advance(Duration::from_millis(1));
            let probe = breaker.admit().unwrap();
            assert!(matches!(breaker.state(), BreakerState::HalfOpen { .. }));
            assert!(breaker.admit().is_err(), "a second probe was let through");
            probe.failed("still down");
        }
        clock.advance(Duration::from_secs(300));
        breaker.admit().unwrap().alive();
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn rests_are_spread_between_one_second_and_the_doubled_rest() {
        let (breaker, clock) = breaker(random_fraction);
        fail(&breaker, 5);
        for _ in 0..50 {
            let BreakerState::Open { retry_at, .. } = breaker.state() else { panic!("not open") };
            let rest = retry_at.duration_since(clock.now());
            assert!((1..=300).contains(&rest.as_secs()), "{rest:?}");
            clock.advance(Duration::from_secs(300));
            breaker.admit().unwrap().failed("down");
        }
    }

    #[test]
    fn a_probe_given_up_leaves_room_for_the_next() {
        let (breaker, clock) = breaker(|| 0.0);
        fail(&breaker, 5);
        clock.advance(Duration::from_secs(1));
        drop(breaker.admit().unwrap());
        breaker.admit().unwrap().alive();
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn failures_of_calls_that_were_already_out_do_not_prolong_the_rest() {
        let (breaker, _) = breaker(|| 0.5);
        let late: Vec<_> = (0..3).map(|_| breaker.admit().unwrap()).collect();
        fail(&breaker, 5);
        let before = breaker.state();
        for ticket in late {
            ticket.failed("timed out");
        }
        assert_eq!(breaker.state(), before);
    }
}
