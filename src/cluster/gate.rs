//! How many calls a cluster gets at once, and when it gets none: the in-flight limit and the answer to 429.
//!
//! A server that asks to slow down is left alone for as long as it says, for all callers together, and is then
//! approached with a window of one call that widens with each success. So throttling costs a handful of repeated
//! requests, however many calls wait. It keeps no queue of its own: tokio's semaphore is first come, first served.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

pub(crate) struct Gate {
    slots: Semaphore,
    limit: usize,
    inner: Mutex<Inner>,
}

struct Inner {
    /// Slots in circulation: free ones, and those out with a call, less `debt`.
    window: usize,
    /// Slots to be withdrawn as the calls that hold them end.
    debt: usize,
    paused_until: Option<Instant>,
}

/// One call's slot; dropping it frees the slot.
pub(crate) struct Slot<'a> {
    gate: &'a Gate,
    permit: Option<SemaphorePermit<'a>>,
}

impl Gate {
    pub(crate) fn new(limit: usize) -> Self {
        let limit = limit.max(1);
        let inner = Inner { window: limit, debt: 0, paused_until: None };
        Self { slots: Semaphore::new(limit), limit, inner: Mutex::new(inner) }
    }

    /// Waits for a slot. Every call ahead ends by its own deadline, so this wait ends too.
    pub(crate) async fn slot(&self) -> Slot<'_> {
        let permit = self.slots.acquire().await.expect("the gate never closes its semaphore");
        Slot { gate: self, permit: Some(permit) }
    }

    /// Until when the server wants to be left alone, if that is in the future.
    pub(crate) fn paused_until(&self) -> Option<Instant> {
        self.lock().paused_until.filter(|until| *until > Instant::now())
    }

    /// The server asked to slow down.
    pub(crate) fn throttled(&self, wait: Duration) {
        let mut inner = self.lock();
        let until = Instant::now() + wait;
        if inner.paused_until.is_none_or(|before| before < until) {
            inner.paused_until = Some(until);
        }
        let mut excess = inner.window - 1;
        inner.window = 1;
        while excess > 0 {
            match self.slots.try_acquire() {
                Ok(free) => free.forget(),
                Err(_) => break,
            }
            excess -= 1;
        }
        inner.debt += excess;
    }

    /// The server took a call: widen the window again.
    pub(crate) fn went_well(&self) {
        let mut inner = self.lock();
        if inner.window == self.limit {
            return;
        }
        inner.window += 1;
        if inner.debt > 0 {
            inner.debt -= 1;
        } else {
            self.slots.add_permits(1);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().expect("the gate's lock is held for a few lines that cannot panic")
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        let mut inner = self.gate.lock();
        if inner.debt > 0 {
            inner.debt -= 1;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn f7_the_window_shrinks_to_one_and_widens_again() {
        let gate = Gate::new(4);
        let out: Vec<_> = futures::future::join_all((0..4).map(|_| gate.slot())).await;
        gate.throttled(Duration::ZERO);
        drop(out);
        assert_eq!(gate.slots.available_permits(), 1);
        let slot = gate.slot().await;
        gate.throttled(Duration::ZERO);
        gate.throttled(Duration::ZERO);
        drop(slot);
        assert_eq!(gate.slots.available_permits(), 1);
        for expected in [2, 3, 4, 4, 4] {
            gate.went_well();
            assert_eq!(gate.slots.available_permits(), expected);
        }
    }

    #[tokio::test]
    async fn widening_while_slots_are_out_never_exceeds_the_limit() {
        let gate = Gate::new(3);
        let out: Vec<_> = futures::future::join_all((0..3).map(|_| gate.slot())).await;
        gate.throttled(Duration::ZERO);
        gate.went_well();
        gate.went_well();
        drop(out);
        assert_eq!(gate.slots.available_permits(), 3);
    }

    #[tokio::test]
    async fn a_pause_is_only_ever_prolonged() {
        let gate = Gate::new(2);
        assert!(gate.paused_until().is_none());
        gate.throttled(Duration::from_secs(10));
        let until = gate.paused_until().unwrap();
        gate.throttled(Duration::from_secs(1));
        assert_eq!(gate.paused_until(), Some(until));
        gate.throttled(Duration::from_secs(20));
        assert!(gate.paused_until().unwrap() > until);
    }
}
