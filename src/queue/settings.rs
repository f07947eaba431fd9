//! Knobs of the store, and the steady time that leases are kept by.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::Clock;

/// Knobs of the store. The defaults suit an agent with thousands of objects.
#[derive(Clone, Debug)]
pub struct QueueSettings {
    /// How old deliveries, their jobs and steps may grow; never less than 72 h.
    pub keep_deliveries: Duration,
    /// How many deliveries are kept at most, however young.
    pub max_deliveries: u64,
    /// How many bodies are kept at most; the delivery itself stays.
    pub max_bodies: u64,
    /// How long finished jobs and their steps are kept; never less than 72 h.
    pub keep_jobs: Duration,
    /// How many finished jobs are kept at most.
    pub max_jobs: u64,
    /// How long sent and dead messages are kept.
    pub keep_messages: Duration,
    /// How often old rows are removed.
    pub tidy_every: Duration,
    /// How long a message may be retried before it is dead.
    pub message_deadline: Duration,
    /// How long a write waits for another process that holds the database's own lock.
    pub busy_timeout: Duration,
    /// How long a webhook waits for its row to be on disk before it is told to come again.
    pub record_timeout: Duration,
    /// Read connections.
    pub readers: u32,
    /// The time that does not jump.
    pub steady: Steady,
}

impl Default for QueueSettings {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            keep_deliveries: 14 * DAY,
            max_deliveries: 1_000_000,
            max_bodies: 20_000,
            keep_jobs: 14 * DAY,
            max_jobs: 500_000,
            keep_messages: 7 * DAY,
            tidy_every: Duration::from_secs(600),
            message_deadline: DAY,
            busy_timeout: Duration::from_secs(2),
            record_timeout: Duration::from_secs(5),
            readers: 4,
            steady: Steady::machine(),
        }
    }
}

impl QueueSettings {
    /// Defaults for a test that moves `clock` by hand: moving it is passing time, not a jump of the wall clock.
    pub fn following(clock: &Clock) -> Self {
        Self { steady: Steady::following(clock), ..Self::default() }
    }
}

/// Time that only ever passes. When the wall clock moves against it, the wall clock was set, and leases and
/// due times are moved along so that nothing expires early or hangs until the old time comes round again.
#[derive(Clone)]
pub struct Steady(Arc<dyn Fn() -> Duration + Send + Sync>);

impl Steady {
    /// The machine's monotonic clock.
    pub fn machine() -> Self {
        let start = Instant::now();
        Self(Arc::new(move || start.elapsed()))
    }

    /// Passes exactly as `clock` is moved.
    pub fn following(clock: &Clock) -> Self {
        let clock = clock.clone();
        let start = clock.now();
        Self(Arc::new(move || {
            Duration::try_from(clock.now().duration_since(start)).unwrap_or(Duration::ZERO)
        }))
    }

    pub(super) fn elapsed(&self) -> Duration {
        (self.0)()
    }
}

impl std::fmt::Debug for Steady {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Steady")
    }
}
