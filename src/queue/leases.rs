//! Who works on what in this process, so that a running job can be told that a newer one waits.
//!
//! Only the signal lives here. Whether a lease stands is decided by the store alone.

use std::collections::HashMap;
use std::sync::Mutex;

use tokio::sync::watch;

use super::{Lease, LeasedJob};
use crate::model::{CauseKind, ObjectKey};

/// The running jobs of this process, by object.
#[derive(Debug, Default)]
pub(super) struct Leases(Mutex<HashMap<ObjectKey, (Lease, watch::Sender<bool>)>>);

impl Leases {
    /// A job was claimed.
    pub(super) fn started(&self, job: &LeasedJob) {
        let entry = (job.lease.clone(), watch::Sender::new(false));
        // Whoever had it before has lost it, and should stop.
        if let Some((_, lost)) = self.lock().insert(job.object.clone(), entry) {
            lost.send_replace(true);
        }
    }

    /// A lease came to its end.
    pub(super) fn ended(&self, lease: &Lease) {
        self.lock().retain(|_, (held, _)| held != lease);
    }

    /// A job for `object` was put in. An interval that comes due does not interrupt the work at hand.
    pub(super) fn put_in(&self, object: &ObjectKey, cause: CauseKind) {
        let interrupts = match cause {
            CauseKind::Delivery
            | CauseKind::Request
            | CauseKind::Change
            | CauseKind::Dependency
            | CauseKind::Replay => true,
            CauseKind::Interval | CauseKind::Start => false,
        };
        if interrupts && let Some((_, signal)) = self.lock().get(object) {
            signal.send_replace(true);
        }
    }

    /// Turns true when a newer job waits for the object of this lease.
    pub(super) fn superseded(&self, lease: &Lease) -> watch::Receiver<bool> {
        self.lock()
            .values()
            .find(|(held, _)| held == lease)
            .map(|(_, signal)| signal.subscribe())
            // The lease is gone: stopping is right.
            .unwrap_or_else(|| watch::Sender::new(true).subscribe())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ObjectKey, (Lease, watch::Sender<bool>)>> {
        self.0.lock().expect("the lock is held for one look at the map, which cannot panic")
    }
}
