//! Time as a value that is handed in, so that a test can move it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A point in time, UTC.
pub type Timestamp = jiff::Timestamp;

/// Where a room takes "now" from: the machine's clock, or a test's hand.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    Manual(Arc<Mutex<Timestamp>>),
}

impl Clock {
    /// The machine's wall clock.
    pub fn system() -> Self {
        Clock(Source::System)
    }

    /// A clock that stands at `start` until [`Clock::advance`] moves it.
    pub fn manual(start: Timestamp) -> Self {
        Clock(Source::Manual(Arc::new(Mutex::new(start))))
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => Timestamp::now(),
            Source::Manual(at) => *at.lock().expect("the clock's lock is held for one read or write"),
        }
    }

    /// Moves a manual clock forward; the system clock is not ours to move and stays as it is.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(at) = &self.0 {
            let mut at = at.lock().expect("the clock's lock is held for one read or write");
            *at = at.saturating_add(by).unwrap_or(Timestamp::MAX);
        }
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Source::System => f.write_str("Clock(system)"),
            Source::Manual(_) => f.write_str("Clock(manual)"),
        }
    }
}
